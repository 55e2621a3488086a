//! What INFO counts: calls, failures and rejections as Redis tells them apart.

use super::client::{Client, Next, Value, bulk, ok, push_request};
use super::harness::{Server, eventually};

fn command(server: &Server, name: &str) -> String {
    server.info("commandstats", &format!("cmdstat_{name}"))
}

/// A handler that fails has been called; what never reached one was rejected. Whoever answers: the session, the shard, or
/// the node.
#[test]
fn failures_are_calls_and_rejections_are_not() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut client = server.client();
        client.ask("SET s text");
        for line in [
            "AUTH somebody wrong",
            "INCR s",
            "CONFIG SET nosuch 1",
            "CLIENT KILL 1.2.3.4:5",
            "MSET a 1 b 2 c",
        ] {
            assert!(matches!(client.ask(line), Value::Error(_)), "{line}");
        }
        for (name, has) in [
            ("auth", "rejected_calls=0,failed_calls=1"),
            ("incr", "rejected_calls=0,failed_calls=1"),
            ("config|set", "rejected_calls=0,failed_calls=1"),
            ("client|kill", "rejected_calls=0,failed_calls=1"),
            // On several shards there is no handler that could refuse it.
            ("mset", "rejected_calls=0,failed_calls=1"),
        ] {
            let line = command(&server, name);
            assert!(line.starts_with("calls=1,"), "{name}: {line}");
            assert!(line.ends_with(has), "{name}: {line}");
        }
        assert!(matches!(client.ask("GET"), Value::Error(_)));
        assert!(matches!(client.ask("CONFIG SET a"), Value::Error(_)));
        assert_eq!(
            command(&server, "get"),
            "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"
        );
        assert!(command(&server, "config|set").ends_with("rejected_calls=1,failed_calls=1"));
        assert_eq!(server.info_number("stats", "total_error_replies"), 7);
        // What the node does takes as long as the client waits, and DEBUG is one command.
        assert_eq!(client.ask("DEBUG SLEEP 0.03"), ok());
        let line = command(&server, "debug");
        let usec: u64 = line["calls=1,usec=".len()..]
            .split(',')
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("{line}"));
        assert!(usec >= 30_000, "{line}");
        let sum = server.info_number("stats", "eventloop_duration_sum");
        // The mean of the cores' loops: one of them has slept.
        assert!(sum >= 30_000 / threads as i64, "{sum}");
    }
}

/// Who has not authenticated cannot make the server hold more than a few replies.
#[test]
fn strangers_are_cut_off_when_they_do_not_read() {
    let server = Server::start(2, &["--requirepass", "secret"]);
    let mut stranger = Client::connect(server.port);
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        push_request(&mut bytes, &[b"GET", b"k"]);
    }
    let mut sent = 0;
    // The sockets take some megabytes before the server has to hold any.
    while stranger.try_send(&bytes).is_ok() {
        sent += bytes.len();
        assert!(sent < 1 << 30, "nobody cuts it off");
    }
    let mut other = server.client();
    assert_eq!(other.ask("AUTH secret"), ok());
    assert_eq!(other.ask("PING"), Value::Simple("PONG".into()));
}

/// A request that is over the limit on its own ends its client, though all of it has come.
#[test]
fn a_whole_request_over_the_limit_ends_its_client() {
    let server = Server::start(2, &["--client-query-buffer-limit", "1mb"]);
    let mut client = server.client();
    let value = vec![b'a'; 1 << 20];
    let mut bytes = Vec::new();
    push_request(&mut bytes, &[b"SET", b"k", &value]);
    // The server may close before it has taken everything.
    let _ = client.try_send(&bytes);
    assert!(matches!(client.next(), Next::Closed), "it is closed");
    assert_eq!(
        server.info_number("stats", "client_query_buffer_limit_disconnections"),
        1
    );
    let mut other = server.client();
    let value = vec![b'a'; (1 << 20) - 100];
    assert_eq!(other.run(&[b"SET", b"k", &value]), ok());
    assert_eq!(other.ask("STRLEN k"), Value::Integer((1 << 20) - 100));
}

