//! Members of a set by chance and step by step: SPOP, SRANDMEMBER, SSCAN.
//!
//! Promises  each member is as likely as any other, each choice of several likewise.
//! Tests     tests/transcripts/set_random.txt, tests/keyspace/set.rs.

use super::CommandError;
use super::choices::{Choice, ChosenMembers};
use super::draws::{Drawn, Draws, reply_draws};
use super::row::*;
use super::scan::parse_cursor;
use super::scan_walk::Wanted;
use super::set::reply_member;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::word::integer;
use crate::base::glob::glob_match;
use crate::base::number::{parse_i64, write_u64_before};
use crate::base::rng::Rng;
use crate::ds::listpack::{Element, SEEKS_MAX};
use crate::keyspace::Classes;
use crate::keyspace::set::Set;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};

/// `SPOP key [count]` removes a random member and replies with it, or up to `count` of them.
fn spop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = match args.len() {
        3 => Some(count_in(args.get(2))?),
        _ => None,
    };
    let limits = call.keys.limits();
    let mut rng = call.keys.fork_rng();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<Set>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        match count {
            Some(_) => reply.set(0),
            None => reply.null(),
        }
        return Ok(Effect::NONE);
    };
    let is_logged = call.is_logged;
    let mut popped = OwnedArgs::new();
    let length = held.get().len();
    if is_logged {
        popped.push(b"SREM");
        popped.push(args.get(1));
    }
    let mut show = |member: Element<'_>, reply: &mut Reply<'_>| {
        reply_member(member, reply);
        if is_logged {
            popped.push(member.text(&mut [0; 20]));
        }
    };
    let mut is_gone = false;
    let changes = match count {
        None => {
            held.get_mut().pop(&mut rng, |member| show(member, reply));
            is_gone = held.remove_if_empty();
            1
        }
        Some(count) if count >= length => {
            reply.set(length);
            held.get().each(|member| reply_member(member, reply));
            held.remove();
            if count > 0 {
                call.tell_taken(Classes::SET, "spop", key.bytes, true);
            }
            return Ok(Effect::wrote(length as u64));
        }
        Some(count) => {
            reply.set(count);
            if count > 0 {
                held.get_mut()
                    .pop_many(count, &mut rng, &limits, |member| show(member, reply));
            }
            count as u64
        }
    };
    if changes > 0 {
        if is_logged {
            call.log_instead(vec![popped]);
        }
        call.tell_taken(Classes::SET, "spop", key.bytes, is_gone);
    }
    Ok(Effect::wrote(changes))
}

fn count_in(word: &[u8]) -> Result<usize, CommandError> {
    parse_i64(word)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or("ERR value is out of range, must be positive".into())
}

/// `SRANDMEMBER key [count]` replies with a random member, or up to `count` different ones, or `-count` of any.
fn srandmember(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = match args.len() {
        3 => Some(integer(args.get(2))?),
        _ => None,
    };
    if count == Some(i64::MIN) {
        return Err("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807".into());
    }
    let (bytes_max, whole_max) = (call.keys.value_bytes_max(), call.whole_max());
    let mut rng = call.keys.fork_rng();
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
    let (set, count) = match (set, count) {
        (None, None) => {
            reply.null();
            return Ok(Effect::NONE);
        }
        (None, Some(_)) | (Some(_), Some(0)) => {
            reply.array(0);
            return Ok(Effect::NONE);
        }
        (Some(set), None) => {
            if let Some(member) = set.random(&mut rng) {
                reply_member(member, reply);
            }
            return Ok(Effect::NONE);
        }
        (Some(set), Some(count)) => (set, count),
    };
    if count > 0 {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if Choice::is_long(count, set.len(), whole_max) {
            let choice = Choice::new(count, set.len(), rng);
            let start = reply.len();
            reply.array(choice.wanted_count());
            let walk = ChosenMembers::new(choice);
            return Ok(call.reply_in_pieces(&key, reply, start, walk));
        }
        let count = set.len().min(count);
        reply.array(count);
        set.sample(count, &mut rng, |member| reply_member(member, reply));
        return Ok(Effect::NONE);
    }
    let (count, drawn) = (count.unsigned_abs(), DrawnMembers);
    if count > whole_max as u64 {
        let start = reply.len();
        reply.array(count as usize);
        let walk = Draws {
            drawn,
            left_count: count,
            rng,
        };
        return Ok(call.reply_in_pieces(&key, reply, start, walk));
    }
    let head = |count, reply: &mut Reply<'_>| reply.array(count);
    let mut draw = drawn.drawer(set, count);
    reply_draws(count, bytes_max, reply, head, |reply| draw(&mut rng, reply))?;
    Ok(Effect::NONE)
}

