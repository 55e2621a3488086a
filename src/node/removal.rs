//! Removal: a large file that nobody needs any more goes piece by piece.
//!
//!     remove, replace: its name goes at once --> one thread for the process: nobody else has it open -->
//!         a piece less, durable, a rest, the next piece
//!
//! A file system that is to tell its disk what is free (mount option `discard`) tells it of a whole file in one, and some disks do
//! nothing else meanwhile: 510 ms for 600 MB here, for which every durable write waited. In pieces of 1 MiB a write waits for 7 ms
//! at most. Where a piece takes no time, pieces grow until there are few.
//!
//! Whoever closes a file without a name last frees all of it in one, be it a core that has just written its log. So a file that
//! somebody has open is kept open here, too, until nobody else has.
//!
//! Promises  a file is cut short only while it has no name and nobody else has it open: who copies the snapshot of before, or has a
//!           link to it, keeps all of it. Where that cannot be known, or the disk is short of room, it goes as soon as it can.
//! Not here  what is needed: whoever removes it.
//! Tests     tests/node/removal.rs.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Result as IoResult;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::statvfs::{Statvfs, fstatvfs};

/// The first piece, and the smallest.
const PIECE_BYTES_MIN: u64 = 1 << 20;
/// The largest piece.
const PIECE_BYTES_MAX: u64 = 64 << 20;
/// After a piece that took less than this the next one is twice as large, after one that took twice as long half as large.
const PIECE_TIME: Duration = Duration::from_millis(2);
/// After a piece comes a rest of so many times as long: what a disk takes for one is mostly the same for all (1.9 ms for 64 KiB,
/// 3.7 for a MiB, here), so writes that wait are to be few; shorter waits are not to be had.
const REST_PARTS: u32 = 10;
/// How often a file that somebody else has open is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// With more than this in files that wait there are no rests.
const WAITING_BYTES_MAX: u64 = 1 << 30;
/// With less than one part in so many of the file system free, files go at once,
const FREE_PARTS_MIN: u64 = 10;
/// but not while there is this much: what waits is not much beside it, and of a large disk a tenth is more than anybody will need soon.
const FREE_BYTES_ENOUGH: u64 = 4 * WAITING_BYTES_MAX;

static REMOVER: OnceLock<Sender<Errand>> = OnceLock::new();

/// What the thread is told.
enum Errand {
    /// A file whose name has gone.
    File(File),
    /// Something to ask every now and then, until it says that it is to be asked no more.
    Look(fn(Instant) -> bool),
}

/// Removes a file's name now, and what it holds by and by.
///
/// - Errors: those of removing the name.
pub fn remove(path: &Path) -> IoResult<()> {
    let file = open(path);
    std::fs::remove_file(path)?;
    let_go(file);
    Ok(())
}

/// Gives `from` the name `to`, durably; what had that name before goes by and by.
///
/// - Errors: those of renaming and of syncing the folder.
pub fn replace(from: &Path, to: &Path) -> IoResult<()> {
    let file = open(to);
    std::fs::rename(from, to)?;
    // Not before: after a power cut the name could be that of a file that was cut short.
    sync_folder(to)?;
    let_go(file);
    Ok(())
}

/// Makes durable what names there are in the folder of `path`.
///
/// - Errors: those of syncing it.
pub fn sync_folder(path: &Path) -> IoResult<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Has the thread ask this every now and then, until it says false.
pub fn look_later(look: fn(Instant) -> bool) {
    tell(Errand::Look(look));
}

/// What follows a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A rest, and the next piece.
    Rest,
    /// The next piece.
    Piece,
    /// Nothing: the file is to go at once.
    Nothing,
}

/// Cuts a file down to so many bytes, piece by piece, each of them durable before the next; how many there were.
pub fn shrink(file: &File, bytes: u64, mut next: impl FnMut() -> Next) -> IoResult<u32> {
    let mut left = file.metadata()?.len().saturating_sub(bytes);
    let (mut piece, mut pieces_count) = (PIECE_BYTES_MIN, 0);
    while left > 0 {
        left -= piece.min(left);
        let began = Instant::now();
        file.set_len(bytes + left)?;
        file.sync_data()?;
        pieces_count += 1;
        let took = began.elapsed();
        if took < PIECE_TIME {
            piece = (piece * 2).min(PIECE_BYTES_MAX);
        } else if took > 2 * PIECE_TIME {
            piece = (piece / 2).max(PIECE_BYTES_MIN);
        }
        match next() {
            _ if left == 0 => {}
            Next::Rest => std::thread::sleep(took * REST_PARTS),
            Next::Piece => {}
            Next::Nothing => break,
        }
    }
    Ok(pieces_count)
}

