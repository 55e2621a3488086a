//! Recovery at start: the keys of all logs, on as many cores as there are now.
//!
//!     each epoch: its base -> scan and run every log, a thread each -> settle, run what is left -> deal the keys to the next
//!     epoch's cores, where not each of these has the keys of whole cores of before
//!
//! Promises  keys come out as they were, whatever the number of cores was and is; nothing is served before.
//! Not here  what counts: `persist/recovery.rs`; where there is no log yet: `node/adoption.rs`.
//! Tests     tests/server/durability.rs.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::adoption::{adopt, tell_newer};
use super::base::load_base;
use super::data_dir::DataDir;
use super::disk::has_no_room;
use super::functions::Codes;
use super::import::length_of;
use super::load_threads::{begin, in_parallel};
use super::options::Options;
use super::progress::Progress;
use super::replaying::{Runner, Seat, Sizes, Together, run_record};
use super::rewrite::{dir_of, next_epoch};
use crate::base::hash::KeyHasher;
use crate::keyspace::{KeyGroups, Keyspace, Moved, SlotMap};
use crate::persist::BLOCK_BYTES;
use crate::persist::manifest::{Epoch, Manifest};
use crate::persist::recovery::{
    Extent, Scan, Settled, Tail, gone_tails, scan, scan_with, settle, walk,
};
use crate::shard::Shard;

/// Keys that go from one thread to another at once where the number of cores has changed.
const DEALT_AT_ONCE: usize = 256;

