//! Block: the commands between MULTI and EXEC, in their order, under the locks of all of them.
//!
//!     all keys on one shard        one operation there: what is watched, then the commands
//!     each command's on one        one operation on each shard, all at once: no command sees what another shard's does
//!     otherwise                    is anything changed that is watched? -> runs of commands of one shard, one hop each;
//!                                  commands over several shards by their own programs; the connection's at its core
//!
//! Promises  nothing runs if a watched key has changed; the check and all commands are one step to everybody else. A command
//!           that fails does not keep the others from running.
//! Not here  queueing, and what a connection watches: `node/block.rs`.
//! Tests     tests/sim/, tests/server/multi.rs.

use std::collections::VecDeque;
use std::sync::Arc;

use super::script::{Script, ScriptRequest, error_line};
use super::under_locks::{Progress, UnderLocks};
use super::wanted::Wanted;
use super::{LockMode, LockSet, Locks, Next, Program, error_reply, part_of};
use crate::base::hash::KeyHasher;
use crate::commands::acl::User;
use crate::commands::acl::check::{Place, Refusal, check_at_exec};
use crate::commands::redact::logged_words;
use crate::commands::table::Caller;
use crate::commands::{Entry, Flags};
use crate::keyspace::SlotMap;
use crate::resp::args::OwnedArgs;
use crate::resp::element::element_end;
use crate::resp::{Args, Reply};
use crate::router::calls::{CallFailure, CountedCall, Queued};
use crate::router::watch::{Watch, Watched};
use crate::router::{Operation, Output, Plan, ShardId, TxId, plan};

