//! Fields of a hash in bulk: HGETALL, HKEYS, HVALS, HSCAN, HRANDFIELD.
//!
//! Promises  no reply shows a field past its deadline; HSCAN shows every field that is there throughout.
//! Tests     tests/transcripts/hash_walk.txt, tests/keyspace/hash.rs.

use super::CommandError;
use super::choices::{Choice, ChosenFields};
use super::draws::{Drawn, Draws, OUT_OF_RANGE, reply_draws};
use super::hash::reply_element;
use super::pieces::Fields;
use super::row::*;
use super::scan::Cursor;
use super::scan_walk::Wanted;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::word::integer;
use crate::base::glob::glob_match;
use crate::base::rng::Rng;
use crate::ds::key_table::Value;
use crate::keyspace::hash::Element;
use crate::keyspace::{Collection, Hash};
use crate::resp::{Args, Protocol, Reply};
use std::collections::HashSet;

/// Dead fields that one HRANDFIELD removes at most, before it looks for living ones.
const EXPIRED_MAX: usize = 4096;

/// What a walk shows of each field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Fields,
    Values,
    Both,
}

impl Part {
    /// Replies with what is shown of a field.
    #[inline]
    pub(super) fn reply(self, field: Element<'_>, value: Element<'_>, reply: &mut Reply<'_>) {
        if self != Self::Values {
            reply_element(reply, field);
        }
        if self != Self::Fields {
            reply_element(reply, value);
        }
    }
}

fn hgetall(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply_all(call, args, reply, Part::Both)
}

fn hkeys(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply_all(call, args, reply, Part::Fields)
}

fn hvals(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply_all(call, args, reply, Part::Values)
}

fn reply_all(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    part: Part,
) -> Result<Effect, CommandError> {
    let (now_ms, whole_max) = (call.keys.now_ms(), call.whole_max());
    let key = call.keys.key(args.get(1));
    let hash = call
        .keys
        .read::<Hash>(call.db, &key, call.caller.no_touch)?;
    let (start, count) = (reply.len(), hash.map_or(0, |hash| hash.alive_len(now_ms)));
    match part {
        Part::Both => reply.map(count),
        Part::Fields | Part::Values => reply.array(count),
    }
    if count > whole_max {
        let walk = Fields {
            part,
            now_ms,
            cursor: 0,
        };
        return Ok(call.reply_in_pieces(&key, reply, start, walk));
    }
    if let Some(hash) = hash {
        hash.each(now_ms, |field, value| part.reply(field, value, reply));
    }
    Ok(Effect::NONE)
}

/// HSCAN's words after the cursor.
struct ScanWords<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    shows_values: bool,
}

