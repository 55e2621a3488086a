//! Deadlines of a hash's fields: HEXPIRE, HTTL, HPERSIST and their relatives.
//!
//! Promises  the rules and errors of Redis 8; a deadline that has passed removes its field at once.
//! Not here  values and deadlines in one request: `hash_ex.rs`.
//! Tests     tests/transcripts/hash_expire.txt, tests/keyspace/hash.rs.

use super::CommandError;
use super::deadline::invalid_expire_time;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::integer;
use crate::keyspace::Classes;
use crate::keyspace::Hash;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};

/// Deadlines of fields are below this, in milliseconds since the epoch: two bits less than Redis keeps of them.
const DEADLINE_MS_MAX: i64 = (1 << 46) - 1;

/// What there is no field for.
const NO_FIELD: i64 = -2;
/// What a field without a deadline answers.
const NO_DEADLINE: i64 = -1;

/// How a command counts time.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) unit_ms: i64,
    /// From the epoch rather than from now.
    pub(super) is_absolute: bool,
}

impl Scale {
    pub(super) const SECONDS: Self = Self::new(1000, false);
    pub(super) const MILLISECONDS: Self = Self::new(1, false);
    pub(super) const UNIX_SECONDS: Self = Self::new(1000, true);
    pub(super) const UNIX_MILLISECONDS: Self = Self::new(1, true);

    const fn new(unit_ms: i64, is_absolute: bool) -> Self {
        Self {
            unit_ms,
            is_absolute,
        }
    }

    fn base_ms(self, now_ms: i64) -> i64 {
        if self.is_absolute { 0 } else { now_ms }
    }

    /// A word as a deadline; `command` is named in the error.
    pub(super) fn deadline_ms(
        self,
        word: &[u8],
        now_ms: i64,
        command: &str,
    ) -> Result<i64, CommandError> {
        let number = integer(word)?;
        if number < 0 {
            return Err("ERR invalid expire time, must be >= 0".into());
        }
        let base_ms = self.base_ms(now_ms);
        number
            .checked_mul(self.unit_ms)
            .filter(|after_ms| *after_ms <= DEADLINE_MS_MAX - base_ms)
            .map(|after_ms| after_ms + base_ms)
            .ok_or_else(|| invalid_expire_time(command))
    }
}

/// The words from `at` on: `FIELDS count field ...`, and nothing else. `count_error` is for a count that is none.
pub(super) fn parse_fields<'a>(
    args: &Args<'a>,
    at: usize,
    count_error: &'static str,
) -> Result<impl ExactSizeIterator<Item = &'a [u8]> + use<'a>, CommandError> {
    if !args.is(at, "FIELDS") {
        return Err("ERR Mandatory argument FIELDS is missing or not at the right position".into());
    }
    let count = integer(args.get(at + 1))
        .ok()
        .filter(|count| *count > 0)
        .ok_or(count_error)?;
    let fields = args.iter_from(at + 2);
    if usize::try_from(count) != Ok(fields.len()) {
        return Err("ERR The `numfields` parameter must match the number of arguments".into());
    }
    Ok(fields)
}

/// The same words with the options first that stand behind the fields, where Redis takes them too since 8.4, and where the fields are
/// then; none where there is nothing behind them, or something else.
///
/// - `from`: where options may begin.
/// - `width`: words of a field.
pub(super) fn options_first(
    args: &Args<'_>,
    from: usize,
    width: usize,
    options: &[&str],
) -> Option<(OwnedArgs, usize)> {
    let fields_at = (from..args.len()).find(|&index| args.is(index, "FIELDS"))?;
    let count = (fields_at + 1 < args.len()).then(|| integer(args.get(fields_at + 1)))?;
    let count = usize::try_from(count.ok()?)
        .ok()
        .filter(|count| *count > 0)?;
    let end = count.checked_mul(width)?.checked_add(fields_at + 2)?;
    let is_option = |name: &&str| args.is(end, name);
    if end >= args.len() || !options.iter().any(is_option) {
        return None;
    }
    let parts = [0..fields_at, end..args.len(), fields_at..end];
    let words = parts.into_iter().flatten().map(|index| args.get(index));
    Some((words.collect(), args.len() - (end - fields_at)))
}

/// The error of a word among options that is none.
#[cold]
pub(super) fn unknown_option(word: &[u8]) -> CommandError {
    match word.eq_ignore_ascii_case(b"FIELDS") {
        true => "ERR FIELDS keyword specified multiple times".into(),
        false => CommandError::quoting("ERR unknown argument: ", word, ""),
    }
}

/// The usual text for a count that is none.
pub(super) const NOT_A_COUNT: &str = "ERR Number of fields must be a positive integer";

/// On what condition a field gets a deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    None,
    IfNone,
    IfSome,
    IfLater,
    IfSooner,
}

