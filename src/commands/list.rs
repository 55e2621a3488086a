//! Lists: elements in and out at the ends and by index.
//!
//! Promises  a key exists as long as its list has an element; a push to a list that is there is one lookup.
//! Not here  what looks for an element: `list_value.rs`; what moves from list to list, and LMPOP: `list_move.rs`.
//! Tests     tests/transcripts/list.txt, list_ends.txt, list_encoding.txt.

use super::CommandError;
use super::generic::NO_SUCH_KEY;
use super::pieces::Elements;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run, Touched};
use super::word::integer;
use crate::base::number::parse_i64;
use crate::ds::key_table::NewValue;
use crate::keyspace::Classes;
use crate::keyspace::list::{Element, End, List};
use crate::keyspace::{Collection, EncodingLimits};
use crate::resp::{Args, Reply};

/// Replies with an element.
#[inline]
pub fn reply_element(element: Element<'_>, reply: &mut Reply<'_>) {
    match element {
        Element::Int(number) => reply.bulk_int(number),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// A word as a number of elements, 0 or more; `error` where it is none.
pub fn count(word: &[u8], error: &'static str) -> Result<usize, CommandError> {
    let number = parse_i64(word).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| error.into())
}

/// Pushes words at one end, the last of them outermost.
#[inline]
pub fn push_words(list: &mut List, end: End, words: &Args<'_>, limits: &EncodingLimits) {
    let bytes = words.iter_from(0).map(<[u8]>::len).sum();
    list.expect(bytes, words.len(), limits);
    for word in words.iter_from(0) {
        list.push(end, Element::Str(word));
    }
}

/// What a push at this end is called.
pub(super) fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

/// What a pop at this end is called.
pub(super) fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

#[inline]
fn push(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    creates: bool,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let words = args.tail(2);
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    let len = match found {
        Some(mut held) => {
            let list = held.get_mut();
            push_words(list, end, &words, &limits);
            list.len()
        }
        None if !creates => {
            reply.integer(0);
            return Ok(Effect::NONE);
        }
        None => {
            let mut list = List::default();
            push_words(&mut list, end, &words, &limits);
            let object = NewValue::Object(Box::new(list.into_object()));
            call.keys.insert(call.db, &key, object, None);
            words.len()
        }
    };
    call.tell(Classes::LIST, push_event(end), key.bytes);
    reply.integer(len as i64);
    Ok(Effect::wrote(words.len() as u64))
}

/// `LPUSH key element [element ...]` replies with the length of the list.
fn lpush(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    push(call, args, reply, End::Front, true)
}

fn rpush(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    push(call, args, reply, End::Back, true)
}

fn lpushx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    push(call, args, reply, End::Front, false)
}

fn rpushx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    push(call, args, reply, End::Back, false)
}

/// Replies with an array of up to `count` elements from one end, the outermost first, and removes them; the list must not
/// be empty.
///
/// Returns how many they were, and the part of the list that is to be discarded, if there is one.
pub fn pop_some(
    list: &mut List,
    end: End,
    count: usize,
    limits: &EncodingLimits,
    reply: &mut Reply<'_>,
) -> (usize, Option<List>) {
    let len = list.len();
    let count = count.min(len);
    reply.array(count);
    let outermost = match end {
        End::Front => 0,
        End::Back => len - 1,
    };
    list.visit_some(outermost, count, end, |element| {
        reply_element(element, reply);
    });
    let first = match end {
        End::Front => 0,
        End::Back => len - count,
    };
    (count, list.remove_range(first, count, limits))
}

#[inline]
fn pop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    command: &'static str,
) -> Result<Effect, CommandError> {
    if args.len() > 2 {
        return pop_counted(call, args, reply, end, command);
    }
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        reply.null();
        return Ok(Effect::NONE);
    };
    let list = held.get_mut();
    match list.peek(end) {
        Some(element) => reply_element(element, reply),
        None => reply.null(),
    }
    list.pop(end, &limits);
    let is_gone = held.remove_if_empty();
    call.tell_taken(Classes::LIST, pop_event(end), key.bytes, is_gone);
    Ok(Effect::wrote(1))
}

