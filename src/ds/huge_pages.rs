//! Huge pages: memory on pages of 2 MiB, made ready by a thread of its own before it is wanted.
//!
//!     owner, its room nearly full --wish--> thread: map, ask for huge pages, have the kernel fill them in --mapping--> owner
//!     owner, a mapping full --merge--> thread, a while later: have the kernel copy what is on small pages to huge ones
//!     owner, a long mapping of no use --unmap--> thread: give it back in parts
//!
//! A table of a million keys is on 40,000 pages of 4 KiB, and a request's lines are on two or three of them: their addresses are
//! found in the page tables, in memory, again and again. On pages of 2 MiB they are found in the processor.
//!
//! Who is filled faster than huge pages come, or has been before there were any, is on small pages until those are merged.
//!
//! Promises  who shares the thread's processor, maps memory meanwhile or touches what is being merged waits for one huge page at most,
//!           and hardly ever for a slow one ([`Rests`]); nobody else waits. Where the kernel has none to give, pages of 4 KiB are handed
//!           over, and stay. Merging takes no more memory than was in use.
//! Not here  who wishes for how much, and when: `ds/span.rs`, `ds/block_pool.rs`.
//! Tests     tests/ds/slab.rs, tests/ds/huge_pages.rs.
//! Details that cost time to find
//! - The first touch of a huge page takes 0.4 ms, of the same memory in small ones 1 ms. Where the machine is a guest whose host has not
//!   backed the memory yet it is 2 to 5 ms, in either; but the kernel cannot be interrupted in a huge one.

use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::spare_mappings::Mapping;

/// Bytes of a huge page, and its alignment.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Of `prctl(PR_SET_THP_DISABLE)`, from Linux 6.18 on: but who asks gets them.
const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;

/// A huge page that took more of a processor had memory that the host backed only then: more of that may follow.
const SLOW: Duration = Duration::from_millis(1);
/// After such a one there is none for so many times what it took: of a thousand requests one may have waited for it.
const REST_TIMES: u32 = 1000;
/// After any that was merged: what is merged one after the other is done for good after a while.
const MERGE_REST_TIMES: u32 = 250;
/// So long nothing of a mapping must have been given back before it is merged.
const MERGE_DELAY: Duration = Duration::from_secs(1);

/// A shorter mapping is given back where it was used: to wake the thread takes a tenth of that.
const UNMAPPED_THERE_BYTES_MIN: usize = 1 << 20;

static WISHES: OnceLock<Sender<Wish>> = OnceLock::new();

enum Wish {
    /// A mapping, to be made.
    Make { bytes: usize, answer: Sender<Made> },
    /// One that is there, to be merged.
    Merge(Merge),
    /// One that nobody uses any more, to be given back.
    Unmap(Mapping),
}

/// A mapping that was wished for.
pub(super) struct Made {
    pub(super) mapping: Mapping,
    /// All of it is on huge pages, or was to be and the kernel had none.
    pub(super) is_whole: bool,
}

struct Merge {
    /// The first byte's address, at the boundary of a huge page.
    start: usize,
    bytes: usize,
    not_before: Instant,
    tally: Weak<Merged>,
}

/// Of a mapping: how much of it has been merged. Who drops it wants no more of that.
#[derive(Debug, Default)]
pub(super) struct Merged(AtomicUsize);

impl Merged {
    /// Bytes that the kernel has been asked to merge: what it has no huge page for stays.
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
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

    /// Notes how long one took that was merged just now, at `now`: the next one comes some time later.
    pub fn note_merged(&mut self, took: Duration, now: Instant) {
        if self.note(took, now) {
            self.until = self.until.max(Some(now + took * MERGE_REST_TIMES));
        }
    }

    /// How long none is to be made.
    pub fn left(&self, now: Instant) -> Duration {
        let until = self.until.unwrap_or(now);
        until.saturating_duration_since(now)
    }

    /// Whether one may be made.
    pub fn are_over(&self, now: Instant) -> bool {
        self.left(now).is_zero()
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
        grant(&wishes, &is_serving);
    };
    let thread = std::thread::Builder::new().name("rondo-pages".into());
    thread.spawn(run).map(drop)
}

