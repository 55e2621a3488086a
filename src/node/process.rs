//! The process: limits, CPU time, memory, as the operating system counts them.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::options::Options;
use crate::ds::huge_pages::{self, Disabled, Unasked};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

/// Descriptors the process needs besides clients: listeners, signals, its log.
const DESCRIPTORS_RESERVED: u64 = 16;
/// What each core needs: rings, its segment and the next one; while the log is rewritten a base and segments of the new epoch.
const DESCRIPTORS_PER_CORE: u64 = 8;

/// CPU time of this thread: user and system, microseconds.
pub fn thread_cpu_us() -> (u64, u64) {
    cpu_us(UsageWho::RUSAGE_THREAD)
}

/// CPU time of the whole process: user and system, microseconds.
pub fn process_cpu_us() -> (u64, u64) {
    cpu_us(UsageWho::RUSAGE_SELF)
}

fn cpu_us(who: UsageWho) -> (u64, u64) {
    let Ok(usage) = getrusage(who) else {
        return (0, 0);
    };
    let micros =
        |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
    (micros(usage.user_time()), micros(usage.system_time()))
}

/// Resident memory in bytes, and what of it is no file's.
pub fn resident_bytes() -> (u64, u64) {
    // A third of what `status` costs, which says it among much else.
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split(' ').map(|word| word.parse::<u64>().unwrap_or(0));
    let mut bytes = |index| pages.nth(index).unwrap_or(0) * page_bytes();
    // Behind all there is: resident, and what of that is shared with files.
    let (resident, of_files) = (bytes(1), bytes(0));
    (resident, resident.saturating_sub(of_files))
}

/// The most memory that was ever resident, in bytes.
pub fn resident_bytes_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&status, "VmHWM:") * 1024
}

fn page_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
        bytes.ok().flatten().map_or(4096, |bytes| bytes as u64)
    })
}

/// Memory of the machine in bytes, as it was when this was asked first.
pub fn machine_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        kilobytes(&text, "MemTotal:") * 1024
    })
}

/// The number of kilobytes in a line that begins so.
fn kilobytes(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok());
    number.unwrap_or(0)
}

/// How many clients fit where `limit` files may be open; the rest is for rings, listeners, logs and snapshots.
pub fn clients_that_fit(limit: u64, cores_count: usize) -> u32 {
    let count = limit.saturating_sub(descriptors_reserved(cores_count));
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn descriptors_reserved(cores_count: usize) -> u64 {
    DESCRIPTORS_RESERVED + DESCRIPTORS_PER_CORE * cores_count as u64
}

/// Makes room for `clients_max` open sockets; returns how many clients fit, none of them where not even the server does.
pub fn raise_open_files(clients_max: u32, cores_count: usize) -> u32 {
    let wanted = u64::from(clients_max) + descriptors_reserved(cores_count);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return clients_max;
    };
    if soft >= wanted {
        return clients_max;
    }
    // Raising the hard limit works for root only; otherwise the soft limit goes as far as it may.
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok() {
        return clients_max;
    }
    let reached = hard.min(wanted);
    if setrlimit(Resource::RLIMIT_NOFILE, reached, hard).is_err() {
        return clients_that_fit(soft, cores_count);
    }
    clients_that_fit(reached, cores_count)
}

/// What a core's glommio executor locks itself: three rings, and 64 KiB of buffers registered with each.
const EXECUTOR_LOCKED_BYTES: u64 = 240 * 1024;

/// Memory the queues of one core's ring may lock, in bytes: its share of RLIMIT_MEMLOCK less the executor's own.
pub fn lockable_bytes_per_core(cores_count: usize) -> u64 {
    if nix::unistd::geteuid().is_root() {
        return u64::MAX;
    }
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) => (soft / cores_count.max(1) as u64).saturating_sub(EXECUTOR_LOCKED_BYTES),
        Err(_) => u64::MAX,
    }
}

/// The CPUs this process may run on.
pub fn allowed_cpus() -> Vec<usize> {
    let Ok(set) = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)) else {
        return Vec::new();
    };
    (0..nix::sched::CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect()
}

/// Keeps the calling thread, and those that it begins later, on these CPUs; those that are not there are passed over.
///
/// Errors: none of them may be used.
pub fn keep_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = nix::sched::CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?;
    Ok(())
}

thread_local! {
    /// The CPU that of this process's threads the calling one has for itself.
    static PINNED_CPU: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Notes that the calling thread is pinned to a CPU, where no other core's thread is.
pub fn note_pinned(cpu: usize) {
    PINNED_CPU.set(u32::try_from(cpu).ok());
}

/// The CPU the calling thread is pinned to, `None` where it may run on several or shares the only one.
pub fn pinned_cpu() -> Option<u32> {
    PINNED_CPU.get()
}

/// Whether the address space is limited, and in bytes by how much.
pub fn address_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    (soft != nix::sys::resource::RLIM_INFINITY).then_some(soft)
}

/// Whether the calling thread may be kept on CPUs at all: a sandbox may refuse even those that it has (systemd's
/// `SystemCallFilter=~@resources`).
pub fn may_keep_on(cpus: &[usize]) -> bool {
    cpus.is_empty() || keep_on(cpus).is_ok()
}

/// Lets a file that grows beyond RLIMIT_FSIZE be an error of its write, as a full disk is, and not the end of the process.
///
/// Errors: what the operating system says.
pub fn outlive_large_files() -> io::Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
    Ok(())
}

