//! `appendfsync always`: what others learn of a write, by whatever way, they learn when it is durable.

use super::client::{Client, Next, Value, bulk, ok, request};
use super::harness::{Server, eventually};
use super::mending::Faulty;
use std::io::Write;
use std::time::Duration;

/// Longer than what has been done here takes to arrive.
const QUIET: Duration = Duration::from_millis(50);

fn resp3(server: &Server) -> Client {
    let mut client = server.client();
    client.ask("HELLO 3");
    client
}

/// How often a command has been run.
fn calls(server: &Server, command: &str) -> u64 {
    let text = server.client().ask("INFO commandstats").text();
    let prefix = format!("cmdstat_{command}:calls=");
    let row = text.lines().find_map(|line| line.strip_prefix(&prefix));
    let count = row.and_then(|row| row.split(',').next());
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// Nothing came before what is asked for now.
fn is_unaware(client: &mut Client, whose: &str) {
    assert_eq!(client.ask("PING"), Value::Simple("PONG".into()), "{whose}");
}

/// Nothing comes.
fn is_silent(client: &mut Client, whose: &str) {
    client.set_reply_timeout(QUIET);
    let next = client.try_next();
    client.set_reply_timeout(Duration::from_secs(20));
    assert_eq!(next, None, "{whose}");
}

/// Messages up to one with these words at its end.
fn messages_until(client: &mut Client, end: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let message = client.reply();
        let items = message.items();
        let text = match &items[items.len() - 1] {
            Value::Array(keys) => keys.iter().map(Value::text).collect::<Vec<_>>().join(" "),
            last => last.text(),
        };
        let is_end = text == end;
        texts.push(text);
        if is_end {
            return texts;
        }
    }
}

