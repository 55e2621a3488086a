//! COMMAND: the table described to clients.
//!
//! Not here  how a row is described: `commands/derive.rs`.
//! Tests     tests/commands/command.rs.

use super::CommandError;
use super::derive::{is_in_category, write_docs, write_help, write_info, write_key_access};
use super::keys::{access_in, for_each_key, for_each_key_of};
use super::row::ROW;
use super::session::{Action, SessionCall};
use super::table::{Arity, Command, Entry, Flags, Group, KeyAccess, KeySpec, Run, Spread, table};
use crate::base::glob::glob_match;
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// `COMMAND`: every command.
fn all(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.array(visible().count());
    visible().for_each(|entry| write_info(entry, reply));
    Ok(Action::Done)
}

fn visible() -> impl Iterator<Item = &'static Entry> {
    let shown = |entry: &&Entry| entry.is_visible() && entry.called.is_some();
    table().entries().iter().filter(shown)
}

/// `COMMAND COUNT`.
fn count(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.integer(visible().count() as i64);
    Ok(Action::Done)
}

/// `COMMAND INFO [command-name ...]`.
fn info(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    if args.len() == 1 {
        return all(call, args, reply);
    }
    reply.array(args.len() - 1);
    for name in args.iter_from(1) {
        match table().find_full(name).filter(|entry| entry.is_visible()) {
            Some(entry) => write_info(entry, reply),
            None => reply.null(),
        }
    }
    Ok(Action::Done)
}

/// `COMMAND DOCS [command-name ...]`.
fn docs(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let entries: Vec<&Entry> = if args.len() == 1 {
        visible().collect()
    } else {
        args.iter_from(1)
            .filter_map(|name| table().find_full(name))
            .filter(|entry| entry.is_visible())
            .collect()
    };
    reply.map(entries.len());
    entries.iter().for_each(|entry| write_docs(entry, reply));
    Ok(Action::Done)
}

/// `COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]`.
fn list(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let filter = match args.len() {
        1 => Filter::Everything,
        4 if args.is(1, "FILTERBY") => Filter::parse(args)?,
        _ => return Err(CommandError::Syntax),
    };
    let names: Vec<&str> = visible()
        .flat_map(|entry| std::iter::once(entry).chain(entry.sub))
        .filter(|entry| entry.is_visible() && filter.fits(entry))
        .map(|entry| entry.full_name)
        .collect();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(Action::Done)
}

/// What COMMAND LIST lists.
enum Filter<'a> {
    Everything,
    /// There are no modules, so nothing is of one.
    Nothing,
    Category(String),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        if args.is(2, "MODULE") {
            Ok(Self::Nothing)
        } else if args.is(2, "ACLCAT") {
            let category = String::from_utf8_lossy(args.get(3));
            Ok(Self::Category(category.to_ascii_lowercase()))
        } else if args.is(2, "PATTERN") {
            Ok(Self::Pattern(args.get(3)))
        } else {
            Err(CommandError::Syntax)
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Category(category) => is_in_category(entry.command, category),
            Self::Pattern(pattern) => glob_match(pattern, entry.full_name.as_bytes(), true),
        }
    }
}