/// A file that may be cut short later; none where there is nothing to gain.
fn open(path: &Path) -> Option<File> {
    let is_large =
        |metadata: &std::fs::Metadata| metadata.is_file() && metadata.len() > PIECE_BYTES_MIN;
    // Not through a link: that has a name of its own.
    std::fs::symlink_metadata(path).ok().filter(is_large)?;
    OpenOptions::new().write(true).open(path).ok()
}

fn let_go(file: Option<File>) {
    if let Some(file) = file {
        tell(Errand::File(file));
    }
}

fn tell(errand: Errand) {
    let remover = REMOVER.get_or_init(|| {
        let (sender, errands) = channel();
        // Without a thread the receiver is gone, and files go at once.
        let thread = std::thread::Builder::new().name("rondo-removal".into());
        let _ = thread.spawn(move || run(&errands));
        sender
    });
    let _ = remover.send(errand);
}

fn run(errands: &Receiver<Errand>) {
    super::time_slice::shorten();
    let mut queue = Queue::default();
    loop {
        let Some(file) = queue.waiting.pop_front() else {
            let next = match queue.is_empty() {
                true => errands.recv().map_err(RecvTimeoutError::from),
                false => errands.recv_timeout(LOOK_EVERY),
            };
            match next {
                Ok(errand) => queue.add(errand),
                Err(RecvTimeoutError::Timeout) => queue.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            continue;
        };
        match fate(&file) {
            Fate::Cut => queue.cut(&file, errands),
            Fate::Wait => queue.held.push_back(file),
            Fate::Go => {}
        }
    }
}

/// What the thread has to do.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<File>,
    /// Somebody else has these open.
    held: VecDeque<File>,
    looks: Vec<fn(Instant) -> bool>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.looks.is_empty()
    }

    fn add(&mut self, errand: Errand) {
        match errand {
            Errand::File(file) => self.waiting.push_back(file),
            Errand::Look(look) => self.looks.push(look),
        }
    }

    fn look(&mut self) {
        self.waiting.append(&mut self.held);
        // One that is asked already is asked once.
        self.looks
            .dedup_by(|one, other| std::ptr::fn_addr_eq(*one, *other));
        let now = Instant::now();
        self.looks.retain(|look| look(now));
    }

    fn cut(&mut self, file: &File, errands: &Receiver<Errand>) {
        let next = || {
            errands.try_iter().for_each(|errand| self.add(errand));
            let bytes_of = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
            let waiting_bytes: u64 = self.waiting.iter().map(bytes_of).sum();
            match () {
                () if is_short_of_room(file) => Next::Nothing,
                () if waiting_bytes > WAITING_BYTES_MAX => Next::Piece,
                () => Next::Rest,
            }
        };
        if let Err(error) = shrink(file, 0, next) {
            tracing::debug!(%error, "a file that is not needed goes at once");
        }
    }
}

/// What is to be done with a file whose name has gone.
enum Fate {
    /// Nobody can miss any of it.
    Cut,
    /// Somebody else has it open.
    Wait,
    /// It has another name, its room is needed at once, or nobody can tell who has it open.
    Go,
}

fn fate(file: &File) -> Fate {
    let links_count = file.metadata().map_or(1, |metadata| metadata.nlink());
    if links_count > 0 || is_short_of_room(file) {
        return Fate::Go;
    }
    match is_alone(file) {
        Ok(true) => Fate::Cut,
        Ok(false) => Fate::Wait,
        Err(_) => Fate::Go,
    }
}

/// Whether its file system has so little left that files are to go at once.
pub fn is_short_of_room(file: &File) -> bool {
    let is_short = |of: Statvfs| {
        is_short(
            of.blocks() * of.fragment_size(),
            of.blocks_available() * of.fragment_size(),
        )
    };
    fstatvfs(file).map_or(true, is_short)
}

/// The same of one of so many bytes.
pub fn is_short(bytes: u64, free_bytes: u64) -> bool {
    free_bytes < (bytes / FREE_PARTS_MIN).min(FREE_BYTES_ENOUGH)
}

/// Whether nobody else has it open: only then there is a lease to write it alone.
///
/// - Errors: a file system without leases, a file of another user.
pub fn is_alone(file: &File) -> IoResult<bool> {
    static IGNORED: Once = Once::new();
    // Who opens the file just while there is a lease has a signal sent, which would end the process.
    IGNORED.call_once(|| {
        // SAFETY: nothing else here handles this signal, and to ignore one is no code of ours.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    });
    let lease = |kind: libc::c_int| {
        // SAFETY: the descriptor is open, and the argument is a number.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    match lease(libc::F_WRLCK) {
        // Not kept: whoever opens it would wait for its end. Without a name nobody can; one that still has a name is called temporary.
        Ok(()) => lease(libc::F_UNLCK).map(|()| true),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}
