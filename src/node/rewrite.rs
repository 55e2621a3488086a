//! Rewriting: a new base for the logs, and logs that begin or end while others are served. Core 0 decides.
//!
//!     BGREWRITEAOF ─> every core: a next segment is made ─> the cut ─> base on disk ─> manifest ─> old files go
//!     appendonly yes ─> every core: a log, its first segment ─> the cut, from which on it is written ─> as above
//!     a sync has failed, or a log's file was removed ─> the same, of a new epoch; writes are refused, and what waits for the disk
//!                      waits, until its base is in force
//!
//! Until the manifest is replaced, the files of before are all that counts; from then on the new base, and of each log what
//! comes after the cut. Nothing is removed before that is durable.
//!
//! CONFIG SET appendonly yes is answered when the cut is made: what is written after its reply is in the logs. In a block it is
//! EXEC's reply that waits: the block's locks would be in the cut's way. Where a snapshot is under way the cut is made after that,
//! and the reply comes at once, as from Redis: until the first base is in force nothing is promised but with `always`, so then it
//! waits all the same. WAITAOF waits for the first base. With
//! `appendfsync always` nothing that is written after the cut of a log's first base is acknowledged before that is in force.
//! What was written before the cut was promised to nobody and is on disk with that base: reads of it do not wait, for that may
//! take long, or fail.
//!
//! Promises  one snapshot or rewriting at a time: what comes meanwhile is scheduled; a failed one changes nothing, and is
//!           tried again where a log waits for its base.
//! Not here  the cut, the file: `node/snapshot.rs`; which segments are needed: `persist/log/`.
//! Tests     tests/server/rewrite.rs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::core::Core;
use super::data_dir::DataDir;
use super::disk::Disk;
use super::faults::fail_if;
use super::folder::{self, shown};
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use super::options::{Options, config_set_failed};
use super::saving::{Asked, Then};
use super::snapshot::{Job, SnapshotPlan, lock};
use crate::base::hash::KeyHasher;
use crate::keyspace::SlotMap;
use crate::persist::Log;
use crate::persist::log::{Place, Policy};
use crate::persist::manifest::{Base, Epoch, Manifest};

/// After a failure the next try waits so long.
const RETRY_AFTER_MS: i64 = 5_000;

const IN_PROGRESS: &str = "ERR Background append only file rewriting already in progress";
const STARTED: &str = "Background append only file rewriting started";
const SCHEDULED: &str = "Background append only file rewriting scheduled";
pub(super) const CANNOT: &str = "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.";

/// The logs of this process, as core 0 knows them.
#[derive(Clone)]
pub struct LogStore {
    /// Where they are.
    pub dir: Arc<DataDir>,
    /// What is being written; its base is the one that counts.
    pub epoch: Epoch,
}

impl LogStore {
    /// Whether a start finds them. Errors: why not, and what to do.
    ///
    /// - `options`: with the name that `dir` has now.
    pub fn is_found_by(&self, options: &Options) -> Result<(), String> {
        if self.dir.is_at(&dir_of(options)) {
            return Ok(());
        }
        Err(format!(
            "the append-only log is in {}, where a start with dir {} does not look for it: set dir back, or have the log \
             begin anew where dir is with CONFIG SET appendonly no, CONFIG SET appendonly yes, and WAITAOF 1 0 0 for its base",
            self.dir.place().display(),
            options.dir
        ))
    }
}

/// What becomes of a base whose file is there.
pub struct NewBase {
    dir: Arc<DataDir>,
    /// With the base, but for where the logs had got.
    epoch: Epoch,
    /// Nothing comes after it.
    is_all: bool,
}

impl NewBase {
    /// Replaces the manifest, and removes what is not needed any more. On the thread for files.
    ///
    /// - `lsns`: where each log had got by the cut.
    /// - `job`: what has made it; nothing changes once that is given up.
    pub fn put_in_force(self, lsns: Vec<u64>, job: &Job) -> Result<(), String> {
        let _alone = self.dir.hold();
        // Logs that begin now were told so before they looked at the manifest.
        if job.is_given_up() {
            return Err("it was given up".into());
        }
        let mut epoch = self.epoch;
        epoch.ends = self.is_all.then(|| lsns.clone());
        // Logs are made before the base that they begin with is cut.
        epoch.is_begun |= !self.is_all;
        if let Some(base) = &mut epoch.base {
            base.lsns = lsns;
        }
        let manifest = Manifest {
            epochs: vec![epoch],
        };
        fail_if("base")
            .and_then(|()| self.dir.set_manifest(&manifest))
            .map_err(|error| format!("the manifest in {}: {error}", self.dir.place().display()))?;
        if let Err(error) = self.dir.remove_others(&manifest) {
            let place = self.dir.place();
            tracing::warn!(dir = %place.display(), %error, "cannot remove what is not needed any more");
        }
        Ok(())
    }
}

