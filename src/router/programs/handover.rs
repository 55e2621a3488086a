//! RENAME, RENAMENX and COPY: a value goes from one shard to another whole, its deadline with it.
//!
//! Promises  what the single-shard handlers promise. The two names are on two shards here, so they differ.

use super::{Job, Next, Program, error_reply, first_error, integer_reply, unexpected};
use crate::commands::CommandError;
use crate::commands::generic::{CopyOptions, NO_SUCH_KEY};
use crate::commands::table::Caller;
use crate::keyspace::Moved;
use crate::resp::args::OwnedArgs;
use crate::router::{Operation, Output, ShardId, TxId};

/// A key where it lives.
struct Place {
    shard: ShardId,
    db: u16,
    key: Vec<u8>,
    caller: Caller,
}

impl Place {
    fn of(job: &Job, word: usize) -> Self {
        let args = job.args();
        let key = args.get(word);
        Self {
            shard: job.map.shard_of(key),
            db: job.db,
            key: key.to_vec(),
            caller: job.caller,
        }
    }

    /// Removes the value; nothing else happens on that shard.
    fn take(&self) -> (ShardId, Operation, bool) {
        let operation = Operation::Take {
            db: self.db,
            key: self.key.clone(),
            caller: self.caller,
        };
        (self.shard, operation, true)
    }

    fn exists(&self) -> (ShardId, Operation) {
        let operation = Operation::Exists {
            db: self.db,
            keys: OwnedArgs::from_iter([self.key.as_slice()]),
        };
        (self.shard, operation)
    }

    fn put(&mut self, value: Moved, replace: bool, events: Vec<(&'static str, Vec<u8>)>) -> Next {
        let operation = Operation::Put {
            db: self.db,
            key: std::mem::take(&mut self.key),
            value,
            replace,
            events,
            caller: self.caller,
        };
        Next::Phase(vec![(self.shard, operation, true)])
    }
}

/// The one output of a phase of one operation, as a value.
fn value_of(outputs: Vec<(ShardId, Output)>) -> Option<Option<Moved>> {
    match outputs.into_iter().next() {
        Some((_, Output::Value(value))) => Some(value),
        _ => None,
    }
}

fn no_such_key() -> Next {
    Next::Done(error_reply(&NO_SUCH_KEY.into()))
}

/// What happens to the two names of a RENAME. Both are told where the new one is, so that they come in order.
fn renamed(from: &mut Place, to: &Place) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("rename_from", std::mem::take(&mut from.key)),
        ("rename_to", to.key.clone()),
    ]
}

/// `RENAME key newkey`: take, put.
pub(super) struct Rename {
    from: Place,
    to: Place,
    is_taken: bool,
}

impl Rename {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            from: Place::of(job, 1),
            to: Place::of(job, 2),
            is_taken: false,
        }
    }
}

impl Program for Rename {
    fn begin(&mut self, _: TxId) -> Next {
        Next::Phase(vec![self.from.take()])
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if self.is_taken {
            return Next::Done(b"+OK\r\n".to_vec());
        }
        self.is_taken = true;
        match value_of(outputs) {
            Some(Some(value)) => {
                let events = renamed(&mut self.from, &self.to);
                self.to.put(value, true, events)
            }
            Some(None) => no_such_key(),
            None => unexpected(),
        }
    }
}

/// `RENAMENX key newkey`: look at both, take, put.
pub(super) struct RenameNx {
    from: Place,
    to: Place,
    phase: RenameNxPhase,
}

enum RenameNxPhase {
    Look,
    Take,
    Put,
}

impl RenameNx {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            from: Place::of(job, 1),
            to: Place::of(job, 2),
            phase: RenameNxPhase::Look,
        }
    }
}

