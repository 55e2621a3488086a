//! Recovery at start: the keys of all logs, on as many cores as there are now.
//!
//!     each epoch: scan every log -> settle -> run every log, a thread each -> deal the keys to the next epoch's cores
//!
//! Promises  keys come out as they were, whatever the number of cores was and is; nothing is served before.
//! Not here  what counts: `persist/recovery.rs`.
//! Tests     tests/server/durability.rs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::data_dir::DataDir;
use super::options::Options;
use crate::base::hash::KeyHasher;
use crate::keyspace::{Keyspace, SlotMap};
use crate::persist::manifest::{Epoch, Manifest};
use crate::persist::recovery::{Scan, Tail, scan, settle, walk};
use crate::shard::Shard;

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What cores begin their logs with.
pub struct Begun {
    /// Where logs are.
    pub dir: Arc<DataDir>,
    /// What is being written from now on.
    pub epoch: Epoch,
    /// The keys, one keyspace for each core.
    pub keyspaces: Vec<Keyspace>,
}

/// Opens the data directory, recovers what is there, and begins a new epoch: nothing where there is to be no log.
///
/// - Errors: a sentence for the operator.
pub fn begin(
    options: &Options,
    hasher: &KeyHasher,
    cores_count: usize,
) -> Result<Option<Begun>, String> {
    if !options.appendonly {
        return Ok(None);
    }
    if options.appenddirname.is_empty() || options.appenddirname.contains('/') {
        return Err("appenddirname can't be a path, just a dirname".into());
    }
    let cores = cores_count as u16;
    let dir = DataDir::open(&PathBuf::from(&options.dir).join(&options.appenddirname))?;
    let mut manifest = dir.manifest()?;
    let Recovered { keyspaces } = recover(&dir, &mut manifest, options, hasher, cores)?;
    let epoch = Epoch {
        number: manifest.next_number(),
        cores,
        // New every time: what an earlier process may have left in a file is no record of this one.
        seed: KeyHasher::random().hash(&std::process::id().to_le_bytes()),
        base: None,
        ends: None,
    };
    manifest.epochs.push(epoch.clone());
    dir.set_manifest(&manifest).map_err(|error| {
        format!(
            "cannot write the manifest in {}: {error}",
            dir.path().display()
        )
    })?;
    Ok(Some(Begun {
        dir: Arc::new(dir),
        epoch,
        keyspaces,
    }))
}

/// What recovery came to.
pub struct Recovered {
    /// One for each core there is now.
    pub keyspaces: Vec<Keyspace>,
}

