//! Limits of memory on the built server: what is refused, who goes, what is told.

use super::client::{Client, Next, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually};

const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// Fills every shard until one refuses.
fn fill(client: &mut Client) -> usize {
    let value = vec![b'x'; 10_000];
    for number in 0..10_000 {
        let name = format!("fill:{number}");
        let reply = client.run(&[b"SET", name.as_bytes(), &value]);
        if reply == error(OOM) {
            return number;
        }
        assert_eq!(reply, ok());
    }
    panic!("there is no limit");
}

/// With noeviction and no room: what may grow is refused, in a block when it is queued and when it runs, over several shards
/// as a whole; everything else goes on.
#[test]
fn without_room_what_may_grow_is_refused_everywhere() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--maxmemory", "20mb"]);
        let mut client = server.client();
        let mut waiting = server.client();
        assert_eq!(waiting.ask("MULTI"), ok());
        assert_eq!(waiting.ask("SET a 1"), bulk_simple("QUEUED"));
        let mut reading = server.client();
        assert_eq!(reading.ask("MULTI"), ok());
        assert_eq!(reading.ask("GET a"), bulk_simple("QUEUED"));
        fill(&mut client);
        // Each shard has its own last piece, and what is too large for it leaves room for less; all must have found theirs used
        // up.
        for number in 0..200 {
            client.ask(&format!("SETRANGE more:{number} 30000 x"));
        }
        assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4 e 5"), error(OOM));
        assert_eq!(client.ask("EXISTS a b c d e"), Value::Integer(0));
        assert_eq!(client.ask("GET a"), Value::Null);
        assert_eq!(client.ask("DEL nosuch"), Value::Integer(0));
        let text = format!("EXECABORT Transaction discarded because of: {OOM}");
        assert_eq!(waiting.ask("EXEC"), error(&text));
        assert_eq!(waiting.ask("EXEC"), error("ERR EXEC without MULTI"));
        assert_eq!(reading.ask("EXEC"), Value::Array(vec![Value::Null]));
        // Queued is what would be let through, as a real 8.0.6 does; not what may grow.
        assert_eq!(client.ask("MULTI"), ok());
        assert_eq!(client.ask("GET a"), bulk_simple("QUEUED"));
        let script = client.run(&[b"EVAL", b"return 1", b"0"]);
        assert_eq!(script, bulk_simple("QUEUED"));
        assert_eq!(
            client.ask("EXEC"),
            Value::Array(vec![Value::Null, Value::Integer(1)])
        );
        assert_eq!(client.ask("MULTI"), ok());
        assert_eq!(client.ask("GET a"), bulk_simple("QUEUED"));
        assert_eq!(client.ask("LPUSH l 1"), error(OOM));
        assert_eq!(client.ask("DEL a"), bulk_simple("QUEUED"));
        assert_eq!(
            client.ask("EXEC"),
            error("EXECABORT Transaction discarded because of previous errors.")
        );
        let used = server.info_number("memory", "used_memory");
        let limit = 20 << 20;
        assert!(
            (limit - limit / 100..limit + limit / 100).contains(&used),
            "{used}"
        );
        assert_eq!(server.info("memory", "maxmemory_human"), "20.00M");
        assert!(server.info_number("stats", "current_eviction_exceeded_time") > 0);
        assert_eq!(client.ask("CONFIG SET maxmemory-policy allkeys-lru"), ok());
        assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4 e 5"), ok());
        eventually("the time is over", || {
            server.info_number("stats", "current_eviction_exceeded_time") == 0
        });
        assert!(server.info_number("stats", "total_eviction_exceeded_time") > 0);
    }
}

