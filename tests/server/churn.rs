//! Clients that go at the worst moment: in a transaction, in a pause, in a move, while the server ends.

use super::client::{Client, Next, Value, bulk, ok, push_request, request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Requests over many shards, some of them large.
fn busy_pipeline(rng: &mut Rng, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let large = vec![b'v'; 80_000];
    for _ in 0..count {
        let names: Vec<String> = (0..6).map(|_| format!("churn:{}", rng.below(40))).collect();
        let name = |index: usize| names[index].as_bytes();
        match rng.below(8) {
            0 => push_request(
                &mut bytes,
                &[b"MSET", name(0), b"1", name(1), b"2", name(2), b"3"],
            ),
            1 => push_request(&mut bytes, &[b"MGET", name(0), name(1), name(2), name(3)]),
            2 => push_request(&mut bytes, &[b"DEL", name(0), name(1), name(2)]),
            3 => push_request(&mut bytes, &[b"RENAME", name(0), name(1)]),
            4 => push_request(&mut bytes, &[b"MSETNX", name(0), b"1", name(1), b"2"]),
            5 => push_request(
                &mut bytes,
                &[b"SET", name(0), &large[..rng.below(80_000) as usize]],
            ),
            6 => push_request(&mut bytes, &[b"GET", name(0)]),
            _ => push_request(&mut bytes, &[b"APPEND", name(0), b"x"]),
        }
    }
    bytes
}

/// Every key can still be locked, alone and together, and the server answers as one.
fn check_nothing_is_locked(server: &Server) {
    let nobody_is_left = || server.info_number("clients", "connected_clients") == 1;
    eventually("nobody is left", nobody_is_left);
    let mut client = server.client();
    client.set_reply_timeout(Duration::from_secs(10));
    let names: Vec<String> = (0..40).map(|index| format!("churn:{index}")).collect();
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    words.extend(names.iter().map(|name| name.as_bytes()));
    let expected = Value::Array((0..40).map(|index| bulk(index.to_string())).collect());
    // The last request of a client that has gone may still be under way.
    eventually("the keys are what was set last", || {
        for index in 0..40 {
            assert_eq!(client.ask(&format!("SET churn:{index} {index}")), ok());
        }
        client.run(&words) == expected
    });
    words[0] = b"DEL";
    assert_eq!(client.run(&words), Value::Integer(40));
    assert_eq!(client.ask("FLUSHALL"), ok());
    assert_eq!(client.ask("DBSIZE"), Value::Integer(0));
    drop(client);
    eventually("nobody is left again", nobody_is_left);
}

/// Clients send a pipeline over several shards and go without reading a reply.
#[test]
fn clients_that_go_in_a_transaction_leave_no_lock() {
    for threads in [2, 5] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        std::thread::scope(|scope| {
            for worker in 0..8 {
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(worker);
                    for round in 0..40 {
                        let mut client = Client::connect(port);
                        let bytes = busy_pipeline(&mut rng, 30);
                        // Half of them go in the middle of a request.
                        let end = if round % 2 == 0 {
                            bytes.len()
                        } else {
                            bytes.len() * 2 / 3
                        };
                        let _ = client.try_send(&bytes[..end]);
                        if round % 3 == 0 {
                            let _ = client.next();
                        }
                    }
                });
            }
        });
        check_nothing_is_locked(&server);
    }
}

/// CLIENT KILL of everybody but the killer, again and again, while all of them work.
#[test]
fn clients_killed_in_a_transaction_leave_no_lock() {
    for threads in [2, 5] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        let done = &AtomicBool::new(false);
        let cut_off = &AtomicU32::new(0);
        std::thread::scope(|scope| {
            for worker in 0..8 {
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(worker);
                    while !done.load(Ordering::Relaxed) {
                        let mut client = Client::connect(port);
                        while !done.load(Ordering::Relaxed) {
                            if client.try_send(&busy_pipeline(&mut rng, 20)).is_err()
                                || (0..20).any(|_| client.next() == Next::Closed)
                            {
                                cut_off.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                    }
                });
            }
            let killer = scope.spawn(move || {
                let mut client = Client::connect(port);
                for _ in 0..60 {
                    assert!(matches!(
                        client.ask("CLIENT KILL TYPE normal SKIPME yes"),
                        Value::Integer(_)
                    ));
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
            let result = killer.join();
            done.store(true, Ordering::Relaxed);
            result.expect("the killer");
        });
        assert!(
            cut_off.load(Ordering::Relaxed) > 20,
            "{cut_off:?} were cut off"
        );
        check_nothing_is_locked(&server);
    }
}

/// Clients that wait for a pause, and go while they wait.
#[test]
fn a_pause_holds_writes_and_lets_go_of_them() {
    let server = Server::start(2, &[]);
    let mut master = server.client();
    assert_eq!(master.ask("SET a 1"), ok());
    assert_eq!(master.ask("CLIENT PAUSE 30000 WRITE"), ok());
    let mut waiting: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for client in &mut waiting {
        client.send(
            &[
                request(&[b"INCR", b"count"]),
                request(&[b"MSET", b"x", b"1", b"y", b"2"]),
            ]
            .concat(),
        );
    }
    let mut going: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for client in &mut going {
        client.send(&request(&[b"INCR", b"gone"]));
    }
    assert_eq!(
        master.ask("MGET a count x"),
        Value::Array(vec![bulk("1"), Value::Null, Value::Null])
    );
    drop(going);
    assert_eq!(master.ask("CLIENT UNPAUSE"), ok());
    let mut counts: Vec<i64> = waiting
        .iter_mut()
        .map(|client| client.reply().integer())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=10).collect::<Vec<i64>>());
    for client in &mut waiting {
        assert_eq!(client.reply(), ok());
    }
    assert_eq!(
        master.ask("MGET x y"),
        Value::Array(vec![bulk("1"), bulk("2")])
    );
    drop(waiting);
    eventually("nobody else is left", || {
        master.ask("CLIENT LIST").text().lines().count() == 1
    });
}

