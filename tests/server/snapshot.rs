//! Snapshots of the built binary: what is saved is there after a restart, one moment of all cores, whatever goes wrong.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{Client, Next, Value, bulk, error, ok, request};
use super::harness::Server;

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_save(server: &Server) {
    wait_for("the snapshot ends", || {
        server.info("persistence", "rdb_bgsave_in_progress") == "0"
    });
}

fn wait_for_load(server: &Server) {
    wait_for("the load ends", || {
        server.info("persistence", "loading") == "0"
    });
}

fn fill(client: &mut Client) {
    for command in [
        "DEBUG POPULATE 3000",
        "SET s text",
        "SET dated v PXAT 33000000000000",
        "HSET h f v g 1",
        "RPUSH l a b 3",
        "SADD set a b",
        "SADD ints 1 2 3",
        "ZADD z 1 a 2.5 b",
        "XADD stream 5-1 f v",
        "XGROUP CREATE stream group 0",
        "ARSET array 7 x",
    ] {
        let reply = client.ask(command);
        assert!(
            !format!("{reply:?}").contains("Error"),
            "{command}: {reply:?}"
        );
    }
}

/// Ends a server without a snapshot.
fn stop(server: &mut Server) {
    server.client().send(b"SHUTDOWN NOSAVE\r\n");
    assert_eq!(server.wait_for_the_end().code(), Some(0));
}

fn digest(client: &mut Client) -> String {
    client.ask("DEBUG DIGEST").text()
}

/// A second server in the folder of the first.
fn start_again(folder: &Path, threads: usize) -> Server {
    let name = folder.display().to_string();
    let server = Server::start(threads, &["--dir", &name, DEBUG[0], DEBUG[1]]);
    wait_for_load(&server);
    server
}

#[test]
fn what_a_shutdown_saves_is_there_again_on_any_number_of_cores() {
    let mut server = Server::start(3, &DEBUG);
    let mut client = server.client();
    fill(&mut client);
    client.ask("SELECT 3");
    client.ask("SET elsewhere 1");
    let before = digest(&mut client);
    assert_eq!(server.terminate().code(), Some(0));
    let folder = server.dir.clone();
    for threads in [1, 2] {
        let mut again = start_again(&folder, threads);
        let mut client = again.client();
        assert_eq!(digest(&mut client), before, "{threads} threads");
        assert_eq!(
            again.info("persistence", "rdb_last_load_keys_loaded"),
            "3010"
        );
        assert_eq!(
            again.info("persistence", "rdb_changes_since_last_save"),
            "0"
        );
        stop(&mut again);
    }
}

#[test]
fn reload_saves_and_loads_and_others_find_a_loading_server_at_most() {
    let server = Server::start(2, &DEBUG);
    let mut client = server.client();
    fill(&mut client);
    let before = digest(&mut client);
    assert_eq!(client.ask("DEBUG RELOAD"), ok());
    assert_eq!(digest(&mut client), before);
    client.ask("SET s other");
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE"), ok());
    assert_eq!(digest(&mut client), before);
    // What is there already is a mistake, unless it is to be replaced.
    let refused = error("ERR Error trying to load the RDB dump, check server logs.");
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE NOFLUSH"), refused);
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), ok());
    assert_eq!(digest(&mut client), before);
    assert_eq!(
        client.ask("DEBUG RELOAD SOON"),
        error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    );
}

/// Replies to writes until the server has ended or is asked to stop.
fn write_until(client: &mut Client, mut is_over: impl FnMut() -> bool) -> usize {
    let mut written = 0;
    client.set_reply_timeout(Duration::from_millis(20));
    let mut is_asked = false;
    while !is_over() {
        if !is_asked
            && client
                .try_send(format!("SET own{written} 1\r\n").as_bytes())
                .is_err()
        {
            break;
        }
        is_asked = true;
        match client.try_next() {
            None => continue,
            Some(Next::Closed) => break,
            Some(Next::Reply(reply)) => {
                is_asked = false;
                written += usize::from(reply == ok());
            }
        }
    }
    written
}

fn assert_all_there(client: &mut Client, written: usize, threads: usize) {
    for number in 0..written {
        let key = format!("GET own{number}");
        let value = client.ask(&key);
        assert_eq!(value, bulk("1"), "{key} of {written} at {threads}");
    }
}

/// What is written while a reload saves waits for it: it would be gone with what was there.
#[test]
fn a_reload_without_a_log_loses_no_write() {
    for threads in [1, 3] {
        let server = Server::start(threads, &DEBUG);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 300");
        client.ask("CONFIG SET rdb-key-save-delay 1000");
        client.send(b"DEBUG RELOAD\r\n");
        client.set_reply_timeout(Duration::from_millis(1));
        let mut other = server.client();
        let mut reloaded = None;
        let written = write_until(&mut other, || {
            reloaded = client.try_next();
            reloaded.is_some()
        });
        assert_eq!(reloaded, Some(Next::Reply(ok())));
        client.set_reply_timeout(Duration::from_secs(20));
        assert_all_there(&mut client, written, threads);
    }
}

