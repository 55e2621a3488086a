//! Strings read and set whole: GET, SET and their relatives.
//!
//! Promises  GET, and SET without options, are one lookup each; SET overwrites in place.
//! Not here  numbers: `number.rs`; several keys: `string_many.rs`; parts: `string_range.rs`; comparing: `digest.rs`.
//! Tests     tests/transcripts/string.txt, tests/commands/model.rs.

use super::CommandError;
use super::deadline::{DeadlineOption, DeadlineWords};
use super::digest::Condition;
use super::row::*;
use super::table::{Arity, Aside, Call, Command, Effect, Group, Run};
use super::word::{reply_string, value};
use crate::ds::key_table::{EntryMut, Value};
use crate::keyspace::{Classes, Deadline, Object};
use crate::resp::lent::lends;
use crate::resp::{Args, Lent, Reply};

/// `GET key` replies with the string, or null.
fn get(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key_of(args, 1);
    match (call.keys).lookup_read_inlined(call.db, &key, call.caller.no_touch) {
        Some(mut entry) => match entry.value() {
            Value::Str { bytes, .. } if lends(bytes.len()) => {
                reply_long(&mut entry, call.aside, reply);
            }
            value => reply_string(&value, reply)?,
        },
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// Replies with a long string, from where it lies if may be.
#[cold]
fn reply_long(entry: &mut EntryMut<'_, Object>, aside: &mut Aside, reply: &mut Reply<'_>) {
    if aside.may_lend
        && let Some(string) = entry.lend()
    {
        let at = reply.bulk_without(string.len());
        aside.lent = Some(Lent { at, string });
    } else if let Value::Str { bytes, .. } = entry.value() {
        reply.bulk(bytes);
    }
}

/// `SET key value [option ...]` replies OK, or with the old value under GET, or null where a condition failed.
fn set(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if args.len() > 3 {
        return set_with_options(call, args, reply);
    }
    let key = call.keys.key_of(args, 1);
    let no_touch = call.caller.no_touch;
    let before = call.keys.replaced(call.db, &key);
    (call.keys).set_inlined(call.db, &key, value(args, 2), Deadline::Drop, no_touch);
    call.keys.tell_replaced(call.db, before, &key);
    call.tell(Classes::STRING, "set", key.bytes);
    reply.ok();
    Ok(Effect::wrote(1))
}

#[derive(Default)]
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    deadline: DeadlineWords<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            let word = args.get(index);
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            let taken = if word.eq_ignore_ascii_case(b"GET") {
                options.get = true;
                1
            } else if word.eq_ignore_ascii_case(b"KEEPTTL") {
                usize::from(options.deadline.keep())
            } else if let (Some(option), Some(number)) = (DeadlineOption::named(word), next) {
                2 * usize::from(options.deadline.give(option, number))
            } else {
                options.condition.take(word, next)
            };
            if taken == 0 {
                return Err(CommandError::Syntax);
            }
            index += taken;
        }
        Ok(options)
    }
}

fn set_with_options(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = SetOptions::parse(args)?;
    let deadline = options.deadline.deadline(call.keys.now_ms(), "set")?;
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let before = call.keys.replaced(call.db, &key);
    let found = if options.get {
        call.keys.lookup_read(call.db, &key, no_touch)
    } else {
        call.keys.lookup_write(call.db, &key, no_touch)
    };
    let is_met = match &found {
        Some(entry) => {
            if options.get {
                // Before the condition: a key of another type is refused whatever is asked.
                super::word::length(&entry.value())?;
            }
            options.condition.is_met_by(&entry.value())?
        }
        None => options.condition.is_met_by_missing(),
    };
    match (&found, options.get) {
        (Some(entry), true) => reply_string(&entry.value(), reply)?,
        (None, true) => reply.null(),
        (_, false) if is_met => reply.ok(),
        (_, false) => reply.null(),
    }
    if !is_met {
        return Ok(Effect::NONE);
    }
    match found {
        Some(mut entry) => {
            entry.set_value(value(args, 2));
            match deadline {
                Deadline::At(at_ms) => entry.set_deadline(Some(at_ms)),
                Deadline::Drop => entry.set_deadline(None),
                Deadline::Keep => {}
            }
        }
        None => call
            .keys
            .set(call.db, &key, value(args, 2), deadline, no_touch),
    }
    call.keys.tell_replaced(call.db, before, &key);
    tell_set(call, key.bytes, deadline);
    Ok(Effect::wrote(1))
}

/// A string was set, perhaps with a deadline.
fn tell_set(call: &mut Call<'_>, key: &[u8], deadline: Deadline) {
    call.tell(Classes::STRING, "set", key);
    if matches!(deadline, Deadline::At(_)) {
        call.tell(Classes::GENERIC, "expire", key);
    }
}

/// `SETNX key value` replies 1 if it set the key.
fn setnx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    if call
        .keys
        .lookup_write(call.db, &key, call.caller.no_touch)
        .is_some()
    {
        reply.integer(0);
        return Ok(Effect::NONE);
    }
    call.keys.insert(call.db, &key, value(args, 2), None);
    call.tell(Classes::STRING, "set", key.bytes);
    reply.integer(1);
    Ok(Effect::wrote(1))
}

fn set_expiring(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    option: DeadlineOption,
    command: &str,
) -> Result<Effect, CommandError> {
    let at_ms = option.at_ms(args.get(2), call.keys.now_ms(), command)?;
    let key = call.keys.key(args.get(1));
    let deadline = Deadline::At(at_ms);
    let before = call.keys.replaced(call.db, &key);
    call.keys.set(
        call.db,
        &key,
        value(args, 3),
        deadline,
        call.caller.no_touch,
    );
    call.keys.tell_replaced(call.db, before, &key);
    tell_set(call, key.bytes, deadline);
    reply.ok();
    Ok(Effect::wrote(1))
}

