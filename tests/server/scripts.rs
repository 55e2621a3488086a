//! Scripts as clients see them, on one core and on several.

use super::client::{Client, Next, Value, bulk, error, ok, request};
use super::harness::{Server, eventually};
use crate::commands::transcript::{Step, parse_transcript, reply_lines, sorted_elements};
use rondo::base::rng::Rng;
use std::time::Duration;

const THREADS: [usize; 2] = [1, 4];

fn integer(number: i64) -> Value {
    Value::Integer(number)
}

fn eval(client: &mut Client, body: &str, words: &[&str]) -> Value {
    let mut all: Vec<&[u8]> = vec![b"EVAL", body.as_bytes()];
    all.extend(words.iter().map(|word| word.as_bytes()));
    client.run(&all)
}

/// Every reply of a session recorded from Redis 8.0.6.
#[test]
fn replies_are_those_of_redis() {
    for threads in THREADS {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut client = server.client();
        let mut failures = Vec::new();
        for step in parse_transcript(include_str!("scripts.txt")) {
            let Step::Request {
                line,
                words,
                reply,
                is_unordered,
            } = step
            else {
                panic!("only requests here: {step:?}");
            };
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            client.send(&request(&words));
            let mut got = reply_lines(&client.raw_reply());
            if is_unordered {
                got = sorted_elements(got);
            }
            if got != reply {
                failures.push(format!("line {line}\n  got  {got:?}\n  want {reply:?}"));
            }
        }
        assert!(
            failures.is_empty(),
            "{threads} threads\n{}",
            failures.join("\n")
        );
    }
}