/// Scripts: with memory short a plain one may do all but grow, one with flags must have `allow-oom` or not write.
#[test]
fn scripts_grow_only_where_they_may() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--maxmemory", "1"]);
        let mut client = server.client();
        let plain = client.ask("EVAL redis.call('set',KEYS[1],1) 1 x");
        let Value::Error(plain) = plain else {
            panic!("{plain:?}")
        };
        assert!(plain.starts_with(OOM), "{plain}");
        let eval =
            |client: &mut Client, text: &str| client.run(&[b"EVAL", text.as_bytes(), b"1", b"x"]);
        assert_eq!(
            eval(&mut client, "return redis.call('get',KEYS[1])"),
            Value::Null
        );
        assert_eq!(eval(&mut client, "#!lua\nreturn 1"), error(OOM));
        assert_eq!(
            eval(&mut client, "#!lua flags=no-writes\nreturn 1"),
            Value::Integer(1)
        );
        let allowed = "#!lua flags=allow-oom\nreturn redis.call('incr',KEYS[1])";
        assert_eq!(eval(&mut client, allowed), Value::Integer(1));
        // What has begun to write may go on.
        let begun = "redis.call('del',KEYS[1]) return redis.call('incr',KEYS[1])";
        assert_eq!(eval(&mut client, begun), Value::Integer(1));
        // A block heeds what its scripts say of themselves.
        assert_eq!(client.ask("CONFIG SET maxmemory 0"), ok());
        let library = "#!lua name=l\nredis.register_function('plain', function() return 1 end)\n\
                       redis.register_function{function_name='reads', callback=function() return 1 end, flags={'no-writes'}}";
        client.run(&[b"FUNCTION", b"LOAD", library.as_bytes()]);
        let runs = Value::Array(vec![Value::Integer(1)]);
        let refused = error(&format!(
            "EXECABORT Transaction discarded because of: {OOM}"
        ));
        let scripts: [(&[&[u8]], &Value); 7] = [
            (&[b"EVAL", b"return 1", b"0"], &runs),
            (&[b"EVAL", b"#!lua\nreturn 1", b"0"], &refused),
            (&[b"EVAL_RO", b"#!lua\nreturn 1", b"0"], &refused),
            (&[b"EVAL", b"#!lua flags=allow-oom\nreturn 1", b"0"], &runs),
            (&[b"EVAL", b"#!lua flags=no-writes\nreturn 1", b"0"], &runs),
            (&[b"FCALL", b"plain", b"0"], &refused),
            (&[b"FCALL_RO", b"reads", b"0"], &runs),
        ];
        for (words, expected) in scripts {
            assert_eq!(client.ask("MULTI"), ok());
            client.run(words);
            let mut other = server.client();
            assert_eq!(other.ask("CONFIG SET maxmemory 1"), ok());
            assert_eq!(client.ask("EXEC"), *expected, "{words:?}");
            assert_eq!(other.ask("CONFIG SET maxmemory 0"), ok());
        }
    }
}

/// What a block's scripts may do goes by whether memory was short when the block began, whatever its commands have taken or
/// given back by then.
#[test]
fn scripts_of_a_block_go_by_how_it_began() {
    const PLAIN: &[u8] = b"return redis.call('incr', KEYS[1])";
    const FLAGGED: &[u8] = b"#!lua\nreturn redis.call('incr', KEYS[1])";
    const ALLOWED: &[u8] = b"#!lua flags=allow-oom\nreturn redis.call('incr', KEYS[1])";
    const READS: &[u8] = b"#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])";
    const LIBRARY: &[u8] =
        b"#!lua name=l\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)";
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &["--maxmemory", "64mb"]);
        let mut client = server.client();
        // A core looks at what its own keys take: the client is to be where they are.
        client.ask("EXISTS {k}big");
        client.run(&[b"FUNCTION", b"LOAD", LIBRARY]);
        let mut block = |commands: &[&[&[u8]]]| {
            assert_eq!(client.ask("MULTI"), ok());
            for words in commands {
                assert_eq!(
                    client.run(words),
                    Value::Simple("QUEUED".into()),
                    "{words:?}"
                );
            }
            client.ask("EXEC").items().to_vec()
        };
        let taken = block(&[
            &[b"SETRANGE", b"{k}big", b"79999999", b"x"],
            &[b"EVAL", PLAIN, b"1", b"{k}n"],
            &[b"EVAL", FLAGGED, b"1", b"{k}n"],
            &[b"FCALL", b"f", b"1", b"{k}n"],
            &[b"EVAL", PLAIN, b"1", b"elsewhere"],
        ]);
        let numbers = [80_000_000, 1, 2, 3, 1].map(Value::Integer);
        assert_eq!(taken, numbers, "{threads}");
        let given = block(&[
            &[b"DEL", b"{k}big"],
            &[b"EVAL", PLAIN, b"1", b"{k}n"],
            &[b"EVAL", ALLOWED, b"1", b"{k}n"],
            &[b"EVAL", READS, b"1", b"{k}n"],
        ]);
        assert_eq!(given[0], Value::Integer(1));
        assert!(given[1].text().starts_with(OOM), "{given:?} at {threads}");
        assert_eq!(given[2..], [Value::Integer(4), bulk("4")]);
    }
}

