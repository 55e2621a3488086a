//! Changes of libraries, and SCRIPT FLUSH: each waits until no call is under way that was judged by the old ones, and no block
//! that calls scripts is in its midst.
//!
//!     FUNCTION LOAD, or EXEC of a block with one -> from now on no function is taken to stay with its keys, and no other block
//!         with scripts begins -> each core answers when nothing of those is on its way -> the change -> they begin
//!
//! Whether a function stays with the keys it declares decides where its call may overtake and be overtaken, and whether it
//! needs the token. Both are decided when it begins, for a block when that begins, and its text is looked at again where and
//! when it runs: so that must not have become another one in between.
//!
//! Changes are made one after the other; what a block has changed is as it left it until it ends.
//!
//! Promises  a function that was taken to stay with its keys does, and a block loses none of its scripts between its begin and its end.
//!           While nobody changes them a call, and a block, pays one load for it.
//! Not here  the change itself: `node/functions.rs`, `node/script_known.rs`.
//! Tests     tests/server/functions.rs, tests/server/scripts.rs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::busy_scripts::busy_text;
use super::connection::{Blocked, Connection};
use super::core::{Core, Purpose as Ends, Start};
use super::functions::{FunctionStore, calls_function};
use super::gather::{Asker, Gather, Purpose};
use super::message::{Answer, Question};
use super::ring::Token;
use crate::commands::function::changes_libraries;
use crate::commands::session::FunctionRequest;
use crate::commands::{Entry, NodeRequest};
use crate::persist::record::Dependency;

/// A change that is about to be made, or is being made: the only one of the process until it is dropped.
pub(super) struct Changing {
    is_changing: Arc<AtomicBool>,
    /// What a block has changed is logged with the rest of it, here.
    pub(super) is_logged_at_end: bool,
}

impl Changing {
    /// None while there is another, or blocks that have waited for the one before.
    fn begin(functions: &FunctionStore) -> Option<Self> {
        if functions.behind_count.load(Ordering::Acquire) > 0 {
            return None;
        }
        let was_changing = functions.is_changing.swap(true, Ordering::AcqRel);
        (!was_changing).then(|| Self {
            is_changing: functions.is_changing.clone(),
            is_logged_at_end: false,
        })
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.is_changing.store(false, Ordering::Release);
    }
}

/// What waits for the cores.
pub(super) enum Change {
    /// This change.
    Request(FunctionRequest),
    /// SCRIPT FLUSH.
    Flush { is_lazy: Option<bool> },
    /// A block with one.
    Block(Box<Start>),
}

/// Whether a command takes scripts or functions away, or puts others in their place.
pub(super) fn changes_scripts(entry: &Entry) -> bool {
    changes_libraries(entry) || entry.full_name == "script|flush"
}

