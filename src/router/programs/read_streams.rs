//! XREAD and XREADGROUP over several shards: each shard reads its streams, the parts are joined in the order of the request.
//!
//! MAXCOUNT and MAXSIZE are for all streams together: XREAD reads as much as they allow on each shard and drops what is too
//! much; XREADGROUP, which changes what it reads, asks one shard after the other for what is left.
//!
//! A client that has waited, and whose coordinator looks for it, reads after the ids it began to wait with, which its shards know:
//! `$` is where a stream ended when it came.
//!
//! Promises  XREADGROUP delivers nothing until every shard has found its keys and groups, and then everything: each shard reads at the
//!           time at which it has found them; of several errors the client sees that of the first key.
//! Tests     tests/router/programs.rs; every transcript of streams, at 2 and 7 shards.

use std::collections::{HashMap, HashSet};

use super::{Job, Next, Part, Program, error_reply, first_error, is_error, unexpected};
use crate::commands::CommandError;
use crate::commands::stream_budget::Budget;
use crate::commands::stream_read::ReadStreams as Request;
use crate::commands::stream_words;
use crate::ds::stream::StreamId;
use crate::resp::args::OwnedArgs;
use crate::resp::element::{Elements, element_end, elements, is_null, read_bulk};
use crate::resp::{Protocol, Reply};
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct ReadStreams {
    job: Job,
    keys_at: usize,
    keys_count: usize,
    parts: Vec<Part>,
    /// XREADGROUP: what it reads changes the groups.
    is_group: bool,
    /// Nothing is read before all keys are looked at: XREADGROUP, and XREAD that will be refused, which reads no key twice.
    checks_first: bool,
    is_checked: bool,
    /// When each shard has.
    times: Vec<(ShardId, i64)>,
    /// XREAD: the shards that gave errors, while they are asked which keys those are about.
    refused: Vec<ShardId>,
    /// Where all is checked first: the error of the first key, while what was looked up until there is counted.
    failed: Option<Vec<u8>>,
    /// The locks are needed after it has read: to wait under them.
    keeps_locks: bool,
    /// Who has waited, if it runs for such a client.
    waiter: Option<u64>,
    /// What all streams together may come to.
    budget: Budget,
    /// XREADGROUP with a budget: the keys, in runs of neighbours on one shard, that were not read yet, the last first, and
    /// the streams that were.
    runs: Vec<Part>,
    streams: Vec<Vec<u8>>,
}

impl ReadStreams {
    pub(super) fn new(job: Job) -> Result<Self, CommandError> {
        let is_group = !job
            .entry
            .command
            .flags
            .has(crate::commands::Flags::READONLY);
        // Whether a wait ends beyond all time is for the shards to say, which know the time.
        let request = Request::parse(&job.args(), is_group, 0)?;
        let (keys_at, keys_count) = (request.keys_at(), request.keys_count());
        let keeps_locks = request.blocks();
        let budget = request.budget();
        let mut runs: Vec<Part> = Vec::new();
        if is_group && budget.is_bounded() {
            // A stream that is named again is in another run: where the budget is spent, what is left out could be either.
            let args = job.args();
            let mut named = HashSet::new();
            for place in (0..keys_count).rev() {
                let key = args.get(keys_at + place);
                let shard = job.map.shard_of(key);
                match runs.last_mut() {
                    Some((of, places)) if *of == shard && named.insert(key) => {
                        places.insert(0, place);
                    }
                    _ => {
                        runs.push((shard, vec![place]));
                        named = HashSet::from([key]);
                    }
                }
            }
        }
        Ok(Self {
            parts: job.parts(keys_at..keys_at + keys_count, 1),
            budget,
            streams: vec![Vec::new(); keys_count],
            runs,
            checks_first: is_group || !request.has_ids_to_read(&job.args()),
            job,
            keys_at,
            keys_count,
            is_group,
            is_checked: false,
            times: Vec::new(),
            refused: Vec::new(),
            failed: None,
            keeps_locks,
            waiter: None,
        })
    }

    /// The same for a client that has waited.
    pub(super) fn on_behalf(job: Job, waiter: u64) -> Result<Self, CommandError> {
        let all = Self::new(job)?;
        Ok(Self {
            checks_first: true,
            keeps_locks: false,
            waiter: Some(waiter),
            ..all
        })
    }

    /// The request with a part's keys and ids only.
    fn words(&self, places: &[usize]) -> OwnedArgs {
        self.words_with(places, &[])
    }

