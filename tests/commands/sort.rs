//! SORT where the clock counts; the rest is in tests/transcripts/sort.txt.

use super::runner::Runner;
use rondo::commands::sort::{Lead, leads};
use rondo::resp::args::OwnedArgs;

/// A field that BY or GET finds past its deadline goes, as for HGET, and the hash with its last one.
#[test]
fn dead_fields_that_elements_lead_to_go() {
    let mut runner = Runner::new(1);
    runner.say("RPUSH ids 1 2");
    runner.say("HSET user:1 name a score 50");
    runner.say("HSETEX user:2 PX 10 FIELDS 2 name b score 70");
    runner.wait(20);
    assert_eq!(runner.say("EXISTS user:1 user:2"), ":2");
    let sorted = runner.say("SORT ids BY user:*->score GET # GET user:*->name");
    assert_eq!(sorted, "*4 \"2\" $-1 \"1\" \"a\"");
    assert_eq!(runner.say("EXISTS user:1 user:2"), ":1");
    runner.say("HSETEX user:2 PX 10 FIELDS 1 name b");
    runner.say("HSETEX user:2 FIELDS 1 score 7");
    runner.wait(20);
    runner.say("SORT_RO ids BY nosort GET user:*->name");
    assert_eq!(runner.say("HLEN user:2"), ":1");
}

/// A set has no order of its own: of those with the same weight, what is stored must not depend on how the set came to be.
#[test]
fn members_of_a_set_with_the_same_weight_come_in_their_order() {
    let mut runner = Runner::new(1);
    runner.say("MSET w_x 1 w_d 0");
    for (index, members) in ["a b c d", "d c b a", "c a d b"].iter().enumerate() {
        runner.say(&format!("SADD s{index} {members}"));
        let sort = format!("SORT s{index} BY w_* ALPHA");
        assert_eq!(runner.say(&sort), r#"*4 "a" "b" "c" "d""#);
        let descending = format!("{sort} DESC LIMIT 1 2");
        assert_eq!(runner.say(&descending), r#"*2 "c" "b""#);
    }
    // A list's elements stay as they were.
    runner.say("RPUSH l c a d b");
    assert_eq!(runner.say("SORT l BY w_* ALPHA"), r#"*4 "c" "a" "b" "d""#);
}

/// Where nothing is sorted: no key is brought, or locked, for an element that is not shown.
#[test]
fn elements_that_are_not_shown_lead_nowhere() {
    let mut runner = Runner::new(1);
    runner.say("RPUSH ids 1 2 3 4 5");
    runner.say("ZADD ranks 1 a 2 b 3 c 4 d");
    runner.say("SADD set 1 2 3");
    let mut led_to = |line: &str| -> Vec<String> {
        let owned: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let found = leads(&mut runner.keys, 0, &owned.as_args(), false);
        let key = |lead: Lead| String::from_utf8(lead.key).expect("text");
        found.into_iter().map(key).collect()
    };
    for (line, want) in [
        ("SORT ids BY nosort LIMIT 1 2 GET w_*", "w_2 w_3"),
        ("SORT ids BY nosort LIMIT 1 2 DESC GET w_*", "w_4 w_3"),
        ("SORT ids BY nosort LIMIT 4 2 GET w_*->f GET n_*", "w_5 n_5"),
        ("SORT ids BY nosort LIMIT 5 2 GET w_*", ""),
        ("SORT ids BY nosort LIMIT -1 1 GET # GET w_*", "w_1"),
        ("SORT ids BY nosort BY v_* LIMIT 3 -1 GET w_*", "w_4 w_5"),
        ("SORT ranks BY nosort LIMIT 1 2 GET w_*", "w_b w_c"),
        ("SORT ranks BY nosort DESC LIMIT 0 1 GET w_*", "w_d"),
        // What is sorted may show any.
        ("SORT ids LIMIT 0 1 GET w_*", "w_1 w_2 w_3 w_4 w_5"),
        // A script shows a set's in order.
        ("SORT set BY nosort LIMIT 0 1 GET w_*", "w_1 w_2 w_3"),
    ] {
        assert_eq!(led_to(line).join(" "), want, "{line}");
    }
}
