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
use rondo::router::packed::{Packed, Step as PackedStep};
use rondo::router::programs::script::ScriptStep;
use rondo::router::token::Token;
use rondo::router::transaction::Broken;
use rondo::router::watch::Watched;
use rondo::router::{FromShard, Origin, Plan, ShardId, Step, ToShard, Transaction, TxId, plan};
use rondo::shard::{Outcome, Request, Shard};

use super::Scenario;
use super::checker::Record;
use super::figures::Figures;
use super::scripts::Running;
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
    pub running: HashMap<TxId, (Transaction, Origin)>,
    pub scripts: HashMap<TxId, Running>,
    /// What waits for the token before it begins.
    pub in_line: HashMap<TxId, (Transaction, Origin)>,
}

pub struct Client {
    core: u16,
    left: VecDeque<Operation>,
    /// Indices into the history of what is under way.
    pending: Vec<usize>,
    /// Something under way must run alone: the client's next request waits for it.
    is_exclusive: bool,
    /// Keys of transactions under way that need not. What has one of them waits until all replies are there.
    under_way: HashSet<Vec<u8>>,
    pub watched: Option<Watched>,
}

pub struct Cluster {
    pub scenario: Scenario,
    pub rng: Rng,
    pub map: SlotMap,
    pub hasher: KeyHasher,
    pub cores: Vec<Core>,
    pub clients: Vec<Client>,
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
    pub unwatches: HashMap<u64, Watched>,
    /// The database a block has selected, likewise.
    session_dbs: HashMap<u64, u16>,
    /// Pieces of replies that have come, by request.
    parts: HashMap<u64, Vec<u8>>,
    pub token: Token,
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

    pub fn start(&mut self, core: u16, transaction: Transaction, origin: Origin) {
        let transaction = match self.scenario.mutant {
            Mutant::ReleasesBeforeLastPhase => transaction.broken(Broken::ReleasesBeforeLastPhase),
            Mutant::ReleasesAfterRead => transaction.broken(Broken::ReleasesAfterRead),
            _ => transaction,
        };
        self.last_tx += 1;
        self.begin(core, self.last_tx, transaction, origin);
    }

    pub fn begin(&mut self, core: u16, tx: TxId, mut transaction: Transaction, origin: Origin) {
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

    /// The reply of what ran on `core`, to wherever its client is.
    pub fn reply_from(&mut self, core: u16, origin: Origin, reply: Vec<u8>) {
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
