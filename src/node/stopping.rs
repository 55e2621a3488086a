//! Stopping: SHUTDOWN and the signals that ask for an end. Core 0 decides.
//!
//!     asked ─> have the logs a base? ─> with something to save: writes wait ─> those under way end ─> the cut ─> the file ─> all cores drain and end
//!
//! | what comes | while | then |
//! |---|---|---|
//! | SHUTDOWN, SIGTERM, SIGINT | the first base of logs that were turned on is being written | refused, unless it is forced: a start would find no key |
//! | the same | that base has not begun, or has failed | it ends if it saves and there are no older logs: a start finds the file; else as above |
//! | the same | a log cannot be written, and writes were answered before they were in it (not with `always`) | refused, unless it is forced |
//! | the same | a shutdown saves | it ends with that one; FORCE counts for both |
//! | SHUTDOWN NOSAVE | a shutdown saves | both end without the file: what it waits for may be a script that never ends |
//! | SIGINT | a shutdown that a signal began saves | the file is given up, what is in the logs is not; exit 1 |
//! | SIGINT | the process ends, for a signal | exit 1, at once |
//! | any of these | a script runs for long that has written | it is cut off, and nothing of it is in the logs: `node/script_busy.rs` |
//! | SIGINT, behind another signal | core 0 is in a script | that counts as busy, whatever `busy-reply-threshold` says: both are heeded, one after the other |
//! | nothing | the process ends, and the disk has not taken all of a log | that has a minute more than clients have; then exit 1, and it is said |
//!
//! Promises  no write that was answered is missing in what a shutdown saves, or in the logs; a shutdown that cannot keep this is
//!           no shutdown, unless it is forced, or told not to save where there are no logs.
//! Not here  how snapshots are made: `node/snapshot.rs`; how cores drain: `node/event_loop.rs`.
//! Tests     tests/server/stopping.rs.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::socket::{MsgFlags, recv};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR2};

use super::core::Core;
use super::gather::Asker;
use super::mesh::GATE_LOADING;
use super::message::Answer;
use super::saving::{Asked, Then};
use crate::persist::log::Policy;

const NO_SHUTDOWN: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// SIGTERM and SIGINT become bytes on a socket that core 0's ring watches: each the number of a signal, in the order they came.
pub struct Signals {
    socket: OwnedFd,
    unread_count: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches them from now on. Errors: a sentence for the operator.
    pub fn catch() -> Result<Self, String> {
        let pair =
            || UnixStream::pair().map_err(|error| format!("cannot make a signal socket: {error}"));
        let ((caught, write), (read, told)) = (pair()?, pair()?);
        let last = Arc::<AtomicUsize>::default();
        let cannot = |error| format!("cannot catch signals: {error}");
        for signal in [SIGTERM, SIGINT] {
            // First which it was, then that one came: handlers run in this order.
            signal_hook::flag::register_usize(signal, last.clone(), signal as usize)
                .map_err(cannot)?;
            let write = write.try_clone().map_err(cannot)?;
            signal_hook::low_level::pipe::register(signal, write).map_err(cannot)?;
        }
        // The end of the terminal it was started from is not its end, nor is what Redis has other uses for.
        for signal in [SIGHUP, SIGALRM, SIGUSR2] {
            signal_hook::flag::register(signal, Arc::default()).map_err(cannot)?;
        }
        let unread_count = Arc::<AtomicUsize>::default();
        let signals = Self {
            socket: read.into(),
            unread_count: unread_count.clone(),
        };
        std::thread::Builder::new()
            .name("rondo-signals".into())
            .spawn(move || pass_on(caught, &last, told, &unread_count))
            .map_err(cannot)?;
        Ok(signals)
    }

    /// What to watch.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// How many have come that were not taken.
    pub fn unread_count(&self) -> Arc<AtomicUsize> {
        self.unread_count.clone()
    }

