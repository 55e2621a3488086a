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

/// Less stays in the output, where more joins it.
pub const PIECE_BYTES_MIN: usize = 256 * 1024;

/// Pieces of output in order.
#[derive(Default)]
pub struct Backlog {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    allocated_bytes: usize,
}

impl Backlog {
    /// Adds a piece behind the others.
    pub fn push(&mut self, mut piece: Vec<u8>) {
        if piece.capacity() - piece.len() > piece.len() / 4 {
            piece.shrink_to_fit();
        }
        self.bytes += piece.len();
        self.allocated_bytes += piece.capacity();
        self.pieces.push_back(piece);
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        self.allocated_bytes -= piece.capacity();
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
        self.allocated_bytes + self.pieces.capacity() * size_of::<Vec<u8>>()
    }
}