    /// The same, some words of its options replaced by numbers.
    fn words_with(&self, places: &[usize], numbers: &[(usize, usize)]) -> OwnedArgs {
        let args = self.job.args();
        let options = 0..self.keys_at;
        let keys = places.iter().map(|place| self.keys_at + place);
        let ids = places
            .iter()
            .map(|place| self.keys_at + self.keys_count + place);
        let numbers: Vec<(usize, String)> = numbers
            .iter()
            .map(|(at, number)| (*at, number.to_string()))
            .collect();
        let number_at = |index| numbers.iter().find(|(at, _)| *at == index);
        options
            .chain(keys)
            .chain(ids)
            .map(|index| match number_at(index) {
                Some((_, number)) => number.as_bytes(),
                None => args.get(index),
            })
            .collect()
    }

    /// Asks for the next run what the budget has left for it; nothing where that is nothing, or no run is left.
    fn ask_next_run(&mut self) -> Option<Next> {
        let bytes = self.streams.iter().map(Vec::len).sum();
        if self.budget.is_spent(bytes) {
            return None;
        }
        let (shard, places) = self.runs.last()?;
        let request = Request::parse(&self.job.args(), true, 0).ok()?;
        let words = self.words_with(places, &request.rest(&self.budget, bytes));
        Some(Next::Phase(vec![(
            *shard,
            self.command(*shard, words),
            false,
        )]))
    }

    /// The command on the keys of one shard.
    fn command(&self, shard: ShardId, words: OwnedArgs) -> Operation {
        let command = self.job.command(words);
        let operation = match self.waiter {
            Some(waiter) => command.for_waiter(waiter),
            None => command,
        };
        match self.times.iter().find(|(of, _)| *of == shard) {
            Some(&(_, now_ms)) => Operation::AsOf {
                now_ms,
                operation: Box::new(operation),
            },
            None => operation,
        }
    }

    /// Takes what checks gave that found nothing wrong; false where the client waits no more.
    fn take_checks(&mut self, outputs: &[(ShardId, Output)]) -> bool {
        for (shard, output) in outputs {
            if let Output::Streams { now_ms, .. } = output {
                self.times.push((*shard, *now_ms));
            }
        }
        self.waiter.is_none() || self.take_ids(outputs)
    }

    /// From here on the words have the ids that were found, by shard; false where the client waits no more.
    fn take_ids(&mut self, outputs: &[(ShardId, Output)]) -> bool {
        let mut words: Vec<Vec<u8>> = self.job.args().iter_from(0).map(<[u8]>::to_vec).collect();
        let ids_at = self.keys_at + self.keys_count;
        for ((_, output), (_, places)) in outputs.iter().zip(&self.parts) {
            let Output::Streams { ids: Some(ids), .. } = output else {
                return false;
            };
            for (id, place) in ids.as_args().iter_from(0).zip(places) {
                words[ids_at + place] = id.to_vec();
            }
        }
        self.job.words = words.iter().map(Vec::as_slice).collect();
        true
    }

    /// Takes the streams of the run that was asked for.
    fn take_run(&mut self, outputs: &[(ShardId, Output)]) -> Option<()> {
        let (_, places) = self.runs.pop()?;
        let [(_, Output::Reply(reply))] = outputs else {
            return None;
        };
        for (place, stream) in self.placed(reply, &places)? {
            self.budget.note(
                Stream::read(stream, self.job.caller.protocol)?
                    .entries()?
                    .left(),
            );
            self.streams[place] = stream.to_vec();
        }
        Some(())
    }

