//! Scripts that run for long: their turns, what others are told meanwhile, SCRIPT KILL and SCRIPT FLUSH.
//!
//!     over `busy-reply-threshold` -> a slice of each turn of the loop; clients of this core are told BUSY
//!     SCRIPT KILL -> every core looks -> one that has not written ends with its error
//!
//! Promises  the other cores serve on, and whoever waits there for what such a script holds is told BUSY, a script that has
//!           written by the call that waits, but for WATCH, which is served; a snapshot's cut steps back, so that nobody waits behind it; PING says BUSY on every core, as health checks expect; a script that loops for
//!           ever does not keep its core from SCRIPT KILL and SHUTDOWN; of one that SHUTDOWN or a signal ends nothing is logged.
//! Not here  where scripts run: `node/script.rs`.
//! Tests     tests/server/scripts.rs.

use std::time::{Duration, Instant};

use super::busy_scripts::{BusyScript, busy_text};
use super::connection::Connection;
use super::core::{Coordinated, Core, Purpose, Start};
use super::gather::Asker;
use super::ring::Token;
use super::script::Hosted;
use super::script_calls::Wish;
use crate::commands::{CommandError, Entry, Flags};
use crate::persist::Holds;
use crate::resp::Reply;
use crate::router::TxId;
use crate::script::{Answer, RunName};

const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
                          either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE \
                          command.";
const CUT_OFF: &str =
    "ERR The server ends: the script is cut off, and nothing that it has done is kept.";
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

impl Core {
    /// Whether a script runs for long, on whatever core.
    #[inline]
    pub(super) fn is_a_script_busy(&self) -> bool {
        self.scripts.busy_count > 0 || !self.mesh.board().busy_scripts.is_empty()
    }

    /// Whether a command may not run while a script does for long: on its core nearly none may, on others only PING, which asks
    /// for the server rather than for this core of it. What a block may not have is refused as that.
    #[cold]
    pub(super) fn is_busy_for(&self, connection: &mut Connection, entry: &Entry) -> bool {
        let flags = entry.command.flags;
        if flags.has(Flags::NO_MULTI) && connection.open_block().is_some() {
            return false;
        }
        let is_here = self.scripts.busy_count > 0;
        !flags.has(Flags::ALLOW_BUSY) && (is_here || entry.command.name == "PING")
    }

