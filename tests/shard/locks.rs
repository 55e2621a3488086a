//! The lock table beside a model that keeps one list of holders and compares every two of them.

use rondo::base::rng::Rng;
use rondo::router::{KeyLock, LockMode, LockSet};
use rondo::shard::locks::{LockTable, Ready, Scheduled, Ticket};

const SHARED: LockMode = LockMode::Shared;
const EXCLUSIVE: LockMode = LockMode::Exclusive;

fn keys(order: u64, keys: &[(u64, LockMode)]) -> LockSet {
    let lock = |&(hash, mode)| KeyLock { hash, mode };
    LockSet::of_keys(order, keys.iter().map(lock).collect())
}

fn ready(table: &mut LockTable) -> Vec<Ready> {
    std::iter::from_fn(|| table.next_ready()).collect()
}

#[test]
fn a_key_named_twice_is_locked_once_and_exclusively_if_one_is() {
    let locks = keys(1, &[(7, SHARED), (3, SHARED), (7, EXCLUSIVE), (3, SHARED)]);
    let expected = [(3, SHARED), (7, EXCLUSIVE)].map(|(hash, mode)| KeyLock { hash, mode });
    assert_eq!(locks.keys, expected);
}

#[test]
fn readers_share_and_writers_wait_in_order() {
    let mut table = LockTable::new();
    assert_eq!(
        table.schedule(1, keys(1, &[(1, SHARED)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(2, keys(2, &[(1, SHARED)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(3, keys(3, &[(1, EXCLUSIVE)])),
        Scheduled::Waiting
    );
    // A reader behind a waiting writer waits: otherwise readers could keep it out for ever.
    assert_eq!(
        table.schedule(4, keys(4, &[(1, SHARED)])),
        Scheduled::Waiting
    );
    table.release(1);
    assert_eq!(ready(&mut table), []);
    table.release(2);
    assert_eq!(ready(&mut table), [Ready::Transaction(3)]);
    table.release(3);
    assert_eq!(ready(&mut table), [Ready::Transaction(4)]);
    table.release(4);
    assert!(table.is_empty() && table.is_idle());
}

#[test]
fn a_late_transaction_overtakes_those_that_wait_and_is_refused_by_those_that_run() {
    let mut table = LockTable::new();
    assert_eq!(
        table.schedule(3, keys(3, &[(1, EXCLUSIVE)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(7, keys(7, &[(1, EXCLUSIVE), (2, EXCLUSIVE)])),
        Scheduled::Waiting
    );
    // 7 only waits, so 5 goes before it on key 2.
    assert_eq!(
        table.schedule(5, keys(5, &[(2, EXCLUSIVE)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(2, keys(2, &[(1, SHARED)])),
        Scheduled::OutOfOrder
    );
    assert_eq!(
        table.schedule(4, keys(4, &[(1, SHARED)])),
        Scheduled::Waiting
    );
    table.release(3);
    assert_eq!(ready(&mut table), [Ready::Transaction(4)]);
    table.release(4);
    assert_eq!(ready(&mut table), []);
    table.release(5);
    assert_eq!(ready(&mut table), [Ready::Transaction(7)]);
}

#[test]
fn a_later_place_than_the_id_is_kept() {
    let mut table = LockTable::new();
    assert_eq!(
        table.schedule(9, keys(9, &[(1, EXCLUSIVE)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(8, keys(30, &[(1, EXCLUSIVE)])),
        Scheduled::Waiting
    );
    assert_eq!(
        table.schedule(20, keys(20, &[(1, EXCLUSIVE)])),
        Scheduled::Waiting
    );
    table.release(9);
    assert_eq!(ready(&mut table), [Ready::Transaction(20)]);
}

#[test]
fn a_request_that_waits_is_not_overtaken() {
    let mut table = LockTable::new();
    let locks = keys(50, &[(1, EXCLUSIVE)]);
    assert_eq!(table.schedule(3, locks), Scheduled::Granted);
    let ticket = table.defer([1, 2].into_iter(), 100);
    // It has nothing in common with 3, whose place is far ahead, but with the request, which may be of the same client.
    let locks = |order| keys(order, &[(2, EXCLUSIVE)]);
    assert_eq!(table.schedule(4, locks(4)), Scheduled::OutOfOrder);
    assert_eq!(table.schedule(5, locks(60)), Scheduled::Waiting);
    table.release(3);
    assert_eq!(ready(&mut table), [Ready::Request(ticket)]);
    table.finish(ticket);
    assert_eq!(ready(&mut table), [Ready::Transaction(5)]);
    table.release(5);
    assert!(table.is_empty() && table.is_idle());
}

#[test]
fn the_whole_shard_waits_for_its_keys_and_they_for_it() {
    let mut table = LockTable::new();
    assert_eq!(
        table.schedule(1, keys(1, &[(1, SHARED)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(2, LockSet::of_shard(2, EXCLUSIVE)),
        Scheduled::Waiting
    );
    assert_eq!(
        table.schedule(3, keys(3, &[(9, EXCLUSIVE)])),
        Scheduled::Waiting
    );
    table.release(1);
    assert_eq!(ready(&mut table), [Ready::Transaction(2)]);
    let reads = [(5, SHARED)];
    assert!(table.is_in_conflict(reads.into_iter(), false, 100));
    table.release(2);
    assert_eq!(ready(&mut table), [Ready::Transaction(3)]);
    assert!(!table.is_in_conflict(reads.into_iter(), false, 100));
}

#[test]
fn requests_wait_for_granted_locks_only_and_go_before_waiting_transactions() {
    let mut table = LockTable::new();
    assert_eq!(
        table.schedule(1, keys(1, &[(1, EXCLUSIVE)])),
        Scheduled::Granted
    );
    assert_eq!(
        table.schedule(2, keys(2, &[(1, EXCLUSIVE), (2, EXCLUSIVE)])),
        Scheduled::Waiting
    );
    let on = |hash, mode| std::iter::once((hash, mode));
    assert!(!table.is_in_conflict(on(2, EXCLUSIVE), true, 100));
    assert!(table.is_in_conflict(on(1, SHARED), false, 100));
    let first = table.defer(std::iter::once(1), 100);
    // Another key, but the same connection: it must not be answered first.
    assert!(table.is_in_conflict(on(5, SHARED), false, 100));
    let second = table.defer(std::iter::once(5), 100);
    table.release(1);
    assert_eq!(ready(&mut table), [Ready::Request(first)]);
    table.finish(first);
    assert_eq!(
        ready(&mut table),
        [Ready::Transaction(2), Ready::Request(second)]
    );
    table.finish(second);
    table.release(2);
    assert!(table.is_empty() && table.is_idle());
}

/// Readers that overlap for ever would keep a writing request out for ever if they did not queue behind it.
#[test]
fn a_request_is_not_starved_by_readers() {
    let mut table = LockTable::new();
    let read = |tx| keys(tx, &[(1, SHARED)]);
    assert_eq!(table.schedule(1, read(1)), Scheduled::Granted);
    assert!(table.is_in_conflict(std::iter::once((1, EXCLUSIVE)), true, 100));
    let ticket = table.defer(std::iter::once(1), 100);
    assert_eq!(table.schedule(2, read(2)), Scheduled::Waiting);
    table.release(1);
    assert_eq!(ready(&mut table), [Ready::Request(ticket)]);
    table.finish(ticket);
    assert_eq!(ready(&mut table), [Ready::Transaction(2)]);
}

#[derive(Clone, Debug, PartialEq)]
enum Name {
    Transaction(u64),
    Request(Ticket),
}

#[derive(Clone, Debug)]
struct Holder {
    name: Name,
    place: (u64, u64, u64),
    keys: Vec<(u64, LockMode)>,
    whole: Option<LockMode>,
    is_granted: bool,
}

impl Holder {
    fn conflicts(&self, other: &Holder) -> bool {
        match (self.whole, other.whole) {
            (Some(SHARED), Some(SHARED)) => false,
            // The model is told: the whole shard and any of its keys exclude each other.
            (Some(_), _) | (_, Some(_)) => true,
            (None, None) => self.keys.iter().any(|(hash, mode)| {
                other
                    .keys
                    .iter()
                    .any(|(of, with)| hash == of && (*mode == EXCLUSIVE || *with == EXCLUSIVE))
            }),
        }
    }

    fn is_request(&self) -> bool {
        matches!(self.name, Name::Request(_))
    }
}

#[derive(Default)]
struct Model {
    holders: Vec<Holder>,
}

impl Model {
    fn schedule(&mut self, tx: u64, locks: &LockSet) -> Scheduled {
        let holder = Holder {
            name: Name::Transaction(tx),
            place: (locks.order, tx, 0),
            keys: locks.keys.iter().map(|key| (key.hash, key.mode)).collect(),
            whole: locks.whole,
            is_granted: false,
        };
        let is_late = |other: &Holder| {
            (other.is_granted || other.is_request())
                && other.place > holder.place
                && other.conflicts(&holder)
        };
        if self.holders.iter().any(is_late) {
            return Scheduled::OutOfOrder;
        }
        self.holders.push(holder);
        if self.grant_all().is_empty() {
            Scheduled::Waiting
        } else {
            Scheduled::Granted
        }
    }

    fn is_in_conflict(&self, keys: &[(u64, LockMode)], connection: u64) -> bool {
        let writes = keys.iter().any(|key| key.1 == EXCLUSIVE);
        self.holders.iter().any(|holder| {
            if holder.is_request() {
                let shares = |hash: u64| holder.keys.iter().any(|key| key.0 == hash);
                return keys.iter().any(|key| shares(key.0)) || shares(connection);
            }
            holder.is_granted
                && match holder.whole {
                    Some(EXCLUSIVE) => true,
                    Some(SHARED) => writes,
                    None => keys.iter().any(|(hash, mode)| {
                        holder.keys.iter().any(|(of, with)| {
                            hash == of && (*mode == EXCLUSIVE || *with == EXCLUSIVE)
                        })
                    }),
                }
        })
    }

    fn defer(&mut self, keys: &[(u64, LockMode)], connection: u64, ticket: Ticket, number: u64) {
        let mut keys: Vec<_> = keys.iter().map(|key| (key.0, EXCLUSIVE)).collect();
        keys.push((connection, EXCLUSIVE));
        let mut holder = Holder {
            name: Name::Request(ticket),
            place: (0, 0, number),
            keys,
            whole: None,
            is_granted: false,
        };
        let behind = self
            .holders
            .iter()
            .filter(|other| (other.is_granted || other.is_request()) && other.conflicts(&holder))
            .map(|other| other.place)
            .max();
        let (order, tx, _) = behind.unwrap_or_default();
        holder.place = (order, tx, number);
        self.holders.push(holder);
        assert_eq!(self.grant_all(), [], "a request that is in conflict waits");
    }

    fn remove(&mut self, name: &Name) -> Vec<Name> {
        self.holders.retain(|holder| holder.name != *name);
        self.grant_all()
    }

    /// Grants whoever has no conflict before it; returns who that is now and was not before.
    fn grant_all(&mut self) -> Vec<Name> {
        let all = self.holders.clone();
        let mut granted = Vec::new();
        for holder in &mut self.holders {
            let is_blocked = all
                .iter()
                .any(|other| other.place < holder.place && other.conflicts(holder));
            assert!(!(holder.is_granted && is_blocked), "a grant is for good");
            if !holder.is_granted && !is_blocked {
                holder.is_granted = true;
                granted.push(holder.name.clone());
            }
        }
        granted
    }
}

/// Random transactions, requests and releases on a handful of keys: table and model agree on every answer.
#[test]
fn the_table_agrees_with_the_model() {
    for seed in 0..400 {
        run_model(seed);
    }
}

fn run_model(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut table = LockTable::new();
    let mut model = Model::default();
    let mut tx = 0;
    let mut tickets_count = 0;
    for step in 0..150 {
        let context = format!("SEED={seed} step {step}");
        match rng.below(10) {
            0..4 => {
                tx += 1;
                let order = (tx + rng.below(6)).saturating_sub(rng.below(6));
                let locks = match rng.below(12) {
                    0 => LockSet::of_shard(order, EXCLUSIVE),
                    1 => LockSet::of_shard(order, SHARED),
                    _ => keys(order, &random_keys(&mut rng)),
                };
                let expected = model.schedule(tx, &locks);
                assert_eq!(table.schedule(tx, locks), expected, "{context}");
            }
            4..7 => {
                let keys = random_keys(&mut rng);
                let connection = 1000 + rng.below(3);
                let writes = keys.iter().any(|key| key.1 == EXCLUSIVE);
                let is_in_conflict = table.is_in_conflict(keys.iter().copied(), writes, connection);
                assert_eq!(
                    is_in_conflict,
                    model.is_in_conflict(&keys, connection),
                    "{context}"
                );
                if is_in_conflict {
                    assert!(!table.is_idle(), "{context}");
                    tickets_count += 1;
                    let ticket = table.defer(keys.iter().map(|key| key.0), connection);
                    model.defer(&keys, connection, ticket, tickets_count);
                }
            }
            _ if model.holders.is_empty() => {}
            _ => {
                let transactions: Vec<u64> = model
                    .holders
                    .iter()
                    .filter_map(|holder| match holder.name {
                        Name::Transaction(tx) => Some(tx),
                        Name::Request(_) => None,
                    })
                    .collect();
                let released = transactions[rng.below(transactions.len() as u64) as usize];
                release(&mut table, &mut model, released, &context);
            }
        }
        assert_eq!(table.holders_count(), model.holders.len(), "{context}");
        let is_idle = !model
            .holders
            .iter()
            .any(|holder| holder.is_granted || holder.is_request());
        assert_eq!(table.is_idle(), is_idle, "{context}");
    }
    // Those granted finish in any order, and at the end nothing is left.
    while let Some(granted) = model.holders.iter().find(|holder| holder.is_granted) {
        let Name::Transaction(tx) = granted.name.clone() else {
            panic!("SEED={seed}: requests run as soon as they may");
        };
        release(&mut table, &mut model, tx, &format!("SEED={seed} end"));
    }
    assert!(
        model.holders.is_empty(),
        "SEED={seed}: somebody waits for ever"
    );
    assert!(table.is_empty() && table.is_idle(), "SEED={seed}");
}

fn release(table: &mut LockTable, model: &mut Model, tx: u64, context: &str) {
    table.release(tx);
    let mut expected = model.remove(&Name::Transaction(tx));
    while let Some(ready) = table.next_ready() {
        let name = match ready {
            Ready::Transaction(tx) => Name::Transaction(tx),
            Ready::Request(ticket) => Name::Request(ticket),
            Ready::Seizure(..) | Ready::Shard { .. } => panic!("{context}: nobody seizes anything"),
        };
        let at = expected.iter().position(|known| *known == name);
        expected.remove(at.unwrap_or_else(|| panic!("{context}: {name:?} is not ready")));
        if let Ready::Request(ticket) = ready {
            table.finish(ticket);
            expected.extend(model.remove(&name));
        }
    }
    assert_eq!(expected, [], "{context}: not told about these");
}

fn random_keys(rng: &mut Rng) -> Vec<(u64, LockMode)> {
    let count = 1 + rng.below(3);
    let key = |rng: &mut Rng| {
        let mode = if rng.below(2) == 0 { SHARED } else { EXCLUSIVE };
        (rng.below(5), mode)
    };
    (0..count).map(|_| key(rng)).collect()
}
