//! Deadlines: EXPIRE, TTL, PERSIST and their relatives.
//!
//! Tests     tests/transcripts/expire.txt, tests/commands/model.rs.

use super::CommandError;
use super::deadline::invalid_expire_time;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Run};
use super::word::integer;
use crate::keyspace::Classes;
use crate::resp::{Args, Reply};

/// NX, XX, GT and LT.
#[derive(Default)]
struct Rules {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_sooner: bool,
}

impl Rules {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut rules = Self::default();
        for word in args.iter_from(3) {
            let rule = match word.to_ascii_uppercase().as_slice() {
                b"NX" => &mut rules.if_none,
                b"XX" => &mut rules.if_some,
                b"GT" => &mut rules.if_later,
                b"LT" => &mut rules.if_sooner,
                _ => return Err(CommandError::quoting("ERR Unsupported option ", word, "")),
            };
            *rule = true;
        }
        if rules.if_none && (rules.if_some || rules.if_later || rules.if_sooner) {
            return Err(
                "ERR NX and XX, GT or LT options at the same time are not compatible".into(),
            );
        }
        if rules.if_later && rules.if_sooner {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(rules)
    }

    /// Whether a key with this deadline may get the new one; without one it lives for ever.
    fn allow(&self, old_ms: Option<i64>, new_ms: i64) -> bool {
        match old_ms {
            None => !self.if_some && !self.if_later,
            Some(old_ms) => {
                !self.if_none
                    && (!self.if_later || new_ms > old_ms)
                    && (!self.if_sooner || new_ms < old_ms)
            }
        }
    }
}

/// Sets the deadline of word 1 to word 2, in units of `unit_ms`, from `base_ms` on.
fn set_deadline(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    (unit_ms, base_ms): (i64, i64),
    command: &str,
) -> Result<Effect, CommandError> {
    let rules = Rules::parse(args)?;
    let now_ms = call.keys.now_ms();
    let at_ms = integer(args.get(2))?
        .checked_mul(unit_ms)
        .and_then(|number| number.checked_add(base_ms))
        .ok_or_else(|| invalid_expire_time(command))?;
    let key = call.keys.key(args.get(1));
    let changed = match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(mut entry) if rules.allow(entry.deadline_ms(), at_ms) => {
            let event = if at_ms <= now_ms {
                entry.remove();
                "del"
            } else {
                entry.set_deadline(Some(at_ms));
                "expire"
            };
            call.tell(Classes::GENERIC, event, key.bytes);
            1
        }
        _ => 0,
    };
    reply.integer(changed);
    Ok(Effect::wrote(changed as u64))
}

fn expire(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    set_deadline(call, args, reply, (1000, now_ms), "expire")
}

fn pexpire(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    set_deadline(call, args, reply, (1, now_ms), "pexpire")
}

fn expireat(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    set_deadline(call, args, reply, (1000, 0), "expireat")
}

fn pexpireat(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    set_deadline(call, args, reply, (1, 0), "pexpireat")
}

/// Replies with what `answer` makes of the deadline: -2 without the key, -1 without a deadline.
fn ask_deadline(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    answer: impl Fn(i64) -> i64,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    // Asking for the time left is no use of the key.
    reply.integer(match call.keys.lookup_read(call.db, &key, true) {
        None => -2,
        Some(entry) => entry.deadline_ms().map_or(-1, answer),
    });
    Ok(Effect::NONE)
}

/// Seconds, rounded to the nearest; `ms` is not negative.
fn seconds(ms: i64) -> i64 {
    // Unsigned, so that the last half second of 64 bits rounds up as well.
    ((ms as u64 + 500) / 1000) as i64
}

fn ttl(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    ask_deadline(call, args, reply, |at_ms| {
        seconds(at_ms.saturating_sub(now_ms).max(0))
    })
}

fn pttl(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    ask_deadline(call, args, reply, |at_ms| {
        at_ms.saturating_sub(now_ms).max(0)
    })
}

fn expiretime(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    ask_deadline(call, args, reply, seconds)
}

fn pexpiretime(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    ask_deadline(call, args, reply, |at_ms| at_ms)
}

/// `PERSIST key` replies 1 if it removed a deadline.
fn persist(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let changed = match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(mut entry) if entry.deadline_ms().is_some() => {
            entry.set_deadline(None);
            call.tell(Classes::GENERIC, "persist", key.bytes);
            1
        }
        _ => 0,
    };
    reply.integer(changed);
    Ok(Effect::wrote(changed as u64))
}

const RULES_CAME: &[(&str, &str)] = &[("7.0.0", "`NX`, `XX`, `GT` and `LT` came.")];
const MINUS_TWO_CAME: &[(&str, &str)] = &[("2.8.0", "-2 for a missing key came.")];

/// Deadlines.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "EXPIRE",
        arity: Arity::AtLeast(3),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key seconds [NX | XX | GT | LT]@7.0.0",
        summary: "Lets a key live for a number of seconds.",
        history: RULES_CAME,
        run: Run::Keys(expire),
        ..ROW
    },
    Command {
        name: "PEXPIRE",
        since: "2.6.0",
        arity: Arity::AtLeast(3),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key milliseconds [NX | XX | GT | LT]@7.0.0",
        summary: "Lets a key live for a number of milliseconds.",
        history: RULES_CAME,
        run: Run::Keys(pexpire),
        ..ROW
    },
    Command {
        name: "EXPIREAT",
        since: "1.2.0",
        arity: Arity::AtLeast(3),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key unix-time-seconds [NX | XX | GT | LT]@7.0.0",
        summary: "Lets a key live until a Unix time in seconds.",
        history: RULES_CAME,
        run: Run::Keys(expireat),
        ..ROW
    },
    Command {
        name: "PEXPIREAT",
        since: "2.6.0",
        arity: Arity::AtLeast(3),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key unix-time-milliseconds [NX | XX | GT | LT]@7.0.0",
        summary: "Lets a key live until a Unix time in milliseconds.",
        history: RULES_CAME,
        run: Run::Keys(pexpireat),
        ..ROW
    },
    Command {
        name: "TTL",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Tells how many seconds a key has to live.",
        tips: &["nondeterministic_output"],
        history: MINUS_TWO_CAME,
        run: Run::Keys(ttl),
        ..ROW
    },
    Command {
        name: "PTTL",
        since: "2.6.0",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Tells how many milliseconds a key has to live.",
        tips: &["nondeterministic_output"],
        history: MINUS_TWO_CAME,
        run: Run::Keys(pttl),
        ..ROW
    },
    Command {
        name: "EXPIRETIME",
        since: "7.0.0",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Tells the Unix time in seconds a key lives until.",
        run: Run::Keys(expiretime),
        ..ROW
    },
    Command {
        name: "PEXPIRETIME",
        since: "7.0.0",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Tells the Unix time in milliseconds a key lives until.",
        run: Run::Keys(pexpiretime),
        ..ROW
    },
    Command {
        name: "PERSIST",
        since: "2.2.0",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key",
        summary: "Lets a key live for ever.",
        run: Run::Keys(persist),
        ..ROW
    },
];
