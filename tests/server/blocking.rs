//! Clients that wait for lists: order of arrival, one claimant, timeouts, ends.

use super::client::{Client, Next, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn wait_until_blocked(server: &Server, count: i64) {
    eventually("so many clients wait", || {
        server.info_number("clients", "blocked_clients") == count
    });
}

fn send(client: &mut Client, line: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    client.send(&request(&words));
}

fn pair(key: &str, element: &str) -> Value {
    Value::Array(vec![bulk(key), bulk(element)])
}

/// Twenty clients wait for one key, on several cores; each push goes to the one that has waited longest.
#[test]
fn whoever_came_first_is_served_first() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut waiting: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for (index, client) in waiting.iter_mut().enumerate() {
            // Every other one names a key of another shard, too.
            let line = ["BLPOP queue 0", "BLPOP other queue 0"][index % 2];
            send(client, line);
            wait_until_blocked(&server, index as i64 + 1);
        }
        let mut pusher = server.client();
        for index in 0..10 {
            assert_eq!(
                pusher.ask(&format!("RPUSH queue {} {}", 2 * index, 2 * index + 1)),
                Value::Integer(2)
            );
        }
        for (index, client) in waiting.iter_mut().enumerate() {
            assert_eq!(client.reply(), pair("queue", &index.to_string()));
        }
        assert_eq!(pusher.ask("EXISTS queue"), Value::Integer(0));
        wait_until_blocked(&server, 0);
        assert_eq!(server.info_number("clients", "total_blocking_keys"), 0);
    }
}

/// A key that has come to hold another type is an error once one that the client named later has something, which stays; for
/// readers of streams in whatever order. The keys are of one core and of several. Recorded from Redis 8.0.6.
#[test]
fn a_key_of_another_type_is_met_when_another_has_something() {
    let wrong_type = || error("WRONGTYPE Operation against a key holding the wrong kind of value");
    let cases = [
        ("BLPOP KEYS 0", "RPUSH new x"),
        ("BRPOP KEYS 0", "RPUSH new x"),
        ("BLMPOP 0 2 KEYS LEFT", "RPUSH new x"),
        ("BZPOPMIN KEYS 0", "ZADD new 1 x"),
        ("BZPOPMAX KEYS 0", "ZADD new 1 x"),
        ("BZMPOP 0 2 KEYS MIN", "ZADD new 1 x"),
        ("XREAD BLOCK 0 STREAMS KEYS $ $", "XADD new 1-0 f v"),
        ("XREAD BLOCK 0 STREAMS KEYS 0-0 $", "XADD new 1-0 f v"),
    ];
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        for (index, (waits, fills)) in cases.iter().cycle().take(4 * cases.len()).enumerate() {
            let (wrong, new) = (format!("wrong{index}"), format!("new{index}"));
            let fills = fills.replace("new", &new);
            let reads = waits.starts_with('X');
            for is_first in [true, false] {
                let keys = match is_first {
                    true => format!("{wrong} {new}"),
                    false => format!("{new} {wrong}"),
                };
                let mut client = server.client();
                send(&mut client, &waits.replace("KEYS", &keys));
                wait_until_blocked(&server, 1);
                assert_eq!(other.ask(&format!("SET {wrong} text")), ok());
                assert_eq!(other.ask(&format!("SET {new} text")), ok());
                assert_eq!(other.ask(&format!("DEL {new}")), Value::Integer(1));
                assert!(!matches!(other.ask(&fills), Value::Error(_)));
                let is_error = is_first || reads;
                let reply = client.reply();
                assert_eq!(reply == wrong_type(), is_error, "{waits} {keys}: {reply:?}");
                let is_left = Value::Integer(i64::from(is_error));
                assert_eq!(other.ask(&format!("EXISTS {new}")), is_left);
                assert_eq!(other.ask(&format!("DEL {wrong}")), Value::Integer(1));
                assert_eq!(other.ask(&format!("DEL {new}")), is_left);

                // What was of another type and has gone is nothing.
                send(&mut client, &waits.replace("KEYS", &keys));
                wait_until_blocked(&server, 1);
                for _ in 0..2 {
                    assert_eq!(other.ask(&format!("SET {wrong} text")), ok());
                    assert_eq!(other.ask(&format!("DEL {wrong}")), Value::Integer(1));
                }
                assert!(!matches!(other.ask(&fills), Value::Error(_)));
                let reply = client.reply();
                assert!(matches!(reply, Value::Array(_)), "{waits}: {reply:?}");
                other.ask(&format!("DEL {new}"));
            }
        }
        wait_until_blocked(&server, 0);
    }
}

