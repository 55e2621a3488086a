//! The sparse encoding: runs of registers, edited in place as Redis edits them, so that the bytes stay the same.

use super::{Corrupt, HEADER_BYTES, REGISTERS_COUNT};

/// The largest value a run can hold.
const VALUE_MAX: u8 = 32;
/// The longest run of a value above 0.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// How far behind a change runs are looked at for being joined.
const JOINED_RUNS_MAX: usize = 5;
/// How many bytes a change makes a sketch longer by, at most: a long run of zeros falls into two of them and a value.
pub const GROWTH_BYTES_MAX: usize = 3;

/// Registers of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// 0 to 32.
    pub value: u8,
    /// 1 or more.
    pub length: usize,
    /// Bytes it takes: two for long runs of zeros, else one.
    bytes: usize,
}

impl Run {
    /// Zeros, up to 16,384.
    pub fn zeros(length: usize) -> Self {
        Self {
            value: 0,
            length,
            bytes: if length > SHORT_ZEROS_MAX { 2 } else { 1 },
        }
    }

    /// Up to 4 registers of a value from 1 to 32.
    fn of(value: u8, length: usize) -> Self {
        Self {
            value,
            length,
            bytes: 1,
        }
    }

    /// The run at `at`, which is before the end. One that lacks its second byte reads as if a zero stood there.
    #[inline]
    fn at(bytes: &[u8], at: usize) -> Self {
        let first = bytes[at];
        match first >> 6 {
            0 => Self {
                value: 0,
                length: usize::from(first & 0x3f) + 1,
                bytes: 1,
            },
            1 => {
                let second = bytes.get(at + 1).copied().unwrap_or(0);
                Self {
                    value: 0,
                    length: (usize::from(first & 0x3f) << 8 | usize::from(second)) + 1,
                    bytes: 2,
                }
            }
            _ => Self::of((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1),
        }
    }

    fn encoded(&self) -> [u8; 2] {
        let length = self.length - 1;
        match (self.value, self.bytes) {
            (0, 1) => [length as u8, 0],
            (0, _) => [0x40 | (length >> 8) as u8, length as u8],
            (value, _) => [0x80 | (value - 1) << 2 | length as u8, 0],
        }
    }

    /// Appends its bytes.
    pub fn push_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.encoded()[..self.bytes]);
    }
}

/// Calls `visit(first register, run)` for every run, if they are as many registers as there are.
pub fn for_each_run(bytes: &[u8], mut visit: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    let (mut at, mut index) = (HEADER_BYTES, 0);
    while at < bytes.len() {
        let run = Run::at(bytes, at);
        if index + run.length > REGISTERS_COUNT {
            return Err(Corrupt);
        }
        visit(index, run);
        index += run.length;
        at += run.bytes;
    }
    if index == REGISTERS_COUNT {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// PFDEBUG DECODE's text: `z:` and `Z:` for short and long zeros, `v:value,length`.
pub fn text(bytes: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let Run {
            value,
            length,
            bytes: run_bytes,
        } = Run::at(bytes, at);
        parts.push(match (value, run_bytes) {
            (0, 1) => format!("z:{length}"),
            (0, _) => format!("Z:{length}"),
            _ => format!("v:{value},{length}"),
        });
        at += run_bytes;
    }
    parts.join(" ")
}

/// A place in the runs that a search may start at. After a change it is before the run before: joining looks one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: usize,
    /// The first register there.
    index: usize,
}

impl Cursor {
    /// The first run.
    pub const START: Self = Self {
        at: HEADER_BYTES,
        index: 0,
    };

    /// Behind the runs that eight bytes from here hold whole, as far as the first long run of zeros and with it: one or
    /// more. `None` where eight bytes are no longer there.
    ///
    /// - Cost: half of what the runs of a full sketch cost one after the other: no processor foresees how long each is.
    #[inline]
    fn stride(self, bytes: &[u8]) -> Option<Self> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let word = u64::from_le_bytes(*bytes.get(self.at..)?.first_chunk::<8>()?);
        // What follows a long run's first byte may look like anything; every byte before it is a run.
        let long_zeros = word & !(word >> 1) & (0x40 * ONES);
        let shorts_bits = long_zeros.trailing_zeros() & !7;
        let shorts = u64::MAX.checked_shr(64 - shorts_bits).unwrap_or(0);
        let values = word >> 7 & ONES;
        let lengths = ((word & (0x3f * ONES - 0x3c * values)) + ONES) & shorts;
        // Eight of them are up to 512: added two by two, then all.
        let pairs = (lengths & 0x00ff_00ff_00ff_00ff) + (lengths >> 8 & 0x00ff_00ff_00ff_00ff);
        let shorts_length = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
        let behind = Self {
            at: self.at + shorts_bits as usize / 8,
            index: self.index + shorts_length as usize,
        };
        // Its second byte is not among the eight.
        if shorts_bits > 48 {
            return Some(behind);
        }
        let long = (word >> shorts_bits) as u16;
        Some(Self {
            at: behind.at + 2,
            index: behind.index + usize::from(long.swap_bytes() & 0x3fff) + 1,
        })
    }
}

