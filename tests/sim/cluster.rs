//! Cores, their shards and coordinators, the clients on them, and a mesh that delivers when it likes. Between two cores
//! there are two queues, each in order: requests and replies in one, transactions in the other. The node's batches put
//! the first before the second: requests overtake transactions, never the other way round.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::keyspace::sizes::assert_sizes;
use rondo::base::hash::KeyHasher;
use rondo::base::rng::Rng;
use rondo::commands::for_each_key;
use rondo::commands::table::{Caller, table};
use rondo::keyspace::{Keyspace, KeyspaceOptions, SlotMap};
use rondo::resp::args::OwnedArgs;
use rondo::router::calls::Queued;
use rondo::router::packed::{Packed, Step as PackedStep};
use rondo::router::programs::block::BlockRequest;
use rondo::router::programs::script::{Call, ScriptRequest, ScriptStep, UnderWay};
use rondo::router::token::Token;
use rondo::router::transaction::Broken;
use rondo::router::watch::{Watch, Watched};
use rondo::router::{
    FromShard, Origin, Output, Plan, ShardId, Step, ToShard, Transaction, TxId, plan,
};
use rondo::shard::scripts::{Called, InPlace};
use rondo::shard::{Outcome, Request, Shard};

use super::Scenario;
use super::checker::Record;
use super::waiting::{Waiting, may_wait};
use super::workload::{Operation, Script, random_operations};

/// How the server under test is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    None,
    WithoutLocks,
    ReleasesBeforeLastPhase,
    ReleasesAfterRead,
    IgnoresWatches,
    SeizesNothing,
    TakesNoToken,
    ServesLastFirst,
    RestsNobody,
    /// A client's next request goes out whatever keys are under way.
    KeepsNoOrder,
}

/// What the seeds reached.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub transactions_count: u64,
    pub retries_count: u64,
    pub retries_count_max: u64,
    pub deferred_count: u64,
    /// Replies that came in pieces.
    pub long_count: u64,
    /// Blocks that were one request, and those of them that waited for a lock.
    pub hopped_blocks_count: u64,
    pub deferred_blocks_count: u64,
    pub messages_count: u64,
    pub blocks_count: u64,
    /// Blocks that watched keys and ran.
    pub watched_blocks_count: u64,
    pub refused_blocks_count: u64,
    pub scripts_count: u64,
    /// Scripts that ran where their keys are, without locks.
    pub in_place_count: u64,
    /// Scripts that began so and had to go on otherwise.
    pub left_count: u64,
    /// The same, with nothing written yet: they began anew.
    pub anew_count: u64,
    /// Scripts that waited for the token.
    pub in_line_count: u64,
    pub seizures_count: u64,
    pub wounds_count: u64,
    /// Requests that could wait, those that did, and how it ended.
    pub waits_count: u64,
    pub waited_count: u64,
    pub served_count: u64,
    pub timeouts_count: u64,
    /// Coordinators that were asked to look, and those that found nothing.
    pub asked_count: u64,
    pub vain_looks_count: u64,
    /// Transactions that began while their clients had other requests under way.
    pub overlapping_count: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Figures) {
        self.transactions_count += other.transactions_count;
        self.retries_count += other.retries_count;
        self.retries_count_max = self.retries_count_max.max(other.retries_count_max);
        self.deferred_count += other.deferred_count;
        self.long_count += other.long_count;
        self.hopped_blocks_count += other.hopped_blocks_count;
        self.deferred_blocks_count += other.deferred_blocks_count;
        self.messages_count += other.messages_count;
        self.blocks_count += other.blocks_count;
        self.watched_blocks_count += other.watched_blocks_count;
        self.refused_blocks_count += other.refused_blocks_count;
        self.scripts_count += other.scripts_count;
        self.in_place_count += other.in_place_count;
        self.left_count += other.left_count;
        self.anew_count += other.anew_count;
        self.in_line_count += other.in_line_count;
        self.seizures_count += other.seizures_count;
        self.wounds_count += other.wounds_count;
        self.waits_count += other.waits_count;
        self.waited_count += other.waited_count;
        self.served_count += other.served_count;
        self.timeouts_count += other.timeouts_count;
        self.asked_count += other.asked_count;
        self.vain_looks_count += other.vain_looks_count;
        self.overlapping_count += other.overlapping_count;
    }
}

