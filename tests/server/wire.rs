//! The connection's own commands on a real socket: HELLO, RESET, CLIENT REPLY, QUIT.

use super::client::{Next, Value, bulk, error, ok, request};
use super::harness::Server;

/// The fields clients decide by, in both protocols.
#[test]
fn hello_switches_the_protocol() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let Value::Map(fields) = client.ask("HELLO 3") else {
        panic!("HELLO 3 gives a map");
    };
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| *key == bulk(name));
        found.unwrap_or_else(|| panic!("no {name}")).1.clone()
    };
    assert_eq!(field("server"), bulk("redis"));
    assert_eq!(field("proto"), Value::Integer(3));
    assert_eq!(field("mode"), bulk("standalone"));
    assert_eq!(field("role"), bulk("master"));
    client.send(b"GET missing\r\n");
    assert_eq!(client.raw(3), b"_\r\n");
    // From another core as well: whatever its shard, a missing key is RESP3's null.
    for index in 0..20 {
        client.send(&request(&[b"GET", format!("missing:{index}").as_bytes()]));
        assert_eq!(client.raw(3), b"_\r\n");
    }
    client.send(b"MGET a b c\r\n");
    assert_eq!(client.raw(13), b"*3\r\n_\r\n_\r\n_\r\n");
    assert!(matches!(client.ask("CONFIG GET port"), Value::Map(_)));

    assert!(matches!(client.ask("HELLO 2"), Value::Array(_)));
    client.send(b"GET missing\r\n");
    assert_eq!(client.raw(5), b"$-1\r\n");
    assert_eq!(
        client.ask("HELLO 4"),
        error("NOPROTO unsupported protocol version")
    );
    assert!(matches!(client.ask("HELLO"), Value::Array(_)));
}

#[test]
fn reset_forgets_the_session() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    assert!(matches!(client.ask("HELLO 3 SETNAME me"), Value::Map(_)));
    assert_eq!(client.ask("SELECT 5"), ok());
    assert_eq!(client.ask("SET a 1"), ok());
    client.send(b"RESET\r\n");
    assert_eq!(client.raw(8), b"+RESET\r\n");
    client.send(b"GET a\r\n");
    assert_eq!(client.raw(5), b"$-1\r\n");
    assert_eq!(client.ask("CLIENT GETNAME"), Value::Null);
}

/// Silence covers requests of every kind: one shard's, another core's, several shards', the node's.
#[test]
fn client_reply_is_silent_for_what_it_says() {
    for threads in [1, 2, 5] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut bytes = b"CLIENT REPLY OFF\r\n".to_vec();
        for index in 0..30 {
            bytes.extend_from_slice(format!("SET quiet:{index} {index}\r\n").as_bytes());
        }
        bytes.extend_from_slice(
            b"MSET a 1 b 2 c 3\r\nMGET a b c\r\nNOSUCH\r\nINFO\r\nDBSIZE\r\nCLIENT REPLY ON\r\n",
        );
        bytes.extend_from_slice(b"DBSIZE\r\nCLIENT REPLY SKIP\r\nMGET a b\r\nGET a\r\nCLIENT REPLY SKIP\r\nGET b\r\nGET c\r\n");
        client.send(&bytes);
        assert_eq!(client.reply(), ok());
        assert_eq!(client.reply(), Value::Integer(33));
        assert_eq!(client.reply(), bulk("1"));
        assert_eq!(client.reply(), bulk("3"));
        assert_eq!(client.ask("PING"), Value::Simple("PONG".into()));
    }
}

/// QUIT answers, ends the connection, and runs nothing that stands behind it.
#[test]
fn quit_ends_the_connection_after_its_reply() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let mut bytes = Vec::new();
    for index in 0..100 {
        bytes.extend_from_slice(format!("INCR quit:{index}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"QUIT\r\nSET after 1\r\n");
    client.send(&bytes);
    assert_eq!(client.replies(100), vec![Value::Integer(1); 100]);
    assert_eq!(client.reply(), ok());
    assert_eq!(client.next(), Next::Closed);
    assert_eq!(server.client().ask("EXISTS after"), Value::Integer(0));
}

/// CONFIG SET of a live option is in force on every core at once.
#[test]
fn config_set_reaches_every_core() {
    let server = Server::start(5, &[]);
    let mut client = server.client();
    assert_eq!(client.ask("CONFIG SET proto-max-bulk-len 2mb"), ok());
    for _ in 0..10 {
        let mut other = server.client();
        other.send(b"*2\r\n$3\r\nGET\r\n$2097153\r\n");
        assert_eq!(
            other.reply(),
            error("ERR Protocol error: invalid bulk length")
        );
        assert_eq!(other.next(), Next::Closed);
    }
    assert_eq!(
        client.ask("CONFIG GET proto-max-bulk-len"),
        Value::Array(vec![bulk("proto-max-bulk-len"), bulk("2097152")])
    );
    assert!(matches!(
        client.ask("CONFIG SET threads 2"),
        Value::Error(_)
    ));
}

/// CLIENT REPLY SKIP that is itself to be skipped keeps back the next reply all the same, and no more than that.
#[test]
fn a_skipped_skip_skips_the_next() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for skips in [1, 2, 3] {
            let mut bytes = b"CLIENT REPLY SKIP\r\n".repeat(skips);
            bytes.extend_from_slice(b"ECHO 1\r\nGET a\r\nECHO 2\r\n");
            client.send(&bytes);
            assert_eq!(client.replies(2), [Value::Null, bulk("2")], "{skips} skips");
        }
        client.send(
            b"CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nECHO 1\r\nECHO 2\r\nCLIENT REPLY ON\r\n",
        );
        assert_eq!(client.reply(), ok());
    }
}

