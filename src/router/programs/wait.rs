//! Commands that may wait.
//!
//! | keys | first | nothing there |
//! |---|---|---|
//! | on one shard | its handler, when the lock is granted | the same step enters the waiter |
//! | on several | the program of the command that does not wait | under the same locks, waiters enter at every shard |
//! | moved from one shard to another | the same | one waiter, at the source, whose coordinator is asked |
//!
//! Promises  between looking and waiting nobody else changes the keys, so no wake-up is lost.

use super::{Job, Next, Program, error_reply, part_of, unexpected};
use crate::commands::blocking::with_keys;
use crate::resp::args::OwnedArgs;
use crate::resp::element::is_null;
use crate::router::{Operation, Output, ShardId, TxId, WaitTicket};

/// All keys on one shard, or none that can be told.
pub(super) struct AtHome {
    job: Job,
    shard: ShardId,
    ticket: WaitTicket,
    has_keys: bool,
}

impl AtHome {
    pub(super) fn new(job: Job, ticket: WaitTicket) -> Self {
        let first = job.keys().first().map(|(shard, _)| *shard);
        Self {
            job,
            shard: first.unwrap_or(0),
            ticket,
            has_keys: first.is_some(),
        }
    }

    fn enlist(&self) -> Operation {
        let words = self.job.words.clone();
        enlist(&self.job, words, &self.ticket, false, false)
    }
}

impl Program for AtHome {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        // One shard, so a granted lock is all of them: what writes may run at once.
        if self.has_keys {
            vec![(self.shard, self.enlist())]
        } else {
            Vec::new()
        }
    }

    fn begin(&mut self, _: TxId) -> Next {
        // Words that hide their keys: the handler says what is wrong with them.
        Next::Phase(vec![(self.shard, self.enlist(), true)])
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        match outputs.into_iter().next() {
            Some((_, Output::Reply(reply))) => Next::Done(reply),
            Some((_, Output::Error(error))) => Next::Done(error_reply(&error)),
            Some((shard, Output::Waiting { timeout_ms })) => Next::Wait {
                shards: vec![shard],
                timeout_ms,
            },
            _ => unexpected(),
        }
    }
}

/// Keys on several shards.
pub(super) struct Wait {
    job: Job,
    inner: Box<dyn Program>,
    ticket: WaitTicket,
    /// It moves elements: its timeout, since no handler here parses it.
    moves: Option<Option<u64>>,
    is_entering: bool,
    /// It does not wait after all; those that have entered leave first.
    ended: Option<Next>,
}

impl Wait {
    pub(super) fn new(
        job: Job,
        inner: Box<dyn Program>,
        ticket: WaitTicket,
        moves: Option<Option<u64>>,
    ) -> Self {
        Self {
            job,
            inner,
            ticket,
            moves,
            is_entering: false,
            ended: None,
        }
    }

    /// Goes on with what the inner program wants, unless that is to say that there was nothing.
    fn or_enter(&mut self, next: Next) -> Next {
        match next {
            Next::Done(reply) if is_null(&reply) => {
                self.is_entering = true;
                Next::Phase(self.entries())
            }
            next => next,
        }
    }

    fn entries(&self) -> Vec<(ShardId, Operation, bool)> {
        let keys = self.job.keys();
        if self.moves.is_some() {
            let source = keys.first().map_or(0, |(shard, _)| *shard);
            let words = self.job.words.clone();
            let operation = enlist(&self.job, words, &self.ticket, true, false);
            return vec![(source, operation, false)];
        }
        let mut parts: Vec<(ShardId, Vec<usize>)> = Vec::new();
        for (shard, word) in keys {
            part_of(&mut parts, shard).push(word);
        }
        parts.sort_unstable_by_key(|(shard, _)| *shard);
        let enter = |(shard, words): (ShardId, Vec<usize>)| {
            let kept = |index| words.contains(&index);
            let words = with_keys(self.job.entry, &self.job.args(), &kept);
            let operation = enlist(&self.job, words, &self.ticket, false, true);
            (shard, operation, false)
        };
        parts.into_iter().map(enter).collect()
    }
}

impl Program for Wait {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        self.inner.reads()
    }

    fn begin(&mut self, tx: TxId) -> Next {
        let next = self.inner.begin(tx);
        self.or_enter(next)
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if !self.is_entering {
            let next = self.inner.next(outputs);
            return self.or_enter(next);
        }
        if let Some(ended) = self.ended.take() {
            return ended;
        }
        let mut shards = Vec::with_capacity(outputs.len());
        let mut timeout_ms = self.moves.unwrap_or_default();
        let mut ended = None;
        for (shard, output) in outputs {
            match output {
                Output::Waiting { timeout_ms: given } => {
                    shards.push(shard);
                    timeout_ms = timeout_ms.or(given);
                }
                // It does not wait after all (XREAD without BLOCK), its words are wrong, one shard has no room, or a key with its
                // group has expired since it was looked at.
                Output::Reply(reply) => ended = ended.or(Some(Next::Done(reply))),
                Output::Error(error) => ended = ended.or(Some(Next::Done(error_reply(&error)))),
                _ => ended = ended.or(Some(unexpected())),
            }
        }
        if let Some(ended) = ended {
            // Where it has entered all the same it waits for nothing.
            self.ticket.claim.end();
            if shards.is_empty() {
                return ended;
            }
            self.ended = Some(ended);
            let id = self.ticket.id;
            let leave = |shard| (shard, Operation::Leave { id }, false);
            return Next::Phase(shards.into_iter().map(leave).collect());
        }
        Next::Wait { shards, timeout_ms }
    }
}

fn enlist(job: &Job, args: OwnedArgs, ticket: &WaitTicket, asks: bool, is_part: bool) -> Operation {
    Operation::Enlist {
        entry: job.entry,
        db: job.db,
        caller: job.caller,
        args,
        ticket: ticket.clone(),
        asks,
        is_part,
    }
}
