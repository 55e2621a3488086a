//! `rondo check`, `rondo dump` and `rondo import` on files that servers have left.

use super::client::{Value, bulk, ok};
use super::harness::{ALWAYS, Server, eventually, new_dir, run_to_end};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The first segment of core 0's log.
pub(super) fn segment(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join("appendonlydir/core-00")).expect("a folder");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.remove(0)
}

/// More keys than a process may have mappings (65,530): none leaves any behind.
#[test]
fn a_file_of_many_keys_is_checked() {
    let mut server = Server::start(1, ALWAYS);
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG POPULATE 70000"), ok());
    assert!(server.terminate().success());
    let file = text(&server.dir.join("dump.rdb"));
    if !Path::new(&file).exists() {
        panic!("an RDB file is written at the end");
    }
    let (code, said) = run_to_end(&["check", &file]);
    assert_eq!(
        (code, said.contains(": 70000 keys, ")),
        (Some(0), true),
        "{said}"
    );
}

#[test]
fn what_a_server_left_is_whole_and_readable() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    client.ask("RPUSH list a b");
    client.ask("BGREWRITEAOF");
    super::harness::eventually("a base", || server.rewrites_ended() == 1);
    assert_eq!(client.run(&[b"SET", b"key", b"a b"]), ok());
    assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4"), ok());
    let (code, said) = run_to_end(&["check", &text(&server.dir)]);
    assert_eq!(code, Some(1), "it is in use: {said}");
    assert!(said.contains("in use by another process"), "{said}");
    assert!(server.terminate().success());
    let (code, said) = run_to_end(&["check", &text(&server.dir)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("all of it is whole"), "{said}");
    assert!(said.contains(".base.rdb: 1 keys"), "{said}");
    let (code, said) = run_to_end(&["dump", &text(&server.dir)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("    SET key \"a b\""), "{said}");
    assert!(
        said.contains("    MSET ") || said.contains("    SET a 1"),
        "{said}"
    );
    assert!(said.contains("transaction"), "{said}");
    let (code, said) = run_to_end(&["check", &text(&server.dir.join("dump.rdb"))]);
    assert_eq!(
        (code, said.contains(": 6 keys, ")),
        (Some(0), true),
        "{said}"
    );
    let path = segment(&server.dir);
    let (code, said) = run_to_end(&["check", &text(&path)]);
    assert_eq!(code, Some(0), "{said}");
}

/// A record that is whole and cannot be run, for its base is that of another moment: a start says so, and the tool where it is told to
/// look for that.
#[test]
fn what_a_start_cannot_run_is_found() {
    let mut server = Server::start(1, ALWAYS);
    let mut client = server.client();
    let rewrite = |count| {
        server.client().ask("BGREWRITEAOF");
        super::harness::eventually("a base", || server.rewrites_ended() == count);
        let entries = std::fs::read_dir(server.dir.join("appendonlydir")).expect("a folder");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        let path = paths.find(|path| text(path).ends_with(".base.rdb"));
        path.expect("a base")
    };
    assert_eq!(client.ask("SET key string"), ok());
    let before = std::fs::read(rewrite(1)).expect("a base");
    client.ask("DEL key");
    let base = rewrite(2);
    assert_eq!(client.ask("RPUSH key a b"), Value::Integer(2));
    server.signal("KILL");
    server.wait_for_the_end();
    let dir = text(&server.dir);
    for threads in ["1", "3"] {
        let (code, said) = run_to_end(&["check", &dir, "--replay", "--threads", threads]);
        assert_eq!(code, Some(0), "{said}");
        let found = format!("all of it can be run on {threads} threads: 1 keys");
        assert!(said.contains(&found), "{said}");
    }
    std::fs::write(&base, before).expect("a write");
    let (code, said) = run_to_end(&["check", &dir]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run_to_end(&["check", "--replay", &dir]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("all of it is whole"), "{said}");
    let reason = ": RPUSH failed: WRONGTYPE";
    assert!(said.contains(".log, record at byte "), "{said}");
    assert!(said.contains(reason), "{said}");
    assert!(!server.restart(1, ALWAYS));
    assert!(server.log().contains(reason), "{}", server.log());
    for words in [
        ["check", "--threads", "2"].as_slice(),
        &["check", &dir, "--replay", "--threads", "0"],
        &["check", &dir, &dir],
        &["check", &dir, "--other"],
    ] {
        let (code, said) = run_to_end(words);
        assert!(code == Some(1) && said.contains("usage:"), "{said}");
    }
}

/// Acknowledged records are damaged: the server does not start, the tool says where, and cuts them off when it is told to.
#[test]
fn damage_is_named_and_cut_off() {
    let mut server = Server::start(1, ALWAYS);
    let mut client = server.client();
    for index in 0..20 {
        assert_eq!(client.ask(&format!("SET key{index} {index}")), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    let path = segment(&server.dir);
    // Each write began a block of its own: the sixth one.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("a file");
    file.seek(SeekFrom::Start(6 * 4096 + 50)).expect("a place");
    file.write_all(&[0xff; 8]).expect("a write");
    drop(file);
    assert!(!server.restart(1, ALWAYS));
    assert!(
        server.log().contains("is damaged at byte 24616"),
        "{}",
        server.log()
    );
    let dir = text(&server.dir);
    let (code, said) = run_to_end(&["check", &dir]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("at byte 24616"), "{said}");
    assert!(said.contains("--fix"), "{said}");
    let (code, said) = run_to_end(&["check", &dir, "--fix"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run_to_end(&["check", &dir]);
    assert_eq!(code, Some(0), "{said}");
    assert!(server.restart(1, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(5));
}

/// Whatever a server wrote last before it ended as it should: damage there is not taken for a write that was cut off.
#[test]
fn damage_to_the_last_write_before_the_end_is_named() {
    for policy in ["always", "everysec"] {
        let options = ["--appendonly", "yes", "--appendfsync", policy];
        let mut server = Server::start(2, &options);
        let mut client = server.client();
        for word in ["first", "second", "the-last-of-all"] {
            assert_eq!(client.ask(&format!("SET {{a}}key {word}")), ok());
        }
        assert!(server.terminate().success());
        let mut found = 0;
        for core in ["core-00", "core-01"] {
            let folder = server.dir.join("appendonlydir").join(core);
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                let mut bytes = std::fs::read(entry.path()).expect("a file");
                let place = bytes
                    .windows(15)
                    .position(|word| word == b"the-last-of-all");
                if let Some(place) = place {
                    bytes[place] ^= 1;
                    std::fs::write(entry.path(), bytes).expect("a write");
                    found += 1;
                }
            }
        }
        assert_eq!(found, 1, "{policy}");
        let (code, said) = run_to_end(&["check", &text(&server.dir)]);
        assert!(
            code == Some(1) && said.contains("no longer whole"),
            "{said}"
        );
        assert!(!server.restart(2, &options), "{policy}");
        assert!(
            server.log().contains("is damaged at byte"),
            "{}",
            server.log()
        );
    }
}

/// What accepts a wrong checksum of an RDB file accepts it of a log's base, and of what Redis has left.
#[test]
fn rdbchecksum_is_heeded_for_a_base() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    assert_eq!(client.ask("SET key a-value-of-some-length"), ok());
    client.ask("BGREWRITEAOF");
    let folder = server.dir.join("appendonlydir");
    let base = || {
        let entries = std::fs::read_dir(&folder).expect("a folder").flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.find(|path| path.extension().is_some_and(|end| end == "rdb"))
    };
    eventually("there is a base", || {
        server.info("persistence", "aof_rewrite_in_progress") == "0" && base().is_some()
    });
    server.signal("KILL");
    server.wait_for_the_end();
    let path = base().expect("a base");
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("a file");
        let place = bytes.windows(7).position(|word| word == b"a-value");
        bytes[place.expect("it is there")] = b'A';
        std::fs::write(path, bytes).expect("a write");
    };
    damage(&path);
    assert!(!server.restart(2, ALWAYS));
    assert!(server.log().contains("rdbchecksum no"), "{}", server.log());
    let options = [ALWAYS, &["--rdbchecksum", "no"]].concat();
    assert!(server.restart(2, &options), "{}", server.log());
    let value = bulk("A-value-of-some-length");
    assert_eq!(server.client().ask("GET key"), value);
    assert_eq!(server.client().ask("SAVE"), ok());
    // The same file where there is no log yet.
    let other = new_dir();
    std::fs::create_dir_all(&other).expect("a folder");
    std::fs::copy(&path, other.join("dump.rdb")).expect("a copy");
    let place = text(&other);
    let options = [options.as_slice(), &["--dir", &place]].concat();
    let adopting = Server::start(1, &options);
    assert_eq!(adopting.client().ask("GET key"), value);
}

#[test]
fn what_cannot_be_looked_at_is_said_with_its_reason() {
    let folder = new_dir();
    let gone = text(&folder.join("gone"));
    std::fs::create_dir_all(folder.join("empty")).expect("a folder");
    let empty = text(&folder.join("empty"));
    for tool in ["check", "dump"] {
        let (code, said) = run_to_end(&[tool, &gone]);
        assert!(code == Some(1) && said.contains("No such file"), "{said}");
        let (code, said) = run_to_end(&[tool, &empty]);
        assert!(
            code == Some(1) && said.contains("no manifest of logs"),
            "{said}"
        );
        assert!(said.contains(&empty), "{said}");
    }
    let target = text(&folder.join("target"));
    let (code, said) = run_to_end(&["import", &gone, &target]);
    assert!(code == Some(1) && said.contains("No such file"), "{said}");
    let (code, said) = run_to_end(&["import", &empty, &target]);
    assert!(
        code == Some(1) && said.contains("appendonly.aof or dump.rdb"),
        "{said}"
    );
    for tool in ["check", "dump", "import", "doctor"] {
        let (code, said) = run_to_end(&[tool, "--help"]);
        assert!(
            code == Some(0) && said.starts_with("usage: rondo "),
            "{said}"
        );
    }
}

/// As a start would find it: the file of before Redis 7 counts, else the RDB file.
#[test]
fn a_directory_without_a_manifest_is_imported_too() {
    let folder = new_dir();
    let from = folder.join("from");
    std::fs::create_dir_all(&from).expect("a folder");
    let mut rdb = RdbFile::new();
    rdb.select(0).key("of-rdb").write(&from.join("dump.rdb"));
    let checked = run_to_end(&["check", &text(&from)]);
    assert!(
        checked.0 == Some(0) && checked.1.contains("dump.rdb: 1 keys"),
        "{checked:?}"
    );
    let keys_of = |name: &str| {
        let dir = text(&folder.join(name));
        let (code, said) = run_to_end(&["import", &text(&from), &dir]);
        assert_eq!(code, Some(0), "{said}");
        let server = Server::start(1, &["--dir", &dir, "--appendonly", "yes"]);
        let keys = server.client().ask("KEYS *");
        // And it is rondo's own by now.
        let (code, said) = run_to_end(&["import", &dir, &text(&folder.join("other"))]);
        assert!(code == Some(1) && said.contains("rondo's own"), "{said}");
        keys
    };
    assert_eq!(keys_of("first"), Value::Array(vec![bulk("of-rdb")]));
    std::fs::write(
        from.join("appendonly.aof"),
        command(&["SET", "of-aof", "1"]),
    )
    .expect("a file");
    assert_eq!(keys_of("second"), Value::Array(vec![bulk("of-aof")]));
}

#[test]
fn a_damaged_rdb_file_is_named_with_its_offset() {
    let mut server = Server::start(1, &[]);
    server.client().ask("RPUSH list a b c");
    assert_eq!(server.client().ask("SAVE"), ok());
    assert!(server.terminate().success());
    let path = server.dir.join("dump.rdb");
    let mut bytes = std::fs::read(&path).expect("a file");
    let end = bytes.len() - 12;
    bytes[end] ^= 0x55;
    std::fs::write(&path, bytes).expect("a write");
    let (code, said) = run_to_end(&["check", &text(&path)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("at offset "), "{said}");
    let (code, said) = run_to_end(&["check"]);
    assert!(
        code == Some(1) && said.contains("usage: rondo check"),
        "{said}"
    );
}

/// An RDB file by hand.
pub(super) struct RdbFile {
    pub(super) bytes: Vec<u8>,
}

impl RdbFile {
    pub(super) fn new() -> Self {
        Self {
            bytes: b"REDIS0011".to_vec(),
        }
    }

    fn length(&mut self, length: u64) {
        self.bytes.push(0x81);
        self.bytes.extend_from_slice(&length.to_be_bytes());
    }

    fn string(&mut self, text: &str) {
        self.length(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn select(&mut self, db: u64) -> &mut Self {
        self.bytes.push(254);
        self.length(db);
        self
    }

    /// How many keys the database has, as it says; none of them with a deadline.
    pub(super) fn sizes(&mut self, keys: u64) -> &mut Self {
        self.bytes.push(251);
        match keys {
            ..64 => self.bytes.push(keys as u8),
            keys => self.length(keys),
        }
        self.bytes.push(0);
        self
    }

    pub(super) fn key(&mut self, key: &str) -> &mut Self {
        self.bytes.push(0);
        self.string(key);
        self.bytes.extend_from_slice(&[1, b'v']);
        self
    }

    pub(super) fn library(&mut self, code: &str) -> &mut Self {
        self.bytes.push(245);
        self.string(code);
        self
    }

    /// Without a checksum, as with `rdbchecksum no`.
    pub(super) fn write(&self, path: &Path) {
        let end = [255, 0, 0, 0, 0, 0, 0, 0, 0];
        std::fs::write(path, [&self.bytes[..], &end].concat()).expect("a file");
    }
}

/// As Redis writes it.
pub(super) fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    text
}

/// A directory as Redis 7 and later leave it, its last file cut off in a block.
#[test]
fn the_append_only_directory_of_redis_is_imported() {
    let from = new_dir();
    let base = command(&["SELECT", "2"]) + &command(&["set", "two", "2"]);
    let one = format!(
        "#TS:1700000000\r\n{}{}{}{}{}",
        command(&["SELECT", "0"]),
        command(&["MULTI"]),
        command(&["SET", "a", "1", "PXAT", "4102444800000"]),
        command(&["RPUSH", "list", "x", "y"]),
        command(&["EXEC"]),
    );
    let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    let two = command(&["FUNCTION", "LOAD", code])
        + &command(&["INCR", "count"])
        + &command(&["XADD", "stream", "1-1", "f", "v"])
        + &command(&["XGROUP", "CREATE", "stream", "group", "0-0"])
        + &command(&["XGROUP", "CREATECONSUMER", "stream", "group", "new"])
        // What Redis makes of XREADGROUP.
        + &command(&[
            "XCLAIM", "stream", "group", "who", "0", "1-1", "TIME", "1700000000123", "RETRYCOUNT", "1", "FORCE", "JUSTID",
            "LASTID", "1-1",
        ])
        // One that says it was idle for longer than it was.
        + &command(&["XADD", "stream", "2-1", "f", "v"])
        + &command(&[
            "XCLAIM", "stream", "group", "who", "0", "2-1", "TIME", "1700000000123", "RETRYCOUNT", "1", "FORCE", "JUSTID",
            "LASTID", "2-1",
        ])
        + &command(&[
            "XCLAIM", "stream", "group", "other", "0", "2-1", "TIME", "1600000000000", "RETRYCOUNT", "2", "FORCE", "JUSTID",
            "LASTID", "2-1",
        ])
        // What Redis makes of a request of a producer, of one that is sent again, and of those that it rewrites.
        + &command(&["XADD", "sent", "IDMP", "p", "one", "4102444800000-0", "f", "v"])
        + &command(&["XADD", "sent", "IDMP", "p", "one", "*", "f", "v"])
        + &command(&["XADD", "sent", "MAXLEN", "=", "5", "IDMPAUTO", "p", "4102444800001-0", "f", "v"])
        + &command(&["XADD", "sent", "4102444800001-1", "f", "v"])
        + &command(&["XIDMPRECORD", "sent", "p", "two", "4102444800001-1"])
        // What changes no key; Redis before 7 logs the first.
        + &command(&["SCRIPT", "LOAD", "return 1"])
        + &command(&["MULTI"])
        + &command(&["publish", "channel", "message"])
        + &command(&["SPUBLISH", "channel", "message"])
        + &command(&["EXEC"])
        + &command(&["MULTI"])
        + &command(&["SET", "never", "1"]);
    for (name, text) in [
        ("appendonly.aof.1.base.aof", base),
        ("appendonly.aof.1.incr.aof", one),
        ("appendonly.aof.2.incr.aof", two),
        (
            "appendonly.aof.manifest",
            "file appendonly.aof.1.base.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n\
             file appendonly.aof.2.incr.aof seq 2 type i\n"
                .into(),
        ),
    ] {
        std::fs::write(from.join(name), text).expect("a file");
    }
    let mut server = Server::start(2, &[]);
    assert!(server.terminate().success());
    let to = text(&server.dir);
    // Which of two manifests holds is not for us to say; one that was being written when Redis ended is none.
    let other = from.join("an-older-name.aof.manifest");
    let first = "file appendonly.aof.1.base.aof seq 1 type b\n";
    std::fs::write(&other, first).expect("a file");
    std::fs::write(from.join("temp-appendonly.aof.manifest"), first).expect("a file");
    let (status, said) = run_to_end(&["import", &text(&from), &to]);
    assert!(
        status == Some(1) && said.contains("an-older-name.aof.manifest"),
        "{said}"
    );
    std::fs::remove_file(other).expect("it is there");
    // Nor is a folder one; a link leads to one.
    std::fs::create_dir(from.join("old.manifest")).expect("a folder");
    let (linked, kept) = (from.join("appendonly.aof.manifest"), new_dir().join("kept"));
    std::fs::rename(&linked, &kept).expect("one file system");
    std::os::unix::fs::symlink(&kept, &linked).expect("a link");
    let (status, said) = run_to_end(&["import", &text(&from), &to]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("6 keys are in"), "{said}");
    assert!(said.contains("ends in the middle"), "{said}");
    let (status, said) = run_to_end(&["import", &text(&from), &to]);
    assert!(status == Some(1) && said.contains("already"), "{said}");
    for threads in [2, 3] {
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let mut client = server.client();
        assert_eq!(
            client.ask("PEXPIRETIME a"),
            Value::Integer(4_102_444_800_000)
        );
        assert_eq!(
            client.ask("LRANGE list 0 -1"),
            Value::Array(vec![bulk("x"), bulk("y")])
        );
        assert_eq!(client.ask("GET count"), bulk("1"));
        assert_eq!(client.ask("EXISTS never"), Value::Integer(0));
        let full = format!("{:?}", client.ask("XINFO STREAM stream FULL"));
        assert!(full.contains("1700000000123"), "{full}");
        let claimed = client.ask("XPENDING stream group - + 9 other");
        assert!(
            matches!(&claimed, Value::Array(entries) if entries.len() == 1
                && matches!(&entries[0], Value::Array(row) if row[0] == bulk("2-1") && row[3] == Value::Integer(2))),
            "{claimed:?}"
        );
        // One that has been made and has read nothing has not been idle since 1970.
        let consumers = client.ask("XINFO CONSUMERS stream group");
        let first = match &consumers {
            Value::Array(rows) => rows.first(),
            _ => None,
        };
        assert!(
            matches!(first, Some(Value::Array(row)) if row[1] == bulk("new")
                && matches!(row[5], Value::Integer(idle_ms) if idle_ms < 86_400_000)),
            "{consumers:?}"
        );
        assert_eq!(client.ask("FCALL f 0"), Value::Integer(7));
        for (request, id) in [
            ("IDMP p one", "4102444800000-0"),
            ("IDMPAUTO p", "4102444800001-0"),
            ("IDMP p two", "4102444800001-1"),
        ] {
            let again = client.ask(&format!("XADD sent {request} * f v"));
            assert_eq!(again, bulk(id));
        }
        assert_eq!(client.ask("XLEN sent"), Value::Integer(3));
        client.ask("SELECT 2");
        assert_eq!(client.ask("GET two"), bulk("2"));
        server.signal("KILL");
        server.wait_for_the_end();
    }
    let _ = std::fs::remove_dir_all(from);
}

/// A file in another's place is refused, and so is one whose header is damaged while what it holds was acknowledged: nothing is
/// removed.
#[test]
fn what_is_not_the_file_it_should_be_is_refused() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    for index in 0..100 {
        assert_eq!(client.ask(&format!("SET key{index} {index}")), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    let first = segment(&server.dir);
    let second = server
        .dir
        .join("appendonlydir/core-01")
        .join(first.file_name().expect("a name"));
    let (of_first, of_second) = (std::fs::read(&first), std::fs::read(&second));
    let (of_first, of_second) = (of_first.expect("a file"), of_second.expect("a file"));
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).expect("a file");
    let refused = |server: &mut Server, what: &str| {
        let (code, said) = run_to_end(&["check", &text(&server.dir)]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(!server.restart(2, ALWAYS), "{}", server.log());
        assert!(server.log().contains(what), "{}", server.log());
        assert!(first.exists() && second.exists());
    };
    write(&first, &of_second);
    write(&second, &of_first);
    refused(&mut server, "is not the file that was written by this name");
    write(&second, &of_second);
    // The magic, the id, the sequence.
    for at in [0, 20, 40] {
        let mut damaged = of_first.clone();
        damaged[at] ^= 1;
        write(&first, &damaged);
        refused(
            &mut server,
            "at byte 0: a record that was safe on disk is no longer whole",
        );
    }
    write(&first, &of_first);
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(100));
}

/// What a run of before has acknowledged ends too early: nothing of that is a write that was cut off.
#[test]
fn a_log_of_before_that_ends_too_early_is_damage() {
    let mut server = Server::start(1, ALWAYS);
    for index in 0..8 {
        let set = format!("SET key{index} {index}");
        assert_eq!(server.client().ask(&set), ok());
    }
    for _ in 0..2 {
        server.signal("KILL");
        server.wait_for_the_end();
        assert!(server.restart(1, ALWAYS), "{}", server.log());
        assert_eq!(server.client().ask("SET more 1"), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    // In the middle of the sixth record.
    let path = segment(&server.dir);
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    file.and_then(|file| file.set_len(6 * 4096 + 50))
        .expect("a shorter file");
    assert!(!server.restart(1, ALWAYS));
    let log = server.log();
    assert!(log.contains("hold records up to 5 of 8"), "{log}");
    let dir = text(&server.dir);
    let (code, said) = run_to_end(&["check", &dir]);
    assert_eq!(code, Some(1), "{said}");
    let place = "0001-00000001.log at byte 24616: records up to 8 should be there";
    assert!(said.contains(place), "{said}");
    assert!(!said.contains("whole"), "{said}");
    let (code, said) = run_to_end(&["check", &dir, "--fix"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("epoch 2 and later: it goes on from what does not count any more"),
        "{said}"
    );
    assert!(server.restart(1, ALWAYS), "{}", server.log());
    // Of later runs nothing counts: they went on from all eight.
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(5));
    assert_eq!(server.client().ask("EXISTS more"), Value::Integer(0));
}

/// Nothing is left of an import that fails, not even a folder.
#[test]
fn what_no_start_would_load_is_not_imported() {
    let from = new_dir();
    let to = from.join("to");
    let import = |commands: &[&[&str]]| {
        let commands: String = commands.iter().map(|words| command(words)).collect();
        std::fs::write(from.join("appendonly.aof"), commands).expect("a file");
        run_to_end(&["import", &text(&from.join("appendonly.aof")), &text(&to)])
    };
    let code = "#!lua name=lib\nthis does not compile";
    let (status, said) = import(&[&["SET", "a", "1"], &["FUNCTION", "LOAD", code]]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("appendonly.aof, a library of functions does not load: "),
        "{said}"
    );
    assert!(!to.exists());
    // What a script did is not known from its call.
    for name in ["EVAL", "evalsha"] {
        let (status, said) = import(&[&["SET", "a", "1"], &[name, "return 1", "0"]]);
        assert_eq!(status, Some(1), "{said}");
        let told = "appendonly.aof, at offset 27: this is the call of a script";
        assert!(said.contains(told), "{said}");
        assert!(!to.exists());
    }
    // How many databases there will be the options say.
    let (status, said) = import(&[&["SELECT", "20"], &["SET", "a", "1"]]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("start with --appendonly yes --databases 21"),
        "{said}"
    );
    assert!(to.join("appendonlydir/manifest").exists());
    let _ = std::fs::remove_dir_all(from);
}

/// As Redis logs a trim that was approximate, and libraries that came by FUNCTION RESTORE.
#[test]
fn what_only_redis_logs_is_imported() {
    let code: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    let server = Server::start(1, &[]);
    let mut client = server.client();
    assert_eq!(
        client.run(&[b"FUNCTION", b"LOAD", code]),
        super::client::bulk("lib")
    );
    let Value::Bulk(dump) = client.ask("FUNCTION DUMP") else {
        panic!("a payload");
    };
    let from = new_dir();
    let mut commands = Vec::new();
    let mut add = |words: &[&[u8]]| super::client::push_request(&mut commands, words);
    for id in 1..=9 {
        let id = format!("{id}-0");
        add(&[
            b"XADD",
            b"x",
            id.as_bytes(),
            b"MAXLEN",
            b"=",
            b"a",
            b"LIMIT",
            b"5",
            b"c",
        ]);
    }
    add(&[b"xtrim", b"x", b"maxlen", b"=", b"7", b"limit", b"3"]);
    add(&[
        b"XADD",
        b"x",
        b"NOMKSTREAM",
        b"MINID",
        b"=",
        b"5",
        b"KEEPREF",
        b"LIMIT",
        b"3",
        b"10-0",
        b"LIMIT",
        b"1",
    ]);
    add(&[b"FUNCTION", b"RESTORE", &dump, b"FLUSH"]);
    std::fs::write(from.join("appendonly.aof"), commands).expect("a file");
    let mut server = Server::start(1, &[]);
    assert!(server.terminate().success());
    let _ = std::fs::remove_file(server.dir.join("dump.rdb"));
    let file = text(&from.join("appendonly.aof"));
    let (status, said) = run_to_end(&["import", &file, &text(&server.dir)]);
    assert_eq!(status, Some(0), "{said}");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("XLEN x"), Value::Integer(6));
    let first = client.ask("XRANGE x 9-0 9-0");
    let fields = &first.items()[0].items()[1];
    let words = ["MAXLEN", "=", "a", "LIMIT", "5", "c"].map(super::client::bulk);
    assert_eq!(fields.items(), words);
    assert_eq!(client.ask("FCALL f 0"), Value::Integer(1));
    let _ = std::fs::remove_dir_all(from);
}