pub enum Message {
    Request(Request, OwnedArgs),
    /// The commands of a block whose keys are all there.
    Block(Request, Packed),
    /// A script to be run where its keys are.
    Script(Origin, u16, OwnedArgs),
    /// The token is this core's, for this transaction.
    Token(TxId),
    Reply(Origin, Vec<u8>),
    ToShard(ToShard),
    FromShard(FromShard),
}

pub struct Core {
    pub shard: Shard,
    running: HashMap<TxId, (Transaction, Origin)>,
    scripts: HashMap<TxId, Running>,
    /// What waits for the token before it begins.
    in_line: HashMap<TxId, (Transaction, Origin)>,
}

/// A script that runs.
struct Running {
    script: Script,
    db: u16,
    next: usize,
    replies: Vec<Vec<u8>>,
}

impl Running {
    fn new(script: Script, db: u16) -> Self {
        Self {
            script,
            db,
            next: 0,
            replies: Vec::new(),
        }
    }

    /// Takes the reply to its call; what it calls next, or its own reply.
    fn go_on(&mut self, reply: Option<Vec<u8>>) -> Output {
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

struct Client {
    core: u16,
    left: VecDeque<Operation>,
    /// Indices into the history of what is under way.
    pending: Vec<usize>,
    /// Something under way must run alone: the client's next request waits for it.
    is_exclusive: bool,
    /// Keys of transactions under way that need not. What has one of them waits until all replies are there.
    under_way: HashSet<Vec<u8>>,
    watched: Option<Watched>,
}

pub struct Cluster {
    pub scenario: Scenario,
    pub rng: Rng,
    pub map: SlotMap,
    pub hasher: KeyHasher,
    pub cores: Vec<Core>,
    clients: Vec<Client>,
    /// Two queues for each ordered pair of cores, and how willing each is to deliver just now. Each message has the number
    /// of those before it.
    mesh: Vec<VecDeque<(u64, Message)>>,
    posted_count: u64,
    willingness: Vec<u64>,
    pub last_tx: TxId,
    pub time: u64,
    pub history: Vec<Record>,
    pub figures: Figures,
    pub waiting: Waiting,
    /// Whose ticket the request at this place in the history has.
    pub ticket_ids: HashMap<u64, u64>,
    /// What is to be forgotten when a block has its reply, by its place in the history.
    unwatches: HashMap<u64, Watched>,
    /// The database a block has selected, likewise.
    session_dbs: HashMap<u64, u16>,
    /// Pieces of replies that have come, by request.
    parts: HashMap<u64, Vec<u8>>,
    token: Token,
}

/// How the complaint begins that a client waits for what is there.
pub const LEFT_BEHIND: &str = "left waiting beside something for it";

pub const NOW_MS: i64 = 1_700_000_000_000;

/// More steps than any request needs; past them something goes round in circles.
const STEPS_PER_OPERATION_MAX: u64 = 1_000;
/// More retries than a transaction may need.
const RETRIES_MAX: u64 = 24;

impl Cluster {
    pub fn new(scenario: Scenario) -> Self {
        let mut rng = Rng::with_seed(scenario.seed);
        let map = SlotMap::new(scenario.shards_count);
        let hasher = KeyHasher::with_seed(scenario.seed);
        let cores = (0..scenario.shards_count)
            .map(|id| Core {
                shard: new_shard(id, map, &hasher, &scenario),
                running: HashMap::new(),
                scripts: HashMap::new(),
                in_line: HashMap::new(),
            })
            .collect();
        let clients = (0..scenario.clients_count)
            .map(|_| Client {
                core: rng.below(u64::from(scenario.shards_count)) as u16,
                left: (0..scenario.operations_count)
                    .flat_map(|_| random_operations(scenario.family, &mut rng))
                    .take(scenario.operations_count)
                    .collect(),
                pending: Vec::new(),
                is_exclusive: false,
                under_way: HashSet::new(),
                watched: None,
            })
            .collect();
        let queues_count = usize::from(scenario.shards_count).pow(2) * 2;
        Self {
            scenario,
            rng,
            map,
            hasher,
            cores,
            clients,
            mesh: (0..queues_count).map(|_| VecDeque::new()).collect(),
            posted_count: 0,
            willingness: vec![1; queues_count],
            last_tx: 0,
            time: 0,
            history: Vec::new(),
            figures: Figures::default(),
            waiting: Waiting::default(),
            ticket_ids: HashMap::new(),
            unwatches: HashMap::new(),
            session_dbs: HashMap::new(),
            token: Token::default(),
            parts: HashMap::new(),
        }
    }

    pub fn figures(&self) -> Figures {
        self.figures.clone()
    }

    /// Runs until every client has all replies.
    pub fn run(&mut self) -> Result<Vec<Record>, String> {
        while self.step()? {
            let operations_count = self.scenario.clients_count * self.scenario.operations_count;
            if self.time > operations_count as u64 * STEPS_PER_OPERATION_MAX {
                return Err("it goes round in circles".into());
            }
        }
        if let Some(record) = self.history.iter().find(|record| record.reply.is_empty()) {
            return Err(format!("deadlock: no reply to {record}"));
        }
        for (id, core) in self.cores.iter().enumerate() {
            let is_waited = core.shard.waiting_counts() != (0, 0);
            if !core.shard.is_quiet() || !core.running.is_empty() || is_waited {
                return Err(format!("shard {id} is not quiet at the end"));
            }
            assert_sizes(&core.shard.keys, || format!("shard {id}"));
        }
        Ok(std::mem::take(&mut self.history))
    }

    /// One message is delivered or one client sends; false when nothing is left to do.
    fn step(&mut self) -> Result<bool, String> {
        self.time += 1;
        if self.time % 16 == 1 {
            for willing in &mut self.willingness {
                *willing = 1 << (self.rng.below(4) * 2);
            }
        }
        let mut choices: Vec<(Choice, u64)> = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            if self.may_send(client) {
                choices.push((Choice::Client(index), 4));
            }
        }
        for (index, queue) in self.mesh.iter().enumerate() {
            if !queue.is_empty() && !self.would_overtake(index) {
                choices.push((Choice::Queue(index), self.willingness[index]));
            }
        }
        for (id, core) in self.cores.iter().enumerate() {
            if core.shard.has_long_reads() {
                choices.push((Choice::Read(id as u16), 1));
            }
        }
        if self.waiting.len() > 0 {
            if choices.is_empty() {
                self.check_nothing_left_behind()?;
                choices.push((Choice::Timeout, 1));
            } else if self.time.is_multiple_of(32) {
                choices.push((Choice::Timeout, 1));
            }
        }
        let total: u64 = choices.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return Ok(false);
        }
        let mut place = self.rng.below(total);
        for (choice, weight) in choices {
            if place < weight {
                match choice {
                    Choice::Client(index) => self.send_request(index),
                    Choice::Queue(index) => self.deliver(index)?,
                    Choice::Read(id) => {
                        self.cores[usize::from(id)].shard.read_on(|_, _| true);
                        self.post_events(id);
                    }
                    Choice::Timeout => self.time_out(),
                }
                self.retry_waiters();
                return Ok(true);
            }
            place -= weight;
        }
        unreachable!("a place below the total is in one of the choices")
    }

