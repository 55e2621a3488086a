//! Replies of tens of thousands of elements: they come in pieces, and nobody can tell but by not having to wait.

use super::client::{Client, Value, error, ok, push_request, request};
use super::harness::{Server, eventually};

const COUNT: usize = 40_000;

fn fill(client: &mut Client) {
    for first in (0..COUNT).step_by(1_000) {
        let numbers = first..first + 1_000;
        let words = |name: &str, make: &dyn Fn(usize) -> Vec<String>| {
            let mut words = vec![name.to_owned(), "big".to_owned() + &name.to_lowercase()];
            words.extend(numbers.clone().flat_map(make));
            words.join(" ")
        };
        client.ask(&words("SADD", &|it| vec![format!("member:{it}")]));
        client.ask(&words("HSET", &|it| {
            vec![format!("f:{it}"), format!("v:{it}")]
        }));
        client.ask(&words("ZADD", &|it| {
            vec![it.to_string(), format!("m:{it}")]
        }));
        client.ask(&words("RPUSH", &|it| vec![format!("element:{it}")]));
        for id in numbers.clone() {
            client.send(&request(&[
                b"XADD",
                b"bigxadd",
                format!("{}-1", id + 1).as_bytes(),
                b"f",
                b"v",
            ]));
        }
        client.replies(numbers.len());
    }
}

/// A pipeline with long replies among short ones is answered whole and in order, in both protocols.
#[test]
fn long_replies_keep_their_place_in_a_pipeline() {
    for threads in [1, 2, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        fill(&mut client);
        for protocol in [2, 3] {
            client.ask(&format!("HELLO {protocol}"));
            let lines = [
                "SMEMBERS bigsadd",
                "ECHO one",
                "HGETALL bighset",
                "SCARD bigsadd",
                "ZRANGE bigzadd 0 -1 WITHSCORES",
                "CLIENT REPLY SKIP",
                "SMEMBERS bigsadd",
                "LRANGE bigrpush 0 -1",
                "XREAD STREAMS bigxadd 0",
                "XRANGE bigxadd 5 + COUNT 30000",
                "HKEYS bighset",
                "HVALS bighset",
                "SUNION bigsadd nothing{bigsadd}",
                "ZUNION 2 bigzadd nothing{bigzadd} WITHSCORES",
                "SINTERCARD 2 bigsadd bigsadd",
                "XREAD STREAMS nothing{bigxadd} bigxadd 0 10",
                "SORT bigrpush ALPHA DESC",
                "SORT bigrpush",
                "KEYS big*",
                "SADD bigsadd more",
                "SMEMBERS bigsadd",
                "SREM bigsadd more",
                "MULTI",
                "SMEMBERS bigsadd",
                "LLEN bigrpush",
                "EXEC",
                "EVAL return(#redis.call('smembers',KEYS[1])) 1 bigsadd",
                "ECHO end",
            ];
            let bytes: Vec<u8> = lines
                .iter()
                .flat_map(|line| {
                    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
                    request(&words)
                })
                .collect();
            client.send(&bytes);
            let count = |reply: &Value| match reply {
                Value::Map(pairs) => pairs.len(),
                other => other.items().len(),
            };
            let is_three = protocol == 3;
            let members = client.reply();
            let mut names: Vec<String> = members.items().iter().map(Value::text).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), COUNT);
            assert_eq!(client.reply().text(), "one");
            assert_eq!(
                count(&client.reply()),
                if is_three { COUNT } else { 2 * COUNT }
            );
            assert_eq!(client.reply(), Value::Integer(COUNT as i64));
            let ranked = client.reply();
            assert_eq!(count(&ranked), if is_three { COUNT } else { 2 * COUNT });
            if !is_three {
                assert_eq!(ranked.items()[2 * 777].text(), "m:777");
                assert_eq!(ranked.items()[2 * 777 + 1].text(), "777");
            }
            let list = client.reply();
            assert_eq!(count(&list), COUNT);
            for (index, element) in list.items().iter().enumerate() {
                assert_eq!(element.text(), format!("element:{index}"));
            }
            let read = client.reply();
            let entries = match &read {
                Value::Map(pairs) => &pairs[0].1,
                other => &other.items()[0].items()[1],
            };
            assert_eq!(count(entries), COUNT);
            assert_eq!(entries.items()[776].items()[0].text(), "777-1");
            let entries = client.reply();
            assert_eq!(count(&entries), 30_000);
            assert_eq!(entries.items()[0].items()[0].text(), "5-1");
            assert_eq!(count(&client.reply()), COUNT);
            assert_eq!(count(&client.reply()), COUNT);
            assert_eq!(count(&client.reply()), COUNT);
            assert!(client.reply() == ranked);
            assert_eq!(client.reply(), Value::Integer(COUNT as i64));
            let read = client.reply();
            let entries = match &read {
                Value::Map(pairs) => &pairs[0].1,
                other => &other.items()[0].items()[1],
            };
            assert_eq!(count(entries), COUNT - 9);
            let sorted = client.reply();
            let mut expected: Vec<String> = (0..COUNT).map(|it| format!("element:{it}")).collect();
            expected.sort_unstable_by(|one, other| other.cmp(one));
            let told: Vec<String> = sorted.items().iter().map(Value::text).collect();
            assert!(told == expected);
            assert_eq!(
                client.reply(),
                error("ERR One or more scores can't be converted into double")
            );
            assert_eq!(count(&client.reply()), 5);
            assert_eq!(client.reply(), Value::Integer(1));
            assert_eq!(count(&client.reply()), COUNT + 1);
            assert_eq!(client.reply(), Value::Integer(1));
            assert_eq!(client.reply(), ok());
            assert_eq!(
                (client.reply().text(), client.reply().text()),
                ("QUEUED".into(), "QUEUED".into())
            );
            let block = client.reply();
            assert_eq!(count(&block.items()[0]), COUNT);
            assert_eq!(block.items()[1], Value::Integer(COUNT as i64));
            assert_eq!(client.reply(), Value::Integer(COUNT as i64));
            assert_eq!(client.reply().text(), "end");
        }
        let figures = client.ask("INFO commandstats errorstats").text();
        let line = figures.lines().find(|it| it.starts_with("cmdstat_sort:"));
        assert!(line.expect("SORT ran").ends_with("failed_calls=2"));
        assert!(figures.contains("errorstat_ERR:count=2"), "{figures}");
    }
}

