//! XRANGE, XREVRANGE and XLEN: entries between two ids.
//!
//! Promises  the first entry is found by its id; entries before it are not walked, but for those of its node.
//! Tests     tests/transcripts/stream.txt.

use super::CommandError;
use super::pieces::Entries;
use super::row::*;
use super::stream_words::{interval_end, interval_start, read, reply_entries};
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::word::integer;
use crate::keyspace::zset::Direction;
use crate::resp::{Args, Reply};

fn range(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    is_backward: bool,
) -> Result<Effect, CommandError> {
    let (start_at, end_at) = if is_backward { (3, 2) } else { (2, 3) };
    let start = interval_start(args.get(start_at))?;
    let end = interval_end(args.get(end_at))?;
    let mut count_max = None;
    let mut index = 4;
    while index < args.len() {
        if !args.is(index, "COUNT") || index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        let count = integer(args.get(index + 1))?;
        count_max = Some(usize::try_from(count).unwrap_or(0));
        index += 2;
    }
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let Some(stream) = read(call, args)? else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    if count_max == Some(0) {
        reply.null_array();
        return Ok(Effect::NONE);
    }
    let count_max = count_max.unwrap_or(usize::MAX);
    let direction = match is_backward {
        true => Direction::Down,
        false => Direction::Up,
    };
    let walk = Entries::between(start, end, direction);
    if let Some(walk) = walk.if_more_than(whole_max, &stream.log, count_max) {
        let at = reply.len();
        reply.array(walk.left_count());
        return Ok(call.reply_in_pieces(&key, reply, at, walk));
    }
    match direction {
        Direction::Up => reply_entries(stream.log.range(start, end), count_max, reply),
        Direction::Down => reply_entries(stream.log.range_back(start, end), count_max, reply),
    }
    Ok(Effect::NONE)
}

/// `XRANGE key start end [COUNT count]` replies with the entries from one id to the other.
fn xrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, false)
}

/// `XREVRANGE key end start [COUNT count]` replies with them last to first.
fn xrevrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, true)
}

/// `XLEN key` replies with the number of entries.
fn xlen(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let length = read(call, args)?.map_or(0, |stream| stream.log.len());
    reply.integer(length as i64);
    Ok(Effect::NONE)
}

const RANGE: Command = Command {
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[key_at(1, "RO", &["access"])],
    cost: "O(N) for N entries returned",
    history: &[("6.2.0", "exclusive ends")],
    ..ROW
};

/// XRANGE, XREVRANGE and XLEN.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XRANGE",
        args: "key start:string end:string [COUNT count]",
        summary: "Returns the entries of a stream between two ids.",
        run: Run::Keys(xrange),
        ..RANGE
    },
    Command {
        name: "XREVRANGE",
        args: "key end:string start:string [COUNT count]",
        summary: "Returns the entries of a stream between two ids, last to first.",
        run: Run::Keys(xrevrange),
        ..RANGE
    },
    Command {
        name: "XLEN",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Returns the number of entries in a stream.",
        run: Run::Keys(xlen),
        ..ROW
    },
];
