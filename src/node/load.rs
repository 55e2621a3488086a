//! Loading: a snapshot's file into all shards, one reader and every core at work.
//!
//!     thread for files: read ─> take apart ─> batches of records by home shard ─> every core: make the values, insert
//!
//! Promises  commands that may not run meanwhile get -LOADING from the first byte to the last record. At start nobody is accepted
//!           before the end or, where that is far, `CALLERS_WAIT_MAX`. A bad file is told with its name, the offset and
//!           what is wrong there: at start that ends the process before anything was changed on disk; for DEBUG RELOAD it
//!           is the reply.
//! Not here  the format: `persist/rdb/`; records: `keyspace/load.rs`.
//! Tests     tests/server/snapshot.rs.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::core::Core;
use super::folder::shown;
use super::functions::{Codes, LIBRARIES_VERSION};
use super::mesh::{Board, GATE_LOADING, now_s};
use super::regular;
use super::snapshot::{Pace, lock};
use crate::base::number::parse_i64;
use crate::keyspace::SlotMap;
use crate::keyspace::load::{Loaded, NotLoaded, key_of};
use crate::persist::rdb::{Framer, Item};

/// A batch is handed over when its records have so many bytes.
const BATCH_BYTES: usize = 128 * 1024;
/// Batches on their way to one core.
pub(super) const BATCHES_MAX: usize = 16;
/// The shortest record: a type, a key of one byte, a value of one.
pub(super) const RECORD_BYTES_MIN: u64 = 5;
/// Databases that there may be: see the option `databases`.
pub(super) const DATABASES_MAX: u64 = 65_535;
/// What is read at a time; more where a record is longer.
const READ_BYTES: usize = 1 << 20;
/// So many keys that have no element are told by name.
const EMPTY_TOLD_MAX: u64 = 10;
/// What a core loads in one turn: about a millisecond.
const BYTES_PER_TURN: usize = 64 * 1024;

/// How a file is loaded.
pub struct LoadPlan {
    /// The file.
    pub path: PathBuf,
    /// Keys to shards.
    pub map: SlotMap,
    /// `rdbchecksum`.
    pub checks: bool,
    /// What there is goes first.
    pub flushes: bool,
    /// A key that is there already is replaced.
    pub replaces: bool,
}

/// Records for one shard.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Database, and about how many keys of it are to come; each database once in a file.
    pub(super) sizes: Vec<(u64, u64)>,
    /// Database, offset in the file, end in `bytes`.
    pub(super) records: Vec<(u64, u64, usize)>,
}

/// A load that goes on.
pub struct Load {
    path: PathBuf,
    lines: Vec<Mutex<Option<Receiver<Batch>>>>,
    cores_left: AtomicUsize,
    flushes: bool,
    replaces: bool,
    failure: Mutex<Option<String>>,
    has_failed: AtomicBool,
    /// Bytes of the file.
    pub total_bytes: u64,
    /// Bytes read.
    pub read_bytes: AtomicU64,
    /// What the file says its server had in use.
    pub used_bytes: AtomicU64,
    /// Keys that are there now.
    pub loaded: AtomicU64,
    /// Keys that had died.
    pub expired: AtomicU64,
    /// Keys that had no element.
    pub empty: AtomicU64,
    /// When it began.
    pub began: Instant,
    /// The same in seconds since the epoch.
    pub began_s: i64,
}

impl Load {
    /// What it came to; none while it goes on.
    pub fn result(&self) -> Option<Result<(), String>> {
        if self.cores_left.load(Ordering::Acquire) > 0 {
            return None;
        }
        Some(match lock(&self.failure).clone() {
            Some(reason) => Err(reason),
            None => Ok(()),
        })
    }

