//! Wanted: the locks that commands need, and which of them are held already.
//!
//! Not here  which words are keys: `router/keys.rs`.

use std::collections::HashMap;

use super::{KeyLock, LockMode, LockSet, Locks, mode_of_whole, part_of};
use crate::base::hash::KeyHasher;
use crate::commands::Entry;
use crate::commands::migrate::Migration;
use crate::commands::sort::has_patterns;
use crate::commands::table::{Program as Named, Spread};
use crate::keyspace::SlotMap;
use crate::resp::Args;
use crate::router::keys::for_each_lock;
use crate::router::{Plan, ShardId, plan};

/// What the commands of a block lock, or what a script's call does.
pub(super) struct Wanted<'h> {
    shards: Vec<(ShardId, WantedOfShard)>,
    map: SlotMap,
    hasher: &'h KeyHasher,
}

#[derive(Default)]
struct WantedOfShard {
    keys: Vec<KeyLock>,
    whole: Option<LockMode>,
}

impl<'h> Wanted<'h> {
    pub(super) fn new(map: SlotMap, hasher: &'h KeyHasher) -> Self {
        Self {
            shards: Vec::new(),
            map,
            hasher,
        }
    }

    pub(super) fn key(&mut self, key: &[u8], mode: LockMode) {
        let hash = self.hasher.hash(key);
        let shard = self.map.shard_of(key);
        let lock = KeyLock { hash, mode };
        part_of(&mut self.shards, shard).keys.push(lock);
    }

    fn whole(&mut self, shard: ShardId, mode: LockMode) {
        let wanted = &mut part_of(&mut self.shards, shard).whole;
        if *wanted != Some(LockMode::Exclusive) {
            *wanted = Some(mode);
        }
    }

    pub(super) fn command(&mut self, entry: &'static Entry, args: &Args<'_>) {
        if entry.command.run.on_keys().is_none() && !entry.command.run.is_script() {
            return;
        }
        let is_everywhere = match entry.command.spread {
            Spread::EveryShard(_) | Spread::Gather(Named::RandomKey) => true,
            // The keys that its patterns lead to may be anywhere.
            Spread::Gather(Named::Sort) => has_patterns(args),
            _ => false,
        };
        if is_everywhere {
            let shards = 0..self.map.shards_count();
            return shards.for_each(|shard| self.whole(shard, mode_of_whole(entry)));
        }
        match entry.command.spread {
            Spread::Cursor => match plan(entry, args, &self.map, 0) {
                Plan::Shard(shard) => self.whole(shard, LockMode::Shared),
                _ => {
                    let shards = 0..self.map.shards_count();
                    shards.for_each(|shard| self.whole(shard, LockMode::Shared));
                }
            },
            Spread::Gather(Named::Migrate) => {
                let keys = Migration::parse(args).map_or(0..0, |migration| migration.keys);
                keys.for_each(|word| self.key(args.get(word), LockMode::Exclusive));
            }
            _ => {
                for_each_lock(entry, args, |index, mode| self.key(args.get(index), mode));
            }
        }
    }

    pub(super) fn into_locks(mut self) -> Locks {
        self.shards.sort_by_key(|(shard, _)| *shard);
        let lock = |(shard, WantedOfShard { keys, whole })| match whole {
            None => (shard, LockSet::of_keys(0, keys)),
            Some(mode) => {
                let writes = keys.iter().any(|key| key.mode == LockMode::Exclusive);
                let mode = if writes { LockMode::Exclusive } else { mode };
                (shard, LockSet::of_shard(0, mode))
            }
        };
        self.shards.into_iter().map(lock).collect()
    }
}

/// What is locked.
#[derive(Default)]
pub(super) struct Covered {
    shards: Vec<(ShardId, CoveredOfShard)>,
}

#[derive(Default)]
struct CoveredOfShard {
    keys: HashMap<u64, LockMode>,
    whole: Option<LockMode>,
}

impl Covered {
    pub(super) fn by(locks: &Locks) -> Self {
        let mut covered = Self::default();
        for (shard, locks) in locks {
            covered.add(*shard, locks);
        }
        covered
    }

    pub(super) fn add(&mut self, shard: ShardId, locks: &LockSet) {
        let part = part_of(&mut self.shards, shard);
        for key in &locks.keys {
            let mode = part.keys.entry(key.hash).or_insert(key.mode);
            if key.mode == LockMode::Exclusive {
                *mode = key.mode;
            }
        }
        if part.whole != Some(LockMode::Exclusive) {
            part.whole = locks.whole.or(part.whole);
        }
    }

    /// What of `locks` is not locked; what is locked in the end is locked in `mode`.
    pub(super) fn missing(&self, locks: Locks, mode: LockMode) -> Locks {
        let missing = |(shard, mut locks): (ShardId, LockSet)| {
            let none = CoveredOfShard::default();
            let of_shard = self.shards.iter().find(|(of, _)| *of == shard);
            let part = of_shard.map_or(&none, |(_, part)| part);
            let covers = |held: Option<LockMode>, wanted: LockMode| {
                held == Some(LockMode::Exclusive) || held == Some(wanted)
            };
            locks.keys.retain(|key| {
                let held = part.keys.get(&key.hash).copied();
                !covers(part.whole, key.mode) && !covers(held, key.mode)
            });
            locks.keys.iter_mut().for_each(|key| key.mode = mode);
            locks.whole = locks.whole.filter(|&wanted| !covers(part.whole, wanted));
            let wants_any = !locks.keys.is_empty() || locks.whole.is_some();
            wants_any.then_some((shard, locks))
        };
        locks.into_iter().filter_map(missing).collect()
    }
}
