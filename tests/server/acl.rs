//! Users: replies as recorded, attempts of those without rights, changes on several cores, files.

use super::client::{Client, Next, Value, bulk, error, ok, request};
use super::harness::{Server, eventually, new_dir, run_to_end};
use rondo::commands::{Arity, Entry, Flags, table};
use std::collections::HashMap;

const GOLDEN: &str = include_str!("golden/acl.txt");
const GOLDEN_OF_DATABASES: &str = include_str!("golden/acl_databases.txt");
const THREADS: [usize; 2] = [1, 4];

const NOT_THIS_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// A client that is this user.
fn client_of(server: &Server, user: &str, password: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.ask(&format!("AUTH {user} {password}")), ok());
    client
}

fn make(server: &Server, rules: &str) {
    assert_eq!(
        server.client().ask(&format!("ACL SETUSER {rules}")),
        ok(),
        "{rules}"
    );
}

/// A field of an entry of ACL LOG, as RESP2 has it.
fn field<'v>(entry: &'v Value, name: &str) -> &'v Value {
    let items = entry.items();
    let at = items.iter().position(|item| *item == bulk(name));
    &items[at.unwrap_or_else(|| panic!("no {name} in {items:?}")) + 1]
}

/// Every byte that several clients receive is what a real server sent them.
#[test]
fn clients_are_told_what_a_real_server_tells() {
    for threads in THREADS {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut clients: HashMap<&str, Client> = HashMap::new();
        let mut asked = "";
        let lines = GOLDEN.lines().chain(GOLDEN_OF_DATABASES.lines());
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (name, text) = line[2..].split_once(' ').expect("a client and a text");
            let client = clients.entry(name).or_insert_with(|| server.client());
            if line.starts_with('<') {
                let expected = text.replace('^', "\r\n");
                let got = client.raw(expected.len());
                let got = String::from_utf8_lossy(&got);
                assert_eq!(got, expected, "to {asked} at {threads} threads");
                continue;
            }
            asked = text;
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            client.send(&request(&words));
            if text.starts_with("HELLO") {
                client.reply();
            }
        }
    }
}

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

/// Sixteen connections over four cores: when ACL SETUSER has answered, each of them has the new rights, pipelines that were
/// under way included.
#[test]
fn a_change_is_in_force_everywhere_before_its_reply() {
    let server = Server::start(4, &[]);
    make(&server, "u on nopass ~* +get +set");
    let mut clients: Vec<Client> = (0..16).map(|_| client_of(&server, "u", "x")).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&format!("SET key{index} {index}")), ok());
    }
    let mut admin = server.client();
    let denied = error("NOPERM User u has no permissions to run the 'get' command");
    for _ in 0..50 {
        assert_eq!(admin.ask("ACL SETUSER u -get"), ok());
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.ask(&format!("GET key{index}")), denied);
        }
        assert_eq!(admin.ask("ACL SETUSER u +get"), ok());
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(
                client.ask(&format!("GET key{index}")),
                bulk(index.to_string())
            );
        }
    }
}

/// Connections of a deleted user end, on every core; one that deletes itself has its reply first.
#[test]
fn connections_end_with_their_user() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        make(&server, "u on nopass ~* +@all");
        let mut clients: Vec<Client> = (0..8).map(|_| client_of(&server, "u", "x")).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.ask(&format!("SET key{index} x"));
        }
        let mut last = clients.pop().expect("eight");
        assert_eq!(last.ask("CLIENT KILL USER u SKIPME yes"), Value::Integer(7));
        assert_eq!(last.ask("ACL DELUSER u nobody"), Value::Integer(1));
        assert_eq!(last.next(), Next::Closed);
        let mut clients: Vec<Client> = clients.into_iter().collect();
        for client in &mut clients {
            assert_eq!(client.next(), Next::Closed);
        }
        // A user of the same name is another one.
        make(&server, "u on nopass ~* +@all");
        let mut one = client_of(&server, "u", "x");
        let mut admin = server.client();
        assert_eq!(admin.ask("ACL DELUSER u"), Value::Integer(1));
        make(&server, "u on nopass ~* +@all");
        assert_eq!(one.next(), Next::Closed);
        eventually("both are gone", || {
            !admin.ask("CLIENT LIST").text().contains("user=u ")
        });
    }
}

