//! Script: what a script calls, one command after the other, under locks that grow with what it touches.
//!
//!     declared keys locked -> start -> a call -> its keys are locked? no: seize them -> run it -> the reply -> the next call
//!                                                    (in one message to their shard, where nobody is in the way)
//!                                          \-> ... -> the script's own reply
//!
//! The script itself runs where its engine is: this side asks whoever runs the transaction to start it and to let it go on,
//! and is told what it calls.
//!
//! Promises  everything the script touches stays locked until it ends, so it is one step to everybody else; it never has to
//!           begin anew.
//! Not here  the engine: `script/`; scripts whose keys are all at hand, which need nothing of this: `node/script.rs`; who
//!           may seize: `router/token.rs`.
//! Tests     tests/sim/, tests/server/scripts.rs.

use std::sync::Arc;

use super::under_locks::{Progress, UnderLocks};
use super::wanted::{Covered, Wanted};
use super::{LockMode, LockSet, Locks, Next, Program, error_reply, unexpected};
use crate::base::hash::KeyHasher;
use crate::commands::Entry;
use crate::commands::table::Caller;
use crate::keyspace::SlotMap;
use crate::router::calls::{CallFailure, CountedCall, Queued};
use crate::router::{Operation, Output, Plan, ShardId, TxId, plan};

/// A script to be run.
pub struct ScriptRequest {
    /// EVAL or one of its relatives.
    pub command: Queued,
    /// The selected database.
    pub db: u16,
    /// Who asks.
    pub caller: Caller,
    /// It only reads.
    pub is_readonly: bool,
    /// Where commands without keys run.
    pub here: ShardId,
    /// What timeouts are counted from.
    pub now_ms: i64,
    /// What random choices begin with.
    pub seed: u64,
}

/// What whoever has the engine is to do.
pub enum ScriptStep {
    /// Start it.
    Start {
        /// EVAL or one of its relatives.
        command: Queued,
        /// The selected database.
        db: u16,
        /// Who asks.
        caller: Caller,
    },
    /// Let it go on.
    GoOn {
        /// With this reply to its call; none: it had only been running for long.
        reply: Option<Vec<u8>>,
    },
    /// Nothing: its call is being answered, and the answer will be reported.
    Wait,
}

/// Where a script stands that began without locks.
pub enum UnderWay {
    /// It calls this command.
    Call(Call),
    /// It runs.
    Running,
    /// Its call is being answered by the node.
    Waiting,
}

/// A call of a script.
pub struct Call {
    /// The command.
    pub command: Queued,
    /// The database that the script has selected.
    pub db: u16,
    /// How its reply is to be encoded.
    pub caller: Caller,
}

/// See the module.
pub struct Script {
    first: Option<First>,
    covered: Covered,
    /// How it locks what it has not declared.
    mode: LockMode,
    here: ShardId,
    single: UnderLocks,
    state: State,
    calls: Vec<CountedCall>,
    /// Its reply is the error of one of them.
    has_counted: bool,
}

enum First {
    Start(Box<ScriptStep>),
    UnderWay(UnderWay),
}

enum State {
    /// The script runs, or its start is awaited.
    Running,
    /// Its call waits for locks on these shards.
    Seizing(Call, Locks),
    /// Its call runs.
    Calling,
}

