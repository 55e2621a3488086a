//! Folder: a directory that is held open, so that what is in it is found whatever becomes of its name.
//!
//!     /proc/self/fd/17/appendonlydir       a path below one: the kernel goes on from the directory itself
//!
//! Who renames a folder, or one above it, while a server runs in it has its files written there all the same, as by a server whose
//! paths are relative to its working directory; and as with that, a folder that was removed has room for no file any more. What is made
//! in its place is another one: it is entered with CONFIG SET dir, or when a log that was removed is to begin anew.
//! Other than with relative paths, a file that another thread is writing stays where it was begun when `dir` changes.
//!
//! Promises  paths below one mean the same directory for as long as it is held; where there is no /proc they go by its name.
//! Tests     tests/node/folder.rs; a real server in tests/server/folders.rs.

use std::fs::{File, OpenOptions};
use std::io::Result as IoResult;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::spare::SPARES;

/// What the path of one begins with.
const HELD: &str = "/proc/self/fd";

/// What the name of one that was removed ends with there.
const REMOVED: &str = " (deleted)";

/// The process's working directory, once it has one of its own choice.
static WORKING: Mutex<Option<Arc<Folder>>> = Mutex::new(None);

/// See the module.
pub struct Folder {
    file: File,
    path: PathBuf,
}

impl Folder {
    /// Holds the directory that has this name now.
    ///
    /// - Errors: those of opening it.
    pub fn open(name: &Path) -> IoResult<Self> {
        // Only to begin at: that it can be searched is enough.
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY);
        let file = options.open(name)?;
        let mut path = Path::new(HELD).join(file.as_raw_fd().to_string());
        if !is_same(&file, &path) {
            path = name.canonicalize()?;
        }
        Ok(Self { file, path })
    }

    /// What paths of what is in it begin with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was removed: nothing can be made in it any more, whatever has its name by now.
    pub fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|of| of.nlink() == 0)
    }

    /// Whether this is the directory of that name.
    pub fn is_at(&self, name: &Path) -> bool {
        is_same(&self.file, name)
    }
}

impl Drop for Folder {
    /// Its number may be another's from now on.
    fn drop(&mut self) {
        SPARES.forget(&self.path);
    }
}

fn is_same(file: &File, name: &Path) -> bool {
    let place = |of: std::fs::Metadata| (of.dev(), of.ino());
    let named = std::fs::metadata(name).map(place).ok();
    named.is_some() && file.metadata().map(place).ok() == named
}

/// A path below a folder by the names that it has now, for people; another as it is.
pub fn shown(path: &Path) -> PathBuf {
    let Ok(below) = path.strip_prefix(HELD) else {
        return path.to_path_buf();
    };
    let mut names = below.components();
    let number = names.next();
    let folder = number.and_then(|number| std::fs::read_link(Path::new(HELD).join(number)).ok());
    match folder {
        Some(folder) if names.as_path().as_os_str().is_empty() => folder,
        Some(folder) => folder.join(names.as_path()),
        None => path.to_path_buf(),
    }
}

/// Makes a directory the process's working directory.
///
/// - Errors: those of going there; the process is where it was.
pub fn enter(folder: Arc<Folder>) -> IoResult<()> {
    nix::unistd::fchdir(&folder.file)?;
    *WORKING.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
    Ok(())
}

/// The working directory, where one was entered.
pub fn working() -> Option<Arc<Folder>> {
    let working = WORKING.lock().unwrap_or_else(PoisonError::into_inner);
    working.clone()
}

/// What paths of what is in the working directory begin with.
///
/// - `dir`: the option; it stands where no directory was entered.
pub fn working_path(dir: &str) -> PathBuf {
    working().map_or_else(|| dir.into(), |folder| folder.path().to_path_buf())
}

/// Goes to the directory that by now has the name of the working directory, where that was removed; whether it did.
///
/// - Errors: there is none, or it cannot be entered: the process is where it was.
pub fn enter_successor() -> IoResult<bool> {
    let Some(gone) = working().filter(|folder| folder.is_gone()) else {
        return Ok(false);
    };
    let name = shown(gone.path());
    // As the kernel shows what was removed. Where it is not shown, it has no name that is known.
    let Some(name) = name.to_str().and_then(|name| name.strip_suffix(REMOVED)) else {
        return Ok(false);
    };
    enter(Arc::new(Folder::open(Path::new(name))?))?;
    Ok(true)
}

/// The name that the working directory has now, or the one it had last.
///
/// - `dir`: see [`working_path`]; the name that it had when it was entered.
pub fn working_name(dir: &str) -> PathBuf {
    let here = working().and_then(|_| std::env::current_dir().ok());
    here.unwrap_or_else(|| dir.into())
}

/// The same as an option has it: a text. One that is no text is `.`, which leads to it for as long as it is the working directory.
pub fn working_option(dir: &str) -> String {
    working_name(dir).to_str().unwrap_or(".").to_string()
}