    /// Whether a script has used up its turn: it has run for longer than others are made to wait without a word.
    pub(super) fn is_over_time(&mut self, hosted: &mut Hosted) -> bool {
        let limit_ms = self.options.busy_reply_threshold;
        if hosted.is_busy {
            return true;
        }
        let took_ns = self.clock.delta_as_nanos(hosted.began, self.clock.raw());
        let is_within = limit_ms <= 0 || took_ns / 1_000_000 < limit_ms as u64;
        if is_within && !self.ending.is_pressing(self.id) {
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

    /// What clients are told: of such a script of this core, or else of the one that has run the longest.
    #[cold]
    pub(super) fn busy_error(&self) -> CommandError {
        let all = self.mesh.board().busy_scripts.all();
        let own = all.iter().find(|busy| busy.core == self.id);
        let told = own.or(all.first());
        told.map_or(busy_text(false), |busy| busy.text()).into()
    }

    /// A script goes on with the next turn of the loop.
    pub(super) fn put_off(&mut self, tx: TxId, mut hosted: Hosted) {
        if hosted.is_busy && !hosted.is_told {
            hosted.is_told = true;
            self.tell_all_that_it_is_busy(tx, &hosted);
        }
        self.scripts.runs.insert(tx, hosted);
        self.scripts.slow.push(tx);
    }

    fn tell_all_that_it_is_busy(&mut self, tx: TxId, hosted: &Hosted) {
        let took_ns = self.clock.delta_as_nanos(hosted.began, self.clock.raw());
        let now = Instant::now();
        self.mesh.board().busy_scripts.add(BusyScript {
            tx,
            core: self.id,
            function: match hosted.run.name() {
                RunName::Function(name) => Some(name.clone()),
                RunName::Script(_) => None,
            },
            words: hosted.words.clone(),
            has_token: self.has_token(tx),
            since: now
                .checked_sub(Duration::from_nanos(took_ns))
                .unwrap_or(now),
        });
        // Whoever waits for what it holds is to be told.
        self.wake_all();
    }

    /// Tells those on this core who wait for what a script holds that has run for long, on whatever core. Each turn.
    pub(super) fn turn_away(&mut self) {
        if self.mesh.board().busy_scripts.is_empty() {
            self.starts.extend(self.scripts.put_off.drain(..));
            return;
        }
        let all = self.mesh.board().busy_scripts.all();
        for busy in &all {
            let is_function = busy.function.is_some();
            self.shard
                .turn_away(busy.tx, is_function, &busy.text().into());
        }
        let Some(busy) = all.iter().find(|busy| busy.has_token) else {
            return;
        };
        let is_function = busy.function.is_some();
        for tx in self.transactions_in_line() {
            self.turn_transaction_away(tx, is_function, false);
        }
        let in_line = self.scripts.in_line.iter();
        let in_line = in_line.filter(|(_, start)| start.purpose.is_a_clients());
        for tx in in_line.map(|(tx, _)| *tx).collect::<Vec<TxId>>() {
            self.turn_start_away(tx, is_function);
        }
    }

    /// A script that has done nothing yet goes no further.
    pub(super) fn drop_script(&mut self, tx: TxId) {
        let Some(mut hosted) = self.scripts.runs.remove(&tx) else {
            return;
        };
        hosted.is_killed = true;
        while !matches!(self.advance(&mut hosted, Answer::Kill, None), Wish::Done(_)) {}
        self.script_is_over(&hosted);
        if hosted.is_told {
            self.mesh.board().busy_scripts.remove(tx);
        }
    }

    /// A transaction waits for a script that runs for long: its client is told, unless it is nobody's.
    ///
    /// - `is_gone`: the shard has given it up.
    pub(super) fn turn_transaction_away(&mut self, tx: TxId, is_function: bool, is_gone: bool) {
        let Some(coordinated) = self.transactions.get_mut(&tx) else {
            return;
        };
        if !coordinated.purpose.is_a_clients() {
            return self.put_cut_off(tx, is_function);
        }
        let has_written = |hosted: &Hosted| hosted.has_written;
        let may_leave = matches!(coordinated.purpose, Purpose::Script(_))
            && !self.scripts.runs.get(&tx).is_some_and(has_written);
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let transaction = &mut coordinated.transaction;
        if is_gone {
            transaction.turned_away(&mut outgoing);
        }
        let is_given_up = is_gone || transaction.turn_away(is_function, may_leave, &mut outgoing);
        if !is_given_up {
            // A script that has written, or is part of a block: its call fails.
            let reply = format!("-{}\r\n", busy_text(is_function));
            transaction.withdraw(reply.into_bytes(), &mut outgoing);
        }
        if is_given_up && may_leave {
            self.drop_script(tx);
        }
        if is_given_up && let Some(coordinated) = self.transactions.remove(&tx) {
            match coordinated.purpose {
                Purpose::Watch(_) => self.watch_at_once(coordinated),
                _ => self.end_turned_away(coordinated, is_function),
            }
        }
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }

    /// A cut would wait for a script that runs for long, and everybody who writes for the cut: it gives back what it has, and
    /// begins again when there is no such script.
    fn put_cut_off(&mut self, tx: TxId, is_function: bool) {
        let coordinated = self.transactions.get_mut(&tx);
        let Some(coordinated) = coordinated.filter(|it| matches!(it.purpose, Purpose::Cut)) else {
            return;
        };
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let transaction = &mut coordinated.transaction;
        let is_given_up = transaction.turn_away(is_function, false, &mut outgoing);
        if is_given_up && let Some(coordinated) = self.transactions.remove(&tx) {
            let start = self.start_of(coordinated);
            self.scripts.put_off.push(Start {
                needs_token: true,
                ..start
            });
        }
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }

    /// Redis takes a WATCH while a script is busy, and what the script writes from then on counts as written after it.
    fn watch_at_once(&mut self, coordinated: Box<Coordinated>) {
        let start = self.start_of(coordinated);
        self.starts.push_back(Start {
            transaction: start.transaction.without_locks(),
            ..start
        });
    }

    /// What was given up is to begin anew.
    fn start_of(&mut self, coordinated: Box<Coordinated>) -> Start {
        let coordinated = self.without_token(coordinated);
        let Coordinated {
            token,
            entry,
            words,
            transaction,
            purpose,
            place,
            ..
        } = *coordinated;
        Start {
            place,
            ..Start::new(token, entry, words, transaction, purpose)
        }
    }

    fn end_turned_away(&mut self, coordinated: Box<Coordinated>, is_function: bool) {
        let text = busy_text(is_function);
        let reply = match coordinated.purpose {
            Purpose::Block(_) => {
                format!("-EXECABORT Transaction discarded because of: {text}\r\n")
            }
            _ => format!("-{text}\r\n"),
        };
        self.end_transaction(coordinated, reply.into_bytes(), &Holds::new());
    }

    /// A transaction that has not begun waits for a token that a script has which runs for long.
    pub(super) fn turn_start_away(&mut self, tx: TxId, is_function: bool) {
        if let Some(start) = self.scripts.in_line.remove(&tx) {
            self.refuse_start(start, is_function);
        }
    }

    /// What was to begin does not.
    pub(super) fn refuse_start(&mut self, start: Start, is_function: bool) {
        let stamp = self.clock.raw();
        let coordinated = Box::new(Coordinated {
            token: start.token,
            entry: start.entry,
            stamp,
            call_stamp: stamp,
            ran_at: 0,
            words: start.words,
            transaction: start.transaction,
            purpose: start.purpose,
            has_counted: false,
            has_emptied: false,
            place: start.place,
        });
        self.end_turned_away(coordinated, is_function);
    }

    /// Transactions that wait for the token before they try again.
    pub(super) fn transactions_in_line(&self) -> Vec<TxId> {
        let in_line = self.transactions.iter();
        let in_line = in_line.filter(|(_, coordinated)| coordinated.transaction.is_in_line());
        in_line.map(|(tx, _)| *tx).collect()
    }

    /// Whether a transaction of this core has the token.
    pub(super) fn has_token(&self, tx: TxId) -> bool {
        let coordinated = self.transactions.get(&tx);
        coordinated.is_some_and(|coordinated| coordinated.transaction.has_token())
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

    /// The server ends: no script is waited for that would not. Nor is a cut that waits for one: other cores may be gone by then.
    pub(super) fn end_slow_scripts(&mut self) {
        self.scripts.put_off.clear();
        let mut halves = Vec::new();
        for (&tx, hosted) in &mut self.scripts.runs {
            if hosted.is_busy && (hosted.has_written || hosted.is_in_block) {
                halves.push(tx);
            } else if hosted.is_busy {
                hosted.is_killed = true;
            }
        }
        for tx in halves {
            self.cut_script_off(tx);
        }
    }

    /// What a script has done so far is half of what it does, and so are the writes of the block that it is part of: none of it is
    /// logged, and its client is told. Nobody sees it either: what it has locked stays so, and whoever waits for that is told BUSY to
    /// the end of the process.
    fn cut_script_off(&mut self, tx: TxId) {
        let Some(mut hosted) = self.scripts.runs.remove(&tx) else {
            return;
        };
        if !hosted.is_told {
            self.tell_all_that_it_is_busy(tx, &hosted);
        }
        hosted.is_killed = true;
        while !matches!(self.advance(&mut hosted, Answer::Kill, None), Wish::Done(_)) {}
        self.forget_what_is_said_in(tx);
        let Some(mut coordinated) = self.transactions.remove(&tx) else {
            return;
        };
        tracing::warn!(
            script = %String::from_utf8_lossy(hosted.run.name().as_bytes()),
            "a script that has written is cut off: nothing that it has done is in the log"
        );
        // No file is saved of what it has emptied.
        coordinated.has_emptied = false;
        let reply = format!("-{CUT_OFF}\r\n").into_bytes();
        self.end_transaction(coordinated, reply, &Holds::new());
    }

    pub(super) fn has_killed(&mut self, token: Token, found: &[usize]) {
        let text = if found.contains(&KILLED) {
            None
        } else if found.contains(&HAS_WRITTEN) {
            Some(UNKILLABLE)
        } else if found.contains(&IS_FUNCTION) {
            Some(busy_text(true))
        } else if found.contains(&IS_SCRIPT) {
            Some(busy_text(false))
        } else {
            Some(NOT_BUSY)
        };
        match text {
            Some(text) => self.fail(token, text),
            None => self.complete(token, |out, session| Reply::new(out, session.protocol).ok()),
        }
    }

    pub(super) fn flush_scripts_everywhere(&mut self, token: Token, is_lazy: Option<bool>) {
        if is_lazy.unwrap_or(self.options.lazyfree_lazy_user_flush) {
            let (scripts_count, _) = self.mesh.board().scripts.counts();
            self.shard.keys.note_freed_lazily(scripts_count, 0);
        }
        self.mesh.board().scripts.flush();
        self.ask_all_to_flush_scripts(Asker::Connection(token));
    }
}
