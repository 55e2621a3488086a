//! The configuration of a running server: CONFIG REWRITE, and what reaches the kernel.

use super::client::{Client, Value, bulk, error, ok};
use super::harness::{Server, eventually};

#[test]
fn a_server_without_a_file_has_none_to_rewrite() {
    let server = Server::start(1, &[]);
    assert_eq!(
        server.client().ask("CONFIG REWRITE"),
        error("ERR The server is running without a config file")
    );
}

/// What was set is there again after a restart from the rewritten file; the owner's words are where they were.
#[test]
fn what_was_set_is_in_the_file() {
    let server = Server::start_with_file(2, "# ours\ntimeout 5 # seconds\n");
    let mut client = server.client();
    assert_eq!(client.ask("CONFIG SET hz 20 maxclients 123"), ok());
    assert_eq!(client.ask("CONFIG REWRITE"), ok());
    let path = server.dir.join("redis.conf");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert!(
        text.starts_with("# ours\ntimeout 5 # seconds\n\n# Generated"),
        "{text}"
    );
    let again = Server::start_with_file(2, &text.replace(&server.dir.display().to_string(), "."));
    let mut client = again.client();
    for (name, value) in [("timeout", "5"), ("hz", "20"), ("maxclients", "123")] {
        assert_eq!(
            client.ask(&format!("CONFIG GET {name}")).items()[1].text(),
            value
        );
    }
    // A folder that nothing can be written to any more.
    std::fs::remove_dir_all(&server.dir).expect("it is a folder");
    let reply = server.client().ask("CONFIG REWRITE");
    assert_eq!(
        reply,
        error("ERR Rewriting config file: No such file or directory")
    );
}

#[test]
fn the_oom_score_is_set_and_given_back() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let score = || {
        let path = format!("/proc/{}/oom_score_adj", server.pid());
        let text = std::fs::read_to_string(path).expect("the process runs");
        text.trim().parse::<i64>().expect("a number")
    };
    let found = score();
    let set = |client: &mut Client, name: &str, value: &str| {
        assert_eq!(
            client.run(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]),
            ok()
        );
    };
    set(&mut client, "oom-score-adj-values", "900 200 800");
    assert_eq!(score(), found);
    set(&mut client, "oom-score-adj", "absolute");
    assert_eq!(score(), 900);
    set(&mut client, "oom-score-adj-values", "50 200 800");
    set(&mut client, "oom-score-adj", "yes");
    assert_eq!(score(), found + 50);
    set(&mut client, "oom-score-adj", "no");
    assert_eq!(score(), found);
    // What others make of it meanwhile stays, and is what is given back next time.
    let path = format!("/proc/{}/oom_score_adj", server.pid());
    std::fs::write(&path, (found + 3).to_string()).expect("the process runs");
    set(&mut client, "oom-score-adj-values", "7 200 800");
    assert_eq!(score(), found + 3);
    set(&mut client, "oom-score-adj", "yes");
    assert_eq!(score(), found + 10);
    set(&mut client, "oom-score-adj", "no");
    assert_eq!(score(), found + 3);
}

/// What `ps` shows is what the template says, cut to the room that the command line had.
#[test]
fn the_process_has_a_title() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let title = || {
        let path = format!("/proc/{}/cmdline", server.pid());
        let bytes = std::fs::read(path).expect("the process runs");
        String::from_utf8_lossy(&bytes)
            .trim_end_matches('\0')
            .to_string()
    };
    let address = format!("127.0.0.1:{}", server.port);
    assert_eq!(title(), format!("{} {address}", super::harness::BINARY));
    let words: [&[u8]; 4] = [
        b"CONFIG",
        b"SET",
        b"proc-title-template",
        b"cache {port} {x}",
    ];
    assert_eq!(
        client.run(&words),
        error(
            "ERR CONFIG SET failed (possibly related to argument 'proc-title-template') - template format is invalid or \
             contains unknown variables"
        )
    );
    let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"proc-title-template", b"cache {port} "];
    assert_eq!(client.run(&words), ok());
    assert_eq!(title(), format!("cache {}", server.port));
    let long = "x".repeat(10_000);
    let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"proc-title-template", long.as_bytes()];
    assert_eq!(client.run(&words), ok());
    let cut = title();
    assert!(cut.len() > 20 && cut.len() < 10_000, "{cut}");
    assert!(cut.bytes().all(|byte| byte == b'x'), "{cut}");
    let untouched = Server::start(1, &["--set-proc-title", "no"]);
    let path = format!("/proc/{}/cmdline", untouched.pid());
    assert!(
        std::fs::read(path)
            .expect("it runs")
            .ends_with(b"\0--set-proc-title\0no\0")
    );
}

