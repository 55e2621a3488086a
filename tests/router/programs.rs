use super::instant::Instant;
use rondo::keyspace::Classes;
use rondo::keyspace::events::Event;
use rondo::router::Plan;

/// Keys on two different shards, for each number of shards.
fn apart(server: &Instant) -> (String, String) {
    let first = "k0".to_string();
    let home = server.map.shard_of(first.as_bytes());
    let second = (1..100)
        .map(|number| format!("k{number}"))
        .find(|key| server.map.shard_of(key.as_bytes()) != home)
        .expect("shards share the keys");
    (first, second)
}

fn each_server(check: impl Fn(&mut Instant, &str, &str)) {
    for shards_count in [2, 3, 7] {
        let mut server = Instant::new(shards_count);
        let (first, second) = apart(&server);
        assert_ne!(Plan::Many, Plan::Here);
        check(&mut server, &first, &second);
    }
}

/// What `say` gives for a line in which A and B stand for the two keys.
fn check_lines(server: &mut Instant, a: &str, b: &str, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| match word {
                "A" => a,
                "B" => b,
                other => other,
            })
            .collect();
        let got = server.say(&words.join(" ")).replace(a, "A").replace(b, "B");
        assert_eq!(got, *expected, "{line}");
    }
}

#[test]
fn rename_moves_the_value_with_its_deadline() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("RENAME A B", "-ERR no such key"),
                ("SET A x PX 5000", "+OK"),
                ("SET B y", "+OK"),
                ("RENAME A B", "+OK"),
                ("EXISTS A", ":0"),
                ("GET B", "\"x\""),
                ("PTTL B", ":5000"),
                ("DBSIZE", ":1"),
            ],
        );
    });
}

#[test]
fn renamenx_leaves_a_taken_name_alone() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("SET B y", "+OK"),
                ("RENAMENX A B", "-ERR no such key"),
                ("SET A 12 PX 5000", "+OK"),
                ("RENAMENX A B", ":0"),
                ("MGET A B", "*2 \"12\" \"y\""),
                ("DEL B", ":1"),
                ("RENAMENX A B", ":1"),
                ("MGET A B", "*2 $-1 \"12\""),
                ("OBJECT ENCODING B", "\"int\""),
                ("PTTL B", ":5000"),
            ],
        );
    });
}

#[test]
fn copy_keeps_the_source_and_heeds_its_options() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("COPY A B", ":0"),
                ("SET A x PX 5000", "+OK"),
                ("COPY A B", ":1"),
                ("PTTL B", ":5000"),
                ("SET A z", "+OK"),
                ("COPY A B", ":0"),
                ("GET B", "\"x\""),
                ("COPY A B REPLACE", ":1"),
                ("GET B", "\"z\""),
                ("TTL B", ":-1"),
                ("COPY A B DB 15", ":1"),
                ("COPY A B DB 16", "-ERR DB index is out of range"),
                ("COPY A B DB 70000", "-ERR DB index is out of range"),
                ("COPY A B DB -1", "-ERR DB index is out of range"),
                (
                    "COPY A B DB x",
                    "-ERR value is not an integer or out of range",
                ),
                ("COPY A B DB", "-ERR syntax error"),
                ("COPY A B NOW", "-ERR syntax error"),
                ("MGET A B", "*2 \"z\" \"z\""),
            ],
        );
        server.db = 15;
        check_lines(server, a, b, &[("GET B", "\"z\""), ("EXISTS A", ":0")]);
    });
}

#[test]
fn msetnx_writes_all_or_nothing() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                (
                    "MSETNX A 1 B",
                    "-ERR wrong number of arguments for 'msetnx' command",
                ),
                ("MSETNX A 1 B 2 A 3", ":1"),
                ("MGET A B", "*2 \"3\" \"2\""),
                ("DEL A", ":1"),
                ("MSETNX A 4 B 5", ":0"),
                ("MGET A B", "*2 $-1 \"2\""),
            ],
        );
    });
}

