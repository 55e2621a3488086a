//! Transactions of one pipeline over several cores go on beside each other, and nobody can tell.

use super::client::{Client, Value, bulk, ok, push_request};
use super::harness::{Server, eventually};
use super::order::{Model, push_words, random_request};
use rondo::base::rng::Rng;
use std::io::Read;
use std::net::TcpListener;

/// What a request is as a script, and that script's digest.
struct Known {
    name: &'static [u8],
    /// How many keys it has, with as many values each.
    keys: usize,
    values: usize,
    body: &'static [u8],
    digest: Vec<u8>,
}

const LIBRARY: &[u8] = b"#!lua name=lib
redis.register_function('GET', function(keys) return redis.call('GET', keys[1]) end)
redis.register_function('INCR', function(keys) return redis.call('INCR', keys[1]) end)
redis.register_function('APPEND', function(keys, args) return redis.call('APPEND', keys[1], args[1]) end)
redis.register_function('MGET', function(keys) return {redis.call('GET', keys[1]), redis.call('GET', keys[2])} end)
redis.register_function('MSET', function(keys, args)
    redis.call('SET', keys[1], args[1]) return redis.call('SET', keys[2], args[2]) end)";

/// The same request as a script or a function, where there is one.
fn as_script(words: &[Vec<u8>], known: &[Known], form: usize) -> Option<Vec<Vec<u8>>> {
    let fits = |script: &&Known| {
        script.name == words[0]
            && (script.keys == 1 || words.len() == 1 + script.keys * (1 + script.values))
    };
    let script = known.iter().find(fits)?;
    let head = match form {
        0 => [b"EVAL".to_vec(), script.body.to_vec()],
        1 => [b"EVALSHA".to_vec(), script.digest.clone()],
        _ => [b"FCALL".to_vec(), script.name.to_vec()],
    };
    let mut all = head.to_vec();
    all.push(script.keys.to_string().into_bytes());
    // Keys first, whatever stands between them.
    let of_keys = script.keys * (1 + script.values);
    let (paired, rest) = words[1..].split_at(if script.keys > 1 { of_keys } else { 1 });
    let step = if script.keys > 1 {
        1 + script.values
    } else {
        1
    };
    all.extend(paired.iter().step_by(step).cloned());
    let values = paired.iter().enumerate();
    all.extend(
        values
            .filter(|(index, _)| index % step != 0)
            .map(|(_, value)| value.clone()),
    );
    all.extend(rest.iter().cloned());
    Some(all)
}

/// A pipeline of blocks, scripts and plain requests on few keys; replies are those of a plain map.
fn check_pipelines(client: &mut Client, model: &mut Model, seed: u64, count: usize, depth: usize) {
    let mut rng = Rng::with_seed(seed);
    let mut load =
        |name: &'static [u8], (keys, values): (usize, usize), body: &'static [u8]| match client
            .run(&[b"SCRIPT", b"LOAD", body])
        {
            Value::Bulk(digest) => Known {
                name,
                keys,
                values,
                body,
                digest,
            },
            reply => panic!("{reply:?}"),
        };
    let pair = b"redis.call('SET', KEYS[1], ARGV[1]) return redis.call('SET', KEYS[2], ARGV[2])";
    let known = [
        load(b"GET", (1, 0), b"return redis.call('GET', KEYS[1])"),
        load(b"INCR", (1, 0), b"return redis.call('INCR', KEYS[1])"),
        load(
            b"APPEND",
            (1, 1),
            b"return redis.call('APPEND', KEYS[1], ARGV[1])",
        ),
        load(
            b"MGET",
            (2, 0),
            b"return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}",
        ),
        load(b"MSET", (2, 1), pair),
    ];
    let loaded = client.run(&[b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY]);
    assert_eq!(loaded, bulk("lib"));
    for _ in 0..count {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..1 + rng.below(depth as u64) {
            let is_block = rng.below(2) == 0;
            let requests_count = if is_block { 1 + rng.below(5) } else { 1 };
            let several = rng.below(4) == 0;
            let requests: Vec<Vec<Vec<u8>>> = (0..requests_count)
                .map(|_| random_request(&mut rng, "", several, false))
                .collect();
            if is_block {
                push_request(&mut bytes, &[b"MULTI"]);
                expected.push(ok());
            }
            let mut replies = Vec::new();
            for words in &requests {
                let script = as_script(words, &known, rng.below(3) as usize);
                let script = script.filter(|_| !is_block && rng.below(2) == 0);
                push_words(&mut bytes, script.as_ref().unwrap_or(words));
                replies.push(model.run(words));
            }
            if !is_block {
                expected.append(&mut replies);
                continue;
            }
            expected.extend(requests.iter().map(|_| Value::Simple("QUEUED".into())));
            push_request(&mut bytes, &[b"EXEC"]);
            expected.push(Value::Array(replies));
        }
        client.send(&bytes);
        for (place, expected) in expected.iter().enumerate() {
            let got = client.reply();
            assert!(
                got == *expected,
                "SEED={seed} reply {place}: got {got:?}, not {expected:?}"
            );
        }
    }
}