/// A request that is refused for want of memory has not been called, though its shard had to find that out.
#[test]
fn what_memory_refuses_is_rejected_and_not_called() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let library = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";
        assert_eq!(client.run(&[b"FUNCTION", b"LOAD", library]), bulk("l"));
        client.configure("maxmemory", "1");
        let mut refused: Vec<Vec<String>> = ["SET a b", "SET c d", "RPUSH e f"]
            .iter()
            .map(|line| line.split(' ').map(str::to_string).collect())
            .collect();
        // On this core and on others.
        for number in 0..6 {
            let key = format!("key{number}");
            refused.push(
                ["BLMOVE", &key, &key, "LEFT", "RIGHT", "1"]
                    .map(str::to_string)
                    .into(),
            );
            refused.push(
                ["BLMOVE", &key, "l", "LEFT", "RIGHT", "1"]
                    .map(str::to_string)
                    .into(),
            );
            refused.push(
                ["EVAL", "#!lua\nreturn 1", "1", &key]
                    .map(str::to_string)
                    .into(),
            );
            refused.push(["FCALL", "f", "1", &key].map(str::to_string).into());
        }
        for words in refused {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert!(client.run(&words).text().starts_with("OOM"), "{words:?}");
        }
        for (name, count) in [("set", 2), ("blmove", 12), ("eval", 6), ("fcall", 6)] {
            let line = command(&server, name);
            let rest = format!("rejected_calls={count},failed_calls=0");
            let is_so = line.starts_with("calls=0,") && line.ends_with(&rest);
            assert!(is_so, "{name} at {threads}: {line}");
        }
        assert_eq!(server.info("errorstats", "errorstat_OOM"), "count=27");
    }
}

/// All calls of all cores count, whether or not the sections asked for tell of single commands.
#[test]
fn all_calls_are_told_in_every_section_that_sums_them() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for number in 0..50 {
            assert_eq!(client.ask(&format!("SET k{number} v")), ok());
        }
        for sections in ["stats", "default", "everything"] {
            let calls = server.info_number(sections, "total_commands_processed");
            assert!((50..60).contains(&calls), "{sections}: {calls}");
        }
        // More than two calls of INFO.
        client.run(&[b"EVAL", b"for i = 1, 30000000 do end", b"0"]);
        let before = server.info_number("stats", "eventloop_duration_cmd_sum");
        assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
        assert!(server.info_number("stats", "total_commands_processed") < 5);
        assert!(server.info_number("stats", "eventloop_duration_cmd_sum") <= before);
        assert!(
            server
                .info("latencystats", "latency_percentiles_usec_info")
                .starts_with("p50=")
        );
    }
}

/// INFO debug: where the loops' time goes; Redis's fields, and by its name alone.
#[test]
fn info_debug_tells_of_the_loops() {
    for (threads, log) in [(1, "no"), (3, "yes")] {
        let server = Server::start(
            threads,
            &["--appendonly", log, "--enable-debug-command", "yes"],
        );
        let mut client = server.client();
        let mut pipeline = Vec::new();
        for number in 0..200 {
            pipeline.extend(super::client::request(&[
                b"SET",
                format!("k{number}").as_bytes(),
                b"v",
            ]));
        }
        client.send(&pipeline);
        assert_eq!(client.replies(200), vec![ok(); 200]);
        assert_eq!(client.ask("DEBUG SLEEP 0.05"), ok());
        eventually("ticks have taken some time", || {
            server.info_number("debug", "eventloop_duration_cron_sum") > 0
        });
        assert!(server.info_number("debug", "eventloop_cmd_per_cycle_max") >= 10);
        let longest = server.info_number("debug", "eventloop_duration_max");
        assert!(longest >= 50_000, "{longest}");
        let log_us = server.info_number("debug", "eventloop_duration_aof_sum");
        assert_eq!(log_us > 0, log == "yes", "{log_us}");
        assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
        assert!(server.info_number("debug", "eventloop_duration_max") < longest);
    }
}

/// What counts stays when the logs end, and goes on with the next ones: only CONFIG RESETSTAT sets it back.
#[test]
fn syncs_are_counted_on_after_the_logs_have_ended() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let server = Server::start(1, &options);
    let mut client = server.client();
    let count = || {
        let text = server.info("persistence", "aof_fsync_core_0");
        let digits = text.trim_start_matches("count=").split(',').next();
        digits.and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    let turn = |client: &mut Client, word: &str, enabled: &str| {
        assert_eq!(client.ask(&format!("CONFIG SET appendonly {word}")), ok());
        eventually("the logs end or begin", || {
            let is_idle = server.info("persistence", "aof_rewrite_in_progress") == "0";
            is_idle && server.info("persistence", "aof_enabled") == enabled
        });
    };
    for number in 0..20 {
        assert_eq!(client.ask(&format!("SET k{number} v")), ok());
    }
    let before: u64 = count();
    assert!(before >= 20, "{before}");
    turn(&mut client, "no", "0");
    turn(&mut client, "yes", "1");
    assert!(count() >= before);
    turn(&mut client, "no", "0");
    assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
    turn(&mut client, "yes", "1");
    assert_eq!(client.ask("SET k v"), ok());
    let after = count();
    assert!(0 < after && after < before, "{after}");
}

