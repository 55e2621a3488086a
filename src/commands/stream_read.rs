//! XREAD and XREADGROUP: what came after an id, of several streams.
//!
//!     XREAD       after an id, `$` (what is to come) or `+` (the last entry)
//!     XREADGROUP  `>`: what the group has not delivered, after what it has claimed; an id: what is pending with the consumer
//!
//! Promises  all keys, groups and ids are checked before anything is delivered.
//! Not here  what MAXCOUNT and MAXSIZE leave: `stream_budget.rs`; streams of several shards: `router/programs/read_streams.rs`.
//! Tests     tests/transcripts/stream_read.txt, stream_read_group.txt.

use super::CommandError;
use super::blocking::timeout_of_ms;
use super::pieces::Entries;
use super::row::*;
use super::stream_budget::Budget;
use super::stream_group::tell_of_group;
use super::stream_walk::{StreamPart, StreamsWalk, stream_of};
use super::stream_words::{
    id, no_group, reply_entry, reply_id, reply_id_and_fields, seen_consumer,
};
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group as CommandGroup, KeyAccess, KeySpec,
    Patience, Program, Run, Spread, Touched, Wait,
};
use super::word::integer;
use crate::base::number::parse_i64;
use crate::ds::key_table::Value;
use crate::ds::stream::{ConsumerNumber, Group, Log, Pending, StreamId};
use crate::keyspace::zset::Direction;
use crate::keyspace::{Collection, Key, Keyspace, StreamValue};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Protocol, Reply};

/// A request of either command, its options read.
pub struct ReadStreams<'a> {
    count_max: usize,
    /// The word that says so.
    count_at: usize,
    /// What all streams together may come to.
    budget: Budget,
    /// BLOCK: how long it waits, in milliseconds; none in it: for ever.
    block: Option<Option<u64>>,
    no_ack: bool,
    idle_ms_min: Option<i64>,
    /// The names of group and consumer, for XREADGROUP.
    group: Option<(&'a [u8], &'a [u8])>,
    /// The first key's word; as many ids follow as there are keys.
    keys_at: usize,
    keys_count: usize,
}

impl<'a> ReadStreams<'a> {
    /// Reads the options.
    ///
    /// - Errors: that of the first word that is wrong, BLOCK's value among them.
    pub fn parse(args: &Args<'a>, is_group: bool, now_ms: i64) -> Result<Self, CommandError> {
        let mut request = Self {
            count_max: usize::MAX,
            count_at: 0,
            budget: Budget::default(),
            block: None,
            no_ack: false,
            idle_ms_min: None,
            group: None,
            keys_at: 0,
            keys_count: 0,
        };
        let mut index = 1;
        while index < args.len() && request.keys_at == 0 {
            index += request.take(args, index, is_group, now_ms)?;
        }
        if request.keys_at == 0 {
            return Err(CommandError::Syntax);
        }
        if is_group && request.group.is_none() {
            return Err("ERR Missing GROUP option for XREADGROUP".into());
        }
        request
            .budget
            .check(request.count().map(|(_, count)| count))?;
        Ok(request)
    }

    /// Takes the option at `index`; returns how many words it has.
    fn take(
        &mut self,
        args: &Args<'a>,
        index: usize,
        is_group: bool,
        now_ms: i64,
    ) -> Result<usize, CommandError> {
        let more = args.len() - index - 1;
        if more > 0 && args.is(index, "BLOCK") {
            self.block = Some(timeout_of_ms(args.get(index + 1), now_ms)?);
            return Ok(2);
        }
        if more > 0 && args.is(index, "COUNT") {
            let count = integer(args.get(index + 1))?;
            self.count_max = match usize::try_from(count) {
                Ok(count) if count > 0 => count,
                _ => usize::MAX,
            };
            self.count_at = index + 1;
            return Ok(2);
        }
        match self.budget.take(args, index)? {
            0 => {}
            taken => return Ok(taken),
        }
        if more > 0 && args.is(index, "STREAMS") {
            if !more.is_multiple_of(2) {
                let (name, id) = match is_group {
                    true => ("xreadgroup", "ID or '>'"),
                    false => ("xread", "ID, '+', or '$'"),
                };
                return Err(format!(
                    "ERR Unbalanced '{name}' list of streams: for each stream key an {id} must be specified."
                )
                .into());
            }
            (self.keys_at, self.keys_count) = (index + 1, more / 2);
            return Ok(1);
        }
        let only_group = |option: &str| -> Result<(), CommandError> {
            if is_group {
                return Ok(());
            }
            Err(format!(
                "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
            )
            .into())
        };
        if more > 1 && args.is(index, "GROUP") {
            only_group("GROUP")?;
            self.group = Some((args.get(index + 1), args.get(index + 2)));
            return Ok(3);
        }
        if args.is(index, "NOACK") {
            only_group("NOACK")?;
            self.no_ack = true;
            return Ok(1);
        }
        if more > 0 && args.is(index, "CLAIM") {
            only_group("CLAIM")?;
            let idle_ms = parse_i64(args.get(index + 1))
                .ok_or("ERR min-idle-time is not an integer or out of range")?;
            if idle_ms < 0 {
                return Err("ERR min-idle-time must be a positive integer".into());
            }
            self.idle_ms_min = Some(idle_ms);
            return Ok(2);
        }
        Err(CommandError::Syntax)
    }

