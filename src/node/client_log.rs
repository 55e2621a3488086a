//! What the log says of clients, in Redis's words.
//!
//!     warning   Client id=7 addr=... scheduled to be closed ASAP for overcoming of output buffer limits. bytes=2097200
//!               Closing client that reached max query buffer length: id=7 addr=... (qbuf initial bytes: "xx\x00\"")
//!     notice    Evicting client: id=7 addr=...
//!     verbose   Accepted 127.0.0.1:50012                         by a Unix socket: Accepted connection to PATH
//!               Client closed connection id=7 addr=...           the row of CLIENT LIST
//!               Reading from client: Connection reset by peer    or: Error writing to client: ...; with its address
//!               Protocol error (invalid bulk length) from client: id=7 addr=.... Query buffer during protocol error: '$a..'
//!               Closing idle client                              with its address
//!               DB 0: 12 keys (3 volatile) in 16 slots HT.       every 5 s, of each database that has keys
//!     debug     2 clients connected (0 replicas), 1048576 bytes in use
//!
//! Promises  where the level is not on, a line costs one look at it; none is on the path of a request.
//! Not here  when a client is over a limit: where that is found.
//! Source    Redis's log.
//! Tests     tests/server/client_log.rs, tests/node/client_log.rs.

use std::fmt::Display;
use std::io;

use tracing::Level;

use super::client_row::row;
use super::clients::render_row;
use super::connection::{Connection, Peer};
use super::core::Core;
use super::figures::{CoreFigures, Wanted};
use super::gather::{Asker, Purpose};
use super::message::Question;
use super::monitor::quote;
use super::report::databases;
use super::ring::Token;
use crate::resp::ProtocolError;

/// Between two looks at what there is.
const INTERVAL_MS: i64 = 5000;

/// What is shown of a request that is none; of a longer one that much of each end.
const SAMPLE_BYTES_MAX: usize = 128;
const SAMPLE_END_BYTES: usize = SAMPLE_BYTES_MAX / 2;

/// Whether it is told who comes.
pub fn is_told() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// A client has come.
pub fn tell_accepted(peer: &Peer) {
    match peer.address.strip_suffix(":0") {
        Some(path) if peer.is_unix => tracing::debug!("Accepted connection to {path}"),
        // Here Redis has no brackets around what CLIENT LIST has some around.
        _ => tracing::debug!("Accepted {}", peer.address.replace(['[', ']'], "")),
    }
}

/// A client's handshake came to nothing.
pub fn tell_not_accepted(peer: &Peer, reason: &dyn Display) {
    let Peer { address, local, .. } = peer;
    tracing::warn!("Error accepting a client connection: {reason} (addr={address} laddr={local})");
}

/// What a client has sent cannot be had.
pub fn tell_unreadable(peer: &Peer, reason: &dyn Display) {
    tracing::debug!(client = peer.address, "Reading from client: {reason}");
}

/// A client cannot be sent what it is to have.
pub fn tell_unwritable(peer: &Peer, reason: &dyn Display) {
    tracing::debug!(client = peer.address, "Error writing to client: {reason}");
}

/// A client speaks HTTP: who watches the log looks for this text.
pub fn tell_attack(peer: &Peer) {
    tracing::warn!(
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis, perhaps a web page \
         that means to misuse its reader's browser. Connection from {} aborted.",
        peer.address
    );
}

/// A client has been silent for longer than `timeout`.
pub fn tell_idle(peer: &Peer) {
    tracing::debug!(client = peer.address, "Closing idle client");
}

impl Core {
    /// A client sends nothing more.
    ///
    /// - `errno`: why; 0 where it has said so.
    pub(super) fn tell_end(&self, token: Token, errno: i32) {
        let Some(connection) = self.connections.get(token) else {
            return;
        };
        if connection.closed || connection.close_after_output || connection.ended {
            return; // The server has ended it, or has told of it.
        }
        let is_greeted = connection.tls.as_ref().is_none_or(|tls| tls.is_known());
        let peer = &connection.peer;
        match (errno, is_greeted) {
            (0, true) => tracing::debug!("Client closed connection {}", self.row_text(connection)),
            (0, false) => tell_not_accepted(peer, &"unexpected eof while reading"),
            (_, true) => tell_unreadable(peer, &reason_of(errno)),
            (_, false) => tell_not_accepted(peer, &reason_of(errno)),
        }
    }

