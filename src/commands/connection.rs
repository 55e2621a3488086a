//! The connection family without CLIENT: who asks, in which protocol, in which database.
//!
//! Source    RESP3 (HELLO); error texts recorded from a real server.
//! Tests     tests/commands/session.rs.

use super::CommandError;
use super::acl::user::DEFAULT_NAME;
use super::identity::REDIS_VERSION;
use super::row::ROW;
use super::session::{Action, NodeRequest, Session, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use super::word;
use crate::base::number::parse_i64;
use crate::resp::{Args, Protocol, Reply};

/// `PING [message]`.
fn ping(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    if args.len() > 2 {
        return Err(CommandError::Arity("ping"));
    }
    let message = (args.len() == 2).then(|| args.get(1));
    if call.session.subscribed && call.session.protocol == Protocol::Resp2 {
        // Such a client takes everything for a message.
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(message.unwrap_or_default());
    } else {
        match message {
            None => reply.simple("PONG"),
            Some(message) => reply.bulk(message),
        }
    }
    Ok(Action::Done)
}

/// `ECHO message`.
fn echo(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    reply.bulk(args.get(1));
    Ok(Action::Done)
}

/// `SELECT index`.
fn select(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let index = word::database(args.get(1), usize::from(call.databases))?;
    call.session.db = index as u16;
    reply.ok();
    Ok(Action::Done)
}

/// `AUTH [username] password`.
fn auth(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    match args.len() {
        2 if call.users.default_user().takes_any_password() => {
            return Err(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?"
                    .into(),
            );
        }
        2 => call.authenticate(args.get(0), DEFAULT_NAME, args.get(1))?,
        3 => call.authenticate(args.get(0), args.get(1), args.get(2))?,
        _ => return Err(CommandError::Syntax),
    }
    reply.ok();
    Ok(Action::Done)
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`.
fn hello(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let mut protocol = call.session.protocol;
    if args.len() > 1 {
        protocol = match parse_i64(args.get(1)) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err("NOPROTO unsupported protocol version".into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        };
    }
    let mut credentials = None;
    let mut name = None;
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - 1 - at;
        if args.is(at, "AUTH") && more >= 2 {
            credentials = Some((args.get(at + 1), args.get(at + 2)));
            at += 3;
        } else if args.is(at, "SETNAME") && more >= 1 {
            check_name(args.get(at + 1))?;
            name = Some(args.get(at + 1));
            at += 2;
        } else {
            let before = "ERR Syntax error in HELLO option '";
            return Err(CommandError::quoting(before, args.get(at), "'"));
        }
    }
    if let Some((user, password)) = credentials {
        call.authenticate(args.get(0), user, password)?;
    }
    if !call.session.authenticated {
        return Err(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
                .into(),
        );
    }
    if let Some(name) = name {
        call.session.name = name.to_vec();
    }
    call.session.protocol = protocol;
    // The reply is the first thing said in the new protocol.
    let mut text = Vec::with_capacity(160);
    write_greeting(
        call.session,
        call.zone,
        &mut Reply::new(&mut text, protocol),
    );
    reply.raw(&text);
    Ok(Action::Done)
}

fn write_greeting(session: &Session, zone: &str, reply: &mut Reply<'_>) {
    reply.map(7 + usize::from(!zone.is_empty()));
    let mut text = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text("server", "redis");
    text("version", REDIS_VERSION);
    reply.bulk(b"proto");
    reply.integer(match session.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    reply.bulk(b"id");
    reply.integer(session.id as i64);
    let mut text = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text("mode", "standalone");
    text("role", "master");
    reply.bulk(b"modules");
    reply.array(0);
    // Valkey's, said where there is one.
    if !zone.is_empty() {
        reply.bulk(b"availability_zone");
        reply.bulk(zone.as_bytes());
    }
}

/// Refuses names that would break the lines of CLIENT LIST.
pub fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if is_plain(name) {
        return Ok(());
    }
    Err("ERR Client names cannot contain spaces, newlines or special characters.".into())
}

/// Whether a value can stand in a line of CLIENT LIST: printable ASCII without spaces. As in Redis, a NUL ends it.
pub fn is_plain(value: &[u8]) -> bool {
    value
        .iter()
        .take_while(|byte| **byte != 0)
        .all(u8::is_ascii_graphic)
}

/// `RESET`: the connection is as it was when it was new.
fn reset(
    call: &mut SessionCall<'_>,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let session = &mut *call.session;
    session.protocol = Protocol::Resp2;
    session.db = 0;
    session.name.clear();
    session.no_touch = false;
    session.no_evict = false;
    session.fieldsets = None;
    session.reply_mode.reset();
    session.greet(call.users);
    Ok(Action::Node(NodeRequest::Reset))
}

/// `QUIT`.
fn quit(
    _: &mut SessionCall<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    reply.ok();
    Ok(Action::Close)
}

/// What is served at any time.
const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);

const BEFORE_AUTH: Flags = Flags::NOSCRIPT
    .or(LOADING_STALE)
    .or(Flags::FAST)
    .or(Flags::NO_AUTH)
    .or(Flags::ALLOW_BUSY);

/// A row of this family.
const CONNECTION: Command = Command {
    group: Group::Connection,
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "PING",
        arity: Arity::AtLeast(1),
        flags: Flags::FAST.or(Flags::WHILE_SUBSCRIBED),
        args: "[message]",
        summary: "Says PONG, or the message.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Session(ping),
        ..CONNECTION
    },
    Command {
        name: "ECHO",
        arity: Arity::Exactly(2),
        flags: LOADING_STALE.or(Flags::FAST),
        args: "message",
        summary: "Says the message.",
        run: Run::Session(echo),
        ..CONNECTION
    },
    Command {
        name: "SELECT",
        arity: Arity::Exactly(2),
        flags: LOADING_STALE.or(Flags::FAST),
        args: "index",
        summary: "Changes the connection's database.",
        run: Run::Session(select),
        ..CONNECTION
    },
    Command {
        name: "AUTH",
        arity: Arity::AtLeast(2),
        flags: BEFORE_AUTH,
        args: "[username]@6.0.0 password",
        summary: "Authenticates the connection.",
        cost: "O(N) where N is the length of the password",
        history: &[("6.0.0", "Takes a user name.")],
        run: Run::Session(auth),
        ..CONNECTION
    },
    Command {
        name: "HELLO",
        since: "6.0.0",
        arity: Arity::AtLeast(1),
        flags: BEFORE_AUTH,
        args: "arguments=[protover:integer auth=[AUTH (username password)] [SETNAME clientname]]",
        summary: "Greets the server and chooses the protocol.",
        history: &[(
            "6.2.0",
            "The version may be left out; the reply then describes the connection.",
        )],
        run: Run::Session(hello),
        ..CONNECTION
    },
    Command {
        name: "RESET",
        since: "6.2.0",
        flags: BEFORE_AUTH.or(Flags::WHILE_SUBSCRIBED),
        summary: "Makes the connection as good as new.",
        run: Run::Session(reset),
        ..CONNECTION
    },
    Command {
        name: "QUIT",
        arity: Arity::AtLeast(1),
        flags: BEFORE_AUTH.or(Flags::WHILE_SUBSCRIBED),
        summary: "Closes the connection.",
        deprecated: Some(("7.2.0", "just closing the connection")),
        run: Run::Session(quit),
        ..CONNECTION
    },
];