/// A run found for a register.
struct Found {
    run: Run,
    at: usize,
    /// Its first register.
    first: usize,
    /// A run before it; itself where there is none.
    back: Cursor,
}

fn find(bytes: &[u8], index: usize, cursor: Cursor) -> Result<Found, Corrupt> {
    let mut back = if index >= cursor.index {
        cursor
    } else {
        Cursor::START
    };
    let mut here = back;
    while let Some(next) = here.stride(bytes) {
        if index < next.index {
            break;
        }
        back = here;
        here = next;
    }
    while here.at < bytes.len() {
        let run = Run::at(bytes, here.at);
        if index < here.index + run.length {
            if here == back && back != Cursor::START {
                // What is before it is not known from here.
                return find(bytes, index, Cursor::START);
            }
            return Ok(Found {
                run,
                at: here.at,
                first: here.index,
                back,
            });
        }
        here.at += run.bytes;
        here.index += run.length;
    }
    Err(Corrupt)
}

/// What a search that raises a register to `count` may start at; `None` where that would change nothing.
pub fn lower(bytes: &[u8], index: usize, count: u8) -> Result<Option<Cursor>, Corrupt> {
    let found = find(bytes, index, Cursor::START)?;
    Ok((found.run.value < count).then_some(found.back))
}

/// What became of a register.
pub enum Raised {
    /// It was as high already.
    Not,
    /// It was raised.
    Done,
    /// It cannot be raised here: the value or the bytes would be too large. Nothing has changed.
    TooLarge,
}

/// Raises a register.
pub fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    count: u8,
    bytes_max: usize,
    cursor: &mut Cursor,
) -> Result<Raised, Corrupt> {
    if count > VALUE_MAX {
        return Ok(Raised::TooLarge);
    }
    let found = find(bytes, index, *cursor)?;
    let (run, at) = (found.run, found.at);
    *cursor = found.back;
    if run.value >= count {
        return Ok(Raised::Not);
    }
    if at + run.bytes > bytes.len() {
        return Err(Corrupt);
    }
    let mut previous_at = found.back.at;
    loop {
        let next_at = previous_at + Run::at(bytes, previous_at).bytes;
        if next_at >= at {
            break;
        }
        previous_at = next_at;
    }
    // The run falls into what is before the register, the register, and what is behind it.
    let part = |length| {
        if run.value == 0 {
            Run::zeros(length)
        } else {
            Run::of(run.value, length)
        }
    };
    let (before, behind) = (index - found.first, found.first + run.length - 1 - index);
    let mut parts = [0; 5];
    let mut parts_bytes = 0;
    let mut add = |run: Run| {
        parts[parts_bytes..parts_bytes + run.bytes].copy_from_slice(&run.encoded()[..run.bytes]);
        parts_bytes += run.bytes;
    };
    if before > 0 {
        add(part(before));
    }
    add(Run::of(count, 1));
    if behind > 0 {
        add(part(behind));
    }
    let (length, behind_at) = (bytes.len(), at + run.bytes);
    let length_then = length + parts_bytes - run.bytes;
    if length_then > length && length_then > bytes_max {
        return Ok(Raised::TooLarge);
    }
    bytes.resize(length.max(length_then), 0);
    bytes.copy_within(behind_at..length, at + parts_bytes);
    bytes.truncate(length_then);
    bytes[at..at + parts_bytes].copy_from_slice(&parts[..parts_bytes]);
    join(bytes, previous_at);
    Ok(Raised::Done)
}

/// Joins neighbouring runs of one value, from the run at `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS_MAX {
        if at >= bytes.len() {
            return;
        }
        let run = Run::at(bytes, at);
        let next = at + run.bytes;
        if run.value != 0 && next < bytes.len() {
            let other = Run::at(bytes, next);
            let length = run.length + other.length;
            if other.value == run.value && length <= VALUE_RUN_MAX {
                bytes[next] = Run::of(run.value, length).encoded()[0];
                bytes.remove(at);
                continue;
            }
        }
        at = next;
    }
}