/// What EXEC is to run.
pub struct BlockRequest {
    /// Whose rights it runs with, where those are not all.
    pub user: Option<Arc<User>>,
    /// How many databases there are.
    pub databases: u16,
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
    /// Somebody may be told what each command does: then one begins when those before it are done.
    pub in_order: bool,
    /// Calls may be noted: their words are kept until they are over.
    pub keeps_words: bool,
    /// Replies are kept back, until one of its commands has them sent.
    pub is_silent: bool,
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
    /// The locks.
    locks: Locks,
    /// Where nothing else is to be run: each command with its shard. The queue is empty then.
    placed: Option<Arc<Vec<(ShardId, Queued)>>>,
    /// All of it is one operation on this shard.
    whole: Option<ShardId>,
    /// Commands over several shards.
    single: UnderLocks,
    /// A script is under way.
    script: Option<(&'static Entry, Box<Script>)>,
    has_begun: bool,
    /// Replies so far.
    replies: Vec<u8>,
    /// What is replied from here on is kept back.
    is_silent: bool,
    /// EXEC's own line was.
    lacks_header: bool,
    calls: Vec<CountedCall>,
    keeps_words: bool,
    /// Those of the command that is under way, if they are kept.
    words: Option<OwnedArgs>,
    user: Option<Arc<User>>,
    databases: u16,
    refusals: Vec<Refusal>,
}

impl Block {
    /// The locks of all commands, and the program.
    pub(in crate::router) fn new(
        request: BlockRequest,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> (Locks, Self) {
        let mut wanted = Wanted::new(map, hasher);
        for (_, key) in request.watched.iter().flat_map(|watched| &watched.keys) {
            wanted.key(key, LockMode::Shared);
        }
        let mut whole = None;
        let mut is_one_shard = true;
        let mut homes = Vec::with_capacity(request.commands.len());
        for Queued { entry, args, .. } in &request.commands {
            let args = args.as_args();
            match plan(entry, &args, &map, request.here) {
                // A shard has no engine.
                _ if entry.command.run.is_script() => is_one_shard = false,
                Plan::Shard(shard) => {
                    is_one_shard &= *whole.get_or_insert(shard) == shard;
                    homes.push(shard);
                }
                Plan::Many | Plan::Here => is_one_shard = false,
            }
            wanted.command(entry, &args);
        }
        let mut locks = wanted.into_locks();
        for &home in &homes {
            // Commands whose words hide their keys: they fail, but have to be asked.
            if locks.iter().all(|(shard, _)| *shard != home) {
                locks.push((home, LockSet::of_keys(0, Vec::new())));
            }
        }
        locks.sort_by_key(|(shard, _)| *shard);
        let is_whole = is_one_shard && matches!(&locks[..], [(shard, _)] if whole == Some(*shard));
        if map.shards_count() == 1 && !is_whole && !locks.is_empty() {
            // With one shard whole-shard commands run without asking for the whole; nobody must run between the steps.
            locks = vec![(0, LockSet::of_shard(0, LockMode::Exclusive))];
        }
        let commands_count = request.commands.len();
        let has_homes = homes.len() == commands_count && !locks.is_empty();
        let is_placed = is_whole || has_homes && !request.in_order && map.shards_count() > 1;
        let mut block = Self {
            commands_count,
            queue: request.commands.into(),
            db: request.db,
            caller: in_block(request.caller),
            asker: request.caller,
            watched: request.watched,
            here: request.here,
            now_ms: request.now_ms,
            seed: request.seed,
            single: UnderLocks::new(map, hasher, request.now_ms, request.seed),
            locks: locks.clone(),
            placed: None,
            whole: whole.filter(|_| is_whole),
            script: None,
            has_begun: false,
            replies: Vec::new(),
            is_silent: request.is_silent,
            lacks_header: request.is_silent,
            calls: Vec::new(),
            keeps_words: request.keeps_words,
            words: None,
            user: request.user,
            databases: request.databases,
            refusals: Vec::new(),
        };
        if block.user.is_some() {
            block.check();
        }
        if is_placed {
            let queue = std::mem::take(&mut block.queue);
            block.placed = Some(Arc::new(homes.into_iter().zip(queue).collect()));
        }
        (locks, block)
    }

    /// Marks what is still to run and may not, or may again.
    fn check(&mut self) {
        let mut place = Place {
            db: self.db,
            count: self.databases,
        };
        for queued in &mut self.queue {
            let args = queued.args.as_args();
            let user = self.user.as_deref();
            let refusal = user.and_then(|user| check_at_exec(user, queued.entry, &args, place));
            if refusal.is_none() {
                place = place.after(queued.entry, &args);
            }
            queued.denied = refusal.map(|refusal| {
                let error = Box::new(refusal.error.clone());
                self.refusals.push(refusal);
                error
            });
        }
    }

    /// The next command, or as many as go together.
    fn advance(&mut self) -> Next {
        while let Some(first) = self.queue.front() {
            if let Some(error) = &first.denied {
                let reply = error_reply(error);
                self.queue.pop_front();
                self.say(&reply);
                continue;
            }
            match self.plan_of(first) {
                _ if first.entry.command.run.is_script() => return self.begin_script(),
                Plan::Here => return self.session(),
                Plan::Shard(shard) => return self.run_on(shard),
                Plan::Many => {
                    if let Some(next) = self.begin_single() {
                        return next;
                    }
                }
            }
        }
        Next::Done(self.reply())
    }

    fn plan_of(&self, queued: &Queued) -> Plan {
        plan(
            queued.entry,
            &queued.args.as_args(),
            &self.single.map,
            self.here,
        )
    }

    fn session(&mut self) -> Next {
        match self.queue.pop_front() {
            Some(queued) => Next::Session(queued),
            None => Next::Done(self.reply()),
        }
    }

    /// The commands from here on that run on the same shard.
    fn run_on(&mut self, shard: ShardId) -> Next {
        let is_there = |queued: &&Queued| {
            self.plan_of(queued) == Plan::Shard(shard) && !queued.entry.command.run.is_script()
        };
        let count = self.queue.iter().take_while(is_there).count();
        let commands = self.queue.drain(..count).map(|queued| (shard, queued));
        let operation = Operation::Block {
            commands: Arc::new(commands.collect()),
            db: self.db,
            caller: self.caller,
            watch: None,
        };
        Next::Phase(vec![(shard, operation, false)])
    }

    /// A command over several shards; none if it is over already.
    fn begin_single(&mut self) -> Option<Next> {
        let queued = self.queue.pop_front()?;
        self.keep_words(&queued);
        let progress = self.single.begin(queued, self.db, self.caller);
        self.progress(progress)
    }

    fn progress(&mut self, progress: Progress) -> Option<Next> {
        match progress {
            Progress::Next(next) => Some(next),
            Progress::Reply { entry, reply } => {
                let failure = error_line(&reply).map(CallFailure::Line);
                self.end_command(entry, failure, &reply);
                None
            }
        }
    }

    fn begin_script(&mut self) -> Next {
        let Some(command) = self.queue.pop_front() else {
            return super::unexpected();
        };
        self.keep_words(&command);
        let entry = command.entry;
        let request = ScriptRequest {
            is_readonly: command.entry.command.flags.has(Flags::READONLY),
            command,
            db: self.db,
            caller: self.caller,
            here: self.here,
            now_ms: self.now_ms,
            seed: self.seed,
        };
        self.seed = self.single.hasher.hash(&self.seed.to_le_bytes());
        let script = Script::under(&self.locks, request, self.single.map, &self.single.hasher);
        let (_, script) = self.script.insert((entry, Box::new(script)));
        script.begin(0)
    }

    fn keep_words(&mut self, queued: &Queued) {
        let words = || logged_words(queued.entry, &queued.args.as_args());
        self.words = self.keeps_words.then(words);
    }

    fn end_command(&mut self, entry: &'static Entry, failure: Option<CallFailure>, reply: &[u8]) {
        self.say(reply);
        self.calls.push(CountedCall {
            entry,
            failure,
            reply_bytes: reply.len(),
            words: self.words.take(),
        });
    }

    /// Adds to what EXEC replies.
    fn say(&mut self, reply: &[u8]) {
        if !self.is_silent {
            self.replies.extend_from_slice(reply);
        }
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut reply = Vec::with_capacity(self.replies.len() + 16);
        if !self.lacks_header {
            Reply::new(&mut reply, self.asker.protocol).array(self.commands_count);
        }
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
            Output::Reply(reply) => self.say(&reply),
            Output::Session {
                reply,
                db,
                caller,
                user,
                is_silent,
            } => {
                // Messages are sent all the same.
                self.replies.extend(reply);
                self.is_silent = is_silent;
                (self.db, self.caller) = (db, in_block(caller));
                let pointers = [&self.user, &user].map(|user| user.as_ref().map(Arc::as_ptr));
                if pointers[0] != pointers[1] {
                    self.user = user;
                    self.check();
                }
            }
            Output::Error(error) => self.say(&error_reply(&error)),
            _ => debug_assert!(
                false,
                "a shard gave another kind of output than was asked for"
            ),
        }
    }
}

/// The client as the commands of its block see it.
fn in_block(caller: Caller) -> Caller {
    Caller {
        in_block: true,
        ..caller
    }
}

impl Program for Block {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if let Some(shard) = self.whole {
            return self.part(shard, true).into_iter().collect();
        }
        if self.watched.is_none() {
            return Vec::new();
        }
        let read = |&(shard, _): &(ShardId, LockSet)| {
            // It may have nothing to say but that its locks are granted.
            let look = self.look_at(shard).unwrap_or(Operation::Length { db: 0 });
            (shard, look)
        };
        self.locks.iter().map(read).collect()
    }