impl Script {
    /// The locks on the keys that it declares, and the program.
    pub(in crate::router) fn new(
        request: ScriptRequest,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> (Locks, Self) {
        let mut wanted = Wanted::new(map, hasher);
        let Queued { entry, args, .. } = &request.command;
        wanted.command(entry, &args.as_args());
        let locks = wanted.into_locks();
        let script = Self::under(&locks, request, map, hasher);
        (locks, script)
    }

    /// The program, under locks that somebody has.
    pub(super) fn under(
        locks: &Locks,
        request: ScriptRequest,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> Self {
        let ScriptRequest {
            command,
            db,
            caller,
            is_readonly,
            here,
            now_ms,
            seed,
        } = request;
        let start = ScriptStep::Start {
            command,
            db,
            caller,
        };
        Self {
            first: Some(First::Start(Box::new(start))),
            covered: Covered::by(locks),
            mode: if is_readonly {
                LockMode::Shared
            } else {
                // It may write later what it only reads now, and two that both want to would wait for each other.
                LockMode::Exclusive
            },
            here,
            single: UnderLocks::new(map, hasher, now_ms, seed),
            state: State::Running,
            calls: Vec::new(),
            has_counted: false,
        }
    }

    /// A script that has begun on `shard`, and has locked `locks` there.
    pub(in crate::router) fn under_way(
        request: ScriptRequest,
        shard: ShardId,
        locks: LockSet,
        step: UnderWay,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> Self {
        let mut script = Self::under(&vec![(shard, locks)], request, map, hasher);
        script.first = Some(First::UnderWay(step));
        script
    }

    fn call(&mut self, call: Call) -> Next {
        let mut wanted = Wanted::new(self.single.map, &self.single.hasher);
        wanted.command(call.command.entry, &call.command.args.as_args());
        let missing = self.covered.missing(wanted.into_locks(), self.mode);
        if missing.is_empty() {
            return self.perform(call);
        }
        let Call {
            command,
            db,
            caller,
        } = &call;
        let home = plan(
            command.entry,
            &command.args.as_args(),
            &self.single.map,
            self.here,
        );
        if let ([(of, locks)], Plan::Shard(shard)) = (&missing[..], home)
            && *of == shard
        {
            // Most often nobody is in the way.
            let operation = Operation::Block {
                commands: Arc::new(vec![(shard, command.clone())]),
                db: *db,
                caller: *caller,
                watch: None,
            };
            let next = Next::SeizeAndRun(shard, locks.clone(), operation);
            self.state = State::Seizing(call, missing);
            return next;
        }
        self.state = State::Seizing(call, missing.clone());
        Next::Seize(missing)
    }

    /// Everything that a call touches is locked.
    fn perform(&mut self, call: Call) -> Next {
        let Call {
            command,
            db,
            caller,
        } = call;
        self.state = State::Calling;
        let map = self.single.map;
        match plan(command.entry, &command.args.as_args(), &map, self.here) {
            Plan::Shard(shard) => {
                let operation = Operation::Block {
                    commands: Arc::new(vec![(shard, command)]),
                    db,
                    caller,
                    watch: None,
                };
                Next::Phase(vec![(shard, operation, false)])
            }
            Plan::Many => {
                let progress = self.single.begin(command, db, caller);
                self.progress(progress)
            }
            Plan::Here => self.answer(b"-ERR internal error: a call without keys\r\n".to_vec()),
        }
    }

    fn progress(&mut self, progress: Progress) -> Next {
        match progress {
            Progress::Next(next) => next,
            Progress::Reply { entry, reply } => {
                self.count(entry, &reply);
                self.answer(reply)
            }
        }
    }

    /// One of its calls is over. Whoever has the script sees whether it was slow.
    fn count(&mut self, entry: &'static Entry, reply: &[u8]) {
        self.calls.push(CountedCall {
            entry,
            failure: error_line(reply).map(CallFailure::Line),
            reply_bytes: reply.len(),
            words: None,
        });
    }

    /// What is counted of a script that has ended with `reply`, if that is an error.
    pub(super) fn failure(&self, reply: &[u8]) -> Option<CallFailure> {
        let line = error_line(reply)?;
        Some(match self.has_counted {
            true => CallFailure::Counted,
            false => CallFailure::Line(line),
        })
    }

    fn answer(&mut self, reply: Vec<u8>) -> Next {
        self.state = State::Running;
        let reply = Some(reply);
        Next::Script(Box::new(ScriptStep::GoOn { reply }))
    }
}

impl Program for Script {
    fn begin(&mut self, _: TxId) -> Next {
        match self.first.take() {
            Some(First::Start(start)) => Next::Script(start),
            Some(First::UnderWay(UnderWay::Call(call))) => self.call(call),
            Some(First::UnderWay(UnderWay::Running)) => {
                Next::Script(Box::new(ScriptStep::GoOn { reply: None }))
            }
            Some(First::UnderWay(UnderWay::Waiting)) => Next::Script(Box::new(ScriptStep::Wait)),
            None => unexpected(),
        }
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if self.single.is_running() {
            let progress = self.single.next(outputs);
            return self.progress(progress);
        }
        match std::mem::replace(&mut self.state, State::Running) {
            State::Seizing(call, locks) => {
                for (shard, locks) in locks {
                    let is_whole = |(of, output): &(ShardId, Output)| {
                        *of == shard && matches!(output, Output::Count(1))
                    };
                    if outputs.iter().any(is_whole) {
                        let whole = LockSet::of_shard(0, LockMode::Exclusive);
                        self.covered.add(shard, &whole);
                    } else {
                        self.covered.add(shard, &locks);
                    }
                }
                let ran = outputs.into_iter().find_map(|(_, output)| match output {
                    Output::Reply(reply) => Some(reply),
                    Output::Error(error) => Some(error_reply(&error)),
                    _ => None,
                });
                match ran {
                    Some(reply) => self.answer(reply),
                    None => self.perform(call),
                }
            }
            State::Running | State::Calling => match outputs.into_iter().next() {
                Some((
                    _,
                    Output::Called {
                        command,
                        db,
                        caller,
                    },
                )) => self.call(Call {
                    command,
                    db,
                    caller,
                }),
                Some((_, Output::Returned { reply, has_counted })) => {
                    self.has_counted = has_counted;
                    Next::Done(reply)
                }
                Some((_, Output::Reply(reply) | Output::Session { reply, .. })) => {
                    self.answer(reply)
                }
                Some((_, Output::Error(error))) => self.answer(error_reply(&error)),
                _ => unexpected(),
            },
        }
    }

    /// As for any call that fails, what the script has done stays.
    fn refuse(&mut self, reply: Vec<u8>) -> Next {
        let State::Seizing(call, _) = std::mem::replace(&mut self.state, State::Running) else {
            return unexpected();
        };
        self.count(call.command.entry, &reply);
        self.answer(reply)
    }

    fn take_calls(&mut self) -> Vec<CountedCall> {
        std::mem::take(&mut self.calls)
    }
}

/// The line of a reply that is an error.
pub(super) fn error_line(reply: &[u8]) -> Option<Vec<u8>> {
    let line = reply.strip_prefix(b"-")?;
    let end = line.iter().position(|&byte| byte == b'\r');
    Some(line[..end.unwrap_or(line.len())].to_vec())
}
