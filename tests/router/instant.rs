//! Shards in one thread with a mesh that delivers at once: what one client sees of a server with several cores.

use std::collections::VecDeque;

use rondo::base::hash::KeyHasher;
use rondo::commands::table::{Caller, Run, table};
use rondo::keyspace::{Keyspace, KeyspaceOptions, SlotMap};
use rondo::persist::Log;
use rondo::persist::log::{Place, Policy};
use rondo::resp::args::OwnedArgs;
use rondo::resp::{Protocol, Reply};
use rondo::router::calls::Queued;
use rondo::router::programs::block::BlockRequest;
use rondo::router::wait::WaitRequest;
use rondo::router::{
    FromShard, Operation, Origin, Plan, ShardId, Step, ToShard, Transaction, WaitTicket, plan,
};
use rondo::shard::{CycleBudget, Outcome, Request, Shard};

const ORIGIN: Origin = Origin {
    core: 0,
    connection: 0,
    generation: 0,
    sequence: 0,
};

pub struct Instant {
    pub shards: Vec<Shard>,
    pub db: u16,
    pub protocol: Protocol,
    pub map: SlotMap,
    hasher: KeyHasher,
    now_ms: i64,
    last_tx: u64,
    /// Messages to other shards than the coordinator's own.
    pub sent_away_count: usize,
    /// Steps of long readings.
    pub reads_count: usize,
    /// So much time passes when waiters are about to be entered, the next time.
    pub late_ms: i64,
    /// So much time passes when a transaction has looked and goes on, the next time.
    pub goes_on_late_ms: i64,
    /// After so many of those of a request, so much time passes.
    pub then_waits: Option<(usize, i64)>,
}

impl Instant {
    pub fn new(shards_count: u16) -> Self {
        let map = SlotMap::new(shards_count);
        let hasher = KeyHasher::with_seed(1);
        let shards = (0..shards_count)
            .map(|id| {
                let options = KeyspaceOptions {
                    hasher: hasher.clone(),
                    slots: map,
                    shard: id,
                    ..KeyspaceOptions::for_tests(u64::from(id))
                };
                Shard::new(id, Keyspace::new(options))
            })
            .collect();
        let mut instant = Self {
            shards,
            db: 0,
            protocol: Protocol::Resp2,
            map,
            hasher,
            now_ms: 1_700_000_000_000,
            last_tx: 0,
            sent_away_count: 0,
            reads_count: 0,
            late_ms: 0,
            goes_on_late_ms: 0,
            then_waits: None,
        };
        instant.wait(0);
        instant
    }

