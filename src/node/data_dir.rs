//! Data directory: the files of logs, and who may use them.
//!
//!     appendonlydir/ lock · manifest · 0001-00000001.base.rdb · core-00/0001-00000001.log · core-01/… · …
//!
//! Promises  one process at a time; the manifest is replaced whole or not at all; nobody but the owner can read the files;
//!           a name is durable before anything that needs it is.
//! Not here  what is in the files: `persist/`.
//! Tests     tests/server/durability.rs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{Whence, lseek};

use super::faults::{fail_if, fault};
use super::folder::{Folder, shown};
use super::process::machine_bytes;
use super::regular;
use super::removal::{self, Next};
use super::spare::{self, SPARES};
use crate::persist::manifest::Manifest;
use crate::persist::recovery::Files;
use crate::persist::source::{PIECE_BYTES, Source, Window};
use crate::persist::{BLOCK_BYTES, BlockBuffer};

const MANIFEST: &str = "manifest";
/// Permissions of each file in it, bases among them, whatever the umask says; its folders are as much their owner's.
pub(super) const FILE_MODE: u32 = 0o600;
/// What the name of a segment ends with that is written over an old one, until it is whole.
const UNFINISHED: &str = ".log.new";
/// So much of a segment is filled with zeros by one write.
const ZEROS_BYTES: usize = 256 * 1024;
/// So much is read at once where only its last byte is looked for.
const READ_BYTES: u64 = 1 << 20;
/// So many old segments of a core are kept to be written over.
const SPARE_SEGMENTS_MAX: usize = 4;
/// The largest segment that there is room for with the fault of this name.
const NEARLY_FULL_BYTES: u64 = 512 << 10;

/// The directory, locked for this process.
pub struct DataDir {
    folder: Arc<Folder>,
    _lock: File,
    /// Held by who changes which files count.
    changing: Mutex<()>,
    /// The manifest that this process has found, or has left.
    manifest: Mutex<Option<FileId>>,
}

/// Which file it is, whatever other names it gets: device, number, and when it was made, as numbers are given again.
type FileId = (u64, u64, Option<SystemTime>);

impl DataDir {
    /// Opens it, and makes it if it is not there.
    ///
    /// - Errors: a sentence for the operator; another process that has it is one.
    pub fn open(path: &Path) -> Result<Self, String> {
        let fail = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
        let told = shown(path);
        make_dir(path).map_err(|error| fail(&format!("make {}", told.display()), error))?;
        let folder =
            Folder::open(path).map_err(|error| fail(&format!("open {}", told.display()), error))?;
        let folder = Arc::new(folder);
        let lock_path = folder.path().join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(|error| fail(&format!("open {}", shown(&lock_path).display()), error))?;
        if let Err(error) = lock.try_lock() {
            return Err(match error {
                std::fs::TryLockError::WouldBlock => format!(
                    "{} is in use by another process; give each its own `dir` or `appenddirname`",
                    told.display()
                ),
                std::fs::TryLockError::Error(error) => {
                    fail(&format!("lock {}", shown(&lock_path).display()), error)
                }
            });
        }
        Ok(Self {
            _lock: lock,
            manifest: Mutex::new(id_of(std::fs::metadata(folder.path().join(MANIFEST)))),
            folder,
            changing: Mutex::new(()),
        })
    }

    /// Keeps others from replacing the manifest: core 0 and the thread for files may both be about to, and what one of them has
    /// read, replaced and removed must be of one manifest.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, held.
    pub fn folder(&self) -> Arc<Folder> {
        self.folder.clone()
    }

    /// Where it is, as far as its name goes: it may be another soon.
    pub fn place(&self) -> PathBuf {
        shown(self.folder.path())
    }

    /// Whether it is the directory of that name.
    pub fn is_at(&self, name: &Path) -> bool {
        self.folder.is_at(name)
    }

