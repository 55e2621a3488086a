//! Keys whatever they hold: removing, asking, renaming, copying, moving.
//!
//! Promises  each is one step on the keys it is given, all on one shard; RENAME, RENAMENX and COPY over two shards
//!           are programs of `router/`.
//! Not here  deadlines: `expire.rs`; walking through keys: `scan.rs`; OBJECT: `object.rs`.
//! Tests     tests/transcripts/generic.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Merge, Program, Run, Spread, Touched};
use super::word::database;
use crate::keyspace::Classes;
use crate::keyspace::copying::Copies;
use crate::keyspace::value::type_name;
use crate::resp::{Args, Reply};

/// What a request that names one key twice where two are wanted is told.
pub const SAME_OBJECT: &str = "ERR source and destination objects are the same";
/// What a request for a missing key is told where null will not do.
pub const NO_SUCH_KEY: &str = "ERR no such key";

/// `DEL key [key ...]` and UNLINK reply with how many keys they removed.
fn del(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut removed = 0;
    for word in args.iter_from(1) {
        let key = call.keys.key(word);
        if call.keys.remove(call.db, &key) {
            removed += 1;
            call.tell_gone(word);
        }
    }
    reply.integer(removed as i64);
    Ok(Effect::wrote(removed))
}

/// `EXISTS key [key ...]` replies with how many are there, a key named twice counting twice.
fn exists(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    count_found(call, args, reply, true)
}

/// `TOUCH key [key ...]` is EXISTS that moves access clocks, even under CLIENT NO-TOUCH.
fn touch(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    count_found(call, args, reply, false)
}

fn count_found(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    no_touch: bool,
) -> Result<Effect, CommandError> {
    let mut found = 0;
    for word in args.iter_from(1) {
        let key = call.keys.key(word);
        found += i64::from(call.keys.lookup_read(call.db, &key, no_touch).is_some());
    }
    reply.integer(found);
    Ok(Effect::NONE)
}

/// `TYPE key` replies with the type's name, `none` for a missing key.
fn type_of(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    reply.simple(match call.keys.lookup_read(call.db, &key, true) {
        Some(entry) => type_name(&entry.value()),
        None => "none",
    });
    Ok(Effect::NONE)
}

/// `RENAME key newkey` replies OK.
fn rename(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let renamed = rename_to(call, args, true)?;
    reply.ok();
    Ok(Effect::wrote(renamed.unwrap_or(0)))
}

/// `RENAMENX key newkey` replies 1, or 0 where the new name is taken.
fn renamenx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let renamed = rename_to(call, args, false)?;
    reply.integer(i64::from(renamed == Some(1)));
    Ok(Effect::wrote(renamed.unwrap_or(0)))
}

/// Renames; returns the changes made, `None` where both names are the same.
fn rename_to(
    call: &mut Call<'_>,
    args: &Args<'_>,
    replace: bool,
) -> Result<Option<u64>, CommandError> {
    let no_touch = call.caller.no_touch;
    let (from, to) = (call.keys.key(args.get(1)), call.keys.key(args.get(2)));
    if call.keys.lookup_write(call.db, &from, no_touch).is_none() {
        return Err(NO_SUCH_KEY.into());
    }
    if from.bytes == to.bytes {
        return Ok(None);
    }
    if !replace && call.keys.lookup_write(call.db, &to, no_touch).is_some() {
        return Ok(Some(0));
    }
    if let Some(moved) = call.keys.take_value(call.db, &from) {
        let before = call.keys.replaced(call.db, &to);
        call.keys.put_anew(call.db, &to, moved, true);
        call.tell(Classes::GENERIC, "rename_from", from.bytes);
        call.tell(Classes::GENERIC, "rename_to", to.bytes);
        call.keys.tell_replaced(call.db, before, &to);
    }
    Ok(Some(1))
}

/// COPY's words after the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// REPLACE.
    pub replace: bool,
    /// The database copied to.
    pub db: usize,
    /// The highest that is named: where DB is repeated, the last one counts, and each has to be there.
    pub db_max: usize,
}

impl CopyOptions {
    /// Reads and checks the words; `db` is the database copied from.
    pub fn parse(args: &Args<'_>, db: usize, databases_count: usize) -> Result<Self, CommandError> {
        let mut options = Self {
            replace: false,
            db,
            db_max: 0,
        };
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "REPLACE") {
                options.replace = true;
            } else if args.is(index, "DB") && index + 1 < args.len() {
                index += 1;
                options.db = database(args.get(index), databases_count)?;
                options.db_max = options.db_max.max(options.db);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if options.db == db && args.get(1) == args.get(2) {
            return Err(SAME_OBJECT.into());
        }
        Ok(options)
    }
}

