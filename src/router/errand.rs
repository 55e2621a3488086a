//! What MIGRATE wants done at another server: keys as payloads, requests to carry there, and what came of them.
//!
//! Not here  which requests those are: `router/programs/migrate.rs`; the socket: `node/errand.rs`.

/// A key on its way to another server.
pub struct Dumped {
    /// The key.
    pub key: Vec<u8>,
    /// Its value's payload, as DUMP gives it.
    pub payload: Vec<u8>,
    /// What is left of its time in milliseconds; 0: it has no deadline.
    pub ttl_ms: i64,
}

/// Requests to another server, which the node carries there.
#[derive(Debug, PartialEq)]
pub struct Errand {
    /// Its name or address.
    pub host: Vec<u8>,
    /// Its port, as text.
    pub port: Vec<u8>,
    /// How long connecting, each write and each read may take.
    pub timeout_ms: u64,
    /// The requests, encoded.
    pub request: Vec<u8>,
    /// How many lines answer them.
    pub replies_count: usize,
}

/// What came of an [`Errand`].
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The lines that came, without their ends.
    pub lines: Vec<Vec<u8>>,
    /// Why they are fewer than were awaited.
    pub failure: Option<Failure>,
}

/// Where an errand failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Failure {
    Connecting,
    Writing,
    Reading,
}
