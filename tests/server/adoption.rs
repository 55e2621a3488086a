//! What Redis has left in a directory becomes the log at the first start with `appendonly yes`.

use super::client::{Value, bulk, ok};
use super::harness::{Server, eventually, run_to_end};
use super::tools::command;

const LOGGED: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A server whose directory holds nothing but these files.
fn stopped_with(files: &[(&str, &[u8])]) -> Server {
    let mut server = Server::start(1, &[]);
    assert!(server.terminate().success());
    let _ = std::fs::remove_file(server.dir.join("dump.rdb"));
    for (name, bytes) in files {
        let path = server.dir.join(name);
        let folder = path.parent().expect("a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    server
}

fn files_of_redis(folder: &str, name: &str, last: &str) -> Vec<(String, Vec<u8>)> {
    let base = command(&["SELECT", "3"]) + &command(&["SET", "three", "3"]);
    let first = command(&["SET", "a", "1"]) + &command(&["RPUSH", "list", "x", "y"]);
    let manifest = format!(
        "file {name}.1.base.aof seq 1 type b\nfile {name}.1.incr.aof seq 1 type i\nfile {name}.2.incr.aof seq 2 type i\n"
    );
    [
        ("1.base.aof", base),
        ("1.incr.aof", first),
        ("2.incr.aof", last.to_string()),
        ("manifest", manifest),
    ]
    .into_iter()
    .map(|(end, text)| (format!("{folder}/{name}.{end}"), text.into_bytes()))
    .collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    let files = files.iter();
    files
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

#[test]
fn the_directory_of_redis_7_becomes_the_log() {
    for threads in [1, 2, 7] {
        let last = command(&["INCR", "a"]) + &command(&["SADD", "set", "m"]);
        let files = files_of_redis("appendonlydir", "appendonly.aof", &last);
        let mut server = stopped_with(&borrowed(&files));
        assert!(server.restart(threads, LOGGED), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("GET a"), bulk("2"));
        assert_eq!(client.ask("LLEN list"), Value::Integer(2));
        assert_eq!(client.ask("SISMEMBER set m"), Value::Integer(1));
        assert_eq!(client.ask("DBSIZE"), Value::Integer(3));
        client.ask("SELECT 3");
        assert_eq!(client.ask("GET three"), bulk("3"));
        client.ask("SELECT 0");
        // From here on its own log counts: what is gone stays gone.
        assert_eq!(client.ask("DEL a list"), Value::Integer(2));
        assert_eq!(client.ask("SET more 1"), ok());
        assert!(server.terminate().success());
        for again in [threads, threads + 1] {
            assert!(server.restart(again, LOGGED), "{}", server.log());
            let mut client = server.client();
            assert_eq!(client.ask("EXISTS a list"), Value::Integer(0));
            assert_eq!(client.ask("EXISTS set more"), Value::Integer(2));
            assert!(server.terminate().success());
        }
        for (name, bytes) in &files {
            let there = std::fs::read(server.dir.join(name)).expect("it is there");
            assert_eq!(&there, bytes, "{name}");
        }
    }
}

/// Somebody went back to Redis for a while: what came of that is not loaded, and is told once.
#[test]
fn what_redis_wrote_later_is_told() {
    let files = files_of_redis("appendonlydir", "appendonly.aof", "");
    let mut server = stopped_with(&borrowed(&files));
    assert!(server.restart(2, LOGGED), "{}", server.log());
    assert_eq!(server.client().ask("SET own 1"), ok());
    assert!(server.terminate().success());
    let more = command(&["SET", "a", "of Redis"]);
    let (name, _) = &files[2];
    std::fs::write(server.dir.join(name), more).expect("a write");
    for is_told in [true, false] {
        assert!(server.restart(2, LOGGED), "{}", server.log());
        let log = server.log();
        assert_eq!(
            log.contains("Redis has written here since"),
            is_told,
            "{log}"
        );
        assert_eq!(server.client().ask("GET a"), bulk("1"));
        assert_eq!(server.client().ask("GET own"), bulk("1"));
        assert!(server.terminate().success());
    }
}

#[test]
fn files_have_the_names_that_options_give_them() {
    let options = [
        "--appendonly",
        "yes",
        "--appenddirname",
        "logs",
        "--appendfilename",
        "mine",
    ];
    let files = files_of_redis("logs", "mine", "");
    let mut server = stopped_with(&borrowed(&files));
    assert!(server.restart(2, &options), "{}", server.log());
    assert_eq!(server.client().ask("GET a"), bulk("1"));
}

/// Before Redis 7 there was one file, which may begin as an RDB file.
#[test]
fn the_file_of_redis_6_becomes_the_log() {
    let mut server = stopped_with(&[]);
    assert!(server.restart(1, &[]), "{}", server.log());
    server.client().ask("SET a 1");
    assert_eq!(server.client().ask("SAVE"), ok());
    assert!(server.terminate().success());
    let dump = std::fs::read(server.dir.join("dump.rdb")).expect("a file");
    let file = [dump, (command(&["INCRBY", "a", "41"])).into_bytes()].concat();
    let mut server = stopped_with(&[("appendonly.aof", &file), ("dump.rdb", b"is not looked at")]);
    assert!(server.restart(2, LOGGED), "{}", server.log());
    assert_eq!(server.client().ask("GET a"), bulk("42"));
}

#[test]
fn an_rdb_file_becomes_the_log_where_there_is_none() {
    let mut server = stopped_with(&[]);
    assert!(server.restart(1, &[]), "{}", server.log());
    server.client().ask("SET a 1");
    assert!(server.terminate().success());
    assert!(server.restart(2, LOGGED), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("GET a"), bulk("1"));
    assert_eq!(client.ask("SAVE"), ok());
    client.ask("FLUSHALL");
    assert_eq!(client.ask("SET b 1"), ok());
    server.signal("KILL");
    server.wait_for_the_end();
    // The file has a; the log knows better.
    assert!(server.restart(2, LOGGED), "{}", server.log());
    assert_eq!(server.client().ask("EXISTS a"), Value::Integer(0));
    assert_eq!(server.client().ask("DBSIZE"), Value::Integer(1));
}

/// A start that nothing was written to made no log that would stand in the way of one.
#[test]
fn a_log_without_a_record_is_none() {
    let mut server = stopped_with(&[]);
    assert!(server.restart(2, LOGGED), "{}", server.log());
    server.signal("KILL");
    server.wait_for_the_end();
    let files = files_of_redis("appendonlydir", "appendonly.aof", "");
    for (name, bytes) in &files {
        std::fs::write(server.dir.join(name), bytes).expect("a file");
    }
    assert!(server.restart(2, LOGGED), "{}", server.log());
    assert_eq!(server.client().ask("GET a"), bulk("1"));
}

#[test]
fn an_end_that_is_cut_off_counts_as_the_option_says() {
    let whole = command(&["INCR", "a"]);
    let last = format!("{whole}*3\r\n$3\r\nSET\r\n$1\r\na");
    let files = files_of_redis("appendonlydir", "appendonly.aof", &last);
    let mut server = stopped_with(&borrowed(&files));
    let strict = [LOGGED, &["--aof-load-truncated", "no"]].concat();
    assert!(!server.restart(2, &strict));
    let log = server.log();
    let at = whole.len();
    let place = format!("2.incr.aof ends in a write that was cut off at byte {at}");
    assert!(log.contains(&place), "{log}");
    assert!(server.restart(2, LOGGED), "{}", server.log());
    assert_eq!(server.client().ask("GET a"), bulk("2"));
}

#[test]
fn what_cannot_be_read_ends_the_start_and_begins_no_log() {
    let whole = command(&["INCR", "a"]);
    let last = format!("{whole}nonsense\r\n");
    let files = files_of_redis("appendonlydir", "appendonly.aof", &last);
    let mut server = stopped_with(&borrowed(&files));
    for _ in 0..2 {
        assert!(!server.restart(2, LOGGED));
        let log = server.log();
        let place = format!("2.incr.aof, at offset {}: this is no command", whole.len());
        assert!(log.contains(&place), "{log}");
        assert!(!server.dir.join("appendonlydir/manifest").exists());
    }
    // Mended by hand it is loaded.
    let (name, _) = &files[2];
    std::fs::write(server.dir.join(name), whole).expect("a write");
    assert!(server.restart(2, LOGGED), "{}", server.log());
    assert_eq!(server.client().ask("GET a"), bulk("2"));
}

/// What fails leaves nothing that would be in the way of the next start.
#[test]
fn what_no_start_would_load_begins_no_log() {
    let code = "#!lua name=lib\nthis does not compile";
    let library = command(&["FUNCTION", "LOAD", code]);
    let database = command(&["SELECT", "20"]) + &command(&["SET", "far", "1"]);
    for (last, expected) in [
        (
            library,
            "2.incr.aof, a library of functions does not load: ",
        ),
        (
            database,
            "there are keys in database 20, and 16 databases: see the option databases",
        ),
    ] {
        let files = files_of_redis("appendonlydir", "appendonly.aof", &last);
        let mut server = stopped_with(&borrowed(&files));
        let folder = server.dir.join("appendonlydir");
        let names = || {
            let entries = std::fs::read_dir(&folder).expect("a folder");
            let names = entries.map(|entry| entry.expect("an entry").file_name());
            let names = names.map(|name| name.to_string_lossy().into_owned());
            let mut names: Vec<String> = names.filter(|name| name != "lock").collect();
            names.sort();
            names
        };
        let before = names();
        for _ in 0..2 {
            assert!(!server.restart(2, LOGGED));
            assert!(server.log().contains(expected), "{}", server.log());
            assert_eq!(names(), before);
        }
        std::fs::write(server.dir.join(&files[2].0), "").expect("a write");
        assert!(server.restart(2, LOGGED), "{}", server.log());
        assert_eq!(server.client().ask("GET a"), bulk("1"));
    }
}

#[test]
fn a_database_is_there_where_the_option_says_so() {
    let last = command(&["SELECT", "20"]) + &command(&["SET", "far", "1"]);
    let files = files_of_redis("appendonlydir", "appendonly.aof", &last);
    let mut server = stopped_with(&borrowed(&files));
    let options = [LOGGED, &["--databases", "21"]].concat();
    assert!(server.restart(2, &options), "{}", server.log());
    let mut client = server.client();
    client.ask("SELECT 20");
    assert_eq!(client.ask("GET far"), bulk("1"));
}

/// Redis does not start with them either: `node/redis_manifest.rs` has all that is wrong with one.
#[test]
fn a_damaged_manifest_of_redis_ends_the_start_and_begins_no_log() {
    let whole = files_of_redis("appendonlydir", "appendonly.aof", "");
    let name = &whole[3].0;
    for (text, expected) in [
        ("", "appendonly.aof.manifest: it is empty"),
        (
            "file appendonly.aof.2.incr.aof seq 2 type i\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
            "appendonly.aof.manifest: line 2 has a number that is not above those before it",
        ),
    ] {
        let mut server = stopped_with(&borrowed(&whole));
        std::fs::write(server.dir.join(name), text).expect("a write");
        std::fs::write(server.dir.join("dump.rdb"), "is not looked at").expect("a write");
        assert!(!server.restart(2, LOGGED));
        assert!(server.log().contains(expected), "{}", server.log());
        assert!(!server.dir.join("appendonlydir/manifest").exists());
        let to = server.dir.join("to").display().to_string();
        let from = server.dir.join("appendonlydir").display().to_string();
        let (status, said) = run_to_end(&["import", &from, &to]);
        assert_eq!((status, said.contains(expected)), (Some(1), true), "{said}");
        assert!(!server.dir.join("to").exists());
    }
}

/// No name for an RDB file: there is none to begin with, and none is written.
#[test]
fn without_a_name_there_is_no_rdb_file() {
    let mut server = stopped_with(&[]);
    let options = [LOGGED, &["--dbfilename", ""]].concat();
    assert!(server.restart(1, &options), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.ask("SET a 1"), ok());
    assert!(matches!(client.ask("SAVE"), Value::Error(_)));
    assert_eq!(client.ask("GET a"), bulk("1"));
}

/// Logs that were turned on and off again before their first base was in force leave files, and none of them is taken for one of
/// the logs that begin with Redis's file.
#[test]
fn leftovers_of_logs_without_a_base_are_passed_over() {
    let options = ["--save", "3600 1", "--enable-debug-command", "yes"];
    for threads in [1, 2] {
        let mut server = Server::start(threads, &options);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 300");
        client.ask("CONFIG SET rdb-key-save-delay 10000");
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        assert_eq!(client.ask("CONFIG SET appendonly no"), ok());
        client.ask("CONFIG SET rdb-key-save-delay 0");
        eventually("nothing is written any more", || {
            server.info("persistence", "aof_rewrite_in_progress") == "0"
        });
        assert_eq!(client.ask("SAVE"), ok());
        assert!(server.terminate().success());
        assert!(server.restart(threads, LOGGED), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("DBSIZE"), Value::Integer(300));
        assert_eq!(client.ask("SET more 1"), ok());
        server.signal("KILL");
        assert!(server.restart(threads, LOGGED), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE"), Value::Integer(301));
    }
}
