//! Locks that a script takes while it runs: at once where nobody has them, else the shard closes until nobody does.

use rondo::router::{KeyLock, LockMode, LockSet};
use rondo::shard::locks::{LockTable, Ready, Scheduled, Seized};

fn keys(hashes: &[u64]) -> LockSet {
    let lock = |&hash: &u64| KeyLock {
        hash,
        mode: LockMode::Exclusive,
    };
    LockSet::of_keys(0, hashes.iter().map(lock).collect())
}

fn schedule(table: &mut LockTable, tx: u64, hashes: &[u64]) -> Scheduled {
    let locks = LockSet {
        order: tx,
        core: tx as u16,
        ..keys(hashes)
    };
    table.schedule(tx, locks)
}

/// Whether a request for a key must wait.
fn is_locked(table: &LockTable, hash: u64) -> bool {
    let keys = [(hash, LockMode::Shared)];
    !table.is_idle() && table.is_in_conflict(keys.into_iter(), false, 77)
}

#[test]
fn what_nobody_has_is_seized_at_once_before_whoever_waits_for_it() {
    let mut table = LockTable::new();
    assert_eq!(schedule(&mut table, 5, &[1]), Scheduled::Granted);
    assert_eq!(schedule(&mut table, 6, &[1, 2]), Scheduled::Waiting);
    // 6 waits for key 2 as well, and has not got it.
    assert_eq!(table.seize(9, keys(&[2, 3])), Seized::Keys);
    assert!(is_locked(&table, 2) && is_locked(&table, 3) && !is_locked(&table, 4));
    // Again, and with one more.
    assert_eq!(table.seize(9, keys(&[2, 3, 4])), Seized::Keys);
    table.release(5);
    assert_eq!(table.next_ready(), None);
    table.release(9);
    assert_eq!(table.next_ready(), Some(Ready::Transaction(6)));
    table.release(6);
    assert!(table.is_empty() && table.is_idle());
}

#[test]
fn a_script_adds_to_the_locks_it_has() {
    let mut table = LockTable::new();
    assert_eq!(schedule(&mut table, 5, &[1]), Scheduled::Granted);
    assert_eq!(table.seize(5, keys(&[1, 2])), Seized::Keys);
    assert_eq!(schedule(&mut table, 6, &[2]), Scheduled::Waiting);
    table.release(5);
    assert_eq!(table.next_ready(), Some(Ready::Transaction(6)));
    table.release(6);
    assert!(table.is_empty() && table.is_idle());
}

#[test]
fn a_shard_closes_until_whoever_is_in_the_way_has_gone() {
    let mut table = LockTable::new();
    assert_eq!(schedule(&mut table, 5, &[1]), Scheduled::Granted);
    assert_eq!(schedule(&mut table, 7, &[8]), Scheduled::Granted);
    assert_eq!(schedule(&mut table, 9, &[3]), Scheduled::Granted);
    let wounded = vec![(5, 5), (7, 7)];
    let locks = LockSet {
        core: 2,
        ..keys(&[1])
    };
    assert_eq!(table.seize(9, locks), Seized::Closing { wounded });
    // Nobody is let in, not even where nothing is in the way: neither a transaction, nor one that a release makes room
    // for, nor a request.
    assert_eq!(schedule(&mut table, 10, &[4]), Scheduled::Waiting);
    assert_eq!(schedule(&mut table, 11, &[1]), Scheduled::Waiting);
    let request = [(6, LockMode::Shared)];
    assert!(table.is_in_conflict(request.into_iter(), false, 77));
    let ticket = table.defer([6].into_iter(), 77);
    table.release(5);
    assert_eq!(table.next_ready(), None);
    table.release(7);
    assert_eq!(table.next_ready(), Some(Ready::Shard { tx: 9, core: 2 }));
    assert_eq!(table.next_ready(), None);
    assert_eq!(table.seize(9, keys(&[1, 2, 3])), Seized::Shard);
    table.release(9);
    let mut ready: Vec<Ready> = std::iter::from_fn(|| table.next_ready()).collect();
    let at = ready
        .iter()
        .position(|ready| matches!(ready, Ready::Request(_)));
    assert_eq!(
        ready.remove(at.expect("the request")),
        Ready::Request(ticket)
    );
    assert_eq!(ready, [Ready::Transaction(10), Ready::Transaction(11)]);
    table.finish(ticket);
    table.release(10);
    table.release(11);
    assert!(table.is_empty() && table.is_idle());
}

#[test]
fn a_wish_that_is_withdrawn_opens_the_shard_again() {
    let mut table = LockTable::new();
    assert_eq!(schedule(&mut table, 5, &[1]), Scheduled::Granted);
    assert_eq!(schedule(&mut table, 9, &[3]), Scheduled::Granted);
    let wounded = vec![(5, 5)];
    assert_eq!(
        table.seize(9, keys(&[1])),
        Seized::Closing {
            wounded: wounded.clone()
        }
    );
    assert_eq!(schedule(&mut table, 10, &[4]), Scheduled::Waiting);
    // Another's wish waits for this one's end.
    assert_eq!(table.seize(11, keys(&[1])), Seized::Later);
    table.withdraw(9);
    assert_eq!(table.next_ready(), Some(Ready::Transaction(10)));
    assert_eq!(table.next_ready(), Some(Ready::Seizure(11, keys(&[1]))));
    // What it had is still its own, and it may wish again.
    assert!(is_locked(&table, 3));
    assert_eq!(
        table.seize(9, keys(&[1])),
        Seized::Closing {
            wounded: vec![(5, 5), (10, 10)]
        }
    );
    table.release(9);
    table.release(10);
    table.release(5);
    assert!(table.is_empty() && table.is_idle());
}

#[test]
fn the_whole_shard_is_seized_by_closing_it() {
    let mut table = LockTable::new();
    assert_eq!(
        table.seize(9, LockSet::of_shard(0, LockMode::Exclusive)),
        Seized::Shard
    );
    assert!(is_locked(&table, 1));
    table.release(9);
    assert!(table.is_empty() && table.is_idle());
}

/// The token has gone on while the release of who had it is still on its way.
#[test]
fn a_shard_goes_from_one_script_to_the_next() {
    let mut table = LockTable::new();
    assert_eq!(schedule(&mut table, 5, &[1]), Scheduled::Granted);
    assert!(matches!(table.seize(9, keys(&[1])), Seized::Closing { .. }));
    table.release(5);
    assert_eq!(table.next_ready(), Some(Ready::Shard { tx: 9, core: 0 }));
    assert_eq!(table.seize(12, keys(&[1])), Seized::Later);
    table.release(9);
    assert_eq!(table.next_ready(), Some(Ready::Seizure(12, keys(&[1]))));
    assert_eq!(table.seize(12, keys(&[1])), Seized::Keys);
    table.release(12);
    assert!(table.is_empty() && table.is_idle());
}