/// SIGTERM while everybody works: the end comes, and it is a success.
#[test]
fn sigterm_under_load_ends_with_success() {
    for threads in [1, 2, 5] {
        let mut server = Server::start(threads, &[]);
        let port = server.port;
        let replies = &AtomicU32::new(0);
        std::thread::scope(|scope| {
            for worker in 0..8 {
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(worker);
                    let mut client = Client::connect(port);
                    loop {
                        if client.try_send(&busy_pipeline(&mut rng, 20)).is_err() {
                            return;
                        }
                        for _ in 0..20 {
                            if client.next() == Next::Closed {
                                return;
                            }
                            replies.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            eventually("all work", || replies.load(Ordering::Relaxed) > 1_000);
            let start = Instant::now();
            let status = server.terminate();
            assert_eq!(status.code(), Some(0), "{}", server.log());
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{:?}",
                start.elapsed()
            );
        });
    }
}

/// A client that leaves its replies unread holds the end up for `shutdown-timeout` seconds and no longer.
#[test]
fn a_client_that_does_not_read_does_not_stop_the_end() {
    let mut server = Server::start(2, &["--shutdown-timeout", "1"]);
    let mut client = server.client();
    for index in 0..8 {
        assert_eq!(
            client.run(&[
                b"SET",
                format!("large:{index}").as_bytes(),
                &[b'x'; 1_000_000]
            ]),
            ok()
        );
    }
    for _ in 0..40 {
        let bytes = request(&[b"MGET", b"large:0", b"large:1", b"large:2", b"large:3"]);
        client.send(&bytes);
    }
    assert_eq!(server.client().ask("PING"), Value::Simple("PONG".into()));
    assert!(server.is_running());
    let start = Instant::now();
    assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

/// Connections come and go as fast as they can while others work.
#[test]
fn short_connections_cost_the_others_nothing() {
    let server = Server::start(2, &[]);
    let port = server.port;
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for round in 0..500 {
                    let mut client = Client::connect(port);
                    match (worker + round) % 4 {
                        0 => {}
                        1 => assert_eq!(client.ask("PING"), Value::Simple("PONG".into())),
                        2 => assert!(client.ask("INCR short").integer() > 0),
                        _ => assert_eq!(client.ask("MSET p 1 q 2 r 3"), ok()),
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut client = Client::connect(port);
            for index in 1..=2_000 {
                assert_eq!(client.ask("INCR long"), Value::Integer(index));
            }
        });
    });
    let mut client = server.client();
    assert_eq!(client.ask("GET short"), bulk("500"));
    drop(client);
    eventually("all are gone", || {
        server.info_number("clients", "connected_clients") == 1
    });
}

/// A client that never stops sending does not hold the end up: what has run is answered, what has not is not read.
#[test]
fn a_client_that_does_not_stop_sending_does_not_stop_the_end() {
    for threads in [1, 3] {
        let mut server = Server::start(threads, &[]);
        let port = server.port;
        let replies = &AtomicU32::new(0);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let mut client = Client::connect(port);
                let mut writer = client.writer();
                let patience = Some(Duration::from_secs(1));
                writer
                    .set_write_timeout(patience)
                    .expect("a time above zero");
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(worker);
                    let bytes = busy_pipeline(&mut rng, 40);
                    while writer.write_all(&bytes).is_ok() {}
                });
                scope.spawn(move || {
                    while client.next() != Next::Closed {
                        replies.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            eventually("all work", || replies.load(Ordering::Relaxed) > 1_000);
            assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
            let log = server.log();
            assert!(!log.contains("the end did not wait"), "{log}");
        });
    }
}
