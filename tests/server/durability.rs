//! Killed and started again: what was acknowledged is there, on however many cores.

use super::client::{Client, Next, Value, bulk, ok};
use super::harness::{ALWAYS, BINARY, Server, eventually, free_port, run_to_end};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Clients write under a kill; each knows the last value that was acknowledged.
#[test]
fn what_was_acknowledged_survives_a_kill_on_any_number_of_cores() {
    let mut server = Server::start(2, ALWAYS);
    let mut acknowledged = [0i64; 4];
    for (round, threads) in [1usize, 3, 2].into_iter().enumerate() {
        let is_over = AtomicBool::new(false);
        let port = server.port;
        acknowledged = std::thread::scope(|scope| {
            let is_over = &is_over;
            let writers: Vec<_> = acknowledged
                .into_iter()
                .enumerate()
                .map(|(index, last)| scope.spawn(move || write(port, index, last, is_over)))
                .collect();
            // As soon as every writer has something acknowledged in this round.
            let mut client = Client::connect(port);
            while client.ask(&format!("SCARD round{round}")).integer() < 4 {}
            server.signal("KILL");
            is_over.store(true, Ordering::Relaxed);
            let results: Vec<i64> = writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"))
                .collect();
            results.try_into().expect("four writers")
        });
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let mut client = server.client();
        for (index, last) in acknowledged.iter_mut().enumerate() {
            let read = |client: &mut Client, name: &str| match client
                .ask(&format!("GET {name}{index}"))
            {
                Value::Bulk(bytes) => String::from_utf8_lossy(&bytes).parse().expect("a number"),
                other => panic!("{name}{index}: {other:?}"),
            };
            let (single, left, right): (i64, i64, i64) = (
                read(&mut client, "single"),
                read(&mut client, "left"),
                read(&mut client, "right"),
            );
            assert!(
                single >= *last,
                "single{index}: {single}, acknowledged {last}"
            );
            assert_eq!(left, right, "a transaction is whole");
            assert!(left >= *last, "left{index}: {left}, acknowledged {last}");
            *last = left;
        }
    }
}

/// Writes 1, 2, 3 … until the server has gone; the last number that was acknowledged three times.
fn write(port: u16, index: usize, last: i64, is_over: &AtomicBool) -> i64 {
    let mut client = Client::connect(port);
    let mut acknowledged = last;
    for number in last + 1.. {
        let requests = [
            format!("SET single{index} {number}"),
            format!("MSET left{index} {number} right{index} {number}"),
        ];
        for request in requests {
            if client
                .try_send(format!("{request}\r\n").as_bytes())
                .is_err()
            {
                return acknowledged;
            }
            match client.next() {
                Next::Reply(value) => assert_eq!(value, ok()),
                Next::Closed => return acknowledged,
            }
        }
        acknowledged = number;
        if number == last + 1 {
            for round in 0..3 {
                let _ = client.try_send(format!("SADD round{round} {index}\r\n").as_bytes());
                if matches!(client.next(), Next::Closed) {
                    return acknowledged;
                }
            }
        }
        assert!(
            number - last < 1_000_000 || is_over.load(Ordering::Relaxed),
            "never killed"
        );
    }
    acknowledged
}

/// What ends a line or a word of a request may be any two bytes; the log has the request as it came, on one core and over two.
#[test]
fn requests_with_odd_line_ends_survive_a_kill() {
    for threads in [1, 2] {
        let mut server = Server::start(threads, ALWAYS);
        let mut client = server.client();
        for key in 0..20 {
            let request = format!("*3\rx$3\r\rSET\0\0$7\r-key-{key:03}$$$5\r\nvalue\n\r");
            client.send(request.as_bytes());
        }
        assert_eq!(client.replies(20), vec![ok(); 20]);
        server.signal("KILL");
        assert!(server.restart(threads, ALWAYS), "{}", server.log());
        let mut client = server.client();
        for key in 0..20 {
            assert_eq!(client.ask(&format!("GET key-{key:03}")), bulk("value"));
        }
    }
}

