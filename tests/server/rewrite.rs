//! The log is rewritten, begun and ended while clients write; what was acknowledged is there after every end.

use super::client::{Client, Value, bulk, ok};
use super::harness::{ALWAYS, Server, eventually, run_to_end};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn rewrite(server: &Server, client: &mut Client) {
    let before = server.rewrites_ended();
    assert_eq!(
        client.ask("BGREWRITEAOF"),
        Value::Simple("Background append only file rewriting started".into())
    );
    eventually("the rewriting ends", || {
        server.rewrites_ended() > before
            && server.info("persistence", "aof_rewrite_in_progress") == "0"
    });
    assert_eq!(
        server.info("persistence", "aof_last_bgrewrite_status"),
        "ok"
    );
}

/// Files of the log by the end of their names.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

const KINDS: &[&str] = &[
    "SET string value",
    "SET dated value EX 10000",
    "RPUSH list a b c",
    "SADD intset 1 2 3",
    "SADD set a b c",
    "HSET hash f v g w",
    "HPEXPIRE hash 1000000 FIELDS 1 f",
    "ZADD zset 1 a 2 b",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me STREAMS stream >",
    "PFADD hll a b c",
    "ARMSET array 1 x 5 y",
    "SELECT 3",
    "SET other database",
    "SELECT 0",
];

#[test]
fn a_rewritten_log_gives_the_same_keys_on_any_number_of_cores() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    for line in KINDS {
        let reply = client.ask(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    let loaded = client.run(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
    assert_eq!(loaded, bulk("lib"));
    rewrite(&server, &mut client);
    client.ask("SET after 1");
    client.ask("DEL string");
    let digest = client.ask("DEBUG DIGEST");
    let dir = server.dir.join("appendonlydir");
    assert_eq!(files(&dir, ".base.rdb").len(), 1);
    for threads in [3, 1, 2] {
        server.signal("KILL");
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("DEBUG DIGEST"), digest);
        assert_eq!(client.ask("FCALL f 0"), Value::Integer(7));
        // The base is needed until the next one.
        assert_eq!(files(&dir, ".base.rdb").len(), 1);
        if threads == 1 {
            rewrite(&server, &mut client);
            assert_eq!(files(&dir, ".base.rdb").len(), 1);
        }
    }
}

/// What happens between the cut and the end of a rewriting is in the log after the base, and old files go.
#[test]
fn writes_go_on_while_the_log_is_rewritten() {
    let mut server = Server::start(2, ALWAYS);
    let port = server.port;
    let is_over = AtomicBool::new(false);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 20000 key 100");
    let counts = std::thread::scope(|scope| {
        let is_over = &is_over;
        let writers: Vec<_> = (0..3)
            .map(|index| {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut count = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        count += 1;
                        let line =
                            format!("MSET left{index} {count} right{index} {count} key:{count} x");
                        assert_eq!(client.ask(&line), ok());
                    }
                    count
                })
            })
            .collect();
        for _ in 0..4 {
            rewrite(&server, &mut client);
        }
        is_over.store(true, Ordering::Relaxed);
        let counts = writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"));
        counts.collect::<Vec<i32>>()
    });
    let digest = client.ask("DEBUG DIGEST");
    server.signal("KILL");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    let mut client = server.client();
    for (index, count) in counts.into_iter().enumerate() {
        for name in ["left", "right"] {
            let reply = client.ask(&format!("GET {name}{index}"));
            assert_eq!(reply, Value::Bulk(count.to_string().into_bytes()));
        }
    }
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
    let logs = files(&server.dir.join("appendonlydir"), ".log");
    assert!(logs.len() <= 8, "old segments are there still: {logs:?}");
}

/// RDB files beside it are as the umask says, as Redis's.
#[test]
fn nobody_but_the_owner_reads_the_log_and_its_bases() {
    let mode_of = |path: &Path| Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let are_private = |dir: &Path, ends: &[&str]| {
        for end in ends {
            let paths = files(dir, end);
            assert!(!paths.is_empty(), "{end}");
            for path in paths {
                // An old segment may have gone by now.
                let mode = mode_of(&path).unwrap_or(0o600);
                assert_eq!(mode, 0o600, "{}", path.display());
            }
        }
    };
    let server = Server::start(2, ALWAYS);
    let mut client = server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    rewrite(&server, &mut client);
    assert_eq!(client.ask("SAVE"), ok());
    let logs = server.dir.join("appendonlydir");
    are_private(&logs, &[".base.rdb", ".log", "manifest", "lock"]);
    let (plain, dump) = (server.dir.join("plain"), server.dir.join("dump.rdb"));
    std::fs::write(&plain, "").expect("a file");
    assert_eq!(mode_of(&dump), mode_of(&plain));
    // What is taken over from Redis is a base too.
    let to = server.dir.join("imported");
    let words = [&dump, &to].map(|path| path.display().to_string());
    let (code, said) = run_to_end(&["import", &words[0], &words[1]]);
    assert_eq!(code, Some(0), "{said}");
    are_private(&to.join("appendonlydir"), &[".base.rdb", "manifest"]);
}