/// A subscriber is cut off when its user may no longer hear something it is subscribed to, and stays otherwise.
#[test]
fn subscribers_end_with_their_rights() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        make(&server, "u on nopass +@all resetchannels &a* &b &orders");
        let subscribe = |line: &str| {
            let mut client = client_of(&server, "u", "x");
            client.ask(line);
            client
        };
        let mut stays = subscribe("SUBSCRIBE a1");
        let mut pattern = subscribe("PSUBSCRIBE a*");
        let mut channel = subscribe("SUBSCRIBE b");
        let mut shard_channel = subscribe("SSUBSCRIBE orders");
        make(&server, "u resetchannels &a1 &a* &b &orders &more");
        make(&server, "u resetchannels &a1");
        for gone in [&mut pattern, &mut channel, &mut shard_channel] {
            assert_eq!(gone.next(), Next::Closed);
        }
        make(&server, "u allchannels");
        assert_eq!(server.client().ask("PUBLISH a1 x"), Value::Integer(1));
        assert_eq!(stays.reply().items()[2], bulk("x"));
        // Its own doing: the reply comes first.
        let mut own = client_of(&server, "u", "x");
        own.ask("HELLO 3");
        own.ask("SUBSCRIBE x");
        assert_eq!(own.ask("ACL SETUSER u resetchannels"), ok());
        assert_eq!(own.next(), Next::Closed);
        assert_eq!(stays.next(), Next::Closed);
    }
}

/// A client that waits for a key its user may no longer touch takes nothing: as in Redis it is told so when there is something for
/// it, which goes to the next, and is served after all if its right has come back by then.
#[test]
fn who_waits_without_rights_gets_nothing() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        make(&server, "u on nopass ~* +@all &*");
        let mut waiters: Vec<Client> = (0..4).map(|_| client_of(&server, "u", "x")).collect();
        let waits = [
            "BLPOP list0 more0 0",
            "BLPOP list1 more1 0",
            "BLMOVE list2 more2 LEFT LEFT 0",
            "BRPOP list3 0",
        ];
        for (client, line) in waiters.iter_mut().zip(waits) {
            client.send(format!("{line}\r\n").as_bytes());
        }
        eventually("all wait", || {
            server.info_number("clients", "blocked_clients") == 4
        });
        let mut next = server.client();
        next.send(b"BLPOP more1 list1 list2 0\r\n");
        let count = || server.info_number("clients", "blocked_clients");
        eventually("one more waits", || count() == 5);
        make(&server, "u resetkeys ~list0 ~more0");
        make(&server, "u ~list3");
        assert_eq!(count(), 5, "nobody is told before there is something");
        let mut admin = server.client();
        let denied = error("NOPERM No permissions to access a key");
        assert_eq!(admin.ask("RPUSH list1 x"), Value::Integer(1));
        assert_eq!(waiters[1].reply(), denied, "at {threads}");
        let pair = |key: &str, value: &str| Value::Array(vec![bulk(key), bulk(value)]);
        assert_eq!(next.reply(), pair("list1", "x"), "at {threads}");
        assert_eq!(admin.ask("RPUSH list2 x"), Value::Integer(1));
        assert_eq!(waiters[2].reply(), denied);
        assert_eq!(admin.ask("LLEN list2"), Value::Integer(1));
        for index in [0, 3] {
            let list = format!("list{index}");
            assert_eq!(admin.ask(&format!("RPUSH {list} x")), Value::Integer(1));
            assert_eq!(waiters[index].reply(), pair(&list, "x"));
        }
        let entries = admin.ask("ACL LOG");
        let reason = |entry: &Value| entry.items()[3].text();
        assert!(entries.items().iter().all(|entry| reason(entry) == "key"));
        assert_eq!(entries.items().len(), 2, "{entries:?}");
    }
}

