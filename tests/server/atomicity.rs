//! What is one command is one step, on however many shards.

use super::client::{Client, Value, bulk, ok, push_request};
use super::harness::Server;
use rondo::base::rng::Rng;
use std::sync::atomic::{AtomicBool, Ordering};

const KEYS: [&[u8]; 8] = [b"k1", b"k2", b"k3", b"k4", b"k5", b"k6", b"k7", b"k8"];

fn mset(number: u64) -> Vec<u8> {
    let text = number.to_string();
    let mut words: Vec<&[u8]> = vec![b"MSET"];
    for key in KEYS {
        words.extend([key, text.as_bytes()]);
    }
    super::client::request(&words)
}

fn mget() -> Vec<u8> {
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    words.extend(KEYS);
    super::client::request(&words)
}

/// Writers set eight keys to one number; readers must find one number, and never an older one than before.
fn check_mset(threads: usize) {
    let server = Server::start(threads, &[]);
    let port = server.port;
    let done = &AtomicBool::new(false);
    let mut first = server.client();
    first.send(&mset(0));
    assert_eq!(first.reply(), ok());
    std::thread::scope(|scope| {
        for reader in 0..4 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let mut reads = 0;
                // Half of the readers send several at once.
                let depth = if reader % 2 == 0 { 1 } else { 7 };
                while !done.load(Ordering::Relaxed) || reads == 0 {
                    client.send(&mget().repeat(depth));
                    for _ in 0..depth {
                        let reply = client.reply();
                        let items = reply.items();
                        assert!(
                            items.iter().all(|item| item == &items[0]),
                            "torn: {reply:?}"
                        );
                        reads += 1;
                    }
                }
                assert!(reads > 10, "only {reads} reads");
            });
        }
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    for step in 0..100 {
                        for index in 0..5 {
                            client.send(&mset(writer * 1_000_000 + step * 5 + index));
                        }
                        assert_eq!(client.replies(5), [ok(), ok(), ok(), ok(), ok()]);
                    }
                })
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Relaxed);
        for result in results {
            result.expect("a writer");
        }
    });
}

#[test]
fn mset_is_seen_whole_or_not_at_all() {
    for threads in [1, 2, 5] {
        check_mset(threads);
    }
}

/// MSETNX by many: of the rivals for the same keys exactly one wins.
#[test]
fn msetnx_has_one_winner() {
    let server = Server::start(5, &[]);
    let port = server.port;
    let rounds = 40;
    let winners: i64 = std::thread::scope(|scope| {
        let rivals: Vec<_> = (0..8)
            .map(|rival| {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut won = 0;
                    for round in 0..rounds {
                        // Keys overlap in a different order for each rival.
                        let mut keys: Vec<String> =
                            (0..4).map(|key| format!("{round}:{key}")).collect();
                        Rng::with_seed(rival).shuffle_strings(&mut keys);
                        let mut words: Vec<&[u8]> = vec![b"MSETNX"];
                        let text = rival.to_string();
                        for key in &keys {
                            words.extend([key.as_bytes(), text.as_bytes()]);
                        }
                        won += client.run(&words).integer();
                    }
                    won
                })
            })
            .collect();
        rivals
            .into_iter()
            .map(|rival| rival.join().expect("a rival"))
            .sum()
    });
    assert_eq!(winners, rounds);
    let mut client = server.client();
    for round in 0..rounds {
        let reply = client.ask(&format!("MGET {round}:0 {round}:1 {round}:2 {round}:3"));
        let items = reply.items();
        assert!(
            items.iter().all(|item| item == &items[0]),
            "torn: {reply:?}"
        );
    }
}

trait Shuffle {
    fn shuffle_strings(&mut self, items: &mut [String]);
}

impl Shuffle for Rng {
    fn shuffle_strings(&mut self, items: &mut [String]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index as u64 + 1) as usize);
        }
    }
}

/// RENAME hands a key from name to name while others look: it is always under exactly one of them.
#[test]
fn a_renamed_key_is_never_lost_and_never_double() {
    let server = Server::start(5, &[]);
    let port = server.port;
    let done = &AtomicBool::new(false);
    assert_eq!(server.client().ask("SET name:0 treasure"), ok());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(
                        client.ask("EXISTS name:0 name:1 name:2 name:3"),
                        Value::Integer(1)
                    );
                }
            });
        }
        let mover = scope.spawn(move || {
            let mut client = Client::connect(port);
            for step in 0..400 {
                let (from, to) = (step % 4, (step + 1) % 4);
                assert_eq!(client.ask(&format!("RENAME name:{from} name:{to}")), ok());
            }
        });
        let result = mover.join();
        done.store(true, Ordering::Relaxed);
        result.expect("the mover");
    });
    assert_eq!(server.client().ask("GET name:0"), bulk("treasure"));
}

/// 50 connections count on the same keys, some in pipelines: nothing is lost.
fn check_incr(threads: usize) {
    let server = Server::start(threads, &[]);
    let port = server.port;
    std::thread::scope(|scope| {
        for index in 0..50_u64 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let depth = [1, 5, 50][index as usize % 3];
                for step in 0..200 / depth {
                    let mut bytes = Vec::new();
                    for place in 0..depth {
                        let key =
                            format!("counter:{}", (index + (step * depth + place) as u64) % 4);
                        push_request(&mut bytes, &[b"INCR", key.as_bytes()]);
                    }
                    client.send(&bytes);
                    for reply in client.replies(depth) {
                        assert!(reply.integer() > 0);
                    }
                }
            });
        }
    });
    let reply = server
        .client()
        .ask("MGET counter:0 counter:1 counter:2 counter:3");
    let counts: Vec<i64> = reply
        .items()
        .iter()
        .map(|item| item.text().parse().expect("a number"))
        .collect();
    assert_eq!(counts, [2_500; 4]);
}