    /// Takes the one that came first, if any did; whether it was SIGINT.
    pub fn take(&self) -> Option<bool> {
        let mut signal = [0];
        let socket = self.socket.as_raw_fd();
        let count = recv(socket, &mut signal, MsgFlags::MSG_DONTWAIT).unwrap_or(0);
        self.unread_count.fetch_sub(count, Ordering::Relaxed);
        (count > 0).then_some(i32::from(signal[0]) == SIGINT)
    }
}

/// Tells core 0 of every signal by itself. Handlers know only the last one, and a core that is busy would find two in the place of one:
/// this thread is never busy.
fn pass_on(
    mut caught: UnixStream,
    last: &AtomicUsize,
    mut told: UnixStream,
    unread_count: &AtomicUsize,
) {
    while caught.read_exact(&mut [0]).is_ok() {
        let signal = last.load(Ordering::Relaxed) as u8;
        unread_count.fetch_add(1, Ordering::Relaxed);
        if told.write_all(&[signal]).is_err() {
            break;
        }
    }
}

/// A shutdown that saves first.
#[derive(Default)]
pub(super) struct Stop {
    asked: Vec<Asked>,
    is_forced: bool,
    /// A signal asked, too.
    by_signal: bool,
    /// No write is under way any more.
    is_ready: bool,
}

impl Stop {
    /// No write is under way any more.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }
}

/// How a shutdown is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// SAVE or NOSAVE, where one was said.
    pub saves: Option<bool>,
    /// FORCE.
    pub is_forced: bool,
}

impl Wish {
    /// What `shutdown-on-sigterm` and `shutdown-on-sigint` say. NOW is about replicas, of which there are none.
    fn of_words(words: &str) -> Self {
        let mut wish = Self::default();
        for word in words.split(' ') {
            match word {
                "save" => wish.saves = Some(true),
                "nosave" => wish.saves = Some(false),
                "force" => wish.is_forced = true,
                _ => {}
            }
        }
        wish
    }
}

impl Core {
    /// Core 0: SIGTERM or SIGINT.
    pub(super) fn signal_came(&mut self, is_int: bool) {
        if is_int && self.ending.has_begun() && self.has_signal_stopped {
            tracing::warn!("You insist... exiting now.");
            std::process::exit(1);
        }
        if is_int && self.saving.stop.as_ref().is_some_and(|stop| stop.by_signal) {
            tracing::warn!("You insist... exiting without the final RDB snapshot.");
            let asked = self.saving.stop.take().map(|stop| stop.asked);
            self.ending.is_impatient.store(true, Ordering::SeqCst);
            return self.go_down(asked.unwrap_or_default());
        }
        let (name, option) = match is_int {
            true => ("SIGINT", "shutdown-on-sigint"),
            false => ("SIGTERM", "shutdown-on-sigterm"),
        };
        tracing::warn!("Received {name} scheduling shutdown...");
        let words = self.options.held.get(option);
        let wish = Wish::of_words(words.map_or("", String::as_str));
        self.stop_asked(None, wish);
        // Where it is refused, the next signal is a first one again.
        self.has_signal_stopped = self.stopping || self.ending.has_begun();
        if let Some(stop) = &mut self.saving.stop {
            stop.by_signal = true;
            self.has_signal_stopped = true;
        }
    }