    fn may_send(&self, client: &Client) -> bool {
        let Some(operation) = client.left.front() else {
            return false;
        };
        if client.pending.is_empty() {
            return true;
        }
        let may_wait = table()
            .resolve(&operation.args.as_args())
            .is_ok_and(may_wait);
        let is_alone = may_wait || self.is_alone(operation, client);
        let has_one = |key: &Vec<u8>| {
            client.under_way.contains(key) && self.scenario.mutant != Mutant::KeepsNoOrder
        };
        !client.is_exclusive
            && !is_alone
            && !keys_of(operation).iter().any(has_one)
            && client.pending.len() < self.scenario.window
    }

    /// Whether a request waits for what its client has under way, and what follows waits for it.
    fn is_alone(&self, operation: &Operation, client: &Client) -> bool {
        if operation.is_exec() {
            return client.watched.is_some() || !operation.block.iter().all(has_one_shard);
        }
        self.plan_of(operation, client.core) == Plan::Many
            && (operation.is_watch() || operation.is_script() || keys_of(operation).is_empty())
    }

    /// Whether the first message of a queue was posted after one of the other queue that is never overtaken.
    fn would_overtake(&self, index: usize) -> bool {
        let first = |index: usize| self.mesh[index].front().map(|(number, _)| *number);
        index % 2 == 1 && first(index - 1).is_some_and(|before| Some(before) < first(index))
    }

