//! What stream commands read from words and write to replies: ids, intervals, entries.
//!
//! Promises  ids are read as Redis reads them, odd forms included (`007-1` is `7-1`).
//! Tests     tests/commands/stream.rs; tests/transcripts/stream*.txt.

use super::CommandError;
use super::table::Call;
use crate::ds::listpack::Element;
use crate::ds::stream::{ConsumerNumber, Entry, Group, StreamId};
use crate::keyspace::StreamValue;
use crate::resp::{Args, Reply};

const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";
/// No text of an id is longer.
const ID_TEXT_BYTES_MAX: usize = 127;

/// The id of an entry to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`
    Next,
    /// `ms-*`
    NextIn(u64),
    /// `ms-seq`
    Given(StreamId),
}

impl NewId {
    /// The word as an id to add.
    pub fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let text = until_nul(word);
        if text == b"*" {
            return Ok(Self::Next);
        }
        if let Some(ms) = text.strip_suffix(b"-*")
            && word.len() <= ID_TEXT_BYTES_MAX
            && let Some(ms) = number(ms)
        {
            return Ok(Self::NextIn(ms));
        }
        id(word, 0).map(Self::Given)
    }

    /// The id it comes to in a stream whose last one was `last`; none where there is none above.
    pub fn resolve(self, last: StreamId, now_ms: i64) -> Option<StreamId> {
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        match self {
            Self::Given(id) => Some(id),
            Self::Next if now_ms > last.ms => Some(StreamId::new(now_ms, 0)),
            Self::Next => last.next(),
            Self::NextIn(ms) if ms == last.ms => Some(StreamId::new(ms, last.seq.checked_add(1)?)),
            Self::NextIn(ms) => Some(StreamId::new(ms, 0)),
        }
    }
}

/// A word as an id; one without a sequence gets `missing_seq`.
pub fn id(word: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    try_id(word, missing_seq).ok_or_else(|| INVALID_ID.into())
}

/// The same, or nothing.
pub fn try_id(word: &[u8], missing_seq: u64) -> Option<StreamId> {
    if word.len() > ID_TEXT_BYTES_MAX {
        return None;
    }
    let text = until_nul(word);
    let (ms, seq) = match text.iter().position(|&byte| byte == b'-') {
        Some(dash) => (&text[..dash], number(&text[dash + 1..])?),
        None => (text, missing_seq),
    };
    Some(StreamId::new(number(ms)?, seq))
}

/// A word as an id, `-` and `+` being the first and the last there can be.
pub fn id_or_end(word: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match until_nul(word) {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => id(word, missing_seq),
    }
}

/// A word as the start of an interval: `(id` leaves that id out.
pub fn interval_start(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let id = id(rest, 0)?.next();
            id.ok_or_else(|| "ERR invalid start ID for the interval".into())
        }
        _ => id_or_end(word, 0),
    }
}

/// A word as the end of an interval.
pub fn interval_end(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let id = id(rest, u64::MAX)?.previous();
            id.ok_or_else(|| "ERR invalid end ID for the interval".into())
        }
        _ => id_or_end(word, u64::MAX),
    }
}

/// All words from `from` on as ids.
pub fn ids(args: &Args<'_>, from: usize) -> Result<Vec<StreamId>, CommandError> {
    args.iter_from(from).map(|word| id(word, 0)).collect()
}

/// C sees a word up to its first NUL.
fn until_nul(word: &[u8]) -> &[u8] {
    word.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// An unsigned number as `strtoull` takes it: white space, a sign and zeros before it are fine. A minus negates within 64
/// bits, except before what would be a plain negative number.
fn number(text: &[u8]) -> Option<u64> {
    let start = text
        .iter()
        .position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b)?;
    let text_after = &text[start..];
    let (is_negative, digits) = match text_after {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(byte - b'0'))?;
    }
    if !is_negative {
        return Some(number);
    }
    let is_plain = start == 0 && digits[0] != b'0' && number <= 1 << 63;
    (!is_plain).then(|| number.wrapping_neg())
}

/// The stream at word 1, to read.
pub fn read<'c>(
    call: &'c mut Call<'_>,
    args: &Args<'_>,
) -> Result<Option<&'c StreamValue>, CommandError> {
    let key = call.keys.key(args.get(1));
    Ok(call.keys.read(call.db, &key, call.caller.no_touch)?)
}

/// A group does not exist, or neither does its key.
#[cold]
pub fn no_group(
    before: &str,
    key: &[u8],
    between: &str,
    group: &[u8],
    after: &str,
) -> CommandError {
    let parts = [
        before.as_bytes(),
        until_nul(key),
        between.as_bytes(),
        until_nul(group),
    ];
    CommandError::Quoting([&parts.concat(), after.as_bytes()].concat())
}

/// What most commands say of a group that does not exist.
#[cold]
pub fn no_key_or_group(key: &[u8], group: &[u8]) -> CommandError {
    let before = "NOGROUP No such key '";
    no_group(before, key, "' or consumer group '", group, "'")
}

/// What XGROUP and XINFO say of it.
#[cold]
pub fn no_group_for_key(key: &[u8], group: &[u8]) -> CommandError {
    let before = "NOGROUP No such consumer group '";
    no_group(before, group, "' for key name '", key, "'")
}

/// The consumer of that name, made if there is none, and whether it was; it is seen.
pub fn seen_consumer(group: &mut Group, name: &[u8], now_ms: i64) -> (ConsumerNumber, bool) {
    match group.find(name) {
        Some(number) => {
            group.see(number, now_ms);
            (number, false)
        }
        None => {
            let number = group.add_consumer(name, now_ms);
            (number.expect("there is none of that name"), true)
        }
    }
}

/// An id as a string.
#[inline]
pub fn reply_id(id: StreamId, reply: &mut Reply<'_>) {
    reply.bulk(id.text(&mut [0; 41]));
}

/// An entry: its id, then its fields.
#[inline]
pub fn reply_entry(entry: &Entry<'_>, reply: &mut Reply<'_>) {
    reply.array(2);
    reply_id_and_fields(entry, reply);
}

/// The same without the head around both.
#[inline]
pub fn reply_id_and_fields(entry: &Entry<'_>, reply: &mut Reply<'_>) {
    reply_id(entry.id, reply);
    reply.array(entry.len() * 2);
    for (name, value) in entry.fields() {
        reply_element(name, reply);
        reply_element(value, reply);
    }
}

#[inline]
fn reply_element(element: Element<'_>, reply: &mut Reply<'_>) {
    match element {
        Element::Int(number) => reply.bulk_int(number),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// Entries as an array of at most `count_max`.
pub fn reply_entries<'s>(
    entries: impl Iterator<Item = Entry<'s>>,
    count_max: usize,
    reply: &mut Reply<'_>,
) {
    let start = reply.len();
    let mut count = 0;
    for entry in entries.take(count_max) {
        reply_entry(&entry, reply);
        count += 1;
    }
    reply.array_since(start, count);
}
