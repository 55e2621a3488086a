//! MIGRATE: keys go to another server whole, and are gone here when they are there.

use super::client::{Client, Value, error, ok};
use super::harness::Server;
use std::io::{Read, Write};
use std::net::TcpListener;

fn simple(text: &str) -> Value {
    Value::Simple(text.into())
}

/// A request as a line with quotes.
fn type_in(client: &mut Client, line: &str) -> Value {
    client.send(format!("{line}\r\n").as_bytes());
    client.reply()
}

fn exists(client: &mut Client, key: &str) -> bool {
    client.ask(&format!("EXISTS {key}")).integer() == 1
}

/// One key, with its deadline, to one server of several cores and back; then several keys of all shards.
#[test]
fn keys_go_to_another_server() {
    for threads in [1, 3] {
        let (here, there) = (Server::start(threads, &[]), Server::start(threads, &[]));
        let (mut a, mut b) = (here.client(), there.client());
        assert_eq!(a.ask("SET plain hello"), ok());
        assert_eq!(a.ask("SET dying 5 PX 100000"), ok());
        let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {} {rest}", there.port);
        assert_eq!(a.ask(&migrate("plain 0 5000")), ok());
        assert!(!exists(&mut a, "plain"));
        assert_eq!(b.ask("GET plain").text(), "hello");
        assert_eq!(a.ask(&migrate("dying 3 5000 COPY")), ok());
        assert!(exists(&mut a, "dying"));
        assert_eq!(b.ask("SELECT 3"), ok());
        let left_ms = b.ask("PTTL dying").integer();
        assert!((90_000..=100_000).contains(&left_ms), "{left_ms}");
        assert_eq!(b.ask("SELECT 0"), ok());
        assert_eq!(a.ask(&migrate("missing 0 5000")), simple("NOKEY"));

        let keys: Vec<String> = (0..50).map(|index| format!("key:{index}")).collect();
        for key in &keys {
            assert_eq!(a.ask(&format!("SET {key} value-of-{key}")), ok());
        }
        let list = keys.join(" ");
        assert_eq!(
            type_in(&mut a, &migrate(&format!("'' 0 5000 KEYS missing {list}"))),
            ok()
        );
        assert_eq!(a.ask(&format!("EXISTS {list}")).integer(), 0);
        assert_eq!(b.ask(&format!("EXISTS {list}")).integer(), 50);
        assert_eq!(b.ask("GET key:17").text(), "value-of-key:17");
    }
}

/// What is in the way stays on both sides, unless REPLACE says otherwise; the other keys of the request go.
#[test]
fn what_the_other_server_refuses_stays() {
    let (here, there) = (Server::start(2, &[]), Server::start(2, &[]));
    let (mut a, mut b) = (here.client(), there.client());
    for key in ["one", "two", "three"] {
        assert_eq!(a.ask(&format!("SET {key} new")), ok());
    }
    assert_eq!(b.ask("SET two old"), ok());
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {} {rest}", there.port);
    assert_eq!(
        type_in(&mut a, &migrate("'' 0 5000 KEYS one two three")),
        error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
    );
    assert_eq!(a.ask("EXISTS one two three").integer(), 1);
    assert_eq!(b.ask("GET two").text(), "old");
    assert_eq!(a.ask(&migrate("two 0 5000 REPLACE")), ok());
    assert_eq!(b.ask("GET two").text(), "new");
    assert_eq!(a.ask("SET two newer"), ok());
    assert_eq!(
        a.ask(&migrate("two 99 5000")),
        error("ERR Target instance replied with error: ERR DB index is out of range")
    );
    assert!(exists(&mut a, "two"));
}

/// No payload holds an array, so none goes, and nothing that was to go with it.
#[test]
fn arrays_stay() {
    let (here, there) = (Server::start(2, &[]), Server::start(1, &[]));
    let (mut a, mut b) = (here.client(), there.client());
    assert_eq!(a.ask("ARSET array 0 x").integer(), 1);
    assert_eq!(a.ask("SET plain x"), ok());
    let migrate = format!(
        "MIGRATE 127.0.0.1 {} '' 0 5000 KEYS plain array",
        there.port
    );
    assert_eq!(
        type_in(&mut a, &migrate),
        error("ERR arrays cannot be dumped: RDB versions 11 and 12 have no type for them")
    );
    assert_eq!(a.ask("EXISTS plain array").integer(), 2);
    assert_eq!(b.ask("DBSIZE").integer(), 0);
}

