//! Backup files: the folder that BACKUP fills, a data directory that a server starts from.
//!
//!     backupdir/ 0004-00000002.base.rdb · core-00/0004-00000007.log · core-01/… · manifest       and `lock`, until it is sealed
//!
//! Promises  what is in a sealed backup was read once more, and its logs reach exactly as far as its manifest says; names and
//!           what they stand for are durable before the manifest is; nothing is removed but what a backup has left.
//! Not here  when what is done: `node/backup.rs`.
//! Tests     tests/server/backup.rs.

use std::fs::{File, read_dir, remove_dir};
use std::io::{ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::data_dir::{DataDir, link, remove_if_there};
use super::faults::fail_if;
use super::folder::{self, Folder, shown};
use super::options::Options;
use super::removal;
use super::rewrite::dir_of;
use crate::persist::manifest::{Epoch, Manifest};
use crate::persist::recovery::{Files, scan};

/// What a backup has of one core's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogPart {
    /// The first segment that is needed beside the base, or beside those that the folder has already.
    pub first: u64,
    /// The last one, and whether it may still be written to.
    pub last: (u64, bool),
}

/// A sealed backup that was there at the start: its files, and when it began and was sealed, in seconds since the epoch.
pub struct Found {
    /// Its folder.
    pub folder: Arc<Folder>,
    /// See [`files`].
    pub files: Vec<PathBuf>,
    /// When its base was written.
    pub began_s: i64,
    /// When its manifest was.
    pub sealed_s: i64,
}

/// The folder that the options name.
pub fn path_of(options: &Options) -> PathBuf {
    let dir = folder::working_name(&options.dir);
    // BACKUP LIST has whole paths; `dir` may be said in part.
    let dir = dir.canonicalize().unwrap_or(dir);
    dir.join(&options.backupdirname)
}

/// Looks for what an earlier process has left: a sealed backup is kept, one that was not sealed goes.
///
/// - Errors: a sentence for the operator; `backupdirname` is no name.
pub fn look(options: &Options) -> Result<Option<Found>, String> {
    if options.backupdirname.is_empty() || options.backupdirname.contains('/') {
        return Err("backupdirname can't be a path, just a dirname".into());
    }
    let path = path_of(options);
    if options.backupdirname == options.appenddirname || !path.exists() {
        // A start from a backup itself: what is in it is the log.
        return Ok(None);
    }
    if path.join("manifest").exists() {
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
        let folder = Arc::new(Folder::open(&path).map_err(fail)?);
        let files = files(folder.path()).map_err(fail)?;
        let second = |file: Option<&PathBuf>| {
            let modified = file.and_then(|file| file.metadata().ok()?.modified().ok());
            let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |since| since.as_secs() as i64)
        };
        let (began_s, sealed_s) = (second(files.first()), second(files.last()));
        return Ok(Some(Found {
            folder,
            files,
            began_s,
            sealed_s,
        }));
    }
    // Without its lock it is no backup's; with one that is held it is another process's.
    if path.join("lock").exists()
        && let Ok(dir) = DataDir::open(&path)
    {
        tracing::warn!(dir = %path.display(), "removing a backup that was never sealed");
        remove(dir.folder().path()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(None)
}

/// A backup's files in `dir` itself would be passed over, and the server would begin empty without a word. Before anything is made
/// there.
///
/// - Errors: a sentence for the operator.
pub fn refuse_misplaced(options: &Options) -> Result<(), String> {
    let (dir, logs) = (Path::new(&options.dir), dir_of(options));
    let is_manifest = std::fs::read_to_string(dir.join("manifest"))
        .is_ok_and(|text| Manifest::from_text(&text).is_ok());
    if !is_manifest || logs.join("manifest").exists() {
        return Ok(());
    }
    Err(format!(
        "{} has the files of logs or of a backup in itself, where they are not looked for: move its manifest, *.base.rdb and \
         core-* to {}, or away",
        dir.canonicalize()
            .unwrap_or_else(|_| dir.to_path_buf())
            .display(),
        logs.display()
    ))
}

/// Makes the folder for a new backup, or takes an empty one.
///
/// - Errors: the reply.
pub fn begin(options: &Options) -> Result<DataDir, String> {
    if options.backupdirname == options.appenddirname {
        return Err("ERR backupdirname and appenddirname are the same".into());
    }
    let path = path_of(options);
    let is_empty = match read_dir(&path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(format!("ERR Can't read the backup directory: {error}")),
    };
    if !is_empty {
        return Err("ERR The backup directory is not empty".into());
    }
    DataDir::open(&path).map_err(|reason| format!("ERR {reason}"))
}

/// Takes the base that is in force; what it is the base of, and its path as in [`files`].
pub fn pin(data: &DataDir, to: &DataDir) -> Result<(Epoch, PathBuf), String> {
    let mut manifest = data.manifest()?;
    let epoch = manifest.epochs.pop().ok_or("there is no log")?;
    let base = epoch.base.as_ref().ok_or("the log has no base")?;
    let path = to.base_path(epoch.number, base.number);
    link(&data.base_path(epoch.number, base.number), &path)
        .map_err(|error| format!("{}: {error}", shown(&path).display()))?;
    Ok((epoch, path))
}

/// Takes segments that the log is about to drop.
pub fn keep(data: &DataDir, to: &DataDir, place: (u64, u16), segments: (u64, u64)) -> IoResult<()> {
    let (epoch, core) = place;
    for sequence in data
        .segments(epoch, core)
        .map_err(std::io::Error::other)?
        .into_iter()
        .filter(|sequence| (segments.0..segments.1).contains(sequence))
    {
        to.take_segment(data, (epoch, core, sequence), false)?;
    }
    Ok(())
}

/// Makes the folder whole: segments up to the cut, and the manifest. Reads all of the logs again.
///
/// - `epoch`: with the ends of its logs.
/// - Returns [`files`]. Errors: a sentence with the file; it may be tried again.
pub fn seal(
    data: &DataDir,
    to: &DataDir,
    epoch: &Epoch,
    parts: &[LogPart],
) -> Result<Vec<PathBuf>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", to.place().display());
    for (core, part) in parts.iter().enumerate() {
        let core = core as u16;
        for sequence in data.segments(epoch.number, core)? {
            let (last, is_open) = part.last;
            if (part.first..=last).contains(&sequence) {
                let is_open = is_open && sequence == last;
                let place = (epoch.number, core, sequence);
                to.take_segment(data, place, is_open).map_err(fail)?;
            }
        }
        to.sync_core(core).map_err(fail)?;
    }
    for core in 0..epoch.cores {
        // It refuses a log that ends before its end.
        scan(to, epoch, core).map_err(|refusal| refusal.to_string())?;
    }
    let manifest = Manifest {
        epochs: vec![epoch.clone()],
    };
    to.set_manifest(&manifest).map_err(fail)?;
    finish(to.folder().path()).map_err(fail)
}

