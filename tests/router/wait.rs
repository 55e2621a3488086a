//! A claim has one winner.

use rondo::persist::log::Policy;
use rondo::router::wait::{Claim, Taken};

use super::instant::Instant;

#[test]
fn who_takes_it_first_has_it() {
    let claim = Claim::default();
    let other = claim.clone();
    assert_eq!(claim.take(), Taken::Yes);
    assert_eq!(other.take(), Taken::Busy);
    assert_eq!(other.cancel(), Taken::Busy);
    claim.give_back();
    assert_eq!(other.take(), Taken::Yes);
    other.end();
    assert_eq!(claim.take(), Taken::Over);
    assert_eq!(claim.cancel(), Taken::Over);
}

#[test]
fn a_cancelled_one_is_nobodys() {
    let claim = Claim::default();
    assert_eq!(claim.cancel(), Taken::Yes);
    assert_eq!(claim.take(), Taken::Over);
}

/// Its client goes while a shard looks: what the shard finds is the last anyone does with it.
#[test]
fn an_abandoned_one_is_not_taken_again() {
    let claim = Claim::default();
    assert_eq!(claim.take(), Taken::Yes);
    claim.abandon();
    assert_eq!(claim.take(), Taken::Busy);
    claim.give_back();
    assert_eq!(claim.take(), Taken::Over);
    let claim = Claim::default();
    claim.abandon();
    assert_eq!(claim.take(), Taken::Over);
}

/// Threads that all want it: each round one of them gets it.
#[test]
fn threads_do_not_share_it() {
    for _ in 0..200 {
        let claim = Claim::default();
        let winners: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..4)
                .map(|index| {
                    let claim = claim.clone();
                    scope.spawn(move || {
                        let taken = if index == 0 {
                            claim.cancel()
                        } else {
                            claim.take()
                        };
                        usize::from(taken == Taken::Yes)
                    })
                })
                .collect();
            tries
                .into_iter()
                .map(|one| one.join().expect("no panic"))
                .sum()
        });
        assert_eq!(winners, 1);
    }
}

/// All who share it know that one of the client's keys has come to hold another type, whoever has it.
#[test]
fn doubt_is_shared_and_stays() {
    let claim = Claim::default();
    let other = claim.clone();
    assert!(!other.is_in_doubt());
    claim.doubt();
    assert_eq!(other.take(), Taken::Yes);
    assert!(other.is_in_doubt());
    other.give_back();
    assert!(claim.is_in_doubt());
}

/// Streams on all shards, each with a group.
fn streams(server: &mut Instant) -> Vec<String> {
    let keys: Vec<String> = (0..8).map(|number| format!("x{number}")).collect();
    for key in &keys {
        let reply = server.say(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
        assert_eq!(reply, "+OK");
    }
    keys
}

/// The reply to XREADGROUP of what is new in all of them.
fn read(server: &mut Instant, consumer: &str, options: &str, keys: &[String]) -> Vec<u8> {
    let (all, keys) = (["> "; 8].concat(), keys.join(" "));
    let line = format!("XREADGROUP GROUP g {consumer} {options} STREAMS {keys} {all}");
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    server.run(&words)
}

fn waiting_keys_count(server: &Instant) -> usize {
    let shards = server.shards.iter();
    shards.map(|shard| shard.waiting_counts().1).sum()
}

/// What may be claimed only once it has been looked for is not claimed as the client begins to wait: each shard would reply for itself.
#[test]
fn nothing_is_claimed_while_waiters_are_entered() {
    for shards_count in [2, 3, 7] {
        let mut server = Instant::new(shards_count);
        let keys = streams(&mut server);
        for key in &keys {
            server.say(&format!("XADD {key} 1-1 a b"));
        }
        assert!(read(&mut server, "w", "", &keys).starts_with(b"*8"));
        server.late_ms = 5;
        let reply = read(&mut server, "z", "BLOCK 100 CLAIM 3", &keys);
        assert_eq!(reply, b"*-1\r\n", "it waits");
        assert_eq!(server.late_ms, 0);
        for key in &keys {
            let pending = server.say(&format!("XPENDING {key} g"));
            assert!(pending.contains("\"w\"") && !pending.contains("\"z\""));
        }
        assert_eq!(waiting_keys_count(&server), 0);
    }
}

/// A stream expires when it has been looked at: the client is told, and no waiter is left on any shard.
#[test]
fn who_does_not_wait_after_all_leaves_no_waiter() {
    for shards_count in [2, 3, 7] {
        let mut server = Instant::new(shards_count);
        let keys = streams(&mut server);
        for key in &keys {
            assert_eq!(server.say(&format!("PEXPIRE {key} 3")), ":1");
            server.late_ms = 5;
            let reply = read(&mut server, "c", "BLOCK 100", &keys);
            assert!(reply.starts_with(b"-NOGROUP"), "{key}");
            assert_eq!(server.late_ms, 0);
            assert_eq!(waiting_keys_count(&server), 0, "{key}");
            let again = server.say(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
            assert_eq!(again, "+OK");
        }
    }
}

/// A stream expires when it has been looked at and before it is read: it is read as the others are, for the command has one time, be it
/// that it may wait or is given so much. A look later it is gone.
#[test]
fn what_was_found_is_read_although_it_has_expired_meanwhile() {
    for (shards_count, has_logs) in [(2, false), (3, true), (7, false)] {
        let mut server = Instant::new(shards_count);
        if has_logs {
            server.begin_logs(Policy::EverySecond);
        }
        let keys = streams(&mut server);
        for (round, options) in ["", "BLOCK 100", "MAXCOUNT 100"].into_iter().enumerate() {
            for (turn, dying) in keys.iter().enumerate() {
                let id = format!("{}-{}", round + 1, turn + 1);
                for key in &keys {
                    assert_eq!(
                        server.say(&format!("XADD {key} {id} a b")),
                        format!("\"{id}\"")
                    );
                }
                assert_eq!(server.say(&format!("PEXPIRE {dying} 3")), ":1");
                server.goes_on_late_ms = 5;
                let reply = read(&mut server, "c", options, &keys);
                assert!(reply.starts_with(b"*8"), "{dying} {options}");
                assert_eq!(server.goes_on_late_ms, 0);
                let refused = read(&mut server, "c", options, &keys);
                assert!(refused.starts_with(b"-NOGROUP"), "{dying} {options}");
                let again = server.say(&format!("XGROUP CREATE {dying} g $ MKSTREAM"));
                assert_eq!(again, "+OK");
            }
        }
    }
}

/// Each shard logs the consumer that a wait makes: one that gave its locks back with that could serve a client of whom nobody knows
/// yet that he waits, and he would wait for ever. (`Instant` looks.)
#[test]
fn no_shard_gives_its_locks_back_before_the_client_waits() {
    for shards_count in [2, 3, 7] {
        let mut server = Instant::new(shards_count);
        server.begin_logs(Policy::Always);
        let keys = streams(&mut server);
        for consumer in ["new", "new", "other"] {
            assert_eq!(read(&mut server, consumer, "BLOCK 100", &keys), b"*-1\r\n");
        }
    }
}