/// A timeout comes, not before its time, as nothing; what is behind it on the connection runs after it.
#[test]
fn a_timeout_is_nothing_and_the_pipeline_goes_on() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for line in [
            "BLPOP a b c 0.05",
            "BLMOVE a b LEFT RIGHT 0.05",
            "BLMPOP 0.05 2 a b LEFT",
        ] {
            let begin = Instant::now();
            let mut bytes = Vec::new();
            push_request(&mut bytes, &[b"SET", b"before", b"1"]);
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            push_request(&mut bytes, &words);
            push_request(&mut bytes, &[b"INCR", b"after"]);
            client.send(&bytes);
            assert_eq!(client.reply(), ok());
            assert_eq!(client.reply(), Value::Null, "{line}");
            assert!(begin.elapsed() >= Duration::from_millis(50), "{line}");
            assert!(matches!(client.reply(), Value::Integer(_)));
        }
        assert_eq!(client.ask("GET after"), bulk("3"));
    }
}

/// The element that comes for a client that has gone stays.
#[test]
fn nothing_goes_to_those_that_have_gone() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        for kill in [false, true] {
            let mut client = server.client();
            let id = client.ask("CLIENT ID").integer();
            send(&mut client, "BLPOP a b c d 0");
            wait_until_blocked(&server, 1);
            if kill {
                let killed = other.ask(&format!("CLIENT KILL ID {id}"));
                assert_eq!(killed, Value::Integer(1));
            } else {
                drop(client);
                wait_until_blocked(&server, 0);
            }
            for key in ["a", "b", "c", "d"] {
                assert_eq!(other.ask(&format!("RPUSH {key} x")), Value::Integer(1));
            }
            for key in ["a", "b", "c", "d"] {
                assert_eq!(other.ask(&format!("LPOP {key}")), bulk("x"));
            }
        }
    }
}

#[test]
fn client_unblock_ends_a_wait() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut client = server.client();
        let id = client.ask("CLIENT ID").integer();
        assert_eq!(
            other.ask(&format!("CLIENT UNBLOCK {id}")),
            Value::Integer(0)
        );
        send(&mut client, "BRPOP a b 0");
        wait_until_blocked(&server, 1);
        assert_eq!(
            other.ask(&format!("CLIENT UNBLOCK {id}")),
            Value::Integer(1)
        );
        assert_eq!(client.reply(), Value::Null);
        send(&mut client, "BRPOP a b 0");
        wait_until_blocked(&server, 1);
        let unblocked = other.ask(&format!("CLIENT UNBLOCK {id} ERROR"));
        assert_eq!(unblocked, Value::Integer(1));
        let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
        assert_eq!(client.reply(), error(text));
        assert_eq!(client.ask("PING"), Value::Simple("PONG".to_string()));
    }
}

/// A key that comes to hold something else does not end the wait; that it does is seen once another key has something, and
/// so is a destination's.
#[test]
fn types_matter_when_they_are_needed() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut client = server.client();
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        for (line, push) in [
            ("BLPOP {t}a {t}b 0", "RPUSH {t}b 1"),
            ("BLMPOP 0 2 {t}a {t}b LEFT", "RPUSH {t}b 1"),
            ("BZPOPMIN {t}a {t}b 0", "ZADD {t}b 1 m"),
            ("XREAD BLOCK 0 STREAMS {t}b {t}a 0 0", "XADD {t}b 1-1 f v"),
        ] {
            other.ask("FLUSHALL");
            send(&mut client, line);
            wait_until_blocked(&server, 1);
            assert_eq!(other.ask("SET {t}a text"), ok());
            wait_until_blocked(&server, 1);
            other.ask(push);
            assert_eq!(client.reply(), error(wrong), "{line}");
            assert_eq!(other.ask("EXISTS {t}b"), Value::Integer(1));
        }
        send(&mut client, "BLPOP {t}b {t}a 0");
        assert_eq!(client.reply(), error(wrong), "it holds a stream");
        other.ask("DEL {t}b");
        for destination in 0..8 {
            let key = format!("destination:{destination}");
            assert_eq!(other.ask(&format!("SET {key} text")), ok());
            send(&mut client, &format!("BLMOVE source {key} LEFT RIGHT 0"));
            wait_until_blocked(&server, 1);
            assert_eq!(other.ask("RPUSH source 1"), Value::Integer(1));
            assert_eq!(client.reply(), error(wrong));
            assert_eq!(other.ask("LPOP source"), bulk("1"));
        }
    }
}

