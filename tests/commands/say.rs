//! Runs session commands as the node does, for the tests of this room.

use rondo::commands::acl::Users;
use rondo::commands::{Action, NodeRequest, Run, Session, SessionCall, table};
use rondo::resp::args::OwnedArgs;
use rondo::resp::{Protocol, Reply};

/// A connection as new, authenticated unless a password is given.
pub fn session(password: &str) -> Session {
    let mut session = Session {
        id: 7,
        ..Session::default()
    };
    session.greet(&users(password));
    session
}

/// The users of a server with that password, empty for none.
fn users(password: &str) -> Users {
    let mut users = Users::default();
    users.set_default_password(password.as_bytes());
    users
}

/// What a request is answered with, or asks of the node.
#[allow(clippy::large_enum_variant)]
pub enum Said {
    /// The reply's bytes with `\r\n` as spaces.
    Reply(String),
    /// What the node is asked.
    Node(NodeRequest),
    /// The reply, and the connection closes.
    Closed(String),
}

/// Runs one request the way the node does.
pub fn say_with(session: &mut Session, password: &str, words: &[&str]) -> Said {
    let owned: OwnedArgs = words.iter().map(|word| word.as_bytes()).collect();
    let args = owned.as_args();
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, session.protocol);
    let mut call = SessionCall {
        session,
        databases: 16,
        zone: "",
        users: &users(password),
        denied: None,
        now_ms: 1_000,
        now_us: 1_000_001,
    };
    let result = table()
        .resolve(&args)
        .and_then(|entry| match entry.command.run {
            Run::Session(run) => run(&mut call, &entry.handler_args(&args), &mut reply),
            _ => panic!("{words:?} is no session command"),
        });
    let action = match result {
        Ok(action) => action,
        Err(error) => {
            reply.truncate(0);
            reply.error(&error.text());
            Action::Done
        }
    };
    let text = String::from_utf8_lossy(&out).replace("\r\n", " ");
    match action {
        Action::Done => Said::Reply(text),
        Action::Close => Said::Closed(text),
        Action::Node(request) => Said::Node(request),
    }
}

/// The reply to one request on a new connection without a password, in RESP2.
pub fn say(words: &[&str]) -> String {
    say_in(&mut session(""), words)
}

/// The reply to one request on a connection without a password.
pub fn say_in(session: &mut Session, words: &[&str]) -> String {
    match say_with(session, "", words) {
        Said::Reply(text) | Said::Closed(text) => text,
        Said::Node(request) => panic!("{words:?} asks the node: {request:?}"),
    }
}

/// What one request asks of the node.
pub fn asks(words: &[&str]) -> NodeRequest {
    match say_with(&mut session(""), "", words) {
        Said::Node(request) => request,
        Said::Reply(text) | Said::Closed(text) => panic!("{words:?} is answered: {text}"),
    }
}

/// A new connection that speaks RESP3.
pub fn session3() -> Session {
    Session {
        protocol: Protocol::Resp3,
        ..session("")
    }
}

/// Every line is a request and the reply a real server gave, after a `=> `.
pub fn check_replies(lines: &str) {
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (request, reply) = line.split_once(" => ").expect("a request and its reply");
        let words: Vec<&str> = request.split_whitespace().collect();
        assert_eq!(say(&words).trim_end(), reply.trim_end(), "{request}");
    }
}
