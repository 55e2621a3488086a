//! Snapshots: one RDB file of what all shards held at one moment.
//!
//!     core 0: a job ─> the cut, a transaction over all shards ─> every core: walk, a little each turn ─┐ bounded queue
//!     thread for files: head, chunks as they come, end, fsync, rename, fsync of the folder <────────────┘
//!
//! Promises  the file of before is there, whole, until the new one is on disk under its name; a job that fails or is cut
//!           short, by the end of the process as well, leaves no file; a core holds back while the disk is slower than it, so that what is under way is bounded
//!           by 4 MiB and what changes have written since the cut.
//! Not here  when to save, and what follows: `node/saving/`; what is in the file: `keyspace/cut.rs`, `persist/rdb/`.
//! Tests     tests/server/snapshot.rs.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::core::{Core, Purpose, Start};
use super::data_dir::FILE_MODE;
use super::file_writer::FileWriter;
use super::folder::{Folder, shown};
use super::functions::{Codes, LIBRARIES_VERSION};
use super::log_turns::{REST_MAX, let_by};
use super::mesh::Board;
use super::rewrite::NewBase;
use super::ring::Token;
use super::spare::SPARES;
use crate::commands::identity::REDIS_VERSION;
use crate::commands::table::table;
use crate::keyspace::cut::Chunk;
use crate::persist::rdb::{self, VERSION, VERSION_MAX};
use crate::router::Transaction;
use crate::shard::CutMade;

/// Parts of a snapshot on their way to the file, 64 KiB each as a rule.
const PARTS_MAX: usize = 64;
/// What a core's walk takes of each turn: requests that come meanwhile wait for it. One step more where a step is longer.
const SLICE_NS: u64 = 50_000;
/// Bytes of records between two looks at the clock: some microseconds.
const BYTES_PER_STEP: usize = 1024;
/// Who dawdles looks up so often.
const NAP_US_MAX: u64 = 10_000;

/// What a core sends to whoever writes the file.
enum Part {
    Made(u16, CutMade),
    Chunk(Chunk),
    /// All that the core has of it has been sent. A line that ends without is that of a core that has given up, or has ended.
    End,
}

/// What a snapshot is made as.
pub struct SnapshotPlan {
    /// Its file.
    pub path: PathBuf,
    /// The folder of that, held until it is written; none where what the base is of holds it.
    pub folder: Option<Arc<Folder>>,
    /// `rdbcompression`.
    pub compresses: bool,
    /// `rdbchecksum`.
    pub has_checksum: bool,
    /// Code of the libraries of functions, asked for after the cut.
    pub functions: Box<dyn Fn() -> Codes + Send>,
    /// `used_memory`, for the file's head.
    pub used_memory: u64,
    /// `rdb-key-save-delay`: microseconds that each key takes longer; -N: one for every N keys.
    pub key_delay_us: i64,
    /// It becomes a base of the logs.
    pub base: Option<NewBase>,
    /// It ends when a database is flushed: somebody wants what there is then. Otherwise it is of before that.
    pub ends_with_flush: bool,
}

/// A snapshot that is being made.
pub struct Job {
    /// Each core takes its own.
    lines: Vec<Mutex<Option<SyncSender<Part>>>>,
    /// See [`SnapshotPlan`].
    ends_with_flush: bool,
    /// It failed or is not wanted any more: cores give their cuts up.
    is_given_up: AtomicBool,
    /// By FLUSHALL or BGSAVE CANCEL, which is no failure.
    pub is_cancelled: AtomicBool,
    is_over: AtomicBool,
    result: Mutex<Option<Result<(), String>>>,
    /// Most bytes of records that changes had made on some core and nobody had taken yet, over all cores.
    pub changed_bytes_max: AtomicU64,
    /// Keys in it.
    pub keys: AtomicU64,
    /// Those that are written.
    pub keys_written: AtomicU64,
    /// Where each log had got by the cut, of one that is nothing but that.
    pub lsns: Mutex<Vec<u64>>,
    /// Bytes of its file, once that is there.
    pub file_bytes: AtomicU64,
    /// When it began.
    pub began: Instant,
}

impl Job {
    /// A job for that many cores, and what its file is written from.
    fn new(cores_count: usize, ends_with_flush: bool) -> (Arc<Self>, Receiver<Part>) {
        let (sender, parts) = sync_channel(PARTS_MAX);
        let job = Self {
            lines: (0..cores_count)
                .map(|_| Mutex::new(Some(sender.clone())))
                .collect(),
            ends_with_flush,
            is_given_up: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            result: Mutex::new(None),
            changed_bytes_max: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            keys_written: AtomicU64::new(0),
            lsns: Mutex::default(),
            file_bytes: AtomicU64::new(0),
            began: Instant::now(),
        };
        (Arc::new(job), parts)
    }

