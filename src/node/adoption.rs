//! Adoption: where there is no log yet, what Redis has left becomes one, at a start with `appendonly yes`.
//!
//!     appendonlydir/appendonly.aof.manifest, else appendonly.aof, else dump.rdb ─> import ─> the first epoch's base
//!
//! Whoever has run Redis here starts rondo with the same configuration and finds the same keys. Redis itself does not look at an RDB
//! file then: it starts empty, and the next save replaces the only copy.
//!
//! Promises  a log that has a base or a record is the whole truth, and nothing else is loaded (where Redis has written since, that is
//!           told); Redis's files stay as they are; a file that cannot be read ends the start, before a manifest says anything of it.
//! Not here  reading the files: `node/import.rs`.
//! Tests     tests/server/adoption.rs.

use std::path::{Path, PathBuf};

use super::data_dir::DataDir;
use super::folder::shown;
use super::import::{Imported, files_of, length_of};
use super::options::Options;
use super::progress::Progress;
use super::recover::cut_off;
use super::rewrite::dir_of;
use crate::keyspace::SlotMap;
use crate::persist::manifest::Manifest;

/// Makes what there is of Redis's the next epoch of a manifest that the caller writes; whether there is something.
///
/// - `map`: which core is to have which key.
/// - Errors: a sentence for the operator.
pub(super) fn adopt(
    dir: &DataDir,
    manifest: &mut Manifest,
    options: &Options,
    map: SlotMap,
    progress: &Progress,
) -> Result<bool, String> {
    let Some(from) = find(options) else {
        return Ok(false);
    };
    let files = files_of(&from)?;
    progress.expect(files.iter().map(|(path, _)| length_of(path)).sum());
    let mut imported = Imported::new(options.rdbchecksum);
    for (path, is_last) in &files {
        let taken =
            progress.told(|| imported.take(path, *is_last, &|bytes| progress.add(bytes)))?;
        let told = taken.told(path);
        match taken.cut {
            None => tracing::info!("{told}"),
            Some(_) if options.aof_load_truncated => tracing::warn!("{told}"),
            Some(at) => return Err(cut_off(path.display(), at)),
        }
    }
    if let Some(db) = imported.last_db()
        && db as i64 >= options.databases
    {
        let from = from.display();
        let there = options.databases;
        return Err(format!(
            "{from}: there are keys in database {db}, and {there} databases: see the option databases"
        ));
    }
    // The manifest is written once all has been loaded from the base, as at any start.
    let keys = imported.into_first_epoch(dir, manifest, map)?;
    tracing::info!(
        keys,
        from = %from.display(),
        "there was no log yet: it begins with what is there of Redis's, which stays as it is"
    );
    Ok(true)
}

/// Tells where Redis has written since the last start with a log of rondo's: that is passed over.
pub(super) fn tell_newer(dir: &DataDir, options: &Options) {
    let Some(from) = logs_of_redis(options) else {
        return;
    };
    let modified = |path: &Path| std::fs::metadata(path).and_then(|of| of.modified()).ok();
    let started = modified(&dir.manifest_path());
    let files = files_of(&from).unwrap_or_default();
    if let Some((path, _)) = (files.iter()).find(|(path, _)| modified(path) > started) {
        tracing::warn!(
            file = %path.display(),
            "Redis has written here since the last start: none of that is loaded, for there is a log of rondo's; to begin \
             with Redis's anew, move away {} and the core-* beside it",
            shown(&dir.manifest_path()).display()
        );
    }
}

/// Where Redis would begin, or an RDB file.
fn find(options: &Options) -> Option<PathBuf> {
    let rdb = || Path::new(&options.dir).join(&options.dbfilename);
    logs_of_redis(options).or_else(|| Some(rdb()).filter(|path| has_something(path)))
}

fn logs_of_redis(options: &Options) -> Option<PathBuf> {
    let name = options.held_text("appendfilename");
    // One without anything in it is damaged, as Redis says too.
    let manifest = Some(dir_of(options).join(format!("{name}.manifest"))).filter(|it| it.is_file());
    // Before Redis 7.
    let file = || Path::new(&options.dir).join(&name);
    manifest.or_else(|| Some(file()).filter(|path| has_something(path)))
}

fn has_something(path: &Path) -> bool {
    path.is_file() && length_of(path) > 0
}
