//! Publishers and subscribers on several cores: replies as recorded, order, counts, patterns, and those that vanish.

use super::client::{Client, Next, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const GOLDEN: &str = include_str!("golden/pubsub.txt");

fn send(client: &mut Client, line: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    client.send(&request(&words));
}

/// Subscribes, as `line` says, and reads the confirmations.
fn subscribe(client: &mut Client, line: &str) {
    send(client, line);
    let names_count = line.split(' ').count() - 1;
    client.replies(names_count);
}

fn resp3(server: &Server) -> Client {
    let mut client = server.client();
    client.ask("HELLO 3");
    client
}

/// Channel and text of the next message, whatever the protocol.
fn message(client: &mut Client) -> (String, String) {
    let value = client.reply();
    let items = value.items();
    let last_two = &items[items.len() - 2..];
    assert!(items[0].text().ends_with("message"), "{value:?}");
    (last_two[0].text(), last_two[1].text())
}

/// Nobody is subscribed to anything, and nothing is left of those who were.
fn wait_until_empty(server: &Server) {
    for (section, field) in [
        ("clients", "pubsub_clients"),
        ("stats", "pubsub_channels"),
        ("stats", "pubsub_patterns"),
        ("stats", "pubsubshard_channels"),
    ] {
        eventually(field, || server.info_number(section, field) == 0);
    }
}

/// Every byte that several clients receive is what a real server sent them.
#[test]
fn clients_receive_what_a_real_server_sends() {
    replay(GOLDEN, &["D"]);
}

/// What a client publishes while it is subscribed itself comes after its reply, also that of a block or a script; so do
/// events of its keys and what it is told of keys it tracks.
#[test]
fn own_messages_come_after_the_reply() {
    replay(include_str!("golden/own_messages.txt"), &[]);
}

/// Replays what several clients say, at 1 and 4 threads; those named last are closed in the end.
pub fn replay(golden: &'static str, closed: &[&str]) {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut clients: HashMap<&str, Client> = HashMap::new();
        for line in golden.lines().filter(|line| !line.starts_with('#')) {
            let (name, text) = line[2..].split_once(' ').expect("a client and a text");
            let client = clients.entry(name).or_insert_with(|| server.client());
            if line.starts_with('<') {
                let expected = text.replace('~', "\r\n").replace('^', "~");
                let got = client.raw(expected.len());
                assert_eq!(
                    String::from_utf8_lossy(&got),
                    expected,
                    "at {threads} threads: {line}"
                );
                continue;
            }
            send(client, text);
            if text.starts_with("HELLO") {
                client.reply();
            }
        }
        // What was not read would be something a real server does not send.
        for (name, client) in &mut clients {
            if closed.contains(name) {
                assert_eq!(client.next(), Next::Closed);
            } else {
                assert_eq!(client.ask("ECHO end"), bulk("end"));
            }
        }
    }
}

/// Four publishers pipeline numbers over two channels; all eight subscribers get each publisher's in their order, and
/// every reply counts all of them.
#[test]
fn each_publisher_is_heard_in_its_order_by_all() {
    const MESSAGES: usize = 2_000;
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut subscribers: Vec<Client> = (0..8)
            .map(|index| {
                let mut client = if index % 2 == 0 {
                    server.client()
                } else {
                    resp3(&server)
                };
                match index {
                    0..4 => subscribe(&mut client, "SUBSCRIBE even odd"),
                    _ => subscribe(&mut client, "PSUBSCRIBE *ven od?"),
                }
                client
            })
            .collect();
        std::thread::scope(|scope| {
            for publisher in 0..4 {
                let mut client = server.client();
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    for number in 0..MESSAGES {
                        let channel: &[u8] = [b"even".as_slice(), b"odd"][number % 2];
                        let text = format!("{publisher} {number}");
                        push_request(&mut bytes, &[b"PUBLISH", channel, text.as_bytes()]);
                    }
                    client.send(&bytes);
                    for reply in client.replies(MESSAGES) {
                        assert_eq!(reply, Value::Integer(8));
                    }
                });
            }
            for client in &mut subscribers {
                scope.spawn(move || {
                    let mut next = [0; 4];
                    for _ in 0..4 * MESSAGES {
                        let (channel, text) = message(client);
                        let (publisher, number) = text.split_once(' ').expect("two numbers");
                        let publisher: usize = publisher.parse().expect("a number");
                        let number: usize = number.parse().expect("a number");
                        assert_eq!(number, next[publisher]);
                        assert_eq!(channel, ["even", "odd"][number % 2]);
                        next[publisher] += 1;
                    }
                });
            }
        });
    }
}