    /// Reads the manifest; an empty one where there are no logs.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let path = self.folder.path().join(MANIFEST);
        match regular::open(&path).and_then(std::io::read_to_string) {
            Ok(text) => Manifest::from_text(&text)
                .map_err(|reason| format!("{} cannot be used: {reason}", shown(&path).display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let entries = std::fs::read_dir(self.folder.path())
                    .into_iter()
                    .flatten()
                    .flatten();
                let mut names = entries.map(|entry| entry.file_name());
                if names.any(|name| name.to_string_lossy().starts_with("core-")) {
                    return Err(format!(
                        "{} is missing, and there are logs beside it; it says which of them count",
                        shown(&path).display()
                    ));
                }
                Ok(Manifest::default())
            }
            Err(error) => Err(format!("cannot read {}: {error}", shown(&path).display())),
        }
    }

    /// Replaces the manifest; durable when it returns, as is the directory's own name.
    pub fn set_manifest(&self, manifest: &Manifest) -> std::io::Result<()> {
        fail_if("manifest")?;
        let new = self.folder.path().join("manifest.new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(FILE_MODE)
            .open(&new)?;
        file.write_all(manifest.to_text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, self.manifest_path())?;
        *self.manifest_id() = id_of(file.metadata());
        sync_dir(self.folder.path())?;
        // A process before may have made it and not come to this.
        sync_dir(&self.folder.path().join(".."))
    }

    /// Whether somebody has put another manifest in the place of the one that this process knows: what is here is theirs.
    pub fn has_others_manifest(&self) -> bool {
        let found = id_of(std::fs::metadata(self.manifest_path()));
        found.is_some() && found != *self.manifest_id()
    }

    fn manifest_id(&self) -> MutexGuard<'_, Option<FileId>> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest, written anew with every start.
    pub fn manifest_path(&self) -> PathBuf {
        self.folder.path().join(MANIFEST)
    }

    /// The file of a base.
    pub fn base_path(&self, epoch: u64, number: u64) -> PathBuf {
        self.folder
            .path()
            .join(format!("{epoch:04}-{number:08}.base.rdb"))
    }

    /// The largest epoch that a file here has in its name, whatever it counts for. Of one that was begun and never came to a
    /// manifest there may be segments, or come to be after a power cut, and they must not be taken for the next one's.
    pub fn last_epoch_named(&self) -> u64 {
        let entries_of = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
        let epoch_of = |path: &Path| {
            let ends = [".log", UNFINISHED, ".base.rdb"];
            ends.into_iter().find_map(|end| numbers(path, end))
        };
        entries_of(self.folder.path())
            .map(|entry| entry.path())
            .flat_map(|path| {
                let inside = entries_of(&path)
                    .map(|entry| entry.path())
                    .collect::<Vec<_>>();
                inside.into_iter().chain([path])
            })
            .filter_map(|path| Some(epoch_of(&path)?.0))
            .max()
            .unwrap_or(0)
    }

    /// Removes what a manifest that is durable does not need: other bases, logs of other epochs.
    pub fn remove_others(&self, manifest: &Manifest) -> std::io::Result<()> {
        let is_needed = |epoch: u64| manifest.epochs.iter().any(|needed| needed.number == epoch);
        let is_needed_base = |epoch: u64, number: u64| {
            let mut bases = manifest.epochs.iter();
            bases.any(|needed| {
                let base = needed.base.as_ref().map(|base| base.number);
                needed.number == epoch && base == Some(number)
            })
        };
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    let path = entry?.path();
                    // One that is being made for a log that goes on is its thread's.
                    let of = numbers(&path, ".log").or_else(|| numbers(&path, UNFINISHED));
                    if of.is_some_and(|(epoch, _)| !is_needed(epoch)) {
                        unless_gone(SPARES.set_aside(&path, SPARE_SEGMENTS_MAX))?;
                    }
                }
            } else if numbers(&path, ".base.rdb")
                .is_some_and(|(epoch, number)| !is_needed_base(epoch, number))
            {
                unless_gone(SPARES.set_aside(&path, 1))?;
            }
        }
        Ok(())
    }

    /// Removes what a process that was killed has kept for files to come, and what it had not finished.
    pub fn remove_left(&self) {
        let entries = std::fs::read_dir(self.folder.path());
        let paths = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let folders = paths.filter(|path| path.is_dir());
        for folder in folders.chain([self.folder.path().to_path_buf()]) {
            spare::remove_left(&folder);
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for path in entries
                .map(|entry| entry.path())
                .filter(|path| is_unfinished(path))
            {
                if let Err(error) = remove_if_there(&path) {
                    tracing::warn!(file = %shown(&path).display(), %error, "cannot remove what was not finished");
                }
            }
        }
    }

    /// Keeps of a log's segments those from `first` to `last`.
    pub fn keep_segments(&self, epoch: u64, core: u16, (first, last): (u64, u64)) {
        let segments = self.segments(epoch, core).unwrap_or_default();
        for sequence in segments {
            let path = self.segment(epoch, core, sequence);
            if !(first..=last).contains(&sequence)
                && let Err(error) = SPARES.set_aside(&path, SPARE_SEGMENTS_MAX)
            {
                tracing::warn!(file = %shown(&path).display(), %error, "cannot remove what is not needed any more");
            }
        }
    }

    /// Gives back what a segment has beyond `bytes`: nobody writes it any more.
    pub fn trim(&self, (epoch, core, sequence): (u64, u16, u64), bytes: u64) {
        let path = self.segment(epoch, core, sequence);
        let file = OpenOptions::new().write(true).open(&path);
        let trimmed = file.and_then(|file| {
            if file.metadata()?.len() > bytes {
                file.set_len(bytes)?;
            }
            Ok(())
        });
        if let Err(error) = trimmed {
            tracing::warn!(file = %shown(&path).display(), %error, "cannot give back what is not used");
        }
    }

    /// Gives back the room of what is not used of a log that nobody writes any more, and leaves its files as long as they are: whoever
    /// reads them before a manifest says where the log ends finds all that was there, but zeros instead of half a record.
    ///
    /// - `last`: the last segment with records, and where they end.
    pub fn hollow(&self, epoch: u64, core: u16, last: (u64, u64)) {
        for sequence in self.segments(epoch, core).unwrap_or_default() {
            // A header; a seal, which has a block of its own behind the records.
            let from = match sequence.cmp(&last.0) {
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => last.1,
                std::cmp::Ordering::Greater => 0,
            };
            let from = from.next_multiple_of(BLOCK_BYTES as u64) + BLOCK_BYTES as u64;
            let path = self.segment(epoch, core, sequence);
            let hollowed = OpenOptions::new().write(true).open(&path).and_then(|file| {
                let metadata = file.metadata()?;
                let length = metadata.len().saturating_sub(from);
                // What has another name, in a backup, is not ours alone.
                if length == 0 || metadata.nlink() > 1 {
                    return Ok(());
                }
                let hole =
                    FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                Ok(fallocate(&file, hole, from as i64, length as i64)?)
            });
            if let Err(error) = hollowed {
                tracing::warn!(file = %shown(&path).display(), %error, "cannot give back what is not used");
            }
        }
    }

    /// A log's segments in order, each with its bytes as far as something was ever written: not the zeros that one is filled with
    /// beforehand. Those are read here, and in memory when all of it is.
    pub fn log_extent(&self, epoch: u64, core: u16) -> Vec<(u64, u64)> {
        let sequences = self.segments(epoch, core).unwrap_or_default();
        let mut has_records = false;
        let bytes_of = |sequence| {
            let file = regular::open(&self.segment(epoch, core, sequence));
            let bytes = file.and_then(|file| match has_records {
                true => written_bytes(&file),
                // It is the last one, or one that was made ready.
                false => used_bytes(&file),
            });
            let bytes = bytes.unwrap_or(0);
            has_records |= bytes > BLOCK_BYTES as u64;
            (sequence, bytes)
        };
        let mut extent: Vec<_> = sequences.into_iter().rev().map(bytes_of).collect();
        extent.reverse();
        extent
    }

    fn core_dir(&self, core: u16) -> PathBuf {
        self.folder.path().join(format!("core-{core:02}"))
    }

    fn segment(&self, epoch: u64, core: u16, sequence: u64) -> PathBuf {
        let name = format!("{epoch:04}-{sequence:08}.log");
        self.core_dir(core).join(name)
    }

    /// Takes another directory's segment: by a name of its own for the same file or, where that may still be written to, as a
    /// copy of what there is by now, which is durable then.
    pub fn take_segment(
        &self,
        from: &Self,
        (epoch, core, sequence): (u64, u16, u64),
        is_open: bool,
    ) -> std::io::Result<()> {
        let dir = self.core_dir(core);
        make_dir(&dir)?;
        let source = from.segment(epoch, core, sequence);
        let path = self.segment(epoch, core, sequence);
        remove_if_there(&path)?;
        if !is_open {
            return link(&source, &path);
        }
        let source = regular::open(&source)?;
        let bytes = written_bytes(&source)?;
        (&source).rewind()?;
        fail_if("copy")?;
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(FILE_MODE)
            .open(&path)?;
        std::io::copy(&mut source.take(bytes), &mut file)?;
        file.sync_all()
    }

    /// Makes the names of a log's segments durable, where there are any.
    pub fn sync_core(&self, core: u16) -> std::io::Result<()> {
        let dir = self.core_dir(core);
        if dir.exists() {
            sync_dir(&dir)?;
        }
        sync_dir(self.folder.path())
    }

    /// Makes a segment: its first block, the rest allocated, all of it durable, its name too. Where that fails nothing of it
    /// is left, so that it takes no room on a disk that is full.
    ///
    /// - `zeroed_bytes`: so much of it is filled beforehand.
    /// - `spare_bytes`: it is made only where so many are left to others: ENOSPC.
    pub fn prepare(
        &self,
        place: (u64, u16, u64),
        bytes: u64,
        zeroed_bytes: u64,
        spare_bytes: u64,
        block: &[u8],
    ) -> std::io::Result<File> {
        let made = self.make_segment(place, bytes, zeroed_bytes, spare_bytes, block);
        if made.is_err() {
            // It may not have come to a file.
            let path = self.segment(place.0, place.1, place.2);
            let _ = std::fs::remove_file(path.with_extension(&UNFINISHED[1..]));
        }
        made
    }

    fn make_segment(
        &self,
        (epoch, core, sequence): (u64, u16, u64),
        bytes: u64,
        zeroed_bytes: u64,
        spare_bytes: u64,
        block: &[u8],
    ) -> std::io::Result<File> {
        fail_if("segment")?;
        if bytes > NEARLY_FULL_BYTES {
            fail_if("nearly-full")?;
        }
        let dir = self.core_dir(core);
        if sequence == 1 || !dir.exists() {
            make_dir(&dir)?;
            sync_dir(self.folder.path())?;
        }
        let path = self.segment(epoch, core, sequence);
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        // One that is made again is another file: what a failed write to the one before may still do is not done to it. That one gives
        // its room back; meanwhile a header and no more has its name: after a sealed segment there is to be one, and a file
        // that is cut short by its name would be taken for one that something is missing of.
        if path.exists() {
            let old = OpenOptions::new().write(true).open(&path)?;
            // Where there is no room even for that, the old one has to make some.
            let left_bytes = match stand_in(&path, &unfinished, block) {
                Ok(()) => 0,
                Err(_) => block.len() as u64,
            };
            removal::shrink(&old, left_bytes, || Next::Piece)?;
        }
        let mut first = BlockBuffer::with_capacity(block.len());
        first.extend(block);
        let is_over = zeroed_bytes >= bytes && SPARES.take(&unfinished, bytes);
        let file = OpenOptions::new()
            .create(!is_over)
            .truncate(!is_over)
            .write(true)
            .mode(FILE_MODE)
            .open(&unfinished)?;
        removal::shrink(&file, bytes, || Next::Piece)?;
        allocate(&file, bytes, spare_bytes)?;
        let file = direct(file, &unfinished)?;
        fill(&file, zeroed_bytes.min(bytes), &first)?;
        // Where it is over a spare, all of what that held has been written over.
        std::fs::rename(&unfinished, &path)?;
        sync_dir(&dir)?;
        SPARES.note(&path, bytes);
        Ok(file)
    }
}