/// Recovers all keys, and notes in the manifest where each log ends.
///
/// - Errors: a sentence for the operator.
pub fn recover(
    dir: &DataDir,
    manifest: &mut Manifest,
    options: &Options,
    hasher: &KeyHasher,
    cores: u16,
) -> Result<Recovered, String> {
    let began = Instant::now();
    let mut bytes = 0;
    let mut shards: Vec<Shard> = Vec::new();
    for epoch in &mut manifest.epochs {
        let limits = (options, hasher);
        shards = deal(shards, limits, epoch.cores);
        let scans = in_parallel(0..epoch.cores, |core| scan(dir, epoch, core))
            .into_iter()
            .collect::<Result<Vec<Scan>, _>>()
            .map_err(|refusal| refusal.to_string())?;
        for scan in &scans {
            bytes += scan.bytes;
            if let Tail::Torn { file, offset } = &scan.tail {
                tell_torn(options, file, *offset)?;
            }
        }
        let settled = settle(&scans, true);
        for (core, (scan, &end)) in scans.iter().zip(&settled.ends).enumerate() {
            if end < scan.last_lsn {
                tracing::warn!(
                    core,
                    records = scan.last_lsn - end,
                    "records that depend on what another log has lost do not count; none of them was acknowledged"
                );
            }
        }
        let progress = Progress::new(scans.iter().map(|scan| scan.bytes).sum());
        let epoch_now: &Epoch = epoch;
        let run = |(core, shard): (usize, &mut Shard)| {
            let end = settled.ends[core];
            let mut failure = None;
            walk(
                dir,
                epoch_now,
                core as u16,
                end,
                &mut |record, sequence, at| {
                    let result = shard.replay(record);
                    progress.add(record.header.record_bytes());
                    failure = result.err().map(|error| {
                        let file = crate::persist::recovery::Files::name(
                            dir,
                            epoch_now.number,
                            core as u16,
                            sequence,
                        );
                        format!("{file}, record at byte {at}: {}", error.reason)
                    });
                    failure.is_none()
                },
            )
            .map_err(|refusal| refusal.to_string())?;
            for part in &settled.missing[core] {
                shard
                    .replay_commands(part.db, part.now_ms, &part.commands)
                    .map_err(|error| error.reason)?;
            }
            failure.map_or(Ok(()), Err)
        };
        let results = progress.told(|| in_parallel(shards.iter_mut().enumerate(), run));
        results.into_iter().collect::<Result<(), String>>()?;
        for (core, missing) in settled.missing.iter().enumerate() {
            if !missing.is_empty() {
                tracing::warn!(
                    core,
                    parts = missing.len(),
                    "parts of transactions came from other cores' logs"
                );
            }
        }
        epoch.ends = Some(settled.ends);
    }
    let shards = deal(shards, (options, hasher), cores);
    let mut shards = shards;
    shards.iter_mut().for_each(|shard| shard.keys.reset_stats());
    let keys: usize = shards.iter().map(keys_count).sum();
    if !manifest.epochs.is_empty() {
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(
            keys,
            bytes,
            "the append-only log was loaded in {seconds:.3} seconds"
        );
    }
    Ok(Recovered {
        keyspaces: shards.into_iter().map(|shard| shard.keys).collect(),
    })
}

fn tell_torn(options: &Options, file: &str, offset: u64) -> Result<(), String> {
    if options.aof_load_truncated {
        tracing::warn!(
            file,
            offset,
            "the log ends in a write that was cut off and never acknowledged; it does not count"
        );
        return Ok(());
    }
    Err(format!(
        "{file} ends in a write that was cut off at byte {offset}; with aof-load-truncated yes it does not count"
    ))
}

fn keys_count(shard: &Shard) -> usize {
    let databases = 0..shard.keys.databases_count();
    databases.map(|db| shard.keys.keys_count(db)).sum()
}

/// Runs `work` for each, a thread each.
fn in_parallel<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .into_iter()
            .map(|item| scope.spawn(move || work(item)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        // A thread that panics is a bug, and has said so.
        joined
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The same keys on `cores` shards.
fn deal(old: Vec<Shard>, (options, hasher): (&Options, &KeyHasher), cores: u16) -> Vec<Shard> {
    if old.len() == usize::from(cores) {
        return old;
    }
    let map = SlotMap::new(cores);
    let mut shards: Vec<Shard> = (0..cores)
        .map(|core| {
            let keys = super::settings::keyspace_options(options, hasher, map, core);
            let mut shard = Shard::new(core, Keyspace::new(keys));
            super::settings::apply_to_shard(options, &mut shard);
            // What was written once may be read again, whatever the limit is by now.
            shard.keys.set_value_bytes_max(u64::MAX >> 1);
            shard
        })
        .collect();
    for mut shard in old {
        shard.keys.drain(|db, key, value| {
            let target = &mut shards[usize::from(map.shard_of(key))].keys;
            let key = target.key(key);
            target.put_value(db, &key, value, true);
        });
    }
    shards
}

/// How far it has got, told once a second.
struct Progress {
    total: u64,
    done: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    fn new(total: u64) -> Self {
        Self {
            total,
            done: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn told<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let teller = scope.spawn(|| {
                while !self.is_over.load(Ordering::Acquire) {
                    std::thread::park_timeout(TOLD_EVERY);
                    if !self.is_over.load(Ordering::Acquire) {
                        let done = self.done.load(Ordering::Relaxed);
                        let percent = done * 100 / self.total.max(1);
                        tracing::info!(percent, bytes = done, "loading the append-only log");
                    }
                }
            });
            let result = work();
            self.is_over.store(true, Ordering::Release);
            teller.thread().unpark();
            result
        })
    }
}
