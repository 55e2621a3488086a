//! Replies that wait for the disk.
//!
//!     output --each turn--> queue of (holds, bytes) --as logs become durable--> sent
//!
//! A reply is held until every record is durable that it may reveal: the write it answers, the last write of a key it read,
//! and what those depend on. Later replies of the connection stay behind it.
//!
//! Promises  without `appendfsync always` a connection pays one branch for this.
//! Not here  which records those are: `shard/effects.rs`.

use std::collections::VecDeque;

use super::connection::Connection;
use crate::persist::Holds;

/// What is kept for connections to come.
const SPARE_COUNT: usize = 1024;

/// Replies of one turn, and what they wait for beyond what those before them do.
#[derive(Default)]
struct Held {
    holds: Holds,
    bytes: Vec<u8>,
}

/// What a connection must not send yet.
#[derive(Default)]
pub struct Holding {
    /// What its next replies wait for beyond what those before them do.
    holds: Holds,
    /// The oldest that wait, which as a rule are the only ones; without bytes there are none.
    oldest: Held,
    /// Those behind them.
    later: VecDeque<Held>,
    /// Bytes of all of them.
    bytes: usize,
    /// It is on its core's list.
    pub is_listed: bool,
}

impl Holding {
    /// Bytes of replies that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What must be durable before anything of it leaves.
    #[inline]
    pub fn first_holds(&self) -> &Holds {
        match self.oldest.bytes.is_empty() {
            true => &self.holds,
            false => &self.oldest.holds,
        }
    }

    /// Puts replies behind those that wait, with what they wait for.
    #[inline]
    fn push(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        let holds = std::mem::take(&mut self.holds);
        let held = Held { holds, bytes };
        match self.oldest.bytes.is_empty() {
            true => self.oldest = held,
            false => self.later.push_back(held),
        }
    }

    /// Takes those that wait for nothing any more.
    #[inline]
    fn take_ready(&mut self, synced_lsn: impl Fn(u16) -> u64) -> Vec<u8> {
        let mut ready = Vec::new();
        while !self.oldest.bytes.is_empty() {
            self.oldest.holds.prune(&synced_lsn);
            if !self.oldest.holds.is_empty() {
                return ready;
            }
            let next = self.later.pop_front().unwrap_or_default();
            let mut bytes = std::mem::replace(&mut self.oldest, next).bytes;
            self.bytes -= bytes.len();
            if ready.is_empty() {
                ready = bytes;
            } else {
                ready.append(&mut bytes);
            }
        }
        self.holds.prune(&synced_lsn);
        ready
    }
}

impl Connection {
    /// Whatever it sends from now on waits for these records as well.
    ///
    /// - `spare`: what others have held theirs in.
    #[inline]
    pub fn hold(&mut self, holds: &Holds, spare: &mut Vec<Box<Holding>>) {
        if !holds.is_empty() {
            let new = || spare.pop().unwrap_or_default();
            let holding = self.holding.get_or_insert_with(new);
            holding.holds.merge(holds);
        }
    }

    /// Whether what has been said this turn waits for just this already, as it does in a pipeline after its first reply.
    #[inline]
    pub fn waits_for(&self, (core, lsn): (u16, u64), others: &Holds) -> bool {
        let holding = self.holding.as_ref();
        others.is_empty() && holding.is_some_and(|holding| holding.holds.begins_with(core, lsn))
    }

    /// The same for one record and others; 0 is no record.
    #[inline(never)]
    pub fn hold_one(
        &mut self,
        (core, lsn): (u16, u64),
        others: &Holds,
        spare: &mut Vec<Box<Holding>>,
    ) {
        let new = || spare.pop().unwrap_or_default();
        let holding = self.holding.get_or_insert_with(new);
        holding.holds.raise(core, lsn);
        if !others.is_empty() {
            holding.holds.merge(others);
        }
    }

    /// Whether its next replies wait for anything, as it was when it last was to send something.
    #[inline]
    pub fn must_hold(&self) -> bool {
        self.holding.is_some()
    }

    /// What that is: what those before them wait for as well.
    pub fn next_holds(&self) -> Holds {
        let mut holds = Holds::new();
        if let Some(holding) = &self.holding {
            holds.merge(&holding.oldest.holds);
            (holding.later.iter()).for_each(|held| holds.merge(&held.holds));
            holds.merge(&holding.holds);
        }
        holds
    }

    /// Takes what may be sent; what may not stays.
    ///
    /// - `synced_lsn`: the last durable record of a core.
    pub fn take_output(
        &mut self,
        synced_lsn: impl Fn(u16) -> u64,
        spare: &mut Vec<Box<Holding>>,
    ) -> Vec<u8> {
        let output = self.take_bytes();
        let Some(holding) = &mut self.holding else {
            return output;
        };
        if !output.is_empty() {
            holding.push(output);
        }
        let ready = holding.take_ready(synced_lsn);
        if holding.first_holds().is_empty()
            && let Some(mut holding) = self.holding.take()
            && spare.len() < SPARE_COUNT
        {
            holding.is_listed = false;
            spare.push(holding);
        }
        ready
    }
}
