//! MULTI blocks and watches as clients see them, on one core and on several.

use super::client::{Client, Value, bulk, error, ok, request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

const THREADS: [usize; 2] = [1, 4];

fn queued() -> Value {
    Value::Simple("QUEUED".to_string())
}

/// Sends MULTI, the lines and EXEC in one piece; the reply to EXEC.
fn exec(client: &mut Client, lines: &[&str]) -> Value {
    let mut bytes = request(&[b"MULTI"]);
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        bytes.extend(request(&words));
    }
    bytes.extend(request(&[b"EXEC"]));
    client.send(&bytes);
    assert_eq!(client.reply(), ok());
    for line in lines {
        assert_eq!(client.reply(), queued(), "{line}");
    }
    client.reply()
}

fn integer(number: i64) -> Value {
    Value::Integer(number)
}

/// RESET ends a block; subcommands of that name are commands like others.
#[test]
fn a_subcommand_reset_is_queued() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let lines = [
            "SLOWLOG RESET",
            "LPUSH q 1",
            "LATENCY RESET",
            "COMMANDLOG RESET slow",
        ];
        let expected = [ok(), integer(1), integer(0), ok()];
        assert_eq!(exec(&mut client, &lines), Value::Array(expected.to_vec()));
        assert_eq!(client.ask("MULTI"), ok());
        assert_eq!(client.ask("RESET"), Value::Simple("RESET".to_string()));
        assert_eq!(client.ask("EXEC"), error("ERR EXEC without MULTI"));
    }
}

/// Commands of one shard, of several, of the connection and of the node, in their order, with their errors.
#[test]
fn a_block_runs_in_order_whatever_its_commands_are() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let lines = [
            "SET a 1",
            "SET b 2",
            "MGET a b c",
            "LPUSH a x",
            "RENAME a c",
            "DBSIZE",
            "SELECT 1",
            "SET a 10",
            "DBSIZE",
            "SELECT 0",
            "ECHO words",
            "CONFIG SET maxclients 77",
            "CONFIG GET maxclients",
            "MSETNX c 3 d 4",
            "INCR c",
            "BLPOP none other 0",
            "BLMOVE none other LEFT RIGHT 0",
            "UNWATCH",
            "DEL a b c d",
        ];
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        let expected = vec![
            ok(),
            ok(),
            Value::Array(vec![bulk("1"), bulk("2"), Value::Null]),
            error(wrong_type),
            ok(),
            integer(2),
            ok(),
            ok(),
            integer(1),
            ok(),
            bulk("words"),
            ok(),
            Value::Array(vec![bulk("maxclients"), bulk("77")]),
            integer(0),
            integer(2),
            Value::Null,
            Value::Null,
            ok(),
            integer(2),
        ];
        assert_eq!(exec(&mut client, &lines), Value::Array(expected));
        // Each command was counted, its failure too.
        let stats = client.ask("INFO commandstats").text();
        assert!(stats.contains("cmdstat_set:calls=3,"), "{stats}");
        assert!(stats.contains("cmdstat_exec:calls=1,"), "{stats}");
        let failed = "cmdstat_lpush:calls=1,";
        let line = stats.lines().find(|line| line.starts_with(failed));
        assert!(
            line.is_some_and(|line| line.ends_with("failed_calls=1")),
            "{stats}"
        );
    }
}

/// What cannot be queued is refused at once, and nothing of the block runs.
#[test]
fn a_refused_command_makes_exec_fail() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let aborted = "EXECABORT Transaction discarded because of previous errors.";
        for (line, text) in [
            ("GET", "ERR wrong number of arguments for 'get' command"),
            (
                "NOSUCH a",
                "ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
            ),
            ("SHUTDOWN", "ERR Command not allowed inside a transaction"),
        ] {
            assert_eq!(client.ask("MULTI"), ok());
            assert_eq!(client.ask("SET a 1"), queued());
            assert_eq!(client.ask(line), error(text));
            assert_eq!(client.ask("SET b 1"), queued());
            assert_eq!(client.ask("EXEC"), error(aborted));
        }
        assert_eq!(client.ask("EXISTS a b"), integer(0));
        assert_eq!(client.ask("EXEC"), error("ERR EXEC without MULTI"));
        assert_eq!(client.ask("DISCARD"), error("ERR DISCARD without MULTI"));
        assert_eq!(client.ask("MULTI"), ok());
        let nested = "ERR MULTI calls can not be nested";
        assert_eq!(client.ask("MULTI"), error(nested));
        let watch = "ERR WATCH inside MULTI is not allowed";
        assert_eq!(client.ask("WATCH a"), error(watch));
        assert_eq!(client.ask("EXEC"), Value::Array(Vec::new()));
        assert_eq!(client.ask("MULTI"), ok());
        let arity = "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
        assert_eq!(client.ask("EXEC now"), error(arity));
        assert_eq!(client.ask("PING"), Value::Simple("PONG".to_string()));
    }
}

