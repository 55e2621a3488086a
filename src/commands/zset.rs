//! Members of a sorted set by name: ZADD and its relatives.
//!
//! Promises  one lookup of the key and one of the member each; words are read before anything changes.
//! Not here  ranges: `zset_read.rs`, `zset_remove.rs`; several sets: `zset_combine.rs`.
//! Tests     tests/transcripts/zset.txt, tests/keyspace/zset.rs.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use crate::base::number::parse_f64;
use crate::keyspace::Classes;
use crate::keyspace::Zset;
use crate::keyspace::zset::Updated;
use crate::resp::{Args, Reply};

const NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";

/// What decides whether a member gets its score.
#[derive(Clone, Copy, Default)]
pub struct AddOptions {
    only_new: bool,
    only_old: bool,
    only_greater: bool,
    only_less: bool,
    change: bool,
    increment: bool,
}

impl AddOptions {
    /// Reads the options; returns the index of the first word that is none.
    fn parse(args: &Args<'_>) -> (Self, usize) {
        let mut options = Self::default();
        let mut index = 2;
        while index < args.len() {
            if args.is(index, "NX") {
                options.only_new = true;
            } else if args.is(index, "XX") {
                options.only_old = true;
            } else if args.is(index, "CH") {
                options.change = true;
            } else if args.is(index, "INCR") {
                options.increment = true;
            } else if args.is(index, "GT") {
                options.only_greater = true;
            } else if args.is(index, "LT") {
                options.only_less = true;
            } else {
                break;
            }
            index += 1;
        }
        (options, index)
    }

    /// Those of GEOADD.
    pub fn of_places(only_new: bool, only_old: bool, change: bool) -> Self {
        Self {
            only_new,
            only_old,
            change,
            ..Self::default()
        }
    }

