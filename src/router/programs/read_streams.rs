//! XREAD and XREADGROUP over several shards: each shard reads its streams, the parts are joined in the order of the request.
//!
//! Promises  XREADGROUP delivers nothing until every shard has found its keys and groups; of several errors the client sees
//!           that of the first key.
//! Tests     tests/router/programs.rs; every transcript of streams, at 2 and 7 shards.

use super::{Job, Next, Part, Program, error_reply, first_error, is_error, unexpected};
use crate::commands::CommandError;
use crate::commands::stream_read::ReadStreams as Request;
use crate::resp::args::OwnedArgs;
use crate::resp::element::{elements, is_null, read_bulk};
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
    is_checked: bool,
    /// XREAD: the shards that gave errors, while they are asked which keys those are about.
    refused: Vec<ShardId>,
    /// The locks are needed after it has read: to wait under them.
    keeps_locks: bool,
}

impl ReadStreams {
    pub(super) fn new(job: Job) -> Result<Self, CommandError> {
        let is_group = !job
            .entry
            .command
            .flags
            .has(crate::commands::Flags::READONLY);
        let request = Request::parse(&job.args(), is_group)?;
        let (keys_at, keys_count) = (request.keys_at(), request.keys_count());
        let keeps_locks = request.blocks();
        Ok(Self {
            parts: job.parts(keys_at..keys_at + keys_count, 1),
            job,
            keys_at,
            keys_count,
            is_group,
            is_checked: false,
            refused: Vec::new(),
            keeps_locks,
        })
    }

    /// The request with a part's keys and ids only.
    fn words(&self, places: &[usize]) -> OwnedArgs {
        let args = self.job.args();
        let options = 0..self.keys_at;
        let keys = places.iter().map(|place| self.keys_at + place);
        let ids = places
            .iter()
            .map(|place| self.keys_at + self.keys_count + place);
        options
            .chain(keys)
            .chain(ids)
            .map(|index| args.get(index))
            .collect()
    }

    fn commands(&self) -> impl Iterator<Item = (ShardId, Operation)> {
        self.parts
            .iter()
            .map(|(shard, places)| (*shard, self.job.command(self.words(places))))
    }

    fn check(&self, (shard, places): &Part) -> (ShardId, Operation) {
        let operation = Operation::CheckStreams {
            db: self.job.db,
            caller: self.job.caller,
            is_group: self.is_group,
            args: self.words(places),
        };
        (*shard, operation)
    }

    /// Asks those shards that gave errors which of their keys those are about.
    fn ask_refused(&mut self) -> Next {
        let parts = self.parts.iter();
        let asked = parts.filter(|(shard, _)| self.refused.contains(shard));
        let phase = asked.map(|part| {
            let (shard, operation) = self.check(part);
            (shard, operation, true)
        });
        Next::Phase(phase.collect())
    }

    /// The error about the first key, among what checks gave.
    fn error_of_first_key(&self, outputs: &[(ShardId, Output)]) -> Option<Vec<u8>> {
        let of_output = |(shard, output): &(ShardId, Output)| {
            let Output::ErrorAt(place, error) = output else {
                return None;
            };
            let (_, places) = self.parts.iter().find(|(of, _)| of == shard)?;
            Some((*places.get(*place)?, error_reply(error)))
        };
        let errors = outputs.iter().filter_map(of_output);
        let first = errors.min_by_key(|(place, _)| *place);
        first.map(|(_, error)| error)
    }

    fn join(&self, outputs: &[(ShardId, Output)]) -> Option<Vec<u8>> {
        let args = self.job.args();
        let protocol = self.job.caller.protocol;
        let mut streams: Vec<&[u8]> = vec![b""; self.keys_count];
        for ((_, output), (_, places)) in outputs.iter().zip(&self.parts) {
            let Output::Reply(reply) = output else {
                return None;
            };
            if is_null(reply) {
                continue;
            }
            // In the order of the part's keys, those without entries left out.
            let mut places = places.iter();
            for stream in streams_of(reply, protocol)? {
                let key = match protocol {
                    Protocol::Resp2 => read_bulk(elements(stream)?.next()?)?,
                    Protocol::Resp3 => read_bulk(stream)?,
                };
                let place = places.find(|place| args.get(self.keys_at + **place) == key)?;
                streams[*place] = stream;
            }
        }
        let count = streams.iter().filter(|stream| !stream.is_empty()).count();
        let mut joined = Vec::with_capacity(streams.iter().map(|it| it.len()).sum::<usize>() + 16);
        let mut reply = Reply::new(&mut joined, protocol);
        match (count, protocol) {
            (0, _) => reply.null_array(),
            (count, Protocol::Resp2) => reply.array(count),
            (count, Protocol::Resp3) => reply.map(count),
        }
        streams.iter().for_each(|stream| reply.raw(stream));
        Some(joined)
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
        if !self.is_group {
            return self.commands().collect();
        }
        self.parts.iter().map(|part| self.check(part)).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has read when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = self.error_of_first_key(&outputs) {
            return Next::Done(error);
        }
        if let Some(error) = first_error(&outputs) {
            let errors = outputs.iter().filter(|(_, output)| is_error(output));
            let refused: Vec<_> = errors.map(|(shard, _)| *shard).collect();
            if self.is_group || !self.refused.is_empty() || refused.len() < 2 {
                return Next::Done(error);
            }
            self.refused = refused;
            return self.ask_refused();
        }
        if !self.refused.is_empty() {
            return unexpected(); // Under the same locks the keys are what they were.
        }
        if self.is_group && !self.is_checked {
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
