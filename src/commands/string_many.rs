//! Several strings in one request: MGET, MSET, MSETNX, MSETEX.
//!
//! Promises  on one shard each is one step. Over several, MGET and MSET are cut by key; MSETNX and MSETEX, whose keys
//!           decide together, are programs of `router/`, which reads the words with [`MsetEx`].
//! Source    MSETEX: Redis 8.4 documentation.
//! Tests     tests/transcripts/string_many.txt.

use super::CommandError;
use super::deadline::{DeadlineOption, DeadlineWords};
use super::digest::Condition;
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Merge, Program,
    Run, Spread,
};
use super::word::{integer, reply_string, value};
use crate::ds::key_table::Value;
use crate::keyspace::{Classes, Deadline};
use crate::resp::{Args, Reply};

/// `MGET key [key ...]` replies with an array: each key's string, or null where it is missing or no string.
fn mget(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply.array(args.len() - 1);
    for word in args.iter_from(1) {
        let key = call.keys.key(word);
        match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
            Some(entry) => match entry.value() {
                Value::Object(_) => reply.null(),
                string => reply_string(&string, reply)?,
            },
            None => reply.null(),
        }
    }
    Ok(Effect::NONE)
}

/// `MSET key value [key value ...]` replies OK.
fn mset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    check_pairs(args, "mset")?;
    set_pairs(call, args, 1..args.len(), Deadline::Drop);
    reply.ok();
    Ok(Effect::wrote((args.len() as u64 - 1) / 2))
}

/// `MSETNX key value [key value ...]` replies 1 if it set them, 0 if one of them was there.
fn msetnx(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    check_pairs(args, "msetnx")?;
    if !all_keys(call, args, 1..args.len(), false) {
        reply.integer(0);
        return Ok(Effect::NONE);
    }
    set_pairs(call, args, 1..args.len(), Deadline::Drop);
    reply.integer(1);
    Ok(Effect::wrote((args.len() as u64 - 1) / 2))
}

/// Refuses a key without a value; `command` in lower case.
pub fn check_pairs(args: &Args<'_>, command: &'static str) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(command));
    }
    Ok(())
}

/// What MSETEX's words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsetEx {
    /// Pairs there are; the first key is word 2.
    pub pairs_count: usize,
    /// `Some(true)`: all keys must be there; `Some(false)`: none may be.
    pub wants_present: Option<bool>,
    /// The deadline all of them get.
    pub deadline: Deadline,
}

impl MsetEx {
    /// Reads and checks the words.
    pub fn parse(args: &Args<'_>, now_ms: i64) -> Result<Self, CommandError> {
        let pairs_count = integer(args.get(1))
            .ok()
            .and_then(|count| i32::try_from(count).ok())
            .filter(|&count| count > 0)
            .ok_or("ERR invalid numkeys value")? as usize;
        let mut index = 2 + 2 * pairs_count;
        if index > args.len() {
            return Err("ERR wrong number of key-value pairs".into());
        }
        let mut condition = Condition::Always;
        let mut words = DeadlineWords::default();
        while index < args.len() {
            let word = args.get(index);
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            let taken = if word.eq_ignore_ascii_case(b"KEEPTTL") {
                usize::from(words.keep())
            } else if let (Some(option), Some(number)) = (DeadlineOption::named(word), next) {
                2 * usize::from(words.give(option, number))
            } else {
                condition.take(word, None)
            };
            if taken == 0 {
                return Err(CommandError::Syntax);
            }
            index += taken;
        }
        Ok(Self {
            pairs_count,
            wants_present: match condition {
                Condition::Present => Some(true),
                Condition::Missing => Some(false),
                _ => None,
            },
            deadline: words.deadline(now_ms, "msetex")?,
        })
    }

    /// The words that are keys and values.
    pub fn pairs(&self) -> std::ops::Range<usize> {
        2..2 + 2 * self.pairs_count
    }
}

