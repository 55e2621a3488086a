//! XPENDING, XCLAIM, XAUTOCLAIM and XNACK: what was delivered and not acknowledged, shown and handed to others.
//!
//! Promises  words are checked before a consumer is made or an entry changes hands.
//! Tests     tests/transcripts/stream_pending.txt, stream_claim.txt.

use super::CommandError;
use super::row::*;
use super::stream_group::tell_of_group;
use super::stream_words::{
    id, interval_end, interval_start, no_key_or_group, read, reply_entry, reply_id, seen_consumer,
    try_id,
};
use super::table::{Arity, Call, Command, Effect, Flags, Group as CommandGroup, Run, Touched};
use super::word::integer;
use crate::base::number::parse_i64;
use crate::ds::stream::{Group, GroupMut, Log, Pending, StreamId};
use crate::keyspace::{Held, StreamValue};
use crate::resp::{Args, Reply};

/// `XPENDING key group [[IDLE ms] start end count [consumer]]` replies with a summary, or entry by entry.
fn xpending(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let asked = match args.len() {
        3 => None,
        6..=9 => Some(Asked::parse(args)?),
        _ => return Err(CommandError::Syntax),
    };
    let now_ms = call.keys.now_ms();
    let stream = read(call, args)?;
    let Some(group) = stream.and_then(|stream| stream.group(args.get(2))) else {
        return Err(no_key_or_group(args.get(1), args.get(2)));
    };
    match asked {
        None => reply_summary(group, reply),
        Some(asked) => asked.reply(group, now_ms, reply),
    }
    Ok(Effect::NONE)
}

fn reply_summary(group: &Group, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.integer(group.pending_count() as i64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(first, reply);
    reply_id(last, reply);
    let start = reply.len();
    let mut count = 0;
    for (_, consumer) in group.consumers() {
        if consumer.pending_count() > 0 {
            reply.array(2);
            reply.bulk(consumer.name());
            reply.bulk_int(consumer.pending_count() as i64);
            count += 1;
        }
    }
    reply.array_since(start, count);
}

/// Which entries XPENDING shows.
struct Asked<'a> {
    idle_ms_min: i64,
    start: StreamId,
    end: StreamId,
    count_max: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut idle_ms_min = 0;
        let mut at = 3;
        if args.is(3, "IDLE") {
            idle_ms_min = integer(args.get(4))?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            at = 5;
        }
        let count = integer(args.get(at + 2))?;
        Ok(Self {
            idle_ms_min,
            start: interval_start(args.get(at))?,
            end: interval_end(args.get(at + 1))?,
            count_max: usize::try_from(count).unwrap_or(0),
            consumer: (at + 3 < args.len()).then(|| args.get(at + 3)),
        })
    }

    fn reply(&self, group: &Group, now_ms: i64, reply: &mut Reply<'_>) {
        match self.consumer {
            None => self.reply_some(group, group.pending_from(self.start), now_ms, reply),
            Some(name) => match group.find(name) {
                None => reply.array(0),
                Some(number) => {
                    let pending = group.pending_of(number, self.start);
                    self.reply_some(group, pending, now_ms, reply);
                }
            },
        }
    }

    fn reply_some(
        &self,
        group: &Group,
        pending: impl Iterator<Item = (StreamId, Pending)>,
        now_ms: i64,
        reply: &mut Reply<'_>,
    ) {
        let start = reply.len();
        let mut count = 0;
        let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_at_ms);
        let shown = pending
            .take_while(|(id, _)| *id <= self.end)
            .filter(|(_, pending)| pending.is_idle_for(self.idle_ms_min, now_ms))
            .take(self.count_max);
        for (id, pending) in shown {
            reply.array(4);
            reply_id(id, reply);
            match pending.consumer {
                Some(number) => {
                    reply.bulk(group.consumer(number).name());
                    reply.integer(idle_ms(&pending).max(0));
                }
                None => {
                    reply.bulk(b"");
                    reply.integer(-1);
                }
            }
            reply.integer(pending.deliveries as i64);
            count += 1;
        }
        reply.array_since(start, count);
    }
}

/// The stream at word 1 and the group that word 2 names, which must both be there.
fn held_group<'c>(
    call: &'c mut Call<'_>,
    args: &Args<'_>,
) -> Result<Held<'c, StreamValue>, CommandError> {
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let no_group = no_key_or_group(args.get(1), args.get(2));
    if call
        .keys
        .read::<StreamValue>(call.db, &key, no_touch)?
        .is_none()
    {
        return Err(no_group);
    }
    let found = call.keys.write::<StreamValue>(call.db, &key, true)?;
    let with_group = found.filter(|held| held.get().group(args.get(2)).is_some());
    with_group.ok_or(no_group)
}

