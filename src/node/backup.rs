//! BACKUP: a data directory that an operator copies while the server runs. Core 0 decides.
//!
//!     idle ─START─> pending ─> snapshotting ─> incrementing ─SEAL─> sealed ─CLEANUP─> idle
//!                       (what else is written)  (the base is     (the logs up to a cut of all shards, the manifest)
//!                                                in the folder)
//!     pending, snapshotting, incrementing ─ABORT, what keeps the logs from going on, its folder is gone at SEAL─> failed
//!
//! The base is the next one of the logs, by another name for the same file. Segments come when the log drops them, or with
//! SEAL; so compaction goes on meanwhile. Without logs START only opens the window: SEAL writes all keys, as there is no fork
//! that would have to be kept from coming at the same time as others'.
//!
//! Promises  a server that starts from a sealed backup has what all shards held at one moment between SEAL and its reply; a
//!           backup that was not sealed when the process ended is removed by the next start.
//! Not here  the files: `node/backup_dir.rs`; the base: `node/rewrite.rs`.
//! Source    states, replies and errors: Redis 8.10's documentation of BACKUP and its tests.
//! Tests     tests/server/backup.rs.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::backup_dir::{self, Found, LogPart};
use super::core::Core;
use super::data_dir::DataDir;
use super::folder::{Folder, shown};
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use super::rewrite::{CANNOT, LogStore, NewLog, next_epoch};
use super::ring::Token;
use super::saving::{Asked, Then};
use super::snapshot::{Pace, lock};
use crate::commands::session::BackupRequest;
use crate::persist::manifest::{Epoch, Manifest};
use crate::resp::Reply;

const IN_PROGRESS: &str = "ERR A backup is already in progress, ABORT it first";
const SEALED: &str = "ERR A sealed backup exists, CLEANUP it first";
const NOT_READY: &str = "ERR No backup ready to seal (must be in the incrementing state)";
const NONE: &str = "ERR No backup in progress";
const UNDER_WAY: &str = "ERR Backup is in progress";

/// What has become of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// It waits for what else is written.
    Pending,
    /// Its base is being written.
    Snapshotting,
    /// It has its base, and may be sealed.
    Incrementing,
    /// It is whole.
    Sealed,
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Pending => "pending",
            Self::Snapshotting => "snapshotting",
            Self::Incrementing => "incrementing",
            Self::Sealed => "sealed",
            Self::Failed => "failed",
        }
    }
}

/// Where its base and the logs after it come from.
struct Pinned {
    data: Arc<DataDir>,
    epoch: Epoch,
    parts: Vec<LogPart>,
}

/// What all cores and the thread for files know of the backup.
#[derive(Default)]
pub struct Backup {
    state: State,
    error: String,
    began_s: i64,
    sealed_s: i64,
    /// Below its folder, whatever that is called by now.
    files: Vec<PathBuf>,
    /// Its folder; none where there was none.
    folder: Option<Arc<Folder>>,
    /// The same while it is under way, locked.
    dir: Option<Arc<DataDir>>,
    /// None where there are no logs: all of it comes with SEAL.
    pinned: Option<Pinned>,
}

impl Backup {
    /// Takes up what was there at the start.
    pub fn adopt(&mut self, found: Found) {
        self.state = State::Sealed;
        self.files = found.files;
        self.folder = Some(found.folder);
        self.began_s = found.began_s;
        self.sealed_s = found.sealed_s;
    }

    /// There is one that is neither whole nor given up.
    pub fn is_under_way(&self) -> bool {
        matches!(
            self.state,
            State::Pending | State::Snapshotting | State::Incrementing
        )
    }

    /// A base is in force: it may be the one that is waited for. On the thread for files.
    fn pin(&mut self, data: &Arc<DataDir>, cores_count: usize) -> Result<(), String> {
        let Some(to) = self
            .dir
            .clone()
            .filter(|_| self.state == State::Snapshotting)
        else {
            return Ok(()); // Given up meanwhile.
        };
        let (epoch, path) = backup_dir::pin(data, &to)?;
        self.files = vec![path];
        self.pinned = Some(Pinned {
            data: data.clone(),
            epoch,
            parts: vec![LogPart::default(); cores_count],
        });
        self.state = State::Incrementing;
        Ok(())
    }