/// CLIENT UNPAUSE is for CLIENT PAUSE: what a shutdown keeps waiting would not be in its file.
#[test]
fn no_client_lets_writes_begin_while_a_shutdown_saves() {
    for threads in [1, 3] {
        let mut server = Server::start(threads, &DEBUG);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 500");
        client.ask("CONFIG SET rdb-key-save-delay 1000");
        let mut stopping = server.client();
        stopping.send(b"SHUTDOWN SAVE\r\n");
        wait_for("it saves", || {
            let text = client.ask("INFO persistence").text();
            text.contains("rdb_bgsave_in_progress:1")
        });
        assert_eq!(client.ask("CLIENT UNPAUSE"), ok());
        let written = write_until(&mut client, || false);
        assert!(server.wait_for_the_end().success());
        assert!(server.restart(threads, &DEBUG), "{}", server.log());
        assert_all_there(&mut server.client(), written, threads);
    }
}

/// And what clients have paused goes on when the server's own doings are over.
#[test]
fn a_reload_ends_no_pause_of_a_client() {
    for appendonly in ["no", "yes"] {
        let options = [&DEBUG[..], &["--appendonly", appendonly]].concat();
        let server = Server::start(2, &options);
        let mut client = server.client();
        assert_eq!(client.ask("SET a 1"), ok());
        assert_eq!(client.ask("CLIENT PAUSE 100000 WRITE"), ok());
        let mut writing = server.client();
        writing.send(b"SET a 2\r\n");
        assert_eq!(client.ask("DEBUG RELOAD"), ok());
        writing.set_reply_timeout(Duration::from_millis(50));
        assert_eq!(writing.try_next(), None);
        assert_eq!(client.ask("GET a"), bulk("1"));
        assert_eq!(client.ask("CLIENT UNPAUSE"), ok());
        writing.set_reply_timeout(Duration::from_secs(20));
        assert_eq!(writing.reply(), ok());
    }
}

/// Puts a pipe in the place of the dump, whose bytes are returned with it.
fn dump_through_a_pipe(server: &Server) -> (Vec<u8>, std::fs::File) {
    let path = server.dir.join("dump.rdb");
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::remove_file(&path).expect("it was there");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo is there").success());
    // Open both ways, so that neither side waits for the other one.
    let mut both = std::fs::OpenOptions::new();
    let pipe = both.read(true).write(true).open(&path).expect("a pipe");
    (bytes, pipe)
}

/// A file that comes slowly, through a pipe: INFO and the log say how far the load is, others are refused, and with the last byte it
/// ends.
#[test]
fn a_load_says_how_far_it_is() {
    use std::io::Write;
    let server = Server::start(2, &DEBUG);
    let mut client = server.client();
    fill(&mut client);
    let before = digest(&mut client);
    assert_eq!(client.ask("SAVE"), ok());
    let (bytes, mut pipe) = dump_through_a_pipe(&server);
    let half = bytes.len() / 2;
    pipe.write_all(&bytes[..half]).expect("room in a pipe");
    let mut other = server.client();
    client.send(b"DEBUG RELOAD NOSAVE\r\n");
    wait_for("half of it is read", || {
        let text = other.ask("INFO persistence").text();
        text.contains(&format!("loading_loaded_bytes:{half}\r"))
    });
    let text = other.ask("INFO persistence").text();
    assert!(text.contains("\nloading:1\r"), "{text}");
    for field in [
        "start_time",
        "total_bytes",
        "rdb_used_mem",
        "loaded_perc",
        "eta_seconds",
    ] {
        assert!(text.contains(&format!("\nloading_{field}:")), "{field}");
    }
    let refused = error("LOADING Redis is loading the dataset in memory");
    for line in ["GET s", "SET s 1", "PING", "DBSIZE"] {
        assert_eq!(other.ask(line), refused, "{line}");
    }
    // It is told at the first bytes that come a second after it was last.
    let mut rest = bytes[half..].chunks(1);
    wait_for("a line in the log", || {
        pipe.write_all(rest.next().expect("bytes left"))
            .expect("room");
        std::thread::sleep(Duration::from_millis(20));
        server.log().contains("loading the RDB file")
    });
    rest.for_each(|byte| pipe.write_all(byte).expect("room in a pipe"));
    assert_eq!(client.reply(), ok());
    let text = client.ask("INFO persistence").text();
    assert!(text.contains("\nloading:0\r"), "{text}");
    assert!(!text.contains("loading_loaded_bytes"), "{text}");
    assert_eq!(digest(&mut client), before);
    assert_eq!(other.ask("PING"), Value::Simple("PONG".into()));
}