fn parts<'s>(held: &'s mut Held<'_, StreamValue>, name: &[u8]) -> (&'s Log, GroupMut<'s>) {
    let parts = held.get_mut().group_mut(name);
    parts.expect("`held_group` has seen the group")
}

/// What XCLAIM changes about an entry.
struct ClaimOptions {
    idle_ms_min: i64,
    delivered_at_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(
        args: &Args<'_>,
        from: usize,
        idle_ms_min: i64,
        now_ms: i64,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            idle_ms_min,
            delivered_at_ms: now_ms,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let mut delivered_at_ms = -1;
        let mut index = from;
        while index < args.len() {
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            let number = |next: &[u8], option: &str| {
                parse_i64(next)
                    .ok_or_else(|| {
                        format!("ERR Invalid {option} option argument for XCLAIM").into()
                    })
                    .map_err(|error: CommandError| error)
            };
            match next {
                _ if args.is(index, "FORCE") => options.force = true,
                _ if args.is(index, "JUSTID") => options.just_id = true,
                Some(next) if args.is(index, "IDLE") => {
                    delivered_at_ms = now_ms.wrapping_sub(number(next, "IDLE")?);
                    index += 1;
                }
                Some(next) if args.is(index, "TIME") => {
                    delivered_at_ms = number(next, "TIME")?;
                    index += 1;
                }
                Some(next) if args.is(index, "RETRYCOUNT") => {
                    options.deliveries = u64::try_from(number(next, "RETRYCOUNT")?).ok();
                    index += 1;
                }
                Some(next) if args.is(index, "LASTID") => {
                    options.last_id = id(next, 0)?;
                    index += 1;
                }
                _ => {
                    let before = "ERR Unrecognized XCLAIM option '";
                    return Err(CommandError::quoting(before, args.get(index), "'"));
                }
            }
            index += 1;
        }
        if (0..=now_ms).contains(&delivered_at_ms) {
            options.delivered_at_ms = delivered_at_ms;
        }
        Ok(options)
    }
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [option ...]` replies with what the consumer has now.
fn xclaim(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let mut held = held_group(call, args)?;
    let idle_ms_min = parse_i64(args.get(4))
        .ok_or("ERR Invalid min-idle-time argument for XCLAIM")?
        .max(0);
    let ids: Vec<StreamId> = args
        .iter_from(5)
        .map_while(|word| try_id(word, 0))
        .collect();
    // `-` and `+` are no ids here, and `try_id` takes neither.
    let options = ClaimOptions::parse(args, 5 + ids.len(), idle_ms_min, now_ms)?;
    let (log, mut group) = parts(&mut held, args.get(2));
    let mut changes = 0;
    if options.last_id > group.last_id {
        group.last_id = options.last_id;
        changes += 1;
    }
    let (number, is_new) = seen_consumer(&mut group, args.get(3), now_ms);
    changes += u64::from(is_new);
    let start = reply.len();
    let mut count = 0;
    for id in ids {
        let pending = group.pending(id);
        let Some(entry) = log.get(id) else {
            // Claimed by nobody any more: it is gone.
            changes += u64::from(group.acknowledge(id).is_some());
            continue;
        };
        let fresh = Pending {
            delivered_at_ms: now_ms,
            deliveries: 1,
            consumer: None,
        };
        let Some(mut pending) = pending.or(options.force.then_some(fresh)) else {
            continue;
        };
        if pending.consumer.is_some() && !pending.is_idle_for(options.idle_ms_min, now_ms) {
            continue;
        }
        pending.consumer = Some(number);
        pending.delivered_at_ms = options.delivered_at_ms;
        match options.deliveries {
            Some(deliveries) => pending.deliveries = deliveries,
            None if options.just_id => {}
            None => pending.deliveries = pending.deliveries.saturating_add(1),
        }
        group.assign(id, pending);
        group.activate(number, now_ms);
        if options.just_id {
            reply_id(id, reply);
        } else {
            reply_entry(&entry, reply);
        }
        count += 1;
        changes += 1;
    }
    reply.array_since(start, count);
    drop(group);
    if is_new {
        tell_of_group(call, "xgroup-createconsumer", args.get(1));
    }
    Ok(Effect::wrote(changes).touching(Touched::ComeOrGone))
}

/// XAUTOCLAIM looks at so many pending entries for each that it may claim.
const ATTEMPTS_PER_CLAIM: u64 = 10;
const AUTOCLAIM_COUNT_MAX: i64 = i64::MAX / 16;
/// Redis makes room for so many ids before it looks; from here on no process has that much.
const AUTOCLAIM_COUNT_TOO_HIGH: u64 = 1 << 43;

struct AutoclaimOptions {
    idle_ms_min: i64,
    start: StreamId,
    count_max: u64,
    just_id: bool,
}

impl AutoclaimOptions {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let idle_ms_min = parse_i64(args.get(4))
            .ok_or("ERR Invalid min-idle-time argument for XAUTOCLAIM")?
            .max(0);
        let start = interval_start(args.get(5))?;
        let mut count_max = 100;
        let mut just_id = false;
        let mut index = 6;
        while index < args.len() {
            if args.is(index, "COUNT") && index + 1 < args.len() {
                count_max = match parse_i64(args.get(index + 1)) {
                    Some(count @ 1..=AUTOCLAIM_COUNT_MAX) => count as u64,
                    _ => return Err("ERR COUNT must be > 0".into()),
                };
                index += 1;
            } else if args.is(index, "JUSTID") {
                just_id = true;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(Self {
            idle_ms_min,
            start,
            count_max,
            just_id,
        })
    }
}

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]` replies with where to go on, what the consumer
/// has now, and what was gone.
fn xautoclaim(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = AutoclaimOptions::parse(args).inspect_err(|_| {
        // As in Redis, which looks first: that the key is missing is counted and told of.
        let key = call.keys.key(args.get(1));
        (call.keys).lookup_read(call.db, &key, call.caller.no_touch);
    })?;
    let AutoclaimOptions {
        idle_ms_min,
        start,
        count_max,
        just_id,
    } = options;
    let now_ms = call.keys.now_ms();
    let mut held = held_group(call, args)?;
    if count_max >= AUTOCLAIM_COUNT_TOO_HIGH {
        let error = "ERR Insufficient memory, failed allocating transient memory, COUNT too high.";
        return Err(error.into());
    }
    let (log, mut group) = parts(&mut held, args.get(2));
    let (number, is_new) = seen_consumer(&mut group, args.get(3), now_ms);
    let mut changes = u64::from(is_new);
    let attempts_max = count_max.saturating_mul(ATTEMPTS_PER_CLAIM);
    let mut attempts = 0;
    let mut next = Some(start);
    let mut gone = Vec::new();
    let mut claimed = Vec::new();
    let mut claims = Vec::new();
    let mut claimed_reply = Reply::new(&mut claimed, reply.protocol());
    // Where to go on: the first pending entry not looked at.
    let cursor = loop {
        let found = next.and_then(|next| group.pending_from(next).next());
        let Some((id, pending)) = found else {
            break StreamId::MIN;
        };
        if attempts == attempts_max || (claims.len() + gone.len()) as u64 == count_max {
            break id;
        }
        attempts += 1;
        next = id.next();
        let Some(entry) = log.get(id) else {
            group.acknowledge(id);
            gone.push(id);
            continue;
        };
        if !pending.is_idle_for(idle_ms_min, now_ms) {
            continue;
        }
        group.assign(
            id,
            Pending {
                delivered_at_ms: now_ms,
                deliveries: pending.deliveries.saturating_add(u64::from(!just_id)),
                consumer: Some(number),
            },
        );
        if just_id {
            reply_id(id, &mut claimed_reply);
        } else {
            reply_entry(&entry, &mut claimed_reply);
        }
        claims.push(id);
    };
    if !claims.is_empty() {
        group.activate(number, now_ms);
    }
    changes += (claims.len() + gone.len()) as u64;
    reply.array(3);
    reply_id(cursor, reply);
    reply.array(claims.len());
    reply.raw(&claimed);
    reply.array(gone.len());
    gone.into_iter().for_each(|id| reply_id(id, reply));
    drop(group);
    if is_new {
        tell_of_group(call, "xgroup-createconsumer", args.get(1));
    }
    Ok(Effect::wrote(changes).touching(Touched::ComeOrGone))
}

/// `XNACK key group SILENT | FAIL | FATAL IDS numids id [id ...] [RETRYCOUNT count] [FORCE]` gives entries back to the group
/// and replies with how many.
fn xnack(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    // The group comes before the words.
    let mut held = held_group(call, args)?;
    let mode = Nack::parse(args.get(3))?;
    let options = NackOptions::parse(args, 4)?;
    let (log, mut group) = parts(&mut held, args.get(2));
    let mut released = 0;
    for id in options.ids {
        let before = match group.pending(id) {
            // One that is nobody's is given back once more.
            Some(pending) => mode.deliveries(pending.deliveries),
            None if options.force && log.get(id).is_some() => mode.deliveries(0),
            None => continue,
        };
        group.assign(
            id,
            Pending {
                delivered_at_ms: 0,
                deliveries: options.deliveries.unwrap_or(before),
                consumer: None,
            },
        );
        released += 1;
    }
    reply.integer(released as i64);
    Ok(Effect::wrote(released).touching(Touched::ComeOrGone))
}

/// Why an entry is given back.
#[derive(Clone, Copy)]
enum Nack {
    /// The delivery did not count.
    Silent,
    /// The consumer failed.
    Fail,
    /// The entry is bad.
    Fatal,
}

impl Nack {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word {
            _ if word.eq_ignore_ascii_case(b"SILENT") => Ok(Self::Silent),
            _ if word.eq_ignore_ascii_case(b"FAIL") => Ok(Self::Fail),
            _ if word.eq_ignore_ascii_case(b"FATAL") => Ok(Self::Fatal),
            _ => Err("ERR mode must be SILENT, FAIL, or FATAL".into()),
        }
    }