/// A data directory, and what it says counts.
pub struct Opened {
    /// The directory.
    pub dir: Arc<DataDir>,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Opened {
    /// Threads that load it while `cores_count` cores begin, beyond one for each core: those of logs of another number of cores.
    pub fn loaders_count(&self, cores_count: usize) -> usize {
        let cores = self.manifest.epochs.iter().map(|it| usize::from(it.cores));
        cores
            .filter(|&cores| cores != cores_count)
            .max()
            .unwrap_or(0)
    }
}

/// What was loaded, and what is to follow.
pub struct Loaded {
    /// The keys, one keyspace for each core.
    pub keyspaces: Vec<Keyspace>,
    /// Code of the libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// Bytes of all that counts.
    pub bytes: u64,
    /// Bytes of the base, where there is one.
    pub base_bytes: u64,
    /// How many keys it has.
    pub base_keys: Option<usize>,
    /// What is being written from now on; none where nothing new begins.
    pub epoch: Option<Epoch>,
}

/// Opens the data directory.
///
/// - Errors: a sentence for the operator.
pub fn open(options: &Options) -> Result<Opened, String> {
    if options.appenddirname.is_empty() || options.appenddirname.contains('/') {
        return Err("appenddirname can't be a path, just a dirname".into());
    }
    open_at(&dir_of(options))
}

/// The same by its path.
pub fn open_at(path: &Path) -> Result<Opened, String> {
    let dir = DataDir::open(path)?;
    let manifest = dir.manifest()?;
    let dir = Arc::new(dir);
    Ok(Opened { dir, manifest })
}

/// Loads what a data directory holds.
///
/// - `map`: which core is to have which key.
/// - `begins`: a new epoch begins, and what is not needed any more goes.
/// - Errors: a sentence for the operator.
pub fn load(
    opened: &Opened,
    options: &Options,
    hasher: &KeyHasher,
    map: SlotMap,
    begins: bool,
    progress: &Progress,
) -> Result<Loaded, String> {
    let Opened { dir, manifest } = opened;
    let mut manifest = manifest.clone();
    let limits = (options, hasher);
    let mut recovered = recover(dir, &mut manifest, limits, map, progress)?;
    if !begins {
        return Ok(recovered.loaded);
    }
    let is_new = !manifest.epochs.iter().any(|epoch| epoch.base.is_some())
        && recovered.extents.iter().flatten().all(Option::is_none);
    if !is_new {
        tell_newer(dir, options);
    } else if adopt(dir, &mut manifest, options, map, progress)? {
        recovered = recover(dir, &mut manifest, limits, map, progress)?;
    }
    let mut loaded = recovered.loaded;
    let number = manifest.next_number();
    // An epoch in which nothing happened is forgotten.
    let mut extents = recovered.extents.into_iter();
    let mut kept = Vec::new();
    let mut forgotten = Vec::new();
    manifest.epochs.retain(|epoch| {
        let extents = extents.next().unwrap_or_default();
        let is_needed = epoch.base.is_some() || extents.iter().any(Option::is_some);
        match is_needed {
            true => kept.push((epoch.number, extents)),
            false => forgotten.push((epoch.number, vec![None; usize::from(epoch.cores)])),
        }
        is_needed
    });
    let mut epoch = next_epoch(&manifest, map);
    epoch.number = number.max(epoch.number).max(dir.last_epoch_named() + 1);
    manifest.epochs.push(epoch.clone());
    let fail = |error: std::io::Error| {
        let place = dir.place();
        let place = place.display();
        format!("cannot write the manifest in {place}: {error}")
    };
    match dir.set_manifest(&manifest) {
        Err(error) if has_no_room(&error) => {
            // A disk may be full of what was allocated and never used: that goes first, and what is there can be read.
            dir.remove_left();
            for (number, extents) in kept.iter().chain(&forgotten) {
                for (core, extent) in extents.iter().enumerate() {
                    let last = extent.map_or((0, 0), |extent| (extent.last, extent.end));
                    dir.hollow(*number, core as u16, last);
                }
            }
            dir.set_manifest(&manifest).map_err(fail)?;
        }
        result => result.map_err(fail)?,
    }
    dir.remove_others(&manifest).map_err(fail)?;
    dir.remove_left();
    for (number, extents) in kept {
        for (core, extent) in extents.into_iter().enumerate() {
            trim(dir, number, core as u16, extent);
        }
    }
    loaded.epoch = Some(epoch);
    Ok(loaded)
}

/// Gives back what was allocated for records that never came; nobody writes this log any more.
fn trim(dir: &DataDir, epoch: u64, core: u16, extent: Option<Extent>) {
    match extent {
        None => dir.keep_segments(epoch, core, (1, 0)),
        Some(Extent { first, last, end }) => {
            dir.keep_segments(epoch, core, (first, last));
            let bytes = end.next_multiple_of(BLOCK_BYTES as u64);
            dir.trim((epoch, core, last), bytes);
        }
    }
}

/// What recovery came to.
struct Recovered {
    loaded: Loaded,
    /// For each epoch and core where its records are.
    extents: Vec<Vec<Option<Extent>>>,
}

/// Recovers all keys, and notes in the manifest where each log ends.
///
/// - Errors: a sentence for the operator.
fn recover(
    dir: &DataDir,
    manifest: &mut Manifest,
    limits: (&Options, &KeyHasher),
    map: SlotMap,
    progress: &Progress,
) -> Result<Recovered, String> {
    let began = Instant::now();
    let (options, _) = limits;
    let cores = map.shards_count();
    let mut bytes = 0;
    let (mut base_bytes, mut base_keys) = (0, None);
    let mut shards: Vec<Shard> = Vec::new();
    let mut functions = Codes::default();
    let mut extents = Vec::new();
    let sizes = (manifest.epochs.iter())
        .map(|epoch| sizes_of(dir, epoch))
        .collect::<Result<Vec<Sizes>, String>>()?;
    let all_bytes = |sizes: &Sizes| sizes.base_bytes + sizes.logs_bytes();
    progress.expect(sizes.iter().map(all_bytes).sum());
    for (epoch, sizes) in manifest.epochs.iter_mut().zip(&sizes) {
        let groups = KeyGroups::read(&epoch.groups)?;
        let then = SlotMap::new(epoch.cores).with_groups(groups);
        let replayed = SlotMap::new(shards_for(epoch.cores, cores)).with_groups(groups);
        if shards.first().is_some_and(|it| it.keys.slots() != replayed) {
            let scans = in_parallel(0..epoch.cores, |core| scan(dir, epoch, core))?
                .into_iter()
                .collect::<Result<Vec<Scan>, _>>()
                .map_err(|refusal| refusal.to_string())?;
            refuse_gone(dir, epoch, &scans, options)?;
            if epoch.base.is_none() && !scans.iter().any(has_something) {
                // A start with these cores, and no more: keys need not be dealt for it.
                extents.push(vec![None; usize::from(epoch.cores)]);
                progress.add(all_bytes(sizes));
                continue;
            }
        }
        shards = deal(shards, limits, replayed)?;
        functions.version = 0;
        if let Some(base) = &epoch.base {
            let path = dir.base_path(epoch.number, base.number);
            bytes += sizes.base_bytes;
            base_bytes = sizes.base_bytes;
            functions = progress.told(|| {
                load_base(&path, options.rdbchecksum, &mut shards, &|bytes| {
                    progress.add(bytes)
                })
            })?;
            base_keys = Some(shards.iter().map(|shard| keys_count(&shard.keys)).sum());
        }
        let together = Together::new(epoch.cores);
        let epoch_now: &Epoch = epoch;
        let held: Vec<Mutex<Shard>> = shards.into_iter().map(Mutex::new).collect();
        let seats = Seat::of(&held, then);
        let scan_and_run = |seat: Seat<'_>| {
            let mut runner = Runner::new(dir, epoch_now, seat, &together, progress, sizes);
            let scan = scan_with(dir, epoch_now, seat.origin.shard, &mut runner);
            let last_lsn = runner.end();
            let scan = scan.map_err(|refusal| refusal.to_string());
            Ok((scan?, last_lsn?))
        };
        let results = progress.told(|| in_parallel(seats.iter().copied(), scan_and_run))?;
        let results: Vec<(Scan, u64)> = results.into_iter().collect::<Result<_, String>>()?;
        let (scans, run): (Vec<Scan>, Vec<u64>) = results.into_iter().unzip();
        for scan in &scans {
            bytes += scan.bytes;
            tell_tail(options, epoch, &scan.tail)?;
        }
        refuse_gone(dir, epoch, &scans, options)?;
        let settled = settle(&scans, true);
        for (core, (scan, &end)) in scans.iter().zip(&settled.ends).enumerate() {
            if end < scan.last_lsn {
                tracing::warn!(
                    core,
                    records = scan.last_lsn - end,
                    "records that depend on what another log has lost do not count"
                );
            }
        }
        extents.push(scans.iter().map(|scan| scan.extent).collect());
        let run_rest = |seat: Seat<'_>| {
            let run_lsn = run[usize::from(seat.origin.shard)];
            run_log(dir, epoch_now, (run_lsn, &settled), seat)
        };
        let results = progress.told(|| in_parallel(seats.iter().copied(), run_rest))?;
        results.into_iter().collect::<Result<(), String>>()?;
        let free = |shard: Mutex<Shard>| shard.into_inner().unwrap_or_else(PoisonError::into_inner);
        shards = held.into_iter().map(free).collect();
        let replayed = shards.iter_mut().flat_map(Shard::take_replayed_libraries);
        functions.change(replayed.collect());
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
    let mut shards = deal(shards, limits, map)?;
    shards.iter_mut().for_each(|shard| shard.keys.reset_stats());
    let keys: usize = shards.iter().map(|shard| keys_count(&shard.keys)).sum();
    if !manifest.epochs.is_empty() {
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(
            keys,
            bytes,
            "DB loaded from append only file: {seconds:.3} seconds"
        );
    }
    let loaded = Loaded {
        keyspaces: shards.into_iter().map(|shard| shard.keys).collect(),
        functions: functions.codes,
        bytes,
        base_bytes,
        base_keys,
        epoch: None,
    };
    Ok(Recovered { loaded, extents })
}

