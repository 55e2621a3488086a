//! Much at once: floods, very wide requests, databases, protocols, deadlines and scans over every core.

use super::client::{Client, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;
use std::collections::{BTreeMap, HashSet};

/// 300 MB of requests for other cores in a few seconds: queues are bounded, so memory follows what is stored.
#[test]
fn a_flood_of_large_requests_is_held_back() {
    let server = Server::start(5, &[]);
    let port = server.port;
    let before = server.memory_bytes("VmHWM");
    std::thread::scope(|scope| {
        for worker in 0..6_u64 {
            scope.spawn(move || {
                let mut rng = Rng::with_seed(worker);
                let mut client = Client::connect(port);
                let value = vec![b'f'; 200_000];
                for _ in 0..5 {
                    let mut bytes = Vec::new();
                    let mut lengths = Vec::new();
                    for _ in 0..50 {
                        let length = 150_000 + rng.below(50_000) as usize;
                        let key = format!("flood:{worker}:{}", rng.below(6));
                        push_request(&mut bytes, &[b"SET", key.as_bytes(), &value[..length]]);
                        push_request(&mut bytes, &[b"STRLEN", key.as_bytes()]);
                        lengths.push(length as i64);
                    }
                    client.send(&bytes);
                    for length in lengths {
                        assert_eq!(client.reply(), ok());
                        assert_eq!(client.reply(), Value::Integer(length));
                    }
                }
            });
        }
    });
    let peak = server.memory_bytes("VmHWM") - before;
    println!("{peak} bytes at the peak");
    assert!(peak < 150 << 20, "{peak} bytes for 36 values of 200 KB");
}

/// Requests of 100,000 words, over every shard.
#[test]
fn very_wide_requests_work() {
    for threads in [1, 2, 5] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let count = 50_000;
        let names: Vec<String> = (0..count).map(|index| format!("wide:{index}")).collect();
        let mut mset: Vec<&[u8]> = vec![b"MSET"];
        let mut mget: Vec<&[u8]> = vec![b"MGET"];
        for name in &names {
            mset.extend([name.as_bytes(), name.as_bytes()]);
            mget.push(name.as_bytes());
        }
        assert_eq!(client.run(&mset), ok());
        assert_eq!(client.ask("DBSIZE"), Value::Integer(count));
        let all = client.run(&mget);
        assert!(all == Value::Array(names.iter().map(bulk).collect()));
        mget[0] = b"EXISTS";
        assert_eq!(client.run(&mget), Value::Integer(count));
        let Value::Array(keys) = client.ask("KEYS wide:*") else {
            panic!("KEYS gives an array");
        };
        assert_eq!(keys.len() as i64, count);
        mget[0] = b"DEL";
        assert_eq!(client.run(&mget), Value::Integer(count));
        assert_eq!(client.ask("DBSIZE"), Value::Integer(0));
    }
}

/// Databases in one pipeline: selected, swapped, emptied, keys moved between them.
fn check_databases(threads: usize, seed: u64) {
    let server = Server::start(threads, &[]);
    let mut client = server.client();
    let mut model: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); 4];
    let mut selected = 0;
    let mut rng = Rng::with_seed(seed);
    for round in 0..60 {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..50 {
            let (a, b) = (
                format!("d:{}", rng.below(12)),
                format!("d:{}", rng.below(12)),
            );
            let db = rng.below(4) as usize;
            let get =
                |map: &BTreeMap<String, String>, key: &str| map.get(key).map_or(Value::Null, bulk);
            let (line, reply) = match rng.below(16) {
                0..=2 => {
                    selected = db;
                    (format!("SELECT {db}"), ok())
                }
                3..=6 => {
                    model[selected].insert(a.clone(), b.clone());
                    (format!("SET {a} {b}"), ok())
                }
                7..=9 => (format!("GET {a}"), get(&model[selected], &a)),
                10 => {
                    let reply = vec![get(&model[selected], &a), get(&model[selected], &b)];
                    (format!("MGET {a} {b}"), Value::Array(reply))
                }
                11 => {
                    let count = i64::from(model[selected].remove(&a).is_some());
                    (format!("DEL {a} {a}"), Value::Integer(count))
                }
                12 if db != selected => {
                    let moves = model[selected].contains_key(&a) && !model[db].contains_key(&a);
                    if moves && let Some(value) = model[selected].remove(&a) {
                        model[db].insert(a.clone(), value);
                    }
                    (format!("MOVE {a} {db}"), Value::Integer(i64::from(moves)))
                }
                13 => {
                    let other = rng.below(4) as usize;
                    model.swap(db, other);
                    (format!("SWAPDB {db} {other}"), ok())
                }
                14 if rng.below(4) == 0 => {
                    model[selected].clear();
                    ("FLUSHDB".to_string(), ok())
                }
                15 if a != b => {
                    let value = model[selected].get(&a).cloned();
                    let copies = value.is_some() && !model[db].contains_key(&b);
                    if copies && let Some(value) = value {
                        model[db].insert(b.clone(), value);
                    }
                    (
                        format!("COPY {a} {b} DB {db}"),
                        Value::Integer(i64::from(copies)),
                    )
                }
                _ => (
                    "DBSIZE".to_string(),
                    Value::Integer(model[selected].len() as i64),
                ),
            };
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            push_request(&mut bytes, &words);
            expected.push((line, reply));
        }
        client.send(&bytes);
        for (line, reply) in expected {
            assert_eq!(client.reply(), reply, "SEED={seed} round {round}: {line}");
        }
    }
}