/// Messages to very many may wait for the next ones, but none stays behind: publishers that go on only with their replies
/// are heard by a hundred subscribers in their order, and a last message that nothing follows arrives as well. A subscriber
/// that asks for something itself has its answer behind the messages from before.
#[test]
fn what_waits_for_more_messages_is_sent() {
    const MESSAGES: usize = 100;
    const SUBSCRIBERS: usize = 100;
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut subscribers: Vec<Client> = (0..SUBSCRIBERS).map(|_| resp3(&server)).collect();
        for client in &mut subscribers {
            subscribe(client, "SUBSCRIBE all");
        }
        std::thread::scope(|scope| {
            for publisher in 0..4 {
                let mut client = server.client();
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let text = format!("{publisher} {number}");
                        client.send(&request(&[b"PUBLISH", b"all", text.as_bytes()]));
                        assert_eq!(client.reply(), Value::Integer(SUBSCRIBERS as i64));
                    }
                });
            }
        });
        let mut last = server.client();
        send(&mut last, "PUBLISH all last");
        assert_eq!(last.reply(), Value::Integer(SUBSCRIBERS as i64));
        for client in &mut subscribers {
            send(client, "PING");
        }
        for client in &mut subscribers {
            let mut next = [0; 4];
            for _ in 0..4 * MESSAGES {
                let (_, text) = message(client);
                let (publisher, number) = text.split_once(' ').expect("two numbers");
                let publisher: usize = publisher.parse().expect("a number");
                assert_eq!(number, next[publisher].to_string());
                next[publisher] += 1;
            }
            assert_eq!(message(client), ("all".into(), "last".into()));
            assert_eq!(client.reply().text(), "PONG");
        }
    }
}

/// Requests for what was set before a message and after it, in one of three ways, and how many replies they have.
fn look_at_both(way: usize) -> (Vec<u8>, usize) {
    let both = request(&[b"MGET", b"before", b"after"]);
    let mut each = request(&[b"GET", b"before"]);
    push_request(&mut each, &[b"GET", b"after"]);
    match way % 3 {
        0 => (both, 1),
        1 => (each, 2),
        _ => {
            let parts = [request(&[b"MULTI"]), each, request(&[b"EXEC"])];
            (parts.concat(), 4)
        }
    }
}

/// One pipeline of SET, PUBLISH, SET: whoever has the message finds what was set before it, and whoever finds what was
/// set after it has the message.
#[test]
fn a_message_is_in_order_with_what_its_publisher_sets() {
    const ROUNDS: usize = 300;
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut subscribers: Vec<Client> = (0..4).map(|_| resp3(&server)).collect();
        for client in &mut subscribers {
            subscribe(client, "SUBSCRIBE news");
        }
        let mut publisher = server.client();
        std::thread::scope(|scope| {
            for client in &mut subscribers {
                scope.spawn(move || {
                    let number = |value: &Value| match value {
                        Value::Null => 0,
                        value => value.text().parse::<usize>().expect("a number"),
                    };
                    let mut heard = 0;
                    for look in 0.. {
                        if heard >= ROUNDS {
                            break;
                        }
                        let heard_before = heard;
                        let (bytes, replies_count) = look_at_both(look);
                        client.send(&bytes);
                        let mut replies: Vec<(Value, usize)> = Vec::new();
                        while replies.len() < replies_count {
                            match client.reply() {
                                Value::Push(items) => {
                                    heard += 1;
                                    assert_eq!(items[2].text(), heard.to_string());
                                }
                                other => replies.push((other, heard)),
                            }
                        }
                        let (last, heard_then) = replies.pop().expect("replies");
                        let [before, after] = match (&last, replies.pop()) {
                            (Value::Array(items), _) => [number(&items[0]), number(&items[1])],
                            (last, Some((first, _))) => [number(&first), number(last)],
                            other => panic!("{other:?}"),
                        };
                        assert!(before >= heard_before, "{before} < {heard_before}");
                        assert!(after <= heard_then, "{after} > {heard_then}");
                    }
                });
            }
            let mut bytes = Vec::new();
            for round in 1..=ROUNDS {
                let text = round.to_string();
                push_request(&mut bytes, &[b"SET", b"before", text.as_bytes()]);
                push_request(&mut bytes, &[b"PUBLISH", b"news", text.as_bytes()]);
                push_request(&mut bytes, &[b"SET", b"after", text.as_bytes()]);
            }
            publisher.send(&bytes);
            for round in publisher.replies(3 * ROUNDS).chunks(3) {
                assert_eq!(round, [ok(), Value::Integer(4), ok()]);
            }
        });
    }
}

