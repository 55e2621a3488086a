//! Several sets at once: SINTER, SUNION, SDIFF, what they store, how many they are.
//!
//! Promises  every key's type is checked before anything is computed or stored; a key that is missing is an empty set.
//! Not here  the algebra: `keyspace/set_algebra.rs`, of large sets `set_walk.rs`; sets of other shards: `router/programs/bring.rs`.
//! Tests     tests/transcripts/set_algebra.txt, set_algebra_newer.txt.

use super::CommandError;
use super::row::*;
use super::set::reply_member;
use super::set_walk::{Made, SetWalk, Stored, Told};
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Program, Run,
    Spread,
};
use crate::base::number::parse_i64;
use crate::ds::hyperloglog::{Registers, place};
use crate::ds::key_table::Value;
use crate::ds::listpack::Element;
use crate::keyspace::Classes;
use crate::keyspace::set::Set;
use crate::keyspace::set_algebra::{
    difference, intersection, stored_difference, stored_intersection, union, union_count,
};
use crate::keyspace::{Collection, EncodingLimits, Key, Keyspace};
use crate::resp::{Args, Reply};

/// The sets at these keys, each looked up, counted and touched.
fn sets_at<'c>(
    call: &'c mut Call<'_>,
    words: impl Iterator<Item = &'c [u8]> + Clone,
) -> Result<Vec<Option<&'c Set>>, CommandError> {
    for word in words.clone() {
        let key = call.keys.key(word);
        call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
    }
    let keys: &Keyspace = call.keys;
    let set_at = |word| match keys.peek(call.db, &keys.key(word))?.value() {
        Value::Object(object) => Set::of(object),
        _ => None,
    };
    Ok(words.map(set_at).collect())
}