#[test]
fn databases_are_apart_on_every_core() {
    for threads in [1, 2, 5] {
        check_databases(threads, 20 + threads as u64);
    }
}

/// HELLO in the middle of a pipeline: what stands before it speaks the old protocol, what follows the new one.
#[test]
fn the_protocol_changes_in_the_middle_of_a_pipeline() {
    for threads in [1, 2, 5] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let gets: Vec<u8> = (0..20)
            .flat_map(|index| request(&[b"GET", format!("none:{index}").as_bytes()]))
            .collect();
        let reset = request(&[b"RESET"]);
        client.send(&[gets.clone(), reset.clone(), gets.clone()].concat());
        let old = b"$-1\r\n".repeat(20);
        assert_eq!(client.raw(old.len()), old);
        assert_eq!(client.raw(8), b"+RESET\r\n");
        assert_eq!(client.raw(old.len()), old);

        client.send(
            &[
                gets.clone(),
                request(&[b"HELLO", b"3"]),
                gets.clone(),
                reset,
                gets,
            ]
            .concat(),
        );
        assert_eq!(client.raw(old.len()), old);
        assert!(matches!(client.reply(), Value::Map(_)));
        let new = b"_\r\n".repeat(20);
        assert_eq!(client.raw(new.len()), new);
        assert_eq!(client.raw(8), b"+RESET\r\n");
        assert_eq!(client.raw(old.len()), old);
    }
}

/// Keys that are never touched again are gone on every core, by the background cycle alone.
#[test]
fn deadlines_come_without_being_asked() {
    let server = Server::start(5, &[]);
    let mut client = server.client();
    let mut bytes = Vec::new();
    for index in 0..2_000 {
        push_request(
            &mut bytes,
            &[
                b"SET",
                format!("soon:{index}").as_bytes(),
                b"v",
                b"PX",
                b"300",
            ],
        );
    }
    push_request(&mut bytes, &[b"MSET", b"a", b"1", b"b", b"2", b"c", b"3"]);
    client.send(&bytes);
    assert_eq!(client.replies(2_001), vec![ok(); 2_001]);
    eventually("the background cycle has taken all of them", || {
        client.ask("DBSIZE") == Value::Integer(3)
    });
    assert_eq!(server.info_number("stats", "expired_keys"), 2_000);
}

