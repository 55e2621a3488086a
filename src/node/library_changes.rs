//! Changes of libraries: each waits until no call is under way that was judged by the old ones.
//!
//!     FUNCTION LOAD, or EXEC of a block with one -> from now on no function is taken to stay with its keys
//!         -> each core answers when none is on its way that was -> the change
//!
//! Whether a function stays with the keys it declares decides where its call may overtake and be overtaken, and whether it
//! needs the token. Both are decided when it begins, and its text is looked at again where and when it runs: so that must not
//! have become another one in between.
//!
//! Promises  a function that was taken to stay with its keys does. While nobody changes libraries a call pays one load for it.
//! Not here  the change itself: `node/functions.rs`.
//! Tests     tests/server/functions.rs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::busy_scripts::busy_text;
use super::core::{Core, Purpose as Ends, Start};
use super::functions::calls_function;
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use super::ring::Token;
use crate::commands::session::FunctionRequest;

/// A change that is about to be made, or is being made: counted as such until it is dropped.
pub(super) struct Changing(Arc<AtomicUsize>);

impl Changing {
    pub(super) fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What waits for the cores.
pub(super) enum Change {
    /// This change.
    Request(FunctionRequest),
    /// A block with one.
    Block(Box<Start>),
}

impl Core {
    /// A change of libraries that is no part of a block.
    pub(super) fn prepare_change(&mut self, token: Token, request: FunctionRequest) {
        let changing = Changing::begin(&self.mesh.board().functions.changing);
        self.ask_for_rest(token, Change::Request(request), changing);
    }

    /// A block that changes libraries, which has not begun.
    pub(super) fn prepare_block_of_changes(&mut self, mut start: Start) {
        let changing = Changing::begin(&self.mesh.board().functions.changing);
        let token = start.token;
        if let Ends::Block(running) = &mut start.purpose {
            running.changing = Some(Changing::begin(&self.mesh.board().functions.changing));
        }
        self.ask_for_rest(token, Change::Block(Box::new(start)), changing);
    }

    fn ask_for_rest(&mut self, token: Token, change: Change, changing: Changing) {
        let purpose = Purpose::Libraries(change, changing);
        self.ask_all(Asker::Connection(token), purpose, Question::FunctionsRest);
    }

    /// Every core has answered.
    pub(super) fn functions_rest(&mut self, token: Token, change: Change, answers: Vec<Answer>) {
        let busy = answers.into_iter().find_map(|answer| match answer {
            Answer::Refused(text) => Some(text),
            _ => None,
        });
        match (change, busy) {
            (Change::Request(request), None) => self.change_libraries(token, request),
            (Change::Request(_), Some(text)) => self.fail_with(token, &text),
            (Change::Block(start), None) => self.starts.push_back(*start),
            (Change::Block(start), Some(text)) => {
                self.refuse_start(*start, text == busy_text(true).as_bytes());
            }
        }
    }

    /// Answers those who want to change libraries, if they may; whether there were any to answer.
    pub(super) fn answer_when_functions_rest(&mut self) -> bool {
        let answer = match self.has_judged_calls() {
            false => None,
            true => {
                // It will not end before somebody does something about that.
                let all = self.mesh.board().busy_scripts.all();
                let Some(busy) = all.first() else {
                    return false;
                };
                Some(busy.text())
            }
        };
        for (from, id) in std::mem::take(&mut self.functions.waiting) {
            let answer = match answer {
                None => Answer::Done,
                Some(text) => Answer::Refused(text.into()),
            };
            self.answer(from, id, answer);
        }
        true
    }

    /// Whether calls of functions are under way that were taken to stay with their keys.
    fn has_judged_calls(&self) -> bool {
        let is_judged = |purpose: &Ends, has_token: bool, entry| match purpose {
            Ends::Script(_) => !has_token && calls_function(entry),
            Ends::Block(running) => !has_token && running.calls_functions,
            _ => false,
        };
        self.connections
            .iter()
            .any(|connection| connection.has_function_under_way())
            || (self.starts.iter())
                .any(|start| is_judged(&start.purpose, start.needs_token, start.entry))
            || self.transactions.iter().any(|(tx, coordinated)| {
                let has_token = coordinated.transaction.has_token();
                is_judged(&coordinated.purpose, has_token, coordinated.entry)
                    && !self.scripts.runs.contains_key(tx)
            })
    }
}