#[test]
fn increments_of_fifty_connections_sum_exactly() {
    for threads in [1, 2, 5] {
        check_incr(threads);
    }
}

/// FLUSHALL is one point in time: whoever reads sees all eight keys or none.
#[test]
fn flushall_is_seen_whole_or_not_at_all() {
    let server = Server::start(5, &[]);
    let port = server.port;
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                while !done.load(Ordering::Relaxed) {
                    client.send(&mget());
                    let reply = client.reply();
                    let items = reply.items();
                    assert!(
                        items.iter().all(|item| item == &items[0]),
                        "torn: {reply:?}"
                    );
                }
            });
        }
        let writer = scope.spawn(move || {
            let mut client = Client::connect(port);
            for step in 0..200 {
                client.send(&mset(step));
                assert_eq!(client.reply(), ok());
                assert_eq!(client.ask("FLUSHALL"), ok());
            }
        });
        let result = writer.join();
        done.store(true, Ordering::Relaxed);
        result.expect("the writer");
    });
}

/// When CLIENT PAUSE WRITE has answered, nothing is written any more: not what was on its way between cores either.
#[test]
fn after_a_pause_is_confirmed_nothing_changes() {
    for threads in [2, 7] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        let done = &std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut bytes = Vec::new();
                    for index in 0..400 {
                        let name = format!("paused:{}", (index + worker) % 8);
                        push_request(&mut bytes, &[b"INCR", name.as_bytes()]);
                        if index % 8 == 0 {
                            let number = (index * 10 + worker).to_string();
                            let number = number.as_bytes();
                            push_request(
                                &mut bytes,
                                &[b"MSET", b"x", number, b"y", number, b"z", number],
                            );
                        }
                    }
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        client.send(&bytes);
                        client.replies(450);
                    }
                });
            }
            let asker = scope.spawn(move || {
                let mut client = Client::connect(port);
                for round in 0..100 {
                    // One after the other: a read of all of them would wait for locks.
                    let mut reads = Vec::new();
                    for name in [
                        "x", "y", "z", "paused:0", "paused:1", "paused:2", "paused:3", "paused:4",
                    ] {
                        push_request(&mut reads, &[b"GET", name.as_bytes()]);
                    }
                    assert_eq!(client.ask("CLIENT PAUSE 20000 WRITE"), ok());
                    client.send(&reads);
                    let first = client.replies(8);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    client.send(&reads);
                    assert_eq!(client.replies(8), first, "round {round}");
                    assert_eq!(client.ask("CLIENT UNPAUSE"), ok());
                    std::thread::sleep(std::time::Duration::from_millis(round % 4));
                }
            });
            let result = asker.join();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            result.expect("the asker");
        });
    }
}

/// Writers set eight keys to one number and change which of them a list names; SORT, led to them by the list, must find one
/// number wherever it looks, and as many elements as the list had at any moment.
#[test]
fn sort_sees_one_moment() {
    let server = Server::start(3, &[]);
    let port = server.port;
    let done = &AtomicBool::new(false);
    let mut first = server.client();
    first.send(&mset(0));
    assert_eq!(first.reply(), ok());
    first.ask("RPUSH names 1 2 3 4");
    std::thread::scope(|scope| {
        for reader in 0..3 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let request = match reader {
                    0 => "SORT names BY k* GET k* GET #".to_string(),
                    1 => "SORT_RO names BY nosort GET k* GET #".to_string(),
                    _ => "SORT names GET k* GET # STORE sorted".to_string(),
                };
                while !done.load(Ordering::Relaxed) {
                    let mut reply = client.ask(&request);
                    if reader == 2 {
                        assert_eq!(reply.integer(), 8);
                        reply = client.ask("LRANGE sorted 0 -1");
                    }
                    let items = reply.items();
                    assert_eq!(items.len(), 8, "{reply:?}");
                    let numbers: Vec<String> = items.iter().step_by(2).map(Value::text).collect();
                    let is_one = numbers.iter().all(|number| number == &numbers[0]);
                    assert!(is_one, "torn: {reply:?}");
                    let name = items[1].text().parse::<u32>().expect("a number");
                    let half = if name <= 4 { 1..=4 } else { 5..=8 };
                    let names = items.iter().skip(1).step_by(2).map(Value::text);
                    let are_whole = names
                        .map(|name| name.parse::<u32>().expect("a number"))
                        .all(|name| half.contains(&name));
                    assert!(are_whole, "torn: {reply:?}");
                }
            });
        }
        let mut writer = Client::connect(port);
        for number in 1..=300 {
            writer.send(&mset(number));
            assert_eq!(writer.reply(), ok());
            let names = if number % 2 == 0 {
                "1 2 3 4"
            } else {
                "5 6 7 8"
            };
            writer.ask("DEL next");
            writer.ask(&format!("RPUSH next {names}"));
            assert_eq!(writer.ask("RENAME next names"), ok());
        }
        done.store(true, Ordering::Relaxed);
    });
}