/// What a disk takes for a sync is told of each core, since CONFIG RESETSTAT as all other figures; snapshots and rewrites are counted
/// since then.
#[test]
fn syncs_and_saves_are_counted_anew_after_a_reset() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let server = Server::start(2, &options);
    let mut client = server.client();
    let counts =
        || [0, 1].map(|core| server.info("persistence", &format!("aof_fsync_core_{core}")));
    let write = |client: &mut Client| {
        for number in 0..20 {
            assert_eq!(client.ask(&format!("SET k{number} v")), ok());
        }
        let counts = counts();
        let has_some = |text: &String| !text.starts_with("count=0,");
        assert!(counts.iter().all(has_some), "{counts:?}");
    };
    write(&mut client);
    assert_eq!(client.ask("SAVE"), ok());
    client.ask("BGREWRITEAOF");
    eventually("it has ended", || server.rewrites_ended() == 1);
    assert_eq!(server.info("persistence", "rdb_saves"), "1");
    assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
    for field in ["rdb_saves", "aof_rewrites"] {
        assert_eq!(server.info("persistence", field), "0");
    }
    let none = "count=0,p50_us=0,p99_us=0,p99.9_us=0,max_us=0";
    assert_eq!(counts(), [none, none]);
    assert_eq!(server.info("persistence", "aof_delayed_fsync"), "0");
    write(&mut client);
}

/// No field that dashboards may read is missing, whatever it says, and none is there twice.
#[test]
fn every_field_of_redis_is_there() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    assert_eq!(client.ask("RPUSH list a b c"), Value::Integer(3));
    let text = client.ask("INFO everything").text();
    let fields: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    let names = include_str!("golden/info_fields.txt").lines().skip(1);
    for name in names.chain(["db0_distrib_lists_items"]) {
        let count = fields.iter().filter(|field| **field == name).count();
        assert_eq!(count, 1, "{name}");
    }
}

/// What RESTORE is given is checked, each time, and dead keys that wait for the cycle are seen.
#[test]
fn payloads_and_stale_keys_are_counted() {
    let server = Server::start(1, &["--hz", "100"]);
    let mut client = server.client();
    client.ask("SET a 1");
    let payload = match client.ask("DUMP a") {
        Value::Bulk(payload) => payload,
        other => panic!("{other:?}"),
    };
    for key in ["b", "c"] {
        let words: [&[u8]; 4] = [b"RESTORE", key.as_bytes(), b"0", &payload];
        assert_eq!(client.run(&words), ok());
    }
    assert!(matches!(client.ask("RESTORE d 0 broken"), Value::Error(_)));
    assert_eq!(server.info("stats", "dump_payload_sanitizations"), "3");
    assert_eq!(server.info("stats", "expired_stale_perc"), "0.00");
    for number in 0..2000 {
        client.ask(&format!("SET dead:{number} 1 PX 1"));
    }
    eventually("all are found", || {
        server.info("stats", "expired_keys") == "2000"
    });
    let percent: f64 = server
        .info("stats", "expired_stale_perc")
        .parse()
        .expect("a number");
    assert!(percent > 0.0 && percent <= 100.0, "{percent}");
    assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
    assert_eq!(server.info("stats", "dump_payload_sanitizations"), "0");
}