/// Every kind of value, by every policy, after a regular end; and again on another number of cores.
#[test]
fn everything_is_there_after_a_regular_end() {
    for policy in ["always", "everysec", "no"] {
        let options = [
            "--appendonly",
            "yes",
            "--appendfsync",
            policy,
            "--enable-debug-command",
            "local",
        ];
        let mut server = Server::start(3, &options);
        let mut client = server.client();
        for line in [
            "MSET a 1 b 2 c 3 d 4 e 5",
            "RENAME a z",
            "COPY b y",
            "SET soon gone PX 1",
            "SET later there EX 1000",
            "HSET h f 1 g 2",
            "HPEXPIRE h 1000000 FIELDS 1 f",
            "RPUSH l 1 2 3",
            "LMOVE l m LEFT RIGHT",
            "SADD s 1 2 3 4 5 6 7 8",
            "SPOP s 3",
            "ZADD zs 1 one 2 two",
            "ZUNIONSTORE zu 2 zs none",
            "XADD x * f v",
            "XGROUP CREATE x g 0",
            "XREADGROUP GROUP g me STREAMS x >",
            "PFADD p 1 2 3",
            "INCRBYFLOAT f 0.1",
            "ARSET ar 7 seven",
            "MULTI",
            "SELECT 3",
            "SET other db",
            "EXEC",
        ] {
            let reply = client.ask(line);
            assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        }
        let script = b"redis.call('set', KEYS[1], 1) return redis.call('incr', KEYS[2])";
        let words: [&[u8]; 5] = [b"EVAL", script, b"2", b"k1", b"k2"];
        assert_eq!(client.run(&words), Value::Integer(1));
        assert_eq!(client.ask("GET other"), bulk("db"));
        // Gone for good before the digest, which knows of dead keys too.
        assert_eq!(client.ask("SELECT 0"), ok());
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(client.ask("GET soon"), Value::Null);
        let digest = client.ask("DEBUG DIGEST");
        assert_eq!(server.info("persistence", "aof_enabled"), "1");
        assert_eq!(server.info("persistence", "aof_last_write_status"), "ok");
        for threads in [3, 1, 4] {
            assert!(server.terminate().success(), "{}", server.log());
            assert!(server.restart(threads, &options), "{}", server.log());
            let mut client = server.client();
            assert_eq!(
                client.ask("DEBUG DIGEST"),
                digest,
                "{policy} at {threads} cores"
            );
        }
    }
}

