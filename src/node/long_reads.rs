//! Long replies that come in pieces (`shard/long_reads.rs`), and their connections.
//!
//!     read_on, once a turn -> a piece -> into its place among the connection's replies -> sent
//!
//! Promises  a client that does not read is not read for, but for `AHEAD_BYTES_MAX`, as long as its reply is made on its own
//!           core; whoever has gone is read for no more.
//! Tests     tests/server/long_reads.rs.

use super::connection::{Blocked, Connection};
use super::core::Core;
use super::ring::Token;
use crate::commands::Entry;
use crate::resp::Args;
use crate::router::{FromShard, Origin, ToShard};

/// So much of a reply may lie here unsent before more of it is made.
const AHEAD_BYTES_MAX: usize = 4 << 20;

impl Core {
    /// Makes the next piece of a long reply, if there is one; whether there may be more to do at once.
    #[inline]
    pub(super) fn read_on(&mut self) -> bool {
        self.shard.has_long_reads() && self.make_piece()
    }

    #[cold]
    fn make_piece(&mut self) -> bool {
        let (connections, own) = (&mut self.connections, self.id);
        self.shard.read_on(|origin| {
            if origin.core != own {
                return true;
            }
            // What has gone is found out when a piece comes for it.
            let connection = connections.get_mut(token_of(origin));
            connection.is_none_or(|it| it.closed || it.output_bytes() < AHEAD_BYTES_MAX)
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
            total_bytes,
            holds,
            slow,
        } = event
        else {
            return;
        };
        let token = token_of(&origin);
        let is_gone = (self.connections.get_mut(token)).is_none_or(|connection| connection.closed);
        if is_gone {
            if total_bytes.is_none() {
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
            connection.fill_part(origin.sequence, bytes, total_bytes);
        }
        self.has_filled(token);
    }
}

fn token_of(origin: &Origin) -> Token {
    Token {
        index: origin.connection,
        generation: origin.generation,
    }
}
