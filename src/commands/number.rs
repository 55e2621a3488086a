//! Strings that are numbers: INCR and its relatives, INCRBYFLOAT, INCREX.
//!
//! Promises  integers are exact to 64 bits and refuse to overflow; floats are added as 80-bit extended numbers, the
//!           arithmetic Redis does on x86, so the digits agree.
//! Source    INCREX: Redis 8.8 documentation.
//! Tests     tests/transcripts/number.txt, tests/commands/model.rs.

use super::CommandError;
use super::deadline::{DeadlineOption, DeadlineWords};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::{Digits, bytes, integer, integer_value};
use crate::base::extended::Extended;
use crate::base::number::parse_i64;
use crate::ds::key_table::NewValue;
use crate::keyspace::Classes;
use crate::keyspace::value::text;
use crate::keyspace::{Deadline, Key};
use crate::resp::{Args, Protocol, Reply};

fn incr(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    add(call, args, reply, 1)
}

fn decr(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    add(call, args, reply, -1)
}

fn incrby(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let delta = integer(args.get(2))?;
    add(call, args, reply, delta)
}

fn decrby(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let delta = integer(args.get(2))?
        .checked_neg()
        .ok_or("ERR decrement would overflow")?;
    add(call, args, reply, delta)
}

/// Adds `delta` to the integer at word 1, a missing key being 0, and replies with the sum.
fn add(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    delta: i64,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let sum = match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(mut entry) => {
            let sum = integer_value(&entry.value())?
                .checked_add(delta)
                .ok_or(WOULD_OVERFLOW)?;
            entry.set_value(NewValue::Int(sum));
            sum
        }
        None => {
            call.keys.insert(call.db, &key, NewValue::Int(delta), None);
            delta
        }
    };
    call.tell(Classes::STRING, "incrby", key.bytes);
    reply.integer(sum);
    Ok(Effect::wrote(1))
}

/// What an integer that would not fit 64 bits is told.
pub(super) const WOULD_OVERFLOW: &str = "ERR increment or decrement would overflow";
/// What INCREX says where a bound is so far from the value that what was added does not fit 64 bits.
const APPLIED_WOULD_OVERFLOW: &str = "ERR applied increment would overflow";
/// The same of floats.
const APPLIED_NOT_FINITE: &str = "ERR applied increment would be Infinity";
/// What a float that would leave the reals is told.
pub(super) const NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";

/// `INCRBYFLOAT key increment` replies with the sum as a string.
fn incrbyfloat(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let increment = Extended::parse(args.get(2)).ok_or(CommandError::NotFloat);
    let found = call.keys.lookup_write(call.db, &key, call.caller.no_touch);
    let old = match &found {
        Some(entry) => {
            let mut digits: Digits = [0; 20];
            let value = entry.value();
            Extended::parse(bytes(&value, &mut digits)?).ok_or(CommandError::NotFloat)?
        }
        None => Extended::ZERO,
    };
    let sum = old + increment?;
    if !sum.is_finite() {
        return Err(NOT_FINITE.into());
    }
    let sum = text_of(sum);
    match found {
        Some(mut entry) => entry.set_value(text(&sum)),
        None => {
            call.keys.insert(call.db, &key, text(&sum), None);
        }
    }
    call.tell(Classes::STRING, "incrbyfloat", key.bytes);
    reply.bulk(&sum);
    Ok(Effect::wrote(1))
}

/// A float as it is stored and replied.
pub(super) fn text_of(number: Extended) -> Vec<u8> {
    let mut text = Vec::with_capacity(32);
    number.write(&mut text);
    text
}

/// What INCREX counts in.
#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(Extended),
}

impl Number {
    /// Reads a word or a stored string; `what` names it in the error.
    fn parse(word: &[u8], is_float: bool, what: &str) -> Result<Self, CommandError> {
        let number = if is_float {
            Extended::parse(word).map(Number::Float)
        } else {
            parse_i64(word).map(Number::Int)
        };
        number.ok_or_else(|| {
            let kind = if is_float {
                "a valid float"
            } else {
                "an integer or out of range"
            };
            format!("ERR {what} is not {kind}").into()
        })
    }

    fn reply(self, reply: &mut Reply<'_>) {
        match self {
            Number::Int(number) => reply.integer(number),
            Number::Float(number) if reply.protocol() == Protocol::Resp3 => {
                reply.raw(b",");
                reply.raw(&text_of(number));
                reply.raw(b"\r\n");
            }
            Number::Float(number) => reply.bulk(&text_of(number)),
        }
    }
}

/// INCREX's words.
struct IncrEx<'a> {
    is_float: bool,
    increment: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    only_without_deadline: bool,
    deadline: DeadlineWords<'a>,
}

