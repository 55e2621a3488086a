//! HIMPORT: many hashes with the same fields, whose names are sent once.
//!
//!     HIMPORT PREPARE u name email        the connection remembers names: a fieldset
//!     HIMPORT SET k u alice a@b           words -> HIMPORT SET k name alice email a@b -> the shard of k
//!
//! Promises  a fieldset is the connection's own and goes with it, or with RESET; what it takes counts as the client's memory.
//! Not here  putting names between values before a request is sent to its shard: `node/dispatch.rs` asks [`Fieldsets::spell_out`].
//!           PREPARE and DISCARD are refused inside MULTI, where a SET would not know which fields it is to have.
//! Source    Redis 8.10's documentation of HIMPORT. The hashes are ordinary ones: their names are not shared in memory.
//! Tests     tests/commands/himport.rs; tests/server/himport.rs.

use std::collections::BTreeMap;

use super::CommandError;
use super::row::*;
use super::session::{Action, SessionCall};
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run, Spread};
use crate::keyspace::hash::FieldDeadline;
use crate::keyspace::{Classes, Hash};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};

/// The fieldsets of a connection, by name.
#[derive(Clone, Debug, Default)]
pub struct Fieldsets {
    by_name: BTreeMap<Vec<u8>, OwnedArgs>,
    bytes: usize,
}

impl Fieldsets {
    /// Adds a fieldset, in place of another of that name.
    fn add(&mut self, name: &[u8], fields: OwnedArgs) {
        self.remove(name);
        self.bytes += bytes_of(name, &fields);
        self.by_name.insert(name.to_vec(), fields);
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        match self.by_name.remove(name) {
            Some(fields) => {
                self.bytes -= bytes_of(name, &fields);
                true
            }
            None => false,
        }
    }

    /// Bytes allocated, about.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }

    /// `HIMPORT SET key fieldset value [value ...]` as `HIMPORT SET key field value [field value ...]`.
    pub fn spell_out(&self, args: &Args<'_>) -> Result<OwnedArgs, CommandError> {
        let fields = self.by_name.get(args.get(3)).ok_or(NO_SUCH_FIELDSET)?;
        let fields = fields.as_args();
        if args.len() - 4 != fields.len() {
            return Err("ERR value count does not match the fieldset's field count".into());
        }
        let mut words: OwnedArgs = (0..3).map(|index| args.get(index)).collect();
        for (field, value) in fields.iter_from(0).zip(args.iter_from(4)) {
            words.push(field);
            words.push(value);
        }
        Ok(words)
    }
}

fn bytes_of(name: &[u8], fields: &OwnedArgs) -> usize {
    size_of::<(Vec<u8>, OwnedArgs)>() + name.len() + fields.heap_bytes()
}

/// What a client is told that has prepared no such fieldset.
pub const NO_SUCH_FIELDSET: &str = "ERR no such fieldset";

/// `HIMPORT PREPARE fieldset field [field ...]` replies OK.
fn prepare(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let mut sorted: Vec<&[u8]> = args.iter_from(2).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("ERR duplicate field name in fieldset".into());
    }
    let fieldsets = call.session.fieldsets.get_or_insert_default();
    fieldsets.add(args.get(1), args.iter_from(2).collect());
    reply.ok();
    Ok(Action::Done)
}

/// `HIMPORT DISCARD fieldset` replies 1, or 0 where there is none.
fn discard(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let fieldsets = &mut call.session.fieldsets;
    let was_there = fieldsets.as_mut().is_some_and(|it| it.remove(args.get(1)));
    fieldsets.take_if(|it| it.by_name.is_empty());
    reply.integer(i64::from(was_there));
    Ok(Action::Done)
}

/// `HIMPORT DISCARDALL` replies with how many fieldsets there were.
fn discard_all(
    call: &mut SessionCall<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let fieldsets = call.session.fieldsets.take();
    reply.integer(fieldsets.map_or(0, |it| it.by_name.len()) as i64);
    Ok(Action::Done)
}

/// `HIMPORT SET key field value [field value ...]`, as [`Fieldsets::spell_out`] has it: the hash is these fields.
fn set(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let key = call.keys.key(args.get(1));
    let before = call
        .keys
        .write::<Hash>(call.db, &key, call.caller.no_touch)?;
    let replaces = before.is_some();
    let mut hash = Hash::default();
    hash.make_room(args.iter_from(2), &limits);
    for index in (2..args.len().saturating_sub(1)).step_by(2) {
        let (field, value) = (args.get(index), args.get(index + 1));
        hash.set(field, value, FieldDeadline::Drop, &limits);
    }
    call.keys.replace(call.db, &key, hash);
    if call.is_logged {
        let mut commands: Vec<OwnedArgs> = Vec::new();
        if replaces {
            commands.push([b"DEL".as_slice(), key.bytes].into_iter().collect());
        }
        let words = [b"HSET".as_slice(), key.bytes].into_iter();
        commands.push(words.chain(args.iter_from(2)).collect());
        call.log_instead(commands);
    }
    call.tell(Classes::HASH, "hset", key.bytes);
    reply.ok();
    Ok(Effect::wrote(1))
}

const OF_SESSION: Command = Command {
    since: "8.10.0",
    group: Group::Hash,
    flags: Flags::NOSCRIPT.or(Flags::NO_MULTI),
    spread: Spread::AnyCore,
    ..ROW
};

/// HIMPORT.
pub const COMMANDS: &[Command] = &[Command {
    name: "HIMPORT",
    since: "8.10.0",
    group: Group::Hash,
    arity: Arity::AtLeast(2),
    summary: "Creates many hashes whose fields are named once.",
    cost: "Depends on the subcommand.",
    sub: &[
        Command {
            name: "PREPARE",
            arity: Arity::AtLeast(4),
            args: "fieldset-name:string field:string [field:string ...]",
            summary: "Names the fields of hashes to be created by this connection.",
            cost: "O(N log N) for N fields",
            run: Run::Session(prepare),
            ..OF_SESSION
        },
        Command {
            name: "SET",
            since: "8.10.0",
            group: Group::Hash,
            arity: Arity::AtLeast(5),
            flags: WRITE_GROW.or(Flags::NOSCRIPT).or(Flags::SPELLED_OUT),
            keys: &[key_at(2, "OW", &["update"])],
            args: "key fieldset-name:string value:string [value:string ...]",
            summary: "Creates a hash of a fieldset's fields and these values.",
            cost: "O(N) for N fields",
            run: Run::Keys(set),
            ..ROW
        },
        Command {
            name: "DISCARD",
            arity: Arity::Exactly(3),
            args: "fieldset-name:string",
            summary: "Forgets a fieldset.",
            cost: "O(1)",
            run: Run::Session(discard),
            ..OF_SESSION
        },
        Command {
            name: "DISCARDALL",
            arity: Arity::Exactly(2),
            summary: "Forgets all fieldsets of the connection.",
            cost: "O(N) for N fieldsets",
            run: Run::Session(discard_all),
            ..OF_SESSION
        },
    ],
    ..ROW
}];