/// Numbers of cores that do not divide each other, one after the other, from logs after a kill and from snapshots: keys of every
/// type, deadlines of keys and of fields, and what blocks, scripts and commands did over several cores each time in between.
#[test]
fn every_number_of_cores_finds_what_another_has_written() {
    let logged = ALWAYS.to_vec();
    let saved = vec!["--save", "", "--enable-debug-command", "local"];
    for options in [logged, saved] {
        let is_logged = options.contains(&"--appendonly");
        let mut server = Server::start(3, &options);
        let mut client = server.client();
        for line in [
            "SET string text PXAT 33000000000001",
            "SETBIT bits 70 1",
            "HSET hash f 1 g 2",
            "HPEXPIREAT hash 33000000000002 FIELDS 1 f",
            "PEXPIREAT hash 33000000000003",
            "RPUSH list 1 2 3",
            "SADD set a b c",
            "SADD ints 1 2 3",
            "ZADD zset 1 one 2 two",
            "GEOADD places 13.361389 38.115556 Palermo",
            "XADD stream 5-1 f v",
            "XGROUP CREATE stream group 0",
            "XREADGROUP GROUP group me STREAMS stream >",
            "PFADD sketch 1 2 3",
            "ARSET array 7 seven",
        ] {
            let reply = client.ask(line);
            assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        }
        let code = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";
        assert_eq!(client.run(&[b"FUNCTION", b"LOAD", code]), bulk("l"));
        for kind in ["list", "set", "zset", "stream", "array"] {
            let reply = client.ask(&format!("PEXPIREAT {kind} 33000000000004"));
            assert_eq!(reply, Value::Integer(1), "{kind}");
        }
        for (round, threads) in [5, 2, 7, 3].into_iter().enumerate() {
            // Over all cores: a command, a block, a script; all of each or nothing.
            let names: Vec<String> = (0..24).map(|number| format!("n:{number}")).collect();
            let pairs: Vec<String> = names.iter().map(|name| format!("{name} {round}")).collect();
            assert_eq!(client.ask(&format!("MSET {}", pairs.join(" "))), ok());
            client.ask("MULTI");
            for name in &names {
                client.ask(&format!("INCRBY {name} 100"));
                client.ask(&format!(
                    "PEXPIREAT {name} {}",
                    33_000_000_000_100_i64 + round as i64
                ));
            }
            assert_eq!(client.ask("EXEC").items().len(), 48);
            let script =
                "for i, key in ipairs(KEYS) do redis.call('incrby', key, 1000) end return 1";
            let mut words = vec!["EVAL", script, "24"];
            words.extend(names.iter().map(String::as_str));
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(client.run(&words), Value::Integer(1));
            client.ask("RENAME string moved");
            client.ask("RENAME moved string");
            client.ask(&format!("SUNIONSTORE union set ints n{round}"));
            let digest = client.ask("DEBUG DIGEST");
            if !is_logged {
                assert_eq!(client.ask("SAVE"), ok());
            }
            server.signal("KILL");
            assert!(server.restart(threads, &options), "{}", server.log());
            client = server.client();
            assert_eq!(client.ask("DEBUG DIGEST"), digest, "{threads} cores");
            let sum = bulk((1_100 + round).to_string());
            let sums = client.ask(&format!("MGET {}", names.join(" ")));
            assert_eq!(sums, Value::Array(vec![sum; 24]), "{threads} cores");
            for (name, deadline) in [
                ("string", 33_000_000_000_001),
                ("hash", 33_000_000_000_003),
                ("list", 33_000_000_000_004),
                ("array", 33_000_000_000_004),
                ("n:7", 33_000_000_000_100 + round as i64),
                ("bits", -1),
            ] {
                let reply = client.ask(&format!("PEXPIRETIME {name}"));
                assert_eq!(reply, Value::Integer(deadline), "{name}, {threads} cores");
            }
            let field = client.ask("HPEXPIRETIME hash FIELDS 1 f");
            assert_eq!(
                field,
                Value::Array(vec![Value::Integer(33_000_000_000_002)])
            );
            assert_eq!(client.ask("FCALL f 0"), Value::Integer(1));
        }
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let server = Server::start(1, ALWAYS);
    let port = free_port().to_string();
    let dir = server.dir.display().to_string();
    let words = ["--port", &port, "--dir", &dir, "--appendonly", "yes"];
    let (code, said) = run_to_end(&words);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is in use by another process"), "{said}");
}

/// Where a thread that would load cannot begin, a start says what to change and ends; the next one has all keys. So it is with logs, and
/// with a snapshot that becomes their first base.
#[test]
fn a_start_without_threads_to_load_ends_with_a_reason() {
    for log in ["yes", "no"] {
        let mut server = Server::start(2, &["--appendonly", log, "--save", "3600 1"]);
        server.client().ask("MSET a 1 b 2 c 3");
        assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
        let faults = server.dir.join("faults");
        std::fs::create_dir(&faults).expect("a new folder");
        std::fs::write(faults.join("thread"), "").expect("a file in it");
        let output = std::process::Command::new(BINARY)
            .args(["--port", &free_port().to_string(), "--threads", "2"])
            .args(["--dir", &server.dir.display().to_string()])
            .args(["--appendonly", "yes", "--pin-threads", "no"])
            .env("TEST_FAULTS_OF_RONDO", &faults)
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let reason = "not enough threads can begin to load it: ";
        assert!(said.contains(reason), "{said}");
        assert!(said.contains("raise RLIMIT_NPROC"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(server.restart(2, ALWAYS), "{}", server.log());
        assert_eq!(server.client().ask("DBSIZE"), Value::Integer(3));
    }
}

/// A byte of an acknowledged record is changed: the server says which file, where, and what accepts the loss.
#[test]
fn damage_is_refused_with_file_and_offset() {
    let mut server = Server::start(1, ALWAYS);
    let mut client = server.client();
    for number in 0..5 {
        assert_eq!(client.ask(&format!("SET k {number}")), ok());
    }
    server.signal("KILL");
    server.wait_for_the_end();
    let path = server.dir.join("appendonlydir/core-00/0001-00000001.log");
    let mut bytes = std::fs::read(&path).expect("a log");
    bytes[4096 + 90] ^= 1;
    std::fs::write(&path, bytes).expect("a log");
    assert!(!server.restart(1, ALWAYS));
    let said = server.log();
    assert!(
        said.contains("core-00/0001-00000001.log is damaged at byte 4136"),
        "{said}"
    );
}

/// What a producer has sent is known after a restart, whether from the log or from a snapshot.
#[test]
fn a_request_sent_again_after_a_restart_adds_nothing() {
    let from_log = ["--appendonly", "yes", "--save", ""];
    let from_snapshot = ["--appendonly", "no", "--save", "3600 1"];
    for options in [from_log, from_snapshot] {
        let mut server = Server::start(2, &options);
        let mut client = server.client();
        client.ask("XADD s IDMP p first * a 1");
        assert_eq!(client.ask("XCFGSET s IDMP-DURATION 86400"), ok());
        client.ask("XADD s IDMP p first * a 1");
        let second = client.ask("XADD s IDMP p second * a 2");
        let third = client.ask("XADD s IDMPAUTO p * a 3");
        server.signal("TERM");
        assert!(server.restart(3, &options), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("XADD s IDMP p second * a 2"), second);
        assert_eq!(client.ask("XADD s IDMPAUTO p * a 3"), third);
        assert_eq!(client.ask("XLEN s"), Value::Integer(4));
    }
}

/// What a stream remembers of producers is what XCFGSET has said or, since its first producer, what options said then.
#[test]
fn limits_of_producers_outlive_a_restart_with_other_options() {
    let with = |seconds| [ALWAYS, &["--stream-idmp-duration", seconds]].concat();
    let mut server = Server::start(2, &with("50000"));
    let mut client = server.client();
    let first = client.ask("XADD by-options IDMP p first * a 1");
    client.ask("XADD trimmed MAXLEN ~ 1 IDMPAUTO p * a 1");
    client.ask("XADD told * a 1");
    let usual = "XCFGSET told IDMP-DURATION 100 IDMP-MAXSIZE 100";
    assert_eq!(client.ask(usual), ok());
    let figure = |client: &mut Client, key: &str, name: &str| {
        let info = client.ask(&format!("XINFO STREAM {key}"));
        let mut pairs = info.items().chunks(2);
        let pair = pairs.find(|pair| pair[0].text() == name);
        pair.map(|pair| pair[1].integer())
    };
    // From the log, then from a base.
    for threads in [3, 1] {
        server.signal("KILL");
        assert!(server.restart(threads, &with("60000")), "{}", server.log());
        let mut client = server.client();
        for (key, seconds, added) in [
            ("by-options", 50_000, 1),
            ("trimmed", 50_000, 1),
            ("told", 100, 0),
        ] {
            assert_eq!(figure(&mut client, key, "idmp-duration"), Some(seconds));
            assert_eq!(figure(&mut client, key, "idmp-maxsize"), Some(100));
            assert_eq!(figure(&mut client, key, "iids-added"), Some(added));
        }
        assert_eq!(client.ask("XADD by-options IDMP p first * a 1"), first);
        client.ask("BGREWRITEAOF");
        eventually("the rewriting ends", || server.rewrites_ended() == 1);
    }
}

/// Clients write to four cores, in several databases that are flushed and swapped meanwhile; a start on two cores, on one, and on
/// three, whose keys are not those of whole cores of before, finds what there was.
#[test]
fn a_start_on_fewer_cores_finds_what_flushes_and_swaps_have_left() {
    let options = [ALWAYS, &["--auto-aof-rewrite-percentage", "0"]].concat();
    let mut server = Server::start(4, &options);
    let port = server.port;
    std::thread::scope(|scope| {
        for index in 0..4 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                for round in 0..150 {
                    client.ask(&format!("SELECT {}", (index + round) % 3));
                    for key in 0..8 {
                        client.ask(&format!("RPUSH list:{index}:{key} {round}"));
                    }
                    client.ask(&format!(
                        "MSET a{index} {round} b{index} {round} c{index} {round}"
                    ));
                    client.ask(&format!("SET soon:{round} x EX 1000"));
                    match (index, round % 50) {
                        (0, 20) => client.ask("FLUSHDB"),
                        (1, 30) => client.ask("SWAPDB 0 2"),
                        (2, 10) => client.ask("FLUSHALL"),
                        (3, 40) => client.ask("SWAPDB 1 0"),
                        _ => client.ask("PING"),
                    };
                }
            });
        }
    });
    let mut client = server.client();
    let digest = client.ask("DEBUG DIGEST");
    assert!(client.ask("DBSIZE") != Value::Integer(0));
    let folder = server.dir.join("appendonlydir");
    server.signal("KILL");
    server.wait_for_the_end();
    for threads in [2, 1, 3, 4] {
        // Each finds the logs of four cores.
        let mut restored = Server::start(1, &[]);
        restored.signal("KILL");
        restored.wait_for_the_end();
        copy_folder(&folder, &restored.dir.join("appendonlydir"));
        assert!(restored.restart(threads, &options), "{}", restored.log());
        assert_eq!(restored.client().ask("DEBUG DIGEST"), digest, "{threads}");
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("a copy");
        }
    }
}

