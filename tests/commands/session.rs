//! Session commands: replies recorded from Redis 8.0.6.

use super::say::{Said, asks, check_replies, say, say_in, say_with, session, session3};
use rondo::commands::identity::REDIS_VERSION;
use rondo::commands::session::{ReplyMode, needs_auth, needs_permission};
use rondo::commands::{NodeRequest, table};
use rondo::resp::Protocol;
use std::time::Duration;

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled. ";

#[test]
fn argument_errors_are_as_recorded() {
    check_replies(
        "ping => +PONG
        ping x => $1 x
        echo y => $1 y
        hello 4 => -NOPROTO unsupported protocol version
        hello x => -ERR Protocol version is not an integer or out of range
        hello 3 foo => -ERR Syntax error in HELLO option 'foo'
        hello 3 auth a => -ERR Syntax error in HELLO option 'auth'
        hello 3 setname => -ERR Syntax error in HELLO option 'setname'
        auth x => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        auth a b => -WRONGPASS invalid username-password pair or user is disabled.
        auth default b => +OK
        auth a b c => -ERR syntax error
        select 15 => +OK
        select x => -ERR value is not an integer or out of range
        select 16 => -ERR DB index is out of range
        select -1 => -ERR DB index is out of range
        select 4294967296 => -ERR value is out of range, value must between -2147483648 and 2147483647
        quit => +OK
        shutdown foo => -ERR syntax error
        shutdown save nosave => -ERR syntax error
        shutdown abort now => -ERR syntax error
        shutdown abort safe => -ERR syntax error
        shutdown failover foo => -ERR syntax error
        shutdown failover => -ERR SHUTDOWN FAILOVER is only supported in cluster mode.
        config set a b c => -ERR syntax error
        lolwut version x => -ERR value is not an integer or out of range
        time => *2 $1 1 $1 1",
    );
}

#[test]
fn hello_describes_the_connection_in_the_new_protocol() {
    let text = |proto: &str| {
        format!(
            "$6 server $5 redis $7 version ${} {REDIS_VERSION} $5 proto :{proto} $2 id :7 $4 mode $10 standalone $4 role \
             $6 master $7 modules *0 ",
            REDIS_VERSION.len()
        )
    };
    assert_eq!(say(&["HELLO"]), format!("*14 {}", text("2")));
    let mut session = session("");
    assert_eq!(
        say_in(&mut session, &["HELLO", "3"]),
        format!("%7 {}", text("3"))
    );
    assert_eq!(session.protocol, Protocol::Resp3);
    assert_eq!(
        say_in(&mut session, &["HELLO", "2", "SETNAME", "me"]),
        format!("*14 {}", text("2"))
    );
    assert_eq!(session.name, b"me");
    // A refused HELLO changes nothing.
    say_in(&mut session, &["HELLO", "3", "SETNAME", "a b"]);
    assert_eq!(
        (session.protocol, session.name.as_slice()),
        (Protocol::Resp2, b"me".as_slice())
    );
}

#[test]
fn a_password_is_asked_for_and_checked() {
    let mut session = session("secret");
    let mut say = |words: &[&str]| match say_with(&mut session, "secret", words) {
        Said::Reply(text) => text,
        _ => panic!("{words:?} is answered"),
    };
    assert!(
        say(&["HELLO", "3"])
            .starts_with("-NOAUTH HELLO must be called with the client already authenticated")
    );
    for guess in ["", "secre", "secret ", "secretsecret", "SECRET"] {
        assert_eq!(say(&["AUTH", guess]), WRONG, "{guess}");
        assert_eq!(
            say(&["HELLO", "3", "AUTH", "default", guess]),
            WRONG,
            "{guess}"
        );
    }
    assert_eq!(say(&["AUTH", "other", "secret"]), WRONG);
    assert_eq!(say(&["AUTH", "secret"]), "+OK ");
    assert!(say(&["HELLO", "3", "AUTH", "default", "secret"]).starts_with("%7 "));
}

#[test]
fn before_auth_only_some_commands_run() {
    let locked = session("secret");
    let check = |name: &str| needs_auth(table().find(name.as_bytes()).unwrap(), &locked);
    assert_eq!(
        check("get").unwrap().text(),
        "NOAUTH Authentication required."
    );
    for name in ["auth", "hello", "reset", "quit"] {
        assert_eq!(check(name), None, "{name}");
    }
    assert_eq!(
        needs_auth(table().find(b"get").unwrap(), &session("")),
        None
    );
}

#[test]
fn debug_needs_permission() {
    let entry = table().find_full(b"debug|sleep").unwrap();
    assert_eq!(needs_permission(entry, true), None);
    assert_eq!(
        needs_permission(entry, false).unwrap().text(),
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server."
    );
    for sub in table().find(b"debug").unwrap().sub {
        assert!(needs_permission(sub, false).is_some(), "{}", sub.full_name);
    }
    assert_eq!(needs_permission(table().find(b"get").unwrap(), false), None);
}

