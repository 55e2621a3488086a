//! Ranges of a sorted set, read: ZRANGE in all its forms, ZRANGESTORE, ZCOUNT, ZLEXCOUNT.
//!
//! Promises  a range costs its ends' searches and what it replies with, whatever LIMIT passes over; one of a listpack costs one walk
//!           from the end where it begins.
//! Not here  what words mean as ranges: `zset_range.rs`; the copy of many members: `zset_copy.rs`.
//! Tests     tests/transcripts/zset_range.txt.

use super::CommandError;
use super::pieces::{Finished, Ranks};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Program, Run, Spread};
use super::word::integer;
use super::zset_copy::{ZsetCopy, score_of};
use super::zset_range::{By, Limit, ZsetRange};
use super::zset_reply::{
    reply_member, reply_members, reply_members_head, reply_members_head_since, reply_scored,
};
use crate::ds::listpack::Element;
use crate::keyspace::Classes;
use crate::keyspace::zset::Direction;
use crate::keyspace::{EncodingLimits, Zset};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use std::ops::Range;

/// What a range command's name says already.
#[derive(Clone, Copy)]
struct Named {
    /// None: BYSCORE and BYLEX may say it.
    by: Option<By>,
    /// None: REV may say it.
    reversed: Option<bool>,
    /// The result is stored at word 1, and all other words come one later.
    stores: bool,
}

struct Request<'a> {
    range: ZsetRange<'a>,
    reversed: bool,
    limit: Limit,
    with_scores: bool,
}

impl<'a> Request<'a> {
    fn parse(args: &Args<'a>, named: Named) -> Result<Self, CommandError> {
        let first = 2 + usize::from(named.stores);
        let (mut by, mut reversed) = (named.by, named.reversed);
        let mut limit = Limit::NONE;
        let mut with_scores = false;
        let mut index = first + 2;
        while index < args.len() {
            if !named.stores && args.is(index, "WITHSCORES") {
                with_scores = true;
            } else if args.is(index, "LIMIT") && index + 2 < args.len() {
                limit = Limit {
                    offset: integer(args.get(index + 1))?,
                    count: integer(args.get(index + 2))?,
                };
                index += 2;
            } else if named.reversed.is_none() && reversed.is_none() && args.is(index, "REV") {
                reversed = Some(true);
            } else if by.is_none() && args.is(index, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && args.is(index, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        let (by, reversed) = (by.unwrap_or(By::Rank), reversed.unwrap_or(false));
        if limit.count != -1 && by == By::Rank {
            return Err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX".into());
        }
        if with_scores && by == By::Lex {
            return Err(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX".into(),
            );
        }
        let (low, high) = if reversed && by != By::Rank {
            (first + 1, first)
        } else {
            (first, first + 1)
        };
        Ok(Self {
            range: ZsetRange::parse(by, args.get(low), args.get(high))?,
            reversed,
            limit: if by == By::Rank { Limit::NONE } else { limit },
            with_scores,
        })
    }

    fn ranks_in(&self, set: &Zset) -> Range<usize> {
        let ranks = self.range.ranks_in(set, self.reversed);
        self.limit.part_of(set, ranks, self.reversed)
    }

    /// ZRANGESTORE of these ranks, whatever the encoding. They are counted among all scores, in whose order the same zeros lose their
    /// signs.
    fn storing(&self, args: &Args<'_>, set: &Zset, ranks: &Range<usize>) -> OwnedArgs {
        let (ends, offset): ([&[u8]; 2], _) = match self.reversed {
            true => ([b"+inf", b"-inf"], set.len() - ranks.end),
            false => ([b"-inf", b"+inf"], ranks.start),
        };
        let (offset, count) = (offset.to_string(), ranks.len().to_string());
        let words = [b"ZRANGESTORE", args.get(1), args.get(2)];
        let limit: [&[u8]; 4] = [b"BYSCORE", b"LIMIT", offset.as_bytes(), count.as_bytes()];
        let reversed: Option<&[u8]> = self.reversed.then_some(b"REV");
        let words = words.into_iter().chain(ends);
        words.chain(limit).chain(reversed).collect()
    }

    fn depends_on_encoding(&self, set: &Zset) -> bool {
        self.limit.depends_on_encoding() || self.range.depends_on_encoding(set)
    }

    /// Whether one walk finds its ends and shows what is between them.
    fn is_walk(&self, set: &Zset) -> bool {
        set.is_packed() && !matches!(self.range, ZsetRange::Ranks(..))
    }

    fn direction(&self) -> Direction {
        if self.reversed {
            Direction::Down
        } else {
            Direction::Up
        }
    }
}

/// Replies with the members of a range.
fn range(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    by: Option<By>,
    reversed: Option<bool>,
) -> Result<Effect, CommandError> {
    let named = Named {
        by,
        reversed,
        stores: false,
    };
    let request = Request::parse(args, named)?;
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    let Some(set) = set else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    if request.is_walk(set) && set.len() <= whole_max {
        reply_walk(set, &request, reply);
        return Ok(Effect::NONE);
    }
    let ranks = request.ranks_in(set);
    if ranks.len() > whole_max {
        let start = reply.len();
        reply_members_head(ranks.len(), request.with_scores, reply);
        let walk = Ranks {
            ranks,
            direction: request.direction(),
            with_scores: request.with_scores,
        };
        return Ok(call.reply_in_pieces(&key, reply, start, walk));
    }
    reply_members(
        set.walk(ranks, request.direction()),
        request.with_scores,
        reply,
    );
    Ok(Effect::NONE)
}

/// Replies with what a walk through a listpack meets of the range; how many there are is known at its end.
fn reply_walk(set: &Zset, request: &Request<'_>, reply: &mut Reply<'_>) {
    let (range, start) = (&request.range, reply.len());
    let mut count = 0;
    range.walk(set, request.reversed, request.limit, |member, score| {
        match request.with_scores {
            true => reply_scored(member, score, reply),
            false => reply_member(member, reply),
        }
        count += 1;
    });
    reply_members_head_since(start, count, request.with_scores, reply);
}

/// `ZRANGE key start stop [option ...]`.
fn zrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, None, None)
}

fn zrevrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, Some(By::Rank), Some(true))
}