#[test]
fn a_pipeline_of_blocks_is_answered_as_one_core_would() {
    for threads in [1, 2, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut model = Model::default();
        check_pipelines(&mut client, &mut model, 1, 100, 40);
        check_pipelines(&mut client, &mut model, 2, 5, 600);
        // A log makes what a block writes a step more.
        assert_eq!(client.ask("CONFIG SET appendonly yes"), ok());
        check_pipelines(&mut client, &mut model, 3, 50, 40);
    }
}

/// Eight connections write pairs of keys of different cores in blocks, pipelined; whoever reads both sees equal values.
#[test]
fn pairs_are_seen_as_pairs() {
    for threads in [2, 4] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        std::thread::scope(|scope| {
            for index in 0..8 {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut rng = Rng::with_seed(index);
                    for round in 0..40 {
                        let mut bytes = Vec::new();
                        let depth = 1 + rng.below(20);
                        for step in 0..depth {
                            let pair = rng.below(6);
                            let (first, second) = (format!("a{pair}"), format!("b{pair}"));
                            let value = format!("{index}-{round}-{step}");
                            push_request(&mut bytes, &[b"MULTI"]);
                            for key in [&first, &second] {
                                push_request(
                                    &mut bytes,
                                    &[b"SET", key.as_bytes(), value.as_bytes()],
                                );
                            }
                            push_request(&mut bytes, &[b"EXEC"]);
                            push_request(
                                &mut bytes,
                                &[b"MGET", first.as_bytes(), second.as_bytes()],
                            );
                        }
                        client.send(&bytes);
                        for _ in 0..depth {
                            let replies = client.replies(5);
                            assert_eq!(replies[3], Value::Array(vec![ok(), ok()]));
                            let read = replies[4].items();
                            assert_eq!(read[0], read[1]);
                            assert_ne!(read[0], Value::Null);
                        }
                    }
                });
            }
        });
    }
}

/// What concerns the connection, what watches, and what needs to see the replies before it waits for them.
#[test]
fn what_must_run_alone_waits_for_blocks_before_it() {
    let server = Server::start(4, &[]);
    let mut client = server.client();
    for round in 0..50 {
        let mut bytes = Vec::new();
        let value = round.to_string();
        let mut push = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            push_request(&mut bytes, &words);
        };
        push("MULTI");
        for key in ["a", "b", "c", "d"] {
            push(&format!("SET {key} {value}"));
        }
        push("EXEC");
        push("DBSIZE");
        push("MULTI");
        push("EVAL return(redis.call('get','a')) 0");
        push("GET d");
        push("EXEC");
        push("WATCH a b");
        push(&format!("SET c {value}{value}"));
        push("MULTI");
        push("INCR b");
        push("PUBLISH news x");
        push("SELECT 0");
        push("EXEC");
        push("PING");
        push("UNWATCH");
        client.send(&bytes);
        let replies = client.replies(20);
        assert_eq!(replies[5], Value::Array(vec![ok(), ok(), ok(), ok()]));
        assert_eq!(replies[6], Value::Integer(4));
        assert_eq!(replies[10], Value::Array(vec![bulk(&value), bulk(&value)]));
        let expected = [Value::Integer(round + 1), Value::Integer(0), ok()];
        assert_eq!(replies[17], Value::Array(expected.into()));
        assert_eq!(replies[18], Value::Simple("PONG".into()));
        assert_eq!(replies[19], ok());
    }
}