/// Members as SRANDMEMBER shows them.
struct DrawnMembers;

impl Drawn for DrawnMembers {
    type Of = Set;

    fn drawer(&self, set: &Set, count: u64) -> impl FnMut(&mut Rng, &mut Reply<'_>) {
        let listed: Vec<Element<'_>> = match set.as_pack() {
            Some(pack) if count > SEEKS_MAX => pack.iter().collect(),
            _ => Vec::new(),
        };
        move |rng: &mut Rng, reply: &mut Reply<'_>| {
            let member = match listed.is_empty() {
                true => set.random(rng),
                false => {
                    let index = rng.below(listed.len() as u64) as usize;
                    listed.get(index).copied()
                }
            };
            if let Some(member) = member {
                reply_member(member, reply);
            }
        }
    }

    fn each(&self, set: &Set, reply: &mut Reply<'_>, after_each: &mut dyn FnMut(&Reply<'_>)) {
        set.each(|member| {
            reply_member(member, reply);
            after_each(reply);
        });
    }
}

/// SSCAN's words after the cursor.
struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            pattern: None,
            count: 10,
        };
        let mut index = 3;
        while index < args.len() {
            let value = (index + 1 < args.len()).then(|| args.get(index + 1));
            match value {
                Some(word) if args.is(index, "COUNT") => {
                    let count = integer(word)?;
                    if count < 1 {
                        return Err(CommandError::Syntax);
                    }
                    options.count = count as usize;
                }
                Some(word) if args.is(index, "MATCH") => {
                    options.pattern = (word != b"*").then_some(word);
                }
                _ if args.is(index, "NOVALUES") => {
                    return Err("ERR NOVALUES option can only be used in HSCAN".into());
                }
                _ => return Err(CommandError::Syntax),
            }
            index += 2;
        }
        Ok(options)
    }
}

/// `SSCAN key cursor [option ...]` replies with the next cursor and some members.
fn sscan(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let cursor = parse_cursor(args.get(2)).ok_or("ERR invalid cursor")?;
    let whole_max = call.whole_max();
    let key = call.keys.key(args.get(1));
    let set = call.keys.read::<Set>(call.db, &key, call.caller.no_touch)?;
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
            shows_values: false,
        };
        return Ok(call.scan_in_pieces(&key, &wanted, reply.protocol()));
    }
    let mut members = Vec::new();
    let mut members_reply = Reply::new(&mut members, reply.protocol());
    let mut members_count = 0;
    let next = set.scan(cursor, options.count, |member| {
        let is_wanted = options
            .pattern
            .is_none_or(|pattern| glob_match(pattern, member.text(&mut [0; 20]), false));
        if is_wanted {
            reply_member(member, &mut members_reply);
            members_count += 1;
        }
    });
    reply.array(2);
    let mut digits = [0; 20];
    let start = write_u64_before(&mut digits, 20, next);
    reply.bulk(&digits[start..]);
    reply.array(members_count);
    reply.raw(&members);
    Ok(Effect::NONE)
}

/// Members by chance and step by step.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SPOP",
        group: Group::Set,
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key [count]@3.2.0",
        summary: "Removes one or several random members of a set and replies with them.",
        cost: "O(1) for each member.",
        tips: &["nondeterministic_output"],
        history: &[("3.2.0", "Several members at once.")],
        run: Run::Keys(spop),
        ..ROW
    },
    Command {
        name: "SRANDMEMBER",
        group: Group::Set,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key [count]@2.6.0",
        summary: "Replies with one or several random members of a set.",
        cost: "O(1) for each member, or O(N) where more than a third of N members is asked for.",
        tips: &["nondeterministic_output"],
        history: &[("2.6.0", "Several members at once.")],
        run: Run::Keys(srandmember),
        ..ROW
    },
    Command {
        name: "SSCAN",
        since: "2.8.0",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key cursor [MATCH pattern] [COUNT count]",
        summary: "Walks through the members of a set, some with each call.",
        cost: "O(1) for each call, O(N) for a whole walk where N is the number of members.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(sscan),
        ..ROW
    },
];