    /// Gives every shard a log.
    pub fn begin_logs(&mut self, policy: Policy) {
        let cores = self.map.shards_count();
        for (core, shard) in self.shards.iter_mut().enumerate() {
            let place = Place {
                epoch: 1,
                core: core as u16,
                cores,
            };
            shard.set_log(Some(Log::new(place, 7, policy).with_segment_bytes(1 << 20)));
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: i64) {
        self.now_ms += ms;
        for shard in &mut self.shards {
            shard.set_now(self.now_ms);
        }
    }

    /// The reply to a request.
    pub fn run<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Vec<u8> {
        let owned: OwnedArgs = words.iter().map(AsRef::as_ref).collect();
        let args = owned.as_args();
        let mut reply = Vec::new();
        let caller = Caller {
            user: 0,
            protocol: self.protocol,
            no_touch: false,
            ..Caller::default()
        };
        let entry = match table().resolve(&args) {
            Ok(entry) => entry,
            Err(error) => {
                Reply::new(&mut reply, self.protocol).error(&error.text());
                return reply;
            }
        };
        match plan(entry, &args, &self.map, 0) {
            Plan::Here => panic!("{} does not run on keys", entry.full_name),
            Plan::Shard(shard) => {
                let request = Request {
                    entry,
                    db: self.db,
                    caller,
                    origin: ORIGIN,
                };
                let home = &mut self.shards[usize::from(shard)];
                if home.execute(&request, &args, &mut reply) == Outcome::Done {
                    return reply;
                }
                let mut events = VecDeque::new();
                while self.read_on(&mut events) {}
                for (_, event) in events {
                    let FromShard::Part { bytes, .. } = event else {
                        panic!("a reply in pieces, and nothing else");
                    };
                    reply.extend_from_slice(&bytes);
                }
                reply
            }
            Plan::Many => {
                let map = self.map;
                let made = if matches!(entry.command.run, Run::Waits(_)) {
                    let ticket = WaitTicket {
                        id: 0,
                        origin: ORIGIN,
                        claim: Default::default(),
                    };
                    let request = WaitRequest {
                        entry,
                        db: self.db,
                        caller,
                        args: owned,
                        ticket,
                        now_ms: self.now_ms,
                    };
                    Transaction::waiting(request, map, &self.hasher)
                } else {
                    Transaction::new(entry, self.db, caller, owned, map, &self.hasher)
                };
                match made {
                    Ok(transaction) => self.finish(transaction),
                    Err(error) => {
                        Reply::new(&mut reply, self.protocol).error(&error.text());
                        reply
                    }
                }
            }
        }
    }

    /// A snapshot's cut on all shards.
    pub fn cut(&mut self) -> Vec<u8> {
        self.finish(Transaction::cut(true, false, self.map))
    }

    /// A MULTI block of these commands.
    pub fn block(&mut self, lines: &[String]) -> Vec<u8> {
        let queued = |line: &String| {
            let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
            Queued {
                entry: table().resolve(&args.as_args()).expect("a good command"),
                args,
                denied: None,
            }
        };
        let request = BlockRequest {
            user: None,
            databases: 16,
            commands: lines.iter().map(queued).collect(),
            db: self.db,
            caller: Caller::default(),
            watched: None,
            here: 0,
            now_ms: self.now_ms,
            seed: 1,
            in_order: false,
            keeps_words: false,
            is_silent: false,
        };
        self.finish(Transaction::block(request, self.map, &self.hasher))
    }

    /// The reply to a command run for a client that has waited, as its coordinator does when a shard has something.
    pub fn asked(&mut self, line: &str) -> Vec<u8> {
        let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let entry = table().resolve(&args.as_args()).expect("a good command");
        let whose = (self.db, Caller::default());
        let asked = Transaction::asked(entry, whose, args, 1, self.map, &self.hasher);
        self.finish(asked.expect("good words"))
    }

    fn finish(&mut self, mut transaction: Transaction) -> Vec<u8> {
        let mut out: Vec<(ShardId, _)> = Vec::new();
        let mut events = VecDeque::new();
        let mut done = None;
        let mut has_given_back = false;
        self.last_tx += 1;
        transaction.start(0, self.last_tx, &mut out);
        loop {
            for (shard, message) in out.drain(..) {
                has_given_back |= matches!(
                    &message,
                    ToShard::Release { .. } | ToShard::Run { last: true, .. }
                );
                let enters = matches!(
                    &message,
                    ToShard::Run {
                        operation: Operation::Enlist { .. },
                        ..
                    }
                );
                if enters {
                    let late_ms = std::mem::take(&mut self.late_ms);
                    self.wait(late_ms);
                } else if matches!(&message, ToShard::Run { .. }) {
                    let late_ms = std::mem::take(&mut self.goes_on_late_ms);
                    self.wait(late_ms);
                }
                self.sent_away_count += usize::from(shard != 0);
                let shard = &mut self.shards[usize::from(shard)];
                shard.handle(message);
                events.extend(std::iter::from_fn(|| shard.next_event()));
            }
            let Some((core, event)) = events.pop_front() else {
                if !self.read_on(&mut events) {
                    break;
                }
                continue;
            };
            assert_eq!(core, 0);
            let last_tx = &mut self.last_tx;
            let mut next_tx = || {
                *last_tx += 1;
                *last_tx
            };
            match transaction.receive(event, &mut next_tx, &mut out) {
                Step::Wait => {}
                Step::Errand(_) => panic!("nobody goes anywhere here"),
                Step::Line => panic!("nobody turns anyone away here"),
                Step::Script(_) => panic!("no engine is here"),
                Step::Session(_) => panic!("no connection is here"),
                // Its time is up at once.
                Step::Waits { shards, .. } => {
                    // Or it could be served before anybody knows that it waits.
                    assert!(!has_given_back, "all locks are held until it waits");
                    out.extend(
                        shards
                            .into_iter()
                            .map(|shard| (shard, ToShard::Forget { id: 0 })),
                    );
                    let mut reply = Vec::new();
                    Reply::new(&mut reply, self.protocol).null_array();
                    done = Some(reply);
                }
                Step::Done { reply } => assert_eq!(done.replace(reply), None, "done once"),
            }
        }
        assert!(self.shards.iter().all(Shard::is_quiet), "locks are left");
        done.expect("every transaction finishes")
    }

    /// A step of every long reading; whether there was one.
    fn read_on(&mut self, events: &mut VecDeque<(u16, FromShard)>) -> bool {
        let mut has_read = false;
        for shard in &mut self.shards {
            has_read |= shard.read_on(|_, _| true);
            events.extend(std::iter::from_fn(|| shard.next_event()));
        }
        self.reads_count += usize::from(has_read);
        if let Some((reads_count, ms)) = self.then_waits
            && self.reads_count >= reads_count
        {
            self.then_waits = None;
            self.wait(ms);
            for shard in &mut self.shards {
                shard.cycle(CycleBudget::default());
                events.extend(std::iter::from_fn(|| shard.next_event()));
            }
        }
        has_read
    }

    /// The reply to a request given as redis-cli would take it, lines joined by blanks.
    pub fn say(&mut self, line: &str) -> String {
        let words = crate::commands::transcript::split_words(line);
        crate::commands::transcript::reply_lines(&self.run(&words)).join(" ")
    }
}
