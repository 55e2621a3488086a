//! Libraries of functions as clients see them, on one core and on several.

use super::client::{Client, Value, bulk, error, ok, request};
use super::harness::{ALWAYS, Server, eventually, run_to_end};
use super::tools::text;
use crate::commands::transcript::{Step, parse_transcript, reply_lines};
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

const THREADS: [usize; 2] = [1, 4];

/// Every reply of a session recorded from Redis 8.0.6.
#[test]
fn replies_are_those_of_redis() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut failures = Vec::new();
        for step in parse_transcript(include_str!("functions.txt")) {
            let Step::Request {
                line, words, reply, ..
            } = step
            else {
                panic!("only requests here: {step:?}");
            };
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            client.send(&request(&words));
            let got = reply_lines(&client.raw_reply());
            if got != reply {
                failures.push(format!("line {line}\n  got  {got:?}\n  want {reply:?}"));
            }
        }
        assert!(
            failures.is_empty(),
            "{threads} threads\n{}",
            failures.join("\n")
        );
    }
}

/// INFO counts what there is, wherever it was loaded and whoever asks.
#[test]
fn figures_know_of_libraries() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let number = |name: &str| server.info_number("memory", name);
        assert_eq!(number("used_memory_vm_functions"), 0);
        load(&mut client, "one", 1);
        load(&mut client, "two", 2);
        assert_eq!(number("number_of_functions"), 2);
        assert_eq!(number("number_of_libraries"), 2);
        let machines = number("used_memory_vm_functions");
        assert!(machines > 0);
        let all = number("used_memory_vm_total");
        assert_eq!(all, number("used_memory_vm_eval") + machines);
        let texts = number("used_memory_functions");
        assert!(texts > 150, "{texts}");
        let scripts = number("used_memory_scripts_eval");
        assert_eq!(number("used_memory_scripts"), texts + scripts);
        client.ask("FUNCTION DELETE one");
        assert_eq!(number("number_of_libraries"), 1);
    }
}

/// Capitals in a function's name make no difference; in a library's they do.
#[test]
fn functions_are_found_by_any_spelling() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    load(&mut client, "Lib", 1);
    for name in ["lib", "LIB", "Lib"] {
        assert_eq!(call(&mut client, name, "key").items()[1], Value::Integer(1));
    }
    let taken = error("ERR Function LIB already exists");
    assert_eq!(load(&mut client, "LIB", 1), taken);
    assert_eq!(
        client.ask("FUNCTION DELETE lib"),
        error("ERR Library not found")
    );
    assert_eq!(client.ask("FUNCTION DELETE Lib"), ok());
    let gone = error("ERR Function not found");
    assert_eq!(call(&mut client, "lib", "key"), gone);
}

/// Above `maxmemory` no library is loaded or restored, but one may be deleted.
#[test]
fn libraries_do_not_grow_above_the_limit() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    load(&mut client, "lib", 1);
    let Value::Bulk(payload) = client.ask("FUNCTION DUMP") else {
        panic!("a payload");
    };
    assert_eq!(client.ask("CONFIG SET maxmemory 1"), ok());
    let refused = error("OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(load(&mut client, "other", 1), refused);
    let restore = client.run(&[b"FUNCTION", b"RESTORE", &payload, b"REPLACE"]);
    assert_eq!(restore, refused);
    assert_eq!(client.ask("FUNCTION DELETE lib"), ok());
}

