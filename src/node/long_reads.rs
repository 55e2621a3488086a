//! Long replies that come in pieces (`shard/long_reads.rs`), and their connections.
//!
//!     read_on, once a turn -> a piece -> into its place among the connection's replies -> sent
//!
//!     from another core: AHEAD_PIECES_MAX pieces, then one for each that has been sent
//!
//! Promises  the reply whose turn it is waits for its client alone, whatever lies here of those behind it; a client that does
//!           not read is not read for, but for `AHEAD_BYTES_MAX` and as many pieces, unless it has written more behind its
//!           request than is received of it; whoever has gone is read for no more; a reply that is over the client's hard
//!           limit of output ends the client, as one that comes whole does.
//! Tests     tests/server/long_reads.rs, tests/server/stuck.rs.

use super::connection::{Blocked, Connection};
use super::core::Core;
use super::ring::Token;
use crate::commands::Entry;
use crate::resp::Args;
use crate::router::{FromShard, Origin, ShardId, ToShard};

/// So much of a reply may lie here unsent before more of it is made.
const AHEAD_BYTES_MAX: usize = 4 << 20;

/// So many pieces may be on their way from another core, or lie here.
const AHEAD_PIECES_MAX: u32 = 4;

/// A piece from another core lies here: when there is room for more, that is told.
pub(super) struct Ahead {
    token: Token,
    sequence: u64,
    shard: ShardId,
    reading: u64,
}

impl Core {
    /// Makes the next piece of a long reply, if there is one; whether there may be more to do at once.
    #[inline]
    pub(super) fn read_on(&mut self) -> bool {
        self.shard.has_long_reads() && self.make_piece()
    }

    #[cold]
    fn make_piece(&mut self) -> bool {
        let (connections, own) = (&mut self.connections, self.id);
        self.shard.read_on(|origin, ahead_count| {
            if origin.core != own {
                return ahead_count < AHEAD_PIECES_MAX;
            }
            // What has gone is found out when a piece comes for it.
            let connection = connections.get_mut(token_of(origin));
            connection.is_none_or(|it| it.closed || is_wanted(it, origin.sequence))
        })
    }

    /// A request in the lane has written nothing: its reply comes in pieces.
    #[cold]
    pub(super) fn wait_for_pieces(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) {
        let request = self.request(token, connection, entry);
        if self.shard.begin_long_read(&request, args) {
            connection.reserve(false);
            self.stop_behind_long_read(connection);
        }
        self.hold_here(connection);
        self.tell_after(token, connection);
        self.count(connection, entry);
        // Whatever it takes is noted when it ends.
        self.slow = None;
    }

    /// What follows a long read on its connection waits for its reply: that would only lie here.
    pub(super) fn stop_behind_long_read(&self, connection: &mut Connection) {
        connection.blocked.get_or_insert(Blocked::UntilDrained);
    }

    /// A piece of a long reply has come.
    pub(super) fn part_came_of_reply(&mut self, event: FromShard) {
        let FromShard::Part {
            reading,
            shard,
            origin,
            bytes,
            bytes_so_far,
            bytes_min,
            is_last,
            holds,
            slow,
        } = event
        else {
            return;
        };
        let token = token_of(&origin);
        let is_gone = (self.connections.get_mut(token)).is_none_or(|connection| connection.closed);
        if is_gone {
            if !is_last {
                let end = ToShard::EndRead { reading };
                self.send_to_shards(&mut vec![(shard, end)]);
            }
            return;
        }
        if let Some(call) = slow {
            self.note_calls(token, vec![*call]);
        }
        self.hold(token, &holds);
        if let Some(connection) = self.connections.get_mut(token) {
            let is_subscribed = connection.session.subscribed;
            let hard_bytes = self.options.output_limit(is_subscribed).hard_bytes;
            if hard_bytes > 0 && bytes_min > hard_bytes {
                // Before more of it is sent: nothing at all where that can be told from the beginning, as in Redis.
                self.end_over_limit(token, bytes_min);
            } else {
                let ran_at = self.ran_at;
                connection.fill_part(origin.sequence, bytes, bytes_so_far, is_last, ran_at);
            }
        }
        self.has_filled(token);
        if !is_last && shard != self.id {
            self.aheads.push(Ahead {
                token,
                sequence: origin.sequence,
                shard,
                reading,
            });
        }
    }

    /// Tells other cores which of their pieces have been taken.
    #[inline]
    pub(super) fn want_pieces(&mut self) {
        if !self.aheads.is_empty() {
            self.want_more_pieces();
        }
    }

    #[cold]
    fn want_more_pieces(&mut self) {
        let mut wanted = Vec::new();
        let connections = &mut self.connections;
        self.aheads.retain(|ahead| {
            let connection = connections.get_mut(ahead.token);
            let reading = ahead.reading;
            match connection.filter(|connection| !connection.closed) {
                None => wanted.push((ahead.shard, ToShard::EndRead { reading })),
                Some(connection) if is_wanted(connection, ahead.sequence) => {
                    wanted.push((ahead.shard, ToShard::ReadOn { reading }));
                }
                Some(_) => return true,
            }
            false
        });
        self.send_to_shards(&mut wanted);
    }
}

/// Whether more of a reply is to be made. It is all made for a client that has written so much behind its request that no more is
/// received: it may read only when that has been.
fn is_wanted(connection: &Connection, sequence: u64) -> bool {
    connection.stop_receiving || connection.bytes_before(sequence) < AHEAD_BYTES_MAX
}

fn token_of(origin: &Origin) -> Token {
    Token {
        index: origin.connection,
        generation: origin.generation,
    }
}