/// The limit is taken away and put back, both times far above what is used, while all cores serve: cores hear of that one after
/// the other. No key goes, and nothing is refused.
#[test]
fn a_limit_that_is_no_more_costs_no_key() {
    const KEYS: usize = 3_000;
    const ROUNDS: usize = 400;
    for policy in ["allkeys-lru", "noeviction"] {
        let server = Server::start(4, &["--maxmemory", "10gb", "--maxmemory-policy", policy]);
        let mut client = server.client();
        for number in 0..KEYS {
            assert_eq!(client.ask(&format!("SET key:{number} v")), ok());
        }
        let port = server.port;
        let work = move |worker: usize| {
            let mut client = Client::connect(port);
            let mut refusals = Vec::new();
            for round in 0..ROUNDS {
                let mut pipeline = Vec::new();
                for number in 0..16 {
                    let key = format!("key:{}", (worker * 997 + round * 16 + number) % KEYS);
                    push_request(&mut pipeline, &[b"SET", key.as_bytes(), b"w"]);
                    push_request(&mut pipeline, &[b"GET", key.as_bytes()]);
                }
                client.send(&pipeline);
                let replies = client.replies(32).into_iter();
                refusals.extend(replies.filter(|reply| *reply != ok() && *reply != bulk("w")));
            }
            refusals
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|id| scope.spawn(move || work(id))).collect();
            while !workers.iter().all(|worker| worker.is_finished()) {
                for limit in ["0", "10gb", "100mb"] {
                    let set = client.ask(&format!("CONFIG SET maxmemory {limit}"));
                    assert_eq!(set, ok());
                }
            }
            for worker in workers {
                let refusals = worker.join().expect("a worker that has ended");
                assert!(refusals.is_empty(), "{policy}: {:?}", &refusals[..1]);
            }
        });
        assert_eq!(server.info_number("stats", "evicted_keys"), 0, "{policy}");
        assert_eq!(client.ask("DBSIZE"), Value::Integer(KEYS as i64));
    }
}

fn bulk_simple(text: &str) -> Value {
    Value::Simple(text.to_string())
}

/// Values of up to 1 MiB, some read again, in a server of 32 MB on one core and on four: used memory is never more than a
/// hundredth above the limit. Half of them come in a pipeline.
#[test]
fn large_values_never_take_more_than_the_limit_by_a_hundredth() {
    for threads in [1, 4] {
        let limit = 32 << 20;
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.ask(&format!(
            "CONFIG SET maxmemory {limit} maxmemory-policy allkeys-lru"
        ));
        let mut highest = 0;
        for number in 0u32..120 {
            let size = 1 << (10 + number % 11);
            let value = vec![b'x'; size];
            let names: Vec<String> = (0..3).map(|part| format!("{number}:{part}")).collect();
            if number % 2 == 0 {
                for name in &names {
                    assert_eq!(client.run(&[b"SET", name.as_bytes(), &value]), ok());
                }
            } else {
                let set = |name: &String| {
                    let head = format!(
                        "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${size}\r\n",
                        name.len()
                    );
                    [head.as_bytes(), &value[..], b"\r\n"].concat()
                };
                client.send(&names.iter().flat_map(set).collect::<Vec<u8>>());
                names.iter().for_each(|_| assert_eq!(client.reply(), ok()));
            }
            client.run(&[b"GET", names[0].as_bytes()]);
            let used = server.info_number("memory", "used_memory");
            assert!(used <= limit + limit / 100, "{threads} {number}: {used}");
            highest = used.max(highest);
        }
        assert!(highest > limit - limit / 20, "{threads}: {highest}");
        assert!(server.info_number("stats", "evicted_keys") > 0);
    }
}

/// A watched key that is evicted was changed.
#[test]
fn an_evicted_key_was_changed_for_whoever_watches_it() {
    let server = Server::start(1, &["--maxmemory-policy", "allkeys-random"]);
    let mut watching = server.client();
    let mut client = server.client();
    assert_eq!(client.run(&[b"SET", b"a", &[b'x'; 1000]]), ok());
    assert_eq!(watching.ask("WATCH a"), ok());
    assert_eq!(client.ask("CONFIG SET maxmemory 1"), ok());
    eventually("it is gone", || client.ask("EXISTS a") == Value::Integer(0));
    assert_eq!(client.ask("CONFIG SET maxmemory 0"), ok());
    assert_eq!(watching.ask("MULTI"), ok());
    assert_eq!(watching.ask("PING"), bulk_simple("QUEUED"));
    assert_eq!(watching.ask("EXEC"), Value::Null);
    assert_eq!(server.info_number("stats", "evicted_keys"), 1);
}