#[test]
fn msetex_decides_over_all_shards() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("MSETEX 2 A 1 B 2 XX", ":0"),
                ("EXISTS A B", ":0"),
                ("MSETEX 2 A 1 B 2 NX EX 10", ":1"),
                ("PTTL A", ":10000"),
                ("PTTL B", ":10000"),
                ("MSETEX 2 A 3 B 4 NX", ":0"),
                ("MSETEX 2 A 3 B 4 KEEPTTL xx", ":1"),
                ("MGET A B A", "*3 \"3\" \"4\" \"3\""),
                ("PTTL B", ":10000"),
                ("MSETEX 2 A 5 B 6", ":1"),
                ("TTL B", ":-1"),
                ("DEL A", ":1"),
                ("MSETEX 2 A 5 B 6 XX", ":0"),
                (
                    "MSETEX 2 A 5 B 6 EX 0 XX",
                    "-ERR invalid expire time in 'msetex' command",
                ),
                (
                    "MSETEX 2 A 5 B 6 EX 0",
                    "-ERR invalid expire time in 'msetex' command",
                ),
                ("MSETEX 2 A 5 B 6 NX XX", "-ERR syntax error"),
                ("EXISTS A", ":0"),
            ],
        );
    });
}

#[test]
fn split_commands_keep_the_order_of_their_words() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("MSET A 1 B 2 A 3", "+OK"),
                ("MGET B A none B", "*4 \"2\" \"3\" $-1 \"2\""),
                ("EXISTS A B A none", ":3"),
                ("TOUCH A B", ":2"),
                (
                    "MSET A 1 B",
                    "-ERR wrong number of arguments for 'mset' command",
                ),
                ("DEL A A B", ":2"),
                ("MGET A B", "*2 $-1 $-1"),
            ],
        );
    });
}

#[test]
fn lcs_reads_two_shards() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("LCS A B", "\"\""),
                ("MSET A ohmytext B mynewtext", "+OK"),
                ("LCS A B", "\"mytext\""),
                ("LCS A B LEN", ":6"),
                (
                    "LCS A B LEN IDX",
                    "-ERR If you want both the length and indexes, please just use IDX.",
                ),
            ],
        );
    });
}

#[test]
fn randomkey_finds_the_only_key_and_says_when_there_is_none() {
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("RANDOMKEY", "$-1"),
                ("SET B 1", "+OK"),
                ("RANDOMKEY", "\"B\""),
                ("SET A 1 PX 10", "+OK"),
            ],
        );
        server.wait(20);
        // The key that is past its deadline still counts where it lives; it is never named.
        for _ in 0..20 {
            check_lines(server, a, b, &[("RANDOMKEY", "\"B\"")]);
        }
        check_lines(server, a, b, &[("DEL B", ":1"), ("RANDOMKEY", "$-1")]);
    });
}

#[test]
fn randomkey_is_fair_to_shards() {
    let mut server = Instant::new(3);
    let mut seen = std::collections::HashMap::new();
    for number in 0..30 {
        server.say(&format!("SET key{number} x"));
    }
    for _ in 0..3_000 {
        *seen.entry(server.say("RANDOMKEY")).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 30);
    // 100 of each are expected; the seeds are fixed, so the bounds cannot fail by chance.
    assert!(
        seen.values().all(|&count| (50..170).contains(&count)),
        "{seen:?}"
    );
}