impl<'a> ScanWords<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut words = Self {
            pattern: None,
            count: 10,
            shows_values: true,
        };
        let mut index = 3;
        while index < args.len() {
            let has_next = index + 1 < args.len();
            if args.is(index, "COUNT") && has_next {
                let count = integer(args.get(index + 1))?;
                if count < 1 {
                    return Err(CommandError::Syntax);
                }
                words.count = count as usize;
                index += 2;
            } else if args.is(index, "MATCH") && has_next {
                let pattern = args.get(index + 1);
                words.pattern = (pattern != b"*").then_some(pattern);
                index += 2;
            } else if args.is(index, "NOVALUES") {
                words.shows_values = false;
                index += 1;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(words)
    }
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]` replies with the next cursor and some fields.
fn hscan(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let cursor = Cursor::parse(args.get(2), 1)?.position;
    let now_ms = call.keys.now_ms();
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let Some(hash) = call.keys.read::<Hash>(call.db, &key, no_touch)? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let words = ScanWords::parse(args)?;
    if words.count > whole_max && hash.len() > whole_max {
        let wanted = Wanted {
            cursor,
            count: words.count,
            pattern: words.pattern,
            shows_values: words.shows_values,
        };
        return Ok(call.scan_in_pieces(&key, &wanted, reply.protocol()));
    }
    let mut found = Vec::new();
    let mut found_reply = Reply::new(&mut found, reply.protocol());
    let mut elements_count = 0;
    let next = hash.scan(cursor, words.count, now_ms, |field, value| {
        let is_match = words
            .pattern
            .is_none_or(|pattern| glob_match(pattern, field.text(&mut [0; 20]), false));
        if is_match {
            reply_element(&mut found_reply, field);
            if words.shows_values {
                reply_element(&mut found_reply, value);
            }
            elements_count += 1 + usize::from(words.shows_values);
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(elements_count);
    reply.raw(&found);
    Ok(Effect::NONE)
}

/// `HRANDFIELD key [count [WITHVALUES]]` replies with a random field, or with several: different ones, or for a negative
/// count each drawn anew.
fn hrandfield(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let wanted = match args.len() {
        2 => None,
        _ => Some(parse_count(args)?),
    };
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let is_due = match call.keys.read::<Hash>(call.db, &key, no_touch)? {
        Some(hash) => hash.next_deadline_ms().is_some(),
        None => false,
    };
    if is_due {
        call.keys.expire_fields(call.db, &key, EXPIRED_MAX);
    }
    let mut rng = call.keys.fork_rng();
    let (bytes_max, whole_max) = (call.keys.value_bytes_max(), call.whole_max());
    let entry = call.keys.peek(call.db, &key);
    let hash = entry.and_then(|entry| match entry.value() {
        Value::Object(object) => Hash::of(object),
        _ => None,
    });
    let Some((count, with_values)) = wanted else {
        match hash.and_then(|hash| hash.random(now_ms, &mut rng)) {
            Some((field, _)) => reply_element(reply, field),
            None => reply.null(),
        }
        return Ok(Effect::NONE);
    };
    let is_nested = with_values && reply.protocol() == Protocol::Resp3;
    let head = |count: usize, reply: &mut Reply<'_>| {
        let flat_width = 1 + usize::from(with_values && !is_nested);
        reply.array(count * flat_width);
    };
    let drawn = DrawnFields {
        now_ms,
        with_values,
    };
    let Some(hash) = hash.filter(|hash| hash.alive_len(now_ms) > 0) else {
        head(0, reply);
        return Ok(Effect::NONE);
    };
    if count < 0 {
        let count = count.unsigned_abs();
        if count > whole_max as u64 {
            let start = reply.len();
            head(count as usize, reply);
            let walk = Draws {
                drawn,
                left_count: count,
                rng,
            };
            return Ok(call.reply_in_pieces(&key, reply, start, walk));
        }
        let mut draw = drawn.drawer(hash, count);
        reply_draws(count, bytes_max, reply, head, |reply| draw(&mut rng, reply))?;
        return Ok(Effect::NONE);
    }
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    let alive_count = hash.alive_len(now_ms);
    if Choice::is_long(wanted, alive_count, whole_max) {
        let choice = Choice::new(wanted, alive_count, rng);
        let start = reply.len();
        head(choice.wanted_count(), reply);
        let walk = ChosenFields::new(choice, drawn);
        return Ok(call.reply_in_pieces(&key, reply, start, walk));
    }
    let picked = different(hash, now_ms, count.unsigned_abs() as usize, &mut rng);
    head(picked.len(), reply);
    for (field, value) in picked {
        drawn.reply(field, value, reply);
    }
    Ok(Effect::NONE)
}

/// Fields as HRANDFIELD shows them.
pub(super) struct DrawnFields {
    pub(super) now_ms: i64,
    with_values: bool,
}

impl DrawnFields {
    pub(super) fn reply(&self, field: Element<'_>, value: Element<'_>, reply: &mut Reply<'_>) {
        if self.with_values && reply.protocol() == Protocol::Resp3 {
            reply.array(2);
        }
        reply_element(reply, field);
        if self.with_values {
            reply_element(reply, value);
        }
    }
}

impl Drawn for DrawnFields {
    type Of = Hash;

    fn drawer(&self, hash: &Hash, count: u64) -> impl FnMut(&mut Rng, &mut Reply<'_>) {
        let mut urn = hash.urn(self.now_ms, count);
        move |rng: &mut Rng, reply: &mut Reply<'_>| {
            if let Some((field, value)) = urn.draw(rng) {
                self.reply(field, value, reply);
            }
        }
    }

    fn each(&self, hash: &Hash, reply: &mut Reply<'_>, after_each: &mut dyn FnMut(&Reply<'_>)) {
        hash.each(self.now_ms, |field, value| {
            self.reply(field, value, reply);
            after_each(reply);
        });
    }
}

fn parse_count(args: &Args<'_>) -> Result<(i64, bool), CommandError> {
    let count = integer(args.get(2))?;
    if count == i64::MIN {
        return Err(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )
        .into());
    }
    let with_values = match args.len() {
        3 => false,
        4 if args.is(3, "WITHVALUES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE.into());
    }
    Ok((count, with_values))
}

type Pair<'h> = (Element<'h>, Element<'h>);

/// Up to `count` different fields, every choice as likely as any other.
fn different<'h>(hash: &'h Hash, now_ms: i64, count: usize, rng: &mut Rng) -> Vec<Pair<'h>> {
    let alive_count = hash.alive_len(now_ms);
    let mut picked = Vec::new();
    if count == 0 {
        return picked;
    }
    // Few of many are drawn; otherwise it is cheaper to pass all by and take each with the chance it has.
    if hash.listpack().is_none() && count < alive_count / 4 {
        let mut seen = HashSet::with_capacity(count);
        let mut urn = hash.urn(now_ms, count as u64);
        while picked.len() < count {
            let Some((field, value)) = urn.draw(rng) else {
                break;
            };
            if seen.insert(field.text(&mut [0; 20]).as_ptr()) {
                picked.push((field, value));
            }
        }
        return picked;
    }
    let mut rest_count = alive_count as u64;
    hash.each(now_ms, |field, value| {
        let wanted_count = (count - picked.len()) as u64;
        if wanted_count > 0 && (rest_count <= wanted_count || rng.below(rest_count) < wanted_count)
        {
            picked.push((field, value));
        }
        rest_count = rest_count.saturating_sub(1);
    });
    picked
}

/// Fields of a hash in bulk.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "HGETALL",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with all fields and values of a hash.",
        cost: "O(N) where N is the number of fields.",
        tips: &["nondeterministic_output_order"],
        run: Run::Keys(hgetall),
        ..ROW
    },
    Command {
        name: "HKEYS",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with all fields of a hash.",
        cost: "O(N) where N is the number of fields.",
        tips: &["nondeterministic_output_order"],
        run: Run::Keys(hkeys),
        ..ROW
    },
    Command {
        name: "HVALS",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with all values of a hash.",
        cost: "O(N) where N is the number of fields.",
        tips: &["nondeterministic_output_order"],
        run: Run::Keys(hvals),
        ..ROW
    },
    Command {
        name: "HSCAN",
        since: "2.8.0",
        group: Group::Hash,
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key cursor:integer [MATCH pattern] [COUNT count] [NOVALUES]",
        summary: "Walks through the fields of a hash, some at a call.",
        cost: "O(1) for a call; O(N) for a whole walk, N being the number of fields.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(hscan),
        ..ROW
    },
    Command {
        name: "HRANDFIELD",
        since: "6.2.0",
        group: Group::Hash,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key options=[count [WITHVALUES]]",
        summary: "Replies with random fields of a hash.",
        cost: "O(N) where N is the number of fields asked for.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(hrandfield),
        ..ROW
    },
];