/// Denials on several cores are one entry where they are alike, with all fields; RESET forgets them on every core.
#[test]
fn the_log_is_one_over_all_cores() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        make(
            &server,
            "u on >pw ~own* +get +multi +subscribe resetchannels",
        );
        let mut clients: Vec<Client> = (0..8).map(|_| client_of(&server, "u", "pw")).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.ask(&format!("GET own{index}"));
            client.ask("SET own x");
            client.ask("SET own x");
        }
        clients[0].ask("GET key");
        clients[1].ask("SUBSCRIBE channel");
        clients[2].ask("MULTI");
        clients[2].ask("SET own x");
        server.client().ask("aUtH u wrong");
        let mut admin = server.client();
        let log = admin.ask("ACL LOG");
        let told: Vec<[String; 5]> = log
            .items()
            .iter()
            .map(|entry| {
                ["count", "reason", "context", "object", "username"].map(|name| {
                    match field(entry, name) {
                        Value::Integer(number) => number.to_string(),
                        text => text.text(),
                    }
                })
            })
            .collect();
        let mut sorted = told.clone();
        sorted.sort();
        let expected = [
            ["1", "auth", "toplevel", "aUtH", "u"],
            ["1", "channel", "toplevel", "channel", "u"],
            ["1", "command", "multi", "set", "u"],
            ["1", "key", "toplevel", "key", "u"],
            ["16", "command", "toplevel", "set", "u"],
        ];
        assert_eq!(sorted, expected, "at {threads} threads");
        let mut ids = Vec::new();
        for entry in log.items() {
            ids.push(field(entry, "entry-id").integer());
            let created = field(entry, "timestamp-created").integer();
            let updated = field(entry, "timestamp-last-updated").integer();
            assert!(created > 1_600_000_000_000 && updated >= created);
            let age: f64 = field(entry, "age-seconds")
                .text()
                .parse()
                .expect("a number");
            assert!((0.0..100.0).contains(&age));
            let client = field(entry, "client-info").text();
            let is_auth = field(entry, "reason").text() == "auth";
            let user = if is_auth { "user=default " } else { "user=u " };
            assert!(
                client.starts_with("id=") && client.contains(user),
                "{client}"
            );
            assert!(!client.ends_with('\n'), "{client}");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5, "every entry has its own number");
        assert_eq!(admin.ask("ACL LOG 2").items().len(), 2);
        assert_eq!(admin.ask("ACL LOG RESET"), ok());
        assert_eq!(admin.ask("ACL LOG").items().len(), 0);
        for (name, count) in [("auth", 1), ("cmd", 17), ("key", 1), ("channel", 1)] {
            let name = format!("acl_access_denied_{name}");
            assert_eq!(server.info_number("stats", &name), count, "{name}");
        }
        // No more entries than are wanted, and none where none are wanted.
        admin.ask("CONFIG SET acllog-max-len 3");
        for index in 0..10 {
            clients[3].ask(&format!("GET key{index}"));
        }
        assert_eq!(admin.ask("ACL LOG 100").items().len(), 3);
        admin.ask("CONFIG SET acllog-max-len 0");
        assert_eq!(admin.ask("ACL LOG 100").items().len(), 3);
        clients[3].ask("GET key");
        assert_eq!(admin.ask("ACL LOG 100").items().len(), 0);
    }
}

