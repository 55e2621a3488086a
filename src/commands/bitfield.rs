//! Strings as arrays of integers of any width: BITFIELD and BITFIELD_RO.
//!
//!     value, offset 3, u5:   | . . . 4 3 2 1 0 | . . .      the highest bit first, across bytes
//!
//! Promises  the words are all read before anything happens; a field is one load of nine bytes and one store.
//! Source    overflow as Redis 8.0 decides it, where a value that is far out of range included.
//! Tests     tests/transcripts/bitfield.txt.

use super::CommandError;
use super::bitmap::{EMPTY, bit_offset};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::{Digits, bytes, integer, length};
use crate::base::number::parse_i64;
use crate::keyspace::Classes;
use crate::resp::{Args, Reply};

/// What a field that would overflow becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// Where a field lies, and how its bits are read.
#[derive(Clone, Copy)]
struct Field {
    is_signed: bool,
    /// 1 to 64, and to 63 for unsigned ones.
    bits: u32,
    /// Its first bit.
    offset: u64,
}

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Set(i64),
    Add(i64),
}

/// One subcommand.
struct Step {
    verb: Verb,
    field: Field,
    overflow: Overflow,
}

impl Field {
    /// `encoding offset`, two words from `index` on.
    fn parse(args: &Args<'_>, index: usize, bytes_max: u64) -> Result<Self, CommandError> {
        let refused = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        let (is_signed, width) = match args.get(index).split_first() {
            Some((b'i', width)) => (true, width),
            Some((b'u', width)) => (false, width),
            _ => return Err(refused.into()),
        };
        // The type's text ends at a NUL, as C has it.
        let width = width.split(|&byte| byte == 0).next().unwrap_or_default();
        let bits = match parse_i64(width) {
            Some(bits @ 1..=63) => bits as u32,
            Some(64) if is_signed => 64,
            _ => return Err(refused.into()),
        };
        let offset = match args.get(index + 1).split_first() {
            // In fields of this width, not in bits.
            Some((b'#', number)) => bit_offset(number, i64::from(bits), bytes_max)?,
            _ => bit_offset(args.get(index + 1), 1, bytes_max)?,
        };
        Ok(Self {
            is_signed,
            bits,
            offset,
        })
    }

    /// The bytes it lies in, nine at most.
    fn bytes_range(&self) -> std::ops::Range<usize> {
        let end = self.offset + u64::from(self.bits);
        (self.offset / 8) as usize..end.div_ceil(8) as usize
    }

    /// How far its lowest bit is from the end of those bytes.
    fn shift(&self) -> u32 {
        (8 - (self.offset + u64::from(self.bits)) % 8) as u32 % 8
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// Its value; bits past the end of the string are 0.
    fn read(&self, string: &[u8]) -> i64 {
        let byte = |index: usize| u128::from(string.get(index).copied().unwrap_or(0));
        let word = self
            .bytes_range()
            .fold(0, |word, index| word << 8 | byte(index));
        self.interpret((word >> self.shift()) as u64 & self.mask())
    }

    /// Sets it to the low bits of `value`; it lies within the string.
    fn write(&self, string: &mut [u8], value: i64) {
        let mut mask = u128::from(self.mask()) << self.shift();
        let mut word = u128::from(value as u64 & self.mask()) << self.shift();
        for byte in string[self.bytes_range()].iter_mut().rev() {
            *byte = *byte & !(mask as u8) | word as u8;
            (mask, word) = (mask >> 8, word >> 8);
        }
    }

    /// The number that the low bits of `bits` are.
    fn interpret(&self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.is_signed {
            (bits << unused) as i64 >> unused
        } else {
            (bits & self.mask()) as i64
        }
    }

    /// What `value + increment` becomes, and whether it did not fit. `None`: it may not be stored.
    fn add(&self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        let sum = value.wrapping_add(increment);
        let limit = match self.limit_passed(value, increment) {
            None => return Some(sum),
            Some(limit) => limit,
        };
        match overflow {
            Overflow::Wrap => Some(self.interpret(sum as u64)),
            Overflow::Saturate => Some(limit),
            Overflow::Fail => None,
        }
    }

    /// The limit that `value + increment` would go past. The distances wrap as Redis's do, which shows where SET is
    /// given a value that is far below a signed field's range: it counts as too large.
    fn limit_passed(&self, value: i64, increment: i64) -> Option<i64> {
        if !self.is_signed {
            let max = self.mask();
            let is_above = value as u64 > max
                || increment > 0 && increment > max.wrapping_sub(value as u64) as i64;
            let is_below = increment < 0 && increment < value.wrapping_neg();
            return if is_above {
                Some(max as i64)
            } else {
                is_below.then_some(0)
            };
        }
        let max = (self.mask() >> 1) as i64;
        let min = -max - 1;
        let (room_above, room_below) = (max.wrapping_sub(value), min.wrapping_sub(value));
        let is_narrow = self.bits < 64;
        let is_above =
            value > max || increment > room_above && (is_narrow || value >= 0 && increment > 0);
        let is_below =
            value < min || increment < room_below && (is_narrow || value < 0 && increment < 0);
        if is_above {
            Some(max)
        } else {
            is_below.then_some(min)
        }
    }
}

/// Reads all subcommands.
fn parse(args: &Args<'_>, bytes_max: u64) -> Result<Vec<Step>, CommandError> {
    let mut steps = Vec::with_capacity(args.len() / 3);
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let words_left = args.len() - index - 1;
        if args.is(index, "OVERFLOW") && words_left >= 1 {
            overflow = if args.is(index + 1, "WRAP") {
                Overflow::Wrap
            } else if args.is(index + 1, "SAT") {
                Overflow::Saturate
            } else if args.is(index + 1, "FAIL") {
                Overflow::Fail
            } else {
                return Err("ERR Invalid OVERFLOW type specified".into());
            };
            index += 2;
            continue;
        }
        let is_get = args.is(index, "GET") && words_left >= 2;
        let is_set = args.is(index, "SET") && words_left >= 3;
        let is_add = args.is(index, "INCRBY") && words_left >= 3;
        if !is_get && !is_set && !is_add {
            return Err(CommandError::Syntax);
        }
        let field = Field::parse(args, index + 1, bytes_max)?;
        let verb = if is_get {
            Verb::Get
        } else {
            let number = integer(args.get(index + 3))?;
            if is_set {
                Verb::Set(number)
            } else {
                Verb::Add(number)
            }
        };
        steps.push(Step {
            verb,
            field,
            overflow,
        });
        index += if is_get { 3 } else { 4 };
    }
    Ok(steps)
}