/// Lines so far stay as they are.
#[test]
fn the_form_of_log_lines_changes_at_once() {
    let server = Server::start(2, &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let mut say = |format: &str, time: &str, text: &str| {
        let set = format!("CONFIG SET log-format {format} log-timestamp-format {time}");
        assert_eq!(client.ask(&set), ok());
        assert_eq!(client.ask(&format!("DEBUG LOG {text}")), ok());
    };
    say("json", "legacy", "first");
    say("text", "legacy", "second");
    say("legacy", "legacy", "third");
    say("legacy", "milliseconds", "fourth");
    say("logfmt", "iso8601", "fifth");
    let log = server.log();
    let line_of = |text: &str| {
        let line = log.lines().find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("no {text}: {log}"))
    };
    let first = line_of("DEBUG LOG: first");
    assert!(
        first.starts_with('{') && first.contains("\"level\":\"WARN\""),
        "{first}"
    );
    let second = line_of("DEBUG LOG: second");
    assert!(second.contains("Z  WARN DEBUG LOG: second"), "{second}");
    let pid = server.pid();
    let third = line_of("DEBUG LOG: third");
    let (head, time) = third.split_at(format!("{pid}:M ").len());
    assert_eq!(head, format!("{pid}:M "));
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    let month = &time[3..6];
    assert!("JanFebMarAprMayJunJulAugSepOctNovDec".contains(month));
    assert_eq!(
        shape,
        format!("99 {month} 9999 99:99:99.999 # DEBUG LOG: third")
    );
    let fourth = line_of("DEBUG LOG: fourth");
    let words: Vec<&str> = fourth.splitn(4, ' ').collect();
    assert_eq!(words[1].len(), 13, "{fourth}");
    assert!(words[1].bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(words[2..], ["#", "DEBUG LOG: fourth"]);
    let fifth = line_of("DEBUG LOG: fifth");
    let start = format!("pid={pid} role=primary timestamp=\"2");
    assert!(fifth.starts_with(&start), "{fifth}");
    let end = "level=warning message=\"DEBUG LOG: fifth\"";
    assert!(fifth.ends_with(end), "{fifth}");
}

/// Scripts and containers wait for this line of Redis's.
#[test]
fn the_log_tells_that_connections_are_accepted() {
    let dir = super::harness::new_dir();
    let socket = dir.join("socket");
    let mut server = Server::start(2, &["--unixsocket", &socket.display().to_string()]);
    let count = |log: &str, text: &str| log.matches(text).count();
    let tcp = " * Ready to accept connections tcp port=";
    let unix = " * Ready to accept connections unix\n";
    // A client may be answered a moment before.
    eventually("the last line", || server.log().contains(unix));
    let log = server.log();
    assert_eq!(count(&log, tcp), 1, "{log}");
    assert_eq!(count(&log, unix), 1, "{log}");
    server.client().ask("SET a 1");
    assert!(server.terminate().success());
    // Once all is loaded, not before.
    assert!(server.restart(2, &[]), "{}", server.log());
    eventually("the line", || server.log().contains(tcp));
    let log = server.log();
    let places = ["Server initialized", "DB loaded from disk", tcp].map(|text| log.find(text));
    assert!(places.is_sorted() && places[0].is_some(), "{log}");
}

/// Options that Redis 8.0 refuses to change whatever they are set to, in the order of their names.
const UNCHANGEABLE: &[&str] = &[
    "aclfile",
    "always-show-logo",
    "aof-rewrite-cpulist",
    "aof_rewrite_cpulist",
    "appenddirname",
    "appendfilename",
    "bgsave-cpulist",
    "bgsave_cpulist",
    "bio-cpulist",
    "bio_cpulist",
    "cluster-config-file",
    "cluster-enabled",
    "cluster-port",
    "daemonize",
    "databases",
    "dbfilename",
    "dir",
    "disable-thp",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    "io-threads",
    "logfile",
    "pidfile",
    "rdbchecksum",
    "replicaof",
    "server-cpulist",
    "server_cpulist",
    "set-proc-title",
    "slaveof",
    "socket-mark-id",
    "supervised",
    "syslog-enabled",
    "syslog-facility",
    "syslog-ident",
    "tcp-backlog",
    "unixsocket",
    "unixsocketperm",
];

/// Tools set again what they got: every other option, those that Redis 8.0 does not know included, takes its own value.
#[test]
fn what_config_get_tells_can_be_set() {
    let server = Server::start(1, &["--save", ""]);
    let mut client = server.client();
    let words = client.ask("CONFIG GET *");
    let mut refused: Vec<String> = Vec::new();
    for pair in words.items().chunks(2) {
        let (name, value) = (pair[0].text(), pair[1].text());
        let reply = client.run(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]);
        if reply != ok() {
            refused.push(name);
        }
    }
    refused.sort();
    assert_eq!(refused, UNCHANGEABLE);
}