    /// How it ended; none while it goes on.
    pub fn result(&self) -> Option<Result<(), String>> {
        if !self.is_over.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.result).clone()
    }

    /// FLUSHALL: what it would hold is gone; or whoever wanted it wants it no more.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
        self.give_up();
    }

    /// It is not wanted any more.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    /// Whether it is wanted no more, or has failed.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    /// Takes its time with so many keys, unless it is not wanted any more.
    fn dawdle(&self, key_delay_us: i64, keys: u64) {
        let mut left_us = match key_delay_us {
            0 => return,
            us @ 1.. => us.unsigned_abs().saturating_mul(keys),
            every => keys / every.unsigned_abs(),
        };
        while left_us > 0 && !self.is_given_up() {
            let nap_us = left_us.min(NAP_US_MAX);
            std::thread::sleep(Duration::from_micros(nap_us));
            left_us -= nap_us;
        }
    }

    fn take_line(&self, core: u16) -> Option<SyncSender<Part>> {
        lock(&self.lines[usize::from(core)]).take()
    }

    fn end(&self, result: Result<(), String>) {
        *lock(&self.result) = Some(result);
        self.is_over.store(true, Ordering::Release);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A core's part in a job.
pub struct CutWalk {
    job: Arc<Job>,
    line: SyncSender<Part>,
    /// What the queue had no room for.
    waiting: VecDeque<Part>,
    /// All of it has been made.
    is_at_end: bool,
    is_given_up: bool,
    /// FLUSHALL since then ends it; none: it does not.
    flushes_count: Option<u64>,
}

/// Whether a walk has more to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing.
    Rest,
    /// At once.
    On,
    /// When others have done something.
    Soon,
}

impl Core {
    /// Begins the cut of a snapshot.
    pub(super) fn start_cut(&mut self, compresses: bool, is_base: bool) {
        let Some(entry) = table().find_original(b"BGSAVE") else {
            unreachable!("it has a row")
        };
        let nobody = Token {
            index: u32::MAX,
            generation: 0,
        };
        let transaction = Transaction::cut(compresses, is_base, self.map);
        self.starts.push_back(Start {
            // A script that goes on to further shards is one step to a snapshot, too.
            needs_token: true,
            ..Start::new(nobody, entry, None, transaction, Purpose::Cut)
        });
    }

    /// Starts a snapshot; its cut is under way.
    pub(super) fn start_snapshot(&mut self, plan: SnapshotPlan) -> Arc<Job> {
        let cores_count = self.mesh.cores_count();
        let (job, parts) = Job::new(cores_count, plan.ends_with_flush);
        let board = self.mesh.board();
        *lock(&board.snapshot) = Some(job.clone());
        let (compresses, is_base) = (plan.compresses, plan.base.is_some());
        let (of_thread, of_logs) = (job.clone(), board.clone());
        board.background.run(move || {
            let result = write_file(&plan, &of_logs, &parts, &of_thread).and_then(|lsns| {
                plan.base
                    .map_or(Ok(()), |base| base.put_in_force(lsns, &of_thread))
            });
            if result.is_err() {
                of_thread.is_given_up.store(true, Ordering::Release);
                // Cores stop walking when they see it; their last parts go nowhere.
                parts.iter().for_each(drop);
            }
            of_thread.end(result);
        });
        self.start_cut(compresses, is_base);
        job
    }

    /// Cuts the logs of all cores at one moment, and nothing else: [`Job::lsns`].
    pub(super) fn start_bare_cut(&mut self) -> Arc<Job> {
        let cores_count = self.mesh.cores_count();
        let (job, parts) = Job::new(cores_count, false);
        let board = self.mesh.board();
        *lock(&board.snapshot) = Some(job.clone());
        let of_thread = job.clone();
        board.background.run(move || {
            let mut lsns = vec![0; cores_count];
            let mut made_count = 0;
            while made_count < cores_count
                && let Ok(part) = parts.recv()
            {
                if let Part::Made(core, made) = part {
                    lsns[usize::from(core)] = made.lsn;
                    made_count += 1;
                }
            }
            of_thread.give_up();
            parts.iter().for_each(drop);
            *lock(&of_thread.lsns) = lsns;
            of_thread.end(match made_count == cores_count {
                true => Ok(()),
                false => Err("a core has no part in it".into()),
            });
        });
        self.start_cut(false, true);
        job
    }

