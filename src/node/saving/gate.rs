//! What is refused while something is loaded, or while snapshots fail.
//!
//! Not here  a log that cannot be written: `node/durability.rs`.
//! Tests     tests/server/snapshot.rs.

use std::sync::atomic::Ordering;

use crate::commands::{CommandError, Entry, Flags};
use crate::node::block::says_it_writes;
use crate::node::connection::Connection;
use crate::node::core::Core;
use crate::node::mesh::{GATE_LOADING, GATE_NO_WRITES};
use crate::resp::Args;

const NO_WRITES: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
     Commands that may modify the data set are disabled, because this instance is configured to report errors during \
     writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details \
     about the RDB error.";

impl Core {
    /// Core 0: writes are refused while snapshots are wanted and fail.
    pub(in crate::node) fn refresh_gate(&mut self) {
        let refuses = self.saving.has_failed
            && self.options.stop_writes_on_bgsave_error
            && !self.options.save.is_empty();
        let gate = &self.mesh.board().gate;
        if refuses {
            gate.fetch_or(GATE_NO_WRITES, Ordering::Relaxed);
        } else {
            gate.fetch_and(!GATE_NO_WRITES, Ordering::Relaxed);
        }
    }

    /// Why a command may not run now, where the gate is not open to all.
    #[cold]
    pub(in crate::node) fn shut_out(
        &mut self,
        connection: &Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<CommandError> {
        let flags = entry.command.flags;
        if self.gate & GATE_LOADING != 0 && !flags.has(Flags::LOADING) {
            return Some("LOADING Redis is loading the dataset in memory".into());
        }
        if self.gate & GATE_NO_WRITES != 0 && self.needs_disk(connection, entry, args) {
            return Some(NO_WRITES.into());
        }
        None
    }

    /// Whether a request is refused while writes are: one that writes, a script that says what it is and not that it does not
    /// write, and PING, by which others see that something is wrong.
    #[cold]
    pub(in crate::node) fn needs_disk(
        &mut self,
        connection: &Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> bool {
        let is_script = entry.command.run.is_script();
        says_it_writes(connection, entry)
            || entry.container.is_none() && entry.command.name == "PING"
            || is_script
                && self
                    .declared_flags(entry, args)
                    .is_some_and(|script| !script.no_writes)
    }

    /// Why no write may begin now, whoever wants it.
    #[inline]
    pub(in crate::node) fn refusal_by_disk(&self) -> Option<CommandError> {
        if self.log_errno != 0 {
            return Some(self.refusal_of_write());
        }
        (self.gate & GATE_NO_WRITES != 0).then(|| NO_WRITES.into())
    }
}