/// Whoever comes while a server loads at start waits for the end of that where it is near, as on Redis, which looks at nobody before
/// it has loaded 2 MB: programs that start a server of their own and call at once are not prepared for another answer.
#[test]
fn nobody_is_told_of_a_load_that_is_soon_over() {
    use std::io::Write;
    let mut server = Server::start(2, &DEBUG);
    let mut client = server.client();
    fill(&mut client);
    let before = digest(&mut client);
    assert_eq!(client.ask("SAVE"), ok());
    stop(&mut server);
    let (bytes, mut pipe) = dump_through_a_pipe(&server);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    pipe.write_all(first).expect("room in a pipe");
    server.begin_again(2, &DEBUG);
    let mut client = None;
    wait_for("it listens", || {
        client = Client::try_connect(server.port).ok();
        client.is_some()
    });
    let mut client = client.expect("a connection");
    client.send(b"PING\r\n");
    std::thread::sleep(Duration::from_millis(20));
    pipe.write_all(rest).expect("room in a pipe");
    assert_eq!(client.reply(), Value::Simple("PONG".into()));
    assert_eq!(digest(&mut client), before);
}

/// What is loaded and what the log holds stay the same: a start after each of them finds what was there.
#[test]
fn reload_beside_a_log_leaves_the_log_with_what_was_loaded() {
    let logged = [&DEBUG[..], &["--appendonly", "yes"]].concat();
    let mut server = Server::start(2, &logged);
    let mut client = server.client();
    fill(&mut client);
    // DEBUG POPULATE is in no log, as in Redis.
    client.ask("BGREWRITEAOF");
    wait_for("the base is there", || server.rewrites_ended() == 1);
    assert_eq!(client.ask("DEL array").integer(), 1);
    assert_eq!(client.ask("DEBUG RELOAD"), ok());
    client.ask("RPUSH l more");
    let with_more = digest(&mut client);
    stop(&mut server);
    assert!(server.restart(3, &logged), "{}", server.log());
    let mut client = server.client();
    assert_eq!(digest(&mut client), with_more);
    // Other keys than the log has: they come in a new base.
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE"), ok());
    let of_file = digest(&mut client);
    assert_ne!(of_file, with_more);
    client.ask("SET after 1");
    let after = digest(&mut client);
    server.signal("KILL");
    assert!(server.restart(2, &logged), "{}", server.log());
    let mut client = server.client();
    assert!([of_file, after.clone()].contains(&digest(&mut client)));
    // A file that cannot be loaded: what the log has is there.
    client.ask("SET after 1");
    assert_eq!(digest(&mut client), after);
    let file = server.dir.join("dump.rdb");
    let mut bytes = std::fs::read(&file).expect("a file");
    bytes.truncate(bytes.len() - 30);
    std::fs::write(&file, &bytes).expect("a file");
    let refused = error("ERR Error trying to load the RDB dump, check server logs.");
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE"), refused);
    assert_eq!(digest(&mut client), after);
    assert_eq!(client.ask("SET s goes-on"), ok());
}

/// As in Redis: what is under way is looked at first.
#[test]
fn a_block_schedules_nothing_while_there_is_a_snapshot() {
    let server = Server::start(2, &["--save", "", "--rdb-key-save-delay", "10000000"]);
    let mut client = server.client();
    assert_eq!(client.ask("SET k v"), ok());
    assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
    let busy = error("ERR Background save already in progress");
    for call in ["BGSAVE", "BGSAVE SCHEDULE"] {
        client.send(format!("MULTI\r\n{call}\r\nEXEC\r\n").as_bytes());
        assert_eq!(client.replies(2)[0], ok());
        assert_eq!(client.reply(), Value::Array(vec![busy.clone()]), "{call}");
    }
    client.configure("rdb-key-save-delay", "0");
    wait_for_save(&server);
}

#[test]
fn cancel_ends_what_is_saved_in_the_background() {
    let server = Server::start(2, &[&DEBUG[..], &["--save", ""]].concat());
    let mut client = server.client();
    let nothing = error("ERR Background saving is currently not in progress or scheduled");
    assert_eq!(client.ask("BGSAVE CANCEL"), nothing);
    assert_eq!(client.ask("DEBUG POPULATE 300000 key 100"), ok());
    client.send(b"BGSAVE\r\nBGSAVE CANCEL\r\n");
    assert_eq!(client.reply().text(), "Background saving started");
    assert_eq!(client.reply().text(), "Background saving cancelled");
    wait_for_save(&server);
    assert_eq!(client.ask("BGSAVE CANCEL"), nothing);
    assert_eq!(server.info("persistence", "rdb_last_bgsave_status"), "ok");
    assert_eq!(server.info("persistence", "rdb_saves"), "1");
    let files = std::fs::read_dir(&server.dir).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name());
    let left: Vec<_> = names
        .filter(|name| name.to_string_lossy().ends_with(".rdb"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(client.ask("BGSAVE LATER"), error("ERR syntax error"));
    assert_eq!(client.ask("SAVE"), ok());
}

fn expect_lines(client: &mut Client, lines: &[&str]) {
    let text = client.ask("INFO persistence").text();
    for line in lines {
        assert!(text.contains(&format!("{line}\r\n")), "{line} in {text}");
    }
}

/// As Redis counts: what BGSAVE and SAVE have begun, whatever becomes of it, and nothing else; and what INFO says of the last one is of
/// the last in the background.
#[test]
fn snapshots_count_when_they_begin() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[&DEBUG[..], &["--save", ""]].concat());
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
        assert_eq!(client.ask("SAVE"), ok());
        let none = "rdb_last_bgsave_time_sec:-1";
        expect_lines(&mut client, &["rdb_saves:1", none, "rdb_last_cow_size:0"]);
        assert_eq!(client.ask("DEBUG RELOAD"), ok());
        expect_lines(&mut client, &["rdb_saves:1", none]);
        let slow = "CONFIG SET rdb-key-save-delay 10000000";
        assert_eq!(client.ask(slow), ok());
        assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
        expect_lines(&mut client, &["rdb_saves:2", "rdb_bgsave_in_progress:1"]);
        let cancelled = client.ask("BGSAVE CANCEL").text();
        assert_eq!(cancelled, "Background saving cancelled");
        wait_for_save(&server);
        expect_lines(&mut client, &["rdb_saves:2", "rdb_last_bgsave_status:ok"]);
        let rewriting = client.ask("BGREWRITEAOF").text();
        assert_eq!(rewriting, "Background append only file rewriting started");
        let lines = ["aof_rewrites:1", "aof_rewrite_in_progress:1"];
        expect_lines(&mut client, &lines);
    }
}

