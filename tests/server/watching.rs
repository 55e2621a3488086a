//! SLOWLOG, LATENCY, MONITOR: over all cores, in one order, without secrets.

use super::client::{Client, Value, bulk, ok};
use super::harness::{Server, eventually};

/// A key on each of three cores at least.
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn words(entry: &Value) -> Vec<String> {
    entry.items()[3].items().iter().map(Value::text).collect()
}

/// Redis's shape; numbers are unique and grow, whichever core ran the call.
#[test]
fn slow_calls_of_all_cores_are_in_one_log() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--slowlog-log-slower-than", "0"]);
        let mut client = server.client();
        client.ask("CLIENT SETNAME tester");
        assert_eq!(client.ask("SLOWLOG RESET"), ok());
        for key in KEYS {
            assert_eq!(client.ask(&format!("SET {key} 1")), ok());
        }
        client.ask("MGET a b c d e f g h");
        client.ask("CONFIG SET slowlog-log-slower-than -1");
        let entries = client.ask("SLOWLOG GET -1");
        let lines: Vec<String> = entries
            .items()
            .iter()
            .map(|entry| words(entry).join(" "))
            .collect();
        // The newest first; what turned it off is measured by the new threshold, as in Redis.
        let mut expected = vec!["MGET a b c d e f g h".to_string()];
        expected.extend(KEYS.iter().rev().map(|key| format!("SET {key} 1")));
        expected.push("SLOWLOG RESET".to_string());
        assert_eq!(lines, expected, "{threads} threads");
        let ids: Vec<i64> = entries
            .items()
            .iter()
            .map(|entry| entry.items()[0].integer())
            .collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1] + 1), "{ids:?}");
        for entry in entries.items() {
            let [_, at, took, _, address, name] = entry.items() else {
                panic!("six parts: {entry:?}");
            };
            assert!(
                at.integer() > 1_700_000_000 && took.integer() >= 0,
                "{entry:?}"
            );
            assert!(address.text().starts_with("127.0.0.1:"), "{entry:?}");
            assert_eq!(name, &bulk("tester"));
        }
        assert_eq!(client.ask("SLOWLOG LEN"), Value::Integer(10));
        assert_eq!(client.ask("SLOWLOG GET 2").items().len(), 2);
        assert_eq!(client.ask("SLOWLOG RESET"), ok());
        assert_eq!(client.ask("SLOWLOG LEN"), Value::Integer(0));
    }
}

/// A script stands before what it calls, wherever its keys are; in the slow log it comes after that.
#[test]
fn scripts_are_shown_with_what_they_call() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--slowlog-log-slower-than", "0"]);
        let mut monitor = server.client();
        assert_eq!(monitor.ask("MONITOR"), ok());
        let mut client = server.client();
        client.ask("SLOWLOG RESET");
        let text = "redis.call('set',KEYS[1],'1') return redis.call('get',KEYS[2])";
        for pair in [["a", "a"], ["b", "b"], ["a", "c"], ["d", "f"]] {
            let [first, second] = pair;
            let words = ["EVAL", text, "2", first, second];
            client.run(&words.map(str::as_bytes));
            assert_eq!(
                without_time(&mut monitor),
                format!("[0 \"EVAL\" \"{text}\" \"2\" \"{first}\" \"{second}\"")
            );
            let set = monitor.reply().text();
            assert!(
                set.ends_with(&format!("[0 lua] \"set\" \"{first}\" \"1\"")),
                "{set}"
            );
            let get = monitor.reply().text();
            assert!(
                get.ends_with(&format!("[0 lua] \"get\" \"{second}\"")),
                "{get}"
            );
        }
        assert_eq!(client.ask("SLOWLOG LEN"), Value::Integer(13));
        let entries = client.ask("SLOWLOG GET 4");
        let names: Vec<String> = entries
            .items()
            .iter()
            .map(|entry| words(entry)[0].clone())
            .collect();
        assert_eq!(names, ["SLOWLOG", "EVAL", "get", "set"]);
    }
}