/// Users come from a file, go to it, and come back; a file with faults changes nothing.
#[test]
fn users_live_in_a_file() {
    let dir = new_dir();
    let path = dir.join("users.acl");
    let file = path.display().to_string();
    let text =
        "user alice on >alice ~* &* +@all\n\n  user bob on nopass -@all +@set (+get ~b*)  \r\n";
    std::fs::write(&path, text).expect("a file in a new folder");
    let server = Server::start(4, &["--aclfile", &file]);
    let mut alice = client_of(&server, "alice", "alice");
    let mut bob = client_of(&server, "bob", "x");
    assert_eq!(alice.ask("ACL SAVE"), ok());
    let digest = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";
    let saved = format!(
        "user alice on sanitize-payload #{digest} ~* &* +@all\n\
         user bob on nopass sanitize-payload resetchannels -@all +@set (~b* resetchannels -@all +get)\n\
         user default on nopass sanitize-payload ~* &* +@all\n"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("there"), saved);
    // Those whose users stay may stay.
    alice.ask("ACL SETUSER carol on nopass");
    let mut carol = client_of(&server, "carol", "x");
    assert_eq!(alice.ask("ACL LOAD"), ok());
    assert_eq!(carol.next(), Next::Closed);
    assert_eq!(alice.ask("ACL WHOAMI"), bulk("alice"));
    assert_eq!(bob.ask("GET b"), Value::Null);
    // Faults, all of them.
    let faulty = format!(
        "{saved}user bob on\nuser\nusr x\nuser e\t on\nuser f +nosuch ~* ~x +@no nosuch\nuser g (+get\n"
    );
    std::fs::write(&path, faulty).expect("writable");
    let told = alice.ask("ACL LOAD").text();
    for part in [
        "ERR WARNING: Duplicate user 'bob' found on line 4. ".to_string(),
        format!("{file}:5 should start with user keyword followed by the username. "),
        format!("{file}:6 should start with user keyword followed by the username. "),
        format!("'{file}:7: username 'e\t' contains invalid characters. "),
        format!(
            "{file}:8: Error in applying operation '+nosuch': Unknown command or category name in ACL. "
        ),
        format!("{file}:8: Adding a pattern after the * pattern"),
        format!(
            "{file}:8: Error in applying operation '+@no': Unknown command or category name in ACL. "
        ),
        format!("{file}:9: Unmatched parenthesis in selector definition."),
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
            .to_string(),
    ] {
        assert!(told.contains(&part), "{part}\nin\n{told}");
    }
    assert!(!told.contains("Syntax error"), "one fault a line: {told}");
    assert_eq!(alice.ask("ACL USERS").items().len(), 3);
    std::fs::remove_file(&path).expect("there");
    let text = format!("ERR Error loading ACLs, opening file '{file}': No such file or directory");
    assert_eq!(alice.ask("ACL LOAD"), error(&text));
    std::fs::remove_dir(&dir).expect("empty");
    let refused = error(
        "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
    );
    assert_eq!(alice.ask("ACL SAVE"), refused);
}