// Either key may be on the shard that is asked first.
#[test]
fn of_two_errors_in_streams_the_first_keys_is_told() {
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    let wrong_id = "-ERR Invalid stream ID specified as stream command argument";
    let no_group = |key: &str| {
        format!(
            "-NOGROUP No such key '{key}' or consumer group 'g' in XREADGROUP with GROUP option"
        )
    };
    each_server(|server, a, b| {
        check_lines(
            server,
            a,
            b,
            &[
                ("SET A x", "+OK"),
                ("XREAD STREAMS A B 0 wrong", wrong_type),
                ("XREAD STREAMS B A wrong 0", wrong_id),
                ("XREAD BLOCK 10 STREAMS A B 0 wrong", wrong_type),
                ("XREAD BLOCK 10 STREAMS B A wrong 0", wrong_id),
                ("XREADGROUP GROUP g c STREAMS A B > >", wrong_type),
                ("XREADGROUP GROUP g c STREAMS B A > >", &no_group("B")),
                ("DEL A", ":1"),
                ("XREADGROUP GROUP g c STREAMS A B > >", &no_group("A")),
                ("XREADGROUP GROUP g c STREAMS B A > >", &no_group("B")),
            ],
        );
    });
}

/// Large values among small ones, each on any shard: replies are those of one shard, wherever the command runs.
#[test]
fn a_large_value_stays_where_it_is_and_the_reply_is_the_same() {
    let lines = [
        "SINTERCARD 3 LARGE small other",
        "SINTERCARD 3 small LARGE other",
        "SINTERCARD 2 LARGE larger",
        "SINTERCARD 2 larger LARGE",
        "SDIFF small LARGE",
        "SINTER other small LARGE larger",
        "SINTERSTORE dst small LARGE",
        "SINTERSTORE dst LARGE larger",
        "SINTER LARGE text",
        "SINTER missing LARGE",
        "ZINTERCARD 2 small LARGE",
        "ZINTER 3 zset LARGE small WITHSCORES",
        "ZUNIONSTORE dst 2 zset small",
        "ZDIFF 2 zset LARGE WITHSCORES",
        "SINTERCARD 2 LARGE LARGE",
        "SUNIONCARD 3 LARGE larger small",
        "SDIFFSTORE dst LARGE larger",
        "SUNIONSTORE dst larger small",
        "SDIFFSTORE dst larger LARGE larger",
        "SDIFFSTORE dst larger LARGE larger",
        "ZRANGESTORE dst LARGEZ 10 20",
        "ZRANGESTORE small2 LARGEZ (100 200 BYSCORE LIMIT 1 5",
        "ZRANGESTORE text LARGEZ 5000 6000",
        "ZDIFFSTORE dst 2 LARGEZ zset",
        "ZINTERSTORE zset 2 LARGEZ zset WEIGHTS 2 3",
        "ZUNIONSTORE dst 2 zset LARGEZ AGGREGATE MAX",
        "ZUNIONSTORE dst 2 list LARGEZ",
        "GEOSEARCHSTORE dst LARGEZ FROMLONLAT 0 0 BYRADIUS 1 KM",
        "GEORADIUS LARGEZ 0 0 20000 KM COUNT 3 STORE dst",
        "BITOP AND dst BITS bits",
        "BITOP NOT bits BITS",
        "BITOP AND bits bits bits2 BITS",
        "BITOP OR missing nothing BITS",
        "SORT LARGE ALPHA LIMIT 5 3 STORE dst",
        "SORT small ALPHA BY * STORE dst",
        "SORT small BY weight* GET # GET weight* STORE dst",
        "SORT small BY weight* STORE weightgone",
        "SORT missing STORE dst",
        "SORT small STORE dst",
        "SORT list STORE list",
        "SINTERSTORE small small LARGE",
        "SINTERSTORE small text LARGE",
        "SINTERSTORE LARGE small LARGE",
    ];
    let seen = [
        "SORT dst BY nosort",
        "ZRANGE dst 0 -1 WITHSCORES",
        "GET dst",
        "SMEMBERS small",
        "ZRANGE zset 0 -1 WITHSCORES",
        "ZRANGE small2 0 -1 WITHSCORES",
        "GET bits",
        "TTL dst",
        "DBSIZE",
        "TYPE dst",
        "LRANGE list 0 -1",
        "LRANGE weightgone 0 -1",
        "EXISTS dst small text zset bits small2 missing",
        "OBJECT ENCODING dst",
        "OBJECT ENCODING small",
        "SCARD LARGE",
        "SCARD larger",
        "ZCARD LARGEZ",
        "STRLEN BITS",
    ];
    let fill = |server: &mut Instant| {
        for (key, from, to) in [("LARGE", 0, 4_000), ("larger", 1_000, 6_000)] {
            for start in (from..to).step_by(500) {
                let members: Vec<String> = (start..start + 500)
                    .map(|number| format!("member{number}"))
                    .collect();
                server.say(&format!("SADD {key} {}", members.join(" ")));
            }
        }
        for start in (0..3_000).step_by(500) {
            let members: Vec<String> = (start..start + 500)
                .map(|number| format!("{number} member{number}"))
                .collect();
            server.say(&format!("ZADD LARGEZ {}", members.join(" ")));
        }
        server.say(&format!("SET BITS {}", "b".repeat(50_000)));
        server.say("MSET bits some weightmember1 2 weightgone 1");
        server.say("SET bits2 others");
        server.say("RPUSH list 1");
        server.say("SET dst old EX 100");
        server.say("SADD small member1 member1500 gone");
        server.say("SADD other member1500 member1");
        server.say("ZADD zset 3 member1 4 member1500 5 gone");
        server.say("SET text 1");
    };
    let sorted = |reply: String| {
        let mut words: Vec<String> = reply.split(' ').map(str::to_string).collect();
        words.sort();
        words
    };
    let told = |server: &mut Instant| -> Vec<Event> {
        let shards = server.shards.iter_mut();
        let mut told: Vec<_> = shards.flat_map(|shard| shard.keys.take_events()).collect();
        told.retain(|event| event.name != "keymiss"); // Whoever looks twice tells twice.
        told
    };
    for shards_count in [2, 3, 5, 7, 16] {
        let (mut one, mut server) = (Instant::new(1), Instant::new(shards_count));
        for server in [&mut one, &mut server] {
            fill(server);
            let everything = Classes::parse("AKEn").expect("classes");
            for shard in &mut server.shards {
                shard.keys.set_shown_events(everything);
            }
        }
        for line in lines {
            let at = format!("{line} at {shards_count} shards");
            let (got, want) = (server.say(line), one.say(line));
            assert_eq!(sorted(got), sorted(want), "{at}");
            assert_eq!(told(&mut server), told(&mut one), "{at}");
            for look in seen {
                let (got, want) = (server.say(look), one.say(look));
                assert_eq!(sorted(got), sorted(want), "{look} after {at}");
            }
            told(&mut server);
            told(&mut one);
        }
    }
}