    fn plan_of(&self, operation: &Operation, here: ShardId) -> Plan {
        let args = operation.args.as_args();
        if operation.is_exec() || operation.is_watch() || operation.is_script() {
            return Plan::Many;
        }
        let entry = table().resolve(&args).expect("workloads are good commands");
        plan(entry, &args, &self.map, here)
    }

    fn send_request(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let core = client.core;
        let operation = client.left.pop_front().expect("it was asked");
        let plan = self.plan_of(&operation, core);
        let is_alone = self.is_alone(&operation, &self.clients[index]);
        let client = &mut self.clients[index];
        if client.pending.is_empty() {
            client.under_way.clear();
        }
        if plan == Plan::Many {
            client.under_way.extend(keys_of(&operation));
        }
        client.pending.push(self.history.len());
        let entry = table().resolve(&operation.args.as_args()).expect("good");
        client.is_exclusive = is_alone || may_wait(entry);
        self.figures.overlapping_count += u64::from(client.pending.len() > 1 && plan == Plan::Many);
        let origin = Origin {
            core,
            connection: index as u32,
            generation: 0,
            sequence: self.history.len() as u64,
        };
        let special = (operation.is_exec() || operation.is_watch() || operation.is_script())
            .then(|| operation.clone());
        let (db, args) = (operation.db, operation.args.clone());
        self.history.push(Record {
            client: index,
            operation,
            shard: match plan {
                Plan::Shard(shard) => Some(shard),
                Plan::Here | Plan::Many => None,
            },
            invoked: self.time,
            entered: None,
            replied: 0,
            reply: Vec::new(),
        });
        if let Some(operation) = special {
            if operation.is_script() {
                return self.eval(origin, operation.db, &operation.args);
            }
            return match operation.is_exec() {
                true => self.exec(origin, &operation),
                false => self.watch(origin, &operation),
            };
        }
        let caller = Caller::default();
        if may_wait(entry) {
            let request = Request {
                entry,
                db,
                caller,
                origin,
            };
            return self.send_waiting(origin, plan, request, args);
        }
        match plan {
            Plan::Here => panic!("workloads have no session commands"),
            Plan::Shard(shard) => {
                let request = Request {
                    entry,
                    db,
                    caller,
                    origin,
                };
                if shard == core {
                    self.execute(core, request, &args);
                } else {
                    self.post(core, shard, Message::Request(request, args));
                }
            }
            Plan::Many => {
                self.figures.transactions_count += 1;
                match Transaction::new(entry, db, caller, args, self.map, &self.hasher) {
                    Err(error) => {
                        let reply = format!("-{}\r\n", error.text()).into_bytes();
                        self.reply(origin, reply);
                    }
                    Ok(transaction) => self.start(core, transaction, origin),
                }
            }
        }
    }

    fn watch(&mut self, origin: Origin, operation: &Operation) {
        let args = operation.args.as_args();
        self.last_tx += 1;
        let watch = Watch::new(self.last_tx);
        let mut shards: Vec<ShardId> = args
            .iter_from(1)
            .map(|key| self.map.shard_of(key))
            .collect();
        shards.sort_unstable();
        shards.dedup();
        let keys = args.iter_from(1).map(|key| (operation.db, key.to_vec()));
        let old = self.clients[origin.connection as usize]
            .watched
            .replace(Watched {
                watch: watch.clone(),
                keys_bytes: 0,
                keys: keys.collect(),
                shards,
            });
        assert!(old.is_none(), "an EXEC follows each WATCH");
        let transaction =
            Transaction::watch(watch, operation.db, &args.tail(1), self.map, &self.hasher);
        self.start(origin.core, transaction, origin);
    }

