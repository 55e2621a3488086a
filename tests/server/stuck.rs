//! Ways in which one connection, or the whole server, might wait for ever.

use super::client::{Client, Next, Value, bulk, ok, push_request, request};
use super::harness::{Server, eventually, new_dir};
use std::io::Write;
use std::time::{Duration, Instant};

/// A client fills its input while it must wait, and the last of it is a part of a long request of short words.
#[test]
fn a_long_request_behind_a_full_input_arrives_whole() {
    let server = Server::start(2, &[]);
    let mut master = server.client();
    assert_eq!(master.ask("CLIENT PAUSE 60000 WRITE"), ok());
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        push_request(&mut bytes, &[b"SET", b"a", b"1"]);
    }
    let words_count = 300_000;
    bytes.extend_from_slice(format!("*{}\r\n$3\r\nDEL\r\n", words_count + 1).as_bytes());
    bytes.extend_from_slice(&b"$1\r\na\r\n".repeat(words_count));
    let mut client = server.client();
    client.set_reply_timeout(Duration::from_secs(10));
    let mut writer = client.writer();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).expect("the server reads"));
    eventually("the server stops reading", || {
        master.ask("CLIENT LIST").text().lines().any(|line| {
            let bytes = line
                .split(" qbuf=")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            bytes.is_some_and(|bytes| bytes.parse::<u64>().expect("a number") > 1 << 20)
        })
    });
    assert_eq!(master.ask("CLIENT UNPAUSE"), ok());
    assert!(client.replies(10_000).iter().all(|reply| *reply == ok()));
    assert_eq!(client.reply(), Value::Integer(1));
    writing.join().expect("the writer");
}

/// The last bytes of a client, and the end of them, arrive at once; its connection moves in that moment, with a reply
/// just kept back.
#[test]
fn a_connection_that_ends_as_it_moves_is_answered() {
    let server = Server::start(2, &["--enable-debug-command", "yes"]);
    let mut sleeper = server.client();
    let mut clients: Vec<Client> = (0..24).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), Value::Simple("PONG".into()));
    }
    sleeper.send(&request(&[b"DEBUG", b"SLEEP", b"0.5"]));
    std::thread::sleep(Duration::from_millis(100));
    for (index, client) in clients.iter_mut().enumerate() {
        let key = format!("key:{index}");
        let mut bytes = request(&[b"CLIENT", b"REPLY", b"SKIP"]);
        push_request(&mut bytes, &[b"CONFIG", b"GET", b"port"]);
        push_request(&mut bytes, &[b"APPEND", key.as_bytes(), b"value"]);
        push_request(&mut bytes, &[b"GET", key.as_bytes()]);
        client.send(&bytes);
        client.shut_write();
    }
    assert_eq!(sleeper.reply(), ok());
    for client in &mut clients {
        client.set_reply_timeout(Duration::from_secs(10));
        assert_eq!(client.reply(), Value::Integer(5));
        assert_eq!(client.reply(), bulk("value"));
        assert_eq!(client.next(), Next::Closed);
    }
}

/// A second SIGTERM while the first is being obeyed makes no failure of it.
#[test]
fn a_signal_sent_twice_is_one_end() {
    let mut server = Server::start(2, &[]);
    let mut slow = server.client();
    assert_eq!(slow.run(&[b"SET", b"a", &vec![b'x'; 30_000_000]]), ok());
    // It does not read, so the end has to wait for it.
    slow.send(&request(&[b"GET", b"a"]));
    // What has not arrived by then is not answered: another core's reply to something later says nothing of it.
    eventually("it has run", || {
        server
            .info("commandstats", "cmdstat_get")
            .starts_with("calls=1,")
    });
    server.signal("TERM");
    eventually("the end begins", || {
        server.log().contains("User requested shutdown")
    });
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.is_running());
    // Now it does: its reply is whole.
    assert_eq!(slow.reply().text().len(), 30_000_000);
    assert_eq!(
        server.wait_for_the_end().code(),
        Some(0),
        "{}",
        server.log()
    );
    assert!(!server.log().contains("the end did not wait"));
}

/// Several clients ask for the end in one moment: it is one end, and a good one.
#[test]
fn an_end_asked_for_twice_is_one_end() {
    for threads in [1, 3] {
        let mut server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut sleeper = server.client();
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("PING"), Value::Simple("PONG".into()));
        }
        sleeper.send(&request(&[b"DEBUG", b"SLEEP", b"0.3"]));
        std::thread::sleep(Duration::from_millis(50));
        for client in &mut clients {
            let mut bytes = request(&[b"SET", b"a", b"1"]);
            push_request(&mut bytes, &[b"SHUTDOWN", b"NOSAVE"]);
            client.send(&bytes);
        }
        assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
        // What ran before the end was asked for is answered.
        let mut answered_count = 0;
        for client in &mut clients {
            match client.next() {
                Next::Reply(reply) => {
                    assert_eq!(reply, ok());
                    assert_eq!(client.next(), Next::Closed);
                    answered_count += 1;
                }
                Next::Closed => {}
            }
        }
        assert!(answered_count > 0);
    }
}

