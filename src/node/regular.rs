//! Opening what must be a regular file.
//!
//! Promises  anything else in its place - a folder, a FIFO that nobody writes to, a device without an end - is an error at once.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Opens a file to be read.
///
/// - Errors: those of opening it, and one for what is no regular file.
pub fn open(path: &Path) -> Result<File> {
    // Asked before: to open a FIFO is to wait for its writer. Not with O_NONBLOCK, which fails where another process has a lease.
    open_as(path, &std::fs::metadata(path)?)
}

/// The same, or a FIFO: who reads it waits for those who write to it, and where there are none it is at its end.
pub fn open_or_pipe(path: &Path) -> Result<File> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.file_type().is_fifo() {
        return open_as(path, &metadata);
    }
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

fn open_as(path: &Path, metadata: &Metadata) -> Result<File> {
    match metadata.is_file() {
        true => File::open(path),
        false => Err(Error::other("it is no regular file")),
    }
}