/// Users and names of commands in the configuration.
#[test]
fn the_configuration_has_users_and_renames() {
    let server = Server::start(
        2,
        &[
            "--user",
            "alice",
            "on",
            ">pw",
            "~a*",
            "+@all",
            "-flushall",
            "--user",
            "default",
            "on",
            "nopass",
            "~*",
            "+@all",
            "-@dangerous",
            "+info",
            "--rename-command",
            "GET",
            "fetch",
            "--rename-command",
            "DEBUG",
            "",
            "--rename-command",
            "SET",
            "GET",
        ],
    );
    let mut client = server.client();
    assert_eq!(client.ask("GET a x"), ok());
    assert_eq!(client.ask("Fetch a"), bulk("x"));
    let unknown = client.ask("SET a x").text();
    assert!(
        unknown.starts_with("ERR unknown command 'SET'"),
        "{unknown}"
    );
    let unknown = client.ask("DEBUG OBJECT a").text();
    assert!(
        unknown.starts_with("ERR unknown command 'DEBUG'"),
        "{unknown}"
    );
    // Rules, errors and figures know commands by their own names.
    assert_eq!(
        client.ask("FETCH"),
        error("ERR wrong number of arguments for 'get' command")
    );
    assert_eq!(
        client.ask("CONFIG GET port"),
        error("NOPERM User default has no permissions to run the 'config|get' command")
    );
    assert_eq!(client.ask("AUTH alice pw"), ok());
    assert_eq!(client.ask("ACL SETUSER alice -get"), ok());
    assert_eq!(
        client.ask("FETCH a"),
        error("NOPERM User alice has no permissions to run the 'get' command")
    );
    assert!(
        client
            .ask("INFO commandstats")
            .text()
            .contains("cmdstat_get:calls=1,")
    );
    assert_eq!(
        client.ask("ACL DRYRUN alice fetch a").text(),
        "User alice has no permissions to run the 'get' command"
    );
    for (arguments, expected) in [
        (
            &["--rename-command", "NOSUCH", "x"][..],
            "No such command in rename-command",
        ),
        (
            &["--rename-command", "GET", "set"],
            "Target command name already exists",
        ),
        (
            &[
                "--rename-command",
                "GET",
                "",
                "--rename-command",
                "GET",
                "x",
            ],
            "No such command in rename-command",
        ),
        (
            &["--user", "a", "on", "--user", "a", "off"],
            "Error in user declaration 'a': Duplicate user found. A user can only be defined once in config files",
        ),
        (
            &["--user", "a", "+nosuch"],
            "Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL",
        ),
        (
            &["--user", "a", "on", "--aclfile", "x"],
            "declare them in one of the two",
        ),
        (
            &["--aclfile", "/nosuch/file"],
            "Error loading ACLs, opening file '/nosuch/file': No such file or directory",
        ),
    ] {
        let mut words = vec!["--port", "0", "--check-config"];
        words.extend(arguments);
        let (code, text) = run_to_end(&words);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(expected), "{expected}\nin\n{text}");
    }
}

/// What a script calls is checked with the rights its client has, wherever it runs; what it may not do it cannot find out.
#[test]
fn scripts_have_the_rights_of_their_client() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut admin = server.client();
        for index in 0..8 {
            admin.ask(&format!("SET secret{index} x"));
        }
        make(
            &server,
            "u on nopass ~own* +eval +get +sort +multi +exec +eval_ro &own",
        );
        let mut clients: Vec<Client> = (0..4).map(|_| client_of(&server, "u", "x")).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            let own = format!("own{index}");
            let mut eval = |script: &str, keys: &[&str]| {
                let count = keys.len().to_string();
                let mut words: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), count.as_bytes()];
                words.extend(keys.iter().map(|key| key.as_bytes()));
                client.run(&words)
            };
            let no_get = "ACL failure in script: No permissions to access a key";
            let said = eval("return redis.call('get', 'secret1')", &[]).text();
            assert!(said.contains(no_get), "{said}");
            let said = eval("return redis.call('get', 'secret2')", &[&own]).text();
            assert!(said.contains(no_get), "{said}");
            let said = eval("redis.call('set', KEYS[1], 'x')", &[&own]).text();
            let no_set = "User u has no permissions to run the 'set' command";
            assert!(said.contains(no_set), "{said}");
            assert_eq!(
                eval("return 1", &["secret3"]),
                error("NOPERM No permissions to access a key")
            );
            assert_eq!(
                eval("return redis.call('get', KEYS[1])", &[&own]),
                Value::Null
            );
            let checks = "return {redis.acl_check_cmd('get', 'own') and 1 or 0, \
                          redis.acl_check_cmd('get', 'x') and 1 or 0, \
                          redis.acl_check_cmd('set', 'own', 'x') and 1 or 0, \
                          redis.acl_check_cmd('publish', 'x', 'x') and 1 or 0}";
            let numbers = [1, 0, 0, 0].map(Value::Integer).to_vec();
            assert_eq!(eval(checks, &[]), Value::Array(numbers));
            let sorts = "return redis.pcall('sort', KEYS[1], 'get', 'secret*').err";
            let said = eval(sorts, &[&own]).text();
            assert!(said.contains("GET option of SORT denied"), "{said}");
            client.ask("MULTI");
            client.run(&[b"EVAL", b"return redis.pcall('get', 'secret1').err", b"0"]);
            let replies = client.ask("EXEC");
            let said = replies.items()[0].text();
            assert!(said.contains(no_get), "{said}");
        }
        let log = admin.ask("ACL LOG");
        let scripts = log
            .items()
            .iter()
            .filter(|entry| field(entry, "context").text() == "lua");
        let mut told: Vec<(String, i64)> = scripts
            .map(|entry| {
                assert!(field(entry, "client-info").text().contains("user=u "));
                (
                    field(entry, "object").text(),
                    field(entry, "count").integer(),
                )
            })
            .collect();
        told.sort();
        let expected = [("secret1", 8), ("secret2", 4), ("set", 4)];
        let expected = expected.map(|(object, count)| (object.to_string(), count));
        assert_eq!(told, expected, "at {threads} threads");
        // The rights are those of the moment of the call.
        make(&server, "u +set");
        assert_eq!(
            clients[0].run(&[
                b"EVAL",
                b"return redis.call('set', KEYS[1], 'x')",
                b"1",
                b"own0"
            ]),
            ok()
        );
    }
}