/// What another client does to a watched key, on whatever shard and in whatever database, and whether EXEC then runs.
#[test]
fn exec_runs_only_if_no_watched_key_was_touched() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let (mut client, mut other) = (server.client(), server.client());
        for (before, watch, touch, runs) in [
            ("SET a 1", "WATCH a b c", "SET b 2", false),
            ("SET a 1", "WATCH a b c", "GET a", true),
            ("SET a 1", "WATCH a b c", "SET d 1", true),
            ("SET a 1", "WATCH a", "DEL a", false),
            ("SET a 1", "WATCH b", "DEL a b", true),
            ("SET a 1", "WATCH b", "RENAME a b", false),
            ("SET a 1", "WATCH a", "RENAME a b", false),
            ("SET a 1", "WATCH a", "COPY a b", true),
            ("SET a 1", "WATCH a", "MOVE a 3", false),
            ("SET a 1", "WATCH a", "EXPIRE a 100", false),
            ("SET a 1", "WATCH a b", "FLUSHALL", false),
            ("SET a 1", "WATCH b c", "FLUSHALL", true),
            ("SET a 1", "WATCH a", "SWAPDB 0 1", false),
            ("SET a 1", "WATCH b", "SWAPDB 0 1", true),
            ("SET a 1", "WATCH a", "SWAPDB 1 2", true),
            ("SADD s x", "WATCH s", "SADD s x", true),
            ("RPUSH l x", "WATCH l m", "LMPOP 2 l m LEFT", false),
            ("RPUSH l x", "WATCH m", "LMPOP 2 l m LEFT", true),
        ] {
            assert_eq!(other.ask("FLUSHALL"), ok());
            other.ask(before);
            assert_eq!(client.ask(watch), ok());
            other.ask(touch);
            let reply = exec(&mut client, &["SET w 1", "SET v 1", "SELECT 0"]);
            let expected = if runs {
                Value::Array(vec![ok(), ok(), ok()])
            } else {
                Value::Null
            };
            assert_eq!(reply, expected, "{watch}, {touch}");
            assert_eq!(other.ask("EXISTS v w"), integer(if runs { 2 } else { 0 }));
        }
        assert_eq!(server.info_number("clients", "watching_clients"), 0);
        assert_eq!(server.info_number("clients", "total_watched_keys"), 0);
    }
}

/// A deadline that passes after WATCH counts as a change, one that had passed before does not.
#[test]
fn a_watched_key_may_expire() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let (mut client, mut other) = (server.client(), server.client());
        for (is_late, expected) in [(false, Value::Null), (true, Value::Array(vec![ok(), ok()]))] {
            let gone = |other: &mut Client| {
                eventually("it has expired", || other.ask("EXISTS a") == integer(0));
            };
            // On a slow machine the first deadlines may pass before WATCH is there.
            for ttl_ms in (0..).map(|tries| 20 << tries) {
                assert_eq!(other.ask(&format!("SET a 1 PX {ttl_ms}")), ok());
                if is_late {
                    gone(&mut other);
                }
                assert_eq!(client.ask("WATCH a far"), ok());
                if is_late || client.ask("EXISTS a") == integer(1) {
                    break;
                }
                assert_eq!(client.ask("UNWATCH"), ok());
            }
            gone(&mut other);
            assert_eq!(exec(&mut client, &["SET w 1", "SET v 1"]), expected);
        }
    }
}

