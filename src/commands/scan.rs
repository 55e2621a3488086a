//! Walking through keys: SCAN, KEYS, RANDOMKEY.
//!
//! Promises  SCAN returns every key that is there from its first call to its last; a cursor names a shard and a
//!           position in hash order, so no state is kept between calls.
//! Tests     tests/commands/scan.rs, tests/transcripts/scan.txt.

use super::CommandError;
use super::collected::{Collected, Head};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Merge, Program, Run, Spread};
use super::word::integer;
use crate::base::glob::glob_match;
use crate::base::number::{parse_i64, parse_u64};
use crate::ds::key_table::{EntryRef, KeyWalker, Rest};
use crate::keyspace::value::type_name;
use crate::keyspace::{CURSOR_MASK, Object, is_expired};
use crate::resp::{Args, Reply};

/// A SCAN cursor taken apart: `position * shards_count + shard`, 0 being the start and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose keys come next.
    pub shard: u16,
    /// Where in that shard's hash order, below 2^52.
    pub position: u64,
}

impl Cursor {
    /// Reads a word as a cursor: any unsigned 64-bit number, blanks, a plus sign and zeros before it allowed.
    pub fn parse(word: &[u8], shards_count: u16) -> Result<Self, CommandError> {
        let number = parse_cursor(word).ok_or("ERR invalid cursor")?;
        let shards_count = u64::from(shards_count);
        Ok(Self {
            shard: (number % shards_count) as u16,
            position: (number / shards_count) & CURSOR_MASK,
        })
    }

    /// The cursor after this one, `position` being what the shard's table said comes next (0: it is at its end).
    pub fn next(self, position: u64, shards_count: u16) -> u64 {
        let shards_count = u64::from(shards_count);
        let shard = u64::from(self.shard);
        if position > 0 {
            position * shards_count + shard
        } else if shard + 1 < shards_count {
            shard + 1
        } else {
            0
        }
    }
}

/// A word as the number a cursor is, read as C reads it: to the first NUL.
pub fn parse_cursor(word: &[u8]) -> Option<u64> {
    let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
    parse_u64(word).or_else(|| parse_loosely(word))
}

