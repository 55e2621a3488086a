//! Fields set, read, counted and removed: HSET, HGET and their relatives.
//!
//! Promises  a key is gone with its last field; a field met past its deadline is removed and counted.
//! Not here  walks: `hash_walk.rs`; deadlines of fields: `hash_expire.rs`, `hash_ex.rs`.
//! Tests     tests/transcripts/hash.txt, tests/keyspace/hash.rs.

use super::CommandError;
use super::number::{NOT_FINITE, WOULD_OVERFLOW, text_of};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::integer;
use crate::base::extended::Extended;
use crate::keyspace::Classes;
use crate::keyspace::hash::{Element, Field, FieldDeadline, Found};
use crate::keyspace::{Hash, Held, Key};
use crate::resp::{Args, Reply};

/// `HSET key field value [field value ...]` replies with how many fields are new.
fn hset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let new_count = set_pairs(call, args, "hset")?;
    reply.integer(new_count);
    Ok(Effect::wrote(args.len() as u64 / 2 - 1))
}

/// `HMSET key field value [field value ...]` replies OK.
fn hmset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    set_pairs(call, args, "hmset")?;
    reply.ok();
    Ok(Effect::wrote(args.len() as u64 / 2 - 1))
}

fn set_pairs(
    call: &mut Call<'_>,
    args: &Args<'_>,
    name: &'static str,
) -> Result<i64, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name));
    }
    let limits = call.keys.limits();
    let mut held = create(call, &call.keys.key(args.get(1)))?;
    let hash = held.get_mut();
    if args.len() > 4 {
        hash.make_room(args.iter_from(2), &limits);
    }
    let mut new_count = 0;
    for index in (2..args.len()).step_by(2) {
        let (field, value) = (args.get(index), args.get(index + 1));
        new_count += i64::from(hash.set(field, value, FieldDeadline::Drop, &limits));
    }
    call.tell(Classes::HASH, "hset", args.get(1));
    Ok(new_count)
}

/// `HSETNX key field value` replies 1, or 0 where the field is there.
fn hsetnx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let value = args.get(3);
    let mut is_new = false;
    update_field(call, args, |old| {
        is_new = old.is_none();
        Ok(is_new.then_some(NewValue::Element(value.into())))
    })?;
    if is_new {
        call.tell(Classes::HASH, "hset", args.get(1));
    }
    reply.integer(i64::from(is_new));
    Ok(Effect::wrote(u64::from(is_new)))
}

/// `HGET key field` replies with the value, or null.
fn hget(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    read_field(call, args, |field| match field {
        Some(field) => reply_element(reply, field.value),
        None => reply.null(),
    })
}

/// `HEXISTS key field` replies 1 or 0.
fn hexists(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    read_field(call, args, |field| {
        reply.integer(i64::from(field.is_some()));
    })
}

/// `HSTRLEN key field` replies with the value's length, 0 without it.
fn hstrlen(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    read_field(call, args, |field| {
        let bytes = field.map_or(0, |field| field.value.text_bytes());
        reply.integer(bytes as i64);
    })
}

/// Shows `answer` what there is of field word 2, and removes it if it is dead.
fn read_field(
    call: &mut Call<'_>,
    args: &Args<'_>,
    answer: impl FnOnce(Option<Field<'_>>),
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let field = args.get(2);
    let hash = call
        .keys
        .read::<Hash>(call.db, &key, call.caller.no_touch)?;
    let found = hash.map_or(Found::Missing, |hash| hash.find(field, now_ms));
    answer(found.alive());
    if found == Found::Dead {
        call.keys.expire_field(call.db, &key, field);
    }
    Ok(Effect::NONE)
}

/// `HMGET key field [field ...]` replies with the values, null for each that is missing.
fn hmget(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let hash = call
        .keys
        .read::<Hash>(call.db, &key, call.caller.no_touch)?;
    reply.array(args.len() - 2);
    let mut has_dead = false;
    for field in args.iter_from(2) {
        let found = hash.map_or(Found::Missing, |hash| hash.find(field, now_ms));
        match found.alive() {
            Some(field) => reply_element(reply, field.value),
            None => reply.null(),
        }
        has_dead |= found == Found::Dead;
    }
    if has_dead {
        let fields = args.iter_from(2);
        call.keys.expire_named_fields(call.db, &key, fields);
    }
    Ok(Effect::NONE)
}

/// `HLEN key` replies with the number of fields, those dead but not removed yet included.
fn hlen(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let hash = call
        .keys
        .read::<Hash>(call.db, &key, call.caller.no_touch)?;
    reply.integer(hash.map_or(0, Hash::len) as i64);
    Ok(Effect::NONE)
}

/// `HDEL key field [field ...]` replies with how many fields it removed.
fn hdel(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let mut removed_count = 0;
    let no_touch = call.caller.no_touch;
    if let Some(mut held) = call.keys.write::<Hash>(call.db, &key, no_touch)? {
        let hash = held.get_mut();
        for field in args.iter_from(2) {
            removed_count += u64::from(hash.remove(field));
        }
        let is_gone = held.remove_if_empty();
        if removed_count > 0 {
            call.tell_taken(Classes::HASH, "hdel", key.bytes, is_gone);
        }
        if is_gone {
            call.keys.note_emptied_hash(call.db, &key);
        }
    }
    reply.integer(removed_count as i64);
    Ok(Effect::wrote(removed_count))
}

/// `HINCRBY key field increment` replies with the sum; a missing field is 0.
fn hincrby(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let increment = integer(args.get(3))?;
    let mut sum = 0;
    update_field(call, args, |old| {
        let old = match old {
            Some(old) => old.integer().ok_or("ERR hash value is not an integer")?,
            None => 0,
        };
        sum = old.checked_add(increment).ok_or(WOULD_OVERFLOW)?;
        Ok(Some(NewValue::Element(sum.into())))
    })?;
    call.tell(Classes::HASH, "hincrby", args.get(1));
    reply.integer(sum);
    Ok(Effect::wrote(1))
}

/// `HINCRBYFLOAT key field increment` replies with the sum as a string; a missing field is 0.
fn hincrbyfloat(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let increment = Extended::parse(args.get(3)).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err("ERR value is NaN or Infinity".into());
    }
    update_field(call, args, |old| {
        let old = match old {
            Some(old) => {
                Extended::parse(old.text(&mut [0; 20])).ok_or("ERR hash value is not a float")?
            }
            None => Extended::ZERO,
        };
        let sum = old + increment;
        if !sum.is_finite() {
            return Err(NOT_FINITE.into());
        }
        let sum = text_of(sum);
        reply.bulk(&sum);
        Ok(Some(NewValue::Text(sum)))
    })?;
    call.tell(Classes::HASH, "hincrbyfloat", args.get(1));
    Ok(Effect::wrote(1))
}