/// What this thread has had of its processor: who is kept from it for long has not kept others from it.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes to `time` in this call; it knows this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What the thread does, until nobody can wish any more.
fn grant(wishes: &Receiver<Wish>, is_serving: &impl Fn() -> bool) {
    let mut rests = Rests::default();
    let mut merges = VecDeque::<Merge>::new();
    loop {
        let wish = match merges.front() {
            None => wishes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(first) => {
                let now = Instant::now();
                let rest = if is_serving() {
                    rests.left(now)
                } else {
                    Duration::ZERO
                };
                let delay = first.not_before.saturating_duration_since(now);
                wishes.recv_timeout(rest.max(delay))
            }
        };
        match wish {
            Ok(Wish::Make { bytes, answer }) => {
                let may_begin = rests.are_over(Instant::now()) || !is_serving();
                let mut ended = |took: Duration| rests.note(took, Instant::now()) || !is_serving();
                if may_begin && let Ok(made) = prepare(bytes, &mut ended) {
                    // Who has changed its mind lets the answer go, and the mapping with it.
                    let _ = answer.send(made);
                }
            }
            Ok(Wish::Merge(merge)) => merges.push_back(merge),
            Ok(Wish::Unmap(mapping)) => unmap_in_parts(mapping),
            Err(RecvTimeoutError::Timeout) => {
                let Some(first) = merges.front_mut() else {
                    continue;
                };
                let began = processor_time();
                if merge_one(first) {
                    rests.note_merged(processor_time().saturating_sub(began), Instant::now());
                }
                if first.bytes == 0 {
                    merges.pop_front();
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Merges the next huge page of what is left of `merge`; false: nothing was to be done.
fn merge_one(merge: &mut Merge) -> bool {
    let Some(tally) = merge.tally.upgrade() else {
        merge.bytes = 0;
        return false;
    };
    let page = std::ptr::without_provenance_mut::<libc::c_void>(merge.start);
    // SAFETY: whatever is at this address by now, its content stays, whatever the answers are: a kernel before 6.1 merges what is
    // advised in its own time only, another may have no huge page to give.
    unsafe {
        libc::madvise(page, HUGE_PAGE_BYTES, libc::MADV_HUGEPAGE);
        libc::madvise(page, HUGE_PAGE_BYTES, libc::MADV_COLLAPSE);
    }
    tally.0.fetch_add(HUGE_PAGE_BYTES, Ordering::Relaxed);
    merge.start += HUGE_PAGE_BYTES;
    merge.bytes -= HUGE_PAGE_BYTES;
    true
}

/// Wishes for a mapping of `bytes`, a multiple of [`HUGE_PAGE_BYTES`]: it comes, touched as far as possible, or the sender is gone. None:
/// there is no thread.
pub(super) fn wish(bytes: usize) -> Option<Receiver<Made>> {
    let (answer, made) = channel();
    WISHES.get()?.send(Wish::Make { bytes, answer }).ok()?;
    Some(made)
}

/// Wishes for a mapping that is in use, at the boundary of a huge page and so many of them long, to be on huge pages: it is merged, as
/// far as the kernel has some, unless the answer is dropped before. None: there is no thread.
pub(super) fn merge(start: NonNull<u8>, bytes: usize) -> Option<Arc<Merged>> {
    let tally = Arc::new(Merged::default());
    let merge = Merge {
        start: start.addr().get(),
        bytes,
        not_before: Instant::now() + MERGE_DELAY,
        tally: Arc::downgrade(&tally),
    };
    WISHES.get()?.send(Wish::Merge(merge)).ok()?;
    Some(tally)
}

/// Gives a mapping back to the system: a long one in the thread's own time, for each MiB of it that was touched takes 80 us.
pub(super) fn unmap(mapping: Mapping) {
    if mapping.bytes() >= UNMAPPED_THERE_BYTES_MIN
        && let Some(thread) = WISHES.get()
    {
        // Without the thread the mapping comes back with the error, and goes at once.
        let _ = thread.send(Wish::Unmap(mapping));
    }
}

/// Who maps memory meanwhile waits for one part at most.
fn unmap_in_parts(mut mapping: Mapping) {
    while mapping.bytes() > HUGE_PAGE_BYTES {
        drop(mapping.split_off(mapping.bytes() - HUGE_PAGE_BYTES));
    }
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
fn prepare(bytes: usize, ended: &mut impl FnMut(Duration) -> bool) -> io::Result<Made> {
    let start = map(bytes, HUGE_PAGE_BYTES)?;
    // SAFETY: the pages have been mapped for this.
    let mapping = unsafe { Mapping::new(start, bytes) };
    // Between two of them others may have the processor.
    for at in (0..bytes).step_by(HUGE_PAGE_BYTES) {
        // SAFETY: as far as that the pages are ours.
        let page = unsafe { start.as_ptr().add(at) };
        let began = processor_time();
        // SAFETY: as above; neither call changes what is in memory.
        let result = unsafe {
            libc::madvise(page.cast(), HUGE_PAGE_BYTES, libc::MADV_HUGEPAGE);
            libc::madvise(page.cast(), HUGE_PAGE_BYTES, libc::MADV_POPULATE_WRITE)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let goes_on = ended(processor_time().saturating_sub(began));
        if !goes_on && at + HUGE_PAGE_BYTES < bytes {
            let is_whole = false;
            return Ok(Made { mapping, is_whole });
        }
    }
    let is_whole = true;
    Ok(Made { mapping, is_whole })
}

/// Maps whole pages that nobody has touched, the first at a multiple of `alignment`. Address space only: memory comes as it is
/// written.
pub(super) fn map(bytes: usize, alignment: usize) -> io::Result<NonNull<u8>> {
    // One mapping below the other, where all are as large: to the kernel they are one, of which a process has some ten thousands.
    let start = map_anywhere(bytes)?;
    if start.as_ptr().align_offset(alignment) == 0 {
        return Ok(start);
    }
    // SAFETY: the pages have just been mapped, and nobody knows of them.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    let start = map_anywhere(bytes + alignment)?.as_ptr();
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

fn map_anywhere(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}
