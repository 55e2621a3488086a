//! Clients that go, or are turned away, before what they have asked for has begun or while it is under way: nothing of them is
//! left.

use super::client::{Client, Value, bulk, error, ok, request};
use super::harness::{Server, eventually};
use std::time::Duration;

const QUIET: Duration = Duration::from_millis(50);
const DEBUG: &[&str] = &["--enable-debug-command", "local"];

/// Nobody is left but who asks.
fn all_have_gone(server: &Server, when: &str) {
    eventually(when, || {
        let clients = ["connected_clients", "blocked_clients", "pubsub_clients"];
        let counts = clients.map(|field| server.info_number("clients", field));
        let tracking = server.info_number("clients", "tracking_clients");
        (counts, tracking) == ([1, 0, 0], 0)
    });
}

#[test]
fn who_waits_for_replicas_is_freed_when_it_goes() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--appendonly", "yes"]);
        for line in ["WAIT 1 0", "WAITAOF 0 1 0", "WAITAOF 1 1 0"] {
            let mut waiting = server.client();
            waiting.send(format!("{line}\r\n").as_bytes());
            eventually("it waits", || {
                server.info_number("clients", "blocked_clients") == 1
            });
            let list = server.client().ask("CLIENT LIST").text();
            assert_eq!(list.matches(" flags=b ").count(), 1, "{list}");
            drop(waiting);
            all_have_gone(&server, line);
        }
    }
}

/// Who waits for what never comes does not hold up the end of the server.
#[test]
fn a_server_ends_beside_clients_that_wait_for_replicas() {
    for threads in [1, 3] {
        let mut server = Server::start(threads, &["--shutdown-timeout", "100"]);
        let mut waiting: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for (client, line) in waiting
            .iter_mut()
            .zip(["WAIT 1 0", "WAITAOF 0 1 0", "BLPOP q 0"])
        {
            client.send(format!("{line}\r\n").as_bytes());
        }
        eventually("they wait", || {
            server.info_number("clients", "blocked_clients") == 3
        });
        let begin = std::time::Instant::now();
        assert!(server.terminate().success());
        assert!(begin.elapsed() < Duration::from_secs(50), "at {threads}");
    }
}

/// The end of a client's input may come before what it waits with begins.
#[test]
fn who_goes_before_its_wait_begins_takes_nothing() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let waits = [
            "BLPOP q 0",
            "BLPOP q r s t 0",
            "BLMOVE q other LEFT LEFT 0",
            "BZPOPMIN q 0",
            "XREAD BLOCK 0 STREAMS q $",
            "WAIT 1 0",
        ];
        for line in waits {
            for shuts in [true, false] {
                let mut gone = server.client();
                gone.ask("GET q");
                assert_eq!(client.ask("CLIENT PAUSE 100 ALL"), ok());
                gone.send(format!("{line}\r\n").as_bytes());
                if shuts {
                    gone.shut_write();
                    gone.set_reply_timeout(Duration::from_secs(20));
                    gone.try_next();
                }
                drop(gone);
                eventually(line, || {
                    let list = client.ask("CLIENT LIST").text();
                    list.lines().count() == 1
                });
            }
        }
        assert_eq!(client.ask("RPUSH q x"), Value::Integer(1));
        assert_eq!(client.ask("LLEN q"), Value::Integer(1), "at {threads}");
    }
}

/// What has not begun when its client goes never does, as in Redis: who has given up may have asked again.
#[test]
fn what_a_pause_keeps_waiting_goes_with_its_client() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        assert_eq!(client.ask("CLIENT PAUSE 100000 WRITE"), ok());
        for _ in 0..5 {
            let mut gone = server.client();
            gone.send(b"INCR n\r\n");
            eventually("it waits", || {
                server.info_number("clients", "paused_clients") == 1
            });
            drop(gone);
            eventually("it is gone", || {
                server.info_number("clients", "paused_clients") == 0
            });
        }
        assert_eq!(client.ask("CLIENT UNPAUSE"), ok());
        assert_eq!(client.ask("GET n"), Value::Null, "at {threads}");
    }
}