/// The largest client goes, wherever it is served; one that said NO-EVICT stays, and the small ones never notice.
#[test]
fn the_largest_client_goes_when_clients_take_too_much() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--maxmemory-clients", "3mb"]);
        let mut small: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let mut kept = server.client();
        assert_eq!(kept.ask("CLIENT NO-EVICT on"), ok());
        // A request that never ends: its bytes lie there.
        let mut large = server.client();
        large.send(b"*2\r\n$3\r\nGET\r\n$900000\r\n");
        large.send(&vec![b'x'; 800_000]);
        kept.send(b"*2\r\n$3\r\nGET\r\n$1900000\r\n");
        kept.send(&vec![b'x'; 1_500_000]);
        eventually("both are there", || {
            let text = small[0].ask("CLIENT LIST").text();
            text.lines().filter(|row| total(row) > 700_000).count() == 2
        });
        let mut largest = server.client();
        largest.send(b"*2\r\n$3\r\nGET\r\n$1900000\r\n");
        let _ = largest.try_send(&vec![b'x'; 1_200_000]);
        assert_eq!(largest.next(), Next::Closed);
        for client in &mut small {
            assert_eq!(client.ask("PING"), bulk_simple("PONG"));
        }
        eventually("it is counted", || {
            server.info_number("stats", "evicted_clients") == 1
        });
        let text = small[0].ask("CLIENT LIST").text();
        assert_eq!(text.lines().filter(|row| total(row) > 700_000).count(), 2);
        assert_eq!(small[0].ask("CONFIG SET maxmemory-clients 2mb"), ok());
        assert_eq!(large.next(), Next::Closed);
    }
}

/// Of clients on all cores as many go, the largest first, as is too much, and no more: one core hands on to the next.
#[test]
fn as_many_clients_go_as_are_too_much_wherever_they_are() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut control = server.client();
        assert_eq!(control.ask("CLIENT NO-EVICT on"), ok());
        let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(b"*2\r\n$3\r\nGET\r\n$1900000\r\n");
            client.send(&vec![b'x'; 100_000 * (index + 1)]);
        }
        let sizes = |control: &mut Client| {
            let text = control.ask("CLIENT LIST").text();
            let mut sizes: Vec<usize> = text.lines().map(total).collect();
            sizes.retain(|size| *size >= 100_000);
            sizes.sort();
            sizes
        };
        eventually("all of them is there", || {
            sizes(&mut control).iter().sum::<usize>() > 7_800_000
        });
        assert_eq!(control.ask("CONFIG SET maxmemory-clients 2000000"), ok());
        eventually("all that is too much is gone", || {
            sizes(&mut control).iter().sum::<usize>() <= 2_000_000
        });
        let left = sizes(&mut control);
        assert_eq!(left.len(), 5, "{left:?}, {threads} threads");
        assert!(left[4] < 550_000, "{left:?}, {threads} threads");
        assert_eq!(server.info_number("stats", "evicted_clients"), 7);
    }
}

/// A limit that is passed by less than what replies take for a moment: it holds once CONFIG SET is answered.
#[test]
fn a_limit_on_clients_holds_once_it_is_set() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut control = server.client();
        assert_eq!(control.ask("CLIENT NO-EVICT on"), ok());
        let mut large = server.client();
        large.send(b"*2\r\n$131072\r\n");
        large.send(&vec![b'x'; 131_072]);
        let count = |control: &mut Client| {
            let text = control.ask("CLIENT LIST").text();
            text.lines().filter(|row| total(row) >= 131_072).count()
        };
        eventually("it is there", || count(&mut control) == 1);
        assert_eq!(control.ask("CONFIG SET maxmemory-clients 1"), ok());
        assert_eq!(count(&mut control), 0, "{threads} threads");
        assert_eq!(large.next(), Next::Closed);
    }
}

/// A client whose one request, or whose watched keys, take more than all clients may goes before that request has run.
#[test]
fn a_client_that_alone_is_too_large_goes() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--maxmemory-clients", "2mb"]);
        let mut other = server.client();
        let mut large = server.client();
        assert_eq!(large.run(&[b"SET", b"k", &vec![b'v'; 900_000]]), ok());
        let whole = super::client::request(&[b"SET", b"k2", &vec![b'v'; 2_200_000]]);
        let _ = large.try_send(&whole);
        assert_eq!(large.next(), Next::Closed);
        assert_eq!(other.ask("EXISTS k k2"), Value::Integer(1));
        let mut watching = server.client();
        let mut words: Vec<Vec<u8>> = vec![b"WATCH".to_vec()];
        words.extend((0..50).map(|number| format!("{number:01000}").into_bytes()));
        let mut rounds = 0;
        let ended = loop {
            for (at, word) in words[1..].iter_mut().enumerate() {
                *word = format!("{:01000}", rounds * 50 + at).into_bytes();
            }
            let slices: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            if watching.try_send(&super::client::request(&slices)).is_err() {
                break true;
            }
            match watching.next() {
                Next::Closed => break true,
                _ => rounds += 1,
            }
            if rounds > 60 {
                break false;
            }
        };
        assert!(ended && rounds > 20, "after {rounds} times 50 KB");
        assert_eq!(other.ask("PING"), bulk_simple("PONG"));
        eventually("they are counted", || {
            server.info_number("stats", "evicted_clients") == 2
        });
    }
}

