//! LZF: a very fast compression for short texts, which Redis uses for long strings in RDB and for a list's inner nodes.
//!
//!     | 000LLLLL | L + 1 bytes |                         a run of bytes as they are, 1 to 32
//!     | LLLooooo | oooooooo |                            L is 1 to 6: L + 2 bytes from o + 1 before here
//!     | 111ooooo | LLLLLLLL | oooooooo |                 L + 9 bytes, so up to 264
//!
//! Promises  what is written reads back, here and in LibLZF; bad bytes are refused: never a panic, and no allocation that
//!           the input's length does not account for.
//! Not here  which lengths are worth it: the callers.
//! Source    LibLZF's description of its format (Marc Lehmann). The compressor is this file's own: greedy, one position
//!           remembered for each hash of three bytes.
//! Tests     tests/ds/lzf.rs, fuzz/fuzz_targets/lzf.rs: round trips, bytes that Redis wrote, every cut and damage refused.

use std::ops::Range;

/// Furthest that a copy reaches back.
const DISTANCE_MAX: usize = 1 << 13;
const RUN_BYTES_MAX: usize = 1 << 5;
const COPY_BYTES_MIN: usize = 3;
const COPY_BYTES_MAX: usize = 264;
/// Bytes behind the last of an output that may be written to: a run is copied as if it were a longest one.
const ROOM_BYTES_MORE: usize = RUN_BYTES_MAX + 1;
/// Three bytes of a longest copy give this many.
const BYTES_FROM_ONE_MAX: usize = COPY_BYTES_MAX / 3;

/// Compresses `input` to at most `output_bytes_max` bytes.
///
/// - Returns nothing where it does not become that short, or is longer than 4 GiB.
/// - Cost: one pass, four bytes looked at in each place and eight at a time of what is copied, room for the output and one
///   allocation of what came out, and 1 to 16 KiB of stack that are cleared first, by the length of `input`: a snapshot compresses
///   millions of short strings.
pub fn compress(input: &[u8], output_bytes_max: usize) -> Option<Box<[u8]>> {
    compress_in(input, output_bytes_max, &mut Vec::new()).map(Box::from)
}

/// The same, written to the start of `room`, which need not be empty and is made anew where it is too short: one after another,
/// inputs are compressed without an allocation each.
pub fn compress_in<'r>(
    input: &[u8],
    output_bytes_max: usize,
    room: &'r mut Vec<u8>,
) -> Option<&'r [u8]> {
    u32::try_from(input.len()).ok()?;
    // More it never takes: a copy is at least as much shorter as the run is longer that it cuts in two.
    let bytes_needed = input.len() + input.len().div_ceil(RUN_BYTES_MAX);
    let bytes_max = output_bytes_max.min(bytes_needed);
    if room.len() < bytes_max + ROOM_BYTES_MORE {
        *room = vec![0; bytes_max + ROOM_BYTES_MORE];
    }
    let output = Output {
        room,
        at: 0,
        bytes_max,
    };
    match input.len() {
        0..=128 => compress_by::<256>(input, output),
        129..=1024 => compress_by::<1024>(input, output),
        _ => compress_by::<4096>(input, output),
    }
}

/// - `HASHES`: how many there are of three bytes, a power of two.
fn compress_by<'r, const HASHES: usize>(input: &[u8], mut output: Output<'r>) -> Option<&'r [u8]> {
    let length = input.len();
    // The last position of three bytes with a hash. 0 where there is none yet: those at the start are as good a guess.
    let mut last_seen = [0_u32; HASHES];
    let mut run_start = 0;
    let mut at = 1;
    while at + COPY_BYTES_MIN <= length {
        let three = three_at(input, at);
        let slot = &mut last_seen[hash_of::<HASHES>(three)];
        let from = std::mem::replace(slot, at as u32) as usize;
        // Only what is before here has been noted.
        if at - from >= DISTANCE_MAX || three_at(input, from) != three {
            at += 1;
            if at - run_start == RUN_BYTES_MAX {
                output.run(input, run_start..at)?;
                run_start = at;
            }
            continue;
        }
        let copied = same_count(input, from, at, COPY_BYTES_MAX.min(length - at));
        output.run(input, run_start..at)?;
        output.copy(at - from - 1, copied)?;
        // The last two positions of a copy are enough to find the next; all of them cost more than they find.
        let end = at + copied;
        for next in end - 2..end {
            if next + COPY_BYTES_MIN <= length {
                last_seen[hash_of::<HASHES>(three_at(input, next))] = next as u32;
            }
        }
        at = end;
        run_start = end;
    }
    while run_start < length {
        let end = length.min(run_start + RUN_BYTES_MAX);
        output.run(input, run_start..end)?;
        run_start = end;
    }
    let Output { room, at, .. } = output;
    Some(&room[..at])
}