/// What a file has is there at once, whether it came at start or later, and a library that is there already is an error
/// unless it may be replaced.
#[test]
fn libraries_come_back_from_files() {
    for threads in THREADS {
        let options = ["--enable-debug-command", "yes"];
        let mut server = Server::start(threads, &options);
        let mut client = server.client();
        load(&mut client, "one", 1);
        load(&mut client, "two", 2);
        assert_eq!(client.ask("DEBUG RELOAD"), ok());
        assert_eq!(server.info_number("memory", "number_of_functions"), 2);
        let again = client.ask("DEBUG RELOAD NOFLUSH");
        assert!(
            matches!(&again, Value::Error(text) if text.contains("Error trying to load the RDB")),
            "{again:?}"
        );
        load(&mut client, "three", 3);
        assert_eq!(client.ask("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), ok());
        assert_eq!(server.info_number("memory", "number_of_functions"), 3);
        assert_eq!(client.ask("SAVE"), ok());
        server.signal("KILL");
        assert!(server.restart(threads, &options), "{}", server.log());
        assert_eq!(server.info_number("memory", "number_of_libraries"), 3);
        let mut client = server.client();
        for (index, name) in ["one", "two", "three"].into_iter().enumerate() {
            let result = call(&mut client, name, "key");
            assert_eq!(result.items()[1], Value::Integer(index as i64 + 1));
        }
    }
}

/// Cores that are far behind, and those that are not, end with the same libraries.
#[test]
fn cores_follow_many_changes() {
    let server = Server::start(2, &[]);
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for round in 0..3 {
        for index in 0..300 {
            load(&mut clients[index % 2], &format!("lib{index}"), round);
        }
        for (index, client) in clients.iter_mut().enumerate() {
            for name in ["lib0", "lib7", "lib299"] {
                let reply = call(client, name, &format!("key{index}"));
                assert_eq!(reply.items()[1], Value::Integer(round as i64));
            }
            assert_eq!(client.ask("FUNCTION LIST").items().len(), 300);
        }
    }
}

fn load(client: &mut Client, name: &str, result: usize) -> Value {
    let code = format!(
        "#!lua name={name}\nredis.register_function('{name}', function(keys) return {{redis.call('incr', keys[1]), {result}}} end)"
    );
    client.run(&[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()])
}

fn call(client: &mut Client, name: &str, key: &str) -> Value {
    client.run(&[b"FCALL", name.as_bytes(), b"1", key.as_bytes()])
}

/// A reply to FUNCTION LOAD means that every client, on whatever core, calls what was loaded; keys are on all cores.
#[test]
fn a_library_is_everywhere_once_it_is_loaded() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for round in 1..=20 {
            let loader = round % clients.len();
            assert_eq!(load(&mut clients[loader], "lib", round), bulk("lib"));
            for (index, client) in clients.iter_mut().enumerate() {
                let reply = call(client, "lib", &format!("key{index}"));
                let counted = Value::Integer(round as i64);
                assert_eq!(reply, Value::Array(vec![counted.clone(), counted]));
            }
        }
        let payload = clients[0].run(&[b"FUNCTION", b"DUMP"]);
        let Value::Bulk(payload) = payload else {
            panic!("a payload: {payload:?}");
        };
        assert_eq!(clients[1].run(&[b"FUNCTION", b"FLUSH"]), ok());
        for client in &mut clients {
            assert_eq!(call(client, "lib", "key"), error("ERR Function not found"));
        }
        assert_eq!(clients[2].run(&[b"FUNCTION", b"RESTORE", &payload]), ok());
        for (index, client) in clients.iter_mut().enumerate() {
            let reply = call(client, "lib", &format!("key{index}"));
            let expected = vec![Value::Integer(21), Value::Integer(20)];
            assert_eq!(reply, Value::Array(expected));
        }
    }
}

const LOGGED: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// Each change is in the log by itself, on whatever core it was made; after a kill the same libraries are there, and change on.
#[test]
fn libraries_come_back_from_the_log_of_their_changes() {
    for (threads, then) in [(1, 1), (3, 2), (2, 3)] {
        let mut server = Server::start(threads, LOGGED);
        let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
        // Clients come to be where their keys are.
        for (index, client) in clients.iter_mut().enumerate() {
            client.ask(&format!("GET key{index}"));
        }
        for round in 0..12 {
            load(&mut clients[round % 6], &format!("lib{}", round % 5), round);
            if round == 6 {
                let before = server.rewrites_ended();
                clients[0].ask("BGREWRITEAOF");
                eventually("the log is rewritten", || server.rewrites_ended() > before);
            }
        }
        assert_eq!(clients[1].ask("FUNCTION DELETE lib1"), ok());
        // Another library with its function.
        let code =
            "#!lua name=other\nredis.register_function('lib1', function() return 'other' end)";
        let words: [&[u8]; 3] = [b"FUNCTION", b"LOAD", code.as_bytes()];
        assert_eq!(clients[2].run(&words), bulk("other"));
        for (round, name) in ["lib0", "late", "other"].into_iter().enumerate() {
            let mut listed = clients[3].ask("FUNCTION LIST WITHCODE").items().to_vec();
            server.signal("KILL");
            assert!(server.restart(then, LOGGED), "{}", server.log());
            clients = (0..6).map(|_| server.client()).collect();
            let mut found = clients[4].ask("FUNCTION LIST WITHCODE").items().to_vec();
            let by_text = |value: &Value| format!("{value:?}");
            listed.sort_by_key(by_text);
            found.sort_by_key(by_text);
            assert_eq!(found, listed, "round {round}: {threads} and {then}");
            clients[round].ask(&format!("FUNCTION DELETE {name}"));
            load(&mut clients[round + 1], "late", round);
        }
        let Value::Bulk(payload) = clients[0].ask("FUNCTION DUMP") else {
            panic!("a payload");
        };
        assert_eq!(clients[1].ask("FUNCTION FLUSH"), ok());
        load(&mut clients[2], "last", 1);
        let restore = [b"FUNCTION".as_slice(), b"RESTORE", &payload, b"APPEND"];
        assert_eq!(clients[3].run(&restore), ok());
        let count = clients[0].ask("FUNCTION LIST").items().len();
        server.signal("KILL");
        assert!(server.restart(threads, LOGGED), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("FUNCTION LIST").items().len(), count);
        assert_eq!(call(&mut client, "last", "k").items()[1], Value::Integer(1));
    }
}

