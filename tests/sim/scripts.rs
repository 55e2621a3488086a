//! Scripts, on the side of their core: run where their keys are, or as transactions, and who has the token meanwhile.

use rondo::commands::table::{Caller, table};
use rondo::resp::args::OwnedArgs;
use rondo::router::calls::Queued;
use rondo::router::programs::script::{Call, ScriptRequest, UnderWay};
use rondo::router::{Origin, Output, Plan, Transaction, TxId, plan};
use rondo::shard::scripts::{Called, InPlace};

use super::cluster::{Cluster, Message, Mutant, NOW_MS};
use super::workload::Script;

/// A script that runs.
pub struct Running {
    script: Script,
    db: u16,
    next: usize,
    replies: Vec<Vec<u8>>,
}

impl Running {
    pub fn new(script: Script, db: u16) -> Self {
        Self {
            script,
            db,
            next: 0,
            replies: Vec::new(),
        }
    }

    /// Takes the reply to its call; what it calls next, or its own reply.
    pub fn go_on(&mut self, reply: Option<Vec<u8>>) -> Output {
        self.replies.extend(reply);
        if self.next == self.script.lines.len() {
            let mut reply = format!("*{}\r\n", self.replies.len()).into_bytes();
            self.replies
                .iter()
                .for_each(|one| reply.extend_from_slice(one));
            let has_counted = false;
            return Output::Returned { reply, has_counted };
        }
        let before = self.replies.last().map_or(&b""[..], Vec::as_slice);
        let args = self.script.line(self.next, before);
        self.next += 1;
        let entry = table().resolve(&args.as_args()).expect("good");
        Output::Called {
            command: Queued {
                entry,
                args,
                denied: None,
            },
            db: self.db,
            caller: Caller::default(),
        }
    }

    /// Its last call has not run: it makes it again.
    fn again(&mut self) {
        self.next -= 1;
    }
}

impl Cluster {
    /// A script goes to the core of its keys if they have one in common.
    pub fn eval(&mut self, origin: Origin, db: u16, args: &OwnedArgs) {
        self.figures.scripts_count += 1;
        let entry = table().resolve(&args.as_args()).expect("good");
        match plan(entry, &args.as_args(), &self.map, origin.core) {
            Plan::Shard(shard) if shard != origin.core => {
                self.post(
                    origin.core,
                    shard,
                    Message::Script(origin, db, args.clone()),
                );
            }
            _ => self.host(origin.core, origin, db, args),
        }
    }

    pub fn host(&mut self, core: u16, origin: Origin, db: u16, args: &OwnedArgs) {
        let words = args.as_args();
        let entry = table().resolve(&words).expect("good");
        let script = Script::parse(&words);
        let stays = script.stays(&words);
        let is_free = self.cores[usize::from(core)].shard.is_lock_free();
        let request = ScriptRequest {
            command: Queued {
                denied: None,
                entry,
                args: args.clone(),
            },
            db,
            caller: Caller::default(),
            is_readonly: false,
            here: core,
            now_ms: NOW_MS,
            seed: origin.sequence,
        };
        let is_here = plan(entry, &words, &self.map, core) == Plan::Shard(core);
        let request = if is_free && is_here {
            match self.run_in_place(core, origin, request, script, stays) {
                Some(request) => request,
                None => return,
            }
        } else {
            request
        };
        self.figures.transactions_count += 1;
        let transaction = Transaction::script(request, self.map, &self.hasher);
        match stays {
            true => self.start(core, transaction, origin),
            false => self.start_with_token(core, transaction, origin),
        }
    }

    /// Runs a script where its keys are; the request comes back if it must begin anew.
    fn run_in_place(
        &mut self,
        core: u16,
        origin: Origin,
        request: ScriptRequest,
        script: Script,
        stays: bool,
    ) -> Option<ScriptRequest> {
        let mut running = Running::new(script, request.db);
        let mut in_place = InPlace::new(stays);
        let mut answer = None;
        let reply = loop {
            let call = match running.go_on(answer.take()) {
                Output::Called {
                    command,
                    db,
                    caller,
                } => Call {
                    command,
                    db,
                    caller,
                },
                Output::Returned { reply, .. } => break reply,
                _ => unreachable!("a script calls or returns"),
            };
            let mut out = Vec::new();
            let shard = &mut self.cores[usize::from(core)].shard;
            let called = shard.call_in_place(
                &mut in_place,
                &self.map,
                call.command.entry,
                call.db,
                call.caller,
                &call.command.args.as_args(),
                &mut out,
            );
            match called {
                Called::Done => answer = Some(out),
                Called::NeedsToken if self.token.try_take((core, 0)) => {
                    in_place.has_token = true;
                    running.again();
                }
                Called::Leaves if in_place.has_written => {
                    self.figures.left_count += 1;
                    self.last_tx += 1;
                    let tx = self.last_tx;
                    let locks = shard.hold(tx, in_place, None);
                    shard.end_block();
                    let step = UnderWay::Call(call);
                    let transaction = Transaction::script_under_way(
                        request,
                        core,
                        locks,
                        step,
                        self.map,
                        &self.hasher,
                    )
                    .with_token();
                    self.cores[usize::from(core)].scripts.insert(tx, running);
                    self.post_events(core);
                    self.begin(core, tx, transaction, origin);
                    return None;
                }
                Called::NeedsToken | Called::Leaves => {
                    self.figures.anew_count += 1;
                    self.cores[usize::from(core)].shard.end_block();
                    return Some(request);
                }
            }
        };
        self.figures.in_place_count += 1;
        self.cores[usize::from(core)].shard.end_block();
        self.post_events(core);
        if in_place.has_token {
            self.give_token_back(core);
        }
        self.reply_from(core, origin, reply);
        None
    }

    pub fn start_with_token(&mut self, core: u16, transaction: Transaction, origin: Origin) {
        if self.scenario.mutant == Mutant::TakesNoToken {
            return self.start(core, transaction, origin);
        }
        self.last_tx += 1;
        let tx = self.last_tx;
        if self.token.take((core, tx)) {
            return self.begin(core, tx, transaction.with_token(), origin);
        }
        self.figures.in_line_count += 1;
        let in_line = &mut self.cores[usize::from(core)].in_line;
        in_line.insert(tx, (transaction, origin));
    }

    pub fn token_came(&mut self, core: u16, tx: TxId) {
        let of_core = &mut self.cores[usize::from(core)];
        if let Some((transaction, origin)) = of_core.in_line.remove(&tx) {
            return self.begin(core, tx, transaction.with_token(), origin);
        }
        let (transaction, _) = of_core.running.get_mut(&tx).expect("it waits");
        let mut out = Vec::new();
        transaction.token_came(&mut out);
        for (shard, message) in out {
            self.post(core, shard, Message::ToShard(message));
        }
    }

    pub fn give_token_back(&mut self, core: u16) {
        if let Some((to, tx)) = self.token.give_back() {
            self.post(core, to, Message::Token(tx));
        }
    }
}
