//! Writes replies as RESP2 or RESP3 into a connection's output.
//!
//! Promises  every call appends whole elements; what RESP2 lacks is written as Redis writes it there.
//! Source    the RESP specification; RESP3 (antirez/RESP3).
//! Tests     tests/resp/reply.rs: golden bytes in both protocols.

/// Which version of the wire a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, what a connection starts with.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Appends reply elements to `out`.
pub struct Reply<'o> {
    out: &'o mut Vec<u8>,
    protocol: Protocol,
}

impl<'o> Reply<'o> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'o mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol replies are written in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}