/// DISCARD, UNWATCH, RESET and EXEC forget; a client that goes takes its watches with it.
#[test]
fn watches_are_forgotten() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        for ends in ["DISCARD", "UNWATCH", "RESET", "EXEC"] {
            let mut client = server.client();
            assert_eq!(client.ask("WATCH a b c d"), ok());
            assert_eq!(server.info_number("clients", "watching_clients"), 1);
            assert_eq!(server.info_number("clients", "total_watched_keys"), 4);
            if ends != "UNWATCH" {
                assert_eq!(client.ask("MULTI"), ok());
            }
            client.ask(ends);
            other.ask("MSET a 1 b 1 c 1 d 1");
            assert_eq!(exec(&mut client, &["GET a"]), Value::Array(vec![bulk("1")]));
        }
        let mut client = server.client();
        assert_eq!(client.ask("WATCH a b c d"), ok());
        assert_eq!(client.ask("MULTI"), ok());
        assert_eq!(client.ask("SET a 2"), queued());
        drop(client);
        eventually("its watches have gone", || {
            server.info_number("clients", "total_watched_keys") == 0
        });
        assert_eq!(other.ask("GET a"), bulk("1"));
    }
}

/// INFO counts a key once, however many watch it, and none of a client with a key that was written.
#[test]
fn watched_keys_are_counted_once_and_until_one_is_written() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let counts = |what: &str| {
            let count = server.info_number("clients", "total_watched_keys");
            (count, format!("{what} at {threads}"))
        };
        let mut first = server.client();
        let mut second = server.client();
        assert_eq!(first.ask("WATCH b"), ok());
        assert_eq!(second.ask("WATCH a b c d e"), ok());
        let (count, what) = counts("both");
        assert_eq!(count, 5, "{what}");
        assert_eq!(server.client().ask("SET e 1"), ok());
        let (count, what) = counts("one was touched");
        assert_eq!(count, 1, "{what}");
        assert_eq!(exec(&mut second, &["GET a"]), Value::Null);
        assert_eq!(exec(&mut first, &["GET e"]), Value::Array(vec![bulk("1")]));
        eventually("none is watched", || counts("none").0 == 0);
    }
}

/// CLIENT LIST tells of a block, of what is watched, and that it was touched.
#[test]
fn client_list_shows_blocks_and_watches() {
    let server = Server::start(2, &[]);
    let (mut client, mut other) = (server.client(), server.client());
    let field = |client: &mut Client, name: &str| {
        let row = client.ask("CLIENT INFO").text();
        let start = format!("{name}=");
        let found = row.split(' ').find_map(|word| word.strip_prefix(&start));
        found.expect("a field").to_string()
    };
    assert_eq!(client.ask("WATCH a b"), ok());
    assert_eq!(field(&mut client, "watch"), "2");
    assert_eq!(field(&mut client, "multi"), "-1");
    assert_eq!(other.ask("SET a 1"), ok());
    assert_eq!(field(&mut client, "watch"), "0");
    assert_eq!(field(&mut client, "flags"), "d");
    assert_eq!(client.ask("UNWATCH"), ok());
    let reply = exec(&mut client, &["SET a 1", "CLIENT INFO"]);
    let row = reply.items()[1].text();
    assert!(
        row.contains(" flags=x ") && row.contains(" multi=2 "),
        "{row}"
    );
}

