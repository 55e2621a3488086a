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

/// A place in the runs that a search may start at, two runs before the last change: joining looks one back.
#[derive(Clone, Copy, Debug)]
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
}

/// A run found for a register.
struct Found {
    run: Run,
    at: usize,
    /// Its first register.
    first: usize,
    /// The runs before it; itself where there is none.
    previous: Cursor,
    before_previous: Cursor,
}

fn find(bytes: &[u8], index: usize, cursor: Cursor) -> Result<Found, Corrupt> {
    let start = if index >= cursor.index {
        cursor
    } else {
        Cursor::START
    };
    let (mut here, mut previous, mut before_previous) = (start, start, start);
    while here.at < bytes.len() {
        let run = Run::at(bytes, here.at);
        if index < here.index + run.length {
            if here.at == start.at && start.at != HEADER_BYTES {
                // What is before it is not known from here.
                return find(bytes, index, Cursor::START);
            }
            return Ok(Found {
                run,
                at: here.at,
                first: here.index,
                previous,
                before_previous,
            });
        }
        before_previous = previous;
        previous = here;
        here.at += run.bytes;
        here.index += run.length;
    }
    Err(Corrupt)
}

/// A register's value.
pub fn register(bytes: &[u8], index: usize) -> Result<u8, Corrupt> {
    find(bytes, index, Cursor::START).map(|found| found.run.value)
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
    *cursor = found.before_previous;
    if run.value >= count {
        return Ok(Raised::Not);
    }
    if at + run.bytes > bytes.len() {
        return Err(Corrupt);
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
    if parts_bytes > run.bytes && bytes.len() + parts_bytes - run.bytes > bytes_max {
        return Ok(Raised::TooLarge);
    }
    bytes.splice(at..at + run.bytes, parts[..parts_bytes].iter().copied());
    join(bytes, found.previous.at);
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