/// RESET ends CLIENT REPLY OFF and answers; the reply that SKIP skips stays skipped, be it that of RESET.
#[test]
fn a_reset_that_is_to_be_skipped_says_nothing() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let reset = Value::Simple("RESET".into());
        client.send(b"CLIENT REPLY SKIP\r\nRESET\r\nECHO 1\r\n");
        assert_eq!(client.reply(), bulk("1"), "at {threads}");
        client.send(b"CLIENT REPLY OFF\r\nECHO 1\r\nRESET\r\nECHO 2\r\n");
        assert_eq!(client.replies(2), [reset.clone(), bulk("2")]);
        client.send(b"CLIENT REPLY SKIP\r\nRESET\r\nRESET\r\nMULTI\r\n");
        assert_eq!(client.replies(2), [reset.clone(), ok()]);
        client.send(b"RESET\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nRESET\r\nECHO 3\r\n");
        assert_eq!(client.replies(2), [reset, bulk("3")]);
    }
}

/// What CLIENT REPLY does within a block, as Redis does it: each line's requests, and all that is sent back.
#[test]
fn client_reply_in_a_block_counts_from_there() {
    let cases = [
        // One that is kept back is missing in the array, of whatever kind the command is.
        (
            "MULTI|SET a 1|CLIENT REPLY OFF|SET b 2|MGET a b c d|CONFIG GET timeout|EVAL return{1} 0|CLIENT REPLY ON|GET b|EXEC|ECHO end",
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*8|+OK|+OK|$1|2|$3|end|",
        ),
        (
            "MULTI|CLIENT REPLY OFF|LPUSH a 1|INCR a|CLIENT GETNAME|SSUBSCRIBE c|EXEC|ECHO lost|CLIENT REPLY ON|ECHO end",
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*5|+OK|$3|end|",
        ),
        // EXEC's own line is kept back by what was set before it.
        (
            "CLIENT REPLY OFF|MULTI|ECHO lost|CLIENT REPLY ON|GET b|EXEC|ECHO end",
            "+OK|$-1|$3|end|",
        ),
        (
            "CLIENT REPLY OFF|MULTI|SET a 3|EXEC|CLIENT REPLY ON|GET a",
            "+OK|$1|3|",
        ),
        // SKIP is for what follows the block, also where ON comes behind it.
        (
            "MULTI|ECHO 1|CLIENT REPLY SKIP|ECHO 2|EXEC|ECHO lost|ECHO end",
            "+OK|+QUEUED|+QUEUED|+QUEUED|*3|$1|1|$1|2|$3|end|",
        ),
        (
            "MULTI|CLIENT REPLY SKIP|CLIENT REPLY OFF|ECHO lost|CLIENT REPLY ON|ECHO 2|EXEC|ECHO lost|ECHO end",
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*5|+OK|$1|2|$3|end|",
        ),
        (
            "CLIENT REPLY OFF|MULTI|CLIENT REPLY ON|CLIENT REPLY SKIP|ECHO 1|EXEC|ECHO lost|ECHO end",
            "+OK|$1|1|$3|end|",
        ),
        // Messages are sent all the same.
        (
            "CLIENT REPLY OFF|MULTI|SUBSCRIBE c|EXEC|UNSUBSCRIBE|CLIENT REPLY ON|ECHO end",
            "*3|$9|subscribe|$1|c|:1|*3|$11|unsubscribe|$1|c|:0|+OK|$3|end|",
        ),
        (
            "MULTI|CLIENT REPLY SKIP|SUBSCRIBE c|EXEC|UNSUBSCRIBE c|ECHO end",
            "+OK|+QUEUED|+QUEUED|*2|*3|$9|subscribe|$1|c|:1|*3|$11|unsubscribe|$1|c|:0|$3|end|",
        ),
        (
            "MULTI|CLIENT REPLY OFF|SUBSCRIBE c|PUBSUB NUMPAT|UNSUBSCRIBE|EXEC|CLIENT REPLY ON|ECHO end",
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|*3|$9|subscribe|$1|c|:1|*3|$11|unsubscribe|$1|c|:0|+OK|$3|end|",
        ),
    ];
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        for (lines, expected) in cases {
            assert_eq!(server.client().ask("FLUSHALL"), ok());
            let mut client = server.client();
            client.send(format!("{}\r\n", lines.replace('|', "\r\n")).as_bytes());
            let expected = expected.replace('|', "\r\n");
            let sent = client.raw(expected.len());
            let sent = String::from_utf8_lossy(&sent);
            assert_eq!(sent, expected, "{lines} at {threads}");
        }
    }
}
