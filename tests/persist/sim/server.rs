//! Shards with logs, clients that append and read, snapshots for bases; and what comes back after a power cut.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use rondo::base::hash::KeyHasher;
use rondo::base::rng::Rng;
use rondo::commands::table::{Caller, table};
use rondo::keyspace::cut::Chunk;
use rondo::keyspace::{Classes, Keyspace, KeyspaceOptions, SlotMap};
use rondo::persist::log::{Place, Policy};
use rondo::persist::manifest::{Base, Epoch, Manifest};
use rondo::persist::rdb::{FileWriter, Framer, Item};
use rondo::persist::recovery::{Scan, Tail, scan, settle, walk};
use rondo::persist::{BLOCK_BYTES, Holds, Log, Withheld};
use rondo::resp::args::OwnedArgs;
use rondo::router::calls::Queued;
use rondo::router::programs::block::BlockRequest;
use rondo::router::{FromShard, Origin, Step, ToShard, Transaction, TxId};
use rondo::shard::{Outcome, Request, Shard};

use super::disk::Disk;

const KEYS_COUNT: u64 = 6;
const ROUNDS_COUNT: usize = 3;
const SEGMENT_BYTES: u64 = 16 * BLOCK_BYTES as u64;

/// How the server under test is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    None,
    RepliesBeforeDurable,
    SyncsNothing,
    SettlesNothing,
    ManifestBeforeBase,
    DropsBeforeManifest,
    BaseClaimsTooMuch,
    MendedBeforeManifest,
    TellsBeforeDurable,
    TellsBeforeLogged,
    SaysOnBeforeTheCut,
}

/// What a seed decides before its clients start.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub policy: Policy,
    /// One for each start.
    pub shards_counts: Vec<u16>,
    /// Writes and syncs may fail.
    pub fails: bool,
    pub rewrites: bool,
    /// `appendfsync` is changed now and then, to and from `always`.
    pub switches: bool,
    /// The first start is without logs; they are turned on while it serves.
    pub begins_late: bool,
    pub mutant: Mutant,
}

/// What the seeds reached.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub writes: u64,
    pub acknowledged: u64,
    /// Writes that a power cut took back.
    pub lost: u64,
    pub torn: u64,
    pub failed_writes: u64,
    pub failed_syncs: u64,
    pub parts_from_elsewhere: u64,
    /// Records cut off for what another log had lost.
    pub cut_records: u64,
    pub bases: u64,
    pub cuts_before_the_manifest: u64,
    pub segments_dropped: u64,
    /// Epochs that have taken the place of one with a broken log.
    pub mended: u64,
    pub cuts_while_mending: u64,
    /// Those with `always` in force.
    pub mended_always: u64,
    pub switches: u64,
    /// Writes that others were told of.
    pub told: u64,
    /// Servers that turned their logs on.
    pub turned_on: u64,
    /// Power cuts between that and their first base.
    pub cuts_before_first_base: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Figures) {
        self.writes += other.writes;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.torn += other.torn;
        self.failed_writes += other.failed_writes;
        self.failed_syncs += other.failed_syncs;
        self.parts_from_elsewhere += other.parts_from_elsewhere;
        self.cut_records += other.cut_records;
        self.bases += other.bases;
        self.cuts_before_the_manifest += other.cuts_before_the_manifest;
        self.segments_dropped += other.segments_dropped;
        self.mended += other.mended;
        self.cuts_while_mending += other.cuts_while_mending;
        self.told += other.told;
        self.mended_always += other.mended_always;
        self.switches += other.switches;
        self.turned_on += other.turned_on;
        self.cuts_before_first_base += other.cuts_before_first_base;
    }
}

/// A request under way or over.
#[derive(Default)]
struct Done {
    /// Keys it appended to.
    writes: Vec<u64>,
    /// What it was shown: its numbers must be there if it is, or if its reply has left.
    shown: Vec<u64>,
    /// What its reply waits for; none: there is no reply yet.
    holds: Option<Holds>,
    is_acknowledged: bool,
    /// It began when clients knew of the logs.
    has_logs: bool,
    /// And ran with `always`: what it says is there.
    is_promised: bool,
    /// Where all logs were when it had run.
    lsns: Vec<u64>,
    is_safe: bool,
}

