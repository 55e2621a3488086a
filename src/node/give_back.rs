//! A thread that gives free memory back to the system, so that no request waits for it.
//!
//! The allocator would do it itself, on whichever core next frees a page: with all that was freed in the second before, at once
//! (70 ms for 850 MB, in one request, a second after FLUSHALL), and not at all where nobody asks for anything any more.
//!
//! Promises  what is freed is given back within [`PERIOD`] or so, on no core; whoever maps memory meanwhile waits for 4 MiB
//!           of it at most.
//! Not here  what the allocator keeps: `ds/purge.rs`; moving what is in use: `node/compaction.rs`.
//! Tests     tests/server/memory.rs: what a flush frees goes back though nobody asks anything.

use std::time::Duration;

use crate::ds::purge;

/// A quarter of the time after which the allocator would do it on a core.
const PERIOD: Duration = Duration::from_millis(250);

/// Starts the thread, which ends with the process. Without it the cores do its work.
pub fn start() {
    let run = || loop {
        std::thread::sleep(PERIOD);
        purge::give_back_free_pages();
    };
    let thread = std::thread::Builder::new().name("rondo-memory".into());
    if let Err(error) = thread.spawn(run) {
        tracing::warn!(%error, "no thread to give free memory back: the cores will");
    }
}
