//! XGROUP and XACK: groups are made and removed, what they delivered is acknowledged.
//!
//! Tests     tests/transcripts/stream_group.txt.

use super::CommandError;
use super::object::reply_help;
use super::row::*;
use super::stream_words::{id, id_or_end, ids, no_group_for_key};
use super::table::unknown_or_arity;
use super::table::{
    Arity, Call, Command, Effect, Flags, Group as CommandGroup, Run, Spread, Touched,
};
use super::word::integer;
use crate::ds::stream::{Group, StreamId};
use crate::keyspace::Classes;
use crate::keyspace::{Held, StreamValue};
use crate::resp::{Args, Reply};

const KEY_MUST_EXIST: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want \
    to use the MKSTREAM option to create an empty stream automatically.";

/// `[MKSTREAM] [ENTRIESREAD n]` from word 4 on, as CREATE and SETID take them.
struct Options {
    creates: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &Args<'_>, is_create: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            creates: false,
            entries_read: None,
        };
        let mut index = 4;
        while index < args.len() {
            if is_create && args.is(index, "MKSTREAM") {
                options.creates = true;
                index += 1;
            } else if args.is(index, "ENTRIESREAD") && index + 1 < args.len() {
                let entries_read = integer(args.get(index + 1))?;
                if entries_read < -1 {
                    return Err("ERR value for ENTRIESREAD must be positive or -1".into());
                }
                options.entries_read = u64::try_from(entries_read).ok();
                index += 2;
            } else {
                return Err(unknown_or_arity("XGROUP", args.get(0)));
            }
        }
        Ok(options)
    }
}

/// The stream at word 1, which must be there.
fn held<'c>(
    call: &'c mut Call<'_>,
    args: &Args<'_>,
) -> Result<Held<'c, StreamValue>, CommandError> {
    let key = call.keys.key(args.get(1));
    let found = call.keys.write(call.db, &key, call.caller.no_touch)?;
    found.ok_or_else(|| KEY_MUST_EXIST.into())
}

/// The same, with the group that word 2 names.
fn held_with_group<'c>(
    call: &'c mut Call<'_>,
    args: &Args<'_>,
) -> Result<Held<'c, StreamValue>, CommandError> {
    let held = held(call, args)?;
    match held.get().group(args.get(2)) {
        Some(_) => Ok(held),
        None => Err(no_group_for_key(args.get(1), args.get(2))),
    }
}

/// `XGROUP CREATE key group id [MKSTREAM] [ENTRIESREAD n]` replies OK.
fn create(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = Options::parse(args, true)?;
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let word = args.get(3);
    let mut is_new = false;
    if !options.creates {
        held(call, args)?;
    } else {
        // A key of another type comes before an id that is none; neither leaves a stream behind.
        let found = call.keys.write::<StreamValue>(call.db, &key, no_touch)?;
        is_new = found.is_none();
    }
    if args.len() > 7 {
        return Err(unknown_or_arity("XGROUP", args.get(0)));
    }
    let given = if word == b"$" {
        None
    } else {
        Some(id(word, 0)?)
    };
    let mut held = call
        .keys
        .write_or_create::<StreamValue>(call.db, &key, no_touch)?;
    let stream = held.get_mut();
    let last_id = given.unwrap_or(stream.log.last_id);
    if !stream.add_group(args.get(2), Group::new(last_id, options.entries_read)) {
        return Err("BUSYGROUP Consumer Group name already exists".into());
    }
    if is_new {
        call.keys.tell_change(&key);
    }
    tell_of_group(call, "xgroup-create", args.get(1));
    reply.ok();
    Ok(Effect::wrote(1).touching(Touched::ComeOrGone))
}

/// `XGROUP SETID key group id [ENTRIESREAD n]` replies OK.
fn setid(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = Options::parse(args, false)?;
    let mut held = held_with_group(call, args)?;
    if args.len() != 4 && args.len() != 6 {
        return Err(unknown_or_arity("XGROUP", args.get(0)));
    }
    let last_id = match args.get(3) {
        b"$" => held.get().log.last_id,
        word => id_or_end(word, 0)?,
    };
    if let Some((_, mut group)) = held.get_mut().group_mut(args.get(2)) {
        group.last_id = last_id;
        group.entries_read = options.entries_read;
    }
    tell_of_group(call, "xgroup-setid", args.get(1));
    reply.ok();
    Ok(Effect::wrote(1).touching(Touched::ComeOrGone))
}

/// Something happened to the groups of a stream, which leaves what is read of it as it was.
pub(super) fn tell_of_group(call: &mut Call<'_>, event: &'static str, key: &[u8]) {
    let class = Classes::STREAM;
    call.keys.tell_aside(call.db, class, event, key);
}

/// `XGROUP DESTROY key group` replies with 1 if there was one.
fn destroy(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut held = held(call, args)?;
    let group = held.get_mut().remove_group(args.get(2));
    let had = u64::from(group.is_some());
    if let Some(group) = group {
        call.keys.discard(call.db, StreamValue::of_rest(*group));
    }
    if had > 0 {
        tell_of_group(call, "xgroup-destroy", args.get(1));
    }
    reply.integer(had as i64);
    Ok(Effect::wrote(had).touching(Touched::ComeOrGone))
}