fn pop_counted(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    command: &'static str,
) -> Result<Effect, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Arity(command));
    }
    let wanted = count(args.get(2), "ERR value is out of range, must be positive")?;
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        reply.null_array();
        return Ok(Effect::NONE);
    };
    if wanted == 0 {
        reply.array(0);
        return Ok(Effect::NONE);
    }
    let (popped_count, rest) = pop_some(held.get_mut(), end, wanted, &limits, reply);
    let is_gone = held.remove_if_empty();
    if let Some(rest) = rest {
        call.keys.discard(call.db, rest);
    }
    call.tell_taken(Classes::LIST, pop_event(end), key.bytes, is_gone);
    Ok(Effect::wrote(popped_count as u64))
}

/// `LPOP key [count]` replies with the first element, or an array of the first ones, and removes them.
fn lpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop(call, args, reply, End::Front, "lpop")
}

fn rpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop(call, args, reply, End::Back, "rpop")
}

/// `LLEN key` replies with the number of elements, 0 where there is no key.
fn llen(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .read::<List>(call.db, &key, call.caller.no_touch)?;
    reply.integer(found.map_or(0, List::len) as i64);
    Ok(Effect::NONE)
}

/// `LINDEX key index` replies with an element, or null.
fn lindex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .read::<List>(call.db, &key, call.caller.no_touch)?;
    let Some(list) = found else {
        reply.null();
        return Ok(Effect::NONE);
    };
    match list.place(integer(args.get(2))?) {
        Some(place) => list.visit_some(place, 1, End::Front, |element| {
            reply_element(element, reply);
        }),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// `LSET key index element` replies OK; the element must be there already.
fn lset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    let mut held = found.ok_or(NO_SUCH_KEY)?;
    // Redis keeps the index's low 32 bits here, and only here.
    let index = i64::from(integer(args.get(2))? as i32);
    let element = args.get(3);
    let list = held.get_mut();
    list.expect(element.len(), 1, &limits);
    let is_set = match list.place(index) {
        Some(place) => list.set(place, Element::Str(element), &limits),
        None => false,
    };
    if !is_set {
        return Err("ERR index out of range".into());
    }
    call.tell(Classes::LIST, "lset", key.bytes);
    reply.ok();
    Ok(Effect::wrote(1))
}

/// `LRANGE key start stop` replies with an array of the elements from `start` to `stop`, both included.
fn lrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (start, stop) = (integer(args.get(2))?, integer(args.get(3))?);
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .read::<List>(call.db, &key, call.caller.no_touch)?;
    let Some(list) = found else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let (place, count) = list.range(start, stop);
    let head_at = reply.len();
    reply.array(count);
    if count > whole_max {
        let walk = Elements {
            next: place,
            left_count: count,
        };
        return Ok(call.reply_in_pieces(&key, reply, head_at, walk));
    }
    list.visit_some(place, count, End::Front, |element| {
        reply_element(element, reply);
    });
    Ok(Effect::NONE)
}

/// `LTRIM key start stop` keeps the elements from `start` to `stop`, both included, and replies OK.
fn ltrim(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (start, stop) = (integer(args.get(2))?, integer(args.get(3))?);
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<List>(call.db, &key, call.caller.no_touch)?;
    reply.ok();
    let Some(mut held) = found else {
        return Ok(Effect::NONE);
    };
    let list = held.get_mut();
    let (place, count) = list.range(start, stop);
    let removed_count = list.len() - count;
    if count == 0 {
        held.remove();
        call.tell_taken(Classes::LIST, "ltrim", key.bytes, true);
        return Ok(Effect::wrote(removed_count as u64));
    }
    // The back first: an encoding may only change once what remains is known.
    let after = list.remove_range(place + count, usize::MAX, &limits);
    let before = list.remove_range(0, place, &limits);
    for part in [after, before].into_iter().flatten() {
        call.keys.discard(call.db, part);
    }
    call.tell(Classes::LIST, "ltrim", key.bytes);
    Ok(Effect::wrote(removed_count as u64).touching(Touched::Always))
}

