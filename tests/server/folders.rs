//! The working directory: it is renamed under a running server, or another becomes it; the log is found at every start.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::client::{Client, Value, bulk, error, ok};
use super::harness::{ALWAYS, Server, eventually, exists, free_port, new_dir, run_to_end};

const PROTECTED: &[&str] = &["--enable-protected-configs", "local", "--save", ""];

fn dir_of(client: &mut Client) -> String {
    client.ask("CONFIG GET dir").items()[1].text()
}

fn set_dir(client: &mut Client, dir: &Path) -> Value {
    let dir = dir.display().to_string();
    client.run(&[b"CONFIG", b"SET", b"dir", dir.as_bytes()])
}

/// Whether there is a base of logs below a folder.
fn has_base(dir: &Path) -> bool {
    let entries = fs::read_dir(dir.join("appendonlydir"))
        .into_iter()
        .flatten();
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().ends_with(".base.rdb"))
}

fn rewrite(server: &Server, client: &mut Client) {
    let before = server.rewrites_ended();
    client.ask("BGREWRITEAOF");
    eventually("the rewriting ends", || server.rewrites_ended() > before);
    let status = server.info("persistence", "aof_last_bgrewrite_status");
    assert_eq!(status, "ok");
}

#[test]
fn a_renamed_folder_goes_on() {
    let mut server = Server::start(2, &[ALWAYS, PROTECTED].concat());
    let mut client = server.client();
    assert_eq!(client.ask("SET before 1"), ok());
    let after = new_dir().join("after");
    fs::rename(&server.dir, &after).expect("one file system");
    server.dir = after.canonicalize().expect("it is there");
    assert_eq!(dir_of(&mut client), server.dir.display().to_string());
    assert_eq!(client.ask("SET after 2"), ok());
    assert_eq!(client.ask("SAVE"), ok());
    assert!(exists(&server.dir.join("dump.rdb")));
    rewrite(&server, &mut client);
    assert!(has_base(&server.dir));
    assert_eq!(client.ask("SET last 3"), ok());
    assert_eq!(client.ask("BACKUP START"), ok());
    eventually("it has its base", || {
        client.ask("BACKUP LIST").items().len() == 1
    });
    let base = client.ask("BACKUP LIST").items()[0].text();
    assert!(Path::new(&base).starts_with(&server.dir), "{base}");
    assert_eq!(client.ask("BACKUP ABORT"), ok());
    server.signal("KILL");
    assert!(server.restart(1, ALWAYS), "{}", server.log());
    let mut client = server.client();
    for (key, value) in [("before", "1"), ("after", "2"), ("last", "3")] {
        assert_eq!(client.ask(&format!("GET {key}")), bulk(value));
    }
}

/// Whoever removes a log takes from the next start what clients were told is safe: it is noticed, and all keys there are go to a new
/// one, in the same place.
#[test]
fn a_log_that_is_removed_begins_anew() {
    for (threads, is_whole) in [(1, true), (2, true), (2, false), (7, false)] {
        let mut server = Server::start(threads, ALWAYS);
        let mut client = server.client();
        assert_eq!(client.ask("SET before 1"), ok());
        let logs = server.dir.join("appendonlydir");
        match is_whole {
            true => fs::remove_dir_all(&logs).expect("it is there"),
            false => {
                for entry in fs::read_dir(&logs).expect("it is there").flatten() {
                    let path = entry.path();
                    let _ = match path.is_dir() {
                        true => fs::remove_dir_all(&path),
                        false => fs::remove_file(&path),
                    };
                }
            }
        }
        eventually("it has a base", || has_base(&server.dir));
        eventually("writes are taken", || client.ask("SET after 2") == ok());
        eventually("all is well", || {
            server.info("persistence", "aof_last_write_status") == "ok"
        });
        assert_eq!(client.ask("SET last 3"), ok());
        server.signal("KILL");
        assert!(server.restart(2, ALWAYS), "{}", server.log());
        let mut client = server.client();
        for (key, value) in [("before", "1"), ("after", "2"), ("last", "3")] {
            assert_eq!(client.ask(&format!("GET {key}")), bulk(value));
        }
    }
}