/// Money moves between accounts that no script declares, on whatever cores; whoever looks sees all of it, always.
#[test]
fn scripts_without_declared_keys_are_one_step() {
    const ACCOUNTS: u64 = 12;
    const TRANSFER: &str = "local from, to = 'acc' .. ARGV[1], 'acc' .. ARGV[2]\n\
                            local have = tonumber(redis.call('get', from))\n\
                            if have < 3 then return 0 end\n\
                            redis.call('decrby', from, 3)\n\
                            redis.call('incrby', to, 3)\n\
                            return 1";
    const SUM: &str =
        "local sum = 0 for i = 0, 11 do sum = sum + redis.call('get', 'acc' .. i) end return sum";
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for account in 0..ACCOUNTS {
            assert_eq!(client.ask(&format!("SET acc{account} 100")), ok());
        }
        let names: Vec<String> = (0..ACCOUNTS)
            .map(|account| format!("acc{account}"))
            .collect();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (server, names) = (&server, &names);
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut rng = Rng::with_seed(number);
                    for _ in 0..150 {
                        let from = rng.below(ACCOUNTS).to_string();
                        let to = rng.below(ACCOUNTS).to_string();
                        match rng.below(4) {
                            0 => {
                                let all = client.ask(&format!("MGET {}", names.join(" ")));
                                let sum: i64 = (all.items().iter())
                                    .map(|item| item.text().parse::<i64>().expect("a number"))
                                    .sum();
                                assert_eq!(sum, 1200);
                            }
                            1 => assert_eq!(eval(&mut client, SUM, &["0"]), integer(1200)),
                            2 => {
                                // The same in a block, beside what the block itself does.
                                let from = from.as_bytes();
                                let to = to.as_bytes();
                                let mut bytes = request(&[b"MULTI"]);
                                bytes.extend(request(&[
                                    b"EVAL",
                                    TRANSFER.as_bytes(),
                                    b"0",
                                    from,
                                    to,
                                ]));
                                bytes.extend(request(&[b"EVAL", SUM.as_bytes(), b"0"]));
                                bytes.extend(request(&[b"INCR", b"blocks"]));
                                bytes.extend(request(&[b"EXEC"]));
                                client.send(&bytes);
                                let replies = client.replies(5);
                                assert_eq!(replies[4].items()[1], integer(1200), "{replies:?}");
                            }
                            _ => {
                                let moved = eval(&mut client, TRANSFER, &["0", &from, &to]);
                                assert!(matches!(moved, Value::Integer(0 | 1)), "{moved:?}");
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(eval(&mut client, SUM, &["0"]), integer(1200));
    }
}

/// A counter in a hash for each of several keys; scripts, plain commands and watched blocks all add to it, and nothing is lost.
#[test]
fn scripts_plain_commands_and_watched_blocks_do_not_lose_each_others_writes() {
    const ADD: &str = "local v = tonumber(redis.call('get', KEYS[1]) or '0') return redis.call('set', KEYS[1], v + 1)";
    const ADD_UNDECLARED: &str = "local v = tonumber(redis.call('get', ARGV[1]) or '0') redis.call('set', ARGV[1], v + 1) \
         return redis.call('incr', 'total')";
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let added = std::sync::atomic::AtomicI64::new(0);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (server, added) = (&server, &added);
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut rng = Rng::with_seed(number);
                    for _ in 0..120 {
                        let key = format!("counter{}", rng.below(4));
                        let is_added = match rng.below(4) {
                            0 => eval(&mut client, ADD, &["1", &key]) == ok(),
                            1 => matches!(
                                eval(&mut client, ADD_UNDECLARED, &["0", &key]),
                                Value::Integer(_)
                            ),
                            2 => matches!(client.ask(&format!("INCR {key}")), Value::Integer(_)),
                            _ => {
                                assert_eq!(client.ask(&format!("WATCH {key}")), ok());
                                let value = match client.ask(&format!("GET {key}")) {
                                    Value::Null => 0,
                                    value => value.text().parse::<i64>().expect("a number"),
                                };
                                client.ask("MULTI");
                                client.ask(&format!("SET {key} {}", value + 1));
                                client.ask("EXEC") != Value::Null
                            }
                        };
                        added.fetch_add(is_added.into(), std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        let mut client = server.client();
        let all = client.ask("MGET counter0 counter1 counter2 counter3");
        let sum: i64 = (all.items().iter())
            .map(|item| item.text().parse::<i64>().expect("a number"))
            .sum();
        assert_eq!(sum, added.load(std::sync::atomic::Ordering::Relaxed));
    }
}

/// Whoever has been told that a script is known finds it, on whatever core that asks.
#[test]
fn a_script_known_to_one_core_is_known_to_all() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for round in 0..10 {
            let body = format!("return {{{round}, KEYS[1]}}");
            let digest = match round % 2 {
                0 => clients[round % 8]
                    .run(&[b"SCRIPT", b"LOAD", body.as_bytes()])
                    .text(),
                _ => {
                    eval(&mut clients[round % 8], &body, &["0"]);
                    rondo::script::ScriptId::of(body.as_bytes())
                        .as_bytes()
                        .iter()
                        .map(|&byte| char::from(byte))
                        .collect()
                }
            };
            for (number, client) in clients.iter_mut().enumerate() {
                let key = format!("key{number}");
                let reply = client.ask(&format!("EVALSHA {digest} 1 {key}"));
                assert_eq!(reply, Value::Array(vec![integer(round as i64), bulk(&key)]));
            }
            // In one pipeline with what makes it known.
            let body = format!("return 'again {round}'");
            let id = rondo::script::ScriptId::of(body.as_bytes());
            let mut bytes = request(&[b"EVAL", body.as_bytes(), b"1", b"one"]);
            for key in ["two", "three", "four"] {
                bytes.extend(request(&[b"EVALSHA", id.as_bytes(), b"1", key.as_bytes()]));
            }
            clients[0].send(&bytes);
            for reply in clients[0].replies(4) {
                assert_eq!(reply, bulk(format!("again {round}")));
            }
            assert_eq!(clients[3].ask("SCRIPT FLUSH"), ok());
            let gone = error("NOSCRIPT No matching script. Please use EVAL.");
            for client in &mut clients {
                assert_eq!(client.ask(&format!("EVALSHA {digest} 1 k")), gone);
            }
        }
    }
}

/// A loop without end: its core says BUSY, the others serve, SCRIPT KILL ends it unless it has written, and SHUTDOWN
/// NOSAVE ends everything.
#[test]
fn a_script_without_end_is_one_cores_trouble() {
    for threads in THREADS {
        let mut server = Server::start(threads, &["--busy-reply-threshold", "50"]);
        let busy = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
        // One client on each core, more or less: all are asked.
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let mut looping = server.client();
        looping.send(&request(&[b"EVAL", b"while true do end", b"0"]));
        let count_busy_at = |clients: &mut Vec<Client>, line: &str, served: Value| {
            let replies: Vec<Value> = clients.iter_mut().map(|client| client.ask(line)).collect();
            assert!(
                replies
                    .iter()
                    .all(|reply| *reply == error(busy) || *reply == served)
            );
            replies
                .iter()
                .filter(|reply| **reply == error(busy))
                .count()
        };
        let count_busy = |clients: &mut Vec<Client>| {
            count_busy_at(clients, "PING", Value::Simple("PONG".to_string()))
        };
        eventually("PING says BUSY on every core", || {
            count_busy(&mut clients) == 8
        });
        let busy_count = count_busy_at(&mut clients, "ECHO x", bulk("x"));
        match threads {
            1 => assert_eq!(busy_count, 8),
            _ => assert!((1..8).contains(&busy_count), "the other cores serve"),
        }
        assert_eq!(clients[0].ask("SCRIPT KILL"), ok());
        let killed = looping.reply();
        let Value::Error(text) = &killed else {
            panic!("{killed:?}");
        };
        assert!(
            text.starts_with("ERR Script killed by user with SCRIPT KILL..."),
            "{text}"
        );
        eventually("all serve again", || count_busy(&mut clients) == 0);
        let not_busy = error("NOTBUSY No scripts in execution right now.");
        assert_eq!(clients[0].ask("SCRIPT KILL"), not_busy);
        // One that has written can only be ended with the server.
        let body = b"redis.call('set', KEYS[1], 1) while true do end";
        looping.send(&request(&[b"EVAL", body, b"1", b"written"]));
        eventually("somebody is told BUSY", || count_busy(&mut clients) > 0);
        let reply = clients[0].ask("SCRIPT KILL");
        assert!(
            matches!(&reply, Value::Error(text) if text.starts_with("UNKILLABLE ")),
            "{reply:?}"
        );
        clients[0].send(&request(&[b"SHUTDOWN", b"NOSAVE"]));
        let _ = server.wait_for_the_end();
    }
}

/// Scripts that run for long and want the token while another has it begin anew, and nobody is told BUSY for ever.
#[test]
fn long_scripts_that_may_touch_anything_take_turns() {
    for threads in THREADS {
        let server = Server::start(threads, &["--busy-reply-threshold", "5"]);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let body = "redis.call('incr', 'first' .. ARGV[1]) for i = 1, 3000000 do end \
                    redis.call('get', 'then' .. ARGV[1]) for i = 1, 3000000 do end return redis.call('incr', 'all')";
        let body_reading = body.replace("'incr', 'first'", "'get', 'first'");
        for (number, client) in clients.iter_mut().enumerate() {
            let body = if number % 2 == 0 { body } else { &body_reading };
            let word = number.to_string();
            client.send(&request(&[b"EVAL", body.as_bytes(), b"0", word.as_bytes()]));
        }
        let busy = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
        let replies: Vec<Value> = clients.iter_mut().map(Client::reply).collect();
        let ran = replies
            .iter()
            .filter(|reply| **reply != error(busy))
            .count();
        assert!(replies.contains(&integer(ran as i64)), "{replies:?}");
        for client in &mut clients {
            eventually("nobody is told BUSY", || {
                client.ask("PING") == Value::Simple("PONG".to_string())
            });
        }
    }
}

/// A script that pushes serves whoever waits for the key; one that publishes is heard on every core.
#[test]
fn what_a_script_does_reaches_who_waits_for_it() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut waiting: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (number, client) in waiting.iter_mut().enumerate() {
            client.send(&request(&[b"BLPOP", format!("q{number}").as_bytes(), b"0"]));
        }
        eventually("all wait", || {
            server.info_number("clients", "blocked_clients") == 4
        });
        let push = "for i = 0, 3 do redis.call('rpush', 'q' .. i, 'v' .. i) end return 'pushed'";
        assert_eq!(eval(&mut client, push, &["0"]), bulk("pushed"));
        for (number, client) in waiting.iter_mut().enumerate() {
            let expected = vec![bulk(format!("q{number}")), bulk(format!("v{number}"))];
            assert_eq!(client.reply(), Value::Array(expected));
        }
        for client in &mut waiting {
            client.send(&request(&[b"SUBSCRIBE", b"news"]));
            client.reply();
        }
        let publish = "redis.call('set', KEYS[1], 1) return redis.call('publish', 'news', ARGV[1])";
        for round in 0..5 {
            let key = format!("k{round}");
            assert_eq!(eval(&mut client, publish, &["1", &key, "hear"]), integer(4));
        }
        for client in &mut waiting {
            for message in client.replies(5) {
                let expected = vec![bulk("message"), bulk("news"), bulk("hear")];
                assert_eq!(message, Value::Array(expected));
            }
        }
    }
}