impl Condition {
    /// What all these words say, any number of times.
    fn of_all<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut said = Self::None;
        for word in words {
            let condition = match Self::named(word) {
                Self::None => return Err(unknown_option(word)),
                condition => condition,
            };
            if said != Self::None && said != condition {
                return Err("ERR Multiple condition flags specified".into());
            }
            said = condition;
        }
        Ok(said)
    }

    fn named(word: &[u8]) -> Self {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => Self::IfNone,
            b"XX" => Self::IfSome,
            b"GT" => Self::IfLater,
            b"LT" => Self::IfSooner,
            _ => Self::None,
        }
    }

    /// A field without a deadline lives for ever.
    fn allows(self, old_ms: Option<i64>, new_ms: i64) -> bool {
        match (self, old_ms) {
            (Self::None, _) => true,
            (Self::IfNone, old_ms) => old_ms.is_none(),
            (Self::IfSome, old_ms) => old_ms.is_some(),
            (Self::IfLater, old_ms) => old_ms.is_some_and(|old_ms| new_ms > old_ms),
            (Self::IfSooner, old_ms) => old_ms.is_none_or(|old_ms| new_ms < old_ms),
        }
    }
}

/// Gives a field of a hash a deadline: 1, or 2 where it has passed and the field is gone; none without the field.
pub(super) fn set_deadline(
    hash: &mut Hash,
    field: &[u8],
    deadline_ms: i64,
    now_ms: i64,
) -> Option<i64> {
    if deadline_ms <= now_ms {
        return hash.remove(field).then_some(2);
    }
    hash.set_deadline(field, Some(deadline_ms)).then_some(1)
}

/// `HEXPIRE key time [condition] FIELDS count field ...` replies for each field: 1 set, 2 removed, 0 not allowed, -2
/// missing.
fn expire(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
    name: &str,
) -> Result<Effect, CommandError> {
    match options_first(args, 3, 1, &["NX", "XX", "GT", "LT"]) {
        Some((words, fields_at)) => {
            let words = words.as_args();
            expire_fields(call, &words, Some(fields_at), reply, (scale, name))
        }
        None => expire_fields(call, args, None, reply, (scale, name)),
    }
}

/// - `fields_at`: where they are and options precede them, however many.
fn expire_fields(
    call: &mut Call<'_>,
    args: &Args<'_>,
    fields_at: Option<usize>,
    reply: &mut Reply<'_>,
    (scale, name): (Scale, &str),
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let held = call.keys.write::<Hash>(call.db, &key, no_touch)?;
    let deadline_ms = scale.deadline_ms(args.get(2), now_ms, name)?;
    let condition = match fields_at {
        Some(fields_at) => Condition::of_all(args.iter_from(3).take(fields_at - 3))?,
        None => Condition::named(args.get(3)),
    };
    let fields_at = fields_at.unwrap_or(3 + usize::from(condition != Condition::None));
    let count_error = "ERR Parameter `numFields` should be greater than 0";
    let fields = parse_fields(args, fields_at, count_error)?;
    reply.array(fields.len());
    let Some(mut held) = held else {
        fields.for_each(|_| reply.integer(NO_FIELD));
        return Ok(Effect::NONE);
    };
    let hash = held.get_mut();
    hash.prepare_deadlines();
    let (mut changes, mut removed_count) = (0, 0);
    for field in fields {
        // One that is dead is as good as gone: how soon it is removed must change nothing, least of all when the log is run again.
        let Some(found) = hash.find(field, now_ms).alive() else {
            reply.integer(NO_FIELD);
            continue;
        };
        if !condition.allows(found.deadline_ms, deadline_ms) {
            reply.integer(0);
            continue;
        }
        let answer = set_deadline(hash, field, deadline_ms, now_ms).unwrap_or(NO_FIELD);
        removed_count += u64::from(answer == 2);
        changes += 1;
        reply.integer(answer);
    }
    let is_gone = held.remove_if_empty();
    if is_gone {
        call.keys.note_emptied_hash(call.db, &key);
    }
    call.keys.count_expired_fields(removed_count);
    if changes > 0 {
        let event = if removed_count > 0 { "hdel" } else { "hexpire" };
        call.tell_taken(Classes::HASH, event, key.bytes, is_gone);
    }
    Ok(Effect::wrote(changes))
}

fn hexpire(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    expire(call, args, reply, Scale::SECONDS, "hexpire")
}

fn hpexpire(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    expire(call, args, reply, Scale::MILLISECONDS, "hpexpire")
}

fn hexpireat(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    expire(call, args, reply, Scale::UNIX_SECONDS, "hexpireat")
}

fn hpexpireat(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    expire(call, args, reply, Scale::UNIX_MILLISECONDS, "hpexpireat")
}

