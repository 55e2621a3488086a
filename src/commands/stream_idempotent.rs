//! XADD once: IDMP and IDMPAUTO name the producer of an entry and what it is sent for; XCFGSET says how long that is remembered.
//!
//!     IDMP producer id        what the client says               mark = the id
//!     IDMPAUTO producer       the entry itself                   mark = what its pairs come to, in any order
//!
//! Promises  nothing of this is there, XINFO's figures included, for a stream that was never asked for it.
//! Not here  what is remembered: `ds/stream/producers.rs`.
//! Source    Redis 8.6's documentation of XADD, XCFGSET and XINFO STREAM; the marks that its files have.
//! Tests     tests/commands/stream.rs; tests/keyspace/rdb_stream.rs; tests/server/durability.rs.

use std::borrow::Cow;

use super::CommandError;
use super::generic::NO_SUCH_KEY;
use super::row::*;
use super::stream_words::{NewId, id};
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::integer;
use crate::ds::stream::{Producers, StreamId, Words};
use crate::keyspace::StreamValue;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use xxhash_rust::xxh3::Xxh3;

/// Who sends an entry, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// IDMP: the producer and what it calls its request.
    Named(&'a [u8], &'a [u8]),
    /// IDMPAUTO: the producer; the entry speaks for itself.
    Same(&'a [u8]),
}

impl<'a> Request<'a> {
    /// Takes the option at `index`; returns how many words it has, 0 where there is none.
    pub fn take(
        taken: &mut Option<Self>,
        args: &Args<'a>,
        index: usize,
    ) -> Result<usize, CommandError> {
        let more = args.len() - index - 1;
        let request = if more > 1 && args.is(index, "IDMP") {
            Self::Named(args.get(index + 1), args.get(index + 2))
        } else if more > 0 && args.is(index, "IDMPAUTO") {
            Self::Same(args.get(index + 1))
        } else {
            return Ok(0);
        };
        if taken.is_some() {
            return Err("ERR syntax error, IDMP/IDMPAUTO specified multiple times".into());
        }
        match request {
            Self::Named(b"", _) => {
                return Err("ERR syntax error, IDMP requires a non-empty producer ID".into());
            }
            Self::Named(_, b"") => {
                return Err("ERR syntax error, IDMP requires a non-empty idempotent ID".into());
            }
            Self::Same(b"") => {
                return Err("ERR syntax error, IDMPAUTO requires a non-empty producer ID".into());
            }
            _ => {}
        }
        *taken = Some(request);
        Ok(match request {
            Self::Named(..) => 3,
            Self::Same(_) => 2,
        })
    }

    /// Refuses an id that a client has chosen: a request sent again would have to get the same.
    pub fn check_id(&self, id: NewId) -> Result<(), CommandError> {
        match id {
            NewId::Next => Ok(()),
            _ => Err(
                "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs".into(),
            ),
        }
    }

    /// Who sends it.
    pub fn producer(&self) -> &'a [u8] {
        match self {
            Self::Named(producer, _) | Self::Same(producer) => producer,
        }
    }

    /// What it is remembered by.
    pub fn mark(&self, entry: &impl Words<'a>) -> Cow<'a, [u8]> {
        match self {
            Self::Named(_, id) => Cow::Borrowed(id),
            Self::Same(_) => Cow::Owned(digest(entry).to_vec()),
        }
    }
}

/// What an entry's pairs come to in whatever order they are, as Redis's files have it.
fn digest<'a>(entry: &impl Words<'a>) -> [u8; 16] {
    let (mut sums, mut differences) = ((0u64, 0u64), (0u64, 0u64));
    for pair in 0..entry.pairs_count() {
        let field = entry.word(2 * pair);
        let mut hash = Xxh3::new();
        hash.update(field);
        // Where the field ends must matter: `ab c` is not `a bc`.
        hash.update(&(field.len() as u64).to_le_bytes());
        hash.update(entry.word(2 * pair + 1));
        let hash = hash.digest128();
        let (low, high) = (hash as u64, (hash >> 64) as u64);
        sums = (sums.0.wrapping_add(low), sums.1.wrapping_add(high));
        differences = (differences.0 ^ low, differences.1 ^ high);
    }
    let low = sums.0 ^ differences.1.rotate_left(1);
    let high = sums.1 ^ differences.0.rotate_left(1);
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

/// `XIDMPRECORD key producer id entry-id`: the producer's request of that name was for this entry.
fn xidmprecord(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let entry_id = id(args.get(4), 0)?;
    let (producer, mark) = (args.get(2), args.get(3));
    if producer.is_empty() {
        return Err("ERR producer ID must be non-empty".into());
    }
    if mark.is_empty() {
        return Err("ERR idempotent ID must be non-empty".into());
    }
    let (now_ms, replays) = (call.keys.now_ms(), call.keys.replays());
    let limits = call.keys.limits().of_producers();
    let key = call.keys.key(args.get(1));
    let found = (call.keys).write::<StreamValue>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        return Err(NO_SUCH_KEY.into());
    };
    let stream = held.get_mut();
    let known = stream.producers();
    let known = known.and_then(|it| it.find_at_any_time(producer, mark));
    // What a log has was done: what had been forgotten by then may be known still.
    if !replays {
        if stream.log.get(entry_id).is_none() {
            return Err("ERR No such message in stream".into());
        }
        if known.is_some_and(|known| known != entry_id) {
            return Err(
                "ERR IID already exists for this producer with a different stream ID".into(),
            );
        }
    }
    if known == Some(entry_id) {
        reply.ok();
        return Ok(Effect::NONE);
    }
    let producers = stream.producers_mut(limits);
    producers.note(producer, mark, entry_id, now_ms as u64);
    reply.ok();
    Ok(Effect::wrote(1))
}