/// What core 0 knows of rewriting.
#[derive(Default)]
pub struct Rewriting {
    /// The logs, while there are any.
    pub store: Option<LogStore>,
    /// The data directory, once it has been opened: it is locked for as long as the process lives.
    pub(super) dir: Option<Arc<DataDir>>,
    /// Cores prepare for one that is about to begin; whether for their logs.
    preparing: Option<(LogStore, bool)>,
    /// The last epoch that was begun, in a manifest or not.
    last_epoch: u64,
    is_scheduled: bool,
    /// They are turned on, and the cut that they begin with has not been made.
    is_beginning: bool,
    /// Clients whose CONFIG SET waits for it.
    wait_for_logs: Vec<Asked>,
    /// One has been told that they are on, before that.
    is_told: bool,
    /// The cut under way is of logs.
    cuts_logs: bool,
    /// `aof_current_size` when it began.
    size_at_cut: u64,
    /// Logs are being written that no manifest names yet.
    is_first: bool,
    /// The epoch of the base that is being written, or was last. Logs may have ended, and others begun, before it is in force.
    base_epoch: u64,
    /// The last base that was begun in this epoch. One that failed may have got into force all the same, so its file is not
    /// written again.
    last_base: u64,
    /// The base is that of a backup where there are no logs.
    is_of_backup: bool,
    /// Logs were turned on or off beside the one under way, which is no failure of its.
    is_given_up: bool,
    has_failed: bool,
    tried_ms: i64,
    began: Option<Instant>,
    last_seconds: Option<u64>,
    /// Those that have begun, as Redis counts.
    count: u64,
    failures: u64,
    last_changed_bytes: u64,
    /// Bytes of what is needed and was there at the last cut, or at the start: the base, and logs where that one failed.
    base_bytes: u64,
    /// `aof_current_size` after the last one; of the base, where there was none since the start.
    size_after_last: u64,
}

/// What INFO shows of it.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct RewriteFigures {
    pub in_progress: bool,
    pub is_scheduled: bool,
    pub has_failed: bool,
    pub last_seconds: Option<u64>,
    pub current_seconds: Option<u64>,
    /// Those that have begun.
    pub count: u64,
    /// Failures since the last success.
    pub failures: u64,
    pub last_changed_bytes: u64,
    /// `aof_current_size` but for what is in the logs since the base.
    pub base_bytes: u64,
    pub size_after_last: u64,
}

impl Rewriting {
    /// CONFIG RESETSTAT.
    pub(super) fn reset_count(&mut self) {
        self.count = 0;
    }

    /// One is under way.
    pub fn is_on(&self) -> bool {
        self.began.is_some()
    }

    /// The base that is being written is of no logs, and of no backup.
    pub(super) fn is_base_alone(&self) -> bool {
        self.store.is_none() && !self.is_of_backup
    }

    /// One is to begin when nothing else is under way.
    pub fn schedule(&mut self) {
        self.is_scheduled = true;
    }

    /// The logs were cut without a base, when there was so much of all.
    pub fn cut_at(&mut self, bytes: u64) {
        self.base_bytes = bytes;
    }
}

/// What a core's log begins as.
#[derive(Clone)]
pub struct NewLog {
    dir: Arc<DataDir>,
    epoch: Epoch,
}

impl NewLog {
    /// Where such logs go on, or begin.
    pub fn new(store: LogStore) -> Self {
        Self {
            dir: store.dir,
            epoch: store.epoch,
        }
    }
}

/// A core's part in what is about to begin.
pub struct Preparation {
    /// Who is told.
    asked: Asked,
    /// The log that is to begin; none: the one there is goes on.
    new: Option<NewLog>,
}

