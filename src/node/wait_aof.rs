//! Clients that wait for disks: WAITAOF; and for replicas, of which there are none: WAIT.
//!
//! Promises  the reply comes in the turn that learns that all is durable, or when the time is up; in a block or a script at
//!           once. Writes of others that were there before count as well: what is waited for is what the logs have now, and
//!           their first base. A base in force has all before its cut, so a rewriting ends waits under every `appendfsync`.
//! Tests     tests/server/wait_aof.rs.

use std::sync::atomic::Ordering;

use super::connection::Blocked;
use super::core::{Core, RingWork};
use super::ring::Token;
use super::waiting::{End, UNBLOCKED};
use crate::commands::wait::WaitRequest;
use crate::persist::Holds;
use crate::resp::Reply;

const NO_LOG: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// A client that waits.
pub struct WaitForDisk {
    token: Token,
    request: WaitRequest,
    /// What is not known to be durable.
    holds: Holds,
    /// Microseconds since the epoch; none: for ever.
    deadline_us: Option<i64>,
}

impl WaitForDisk {
    /// Whose connection that is, if it waits for replicas.
    pub(super) fn in_vain(&self) -> Option<Token> {
        (self.request.replicas > 0).then_some(self.token)
    }
}

impl Core {
    /// WAIT or WAITAOF of a connection.
    pub(super) fn wait_for_disk(&mut self, token: Token, request: WaitRequest) {
        if request.local == Some(true) && !self.options.appendonly {
            return self.fail(token, NO_LOG);
        }
        let deadline_us = request
            .timeout_ms
            .map(|ms| self.now_us.saturating_add((ms as i64).saturating_mul(1000)));
        let mut waits = WaitForDisk {
            token,
            request,
            holds: self.log_positions(),
            deadline_us,
        };
        let may_wait = !self.captured.contains_key(&token);
        if !may_wait || self.is_met(&mut waits) {
            return self.end_wait_for_disk(&mut waits);
        }
        // From now on until nobody waits here any more (`Core::look_at_held`).
        if !waits.holds.is_empty() && self.await_disks() && self.is_met(&mut waits) {
            return self.end_wait_for_disk(&mut waits);
        }
        self.waits_for_disk.push(waits);
        if let Some(connection) = self.connections.get_mut(token) {
            // Messages go straight out from now on.
            connection.blocked = Some(Blocked::OnDisks);
            connection.push_late();
            if std::mem::take(&mut connection.stop_receiving) {
                self.ring_work.push(RingWork::Receive(token));
            }
        }
        self.mark_dirty(token);
        self.look_at_wait_of_ended(token);
    }

    /// A connection has closed.
    pub(super) fn abandon_wait_for_disk(&mut self, token: Token) {
        self.waits_for_disk.retain(|waits| waits.token != token);
    }

    /// A client has sent its last and waits: for disks it does to the end, for replicas in vain, and as in Redis nothing
    /// behind that is run any more.
    pub(super) fn look_at_wait_of_ended(&mut self, token: Token) {
        let connection = self.connections.get_mut(token);
        if connection.is_none_or(|connection| !connection.ended) {
            return;
        }
        let mut waits = self.waits_for_disk.iter();
        if waits.any(|waits| waits.in_vain() == Some(token)) {
            self.close_behind_replies(token);
        }
    }

    /// What WAITAOF and WAIT give a script, at once. Errors: the error line.
    pub(super) fn waited_for_disk(
        &mut self,
        request: WaitRequest,
        reply: &mut Reply<'_>,
    ) -> Result<(), &'static str> {
        if request.local == Some(true) && !self.options.appendonly {
            return Err(NO_LOG);
        }
        let is_durable = self.is_durable(&mut self.log_positions());
        write_reply(request, is_durable, reply);
        Ok(())
    }

    /// Where all logs are: whatever was answered before is in there.
    pub(super) fn log_positions(&self) -> Holds {
        let mut holds = Holds::new();
        for (core, flags) in self.mesh.board().cores.iter().enumerate() {
            holds.raise(core as u16, flags.log_lsn.load(Ordering::SeqCst));
        }
        if let Some(log) = self.shard.log() {
            holds.raise(self.id, log.lsn());
        }
        holds
    }

    /// Forgets what is durable by now.
    pub(super) fn prune(&self, holds: &mut Holds) {
        let board = self.mesh.board();
        holds.prune(|core| {
            board.cores[usize::from(core)]
                .synced_lsn
                .load(Ordering::SeqCst)
        });
    }

    /// Whether a start would find all of this.
    fn is_durable(&self, holds: &mut Holds) -> bool {
        self.prune(holds);
        let board = self.mesh.board();
        self.options.appendonly && holds.is_empty() && !board.lacks_base.load(Ordering::SeqCst)
    }

    fn is_met(&self, waits: &mut WaitForDisk) -> bool {
        let is_local_met = waits.request.local != Some(true) || self.is_durable(&mut waits.holds);
        is_local_met && waits.request.replicas <= 0
    }

    /// Looks again at those who wait: a log has got on, the time is up, or a client has gone.
    #[cold]
    pub(super) fn look_at_waits_for_disk(&mut self) {
        for mut waits in std::mem::take(&mut self.waits_for_disk) {
            let connection = self.connections.get_mut(waits.token);
            let is_there = connection.is_some_and(|connection| !connection.closed);
            if !is_there {
                continue;
            }
            if waits.request.local == Some(true) && !self.options.appendonly {
                self.fail(waits.token, NO_LOG);
                continue;
            }
            let is_late = waits.deadline_us.is_some_and(|at_us| at_us <= self.now_us);
            if self.is_met(&mut waits) || is_late {
                self.end_wait_for_disk(&mut waits);
            } else {
                self.waits_for_disk.push(waits);
            }
        }
    }

    /// The next time at which somebody has waited long enough, in microseconds since the epoch.
    fn next_disk_deadline(&self) -> Option<i64> {
        let waits = self.waits_for_disk.iter();
        waits.filter_map(|waits| waits.deadline_us).min()
    }

    /// How long to set an alarm for, where none is set that early.
    #[inline]
    pub(super) fn next_alarm(&mut self) -> Option<std::time::Duration> {
        let other_us = match self.waits_for_disk.is_empty() {
            true => None,
            false => self.next_disk_deadline(),
        };
        self.waiting.next_alarm(self.now_us, other_us)
    }

    /// CLIENT UNBLOCK: whether that client waited for a disk.
    pub(super) fn unblock_wait_for_disk(&mut self, client_id: u64, end: End) -> bool {
        let connections = &mut self.connections;
        let place = self.waits_for_disk.iter().position(|waits| {
            let connection = connections.get_mut(waits.token);
            connection.is_some_and(|connection| connection.session.id == client_id)
        });
        let Some(place) = place else { return false };
        let mut waits = self.waits_for_disk.swap_remove(place);
        match end {
            End::Timeout => self.end_wait_for_disk(&mut waits),
            _ => self.fail(waits.token, UNBLOCKED),
        }
        true
    }

    fn end_wait_for_disk(&mut self, waits: &mut WaitForDisk) {
        let is_durable = self.is_durable(&mut waits.holds);
        let request = waits.request;
        self.complete(waits.token, |out, session| {
            write_reply(request, is_durable, &mut Reply::new(out, session.protocol));
        });
    }
}

fn write_reply(request: WaitRequest, is_durable: bool, reply: &mut Reply<'_>) {
    if request.local.is_none() {
        return reply.integer(0);
    }
    reply.array(2);
    reply.integer(i64::from(is_durable));
    reply.integer(0);
}
