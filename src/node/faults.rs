//! Faults of the disk, and threads that cannot be had, for tests of the binary: a file below `$TEST_FAULTS_OF_RONDO` named as the fault is
//! makes it happen for as long as it is there.
//!
//! | file | what happens |
//! |---|---|
//! | `sync` | a sync of a log ends with EIO |
//! | `write` | a write of a log ends with ENOSPC |
//! | `worker` | a write or sync of a log is given back, not begun: ECANCELED |
//! | `stall` | writes of logs do not end |
//! | `segment` | a segment cannot be made: ENOSPC |
//! | `nearly-full` | a segment of more than 512 KiB cannot be made: ENOSPC |
//! | `fallocate` | room for a segment cannot be allocated beforehand: ENOSYS |
//! | `manifest` | a manifest is not replaced: EIO |
//! | `base` | a base is written but not put in force: EIO |
//! | `link` | a file gets no second name, in a backup: ENOSPC |
//! | `copy` | a segment cannot be copied, into a backup: ENOSPC |
//! | `thread` | a thread that loads cannot begin: EAGAIN |
//! | `unlock` | a backup that is whole cannot be said to be: EIO |
//!
//! Promises  nothing of it is in a release build.
//! Tests     tests/server/mending.rs, tests/server/withheld.rs, tests/server/wait_aof.rs, tests/server/backup_faults.rs.

/// The errno of a fault that is to happen now.
#[cfg(debug_assertions)]
pub fn fault(name: &str) -> Option<i32> {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let dir = DIR.get_or_init(|| std::env::var_os("TEST_FAULTS_OF_RONDO").map(PathBuf::from));
    let is_there = dir.as_ref()?.join(name).exists();
    let errno = match name {
        "sync" | "manifest" | "base" | "unlock" => libc::EIO,
        "fallocate" => libc::ENOSYS,
        "thread" => libc::EAGAIN,
        _ => libc::ENOSPC,
    };
    is_there.then_some(errno)
}

/// The same as an error of what was to be done.
pub fn fail_if(name: &str) -> std::io::Result<()> {
    fault(name).map_or(Ok(()), |errno| {
        Err(std::io::Error::from_raw_os_error(errno))
    })
}

/// None.
#[cfg(not(debug_assertions))]
#[inline]
pub fn fault(_name: &str) -> Option<i32> {
    None
}