/// SWAPDB is one change, whatever the number of cores, in a block and in a script as by itself.
#[test]
fn swapped_databases_are_one_change() {
    let script = b"return redis.call('swapdb', 0, 1)";
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &["--save", ""]);
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
        assert_eq!(client.ask("SWAPDB 0 1"), ok());
        expect_lines(&mut client, &["rdb_changes_since_last_save:4"]);
        client.send(b"MULTI\r\nSWAPDB 0 1\r\nSET d 4\r\nEXEC\r\n");
        assert_eq!(client.replies(4)[3], Value::Array(vec![ok(), ok()]));
        expect_lines(&mut client, &["rdb_changes_since_last_save:6"]);
        assert_eq!(client.run(&[b"EVAL", script, b"0"]), ok());
        expect_lines(&mut client, &["rdb_changes_since_last_save:7"]);
    }
}

/// What a reload does not save is not saved; what a base of logs has was loaded as the keys of a file are.
#[test]
fn figures_of_reloads_are_those_of_redis() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[&DEBUG[..], &["--save", ""]].concat());
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
        assert_eq!(client.ask("SAVE"), ok());
        assert_eq!(client.ask("SET d 4"), ok());
        let (unsaved, loaded) = ("rdb_changes_since_last_save", "rdb_last_load_keys_loaded");
        let expect = |client: &mut Client, changes: u64, keys: u64| {
            let lines = [format!("{unsaved}:{changes}"), format!("{loaded}:{keys}")];
            expect_lines(client, &lines.each_ref().map(String::as_str));
        };
        assert_eq!(client.ask("DEBUG RELOAD NOSAVE"), ok());
        expect(&mut client, 1, 3);
        assert_eq!(client.ask("SET e 5"), ok());
        assert_eq!(client.ask("DEBUG RELOAD"), ok());
        expect(&mut client, 0, 4);
        assert_eq!(client.ask("SET f 6"), ok());
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        let base = Value::Array(vec![Value::Integer(1), Value::Integer(0)]);
        assert_eq!(client.ask("WAITAOF 1 0 0"), base);
        assert_eq!(client.ask("SET g 7"), ok());
        assert_eq!(client.ask("DEBUG LOADAOF"), ok());
        expect(&mut client, 0, 5);
        assert_eq!(client.ask("DBSIZE"), Value::Integer(6));
    }
}