    /// A send has failed.
    pub(super) fn tell_send_failed(&self, token: Token, errno: i32) {
        let connection = self.connections.get(token);
        if let Some(connection) = connection.filter(|it| !it.closed && !it.ended) {
            tell_unwritable(&connection.peer, &reason_of(errno));
        }
    }

    /// What a client has sent is no request.
    ///
    /// - `unread`: what it has sent, from there on.
    pub(super) fn tell_protocol_error(
        &self,
        connection: &Connection,
        error: &ProtocolError,
        unread: &[u8],
    ) {
        tracing::debug!(
            "Protocol error ({}) from client: {}. Query buffer during protocol error: {}",
            error.name(),
            self.row_text(connection),
            sample(unread),
        );
    }

    /// A client is to get more than `client-output-buffer-limit` lets it.
    ///
    /// - `bytes`: how much; the row has what is here of it.
    pub(super) fn tell_over_output_limit(&self, connection: &Connection, bytes: u64) {
        let row = self.row_text(connection);
        tracing::warn!(
            bytes,
            "Client {row} scheduled to be closed ASAP for overcoming of output buffer limits."
        );
    }

    /// What a client has sent and is no word yet is more than `client-query-buffer-limit` lets it send.
    pub(super) fn tell_over_query_limit(&self, connection: &Connection) {
        let unread = connection.unread();
        let mut start = Vec::new();
        quote(&unread[..unread.len().min(SAMPLE_END_BYTES)], &mut start);
        tracing::warn!(
            "Closing client that reached max query buffer length: {} (qbuf initial bytes: {})",
            self.row_text(connection),
            String::from_utf8_lossy(&start),
        );
    }

    /// A client goes because all take more than `maxmemory-clients`, or it alone does.
    pub(super) fn tell_evicted(&self, connection: &Connection) {
        tracing::info!("Evicting client: {}", self.row_text(connection));
    }

    fn row_text(&self, connection: &Connection) -> String {
        let mut line = Vec::new();
        render_row(&row(connection, self.now_ms, self.place()), &mut line);
        String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
    }

    /// Core 0, once a tick: whether all cores are to be asked for what is told of them.
    #[inline]
    pub(super) fn look_whether_to_tell(&mut self) {
        if self.now_ms - self.told_sizes_ms >= INTERVAL_MS && tracing::enabled!(Level::DEBUG) {
            self.told_sizes_ms = self.now_ms;
            let wanted = Wanted::DATABASES.or(Wanted::PLACES).or(Wanted::MEMORY);
            self.ask_all(Asker::Log, Purpose::Ok, Question::Figures(wanted));
        }
    }

    /// They have answered.
    pub(super) fn tell_sizes(&self, cores: &[CoreFigures]) {
        for database in databases(cores) {
            let of_core = |core: &CoreFigures| core.places.get(usize::from(database.db)).copied();
            let places: u64 = cores.iter().filter_map(of_core).sum();
            tracing::debug!(
                "DB {}: {} keys ({} volatile) in {places} slots HT.",
                database.db,
                database.keys,
                database.expires,
            );
        }
        if tracing::enabled!(Level::TRACE) {
            let clients: u64 = cores.iter().map(|core| core.clients_count).sum();
            let bytes = self.memory_figures(cores).used;
            tracing::trace!("{clients} clients connected (0 replicas), {bytes} bytes in use");
        }
    }
}

/// The system's text for an error, without its number.
pub fn reason_of(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_string(),
        None => text,
    }
}

/// Some of what a client has sent, between quotes: what is not printable is shown as a dot.
pub fn sample(unread: &[u8]) -> String {
    let shown = |bytes: &[u8]| -> String {
        let bytes = bytes.iter().map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        });
        bytes.collect()
    };
    if unread.len() < SAMPLE_BYTES_MAX {
        return format!("'{}'", shown(unread));
    }
    let (head, rest) = unread.split_at(SAMPLE_END_BYTES);
    let (between, tail) = rest.split_at(rest.len() - SAMPLE_END_BYTES);
    let more = between.len();
    format!(
        "'{}' (... more {more} bytes ...) '{}'",
        shown(head),
        shown(tail)
    )
}