#[test]
fn reset_leaves_the_connection_as_new() {
    let mut used = session3();
    used.db = 3;
    used.name = b"me".to_vec();
    used.no_touch = true;
    used.no_evict = true;
    used.reply_mode = ReplyMode::OFF;
    let said = say_with(&mut used, "secret", &["RESET"]);
    assert!(matches!(said, Said::Node(NodeRequest::Reset)));
    let fresh = session("secret");
    assert_eq!(format!("{used:?}"), format!("{fresh:?}"));
}

#[test]
fn quit_closes_after_its_reply() {
    assert!(
        matches!(say_with(&mut session(""), "", &["QUIT", "now"]), Said::Closed(text) if text == "+OK ")
    );
}

#[test]
fn the_node_is_asked_in_types() {
    let bytes = |words: &[&str]| {
        words
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(asks(&["INFO"]), NodeRequest::Info(vec![]));
    assert_eq!(
        asks(&["INFO", "Server", "x"]),
        NodeRequest::Info(bytes(&["Server", "x"]))
    );
    assert_eq!(
        asks(&["CONFIG", "GET", "a*", "b"]),
        NodeRequest::ConfigGet(bytes(&["a*", "b"]))
    );
    assert_eq!(
        asks(&["CONFIG", "SET", "a", "1", "b", ""]),
        NodeRequest::ConfigSet(vec![
            (b"a".to_vec(), b"1".to_vec()),
            (b"b".to_vec(), Vec::new())
        ])
    );
    assert_eq!(asks(&["CONFIG", "RESETSTAT"]), NodeRequest::ConfigResetStat);
    assert_eq!(
        asks(&["SHUTDOWN", "nosave", "NOW"]),
        NodeRequest::Shutdown {
            save: Some(false),
            now: true,
            force: false,
            abort: false
        }
    );
    assert_eq!(
        asks(&["SHUTDOWN"]),
        NodeRequest::Shutdown {
            save: None,
            now: false,
            force: false,
            abort: false
        }
    );
    assert_eq!(
        asks(&["DEBUG", "SLEEP", "0.25"]),
        NodeRequest::DebugSleep(Duration::from_millis(250))
    );
    for nonsense in ["x", "-1", "nan", "inf", "1e300"] {
        assert_eq!(
            asks(&["DEBUG", "SLEEP", nonsense]),
            NodeRequest::DebugSleep(Duration::ZERO)
        );
    }
}

#[test]
fn lolwut_ends_with_the_version() {
    let text = say(&["LOLWUT", "VERSION", "5"]);
    let end = format!(
        "Redis ver. {REDIS_VERSION} (rondo {})\n ",
        env!("CARGO_PKG_VERSION")
    );
    assert!(text.ends_with(&end), "{text}");
}

// Recorded from a Redis 8.0.6 without replicas, but for another server's name, which it would follow.
#[test]
fn a_server_without_replicas_says_so() {
    assert_eq!(say(&["ROLE"]), "*3 $6 master :0 *0 ");
    for name in ["REPLICAOF", "slaveof"] {
        assert_eq!(say(&[name, "no", "ONE"]), "+OK ");
        for port in ["x", "70000", "-1"] {
            assert_eq!(say(&[name, "host", port]), "-ERR Invalid master port ");
        }
        assert_eq!(
            say(&[name, "host", "6379"]),
            "-ERR replication is not built yet "
        );
    }
    check_replies(
        "failover => -ERR FAILOVER requires connected replicas.
        failover abort => -ERR No failover in progress.
        failover abort abort => -ERR syntax error
        failover to => -ERR syntax error
        failover to host => -ERR syntax error
        failover to host x => -ERR value is not an integer or out of range
        failover to host 5 => -ERR FAILOVER requires connected replicas.
        failover to host 5 to host 6 => -ERR syntax error
        failover to host 5 force timeout 3 => -ERR FAILOVER requires connected replicas.
        failover force => -ERR FAILOVER requires connected replicas.
        failover timeout x => -ERR value is not an integer or out of range
        failover timeout 0 => -ERR FAILOVER timeout must be greater than 0
        failover timeout 3 timeout 3 => -ERR syntax error
        failover timeout 3 abort => -ERR syntax error
        failover timeout => -ERR syntax error",
    );
    // What a copy is to be that `redis-cli --rdb` asks for.
    check_replies(
        "replconf => +OK
        replconf rdb-only 2 => -ERR value is out of range, value must between 0 and 1
        replconf rdb-only x => -ERR value is not an integer or out of range
        replconf rdb-only 1 foo => -ERR syntax error
        replconf foo 1 => -ERR Unrecognized REPLCONF option: foo
        replconf rdb-filter-only functions => +OK
        replconf rdb-filter-only keys => -ERR Unsupported rdb-filter-only option: keys
        replconf rdb-filter-only \"a => -ERR Missing rdb-filter-only values
        replconf capa eof capa psync2 => +OK
        psync ? x => -ERR value is not an integer or out of range",
    );
    // A real server without replicas takes these up: they are refused here.
    check_replies(
        "replconf listening-port 1 => -ERR replication is not built yet
        psync ? -1 => -ERR replication is not built yet
        sync => -ERR replication is not built yet",
    );
}