    /// COUNT: the word that says it, and how many of each stream.
    fn count(&self) -> Option<(usize, usize)> {
        (self.count_max != usize::MAX).then_some((self.count_at, self.count_max))
    }

    /// XREADGROUP of as many entries in all, whatever they come to in bytes.
    fn counted(&self, args: &Args<'_>, count_max: Option<usize>) -> OwnedArgs {
        let (group, consumer) = self.group.unwrap_or_default();
        let all = count_max.map(|count| count.to_string());
        let each = self.count().map(|(_, count)| {
            let count = count_max.map_or(count, |all| count.min(all));
            count.to_string()
        });
        let idle_ms_min = self.idle_ms_min.map(|idle_ms| idle_ms.to_string());
        let mut words: OwnedArgs = [b"XREADGROUP", &b"GROUP"[..], group, consumer]
            .into_iter()
            .collect();
        for (option, value) in [("COUNT", each), ("MAXCOUNT", all), ("CLAIM", idle_ms_min)] {
            if let Some(value) = value {
                words.push(option.as_bytes());
                words.push(value.as_bytes());
            }
        }
        if self.no_ack {
            words.push(b"NOACK");
        }
        words.push(b"STREAMS");
        args.iter_from(self.keys_at)
            .for_each(|word| words.push(word));
        words
    }

    /// What all streams together may come to.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// What words must say that ask for what a budget has left after so many bytes: the place of a word, and the word.
    pub fn rest(&self, budget: &Budget, bytes: usize) -> Vec<(usize, usize)> {
        budget.rest(self.count(), bytes)
    }

