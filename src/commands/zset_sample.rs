//! Members of a sorted set by chance or step by step: ZRANDMEMBER, ZSCAN.
//!
//! Promises  every member is as likely as any other. ZSCAN returns every member that is there throughout.
//! Tests     tests/transcripts/zset_sample.txt, tests/keyspace/zset.rs.

use super::CommandError;
use super::choices::{Choice, ChosenRanks};
use super::draws::{Drawn, Draws, OUT_OF_RANGE, reply_draws};
use super::row::*;
use super::scan::parse_cursor;
use super::scan_walk::Wanted;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::word::integer;
use super::zset_reply::{reply_member, reply_members, reply_members_head, reply_scored};
use crate::base::glob::glob_match;
use crate::base::number::{
    F64_TEXT_BYTES_MAX, write_f64, write_f64_with_17_digits, write_u64_before,
};
use crate::base::rng::Rng;
use crate::ds::listpack::{Element, SEEKS_MAX};
use crate::keyspace::Zset;
use crate::keyspace::zset::Direction;
use crate::resp::{Args, Reply};
use std::collections::HashSet;

/// `ZRANDMEMBER key [count [WITHSCORES]]` replies with a member, or an array of `count` of them: different ones, or where
/// `count` is below 0 any.
fn zrandmember(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut rng = call.keys.fork_rng();
    let no_touch = call.caller.no_touch;
    if args.len() == 2 {
        let key = call.keys.key(args.get(1));
        match call.keys.read::<Zset>(call.db, &key, no_touch)? {
            Some(set) => {
                let (member, _) = member_at(set, rng.below(set.len() as u64) as usize);
                reply_member(member, reply);
            }
            None => reply.null(),
        }
        return Ok(Effect::NONE);
    }
    let count = integer(args.get(2))?;
    if count == i64::MIN {
        return Err("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807".into());
    }
    let with_scores = args.len() == 4;
    if args.len() > 4 || (with_scores && !args.is(3, "WITHSCORES")) {
        return Err(CommandError::Syntax);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE.into());
    }
    let (bytes_max, whole_max) = (call.keys.value_bytes_max(), call.whole_max());
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Zset>(call.db, &key, no_touch)?;
    let Some(set) = set.filter(|_| count != 0) else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        let count = count.unsigned_abs();
        let drawn = DrawnScored { with_scores };
        if count > whole_max as u64 {
            let start = reply.len();
            reply_members_head(wanted, with_scores, reply);
            let walk = Draws {
                drawn,
                left_count: count,
                rng,
            };
            return Ok(call.reply_in_pieces(&key, reply, start, walk));
        }
        let head = |count, reply: &mut Reply<'_>| reply_members_head(count, with_scores, reply);
        let mut draw = drawn.drawer(set, count);
        reply_draws(count, bytes_max, reply, head, |reply| draw(&mut rng, reply))?;
    } else if Choice::is_long(wanted, set.len(), whole_max) {
        let choice = Choice::new(wanted, set.len(), rng);
        let start = reply.len();
        reply_members_head(choice.wanted_count(), with_scores, reply);
        let walk = ChosenRanks::new(choice, with_scores);
        return Ok(call.reply_in_pieces(&key, reply, start, walk));
    } else if wanted >= set.len() {
        reply_members(set.walk(0..set.len(), Direction::Down), with_scores, reply);
    } else {
        reply_different(set, wanted, with_scores, &mut rng, reply);
    }
    Ok(Effect::NONE)
}

fn member_at(set: &Zset, rank: usize) -> (Element<'_>, f64) {
    let mut members = set.walk(rank..rank + 1, Direction::Up);
    members.next().expect("a rank there is")
}

/// Members as ZRANDMEMBER shows them.
struct DrawnScored {
    with_scores: bool,
}

impl Drawn for DrawnScored {
    type Of = Zset;

    fn drawer(&self, set: &Zset, count: u64) -> impl FnMut(&mut Rng, &mut Reply<'_>) {
        let len = set.len();
        let listed: Vec<(Element<'_>, f64)> = match set.is_packed() && count > SEEKS_MAX {
            true => set.iter().collect(),
            false => Vec::new(),
        };
        move |rng: &mut Rng, reply: &mut Reply<'_>| {
            let rank = rng.below(len as u64) as usize;
            let (member, score) = match listed.get(rank) {
                Some(found) => *found,
                None => member_at(set, rank),
            };
            reply_one(member, score, self.with_scores, reply);
        }
    }

    fn each(&self, set: &Zset, reply: &mut Reply<'_>, after_each: &mut dyn FnMut(&Reply<'_>)) {
        for (member, score) in set.iter() {
            reply_one(member, score, self.with_scores, reply);
            after_each(reply);
        }
    }
}

