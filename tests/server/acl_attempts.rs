//! Attempts of those without rights: every command there is, said by a stranger, by a user without any right, and by one without
//! keys. Nobody learns or changes anything.

use super::acl::{THREADS, client_of, make};
use super::client::{Client, Value, error, ok, request};
use super::harness::Server;
use rondo::commands::{Arity, Entry, Flags, table};

const NOT_THIS_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// A request of as many words as the command takes, `key` in every place.
fn attempt(entry: &Entry) -> Vec<String> {
    let mut words: Vec<String> = entry.full_name.split('|').map(str::to_string).collect();
    let (Arity::Exactly(count) | Arity::AtLeast(count)) = entry.command.arity;
    while words.len() < usize::from(count) {
        words.push("key".to_string());
    }
    words
}

fn ask(client: &mut Client, words: &[String]) -> Value {
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    client.send(&request(&words));
    client.reply()
}

/// What refuses an attempt: EXEC says of every refusal that it discards the block.
fn refusal(entry: &Entry, text: &str) -> Value {
    let is_exec = entry.command.name == "EXEC";
    let before = if is_exec {
        "EXECABORT Transaction discarded because of: "
    } else {
        ""
    };
    error(&format!("{before}{text}"))
}

/// Whatever is visible of the server but its figures.
fn state(server: &Server) -> Vec<Value> {
    let mut client = server.client();
    [
        "DEBUG DIGEST",
        "ACL LIST",
        "CONFIG GET *",
        "PUBSUB CHANNELS",
        "CLIENT LIST ID 1",
    ]
    .map(|line| client.ask(line))
    .to_vec()
}

/// Every command there is, said by a user without any right, alone and in a block; nobody learns or changes anything.
#[test]
fn a_user_without_rights_learns_and_changes_nothing() {
    for threads in THREADS {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        for key in ["key", "other"] {
            server.client().ask(&format!("RPUSH {key} secret"));
        }
        make(&server, "low on nopass -@all resetkeys resetchannels");
        let mut low = client_of(&server, "low", "x");
        let before = state(&server);
        let mut attempts_count = 0;
        for entry in table().rows() {
            if !entry.sub.is_empty() || entry.command.flags.has(Flags::NO_AUTH) {
                continue;
            }
            let said = match entry.container {
                Some(container) if !entry.is_visible() => container.name.to_ascii_lowercase(),
                _ => entry.full_name.to_string(),
            };
            let expected =
                format!("NOPERM User low has no permissions to run the '{said}' command");
            assert_eq!(ask(&mut low, &attempt(entry)), refusal(entry, &expected));
            attempts_count += 1;
        }
        assert!(attempts_count > 300, "{attempts_count} attempts");
        assert_eq!(state(&server), before, "at {threads} threads");
        let denied = server.info_number("stats", "acl_access_denied_cmd");
        assert_eq!(denied, attempts_count);
    }
}

/// With every command and no key or channel: what names one is refused whatever it is and wherever it lives.
#[test]
fn a_user_without_keys_reaches_none() {
    for threads in THREADS {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        for key in ["key", "other"] {
            server.client().ask(&format!("RPUSH {key} secret"));
        }
        make(&server, "low on nopass +@all ~own:* resetchannels &own:*");
        let mut low = client_of(&server, "low", "x");
        let before = state(&server);
        let no_key = error("NOPERM No permissions to access a key");
        for line in [
            "GET key",
            "SET key x",
            "GETDEL key",
            "DEL own:1 key",
            "EXISTS key",
            "TYPE key",
            "OBJECT ENCODING key",
            "DUMP key",
            "RESTORE key 0 x REPLACE",
            "MEMORY USAGE key",
            "DEBUG OBJECT key",
            "TOUCH key",
            "WATCH own:1 key",
            "EXPIRE key 1",
            "RENAME key own:1",
            "RENAME own:1 key",
            "COPY key own:1",
            "COPY own:1 key REPLACE",
            "MOVE key 1",
            "MGET own:1 key",
            "MSET own:1 x key x",
            "MSETNX own:1 x key x",
            "LRANGE key 0 -1",
            "LMOVE key own:1 LEFT LEFT",
            "LMOVE own:1 key LEFT LEFT",
            "LMPOP 2 own:1 key LEFT",
            "BLPOP own:1 key 1",
            "BLMPOP 1 2 own:1 key LEFT",
            "BRPOPLPUSH own:1 key 1",
            "RPOPLPUSH key own:1",
            "SORT key",
            "SORT own:1 STORE key",
            "SINTERSTORE own:1 key",
            "SINTERCARD 1 key",
            "SDIFF own:1 key",
            "ZUNIONSTORE own:1 2 own:2 key",
            "ZUNIONSTORE key 1 own:1",
            "ZRANGESTORE own:1 key 0 -1",
            "ZDIFF 1 key",
            "PFMERGE own:1 key",
            "PFCOUNT own:1 key",
            "BITOP AND own:1 key",
            "BITFIELD key GET u8 0",
            "GEORADIUS own:1 0 0 1 m STORE key",
            "GEOSEARCHSTORE own:1 key FROMMEMBER a BYRADIUS 1 m",
            "XREAD STREAMS own:1 key 0 0",
            "XREADGROUP GROUP STREAMS c STREAMS own:1 key > >",
            "XINFO STREAM key",
            "XGROUP CREATE key g 0 MKSTREAM",
            "MIGRATE 127.0.0.1 1 key 0 10",
            "MIGRATE 127.0.0.1 1 \"\" 0 10 KEYS own:1 key",
            "LCS key own:1",
        ] {
            assert_eq!(ask_line(&mut low, line), no_key, "{line}");
        }
        let no_channel = error("NOPERM No permissions to access a channel");
        for line in [
            "PUBLISH news x",
            "SPUBLISH news x",
            "SUBSCRIBE own:1 news",
            "SSUBSCRIBE news",
            "PSUBSCRIBE own:*x",
            "PSUBSCRIBE *",
        ] {
            assert_eq!(ask_line(&mut low, line), no_channel, "{line}");
        }
        assert_eq!(
            low.ask("SORT own:1 GET key"),
            error("ERR GET option of SORT denied due to insufficient ACL permissions.")
        );
        assert_eq!(
            low.ask("SORT own:1 BY k*y"),
            error("ERR BY option of SORT denied due to insufficient ACL permissions.")
        );
        assert_eq!(state(&server), before, "at {threads} threads");
        // Its own are its own.
        assert_eq!(low.ask("SET own:1 x"), ok());
        assert_eq!(low.ask("PUBLISH own:1 x"), Value::Integer(0));
    }
}

