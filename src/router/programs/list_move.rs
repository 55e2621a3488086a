//! LMOVE, RPOPLPUSH and LMOVEM between two shards: look at both lists, then pop from one and push to the other.
//!
//! Promises  both keys stay locked from the look to the end, so what was seen is what moves; the destination's type is known
//!           before anything is popped, and asked for only where something would be. A source of another type is an error at first, and
//!           nothing to give for a client that has waited.

use super::{Job, Next, Program, error_reply, unexpected};
use crate::commands::list_move::ListMove;
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry, table};
use crate::keyspace::list::End;
use crate::resp::Reply;
use crate::resp::args::OwnedArgs;
use crate::resp::element::{elements, is_error, read_bulk, read_integer};
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Move {
    job: Job,
    words: Result<ListMove, CommandError>,
    source: ShardId,
    destination: ShardId,
    /// What the source had, when it was looked at; in its order.
    moved: Vec<Vec<u8>>,
    has_looked: bool,
    on_behalf: OnBehalf,
}

/// Whom it runs for: that says what becomes of having found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnBehalf {
    /// A command that does not wait.
    Itself,
    /// A client that waits if there is nothing.
    MayWait,
    /// A client that has waited, under this id, and goes on if there is nothing.
    HasWaited(u64),
}

impl Move {
    pub(super) fn new(job: Job, on_behalf: OnBehalf) -> Self {
        let args = job.args();
        Self {
            words: ListMove::parse(job.entry.command.name, &args),
            source: job.map.shard_of(args.get(1)),
            destination: job.map.shard_of(args.get(2)),
            moved: Vec::new(),
            has_looked: false,
            on_behalf,
            job,
        }
    }

    /// A command of one list, given by name.
    fn command(&self, name: &str, words: &[&[u8]]) -> Operation {
        self.command_of(self.job.caller, name, words)
    }

    fn command_of(&self, caller: Caller, name: &str, words: &[&[u8]]) -> Operation {
        let entry: &'static Entry = table()
            .find_original(name.as_bytes())
            .expect("a row of the table");
        let words = std::iter::once(name.as_bytes()).chain(words.iter().copied());
        Operation::Command {
            entry,
            db: self.job.db,
            caller,
            args: words.collect::<OwnedArgs>(),
        }
    }

    fn reply(&self, write: impl FnOnce(&mut Reply<'_>)) -> Next {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, self.job.caller.protocol));
        Next::Done(out)
    }

    /// To those that wait it is a null, whatever LMOVEM says to others.
    fn nothing(&self, words: &ListMove) -> Next {
        self.reply(|reply| match self.on_behalf {
            OnBehalf::Itself => words.reply_nothing(reply),
            OnBehalf::MayWait | OnBehalf::HasWaited(_) => reply.null(),
        })
    }

    fn move_what_was_seen(&mut self, words: &ListMove) -> Next {
        self.has_looked = true;
        let args = self.job.args();
        let pop = match words.from {
            End::Front => "LPOP",
            End::Back => "RPOP",
        };
        let push = match words.to {
            End::Front => "LPUSH",
            End::Back => "RPUSH",
        };
        let count = self.moved.len().to_string();
        let pop = self.command(pop, &[args.get(1), count.as_bytes()]);
        let pop = match self.on_behalf {
            OnBehalf::HasWaited(waiter) => pop.for_waiter(waiter),
            OnBehalf::Itself | OnBehalf::MayWait => pop,
        };
        let mut pushed = vec![args.get(2)];
        pushed.extend(self.moved.iter().map(Vec::as_slice));
        if words.is_last_pushed_first() {
            pushed[1..].reverse();
        }
        let push = self.command(push, &pushed);
        Next::Phase(vec![
            (self.source, pop, true),
            (self.destination, push, true),
        ])
    }
}

impl Program for Move {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let Ok(words) = &self.words else {
            return Vec::new();
        };
        let args = self.job.args();
        let (start, stop) = match words.from {
            End::Front => (0, words.count as i64 - 1),
            End::Back => (-(words.count as i64), -1),
        };
        let (start, stop) = (start.to_string(), stop.to_string());
        let range = [args.get(1), start.as_bytes(), stop.as_bytes()];
        let look = |name, words: &[&[u8]]| self.command_of(self.job.caller.to_look(), name, words);
        vec![
            (self.source, look("LRANGE", &range)),
            (self.destination, look("LLEN", &[args.get(2)])),
        ]
    }

    fn begin(&mut self, _: TxId) -> Next {
        match &self.words {
            Err(error) => Next::Done(error_reply(error)),
            Ok(_) => unexpected(), // It has looked when its locks are granted.
        }
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let Ok(words) = self.words.clone() else {
            return unexpected();
        };
        if self.has_looked {
            let moved = std::mem::take(&mut self.moved);
            return self.reply(|reply| words.reply_moved(&moved, reply));
        }
        let reply_of = |shard| {
            outputs.iter().find_map(|(of, output)| match output {
                Output::Reply(reply) if *of == shard => Some(reply.as_slice()),
                _ => None,
            })
        };
        let (Some(source), Some(destination)) = (reply_of(self.source), reply_of(self.destination))
        else {
            return unexpected();
        };
        if is_error(source) {
            // Who waits for a list goes on waiting where the key has become something else before it was looked at.
            if matches!(self.on_behalf, OnBehalf::HasWaited(_)) && source.starts_with(b"-WRONGTYPE")
            {
                return self.nothing(&words);
            }
            return Next::Done(source.to_vec());
        }
        let Some(found) = elements(source) else {
            return unexpected();
        };
        self.moved = found
            .filter_map(|element| read_bulk(element).map(<[u8]>::to_vec))
            .collect();
        if words.count_of(self.moved.len()) == 0 {
            return self.nothing(&words);
        }
        if is_error(destination) {
            return Next::Done(destination.to_vec());
        }
        if read_integer(destination).is_none() {
            return unexpected();
        }
        self.move_what_was_seen(&words)
    }
}
