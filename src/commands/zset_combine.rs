//! Several sorted sets, or sets, made into one: ZUNION, ZINTER, ZDIFF, their STORE forms and ZINTERCARD.
//!
//! Promises  scores are added in the order of the inputs' sizes, as in Redis, so that sums round alike; a member of a plain
//!           set has the score 1. Over several shards the inputs are brought to where the command runs.
//! Not here  what many members give, bit by bit: `zset_walk.rs`.
//! Tests     tests/transcripts/zset_combine.txt.

use super::CommandError;
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Program, Run,
    Spread,
};
use super::word::integer;
use super::zset_read::store;
use super::zset_reply::{reply_members_head, reply_scored};
use super::zset_walk::{Told, Wanted, ZsetWalk};
use crate::base::number::parse_f64;
use crate::ds::key_table::Value;
use crate::ds::listpack::Element;
use crate::keyspace::set::Probe;
use crate::keyspace::zset::sort_members;
use crate::keyspace::{Collection, Key, Object, Set, Zset};
use crate::resp::{Args, Reply};
use std::borrow::Cow;
use std::collections::HashMap;

/// How the sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combination {
    Union,
    Intersection,
    Difference,
}

impl Combination {
    /// What storing it is called.
    fn stored_event(self) -> &'static str {
        match self {
            Self::Union => "zunionstore",
            Self::Intersection => "zinterstore",
            Self::Difference => "zdiffstore",
        }
    }
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    /// It is the reply.
    Reply,
    /// It is stored at word 1.
    Key,
    /// Its size is the reply.
    Count,
}

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
    /// The sum of the weights.
    Count,
}

impl Aggregate {
    fn named(args: &Args<'_>, index: usize) -> Option<Self> {
        let names = [
            ("SUM", Self::Sum),
            ("MIN", Self::Min),
            ("MAX", Self::Max),
            ("COUNT", Self::Count),
        ];
        let found = names.iter().find(|(name, _)| args.is(index, name))?;
        Some(found.1)
    }

    /// What an input contributes.
    pub(super) fn weighted(self, score: f64, weight: f64) -> f64 {
        match self {
            Self::Count => weight,
            _ => weight * score,
        }
    }

    /// What the first input that has a member contributes.
    pub(super) fn first(self, score: f64, weight: f64) -> f64 {
        let weighted = self.weighted(score, weight);
        if weighted.is_nan() { 0.0 } else { weighted }
    }

    pub(super) fn add(self, total: &mut f64, weighted: f64) {
        match self {
            Self::Sum | Self::Count => {
                *total += weighted;
                if total.is_nan() {
                    // The two infinities cancel each other.
                    *total = 0.0;
                }
            }
            Self::Min if weighted < *total => *total = weighted,
            Self::Max if weighted > *total => *total = weighted,
            Self::Min | Self::Max => {}
        }
    }
}

struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: none.
    limit: usize,
}