/// The hash at `key`, to change; a new one where there is none.
pub(super) fn create<'k>(
    call: &'k mut Call<'_>,
    key: &Key<'_>,
) -> Result<Held<'k, Hash>, CommandError> {
    let no_touch = call.caller.no_touch;
    Ok(call.keys.write_or_create(call.db, key, no_touch)?)
}

/// What a field is set to.
enum NewValue<'v> {
    Element(Element<'v>),
    Text(Vec<u8>),
}

/// Sets field word 2, whose deadline stays, to what `decide` makes of its living value.
fn update_field<'v>(
    call: &mut Call<'_>,
    args: &Args<'_>,
    decide: impl FnOnce(Option<Element<'_>>) -> Result<Option<NewValue<'v>>, CommandError>,
) -> Result<(), CommandError> {
    let (limits, now_ms) = (call.keys.limits(), call.keys.now_ms());
    let key = call.keys.key(args.get(1));
    let field = args.get(2);
    let mut held = create(call, &key)?;
    let found = held.get().find(field, now_ms);
    let is_dead = found == Found::Dead;
    let decided = decide(found.alive().map(|field| field.value));
    if is_dead {
        held.get_mut().remove(field);
    }
    let was_last = is_dead && held.get().is_empty();
    let element = match &decided {
        Ok(Some(NewValue::Element(element))) => Some(*element),
        Ok(Some(NewValue::Text(text))) => Some(text.into()),
        Ok(None) | Err(_) => None,
    };
    if let Some(element) = element {
        held.get_mut()
            .set(field, element, FieldDeadline::Keep, &limits);
    }
    let is_gone = element.is_none() && held.remove_if_empty();
    if is_gone {
        call.keys.note_emptied_hash(call.db, &key);
    }
    if is_dead {
        call.keys.count_expired_fields(1);
        call.tell_taken(Classes::HASH, "hexpired", key.bytes, was_last);
        if was_last && !is_gone {
            // To whoever is told, the key went with the dead field and is a new one.
            call.tell(Classes::NEW, "new", key.bytes);
        }
    }
    decided.map(|_| ())
}

/// Replies with an element as a string.
#[inline]
pub(super) fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Int(number) => reply.bulk_int(number),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// Fields set, read, counted and removed.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "HSET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key field value [field value ...]",
        summary: "Sets fields of a hash, and counts those that are new.",
        cost: "O(1) for each field.",
        history: &[("4.0.0", "Takes several fields.")],
        run: Run::Keys(hset),
        ..ROW
    },
    Command {
        name: "HMSET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key field value [field value ...]",
        summary: "Sets fields of a hash.",
        cost: "O(N) where N is the number of fields.",
        deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
        run: Run::Keys(hmset),
        ..ROW
    },
    Command {
        name: "HSETNX",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key field value",
        summary: "Sets a field of a hash if the field is missing.",
        run: Run::Keys(hsetnx),
        ..ROW
    },
    Command {
        name: "HGET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key field",
        summary: "Replies with the value of a field of a hash.",
        run: Run::Keys(hget),
        ..ROW
    },
    Command {
        name: "HMGET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key field [field ...]",
        summary: "Replies with the values of several fields of a hash.",
        cost: "O(N) where N is the number of fields asked for.",
        run: Run::Keys(hmget),
        ..ROW
    },
    Command {
        name: "HEXISTS",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key field",
        summary: "Says whether a hash has a field.",
        run: Run::Keys(hexists),
        ..ROW
    },
    Command {
        name: "HSTRLEN",
        since: "3.2.0",
        group: Group::Hash,
        arity: Arity::Exactly(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key field",
        summary: "Replies with the length of a field's value in bytes.",
        run: Run::Keys(hstrlen),
        ..ROW
    },
    Command {
        name: "HLEN",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Counts the fields of a hash.",
        run: Run::Keys(hlen),
        ..ROW
    },
    Command {
        name: "HDEL",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key field [field ...]",
        summary: "Removes fields of a hash, and the key with the last of them.",
        cost: "O(N) where N is the number of fields to remove.",
        history: &[("2.4.0", "Takes several fields.")],
        run: Run::Keys(hdel),
        ..ROW
    },
    Command {
        name: "HINCRBY",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key field increment",
        summary: "Adds to the integer in a field of a hash; a missing field is 0.",
        run: Run::Keys(hincrby),
        ..ROW
    },
    Command {
        name: "HINCRBYFLOAT",
        since: "2.6.0",
        group: Group::Hash,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key field increment:double",
        summary: "Adds to the float in a field of a hash; a missing field is 0.",
        run: Run::Keys(hincrbyfloat),
        ..ROW
    },
];