    /// Begins; none where there is no such file.
    ///
    /// Errors: it cannot be opened; nothing has begun.
    pub fn begin(plan: LoadPlan, board: &Arc<Board>) -> Result<Option<Arc<Self>>, String> {
        let path = shown(&plan.path);
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = match regular::open_or_pipe(&plan.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(error)),
        };
        let total_bytes = file.metadata().map_err(told)?.len();
        let cores_count = board.cores.len();
        let (lines, receivers): (Vec<_>, Vec<_>) =
            (0..cores_count).map(|_| sync_channel(BATCHES_MAX)).unzip();
        let load = Arc::new(Self {
            path: shown(&plan.path),
            lines: receivers
                .into_iter()
                .map(|line| Mutex::new(Some(line)))
                .collect(),
            cores_left: AtomicUsize::new(cores_count),
            flushes: plan.flushes,
            replaces: plan.replaces,
            failure: Mutex::new(None),
            has_failed: AtomicBool::new(false),
            total_bytes,
            read_bytes: AtomicU64::new(0),
            used_bytes: AtomicU64::new(0),
            loaded: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            began: Instant::now(),
            began_s: now_s(),
        });
        *lock(&board.load) = Some(load.clone());
        board.gate.fetch_or(GATE_LOADING, Ordering::Release);
        let (of_thread, of_board) = (load.clone(), Arc::downgrade(board));
        board
            .background
            .run(move || match of_thread.read(file, &plan, &lines) {
                Err(reason) => of_thread.fail(&reason),
                Ok(TakenApart { functions, .. }) => {
                    let adopted = of_board.upgrade().map_or(Ok(()), |board| {
                        (board.functions).adopt(&functions.codes, plan.flushes, plan.replaces)
                    });
                    if let Err(reason) = adopted {
                        of_thread.fail(&reason);
                    }
                }
            });
        Ok(Some(load))
    }

    fn read(
        &self,
        mut file: File,
        plan: &LoadPlan,
        lines: &[SyncSender<Batch>],
    ) -> Result<TakenApart, String> {
        let mut told = Instant::now();
        let file_bytes = self.total_bytes;
        take_apart(&mut file, file_bytes, plan.map, plan.checks, &mut |fed| {
            match fed {
                Fed::Batch(shard, batch) => {
                    // A core that is gone ends the process.
                    let _ = lines[shard].send(batch);
                }
                Fed::UsedBytes(bytes) => self.used_bytes.store(bytes, Ordering::Relaxed),
                Fed::Read(count) => {
                    self.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
                    if told.elapsed() > Duration::from_secs(1) {
                        told = Instant::now();
                        self.tell();
                    }
                }
            }
            !self.has_failed.load(Ordering::Acquire)
        })
    }

    fn tell(&self) {
        let read = self.read_bytes.load(Ordering::Relaxed);
        tracing::info!(
            percent = read * 100 / self.total_bytes.max(1),
            keys = self.loaded.load(Ordering::Relaxed),
            "loading the RDB file"
        );
    }

    /// The first failure is the one that is told.
    fn fail(&self, reason: &str) {
        let text = format!("{}, {reason}", self.path.display());
        lock(&self.failure).get_or_insert(text);
        self.has_failed.store(true, Ordering::Release);
    }
}

/// What comes of a file that is being read.
pub(super) enum Fed {
    /// Records for one shard.
    Batch(usize, Batch),
    /// So many bytes have been read.
    Read(usize),
    /// What its server had in use when it was written, in bytes, as the file says.
    UsedBytes(u64),
}

/// What a file had besides records.
#[derive(Default)]
pub(super) struct TakenApart {
    /// Its libraries of functions.
    pub(super) functions: Codes,
    /// Its bytes; what follows them is something else.
    pub(super) bytes: u64,
}

/// Takes a file apart into batches of records by home shard.
///
/// - `file_bytes`: how long it is, about.
/// - `feed`: false ends it.
/// - Errors: what is wrong, and at which offset.
pub(super) fn take_apart(
    file: &mut impl Read,
    file_bytes: u64,
    map: SlotMap,
    checks: bool,
    feed: &mut dyn FnMut(Fed) -> bool,
) -> Result<TakenApart, String> {
    let empty = || Batch {
        bytes: Vec::new(),
        sizes: Vec::new(),
        records: Vec::new(),
    };
    let mut batches: Vec<Batch> = (0..map.shards_count()).map(|_| empty()).collect();
    let mut taken = TakenApart::default();
    // Keys that the file has room for, and databases that have said how many are theirs: memory is taken for no more.
    let (mut keys_left, mut sized) = (file_bytes / RECORD_BYTES_MIN, HashSet::new());
    let mut framer = Framer::new(checks);
    let mut buffer = vec![0; READ_BYTES];
    let (mut start, mut end, mut is_all) = (0, 0, false);
    while !framer.is_over() {
        let offset = framer.offset();
        let next = framer.next(&buffer[start..end], is_all);
        let Some((item, consumed)) = next.map_err(|bad| bad.to_string())? else {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            if end == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            let count = file
                .read(&mut buffer[end..])
                .map_err(|error| format!("at offset {offset}: {error}"))?;
            is_all = count == 0;
            end += count;
            if !feed(Fed::Read(count)) {
                return Ok(taken);
            }
            continue;
        };
        match item {
            Item::Record { db, key, bytes } => {
                let shard = usize::from(map.shard_of(&key));
                let batch = &mut batches[shard];
                batch.bytes.extend_from_slice(&bytes);
                batch.records.push((db, offset, batch.bytes.len()));
                if batch.bytes.len() >= BATCH_BYTES {
                    let full = std::mem::replace(batch, empty());
                    if !feed(Fed::Batch(shard, full)) {
                        return Ok(taken);
                    }
                }
            }
            Item::Aux { name, value } => {
                tracing::debug!(
                    name = %String::from_utf8_lossy(&name),
                    value = %String::from_utf8_lossy(&value),
                    "about the RDB file"
                );
                if *name == *LIBRARIES_VERSION.as_bytes() {
                    taken.functions.version = parse_i64(&value).unwrap_or(0) as u64;
                } else if *name == *b"used-mem" {
                    let used_bytes = parse_i64(&value).unwrap_or(0).max(0) as u64;
                    feed(Fed::UsedBytes(used_bytes));
                }
            }
            Item::Function(code) => taken.functions.codes.push(code.into_owned()),
            Item::Sizes { db, keys } => {
                // It is only what the file says: it cannot have more keys than bytes for them, in all databases together.
                let keys = keys.min(keys_left);
                if keys > 0 && db < DATABASES_MAX && sized.insert(db) {
                    keys_left -= keys;
                    let share = keys / u64::from(map.shards_count());
                    batches
                        .iter_mut()
                        .for_each(|batch| batch.sizes.push((db, share)));
                }
            }
            Item::Nothing | Item::End => {}
        }
        start += consumed;
    }
    for (shard, batch) in batches.into_iter().enumerate() {
        feed(Fed::Batch(shard, batch));
    }
    taken.bytes = framer.offset();
    Ok(taken)
}

