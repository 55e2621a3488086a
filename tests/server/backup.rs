//! BACKUP: what is sealed is one moment of all shards, whatever goes on meanwhile; nothing is left of what was not sealed.

use super::client::{Client, Value, bulk, ok};
use super::harness::{Server, eventually, free_port, new_dir, run_to_end};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

pub(super) const LOG: &[&str] = &[
    "--appendonly",
    "yes",
    "--enable-debug-command",
    "local",
    "--auto-aof-rewrite-percentage",
    "0",
];
pub(super) const NO_LOG: &[&str] = &["--enable-debug-command", "local"];

pub(super) fn status(client: &mut Client, field: &str) -> String {
    let Value::Array(fields) = client.ask("BACKUP STATUS") else {
        panic!("STATUS is no array")
    };
    let place = fields
        .iter()
        .position(|value| *value == bulk(field))
        .expect("a field");
    match &fields[place + 1] {
        Value::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn list(client: &mut Client) -> Vec<PathBuf> {
    let Value::Array(paths) = client.ask("BACKUP LIST") else {
        panic!("LIST is no array")
    };
    let path = |value: Value| match value {
        Value::Bulk(path) => PathBuf::from(String::from_utf8(path).expect("UTF-8")),
        other => panic!("{other:?}"),
    };
    paths.into_iter().map(path).collect()
}

pub(super) fn start(client: &mut Client) {
    assert_eq!(client.ask("BACKUP START"), ok());
    eventually("the base is there", || {
        status(client, "state") == "incrementing"
    });
}

pub(super) fn error(client: &mut Client, line: &str) -> String {
    match client.ask(line) {
        Value::Error(text) => text,
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn rewrite(server: &Server, client: &mut Client) {
    let before = server.rewrites_ended();
    client.ask("BGREWRITEAOF");
    eventually("the rewriting ends", || {
        server.rewrites_ended() > before
            && server.info("persistence", "aof_rewrite_in_progress") == "0"
    });
}

pub(super) fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// A server that starts from copies of these files.
pub(super) fn restore(files: &[PathBuf], backup: &Path, threads: usize) -> Server {
    let mut server = Server::start(1, NO_LOG);
    server.signal("KILL");
    server.wait_for_the_end();
    let dir = server.dir.join("appendonlydir");
    for file in files {
        let to = dir.join(file.strip_prefix(backup).expect("a file of the folder"));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        std::fs::copy(file, to).expect("a copy");
    }
    assert!(server.restart(threads, LOG), "{}", server.log());
    server
}

/// What it had went with its folder: no later SEAL could make it whole. Another one may begin.
#[test]
fn a_backup_whose_folder_is_removed_fails() {
    for logs in [LOG, NO_LOG] {
        let server = Server::start(2, logs);
        let mut client = server.client();
        let folder = server.dir.join("backupdir");
        client.ask("SET key 1");
        start(&mut client);
        std::fs::remove_dir_all(&folder).expect("it is there");
        let said = error(&mut client, "BACKUP SEAL");
        assert!(said.starts_with("ERR Can't seal the backup: "), "{said}");
        assert_eq!(status(&mut client, "state"), "failed");
        assert_eq!(status(&mut client, "error"), "its folder was removed");
        assert_eq!(server.info("persistence", "backup_in_progress"), "0");
        assert!(list(&mut client).is_empty());
        start(&mut client);
        assert_eq!(client.ask("BACKUP SEAL"), ok());
        assert!(folder.join("manifest").exists());
        assert_eq!(client.ask("BACKUP CLEANUP"), ok());
        start(&mut client);
        std::fs::remove_dir_all(&folder).expect("it is there");
        assert_eq!(client.ask("BACKUP ABORT"), ok());
        assert_eq!(client.ask("BACKUP CLEANUP"), ok());
    }
}

#[test]
fn a_backup_goes_through_its_states_and_says_what_it_cannot_do() {
    for logs in [LOG, NO_LOG] {
        let server = Server::start(2, logs);
        let mut client = server.client();
        let folder = server.dir.join("backupdir");
        assert_eq!(status(&mut client, "state"), "idle");
        assert_eq!(status(&mut client, "start_time"), "0");
        assert_eq!(
            error(&mut client, "BACKUP ABORT"),
            "ERR No backup in progress"
        );
        assert_eq!(
            error(&mut client, "BACKUP SEAL"),
            "ERR No backup ready to seal (must be in the incrementing state)"
        );
        assert_eq!(client.ask("BACKUP CLEANUP"), ok());
        assert_eq!(server.info("persistence", "backup_in_progress"), "0");
        client.ask("SET before 1");
        start(&mut client);
        assert_eq!(server.info("persistence", "backup_in_progress"), "1");
        assert_eq!(
            error(&mut client, "BACKUP START"),
            "ERR A backup is already in progress, ABORT it first"
        );
        assert_eq!(
            error(&mut client, "BACKUP CLEANUP"),
            "ERR Backup is in progress"
        );
        let files = list(&mut client);
        assert_eq!(files.len(), usize::from(logs == LOG), "{files:?}");
        client.ask("SET within 1");
        assert_eq!(client.ask("BACKUP SEAL"), ok());
        assert_eq!(server.info("persistence", "backup_in_progress"), "0");
        assert_eq!(status(&mut client, "state"), "sealed");
        assert_ne!(status(&mut client, "end_time"), "0");
        assert_eq!(
            error(&mut client, "BACKUP START"),
            "ERR A sealed backup exists, CLEANUP it first"
        );
        assert_eq!(
            error(&mut client, "BACKUP ABORT"),
            "ERR No backup in progress"
        );
        let digest = client.ask("DEBUG DIGEST");
        let files = list(&mut client);
        assert!(files.iter().all(|file| file.is_absolute() && file.exists()));
        let contents = |files: &[PathBuf]| {
            let read = |file: &PathBuf| std::fs::read(file).expect("a file");
            files.iter().map(read).collect::<Vec<_>>()
        };
        let before = contents(&files);
        client.ask("SET after 1");
        client.ask("DEL before");
        if logs == LOG {
            rewrite(&server, &mut client);
        }
        // What is sealed changes no more.
        assert!(before == contents(&files), "{files:?}");
        for threads in [1, 2, 3] {
            let restored = restore(&files, &folder, threads);
            assert_eq!(restored.client().ask("DEBUG DIGEST"), digest);
        }
        assert_eq!(client.ask("BACKUP CLEANUP"), ok());
        assert!(is_empty(&folder));
        assert_eq!(status(&mut client, "state"), "idle");
        start(&mut client);
        assert_eq!(client.ask("BACKUP ABORT"), ok());
        assert_eq!(status(&mut client, "state"), "failed");
        assert_eq!(status(&mut client, "error"), "aborted by user");
        assert!(is_empty(&folder));
        std::fs::write(folder.join("mine"), b"").expect("a file");
        let refused = error(&mut client, "BACKUP START");
        assert!(refused.contains("not empty"), "{refused}");
        assert_eq!(client.ask("GET after"), bulk("1"));
    }
}

/// Three clients write pairs over the shards; what is sealed has whole pairs, all that was acknowledged before SEAL and nothing
/// that was sent after its reply, whether the log was compacted meanwhile or not.
#[test]
fn a_backup_under_load_is_one_moment_between_seal_and_its_reply() {
    for (policy, logs) in [
        ("always", true),
        ("everysec", true),
        ("no", true),
        ("no", false),
    ] {
        let options = [if logs { LOG } else { NO_LOG }, &["--appendfsync", policy]].concat();
        let server = Server::start(2, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 5000 key 100");
        let (port, is_over) = (server.port, AtomicBool::new(false));
        let acknowledged: [AtomicI64; 3] = Default::default();
        let (least, most) = std::thread::scope(|scope| {
            for (index, last) in acknowledged.iter().enumerate() {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut count = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        count += 1;
                        let line = format!("MSET left{index} {count} right{index} {count}");
                        assert_eq!(client.ask(&line), ok());
                        last.store(count, Ordering::SeqCst);
                    }
                });
            }
            let now = || {
                acknowledged
                    .each_ref()
                    .map(|last| last.load(Ordering::SeqCst))
            };
            start(&mut client);
            if logs {
                rewrite(&server, &mut client);
                rewrite(&server, &mut client);
            }
            let least = now();
            assert_eq!(client.ask("BACKUP SEAL"), ok(), "{}", server.log());
            let most = now();
            is_over.store(true, Ordering::Relaxed);
            (least, most)
        });
        let files = list(&mut client);
        let restored = restore(&files, &server.dir.join("backupdir"), 3);
        let mut client = restored.client();
        for index in 0..3 {
            let number = |value: Value| match value {
                Value::Bulk(text) => String::from_utf8_lossy(&text).parse().expect("a number"),
                _ => 0i64,
            };
            let left = number(client.ask(&format!("GET left{index}")));
            let right = number(client.ask(&format!("GET right{index}")));
            assert_eq!(left, right, "{policy} {logs}");
            // One more than was acknowledged may have been under way.
            let wanted = least[index]..=most[index] + 1;
            assert!(
                wanted.contains(&left),
                "{policy} {logs}: {left} is not in {wanted:?}"
            );
        }
        assert_eq!(client.ask("STRLEN key:4999"), Value::Integer(100));
    }
}

#[test]
fn a_process_that_dies_leaves_a_sealed_backup_or_none() {
    for logs in [LOG, NO_LOG] {
        let mut server = Server::start(2, logs);
        let folder = server.dir.join("backupdir");
        let mut client = server.client();
        client.ask("SET key value");
        start(&mut client);
        if logs == LOG {
            rewrite(&server, &mut client);
        }
        server.signal("KILL");
        server.wait_for_the_end();
        assert!(!is_empty(&folder));
        assert!(server.restart(2, logs), "{}", server.log());
        assert!(is_empty(&folder));
        let mut client = server.client();
        assert_eq!(status(&mut client, "state"), "idle");
        client.ask("SET key value");
        start(&mut client);
        assert_eq!(client.ask("BACKUP SEAL"), ok());
        let files = list(&mut client);
        server.signal("KILL");
        server.wait_for_the_end();
        assert!(server.restart(3, logs), "{}", server.log());
        let mut client = server.client();
        assert_eq!(status(&mut client, "state"), "sealed");
        assert_eq!(list(&mut client), files);
        assert_eq!(
            restore(&files, &folder, 1).client().ask("GET key"),
            bulk("value")
        );
        assert_eq!(client.ask("BACKUP CLEANUP"), ok());
        assert!(is_empty(&folder));
    }
}

#[test]
fn a_backup_ends_with_its_logs_and_a_sealed_one_by_its_time() {
    let server = Server::start(2, LOG);
    let mut client = server.client();
    let folder = server.dir.join("backupdir");
    client.ask("SET key value");
    start(&mut client);
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    assert_eq!(status(&mut client, "state"), "failed");
    assert_eq!(status(&mut client, "error"), "appendonly is stopped");
    eventually("the folder is empty", || is_empty(&folder));
    start(&mut client);
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    assert_eq!(status(&mut client, "error"), "appendonly is started");
    eventually("the folder is empty", || is_empty(&folder));
    // In a block the base waits until the block is over.
    client.ask("MULTI");
    client.ask("SET within 1");
    client.ask("BACKUP START");
    client.ask("SET within 2");
    assert_eq!(client.ask("EXEC"), Value::Array(vec![ok(), ok(), ok()]));
    eventually("the base is there", || {
        status(&mut client, "state") == "incrementing"
    });
    client.ask("MULTI");
    assert!(matches!(client.ask("BACKUP SEAL"), Value::Error(_)));
    client.ask("DISCARD");
    assert_eq!(client.ask("BACKUP SEAL"), ok());
    assert_eq!(client.ask("CONFIG SET backup-sealed-ttl 1"), ok());
    eventually("it is removed", || {
        status(&mut client, "state") == "idle" && is_empty(&folder)
    });
    assert_eq!(client.ask("GET within"), bulk("2"));
}

/// A copy that was put into `dir` itself is refused, before anything new is made beside it; where it belongs it is read.
#[test]
fn a_backup_in_the_wrong_place_is_refused() {
    for logs in [LOG, NO_LOG] {
        let mut server = Server::start(2, logs);
        let mut client = server.client();
        client.ask("SET key value");
        start(&mut client);
        assert_eq!(client.ask("BACKUP SEAL"), ok());
        let (files, folder) = (list(&mut client), server.dir.join("backupdir"));
        let dir = new_dir();
        for file in &files {
            let to = dir.join(file.strip_prefix(&folder).expect("a file of the folder"));
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(file, to).expect("a copy");
        }
        let (port, text) = (free_port().to_string(), dir.display().to_string());
        for appendonly in ["yes", "no"] {
            let words = ["--port", &port, "--dir", &text, "--appendonly", appendonly];
            let (code, said) = run_to_end(&words);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("/appendonlydir, or away"), "{said}");
            assert!(!dir.join("appendonlydir").exists());
        }
        server.signal("KILL");
        server.wait_for_the_end();
        assert!(server.restart(2, logs), "{}", server.log());
        std::fs::remove_dir_all(dir).expect("a folder");
    }
}

/// Snapshots and rewritings beside SEAL, whichever core 0 hears of first: one after the other, or refused.
#[test]
fn nothing_else_is_saved_in_the_midst_of_a_seal() {
    for line in ["BGSAVE", "SAVE", "BGREWRITEAOF", "DEBUG RELOAD"] {
        let server = Server::start(2, LOG);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 20000 key 100");
        for round in 0..8u64 {
            start(&mut client);
            client.ask("MSET a 1 b 2 c 3 d 4");
            let (mut sealing, mut saving) = (server.client(), server.client());
            sealing.send(b"BACKUP SEAL\r\n");
            std::thread::sleep(Duration::from_micros(round % 4 * 300));
            saving.send(format!("{line}\r\n").as_bytes());
            sealing.reply();
            saving.reply();
            eventually("all is over", || {
                let text = client.ask("INFO persistence").text();
                text.contains("rdb_bgsave_in_progress:0")
                    && text.contains("aof_rewrite_in_progress:0")
            });
            assert_eq!(client.ask("BACKUP CLEANUP"), ok());
        }
    }
}

/// What is sealed is whole although its logs end at the same time, or it is refused.
#[test]
fn a_seal_beside_the_end_of_its_logs_is_whole_or_refused() {
    for round in 0..12u64 {
        let server = Server::start(2, LOG);
        let mut client = server.client();
        start(&mut client);
        for number in 0..50 {
            client.ask(&format!("MSET a {number} b {number} key{number} v"));
        }
        let (mut sealing, mut ending) = (server.client(), server.client());
        sealing.send(b"BACKUP SEAL\r\n");
        std::thread::sleep(Duration::from_micros(round * 300));
        ending.send(b"CONFIG SET appendonly no\r\n");
        let sealed = sealing.reply();
        assert_eq!(ending.reply(), ok());
        if sealed != ok() {
            continue;
        }
        let files = list(&mut client);
        let restored = restore(&files, &server.dir.join("backupdir"), 3);
        let mut client = restored.client();
        assert_eq!(client.ask("DBSIZE"), Value::Integer(52), "{round}");
        let last = Value::Array(vec![bulk("49"), bulk("49")]);
        assert_eq!(client.ask("MGET a b"), last, "{round}");
    }
}
