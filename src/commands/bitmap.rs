//! Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP.
//!
//! Promises  setting a bit touches one byte, and a long string grows in place.
//! Not here  integers of any width: `bitfield.rs`; the loops over many bytes: `ds/bitmap.rs`.
//! Source    BITOP's DIFF, DIFF1, ANDOR and ONE: Redis 8.2 documentation.
//! Tests     tests/transcripts/bitmap.txt, bitop.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Program, Run, Spread};
use super::word::{Digits, bytes, integer, length};
use crate::base::number::parse_i64;
use crate::ds::bitmap::{Combine, Combiner, count_in, find};
use crate::ds::key_table::NewValue;
use crate::keyspace::Classes;
use crate::resp::{Args, Reply};
use bytes::Bytes;
use std::ops::Range;

const NO_OFFSET: &str = "ERR bit offset is not an integer or out of range";
const NO_BIT: &str = "ERR bit is not an integer or out of range";

/// Results at least this long are stored as they are; shorter ones are copied into the entry.
const SHARED_BYTES_MIN: usize = 4096;

/// A word as the number of a bit that a string of `bytes_max` bytes can have; `scale` is what one is worth.
pub(super) fn bit_offset(word: &[u8], scale: i64, bytes_max: u64) -> Result<u64, CommandError> {
    // Redis multiplies without looking; an offset that wraps round to a good one is taken for good.
    let offset = parse_i64(word).ok_or(NO_OFFSET)?.wrapping_mul(scale);
    match u64::try_from(offset) {
        Ok(offset) if offset / 8 < bytes_max => Ok(offset),
        _ => Err(NO_OFFSET.into()),
    }
}

/// An empty string that counts as changed in place.
pub(super) const EMPTY: NewValue<'static, crate::keyspace::Object> = NewValue::Str {
    bytes: b"",
    raw: true,
};

/// `SETBIT key offset value` replies with what the bit was.
fn setbit(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let offset = bit_offset(args.get(2), 1, call.keys.value_bytes_max())?;
    let bit = match parse_i64(args.get(3)) {
        Some(0) => 0u8,
        Some(1) => 0x80,
        _ => return Err(NO_BIT.into()),
    };
    let index = (offset / 8) as usize;
    let key = call.keys.key(args.get(1));
    let mut entry = match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(entry) => entry,
        None => call.keys.insert(call.db, &key, EMPTY, None),
    };
    let has_grown = length(&entry.value())? <= index;
    let byte = &mut entry.string_mut(index + 1)[index];
    let shift = offset % 8;
    let before = *byte << shift & 0x80;
    *byte = *byte & !(0x80 >> shift) | bit >> shift;
    reply.integer(i64::from(before >> 7));
    let has_changed = has_grown || before != bit;
    if has_changed {
        call.tell(Classes::STRING, "setbit", key.bytes);
    }
    Ok(Effect::wrote(u64::from(has_changed)))
}

/// `GETBIT key offset` replies with the bit, 0 past the end.
fn getbit(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let offset = bit_offset(args.get(2), 1, call.keys.value_bytes_max())?;
    let key = call.keys.key(args.get(1));
    let mut bit = 0;
    if let Some(entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
        let mut digits: Digits = [0; 20];
        let value = entry.value();
        let string = bytes(&value, &mut digits)?;
        let byte = string.get((offset / 8) as usize).copied();
        bit = byte.unwrap_or(0) >> (7 - offset % 8) & 1;
    }
    reply.integer(i64::from(bit));
    Ok(Effect::NONE)
}

/// What BITCOUNT's and BITPOS's `start [end [BYTE | BIT]]` say.
struct RangeWords {
    start: i64,
    /// `None`: to the end.
    end: Option<i64>,
    /// Whether both count bits; bytes otherwise.
    counts_bits: bool,
}

impl RangeWords {
    const WHOLE: Self = Self {
        start: 0,
        end: None,
        counts_bits: false,
    };

