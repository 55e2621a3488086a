//! Keyspace notifications: what happens to keys is told as a real server tells it, on one shard and on several.

use super::client::{Client, Value, bulk, ok, request};
use super::harness::{Server, eventually};
use crate::commands::transcript::split_words;
use std::time::Duration;

const GOLDEN: &str = include_str!("golden/events.txt");
const REPLACED: &str = include_str!("golden/events_replaced.txt");
const NEWER: &str = include_str!("golden/events_newer.txt");

fn send(client: &mut Client, words: &[Vec<u8>]) {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    client.send(&request(&words));
}

fn set_events(client: &mut Client, letters: &str) {
    let set = client.ask(&format!("CONFIG SET notify-keyspace-events {letters}"));
    assert_eq!(set, ok());
}

/// The event of a message of the pattern `__keyevent@*`, as the golden file writes it.
fn event(message: &Value) -> String {
    let items = message.items();
    let channel = items[2].text();
    let (head, name) = channel.split_once("__:").expect("an event's channel");
    let db = head.trim_start_matches("__keyevent@");
    let line = format!("! {name} {}", items[3].text());
    if db == "0" {
        line
    } else {
        format!("{line} {db}")
    }
}

/// What a script did is told before what follows it in its client's pipeline, as it is with commands.
#[test]
fn what_a_script_did_is_told_before_what_its_client_says_next() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    set_events(&mut client, "KEA");
    let mut subscriber = server.client();
    subscriber.ask("SUBSCRIBE sent");
    subscriber.ask("PSUBSCRIBE __keyevent@0__:*");
    let set: &[&[u8]] = &[b"EVAL", b"return redis.call('SET', 'a', '1')", b"0"];
    for _ in 0..50 {
        let publish: &[&[u8]] = &[b"PUBLISH", b"sent", b"x"];
        client.send(&[request(set), request(publish), request(set)].concat());
        assert_eq!(client.replies(3), [ok(), Value::Integer(1), ok()]);
        let heard = [(); 3].map(|()| subscriber.reply().items().len());
        // The event, to a pattern; the message; the event.
        assert_eq!(heard, [4, 3, 4]);
    }
}

/// What a subscriber to `sent` and to all events hears next.
fn heard(subscriber: &mut Client) -> String {
    let message = subscriber.reply();
    match message.items() {
        [_, _, text] => text.text(),
        _ => event(&message),
    }
}

/// Somebody who waits for `q`, and is subscribed to `sent`; who serves him; who hears of it.
struct Served {
    server: Server,
    waits: Client,
    serves: Client,
    hears: Client,
}

impl Served {
    fn start(threads: usize) -> Self {
        let server = Server::start(threads, &[]);
        set_events(&mut server.client(), "KEA");
        let [mut serves, mut hears, mut waits] = [(); 3].map(|()| server.client());
        // The first key that a client asks for has it taken to that key's core, where there is room: no other is there.
        serves.ask("EXISTS q");
        serves.ask("HELLO 3");
        hears.ask("SUBSCRIBE sent");
        hears.ask("PSUBSCRIBE __keyevent@0__:*");
        waits.ask("HELLO 3");
        waits.ask("SUBSCRIBE sent");
        Self {
            server,
            waits,
            serves,
            hears,
        }
    }

    /// Serves him, and says `next` in the same breath: he gets his reply, and all of it is heard.
    fn serve(&mut self, by: &[u8], next: &[&[u8]]) {
        send(&mut self.waits, &split_words("BLPOP q 0"));
        eventually("it waits", || {
            self.server.info_number("clients", "blocked_clients") == 1
        });
        self.serves.send(&[by, &request(next)].concat());
        assert_eq!(self.serves.reply(), Value::Integer(1));
        let served = Value::Array(vec![bulk("q"), bulk("a")]);
        assert_eq!(self.waits.reply(), served, "{next:?}");
        for wanted in ["! rpush q", "! lpop q", "! del q"] {
            assert_eq!(heard(&mut self.hears), wanted, "{next:?}");
        }
    }
}

