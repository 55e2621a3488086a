//! XINFO: a stream, its groups and their consumers, looked at.
//!
//! Tests     tests/transcripts/stream_info.txt.

use super::CommandError;
use super::object::reply_help;
use super::row::*;
use super::stream_words::{no_group_for_key, read, reply_entries, reply_entry, reply_id};
use super::table::unknown_or_arity;
use super::table::{Arity, Call, Command, Effect, Flags, Group as CommandGroup, Run, Spread};
use super::word::integer;
use crate::ds::stream::{Consumer, ConsumerNumber, Group, Producers, StreamId};
use crate::keyspace::StreamValue;
use crate::resp::{Args, Reply};

/// The stream at word 1, which must be there.
fn stream<'c>(call: &'c mut Call<'_>, args: &Args<'_>) -> Result<&'c StreamValue, CommandError> {
    read(call, args)?.ok_or_else(|| super::generic::NO_SUCH_KEY.into())
}

/// Entries that XINFO STREAM FULL shows, unless told otherwise.
const FULL_COUNT: usize = 10;

/// `XINFO STREAM key [FULL [COUNT count]]` replies with a map of figures.
fn about_stream(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let stream = stream(call, args)?;
    let full_count = full_count(args)?;
    let figures = if full_count.is_some() { 9 } else { 10 };
    reply.map(figures + stream.producers().map_or(0, |_| 6));
    let log = &stream.log;
    number("length", log.len() as i64, reply);
    number("radix-tree-keys", log.nodes_count() as i64, reply);
    number("radix-tree-nodes", log.radix_nodes_count() as i64, reply);
    id("last-generated-id", log.last_id, reply);
    id("max-deleted-entry-id", log.max_deleted_id, reply);
    number("entries-added", log.entries_added as i64, reply);
    id("recorded-first-entry-id", log.first_id(), reply);
    if let Some(producers) = stream.producers() {
        reply_producers(producers, now_ms, reply);
    }
    match full_count {
        None => reply_ends(stream, reply),
        Some(count_max) => reply_full(stream, count_max, reply),
    }
    Ok(Effect::NONE)
}

/// What is remembered of producers, where there ever were any: Redis 8.0 does not know these figures.
fn reply_producers(producers: &Producers, now_ms: i64, reply: &mut Reply<'_>) {
    let (producers_count, marks_count) = producers.count(now_ms as u64);
    number("idmp-duration", producers.duration_s() as i64, reply);
    number("idmp-maxsize", producers.marks_max() as i64, reply);
    number("pids-tracked", producers_count as i64, reply);
    number("iids-tracked", marks_count as i64, reply);
    number("iids-added", producers.added as i64, reply);
    number("iids-duplicates", producers.duplicates as i64, reply);
}

/// How many entries FULL asks for; none without FULL.
fn full_count(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    let is_full = args.len() > 2 && args.is(2, "FULL");
    match args.len() {
        2 => Ok(None),
        3 if is_full => Ok(Some(FULL_COUNT)),
        5 if is_full && args.is(3, "COUNT") => Ok(Some(match integer(args.get(4))? {
            0 => usize::MAX,
            count => usize::try_from(count).unwrap_or(FULL_COUNT),
        })),
        _ => Err(unknown_or_arity("XINFO", args.get(0))),
    }
}

fn reply_ends(stream: &StreamValue, reply: &mut Reply<'_>) {
    number("groups", stream.groups_count() as i64, reply);
    let log = &stream.log;
    let first = log.range(StreamId::MIN, StreamId::MAX).next();
    let last = log.range_back(StreamId::MIN, StreamId::MAX).next();
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => reply_entry(&entry, reply),
            None => reply.null(),
        }
    }
}

fn reply_full(stream: &StreamValue, count_max: usize, reply: &mut Reply<'_>) {
    reply.bulk(b"entries");
    reply_entries(
        stream.log.range(StreamId::MIN, StreamId::MAX),
        count_max,
        reply,
    );
    reply.bulk(b"groups");
    reply.array(stream.groups_count());
    for (name, group) in stream.groups() {
        // Redis 8.0 does not know this figure: it is told where there is something to tell.
        let released_count = group.released_count();
        reply.map(if released_count > 0 { 8 } else { 7 });
        reply.bulk(b"name");
        reply.bulk(name);
        id("last-delivered-id", group.last_id, reply);
        reply_progress(stream, group, reply);
        number("pel-count", group.pending_count() as i64, reply);
        if released_count > 0 {
            number("nacked-count", released_count as i64, reply);
        }
        reply.bulk(b"pending");
        reply.array(group.pending_count().min(count_max));
        for (id, pending) in group.pending_from(StreamId::MIN).take(count_max) {
            reply.array(4);
            reply_id(id, reply);
            let name = pending.consumer.map(|number| group.consumer(number).name());
            reply.bulk(name.unwrap_or_default());
            reply.integer(pending.delivered_at_ms);
            reply.integer(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers_count());
        for (number, consumer) in group.consumers() {
            reply_consumer(group, number, consumer, count_max, reply);
        }
    }
}

fn reply_consumer(
    group: &Group,
    consumer_number: ConsumerNumber,
    consumer: &Consumer,
    count_max: usize,
    reply: &mut Reply<'_>,
) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    number("seen-time", consumer.seen_at_ms, reply);
    number("active-time", consumer.active_at_ms.unwrap_or(-1), reply);
    number("pel-count", consumer.pending_count() as i64, reply);
    reply.bulk(b"pending");
    reply.array(consumer.pending_count().min(count_max));
    let pending = group.pending_of(consumer_number, StreamId::MIN);
    for (id, pending) in pending.take(count_max) {
        reply.array(3);
        reply_id(id, reply);
        reply.integer(pending.delivered_at_ms);
        reply.integer(pending.deliveries as i64);
    }
}

