//! A connection's life on its core: accepted, dealt, adopted, moved, checked, closed.
//!
//! Promises  a place is free only when the kernel has let go of its socket; the board counts the connections that are open, those
//!           between two cores included; a client over its limits is closed, the others keep their latency.
//! Not here  what a connection says: `node/intake.rs`. The ring's side of it: `node/event_loop.rs`.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::acceptor;
use super::client_log;
use super::client_row::listed_output_bytes;
use super::connection::{Blocked, Connection};
use super::core::{Core, RingWork};
use super::intake::SPANS_KEPT_MAX;
use super::message::Message;
use super::ring::Token;
use super::tls_kernel::Control;
use super::unread::Unread;
use crate::commands::Session;
use crate::ds::spare_mappings;

/// Unsent output at which a client that has not authenticated is cut off: what Redis's reply buffer holds, and 1 KiB.
const STRANGER_OUTPUT_BYTES_MAX: u64 = 17 * 1024;

impl Core {
    // ---- connections come and go

    /// Deals an accepted connection to the core with the fewest, or turns it away.
    pub(super) fn accepted(&mut self, socket: OwnedFd, listener: u32) {
        let board = self.mesh.board().clone();
        let tls = match self.listeners.tls(listener) {
            Ok(tls) => tls,
            Err(reason) => {
                tracing::warn!(reason, "a connection is turned away");
                self.counters.connections_rejected += 1;
                return;
            }
        };
        if i64::from(board.clients_count.load(Ordering::Relaxed)) >= self.options.maxclients {
            // To know who it was takes system calls, of which a flood is to have none.
            if client_log::is_told() {
                client_log::tell_accepted(&acceptor::prepare(&socket, 0));
            }
            // Before its handshake a TLS client could not read why it is turned away, and one more handshake is too many.
            if tls.is_none() {
                acceptor::refuse(&socket, b"-ERR max number of clients reached\r\n");
            }
            self.counters.connections_rejected += 1;
            return;
        }
        let peer = acceptor::prepare(&socket, self.options.tcp_keepalive as u32);
        client_log::tell_accepted(&peer);
        // A TLS client is told once it can read it: see `Core::feed_sealed`.
        if tls.is_none()
            && let Some(reason) = super::settings::protection(&self.options, &self.users, &peer)
        {
            acceptor::refuse(&socket, reason.as_bytes());
            self.counters.connections_rejected += 1;
            return;
        }
        let mut session = Session {
            id: board.next_client_id.fetch_add(1, Ordering::Relaxed),
            ..Session::default()
        };
        session.greet(&self.users);
        // A TLS client counts from its handshake on.
        self.counters.connections_received += u64::from(tls.is_none());
        let mut connection = Box::new(Connection::new(socket, peer, session, self.now_ms));
        connection.tls = tls;
        let fewest = (0..board.cores.len())
            .min_by_key(|&core| board.cores[core].connections_count.load(Ordering::Relaxed))
            .unwrap_or(0);
        board.count_opened(fewest);
        if fewest == usize::from(self.id) {
            self.adopt(connection);
        } else {
            self.mesh.send(fewest, Message::Adopt(connection));
        }
    }

    pub(super) fn adopt(&mut self, mut connection: Box<Connection>) {
        // Users may have changed while the connection was between two cores.
        let stays = connection.look_at_users(&self.users);
        self.counters.moves_in += u64::from(connection.affinity.placed);
        let (id, is_target) = (connection.session.id, connection.is_target);
        connection.is_active = true;
        let token = self.connections.insert(connection);
        self.note_active(token);
        let is_killed = !self.searches.is_empty() && self.look_at_arrival(token);
        if !stays || is_killed {
            return self.close(token);
        }
        self.account(token);
        if is_target {
            self.adopt_target(token, id);
        }
        self.ring_work.push(RingWork::Receive(token));
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let has_ended = connection.ended;
        if !connection.input.is_empty() || connection.held.is_some() {
            self.resumes.push(token);
        }
        if has_ended {
            self.mark_dirty(token);
        }
    }