/// What is stored bit by bit is in the log as the request that it was, behind what was there before.
#[test]
fn what_is_stored_bit_by_bit_is_logged() {
    let log = &["--appendonly", "yes", "--appendfsync", "always"];
    for threads in [1, 2] {
        let mut server = Server::start(threads, log);
        let mut client = server.client();
        fill(&mut client);
        let lines: Vec<u8> = [
            "SUNIONSTORE {bigsadd}dst bigsadd nothing{bigsadd}",
            "SREM bigsadd member:7",
            "SDIFFSTORE bigsadd {bigsadd}dst bigsadd",
            "ZUNIONSTORE {bigzadd}dst 1 bigzadd WEIGHTS 2",
            "ZADD bigzadd 5 more",
        ]
        .iter()
        .flat_map(|line| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            request(&words)
        })
        .collect();
        client.send(&lines);
        let count = COUNT as i64;
        for number in [count, 1, 1, count, 1] {
            assert_eq!(client.reply(), Value::Integer(number));
        }
        for is_again in [false, true] {
            assert_eq!(client.ask("SCARD {bigsadd}dst"), Value::Integer(count));
            let left = client.ask("SMEMBERS bigsadd");
            assert_eq!(left.items().len(), 1);
            assert_eq!(left.items()[0].text(), "member:7");
            assert_eq!(client.ask("ZCARD {bigzadd}dst"), Value::Integer(count));
            assert_eq!(client.ask("ZSCORE {bigzadd}dst m:777").text(), "1554");
            assert_eq!(client.ask("ZCARD bigzadd"), Value::Integer(count + 1));
            if !is_again {
                assert!(server.terminate().success());
                assert!(server.restart(threads, log), "{}", server.log());
                client = server.client();
            }
        }
    }
}

/// A set changes from one state to another in one step again and again: no reply shows anything between them.
#[test]
fn a_long_reply_is_one_moment_of_its_key() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        fill(&mut writer);
        writer.ask("SADD {bigsadd}other x y z");
        let port = server.port;
        let readers: Vec<_> = (0..3)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut reader = Client::connect(port);
                    let mut seen = [0, 0];
                    for _ in 0..40 {
                        match reader.ask("SMEMBERS bigsadd").items().len() {
                            COUNT => seen[0] += 1,
                            3 => seen[1] += 1,
                            other => panic!("{other} members"),
                        }
                    }
                    seen
                })
            })
            .collect();
        while !readers.iter().all(std::thread::JoinHandle::is_finished) {
            for (from, to) in [("other", "aside"), ("aside", "other")] {
                writer.ask("MULTI");
                writer.ask(&format!("RENAME bigsadd {{bigsadd}}{to}"));
                writer.ask(&format!("RENAME {{bigsadd}}{from} bigsadd"));
                assert_eq!(writer.ask("EXEC"), Value::Array(vec![ok(), ok()]));
            }
        }
        let mut seen = [0, 0];
        for reader in readers {
            let [large, small] = reader.join().expect("no reader saw anything else");
            seen = [seen[0] + large, seen[1] + small];
        }
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    }
}