    /// The streams of a part's reply, with the places of their keys.
    fn placed<'r>(&self, reply: &'r [u8], places: &[usize]) -> Option<Vec<(usize, &'r [u8])>> {
        if is_null(reply) {
            return Some(Vec::new());
        }
        let args = self.job.args();
        let protocol = self.job.caller.protocol;
        // In the order of the part's keys, those without entries left out.
        let mut placed = Vec::new();
        let streams = streams_of(reply, protocol)?;
        let mut left = self.left_of(places, &streams)?;
        let mut places = places.iter();
        for stream in streams {
            let read = Stream::read(stream, protocol)?;
            let key = read.key()?;
            let place = loop {
                let place = *places.next()?;
                let asked = args.get(self.keys_at + place);
                let left = left.entry(asked).or_default();
                left.pending_count -= usize::from(self.asks_for_pending(place));
                if asked == key && self.may_give(place, &read, *left) {
                    left.streams_count = left.streams_count.saturating_sub(1);
                    break place;
                }
            };
            placed.push((place, stream));
        }
        Some(placed)
    }

    /// What a group's reply has, and its part asks for, by key.
    fn left_of<'r>(
        &'r self,
        places: &[usize],
        streams: &[&'r [u8]],
    ) -> Option<HashMap<&'r [u8], Left>> {
        let mut left: HashMap<&[u8], Left> = HashMap::default();
        if !self.is_group {
            return Some(left);
        }
        let args = self.job.args();
        for &place in places {
            let left = left.entry(args.get(self.keys_at + place)).or_default();
            left.pending_count += usize::from(self.asks_for_pending(place));
        }
        for stream in streams {
            let key = Stream::read(stream, self.job.caller.protocol)?.key()?;
            left.entry(key).or_default().streams_count += 1;
        }
        Some(left)
    }

    /// Whether a place asks a group for what is pending.
    fn asks_for_pending(&self, place: usize) -> bool {
        self.is_group && self.id_of(place) != b">"
    }

    fn id_of(&self, place: usize) -> &[u8] {
        let ids_at = self.keys_at + self.keys_count;
        self.job.args().get(ids_at + place)
    }

    /// Whether these entries may be what a place's ID asks for: one stream may be named more than once.
    ///
    /// - `left`: of a group, these entries and what follows them and the place.
    fn may_give(&self, place: usize, stream: &Stream<'_>, left: Left) -> bool {
        match self.id_of(place) {
            // What is left out has no new entries; what is pending is always told, be it nothing.
            b">" => left.pending_count == 0 || left.streams_count > left.pending_count,
            _ if self.is_group => true,
            b"+" => true,
            b"$" => false,
            word => stream_words::try_id(word, 0) < stream.first_id(),
        }
    }

    fn commands(&self) -> impl Iterator<Item = (ShardId, Operation)> {
        self.parts
            .iter()
            .map(|(shard, places)| (*shard, self.command(*shard, self.words(places))))
    }

    fn check(&self, part: &Part, counts: bool) -> (ShardId, Operation) {
        self.check_of(part, counts, None)
    }

    /// - `waiter`: whose words count, if not the command's.
    fn check_of(
        &self,
        (shard, places): &Part,
        counts: bool,
        waiter: Option<u64>,
    ) -> (ShardId, Operation) {
        let operation = Operation::CheckStreams {
            db: self.job.db,
            caller: self.job.caller,
            is_group: self.is_group,
            counts,
            waiter,
            args: self.words(places),
        };
        (*shard, operation)
    }

    /// Asks those shards that gave errors which of their keys those are about.
    fn ask_refused(&mut self) -> Next {
        let parts = self.parts.iter();
        let asked = parts.filter(|(shard, _)| self.refused.contains(shard));
        let phase = asked.map(|part| {
            let (shard, operation) = self.check(part, false);
            (shard, operation, true)
        });
        Next::Phase(phase.collect())
    }

    /// Has the keys counted as looked up that are before this one, and it.
    fn count_until(&self, last: usize) -> Next {
        let parts = self.parts.iter().map(|(shard, places)| {
            let places = places.iter().copied().filter(|place| *place <= last);
            (*shard, places.collect())
        });
        let asked = parts.filter(|(_, places): &Part| !places.is_empty());
        let phase = asked.map(|part| {
            let (shard, operation) = self.check(&part, true);
            (shard, operation, true)
        });
        Next::Phase(phase.collect())
    }

    /// The error about the first key, among what checks gave; and which key that is.
    fn error_of_first_key(&self, outputs: &[(ShardId, Output)]) -> Option<(usize, Vec<u8>)> {
        let of_output = |(shard, output): &(ShardId, Output)| {
            let Output::ErrorAt(place, error) = output else {
                return None;
            };
            let (_, places) = self.parts.iter().find(|(of, _)| of == shard)?;
            Some((*places.get(*place)?, error_reply(error)))
        };
        let errors = outputs.iter().filter_map(of_output);
        errors.min_by_key(|(place, _)| *place)
    }

    fn join(&self, outputs: &[(ShardId, Output)]) -> Option<Vec<u8>> {
        let mut streams: Vec<&[u8]> = vec![b""; self.keys_count];
        for ((_, output), (_, places)) in outputs.iter().zip(&self.parts) {
            let Output::Reply(reply) = output else {
                return None;
            };
            for (place, stream) in self.placed(reply, places)? {
                streams[place] = stream;
            }
        }
        if self.budget.is_bounded() {
            return self.cut_down(&streams);
        }
        Some(self.reply(streams.iter().copied().filter(|stream| !stream.is_empty())))
    }

    /// As much of the streams as the budget allows.
    fn cut_down(&self, streams: &[&[u8]]) -> Option<Vec<u8>> {
        let protocol = self.job.caller.protocol;
        let mut budget = self.budget;
        let mut bytes = 0;
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for stream in streams.iter().filter(|stream| !stream.is_empty()) {
            if budget.is_spent(bytes) {
                break;
            }
            let read = Stream::read(stream, protocol)?;
            let head = &stream[..stream.len() - read.entries.len()];
            let mut entries = Vec::new();
            let mut count = 0;
            for entry in read.entries()? {
                if count > 0 && budget.is_spent(bytes + head.len() + entries.len()) {
                    break;
                }
                entries.extend_from_slice(entry);
                count += 1;
                budget.note(1);
            }
            let mut part = head.to_vec();
            Reply::new(&mut part, protocol).array(count);
            part.extend_from_slice(&entries);
            bytes += part.len();
            kept.push(part);
        }
        Some(self.reply(kept.iter().map(Vec::as_slice)))
    }

    /// The reply that has these streams.
    fn reply<'s>(&self, streams: impl Iterator<Item = &'s [u8]> + Clone) -> Vec<u8> {
        let protocol = self.job.caller.protocol;
        let bytes: usize = streams.clone().map(<[u8]>::len).sum();
        let mut joined = Vec::with_capacity(bytes + 16);
        let mut reply = Reply::new(&mut joined, protocol);
        match (streams.clone().count(), protocol) {
            (0, _) => reply.null_array(),
            (count, Protocol::Resp2) => reply.array(count),
            (count, Protocol::Resp3) => reply.map(count),
        }
        streams.for_each(|stream| reply.raw(stream));
        joined
    }
}