/// A reply that outgrew what is kept is given back, and counted.
#[test]
fn large_reply_buffers_are_counted() {
    let server = Server::start(1, &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.run(&[b"SET", b"long", &vec![b'x'; 200_000]]);
    assert_eq!(server.info("stats", "reply_buffer_expands"), "0");
    client.ask("GETRANGE long 0 -1");
    let counts =
        || ["reply_buffer_expands", "reply_buffer_shrinks"].map(|name| server.info("stats", name));
    eventually("it is given back", || counts() == ["1", "1"]);
    assert_eq!(client.ask("DEBUG REPLYBUFFER RESIZING 0"), ok());
    client.ask("GETRANGE long 0 -1");
    client.ask("PING");
    assert_eq!(counts(), ["1", "1"]);
}

/// What Redis 8.0.6 frees in the background is counted as there: values by themselves where they are large, all entries of what is
/// flushed, and scripts, functions and names of errors where there are more than 64.
#[test]
fn what_is_freed_in_the_background_is_counted() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let counted = |client: &mut Client, lines: &[&str], count: i64| {
            assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
            for line in lines {
                let reply = client.ask(line);
                assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
            }
            eventually(
                &format!("{lines:?}: {count} with {threads} threads"),
                || {
                    server.info_number("memory", "lazyfree_pending_objects") == 0
                        && server.info_number("memory", "lazyfreed_objects") == count
                },
            );
        };
        let fill = |client: &mut Client| {
            for number in 0..130 {
                client.ask(&format!("SADD set m{number}"));
                client.ask(&format!("ZADD zset {number} m{number}"));
            }
            client.ask("HSET hash f v");
            client.ask("SET string text");
        };
        fill(&mut client);
        counted(&mut client, &["UNLINK set zset hash string"], 2);
        fill(&mut client);
        counted(&mut client, &["FLUSHALL ASYNC"], 4);
        for (count, freed) in [(64, 0), (65, 65)] {
            let load = |client: &mut Client| {
                for number in 0..count {
                    client.ask(&format!("SCRIPT LOAD return({number})"));
                }
            };
            load(&mut client);
            counted(&mut client, &["SCRIPT FLUSH SYNC"], 0);
            load(&mut client);
            counted(&mut client, &["SCRIPT FLUSH ASYNC"], freed);
        }
        let register = |number| format!("redis.register_function('f{number}',function()end)");
        let code: Vec<String> = (0..100).map(register).collect();
        let code = format!("#!lua name=l\n{}", code.join("\n"));
        client.run(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        counted(&mut client, &["FUNCTION FLUSH ASYNC"], 101);
    }
    // Names of errors are each core's.
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let freed = || server.info_number("memory", "lazyfreed_objects");
    for (count, freed_by_then, freed_by_reset) in [(64, 0, 0), (100, 0, 100), (129, 128, 0)] {
        for number in 0..count {
            let script = format!("return(redis.error_reply('E{number} text'))");
            client.run(&[b"EVAL", script.as_bytes(), b"0"]);
        }
        eventually("they are counted", || freed() == freed_by_then);
        assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
        assert_eq!(freed(), freed_by_reset, "{count}");
        assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
    }
}

/// What a request took to come, or what was before it, is no time of the command's: not even of the first that a core runs.
#[test]
fn a_large_request_is_not_charged_for_coming() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let value = "x".repeat(1_000_000);
        // On every core.
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert_eq!(
                server
                    .client()
                    .run(&[b"SET", key.as_bytes(), value.as_bytes()]),
                ok()
            );
        }
        let line = command(&server, "set");
        let text = line
            .split("usec=")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let took_us: u64 = text.and_then(|text| text.parse().ok()).expect("a number");
        // The machine has been up for longer.
        assert!(took_us < 20_000_000, "{line}");
    }
}

/// A block that comes to a shard where a script is in its way waits there, and is one call all the same, as are its commands.
#[test]
fn a_block_that_waits_is_counted_once() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for key in 0..50 {
            let get = format!("return redis.call('get','n{key}')");
            let mut bytes = Vec::new();
            push_request(&mut bytes, &[b"EVAL", get.as_bytes(), b"0"]);
            push_request(&mut bytes, &[b"MULTI"]);
            push_request(&mut bytes, &[b"INCR", format!("n{key}").as_bytes()]);
            push_request(&mut bytes, &[b"EXEC"]);
            client.send(&bytes);
            let incremented = Value::Array(vec![Value::Integer(1)]);
            assert_eq!(client.replies(4)[3], incremented);
        }
        for name in ["eval", "multi", "incr", "exec"] {
            let line = command(&server, name);
            assert!(line.starts_with("calls=50,"), "{threads}, {name}: {line}");
        }
    }
}

/// What a command looks at before it moves an element between cores is no look-up of its client's, as on one core.
#[test]
fn moves_between_keys_count_no_look_ups() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for (from, to) in [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j")] {
            client.ask(&format!("RPUSH {from} 1 2 3"));
            client.ask(&format!("SADD s{from} x"));
            for line in [
                format!("RPOPLPUSH {from} {to}"),
                format!("LMOVE {from} {to} LEFT RIGHT"),
                format!("RPOPLPUSH none{from} {to}"),
                format!("SMOVE s{from} s{to} x"),
                format!("SMOVE s{from} s{to} x"),
            ] {
                client.ask(&line);
            }
        }
        for field in ["keyspace_hits", "keyspace_misses"] {
            assert_eq!(server.info("stats", field), "0", "{field} at {threads}");
        }
    }
}