/// What a block makes of libraries is in the record of what it makes of keys: there is no moment at which a log has one of both.
#[test]
fn a_library_and_keys_of_one_block_are_one_record() {
    for (threads, then) in [(1, 2), (3, 3), (2, 1)] {
        let mut server = Server::start(threads, LOGGED);
        let mut client = server.client();
        load(&mut client, "before", 1);
        let mut other = server.client();
        other.ask("GET key2");
        load(&mut other, "between", 1);
        client.ask("MULTI");
        for index in 0..4 {
            client.ask(&format!("SET key{index} {index}"));
        }
        load(&mut client, "lib", 1);
        client.ask("SET key4 4");
        load(&mut client, "more", 2);
        assert_eq!(client.ask("EXEC").items().len(), 7);
        // What follows depends on it.
        load(&mut other, "after", 3);
        server.signal("KILL");
        server.wait_for_the_end();
        let (code, said) = run_to_end(&["dump", &text(&server.dir)]);
        assert_eq!(code, Some(0), "{said}");
        let mut records: Vec<Vec<&str>> = Vec::new();
        for line in said.lines() {
            match records.last_mut() {
                Some(record) if line.starts_with(' ') => record.push(line.trim()),
                _ => records.push(Vec::new()),
            }
        }
        let of_block: Vec<_> = (records.iter())
            .filter(|record| record.iter().any(|line| line.contains("name=lib")))
            .collect();
        assert!(!of_block.is_empty(), "{said}");
        for record in of_block {
            let has = |text: &str| record.iter().any(|line| line.contains(text));
            let sets = (0..5).all(|index| has(&format!("SET key{index} {index}")));
            assert!(sets && has("name=more"), "{said}");
        }
        assert!(server.restart(then, LOGGED), "{}", server.log());
        let mut client = server.client();
        let names = ["before", "between", "lib", "more", "after"];
        assert_eq!(client.ask("FUNCTION LIST").items().len(), names.len());
        assert_eq!(
            client.ask("EXISTS key0 key1 key2 key3 key4"),
            Value::Integer(5)
        );
    }
}