impl<'a> IncrEx<'a> {
    /// Every option at most once: unlike SET, INCREX refuses a repeated one.
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            is_float: false,
            increment: None,
            lower: None,
            upper: None,
            saturate: false,
            only_without_deadline: false,
            deadline: DeadlineWords::default(),
        };
        let mut index = 2;
        while index < args.len() {
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            let taken = options.take(args, index, next);
            if taken == 0 {
                return Err(CommandError::Syntax);
            }
            index += taken;
        }
        if options.only_without_deadline {
            if options.deadline.persist {
                return Err(CommandError::Syntax);
            }
            if options.deadline.given.is_none() {
                return Err("ERR ENX flag requires an expiration".into());
            }
        }
        Ok(options)
    }

    /// Takes the option at `index`; returns how many words it has, 0 where it is none or excluded.
    fn take(&mut self, args: &Args<'a>, index: usize, next: Option<&'a [u8]>) -> usize {
        let once = |place: &mut bool| 1 - usize::from(std::mem::replace(place, true));
        if args.is(index, "SATURATE") {
            return once(&mut self.saturate);
        }
        if args.is(index, "ENX") {
            return once(&mut self.only_without_deadline);
        }
        if args.is(index, "PERSIST") {
            return usize::from(!self.deadline.persist && self.deadline.persist());
        }
        let Some(next) = next else { return 0 };
        if let Some(option) = DeadlineOption::named(args.get(index)) {
            let taken = self.deadline.given.is_none() && self.deadline.give(option, next);
            return 2 * usize::from(taken);
        }
        let place = if args.is(index, "BYINT") {
            &mut self.increment
        } else if args.is(index, "BYFLOAT") {
            self.is_float |= self.increment.is_none();
            &mut self.increment
        } else if args.is(index, "LBOUND") {
            &mut self.lower
        } else if args.is(index, "UBOUND") {
            &mut self.upper
        } else {
            return 0;
        };
        2 * usize::from(place.replace(next).is_none())
    }
}

/// What an increment comes to.
struct Outcome {
    value: Number,
    applied: Number,
    /// False: out of bounds, and nothing may change.
    is_done: bool,
}

/// `INCREX key [option ...]` replies with the value and the increment that was applied.
fn increx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = IncrEx::parse(args)?;
    let now_ms = call.keys.now_ms();
    let number = |word: Option<&[u8]>, what| {
        word.map(|word| Number::parse(word, options.is_float, what))
            .transpose()
    };
    let increment = number(options.increment, "Increment")?;
    if let Some(Number::Float(increment)) = increment
        && !increment.is_finite()
    {
        return Err("ERR BYFLOAT increment cannot be Infinity".into());
    }
    let bounds = (
        number(options.lower, "LBOUND")?,
        number(options.upper, "UBOUND")?,
    );
    let is_crossed = match bounds {
        (Some(Number::Int(lower)), Some(Number::Int(upper))) => lower > upper,
        (Some(Number::Float(lower)), Some(Number::Float(upper))) => lower.compare(upper).is_gt(),
        _ => false,
    };
    if is_crossed {
        return Err("ERR LBOUND can't be greater than UBOUND".into());
    }
    let deadline = options.deadline.deadline(now_ms, "increx")?;
    let key = call.keys.key(args.get(1));
    let found = call.keys.lookup_write(call.db, &key, call.caller.no_touch);
    let (old, had_deadline) = match &found {
        Some(entry) => {
            let mut digits: Digits = [0; 20];
            let value = entry.value();
            let old = Number::parse(bytes(&value, &mut digits)?, options.is_float, "value")?;
            (Some(old), entry.deadline_ms().is_some())
        }
        None => (None, false),
    };
    let outcome = match increment.unwrap_or(Number::Int(1)) {
        Number::Int(increment) => {
            let old = match old {
                Some(Number::Int(old)) => old,
                _ => 0,
            };
            let bound = |bound, other| match bound {
                Some(Number::Int(bound)) => bound,
                _ => other,
            };
            let (lower, upper) = (bound(bounds.0, i64::MIN), bound(bounds.1, i64::MAX));
            add_bounded_int(old, increment, lower, upper, options.saturate)?
        }
        Number::Float(increment) => {
            let old = match old {
                Some(Number::Float(old)) => old,
                _ => Extended::ZERO,
            };
            if !old.is_finite() {
                return Err("ERR value cannot be Infinity".into());
            }
            let bound = |bound| match bound {
                Some(Number::Float(bound)) => Some(bound),
                _ => None,
            };
            let (lower, upper) = (bound(bounds.0), bound(bounds.1));
            add_bounded_float(old, increment, lower, upper, options.saturate)?
        }
    };
    reply.array(2);
    outcome.value.reply(reply);
    outcome.applied.reply(reply);
    if !outcome.is_done {
        return Ok(Effect::NONE);
    }
    let deadline = match deadline {
        Deadline::At(_) if options.only_without_deadline && had_deadline => Deadline::Keep,
        Deadline::At(at_ms) => Deadline::At(at_ms),
        _ if options.deadline.persist => Deadline::Drop,
        _ => Deadline::Keep,
    };
    store(call, &key, outcome.value, deadline, had_deadline);
    Ok(Effect::wrote(1))
}

