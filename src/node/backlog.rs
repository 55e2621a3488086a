//! Backlog: output behind a send that has not ended, in pieces.
//!
//!     kernel <- send under way <- piece <- piece <- `Connection::output`, which grows
//!
//! In one piece, the output of a client that does not read would be copied whole each time it grows: at some hundred MiB,
//! others wait for a second.
//!
//! Promises  a piece is no more than what one turn has added, or one reply; none while no send is under way.
//! Not here  how much there may be: `Core::check_output`.
//! Tests     tests/server/limits.rs: a pipeline of 20,000 replies that are read late comes whole and in order.

use std::collections::VecDeque;

use super::outgoing::Outgoing;

/// Less stays in the output, where more joins it.
pub const PIECE_BYTES_MIN: usize = 256 * 1024;

/// Pieces of output in order.
#[derive(Default)]
pub struct Backlog {
    pieces: VecDeque<Outgoing>,
    bytes: usize,
    /// With those that lie elsewhere, which are the client's to answer for as long as it has not read them.
    allocated_bytes: usize,
}

impl Backlog {
    /// Adds a piece behind the others.
    pub fn push(&mut self, mut piece: Outgoing) {
        piece.fit();
        self.bytes += piece.len();
        self.allocated_bytes += allocated_bytes(&piece);
        self.pieces.push_back(piece);
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Outgoing> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        self.allocated_bytes -= allocated_bytes(&piece);
        if self.pieces.is_empty() {
            *self = Self::default();
        }
        Some(piece)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes to be sent.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes allocated.
    pub fn allocated_bytes(&self) -> usize {
        self.allocated_bytes + self.pieces.capacity() * size_of::<Outgoing>()
    }
}

fn allocated_bytes(piece: &Outgoing) -> usize {
    piece.allocated_bytes() + piece.lent_bytes()
}