/// Blocks with scripts in them, watched and not; INFO from inside a script; what is counted.
#[test]
fn scripts_in_blocks_and_figures() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let (mut client, mut other) = (server.client(), server.client());
        let incr = "return redis.call('incr', KEYS[1])";
        for (touch, runs) in [
            ("GET w", true),
            ("EVAL return(redis.call('set','w',1)) 0", false),
        ] {
            assert_eq!(client.ask("WATCH w"), ok());
            other.ask(touch);
            client.ask("MULTI");
            client.run(&[b"EVAL", incr.as_bytes(), b"1", b"in"]);
            client.run(&[
                b"EVAL",
                b"return {redis.call('incr','in'), redis.call('incr','out')}",
                b"0",
            ]);
            client.ask("GET in");
            let reply = client.ask("EXEC");
            match runs {
                true => assert_eq!(
                    reply,
                    Value::Array(vec![
                        integer(1),
                        Value::Array(vec![integer(2), integer(1)]),
                        bulk("2")
                    ])
                ),
                false => assert_eq!(reply, Value::Null),
            }
        }
        // What a script writes touches what others watch.
        let text = eval(&mut client, "return redis.call('info', 'server')", &["0"]).text();
        assert!(text.contains("redis_version:"), "{text}");
        assert_eq!(server.info_number("memory", "number_of_cached_scripts"), 4);
        assert!(server.info_number("memory", "used_memory_vm_eval") > 0);
        let stats = client.ask("INFO commandstats").text();
        let line = |name: &str| {
            let prefix = format!("cmdstat_{name}:");
            let found = stats.lines().find(|line| line.starts_with(&prefix));
            found
                .unwrap_or_else(|| panic!("no {name} in {stats}"))
                .to_string()
        };
        assert!(line("incr").contains("calls=3,"), "{stats}");
        assert!(line("eval").contains("calls=4,"), "{stats}");
    }
}

