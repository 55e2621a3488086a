//! Huge pages: memory on pages of 2 MiB, made ready by a thread of its own before it is wanted.
//!
//!     owner, its room nearly full --wish--> thread: map, ask for huge pages, have the kernel fill them in --mapping--> owner
//!
//! A table of a million keys is on 40,000 pages of 4 KiB, and a request's lines are on two or three of them: their addresses are
//! found in the page tables, in memory, again and again. On pages of 2 MiB they are found in the processor.
//!
//! Promises  who shares the thread's processor, or maps memory meanwhile, waits for one huge page at most, and hardly ever for a slow
//!           one ([`Rests`]); nobody else waits. Where the kernel has none to give, pages of 4 KiB are handed over.
//! Not here  who wishes for how much, and when: `ds/span.rs`.
//! Tests     tests/ds/slab.rs, tests/ds/huge_pages.rs.
//! Details that cost time to find
//! - The first touch of a huge page takes 0.4 ms, of the same memory in small ones 1 ms. Where the machine is a guest whose host has not
//!   backed the memory yet it is 2 to 5 ms, in either; but the kernel cannot be interrupted in a huge one.

use std::io;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::spare_mappings::Mapping;

/// Bytes of a huge page, and its alignment.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Of `prctl(PR_SET_THP_DISABLE)`, from Linux 6.18 on: but who asks gets them.
const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;

/// A huge page that took longer had memory that the host backed only then: more of that may follow.
const SLOW: Duration = Duration::from_millis(1);
/// After such a one there is none for so many times what it took: of a thousand requests one may have waited for it.
const REST_TIMES: u32 = 1000;

static WISHES: OnceLock<Sender<Wish>> = OnceLock::new();

struct Wish {
    bytes: usize,
    answer: Sender<Mapping>,
}

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

/// What this process does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// Nothing.
    None,
    /// Those it does not ask for.
    Unasked,
    /// All.
    All,
}

/// Lets this process have huge pages where it asks for them, where it does not, both or neither.
///
/// - `machine`: what the machine gives unless told otherwise.
/// - Errors: what the kernel says. One before 6.18 cannot give to askers alone on a machine that gives to everybody: then nobody gets
///   any.
pub fn allow(machine: Unasked, asked: bool, unasked: bool) -> io::Result<()> {
    match machine {
        Unasked::Nobody => Ok(()),
        Unasked::Some if !unasked && asked => {
            disable(true, EXCEPT_ADVISED).or_else(|error| disable(true, 0).and(Err(error)))
        }
        Unasked::Some if !unasked => disable(true, 0),
        // Who started this process may have turned them off.
        Unasked::Some | Unasked::None => disable(false, 0),
    }
}

fn disable(is_disabled: bool, flags: libc::c_ulong) -> io::Result<()> {
    let is_disabled = libc::c_ulong::from(is_disabled);
    let none: libc::c_ulong = 0;
    // SAFETY: the call changes how memory is mapped from now on, never what is in it.
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, is_disabled, flags, none, none) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Which huge pages this process does without, whatever the machine gives.
pub fn are_disabled() -> Disabled {
    let none: libc::c_ulong = 0;
    // SAFETY: the call changes nothing.
    match unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, none, none, none, none) } {
        ..=0 => Disabled::None,
        1 => Disabled::All,
        _ => Disabled::Unasked,
    }
}

/// When no huge page is made, since the last one kept its processor for long: small pages are backed one by one meanwhile.
#[derive(Debug, Default)]
pub struct Rests {
    until: Option<Instant>,
}

impl Rests {
    /// Notes how long a huge page took that was made just now, at `now`; false: no other is to be made for some time.
    pub fn note(&mut self, took: Duration, now: Instant) -> bool {
        let is_slow = took > SLOW;
        if is_slow {
            self.until = Some(now + took * REST_TIMES);
        }
        !is_slow
    }

    /// Whether one may be made.
    pub fn are_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }
}

/// Starts the thread that makes memory ready, once: before it there is none to be had.
///
/// - `begin`: what the thread does first.
/// - `is_serving`: whether there are requests that may have to wait; while there are none, nothing needs a rest.
pub fn start(
    begin: impl FnOnce() + Send + 'static,
    is_serving: impl Fn() -> bool + Send + 'static,
) -> io::Result<()> {
    let (sender, wishes) = channel::<Wish>();
    if WISHES.set(sender).is_err() {
        return Ok(());
    }
    let run = move || {
        begin();
        let mut rests = Rests::default();
        for wish in wishes {
            let may_begin = rests.are_over(Instant::now()) || !is_serving();
            let mut ended = |took: Duration| rests.note(took, Instant::now()) || !is_serving();
            if may_begin && let Ok(mapping) = prepare(wish.bytes, &mut ended) {
                // Who has changed its mind lets the answer go, and the mapping with it.
                let _ = wish.answer.send(mapping);
            }
        }
    };
    let thread = std::thread::Builder::new().name("rondo-pages".into());
    thread.spawn(run).map(drop)
}

/// Wishes for a mapping of `bytes`, a multiple of [`HUGE_PAGE_BYTES`]: it comes, touched as far as possible, or the sender is gone. None:
/// there is no thread.
pub(super) fn wish(bytes: usize) -> Option<Receiver<Mapping>> {
    let (answer, mapping) = channel();
    WISHES.get()?.send(Wish { bytes, answer }).ok()?;
    Some(mapping)
}

/// Takes the wish for huge pages back, before a part is given back to the system: the kernel would fill the holes up again.
///
/// # Safety
/// `start` and `bytes` are a mapping of this process's own, or a part of one, in whole pages.
pub(super) unsafe fn want_no_more(start: *mut u8, bytes: usize) {
    // SAFETY: the content stays, whatever the answer is; a kernel without huge pages refuses.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_NOHUGEPAGE) };
}

/// A mapping that is on huge pages as far as `ended`, which is told what each took, says that it may go on.
fn prepare(bytes: usize, ended: &mut impl FnMut(Duration) -> bool) -> io::Result<Mapping> {
    let start = map(bytes, HUGE_PAGE_BYTES)?;
    // SAFETY: the pages have been mapped for this.
    let mapping = unsafe { Mapping::new(start, bytes) };
    // Between two of them others may have the processor.
    for at in (0..bytes).step_by(HUGE_PAGE_BYTES) {
        // SAFETY: as far as that the pages are ours.
        let page = unsafe { start.as_ptr().add(at) };
        let began = Instant::now();
        // SAFETY: as above; neither call changes what is in memory.
        let result = unsafe {
            libc::madvise(page.cast(), HUGE_PAGE_BYTES, libc::MADV_HUGEPAGE);
            libc::madvise(page.cast(), HUGE_PAGE_BYTES, libc::MADV_POPULATE_WRITE)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        if !ended(began.elapsed()) {
            break;
        }
    }
    Ok(mapping)
}

/// Maps whole pages that nobody has touched, the first at a multiple of `alignment`. Address space only: memory comes as it is
/// written.
pub(super) fn map(bytes: usize, alignment: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes + alignment,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = start.cast::<u8>();
    let before_bytes = start.align_offset(alignment);
    let after_bytes = alignment - before_bytes;
    // SAFETY: what is cut off lies in the mapping, on either side of what is kept; no mapping begins at 0.
    unsafe {
        let kept = start.add(before_bytes);
        if before_bytes > 0 {
            libc::munmap(start.cast(), before_bytes);
        }
        if after_bytes > 0 {
            libc::munmap(kept.add(bytes).cast(), after_bytes);
        }
        Ok(NonNull::new_unchecked(kept))
    }
}