    fn key(&self, args: &Args<'a>, place: usize) -> &'a [u8] {
        args.get(self.keys_at + place)
    }

    fn id(&self, args: &Args<'a>, place: usize) -> &'a [u8] {
        args.get(self.keys_at + self.keys_count + place)
    }

    /// How many streams are asked for.
    pub fn keys_count(&self) -> usize {
        self.keys_count
    }

    /// The word of the first key; the ids follow the last.
    pub fn keys_at(&self) -> usize {
        self.keys_at
    }

    /// Whether XREAD can read after all its ids, whatever the keys hold.
    pub fn has_ids_to_read(&self, args: &Args<'_>) -> bool {
        let ids = args.iter_from(self.keys_at + self.keys_count);
        let is_readable = |word: &[u8]| matches!(word, b"$" | b"+") || id(word, 0).is_ok();
        ids.take(self.keys_count).all(is_readable)
    }

    /// Whether it is to wait where there is nothing.
    pub fn blocks(&self) -> bool {
        self.block.is_some()
    }

    /// Where each stream is to be read from, all of them checked; changes nothing.
    pub fn froms(
        &self,
        keys: &mut Keyspace,
        db: usize,
        no_touch: bool,
        args: &Args<'a>,
    ) -> Result<Vec<From>, CommandError> {
        let mut from = |place| self.looked_up(keys, db, no_touch, args, place);
        (0..self.keys_count).map(&mut from).collect()
    }

    fn looked_up(
        &self,
        keys: &mut Keyspace,
        db: usize,
        no_touch: bool,
        args: &Args<'a>,
        place: usize,
    ) -> Result<From, CommandError> {
        let key = keys.key(self.key(args, place));
        let stream = keys.read(db, &key, no_touch)?;
        self.from(stream, args, place)
    }

    /// How long it waits, if it does.
    fn wait(&self) -> Option<Wait> {
        self.block.map(|timeout_ms| Wait {
            timeout_ms,
            words: None,
            on_delete: self.group.is_some(),
        })
    }

    /// The request with each `$` as the id it stands for now: what comes while it waits must not move it.
    fn words_to_wait_with(&self, args: &Args<'a>, froms: &[From]) -> Option<OwnedArgs> {
        let ids_at = self.keys_at + self.keys_count;
        if !args.iter_from(ids_at).any(|word| word == b"$") {
            return None;
        }
        let mut words: OwnedArgs = (0..ids_at).map(|index| args.get(index)).collect();
        for (word, from) in args.iter_from(ids_at).zip(froms) {
            match from {
                From::After(id) if word == b"$" => words.push(id.text(&mut [0; 41])),
                _ => words.push(word),
            }
        }
        Some(words)
    }

    fn from(
        &self,
        stream: Option<&StreamValue>,
        args: &Args<'a>,
        place: usize,
    ) -> Result<From, CommandError> {
        let name = self.key(args, place);
        if let Some((group, _)) = self.group
            && stream.and_then(|stream| stream.group(group)).is_none()
        {
            let after = "' in XREADGROUP with GROUP option";
            return Err(no_group(
                "NOGROUP No such key '",
                name,
                "' or consumer group '",
                group,
                after,
            ));
        }
        let is_group = self.group.is_some();
        let from = match self.id(args, place) {
            b"$" if is_group => return Err(meaningless("$")),
            b"+" if is_group => return Err(meaningless("+")),
            b">" if is_group => From::New,
            b">" => {
                return Err("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
                    <consumer> option.".into());
            }
            b"$" => From::After(stream.map_or(StreamId::MIN, |stream| stream.log.last_id)),
            b"+" => {
                let last = stream.and_then(|stream| stream.log.last_living());
                From::After(last.and_then(StreamId::previous).unwrap_or_default())
            }
            word => match id(word, 0)? {
                StreamId::MAX if is_group => From::New,
                id => From::After(id),
            },
        };
        Ok(from)
    }
}

/// Where a stream is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// After this id.
    After(StreamId),
    /// After what the group has delivered.
    New,
}

#[cold]
fn meaningless(id: &str) -> CommandError {
    format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
         specifying a proper ID, or use the > ID to get new messages. The {id} ID would just return an empty result set."
    )
    .into()
}

/// `XREAD [COUNT count] [BLOCK ms] STREAMS key [key ...] id [id ...]` replies with each stream's entries after its id, or
/// null where there are none.
fn xread(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let request = ReadStreams::parse(args, false, call.keys.now_ms())?;
    let wait = request.wait();
    let froms = request.froms(call.keys, call.db, call.caller.no_touch, args)?;
    let whole_max = call.whole_max();
    let mut parts = Parts::new(reply);
    let mut budget = request.budget;
    for (place, from) in froms.iter().enumerate() {
        let From::After(after) = from else { continue };
        let key = call.keys.key(request.key(args, place));
        let found = call.keys.read::<StreamValue>(call.db, &key, true)?;
        let (Some(stream), Some(start)) = (found, after.next()) else {
            continue;
        };
        if budget.is_spent(parts.bytes(reply)) {
            break;
        }
        if !budget.is_bounded() {
            let walk = Entries::between(start, StreamId::MAX, Direction::Up);
            if let Some(walk) = walk.if_more_than(whole_max, &stream.log, request.count_max) {
                let at = parts.start;
                if request.keys_count > 1 {
                    reply.truncate(at);
                    let all = all_parts(call, &request, args, &froms);
                    return Ok(begin_walk(call, all, reply.protocol()));
                }
                parts.begin(key.bytes, reply);
                reply.array(walk.left_count());
                parts.end(reply);
                return Ok(call.reply_in_pieces(&key, reply, at, walk));
            }
        }
        let mut entries = stream.log.range(start, StreamId::MAX).peekable();
        if entries.peek().is_none() {
            continue;
        }
        parts.begin(key.bytes, reply);
        let (array, mut count) = (reply.len(), 0);
        for entry in entries.take(request.count_max.min(budget.entries_left())) {
            if count > 0 && budget.is_spent(parts.bytes(reply)) {
                break;
            }
            reply_entry(&entry, reply);
            count += 1;
            budget.note(1);
        }
        reply.array_since(array, count);
    }
    match wait {
        Some(wait) if parts.count == 0 => {
            let words = request.words_to_wait_with(args, &froms);
            call.wait(Wait { words, ..wait }, reply);
        }
        _ => parts.end(reply),
    }
    Ok(Effect::NONE)
}

/// What is to be read of each of several streams.
#[cold]
fn all_parts(
    call: &Call<'_>,
    request: &ReadStreams<'_>,
    args: &Args<'_>,
    froms: &[From],
) -> Vec<StreamPart> {
    let mut parts = Vec::new();
    for (place, from) in froms.iter().enumerate() {
        let From::After(after) = from else { continue };
        let key = call.keys.key(request.key(args, place));
        let entry = call.keys.peek(call.db, &key);
        let (Some(stream), Some(start)) = (entry.as_ref().and_then(stream_of), after.next()) else {
            continue;
        };
        let all = Entries::between(start, StreamId::MAX, Direction::Up);
        if let Some(entries) = all.if_more_than(0, &stream.log, request.count_max) {
            let key = key.bytes.to_vec();
            parts.push(StreamPart { key, entries });
        }
    }
    parts
}

/// Instead of a reply: it will be made of these.
#[cold]
fn begin_walk(call: &mut Call<'_>, parts: Vec<StreamPart>, protocol: Protocol) -> Effect {
    let names: Vec<Vec<u8>> = parts.iter().map(|part| part.key.clone()).collect();
    let keys: Vec<Key<'_>> = names.iter().map(|name| call.keys.key(name)).collect();
    let walk = Box::new(StreamsWalk::new(parts, protocol));
    call.keys.begin_reading_many(call.db, &keys, walk);
    Effect::NONE
}

/// `XREADGROUP GROUP group consumer [option ...] STREAMS key [key ...] id [id ...]` replies with each stream's entries that are
/// new to the group, or pending with the consumer.
fn xreadgroup(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let request = ReadStreams::parse(args, true, call.keys.now_ms())?;
    let wait = request.wait();
    let froms = request.froms(call.keys, call.db, call.caller.no_touch, args)?;
    let Some((group_name, consumer_name)) = request.group else {
        return Err(CommandError::Syntax);
    };
    let now_ms = call.keys.now_ms();
    let mut parts = Parts::new(reply);
    let mut budget = request.budget;
    let (mut changes, mut redelivered) = (0, 0);
    let mut created = Vec::new();
    for (place, from) in froms.into_iter().enumerate() {
        if budget.is_spent(parts.bytes(reply)) {
            break;
        }
        let key = call.keys.key(request.key(args, place));
        // As in Redis, which asks for it a second time, and both times as a reader does.
        let found = (call.keys).read_to_change::<StreamValue>(call.db, &key, true)?;
        let Some(mut held) = found else {
            continue;
        };
        let Some((log, mut group)) = held.get_mut().group_mut(group_name) else {
            continue;
        };
        let (number, is_new) = seen_consumer(&mut group, consumer_name, now_ms);
        changes += u64::from(is_new);
        if is_new {
            created.push(place);
        }
        let mut delivery = Delivery {
            log,
            group: &mut group,
            number,
            now_ms,
            count_left: request.count_max.min(budget.entries_left()),
            parts_at: parts.start,
            budget,
            delivered: 0,
            redelivered: 0,
        };
        match from {
            From::After(after) => {
                parts.begin(key.bytes, reply);
                delivery.history(after, reply);
            }
            From::New => {
                let may_claim = call.patience != Patience::Entering;
                let idle_ms_min = request.idle_ms_min.filter(|_| may_claim);
                let oldest = idle_ms_min.map(|idle_ms_min| {
                    let claims = delivery.claims(idle_ms_min);
                    (claims, idle_ms_min)
                });
                let has_claims = oldest
                    .as_ref()
                    .is_some_and(|(claims, _)| !claims.is_empty());
                if !has_claims && !delivery.has_new() {
                    continue;
                }
                parts.begin(key.bytes, reply);
                let start = reply.len();
                let with_times = oldest.is_some();
                if let Some((claims, _)) = oldest {
                    delivery.claim(&claims, reply);
                }
                delivery.deliver(request.no_ack, with_times, reply);
                reply.array_since(start, delivery.delivered);
                changes += u64::from(delivery.delivered > 0);
            }
        }
        redelivered += delivery.redelivered;
        budget = delivery.budget;
    }
    let has_done = changes > 0 || redelivered > 0;
    if has_done && call.is_logged && budget.depends_on_protocol() {
        let count_max = budget.count_max_after(parts.bytes(reply));
        call.log_instead(vec![request.counted(args, count_max)]);
    } else if changes == 0 && redelivered > 0 && call.is_logged {
        // It counts as no change, but who may claim what later depends on it.
        call.log_all_the_same("XREADGROUP", args);
    }
    for place in created {
        let key = request.key(args, place);
        tell_of_group(call, "xgroup-createconsumer", key);
    }
    match wait {
        Some(wait) if parts.count == 0 => call.wait(wait, reply),
        _ => parts.end(reply),
    }
    Ok(Effect::wrote(changes).touching(Touched::ComeOrGone))
}

/// Whether XREAD or XREADGROUP can read these streams, and after what, as the words say; changes nothing.
///
/// - Errors: which of the streams, counted from 0, is the first that cannot be read, and why.
pub fn check(
    keys: &mut Keyspace,
    db: usize,
    no_touch: bool,
    is_group: bool,
    args: &Args<'_>,
) -> Result<OwnedArgs, (usize, CommandError)> {
    let of_all = |error| (0, error);
    let request = ReadStreams::parse(args, is_group, keys.now_ms()).map_err(of_all)?;
    for place in 0..request.keys_count {
        let from = request.looked_up(keys, db, no_touch, args, place);
        from.map_err(|error| (place, error))?;
    }
    let ids = args.iter_from(request.keys_at + request.keys_count);
    Ok(ids.collect())
}

/// Whether a client that waits with these words would be given something here, or an error; with CLAIM it may be. Changes nothing, and
/// is no look-up.
pub fn may_have_reply(keys: &Keyspace, db: usize, is_group: bool, args: &Args<'_>) -> bool {
    let Ok(request) = ReadStreams::parse(args, is_group, keys.now_ms()) else {
        return true;
    };
    let has_reply = |place| {
        let key = keys.key(request.key(args, place));
        let Some(entry) = keys.peek(db, &key) else {
            return is_group; // Its group is gone.
        };
        let Some(stream) = stream_of(&entry) else {
            return true;
        };
        let group = request.group.and_then(|(name, _)| stream.group(name));
        let after = match request.from(Some(stream), args, place) {
            Ok(From::After(id)) if !is_group => Some(id),
            Ok(From::New) => group.map(|group| group.last_id),
            // Its history is a reply, however short, and so is an error.
            _ => None,
        };
        after.is_none_or(|after| stream.log.last_living().is_some_and(|last| last > after))
    };
    request.idle_ms_min.is_some() || (0..request.keys_count).any(has_reply)
}

/// Pending entries that are looked at for the first that is still there.
const CLAIM_LOOKS_MAX: usize = 64;
/// Where there is none, the next look comes so long after, at least.
const CLAIM_LOOK_MS: i64 = 1000;

/// When a reader that waits has something to claim.
pub struct ClaimTimes {
    /// For how long entries have to be idle, in milliseconds.
    pub idle_ms_min: i64,
    /// Of each of its streams that are here: the place of its key among the words, and the time in milliseconds since the epoch, none
    /// while nothing is pending.
    pub streams: Vec<(usize, Option<i64>)>,
}

/// When XREADGROUP with these words has something to claim; none where it does not claim.
pub fn claim_times(keys: &Keyspace, db: usize, args: &Args<'_>) -> Option<ClaimTimes> {
    let request = ReadStreams::parse(args, true, keys.now_ms()).ok()?;
    let (idle_ms_min, (group, _)) = (request.idle_ms_min?, request.group?);
    let mut streams = Vec::new();
    for place in 0..request.keys_count {
        let name = request.key(args, place);
        if !keys.owns(name) {
            continue;
        }
        let entry = keys.peek(db, &keys.key(name));
        let found = entry.as_ref().map(|entry| entry.value());
        let Some(Value::Object(object)) = found else {
            continue;
        };
        let Some(stream) = StreamValue::of(object) else {
            continue;
        };
        let is_new = matches!(request.from(Some(stream), args, place), Ok(From::New));
        let Some(group) = stream.group(group).filter(|_| is_new) else {
            continue;
        };
        let is_there = |id| stream.log.get(id).is_some();
        let longest = group.longest_pending_ms(CLAIM_LOOKS_MAX, is_there);
        let time_ms = longest.map(|longest| match longest {
            Ok(since_ms) => since_ms.saturating_add(idle_ms_min),
            // There may be one behind many that have been deleted.
            Err(since_ms) => since_ms
                .saturating_add(idle_ms_min)
                .max(keys.now_ms() + CLAIM_LOOK_MS),
        });
        streams.push((request.keys_at + place, time_ms));
    }
    Some(ClaimTimes {
        idle_ms_min,
        streams,
    })
}

/// The streams of a reply: an array of pairs, or in RESP3 a map; null without any.
struct Parts {
    start: usize,
    count: usize,
}

impl Parts {
    fn new(reply: &Reply<'_>) -> Self {
        Self {
            start: reply.len(),
            count: 0,
        }
    }