/// A client that waits for several keys has the first of them by its own order, whatever order a block fills them in.
#[test]
fn what_a_block_fills_is_taken_in_the_order_of_the_wish() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut client = server.client();
        for round in 0..20 {
            let (first, second) = (format!("first:{round}"), format!("second:{round}"));
            let (wish, fill) = match round % 2 {
                0 => ("BLPOP", "RPUSH"),
                _ => ("BZPOPMAX", "ZADD"),
            };
            let value = if round % 2 == 0 { "x" } else { "1 x" };
            send(&mut client, &format!("{wish} {first} {second} 0"));
            wait_until_blocked(&server, 1);
            assert_eq!(other.ask("MULTI"), ok());
            other.ask(&format!("{fill} {second} {value}"));
            other.ask(&format!("{fill} {first} {value}"));
            other.ask("EXEC");
            assert_eq!(client.reply().items()[0], bulk(&first), "round {round}");
            assert_eq!(other.ask(&format!("EXISTS {second}")), Value::Integer(1));
        }
    }
}

/// What one waiting client pushes is what the next one waits for, over every shard.
#[test]
fn moves_go_on_in_a_chain() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut chain: Vec<Client> = Vec::new();
        for step in 0..8 {
            let mut client = server.client();
            let line = format!("BLMOVE list:{step} list:{} LEFT RIGHT 0", step + 1);
            send(&mut client, &line);
            chain.push(client);
            wait_until_blocked(&server, step + 1);
        }
        let mut last = server.client();
        send(&mut last, "BLPOP list:8 0");
        wait_until_blocked(&server, 9);
        assert_eq!(other.ask("RPUSH list:0 x"), Value::Integer(1));
        assert_eq!(last.reply(), pair("list:8", "x"));
        for client in &mut chain {
            assert_eq!(client.reply(), bulk("x"));
        }
        assert_eq!(other.ask("DBSIZE"), Value::Integer(0));
    }
}

/// LMOVEM says `no elements` where it finds none; its form that waits does not take that for its answer, wherever the two
/// lists live.
#[test]
fn moves_of_several_wait_for_the_first() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        for step in 0..8 {
            let mut client = server.client();
            send(
                &mut client,
                &format!("BLMOVEM list to:{step} LEFT RIGHT 0 COUNT 5 OBO"),
            );
            wait_until_blocked(&server, 1);
            assert_eq!(other.ask("RPUSH list a b"), Value::Integer(2));
            let moved = Value::Array(vec![bulk("a"), bulk("b")]);
            assert_eq!(client.reply(), moved, "to:{step}");
            let there = other.ask(&format!("LLEN to:{step}"));
            assert_eq!(there, Value::Integer(2));
            send(
                &mut client,
                &format!("BLMOVEM list to:{step} LEFT RIGHT 0.01"),
            );
            assert_eq!(client.reply(), Value::Null, "to:{step}");
        }
    }
}

/// A key may come to hold a list by any command that puts one there, in any database.
#[test]
fn whatever_makes_a_list_wakes() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut client = server.client();
        for line in [
            "RENAME ready key",
            "COPY ready key",
            "LMOVE ready key LEFT LEFT",
            "RPOPLPUSH ready key",
        ] {
            assert_eq!(other.ask("DEL ready"), Value::Integer(0));
            assert_eq!(other.ask("RPUSH ready 1"), Value::Integer(1));
            send(&mut client, "BLPOP key other 0");
            wait_until_blocked(&server, 1);
            other.ask(line);
            assert_eq!(client.reply(), pair("key", "1"), "{line}");
            other.ask("DEL ready");
        }
        for line in ["MOVE key 1", "SWAPDB 0 1", "COPY key key DB 1"] {
            assert_eq!(other.ask("RPUSH key 1"), Value::Integer(1));
            assert_eq!(client.ask("SELECT 1"), ok());
            send(&mut client, "BLPOP key other 0");
            wait_until_blocked(&server, 1);
            other.ask(line);
            assert_eq!(client.reply(), pair("key", "1"), "{line}");
            assert_eq!(client.ask("SELECT 0"), ok());
            other.ask("DEL key");
        }
    }
}