/// A request that serves somebody who waits leaves nothing untold when the next one of the same pipeline says something to
/// others, asks what has become of them, or changes who is told what. Both run on the core of the key.
#[test]
fn what_a_request_did_is_told_before_its_client_says_or_changes_more() {
    let push = request(&[b"RPUSH", b"q", b"a"]);
    let script = b"return redis.call('RPUSH', KEYS[1], 'a')";
    let eval = request(&[b"EVAL", script, b"1", b"q"]);
    for (threads, by) in [1, 2, 7].into_iter().flat_map(|n| [(n, &push), (n, &eval)]) {
        let mut served = Served::start(threads);
        served.serve(by, &[b"PUBLISH", b"sent", b"x"]);
        assert_eq!(served.serves.reply(), Value::Integer(2));
        assert_eq!(heard(&mut served.hears), "x", "at {threads} threads");
        // Behind what he waited for.
        assert_eq!(served.waits.reply().items()[2], bulk("x"));

        let id = served.waits.ask("CLIENT ID").integer().to_string();
        served.serve(by, &[b"CLIENT", b"UNBLOCK", id.as_bytes()]);
        assert_eq!(served.serves.reply(), Value::Integer(0));

        served.serve(by, &[b"CONFIG", b"SET", b"notify-keyspace-events", b""]);
        assert_eq!(served.serves.reply(), ok());
        set_events(&mut served.serves, "KEA");

        served.serves.ask("CLIENT TRACKING ON");
        served.serves.ask("LLEN q");
        served.serve(by, &[b"CLIENT", b"TRACKING", b"OFF"]);
        let forgets = Value::Push(vec![bulk("invalidate"), Value::Array(vec![bulk("q")])]);
        assert_eq!(served.serves.replies(2), [forgets, ok()]);

        served.serve(by, &[b"PSUBSCRIBE", b"__keyevent@0__:*"]);
        assert_eq!(served.serves.reply().items()[0], bulk("psubscribe"));
        served.server.client().ask("SET end 1");
        for hears in [&mut served.serves, &mut served.hears] {
            assert_eq!(event(&hears.reply()), "! set end");
        }
    }
}

/// The same of a script that serves nobody, and what its own client is told comes right behind its reply.
#[test]
fn what_a_script_did_is_told_before_its_client_changes_who_is_told() {
    let script = b"return redis.call('SET', KEYS[1], '1')";
    let eval = request(&[b"EVAL", script, b"1", b"k"]);
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        client.ask("EXISTS k");
        set_events(&mut client, "KEA");
        client.ask("HELLO 3");
        client.ask("CLIENT TRACKING ON");
        let forgets = Value::Push(vec![bulk("invalidate"), Value::Array(vec![bulk("k")])]);
        for next in ["PING", "CLIENT TRACKING OFF"] {
            client.ask("GET k");
            client.send(&eval);
            send(&mut client, &split_words(next));
            assert_eq!(client.replies(2), [ok(), forgets.clone()], "{next}");
            client.reply();
        }
        let mut subscriber = server.client();
        subscriber.ask("PSUBSCRIBE __keyevent@0__:*");
        let silence: &[&[u8]] = &[b"CONFIG", b"SET", b"notify-keyspace-events", b""];
        client.send(&[&eval[..], &request(silence)].concat());
        assert_eq!(client.replies(2), [ok(), ok()]);
        assert_eq!(event(&subscriber.reply()), "! set k");
        set_events(&mut client, "KEA");
        let subscribe: &[&[u8]] = &[b"PSUBSCRIBE", b"__keyevent@0__:*"];
        client.send(&[&eval[..], &request(subscribe)].concat());
        assert_eq!(client.reply(), ok());
        assert_eq!(client.reply().items()[0], bulk("psubscribe"));
        assert_eq!(event(&subscriber.reply()), "! set k");
        server.client().ask("SET end 1");
        for hears in [&mut client, &mut subscriber] {
            assert_eq!(event(&hears.reply()), "! set end");
        }
    }
}

/// One line of the golden file that does something, and the events that follow.
struct Step<'g> {
    line: &'g str,
    events: Vec<&'g str>,
}

