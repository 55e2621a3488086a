//! Files that are not what they should be: they are named, and take neither time nor memory without end.

use super::client::{Value, ok};
use super::harness::{ALWAYS, Server, new_dir, run_to_end};
use super::tools::{RdbFile, segment, text};
use rondo::keyspace::SlotMap;
use rondo::persist::record::{HEADER_BYTES, seal_record};
use rondo::persist::segment::SegmentHeader;
use std::path::Path;
use std::process::Command;

const MIB: u64 = 1 << 20;
const NOT_REGULAR: &str = "it is no regular file";

fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.expect("mkfifo runs").success());
}

#[test]
fn what_is_in_the_way_of_a_segment_is_named() {
    let mut server = Server::start(1, ALWAYS);
    assert_eq!(server.client().ask("SET a 1"), ok());
    server.signal("KILL");
    server.wait_for_the_end();
    let path = segment(&server.dir);
    let away = server.dir.join("away");
    std::fs::rename(&path, &away).expect("a new name");
    let dir = text(&server.dir);
    let mut check = |expected: &str| {
        assert!(!server.restart(1, ALWAYS), "{expected}");
        let log = server.log();
        assert!(log.contains(expected), "{log}");
        for tool in ["check", "dump"] {
            let (code, said) = run_to_end(&[tool, &dir]);
            assert_eq!((code, said.contains(expected)), (Some(1), true), "{said}");
        }
    };
    std::fs::create_dir(&path).expect("a folder");
    check(NOT_REGULAR);
    std::fs::remove_dir(&path).expect("it is empty");
    make_fifo(&path);
    check(NOT_REGULAR);
    std::fs::remove_file(&path).expect("it is there");
    std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
    check(NOT_REGULAR);
    std::fs::remove_file(&path).expect("it is there");
    // More than any machine has memory, and nothing of it on the disk but the end.
    let large = std::fs::File::create(&path).expect("a file");
    let end = 1 << 43;
    std::os::unix::fs::FileExt::write_all_at(&large, b"x", end - 1).expect("a sparse file");
    check("there is no memory for its 879");
    std::fs::rename(&away, &path).expect("its old name");
    assert!(server.restart(1, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(1));
}

#[test]
fn what_is_in_the_way_of_a_base_or_a_manifest_is_named() {
    let mut server = Server::start(1, ALWAYS);
    assert_eq!(server.client().ask("SET a 1"), ok());
    server.client().ask("BGREWRITEAOF");
    super::harness::eventually("a base", || server.rewrites_ended() == 1);
    server.signal("KILL");
    server.wait_for_the_end();
    let logs = server.dir.join("appendonlydir");
    let entries = std::fs::read_dir(&logs).expect("a folder");
    let mut names = entries.map(|entry| entry.expect("an entry").path());
    let base = names.find(|path| path.to_string_lossy().ends_with(".base.rdb"));
    for path in [base.expect("a base"), logs.join("manifest")] {
        let away = server.dir.join("away");
        std::fs::rename(&path, &away).expect("a new name");
        make_fifo(&path);
        assert!(!server.restart(1, ALWAYS));
        assert!(server.log().contains(NOT_REGULAR), "{}", server.log());
        std::fs::rename(&away, &path).expect("its old name");
    }
    assert!(server.restart(1, ALWAYS), "{}", server.log());
}

#[test]
fn a_pipe_that_nobody_writes_to_is_an_rdb_file_without_bytes() {
    let mut server = Server::start(1, &[]);
    assert!(server.terminate().success());
    let path = server.dir.join("dump.rdb");
    let _ = std::fs::remove_file(&path);
    make_fifo(&path);
    assert!(!server.restart(1, &[]));
    let log = server.log();
    assert!(log.contains("dump.rdb, at offset 0: "), "{log}");
    std::fs::remove_file(&path).expect("it is there");
    std::fs::create_dir(&path).expect("a folder");
    assert!(!server.restart(1, &[]));
    assert!(server.log().contains(NOT_REGULAR), "{}", server.log());
}

/// How many keys are to come is what the file says: no more memory is taken for them than a file of its length can need.
#[test]
fn sizes_in_an_rdb_file_take_no_more_memory_than_it_has_bytes_for() {
    let mut server = Server::start(2, &[]);
    assert!(server.terminate().success());
    let mut file = RdbFile::new();
    for db in 0..16 {
        file.select(db).sizes(u64::MAX);
    }
    for _ in 0..(8 * MIB) {
        file.sizes(1);
    }
    file.write(&server.dir.join("dump.rdb"));
    assert!(server.restart(2, &[]), "{}", server.log());
    let most = server.memory_bytes("VmHWM");
    assert!(most < 300 * MIB, "{} MiB", most / MIB);
}

/// The same of a log's marks: their number of keys is a guess.
#[test]
fn a_mark_takes_no_more_memory_than_its_log_has_bytes_for() {
    let mut server = Server::start(1, ALWAYS);
    assert_eq!(server.client().ask("SET a 1"), ok());
    server.signal("KILL");
    server.wait_for_the_end();
    let path = segment(&server.dir);
    let mut bytes = std::fs::read(&path).expect("a file");
    let header = SegmentHeader::from_bytes(&bytes).expect("a segment");
    // The first write's record, which is a mark: about how many keys there were.
    let mark = &mut bytes[4096..4096 + HEADER_BYTES];
    mark[24..32].copy_from_slice(&(1i64 << 26).to_le_bytes());
    seal_record(mark, header.id);
    std::fs::write(&path, bytes).expect("a write");
    assert!(server.restart(1, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(1));
    let most = server.memory_bytes("VmHWM");
    assert!(most < 300 * MIB, "{} MiB", most / MIB);
}

/// A start takes memory for the keys, not for the files: in a container it would be killed for those again and again.
#[test]
fn a_log_takes_little_more_memory_than_its_keys() {
    let options = [ALWAYS, &["--auto-aof-rewrite-percentage", "0"]].concat();
    let mut server = Server::start(1, &options);
    let least = server.memory_bytes("VmHWM");
    let mut client = server.client();
    let value = vec![b'x'; 100_000];
    for _ in 0..800 {
        assert_eq!(client.run(&[b"SET", b"a", value.as_slice()]), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    assert!(server.restart(1, &options), "{}", server.log());
    assert_eq!(server.client().ask("STRLEN a"), Value::Integer(100_000));
    let more = server.memory_bytes("VmHWM").saturating_sub(least);
    assert!(more < 16 * MIB, "{} MiB", more / MIB);
}

/// `rondo check` of a file by itself says what a start would, as far as that needs no options.
#[test]
fn what_no_start_would_load_is_found() {
    let dir = new_dir();
    let path = dir.join("file.rdb");
    let mut server = Server::start(1, &[]);
    assert!(server.terminate().success());
    let mut check = |file: &RdbFile, is_whole: bool, expected: &str, options: &[&str]| {
        file.write(&path);
        let (code, said) = run_to_end(&["check", &text(&path)]);
        assert_eq!(code, Some(i32::from(!is_whole)), "{said}");
        assert!(said.contains(expected), "{said}");
        std::fs::copy(&path, server.dir.join("dump.rdb")).expect("a copy");
        assert_eq!(server.restart(1, options), is_whole, "{}", server.log());
        if is_whole {
            server.signal("KILL");
            server.wait_for_the_end();
        } else {
            assert!(server.log().contains(expected), "{}", server.log());
        }
    };
    let mut twice = RdbFile::new();
    twice.select(0).key("a").select(1).key("a");
    check(&twice, true, ": 2 keys, ", &[]);
    let offset = twice.bytes.len();
    twice.key("a");
    let place = format!("at offset {offset}: this key was there before");
    check(&twice, false, &place, &[]);
    let mut far = RdbFile::new();
    far.select(20).key("a");
    check(
        &far,
        true,
        ": 1 keys, 0 libraries of functions, 41 bytes, for a server of 21 databases at least",
        &["--databases", "21"],
    );
    let mut farther = RdbFile::new();
    farther.select(65_535);
    let offset = farther.bytes.len();
    farther.key("a");
    let place = format!("at offset {offset}: there is no database 65535");
    check(&farther, false, &place, &["--databases", "65535"]);
    let mut library = RdbFile::new();
    library.library("#!lua name=one\nredis.register_function('f', function() return 1 end)");
    check(&library, true, ": 0 keys, 1 libraries", &[]);
    library.library("#!lua name=two\nthis does not compile");
    check(
        &library,
        false,
        "a library of functions does not load: ",
        &[],
    );
    let _ = std::fs::remove_dir_all(dir);
}

/// As a copy is for which there was no room: what is left counts where that is wanted, and it is said.
#[test]
fn a_log_that_has_become_shorter_is_named() {
    let no_loss = [ALWAYS, &["--aof-load-truncated", "no"]].concat();
    let (map, names) = (SlotMap::new(2), (0..).map(|number| format!("key{number}")));
    let (first, second): (Vec<_>, Vec<_>) = names
        .take(40)
        .partition(|name| map.shard_of(name.as_bytes()) == 0);
    for (length, kept, expected) in [
        // Each write begins a block of its own, after that of the header.
        (Some(4096 * 6), 5, "has 24576 of the "),
        (Some(0), 0, "is missing or empty: "),
        (None, 0, "is missing or empty: "),
    ] {
        let mut server = Server::start(2, ALWAYS);
        let mut client = server.client();
        for name in first.iter().take(9).chain(&second[..1]) {
            assert_eq!(client.ask(&format!("SET {name} 1")), ok());
        }
        server.signal("KILL");
        server.wait_for_the_end();
        let path = segment(&server.dir);
        let whole = std::fs::read(&path).expect("a file");
        match length {
            Some(length) => {
                let file = std::fs::OpenOptions::new().write(true).open(&path);
                file.and_then(|file| file.set_len(length)).expect("a file");
            }
            None => std::fs::remove_file(&path).expect("a file"),
        }
        let dir = text(&server.dir);
        let (code, said) = run_to_end(&["check", &dir]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!server.restart(2, &no_loss));
        assert!(server.log().contains(expected), "{}", server.log());
        if kept == 0 {
            // A file that was forgotten can be put back, as nothing has been given up.
            assert!(!server.restart(2, ALWAYS));
            assert!(server.log().contains(expected), "{}", server.log());
            std::fs::write(&path, whole).expect("a file");
            assert!(server.restart(2, ALWAYS), "{}", server.log());
            assert_eq!(server.client().ask("DBSIZE"), Value::Integer(10));
            continue;
        }
        assert!(server.restart(2, ALWAYS), "{}", server.log());
        assert!(server.log().contains(expected), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE"), Value::Integer(kept + 1));
        assert!(server.terminate().success());
        assert!(server.restart(1, &no_loss), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE"), Value::Integer(kept + 1));
    }
}

/// Whoever has it fixed does without what is lost.
#[test]
fn a_log_that_has_become_shorter_is_fixed() {
    let mut server = Server::start(1, ALWAYS);
    let mut client = server.client();
    for number in 0..9 {
        assert_eq!(client.ask(&format!("SET key{number} 1")), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(segment(&server.dir));
    file.and_then(|file| file.set_len(4096 * 6))
        .expect("a file");
    let dir = text(&server.dir);
    let (code, said) = run_to_end(&["check", &dir, "--fix"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run_to_end(&["check", &dir]);
    assert_eq!(code, Some(0), "{said}");
    let no_loss = [ALWAYS, &["--aof-load-truncated", "no"]].concat();
    assert!(server.restart(1, &no_loss), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(5));
}

/// A write that was under way at a crash: the tool says what that is and ends with a status of its own, and cuts it off for a start that
/// would not. All that was acknowledged is there then.
#[test]
fn a_log_that_is_torn_is_fixed() {
    let no_loss = [ALWAYS, &["--aof-load-truncated", "no"]].concat();
    for (threads, next) in [(1, 1), (2, 2), (2, 3)] {
        let mut server = Server::start(threads, ALWAYS);
        let mut client = server.client();
        for number in 0..20 {
            assert_eq!(client.ask(&format!("SET key{number} 1")), ok());
        }
        assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4"), ok());
        server.signal("KILL");
        server.wait_for_the_end();
        let path = segment(&server.dir);
        let mut bytes = std::fs::read(&path).expect("a file");
        let last = bytes.iter().rposition(|&byte| byte != 0);
        let torn = (last.expect("records") + 1).next_multiple_of(4096);
        bytes[torn + 100..torn + 200].fill(0xff);
        std::fs::write(&path, bytes).expect("a write");
        let dir = text(&server.dir);
        for words in [["check", &dir].as_slice(), &["check", &dir, "--replay"]] {
            let (code, said) = run_to_end(words);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(&format!("at byte {torn}: ")), "{said}");
            assert!(said.contains("which is what a crash leaves"), "{said}");
        }
        assert!(!server.restart(next, &no_loss));
        let log = server.log();
        assert!(log.contains("rondo check DIR --fix"), "{log}");
        let (code, said) = run_to_end(&["check", &dir, "--fix"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("what was torn has been cut off"), "{said}");
        let (code, said) = run_to_end(&["check", &dir, "--replay"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(server.restart(next, &no_loss), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE"), Value::Integer(24));
    }
}

/// The same of one that has gone altogether.
#[test]
fn a_log_that_has_gone_is_done_without() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    for number in 0..20 {
        assert_eq!(client.ask(&format!("SET key{number} 1")), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    let whole = std::fs::read(segment(&server.dir)).expect("a file");
    let path = segment(&server.dir);
    std::fs::remove_file(&path).expect("a file");
    assert!(!server.restart(2, ALWAYS));
    // So with any number of cores, and where nothing is left of all logs.
    let other = server.dir.join("appendonlydir/core-01");
    let aside = server.dir.join("aside");
    std::fs::rename(&other, &aside).expect("a folder");
    let dir = text(&server.dir);
    for threads in [1, 2, 3] {
        assert!(!server.restart(threads, ALWAYS));
        let log = server.log();
        // Which segments it had nobody knows.
        let said = "appendonlydir/core-00/0001-*.log is missing or empty: ";
        assert!(log.contains(said), "{log}");
    }
    let (code, said) = run_to_end(&["check", &dir]);
    assert_eq!(code, Some(1), "{said}");
    std::fs::rename(&aside, &other).expect("a folder");
    std::fs::write(&path, whole).expect("a file");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(20));
    server.signal("KILL");
    server.wait_for_the_end();
    // The epoch that goes on now has nothing in it, but it has begun.
    let folder = std::fs::read_dir(server.dir.join("appendonlydir/core-00")).expect("a folder");
    let last = folder.map(|entry| entry.expect("an entry").path()).max();
    std::fs::remove_file(last.expect("a log")).expect("a file");
    for threads in [3, 2] {
        assert!(!server.restart(threads, ALWAYS));
    }
    let (code, said) = run_to_end(&["check", &dir, "--fix"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(20));
}