/// A thousand clients over four shards wait for four keys each; many are killed or leave, all the while elements are pushed.
/// Every element arrives once, or is in its list at the end.
#[test]
fn every_element_arrives_once() {
    const CLIENTS: usize = 1000;
    const ELEMENTS: usize = 3000;
    let server = Server::start(4, &[]);
    let (port, lists) = (server.port, 16);
    let got: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (got, is_over) = (&got, &is_over);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(worker);
                let mut clients: Vec<Client> = Vec::new();
                let wait = |rng: &mut Rng| {
                    let mut client = Client::connect(port);
                    client.set_reply_timeout(Duration::from_millis(20));
                    let keys: Vec<String> = (0..4)
                        .map(|_| format!("list:{}", rng.below(lists)))
                        .collect();
                    let line = format!("BLPOP {} 0", keys.join(" "));
                    send(&mut client, &line);
                    client
                };
                clients.resize_with(CLIENTS / 8, || wait(&mut rng));
                while !is_over.load(Ordering::Relaxed) {
                    let index = rng.below(clients.len() as u64) as usize;
                    match rng.below(4) {
                        // It says that it goes, and is told whether it still waited.
                        0 => {
                            let client = std::mem::replace(&mut clients[index], wait(&mut rng));
                            collect(client, got);
                        }
                        _ => {
                            if let Some(element) = take(&mut clients[index]) {
                                *got.lock().expect("no panic").entry(element).or_default() += 1;
                                clients[index] = wait(&mut rng);
                            }
                        }
                    }
                }
                for client in clients {
                    collect(client, got);
                }
            });
        }
        let mut rng = Rng::with_seed(99);
        let mut pusher = Client::connect(port);
        for element in 0..ELEMENTS {
            pusher.ask(&format!("RPUSH list:{} {element}", rng.below(lists)));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    wait_until_blocked(&server, 0);
    let mut got = got.into_inner().expect("no panic");
    let mut client = server.client();
    for list in 0..lists {
        for element in client.ask(&format!("LRANGE list:{list} 0 -1")).items() {
            *got.entry(element.text()).or_default() += 1;
        }
    }
    let twice: Vec<_> = got.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(got.len(), ELEMENTS, "all elements are somewhere");
}

/// The element of a reply that has come.
fn take(client: &mut Client) -> Option<String> {
    let waited = client.try_next()?;
    match waited {
        Next::Reply(Value::Array(items)) => Some(items[1].text()),
        Next::Reply(other) => panic!("{other:?}"),
        Next::Closed => panic!("the server closed a waiting client"),
    }
}

/// Ends a client in an orderly way: it is unblocked from outside, and whatever it was given before that is kept.
fn collect(mut client: Client, got: &Mutex<BTreeMap<String, usize>>) {
    client.shut_write();
    client.set_reply_timeout(Duration::from_secs(10));
    // The end of the input ends the wait; an element that came before it has been sent.
    if let Next::Reply(Value::Array(items)) = client.next() {
        let element = items[1].text();
        *got.lock().expect("no panic").entry(element).or_default() += 1;
    }
}

/// Lists, sorted sets and streams are waited for alike; a client that waits for another type is passed over.
#[test]
fn every_type_that_can_be_waited_for_is() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        other.ask("XGROUP CREATE key:stream group $ MKSTREAM");
        let lines = [
            "BZPOPMIN key other:1 0",
            "BLPOP key other:2 0",
            "XREAD BLOCK 0 STREAMS other:3 key $ $",
            "XREADGROUP GROUP group consumer BLOCK 0 STREAMS key:stream >",
        ];
        for (index, line) in lines.iter().enumerate() {
            send(&mut clients[index], line);
            wait_until_blocked(&server, index as i64 + 1);
        }
        assert_eq!(other.ask("RPUSH key element"), Value::Integer(1));
        assert_eq!(clients[1].reply(), pair("key", "element"));
        assert_eq!(other.ask("ZADD key 1 member"), Value::Integer(1));
        let popped = vec![bulk("key"), bulk("member"), bulk("1")];
        assert_eq!(clients[0].reply(), Value::Array(popped));
        let entry = |id: &str| {
            let fields = Value::Array(vec![bulk("field"), bulk("value")]);
            Value::Array(vec![Value::Array(vec![bulk(id), fields])])
        };
        let part =
            |key: &str, id: &str| Value::Array(vec![Value::Array(vec![bulk(key), entry(id)])]);
        assert_eq!(other.ask("XADD key 5-1 field value"), bulk("5-1"));
        assert_eq!(clients[2].reply(), part("key", "5-1"));
        assert_eq!(other.ask("XADD key:stream 6-1 field value"), bulk("6-1"));
        assert_eq!(clients[3].reply(), part("key:stream", "6-1"));
        wait_until_blocked(&server, 0);
    }
}

