//! Members of a sorted set taken by place: ZREMRANGEBY*, ZPOPMIN, ZPOPMAX, ZMPOP.
//!
//! Promises  what goes together goes leaf by leaf, and the key with the last member.
//! Not here  waiting for members.
//! Tests     tests/transcripts/zset_remove.txt.

use super::CommandError;
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Program, Run,
    Spread,
};
use super::word::integer;
use super::zset_range::{By, ZsetRange};
use super::zset_reply::reply_member;
use crate::keyspace::Classes;
use crate::keyspace::zset::Direction;
use crate::keyspace::{Held, Zset};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Protocol, Reply};

fn zremrangebyrank(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    remove_range(call, args, reply, By::Rank)
}

fn zremrangebyscore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    remove_range(call, args, reply, By::Score)
}

fn zremrangebylex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    remove_range(call, args, reply, By::Lex)
}

/// `ZREMRANGEBYRANK key start stop` replies with how many members were removed.
fn remove_range(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    by: By,
) -> Result<Effect, CommandError> {
    let range = ZsetRange::parse(by, args.get(2), args.get(3))?;
    let key = call.keys.key(args.get(1));
    let (no_touch, is_logged) = (call.caller.no_touch, call.is_logged);
    let mut removed_count = 0;
    if let Some(held) = call.keys.write::<Zset>(call.db, &key, no_touch)? {
        let ranks = range.ranks_in(held.get(), false);
        removed_count = ranks.len() as u64;
        if removed_count > 0 {
            let by_rank = (is_logged && range.depends_on_encoding(held.get()))
                .then(|| removal(key.bytes, &ranks));
            let is_gone = take(held, ranks);
            if let Some(by_rank) = by_rank {
                call.log_instead(vec![by_rank]);
            }
            let event = match by {
                By::Rank => "zremrangebyrank",
                By::Score => "zremrangebyscore",
                By::Lex => "zremrangebylex",
            };
            call.tell_taken(Classes::ZSET, event, key.bytes, is_gone);
        }
    }
    reply.integer(removed_count as i64);
    Ok(Effect::wrote(removed_count))
}

/// The command that removes the members of these ranks, whatever the encoding.
fn removal(key: &[u8], ranks: &std::ops::Range<usize>) -> OwnedArgs {
    let (first, last) = (ranks.start.to_string(), (ranks.end - 1).to_string());
    let words = [
        &b"ZREMRANGEBYRANK"[..],
        key,
        first.as_bytes(),
        last.as_bytes(),
    ];
    words.into_iter().collect()
}

/// Removes the members of these ranks, and the key where they were all: the value is then freed like any other.
/// Returns whether they were.
fn take(mut held: Held<'_, Zset>, ranks: std::ops::Range<usize>) -> bool {
    let is_all = ranks.len() == held.get().len();
    if is_all {
        held.remove();
    } else {
        held.get_mut().remove_ranks(ranks);
    }
    is_all
}

/// Which end members are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

impl End {
    /// `MIN` or `MAX`.
    pub fn named(args: &Args<'_>, index: usize) -> Option<Self> {
        if args.is(index, "MIN") {
            Some(Self::Min)
        } else if args.is(index, "MAX") {
            Some(Self::Max)
        } else {
            None
        }
    }

    /// What taking members from it is called.
    fn event(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }
}

/// Takes up to `count` members (one or more) from an end of the set, and replies with each and its score: `nested` as an
/// array of arrays, else as a flat one. Returns how many there were, and whether they were all.
pub fn pop(
    held: Held<'_, Zset>,
    end: End,
    count: usize,
    nested: bool,
    reply: &mut Reply<'_>,
) -> (u64, bool) {
    let set = held.get();
    let count = count.min(set.len());
    let (ranks, direction) = match end {
        End::Min => (0..count, Direction::Up),
        End::Max => (set.len() - count..set.len(), Direction::Down),
    };
    reply.array(if nested { count } else { 2 * count });
    for (member, score) in set.walk(ranks.clone(), direction) {
        if nested {
            reply.array(2);
        }
        reply_member(member, reply);
        reply.double(score);
    }
    (count as u64, take(held, ranks))
}

fn zpopmin(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop_one_key(call, args, reply, End::Min)
}

fn zpopmax(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop_one_key(call, args, reply, End::Max)
}

/// `ZPOPMIN key [count]` replies with the members it took.
fn pop_one_key(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<Effect, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let has_count = args.len() == 3;
    let count = if has_count {
        let count = integer(args.get(2)).ok();
        count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or("ERR value is out of range, must be positive")?
    } else {
        1
    };
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let held = call.keys.write::<Zset>(call.db, &key, no_touch)?;
    let Some(held) = held.filter(|_| count > 0) else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let nested = has_count && reply.protocol() == Protocol::Resp3;
    let (taken_count, is_gone) = pop(held, end, count, nested, reply);
    call.tell_taken(Classes::ZSET, end.event(), key.bytes, is_gone);
    Ok(Effect::wrote(taken_count))
}

/// What ZMPOP's words say, from the number of keys on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiPop {
    /// How many keys there are; the first stands after their number.
    pub keys_count: usize,
    /// Where members are taken from.
    pub end: End,
    /// How many.
    pub count: usize,
}