/// EXEC stands behind what the scripts of its block call, and in the database that the block leads to; so does a SELECT. What a
/// script calls stands behind its own line and before those of the commands that follow it, wherever their keys are.
#[test]
fn a_block_is_shown_with_what_its_scripts_call() {
    const TWO: &[u8] = b"redis.call('set',KEYS[1],1) return redis.call('set',KEYS[2],2)";
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut monitor = server.client();
        assert_eq!(monitor.ask("MONITOR"), ok());
        let mut client = server.client();
        client.ask("MULTI");
        client.ask("SELECT 1");
        client.run(&[b"EVAL", b"return redis.call('get',KEYS[1])", b"1", b"a"]);
        client.ask("SET b 1");
        client.ask("EVALSHA ffffffffffffffffffffffffffffffffffffffff 0");
        client.run(&[b"EVAL", TWO, b"2", b"c", b"d"]);
        client.ask("MGET a b c d");
        client.ask("exec");
        client.run(&[b"EVAL", b"return redis.call('select','2')", b"0"]);
        let calls = |line: &str| {
            line.split_once("] ").map(|(head, rest)| {
                let (head, rest) = (
                    head.split_once('[').expect("a database").1,
                    rest.to_string(),
                );
                let (db, by) = head.split_once(' ').expect("who asked");
                format!("{db} {} {rest}", if by == "lua" { "lua" } else { "client" })
            })
        };
        let seen: Vec<_> = (0..13).map(|_| calls(&monitor.reply().text())).collect();
        let expected = [
            r#"0 client "MULTI""#,
            r#"1 client "SELECT" "1""#,
            r#"1 client "EVAL" "return redis.call('get',KEYS[1])" "1" "a""#,
            r#"1 lua "get" "a""#,
            r#"1 client "SET" "b" "1""#,
            r#"1 client "EVALSHA" "ffffffffffffffffffffffffffffffffffffffff" "0""#,
            r#"1 client "EVAL" "redis.call('set',KEYS[1],1) return redis.call('set',KEYS[2],2)" "2" "c" "d""#,
            r#"1 lua "set" "c" "1""#,
            r#"1 lua "set" "d" "2""#,
            r#"1 client "MGET" "a" "b" "c" "d""#,
            r#"1 client "exec""#,
            r#"1 client "EVAL" "return redis.call('select','2')" "0""#,
            r#"2 lua "select" "2""#,
        ];
        assert_eq!(
            seen,
            expected.map(|line| Some(line.to_string())),
            "{threads}"
        );
    }
}

/// MONITOR a second time is not answered, and while replies are off there are no lines; RESET ends what comes after it.
#[test]
fn who_monitors_is_answered_once_and_shown_nothing_with_replies_off() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut monitor = server.client();
        assert_eq!(monitor.ask("MONITOR"), ok());
        monitor.send(b"MONITOR\r\nPING\r\n");
        let mut replies = [monitor.reply().text(), monitor.reply().text()];
        replies.sort_by_key(|reply| reply.len());
        assert_eq!(replies[0], "PONG", "{threads}");
        assert!(replies[1].ends_with("\"PING\""), "{replies:?}");
        monitor.send(b"CLIENT REPLY OFF\r\n");
        let mut client = server.client();
        let off = "cmd=client|reply";
        eventually("its replies are off", || {
            client.ask("CLIENT LIST").text().contains(off)
        });
        client.ask("GET unseen");
        assert_eq!(monitor.ask("CLIENT REPLY ON"), ok(), "{threads}");
        client.ask("GET seen");
        let own = without_time(&mut monitor);
        assert_eq!(own, "[0 \"CLIENT\" \"REPLY\" \"ON\"", "{threads}");
        assert_eq!(
            without_time(&mut monitor),
            "[0 \"GET\" \"seen\"",
            "{threads}"
        );
        monitor.send(b"HELLO 2\r\nRESET\r\n");
        assert_eq!(monitor.reply().items().len(), 14);
        assert_eq!(
            without_time(&mut monitor),
            "[0 \"HELLO\" \"2\"",
            "{threads}"
        );
        assert_eq!(monitor.reply(), Value::Simple("RESET".into()), "{threads}");
    }
}

