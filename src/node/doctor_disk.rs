//! The disk below the data: which file system, direct writes or not, and how long a sync takes.
//!
//! Not here  what else is looked at: `node/doctor.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::doctor::{Finding, Grade};

const BLOCK_BYTES: usize = 4096;
const SYNCS_COUNT: usize = 20;
/// A disk slower than this is asked no more.
const SYNCS_TIME_MAX: Duration = Duration::from_secs(2);

/// Looks at the folder where the data is to be.
pub fn examine(dir: &Path) -> Vec<Finding> {
    let path = dir.join(format!(".rondo-doctor-{}", std::process::id()));
    let findings = match try_examine(&path) {
        Ok(findings) => findings,
        Err(error) => vec![Finding::bad(
            Grade::Problem,
            "data folder",
            format!("{}: {error}", dir.display()),
            "rondo writes its files there: make the folder, and give it to rondo's user",
        )],
    };
    // It may never have been made.
    let _ = fs::remove_file(&path);
    findings
}

fn try_examine(path: &Path) -> io::Result<Vec<Finding>> {
    File::create(path)?;
    let mut findings = vec![kind(path)];
    findings.extend(discard(path));
    let memory = vec![0u8; 2 * BLOCK_BYTES];
    let skip = memory.as_ptr().align_offset(BLOCK_BYTES);
    let block = &memory[skip..skip + BLOCK_BYTES];
    let direct = OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_DIRECT)
        .open(path)
        .and_then(|mut file| file.write_all(block).map(|()| file));
    let file = match direct {
        Ok(file) => {
            findings.push(Finding::good("direct writes", "work"));
            file
        }
        Err(error) => {
            findings.push(Finding::bad(
                Grade::Advice,
                "direct writes",
                format!("refused: {error}"),
                "the log is written past the page cache where it can be; here it takes a copy and the kernel's own pace: use ext4 or xfs",
            ));
            OpenOptions::new().write(true).open(path)?
        }
    };
    findings.push(sync_time(file, block)?);
    Ok(findings)
}

/// The file system, by its magic number.
fn kind(path: &Path) -> Finding {
    let subject = "file system";
    let Ok(found) = nix::sys::statfs::statfs(path) else {
        return Finding::good(subject, "unknown");
    };
    let name = match found.filesystem_type().0 as u32 {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "zfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlay",
        0x6969 => "nfs",
        0x6573_5546 => "fuse",
        other => return Finding::good(subject, format!("type {other:#x}")),
    };
    match name {
        "tmpfs" => Finding::bad(
            Grade::Problem,
            subject,
            name,
            "nothing in it outlives the machine's next start: persistence needs a disk",
        ),
        "overlay" => Finding::bad(
            Grade::Advice,
            subject,
            name,
            "a container's own layer goes with the container, and is slow: mount a volume for the data",
        ),
        "nfs" => Finding::bad(
            Grade::Advice,
            subject,
            name,
            "a sync is a round trip over the network, and a server that hangs takes rondo's writes with it: use a local disk",
        ),
        "btrfs" | "zfs" => Finding::bad(
            Grade::Advice,
            subject,
            name,
            "it copies on write, which a log that is synced often pays for: ext4 or xfs, or chattr +C on the folder",
        ),
        _ => Finding::good(subject, name),
    }
}

/// Whether the disk is told of every file that goes, by what the kernel says of mounts.
fn discard(path: &Path) -> Option<Finding> {
    let device = fs::metadata(path).ok()?.dev();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    Some(if has_option(&mounts, device, "discard")? {
        let change = "the disk is told of what is free while a file goes, and many do nothing else meanwhile: mount without discard \
                      and let fstrim.timer tell it once a week";
        Finding::bad(Grade::Advice, "mount", "with discard", change)
    } else {
        Finding::good("mount", "without discard")
    })
}

/// Whether the file system of `device` is mounted with an option; none where it is not in `mounts`.
///
/// - `mounts`: of `/proc/self/mountinfo`, see `proc(5)`.
pub fn has_option(mounts: &str, device: u64, option: &str) -> Option<bool> {
    let (major, minor) = (nix::libc::major(device), nix::libc::minor(device));
    let name = format!("{major}:{minor}");
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(&name);
    let line = mounts.lines().find(of_device)?;
    let (mount, file_system) = line.split_once(" - ")?;
    let lists = [mount.split(' ').nth(5), file_system.split(' ').nth(2)];
    let mut options = lists.into_iter().flatten().flat_map(|list| list.split(','));
    Some(options.any(|word| word == option))
}

fn sync_time(mut file: File, block: &[u8]) -> io::Result<Finding> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < SYNCS_COUNT && start.elapsed() < SYNCS_TIME_MAX {
        let before = Instant::now();
        file.write_all(block)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    times.sort();
    let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!(
        "{:.2} ms for a block, {:.2} ms the slowest of {}",
        middle.as_secs_f64() * 1e3,
        last.as_secs_f64() * 1e3,
        times.len()
    );
    Ok(if middle > Duration::from_millis(10) {
        let change = "with appendfsync always every write waits for one of these: a disk with power-loss protection takes a tenth of a \
                      millisecond; with everysec it does not matter";
        Finding::bad(Grade::Advice, "sync", found, change)
    } else {
        Finding::good("sync", found)
    })
}
