//! Which keys a request locks, and how.
//!
//! Promises  no allocation; words that do not say where the keys are give `false`, never a panic.
//! Not here  which words are keys: `commands/keys.rs`.

use super::LockMode;
use crate::commands::keys::for_each_key_of;
use crate::commands::{Entry, Flags, KeySpec};
use crate::resp::Args;

/// Calls `visit(index of the word, how the command uses that key)` for every key, in the table's order.
///
/// - `false`: the words do not say (a count that is no number, a range past the end); some keys may have been visited.
pub fn for_each_lock(
    entry: &Entry,
    args: &Args<'_>,
    mut visit: impl FnMut(usize, LockMode),
) -> bool {
    let mut is_known = true;
    // Redis says of XREADGROUP's keys that they are read; what changes is in them all the same.
    let writes_what_it_reads = entry.command.flags.has(Flags::WRITE)
        && (entry.command.keys.iter()).all(|spec| mode_of(spec) == LockMode::Shared);
    for spec in entry.command.keys.iter().filter(|spec| !spec.is_fake()) {
        let mode = if writes_what_it_reads {
            LockMode::Exclusive
        } else {
            mode_of(spec)
        };
        is_known &= for_each_key_of(spec, args, &mut |index| visit(index, mode));
    }
    is_known
}

/// What only reads is locked shared.
fn mode_of(spec: &KeySpec) -> LockMode {
    if spec.access.mode == "RO" {
        LockMode::Shared
    } else {
        LockMode::Exclusive
    }
}