/// Of one key, what has not been gone through yet.
#[derive(Clone, Copy, Default)]
struct Left {
    /// Streams in the reply.
    streams_count: usize,
    /// Places that ask a group for what is pending.
    pending_count: usize,
}

/// A stream in a reply.
struct Stream<'r> {
    key: &'r [u8],
    entries: &'r [u8],
}

impl<'r> Stream<'r> {
    fn read(bytes: &'r [u8], protocol: Protocol) -> Option<Self> {
        match protocol {
            Protocol::Resp2 => {
                let mut pair = elements(bytes)?;
                let (key, entries) = (pair.next()?, pair.next()?);
                Some(Self { key, entries })
            }
            Protocol::Resp3 => {
                let (key, entries) = bytes.split_at(element_end(bytes)?);
                Some(Self { key, entries })
            }
        }
    }

    fn key(&self) -> Option<&'r [u8]> {
        read_bulk(self.key)
    }

    fn first_id(&self) -> Option<StreamId> {
        let entry = self.entries()?.next()?;
        stream_words::try_id(read_bulk(elements(entry)?.next()?)?, 0)
    }

    fn entries(&self) -> Option<Elements<'r>> {
        elements(self.entries)
    }
}

/// The bytes of each stream in a reply: a pair, or in RESP3 a key with its value.
fn streams_of(reply: &[u8], protocol: Protocol) -> Option<Vec<&[u8]>> {
    let mut all = elements(reply)?;
    let mut streams = Vec::new();
    while all.left() > 0 {
        let rest = all.rest();
        let mut bytes = all.next()?.len();
        if protocol == Protocol::Resp3 {
            bytes += all.next()?.len();
        }
        streams.push(&rest[..bytes]);
    }
    Some(streams)
}

impl Program for ReadStreams {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if !self.checks_first {
            return self.commands().collect();
        }
        // What it delivers is looked up anew, and counted then.
        let parts = self.parts.iter();
        let check = |part| self.check_of(part, false, self.waiter);
        parts.map(check).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has read when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = self.failed.take() {
            return Next::Done(error);
        }
        if let Some((place, error)) = self.error_of_first_key(&outputs) {
            if !self.checks_first {
                return Next::Done(error);
            }
            self.failed = Some(error);
            return self.count_until(place);
        }
        if let Some(error) = first_error(&outputs) {
            let errors = outputs.iter().filter(|(_, output)| is_error(output));
            let refused: Vec<_> = errors.map(|(shard, _)| *shard).collect();
            if self.checks_first || !self.refused.is_empty() || refused.len() < 2 {
                return Next::Done(error);
            }
            self.refused = refused;
            return self.ask_refused();
        }
        if !self.refused.is_empty() {
            return unexpected(); // Under the same locks the keys are what they were.
        }
        if self.checks_first && !self.is_checked && !self.take_checks(&outputs) {
            return Next::Done(b"*-1\r\n".to_vec());
        }
        if self.is_group && self.budget.is_bounded() {
            let is_taken = !self.is_checked || self.take_run(&outputs).is_some();
            self.is_checked = true;
            if !is_taken {
                return unexpected();
            }
            return self.ask_next_run().unwrap_or_else(|| {
                let streams = self.streams.iter().map(Vec::as_slice);
                Next::Done(self.reply(streams.filter(|stream| !stream.is_empty())))
            });
        }
        if self.checks_first && !self.is_checked {
            self.is_checked = true;
            let commands = self.commands();
            let is_last = !self.keeps_locks;
            let phase = commands.map(|(shard, command)| (shard, command, is_last));
            return Next::Phase(phase.collect());
        }
        match self.join(&outputs) {
            Some(reply) => Next::Done(reply),
            None => {
                debug_assert!(false, "parts of XREAD do not fit the request");
                Next::Done(error_reply(
                    &"ERR internal error: a shard gave an unexpected output".into(),
                ))
            }
        }
    }
}
