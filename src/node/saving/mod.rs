//! Saving: when snapshots are made and what follows one. Core 0 decides; the other cores ask it.
//!
//! | who wants it | the reply comes | then |
//! |---|---|---|
//! | save points, BGSAVE | when the cut is made | |
//! | FLUSHALL, with save points | when the empty file is on disk | |
//! | SAVE | when the file is on disk; others are served meanwhile | |
//! | SYNC | when a file without a name is on disk: it is the reply, and no save | `node/copies.rs` |
//! | DEBUG RELOAD | when it is loaded again | keys go, and come back from the file; with logs: see `node/reload.rs` |
//! | SHUTDOWN, SIGTERM | by the end of the connection | the process ends: `node/stopping.rs` |
//!
//! Promises  one snapshot at a time; a failed one, with save points, has writes refused until one succeeds
//!           (`stop-writes-on-bgsave-error`).
//! Not here  how a snapshot is made: `node/snapshot.rs`; how one is loaded: `node/load.rs`; what is refused meanwhile: `gate.rs`.
//! Tests     tests/server/snapshot.rs.

mod figures;
mod gate;

pub use figures::{LoadingFigures, SavingFigures};

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::backup::BackingUp;
use super::copies::NO_COPY;
use super::core::{Coordinated, Core};
use super::folder::{self, Folder};
use super::gather::{Asker, Purpose as Gathered};
use super::load::{Load, LoadPlan};
use super::log_load::LogLoad;
use super::mesh::GATE_LOADING;
use super::message::{Answer, Question};
use super::reload::{Reload, Reloading};
use super::rewrite::Rewriting;
use super::ring::Token;
use super::snapshot::{Job, Pace, SnapshotPlan, lock};
use super::stopping::Stop;
use crate::commands::NodeRequest;
use crate::commands::session::SaveRequest;
use crate::persist::Holds;

/// After a failure the next try waits so long.
const RETRY_AFTER_MS: i64 = 5_000;
/// A FLUSHALL has ended by then, and has asked for its file.
const FLUSH_MS_MAX: i64 = 1_000;
/// Who comes while a server loads at start is accepted after so long, to be told of it.
const CALLERS_WAIT_MAX: Duration = Duration::from_millis(500);

const IN_PROGRESS: &str = "ERR Background save already in progress";
const NO_BASE: &str = "ERR the append-only logs have no base yet";
const NOT_SAVING: &str = "ERR Background saving is currently not in progress or scheduled";
const REWRITING: &str = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
     schedule a BGSAVE whenever possible.";
pub(super) const NOT_LOADED: &str = "ERR Error trying to load the RDB dump, check server logs.";

/// A question to be answered: which core asked, and under which name.
pub(super) type Asked = (usize, u64);

/// What follows a snapshot.
pub(super) enum Then {
    Nothing,
    /// It is a base of the logs.
    Base,
    /// BACKUP SEAL; there is no snapshot.
    Seal(Asked),
    /// A part of that is done.
    SealStep,
    Reply(Asked),
    /// It is sent to clients, from where it was written.
    Copy(Vec<Asked>, CopyPlace),
    /// There is none for what FLUSHALL has emptied; the replies.
    Emptied(Vec<Asked>),
    Reload(Asked, Reload),
    /// And there is no snapshot.
    LoadLog(Asked),
    Stop,
}

/// Where a copy is written.
#[derive(Default)]
pub(super) struct CopyPlace {
    path: PathBuf,
    /// Its folder, whatever the working directory is by the time it is there.
    folder: Option<Arc<Folder>>,
}

/// A block or a script that has emptied all databases, and has ended but for its reply.
pub struct Emptied {
    coordinated: Box<Coordinated>,
    reply: Vec<u8>,
    holds: Holds,
}