/// From CLIENT REPLY SKIP to the end of what that skips a monitor is shown nothing, as by Redis: not what others do, nor its own.
#[test]
fn who_monitors_is_not_shown_what_is_skipped() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut monitor = server.client();
        let mut client = server.client();
        let id = monitor.ask("CLIENT ID").integer();
        assert_eq!(monitor.ask("MONITOR"), ok());
        let mut says = |monitor: &mut Client, lines: &str, last: &str| {
            monitor.send(lines.as_bytes());
            let last = format!("cmd={last} ");
            eventually(&last, || client.ask("CLIENT LIST").text().contains(&last));
            client.ask(&format!("GET behind:{}", last.trim_end()));
        };
        says(&mut monitor, "CLIENT REPLY SKIP\r\n", "client|reply");
        says(&mut monitor, "PING\r\n", "ping");
        let skip = "[0 \"CLIENT\" \"REPLY\" \"SKIP\"";
        assert_eq!(without_time(&mut monitor), skip, "{threads}");
        let seen = "[0 \"GET\" \"behind:cmd=ping\"";
        assert_eq!(without_time(&mut monitor), seen, "{threads}");
        says(&mut monitor, "CLIENT REPLY SKIP\r\nWAIT 1 0\r\n", "wait");
        let unblock = format!("CLIENT UNBLOCK {id}");
        assert_eq!(server.client().ask(&unblock), Value::Integer(1));
        monitor.send(b"ECHO x\r\n");
        assert_eq!(without_time(&mut monitor), skip, "{threads}");
        assert_eq!(monitor.reply(), bulk("x"), "{threads}");
        let own = "[0 \"ECHO\" \"x\"";
        assert_eq!(without_time(&mut monitor), own, "{threads}");
        // What EXEC replies has no bytes for what is not said in it, so it is no reply by itself.
        let until = |monitor: &mut Client, end: &str| {
            let mut text = String::new();
            while !text.ends_with(end) {
                text.push(char::from(monitor.raw(1)[0]));
            }
            text
        };
        monitor.send(b"MULTI\r\nCLIENT REPLY SKIP\r\nPING\r\nEXEC\r\n");
        until(&mut monitor, "] \"EXEC\"\r\n");
        server.client().ask("GET behind:exec");
        says(&mut monitor, "ECHO y\r\n", "echo");
        let text = until(&mut monitor, "\"behind:cmd=echo\"\r\n");
        assert!(!text.contains("behind:exec"), "{text}");
        assert!(!text.contains("\"ECHO\""), "{text}");
    }
}

/// What a script calls is logged where it was slow, whatever it is and wherever it runs, as nobody's; and once, also where the
/// script leaves the core that it began on.
#[test]
fn what_scripts_call_is_logged() {
    const CALLS: [&str; 9] = [
        "get c",
        "set a 1",
        "mset a 1 b 2 c 3 d 4 e 5 f 6",
        "lpush b x",
        "publish news x",
        "time",
        "pubsub numpat",
        "memory purge",
        "get f",
    ];
    let calls = CALLS.map(|call| format!("redis.pcall('{}')", call.replace(' ', "','")));
    let text = calls.join(" ");
    for threads in [1, 3] {
        let server = Server::start(threads, &["--slowlog-log-slower-than", "0"]);
        let mut client = server.client();
        client.ask("CLIENT SETNAME tester");
        client.ask("SLOWLOG RESET");
        // The second time it is known to leave its core.
        for _ in 0..2 {
            client.run(&[b"EVAL", text.as_bytes(), b"0"]);
        }
        client.ask("CONFIG SET slowlog-log-slower-than 1000000000");
        client.run(&[b"EVAL", text.as_bytes(), b"0"]);
        let entries = client.ask("SLOWLOG GET -1");
        let mut entries: Vec<&Value> = entries.items().iter().collect();
        entries.reverse();
        assert_eq!(
            entries.len(),
            1 + 2 * (CALLS.len() + 1),
            "{threads} threads"
        );
        for script in entries[1..].chunks(CALLS.len() + 1) {
            for (entry, call) in script.iter().zip(CALLS) {
                assert_eq!(words(entry).join(" "), call, "{threads} threads");
                assert_eq!(entry.items()[4..], [bulk(""), bulk("")], "{entry:?}");
            }
            let own = script[CALLS.len()];
            assert_eq!(words(own)[0], "EVAL");
            assert_eq!(own.items()[5], bulk("tester"));
        }
    }
}