/// A base that is being made.
struct NewBase {
    base: Base,
    /// Logs begin anew with it.
    epoch: Epoch,
    lsns: Vec<Option<u64>>,
    chunks: Vec<Chunk>,
    done: Vec<bool>,
    step: BaseStep,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum BaseStep {
    Preparing,
    Cutting,
    Walking,
    Written,
    Durable,
    InForce,
}

pub struct Simulation {
    scenario: Scenario,
    /// What is in force.
    policy: Policy,
    rng: Rng,
    hasher: KeyHasher,
    map: SlotMap,
    shards: Vec<Shard>,
    disk: Disk,
    /// As it is on disk.
    manifest: Manifest,
    /// Contents of bases that are durable.
    bases: BTreeMap<(u64, u64), Vec<u8>>,
    new_base: Option<NewBase>,
    base_numbers: u64,
    epoch: Epoch,
    last_epoch: u64,
    now_ms: i64,
    last_tx: TxId,
    transactions: HashMap<TxId, (Transaction, u64)>,
    /// What is on its way to shards, in order for each.
    inboxes: Vec<VecDeque<ToShard>>,
    done: BTreeMap<u64, Done>,
    /// For each shard, writes that others are to be told of, and how often the policy had changed by then.
    withheld: Vec<Withheld<(u64, u64)>>,
    /// Those they have been.
    told: BTreeSet<u64>,
    last_number: u64,
    /// Clients have been told that the logs are written.
    is_on: bool,
    /// No base is in force since they were turned on.
    is_first: bool,
    /// What was written before the cut they began with.
    before_logs: HashSet<u64>,
    figures: Figures,
}

impl Simulation {
    pub fn new(scenario: Scenario) -> Self {
        let rng = Rng::with_seed(scenario.seed);
        let mut simulation = Self {
            policy: scenario.policy,
            rng,
            hasher: KeyHasher::with_seed(1),
            map: SlotMap::new(1),
            shards: Vec::new(),
            disk: Disk::default(),
            manifest: Manifest::default(),
            bases: BTreeMap::new(),
            new_base: None,
            base_numbers: 0,
            epoch: Epoch::default(),
            last_epoch: 0,
            now_ms: 1_700_000_000_000,
            last_tx: 0,
            transactions: HashMap::new(),
            inboxes: Vec::new(),
            done: BTreeMap::new(),
            withheld: Vec::new(),
            told: BTreeSet::new(),
            last_number: 0,
            is_on: true,
            is_first: false,
            before_logs: HashSet::new(),
            figures: Figures::default(),
            scenario,
        };
        let first = simulation.scenario.shards_counts[0];
        simulation.shards = simulation.new_shards(first);
        simulation.begin_epoch(first);
        if simulation.scenario.begins_late {
            simulation.is_on = false;
            simulation.is_first = true;
            simulation.manifest.epochs.clear();
            let shards = simulation.shards.iter_mut();
            shards.for_each(|shard| shard.set_log(None));
        }
        simulation
    }

    pub fn run(mut self) -> Result<Figures, String> {
        for round in 0..ROUNDS_COUNT {
            let steps_count = 60 + self.rng.below(240);
            for _ in 0..steps_count {
                self.step();
            }
            self.crash_and_recover(round)?;
        }
        self.figures.torn = self.disk.torn;
        self.figures.failed_writes = self.disk.failed_writes;
        self.figures.failed_syncs = self.disk.failed_syncs;
        Ok(self.figures)
    }

    fn new_shards(&self, count: u16) -> Vec<Shard> {
        let map = SlotMap::new(count);
        let new = |id| {
            let options = KeyspaceOptions {
                hasher: self.hasher.clone(),
                slots: map,
                shard: id,
                ..KeyspaceOptions::for_tests(u64::from(id))
            };
            Shard::new(id, Keyspace::new(options))
        };
        (0..count).map(new).collect()
    }

    /// What a start does once it has the keys.
    fn begin_epoch(&mut self, cores: u16) {
        self.map = SlotMap::new(cores);
        self.epoch = Epoch {
            number: self.manifest.next_number(),
            cores,
            seed: self.rng.next_u64(),
            ..Epoch::default()
        };
        self.last_epoch = self.epoch.number;
        self.manifest.epochs.push(self.epoch.clone());
        for core in 0..cores {
            let place = Place {
                epoch: self.epoch.number,
                core,
                cores,
            };
            let log = Log::new(place, self.epoch.seed, self.policy);
            self.is_on = true;
            self.is_first = false;
            let shard = &mut self.shards[usize::from(core)];
            shard.set_log(Some(log.with_segment_bytes(SEGMENT_BYTES)));
            shard
                .keys
                .set_shown_events(Classes::KEYEVENT.or(Classes::STRING));
        }
        self.withheld = (0..cores).map(|_| Withheld::default()).collect();
        self.inboxes = (0..cores).map(|_| VecDeque::new()).collect();
        self.new_base = None;
        self.base_numbers = 0;
    }

