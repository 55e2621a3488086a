//! Scripts and functions that run for long, and everybody else meanwhile.

use super::client::{Client, Value, bulk, error, ok, request};
use super::harness::{Server, eventually};

const THREADS: [usize; 2] = [1, 4];
const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

fn is_busy_somewhere(clients: &mut [Client], text: &str) -> bool {
    let asked = clients.iter_mut().map(|client| client.ask("PING"));
    asked.filter(|reply| *reply == error(text)).count() > 0
}

fn pong() -> Value {
    Value::Simple("PONG".to_string())
}

/// On whatever core they are, those who want what the script holds are told; who wants something else is served, unless the
/// script has that core.
#[test]
fn who_waits_for_a_script_that_runs_for_long_is_told() {
    for threads in THREADS {
        let server = Server::start(threads, &["--busy-reply-threshold", "300"]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        // Waits before anybody is told anything, in every way there is to wait for a key.
        let mut waiting: Vec<Client> = (0..12).map(|_| server.client()).collect();
        let mut looping = server.client();
        let body = "redis.log(redis.LOG_WARNING, 'it has begun') redis.call('get', KEYS[1]) while true do end";
        looping.send(&request(&[b"EVAL", body.as_bytes(), b"1", b"held"]));
        eventually("it has begun", || server.log().contains("it has begun"));
        let reads_any = b"return redis.call('get', ARGV[1])";
        let reads_it = b"return redis.call('get', KEYS[1])";
        for round in 0..2 {
            for (index, client) in waiting.iter_mut().enumerate() {
                match index % 6 {
                    0 => client.send(&request(&[b"GET", b"held"])),
                    1 => client.send(&request(&[b"MSET", b"held", b"1", b"other", b"2"])),
                    2 => client.send(&request(&[b"EVAL", reads_it, b"1", b"held"])),
                    3 => client.send(&request(&[b"EVAL", reads_any, b"0", b"held"])),
                    4 => client.send(&request(&[b"BLPOP", b"held", b"0"])),
                    _ if round == 0 => {
                        let block = b"MULTI\r\nSET held 1\r\nEXEC\r\n";
                        client.send(block);
                    }
                    _ => client.send(b"MULTI\r\nSET held 1\r\nSET other 1\r\nEXEC\r\n"),
                }
            }
            for (index, client) in waiting.iter_mut().enumerate() {
                if index % 6 != 5 {
                    assert_eq!(client.reply(), error(BUSY), "{threads} threads, {index}");
                    continue;
                }
                let replies = client.replies(if round == 0 { 3 } else { 4 });
                let all_refused = error(&format!(
                    "EXECABORT Transaction discarded because of: {BUSY}"
                ));
                let own = match replies.last() {
                    // Where even MULTI was refused.
                    Some(reply) if *reply == error(BUSY) => true,
                    Some(reply) => *reply == all_refused,
                    None => false,
                };
                assert!(own, "{threads} threads, {index}: {replies:?}");
            }
        }
        // One that has written cannot be undone: the call that waits fails, and what it had done stays.
        if threads > 1 {
            // On some of the cores the script would not even begin.
            let mut found = Vec::new();
            for (call, index) in [("call", 0), ("pcall", 1)] {
                let body = format!(
                    "redis.call('set', 'mine', ARGV[2]) local got = redis.{call}('get', ARGV[1]) \
                     return {{redis.call('get', 'mine'), got}}"
                );
                for client in &mut clients {
                    let reply =
                        client.run(&[b"EVAL", body.as_bytes(), b"0", b"held", call.as_bytes()]);
                    match &reply {
                        Value::Array(items) => {
                            assert_eq!(*items, [bulk("pcall"), error(BUSY)]);
                            found.push(index);
                        }
                        Value::Error(text) if text.contains("script: ") => {
                            assert!(text.starts_with(BUSY), "{text}");
                            found.push(index);
                        }
                        reply => assert_eq!(*reply, error(BUSY)),
                    }
                }
            }
            assert!(found.contains(&0) && found.contains(&1), "{found:?}");
            // The same in a block, which goes on.
            for client in &mut clients {
                client.send(b"MULTI\r\n");
                let body = b"redis.call('set', 'mine', 'block') return redis.call('get', ARGV[1])";
                client.send(&request(&[b"EVAL", body, b"0", b"held"]));
                client.send(b"SET {mine}2 1\r\nEXEC\r\n");
                if let Value::Array(items) = &client.replies(4)[3] {
                    assert!(
                        items[0].text().starts_with(BUSY) && items[1] == ok(),
                        "{items:?}"
                    );
                }
            }
            for client in &mut clients {
                let reply = client.ask("GET {held}2");
                assert!(reply == error(BUSY) || reply == Value::Null, "{reply:?}");
            }
        }
        assert!(is_busy_somewhere(&mut clients, BUSY));
        assert_eq!(clients[0].ask("SCRIPT KILL"), ok());
        assert!(looping.reply().text().contains("Script killed by user"));
        // Nothing of what was turned away has happened, and nothing is locked any more.
        eventually("all serve again", || !is_busy_somewhere(&mut clients, BUSY));
        for client in clients.iter_mut().chain(&mut waiting) {
            assert_eq!(client.ask("EXISTS held other"), Value::Integer(0));
        }
        assert_eq!(clients[0].ask("MSET held 1 other 2"), ok());
    }
}

/// SHUTDOWN without NOSAVE would end a script that has written in the middle.
#[test]
fn only_shutdown_nosave_ends_a_script_that_has_written() {
    for threads in THREADS {
        let mut server = Server::start(threads, &["--busy-reply-threshold", "50"]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let mut looping = server.client();
        let body = b"redis.call('set', KEYS[1], 1) while true do end";
        looping.send(&request(&[b"EVAL", body, b"1", b"written"]));
        eventually("somebody is told BUSY", || {
            is_busy_somewhere(&mut clients, BUSY)
        });
        for client in &mut clients {
            assert_eq!(client.ask("SHUTDOWN"), error(BUSY));
            assert_eq!(client.ask("SHUTDOWN SAVE"), error(BUSY));
            let none = error("ERR No shutdown in progress.");
            assert_eq!(client.ask("SHUTDOWN ABORT"), none);
        }
        // Nor does it keep those waiting who want a snapshot.
        for line in ["SAVE", "BGSAVE"] {
            assert_eq!(clients[0].ask(line), error(BUSY));
        }
        assert!(is_busy_somewhere(&mut clients, BUSY));
        clients[0].send(&request(&[b"SHUTDOWN", b"NOSAVE"]));
        let _ = server.wait_for_the_end();
    }
}

/// A script is all of itself or nothing: what it had written when the end of the process cut it off is not in the logs, on whatever
/// cores its keys are, nor is what came before it in its block. Who waited for those keys was told BUSY and did not see them, and nobody
/// kept the end waiting.
#[test]
fn nothing_is_kept_of_a_script_that_the_end_cuts_off() {
    const LOOPS: &[u8] =
        b"for i = 1, #KEYS do redis.call('incr', KEYS[i]) end while true do redis.call('incr', KEYS[1]) end";
    for threads in THREADS {
        for (policy, is_in_block, signal) in [
            ("everysec", false, None),
            ("everysec", true, None),
            ("always", false, None),
            ("always", true, Some("TERM")),
            ("everysec", false, Some("TERM")),
        ] {
            let case = format!("{threads} threads, {policy}, {is_in_block}, {signal:?}");
            let options = ["--appendonly", "yes", "--appendfsync", policy, "--save", ""];
            let busy = ["--busy-reply-threshold", "50", "--shutdown-timeout", "60"];
            let mut server = Server::start(threads, &[&options[..], &busy].concat());
            let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
            assert_eq!(clients[0].ask("MSET a 0 b 0 c 0 d 0"), ok());
            let mut looping = server.client();
            if is_in_block {
                assert_eq!(looping.ask("MULTI"), ok());
                looping.ask("SET e 1");
            }
            let script = request(&[b"EVAL", LOOPS, b"4", b"a", b"b", b"c", b"d"]);
            looping.send(&script);
            if is_in_block {
                looping.reply();
                looping.send(&request(&[b"EXEC"]));
            }
            eventually("somebody is told BUSY", || {
                is_busy_somewhere(&mut clients, BUSY)
            });
            assert_eq!(clients[1].ask("MGET a b c d"), error(BUSY), "{case}");
            match signal {
                Some(name) => server.signal(name),
                None => clients[0].send(&request(&[b"SHUTDOWN", b"NOSAVE"])),
            }
            let told = looping.reply().text();
            assert!(told.contains("the script is cut off"), "{case}: {told}");
            assert_eq!(server.wait_for_the_end().code(), Some(0), "{case}");
            assert!(server.restart(2, &options), "{}", server.log());
            let mut all = vec![bulk("0"); 4];
            all.push(Value::Null);
            let found = server.client().ask("MGET a b c d e");
            assert_eq!(found, Value::Array(all), "{case}");
        }
    }
}

/// FUNCTION STATS names what runs; SCRIPT KILL is not for functions, nor FUNCTION KILL for scripts.
#[test]
fn functions_that_run_for_long_are_named_and_ended_as_functions() {
    for threads in THREADS {
        let server = Server::start(threads, &["--busy-reply-threshold", "50"]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let code = "#!lua name=loops\nredis.register_function('forever', function() while true do end end)";
        clients[0].run(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        let mut looping = server.client();
        looping.send(&request(&[b"FCALL", b"forever", b"1", b"k", b"a word"]));
        eventually("somebody is told BUSY", || {
            is_busy_somewhere(&mut clients, BUSY_FUNCTION)
        });
        for client in &mut clients {
            let stats = client.ask("FUNCTION STATS");
            let running = &stats.items()[1];
            assert_eq!(running.items()[1].text(), "forever");
            let words: Vec<String> = (running.items()[3].items().iter())
                .map(Value::text)
                .collect();
            assert_eq!(words, ["FCALL", "forever", "1", "k", "a word"]);
            let Value::Integer(took_ms) = running.items()[5] else {
                panic!("{running:?}");
            };
            assert!(took_ms >= 50, "{took_ms}");
            assert_eq!(client.ask("SCRIPT KILL"), error(BUSY_FUNCTION));
        }
        assert_eq!(clients[3].ask("FUNCTION KILL"), ok());
        assert!(looping.reply().text().contains("Script killed by user"));
        eventually("all serve again", || clients[3].ask("PING") == pong());
        assert_eq!(clients[3].ask("FUNCTION STATS").items()[1], Value::Null);
        looping.send(&request(&[b"EVAL", b"while true do end", b"0"]));
        eventually("somebody is told BUSY", || {
            is_busy_somewhere(&mut clients, BUSY)
        });
        for client in &mut clients {
            assert_eq!(client.ask("FUNCTION STATS"), error(BUSY));
            assert_eq!(client.ask("FUNCTION KILL"), error(BUSY));
        }
        assert_eq!(clients[5].ask("SCRIPT KILL"), ok());
    }
}

/// As in Redis, where who asks waits: a core that is in the midst of a function has not told anybody of it yet.
#[test]
fn functions_are_named_by_whoever_asks_first() {
    for threads in THREADS {
        let server = Server::start(threads, &["--busy-reply-threshold", "500"]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let code = "#!lua name=loops\nredis.register_function('forever', function(_, words) \
                    redis.log(redis.LOG_WARNING, words[1]) while true do end end)";
        clients[0].run(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        for (index, asking) in clients.iter_mut().enumerate() {
            let (key, begun) = (format!("k{index}"), format!("begun {index}"));
            let mut looping = server.client();
            let words: [&[u8]; 5] = [b"FCALL", b"forever", b"1", key.as_bytes(), begun.as_bytes()];
            looping.send(&request(&words));
            eventually("it has begun", || server.log().contains(&begun));
            let stats = asking.ask("FUNCTION STATS");
            let running = &stats.items()[1];
            assert_eq!(running.items()[1].text(), "forever");
            assert_eq!(running.items()[3].items()[4].text(), begun);
            assert_eq!(asking.ask("FUNCTION KILL"), ok());
            assert!(looping.reply().text().contains("Script killed by user"));
            eventually("it serves again", || asking.ask("PING") == pong());
            assert_eq!(asking.ask("FUNCTION STATS").items()[1], Value::Null);
        }
    }
}

/// What no block may have is refused as that, whatever a script does meanwhile.
#[test]
fn a_block_refuses_what_it_may_not_have_while_a_script_runs() {
    let server = Server::start(1, &["--busy-reply-threshold", "50"]);
    let mut block = server.client();
    assert_eq!(block.ask("MULTI"), ok());
    let mut looping = server.client();
    looping.send(b"EVAL \"while true do end\" 1 k\r\n");
    let mut others = [server.client()];
    eventually("it is busy", || is_busy_somewhere(&mut others, BUSY));
    assert_eq!(block.ask("GET k"), error(BUSY));
    assert_eq!(
        block.ask("SAVE"),
        error("ERR Command not allowed inside a transaction")
    );
    assert_eq!(others[0].ask("SCRIPT KILL"), ok());
    assert!(matches!(looping.reply(), Value::Error(_)));
}

/// A snapshot that waits for such a script keeps nobody waiting who could do without it, and is made when the script has ended.
#[test]
fn nobody_waits_behind_a_snapshot_that_waits_for_a_script() {
    for save in ["SAVE", "BGSAVE"] {
        let server = Server::start(4, &["--busy-reply-threshold", "1000"]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        // Wherever its core is, on some other one somebody asks for the snapshot before anybody is told.
        for round in 0..4 {
            let (key, begun) = (format!("held{round}"), format!("begun {round}"));
            let mut looping = server.client();
            let body = "redis.log(redis.LOG_WARNING, ARGV[1]) redis.call('get', KEYS[1]) while true do end";
            let words: [&[u8]; 5] = [
                b"EVAL",
                body.as_bytes(),
                b"1",
                key.as_bytes(),
                begun.as_bytes(),
            ];
            looping.send(&request(&words));
            eventually("it has begun", || server.log().contains(&begun));
            let mut saving = server.client();
            saving.send(&request(&[save.as_bytes()]));
            eventually("somebody is told BUSY", || {
                is_busy_somewhere(&mut clients, BUSY)
            });
            for (index, client) in clients.iter_mut().enumerate() {
                for line in [
                    format!("SET a{index} 1"),
                    "MSET a 1 b 2 c 3 d 4 e 5 f 6".to_string(),
                    "WATCH a b c d e f".to_string(),
                    "EVAL redis.call('set','a',redis.call('get','b')) 0".to_string(),
                ] {
                    let reply = client.ask(&line);
                    let is_served = reply == ok() || reply == Value::Null;
                    let is_told = matches!(&reply, Value::Error(text) if text.starts_with("BUSY"));
                    assert!(is_served || is_told, "{line}: {reply:?}");
                }
            }
            assert_eq!(clients[0].ask("SCRIPT KILL"), ok());
            assert!(looping.reply().text().contains("Script killed by user"));
            let reply = saving.reply();
            let is_saved = matches!(&reply, Value::Simple(_)) || reply == error(BUSY);
            assert!(is_saved, "{save}: {reply:?}");
            eventually("it is saved", || {
                server.info("persistence", "rdb_bgsave_in_progress") == "0"
            });
        }
        let mut client = server.client();
        assert_eq!(client.ask("SAVE"), ok());
    }
}

/// Its first part, in which nobody was told of it, is the longest: the slow log and the command's figures have all of it.
#[test]
fn a_script_that_runs_for_long_is_counted_from_its_beginning() {
    for threads in THREADS {
        let options = [
            "--busy-reply-threshold",
            "200",
            "--slowlog-log-slower-than",
            "100000",
        ];
        let server = Server::start(threads, &options);
        let mut client = server.client();
        let body = "local began = redis.call('TIME') repeat local now = redis.call('TIME') \
                    until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 300000 return 1";
        for keys in [&[b"1".as_slice(), b"key"] as &[&[u8]], &[b"0"]] {
            assert_eq!(client.ask("SLOWLOG RESET"), ok());
            assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
            let words = [&[b"EVAL".as_slice(), body.as_bytes()], keys].concat();
            assert_eq!(client.run(&words), Value::Integer(1));
            let Value::Array(entries) = client.ask("SLOWLOG GET -1") else {
                panic!("SLOWLOG GET is an array");
            };
            let took_us = entries.iter().find_map(|entry| match entry {
                Value::Array(fields) => match (&fields[2], &fields[3]) {
                    (Value::Integer(took_us), Value::Array(words)) => {
                        (words[0] == bulk("EVAL")).then_some(*took_us)
                    }
                    _ => None,
                },
                _ => None,
            });
            // Its clock and the one of these figures may go at a slightly different pace.
            assert!(took_us >= Some(297_000), "{threads} threads: {entries:?}");
            let line = server.info("commandstats", "cmdstat_eval");
            let mut figures = line.split(',');
            let counted_us = figures.find_map(|figure| figure.strip_prefix("usec="));
            let counted_us = counted_us.and_then(|text| text.parse::<i64>().ok());
            assert!(counted_us >= Some(297_000), "{threads} threads: {line}");
        }
    }
}