#[test]
fn a_log_begins_and_ends_while_others_are_served() {
    let options: &[&str] = &["--appendfsync", "always", "--enable-debug-command", "local"];
    let mut server = Server::start(2, options);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 1000 key 10");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    eventually("the first base", || {
        server.info("persistence", "aof_rewrite_in_progress") == "0" && server.rewrites_ended() == 1
    });
    assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4"), ok());
    let digest = client.ask("DEBUG DIGEST");
    server.signal("KILL");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
    // Off, on again: what is written in between is in the new base.
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    eventually("the logs end", || {
        server.info("persistence", "aof_enabled") == "0"
    });
    assert_eq!(client.ask("SET between 1"), ok());
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    eventually("a base", || {
        server.info("persistence", "aof_rewrite_in_progress") == "0"
            && server.info("persistence", "aof_enabled") == "1"
    });
    assert_eq!(client.ask("SET later 1"), ok());
    let digest = client.ask("DEBUG DIGEST");
    assert_eq!(client.ask("DEBUG LOADAOF"), ok());
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
    assert_eq!(client.ask("DBSIZE"), Value::Integer(1006));
    server.signal("KILL");
    assert!(server.restart(1, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}

/// Logs that nobody writes to leave nothing behind, however often the server starts.
#[test]
fn starts_without_writes_leave_no_files() {
    let mut server = Server::start(2, ALWAYS);
    server.client().ask("MSET a 1 b 2 c 3");
    for _ in 0..4 {
        assert!(server.terminate().success());
        assert!(server.restart(2, ALWAYS), "{}", server.log());
    }
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(3));
    let dir = server.dir.join("appendonlydir");
    let logs = files(&dir, ".log");
    assert!(logs.len() <= 4, "{logs:?}");
    let trimmed = |path: &PathBuf| std::fs::metadata(path).expect("a file").len() <= 64 * 1024;
    let count = logs.iter().filter(|path| trimmed(path)).count();
    assert!(
        count >= 1,
        "the first epoch's logs take what they hold: {logs:?}"
    );
}

#[test]
fn the_log_is_rewritten_when_it_has_grown() {
    let options = [ALWAYS, &["--auto-aof-rewrite-min-size", "1mb"]].concat();
    let server = Server::start(2, &options);
    let mut client = server.client();
    let value = "x".repeat(1000);
    eventually("a rewriting by itself", || {
        for index in 0..200 {
            client.ask(&format!("SET key{index} {value}"));
        }
        server.rewrites_ended() > 0
    });
    assert!(server.info_number("persistence", "aof_base_size") < 1 << 20);
    assert_eq!(
        client
            .ask("CONFIG GET auto-aof-rewrite-min-size")
            .items()
            .len(),
        2
    );
}

/// What `~` trims depends on nodes; the log says what went.
#[test]
fn what_was_trimmed_by_nodes_is_trimmed_alike_from_the_log() {
    let log = ["--appendonly", "yes", "--enable-debug-command", "yes"];
    let words = [&log[..], &["--stream-node-max-entries", "10"]].concat();
    let server = Server::start(2, &words);
    let mut client = server.client();
    let adds = [
        "a MAXLEN ~ 55 LIMIT 30 *",
        "b NOMKSTREAM LIMIT 20 MINID ~ 60-1 KEEPREF 1000-1",
        "c IDMP MAXLEN p MAXLEN ~ 40 *",
    ];
    for key in ["a", "b", "c", "d"] {
        for number in 1..=100 {
            client.ask(&format!("XADD {key} {number}-1 f v"));
        }
    }
    for add in adds {
        client.ask(&format!("XADD {add} f v"));
    }
    client.ask("XTRIM d MAXLEN ~ 33");
    let lengths = |client: &mut Client| {
        ["a", "b", "c", "d"].map(|key| client.ask(&format!("XLEN {key}")).integer())
    };
    let before = lengths(&mut client);
    assert_eq!(before, [71, 81, 41, 40]);
    assert_eq!(client.ask("CONFIG SET stream-node-max-entries 1"), ok());
    assert_eq!(client.ask("DEBUG LOADAOF"), ok());
    assert_eq!(lengths(&mut client), before);
    assert_eq!(
        client.ask("XADD c IDMP MAXLEN p * f v"),
        client.ask("XADD c IDMP MAXLEN p * f v")
    );
    assert_eq!(lengths(&mut client), before, "a duplicate is one still");
}