    // ---- a step

    fn step(&mut self) {
        if self.rng.below(3) == 0 {
            self.now_ms += 1;
            self.shards
                .iter_mut()
                .for_each(|shard| shard.set_now(self.now_ms));
        }
        match self.rng.below(10) {
            0..2 => self.start_request(),
            2..6 => self.deliver(),
            6 => self.hand_to_disk(),
            7 => self.go_on_rewriting(),
            _ => self.disk_step(),
        }
        if self.scenario.switches && self.rng.below(20) == 0 {
            self.switch_policy();
        }
        // Nothing else happens until a broken log is mended.
        if self.is_failing() && self.rng.below(3) == 0 {
            self.go_on_rewriting();
        }
        self.acknowledge();
    }

    fn switch_policy(&mut self) {
        self.policy = match self.policy {
            Policy::Always => Policy::EverySecond,
            Policy::EverySecond | Policy::Never => Policy::Always,
        };
        self.figures.switches += 1;
        let logs = self.shards.iter_mut().filter_map(Shard::log_mut);
        logs.for_each(|log| log.set_policy(self.policy));
        let logs = self.shards.iter_mut().filter_map(Shard::next_log_mut);
        logs.for_each(|log| log.set_policy(self.policy));
    }

    fn is_failing(&self) -> bool {
        let logs = self.shards.iter().filter_map(Shard::log);
        logs.into_iter().any(|log| log.failure().is_some())
    }

    fn key(number: u64) -> String {
        format!("key{number}")
    }

    fn start_request(&mut self) {
        let is_read = self.rng.below(4) == 0 || self.is_failing();
        self.last_number += 1;
        let number = self.last_number;
        let mut done = Done {
            has_logs: self.is_on,
            ..Done::default()
        };
        let mut commands: Vec<Vec<String>> = Vec::new();
        let get = |key: u64| vec!["GET".to_string(), Self::key(key)];
        let append = |key: u64| vec!["APPEND".into(), Self::key(key), format!("{number},")];
        if is_read {
            let keys_count = 1 + self.rng.below(2);
            commands.extend((0..keys_count).map(|_| get(self.rng.below(KEYS_COUNT))));
        } else {
            self.figures.writes += 1;
            let keys_count = 1 + self.rng.below(3);
            let reads = self.rng.below(2) == 0;
            let mut keys = BTreeSet::new();
            while keys.len() < keys_count as usize {
                keys.insert(self.rng.below(KEYS_COUNT));
            }
            if reads {
                commands.push(get(self.rng.below(KEYS_COUNT)));
            }
            done.writes = keys.iter().copied().collect();
            commands.extend(keys.into_iter().map(append));
        }
        self.done.insert(number, done);
        let queued = |words: &Vec<String>| {
            let args: OwnedArgs = words.iter().map(|word| word.as_bytes()).collect();
            Queued {
                entry: table().find(words[0].as_bytes()).expect("it has a row"),
                args,
                denied: None,
            }
        };
        if let [words] = commands.as_slice() {
            let queued = queued(words);
            let home = usize::from(self.map.shard_of(words[1].as_bytes()));
            let request = Request {
                entry: queued.entry,
                db: 0,
                caller: Caller::default(),
                origin: origin(number),
            };
            let mut reply = Vec::new();
            let shard = &mut self.shards[home];
            if shard.execute(&request, &queued.args.as_args(), &mut reply) == Outcome::Done {
                let holds = shard.take_holds().unwrap_or_default();
                self.replied(number, &reply, holds);
            }
            self.note_news(home);
            return;
        }
        let request = BlockRequest {
            user: None,
            databases: 16,
            commands: commands.iter().map(queued).collect(),
            db: 0,
            caller: Caller::default(),
            watched: None,
            here: 0,
            now_ms: self.now_ms,
            seed: number,
            in_order: false,
            keeps_words: false,
            is_silent: false,
        };
        let transaction = Transaction::block(request, self.map, &self.hasher);
        self.start_transaction(transaction, number);
    }

