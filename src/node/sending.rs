//! Sends: what connections have to say leaves through the ring, one send for each at a time.
//!
//!     output -> durable? -> TLS -> send -> its end: more of it, what lay behind it, or nothing
//!
//! Promises  replies go before messages; what a log has not made durable stays; a connection that has said all is closed with the
//!           end of its last send.
//! Not here  when a turn sends: `node/event_loop.rs`; what waits for which log: `node/holding.rs`.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use super::backlog::Backlog;
use super::connection::{Blocked, Connection};
use super::core::SPARE_BUFFER_BYTES_MAX;
use super::dispatch::OUTPUT_LOOK_BYTES;
use super::event_loop::CoreLoop;
use super::outgoing::Outgoing;
use super::ring::{Ring, Token};

impl CoreLoop {
    /// A send has ended: `result` bytes of `output` have gone, or it failed with a negative errno.
    pub(super) fn sent(&mut self, token: Token, result: i32, output: Outgoing) {
        let Some(connection) = self.core.connections.get_mut(token) else {
            return;
        };
        connection.sending = false;
        let left = std::mem::take(&mut connection.sending_bytes);
        if result < 0 {
            self.core.tell_send_failed(token, -result);
            self.core.close(token);
            return;
        }
        let sent = (result as usize).min(left);
        connection.last_active_ms = self.core.now_ms;
        connection.sending_since_ms = self.core.now_ms;
        connection.bytes_out += sent as u64;
        connection.reply_bytes_peak = connection.reply_bytes_peak.max(sent);
        self.core.counters.writes += 1;
        self.core.counters.bytes_out += sent as u64;
        if connection.closed {
            self.core.release(token);
        } else if sent < left {
            connection.sending = true;
            connection.sending_bytes = left - sent;
            Self::send_all(&mut self.ring, connection, token, output);
            self.core.account(token);
            return;
        } else if let Some(next) = connection.next_behind() {
            connection.sending = true;
            connection.sending_bytes = next.len();
            Self::send_all(&mut self.ring, connection, token, next);
        } else if !connection.output.is_empty() || connection.holding.is_some() {
            self.core.mark_dirty(token);
        } else if connection.has_said_all() {
            // Its last reply may have been on its way already when that became so.
            match connection
                .tls
                .as_ref()
                .is_some_and(|tls| tls.has_end_to_say())
            {
                true => self.core.mark_dirty(token),
                false => self.core.close(token),
            }
        } else if connection.blocked == Some(Blocked::Moving) {
            self.core.finish_move(token);
        }
        self.core.keep_buffer(output.into_buffer());
        self.core.account(token);
    }

    /// Queues one send for each connection with output. Replies go first: whoever gets one asks again while messages are
    /// being sent, and what comes of that goes along with the next ones.
    pub(super) fn flush_output(&mut self) {
        let mut dirty = std::mem::take(&mut self.core.dirty);
        let is_limited = self.core.options.output_limit(false).hard_bytes > 0;
        for token in dirty.drain(..) {
            if let Some(connection) = self.core.connections.get_mut(token) {
                connection.dirty = false;
                if !is_limited || !self.core.keeps_output(token) {
                    self.flush_connection(token);
                }
            }
        }
        // Closing one of them may tell others something: that is for the next turn.
        dirty.append(&mut self.core.dirty);
        self.core.dirty = dirty;
        if self.core.pushed.is_empty() {
            self.hold = None;
            return;
        }
        self.hold = self.core.gathers_messages();
        if self.hold.is_some() {
            return;
        }
        let mut pushed = std::mem::take(&mut self.core.pushed);
        for token in pushed.drain(..) {
            if let Some(connection) = self.core.connections.get_mut(token) {
                connection.is_pushed = false;
                self.flush_connection(token);
            }
        }
        pushed.append(&mut self.core.pushed);
        self.core.pushed = pushed;
    }

    fn flush_connection(&mut self, token: Token) {
        let Some(mut connection) = self.core.connections.get_mut(token) else {
            return;
        };
        if connection.closed {
            connection.take_outgoing();
            connection.backlog = Backlog::default();
            connection.holding = None;
            return;
        }
        if connection.holding.is_some() {
            self.flush_held(token);
            return;
        }
        if connection.tls.is_some() && !connection.sending {
            if !self.hand_over(token) {
                return;
            }
            let Some(same) = self.core.connections.get_mut(token) else {
                return;
            };
            connection = same;
            connection.seal_output();
        }
        if connection.output.is_empty() {
            let buffer = std::mem::take(&mut connection.output);
            let done = connection.has_said_all() && !connection.sending;
            self.core.keep_buffer(buffer);
            if done {
                self.core.close(token);
            }
            return;
        }
        if connection.sending {
            // What lies behind a send that does not end is memory all the same.
            connection.put_behind();
            self.core.check_output(token);
            self.core.account(token);
            return;
        }
        let output = connection.take_outgoing();
        self.send(token, output);
    }