    /// How large the streams are so far.
    fn bytes(&self, reply: &Reply<'_>) -> usize {
        reply.len() - self.start
    }

    fn begin(&mut self, key: &[u8], reply: &mut Reply<'_>) {
        self.count += 1;
        if reply.protocol() == Protocol::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    fn end(self, reply: &mut Reply<'_>) {
        match (self.count, reply.protocol()) {
            (0, _) => reply.null_array(),
            (count, Protocol::Resp2) => reply.array_since(self.start, count),
            (count, Protocol::Resp3) => reply.map_since(self.start, count),
        }
    }
}

/// What one consumer gets of one stream.
struct Delivery<'s> {
    log: &'s Log,
    group: &'s mut Group,
    number: ConsumerNumber,
    now_ms: i64,
    count_left: usize,
    /// Where the streams begin in the reply, and what all of them may come to.
    parts_at: usize,
    budget: Budget,
    delivered: usize,
    /// Pending entries delivered once more.
    redelivered: usize,
}

impl Delivery<'_> {
    /// Whether an entry, not the first of its stream, is too much; else it is counted.
    fn is_over(&mut self, is_first: bool, reply: &Reply<'_>) -> bool {
        if !is_first && self.budget.is_spent(reply.len() - self.parts_at) {
            return true;
        }
        self.budget.note(1);
        false
    }