/// `BITFIELD key [subcommand ...]` replies with an array, what each subcommand read or came to.
fn bitfield(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let steps = parse(args, call.keys.value_bytes_max())?;
    let written = steps
        .iter()
        .filter(|step| !matches!(step.verb, Verb::Get))
        .map(|step| step.field.bytes_range().end)
        .max();
    match written {
        None => read_only(call, args, &steps, reply),
        Some(size) => write(call, args, &steps, size, reply),
    }
}

/// `BITFIELD_RO key [GET encoding offset ...]`.
fn bitfield_ro(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let steps = parse(args, call.keys.value_bytes_max())?;
    if steps.iter().any(|step| !matches!(step.verb, Verb::Get)) {
        return Err("ERR BITFIELD_RO only supports the GET subcommand".into());
    }
    read_only(call, args, &steps, reply)
}

fn read_only(
    call: &mut Call<'_>,
    args: &Args<'_>,
    steps: &[Step],
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let found = call.keys.lookup_read(call.db, &key, call.caller.no_touch);
    let mut digits: Digits = [0; 20];
    let string = match &found {
        Some(entry) => bytes(&entry.value(), &mut digits)?,
        None => b"",
    };
    reply.array(steps.len());
    for step in steps {
        reply.integer(step.field.read(string));
    }
    Ok(Effect::NONE)
}

/// Runs the steps on a string of at least `size` bytes.
fn write(
    call: &mut Call<'_>,
    args: &Args<'_>,
    steps: &[Step],
    size: usize,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let mut entry = match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(entry) => entry,
        None => call.keys.insert(call.db, &key, EMPTY, None),
    };
    let has_grown = length(&entry.value())? < size;
    let string = entry.string_mut(size);
    reply.array(steps.len());
    let mut changes = 0;
    for step in steps {
        let field = step.field;
        let before = field.read(string);
        let (after, answer) = match step.verb {
            Verb::Get => {
                reply.integer(before);
                continue;
            }
            Verb::Set(value) => (field.add(value, 0, step.overflow), Some(before)),
            Verb::Add(increment) => (field.add(before, increment, step.overflow), None),
        };
        match after {
            Some(after) => {
                reply.integer(answer.unwrap_or(after));
                field.write(string, after);
                changes += u64::from(has_grown || after != before);
            }
            None => reply.null(),
        }
    }
    if changes > 0 {
        call.tell(Classes::STRING, "setbit", key.bytes);
    } else if has_grown && call.is_logged {
        // Redis counts no change where every step failed; the string has grown all the same.
        call.log_all_the_same("BITFIELD", args);
    }
    Ok(Effect::wrote(changes))
}

/// Integers inside strings.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "BITFIELD",
        since: "3.2.0",
        group: Group::Bitmap,
        arity: Arity::AtLeast(2),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["access", "update", "variable_flags"])
            .noted("This command allows both access and modification of the key")],
        args: "key operation=[get-block=GET(encoding offset) | \
               write=([overflow-block=OVERFLOW(WRAP | SAT | FAIL)] \
               write-operation=(set-block=SET(encoding offset value:integer) | \
               incrby-block=INCRBY(encoding offset increment)))] ...",
        summary: "Reads, sets and adds to integers of any width inside a key's string.",
        cost: "O(1) for each subcommand.",
        run: Run::Keys(bitfield),
        ..ROW
    },
    Command {
        name: "BITFIELD_RO",
        since: "6.0.0",
        group: Group::Bitmap,
        arity: Arity::AtLeast(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key [get-block=GET(encoding offset) [get-block=GET(encoding offset) ...]]",
        summary: "Reads integers of any width inside a key's string.",
        cost: "O(1) for each subcommand.",
        run: Run::Keys(bitfield_ro),
        ..ROW
    },
];