/// Tells of a key that has no element.
pub(super) fn tell_empty(record: &[u8]) {
    let key = key_of(record).unwrap_or_default();
    tracing::info!("skipping empty key: {}", String::from_utf8_lossy(&key));
}

/// Why a record was not taken, in words.
pub(super) fn told(why: NotLoaded, db: u64) -> String {
    match why {
        NotLoaded::Malformed => "the bytes of this value are not of its type".into(),
        NotLoaded::NoDatabase => format!("there is no database {db}: see the option databases"),
        NotLoaded::Duplicate => "this key was there before".into(),
    }
}

/// A core's part in a load.
pub struct LoadWalk {
    load: Arc<Load>,
    line: Receiver<Batch>,
    /// What is being loaded, and how many of its records and bytes are.
    batch: Option<(Batch, usize, usize)>,
}

impl Core {
    /// This core's share of a load, for one turn.
    pub(super) fn walk_load(&mut self) -> Pace {
        if self.load_walk.is_none() && !self.begin_load_walk() {
            return Pace::Rest;
        }
        let Some(walk) = &mut self.load_walk else {
            return Pace::Rest;
        };
        let mut left_bytes = BYTES_PER_TURN;
        loop {
            let Some((batch, records_done, bytes_done)) = &mut walk.batch else {
                match walk.line.try_recv() {
                    Ok(batch) => {
                        for &(db, count) in &batch.sizes {
                            self.shard.keys.reserve(db, count);
                        }
                        walk.batch = Some((batch, 0, 0));
                    }
                    Err(TryRecvError::Empty) => return Pace::Soon,
                    Err(TryRecvError::Disconnected) => {
                        let load = walk.load.clone();
                        self.load_walk = None;
                        load.cores_left.fetch_sub(1, Ordering::AcqRel);
                        return Pace::Rest;
                    }
                }
                continue;
            };
            let Some(&(db, offset, end)) = batch.records.get(*records_done) else {
                walk.batch = None;
                continue;
            };
            let record = &batch.bytes[*bytes_done..end];
            match self.shard.keys.load_record(db, record, walk.load.replaces) {
                Ok(Loaded::Here) => walk.load.loaded.fetch_add(1, Ordering::Relaxed),
                Ok(Loaded::Expired) => walk.load.expired.fetch_add(1, Ordering::Relaxed),
                Ok(Loaded::Empty) => {
                    let count = walk.load.empty.fetch_add(1, Ordering::Relaxed);
                    if count < EMPTY_TOLD_MAX {
                        tell_empty(record);
                    }
                    count
                }
                Err(why) => {
                    let reason = told(why, db);
                    walk.load.fail(&format!("at offset {offset}: {reason}"));
                    0
                }
            };
            left_bytes = left_bytes.saturating_sub(record.len().max(64));
            *records_done += 1;
            *bytes_done = end;
            if left_bytes == 0 {
                return Pace::On;
            }
        }
    }

    /// Takes this core's part in a load that has begun; whether there is one.
    fn begin_load_walk(&mut self) -> bool {
        if self.gate & GATE_LOADING == 0 {
            return false;
        }
        self.take_loaded_logs();
        let load = lock(&self.mesh.board().load).clone();
        let Some(load) = load else { return false };
        let Some(line) = lock(&load.lines[usize::from(self.id)]).take() else {
            return false;
        };
        if load.flushes {
            self.shard.touch_all_watched();
            self.shard.keys.empty_all();
            self.shard.keys.tell_flushed();
        }
        self.load_walk = Some(LoadWalk {
            load,
            line,
            batch: None,
        });
        true
    }
}