/// Whoever has no right to DEBUG is not told which subcommands there are, and where it is not allowed nobody is.
#[test]
fn an_unknown_subcommand_of_debug_is_named_to_those_who_may_ask() {
    for (allowed, expected) in [
        (
            "yes",
            "ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.",
        ),
        (
            "no",
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from \
             a local connection, otherwise you need to set this option in the configuration file, and then restart the \
             server.",
        ),
    ] {
        let server = Server::start(1, &["--enable-debug-command", allowed]);
        let mut client = server.client();
        assert_eq!(client.ask("DEBUG NOSUCH"), error(expected));
    }
    let server = Server::start(
        2,
        &["--enable-debug-command", "yes", "--requirepass", "secret"],
    );
    let mut client = server.client();
    let stranger = error("NOAUTH Authentication required.");
    assert_eq!(client.ask("DEBUG NOSUCH"), stranger);
    assert_eq!(client.ask("AUTH secret"), ok());
    assert_eq!(client.ask("ACL SETUSER u on nopass +@all -debug"), ok());
    assert_eq!(client.ask("AUTH u x"), ok());
    let denied = error("NOPERM User u has no permissions to run the 'debug' command");
    assert_eq!(client.ask("DEBUG NOSUCH"), denied);
    assert_eq!(client.ask("DEBUG DIGEST"), denied);
}

/// A disk that does not answer keeps nobody waiting but those who asked for the file: here a pipe that nobody fills.
#[test]
fn a_file_of_users_that_is_slow_to_read_holds_nobody_up() {
    let dir = new_dir();
    let path = dir.join("users.acl");
    let file = path.display().to_string();
    std::fs::write(&path, "user default on nopass ~* &* +@all\n").expect("a file in a new folder");
    for threads in THREADS {
        let server = Server::start(threads, &["--aclfile", &file]);
        std::fs::remove_file(&path).expect("there");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo is there").success());
        let mut loading: Vec<Client> = (0..threads).map(|_| server.client()).collect();
        let mut others: Vec<Client> = (0..threads).map(|_| server.client()).collect();
        loading[0].send(b"ACL LOAD\r\n");
        for other in &mut others {
            assert_eq!(other.ask("SET a 1"), ok());
            assert_eq!(other.ask("ACL SETUSER late on nopass"), ok());
        }
        let text = "user default on nopass ~* &* +@all\nuser piped on nopass\n";
        std::fs::write(&path, text).expect("somebody reads");
        assert_eq!(loading[0].reply(), ok());
        let users = vec![bulk("default"), bulk("piped")];
        assert_eq!(others[0].ask("ACL USERS"), Value::Array(users));
        // Files are done in order: what is saved second is there in the end.
        std::fs::remove_file(&path).expect("there");
        let mut client = server.client();
        client.send(b"ACL SAVE\r\nACL SETUSER second on nopass\r\nACL SAVE\r\nACL LOAD\r\n");
        assert_eq!(client.replies(4), vec![ok(); 4]);
        let saved = std::fs::read_to_string(&path).expect("there");
        assert!(saved.contains("user second on nopass"), "{saved}");
    }
}