    /// A log is about to drop what is before a segment. On the thread for files, which is told so first for the base that
    /// was pinned: what was before that is not needed here either.
    fn keep(&mut self, epoch: u64, core: u16, first: u64) -> Result<(), String> {
        let (Some(to), Some(pinned)) = (&self.dir, &mut self.pinned) else {
            return Ok(());
        };
        if pinned.epoch.number != epoch {
            return Err("the logs have begun anew".into());
        }
        let part = &mut pinned.parts[usize::from(core)];
        if part.first > 0 {
            backup_dir::keep(&pinned.data, to, (epoch, core), (part.first, first))
                .map_err(|error| format!("{}: {error}", to.place().display()))?;
        }
        part.first = first;
        Ok(())
    }

    /// It has failed; its folder, to be emptied.
    fn fail(&mut self, reason: String) -> Option<Arc<DataDir>> {
        tracing::warn!(reason, "the backup failed");
        self.state = State::Failed;
        self.error = reason;
        self.files.clear();
        self.pinned = None;
        self.dir.take()
    }
}

/// How far SEAL has got.
enum Sealing {
    /// Cores make segments to go on in after the cut.
    Preparing(Asked),
    /// What INFO called the size of the logs before the cut.
    Cutting(Asked, u64),
    /// The logs up to the cut go to the disk.
    Syncing(Asked),
    /// All keys are written, as there are no logs.
    Writing(Asked),
    /// The folder is made whole.
    Filing(Asked),
}

/// What core 0 does for backups.
#[derive(Default)]
pub struct BackingUp {
    sealing: Option<Sealing>,
    /// Files are being removed; who waits for that.
    clearing: Option<(Receiver<std::io::Result<()>>, Option<Asked>)>,
    /// Requests that wait for one of these.
    waiting: VecDeque<(Asked, BackupRequest, bool)>,
}

impl BackingUp {
    /// A cut is about to be made, or files of one are being written.
    pub fn is_sealing(&self) -> bool {
        self.sealing.is_some()
    }
}

impl Core {
    /// BACKUP, on the core of its client.
    pub(super) fn backup_request(&mut self, token: Token, request: BackupRequest) {
        let backup = self.mesh.board().backup.clone();
        match request {
            BackupRequest::Status => {
                let backup = lock(&backup);
                let fields = [
                    ("state", backup.state.name().to_string()),
                    ("error", backup.error.clone()),
                    ("start_time", backup.began_s.to_string()),
                    ("end_time", backup.sealed_s.to_string()),
                ];
                self.complete(token, |out, session| {
                    let mut reply = Reply::new(out, session.protocol);
                    reply.map(fields.len());
                    for (name, value) in fields {
                        reply.bulk(name.as_bytes());
                        reply.bulk(value.as_bytes());
                    }
                });
            }
            BackupRequest::List => {
                let files = lock(&backup).files.clone();
                self.complete(token, |out, session| {
                    let mut reply = Reply::new(out, session.protocol);
                    reply.array(files.len());
                    for file in files {
                        reply.bulk(shown(&file).as_os_str().as_encoded_bytes());
                    }
                });
            }
            request => {
                let is_in_block = self.captured.contains_key(&token);
                let question = Question::Backup {
                    request,
                    is_in_block,
                };
                self.ask(0, Asker::Connection(token), Purpose::Save, question);
            }
        }
    }

    /// Core 0: a client wants something done.
    pub(super) fn backup_asked(&mut self, asked: Asked, request: BackupRequest, is_in_block: bool) {
        let own = &mut self.saving.backing_up;
        if own.clearing.is_some() || own.sealing.is_some() {
            return own.waiting.push_back((asked, request, is_in_block));
        }
        let backup = self.mesh.board().backup.clone();
        let state = lock(&backup).state;
        let is_under_way = lock(&backup).is_under_way();
        let answer = match (request, state) {
            (BackupRequest::Start, State::Idle | State::Failed) => {
                self.start_backup(is_in_block).map(|()| Answer::Done)
            }
            (BackupRequest::Start, State::Sealed) => Err(SEALED.into()),
            (BackupRequest::Start, _) => Err(IN_PROGRESS.into()),
            (BackupRequest::Seal, State::Incrementing) if self.is_saving_busy() => {
                return self.saving.queue.push_back(Then::Seal(asked));
            }
            (BackupRequest::Seal, State::Incrementing) => return self.begin_seal(asked),
            (BackupRequest::Seal, _) => Err(NOT_READY.into()),
            (BackupRequest::Abort, _) if is_under_way => {
                let dir = lock(&backup).fail("aborted by user".into());
                return self.clear_backup(dir.map(|dir| dir.folder()), Some(asked));
            }
            (BackupRequest::Abort, _) => Err(NONE.into()),
            (BackupRequest::Cleanup, _) if is_under_way => Err(UNDER_WAY.into()),
            (BackupRequest::Cleanup, _) => {
                // What could not be removed when it failed is removed now. The options may name another folder by now.
                let folder = std::mem::take(&mut *lock(&backup)).folder;
                return self.clear_backup(folder, Some(asked));
            }
            (BackupRequest::List | BackupRequest::Status, _) => Ok(Answer::Done),
        };
        let answer = answer.unwrap_or_else(|text: String| Answer::Refused(text.into_bytes()));
        self.answer(asked.0, asked.1, answer);
    }

