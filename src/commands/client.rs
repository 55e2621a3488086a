//! CLIENT: connections as objects of administration.
//!
//! Not here  filters: `commands/client_filter.rs`; the rows of CLIENT LIST: `node/clients.rs`.
//! Source    Redis 8; the filters beyond it are Valkey 9's.
//! Tests     tests/commands/client.rs.

use super::CommandError;
use super::client_filter::ClientFilter;
use super::client_tracking;
use super::connection::{check_name, is_plain};
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread, unknown_or_arity};
use crate::base::number::parse_i64;
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// `CLIENT ID`.
fn id(call: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.integer(call.session.id as i64);
    Ok(Action::Done)
}

/// `CLIENT INFO`.
fn info(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ClientInfo))
}

/// `CLIENT LIST [filter ...]`.
fn list(call: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let filter = ClientFilter::parse_list(args, call.databases, call.users)?;
    Ok(Action::Node(NodeRequest::ClientList(filter)))
}

/// `CLIENT KILL addr:port` or `CLIENT KILL filter ...`.
fn kill(call: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    if args.len() == 2 {
        let addr = args.get(1).to_vec();
        return Ok(Action::Node(NodeRequest::ClientKillAddr(addr)));
    }
    let filter = ClientFilter::parse_kill(args, call.databases, call.users)?;
    Ok(Action::Node(NodeRequest::ClientKill(filter)))
}

/// `CLIENT SETNAME name`.
fn set_name(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    check_name(args.get(1))?;
    call.session.name = args.get(1).to_vec();
    reply.ok();
    Ok(Action::Done)
}

/// `CLIENT GETNAME`.
fn get_name(call: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    if call.session.name.is_empty() {
        reply.null();
    } else {
        reply.bulk(&call.session.name);
    }
    Ok(Action::Done)
}

/// `CLIENT SETINFO <LIB-NAME name | LIB-VER version>`.
fn set_info(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let value = args.get(2);
    let place = if args.is(1, "lib-name") {
        &mut call.session.lib_name
    } else if args.is(1, "lib-ver") {
        &mut call.session.lib_ver
    } else {
        return Err(CommandError::quoting(
            "ERR Unrecognized option '",
            args.get(1),
            "'",
        ));
    };
    if !is_plain(value) {
        return Err(CommandError::quoting(
            "ERR ",
            args.get(1),
            " cannot contain spaces, newlines or special characters.",
        ));
    }
    *place = value.to_vec();
    reply.ok();
    Ok(Action::Done)
}

fn on_or_off(args: &Args<'_>) -> Result<bool, CommandError> {
    if args.is(1, "ON") {
        Ok(true)
    } else if args.is(1, "OFF") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

/// `CLIENT NO-EVICT <ON | OFF>`.
fn no_evict(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    call.session.no_evict = on_or_off(args)?;
    reply.ok();
    Ok(Action::Done)
}

/// `CLIENT NO-TOUCH <ON | OFF>`.
fn no_touch(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    call.session.no_touch = on_or_off(args)?;
    reply.ok();
    Ok(Action::Done)
}

/// `CLIENT CAPA capability [capability ...]`: what is not known is claimed in vain, as in Valkey.
fn capa(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    for index in 1..args.len() {
        call.session.can_redirect |= args.is(index, "REDIRECT");
    }
    reply.ok();
    Ok(Action::Done)
}

/// `CLIENT IMPORT-SOURCE <ON | OFF>`: as of a Valkey that is not in import mode, which there is none of here.
fn import_source(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    if !args.is(1, "OFF") {
        return Err("ERR Server is not in import mode".into());
    }
    reply.ok();
    Ok(Action::Done)
}

/// `CLIENT REPLY <ON | OFF | SKIP>`: OFF and SKIP themselves say nothing.
fn reply_mode(call: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    let mode = &mut call.session.reply_mode;
    if args.is(1, "ON") {
        mode.turn_on();
        reply.ok();
    } else if args.is(1, "OFF") {
        mode.turn_off();
    } else if args.is(1, "SKIP") {
        mode.skip_next();
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(Action::Done)
}

/// `CLIENT PAUSE timeout [WRITE | ALL]`.
fn pause(call: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let writes_only = match args.len() {
        2 => false,
        3 if args.is(2, "WRITE") => true,
        3 if args.is(2, "ALL") => false,
        3 => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
        // More words: Redis's handler does not know the form.
        _ => return Err(unknown_or_arity("CLIENT", args.get(0))),
    };
    let timeout_ms =
        parse_i64(args.get(1)).ok_or("ERR timeout is not an integer or out of range")?;
    if timeout_ms < 0 {
        return Err("ERR timeout is negative".into());
    }
    let until_ms = call
        .now_ms
        .checked_add(timeout_ms)
        .ok_or("ERR timeout is out of range")?;
    Ok(Action::Node(NodeRequest::ClientPause {
        until_ms,
        writes_only,
    }))
}

/// `CLIENT UNPAUSE`.
fn unpause(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ClientUnpause))
}