/// `HTTL key FIELDS count field ...` replies for each field: the time left or the time it dies, -1 without a deadline, -2
/// without the field.
fn ask(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let hash = call
        .keys
        .read::<Hash>(call.db, &key, call.caller.no_touch)?;
    let fields = parse_fields(args, 2, NOT_A_COUNT)?;
    reply.array(fields.len());
    let base_ms = scale.base_ms(now_ms);
    for field in fields {
        let found = hash.and_then(|hash| hash.find(field, now_ms).alive());
        reply.integer(match found.map(|field| field.deadline_ms) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            // Up to the next whole unit: a field that is there has time left.
            Some(Some(deadline_ms)) => {
                (deadline_ms - base_ms + scale.unit_ms - 1).div_euclid(scale.unit_ms)
            }
        });
    }
    Ok(Effect::NONE)
}

fn httl(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    ask(call, args, reply, Scale::SECONDS)
}

fn hpttl(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    ask(call, args, reply, Scale::MILLISECONDS)
}

fn hexpiretime(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    ask(call, args, reply, Scale::UNIX_SECONDS)
}

fn hpexpiretime(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    ask(call, args, reply, Scale::UNIX_MILLISECONDS)
}

/// `HPERSIST key FIELDS count field ...` replies for each field: 1 lives on, -1 without a deadline, -2 missing.
fn hpersist(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let held = call.keys.write::<Hash>(call.db, &key, no_touch)?;
    let fields = parse_fields(args, 2, NOT_A_COUNT)?;
    reply.array(fields.len());
    let Some(mut held) = held else {
        fields.for_each(|_| reply.integer(NO_FIELD));
        return Ok(Effect::NONE);
    };
    let hash = held.get_mut();
    let mut has_changed = false;
    for field in fields {
        reply.integer(match hash.find(field, now_ms).alive() {
            None => NO_FIELD,
            Some(found) if found.deadline_ms.is_none() => NO_DEADLINE,
            Some(_) => {
                hash.set_deadline(field, None);
                has_changed = true;
                1
            }
        });
    }
    if has_changed {
        call.tell(Classes::HASH, "hpersist", key.bytes);
    }
    Ok(Effect::wrote(u64::from(has_changed)))
}

/// What HEXPIRE and its relatives have in common.
const EXPIRE_ROW: Command = Command {
    since: "7.4.0",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: WRITE_FAST,
    keys: &[key_at(1, "RW", &["update"])],
    cost: "O(N) where N is the number of fields named.",
    ..ROW
};

/// What HTTL and its relatives have in common.
const ASK_ROW: Command = Command {
    since: "7.4.0",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: READ_FAST,
    keys: &[key_at(1, "RO", &["access"])],
    args: "key fields=FIELDS(numfields:integer field [field ...])",
    cost: "O(N) where N is the number of fields named.",
    ..ROW
};

/// Deadlines of a hash's fields.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "HEXPIRE",
        args: "key seconds condition=[NX | XX | GT | LT] fields=FIELDS(numfields:integer field [field ...])",
        summary: "Gives fields of a hash a number of seconds to live.",
        run: Run::Keys(hexpire),
        ..EXPIRE_ROW
    },
    Command {
        name: "HPEXPIRE",
        args: "key milliseconds condition=[NX | XX | GT | LT] fields=FIELDS(numfields:integer field [field ...])",
        summary: "Gives fields of a hash a number of milliseconds to live.",
        run: Run::Keys(hpexpire),
        ..EXPIRE_ROW
    },
    Command {
        name: "HEXPIREAT",
        args: "key unix-time-seconds condition=[NX | XX | GT | LT] fields=FIELDS(numfields:integer field [field ...])",
        summary: "Lets fields of a hash live until a time in seconds.",
        run: Run::Keys(hexpireat),
        ..EXPIRE_ROW
    },
    Command {
        name: "HPEXPIREAT",
        args: "key unix-time-milliseconds condition=[NX | XX | GT | LT] fields=FIELDS(numfields:integer field [field ...])",
        summary: "Lets fields of a hash live until a time in milliseconds.",
        run: Run::Keys(hpexpireat),
        ..EXPIRE_ROW
    },
    Command {
        name: "HTTL",
        summary: "Says how many seconds fields of a hash have left.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(httl),
        ..ASK_ROW
    },
    Command {
        name: "HPTTL",
        summary: "Says how many milliseconds fields of a hash have left.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(hpttl),
        ..ASK_ROW
    },
    Command {
        name: "HEXPIRETIME",
        summary: "Says when fields of a hash die, in seconds.",
        run: Run::Keys(hexpiretime),
        ..ASK_ROW
    },
    Command {
        name: "HPEXPIRETIME",
        summary: "Says when fields of a hash die, in milliseconds.",
        run: Run::Keys(hpexpiretime),
        ..ASK_ROW
    },
    Command {
        name: "HPERSIST",
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        summary: "Takes the deadlines off fields of a hash.",
        run: Run::Keys(hpersist),
        ..ASK_ROW
    },
];
