//! Users: replies as recorded, changes on several cores, the log, what those are denied who wait, block or script.

use super::client::{Client, Next, Value, bulk, error, ok, request};
use super::harness::{Server, eventually};
use std::collections::HashMap;

const GOLDEN: &str = include_str!("golden/acl.txt");
const GOLDEN_OF_DATABASES: &str = include_str!("golden/acl_databases.txt");
pub const THREADS: [usize; 2] = [1, 4];

/// A client that is this user.
pub fn client_of(server: &Server, user: &str, password: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.ask(&format!("AUTH {user} {password}")), ok());
    client
}

pub fn make(server: &Server, rules: &str) {
    assert_eq!(
        server.client().ask(&format!("ACL SETUSER {rules}")),
        ok(),
        "{rules}"
    );
}

/// A field of an entry of ACL LOG, as RESP2 has it.
pub fn field<'v>(entry: &'v Value, name: &str) -> &'v Value {
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