/// What core 0 knows of snapshots.
#[derive(Default)]
pub struct Saving {
    pub(super) job: Option<(Arc<Job>, Then)>,
    /// Who waits for the cut.
    waits_for_cut: Option<Asked>,
    is_scheduled: bool,
    /// What waits for the end of the snapshot that is being made.
    pub(super) queue: VecDeque<Then>,
    load: Option<(Arc<Load>, Option<Asked>)>,
    /// Logs that are being loaded, and who waits for that.
    pub(super) log_load: Option<(Arc<LogLoad>, Option<Asked>)>,
    /// DEBUG LOADAOF: writes are about to end for it.
    pub(super) reload_log: Option<Asked>,
    /// DEBUG RELOAD where there are logs.
    pub(super) reloading: Reloading,
    pub(super) stop: Option<Stop>,
    has_failed: bool,
    /// Of all cores, as it was when all had their file, or were to.
    flushes_count: u64,
    /// As it was seen last, and since when.
    flushes_seen: (u64, i64),
    tried_ms: i64,
    /// Seconds of the snapshot that is being made when its progress was told last.
    told_seconds: u64,
    /// Of the last one in the background, as all that INFO calls the last one's.
    last_seconds: Option<u64>,
    /// Those that BGSAVE, SAVE or a save point has begun, as Redis counts.
    saves_count: u64,
    /// In the background, since one did not fail.
    failures_count: u64,
    last_changed_bytes: u64,
    last_loaded: u64,
    last_expired: u64,
    /// Bases of the logs.
    pub(super) rewriting: Rewriting,
    pub(super) backing_up: BackingUp,
    /// All shards' changes at the cut that is being written, and at the last one that was.
    changes_at_cut: u64,
    changes_saved: u64,
    /// Since that, when the load began that is under way.
    changes_before_load: u64,
}

impl Saving {
    /// CONFIG RESETSTAT; as in Redis, what the last ones were like stays.
    pub(super) fn reset_counts(&mut self) {
        self.saves_count = 0;
        self.rewriting.reset_count();
    }
}

impl Saving {
    /// Says once a second how far the snapshot is that is being made.
    fn tell_progress(&mut self) {
        let Some((job, then)) = &self.job else { return };
        let seconds = job.began.elapsed().as_secs();
        if seconds == self.told_seconds {
            return;
        }
        self.told_seconds = seconds;
        let keys = job.keys_written.load(Ordering::Relaxed);
        let percent = keys * 100 / job.keys.load(Ordering::Relaxed).max(1);
        let what = match then {
            Then::Base => "rewriting the append-only log",
            _ => "writing the RDB file",
        };
        tracing::info!(percent, keys, "{what}");
    }
}

impl Core {
    /// Core 0: takes up the load that began before there were cores.
    pub(super) fn adopt_load(&mut self, load: Arc<Load>) {
        self.saving.load = Some((load, None));
    }

    /// The same for logs.
    pub(super) fn adopt_log_load(&mut self, load: Arc<LogLoad>) {
        self.saving.log_load = Some((load, None));
    }

    /// Core 0: logs have been loaded, which is no change.
    ///
    /// - `base_keys`: how many keys their base has. Of none Redis says nothing.
    pub(super) fn saving_has_loaded(&mut self, base_keys: Option<usize>) {
        let saving = &mut self.saving;
        saving.changes_saved = self.mesh.board().changes_count();
        if let Some(keys) = base_keys {
            // What became of those past their deadline the logs say.
            (saving.last_loaded, saving.last_expired) = (keys as u64, 0);
        }
    }