/// `COPY source destination [option ...]` replies 1 if it copied.
fn copy(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = CopyOptions::parse(args, call.db, call.keys.databases_count())?;
    let no_touch = call.caller.no_touch;
    let (from, to) = (call.keys.key(args.get(1)), call.keys.key(args.get(2)));
    let made = call.keys.take_made().and_then(|it| it.downcast().ok());
    let made = made.and_then(|mut copies: Box<Copies>| copies.pop());
    let is_free = options.replace || call.keys.peek(options.db, &to).is_none();
    let may_take_long = call.is_alone && made.is_none() && is_free;
    if may_take_long && call.keys.begin_copying(call.db, &[from], Some(&to)) {
        // As a copy made at once counts it; it is there.
        call.keys.lookup_read(call.db, &from, no_touch);
        return Ok(Effect::NONE);
    }
    let copy = match made {
        Some((_, moved)) => {
            let is_there = call.keys.lookup_read(call.db, &from, true).is_some();
            is_there.then_some(moved)
        }
        None => call.keys.clone_value(call.db, &from, no_touch),
    };
    let before = call.keys.replaced(options.db, &to);
    let copied = match copy {
        Some(moved) => call.keys.put_anew(options.db, &to, moved, options.replace),
        None => false,
    };
    if copied {
        let class = Classes::GENERIC;
        call.keys.tell(options.db, class, "copy_to", to.bytes);
        call.keys.tell_replaced(options.db, before, &to);
    }
    reply.integer(i64::from(copied));
    let effect = Effect::wrote(u64::from(copied)).wakes_all();
    Ok(effect.touching(Touched::InDatabase(options.db as u16)))
}

/// `MOVE key db` replies 1 if it moved; a key of that name in the other database is left alone.
fn move_key(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let to = database(args.get(2), call.keys.databases_count())?;
    if to == call.db {
        return Err(SAME_OBJECT.into());
    }
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let is_free = call.keys.lookup_write(call.db, &key, no_touch).is_some()
        && call.keys.lookup_write(to, &key, no_touch).is_none();
    if is_free && let Some(moved) = call.keys.take_value(call.db, &key) {
        call.keys.put_anew(to, &key, moved, false);
        call.tell(Classes::GENERIC, "move_from", key.bytes);
        call.keys.tell(to, Classes::GENERIC, "move_to", key.bytes);
    }
    reply.integer(i64::from(is_free));
    Ok(Effect::wrote(u64::from(is_free)).wakes_all())
}

/// Keys whatever they hold.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "DEL",
        arity: Arity::AtLeast(2),
        flags: KEYSPACE_WRITE,
        keys: &[keys_to(1, -1, 1, "RM", &["delete"])],
        spread: Spread::Split(Merge::Sum),
        args: "key [key ...]",
        summary: "Removes keys.",
        cost: "O(N) where N is the number of keys, and O(M) for each that is no string, M being its elements.",
        tips: TIPS_SUM,
        run: Run::Keys(del),
        ..ROW
    },
    Command {
        name: "UNLINK",
        since: "4.0.0",
        arity: Arity::AtLeast(2),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[keys_to(1, -1, 1, "RM", &["delete"])],
        spread: Spread::Split(Merge::Sum),
        args: "key [key ...]",
        summary: "Removes keys; the memory of large values is freed in the background.",
        cost: "O(1) for each key; freeing what it held is O(N) in its allocations, later.",
        tips: TIPS_SUM,
        run: Run::Keys(del),
        ..ROW
    },
    Command {
        name: "EXISTS",
        arity: Arity::AtLeast(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[keys_to(1, -1, 1, "RO", &[])],
        spread: Spread::Split(Merge::Sum),
        args: "key [key ...]",
        summary: "Counts which of some keys are there.",
        cost: "O(N) where N is the number of keys.",
        tips: TIPS_SUM,
        history: &[("3.0.3", "Several keys may be named.")],
        run: Run::Keys(exists),
        ..ROW
    },
    Command {
        name: "TOUCH",
        since: "3.2.1",
        arity: Arity::AtLeast(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[keys_to(1, -1, 1, "RO", &[])],
        spread: Spread::Split(Merge::Sum),
        args: "key [key ...]",
        summary: "Marks keys as used now and counts which of them are there.",
        cost: "O(N) where N is the number of keys.",
        tips: TIPS_SUM,
        run: Run::Keys(touch),
        ..ROW
    },
    Command {
        name: "TYPE",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Tells the type of what a key holds.",
        run: Run::Keys(type_of),
        ..ROW
    },
    Command {
        name: "RENAME",
        arity: Arity::Exactly(3),
        flags: KEYSPACE_WRITE,
        keys: &[
            key_at(1, "RW", &["access", "delete"]),
            key_at(2, "OW", &["update"]),
        ],
        spread: Spread::Gather(Program::Rename),
        args: "key newkey",
        summary: "Renames a key, replacing what has the new name.",
        run: Run::Keys(rename),
        ..ROW
    },
    Command {
        name: "RENAMENX",
        arity: Arity::Exactly(3),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[
            key_at(1, "RW", &["access", "delete"]),
            key_at(2, "OW", &["insert"]),
        ],
        spread: Spread::Gather(Program::RenameNx),
        args: "key newkey",
        summary: "Renames a key if nothing has the new name.",
        history: &[("3.2.0", "Equal names are no error any more.")],
        run: Run::Keys(renamenx),
        ..ROW
    },
    Command {
        name: "COPY",
        since: "6.2.0",
        arity: Arity::AtLeast(3),
        flags: KEYSPACE_WRITE.or(Flags::DENYOOM),
        keys: &[key_at(1, "RO", &["access"]), key_at(2, "OW", &["update"])],
        spread: Spread::Gather(Program::Copy),
        args: "source destination [DB destination-db] [REPLACE]",
        summary: "Copies what a key holds, its deadline included, to another key.",
        cost: "O(1) for strings besides the copy, O(N) for collections where N is the number of their elements.",
        run: Run::Keys(copy),
        ..ROW
    },
    Command {
        name: "MOVE",
        arity: Arity::Exactly(3),
        flags: KEYSPACE_WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key db",
        summary: "Moves a key to another database.",
        run: Run::Keys(move_key),
        ..ROW
    },
];
