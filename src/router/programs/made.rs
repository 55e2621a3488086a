//! Made: where a command that reads keys of several shards runs, what it stores may belong to another shard.
//!
//! Promises  what is stored goes there whole; the key is not touched where the command has failed, and is gone where it
//!           stores nothing.

use super::{Job, Next, unexpected};
use crate::commands::table::table;
use crate::keyspace::Moved;
use crate::resp::args::OwnedArgs;
use crate::router::{Operation, Output, ShardId};

/// Whose value a command replaces, and what is left to say once it is.
#[derive(Default)]
pub(super) struct Destination {
    /// The key and its shard; none where nothing is stored.
    place: Option<(ShardId, Vec<u8>)>,
    reply: Option<Vec<u8>>,
}

impl Destination {
    pub(super) fn new(shard: ShardId, key: &[u8]) -> Self {
        Self {
            place: Some((shard, key.to_vec())),
            reply: None,
        }
    }

    pub(super) fn is_some(&self) -> bool {
        self.place.is_some()
    }

    pub(super) fn shard(&self) -> Option<ShardId> {
        self.place.as_ref().map(|(shard, _)| *shard)
    }

    /// Runs the command on `shard`; the outputs of this and of what follows go to [`Destination::next`].
    pub(super) fn run(&self, job: &mut Job, shard: ShardId, guests: Vec<(Vec<u8>, Moved)>) -> Next {
        let (entry, db, caller) = (job.entry, job.db, job.caller);
        let args = std::mem::replace(&mut job.words, OwnedArgs::with_capacity(0, 0));
        let elsewhere = self.place.as_ref().filter(|(home, _)| *home != shard);
        let operation = match elsewhere {
            None => Operation::Visit {
                entry,
                db,
                caller,
                args,
                guests,
            },
            Some((_, key)) => Operation::Make {
                entry,
                db,
                caller,
                args,
                guests,
                destination: key.clone(),
            },
        };
        Next::Phase(vec![(shard, operation, true)])
    }

    /// What follows when the command has run, and when what it made is stored.
    pub(super) fn next(&mut self, job: &Job, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(reply) = self.reply.take() {
            return Next::Done(reply);
        }
        let (reply, has_failed, value, events) = match outputs.into_iter().next() {
            Some((_, Output::Reply(reply))) => return Next::Done(reply),
            Some((
                _,
                Output::Made {
                    reply,
                    has_failed,
                    value,
                    events,
                },
            )) => (reply, has_failed, value, events),
            _ => return unexpected(),
        };
        let Some((shard, key)) = self.place.take().filter(|_| !has_failed) else {
            return Next::Done(reply);
        };
        let (db, caller) = (job.db, job.caller);
        let operation = match value {
            Some(value) => Operation::Keep {
                db,
                key,
                value,
                events,
                caller,
            },
            None => Operation::Command {
                entry: table().find_original(b"DEL").expect("a row of the table"),
                db,
                caller,
                args: OwnedArgs::from_iter([b"DEL".as_slice(), &key]),
            },
        };
        self.reply = Some(reply);
        Next::Phase(vec![(shard, operation, true)])
    }
}