/// The `output_bytes` that `input` was made from; nothing where `input` is not such a thing.
pub fn decompress(input: &[u8], output_bytes: usize) -> Option<Vec<u8>> {
    if output_bytes / BYTES_FROM_ONE_MAX > input.len() {
        return None;
    }
    let mut output = vec![0; output_bytes];
    let mut end = 0;
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        let control = usize::from(control);
        if control < RUN_BYTES_MAX {
            let (run, after) = rest.split_at_checked(control + 1)?;
            let place = output.get_mut(end..)?;
            match (rest.first_chunk(), place.first_chunk_mut()) {
                // Of a length that is known: two moves and no call. What is too much of it is written over.
                (Some(longest), Some(place)) => *place = <[u8; RUN_BYTES_MAX]>::clone(longest),
                _ => place.get_mut(..run.len())?.copy_from_slice(run),
            }
            end += run.len();
            rest = after;
            continue;
        }
        let mut length = (control >> 5) + 2;
        if length == 9 {
            let (&more, after) = rest.split_first()?;
            length += usize::from(more);
            rest = after;
        }
        let (&low, after) = rest.split_first()?;
        rest = after;
        let distance = ((control & 0x1f) << 8 | usize::from(low)) + 1;
        let start = end.checked_sub(distance)?;
        if output_bytes - end < length {
            return None;
        }
        copy_within(&mut output, start, end, length);
        end += length;
    }
    (end == output_bytes).then_some(output)
}

/// Copies the `length` bytes from `start` on to `end`, up to which there are bytes already; they may overlap what they become,
/// and then repeat. What is behind them may change, too.
#[inline]
fn copy_within(output: &mut [u8], start: usize, end: usize, length: usize) {
    const STEP: usize = 16;
    if end - start >= STEP && end + length + STEP <= output.len() {
        for done in (0..length).step_by(STEP) {
            let step = output[start + done..].first_chunk::<STEP>();
            let step = *step.expect("it is before what follows");
            output[end + done..end + done + STEP].copy_from_slice(&step);
        }
        return;
    }
    let mut done = 0;
    while done < length {
        // What is there already, which doubles each time where the copy overlaps itself.
        let piece = (length - done).min(end + done - start);
        output.copy_within(start..start + piece, end + done);
        done += piece;
    }
}

/// The three bytes from `at` on, which must be there, the first the lowest.
#[inline]
fn three_at(input: &[u8], at: usize) -> u32 {
    let from_here = &input[at..];
    match from_here.first_chunk::<4>() {
        Some(four) => u32::from_le_bytes(*four) & 0x00ff_ffff,
        // The last three.
        None => u32::from_le_bytes([from_here[0], from_here[1], from_here[2], 0]),
    }
}

#[inline]
fn hash_of<const HASHES: usize>(three: u32) -> usize {
    (three.wrapping_mul(0x9e37_79b1) >> (32 - HASHES.ilog2())) as usize
}

/// How many bytes from `from` on are those from `at` on, up to `count_max`, which are there from both on.
#[inline]
fn same_count(input: &[u8], from: usize, at: usize, count_max: usize) -> usize {
    let (earlier, _) = input[from..].split_at(count_max);
    let (later, _) = input[at..].split_at(count_max);
    let (earlier_eights, earlier_rest) = earlier.as_chunks::<8>();
    let (later_eights, later_rest) = later.as_chunks::<8>();
    for (index, (earlier, later)) in earlier_eights.iter().zip(later_eights).enumerate() {
        let difference = u64::from_le_bytes(*earlier) ^ u64::from_le_bytes(*later);
        if difference != 0 {
            return 8 * index + difference.trailing_zeros() as usize / 8;
        }
    }
    let rest = earlier_rest.iter().zip(later_rest);
    8 * earlier_eights.len() + rest.take_while(|(earlier, later)| earlier == later).count()
}

/// What was written so far.
struct Output<'r> {
    /// `ROOM_BYTES_MORE` longer than the longest output, at least.
    room: &'r mut [u8],
    at: usize,
    bytes_max: usize,
}

impl Output<'_> {
    /// Writes bytes as they are; nothing where there is no place for them.
    #[inline(always)]
    fn run(&mut self, input: &[u8], run: Range<usize>) -> Option<()> {
        if run.is_empty() {
            return Some(());
        }
        let (start, end) = (self.at + 1, self.at + 1 + run.len());
        if end > self.bytes_max {
            return None;
        }
        self.room[self.at] = run.len() as u8 - 1;
        match input[run.start..].first_chunk::<RUN_BYTES_MAX>() {
            // A copy of a length that is known is two moves and no call; what is too much of it is written over.
            Some(longest) => self.room[start..][..RUN_BYTES_MAX].copy_from_slice(longest),
            None => self.room[start..end].copy_from_slice(&input[run]),
        }
        self.at = end;
        Some(())
    }

    /// Writes that `length` bytes are those that begin `back` before the byte in front of here.
    #[inline(always)]
    fn copy(&mut self, back: usize, length: usize) -> Option<()> {
        let high = (back >> 8) as u8;
        let low = back as u8;
        let written = length - 2;
        let place = &mut self.room[self.at..][..3];
        if written < 7 {
            place[..2].copy_from_slice(&[(written as u8) << 5 | high, low]);
            self.at += 2;
        } else {
            place.copy_from_slice(&[7 << 5 | high, (written - 7) as u8, low]);
            self.at += 3;
        }
        (self.at <= self.bytes_max).then_some(())
    }
}