/// An error that a script passes on is counted once, where it came from; a call that is refused is a rejected one.
#[test]
fn errors_of_calls_are_counted_once() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.ask("SET text 1");
        // What is called, how often that ran, was refused, failed; the code of its error.
        let cases = [
            (
                "eval_ro",
                "return redis.call('set','text',1)",
                "set:0,1,0",
                "ERR",
            ),
            (
                "eval",
                "return redis.call('lpush','text',1)",
                "lpush:1,0,1",
                "WRONGTYPE",
            ),
            (
                "eval",
                "return redis.pcall('select',99)",
                "select:1,0,1",
                "ERR",
            ),
            (
                "eval",
                "redis.call('get','text','more')",
                "get:0,1,0",
                "ERR",
            ),
            (
                "eval",
                "return redis.call('watch','text')",
                "watch:0,1,0",
                "ERR",
            ),
        ];
        for (name, body, of_call, code) in cases {
            assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
            let words: [&[u8]; 4] = [name.as_bytes(), body.as_bytes(), b"1", b"text"];
            assert!(matches!(client.run(&words), Value::Error(_)), "{body}");
            let stats = client.ask("INFO commandstats").text();
            let counts = |name: &str| {
                let prefix = format!("cmdstat_{name}:");
                let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
                let line = line.unwrap_or_else(|| panic!("no {name} in {stats}"));
                let number = |field: &str| {
                    let found = line.split(',').find_map(|part| part.strip_prefix(field));
                    found.unwrap_or_else(|| panic!("no {field} in {line}"))
                };
                let (calls, rejected) = (number("calls="), number("rejected_calls="));
                format!("{name}:{calls},{rejected},{}", number("failed_calls="))
            };
            let called = of_call.split(':').next().unwrap_or_default();
            assert_eq!(counts(called), of_call, "{threads} threads: {body}");
            assert_eq!(counts(name), format!("{name}:1,0,1"), "{body}");
            let errors = client.ask("INFO errorstats").text();
            let line = format!("errorstat_{code}:count=1\r\n");
            assert!(
                errors.contains(&line),
                "{threads} threads: {body}: {errors}"
            );
        }
    }
}

