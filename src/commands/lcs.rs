//! LCS: the longest common subsequence of two strings.
//!
//! Promises  the table of the algorithm, 4 bytes for every pair of positions, stays within `proto-max-bulk-len`.
//! Not here  bringing two strings from two shards together: `router/`, which calls [`reply_lcs`].
//! Source    the textbook dynamic programme; which of several subsequences of the same length is found, and the order
//!           of its ranges, follow Redis's documentation of LCS.
//! Tests     tests/transcripts/lcs.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Program, Run, Spread};
use super::word::{Digits, bytes, integer};
use crate::resp::{Args, Reply};

/// What a request that names a key of another type is told.
pub const NOT_STRINGS: &str = "ERR The specified keys must contain string values";

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    match_len_min: i64,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "IDX") {
                options.idx = true;
            } else if args.is(index, "LEN") {
                options.len = true;
            } else if args.is(index, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.is(index, "MINMATCHLEN") && index + 1 < args.len() {
                index += 1;
                options.match_len_min = integer(args.get(index))?.max(0);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if options.len && options.idx {
            return Err("ERR If you want both the length and indexes, please just use IDX.".into());
        }
        Ok(options)
    }
}

/// `LCS key1 key2 [option ...]` replies with the subsequence, its length, or where it lies.
fn lcs(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut string_at = |index: usize| {
        let key = call.keys.key(args.get(index));
        match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
            Some(entry) => {
                let mut digits: Digits = [0; 20];
                let value = entry.value();
                bytes(&value, &mut digits).map(<[u8]>::to_vec)
            }
            None => Ok(Vec::new()),
        }
    };
    // Both are read before either is refused, so that both count as reads.
    let (first, second) = (string_at(1), string_at(2));
    let (Ok(first), Ok(second)) = (first, second) else {
        return Err(NOT_STRINGS.into());
    };
    reply_lcs(&first, &second, args, call.keys.value_bytes_max(), reply)?;
    Ok(Effect::NONE)
}

/// Replies to the LCS request `args`, its two strings at hand; missing keys are empty strings.
///
/// Cost: O(N*M) time, and as much transient memory times four.
pub fn reply_lcs(
    first: &[u8],
    second: &[u8],
    args: &Args<'_>,
    bytes_max: u64,
    reply: &mut Reply<'_>,
) -> Result<(), CommandError> {
    let options = Options::parse(args)?;
    let pairs = (first.len() as u128 + 1) * (second.len() as u128 + 1);
    if pairs * 4 > u128::from(bytes_max) {
        return Err(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len".into(),
        );
    }
    let table = Table::of(first, second);
    let length = table.at(first.len(), second.len());
    if options.len {
        reply.integer(i64::from(length));
        return Ok(());
    }
    let (subsequence, ranges) = table.walk(first, second);
    if !options.idx {
        reply.bulk(&subsequence);
        return Ok(());
    }
    let ranges: Vec<&Range> = ranges
        .iter()
        .filter(|range| range.len as i64 >= options.match_len_min)
        .collect();
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(ranges.len());
    for range in ranges {
        reply.array(2 + usize::from(options.with_match_len));
        for start in [range.first_start, range.second_start] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + range.len - 1) as i64);
        }
        if options.with_match_len {
            reply.integer(range.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(length));
    Ok(())
}

/// A stretch of the subsequence that is contiguous in both strings.
struct Range {
    first_start: usize,
    second_start: usize,
    len: usize,
}

/// Lengths of the longest common subsequence of every pair of prefixes.
struct Table {
    lengths: Vec<u32>,
    row: usize,
}

impl Table {
    fn of(first: &[u8], second: &[u8]) -> Self {
        let row = second.len() + 1;
        let mut table = Self {
            lengths: vec![0; (first.len() + 1) * row],
            row,
        };
        for (i, a) in first.iter().enumerate() {
            let (above, below) = table.lengths.split_at_mut((i + 1) * row);
            let above = &above[i * row..];
            for (j, b) in second.iter().enumerate() {
                below[j + 1] = if a == b {
                    above[j] + 1
                } else {
                    above[j + 1].max(below[j])
                };
            }
        }
        table
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.lengths[i * self.row + j]
    }

    /// The subsequence, and its ranges from the last to the first.
    fn walk(&self, first: &[u8], second: &[u8]) -> (Vec<u8>, Vec<Range>) {
        let (mut i, mut j) = (first.len(), second.len());
        let mut reversed = Vec::with_capacity(self.at(i, j) as usize);
        let mut ranges: Vec<Range> = Vec::new();
        while i > 0 && j > 0 {
            if first[i - 1] == second[j - 1] {
                (i, j) = (i - 1, j - 1);
                reversed.push(first[i]);
                match ranges.last_mut() {
                    Some(range) if range.first_start == i + 1 && range.second_start == j + 1 => {
                        (range.first_start, range.second_start) = (i, j);
                        range.len += 1;
                    }
                    _ => ranges.push(Range {
                        first_start: i,
                        second_start: j,
                        len: 1,
                    }),
                }
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        reversed.reverse();
        (reversed, ranges)
    }
}

/// The longest common subsequence.
pub const COMMANDS: &[Command] = &[Command {
    name: "LCS",
    since: "7.0.0",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[keys_to(1, 1, 1, "RO", &["access"])],
    spread: Spread::Gather(Program::Lcs),
    args: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    summary: "Finds the longest common subsequence of two strings.",
    cost: "O(N*M) where N and M are the lengths of the two strings.",
    run: Run::Keys(lcs),
    ..ROW
}];