/// With `always` a log that begins while others write counts once its base does: until then no write is acknowledged, for
/// after a kill there would be none of it.
#[test]
fn writes_wait_for_the_first_base_of_a_log() {
    let options: &[&str] = &["--appendfsync", "always", "--enable-debug-command", "local"];
    let mut server = Server::start(2, options);
    let faults = server.dir.join("faults");
    std::fs::create_dir(&faults).expect("a new folder");
    let mut client = server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4"), ok());
    // The base is written and not put in force, however soon it is.
    let fault = faults.join("base");
    std::fs::write(&fault, "").expect("a file in its folder");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    eventually("a base was tried", || {
        server.info("persistence", "aof_last_bgrewrite_status") == "err"
    });
    // What was there before the logs were is read meanwhile.
    assert_eq!(client.ask("GET a"), bulk("1"));
    let mut writer = server.client();
    writer.send(b"MSET a 2 b 2 c 2 d 2\r\n");
    let mut waiting = server.client();
    waiting.send(b"SET e 1\r\n");
    waiting.set_reply_timeout(std::time::Duration::from_millis(50));
    assert_eq!(waiting.try_next(), None);
    let disks = Value::Array(vec![Value::Integer(0), Value::Integer(0)]);
    assert_eq!(client.ask("WAITAOF 1 0 50"), disks);
    // Without the log there is nothing to wait for.
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    assert_eq!(writer.reply(), ok());
    waiting.set_reply_timeout(std::time::Duration::from_secs(20));
    assert_eq!(waiting.reply(), ok());
    std::fs::remove_file(&fault).expect("it was there");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    eventually("the logs begin", || {
        let text = server.client().ask("INFO persistence").text();
        text.contains("aof_fsync_core_0:") && text.contains("aof_fsync_core_1:")
    });
    writer.send(b"MSET a 3 b 3 c 3 d 3\r\n");
    assert_eq!(writer.reply(), ok());
    server.signal("KILL");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    let threes = Value::Array(["3"; 4].map(bulk).to_vec());
    assert_eq!(server.client().ask("MGET a b c d"), threes);
}

/// What is written after CONFIG SET's reply is in the logs, whenever the power goes; a log that cannot begin is refused.
#[test]
fn logs_are_on_when_their_client_is_told_so() {
    let options: &[&str] = &["--appendfsync", "always", "--enable-debug-command", "local"];
    for round in 0..6 {
        let threads = 1 + round % 3;
        let mut server = Server::start(threads, options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 20000 key 100");
        assert_eq!(client.ask("SET before 1"), ok());
        if round % 2 == 1 {
            // Turned on while something else is under way, by two at once.
            let port = server.port;
            client.send(b"BGSAVE\r\nCONFIG SET appendonly yes\r\n");
            assert_eq!(Client::connect(port).ask("CONFIG SET appendonly yes"), ok());
            client.reply();
            assert_eq!(client.reply(), ok());
        } else {
            assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        }
        assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
        server.signal("KILL");
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let all = Value::Array(["1", "1", "2", "3"].map(bulk).to_vec());
        assert_eq!(server.client().ask("MGET before a b c"), all, "{round}");
    }
}

/// As in Redis: who turns logs on while a snapshot is made does not wait for it, they do. Nothing says of them meanwhile that they
/// count, and who asks for `always` waits.
#[test]
fn logs_behind_a_snapshot_keep_nobody_waiting() {
    let options: &[&str] = &["--save", "", "--rdb-key-save-delay", "10000000"];
    for threads in [1, 2, 7] {
        let mut server = Server::start(threads, options);
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7"), ok());
        assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
        // Its delay is that of its beginning: the base has none.
        assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), ok());
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        let text = client.ask("INFO persistence").text();
        for line in [
            "rdb_bgsave_in_progress:1\r",
            "aof_enabled:1\r",
            "aof_rewrite_in_progress:0\r",
            "aof_rewrite_scheduled:1\r",
            "aof_pending_rewrite:1\r",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        client.send(b"MULTI\r\nSET h 8\r\nCONFIG SET appendonly yes\r\nEXEC\r\n");
        assert_eq!(client.replies(4)[3], Value::Array(vec![ok(), ok()]));
        let counts = |local| Value::Array(vec![Value::Integer(local), Value::Integer(0)]);
        assert_eq!(client.ask("WAITAOF 1 0 50"), counts(0));
        let mut waiting = server.client();
        waiting.send(b"CONFIG SET appendfsync always\r\n");
        waiting.set_reply_timeout(Duration::from_millis(50));
        assert_eq!(waiting.try_next(), None);
        let cancelled = client.ask("BGSAVE CANCEL").text();
        assert_eq!(cancelled, "Background saving cancelled");
        waiting.set_reply_timeout(Duration::from_secs(20));
        assert_eq!(waiting.reply(), ok());
        assert_eq!(client.ask("SET i 9"), ok());
        assert_eq!(client.ask("WAITAOF 1 0 0"), counts(1));
        server.signal("KILL");
        assert!(server.restart(2, ALWAYS), "{}", server.log());
        let all = Value::Array(["1", "7", "8", "9"].map(bulk).to_vec());
        assert_eq!(server.client().ask("MGET a g h i"), all);
    }
}