/// Clients that choose the nearest server are told where this one stands.
#[test]
fn the_availability_zone_is_told_by_hello_and_info() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let said = |client: &mut Client| {
        let reply = client.ask("HELLO 2");
        let texts: Vec<Value> = reply.items().to_vec();
        let at = (texts.iter()).position(|it| *it == bulk("availability_zone"));
        at.map(|at| texts[at + 1].text())
    };
    assert_eq!(said(&mut client), None);
    assert_eq!(client.ask("CONFIG SET availability-zone here"), ok());
    assert_eq!(said(&mut client), Some("here".to_string()));
    assert_eq!(server.info("server", "availability_zone"), "here");
    let none = client.run(&[b"CONFIG", b"SET", b"availability-zone", b""]);
    assert_eq!(none, ok());
    assert_eq!(said(&mut client), None);
}

/// Two servers with one `hash-seed` are scanned in one order, keys as members of a set.
#[test]
fn servers_of_one_seed_are_scanned_in_one_order() {
    let scans = |seed: &str| {
        let server = Server::start(2, &["--hash-seed", seed]);
        let mut client = server.client();
        for number in 0..300 {
            assert_eq!(client.ask(&format!("SET key:{number} x")), ok());
            client.ask(&format!("SADD set member:{number}"));
        }
        let keys = client.ask("SCAN 0 COUNT 50");
        (keys, client.ask("SSCAN set 0 COUNT 50"))
    };
    let first = scans("one");
    assert_eq!(first, scans("one"));
    assert_ne!(first, scans("other"));
}

/// What the server runs by itself it finds by the names that commands were born with; so does a start that reads its log.
#[test]
fn renamed_commands_are_found_by_the_server_itself() {
    let text = "appendonly yes\nappendfsync always\nenable-debug-command yes\n\
        rename-command BGSAVE \"\"\nrename-command DEL \"\"\nrename-command LPUSH \"\"\nrename-command RPOP \"\"\n\
        rename-command LMOVE \"\"\nrename-command SREM \"\"\nrename-command XADD add\nrename-command XREADGROUP readgroup\n\
        rename-command XDELEX delexx\nrename-command BITFIELD field\nrename-command SPOP pop\nrename-command RPUSH push\n\
        rename-command SADD put\nrename-command MSET many\n";
    for threads in [1, 3] {
        let mut server = Server::start_with_file(threads, text);
        let mut client = server.client();
        for (from, to) in [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")] {
            client.ask(&format!("push l{from} 1 2 3"));
            client.ask(&format!("put s{from} x y z"));
            for line in [
                format!("RPOPLPUSH l{from} l{to}"),
                format!("BLMOVE l{from} l{to} LEFT RIGHT 1"),
                format!("SMOVE s{from} s{to} x"),
                format!("pop s{from} 1"),
                format!("SORT none STORE l{from}"),
                format!("many m{from} 1 m{to} 2"),
            ] {
                let reply = client.ask(&line);
                assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
            }
        }
        for line in [
            "add x MAXLEN ~ 5 1-1 f v",
            "add x MAXLEN = 5 ACKED 2-1 f v",
            "XGROUP CREATE x g 0",
            "readgroup GROUP g c STREAMS x >",
            "readgroup GROUP g c STREAMS x 0",
            "XDEL x 1-1",
            "delexx x DELREF IDS 1 1-1",
            "SET big 9999",
            "field bits OVERFLOW FAIL INCRBY u8 8 999",
            "DEBUG POPULATE 10 made",
            "SAVE",
            "BGREWRITEAOF",
        ] {
            let reply = client.ask(line);
            assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        }
        eventually("the rewriting ends", || {
            server.info("persistence", "aof_rewrite_in_progress") == "0"
        });
        client.ask("add x MAXLEN ~ 5 9-1 f v");
        client.ask("readgroup GROUP g c STREAMS x 0");
        let digest = client.ask("DEBUG DIGEST");
        server.signal("KILL");
        server.wait_for_the_end();
        // By any names.
        let options = ["--appendonly", "yes", "--enable-debug-command", "yes"];
        assert!(server.restart(threads, &options), "{}", server.log());
        assert_eq!(server.client().ask("DEBUG DIGEST"), digest, "at {threads}");
    }
}