    /// Entries that are pending with the consumer, after an id; delivered once more, if they are still there.
    fn history(&mut self, after: StreamId, reply: &mut Reply<'_>) {
        let start = after.next().unwrap_or(StreamId::MAX);
        let pending = self.group.pending_of(self.number, start);
        let pending: Vec<_> = pending.take(self.count_left).collect();
        let (array, mut count) = (reply.len(), 0);
        for (id, pending) in pending {
            if self.is_over(count == 0, reply) {
                break;
            }
            count += 1;
            let Some(entry) = self.log.get(id) else {
                reply.array(2);
                reply_id(id, reply);
                reply.null_array();
                continue;
            };
            reply_entry(&entry, reply);
            let pending = Pending {
                delivered_at_ms: self.now_ms,
                deliveries: pending.deliveries.saturating_add(1),
                ..pending
            };
            self.group.assign(id, pending);
            self.redelivered += 1;
        }
        reply.array_since(array, count);
    }

    /// The entries that have been pending for so long, longest first, as many as may be delivered.
    fn claims(&mut self, idle_ms_min: i64) -> Vec<(StreamId, Pending)> {
        let (log, now_ms) = (self.log, self.now_ms);
        self.group
            .pending_by_time()
            .take_while(|(_, pending)| pending.is_idle_for(idle_ms_min, now_ms))
            .filter(|(id, _)| log.get(*id).is_some())
            .take(self.count_left)
            .collect()
    }

