//! The process is told to stop, by SHUTDOWN or a signal, while something is under way.

use super::client::{Client, Value, bulk, ok, request};
use super::harness::{Server, eventually};

const LOGS: &[&str] = &["--appendonly", "yes"];
/// A base takes its time.
const SLOW: &[&str] = &["--rdb-key-save-delay", "100"];
const DEBUG: &[&str] = &["--enable-debug-command", "local"];

fn refused() -> Value {
    Value::Error("ERR Errors trying to SHUTDOWN. Check logs.".into())
}

/// As in Redis, the end waits for no snapshot but its own.
#[test]
fn an_end_that_saves_gives_up_a_snapshot_under_way() {
    for threads in [1, 2] {
        let slow = ["--save", "3600 1000000", "--rdb-key-save-delay", "10000000"];
        let mut server = Server::start(threads, &slow);
        let mut client = server.client();
        for number in 0..100 {
            assert_eq!(client.ask(&format!("SET key:{number} v")), ok());
        }
        assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
        client.configure("rdb-key-save-delay", "0");
        server.client().send(b"SHUTDOWN\r\n");
        assert!(server.wait_for_the_end().success(), "{}", server.log());
        let given_up = "There is a child saving an .rdb. Killing it!";
        assert!(server.log().contains(given_up), "{}", server.log());
        assert!(server.restart(threads, &[]), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE"), Value::Integer(100));
    }
}

/// Logs that were turned on count for nothing before their base does: a start would find none of the keys, whatever was said of
/// them. So nobody ends the process then, unless by force.
#[test]
fn nothing_ends_a_process_whose_logs_have_no_base() {
    for (round, save) in ["", "3600 100"].into_iter().enumerate() {
        let options = [&["--save", save], SLOW, DEBUG].concat();
        let mut server = Server::start(1 + round, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 20000 key 100");
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        assert_eq!(client.ask("SET after 1"), ok());
        for words in ["", "NOSAVE", "SAVE", "NOW", "NOSAVE NOW"] {
            assert_eq!(client.ask(&format!("SHUTDOWN {words}")), refused());
        }
        for name in ["TERM", "TERM", "INT", "INT"] {
            let line = format!("Received SIG{name} scheduling shutdown...");
            let count = server.log().matches(&line).count();
            server.signal(name);
            eventually("a signal was seen", || {
                server.log().matches(&line).count() > count
            });
        }
        assert_eq!(client.ask("SET later 2"), ok());
        let unwritten = server.rewrites_ended() == 0;
        assert!(unwritten, "the base was in force too soon for this test");
        eventually("the base is in force", || server.rewrites_ended() == 1);
        assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
        assert!(server.restart(2, LOGS), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("DBSIZE"), Value::Integer(20_002));
        let both = Value::Array(["1", "2"].map(bulk).to_vec());
        assert_eq!(client.ask("MGET after later"), both);
    }
}

/// The same while they wait for a snapshot that is being made, and where a base cannot be had.
#[test]
fn nothing_ends_a_process_whose_logs_wait_for_a_base() {
    let options = [&["--save", ""], SLOW, DEBUG].concat();
    let mut server = Server::start(2, &options);
    let faults = server.dir.join("faults");
    std::fs::create_dir(&faults).expect("a new folder");
    let fault = faults.join("base");
    std::fs::write(&fault, "").expect("a file in its folder");
    let mut client = server.client();
    client.ask("DEBUG POPULATE 2000 key 100");
    client.send(b"BGSAVE\r\nCONFIG SET appendonly yes\r\n");
    client.reply();
    let mut other = server.client();
    assert_eq!(other.ask("SHUTDOWN"), refused());
    assert_eq!(client.reply(), ok());
    assert_eq!(client.ask("SET after 1"), ok());
    eventually("a base has failed", || {
        server.info("persistence", "aof_last_bgrewrite_status") == "err"
    });
    assert_eq!(other.ask("SHUTDOWN NOSAVE"), refused());
    // Without logs nothing is promised.
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    assert_eq!(server.terminate().code(), Some(0));
}

/// Where it saves on its way there is nothing to lose: the first base has not begun while a snapshot is being made.
#[test]
fn a_process_whose_logs_wait_for_a_snapshot_ends_when_it_saves() {
    for by_signal in [false, true] {
        let save = if by_signal { "3600 1000000" } else { "" };
        let options = [&["--save", save], SLOW, DEBUG].concat();
        let mut server = Server::start(2, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 20000 key 100");
        client.send(b"BGSAVE\r\nCONFIG SET appendonly yes\r\nSET after 1\r\n");
        assert_eq!(client.replies(3)[1..], [ok(), ok()]);
        // The snapshot goes on as it began.
        assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), ok());
        let scheduled = server.info("persistence", "aof_rewrite_scheduled");
        assert_eq!(scheduled, "1", "the snapshot ended too soon for this test");
        match by_signal {
            true => server.signal("TERM"),
            false => client.send(b"SHUTDOWN SAVE\r\n"),
        }
        let end = server.wait_for_the_end();
        assert_eq!(end.code(), Some(0), "{}", server.log());
        for (threads, options) in [(3, &[] as &[&str]), (1, LOGS)] {
            assert!(server.restart(threads, options), "{}", server.log());
            assert_eq!(server.client().ask("DBSIZE"), Value::Integer(20_001));
            server.signal("KILL");
        }
    }
}

/// Where there are older logs a start would take those for all there is.
#[test]
fn no_file_takes_the_place_of_a_base_where_there_are_older_logs() {
    let options = [LOGS, &["--save", "3600 1000000"], SLOW, DEBUG].concat();
    let mut server = Server::start(2, &options);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 20000 key 100");
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    client.send(b"BGSAVE\r\nCONFIG SET appendonly yes\r\nSHUTDOWN\r\n");
    assert_eq!(client.replies(3)[1..], [ok(), refused()]);
    assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn force_ends_a_process_whose_logs_have_no_base() {
    let options = [&["--save", ""], SLOW, DEBUG].concat();
    for by_signal in [false, true] {
        let mut server = Server::start(2, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 20000 key 100");
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        if by_signal {
            let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"shutdown-on-sigterm", b"now force"];
            assert_eq!(client.run(&words), ok());
            server.signal("TERM");
        } else {
            client.send(b"SHUTDOWN NOW FORCE\r\n");
        }
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        let log = server.log();
        assert!(log.contains("Writing initial AOF. Exit anyway."), "{log}");
    }
}

/// `shutdown-on-sigterm` and `shutdown-on-sigint`: each signal has its own.
#[test]
fn signals_save_as_their_options_say() {
    for (save, option, words, signal, is_saved) in [
        ("", "sigterm", "default", "TERM", false),
        ("", "sigterm", "save", "TERM", true),
        ("", "sigterm", "save", "INT", false),
        ("3600 100", "sigint", "nosave", "INT", false),
        ("3600 100", "sigint", "nosave", "TERM", true),
    ] {
        let mut server = Server::start(2, &["--save", save]);
        let mut client = server.client();
        assert_eq!(client.ask("SET a 1"), ok());
        let line = format!("CONFIG SET shutdown-on-{option} {words}");
        assert_eq!(client.ask(&line), ok());
        server.signal(signal);
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        let file = server.dir.join("dump.rdb");
        assert_eq!(file.exists(), is_saved, "{save} {option} {words} {signal}");
    }
}

/// Ctrl-C twice: whoever insists does not wait for a snapshot. What was acknowledged is in the logs all the same.
#[test]
fn a_second_sigint_does_not_wait_for_the_snapshot() {
    let slow = ["--rdb-key-save-delay", "10000000"];
    let options = [LOGS, &["--save", "3600 100"], &slow].concat();
    let mut server = Server::start(2, &options);
    let mut client = server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    server.signal("TERM");
    eventually("the shutdown saves", || {
        server.info("persistence", "rdb_bgsave_in_progress") == "1"
    });
    // As often as one likes.
    server.signal("TERM");
    server.signal("INT");
    assert_eq!(server.wait_for_the_end().code(), Some(1));
    assert!(server.log().contains("You insist..."), "{}", server.log());
    assert!(!server.dir.join("dump.rdb").exists());
    assert!(server.restart(1, LOGS), "{}", server.log());
    let all = Value::Array(["1", "2", "3"].map(bulk).to_vec());
    assert_eq!(server.client().ask("MGET a b c"), all);
}

/// A script that never ends keeps its core from signals where `busy-reply-threshold` is 0; whoever insists is heard all the same, and no
/// signal is lost among others.
#[test]
fn a_second_sigint_ends_a_script_that_counts_as_busy_never() {
    for (threads, save, first) in [
        (1, "3600 100", "TERM"),
        (1, "3600 100", "INT"),
        (1, "", "TERM"),
        (2, "3600 100", "INT"),
    ] {
        let options = [LOGS, &["--save", save, "--busy-reply-threshold", "0"]].concat();
        let mut server = Server::start(threads, &options);
        assert_eq!(server.client().ask("SET before 1"), ok());
        let mut looping = server.client();
        let body = b"redis.call('set', KEYS[1], 1) redis.log(redis.LOG_WARNING, 'it has begun') while true do end";
        looping.send(&request(&[b"EVAL", body, b"1", b"k"]));
        eventually("the script runs", || server.log().contains("it has begun"));
        server.signal(first);
        eventually("the first is heard of", || server.has_taken_signals());
        server.signal("INT");
        let case = format!("{threads} threads, save {save:?}, {first}");
        assert_eq!(server.wait_for_the_end().code(), Some(1), "{case}");
        let log = server.log();
        assert!(log.contains("You insist..."), "{case}: {log}");
        assert!(!server.dir.join("dump.rdb").exists(), "{case}");
        assert!(server.restart(1, LOGS), "{}", server.log());
        // Half of a script is nothing.
        let found = server.client().ask("MGET before k");
        assert_eq!(found, Value::Array(vec![bulk("1"), Value::Null]), "{case}");
    }
}

/// With `everysec` a write is answered before it is on disk: while the disk takes none, the end of the process would lose it.
#[test]
fn nothing_ends_a_process_whose_answers_are_ahead_of_its_log() {
    for (policy, then, is_ahead) in [
        ("everysec", "everysec", true),
        ("no", "no", true),
        ("everysec", "always", true),
        ("always", "always", false),
    ] {
        let mut server = Server::start(2, &[LOGS, &["--save", ""]].concat());
        let faults = server.dir.join("faults");
        std::fs::create_dir(&faults).expect("a new folder");
        let fault = faults.join("write");
        let mut client = server.client();
        let mut writer = server.client();
        assert_eq!(client.ask("SET before 1"), ok());
        // A write still under way when the fault comes would fail before there is anything to refuse.
        assert_eq!(client.ask("WAITAOF 1 0 0").items()[0], Value::Integer(1));
        let set_policy = format!("CONFIG SET appendfsync {policy}");
        assert_eq!(client.ask(&set_policy), ok());
        std::fs::write(&fault, "").expect("a file in its folder");
        writer.send(b"MSET a 1 b 1 c 1 d 1\r\n");
        if is_ahead {
            assert_eq!(writer.reply(), ok());
        }
        eventually("writes are refused", || {
            server.info("persistence", "aof_last_write_status") == "err"
        });
        if !is_ahead {
            // Whoever wrote has no answer: there is nothing to lose.
            assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
            continue;
        }
        // What was answered before a stricter policy was answered all the same.
        let set_policy = format!("CONFIG SET appendfsync {then}");
        assert_eq!(client.ask(&set_policy), ok());
        assert_eq!(client.ask("SHUTDOWN NOSAVE"), refused());
        server.signal("TERM");
        eventually("the signal was seen", || {
            server.log().matches("can't exit").count() == 2
        });
        std::fs::remove_file(&fault).expect("it was there");
        eventually("the log can be written", || {
            server.info("persistence", "aof_last_write_status") == "ok"
        });
        // The fault may have met another core's log only just now.
        assert_eq!(client.ask("CONFIG SET appendfsync everysec"), ok());
        assert_eq!(writer.ask("WAITAOF 1 0 0").items()[0], Value::Integer(1));
        assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
        assert!(server.restart(1, LOGS), "{}", server.log());
        let all = Value::Array(["1"; 5].map(bulk).to_vec());
        assert_eq!(server.client().ask("MGET before a b c d"), all, "{policy}");
    }
}

/// Valkey's SAFE asks for nothing that a server without a cluster would have to look at.
#[test]
fn it_is_safe_to_end_a_server_of_no_cluster() {
    let mut server = Server::start(2, &[]);
    server
        .client()
        .send(&request(&[b"SHUTDOWN", b"SAFE", b"NOSAVE"]));
    assert_eq!(server.wait_for_the_end().code(), Some(0));
}

/// DEBUG LOADAOF waits for a write under way, and so does the shutdown that comes then: neither takes the other's end for its own.
#[test]
fn a_shutdown_that_saves_ends_beside_a_reload_of_the_log() {
    let options = [
        "--appendonly",
        "yes",
        "--save",
        "3600 1000",
        "--enable-debug-command",
        "yes",
    ];
    for threads in [1, 2] {
        let mut server = Server::start(threads, &options);
        let mut client = server.client();
        assert_eq!(client.ask("SET other 1"), ok());
        let script = "redis.call('set', KEYS[1], 1) local x = 0 for i = 1, 30000000 do x = x + i end return 1";
        client.send(&request(&[b"EVAL", script.as_bytes(), b"1", b"k"]));
        let mut reloading = server.client();
        reloading.send(b"DEBUG LOADAOF\r\n");
        let mut stopping = server.client();
        stopping.send(b"SHUTDOWN SAVE\r\n");
        assert!(server.wait_for_the_end().success(), "{}", server.log());
        // The end may have come before the script was read.
        let has_run = client.rest() == b":1\r\n";
        assert!(server.restart(threads, &options), "{}", server.log());
        let mut client = server.client();
        let written = if has_run { bulk("1") } else { Value::Null };
        assert_eq!(client.ask("MGET other k").items(), [bulk("1"), written]);
    }
}

/// What waits behind a DEBUG LOADAOF that cannot begin goes on.
#[test]
fn a_reload_without_logs_keeps_nothing_waiting() {
    let server = Server::start(1, &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let script =
        "redis.call('set', KEYS[1], 1) local x = 0 for i = 1, 10000000 do x = x + i end return 1";
    client.send(&request(&[b"EVAL", script.as_bytes(), b"1", b"k"]));
    let mut others: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for (index, other) in others.iter_mut().enumerate() {
        other.send(
            [
                &b"DEBUG LOADAOF\r\n"[..],
                b"DEBUG RELOAD\r\n",
                b"DEBUG LOADAOF\r\n",
            ][index],
        );
    }
    for other in &mut others {
        other.reply();
    }
    assert_eq!(client.reply(), Value::Integer(1));
    assert_eq!(client.ask("SET k 2"), ok());
}

/// What waits to be saved when the process ends is answered, and keeps nobody waiting.
#[test]
fn what_waits_to_be_saved_is_given_up_at_the_end() {
    for line in ["SAVE", "FLUSHALL", "DEBUG RELOAD"] {
        let mut options = vec!["--save", "3600 1000", "--enable-debug-command", "yes"];
        options.extend(["--shutdown-timeout", "1000"]);
        let mut server = Server::start(2, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 300");
        client.ask("CONFIG SET rdb-key-save-delay 100000");
        assert!(matches!(client.ask("BGREWRITEAOF"), Value::Simple(_)));
        let mut waiting = server.client();
        waiting.send(format!("{line}\r\n").as_bytes());
        let command = line.split(' ').next().expect("a word").to_lowercase();
        eventually("it waits", || {
            let rows = client.ask("CLIENT LIST").text();
            rows.contains(&format!("cmd={command}")) || rows.lines().count() == 1
        });
        client.send(b"SHUTDOWN NOSAVE\r\n");
        assert!(server.wait_for_the_end().success(), "{line}");
    }
}

/// A client that does not read its replies, nor the messages it has subscribed to, is waited for no longer than it takes to see that.
#[test]
fn the_end_does_not_wait_for_who_does_not_read() {
    let mut server = Server::start(2, &["--shutdown-timeout", "1000", "--save", ""]);
    let mut client = server.client();
    let value = vec![b'x'; 1 << 20];
    assert_eq!(client.run(&[b"SET", b"large", &value]), ok());
    let mut silent = server.client();
    silent.send(&b"GET large\r\n".repeat(60));
    let mut subscriber = server.client();
    subscriber.ask("SUBSCRIBE channel");
    for _ in 0..20 {
        client.run(&[b"PUBLISH", b"channel", &value]);
    }
    server.signal("TERM");
    assert!(server.wait_for_the_end().success(), "{}", server.log());
    drop((silent, subscriber));
}

/// An end that comes while a rewriting gets ready: the cut, for which other cores would be needed that have left, is not begun.
#[test]
fn a_rewriting_that_gets_ready_does_not_keep_the_end_waiting() {
    for _ in 0..12 {
        let options = [LOGS, DEBUG, &["--shutdown-timeout", "60"]].concat();
        let mut server = Server::start(3, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 900 key 10000");
        client.send(b"BGREWRITEAOF\r\nSHUTDOWN NOSAVE\r\n");
        assert!(server.wait_for_the_end().success());
    }
}

/// The mark behind what was written last is nothing that anybody was promised: a disk that does not answer does not keep the end waiting
/// for it, and nothing is called lost.
#[test]
fn an_end_waits_for_no_mark_where_all_is_durable() {
    for policy in ["everysec", "always"] {
        let options = [LOGS, &["--save", "", "--appendfsync", policy]].concat();
        let mut server = Server::start(2, &options);
        let mut client = server.client();
        for key in ["a", "b", "c", "d"] {
            assert_eq!(client.ask(&format!("SET {key} 1")), ok());
        }
        assert_eq!(client.ask("WAITAOF 1 0 0").items()[0], Value::Integer(1));
        let faults = server.dir.join("faults");
        std::fs::create_dir(&faults).expect("a new folder");
        std::fs::write(faults.join("stall"), "").expect("a file in it");
        assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
        assert!(!server.log().contains("lost"), "{}", server.log());
    }
}
