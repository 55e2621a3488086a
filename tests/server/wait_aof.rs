//! WAIT and WAITAOF: what they wait for, and what they say to those who cannot wait.

use super::client::{Value, bulk, error, ok};
use super::harness::{Server, eventually};
use std::time::{Duration, Instant};

const EVERY_SECOND: &[&str] = &["--appendonly", "yes"];

fn counts(local: i64, replicas: i64) -> Value {
    Value::Array(vec![Value::Integer(local), Value::Integer(replicas)])
}

#[test]
fn waitaof_waits_for_the_disks_of_all_cores() {
    let mut server = Server::start(3, EVERY_SECOND);
    let mut client = server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4 e 5"), ok());
    assert_eq!(client.ask("WAITAOF 1 0 0"), counts(1, 0));
    server.signal("KILL");
    assert!(server.restart(3, EVERY_SECOND), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(5));
}

/// `no` leaves it to the kernel: nothing here says that it has, so the time runs out.
#[test]
fn what_never_becomes_durable_times_out() {
    let server = Server::start(2, &["--appendonly", "yes", "--appendfsync", "no"]);
    let mut client = server.client();
    client.ask("SET a 1");
    let start = Instant::now();
    assert_eq!(client.ask("WAITAOF 1 0 60"), counts(0, 0));
    assert!(start.elapsed() >= Duration::from_millis(60));
    client.send(b"WAITAOF 1 0 0\r\n");
    let mut other = server.client();
    eventually("it is blocked", || {
        server.info_number("clients", "blocked_clients") == 1
    });
    assert_eq!(other.ask("CONFIG SET appendfsync always"), ok());
    assert_eq!(other.ask("SET b 1"), ok());
    assert_eq!(client.reply(), counts(1, 0));
}

#[test]
fn no_replica_ever_acknowledges() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    assert_eq!(client.ask("WAIT 0 0"), Value::Integer(0));
    let start = Instant::now();
    assert_eq!(client.ask("WAIT 1 50"), Value::Integer(0));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(client.ask("WAITAOF 0 1 30"), counts(0, 0));
    let id = client.ask("CLIENT ID").integer();
    client.send(b"WAIT 1 0\r\n");
    let mut other = server.client();
    eventually("it is blocked", || {
        other.ask(&format!("CLIENT UNBLOCK {id}")) == Value::Integer(1)
    });
    assert_eq!(client.reply(), Value::Integer(0));
    client.send(b"WAIT 1 0\r\n");
    eventually("it is blocked", || {
        other.ask(&format!("CLIENT UNBLOCK {id} ERROR")) == Value::Integer(1)
    });
    assert_eq!(
        client.reply(),
        error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
    );
}

/// In a block and in a script nobody waits.
#[test]
fn who_cannot_wait_is_told_at_once() {
    let server = Server::start(2, &["--appendonly", "yes", "--appendfsync", "no"]);
    let mut client = server.client();
    for line in ["MULTI", "SET a 1", "WAITAOF 1 0 0", "WAIT 1 0"] {
        client.ask(line);
    }
    // As in Redis, what the block itself writes does not count yet.
    let replies = client.ask("EXEC");
    assert_eq!(replies.items()[1..], [counts(1, 0), Value::Integer(0)]);
    let script = "return {redis.call('wait', 1, 0), redis.call('waitaof', 1, 0, 0)}";
    assert_eq!(
        client.run(&[b"EVAL", script.as_bytes(), b"0"]),
        Value::Array(vec![Value::Integer(0), counts(0, 0)])
    );
}

#[test]
fn bad_words_get_the_errors_of_redis() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let no_integer = "ERR value is not an integer or out of range";
    let no_positive = "ERR value is out of range, must be positive";
    let no_timeout = "ERR timeout is not an integer or out of range";
    for (line, text) in [
        ("WAIT x 1", no_integer),
        ("WAIT 1 x", no_timeout),
        ("WAIT 1 -1", "ERR timeout is negative"),
        ("WAITAOF x 0 0", no_integer),
        (
            "WAITAOF 2 0 0",
            "ERR value is out of range, value must between 0 and 1",
        ),
        (
            "WAITAOF -1 0 0",
            "ERR value is out of range, value must between 0 and 1",
        ),
        ("WAITAOF 0 x 0", no_positive),
        ("WAITAOF 0 -1 0", no_positive),
        ("WAITAOF 0 0 -1", "ERR timeout is negative"),
        ("WAITAOF 0 0 x", no_timeout),
        (
            "WAITAOF 1 0 0",
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ),
    ] {
        assert_eq!(client.ask(line), error(text), "{line}");
    }
    assert_eq!(client.ask("WAIT -1 1"), Value::Integer(0));
    assert_eq!(client.ask("ECHO x"), bulk("x"));
}

