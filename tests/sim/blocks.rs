//! WATCH and EXEC, on the side of their core.

use rondo::commands::table::{Caller, table};
use rondo::resp::args::OwnedArgs;
use rondo::router::calls::Queued;
use rondo::router::packed::Packed;
use rondo::router::programs::block::BlockRequest;
use rondo::router::watch::{Watch, Watched};
use rondo::router::{FromShard, Origin, Output, Plan, ShardId, Transaction, TxId, plan};
use rondo::shard::Request;

use super::cluster::{Cluster, Message, Mutant, NOW_MS};
use super::workload::{Operation, Script};

impl Cluster {
    pub fn watch(&mut self, origin: Origin, operation: &Operation) {
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

    pub fn exec(&mut self, origin: Origin, operation: &Operation) {
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
    pub fn run_session(&mut self, core: u16, tx: TxId, db: u16, queued: &Queued) {
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
}
