//! Sorted sets that are waited for: BZPOPMIN and its relatives.
//!
//! Not here  waiting itself: `commands/blocking.rs`; the keys' rows: `commands/list_blocking.rs`.
//! Tests     tests/transcripts/zset_blocking.txt, tests/server/blocking.rs.

use super::CommandError;
use super::blocking::timeout_of_seconds;
use super::list_blocking::{KEYS_BEFORE_TIMEOUT, NUMBERED_AFTER_TIMEOUT};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Program, Run, Spread};
use super::zset_remove::{End, MultiPop, pop_first};
use crate::resp::{Args, Reply};

/// `BZPOPMIN key [key ...] timeout`, or the other end: the name of the first set there is, its member and the score.
fn pop_one(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<Effect, CommandError> {
    let last = args.len() - 1;
    let timeout_ms = timeout_of_seconds(args.get(last), call.keys.now_ms())?;
    let popped = pop_first(call, args, 1..last, end, None, reply)?;
    Ok(popped.unwrap_or_else(|| call.wait_for(timeout_ms, reply)))
}

fn bzpopmin(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop_one(call, args, reply, End::Min)
}

fn bzpopmax(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop_one(call, args, reply, End::Max)
}

/// `BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT count]`.
fn bzmpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let pops = MultiPop::parse(args, 2)?;
    let timeout_ms = timeout_of_seconds(args.get(1), call.keys.now_ms())?;
    let keys = 3..3 + pops.keys_count;
    let popped = pop_first(call, args, keys, pops.end, Some(pops.count), reply)?;
    Ok(popped.unwrap_or_else(|| call.wait_for(timeout_ms, reply)))
}

const WAITS: Flags = Flags::WRITE.or(Flags::BLOCKING);

const POP: Command = Command {
    since: "5.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: WAITS.or(Flags::FAST),
    keys: KEYS_BEFORE_TIMEOUT,
    spread: Spread::Gather(Program::FirstExisting),
    args: "key [key ...] timeout:double",
    cost: "O(log(N)) where N is the number of members of the set.",
    history: &[("6.0.0", "The timeout may be a fraction.")],
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "BZPOPMIN",
        summary: "Takes the member with the lowest score of the first set that has one, waiting for it if none has.",
        run: Run::Waits(bzpopmin),
        ..POP
    },
    Command {
        name: "BZPOPMAX",
        summary: "Takes the member with the highest score of the first set that has one, waiting for it if none has.",
        run: Run::Waits(bzpopmax),
        ..POP
    },
    Command {
        name: "BZMPOP",
        since: "7.0.0",
        arity: Arity::AtLeast(5),
        flags: WAITS.or(Flags::MOVABLE_KEYS),
        keys: NUMBERED_AFTER_TIMEOUT,
        args: "timeout:double numkeys:integer key [key ...] where=(MIN | MAX) [COUNT count:integer]",
        summary: "Takes members from an end of the first set that has some, waiting for one if none has.",
        cost: "O(K) + O(M*log(N)) where K is the number of keys, N of members and M of those taken.",
        history: &[],
        run: Run::Waits(bzmpop),
        ..POP
    },
];
