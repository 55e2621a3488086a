//! MONITOR: every request of every client, in one order for all who monitor.
//!
//!     a core takes a request -> a line, under the feed's lock, for each core with monitors -> its monitors' outputs
//!
//! Promises  all monitors see the same order; a request whose reply a client has seen stands before any that was made
//!           because of it. Secrets do not appear; administration does not either, as in Redis.
//! Not here  when there is something to tell: `node/dispatch.rs`, `node/block_exec.rs`.
//! Source    the line is Redis's: time, database, who, words in quotes.
//! Tests     tests/server/watching.rs.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::Connection;
use super::core::Core;
use super::message::Message;
use super::ring::Token;
use crate::commands::redact::for_each_shown;
use crate::commands::session::ReplyMode;
use crate::commands::{Entry, Flags};
use crate::resp::Args;

/// Lines on their way.
#[derive(Default)]
pub struct MonitorFeed {
    is_watched: AtomicBool,
    /// By core, where it has monitors: what they have not been given yet.
    pending: Mutex<Vec<Option<Vec<u8>>>>,
}

impl MonitorFeed {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<Vec<u8>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any core has monitors.
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    /// From now on lines are kept for this core.
    fn join(&self, core: usize) {
        let mut pending = self.lock();
        if pending.len() <= core {
            pending.resize(core + 1, None);
        }
        pending[core].get_or_insert_default();
        self.is_watched.store(true, Ordering::Release);
    }

    /// The core has no monitors any more.
    fn leave(&self, core: usize) {
        let mut pending = self.lock();
        if let Some(lines) = pending.get_mut(core) {
            *lines = None;
        }
        let is_watched = pending.iter().any(Option::is_some);
        self.is_watched.store(is_watched, Ordering::Release);
    }

    /// Adds what was asked, the time not included; calls `wake` with each core that had nothing to tell before.
    fn tell(&self, asked: &[u8], mut wake: impl FnMut(usize)) {
        let mut pending = self.lock();
        // The clock is read under the lock: lines are in the order of their times.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        for (core, lines) in pending.iter_mut().enumerate() {
            let Some(lines) = lines else { continue };
            if lines.is_empty() {
                wake(core);
            }
            // Writing to memory does not fail.
            let _ = write!(lines, "+{}.{:06} ", now.as_secs(), now.subsec_micros());
            lines.extend_from_slice(asked);
        }
    }

    /// Takes what this core's monitors are to be given.
    fn take(&self, core: usize) -> Vec<u8> {
        let mut pending = self.lock();
        let lines = pending.get_mut(core).and_then(Option::as_mut);
        lines.map(std::mem::take).unwrap_or_default()
    }
}

/// Where a client's requests come from, as the line says it; a script's come from `lua`.
pub fn source(connection: &Connection) -> String {
    let address = &connection.peer.address;
    match connection.peer.is_unix {
        true => format!("unix:{}", address.trim_end_matches(":0")),
        false => address.clone(),
    }
}

impl Core {
    /// Tells monitors of a client's request.
    #[cold]
    pub(super) fn tell_of_request(
        &mut self,
        connection: &Connection,
        entry: &Entry,
        args: &Args<'_>,
    ) {
        let db = connection.session.db;
        self.tell_monitors(&source(connection), db, entry, args);
    }

    /// Tells monitors, wherever they are, of a request.
    #[cold]
    pub(super) fn tell_monitors(&mut self, source: &str, db: u16, entry: &Entry, args: &Args<'_>) {
        if entry.command.flags.has(Flags::ADMIN) {
            return;
        }
        let mut asked = Vec::with_capacity(64);
        let _ = write!(asked, "[{db} {source}]");
        for_each_shown(entry, args, |word| {
            asked.push(b' ');
            quote(word, &mut asked);
        });
        asked.extend_from_slice(b"\r\n");
        let board = self.mesh.board().clone();
        let own = usize::from(self.id);
        board.watch.monitors.tell(&asked, |core| {
            if core != own {
                self.mesh.send(core, Message::MonitorLines);
            }
        });
    }

    /// Gives this core's monitors what has happened; once a turn.
    pub(super) fn show_monitors(&mut self) {
        self.show_monitors_and(None);
    }

    /// A monitor is about to ask for something: what that changes concerns lines to come.
    pub(super) fn show_before_own(&mut self, token: Token, connection: &mut Connection) {
        let is_shown = sees_lines(connection);
        self.show_monitors_and(Some((token, connection, is_shown)));
    }

    /// The line of a monitor's own request, where replies are kept back, is seen as its reply is: not that of one that is skipped,
    /// but that of CLIENT REPLY SKIP.
    #[cold]
    pub(super) fn show_behind_own(&mut self, token: Token, connection: &mut Connection) {
        let mode = connection.session.reply_mode;
        if connection.session.monitoring && mode != ReplyMode::ON {
            self.show_monitors_and(Some((token, connection, !mode.is_silent())));
        }
    }

    /// - `own`: one of them that is out of its place, and whether it is shown this.
    #[cold]
    fn show_monitors_and(&mut self, mut own: Option<(Token, &mut Connection, bool)>) {
        let lines = self.mesh.board().watch.monitors.take(usize::from(self.id));
        if lines.is_empty() {
            return;
        }
        for token in self.monitors.clone() {
            let (connection, is_shown) = match &mut own {
                Some((of, connection, is_shown)) if *of == token => {
                    (Some(&mut **connection), *is_shown)
                }
                _ => {
                    let connection = self.connections.get_mut(token);
                    let is_shown = connection.as_deref().is_some_and(sees_lines);
                    (connection, is_shown)
                }
            };
            if let Some(connection) = connection
                && !connection.close_after_output
                && is_shown
            {
                connection.output.extend_from_slice(&lines);
                self.mark_dirty(token);
            }
        }
    }

    /// MONITOR, first step: lines are kept from now on; the reply comes when every core makes them.
    pub(super) fn prepare_monitor(&mut self) {
        self.mesh.board().watch.monitors.join(usize::from(self.id));
    }

    /// MONITOR, last step: whether it is one from now on. Who was one gets no reply, as in Redis.
    pub(super) fn begin_monitor(&mut self, token: Token) -> bool {
        self.show_monitors();
        match self.connections.get_mut(token) {
            Some(connection) if !connection.closed && !connection.session.monitoring => {
                connection.session.monitoring = true;
                self.monitors.push(token);
                return true;
            }
            _ if self.monitors.is_empty() => self.leave_feed(),
            _ => {}
        }
        false
    }

    /// RESET, QUIT, or the end: no line more.
    pub(super) fn end_monitor(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if !std::mem::take(&mut connection.session.monitoring) {
            return;
        }
        self.monitors.retain(|&monitor| monitor != token);
        if self.monitors.is_empty() {
            self.leave_feed();
        }
    }

    fn leave_feed(&mut self) {
        self.mesh.board().watch.monitors.leave(usize::from(self.id));
        self.tell_of_monitors();
    }
}

/// Whether a monitor is shown what others do now: not while replies are off, nor from CLIENT REPLY SKIP to the end of what that skips.
fn sees_lines(connection: &Connection) -> bool {
    connection.session.reply_mode.sends() && !connection.silent_reply
}

/// A word as MONITOR shows it, in double quotes; what is added is ASCII.
pub(super) fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x20..0x7f => out.push(byte),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}
