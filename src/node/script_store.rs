//! The process's scripts: every text that some core has been told, so that every core can run it.
//!
//!     EVAL, SCRIPT LOAD on any core -> here -> any core's engine, when it first needs the script
//!
//! Promises  what one client was told exists is found by every later request, wherever that runs; texts that only EVAL has
//!           brought are kept while they are among the 500 used last.
//! Not here  what is compiled: each core's engine (`script/`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::script::{Origin, ScriptId};

/// Texts that only EVAL has brought.
const EVAL_SCRIPTS_MAX: usize = 500;
/// A use is noted once in so many milliseconds: nobody writes what everybody reads at each request.
const USED_STEP_MS: i64 = 1000;

/// A script's text.
pub struct ScriptText {
    /// The text.
    pub body: Box<[u8]>,
    used_ms: AtomicI64,
    /// It has made room for others. Cores that know it may still run it.
    is_evicted: AtomicBool,
}

impl ScriptText {
    /// Whether the store has forgotten it.
    #[inline]
    pub fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }

    /// It is used now.
    #[inline]
    pub fn touch(&self, now_ms: i64) {
        if now_ms - self.used_ms.load(Ordering::Relaxed) >= USED_STEP_MS {
            self.used_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct ScriptStore {
    /// DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub allows_all: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    scripts: HashMap<ScriptId, (Arc<ScriptText>, Origin), ahash::RandomState>,
    evals_count: usize,
    evicted_count: u64,
}

impl ScriptText {
    /// A text, used now.
    pub fn new(body: &[u8], now_ms: i64) -> Self {
        Self {
            body: body.into(),
            used_ms: AtomicI64::new(now_ms),
            is_evicted: AtomicBool::new(false),
        }
    }
}

impl ScriptStore {
    /// Keeps a text. One that SCRIPT LOAD has brought stays until it is flushed.
    pub fn add(&self, id: ScriptId, body: &[u8], origin: Origin, now_ms: i64) -> Arc<ScriptText> {
        let mut held = self.held();
        let held = &mut *held;
        if let Some((text, known)) = held.scripts.get_mut(&id) {
            if origin == Origin::Load && *known == Origin::Eval {
                *known = Origin::Load;
                held.evals_count -= 1;
            }
            return text.clone();
        }
        if origin == Origin::Eval {
            if held.evals_count >= EVAL_SCRIPTS_MAX {
                held.evict_one();
            }
            held.evals_count += 1;
        }
        let text = Arc::new(ScriptText::new(body, now_ms));
        held.scripts.insert(id, (text.clone(), origin));
        text
    }

    /// A text, and what brought it.
    pub fn get(&self, id: &ScriptId) -> Option<(Arc<ScriptText>, Origin)> {
        self.held().scripts.get(id).cloned()
    }

    /// Forgets all of them.
    pub fn flush(&self) {
        let mut held = self.held();
        held.scripts.clear();
        held.evals_count = 0;
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
        let used = |(text, _): &(Arc<ScriptText>, Origin)| text.used_ms.load(Ordering::Relaxed);
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