/// Keys of several cores come and go in one step again and again: KEYS shows all of them or none, beside all others.
#[test]
fn keys_of_a_large_database_are_those_of_one_moment() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        for first in (0..COUNT).step_by(1_000) {
            let pairs = (first..first + 1_000).map(|it| format!("key:{it} v"));
            let pairs: Vec<String> = pairs.collect();
            writer.ask(&format!("MSET {}", pairs.join(" ")));
        }
        let port = server.port;
        let reader = std::thread::spawn(move || {
            let mut reader = Client::connect(port);
            let mut seen = [0, 0];
            while seen[0] < 5 || seen[1] < 5 {
                match reader.ask("KEYS *").items().len() {
                    COUNT => seen[0] += 1,
                    more if more == COUNT + 4 => seen[1] += 1,
                    other => panic!("{other} keys"),
                }
            }
            assert_eq!(reader.ask("KEYS key:*99").items().len(), COUNT / 100);
        });
        while !reader.is_finished() {
            writer.ask("MSET one 1 two 2 three 3 four 4");
            assert_eq!(writer.ask("DEL one two three four"), Value::Integer(4));
        }
        reader.join().expect("no reader saw anything else");
    }
}

/// A database is emptied and filled again, each in one step, while KEYS walks over it: what it shows is all of it or nothing.
#[test]
fn keys_beside_a_flush_are_all_or_none() {
    const COUNT: usize = 20_000;
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let pairs: Vec<String> = (0..COUNT).map(|it| format!("key:{it} v")).collect();
        let fill = format!("MSET {}", pairs.join(" "));
        let mut writer = server.client();
        let port = server.port;
        let reader = std::thread::spawn(move || {
            let mut reader = Client::connect(port);
            let mut seen = [0, 0];
            while seen[0] < 5 || seen[1] < 5 {
                match reader.ask("KEYS *").items().len() {
                    0 => seen[0] += 1,
                    COUNT => seen[1] += 1,
                    other => panic!("{other} keys"),
                }
            }
        });
        for flush in ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"].iter().cycle() {
            assert_eq!(writer.ask(&fill), ok());
            assert_eq!(writer.ask(flush), ok());
            if reader.is_finished() {
                break;
            }
        }
        reader.join().expect("no reader saw anything else");
    }
}

/// Clients that go in the middle of a reply leave nothing behind, and whoever stops reading is not read for without end.
#[test]
fn a_client_that_goes_or_does_not_read_leaves_the_key_to_others() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        fill(&mut client);
        for round in 0..30 {
            let mut gone = server.client();
            gone.send(&request(&[b"SMEMBERS", b"bigsadd"]));
            gone.send(&request(&[b"HGETALL", b"bighset"]));
            gone.send(&request(&[b"XREAD", b"STREAMS", b"bigxadd", b"0"]));
            gone.send(&request(&[b"ZUNION", b"1", b"bigzadd"]));
            match round % 2 {
                0 => gone.reset(),
                _ => drop(gone),
            }
            assert_eq!(client.ask("SADD bigsadd member:1"), Value::Integer(0));
        }
        let mut silent = server.client();
        for _ in 0..100 {
            silent.send(&request(&[b"SMEMBERS", b"bigsadd"]));
        }
        assert_eq!(client.ask("SREM bigsadd member:1"), Value::Integer(1));
        assert_eq!(client.ask("SMEMBERS bigsadd").items().len(), COUNT - 1);
        assert_eq!(client.ask("DEL bigsadd"), Value::Integer(1));
        assert_eq!(client.ask("SMEMBERS bigsadd").items().len(), 0);
        assert_eq!(client.ask("SET bigsadd text"), ok());
        assert_eq!(
            client.ask("SMEMBERS bigsadd"),
            error("WRONGTYPE Operation against a key holding the wrong kind of value")
        );
        // It finds what there was at each of its requests.
        let first = silent.reply();
        assert!(first.items().len() >= COUNT - 1);
        client.ask(&format!("CLIENT KILL ADDR {}", silent.address()));
        eventually("it is gone", || {
            client.ask("CLIENT LIST").text().lines().count() == 1
        });
    }
}