/// How far a group has read, as far as that is known.
fn reply_progress(stream: &StreamValue, group: &Group, reply: &mut Reply<'_>) {
    reply.bulk(b"entries-read");
    known(group.entries_read.map(|read| read as i64), reply);
    reply.bulk(b"lag");
    known(stream.lag(group), reply);
}

/// `XINFO GROUPS key` replies with a map of figures for each group.
fn about_groups(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let stream = stream(call, args)?;
    reply.array(stream.groups_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        number("consumers", group.consumers_count() as i64, reply);
        number("pending", group.pending_count() as i64, reply);
        id("last-delivered-id", group.last_id, reply);
        reply_progress(stream, group, reply);
    }
    Ok(Effect::NONE)
}

/// `XINFO CONSUMERS key group` replies with a map of figures for each consumer.
fn about_consumers(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let stream = stream(call, args)?;
    let Some(group) = stream.group(args.get(2)) else {
        return Err(no_group_for_key(args.get(1), args.get(2)));
    };
    reply.array(group.consumers_count());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        number("pending", consumer.pending_count() as i64, reply);
        number(
            "idle",
            now_ms.saturating_sub(consumer.seen_at_ms).max(0),
            reply,
        );
        let inactive_ms = consumer
            .active_at_ms
            .map_or(-1, |active_at_ms| now_ms.saturating_sub(active_at_ms));
        number("inactive", inactive_ms, reply);
    }
    Ok(Effect::NONE)
}

fn number(name: &str, value: i64, reply: &mut Reply<'_>) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

fn id(name: &str, value: StreamId, reply: &mut Reply<'_>) {
    reply.bulk(name.as_bytes());
    reply_id(value, reply);
}

fn known(value: Option<i64>, reply: &mut Reply<'_>) {
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    The consumers of a group.",
    "GROUPS <key>",
    "    The groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    A stream; FULL shows its entries, groups and consumers, too.",
    "HELP",
    "    Print this help.",
];

fn help(
    _call: &mut Call<'_>,
    _args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply_help(HELP, reply);
    Ok(Effect::NONE)
}

const ABOUT_KEY: Command = Command {
    since: "5.0.0",
    group: CommandGroup::Stream,
    flags: Flags::READONLY,
    keys: &[key_at(2, "RO", &["access"])],
    ..ROW
};

/// XINFO.
pub const COMMANDS: &[Command] = &[Command {
    name: "XINFO",
    since: "5.0.0",
    group: CommandGroup::Stream,
    arity: Arity::AtLeast(2),
    summary: "Tells about streams, groups and consumers.",
    cost: "Depends on the subcommand.",
    sub: &[
        Command {
            name: "STREAM",
            arity: Arity::AtLeast(3),
            args: "key full-block=[FULL [COUNT count]]",
            summary: "Tells about a stream.",
            history: &[
                ("6.0.0", "`FULL`"),
                (
                    "7.0.0",
                    "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`",
                ),
                ("7.2.0", "`active-time`, and another meaning of `seen-time`"),
                ("8.6.0", "what is remembered of producers"),
                ("8.8.0", "`nacked-count`"),
            ],
            run: Run::Keys(about_stream),
            ..ABOUT_KEY
        },
        Command {
            name: "GROUPS",
            arity: Arity::Exactly(3),
            args: "key",
            summary: "Tells about the groups of a stream.",
            history: &[("7.0.0", "`entries-read` and `lag`")],
            run: Run::Keys(about_groups),
            ..ABOUT_KEY
        },
        Command {
            name: "CONSUMERS",
            arity: Arity::Exactly(4),
            args: "key group",
            summary: "Tells about the consumers of a group.",
            tips: &["nondeterministic_output"],
            history: &[("7.2.0", "`inactive`, and another meaning of `idle`")],
            run: Run::Keys(about_consumers),
            ..ABOUT_KEY
        },
        Command {
            name: "HELP",
            since: "5.0.0",
            group: CommandGroup::Stream,
            arity: Arity::Exactly(2),
            flags: Flags::LOADING.or(Flags::STALE),
            spread: Spread::AnyCore,
            summary: "Lists the subcommands.",
            run: Run::Keys(help),
            ..ROW
        },
    ],
    ..ROW
}];
