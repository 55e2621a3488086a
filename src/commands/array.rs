//! Arrays, place by place: ARSET, ARMSET, ARGET, ARMGET, ARDEL, ARDELRANGE, ARLEN, ARCOUNT, ARINFO.
//!
//! Promises  all words are read before anything is done, so a bad one leaves everything as it was.
//! Not here  ranges: `array_range.rs`; what the cursor decides: `array_ring.rs`.
//! Source    the documentation of Redis 8.8. ARINFO's figures of slices describe this server's memory, not Redis's.
//! Tests     tests/transcripts/array.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use crate::base::number::parse_u64;
use crate::ds::listpack::Element;
use crate::ds::sparse_array::{PLACE_MAX, SLICE_PLACES, SparseArray};
use crate::keyspace::Array;
use crate::keyspace::Classes;
use crate::resp::{Args, Reply};

/// A word as a place of an array.
pub(super) fn place(word: &[u8]) -> Result<u64, CommandError> {
    match parse_u64(word) {
        Some(place) if place <= PLACE_MAX => Ok(place),
        _ => Err("ERR invalid array index".into()),
    }
}

/// An element, or null.
#[inline]
pub(super) fn reply_element(element: Option<Element<'_>>, reply: &mut Reply<'_>) {
    match element {
        Some(Element::Int(integer)) => reply.bulk_int(integer),
        Some(Element::Str(text)) => reply.bulk(text),
        None => reply.null(),
    }
}

/// The array at word 1, to read.
pub(super) fn read<'c>(
    call: &'c mut Call<'_>,
    args: &Args<'_>,
) -> Result<Option<&'c Array>, CommandError> {
    let key = call.keys.key_of(args, 1);
    Ok(call
        .keys
        .read::<Array>(call.db, &key, call.caller.no_touch)?)
}

/// `ARSET key index value [value ...]` replies with how many places were empty.
fn arset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let first = place(args.get(2))?;
    let count = (args.len() - 3) as u64;
    if first
        .checked_add(count - 1)
        .is_none_or(|last| last > PLACE_MAX)
    {
        return Err("ERR array index overflow".into());
    }
    let key = call.keys.key_of(args, 1);
    let mut held = call
        .keys
        .write_or_create::<Array>(call.db, &key, call.caller.no_touch)?;
    let places = held.get_mut().places_mut();
    let mut new_count = 0;
    for (text, place) in args.iter_from(3).zip(first..) {
        new_count += u64::from(places.set(place, text));
    }
    call.tell(Classes::ARRAY, "arset", key.bytes);
    reply.unsigned(new_count);
    Ok(Effect::wrote(count))
}

/// `ARMSET key index value [index value ...]` replies with how many places were empty.
fn armset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity("armset"));
    }
    for index in (2..args.len()).step_by(2) {
        place(args.get(index))?;
    }
    let key = call.keys.key_of(args, 1);
    let mut held = call
        .keys
        .write_or_create::<Array>(call.db, &key, call.caller.no_touch)?;
    let places = held.get_mut().places_mut();
    let mut new_count = 0;
    for index in (2..args.len()).step_by(2) {
        new_count += u64::from(places.set(place(args.get(index))?, args.get(index + 1)));
    }
    call.tell(Classes::ARRAY, "armset", key.bytes);
    reply.unsigned(new_count);
    Ok(Effect::wrote((args.len() as u64 - 2) / 2))
}

/// `ARGET key index` replies with the string there, or null.
fn arget(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let array = read(call, args)?;
    let place = place(args.get(2))?;
    reply_element(array.and_then(|array| array.places().get(place)), reply);
    Ok(Effect::NONE)
}

/// `ARMGET key index [index ...]` replies with the strings there, null for each that is not.
fn armget(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let array = read(call, args)?;
    for word in args.iter_from(2) {
        place(word)?;
    }
    reply.array(args.len() - 2);
    for word in args.iter_from(2) {
        let place = place(word)?;
        reply_element(array.and_then(|array| array.places().get(place)), reply);
    }
    Ok(Effect::NONE)
}

/// `ARDEL key index [index ...]` replies with how many strings were there.
fn ardel(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    for word in args.iter_from(2) {
        place(word)?;
    }
    let key = call.keys.key_of(args, 1);
    let found = call
        .keys
        .write::<Array>(call.db, &key, call.caller.no_touch)?;
    let mut removed_count = 0;
    if let Some(mut held) = found {
        let places = held.get_mut().places_mut();
        for word in args.iter_from(2) {
            removed_count += u64::from(places.remove(place(word)?));
        }
        let is_gone = held.remove_if_empty();
        if removed_count > 0 {
            call.tell_taken(Classes::ARRAY, "ardel", key.bytes, is_gone);
        }
    }
    reply.unsigned(removed_count);
    Ok(Effect::wrote(removed_count))
}

/// `ARDELRANGE key start end [start end ...]` replies with how many strings were there.
fn ardelrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity("ardelrange"));
    }
    for word in args.iter_from(2) {
        place(word)?;
    }
    let key = call.keys.key_of(args, 1);
    let found = call
        .keys
        .write::<Array>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    // What goes as a whole is freed bit by bit later.
    let mut cut = Array::default();
    let mut removed_count = 0;
    for index in (2..args.len()).step_by(2) {
        let (start, end) = (place(args.get(index))?, place(args.get(index + 1))?);
        let (low, high) = (start.min(end), start.max(end));
        let places = held.get_mut().places_mut();
        removed_count += places.remove_range(low, high, cut.places_mut());
    }
    let is_gone = held.remove_if_empty();
    if removed_count > 0 {
        call.tell_taken(Classes::ARRAY, "ardelrange", key.bytes, is_gone);
    }
    if !cut.places().is_empty() {
        call.keys.discard(call.db, cut);
    }
    reply.unsigned(removed_count);
    Ok(Effect::wrote(removed_count))
}

