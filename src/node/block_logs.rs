//! Blocks that turn logs on: EXEC's reply waits until they are written.
//!
//!     CONFIG SET in a block -> noted -> the block ends, its locks go -> the cut -> EXEC's reply
//!
//! Promises  what is written after EXEC's reply is in the logs, as after CONFIG SET's own; logs that cannot begin are the error of
//!           that command, in its place.
//! Not here  how logs begin: `node/rewrite.rs`.
//! Tests     tests/server/rewrite.rs.

use super::core::{Core, Purpose};
use super::gather::{Asker, Purpose as Gathered};
use super::message::{Answer, Question};
use super::ring::Token;
use crate::commands::Entry;
use crate::resp::Reply;
use crate::resp::args::OwnedArgs;
use crate::resp::element::elements;

/// A block that has run and whose reply waits.
pub struct Ended {
    /// EXEC.
    pub entry: &'static Entry,
    /// When it began.
    pub stamp: u64,
    /// Its words, if they are kept.
    pub words: Option<OwnedArgs>,
    /// The reply, if the logs begin.
    pub reply: Vec<u8>,
    /// Its error was counted where it came from.
    pub has_counted: bool,
    /// Which of its commands want logs, from 0.
    pub positions: Vec<usize>,
}

impl Core {
    /// The command that a block carries out here wants logs, which begin when the block is over.
    pub(super) fn block_wants_logs(&mut self, token: Token) {
        let Some(captured) = self.captured.get(&token) else {
            return;
        };
        if let Some(coordinated) = self.transactions.get_mut(&captured.tx)
            && let Purpose::Block(running) = &mut coordinated.purpose
        {
            let position = coordinated.transaction.position();
            running.wants_logs.push(position);
        }
    }

    /// A block that wants logs has run.
    pub(super) fn wait_for_logs_of_block(&mut self, token: Token, ended: Ended) {
        let purpose = Gathered::LogsOfBlock(Box::new(ended));
        self.ask(0, Asker::Connection(token), purpose, Question::AwaitLogs);
    }

    /// The logs are written, or cannot be.
    pub(super) fn logs_of_block(&mut self, token: Token, ended: Ended, answer: Option<Answer>) {
        let Ended {
            entry,
            stamp,
            words,
            mut reply,
            has_counted,
            positions,
        } = ended;
        if let Some(Answer::Refused(text)) = answer
            && let Some(replaced) = with_errors(&reply, &positions, &text)
        {
            reply = replaced;
        }
        self.finish((token, None), entry, stamp, words, &reply, has_counted);
    }
}

/// The array with this error in some places.
fn with_errors(reply: &[u8], positions: &[usize], text: &[u8]) -> Option<Vec<u8>> {
    let parts = elements(reply)?;
    let mut out = reply[..reply.len() - parts.rest().len()].to_vec();
    for (position, element) in parts.enumerate() {
        if positions.contains(&position) {
            Reply::new(&mut out, crate::resp::Protocol::Resp2).error_bytes(text);
        } else {
            out.extend_from_slice(element);
        }
    }
    Some(out)
}