/// A base that was begun where there were no logs counts for none that begin before it is in force: what they have written is
/// safe with their own.
#[test]
fn logs_do_not_take_a_base_for_theirs() {
    let options: &[&str] = &["--enable-debug-command", "local"];
    let mut server = Server::start(2, options);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 1000 key 10");
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 300"), ok());
    let started = Value::Simple("Background append only file rewriting started".into());
    assert_eq!(client.ask("BGREWRITEAOF"), started);
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    let disks = Value::Array(vec![Value::Integer(1), Value::Integer(0)]);
    assert_eq!(client.ask("WAITAOF 1 0 0"), disks);
    server.signal("KILL");
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    let all = Value::Array(["1", "2", "3"].map(bulk).to_vec());
    assert_eq!(server.client().ask("MGET a b c"), all);
}

/// Whatever becomes of a rewriting that logs end beside, and whoever removes its files: others can begin at once, and start again.
#[test]
fn logs_end_and_begin_beside_a_rewriting() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 300 key 10");
    for round in 0..12 {
        let lines = "BGREWRITEAOF\r\nCONFIG SET appendonly no\r\nCONFIG SET appendonly yes\r\n";
        client.send(format!("{lines}MSET a {round} b {round} c {round}\r\n").as_bytes());
        client.reply();
        assert_eq!(client.replies(3), vec![ok(); 3], "{}", server.log());
        if round % 4 == 3 {
            server.signal("KILL");
            assert!(server.restart(2, ALWAYS), "{}", server.log());
            client = server.client();
            let all = Value::Array(vec![bulk(round.to_string()); 3]);
            assert_eq!(client.ask("MGET a b c"), all);
        }
    }
}

/// As in Redis, which kills its child then: INFO shows what became of the one before, and new logs have their base at once.
#[test]
fn a_rewriting_given_up_for_the_logs_is_no_failure() {
    let on = "CONFIG SET appendonly yes";
    let off = "CONFIG SET appendonly no";
    for threads in [1, 2] {
        let server = Server::start(threads, &["--enable-debug-command", "local"]);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 300 key 10");
        let figures = || {
            eventually("the rewriting ends", || {
                server.info("persistence", "aof_rewrite_in_progress") == "0"
            });
            [
                "aof_last_bgrewrite_status",
                "aof_rewrites_consecutive_failures",
                "aof_last_rewrite_time_sec",
            ]
            .map(|field| server.info("persistence", field))
        };
        // For three seconds and more, unless it is given up.
        assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 10000"), ok());
        let none = ["ok", "0", "-1"];
        // Cores may be asked about it already, or not; then its file is under way; then its logs begin anew.
        for lines in [
            vec!["BGREWRITEAOF", on],
            vec![off],
            vec![on, off],
            vec![on, "SET a 1", "SET b 1", off],
        ] {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            client.send(text.as_bytes());
            client.replies(lines.len());
            if lines != ["BGREWRITEAOF", on] {
                // To clients it is over when they are told that the logs are off.
                let text = client.ask("INFO persistence").text();
                for line in ["aof_enabled:0\r", "aof_rewrite_in_progress:0\r"] {
                    assert!(text.contains(line), "{line} in {text}");
                }
                assert_eq!(figures(), none, "{threads} threads, {lines:?}");
            }
        }
        assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), ok());
        assert_eq!(client.ask(on), ok());
        let base = Value::Array(vec![Value::Integer(1), Value::Integer(0)]);
        assert_eq!(client.ask("WAITAOF 1 0 0"), base);
        rewrite(&server, &mut client);
        assert!(!server.log().contains("terminated with error"));
    }
}

