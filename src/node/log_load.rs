//! Logs loaded while the cores are there: at start, and for DEBUG LOADAOF.
//!
//!     thread for files: recover ─> keys for every core, and where its log begins ─> every core takes its own
//!
//! Promises  commands that may not run meanwhile get -LOADING, at start as in `node/load.rs`; what cannot be loaded ends the process at start, before
//!           anything was changed on disk, and is the reply of DEBUG LOADAOF, which leaves no keys.
//! Not here  what counts of the logs: `persist/recovery.rs`; running them again: `node/recover.rs`.
//! Tests     tests/server/durability.rs, tests/server/rewrite.rs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::core::Core;
use super::disk::Disk;
use super::log;
use super::mesh::{Board, GATE_LOADING, now_s};
use super::message::Answer;
use super::options::Options;
use super::progress::Progress;
use super::recover::{self, Opened};
use super::rewrite::LogStore;
use super::saving::Asked;
use super::snapshot::lock;
use crate::base::hash::KeyHasher;
use crate::keyspace::Keyspace;
use crate::persist::Log;
use crate::persist::log::{Place, Policy};

const CANNOT: &str = "ERR Error trying to load the AOF files, check server logs.";

/// What a core is given.
struct Seat {
    keys: Keyspace,
    /// The log that begins there; none: the one there is goes on, or there is none.
    log: Option<LogStore>,
}

/// Logs being loaded.
pub struct LogLoad {
    seats: Vec<Mutex<Option<Seat>>>,
    cores_left: AtomicUsize,
    result: Mutex<Option<Result<Outcome, String>>>,
    /// How far it has got.
    pub progress: Progress,
    /// When it began.
    pub began: Instant,
    /// The same in seconds since the epoch.
    pub began_s: i64,
}

/// What a load that has ended says.
#[derive(Clone)]
struct Outcome {
    store: Option<LogStore>,
    bytes: u64,
    base_bytes: u64,
    base_keys: Option<usize>,
}

impl LogLoad {
    /// Begins to load.
    ///
    /// - `begins`: a new epoch follows; otherwise nothing on disk is changed.
    pub fn begin(
        opened: Opened,
        options: Arc<Options>,
        hasher: KeyHasher,
        board: &Arc<Board>,
        begins: bool,
    ) -> Arc<Self> {
        let cores_count = board.cores.len();
        let load = Arc::new(Self {
            seats: (0..cores_count).map(|_| Mutex::new(None)).collect(),
            cores_left: AtomicUsize::new(cores_count),
            result: Mutex::new(None),
            progress: Progress::default(),
            began: Instant::now(),
            began_s: now_s(),
        });
        *lock(&board.log_load) = Some(load.clone());
        board.gate.fetch_or(GATE_LOADING, Ordering::Release);
        let (of_thread, of_board) = (load.clone(), Arc::downgrade(board));
        board.background.run(move || {
            let load = of_thread;
            let map = options.slot_map(cores_count);
            let loaded = recover::load(&opened, &options, &hasher, map, begins, &load.progress);
            match loaded {
                Ok(loaded) => {
                    if begins
                        && let Some(board) = of_board.upgrade()
                        && let Err(reason) = board.functions.adopt(&loaded.functions, true, false)
                    {
                        *lock(&load.result) = Some(Err(reason));
                        return;
                    }
                    let store = loaded.epoch.map(|epoch| LogStore {
                        dir: opened.dir.clone(),
                        epoch,
                    });
                    let outcome = Outcome {
                        store: store.clone(),
                        bytes: loaded.bytes,
                        base_bytes: loaded.base_bytes,
                        base_keys: loaded.base_keys,
                    };
                    *lock(&load.result) = Some(Ok(outcome));
                    for (seat, keys) in load.seats.iter().zip(loaded.keyspaces) {
                        let log = store.clone();
                        *lock(seat) = Some(Seat { keys, log });
                    }
                }
                Err(reason) => *lock(&load.result) = Some(Err(reason)),
            }
        });
        load
    }
}

impl Core {
    /// Takes this core's keys from logs that have been loaded.
    pub(super) fn take_loaded_logs(&mut self) {
        let load = lock(&self.mesh.board().log_load).clone();
        let Some(load) = load else { return };
        let Some(seat) = lock(&load.seats[usize::from(self.id)]).take() else {
            return;
        };
        let limits = self.options.memory_options();
        self.shard.replace_keys(seat.keys, limits);
        if let Some(store) = seat.log {
            self.begin_log(store);
        }
        self.apply_options();
        load.cores_left.fetch_sub(1, Ordering::AcqRel);
    }

