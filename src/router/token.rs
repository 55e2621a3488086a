//! Token: which transaction of the process may want more locks than it was scheduled with.
//!
//!     free --take--> held --leave--> the first who waits, or free
//!                     ^  others wait in line
//!
//! A script that has written cannot be undone, and before it ends it may touch a key that nobody knew of. Two such scripts
//! could wait for each other's keys for ever, so there is one at a time. Scripts that are sure to stay with the keys they
//! declare, and everything that is not a script, need no token, unless they have been turned away very often.
//!
//! Promises  first come, first served.
//! Not here  who is told: `node/`. What its holder does with it: `shard/locks/seize.rs`.
//! Tests     tests/router/token.rs, tests/sim/.

use std::collections::VecDeque;

use super::TxId;

/// Whose it is: a core, and the transaction there.
pub type Ticket = (u16, TxId);

/// See the module.
#[derive(Debug, Default)]
pub struct Token {
    holder: Option<Ticket>,
    line: VecDeque<Ticket>,
}

impl Token {
    /// Takes it if it is free and nobody waits; whether it did.
    pub fn try_take(&mut self, ticket: Ticket) -> bool {
        let is_free = self.holder.is_none();
        if is_free {
            self.holder = Some(ticket);
        }
        is_free
    }

    /// Takes it, or a place in the line for it; whether it was taken.
    pub fn take(&mut self, ticket: Ticket) -> bool {
        let is_taken = self.try_take(ticket);
        if !is_taken {
            self.line.push_back(ticket);
        }
        is_taken
    }

    /// Gives it back. Whose it is now, and must be told.
    pub fn give_back(&mut self) -> Option<Ticket> {
        self.holder = self.line.pop_front();
        self.holder
    }
}
