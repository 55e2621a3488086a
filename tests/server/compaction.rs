//! Active defragmentation on the built server: what churn leaves half empty goes back, and nothing else changes.

use super::client::{Value, ok, push_request};
use super::harness::{Server, eventually};

/// Values of every type and size come, most go at random places, and the rest moves together.
#[test]
fn what_is_left_after_churn_moves_together() {
    for threads in [1, 3] {
        let off = ["--activedefrag", "no", "--active-defrag-ignore-bytes", "1"];
        let server = Server::start(threads, &off);
        let mut client = server.client();
        const KEYS: usize = 12_000;
        let (mut batch, mut count) = (Vec::new(), 0);
        let mut say = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            push_request(&mut batch, &words);
            count += 1;
        };
        for number in 0..KEYS {
            let long = "x".repeat(number % 3000);
            say(&["SET", &format!("text:{number}"), &long]);
            let word = &long[..number % 60];
            say(&["RPUSH", &format!("list:{}", number % 900), word, "b"]);
            say(&["HSET", &format!("hash:{}", number % 900), word, "b"]);
            say(&[
                "SADD",
                &format!("set:{}", number % 900),
                word,
                &number.to_string(),
            ]);
            say(&[
                "ZADD",
                &format!("zset:{}", number % 900),
                "1",
                &format!("{word}{number}"),
            ]);
            say(&[
                "XADD",
                &format!("stream:{}", number % 900),
                &format!("{}-1", number + 1),
                word,
                "v",
            ]);
        }
        for number in (0..KEYS).filter(|number| number % 7 > 1) {
            say(&["DEL", &format!("text:{number}")]);
            for kind in ["list", "hash", "set", "zset", "stream"] {
                say(&["DEL", &format!("{kind}:{number}")]);
            }
        }
        client.send(&batch);
        client.replies(count);
        let digest = client.ask("DEBUG DIGEST");
        assert_eq!(server.info_number("stats", "active_defrag_hits"), 0);
        assert_eq!(
            client.ask("CONFIG SET active-defrag-threshold-lower 1 activedefrag yes"),
            ok()
        );
        eventually("values move", || {
            server.info_number("stats", "active_defrag_hits") > 100
        });
        eventually("it rests", || {
            server.info_number("memory", "active_defrag_running") == 0
        });
        assert_eq!(client.ask("DEBUG DIGEST"), digest);
        assert_eq!(client.ask("CONFIG SET activedefrag no"), ok());
    }
}

/// Each size has a page of its own, and one value in it: no walk can bring them together, but what is free in the pages goes.
#[test]
fn what_no_walk_brings_together_goes_back() {
    let off = ["--activedefrag", "no", "--active-defrag-ignore-bytes", "1"];
    let server = Server::start(1, &off);
    let mut client = server.client();
    let next = |bytes: &usize| Some(bytes * 9 / 8).filter(|&bytes| bytes < 100_000);
    let sizes: Vec<usize> = std::iter::successors(Some(11_000), next).collect();
    let value = vec![b'x'; 100_000];
    for (class, &bytes) in sizes.iter().enumerate() {
        for number in 0..8 {
            let name = format!("{class}:{number}");
            assert_eq!(
                client.run(&[b"SET", name.as_bytes(), &value[..bytes]]),
                ok()
            );
        }
    }
    for class in 0..sizes.len() {
        for number in 1..8 {
            client.ask(&format!("DEL {class}:{number}"));
        }
    }
    let freed_bytes = sizes.iter().sum::<usize>() as u64 * 7;
    let before = server.memory_bytes("RssAnon");
    client.ask("CONFIG SET active-defrag-threshold-lower 1 activedefrag yes");
    eventually("most of it goes back", || {
        server.memory_bytes("RssAnon") + freed_bytes / 2 < before
    });
    for (class, &bytes) in sizes.iter().enumerate() {
        let name = format!("{class}:0");
        assert_eq!(
            client.ask(&format!("GET {name}")),
            Value::Bulk(value[..bytes].to_vec())
        );
    }
}