/// Replies and messages that nobody reads take memory like keys do, while a send that does not end is under way as well: keys
/// go for them, or the clients do.
#[test]
fn what_nobody_reads_counts_as_memory() {
    for (threads, clients_bytes) in [(1, "0"), (3, "0"), (1, "6mb"), (3, "6mb")] {
        let server = Server::start(
            threads,
            &[
                "--maxmemory",
                "20mb",
                "--maxmemory-policy",
                "allkeys-lru",
                "--maxmemory-clients",
                clients_bytes,
            ],
        );
        let mut client = server.client();
        assert_eq!(client.ask("CLIENT NO-EVICT on"), ok());
        let value = vec![b'x'; 100_000];
        for number in 0..50 {
            let name = format!("key:{number}");
            assert_eq!(client.run(&[b"SET", name.as_bytes(), &value]), ok());
        }
        let mut subscribers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for subscriber in &mut subscribers {
            subscriber.ask("SUBSCRIBE news");
        }
        let evicted = match clients_bytes {
            "0" => "evicted_keys",
            _ => "evicted_clients",
        };
        let has_evicted = (0..600).any(|round| {
            client.run(&[b"PUBLISH", b"news", &value]);
            round % 20 == 19 && server.info_number("stats", evicted) > 0
        });
        assert!(
            has_evicted,
            "{threads} threads, maxmemory-clients {clients_bytes}"
        );
    }
}

/// CLIENT PAUSE keeps keys where they are; what has become too much meanwhile goes when it is over.
#[test]
fn no_key_is_evicted_in_a_pause() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--maxmemory-policy", "allkeys-random"]);
        let mut client = server.client();
        for key in 0..9 {
            assert_eq!(client.ask(&format!("SET key{key} x")), ok());
        }
        assert_eq!(client.ask("CLIENT PAUSE 100000 WRITE"), ok());
        assert_eq!(client.ask("CONFIG SET maxmemory 1"), ok());
        // Reads evict as well, and so does each of these ticks.
        for round in 0..30 {
            let key = round % 9;
            assert_eq!(client.ask(&format!("GET key{key}")), bulk("x"));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(client.ask("DBSIZE"), Value::Integer(9));
        assert_eq!(server.info_number("stats", "evicted_keys"), 0);
        assert_eq!(client.ask("CLIENT UNPAUSE"), ok());
        eventually("all keys go", || client.ask("DBSIZE") == Value::Integer(0));
    }
}

/// Clients that are told of evicted keys must not have more keys go for what they are told, nor the log for what it takes; who
/// sets the limit finds it kept.
#[test]
fn evictions_do_not_feed_on_the_news_of_them() {
    for (threads, is_logged, prefix) in [
        (1, "no", ""),
        (3, "no", ""),
        (1, "yes", ""),
        (3, "yes", ""),
        (1, "no", " BCAST"),
        (3, "no", " BCAST"),
    ] {
        let server = Server::start(
            threads,
            &[
                "--maxmemory-policy",
                "allkeys-lru",
                "--maxmemory-eviction-tenacity",
                "100",
                "--appendonly",
                is_logged,
            ],
        );
        let mut client = server.client();
        let mut trackers: Vec<Client> = (0..10).map(|_| server.client()).collect();
        for tracker in &mut trackers {
            tracker.ask("HELLO 3");
            assert_eq!(tracker.ask(&format!("CLIENT TRACKING ON{prefix}")), ok());
        }
        for number in 0..300 {
            let name = format!("{number}{:x<1000}", "");
            assert_eq!(client.ask(&format!("SET {name} x")), ok());
            for tracker in &mut trackers {
                tracker.send(format!("GET {name}\r\n").as_bytes());
                while tracker.next() != Next::Reply(bulk("x")) {}
            }
        }
        // Buffers of what has been asked shrink.
        let used_now = || server.info_number("memory", "used_memory");
        let mut used = used_now();
        eventually("buffers have shrunk", || {
            let before = std::mem::replace(&mut used, used_now());
            std::thread::sleep(std::time::Duration::from_millis(300));
            before == used
        });
        let limit = used - 40_000;
        assert_eq!(client.ask(&format!("CONFIG SET maxmemory {limit}")), ok());
        let evicted = server.info_number("stats", "evicted_keys");
        let what = format!("{threads} threads, log {is_logged}{prefix}");
        assert!((10..=60).contains(&evicted), "{what}: {evicted}");
        // Each client that asks is memory as well.
        let left = client.ask("DBSIZE").integer();
        assert!((220..=300 - evicted).contains(&left), "{what}: {left}");
        // Those who are told hear of as many, and nothing more goes for it.
        let news_count = if prefix.is_empty() { evicted } else { 1 };
        for tracker in &mut trackers {
            for _ in 0..news_count {
                assert!(matches!(tracker.next(), Next::Reply(Value::Push(_))));
            }
        }
        let later = server.info_number("stats", "evicted_keys");
        assert!(later <= 80, "{what}: {evicted}, then {later}");
    }
}