    fn deliveries(self, before: u64) -> u64 {
        match self {
            Self::Silent => before.saturating_sub(1),
            Self::Fail => before,
            Self::Fatal => i64::MAX as u64,
        }
    }
}

/// XNACK's words behind the mode, in any order.
struct NackOptions {
    ids: Vec<StreamId>,
    deliveries: Option<u64>,
    force: bool,
}

impl NackOptions {
    fn parse(args: &Args<'_>, from: usize) -> Result<Self, CommandError> {
        let mut ids = None;
        let mut deliveries = None;
        let mut force = false;
        let mut index = from;
        while index < args.len() {
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            match next {
                _ if args.is(index, "FORCE") => {
                    force = true;
                    index += 1;
                }
                Some(count) if args.is(index, "RETRYCOUNT") => {
                    let count = u64::try_from(integer(count)?);
                    let invalid = "ERR Invalid RETRYCOUNT value, must be >= 0";
                    deliveries = Some(count.map_err(|_| invalid)?);
                    index += 2;
                }
                Some(count) if args.is(index, "IDS") => {
                    let count = match parse_i64(count) {
                        Some(count @ 1..=NACK_IDS_MAX) => count as usize,
                        _ => return Err("ERR numids must be a positive integer".into()),
                    };
                    index += 2;
                    if count > args.len() - index {
                        return Err("ERR number of IDs doesn't match numids".into());
                    }
                    ids = Some((index, count));
                    index += count;
                }
                _ => {
                    let before = "ERR Unrecognized XNACK option '";
                    return Err(CommandError::quoting(before, args.get(index), "'"));
                }
            }
        }
        let (ids_at, ids_count) = ids.ok_or("ERR syntax error, expected IDS keyword")?;
        let words = args.iter_from(ids_at).take(ids_count);
        Ok(Self {
            ids: words.map(|word| id(word, 0)).collect::<Result<_, _>>()?,
            deliveries,
            force,
        })
    }
}

