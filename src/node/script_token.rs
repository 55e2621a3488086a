//! The process's token, as a core sees it: taken, waited for, given on.
//!
//! Not here  who needs it, and why: `router/token.rs`.
//! Tests     tests/server/scripts.rs.

use super::core::{Core, Start};
use super::message::Message;
use crate::router::TxId;

impl Core {
    pub(super) fn try_take_token(&self) -> bool {
        self.mesh.board().token().try_take((self.id, 0))
    }

    /// Takes the token for a transaction, or a place in the line; whether it was taken.
    pub(super) fn take_token(&self, tx: TxId) -> bool {
        self.mesh.board().token().take((self.id, tx))
    }

    /// A transaction that goes on once it has the token.
    pub(super) fn wait_for_token(&mut self, tx: TxId) {
        if self.take_token(tx) {
            self.token_came(tx);
        }
    }

    pub(super) fn give_token_back(&mut self) {
        let next = self.mesh.board().token().give_back();
        match next {
            Some((core, tx)) if core == self.id => self.token_came(tx),
            Some((core, tx)) => self.mesh.send(usize::from(core), Message::Token { tx }),
            None => {}
        }
    }

    /// The token is this core's, for a transaction that waits for it.
    pub(super) fn token_came(&mut self, tx: TxId) {
        if let Some(start) = self.scripts.in_line.remove(&tx) {
            if self.waits_for_changes(&start) {
                // One of those may be next in the line.
                self.put_behind_changes(start);
                return self.give_token_back();
            }
            self.starts.push_back(Start {
                transaction: start.transaction.with_token(),
                needs_token: false,
                tx: Some(tx),
                ..start
            });
            return;
        }
        self.go_on_with_token(tx);
    }
}
