//! Settings: what `cjson` has been told, which outlives the script that tells it. All cores' scripts have the same settings,
//! and all cores' functions others.
//!
//!     a script begins ── as they are ──> its own ── cjson.encode_max_depth(5) ──> it is over ── what it has changed ──> all
//!
//! Promises  a script that begins when one that has changed them is over finds them changed, on any core; where nothing has
//!           changed since the core's last script that costs one load. Scripts that run at the same time do not see each
//!           other's. One that is dropped, for it is to begin anew, has changed nothing.
//! Not here  what there is to be set: `script/json.rs`; SCRIPT FLUSH and FUNCTION FLUSH, which make them what they were.
//! Tests     tests/server/scripts.rs.

use super::json::Options;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Default)]
pub struct Settings {
    /// How often they have changed.
    version: AtomicU64,
    held: Mutex<Options>,
}

/// As a core has seen them last.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    version: u64,
    options: Options,
}

impl Settings {
    /// Makes them what they were at first.
    pub fn reset(&self) {
        *self.held() = Options::default();
        self.version.fetch_add(1, Ordering::Release);
    }

    /// What a script has changed since it began, when they were `before`.
    pub(super) fn change(&self, before: &Options, after: &Options) {
        self.held().take_changes(before, after);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// As they are.
    pub(super) fn look(&self, seen: &Cell<Seen>) -> Options {
        // Whoever has them change does so before the reply is sent that others may act upon.
        let version = self.version.load(Ordering::Acquire);
        let mut last = seen.get();
        if last.version != version {
            let options = *self.held();
            last = Seen { version, options };
            seen.set(last);
        }
        last.options
    }

    fn held(&self) -> MutexGuard<'_, Options> {
        // Nothing in there can be left half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