/// The error of a command that a script of a block passes on is one error; the block's other errors are counted as ever.
#[test]
fn an_error_of_a_script_in_a_block_is_counted_once() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        assert_eq!(client.ask("SET text x"), ok());
        assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
        client.ask("MULTI");
        client.run(&[
            b"EVAL",
            b"return redis.call('incr', KEYS[1])",
            b"1",
            b"text",
        ]);
        client.run(&[b"EVAL", b"return redis.error_reply('MINE own')", b"0"]);
        client.ask("LPUSH text y");
        let reply = client.ask("EXEC");
        assert_eq!(reply.items().len(), 3, "{reply:?}");
        let errors = client.ask("INFO errorstats").text();
        for line in ["ERR:count=1", "MINE:count=1", "WRONGTYPE:count=1"] {
            let line = format!("errorstat_{line}\r\n");
            assert!(errors.contains(&line), "{threads} threads: {errors}");
        }
        let stats = client.ask("INFO commandstats").text();
        for (name, failed_count) in [("eval", 2), ("incr", 1), ("lpush", 1)] {
            let prefix = format!("cmdstat_{name}:");
            let line = stats.lines().find(|line| line.starts_with(&prefix));
            let end = format!("failed_calls={failed_count}");
            assert!(line.is_some_and(|line| line.ends_with(&end)), "{line:?}");
        }
    }
}

/// Clients that go while their scripts run leave nothing behind.
#[test]
fn a_client_that_goes_while_its_script_runs_leaves_nothing_behind() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        for round in 0..40 {
            let mut client = server.client();
            let body = "for i = 1, 20 do redis.call('incr', 'n' .. (i % 5)) end return redis.call('mget', 'n0', 'n1')";
            client.send(&request(&[b"EVAL", body.as_bytes(), b"0"]));
            if round % 2 == 0 {
                client.set_reply_timeout(Duration::from_millis(1 + round % 7));
                let _: Option<Next> = client.try_next();
            }
        }
        let mut client = server.client();
        let body = "local n = 0 for i = 0, 4 do n = n + redis.call('get', 'n' .. i) end return n";
        eventually("all scripts have run", || {
            eval(&mut client, body, &["0"]) == integer(800)
        });
    }
}