/// A confirmed subscription hears what anyone publishes from then on, an ended one nothing.
#[test]
fn a_subscription_is_in_force_when_it_is_confirmed() {
    let server = Server::start(4, &[]);
    let mut publishers: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let mut subscribers: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for round in 0..6 {
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            let channel = format!("channel{round}{index}");
            subscribe(subscriber, &format!("SUBSCRIBE {channel}"));
            for publisher in &mut publishers {
                let line = format!("PUBLISH {channel} text");
                assert_eq!(publisher.ask(&line), Value::Integer(1));
                // The reply promises that the message is on its way before anything else is.
                send(subscriber, "PING");
                assert_eq!(message(subscriber), (channel.clone(), "text".into()));
                assert_eq!(subscriber.reply().items()[0], bulk("pong"));
            }
            send(subscriber, "UNSUBSCRIBE");
            subscriber.reply();
            for publisher in &mut publishers {
                let line = format!("PUBLISH {channel} text");
                assert_eq!(publisher.ask(&line), Value::Integer(0));
            }
        }
    }
    wait_until_empty(&server);
}

/// Thousands of patterns, of which each channel matches few.
#[test]
fn of_many_patterns_those_that_match_are_heard() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut subscribers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut subscribers {
            let mut bytes = Vec::new();
            for number in 0..1_000 {
                let begins = format!("user:{number}:*");
                let ends = format!("*.{number}");
                push_request(
                    &mut bytes,
                    &[b"PSUBSCRIBE", begins.as_bytes(), ends.as_bytes()],
                );
            }
            client.send(&bytes);
            client.replies(2_000);
        }
        let mut publisher = server.client();
        assert_eq!(publisher.ask("PUBSUB NUMPAT"), Value::Integer(2_000));
        for (channel, count) in [
            ("user:7:x", 4),
            ("user:77", 0),
            ("user:999:.5", 8),
            (".1000", 0),
            ("user:1:user:2:", 4),
        ] {
            let line = format!("PUBLISH {channel} text");
            assert_eq!(publisher.ask(&line), Value::Integer(count), "{channel}");
            for client in &mut subscribers {
                for _ in 0..count / 4 {
                    assert_eq!(message(client).0, channel);
                }
            }
        }
        drop(subscribers);
        wait_until_empty(&server);
        assert_eq!(publisher.ask("PUBLISH user:7:x text"), Value::Integer(0));
    }
}

/// Subscribers come and go in the middle of a stream of messages; those that stay miss nothing, and nothing of the
/// others stays.
#[test]
fn who_vanishes_leaves_nothing_behind() {
    const MESSAGES: usize = 600;
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut faithful: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut faithful {
            subscribe(client, "SUBSCRIBE news");
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for visitor in 0..3 {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut round = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut client = server.client();
                        let line = format!("SUBSCRIBE news other{visitor} third");
                        subscribe(&mut client, &line);
                        subscribe(&mut client, "PSUBSCRIBE n* *s");
                        round += 1;
                        match round % 4 {
                            // Some leave in order, some say so, some just go with a request half sent.
                            0 => send(&mut client, "UNSUBSCRIBE"),
                            1 => send(&mut client, "QUIT"),
                            2 => send(&mut client, "RESET"),
                            _ => client.send(b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nha"),
                        }
                    }
                });
            }
            let mut publisher = server.client();
            for number in 0..MESSAGES {
                let count = publisher.ask(&format!("PUBLISH news {number}")).integer();
                assert!((4..=4 + 3 * 3 * 4).contains(&count), "{count}");
            }
            done.store(true, Ordering::Relaxed);
        });
        for client in &mut faithful {
            for number in 0..MESSAGES {
                assert_eq!(message(client), ("news".into(), number.to_string()));
            }
        }
        drop(faithful);
        wait_until_empty(&server);
        let mut client = server.client();
        assert_eq!(client.ask("PUBLISH news text"), Value::Integer(0));
        assert_eq!(client.ask("PUBSUB CHANNELS"), Value::Array(vec![]));
    }
}

