//! Arrays by their cursor: ARINSERT, ARNEXT, ARSEEK, ARRING, ARLASTITEMS.
//!
//! Not here  what the cursor is: `keyspace/array.rs`.
//! Source    the documentation of Redis 8.8.
//! Tests     tests/transcripts/array_ring.txt.

use super::CommandError;
use super::array::{ARRAY_ROW, read};
use super::array_range::positive_limit;
use super::array_walk::Places;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Run};
use crate::base::number::{parse_i64, parse_u64};
use crate::ds::sparse_array::PLACE_MAX;
use crate::keyspace::Array;
use crate::keyspace::Classes;
use crate::resp::{Args, Reply};

/// `ARINSERT key value [value ...]` replies with the last place that was filled.
fn arinsert(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let count = (args.len() - 2) as u64;
    let key = call.keys.key_of(args, 1);
    let mut held = call
        .keys
        .write_or_create::<Array>(call.db, &key, call.caller.no_touch)?;
    let array = held.get_mut();
    // A new array's cursor has room for any request, so no empty one is left behind.
    let first = array.next();
    let last = first.and_then(|first| first.checked_add(count - 1));
    let (Some(first), Some(last @ ..=PLACE_MAX)) = (first, last) else {
        return Err("ERR insert index overflow".into());
    };
    for (text, place) in args.iter_from(2).zip(first..) {
        array.places_mut().set(place, text);
    }
    array.seek(last + 1);
    call.tell(Classes::ARRAY, "arinsert", key.bytes);
    reply.unsigned(last);
    Ok(Effect::wrote(count))
}

/// `ARNEXT key` replies with the place of the next insertion, or null where there is none.
fn arnext(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    match read(call, args)?.map_or(Some(0), Array::next) {
        Some(place) => reply.unsigned(place),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// `ARSEEK key index` replies 1, or 0 where there is no array.
fn arseek(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    // One more than any place: no insertion is possible then.
    let place = parse_u64(args.get(2)).ok_or("ERR invalid array index")?;
    let key = call.keys.key_of(args, 1);
    let found = call
        .keys
        .write::<Array>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    held.get_mut().seek(place);
    call.tell(Classes::ARRAY, "arseek", key.bytes);
    reply.integer(1);
    Ok(Effect::wrote(1))
}

/// `ARRING key size value [value ...]` replies with the last place that was filled.
fn arring(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let size = parse_i64(args.get(2)).ok_or("ERR invalid size")?;
    let size = positive_limit(size).ok_or("ERR size must be positive")?;
    let key = call.keys.key_of(args, 1);
    let mut held = call
        .keys
        .write_or_create::<Array>(call.db, &key, call.caller.no_touch)?;
    let array = held.get_mut();
    let old = array.resize_ring(size);
    let mut place = 0;
    for text in args.iter_from(3) {
        place = array.insert_in_ring(text, size);
    }
    call.tell(Classes::ARRAY, "arring", key.bytes);
    reply.unsigned(place);
    if let Some(old) = old {
        call.keys.discard(call.db, old);
    }
    Ok(Effect::wrote((args.len() - 3) as u64))
}

/// `ARLASTITEMS key count [REV]` replies with the strings of the last places, null where one is empty.
fn arlastitems(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let count = parse_i64(args.get(2)).ok_or("ERR invalid COUNT")?;
    let Some(count) = positive_limit(count) else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let is_newest_first = match args.len() {
        3 => false,
        4 if args.is(3, "REV") => true,
        4 => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity("arlastitems")),
    };
    let whole_max = call.whole_max();
    let Some(array) = read(call, args)? else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let mut ranges = array.newest_places(count);
    if !is_newest_first {
        ranges.reverse();
        let backwards = |&(start, end): &(u64, u64)| (end, start);
        ranges = ranges.iter().map(backwards).collect();
    }
    let places = Places::of(ranges);
    if places.count() > whole_max as u64 {
        return Ok(call.places_in_pieces(args, places, reply));
    }
    places.reply(Some(array), reply);
    Ok(Effect::NONE)
}

/// Arrays by their cursor.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ARINSERT",
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key value [value ...]",
        summary: "Puts strings into an array where its cursor is, creating it if the key is missing.",
        cost: "O(N) where N is the number of values.",
        run: Run::Keys(arinsert),
        ..ARRAY_ROW
    },
    Command {
        name: "ARNEXT",
        arity: Arity::Exactly(2),
        args: "key",
        summary: "Tells where the next insertion into an array goes.",
        run: Run::Keys(arnext),
        ..ARRAY_ROW
    },
    Command {
        name: "ARSEEK",
        arity: Arity::Exactly(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key index",
        summary: "Sets where the next insertion into an array goes.",
        run: Run::Keys(arseek),
        ..ARRAY_ROW
    },
    Command {
        name: "ARRING",
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key size:integer value [value ...]",
        summary: "Puts strings into an array that is a ring, the oldest making room for the newest.",
        cost: "O(M) where M is the number of values; O(N+M) where the ring of N strings changes its size.",
        run: Run::Keys(arring),
        ..ARRAY_ROW
    },
    Command {
        name: "ARLASTITEMS",
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        args: "key count [REV]",
        summary: "Replies with the strings that were inserted last into an array.",
        cost: "O(N) where N is the count.",
        run: Run::Keys(arlastitems),
        ..ARRAY_ROW
    },
];
