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

/// Each shard logs the consumer that a wait makes: one that gave its locks back with that could serve a client of whom nobody knows
/// yet that he waits, and he would wait for ever. (`Instant` looks.)
#[test]
fn no_shard_gives_its_locks_back_before_the_client_waits() {
    for shards_count in [2, 3, 7] {
        let mut server = Instant::new(shards_count);
        server.begin_logs(Policy::Always);
        let keys: Vec<String> = (0..8).map(|number| format!("x{number}")).collect();
        for key in &keys {
            let reply = server.say(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
            assert_eq!(reply, "+OK");
        }
        for consumer in ["new", "new", "other"] {
            let keys = keys.join(" ");
            let all = ["> "; 8].concat();
            let line = format!("XREADGROUP GROUP g {consumer} BLOCK 100 STREAMS {keys} {all}");
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            assert_eq!(server.run(&words), b"*-1\r\n");
        }
    }
}
