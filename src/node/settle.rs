//! What has become possible in the midst of a turn, until nothing has.
//!
//!     denials of scripts -> transactions that begin -> what the node is asked -> reports -> events of the shard
//!         -> news of keys -> connections that go on
//!
//! Promises  who has nothing of it learns so in one step; connections that go on, and what comes of that, take two milliseconds of a
//!           turn or half of it, and of those for which it has no time one at least goes on in each.
//! Not here  what each of them does.

use super::connection::Blocked;
use super::core::{Coordinated, Core, Purpose, Start};
use super::message::Message;
use super::ring::Token;
use crate::router::FromShard;
use crate::router::Step;

impl Core {
    /// Runs whatever has become possible until nothing has: transactions, events of the shard, resumed connections.
    #[inline]
    pub fn settle(&mut self) {
        let is_settled = self.denials.is_empty()
            & self.starts.is_empty()
            & self.asks.is_empty()
            & self.reports.is_empty()
            & self.resumes.is_empty()
            & self.waiting_for_writes.is_empty()
            & self.functions.waiting.is_empty()
            & !self.has_behind_changes()
            & !self.shard.has_events()
            & !self.shard.keys.has_news();
        if !is_settled {
            self.settle_all();
        }
    }

    fn settle_all(&mut self) {
        // When the first connection went on.
        let mut resumed_at = None;
        loop {
            if !self.denials.is_empty() {
                self.note_denials_of_scripts();
            } else if let Some(start) = self.starts.pop_front() {
                self.start(start);
            } else if let Some((token, request)) = self.asks.pop() {
                self.node_request(token, request);
            } else if let Some(report) = self.reports.pop_front() {
                self.shard_event(report);
            } else if let Some((core, event)) = self.shard.next_event() {
                // Before what it did is told: its own client hears of that after the reply.
                let ran_at = self.clock.raw();
                if let FromShard::Ran { tx, .. } = event {
                    // What a transaction did is told before it does more elsewhere.
                    let by = self.client_of(tx).filter(|_| core == self.id);
                    self.tell_of_transaction(tx, by);
                }
                if core == self.id {
                    self.ran_at = ran_at;
                    self.shard_event(event);
                    self.ran_at = 0;
                } else {
                    let message = Message::FromShard { event, ran_at };
                    self.mesh.send(usize::from(core), message);
                }
            } else if self.shard.keys.has_news() {
                // Before its client goes on: what that says next comes after it.
                self.tell(None);
            } else if let Some(token) = self.resumes.pop() {
                let now = self.clock.raw();
                let began = *resumed_at.get_or_insert(now);
                let resumed_ticks = self.resumed_ticks + now.saturating_sub(began);
                match self.is_enough_for_resumed(resumed_ticks, now) {
                    true => self.resume_later(token),
                    false => self.resume(token),
                }
            } else if (self.waiting_for_writes.is_empty() || !self.answer_when_writes_have_ended())
                && (self.functions.waiting.is_empty() || !self.answer_when_functions_rest())
                && (!self.has_behind_changes() || !self.begin_after_changes())
            {
                break;
            }
        }
        if let Some(began) = resumed_at {
            self.resumed_ticks += self.clock.raw().saturating_sub(began);
        }
    }

    /// Whether those that went on in this turn have had their part of it: as much time as all others have, which are many where a
    /// turn is long, and would be served again and again before them.
    #[inline]
    fn is_enough_for_resumed(&self, resumed_ticks: u64, now: u64) -> bool {
        let half_ticks = now.saturating_sub(self.turn_stamp) / 2;
        resumed_ticks > self.part_ticks.max(half_ticks)
    }

    /// A connection may go on, but this turn has no time for that: it does with a later one, in its turn.
    #[cold]
    fn resume_later(&mut self, token: Token) {
        let connection = self.connections.get_mut(token);
        match connection.filter(|it| matches!(it.blocked, None | Some(Blocked::UntilTold))) {
            Some(connection) => {
                connection.blocked = Some(Blocked::Yielding);
                self.yielding.push_back(token);
            }
            // It does not go on.
            None => self.resume(token),
        }
    }

    /// Connections go on that had to wait for this turn, the first of so many of them, until they have had their part of it.
    pub(super) fn resume_yielding(&mut self, count: usize) {
        self.resumed_ticks = 0;
        for _ in 0..count {
            if self.is_enough_for_resumed(self.resumed_ticks, self.clock.raw()) {
                break;
            }
            if let Some(token) = self.yielding.pop_front() {
                self.resume_if(token, Blocked::Yielding);
                self.settle();
                // Before more of them ask for replies that nobody reads: keys would go for those.
                self.evict_clients();
            }
        }
    }

    fn start(&mut self, start: Start) {
        if !start.transaction.has_token() && self.waits_for_changes(&start) {
            return self.put_behind_changes(start);
        }
        let tx = start.tx.unwrap_or_else(|| self.draw_id());
        if start.needs_token && !self.take_token(tx) {
            self.scripts.in_line.insert(tx, start);
            return;
        }
        let needed_token = start.needs_token;
        let Start {
            token,
            entry,
            words,
            mut transaction,
            purpose,
            began,
            place,
            ..
        } = start;
        if needed_token {
            transaction = transaction.with_token();
        }
        self.counters.transactions += 1;
        let has_emptied = matches!(&purpose, Purpose::Block(running) if running.empties);
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let step = transaction.start(self.id, tx, &mut outgoing);
        let now = self.clock.raw();
        let coordinated = Box::new(Coordinated {
            token,
            entry,
            stamp: began.unwrap_or(now),
            call_stamp: now,
            // Without keys it has begun.
            ran_at: if matches!(step, Step::Wait) { 0 } else { now },
            words,
            transaction,
            purpose,
            has_counted: false,
            has_emptied,
            place,
        });
        self.take_step(coordinated, step);
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }
}