/// SCAN finds every key that is there throughout, while others come and go and the tables grow.
#[test]
fn a_scan_finds_what_is_there_throughout() {
    for threads in [1, 2, 5] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut bytes = Vec::new();
        for index in 0..3_000 {
            push_request(
                &mut bytes,
                &[b"SET", format!("stay:{index}").as_bytes(), b"v"],
            );
        }
        client.send(&bytes);
        assert_eq!(client.replies(3_000), vec![ok(); 3_000]);
        let port = server.port;
        let done = &std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let mut index = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let mut bytes = Vec::new();
                    for _ in 0..100 {
                        push_request(
                            &mut bytes,
                            &[b"SET", format!("come:{index}").as_bytes(), b"v"],
                        );
                        if index % 3 == 0 {
                            push_request(
                                &mut bytes,
                                &[b"DEL", format!("come:{}", index / 2).as_bytes()],
                            );
                        }
                        index += 1;
                    }
                    let count = bytes.iter().filter(|byte| **byte == b'*').count();
                    client.send(&bytes);
                    client.replies(count);
                }
            });
            let mut cursor = "0".to_string();
            let mut found = HashSet::new();
            loop {
                let reply = client.ask(&format!("SCAN {cursor} COUNT 50"));
                cursor = reply.items()[0].text();
                found.extend(reply.items()[1].items().iter().map(Value::text));
                if cursor == "0" {
                    break;
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            let missing = (0..3_000).filter(|index| !found.contains(&format!("stay:{index}")));
            assert_eq!(missing.count(), 0, "{threads} cores");
        });
    }
}

/// A SCAN from the start: cursor and keys, sorted.
fn scanned(reply: &Value) -> (String, Vec<String>) {
    let parts = reply.items();
    let mut keys: Vec<String> = parts[1].items().iter().map(Value::text).collect();
    keys.sort_unstable();
    (parts[0].text(), keys)
}

/// As from one table: a few keys come in one reply with cursor 0, wherever they live; in a block and a script as well.
#[test]
fn few_keys_come_in_one_scan() {
    for threads in [1, 3, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"].map(String::from);
        let all = ("0".to_string(), names.to_vec());
        for name in &names {
            client.ask(&format!("SET {name} 1"));
        }
        client.ask("SADD members 1");
        assert_eq!(scanned(&client.ask("SCAN 0 MATCH ?")), all);
        assert_eq!(scanned(&client.ask("SCAN 0 COUNT 100 TYPE string")), all);
        let members = ("0".to_string(), vec!["members".to_string()]);
        assert_eq!(scanned(&client.ask("SCAN 0 TYPE set")), members);
        assert_eq!(client.ask("MULTI"), ok());
        client.ask("SET i 1");
        client.ask("SCAN 0 MATCH ?");
        client.ask("DEL i");
        let replies = client.ask("EXEC");
        let (cursor, keys) = scanned(&replies.items()[1]);
        assert_eq!((cursor.as_str(), keys.len()), ("0", 9));
        let script = b"return redis.call('SCAN', 0, 'MATCH', '?')";
        let reply = client.run(&[b"EVAL", script, b"0"]);
        assert_eq!(scanned(&reply), all);
        for line in ["SCAN 0 COUNT 0", "SCAN 0 COUNT", "SCAN 0 NOSUCH 1"] {
            assert_eq!(client.ask(line), error("ERR syntax error"), "{line}");
        }
        // No reply has many more keys than were asked for, and each key comes once.
        client.ask("HELLO 3");
        for number in 0..500 {
            client.ask(&format!("SET number:{number} 1"));
        }
        let mut seen = std::collections::BTreeSet::new();
        let (mut cursor, mut largest) = ("0".to_string(), 0);
        loop {
            let (next, keys) = scanned(&client.ask(&format!("SCAN {cursor} COUNT 20")));
            largest = largest.max(keys.len());
            for key in keys {
                assert!(seen.insert(key), "no key comes twice");
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
        assert_eq!(seen.len(), 509);
        assert!(largest < 60, "{largest}");
    }
}

/// Fields that SORT finds past their deadline go, on whatever core their hash is, and with the last the hash.
#[test]
fn dead_fields_that_sort_is_led_to_go_on_every_core() {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut client = server.client();
        client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        for number in 0..20 {
            client.ask(&format!("RPUSH ids {number}"));
            client.ask(&format!(
                "HSETEX user:{number} PX 1 FIELDS 2 name n score {number}"
            ));
        }
        client.ask("HSETEX user:3 FIELDS 1 name stays");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(
            client.ask("DBSIZE"),
            Value::Integer(21),
            "{threads} threads"
        );
        let sorted = client.ask("SORT ids BY user:*->score GET user:*->name");
        let found = sorted.items().iter().filter(|item| **item != Value::Null);
        assert_eq!(found.count(), 1, "{threads} threads");
        // The list, and the one hash that has a field left.
        assert_eq!(client.ask("DBSIZE"), Value::Integer(2), "{threads} threads");
        assert_eq!(client.ask("HLEN user:3"), Value::Integer(1));
    }
}