impl Options {
    /// Reads the words after the keys, from `index` on.
    fn parse(
        args: &Args<'_>,
        mut index: usize,
        keys_count: usize,
        combination: Combination,
        destination: Destination,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            weights: vec![1.0; keys_count],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let has_scores =
            combination != Combination::Difference && destination != Destination::Count;
        while index < args.len() {
            let left = args.len() - index;
            if has_scores && left > keys_count && args.is(index, "WEIGHTS") {
                for (weight, word) in options.weights.iter_mut().zip(args.iter_from(index + 1)) {
                    *weight = parse_f64(word).ok_or("ERR weight value is not a float")?;
                }
                index += 1 + keys_count;
            } else if has_scores && left >= 2 && args.is(index, "AGGREGATE") {
                options.aggregate =
                    Aggregate::named(args, index + 1).ok_or(CommandError::Syntax)?;
                index += 2;
            } else if destination == Destination::Reply && args.is(index, "WITHSCORES") {
                options.with_scores = true;
                index += 1;
            } else if destination == Destination::Count && left >= 2 && args.is(index, "LIMIT") {
                let limit = integer(args.get(index + 1)).ok();
                options.limit = limit
                    .and_then(|limit| usize::try_from(limit).ok())
                    .ok_or("ERR LIMIT can't be negative")?;
                index += 2;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

/// One input.
#[derive(Clone, Copy)]
pub(super) struct Source<'k> {
    pub(super) members: Input<'k>,
    pub(super) weight: f64,
}

/// What an input's members come from.
#[derive(Clone, Copy)]
pub(super) enum Input<'k> {
    Missing,
    Scored(&'k Zset),
    /// All of them have the score 1.
    Plain(&'k Set),
}

/// Members of the result with their scores.
type Scored<'k> = Vec<(f64, Cow<'k, [u8]>)>;

impl<'k> Input<'k> {
    /// The members of an object; none where it is of another type.
    pub(super) fn of(object: &'k Object) -> Option<Self> {
        if let Some(set) = Zset::of(object) {
            return Some(Self::Scored(set));
        }
        Set::of(object).map(Self::Plain)
    }

    fn len(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Scored(set) => set.len(),
            Self::Plain(set) => set.len(),
        }
    }
}

impl<'k> Source<'k> {
    fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether both are of one key.
    fn is_same(&self, other: &Self) -> bool {
        match (self.members, other.members) {
            (Input::Scored(one), Input::Scored(other)) => std::ptr::eq(one, other),
            (Input::Plain(one), Input::Plain(other)) => std::ptr::eq(one, other),
            _ => false,
        }
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        match self.members {
            Input::Missing => None,
            Input::Scored(set) => set.score(member),
            Input::Plain(set) => set.contains(&Probe::new(member)).then_some(1.0),
        }
    }

    /// Calls `visit` with every member and its score until it returns false.
    fn for_each(&self, mut visit: impl FnMut(Cow<'k, [u8]>, f64) -> bool) {
        match self.members {
            Input::Missing => {}
            Input::Scored(set) => {
                set.iter().all(|(member, score)| visit(text(member), score));
            }
            Input::Plain(set) => {
                set.all(|member| visit(text(member), 1.0));
            }
        }
    }
}

fn text(member: Element<'_>) -> Cow<'_, [u8]> {
    match member {
        Element::Str(bytes) => Cow::Borrowed(bytes),
        Element::Int(_) => Cow::Owned(member.to_vec()),
    }
}

/// `ZUNION numkeys key [key ...] [option ...]` and its relatives; the number of keys is word `at`.
fn combine(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    name: &str,
    combination: Combination,
    destination: Destination,
) -> Result<Effect, CommandError> {
    let at = if destination == Destination::Key {
        2
    } else {
        1
    };
    let keys_count = integer(args.get(at))?;
    if keys_count < 1 {
        return Err(format!("ERR at least 1 input key is needed for '{name}' command").into());
    }
    let keys_count = usize::try_from(keys_count)
        .ok()
        .filter(|count| *count < args.len() - at)
        .ok_or(CommandError::Syntax)?;
    let words = || args.iter_from(at + 1).take(keys_count);
    let finished = match destination {
        Destination::Key => call.take_finished(),
        Destination::Reply | Destination::Count => None,
    };
    let mut inputs_count = 0;
    // First as reads, which expire, count and touch; then all at once, side by side.
    for word in words() {
        let key = call.keys.key(word);
        let entry = call.keys.lookup_read(call.db, &key, call.caller.no_touch);
        if let Some(entry) = entry {
            inputs_count += 1;
            match entry.value() {
                Value::Object(object) if Input::of(object).is_some() => {}
                _ => return Err(CommandError::WrongType),
            }
        }
    }
    let options = Options::parse(
        args,
        at + 1 + keys_count,
        keys_count,
        combination,
        destination,
    )?;
    if let Some(finished) = finished
        && finished.inputs_count == inputs_count
    {
        let event = combination.stored_event();
        return Ok(store(call, args.get(1), event, finished.set, reply));
    }
    let limits = call.keys.limits();
    let whole_max = match destination {
        Destination::Key => call.stored_max(),
        Destination::Reply | Destination::Count => call.whole_max(),
    };
    let keys = &*call.keys;
    let mut sources: Vec<Source<'_>> = words()
        .zip(&options.weights)
        .map(|(word, weight)| {
            let entry = keys.peek(call.db, &keys.key(word));
            let members = entry.and_then(|entry| match entry.value() {
                Value::Object(object) => Input::of(object),
                _ => None,
            });
            Source {
                members: members.unwrap_or(Input::Missing),
                weight: *weight,
            }
        })
        .collect();
    // What the first key holds, less the same: that needs no look at it.
    let is_less_itself = combination == Combination::Difference
        && sources[1..].iter().any(|other| other.is_same(&sources[0]));
    if !is_less_itself && is_long(&sources, combination, whole_max) {
        return Ok(begin_walk(
            call,
            args,
            reply,
            &options,
            combination,
            destination,
        ));
    }
    if combination != Combination::Difference {
        sources.sort_by_key(Source::len);
    }
    if destination == Destination::Count {
        reply.integer(common_count(&sources, options.limit) as i64);
        return Ok(Effect::NONE);
    }
    let mut result = match combination {
        Combination::Union => union(&sources, options.aggregate),
        Combination::Intersection => intersection(&sources, options.aggregate),
        Combination::Difference => difference(&sources),
    };
    sort_members(&mut result);
    if destination == Destination::Key {
        let set = Zset::from_sorted(&result, &limits);
        let event = combination.stored_event();
        return Ok(store(call, args.get(1), event, set, reply));
    }
    reply_members_head(result.len(), options.with_scores, reply);
    for (score, member) in &result {
        if options.with_scores {
            reply_scored(Element::Str(member), *score, reply);
        } else {
            reply.bulk(member);
        }
    }
    Ok(Effect::NONE)
}

/// Whether that is more than `whole_max` members' work.
fn is_long(sources: &[Source<'_>], combination: Combination, whole_max: usize) -> bool {
    let mut lengths = sources.iter().map(Source::len);
    match combination {
        Combination::Union => lengths.sum::<usize>() > whole_max,
        Combination::Intersection => lengths.all(|length| length > whole_max),
        Combination::Difference => lengths.next().is_some_and(|first| first > whole_max),
    }
}

/// Instead of a reply: it, or what is stored, will be made of the inputs.
#[cold]
fn begin_walk(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &Reply<'_>,
    options: &Options,
    combination: Combination,
    destination: Destination,
) -> Effect {
    let first = match destination {
        Destination::Reply | Destination::Count => 2,
        Destination::Key => 3,
    };
    let there = args.iter_from(first).zip(&options.weights);
    let there = there.filter_map(|(word, &weight)| {
        let key = call.keys.key(word);
        match call.keys.peek(call.db, &key)?.value() {
            Value::Object(object) => Some((Input::of(object)?.len(), key, weight)),
            _ => None,
        }
    });
    let mut there: Vec<(usize, Key<'_>, f64)> = there.collect();
    if combination != Combination::Difference {
        there.sort_by_key(|(length, ..)| *length);
    }
    let told = match destination {
        Destination::Count => Told::Count {
            limit: options.limit,
        },
        Destination::Reply => Told::Members {
            with_scores: options.with_scores,
        },
        Destination::Key => Told::Stored {
            limits: call.keys.limits(),
        },
    };
    let wanted = Wanted {
        combination,
        aggregate: options.aggregate,
        told,
        protocol: reply.protocol(),
    };
    let weights = there.iter().map(|(.., weight)| *weight).collect();
    let keys: Vec<Key<'_>> = there.into_iter().map(|(_, key, _)| key).collect();
    let walk = Box::new(ZsetWalk::new(wanted, weights));
    match destination {
        Destination::Key => {
            let stored = call.keys.key(args.get(1));
            call.keys.begin_making(call.db, &keys, &stored, walk);
        }
        Destination::Reply | Destination::Count => {
            call.keys.begin_reading_many(call.db, &keys, walk);
        }
    }
    Effect::NONE
}

fn union<'k>(sources: &[Source<'k>], aggregate: Aggregate) -> Scored<'k> {
    let largest = sources.last().map_or(0, Source::len);
    let mut totals: HashMap<Cow<'k, [u8]>, f64, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(largest, ahash::RandomState::new());
    for source in sources {
        source.for_each(|member, score| {
            let weighted = aggregate.first(score, source.weight);
            totals
                .entry(member)
                .and_modify(|total| aggregate.add(total, weighted))
                .or_insert(weighted);
            true
        });
    }
    totals
        .into_iter()
        .map(|(member, total)| (total, member))
        .collect()
}

fn intersection<'k>(sources: &[Source<'k>], aggregate: Aggregate) -> Scored<'k> {
    let mut result = Vec::new();
    let (first, others) = sources.split_first().expect("one key at least");
    first.for_each(|member, score| {
        let mut total = aggregate.first(score, first.weight);
        let is_common = others.iter().all(|other| {
            let Some(score) = other.score(&member) else {
                return false;
            };
            aggregate.add(&mut total, aggregate.weighted(score, other.weight));
            true
        });
        if is_common {
            result.push((total, member));
        }
        true
    });
    result
}