    /// Core 0: a core asks for a snapshot.
    pub(super) fn save_asked(&mut self, from: usize, id: u64, request: SaveRequest) {
        let asked = (from, id);
        if self.ending.has_begun() {
            return self.give_up(asked, matches!(request, SaveRequest::Emptied));
        }
        match request {
            // As in Redis, in a block as well.
            SaveRequest::Scheduled if self.is_saving_busy() && !self.is_rewriting() => {
                self.answer(from, id, Answer::Refused(IN_PROGRESS.into()));
            }
            SaveRequest::Scheduled => {
                self.saving.is_scheduled = true;
                self.answer(from, id, Answer::Said("Background saving scheduled"));
            }
            SaveRequest::Cancel => {
                let answer = self.cancel_save();
                self.answer(from, id, answer);
            }
            SaveRequest::LoadLog if self.is_saving_busy() => {
                self.saving.queue.push_back(Then::LoadLog(asked));
            }
            SaveRequest::LoadLog => self.begin_load_log(asked),
            SaveRequest::Rewrite { is_in_block } => self.rewrite_asked(asked, is_in_block),
            SaveRequest::Background { may_wait: true } if self.is_rewriting() => {
                self.saving.is_scheduled = true;
                self.answer(from, id, Answer::Said("Background saving scheduled"));
            }
            SaveRequest::Background { .. } if self.is_rewriting() => {
                self.answer(from, id, Answer::Refused(REWRITING.into()));
            }
            SaveRequest::Wait if self.is_rewriting() => {
                self.saving.queue.push_back(Then::Reply(asked));
            }
            SaveRequest::Background { .. } | SaveRequest::Wait if self.is_saving_busy() => {
                self.answer(from, id, Answer::Refused(IN_PROGRESS.into()));
            }
            SaveRequest::Background { .. } => {
                self.saving.waits_for_cut = Some(asked);
                self.begin_save(Then::Nothing);
            }
            SaveRequest::Wait => self.begin_save(Then::Reply(asked)),
            SaveRequest::Copy if self.is_saving_busy() => {
                let copy = Then::Copy(vec![asked], CopyPlace::default());
                self.saving.queue.push_back(copy);
            }
            SaveRequest::Copy => self.begin_save(Then::Copy(vec![asked], CopyPlace::default())),
            SaveRequest::Emptied => self.emptied(asked),
            SaveRequest::Reload {
                saves,
                flushes,
                replaces,
            } => {
                let reload = Reload {
                    saves,
                    flushes,
                    replaces,
                };
                if self.is_saving_busy() {
                    self.saving.queue.push_back(Then::Reload(asked, reload));
                } else {
                    self.start_reload(asked, reload);
                }
            }
        }
    }

    /// BGSAVE CANCEL. What somebody waits for, as SAVE, goes on.
    fn cancel_save(&mut self) -> Answer {
        let saving = &mut self.saving;
        if let Some((job, Then::Nothing)) = &saving.job {
            tracing::info!("Background saving will be aborted due to user request");
            job.cancel();
            return Answer::Said("Background saving cancelled");
        }
        if std::mem::take(&mut saving.is_scheduled) {
            tracing::info!("Scheduled background saving will be cancelled due to user request");
            return Answer::Said("Scheduled background saving cancelled");
        }
        Answer::Refused(NOT_SAVING.into())
    }

    /// FLUSHALL is done but for its reply: as in Redis, where there are save points the file on disk is to be empty by then.
    pub(super) fn save_emptied(&mut self, token: Token, reply: &[u8]) {
        if self.options.save.is_empty() || reply.starts_with(b"-") {
            return self.complete(token, |out, _| out.extend_from_slice(reply));
        }
        let request = NodeRequest::Save(SaveRequest::Emptied);
        self.asks.push((token, request));
    }

    /// The same for a block or a script that FLUSHALL was in, which has given back all of its locks: what its locks would be
    /// in the way of begins then.
    pub(super) fn save_before_end(
        &mut self,
        coordinated: Box<Coordinated>,
        reply: Vec<u8>,
        holds: &Holds,
    ) {
        // A script that runs for long would keep the snapshot waiting; it is made after that.
        let is_busy = !self.mesh.board().busy_scripts.all().is_empty();
        if is_busy || reply.starts_with(b"-") {
            return self.say_end(coordinated, reply, holds);
        }
        let asker = Asker::Connection(coordinated.token);
        let purpose = Gathered::Emptied(Box::new(Emptied {
            coordinated,
            reply,
            holds: holds.clone(),
        }));
        self.ask(0, asker, purpose, Question::Save(SaveRequest::Emptied));
    }

    /// The empty file is there, or cannot be.
    pub(super) fn emptied_is_saved(&mut self, emptied: Emptied) {
        let Emptied {
            coordinated,
            reply,
            holds,
        } = emptied;
        self.say_end(coordinated, reply, &holds);
    }

    fn emptied(&mut self, asked: Asked) {
        self.tell_changes();
        self.saving.flushes_count = self.flushes_count();
        let saving = &self.saving;
        match &saving.job {
            // It has keys that are gone; its end is near. After it comes the empty one.
            Some((job, Then::Nothing)) => {
                job.cancel();
                self.saving.is_scheduled = false;
                self.saving.queue.push_back(Then::Emptied(vec![asked]));
            }
            // Of what another one has emptied: this one may have ended it.
            Some((_, Then::Emptied(_))) => {
                self.saving.queue.push_back(Then::Emptied(vec![asked]));
            }
            None if !self.is_saving_busy() => {
                self.saving.is_scheduled = false;
                self.begin_save(Then::Emptied(vec![asked]));
            }
            // Nor does a base without logs have it, and nobody needs that one any more.
            _ if !self.options.appendonly
                && (self.is_rewriting() || self.saving.backing_up.is_sealing()) =>
            {
                if let Some((job, Then::Base)) = &saving.job
                    && saving.rewriting.is_base_alone()
                {
                    job.give_up();
                }
                self.saving.queue.push_back(Then::Emptied(vec![asked]));
            }
            // The logs have it, or somebody waits for what is under way and may be for long: it is saved after that.
            _ => {
                self.saving.is_scheduled |= !self.options.save.is_empty();
                self.answer(asked.0, asked.1, Answer::Done);
            }
        }
    }

