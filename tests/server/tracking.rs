//! Clients that keep copies of what they read: what they are told, on one shard and on several.

use super::client::{Client, Value, bulk, ok};
use super::harness::{Server, eventually};
use super::pubsub::replay;

/// Every byte that several clients receive is what a real server sent them.
#[test]
fn clients_that_track_receive_what_a_real_server_sends() {
    replay(include_str!("golden/tracking.txt"), &[]);
}

fn resp3(server: &Server) -> Client {
    let mut client = server.client();
    client.ask("HELLO 3");
    client
}

fn id(client: &mut Client) -> String {
    client.ask("CLIENT ID").integer().to_string()
}

/// The keys of the next message, which is an invalidation.
fn invalidated(client: &mut Client) -> Vec<String> {
    let message = client.reply();
    let items = message.items();
    assert_eq!(items[0].text(), "invalidate", "{message:?}");
    items[1].items().iter().map(Value::text).collect()
}

/// Keys of all shards, read in every way that several keys are read at once, are told one by one when they change.
#[test]
fn keys_that_are_read_together_are_told_one_by_one() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut reader = resp3(&server);
        let mut writer = server.client();
        assert_eq!(reader.ask("CLIENT TRACKING ON"), ok());
        let reads = [
            "MGET a b c d e f",
            "EXISTS a b c d e f",
            "SUNION a b c d e f",
            "SINTERCARD 6 a b c d e f",
            "ZUNION 6 a b c d e f",
            "PFCOUNT a b c d e f",
            "XREAD STREAMS a b c d e f 0 0 0 0 0 0",
        ];
        for read in reads {
            reader.ask(read);
            for key in ["a", "b", "c", "d", "e", "f"] {
                writer.ask(&format!("SET {key} v"));
                assert_eq!(invalidated(&mut reader), [key], "{read} at {threads}");
            }
            // Nothing is told twice.
            writer.ask("DEL a b c d e f");
            assert_eq!(reader.ask("ECHO end"), bulk("end"), "{read} at {threads}");
        }
        reader.ask("LCS a b");
        for key in ["a", "b"] {
            writer.ask(&format!("SET {key} v"));
            assert_eq!(invalidated(&mut reader), [key], "LCS at {threads}");
        }
        // What reads in order to write does not count, whatever it looks at.
        reader.ask("SUNIONSTORE x a2 b2 c2");
        reader.ask("LMOVE a2 b2 LEFT LEFT");
        reader.ask("SMOVE a2 b2 m");
        reader.ask("RENAME a b2");
        writer.ask("MSET a2 1 b2 1 c2 1");
        assert_eq!(reader.ask("ECHO end"), bulk("end"), "at {threads}");
    }
}

/// A client may remember that a key is of another type: it hears when that changes.
#[test]
fn a_read_that_fails_is_remembered() {
    for threads in [1, 2] {
        let server = Server::start(threads, &[]);
        let mut reader = resp3(&server);
        let mut writer = server.client();
        assert_eq!(reader.ask("CLIENT TRACKING ON"), ok());
        for key in ["a", "b", "c"] {
            writer.ask(&format!("RPUSH {key} x"));
            let refused = reader.ask(&format!("GET {key}"));
            assert!(matches!(refused, Value::Error(_)), "{refused:?}");
            writer.ask(&format!("DEL {key}"));
            assert_eq!(invalidated(&mut reader), [key], "at {threads}");
        }
    }
}

/// A block over several shards: what it read is told; what is told while it runs comes after its reply.
#[test]
fn blocks_over_shards_track_what_they_read() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut reader = resp3(&server);
        let mut writer = server.client();
        reader.ask("CLIENT TRACKING ON");
        for line in ["MULTI", "GET a", "GET b", "GET c", "MGET d e f", "SET b 1"] {
            reader.ask(line);
        }
        assert_eq!(reader.ask("EXEC").items().len(), 5);
        assert_eq!(invalidated(&mut reader), ["b"]);
        for key in ["a", "c", "d", "e", "f"] {
            writer.ask(&format!("SET {key} v"));
            assert_eq!(invalidated(&mut reader), [key], "at {threads}");
        }
    }
}