    /// Has the thread for files do something else in its turn.
    pub(super) fn start_job(
        &mut self,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Arc<Job> {
        let (job, _) = Job::new(0, false);
        let of_thread = job.clone();
        self.mesh
            .board()
            .background
            .run(move || of_thread.end(work()));
        job
    }

    /// Whether this core has a share of a snapshot to write.
    #[inline]
    pub(super) fn has_cut_to_walk(&self) -> bool {
        self.cut_walk.is_some() || self.shard.has_cut_to_take()
    }

    /// This core's share of a snapshot, for one turn.
    pub(super) fn walk_cut(&mut self) -> Pace {
        if let Some(made) = self.shard.take_cut() {
            // Before the base is written, for which the core may sleep: core 0 takes this for what the log has beyond it.
            self.tell_log_bytes();
            self.begin_walk(made);
        }
        let Some(walk) = &mut self.cut_walk else {
            return Pace::Rest;
        };
        if walk
            .flushes_count
            .is_some_and(|count| count != self.shard.keys.flushes_count())
        {
            walk.job.cancel();
        }
        if walk.job.is_given_up() && !walk.is_given_up {
            walk.is_given_up = true;
            walk.waiting.clear();
            self.shard.keys.give_cut_up();
        }
        if !walk.send() {
            return Pace::Soon;
        }
        let changed_bytes = self.shard.keys.cut_bytes() as u64;
        walk.job
            .changed_bytes_max
            .fetch_max(changed_bytes, Ordering::Relaxed);
        let mut chunks = Vec::new();
        let begin = self.clock.raw();
        // By the clock, not by bytes: what is compressed costs more time than it makes bytes.
        let is_done = loop {
            let is_done = self.shard.keys.cut_step(BYTES_PER_STEP, &mut chunks);
            if is_done || self.clock.delta_as_nanos(begin, self.clock.raw()) >= SLICE_NS {
                break is_done;
            }
        };
        if !walk.is_given_up {
            walk.waiting.extend(chunks.into_iter().map(Part::Chunk));
            if is_done && !std::mem::replace(&mut walk.is_at_end, true) {
                walk.waiting.push_back(Part::End);
            }
        }
        let is_sent = walk.send();
        if is_done && is_sent {
            // Its line ends with it.
            let walk = self.cut_walk.take();
            self.walked = walk.and_then(|walk| Some((walk.job, walk.flushes_count?)));
            return Pace::Rest;
        }
        if is_sent { Pace::On } else { Pace::Soon }
    }

    /// Bytes on their way to files: entries that changed since a cut, and what the log has not handed over.
    pub(super) fn bytes_for_files(&mut self) -> usize {
        let of_log = self.shard.log().map_or(0, |log| log.pending_bytes());
        let Some(walk) = &self.cut_walk else {
            return of_log;
        };
        let bytes_of = |part: &Part| match part {
            Part::Made(..) | Part::End => 0,
            Part::Chunk(chunk) => chunk.bytes.len(),
        };
        let of_walk: usize = walk.waiting.iter().map(bytes_of).sum();
        of_log + of_walk + self.shard.keys.cut_bytes()
    }

    /// FLUSHALL ends a snapshot, too, of which this core has nothing left to send.
    #[cold]
    pub(super) fn look_at_walked(&mut self) {
        let Some((job, flushes_count)) = &self.walked else {
            return;
        };
        let is_flushed = *flushes_count != self.shard.keys.flushes_count();
        if is_flushed {
            job.cancel();
        }
        if is_flushed || job.is_over.load(Ordering::Acquire) {
            self.walked = None;
        }
    }

    fn begin_walk(&mut self, made: CutMade) {
        let job = lock(&self.mesh.board().snapshot).clone();
        let line = job.as_ref().and_then(|job| job.take_line(self.id));
        let (Some(job), Some(line)) = (job, line) else {
            // Nobody wants it.
            return self.shard.keys.give_cut_up();
        };
        let ends_with_flush = job.ends_with_flush;
        let flushes_count = ends_with_flush.then(|| self.shard.keys.flushes_count());
        self.cut_walk = Some(CutWalk {
            flushes_count,
            job,
            line,
            waiting: VecDeque::from([Part::Made(self.id, made)]),
            is_at_end: false,
            is_given_up: false,
        });
    }
}

impl CutWalk {
    /// Sends what waits; whether all of it is on its way.
    fn send(&mut self) -> bool {
        while let Some(part) = self.waiting.pop_front() {
            match self.line.try_send(part) {
                Ok(()) => {}
                Err(TrySendError::Full(part)) => {
                    self.waiting.push_front(part);
                    return false;
                }
                // Whoever wrote the file is gone, which only a panic can do: nothing is left to do for it.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
        true
    }
}

/// Writes the file from what cores send, under a name of its own until it is whole; where each log had got by the cut.
/// Errors: a sentence with the path.
fn write_file(
    plan: &SnapshotPlan,
    board: &Arc<Board>,
    parts: &Receiver<Part>,
    job: &Job,
) -> Result<Vec<u64>, String> {
    let folder = plan.path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!("temp-{}.rdb", std::process::id()));
    let written = write_temporary(plan, &temporary, board, parts, job).and_then(|lsns| {
        if job.is_given_up() {
            return Err(std::io::Error::other("it was given up"));
        }
        SPARES.replace(&temporary, &plan.path, job.keys.load(Ordering::Relaxed))?;
        Ok(lsns)
    });
    written.map_err(|error| {
        // It is there or not; either way it is of no use.
        let _ = super::removal::remove(&temporary);
        format!("{}: {error}", shown(&plan.path).display())
    })
}

fn write_temporary(
    plan: &SnapshotPlan,
    temporary: &Path,
    board: &Arc<Board>,
    parts: &Receiver<Part>,
    job: &Job,
) -> std::io::Result<Vec<u64>> {
    let mut early = Vec::new();
    let mut sizes: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    let mut version = VERSION;
    let (mut made_count, mut ended_count) = (0, 0);
    let cores_count = board.cores.len();
    let mut lsns = vec![0; cores_count];
    while made_count < cores_count {
        match parts.recv() {
            Ok(Part::Made(core, made)) => {
                made_count += 1;
                lsns[usize::from(core)] = made.lsn;
                if made.sizes.has_dated_hashes {
                    version = VERSION_MAX;
                }
                for (db, keys, dated) in made.sizes.databases {
                    let sum = sizes.entry(db).or_default();
                    *sum = (sum.0 + keys, sum.1 + dated);
                }
            }
            Ok(Part::Chunk(chunk)) => early.push(chunk),
            Ok(Part::End) => ended_count += 1,
            Err(_) => return Err(std::io::Error::other("a core has no part in it")),
        }
    }
    let keys = sizes.values().map(|(keys, _)| keys).sum();
    job.keys.store(keys, Ordering::Relaxed);
    // A base is where nobody but the owner reads; other files are as Redis makes them.
    let mode = match &plan.base {
        Some(_) => FILE_MODE,
        None => 0o666,
    };
    let mut out = match SPARES.take(temporary, keys) {
        true => FileWriter::over(temporary)?,
        false => FileWriter::create(temporary, mode)?,
    };
    let of_logs = board.clone();
    out.set_between(move || let_by(of_logs.cores.iter().map(|core| &core.log_writes), REST_MAX));
    let sizes = sizes.into_iter();
    let mut file = rdb::FileWriter::new(
        plan.has_checksum,
        sizes.map(|(db, (keys, dated))| (db, keys, dated)).collect(),
    );
    let libraries = (plan.functions)();
    let mut aux = aux(plan.used_memory, plan.base.is_some());
    if plan.base.is_some() {
        aux.push((LIBRARIES_VERSION, libraries.version.to_string()));
    }
    out.write_all(&file.head(version, &aux, &libraries.codes))?;
    let mut add = |chunk: Chunk, out: &mut FileWriter| {
        out.write_all(&file.select(chunk.db))?;
        file.records(&chunk.bytes);
        out.write_all(&chunk.bytes)?;
        job.keys_written.fetch_add(chunk.keys, Ordering::Relaxed);
        job.dawdle(plan.key_delay_us, chunk.keys);
        std::io::Result::Ok(())
    };
    for chunk in early {
        add(chunk, &mut out)?;
    }
    while let Ok(part) = parts.recv() {
        if job.is_given_up() {
            return Err(std::io::Error::other("it was given up"));
        }
        match part {
            Part::Chunk(chunk) => add(chunk, &mut out)?,
            Part::End => ended_count += 1,
            Part::Made(..) => {}
        }
    }
    if ended_count < cores_count {
        return Err(std::io::Error::other("it was given up"));
    }
    out.write_all(&file.end())?;
    let bytes = out.finish()?;
    job.file_bytes.store(bytes, Ordering::Relaxed);
    Ok(lsns)
}

/// A file without keys.
pub(super) fn without_keys(codes: &[Vec<u8>], has_checksum: bool, used_memory: u64) -> Vec<u8> {
    let mut file = rdb::FileWriter::new(has_checksum, Vec::new());
    let mut bytes = file.head(VERSION, &aux(used_memory, false), codes);
    bytes.extend(file.end());
    bytes
}

fn aux(used_memory: u64, is_base: bool) -> Vec<(&'static str, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    vec![
        ("redis-ver", REDIS_VERSION.to_string()),
        ("redis-bits", "64".to_string()),
        ("ctime", now.unwrap_or_default().as_secs().to_string()),
        ("used-mem", used_memory.to_string()),
        ("aof-base", u8::from(is_base).to_string()),
        ("rondo-ver", env!("CARGO_PKG_VERSION").to_string()),
    ]
}