/// Ids that XNACK may be told there are.
const NACK_IDS_MAX: i64 = i32::MAX as i64;

const CLAIM: Command = Command {
    group: CommandGroup::Stream,
    flags: WRITE_FAST,
    tips: &["nondeterministic_output"],
    ..ROW
};

/// XPENDING, XCLAIM, XAUTOCLAIM and XNACK.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XPENDING",
        since: "5.0.0",
        arity: Arity::AtLeast(3),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key group filters=[[IDLE min-idle-time:integer]@6.2.0 start:string end:string count [consumer]]",
        summary: "Shows what a group has delivered and nobody has acknowledged.",
        cost: "O(N) for N entries returned, or N consumers in the summary",
        history: &[("6.2.0", "`IDLE` and exclusive ends")],
        run: Run::Keys(xpending),
        ..CLAIM
    },
    Command {
        name: "XCLAIM",
        since: "5.0.0",
        arity: Arity::AtLeast(6),
        keys: &[key_at(1, "RW", &["update"])],
        args: "key group consumer min-idle-time id [id ...] [IDLE ms:integer] \
            [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] lastid=[LASTID lastid]",
        summary: "Hands pending entries to a consumer, as if they had been delivered to it.",
        cost: "O(log N) for each entry, N being what is pending",
        run: Run::Keys(xclaim),
        ..CLAIM
    },
    Command {
        name: "XAUTOCLAIM",
        since: "6.2.0",
        arity: Arity::AtLeast(6),
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
        summary: "Hands entries that have been pending for long to a consumer.",
        cost: "O(1) if COUNT is small",
        history: &[("7.0.0", "the entries that were gone")],
        run: Run::Keys(xautoclaim),
        ..CLAIM
    },
    Command {
        name: "XNACK",
        since: "8.8.0",
        arity: Arity::AtLeast(7),
        keys: &[key_at(1, "RW", &["update"])],
        args: "key group mode=(SILENT | FAIL | FATAL) ids=IDS(numids:integer id [id ...]) [RETRYCOUNT count] [FORCE]",
        summary: "Gives pending entries back to their group, for others to claim at once.",
        cost: "O(1) for each entry",
        tips: &[],
        run: Run::Keys(xnack),
        ..CLAIM
    },
];