/// Says that the folder is whole; its files.
pub fn finish(path: &Path) -> IoResult<Vec<PathBuf>> {
    fail_if("unlock")?;
    // It may have gone before, and what comes after it failed.
    remove_if_there(&path.join("lock"))?;
    File::open(path)?.sync_all()?;
    files(path)
}

/// All files that a backup has: the base, the segments by core, the manifest. Paths are below `path`, which is a held folder's
/// (`node/folder.rs`).
fn files(path: &Path) -> IoResult<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in read_dir(path)? {
        let path = entry?.path();
        if is_core_dir(&path) {
            for entry in read_dir(&path)? {
                found.push((1, entry?.path()));
            }
        } else if path.extension().is_some_and(|end| end == "rdb") {
            found.push((0, path));
        } else if path.ends_with("manifest") {
            found.push((2, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Removes what a backup has made in its folder, and nothing else.
pub fn remove(path: &Path) -> IoResult<()> {
    let listed = read_dir(path).and_then(Iterator::collect::<IoResult<Vec<_>>>);
    let entries = match listed {
        // It has gone, held open or not.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    // The manifest first: without it what is left is no backup.
    for name in ["manifest", "manifest.new"] {
        remove_if_there(&path.join(name))?;
    }
    for entry in entries {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_core_dir(&path) {
            for entry in read_dir(&path)? {
                let path = entry?.path();
                if path.extension().is_some_and(|end| end == "log") {
                    removal::remove(&path)?;
                }
            }
            // Somebody else's file keeps it.
            let _ = remove_dir(&path);
        } else if name.ends_with(".base.rdb") || name.starts_with("temp-") {
            removal::remove(&path)?;
        }
    }
    remove_if_there(&path.join("lock"))?;
    File::open(path)?.sync_all()
}

fn is_core_dir(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("core-") && path.is_dir()
}