/// WATCH is served while a script is busy, as in Redis, and watches what the script holds.
#[test]
fn a_watch_of_what_a_busy_script_holds_waits_for_nobody() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--busy-reply-threshold", "50"]);
        let mut watching: Vec<Client> = (0..6).map(|_| server.client()).collect();
        for (number, client) in watching.iter_mut().enumerate() {
            client.ask(&format!("GET own{number}"));
        }
        let mut looping = server.client();
        let body = b"redis.call('get', KEYS[1]) while true do end";
        looping.send(&request(&[b"EVAL", body, b"1", b"k"]));
        let is_busy =
            |reply: &Value| matches!(reply, Value::Error(text) if text.starts_with("BUSY"));
        let mut probe = server.client();
        eventually("it is busy", || is_busy(&probe.ask("PING")));
        for client in &mut watching {
            assert_eq!(client.ask("WATCH k"), ok());
            assert_eq!(client.ask("WATCH other k own"), ok());
        }
        assert_eq!(watching[0].ask("UNWATCH"), ok());
        assert_eq!(
            watching[0].ask("WATCH other"),
            ok(),
            "without the key that is written"
        );
        assert_eq!(probe.ask("SCRIPT KILL"), ok());
        looping.reply();
        assert_eq!(server.info_number("clients", "total_watched_keys"), 3);
        assert_eq!(probe.ask("SET k 1"), ok());
        for (number, client) in watching.iter_mut().enumerate() {
            client.send(b"MULTI\r\nGET k\r\nEXEC\r\n");
            let expected = match number {
                0 => Value::Array(vec![bulk("1")]),
                _ => Value::Null,
            };
            assert_eq!(client.replies(3)[2], expected, "at {threads}");
        }
        assert_eq!(server.info_number("clients", "watching_clients"), 0);
    }
}

/// What is left of a block is run, in the database that it has selected, and enters its client nowhere.
#[test]
fn a_client_that_goes_in_the_midst_of_its_block_leaves_a_whole_block_and_nothing_else() {
    let server = Server::start(3, DEBUG);
    let mut client = server.client();
    client.ask("DEBUG SET-DISABLE-DENY-SCRIPTS 1");
    // On some other core than the block, most of them.
    for held in ["a", "b", "c", "d", "e", "f"] {
        let mut target = server.client();
        let target_id = target.ask("CLIENT ID").integer();
        let mut gone = server.client();
        let gone_id = gone.ask("CLIENT ID").integer();
        gone.ask("GET k");
        let mut sleeping = server.client();
        let body = b"redis.call('debug', 'sleep', 0.2) return redis.call('get', KEYS[1])";
        sleeping.send(&request(&[b"EVAL", body, b"1", held.as_bytes()]));
        std::thread::sleep(QUIET);
        let block = format!(
            "MULTI\r\nSET k 1\r\nCLIENT TRACKING ON REDIRECT {target_id}\r\nSELECT 3\r\nSUBSCRIBE news\r\nSET k 3\r\nEXEC\r\n"
        );
        gone.send(block.as_bytes());
        std::thread::sleep(QUIET);
        assert_eq!(
            target.ask(&format!("CLIENT KILL ID {gone_id}")),
            Value::Integer(1)
        );
        sleeping.reply();
        assert_eq!(client.ask("GET k"), Value::Bulk(b"1".to_vec()), "{held}");
        client.ask("SELECT 3");
        assert_eq!(client.ask("GET k"), Value::Bulk(b"3".to_vec()), "{held}");
        client.ask("FLUSHALL");
        client.ask("SELECT 0");
        drop((target, gone, sleeping, client));
        all_have_gone(&server, held);
        client = server.client();
        assert_eq!(client.ask("PUBSUB CHANNELS"), Value::Array(Vec::new()));
    }
}

/// Cut off by its own message, which is more than it may have unread.
#[test]
fn a_client_that_its_own_block_cuts_off_is_subscribed_to_nothing() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut gone = server.client();
        gone.configure("client-output-buffer-limit", "pubsub 100kb 0 0");
        gone.ask("HELLO 3");
        gone.ask("SUBSCRIBE a");
        let message = vec![b'x'; 300_000];
        let mut bytes = b"MULTI\r\n".to_vec();
        bytes.extend(request(&[b"PUBLISH", b"a", &message]));
        bytes.extend(b"SUBSCRIBE b\r\nPSUBSCRIBE c*\r\nCLIENT TRACKING ON\r\nEXEC\r\n");
        gone.send(&bytes);
        gone.rest();
        all_have_gone(&server, "a block");
        let channels = server.client().ask("PUBSUB CHANNELS");
        assert_eq!(channels, Value::Array(Vec::new()));
        assert_eq!(server.client().ask("PUBSUB NUMPAT"), Value::Integer(0));
    }
}