fn id_of(metadata: std::io::Result<std::fs::Metadata>) -> Option<FileId> {
    let metadata = metadata.ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// Puts a file with nothing but this block in the place of another, durably.
fn stand_in(path: &Path, unfinished: &Path, block: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(FILE_MODE);
    let file = options.open(unfinished)?;
    file.write_all_at(block, 0)?;
    file.sync_all()?;
    std::fs::rename(unfinished, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The same file past the page cache, where the file system can.
fn direct(file: File, path: &Path) -> std::io::Result<File> {
    let mut direct = OpenOptions::new();
    direct.write(true).custom_flags(libc::O_DIRECT);
    match direct.open(path) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(file),
        opened => opened,
    }
}

/// Writes a segment's first block, after zeros over so much of it; all of it is durable then.
fn fill(file: &File, zeroed_bytes: u64, first: &BlockBuffer) -> std::io::Result<()> {
    write_zeros(file, zeroed_bytes)?;
    file.write_all_at(first.as_slice(), 0)?;
    file.sync_all()
}

/// Removes a file that may have gone by now.
pub fn remove_if_there(path: &Path) -> std::io::Result<()> {
    unless_gone(removal::remove(path))
}

fn unless_gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives a file a second name.
pub fn link(file: &Path, name: &Path) -> std::io::Result<()> {
    fail_if("link")?;
    std::fs::hard_link(file, name)
}

/// Allocates a file's bytes, if so many are left to others after that. One at a time: no two cores take the same room, and none finds
/// that another has some which it gives back.
fn allocate(file: &File, bytes: u64, spare_bytes: u64) -> std::io::Result<()> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if spare_bytes > 0
        && let Ok(of) = fstatvfs(file)
        && of.blocks() > 0
        && of.blocks_available() * of.fragment_size() < bytes + spare_bytes
    {
        return Err(std::io::Error::from_raw_os_error(libc::ENOSPC));
    }
    let allocated = match fault("fallocate") {
        Some(errno) => Err(Errno::from_raw(errno)),
        None => fallocate(file, FallocateFlags::empty(), 0, bytes as i64),
    };
    match allocated {
        // Where the file system cannot, or a sandbox says that the kernel cannot, writes find out.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => file.set_len(bytes),
        other => Ok(other?),
    }
}

/// Fills a file from its start, in pieces: a log that is written meanwhile waits for one of them, not for all.
fn write_zeros(file: &File, bytes: u64) -> std::io::Result<()> {
    let mut zeros = BlockBuffer::with_capacity(ZEROS_BYTES);
    zeros.extend(&[0]);
    zeros.pad(ZEROS_BYTES);
    let mut at = 0;
    while at < bytes {
        let part = &zeros.as_slice()[..(bytes - at).min(zeros.len() as u64) as usize];
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// A file up to the last byte that was ever written, by pieces: what was only allocated is no more than zeros, and takes time to read.
///
/// - `fail`: what is said of an error.
/// - Errors: it is no regular file, or, as only damage makes it, larger than the machine's memory.
pub(super) fn read_by_pieces<F: Fn(std::io::Error) -> String>(
    path: &Path,
    fail: F,
) -> Result<impl Source + use<F>, String> {
    let opened = regular::open(path).and_then(|file| {
        let end = written_bytes(&file)?;
        match end > machine_bytes() {
            true => {
                let what = format!("there is no memory for its {end} bytes");
                Err(std::io::Error::new(ErrorKind::OutOfMemory, what))
            }
            false => Ok((file, end)),
        }
    });
    let (file, end) = opened.map_err(&fail)?;
    let read = move |at: u64, bytes: &mut [u8]| {
        let read = file.read_exact_at(bytes, at).map_err(&fail);
        // While this piece is looked at.
        ask_for(&file, at + bytes.len() as u64, PIECE_BYTES as u64);
        read
    };
    Ok(Window::new(end, PIECE_BYTES, read))
}

/// Has the disk read `bytes` of a file while nobody waits for it; 0 is up to its end. Where it cannot, reading waits for it.
fn ask_for(file: &File, at: u64, bytes: u64) {
    let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
    let _ = posix_fadvise(file, at as i64, bytes as i64, advice);
}

fn written_bytes(file: &File) -> std::io::Result<u64> {
    let (mut end, mut at) = (0, 0);
    // The first error is the end of the last data; where the file system cannot tell there is one hole, at the end.
    while let Ok(data) = lseek(file, at, Whence::SeekData) {
        end = lseek(file, data, Whence::SeekHole)?;
        at = end;
    }
    Ok(end as u64)
}

/// The same, up to the last byte that is not zero.
fn used_bytes(file: &File) -> std::io::Result<u64> {
    let mut end = written_bytes(file)?;
    let zeros = vec![0; READ_BYTES as usize];
    let mut piece = zeros.clone();
    while end > 0 {
        let from = (end - 1) / READ_BYTES * READ_BYTES;
        let piece = &mut piece[..(end - from) as usize];
        file.read_exact_at(piece, from)?;
        if *piece != zeros[..piece.len()]
            && let Some(last) = piece.iter().rposition(|byte| *byte != 0)
        {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Whether it is a segment or a base that was being made.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let process = name.and_then(|name| name.strip_prefix("temp-")?.strip_suffix(".rdb"));
    numbers(path, UNFINISHED).is_some() || process.is_some_and(|of| of.parse::<u32>().is_ok())
}

/// The two numbers that a file's name begins with.
fn numbers(path: &Path, end: &str) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?;
    let (epoch, number) = name.strip_suffix(end)?.split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

fn make_dir(path: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

impl Files for DataDir {
    fn segments(&self, epoch: u64, core: u16) -> Result<Vec<u64>, String> {
        let dir = self.core_dir(core);
        let fail =
            |error: std::io::Error| format!("cannot list {}: {error}", shown(&dir).display());
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            let its = numbers(&path, ".log").filter(|(of, _)| *of == epoch);
            found.extend(its.map(|(_, sequence)| sequence));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn contents(
        &self,
        epoch: u64,
        core: u16,
        sequence: u64,
    ) -> Result<Box<dyn Source + '_>, String> {
        // The disk goes on with the next one while this one is looked at.
        if let Ok(next) = regular::open(&self.segment(epoch, core, sequence + 1)) {
            ask_for(&next, 0, 0);
        }
        let path = self.segment(epoch, core, sequence);
        let name = shown(&path);
        let fail = move |error| format!("cannot read {}: {error}", name.display());
        Ok(Box::new(read_by_pieces(&path, fail)?))
    }

    fn length(&self, epoch: u64, core: u16, sequence: u64) -> Result<u64, String> {
        let path = self.segment(epoch, core, sequence);
        let metadata = std::fs::metadata(&path);
        metadata
            .map(|metadata| metadata.len())
            .map_err(|error| format!("cannot look at {}: {error}", shown(&path).display()))
    }

    fn name(&self, epoch: u64, core: u16, sequence: u64) -> String {
        let path = self.segment(epoch, core, sequence);
        shown(&path).display().to_string()
    }

    fn names(&self, epoch: u64, core: u16) -> String {
        let path = self.core_dir(core).join(format!("{epoch:04}-*.log"));
        shown(&path).display().to_string()
    }
}
