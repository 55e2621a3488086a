//! Parts of strings, and growing them: APPEND, GETRANGE, SUBSTR, SETRANGE, STRLEN.
//!
//! Promises  appending is amortised O(1) per byte; a string never grows past `proto-max-bulk-len`.
//! Tests     tests/transcripts/string_range.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::word::{Digits, bytes, check_length, integer, length, value};
use crate::ds::key_table::NewValue;
use crate::keyspace::Classes;
use crate::resp::{Args, Reply};

/// `APPEND key value` replies with the new length.
fn append(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let more = args.get(2);
    let bytes_max = call.keys.value_bytes_max();
    let key = call.keys.key(args.get(1));
    let total = match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(mut entry) => {
            let size = length(&entry.value())?;
            check_length(size as u64, more.len() as u64, bytes_max)?;
            let total = size + more.len();
            entry.string_mut(total)[size..total].copy_from_slice(more);
            total
        }
        None => {
            call.keys.insert(call.db, &key, value(args, 2), None);
            more.len()
        }
    };
    call.tell(Classes::STRING, "append", key.bytes);
    reply.integer(total as i64);
    Ok(Effect::wrote(1))
}

/// `SETRANGE key offset value` replies with the length after it.
fn setrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let offset = integer(args.get(2))?;
    let part = args.get(3);
    let offset = u64::try_from(offset).map_err(|_| "ERR offset is out of range")?;
    let bytes_max = call.keys.value_bytes_max();
    let key = call.keys.key(args.get(1));
    let found = call.keys.lookup_write(call.db, &key, call.caller.no_touch);
    let size = match &found {
        Some(entry) => length(&entry.value())?,
        None => 0,
    };
    if part.is_empty() {
        reply.integer(size as i64);
        return Ok(Effect::NONE);
    }
    check_length(offset, part.len() as u64, bytes_max)?;
    let start = offset as usize;
    let end = start + part.len();
    let mut entry = match found {
        Some(entry) => entry,
        None => {
            let empty = NewValue::Str {
                bytes: b"",
                raw: true,
            };
            call.keys.insert(call.db, &key, empty, None)
        }
    };
    entry.string_mut(end)[start..end].copy_from_slice(part);
    call.tell(Classes::STRING, "setrange", key.bytes);
    reply.integer(size.max(end) as i64);
    Ok(Effect::wrote(1))
}

/// `GETRANGE key start end` replies with that part; ends count from the end where negative.
fn getrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let start = integer(args.get(2))?;
    let end = integer(args.get(3))?;
    let key = call.keys.key(args.get(1));
    let Some(entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) else {
        reply.bulk(b"");
        return Ok(Effect::NONE);
    };
    let mut digits: Digits = [0; 20];
    let value = entry.value();
    let string = bytes(&value, &mut digits)?;
    reply.bulk(part(string, start, end));
    Ok(Effect::NONE)
}

/// The bytes from `start` to `end`, both included, either counted from the end where negative.
fn part(string: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let size = string.len() as i64;
    let from_start = |index: i64| {
        if index < 0 {
            (size + index).max(0)
        } else {
            index
        }
    };
    let (start, end) = (from_start(start), from_start(end).min(size - 1));
    if start > end || size == 0 {
        return b"";
    }
    &string[start as usize..=end as usize]
}

/// `STRLEN key` replies with the string's length in bytes, 0 for a missing key.
fn strlen(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let size = match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
        Some(entry) => length(&entry.value())?,
        None => 0,
    };
    reply.integer(size as i64);
    Ok(Effect::NONE)
}

/// Parts of strings.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "APPEND",
        since: "2.0.0",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key value",
        summary: "Adds bytes to the end of a key's string, creating the key if it is missing.",
        cost: "O(1) amortised for a short value: the room of a growing string doubles.",
        run: Run::Keys(append),
        ..ROW
    },
    Command {
        name: "GETRANGE",
        since: "2.4.0",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key start end",
        summary: "Replies with a part of a key's string.",
        cost: "O(N) where N is the length of the part.",
        run: Run::Keys(getrange),
        ..ROW
    },
    Command {
        name: "SUBSTR",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key start end",
        summary: "Replies with a part of a key's string.",
        cost: "O(N) where N is the length of the part.",
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        run: Run::Keys(getrange),
        ..ROW
    },
    Command {
        name: "SETRANGE",
        since: "2.2.0",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key offset value",
        summary: "Overwrites a part of a key's string, with zero bytes before it where the string was shorter.",
        cost: "O(M) where M is the length of the value, besides growing the string.",
        run: Run::Keys(setrange),
        ..ROW
    },
    Command {
        name: "STRLEN",
        since: "2.2.0",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Replies with the length of a key's string in bytes.",
        run: Run::Keys(strlen),
        ..ROW
    },
];