/// Whoever monitors may not run scripts either.
#[test]
fn who_monitors_runs_no_scripts() {
    let server = Server::start(1, &[]);
    let mut monitor = server.client();
    assert_eq!(monitor.ask("MONITOR"), ok());
    let refused = error("ERR Replica can't interact with the keyspace");
    for line in [
        "EVAL return 0",
        "EVALSHA 0 0",
        "EVAL_RO return 0",
        "FCALL f 0",
    ] {
        assert_eq!(monitor.ask(line), refused, "{line}");
    }
    assert_eq!(monitor.ask("MULTI"), ok());
    assert!(monitor.reply().text().ends_with("\"MULTI\""));
    assert_eq!(monitor.ask("GET k"), refused);
    let aborted = "EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(monitor.ask("EXEC"), error(aborted));
}

/// The end of a client that waits and has a megabyte behind that is noticed.
#[test]
fn who_goes_with_much_behind_what_it_waits_for_takes_nothing() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut gone = server.client();
        gone.send(b"BLPOP q 0\r\n");
        eventually("it waits", || {
            server.info_number("clients", "blocked_clients") == 1
        });
        let set = request(&[b"SET", b"k", &[b'v'; 100]]);
        gone.set_write_timeout(Duration::from_millis(300));
        let _ = gone.try_send(&set.repeat(40_000));
        drop(gone);
        all_have_gone(&server, "much behind it");
        let mut client = server.client();
        assert_eq!(client.ask("RPUSH q x"), Value::Integer(1));
        assert_eq!(client.ask("LLEN q"), Value::Integer(1), "at {threads}");
        assert_eq!(client.ask("EXISTS k"), Value::Integer(0));
    }
}

/// What waits for the locks of a block that pauses does not keep it from its reply.
#[test]
fn a_block_that_pauses_does_not_wait_for_its_own_end() {
    for threads in [1, 3] {
        let server = Server::start(threads, DEBUG);
        let (mut pausing, mut other) = (server.client(), server.client());
        for client in [&mut pausing, &mut other] {
            client.ask("GET k");
        }
        let block = "MULTI\r\nSET k 1\r\nDEBUG SLEEP 0.1\r\nCLIENT PAUSE 100000 WRITE\r\nEXEC\r\n";
        pausing.send(block.as_bytes());
        std::thread::sleep(QUIET);
        other.send(b"SET k 2\r\n");
        let replies = pausing.replies(5);
        assert_eq!(replies[4], Value::Array(vec![ok(); 3]), "at {threads}");
        assert_eq!(pausing.ask("CLIENT UNPAUSE"), ok());
        assert_eq!(other.reply(), ok());
        assert_eq!(other.ask("GET k"), Value::Bulk(b"2".to_vec()));
    }
}

/// A long reply comes in pieces; what a client waits for behind it begins once all of it is there.
#[test]
fn no_message_comes_in_the_midst_of_a_reply() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let server = Server::start(3, &[]);
    let mut client = server.client();
    let elements: Vec<String> = (0..100_000).map(|number| format!("e{number}")).collect();
    let keys = ["a", "b", "c", "d", "e", "f"];
    for key in &keys[..3] {
        let mut words: Vec<&[u8]> = vec![b"RPUSH", key.as_bytes()];
        words.extend(elements.iter().map(String::as_bytes));
        client.run(&words);
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = server.client();
            while !is_over.load(Ordering::Relaxed) {
                publisher.ask("PUBLISH news message");
            }
        });
        for home in &keys[3..] {
            let mut reading = server.client();
            reading.ask("HELLO 3");
            reading.ask(&format!("GET {home}"));
            reading.ask("SUBSCRIBE news");
            for long in &keys[..3] {
                let both = format!("LRANGE {long} 0 -1\r\nBLPOP {home} 0\r\n");
                reading.send(both.as_bytes());
                let list = without_messages(&mut reading);
                let is_whole = list
                    .items()
                    .iter()
                    .map(Value::text)
                    .eq(elements.iter().cloned());
                assert!(is_whole, "{long}, {home}");
                client.ask(&format!("RPUSH {home} x"));
                assert_eq!(without_messages(&mut reading).items().len(), 2);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// The next reply that is no message.
fn without_messages(client: &mut Client) -> Value {
    loop {
        match client.reply() {
            Value::Push(_) => continue,
            reply => return reply,
        }
    }
}

/// What waits for elements, disks or replicas is told of everything else meanwhile, and has its replies of before.
#[test]
fn who_waits_is_told_of_everything_else() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.configure("client-output-buffer-limit", "normal 1mb 0 0");
        for line in [
            "BLPOP q 0",
            "BLPOP q r s t u 0",
            "WAIT 1 0",
            "WAITAOF 0 1 0",
        ] {
            let mut waiting = server.client();
            waiting.ask("HELLO 3");
            waiting.ask("CLIENT TRACKING ON");
            waiting.ask("SUBSCRIBE news");
            waiting.ask("GET k");
            waiting.send(format!("PING\r\n{line}\r\n").as_bytes());
            assert_eq!(waiting.reply(), Value::Simple("PONG".into()), "{line}");
            eventually("it waits", || {
                server.info_number("clients", "blocked_clients") == 1
            });
            client.ask("SET k 1");
            assert_eq!(waiting.reply().items()[0].text(), "invalidate", "{line}");
            client.ask("PUBLISH news x");
            assert_eq!(waiting.reply().items()[0].text(), "message", "{line}");
            drop(waiting);
            eventually("it has gone", || {
                server.info_number("clients", "blocked_clients") == 0
            });
        }
    }
}

