//! What one transaction locks on one shard.
//!
//! Promises  keys are sorted by their hashes and none is there twice, in whatever order they are named.
//! Not here  who has which locks: `shard/locks/`.

/// How a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// With other readers.
    Shared,
    /// With nobody.
    Exclusive,
}

/// One key's lock. The database is left out on purpose: MOVE and COPY … DB touch one name in two databases, and two
/// clients that meet on one name in different databases merely wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLock {
    /// The process-wide keyed hash of the key. A collision costs a wait, nothing else.
    pub hash: u64,
    /// How it is taken.
    pub mode: LockMode,
}

/// What one transaction locks on one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockSet {
    /// Its place in the order of all transactions, before the id decides: the id itself on the first try, a place in
    /// the near future on later ones, so that a stream of younger transactions cannot keep it out for ever.
    pub order: u64,
    /// Where the transaction's coordinator is.
    pub core: u16,
    /// The keys, sorted by hash, none twice.
    pub keys: Vec<KeyLock>,
    /// The whole shard, in place of keys.
    pub whole: Option<LockMode>,
}

impl LockSet {
    /// Locks on keys, in any order; a key named twice is locked once, exclusively if one of them is.
    pub fn of_keys(order: u64, mut keys: Vec<KeyLock>) -> Self {
        keys.sort_unstable_by_key(|key| (key.hash, key.mode == LockMode::Shared));
        keys.dedup_by_key(|key| key.hash); // the exclusive one sorts first and stays
        Self {
            order,
            core: 0,
            keys,
            whole: None,
        }
    }

    /// A lock on every key the shard has or may get.
    pub fn of_shard(order: u64, mode: LockMode) -> Self {
        Self {
            order,
            core: 0,
            keys: Vec::new(),
            whole: Some(mode),
        }
    }
}