    fn start_transaction(&mut self, mut transaction: Transaction, number: u64) {
        self.last_tx += 1;
        let mut out = Vec::new();
        let step = transaction.start(0, self.last_tx, &mut out);
        self.take_step(transaction, number, step);
        self.send(out);
    }

    fn send(&mut self, out: Vec<(u16, ToShard)>) {
        for (shard, message) in out {
            self.inboxes[usize::from(shard)].push_back(message);
        }
    }

    fn take_step(&mut self, mut transaction: Transaction, number: u64, step: Step) {
        match step {
            Step::Wait => {
                self.transactions
                    .insert(transaction.tx(), (transaction, number));
            }
            Step::Done { reply } => {
                let holds = transaction.take_holds();
                self.replied(number, &reply, holds);
            }
            _ => panic!("nothing else is asked for here"),
        }
    }

    /// Delivers a message to some shard, and what it answers to the coordinator.
    fn deliver(&mut self) {
        let waiting = (0..self.inboxes.len()).filter(|&shard| !self.inboxes[shard].is_empty());
        let waiting: Vec<usize> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        let shard = waiting[self.rng.below(waiting.len() as u64) as usize];
        if let Some(message) = self.inboxes[shard].pop_front() {
            self.shards[shard].handle(message);
            self.note_news(shard);
        }
        let made = self.shards[shard].take_cut();
        if made.is_some() && self.is_first {
            self.note_before_logs(shard);
        }
        if let Some(made) = made
            && let Some(new) = &mut self.new_base
        {
            new.lsns[shard] = Some(made.lsn);
            if self.scenario.mutant == Mutant::MendedBeforeManifest
                && let Some(log) = self.shards[shard].log_mut()
            {
                log.base_is_in_force();
            }
            if new.lsns.iter().all(Option::is_some) {
                new.step = BaseStep::Walking;
                self.is_on = true;
            }
        }
        while let Some((_, event)) = self.shards[shard].next_event() {
            self.event(event);
        }
    }

    /// Notes what a shard had at its cut; and what has run right after that in the same step, whose replies wait for records.
    fn note_before_logs(&mut self, shard: usize) {
        let names = (0..KEYS_COUNT).map(Self::key);
        let names = names.filter(|name| usize::from(self.map.shard_of(name.as_bytes())) == shard);
        let written: Vec<u64> = names.flat_map(|name| self.text(name.as_bytes())).collect();
        self.before_logs.extend(written);
    }

    fn event(&mut self, event: FromShard) {
        let tx = match event {
            FromShard::Late {
                origin,
                reply,
                holds,
            } => return self.replied(origin.sequence, &reply, holds),
            FromShard::Scheduled { tx, .. } | FromShard::Ran { tx, .. } => tx,
            _ => panic!("nothing else is said here"),
        };
        let Some((mut transaction, number)) = self.transactions.remove(&tx) else {
            return;
        };
        let last_tx = &mut self.last_tx;
        let mut next_tx = || {
            *last_tx += 1;
            *last_tx
        };
        let mut out = Vec::new();
        let step = transaction.receive(event, &mut next_tx, &mut out);
        self.take_step(transaction, number, step);
        self.send(out);
    }

    fn replied(&mut self, number: u64, reply: &[u8], holds: Holds) {
        let lsns = self.shards.iter().filter_map(Shard::log).map(Log::lsn);
        let lsns = lsns.collect();
        let Some(done) = self.done.get_mut(&number) else {
            return; // A cut's.
        };
        let text = String::from_utf8_lossy(reply);
        for line in text.split("\r\n").filter(|line| line.ends_with(',')) {
            done.shown.extend(numbers(line));
        }
        done.holds = Some(holds);
        done.is_promised = done.has_logs && self.policy == Policy::Always;
        done.lsns = lsns;
    }

    /// What has just been written on a shard is to be told to others.
    fn note_news(&mut self, shard: usize) {
        for event in self.shards[shard].keys.take_events() {
            let written = self.text(&event.key).last().copied();
            let written = written.expect("it was appended to");
            if self.shards[shard].log().is_none() {
                continue; // Others hear of it at once.
            }
            self.withheld[shard].push_news((written, self.figures.switches), None);
        }
    }