/// The data directory that the options name, at the start.
pub fn dir_of(options: &Options) -> PathBuf {
    PathBuf::from(&options.dir).join(&options.appenddirname)
}

/// The same later: where logs that are turned on begin, which is in the working directory.
pub fn next_dir_of(options: &Options) -> PathBuf {
    folder::working_path(&options.dir).join(&options.appenddirname)
}

/// The next epoch, as nothing has been written of it.
pub fn next_epoch(manifest: &Manifest, map: SlotMap) -> Epoch {
    Epoch {
        number: manifest.next_number(),
        cores: map.shards_count(),
        // New every time: what an earlier process may have left in a file is no record of this one.
        seed: KeyHasher::random().hash(&std::process::id().to_le_bytes()),
        is_begun: false,
        groups: map.groups().text().to_string(),
        base: None,
        ends: None,
    }
}

/// Notes that every core has made the first file of its log.
fn note_begun(store: &LogStore) -> std::io::Result<()> {
    let _alone = store.dir.hold();
    let mut manifest = store.dir.manifest().map_err(std::io::Error::other)?;
    let number = store.epoch.number;
    for epoch in manifest.epochs.iter_mut().filter(|it| it.number == number) {
        epoch.is_begun = true;
    }
    store.dir.set_manifest(&manifest)
}

/// Why `appendonly yes` is refused.
pub(super) fn no_logs() -> String {
    config_set_failed("appendonly", "Unable to turn on AOF. Check server logs.")
}

impl Core {
    /// Core 0: there are logs from the start.
    ///
    /// - `bytes`: what was there of them; of their base.
    pub(super) fn adopt_logs(&mut self, store: LogStore, (bytes, base_bytes): (u64, u64)) {
        if let Err(error) = note_begun(&store) {
            // With a disk that is full, that files are missing would only not be noticed.
            tracing::warn!(%error, "cannot note in the manifest that all logs have begun");
        }
        let rewriting = &mut self.saving.rewriting;
        rewriting.dir = Some(store.dir.clone());
        rewriting.last_epoch = store.epoch.number;
        rewriting.last_base = store.epoch.base.as_ref().map_or(0, |base| base.number);
        rewriting.store = Some(store);
        rewriting.base_bytes = bytes;
        rewriting.size_after_last = base_bytes;
    }

    /// Core 0: BGREWRITEAOF.
    ///
    /// - `is_in_block`: the block's own locks are in the way.
    pub(super) fn rewrite_asked(&mut self, asked: Asked, is_in_block: bool) {
        let answer = if self.is_rewriting() {
            Answer::Refused(IN_PROGRESS.into())
        } else if self.is_saving_busy() || is_in_block {
            self.saving.rewriting.is_scheduled = true;
            Answer::Said(SCHEDULED)
        } else {
            match self.begin_rewrite() {
                Ok(()) => Answer::Said(STARTED),
                Err(reason) => {
                    self.saving.rewriting.has_failed = true;
                    tracing::error!(reason, "cannot rewrite the append-only log");
                    Answer::Refused(CANNOT.into())
                }
            }
        };
        self.answer(asked.0, asked.1, answer);
    }

    /// Core 0: a rewriting goes on.
    pub(super) fn is_rewriting(&self) -> bool {
        self.saving.rewriting.began.is_some()
    }

