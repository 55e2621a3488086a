//! Block: the commands between MULTI and EXEC, in their order, under the locks of all of them.
//!
//!     all keys on one shard        one operation there: what is watched, then the commands
//!     otherwise                    is anything changed that is watched? -> runs of commands of one shard, one hop each;
//!                                  commands over several shards by their own programs; the connection's at its core
//!
//! Promises  nothing runs if a watched key has changed; the check and all commands are one step to everybody else. A command
//!           that fails does not keep the others from running.
//! Not here  queueing, and what a connection watches: `node/block.rs`.
//! Tests     tests/sim/, tests/server/multi.rs.

use std::collections::VecDeque;

use super::{
    KeyLock, LockMode, LockSet, Locks, Next, Program, error_reply, for_each_lock, mode_of_whole,
    part_of, program,
};
use crate::base::hash::KeyHasher;
use crate::commands::blocking::plain_form;
use crate::commands::migrate::Migration;
use crate::commands::sort::has_patterns;
use crate::commands::table::{Caller, Program as Named, Run, Spread};
use crate::commands::{CommandError, Entry};
use crate::keyspace::SlotMap;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::message::Queued;
use crate::router::watch::{Watch, Watched};
use crate::router::{Operation, Output, Plan, ShardId, TxId, plan};

/// What EXEC is to run.
pub struct BlockRequest {
    /// The commands.
    pub commands: Vec<Queued>,
    /// The selected database.
    pub db: u16,
    /// Who asks.
    pub caller: Caller,
    /// What it depends on.
    pub watched: Option<Watched>,
    /// Where commands without keys run.
    pub here: ShardId,
    /// What timeouts are counted from.
    pub now_ms: i64,
    /// What random choices begin with.
    pub seed: u64,
}