    fn claim(&mut self, claims: &[(StreamId, Pending)], reply: &mut Reply<'_>) {
        for (id, pending) in claims {
            let Some(entry) = self.log.get(*id) else {
                continue;
            };
            if self.is_over(self.delivered == 0, reply) {
                self.count_left = 0;
                break;
            }
            reply.array(4);
            reply_id_and_fields(&entry, reply);
            reply.integer(self.now_ms.saturating_sub(pending.delivered_at_ms));
            reply.integer(pending.deliveries as i64);
            let pending = Pending {
                delivered_at_ms: self.now_ms,
                deliveries: pending.deliveries.saturating_add(1),
                consumer: Some(self.number),
            };
            self.group.assign(*id, pending);
            self.delivered += 1;
            self.count_left -= 1;
        }
        if !claims.is_empty() {
            self.group.activate(self.number, self.now_ms);
        }
    }

    /// Whether there is an entry that the group has not delivered.
    fn has_new(&self) -> bool {
        self.log
            .last_living()
            .is_some_and(|last| last > self.group.last_id)
    }

    /// Entries that the group has not delivered, from now on pending with the consumer unless `no_ack`.
    fn deliver(&mut self, no_ack: bool, with_times: bool, reply: &mut Reply<'_>) {
        let Some(start) = self.group.last_id.next() else {
            return;
        };
        let before = self.delivered;
        for entry in self.log.range(start, StreamId::MAX).take(self.count_left) {
            if self.is_over(self.delivered == 0, reply) {
                break;
            }
            self.pass(entry.id);
            if with_times {
                reply.array(4);
                reply_id_and_fields(&entry, reply);
                reply.integer(0);
                reply.integer(0);
            } else {
                reply_entry(&entry, reply);
            }
            if !no_ack {
                let pending = Pending {
                    delivered_at_ms: self.now_ms,
                    deliveries: 1,
                    consumer: Some(self.number),
                };
                self.group.assign(entry.id, pending);
            }
            self.delivered += 1;
        }
        if self.delivered > before && !no_ack {
            self.group.activate(self.number, self.now_ms);
        }
    }