    /// Tells what may be told.
    fn tell(&mut self, synced: &[u64]) {
        let mutant = self.scenario.mutant;
        for (shard, withheld) in self.shards.iter().zip(&mut self.withheld) {
            withheld.bind(shard.next_step());
            let told = withheld.release(
                |step| shard.has_logged_before(step) || mutant == Mutant::TellsBeforeLogged,
                &shard.holds_of_all(),
                |core| match mutant {
                    Mutant::TellsBeforeDurable => u64::MAX,
                    _ => synced[usize::from(core)],
                },
            );
            for (number, switches) in told {
                // What is logged while the policy is another is not kept back.
                if self.is_on && self.policy == Policy::Always && switches == self.figures.switches
                {
                    self.figures.told += 1;
                    self.told.insert(number);
                }
            }
        }
    }

    fn acknowledge(&mut self) {
        let synced_lsn = |shard: &Shard| shard.log().map_or(u64::MAX, Log::synced_lsn);
        let synced: Vec<u64> = self.shards.iter().map(synced_lsn).collect();
        let holds_replies = self.scenario.mutant != Mutant::RepliesBeforeDurable;
        for done in self.done.values_mut().filter(|done| !done.is_safe) {
            let Some(holds) = &mut done.holds else {
                continue;
            };
            holds.prune(|core| synced[usize::from(core)]);
            if !done.is_acknowledged && (holds.is_empty() || !holds_replies || !done.is_promised) {
                done.is_acknowledged = true;
                self.figures.acknowledged += 1;
            }
            done.is_safe = done.lsns.len() == synced.len()
                && (done.lsns.iter().zip(&synced)).all(|(lsn, synced)| lsn <= synced);
        }
        for shard in &mut self.shards {
            shard.prune_holds(|core| synced[usize::from(core)]);
        }
        self.tell(&synced);
    }

    // ---- the disk

    fn hand_to_disk(&mut self) {
        let core = self.rng.below(self.shards.len() as u64) as u16;
        let syncs = match self.policy {
            Policy::Always => true,
            Policy::EverySecond => self.rng.below(3) == 0,
            Policy::Never => self.rng.below(8) == 0,
        };
        let syncs_after = self.rng.below(3) == 0;
        let shard = &mut self.shards[usize::from(core)];
        if let Some(log) = shard.log_mut() {
            log.set_syncs_after(syncs_after);
            self.disk.take(core, log, syncs);
        }
        if let Some(log) = shard.next_log_mut() {
            self.disk.take(core, log, syncs);
        }
    }

    fn disk_step(&mut self) {
        let shards = &mut self.shards;
        let mut log_of = |epoch: u64, core: u16, tell: &mut dyn FnMut(&mut Log)| {
            let shard = &mut shards[usize::from(core)];
            if let Some(log) = shard.next_log_mut().filter(|log| log.epoch() == epoch) {
                tell(log);
            } else if let Some(log) = shard.log_mut() {
                tell(log);
            }
        };
        let lies = self.scenario.mutant == Mutant::SyncsNothing;
        let fails = self.scenario.fails;
        self.disk.step(&mut self.rng, &mut log_of, fails, lies);
    }

    // ---- bases