/// See the module.
pub struct Block {
    queue: VecDeque<Queued>,
    commands_count: usize,
    db: u16,
    caller: Caller,
    /// The protocol of the whole reply is the one EXEC was sent in.
    asker: Caller,
    watched: Option<Watched>,
    here: ShardId,
    now_ms: i64,
    seed: u64,
    map: SlotMap,
    hasher: KeyHasher,
    /// Shards with locks.
    locked: Vec<ShardId>,
    /// All of it is one operation on this shard.
    whole: Option<ShardId>,
    /// A command over several shards is under way.
    inner: Option<(&'static Entry, Box<dyn Program>)>,
    has_begun: bool,
    /// Replies so far.
    replies: Vec<u8>,
    calls: Vec<(u16, Option<Vec<u8>>)>,
}

impl Block {
    /// The locks of all commands, and the program.
    pub(in crate::router) fn new(
        request: BlockRequest,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> (Locks, Self) {
        let mut wanted = Wanted {
            shards: Vec::new(),
            map,
            hasher,
        };
        for (_, key) in request.watched.iter().flat_map(|watched| &watched.keys) {
            wanted.key(key, LockMode::Shared);
        }
        let mut whole = None;
        let mut is_one_shard = true;
        for Queued { entry, args } in &request.commands {
            let args = args.as_args();
            match plan(entry, &args, &map, request.here) {
                Plan::Shard(shard) => is_one_shard &= *whole.get_or_insert(shard) == shard,
                Plan::Many | Plan::Here => is_one_shard = false,
            }
            wanted.command(entry, &args);
        }
        let mut locks = wanted.into_locks();
        if let Some(shard) = whole
            && locks.is_empty()
        {
            // Commands whose words hide their keys: they fail, but have to be asked.
            locks.push((shard, LockSet::of_keys(0, Vec::new())));
        }
        let is_whole = is_one_shard && matches!(&locks[..], [(shard, _)] if whole == Some(*shard));
        if map.shards_count() == 1 && !is_whole && !locks.is_empty() {
            // With one shard whole-shard commands run without asking for the whole; nobody must run between the steps.
            locks = vec![(0, LockSet::of_shard(0, LockMode::Exclusive))];
        }
        let block = Self {
            commands_count: request.commands.len(),
            queue: request.commands.into(),
            db: request.db,
            caller: request.caller,
            asker: request.caller,
            watched: request.watched,
            here: request.here,
            now_ms: request.now_ms,
            seed: request.seed,
            map,
            hasher: hasher.clone(),
            locked: locks.iter().map(|(shard, _)| *shard).collect(),
            whole: whole.filter(|_| is_whole),
            inner: None,
            has_begun: false,
            replies: Vec::new(),
            calls: Vec::new(),
        };
        (locks, block)
    }

    /// The next command, or as many as go together.
    fn advance(&mut self) -> Next {
        while let Some(first) = self.queue.front() {
            match self.plan_of(first) {
                Plan::Here => return self.session(),
                Plan::Shard(shard) => return self.run_on(shard),
                Plan::Many => {
                    if let Some(next) = self.begin_inner() {
                        return next;
                    }
                }
            }
        }
        Next::Done(self.reply())
    }

    fn plan_of(&self, queued: &Queued) -> Plan {
        plan(queued.entry, &queued.args.as_args(), &self.map, self.here)
    }

    fn session(&mut self) -> Next {
        match self.queue.pop_front() {
            Some(queued) => Next::Session(queued),
            None => Next::Done(self.reply()),
        }
    }

    /// The commands from here on that run on the same shard.
    fn run_on(&mut self, shard: ShardId) -> Next {
        let is_there = |queued: &&Queued| self.plan_of(queued) == Plan::Shard(shard);
        let count = self.queue.iter().take_while(is_there).count();
        let operation = Operation::Block {
            commands: self.queue.drain(..count).collect(),
            db: self.db,
            caller: self.caller,
            watch: None,
        };
        Next::Phase(vec![(shard, operation, false)])
    }

    /// A command over several shards; none if it is over already.
    fn begin_inner(&mut self) -> Option<Next> {
        let Queued { entry, args } = self.queue.pop_front()?;
        let made = self.inner_program(entry, args);
        let (locks, inner) = match made {
            Ok(made) => made,
            Err(error) => {
                self.end_inner(entry, &error_reply(&error));
                return None;
            }
        };
        self.inner = Some((entry, inner));
        self.seed = self.hasher.hash(&self.seed.to_le_bytes());
        let next = if locks.is_empty() {
            self.inner.as_mut()?.1.begin(self.seed)
        } else {
            Next::Lock(locks)
        };
        self.go_on(next)
    }

    fn inner_program(
        &self,
        entry: &'static Entry,
        args: OwnedArgs,
    ) -> Result<(Locks, Box<dyn Program>), CommandError> {
        let (entry, args) = match entry.command.run {
            Run::Waits(_) => match plain_form(entry, &args.as_args(), self.now_ms)? {
                Some(form) => (form.entry, form.words),
                None => (entry, args),
            },
            _ => (entry, args),
        };
        program(entry, self.db, self.caller, args, self.map, &self.hasher)
    }

    /// What a program of a command wants; none if it is over.
    fn go_on(&mut self, mut next: Next) -> Option<Next> {
        loop {
            let (entry, inner) = self.inner.as_mut()?;
            match next {
                Next::Phase(mut operations) => {
                    // The locks are the block's.
                    operations.iter_mut().for_each(|(_, _, last)| *last = false);
                    return Some(Next::Phase(operations));
                }
                Next::Lock(_) => {
                    // Whatever it may want is locked.
                    let reads = inner.reads();
                    if !reads.is_empty() {
                        let reads = reads.into_iter();
                        let reads = reads.map(|(shard, read)| (shard, read, false));
                        return Some(Next::Phase(reads.collect()));
                    }
                    next = inner.begin(self.seed);
                }
                Next::Done(reply) => {
                    let entry = *entry;
                    self.end_inner(entry, &reply);
                    return None;
                }
                Next::Errand(_) => return Some(next),
                Next::Wait { .. } | Next::Session(_) => {
                    // Programs of commands that may wait are not made here.
                    let entry = *entry;
                    self.end_inner(entry, b"-ERR internal error: a block cannot wait\r\n");
                    return None;
                }
            }
        }
    }

    fn end_inner(&mut self, entry: &'static Entry, reply: &[u8]) {
        self.inner = None;
        self.replies.extend_from_slice(reply);
        let line = reply.strip_prefix(b"-").map(|line| {
            let end = line.iter().position(|&byte| byte == b'\r');
            line[..end.unwrap_or(line.len())].to_vec()
        });
        self.calls.push((entry.index, line));
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut reply = Vec::with_capacity(self.replies.len() + 16);
        Reply::new(&mut reply, self.asker.protocol).array(self.commands_count);
        reply.append(&mut self.replies);
        reply
    }

    fn null(&self) -> Next {
        let mut reply = Vec::new();
        Reply::new(&mut reply, self.asker.protocol).null_array();
        Next::Done(reply)
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Reply(reply) => self.replies.extend(reply),
            Output::Session { reply, db, caller } => {
                self.replies.extend(reply);
                (self.db, self.caller) = (db, caller);
            }
            Output::Error(error) => self.replies.extend(error_reply(&error)),
            _ => debug_assert!(
                false,
                "a shard gave another kind of output than was asked for"
            ),
        }
    }
}

impl Program for Block {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if let Some(shard) = self.whole {
            let operation = Operation::Block {
                commands: self.queue.iter().cloned().collect(),
                db: self.db,
                caller: self.caller,
                watch: self.watched.as_ref().map(|watched| watched.watch.id),
            };
            return vec![(shard, operation)];
        }
        let Some(watched) = &self.watched else {
            return Vec::new();
        };
        let read = |&shard: &ShardId| {
            let operation = if watched.shards.contains(&shard) {
                Operation::HasChanged {
                    id: watched.watch.id,
                }
            } else {
                // It has nothing to say but that its locks are granted.
                Operation::Length { db: 0 }
            };
            (shard, operation)
        };
        self.locked.iter().map(read).collect()
    }

    fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    fn begin(&mut self, _: TxId) -> Next {
        self.has_begun = true;
        self.advance()
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if !std::mem::replace(&mut self.has_begun, true) {
            return self.first(outputs);
        }
        if let Some((_, inner)) = &mut self.inner {
            let next = inner.next(outputs);
            return match self.go_on(next) {
                Some(next) => next,
                None => self.advance(),
            };
        }
        for (_, output) in outputs {
            self.take(output);
        }
        self.advance()
    }

    fn take_calls(&mut self) -> Vec<(u16, Option<Vec<u8>>)> {
        std::mem::take(&mut self.calls)
    }
}

impl Block {
    /// What came with the locks.
    fn first(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if self.whole.is_some() {
            return match outputs.into_iter().next() {
                Some((_, Output::Count(_))) => self.null(),
                Some((_, output)) => {
                    self.take(output);
                    Next::Done(self.reply())
                }
                None => super::unexpected(),
            };
        }
        let watched = self.watched.iter().flat_map(|watched| &watched.shards);
        let mut watched = watched.copied().collect::<Vec<_>>();
        watched.sort_unstable();
        let has_changed = outputs.iter().any(|(shard, output)| {
            watched.binary_search(shard).is_ok() && matches!(output, Output::Count(1))
        });
        if has_changed {
            return self.null();
        }
        self.advance()
    }
}

/// What the commands of a block lock.
struct Wanted<'h> {
    shards: Vec<(ShardId, WantedOfShard)>,
    map: SlotMap,
    hasher: &'h KeyHasher,
}

#[derive(Default)]
struct WantedOfShard {
    keys: Vec<KeyLock>,
    whole: Option<LockMode>,
}

impl Wanted<'_> {
    fn key(&mut self, key: &[u8], mode: LockMode) {
        let hash = self.hasher.hash(key);
        let shard = self.map.shard_of(key);
        let lock = KeyLock { hash, mode };
        part_of(&mut self.shards, shard).keys.push(lock);
    }

    fn whole(&mut self, shard: ShardId, mode: LockMode) {
        let wanted = &mut part_of(&mut self.shards, shard).whole;
        if *wanted != Some(LockMode::Exclusive) {
            *wanted = Some(mode);
        }
    }

    fn command(&mut self, entry: &'static Entry, args: &Args<'_>) {
        if entry.command.run.on_keys().is_none() {
            return;
        }
        let is_everywhere = match entry.command.spread {
            Spread::EveryShard(_) | Spread::Gather(Named::RandomKey) => true,
            // The keys that its patterns lead to may be anywhere.
            Spread::Gather(Named::Sort) => has_patterns(args),
            _ => false,
        };
        if is_everywhere {
            let shards = 0..self.map.shards_count();
            return shards.for_each(|shard| self.whole(shard, mode_of_whole(entry)));
        }
        match entry.command.spread {
            Spread::Cursor => {
                if let Plan::Shard(shard) = plan(entry, args, &self.map, 0) {
                    self.whole(shard, LockMode::Shared);
                }
            }
            Spread::Gather(Named::Migrate) => {
                let keys = Migration::parse(args).map_or(0..0, |migration| migration.keys);
                keys.for_each(|word| self.key(args.get(word), LockMode::Exclusive));
            }
            _ => {
                for_each_lock(entry, args, |index, mode| self.key(args.get(index), mode));
            }
        }
    }

    fn into_locks(mut self) -> Locks {
        self.shards.sort_by_key(|(shard, _)| *shard);
        let lock = |(shard, WantedOfShard { keys, whole })| match whole {
            None => (shard, LockSet::of_keys(0, keys)),
            Some(mode) => {
                let writes = keys.iter().any(|key| key.mode == LockMode::Exclusive);
                let mode = if writes { LockMode::Exclusive } else { mode };
                (shard, LockSet::of_shard(0, mode))
            }
        };
        self.shards.into_iter().map(lock).collect()
    }
}

/// WATCH of keys on several shards.
pub struct RegisterWatch {
    watch: Watch,
    db: u16,
    parts: Vec<(ShardId, OwnedArgs)>,
}

impl RegisterWatch {
    pub(in crate::router) fn new(watch: Watch, db: u16, keys: &Args<'_>, map: SlotMap) -> Self {
        let mut parts: Vec<(ShardId, OwnedArgs)> = Vec::new();
        for key in keys.iter_from(0) {
            part_of(&mut parts, map.shard_of(key)).push(key);
        }
        Self { watch, db, parts }
    }
}

impl Program for RegisterWatch {
    fn begin(&mut self, _: TxId) -> Next {
        let parts = std::mem::take(&mut self.parts).into_iter();
        let note = |(shard, keys)| {
            let operation = Operation::Watch {
                watch: self.watch.clone(),
                db: self.db,
                keys,
            };
            (shard, operation, true)
        };
        Next::Phase(parts.map(note).collect())
    }

    fn next(&mut self, _: Vec<(ShardId, Output)>) -> Next {
        Next::Done(b"+OK\r\n".to_vec())
    }
}