/// Whether so many threads more may run at once. They begin, and end again: where one of them were missing later, whoever begins it
/// would end the process without a word that helps. Costs some 20 us for each.
///
/// Errors: the operating system's, of the first that could not begin.
pub fn try_out_threads(count: usize) -> io::Result<()> {
    let is_over = AtomicBool::new(false);
    let wait = || {
        while !is_over.load(Ordering::Acquire) {
            std::thread::park();
        }
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(count);
        let mut result = Ok(());
        for _ in 0..count {
            match std::thread::Builder::new().spawn_scoped(scope, wait) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        is_over.store(true, Ordering::Release);
        threads.iter().for_each(|thread| thread.thread().unpark());
        result
    })
}

/// What to change where a core's thread, or what it needs, cannot be had.
///
/// - `error`: the operating system's, by its number: EAGAIN is a thread that cannot begin, ENOMEM memory of some kind.
/// - `has_address_limit`: see [`address_limit`].
pub fn core_remedy(error: &io::Error, has_address_limit: bool) -> &'static str {
    match (error.raw_os_error(), has_address_limit) {
        // The library says so, too, where there is no address space for a stack.
        (Some(libc::EAGAIN), true) => {
            "no thread can begin: raise RLIMIT_AS (`ulimit -v`, systemd LimitAS=), or RLIMIT_NPROC (`ulimit -u`, systemd \
             LimitNPROC=, TasksMax=)"
        }
        (Some(libc::EAGAIN), false) => {
            "no thread can begin: raise RLIMIT_NPROC (`ulimit -u`, systemd LimitNPROC=, TasksMax=; a container's limit of pids), \
             or take fewer threads"
        }
        (Some(libc::ENOMEM), true) => {
            "raise RLIMIT_AS (`ulimit -v`, systemd LimitAS=), or RLIMIT_MEMLOCK (`ulimit -l`, systemd LimitMEMLOCK=), of which the \
             rings need some"
        }
        (Some(libc::ENOMEM), false) => {
            "the rings need more lockable memory (RLIMIT_MEMLOCK: `ulimit -l`, systemd LimitMEMLOCK=) or fewer threads"
        }
        (Some(libc::EMFILE | libc::ENFILE), _) => {
            "too many open files: raise RLIMIT_NOFILE (`ulimit -n`, systemd LimitNOFILE=)"
        }
        _ if error.kind() == io::ErrorKind::PermissionDenied => {
            "a sandbox refuses what is needed (a seccomp profile, systemd SystemCallFilter=): allow io_uring_setup, io_uring_enter, \
             io_uring_register, eventfd2 and sched_setaffinity"
        }
        // Among others what the library says of too little lockable memory, without a number.
        _ => {
            "see RLIMIT_MEMLOCK (`ulimit -l`, systemd LimitMEMLOCK=), of which fewer threads need less, and kernel.io_uring_disabled"
        }
    }
}

/// What the OOM score was when this process was told to change it; none while it leaves it alone.
static OOM_SCORE_FOUND: Mutex<Option<i64>> = Mutex::new(None);
const OOM_SCORE_PATH: &str = "/proc/self/oom_score_adj";

/// Makes the kernel's OOM killer take this process sooner or later, as `oom-score-adj` and its values say. A server that never was
/// asked to leaves the score alone.
///
/// Errors: what the operating system says; a lower score than was found needs privileges.
pub fn adjust_oom_score(options: &Options) -> io::Result<()> {
    let mode = options
        .held
        .get("oom-score-adj")
        .map_or("no", String::as_str);
    let mut place = OOM_SCORE_FOUND
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let found = match *place {
        None if mode == "no" => return Ok(()),
        None => {
            let text = std::fs::read_to_string(OOM_SCORE_PATH)?;
            text.trim().parse().unwrap_or(0)
        }
        Some(found) => found,
    };
    let values = options.held.get("oom-score-adj-values");
    // Of a primary; the others are for replicas and for children, of which there are none.
    let value = values
        .and_then(|values| values.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    let score: i64 = match mode {
        "no" => found,
        "absolute" => value,
        _ => found + value,
    };
    std::fs::write(OOM_SCORE_PATH, score.clamp(-1000, 1000).to_string())?;
    *place = (mode != "no").then_some(found);
    Ok(())
}

/// What the kernel does with huge pages on this machine.
fn unasked_huge_pages() -> Unasked {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    match std::fs::read_to_string(path) {
        Ok(text) if text.contains("[always]") => Unasked::Some,
        Ok(text) if text.contains("[madvise]") => Unasked::None,
        _ => Unasked::Nobody,
    }
}

/// Whether the kernel hands out huge pages to this process unasked.
pub fn has_huge_pages() -> bool {
    unasked_huge_pages() == Unasked::Some && huge_pages::are_disabled() == Disabled::None
}

/// Lets the tables of keys have huge pages where `table-huge-pages` says so, and all other memory as `disable-thp` does. What has been
/// touched before stays as it is.
///
/// - Errors: as [`huge_pages::allow`].
pub fn allow_huge_pages(options: &Options) -> io::Result<()> {
    let for_all = options.is_held("disable-thp", "no");
    huge_pages::allow(unasked_huge_pages(), has_huge_tables(options), for_all)
}

/// Has huge pages made ready for tables that may have some.
///
/// - Errors and `is_serving`: see [`huge_pages::start`].
pub fn prepare_huge_pages(
    options: &Options,
    is_serving: impl Fn() -> bool + Send + 'static,
) -> io::Result<()> {
    if !has_huge_tables(options) || huge_pages::are_disabled() == Disabled::All {
        return Ok(());
    }
    huge_pages::start(super::time_slice::shorten, is_serving)
}

fn has_huge_tables(options: &Options) -> bool {
    options.is_held("table-huge-pages", "yes") && unasked_huge_pages() != Unasked::Nobody
}
