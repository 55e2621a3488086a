//! What a completion says, in the words of the loop: for whom, and what came of it.
//!
//! Promises  a token says which tenant of a place it means, so what comes for one that has gone finds nobody.
//! Not here  how a completion is read: `Ring::translate`; what an event sets going: `node/event_loop.rs`.

use std::os::fd::OwnedFd;

use super::super::outgoing::Outgoing;
use super::KIND_SHIFT;
use super::buffers::ReceiveBuffer;
use crate::ds::growing_buffer::GrowingBuffer;
use crate::persist::BlockBuffer;

const GENERATION_MASK: u32 = (1 << 28) - 1;

/// A connection as the ring knows it: its place in the slab and which tenant of that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Place in the connection slab.
    pub index: u32,
    /// Tenant of that place, below 2^28.
    pub generation: u32,
}

impl Token {
    /// The next tenant's number.
    pub fn next_generation(generation: u32) -> u32 {
        (generation + 1) & GENERATION_MASK
    }

    pub(super) fn pack(self, kind: u64) -> u64 {
        kind << KIND_SHIFT | u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(super) fn unpack(user_data: u64) -> Self {
        Self {
            index: user_data as u32,
            generation: (user_data >> 32) as u32 & GENERATION_MASK,
        }
    }
}

/// What a receive brought.
#[derive(Debug)]
pub enum Received {
    /// At least one byte.
    Bytes(ReceiveBuffer),
    /// The peer closed, or the receive failed: no bytes will come any more.
    Ended {
        /// Why it failed; 0 where the peer closed.
        errno: i32,
    },
    /// All buffers were in use, or the receive was cancelled; arm it again when wanted.
    Stopped,
    /// There is something that is no data: the kernel's TLS has a record of another kind.
    Control,
}

impl Received {
    /// What a receive that brought no byte was: `result` is 0 or a negative errno.
    pub(super) fn nothing(result: i32) -> Self {
        match -result {
            libc::ENOBUFS | libc::ECANCELED => Self::Stopped,
            libc::EIO => Self::Control,
            errno => Self::Ended { errno },
        }
    }
}

/// One completion.
#[derive(Debug)]
pub enum Event {
    /// A listener gave a connection, or said why it could not.
    Accepted {
        /// Its number.
        listener: u32,
        /// The socket, or an errno.
        result: Result<OwnedFd, i32>,
        /// The accept stays armed.
        more: bool,
    },
    /// A connection's receive.
    Received {
        /// Whose.
        token: Token,
        /// What came.
        received: Received,
        /// The receive stays armed.
        more: bool,
    },
    /// A receive to a buffer of the connection's own ended; the buffer returns.
    Gathered {
        /// Whose.
        token: Token,
        /// What it was to come to.
        buffer: Box<GrowingBuffer>,
        /// How many bytes came behind what was there, or what came instead of any.
        result: Result<usize, Received>,
    },
    /// A send ended; its buffer returns.
    Sent {
        /// Whose.
        token: Token,
        /// Bytes sent, or a negative errno.
        result: i32,
        /// What was sent.
        output: Outgoing,
    },
    /// Another core rang.
    Bell,
    /// The tick's time has come; arm the next one.
    Tick,
    /// An alarm's time has come.
    Alarm,
    /// The watched descriptor can be read.
    Readable,
    /// Reports of errands can be read.
    Errand,
    /// A write of the log has ended.
    LogWritten {
        /// Its name.
        id: u64,
        /// Bytes written, or a negative errno.
        result: i32,
        /// What was written.
        buffer: BlockBuffer,
    },
    /// A sync of the log has ended.
    LogSynced {
        /// The segment.
        sequence: u64,
        /// 0, or a negative errno.
        result: i32,
    },
    /// The log's alarm's time has come.
    LogAlarm,
}
