//! Plan: how many shards a request needs.
//!
//! Promises  no allocation; a command with one key costs one slot computation, with one shard not even that.
//! Not here  running it: `shard/` for one shard, `router/transaction.rs` for several.

use super::ShardId;
use crate::commands::scan::Cursor;
use crate::commands::sort::has_patterns;
use crate::commands::table::{Program, Run, Spread};
use crate::commands::{Entry, Flags, KeyShape, for_each_key};
use crate::keyspace::SlotMap;
use crate::resp::Args;

/// Where a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// On the connection's core, without keys.
    Here,
    /// Whole, on this shard.
    Shard(ShardId),
    /// As a [`super::Transaction`].
    Many,
}

/// Decides where a request runs.
///
/// - `args`: all words, a container's name included; the arity has been checked.
/// - `here`: where a command without keys of its own runs, and one whose words hide its keys: its handler there
///   finds what is wrong with them.
#[inline]
pub fn plan(entry: &'static Entry, args: &Args<'_>, map: &SlotMap, here: ShardId) -> Plan {
    if !matches!(
        entry.command.run,
        Run::Keys(_) | Run::Waits(_) | Run::Script(_)
    ) {
        return Plan::Here;
    }
    if map.shards_count() == 1 {
        return match entry.command.spread {
            // It waits for another server between its steps.
            Spread::Gather(Program::Migrate) => Plan::Many,
            // A snapshot may follow it before its reply.
            Spread::EveryShard(_) if entry.command.flags.has(Flags::SAVED) => Plan::Many,
            _ => Plan::Shard(0),
        };
    }
    match (entry.keys, entry.command.spread) {
        (KeyShape::One(at), _) if usize::from(at) < args.len() => {
            Plan::Shard(map.shard_of(args.get(usize::from(at))))
        }
        (_, Spread::EveryShard(_)) => Plan::Many,
        (_, Spread::Cursor) => plan_walk(args, map, here),
        (_, Spread::Gather(Program::Migrate)) => Plan::Many,
        // A Gather command without keys (RANDOMKEY) asks every shard.
        (KeyShape::None, Spread::Gather(_)) => Plan::Many,
        _ => plan_keys(entry, args, map, here),
    }
}

fn plan_keys(entry: &'static Entry, args: &Args<'_>, map: &SlotMap, here: ShardId) -> Plan {
    let mut home = None;
    let mut is_many = false;
    let is_known = for_each_key(entry, args, |index| {
        let shard = map.shard_of(args.get(index));
        is_many |= *home.get_or_insert(shard) != shard;
    });
    if entry.command.spread == Spread::Gather(Program::Sort) {
        // The keys that its patterns lead to may be anywhere.
        is_many |= has_patterns(args);
    }
    match home {
        Some(_) if is_many && is_known => Plan::Many,
        // Also where not all specifications fit: PFMERGE without sources has its destination.
        Some(shard) if !is_many => Plan::Shard(shard),
        _ => Plan::Shard(here),
    }
}

/// A SCAN goes on in the midst of one shard's keys, or begins with those of one and takes in the next ones' if there is room.
/// A cursor that is none is refused by the handler, on any shard.
fn plan_walk(args: &Args<'_>, map: &SlotMap, here: ShardId) -> Plan {
    if args.len() < 2 {
        return Plan::Shard(here);
    }
    match Cursor::parse(args.get(1), map.shards_count()) {
        Ok(Cursor { shard, position: 0 }) if shard + 1 < map.shards_count() => Plan::Many,
        Ok(Cursor { shard, .. }) => Plan::Shard(shard),
        Err(_) => Plan::Shard(here),
    }
}