/// What changes no key as INFO counts changes may still be what later commands depend on.
#[test]
fn what_counts_as_no_change_is_logged_where_later_commands_depend_on_it() {
    let options = [ALWAYS, &["--enable-debug-command", "yes"]].concat();
    for (threads, again) in [(1, 3), (3, 1)] {
        let mut server = Server::start(threads, &options);
        let mut client = server.client();
        for line in [
            "XADD s 1-1 f v",
            "XADD s 1-2 f v",
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g a STREAMS s >",
        ] {
            client.ask(line);
        }
        std::thread::sleep(Duration::from_millis(500));
        // Delivered once more, so not idle.
        client.ask("XREADGROUP GROUP g a STREAMS s 0");
        client.ask("XAUTOCLAIM s g b 400 0");
        let pending = |client: &mut Client| -> Vec<String> {
            let rows = client.ask("XPENDING s g - + 10");
            let rows = rows.items().iter();
            rows.map(|row| format!("{:?} {:?}", row.items()[1], row.items()[3]))
                .collect()
        };
        let before = pending(&mut client);
        // Pending and gone, then forgotten.
        for line in [
            "XADD x 1-1 f v",
            "XGROUP CREATE x g 0",
            "XREADGROUP GROUP g a STREAMS x >",
            "XDEL x 1-1",
            "XDELEX x DELREF IDS 1 1-1",
        ] {
            client.ask(line);
        }
        // Keys that nothing else made.
        assert_eq!(client.ask("DEBUG POPULATE 3000 made 20"), ok());
        assert_eq!(client.ask("RENAME made:0 {made:0}x"), ok());
        assert_eq!(client.ask("APPEND made:1 tail"), Value::Integer(24));
        // What was taken although its checksum is wrong.
        client.ask("SET dumped hello");
        let Value::Bulk(mut dump) = client.ask("DUMP dumped") else {
            panic!("no dump");
        };
        *dump.last_mut().expect("bytes") ^= 1;
        let restore: [&[u8]; 4] = [b"RESTORE", b"restored", b"0", &dump];
        assert!(matches!(client.run(&restore), Value::Error(_)));
        assert_eq!(client.ask("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1"), ok());
        assert_eq!(client.run(&restore), ok());
        client.ask("SET last 1");
        server.signal("KILL");
        assert!(server.restart(again, &options), "{}", server.log());
        let mut client = server.client();
        assert_eq!(pending(&mut client), before, "{threads} to {again}");
        assert_eq!(client.ask("XPENDING x g").items()[0], Value::Integer(0));
        assert_eq!(
            client.ask("EXISTS made:0 {made:0}x made:2999"),
            Value::Integer(2)
        );
        assert_eq!(client.ask("STRLEN made:1"), Value::Integer(24));
        assert_eq!(client.ask("GET restored"), bulk("hello"));
        assert!(matches!(client.run(&restore), Value::Error(_)));
    }
}