fn zrangebyscore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, Some(By::Score), Some(false))
}

fn zrevrangebyscore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, Some(By::Score), Some(true))
}

fn zrangebylex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, Some(By::Lex), Some(false))
}

fn zrevrangebylex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    range(call, args, reply, Some(By::Lex), Some(true))
}

/// `ZRANGESTORE dst src min max [option ...]` replies with how many members the destination has then.
fn zrangestore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let named = Named {
        by: None,
        reversed: None,
        stores: true,
    };
    let request = Request::parse(args, named)?;
    let (limits, stored_max) = (call.keys.limits(), call.stored_max());
    let event = "zrangestore";
    let finished: Option<Finished<Zset>> = call.take_finished();
    let is_logged = call.is_logged && !call.keys.has_guests();
    let source = call.keys.key(args.get(2));
    let set = call
        .keys
        .read::<Zset>(call.db, &source, call.caller.no_touch)?;
    let Some(set) = set else {
        return Ok(store(call, args.get(1), event, Zset::default(), reply));
    };
    let ranks = request.ranks_in(set);
    // With another shard's source it is logged what the destination has then.
    let is_logged = is_logged && request.depends_on_encoding(set);
    let by_rank = is_logged.then(|| request.storing(args, set, &ranks));
    let result = match finished {
        Some(finished) => finished.set,
        None => {
            let unsigned = unsigned_zeros(set, &ranks, &request, &limits);
            if ranks.len() > stored_max && ranks.len() > limits.zset_max_listpack_entries {
                let copy = Box::new(ZsetCopy::new(ranks, unsigned, &limits));
                let destination = call.keys.key(args.get(1));
                call.keys
                    .begin_making(call.db, &[source], &destination, copy);
                return Ok(Effect::NONE);
            }
            let members: Vec<(f64, Vec<u8>)> = ranks
                .clone()
                .zip(set.walk(ranks, Direction::Up))
                .map(|(rank, (member, score))| {
                    let score = score_of(score, unsigned.contains(&rank));
                    (score, member.to_vec())
                })
                .collect();
            Zset::from_sorted(&members, &limits)
        }
    };
    let effect = store(call, args.get(1), event, result, reply);
    if let Some(by_rank) = by_rank.filter(|_| effect.changes > 0) {
        call.log_instead(vec![by_rank]);
    }
    Ok(effect)
}