/// What runs over several shards in a block is an entry of its own as well, a script behind what it calls; so is what fails.
#[test]
fn a_blocks_commands_over_shards_are_logged() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--slowlog-log-slower-than", "0"]);
        let mut client = server.client();
        client.ask("SADD s 1");
        client.ask("SLOWLOG RESET");
        client.ask("MULTI");
        client.ask("MSET a 1 b 2 c 3 d 4");
        client.ask("MGET a b c d e f g h");
        client.ask("SINTERSTORE a b s c d");
        let text = "redis.call('set',KEYS[1],'1');return{redis.call('get',KEYS[2])}";
        client.run(&["EVAL", text, "2", "e", "f"].map(str::as_bytes));
        client.ask("DEL a b c d e f g h");
        assert_eq!(client.ask("EXEC").items().len(), 5);
        client.ask("CONFIG SET slowlog-log-slower-than -1");
        let entries = client.ask("SLOWLOG GET -1");
        let mut lines: Vec<String> = entries
            .items()
            .iter()
            .map(|entry| words(entry).join(" "))
            .collect();
        lines.reverse();
        let expected = [
            "SLOWLOG RESET",
            "MULTI",
            "MSET a 1 b 2 c 3 d 4",
            "MGET a b c d e f g h",
            "SINTERSTORE a b s c d",
            "set e 1",
            "get f",
            &format!("EVAL {text} 2 e f"),
            "DEL a b c d e f g h",
        ];
        assert_eq!(lines, expected, "{threads} threads");
    }
}

/// Commands of a block are entries of their own, on one shard or several; EXEC is none.
#[test]
fn a_blocks_commands_are_logged_and_measured() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--slowlog-log-slower-than", "0"]);
        let mut client = server.client();
        client.ask("SLOWLOG RESET");
        client.ask("MULTI");
        for key in KEYS {
            client.ask(&format!("SETRANGE {key} 100000 x"));
        }
        assert_eq!(client.ask("EXEC").items().len(), 8);
        client.ask("CONFIG SET slowlog-log-slower-than -1");
        let entries = client.ask("SLOWLOG GET -1");
        let mut names: Vec<String> = entries
            .items()
            .iter()
            .map(|entry| words(entry)[0].clone())
            .collect();
        names.sort();
        let mut expected = vec!["MULTI"];
        expected.extend(["SETRANGE"; 8]);
        expected.push("SLOWLOG");
        assert_eq!(names, expected, "{threads} threads");
        let line = server.info("commandstats", "cmdstat_setrange");
        assert!(
            line.starts_with("calls=8,") && !line.contains("usec=0,"),
            "{line}"
        );
    }
}

#[test]
fn the_slow_log_keeps_its_length_and_no_secret() {
    let server = Server::start(
        2,
        &["--slowlog-log-slower-than", "0", "--slowlog-max-len", "3"],
    );
    let mut client = server.client();
    client.ask("CONFIG SET masterauth secret1");
    client.ask("AUTH secret2");
    client.ask("HELLO 2 AUTH user secret3");
    let text = format!("{:?}", client.ask("SLOWLOG GET -1"));
    assert_eq!(client.ask("SLOWLOG LEN"), Value::Integer(3));
    assert!(!text.contains("secret"), "{text}");
    let mut long = vec![b"MSET".to_vec()];
    for index in 0..40 {
        long.push(format!("k{index}").into_bytes());
        long.push(vec![b'x'; 200]);
    }
    let long: Vec<&[u8]> = long.iter().map(Vec::as_slice).collect();
    client.run(&long);
    let entries = client.ask("SLOWLOG GET 1");
    let words = words(&entries.items()[0]);
    assert_eq!(words.len(), 32);
    assert_eq!(words[2], format!("{}... (72 more bytes)", "x".repeat(128)));
    assert_eq!(words[31], "... (50 more arguments)");
    // Without a length there is no log, and nothing is numbered.
    assert_eq!(client.ask("CONFIG SET slowlog-max-len 0"), ok());
    client.ask("PING");
    assert_eq!(client.ask("CONFIG SET slowlog-max-len 128"), ok());
    let entries = client.ask("SLOWLOG GET 2");
    let ids: Vec<i64> = entries
        .items()
        .iter()
        .map(|entry| entry.items()[0].integer())
        .collect();
    assert_eq!(ids[0], ids[1] + 1);
    let newest = entries.items()[0].items()[3].items();
    assert_eq!(newest[0], bulk("CONFIG"));
}