    fn only_phase(&self) -> Option<Vec<(ShardId, Operation)>> {
        let shards = self.locks.iter().map(|(shard, _)| *shard);
        // What is watched here has been looked at before; by now others may have done what counts as a change.
        shards
            .map(|shard| self.part(shard, shard != self.here))
            .collect()
    }

    fn look_at(&self, shard: ShardId) -> Option<Operation> {
        let watched = self.watched.as_ref();
        let watched = watched.filter(|watched| watched.shards.contains(&shard))?;
        let id = watched.watch.id;
        Some(Operation::HasChanged { id })
    }

    fn is_refusal(&self, output: &Output) -> bool {
        self.watched.is_some() && matches!(output, Output::Count(1))
    }

    fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    fn begin(&mut self, _: TxId) -> Next {
        self.has_begun = true;
        match self.placed {
            Some(_) => self.phase(),
            None => self.advance(),
        }
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if self.placed.is_some() && self.whole.is_none() {
            return match outputs.iter().all(|(_, output)| is_look(output)) {
                true if self.has_changed(&outputs) => self.null(),
                true => self.phase(),
                false => self.join(outputs),
            };
        }
        if is_first {
            return self.first(outputs);
        }
        if let Some((entry, script)) = &mut self.script {
            return match script.next(outputs) {
                Next::Done(reply) => {
                    let entry = *entry;
                    let calls = script.take_calls();
                    self.calls.extend(calls);
                    let failure = script.failure(&reply);
                    self.script = None;
                    self.end_command(entry, failure, &reply);
                    self.advance()
                }
                next => next,
            };
        }
        if self.single.is_running() {
            let progress = self.single.next(outputs);
            return match self.progress(progress) {
                Some(next) => next,
                None => self.advance(),
            };
        }
        for (_, output) in outputs {
            self.take(output);
        }
        self.advance()
    }