/// Two clients have thousands of subscriptions in common. One vanishes, which takes the server many turns; meanwhile the
/// other leaves in order, then a third, and all lists are right.
#[test]
fn who_had_very_many_subscriptions_is_forgotten_bit_by_bit() {
    const NAMES: usize = 6_000;
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
        let name = |index: usize| format!("{index}:name");
        for client in &mut clients {
            let mut bytes = Vec::new();
            for index in 0..NAMES {
                let channel = name(index);
                let pattern = format!("{channel}*");
                push_request(&mut bytes, &[b"SUBSCRIBE", channel.as_bytes()]);
                push_request(&mut bytes, &[b"PSUBSCRIBE", pattern.as_bytes()]);
            }
            client.send(&bytes);
            client.replies(2 * NAMES);
        }
        let mut publisher = server.client();
        let line = format!("PUBLISH {} text", name(1));
        assert_eq!(publisher.ask(&line), Value::Integer(12));
        drop(clients.split_off(3));
        for client in &mut clients[..2] {
            assert_eq!(message(client).1, "text");
            assert_eq!(message(client).1, "text");
            send(client, "UNSUBSCRIBE");
            for left in (NAMES..2 * NAMES).rev() {
                assert_eq!(client.reply().items()[2], Value::Integer(left as i64));
            }
        }
        eventually("one client is left", || {
            server.info_number("clients", "pubsub_clients") == 3
                && publisher.ask("PUBSUB NUMSUB 5:name").items()[1] == Value::Integer(1)
        });
        // Two are subscribed to the patterns alone.
        assert_eq!(publisher.ask(&line), Value::Integer(4));
        drop(clients);
        wait_until_empty(&server);
        assert_eq!(publisher.ask(&line), Value::Integer(0));
    }
}

/// A subscriber that does not read is cut off at its class's limit; its neighbours miss nothing.
#[test]
fn a_slow_subscriber_is_cut_and_the_others_keep_going() {
    for threads in [1, 4] {
        let limit = "pubsub 2mb 0 0";
        let server = Server::start(threads, &["--client-output-buffer-limit", limit]);
        let mut slow: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let mut quick: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in slow.iter_mut().chain(&mut quick) {
            subscribe(client, "SUBSCRIBE news");
        }
        let text = "x".repeat(64 << 10);
        let mut publisher = server.client();
        // What the kernel takes for them is not counted.
        for number in 0..300 {
            let line = format!("PUBLISH news {number}{text}");
            let count = publisher.ask(&line).integer();
            assert!((4..=8).contains(&count), "{count}");
            for client in &mut quick {
                assert!(message(client).1.starts_with(&number.to_string()));
            }
        }
        assert_eq!(publisher.ask("PUBLISH news end"), Value::Integer(4));
        assert_eq!(server.info_number("clients", "pubsub_clients"), 4);
        let cut = server.info_number("stats", "client_output_buffer_limit_disconnections");
        assert_eq!(cut, 4);
        let log = server.log();
        let lines =
            log.matches(" scheduled to be closed ASAP for overcoming of output buffer limits.");
        assert_eq!(lines.count(), 4, "{log}");
    }
}

/// Over the soft limit for its time is over the limit.
#[test]
fn a_subscriber_that_stays_slow_is_cut() {
    let limit = "pubsub 0 100kb 1";
    let server = Server::start(2, &["--client-output-buffer-limit", limit]);
    let mut slow = server.client();
    subscribe(&mut slow, "SUBSCRIBE news");
    let text = "x".repeat(1 << 20);
    let mut publisher = server.client();
    for _ in 0..20 {
        publisher.ask(&format!("PUBLISH news {text}"));
    }
    eventually("the slow one is gone", || {
        publisher.ask("PUBSUB NUMSUB news").items()[1] == Value::Integer(0)
    });
}

/// RESP3: any command while subscribed, also one that waits; messages come between replies. The connection stays where
/// it is however far its keys are.
#[test]
fn a_resp3_subscriber_goes_on_working() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut publisher = server.client();
        let mut workers: Vec<Client> = (0..4).map(|_| resp3(&server)).collect();
        for client in &mut workers {
            subscribe(client, "SUBSCRIBE news");
        }
        for client in &mut workers {
            let mut bytes = Vec::new();
            for number in 0..3_000 {
                let text = number.to_string();
                push_request(&mut bytes, &[b"SET", b"one key", text.as_bytes()]);
                if number % 100 == 0 {
                    push_request(&mut bytes, &[b"PUBLISH", b"news", b"own"]);
                }
            }
            client.send(&bytes);
        }
        for client in &mut workers {
            let (mut replies_count, mut messages_count) = (0, 0);
            while replies_count < 3_030 || messages_count < 4 * 30 {
                match client.reply() {
                    Value::Push(_) => messages_count += 1,
                    reply => {
                        replies_count += 1;
                        assert!(reply == ok() || reply == Value::Integer(4), "{reply:?}");
                    }
                }
            }
            send(client, "BLPOP queue 0");
        }
        eventually("all wait", || {
            server.info_number("clients", "blocked_clients") == 4
        });
        assert_eq!(publisher.ask("PUBLISH news now"), Value::Integer(4));
        for client in &mut workers {
            assert_eq!(message(client).1, "now");
        }
        publisher.ask("RPUSH queue 1 2 3 4");
        for client in &mut workers {
            assert_eq!(client.reply().items()[0], bulk("queue"));
        }
    }
}

