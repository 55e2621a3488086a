//! A base: all keys of an epoch as they were at its cut, read into that epoch's shards at start.
//!
//!     reader ─> batches by home shard ─> a thread for each shard
//!
//! Promises  every key is there with its deadline, whatever the time is by now: the logs that follow say what became of it.
//! Not here  where bases come from: `node/rewrite.rs`.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use super::folder::shown;
use super::functions::Codes;
use super::load::{BATCHES_MAX, Batch, Fed, TakenApart, take_apart, tell_empty, told};
use super::load_threads::{begin, end};
use super::regular;
use crate::keyspace::load::Loaded;
use crate::shard::Shard;

/// Reads a base; its libraries of functions.
///
/// - `checks`: `rdbchecksum`.
/// - `progress`: told of bytes.
/// - Errors: a sentence for the operator, with the file.
pub fn load_base(
    path: &Path,
    checks: bool,
    shards: &mut [Shard],
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Codes, String> {
    let fail = |reason: String| format!("{}, {reason}", shown(path).display());
    let mut file = regular::open(path).map_err(|error| fail(error.to_string()))?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let taken = load_base_from(&mut file, bytes, checks, shards, progress).map_err(fail)?;
    Ok(taken.functions)
}

/// Reads what begins as an RDB file.
///
/// - `file_bytes`: how long it is, about.
/// - `checks`: `rdbchecksum`.
/// - `shards`: all of a map of slots, one at least.
/// - Errors: the offset, and what is wrong there; or that a thread is missing.
pub(super) fn load_base_from(
    file: &mut impl Read,
    file_bytes: u64,
    checks: bool,
    shards: &mut [Shard],
    progress: &(dyn Fn(u64) + Sync),
) -> Result<TakenApart, String> {
    let map = shards[0].keys.slots();
    let (lines, receivers): (Vec<_>, Vec<_>) = shards
        .iter()
        .map(|_| sync_channel::<Batch>(BATCHES_MAX))
        .unzip();
    std::thread::scope(|scope| {
        let loaders = (shards.iter_mut().zip(receivers))
            .map(|(shard, line)| begin(scope, move || load_batches(shard, &line)))
            .collect::<Result<Vec<_>, String>>();
        let loaders = match loaders {
            Ok(loaders) => loaders,
            Err(reason) => {
                // Those that have begun wait for more.
                drop(lines);
                return Err(reason);
            }
        };
        let read = take_apart(file, file_bytes, map, checks, &mut |fed| match fed {
            Fed::Read(count) => {
                progress(count as u64);
                true
            }
            // As with Redis, only an RDB file that is loaded alone says that in INFO.
            Fed::UsedBytes(_) => true,
            // A loader that has failed is gone.
            Fed::Batch(shard, batch) => lines[shard].send(batch).is_ok(),
        });
        drop(lines);
        let results: Vec<Result<(), String>> = loaders.into_iter().map(end).collect();
        results.into_iter().collect::<Result<(), String>>()?;
        read
    })
}

fn load_batches(shard: &mut Shard, line: &Receiver<Batch>) -> Result<(), String> {
    for batch in line {
        for &(db, count) in &batch.sizes {
            shard.keys.reserve(db, count);
        }
        let mut start = 0;
        for (db, offset, end) in batch.records {
            let record = &batch.bytes[start..end];
            start = end;
            let loaded = shard
                .keys
                .restore_record(db, record)
                .map_err(|why| format!("at offset {offset}: {}", told(why, db)))?;
            if loaded == Loaded::Empty {
                tell_empty(record);
            }
        }
    }
    Ok(())
}