/// `XGROUP CREATECONSUMER key group consumer` replies with 1 if it is new.
fn create_consumer(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let mut held = held_with_group(call, args)?;
    let group = held.get_mut().group_mut(args.get(2));
    let added = group.and_then(|(_, mut group)| group.add_consumer(args.get(3), now_ms));
    let is_new = added.is_some();
    if is_new {
        tell_of_group(call, "xgroup-createconsumer", args.get(1));
    }
    reply.integer(i64::from(is_new));
    Ok(Effect::wrote(u64::from(is_new)).touching(Touched::ComeOrGone))
}

/// `XGROUP DELCONSUMER key group consumer` replies with how many entries it had pending.
fn delete_consumer(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut held = held_with_group(call, args)?;
    let group = held.get_mut().group_mut(args.get(2));
    let removed = group.and_then(|(_, mut group)| group.remove_consumer(args.get(3)));
    let Some((pending_count, rest)) = removed else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    call.keys.discard(call.db, StreamValue::of_rest(rest));
    tell_of_group(call, "xgroup-delconsumer", args.get(1));
    reply.integer(pending_count as i64);
    Ok(Effect::wrote(1).touching(Touched::ComeOrGone))
}

/// `XACK key group id [id ...]` replies with how many of them were pending.
fn xack(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    // As in Redis, which asks for it as a reader does.
    let found = (call.keys).read_to_change::<StreamValue>(call.db, &key, no_touch)?;
    let Some(mut held) = found else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let Some((_, mut group)) = held.get_mut().group_mut(args.get(2)) else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let mut acknowledge = |id: StreamId| group.acknowledge(id).is_some();
    let acknowledged = if args.len() == 4 {
        usize::from(acknowledge(id(args.get(3), 0)?))
    } else {
        ids(args, 3)?
            .into_iter()
            .filter(|id| acknowledge(*id))
            .count()
    };
    reply.integer(acknowledged as i64);
    Ok(Effect::wrote(acknowledged as u64).touching(Touched::ComeOrGone))
}

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <entries_read>]",
    "    Makes a group that has delivered everything up to <id>, or all there is.",
    "    MKSTREAM makes an empty stream where there is none.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Makes a consumer.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Removes a consumer with what it has pending.",
    "DESTROY <key> <groupname>",
    "    Removes a group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD <entries_read>]",
    "    Sets up to where a group has delivered.",
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

/// What the subcommands about one key have in common.
const ABOUT_KEY: Command = Command {
    since: "5.0.0",
    group: CommandGroup::Stream,
    flags: Flags::WRITE,
    ..ROW
};

/// XGROUP and XACK.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XGROUP",
        since: "5.0.0",
        group: CommandGroup::Stream,
        arity: Arity::AtLeast(2),
        summary: "Makes, changes and removes consumer groups.",
        cost: "Depends on the subcommand.",
        sub: &[
            Command {
                name: "CREATE",
                arity: Arity::AtLeast(5),
                flags: WRITE_GROW,
                keys: &[key_at(2, "RW", &["insert"])],
                args: "key group id-selector=(id | new-id=$) [MKSTREAM] \
                    [ENTRIESREAD entriesread:integer~entries-read]",
                summary: "Makes a consumer group.",
                history: &[("7.0.0", "`ENTRIESREAD`")],
                run: Run::Keys(create),
                ..ABOUT_KEY
            },
            Command {
                name: "SETID",
                arity: Arity::AtLeast(5),
                keys: &[key_at(2, "RW", &["update"])],
                args: "key group id-selector=(id | new-id=$) [ENTRIESREAD entriesread:integer~entries-read]",
                summary: "Sets up to which entry a group has delivered.",
                history: &[("7.0.0", "`ENTRIESREAD`")],
                run: Run::Keys(setid),
                ..ABOUT_KEY
            },
            Command {
                name: "DESTROY",
                arity: Arity::Exactly(4),
                keys: &[key_at(2, "RW", &["delete"])],
                args: "key group",
                summary: "Removes a consumer group.",
                cost: "O(N) for N entries that are pending in it",
                run: Run::Keys(destroy),
                ..ABOUT_KEY
            },
            Command {
                name: "CREATECONSUMER",
                since: "6.2.0",
                arity: Arity::Exactly(5),
                flags: WRITE_GROW,
                keys: &[key_at(2, "RW", &["insert"])],
                args: "key group consumer",
                summary: "Makes a consumer in a group.",
                run: Run::Keys(create_consumer),
                ..ABOUT_KEY
            },
            Command {
                name: "DELCONSUMER",
                arity: Arity::Exactly(5),
                keys: &[key_at(2, "RW", &["delete"])],
                args: "key group consumer",
                summary: "Removes a consumer from a group.",
                cost: "O(N) for N entries it has pending",
                run: Run::Keys(delete_consumer),
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
    },
    Command {
        name: "XACK",
        since: "5.0.0",
        group: CommandGroup::Stream,
        arity: Arity::AtLeast(4),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key group id [id ...]",
        summary: "Acknowledges entries that a group has delivered and tells how many were pending.",
        cost: "O(1) for each entry",
        run: Run::Keys(xack),
        ..ROW
    },
];