/// Bytes of all that an epoch has.
fn sizes_of(dir: &DataDir, epoch: &Epoch) -> Result<Sizes, String> {
    let base = epoch.base.as_ref();
    let path = base.map(|base| dir.base_path(epoch.number, base.number));
    Ok(Sizes {
        base_bytes: path.map_or(0, |path| length_of(&path)),
        logs: in_parallel(0..epoch.cores, |core| dir.log_extent(epoch.number, core))?,
    })
}

/// How many shards replay the logs of `then` cores where there are `now`: as many as now where each has the keys of whole cores of
/// then, so that no key has to be dealt afterwards, which costs as much as running its log.
fn shards_for(then: u16, now: u16) -> u16 {
    if then.is_multiple_of(now) { now } else { then }
}

fn has_something(scan: &Scan) -> bool {
    scan.extent.is_some() || scan.tail != Tail::Clean
}

/// Runs what counts of one core's log on its shard and has not been run by the scan.
///
/// - `run_lsn`: the last record that has been run.
fn run_log(
    dir: &DataDir,
    epoch: &Epoch,
    (run_lsn, settled): (u64, &Settled),
    seat: Seat<'_>,
) -> Result<(), String> {
    let core = seat.origin.shard;
    let end = settled.ends[usize::from(core)];
    let mut failure = None;
    if run_lsn < end {
        walk(dir, epoch, core, end, &mut |record, sequence, at| {
            if record.header.lsn > run_lsn {
                let place = (epoch.number, sequence, at);
                failure = run_record(dir, place, record, &seat).err();
            }
            failure.is_none()
        })
        .map_err(|refusal| refusal.to_string())?;
    }
    if let Some(reason) = failure {
        return Err(reason);
    }
    for part in &settled.missing[usize::from(core)] {
        seat.lock()
            .replay_commands_of(seat.origin, part.db, part.now_ms, &part.commands)
            .map_err(|error| error.reason)?;
    }
    Ok(())
}

/// Refuses an epoch that lacks the files of whole logs.
fn refuse_gone(
    dir: &DataDir,
    epoch: &Epoch,
    scans: &[Scan],
    options: &Options,
) -> Result<(), String> {
    let gone = gone_tails(dir, epoch, scans).map_err(|refusal| refusal.to_string())?;
    gone.iter()
        .try_for_each(|(_, tail)| tell_tail(options, epoch, tail))
}

