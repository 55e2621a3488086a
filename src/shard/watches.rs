//! Watches: which keys of one shard somebody's EXEC depends on, and whether they were touched.
//!
//!     (database, key) -> ids of the watches        id -> its mark, its keys, whether each was there
//!
//! A key counts as touched when a command that changed something names it as one it may write, and it was there before or
//! is there afterwards, unless the command says that it changed others ([`Touched`]); when a database is emptied or exchanged, and with it the key went, came or was another's; and when
//! it was there at WATCH and is not at EXEC, which is how expiry shows.
//!
//! Promises  nothing but one branch a write while nobody watches; a touched watch costs nothing more until it is forgotten.
//! Tests     tests/shard/watches.rs, tests/server/multi.rs, tests/sim/.

use std::collections::HashMap;

use super::Shard;
use super::waiters::WaitKey;
use crate::base::number::parse_i64;
use crate::commands::table::{Effect, Program, Spread, Touched};
use crate::commands::{Entry, KeyShape};
use crate::keyspace::Keyspace;
use crate::resp::Args;
use crate::router::LockMode;
use crate::router::keys::for_each_lock;
use crate::router::watch::Watch;

/// All watches of one shard.
#[derive(Default)]
pub struct Watches {
    keys: HashMap<WaitKey, WatchedKey, ahash::RandomState>,
    watchers: HashMap<u64, Watcher, ahash::RandomState>,
}

struct WatchedKey {
    key: Vec<u8>,
    ids: Vec<u64>,
}

struct Watcher {
    watch: Watch,
    is_touched: bool,
    /// Its keys; whether they were there when they were first watched.
    keys: Vec<(WaitKey, bool)>,
}

/// How a command found a watched key.
pub(super) struct Before {
    place: WaitKey,
    existed: bool,
    /// Which word names it; 0 for none.
    word: usize,
    /// The command names it as one that it may write.
    is_named: bool,
}

impl Watches {
    /// Whether nobody watches a key that has not been touched.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Watched keys, each counted once, whoever watches it; not those of watches that have been touched on any shard.
    pub fn len(&self) -> usize {
        let waits = |id: &u64| {
            let watcher = self.watchers.get(id);
            watcher.is_some_and(|watcher| !watcher.watch.is_touched())
        };
        let watched = self.keys.values();
        watched.filter(|key| key.ids.iter().any(waits)).count()
    }

    fn add(&mut self, watch: &Watch, place: WaitKey, key: &[u8], is_there: bool) {
        let watcher = self.watchers.entry(watch.id).or_insert_with(|| Watcher {
            watch: watch.clone(),
            is_touched: false,
            keys: Vec::new(),
        });
        if watcher.is_touched || watcher.keys.iter().any(|(known, _)| *known == place) {
            return;
        }
        watcher.keys.push((place, is_there));
        let watched = self.keys.entry(place).or_insert_with(|| WatchedKey {
            key: key.to_vec(),
            ids: Vec::new(),
        });
        watched.ids.push(watch.id);
    }

    /// Forgets a watch; unknown ones are ignored.
    pub(super) fn remove(&mut self, id: u64) {
        if let Some(watcher) = self.watchers.remove(&id) {
            self.remove_keys(id, watcher.keys);
        }
    }

    fn remove_keys(&mut self, id: u64, keys: Vec<(WaitKey, bool)>) {
        for (place, _) in keys {
            if let Some(watched) = self.keys.get_mut(&place) {
                watched.ids.retain(|&other| other != id);
                if watched.ids.is_empty() {
                    self.keys.remove(&place);
                }
            }
        }
    }

    /// A key was touched: whoever watches it need watch no more.
    pub(super) fn touch(&mut self, place: WaitKey) {
        let Some(watched) = self.keys.get(&place) else {
            return;
        };
        for id in watched.ids.clone() {
            let Some(watcher) = self.watchers.get_mut(&id) else {
                continue;
            };
            watcher.is_touched = true;
            watcher.watch.touch();
            let keys = std::mem::take(&mut watcher.keys);
            self.remove_keys(id, keys);
        }
    }