/// That is what INFO says of the last one, as in Redis, and it counts for none.
#[test]
fn a_rewriting_that_cannot_begin_has_failed() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let expect_failed = |is_so: bool| {
        let status = server.info("persistence", "aof_last_bgrewrite_status");
        assert_eq!(status, if is_so { "err" } else { "ok" });
    };
    let in_the_way = server.dir.join("appendonlydir");
    for line in ["BGREWRITEAOF", "CONFIG SET appendonly yes"] {
        expect_failed(false);
        std::fs::write(&in_the_way, "").expect("a file");
        let reply = client.ask(line);
        assert!(matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        expect_failed(true);
        std::fs::remove_file(&in_the_way).expect("a file");
        let before = server.rewrites_ended();
        rewrite(&server, &mut client);
        assert_eq!(server.rewrites_ended(), before + 1, "{line}");
        let _ = std::fs::remove_dir_all(&in_the_way);
    }
}

#[test]
fn logs_that_cannot_begin_are_refused() {
    let server = Server::start(2, &["--appendfsync", "always"]);
    let faults = server.dir.join("faults");
    std::fs::create_dir(&faults).expect("a new folder");
    let fault = faults.join("segment");
    std::fs::write(&fault, "").expect("a file in its folder");
    let mut client = server.client();
    let refused = "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.";
    for _ in 0..2 {
        assert_eq!(
            client.ask("CONFIG SET appendonly yes"),
            Value::Error(refused.into())
        );
        let off = Value::Array(["appendonly", "no"].map(bulk).to_vec());
        assert_eq!(client.ask("CONFIG GET appendonly"), off);
    }
    assert_eq!(client.ask("SET k 1"), ok());
    // The same in a block, in that command's place.
    client.send(b"MULTI\r\nSET l 1\r\nGET l\r\nCONFIG SET appendonly yes\r\nMGET k l\r\nEXEC\r\n");
    let both = Value::Array(vec![bulk("1"), bulk("1")]);
    assert_eq!(
        client.replies(6)[5],
        Value::Array(vec![ok(), bulk("1"), Value::Error(refused.into()), both])
    );
    let off = Value::Array(["appendonly", "no"].map(bulk).to_vec());
    assert_eq!(client.ask("CONFIG GET appendonly"), off);
    std::fs::remove_file(&fault).expect("it was there");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.ask("SET m 1"), ok());
    assert_eq!(server.info("persistence", "aof_enabled"), "1");
}