/// Says that a log does not end after a whole record, or does not load it.
fn tell_tail(options: &Options, epoch: &Epoch, tail: &Tail) -> Result<(), String> {
    let loads = options.aof_load_truncated;
    match tail {
        Tail::Clean => {}
        Tail::Torn { file, offset } if loads => tracing::warn!(
            file,
            offset,
            "the log ends in a write that is not whole; it does not count (with appendfsync always it had not been acknowledged, \
             unless the file has been damaged since)"
        ),
        Tail::Torn { file, offset } => {
            let what = cut_off(file, *offset);
            return Err(format!("{what}, nor after `rondo check DIR --fix`"));
        }
        // Nobody cuts all of a file off: it was not copied, or its disk is not there. Before all logs have begun one may have none yet.
        Tail::Short { bytes: 0, .. } if epoch.is_begun => {
            return Err(format!(
                "{}; nothing is loaded: restore it from a copy, or have `rondo check DIR --fix` do without it",
                shortened(tail)
            ));
        }
        Tail::Short { .. } if loads => {
            tracing::warn!("{}; what is left counts", shortened(tail));
        }
        Tail::Short { .. } => {
            let what = shortened(tail);
            return Err(format!(
                "{what}; restore it from a copy, or have what is left count with aof-load-truncated yes"
            ));
        }
    }
    Ok(())
}

/// What is wrong with the file of a [`Tail::Short`].
pub(super) fn shortened(tail: &Tail) -> String {
    match tail {
        Tail::Short { file, bytes: 0, .. } => {
            format!("{file} is missing or empty: what the log held is lost")
        }
        Tail::Short {
            file,
            bytes,
            made_bytes,
        } => format!(
            "{file} has {bytes} of the {made_bytes} bytes that it was made with: what came after may be lost"
        ),
        _ => String::new(),
    }
}

/// Why a file that ends in the middle of a write is not loaded.
pub(super) fn cut_off(file: impl std::fmt::Display, offset: u64) -> String {
    format!(
        "{file} ends in a write that was cut off at byte {offset}; with aof-load-truncated yes it does not count"
    )
}

/// Keys of all databases.
pub(super) fn keys_count(keys: &Keyspace) -> usize {
    let databases = 0..keys.databases_count();
    databases.map(|db| keys.keys_count(db)).sum()
}

/// The same keys on the shards of `map`; a thread for each of the old ones and of the new.
///
/// - Errors: as [`begin`].
fn deal(
    old: Vec<Shard>,
    (options, hasher): (&Options, &KeyHasher),
    map: SlotMap,
) -> Result<Vec<Shard>, String> {
    if old.first().is_some_and(|it| it.keys.slots() == map) {
        return Ok(old);
    }
    let cores = map.shards_count();
    let counts: Vec<usize> = match old.first() {
        Some(first) => (0..first.keys.databases_count())
            .map(|db| old.iter().map(|shard| shard.keys.keys_count(db)).sum())
            .collect(),
        None => Vec::new(),
    };
    let mut shards: Vec<Shard> = (0..cores)
        .map(|core| {
            let keys = super::settings::keyspace_options(options, hasher, map, core);
            let mut shard = Shard::new(core, Keyspace::new(keys));
            super::settings::apply_to_shard(options, &mut shard);
            // What was written once may be read again, whatever the limit is by now.
            shard.keys.set_value_bytes_max(u64::MAX >> 1);
            for (db, count) in counts.iter().enumerate() {
                let share = count / usize::from(cores);
                shard.keys.reserve(db as u64, share as u64);
            }
            shard
        })
        .collect();
    // Where one cannot begin, its end of a channel is gone, and so no other waits for it.
    std::thread::scope(|scope| {
        let senders = (shards.iter_mut())
            .map(|target| {
                let (sender, receiver) = sync_channel::<Vec<(usize, Vec<u8>, Moved)>>(4);
                begin(scope, move || {
                    for (db, key, value) in receiver.into_iter().flatten() {
                        let key = target.keys.key(&key);
                        target.keys.put_value(db, &key, value, true);
                    }
                })?;
                Ok(sender)
            })
            .collect::<Result<Vec<_>, String>>()?;
        for mut shard in old {
            let senders = senders.clone();
            begin(scope, move || {
                let mut batches: Vec<Vec<_>> = senders.iter().map(|_| Vec::new()).collect();
                // Receivers live until the last sender has gone.
                shard.keys.drain(|db, key, value| {
                    let target = usize::from(map.shard_of(key));
                    batches[target].push((db, key.to_vec(), value));
                    if batches[target].len() == DEALT_AT_ONCE {
                        let _ = senders[target].send(std::mem::take(&mut batches[target]));
                    }
                });
                for (sender, batch) in senders.iter().zip(batches) {
                    let _ = sender.send(batch);
                }
            })?;
        }
        Ok::<(), String>(())
    })?;
    Ok(shards)
}
