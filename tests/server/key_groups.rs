//! Keys that live together because of how they begin: served without hops, and found again when that has changed.

use super::client::{Client, Value, bulk, ok};
use super::harness::{Server, run_to_end};

/// A queue's scripts do not leave the core of the queue, by its library's own names.
#[test]
fn the_scripts_of_a_queue_keep_to_one_core() {
    let server = Server::start(7, &[]);
    for queue in ["bull:mails", "bq:mails", "rsmq:mails", "queues:mails"] {
        let mut client = server.client();
        assert_eq!(client.ask(&format!("LPUSH {queue}:first 1")).integer(), 1);
        let before = server.info_number("stats", "hops");
        let script = "local sum = 0
            for i = 1, #KEYS do sum = sum + redis.call('incr', KEYS[i]) end
            for i = 1, 9 do sum = sum + redis.call('incr', ARGV[1] .. ':undeclared' .. i) end
            return sum";
        for round in 1..=20 {
            let keys: Vec<String> = (0..9).map(|key| format!("{queue}:{key}")).collect();
            let mut words = vec!["EVAL", script, "9"];
            words.extend(keys.iter().map(String::as_str));
            words.push(queue);
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(client.run(&words), Value::Integer(18 * round));
        }
        assert_eq!(server.info_number("stats", "hops"), before, "{queue}");
    }
    assert_eq!(server.info_number("stats", "transactions"), 0);
}

fn write(client: &mut Client, keys: &[String], round: usize) {
    let pairs: Vec<String> = keys.iter().map(|key| format!("{key} {round}")).collect();
    assert_eq!(client.ask(&format!("MSET {}", pairs.join(" "))), ok());
    client.ask("MULTI");
    for key in keys {
        client.ask(&format!("INCRBY {key} 100"));
    }
    assert_eq!(client.ask("EXEC").items().len(), keys.len());
    for key in keys {
        assert_eq!(
            client.ask(&format!("RPUSH {key}:list {round}")).integer(),
            round as i64 + 1
        );
    }
}

/// Logs after a kill, compacted and not, and snapshots, each by other groups or on other cores than the start before.
#[test]
fn a_start_with_other_groups_finds_every_key() {
    let logged = &["--appendonly", "yes", "--appendfsync", "always"][..];
    for options in [logged, &["--save", ""][..]] {
        let is_logged = options.len() == 4;
        let start = |groups| {
            let debug = ["--enable-debug-command", "local", "--key-groups", groups];
            [options, &debug].concat()
        };
        let mut server = Server::start(3, &start(""));
        let mut client = server.client();
        let names = ["a:1", "a:2", "a:3", "b", "c/", "d"];
        let keys = names.map(|name| (0..6).map(move |rest| format!("{name}:{rest}")));
        let keys: Vec<String> = keys.into_iter().flatten().collect();
        let rounds = [
            (3, "a:*"),
            (3, "a:* b"),
            (3, "b"),
            (6, "b"),
            (2, "c/*"),
            (1, "a"),
            (3, ""),
            (3, "a:* b c/*"),
        ];
        for (round, (threads, groups)) in rounds.into_iter().enumerate() {
            write(&mut client, &keys, round);
            if !is_logged {
                assert_eq!(client.ask("SAVE"), ok());
            } else if round % 3 == 1 {
                client.ask("BGREWRITEAOF");
                super::harness::eventually("the rewriting", || {
                    server.info_number("persistence", "aof_rewrite_in_progress") == 0
                });
                client.ask("INCR after");
            }
            let digest = client.ask("DEBUG DIGEST");
            server.signal("KILL");
            assert!(server.restart(threads, &start(groups)), "{}", server.log());
            client = server.client();
            let told = client.ask("CONFIG GET key-groups").items()[1].clone();
            assert_eq!(told, bulk(groups));
            assert_eq!(client.ask("DEBUG DIGEST"), digest, "{threads} {groups}");
            for key in &keys {
                let reply = client.ask(&format!("GET {key}"));
                assert_eq!(reply, bulk((100 + round).to_string()), "{key} {groups}");
            }
        }
    }
}

#[test]
fn what_is_no_group_is_refused() {
    let (status, said) = run_to_end(&["--port", "0", "--key-groups", "a b*c"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("'b*c' is not what keys begin with"), "{said}");
    let server = Server::start(1, &[]);
    let Value::Error(text) = server.client().ask("CONFIG SET key-groups a") else {
        panic!("it cannot be set");
    };
    assert!(text.contains("settled once"), "{text}");
}