    /// Gives the kernel the keys of a connection where it is to have them and nothing of it is under way; whether it goes on.
    fn hand_over(&mut self, token: Token) -> bool {
        let Some(connection) = self.core.connections.get_mut(token) else {
            return false;
        };
        let Some(tls) = &mut connection.tls else {
            return true;
        };
        // A receive runs only while this core is in `Ring::enter`: what is not here by now comes opened.
        let is_due = tls.is_to_be_handed_over() && self.put_off.is_empty();
        if !is_due || !self.ring.is_reaped() {
            return true;
        }
        match tls.hand_over(connection.socket.as_fd()) {
            Ok(is_taken) => {
                self.core.counters.tls_handed_over += u64::from(is_taken);
                true
            }
            Err(reason) => {
                tracing::warn!(
                    client = connection.peer.address,
                    reason,
                    "closed: kernel TLS failed"
                );
                self.core.close(token);
                false
            }
        }
    }

    /// Sends what of `output` has not been sent, at once or in parts.
    fn send_all(ring: &mut Ring, connection: &Connection, token: Token, output: Outgoing) {
        let from = output.len() - connection.sending_bytes;
        match connection.is_in_kernel() {
            true => ring.send_some(connection.fd(), token, output, from),
            false => ring.send(connection.fd(), token, output, from),
        }
    }

    /// Sends what is durable of a connection's output.
    fn flush_held(&mut self, token: Token) {
        let core = &mut self.core;
        core.keep_active(token);
        let Some(connection) = core.connections.get_mut(token) else {
            return;
        };
        if connection.sending {
            // The end of the send looks again.
            core.check_output(token);
            return core.account(token);
        }
        let board = core.mesh.board();
        let synced_lsn = |of: u16| {
            let flags = &board.cores[usize::from(of)];
            flags.synced_lsn.load(Ordering::SeqCst)
        };
        let mut output = connection.take_output(synced_lsn, &mut core.spare_holdings);
        let holds = connection.holding.as_ref().map(|it| it.first_holds());
        if holds.is_some_and(|holds| holds.has_others(core.id)) {
            // Another log may have got on before it knew that this core waits.
            let flags = &board.cores[usize::from(core.id)];
            if !flags.awaits_disks.swap(true, Ordering::SeqCst) {
                let mut more = connection.take_output(synced_lsn, &mut core.spare_holdings);
                output.append(&mut more);
            }
        }
        let output = connection.sealed(output);
        match &mut connection.holding {
            Some(holding) if !holding.is_listed => {
                holding.is_listed = true;
                core.held.push((holding.first_holds().first(), token));
            }
            Some(_) => {}
            None if output.is_empty() => {
                // Nothing waits any more: whatever waited for that goes on.
                if connection.has_said_all() {
                    self.core.close(token);
                } else {
                    self.core.finish_move(token);
                }
                return;
            }
            None => {}
        }
        if !output.is_empty() {
            self.send(token, output.into());
        } else if connection.output_bytes() > OUTPUT_LOOK_BYTES {
            self.core.check_output(token);
        }
    }

    fn send(&mut self, token: Token, output: Outgoing) {
        {
            let Some(connection) = self.core.connections.get_mut(token) else {
                return;
            };
            connection.sending = true;
            connection.sending_since_ms = self.core.now_ms;
            connection.sending_bytes = output.len();
            let was_active = std::mem::replace(&mut connection.is_active, true);
            // Where something is to follow the send, its end must not wait for another event.
            let ends_something = connection.has_said_all()
                || connection.blocked == Some(Blocked::Moving)
                || self.core.stopping;
            let is_in_kernel = connection.is_in_kernel();
            let is_long = output.len() > SPARE_BUFFER_BYTES_MAX || output.plain().is_none();
            if ends_something || is_long || is_in_kernel {
                Self::send_all(&mut self.ring, connection, token, output);
            } else {
                self.ring.send_at_once(connection.fd(), token, output);
            }
            if connection.sending_bytes > SPARE_BUFFER_BYTES_MAX {
                self.core.check_output(token);
            }
            if !was_active {
                self.core.note_active(token);
            }
            self.core.account(token);
        }
    }
}