/// CLIENT LIST and KILL know subscribers; `timeout` leaves them alone.
#[test]
fn subscribers_are_a_class_of_clients() {
    let server = Server::start(2, &["--timeout", "1"]);
    let mut idle = server.client();
    idle.ask("PING");
    let mut subscriber = server.client();
    subscribe(&mut subscriber, "SUBSCRIBE a b");
    subscribe(&mut subscriber, "PSUBSCRIBE c*");
    subscribe(&mut subscriber, "SSUBSCRIBE d");
    assert_eq!(idle.next(), Next::Closed);
    let mut other = server.client();
    let list = other.ask("CLIENT LIST TYPE pubsub").text();
    assert_eq!(list.lines().count(), 1);
    assert!(
        list.contains(" flags=P ") && list.contains(" sub=2 psub=1 ssub=1 "),
        "{list}"
    );
    let normal = other.ask("CLIENT LIST TYPE normal").text();
    assert!(!normal.contains("flags=P"), "{normal}");
    assert_eq!(server.info_number("clients", "pubsub_clients"), 1);
    assert_eq!(other.ask("CLIENT KILL TYPE pubsub"), Value::Integer(1));
    assert_eq!(subscriber.next(), Next::Closed);
    wait_until_empty(&server);
}

/// CLIENT PAUSE WRITE holds messages back; the refusal of other commands names the command.
#[test]
fn a_pause_holds_messages_back() {
    let server = Server::start(2, &["--enable-debug-command", "local"]);
    let mut subscriber = server.client();
    subscribe(&mut subscriber, "SUBSCRIBE news");
    assert_eq!(
        subscriber.ask("CLIENT INFO"),
        error(
            "ERR Can't execute 'client|info': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
             in this context"
        )
    );
    // Whose subcommands are not commands to Redis.
    let refused = subscriber.ask("DEBUG SLEEP 0");
    let begin = "ERR Can't execute 'debug': only ";
    assert!(
        matches!(&refused, Value::Error(text) if text.starts_with(begin)),
        "{refused:?}"
    );
    let mut publisher = server.client();
    let mut other = server.client();
    assert_eq!(other.ask("CLIENT PAUSE 60000 WRITE"), ok());
    send(&mut publisher, "PUBLISH news held");
    eventually("the publisher is held back", || {
        server.info_number("clients", "paused_clients") == 1
    });
    subscriber.set_reply_timeout(Duration::from_millis(20));
    assert_eq!(subscriber.try_next(), None);
    assert_eq!(other.ask("CLIENT UNPAUSE"), ok());
    subscriber.set_reply_timeout(Duration::from_secs(30));
    assert_eq!(message(&mut subscriber).1, "held");
    assert_eq!(publisher.reply(), Value::Integer(1));
}

/// A connection that publishes to one other core alone goes there: a hop costs more than the message.
#[test]
fn a_publisher_goes_where_its_subscribers_are() {
    let server = Server::start(2, &[]);
    let mut subscriber = server.client();
    subscribe(&mut subscriber, "SUBSCRIBE news");
    // One on each core, wherever the subscriber is.
    let mut publishers = [server.client(), server.client()];
    let mut sent = 0;
    eventually("a publisher has moved", || {
        let mut bytes = Vec::new();
        for _ in 0..200 {
            push_request(
                &mut bytes,
                &[b"PUBLISH", b"news", sent.to_string().as_bytes()],
            );
            sent += 1;
        }
        for publisher in &mut publishers {
            publisher.send(&bytes);
            assert!(
                publisher
                    .replies(200)
                    .iter()
                    .all(|reply| *reply == Value::Integer(1))
            );
        }
        server.info_number("stats", "connection_moves") > 0
    });
    // Whatever moved, each is heard in its order.
    let mut next = [0, 0];
    while next != [sent, sent] {
        let (_, text) = message(&mut subscriber);
        let number: i32 = text.parse().expect("a number");
        let of = next.iter().position(|next| *next == number);
        next[of.unwrap_or_else(|| panic!("{number} after {next:?}"))] += 1;
    }
}