/// What a block was denied when it ran: the log shows a client that says EXEC, wherever the block ran.
#[test]
fn the_log_shows_a_client_at_its_exec() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        make(&server, "u on nopass ~* +@all");
        let mut client = client_of(&server, "u", "x");
        assert_eq!(client.ask("MULTI"), ok());
        client.ask("INCR a");
        make(&server, "u -incr");
        client.ask("EXEC");
        let entries = server.client().ask("ACL LOG");
        let entry = &entries.items()[0];
        assert_eq!(field(entry, "context"), &bulk("multi"));
        let info = field(entry, "client-info").text();
        assert!(info.contains(" cmd=exec "), "{threads} threads: {info}");
    }
}

/// What only some databases are open to says so, in the words that make it again; others are described as Redis describes them.
#[test]
fn databases_of_users_are_described_and_denials_logged() {
    let server = Server::start(2, &[]);
    let mut admin = server.client();
    make(&server, "all on nopass ~* +@all");
    make(&server, "some on nopass ~* +@all db=3,0 (resetdbs +get ~a)");
    let lines = admin.ask("ACL LIST");
    let lines: Vec<String> = lines.items().iter().map(Value::text).collect();
    assert_eq!(
        lines[..2],
        [
            "user all on nopass sanitize-payload ~* resetchannels +@all",
            "user default on nopass sanitize-payload ~* &* +@all",
        ]
    );
    assert_eq!(
        lines[2],
        "user some on nopass sanitize-payload ~* resetchannels db=0,3 +@all (~a resetchannels resetdbs -@all +get)"
    );
    let described = admin.ask("ACL GETUSER all");
    assert!(!described.items().contains(&bulk("databases")));
    let described = admin.ask("ACL GETUSER some");
    assert_eq!(field(&described, "databases").text(), "db=0,3");
    let selector = &field(&described, "selectors").items()[0];
    assert_eq!(field(selector, "databases").text(), "");
    let mut client = client_of(&server, "some", "x");
    let refused = error("NOPERM No permissions to access database");
    assert_eq!(client.ask("SELECT 1"), refused);
    let log = admin.ask("ACL LOG");
    let entry = &log.items()[0];
    assert_eq!(field(entry, "reason").text(), "database");
    assert_eq!(field(entry, "object").text(), "1");
    assert_eq!(server.info("stats", "acl_access_denied_db"), "1");
    let said = client.run(&[
        b"EVAL",
        b"redis.call('select', 1) return redis.call('dbsize')",
        b"0",
    ]);
    assert!(said.text().contains("database"), "{said:?}");
}

/// With several destinations it is the one that is written that a user must have the right to.
#[test]
fn a_destination_said_twice_is_no_way_round_the_rights_to_keys() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut admin = server.client();
        admin.ask("GEOADD src 15 37 place");
        make(&server, "u on nopass +@all ~src ~mine");
        let mut client = client_of(&server, "u", "x");
        let refused = error("NOPERM No permissions to access a key");
        for word in ["STORE", "STOREDIST"] {
            let line = format!("GEORADIUS src 15 37 9 km STORE mine {word} other");
            assert_eq!(client.ask(&line), refused);
        }
        let line = "GEORADIUS src 15 37 9 km STORE other STORE mine";
        assert_eq!(client.ask(line), Value::Integer(1));
        assert_eq!(admin.ask("EXISTS other"), Value::Integer(0));
    }
}

/// To compare is not to read: as in Redis 8.6 the right to write is enough, unless SET is to reply with what it compares.
#[test]
fn who_may_only_write_may_compare() {
    let server = Server::start(1, &[]);
    make(&server, "u on nopass +@all %W~*");
    let mut client = client_of(&server, "u", "x");
    assert_eq!(client.ask("SET k v"), ok());
    assert_eq!(client.ask("SET k w IFEQ v"), ok());
    assert_eq!(client.ask("DELEX k IFNE w"), Value::Integer(0));
    let refused = error("NOPERM No permissions to access a key");
    assert_eq!(client.ask("SET k v IFEQ w GET"), refused);
    assert_eq!(client.ask("DIGEST k"), refused);
    assert_eq!(client.ask("DELEX k IFEQ w"), Value::Integer(1));
}