/// A block's locks are in the way of the cut that logs begin with, so EXEC's reply comes after it: what is written then is in
/// the logs.
#[test]
fn logs_are_on_when_a_block_is_told_so() {
    let options: &[&str] = &["--appendfsync", "always", "--enable-debug-command", "local"];
    for round in 0..6 {
        let threads = 1 + round % 3;
        let mut server = Server::start(threads, options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 20000 key 100");
        if round % 2 == 1 {
            // Something else is under way.
            client.ask("BGSAVE");
        }
        client
            .send(b"MULTI\r\nSET l 1\r\nCONFIG SET appendonly yes\r\nEXEC\r\nMSET a 1 b 2 c 3\r\n");
        let replies = client.replies(5);
        assert_eq!(replies[3..], [Value::Array(vec![ok(), ok()]), ok()]);
        server.signal("KILL");
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let all = Value::Array(["1", "1", "2", "3"].map(bulk).to_vec());
        assert_eq!(server.client().ask("MGET l a b c"), all, "{round}");
    }
}

/// As an automatic one may be when a server is told to stop.
#[test]
fn a_rewriting_that_the_end_of_the_process_cuts_short_loses_nothing() {
    // More than may be on its way to a file that takes its time.
    let slow = ["--rdbcompression", "no", "--rdb-key-save-delay", "10"];
    let options = [ALWAYS, &["--save", ""], &slow].concat();
    let mut server = Server::start(2, &options);
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG POPULATE 100000 key 200"), ok());
    // In no log, but in the base.
    rewrite(&server, &mut client);
    assert_eq!(client.ask("SET one 1"), ok());
    assert_eq!(
        client.ask("BGREWRITEAOF").text(),
        "Background append only file rewriting started"
    );
    eventually("keys are on their way", || {
        server.info("persistence", "current_save_keys_processed") != "0"
    });
    assert_eq!(server.terminate().code(), Some(0));
    assert!(server.restart(2, &options), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("DBSIZE"), Value::Integer(100_001));
    assert_eq!(client.ask("GET one").text(), "1");
}

/// What is in the logs counts as long as it is needed, and growth is measured from the base, over starts as well.
#[test]
fn a_log_is_as_large_as_what_a_start_would_read() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    let value = "x".repeat(10_000);
    for index in 0..100 {
        assert_eq!(client.ask(&format!("SET key{index} {value}")), ok());
    }
    let faults = server.dir.join("faults");
    std::fs::create_dir(&faults).expect("a new folder");
    std::fs::write(faults.join("base"), "").expect("a file in its folder");
    client.ask("BGREWRITEAOF");
    eventually("the rewriting fails", || {
        server.info("persistence", "aof_rewrite_in_progress") == "0"
    });
    assert_eq!(
        server.info("persistence", "aof_last_bgrewrite_status"),
        "err"
    );
    let current = |server: &Server| server.info_number("persistence", "aof_current_size");
    assert!(current(&server) >= 1_000_000, "{}", current(&server));
    std::fs::remove_file(faults.join("base")).expect("it was there");
    rewrite(&server, &mut client);
    let base = |server: &Server| server.info_number("persistence", "aof_base_size");
    let base_bytes = base(&server);
    assert_eq!(current(&server), base_bytes);
    for index in 0..100 {
        assert_eq!(client.ask(&format!("SET other{index} {value}")), ok());
    }
    for threads in [2, 3] {
        server.signal("KILL");
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        assert_eq!(base(&server), base_bytes);
        assert!(current(&server) >= 1_000_000 + base_bytes);
    }
}

/// Logs that never came to a base, and their segments, are nothing to the logs of the next start.
#[test]
fn logs_without_a_base_leave_nothing_to_the_next_ones() {
    let server = Server::start(1, &[]);
    let faults = server.dir.join("faults");
    std::fs::create_dir(&faults).expect("a new folder");
    std::fs::write(faults.join("base"), "").expect("a file in its folder");
    let mut server = server;
    let mut client = server.client();
    assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
    let value = "x".repeat(100_000);
    // More than a segment.
    for index in 0..400 {
        assert_eq!(client.ask(&format!("SET stale{index} {value}")), ok());
    }
    eventually("it is in files", || files(&server.dir, ".log").len() > 1);
    std::fs::remove_file(faults.join("base")).expect("it was there");
    server.signal("KILL");
    for round in 0..3 {
        assert!(server.restart(1, ALWAYS), "{}", server.log());
        let mut client = server.client();
        // Where its base came to be in force after all, all of that is there.
        let stale = client.ask("EXISTS stale0").integer() * 400;
        assert_eq!(client.ask("DBSIZE"), Value::Integer(stale + round));
        assert_eq!(client.ask(&format!("SET new{round} 1")), ok());
        server.signal("KILL");
    }
}