    fn exec(&mut self, origin: Origin, operation: &Operation) {
        self.figures.blocks_count += 1;
        let queued = |args: &OwnedArgs| Queued {
            entry: table().resolve(&args.as_args()).expect("good"),
            args: args.clone(),
            denied: None,
        };
        let commands: Vec<Queued> = operation.block.iter().map(queued).collect();
        let watched = self.clients[origin.connection as usize].watched.take();
        if let Some(watched) = &watched {
            self.unwatches.insert(origin.sequence, watched.clone());
        }
        let core = origin.core;
        let caller = Caller::default();
        let is_here = |queued: &Queued| {
            !queued.entry.command.run.is_script()
                && plan(queued.entry, &queued.args.as_args(), &self.map, core) == Plan::Shard(core)
        };
        let shard = &mut self.cores[usize::from(core)].shard;
        if watched.is_none() && shard.is_lock_free() && commands.iter().all(is_here) {
            let mut reply = format!("*{}\r\n", commands.len()).into_bytes();
            let steps = commands.iter().map(Queued::step);
            shard.run_block(steps, operation.db, caller, &mut reply, |_, _, _| {});
            shard.end_block();
            self.post_events(core);
            return self.reply(origin, reply);
        }
        let home =
            |queued: &Queued| match plan(queued.entry, &queued.args.as_args(), &self.map, core) {
                Plan::Shard(shard) if !queued.entry.command.run.is_script() => Some(shard),
                _ => None,
            };
        if watched.is_none()
            && let Some(shard) = commands.first().and_then(home)
            && shard != core
            && commands.iter().all(|queued| home(queued) == Some(shard))
            && self.rng.below(4) > 0
        {
            let mut packed = Packed::default();
            for queued in &commands {
                packed.push(queued.entry, &queued.args.as_args(), Some(shard));
            }
            self.figures.hopped_blocks_count += 1;
            let request = Request {
                entry: table().find(b"EXEC").expect("good"),
                db: operation.db,
                caller,
                origin,
            };
            return self.post(core, shard, Message::Block(request, packed));
        }
        let request = BlockRequest {
            user: None,
            databases: 16,
            commands,
            db: operation.db,
            caller,
            watched: watched.filter(|_| self.scenario.mutant != Mutant::IgnoresWatches),
            here: core,
            now_ms: NOW_MS,
            seed: origin.sequence,
            in_order: self.rng.below(4) == 0,
            keeps_words: false,
            is_silent: false,
        };
        self.figures.transactions_count += 1;
        let leaves = |args: &OwnedArgs| {
            let args = args.as_args();
            args.is(0, "EVAL") && !Script::parse(&args).stays(&args)
        };
        let needs_token = operation.block.iter().any(leaves);
        let transaction = Transaction::block(request, self.map, &self.hasher);
        if needs_token {
            return self.start_with_token(core, transaction, origin);
        }
        self.start(core, transaction, origin);
    }

    /// Carries out a command of a block that concerns its connection.
    fn run_session(&mut self, core: u16, tx: TxId, db: u16, queued: &Queued) {
        let args = queued.args.as_args();
        let (reply, db) = match args.is(0, "SELECT") {
            true => (b"+OK\r\n".to_vec(), u16::from(args.is(1, "1"))),
            false => (b"+PONG\r\n".to_vec(), db),
        };
        let output = Output::Session {
            reply,
            db,
            caller: Caller::default(),
            user: None,
            is_silent: false,
        };
        let shard = core;
        let message = FromShard::Ran {
            tx,
            shard,
            output,
            trace: None,
        };
        self.post(core, core, Message::FromShard(message));
    }

