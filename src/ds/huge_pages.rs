//! Huge pages of the kernel: asked for where memory is full and stays, left alone everywhere else.
//!
//! A table of a million keys is on 20,000 pages of 4 KiB, and a lookup's lines are on three of them: their addresses are
//! found in the page tables, in memory, again and again. On pages of 2 MiB they are found in the processor.
//!
//! Promises  where the kernel has none to give, nothing changes but the speed.
//! Not here  which memory: `ds/span.rs`.

use std::io;

/// Bytes of a huge page, and its alignment.
#[cfg(not(miri))]
pub(super) const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Of `prctl(PR_SET_THP_DISABLE)`, from Linux 6.18 on: but who asks gets them.
#[cfg(not(miri))]
const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;

/// What this machine does for memory that nobody asked huge pages for, or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// It gets none; who asks does.
    None,
    /// It gets some.
    Some,
    /// Neither gets any.
    Nobody,
}

/// Lets this process have the huge pages it asks for, and those it does not ask for only where `takes_all`.
///
/// The allocator has turned all of them off by now: it keeps its room in smaller pieces then, which go back to the
/// system one by one.
///
/// - `machine`: what the machine gives unless told otherwise.
///
/// Errors: what the kernel says. One before 6.18 cannot give to askers alone on a machine that gives to everybody: it goes on
/// giving none.
pub fn allow(machine: Unasked, takes_all: bool) -> io::Result<()> {
    #[cfg(not(miri))]
    {
        let (disables, flags) = match machine {
            Unasked::Nobody => return Ok(()),
            Unasked::Some if !takes_all => (1, EXCEPT_ADVISED),
            Unasked::Some | Unasked::None => (0, 0),
        };
        let none: libc::c_ulong = 0;
        // SAFETY: the call changes how memory is mapped from now on, never what is in it.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_THP_DISABLE,
                disables as libc::c_ulong,
                flags,
                none,
                none,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    #[cfg(miri)]
    let _ = (machine, takes_all);
    Ok(())
}

/// Says whether memory should be on huge pages; what is there already stays as it is.
///
/// # Safety
/// `start` and `bytes` are a mapping of this process's own, or a part of one, in whole pages.
pub(super) unsafe fn want(start: *mut u8, bytes: usize, wanted: bool) {
    #[cfg(not(miri))]
    {
        let advice = if wanted {
            libc::MADV_HUGEPAGE
        } else {
            libc::MADV_NOHUGEPAGE
        };
        // SAFETY: the content stays, whatever the answer is; a kernel without huge pages refuses.
        unsafe { libc::madvise(start.cast(), bytes, advice) };
    }
    #[cfg(miri)]
    let _ = (start, bytes, wanted);
}