/// Many libraries make no change of one of them larger.
#[test]
fn a_change_takes_as_much_of_the_log_as_it_is_large() {
    let server = Server::start(2, &["--appendonly", "yes", "--appendfsync", "no"]);
    let mut client = server.client();
    let text = "-".repeat(4000);
    for index in 0..100 {
        let code = format!(
            "#!lua name=lib{index}\nredis.register_function('f{index}', function() return 1 end) --{text}"
        );
        client.run(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
    }
    // All of them each time would be 20 MB.
    let bytes = server.info_number("persistence", "aof_current_size");
    assert!(bytes < 2_000_000, "{bytes}");
}

/// A library replaced while a call of a pipeline waits for its key, by one whose functions touch what nobody declares: the
/// call does not come to be with the new text behind what followed it. Shown on whatever core the keys are.
#[test]
fn a_replaced_library_lets_nothing_overtake_its_calls() {
    for in_block in [false, true] {
        let server = Server::start(4, &["--busy-reply-threshold", "0"]);
        let mut overtakes_count = 0;
        for (round, key) in ["k1", "k2", "k3", "k4", "k5", "k6"].into_iter().enumerate() {
            let (mut loader, mut caller, mut holder) =
                (server.client(), server.client(), server.client());
            let mut watcher = server.client();
            let other = format!("other{round}");
            let stays = "return redis.call('GET', keys[1])";
            assert_eq!(load_body(&mut loader, stays), bulk("lib"));
            assert_eq!(holder.run(&[b"SET", key.as_bytes(), b"old"]), ok());
            // Its connection goes to the core of its first key.
            let value = caller.ask("GET home");
            assert_eq!(value, Value::Null);
            // Nobody answers, so the key stays locked.
            let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = silent.local_addr().expect("it is bound").port();
            holder.send(format!("MIGRATE 127.0.0.1 {port} {key} 0 60000\r\n").as_bytes());
            let (mut peer, _) = silent.accept().expect("it comes");
            peer.read_exact(&mut [0; 20]).expect("it asks");
            let mark = format!("mark{round}");
            caller.send(
                format!("SET {mark} 1\r\nFCALL f 1 {key}\r\nGET {other}\r\nSET {mark}b 1\r\n")
                    .as_bytes(),
            );
            eventually("the pipeline has begun", || {
                watcher.run(&[b"EXISTS", mark.as_bytes()]) == Value::Integer(1)
            });
            let behind = format!("{mark}b");
            let has_overtaken = (0..50).any(|_| {
                std::thread::sleep(Duration::from_millis(2));
                watcher.run(&[b"EXISTS", behind.as_bytes()]) == Value::Integer(1)
            });
            overtakes_count += usize::from(has_overtaken);
            let leaves = format!("redis.call('SET', '{other}', 'set') return 'new'");
            let code = code_of(&leaves);
            let load: &[&[u8]] = &[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()];
            if in_block {
                loader.send(b"MULTI\r\n");
            }
            loader.send(&request(load));
            if in_block {
                loader.send(b"EXEC\r\n");
            }
            // Time enough to replace it, were nothing in the way.
            std::thread::sleep(Duration::from_millis(20));
            drop((peer, silent));
            assert!(matches!(holder.reply(), Value::Error(_)));
            assert_eq!(caller.reply(), ok());
            let (called, behind) = (caller.reply(), caller.reply());
            let is_in_order = match &called {
                Value::Bulk(text) if text == b"new" => behind == bulk("set"),
                Value::Bulk(text) => text == b"old" && behind == Value::Null,
                _ => false,
            };
            assert!(is_in_order, "{key}: {called:?}, then {behind:?}");
            assert_eq!(caller.reply(), ok());
            match in_block {
                true => {
                    let last = loader.replies(3).pop();
                    assert_eq!(last, Some(Value::Array(vec![bulk("lib")])));
                }
                false => assert_eq!(loader.reply(), bulk("lib")),
            }
            assert_eq!(caller.ask(&format!("FCALL f 1 {key}")), bulk("new"));
        }
        assert!(overtakes_count > 0, "no key was on another core");
    }
}

/// Calls that want two keys, one declared and one not, in opposite orders, while the library is replaced from one that is
/// known to keep to its keys to one that does not: all of them end.
#[test]
fn functions_replaced_under_load_do_not_wait_for_each_other() {
    let server = Server::start(4, &["--busy-reply-threshold", "0"]);
    let stays = "redis.call('INCR', keys[1]) redis.call('INCR', keys[2]) return 1";
    let leaves = "redis.call('INCR', keys[1]) redis.call('INCR', args[1]) return 2";
    load_body(&mut server.client(), stays);
    let callers: Vec<_> = (0..4)
        .map(|index| {
            let mut client = server.client();
            std::thread::spawn(move || {
                let names = ["a", "b", "c", "d"];
                for round in 0..150 {
                    let first = names[(index + round) % 4];
                    let second = names[(index + round + 1 + round % 3) % 4];
                    client.send(format!("FCALL f 2 {first} x{second} {second}\r\n").as_bytes());
                    client.send(format!("FCALL f 2 {second} x{first} {first}\r\n").as_bytes());
                }
                for reply in client.replies(300) {
                    assert!(matches!(reply, Value::Integer(1 | 2)), "{reply:?}");
                }
            })
        })
        .collect();
    let mut loader = server.client();
    let mut round = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        round += 1;
        let body = [stays, leaves][round % 2];
        assert_eq!(load_body(&mut loader, body), bulk("lib"));
    }
    for caller in callers {
        caller.join().expect("all replies are there");
    }
}

fn code_of(body: &str) -> String {
    format!("#!lua name=lib\nredis.register_function('f', function(keys, args) {body} end)")
}

fn load_body(client: &mut Client, body: &str) -> Value {
    client.run(&[b"FUNCTION", b"LOAD", b"REPLACE", code_of(body).as_bytes()])
}

