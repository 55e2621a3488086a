//! The ACL family.
//!
//! What only reads is answered from the users this core has; what changes them is checked where it is put in force.
//!
//! Not here  carrying out changes, the file and the log: `node/acl.rs`.
//! Tests     tests/server/acl.rs.

use super::check::{Place, check};
use super::selector::Selector;
use crate::base::number::parse_i64;
use crate::commands::CommandError;
use crate::commands::derive::{CATEGORIES, is_in_category, write_help};
use crate::commands::row::ROW;
use crate::commands::session::{Action, NodeRequest, SessionCall};
use crate::commands::table::{Arity, Command, Flags, Group, Run, Spread, table, unknown_or_arity};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// What only the node can do about users.
#[derive(Debug, PartialEq)]
pub enum AclRequest {
    /// ACL SETUSER: OK, or what is wrong with a rule.
    Set {
        /// The user.
        name: Vec<u8>,
        /// The rules.
        rules: Vec<Vec<u8>>,
    },
    /// ACL DELUSER: how many there were.
    Delete(Vec<Vec<u8>>),
    /// ACL LOAD: OK, or what is wrong with the file.
    Load,
    /// ACL SAVE.
    Save,
    /// ACL LOG: at most so many entries.
    Log(usize),
    /// ACL LOG RESET.
    ResetLog,
    /// ACL GENPASS: so many random hexadecimal digits.
    Password(usize),
}

fn ask(request: AclRequest) -> Handled {
    Ok(Action::Node(NodeRequest::Acl(request)))
}

/// Bits of the longest password that is made.
const PASSWORD_BITS_MAX: i64 = 4096;

/// `ACL WHOAMI`.
fn whoami(call: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.bulk(call.session.user.name());
    Ok(Action::Done)
}

/// `ACL USERS`.
fn users(call: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.array(call.users.len());
    call.users.iter().for_each(|user| reply.bulk(user.name()));
    Ok(Action::Done)
}

/// `ACL LIST`.
fn list(call: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.array(call.users.len());
    (call.users.iter()).for_each(|user| reply.bulk(&user.describe()));
    Ok(Action::Done)
}

/// `ACL GETUSER username`.
fn getuser(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let Some(user) = call.users.get(args.get(1)) else {
        reply.null();
        return Ok(Action::Done);
    };
    // Users whose databases are all of them are told as Redis tells them.
    let with_databases = user.heeds_databases();
    reply.map(6 + usize::from(with_databases));
    reply.bulk(b"flags");
    let switches = user.switches();
    reply.set(switches.len());
    switches
        .iter()
        .for_each(|switch| reply.bulk(switch.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    (user.passwords().iter()).for_each(|digest| reply.bulk(digest.hex().as_bytes()));
    let (own, others) = user.selectors().split_at(1);
    own.iter()
        .for_each(|selector| write_selector(selector, with_databases, reply));
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3 + usize::from(with_databases));
        write_selector(selector, with_databases, reply);
    }
    Ok(Action::Done)
}

fn write_selector(selector: &Selector, with_databases: bool, reply: &mut Reply<'_>) {
    type Describe = fn(&Selector, &mut Vec<u8>);
    let parts: [(&str, Describe); 4] = [
        ("commands", Selector::describe_commands),
        ("keys", Selector::describe_keys),
        ("channels", Selector::describe_channels),
        ("databases", Selector::describe_databases),
    ];
    let count = parts.len() - usize::from(!with_databases);
    for (name, describe) in &parts[..count] {
        let mut text = Vec::new();
        describe(selector, &mut text);
        reply.bulk(name.as_bytes());
        reply.bulk(&text);
    }
}

/// `ACL CAT [category]`.
fn cat(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let names: Vec<&str> = match args.len() {
        1 => CATEGORIES.to_vec(),
        2 => {
            let word = args.get(1).to_ascii_lowercase();
            let Some(category) = CATEGORIES.iter().find(|known| known.as_bytes() == word) else {
                let word = &args.get(1)[..args.get(1).len().min(128)];
                return Err(CommandError::quoting("ERR Unknown category '", word, "'"));
            };
            (table().rows())
                .filter(|entry| entry.is_visible() && is_in_category(entry.command, category))
                .map(|entry| entry.full_name)
                .collect()
        }
        _ => return Err(unknown_or_arity("ACL", args.get(0))),
    };
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(Action::Done)
}

/// `ACL DRYRUN username command [arg ...]`.
fn dryrun(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let Some(user) = call.users.get(args.get(1)) else {
        return Err(CommandError::quoting(
            "ERR User '",
            args.get(1),
            "' not found",
        ));
    };
    let request = args.tail(2);
    let named = table().find(request.get(0));
    let sub = named.filter(|_| request.len() > 1);
    let sub = sub.and_then(|entry| entry.find_sub(request.get(1)));
    // What COMMAND describes as a whole is known by its name, whatever the second word.
    let whole = named.filter(|entry| request.len() == 1 || !entry.shows_subs());
    let found = sub.or(whole);
    let Some(entry) = found else {
        let name = request.get(0);
        return Err(CommandError::quoting("ERR Command '", name, "' not found"));
    };
    if !entry.takes(request.len()) {
        return Err(CommandError::Arity(entry.full_name));
    }
    let place = Place {
        db: call.session.db,
        count: call.databases,
    };
    match check(user, entry, &request, place) {
        Ok(()) => reply.ok(),
        Err(denied) => {
            let word = request.get(denied.word);
            reply.bulk(&denied.full_message(user, entry, word));
        }
    }
    Ok(Action::Done)
}

