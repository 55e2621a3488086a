//! Spares: the file of a snapshot that another has replaced is written over by the next one, a log's old segment by a new one.
//!
//!     replace, set_aside: temp-PID-N.old, kept for a while ─┬─> take: another name, for a file that is written over it
//!                                                           └─> nobody takes it: node/removal.rs
//!
//! Where a file system tells its disk what is free (mount option `discard`), the removal of a large file takes the disk from durable
//! writes (`node/removal.rs`): with BGSAVE after BGSAVE p99.9 was 6.0 ms for 2.9 before, with BGREWRITEAOF 7.9, and is 3.8 and 3.7 for
//! 2.7 where next to nothing is freed. Elsewhere, and for small files, there is nothing to gain and nothing is kept.
//!
//! Promises  only a file that this process wrote, that has no other name and that nobody else has open is written over; of one that a
//!           process which was killed has left, the next start with the same folder removes the name.
//! Not here  when snapshots are made, and what is needed: `node/snapshot.rs`, `node/data_dir.rs`.
//! Tests     tests/node/spare.rs.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Result as IoResult;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};

use super::doctor_disk::has_option;
use super::removal;

/// Files that are smaller go as they come.
const BYTES_MIN: u64 = 32 << 20;
/// So long the next snapshot may be in coming: more than the minute that a save point waits at least, by default.
const KEPT_FOR: Duration = Duration::from_secs(90);
/// A spare so many times as large as what is to be written would leave more to be freed than it spares.
const SIZE_PARTS: u64 = 2;
/// What the name of a spare ends with.
const NAME_END: &str = ".old";

/// Those of the process.
pub static SPARES: LazyLock<Spares> = LazyLock::new(|| Spares {
    look: Some(look),
    ..Spares::new(BYTES_MIN, is_told_what_is_free)
});

/// See the module.
pub struct Spares {
    state: Mutex<State>,
    bytes_min: u64,
    is_worth_it: fn(&File) -> bool,
    /// Who looks at them every now and then.
    look: Option<fn(Instant) -> bool>,
}

#[derive(Default)]
struct State {
    /// Files in force that this process wrote.
    known: HashMap<PathBuf, Known>,
    spares: Vec<Spare>,
    /// So many there have been.
    count: u64,
}

struct Known {
    inode: u64,
    mode: u32,
    size: u64,
}

struct Spare {
    path: PathBuf,
    /// It is locked: a process that starts leaves alone what another one has.
    file: Flock<File>,
    size: u64,
    until: Instant,
}

impl Spares {
    /// None so far, and nobody looks at them but who is asked to.
    ///
    /// - `bytes_min`: smaller files are not kept.
    /// - `is_worth_it`: whether a file's file system is one where files are kept.
    pub fn new(bytes_min: u64, is_worth_it: fn(&File) -> bool) -> Self {
        Self {
            state: Mutex::default(),
            bytes_min,
            is_worth_it,
            look: None,
        }
    }