/// Replies with members as they come: how many they are is known at the end.
fn reply_set<'s>(
    reply: &mut Reply<'_>,
    each: impl FnOnce(&mut dyn FnMut(Element<'s>)),
) -> Result<Effect, CommandError> {
    let mut members = Vec::new();
    let mut members_reply = Reply::new(&mut members, reply.protocol());
    let mut count = 0;
    each(&mut |member| {
        reply_member(member, &mut members_reply);
        count += 1;
    });
    reply.set(count);
    reply.raw(&members);
    Ok(Effect::NONE)
}

/// Instead of a reply: it will be made of the sets at these of the keys.
#[cold]
fn begin_walk(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &Reply<'_>,
    (made, told): (Made, Told),
    order: &[usize],
) -> Effect {
    let first = match told {
        Told::Members => 1,
        Told::Count { .. } | Told::Estimate { .. } => 2, // Behind their number.
    };
    let key = |&at: &usize| call.keys.key(args.get(first + at));
    let keys: Vec<Key<'_>> = order.iter().map(key).collect();
    let walk = Box::new(SetWalk::new(made, told, keys.len(), reply.protocol()));
    call.keys.begin_reading_many(call.db, &keys, walk);
    Effect::NONE
}

/// Instead of a reply: what is to be stored will be made of the sets at these of the keys; then the request runs again.
#[cold]
fn begin_making(
    call: &mut Call<'_>,
    args: &Args<'_>,
    made: Made,
    stored: Stored,
    order: &[usize],
) -> Effect {
    let key = |&at: &usize| call.keys.key(args.get(2 + at));
    let keys: Vec<Key<'_>> = order.iter().map(key).collect();
    let destination = call.keys.key(args.get(1));
    let walk = Box::new(SetWalk::storing(made, stored));
    call.keys.begin_making(call.db, &keys, &destination, walk);
    Effect::NONE
}

/// `SINTERSTORE destination key [key ...]` and its kin: what `whole` makes of the sets takes the place of whatever the first key
/// holds.
fn make_and_store(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    (made, event): (Made, &'static str),
    whole: impl FnOnce(&[Option<&Set>], &EncodingLimits) -> Set,
) -> Result<Effect, CommandError> {
    let (limits, stored_max) = (call.keys.limits(), call.stored_max());
    let finished = call.take_finished();
    let sets = sets_at(call, words(args, 2))?;
    let inputs_count = sets.iter().flatten().count();
    if let Some(finished) = finished
        && finished.inputs_count == inputs_count
    {
        return store(call, args, reply, event, finished.set);
    }
    if let Some(order) = made.order(&sets, stored_max)
        && let Some(stored) = Stored::begin(made, &sets, &order, limits)
    {
        return Ok(begin_making(call, args, made, stored, &order));
    }
    let set = whole(&sets, &limits);
    store(call, args, reply, event, set)
}

/// Puts a set in the place of whatever the first key holds, and replies with its length.
fn store(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    event: &'static str,
    set: Set,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    reply.integer(set.len() as i64);
    if set.is_empty() {
        let was_there = call.keys.remove(call.db, &key);
        if was_there {
            call.tell_gone(key.bytes);
        }
        return Ok(Effect::wrote(u64::from(was_there)));
    }
    let before = call.keys.replaced(call.db, &key);
    call.keys.replace(call.db, &key, set);
    call.keys.tell_replaced(call.db, before, &key);
    call.tell(Classes::SET, event, key.bytes);
    Ok(Effect::wrote(1))
}

/// `SINTER key [key ...]` replies with what is in all sets.
fn sinter(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let whole_max = call.whole_max();
    let sets = sets_at(call, words(args, 1))?;
    if let Some(order) = Made::Intersection.order(&sets, whole_max) {
        let what = (Made::Intersection, Told::Members);
        return Ok(begin_walk(call, args, reply, what, &order));
    }
    reply_set(reply, |visit| {
        intersection(&sets, |member| {
            visit(member);
            true
        });
    })
}

/// `SINTERSTORE destination key [key ...]` stores what is in all sets.
fn sinterstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let what = (Made::Intersection, "sinterstore");
    make_and_store(call, args, reply, what, stored_intersection)
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]` replies with how many members are in all sets.
fn sintercard(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = CardOptions::parse(args, false)?;
    let whole_max = call.whole_max();
    let sets = sets_at(call, options.keys(args))?;
    if let Some(order) = Made::Intersection.order(&sets, whole_max) {
        let what = (Made::Intersection, options.told());
        return Ok(begin_walk(call, args, reply, what, &order));
    }
    let count = options.count(|visit| intersection(&sets, visit));
    reply.integer(count as i64);
    Ok(Effect::NONE)
}

/// `SUNION key [key ...]` replies with what is in one set at least.
fn sunion(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (limits, whole_max) = (call.keys.limits(), call.whole_max());
    let sets = sets_at(call, words(args, 1))?;
    if let Some(order) = Made::Union.order(&sets, whole_max) {
        let what = (Made::Union, Told::Members);
        return Ok(begin_walk(call, args, reply, what, &order));
    }
    let united = union(&sets, false, &limits);
    reply.set(united.len());
    united.each(|member| reply_member(member, reply));
    Ok(Effect::NONE)
}

/// `SUNIONSTORE destination key [key ...]` stores what is in one set at least.
fn sunionstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let what = (Made::Union, "sunionstore");
    make_and_store(call, args, reply, what, |sets, limits| {
        union(sets, true, limits)
    })
}

/// `SUNIONCARD numkeys key [key ...] [APPROX] [LIMIT limit]` replies with how many members are in one set at least.
fn sunioncard(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (limits, whole_max) = (call.keys.limits(), call.whole_max());
    let options = CardOptions::parse(args, true)?;
    let sets = sets_at(call, options.keys(args))?;
    // One set has each member once already.
    let is_looked_at = options.is_approximate || sets.len() > 1;
    if is_looked_at && let Some(order) = Made::Union.order(&sets, whole_max) {
        let what = (Made::Union, options.told());
        return Ok(begin_walk(call, args, reply, what, &order));
    }
    let count = if options.is_approximate {
        let mut registers = Registers::default();
        for set in sets.iter().flatten() {
            set.each(|member| {
                let (index, count) = place(member.text(&mut [0; 20]));
                registers.raise(index, count);
            });
        }
        let count = registers.cardinality() as usize;
        match options.limit {
            0 => count,
            limit => count.min(limit),
        }
    } else {
        union_count(&sets, options.limit, &limits)
    };
    reply.integer(count as i64);
    Ok(Effect::NONE)
}

/// `SDIFF key [key ...]` replies with what is in the first set and in no other.
fn sdiff(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let whole_max = call.whole_max();
    let sets = sets_at(call, words(args, 1))?;
    if let Some(order) = Made::Difference.order(&sets, whole_max) {
        let what = (Made::Difference, Told::Members);
        return Ok(begin_walk(call, args, reply, what, &order));
    }
    reply_set(reply, |visit| {
        difference(&sets, |member| {
            visit(member);
            true
        });
    })
}

/// `SDIFFSTORE destination key [key ...]` stores what is in the first set and in no other.
fn sdiffstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let what = (Made::Difference, "sdiffstore");
    make_and_store(call, args, reply, what, stored_difference)
}

/// `SDIFFCARD numkeys key [key ...] [LIMIT limit]` replies with how many members are in the first set and in no other.
fn sdiffcard(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = CardOptions::parse(args, false)?;
    let whole_max = call.whole_max();
    let sets = sets_at(call, options.keys(args))?;
    if let Some(order) = Made::Difference.order(&sets, whole_max) {
        let what = (Made::Difference, options.told());
        return Ok(begin_walk(call, args, reply, what, &order));
    }
    let count = options.count(|visit| difference(&sets, visit));
    reply.integer(count as i64);
    Ok(Effect::NONE)
}

fn words<'a>(args: &Args<'a>, first: usize) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
    let args = *args;
    (first..args.len()).map(move |index| args.get(index))
}

/// The words of SINTERCARD and its kin after the name.
struct CardOptions {
    keys_count: usize,
    /// 0: none.
    limit: usize,
    is_approximate: bool,
}

impl CardOptions {
    fn parse(args: &Args<'_>, has_approx: bool) -> Result<Self, CommandError> {
        let keys_count = parse_i64(args.get(1))
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| *count > 0)
            .ok_or("ERR numkeys should be greater than 0")?;
        if keys_count > args.len() - 2 {
            return Err("ERR Number of keys can't be greater than number of args".into());
        }
        let mut options = Self {
            keys_count,
            limit: 0,
            is_approximate: false,
        };
        let mut index = 2 + keys_count;
        while index < args.len() {
            if args.is(index, "LIMIT") && index + 1 < args.len() {
                options.limit = parse_i64(args.get(index + 1))
                    .and_then(|limit| usize::try_from(limit).ok())
                    .ok_or("ERR LIMIT can't be negative")?;
                index += 2;
            } else if has_approx && args.is(index, "APPROX") {
                options.is_approximate = true;
                index += 1;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    fn keys<'a>(&self, args: &Args<'a>) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        words(args, 2).take(self.keys_count)
    }

    /// What a walk is to tell.
    fn told(&self) -> Told {
        let limit = self.limit;
        match self.is_approximate {
            true => Told::Estimate { limit },
            false => Told::Count { limit },
        }
    }

    /// How many members `each` visits, up to the limit.
    fn count<'s>(&self, each: impl FnOnce(&mut dyn FnMut(Element<'s>) -> bool)) -> usize {
        let mut count = 0;
        each(&mut |_| {
            count += 1;
            self.limit == 0 || count < self.limit
        });
        count
    }
}

/// Keys after their number.
const COUNTED_KEYS: KeySpec = KeySpec {
    access: KeyAccess {
        mode: "RO",
        flags: &["access"],
    },
    begin: Begin::Index(1),
    find: Find::KeyNum {
        at: 0,
        first: 1,
        step: 1,
    },
    notes: "",
};

/// What reads several sets.
const READ: Command = Command {
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[keys_to(1, -1, 1, "RO", &["access"])],
    spread: Spread::Gather(Program::Bring),
    args: "key [key ...]",
    cost: "O(N) where N is the number of members of all sets together.",
    tips: &["nondeterministic_output_order"],
    ..ROW
};

/// What stores what several sets give.
const STORE: Command = Command {
    arity: Arity::AtLeast(3),
    flags: WRITE_GROW,
    keys: &[
        key_at(1, "OW", &["update"]),
        keys_to(2, -1, 1, "RO", &["access"]),
    ],
    args: "destination:key key [key ...]",
    tips: &[],
    ..READ
};

/// What counts what several sets give.
const CARD: Command = Command {
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLE_KEYS),
    keys: &[COUNTED_KEYS],
    args: "numkeys key [key ...] [LIMIT limit]",
    tips: &[],
    ..READ
};

const INTERSECTION_COST: &str =
    "O(N*M) at worst where N is the length of the smallest set and M the number of sets.";

/// Several sets at once.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SINTER",
        summary: "Replies with the members that several sets have in common.",
        cost: INTERSECTION_COST,
        run: Run::Keys(sinter),
        ..READ
    },
    Command {
        name: "SINTERSTORE",
        summary: "Stores the members that several sets have in common.",
        cost: INTERSECTION_COST,
        run: Run::Keys(sinterstore),
        ..STORE
    },
    Command {
        name: "SINTERCARD",
        since: "7.0.0",
        summary: "Counts the members that several sets have in common.",
        cost: INTERSECTION_COST,
        run: Run::Keys(sintercard),
        ..CARD
    },
    Command {
        name: "SUNION",
        summary: "Replies with the members that several sets have together.",
        run: Run::Keys(sunion),
        ..READ
    },
    Command {
        name: "SUNIONSTORE",
        summary: "Stores the members that several sets have together.",
        run: Run::Keys(sunionstore),
        ..STORE
    },
    Command {
        name: "SUNIONCARD",
        since: "8.10.0",
        args: "numkeys key [key ...] [APPROX] [LIMIT limit]",
        summary: "Counts the members that several sets have together, or estimates how many they are.",
        run: Run::Keys(sunioncard),
        ..CARD
    },
    Command {
        name: "SDIFF",
        summary: "Replies with the members of the first set that no other set has.",
        run: Run::Keys(sdiff),
        ..READ
    },
    Command {
        name: "SDIFFSTORE",
        summary: "Stores the members of the first set that no other set has.",
        run: Run::Keys(sdiffstore),
        ..STORE
    },
    Command {
        name: "SDIFFCARD",
        since: "8.10.0",
        summary: "Counts the members of the first set that no other set has.",
        run: Run::Keys(sdiffcard),
        ..CARD
    },
];
