//! Clients that wait, on the side of their core: what `node/waiting.rs` does, without a node.

use std::collections::BTreeMap;
use std::collections::HashMap;

use rondo::commands::blocking::plain_form;
use rondo::commands::table::{Caller, Run};
use rondo::commands::{Entry, for_each_key};
use rondo::resp::args::OwnedArgs;
use rondo::resp::element::is_null;
use rondo::router::wait::{Claim, Taken, WaitRequest, WaitTicket};
use rondo::router::{Origin, Plan, ShardId, ToShard, Transaction};
use rondo::shard::{Request, Waited};

use super::cluster::{Cluster, LEFT_BEHIND, Message, Mutant, NOW_MS};

/// One that waits.
struct WaitingClient {
    origin: Origin,
    entry: &'static Entry,
    db: u16,
    args: OwnedArgs,
    claim: Claim,
    shards: Vec<ShardId>,
}

/// All of them, and those of whom it is not known yet.
#[derive(Default)]
pub struct Waiting {
    by_id: BTreeMap<u64, WaitingClient>,
    /// By the request's place in the history: those whose transaction is under way.
    may_wait: HashMap<u64, WaitingClient>,
    /// Likewise: those whose coordinator looks.
    asked: HashMap<u64, (u64, ShardId)>,
}

impl Waiting {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
}

/// Whether a command may wait.
pub fn may_wait(entry: &Entry) -> bool {
    matches!(entry.command.run, Run::Waits(_))
}

impl Cluster {
    /// A request of a command that may wait.
    pub fn send_waiting(&mut self, origin: Origin, plan: Plan, request: Request, args: OwnedArgs) {
        let core = origin.core;
        self.last_tx += 1;
        let ticket = WaitTicket {
            id: self.last_tx,
            origin,
            claim: Claim::default(),
        };
        self.figures.waits_count += 1;
        let client = WaitingClient {
            origin,
            entry: request.entry,
            db: request.db,
            args: args.clone(),
            claim: ticket.claim.clone(),
            shards: vec![core],
        };
        let shard = &mut self.cores[usize::from(core)].shard;
        if plan == Plan::Shard(core) && shard.is_lock_free() {
            let mut reply = Vec::new();
            let waited = shard.execute_or_wait(&request, &args.as_args(), &ticket, &mut reply);
            self.post_events(core);
            return match waited {
                Waited::No | Waited::Refused => self.reply(origin, reply),
                Waited::Reads => {}
                Waited::Yes(_) => self.begin_wait(ticket.id, client),
            };
        }
        let wait = WaitRequest {
            entry: request.entry,
            db: request.db,
            caller: request.caller,
            args,
            ticket,
            now_ms: NOW_MS,
        };
        self.figures.transactions_count += 1;
        let id = wait.ticket.id;
        match Transaction::waiting(wait, self.map, &self.hasher) {
            Err(error) => self.reply(origin, format!("-{}\r\n", error.text()).into_bytes()),
            Ok(transaction) => {
                self.waiting.may_wait.insert(origin.sequence, client);
                self.waiting.asked.remove(&origin.sequence);
                self.ticket_ids.insert(origin.sequence, id);
                self.start(core, transaction, origin);
            }
        }
    }

    /// A transaction has ended with its client waiting.
    pub fn transaction_waits(&mut self, origin: Origin, shards: Vec<ShardId>) {
        let id = self.ticket_ids[&origin.sequence];
        let client = self.waiting.may_wait.remove(&origin.sequence);
        let mut client = client.expect("it may wait");
        client.shards = shards;
        self.begin_wait(id, client);
    }

    fn begin_wait(&mut self, id: u64, client: WaitingClient) {
        self.figures.waited_count += 1;
        self.history[client.origin.sequence as usize].entered = Some(self.time);
        self.waiting.by_id.insert(id, client);
    }

