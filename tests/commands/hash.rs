//! Hashes where the clock counts; the rest is in tests/transcripts/hash*.txt.

use super::runner::Runner;

/// What a request answers where a field died a moment ago, and what the hash is then.
fn outcome(setup: &[&str], request: &str, is_removed: bool) -> (String, String) {
    let mut runner = Runner::new(1);
    for line in setup {
        runner.say(line);
    }
    runner.wait(20);
    if is_removed {
        runner.keys.expire_cycle(1_000);
        assert_eq!(runner.say("HLEN h"), ":1", "the dead field has gone");
    }
    let reply = runner.say(request);
    let fields = ["HGETALL h", "HPEXPIRETIME h FIELDS 2 alive dead"].map(|line| runner.say(line));
    (reply, fields.join(" "))
}

/// The log has no word of fields that die: whether the one or the other server has removed one by then, a request must come to the same.
#[test]
fn a_dead_field_is_gone_whether_it_was_removed_or_not() {
    let packed = ["HSET h alive 1 dead 2", "HPEXPIRE h 5 FIELDS 1 dead"];
    let long = "x".repeat(100);
    let set = format!("HSET h alive {long} dead 2");
    let table = [set.as_str(), packed[1]];
    for setup in [packed, table] {
        for request in [
            "HEXPIRE h 100 FIELDS 2 alive dead",
            "HEXPIRE h 100 NX FIELDS 1 dead",
            "HPEXPIRE h 100 XX FIELDS 1 dead",
            "HEXPIREAT h 5000000000 GT FIELDS 1 dead",
            "HPEXPIREAT h 5000000000000 LT FIELDS 1 dead",
            "HEXPIRE h 0 FIELDS 2 alive dead",
            "HPERSIST h FIELDS 2 alive dead",
            "HTTL h FIELDS 2 alive dead",
            "HGET h dead",
            "HMGET h alive dead",
            "HSETNX h dead 3",
            "HINCRBY h dead 3",
            "HINCRBYFLOAT h dead 3",
            "HGETDEL h FIELDS 1 dead",
            "HGETEX h EX 100 FIELDS 2 alive dead",
            "HGETEX h PERSIST FIELDS 2 alive dead",
            "HSETEX h KEEPTTL FIELDS 1 dead 3",
            "HSETEX h EX 100 FIELDS 1 dead 3",
            "HSETEX h FXX FIELDS 1 dead 3",
            "HSETEX h FNX KEEPTTL FIELDS 1 dead 3",
            "HSETEX h FIELDS 1 dead 3",
        ] {
            let removed = outcome(&setup, request, true);
            assert_eq!(outcome(&setup, request, false), removed, "{request}");
        }
    }
}

#[test]
fn deadlines_of_dead_fields_are_not_set() {
    let setup = ["HSET h alive 1 dead 2", "HPEXPIRE h 5 FIELDS 1 dead"];
    let (reply, fields) = outcome(&setup, "HEXPIRE h 100 FIELDS 2 alive dead", false);
    assert_eq!(reply, "*2 :1 :-2");
    assert_eq!(fields, "*2 \"alive\" \"1\" *2 :1700000100020 :-2");
    // It has no deadline to keep either.
    let (reply, fields) = outcome(&setup, "HSETEX h KEEPTTL FIELDS 1 dead 3", false);
    assert_eq!(reply, ":1");
    assert!(fields.ends_with("*2 :-1 :-1"), "{fields}");
}

/// Options are put in front once, however often something follows the fields.
#[test]
fn many_blocks_of_fields_are_an_error() {
    for (words, block) in [
        (
            &["HEXPIRE", "h", "100"][..],
            &["FIELDS", "1", "f", "NX"][..],
        ),
        (&["HGETEX", "h"], &["FIELDS", "1", "f", "PERSIST"]),
        (&["HSETEX", "h"], &["FIELDS", "1", "f", "v", "FNX"]),
    ] {
        let blocks = block.iter().cycle().take(block.len() * 20_000);
        let words: Vec<&[u8]> = words
            .iter()
            .chain(blocks)
            .map(|word| word.as_bytes())
            .collect();
        let reply = Runner::new(1).run(&words);
        assert_eq!(reply[0], b'-', "{}", String::from_utf8_lossy(&reply));
    }
}