/// What a process that was killed had not finished goes; and where only the manifest is gone, that is said.
#[test]
fn what_was_not_finished_goes_at_the_next_start() {
    let mut server = Server::start(2, ALWAYS);
    assert_eq!(server.client().ask("MSET a 1 b 2 c 3"), ok());
    server.signal("KILL");
    server.wait_for_the_end();
    let dir = server.dir.join("appendonlydir");
    let left = ["temp-77.rdb", "core-00/0001-00000009.log.new"];
    for name in left {
        std::fs::write(dir.join(name), "half").expect("a file in its folder");
    }
    assert!(server.restart(2, ALWAYS), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(3));
    for name in left {
        eventually(name, || !dir.join(name).exists());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    std::fs::remove_file(dir.join("manifest")).expect("it was there");
    std::fs::remove_dir_all(dir.join("core-00")).expect("it was there");
    assert!(!server.restart(2, ALWAYS), "{}", server.log());
    assert!(
        server
            .log()
            .contains("is missing, and there are logs beside it")
    );
}

/// A base alone, asked for where there are no logs, is in nobody's way when logs begin meanwhile: a start finds what the manifest names.
#[test]
fn logs_that_begin_beside_a_base_alone_are_found() {
    let mut server = Server::start(2, &["--appendonly", "no", "--save", ""]);
    let mut client = server.client();
    let mut random = rondo::base::rng::Rng::with_seed(7);
    for round in 0..40 {
        client.ask(&format!("SET key {round}"));
        client.ask("BGREWRITEAOF");
        std::thread::sleep(Duration::from_micros(random.below(4_000)));
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        if round % 4 == 0 {
            let both = Value::Array(vec![Value::Integer(1), Value::Integer(0)]);
            assert_eq!(client.ask("WAITAOF 1 0 0"), both);
        }
        if round % 10 == 9 {
            server.signal("KILL");
            assert!(
                server.restart(2, &["--appendonly", "no"]),
                "{}",
                server.log()
            );
            server.signal("KILL");
            assert!(server.restart(2, ALWAYS), "{}", server.log());
            client = server.client();
        }
        assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    }
}

/// The segment that a rewriting has made beforehand is needed at once: another one is made.
#[test]
fn a_rewriting_right_after_the_first_base_ends() {
    for threads in [1, 2] {
        let server = Server::start(threads, &["--appendfsync", "always"]);
        let mut client = server.client();
        let is_idle = || server.info("persistence", "aof_rewrite_in_progress") == "0";
        for round in 0..10 {
            assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
            assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
            eventually("the first base is there", is_idle);
            client.ask("BGREWRITEAOF");
            for key in 0..4 * threads {
                std::thread::sleep(Duration::from_millis(5));
                assert_eq!(client.ask(&format!("SET k{key} {round}")), ok());
            }
            eventually("the second is", is_idle);
        }
        assert_eq!(client.ask("SAVE"), ok());
    }
}

/// A core hears late that a rewriting begins, and that there are no logs any more: what its log has stays as it is.
#[test]
fn logs_that_end_beside_a_rewriting_keep_what_they_have() {
    let mut server = Server::start(2, ALWAYS);
    let mut client = server.client();
    for key in 0..50 {
        assert_eq!(client.ask(&format!("SET k{key} v")), ok());
    }
    let script =
        "redis.call('set', KEYS[1], 1) local x = 0 for i = 1, 20000000 do x = x + i end return 1";
    for key in ["a", "b", "c", "d"] {
        let mut busy = server.client();
        let words: [&[u8]; 4] = [b"EVAL", script.as_bytes(), b"1", key.as_bytes()];
        busy.send(&super::client::request(&words));
        std::thread::sleep(Duration::from_millis(20));
        // One of them is on a core that is free.
        let mut others: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for other in &mut others {
            other.send(b"BGREWRITEAOF\r\nCONFIG SET appendonly no\r\n");
        }
        for other in &mut others {
            other.replies(2);
        }
        assert_eq!(busy.reply(), Value::Integer(1));
        server.signal("KILL");
        server.wait_for_the_end();
        assert!(server.restart(2, ALWAYS), "{}", server.log());
        let mut client = server.client();
        for key in 0..50 {
            assert_eq!(client.ask(&format!("GET k{key}")), bulk("v"), "k{key}");
        }
        assert_eq!(client.ask(&format!("GET {key}")), bulk("1"));
    }
}

/// A core that sleeps while the base is written has told before what its log has beyond that.
#[test]
fn what_is_in_the_base_is_not_of_the_log() {
    for threads in [1, 2] {
        let options = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
        let server = Server::start(threads, &options);
        let mut client = server.client();
        let value = [b'x'; 500];
        for number in 0..400 {
            let key = format!("key{}", number % 10);
            assert_eq!(client.run(&[b"SET", key.as_bytes(), &value]), ok());
        }
        let started = "Background append only file rewriting started";
        assert_eq!(client.ask("BGREWRITEAOF").text(), started);
        // Nobody asks meanwhile.
        let ended = "Background AOF rewrite finished successfully";
        eventually("it ends", || server.log().contains(ended));
        let bytes = server.info_number("persistence", "aof_base_size");
        assert!(bytes < 20_000, "{threads} threads: {bytes}");
    }
}
