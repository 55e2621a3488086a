//! Time slices of threads: short ones, so that no core waits long for its processor.
//!
//! A core that has slept gets its processor back at once from whoever computes there with a longer slice than its own; workers of
//! the kernel that its ring begins have its slice.
//!
//! A thread that writes files is as busy as a core while a snapshot is made. Where there are no more processors than cores it takes
//! turns with one of them, and a turn is some milliseconds by default (EEVDF's base slice): as long as all requests that come
//! meanwhile wait. With a slice of its own of a tenth of one it has as much of the time, in pieces that nobody notices.
//!
//! Promises  as much time as without it; where the kernel knows nothing of it (before 6.12), nothing changes.
//! Not here  what the threads do.

#![allow(unsafe_code)]

/// The shortest that the kernel takes.
const SLICE_NS: u64 = 100_000;

/// Sets the calling thread's slice; its policy and its niceness stay.
pub fn shorten() {
    // SAFETY: two numbers in, one out.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of it in this call; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "a thread keeps its usual time slice");
    }
}