/// Save points count changes of libraries as those of keys: a library alone is saved too.
#[test]
fn a_change_of_libraries_is_a_change() {
    let server = Server::start(2, &["--save", ""]);
    let mut client = server.client();
    let mut changes = 0;
    let mut check = |client: &mut Client, request: &[&[u8]], count: i64| {
        let reply = client.run(request);
        assert!(!matches!(reply, Value::Error(_)) || count == 0, "{reply:?}");
        changes += count;
        let found = server.info_number("persistence", "rdb_changes_since_last_save");
        assert_eq!(found, changes, "{request:?}");
        reply
    };
    let code: &[u8] = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";
    check(&mut client, &[b"FUNCTION", b"LOAD", code], 1);
    check(&mut client, &[b"FUNCTION", b"LOAD", code], 0);
    check(&mut client, &[b"FUNCTION", b"LOAD", b"REPLACE", code], 1);
    let Value::Bulk(dump) = check(&mut client, &[b"FUNCTION", b"DUMP"], 0) else {
        panic!("a payload");
    };
    check(&mut client, &[b"FUNCTION", b"DELETE", b"l"], 1);
    check(&mut client, &[b"FUNCTION", b"DELETE", b"l"], 0);
    check(&mut client, &[b"FUNCTION", b"RESTORE", &dump], 1);
    check(&mut client, &[b"FUNCTION", b"FLUSH"], 1);
    check(&mut client, &[b"FUNCTION", b"FLUSH"], 1);
}

const KEPT: &str = "redis.call('set', keys[1], 'x') return 'old'";
const LEAVING: &str = "redis.call('set', keys[1], 'x') for i = 1, 200 do redis.call('get', keys[1]) end \
                       redis.call('set', args[1], 'x') return 'new'";

/// A library of a function that takes long on two cores, and of one with this body.
fn load_two(client: &mut Client, body: &str) {
    let code = format!(
        "#!lua name=two\nredis.register_function('slow', function(keys) for i = 1, 1000 do redis.call('get', keys[1]) \
         redis.call('get', keys[2]) end return 1 end)\n\
         redis.register_function('quick', function(keys, args) {body} end)"
    );
    let loaded = client.run(&[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()]);
    assert_eq!(loaded, bulk("two"));
}

/// Blocks on the way while their library is replaced: they call one version from their begin to their end, and do not wait for
/// each other.
#[test]
fn a_block_calls_one_version_of_its_functions() {
    for threads in [1, 2, 4] {
        let server = Server::start(threads, &[]);
        load_two(&mut server.client(), KEPT);
        let callers: Vec<_> = [("a", "b"), ("b", "a")]
            .into_iter()
            .map(|(key, other)| {
                let mut client = server.client();
                std::thread::spawn(move || {
                    for _ in 0..10 {
                        let quick = format!("FCALL quick 1 {key} {other}\r\n");
                        let slow = format!("FCALL slow 2 p{key} q{key}\r\n");
                        client.send(format!("MULTI\r\n{quick}{slow}{quick}EXEC\r\n").as_bytes());
                        let replies = client.replies(5);
                        let done = replies[4].items();
                        assert_eq!(done.len(), 3, "{replies:?}");
                        assert_eq!(done[0], done[2]);
                    }
                })
            })
            .collect();
        let mut loader = server.client();
        let mut round = 0;
        while callers.iter().any(|caller| !caller.is_finished()) {
            round += 1;
            load_two(&mut loader, [KEPT, LEAVING][round % 2]);
        }
        for caller in callers {
            caller.join().expect("all replies are there");
        }
    }
}

/// What a block makes of libraries is nobody else's before it has ended: nobody learns of one that a kill could take back.
#[test]
fn nobody_learns_of_a_library_before_its_block_has_ended() {
    let spin = "local n = 0 for i = 1, 30000000 do n = n + i end return n";
    for threads in [1, 3] {
        let mut server = Server::start(threads, ALWAYS);
        let mut others: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (index, other) in others.iter_mut().enumerate() {
            other.ask(&format!("GET key{index}"));
        }
        let mut client = server.client();
        client.ask("MULTI");
        load(&mut client, "lib", 1);
        client.ask("SET key0 1");
        client.run(&[b"EVAL", spin.as_bytes(), b"0"]);
        client.send(b"EXEC\r\n");
        let mut sees = |client: &mut Client| match client.ask("FUNCTION LIST") {
            Value::Array(libraries) => !libraries.is_empty(),
            _ => false, // A script is busy.
        };
        while !others.iter_mut().any(&mut sees) {}
        server.signal("KILL");
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("FUNCTION LIST").items().len(), 1);
        assert_eq!(client.ask("GET key0"), bulk("1"));
    }
}