/// A group that goes while its readers wait is an error for them.
#[test]
fn readers_of_a_group_are_told_that_it_has_gone() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        let mut client = server.client();
        for line in [
            "DEL key",
            "XGROUP DESTROY key group",
            "FLUSHALL",
            "SET key text",
        ] {
            other.ask("DEL key");
            assert_eq!(other.ask("XGROUP CREATE key group $ MKSTREAM"), ok());
            send(
                &mut client,
                "XREADGROUP GROUP group consumer BLOCK 0 STREAMS key >",
            );
            wait_until_blocked(&server, 1);
            other.ask(line);
            let reply = client.reply();
            let Value::Error(text) = &reply else {
                panic!("{line}: {reply:?}");
            };
            let code = if line.starts_with("SET") {
                "WRONGTYPE"
            } else {
                "NOGROUP"
            };
            assert!(text.starts_with(code), "{line}: {text}");
        }
    }
}

/// A key that a block makes and outlives is no element for those who wait for it.
#[test]
fn what_expires_within_a_block_wakes_nobody() {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut other = server.client();
        let mut client = server.client();
        send(&mut client, "BLPOP key 1");
        wait_until_blocked(&server, 1);
        assert_eq!(other.ask("MULTI"), ok());
        for line in ["RPUSH key x", "PEXPIRE key 20", "DEBUG SLEEP 0.1"] {
            assert_eq!(other.ask(line), Value::Simple("QUEUED".to_string()));
        }
        assert_eq!(other.ask("EXEC").items().len(), 3);
        assert_eq!(client.reply(), Value::Null);
    }
}

/// Who comes later waits for two keys of a core, and is not given from the first what the one before it, whose destination is on
/// another core, is about to be given.
#[test]
fn who_waits_for_two_keys_leaves_the_first_to_whoever_waits_longer() {
    let server = Server::start(2, &[]);
    let mut pusher = server.client();
    for round in 0..12 {
        let mut moving = server.client();
        // On the other core every other time.
        send(&mut moving, &format!("BLMOVE s d{round} LEFT LEFT 0"));
        wait_until_blocked(&server, 1);
        let mut popping = server.client();
        send(&mut popping, "BLPOP s {s}k 0");
        wait_until_blocked(&server, 2);
        match round % 3 {
            0 => pusher.send(b"RPUSH s v\r\nRPUSH {s}k w\r\n"),
            1 => pusher.send(b"MULTI\r\nRPUSH s v\r\nRPUSH {s}k w\r\nEXEC\r\n"),
            _ => pusher.send(
                b"EVAL \"redis.call('rpush', 's', 'v') redis.call('rpush', '{s}k', 'w')\" 0\r\n",
            ),
        }
        assert_eq!(moving.reply(), bulk("v"), "round {round}");
        assert_eq!(popping.reply(), pair("{s}k", "w"), "round {round}");
        for _ in 0..[2, 4, 1][round % 3] {
            pusher.reply();
        }
    }
}

/// Too few elements are looked at once, and whoever comes behind gets them.
#[test]
fn too_few_elements_are_left_to_whoever_comes_behind() {
    for threads in [1, 2, 4] {
        let server = Server::start(threads, &[]);
        let mut pusher = server.client();
        for round in 0..6 {
            let mut moving = server.client();
            send(
                &mut moving,
                &format!("BLMOVEM src d{round} LEFT RIGHT 0 EXACTLY 3 OBO"),
            );
            wait_until_blocked(&server, 1);
            let mut popping = server.client();
            send(&mut popping, "BLPOP src 0");
            wait_until_blocked(&server, 2);
            assert_eq!(pusher.ask("RPUSH src x"), Value::Integer(1));
            assert_eq!(popping.reply(), pair("src", "x"), "{threads} threads");
            for count in 1..=2 {
                assert_eq!(pusher.ask("RPUSH src y"), Value::Integer(count));
            }
            pusher.ask("RPUSH src z");
            let moved = ["y", "y", "z"].map(bulk);
            assert_eq!(moving.reply(), Value::Array(moved.to_vec()), "{threads}");
        }
    }
}
