//! SORT where the clock counts; the rest is in tests/transcripts/sort.txt.

use super::runner::Runner;

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