/// The same with the working directory itself, once there is another of its name; where there is no log, CONFIG SET dir goes there.
#[test]
fn a_folder_that_is_removed_and_made_again_is_taken_up() {
    for (threads, is_told) in [(1, false), (2, false), (2, true)] {
        let mut server = Server::start(threads, &[ALWAYS, PROTECTED].concat());
        let mut client = server.client();
        assert_eq!(client.ask("SET before 1"), ok());
        let dir = server.dir.clone();
        fs::remove_dir_all(&dir).expect("it is there");
        if is_told {
            eventually("it is noticed", || {
                server.info("persistence", "aof_last_write_status") == "err"
            });
        }
        fs::create_dir(&dir).expect("its name is free");
        if is_told {
            assert_eq!(set_dir(&mut client, &dir), ok());
        }
        eventually("it has a base", || has_base(&dir));
        eventually("writes are taken", || client.ask("SET after 2") == ok());
        assert_eq!(dir_of(&mut client), dir.display().to_string());
        assert_eq!(client.ask("SAVE"), ok());
        assert!(exists(&dir.join("dump.rdb")));
        let another = ["--dir", &dir.display().to_string(), "--appendonly", "yes"];
        let port = free_port().to_string();
        let (code, refused) = run_to_end(&[&another[..], &["--port", &port]].concat());
        assert_eq!(code, Some(1), "{refused}");
        assert!(
            refused.contains("is in use by another process"),
            "{refused}"
        );
        server.signal("KILL");
        assert!(server.restart(2, ALWAYS), "{}", server.log());
        let mut client = server.client();
        for (key, value) in [("before", "1"), ("after", "2")] {
            assert_eq!(client.ask(&format!("GET {key}")), bulk(value));
        }
    }
}

#[test]
fn config_set_dir_goes_to_what_has_the_name_by_now() {
    let server = Server::start(2, PROTECTED);
    let mut client = server.client();
    let dir = server.dir.canonicalize().expect("it is there");
    assert_eq!(client.ask("SET key value"), ok());
    fs::remove_dir_all(&dir).expect("it is there");
    assert!(matches!(client.ask("SAVE"), Value::Error(_)));
    // There is none yet.
    assert!(matches!(set_dir(&mut client, &dir), Value::Error(_)));
    fs::create_dir(&dir).expect("its name is free");
    assert!(matches!(client.ask("SAVE"), Value::Error(_)));
    // Where a change fails, it stays where it was.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it has one").port().to_string();
    let named = dir.display().to_string();
    let words = ["CONFIG", "SET", "dir", &named, "port", &port];
    assert!(matches!(
        client.run(&words.map(str::as_bytes)),
        Value::Error(_)
    ));
    assert!(matches!(client.ask("SAVE"), Value::Error(_)));
    assert_eq!(set_dir(&mut client, &dir), ok());
    assert_eq!(dir_of(&mut client), named);
    assert_eq!(client.ask("SAVE"), ok());
    assert!(exists(&dir.join("dump.rdb")));
}

/// As what somebody has put there for the next start, from a backup: nothing of it is touched, and writes are refused.
#[test]
fn logs_in_the_place_of_removed_ones_are_left_alone() {
    let server = Server::start(2, &["--appendonly", "yes"]);
    let mut client = server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    let logs = server.dir.join("appendonlydir");
    fs::remove_dir_all(&logs).expect("it is there");
    fs::create_dir(&logs).expect("its name is free");
    fs::write(logs.join("manifest"), "another's").expect("a file in it");
    eventually("it is noticed", || {
        server.info("persistence", "aof_last_write_status") == "err"
    });
    eventually("no new one begins", || {
        server.info("persistence", "aof_last_bgrewrite_status") == "err"
    });
    assert_eq!(
        client.ask("SET a 2"),
        error("MISCONF Errors writing to the AOF file: No such file or directory")
    );
    assert_eq!(client.ask("GET b"), bulk("2"));
    let entries = fs::read_dir(&logs).expect("it is there").count();
    assert_eq!(entries, 1);
    let text = fs::read_to_string(logs.join("manifest"));
    assert_eq!(text.expect("it is there"), "another's");
    // Once they are away, it goes on.
    fs::rename(&logs, server.dir.join("others")).expect("one file system");
    client.ask("BGREWRITEAOF");
    eventually("writes are taken", || client.ask("SET a 2") == ok());
}