#[test]
fn passwords_are_given() {
    let (here, there) = (
        Server::start(1, &[]),
        Server::start(1, &["--requirepass", "sesame"]),
    );
    let mut a = here.client();
    assert_eq!(a.ask("SET key value"), ok());
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {} key 0 5000 {rest}", there.port);
    assert_eq!(
        a.ask(&migrate("")),
        error("ERR Target instance replied with error: NOAUTH Authentication required.")
    );
    let wrong = a.ask(&migrate("AUTH wrong")).text();
    assert!(
        wrong.starts_with("ERR Target instance replied with error: WRONGPASS"),
        "{wrong}"
    );
    assert!(exists(&mut a, "key"));
    assert_eq!(a.ask(&migrate("AUTH2 default sesame COPY")), ok());
    assert_eq!(a.ask(&migrate("REPLACE AUTH sesame")), ok());
    assert!(!exists(&mut a, "key"));
}

#[test]
fn words_are_checked() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    for (line, text) in [
        (
            "MIGRATE h 1 k 0",
            "ERR wrong number of arguments for 'migrate' command",
        ),
        (
            "MIGRATE h 1 k 0 x",
            "ERR value is not an integer or out of range",
        ),
        (
            "MIGRATE h 1 k x 10",
            "ERR value is not an integer or out of range",
        ),
        ("MIGRATE h 1 k 0 10 FOO", "ERR syntax error"),
        ("MIGRATE h 1 k 0 10 AUTH", "ERR syntax error"),
        ("MIGRATE h 1 k 0 10 AUTH2 a", "ERR syntax error"),
        (
            "MIGRATE h 1 k 0 10 KEYS a b",
            "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
        ),
    ] {
        assert_eq!(client.ask(line), error(text), "{line}");
    }
    assert_eq!(
        client.ask("MIGRATE nowhere.invalid 1 k 0 10"),
        simple("NOKEY")
    );
    let words = ["MIGRATE", "nowhere.invalid", "1", "", "0", "10", "KEYS"];
    assert_eq!(client.run(&words.map(str::as_bytes)), simple("NOKEY"));
}

/// A server that takes no connection, one that says nothing, and one that goes in the middle: the key stays, is locked
/// meanwhile, and everything else is served.
#[test]
fn a_server_that_fails_costs_nothing_but_time() {
    let server = Server::start(2, &[]);
    let (mut a, mut b) = (server.client(), server.client());
    assert_eq!(a.ask("SET key value"), ok());
    assert_eq!(a.ask("SET other value"), ok());
    let closed = TcpListener::bind("127.0.0.1:0")
        .and_then(|it| it.local_addr())
        .expect("a port");
    assert_eq!(
        a.ask(&format!("MIGRATE 127.0.0.1 {} key 0 300", closed.port())),
        error("IOERR error or timeout writing to target instance")
    );
    assert_eq!(
        a.ask("MIGRATE nowhere.invalid 1 key 0 300"),
        error("IOERR error or timeout connecting to the client")
    );
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    a.send(format!("MIGRATE 127.0.0.1 {port} key 0 700\r\n").as_bytes());
    let (mut peer, _) = silent.accept().expect("the errand comes");
    let mut request = [0; 20];
    peer.read_exact(&mut request).expect("it asks");
    assert_eq!(b.ask("GET other").text(), "value");
    b.send(b"GET key\r\n");
    assert_eq!(
        a.reply(),
        error("IOERR error or timeout reading to target instance")
    );
    assert_eq!(b.reply().text(), "value");

    a.send(format!("MIGRATE 127.0.0.1 {port} '' 0 5000 KEYS key other\r\n").as_bytes());
    let (mut peer, _) = silent.accept().expect("the errand comes");
    peer.write_all(b"+OK\r\n+OK\r\n").expect("it listens");
    drop(peer);
    assert_eq!(
        a.reply(),
        error("IOERR error or timeout reading to target instance")
    );
    assert_eq!(
        a.ask("EXISTS key").integer() + a.ask("EXISTS other").integer(),
        1
    );
}