/// `count` different members, fewer than there are.
fn reply_different(
    set: &Zset,
    count: usize,
    with_scores: bool,
    rng: &mut Rng,
    reply: &mut Reply<'_>,
) {
    reply_members_head(count, with_scores, reply);
    let len = set.len();
    if set.is_packed() || count > len / 8 {
        // One walk: each member is taken with the chance that is left for it.
        let mut left = count;
        for (index, (member, score)) in set.iter().enumerate() {
            if (rng.below((len - index) as u64) as usize) < left {
                reply_one(member, score, with_scores, reply);
                left -= 1;
            }
        }
        return;
    }
    let mut drawn = HashSet::with_capacity(count);
    while drawn.len() < count {
        let rank = rng.below(len as u64) as usize;
        if drawn.insert(rank) {
            let (member, score) = member_at(set, rank);
            reply_one(member, score, with_scores, reply);
        }
    }
}

fn reply_one(member: Element<'_>, score: f64, with_scores: bool, reply: &mut Reply<'_>) {
    if with_scores {
        reply_scored(member, score, reply);
    } else {
        reply_member(member, reply);
    }
}

/// ZSCAN's words after the cursor.
struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    with_scores: bool,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            pattern: None,
            count: 10,
            with_scores: true,
        };
        let mut index = 3;
        while index < args.len() {
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            match next {
                Some(word) if args.is(index, "COUNT") => {
                    options.count = usize::try_from(integer(word)?)
                        .ok()
                        .filter(|count| *count > 0)
                        .ok_or(CommandError::Syntax)?;
                    index += 2;
                }
                Some(word) if args.is(index, "MATCH") => {
                    options.pattern = (word != b"*").then_some(word);
                    index += 2;
                }
                _ if args.is(index, "NOSCORES") => {
                    options.with_scores = false;
                    index += 1;
                }
                _ if args.is(index, "NOVALUES") => {
                    return Err("ERR NOVALUES option can only be used in HSCAN".into());
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(options)
    }
}

/// `ZSCAN key cursor [option ...]` replies with the next cursor and some members with their scores.
fn zscan(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let cursor = parse_cursor(args.get(2)).ok_or("ERR invalid cursor")?;
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    let Some(set) = set else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let options = ScanOptions::parse(args)?;
    if options.count > whole_max && set.len() > whole_max {
        let wanted = Wanted {
            cursor,
            count: options.count,
            pattern: options.pattern,
            shows_values: options.with_scores,
        };
        return Ok(call.scan_in_pieces(&key, &wanted, reply.protocol()));
    }
    let mut members = Vec::new();
    let mut members_reply = Reply::new(&mut members, reply.protocol());
    let mut words_count = 0;
    let is_packed = set.is_packed();
    let next = set.scan(cursor, options.count, |member, score| {
        let is_wanted = options
            .pattern
            .is_none_or(|pattern| glob_match(pattern, member.text(&mut [0; 20]), false));
        if !is_wanted {
            return;
        }
        reply_member(member, &mut members_reply);
        words_count += 1;
        if options.with_scores {
            reply_scanned_score(score, is_packed, &mut members_reply);
            words_count += 1;
        }
    });
    reply.array(2);
    let mut digits = [0; 20];
    let start = write_u64_before(&mut digits, 20, next);
    reply.bulk(&digits[start..]);
    reply.array(words_count);
    reply.raw(&members);
    Ok(Effect::NONE)
}

/// A score as ZSCAN has it: always a string, and out of a large set with 17 digits.
pub(super) fn reply_scanned_score(score: f64, is_packed: bool, reply: &mut Reply<'_>) {
    let mut text = [0; F64_TEXT_BYTES_MAX];
    reply.bulk(match is_packed {
        true => write_f64(&mut text, score),
        false => write_f64_with_17_digits(&mut text, score),
    });
}

/// Members by chance or step by step.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZRANDMEMBER",
        since: "6.2.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key options=[count [WITHSCORES]]",
        summary: "Replies with one or several members by chance.",
        cost: "O(N*log(M)) where N is the number of members of the reply and M of those of the set.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(zrandmember),
        ..ROW
    },
    Command {
        name: "ZSCAN",
        since: "2.8.0",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]@8.0.0",
        summary: "Walks through the members of a sorted set and their scores, some with each call.",
        cost: "O(1) for each call, O(N) for a whole walk where N is the number of members of the set.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(zscan),
        ..ROW
    },
];