fn setex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    set_expiring(call, args, reply, DeadlineOption::Ex, "setex")
}

fn psetex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    set_expiring(call, args, reply, DeadlineOption::Px, "psetex")
}

/// `GETSET key value` replies with the old string, or null.
fn getset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let before = call.keys.replaced(call.db, &key);
    match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
        Some(mut entry) => {
            reply_string(&entry.value(), reply)?;
            entry.set_value(value(args, 2));
            entry.set_deadline(None);
        }
        None => {
            reply.null();
            call.keys.insert(call.db, &key, value(args, 2), None);
        }
    }
    call.keys.tell_replaced(call.db, before, &key);
    call.tell(Classes::STRING, "set", key.bytes);
    Ok(Effect::wrote(1))
}

/// `GETDEL key` replies with the string and removes it.
fn getdel(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let Some(entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) else {
        reply.null();
        return Ok(Effect::NONE);
    };
    reply_string(&entry.value(), reply)?;
    entry.remove();
    call.tell_gone(key.bytes);
    Ok(Effect::wrote(1))
}

/// `GETEX key [option]` replies with the string, its deadline changed as the option says.
fn getex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut words = DeadlineWords::default();
    let mut index = 2;
    while index < args.len() {
        let word = args.get(index);
        let next = (index + 1 < args.len()).then(|| args.get(index + 1));
        let taken = if word.eq_ignore_ascii_case(b"PERSIST") {
            usize::from(words.persist())
        } else if let (Some(option), Some(number)) = (DeadlineOption::named(word), next) {
            2 * usize::from(words.give(option, number))
        } else {
            0
        };
        if taken == 0 {
            return Err(CommandError::Syntax);
        }
        index += taken;
    }
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let Some(mut entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) else {
        reply.null();
        return Ok(Effect::NONE);
    };
    super::word::length(&entry.value())?;
    let deadline = words.deadline(now_ms, "getex")?;
    reply_string(&entry.value(), reply)?;
    let event = match deadline {
        Deadline::At(at_ms) if at_ms <= now_ms => {
            entry.remove();
            "del"
        }
        Deadline::At(at_ms) => {
            entry.set_deadline(Some(at_ms));
            "expire"
        }
        _ if words.persist && entry.deadline_ms().is_some() => {
            entry.set_deadline(None);
            "persist"
        }
        _ => return Ok(Effect::NONE),
    };
    call.tell(Classes::GENERIC, event, key.bytes);
    Ok(Effect::wrote(1))
}

/// Strings set and read whole.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "GET",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with the string a key holds.",
        run: Run::Keys(get),
        ..ROW
    },
    Command {
        name: "SET",
        group: Group::String,
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["access", "update", "variable_flags"])
            .noted("RW and ACCESS due to the optional `GET` argument")],
        args: "key value [NX | XX | IFEQ ifeq-value@8.4.0 | IFNE ifne-value@8.4.0 | IFDEQ ifdeq-digest@8.4.0 | \
               IFDNE ifdne-digest@8.4.0]@2.6.12 [GET]@6.2.0 [EX seconds@2.6.12 | PX milliseconds@2.6.12 | \
               EXAT unix-time-seconds@6.2.0 | PXAT unix-time-milliseconds@6.2.0 | KEEPTTL@6.0.0]",
        summary: "Sets a key to a string, whatever it held before, if the condition given is met.",
        history: &[
            ("2.6.12", "`EX`, `PX`, `NX` and `XX` came."),
            ("6.0.0", "`KEEPTTL` came."),
            ("6.2.0", "`GET`, `EXAT` and `PXAT` came."),
            ("7.0.0", "`NX` and `GET` may be used together."),
            ("8.4.0", "`IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` came."),
        ],
        run: Run::Keys(set),
        ..ROW
    },
    Command {
        name: "SETNX",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "OW", &["insert"])],
        args: "key value",
        summary: "Sets a key to a string if the key is missing.",
        deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
        run: Run::Keys(setnx),
        ..ROW
    },
    Command {
        name: "SETEX",
        since: "2.0.0",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW,
        keys: &[key_at(1, "OW", &["update"])],
        args: "key seconds value",
        summary: "Sets a key to a string that lives for a number of seconds.",
        deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
        run: Run::Keys(setex),
        ..ROW
    },
    Command {
        name: "PSETEX",
        since: "2.6.0",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW,
        keys: &[key_at(1, "OW", &["update"])],
        args: "key milliseconds value",
        summary: "Sets a key to a string that lives for a number of milliseconds.",
        deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
        run: Run::Keys(psetex),
        ..ROW
    },
    Command {
        name: "GETSET",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key value",
        summary: "Sets a key to a string and replies with the one it held.",
        deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
        run: Run::Keys(getset),
        ..ROW
    },
    Command {
        name: "GETDEL",
        since: "6.2.0",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key",
        summary: "Replies with the string a key holds and removes the key.",
        run: Run::Keys(getdel),
        ..ROW
    },
    Command {
        name: "GETEX",
        since: "6.2.0",
        group: Group::String,
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])
            .noted("RW and UPDATE because it changes the TTL")],
        args: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        summary: "Replies with the string a key holds and sets or removes its deadline.",
        run: Run::Keys(getex),
        ..ROW
    },
];
