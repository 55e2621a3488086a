//! Scripts that run for long: their turns, what others are told meanwhile, SCRIPT KILL and SCRIPT FLUSH.
//!
//!     over `busy-reply-threshold` -> a slice of each turn of the loop; clients of this core are told BUSY
//!     SCRIPT KILL -> every core looks -> one that has not written ends with its error
//!
//! Promises  the other cores serve on; a script that loops for ever does not keep its core from SCRIPT KILL and SHUTDOWN.
//! Not here  where scripts run: `node/script.rs`.
//! Tests     tests/server/scripts.rs.

use super::core::Core;
use super::gather::Asker;
use super::ring::Token;
use super::script::Hosted;
use crate::commands::{Entry, Flags};
use crate::resp::Reply;
use crate::router::TxId;
use crate::script::{Answer, RunName};

/// What clients are told.
pub(super) const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
                          either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE \
                          command.";
const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";

/// What a core answers to the question whether it has a script to end.
pub(super) const NONE: usize = 0;
/// It has ended one.
pub(super) const KILLED: usize = 1;
/// It has one that has written.
pub(super) const HAS_WRITTEN: usize = 2;
/// It has a function, which SCRIPT KILL does not end.
const IS_FUNCTION: usize = 3;
/// It has a script, which FUNCTION KILL does not end.
const IS_SCRIPT: usize = 4;

const BUSY_WITH_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

impl Core {
    /// Whether a command may run while a script does for long.
    #[cold]
    pub(super) fn is_busy_for(&self, entry: &Entry) -> bool {
        !entry.command.flags.has(Flags::ALLOW_BUSY)
    }

    /// Whether a script has used up its turn: it has run for longer than others are made to wait without a word.
    pub(super) fn is_over_time(&mut self, hosted: &mut Hosted) -> bool {
        let limit_ms = self.options.busy_reply_threshold;
        if hosted.is_busy {
            return true;
        }
        let took_ns = self.clock.delta_as_nanos(hosted.began, self.clock.raw());
        if limit_ms <= 0 || took_ns / 1_000_000 < limit_ms as u64 {
            return false;
        }
        tracing::warn!(
            milliseconds = took_ns / 1_000_000,
            script = %String::from_utf8_lossy(hosted.run.name().as_bytes()),
            "a script is still running; SCRIPT KILL ends it unless it has written"
        );
        hosted.is_busy = true;
        self.scripts.busy_count += 1;
        true
    }

    /// A script goes on with the next turn of the loop.
    pub(super) fn put_off(&mut self, tx: TxId, hosted: Hosted) {
        self.scripts.runs.insert(tx, hosted);
        self.scripts.slow.push(tx);
    }

    pub(super) fn script_is_over(&mut self, hosted: &Hosted) {
        self.scripts.busy_count -= usize::from(hosted.is_busy);
    }

    /// Gives each script that runs for long its share of the turn; whether there are any.
    pub fn run_slow_scripts(&mut self) -> bool {
        if self.scripts.slow.is_empty() {
            return false;
        }
        for tx in std::mem::take(&mut self.scripts.slow) {
            if let Some(hosted) = self.scripts.runs.remove(&tx) {
                self.go_on(tx, hosted, Answer::Begin);
            }
        }
        self.settle();
        !self.scripts.slow.is_empty()
    }

    /// SCRIPT KILL or FUNCTION KILL, this core's part: neither ends what the other is for.
    pub(super) fn kill_script(&mut self, is_function: bool) -> usize {
        let mut found = NONE;
        for hosted in self
            .scripts
            .runs
            .values_mut()
            .filter(|hosted| hosted.is_busy)
        {
            let is_one = matches!(hosted.run.name(), RunName::Function(_));
            if hosted.has_written {
                found = HAS_WRITTEN;
            } else if is_one != is_function && found == NONE {
                found = if is_one { IS_FUNCTION } else { IS_SCRIPT };
            } else if is_one != is_function {
            } else {
                hosted.is_killed = true;
                return KILLED;
            }
        }
        found
    }

    /// The server ends: no script is waited for that would not.
    pub(super) fn end_slow_scripts(&mut self) {
        let runs = self.scripts.runs.values_mut();
        runs.filter(|hosted| hosted.is_busy)
            .for_each(|hosted| hosted.is_killed = true);
    }

    pub(super) fn has_killed(&mut self, token: Token, found: &[usize]) {
        let text = if found.contains(&KILLED) {
            None
        } else if found.contains(&HAS_WRITTEN) {
            Some(UNKILLABLE)
        } else if found.contains(&IS_FUNCTION) {
            Some(BUSY_WITH_FUNCTION)
        } else if found.contains(&IS_SCRIPT) {
            Some(BUSY)
        } else {
            Some(NOT_BUSY)
        };
        match text {
            Some(text) => self.fail(token, text),
            None => self.complete(token, |out, session| Reply::new(out, session.protocol).ok()),
        }
    }

    pub(super) fn flush_scripts_everywhere(&mut self, token: Token) {
        self.mesh.board().scripts.flush();
        self.ask_all_to_flush_scripts(Asker::Connection(token));
    }
}
