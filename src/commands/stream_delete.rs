//! XDEL, XDELEX, XACKDEL and XSETID: entries go by their ids, and a stream's own ids are set.
//!
//! Promises  all ids are read before the first entry is deleted.
//! Tests     tests/transcripts/stream.txt, stream_references.txt.

use super::CommandError;
use super::row::*;
use super::stream_add::references;
use super::stream_words::{id, ids};
use super::table::{Arity, Call, Command, Effect, Group, Run, Touched};
use super::word::integer;
use crate::ds::stream::{Deletion, References, StreamId};
use crate::keyspace::Classes;
use crate::keyspace::StreamValue;
use crate::resp::{Args, Reply};

/// `XDEL key id [id ...]` replies with how many entries there were.
fn xdel(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let Some(mut held) = call.keys.write::<StreamValue>(call.db, &key, no_touch)? else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let ids = ids(args, 2)?;
    let stream = held.get_mut();
    let deleted = ids.into_iter().filter(|id| stream.log.delete(*id)).count();
    if deleted > 0 {
        call.tell(Classes::STREAM, "xdel", key.bytes);
    }
    reply.integer(deleted as i64);
    Ok(Effect::wrote(deleted as u64))
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]`, in any order.
struct Named {
    references: References,
    ids_at: usize,
    ids_count: usize,
}

impl Named {
    fn parse(args: &Args<'_>, from: usize) -> Result<Self, CommandError> {
        let mut named = Self {
            references: References::Keep,
            ids_at: 0,
            ids_count: 0,
        };
        let mut has_references = false;
        let mut index = from;
        while index < args.len() {
            if let Some(references) = references(args.get(index)) {
                if has_references {
                    return Err(CommandError::Syntax);
                }
                (named.references, has_references) = (references, true);
                index += 1;
                continue;
            }
            let (ids_at, ids_count) = ids_block(args, index)?;
            if named.ids_count > 0 {
                return Err(CommandError::Syntax);
            }
            (named.ids_at, named.ids_count) = (ids_at, ids_count);
            index = ids_at + ids_count;
        }
        if named.ids_count == 0 {
            return Err(CommandError::Syntax);
        }
        Ok(named)
    }

    fn ids(&self, args: &Args<'_>) -> Result<Vec<StreamId>, CommandError> {
        let words = args.iter_from(self.ids_at).take(self.ids_count);
        words.map(|word| id(word, 0)).collect()
    }
}

/// `IDS numids id [id ...]` at a word: where its ids begin, and how many there are.
pub fn ids_block(args: &Args<'_>, index: usize) -> Result<(usize, usize), CommandError> {
    if !args.is(index, "IDS") || index + 1 >= args.len() {
        return Err(CommandError::Syntax);
    }
    let count = integer(args.get(index + 1))
        .ok()
        .and_then(|count| usize::try_from(count).ok());
    let count = match count {
        Some(count) if count > 0 => count,
        _ => return Err("ERR Number of IDs must be a positive integer".into()),
    };
    if count > args.len() - index - 2 {
        return Err("ERR The `numids` parameter must match the number of arguments".into());
    }
    Ok((index + 2, count))
}

fn reply_deletion(deletion: Deletion, reply: &mut Reply<'_>) {
    reply.integer(match deletion {
        Deletion::Missing => -1,
        Deletion::Deleted => 1,
        Deletion::Referenced => 2,
    });
}

fn reply_all_missing(count: usize, reply: &mut Reply<'_>) {
    reply.array(count);
    (0..count).for_each(|_| reply_deletion(Deletion::Missing, reply));
}

/// `XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]` replies with what came of each.
fn xdelex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let found = call.keys.write::<StreamValue>(call.db, &key, no_touch)?;
    let named = Named::parse(args, 2)?;
    let Some(mut held) = found else {
        reply_all_missing(named.ids_count, reply);
        return Ok(Effect::NONE);
    };
    let ids = named.ids(args)?;
    let stream = held.get_mut();
    reply.array(ids.len());
    let mut deleted = 0;
    for id in ids {
        let deletion = stream.delete(id, named.references);
        deleted += u64::from(deletion == Deletion::Deleted);
        reply_deletion(deletion, reply);
    }
    if deleted > 0 {
        call.tell(Classes::STREAM, "xdel", key.bytes);
    } else if named.references == References::Delete && call.is_logged {
        // What had gone before may have been pending until now, which counts as no change.
        call.log_all_the_same("XDELEX", args);
    }
    Ok(Effect::wrote(deleted))
}

/// `XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]` replies with what came of each: only what was
/// pending is looked at.
fn xackdel(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    // As in Redis, which asks for the group as a reader does.
    let found = (call.keys).read_to_change::<StreamValue>(call.db, &key, no_touch)?;
    let named = Named::parse(args, 3)?;
    let group = args.get(2);
    let Some(mut held) = found.filter(|held| held.get().group(group).is_some()) else {
        reply_all_missing(named.ids_count, reply);
        return Ok(Effect::NONE);
    };
    let ids = named.ids(args)?;
    let stream = held.get_mut();
    reply.array(ids.len());
    let (mut changes, mut deleted) = (0, false);
    for id in ids {
        let acknowledged = stream
            .group_mut(group)
            .and_then(|(_, mut group)| group.acknowledge(id));
        if acknowledged.is_none() {
            reply_deletion(Deletion::Missing, reply);
            continue;
        }
        // An entry that was gone already is acknowledged, and so gone in every respect.
        let deletion = stream.delete(id, named.references);
        let is_deleted = deletion == Deletion::Deleted;
        let deletion = match deletion {
            Deletion::Referenced => Deletion::Referenced,
            Deletion::Deleted | Deletion::Missing => Deletion::Deleted,
        };
        changes += 1;
        reply_deletion(deletion, reply);
        deleted |= is_deleted;
    }
    if deleted {
        call.tell(Classes::STREAM, "xdel", key.bytes);
    }
    Ok(Effect::wrote(changes))
}

/// `XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id]` sets what a stream remembers.
fn xsetid(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let last_id = id(args.get(2), 0)?;
    let mut entries_added = None;
    let mut max_deleted_id = StreamId::MIN;
    let mut index = 3;
    while index < args.len() {
        if index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        let word = args.get(index + 1);
        if args.is(index, "ENTRIESADDED") {
            let Ok(added) = u64::try_from(integer(word)?) else {
                return Err("ERR entries_added must be positive".into());
            };
            entries_added = Some(added);
        } else if args.is(index, "MAXDELETEDID") {
            max_deleted_id = id(word, 0)?;
            if last_id < max_deleted_id {
                return Err("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id".into());
            }
        } else {
            return Err(CommandError::Syntax);
        }
        index += 2;
    }
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let Some(mut held) = call.keys.write::<StreamValue>(call.db, &key, no_touch)? else {
        return Err(super::generic::NO_SUCH_KEY.into());
    };
    let log = &mut held.get_mut().log;
    if last_id < log.max_deleted_id {
        return Err(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id".into(),
        );
    }
    if log.last_living().is_some_and(|last| last_id < last) {
        return Err(
            "ERR The ID specified in XSETID is smaller than the target stream top item".into(),
        );
    }
    if entries_added.is_some_and(|added| added < log.len()) {
        return Err(
            "ERR The entries_added specified in XSETID is smaller than the target stream length"
                .into(),
        );
    }
    log.set_last_id(last_id);
    if let Some(added) = entries_added {
        log.entries_added = added;
    }
    if !max_deleted_id.is_zero() {
        log.max_deleted_id = max_deleted_id;
    }
    let class = Classes::STREAM;
    call.keys.tell_aside(call.db, class, "xsetid", args.get(1));
    reply.ok();
    Ok(Effect::wrote(1).touching(Touched::ComeOrGone))
}

/// XDEL, XDELEX, XACKDEL and XSETID.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XDEL",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key id [id ...]",
        summary: "Deletes entries of a stream by their ids and tells how many there were.",
        cost: "O(1) for each entry",
        run: Run::Keys(xdel),
        ..ROW
    },
    Command {
        name: "XDELEX",
        since: "8.2.0",
        group: Group::Stream,
        arity: Arity::AtLeast(5),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key condition=[KEEPREF | DELREF | ACKED] ids=IDS(numids:integer id [id ...])",
        summary: "Deletes entries of a stream, minding what groups have of them.",
        cost: "O(1) for each entry and group",
        run: Run::Keys(xdelex),
        ..ROW
    },
    Command {
        name: "XACKDEL",
        since: "8.2.0",
        group: Group::Stream,
        arity: Arity::AtLeast(6),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["update", "delete"])],
        args: "key group condition=[KEEPREF | DELREF | ACKED] ids=IDS(numids:integer id [id ...])",
        summary: "Acknowledges entries for a group and deletes them, minding what other groups have of them.",
        cost: "O(1) for each entry and group",
        run: Run::Keys(xackdel),
        ..ROW
    },
    Command {
        name: "XSETID",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key last-id [ENTRIESADDED entries-added:integer]@7.0.0 [MAXDELETEDID max-deleted-id]@7.0.0",
        summary: "Sets the last id of a stream, for internal use.",
        history: &[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`")],
        run: Run::Keys(xsetid),
        ..ROW
    },
];
