//! Claim: what makes sure that a waiting client is served once.
//!
//!     Waiting --a shard takes it--> Taken --served--> Over
//!        ^                            |
//!        +------nothing was there-----+          Waiting --timeout, gone--> Over
//!                                                Taken --gone--> Doomed --nothing was there--> Over
//!
//! A client that waits for keys of several shards has one claim, shared by its waiters there and by its connection's core.
//! It is all that cores share about it: no message is needed to know that a waiter is still to be served, that another of its keys
//! holds what its command is an error on, or that its user may no longer run it.
//!
//! Promises  exactly one of the shards, the timeout and the client's end gets it.
//! Tests     tests/router/wait.rs; tests/sim/ and tests/server/blocking.rs for the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::Origin;
use crate::commands::Entry;
use crate::commands::table::Caller;
use crate::resp::args::OwnedArgs;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const OVER: u8 = 2;
/// Taken, and nobody is to take it again.
const DOOMED: u8 = 3;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Claim(Arc<State>);

#[derive(Debug, Default)]
struct State {
    step: AtomicU8,
    is_in_doubt: AtomicBool,
    is_denied: AtomicBool,
}

/// What trying to take a claim gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the taker's, to be ended or given back.
    Yes,
    /// Somebody else has it for the moment.
    Busy,
    /// The client waits no more.
    Over,
}

impl Claim {
    /// Takes the claim, to serve its client.
    pub fn take(&self) -> Taken {
        self.change(WAITING, TAKEN)
    }

    /// Ends the wait without serving: its time is up.
    pub fn cancel(&self) -> Taken {
        self.change(WAITING, OVER)
    }

    /// The client has gone: nobody takes the claim from now on, but for who has it at this moment.
    pub fn abandon(&self) {
        if self.cancel() == Taken::Busy && self.change(TAKEN, DOOMED) != Taken::Yes {
            // It was given back, or served, between the two looks.
            self.cancel();
        }
    }

    /// Gives a taken claim back: there was nothing for the client.
    pub fn give_back(&self) {
        if self.change(TAKEN, WAITING) != Taken::Yes {
            self.end();
        }
    }

    /// The client of a taken claim has been served.
    pub fn end(&self) {
        self.0.step.store(OVER, Ordering::Release);
    }

    /// One of the client's keys has come to hold another type than its command is for. Redis runs that anew when another key has
    /// something, and it fails: from here on its coordinator is to look at all of them.
    pub fn doubt(&self) {
        self.0.is_in_doubt.store(true, Ordering::Release);
    }

    /// Whether that has happened.
    pub fn is_in_doubt(&self) -> bool {
        self.0.is_in_doubt.load(Ordering::Acquire)
    }

    /// Its user has lost the right to what it waits with, or has it again. Redis finds that out when there is something for it: then
    /// its coordinator is asked.
    pub fn deny(&self, is_denied: bool) {
        self.0.is_denied.store(is_denied, Ordering::Release);
    }

    /// Whether its user may not run it.
    pub fn is_denied(&self) -> bool {
        self.0.is_denied.load(Ordering::Acquire)
    }

    /// Whether the wait has ended, one way or another.
    pub fn is_over(&self) -> bool {
        self.0.step.load(Ordering::Acquire) == OVER
    }

    fn change(&self, from: u8, to: u8) -> Taken {
        match self
            .0
            .step
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Taken::Yes,
            Err(TAKEN | DOOMED) => Taken::Busy,
            Err(_) => Taken::Over,
        }
    }
}

/// A request that may wait.
pub struct WaitRequest {
    /// What to run.
    pub entry: &'static Entry,
    /// The selected database.
    pub db: u16,
    /// Who asks.
    pub caller: Caller,
    /// All words, the name included.
    pub args: OwnedArgs,
    /// Who will wait if there is nothing.
    pub ticket: WaitTicket,
    /// What timeouts are counted from.
    pub now_ms: i64,
}

/// Names a waiting client, everywhere.
#[derive(Clone, Debug)]
pub struct WaitTicket {
    /// Unique in the process; lower came first.
    pub id: u64,
    /// Whose reply it will be.
    pub origin: Origin,
    /// Who may serve it.
    pub claim: Claim,
}
