//! Disk thread: a core's thread that may wait for the disk.
//!
//!     disk --a segment to make--> thread --> disk        (allocating and syncing names takes the kernel long)
//!     disk --a write or sync that the ring gave back--> thread --its end--> core, which takes it as one of the ring's
//!
//! What a ring cannot do at once the kernel does with workers, which are tasks as well: where it can begin none, at the limit of them
//! (RLIMIT_NPROC, a container's limit of pids), it gives back what it was asked for. This thread has begun by then.
//!
//! Promises  what is given to it is done in order, one at a time; it begins once, and ends with its core.
//! Not here  what is given back, and for how long the rest comes here as well: `node/disk.rs`.
//! Tests     tests/server/mending.rs.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::ring::WRITE_BYTES_MAX;
use crate::persist::BlockBuffer;

type Task = Box<dyn FnOnce() + Send>;

/// The end of a write or a sync, as the ring tells it: bytes written or 0, or a negative errno.
pub enum End {
    /// Of a write of this name; the buffer returns.
    Written(u64, BlockBuffer, i32),
    /// Of a sync of this segment.
    Synced(u64, i32),
}

/// See the module.
pub struct DiskThread {
    core: u16,
    /// The way to it; none before it has begun.
    tasks: Option<Sender<Task>>,
    ends: Receiver<End>,
    sender: Sender<End>,
    /// Writes and syncs whose ends have not been taken.
    under_way_count: usize,
}

impl DiskThread {
    /// That of `core`, which has not begun.
    pub fn new(core: u16) -> Self {
        let (sender, ends) = channel();
        Self {
            core,
            tasks: None,
            ends,
            sender,
            under_way_count: 0,
        }
    }

    /// Begins it, unless it has begun.
    ///
    /// - Errors: the operating system's.
    pub fn begin(&mut self) -> std::io::Result<&Sender<Task>> {
        if let Some(ref tasks) = self.tasks {
            return Ok(tasks);
        }
        let (sender, tasks) = channel::<Task>();
        let run = move || {
            super::time_slice::shorten();
            tasks.into_iter().for_each(|task| task());
        };
        let name = format!("rondo-disk-{}", self.core);
        std::thread::Builder::new().name(name).spawn(run)?;
        Ok(self.tasks.insert(sender))
    }

    /// Runs this after what was given before it.
    ///
    /// - Errors: those of [`DiskThread::begin`]; it does not run.
    pub fn run(&mut self, task: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        // The thread lives as long as there is a sender.
        let _ = self.begin()?.send(Box::new(task));
        Ok(())
    }

    /// Does what [`super::ring::Ring::write_log`] does.
    ///
    /// - Errors: there is no thread, and can be none; the buffer returns.
    pub fn write(
        &mut self,
        file: &Arc<File>,
        (id, buffer): (u64, BlockBuffer),
        (offset, done_bytes): (u64, usize),
        is_durable: bool,
    ) -> Result<(), BlockBuffer> {
        if self.begin().is_err() {
            return Err(buffer);
        }
        let (file, sender) = (file.clone(), self.sender.clone());
        let run = move || {
            let bytes = &buffer.as_slice()[done_bytes..];
            let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
            let written = write_at(&file, bytes, offset + done_bytes as u64);
            let durable = written.and_then(|count| match is_durable {
                true => file.sync_data().map(|()| count),
                false => Ok(count),
            });
            // The core may have ended meanwhile: then nobody waits.
            let _ = sender.send(End::Written(id, buffer, as_result(durable)));
        };
        self.under_way_count += 1;
        self.run(run).expect("it has begun");
        Ok(())
    }

    /// Does what [`super::ring::Ring::sync_log`] does.
    ///
    /// - Errors: there is no thread, and can be none.
    pub fn sync(&mut self, file: &Arc<File>, sequence: u64) -> std::io::Result<()> {
        let (file, sender) = (file.clone(), self.sender.clone());
        self.run(move || {
            let synced = file.sync_data().map(|()| 0);
            let _ = sender.send(End::Synced(sequence, as_result(synced)));
        })?;
        self.under_way_count += 1;
        Ok(())
    }

    /// Takes the end of a write or a sync, the oldest first. Nothing wakes the core for one.
    pub fn take_end(&mut self) -> Option<End> {
        let end = self.ends.try_recv().ok()?;
        self.under_way_count -= 1;
        Some(end)
    }

    /// Whether there are ends to come, or to be taken.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.under_way_count > 0
    }
}

fn write_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
    loop {
        match file.write_at(bytes, offset) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// As a completion has it.
fn as_result(count: std::io::Result<usize>) -> i32 {
    match count {
        // No write is of more than WRITE_BYTES_MAX.
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    }
}