/// The ranks at which a zero loses its sign. Redis adds one member after another, the number of ranks known beforehand, and one that
/// goes into a listpack loses it; those keep it that come after the listpack became a tree.
fn unsigned_zeros(
    set: &Zset,
    ranks: &Range<usize>,
    request: &Request<'_>,
    limits: &EncodingLimits,
) -> Range<usize> {
    let (count, entries_max) = (ranks.len(), limits.zset_max_listpack_entries);
    if matches!(request.range, ZsetRange::Ranks(..)) && count > entries_max {
        return ranks.end..ranks.end;
    }
    let added = count.min(entries_max);
    let first = match request.reversed {
        true => ranks.end - added..ranks.end,
        false => ranks.start..ranks.start + added,
    };
    let value_max = limits.zset_max_listpack_value;
    let members = set.walk(first.clone(), request.direction());
    let is_short = |(member, _): &(Element<'_>, f64)| member.text(&mut [0; 20]).len() <= value_max;
    let packed_count = members.take_while(is_short).count();
    match request.reversed {
        true => first.end - packed_count..first.end,
        false => first.start..first.start + packed_count,
    }
}

/// Gives `destination` the set in place of whatever it holds; an empty one removes the key. Replies with its size.
/// `event` is what has happened to the destination then.
pub fn store(
    call: &mut Call<'_>,
    destination: &[u8],
    event: &'static str,
    set: Zset,
    reply: &mut Reply<'_>,
) -> Effect {
    let key = call.keys.key(destination);
    let count = set.len();
    reply.integer(count as i64);
    if count == 0 {
        let is_removed = call.keys.remove(call.db, &key);
        if is_removed {
            call.tell_gone(destination);
        }
        return Effect::wrote(u64::from(is_removed));
    }
    let before = call.keys.replaced(call.db, &key);
    call.keys.replace(call.db, &key, set);
    call.keys.tell_replaced(call.db, before, &key);
    call.tell(Classes::ZSET, event, destination);
    Effect::wrote(1)
}

fn zcount(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    count(call, args, reply, By::Score)
}

fn zlexcount(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    count(call, args, reply, By::Lex)
}

/// `ZCOUNT key min max` replies with how many members are in the range.
fn count(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    by: By,
) -> Result<Effect, CommandError> {
    let range = ZsetRange::parse(by, args.get(2), args.get(3))?;
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    let count = set.map_or(0, |set| range.ranks_in(set, false).len());
    reply.integer(count as i64);
    Ok(Effect::NONE)
}

const RANGE_COST: &str =
    "O(log(N)+M) where N is the number of members of the set and M of those the reply holds.";

/// Ranges, read.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZRANGE",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key start:string stop:string sortby=[BYSCORE | BYLEX]@6.2.0 [REV]@6.2.0 \
               [limit=LIMIT(offset:integer count:integer)]@6.2.0 [WITHSCORES]",
        summary: "Replies with the members of a range of places, scores or bytes, from either end.",
        cost: RANGE_COST,
        history: &[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT` came.")],
        run: Run::Keys(zrange),
        ..ROW
    },
    Command {
        name: "ZRANGESTORE",
        since: "6.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(5),
        flags: WRITE_GROW,
        keys: &[key_at(1, "OW", &["update"]), key_at(2, "RO", &["access"])],
        spread: Spread::Gather(Program::Bring),
        args: "dst:key src:key min:string max:string sortby=[BYSCORE | BYLEX] [REV] \
               [limit=LIMIT(offset:integer count:integer)]",
        summary: "Stores the members of a range under another key.",
        cost: "O(log(N)+M) where N is the number of members of the set and M of those stored.",
        run: Run::Keys(zrangestore),
        ..ROW
    },
    Command {
        name: "ZREVRANGE",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key start:integer stop:integer [WITHSCORES]",
        summary: "Replies with the members of a range of places, counted from the highest score.",
        cost: RANGE_COST,
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        run: Run::Keys(zrevrange),
        ..ROW
    },
    Command {
        name: "ZRANGEBYSCORE",
        since: "1.0.5",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key min:double max:double [WITHSCORES]@2.0.0 [limit=LIMIT(offset:integer count:integer)]",
        summary: "Replies with the members of a range of scores.",
        cost: RANGE_COST,
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        history: &[("2.0.0", "`WITHSCORES` came.")],
        run: Run::Keys(zrangebyscore),
        ..ROW
    },
    Command {
        name: "ZREVRANGEBYSCORE",
        since: "2.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key max:double min:double [WITHSCORES] [limit=LIMIT(offset:integer count:integer)]",
        summary: "Replies with the members of a range of scores, the highest first.",
        cost: RANGE_COST,
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        history: &[("2.1.6", "`min` and `max` may be left out of the range.")],
        run: Run::Keys(zrevrangebyscore),
        ..ROW
    },
    Command {
        name: "ZRANGEBYLEX",
        since: "2.8.9",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key min:string max:string [limit=LIMIT(offset:integer count:integer)]",
        summary: "Replies with the members of a range of bytes, all of one score.",
        cost: RANGE_COST,
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        run: Run::Keys(zrangebylex),
        ..ROW
    },
    Command {
        name: "ZREVRANGEBYLEX",
        since: "2.8.9",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key max:string min:string [limit=LIMIT(offset:integer count:integer)]",
        summary: "Replies with the members of a range of bytes, all of one score, the last first.",
        cost: RANGE_COST,
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        run: Run::Keys(zrevrangebylex),
        ..ROW
    },
    Command {
        name: "ZCOUNT",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key min:double max:double",
        summary: "Replies with how many members have a score in a range.",
        cost: "O(log(N)) where N is the number of members of the set.",
        run: Run::Keys(zcount),
        ..ROW
    },
    Command {
        name: "ZLEXCOUNT",
        since: "2.8.9",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key min:string max:string",
        summary: "Replies with how many members, all of one score, are in a range of bytes.",
        cost: "O(log(N)) where N is the number of members of the set.",
        run: Run::Keys(zlexcount),
        ..ROW
    },
];
