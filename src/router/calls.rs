//! Calls of commands that are kept: those that a block has queued, and what is noted or counted of those that have run.
//!
//! Not here  how they are noted and counted: `node/slowlog.rs`, `node/block.rs`.

use super::packed::Step;
use crate::commands::redact::logged_words;
use crate::commands::{CommandError, Entry};
use crate::resp::Args;
use crate::resp::args::OwnedArgs;

/// A call that took longer, or whose reply is larger, than passes without a note.
#[derive(Clone)]
pub struct SlowCall {
    /// What ran.
    pub entry: &'static Entry,
    /// Nanoseconds it took.
    pub took_ns: u64,
    /// Bytes of its reply.
    pub reply_bytes: u64,
    /// Its words, cut and without secrets.
    pub words: OwnedArgs,
}

impl SlowCall {
    /// Notes a call.
    #[cold]
    pub fn new(entry: &'static Entry, took_ns: u64, reply_bytes: usize, args: &Args<'_>) -> Self {
        Self {
            entry,
            took_ns,
            reply_bytes: reply_bytes as u64,
            words: logged_words(entry, args),
        }
    }
}

/// A command that MULTI has queued; its arity has been checked.
#[derive(Clone)]
pub struct Queued {
    /// What to run.
    pub entry: &'static Entry,
    /// All words, the name included.
    pub args: OwnedArgs,
    /// Its user has lost the right to it: this error stands in the place of its reply.
    pub denied: Option<Box<CommandError>>,
}

impl Queued {
    /// The same, as a shard runs it.
    pub fn step(&self) -> Step<'_> {
        Step {
            entry: self.entry,
            args: self.args.as_args(),
            denied: self.denied.as_deref(),
        }
    }
}

/// A command of a block or a script that ran under its locks, as what is counted of it.
pub struct CountedCall {
    /// What ran.
    pub entry: &'static Entry,
    /// What is to be counted of its error, if it failed.
    pub failure: Option<CallFailure>,
    /// Bytes of its reply.
    pub reply_bytes: usize,
    /// Its words, where it is to be noted by itself and anybody wants that.
    pub words: Option<OwnedArgs>,
}

/// What is to be counted of a command that failed.
#[derive(Debug)]
pub enum CallFailure {
    /// Its error, with this line.
    Line(Vec<u8>),
    /// Only that it failed: the error was counted where it came from, in a command that a script called.
    Counted,
}