/// CLIENT PAUSE WRITE holds back scripts that may write, in a block or not, and no others; who says so is the script.
#[test]
fn a_pause_of_writes_lets_scripts_pass_that_do_not_write() {
    let reads = "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])";
    let code = "#!lua name=l\nredis.register_function{function_name='f', callback=function() return 'of f' end, flags={'no-writes'}}";
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let [mut pauser, mut reader, mut writer, mut block] = [(); 4].map(|()| server.client());
        assert_eq!(pauser.ask("SET k v"), ok());
        pauser.run(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        block.ask("MULTI");
        eval(&mut block, "#!lua\nreturn 'too'", &["0"]);
        assert_eq!(pauser.ask("CLIENT PAUSE 60000 WRITE"), ok());
        for _ in 0..2 {
            assert_eq!(eval(&mut reader, reads, &["1", "k"]), bulk("v"));
        }
        assert_eq!(reader.ask("FCALL f 0"), bulk("of f"));
        assert_eq!(reader.ask("MULTI"), ok());
        eval(&mut reader, reads, &["1", "k"]);
        assert_eq!(reader.ask("EXEC").items(), [bulk("v")]);
        writer.send(&request(&[b"EVAL", b"return 'late'", b"0"]));
        block.send(&request(&[b"EXEC"]));
        eventually("both wait", || {
            server.info_number("clients", "paused_clients") == 2
        });
        assert_eq!(pauser.ask("CLIENT UNPAUSE"), ok());
        assert_eq!(writer.reply(), bulk("late"));
        assert_eq!(block.reply().items(), [bulk("too")]);
    }
}

/// Scripts that made room for others are counted until CONFIG RESETSTAT; a subcommand that there is none of counts no call.
#[test]
fn figures_of_scripts_begin_anew() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    for number in 0..510 {
        let body = format!("return {number}");
        assert_eq!(eval(&mut client, &body, &["0"]), integer(number));
    }
    assert_eq!(server.info_number("stats", "evicted_scripts"), 10);
    assert_eq!(client.ask("CONFIG RESETSTAT"), ok());
    assert_eq!(server.info_number("stats", "evicted_scripts"), 0);
    let body = "redis.pcall('xinfo', 'x'); redis.pcall('get')";
    assert_eq!(eval(&mut client, body, &["0"]), Value::Null);
    let figures = client.ask("INFO commandstats").text();
    assert!(!figures.contains("cmdstat_xinfo"), "{figures}");
    assert!(figures.contains("cmdstat_get:calls=0,"), "{figures}");
}

/// PUBSUB and MEMORY in a script tell of all cores, also where the script is in the midst of a transaction over several.
#[test]
fn scripts_are_told_of_all_cores() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut listeners: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for listener in &mut listeners {
            listener.ask("SUBSCRIBE news");
            listener.ask("PSUBSCRIBE n*");
        }
        let mut client = server.client();
        let body = "for i = 1, 20 do redis.call('set', 'k' .. i, i) end\n\
                    local keys = redis.call('memory', 'stats')\n\
                    local count for i = 1, #keys, 2 do if keys[i] == 'keys.count' then count = keys[i + 1] end end\n\
                    redis.call('memory', 'purge')\n\
                    return {count, redis.call('pubsub', 'numsub', 'news')[2], redis.call('pubsub', 'numpat'),\n\
                            redis.call('pubsub', 'channels')[1]}";
        let expected = [integer(20), integer(5), integer(1), bulk("news")];
        assert_eq!(
            eval(&mut client, body, &["0"]),
            Value::Array(expected.to_vec()),
            "{threads} threads"
        );
        let line = server.info("commandstats", "cmdstat_memory|stats");
        assert!(line.starts_with("calls=1,"), "{line}");
    }
}

/// A text that has made room for others is as new when it comes again, on every core, whoever knows it still.
#[test]
fn a_text_that_was_evicted_is_known_to_all_when_it_comes_again() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.ask(&format!("GET home{number}"));
        }
        let text = "return 'kept'";
        assert_eq!(eval(&mut clients[0], text, &["0"]), bulk("kept"));
        for number in 0..600 {
            eval(&mut clients[1], &format!("return {number}"), &["0"]);
        }
        let digest = rondo::base::sha1::sha1(text.as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(eval(&mut clients[0], text, &["0"]), bulk("kept"));
        for client in &mut clients {
            let exists = client.ask(&format!("SCRIPT EXISTS {digest}"));
            assert_eq!(exists, Value::Array(vec![integer(1)]), "at {threads}");
            assert_eq!(client.ask(&format!("EVALSHA {digest} 0")), bulk("kept"));
        }
    }
}