/// The prefixes a client wants to hear of are its memory.
#[test]
fn prefixes_of_tracking_count_as_the_clients_memory() {
    let server = Server::start(2, &["--maxmemory-clients", "200000"]);
    let mut client = server.client();
    let mut rounds = 0;
    loop {
        let (a, b) = (format!("a{rounds:0900}"), format!("b{rounds:0900}"));
        let line = format!("CLIENT TRACKING ON BCAST PREFIX {a} PREFIX {b}\r\n");
        if client.try_send(line.as_bytes()).is_err() || client.next() == Next::Closed {
            break;
        }
        rounds += 1;
        assert!(
            rounds < 200,
            "it holds {rounds} times 1.8 KB, and again as much"
        );
    }
    assert!(rounds > 20, "{rounds}");
    assert_eq!(server.info_number("stats", "evicted_clients"), 1);
}

fn total(row: &str) -> usize {
    let field = row
        .split(' ')
        .find_map(|word| word.strip_prefix("tot-mem="));
    field.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// MEMORY's figures about the process agree with INFO's.
#[test]
fn memory_tells_what_info_tells() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    for number in 0..2_000 {
        let name = format!("key:{number}");
        assert_eq!(client.run(&[b"SET", name.as_bytes(), &[b'x'; 5000]]), ok());
    }
    let stats = client.ask("MEMORY STATS");
    let items = stats.items();
    let figure = |name: &str| {
        let place = items.iter().step_by(2).position(|item| *item == bulk(name));
        items[2 * place.expect("it is told") + 1].clone()
    };
    assert_eq!(figure("keys.count"), Value::Integer(2000));
    let used = figure("total.allocated").integer();
    assert!(used > 10_000_000);
    assert!((used - server.info_number("memory", "used_memory")).abs() < 200_000);
    let dataset = figure("dataset.bytes").integer();
    assert!((10_000_000..12_000_000).contains(&dataset), "{dataset}");
    assert!(figure("peak.allocated").integer() >= used);
    assert_eq!(figure("db.0").items()[0], bulk("overhead.hashtable.main"));
    assert!(figure("allocator.resident").integer() > used / 2);
    let doctor = client.ask("MEMORY DOCTOR").text();
    assert!(
        doctor.starts_with("Nothing to complain") || doctor.starts_with("What could"),
        "{doctor}"
    );
    assert!(
        client
            .ask("MEMORY MALLOC-STATS")
            .text()
            .contains("mimalloc")
    );
    assert_eq!(client.ask("MEMORY PURGE"), ok());
    assert_eq!(client.ask("FLUSHALL"), ok());
    eventually("it is free", || {
        server.info_number("memory", "used_memory") < 5_000_000
    });
    assert!(client.ask("MEMORY DOCTOR").text().contains("too little"));
    assert!(server.info_number("memory", "used_memory_peak") >= used);
}

/// Nothing counts as in use that the system has not given: before the first key, with some, and when they are gone.
#[test]
fn what_is_in_use_is_resident() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let look = |when: &str| {
            let names = [
                "allocator_allocated",
                "allocator_active",
                "allocator_resident",
                "used_memory_rss",
            ];
            let text = server.client().ask("INFO memory").text();
            let figure = |name: &&str| -> u64 {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("{name}:")));
                line.expect("a field").parse().expect("a number")
            };
            let figures: Vec<u64> = names.iter().map(figure).collect();
            assert!(
                figures.is_sorted(),
                "{when}, {threads} threads: {names:?} {figures:?}"
            );
        };
        look("at first");
        for number in 0..300 {
            let name = format!("key:{number}");
            assert_eq!(
                client.run(&[b"SET", name.as_bytes(), &[b'x'; 30_000]]),
                ok()
            );
        }
        look("with keys");
        assert_eq!(client.ask("FLUSHALL"), ok());
        look("after them");
    }
}