/// `ARLEN key` replies with the last place that is taken, plus one.
fn arlen(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let array = read(call, args)?.map(Array::places);
    reply.unsigned(array.map_or(0, SparseArray::len));
    Ok(Effect::NONE)
}

/// `ARCOUNT key` replies with the number of strings.
fn arcount(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let array = read(call, args)?.map(Array::places);
    reply.unsigned(array.map_or(0, SparseArray::count));
    Ok(Effect::NONE)
}

/// `ARINFO key [FULL]` replies with figures.
fn arinfo(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let is_full = args.len() > 2;
    if is_full && (args.len() > 3 || !args.is(2, "FULL")) {
        return Err(CommandError::Syntax);
    }
    let array = read(call, args)?.ok_or("ERR no such key")?;
    let places = array.places();
    let leaves_count = places.leaves_count() as u64;
    let figures = [
        ("count", places.count()),
        ("len", places.len()),
        ("next-insert-index", array.next().unwrap_or(0)),
        ("slices", places.slices_count() as u64),
        ("directory-size", places.slices_count() as u64),
        (
            "super-dir-entries",
            if leaves_count > 1 { leaves_count } else { 0 },
        ),
        ("slice-size", SLICE_PLACES),
    ];
    reply.map(figures.len() + if is_full { 5 } else { 0 });
    for (name, figure) in figures {
        reply.bulk(name.as_bytes());
        reply.unsigned(figure);
    }
    if is_full {
        let forms = places.forms();
        reply.bulk(b"dense-slices");
        reply.unsigned(forms.dense_slices);
        reply.bulk(b"sparse-slices");
        reply.unsigned(forms.sparse_slices);
        let ratio = |part: u64, of: u64| {
            if of == 0 {
                0.0
            } else {
                part as f64 / of as f64
            }
        };
        for (name, part, of) in [
            ("avg-dense-size", forms.dense_places, forms.dense_slices),
            ("avg-dense-fill", forms.dense_strings, forms.dense_places),
            ("avg-sparse-size", forms.sparse_places, forms.sparse_slices),
        ] {
            reply.bulk(name.as_bytes());
            reply.double(ratio(part, of));
        }
    }
    Ok(Effect::NONE)
}

/// What all rows of arrays have in common.
pub(super) const ARRAY_ROW: Command = Command {
    since: "8.8.0",
    group: Group::Array,
    flags: READ_FAST,
    keys: &[key_at(1, "RO", &["access"])],
    ..ROW
};

/// Arrays, place by place.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ARSET",
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key index value [value ...]",
        summary: "Puts strings into an array from a place on, creating it if the key is missing.",
        cost: "O(N) where N is the number of values.",
        run: Run::Keys(arset),
        ..ARRAY_ROW
    },
    Command {
        name: "ARMSET",
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key index value [index value ...]",
        summary: "Puts strings into several places of an array, creating it if the key is missing.",
        cost: "O(N) where N is the number of pairs.",
        run: Run::Keys(armset),
        ..ARRAY_ROW
    },
    Command {
        name: "ARGET",
        arity: Arity::Exactly(3),
        args: "key index",
        summary: "Replies with what is at a place of an array.",
        run: Run::Keys(arget),
        ..ARRAY_ROW
    },
    Command {
        name: "ARMGET",
        arity: Arity::AtLeast(3),
        args: "key index [index ...]",
        summary: "Replies with what is at several places of an array.",
        cost: "O(N) where N is the number of places.",
        run: Run::Keys(armget),
        ..ARRAY_ROW
    },
    Command {
        name: "ARDEL",
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key index [index ...]",
        summary: "Empties places of an array, and removes the key with the last string.",
        cost: "O(N) where N is the number of places.",
        run: Run::Keys(ardel),
        ..ARRAY_ROW
    },
    Command {
        name: "ARDELRANGE",
        arity: Arity::AtLeast(4),
        flags: Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key start end [start end ...]",
        summary: "Empties ranges of an array, and removes the key with the last string.",
        cost: "O(N) where N is the number of slices that have something in the ranges.",
        run: Run::Keys(ardelrange),
        ..ARRAY_ROW
    },
    Command {
        name: "ARLEN",
        arity: Arity::Exactly(2),
        args: "key",
        summary: "Replies with an array's last taken place, plus one.",
        run: Run::Keys(arlen),
        ..ARRAY_ROW
    },
    Command {
        name: "ARCOUNT",
        arity: Arity::Exactly(2),
        args: "key",
        summary: "Counts the strings of an array.",
        run: Run::Keys(arcount),
        ..ARRAY_ROW
    },
    Command {
        name: "ARINFO",
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        args: "key [FULL]",
        summary: "Describes an array and how it lies in memory.",
        cost: "O(1); with FULL O(N) where N is the number of slices.",
        run: Run::Keys(arinfo),
        ..ARRAY_ROW
    },
];