    /// Errors: the reply.
    fn start_backup(&mut self, is_in_block: bool) -> Result<(), String> {
        let dir = backup_dir::begin(&self.options)?;
        let mut new = Backup {
            state: State::Incrementing,
            began_s: self.now_ms / 1000,
            folder: Some(dir.folder()),
            dir: Some(Arc::new(dir)),
            ..Backup::default()
        };
        if self.options.appendonly {
            new.state = match self.is_rewriting() {
                true => State::Snapshotting,
                false => State::Pending,
            };
        }
        let state = new.state;
        *lock(&self.mesh.board().backup) = new;
        if state != State::Pending {
            return Ok(());
        }
        if self.is_saving_busy() || is_in_block {
            self.saving.rewriting.schedule();
            return Ok(());
        }
        self.begin_rewrite().map_err(|reason| {
            self.fail_backup(&reason);
            CANNOT.to_string()
        })
    }

    /// Core 0: a rewriting of the logs begins.
    pub(super) fn backup_is_being_written(&self) {
        let mut backup = lock(&self.mesh.board().backup);
        if backup.state == State::Pending {
            backup.state = State::Snapshotting;
        }
    }

    /// Core 0: a base is in force, or is not. Before logs are told to drop what it has.
    pub(super) fn backup_has_base(&mut self, data: Option<&Arc<DataDir>>, failure: Option<&str>) {
        let backup = self.mesh.board().backup.clone();
        if lock(&backup).state != State::Snapshotting {
            return;
        }
        if let Some(reason) = failure {
            return self.fail_backup(reason);
        }
        let Some(data) = data.cloned() else {
            return;
        };
        let cores_count = self.mesh.cores_count();
        self.mesh.board().background.run(move || {
            let mut backup = lock(&backup);
            if let Err(reason) = backup.pin(&data, cores_count) {
                give_up(backup.fail(reason));
            }
        });
    }

    /// A core: its log drops what is before a segment.
    pub(super) fn keep_for_backup(&self, epoch: u64, first: u64) {
        let (backup, core) = (self.mesh.board().backup.clone(), self.id);
        self.mesh.board().background.run(move || {
            let mut backup = lock(&backup);
            if let Err(reason) = backup.keep(epoch, core, first) {
                give_up(backup.fail(reason));
            }
        });
    }

    /// Core 0: what the backup needs has ended. While it is being sealed that is noticed there.
    pub(super) fn fail_backup(&mut self, reason: &str) {
        let backup = self.mesh.board().backup.clone();
        let mut backup = lock(&backup);
        if !backup.is_under_way() {
            return;
        }
        let dir = backup.fail(reason.into());
        drop(backup);
        if self.saving.backing_up.clearing.is_none() {
            self.clear_backup(dir.map(|dir| dir.folder()), None);
        }
    }

    /// Core 0: logs are turned on or off. A backup's are the ones that there were when it began.
    pub(super) fn backup_sees_logs_turned(&mut self, on: bool) {
        if self.saving.backing_up.is_sealing() {
            return;
        }
        self.fail_backup(match on {
            true => "appendonly is started",
            false => "appendonly is stopped",
        });
    }

    /// Core 0, each tick: whether a sealed one has been kept for long enough.
    pub(super) fn look_at_backup(&mut self) {
        let ttl_s = self.options.backup_sealed_ttl;
        if ttl_s == 0 || self.saving.backing_up.clearing.is_some() {
            return;
        }
        let backup = self.mesh.board().backup.clone();
        let mut backup = lock(&backup);
        if backup.state != State::Sealed || self.now_ms / 1000 - backup.sealed_s < ttl_s {
            return;
        }
        tracing::info!("removing the sealed backup, as backup-sealed-ttl says");
        let folder = std::mem::take(&mut *backup).folder;
        drop(backup);
        self.clear_backup(folder, None);
    }

    /// Empties the folder on another thread.
    fn clear_backup(&mut self, folder: Option<Arc<Folder>>, asked: Option<Asked>) {
        let Some(folder) = folder else {
            if let Some((from, id)) = asked {
                self.answer(from, id, Answer::Done);
            }
            return;
        };
        let (sender, is_done) = channel();
        self.mesh.board().small_files.run(move || {
            // Who waits for it may have ended.
            let _ = sender.send(backup_dir::remove(folder.path()));
        });
        self.saving.backing_up.clearing = Some((is_done, asked));
    }