impl Core {
    /// A change, or a block with one that has not begun: one after the other, whoever makes them.
    pub(super) fn prepare_change(&mut self, token: Token, mut change: Change) {
        let Some(changing) = Changing::begin(&self.mesh.board().functions) else {
            return self.functions.changes.push_back((token, change));
        };
        // A block's lasts until it ends.
        let changing = match &mut change {
            Change::Block(start) => {
                if let Ends::Block(running) = &mut start.purpose {
                    running.changing = Some(changing);
                }
                None
            }
            _ => Some(changing),
        };
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
            (Change::Request(request), None) => self.change_libraries(token, request, None),
            (Change::Flush { is_lazy }, None) => self.flush_scripts_everywhere(token, is_lazy),
            (Change::Request(_) | Change::Flush { .. }, Some(text)) => self.fail_with(token, &text),
            (Change::Block(start), None) => self.starts.push_back(*start),
            (Change::Block(start), Some(text)) => {
                self.refuse_start(*start, text == busy_text(true).as_bytes());
            }
        }
    }

    /// A block that was to change scripts has ended, and what it did is logged.
    pub(super) fn end_change_of_block(&mut self, changing: Changing) {
        if changing.is_logged_at_end
            && let Some(log) = self.shard.log()
        {
            let (core, lsn) = (self.shard.id(), log.lsn());
            let functions = &self.mesh.board().functions;
            functions.set_last_record(Dependency { core, lsn });
        }
        let is_open = &self.mesh.board().functions.is_open;
        is_open.store(false, Ordering::Release);
        drop(changing);
        self.wake_all();
    }

    /// Whether a block has changed libraries that is in its midst.
    #[inline]
    pub(super) fn has_open_change(&self) -> bool {
        self.mesh.board().functions.is_open.load(Ordering::Acquire)
    }

    /// Whether a request would tell of libraries that a block is changing now, or call them: it waits until that has ended.
    #[cold]
    pub(super) fn waits_for_open_change(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &Entry,
    ) -> bool {
        let tells = ["function|list", "function|dump", "function|stats"];
        let is_concerned = calls_function(entry) || tells.contains(&entry.full_name);
        // What is queued is asked when it runs.
        let waits = is_concerned && connection.open_block().is_none();
        if waits {
            connection.blocked = Some(Blocked::Congested);
            self.silenced.push(token);
        }
        waits
    }

    /// Whether a block has to wait for changes that were there before it.
    pub(super) fn waits_for_changes(&self, start: &Start) -> bool {
        let is_concerned = match &start.purpose {
            Ends::Block(running) => running.calls_scripts && running.changing.is_none(),
            _ => false,
        };
        is_concerned && self.has_changes()
    }

    /// A block begins once the change is over. What is known of its functions is of before that: two that were taken to stay with their
    /// keys, and do so no more, would wait for each other's.
    pub(super) fn put_behind_changes(&mut self, mut start: Start) {
        if let Ends::Block(running) = &start.purpose {
            start.needs_token |= running.calls_functions;
        }
        let behind_count = &self.mesh.board().functions.behind_count;
        behind_count.fetch_add(1, Ordering::AcqRel);
        self.functions.behind.push_back(start);
    }

    fn has_changes(&self) -> bool {
        self.mesh
            .board()
            .functions
            .is_changing
            .load(Ordering::Acquire)
    }

    /// Whether somebody waits for changes to be over.
    pub(super) fn has_behind_changes(&self) -> bool {
        let functions = &self.functions;
        !functions.behind.is_empty()
            || !functions.changes.is_empty()
            || !functions.curious.is_empty()
    }

    /// Whether a change, or a block with one, has come and has not begun, or waits for another's.
    pub(super) fn has_changes_to_come(&self) -> bool {
        let is_change = |gather: &Gather| matches!(gather.purpose, Purpose::Libraries(..));
        self.has_behind_changes() || self.gathers.values().any(is_change)
    }

    /// Lets those be told who have waited for a block, then blocks begin that have waited for a change, and then the next change; whether
    /// there was anything to begin.
    pub(super) fn begin_after_changes(&mut self) -> bool {
        if !self.functions.curious.is_empty() && !self.has_open_change() {
            let curious = std::mem::take(&mut self.functions.curious).into_iter();
            let ask = |(token, request)| (token, NodeRequest::Function(request));
            self.asks.extend(curious.map(ask));
            return true;
        }
        if self.has_changes() {
            return false;
        }
        if !self.functions.behind.is_empty() {
            let count = self.functions.behind.len();
            self.starts.append(&mut self.functions.behind);
            let behind_count = &self.mesh.board().functions.behind_count;
            if behind_count.fetch_sub(count, Ordering::AcqRel) == count {
                // It may be the turn of a change on another core.
                self.wake_all();
            }
            return true;
        }
        if self
            .mesh
            .board()
            .functions
            .behind_count
            .load(Ordering::Acquire)
            > 0
        {
            return false;
        }
        let Some((token, change)) = self.functions.changes.pop_front() else {
            return false;
        };
        let is_there = self.connections.get_mut(token).is_some_and(|it| !it.closed);
        if is_there || matches!(change, Change::Block(_)) {
            self.prepare_change(token, change);
        }
        true
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

    /// Whether calls of functions are under way that were taken to stay with their keys, or blocks that call scripts.
    fn has_judged_calls(&self) -> bool {
        let is_judged = |purpose: &Ends, has_token: bool, entry| match purpose {
            Ends::Script(_) => !has_token && calls_function(entry),
            Ends::Block(running) => !has_token && running.calls_functions,
            _ => false,
        };
        let is_block = |purpose: &Ends| match purpose {
            Ends::Block(running) => running.calls_scripts,
            _ => false,
        };
        self.connections
            .iter()
            .any(|connection| connection.has_function_under_way())
            || self.starts.iter().any(|start| {
                is_judged(&start.purpose, start.needs_token, start.entry)
                    || start.transaction.has_token() && is_block(&start.purpose)
            })
            || self.transactions.iter().any(|(tx, coordinated)| {
                let has_token = coordinated.transaction.has_token();
                is_judged(&coordinated.purpose, has_token, coordinated.entry)
                    && !self.scripts.runs.contains_key(tx)
                    || is_block(&coordinated.purpose)
            })
    }
}