/// `ACL GENPASS [bits]`.
fn genpass(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let bits = match args.len() {
        1 => 256,
        2 => parse_i64(args.get(1)).ok_or(CommandError::NotInteger)?,
        _ => return Err(unknown_or_arity("ACL", args.get(0))),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"
                .into(),
        );
    }
    ask(AclRequest::Password((bits as usize).div_ceil(4)))
}

/// `ACL SETUSER username [rule ...]`.
fn setuser(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(AclRequest::Set {
        name: args.get(1).to_vec(),
        rules: args.iter_from(2).map(<[u8]>::to_vec).collect(),
    })
}

/// `ACL DELUSER username [username ...]`.
fn deluser(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(AclRequest::Delete(
        args.iter_from(1).map(<[u8]>::to_vec).collect(),
    ))
}

/// `ACL LOAD`.
fn load(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(AclRequest::Load)
}

/// `ACL SAVE`.
fn save(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(AclRequest::Save)
}

/// Entries that ACL LOG tells of where no number is given.
const LOG_COUNT: i64 = 10;

/// `ACL LOG [count | RESET]`.
fn log(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let count = match args.len() {
        1 => LOG_COUNT,
        2 if args.is(1, "RESET") => return ask(AclRequest::ResetLog),
        2 => parse_i64(args.get(1)).ok_or(CommandError::NotInteger)?,
        _ => return Err(unknown_or_arity("ACL", args.get(0))),
    };
    ask(AclRequest::Log(usize::try_from(count).unwrap_or(0)))
}

/// `ACL HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const OPEN: Flags = Flags::NOSCRIPT.or(LOADING_STALE);
const FOR_ADMINS: Flags = OPEN.or(Flags::ADMIN);
const TIPS_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// A row of this family.
const ACL: Command = Command {
    since: "6.0.0",
    group: Group::Server,
    flags: FOR_ADMINS,
    arity: Arity::Exactly(2),
    spread: Spread::AnyCore,
    cost: "O(N) where N is the number of users",
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "ACL",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    summary: "Commands about users and their rights.",
    cost: "Depends on subcommand.",
    sub: SUBCOMMANDS,
    run: Run::Container,
    ..ACL
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CAT",
        arity: Arity::AtLeast(2),
        flags: OPEN,
        args: "[category]",
        summary: "Names the categories, or the commands of one.",
        cost: "O(1) without a category, O(N) with one, N being the number of commands",
        run: Run::Session(cat),
        ..ACL
    },
    Command {
        name: "DELUSER",
        arity: Arity::AtLeast(3),
        args: "username [username ...]",
        summary: "Removes users and ends their connections.",
        cost: "O(N) where N is the number of connections",
        tips: TIPS_ALL_NODES,
        run: Run::Session(deluser),
        ..ACL
    },
    Command {
        name: "DRYRUN",
        since: "7.0.0",
        arity: Arity::AtLeast(4),
        args: "username command [arg ...]",
        summary: "Says whether a user may run a command, without running it.",
        cost: "O(1).",
        run: Run::Session(dryrun),
        ..ACL
    },
    Command {
        name: "GENPASS",
        arity: Arity::AtLeast(2),
        flags: OPEN,
        args: "[bits:integer]",
        summary: "Makes a random password.",
        cost: "O(1)",
        run: Run::Session(genpass),
        ..ACL
    },
    Command {
        name: "GETUSER",
        arity: Arity::Exactly(3),
        args: "username",
        summary: "Describes one user.",
        cost: "O(N) where N is the number of the user's passwords, rules and patterns",
        history: &[
            ("6.2.0", "Tells patterns of channels."),
            (
                "7.0.0",
                "Tells selectors; keys and channels are one text each instead of a list.",
            ),
        ],
        run: Run::Session(getuser),
        ..ACL
    },
    Command {
        name: "HELP",
        flags: LOADING_STALE,
        summary: "This help.",
        cost: "O(1)",
        run: Run::Session(help),
        ..ACL
    },
    Command {
        name: "LIST",
        summary: "All users, each as the line of a configuration file that makes it.",
        run: Run::Session(list),
        ..ACL
    },
    Command {
        name: "LOAD",
        summary: "Takes the users from the ACL file in place of those there are.",
        run: Run::Session(load),
        ..ACL
    },
    Command {
        name: "LOG",
        arity: Arity::AtLeast(2),
        args: "operation=[count:integer | RESET]",
        summary: "Tells what was denied lately, or forgets it.",
        cost: "O(N) where N is the number of entries told",
        history: &[(
            "7.2.0",
            "Entries have a number and the times of their first and latest denial.",
        )],
        run: Run::Session(log),
        ..ACL
    },
    Command {
        name: "SAVE",
        summary: "Writes all users to the ACL file.",
        tips: TIPS_ALL_NODES,
        run: Run::Session(save),
        ..ACL
    },
    Command {
        name: "SETUSER",
        arity: Arity::AtLeast(3),
        args: "username [rule ...]",
        summary: "Makes a user, or changes what it may do.",
        cost: "O(N) where N is the number of rules and of connections",
        tips: TIPS_ALL_NODES,
        history: &[
            ("6.2.0", "Patterns of channels."),
            (
                "7.0.0",
                "Selectors, and patterns of keys that may only be read or only be written.",
            ),
        ],
        run: Run::Session(setuser),
        ..ACL
    },
    Command {
        name: "USERS",
        summary: "The names of all users.",
        run: Run::Session(users),
        ..ACL
    },
    Command {
        name: "WHOAMI",
        flags: OPEN,
        summary: "The name of this connection's user.",
        cost: "O(1)",
        run: Run::Session(whoami),
        ..ACL
    },
];
