//! Whole databases: DBSIZE, FLUSHALL, FLUSHDB and SWAPDB.
//!
//! Promises  flushing takes the same short time whatever there is, on SYNC too: the keys are gone when OK is replied,
//!           their memory is freed step by step after it, but for the little that is freed before, as clients expect of SYNC.
//! Tests     tests/transcripts/database.txt, tests/keyspace/flush.rs.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Merge, Patience, Run, Spread};
use super::word::database_in;
use crate::base::number::parse_i64;
use crate::keyspace::Keyspace;
use crate::resp::{Args, Reply};

/// `DBSIZE` replies with how many keys the database has.
fn dbsize(
    call: &mut Call<'_>,
    _args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply.integer(call.keys.keys_count(call.db) as i64);
    Ok(Effect::NONE)
}

/// Entries that FLUSHALL and FLUSHDB free before their reply, unless ASYNC is said: about 100 µs.
const FREED_AT_ONCE_MAX: usize = 2_048;
const FREED_PER_CALL: usize = 128;

/// Accepts nothing, SYNC or ASYNC; tells how many entries to free at once.
fn flush_mode(call: &Call<'_>, args: &Args<'_>) -> Result<usize, CommandError> {
    match args.len() {
        1 if call.keys.is_lazy_flush() => Ok(0),
        1 => Ok(FREED_AT_ONCE_MAX),
        2 if args.is(1, "SYNC") => Ok(FREED_AT_ONCE_MAX),
        2 if args.is(1, "ASYNC") => Ok(0),
        _ => Err(CommandError::Syntax),
    }
}

/// Frees up to about that many entries of flushed databases.
fn free_some(call: &mut Call<'_>, entries_count: usize) {
    // Redis flushes in the background where the client can wait for that, which it cannot in a block or a script.
    let caller = call.caller;
    let can_wait = call.patience != Patience::Denied && !caller.in_block && !caller.in_script;
    // A call looks at one database, and there may be several.
    for _ in 0..entries_count / FREED_PER_CALL {
        let is_clean = if can_wait {
            call.keys.free_garbage(FREED_PER_CALL)
        } else {
            call.keys.free_garbage_at_once(FREED_PER_CALL)
        };
        if is_clean {
            break;
        }
    }
}

/// `FLUSHDB [ASYNC | SYNC]` replies OK.
fn flushdb(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let at_once = flush_mode(call, args)?;
    let removed = call.keys.flush_database(call.db);
    call.keys.tell_flushed();
    free_some(call, at_once);
    reply.ok();
    Ok(Effect::wrote(removed))
}

/// `FLUSHALL [ASYNC | SYNC]` replies OK.
fn flushall(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let at_once = flush_mode(call, args)?;
    let removed = call.keys.flush_all();
    call.keys.tell_flushed();
    free_some(call, at_once);
    reply.ok();
    Ok(Effect::wrote(removed))
}

/// `SWAPDB index1 index2` replies OK.
fn swapdb(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let index = |word, error: &'static str| {
        parse_i64(word)
            .filter(|&index| i32::try_from(index).is_ok())
            .ok_or(CommandError::from(error))
    };
    let first = index(args.get(1), "ERR invalid first DB index")?;
    let second = index(args.get(2), "ERR invalid second DB index")?;
    let count = call.keys.databases_count();
    let (first, second) = (database_in(first, count)?, database_in(second, count)?);
    call.keys.swap_databases(first, second);
    reply.ok();
    let effect = Effect::wrote(1).wakes_all();
    Ok(effect.counted_by(call.keys.shard() == 0))
}

/// FLUSHALL, FLUSHDB or SWAPDB of some of the keys: a log has it of a shard whose keys are among others' now. Costs a look at every
/// key of the databases.
///
/// - Returns false, and nothing is done, for any other command.
pub fn run_on_some(
    keys: &mut Keyspace,
    db: usize,
    args: &Args<'_>,
    is_wanted: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let databases = match args.get(0).to_ascii_uppercase().as_slice() {
        b"FLUSHALL" => 0..keys.databases_count(),
        b"FLUSHDB" => db..db + 1,
        b"SWAPDB" => {
            let index = |word| parse_i64(word).and_then(|index| usize::try_from(index).ok());
            let (Some(first), Some(second)) = (index(args.get(1)), index(args.get(2))) else {
                return false;
            };
            if first.max(second) >= keys.databases_count() {
                return false;
            }
            let mut take = |db| {
                let mut taken = Vec::new();
                keys.drain_some(db, is_wanted, |key, value| {
                    taken.push((key.to_vec(), value))
                });
                taken
            };
            let of_both = [(second, take(first)), (first, take(second))];
            for (db, taken) in of_both {
                for (key, value) in taken {
                    let key = keys.key(&key);
                    keys.put_value(db, &key, value, true);
                }
            }
            return true;
        }
        _ => return false,
    };
    for db in databases {
        keys.drain_some(db, is_wanted, |_, _| {});
    }
    true
}

const FLUSH_HISTORY: &[(&str, &str)] = &[("4.0.0", "`ASYNC` came."), ("6.2.0", "`SYNC` came.")];
const TIPS_ALL_OK: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// Whole databases.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "DBSIZE",
        group: Group::Server,
        arity: Arity::Exactly(1),
        flags: KEYSPACE_READ_FAST,
        spread: Spread::EveryShard(Merge::Sum),
        summary: "Counts the keys of a database.",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        run: Run::Keys(dbsize),
        ..ROW
    },
    Command {
        name: "FLUSHALL",
        group: Group::Server,
        arity: Arity::AtLeast(1),
        flags: KEYSPACE_WRITE.or(Flags::CAT_DANGEROUS).or(Flags::SAVED),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "[ASYNC@4.0.0 | SYNC@6.2.0]",
        summary: "Removes every key of every database.",
        cost: "O(1) until the reply; freeing memory is O(N) in the number of keys, later.",
        tips: TIPS_ALL_OK,
        history: FLUSH_HISTORY,
        run: Run::Keys(flushall),
        ..ROW
    },
    Command {
        name: "FLUSHDB",
        group: Group::Server,
        arity: Arity::AtLeast(1),
        flags: KEYSPACE_WRITE.or(Flags::CAT_DANGEROUS),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "[ASYNC@4.0.0 | SYNC@6.2.0]",
        summary: "Removes every key of the selected database.",
        cost: "O(1) until the reply; freeing memory is O(N) in the number of keys, later.",
        tips: TIPS_ALL_OK,
        history: FLUSH_HISTORY,
        run: Run::Keys(flushdb),
        ..ROW
    },
    Command {
        name: "SWAPDB",
        since: "4.0.0",
        group: Group::Server,
        arity: Arity::Exactly(3),
        flags: KEYSPACE_WRITE_FAST.or(Flags::CAT_DANGEROUS),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "index1 index2",
        summary: "Exchanges the keys of two databases.",
        run: Run::Keys(swapdb),
        ..ROW
    },
];