/// How many members all have, `limit` at most; 0 is no limit.
fn common_count(sources: &[Source<'_>], limit: usize) -> usize {
    let mut count = 0;
    let (first, others) = sources.split_first().expect("one key at least");
    first.for_each(|member, _| {
        count += usize::from(others.iter().all(|other| other.score(&member).is_some()));
        limit == 0 || count < limit
    });
    count
}

fn difference<'k>(sources: &[Source<'k>]) -> Scored<'k> {
    let mut result = Vec::new();
    let (first, others) = sources.split_first().expect("one key at least");
    if others.iter().any(|other| other.is_same(first)) {
        return result;
    }
    first.for_each(|member, score| {
        if others.iter().all(|other| other.score(&member).is_none()) {
            result.push((score, member));
        }
        true
    });
    result
}

fn zunion(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Union;
    combine(call, args, reply, "zunion", how, Destination::Reply)
}

fn zinter(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Intersection;
    combine(call, args, reply, "zinter", how, Destination::Reply)
}

fn zdiff(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Difference;
    combine(call, args, reply, "zdiff", how, Destination::Reply)
}

fn zunionstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Union;
    combine(call, args, reply, "zunionstore", how, Destination::Key)
}

fn zinterstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Intersection;
    combine(call, args, reply, "zinterstore", how, Destination::Key)
}