    pub fn start(&mut self, core: u16, transaction: Transaction, origin: Origin) {
        let transaction = match self.scenario.mutant {
            Mutant::ReleasesBeforeLastPhase => transaction.broken(Broken::ReleasesBeforeLastPhase),
            Mutant::ReleasesAfterRead => transaction.broken(Broken::ReleasesAfterRead),
            _ => transaction,
        };
        self.last_tx += 1;
        self.begin(core, self.last_tx, transaction, origin);
    }

    fn begin(&mut self, core: u16, tx: TxId, mut transaction: Transaction, origin: Origin) {
        let mut out = Vec::new();
        let step = transaction.start(core, tx, &mut out);
        for (shard, message) in out {
            self.post(core, shard, Message::ToShard(message));
        }
        self.take_step(core, transaction, origin, step)
            .expect("it begins");
    }

    fn deliver(&mut self, queue: usize) -> Result<(), String> {
        let shards_count = usize::from(self.scenario.shards_count);
        let to = (queue / 2 % shards_count) as u16;
        self.figures.messages_count += 1;
        match self.mesh[queue].pop_front().expect("it was asked").1 {
            Message::Request(request, args) => self.execute(to, request, &args),
            Message::Block(request, commands) => self.execute_block(to, request, &commands),
            Message::Script(origin, db, args) => self.host(to, origin, db, &args),
            Message::Token(tx) => self.token_came(to, tx),
            Message::Reply(origin, reply) => self.reply(origin, reply),
            Message::ToShard(message) => {
                self.cores[usize::from(to)].shard.handle(message);
                self.post_events(to);
            }
            Message::FromShard(FromShard::Late { origin, reply, .. }) => self.reply(origin, reply),
            Message::FromShard(FromShard::Part {
                origin,
                bytes,
                is_last,
                ..
            }) => {
                let reply = self.parts.entry(origin.sequence).or_default();
                reply.extend_from_slice(&bytes);
                if is_last {
                    let reply = self.parts.remove(&origin.sequence).unwrap_or_default();
                    self.figures.long_count += 1;
                    self.reply(origin, reply);
                }
            }
            Message::FromShard(FromShard::Served { id, reply, .. }) => self.served(id, reply),
            Message::FromShard(FromShard::Ask { id, shard }) => self.asked_to_look(to, id, shard),
            Message::FromShard(message) => {
                self.receive(to, message)?;
            }
        }
        Ok(())
    }

    fn execute(&mut self, shard: ShardId, request: Request, args: &OwnedArgs) {
        let mut reply = Vec::new();
        let core = &mut self.cores[usize::from(shard)];
        let outcome = core.shard.execute(&request, &args.as_args(), &mut reply);
        self.post_events(shard);
        match outcome {
            Outcome::Done if shard == request.origin.core => self.reply(request.origin, reply),
            Outcome::Done => {
                let message = Message::Reply(request.origin, reply);
                self.post(shard, request.origin.core, message);
            }
            Outcome::Deferred => self.figures.deferred_count += 1,
        }
    }

    fn execute_block(&mut self, shard: ShardId, request: Request, commands: &Packed) {
        let mut reply = Vec::new();
        let core = &mut self.cores[usize::from(shard)];
        let ran = |_: &mut Shard, _: &PackedStep<'_>, _: usize| {};
        let outcome = core
            .shard
            .execute_block(&request, commands.steps(), &mut reply, ran);
        self.post_events(shard);
        match outcome {
            Outcome::Done => {
                let message = Message::Reply(request.origin, reply);
                self.post(shard, request.origin.core, message);
            }
            Outcome::Deferred => self.figures.deferred_blocks_count += 1,
        }
    }

    fn retry_waiters(&mut self) {
        for core in 0..self.scenario.shards_count {
            self.cores[usize::from(core)].shard.retry_waiters();
            self.post_events(core);
        }
    }

    pub fn post_events(&mut self, shard: ShardId) {
        while let Some((core, message)) = self.cores[usize::from(shard)].shard.next_event() {
            self.post(shard, core, Message::FromShard(message));
        }
    }

