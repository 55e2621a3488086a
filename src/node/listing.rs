//! CLIENT LIST on one core: rows, at a moment at which they say what has happened before.
//!
//!     question -> output limits are enforced -> turns, while bytes of half-read requests come in -> rows
//!
//! Redis has memory for the whole of a large argument as soon as that begins, and counts it; here it grows with its bytes. Who
//! has handed them to the kernel and then looks is not to be told of less: what lies in the socket is read first.
//!
//! Promises  a client that is over a limit is closed before anyone sees it; nobody waits for longer than [`WAIT_MS_MAX`].
//! Tests     tests/server/limits.rs.

use super::client_row::row;
use super::clients::{self, ClientRow};
use super::core::Core;
use super::message::Answer;
use super::ring::Token;
use crate::commands::ClientFilter;

/// A client that sends without end is listed as far as it has got then.
const WAIT_MS_MAX: i64 = 10;

/// Lists that wait for the bytes of half-read requests.
#[derive(Default)]
pub struct Listings {
    waiting: Vec<Listing>,
    /// Bytes of a large request have come since this was last looked at.
    has_grown: bool,
}

struct Listing {
    from: usize,
    id: u64,
    filter: ClientFilter,
    until_ms: i64,
    /// A turn has begun since it was asked for.
    has_turned: bool,
}

impl Listings {
    /// Bytes of a large request have come.
    pub fn note_growth(&mut self) {
        self.has_grown = true;
    }
}

impl Core {
    /// A core asks for the clients here that `filter` means; answered at once, or after some turns.
    pub(super) fn list_clients(&mut self, from: usize, id: u64, filter: ClientFilter) {
        self.check_all_output();
        if self.connections.iter().all(|it| it.large.is_none()) {
            let rows = self.rows(&filter);
            return self.answer(from, id, Answer::Clients(rows));
        }
        self.listings.waiting.push(Listing {
            from,
            id,
            filter,
            until_ms: self.now_ms + WAIT_MS_MAX,
            has_turned: false,
        });
    }

    /// Answers lists whose time has come, at the end of a turn; whether there were any: another turn is to follow.
    #[inline]
    pub(super) fn go_on_listing(&mut self) -> bool {
        let has_some = !self.listings.waiting.is_empty();
        if has_some {
            self.answer_lists();
        }
        has_some
    }

    #[cold]
    fn answer_lists(&mut self) {
        let has_grown = std::mem::take(&mut self.listings.has_grown);
        let (now_ms, is_stopping) = (self.now_ms, self.stopping);
        let is_due =
            |it: &Listing| is_stopping || now_ms >= it.until_ms || it.has_turned && !has_grown;
        let waiting = std::mem::take(&mut self.listings.waiting);
        let (due, mut left): (Vec<Listing>, Vec<Listing>) = waiting.into_iter().partition(is_due);
        for listing in &mut left {
            listing.has_turned = true;
        }
        self.listings.waiting = left;
        if !due.is_empty() {
            self.check_all_output();
        }
        for listing in due {
            let rows = self.rows(&listing.filter);
            self.answer(listing.from, listing.id, Answer::Clients(rows));
        }
    }

    /// Every client of this core is held against its limit of output.
    fn check_all_output(&mut self) {
        let tokens: Vec<Token> = self.connections.tokens().collect();
        for token in tokens {
            self.check_output(token);
        }
    }

    fn rows(&self, filter: &ClientFilter) -> Vec<ClientRow> {
        let place = self.place();
        self.connections
            .iter()
            .filter(|connection| !connection.closed)
            .map(|connection| row(connection, self.now_ms, place))
            .filter(|row| clients::matches(filter, row, 0))
            .collect()
    }
}