/// More draws than any memory would hold come as long as they are read, and a limit of output ends them.
#[test]
fn any_number_of_draws_may_be_asked_for() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.ask("SADD set member");
        client.ask("HSET hash field value");
        client.ask("ZADD zset 1 member");
        for (request, head, draw) in [
            (
                "SRANDMEMBER set -999999999",
                "*999999999\r\n",
                "$6\r\nmember\r\n",
            ),
            (
                "HRANDFIELD hash -999999999 WITHVALUES",
                "*1999999998\r\n",
                "$5\r\nfield\r\n$5\r\nvalue\r\n",
            ),
            (
                "ZRANDMEMBER zset -999999999 WITHSCORES",
                "*1999999998\r\n",
                "$6\r\nmember\r\n$1\r\n1\r\n",
            ),
        ] {
            let mut drawer = server.client();
            drawer.send(format!("{request}\r\n").as_bytes());
            // More than there is made ahead.
            let begin = head.to_owned() + &draw.repeat(1_000_000);
            assert!(drawer.raw(begin.len()) == begin.as_bytes(), "{request}");
            // It does not read on, and changes do not wait for that.
            client.ask("SADD set other");
            client.ask("SREM set other");
            client.ask("DEL zset");
            client.ask("ZADD zset 1 member");
        }
        client.configure("client-output-buffer-limit", "normal 1000000 0 0");
        let mut drawer = server.client();
        drawer.send(b"HRANDFIELD hash -999999999\r\n");
        assert!(drawer.rest().is_empty());
        eventually("it has gone", || {
            client.ask("CLIENT LIST").text().lines().count() == 1
        });
        // What is whole below the limit comes.
        let drawn = client.ask("HRANDFIELD hash -50000");
        assert_eq!(drawn.items().len(), 50_000);
        assert_eq!(client.ask("HLEN hash"), Value::Integer(1));
    }
}

/// Long replies of one pipeline, made on several cores at once: what has come of the later ones keeps the first from nothing,
/// with output limited or not.
#[test]
fn long_replies_of_one_pipeline_do_not_wait_for_each_other() {
    for (threads, limit) in [(1, "100mb"), (2, "0"), (5, "0"), (5, "100mb")] {
        let limit = format!("normal {limit} 0 0");
        let server = Server::start(threads, &["--client-output-buffer-limit", &limit]);
        let mut client = server.client();
        for name in ["s:0", "s:1", "s:2", "s:3"] {
            let members: Vec<String> = (0..60_000)
                .map(|number| format!("member:{number:060}"))
                .collect();
            let words: Vec<&[u8]> = [&b"SADD"[..], name.as_bytes()]
                .into_iter()
                .chain(members.iter().map(|member| member.as_bytes()))
                .collect();
            assert_eq!(client.run(&words), Value::Integer(60_000));
        }
        let mut bytes = Vec::new();
        for name in ["s:0", "s:1", "s:2", "s:3"] {
            push_request(&mut bytes, &[b"SCARD", b"s:3"]);
            push_request(&mut bytes, &[b"SMEMBERS", name.as_bytes()]);
            push_request(&mut bytes, &[b"SCARD", b"s:0"]);
        }
        client.send(&bytes);
        for _ in 0..4 {
            assert_eq!(client.reply(), Value::Integer(60_000));
            assert_eq!(client.reply().items().len(), 60_000);
            assert_eq!(client.reply(), Value::Integer(60_000));
        }
    }
}

/// Whatever comes in pieces, or is made bit by bit, is one call: one entry of the slow log, one of the figures.
#[test]
fn a_long_reply_is_one_entry_of_the_slow_log() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--save", ""]);
        let mut client = server.client();
        fill(&mut client);
        client.ask("CONFIG SET slowlog-log-slower-than 0");
        let commands = [
            "SMEMBERS bigsadd",
            "SINTER bigsadd bigsadd",
            "ZUNIONSTORE {bigzadd}stored 1 bigzadd",
            "XRANGE bigxadd - +",
        ];
        for command in commands {
            client.ask("SLOWLOG RESET");
            client.ask(command);
            let name = command.split(' ').next();
            let mut count = || {
                let entries = client.ask("SLOWLOG GET -1");
                let name_of = |entry: &Value| entry.items()[3].items()[0].text();
                let names = entries.items().iter().map(name_of);
                names.filter(|it| Some(it.as_str()) == name).count()
            };
            eventually("it is noted", || count() > 0);
            assert_eq!(count(), 1, "{threads} threads: {command}");
        }
    }
}
