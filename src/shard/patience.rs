//! Patience: nobody waits without a word for a script that runs for long.
//!
//!     a request                        -> its reply says so
//!     a transaction                    -> its coordinator is told, once, and gives it up if its client would rather know
//!     a script that wants to seize     -> likewise; if it has written, only its call is given up, and fails
//!     one that is run here as a whole  -> its coordinator asks, and it is given up unless it has run
//!
//! Promises  what is turned away has done nothing.
//! Not here  which scripts those are, and what is said: `node/script_busy.rs`.
//! Tests     tests/shard/requests.rs, tests/server/busy.rs.

use super::Shard;
use super::locks::Waiting;
use crate::commands::CommandError;
use crate::persist::Holds;
use crate::resp::Reply;
use crate::router::{FromShard, TxId};

impl Shard {
    /// Turns away who waits for what this transaction holds.
    ///
    /// - `error`: what requests are answered.
    pub fn turn_away(&mut self, tx: TxId, is_function: bool, error: &CommandError) {
        let found = self.locks.waiting_for(tx);
        if found.is_empty() {
            return;
        }
        for waiting in found {
            match waiting {
                Waiting::Request(ticket) => {
                    if let Some((request, _)) = self.deferred.remove(&ticket) {
                        let line = error.line();
                        self.figures.record_rejection(request.entry.index, &line);
                        let mut reply = Vec::new();
                        Reply::new(&mut reply, request.caller.protocol).error_bytes(&line);
                        let late = FromShard::Late {
                            origin: request.origin,
                            reply,
                            holds: Holds::new(),
                        };
                        self.events.push_back((request.origin.core, late));
                    } else {
                        self.turn_block_away(ticket, error);
                    }
                    self.locks.finish(ticket);
                }
                Waiting::Seizure { core, tx } => {
                    self.events
                        .push_back((core, FromShard::Busy { tx, is_function }));
                }
                Waiting::Transaction(tx) => {
                    if let Some(waiting) = self.waiting.get_mut(&tx)
                        && !std::mem::replace(&mut waiting.is_told, true)
                    {
                        let busy = FromShard::Busy { tx, is_function };
                        self.events.push_back((waiting.core, busy));
                    }
                }
            }
        }
        self.run_ready();
    }

    /// Gives up a transaction that is one operation here, unless it has run.
    pub(super) fn turn_whole_away(&mut self, tx: TxId, is_function: bool) {
        if let Some(waiting) = self.waiting.get(&tx) {
            let turned_away = FromShard::TurnedAway { tx, is_function };
            self.events.push_back((waiting.core, turned_away));
            self.release(tx);
        }
    }
}