/// A script in constant use by its digest is none of those that make room, however many come meanwhile; and one that has made room is
/// known to all again when a core that knows it runs it.
#[test]
fn a_script_that_is_used_by_its_digest_stays() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.ask(&format!("GET home{number}"));
        }
        let text = "return 'kept'";
        let digest = rondo::base::sha1::sha1(text.as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let call = format!("EVALSHA {digest} 0");
        let exists = format!("SCRIPT EXISTS {digest}");
        assert_eq!(eval(&mut clients[0], text, &["0"]), bulk("kept"));
        for number in 0..700 {
            eval(&mut clients[1], &format!("return {number}"), &["0"]);
            assert_eq!(clients[0].ask(&call), bulk("kept"), "at {threads}");
        }
        for client in &mut clients {
            assert_eq!(client.ask(&exists), Value::Array(vec![integer(1)]));
            assert_eq!(client.ask(&call), bulk("kept"), "at {threads}");
        }
        for number in 700..1300 {
            eval(&mut clients[1], &format!("return {number}"), &["0"]);
        }
        assert_eq!(clients[0].ask(&exists), Value::Array(vec![integer(0)]));
        assert_eq!(clients[0].ask(&call), bulk("kept"), "at {threads}");
        assert_eq!(clients[1].ask(&exists), Value::Array(vec![integer(1)]));
        assert_eq!(clients[0].ask("SCRIPT FLUSH"), ok());
        for client in &mut clients {
            let reply = client.ask(&call);
            assert!(matches!(&reply, Value::Error(text) if text.starts_with("NOSCRIPT")));
        }
    }
}

/// Texts that look as if they stayed with their keys and do not: what they write is where everybody finds it.
#[test]
fn what_a_script_hides_is_found() {
    let names: Vec<String> = (1..=20).map(|number| format!("f{number}")).collect();
    let triples: String = names.iter().map(|name| format!("x:{name}:v;")).collect();
    let many: String = names.iter().map(|name| format!(",'{name}','v'")).collect();
    let spread = format!(
        "local function f(t) return unpack(t) end redis.call('mset',KEYS[1],f{{'v'{many}}})"
    );
    let texts = [
        "-- c\rfor i=1,20 do redis.call('set','f'..i,'v') end",
        "local f,t=ipairs(KEYS) for i=1,20 do t[1]='f'..i redis.call('set',KEYS[1],'v') end",
        "local key = KEYS[1] for a, key, b in string.gmatch(ARGV[1],'(%w+):(%w+):(%w+);') do redis.call('set',key,b) end",
        &spread,
        "local self=KEYS[1] local t={} function t:m() redis.call('set',self,'v') end for i=1,20 do t.m('f'..i) end",
    ];
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for text in texts {
            for _ in 0..2 {
                client.ask("FLUSHALL");
                let reply = eval(&mut client, text, &["1", "k", &triples]);
                assert!(!matches!(reply, Value::Error(_)), "{text}: {reply:?}");
                for name in &names {
                    let exists = client.ask(&format!("EXISTS {name}"));
                    assert_eq!(exists, integer(1), "{name} of {text} at {threads}");
                }
            }
        }
    }
}