/// `COMMAND GETKEYS command [arg ...]`.
fn get_keys(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let keys = keys_of_request(args)?;
    reply.array(keys.len());
    keys.iter().for_each(|(key, _)| reply.bulk(key));
    Ok(Action::Done)
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]`.
fn get_keys_and_flags(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let keys = keys_of_request(args)?;
    reply.array(keys.len());
    for (key, access) in keys {
        reply.array(2);
        reply.bulk(key);
        write_key_access(access, reply);
    }
    Ok(Action::Done)
}

/// The keys of the request that begins at word 1, each with what is done to it.
fn keys_of_request<'a>(args: &Args<'a>) -> Result<Vec<(&'a [u8], KeyAccess)>, CommandError> {
    let request = args.tail(1);
    let mut found = table().find(request.get(0));
    if let Some(container) = found.filter(|entry| entry.shows_subs() && request.len() > 1) {
        found = container.find_sub(request.get(1));
    }
    let Some(entry) = found.filter(|entry| entry.is_visible()) else {
        return Err("ERR Invalid command specified".into());
    };
    let specs = entry.command.keys;
    if specs.iter().all(KeySpec::is_fake) {
        return Err("ERR The command has no key arguments".into());
    }
    if !entry.takes(request.len()) {
        return Err("ERR Invalid number of arguments specified for command".into());
    }
    if entry.command.name == "MIGRATE" {
        // Its specifications do not say which of them holds.
        let words = super::migrate::key_words(&request)
            .ok_or("ERR Invalid arguments specified for command")?;
        return Ok(words.map(|at| (request.get(at), specs[0].access)).collect());
    }
    let mut keys = Vec::new();
    let is_complete = for_each_key(entry, &request, |_| ());
    for spec in specs.iter().filter(|spec| !spec.is_fake()) {
        let access = access_in(entry, spec, &request);
        for_each_key_of(spec, &request, &mut |at| {
            keys.push((request.get(at), access))
        });
    }
    let may_lack_keys = entry.command.flags.has(Flags::NO_MANDATORY_KEYS);
    if (keys.is_empty() || !is_complete) && !may_lack_keys {
        return Err("ERR Invalid arguments specified for command".into());
    }
    Ok(keys)
}

/// `COMMAND HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

const UNORDERED: &[&str] = &["nondeterministic_output_order"];

/// A row of this family.
const COMMAND: Command = Command {
    since: "2.8.13",
    group: Group::Server,
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::CAT_CONNECTION),
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "COMMAND",
    arity: Arity::AtLeast(1),
    summary: "Describes every command.",
    cost: "O(N) where N is the total number of Redis commands",
    tips: UNORDERED,
    sub: SUBCOMMANDS,
    run: Run::Session(all),
    ..COMMAND
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "COUNT",
        arity: Arity::Exactly(2),
        summary: "How many commands there are.",
        run: Run::Session(count),
        ..COMMAND
    },
    Command {
        name: "LIST",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        args: "filterby=[FILTERBY (MODULE module-name | ACLCAT category | PATTERN pattern)]",
        summary: "The names of all commands, or of those that fit.",
        cost: "O(N) where N is the total number of Redis commands",
        tips: UNORDERED,
        run: Run::Session(list),
        ..COMMAND
    },
    Command {
        name: "INFO",
        arity: Arity::AtLeast(2),
        args: "[command-name ...]",
        summary: "What can be told of commands by machine: arity, flags, keys.",
        cost: "O(N) where N is the number of commands to look up",
        tips: UNORDERED,
        history: &[("7.0.0", "Without names it describes every command.")],
        run: Run::Session(info),
        ..COMMAND
    },
    Command {
        name: "DOCS",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        args: "[command-name ...]",
        summary: "What a person wants to know of commands: purpose, arguments, history.",
        cost: "O(N) where N is the number of commands to look up",
        tips: UNORDERED,
        run: Run::Session(docs),
        ..COMMAND
    },
    Command {
        name: "GETKEYS",
        arity: Arity::AtLeast(3),
        args: "command [arg ...]",
        summary: "The keys of a request.",
        cost: "O(N) where N is the number of arguments to the command",
        run: Run::Session(get_keys),
        ..COMMAND
    },
    Command {
        name: "GETKEYSANDFLAGS",
        since: "7.0.0",
        arity: Arity::AtLeast(3),
        args: "command [arg ...]",
        summary: "The keys of a request, and what it does to each.",
        cost: "O(N) where N is the number of arguments to the command",
        run: Run::Session(get_keys_and_flags),
        ..COMMAND
    },
    Command {
        name: "HELP",
        since: "5.0.0",
        arity: Arity::Exactly(2),
        summary: "This help.",
        run: Run::Session(help),
        ..COMMAND
    },
];