    /// Moves the group on to an entry and counts it as read, where counting still makes sense.
    fn pass(&mut self, id: StreamId) {
        let (log, group) = (self.log, &mut *self.group);
        let is_counted = group.last_id >= log.first_id() && !log.has_gap_from(group.last_id);
        match &mut group.entries_read {
            Some(entries_read) if is_counted => *entries_read += 1,
            entries_read if log.entries_added > 0 => *entries_read = log.added_until(id),
            _ => {}
        }
        group.last_id = id;
    }
}

/// The keys after STREAMS: the first half of the words there.
const fn streams_from(start_from: i8) -> KeySpec {
    KeySpec {
        access: KeyAccess {
            mode: "RO",
            flags: &["access"],
        },
        begin: Begin::Keyword {
            word: "STREAMS",
            start_from,
        },
        find: Find::Range {
            last: -1,
            step: 1,
            limit: 2,
        },
        notes: "",
    }
}

/// XREAD and XREADGROUP.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XREAD",
        since: "5.0.0",
        group: CommandGroup::Stream,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY
            .or(Flags::BLOCKING)
            .or(Flags::MOVABLE_KEYS)
            .or(Flags::WAITS_IF_TOLD),
        keys: &[streams_from(1)],
        spread: Spread::Gather(Program::ReadStreams),
        args: "[COUNT count] [MAXCOUNT maxcount:integer]@8.10.0 [MAXSIZE maxsize:integer]@8.10.0 \
            [BLOCK milliseconds] streams=STREAMS(key [key ...] id [id ...])",
        summary: "Returns entries of several streams after an id each, and can wait for them.",
        cost: "O(N) for N entries returned",
        history: &[("8.10.0", "`MAXCOUNT` and `MAXSIZE`")],
        run: Run::Waits(xread),
        ..ROW
    },
    Command {
        name: "XREADGROUP",
        since: "5.0.0",
        group: CommandGroup::Stream,
        arity: Arity::AtLeast(7),
        flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLE_KEYS),
        keys: &[streams_from(4)],
        spread: Spread::Gather(Program::ReadStreams),
        args: "group-block=GROUP(group consumer) [COUNT count] [MAXCOUNT maxcount:integer]@8.10.0 \
            [MAXSIZE maxsize:integer]@8.10.0 [BLOCK milliseconds] [CLAIM min-idle-time:integer]@8.4.0 [NOACK] streams=STREAMS(key [key ...] id [id ...])",
        summary: "Returns entries that are new to a group, or pending with a consumer, and can wait for them.",
        cost: "O(N) for N entries returned",
        history: &[("8.4.0", "`CLAIM`"), ("8.10.0", "`MAXCOUNT` and `MAXSIZE`")],
        run: Run::Waits(xreadgroup),
        ..ROW
    },
];