/// Money moves between accounts on several cores while snapshots are made: each of them has all of it.
#[test]
fn a_snapshot_is_one_moment() {
    let server = Server::start(3, &DEBUG);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 20000");
    for account in 0..8 {
        client.ask(&format!("SET account:{account} 100"));
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2_u64 {
            let (server, is_over) = (&server, &is_over);
            scope.spawn(move || {
                let mut client = server.client();
                let mut random = seed + 1;
                while !is_over.load(Ordering::Relaxed) {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(7);
                    let (from, to) = (random >> 33 & 7, random >> 40 & 7);
                    client.ask("MULTI");
                    client.ask(&format!("DECRBY account:{from} 5"));
                    client.ask(&format!("INCRBY account:{to} 5"));
                    client.ask("EXEC");
                }
            });
        }
        for _ in 0..4 {
            assert_eq!(client.ask("SAVE"), ok());
            let copy = server.dir.join("copy");
            std::fs::create_dir_all(&copy).expect("a folder");
            std::fs::copy(server.dir.join("dump.rdb"), copy.join("dump.rdb")).expect("a file");
            let mut other = start_again(&copy, 2);
            let mut other_client = other.client();
            let sum: i64 = (0..8)
                .map(|account| other_client.ask(&format!("GET account:{account}")).text())
                .map(|text| text.parse::<i64>().expect("a number"))
                .sum();
            assert_eq!(sum, 800);
            stop(&mut other);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_failed_snapshot_refuses_writes_until_one_succeeds() {
    let mut server = Server::start(2, &["--save", "3600 1000000"]);
    let mut client = server.client();
    client.ask("SET a 1");
    // A folder stands where the file is to be.
    let file = server.dir.join("dump.rdb");
    std::fs::create_dir_all(file.join("x")).expect("a folder");
    assert_eq!(client.ask("SAVE"), error("ERR"));
    expect_lines(&mut client, &["rdb_last_bgsave_time_sec:-1"]);
    assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
    wait_for_save(&server);
    expect_lines(&mut client, &["rdb_last_cow_size:0"]);
    assert_eq!(server.info("persistence", "rdb_last_bgsave_status"), "err");
    assert_eq!(server.info("persistence", "rdb_saves"), "2");
    let refused = format!("{:?}", client.ask("SET a 2"));
    assert!(
        refused.contains("MISCONF Redis is configured to save RDB snapshots"),
        "{refused}"
    );
    assert_eq!(client.ask("GET a").text(), "1");
    assert_eq!(
        client.ask("SHUTDOWN"),
        error("ERR Errors trying to SHUTDOWN. Check logs.")
    );
    server.signal("TERM");
    wait_for("the signal is refused", || {
        server.log().matches("can't exit").count() >= 2
    });
    assert!(server.is_running());
    assert_eq!(
        client.ask("CONFIG SET stop-writes-on-bgsave-error no"),
        ok()
    );
    assert_eq!(client.ask("SET a 2"), ok());
    assert_eq!(
        client.ask("CONFIG SET stop-writes-on-bgsave-error yes"),
        ok()
    );
    std::fs::remove_dir_all(&file).expect("a folder");
    assert_eq!(client.ask("SAVE"), ok());
    assert_eq!(client.ask("SET a 3"), ok());
    let left = std::fs::read_dir(&server.dir).expect("a folder").flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("temp-"));
    assert_eq!(left.count(), 0);
    server.signal("TERM");
    assert_eq!(server.wait_for_the_end().code(), Some(0));
}

#[test]
fn save_points_save() {
    let server = Server::start(2, &["--save", "1 3"]);
    let mut client = server.client();
    let file = server.dir.join("dump.rdb");
    client.ask("MSET a 1 b 2 c 3");
    wait_for("a save point is reached", || file.exists());
    wait_for_save(&server);
    assert_eq!(
        server.info("persistence", "rdb_changes_since_last_save"),
        "0"
    );
    assert_eq!(client.run(&[b"CONFIG", b"SET", b"save", b""]), ok());
    std::fs::remove_file(&file).expect("a file");
    assert_eq!(client.ask("MULTI"), ok());
    client.ask("BGSAVE");
    assert_eq!(
        format!("{:?}", client.ask("EXEC"))
            .matches("scheduled")
            .count(),
        1
    );
    wait_for("what was scheduled is saved", || file.exists());
}

/// A kill at any moment leaves the file of before, and a bad file ends the start with its place.
#[test]
fn the_old_file_stays_until_the_new_one_is_whole() {
    let mut server = Server::start(2, &DEBUG);
    let mut client = server.client();
    fill(&mut client);
    assert_eq!(client.ask("SAVE"), ok());
    let before = digest(&mut client);
    client.ask("DEBUG POPULATE 100000 more 100");
    client.ask("BGSAVE");
    server.signal("KILL");
    server.wait_for_the_end();
    let folder = server.dir.clone();
    let mut again = start_again(&folder, 2);
    let mut client = again.client();
    let after = digest(&mut client);
    // The machine may have been quick.
    assert!(after == before || client.ask("DBSIZE") == Value::Integer(103_009));
    stop(&mut again);
    let file = folder.join("dump.rdb");
    let bytes = std::fs::read(&file).expect("a file");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("a file");
    let name = folder.display().to_string();
    let port = super::harness::free_port().to_string();
    let (code, text) = super::harness::run_to_end(&["--port", &port, "--dir", &name]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("dump.rdb, at offset "), "{text}");
    assert!(text.contains(": the file ends "), "{text}");
}

/// A file that Redis 8.0.6 wrote: every type in every encoding, a library of functions, deadlines. Its digest is what Redis
/// said of its keys; a library is kept, unread, and is in the next file.
#[test]
fn a_file_of_redis_is_read() {
    let folder = super::harness::new_dir();
    let file = folder.join("dump.rdb");
    std::fs::write(&file, include_bytes!("golden/redis-8.0.6.rdb")).expect("a file");
    let mut server = start_again(&folder, 2);
    let mut client = server.client();
    assert_eq!(
        digest(&mut client),
        "9154b86a961863e0e5679a264050f2d2cf66210f"
    );
    assert_eq!(client.ask("SAVE"), ok());
    let bytes = std::fs::read(&file).expect("a file");
    // Fields of hashes have deadlines.
    assert!(bytes.starts_with(b"REDIS0012"));
    let library = b"#!lua name=lib";
    assert!(bytes.windows(library.len()).any(|bytes| bytes == library));
    client.ask("DEL hd3 hd600");
    assert_eq!(client.ask("SAVE"), ok());
    assert!(
        std::fs::read(&file)
            .expect("a file")
            .starts_with(b"REDIS0011")
    );
    stop(&mut server);
    std::fs::remove_dir_all(&folder).expect("a folder");
}

/// A file that Valkey 9.1 wrote: it begins with another word, and a hash whose fields have deadlines has another type.
#[test]
fn a_file_of_valkey_is_read() {
    let folder = super::harness::new_dir();
    let file = folder.join("dump.rdb");
    std::fs::write(&file, include_bytes!("golden/valkey-9.1.rdb")).expect("a file");
    let mut server = start_again(&folder, 2);
    let mut client = server.client();
    assert_eq!(client.ask("DBSIZE"), Value::Integer(4));
    let values = Value::Array(["1", "2", "3"].map(bulk).to_vec());
    assert_eq!(client.ask("HMGET h a b c"), values);
    let deadlines = [4_000_000_000_000, -1, 4_000_000_000_000].map(Value::Integer);
    assert_eq!(
        client.ask("HPEXPIRETIME h FIELDS 3 a b c"),
        Value::Array(deadlines.to_vec())
    );
    assert_eq!(client.ask("HGET small f"), bulk("v"));
    assert_eq!(client.ask("XLEN st"), Value::Integer(1));
    // What is written is Redis's.
    assert_eq!(client.ask("SAVE"), ok());
    let bytes = std::fs::read(&file).expect("a file");
    assert!(bytes.starts_with(b"REDIS0012"));
    stop(&mut server);
    std::fs::remove_dir_all(&folder).expect("a folder");
}

/// What FLUSHALL removed is not in a snapshot that ends after it, nor in the file of before where there are save points.
#[test]
fn flushall_ends_a_snapshot_and_makes_an_empty_one() {
    let options = ["--save", "3600 1000000", "--enable-debug-command", "yes"];
    let mut server = Server::start(2, &options);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 200000 key 100");
    assert_eq!(client.ask("SAVE"), ok());
    client.ask("BGSAVE");
    assert_eq!(client.ask("FLUSHALL"), ok());
    server.signal("KILL");
    for threads in [1, 3] {
        assert!(server.restart(threads, &options), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("DBSIZE").integer(), 0);
        client.ask("MSET a 1 b 2 c 3");
        assert_eq!(client.ask("SAVE"), ok());
        client.ask("SET d 1");
        client.send(b"FLUSHALL\r\nDBSIZE\r\nINFO persistence\r\n");
        let replies = client.replies(3);
        assert_eq!(replies[..2], [ok(), Value::Integer(0)]);
        let text = replies[2].text();
        for line in ["rdb_changes_since_last_save:0\r", "rdb_saves:1\r"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        server.signal("KILL");
    }
    assert!(server.restart(2, &options), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("DBSIZE").integer(), 0);
}

/// Its file is no BGSAVE, however many ask for one and whenever the tick comes: nothing is begun when some shards are empty only,
/// to be ended by the rest.
#[test]
fn flushall_is_no_bgsave() {
    let server = Server::start(2, &["--save", "3600 1000000"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for _ in 0..60 {
        for client in &mut clients {
            client.send(b"MSET a 1 b 2 c 3\r\nFLUSHALL\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.replies(2), [ok(), ok()]);
        }
    }
    assert_eq!(server.info("persistence", "rdb_saves"), "0");
    let log = server.log();
    assert!(!log.contains("Background saving started"), "{log}");
}

/// A script that has emptied all and fails asks for no file: it comes by itself.
#[test]
fn what_a_failing_script_has_flushed_is_saved_after_it() {
    let options = ["--save", "3600 1000000"];
    let mut server = Server::start(2, &options);
    let mut client = server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    assert_eq!(client.ask("SAVE"), ok());
    let script = "redis.call('flushall'); return redis.error_reply('ERR no')";
    let reply = client.run(&[b"EVAL", script.as_bytes(), b"0"]);
    assert_eq!(reply, error("ERR no"));
    wait_for("a file is begun", || {
        server.info("persistence", "rdb_saves") == "2"
    });
    wait_for_save(&server);
    server.signal("KILL");
    assert!(server.restart(2, &options), "{}", server.log());
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(0));
}

/// The same in a block and in a script, wherever it runs; FLUSHDB is a change like any other.
#[test]
fn flushall_in_a_block_or_a_script_replies_when_the_empty_file_is_there() {
    let options = ["--save", "3600 1000000"];
    for (threads, slot) in [(1, "a"), (3, "a"), (3, "b"), (3, "c")] {
        let mut server = Server::start(threads, &options);
        let mut client = server.client();
        let script = "redis.call('set', KEYS[1], 1); return redis.call('flushall')";
        let call = format!("EVAL \"{script}\" 1 {slot}");
        let call_in_block = format!("MULTI\r\n{call}\r\nEXEC");
        for (lines, replies_count) in [
            ("MULTI\r\nSET a 1\r\nFLUSHALL\r\nEXEC", 4),
            ("EVAL \"return redis.call('flushall')\" 0", 1),
            (&call, 1),
            (&call_in_block, 3),
        ] {
            client.ask("MSET flushed:a 1 flushed:b 2 flushed:c 3");
            assert_eq!(client.ask("SAVE"), ok());
            client.ask("SET flushed:d 1");
            client.send(format!("{lines}\r\nINFO persistence\r\n").as_bytes());
            let replies = client.replies(replies_count + 1);
            let file = std::fs::read(server.dir.join("dump.rdb")).expect("a file");
            let has_key = file.windows(8).any(|part| part == b"flushed:");
            assert!(!has_key, "{lines}");
            let text = replies[replies_count].text();
            let line = "rdb_changes_since_last_save:0\r";
            assert!(text.contains(line), "{lines}: {text}");
        }
        client.ask("MSET a 1 b 2 c 3");
        client.send(b"MULTI\r\nFLUSHDB\r\nEXEC\r\nINFO persistence\r\n");
        let text = client.replies(4)[3].text();
        assert!(text.contains("rdb_changes_since_last_save:6\r"), "{text}");
        server.signal("KILL");
        assert!(server.restart(2, &options), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE").integer(), 0);
    }
}

/// Where nothing can be saved, FLUSHALL in a block has its reply all the same, and what it changed still counts.
#[test]
fn flushall_in_a_block_that_cannot_be_saved_is_no_error() {
    let server = Server::start(2, &["--save", "3600 1000000"]);
    let mut client = server.client();
    client.ask("MSET a 1 b 2 c 3");
    // No file takes the place of a folder.
    std::fs::create_dir(server.dir.join("dump.rdb")).expect("a folder");
    client.send(b"MULTI\r\nFLUSHALL\r\nEXEC\r\nINFO persistence\r\n");
    let replies = client.replies(4);
    assert_eq!(replies[2], Value::Array(vec![ok()]));
    let text = replies[3].text();
    assert!(text.contains("rdb_changes_since_last_save:6\r"), "{text}");
}

/// A block that writes is refused as a whole while writes are; scripts' writes are as well.
#[test]
fn blocks_and_scripts_do_not_write_past_a_failure() {
    let server = Server::start(2, &["--save", "3600 1000000"]);
    let mut client = server.client();
    client.ask("SET key 1");
    // No file takes the place of a folder.
    std::fs::create_dir(server.dir.join("dump.rdb")).expect("a folder");
    for line in ["MULTI", "SET key 2"] {
        client.ask(line);
    }
    let mut other = server.client();
    other.ask("BGSAVE");
    wait_for("the snapshot fails", || {
        server.info("persistence", "rdb_last_bgsave_status") == "err"
    });
    let reply = format!("{:?}", client.ask("EXEC"));
    assert!(
        reply.contains("EXECABORT Transaction discarded because of: MISCONF"),
        "{reply}"
    );
    let reply = client.run(&[b"EVAL", b"return redis.call('SET', 'key', 3)", b"1", b"key"]);
    assert!(format!("{reply:?}").contains("MISCONF"), "{reply:?}");
    assert_eq!(client.ask("GET key").text(), "1");
    // A block in which nothing says that it writes is run; a script in it is asked for itself.
    client.ask("MULTI");
    client.ask("PFCOUNT none");
    client.ask("PUBLISH channel message");
    client.run(&[b"EVAL", b"return 1", b"0"]);
    client.run(&[b"EVAL", b"return redis.call('SET', 'key', 3)", b"1", b"key"]);
    let replies = client.ask("EXEC");
    let (zero, one) = (Value::Integer(0), Value::Integer(1));
    assert_eq!(replies.items()[..3], [zero.clone(), zero, one]);
    assert!(format!("{replies:?}").contains("MISCONF"), "{replies:?}");
    assert_eq!(client.ask("GET key").text(), "1");
    // A health check sees it, and what says of itself that it may write does not begin.
    let library: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    assert_eq!(
        client.ask("CONFIG SET stop-writes-on-bgsave-error no"),
        ok()
    );
    assert_eq!(client.run(&[b"FUNCTION", b"LOAD", library]).text(), "lib");
    assert_eq!(client.ask("PING").text(), "PONG");
    assert_eq!(
        client.ask("CONFIG SET stop-writes-on-bgsave-error yes"),
        ok()
    );
    let says_it = |reply: Value| {
        let text = format!("{reply:?}");
        assert!(text.contains("\"MISCONF Redis is configured"), "{text}");
    };
    says_it(client.ask("PING"));
    says_it(client.run(&[b"EVAL", b"#!lua\nreturn 1", b"0"]));
    says_it(client.run(&[b"EVAL_RO", b"#!lua\nreturn 1", b"0"]));
    says_it(client.ask("FCALL f 0"));
    let reader: &[u8] = b"#!lua flags=no-writes\nreturn 1";
    assert_eq!(client.run(&[b"EVAL", reader, b"0"]), Value::Integer(1));
    assert_eq!(client.run(&[b"EVAL", b"return 1", b"0"]), Value::Integer(1));
    client.ask("MULTI");
    says_it(client.ask("FCALL f 0"));
    let reply = format!("{:?}", client.ask("EXEC"));
    assert!(reply.contains("EXECABORT"), "{reply}");
}

/// `rdb-key-save-delay`, the switch of Redis's own tests: a snapshot takes its time, and FLUSHALL ends it.
#[test]
fn a_snapshot_can_be_made_slow() {
    let server = Server::start(2, &["--rdb-key-save-delay", "10000000"]);
    let mut client = server.client();
    for key in ["a", "b", "c", "d"] {
        assert_eq!(client.ask(&format!("SET {key} 1")), ok());
    }
    assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
    wait_for("a key is on its way", || {
        server.info("persistence", "current_save_keys_processed") != "0"
    });
    assert_eq!(server.info("persistence", "rdb_bgsave_in_progress"), "1");
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), ok());
    // Its delay is that of its beginning; what it would hold is gone.
    assert_eq!(client.ask("FLUSHALL"), ok());
    wait_for_save(&server);
    assert_eq!(client.ask("SET a 1"), ok());
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay -100"), ok());
    assert_eq!(client.ask("SAVE"), ok());
}

/// FLUSHALL ends what is saved in the background, also where all of it is on its way to the file. As in Redis that is no failure.
#[test]
fn flushall_ends_a_snapshot_that_all_keys_are_on_their_way_to() {
    for threads in [1, 2] {
        let options = ["--rdb-key-save-delay", "10000000", "--save", ""];
        let server = Server::start(threads, &options);
        let mut client = server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4"), ok());
        assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
        wait_for("a key is on its way", || {
            server.info("persistence", "current_save_keys_processed") != "0"
        });
        assert_eq!(client.ask("FLUSHALL"), ok());
        wait_for_save(&server);
        assert_eq!(server.info("persistence", "rdb_last_bgsave_status"), "ok");
        assert_eq!(server.info("persistence", "rdb_saves"), "1");
        assert!(!server.dir.join("dump.rdb").exists());
        // The next one is not its concern.
        assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), ok());
        assert_eq!(client.ask("SET a 1"), ok());
        assert_eq!(client.ask("SAVE"), ok());
        assert!(server.dir.join("dump.rdb").exists());
    }
}

/// The end of the process is no end of a snapshot: what has been written of it by then is not all keys, and must not take the
/// place of a file or a log that has them.
#[test]
fn a_snapshot_that_the_end_of_the_process_cuts_short_takes_nobodys_place() {
    let mut server = Server::start(2, &[DEBUG[0], DEBUG[1], "--save", ""]);
    let mut client = server.client();
    fill(&mut client);
    assert_eq!(client.ask("SAVE"), ok());
    let before = digest(&mut client);
    client.ask("DEBUG POPULATE 150000 more 200");
    assert_eq!(client.ask("BGSAVE").text(), "Background saving started");
    assert_eq!(server.terminate().code(), Some(0));
    let folder = server.dir.clone();
    let left: Vec<_> = (std::fs::read_dir(&folder).expect("a folder"))
        .map(|file| file.expect("a file").file_name())
        .filter(|name| name.to_string_lossy().starts_with("temp-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let mut again = start_again(&folder, 2);
    let mut client = again.client();
    let size = client.ask("DBSIZE").integer();
    // The machine may have been quick.
    let is_whole = digest(&mut client) == before || size == 153_009;
    assert!(is_whole, "{size} keys, {}", server.log());
    stop(&mut again);
}

/// Whoever has asked for a file and waits for it gets it, as in Redis, where nobody else is served meanwhile.
#[test]
fn no_flush_ends_what_a_client_waits_for() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[DEBUG[0], DEBUG[1], "--save", ""]);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 300");
        client.ask("CONFIG SET rdb-key-save-delay 1000");
        let mut saving = server.client();
        saving.send(b"SAVE\r\n");
        wait_for("it saves", || {
            server.info("persistence", "rdb_bgsave_in_progress") == "1"
        });
        assert_eq!(client.ask("FLUSHALL"), ok());
        assert_eq!(saving.reply(), ok(), "at {threads}");
        assert_eq!(client.ask("DBSIZE"), Value::Integer(0));
        assert_eq!(client.ask("DEBUG RELOAD NOSAVE"), ok());
        assert_eq!(client.ask("DBSIZE"), Value::Integer(300));
    }
}

/// Reloads that come together, none of which can begin, are all answered.
#[test]
fn reloads_that_cannot_begin_are_all_answered() {
    for threads in [1, 3] {
        let server = Server::start(threads, &DEBUG);
        let mut busy = server.client();
        busy.send(&request(&[
            b"EVAL",
            b"local t = redis.call('time') local till = t[1] * 1000000 + t[2] + 300000 \
              repeat t = redis.call('time') redis.call('set', KEYS[1], 1) until t[1] * 1000000 + t[2] > till",
            b"1",
            b"k",
        ]));
        std::thread::sleep(Duration::from_millis(50));
        let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(b"DEBUG RELOAD NOSAVE\r\n");
        }
        busy.reply();
        for client in &mut clients {
            let refused = error("ERR Error trying to load the RDB dump, check server logs.");
            assert_eq!(client.reply(), refused, "at {threads}");
        }
        assert_eq!(server.client().ask("SET a 1"), ok());
    }
}
