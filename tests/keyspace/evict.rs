//! Which key goes when memory is short.

use rondo::ds::key_table::NewValue;
use rondo::keyspace::evict::EvictionPolicy;
use rondo::keyspace::{AccessPolicy, Deadline, Keyspace, KeyspaceOptions};

const NOW_MS: i64 = 1_700_000_000_000;
const SAMPLES: usize = 5;

fn policy(name: &str) -> EvictionPolicy {
    EvictionPolicy::of_name(name).expect("it evicts")
}

fn keyspace(name: &str) -> Keyspace {
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(11));
    let mut access = AccessPolicy::default();
    assert!(access.set_name(name));
    keys.set_access_policy(access);
    keys.set_now(NOW_MS);
    keys
}

fn set(keys: &mut Keyspace, name: &str, deadline: Deadline) {
    let key = keys.key(name.as_bytes());
    keys.set(0, &key, NewValue::Int(1), deadline, false);
}

/// Evicts `count` keys; their names' numbers.
fn evict(keys: &mut Keyspace, name: &str, count: usize) -> Vec<i64> {
    let mut gone = Vec::new();
    for _ in 0..count {
        let victim = keys.choose_victim(policy(name), SAMPLES, &|_| false);
        let victim = victim.expect("there are keys");
        assert!(keys.evict(&victim));
        let text = String::from_utf8(victim.key).expect("text");
        gone.push(text.parse().expect("a number"));
    }
    gone
}

/// Keys numbered by their age; a third goes. The approximation is good: the newest half loses next to nothing, and nearly all
/// that goes is of the oldest 45 percent.
#[test]
fn the_longest_unused_go_first() {
    let mut keys = keyspace("allkeys-lru");
    for number in 0..3_000 {
        keys.set_now(NOW_MS + number * 1000);
        set(&mut keys, &number.to_string(), Deadline::Drop);
    }
    let gone = evict(&mut keys, "allkeys-lru", 1_000);
    let young = gone.iter().filter(|&&number| number >= 1_500).count();
    let old = gone.iter().filter(|&&number| number < 1_350).count();
    assert!(young <= 20, "{young} of the newer half went");
    assert!(old >= 930, "{old} of the oldest went");
}

/// Keys numbered by how often they are used.
#[test]
fn the_least_used_go_first() {
    let mut keys = keyspace("allkeys-lfu");
    for number in 0..1_000 {
        set(&mut keys, &number.to_string(), Deadline::Drop);
        let name = number.to_string();
        let uses = if number < 500 { 0 } else { 500 };
        for _ in 0..uses {
            let key = keys.key(name.as_bytes());
            assert!(keys.lookup_read(0, &key, false).is_some());
        }
    }
    let gone = evict(&mut keys, "allkeys-lfu", 400);
    let used = gone.iter().filter(|&&number| number >= 500).count();
    assert!(used <= 8, "{used} used keys went");
}

/// A key that is used after it became a candidate is none any more.
#[test]
fn a_candidate_that_is_used_again_stays() {
    let mut keys = keyspace("allkeys-lru");
    set(&mut keys, "0", Deadline::Drop);
    keys.set_now(NOW_MS + 500_000);
    for number in 1..8 {
        set(&mut keys, &number.to_string(), Deadline::Drop);
    }
    while keys.best_score(policy("allkeys-lru"), SAMPLES) != Some(500) {}
    let key = keys.key(b"0");
    assert!(keys.lookup_read(0, &key, false).is_some());
    keys.set_now(NOW_MS + 600_000);
    for number in 1..7 {
        let _ = keys.lookup_read(0, &keys.key(number.to_string().as_bytes()), false);
    }
    assert_eq!(evict(&mut keys, "allkeys-lru", 1).len(), 1);
    // Of those not used for 100 seconds, either may go: nothing says that 0 went first.
    let victim = keys.choose_victim(policy("allkeys-lru"), 8, &|_| false);
    assert!(victim.expect("there are keys").score <= 100);
}