/// A script whose keys are all on one core runs there: one hop, no transaction, and those of a pipeline go beside each other.
#[test]
fn scripts_with_keys_of_one_core_are_one_hop() {
    let server = Server::start(4, &[]);
    let mut client = server.client();
    let body = b"redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])";
    let Value::Bulk(digest) = client.run(&[b"SCRIPT", b"LOAD", body]) else {
        panic!("no digest");
    };
    let library = b"#!lua name=l\nlocal function f(keys, args)\n\
        redis.call('SET', keys[1], args[1]) return redis.call('GET', keys[2]) end\nredis.register_function('f', f)";
    assert_eq!(client.run(&[b"FUNCTION", b"LOAD", library]), bulk("l"));
    // Its first key decides where it is served.
    assert_eq!(client.ask("SET here 1"), ok());
    let field = |name: &str| server.info_number("stats", name);
    let before = [field("transactions"), field("hops")];
    let mut bytes = Vec::new();
    for index in 0..400 {
        let [first, second] = ["a", "b"].map(|name| format!("{{{index}}}{name}"));
        let value = index.to_string();
        let key = if index % 2 == 0 { &first } else { &second };
        let (name, script): (&[u8], &[u8]) = match index % 3 {
            0 => (b"EVAL", body),
            1 => (b"EVALSHA", &digest),
            _ => (b"FCALL", b"f"),
        };
        push_request(
            &mut bytes,
            &[
                name,
                script,
                b"2",
                first.as_bytes(),
                key.as_bytes(),
                value.as_bytes(),
            ],
        );
    }
    client.send(&bytes);
    for (index, reply) in client.replies(400).into_iter().enumerate() {
        match index % 2 {
            0 => assert_eq!(reply, bulk(index.to_string())),
            _ => assert_eq!(reply, Value::Null),
        }
    }
    assert_eq!(field("transactions"), before[0]);
    let hops = field("hops") - before[1];
    assert!((200..400).contains(&hops), "{hops} hops");
}

/// Scripts too large for the batch that carries the others, with large replies and small ones, among requests for their keys.
#[test]
fn large_scripts_keep_their_places() {
    for threads in [1, 2, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let (small, large) = (vec![b's'; 10], vec![b'l'; 200 << 10]);
        let body = b"redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])";
        let mut held = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for round in 0..8 {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for step in 0..24 {
                let key = format!("k{}", step % held.len());
                let value = &mut held[step % 4];
                let more = if (step + round) % 5 == 0 {
                    &large
                } else {
                    &small
                };
                let words: [&[u8]; 5] = [b"EVAL", body, b"1", key.as_bytes(), more];
                push_request(&mut bytes, &words);
                value.extend_from_slice(more);
                expected.push(Value::Bulk(value.clone()));
                push_request(&mut bytes, &[b"STRLEN", key.as_bytes()]);
                expected.push(Value::Integer(value.len() as i64));
                if value.len() > 1 << 20 {
                    value.clear();
                    push_request(&mut bytes, &[b"DEL", key.as_bytes()]);
                    expected.push(Value::Integer(1));
                }
            }
            client.send(&bytes);
            for (place, expected) in expected.iter().enumerate() {
                assert!(client.reply() == *expected, "reply {place}");
            }
        }
    }
}