/// Requests with what Redis counts of them: hits and misses.
const LOOK_UPS: &[(&str, u64, u64)] = &[
    ("XREAD STREAMS s none t 0 0 0", 2, 4),
    ("XREAD BLOCK 1 STREAMS s none u $ $ $", 2, 4),
    ("XREAD STREAMS none t 0 >", 0, 2),
    ("XREAD STREAMS s none t u 0 0 > 0", 1, 2),
    ("XREAD STREAMS none string t 0 > >", 1, 1),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", 2, 0),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS s 0", 2, 0),
    ("XREADGROUP GROUP g c STREAMS none >", 0, 1),
    ("XREADGROUP GROUP no c STREAMS s >", 1, 0),
    ("XREADGROUP GROUP g c STREAMS string >", 1, 0),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS s v w > > >", 6, 0),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS s v > 0", 4, 0),
    ("XREADGROUP GROUP g c STREAMS s none v > > >", 1, 1),
    ("XREADGROUP GROUP g c STREAMS none s v > > >", 0, 1),
    ("XREADGROUP GROUP g c BLOCK 1 STREAMS v >", 2, 0),
    ("XREADGROUP GROUP g c BLOCK 1 STREAMS v w x > > >", 6, 0),
    ("XACK s g 1-1 2-1", 1, 0),
    ("XACK s no 1-1", 1, 0),
    ("XACK none g 1-1", 0, 1),
    ("XACK string g 1-1", 1, 0),
    ("XACKDEL s g IDS 1 1-1", 1, 0),
    ("XACKDEL s no IDS 1 1-1", 1, 0),
    ("XACKDEL none g IDS 1 1-1", 0, 1),
    ("XACKDEL string g IDS 1 1-1", 1, 0),
    ("SORT l BY w* GET #", 4, 0),
    ("SORT l BY nosort GET w* GET o*", 4, 3),
    ("SORT l BY h*->f", 1, 3),
    ("SORT l LIMIT 0 0 GET w*", 1, 0),
    ("SORT l STORE made", 1, 0),
    ("SORT l BY w* STORE made", 4, 0),
    ("SORT none BY w* GET w*", 0, 1),
];

/// Each key is counted as often as Redis looks it up, wherever it is, and however often it is looked at besides. The figures
/// are a real server's.
#[test]
fn look_ups_are_counted_as_on_one_core() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for id in 1..9 {
            client.ask(&format!("XADD s {id}-1 field value"));
        }
        client.ask("XGROUP CREATE s g 0");
        for key in ["v", "w", "x"] {
            client.ask(&format!("XGROUP CREATE {key} g 0 MKSTREAM"));
        }
        client.ask("RPUSH l 3 1 2");
        client.ask("MSET string text w1 1 w2 2 w3 3");
        for (line, hits, misses) in LOOK_UPS {
            client.ask("CONFIG RESETSTAT");
            client.ask(line);
            for (field, wanted) in [("keyspace_hits", hits), ("keyspace_misses", misses)] {
                let counted = server.info("stats", field);
                assert_eq!(
                    counted,
                    wanted.to_string(),
                    "{field} of {line} at {threads}"
                );
            }
        }
    }
}

/// A script that is sent to the core of its keys and leaves it for others is one call.
#[test]
fn a_script_is_counted_once_wherever_it_goes() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.ask("CONFIG RESETSTAT");
        let body = b"redis.call('set', KEYS[1], 1) for i = 1, 8 do redis.call('get', 'k' .. i) end return 1";
        for number in 0..40 {
            let key = format!("key{number}");
            let reply = client.run(&[b"EVAL", body, b"1", key.as_bytes()]);
            assert_eq!(reply, Value::Integer(1));
        }
        let text = client.ask("INFO commandstats").text();
        assert!(
            text.contains("cmdstat_eval:calls=40,"),
            "{text} at {threads}"
        );
    }
}

