//! How far a load of files is, and a line of the log about it each second.
//!
//! Not here  what of a log's files counts as read: `node/log_way.rs`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// How far it has got, told once a second.
#[derive(Default)]
pub struct Progress {
    /// Bytes to be loaded.
    pub total: AtomicU64,
    /// Bytes that are.
    pub done: AtomicU64,
}

impl Progress {
    /// Before anything is loaded: who waits is told how much there is, and that stays so.
    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Does something, and says meanwhile how far it has got; where no thread can be had for that, without a word.
    pub(super) fn told<T>(&self, work: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let tell = || {
                while !is_over.load(Ordering::Acquire) {
                    std::thread::park_timeout(TOLD_EVERY);
                    if !is_over.load(Ordering::Acquire) {
                        let done = self.done.load(Ordering::Relaxed);
                        let percent = done * 100 / self.total.load(Ordering::Relaxed).max(1);
                        tracing::info!(percent, bytes = done, "loading the append-only log");
                    }
                }
            };
            let teller = std::thread::Builder::new().spawn_scoped(scope, tell);
            let result = work();
            is_over.store(true, Ordering::Release);
            if let Ok(teller) = teller {
                teller.thread().unpark();
            }
            result
        })
    }
}
