//! What commands know of a connection, and what they may ask of the node.

use crate::resp::Protocol;

/// A connection's state as commands see it; the node owns the socket behind it.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// CLIENT ID.
    pub id: u64,
    /// The protocol of its replies.
    pub protocol: Protocol,
    /// Selected database.
    pub db: u16,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO lib-name, lib-ver.
    pub lib_name: Vec<u8>,
    /// See `lib_name`.
    pub lib_ver: Vec<u8>,
    /// AUTH has succeeded or none is needed.
    pub authenticated: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
}

/// CLIENT REPLY's modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// No reply is sent until ON.
    Off,
    /// The next command's reply is not sent.
    SkipNext,
}

/// What a session command works with.
pub struct SessionCall<'a> {
    /// The connection's state.
    pub session: &'a mut Session,
    /// Databases configured.
    pub databases: u16,
    /// `requirepass`, empty for none.
    pub password: &'a [u8],
    /// Milliseconds since the epoch, for the whole batch.
    pub now_ms: i64,
    /// Microseconds since the epoch (TIME).
    pub now_us: i64,
}

/// What happens after a session command.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// The reply is written; nothing else to do.
    Done,
    /// Send the reply, then close (QUIT).
    Close,
    /// The node must act and write the reply itself.
    Node(NodeRequest),
}

/// What only the node can do. Parsed and checked here, carried out and answered in `node/`.
#[derive(Debug, PartialEq)]
pub enum NodeRequest {
    /// CONFIG GET patterns.
    ConfigGet(Vec<Vec<u8>>),
    /// CONFIG SET pairs.
    ConfigSet(Vec<(Vec<u8>, Vec<u8>)>),
    /// CONFIG RESETSTAT.
    ConfigResetStat,
    /// INFO sections, lower case; empty for the default ones.
    Info(Vec<Vec<u8>>),
    /// SHUTDOWN.
    Shutdown {
        save: Option<bool>,
        now: bool,
        force: bool,
        abort: bool,
    },
}
