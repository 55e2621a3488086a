//! SYNC of one who wants a copy and no more, as `redis-cli --rdb` does.

use super::client::{Client, Value, bulk, error, ok};
use super::harness::{Server, eventually, new_dir};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// A client that has said what it wants.
fn copier(server: &Server, filter: Option<&str>) -> Client {
    let mut client = server.client();
    assert_eq!(client.ask("REPLCONF capa eof"), ok());
    assert_eq!(client.ask("REPLCONF rdb-only 1"), ok());
    if let Some(filter) = filter {
        assert_eq!(
            client.run(&[b"REPLCONF", b"rdb-filter-only", filter.as_bytes()]),
            ok()
        );
    }
    client
}

/// What comes of a copy until the end, empty lines before it left out: the file.
fn file_of(bytes: &[u8]) -> Vec<u8> {
    let begin = bytes.iter().position(|&byte| byte != b'\n');
    let bytes = &bytes[begin.unwrap_or(bytes.len())..];
    assert!(bytes.starts_with(b"$"), "{:?}", bytes.get(..60));
    let end = bytes.windows(2).position(|pair| pair == b"\r\n");
    let (head, file) = bytes.split_at(end.expect("a line that ends") + 2);
    let length = std::str::from_utf8(&head[1..head.len() - 2]).expect("digits");
    assert_eq!(length.parse(), Ok(file.len()), "as long as was told");
    file.to_vec()
}

fn copy(server: &Server, filter: Option<&str>) -> Vec<u8> {
    let mut client = copier(server, filter);
    client.send(b"SYNC\r\n");
    file_of(&client.rest())
}

/// A server with that snapshot.
fn server_with(file: &[u8], threads: usize) -> Server {
    let folder = new_dir();
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("dump.rdb"), file).expect("a file");
    let name = folder.display().to_string();
    let server = Server::start(threads, &["--dir", &name, DEBUG[0], DEBUG[1]]);
    eventually("it is loaded", || {
        server.info("persistence", "loading") == "0"
    });
    server
}

fn load_library(server: &Server) {
    let code = "#!lua name=lib\nredis.register_function('f', function() return 'from lib' end)";
    let words: [&[u8]; 3] = [b"FUNCTION", b"LOAD", code.as_bytes()];
    assert_eq!(server.client().run(&words), bulk("lib"));
}

#[test]
fn a_copy_has_all_of_one_moment() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &DEBUG);
        load_library(&server);
        let mut client = server.client();
        for command in [
            "DEBUG POPULATE 20000 key 100",
            "HSET h f v",
            "SELECT 3",
            "SET a b",
        ] {
            client.ask(command);
        }
        let before = client.ask("DEBUG DIGEST");
        let file = copy(&server, None);
        client.ask("SET later 1");
        // It is no save of the server's, and leaves nothing behind.
        assert_eq!(server.info("persistence", "rdb_saves"), "0");
        let changes = server.info_number("persistence", "rdb_changes_since_last_save");
        assert!(changes > 0, "{changes}");
        let files = std::fs::read_dir(&server.dir).expect("a folder").flatten();
        let mut names = files.map(|file| file.file_name().display().to_string());
        assert!(!names.any(|name| name.contains("rdb")));
        let other = server_with(&file, 2);
        let mut client = other.client();
        assert_eq!(client.ask("DEBUG DIGEST"), before);
        assert_eq!(client.ask("FCALL f 0"), bulk("from lib"));
    }
}

#[test]
fn a_filter_leaves_out_keys_and_functions() {
    let server = Server::start(2, &DEBUG);
    load_library(&server);
    server.client().ask("SET a b");
    for (filter, has_functions) in [("functions", true), ("", false)] {
        let other = server_with(&copy(&server, Some(filter)), 1);
        let mut client = other.client();
        assert_eq!(client.ask("DBSIZE"), Value::Integer(0));
        let libraries = client.ask("FUNCTION LIST");
        assert_eq!(libraries.items().len(), usize::from(has_functions));
    }
    // Nothing has been saved for that.
    assert_eq!(server.info("persistence", "rdb_saves"), "0");
}