/// Writers move money between accounts on all shards in blocks; whoever sums them up in a block sees all of it.
#[test]
fn readers_see_whole_blocks() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let port = server.port;
        let done = &AtomicBool::new(false);
        let mut first = server.client();
        let accounts: Vec<String> = (0..8).map(|index| format!("account{index}")).collect();
        for account in &accounts {
            assert_eq!(first.ask(&format!("SET {account} 100")), ok());
        }
        std::thread::scope(|scope| {
            for reader in 0..3 {
                let accounts = &accounts;
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let gets: Vec<String> = accounts.iter().map(|a| format!("GET {a}")).collect();
                    let mget = format!("MGET {}", accounts.join(" "));
                    let mut lines: Vec<&str> = gets.iter().map(String::as_str).collect();
                    if reader == 0 {
                        lines.insert(3, "PING");
                    }
                    let mut reads = 0;
                    while !done.load(Ordering::Relaxed) || reads < 10 {
                        let items = match reader {
                            2 => client.ask(&mget),
                            _ => exec(&mut client, &lines),
                        };
                        let numbers = items.items().iter().filter_map(|item| match item {
                            Value::Bulk(_) => item.text().parse::<i64>().ok(),
                            _ => None,
                        });
                        assert_eq!(numbers.sum::<i64>(), 800, "torn: {items:?}");
                        reads += 1;
                    }
                });
            }
            let writers: Vec<_> = (0..4_u64)
                .map(|seed| {
                    let accounts = &accounts;
                    scope.spawn(move || {
                        let mut client = Client::connect(port);
                        let mut rng = Rng::with_seed(seed);
                        for step in 0..150 {
                            let mut any = || &accounts[rng.below(8) as usize];
                            let (from, to) = (any(), any());
                            let take = format!("DECRBY {from} 7");
                            let give = format!("INCRBY {to} 7");
                            let mut lines = vec![take.as_str(), give.as_str()];
                            if step % 3 == 0 {
                                lines.insert(1, "ECHO between");
                            }
                            let reply = exec(&mut client, &lines);
                            assert_eq!(reply.items().len(), lines.len());
                            if step % 10 == 0 {
                                // One that goes before it has its reply.
                                let mut gone = Client::connect(port);
                                let text = format!("MULTI\r\n{take}\r\n{give}\r\nEXEC\r\n");
                                gone.send(text.as_bytes());
                            }
                        }
                    })
                })
                .collect();
            let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            results
                .into_iter()
                .for_each(|result| result.expect("a writer"));
        });
    }
}

/// Clients add to two counters on two shards by reading, computing and writing under WATCH: no addition is lost, and the
/// two stay equal.
#[test]
fn watched_read_modify_write_loses_nothing() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let port = server.port;
        let mut first = server.client();
        assert_eq!(first.ask("MSET left 0 right 0"), ok());
        let added: i64 = std::thread::scope(|scope| {
            let adders: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut client = Client::connect(port);
                        let mut added = 0;
                        for _ in 0..200 {
                            assert_eq!(client.ask("WATCH left right"), ok());
                            let number: i64 =
                                client.ask("GET left").text().parse().expect("digits");
                            let left = format!("SET left {}", number + 1);
                            let right = format!("SET right {}", number + 1);
                            match exec(&mut client, &[&left, &right]) {
                                Value::Null => {}
                                reply => {
                                    assert_eq!(reply, Value::Array(vec![ok(), ok()]));
                                    added += 1;
                                }
                            }
                        }
                        added
                    })
                })
                .collect();
            adders
                .into_iter()
                .map(|adder| adder.join().expect("an adder"))
                .sum()
        });
        assert!(added > 0, "somebody gets through");
        let total = bulk(added.to_string());
        let both = Value::Array(vec![total.clone(), total]);
        assert_eq!(first.ask("MGET left right"), both);
        assert_eq!(server.info_number("clients", "total_watched_keys"), 0);
    }
}

/// Who waits for a key is served after the block that pushes to it, not in between.
#[test]
fn waiters_are_served_after_the_block() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let (mut waiting, mut client) = (server.client(), server.client());
        waiting.send(&request(&[b"BLPOP", b"queue", b"0"]));
        eventually("it waits", || {
            server.info_number("clients", "blocked_clients") == 1
        });
        let lines = [
            "RPUSH queue a",
            "RPUSH far x",
            "ECHO x",
            "LPUSH queue b",
            "LLEN queue",
        ];
        let reply = exec(&mut client, &lines);
        assert_eq!(reply.items()[4], integer(2), "{reply:?}");
        assert_eq!(
            waiting.reply(),
            Value::Array(vec![bulk("queue"), bulk("b")])
        );
    }
}

/// What is queued counts towards the limit of what a client may have sent unread.
#[test]
fn a_block_may_not_grow_for_ever() {
    let server = Server::start(1, &["--client-query-buffer-limit", "1mb"]);
    let mut client = server.client();
    assert_eq!(client.ask("MULTI"), ok());
    let set = request(&[b"SET", b"key", &[b'x'; 60_000]]);
    let mut is_closed = false;
    for _ in 0..40 {
        if client.try_send(&set).is_err() {
            is_closed = true;
            break;
        }
    }
    let counts = || server.info_number("stats", "client_query_buffer_limit_disconnections");
    eventually("it is closed", || is_closed || counts() == 1);
    assert_eq!(server.client().ask("EXISTS key"), integer(0));
}