/// Clients at rest are not looked at for INFO: as soon as one of them holds something, watches a key or goes, that is told.
#[test]
fn what_clients_hold_is_told_of_those_that_were_at_rest() {
    const HELD_BYTES: usize = 300_000;
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut figure = |name: &str| -> usize {
            let text = client.ask("INFO").text();
            let line = (text.lines()).find_map(|line| line.strip_prefix(&format!("{name}:")));
            line.expect("a field").parse().expect("a number")
        };
        let before = figure("mem_clients_normal");
        let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
        for resting in &mut clients {
            assert_eq!(resting.ask("EXISTS key"), Value::Integer(0));
        }
        // Those that have nothing under way rest after the first look.
        figure("mem_clients_normal");
        let at_rest = figure("mem_clients_normal");
        assert!(at_rest > before, "{at_rest}, {before} before");
        for resting in clients.iter_mut().take(3) {
            assert_eq!(resting.ask("WATCH key other"), ok());
        }
        assert_eq!(figure("watching_clients"), 3);
        for resting in clients.iter_mut().take(2) {
            assert_eq!(resting.ask("UNWATCH"), ok());
        }
        assert_eq!(figure("watching_clients"), 1);
        let mut large = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n${HELD_BYTES}\r\n").into_bytes();
        large.resize(large.len() + HELD_BYTES, b'x');
        let holder = &mut clients[20];
        holder.send(&large);
        eventually("half of a request is memory", || {
            figure("mem_clients_normal") >= at_rest + HELD_BYTES
        });
        holder.send(b"\r\n");
        assert_eq!(holder.reply(), ok());
        eventually("and then it is none", || {
            figure("mem_clients_normal") < at_rest + HELD_BYTES / 2
        });
        drop(clients);
        eventually("nor is what has gone", || {
            figure("mem_clients_normal") < at_rest && figure("watching_clients") == 0
        });
    }
}

/// What a flush frees, some of it large, goes back to the system though no request comes any more.
#[test]
fn what_is_freed_goes_back_though_nobody_asks() {
    let server = Server::start(2, &["--activedefrag", "no"]);
    let mut client = server.client();
    let value = vec![b'x'; 3_000];
    let empty_bytes = server.memory_bytes("VmRSS");
    for number in 0..30_000 {
        let name = format!("value:{number}");
        assert_eq!(client.run(&[b"SET", name.as_bytes(), &value]), ok());
    }
    let full_bytes = server.memory_bytes("VmRSS");
    assert!(
        full_bytes - empty_bytes > 85 << 20,
        "{empty_bytes} {full_bytes}"
    );
    assert_eq!(client.ask("FLUSHALL"), ok());
    eventually("it goes back", || {
        server.memory_bytes("VmRSS") < empty_bytes + (30 << 20)
    });
}

/// Replies that nobody reads, asked for in one burst: whoever asked goes, before keys go for them.
#[test]
fn clients_go_before_keys_do() {
    let server = Server::start(1, &["--enable-debug-command", "yes"]);
    let mut admin = server.client();
    admin.ask("CLIENT NO-EVICT ON");
    admin.ask("CONFIG SET maxmemory 16mb maxmemory-policy allkeys-lru maxmemory-clients 3mb");
    for number in 0..50 {
        admin.ask(&format!("SETRANGE {number} 100000 x"));
    }
    // None is too large alone, and all have asked when the server looks again.
    let burst = b"MGET 1\r\n".repeat(25);
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    admin.send(b"DEBUG SLEEP 0.3\r\n");
    for client in &mut clients {
        let _ = client.try_send(&burst);
    }
    assert_eq!(admin.reply(), ok());
    eventually("clients go", || {
        server.info_number("stats", "evicted_clients") > 0
    });
    assert_eq!(server.info_number("stats", "evicted_keys"), 0);
    assert_eq!(admin.ask("DBSIZE"), Value::Integer(50));
}

fn used(server: &Server) -> i64 {
    server.info_number("memory", "used_memory")
}

/// A client that waits has the words of what it waits for.
#[test]
fn the_words_of_who_waits_are_counted() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let before = used(&server);
        let mut waiting = server.client();
        let key = vec![b'q'; 300_000];
        let keys: Vec<Vec<u8>> = (0..9)
            .map(|number| [&key[..], &[b'0' + number]].concat())
            .collect();
        let mut words: Vec<&[u8]> = vec![b"BLPOP"];
        words.extend(keys.iter().map(Vec::as_slice));
        words.push(b"0");
        waiting.send(&request(&words));
        eventually("it waits", || {
            server.info_number("clients", "blocked_clients") == 1
        });
        assert!(used(&server) > before + 2_700_000);
        let rows = client.ask("CLIENT LIST").text();
        let row = rows
            .lines()
            .find(|row| row.contains("cmd=blpop"))
            .expect("its row");
        assert!(total(row) > 2_700_000, "{row}");
        client.configure("maxmemory-clients", "1mb");
        waiting.rest();
        eventually("it has gone", || {
            server.info_number("clients", "blocked_clients") == 0
        });
        eventually("with all it had", || used(&server) < before + 300_000);
    }
}