    fn go_on_rewriting(&mut self) {
        let Some(new) = &mut self.new_base else {
            let mut logs = self.shards.iter().filter_map(Shard::log);
            if !self.is_on && self.shards[0].log().is_none() {
                self.turn_on();
            } else if logs.any(Log::is_broken) {
                self.begin_mending();
            } else if self.scenario.rewrites && self.rng.below(8) == 0 {
                self.begin_rewriting();
            }
            return;
        };
        match new.step {
            BaseStep::Preparing => {
                let mut logs = self.shards.iter_mut().filter_map(Shard::next_log_mut);
                if logs.all(|log| log.sequence() > 0) {
                    new.step = BaseStep::Cutting;
                    self.start_transaction(Transaction::cut(true, true, self.map), u64::MAX);
                }
            }
            BaseStep::Cutting => {}
            BaseStep::Walking => {
                let shard = self.rng.below(self.shards.len() as u64) as usize;
                let keys = &mut self.shards[shard].keys;
                new.done[shard] |= keys.cut_step(64, &mut new.chunks);
                if new.done.iter().all(|&done| done) {
                    new.step = BaseStep::Written;
                }
            }
            BaseStep::Written if self.scenario.mutant == Mutant::ManifestBeforeBase => {
                self.put_in_force();
            }
            BaseStep::Written => {
                self.make_base_durable();
                if self.scenario.mutant == Mutant::DropsBeforeManifest {
                    self.drop_segments();
                }
            }
            BaseStep::Durable => self.put_in_force(),
            BaseStep::InForce => {
                if self.scenario.mutant == Mutant::ManifestBeforeBase {
                    self.make_base_durable();
                }
                let Some(new) = self.new_base.take() else {
                    return;
                };
                if self.is_first {
                    self.is_first = false;
                    // Replied before there were logs: the base has it.
                    let before = self.done.values_mut().filter(|done| done.holds.is_some());
                    (before.filter(|done| done.lsns.is_empty()))
                        .for_each(|done| done.is_safe = true);
                    self.epoch = new.epoch;
                } else if new.epoch.number != self.epoch.number {
                    self.epoch = new.epoch;
                    self.figures.mended += 1;
                    self.figures.mended_always += u64::from(self.policy == Policy::Always);
                }
                let logs = self.shards.iter_mut().filter_map(Shard::log_mut);
                logs.for_each(Log::base_is_in_force);
                self.drop_segments();
            }
        }
    }

    fn begin_rewriting(&mut self) {
        if self.rng.below(2) == 0 {
            let logs = self.shards.iter_mut().filter_map(Shard::log_mut);
            logs.for_each(Log::prepare_next);
        }
        self.begin_base(self.epoch.clone(), BaseStep::Cutting);
        self.start_transaction(Transaction::cut(true, true, self.map), u64::MAX);
    }

    /// CONFIG SET appendonly yes.
    fn turn_on(&mut self) {
        self.figures.turned_on += 1;
        self.is_on = self.scenario.mutant == Mutant::SaysOnBeforeTheCut;
        self.begin_logs(self.policy);
    }

    /// A sync has failed: a new epoch begins, with all keys there are.
    fn begin_mending(&mut self) {
        self.begin_logs(Policy::EverySecond);
    }

    fn begin_logs(&mut self, policy: Policy) {
        self.last_epoch += 1;
        let epoch = Epoch {
            number: self.last_epoch,
            cores: self.epoch.cores,
            seed: self.rng.next_u64(),
            ..Epoch::default()
        };
        for (core, shard) in self.shards.iter_mut().enumerate() {
            let place = Place {
                epoch: epoch.number,
                core: core as u16,
                cores: epoch.cores,
            };
            let log = Log::new(place, epoch.seed, policy);
            shard.set_next_log(Some(log.with_segment_bytes(SEGMENT_BYTES)));
        }
        self.begin_base(epoch, BaseStep::Preparing);
    }

    fn begin_base(&mut self, epoch: Epoch, step: BaseStep) {
        self.base_numbers += 1;
        let count = self.shards.len();
        self.new_base = Some(NewBase {
            base: Base {
                number: self.base_numbers,
                lsns: Vec::new(),
            },
            epoch,
            lsns: vec![None; count],
            chunks: Vec::new(),
            done: vec![false; count],
            step,
        });
    }

    fn make_base_durable(&mut self) {
        let Some(new) = &mut self.new_base else {
            return;
        };
        let mut writer = FileWriter::new(true, Vec::new());
        let mut bytes = writer.head(11, &[], &[]);
        for chunk in &new.chunks {
            bytes.extend(writer.select(chunk.db));
            writer.records(&chunk.bytes);
            bytes.extend(&chunk.bytes);
        }
        bytes.extend(writer.end());
        self.bases
            .insert((new.epoch.number, new.base.number), bytes);
        if new.step == BaseStep::Written {
            new.step = BaseStep::Durable;
        }
    }

    fn put_in_force(&mut self) {
        let Some(new) = &mut self.new_base else {
            return;
        };
        let mut epoch = new.epoch.clone();
        new.base.lsns = new.lsns.iter().copied().flatten().collect();
        if self.scenario.mutant == Mutant::BaseClaimsTooMuch {
            let logs = self.shards.iter().filter_map(Shard::log);
            new.base.lsns = logs.map(Log::lsn).collect();
        }
        epoch.base = Some(new.base.clone());
        self.manifest.epochs = vec![epoch];
        new.step = BaseStep::InForce;
        self.figures.bases += 1;
    }

