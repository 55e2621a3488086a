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

/// What a connection must not send yet.
#[derive(Default)]
pub struct Holding {
    /// What its next replies wait for.
    holds: Holds,
    /// Replies of earlier turns.
    queue: VecDeque<(Holds, Vec<u8>)>,
    /// Bytes in it.
    bytes: usize,
    /// It is on its core's list.
    pub is_listed: bool,
}

impl Holding {
    /// Bytes of replies that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
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

    /// Whether its next replies wait for just this already, as those of a pipeline do after the first of them.
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

    /// What its next replies wait for, as it was when it last was to send something.
    #[inline]
    pub fn next_holds(&self) -> Option<&Holds> {
        let holds = self.holding.as_ref().map(|holding| &holding.holds);
        holds.filter(|holds| !holds.is_empty())
    }

    /// Takes what may be sent; what may not stays.
    ///
    /// - `synced_lsn`: the last durable record of a core.
    pub fn take_output(
        &mut self,
        synced_lsn: impl Fn(u16) -> u64,
        spare: &mut Vec<Box<Holding>>,
    ) -> Vec<u8> {
        let output = std::mem::take(&mut self.output);
        let Some(holding) = &mut self.holding else {
            return output;
        };
        holding.holds.prune(&synced_lsn);
        if !output.is_empty() {
            holding.bytes += output.len();
            holding.queue.push_back((holding.holds.clone(), output));
        }
        let mut ready = Vec::new();
        while let Some((holds, _)) = holding.queue.front_mut() {
            holds.prune(&synced_lsn);
            if !holds.is_empty() {
                break;
            }
            if let Some((_, mut bytes)) = holding.queue.pop_front() {
                holding.bytes -= bytes.len();
                if ready.is_empty() {
                    ready = bytes;
                } else {
                    ready.append(&mut bytes);
                }
            }
        }
        if holding.queue.is_empty()
            && holding.holds.is_empty()
            && let Some(mut holding) = self.holding.take()
            && spare.len() < SPARE_COUNT
        {
            holding.is_listed = false;
            spare.push(holding);
        }
        ready
    }
}