/// Which entries a trim of acknowledged ones removes depends on the nodes of the moment; a start has others.
#[test]
fn trims_of_acknowledged_entries_come_out_as_they_were() {
    const NODE: &str = "--stream-node-max-entries";
    for (trim, first_node, second_node) in [
        ("XADD x ACKED MAXLEN ~ 50 300-1 f v", "100", "100"),
        ("XTRIM x MAXLEN ~ 50 ACKED", "10", "100"),
        ("XTRIM x MAXLEN = 200 ACKED", "100", "7"),
        ("XTRIM x MINID ~ 120-1 ACKED", "50", "7"),
        ("XTRIM x MINID 120 ACKED", "7", "100"),
        ("XTRIM x MAXLEN ~ 100 DELREF", "10", "50"),
    ] {
        let mut server = Server::start(1, &[ALWAYS, &[NODE, first_node]].concat());
        let mut client = server.client();
        for number in 1..=250 {
            client.ask(&format!("XADD x {number}-1 f v"));
        }
        client.ask("XGROUP CREATE x g 0");
        client.ask("XREADGROUP GROUP g c COUNT 1000 STREAMS x >");
        for number in (3..=30).chain(101..=150) {
            client.ask(&format!("XACK x g {number}-1"));
        }
        let reply = client.ask(trim);
        assert!(!matches!(reply, Value::Error(_)), "{trim}: {reply:?}");
        let all = |client: &mut Client| (client.ask("XRANGE x - +"), client.ask("XPENDING x g"));
        let before = all(&mut client);
        let count = before.0.items().len();
        assert!(count < 250 || trim.starts_with("XADD"), "{trim}: {count}");
        server.signal("KILL");
        let again = server.restart(2, &[ALWAYS, &[NODE, second_node]].concat());
        assert!(again, "{}", server.log());
        assert!(all(&mut server.client()) == before, "{trim}");
    }
}