    fn exists(&self, keys: &Keyspace, place: WaitKey) -> bool {
        self.keys.get(&place).is_some_and(|watched| {
            let key = keys.key(&watched.key);
            keys.peek(usize::from(place.0), &key).is_some()
        })
    }
}

impl Shard {
    /// Notes keys of this shard, in one database, as watched.
    pub fn watch(&mut self, watch: &Watch, db: u16, keys: &Args<'_>) {
        for word in keys.iter_from(0) {
            let key = self.keys.key(word);
            let is_there = self.keys.peek(usize::from(db), &key).is_some();
            self.watches.add(watch, (db, key.hash), word, is_there);
        }
    }

    /// Forgets a watch; unknown ones are ignored.
    pub fn unwatch(&mut self, id: u64) {
        self.watches.remove(id);
    }

    /// Whether a key of this watch was touched, or has expired since.
    pub fn has_changed(&self, id: u64) -> bool {
        self.watches.watchers.get(&id).is_some_and(|watcher| {
            let has_gone = |(place, was_there): &(WaitKey, bool)| {
                *was_there && !self.watches.exists(&self.keys, *place)
            };
            watcher.is_touched || watcher.keys.iter().any(has_gone)
        })
    }

    /// Keys somebody watches here.
    pub fn watched_keys_count(&self) -> usize {
        self.watches.len()
    }

    /// All keys are about to be others: touches those that are there and watched.
    pub fn touch_all_watched(&mut self) {
        let places: Vec<_> = self.watches.keys.keys().copied().collect();
        for place in places {
            if self.watches.exists(&self.keys, place) {
                self.watches.touch(place);
            }
        }
    }

    /// How a command that may write finds the watched keys that it may touch.
    #[cold]
    pub(super) fn before_write(
        &self,
        entry: &'static Entry,
        db: u16,
        args: &Args<'_>,
    ) -> Vec<Before> {
        let mut befores = Vec::new();
        if entry.keys == KeyShape::None {
            // It may touch any key (FLUSHALL).
            for &place in self.watches.keys.keys() {
                befores.push(Before {
                    place,
                    existed: self.watches.exists(&self.keys, place),
                    word: 0,
                    is_named: false,
                });
            }
            return befores;
        }
        // Of the keys that it looks through it takes the first there is.
        let takes_first = entry.command.spread == Spread::Gather(Program::FirstExisting);
        let mut has_taken = false;
        for_each_lock(entry, args, |index, mode| {
            if mode == LockMode::Shared || has_taken {
                return;
            }
            let key = self.keys.key(args.get(index));
            has_taken = takes_first && self.keys.peek(usize::from(db), &key).is_some();
            // Names in other databases: of COPY and MOVE.
            for other in 0..self.keys.databases_count() as u16 {
                let place = (other, key.hash);
                if self.watches.keys.contains_key(&place) {
                    befores.push(Before {
                        place,
                        existed: self.watches.exists(&self.keys, place),
                        word: index,
                        is_named: other == db,
                    });
                }
            }
        });
        befores
    }

    /// Touches the watched keys of a command that has written.
    #[cold]
    pub(super) fn after_write(&mut self, effect: Effect, args: &Args<'_>, befores: Vec<Before>) {
        if effect.changes == 0 && effect.touched != Touched::Always {
            return;
        }
        for before in befores {
            let exists = self.watches.exists(&self.keys, before.place);
            let has_new_place = effect.wakes_all && {
                let db = i64::from(before.place.0);
                args.iter_from(1).any(|word| parse_i64(word) == Some(db))
            };
            let may_have_changed = match effect.touched {
                Touched::Named | Touched::Always => before.is_named || has_new_place,
                Touched::Word(word) => before.is_named && before.word == usize::from(word),
                Touched::InDatabase(db) => before.place.0 == db,
                Touched::ComeOrGone => false,
            };
            let is_touched = if may_have_changed {
                before.existed || exists
            } else {
                before.existed != exists
            };
            if is_touched {
                self.watches.touch(before.place);
            }
        }
    }
}