    /// A transaction has ended with a reply; whether that was for a client who waits, or the coordinator looked for.
    pub fn has_looked(&mut self, origin: Origin, reply: &[u8]) -> bool {
        self.waiting.may_wait.remove(&origin.sequence);
        let Some((id, shard)) = self.waiting.asked.remove(&origin.sequence) else {
            return false;
        };
        let client = &self.waiting.by_id[&id];
        if is_null(reply) {
            let core = client.origin.core;
            self.figures.vain_looks_count += 1;
            if self.scenario.mutant != Mutant::RestsNobody {
                self.post(core, shard, Message::ToShard(ToShard::Rest { id }));
            }
            return true;
        }
        client.claim.end();
        self.served(id, reply.to_vec());
        true
    }

    /// A shard has served a client, or its coordinator has.
    pub fn served(&mut self, id: u64, reply: Vec<u8>) {
        if let Some(client) = self.waiting.by_id.remove(&id) {
            self.figures.served_count += 1;
            self.end_wait(id, client, reply);
        }
    }

    fn end_wait(&mut self, id: u64, client: WaitingClient, reply: Vec<u8>) {
        for shard in client.shards {
            let message = Message::ToShard(ToShard::Forget { id });
            self.post(client.origin.core, shard, message);
        }
        self.reply(client.origin, reply);
    }

    /// A shard has something for a client that needs another one.
    pub fn asked_to_look(&mut self, core: u16, id: u64, shard: ShardId) {
        let Some(client) = self.waiting.by_id.get(&id) else {
            return;
        };
        let (origin, db) = (client.origin, client.db);
        let form = plain_form(client.entry, &client.args.as_args(), NOW_MS);
        let form = form.expect("a good timeout");
        let (entry, words) = match form {
            Some(form) => (form.entry, form.words),
            None => (client.entry, client.args.clone()),
        };
        let caller = Caller::default();
        let request = (db, caller);
        let transaction = Transaction::asked(entry, request, words, id, self.map, &self.hasher)
            .expect("it was good before");
        self.figures.asked_count += 1;
        self.waiting.asked.insert(origin.sequence, (id, shard));
        self.start(core, transaction, origin);
    }

    /// Ends one wait that nobody has served, if there is one and its claim can be had.
    pub fn time_out(&mut self) {
        let place = self.rng.below(self.waiting.by_id.len() as u64) as usize;
        let id = *self.waiting.by_id.keys().nth(place).expect("it was asked");
        match self.waiting.by_id[&id].claim.cancel() {
            Taken::Yes => {
                let client = self.waiting.by_id.remove(&id).expect("it waits");
                self.figures.timeouts_count += 1;
                self.end_wait(id, client, b"*-1\r\n".to_vec());
            }
            // Its coordinator looks, or its reply is on its way.
            Taken::Busy | Taken::Over => {}
        }
    }

    /// Nothing is under way any more: whoever still waits must have nothing to wait for, and nobody who has his claim.
    pub fn check_nothing_left_behind(&mut self) -> Result<(), String> {
        for client in self.waiting.by_id.values() {
            if client.claim.take() != Taken::Yes {
                let record = &self.history[client.origin.sequence as usize];
                return Err(format!("{LEFT_BEHIND}, his claim taken: {record}"));
            }
            client.claim.give_back();
            let args = client.args.as_args();
            let is_target = |index| client.entry.command.name == "BLMOVE" && index == 2;
            let mut keys = Vec::new();
            for_each_key(client.entry, &args, |index| {
                if !is_target(index) {
                    keys.push(args.get(index));
                }
            });
            let wanted = match client.entry.command.name {
                "BZPOPMIN" | "BZPOPMAX" => "zset",
                "XREAD" => "stream",
                _ => "list",
            };
            for key in keys {
                let shard = self.map.shard_of(key);
                let shard = &mut self.cores[usize::from(shard)].shard;
                let hashed = shard.keys.key(key);
                let found = shard.keys.peek(usize::from(client.db), &hashed);
                let found = found.map(|entry| rondo::keyspace::value::type_name(&entry.value()));
                if found == Some(wanted) {
                    let record = &self.history[client.origin.sequence as usize];
                    let history = self.history.iter().map(|it| format!("\n{it}"));
                    let history: String = history.collect();
                    return Err(format!("{LEFT_BEHIND}: {record}\nof{history}"));
                }
            }
        }
        Ok(())
    }
}