    fn receive(&mut self, core: u16, message: FromShard) -> Result<(), String> {
        let (FromShard::Scheduled { tx, .. }
        | FromShard::Ran { tx, .. }
        | FromShard::Seized { tx, .. }
        | FromShard::Withdrawn { tx, .. }
        | FromShard::Wounded { tx }) = &message
        else {
            return Err("a late reply is not for a transaction".into());
        };
        self.figures.seizures_count += u64::from(matches!(message, FromShard::Seized { .. }));
        self.figures.wounds_count += u64::from(matches!(message, FromShard::Wounded { .. }));
        let running = &mut self.cores[usize::from(core)].running;
        // What an earlier try of a transaction is still told is nobody's any more.
        let Some((mut transaction, origin)) = running.remove(tx) else {
            return Ok(());
        };
        let mut out = Vec::new();
        let last_tx = &mut self.last_tx;
        let mut next_tx = || {
            *last_tx += 1;
            *last_tx
        };
        let step = transaction.receive(message, &mut next_tx, &mut out);
        for (shard, message) in out {
            self.post(core, shard, Message::ToShard(message));
        }
        self.take_step(core, transaction, origin, step)
    }

    fn take_step(
        &mut self,
        core: u16,
        transaction: Transaction,
        origin: Origin,
        step: Step,
    ) -> Result<(), String> {
        match step {
            Step::Line => {
                let tx = transaction.tx();
                let running = &mut self.cores[usize::from(core)].running;
                running.insert(tx, (transaction, origin));
                if self.token.take((core, tx)) {
                    self.token_came(core, tx);
                }
            }
            Step::Wait => {
                if u64::from(transaction.retries_count()) > RETRIES_MAX {
                    return Err("a transaction is never granted".into());
                }
                let running = &mut self.cores[usize::from(core)].running;
                running.insert(transaction.tx(), (transaction, origin));
            }
            Step::Session(queued) => {
                let tx = transaction.tx();
                let db = self.session_dbs.get(&origin.sequence).copied();
                let db = db.unwrap_or(self.history[origin.sequence as usize].operation.db);
                let running = &mut self.cores[usize::from(core)].running;
                running.insert(tx, (transaction, origin));
                if queued.args.as_args().is(0, "SELECT") {
                    let db = u16::from(queued.args.as_args().is(1, "1"));
                    self.session_dbs.insert(origin.sequence, db);
                }
                self.run_session(core, tx, db, &queued);
            }
            Step::Script(step) => {
                let tx = transaction.tx();
                let core_of = &mut self.cores[usize::from(core)];
                core_of.running.insert(tx, (transaction, origin));
                let output = match *step {
                    ScriptStep::Start { command, db, .. } => {
                        let script = Script::parse(&command.args.as_args());
                        let running = Running::new(script, db);
                        core_of
                            .scripts
                            .entry(tx)
                            .insert_entry(running)
                            .get_mut()
                            .go_on(None)
                    }
                    ScriptStep::GoOn { reply } => {
                        let script = core_of.scripts.get_mut(&tx).expect("it runs");
                        script.go_on(reply)
                    }
                    ScriptStep::Wait => return Err("no script waits for a node".into()),
                };
                let message = FromShard::Ran {
                    tx,
                    shard: core,
                    output,
                    trace: None,
                };
                self.post(core, core, Message::FromShard(message));
            }
            Step::Errand(_) => return Err("no workload goes anywhere".into()),
            Step::Waits { shards, .. } => self.transaction_waits(origin, shards),
            Step::Done { reply } => {
                let retries_count = u64::from(transaction.retries_count());
                self.figures.retries_count += retries_count;
                self.figures.retries_count_max = self.figures.retries_count_max.max(retries_count);
                self.cores[usize::from(core)]
                    .scripts
                    .remove(&transaction.tx());
                if transaction.has_token() {
                    self.give_token_back(core);
                }
                if !self.has_looked(origin, &reply) {
                    self.reply_from(core, origin, reply);
                }
            }
        }
        Ok(())
    }