/// `XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE count]`; another value than before forgets what is remembered.
fn xcfgset(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits().of_producers();
    let replays = call.keys.replays();
    let key = call.keys.key(args.get(1));
    let found = call
        .keys
        .write::<StreamValue>(call.db, &key, call.caller.no_touch)?;
    let Some(mut held) = found else {
        return Err(NO_SUCH_KEY.into());
    };
    let (mut duration_s, mut marks_max) = (None, None);
    let mut index = 2;
    while index < args.len() {
        let is_duration = args.is(index, "IDMP-DURATION");
        if !is_duration && !args.is(index, "IDMP-MAXSIZE") || index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        // Logs of earlier builds may have one twice.
        if is_duration && duration_s.is_some() && !replays {
            return Err("ERR IDMP-DURATION specified multiple times".into());
        }
        if !is_duration && marks_max.is_some() && !replays {
            return Err("ERR IDMP-MAXSIZE specified multiple times".into());
        }
        let number = u64::try_from(integer(args.get(index + 1))?).ok();
        if is_duration {
            duration_s = number.filter(|it| Producers::DURATIONS_S.contains(it));
            if duration_s.is_none() {
                return Err("ERR IDMP-DURATION must be between 1 and 86400 seconds".into());
            }
        } else {
            marks_max = number.filter(|it| Producers::MARKS.contains(it));
            if marks_max.is_none() {
                return Err("ERR IDMP-MAXSIZE must be between 1 and 10000 entries".into());
            }
        }
        index += 2;
    }
    if duration_s.is_none() && marks_max.is_none() {
        return Err("ERR At least one parameter must be specified".into());
    }
    let stream = held.get_mut();
    let is_new = stream.producers().is_none();
    let producers = stream.producers_mut(limits);
    let marks_max = marks_max.and_then(|it| usize::try_from(it).ok());
    let forgotten = producers.limit(
        duration_s.unwrap_or(producers.duration_s()),
        marks_max.unwrap_or(producers.marks_max()),
    );
    reply.ok();
    let has_changed = is_new || forgotten.is_some();
    if let Some(forgotten) = forgotten {
        let rest = StreamValue::of_producers(forgotten);
        call.keys.discard(call.db, rest);
    }
    Ok(Effect::wrote(u64::from(has_changed)))
}

/// What has a stream that has the entry already know its first producer, within these limits.
pub fn first_note(
    key: &[u8],
    (duration_s, marks_max): (u64, usize),
    producer: &[u8],
    mark: &[u8],
    entry_id: StreamId,
) -> [OwnedArgs; 2] {
    let (duration_s, marks_max) = (duration_s.to_string(), marks_max.to_string());
    let limits: [&[u8]; 6] = [
        b"XCFGSET",
        key,
        b"IDMP-DURATION",
        duration_s.as_bytes(),
        b"IDMP-MAXSIZE",
        marks_max.as_bytes(),
    ];
    let mut text = [0; 41];
    let note = [
        b"XIDMPRECORD",
        key,
        producer,
        mark,
        entry_id.text(&mut text),
    ];
    [limits.into_iter().collect(), note.into_iter().collect()]
}

/// XCFGSET and XIDMPRECORD.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XCFGSET",
        since: "8.6.0",
        group: Group::Stream,
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key [IDMP-DURATION idmp-duration:integer] [IDMP-MAXSIZE idmp-maxsize:integer]",
        summary: "Sets how long and how many requests of a stream's producers are remembered.",
        cost: "O(1)",
        run: Run::Keys(xcfgset),
        ..ROW
    },
    Command {
        name: "XIDMPRECORD",
        since: "8.6.2",
        group: Group::Stream,
        arity: Arity::Exactly(5),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key pid:string iid:string stream-id:string",
        summary: "Has a stream remember for which request of a producer an entry was added.",
        cost: "O(1)",
        run: Run::Keys(xidmprecord),
        ..ROW
    },
];