#[test]
fn a_copy_goes_on_from_its_file_when_others_have_taken_its_place() {
    let server = Server::start(2, &DEBUG);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 100000 key 400");
    let before = client.ask("DEBUG DIGEST");
    let mut copier = copier(&server, None);
    copier.send(b"SYNC\r\n");
    // More than sockets hold: most of it is still to be sent.
    let mut bytes = copier.raw(64 * 1024);
    client.ask("FLUSHALL");
    for number in 0..3 {
        client.ask(&format!("DEBUG POPULATE {}000 other 400", 100 + number));
        assert_eq!(client.ask("SAVE"), ok());
    }
    bytes.extend(copier.rest());
    let other = server_with(&file_of(&bytes), 2);
    assert_eq!(other.client().ask("DEBUG DIGEST"), before);
}

#[test]
fn copies_wait_for_the_save_that_is_made_and_share_the_next() {
    let server = Server::start(2, &DEBUG);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 1000");
    client.configure("rdb-key-save-delay", "10000000");
    client.ask("BGSAVE");
    client.ask("SET later 1");
    let mut copiers = [copier(&server, None), copier(&server, None)];
    copiers
        .iter_mut()
        .for_each(|copier| copier.send(b"SYNC\r\n"));
    eventually("both wait", || {
        let replicas = server.client().ask("CLIENT LIST TYPE replica").text();
        replicas.matches("flags=S ").count() == 2 && replicas.matches("cmd=sync").count() == 2
    });
    // Who goes meanwhile is no trouble.
    let mut gone = copier(&server, None);
    gone.send(b"SYNC\r\n");
    gone.reset();
    client.configure("rdb-key-save-delay", "0");
    client.ask("BGSAVE CANCEL");
    for copier in &mut copiers {
        let other = server_with(&file_of(&copier.rest()), 1);
        assert_eq!(other.client().ask("GET later"), bulk("1"));
    }
    assert_eq!(server.client().ask("CLIENT LIST TYPE replica"), bulk(""));
}

#[test]
fn a_copy_that_cannot_be_made_is_refused_and_the_client_goes_on() {
    let server = Server::start(2, &DEBUG);
    let mut client = copier(&server, None);
    let in_its_way = server.dir.join(format!("temp-{}.rdb", server.pid()));
    std::fs::create_dir(&in_its_way).expect("a folder");
    let refused = error("ERR BGSAVE failed, replication can't continue");
    assert_eq!(client.ask("SYNC"), refused);
    assert_eq!(client.ask("REPLCONF rdb-only 0"), ok());
    assert_eq!(
        client.ask("SYNC"),
        error("ERR replication is not built yet")
    );
    assert_eq!(client.ask("REPLCONF rdb-only 1"), ok());
    std::fs::remove_dir(&in_its_way).expect("it is there");
    // However little its output may be.
    client.ask("CONFIG SET client-output-buffer-limit \"normal 1024 0 0\"");
    client.ask("DEBUG POPULATE 1000 key 100");
    client.send(b"SYNC\r\n");
    assert!(file_of(&client.rest()).starts_with(b"REDIS00"));
}

#[test]
fn who_monitors_is_sent_no_copy() {
    let server = Server::start(1, &DEBUG);
    let mut client = copier(&server, None);
    assert_eq!(client.ask("MONITOR"), ok());
    client.send(b"SYNC\r\nQUIT\r\n");
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert_eq!(rest, "+OK\r\n");
}

#[test]
fn a_server_that_ends_leaves_no_copy_waiting() {
    let mut server = Server::start(2, &DEBUG);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 100000 key 400");
    let mut reading = copier(&server, None);
    reading.send(b"SYNC\r\n");
    let begun = reading.raw(64 * 1024);
    assert!(begun.starts_with(b"$"));
    assert_eq!(server.terminate().code(), Some(0));
}
