//! OBJECT: how a value is held, and how long or how often it was used.
//!
//! Promises  asking moves no access clock.
//! Tests     tests/transcripts/object.txt, tests/keyspace/access.rs.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Run, Spread};
use crate::ds::key_table::{EntryMut, Value};
use crate::keyspace::Object;
use crate::keyspace::value::encoding_name;
use crate::resp::{Args, Reply};

/// Redis keeps one object for each of the integers below this, and reports an unbounded reference count for it.
const SHARED_INTEGERS: i64 = 10_000;

const LFU_SELECTED: &str = "ERR An LFU maxmemory policy is selected, idle time not tracked. \
    Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
const LFU_NOT_SELECTED: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
    Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";

/// The key at word 1, not touched; null is replied where there is none.
fn lookup<'c>(
    call: &'c mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Option<EntryMut<'c, Object>> {
    let key = call.keys.key(args.get(1));
    let found = call.keys.lookup_aside(call.db, &key);
    if found.is_none() {
        reply.null();
    }
    found
}

fn encoding(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if let Some(entry) = lookup(call, args, reply) {
        reply.bulk(encoding_name(&entry.value()).as_bytes());
    }
    Ok(Effect::NONE)
}

fn refcount(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let shares_integers = call.keys.access_policy().shares_integers();
    if let Some(entry) = lookup(call, args, reply) {
        reply.integer(match entry.value() {
            Value::Int(0..SHARED_INTEGERS) if shares_integers => i64::from(i32::MAX),
            _ => 1,
        });
    }
    Ok(Effect::NONE)
}

fn freq(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let Some(access) = lookup(call, args, reply).map(|entry| entry.access()) else {
        return Ok(Effect::NONE);
    };
    let policy = call.keys.access_policy();
    if !policy.is_lfu() {
        return Err(LFU_NOT_SELECTED.into());
    }
    reply.integer(i64::from(policy.frequency(access, call.keys.clock())));
    Ok(Effect::NONE)
}

fn idletime(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let Some(access) = lookup(call, args, reply).map(|entry| entry.access()) else {
        return Ok(Effect::NONE);
    };
    let policy = call.keys.access_policy();
    if policy.is_lfu() {
        return Err(LFU_SELECTED.into());
    }
    reply.integer(i64::from(policy.idle_seconds(access, call.keys.clock())));
    Ok(Effect::NONE)
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How the value of <key> is held: int, embstr or raw for strings.",
    "FREQ <key>",
    "    How often <key> was used of late, on a logarithmic scale. Needs an LFU maxmemory policy.",
    "IDLETIME <key>",
    "    Seconds since <key> was last used. Needs any other maxmemory policy.",
    "REFCOUNT <key>",
    "    References to the value of <key>.",
    "HELP",
    "    Print this help.",
];

/// Replies with lines of help.
pub fn reply_help(lines: &[&str], reply: &mut Reply<'_>) {
    reply.array(lines.len());
    for line in lines {
        reply.simple(line);
    }
}

fn help(
    _call: &mut Call<'_>,
    _args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply_help(HELP, reply);
    Ok(Effect::NONE)
}

/// What the subcommands about one key have in common.
const ABOUT_KEY: Command = Command {
    since: "2.2.3",
    arity: Arity::Exactly(3),
    flags: KEYSPACE_READ,
    keys: &[key_at(2, "RO", &[])],
    args: "key",
    tips: &["nondeterministic_output"],
    ..ROW
};

/// OBJECT.
pub const COMMANDS: &[Command] = &[Command {
    name: "OBJECT",
    since: "2.2.3",
    arity: Arity::AtLeast(2),
    summary: "Tells how values are held and used.",
    cost: "Depends on the subcommand.",
    sub: &[
        Command {
            name: "ENCODING",
            summary: "Names the layout a value is held in.",
            run: Run::Keys(encoding),
            ..ABOUT_KEY
        },
        Command {
            name: "FREQ",
            since: "4.0.0",
            summary: "Tells how often a key was used of late, on a logarithmic scale.",
            run: Run::Keys(freq),
            ..ABOUT_KEY
        },
        Command {
            name: "IDLETIME",
            summary: "Tells how many seconds ago a key was last used.",
            run: Run::Keys(idletime),
            ..ABOUT_KEY
        },
        Command {
            name: "REFCOUNT",
            summary: "Tells how many references a value has.",
            run: Run::Keys(refcount),
            ..ABOUT_KEY
        },
        Command {
            name: "HELP",
            since: "6.2.0",
            arity: Arity::Exactly(2),
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::CAT_KEYSPACE),
            spread: Spread::AnyCore,
            summary: "Lists the subcommands.",
            run: Run::Keys(help),
            ..ROW
        },
    ],
    ..ROW
}];
