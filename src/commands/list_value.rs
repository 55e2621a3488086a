//! Lists by value: LINSERT, LREM and LPOS look for elements equal to a word.
//!
//! Promises  an element that is an integer is found by comparing integers.
//! Tests     tests/transcripts/list_value.txt.

use super::CommandError;
use super::list::{LIST_ROW, count};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Run};
use super::word::integer;
use crate::keyspace::Classes;
use crate::keyspace::list::{Element, End, List};
use crate::resp::{Args, Reply};
use std::ops::ControlFlow;

/// `LINSERT key BEFORE|AFTER pivot element` replies with the length, -1 where the pivot is not there, 0 without a key.
fn linsert(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let is_after = args.is(2, "AFTER");
    if !is_after && !args.is(2, "BEFORE") {
        return Err(CommandError::Syntax);
    }
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let (pivot, element) = (args.get(3), args.get(4));
    let list = held.get_mut();
    list.expect(element.len(), 1, &limits);
    if !list.insert_beside(pivot, is_after, Element::Str(element)) {
        reply.integer(-1);
        return Ok(Effect::NONE);
    }
    reply.integer(list.len() as i64);
    call.tell(Classes::LIST, "linsert", key.bytes);
    Ok(Effect::wrote(1))
}

/// `LREM key count element` replies with how many equal elements it removed: `count` from the front, `-count` from the
/// back, or all of them for 0.
fn lrem(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let wanted = turnable(args.get(2))?;
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let from = if wanted < 0 { End::Back } else { End::Front };
    let count_max = match wanted.unsigned_abs() {
        0 => usize::MAX,
        count => count as usize,
    };
    let removed_count = held
        .get_mut()
        .remove_equal(args.get(3), count_max, from, &limits);
    let is_gone = held.remove_if_empty();
    if removed_count > 0 {
        call.tell_taken(Classes::LIST, "lrem", key.bytes, is_gone);
    }
    reply.integer(removed_count as i64);
    Ok(Effect::wrote(removed_count as u64))
}

struct PosOptions {
    rank: u64,
    from: End,
    count: Option<usize>,
    looked_max: usize,
}

impl PosOptions {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self {
            rank: 1,
            from: End::Front,
            count: None,
            looked_max: 0,
        };
        let mut index = 3;
        while index < args.len() {
            let has_value = index + 1 < args.len();
            if has_value && args.is(index, "RANK") {
                let rank = turnable(args.get(index + 1))?;
                if rank == 0 {
                    return Err(RANK_ZERO.into());
                }
                options.rank = rank.unsigned_abs();
                options.from = if rank < 0 { End::Back } else { End::Front };
            } else if has_value && args.is(index, "COUNT") {
                options.count = Some(count(args.get(index + 1), "ERR COUNT can't be negative")?);
            } else if has_value && args.is(index, "MAXLEN") {
                options.looked_max = count(args.get(index + 1), "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

const RANK_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
    or use negative to start from the end of the list";

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]` replies with an index or null, with COUNT an array of
/// indices.
fn lpos(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = PosOptions::parse(args)?;
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .read::<List>(call.db, &key, call.caller.no_touch)?;
    let places = found.map_or(Vec::new(), |list| positions(list, args.get(2), &options));
    match options.count {
        Some(_) => {
            reply.array(places.len());
            for place in places {
                reply.integer(place as i64);
            }
        }
        None => match places.first() {
            Some(&place) => reply.integer(place as i64),
            None => reply.null(),
        },
    }
    Ok(Effect::NONE)
}

/// Where `needle` is in the list, as LPOS's options want it.
fn positions(list: &List, needle: &[u8], options: &PosOptions) -> Vec<usize> {
    let len = list.len();
    let (mut looked_count, mut matches_count) = (0, 0);
    let count_max = match options.count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => count,
    };
    let mut places = Vec::new();
    let integer = Element::Str(needle).integer();
    let start = match options.from {
        End::Front => 0,
        End::Back => len.saturating_sub(1),
    };
    list.visit(start, options.from, |element| {
        if options.looked_max > 0 && looked_count == options.looked_max {
            return ControlFlow::Break(());
        }
        let is_match = match element {
            Element::Int(number) => Some(number) == integer,
            Element::Str(bytes) => bytes == needle,
        };
        if is_match {
            matches_count += 1;
            if matches_count >= options.rank {
                places.push(match options.from {
                    End::Front => looked_count,
                    End::Back => len - 1 - looked_count,
                });
                if places.len() == count_max {
                    return ControlFlow::Break(());
                }
            }
        }
        looked_count += 1;
        ControlFlow::Continue(())
    });
    places
}

/// A word as a 64-bit integer whose sign can be turned.
fn turnable(word: &[u8]) -> Result<i64, CommandError> {
    match integer(word)? {
        i64::MIN => Err(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
                .into(),
        ),
        number => Ok(number),
    }
}

/// Lists by value.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "LINSERT",
        since: "2.2.0",
        arity: Arity::Exactly(5),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key where=(BEFORE | AFTER) pivot element",
        summary: "Puts an element beside the first one that equals another.",
        cost: "O(N) where N is the number of elements before that one.",
        run: Run::Keys(linsert),
        ..LIST_ROW
    },
    Command {
        name: "LREM",
        arity: Arity::Exactly(4),
        flags: Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key count element",
        summary: "Removes elements that equal another, from either end.",
        cost: "O(N) where N is the length of the list.",
        run: Run::Keys(lrem),
        ..LIST_ROW
    },
    Command {
        name: "LPOS",
        since: "6.0.6",
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
        summary: "Finds where elements of a list equal another.",
        cost: "O(N) where N is the number of elements looked at.",
        run: Run::Keys(lpos),
        ..LIST_ROW
    },
];