/// A client that publishes, or whose command is told of, is out of its place while another is closed for what it has unread.
#[test]
fn who_publishes_keeps_its_subscription_when_others_are_cut_off() {
    let message = vec![b'x'; 60_000];
    let publish = request(&[b"PUBLISH", b"news", &message]);
    let script = b"redis.call('publish', 'news', ARGV[1])";
    let eval = request(&[b"EVAL", script, b"0", &message]);
    let event = [&b"SET "[..], &message, b" v\r\n"].concat();
    for threads in [1, 3] {
        for (channel, says) in [
            ("news", &publish),
            ("news", &eval),
            ("__keyevent@0__:set", &event),
        ] {
            let server = Server::start(threads, &["--notify-keyspace-events", "E$"]);
            let mut client = server.client();
            client.configure("client-output-buffer-limit", "pubsub 100kb 0 0");
            // One that does not read, and others behind it in the list.
            let subscribe = |server: &Server| {
                let mut client = server.client();
                client.ask("HELLO 3");
                client.ask("GET k");
                client.ask(&format!("SUBSCRIBE {channel}"));
                client
            };
            let deaf = subscribe(&server);
            let mut other = subscribe(&server);
            let mut publisher = subscribe(&server);
            let number = |client: &mut Client| {
                let reply = client.ask(&format!("PUBSUB NUMSUB {channel}"));
                reply.items()[1].integer()
            };
            for _ in 0..200 {
                if number(&mut client) < 3 {
                    break;
                }
                publisher.send(says);
                while matches!(publisher.reply(), Value::Push(_)) {}
                while matches!(other.reply(), Value::Push(message) if message[2].text().len() < 60_000)
                {
                }
            }
            assert_eq!(number(&mut client), 2, "{channel} at {threads}");
            publisher.send(format!("UNSUBSCRIBE {channel}\r\nPING\r\n").as_bytes());
            while publisher.reply() != Value::Simple("PONG".into()) {}
            assert_eq!(number(&mut client), 1, "{channel} at {threads}");
            client.ask("CONFIG SET notify-keyspace-events E$");
            client.ask(&format!("PUBLISH {channel} last"));
            let last = loop {
                let message = other.reply();
                if message.items()[2].text() == "last" {
                    break message;
                }
            };
            assert_eq!(last.items()[1].text(), channel);
            drop(deaf);
        }
    }
}

/// More behind what it waits for than the query buffer may hold ends it at once.
#[test]
fn who_sends_too_much_while_it_waits_is_closed() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--client-query-buffer-limit", "1mb"]);
        let mut waiting = server.client();
        waiting.send(b"BLPOP q 0\r\n");
        eventually("it waits", || {
            server.info_number("clients", "blocked_clients") == 1
        });
        let ping = request(&[b"PING", &[b'x'; 1_000]]);
        let _ = waiting.try_send(&ping.repeat(3_000));
        waiting.rest();
        all_have_gone(&server, "too much");
        let counted = "client_query_buffer_limit_disconnections";
        assert_eq!(server.info_number("stats", counted), 1);
        let mut client = server.client();
        client.ask("RPUSH q x");
        assert_eq!(client.ask("LLEN q"), Value::Integer(1), "at {threads}");
    }
}