    fn check(&self, pairs_count: usize) -> Result<(), CommandError> {
        if self.only_new && self.only_old {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        let compares = self.only_greater || self.only_less;
        if (compares && self.only_new) || (self.only_greater && self.only_less) {
            return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
        }
        if self.increment && pairs_count > 1 {
            return Err("ERR INCR option supports a single increment-element pair".into());
        }
        Ok(())
    }

    /// The score a member gets, `given` and its present one known; none leaves it as it is.
    fn decide(&self, given: f64, old: Option<f64>) -> Decision {
        let Some(old) = old else {
            return if self.only_old {
                Decision::Leave
            } else {
                Decision::Set(given)
            };
        };
        if self.only_new {
            return Decision::Leave;
        }
        let new = if self.increment { given + old } else { given };
        if new.is_nan() {
            return Decision::Fail;
        }
        if (self.only_less && new >= old) || (self.only_greater && new <= old) {
            return Decision::Leave;
        }
        Decision::Set(new)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Decision {
    Set(f64),
    Leave,
    Fail,
}

/// `ZADD key [option ...] score member [score member ...]` replies with how many members were new, or under INCR with the
/// new score.
fn zadd(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (options, first) = AddOptions::parse(args);
    let words_count = args.len() - first;
    if words_count == 0 || !words_count.is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    options.check(words_count / 2)?;
    if words_count == 2 {
        let pair = (parse_score(args.get(first))?, args.get(first + 1));
        return add(call, args.get(1), &options, &[pair], reply);
    }
    let mut pairs = Vec::with_capacity(words_count / 2);
    for index in (first..args.len()).step_by(2) {
        pairs.push((parse_score(args.get(index))?, args.get(index + 1)));
    }
    add(call, args.get(1), &options, &pairs, reply)
}

/// `ZINCRBY key increment member` replies with the new score.
fn zincrby(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = AddOptions {
        increment: true,
        ..AddOptions::default()
    };
    // As in Redis, which reads ZADD's options here, and then lacks a pair.
    let words = ["NX", "XX", "GT", "LT", "CH", "INCR"];
    if words.iter().any(|word| args.is(2, word)) {
        return Err(CommandError::Syntax);
    }
    let pair = (parse_score(args.get(2))?, args.get(3));
    add(call, args.get(1), &options, &[pair], reply)
}

/// Gives members their scores and replies as ZADD does.
pub fn add(
    call: &mut Call<'_>,
    key: &[u8],
    options: &AddOptions,
    pairs: &[(f64, &[u8])],
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let key = call.keys.key(key);
    let no_touch = call.caller.no_touch;
    let mut held = if options.only_old {
        match call.keys.write::<Zset>(call.db, &key, no_touch)? {
            Some(held) => held,
            None => {
                reply_added(options, 0, 0, None, reply);
                return Ok(Effect::NONE);
            }
        }
    } else {
        call.keys.write_or_create::<Zset>(call.db, &key, no_touch)?
    };
    let set = held.get_mut();
    set.expect(pairs.len(), &limits);
    let (mut added, mut changed) = (0, 0);
    let mut last_score = None;
    for (given, member) in pairs {
        let mut decision = Decision::Leave;
        let updated = set.update(member, &limits, |old| {
            decision = options.decide(*given, old);
            match decision {
                Decision::Set(score) => Some(score),
                Decision::Leave | Decision::Fail => None,
            }
        });
        last_score = match decision {
            Decision::Fail => return Err(NOT_A_NUMBER.into()),
            Decision::Set(score) => Some(score),
            Decision::Leave => None,
        };
        match updated {
            Updated::Added(_) => added += 1,
            Updated::Changed(..) => changed += 1,
            Updated::Kept(_) | Updated::Missing => {}
        }
    }
    if added + changed > 0 {
        let event = if options.increment { "zincr" } else { "zadd" };
        call.tell(Classes::ZSET, event, key.bytes);
    }
    reply_added(options, added, changed, last_score, reply);
    Ok(Effect::wrote(added + changed))
}

fn reply_added(
    options: &AddOptions,
    added: u64,
    changed: u64,
    last_score: Option<f64>,
    reply: &mut Reply<'_>,
) {
    match last_score {
        Some(score) if options.increment => reply.double(score),
        None if options.increment => reply.null(),
        _ if options.change => reply.integer((added + changed) as i64),
        _ => reply.integer(added as i64),
    }
}

fn parse_score(word: &[u8]) -> Result<f64, CommandError> {
    parse_f64(word).ok_or(CommandError::NotFloat)
}

/// `ZREM key member [member ...]` replies with how many were removed.
fn zrem(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let mut removed_count = 0;
    if let Some(mut held) = call.keys.write::<Zset>(call.db, &key, no_touch)? {
        let set = held.get_mut();
        for member in args.iter_from(2) {
            removed_count += u64::from(set.remove(member).is_some());
        }
        let is_gone = held.remove_if_empty();
        if removed_count > 0 {
            call.tell_taken(Classes::ZSET, "zrem", key.bytes, is_gone);
        }
    }
    reply.integer(removed_count as i64);
    Ok(Effect::wrote(removed_count))
}

/// `ZCARD key` replies with how many members there are.
fn zcard(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    reply.integer(set.map_or(0, Zset::len) as i64);
    Ok(Effect::NONE)
}

/// `ZSCORE key member` replies with the member's score, or null.
fn zscore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    match set.and_then(|set| set.score(args.get(2))) {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// `ZMSCORE key member [member ...]` replies with an array: each member's score, or null.
fn zmscore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.double(score),
            None => reply.null(),
        }
    }
    Ok(Effect::NONE)
}

fn zrank(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    rank(call, args, reply, false)
}

fn zrevrank(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    rank(call, args, reply, true)
}

/// `ZRANK key member [WITHSCORE]` replies with how many members come before this one, or null.
fn rank(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    reversed: bool,
) -> Result<Effect, CommandError> {
    if args.len() > 4 {
        return Err(CommandError::Arity(if reversed {
            "zrevrank"
        } else {
            "zrank"
        }));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(CommandError::Syntax);
    }
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    let found = set.and_then(|set| {
        let (rank, score) = set.rank(args.get(2))?;
        let rank = if reversed { set.len() - 1 - rank } else { rank };
        Some((rank, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.integer(rank as i64);
            reply.double(score);
        }
        Some((rank, _)) => reply.integer(rank as i64),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// Members by name.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZADD",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key condition=[NX | XX]@3.0.2 comparison=[GT | LT]@6.2.0 [change=CH]@3.0.2 [increment=INCR]@3.0.2 \
               score:double member [score:double member ...]",
        summary: "Gives members of a sorted set their scores, creating what is missing.",
        cost: "O(log(N)) for each member, where N is the number of members of the set.",
        history: &[
            ("2.4.0", "Several members may be given."),
            ("3.0.2", "`XX`, `NX`, `CH` and `INCR` came."),
            ("6.2.0", "`GT` and `LT` came."),
        ],
        run: Run::Keys(zadd),
        ..ROW
    },
    Command {
        name: "ZINCRBY",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])],
        args: "key increment:integer member",
        summary: "Adds a number to a member's score, 0 if the member is missing.",
        cost: "O(log(N)) where N is the number of members of the set.",
        run: Run::Keys(zincrby),
        ..ROW
    },
    Command {
        name: "ZREM",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key member [member ...]",
        summary: "Removes members of a sorted set, and the key with the last one.",
        cost: "O(M*log(N)) where N is the number of members of the set and M of those given.",
        history: &[("2.4.0", "Several members may be given.")],
        run: Run::Keys(zrem),
        ..ROW
    },
    Command {
        name: "ZCARD",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Replies with the number of members of a sorted set.",
        run: Run::Keys(zcard),
        ..ROW
    },
    Command {
        name: "ZSCORE",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::Exactly(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member",
        summary: "Replies with a member's score.",
        run: Run::Keys(zscore),
        ..ROW
    },
    Command {
        name: "ZMSCORE",
        since: "6.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member [member ...]",
        summary: "Replies with the scores of several members.",
        cost: "O(N) where N is the number of members given.",
        run: Run::Keys(zmscore),
        ..ROW
    },
    Command {
        name: "ZRANK",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member [WITHSCORE]",
        summary: "Replies with how many members have a lower place than this one.",
        cost: "O(log(N)) where N is the number of members of the set.",
        history: &[("7.2.0", "`WITHSCORE` came.")],
        run: Run::Keys(zrank),
        ..ROW
    },
    Command {
        name: "ZREVRANK",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member [WITHSCORE]",
        summary: "Replies with how many members have a higher place than this one.",
        cost: "O(log(N)) where N is the number of members of the set.",
        history: &[("7.2.0", "`WITHSCORE` came.")],
        run: Run::Keys(zrevrank),
        ..ROW
    },
];
