//! DEBUG RELOAD: nobody writes meanwhile, and where there are logs, what is loaded and what they hold stay the same.
//!
//!     writes wait ─> the snapshot ─> keys go, and come back from the file ─> writes go on
//!                                     └─ NOSAVE, NOFLUSH, MERGE: other keys than the logs have ─> a new base ─> writes go on
//!                                     └─ the file cannot be loaded: the logs are, as by DEBUG LOADAOF ─> writes go on
//!
//! Promises  no write is lost, whenever the process ends; a reload that fails is told, and leaves what the logs hold. Where a
//!           base cannot be written that is told, and the next one that can has what was loaded.
//! Not here  snapshots and loads themselves: `node/saving/`, `node/load.rs`; bases: `node/rewrite.rs`.
//! Tests     tests/server/snapshot.rs.

use super::core::Core;
use super::gather::Asker;
use super::message::Answer;
use super::saving::{Asked, NOT_LOADED, Saving, Then};

/// How DEBUG RELOAD loads.
#[derive(Clone, Copy)]
pub(super) struct Reload {
    /// What there is is saved first.
    pub(super) saves: bool,
    /// What there is goes before the file is loaded.
    pub(super) flushes: bool,
    /// Keys that are there already are replaced by the file's.
    pub(super) replaces: bool,
}

impl Reload {
    /// What is loaded is what was there.
    fn is_exact(self) -> bool {
        self.saves && self.flushes
    }
}

/// What core 0 knows of a reload beside logs.
#[derive(Default)]
pub(super) enum Reloading {
    #[default]
    Off,
    /// Writes are about to end.
    Pausing(Asked, Reload),
    /// No writes are under way.
    Paused(Reload),
    /// A base is being written.
    Rewriting(Asked),
    /// The logs are being loaded, because the file could not be.
    Failed,
}

impl Reloading {
    /// One is under way.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }
}

impl Saving {
    /// A reload or DEBUG LOADAOF has not ended.
    pub(super) fn is_loading_anew(&self) -> bool {
        let is_reloading = !matches!(self.reloading, Reloading::Off | Reloading::Failed);
        let is_asked = self
            .log_load
            .as_ref()
            .is_some_and(|(_, asked)| asked.is_some());
        is_reloading || is_asked || self.reload_log.is_some()
    }
}

impl Core {
    /// Core 0: begins a reload; nothing else is under way.
    pub(super) fn start_reload(&mut self, asked: Asked, reload: Reload) {
        if self.options.appendonly {
            self.fail_backup("the keys are loaded anew");
        }
        self.saving.reloading = Reloading::Pausing(asked, reload);
        self.hold_writes_for(Asker::Reload);
    }

    fn save_and_reload(&mut self, asked: Asked, reload: Reload) {
        if reload.saves {
            self.begin_save(Then::Reload(asked, reload));
        } else {
            self.begin_reload(asked, reload);
        }
    }

    /// Core 0: no write is under way any more.
    pub(super) fn reload_without_writes(&mut self) {
        if let Reloading::Pausing(asked, reload) = self.saving.reloading {
            self.saving.reloading = Reloading::Paused(reload);
            self.save_and_reload(asked, reload);
        }
    }

    /// Core 0: the file has been loaded, or a part of it.
    pub(super) fn reload_ended(&mut self, asked: Asked, is_loaded: bool) {
        let answer = match is_loaded {
            true => Answer::Done,
            false => Answer::Refused(NOT_LOADED.into()),
        };
        let Reloading::Paused(reload) = self.saving.reloading else {
            return self.answer(asked.0, asked.1, answer);
        };
        if reload.is_exact() && is_loaded || !self.options.appendonly {
            self.end_reload(asked, answer);
        } else if !is_loaded {
            self.saving.reloading = Reloading::Failed;
            self.saving.reload_log = Some(asked);
            self.sync_logs();
        } else {
            self.saving.reloading = Reloading::Rewriting(asked);
            if let Err(reason) = self.begin_rewrite() {
                tracing::error!(reason, "what was reloaded is in no base yet");
                self.reload_is_in_base(false);
            }
        }
    }

    /// Core 0: a base is in force, or could not be written.
    pub(super) fn reload_is_in_base(&mut self, is_in_force: bool) {
        if let Reloading::Rewriting(asked) = self.saving.reloading {
            let answer = match is_in_force {
                true => Answer::Done,
                false => Answer::Refused(
                    "ERR what was reloaded is not in the append-only log: use BGREWRITEAOF".into(),
                ),
            };
            self.end_reload(asked, answer);
        }
    }

    /// Core 0: what DEBUG LOADAOF replies, or a reload that has failed.
    pub(super) fn answer_of_reload(&mut self) -> Answer {
        match std::mem::take(&mut self.saving.reloading) {
            Reloading::Failed => Answer::Refused(NOT_LOADED.into()),
            _ => Answer::Done,
        }
    }

    /// Core 0: a reload is over, or cannot begin.
    pub(super) fn end_reload(&mut self, asked: Asked, answer: Answer) {
        if std::mem::take(&mut self.saving.reloading).is_on() {
            self.unpause_all();
        }
        self.answer(asked.0, asked.1, answer);
        // What has waited for it.
        self.go_on_saving();
    }
}