/// A client that waits for a list at `a` is asked for only once somebody has looked there, and by then `a` may be no list: it
/// goes on waiting, as it would have gone on if the list had never been. What is wrong with `b` it is told.
#[test]
fn who_has_waited_for_a_list_is_not_told_that_the_key_is_none() {
    each_server(|server, a, b| {
        let moves = [
            (format!("LMOVE {a} {b} LEFT RIGHT"), &b"$-1\r\n"[..]),
            (format!("RPOPLPUSH {a} {b}"), b"$-1\r\n"),
            (format!("LMOVEM {a} {b} LEFT RIGHT"), b"$-1\r\n"),
        ];
        for (line, nothing) in moves {
            check_lines(server, a, b, &[("ZADD A 1 member", ":1")]);
            let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
            assert_eq!(server.say(&line), wrong);
            assert_eq!(server.asked(&line), nothing, "{line}");
            check_lines(server, a, b, &[("DEL A", ":1"), ("SET B text", "+OK")]);
            assert_eq!(server.asked(&line), nothing, "{line}");
            check_lines(server, a, b, &[("RPUSH A 1", ":1")]);
            assert_eq!(server.asked(&line), format!("{wrong}\r\n").as_bytes());
            check_lines(server, a, b, &[("LLEN A", ":1"), ("DEL A B", ":2")]);
        }
    });
}