    fn begin_load_log(&mut self, asked: Asked) {
        if self.mesh.board().lacks_base.load(Ordering::SeqCst) {
            // What was there before the logs began is not in them yet.
            return self.answer(asked.0, asked.1, Answer::Refused(NO_BASE.into()));
        }
        self.fail_backup("the keys are loaded anew");
        self.saving.reload_log = Some(asked);
        self.hold_writes_for(Asker::Reload);
    }

    /// Where a copy is written: nobody else is to find it, and its name goes as soon as it is there.
    fn copy_path(&self) -> PathBuf {
        let name = format!("temp-{}-copy.rdb", std::process::id());
        folder::working_path(&self.options.dir).join(name)
    }

    fn rdb_path(&self) -> PathBuf {
        folder::working_path(&self.options.dir).join(&self.options.dbfilename)
    }

    pub(super) fn begin_save(&mut self, mut then: Then) {
        self.saving.tried_ms = self.now_ms;
        if let Then::Copy(_, place) = &mut then {
            place.path = self.copy_path();
            place.folder = folder::working();
        }
        let is_counted = matches!(then, Then::Nothing | Then::Reply(_));
        self.saving.saves_count += u64::from(is_counted);
        if matches!(then, Then::Nothing) {
            tracing::info!("Background saving started");
        }
        let path = match &then {
            Then::Copy(_, place) => place.path.clone(),
            _ => self.rdb_path(),
        };
        let plan = SnapshotPlan {
            path,
            folder: folder::working(),
            compresses: self.options.rdbcompression,
            has_checksum: self.options.rdbchecksum,
            functions: self.function_codes(),
            used_memory: super::process::resident_bytes().0,
            key_delay_us: self.options.held_number("rdb-key-save-delay"),
            base: None,
            ends_with_flush: matches!(then, Then::Nothing | Then::Emptied(_)),
        };
        let job = self.start_snapshot(plan);
        self.saving.job = Some((job, then));
    }

    /// Core 0: a snapshot, a load or a rewriting is under way, or the end.
    pub(super) fn is_saving_busy(&self) -> bool {
        let saving = &self.saving;
        saving.job.is_some()
            || saving.load.is_some()
            || saving.stop.is_some()
            || saving.log_load.is_some()
            || saving.reload_log.is_some()
            || saving.reloading.is_on()
            || saving.rewriting.is_on()
            || saving.backing_up.is_sealing()
    }

    /// Core 0: every shard has cut; `reply` is the transaction's.
    pub(super) fn cut_was_made(&mut self, reply: &[u8]) {
        let digits = reply.strip_prefix(b":").unwrap_or_default();
        let digits = digits.strip_suffix(b"\r\n").unwrap_or_default();
        let changes = crate::base::number::parse_i64(digits).unwrap_or(0);
        self.saving.changes_at_cut = changes as u64;
        self.log_cut_was_made();
        if let Some((from, id)) = self.saving.waits_for_cut.take() {
            self.answer(from, id, Answer::Said("Background saving started"));
        }
    }

    /// Core 0: looks what has come of what others do, each turn.
    pub(super) fn poll_saving(&mut self) -> Pace {
        if self.saving.log_load.is_some() {
            self.poll_log_load();
            self.go_on_saving();
            return Pace::Soon;
        }
        let clearing = self.poll_clearing();
        if self.saving.job.is_none() && self.saving.load.is_none() {
            return clearing;
        }
        let result = self.saving.job.as_ref().and_then(|(job, _)| job.result());
        if let Some(result) = result
            && let Some((job, then)) = self.saving.job.take()
        {
            self.saving.told_seconds = 0;
            self.save_ended(&job, then, result);
        }
        self.saving.tell_progress();
        let result = self
            .saving
            .load
            .as_ref()
            .and_then(|(load, _)| load.result());
        if let Some(result) = result
            && let Some((load, asked)) = self.saving.load.take()
        {
            self.load_ended(&load, asked, result);
        }
        self.go_on_saving();
        if self.saving.job.is_some() || self.saving.load.is_some() {
            return Pace::Soon;
        }
        Pace::Rest
    }