/// What a block calls is there to its end, whoever takes scripts away meanwhile.
#[test]
fn a_block_has_its_scripts_to_its_end() {
    let slow =
        "for i = 1, 1500 do redis.call('get', KEYS[1]) redis.call('get', KEYS[2]) end return 1";
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut other = server.client();
        let flush_in_block = request(&[b"SCRIPT", b"FLUSH"]);
        for round in 0..12 {
            let Value::Bulk(sha) =
                client.run(&[b"SCRIPT", b"LOAD", b"return redis.call('incr', KEYS[1])"])
            else {
                panic!("a digest");
            };
            let count = request(&[b"EVALSHA", &sha, b"1", b"c1"]);
            let keys: [&[u8]; 2] = [b"p", b"q"];
            let wait = request(&[b"EVAL", slow.as_bytes(), b"2", keys[0], keys[1]]);
            let mut bytes = b"MULTI\r\n".to_vec();
            bytes.extend([&count[..], &wait, &count].concat());
            bytes.extend(b"EXEC\r\n");
            client.send(&bytes);
            // Alone, and as a block with it.
            if round % 2 == 0 {
                assert_eq!(other.ask("SCRIPT FLUSH"), ok());
            } else {
                other.send(&[b"MULTI\r\n", &flush_in_block[..], b"EXEC\r\n"].concat());
                assert_eq!(other.replies(3)[2], Value::Array(vec![ok()]));
            }
            let replies = client.replies(5);
            let first = replies[4].items()[0].clone();
            let last = match first {
                Value::Integer(count) => integer(count + 1),
                // It went before the block began.
                _ => first.clone(),
            };
            let all = Value::Array(vec![first, integer(1), last]);
            assert_eq!(replies[4], all, "{threads} threads");
        }
    }
}

/// What a script has told `cjson` holds for all scripts that begin when it is over, on whatever core, until SCRIPT FLUSH; what
/// a function has told it for all functions, until FUNCTION FLUSH.
#[test]
fn what_cjson_is_told_outlives_its_script() {
    const SHOW: &str = "return cjson.encode({3.14159265})";
    let library = format!(
        "#!lua name=l\nredis.register_function('show', function() {SHOW} end)\n\
         redis.register_function('set', function() cjson.encode_number_precision(5) end)"
    );
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let load = |client: &mut Client| client.run(&[b"FUNCTION", b"LOAD", library.as_bytes()]);
        load(&mut client);
        // On the cores of these keys.
        let keys: Vec<String> = (0..16).map(|number| format!("key{number}")).collect();
        let shows = |client: &mut Client, scripts: &str, functions: &str| {
            for key in &keys {
                let shown = eval(client, SHOW, &["1", key]);
                assert_eq!(shown, bulk(scripts), "{key} at {threads}");
                let shown = client.ask(&format!("FCALL show 1 {key}"));
                assert_eq!(shown, bulk(functions), "{key} at {threads}");
            }
        };
        shows(&mut client, "[3.14159265]", "[3.14159265]");
        // Also where it fails.
        let set = "cjson.encode_number_precision(3) error('x')";
        assert!(matches!(
            eval(&mut client, set, &["1", "key0"]),
            Value::Error(_)
        ));
        shows(&mut client, "[3.14]", "[3.14159265]");
        client.ask("FCALL set 1 key1");
        shows(&mut client, "[3.14]", "[3.1416]");
        // What `new` makes is its script's, and what is put back is as if nothing had been, though the script begins anew.
        let own = "local own = cjson.new() own.encode_number_precision(1) return own.encode({3.14159265})";
        assert_eq!(eval(&mut client, own, &["0"]), bulk("[3]"));
        let back = "local before = cjson.encode_number_precision() cjson.encode_number_precision(7) \
                    for i = 0, 7 do redis.call('get', 'key' .. i) end cjson.encode_number_precision(before) return 1";
        assert_eq!(eval(&mut client, back, &["1", "key0"]), integer(1));
        shows(&mut client, "[3.14]", "[3.1416]");
        client.ask("SCRIPT FLUSH");
        shows(&mut client, "[3.14159265]", "[3.1416]");
        client.ask("FUNCTION DELETE l");
        load(&mut client);
        shows(&mut client, "[3.14159265]", "[3.1416]");
        client.ask("FUNCTION FLUSH");
        load(&mut client);
        shows(&mut client, "[3.14159265]", "[3.14159265]");
    }
}