/// A shutdown that saves waits for a script that has written and does not end, as in Redis. Whoever wants nothing saved ends
/// both, and so does SIGINT after a signal.
#[test]
fn a_shutdown_that_waits_for_a_script_can_be_ended() {
    const BUSY: &str =
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    for threads in [1, 4] {
        for by_signal in [false, true] {
            let save = ["--save", "3600 1", "--busy-reply-threshold", "50"];
            let mut server = Server::start(threads, &save);
            let mut script = server.client();
            let body = b"redis.call('SET', KEYS[1], '1') while true do end";
            script.send(&request(&[b"EVAL", body, b"1", b"key"]));
            let mut other = server.client();
            eventually("the script has run for long", || {
                other.ask("GET key") == super::client::error(BUSY)
            });
            server.signal("TERM");
            eventually("it wants to save", || {
                server.log().contains("Saving the final RDB snapshot")
            });
            assert!(server.is_running());
            if by_signal {
                server.signal("INT");
                assert_eq!(server.wait_for_the_end().code(), Some(1));
            } else {
                other.send(&request(&[b"SHUTDOWN", b"NOSAVE"]));
                assert!(server.wait_for_the_end().success());
            }
        }
    }
}

/// CLIENT PAUSE: who waits for the end of one pause is not caught by the next that begins after it, on whichever core
/// the client is; they go on in the order they came in.
#[test]
fn a_pause_that_is_over_keeps_nobody() {
    let server = Server::start(3, &[]);
    let mut master = server.client();
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    let mut rounds_count = 0;
    while rounds_count < 3 {
        assert_eq!(master.ask("CLIENT PAUSE 300 WRITE"), ok());
        let end = Instant::now() + Duration::from_millis(302);
        for client in &mut clients {
            client.send(&request(&[b"SET", b"key", b"value"]));
        }
        let are_paused = loop {
            let paused_count = server.info_number("clients", "blocked_clients");
            if paused_count == 3 || Instant::now() > end {
                break paused_count == 3;
            }
        };
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        assert_eq!(master.ask("CLIENT PAUSE 100000 WRITE"), ok());
        if are_paused {
            rounds_count += 1;
        } else {
            assert_eq!(master.ask("CLIENT UNPAUSE"), ok());
        }
        for client in &mut clients {
            assert_eq!(client.reply(), ok());
        }
        assert_eq!(master.ask("CLIENT UNPAUSE"), ok());
    }
}

/// A client that reads nothing before it has written its whole pipeline, as blocking clients do, keeps a core from sending what is
/// there: its connection, whose keys are on another core, must not wait for that before it moves, and read no more until then.
#[test]
fn a_pipeline_written_before_anything_is_read_gets_through_where_its_keys_are_elsewhere() {
    let map = rondo::keyspace::SlotMap::new(2);
    let key_of = |shard| {
        let names = (0..).map(|index| format!("key:{index}"));
        let mut found = names.filter(|name| map.shard_of(name.as_bytes()) == shard);
        found.next().expect("every shard has keys")
    };
    // The buffers of a unix socket are small.
    let path = new_dir().join("socket");
    let path_text = path.to_str().expect("a path of ASCII");
    let server = Server::start(2, &["--unixsocket", path_text]);
    let keys = [key_of(0), key_of(1)];
    let element = "e".repeat(1_000);
    for key in &keys {
        let push = format!("RPUSH {key} {element}");
        assert_eq!(server.client().ask(&push), Value::Integer(1));
    }
    for (first, second) in [(0, 1), (1, 0)] {
        let mut client = Client::connect_unix(&path).expect("the server accepts a connection");
        assert_eq!(
            client.ask(&format!("LLEN {}", keys[first])),
            Value::Integer(1)
        );
        let mut bytes = Vec::new();
        for _ in 0..100_000 {
            push_request(
                &mut bytes,
                &[b"LRANGE", keys[second].as_bytes(), b"0", b"-1"],
            );
        }
        client.send(&bytes);
        let expected = Value::Array(vec![bulk(&element)]);
        for _ in 0..100_000 {
            assert!(client.reply() == expected);
        }
    }
}

/// The same behind a reply that comes in pieces, of which no more are made than the client reads.
#[test]
fn a_pipeline_written_before_anything_is_read_gets_through_behind_a_long_reply() {
    for threads in [1, 2] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let element = "e".repeat(500);
        let some = [element.as_str(); 1_000].join(" ");
        for key in ["one", "two", "three"] {
            for _ in 0..20 {
                client.ask(&format!("RPUSH {key} {some}"));
            }
        }
        let value = vec![b'v'; 16_000];
        let mut bytes = Vec::new();
        for key in ["one", "two", "three"] {
            push_request(&mut bytes, &[b"LRANGE", key.as_bytes(), b"0", b"-1"]);
            for _ in 0..1_000 {
                push_request(&mut bytes, &[b"SET", b"a", &value]);
            }
        }
        client.send(&bytes);
        for _ in 0..3 {
            assert_eq!(client.reply().items().len(), 20_000);
            assert!(client.replies(1_000).iter().all(|reply| *reply == ok()));
        }
    }
}
