//! Draws: the members that a negative count asks for, each drawn from all, so that any number may be asked for.
//!
//! Redis sends them until memory or the client's output limit ends it. Here a request that stands for itself is answered in
//! pieces, as its client reads them; nobody waits for its key meanwhile: when that changes, what the draws are from is
//! copied, unless fewer are left to draw.
//!
//! Promises  where a reply has to be whole (in a transaction or a script) one of more than `bytes_max` is refused, and one
//!           that cannot be shorter is refused before anything is drawn.
//! Tests     tests/commands/draws.rs, tests/shard/long_reads.rs, tests/server/long_reads.rs.

use super::CommandError;
use super::pieces::{Piece, Walk};
use crate::base::rng::Rng;
use crate::ds::key_table::{ReadLimit, Rest};
use crate::keyspace::Collection;
use crate::resp::{Protocol, Reply};

/// What is asked for is more than one reply may hold.
pub const OUT_OF_RANGE: &str = "ERR value is out of range";

/// An empty bulk string.
const DRAW_BYTES_MIN: u64 = 6;

/// Replies with `count` draws: first `head` with their number, then `draw` for each.
///
/// - `bytes_max`: of the whole reply.
/// - Errors: nothing is left of the reply.
pub fn reply_draws(
    count: u64,
    bytes_max: u64,
    reply: &mut Reply<'_>,
    head: impl FnOnce(usize, &mut Reply<'_>),
    mut draw: impl FnMut(&mut Reply<'_>),
) -> Result<(), CommandError> {
    if count > bytes_max / DRAW_BYTES_MIN {
        return Err(OUT_OF_RANGE.into());
    }
    let start = reply.len();
    head(count as usize, reply);
    for _ in 0..count {
        draw(reply);
        if (reply.len() - start) as u64 > bytes_max {
            reply.truncate(start);
            return Err(OUT_OF_RANGE.into());
        }
    }
    Ok(())
}

/// What is shown of what is drawn.
pub(super) trait Drawn: Send + 'static {
    /// What is drawn from.
    type Of: Collection;

    /// What replies with one of all, each as likely as any other, and is called about `count` times.
    ///
    /// - Cost: one walk through a listpack where `count` is more than a few, so that no draw seeks.
    fn drawer(&self, of: &Self::Of, count: u64) -> impl FnMut(&mut Rng, &mut Reply<'_>);

    /// Replies with all of them, and calls `after_each`.
    fn each(&self, of: &Self::Of, reply: &mut Reply<'_>, after_each: &mut dyn FnMut(&Reply<'_>));
}

/// Draws in pieces.
pub(super) struct Draws<D> {
    pub(super) drawn: D,
    pub(super) left_count: u64,
    pub(super) rng: Rng,
}

impl<D: Drawn> Walk for Draws<D> {
    type Of = D::Of;

    // A slow client would keep others from the key for as long as it likes.
    const LOCKS: bool = false;

    fn bytes_min(&self) -> u64 {
        self.left_count.saturating_mul(DRAW_BYTES_MIN)
    }

    fn go_on(&mut self, of: &D::Of, piece: &mut Piece<'_>) -> bool {
        let Self {
            drawn,
            left_count,
            rng,
        } = self;
        let mut draw = drawn.drawer(of, (*left_count).min(piece.room_count() as u64));
        draw_on(left_count, piece, |reply| draw(rng, reply))
    }

    fn leave(mut self, of: &D::Of, piece: &mut Piece<'_>) -> Option<Box<dyn Rest>> {
        let protocol = piece.protocol;
        let (mut shown, mut ends) = (Vec::new(), Vec::new());
        let mut reply = Reply::new(&mut shown, protocol);
        self.drawn
            .each(of, &mut reply, &mut |reply| ends.push(reply.len()));
        if self.left_count <= ends.len() as u64 {
            while !self.go_on(of, piece) {}
            return None;
        }
        Some(Box::new(Copied {
            protocol,
            shown,
            ends,
            left_count: self.left_count,
            rng: self.rng,
        }))
    }
}

/// Draws from what there was.
struct Copied {
    protocol: Protocol,
    /// All of it, as it is replied with, one after the other.
    shown: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    left_count: u64,
    rng: Rng,
}

impl Rest for Copied {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let mut piece = Piece::new(self.protocol, limit, out);
        let Self { ends, rng, .. } = self;
        draw_on(&mut self.left_count, &mut piece, |reply| {
            let index = rng.below(ends.len() as u64) as usize;
            let start = index.checked_sub(1).map_or(0, |before| ends[before]);
            reply.raw(&self.shown[start..ends[index]]);
        })
    }
}

/// Draws until the piece is full; whether all are drawn.
fn draw_on(
    left_count: &mut u64,
    piece: &mut Piece<'_>,
    mut draw: impl FnMut(&mut Reply<'_>),
) -> bool {
    while *left_count > 0 {
        draw(&mut piece.reply());
        *left_count -= 1;
        if piece.is_full_after(1) {
            break;
        }
    }
    *left_count == 0
}
