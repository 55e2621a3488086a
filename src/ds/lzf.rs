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
/// Three bytes of a longest copy give this many.
const BYTES_FROM_ONE_MAX: usize = COPY_BYTES_MAX / 3;

/// Compresses `input` to at most `output_bytes_max` bytes.
///
/// - Returns nothing where it does not become that short, or is longer than 4 GiB.
/// - Cost: one pass, four bytes looked at in each place and eight at a time of what is copied, one allocation of what came out,
///   and 1 to 16 KiB of stack that are cleared first, by the length of `input`: a snapshot compresses millions of short strings.
pub fn compress(input: &[u8], output_bytes_max: usize) -> Option<Box<[u8]>> {
    match input.len() {
        0..=128 => compress_by::<256>(input, output_bytes_max),
        129..=1024 => compress_by::<1024>(input, output_bytes_max),
        _ => compress_by::<4096>(input, output_bytes_max),
    }
}

/// - `HASHES`: how many there are of three bytes, a power of two.
fn compress_by<const HASHES: usize>(input: &[u8], output_bytes_max: usize) -> Option<Box<[u8]>> {
    u32::try_from(input.len()).ok()?;
    let length = input.len();
    // A run is copied as if it were a longest one.
    let mut output = Vec::with_capacity(output_bytes_max.min(length) + RUN_BYTES_MAX);
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
                push_run(&mut output, input, run_start..at, output_bytes_max)?;
                run_start = at;
            }
            continue;
        }
        let copied = same_count(input, from, at, COPY_BYTES_MAX.min(length - at));
        push_run(&mut output, input, run_start..at, output_bytes_max)?;
        push_copy(&mut output, at - from - 1, copied, output_bytes_max)?;
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
        push_run(&mut output, input, run_start..end, output_bytes_max)?;
        run_start = end;
    }
    Some(output.into_boxed_slice())
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

#[inline]
fn push_run(
    output: &mut Vec<u8>,
    input: &[u8],
    run: Range<usize>,
    output_bytes_max: usize,
) -> Option<()> {
    if run.is_empty() {
        return Some(());
    }
    let end = output.len() + 1 + run.len();
    if end > output_bytes_max {
        return None;
    }
    output.push(run.len() as u8 - 1);
    match input[run.start..].first_chunk::<RUN_BYTES_MAX>() {
        // A copy of a length that is known is two moves and no call; what is too much of it goes again.
        Some(longest) => {
            output.extend_from_slice(longest);
            output.truncate(end);
        }
        None => output.extend_from_slice(&input[run]),
    }
    Some(())
}

/// `back`: how far before the byte in front of here.
#[inline]
fn push_copy(
    output: &mut Vec<u8>,
    back: usize,
    length: usize,
    output_bytes_max: usize,
) -> Option<()> {
    let high = (back >> 8) as u8;
    let low = back as u8;
    let written = length - 2;
    if written < 7 {
        output.extend_from_slice(&[(written as u8) << 5 | high, low]);
    } else {
        output.extend_from_slice(&[7 << 5 | high, (written - 7) as u8, low]);
    }
    (output.len() <= output_bytes_max).then_some(())
}
