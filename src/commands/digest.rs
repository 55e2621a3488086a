//! Acting on a string only if it is what the client thinks it is: DIGEST, DELEX, DELIFEQ, and SET's conditions.
//!
//! Promises  a digest is XXH3-64 of the string's bytes as 16 lower-case hexadecimal digits, the same for `int`,
//!           `embstr` and `raw`.
//! Source    Redis 8.4 documentation of DIGEST, DELEX and SET; Valkey 9.0 documentation of DELIFEQ.
//! Tests     tests/transcripts/compare.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::{Digits, bytes, length};
use crate::ds::key_table::Value;
use crate::keyspace::Object;
use crate::resp::{Args, Reply};
use xxhash_rust::xxh3::xxh3_64;

/// When a request may act on its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition<'a> {
    /// In any case.
    #[default]
    Always,
    /// NX: the key is missing.
    Missing,
    /// XX: the key is there.
    Present,
    /// IFEQ: its string equals this.
    Equals(&'a [u8]),
    /// IFNE: its string differs, or the key is missing.
    Differs(&'a [u8]),
    /// IFDEQ: its string has this digest.
    DigestEquals(&'a [u8]),
    /// IFDNE: its string has another digest, or the key is missing.
    DigestDiffers(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// Takes the words of a condition; returns how many, 0 where they are none or exclude what came before.
    pub fn take(&mut self, word: &[u8], next: Option<&'a [u8]>) -> usize {
        let plain = if word.eq_ignore_ascii_case(b"NX") {
            Some(Condition::Missing)
        } else if word.eq_ignore_ascii_case(b"XX") {
            Some(Condition::Present)
        } else {
            None
        };
        let (condition, taken) = match (plain, next) {
            // The same word again changes nothing.
            (Some(condition), _) if *self == condition => return 1,
            (Some(condition), _) => (condition, 1),
            (None, Some(operand)) => match Self::comparison(word, operand) {
                Some(condition) => (condition, 2),
                None => return 0,
            },
            (None, None) => return 0,
        };
        if *self != Condition::Always {
            return 0;
        }
        *self = condition;
        taken
    }

    fn comparison(word: &[u8], operand: &'a [u8]) -> Option<Self> {
        Some(if word.eq_ignore_ascii_case(b"IFEQ") {
            Condition::Equals(operand)
        } else if word.eq_ignore_ascii_case(b"IFNE") {
            Condition::Differs(operand)
        } else if word.eq_ignore_ascii_case(b"IFDEQ") {
            Condition::DigestEquals(operand)
        } else if word.eq_ignore_ascii_case(b"IFDNE") {
            Condition::DigestDiffers(operand)
        } else {
            return None;
        })
    }

    /// Whether a key that holds `value` meets it.
    ///
    /// Errors: a comparison with what is no string; a digest that is not 16 characters.
    pub fn is_met_by(&self, value: &Value<'_, Object>) -> Result<bool, CommandError> {
        let mut digits: Digits = [0; 20];
        Ok(match *self {
            Condition::Always | Condition::Present => true,
            Condition::Missing => false,
            Condition::Equals(wanted) => bytes(value, &mut digits)? == wanted,
            Condition::Differs(wanted) => bytes(value, &mut digits)? != wanted,
            Condition::DigestEquals(wanted) => has_digest(bytes(value, &mut digits)?, wanted)?,
            Condition::DigestDiffers(wanted) => !has_digest(bytes(value, &mut digits)?, wanted)?,
        })
    }

    /// Whether a missing key meets it.
    pub fn is_met_by_missing(&self) -> bool {
        match self {
            Condition::Present | Condition::Equals(_) | Condition::DigestEquals(_) => false,
            Condition::Always
            | Condition::Missing
            | Condition::Differs(_)
            | Condition::DigestDiffers(_) => true,
        }
    }
}

/// The digest of a string, as DIGEST replies with it.
pub fn digest_of(string: &[u8]) -> String {
    format!("{:016x}", xxh3_64(string))
}

fn has_digest(string: &[u8], wanted: &[u8]) -> Result<bool, CommandError> {
    // They are counted alone, as Redis does: what is not hexadecimal is no string's digest.
    if wanted.len() != 16 {
        return Err("ERR must be exactly 16 hexadecimal characters".into());
    }
    Ok(digest_of(string).as_bytes().eq_ignore_ascii_case(wanted))
}

/// `DIGEST key` replies with the digest of the string, or null.
fn digest(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
        Some(entry) => {
            let mut digits: Digits = [0; 20];
            let value = entry.value();
            reply.bulk(digest_of(bytes(&value, &mut digits)?).as_bytes());
        }
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// `DELEX key [condition]` replies 1 if it removed the key.
fn delex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    match args.len() {
        2 => remove_if(call, args, reply, |_| Ok(true)),
        4 => remove_if(call, args, reply, |value| is_condition_met(args, value)),
        _ => Err(CommandError::Arity("delex")),
    }
}

/// Whether what DELEX has found meets its condition, which is read only now: the key comes first.
fn is_condition_met(args: &Args<'_>, value: &Value<'_, Object>) -> Result<bool, CommandError> {
    if length(value).is_err() {
        return Err("ERR Key should be of string type if conditions are specified".into());
    }
    let condition = Condition::comparison(args.get(2), args.get(3))
        .ok_or("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")?;
    condition.is_met_by(value)
}

/// `DELIFEQ key value` replies 1 if it removed the key.
fn delifeq(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let condition = Condition::Equals(args.get(2));
    remove_if(call, args, reply, |value| condition.is_met_by(value))
}

fn remove_if(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    is_met: impl Fn(&Value<'_, Object>) -> Result<bool, CommandError>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    match call.keys.lookup_write(call.db, &key, call.caller.no_touch) {
        Some(entry) if is_met(&entry.value())? => {
            entry.remove();
            call.tell_gone(key.bytes);
            reply.integer(1);
            Ok(Effect::wrote(1))
        }
        _ => {
            reply.integer(0);
            Ok(Effect::NONE)
        }
    }
}

/// Comparing with what a key holds.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "DIGEST",
        since: "8.4.0",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: READ_FAST,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with the XXH3 digest of the string a key holds, in hexadecimal.",
        cost: "O(N) where N is the length of the string.",
        run: Run::Keys(digest),
        ..ROW
    },
    Command {
        name: "DELEX",
        since: "8.4.0",
        group: Group::String,
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["delete", "variable_flags"])],
        args: "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
        summary: "Removes a key if its string, or the digest of it, compares as asked.",
        cost: "O(1) with IFEQ and IFNE, O(N) with IFDEQ and IFDNE where N is the length of the string.",
        run: Run::Keys(delex),
        ..ROW
    },
    Command {
        name: "DELIFEQ",
        since: "9.0.0",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RM", &["delete"])],
        args: "key value",
        summary: "Removes a key if its string equals the one given.",
        run: Run::Keys(delifeq),
        ..ROW
    },
];