/// What the rows of lists have in common.
pub(super) const LIST_ROW: Command = Command {
    group: Group::List,
    ..ROW
};

const PUSH_COST: &str = "O(1) for each element added, so O(N) for N of them.";

/// Lists, one at a time.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "LPUSH",
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key element [element ...]",
        summary: "Puts elements before the first of a list, which is made if the key is missing.",
        cost: PUSH_COST,
        history: &[("2.4.0", "Several elements may be given.")],
        run: Run::Keys(lpush),
        ..LIST_ROW
    },
    Command {
        name: "RPUSH",
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key element [element ...]",
        summary: "Puts elements after the last of a list, which is made if the key is missing.",
        cost: PUSH_COST,
        history: &[("2.4.0", "Several elements may be given.")],
        run: Run::Keys(rpush),
        ..LIST_ROW
    },
    Command {
        name: "LPUSHX",
        since: "2.2.0",
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key element [element ...]",
        summary: "Puts elements before the first of a list that exists.",
        cost: PUSH_COST,
        history: &[("4.0.0", "Several elements may be given.")],
        run: Run::Keys(lpushx),
        ..LIST_ROW
    },
    Command {
        name: "RPUSHX",
        since: "2.2.0",
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key element [element ...]",
        summary: "Puts elements after the last of a list that exists.",
        cost: PUSH_COST,
        history: &[("4.0.0", "Several elements may be given.")],
        run: Run::Keys(rpushx),
        ..LIST_ROW
    },
    Command {
        name: "LPOP",
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key [count]@6.2.0",
        summary: "Removes the first elements of a list and replies with them.",
        cost: "O(N) where N is the number of elements in the reply.",
        history: &[("6.2.0", "`count` came.")],
        run: Run::Keys(lpop),
        ..LIST_ROW
    },
    Command {
        name: "RPOP",
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key [count]@6.2.0",
        summary: "Removes the last elements of a list and replies with them.",
        cost: "O(N) where N is the number of elements in the reply.",
        history: &[("6.2.0", "`count` came.")],
        run: Run::Keys(rpop),
        ..LIST_ROW
    },
    Command {
        name: "LLEN",
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Counts the elements of a list.",
        run: Run::Keys(llen),
        ..LIST_ROW
    },
    Command {
        name: "LINDEX",
        arity: Arity::Exactly(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key index",
        summary: "Replies with the element that has an index.",
        cost: "O(N) where N is the distance to the nearer end, counted in nodes where there are many.",
        run: Run::Keys(lindex),
        ..LIST_ROW
    },
    Command {
        name: "LSET",
        arity: Arity::Exactly(4),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key index element",
        summary: "Puts an element in the place of another.",
        cost: "O(N) where N is the distance to the nearer end, counted in nodes where there are many.",
        run: Run::Keys(lset),
        ..LIST_ROW
    },
    Command {
        name: "LRANGE",
        arity: Arity::Exactly(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key start stop:integer",
        summary: "Replies with the elements between two indices.",
        cost: "O(S+N) where S is the distance of the first from the nearer end and N the number of elements in the reply.",
        run: Run::Keys(lrange),
        ..LIST_ROW
    },
    Command {
        name: "LTRIM",
        arity: Arity::Exactly(4),
        flags: Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key start stop:integer",
        summary: "Removes all elements but those between two indices.",
        cost: "O(N) where N is the number of elements removed.",
        run: Run::Keys(ltrim),
        ..LIST_ROW
    },
];