    fn drop_segments(&mut self) {
        let epoch = self.epoch.number;
        let before = self.disk.durable.len();
        let firsts: Vec<u64> = (self.shards.iter().filter_map(Shard::log))
            .map(Log::first_needed)
            .collect();
        self.disk.durable.retain(|(of, core, sequence), _| {
            *of == epoch && *sequence >= firsts[usize::from(*core)]
        });
        self.figures.segments_dropped += (before - self.disk.durable.len()) as u64;
    }

    // ---- the power cut, and what follows

    fn crash_and_recover(&mut self, round: usize) -> Result<(), String> {
        let is_late = self.is_first && self.shards.iter().all(|shard| shard.log().is_some());
        self.figures.cuts_before_first_base += u64::from(is_late);
        if let Some(new) = &self.new_base
            && new.step != BaseStep::InForce
        {
            self.figures.cuts_before_the_manifest += 1;
            let mends = new.epoch.number != self.epoch.number && new.step >= BaseStep::Walking;
            self.figures.cuts_while_mending += u64::from(mends);
        }
        let texts = self.texts();
        self.disk.cut(&mut self.rng);
        self.transactions.clear();
        let cores = self.scenario.shards_counts[round + 1];
        let problem = |reason: String| format!("round {round}: {reason}");
        self.recover(cores).map_err(problem)?;
        let recovered = self.texts();
        self.check(&texts, &recovered).map_err(problem)?;
        let there: HashSet<u64> = recovered.iter().flatten().copied().collect();
        self.done.retain(|_, done| !done.writes.is_empty());
        let before = self.done.len();
        self.done.retain(|number, _| there.contains(number));
        self.figures.lost += (before - self.done.len()) as u64;
        // What is there now is in ended logs: it stays.
        for done in self.done.values_mut() {
            done.is_acknowledged = true;
            done.is_safe = true;
        }
        self.begin_epoch(cores);
        Ok(())
    }

    /// The numbers in each key's text.
    fn texts(&self) -> Vec<Vec<u64>> {
        let text = |number| self.text(Self::key(number).as_bytes());
        (0..KEYS_COUNT).map(text).collect()
    }

    fn text(&self, name: &[u8]) -> Vec<u64> {
        let keys = &self.shards[usize::from(self.map.shard_of(name))].keys;
        let Some(entry) = keys.peek(0, &keys.key(name)) else {
            return Vec::new();
        };
        match entry.value() {
            rondo::ds::key_table::Value::Str { bytes, .. } => {
                numbers(&String::from_utf8_lossy(bytes))
            }
            _ => panic!("a text"),
        }
    }

    fn deal(&self, old: Vec<Shard>, cores: u16) -> Vec<Shard> {
        if old.len() == usize::from(cores) {
            return old;
        }
        let map = SlotMap::new(cores);
        let mut shards = self.new_shards(cores);
        for mut shard in old {
            shard.keys.drain(|db, key, value| {
                let target = &mut shards[usize::from(map.shard_of(key))].keys;
                let key = target.key(key);
                target.put_value(db, &key, value, true);
            });
        }
        shards
    }