/// A configuration file is a text, and so are options: such a name is in neither, and the file stays as it is. Who starts in the folder
/// finds what was written there.
#[test]
fn a_folder_may_have_a_name_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let cases: [(&str, &[&str]); 2] = [
        ("hz 20\nappendonly yes\nappendfsync always\n", ALWAYS),
        ("hz 20\n", &[]),
    ];
    for (text, options) in cases {
        let mut server = Server::start_with_file(2, text);
        let mut client = server.client();
        assert_eq!(client.ask("SET before 1"), ok());
        let name = std::ffi::OsStr::from_bytes(b"no-\xff-text");
        let after = new_dir().join(name);
        fs::rename(&server.dir, &after).expect("one file system");
        server.dir = after.canonicalize().expect("it is there");
        assert_eq!(client.ask("CONFIG SET hz 30"), ok());
        let said = client.ask("CONFIG REWRITE").text();
        assert!(
            said.starts_with("ERR Rewriting config file: the name of dir, ")
                && said.contains("no-\u{fffd}-text, has bytes that are no UTF-8"),
            "{said}"
        );
        let file = fs::read_to_string(server.dir.join("redis.conf"));
        assert_eq!(file.expect("it is there"), text);
        assert_eq!(client.ask("SET after 2"), ok());
        assert_eq!(client.ask("BACKUP START"), ok());
        eventually("it may be sealed", || client.ask("BACKUP SEAL") == ok());
        assert!(exists(&server.dir.join("backupdir/manifest")));
        assert_eq!(client.ask("SAVE"), ok());
        server.signal("KILL");
        // It begins where it is.
        assert!(server.restart(1, options), "{}", server.log());
        let mut client = server.client();
        for (key, value) in [("before", "1"), ("after", "2")] {
            assert_eq!(client.ask(&format!("GET {key}")), bulk(value));
        }
    }
}

/// Where the log is, a start looks for it: until it has begun anew elsewhere, the file does not say another `dir`.
#[test]
fn the_log_stays_until_it_begins_anew() {
    let text = "appendonly yes\nappendfsync always\nenable-protected-configs local\nsave \"\"\n";
    let mut server = Server::start_with_file(2, text);
    let mut client = server.client();
    assert_eq!(client.ask("SET before 1"), ok());
    let there = new_dir().canonicalize().expect("it is there");
    assert_eq!(set_dir(&mut client, &there), ok());
    assert_eq!(dir_of(&mut client), there.display().to_string());
    assert_eq!(client.ask("SET after 2"), ok());
    rewrite(&server, &mut client);
    assert!(has_base(&server.dir));
    assert!(!exists(&there.join("appendonlydir")));
    assert_eq!(client.ask("SAVE"), ok());
    assert!(exists(&there.join("dump.rdb")));
    let here = server.dir.canonicalize().expect("it is there");
    let refused = format!(
        "ERR Rewriting config file: the append-only log is in {}, where a start with dir {} does not look for it: set dir back, \
         or have the log begin anew where dir is with CONFIG SET appendonly no, CONFIG SET appendonly yes, and WAITAOF 1 0 0 for \
         its base",
        here.join("appendonlydir").display(),
        there.display()
    );
    assert_eq!(client.ask("CONFIG REWRITE"), error(&refused));
    let file = server.dir.join("redis.conf");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
    // What was written is there for who starts with the file as it is.
    server.signal("KILL");
    assert!(server.restart(2, &[ALWAYS, PROTECTED].concat()));
    let mut client = server.client();
    assert_eq!(client.ask("GET after"), bulk("2"));
    assert_eq!(set_dir(&mut client, &there), ok());
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    let synced = client.ask("WAITAOF 1 0 0");
    assert_eq!(synced.items(), [Value::Integer(1), Value::Integer(0)]);
    assert!(has_base(&there));
    assert_eq!(client.ask("SET last 3"), ok());
    server.signal("KILL");
    let _ = fs::remove_file(there.join("dump.rdb"));
    server.dir = there;
    assert!(server.restart(3, ALWAYS), "{}", server.log());
    let mut client = server.client();
    for (key, value) in [("before", "1"), ("after", "2"), ("last", "3")] {
        assert_eq!(client.ask(&format!("GET {key}")), bulk(value));
    }
}