    /// A script goes to the core of its keys if they have one in common.
    fn eval(&mut self, origin: Origin, db: u16, args: &OwnedArgs) {
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

    fn host(&mut self, core: u16, origin: Origin, db: u16, args: &OwnedArgs) {
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

    fn start_with_token(&mut self, core: u16, transaction: Transaction, origin: Origin) {
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

    fn token_came(&mut self, core: u16, tx: TxId) {
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

    fn give_token_back(&mut self, core: u16) {
        if let Some((to, tx)) = self.token.give_back() {
            self.post(core, to, Message::Token(tx));
        }
    }

    /// The reply of what ran on `core`, to wherever its client is.
    fn reply_from(&mut self, core: u16, origin: Origin, reply: Vec<u8>) {
        if core == origin.core {
            return self.reply(origin, reply);
        }
        self.post(core, origin.core, Message::Reply(origin, reply));
    }

    pub fn reply(&mut self, origin: Origin, reply: Vec<u8>) {
        let index = origin.sequence as usize;
        if let Some(watched) = self.unwatches.remove(&origin.sequence) {
            match reply == b"*-1\r\n" {
                true => self.figures.refused_blocks_count += 1,
                false => self.figures.watched_blocks_count += 1,
            }
            for shard in watched.shards {
                let id = watched.watch.id;
                self.post(
                    origin.core,
                    shard,
                    Message::ToShard(ToShard::Unwatch { id }),
                );
            }
        }
        let record = &mut self.history[index];
        assert!(
            record.reply.is_empty(),
            "SEED={} two replies",
            self.scenario.seed
        );
        record.reply = reply;
        record.replied = self.time;
        let client = &mut self.clients[origin.connection as usize];
        client.pending.retain(|&pending| pending != index);
        client.is_exclusive = false;
    }

    pub fn post(&mut self, from: u16, to: u16, message: Message) {
        let class = match message {
            Message::Request(..)
            | Message::Block(..)
            | Message::Reply(..)
            | Message::Script(..)
            // A batch has what is all that is left of a block among its requests.
            | Message::ToShard(ToShard::RunLast { .. }) => 0,
            Message::Token(_) | Message::ToShard(_) | Message::FromShard(_) => 1,
        };
        let pair = usize::from(from) * usize::from(self.scenario.shards_count) + usize::from(to);
        self.posted_count += 1;
        self.mesh[pair * 2 + class].push_back((self.posted_count, message));
    }
}

/// The keys of a request, those of a block's commands included.
pub fn keys_of(operation: &Operation) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for args in [&operation.args].into_iter().chain(&operation.block) {
        let args = args.as_args();
        let entry = table().resolve(&args).expect("good");
        for_each_key(entry, &args, |index| keys.push(args.get(index).to_vec()));
    }
    keys
}

/// Whether a command of a block runs on one shard, whatever the number of shards.
fn has_one_shard(args: &OwnedArgs) -> bool {
    let args = args.as_args();
    let entry = table().resolve(&args).expect("good");
    let is_script = entry.command.run.is_script();
    !is_script && matches!(plan(entry, &args, &SlotMap::new(64), 0), Plan::Shard(_))
}

#[derive(Clone, Copy)]
enum Choice {
    Client(usize),
    /// The next piece of a reply.
    Read(u16),
    Queue(usize),
    Timeout,
}

fn new_shard(id: ShardId, map: SlotMap, hasher: &KeyHasher, scenario: &Scenario) -> Shard {
    let options = KeyspaceOptions {
        hasher: hasher.clone(),
        slots: map,
        shard: id,
        ..KeyspaceOptions::for_tests(scenario.seed)
    };
    let mut shard = Shard::new(id, Keyspace::new(options));
    shard.set_now(NOW_MS);
    // Every reply of elements comes in pieces, and what is stored of them is made in steps.
    shard.set_long_reads(0, 1);
    shard.keys.set_stored_elements_max(0);
    match scenario.mutant {
        Mutant::WithoutLocks => shard.without_locks(),
        Mutant::SeizesNothing => shard.without_seizing(),
        Mutant::ServesLastFirst => shard.serving_last_first(),
        _ => shard,
    }
}