    /// The log begins, its first segment made: nothing is served yet.
    fn begin_log(&mut self, store: LogStore) {
        let place = Place {
            epoch: store.epoch.number,
            core: self.id,
            cores: store.epoch.cores,
        };
        // The options say which policy it is.
        let mut log = Log::new(place, store.epoch.seed, Policy::EverySecond);
        let mut disk = Disk::new(store.dir, place.epoch, self.id, self.disk_us);
        if let Err(reason) = disk.begin(&mut log) {
            log::tell_failure(&reason);
            std::process::exit(1);
        }
        // Now, as later there may be none to be had.
        if let Err(error) = self.disk_thread.begin() {
            tracing::warn!(core = self.id, %error, "no thread for the append-only log yet");
        }
        self.shard.set_log(Some(log));
        self.disk = Some(disk);
    }

    /// Core 0: whether a load has ended; what follows from it.
    pub(super) fn poll_log_load(&mut self) {
        let Some((load, _)) = &self.saving.log_load else {
            return;
        };
        let result = lock(&load.result).clone();
        let is_taken = load.cores_left.load(Ordering::Acquire) == 0;
        match result {
            Some(Ok(outcome)) if is_taken => self.logs_loaded(outcome),
            Some(Err(reason)) => self.logs_not_loaded(&reason),
            _ => {}
        }
    }

    fn logs_loaded(&mut self, outcome: Outcome) {
        let base_keys = outcome.base_keys;
        if let Some(store) = outcome.store {
            self.adopt_logs(store, (outcome.bytes, outcome.base_bytes));
        }
        let asked = self.end_log_load();
        self.saving_has_loaded(base_keys);
        if let Some((from, id)) = asked {
            let answer = self.answer_of_reload();
            self.answer(from, id, answer);
        }
    }

    fn logs_not_loaded(&mut self, reason: &str) {
        if let Some((_, None)) = self.saving.log_load {
            // While the gate is shut: nobody has been told that this process is ready.
            tracing::error!(reason, "cannot load the append-only log");
            eprintln!("rondo: {reason}");
            std::process::exit(1);
        }
        let Some((from, id)) = self.end_log_load() else {
            return;
        };
        self.saving.reloading = Default::default();
        tracing::error!(reason, "the append-only log cannot be loaded");
        self.answer(from, id, Answer::Refused(CANNOT.into()));
    }

    fn end_log_load(&mut self) -> Option<Asked> {
        let (_, asked) = self.saving.log_load.take()?;
        let board = self.mesh.board();
        *lock(&board.log_load) = None;
        board.gate.fetch_and(!GATE_LOADING, Ordering::Release);
        if asked.is_some() {
            self.unpause_all();
        }
        asked
    }

    // ---- DEBUG LOADAOF

    /// A core: tells those who wait for it that all of the log is durable, or cannot be.
    #[cold]
    pub(super) fn tell_synced(&mut self) {
        if !self.is_log_clean() {
            return;
        }
        let is_written = self.shard.log().is_none_or(|log| log.is_written());
        for (from, id) in std::mem::take(&mut self.waits_for_sync) {
            let answer = match is_written {
                true => Answer::Done,
                false => Answer::Refused("the log cannot be written".into()),
            };
            self.answer(from, id, answer);
        }
    }

    /// Core 0: all logs are on disk, or what keeps one from it is known.
    pub(super) fn logs_synced(&mut self, answers: &[Answer]) {
        let Some(asked) = self.saving.reload_log.take() else {
            return;
        };
        let path = super::rewrite::next_dir_of(&self.options);
        let is_on = self.saving.rewriting.store.is_some();
        let unwritten = answers.iter().find_map(|answer| match answer {
            Answer::Refused(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        });
        let opened = match &self.saving.rewriting.dir {
            // Memory has what they lack.
            _ if unwritten.is_some() => Err(unwritten.unwrap_or_default()),
            // Where they are written, or would be.
            Some(dir) if is_on || dir.is_at(&path) => dir.manifest().map(|manifest| Opened {
                dir: dir.clone(),
                manifest,
            }),
            _ if path.exists() => recover::open_at(&path),
            _ => Err("there is none".into()),
        };
        match opened {
            Ok(opened) => {
                self.saving.rewriting.dir = Some(opened.dir.clone());
                let (options, hasher) = (self.options.clone(), self.hasher.clone());
                let load = LogLoad::begin(opened, options, hasher, self.mesh.board(), false);
                self.saving.log_load = Some((load, Some(asked)));
            }
            Err(reason) => {
                tracing::error!(reason, "the append-only log cannot be loaded");
                self.saving.reloading = Default::default();
                self.unpause_all();
                self.answer(asked.0, asked.1, Answer::Refused(CANNOT.into()));
                // What has waited for it.
                self.go_on_saving();
            }
        }
    }
}