/// `CLIENT UNBLOCK client-id [TIMEOUT | ERROR]`.
fn unblock(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let is_error = match args.len() {
        2 => false,
        3 if args.is(2, "TIMEOUT") => false,
        3 if args.is(2, "ERROR") => true,
        3 => {
            return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into());
        }
        _ => return Err(unknown_or_arity("CLIENT", args.get(0))),
    };
    let id = parse_i64(args.get(1)).ok_or(CommandError::NotInteger)?;
    let id = u64::try_from(id).unwrap_or(0);
    Ok(Action::Node(NodeRequest::ClientUnblock { id, is_error }))
}

/// `CLIENT HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const OWN: Flags = LOADING_STALE.or(Flags::NOSCRIPT);
const ADMIN: Flags = OWN.or(Flags::ADMIN);
const TO_ALL: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// A row of this family.
const CLIENT: Command = Command {
    group: Group::Connection,
    spread: Spread::AnyCore,
    arity: Arity::Exactly(2),
    flags: OWN,
    ..ROW
};

/// What CLIENT LIST and CLIENT KILL share of their filters.
const EACH: &str = "O(N) where N is the number of client connections";

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "CLIENT",
    since: "2.4.0",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    summary: "Commands about client connections.",
    cost: "Depends on subcommand.",
    sub: SUBCOMMANDS,
    run: Run::Container,
    ..CLIENT
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "ID",
        since: "5.0.0",
        summary: "The connection's number, never used twice.",
        run: Run::Session(id),
        ..CLIENT
    },
    Command {
        name: "INFO",
        since: "6.2.0",
        summary: "What the server knows of this connection.",
        tips: &["nondeterministic_output"],
        run: Run::Session(info),
        ..CLIENT
    },
    Command {
        name: "LIST",
        since: "2.4.0",
        arity: Arity::AtLeast(2),
        flags: ADMIN,
        args: "client-type=[TYPE (normal=NORMAL | master=MASTER | replica=REPLICA | pubsub=PUBSUB)]@5.0.0 \
               [ID client-id ...]@6.2.0",
        summary: "What the server knows of its connections, or of those that fit.",
        cost: EACH,
        tips: &["nondeterministic_output"],
        history: &[
            ("2.8.12", "Rows have the connection's `id`."),
            ("5.0.0", "`TYPE` selects by kind."),
            ("6.0.0", "Rows have `user`."),
            (
                "6.2.0",
                "Rows have `argv-mem`, `tot-mem`, `laddr` and `redir`; `ID` selects by number.",
            ),
            ("7.0.0", "Rows have `resp`, `multi-mem`, `rbs` and `rbp`."),
            ("7.0.3", "Rows have `ssub`."),
            ("7.2.0", "Rows have `lib-name` and `lib-ver`."),
            ("7.4.0", "Rows have `watch`."),
            ("8.0.0", "Rows have `io-thread`."),
        ],
        run: Run::Session(list),
        ..CLIENT
    },
    Command {
        name: "KILL",
        since: "2.4.0",
        arity: Arity::AtLeast(3),
        flags: ADMIN,
        args: "filter=(old-format~ip:port!2.8.12 | new-format=([ID client-id]@2.8.12 | \
               client-type=[TYPE (normal=NORMAL | master=MASTER@3.2.0 | slave=SLAVE | replica=REPLICA@5.0.0 | \
               pubsub=PUBSUB)]@2.8.12 | [USER username] | [ADDR addr~ip:port] | [LADDR laddr~ip:port]@6.2.0 | \
               skipme=[SKIPME (YES | NO)] | [MAXAGE maxage:integer]@7.4.0) ...)",
        summary: "Closes the connections that fit.",
        cost: EACH,
        history: &[
            ("2.8.12", "Takes filters."),
            ("2.8.12", "`ID` selects by number."),
            ("3.2.0", "`TYPE` knows `master`."),
            ("5.0.0", "`TYPE` knows `replica`, the new word for `slave`."),
            (
                "6.2.0",
                "`LADDR` selects by the address that was connected to.",
            ),
            ("7.4.0", "`MAXAGE` selects by age."),
        ],
        run: Run::Session(kill),
        ..CLIENT
    },
    Command {
        name: "SETNAME",
        since: "2.6.9",
        arity: Arity::Exactly(3),
        args: "connection-name",
        summary: "Names the connection.",
        tips: TO_ALL,
        run: Run::Session(set_name),
        ..CLIENT
    },
    Command {
        name: "GETNAME",
        since: "2.6.9",
        summary: "The connection's name.",
        run: Run::Session(get_name),
        ..CLIENT
    },
    Command {
        name: "SETINFO",
        since: "7.2.0",
        arity: Arity::Exactly(4),
        args: "attr=(LIB-NAME libname | LIB-VER libver)",
        summary: "Says which library the client is.",
        tips: TO_ALL,
        run: Run::Session(set_info),
        ..CLIENT
    },
    Command {
        name: "NO-EVICT",
        since: "7.0.0",
        arity: Arity::Exactly(3),
        flags: ADMIN,
        args: "enabled=(ON | OFF)",
        summary: "Exempts the connection from being closed for its memory.",
        run: Run::Session(no_evict),
        ..CLIENT
    },
    Command {
        name: "NO-TOUCH",
        since: "7.2.0",
        arity: Arity::Exactly(3),
        args: "enabled=(ON | OFF)",
        summary: "Lets the connection's reads leave access clocks alone.",
        run: Run::Session(no_touch),
        ..CLIENT
    },
    Command {
        name: "CAPA",
        since: "8.0.0",
        arity: Arity::AtLeast(3),
        args: "capability ...",
        summary: "Says what the client can do: REDIRECT, to follow a server that sends it elsewhere. Of Valkey.",
        run: Run::Session(capa),
        ..CLIENT
    },
    Command {
        name: "IMPORT-SOURCE",
        since: "8.1.0",
        arity: Arity::Exactly(3),
        args: "enabled=(ON | OFF)",
        summary: "Marks the connection as one that imports, on a server in import mode; this one has none. Of Valkey.",
        run: Run::Session(import_source),
        ..CLIENT
    },
    Command {
        name: "REPLY",
        since: "3.2.0",
        arity: Arity::Exactly(3),
        args: "action=(ON | OFF | SKIP)",
        summary: "Turns the connection's replies on or off, or skips the next.",
        run: Run::Session(reply_mode),
        ..CLIENT
    },
    Command {
        name: "PAUSE",
        since: "3.0.0",
        arity: Arity::AtLeast(3),
        flags: ADMIN,
        args: "timeout mode=[WRITE | ALL]@6.2.0",
        summary: "Holds back all commands, or those that write, for some milliseconds.",
        history: &[("6.2.0", "`WRITE` and `ALL` say what waits.")],
        run: Run::Session(pause),
        ..CLIENT
    },
    Command {
        name: "UNBLOCK",
        since: "5.0.0",
        arity: Arity::AtLeast(3),
        flags: ADMIN,
        args: "client-id unblock-type=[TIMEOUT | ERROR]",
        summary: "Ends the wait of a connection that waits for a key.",
        cost: "O(log N) where N is the number of client connections",
        run: Run::Session(unblock),
        ..CLIENT
    },
    Command {
        name: "UNPAUSE",
        since: "6.2.0",
        flags: ADMIN,
        summary: "Ends a pause.",
        cost: "O(N) where N is the number of paused clients",
        run: Run::Session(unpause),
        ..CLIENT
    },
    Command {
        name: "TRACKING",
        since: "6.0.0",
        arity: Arity::AtLeast(3),
        args: "status=(ON | OFF) [REDIRECT client-id:integer] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        summary: "Tells the connection when what it has read, or keys with some prefixes, change.",
        cost: "O(1) on each shard, and for each prefix.",
        run: Run::Session(client_tracking::tracking),
        ..CLIENT
    },
    Command {
        name: "CACHING",
        since: "6.0.0",
        arity: Arity::Exactly(3),
        args: "mode=(YES | NO)",
        summary: "Says whether what the next command reads is tracked.",
        run: Run::Session(client_tracking::caching),
        ..CLIENT
    },
    Command {
        name: "GETREDIR",
        since: "6.0.0",
        summary: "The connection that is told in this one's place of what has changed.",
        run: Run::Session(client_tracking::get_redirect),
        ..CLIENT
    },
    Command {
        name: "TRACKINGINFO",
        since: "6.2.0",
        summary: "How the connection tracks what it reads.",
        run: Run::Session(client_tracking::tracking_info),
        ..CLIENT
    },
    Command {
        name: "HELP",
        since: "5.0.0",
        flags: LOADING_STALE,
        summary: "This help.",
        run: Run::Session(help),
        ..CLIENT
    },
];