#[test]
fn with_the_log_back_in_dir_the_file_is_rewritten() {
    let text = "appendonly yes\nenable-protected-configs local\nsave \"\"\n";
    let server = Server::start_with_file(1, text);
    let mut client = server.client();
    let here = dir_of(&mut client);
    assert_eq!(set_dir(&mut client, &new_dir()), ok());
    assert!(matches!(client.ask("CONFIG REWRITE"), Value::Error(_)));
    assert_eq!(set_dir(&mut client, Path::new(&here)), ok());
    assert_eq!(client.ask("CONFIG REWRITE"), ok());
    let file = fs::read_to_string(server.dir.join("redis.conf")).expect("it is there");
    assert!(file.contains(&here), "{file}");
}

/// All or none: a change that fails goes back to the folder itself, not to what has its name by then.
#[test]
fn a_change_that_fails_goes_back_to_a_renamed_folder() {
    let mut server = Server::start(1, PROTECTED);
    let mut client = server.client();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it has one").port().to_string();
    let after = new_dir().join("after");
    fs::rename(&server.dir, &after).expect("one file system");
    server.dir = after.canonicalize().expect("it is there");
    let other = new_dir().display().to_string();
    let words: [&[u8]; 6] = [
        b"CONFIG",
        b"SET",
        b"dir",
        other.as_bytes(),
        b"port",
        port.as_bytes(),
    ];
    assert!(matches!(client.run(&words), Value::Error(_)));
    assert_eq!(dir_of(&mut client), server.dir.display().to_string());
    assert_eq!(client.ask("SAVE"), ok());
    assert!(exists(&server.dir.join("dump.rdb")));
}

#[test]
fn the_name_that_a_folder_had_may_be_that_of_another() {
    let mut server = Server::start(1, PROTECTED);
    let mut client = server.client();
    let before = server.dir.clone();
    let after = new_dir().join("after");
    fs::rename(&before, &after).expect("one file system");
    server.dir = after;
    fs::create_dir(&before).expect("the name is free");
    assert_eq!(set_dir(&mut client, &before), ok());
    assert_eq!(client.ask("SAVE"), ok());
    assert!(exists(&before.join("dump.rdb")));
    assert!(!exists(&server.dir.join("dump.rdb")));
    let _ = fs::remove_dir_all(&before);
}

/// What a sealed backup is cleaned up in is its own folder, not one that has got its name since: another server's backup may be there.
#[test]
fn a_sealed_backup_in_a_renamed_folder_is_cleaned_up() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    assert_eq!(client.ask("SET key value"), ok());
    assert_eq!(client.ask("BACKUP START"), ok());
    eventually("it may be sealed", || {
        client.ask("BACKUP LIST").items().len() == 1
    });
    assert_eq!(client.ask("BACKUP SEAL"), ok());
    let before = server.dir.clone();
    let after = new_dir().join("after");
    fs::rename(&before, &after).expect("one file system");
    let after = after.canonicalize().expect("it is there");
    server.dir = after.clone();
    let others = before.join("backupdir");
    fs::create_dir_all(&others).expect("the name is free");
    fs::write(others.join("manifest"), "another server's").expect("a file in it");
    let listed = client.ask("BACKUP LIST");
    for file in listed.items() {
        let file = file.text();
        assert!(file.starts_with(&after.display().to_string()), "{file}");
        assert!(exists(Path::new(&file)), "{file}");
    }
    assert_eq!(client.ask("BACKUP CLEANUP"), ok());
    assert!(exists(&others.join("manifest")));
    assert!(!exists(&after.join("backupdir/manifest")));
    assert_eq!(client.ask("BACKUP START"), ok());
    let _ = fs::remove_dir_all(&before);
}

#[test]
fn a_snapshot_ends_in_the_folder_that_it_was_begun_in() {
    let server = Server::start(2, PROTECTED);
    let mut client = server.client();
    for number in 0..100 {
        client.ask(&format!("SET key:{number} value"));
    }
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 5000"), ok());
    client.ask("BGSAVE");
    let there = new_dir();
    assert_eq!(set_dir(&mut client, &there), ok());
    eventually("the snapshot ends", || {
        server.info("persistence", "rdb_bgsave_in_progress") == "0"
    });
    let status = server.info("persistence", "rdb_last_bgsave_status");
    assert_eq!(status, "ok");
    assert!(exists(&server.dir.join("dump.rdb")));
    assert!(!exists(&there.join("dump.rdb")));
}