    /// Gives a file that is whole, and has the name `from`, the name `to`, durably. What had that name is kept or goes by and by.
    ///
    /// - `size`: how large it is, in whatever is known before another is written: keys of a snapshot, bytes of a segment.
    /// - Errors: those of renaming and of syncing the folder.
    pub fn replace(&self, from: &Path, to: &Path, size: u64) -> IoResult<()> {
        let old = self.candidate(to, 1);
        let swap = || renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_EXCHANGE);
        match old {
            // A file system that cannot swap names has changed nothing.
            Some((file, size)) if swap().is_ok() => {
                // Not before: after a power cut the name could be that of a file that was written over.
                removal::sync_folder(to)?;
                self.keep(from, file, size);
            }
            _ => removal::replace(from, to)?,
        }
        self.note(to, size);
        Ok(())
    }

    /// Remembers a file that this process has written, so that it may become a spare.
    ///
    /// - `size`: see [`Spares::replace`].
    pub fn note(&self, path: &Path, size: u64) {
        if let Ok(written) = std::fs::symlink_metadata(path) {
            let known = Known {
                inode: written.ino(),
                mode: written.mode(),
                size,
            };
            self.state().known.insert(path.to_path_buf(), known);
        }
    }

    /// Removes the name of a file that nothing needs any more, durably so; what it holds is kept or goes by and by.
    ///
    /// - `most`: it goes where its folder has so many spares.
    /// - Errors: those of removing the name.
    pub fn set_aside(&self, path: &Path, most: usize) -> IoResult<()> {
        let old = self.candidate(path, most);
        self.state().known.remove(path);
        match old {
            Some((file, size)) => {
                self.keep(path, file, size);
                Ok(())
            }
            None => removal::remove(path),
        }
    }

    /// Gives a spare of a folder the name `to` in it, for a file of about that size to be written over it; whether there was one
    /// that is fit.
    ///
    /// - `size`: see [`Spares::replace`].
    pub fn take(&self, to: &Path, size: u64) -> bool {
        let mut state = self.state();
        let is_here = |spare: &Spare| spare.path.parent() == to.parent();
        let Some(index) = state.spares.iter().position(is_here) else {
            return false;
        };
        let spare = state.spares.swap_remove(index);
        drop(state);
        let is_fit = size >= spare.size / SIZE_PARTS && is_nobody_elses(&spare.file);
        let mut path = spare.path;
        if is_fit && std::fs::rename(&path, to).is_ok() {
            // Written over only once no power cut can bring an old name back.
            if removal::sync_folder(to).is_ok() {
                return true;
            }
            path = to.to_path_buf();
        }
        drop(spare.file);
        let_go(&path);
        false
    }

    /// Lets those go that were not taken in time, and all where room is short; whether there are others.
    pub fn look(&self, now: Instant) -> bool {
        let is_over =
            |spare: &mut Spare| now >= spare.until || removal::is_short_of_room(&spare.file);
        let mut state = self.state();
        let over: Vec<Spare> = state.spares.extract_if(.., is_over).collect();
        let has_others = !state.spares.is_empty();
        drop(state);
        for spare in over {
            drop(spare.file);
            let_go(&spare.path);
        }
        has_others
    }

    /// The paths of what is in a folder mean nothing any more: what is kept there goes.
    pub fn forget(&self, folder: &Path) {
        let mut state = self.state();
        state.known.retain(|path, _| !path.starts_with(folder));
        let is_there = |spare: &mut Spare| spare.path.starts_with(folder);
        let there: Vec<Spare> = state.spares.extract_if(.., is_there).collect();
        drop(state);
        for spare in there {
            drop(spare.file);
            let_go(&spare.path);
        }
    }

    /// The end: none has a name any more.
    pub fn remove_all(&self) {
        for spare in std::mem::take(&mut self.state().spares) {
            let _ = std::fs::remove_file(&spare.path);
        }
    }

    /// The file of a name if it may become a spare, and its size.
    fn candidate(&self, path: &Path, most: usize) -> Option<(Flock<File>, u64)> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        let state = self.state();
        let known = state.known.get(path)?;
        let is_same = metadata.is_file()
            && (metadata.ino(), metadata.mode()) == (known.inode, known.mode)
            && metadata.nlink() == 1
            && metadata.len() >= self.bytes_min;
        let spares = state.spares.iter();
        let spares = spares.filter(|spare| spare.path.parent() == path.parent());
        if !is_same || spares.count() >= most {
            return None;
        }
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).ok()?;
        let is_worth_it = (self.is_worth_it)(&file) && !removal::is_short_of_room(&file);
        let file = is_worth_it.then_some(file)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
        Some((file, known.size))
    }

    /// Keeps what has the name `path` as a spare of its folder.
    fn keep(&self, path: &Path, file: Flock<File>, size: u64) {
        let mut state = self.state();
        state.count += 1;
        let name = format!("temp-{}-{}{NAME_END}", std::process::id(), state.count);
        let spare = path.with_file_name(name);
        if std::fs::rename(path, &spare).is_err() {
            drop((state, file));
            return let_go(path);
        }
        state.spares.push(Spare {
            path: spare,
            file,
            size,
            until: Instant::now() + KEPT_FOR,
        });
        if let Some(look) = self.look {
            removal::look_later(look);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(now: Instant) -> bool {
    SPARES.look(now)
}

/// Removes what processes that were killed have left in a folder.
pub fn remove_left(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let numbers = name
            .strip_prefix("temp-")
            .and_then(|rest| rest.strip_suffix(NAME_END))
            .and_then(|rest| rest.split_once('-'));
        let are_numbers = numbers.is_some_and(|(process, count)| {
            process.parse::<u32>().is_ok() && count.parse::<u64>().is_ok()
        });
        if !are_numbers {
            continue;
        }
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(entry.path()).ok();
        let locked = file.and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok());
        if locked.is_some() {
            drop(locked);
            let_go(&entry.path());
        }
    }
}

fn let_go(path: &Path) {
    if let Err(error) = removal::remove(path) {
        tracing::warn!(file = %path.display(), %error, "cannot remove what is not needed any more");
    }
}

/// It may be written over: it has no other name, and nobody has it open.
fn is_nobody_elses(file: &File) -> bool {
    let links_count = file.metadata().map_or(0, |metadata| metadata.nlink());
    links_count == 1 && removal::is_alone(file).unwrap_or(false)
}

/// Whether its disk is told of every file that goes, by what the kernel says of mounts.
fn is_told_what_is_free(file: &File) -> bool {
    let (Ok(metadata), Ok(mounts)) = (
        file.metadata(),
        std::fs::read_to_string("/proc/self/mountinfo"),
    ) else {
        return false;
    };
    has_option(&mounts, metadata.dev(), "discard").unwrap_or(false)
}