/// As C's `strtoull`, which turns negative numbers round; those in canonical form are refused before it is asked.
fn parse_loosely(word: &[u8]) -> Option<u64> {
    if parse_i64(word).is_some() {
        return None;
    }
    let word = word.trim_ascii_start();
    let (is_negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if is_negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// SCAN's words after the cursor.
struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    type_word: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            pattern: None,
            count: 10,
            type_word: None,
        };
        let mut index = 2;
        while index < args.len() {
            if args.is(index, "NOVALUES") {
                return Err("ERR NOVALUES option can only be used in HSCAN".into());
            }
            if index + 1 >= args.len() {
                return Err(CommandError::Syntax);
            }
            let word = args.get(index + 1);
            if args.is(index, "COUNT") {
                let count = integer(word)?;
                if count < 1 {
                    return Err(CommandError::Syntax);
                }
                options.count = count as usize;
            } else if args.is(index, "MATCH") {
                options.pattern = (word != b"*").then_some(word);
            } else if args.is(index, "TYPE") {
                options.type_word = Some(word);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

/// How many keys a SCAN asks for. Errors: those of its options.
pub fn count_of(args: &Args<'_>) -> Result<usize, CommandError> {
    ScanOptions::parse(args).map(|options| options.count)
}

/// `SCAN cursor [option ...]` replies with the next cursor and some keys.
fn scan(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let shards_count = call.keys.shards_count();
    let cursor = Cursor::parse(args.get(1), shards_count)?;
    let options = ScanOptions::parse(args)?;
    let now_ms = call.keys.now_ms();
    let mut keys = Vec::new();
    let mut keys_reply = Reply::new(&mut keys, reply.protocol());
    let mut found_count = 0;
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let mut seen_count = 0;
    let mut position = cursor.position;
    // Ten steps a key asked for, as Redis bounds it: a sparse table must not hold the shard.
    for _ in 0..options.count.saturating_mul(10) {
        position = call.keys.scan(call.db, position, &mut |entry| {
            seen_count += 1;
            let key = entry.key();
            if options
                .pattern
                .is_some_and(|pattern| !glob_match(pattern, key, false))
            {
                return;
            }
            if is_expired(entry.deadline_ms(), now_ms) {
                expired.push(key.to_vec());
                return;
            }
            let type_name = type_name(&entry.value()).as_bytes();
            if options
                .type_word
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(type_name))
            {
                keys_reply.bulk(key);
                found_count += 1;
            }
        });
        if position == 0 || seen_count >= options.count {
            break;
        }
    }
    for key in &expired {
        let key = call.keys.key(key);
        call.keys.remove_expired(call.db, &key);
    }
    reply.array(2);
    reply.bulk(cursor.next(position, shards_count).to_string().as_bytes());
    reply.array(found_count);
    reply.raw(&keys);
    Ok(Effect::NONE)
}

/// `KEYS pattern` replies with every key that matches.
fn keys(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let pattern = args.get(1);
    let now_ms = call.keys.now_ms();
    if call.keys.keys_count(call.db) > call.whole_max() {
        let walker = Box::new(MatchingKeys {
            pattern: pattern.to_vec(),
            now_ms,
            found: Collected::new(Head::Array, reply.protocol()),
        });
        call.keys.begin_key_walk(call.db, walker);
        return Ok(Effect::NONE);
    }
    let mut found = Vec::new();
    let mut found_reply = Reply::new(&mut found, reply.protocol());
    let mut found_count = 0;
    let mut position = 0;
    loop {
        position = call.keys.scan(call.db, position, &mut |entry| {
            let is_match = pattern == b"*" || glob_match(pattern, entry.key(), false);
            if is_match && !is_expired(entry.deadline_ms(), now_ms) {
                found_reply.bulk(entry.key());
                found_count += 1;
            }
        });
        if position == 0 {
            break;
        }
    }
    reply.array(found_count);
    reply.raw(&found);
    Ok(Effect::NONE)
}

/// KEYS of a large database, bit by bit.
struct MatchingKeys {
    pattern: Vec<u8>,
    /// When it began: what was dead then is not among the keys.
    now_ms: i64,
    found: Collected,
}

impl KeyWalker<Object> for MatchingKeys {
    fn see(&mut self, entry: EntryRef<'_, Object>) {
        let is_match = self.pattern == b"*" || glob_match(&self.pattern, entry.key(), false);
        if is_match && !is_expired(entry.deadline_ms(), self.now_ms) {
            self.found.next().bulk(entry.key());
        }
    }

    fn end(self: Box<Self>) -> Box<dyn Rest> {
        Box::new(self.found)
    }
}

/// `RANDOMKEY` replies with a random key, or null in an empty database.
fn randomkey(
    call: &mut Call<'_>,
    _args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    match call.keys.random_key(call.db) {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// Walking through keys.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SCAN",
        since: "2.8.0",
        arity: Arity::AtLeast(2),
        flags: KEYSPACE_READ,
        spread: Spread::Cursor,
        args: "cursor [MATCH pattern] [COUNT count] [TYPE type]@6.0.0",
        summary: "Walks through the keys of a database, some at a call.",
        cost: "O(1) for a call; O(N) for a whole walk, N being the number of keys.",
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        history: &[("6.0.0", "`TYPE` came.")],
        run: Run::Keys(scan),
        ..ROW
    },
    Command {
        name: "KEYS",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ.or(Flags::CAT_DANGEROUS),
        spread: Spread::EveryShard(Merge::Concat),
        args: "pattern",
        summary: "Lists the keys that match a pattern.",
        cost: "O(N) where N is the number of keys in the database.",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        run: Run::Keys(keys),
        ..ROW
    },
    Command {
        name: "RANDOMKEY",
        arity: Arity::Exactly(1),
        flags: KEYSPACE_READ,
        spread: Spread::Gather(Program::RandomKey),
        summary: "Names a random key.",
        tips: &[
            "request_policy:all_shards",
            "response_policy:special",
            "nondeterministic_output",
        ],
        run: Run::Keys(randomkey),
        ..ROW
    },
];