/// Scripts, libraries and what they keep in Lua count as memory, and so towards the limit.
#[test]
fn scripts_and_libraries_count_as_memory() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let before = used(&server);
        let text = |number: usize| format!("return {number} --{}", "x".repeat(500_000));
        for number in 0..10 {
            client.run(&[b"SCRIPT", b"LOAD", text(number).as_bytes()]);
        }
        let with_scripts = used(&server);
        assert!(with_scripts > before + 5_000_000);
        let library = format!(
            "#!lua name=l\nredis.register_function('f', function() return 1 end) --{}",
            "x".repeat(500_000)
        );
        assert_eq!(
            client.run(&[b"FUNCTION", b"LOAD", library.as_bytes()]),
            bulk("l")
        );
        assert!(used(&server) > with_scripts + 500_000);
        client.configure("maxmemory", "6mb");
        eventually(
            "it is over the limit",
            || matches!(client.ask("SET k v"), Value::Error(text) if text.starts_with("OOM")),
        );
        assert_eq!(client.ask("SCRIPT FLUSH"), ok());
        assert_eq!(client.ask("FUNCTION FLUSH"), ok());
        eventually("there is room", || client.ask("SET k v") == ok());
    }
}

/// Half of the limit, for a key of another core than the client's: what its request took there is room here.
#[test]
fn a_large_value_fits_on_whatever_core_its_key_is() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let base = used(&server);
    client.configure("maxmemory", &(base + 20_000_000).to_string());
    client.configure("maxmemory-policy", "allkeys-lru");
    let small = vec![b'x'; 1000];
    for number in 0..2000 {
        assert_eq!(
            client.run(&[b"SET", format!("k{number}").as_bytes(), &small]),
            ok()
        );
    }
    let large = vec![b'y'; 8_000_000];
    for number in 0..8 {
        let key = format!("large{number}");
        let mut other = server.client();
        assert_eq!(other.run(&[b"SET", key.as_bytes(), &large]), ok());
        assert_eq!(
            client.ask(&format!("STRLEN {key}")),
            Value::Integer(8_000_000),
            "{key}"
        );
        assert_eq!(client.ask(&format!("DEL {key}")), Value::Integer(1));
    }
}

/// What takes several cores is refused as soon as there is too much on any of them, whoever sends it.
#[test]
fn what_takes_several_cores_keeps_to_the_limit() {
    let value = "x".repeat(50_000);
    let limit = 10 << 20;
    for (threads, policy) in [(2, "noeviction"), (3, "noeviction"), (2, "volatile-lru")] {
        for tag in ["a", "b", "c"] {
            let options = ["--maxmemory", "10mb", "--maxmemory-policy", policy];
            let server = Server::start(threads, &options);
            let mut client = server.client();
            let script = "redis.call('set', ARGV[1], ARGV[2]) redis.call('set', 'b', 1) return redis.call('set', 'c', 1)";
            let send = |client: &mut Client, kind: usize, key: &[u8]| {
                let value = value.as_bytes();
                match kind {
                    0 => client.run(&[b"MSET", key, value, b"b", b"1", b"c", b"1"]),
                    1 => {
                        client.ask("MULTI");
                        client.run(&[b"SET", key, value]);
                        client.ask("SADD set:b 1");
                        client.ask("SADD set:c 1");
                        client.ask("EXEC")
                    }
                    _ => client.run(&[b"EVAL", script.as_bytes(), b"0", key, value]),
                }
            };
            for kind in 0..3 {
                client.ask("FLUSHALL");
                eventually("there is room again", || {
                    server.info_number("memory", "used_memory") < limit / 2
                });
                let count = 400;
                let refused = (0..count).filter(|index| {
                    let key = format!("{{{tag}}}:{index}");
                    matches!(send(&mut client, kind, key.as_bytes()), Value::Error(_))
                });
                let refused = refused.count();
                assert!(
                    refused > count / 4,
                    "{threads} {policy} {tag} {kind}: {refused}"
                );
                let used = server.info_number("memory", "used_memory");
                assert!(
                    used < limit + limit / 10,
                    "{threads} {policy} {tag} {kind}: {used}"
                );
            }
        }
    }
}