    /// Core 0: SHUTDOWN, or a signal where nobody waits for an answer.
    pub(super) fn stop_asked(&mut self, asked: Option<Asked>, wish: Wish) {
        if let Some(mut stop) = self.saving.stop.take() {
            stop.asked.extend(asked);
            stop.is_forced |= wish.is_forced;
            if wish.saves == Some(false) {
                // What is to be saved may wait for a script that never ends.
                return self.go_down(stop.asked);
            }
            self.saving.stop = Some(stop);
            return;
        }
        if wish.is_forced {
            self.ending.is_forced.store(true, Ordering::SeqCst);
        }
        let saves = wish.saves.unwrap_or(!self.options.save.is_empty());
        let is_loading = self.gate & GATE_LOADING != 0;
        let lacks_base = self.mesh.board().lacks_base.load(Ordering::SeqCst);
        // As in Redis, a file has all that a base would have that has not begun; and with logs turned on, too, a start finds it.
        let makes_file = saves && !is_loading && !self.is_rewriting();
        let loses_none = || makes_file && !self.has_older_logs();
        if lacks_base && !self.stopping && !loses_none() {
            if !wish.is_forced {
                tracing::warn!(
                    "Writing initial AOF, can't exit. SHUTDOWN FORCE ends the process all the same, and what the logs would hold \
                     is lost."
                );
                return self.refuse_stop(asked);
            }
            tracing::warn!("Writing initial AOF. Exit anyway.");
        }
        if self.has_answered_beyond_log() && !self.stopping {
            let errno = self.mesh.board().log_errno.load(Ordering::Relaxed);
            let error = std::io::Error::from_raw_os_error(errno);
            if !wish.is_forced {
                tracing::error!(
                    %error,
                    "An append-only log cannot be written, can't exit. SHUTDOWN FORCE ends the process all the same, and what was \
                     written last is lost."
                );
                return self.refuse_stop(asked);
            }
            tracing::error!(%error, "An append-only log cannot be written. Exit anyway.");
        }
        if !saves || is_loading || self.stopping {
            return self.go_down(asked);
        }
        tracing::info!("Saving the final RDB snapshot before exiting.");
        match &self.saving.job {
            Some((job, Then::Base)) => job.give_up(),
            // The one that follows has more, and is waited for.
            Some((job, Then::Nothing)) => {
                tracing::warn!("There is a child saving an .rdb. Killing it!");
                job.cancel();
            }
            _ => {}
        }
        self.saving.stop = Some(Stop {
            asked: asked.into_iter().collect(),
            is_forced: wish.is_forced,
            ..Stop::default()
        });
        self.hold_writes_for(Asker::Stop);
    }

    /// Core 0: the process ends when it has saved.
    pub(super) fn is_stopping_to_save(&self) -> bool {
        self.saving.stop.is_some()
    }

    /// Core 0: no write is under way any more, and none begins.
    pub(super) fn save_before_stop(&mut self) {
        if let Some(stop) = &mut self.saving.stop {
            stop.is_ready = true;
        }
        self.go_on_saving();
    }

    pub(super) fn stop_saved(&mut self, is_saved: bool) {
        let Some(stop) = self.saving.stop.take() else {
            return;
        };
        if is_saved || stop.is_forced {
            return self.go_down(stop.asked);
        }
        tracing::error!("Error trying to save the DB, can't exit.");
        self.unpause_all();
        self.refuse_stop(stop.asked);
    }

    /// Some log fails, and its last writes are in memory only although their clients have replies.
    fn has_answered_beyond_log(&self) -> bool {
        // What this core has noted of it may be a turn old.
        let board = self.mesh.board();
        let count = match self.log_policy() {
            // Replies that came before that policy waited for nothing.
            Policy::Always => &board.logs_left_behind_count,
            _ => &board.failing_logs_count,
        };
        self.options.appendonly && count.load(Ordering::Relaxed) > 0
    }

    /// It goes on.
    fn refuse_stop(&mut self, asked: impl IntoIterator<Item = Asked>) {
        self.has_signal_stopped = false;
        for (from, id) in asked {
            self.answer(from, id, Answer::Refused(NO_SHUTDOWN.into()));
        }
    }

    fn go_down(&mut self, asked: impl IntoIterator<Item = Asked>) {
        for (from, id) in asked {
            self.answer(from, id, Answer::Done);
        }
        self.give_up_what_waits();
        if let Some((job, _)) = &self.saving.job {
            tracing::info!("what is being saved in the background is given up");
            job.cancel();
        }
        self.ask_all_to_stop();
    }
}
