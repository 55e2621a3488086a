//! Sets, member by member: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER, SCARD, SMEMBERS.
//!
//! Not here  encodings: `keyspace/set.rs`; several sets at once: `set_algebra.rs`; members by chance: `set_random.rs`.
//! Tests     tests/transcripts/set.txt, set_encodings.txt.

use super::CommandError;
use super::pieces::Members;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Program, Run, Spread, Touched};
use crate::ds::listpack::Element;
use crate::keyspace::Classes;
use crate::keyspace::set::{Probe, Set};
use crate::resp::{Args, Reply};

/// A member as a bulk string.
#[inline]
pub(super) fn reply_member(member: Element<'_>, reply: &mut Reply<'_>) {
    match member {
        Element::Int(integer) => reply.bulk_int(integer),
        Element::Str(text) => reply.bulk(text),
    }
}

/// `SADD key member [member ...]` replies with how many members were new.
fn sadd(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let mut held = call
        .keys
        .write_or_create::<Set>(call.db, &key, call.caller.no_touch)?;
    let set = held.get_mut();
    set.expect(&Probe::new(args.get(2)), args.len() - 2, &limits);
    let mut added_count = 0;
    for member in args.iter_from(2) {
        added_count += u64::from(set.add(&Probe::new(member), &limits));
    }
    if added_count > 0 {
        call.tell(Classes::SET, "sadd", key.bytes);
    }
    reply.integer(added_count as i64);
    Ok(Effect::wrote(added_count))
}

/// `SREM key member [member ...]` replies with how many members were there.
fn srem(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<Set>(call.db, &key, call.caller.no_touch)?;
    let mut removed_count = 0;
    if let Some(mut held) = found {
        let set = held.get_mut();
        for member in args.iter_from(2) {
            removed_count += u64::from(set.remove(&Probe::new(member)));
        }
        let is_gone = held.remove_if_empty();
        if removed_count > 0 {
            call.tell_taken(Classes::SET, "srem", key.bytes, is_gone);
        }
    }
    reply.integer(removed_count as i64);
    Ok(Effect::wrote(removed_count))
}

/// `SMOVE source destination member` replies 1 if the member was in the source.
fn smove(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let (db, no_touch) = (call.db, call.caller.no_touch);
    let source = call.keys.key(args.get(1));
    let destination = call.keys.key(args.get(2));
    let member = Probe::new(args.get(3));
    // Both types are checked before anything is done, but for a source that is not there.
    let is_member = match call.keys.write::<Set>(db, &source, no_touch)? {
        Some(held) => held.get().contains(&member),
        None => {
            call.keys.lookup_write(db, &destination, no_touch);
            reply.integer(0);
            return Ok(Effect::NONE);
        }
    };
    call.keys.write::<Set>(db, &destination, no_touch)?;
    reply.integer(i64::from(is_member));
    if !is_member || source.bytes == destination.bytes {
        return Ok(Effect::NONE);
    }
    if let Some(mut held) = call.keys.write::<Set>(db, &source, true)? {
        held.get_mut().remove(&member);
        let is_gone = held.remove_if_empty();
        call.tell_taken(Classes::SET, "srem", source.bytes, is_gone);
    }
    let mut held = call.keys.write_or_create::<Set>(db, &destination, true)?;
    let set = held.get_mut();
    if set.is_empty() {
        set.expect(&member, 1, &limits);
    }
    let is_new = set.add(&member, &limits);
    if is_new {
        call.tell(Classes::SET, "sadd", destination.bytes);
    }
    let effect = Effect::wrote(1 + u64::from(is_new));
    Ok(match is_new {
        true => effect,
        false => effect.touching(Touched::Word(1)),
    })
}

/// `SISMEMBER key member` replies 1 if the member is there.
fn sismember(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
    let is_member = set.is_some_and(|set| set.contains(&Probe::new(args.get(2))));
    reply.integer(i64::from(is_member));
    Ok(Effect::NONE)
}

/// `SMISMEMBER key member [member ...]` replies 1 or 0 for each member.
fn smismember(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
    reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        let is_member = set.is_some_and(|set| set.contains(&Probe::new(member)));
        reply.integer(i64::from(is_member));
    }
    Ok(Effect::NONE)
}

/// `SCARD key` replies with the number of members.
fn scard(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
    reply.integer(set.map_or(0, Set::len) as i64);
    Ok(Effect::NONE)
}

/// `SMEMBERS key` replies with all members.
fn smembers(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
    let (start, count) = (reply.len(), set.map_or(0, Set::len));
    reply.set(count);
    if count > whole_max {
        return Ok(call.reply_in_pieces(&key, reply, start, Members { cursor: 0 }));
    }
    if let Some(set) = set {
        set.each(|member| reply_member(member, reply));
    }
    Ok(Effect::NONE)
}

/// Sets, member by member.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SADD",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key member [member ...]",
        summary: "Adds members to a set, creating it if the key is missing.",
        cost: "O(1) for each member.",
        history: &[("2.4.0", "Several members at once.")],
        run: Run::Keys(sadd),
        ..ROW
    },
    Command {
        name: "SREM",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key member [member ...]",
        summary: "Removes members from a set, and the key with the last one.",
        cost: "O(1) for each member.",
        history: &[("2.4.0", "Several members at once.")],
        run: Run::Keys(srem),
        ..ROW
    },
    Command {
        name: "SMOVE",
        group: Group::Set,
        arity: Arity::Exactly(4),
        flags: WRITE_FAST,
        keys: &[
            key_at(1, "RW", &["access", "delete"]),
            key_at(2, "RW", &["insert"]),
        ],
        spread: Spread::Gather(Program::SetMove),
        args: "source:key destination:key member",
        summary: "Moves a member from one set to another.",
        run: Run::Keys(smove),
        ..ROW
    },
    Command {
        name: "SISMEMBER",
        group: Group::Set,
        arity: Arity::Exactly(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key member",
        summary: "Tells whether a set has a member.",
        run: Run::Keys(sismember),
        ..ROW
    },
    Command {
        name: "SMISMEMBER",
        since: "6.2.0",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member [member ...]",
        summary: "Tells of several members whether a set has them.",
        cost: "O(1) for each member.",
        run: Run::Keys(smismember),
        ..ROW
    },
    Command {
        name: "SCARD",
        group: Group::Set,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &[])],
        args: "key",
        summary: "Counts the members of a set.",
        run: Run::Keys(scard),
        ..ROW
    },
    Command {
        name: "SMEMBERS",
        group: Group::Set,
        arity: Arity::Exactly(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with all members of a set.",
        cost: "O(N) where N is the number of members.",
        tips: &["nondeterministic_output_order"],
        run: Run::Keys(smembers),
        ..ROW
    },
];