impl MultiPop {
    /// Reads the words from `at`, the number of keys, on.
    pub fn parse(args: &Args<'_>, at: usize) -> Result<Self, CommandError> {
        let positive = |index: usize, text: &'static str| {
            let number = integer(args.get(index)).ok().filter(|number| *number > 0);
            number.map(|number| number as usize).ok_or(text)
        };
        let keys_count = positive(at, "ERR numkeys should be greater than 0")?;
        let end_at = keys_count.saturating_add(at + 1);
        if end_at >= args.len() {
            return Err(CommandError::Syntax);
        }
        let end = End::named(args, end_at).ok_or(CommandError::Syntax)?;
        let count = match args.len() - end_at {
            1 => 1,
            3 if args.is(end_at + 1, "COUNT") => {
                positive(end_at + 2, "ERR count should be greater than 0")?
            }
            // The first COUNT is looked at before the word that is too much.
            4.. if args.is(end_at + 1, "COUNT") => {
                positive(end_at + 2, "ERR count should be greater than 0")?;
                return Err(CommandError::Syntax);
            }
            _ => return Err(CommandError::Syntax),
        };
        Ok(Self {
            keys_count,
            end,
            count,
        })
    }
}

/// `ZMPOP numkeys key [key ...] MIN|MAX [COUNT count]` takes members of the first of the sets that is there, and replies
/// with its key and them, or null.
fn zmpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let pops = MultiPop::parse(args, 1)?;
    let keys = 2..2 + pops.keys_count;
    let popped = pop_first(call, args, keys, pops.end, Some(pops.count), reply)?;
    Ok(popped.unwrap_or_else(|| {
        reply.null_array();
        Effect::NONE
    }))
}

/// Takes members of the first of the sets at these words that is there, and replies with its key and them: one member and
/// its score flat behind the key, or, where a count is given, an array of pairs. Nothing is written where none is there.
pub fn pop_first(
    call: &mut Call<'_>,
    args: &Args<'_>,
    keys: std::ops::Range<usize>,
    end: End,
    count: Option<usize>,
    reply: &mut Reply<'_>,
) -> Result<Option<Effect>, CommandError> {
    for word in args.iter_from(keys.start).take(keys.len()) {
        let key = call.keys.key(word);
        let found = call.keys.write::<Zset>(call.db, &key, call.caller.no_touch);
        let Some(held) = found? else {
            continue;
        };
        let (taken_count, is_gone) = match count {
            Some(count) => {
                reply.array(2);
                reply.bulk(word);
                pop(held, end, count, true, reply)
            }
            None => {
                reply.array(3);
                reply.bulk(word);
                pop_one(held, end, reply)
            }
        };
        call.tell_taken(Classes::ZSET, end.event(), word, is_gone);
        return Ok(Some(Effect::wrote(taken_count)));
    }
    Ok(None)
}

/// Takes one member, and writes it and its score as two elements of an array that is begun.
fn pop_one(held: Held<'_, Zset>, end: End, reply: &mut Reply<'_>) -> (u64, bool) {
    let set = held.get();
    let rank = match end {
        End::Min => 0,
        End::Max => set.len() - 1,
    };
    for (member, score) in set.walk(rank..rank + 1, Direction::Up) {
        reply_member(member, reply);
        reply.double(score);
    }
    (1, take(held, rank..rank + 1))
}

const REMOVE_COST: &str =
    "O(log(N)+M) where N is the number of members of the set and M of those removed.";
const POP_COST: &str =
    "O(log(N)*M) where N is the number of members of the set and M of those taken.";

/// Members by place, removed.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZREMRANGEBYRANK",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key start:integer stop:integer",
        summary: "Removes the members of a range of places.",
        cost: REMOVE_COST,
        run: Run::Keys(zremrangebyrank),
        ..ROW
    },
    Command {
        name: "ZREMRANGEBYSCORE",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key min:double max:double",
        summary: "Removes the members of a range of scores.",
        cost: REMOVE_COST,
        run: Run::Keys(zremrangebyscore),
        ..ROW
    },
    Command {
        name: "ZREMRANGEBYLEX",
        since: "2.8.9",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key min:string max:string",
        summary: "Removes the members of a range of bytes, all of one score.",
        cost: REMOVE_COST,
        run: Run::Keys(zremrangebylex),
        ..ROW
    },
    Command {
        name: "ZPOPMIN",
        since: "5.0.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key [count]",
        summary: "Removes the members with the lowest scores and replies with them.",
        cost: POP_COST,
        run: Run::Keys(zpopmin),
        ..ROW
    },
    Command {
        name: "ZPOPMAX",
        since: "5.0.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key [count]",
        summary: "Removes the members with the highest scores and replies with them.",
        cost: POP_COST,
        run: Run::Keys(zpopmax),
        ..ROW
    },
    Command {
        name: "ZMPOP",
        since: "7.0.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::WRITE.or(Flags::MOVABLE_KEYS),
        keys: &[KeySpec {
            access: KeyAccess {
                mode: "RW",
                flags: &["access", "delete"],
            },
            begin: Begin::Index(1),
            find: Find::KeyNum {
                at: 0,
                first: 1,
                step: 1,
            },
            notes: "",
        }],
        spread: Spread::Gather(Program::FirstExisting),
        args: "numkeys key [key ...] where=(MIN | MAX) [COUNT count]",
        summary: "Removes members from either end of the first of several sorted sets that is there.",
        cost: "O(K)+O(M*log(N)) where K is the number of keys, N of the set's members and M of those taken.",
        run: Run::Keys(zmpop),
        ..ROW
    },
];