#[test]
fn the_latency_monitor_notes_what_its_threshold_says() {
    let server = Server::start(
        2,
        &[
            "--latency-monitor-threshold",
            "200",
            "--enable-debug-command",
            "yes",
        ],
    );
    let mut client = server.client();
    assert_eq!(client.ask("LATENCY LATEST"), Value::Array(Vec::new()));
    assert_eq!(client.ask("DEBUG SLEEP 0.25"), ok());
    let latest = client.ask("LATENCY LATEST");
    let event = latest.items()[0].items();
    assert_eq!(event[0], bulk("command"));
    // The sleep ends at a moment that is fixed a little before the command is timed.
    assert!(
        event[2].integer() >= 200 && event[3].integer() >= event[2].integer(),
        "{latest:?}"
    );
    assert_eq!(client.ask("LATENCY HISTORY command").items().len(), 1);
    let graph = client.ask("LATENCY GRAPH command").text();
    assert!(graph.starts_with("command - high "), "{graph}");
    assert!(
        client
            .ask("LATENCY DOCTOR")
            .text()
            .contains("command: 1 latency spikes")
    );
    assert_eq!(
        client.ask("LATENCY RESET nosuch command"),
        Value::Integer(1)
    );
    assert_eq!(
        client.ask("LATENCY GRAPH command"),
        Value::Error("ERR No samples available for event 'command'".to_string())
    );
    client.ask("CONFIG SET latency-monitor-threshold 0");
    client.ask("DEBUG SLEEP 0.25");
    assert_eq!(client.ask("LATENCY LATEST"), Value::Array(Vec::new()));
}

/// The whole server stands still, once, however many cores it has.
#[test]
fn a_sleep_takes_its_time_and_no_more() {
    let server = Server::start(
        4,
        &[
            "--latency-monitor-threshold",
            "1",
            "--enable-debug-command",
            "yes",
        ],
    );
    let mut client = server.client();
    let start = std::time::Instant::now();
    assert_eq!(client.ask("DEBUG SLEEP 0.5"), ok());
    assert!(start.elapsed().as_millis() >= 500);
    let latest = client.ask("LATENCY LATEST");
    // One core after the other would be two seconds.
    let worst = latest.items()[0].items()[3].integer();
    assert!((500..1000).contains(&worst), "{latest:?}");
}

/// A command that waited is logged when it is over, with the time it took and not the time it waited.
#[test]
fn what_has_waited_is_logged_at_its_end() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--slowlog-log-slower-than", "0"]);
        let (mut waiter, mut client) = (server.client(), server.client());
        client.ask("SLOWLOG RESET");
        waiter.send(b"BLPOP l m 0\r\n");
        eventually("it waits", || {
            client
                .ask("INFO clients")
                .text()
                .contains("blocked_clients:1\r")
        });
        assert!(!format!("{:?}", client.ask("SLOWLOG GET -1")).contains("BLPOP"));
        assert_eq!(client.ask("RPUSH m x"), Value::Integer(1));
        assert_eq!(waiter.reply().items().len(), 2);
        let entries = client.ask("SLOWLOG GET -1");
        let logged: Vec<String> = entries
            .items()
            .iter()
            .map(|entry| words(entry).join(" "))
            .collect();
        assert_eq!(
            logged.iter().filter(|line| *line == "BLPOP l m 0").count(),
            1,
            "{logged:?}"
        );
    }
}

