//! HIMPORT as clients see it, on one core and on several.

use super::client::{Value, bulk, error, ok, request};
use super::harness::Server;

const NO_FIELDSET: &str = "ERR no such fieldset";

#[test]
fn fieldsets_go_with_their_connection_to_any_core() {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--appendonly", "yes"]);
        let (mut client, mut other) = (server.client(), server.client());
        assert_eq!(client.ask("HIMPORT PREPARE u name email"), ok());
        // A pipeline of keys of all cores: replies stay in order, and the connection moves as it likes.
        let mut bytes = Vec::new();
        for index in 0..200 {
            let (key, name) = (format!("k{index}"), format!("n{index}"));
            bytes.extend(request(&[
                b"HIMPORT",
                b"SET",
                key.as_bytes(),
                b"u",
                name.as_bytes(),
                b"e",
            ]));
            bytes.extend(request(&[b"HGET", key.as_bytes(), b"name"]));
        }
        client.send(&bytes);
        for index in 0..200 {
            assert_eq!(client.reply(), ok());
            assert_eq!(client.reply(), bulk(format!("n{index}")));
        }
        assert_eq!(other.ask("HIMPORT SET k u a b"), error(NO_FIELDSET));
        assert_eq!(
            client.ask("HIMPORT SET k u a"),
            error("ERR value count does not match the fieldset's field count")
        );
        assert_eq!(
            client.ask("HIMPORT NONE"),
            error("ERR unknown subcommand 'NONE'. Try HIMPORT HELP.")
        );
        assert_eq!(client.ask("MULTI"), ok());
        let queued = Value::Simple("QUEUED".to_string());
        assert_eq!(client.ask("HIMPORT SET x u a b"), queued);
        assert_eq!(client.ask("HIMPORT SET y u c d"), queued);
        assert_eq!(client.ask("HMGET x email name"), queued);
        let pair = Value::Array(vec![bulk("b"), bulk("a")]);
        assert_eq!(client.ask("EXEC"), Value::Array(vec![ok(), ok(), pair]));
        assert_eq!(client.ask("MULTI"), ok());
        assert_eq!(
            client.ask("HIMPORT PREPARE v a"),
            error("ERR Command not allowed inside a transaction")
        );
        client.ask("DISCARD");
        client.ask("RESET");
        assert_eq!(client.ask("HIMPORT SET k u a b"), error(NO_FIELDSET));
    }
}

/// What was written is in the log as commands that any server knows.
#[test]
fn hashes_are_there_after_a_restart() {
    let options = ["--appendonly", "yes", "--save", ""];
    let mut server = Server::start(2, &options);
    let mut client = server.client();
    client.ask("HIMPORT PREPARE u name email");
    client.ask("HSET k gone 1");
    client.ask("HIMPORT SET k u alice a@b");
    client.ask("HIMPORT SET l u bob b@b");
    server.signal("TERM");
    assert!(server.restart(3, &options), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("HGET k name"), bulk("alice"));
    assert_eq!(client.ask("HLEN k"), Value::Integer(2));
    assert_eq!(client.ask("HGET l email"), bulk("b@b"));
}