    /// What had to wait for the snapshot before.
    pub(super) fn go_on_saving(&mut self) {
        // What cannot begin is answered at once, and the next one is looked at.
        while !self.is_saving_something() && self.begin_what_waits() {}
    }

    /// Core 0: the process ends, and nothing is saved any more.
    pub(super) fn give_up_what_waits(&mut self) {
        for then in std::mem::take(&mut self.saving.queue) {
            match then {
                Then::Emptied(asked) => {
                    asked
                        .into_iter()
                        .for_each(|asked| self.give_up(asked, true));
                }
                Then::Copy(asked, _) => {
                    asked
                        .into_iter()
                        .for_each(|asked| self.give_up(asked, false));
                }
                Then::Seal(asked)
                | Then::Reply(asked)
                | Then::Reload(asked, _)
                | Then::LoadLog(asked) => self.give_up(asked, false),
                Then::Nothing | Then::Base | Then::SealStep | Then::Stop => {}
            }
        }
    }

    /// - `has_run`: what was asked for; its reply only waited for a file.
    fn give_up(&mut self, (from, id): Asked, has_run: bool) {
        let answer = match has_run {
            true => Answer::Done,
            false => Answer::Refused("ERR the server is shutting down".into()),
        };
        self.answer(from, id, answer);
    }

    fn is_saving_something(&self) -> bool {
        if self.ending.has_begun() {
            return true; // Of what cores that are gone had nothing more would come.
        }
        let saving = &self.saving;
        let is_loading_log = saving.log_load.is_some() || saving.reload_log.is_some();
        let is_busy = saving.job.is_some() || saving.load.is_some() || is_loading_log;
        let is_busy = is_busy || saving.reloading.is_on() || saving.backing_up.is_sealing();
        is_busy || self.is_rewriting()
    }

    /// Whether there was something.
    fn begin_what_waits(&mut self) -> bool {
        if self.saving.stop.as_ref().is_some_and(Stop::is_ready) {
            self.begin_save(Then::Stop);
        } else if let Some(then) = self.saving.queue.pop_front() {
            match then {
                Then::LoadLog(asked) => self.begin_load_log(asked),
                Then::Seal(asked) => self.begin_seal(asked),
                Then::Reload(asked, reload) => self.start_reload(asked, reload),
                Then::Emptied(mut asked) => {
                    // One file for all of them.
                    self.saving.queue.retain_mut(|then| match then {
                        Then::Emptied(others) => {
                            asked.append(others);
                            false
                        }
                        _ => true,
                    });
                    self.begin_save(Then::Emptied(asked));
                }
                Then::Copy(mut asked, place) => {
                    self.saving.queue.retain_mut(|then| match then {
                        Then::Copy(others, _) => {
                            asked.append(others);
                            false
                        }
                        _ => true,
                    });
                    self.begin_save(Then::Copy(asked, place));
                }
                then => self.begin_save(then),
            }
        } else if std::mem::take(&mut self.saving.is_scheduled) {
            self.begin_save(Then::Nothing);
        } else {
            return false;
        }
        true
    }

