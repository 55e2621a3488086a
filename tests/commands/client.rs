//! CLIENT: argument errors recorded from Redis 8.0.6, and filters.

use super::say::{asks, check_replies, say_in, session};
use rondo::commands::session::ReplyMode;
use rondo::commands::{ClientFilter, ClientKind, NodeRequest};

#[test]
fn argument_errors_are_as_recorded() {
    check_replies(
        "client id => :7
        client getname => $-1
        client setname => -ERR wrong number of arguments for 'client|setname' command
        client kill a b => -ERR syntax error
        client kill id 0 => -ERR client-id should be greater than 0
        client kill id x => -ERR client-id should be greater than 0
        client kill type x => -ERR Unknown client type 'x'
        client kill skipme x => -ERR syntax error
        client kill maxage x => -ERR maxage is not an integer or out of range
        client kill maxage 0 => -ERR maxage should be greater than 0
        client kill user nobody => -ERR No such user 'nobody'
        client kill foo bar => -ERR syntax error
        client kill id 1 type => -ERR syntax error
        client list type x => -ERR Unknown client type 'x'
        client list id x => -ERR Invalid client ID
        client list id => -ERR syntax error
        client list foo => -ERR syntax error
        client list foo bar => -ERR syntax error
        client list db 16 => -ERR DB number should be between 0 and 15
        client list not-db x => -ERR NOT-DB is not an integer or out of range
        client list idle 0 => -ERR idle should be greater than 0
        client list flags Nq => -ERR Unknown flags found in the provided filter: Nq
        client list not-capa z => -ERR Unknown capa found in the NOT-CAPA filter: z
        client capa => -ERR wrong number of arguments for 'client|capa' command
        client capa redirect => +OK
        client capa Unknown REDIRECT => +OK
        client import-source => -ERR wrong number of arguments for 'client|import-source' command
        client import-source on => -ERR Server is not in import mode
        client import-source x => -ERR Server is not in import mode
        client import-source off => +OK
        client reply x => -ERR syntax error
        client no-evict x => -ERR syntax error
        client no-touch x => -ERR syntax error
        client pause x => -ERR timeout is not an integer or out of range
        client pause -1 => -ERR timeout is negative
        client pause 9223372036854775807 => -ERR timeout is out of range
        client pause 1 x => -ERR CLIENT PAUSE mode must be WRITE or ALL
        client pAuse 1 write x => -ERR unknown subcommand or wrong number of arguments for 'pAuse'. Try CLIENT HELP.
        client setinfo lib-name => -ERR wrong number of arguments for 'client|setinfo' command
        client setinfo foo bar => -ERR Unrecognized option 'foo'
        client setinfo LIB-NAME redis-py => +OK",
    );
}

#[test]
fn names_that_would_break_a_row_are_refused() {
    let mut session = session("");
    let refusal = "-ERR Client names cannot contain spaces, newlines or special characters. ";
    for name in ["a b", "a\nb", "caf\u{e9}", "\u{7f}"] {
        assert_eq!(say_in(&mut session, &["CLIENT", "SETNAME", name]), refusal);
    }
    assert_eq!(say_in(&mut session, &["CLIENT", "SETNAME", "me"]), "+OK ");
    assert_eq!(say_in(&mut session, &["CLIENT", "GETNAME"]), "$2 me ");
    assert_eq!(say_in(&mut session, &["CLIENT", "SETNAME", ""]), "+OK ");
    assert_eq!(say_in(&mut session, &["CLIENT", "GETNAME"]), "$-1 ");
    assert_eq!(
        say_in(&mut session, &["CLIENT", "SETINFO", "Lib-Ver", "1 2"]),
        "-ERR Lib-Ver cannot contain spaces, newlines or special characters. "
    );
}

#[test]
fn reply_modes_are_silent_themselves() {
    let mut session = session("");
    assert_eq!(say_in(&mut session, &["CLIENT", "REPLY", "SKIP"]), "");
    assert_eq!(session.reply_mode, ReplyMode::SKIP_NEXT);
    assert!(session.reply_mode.begin());
    assert_eq!(say_in(&mut session, &["CLIENT", "REPLY", "OFF"]), "");
    assert!(session.reply_mode.begin());
    // SKIP does not end OFF.
    assert_eq!(say_in(&mut session, &["CLIENT", "REPLY", "SKIP"]), "");
    assert_eq!(session.reply_mode, ReplyMode::OFF);
    assert_eq!(say_in(&mut session, &["CLIENT", "REPLY", "ON"]), "+OK ");
    assert_eq!(session.reply_mode, ReplyMode::ON);
}

#[test]
fn filters_are_parsed() {
    let NodeRequest::ClientList(filter) = asks(&[
        "CLIENT", "LIST", "ID", "3", "5", "NOT-TYPE", "slave", "NAME", "me", "DB", "2", "IP",
        "::1", "ID", "9",
    ]) else {
        panic!("a list");
    };
    assert_eq!(
        filter,
        ClientFilter {
            ids: Some(vec![3, 5, 9]),
            not_kind: Some(ClientKind::Replica),
            name: Some(b"me".to_vec()),
            db: Some(2),
            ip: Some(b"::1".to_vec()),
            ..ClientFilter::default()
        }
    );
    let NodeRequest::ClientKill(filter) =
        asks(&["CLIENT", "KILL", "USER", "default", "MAXAGE", "10"])
    else {
        panic!("a kill");
    };
    assert_eq!(
        filter,
        ClientFilter {
            user: Some(b"default".to_vec()),
            age_s_min: Some(10),
            skip_me: true,
            ..ClientFilter::default()
        }
    );
    let NodeRequest::ClientKill(filter) = asks(&["CLIENT", "KILL", "ID", "1", "SKIPME", "no"])
    else {
        panic!("a kill");
    };
    assert!(!filter.skip_me);
    // The word as a value says nothing.
    let NodeRequest::ClientKill(filter) = asks(&["CLIENT", "KILL", "LIB-NAME", "skipme"]) else {
        panic!("a kill");
    };
    assert!(filter.skip_me);
    assert_eq!(
        asks(&["CLIENT", "KILL", "127.0.0.1:99"]),
        NodeRequest::ClientKillAddr(b"127.0.0.1:99".to_vec())
    );
    assert_eq!(
        asks(&["CLIENT", "PAUSE", "500", "write"]),
        NodeRequest::ClientPause {
            until_ms: 1_500,
            writes_only: true
        }
    );
}
