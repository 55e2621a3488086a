//! Threads that load: as many as there are logs or shards, for as long as that takes, beside those a server always has.
//!
//! Promises  where one of them cannot begin, nothing is loaded, and the reason says what to change: no panic, and nobody waits for it.
//! Not here  the threads that a server always has: `node/executor.rs` tries them out.
//! Tests     tests/server/durability.rs.

use std::sync::OnceLock;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::{faults, process};

/// Begins a thread.
///
/// - Errors: a sentence for the operator; what `work` owned is gone.
pub(super) fn begin<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, String> {
    let begun = faults::fail_if("thread").and_then(|()| Builder::new().spawn_scoped(scope, work));
    begun.map_err(|error| {
        let remedy = process::core_remedy(&error, process::address_limit().is_some());
        format!("not enough threads can begin to load it: {error}; {remedy}")
    })
}

/// What a thread came to. One that has panicked is a bug, and has said so.
pub(super) fn end<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    let result = thread.join();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs `work` for each, a thread each, all of them at once.
///
/// - Errors: as [`begin`]; then none has run: one may wait for another.
pub(super) fn in_parallel<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Result<Vec<T>, String> {
    let (work, are_all_there) = (&work, &OnceLock::<bool>::new());
    std::thread::scope(|scope| {
        let threads: Result<Vec<_>, String> = (items.into_iter())
            .map(|item| begin(scope, move || are_all_there.wait().then(|| work(item))))
            .collect();
        let _ = are_all_there.set(threads.is_ok());
        // They ran, as all were there.
        Ok(threads?.into_iter().filter_map(end).collect())
    })
}
