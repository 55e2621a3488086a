//! Draws: the members that a negative count asks for, each drawn from all, so that any number may be asked for.
//!
//! Redis sends them until memory or the client's output limit ends it.
//!
//! Promises  a reply of more than `bytes_max` is refused; one that cannot be shorter is refused before anything is drawn.
//! Tests     tests/commands/draws.rs.

use super::CommandError;
use crate::resp::Reply;

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