/// Keys that expire, by themselves or when they are looked at, are told.
#[test]
fn keys_that_expire_are_told() {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut reader = resp3(&server);
        reader.ask("CLIENT TRACKING ON NOLOOP");
        let mut writer = server.client();
        writer.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        // A field that goes with its hash, and one whose hash stays.
        for line in ["HSET h f v", "HSET h2 f v g w"] {
            writer.ask(line);
        }
        for key in ["h", "h2"] {
            reader.ask(&format!("HGET {key} f"));
            writer.ask(&format!("HPEXPIRE {key} 30 FIELDS 1 f"));
            assert_eq!(invalidated(&mut reader), [key], "at {threads}");
            reader.ask(&format!("EXISTS {key}"));
        }
        // Longer than it lives; only a look removes it now.
        std::thread::sleep(std::time::Duration::from_millis(60));
        for key in ["h", "h2"] {
            assert_eq!(writer.ask(&format!("HGET {key} f")), Value::Null);
            assert_eq!(invalidated(&mut reader), [key], "at {threads}");
        }
        writer.ask("DEBUG SET-ACTIVE-EXPIRE 1");
        writer.ask("SET k v PX 200");
        if reader.ask("GET k") == bulk("v") {
            assert_eq!(invalidated(&mut reader), ["k"], "at {threads}");
        }
    }
}

/// NOLOOP keeps back what the client itself did, not what time did to its keys, whether a cycle or a look finds it.
#[test]
fn what_time_does_is_nobodys_own() {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut client = resp3(&server);
        client.ask("CLIENT TRACKING ON BCAST NOLOOP");
        client.ask("SET k v PX 1");
        client.ask("SET other v");
        assert_eq!(invalidated(&mut client), ["k"], "at {threads}");
        client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        client.ask("SET k v PX 1");
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert_eq!(client.ask("GET k"), Value::Null);
        assert_eq!(invalidated(&mut client), ["k"], "at {threads}");
    }
}

/// A script's writes are nobody's own to who has named prefixes, and its client's own to who tracks what it reads, as in Redis.
#[test]
fn what_a_script_writes_is_told_to_its_client_by_prefixes_alone() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = resp3(&server);
        let set = |key: &str| format!("EVAL redis.call('set',KEYS[1],'v') 1 {key}");
        client.ask("CLIENT TRACKING ON BCAST NOLOOP");
        client.ask("SET own v");
        client.ask(&set("k"));
        assert_eq!(invalidated(&mut client), ["k"], "at {threads}");
        for line in ["MULTI", "SET own v", &set("other"), "EXEC"] {
            client.ask(line);
        }
        assert_eq!(invalidated(&mut client), ["other"], "at {threads}");
        for line in [
            "CLIENT TRACKING OFF",
            "CLIENT TRACKING ON NOLOOP",
            "MGET k end",
        ] {
            client.ask(line);
        }
        client.ask(&set("k"));
        server.client().ask("SET end v");
        assert_eq!(invalidated(&mut client), ["end"], "at {threads}");
    }
}

/// Whom a client redirects to is told in its place, wherever both are: by messages of a channel before RESP3, and by
/// pushes since. One that is gone is noticed, told and shown.
#[test]
fn another_client_is_told_instead() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        for _ in 0..2 * threads {
            let mut target = server.client();
            let target_id = id(&mut target);
            assert_eq!(
                target.ask("SUBSCRIBE __redis__:invalidate").items()[2],
                Value::Integer(1)
            );
            let mut reader = server.client();
            let on = format!("CLIENT TRACKING ON REDIRECT {target_id}");
            assert_eq!(reader.ask(&on), ok());
            assert_eq!(
                reader.ask("CLIENT GETREDIR").integer().to_string(),
                target_id
            );
            for key in ["a", "b", "c"] {
                reader.ask(&format!("GET {key}"));
                writer.ask(&format!("SET {key} v"));
                let message = target.reply();
                let items = message.items();
                assert_eq!(items[0].text(), "message");
                assert_eq!(items[1].text(), "__redis__:invalidate");
                assert_eq!(items[2].items(), [bulk(key)]);
            }
            writer.ask("FLUSHALL");
            assert_eq!(target.reply().items()[2], Value::Null);
            // The row says so.
            let row = reader.ask("CLIENT INFO").text();
            assert!(row.contains(" flags=t "), "{row}");
            assert!(row.contains(&format!(" redir={target_id} ")), "{row}");
            // RESP3 for both.
            target.ask("UNSUBSCRIBE");
            target.ask("HELLO 3");
            reader.ask("HELLO 3");
            reader.ask("GET a");
            writer.ask("SET a 1");
            assert_eq!(invalidated(&mut target), ["a"]);
            // It goes.
            drop(target);
            eventually("it has gone", || {
                let rows = writer.ask("CLIENT LIST").text();
                !rows.contains(&format!("id={target_id} "))
            });
            reader.ask("GET a");
            writer.ask("SET a 2");
            let broken = reader.reply();
            assert_eq!(broken.items()[0].text(), "tracking-redir-broken");
            assert_eq!(broken.items()[1].integer().to_string(), target_id);
            let row = reader.ask("CLIENT INFO").text();
            assert!(row.contains(" flags=tR "), "{row}");
            let Value::Map(info) = reader.ask("CLIENT TRACKINGINFO") else {
                panic!("no map");
            };
            assert_eq!(info[0].1.items(), [bulk("on"), bulk("broken_redirect")]);
        }
    }
}