/// What a client asked before its last request, which never ends, is answered though it sends nothing more.
#[test]
fn replies_before_the_last_request_leave_when_the_client_has_sent_all() {
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    for options in [&[][..], &always] {
        for threads in [1, 3] {
            let server = Server::start(threads, options);
            for (before, last, count) in [
                ("SET a 1\r\n", "BLPOP none 0\r\n", 1),
                ("SET a 1\r\nSET b 1\r\n", "BLPOP none other third 0\r\n", 2),
                ("SET a 1\r\n", "WAIT 1 0\r\n", 1),
                (
                    "SET a 1\r\nSET b 1\r\nSET c 1\r\n",
                    "XREAD BLOCK 0 STREAMS x $\r\nPING\r\n",
                    3,
                ),
            ] {
                let mut client = server.client();
                client.send(format!("{before}{last}").as_bytes());
                client.shut_write();
                assert_eq!(client.rest(), "+OK\r\n".repeat(count).as_bytes(), "{last}");
            }
            let mut client = server.client();
            assert_eq!(client.ask("CLIENT PAUSE 100000 WRITE"), ok());
            client.send(b"GET a\r\nSET a 2\r\n");
            client.shut_write();
            assert_eq!(client.rest(), b"$1\r\n1\r\n");
            assert_eq!(server.client().ask("CLIENT UNPAUSE"), ok());
            all_have_gone(&server, "the half-closed");
        }
    }
}

/// Cut off and unsubscribed in one turn, two others move in the same list, one of them twice.
#[test]
fn who_moves_twice_in_a_list_of_subscribers_keeps_its_last_place() {
    let server = Server::start(1, DEBUG);
    let mut client = server.client();
    client.configure("client-output-buffer-limit", "pubsub 100kb 0 0");
    let subscribe = |name: &str| {
        let mut client = server.client();
        client.ask("HELLO 3");
        client.ask(&format!("SUBSCRIBE {name}"));
        client
    };
    let mut leaving = subscribe("news");
    let mut cut_off = subscribe("news");
    let mut publisher = subscribe("news");
    cut_off.ask("PSUBSCRIBE n*");
    // All of it arrives in one turn.
    client.send(b"DEBUG SLEEP 0.2\r\n");
    std::thread::sleep(QUIET);
    publisher.send(&request(&[b"PUBLISH", b"news", &[b'x'; 60_000]]));
    std::thread::sleep(QUIET / 5);
    leaving.send(b"UNSUBSCRIBE news\r\n");
    assert_eq!(client.reply(), ok());
    cut_off.rest();
    leaving.reply();
    let later = subscribe("news");
    publisher.send(b"UNSUBSCRIBE news\r\nPING\r\n");
    while publisher.reply() != Value::Simple("PONG".into()) {}
    let numsub = client.ask("PUBSUB NUMSUB news");
    assert_eq!(numsub.items()[1], Value::Integer(1));
    assert_eq!(client.ask("PUBLISH news y"), Value::Integer(1));
    drop((later, leaving, publisher, client));
    all_have_gone(&server, "all subscribers");
}

/// What the server itself keeps waiting is no pause of a client's: it is done and answered.
#[test]
fn a_write_that_waits_for_a_reload_is_done_though_its_client_has_sent_all() {
    for threads in [1, 3] {
        let server = Server::start(threads, DEBUG);
        let mut client = server.client();
        client.ask("DEBUG POPULATE 300");
        client.ask("CONFIG SET rdb-key-save-delay 1000");
        let mut reloading = server.client();
        reloading.send(b"DEBUG RELOAD\r\n");
        eventually("it saves", || {
            server.info("persistence", "rdb_bgsave_in_progress") == "1"
        });
        client.send(b"SET half 1\r\n");
        client.shut_write();
        let reply = client.rest();
        // Where this comes late the file is being loaded by now.
        let is_late = reply.starts_with(b"-LOADING");
        assert!(is_late || reply == b"+OK\r\n", "{reply:?}");
        assert_eq!(reloading.reply(), ok());
        let there = Value::Integer((!is_late).into());
        assert_eq!(server.client().ask("EXISTS half"), there);
    }
}