    /// Core 0: `appendonly` has changed. Errors: what to say of it; nothing has begun.
    pub(super) fn turn_logs(&mut self, on: bool, options: &Options) -> Result<(), String> {
        self.backup_sees_logs_turned(on);
        let is_given_up = self.is_rewriting();
        if !on {
            if let Some(job) = lock(&self.mesh.board().snapshot).as_ref()
                && self.is_rewriting()
            {
                job.give_up();
            }
            let rewriting = &mut self.saving.rewriting;
            rewriting.store = None;
            rewriting.is_given_up = is_given_up;
            rewriting.is_scheduled = false;
            // A cut under way is none of theirs who turn them on again.
            rewriting.cuts_logs = false;
            self.note_lacking_base(false);
            self.logs_have_begun();
            return Ok(());
        }
        if let Some(job) = lock(&self.mesh.board().snapshot).as_ref()
            && self.is_rewriting()
            && !self.saving.rewriting.is_of_backup
        {
            // A base alone: were it put in force after what follows, its file would have gone and the manifest name it.
            job.give_up();
        }
        let store = self.new_store(options);
        self.saving.rewriting.has_failed |= store.is_err();
        self.saving.rewriting.store = Some(store?);
        self.saving.rewriting.is_given_up = is_given_up;
        self.saving.rewriting.is_first = true;
        self.saving.rewriting.is_beginning = true;
        self.saving.rewriting.is_told = false;
        self.saving.rewriting.last_base = 0;
        self.saving.rewriting.base_bytes = 0;
        self.note_lacking_base(true);
        if self.is_saving_busy() {
            self.saving.rewriting.is_scheduled = true;
            tracing::info!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to start \
                 when possible."
            );
            return Ok(());
        }
        self.begin_rewrite()
    }

    /// Core 0: a client's CONFIG SET wants logs: it is told of them when they are written. What is written before its reply is
    /// in their base.
    ///
    /// - Returns whether it waits; not where the logs are written already, or wait for a snapshot that may take long.
    pub(super) fn waits_for_logs(&mut self, asked: Asked, options: &Options) -> bool {
        let saving = &mut self.saving;
        let rewriting = &mut saving.rewriting;
        if !rewriting.is_beginning {
            return false;
        }
        // A rewriting that was given up ends soon; whoever ends the process waits for its end.
        let is_behind = saving.job.is_some() && !rewriting.is_on() && saving.stop.is_none();
        if is_behind && options.appendfsync != "always" {
            rewriting.is_told = true;
            return false;
        }
        rewriting.wait_for_logs.push(asked);
        true
    }

    /// Core 0: they are turned on, and not written yet.
    pub(super) fn are_logs_beginning(&self) -> bool {
        self.saving.rewriting.is_beginning
    }

    /// Core 0: whether a start would find other logs than those that wait for their first base, or cannot tell.
    pub(super) fn has_older_logs(&self) -> bool {
        let store = self.saving.rewriting.store.as_ref();
        store.is_some_and(|store| {
            let is_empty = |manifest: Manifest| manifest.epochs.is_empty();
            !store.dir.manifest().is_ok_and(is_empty)
        })
    }

    /// Core 0: whether the logs count for nothing yet.
    fn note_lacking_base(&self, is_lacking: bool) {
        let board = self.mesh.board();
        board.lacks_base.store(is_lacking, Ordering::SeqCst);
    }

    /// Core 0: every shard has made the cut that the logs begin with.
    pub(super) fn log_cut_was_made(&mut self) {
        let rewriting = &mut self.saving.rewriting;
        if std::mem::take(&mut rewriting.cuts_logs) {
            // Cores count from here on.
            rewriting.base_bytes = rewriting.size_at_cut;
            self.logs_have_begun();
        }
    }

    /// Core 0: tells those who wait for the logs that they are written, or turned off again.
    fn logs_have_begun(&mut self) {
        self.saving.rewriting.is_beginning = false;
        for (from, id) in std::mem::take(&mut self.saving.rewriting.wait_for_logs) {
            self.answer(from, id, Answer::Done);
        }
    }

    /// Core 0: logs that somebody waits for cannot begin: they are off again, and that is said. Other options that were set
    /// together with them stay. Where somebody has been told that they are on another try follows.
    fn logs_cannot_begin(&mut self) {
        let rewriting = &mut self.saving.rewriting;
        if rewriting.is_told {
            return;
        }
        let waiting = std::mem::take(&mut rewriting.wait_for_logs);
        if waiting.is_empty() {
            return;
        }
        rewriting.store = None;
        rewriting.is_scheduled = false;
        rewriting.is_beginning = false;
        self.note_lacking_base(false);
        let mut options = (*self.options).clone();
        options.appendonly = false;
        let question = Question::Apply(Arc::new(options));
        self.ask_all(Asker::Nobody, Purpose::Ok, question);
        for (from, id) in waiting {
            self.answer(from, id, Answer::Refused(no_logs().into_bytes()));
        }
    }

    /// Opens the data directory, for logs that begin or a base alone.
    fn new_store(&mut self, options: &Options) -> Result<LogStore, String> {
        let path = next_dir_of(options);
        let rewriting = &mut self.saving.rewriting;
        let dir = match &rewriting.dir {
            Some(dir) if dir.is_at(&path) => dir.clone(),
            _ => Arc::new(DataDir::open(&path)?),
        };
        rewriting.dir = Some(dir.clone());
        let alone = dir.hold();
        let manifest = dir.manifest()?;
        let last_epoch = rewriting.last_epoch.max(dir.last_epoch_named());
        // What an earlier try has left is not to be taken for what follows; and where nothing was, that is to be said.
        let cleared = dir
            .set_manifest(&manifest)
            .and_then(|()| dir.remove_others(&manifest));
        cleared.map_err(|error| format!("{}: {error}", dir.place().display()))?;
        let mut epoch = next_epoch(&manifest, self.map);
        epoch.number = epoch.number.max(last_epoch + 1);
        rewriting.last_epoch = epoch.number;
        drop(alone);
        Ok(LogStore { dir, epoch })
    }

    /// Core 0: begins; nothing else is under way.
    pub(super) fn begin_rewrite(&mut self) -> Result<(), String> {
        let rewriting = &mut self.saving.rewriting;
        rewriting.is_scheduled = false;
        rewriting.tried_ms = self.now_ms;
        self.renew_broken_logs()?;
        let rewriting = &mut self.saving.rewriting;
        let (store, has_logs) = match rewriting.store.clone() {
            Some(store) => (store, true),
            None => {
                let options = self.options.clone();
                (self.new_store(&options)?, false)
            }
        };
        let rewriting = &mut self.saving.rewriting;
        rewriting.began = Some(Instant::now());
        rewriting.count += 1;
        rewriting.base_epoch = store.epoch.number;
        rewriting.preparing = Some((store.clone(), has_logs));
        tracing::info!("Background append only file rewriting started");
        self.backup_is_being_written();
        self.ask_all_to_prepare(has_logs.then(|| NewLog::new(store)));
        Ok(())
    }

    /// Core 0: writes a base of no logs, for a backup; nothing else is under way.
    pub(super) fn begin_base_alone(&mut self, store: LogStore) {
        let rewriting = &mut self.saving.rewriting;
        rewriting.began = Some(Instant::now());
        rewriting.is_of_backup = true;
        rewriting.base_epoch = store.epoch.number;
        rewriting.preparing = Some((store, false));
        self.ask_all_to_prepare(None);
    }

    /// Core 0: where a sync has failed, all logs go on in a new epoch: what was written to the broken one may be lost, and the
    /// disk would say so only once. Where their folder was removed, in another of that name; so it is with the one above.
    ///
    /// - Errors: there are somebody else's logs by now, as from a backup that the next start is to find: they are left alone.
    fn renew_broken_logs(&mut self) -> Result<(), String> {
        let (broken_epoch, map) = (self.broken_epoch(), self.map);
        let Some(store) = &self.saving.rewriting.store else {
            return Ok(());
        };
        if broken_epoch < store.epoch.number {
            return Ok(());
        }
        let is_gone = store.dir.folder().is_gone();
        if is_gone && folder::enter_successor().is_ok_and(|has_entered| has_entered) {
            let dir = folder::working_name(&self.options.dir);
            tracing::warn!(
                dir = %dir.display(),
                "the working directory was removed: it is the one that has its name now"
            );
        }
        let path = next_dir_of(&self.options);
        if store.dir.has_others_manifest() || is_gone && path.join("manifest").exists() {
            let place = if is_gone {
                shown(&path)
            } else {
                store.dir.place()
            };
            return Err(format!(
                "there are other logs than this process's in {}: move them away for it to go on there, or end it, and the next start has \
                 what they have",
                place.display()
            ));
        }
        tracing::warn!(
            epoch = store.epoch.number,
            "an append-only log may have lost writes: a new one begins with all keys there are"
        );
        let store = match is_gone {
            true => self.new_store(&self.options.clone())?,
            false => {
                let manifest = Manifest {
                    epochs: vec![store.epoch.clone()],
                };
                LogStore {
                    dir: store.dir.clone(),
                    epoch: next_epoch(&manifest, map),
                }
            }
        };
        let rewriting = &mut self.saving.rewriting;
        rewriting.last_epoch = store.epoch.number;
        rewriting.store = Some(store);
        rewriting.last_base = 0;
        rewriting.is_first = true;
        Ok(())
    }

    /// Core 0: logs that were removed, where there are any, have a place to begin anew in, and need not wait for another try; whether
    /// there are.
    pub(super) fn renew_removed_logs_soon(&mut self) -> bool {
        let rewriting = &mut self.saving.rewriting;
        let store = rewriting.store.as_ref();
        let are_gone = store.is_some_and(|store| store.dir.folder().is_gone());
        if are_gone {
            rewriting.tried_ms = 0;
        }
        are_gone
    }

    /// Core 0: the last epoch of which a log is broken.
    fn broken_epoch(&self) -> u64 {
        let board = self.mesh.board();
        board.broken_epoch.load(Ordering::Relaxed)
    }

    /// A core: a log is to begin, or one that there is to be cut. Answered when its segment is there.
    pub(super) fn prepare_log(&mut self, asked: Asked, new: Option<NewLog>) {
        if new.is_none() {
            return self.answer(asked.0, asked.1, Answer::Done);
        }
        self.preparation = Some(Preparation { asked, new });
    }

    /// Looks whether the segment is there, each turn while somebody waits.
    pub(super) fn go_on_preparing(&mut self) {
        let Some(preparation) = &mut self.preparation else {
            return;
        };
        if self.is_log_ending {
            return;
        }
        if let Some(new) = preparation.new.take() {
            let epoch = new.epoch.number;
            let is_of_epoch = |log: &Log| log.epoch() == epoch;
            let is_past = epoch <= self.ended_epoch
                || self.shard.log().is_some_and(|log| log.epoch() > epoch);
            if is_past {
                // Its files are what counts: another log of that name would be written over them.
                return self.refuse_preparation("the log has ended");
            }
            if let Some(log) = self.shard.log_mut().filter(|log| is_of_epoch(log)) {
                log.prepare_next();
                // Why there was no segment before this was asked says nothing of now.
                self.disk.as_mut().and_then(Disk::take_prepare_error);
            } else if self
                .shard
                .next_log_mut()
                .is_none_or(|log| !is_of_epoch(log))
            {
                let place = Place {
                    epoch,
                    core: self.id,
                    cores: new.epoch.cores,
                };
                let policy = self.log_policy();
                let log = Log::new(place, new.epoch.seed, policy);
                self.shard
                    .set_next_log(Some(log.starting_after(self.last_lsn)));
                if self.disk.is_none() {
                    // From the cut on replies wait for this log, in the turn of the cut as well.
                    let flags = &self.mesh.board().cores[usize::from(self.id)];
                    flags.synced_lsn.store(self.last_lsn, Ordering::SeqCst);
                    self.holds_replies = policy == Policy::Always;
                }
                self.next_disk = Some(Disk::new(new.dir, epoch, self.id, self.disk_us));
            } else if let Some(disk) = &mut self.next_disk {
                // It is still wanted after an earlier try, whose error has been told.
                disk.take_prepare_error();
            }
        }
        let (disk, is_ready) = match self.shard.next_log_mut() {
            Some(log) => (&mut self.next_disk, log.sequence() > 0),
            None => {
                let has_next = self.shard.log().is_none_or(Log::has_next);
                (&mut self.disk, has_next)
            }
        };
        let error = disk.as_mut().and_then(Disk::take_prepare_error);
        let goes_on = self.shard.next_log_mut().is_none();
        let log = self.shard.log().filter(|_| goes_on);
        let is_broken = log.is_some_and(Log::is_broken);
        let failure = log.and_then(Log::failure);
        match error {
            Some(error) => self.refuse_preparation(&error),
            None if is_ready => self.answer_preparation(Answer::Done),
            // It gets no segment any more: the next try begins a new log.
            None if is_broken => self.refuse_preparation("a log is broken"),
            None => match failure {
                // Nor may it for as long as its writes fail, and somebody may wait for this to end.
                Some(errno) => {
                    let error = std::io::Error::from_raw_os_error(errno);
                    self.refuse_preparation(&error.to_string());
                }
                // The one that was made may have been needed at once.
                None => {
                    if let Some(log) = self.shard.log_mut().filter(|_| goes_on) {
                        log.prepare_next();
                    }
                }
            },
        }
    }

    fn refuse_preparation(&mut self, reason: &str) {
        self.answer_preparation(Answer::Refused(reason.into()));
    }

    fn answer_preparation(&mut self, answer: Answer) {
        if let Some(preparation) = self.preparation.take() {
            let (from, id) = preparation.asked;
            self.answer(from, id, answer);
        }
    }

    /// Core 0: all cores have prepared, or could not.
    pub(super) fn logs_prepared(&mut self, answers: Vec<Answer>) {
        let refusal = answers.into_iter().find_map(|answer| match answer {
            Answer::Refused(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        });
        let Some((store, has_logs)) = self.saving.rewriting.preparing.take() else {
            return;
        };
        if self.ending.has_begun() {
            // Other cores may be gone, and their parts of a cut would never come.
            return self.rewrite_ended(None, Err("the server is shutting down".into()));
        }
        let number_of = |store: &LogStore| store.epoch.number;
        let current = self.saving.rewriting.store.as_ref().map(number_of);
        let ended = match has_logs {
            true => (current != Some(store.epoch.number)).then_some("the logs have ended"),
            // A backup's base is in a folder of its own.
            false if self.saving.rewriting.is_of_backup => None,
            false => current.map(|_| "logs have begun"),
        };
        let ended = ended.map(str::to_string);
        if let Some(reason) = ended {
            return self.rewrite_ended(None, Err(reason));
        }
        if let Some(reason) = refusal {
            self.rewrite_ended(None, Err(reason));
            return self.logs_cannot_begin();
        }
        let mut epoch = store.epoch;
        let number = match has_logs {
            true => self.saving.rewriting.last_base + 1,
            false => 1, // Of an epoch of its own.
        };
        if has_logs {
            self.saving.rewriting.last_base = number;
        }
        epoch.base = Some(Base {
            number,
            lsns: Vec::new(),
        });
        let plan = SnapshotPlan {
            path: store.dir.base_path(epoch.number, number),
            folder: None,
            compresses: self.options.rdbcompression,
            has_checksum: true,
            functions: self.function_codes(),
            used_memory: super::process::resident_bytes().0,
            key_delay_us: self.options.held_number("rdb-key-save-delay"),
            base: Some(NewBase {
                dir: store.dir,
                epoch,
                is_all: !has_logs,
            }),
            ends_with_flush: false,
        };
        let job = self.start_snapshot(plan);
        self.saving.job = Some((job, Then::Base));
        self.saving.rewriting.cuts_logs = has_logs;
        self.saving.rewriting.size_at_cut = self.log_size();
    }

    /// Core 0: a base is in force, or is not.
    pub(super) fn rewrite_ended(&mut self, job: Option<&Job>, result: Result<(), String>) {
        let rewriting = &mut self.saving.rewriting;
        let is_of_others = |store: &LogStore| store.epoch.number != rewriting.base_epoch;
        // It counts for none that have begun since.
        let is_of_others = rewriting.store.as_ref().is_some_and(is_of_others);
        let is_in_force = result.is_ok() && !is_of_others;
        let began = rewriting.began.take();
        let is_given_up = std::mem::take(&mut rewriting.is_given_up);
        if std::mem::take(&mut rewriting.is_of_backup) {
            return self.backup_base_ended(result);
        }
        if is_given_up && let Err(reason) = &result {
            // As in Redis, whose child is killed then, what INFO shows is of the one before.
            tracing::info!("Background AOF rewrite given up: appendonly was set meanwhile");
            // Logs that have begun since need not wait for another try.
            rewriting.tried_ms = 0;
            self.rewrite_came_to_nothing(reason);
            self.reload_is_in_base(false);
            return self.go_on_saving();
        }
        let seconds = began.map(|began| began.elapsed());
        rewriting.last_seconds = seconds.map(|seconds| seconds.as_secs());
        rewriting.has_failed = result.is_err();
        rewriting.failures = match rewriting.has_failed {
            true => rewriting.failures + 1,
            false => 0,
        };
        match result {
            Ok(()) => {
                rewriting.last_changed_bytes =
                    job.map_or(0, |job| job.changed_bytes_max.load(Ordering::Relaxed));
                rewriting.is_first &= is_of_others;
                let bytes = job.map_or(0, |job| job.file_bytes.load(Ordering::Relaxed));
                rewriting.base_bytes = bytes;
                let keys = job.map_or(0, |job| job.keys.load(Ordering::Relaxed));
                tracing::info!(
                    keys,
                    bytes,
                    milliseconds = seconds.map_or(0, |seconds| seconds.as_millis() as u64),
                    "Background AOF rewrite finished successfully"
                );
                if let Some(store) = rewriting.store.as_mut().filter(|_| !is_of_others) {
                    let base = store.epoch.base.get_or_insert_default();
                    base.number = rewriting.last_base;
                    // Before cores hear of it: they look at those who wait for it then.
                    let dir = store.dir.clone();
                    self.note_lacking_base(false);
                    self.backup_has_base(Some(&dir), None);
                    self.ask_all_to_drop_segments();
                }
                self.saving.rewriting.size_after_last = self.log_size();
            }
            Err(reason) => {
                tracing::error!(reason, "Background AOF rewrite terminated with error");
                self.rewrite_came_to_nothing(&reason);
            }
        }
        self.reload_is_in_base(is_in_force);
        self.go_on_saving();
    }

    /// Core 0: logs that wait for their first base get it from another try, a backup does not.
    fn rewrite_came_to_nothing(&mut self, reason: &str) {
        let rewriting = &mut self.saving.rewriting;
        let has_waiting = rewriting.is_first && rewriting.store.is_some();
        rewriting.is_scheduled |= has_waiting;
        self.backup_has_base(None, Some(reason));
    }

    /// A core: segments that the base in force has are not needed.
    pub(super) fn drop_segments(&mut self) {
        self.base_is_in_force();
        if let (Some(disk), Some(log)) = (&mut self.disk, self.shard.log()) {
            let first = log.first_needed();
            let (epoch, work) = (log.epoch(), disk.drop_before(log, first));
            self.keep_for_backup(epoch, first);
            self.mesh.board().background.run(work);
        }
    }

    /// `aof_current_size`.
    pub(super) fn log_size(&self) -> u64 {
        let cores = self.mesh.board().cores.iter();
        let logs: u64 = cores
            .map(|core| core.log_bytes.load(Ordering::Relaxed))
            .sum();
        self.saving.rewriting.base_bytes + logs
    }

    /// Core 0, each tick: whether the logs have grown enough. Nothing else is under way.
    pub(super) fn look_at_log_size(&mut self) {
        let rewriting = &self.saving.rewriting;
        let may_retry = !rewriting.has_failed || self.now_ms - rewriting.tried_ms > RETRY_AFTER_MS;
        if !may_retry {
            return;
        }
        let is_broken = |store: &LogStore| store.epoch.number <= self.broken_epoch();
        let mut begins = rewriting.is_scheduled || rewriting.store.as_ref().is_some_and(is_broken);
        if !begins && rewriting.store.is_some() && !rewriting.is_first {
            let percentage = self.options.auto_aof_rewrite_percentage.max(0) as u64;
            let size = self.log_size();
            let base = rewriting.size_after_last.max(1);
            let growth = (size.saturating_mul(100) / base).saturating_sub(100);
            let is_large = size > self.options.auto_aof_rewrite_min_size.max(0) as u64;
            begins = percentage > 0 && is_large && growth >= percentage;
            if begins {
                tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
            }
        }
        if begins && let Err(reason) = self.begin_rewrite() {
            self.saving.rewriting.has_failed = true;
            tracing::error!(reason, "cannot rewrite the append-only log");
            self.logs_cannot_begin();
        }
    }

    /// Core 0's figures.
    pub(super) fn rewrite_figures(&self) -> RewriteFigures {
        let rewriting = &self.saving.rewriting;
        // One that was given up because its logs were turned off ends soon; in Redis it has by then.
        let is_over = rewriting.is_given_up && !self.options.appendonly;
        let began = rewriting.began.filter(|_| !is_over);
        RewriteFigures {
            in_progress: began.is_some(),
            is_scheduled: rewriting.is_scheduled,
            has_failed: rewriting.has_failed,
            last_seconds: rewriting.last_seconds,
            current_seconds: began.map(|began| began.elapsed().as_secs()),
            count: rewriting.count,
            failures: rewriting.failures,
            last_changed_bytes: rewriting.last_changed_bytes,
            base_bytes: rewriting.base_bytes,
            size_after_last: rewriting.size_after_last,
        }
    }
}