    /// Ends a connection: its socket is shut, its place is free once its completions are in.
    pub fn close(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let was_open = !std::mem::replace(&mut connection.closed, true);
        if was_open {
            connection.say_end();
        }
        self.end_monitor(token);
        self.abandon_wait(token);
        self.abandon_wait_for_disk(token);
        self.end_tracking(token);
        self.leave_all(token);
        self.forget_block(token);
        if was_open && let Some(connection) = self.connections.get_mut(token) {
            let board = self.mesh.board();
            connection.stay(&board.cores, self.id);
            board.count_closed(usize::from(self.id));
            // Last: a client that sees the end is counted nowhere any more.
            acceptor::shut(&connection.socket);
        }
        self.release(token);
    }

    /// The client will send nothing more: it goes once what it has sent is answered.
    ///
    /// - `errno`: why nothing more comes; 0 where it has said so.
    pub(super) fn input_ended(&mut self, token: Token, errno: i32) {
        let Some(connection) = self.connections.get(token) else {
            return;
        };
        let is_moving = connection.blocked == Some(Blocked::Moving);
        let tls = connection.tls.as_ref();
        // The core it moves to will find the end again, but for what TLS has read of it.
        let is_found_again = is_moving && !tls.is_some_and(|tls| tls.has_ended());
        if !is_found_again {
            self.tell_end(token, errno);
        }
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.ended |= !is_found_again;
        if is_moving {
            return self.finish_move(token);
        }
        if connection.blocked == Some(Blocked::Paused) && self.pause.is_some() {
            // As in Redis, what has not begun by now never does: who has given up may have asked somebody else.
            return self.close_behind_replies(token);
        }
        if connection.blocked == Some(Blocked::OnKeys) {
            return self.end_wait_of_ended(token);
        }
        if !self.waits_for_disk.is_empty() {
            self.look_at_wait_of_ended(token);
        }
        self.mark_dirty(token);
    }

    /// What its client, which sends nothing more, asked for last is given up; replies to what it asked before leave first.
    pub(super) fn close_behind_replies(&mut self, token: Token) {
        let waits_as = (self.connections.get_mut(token)).and_then(|connection| connection.waits_as);
        let place = waits_as.and_then(|id| self.waiting.place_of(id));
        self.abandon_wait(token);
        self.abandon_wait_for_disk(token);
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.blocked = None;
        connection.held = None;
        connection.input = Unread::default();
        connection.close_after_output = true;
        if let Some(place) = place {
            self.fill(token, place, b"");
        }
        self.mark_dirty(token);
    }

    /// The kernel's TLS has something for a client that is no data.
    #[cold]
    pub(super) fn control_came(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.blocked == Some(Blocked::Moving) {
            // The core it moves to will find it again.
            return self.finish_move(token);
        }
        let socket = connection.socket.as_fd();
        let keys = connection.tls.as_mut().and_then(|tls| tls.kernel());
        let Some(control) = keys.map(|keys| keys.take_control(socket)) else {
            return self.input_ended(token, 0);
        };
        match control {
            Control::GoesOn => self.ring_work.push(RingWork::Receive(token)),
            Control::Data(bytes) => {
                self.ring_work.push(RingWork::Receive(token));
                self.on_bytes(token, &bytes);
            }
            Control::Ended => self.input_ended(token, 0),
            Control::Failed(reason) => {
                client_log::tell_unreadable(&connection.peer, &reason);
                self.close(token);
            }
        }
    }

    /// Frees a closed connection's place once the kernel has let go of it.
    #[inline]
    pub(super) fn release(&mut self, token: Token) {
        let connection = self.connections.get(token);
        if connection.is_some_and(|connection| connection.closed) {
            self.release_closed(token);
        }
    }

    fn release_closed(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let is_subscribed = connection.subscriptions.is_some();
        let is_used = connection.receiving || connection.sending || connection.runs_block;
        if !connection.closed || is_used || is_subscribed {
            return;
        }
        if let Some(mut connection) = self.connections.remove(token) {
            self.unaccount(&mut connection);
        }
    }