fn zdiffstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Difference;
    combine(call, args, reply, "zdiffstore", how, Destination::Key)
}

fn zintercard(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let how = Combination::Intersection;
    combine(call, args, reply, "zintercard", how, Destination::Count)
}

/// Keys that are read, their number at word `at`.
const fn sources_at(at: u8) -> KeySpec {
    KeySpec {
        access: KeyAccess {
            mode: "RO",
            flags: &["access"],
        },
        begin: Begin::Index(at),
        find: Find::KeyNum {
            at: 0,
            first: 1,
            step: 1,
        },
        notes: "",
    }
}

const READ_KEYS: &[KeySpec] = &[sources_at(1)];
const STORE_KEYS: &[KeySpec] = &[key_at(1, "OW", &["update"]), sources_at(2)];

/// What the rows that reply with the result have in common.
const READ_ROW: Command = Command {
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLE_KEYS),
    keys: READ_KEYS,
    spread: Spread::Gather(Program::Bring),
    ..ROW
};

/// What the rows that store the result have in common.
const STORE_ROW: Command = Command {
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: WRITE_GROW.or(Flags::MOVABLE_KEYS),
    keys: STORE_KEYS,
    spread: Spread::Gather(Program::Bring),
    ..ROW
};

const UNION_COST: &str =
    "O(N)+O(M*log(M)) where N is the sum of the sizes of the sets and M the size of the result.";
const INTERSECTION_COST: &str = "O(N*K)+O(M*log(M)) where N is the size of the smallest set, K the number of sets and M the \
                                 size of the result.";
const DIFFERENCE_COST: &str = "O(N*K)+O(M*log(M)) where N is the size of the first set, K the number of sets and M the size of the result.";
const AGGREGATE_HISTORY: &[(&str, &str)] = &[("8.8.0", "`COUNT` came.")];

/// Several sets made into one.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZUNION",
        args: "numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] \
               [aggregate=AGGREGATE(SUM | MIN | MAX | COUNT@8.8.0)] [WITHSCORES]",
        summary: "Replies with all members of several sorted sets.",
        cost: UNION_COST,
        history: AGGREGATE_HISTORY,
        run: Run::Keys(zunion),
        ..READ_ROW
    },
    Command {
        name: "ZINTER",
        args: "numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] \
               [aggregate=AGGREGATE(SUM | MIN | MAX | COUNT@8.8.0)] [WITHSCORES]",
        summary: "Replies with the members that several sorted sets have in common.",
        cost: INTERSECTION_COST,
        history: AGGREGATE_HISTORY,
        run: Run::Keys(zinter),
        ..READ_ROW
    },
    Command {
        name: "ZDIFF",
        args: "numkeys key [key ...] [WITHSCORES]",
        summary: "Replies with the members of a sorted set that others do not have.",
        cost: DIFFERENCE_COST,
        run: Run::Keys(zdiff),
        ..READ_ROW
    },
    Command {
        name: "ZINTERCARD",
        since: "7.0.0",
        args: "numkeys key [key ...] [LIMIT limit:integer]",
        summary: "Replies with how many members several sorted sets have in common.",
        cost: "O(N*K) where N is the size of the smallest set and K the number of sets.",
        run: Run::Keys(zintercard),
        ..READ_ROW
    },
    Command {
        name: "ZUNIONSTORE",
        args: "destination numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] \
               [aggregate=AGGREGATE(SUM | MIN | MAX | COUNT@8.8.0)]",
        summary: "Stores all members of several sorted sets under a key.",
        cost: UNION_COST,
        history: AGGREGATE_HISTORY,
        run: Run::Keys(zunionstore),
        ..STORE_ROW
    },
    Command {
        name: "ZINTERSTORE",
        args: "destination numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] \
               [aggregate=AGGREGATE(SUM | MIN | MAX | COUNT@8.8.0)]",
        summary: "Stores the members that several sorted sets have in common under a key.",
        cost: INTERSECTION_COST,
        history: AGGREGATE_HISTORY,
        run: Run::Keys(zinterstore),
        ..STORE_ROW
    },
    Command {
        name: "ZDIFFSTORE",
        since: "6.2.0",
        args: "destination numkeys key [key ...]",
        summary: "Stores the members of a sorted set that others do not have under a key.",
        cost: DIFFERENCE_COST,
        run: Run::Keys(zdiffstore),
        ..STORE_ROW
    },
];