/// Every command that names keys, said of a key that is there and of one that is not: the refusals do not tell which is which,
/// on whatever core they live.
#[test]
fn refusals_do_not_tell_whether_a_key_is_there() {
    for threads in THREADS {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        server.client().ask("RPUSH key secret");
        make(&server, "low on nopass +@all ~own:* resetchannels");
        let mut low = client_of(&server, "low", "x");
        let before = state(&server);
        let mut attempts_count = 0;
        for entry in table().rows() {
            // Channels stand where keys do.
            let has_channels = entry.command.flags.has(Flags::PUBSUB);
            if !entry.sub.is_empty() || entry.command.keys.is_empty() || has_channels {
                continue;
            }
            let attempt = attempt(entry);
            for more in 0..3 {
                let [there, missing] = ["key", "yek"].map(|key| {
                    let mut words: Vec<String> = attempt.clone();
                    words.extend(vec!["key".to_string(); more]);
                    let names = words.iter_mut().filter(|word| *word == "key");
                    names.for_each(|word| *word = key.to_string());
                    ask(&mut low, &words)
                });
                assert!(matches!(there, Value::Error(_)), "{attempt:?}: {there:?}");
                assert!(
                    !there.text().starts_with("WRONGTYPE"),
                    "{attempt:?}: {there:?}"
                );
                // Some say what they were told.
                let missing = missing.text().replace("yek", "key");
                assert_eq!(there.text(), missing, "{attempt:?}");
                attempts_count += 1;
            }
        }
        assert!(attempts_count > 600, "{attempts_count} attempts");
        assert_eq!(state(&server), before, "at {threads} threads");
    }
}

/// Words of a line, `""` being an empty one.
fn ask_line(client: &mut Client, line: &str) -> Value {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| word.replace("\"\"", ""))
        .collect();
    ask(client, &words)
}

/// Who has not said a password may say every command there is, and nothing comes of it.
#[test]
fn a_stranger_learns_and_changes_nothing() {
    let server = Server::start(
        2,
        &[
            "--requirepass",
            "secret",
            "--user",
            "off",
            "off",
            ">pw",
            "+@all",
        ],
    );
    let mut stranger = server.client();
    for entry in table().rows() {
        let words = attempt(entry);
        let is_open = entry.command.flags.has(Flags::NO_AUTH);
        // Redis says of DEBUG that it is not allowed before it asks who is there.
        if is_open || !entry.sub.is_empty() || entry.command.flags.has(Flags::PROTECTED) {
            continue;
        }
        let expected = refusal(entry, "NOAUTH Authentication required.");
        assert_eq!(ask(&mut stranger, &words), expected, "{words:?}");
    }
    // The right password of a user who is off is as wrong as any.
    let lines = [
        "AUTH x",
        "AUTH default x",
        "AUTH nobody x",
        "AUTH off pw",
        "HELLO 3 AUTH default x",
        "HELLO 3 AUTH nobody x",
        "HELLO 3 AUTH off pw",
    ];
    for line in lines {
        assert_eq!(stranger.ask(line), error(NOT_THIS_PASSWORD), "{line}");
    }
    let hello = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
                 option can be used to authenticate the client and select the RESP protocol version at the same time";
    for line in ["HELLO", "HELLO 3", "HELLO 2 SETNAME x"] {
        assert_eq!(stranger.ask(line), error(hello), "{line}");
    }
    assert_eq!(stranger.ask("AUTH secret"), ok());
    assert_eq!(stranger.ask("DBSIZE"), Value::Integer(0));
    assert_eq!(stranger.ask("ACL LOG 1").items().len(), 1);
}
