//! Affinity: which CPUs the process keeps to, and which of them each core's thread has for itself.
//!
//!     server-cpulist ─> those of them there are ─> confine: the whole process ─> pins: a CPU for each thread, or none at all
//!
//! A thread that stays on its CPU finds there what it left in the caches. But a server with fewer threads than CPUs mostly shares the
//! machine: where several of them took the first CPUs each, all sat on the same ones, and the others were idle. So unless it is told
//! to, nobody is pinned but who has all CPUs, or was told which are its own.
//!
//! Promises  a list that cannot be had is used as far as it can be, and the log says what was left out.
//! Not here  how a thread is pinned: `node/process.rs`, or the executor's placement.
//! Tests     tests/node/affinity.rs, tests/server/daemon.rs.

use super::options::Options;
use super::process;

/// Keeps the process on the CPUs of `server-cpulist`. Call before other threads begin: they have the CPUs of whoever begins them.
pub fn confine(options: &Options) {
    let listed = options.server_cpus();
    if !listed.is_empty()
        && let Err(error) = process::keep_on(&listed)
    {
        tracing::warn!(%error, "this process can have no CPU of server-cpulist: it runs wherever it may");
    }
    let allowed = process::allowed_cpus();
    let (there, missing): (Vec<usize>, Vec<usize>) = listed
        .iter()
        .copied()
        .partition(|cpu| allowed.contains(cpu));
    if !there.is_empty() && !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(usize::to_string).collect();
        let missing = missing.join(",");
        tracing::warn!(
            missing,
            "server-cpulist names CPUs that this process cannot have: it runs on the others"
        );
    }
    let threads = usize::try_from(options.threads).unwrap_or(1);
    let minds = !there.is_empty() || options.pin_threads == "yes";
    if minds && threads > allowed.len() {
        tracing::warn!(
            threads,
            cpus = allowed.len(),
            "there are more threads than CPUs: no thread has one for itself"
        );
    }
}

/// The CPU of each of so many threads, in their order; empty where the kernel is to place them.
///
/// - `pin_threads`: the option.
/// - `listed`: what `server-cpulist` names, in its order.
/// - `allowed`: what the process may run on.
pub fn pins(
    pin_threads: &str,
    threads_count: usize,
    listed: &[usize],
    allowed: &[usize],
) -> Vec<usize> {
    let there = listed.iter().copied().filter(|cpu| allowed.contains(cpu));
    let mut cpus: Vec<usize> = there.collect();
    let are_listed = !cpus.is_empty();
    if !are_listed {
        cpus = allowed.to_vec();
    }
    let is_wanted = match pin_threads {
        "yes" => true,
        "no" => false,
        _ => are_listed || cpus.len() == threads_count,
    };
    if !is_wanted || cpus.len() < threads_count {
        return Vec::new();
    }
    cpus.truncate(threads_count);
    cpus
}