    /// Core 0, each turn: whether that is done.
    pub(super) fn poll_clearing(&mut self) -> Pace {
        let Some((is_done, asked)) = &self.saving.backing_up.clearing else {
            return Pace::Rest;
        };
        let answer = match is_done.try_recv() {
            Err(TryRecvError::Empty) => return Pace::Soon,
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot remove a backup's files");
                Answer::Refused(format!("ERR Can't remove the backup's files: {error}").into())
            }
            Ok(Ok(())) | Err(TryRecvError::Disconnected) => Answer::Done,
        };
        let asked = *asked;
        self.saving.backing_up.clearing = None;
        if let Some((from, id)) = asked {
            self.answer(from, id, answer);
        }
        self.go_on_with_backups();
        Pace::Rest
    }

    fn go_on_with_backups(&mut self) {
        for (asked, request, is_in_block) in std::mem::take(&mut self.saving.backing_up.waiting) {
            self.backup_asked(asked, request, is_in_block);
        }
    }

    /// Core 0: SEAL; nothing else is under way.
    pub(super) fn begin_seal(&mut self, asked: Asked) {
        let (state, dir, pinned) = {
            let backup = lock(&self.mesh.board().backup);
            let pinned = backup.pinned.as_ref().map(|pinned| pinned.epoch.number);
            (backup.state, backup.dir.clone(), pinned)
        };
        let Some(dir) = dir.filter(|_| state == State::Incrementing) else {
            return self.answer(asked.0, asked.1, Answer::Refused(NOT_READY.into()));
        };
        match (pinned, self.saving.rewriting.store.clone()) {
            (Some(number), Some(store)) if number == store.epoch.number => {
                self.saving.backing_up.sealing = Some(Sealing::Preparing(asked));
                let question = Question::PrepareLog(Some(NewLog::new(store)));
                self.ask_all(Asker::Seal, Purpose::Ok, question);
            }
            (Some(_), _) => {
                self.fail_backup("the logs have begun anew");
                self.answer(asked.0, asked.1, Answer::Refused(NOT_READY.into()));
            }
            (None, _) => {
                self.saving.backing_up.sealing = Some(Sealing::Writing(asked));
                let epoch = next_epoch(&Manifest::default(), self.map);
                self.begin_base_alone(LogStore { dir, epoch });
            }
        }
    }

    /// Why what is being sealed cannot be whole: its logs have ended meanwhile, on some cores before the cut.
    fn logs_have_gone(&self) -> Option<String> {
        let backup = lock(&self.mesh.board().backup);
        let pinned = backup.pinned.as_ref().map(|pinned| pinned.epoch.number);
        let store = self.saving.rewriting.store.as_ref();
        let current = store.map(|store| store.epoch.number);
        (pinned.is_some() && pinned != current).then(|| "appendonly was changed meanwhile".into())
    }

    /// All cores have answered.
    pub(super) fn go_on_sealing(&mut self, answers: Vec<Answer>) {
        let refusal = answers.into_iter().find_map(|answer| match answer {
            Answer::Refused(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        });
        let refusal = refusal.or_else(|| self.logs_have_gone());
        match self.saving.backing_up.sealing.take() {
            Some(Sealing::Preparing(asked)) if refusal.is_none() => {
                self.saving.backing_up.sealing = Some(Sealing::Cutting(asked, self.log_size()));
                let job = self.start_bare_cut();
                self.saving.job = Some((job, Then::SealStep));
            }
            Some(Sealing::Syncing(asked)) if refusal.is_none() => {
                let board = self.mesh.board().clone();
                let backup = board.backup.clone();
                self.file_backup(asked, move || {
                    let (to, data, epoch, parts) = {
                        let backup = lock(&backup);
                        let (Some(to), Some(pinned)) = (&backup.dir, &backup.pinned) else {
                            return Err("it was given up".into());
                        };
                        let (data, parts) = (pinned.data.clone(), pinned.parts.clone());
                        (to.clone(), data, pinned.epoch.clone(), parts)
                    };
                    if board.broken_epoch.load(Ordering::Relaxed) >= epoch.number {
                        return Err("a sync of the log failed: some of it may be lost".into());
                    }
                    let files = backup_dir::seal(&data, &to, &epoch, &parts)?;
                    lock(&backup).files = files;
                    Ok(())
                });
            }
            Some(
                Sealing::Preparing(asked)
                | Sealing::Cutting(asked, _)
                | Sealing::Syncing(asked)
                | Sealing::Writing(asked)
                | Sealing::Filing(asked),
            ) => self.seal_ended(asked, Err(refusal.unwrap_or_default())),
            None => {}
        }
    }

    /// Has a thread make the folder whole.
    fn file_backup(
        &mut self,
        asked: Asked,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) {
        self.saving.backing_up.sealing = Some(Sealing::Filing(asked));
        let job = self.start_job(work);
        self.saving.job = Some((job, Then::SealStep));
    }

    /// Core 0: all keys are written, or are not.
    pub(super) fn backup_base_ended(&mut self, result: Result<(), String>) {
        self.seal_went_on(Vec::new(), result);
    }

    /// Core 0: a job of SEAL has ended.
    ///
    /// - `lsns`: where each log had got by the cut, where that was the job.
    pub(super) fn seal_went_on(&mut self, lsns: Vec<u64>, result: Result<(), String>) {
        let result = match &self.saving.backing_up.sealing {
            Some(Sealing::Cutting(..)) => {
                result.and_then(|()| self.logs_have_gone().map_or(Ok(()), Err))
            }
            _ => result,
        };
        match (self.saving.backing_up.sealing.take(), result) {
            (Some(Sealing::Cutting(asked, size)), Ok(())) => {
                // The logs' sizes are counted from the last cut; what comes before it counts as the base from now on.
                self.saving.rewriting.cut_at(size);
                let backup = self.mesh.board().backup.clone();
                if let Some(pinned) = &mut lock(&backup).pinned {
                    pinned.epoch.ends = Some(lsns);
                }
                self.saving.backing_up.sealing = Some(Sealing::Syncing(asked));
                self.ask_all(Asker::Seal, Purpose::Ok, Question::SealLog);
            }
            (Some(Sealing::Writing(asked)), Ok(())) => {
                let backup = self.mesh.board().backup.clone();
                self.file_backup(asked, move || {
                    let mut backup = lock(&backup);
                    let dir = backup.dir.clone().ok_or("it was given up")?;
                    let fail = |error| format!("{}: {error}", dir.place().display());
                    backup.files = backup_dir::finish(dir.folder().path()).map_err(fail)?;
                    Ok(())
                });
            }
            (Some(Sealing::Filing(asked)), Ok(())) => self.seal_ended(asked, Ok(())),
            (
                Some(
                    Sealing::Preparing(asked)
                    | Sealing::Cutting(asked, _)
                    | Sealing::Syncing(asked)
                    | Sealing::Writing(asked)
                    | Sealing::Filing(asked),
                ),
                result,
            ) => self.seal_ended(asked, result),
            (None, _) => {}
        }
    }

    /// It is sealed, or may be tried again.
    fn seal_ended(&mut self, asked: Asked, result: Result<(), String>) {
        let backup = self.mesh.board().backup.clone();
        let mut backup = lock(&backup);
        let result = match backup.state {
            State::Incrementing => result,
            _ => Err("it was given up".into()),
        };
        let answer = match result {
            Ok(()) => {
                backup.state = State::Sealed;
                backup.sealed_s = self.now_ms / 1000;
                backup.dir = None;
                backup.pinned = None;
                tracing::info!(files = backup.files.len(), "the backup is sealed");
                Answer::Done
            }
            Err(reason) => {
                tracing::error!(reason, "the backup could not be sealed");
                let is_gone = |dir: &Arc<DataDir>| dir.folder().is_gone();
                if backup.is_under_way() && backup.dir.as_ref().is_some_and(is_gone) {
                    // What it had went with it: no other try could make it whole.
                    backup.fail("its folder was removed".into());
                }
                Answer::Refused(format!("ERR Can't seal the backup: {reason}").into_bytes())
            }
        };
        drop(backup);
        self.answer(asked.0, asked.1, answer);
        self.go_on_with_backups();
        self.go_on_saving();
    }

    /// A core: its log has been cut; answered when all of it is durable, or cannot be.
    pub(super) fn log_is_to_be_sealed(&mut self, asked: Asked) {
        if let Some(log) = self.shard.log()
            && let Some(pinned) = &mut lock(&self.mesh.board().backup).pinned
        {
            pinned.parts[usize::from(self.id)].last = log.last_before_cut();
        }
        self.waits_for_sync.push(asked);
    }
}

/// Empties the folder of one that has failed, on a thread that may wait.
fn give_up(dir: Option<Arc<DataDir>>) {
    if let Some(dir) = dir
        && let Err(error) = backup_dir::remove(dir.folder().path())
    {
        tracing::error!(%error, "cannot remove a backup's files");
    }
}