impl Program for RenameNx {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        vec![self.from.exists(), self.to.exists()]
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has looked when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        match self.phase {
            RenameNxPhase::Look => {
                let is_there = |place: &Place| {
                    outputs.iter().any(|(shard, output)| {
                        *shard == place.shard && matches!(output, Output::Count(1..))
                    })
                };
                if !is_there(&self.from) {
                    return no_such_key();
                }
                if is_there(&self.to) {
                    return Next::Done(integer_reply(0));
                }
                self.phase = RenameNxPhase::Take;
                Next::Phase(vec![self.from.take()])
            }
            RenameNxPhase::Take => {
                self.phase = RenameNxPhase::Put;
                match value_of(outputs) {
                    Some(Some(value)) => {
                        let events = renamed(&mut self.from, &self.to);
                        self.to.put(value, false, events)
                    }
                    // It was there a phase ago and is locked, so only its deadline can have passed since.
                    Some(None) => no_such_key(),
                    None => unexpected(),
                }
            }
            // The new name cannot have come to be since: it is locked.
            RenameNxPhase::Put => Next::Done(integer_reply(1)),
        }
    }
}

/// `COPY source destination [DB destination-db] [REPLACE]`: copy, put.
pub(super) struct Copy {
    from: Place,
    to: Place,
    replace: bool,
    /// A higher database is named than the one that is copied to: first of all shards say whether there is one.
    also_named: Option<u16>,
    is_copied: bool,
}

impl Copy {
    pub(super) fn new(job: &Job) -> Result<Self, CommandError> {
        // How many databases there are, the shards know and check.
        let options = CopyOptions::parse(&job.args(), usize::from(job.db), DATABASES_MAX)?;
        let mut to = Place::of(job, 2);
        to.db = options.db as u16;
        Ok(Self {
            from: Place::of(job, 1),
            to,
            replace: options.replace,
            also_named: (options.db_max > options.db).then_some(options.db_max as u16),
            is_copied: false,
        })
    }

    fn looks(&self) -> Vec<(ShardId, Operation)> {
        let copy = Operation::Clone {
            db: self.from.db,
            key: self.from.key.clone(),
            caller: self.from.caller,
        };
        vec![(self.from.shard, copy), self.to.exists()]
    }
}

/// A COPY whose words are wrong: its source's shard says how. The first of several mistakes may be a database there is
/// not, and only shards know how many there are.
pub(super) struct WrongCopy {
    shard: ShardId,
    command: Option<Operation>,
}

impl WrongCopy {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            shard: Place::of(job, 1).shard,
            command: Some(job.command(OwnedArgs::from_args(&job.args()))),
        }
    }
}

impl Program for WrongCopy {
    fn begin(&mut self, _: TxId) -> Next {
        match self.command.take() {
            Some(command) => Next::Phase(vec![(self.shard, command, true)]),
            None => unexpected(),
        }
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        first_error(&outputs).map_or_else(unexpected, Next::Done)
    }
}

/// No server has more databases.
const DATABASES_MAX: usize = 1 << 16;

impl Program for Copy {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        match self.also_named {
            Some(db) => [self.from.shard, self.to.shard]
                .map(|shard| (shard, Operation::Length { db }))
                .into(),
            None => self.looks(),
        }
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has a copy when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        if self.also_named.take().is_some() {
            let looks = self.looks().into_iter();
            return Next::Phase(looks.map(|(shard, look)| (shard, look, false)).collect());
        }
        if self.is_copied {
            return match outputs.first() {
                Some((_, Output::Count(count))) => Next::Done(integer_reply(*count)),
                _ => unexpected(),
            };
        }
        self.is_copied = true;
        let mut copy = None;
        for (_, output) in outputs {
            match output {
                Output::Value(value) => copy = value,
                Output::Count(0) => {}
                Output::Count(_) if self.replace => {}
                Output::Count(_) => return Next::Done(integer_reply(0)),
                _ => return unexpected(),
            }
        }
        match copy {
            Some(value) => {
                let events = vec![("copy_to", self.to.key.clone())];
                self.to.put(value, self.replace, events)
            }
            None => Next::Done(integer_reply(0)),
        }
    }
}