    fn counts_bits(word: &[u8]) -> Result<bool, CommandError> {
        if word.eq_ignore_ascii_case(b"BIT") {
            Ok(true)
        } else if word.eq_ignore_ascii_case(b"BYTE") {
            Ok(false)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// The bits of a string of `size` bytes that are meant.
    fn bits(&self, size: usize) -> Range<u64> {
        let total = (size as i64) << if self.counts_bits { 3 } else { 0 };
        let from_start = |index: i64| {
            if index < 0 {
                (total + index).max(0)
            } else {
                index
            }
        };
        let start = from_start(self.start);
        let end = from_start(self.end.unwrap_or(-1)).min(total - 1);
        if start > end {
            return 0..0;
        }
        let unit = if self.counts_bits { 1 } else { 8 };
        start as u64 * unit..(end as u64 + 1) * unit
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]` replies with how many bits are set.
fn bitcount(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let range = match args.len() {
        2 => RangeWords::WHOLE,
        4 | 5 => RangeWords {
            start: integer(args.get(2))?,
            end: Some(integer(args.get(3))?),
            counts_bits: args.len() == 5 && RangeWords::counts_bits(args.get(4))?,
        },
        _ => return Err(CommandError::Syntax),
    };
    let key = call.keys.key(args.get(1));
    let mut ones = 0;
    if let Some(entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
        let mut digits: Digits = [0; 20];
        let value = entry.value();
        let string = bytes(&value, &mut digits)?;
        // Both before the start and in the wrong order: nothing, though the ends would meet at the first bit.
        let is_crossed = matches!(range.end, Some(end) if range.start < 0 && end < range.start);
        if !is_crossed {
            ones = count_in(string, range.bits(string.len()));
        }
    }
    reply.integer(ones as i64);
    Ok(Effect::NONE)
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]` replies with the first such bit's position, or -1.
fn bitpos(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let bit = match integer(args.get(2))? {
        0 => false,
        1 => true,
        _ => return Err("ERR The bit argument must be 1 or 0.".into()),
    };
    let mut range = RangeWords::WHOLE;
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    if args.len() >= 4 {
        range.start = integer(args.get(3))?;
    }
    if args.len() == 6 {
        range.counts_bits = RangeWords::counts_bits(args.get(5))?;
    }
    if args.len() >= 5 {
        range.end = Some(integer(args.get(4))?);
    }
    let key = call.keys.key(args.get(1));
    let Some(entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) else {
        // A missing key is zeros without an end.
        reply.integer(if bit { -1 } else { 0 });
        return Ok(Effect::NONE);
    };
    let mut digits: Digits = [0; 20];
    let value = entry.value();
    let string = bytes(&value, &mut digits)?;
    let bits = range.bits(string.len());
    let position = match find(string, bit, bits.clone()) {
        Some(position) => position as i64,
        // Past the end a string is zeros, unless the request says where to stop.
        None if !bit && range.end.is_none() && !bits.is_empty() => bits.end as i64,
        None => -1,
    };
    reply.integer(position);
    Ok(Effect::NONE)
}

/// BITOP's operations, and from how many to how many sources they take.
fn operation(word: &[u8], sources_count: usize) -> Result<Combine, CommandError> {
    const OPERATIONS: [(&str, Combine); 8] = [
        ("AND", Combine::And),
        ("OR", Combine::Or),
        ("XOR", Combine::Xor),
        ("NOT", Combine::Not),
        ("DIFF", Combine::Diff),
        ("DIFF1", Combine::Diff1),
        ("ANDOR", Combine::AndOr),
        ("ONE", Combine::One),
    ];
    let known = OPERATIONS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    let (name, how) = known.ok_or(CommandError::Syntax)?;
    match how {
        Combine::Not if sources_count != 1 => {
            Err("ERR BITOP NOT must be called with a single source key.".into())
        }
        Combine::Diff | Combine::Diff1 | Combine::AndOr if sources_count < 2 => {
            Err(format!("ERR BITOP {name} must be called with at least two source keys.").into())
        }
        _ => Ok(*how),
    }
}

/// `BITOP operation destkey key [key ...]` replies with the length of what it stored.
fn bitop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut combiner = Combiner::new(operation(args.get(1), args.len() - 3)?);
    for word in args.iter_from(3) {
        let key = call.keys.key(word);
        match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
            Some(entry) => {
                let mut digits: Digits = [0; 20];
                combiner.add(bytes(&entry.value(), &mut digits)?);
            }
            None => combiner.add(b""),
        }
    }
    let result = combiner.finish();
    let destination = call.keys.key(args.get(2));
    let size = result.len();
    reply.integer(size as i64);
    if size == 0 {
        let is_removed = call.keys.remove(call.db, &destination);
        if is_removed {
            call.tell_gone(destination.bytes);
        }
        return Ok(Effect::wrote(u64::from(is_removed)));
    }
    let value = if size >= SHARED_BYTES_MIN {
        NewValue::Shared(Bytes::from(result))
    } else {
        NewValue::Str {
            bytes: &result,
            raw: true,
        }
    };
    let no_touch = call.caller.no_touch;
    let before = call.keys.replaced(call.db, &destination);
    call.keys
        .set_anywhere(call.db, &destination, value, no_touch);
    call.keys.tell_replaced(call.db, before, &destination);
    call.tell(Classes::STRING, "set", destination.bytes);
    Ok(Effect::wrote(1))
}

/// Bits of strings.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SETBIT",
        since: "2.2.0",
        group: Group::Bitmap,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key offset value:integer",
        summary: "Sets or clears a bit of a key's string, with zeros before it where the string was shorter.",
        run: Run::Keys(setbit),
        ..ROW
    },
    Command {
        name: "GETBIT",
        since: "2.2.0",
        group: Group::Bitmap,
        arity: Arity::Exactly(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key offset",
        summary: "Replies with a bit of a key's string.",
        run: Run::Keys(getbit),
        ..ROW
    },
    Command {
        name: "BITCOUNT",
        since: "2.6.0",
        group: Group::Bitmap,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key range=[start end unit=[BYTE | BIT]@7.0.0]",
        summary: "Counts the bits that are set in a key's string or a part of it.",
        cost: "O(N) where N is the number of bytes looked at.",
        history: &[("7.0.0", "`BYTE` and `BIT` came.")],
        run: Run::Keys(bitcount),
        ..ROW
    },
    Command {
        name: "BITPOS",
        since: "2.8.7",
        group: Group::Bitmap,
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key bit:integer range=[start end-unit-block=[end unit=[BYTE | BIT]@7.0.0]]",
        summary: "Finds the first bit of a key's string that is set, or that is not.",
        cost: "O(N) where N is the number of bytes looked at.",
        history: &[("7.0.0", "`BYTE` and `BIT` came.")],
        run: Run::Keys(bitpos),
        ..ROW
    },
    Command {
        name: "BITOP",
        since: "2.6.0",
        group: Group::Bitmap,
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW,
        keys: &[
            key_at(2, "OW", &["update"]),
            keys_to(3, -1, 1, "RO", &["access"]),
        ],
        spread: Spread::Gather(Program::Bring),
        args: "operation=(AND | OR | XOR | NOT | DIFF@8.2.0 | DIFF1@8.2.0 | ANDOR@8.2.0 | ONE@8.2.0) \
               destkey:key key [key ...]",
        summary: "Combines the bits of several strings and stores the result.",
        cost: "O(N) where N is the length of all strings together.",
        history: &[("8.2.0", "`DIFF`, `DIFF1`, `ANDOR` and `ONE` came.")],
        run: Run::Keys(bitop),
        ..ROW
    },
];
