//! The lane: requests with one key as word 1, while nothing concerns them but their words.
//!
//!     window of a pipeline -> lane_of: is there anything? -> once, until a request leaves the lane
//!                          -> run_in_lane: run its row's handler here, or into another core's batch
//!
//! Promises  a request runs as `node/dispatch.rs` would run it. What it asks before each request (rights, a block, a
//!           pause, scripts, memory, logs, watches, ...) changes only by requests that leave the lane or between two
//!           turns, so it is asked once for many.
//! Not here  everything else.
//! Tests     tests/server/lane.rs.

use super::connection::Connection;
use super::core::Core;
use super::dispatch::{Dispatched, OUTPUT_LOOK_BYTES, caller};
use super::intake::Plain;
use super::ring::Token;
use crate::commands::table::Caller;
use crate::resp::Args;

/// What plain requests of a connection have in common.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    db: u16,
    caller: Caller,
    /// The shard needs no more than the handler and the log, either.
    is_bare: bool,
    /// Long strings may be sent from where they lie.
    may_lend: bool,
}

impl Core {
    /// Whether plain requests of a connection may run without a look at anything else; until it has any other request.
    #[inline]
    pub(super) fn lane_of(&self, connection: &Connection) -> Option<Lane> {
        let session = &connection.session;
        let is_plain_client = !(session.is_guarded
            | session.subscribed
            | session.monitoring
            | connection.publishing
            | session.tracking.is_some()
            | connection.block.is_some()
            | connection.under_way.is_some())
            && session.reply_mode.sends();
        let is_quiet = self.gate == 0
            && self.log_errno == 0
            && !self.is_pausing()
            && self.scripts.busy_count == 0
            && !self.monitored
            && self.slow.is_none();
        (is_plain_client && is_quiet).then(|| Lane {
            db: session.db,
            caller: caller(connection),
            is_bare: self.shard.is_bare(),
            may_lend: connection.may_borrow(),
        })
    }

    /// Runs a request in the lane.
    #[inline]
    pub(super) fn run_in_lane(
        &mut self,
        lane: &Lane,
        token: Token,
        connection: &mut Connection,
        (entry, handler): Plain,
        args: &Args<'_>,
    ) -> Dispatched {
        let mut dispatched = Dispatched::Taken;
        let shard = match self.map.shards_count() {
            1 => self.id,
            _ => self.map.shard_of(args.get(1)),
        };
        if shard == self.id {
            self.counters.local_requests += 1;
            if self.map.shards_count() > 1 {
                connection.affinity.count(shard);
            }
            match lane.is_bare && connection.is_drained() {
                true => self.run_bare(lane, token, connection, (entry, handler), args),
                false => self.run_here(token, connection, entry, args),
            }
        } else {
            dispatched = self.send_away(token, connection, entry, args, shard, None);
        }
        let is_large = args.bytes().len() as u64 >= self.thresholds.request_bytes;
        if (self.slow.is_some() | is_large) && dispatched == Dispatched::Taken {
            self.note_request(connection, entry, args);
        }
        dispatched
    }

    #[inline]
    fn run_bare(
        &mut self,
        lane: &Lane,
        token: Token,
        connection: &mut Connection,
        (entry, handler): Plain,
        args: &Args<'_>,
    ) {
        let out = &mut connection.output;
        let length = out.len();
        self.shard.may_lend(lane.may_lend);
        (self.shard).execute_bare(entry, handler, lane.db, &lane.caller, args, out);
        let lent = self.shard.take_lent();
        let mut reply_bytes = out.len() - length;
        if reply_bytes == 0 {
            return self.wait_for_pieces(token, connection, entry, args);
        }
        if let Some(lent) = lent {
            reply_bytes += lent.string.len();
            connection.lend(lent);
        }
        if self.holds_replies {
            self.hold_here(connection);
        }
        self.tell_after(token, connection);
        self.count_inlined(connection, entry);
        self.look_at_reply(entry, reply_bytes);
        if connection.output.len() > OUTPUT_LOOK_BYTES || connection.lent.is_some() {
            self.look_at_output(connection);
        }
    }
}
