//! Adoption: where there is no log yet, what Redis has left becomes one, at a start with `appendonly yes`.
//!
//!     appendonlydir/appendonly.aof.manifest, else appendonly.aof, else dump.rdb ─> import ─> the first epoch's base
//!
//! Whoever has run Redis here starts rondo with the same configuration and finds the same keys. Redis itself does not look at an RDB
//! file then: it starts empty, and the next save replaces the only copy.
//!
//! Promises  a log that has a base or a record is the whole truth, and nothing else is looked at; Redis's files stay as they are;
//!           a file that cannot be read ends the start, before a manifest says anything of it.
//! Not here  reading the files: `node/import.rs`.
//! Tests     tests/server/adoption.rs.

use std::path::{Path, PathBuf};

use super::data_dir::DataDir;
use super::import::{Imported, files_of, length_of};
use super::options::Options;
use super::recover::Progress;
use super::rewrite::dir_of;
use crate::keyspace::SlotMap;
use crate::persist::manifest::Manifest;

/// Makes what there is of Redis's the next epoch; whether there is something.
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
    let mut imported = Imported::new();
    for (path, is_last) in &files {
        let taken =
            progress.told(|| imported.take(path, *is_last, &|bytes| progress.add(bytes)))?;
        let told = taken.told(path);
        match taken.cut {
            None => tracing::info!("{told}"),
            Some(_) if options.aof_load_truncated => tracing::warn!("{told}"),
            Some(at) => {
                return Err(format!(
                    "{} ends in a write that was cut off at byte {at}; with aof-load-truncated yes it does not count",
                    path.display()
                ));
            }
        }
    }
    let keys = imported.into_first_epoch(dir, manifest, map)?;
    tracing::info!(
        keys,
        from = %from.display(),
        "there was no log yet: it begins with what is there of Redis's, which stays as it is"
    );
    Ok(true)
}

/// Where Redis would begin, or an RDB file.
fn find(options: &Options) -> Option<PathBuf> {
    let name = options.held_text("appendfilename");
    let folder = Path::new(&options.dir);
    [
        dir_of(options).join(format!("{name}.manifest")),
        // Before Redis 7.
        folder.join(&name),
        folder.join(&options.dbfilename),
    ]
    .into_iter()
    .find(|path| path.is_file() && length_of(path) > 0)
}