/// Every way in which a client may learn of another's write, while the disk has not answered and after.
#[test]
fn others_learn_of_a_write_once_it_is_durable() {
    for threads in [1, 3] {
        let faulty = Faulty::start(threads, "always");
        let server = &faulty.server;
        let mut client = resp3(server);
        client.ask("CONFIG SET notify-keyspace-events EA");
        let mut events = resp3(server);
        events.ask("PSUBSCRIBE __keyevent@0__:*");
        let mut news = resp3(server);
        news.ask("SUBSCRIBE news");
        let mut tracking = resp3(server);
        tracking.ask("CLIENT TRACKING ON");
        tracking.ask("GET k");
        let mut prefixes = resp3(server);
        prefixes.ask("CLIENT TRACKING ON BCAST");
        let mut target = resp3(server);
        let id = target.ask("CLIENT ID").integer();
        let mut redirecting = resp3(server);
        redirecting.ask(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        redirecting.ask("MGET m1 m2");
        let mut popping = server.client();
        popping.send(b"BLPOP l 0\r\n");
        let mut following = server.client();
        following.send(b"XREAD BLOCK 0 STREAMS s $\r\n");
        eventually("two clients wait", || {
            server.info("clients", "blocked_clients") == "2"
        });
        let mut watching = server.client();
        watching.ask("WATCH w");

        faulty.begin("stall");
        let requests: [&[u8]; 7] = [
            b"SET k v\r\n",
            b"MULTI\r\nSET m1 v\r\nPUBLISH news of-a-block\r\nSET m2 v\r\nEXEC\r\n",
            b"EVAL \"redis.call('set', KEYS[1], 1) return redis.call('publish', 'news', 'of-a-script')\" 1 e\r\n",
            b"SET p v\r\nPUBLISH news after-a-write\r\n",
            b"RPUSH l x\r\n",
            b"XADD s 1-1 f v\r\n",
            b"SET w v\r\n",
        ];
        let mut writers: Vec<Client> = Vec::new();
        for request in requests {
            let mut writer = server.client();
            writer.send(request);
            writers.push(writer);
        }
        let counts = [
            ("set", 6),
            ("publish", 3),
            ("exec", 1),
            ("rpush", 1),
            ("xadd", 1),
        ];
        for (command, count) in counts {
            eventually(command, || calls(server, command) == count);
        }
        assert_eq!(watching.ask("MULTI"), ok());
        assert_eq!(watching.ask("PING"), Value::Simple("QUEUED".into()));
        watching.send(b"EXEC\r\n");
        std::thread::sleep(QUIET);
        is_unaware(&mut events, "events");
        is_unaware(&mut news, "news");
        is_unaware(&mut tracking, "tracking");
        is_unaware(&mut prefixes, "prefixes");
        is_unaware(&mut target, "target");
        is_silent(&mut popping, "BLPOP");
        is_silent(&mut following, "XREAD");
        is_silent(&mut watching, "EXEC");
        for (writer, request) in writers
            .iter_mut()
            .zip(requests)
            .filter(|(_, request)| !request.starts_with(b"MULTI"))
        {
            is_silent(writer, &String::from_utf8_lossy(request));
        }

        faulty.end("stall");
        assert_eq!(writers[0].reply(), ok());
        let replies = writers[1].replies(5);
        let all = vec![ok(), Value::Integer(1), ok()];
        assert_eq!(replies[4], Value::Array(all), "EXEC at {threads}");
        assert_eq!(writers[2].reply(), Value::Integer(1), "EVAL at {threads}");
        assert_eq!(writers[3].replies(2), [ok(), Value::Integer(1)]);
        assert!(matches!(writers[4].reply(), Value::Integer(_)));
        assert_eq!(writers[5].reply(), bulk("1-1"));
        assert_eq!(writers[6].reply(), ok());
        assert_eq!(popping.reply(), Value::Array(vec![bulk("l"), bulk("x")]));
        assert_eq!(following.reply().items().len(), 1);
        assert_eq!(watching.reply(), Value::Null);
        client.ask("SET last v");
        let told = messages_until(&mut events, "last");
        for key in ["k", "m1", "m2", "e", "p", "l", "s", "w", "last"] {
            assert!(told.iter().any(|of| of == key), "{key} of {told:?}");
        }
        let mut told: Vec<String> = (0..3).map(|_| news.reply().items()[2].text()).collect();
        told.sort_unstable();
        assert_eq!(told, ["after-a-write", "of-a-block", "of-a-script"]);
        assert_eq!(messages_until(&mut tracking, "k"), ["k"]);
        messages_until(&mut target, "m2");
    }
}

/// Without anything that waits for the disk messages go at once, and a client's own come in its order.
#[test]
fn messages_that_reveal_nothing_do_not_wait() {
    for threads in [1, 3] {
        let faulty = Faulty::start(threads, "always");
        let server = &faulty.server;
        let mut news = resp3(server);
        news.ask("SUBSCRIBE news");
        faulty.begin("stall");
        let mut writer = server.client();
        writer.send(b"SET k v\r\nPUBLISH news 1\r\nSET k w\r\nPUBLISH news 2\r\n");
        eventually("both are published", || calls(server, "publish") == 2);
        let mut other = server.client();
        assert_eq!(other.ask("PUBLISH news other"), Value::Integer(1));
        assert_eq!(news.reply().items()[2], bulk("other"));
        other.send(b"MULTI\r\nPUBLISH news block\r\nEXEC\r\n");
        assert_eq!(other.replies(3)[2], Value::Array(vec![Value::Integer(1)]));
        assert_eq!(news.reply().items()[2], bulk("block"));
        let script = "EVAL \"return redis.call('publish', 'news', 'script')\" 0\r\n";
        other.send(script.as_bytes());
        assert_eq!(other.reply(), Value::Integer(1));
        assert_eq!(news.reply().items()[2], bulk("script"));
        is_unaware(&mut news, "news");
        faulty.end("stall");
        let replies = [ok(), Value::Integer(1), ok(), Value::Integer(1)];
        assert_eq!(writer.replies(4), replies);
        assert_eq!(news.reply().items()[2], bulk("1"));
        assert_eq!(news.reply().items()[2], bulk("2"));
        assert_eq!(other.ask("PUBLISH news end"), Value::Integer(1));
        assert_eq!(news.reply(), {
            let words = ["message", "news", "end"].map(bulk);
            Value::Push(words.to_vec())
        });
    }
}

/// Whatever a pipeline does to its own subscriptions behind PUBLISH: it gets what it was subscribed to when that ran, after the
/// reply and before the next one, and nothing else. Others get it all the same.
#[test]
fn who_publishes_has_it_where_it_stands_among_his_replies() {
    let array = |items: &[Value]| Value::Array(items.to_vec());
    let words = |items: &[&str]| items.iter().map(bulk).collect::<Vec<_>>();
    let confirmed = |kind: &str, name: &str, count: i64| {
        [words(&[kind, name]), vec![Value::Integer(count)]].concat()
    };
    let queued = || Value::Simple("QUEUED".into());
    for threads in [1, 3] {
        let server = Server::start(threads, &["--appendonly", "yes", "--appendfsync", "always"]);
        let mut news = resp3(&server);
        news.ask("SUBSCRIBE ch");
        let has_come = |news: &mut Client, message: &str| {
            assert_eq!(news.reply().items()[2], bulk(message), "{threads}");
        };
        let message = array(&words(&["message", "ch", "m"]));
        let subscribed = array(&confirmed("subscribe", "ch", 1));

        let block = "MULTI\r\nSET k v\r\nSUBSCRIBE ch\r\nPUBLISH ch m\r\nEXEC\r\n";
        let ends = [
            ("UNSUBSCRIBE", array(&confirmed("unsubscribe", "ch", 0))),
            ("RESET", Value::Simple("RESET".into())),
            ("QUIT", ok()),
            (
                "GET k",
                Value::Error(
                    "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                     this context"
                        .into(),
                ),
            ),
        ];
        for (request, reply) in ends {
            let mut client = server.client();
            client.send(format!("{block}{request}\r\n").as_bytes());
            let replies = client.replies(7);
            let all = array(&[ok(), subscribed.clone(), Value::Integer(2)]);
            let expected = [ok(), queued(), queued(), queued(), all];
            assert_eq!(replies[..5], expected, "{request} at {threads}");
            assert_eq!(
                replies[5..],
                [message.clone(), reply],
                "{request} at {threads}"
            );
            has_come(&mut news, "m");
            match request {
                // Until then it is there.
                "QUIT" => assert_eq!(client.next(), Next::Closed),
                _ => drop(client.ask("RESET")),
            }
        }

        // Who subscribes after it was not there.
        for write in ["", "SET k v\r\n"] {
            let mut client = server.client();
            let lines = format!("MULTI\r\n{write}PUBLISH ch m\r\nEXEC\r\nPSUBSCRIBE *\r\n");
            client.send(lines.as_bytes());
            let replies = client.replies(lines.lines().count());
            let all = replies[replies.len() - 2].items();
            assert_eq!(all[all.len() - 1], Value::Integer(1), "{write}");
            let last = array(&confirmed("psubscribe", "*", 1));
            assert_eq!(replies[replies.len() - 1], last, "{write}");
            has_come(&mut news, "m");
            let pong = array(&words(&["pong", ""]));
            assert_eq!(client.ask("PING"), pong, "{write} at {threads}");
            client.ask("RESET");
        }
        let mut client = server.client();
        client.send(b"MULTI\r\nPUBLISH ch m\r\nSUBSCRIBE ch\r\nEXEC\r\n");
        let all = array(&[Value::Integer(1), subscribed.clone()]);
        assert_eq!(client.replies(4)[3], all);
        has_come(&mut news, "m");
        assert_eq!(client.ask("PING"), array(&words(&["pong", ""])));
        client.ask("RESET");

        // Behind a write, and in a script.
        let script = "EVAL \"return redis.call('publish', 'ch', 'm')\" 0";
        for says in ["PUBLISH ch m", script] {
            let mut client = resp3(&server);
            client.ask("SUBSCRIBE ch");
            client.ask("PSUBSCRIBE c*");
            client.send(format!("SET k v\r\n{says}\r\nUNSUBSCRIBE ch\r\n").as_bytes());
            let expected = [
                ok(),
                Value::Integer(3),
                Value::Push(words(&["message", "ch", "m"])),
                Value::Push(words(&["pmessage", "c*", "ch", "m"])),
                Value::Push(confirmed("unsubscribe", "ch", 1)),
            ];
            assert_eq!(client.replies(5), expected, "{says} at {threads}");
            has_come(&mut news, "m");
            client.ask("RESET");
        }
        is_unaware(&mut news, "news");
    }
}

/// A library that is loaded is known to nobody before it is durable.
#[test]
fn libraries_are_known_once_they_are_durable() {
    for threads in [1, 3] {
        let faulty = Faulty::start(threads, "always");
        let server = &faulty.server;
        faulty.begin("stall");
        let mut loading = server.client();
        let code = b"#!lua name=lib\nredis.register_function('f', function() return 7 end)";
        loading.send(&request(&[b"FUNCTION", b"LOAD", code]));
        eventually("it is loaded", || calls(server, "function|load") == 1);
        let mut others: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for (other, line) in others
            .iter_mut()
            .zip(["FUNCTION LIST", "FCALL f 0", "FCALL f 1 k"])
        {
            other.send(format!("{line}\r\n").as_bytes());
            is_silent(other, line);
        }
        let mut block = server.client();
        block.send(b"MULTI\r\nFCALL f 0\r\nFCALL_RO f 1 k\r\n");
        block.replies(3);
        block.send(b"EXEC\r\n");
        is_silent(&mut block, "a block");
        is_silent(&mut loading, "FUNCTION LOAD");
        faulty.end("stall");
        assert_eq!(loading.reply(), bulk("lib"));
        assert_eq!(others[0].reply().items().len(), 1);
        assert_eq!(others[1].reply(), Value::Integer(7));
        assert_eq!(others[2].reply(), Value::Integer(7));
        assert_eq!(block.reply().items()[0], Value::Integer(7));
    }
}

/// That EXEC runs nothing says that somebody has written the key.
#[test]
fn a_watch_that_was_touched_is_told_once_that_is_durable() {
    for threads in [1, 3] {
        let faulty = Faulty::start(threads, "always");
        let server = &faulty.server;
        let mut watching = server.client();
        assert_eq!(watching.ask("WATCH k"), ok());
        faulty.begin("stall");
        let mut client = server.client();
        client.send(b"SET k 1\r\n");
        eventually("it has run", || calls(server, "set") == 1);
        assert_eq!(watching.ask("MULTI"), ok());
        assert_eq!(watching.ask("PING"), Value::Simple("QUEUED".into()));
        watching.send(b"EXEC\r\n");
        is_silent(&mut watching, "EXEC");
        faulty.end("stall");
        assert_eq!(watching.reply(), Value::Null);
        assert_eq!(client.reply(), ok());
    }
}

/// What is kept back is memory: a core that keeps back 64 MiB of messages takes no more of them.
#[test]
fn who_says_very_much_while_the_disk_stands_still_waits() {
    const MESSAGES_COUNT: usize = 120;
    let faulty = Faulty::start(1, "always");
    let server = &faulty.server;
    let mut news = resp3(server);
    news.configure("client-output-buffer-limit", "pubsub 0 0 0");
    news.ask("SUBSCRIBE news");
    faulty.begin("stall");
    let message = vec![b'x'; 1 << 20];
    let requests = |count: usize| {
        let mut bytes = b"SET k v\r\n".to_vec();
        for _ in 0..count {
            bytes.extend(request(&[b"PUBLISH", b"news", &message]));
        }
        bytes
    };
    let mut writer = server.client();
    std::thread::scope(|scope| {
        let mut socket = writer.writer();
        scope.spawn(move || {
            let sent = socket.write_all(&requests(MESSAGES_COUNT));
            sent.expect("it is taken in the end");
        });
        eventually("much is said", || calls(server, "publish") >= 60);
        // Others say nothing more, but for what waits for nothing.
        let mut others: Vec<Client> = (0..3).map(|_| server.client()).collect();
        let lines = [
            "SET k w\r\nPUBLISH news y\r\n",
            "EVAL \"return redis.call('publish', 'news', 'y')\" 0\r\n",
            "MULTI\r\nPUBLISH news y\r\nEXEC\r\n",
        ];
        eventually("more waits", || {
            let mut probe = server.client();
            probe.send(b"EVAL \"return 1\" 0\r\n");
            probe.set_reply_timeout(QUIET);
            probe.try_next().is_none()
        });
        for (other, line) in others.iter_mut().zip(lines) {
            other.send(line.as_bytes());
        }
        std::thread::sleep(QUIET);
        let count = calls(server, "publish");
        assert!(count <= 64, "{count} messages");
        for (other, line) in others.iter_mut().zip(lines) {
            if line.starts_with("MULTI") {
                assert_eq!(other.replies(2)[0], ok());
            }
            is_silent(other, line);
        }
        assert_eq!(server.client().ask("GET other"), Value::Null);
        assert_eq!(server.client().ask("PUBLISH news z"), Value::Integer(1));
        faulty.end("stall");
        assert_eq!(writer.reply(), ok());
        for _ in 0..MESSAGES_COUNT {
            assert_eq!(writer.reply(), Value::Integer(1));
        }
        assert_eq!(others[0].replies(2), [ok(), Value::Integer(1)]);
        assert_eq!(others[1].reply(), Value::Integer(1));
        assert_eq!(others[2].reply(), Value::Array(vec![Value::Integer(1)]));
    });
    let mut lens: Vec<usize> = (0..MESSAGES_COUNT + 4)
        .map(|_| news.reply().items()[2].text().len())
        .collect();
    lens.sort_unstable();
    assert_eq!(lens[..4], [1; 4]);
    assert!(lens[4..].iter().all(|len| *len == message.len()));
}

/// Wherever it is said: by a client that watches, and by scripts on the core of their keys, which is not their client's.
#[test]
fn no_way_to_say_more_is_left_while_the_disk_stands_still() {
    const MESSAGES_COUNT: usize = 300;
    for way in ["watching", "script"] {
        for key in ["a", "b", "c", "d"] {
            let faulty = Faulty::start(2, "always");
            let server = &faulty.server;
            faulty.begin("stall");
            let message = vec![b'x'; 1 << 20];
            let mut writer = server.client();
            // It stays where it is.
            writer.ask("HELLO 3");
            writer.ask("SUBSCRIBE other");
            if way == "watching" {
                writer.ask("WATCH w");
            }
            let script = b"return redis.call('publish', 'news', ARGV[1])";
            let says = match way {
                "watching" => request(&[b"PUBLISH", b"news", &message]),
                _ => request(&[b"EVAL", script, b"1", key.as_bytes(), &message]),
            };
            let mut bytes = request(&[b"SET", key.as_bytes(), b"v"]);
            for _ in 0..MESSAGES_COUNT {
                bytes.extend(&says);
            }
            std::thread::scope(|scope| {
                let mut socket = writer.writer();
                scope.spawn(move || {
                    let sent = socket.write_all(&bytes);
                    sent.expect("it is taken in the end");
                });
                eventually("much is said", || calls(server, "publish") >= 60);
                std::thread::sleep(QUIET);
                let count = calls(server, "publish");
                // Some are on the way between the cores.
                assert!(count <= 200, "{count} messages, {way} {key}");
                faulty.end("stall");
                assert_eq!(writer.reply(), ok());
                for _ in 0..MESSAGES_COUNT {
                    assert_eq!(writer.reply(), Value::Integer(0));
                }
            });
        }
    }
}

/// Who does something and is told of it himself has that where it stands among his replies, whatever his pipeline changes behind it.
/// The others are told what there was to tell when he did it.
#[test]
fn who_does_something_hears_of_it_where_it_stands_among_his_replies() {
    let faulty = Faulty::start(1, "always");
    let server = &faulty.server;
    let mut other = resp3(server);
    other.ask("CONFIG SET notify-keyspace-events EA");
    other.ask("SUBSCRIBE __keyevent@0__:set __keyevent@0__:del");
    other.reply();
    let mut client = resp3(server);
    client.ask("SUBSCRIBE __keyevent@0__:set");
    client.ask("CLIENT TRACKING ON");
    client.ask("GET k");
    faulty.begin("stall");
    let pipeline: [&[&[u8]]; 9] = [
        &[b"SET", b"k", b"1"],
        &[b"CONFIG", b"SET", b"notify-keyspace-events", b""],
        &[b"SET", b"k", b"2"],
        &[b"CONFIG", b"SET", b"notify-keyspace-events", b"EA"],
        &[b"MULTI"],
        &[b"SET", b"k", b"3"],
        &[b"CONFIG", b"SET", b"notify-keyspace-events", b"EAn"],
        &[b"EXEC"],
        &[b"DEL", b"k"],
    ];
    let bytes: Vec<u8> = pipeline.iter().flat_map(|words| request(words)).collect();
    client.send(&bytes);
    eventually("all has run", || calls(server, "del") == 1);
    is_unaware(&mut other, "another");
    faulty.end("stall");
    let set = |key: &str| Value::Push(["message", "__keyevent@0__:set", key].map(bulk).to_vec());
    let forgets = Value::Push(vec![bulk("invalidate"), Value::Array(vec![bulk("k")])]);
    let queued = Value::Simple("QUEUED".into());
    let expected = [
        ok(),
        set("k"),
        forgets,
        ok(),
        ok(),
        ok(),
        ok(),
        queued.clone(),
        queued,
        Value::Array(vec![ok(), ok()]),
        set("k"),
        Value::Integer(1),
    ];
    assert_eq!(client.replies(expected.len()), expected);
    let del = Value::Push(["message", "__keyevent@0__:del", "k"].map(bulk).to_vec());
    assert_eq!(other.replies(3), [set("k"), set("k"), del]);
    is_unaware(&mut other, "nothing else");
}

/// What a client does and says reaches the others in its order, also what it says in a script or a block that touches no key.
#[test]
fn news_and_messages_of_a_client_keep_their_order() {
    let faulty = Faulty::start(1, "always");
    let server = &faulty.server;
    let mut news = resp3(server);
    news.ask("CONFIG SET notify-keyspace-events EA");
    news.ask("PSUBSCRIBE __keyevent* news");
    news.reply();
    faulty.begin("stall");
    let script: &[u8] = b"return redis.call('publish', 'news', ARGV[1])";
    let both: &[u8] = b"redis.call('set', KEYS[1], 1) redis.call('publish', 'news', '4') redis.call('del', KEYS[1])";
    let pipeline: [&[&[u8]]; 9] = [
        &[b"SET", b"k1", b"v"],
        &[b"EVAL", script, b"0", b"1"],
        &[b"SET", b"k2", b"v"],
        &[b"MULTI"],
        &[b"PUBLISH", b"news", b"2"],
        &[b"EVAL", script, b"0", b"3"],
        &[b"EXEC"],
        &[b"EVAL", both, b"1", b"k3"],
        &[b"PUBLISH", b"news", b"5"],
    ];
    let bytes: Vec<u8> = pipeline.iter().flat_map(|words| request(words)).collect();
    let mut client = server.client();
    client.send(&bytes);
    eventually("all has run", || calls(server, "publish") == 5);
    is_unaware(&mut news, "news");
    faulty.end("stall");
    let told = messages_until(&mut news, "5");
    assert_eq!(told, ["k1", "1", "k2", "2", "3", "k3", "4", "k3", "5"]);
}

/// A request that changes what its client is told waits until it has been told all that it may know of: here of what another client
/// wrote, and of what it wrote itself, wherever that is.
#[test]
fn who_may_know_of_a_write_hears_of_it_before_that_changes() {
    // With how many replies, which is the last.
    let ends = [
        ("UNSUBSCRIBE", 3),
        ("CLIENT TRACKING OFF", 3),
        ("RESET", 3),
        ("MULTI\r\nUNSUBSCRIBE\r\nEXEC", 5),
    ];
    for threads in [1, 3] {
        let faulty = Faulty::start(threads, "always");
        let server = &faulty.server;
        (server.client()).ask("CONFIG SET notify-keyspace-events EA");
        let mut clients: Vec<Client> = ends.iter().map(|_| resp3(server)).collect();
        for client in &mut clients {
            client.ask("SUBSCRIBE __keyevent@0__:set");
            client.ask("CLIENT TRACKING ON");
            client.ask("MGET a b c d");
        }
        faulty.begin("stall");
        let mut writer = server.client();
        writer.send(b"SET a 1\r\nSET b 1\r\nSET c 1\r\n");
        eventually("another has written", || calls(server, "set") == 3);
        for (client, (end, _)) in clients.iter_mut().zip(ends) {
            client.send(format!("MGET a b c\r\nSET d 1\r\n{end}\r\n").as_bytes());
        }
        eventually("they have written", || calls(server, "set") == 7);
        let mut late = resp3(server);
        late.send(b"MGET a b c d\r\nSUBSCRIBE __keyevent@0__:set\r\n");
        eventually("all have read", || calls(server, "mget") == 9);
        std::thread::sleep(QUIET);
        faulty.end("stall");
        writer.replies(3);
        for (client, (end, replies_count)) in clients.iter_mut().zip(ends) {
            let (mut events, mut forgotten) = (Vec::new(), Vec::new());
            let mut count = 0;
            while count < replies_count {
                match client.reply() {
                    Value::Push(items) if items[0] == bulk("message") => {
                        events.push(items[2].text());
                    }
                    Value::Push(items) if items[0] == bulk("invalidate") => {
                        forgotten.extend(items[1].items().iter().map(Value::text));
                    }
                    _ => count += 1,
                }
            }
            for key in ["a", "b", "c", "d"] {
                let is_key = |of: &String| of == key;
                assert!(events.iter().any(is_key), "{end} at {threads}: {events:?}");
                assert!(
                    forgotten.iter().any(is_key),
                    "{end} at {threads}: {forgotten:?}"
                );
            }
        }
        late.replies(2);
        is_unaware(&mut late, "who comes late");
    }
}

/// A script says what its own client is subscribed to where its keys are, which may be another core: the client has it between the
/// script's reply and the next one all the same, once.
#[test]
fn what_a_script_says_elsewhere_stands_behind_its_reply() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--appendonly", "yes", "--appendfsync", "always"]);
        let mut client = resp3(&server);
        client.ask("SUBSCRIBE ch");
        let script = b"redis.call('set', KEYS[1], 1) return redis.call('publish', 'ch', KEYS[1])";
        let message = |key: &str| Value::Push(["message", "ch", key].map(bulk).to_vec());
        for key in ["a", "b", "c", "d", "e", "f"] {
            let mut bytes = request(&[b"EVAL", script, b"1", key.as_bytes()]);
            bytes.extend(request(&[b"GET", key.as_bytes()]));
            client.send(&bytes);
            let expected = [Value::Integer(1), message(key), bulk("1")];
            assert_eq!(client.replies(3), expected, "{key} at {threads}");
        }
        is_unaware(&mut client, "who has had it");
    }
}