    fn save_ended(&mut self, job: &Job, then: Then, result: Result<(), String>) {
        *lock(&self.mesh.board().snapshot) = None;
        if matches!(then, Then::Base) {
            return self.rewrite_ended(Some(job), result);
        }
        if matches!(then, Then::SealStep) {
            let lsns = lock(&job.lsns).clone();
            return self.seal_went_on(lsns, result);
        }
        if let Then::Copy(asked, place) = then {
            return self.copy_was_made(asked, &place, result);
        }
        let saving = &mut self.saving;
        if matches!(then, Then::Nothing) {
            saving.last_seconds = Some(job.began.elapsed().as_secs());
            if result.is_ok() {
                saving.last_changed_bytes = job.changed_bytes_max.load(Ordering::Relaxed);
            }
        }
        match &result {
            Ok(()) => {
                saving.has_failed = false;
                saving.failures_count = 0;
                saving.changes_saved = saving.changes_at_cut;
                let now_s = self.now_ms / 1000;
                let last = &self.mesh.board().last_save_s;
                last.store(now_s, Ordering::Relaxed);
                tracing::info!(
                    keys = job.keys.load(Ordering::Relaxed),
                    milliseconds = job.began.elapsed().as_millis() as u64,
                    "DB saved on disk"
                );
                if matches!(then, Then::Nothing) {
                    tracing::info!("Background saving terminated with success");
                }
            }
            // With save points another follows, as after any other change.
            Err(_) if job.is_cancelled.load(Ordering::Acquire) => {
                tracing::info!("the snapshot was given up");
            }
            Err(reason) => {
                saving.has_failed |= matches!(then, Then::Nothing);
                saving.failures_count += u64::from(matches!(then, Then::Nothing));
                let text = match then {
                    Then::Nothing => "Background saving error",
                    _ => "Error saving the DB on disk",
                };
                tracing::error!(reason, "{text}");
            }
        }
        self.refresh_gate();
        match (then, result) {
            (
                Then::Nothing
                | Then::Base
                | Then::LoadLog(_)
                | Then::Seal(_)
                | Then::SealStep
                | Then::Copy(..),
                _,
            ) => {}
            (Then::Emptied(asked), Err(_))
                if job.is_cancelled.load(Ordering::Acquire) && !self.ending.has_begun() =>
            {
                // Another FLUSHALL came.
                self.saving.queue.push_front(Then::Emptied(asked));
            }
            (Then::Emptied(asked), _) => {
                for (from, id) in asked {
                    self.answer(from, id, Answer::Done);
                }
            }
            (Then::Reply((from, id)), Ok(())) => self.answer(from, id, Answer::Done),
            (Then::Reply((from, id)), Err(_)) => {
                self.answer(from, id, Answer::Refused("ERR".into()));
            }
            (Then::Reload(asked, _), Err(_)) => {
                self.end_reload(asked, Answer::Refused("ERR".into()));
            }
            (Then::Reload(asked, reload), Ok(())) => self.begin_reload(asked, reload),
            (Then::Stop, result) => self.stop_saved(result.is_ok()),
        }
    }

    /// What clients have asked for is no save of the server's own: it is sent from a file without a name.
    fn copy_was_made(&mut self, asked: Vec<Asked>, place: &CopyPlace, result: Result<(), String>) {
        let file = result.and_then(|()| {
            let file = File::open(&place.path).map_err(|error| error.to_string());
            // Its blocks go when the last of them has it.
            let gone = std::fs::remove_file(&place.path).map_err(|error| error.to_string());
            file.and_then(|file| gone.map(|()| Arc::new(file)))
        });
        if let Err(reason) = &file {
            tracing::error!(reason, "a copy for a client cannot be made");
        }
        for (from, id) in asked {
            let answer = match &file {
                Ok(file) => Answer::File(file.clone()),
                Err(_) => Answer::Refused(NO_COPY.into()),
            };
            self.answer(from, id, answer);
        }
    }

    pub(super) fn begin_reload(&mut self, asked: Asked, reload: Reload) {
        let plan = LoadPlan {
            path: self.rdb_path(),
            map: self.map,
            checks: self.options.rdbchecksum && !self.shard.keys.skips_checksums(),
            flushes: reload.flushes,
            replaces: reload.replaces,
        };
        let changes = self.mesh.board().changes_count();
        self.saving.changes_before_load = changes.saturating_sub(self.saving.changes_saved);
        let begun = match &self.saving.load {
            None => Load::begin(plan, self.mesh.board()),
            Some(_) => Err("a load is in progress".into()),
        };
        match begun {
            Ok(Some(load)) => self.saving.load = Some((load, Some(asked))),
            Ok(None) => self.end_reload(asked, Answer::Refused(NOT_LOADED.into())),
            Err(reason) => {
                tracing::error!(reason, "the RDB file cannot be loaded");
                self.end_reload(asked, Answer::Refused(NOT_LOADED.into()));
            }
        }
    }