/// Logs that begin under way are found by a start once their first base is in force: until then nobody is told that anything
/// is durable, however well the logs themselves are written.
#[test]
fn waitaof_waits_for_the_first_base_of_the_logs() {
    for threads in [1, 3] {
        let mut server = Server::start(threads, &[]);
        let faults = server.dir.join("faults");
        std::fs::create_dir(&faults).expect("a new folder");
        let fault = faults.join("base");
        std::fs::write(&fault, "").expect("a file in its folder");
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        assert_eq!(client.ask("WAITAOF 1 0 20"), counts(0, 0));
        eventually("a base was tried", || {
            server.info("persistence", "aof_last_bgrewrite_status") == "err"
        });
        assert_eq!(client.ask("WAITAOF 1 0 20"), counts(0, 0));
        assert_eq!(client.ask("MSET a 4 b 5 c 6"), ok());
        client.send(b"MULTI\r\nWAITAOF 1 0 0\r\nEXEC\r\n");
        assert_eq!(client.replies(3)[2], Value::Array(vec![counts(0, 0)]));
        let script = "return redis.call('waitaof', 1, 0, 0)";
        assert_eq!(
            client.run(&[b"EVAL", script.as_bytes(), b"0"]),
            counts(0, 0)
        );
        // Who asks for no disk waits for none.
        assert_eq!(client.ask("WAITAOF 0 0 0"), counts(0, 0));
        let mut waiting = server.client();
        waiting.send(b"WAITAOF 1 0 0\r\n");
        eventually("it is blocked", || {
            server.info_number("clients", "blocked_clients") == 1
        });
        std::fs::remove_file(&fault).expect("it was there");
        assert_eq!(waiting.reply(), counts(1, 0));
        server.signal("KILL");
        assert!(server.restart(threads, EVERY_SECOND), "{}", server.log());
        let all = Value::Array(["4", "5", "6"].map(bulk).to_vec());
        assert_eq!(server.client().ask("MGET a b c"), all);
    }
}

/// A base is on disk whole, whatever the kernel keeps of the logs: what was there before its cut is durable when it is in force.
#[test]
fn a_rewriting_makes_durable_what_was_there_before_it() {
    for threads in [1, 3] {
        let options = ["--appendonly", "yes", "--appendfsync", "no"];
        let server = Server::start(threads, &options);
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
        assert_eq!(client.ask("WAITAOF 1 0 20"), counts(0, 0));
        client.send(b"WAITAOF 1 0 0\r\n");
        eventually("it is blocked", || {
            server.info_number("clients", "blocked_clients") == 1
        });
        server.client().ask("BGREWRITEAOF");
        assert_eq!(client.reply(), counts(1, 0));
        eventually("a base", || server.rewrites_ended() == 1);
        assert_eq!(client.ask("SET d 4"), ok());
        assert_eq!(client.ask("WAITAOF 1 0 20"), counts(0, 0));
    }
}

/// Every segment takes a sync of its own: those that have been left do not wait a second each.
#[test]
fn many_segments_become_durable_in_one_second() {
    for policy in ["everysec", "no"] {
        let options = ["--appendonly", "yes", "--appendfsync", policy];
        let server = Server::start(1, &options);
        let mut client = server.client();
        // Each begins another segment.
        for number in 1..=30 {
            assert_eq!(client.ask(&format!("SET key {number}")), ok());
            client.ask("BGREWRITEAOF");
            eventually("a base", || server.rewrites_ended() == number);
        }
        assert_eq!(client.ask("SET key last"), ok());
        assert_eq!(client.ask("CONFIG SET appendfsync everysec"), ok());
        assert_eq!(client.ask("WAITAOF 1 0 15000"), counts(1, 0), "{policy}");
    }
}
