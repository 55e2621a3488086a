//! Scripts in place: a script whose keys are all of this shard runs in one turn, its calls one after the other, with no lock
//! taken, for nobody holds one and nobody else runs meanwhile.
//!
//!     a call -> all its keys are here          -> run
//!            -> it is to write for the first time, and the script may touch anything -> ask for the token first
//!            -> it wants another shard's key   -> the script leaves: locks on what it has touched, then as a transaction
//!
//! Promises  a script that leaves has locks on everything it has touched from the moment it does; one that has not written
//!           may as well be begun anew.
//! Not here  the script and its replies: `script/`; as a transaction: `router/programs/script.rs`.
//! Tests     tests/sim/, tests/server/scripts.rs.

use super::locks::Seized;
use super::{Shard, TxId};
use crate::commands::table::{Caller, Patience, Spread};
use crate::commands::{Entry, Flags, KeyShape};
use crate::keyspace::SlotMap;
use crate::keyspace::events::Lookups;
use crate::resp::Args;
use crate::router::keys::for_each_lock;
use crate::router::{KeyLock, LockMode, LockSet, Plan, plan};

/// A script that runs in place.
#[derive(Clone, Debug, Default)]
pub struct InPlace {
    /// It is sure to touch nothing but the keys it declares, all of which are here; or all keys there are are here.
    pub stays: bool,
    /// It may write, for nobody else who could be in its way may.
    pub has_token: bool,
    /// It has changed something.
    pub has_written: bool,
    /// It was taken to stay and has called for another shard's key: what it has touched here may be undeclared, too.
    pub has_strayed: bool,
    touched: Vec<KeyLock>,
    touched_all: bool,
    /// Of one that stays, where there are several shards: keys that were found to be here, by their hashes.
    found_here: [u64; FOUND_MAX],
    found_count: usize,
}

/// Keys beyond these are looked for each time.
const FOUND_MAX: usize = 8;

impl InPlace {
    /// A script that begins.
    pub fn new(stays: bool) -> Self {
        Self {
            stays,
            ..Self::default()
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// The reply is in `out`.
    Done,
    /// It has not run: the script needs the token before it writes.
    NeedsToken,
    /// It has not run, for it wants more than is here.
    Leaves,
}

impl Shard {
    /// A script that runs in place may have to begin anew: what its calls count and miss counts only if it does not.
    pub fn begin_doubt(&mut self) -> Lookups {
        self.figures.begin_doubt();
        self.keys.lookups()
    }

    /// It goes on, has ended, or is to begin anew: then nothing of it has been.
    pub fn end_doubt(&mut self, before: Lookups, stands: bool) {
        self.figures.end_doubt(stands);
        if !stands {
            self.keys.take_back_lookups(before);
        }
    }

    /// Runs a call of a script in place; its reply, errors included, is appended to `out`.
    ///
    /// - No lock is held on this shard.
    /// - `entry`: something that works on keys.
    #[allow(clippy::too_many_arguments)]
    pub fn call_in_place(
        &mut self,
        script: &mut InPlace,
        map: &SlotMap,
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) -> Called {
        let writes = entry.command.flags.has(Flags::WRITE);
        let mut args = *args;
        if script.stays && self.is_found_here(script, map, entry, &mut args) {
            // As nearly all calls are.
        } else if script.stays {
            let plan = plan(entry, &args, map, self.id);
            let leaves = match map.shards_count() {
                1 => plan == Plan::Many, // It waits for another server.
                // Its text was misread: better late than a key where nobody finds it.
                _ => plan != Plan::Shard(self.id),
            };
            if leaves {
                return Called::Leaves;
            }
        } else {
            if plan(entry, &args, map, self.id) != Plan::Shard(self.id) {
                return Called::Leaves;
            }
            if writes && !script.has_token {
                return Called::NeedsToken;
            }
            script.touched_all |=
                entry.keys == KeyShape::None || entry.command.spread == Spread::Cursor;
            for_each_lock(entry, &args, |index, mode| {
                let hash = self.keys.key(args.get(index)).hash;
                script.touched.push(KeyLock { hash, mode });
            });
        }
        script.has_written |= writes;
        self.run(entry, db, caller, Patience::Denied, &args, out);
        if writes && self.memory.is_limited {
            self.settle_memory(db);
        }
        Called::Done
    }

    /// Whether the one key of a call is on this shard, where there are several. Its hash, which is needed anyway, says so from
    /// the second time on.
    #[inline]
    fn is_found_here<'a>(
        &self,
        script: &mut InPlace,
        map: &SlotMap,
        entry: &'static Entry,
        args: &mut Args<'a>,
    ) -> bool {
        if entry.keys != KeyShape::One(1) || map.shards_count() == 1 || args.len() < 2 {
            return false;
        }
        let hash = self.keys.key(args.get(1)).hash;
        *args = args.with_hash(hash);
        let is_known = script.found_here[..script.found_count].contains(&hash);
        if is_known || map.shard_of(args.get(1)) != self.id {
            return is_known;
        }
        if let Some(place) = script.found_here.get_mut(script.found_count) {
            *place = hash;
            script.found_count += 1;
        }
        true
    }

    /// Locks what a script has touched, for it goes on as transaction `tx` of this core; what is locked.
    ///
    /// - `declared`: where it stays with the keys it declares, their locks; none where all keys there are are here.
    pub fn hold(&mut self, tx: TxId, script: InPlace, declared: Option<LockSet>) -> LockSet {
        let locks = match declared {
            Some(locks) => locks,
            None if script.stays || script.touched_all => LockSet::of_shard(0, LockMode::Exclusive),
            None => LockSet::of_keys(0, script.touched),
        };
        let locks = LockSet {
            core: self.id,
            ..locks
        };
        // What it has filled here, and more elsewhere.
        self.waiters.widen_changes();
        match self.locks.seize(tx, locks.clone()) {
            Seized::Keys => locks,
            Seized::Shard => LockSet::of_shard(0, LockMode::Exclusive),
            Seized::Later | Seized::Closing { .. } => {
                debug_assert!(false, "nobody holds a lock where a script runs in place");
                locks
            }
        }
    }
}
