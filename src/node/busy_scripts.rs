//! Scripts of the process that have run for so long that others are told, as every core sees them.
//!
//! Promises  while there are none, whoever looks pays one load.
//! Not here  who is told what: `node/script_busy.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::resp::args::OwnedArgs;
use crate::router::TxId;

const BUSY_SCRIPT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

/// What clients are told while a script runs for long, or a function.
pub fn busy_text(is_function: bool) -> &'static str {
    if is_function {
        BUSY_FUNCTION
    } else {
        BUSY_SCRIPT
    }
}

/// One of them.
pub struct BusyScript {
    /// The transaction that it is, or is part of.
    pub tx: TxId,
    /// Where it runs.
    pub core: u16,
    /// The function's name, if it is one.
    pub function: Option<Box<[u8]>>,
    /// The words that began it.
    pub words: OwnedArgs,
    /// It has the process's token.
    pub has_token: bool,
    /// When it began.
    pub since: Instant,
}

impl BusyScript {
    /// What clients are told.
    pub fn text(&self) -> &'static str {
        busy_text(self.function.is_some())
    }
}

/// All of them.
#[derive(Default)]
pub struct BusyScripts {
    count: AtomicUsize,
    held: Mutex<Vec<Arc<BusyScript>>>,
}

impl BusyScripts {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Those that there are, the longest first.
    pub fn all(&self) -> Vec<Arc<BusyScript>> {
        self.held().clone()
    }

    /// One more.
    pub fn add(&self, script: BusyScript) {
        let mut held = self.held();
        held.push(Arc::new(script));
        self.count.store(held.len(), Ordering::Relaxed);
    }

    /// One is over; unknown ones are ignored.
    pub fn remove(&self, tx: TxId) {
        let mut held = self.held();
        held.retain(|script| script.tx != tx);
        self.count.store(held.len(), Ordering::Relaxed);
    }

    fn held(&self) -> MutexGuard<'_, Vec<Arc<BusyScript>>> {
        // Nothing in there can be left half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