/// Candidates that went otherwise leave their places to keys that are worth more: there are keys, so one is chosen.
#[test]
fn what_has_gone_is_in_nobodys_way() {
    for name in ["allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-ttl"] {
        let mut keys = keyspace(name);
        for round in 0..20 {
            keys.set_now(NOW_MS + round * 1_000_000);
            let deadline = |number: i64| Deadline::At(NOW_MS + (round + 100) * 1_000_000 + number);
            for number in 0..500 {
                set(&mut keys, &number.to_string(), deadline(number));
            }
            keys.set_now(NOW_MS + round * 1_000_000 + 500_000);
            while keys.best_score(policy(name), SAMPLES).is_none() {}
            evict(&mut keys, name, 10);
            for number in 0..500 {
                let name = number.to_string();
                let key = keys.key(name.as_bytes());
                keys.remove(0, &key);
            }
            assert_eq!(keys.choose_victim(policy(name), SAMPLES, &|_| false), None);
            set(&mut keys, "500", deadline(500_000));
            assert_eq!(evict(&mut keys, name, 1), [500], "{name}");
        }
    }
}

/// Keys that a transaction holds stay, however many of them had best go, and however few others there are.
#[test]
fn held_keys_leave_others_their_place() {
    for name in ["allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-ttl"] {
        let mut keys = keyspace(name);
        for number in 0..300 {
            set(
                &mut keys,
                &number.to_string(),
                Deadline::At(NOW_MS + 1_000_000 + number),
            );
        }
        let hash_of = |keys: &Keyspace, number: i64| keys.key(number.to_string().as_bytes()).hash;
        let held: Vec<u64> = (0..290).map(|number| hash_of(&keys, number)).collect();
        let mut gone: Vec<Vec<u8>> = Vec::new();
        for _ in 0..10 {
            let victim = keys.choose_victim(policy(name), SAMPLES, &|hash| held.contains(&hash));
            let victim = victim.expect("ten are free");
            assert!(keys.evict(&victim), "{name}");
            gone.push(victim.key);
        }
        let victim = keys.choose_victim(policy(name), SAMPLES, &|hash| held.contains(&hash));
        assert_eq!(victim, None, "{name}");
        assert!(
            keys.choose_victim(policy(name), SAMPLES, &|_| false)
                .is_some()
        );
    }
}

/// A handful of keys with deadlines among very many without is found, by each call one.
#[test]
fn the_few_keys_with_a_deadline_are_found() {
    for name in ["volatile-lru", "volatile-random", "volatile-ttl"] {
        let mut keys = keyspace(name);
        for number in 0..50_000 {
            set(&mut keys, &number.to_string(), Deadline::Drop);
        }
        for number in 0..5 {
            let deadline = Deadline::At(NOW_MS + 60_000 + number);
            set(&mut keys, &(1_000 * number).to_string(), deadline);
        }
        for left in (0..5).rev() {
            let score = keys.best_score(policy(name), SAMPLES);
            assert!(score.is_some(), "{name}");
            let victim = keys.choose_victim(policy(name), SAMPLES, &|_| false);
            assert!(keys.evict(&victim.expect("there are some")), "{name}");
            assert_eq!(keys.candidates_count(policy(name)), left);
        }
        assert_eq!(keys.keys_count(0), 49_995, "{name}");
        assert_eq!(keys.choose_victim(policy(name), SAMPLES, &|_| false), None);
    }
}

/// Every key is as likely to go as any other, wherever it lies in its bucket.
#[test]
fn random_eviction_is_fair() {
    let mut counts = vec![0; 64];
    for seed in 0..400 {
        let mut keys = Keyspace::new(KeyspaceOptions::for_tests(seed));
        keys.set_now(NOW_MS);
        for number in 0..64 {
            set(&mut keys, &number.to_string(), Deadline::Drop);
        }
        for number in evict(&mut keys, "allkeys-random", 16) {
            counts[number as usize] += 1;
        }
    }
    // A quarter of 400 each; six standard deviations are 52.
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(
        least.is_some_and(|&least| least > 48) && most.is_some_and(|&most| most < 152),
        "{least:?} to {most:?}"
    );
}

/// A key past its deadline goes before all others, and counts as expired.
#[test]
fn dead_keys_go_first_and_count_as_expired() {
    let mut keys = keyspace("allkeys-lru");
    for number in 0..6 {
        set(&mut keys, &number.to_string(), Deadline::Drop);
    }
    set(&mut keys, "dead", Deadline::At(NOW_MS + 10));
    keys.set_now(NOW_MS + 1_000);
    let victim = keys.choose_victim(policy("allkeys-lru"), 64, &|_| false);
    let victim = victim.expect("there are keys");
    assert_eq!(victim.key, b"dead");
    assert!(!keys.evict(&victim));
    assert_eq!(
        (keys.stats().expired_keys, keys.stats().evicted_keys),
        (1, 0)
    );
}