fn steps(golden: &'static str) -> Vec<Step<'static>> {
    let mut steps: Vec<Step<'static>> = Vec::new();
    for line in golden.lines() {
        match line.as_bytes().first() {
            None | Some(b'#') => {}
            Some(b'!') => steps.last_mut().expect("a step").events.push(line),
            Some(_) => steps.push(Step {
                line,
                events: Vec::new(),
            }),
        }
    }
    steps
}

/// Every command's events are a real server's, in its order; where a command's parts run on several shards, for each key.
/// An event that should not have come is found where the next ones are compared.
#[test]
fn commands_tell_what_a_real_server_tells() {
    replay(GOLDEN, "KEAmn", &["! new end", "! set end"]);
}

/// The same of what a value says that takes another's place.
#[test]
fn what_is_replaced_is_told_beside_what_replaces_it() {
    replay(REPLACED, "KEAoc", &["! set end"]);
}

/// The same of commands that are newer than the server the others were recorded from.
#[test]
fn newer_commands_tell_by_their_own_names() {
    replay(NEWER, "KEA", &["! set end"]);
}

/// - `last`: the events of one more SET.
fn replay(golden: &'static str, letters: &str, last: &[&str]) {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--enable-debug-command", "yes"]);
        let mut client = server.client();
        set_events(&mut client, letters);
        let mut subscriber = server.client();
        send(&mut subscriber, &split_words("PSUBSCRIBE __keyevent@*__:*"));
        subscriber.reply();
        let mut waiting = Vec::new();
        for Step { line, events } in steps(golden) {
            let words = split_words(&line[1..]);
            match line.as_bytes()[0] {
                b'&' => {
                    waiting.push(server.client());
                    let waits = waiting.last_mut().expect("just pushed");
                    send(waits, &words);
                    eventually("it waits", || {
                        server.info_number("clients", "blocked_clients") == 1
                    });
                }
                // What it waits for comes after 30 ms, and here nothing says so.
                b'@' if events.is_empty() => std::thread::sleep(Duration::from_millis(60)),
                b'@' => {}
                _ => {
                    send(&mut client, &words);
                    client.reply();
                }
            }
            let mut got: Vec<String> = events.iter().map(|_| event(&subscriber.reply())).collect();
            let mut wanted: Vec<&str> = events;
            if threads > 1 && line.starts_with('~') {
                // Stable: the order of each key's stays.
                let key = |event: &str| event.split(' ').nth(2).map(str::to_string);
                got.sort_by_key(|event| key(event));
                wanted.sort_by_key(|event| key(event));
            }
            assert_eq!(got, wanted, "{line} at {threads} threads");
        }
        // Nothing is left.
        send(&mut client, &split_words("SET end 1"));
        for wanted in last {
            assert_eq!(event(&subscriber.reply()), *wanted, "at {threads} threads");
        }
    }
}

/// An event has two channels: the key's comes first. Letters choose among classes, and without K and E nothing is told.
#[test]
fn letters_choose_what_is_told() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut subscriber = server.client();
        send(&mut subscriber, &split_words("PSUBSCRIBE *"));
        subscriber.reply();
        let mut told = |client: &mut Client, letters: &str| {
            set_events(client, letters);
            client.ask("SET k v");
            client.ask("LPUSH l v");
            client.ask("ARSET a 0 v");
            client.ask("DEL k l a");
            client.ask("PUBLISH end x");
            let mut told = Vec::new();
            loop {
                let message = subscriber.reply();
                let items = message.items();
                if items[2].text() == "end" {
                    told.sort();
                    return told;
                }
                told.push(format!("{} {}", items[2].text(), items[3].text()));
            }
        };
        if threads > 1 {
            // Between shards there is no order but that of each link: an event may come after what follows it.
            continue;
        }
        assert_eq!(told(&mut client, "A"), [""; 0]);
        assert_eq!(told(&mut client, "K"), [""; 0]);
        assert_eq!(
            told(&mut client, "K$"),
            ["__keyspace@0__:k set"],
            "strings alone"
        );
        assert_eq!(told(&mut client, "Ka"), ["__keyspace@0__:a arset"]);
        assert_eq!(
            told(&mut client, "Elg"),
            [
                "__keyevent@0__:del a",
                "__keyevent@0__:del k",
                "__keyevent@0__:del l",
                "__keyevent@0__:lpush l"
            ]
        );
        assert_eq!(
            told(&mut client, "KEn"),
            [
                "__keyevent@0__:new a",
                "__keyevent@0__:new k",
                "__keyevent@0__:new l",
                "__keyspace@0__:a new",
                "__keyspace@0__:k new",
                "__keyspace@0__:l new"
            ]
        );
    }
}

/// A client that is told of its own requests gets the reply first, wherever its keys live.
#[test]
fn the_reply_comes_before_what_it_caused() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        set_events(&mut client, "E$");
        client.ask("HELLO 3");
        client.ask("PSUBSCRIBE __key*");
        for index in 0..20 {
            assert_eq!(client.ask(&format!("SET k{index} v")), ok());
            let message = client.reply();
            assert_eq!(message.items()[3].text(), format!("k{index}"));
        }
    }
}