/// A script that has read on the core of its keys and then wants others begins anew: what it calls, finds, misses, gets wrong
/// and may not is counted once all the same, and a miss is told once.
#[test]
fn what_a_script_calls_is_counted_once_though_it_begins_anew() {
    const CALLS: &str = "redis.call('get', KEYS[1]) redis.pcall('llen', KEYS[2]) redis.pcall('get') redis.pcall('nosuch') \
                         redis.pcall('strlen', KEYS[2]) for i = 1, 8 do redis.call('get', 'k' .. i) end return ";
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.ask("SET {a}text x");
        client.configure("notify-keyspace-events", "Em");
        client.ask("ACL SETUSER limited on nopass ~* &* +@all -strlen");
        client.ask("AUTH limited any");
        let mut subscriber = server.client();
        subscriber.ask("SUBSCRIBE __keyevent@0__:keymiss");
        client.ask("CONFIG RESETSTAT");
        // A script that is known to leave begins as one that has.
        for number in 0..5 {
            let body = format!("{CALLS}{number}");
            let reply = client.run(&[b"EVAL", body.as_bytes(), b"2", b"{a}none", b"{a}text"]);
            assert_eq!(reply, Value::Integer(number));
        }
        for (name, begin, end) in [
            ("get", "calls=45,", "rejected_calls=5,failed_calls=0"),
            ("llen", "calls=5,", "rejected_calls=0,failed_calls=5"),
            ("strlen", "calls=0,", "rejected_calls=5,failed_calls=0"),
        ] {
            let line = command(&server, name);
            let is_so = line.starts_with(begin) && line.ends_with(end);
            assert!(is_so, "{name} at {threads}: {line}");
        }
        for (section, field, wanted) in [
            ("stats", "keyspace_misses", "45"),
            ("stats", "keyspace_hits", "5"),
            ("stats", "acl_access_denied_cmd", "5"),
            ("stats", "total_error_replies", "20"),
            ("errorstats", "errorstat_ERR", "count=15"),
            ("errorstats", "errorstat_WRONGTYPE", "count=5"),
        ] {
            assert_eq!(server.info(section, field), wanted, "{field} at {threads}");
        }
        let mut missed: Vec<String> = (0..45)
            .map(|_| subscriber.reply().items()[2].text())
            .collect();
        missed.sort();
        missed.dedup();
        assert_eq!(missed.len(), 9, "{missed:?} at {threads}");
        client.ask("GET last");
        assert_eq!(subscriber.reply().items()[2].text(), "last");
    }
}

/// A field's name ends at the first colon.
#[test]
fn names_of_errors_part_no_line() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    for text in ["A:B x", "A#B x", "A:B y"] {
        client.run(&[
            b"EVAL",
            b"return redis.error_reply(ARGV[1])",
            b"0",
            text.as_bytes(),
        ]);
    }
    let info = client.ask("INFO errorstats").text();
    assert!(info.contains("errorstat_A_B:count=3"), "{info}");
}

/// A large request counts among the recent ones, though it has run long before anybody asks.
#[test]
fn a_large_request_is_seen_for_seconds_after_it_has_run() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let recent = |kind| server.info_number("clients", &format!("client_recent_max_{kind}"));
        assert_eq!(recent("input_buffer"), 0);
        eventually("it is seen", || {
            assert_eq!(client.run(&[b"SET", b"a", &[b'x'; 900_000]]), ok());
            recent("input_buffer") > 900_000
        });
        assert_eq!(recent("output_buffer"), 0, "short replies are in no list");
    }
}

/// All commands have together worked no longer than the loops they ran in, however many waited at the same time.
#[test]
fn commands_work_no_longer_than_their_loops() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut pipeline = Vec::new();
        for number in 0..2000 {
            let keys: Vec<String> = (0..6).map(|of| format!("{number}:{of}")).collect();
            let mut words: Vec<&[u8]> = vec![b"MSET"];
            keys.iter()
                .for_each(|key| words.extend([key.as_bytes(), b"1"]));
            push_request(&mut pipeline, &words);
            let calls = "for i = 1, 20 do redis.call('get', KEYS[1]) end";
            push_request(
                &mut pipeline,
                &[b"EVAL", calls.as_bytes(), b"1", keys[0].as_bytes()],
            );
        }
        let mut client = server.client();
        client.send(&pipeline);
        client.replies(4000);
        let commands_us = server.info_number("stats", "eventloop_duration_cmd_sum");
        let all_us = server.info_number("stats", "eventloop_duration_sum");
        assert!(
            commands_us > 0 && commands_us <= all_us,
            "{commands_us} of {all_us} at {threads}"
        );
    }
}