/// PUBLISH and SUBSCRIBE stand between MULTI and EXEC like anything else.
#[test]
fn blocks_publish() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut listeners: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for listener in &mut listeners {
            let reply = listener.ask("SUBSCRIBE news");
            assert_eq!(reply.items()[2], integer(1));
        }
        let mut client = server.client();
        let reply = exec(
            &mut client,
            &["SET a 1", "PUBLISH news x", "PUBLISH none y", "GET a"],
        );
        let expected = vec![ok(), integer(5), integer(0), bulk("1")];
        assert_eq!(reply, Value::Array(expected));
        for listener in &mut listeners {
            assert_eq!(listener.reply().items()[2], bulk("x"));
        }
        let reply = exec(
            &mut client,
            &["SUBSCRIBE news", "UNSUBSCRIBE news", "PUBSUB NUMSUB news"],
        );
        assert_eq!(reply.items()[0].items()[2], integer(1));
        assert_eq!(reply.items()[2].items()[1], integer(5));
        let reply = exec(
            &mut client,
            &["SSUBSCRIBE shard", "SET a 2", "PUBSUB SHARDNUMSUB shard"],
        );
        let refused = error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
        let nobody = Value::Array(vec![bulk("shard"), integer(0)]);
        assert_eq!(reply, Value::Array(vec![refused, ok(), nobody]));
        assert_eq!(client.ask("GET a"), bulk("2"));
    }
}

/// A user with restricted rights has its blocks run as anybody's: on the one core that has their keys, in one hop. What it
/// has lost the right to since stands in its place.
#[test]
fn blocks_of_a_user_with_few_rights_are_one_hop() {
    for threads in [1, 2, 4] {
        let server = Server::start(threads, &[]);
        let (mut admin, mut client) = (server.client(), server.client());
        assert_eq!(
            admin.ask("ACL SETUSER low on >secret ~k* +@all -flushall"),
            ok()
        );
        assert_eq!(client.ask("AUTH low secret"), ok());
        // Its first key decides where it is served.
        assert_eq!(client.ask("SET k 1"), ok());
        let transactions = || server.info_number("stats", "transactions");
        let before = transactions();
        for index in 0..40 {
            let lines = [
                format!("SET k{{{index}}}a 1"),
                format!("INCR k{{{index}}}b"),
            ];
            let reply = exec(&mut client, &[&lines[0], &lines[1]]);
            assert_eq!(reply, Value::Array(vec![ok(), integer(1)]));
        }
        assert_eq!(transactions(), before);
        for index in 0..40 {
            let lines = [format!("SET k{index}a 1"), format!("INCR k{index}b")];
            for block in [vec![&lines[0], &lines[1]], vec![&lines[1]]] {
                let block: Vec<&str> = block.into_iter().map(String::as_str).collect();
                assert_eq!(client.ask("MULTI"), ok());
                for line in &block {
                    assert_eq!(client.ask(line), queued());
                }
                assert_eq!(admin.ask("ACL SETUSER low -incr"), ok());
                let Value::Array(replies) = client.ask("EXEC") else {
                    panic!("a block that was queued runs");
                };
                let denied = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
                              This command is no longer allowed for the following reason: no permission to execute the command \
                              or subcommand";
                assert_eq!(replies.last(), Some(&error(denied)));
                assert_eq!(replies.len(), block.len());
                assert_eq!(admin.ask("ACL SETUSER low +incr"), ok());
            }
            assert_eq!(client.ask(&format!("GET k{index}b")), Value::Null);
        }
    }
}

/// A client in a block or a script cannot wait for what is freed in the background, so nothing is: on no core.
#[test]
fn what_a_block_flushes_is_not_freed_lazily() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let freed = |client: &mut Client| {
            let Value::Bulk(text) = client.ask("INFO memory") else {
                panic!("INFO replies with a bulk");
            };
            let text = String::from_utf8(text).expect("text");
            let field = text
                .lines()
                .find_map(|line| line.strip_prefix("lazyfreed_objects:"));
            field.expect("the field").to_string()
        };
        let fill = |client: &mut Client| {
            for key in 0..100 {
                assert_eq!(client.ask(&format!("SET key:{key} v")), ok());
            }
        };
        for lines in [
            &["FLUSHALL"][..],
            &["SET other 1", "FLUSHDB SYNC", "SELECT 0"][..],
        ] {
            fill(&mut client);
            exec(&mut client, lines);
            assert_eq!(freed(&mut client), "0", "{threads} threads, {lines:?}");
        }
        fill(&mut client);
        client.ask("EVAL redis.call('FLUSHALL','SYNC') 0");
        assert_eq!(freed(&mut client), "0", "{threads} threads, in a script");
        fill(&mut client);
        assert_eq!(client.ask("FLUSHALL"), ok());
        assert_eq!(freed(&mut client), "100", "{threads} threads");
    }
}