/// What is under way is its client's memory; the client goes on meanwhile, in order.
#[test]
fn what_is_under_way_is_counted_as_its_clients() {
    let server = Server::start(4, &[]);
    let (mut holder, mut client, mut other) = (server.client(), server.client(), server.client());
    assert_eq!(client.ask("CLIENT SETNAME piper"), ok());
    assert_eq!(holder.ask("SET held value"), ok());
    // Nobody answers, so the key stays locked.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    holder.send(format!("MIGRATE 127.0.0.1 {port} held 0 60000\r\n").as_bytes());
    let (mut peer, _) = silent.accept().expect("it comes");
    peer.read_exact(&mut [0; 20]).expect("it asks");
    let value = vec![b'v'; 1 << 20];
    let mut bytes = Vec::new();
    for words in [
        &[b"MULTI".as_slice()] as &[&[u8]],
        &[b"SET", b"held", &value],
        &[b"SET", b"beside", b"1"],
        &[b"EXEC"],
        &[b"SET", b"else", b"1"],
    ] {
        push_request(&mut bytes, words);
    }
    client.send(&bytes);
    // What follows the block, with another key, is done before it.
    eventually("the next request is done", || {
        other.ask("GET else") == bulk("1")
    });
    assert_eq!(other.ask("EXISTS beside"), Value::Integer(0));
    let rows = other.ask("CLIENT LIST").text();
    let row = rows
        .lines()
        .find(|row| row.contains(" name=piper "))
        .expect("its row");
    let total = row
        .split(" tot-mem=")
        .nth(1)
        .expect("a figure")
        .split(' ')
        .next();
    let total: usize = total.and_then(|text| text.parse().ok()).expect("a number");
    assert!(total > 1 << 20, "{row}");
    drop((peer, silent));
    assert!(matches!(holder.reply(), Value::Error(_)));
    let queued = || Value::Simple("QUEUED".into());
    let both = Value::Array(vec![ok(), ok()]);
    assert_eq!(client.replies(5), [ok(), queued(), queued(), both, ok()]);
    assert_eq!(other.ask("STRLEN held"), Value::Integer(1 << 20));
}

/// What follows a script over several cores that waits for one of its keys, with others, is done before it; what has one of
/// them waits.
#[test]
fn scripts_over_several_cores_keep_nobody_waiting() {
    let server = Server::start(4, &[]);
    let (mut holder, mut client, mut other) = (server.client(), server.client(), server.client());
    assert_eq!(holder.ask("SET held value"), ok());
    // Nobody answers, so the key stays locked.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    holder.send(format!("MIGRATE 127.0.0.1 {port} held 0 60000\r\n").as_bytes());
    let (mut peer, _) = silent.accept().expect("it comes");
    peer.read_exact(&mut [0; 20]).expect("it asks");
    // Its first key decides where it is served.
    assert_eq!(client.ask("GET home"), Value::Null);
    let names: [&[u8]; 6] = [b"held", b"b1", b"b2", b"b3", b"b4", b"b5"];
    let body: &[u8] =
        b"for _, key in ipairs(KEYS) do redis.call('APPEND', key, ARGV[1]) end return 'done'";
    let mut bytes = Vec::new();
    let mut script = vec![b"EVAL" as &[u8], body, b"6"];
    script.extend(names);
    script.push(b"x");
    push_request(&mut bytes, &script);
    push_request(&mut bytes, &[b"SET", b"else", b"1"]);
    push_request(&mut bytes, &[b"EVAL", body, b"2", b"e1", b"e2", b"y"]);
    push_request(&mut bytes, &[b"APPEND", b"b5", b"z"]);
    client.send(&bytes);
    eventually("the next request is done", || {
        other.ask("GET else") == bulk("1")
    });
    eventually("so is the next script", || {
        other.ask("MGET e1 e2") == Value::Array(vec![bulk("y"), bulk("y")])
    });
    drop((peer, silent));
    assert!(matches!(holder.reply(), Value::Error(_)));
    let done = bulk("done");
    let expected = [done.clone(), ok(), done, Value::Integer(2)];
    assert_eq!(client.replies(4), expected);
    assert_eq!(other.ask("GET b5"), bulk("xz"));
}