    fn refuse(&mut self, reply: Vec<u8>) -> Next {
        match &mut self.script {
            Some((_, script)) => script.refuse(reply),
            None => super::unexpected(),
        }
    }

    fn take_calls(&mut self) -> Vec<CountedCall> {
        std::mem::take(&mut self.calls)
    }

    fn position(&self) -> usize {
        (self.commands_count - self.queue.len()).saturating_sub(1)
    }

    fn take_refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
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
        match self.has_changed(&outputs) {
            true => self.null(),
            false => self.advance(),
        }
    }

    /// What is watched, of what was looked at.
    fn has_changed(&self, outputs: &[(ShardId, Output)]) -> bool {
        let Some(watched) = &self.watched else {
            return false;
        };
        outputs.iter().any(|(shard, output)| {
            watched.shards.contains(shard) && matches!(output, Output::Count(1))
        })
    }

    /// What a shard does of commands that each have one.
    fn part(&self, shard: ShardId, looks: bool) -> Option<(ShardId, Operation)> {
        let watched = self.watched.as_ref().filter(|_| looks);
        let operation = Operation::Block {
            commands: self.placed.clone()?,
            db: self.db,
            caller: self.caller,
            watch: watched.map(|watched| watched.watch.id),
        };
        Some((shard, operation))
    }

    /// All shards' parts at once.
    fn phase(&self) -> Next {
        let parts = self.locks.iter();
        let parts = parts.filter_map(|(shard, _)| self.part(*shard, false));
        Next::Phase(parts.map(|(shard, part)| (shard, part, true)).collect())
    }

    /// The commands' replies, in their order, from what each shard has to say of its own.
    fn join(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let Some(placed) = self.placed.take() else {
            return super::unexpected();
        };
        let mut rests: Vec<(ShardId, &[u8])> = Vec::with_capacity(outputs.len());
        for (shard, output) in &outputs {
            match output {
                Output::Reply(reply) => rests.push((*shard, reply)),
                Output::Error(error) => return Next::Done(error_reply(error)),
                _ => return super::unexpected(),
            }
        }
        for (home, _) in placed.iter() {
            let Some((_, rest)) = rests.iter_mut().find(|(shard, _)| shard == home) else {
                return super::unexpected();
            };
            let Some(end) = element_end(rest) else {
                return super::unexpected();
            };
            let (reply, left) = rest.split_at(end);
            self.say(reply);
            *rest = left;
        }
        Next::Done(self.reply())
    }
}

/// Whether this is what a look gives, or a part that was not run because of what is watched.
fn is_look(output: &Output) -> bool {
    matches!(output, Output::Count(_))
}

/// WATCH of keys that are not all here, or whose locks somebody may hold.
pub struct RegisterWatch {
    watch: Watch,
    db: u16,
    parts: Vec<(ShardId, OwnedArgs)>,
}

impl RegisterWatch {
    /// The locks that reading the keys takes, and the program.
    pub(in crate::router) fn new(
        watch: Watch,
        db: u16,
        keys: &Args<'_>,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> (Locks, Self) {
        let mut wanted = Wanted::new(map, hasher);
        let mut parts: Vec<(ShardId, OwnedArgs)> = Vec::new();
        for key in keys.iter_from(0) {
            wanted.key(key, LockMode::Shared);
            part_of(&mut parts, map.shard_of(key)).push(key);
        }
        (wanted.into_locks(), Self { watch, db, parts })
    }
}

impl Program for RegisterWatch {
    /// A try that fails leaves its notes: what is written after them counts as written after WATCH, which has not been
    /// answered yet.
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let note = |(shard, keys): &(ShardId, OwnedArgs)| {
            let operation = Operation::Watch {
                watch: self.watch.clone(),
                db: self.db,
                keys: keys.clone(),
            };
            (*shard, operation)
        };
        self.parts.iter().map(note).collect()
    }

    fn is_whole(&self) -> bool {
        self.parts.len() == 1
    }

    /// There are no keys that are not watched already, or no locks: then others may have them, and what these write from now on
    /// is written after WATCH. That is more than must count, never less.
    fn begin(&mut self, _: TxId) -> Next {
        if self.parts.is_empty() {
            return self.next(Vec::new());
        }
        let notes = self.reads().into_iter();
        Next::Phase(notes.map(|(shard, note)| (shard, note, true)).collect())
    }

    fn next(&mut self, _: Vec<(ShardId, Output)>) -> Next {
        Next::Done(b"+OK\r\n".to_vec())
    }
}