    /// Sends a connection to the core it is moving to, once nothing of it is left here.
    pub(super) fn finish_move(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.blocked != Some(Blocked::Moving)
            || connection.closed
            || connection.receiving
            || connection.sending
            || !connection.output.is_empty()
            || connection.holding.is_some()
            || connection.tls_wants_write()
        {
            return;
        }
        let Some(mut connection) = self.connections.remove(token) else {
            return;
        };
        let target = usize::from(connection.moving_to.take().unwrap_or(self.id));
        self.unaccount(&mut connection);
        connection.blocked = None;
        // A place on this core's lists of connections with output is none on the other's.
        connection.dirty = false;
        connection.is_active = false;
        connection.is_pushed = false;
        // It has been counted there since it was to move.
        connection.is_expected = false;
        self.counters.moves_out += 1;
        self.mesh.send(target, Message::Adopt(connection));
    }

    /// A connection that was to move does not, as its client does not take what it is sent: it may read only when all that it
    /// writes has been received.
    #[cold]
    fn give_up_move(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.stay(&self.mesh.board().cores, self.id);
        connection.blocked = None;
        // Where that has not stopped yet, it begins again when it has.
        self.ring_work.push(RingWork::Receive(token));
        self.resumes.push(token);
    }

    /// Puts a connection on the list of those with output.
    #[inline]
    pub fn mark_dirty(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(token);
        }
    }

    // ---- the tick

    /// What is due ten times a second: expiry, pauses, idle clients, output limits.
    ///
    /// - Returns whether that was done: DEBUG PAUSE-CRON has all of it rest but what somebody waits for.
    pub(super) fn tick(&mut self) -> bool {
        if self.id == 0 {
            self.answer_http();
        }
        if self.has_pause_ended() {
            self.unpause();
        }
        if self.mesh.board().switches.has_ticks_rest() {
            return false;
        }
        self.counters.ticks += 1;
        if self.id == 0 {
            self.look_at_save_points();
            self.look_at_backup();
            self.look_at_certificates();
            self.look_whether_to_tell();
        }
        let steps_count = self.counters.transactions + self.steps_count;
        let hops_count = self.counters.hops_in + self.counters.hops_out + steps_count;
        self.patience = self.pace.tick(self.now_us, hops_count);
        // A tenth of the connections a tick, at least 64, so that 10,000 clients cost a core little.
        let places = self.connections.places_count();
        for _ in 0..(places / 10).max(64).min(places) {
            self.sweep = if self.sweep + 1 >= places {
                0
            } else {
                self.sweep + 1
            };
            if let Some(token) = self.connections.token_at(self.sweep) {
                self.check_client(token);
            }
        }
        self.look_whether_to_compact();
        self.tick_clients_memory();
        let now_ms = self.now_ms;
        if self.shard.hot_keys().tick(now_ms) && self.id == 0 {
            self.note_end_of_hot_keys();
        }
        self.tick_peak();
        spare_mappings::tick();
        self.window.trim();
        if self.spans.capacity() > SPANS_KEPT_MAX {
            self.spans = Vec::new();
        }
        self.counters.sample(self.now_ms, self.commands_count);
        true
    }

    /// Every `tls-auto-reload-interval` seconds: whether the files of certificates and keys have changed.
    fn look_at_certificates(&mut self) {
        let interval_ms = self.options.tls_auto_reload_interval * 1000;
        if interval_ms == 0 || self.now_ms - self.certificates_seen_ms < interval_ms {
            return;
        }
        self.certificates_seen_ms = self.now_ms;
        match self.listeners.reload_changed(&self.options.clone()) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("certificates and keys of TLS have changed and are in force")
            }
            Err(reason) => tracing::warn!(
                reason,
                "cannot use the certificates or keys of TLS that are there now"
            ),
        }
    }

    pub(super) fn check_client(&mut self, token: Token) {
        let timeout_ms = self.options.timeout * 1000;
        let now_ms = self.now_ms;
        let peak_ms = self.mesh.board().switches.reply_peak_ms();
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        // A subscriber has nothing to say.
        let idle = connection.blocked.is_none()
            && connection.is_drained()
            && !connection.session.subscribed
            && !connection.session.monitoring;
        if timeout_ms > 0 && idle && now_ms - connection.last_active_ms > timeout_ms {
            client_log::tell_idle(&connection.peer);
            self.close(token);
            return;
        }
        if connection.blocked == Some(Blocked::Moving) && connection.sending {
            self.give_up_move(token);
            return;
        }
        if now_ms.saturating_sub(connection.reply_peak_since_ms) > peak_ms {
            connection.reply_peak_since_ms = now_ms;
            connection.reply_bytes_peak = connection.output_bytes();
        }
        let now_s = now_ms / 1000;
        (self.recent_input).note(now_s, connection.input_buffer_bytes() as u64);
        (self.recent_output).note(now_s, listed_output_bytes(connection) as u64);
        connection.input.shrink();
        self.check_output(token);
    }

    /// Whether a pause is over whose connections do not know it yet: they are told ten times a second.
    pub(super) fn has_pause_ended(&self) -> bool {
        self.pause
            .is_some_and(|pause| pause.until_ms <= self.now_ms)
    }

    /// Ends the pause and lets its connections go on, in the order they came in.
    pub fn unpause(&mut self) {
        self.pause = None;
        self.shard.keys.set_expiry_paused(self.holds_writes);
        // Those that wait for more than this do so again. The last that is to be resumed is resumed first.
        for token in std::mem::take(&mut self.paused_connections)
            .into_iter()
            .rev()
        {
            if let Some(connection) = self.connections.get_mut(token)
                && connection.blocked == Some(Blocked::Paused)
            {
                connection.blocked = None;
                connection.paused_behind = Some(connection.commands_count);
                self.resumes.push(token);
            }
        }
    }

    /// Keeps writes waiting, or lets them go on.
    pub(super) fn hold_writes(&mut self, holds: bool) {
        self.holds_writes = holds;
        let is_paused = self.pause.is_some_and(|pause| pause.until_ms > self.now_ms);
        self.shard.keys.set_expiry_paused(holds || is_paused);
        if !holds && !is_paused {
            self.unpause();
        }
    }

    /// Closes a client whose unsent output is over its limit.
    pub fn check_output(&mut self, token: Token) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.is_copied_to {
            return; // It has a piece at a time.
        }
        let limit = self.options.output_limit(connection.session.subscribed);
        let bytes = connection.output_bytes() as u64;
        let is_stranger = connection.session.is_stranger && bytes > STRANGER_OUTPUT_BYTES_MAX;
        let over_hard = is_stranger || limit.hard_bytes > 0 && bytes > limit.hard_bytes;
        let over_soft = limit.soft_bytes > 0 && bytes > limit.soft_bytes;
        if !over_soft {
            connection.soft_limit_since_ms = 0;
        } else if connection.soft_limit_since_ms == 0 {
            connection.soft_limit_since_ms = now_ms;
        }
        // In whole seconds, as Redis counts them: never too early, though a turn's time is that of its beginning.
        let over_s = now_ms / 1000 - connection.soft_limit_since_ms / 1000;
        let over_soft_long = over_soft && over_s > limit.soft_seconds as i64;
        if over_hard || over_soft_long {
            self.end_over_limit(token, bytes);
        }
    }

    /// Where output is limited, before any leaves: closes a client that is over its limit; whether nothing is to leave yet,
    /// since what other cores are about to reply may bring it there.
    #[cold]
    pub(super) fn keeps_output(&mut self, token: Token) -> bool {
        self.check_output(token);
        let is_stopping = self.stopping;
        self.connections.get_mut(token).is_some_and(|connection| {
            let may_wait = !connection.session.subscribed && !connection.sending && !is_stopping;
            may_wait && connection.waits_for_its_portion()
        })
    }

    /// Ends a client that was to get more at a time than it may.
    ///
    /// - `bytes`: how much; it may not be all here.
    #[cold]
    pub(super) fn end_over_limit(&mut self, token: Token, bytes: u64) {
        let Some(connection) = self.connections.get(token) else {
            return;
        };
        if connection.closed {
            return;
        }
        self.tell_over_output_limit(connection, bytes);
        acceptor::cut(&connection.socket);
        self.counters.output_limit_disconnections += 1;
        self.close(token);
    }
}
