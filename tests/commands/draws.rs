//! Negative counts: each draw is from all. Huge ones, which Redis answers until its memory ends.

use super::runner::Runner;
use crate::ds::{chi_square, size};
use rondo::keyspace::KeyspaceOptions;

const OUT_OF_RANGE: &str = "-ERR value is out of range";

#[test]
fn more_draws_than_a_reply_may_hold_are_refused() {
    let options = KeyspaceOptions {
        value_bytes_max: 1000,
        ..KeyspaceOptions::for_tests(1)
    };
    let mut runner = Runner::with_options(options);
    runner.say("SADD set m");
    runner.say("HSET hash m v");
    runner.say("ZADD zset 1 m");
    for request in ["SRANDMEMBER set", "HRANDFIELD hash", "ZRANDMEMBER zset"] {
        // `*100` and a hundred times seven bytes.
        let all = runner.run(&words(&format!("{request} -100")));
        assert_eq!(all.len(), 6 + 700, "{request}");
        assert_eq!(
            all,
            [b"*100\r\n".as_slice(), &b"$1\r\nm\r\n".repeat(100)].concat()
        );
        for count in ["-143", "-1000", "-9223372036854775807"] {
            let request = format!("{request} {count}");
            assert_eq!(runner.say(&request), OUT_OF_RANGE, "{request}");
        }
        let range = "value must between -9223372036854775807 and 9223372036854775807";
        let reply = runner.say(&format!("{request} -9223372036854775808"));
        assert_eq!(reply, format!("{OUT_OF_RANGE}, {range}"));
    }
    for request in [
        "HRANDFIELD hash -100 WITHVALUES",
        "ZRANDMEMBER zset -100 WITHSCORES",
    ] {
        assert_eq!(runner.say(request), OUT_OF_RANGE, "{request}");
    }
    // Nothing is drawn of what is not there.
    for request in ["SRANDMEMBER none", "HRANDFIELD none", "ZRANDMEMBER none"] {
        assert_eq!(runner.say(&format!("{request} -9223372036854775807")), "*0");
    }
}

// Chi-square of what is drawn, and of pairs of one and the next in a reply, in every encoding: by so few draws that each seeks, and
// by more.
#[test]
fn draws_are_as_likely_whatever_was_drawn_before() {
    let mut runner = Runner::new(5);
    for number in 0..10 {
        for line in [
            "SADD ints {}",
            "SADD pack {} x",
            "SADD table {} {LONG}",
            "HSET fields {} v",
            "HSET dated {} v",
            "HSET many {} v x {LONG}",
            "ZADD ranks {} {}",
            "ZADD tree {} {} 11 {LONG}",
        ] {
            let line = line.replace("{LONG}", &"x".repeat(65));
            runner.say(&line.replace("{}", &number.to_string()));
        }
    }
    for line in [
        "SREM pack x",
        "SREM table {LONG}",
        "HPEXPIRE dated 100000 FIELDS 2 1 2",
        "HDEL many x",
        "ZREM tree {LONG}",
    ] {
        runner.say(&line.replace("{LONG}", &"x".repeat(65)));
    }
    for (name, key, encoding) in [
        ("SRANDMEMBER", "ints", "intset"),
        ("SRANDMEMBER", "pack", "listpack"),
        ("SRANDMEMBER", "table", "hashtable"),
        ("HRANDFIELD", "fields", "listpack"),
        ("HRANDFIELD", "dated", "listpackex"),
        ("HRANDFIELD", "many", "hashtable"),
        ("ZRANDMEMBER", "ranks", "listpack"),
        ("ZRANDMEMBER", "tree", "skiplist"),
    ] {
        let got = runner.say(&format!("OBJECT ENCODING {key}"));
        assert_eq!(got, format!("\"{encoding}\""), "{key}");
        for count in [2, 4, 6, 100] {
            let (mut ones, mut pairs) = ([0_u32; 10], [0_u32; 100]);
            for _ in 0..size(500, 20_000) / count {
                let reply = runner.run(&words(&format!("{name} {key} -{count}")));
                let text = String::from_utf8(reply).expect("text");
                // A head, then a length and a digit each.
                let drawn: Vec<usize> = text
                    .lines()
                    .skip(2)
                    .step_by(2)
                    .map(|digit| digit.parse().expect("a digit"))
                    .collect();
                assert_eq!(drawn.len(), count, "{key}");
                for pair in drawn.chunks(2) {
                    ones[pair[0]] += 1;
                    ones[pair[1]] += 1;
                    pairs[10 * pair[0] + pair[1]] += 1;
                }
            }
            // One in a million is above these, and the seed is fixed.
            assert!(chi_square(&ones) < 45.0, "{key} {count}: {ones:?}");
            assert!(chi_square(&pairs) < 181.0, "{key} {count}: {pairs:?}");
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}