#[test]
fn histograms_count_every_core() {
    let server = Server::start(3, &[]);
    let mut client = server.client();
    client.ask("HELLO 3");
    client.ask("CONFIG RESETSTAT");
    for key in KEYS {
        client.ask(&format!("SET {key} 1"));
    }
    let Value::Map(rows) = client.ask("LATENCY HISTOGRAM set nosuch config") else {
        panic!("a map");
    };
    let names: Vec<String> = rows.iter().map(|(name, _)| name.text()).collect();
    assert_eq!(names, ["set", "config|resetstat"]);
    let Value::Map(set) = &rows[0].1 else {
        panic!("a map: {rows:?}");
    };
    assert_eq!(set[0], (bulk("calls"), Value::Integer(8)));
    let Value::Map(steps) = &set[1].1 else {
        panic!("a map: {set:?}");
    };
    assert_eq!(
        steps.last().map(|(_, count)| count),
        Some(&Value::Integer(8))
    );
    client.ask("CONFIG SET latency-tracking no");
    client.ask("CONFIG RESETSTAT");
    client.ask("SET a 1");
    assert_eq!(client.ask("LATENCY HISTOGRAM"), Value::Map(Vec::new()));
}

fn without_time(client: &mut Client) -> String {
    let line = client.reply().text();
    let (time, rest) = line.split_once(' ').expect("a time");
    let (seconds, micros) = time.split_once('.').expect("seconds and microseconds");
    assert!(seconds.len() >= 10 && micros.len() == 6, "{line}");
    let (head, rest) = rest.split_once("] ").expect("who asked");
    let (db, _) = head.split_once(' ').expect("database and address");
    format!("{db} {rest}")
}

