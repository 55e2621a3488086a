//! Buffers for output that one connection after the other uses.
//!
//! Promises  a connection without output holds none; one that has grown large is freed, unless DEBUG has such ones kept.
//! Tests     tests/server/figures.rs.

use super::core::{Core, SPARE_BUFFER_BYTES_MAX};

/// Buffers kept for reuse.
const SPARE_BUFFERS_MAX: usize = 256;

impl Core {
    /// A buffer for output.
    #[inline]
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a buffer for later.
    #[inline]
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > SPARE_BUFFER_BYTES_MAX {
            return self.give_back_buffer(buffer);
        }
        if buffer.capacity() != 0 && self.spare.len() < SPARE_BUFFERS_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Frees a buffer that has outgrown what is kept, unless DEBUG has those kept as well.
    #[cold]
    fn give_back_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.mesh.board().switches.keeps_reply_buffers() {
            if self.spare.len() < SPARE_BUFFERS_MAX {
                buffer.clear();
                self.spare.push(buffer);
            }
            return;
        }
        self.counters.reply_buffers_outgrown += 1;
    }
}
