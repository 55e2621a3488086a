//! A file that is removed is gone, and nobody who holds it otherwise loses any of it.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rondo::node::removal::{Next, is_alone, is_short, is_short_of_room, remove, replace, shrink};

const BYTES: usize = 9 << 20;

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("rondo-removal-{}-{name}", std::process::id()))
}

fn bytes_of(seed: u8) -> Vec<u8> {
    (0..BYTES).map(|at| (at % 251) as u8 ^ seed).collect()
}

fn read(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("a file");
    bytes
}

/// Tells how long a file is, and does not count among those who have it open.
fn look(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_PATH);
    options.open(path).expect("a file")
}

fn length(seen: &File) -> u64 {
    seen.metadata().expect("a file").len()
}

/// Waits until all of it is gone; a test that hangs has failed.
fn wait_for_its_end(seen: &File) {
    while length(seen) > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_is_cut_down_to_nothing_in_pieces() {
    let path = place("pieces");
    std::fs::write(&path, bytes_of(0)).expect("a file");
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    assert_eq!(shrink(&file, 0, || Next::Nothing).expect("a file"), 1);
    let length = file.metadata().expect("a file").len();
    assert!(
        (1..BYTES as u64).contains(&length),
        "a piece is gone, and no more: {length}"
    );
    let mut nexts = [Next::Rest, Next::Piece].into_iter().cycle();
    let pieces_count = shrink(&file, 0, || nexts.next().unwrap_or(Next::Piece));
    assert!(pieces_count.expect("a file") > 1);
    assert_eq!(file.metadata().expect("a file").len(), 0);
    std::fs::remove_file(&path).expect("a file");
}

/// More files than one, so that the thread that cuts them is at work while they are read.
#[test]
fn who_has_it_open_keeps_all_of_it() {
    let mut held = Vec::new();
    for number in 0..4_u8 {
        let path = place(&format!("open-{number}"));
        std::fs::write(&path, bytes_of(number)).expect("a file");
        held.push(File::open(&path).expect("a file"));
        remove(&path).expect("a file");
        assert!(!path.exists());
        let other = place(&format!("nobody-{number}"));
        std::fs::write(&other, bytes_of(number)).expect("a file");
        remove(&other).expect("a file");
    }
    for (number, file) in held.iter_mut().enumerate() {
        assert!(read(file) == bytes_of(number as u8), "{number}");
        assert_eq!(file.metadata().expect("a file").len(), BYTES as u64);
    }
}

/// Else whoever closes it last, a core perhaps, would wait for all of it.
#[test]
fn it_is_cut_once_nobody_has_it_open() {
    let (path, other) = (place("closed"), place("closed-other"));
    for path in [&path, &other] {
        std::fs::write(path, bytes_of(3)).expect("a file");
    }
    let (seen, seen_other) = (look(&path), look(&other));
    let holder = OpenOptions::new().write(true).open(&path).expect("a file");
    let alone = OpenOptions::new().write(true).open(&other).expect("a file");
    if is_short_of_room(&alone) || is_alone(&alone).is_err() {
        // Files go as they come here.
        return [path, other]
            .iter()
            .for_each(|path| remove(path).expect("a file"));
    }
    drop(alone);
    remove(&path).expect("a file");
    remove(&other).expect("a file");
    wait_for_its_end(&seen_other);
    assert_eq!(
        length(&seen),
        BYTES as u64,
        "it was looked at before the other"
    );
    drop(holder);
    wait_for_its_end(&seen);
}

/// Whoever opens a file just while it is looked at has a signal sent, which ends a process that does not ignore it.
#[test]
fn to_ask_who_has_it_open_ends_no_process() {
    let path = place("asked");
    std::fs::write(&path, b"x").expect("a file");
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    let _ = is_alone(&file);
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.expect("proc(5)").trim(), 16).expect("a mask");
    assert_ne!(ignored & (1 << (libc::SIGIO - 1)), 0);
    std::fs::remove_file(&path).expect("a file");
}

#[test]
fn a_link_keeps_all_of_it() {
    let (path, link) = (place("linked"), place("link"));
    std::fs::write(&path, bytes_of(7)).expect("a file");
    std::fs::hard_link(&path, &link).expect("a link");
    remove(&path).expect("a file");
    // What is removed next is looked at after it.
    let next = place("after-the-link");
    std::fs::write(&next, bytes_of(8)).expect("a file");
    remove(&next).expect("a file");
    assert!(std::fs::read(&link).expect("a file") == bytes_of(7));
    std::fs::remove_file(&link).expect("a link");
}

#[test]
fn the_new_one_has_the_name_and_the_old_one_its_readers() {
    let (path, new) = (place("replaced"), place("new"));
    std::fs::write(&path, bytes_of(1)).expect("a file");
    std::fs::write(&new, bytes_of(2)).expect("a file");
    let mut reader = File::open(&path).expect("a file");
    replace(&new, &path).expect("a file");
    assert!(!new.exists());
    assert!(std::fs::read(&path).expect("a file") == bytes_of(2));
    assert!(read(&mut reader) == bytes_of(1));
    replace(&place("none"), &path).expect_err("there is none");
    remove(&path).expect("a file");
    remove(&path).expect_err("it is gone");
}

/// A large disk that is nearly full has room enough for what waits.
#[test]
fn a_tenth_of_a_large_disk_is_no_want_of_room() {
    const GIB: u64 = 1 << 30;
    for (bytes, free_bytes, is_it) in [
        (GIB / 16, GIB / 160 - 1, true),
        (GIB / 16, GIB / 160 + 1, false),
        (20 * GIB, 2 * GIB - 1, true),
        (20 * GIB, 2 * GIB, false),
        (252 * GIB, 16 * GIB, false),
        (2048 * GIB, 4 * GIB, false),
        (2048 * GIB, 4 * GIB - 1, true),
        (0, 0, false),
    ] {
        assert_eq!(
            is_short(bytes, free_bytes),
            is_it,
            "{free_bytes} of {bytes}"
        );
    }
}
