//! Huge negative counts, which Redis answers until its memory ends.

use super::runner::Runner;
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

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}