/// A script that publishes something after it has written has that told before, but for what its own client is told of it,
/// as one that tracks or that is redirected to: that comes after the reply.
#[test]
fn what_a_script_has_its_own_client_forget_is_not_lost() {
    let script = b"redis.call('SET', KEYS[1], 'x') redis.call('PUBLISH', 'c', 'x') return 1";
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = resp3(&server);
        client.ask("SET k v");
        client.ask("CLIENT TRACKING ON");
        let mut other = resp3(&server);
        other.ask(&format!("CLIENT TRACKING ON REDIRECT {}", id(&mut client)));
        for _ in 0..3 {
            client.ask("GET k");
            assert_eq!(
                client.run(&[b"EVAL", script, b"1", b"k"]),
                Value::Integer(1)
            );
            assert_eq!(invalidated(&mut client), ["k"], "at {threads} threads");
            other.ask("GET k");
            assert_eq!(
                client.run(&[b"EVAL", script, b"1", b"k"]),
                Value::Integer(1)
            );
            assert_eq!(invalidated(&mut client), ["k"], "redirected, at {threads}");
        }
        // Nor has anybody been told that there is none to redirect to.
        assert_eq!(other.ask("ECHO end"), bulk("end"));
    }
}

/// INFO counts who tracks and what; more keys than the limit are told as if they had changed.
#[test]
fn the_table_is_counted_and_limited() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let number = |field: &str| server.info_number("stats", field);
        let mut reader = resp3(&server);
        let mut other = resp3(&server);
        let mut writer = server.client();
        reader.ask("CLIENT TRACKING ON");
        other.ask("CLIENT TRACKING ON");
        for index in 0..100 {
            reader.ask(&format!("GET k{index}"));
        }
        other.ask("GET k0");
        assert_eq!(server.info_number("clients", "tracking_clients"), 2);
        assert_eq!(number("tracking_total_keys"), 100);
        assert_eq!(number("tracking_total_items"), 101);
        assert_eq!(number("tracking_total_prefixes"), 0);
        writer.ask("SET k0 v");
        assert_eq!(invalidated(&mut reader), ["k0"]);
        assert_eq!(invalidated(&mut other), ["k0"]);
        assert_eq!(number("tracking_total_keys"), 99);
        assert_eq!(writer.ask("CONFIG SET tracking-table-max-keys 10"), ok());
        let mut told: Vec<String> = (0..89).flat_map(|_| invalidated(&mut reader)).collect();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 89, "each once");
        assert_eq!(number("tracking_total_keys"), 10);
        reader.ask("GET more");
        invalidated(&mut reader);
        // Two cores may each have found that there was one too many.
        assert!((9..=10).contains(&number("tracking_total_keys")));
        other.ask("CLIENT TRACKING OFF");
        other.ask("CLIENT TRACKING ON BCAST PREFIX a PREFIX b");
        assert_eq!(number("tracking_total_prefixes"), 2);
        drop(other);
        eventually("its prefixes have gone", || {
            number("tracking_total_prefixes") == 0
        });
        assert_eq!(server.info_number("clients", "tracking_clients"), 1);
    }
}