    fn load_ended(&mut self, load: &Load, asked: Option<Asked>, result: Result<(), String>) {
        if let (Err(reason), None) = (&result, asked) {
            // While the gate is shut: nobody has been told that this process is ready.
            tracing::error!(reason, "Fatal error loading the DB. Exiting.");
            eprintln!("rondo: cannot load {reason}");
            std::process::exit(1);
        }
        let board = self.mesh.board();
        *lock(&board.load) = None;
        board.gate.fetch_and(!GATE_LOADING, Ordering::Release);
        // What was loaded is no change, and neither is what it took the place of. As in Redis, what was not saved before is not now.
        let before = std::mem::take(&mut self.saving.changes_before_load);
        self.saving.changes_saved = board.changes_count().saturating_sub(before);
        self.saving.last_loaded = load.loaded.load(Ordering::Relaxed);
        self.saving.last_expired = load.expired.load(Ordering::Relaxed);
        match &result {
            Ok(()) => tracing::info!(
                keys = self.saving.last_loaded,
                expired = self.saving.last_expired,
                empty = load.empty.load(Ordering::Relaxed),
                milliseconds = load.began.elapsed().as_millis() as u64,
                "DB loaded from disk"
            ),
            Err(reason) => tracing::error!(reason, "the RDB file cannot be loaded"),
        }
        if let Some(asked) = asked {
            self.reload_ended(asked, result.is_ok());
        }
    }

    /// Lets core 0 know what this shard has changed.
    #[inline]
    pub(super) fn tell_changes(&mut self) {
        if self.walked.is_some() {
            self.look_at_walked();
        }
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        flags
            .changes_count
            .store(self.shard.changes_count(), Ordering::Relaxed);
        flags
            .flushes_count
            .store(self.shard.keys.flushes_count(), Ordering::Relaxed);
    }

    /// Core 0, each tick: whether a save point is reached.
    pub(super) fn look_at_save_points(&mut self) {
        if self.is_saving_busy() || self.ending.has_begun() {
            return;
        }
        self.look_at_log_size();
        self.look_at_flushes();
        let saving = &self.saving;
        if self.is_rewriting() {
            return;
        }
        if saving.is_scheduled {
            return self.go_on_saving();
        }
        if saving.has_failed && self.now_ms - saving.tried_ms < RETRY_AFTER_MS {
            return;
        }
        let board = self.mesh.board();
        let changes = board.changes_count().saturating_sub(saving.changes_saved);
        let age_s = self.now_ms / 1000 - board.last_save_s.load(Ordering::Relaxed);
        let reached = self
            .options
            .save
            .iter()
            .find(|(seconds, count)| changes >= *count as u64 && age_s > *seconds);
        if let Some((seconds, count)) = reached {
            tracing::info!("{count} changes in {seconds} seconds. Saving...");
            self.begin_save(Then::Nothing);
        }
    }

    /// Core 0: what FLUSHALL removed is not to come back from the file of before, where there are save points.
    ///
    /// It asks for that itself when it has ended, but where a script fails or its client goes: those have it made a while after it. A
    /// file that was begun when only some shards were empty would be ended by the rest of them, and be counted and told of.
    fn look_at_flushes(&mut self) {
        let count = self.flushes_count();
        let saving = &mut self.saving;
        if count == saving.flushes_count {
            return;
        }
        if saving.flushes_seen.0 != count {
            saving.flushes_seen = (count, self.now_ms);
        }
        let is_soon = (0..FLUSH_MS_MAX).contains(&(self.now_ms - saving.flushes_seen.1));
        if !is_soon {
            saving.flushes_count = count;
            saving.is_scheduled |= !self.options.save.is_empty();
        }
    }

    /// How often shards were emptied, over all cores.
    fn flushes_count(&self) -> u64 {
        let cores = self.mesh.board().cores.iter();
        cores
            .map(|core| core.flushes_count.load(Ordering::Relaxed))
            .sum()
    }

    /// Whether who comes is accepted only when what is loaded at start is there: mostly it soon is, and then nobody has to be told.
    pub(super) fn keeps_callers_waiting(&self) -> bool {
        let of_file = self.saving.load.as_ref().map(|(load, _)| load.began);
        let of_logs = (self.saving.log_load.as_ref()).map(|(load, _)| load.began);
        let began = of_file.or(of_logs);
        began.is_some_and(|began| began.elapsed() < CALLERS_WAIT_MAX)
    }
}
