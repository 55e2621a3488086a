//! The process's scripts: every text that some core has been told, so that every core can run it.
//!
//!     EVAL, SCRIPT LOAD on any core -> here -> any core's engine, when it first needs the script
//!
//! Promises  what one client was told exists is found by every later request, wherever that runs; texts that only EVAL has
//!           brought are kept while they are among the 500 used last, by whichever name and on whichever core.
//! Not here  what is compiled: each core's engine (`script/`).
//! Tests     tests/node/script_store.rs, tests/server/scripts.rs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::script::{Origin, ScriptId, Settings};

/// Texts that only EVAL has brought.
const EVAL_SCRIPTS_MAX: usize = 500;

/// A script's text.
pub struct ScriptText {
    /// The text.
    pub body: Box<[u8]>,
    /// How many texts EVAL had brought when it was used last.
    used_at: AtomicU64,
    /// It has made room for others. Cores that know it may still run it.
    is_evicted: AtomicBool,
    /// So many times all had been forgotten when it came.
    flushes_count: u64,
}

impl ScriptText {
    /// Whether it has made room for others.
    #[inline]
    pub fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Default)]
pub struct ScriptStore {
    /// DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub allows_all: AtomicBool,
    /// What scripts have told `cjson`.
    pub settings: Arc<Settings>,
    /// Texts that EVAL has brought: the clock of their uses. What has been used since the last one came is as new as can be, so nobody
    /// writes at each request what everybody reads.
    arrivals_count: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    scripts: HashMap<ScriptId, (Arc<ScriptText>, Origin), ahash::RandomState>,
    evals_count: usize,
    evicted_count: u64,
    flushes_count: u64,
}

impl ScriptStore {
    /// Keeps a text. One that SCRIPT LOAD has brought stays until it is flushed.
    pub fn add(&self, id: ScriptId, body: &[u8], origin: Origin) -> Arc<ScriptText> {
        self.add_held(&mut self.held(), id, body, origin)
    }

    /// Keeps a text again that has made room for others and is used; none where all have been forgotten since.
    pub fn add_again(&self, id: ScriptId, text: &ScriptText) -> Option<Arc<ScriptText>> {
        let mut held = self.held();
        let is_known = held.flushes_count == text.flushes_count;
        is_known.then(|| self.add_held(&mut held, id, &text.body, Origin::Eval))
    }

    fn add_held(
        &self,
        held: &mut Held,
        id: ScriptId,
        body: &[u8],
        origin: Origin,
    ) -> Arc<ScriptText> {
        if let Some((text, known)) = held.scripts.get_mut(&id) {
            if origin == Origin::Load && *known == Origin::Eval {
                *known = Origin::Load;
                held.evals_count -= 1;
            }
            self.touch(text);
            return text.clone();
        }
        if origin == Origin::Eval {
            if held.evals_count >= EVAL_SCRIPTS_MAX {
                held.evict_one();
            }
            held.evals_count += 1;
            self.arrivals_count.fetch_add(1, Ordering::Relaxed);
        }
        let text = Arc::new(ScriptText {
            body: body.into(),
            used_at: AtomicU64::new(self.arrivals_count.load(Ordering::Relaxed)),
            is_evicted: AtomicBool::new(false),
            flushes_count: held.flushes_count,
        });
        held.scripts.insert(id, (text.clone(), origin));
        text
    }

    /// A text is used now.
    #[inline]
    pub fn touch(&self, text: &ScriptText) {
        let now = self.arrivals_count.load(Ordering::Relaxed);
        if text.used_at.load(Ordering::Relaxed) != now {
            text.used_at.store(now, Ordering::Relaxed);
        }
    }

    /// A text, and what brought it.
    pub fn get(&self, id: &ScriptId) -> Option<(Arc<ScriptText>, Origin)> {
        self.held().scripts.get(id).cloned()
    }

    /// Forgets all of them, and what they have set.
    pub fn flush(&self) {
        self.settings.reset();
        let mut held = self.held();
        held.scripts.clear();
        held.evals_count = 0;
        held.flushes_count += 1;
    }

    /// How many there are, and how many made room for others.
    pub fn counts(&self) -> (usize, u64) {
        let held = self.held();
        (held.scripts.len(), held.evicted_count)
    }

    /// Counts anew how many made room.
    pub fn reset_counts(&self) {
        self.held().evicted_count = 0;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in there can be left half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn evict_one(&mut self) {
        let used = |(text, _): &(Arc<ScriptText>, Origin)| text.used_at.load(Ordering::Relaxed);
        let evals = self
            .scripts
            .iter()
            .filter(|(_, (_, origin))| *origin == Origin::Eval);
        let oldest = evals
            .min_by_key(|(_, script)| used(script))
            .map(|(id, _)| *id);
        if let Some((text, _)) = oldest.and_then(|id| self.scripts.remove(&id)) {
            text.is_evicted.store(true, Ordering::Relaxed);
            self.evals_count -= 1;
            self.evicted_count += 1;
        }
    }
}
