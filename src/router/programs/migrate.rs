//! MIGRATE: payloads of the keys, an errand to the other server, and the end of the keys it has taken.
//!
//! Promises  the keys are locked from the first step to the last, so nobody sees one changed or gone before its fate is
//!           known; other keys are not held up. A key is removed only where the other server said so.

use super::{Job, Next, Program, error_reply, first_error, part_of, unexpected};
use crate::commands::CommandError;
use crate::commands::migrate::Migration;
use crate::commands::table::table;
use crate::resp::args::OwnedArgs;
use crate::router::errand::{Dumped, Errand, Failure, Report};
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Migrate {
    job: Job,
    migration: Migration,
    /// What the other server is asked before the keys: AUTH and SELECT.
    openings_count: usize,
    /// The keys it is asked to take.
    keys: Vec<Vec<u8>>,
    /// The reply, once only keys are left to be removed.
    reply: Vec<u8>,
}

impl Migrate {
    pub(super) fn new(job: Job) -> Result<Self, CommandError> {
        Ok(Self {
            migration: Migration::parse(&job.args())?,
            job,
            openings_count: 0,
            keys: Vec::new(),
            reply: Vec::new(),
        })
    }

    /// Asks the other server to take these.
    fn send(&mut self, dumps: Vec<Dumped>) -> Next {
        if dumps.is_empty() {
            return Next::Done(b"+NOKEY\r\n".to_vec());
        }
        let args = self.job.args();
        let mut request = Vec::new();
        if !self.migration.auth.is_empty() {
            let words = self.migration.auth.clone().map(|word| args.get(word));
            push_request(&mut request, [b"AUTH".as_slice()].into_iter().chain(words));
            self.openings_count += 1;
        }
        let db = self.migration.destination_db.to_string();
        push_request(
            &mut request,
            [b"SELECT".as_slice(), db.as_bytes()].into_iter(),
        );
        self.openings_count += 1;
        for dump in dumps {
            let ttl = dump.ttl_ms.to_string();
            let words = [
                b"RESTORE".as_slice(),
                &dump.key,
                ttl.as_bytes(),
                &dump.payload,
            ];
            let replace = self.migration.replace.then_some(b"REPLACE".as_slice());
            push_request(&mut request, words.into_iter().chain(replace));
            self.keys.push(dump.key);
        }
        Next::Errand(Box::new(Errand {
            host: args.get(1).to_vec(),
            port: args.get(2).to_vec(),
            timeout_ms: self.migration.timeout_ms,
            request,
            replies_count: self.openings_count + self.keys.len(),
        }))
    }

    /// What the other server said: which keys go, and what the client is told.
    fn take(&mut self, report: &Report) -> Next {
        let (openings, restores) = report
            .lines
            .split_at(self.openings_count.min(report.lines.len()));
        let is_error = |line: &&Vec<u8>| line.first() == Some(&b'-');
        let opening_error = openings.iter().find(is_error);
        let error = opening_error.or(restores.iter().find(is_error));
        self.reply = match (error, report.failure) {
            (Some(line), _) => error_reply(&CommandError::Quoting(
                [b"ERR Target instance replied with error: ", &line[1..]].concat(),
            )),
            (None, Some(failure)) => error_reply(&failure_text(failure).into()),
            (None, None) => b"+OK\r\n".to_vec(),
        };
        let mut gone: Vec<(ShardId, OwnedArgs)> = Vec::new();
        if !self.migration.copy && opening_error.is_none() {
            for (key, line) in self.keys.iter().zip(restores) {
                if !is_error(&line) {
                    let words = part_of(&mut gone, self.job.map.shard_of(key));
                    if words.is_empty() {
                        words.push(b"DEL");
                    }
                    words.push(key);
                }
            }
        }
        let Some(entry) = table().find_original(b"DEL") else {
            return unexpected();
        };
        if gone.is_empty() {
            return Next::Done(std::mem::take(&mut self.reply));
        }
        gone.sort_by_key(|(shard, _)| *shard);
        let remove = |(shard, args)| {
            let operation = Operation::Command {
                entry,
                db: self.job.db,
                caller: self.job.caller,
                args,
            };
            (shard, operation, true)
        };
        Next::Phase(gone.into_iter().map(remove).collect())
    }
}

fn failure_text(failure: Failure) -> &'static str {
    match failure {
        Failure::Connecting => "IOERR error or timeout connecting to the client",
        Failure::Writing => "IOERR error or timeout writing to target instance",
        Failure::Reading => "IOERR error or timeout reading to target instance",
    }
}

/// Appends one request.
fn push_request<'w>(out: &mut Vec<u8>, words: impl Iterator<Item = &'w [u8]> + Clone) {
    out.extend_from_slice(format!("*{}\r\n", words.clone().count()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

impl Program for Migrate {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let args = self.job.args();
        let mut by_shard: Vec<(ShardId, OwnedArgs)> = Vec::new();
        for word in self.migration.keys.clone() {
            let key = args.get(word);
            part_of(&mut by_shard, self.job.map.shard_of(key)).push(key);
        }
        let db = self.job.db;
        let dump = |(shard, keys)| (shard, Operation::Dump { db, keys });
        by_shard.into_iter().map(dump).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        // The payloads are there when its locks are granted, but for no keys at all.
        self.send(Vec::new())
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        let mut dumps = Vec::new();
        for (_, output) in outputs {
            match output {
                Output::Dumps(more) => dumps.extend(more),
                Output::Report(report) => return self.take(&report),
                Output::Reply(_) => return Next::Done(std::mem::take(&mut self.reply)),
                _ => return unexpected(),
            }
        }
        self.send(dumps)
    }
}