/// A client that reads and one that writes as fast as they can: whenever the reader has a copy that it was not told to
/// forget, it is what the key holds in the end.
#[test]
fn no_copy_is_stale_for_ever() {
    use std::collections::HashMap;
    const KEYS: usize = 16;
    const ROUNDS: usize = 300;
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        let mut writer = server.client();
        (0..KEYS).for_each(|key| drop(writer.ask(&format!("SET k{key} none"))));
        let writer = std::thread::spawn(move || {
            let mut writer = Client::connect(port);
            for round in 0..ROUNDS {
                writer.ask(&format!("SET k{} {round}", round * 7 % KEYS));
            }
        });
        let mut reader = resp3(&server);
        reader.ask("CLIENT TRACKING ON");
        let mut copies: HashMap<String, String> = HashMap::new();
        let forget = |message: &Value, copies: &mut HashMap<String, String>| {
            for key in message.items()[1].items() {
                copies.remove(&key.text());
            }
        };
        let is_push = |value: &Value| matches!(value, Value::Push(_));
        for round in 0..ROUNDS {
            // Two reads in one go, on two shards or one.
            let keys = [
                format!("k{}", round % KEYS),
                format!("k{}", round * 5 % KEYS),
            ];
            for key in &keys {
                reader.send(&super::client::request(&[b"GET", key.as_bytes()]));
            }
            for key in &keys {
                let value = loop {
                    let value = reader.reply();
                    if !is_push(&value) {
                        break value;
                    }
                    forget(&value, &mut copies);
                };
                copies.insert(key.clone(), value.text());
            }
        }
        writer.join().expect("it has written");
        reader.send(&super::client::request(&[b"ECHO", b"end"]));
        loop {
            let value = reader.reply();
            if !is_push(&value) {
                break;
            }
            forget(&value, &mut copies);
        }
        // What is on its way between cores comes soon.
        std::thread::sleep(std::time::Duration::from_millis(100));
        reader.send(&super::client::request(&[b"ECHO", b"end"]));
        loop {
            let value = reader.reply();
            if !is_push(&value) {
                break;
            }
            forget(&value, &mut copies);
        }
        let mut other = server.client();
        for (key, copy) in copies {
            assert_eq!(
                other.ask(&format!("GET {key}")).text(),
                copy,
                "{key} at {threads}"
            );
        }
    }
}

/// A client is told of a change also if that happens just while it begins to wait for an element. The two race on several
/// cores, so what must come is waited for each time.
#[test]
fn who_begins_to_wait_is_told() {
    let server = Server::start(4, &[]);
    let mut reader = resp3(&server);
    let mut writer = server.client();
    assert_eq!(reader.ask("CLIENT TRACKING ON"), ok());
    for number in 0..200 {
        let key = format!("k{number}");
        reader.ask(&format!("GET {key}"));
        reader.send(format!("BLPOP q{number} r{number} 0\r\n").as_bytes());
        writer.ask(&format!("SET {key} v"));
        assert_eq!(invalidated(&mut reader), [key]);
        writer.ask(&format!("RPUSH r{number} e"));
        assert_eq!(reader.reply().items().len(), 2);
    }
}

/// What is evicted to make room for a request is told before its reply, as in Redis.
#[test]
fn what_is_evicted_is_told_before_the_reply() {
    let server = Server::start(1, &[]);
    let mut client = resp3(&server);
    assert_eq!(client.ask("CLIENT TRACKING ON"), ok());
    assert_eq!(client.ask("SETEX volatile 10000 x"), ok());
    assert_eq!(client.ask("GET volatile"), bulk("x"));
    let limit = server.info_number("memory", "used_memory") + 100 * 1024;
    assert_eq!(
        client.ask("CONFIG SET maxmemory-policy volatile-random"),
        ok()
    );
    assert_eq!(client.ask(&format!("CONFIG SET maxmemory {limit}")), ok());
    client.send(b"SETBIT large 1600000 0\r\nGETBIT large 0\r\n");
    assert_eq!(client.reply(), Value::Integer(0));
    assert_eq!(invalidated(&mut client), ["volatile"]);
    assert_eq!(client.reply(), Value::Integer(0));
}

