//! What a ring needs before it can be used: what the kernel must be able to do, how large the queues may be, and what an operator
//! is told where there is no ring to be had.
//!
//! Promises  a kernel that lacks something is found at the start of the process, and the message names the setting that helps.
//! Not here  what is done with the ring: `node/ring/mod.rs`.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{IoUring, opcode};

/// Entries of the submission queue where nothing limits it; completions get four times as many.
const SUBMISSIONS_MAX: u32 = 4096;
const SUBMISSIONS_MIN: u32 = 128;
pub(super) const COMPLETIONS_PER_SUBMISSION: u32 = 4;

// Of `io_uring_register(2)`.
const REGISTER_RING_FDS: libc::c_uint = 20;

/// Why a ring cannot be had, with the remedy.
#[derive(Debug)]
pub struct RingError {
    /// What failed and what to change, in sentences for an operator.
    pub remedy: String,
}

impl std::fmt::Display for RingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.remedy)
    }
}

/// Whether a ring can be had at all, before anybody depends on one.
///
/// - Errors: as those of [`super::Ring::new`].
pub fn try_out() -> Result<(), RingError> {
    let mut ring = IoUring::new(SUBMISSIONS_MIN).map_err(|error| RingError {
        remedy: remedy("io_uring_setup", &error),
    })?;
    probe(&ring)?;
    // SAFETY: the operation has no buffers.
    let pushed = unsafe { ring.submission().push(&opcode::Nop::new().build()) };
    let entered = match pushed {
        Ok(()) => ring.submit_and_wait(1).map(|_| ()),
        Err(_) => Ok(()),
    };
    entered.map_err(|error| RingError {
        remedy: remedy("io_uring_enter", &error),
    })
}

/// The largest queues that fit: a submission takes 64 + 4 bytes, a completion 16.
pub(super) fn submissions_within(lockable_bytes: u64) -> u32 {
    let bytes = |count: u32| u64::from(count) * (68 + 16 * u64::from(COMPLETIONS_PER_SUBMISSION));
    let mut submissions = SUBMISSIONS_MAX;
    while submissions > SUBMISSIONS_MIN && bytes(submissions) > lockable_bytes {
        submissions /= 2;
    }
    submissions
}

/// Registers a ring with this thread, the only one that enters it. Without, it only costs a little more.
pub(super) fn register(ring: &IoUring) -> Option<RawFd> {
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let mut update = Update {
        offset: u32::MAX,
        reserved: 0,
        data: ring.as_raw_fd() as u64,
    };
    // SAFETY: the argument is one `io_uring_rsrc_update`, which the kernel reads, and writes its place to, in this call.
    let registered = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_RING_FDS,
            &raw mut update,
            1,
        )
    };
    (registered == 1).then_some(update.offset as RawFd)
}

/// What must be there: the operations and features the loop is built on.
pub(super) fn probe(ring: &IoUring) -> Result<(), RingError> {
    let mut probe = io_uring::Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| RingError {
            remedy: remedy("io_uring probe", &error),
        })?;
    let needed = [
        ("accept", opcode::AcceptMulti::CODE),
        ("recv", opcode::RecvMulti::CODE),
        ("send", opcode::Send::CODE),
        ("sendmsg", opcode::SendMsg::CODE),
        ("timeout", opcode::Timeout::CODE),
        ("async cancel", opcode::AsyncCancel::CODE),
        ("msg_ring", opcode::MsgRingData::CODE),
        ("write", opcode::Write::CODE),
        ("fsync", opcode::Fsync::CODE),
    ];
    for (name, code) in needed {
        if !probe.is_supported(code) {
            return Err(RingError {
                remedy: format!(
                    "this kernel's io_uring lacks the operation '{name}'; rondo needs Linux 6.1 or later"
                ),
            });
        }
    }
    if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
        return Err(RingError {
            remedy: "this kernel's io_uring is too old; rondo needs Linux 6.1 or later".into(),
        });
    }
    Ok(())
}

/// The setting that fixes `error`.
pub(super) fn remedy(step: &str, error: &io::Error) -> String {
    let cause = match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            "this kernel has no io_uring (or a sandbox hides it): run Linux 6.1 or later, built with CONFIG_IO_URING"
        }
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden here: set `sysctl kernel.io_uring_disabled=0`, and in a container use a seccomp \
             profile that allows io_uring_setup, io_uring_enter and io_uring_register"
        }
        Some(libc::ENOMEM) => {
            "not enough lockable memory: raise RLIMIT_MEMLOCK (`ulimit -l`, systemd LimitMEMLOCK=)"
        }
        Some(libc::EINVAL) => "this kernel's io_uring is too old: rondo needs Linux 6.1 or later",
        Some(libc::EMFILE | libc::ENFILE) => {
            "too many open files: raise RLIMIT_NOFILE (`ulimit -n`)"
        }
        _ => "rondo needs io_uring of Linux 6.1 or later",
    };
    format!("{step} failed: {error}; {cause}")
}