    fn recover(&mut self, cores: u16) -> Result<(), String> {
        let mut shards: Vec<Shard> = Vec::new();
        let mut manifest = self.manifest.clone();
        let text = manifest.to_text();
        assert_eq!(Manifest::from_text(&text).as_ref(), Ok(&manifest));
        let settles = self.scenario.mutant != Mutant::SettlesNothing;
        let mut extents = Vec::new();
        for epoch in &mut manifest.epochs {
            shards = self.deal(shards, epoch.cores);
            if let Some(base) = &epoch.base {
                let bytes = self.bases.get(&(epoch.number, base.number));
                load_base(bytes.ok_or("there is no base")?, &mut shards)?;
            }
            let scans = (0..epoch.cores).map(|core| scan(&self.disk, epoch, core));
            let scans: Result<Vec<Scan>, _> = scans.collect();
            let scans = scans.map_err(|refusal| refusal.to_string())?;
            let settled = settle(&scans, settles);
            for (core, shard) in shards.iter_mut().enumerate() {
                let end = settled.ends[core];
                self.figures.cut_records += scans[core].last_lsn - end;
                let mut failure = None;
                let walked = walk(&self.disk, epoch, core as u16, end, &mut |record, _, _| {
                    failure = shard.replay(record).err();
                    failure.is_none()
                });
                let (_, tail) = walked.map_err(|refusal| refusal.to_string())?;
                assert!(epoch.ends.is_none() || tail == Tail::Clean);
                if let Some(failure) = failure {
                    return Err(failure.reason);
                }
                for part in &settled.missing[core] {
                    self.figures.parts_from_elsewhere += u64::from(epoch.ends.is_none());
                    shard
                        .replay_commands(part.db, part.now_ms, &part.commands)
                        .map_err(|error| error.reason)?;
                }
            }
            extents.push((
                epoch.number,
                scans.iter().map(|scan| scan.extent).collect::<Vec<_>>(),
            ));
            epoch.ends = Some(settled.ends);
        }
        self.shards = self.deal(shards, cores);
        self.map = SlotMap::new(cores);
        self.manifest = manifest;
        // What was allocated beyond the records is given back, as a start does.
        self.disk.durable.retain(|(epoch, core, sequence), file| {
            let of_epoch = extents.iter().find(|(number, _)| number == epoch);
            let extent = of_epoch.and_then(|(_, extents)| extents[usize::from(*core)]);
            let Some(extent) = extent else { return false };
            if *sequence == extent.last {
                file.truncate((extent.end as usize).next_multiple_of(BLOCK_BYTES));
            }
            (extent.first..=extent.last).contains(sequence)
        });
        Ok(())
    }

    fn check(&self, before: &[Vec<u64>], after: &[Vec<u64>]) -> Result<(), String> {
        for (key, (before, after)) in before.iter().zip(after).enumerate() {
            if !before.starts_with(after) {
                return Err(format!(
                    "key{key} was {before:?} and is {after:?}: no beginning of it"
                ));
            }
        }
        let there: HashSet<u64> = after.iter().flatten().copied().collect();
        if let Some(lost) = self.told.iter().find(|number| !there.contains(number)) {
            return Err(format!("others were told of write {lost}, which is lost"));
        }
        // What was written before there were logs was acknowledged without a promise, and is durable once their first base is in
        // force. Reads of it do not wait for that, or nobody would be answered until then; so only a write that is there, which
        // is so because the base is, vouches for it. What was written after the cut is shown to nobody before.
        let has_base = !self.manifest.epochs.is_empty();
        let waits = |done: &Done| done.holds.as_ref().is_some_and(|holds| !holds.is_empty());
        let may_go = |number: &u64| {
            let is_before = self.before_logs.contains(number);
            !has_base && is_before && !self.done.get(number).is_some_and(waits)
        };
        for (number, done) in &self.done {
            let is_there = |key: &u64| after[*key as usize].contains(number);
            let count = done.writes.iter().filter(|key| is_there(key)).count();
            if count > 0 && count < done.writes.len() {
                let keys = &done.writes;
                return Err(format!("write {number} to {keys:?} is there in part"));
            }
            if done.is_acknowledged || done.is_safe {
                let must = done.is_promised || done.is_safe;
                if must && count < done.writes.len() {
                    return Err(format!("acknowledged write {number} is lost"));
                }
            }
            let was_seen = done.is_acknowledged && done.is_promised;
            if (was_seen || count > 0)
                && let Some(lost) = (done.shown.iter())
                    .find(|number| !there.contains(number) && (count > 0 || !may_go(number)))
            {
                return Err(format!("{number} was shown {lost}, which is lost"));
            }
        }
        Ok(())
    }
}

fn origin(number: u64) -> Origin {
    Origin {
        core: 0,
        connection: 0,
        generation: 0,
        sequence: number,
    }
}

fn numbers(text: &str) -> Vec<u64> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| word.parse().expect("a number")).collect()
}

fn load_base(bytes: &[u8], shards: &mut [Shard]) -> Result<(), String> {
    let map = SlotMap::new(shards.len() as u16);
    let mut framer = Framer::new(true);
    let mut rest = bytes;
    while !framer.is_over() {
        let next = framer.next(rest, true).map_err(|bad| bad.to_string())?;
        let (item, consumed) = next.ok_or("all of it is at hand")?;
        if let Item::Record { db, key, bytes } = item {
            let keys = &mut shards[usize::from(map.shard_of(&key))].keys;
            keys.restore_record(db, &bytes)
                .map_err(|why| format!("a record of the base: {why:?}"))?;
        }
        rest = &rest[consumed..];
    }
    Ok(())
}