/// `MSETEX numkeys key value [key value ...] [option ...]` replies 1 if it set them.
fn msetex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let request = MsetEx::parse(args, call.keys.now_ms())?;
    if let Some(present) = request.wants_present
        && !all_keys(call, args, request.pairs(), present)
    {
        reply.integer(0);
        return Ok(Effect::NONE);
    }
    set_pairs(call, args, request.pairs(), request.deadline);
    reply.integer(1);
    Ok(Effect::wrote(request.pairs_count as u64))
}

/// Whether all keys among the pairs in `words` are there, or all missing.
fn all_keys(
    call: &mut Call<'_>,
    args: &Args<'_>,
    words: std::ops::Range<usize>,
    present: bool,
) -> bool {
    words.step_by(2).all(|index| {
        let key = call.keys.key(args.get(index));
        let found = call.keys.lookup_write(call.db, &key, call.caller.no_touch);
        found.is_some() == present
    })
}

/// Sets the pairs in `words`, the last one winning where a key is named twice.
pub fn set_pairs(
    call: &mut Call<'_>,
    args: &Args<'_>,
    words: std::ops::Range<usize>,
    deadline: Deadline,
) {
    for index in words.step_by(2) {
        let key = call.keys.key(args.get(index));
        let no_touch = call.caller.no_touch;
        let before = call.keys.replaced(call.db, &key);
        call.keys
            .set(call.db, &key, value(args, index + 1), deadline, no_touch);
        call.keys.tell_replaced(call.db, before, &key);
        // In this order, other than by SET.
        if matches!(deadline, Deadline::At(_)) {
            call.tell(Classes::GENERIC, "expire", key.bytes);
        }
        call.tell(Classes::STRING, "set", key.bytes);
    }
}

/// Several strings in one request.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "MGET",
        group: Group::String,
        arity: Arity::AtLeast(2),
        flags: READ_FAST,
        keys: &[keys_to(1, -1, 1, "RO", &["access"])],
        spread: Spread::Split(Merge::Interleave),
        args: "key [key ...]",
        summary: "Replies with the strings of several keys as of one moment.",
        cost: "O(N) where N is the number of keys.",
        tips: &["request_policy:multi_shard"],
        run: Run::Keys(mget),
        ..ROW
    },
    Command {
        name: "MSET",
        since: "1.0.1",
        group: Group::String,
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW,
        keys: &[keys_to(1, -1, 2, "OW", &["update"])],
        spread: Spread::Split(Merge::AllOk),
        args: "key value [key value ...]",
        summary: "Sets several keys to strings in one step.",
        cost: "O(N) where N is the number of keys.",
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        run: Run::Keys(mset),
        ..ROW
    },
    Command {
        name: "MSETNX",
        since: "1.0.1",
        group: Group::String,
        arity: Arity::AtLeast(3),
        flags: WRITE_GROW,
        keys: &[keys_to(1, -1, 2, "OW", &["insert"])],
        spread: Spread::Gather(Program::MsetNx),
        args: "key value [key value ...]",
        summary: "Sets several keys to strings in one step if none of them is there.",
        cost: "O(N) where N is the number of keys.",
        run: Run::Keys(msetnx),
        ..ROW
    },
    Command {
        name: "MSETEX",
        since: "8.4.0",
        group: Group::String,
        arity: Arity::AtLeast(4),
        flags: WRITE_GROW.or(Flags::MOVABLE_KEYS),
        keys: &[KeySpec {
            access: KeyAccess {
                mode: "OW",
                flags: &["update"],
            },
            begin: Begin::Index(1),
            find: Find::KeyNum {
                at: 0,
                first: 1,
                step: 2,
            },
            notes: "",
        }],
        spread: Spread::Gather(Program::MsetEx),
        args: "numkeys key value [key value ...] [NX | XX] \
               [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        summary: "Sets several keys to strings with one deadline in one step, if all or none of them are there.",
        cost: "O(N) where N is the number of keys.",
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        run: Run::Keys(msetex),
        ..ROW
    },
];