/// A reply that is too large for the batch that carries the others, of the one shard of a block and of both, among small
/// ones; and errors in their places.
#[test]
fn large_replies_and_errors_have_their_places() {
    for threads in [1, 2, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let large = vec![b'x'; 3 << 20];
        for name in ["a", "b", "c", "d"] {
            assert_eq!(client.run(&[b"SET", name.as_bytes(), &large]), ok());
            let small = format!("{name}:small");
            assert_eq!(client.run(&[b"SET", small.as_bytes(), b"s"]), ok());
        }
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for round in 0..6 {
            let all: [&[&str]; 3] = [&["a", "b"], &["a:small", "c"], &["d"]];
            let names = all[round % 3];
            push_request(&mut bytes, &[b"MULTI"]);
            let mut replies = Vec::new();
            for name in names {
                push_request(&mut bytes, &[b"GET", name.as_bytes()]);
                push_request(&mut bytes, &[b"LPUSH", name.as_bytes(), b"x"]);
                let is_small = name.ends_with("small");
                replies.push(Value::Bulk(if is_small {
                    b"s".to_vec()
                } else {
                    large.clone()
                }));
                let error = "WRONGTYPE Operation against a key holding the wrong kind of value";
                replies.push(Value::Error(error.into()));
            }
            push_request(&mut bytes, &[b"EXEC"]);
            expected.push(ok());
            expected.extend(replies.iter().map(|_| Value::Simple("QUEUED".into())));
            expected.push(Value::Array(replies));
        }
        client.send(&bytes);
        for (place, expected) in expected.iter().enumerate() {
            assert!(client.reply() == *expected, "reply {place}");
        }
        assert_eq!(client.ask("PING"), Value::Simple("PONG".into()));
    }
}

/// Pipelines of blocks over two cores from both, while a log begins and ends, keys expire, others flush and scripts take
/// what they have not declared: every block's two counters stay equal.
#[test]
fn blocks_stay_whole_whatever_else_happens() {
    let server = Server::start(2, &[]);
    let port = server.port;
    std::thread::scope(|scope| {
        for index in 0..4 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let mut rng = Rng::with_seed(100 + index);
                for _ in 0..60 {
                    let depth = 1 + rng.below(12);
                    let mut bytes = Vec::new();
                    for _ in 0..depth {
                        let pair = rng.below(4);
                        push_request(&mut bytes, &[b"MULTI"]);
                        for side in ["a", "b", "c", "d"] {
                            let key = format!("{side}{pair}");
                            push_request(&mut bytes, &[b"INCR", key.as_bytes()]);
                        }
                        push_request(&mut bytes, &[b"EXEC"]);
                    }
                    client.send(&bytes);
                    for _ in 0..depth {
                        let replies = client.replies(6);
                        let counts = replies[5].items();
                        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut client = Client::connect(port);
            let script = b"for _, side in ipairs({'a','b','c','d'}) do redis.call('INCR', side .. ARGV[1]) end return 1";
            for round in 0..40 {
                let pair = (round % 4).to_string();
                let reply = client.run(&[b"EVAL", script, b"0", pair.as_bytes()]);
                assert_eq!(reply, Value::Integer(1));
                match round % 10 {
                    3 => assert_eq!(client.ask("CONFIG SET appendonly yes"), ok()),
                    6 => assert_eq!(client.ask("CONFIG SET appendonly no"), ok()),
                    8 => assert_eq!(client.ask("FLUSHALL"), ok()),
                    _ => {}
                }
            }
        });
    });
}