/// Stores INCREX's result, or removes the key where its new deadline has passed.
fn store(
    call: &mut Call<'_>,
    key: &Key<'_>,
    number: Number,
    deadline: Deadline,
    had_deadline: bool,
) {
    let now_ms = call.keys.now_ms();
    let no_touch = call.caller.no_touch;
    if let Deadline::At(at_ms) = deadline
        && at_ms <= now_ms
    {
        call.keys.remove(call.db, key);
        call.tell_gone(key.bytes);
        return;
    }
    let event = match number {
        Number::Int(number) => {
            call.keys
                .set(call.db, key, NewValue::Int(number), deadline, no_touch);
            "incrby"
        }
        Number::Float(number) => {
            let formatted = text_of(number);
            call.keys
                .set(call.db, key, text(&formatted), deadline, no_touch);
            "incrbyfloat"
        }
    };
    call.tell(Classes::STRING, event, key.bytes);
    match deadline {
        Deadline::At(_) => call.tell(Classes::GENERIC, "expire", key.bytes),
        Deadline::Drop if had_deadline => call.tell(Classes::GENERIC, "persist", key.bytes),
        Deadline::Drop | Deadline::Keep => {}
    }
}

fn add_bounded_int(
    old: i64,
    increment: i64,
    lower: i64,
    upper: i64,
    saturate: bool,
) -> Result<Outcome, CommandError> {
    let sum = i128::from(old) + i128::from(increment);
    let bounded = sum.clamp(i128::from(lower), i128::from(upper));
    if bounded != sum && !saturate {
        return Ok(Outcome {
            value: Number::Int(old),
            applied: Number::Int(0),
            is_done: false,
        });
    }
    let applied = i64::try_from(bounded - i128::from(old));
    let applied = applied.map_err(|_| APPLIED_WOULD_OVERFLOW)?;
    Ok(Outcome {
        value: Number::Int(bounded as i64),
        applied: Number::Int(applied),
        is_done: true,
    })
}

fn add_bounded_float(
    old: Extended,
    increment: Extended,
    lower: Option<Extended>,
    upper: Option<Extended>,
    saturate: bool,
) -> Result<Outcome, CommandError> {
    let sum = old + increment;
    let bounded = if let Some(lower) = lower.filter(|lower| sum.compare(*lower).is_lt()) {
        lower
    } else if let Some(upper) = upper.filter(|upper| sum.compare(*upper).is_gt()) {
        upper
    } else if sum.is_finite() {
        return Ok(Outcome {
            value: Number::Float(sum),
            applied: Number::Float(increment),
            is_done: true,
        });
    } else {
        Extended::largest(sum.is_negative())
    };
    if !saturate {
        return Ok(Outcome {
            value: Number::Float(old),
            applied: Number::Float(Extended::ZERO),
            is_done: false,
        });
    }
    let applied = bounded + -old;
    if !bounded.is_finite() || !applied.is_finite() {
        return Err(APPLIED_NOT_FINITE.into());
    }
    Ok(Outcome {
        value: Number::Float(bounded),
        applied: Number::Float(applied),
        is_done: true,
    })
}

/// Strings that are numbers.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "INCR",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key",
        summary: "Adds one to the integer a key holds, 0 if the key is missing.",
        run: Run::Keys(incr),
        ..ROW
    },
    Command {
        name: "DECR",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key",
        summary: "Takes one from the integer a key holds, 0 if the key is missing.",
        run: Run::Keys(decr),
        ..ROW
    },
    Command {
        name: "INCRBY",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key increment",
        summary: "Adds a number to the integer a key holds, 0 if the key is missing.",
        run: Run::Keys(incrby),
        ..ROW
    },
    Command {
        name: "DECRBY",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key decrement",
        summary: "Takes a number from the integer a key holds, 0 if the key is missing.",
        run: Run::Keys(decrby),
        ..ROW
    },
    Command {
        name: "INCRBYFLOAT",
        since: "2.6.0",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key increment:double",
        summary: "Adds a number to the floating-point number a key holds, 0 if the key is missing.",
        run: Run::Keys(incrbyfloat),
        ..ROW
    },
    Command {
        name: "INCREX",
        since: "8.8.0",
        group: Group::String,
        arity: Arity::AtLeast(2),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key [BYFLOAT float | BYINT integer] [SATURATE] [LBOUND lowerbound] [UBOUND upperbound] \
               [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]",
        summary: "Adds a number to the one a key holds within bounds, and sets or removes the key's deadline.",
        run: Run::Keys(increx),
        ..ROW
    },
];