/// Rules that name what replicas ask for are understood, in the configuration and later, although there are no replicas.
#[test]
fn rules_may_name_the_commands_of_replication() {
    let rules = ["replica-user", "on", ">pw", "+psync", "+replconf", "+ping"];
    let mut options = vec!["--user"];
    options.extend(rules);
    let server = Server::start(2, &options);
    make(&server, "sentinel on >pw +sync +failover");
    for (user, rights) in [
        ("replica-user", "-@all +psync +replconf +ping"),
        ("sentinel", "-@all +sync +failover"),
    ] {
        let about = server.client().ask(&format!("ACL GETUSER {user}"));
        assert_eq!(field(&about, "commands"), &bulk(rights));
    }
    let mut replica = client_of(&server, "replica-user", "pw");
    assert_eq!(replica.ask("PING"), Value::Simple("PONG".to_string()));
    for line in ["REPLCONF listening-port 1", "PSYNC ? -1"] {
        assert_eq!(replica.ask(line), error("ERR replication is not built yet"));
    }
    assert_eq!(
        replica.ask("FAILOVER"),
        error("NOPERM User replica-user has no permissions to run the 'failover' command")
    );
    for category in ["admin", "dangerous"] {
        let names = server.client().ask(&format!("ACL CAT {category}"));
        for name in ["psync", "replconf", "sync", "failover"] {
            assert!(names.items().contains(&bulk(name)), "{name} in {category}");
        }
    }
}

/// As Redis reads rules, all but patterns and passwords end at a NUL.
#[test]
fn a_rule_ends_at_a_nul() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let rules: [&[u8]; 6] = [b"ACL", b"SETUSER", b"u", b"on\0", b"+get\0x", b">a\0b"];
    assert_eq!(client.run(&rules), ok());
    let about = client.ask("ACL GETUSER u");
    assert_eq!(field(&about, "commands"), &bulk("-@all +get"));
    assert_eq!(field(&about, "flags").items()[0], bulk("on"));
    assert_eq!(client.run(&[b"AUTH", b"u", b"a\0b"]), ok());
    let pattern: [&[u8]; 4] = [b"ACL", b"SETUSER", b"u", b"~k\0x"];
    let said = server.client().run(&pattern).text();
    assert!(said.ends_with("Syntax error"), "{said}");
}

/// A script has the rights that its user had when it began: half of it would be worse.
#[test]
fn rights_that_change_end_no_script_in_its_midst() {
    let script = "redis.call('incr', KEYS[1]) for i = 1, 1000 do redis.call('get', KEYS[3]) redis.call('get', KEYS[4]) end \
                  redis.call('incr', KEYS[2]) return 1";
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut admin = server.client();
        for round in 0..8 {
            assert_eq!(admin.ask("ACL SETUSER u on nopass ~* +@all"), ok());
            assert_eq!(admin.ask("MSET t1 0 t2 0"), ok());
            let mut client = server.client();
            assert_eq!(client.ask("AUTH u x"), ok());
            client.send(&request(&[
                b"EVAL",
                script.as_bytes(),
                b"4",
                b"t1",
                b"t2",
                b"p",
                b"q",
            ]));
            match round % 2 {
                0 => assert_eq!(admin.ask("ACL SETUSER u -incr"), ok()),
                _ => assert_eq!(admin.ask("ACL DELUSER u"), Value::Integer(1)),
            }
            // Its reply, or the end of its connection: either way nobody sees half of it.
            let _ = client.next();
            let both = admin.ask("MGET t1 t2");
            assert_eq!(both.items()[0], both.items()[1], "{threads} threads");
        }
    }
}