/// Every request once, in the order its clients made them, blocks in the order Redis has.
#[test]
fn monitors_see_what_every_core_does() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut first = server.client();
        let mut second = server.client();
        assert_eq!(first.ask("MONITOR"), ok());
        assert_eq!(second.ask("MONITOR"), ok());
        let (mut one, mut other) = (server.client(), server.client());
        for key in KEYS {
            one.ask(&format!("SET {key} 1"));
            other.ask(&format!("GET {key}"));
        }
        one.ask("SELECT 2");
        one.ask("MULTI");
        one.run(&[b"SET", b"x", b"a\r\n\x01\"b"]);
        one.ask("INCR y");
        one.ask("EXEC");
        one.ask("AUTH secret");
        one.ask("CONFIG GET port");
        one.ask("GET a b");
        one.ask("MGET a b c d");
        let mut expected = Vec::new();
        for key in KEYS {
            expected.push(format!("[0 \"SET\" \"{key}\" \"1\""));
            expected.push(format!("[0 \"GET\" \"{key}\""));
        }
        for line in [
            r#"[0 "SELECT" "2""#,
            r#"[2 "MULTI""#,
            r#"[2 "SET" "x" "a\r\n\x01\"b""#,
            r#"[2 "INCR" "y""#,
            r#"[2 "EXEC""#,
            r#"[2 "AUTH" "(redacted)""#,
            r#"[2 "MGET" "a" "b" "c" "d""#,
        ] {
            expected.push(line.to_string());
        }
        // Redis shows SELECT in the database it leads to.
        expected[16] = r#"[2 "SELECT" "2""#.to_string();
        for monitor in [&mut first, &mut second] {
            let seen: Vec<String> = expected.iter().map(|_| without_time(monitor)).collect();
            assert_eq!(seen, expected, "{threads} threads");
        }
        assert_eq!(
            first.ask("GET a"),
            Value::Error("ERR Replica can't interact with the keyspace".to_string())
        );
        // Its own lines come before what is refused behind them.
        first.send(b"PING\r\nGET a\r\n");
        assert_eq!(first.reply(), Value::Simple("PONG".to_string()));
        assert_eq!(without_time(&mut first), r#"[0 "PING""#);
        assert!(matches!(first.reply(), Value::Error(_)));
        assert_eq!(without_time(&mut second), r#"[0 "PING""#);
        assert!(one.ask("CLIENT LIST").text().contains(" flags=O "));
        assert_eq!(first.ask("RESET"), Value::Simple("RESET".to_string()));
        assert_eq!(without_time(&mut second), r#"[0 "RESET""#);
        assert_eq!(second.ask("QUIT"), ok());
        one.ask("SET a 2");
        assert_eq!(first.ask("GET a"), bulk("1"));
        assert!(!one.ask("CLIENT LIST").text().contains(" flags=O "));
    }
}

/// COMMANDLOG's kinds: each with its own threshold, length and numbers, whichever core ran the call and however large it was.
#[test]
fn large_requests_and_replies_have_logs_of_their_own() {
    for threads in [1, 3] {
        let server = Server::start(
            threads,
            &[
                "--commandlog-request-larger-than",
                "5000",
                "--commandlog-reply-larger-than",
                "6000",
                "--commandlog-large-reply-max-len",
                "20",
            ],
        );
        let mut client = server.client();
        client.ask("CLIENT SETNAME tester");
        let (small, large, huge) = (vec![b'v'; 4000], vec![b'v'; 7000], vec![b'v'; 3_000_000]);
        for key in KEYS {
            client.run(&[b"SET", key.as_bytes(), &small]);
            client.run(&[b"APPEND", key.as_bytes(), &large]);
        }
        client.run(&[b"SET", b"huge", &huge]);
        for key in KEYS {
            client.ask(&format!("GET {key}"));
        }
        client.ask("GET huge");
        client.ask("MGET a b");
        client.ask("MULTI");
        client.ask("GET a");
        client.ask("EXEC");
        client.run(&[b"EVAL", b"return redis.call('get', KEYS[1])", b"1", b"a"]);
        let lines = |client: &mut Client, kind: &str| -> Vec<(i64, String)> {
            let entries = client.ask(&format!("COMMANDLOG GET -1 {kind}"));
            let line = |entry: &Value| {
                let line: String = words(entry).join(" ").chars().take(40).collect();
                (entry.items()[2].integer(), line)
            };
            entries.items().iter().map(line).collect()
        };
        let requests = lines(&mut client, "large-request");
        assert_eq!(requests.len(), 9, "{requests:?}");
        assert!(requests[0].0 > 3_000_000 && requests[0].1.starts_with("SET huge vvv"));
        for ((bytes, line), key) in requests[1..].iter().zip(KEYS.iter().rev()) {
            assert!((7000..7100).contains(bytes), "{bytes}");
            assert!(line.starts_with(&format!("APPEND {key} vvv")), "{line}");
        }
        let replies = lines(&mut client, "LARGE-REPLY");
        let told: Vec<&str> = replies.iter().map(|(_, line)| line.as_str()).collect();
        let mut expected = vec![
            "EVAL return redis.call('get', KEYS[1]) 1",
            "GET a",
            "MGET a b",
            "GET huge",
        ];
        let rest: Vec<String> = KEYS.iter().rev().map(|key| format!("GET {key}")).collect();
        expected.extend(rest.iter().map(String::as_str));
        assert_eq!(told, expected, "{threads} threads");
        assert!((11_000..11_100).contains(&replies[1].0), "{replies:?}");
        assert!(replies[3].0 > 3_000_000, "{replies:?}");
        // The slow log is the same under both names, and the limits hold.
        assert_eq!(client.ask("COMMANDLOG LEN slow"), client.ask("SLOWLOG LEN"));
        for _ in 0..30 {
            client.ask("GET b");
        }
        assert_eq!(client.ask("COMMANDLOG LEN large-reply"), Value::Integer(20));
        assert_eq!(client.ask("COMMANDLOG RESET large-reply"), ok());
        assert_eq!(client.ask("COMMANDLOG LEN large-reply"), Value::Integer(0));
        assert_eq!(
            client.ask("COMMANDLOG LEN large-request"),
            Value::Integer(9)
        );
        client.ask("CONFIG SET commandlog-reply-larger-than -1 commandlog-execution-slower-than 0");
        client.ask("GET a");
        let newest = client.ask("COMMANDLOG GET 1 slow");
        assert_eq!(words(&newest.items()[0]), ["GET", "a"]);
        assert_eq!(client.ask("COMMANDLOG LEN large-reply"), Value::Integer(0));
        assert_eq!(
            client.ask("CONFIG GET slowlog-log-slower-than").items()[1],
            bulk("0")
        );
        for (line, text) in [
            (
                "LEN nosuch",
                "ERR type should be one of the following: slow, large-request, large-reply",
            ),
            (
                "GET -2 slow",
                "ERR count should be greater than or equal to -1",
            ),
            (
                "GET 1",
                "ERR wrong number of arguments for 'commandlog|get' command",
            ),
        ] {
            let reply = client.ask(&format!("COMMANDLOG {line}"));
            assert_eq!(reply, super::client::error(text), "{line}");
        }
    }
}