/// A command whose words hide its keys fails beside the others, on whatever shards they are, and leaves no lock there.
#[test]
fn commands_that_hide_their_keys_fail_alone() {
    const UNBALANCED: &str = "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.";
    const NONE: &str = "ERR numkeys should be greater than 0";
    let wrong = [
        ("SINTERCARD 0 s", NONE),
        ("ZMPOP 0 z MIN", NONE),
        ("BLMPOP 0 0 l LEFT", NONE),
        ("ZUNION x z", "ERR value is not an integer or out of range"),
        (
            "ZINTERCARD -1 z",
            "ERR at least 1 input key is needed for 'zintercard' command",
        ),
        ("XREADGROUP GROUP g  NOACK STREAMS x", UNBALANCED),
        ("SCAN ", "ERR invalid cursor"),
    ];
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for (line, text) in wrong {
            let lines = ["SET a 1", line, "SET b 2", "SET c 3"];
            let expected = vec![ok(), error(text), ok(), ok()];
            assert_eq!(exec(&mut client, &lines), Value::Array(expected));
            // What is watched may be elsewhere.
            for key in ["a", "b", "c"] {
                assert_eq!(client.ask(&format!("WATCH {key}")), ok());
                let expected = Value::Array(vec![error(text)]);
                assert_eq!(exec(&mut client, &[line]), expected, "{line}");
            }
        }
        let stats = server.info("commandstats", "cmdstat_sintercard");
        assert!(stats.starts_with("calls=4,"), "{threads} threads: {stats}");
        assert!(stats.ends_with(",failed_calls=4"), "{threads}: {stats}");
        // Beside a script that is in the way of the block's other half.
        for (line, text) in wrong {
            for key in 0..8 {
                let key = format!("{line}{key}");
                let get = format!("return redis.call('GET','{key}')");
                let mut bytes = request(&[b"EVAL", get.as_bytes(), b"0"]);
                bytes.extend(request(&[b"MULTI"]));
                bytes.extend(request(&[b"SET", key.as_bytes(), b"1"]));
                let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
                bytes.extend(request(&words));
                bytes.extend(request(&[b"EXEC"]));
                client.send(&bytes);
                let done = Value::Array(vec![ok(), error(text)]);
                let expected = [Value::Null, ok(), queued(), queued(), done];
                assert_eq!(client.replies(5), expected, "{threads} threads, {line}");
            }
        }
        // Whole shards are to be had again.
        assert_eq!(client.ask("DBSIZE"), integer(3 + 8 * wrong.len() as i64));
    }
}

/// A client that is killed while its WATCH waits for a key takes along what is noted afterwards.
#[test]
fn a_watch_that_waited_goes_with_its_client() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let (mut admin, mut migrating) = (server.client(), server.client());
        assert_eq!(admin.ask("SET held 1"), ok());
        // As long as the other server says nothing, the key is locked.
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = other.local_addr().expect("an address").port();
        let line = format!("MIGRATE 127.0.0.1 {port} held 0 600000\r\n");
        migrating.send(line.as_bytes());
        let (socket, _) = other.accept().expect("the server");
        let mut client = server.client();
        let id = client.ask("CLIENT ID").integer();
        client.send(b"WATCH held a b c d e\r\n");
        eventually("WATCH waits", || {
            admin
                .ask(&format!("CLIENT LIST ID {id}"))
                .text()
                .contains("cmd=watch")
        });
        assert_eq!(admin.ask(&format!("CLIENT KILL ID {id}")), integer(1));
        assert!(client.rest().is_empty());
        drop((socket, other));
        assert!(matches!(migrating.reply(), Value::Error(_)));
        // Comes behind it, and changes nothing of what it watches.
        assert_eq!(admin.ask("SETNX held 2"), integer(0));
        eventually("its watches have gone", || {
            server.info_number("clients", "total_watched_keys") == 0
        });
    }
}