/// Other keys instead of those that were there: everything is to be forgotten, and what is written afterwards is told as before.
#[test]
fn what_is_loaded_anew_is_told() {
    for threads in [1, 4] {
        let options = ["--enable-debug-command", "yes", "--appendonly", "yes"];
        let server = Server::start(threads, &options);
        let mut readers: Vec<Client> = (0..2).map(|_| resp3(&server)).collect();
        readers[0].ask("CLIENT TRACKING ON BCAST PREFIX k");
        readers[1].ask("CLIENT TRACKING ON");
        let mut writer = server.client();
        for line in ["DEBUG RELOAD", "DEBUG LOADAOF"] {
            readers[1].ask("GET k");
            assert_eq!(writer.ask("SET k 1"), ok());
            for reader in &mut readers {
                assert_eq!(invalidated(reader), ["k"], "{line} at {threads}");
            }
            readers[1].ask("GET k");
            let mut watching = server.client();
            assert_eq!(watching.ask("WATCH k"), ok());
            assert_eq!(writer.ask(line), ok());
            watching.send(b"MULTI\r\nPING\r\nEXEC\r\n");
            assert_eq!(watching.replies(3)[2], Value::Null, "{line} at {threads}");
            for reader in &mut readers {
                assert_eq!(
                    reader.reply().items()[1],
                    Value::Null,
                    "{line} at {threads}"
                );
            }
        }
    }
}

/// A block and a script that change keys of several shards, some of them more than once: who named a prefix is told of each key once,
/// when all of it is done; of those of one shard together.
#[test]
fn a_transaction_tells_of_each_key_once() {
    const SCRIPT: &[u8] = b"for _, key in ipairs({'k1', 'k2', 'k1', 'k3', 'k4', 'k2', 'k1'}) do \
        redis.call('INCR', key) end return 1";
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut readers = [resp3(&server), resp3(&server)];
        readers[0].ask("CLIENT TRACKING ON BCAST PREFIX k");
        readers[1].ask("CLIENT TRACKING ON BCAST");
        let mut writer = server.client();
        for round in 0..20 {
            if round % 2 == 0 {
                let lines = [
                    "MULTI",
                    "SET k1 1",
                    "MSET k2 1 k3 1",
                    "INCR k1",
                    "MSET k3 2 k4 2",
                    "SET k1 9",
                ];
                lines.iter().for_each(|line| drop(writer.ask(line)));
                assert_eq!(writer.ask("EXEC").items().len(), 5);
            } else {
                assert_eq!(writer.run(&[b"EVAL", SCRIPT, b"0"]), Value::Integer(1));
            }
            for reader in &mut readers {
                let mut told: Vec<Vec<String>> = Vec::new();
                while told.iter().map(Vec::len).sum::<usize>() < 4 {
                    told.push(invalidated(reader));
                }
                assert!(told.iter().all(|keys| keys.is_sorted()), "{told:?}");
                assert!(told.len() <= threads, "{told:?}");
                let mut keys = told.concat();
                keys.sort();
                assert_eq!(keys, ["k1", "k2", "k3", "k4"], "{round} at {threads}");
            }
            writer.ask("SET kz 1");
            for reader in &mut readers {
                assert_eq!(invalidated(reader), ["kz"], "{round} at {threads}");
            }
        }
    }
}

/// What is known of clients that cache keys is memory like any other, until those keys change.
#[test]
fn what_is_tracked_is_counted() {
    for limit in ["0", "1gb"] {
        let server = Server::start(2, &["--maxmemory", limit]);
        let mut reader = resp3(&server);
        assert_eq!(reader.ask("CLIENT TRACKING ON"), ok());
        let used = || server.info_number("memory", "used_memory");
        let before = used();
        let mut requests = Vec::new();
        for index in 0..20_000 {
            let key = format!("a key of no small length that is not there: {index}");
            super::client::push_request(&mut requests, &[b"GET", key.as_bytes()]);
        }
        reader.send(&requests);
        reader.replies(20_000);
        eventually("it is counted", || used() > before + 2_000_000);
        server.client().ask("FLUSHALL");
        eventually("it has gone", || used() < before + 500_000);
    }
}
