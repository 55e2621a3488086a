//! What is told when: after the steps, the ends and the records that it waits for, and in order.

use rondo::persist::{Holds, Withheld};

fn holds(lsn: u64) -> Holds {
    let mut holds = Holds::new();
    holds.raise(0, lsn);
    holds
}

/// Releases with steps before `logged` in the log, which has got to `lsn`, with all up to `synced` durable.
fn release(
    withheld: &mut Withheld<&'static str>,
    logged: u64,
    lsn: u64,
    synced: u64,
) -> Vec<&'static str> {
    withheld.release(|step| step <= logged, &holds(lsn), |_| synced)
}

#[test]
fn news_wait_for_steps_and_then_for_what_is_logged_by_then() {
    let mut withheld = Withheld::default();
    withheld.push_news("a", None);
    assert!(withheld.news_mut(None).is_some());
    assert!(withheld.news_mut(Some(1)).is_none(), "of another client");
    // Not before its turn has ended, whatever is durable.
    assert!(release(&mut withheld, 9, 0, 9).is_empty());
    withheld.bind(3);
    assert!(withheld.news_mut(None).is_none(), "of another turn");
    withheld.push_news("b", None);
    withheld.bind(4);
    assert!(
        release(&mut withheld, 2, 7, 9).is_empty(),
        "a step is not logged"
    );
    // It waits for the record of that step, which is the last one now; what comes later waits for its own.
    assert!(release(&mut withheld, 3, 10, 9).is_empty());
    assert!(release(&mut withheld, 4, 12, 9).is_empty());
    assert_eq!(release(&mut withheld, 4, 15, 10), ["a"]);
    assert_eq!(release(&mut withheld, 4, 15, 12), ["b"]);
    assert!(withheld.is_empty());
}

#[test]
fn what_is_said_in_a_script_or_a_block_waits_for_its_end() {
    let mut withheld = Withheld::default();
    withheld.push_of_script("left", None);
    withheld.script_becomes(7);
    withheld.push_of_transaction("block", Some(1), 8);
    withheld.push_of_script("in place", Some(2));
    withheld.bind(0);
    assert!(release(&mut withheld, 9, 0, 9).is_empty());
    withheld.script_has_ended(&holds(5));
    assert!(release(&mut withheld, 9, 0, 4).is_empty());
    assert_eq!(release(&mut withheld, 9, 0, 5), ["in place"]);
    withheld.transaction_has_ended(8, &Holds::new());
    assert_eq!(
        release(&mut withheld, 9, 0, 5),
        ["block"],
        "nothing to wait for"
    );
    withheld.transaction_has_ended(7, &holds(6));
    assert!(release(&mut withheld, 9, 0, 5).is_empty());
    assert_eq!(release(&mut withheld, 9, 0, 6), ["left"]);
}

#[test]
fn what_waits_for_the_same_is_told_in_order() {
    let mut withheld = Withheld::default();
    withheld.push_held("1", 1, holds(3));
    withheld.push_news("2", None);
    withheld.push_held("3", 1, holds(3));
    withheld.push_held("at once", 2, Holds::new());
    withheld.bind(0);
    assert_eq!(release(&mut withheld, 0, 3, 2), ["at once"]);
    assert_eq!(release(&mut withheld, 0, 9, 3), ["1", "2", "3"]);
}

/// What a script or a block of a client says comes behind what it has said before, though it has touched no key; nobody else waits.
#[test]
fn scripts_and_blocks_speak_when_their_client_would() {
    let mut withheld = Withheld::default();
    withheld.push_held("first", 1, holds(3));
    withheld.push_of_script("script", Some(1));
    withheld.script_has_ended(&Holds::new());
    withheld.push_of_transaction("block", Some(1), 8);
    withheld.transaction_has_ended(8, &Holds::new());
    withheld.push_of_script("another's", Some(2));
    withheld.script_has_ended(&Holds::new());
    withheld.push_held("last", 1, holds(3));
    assert_eq!(release(&mut withheld, 9, 0, 2), ["another's"]);
    let all = ["first", "script", "block", "last"];
    assert_eq!(release(&mut withheld, 9, 0, 3), all);
}

/// What a client says in a script or a block comes behind the news of what it did before, though it has touched no key; what is said
/// by nobody knows whom comes behind all news.
#[test]
fn what_is_said_comes_behind_the_news_of_its_client() {
    let mut withheld = Withheld::default();
    withheld.push_news("news", Some(1));
    withheld.push_of_script("script", Some(1));
    withheld.script_has_ended(&Holds::new());
    withheld.push_held("message", 1, Holds::new());
    withheld.push_of_script("another's", Some(2));
    withheld.push_of_script("somebody's", None);
    withheld.script_has_ended(&Holds::new());
    withheld.push_news("later", Some(2));
    withheld.bind(1);
    assert_eq!(release(&mut withheld, 0, 5, 9), ["another's"]);
    assert!(release(&mut withheld, 1, 5, 4).is_empty());
    let all = ["news", "script", "message", "somebody's", "later"];
    assert_eq!(release(&mut withheld, 1, 5, 5), all);
}

/// What a client did behind something that it said waits for that, and so does all news behind that: a shard's news keep their order.
#[test]
fn news_behind_what_is_said_keep_their_order() {
    let mut withheld = Withheld::default();
    withheld.push_of_transaction("block", Some(1), 7);
    withheld.push_news("news", Some(1));
    withheld.push_news("later", Some(2));
    withheld.bind(0);
    assert!(release(&mut withheld, 0, 0, 9).is_empty());
    withheld.transaction_has_ended(7, &Holds::new());
    let all = ["block", "news", "later"];
    assert_eq!(release(&mut withheld, 0, 0, 9), all);
}

#[test]
fn nothing_waits_for_a_transaction_that_will_not_end() {
    let mut withheld = Withheld::default();
    withheld.push_of_transaction("half", Some(1), 7);
    withheld.push_held("behind it", 1, holds(5));
    withheld.push_of_transaction("whole", Some(2), 8);
    assert!(release(&mut withheld, 9, 0, 5).is_empty());
    assert_eq!(withheld.take_of_transaction(7), ["half"]);
    assert_eq!(release(&mut withheld, 9, 0, 5), ["behind it"]);
    withheld.transaction_has_ended(8, &Holds::new());
    assert_eq!(release(&mut withheld, 9, 0, 5), ["whole"]);
}
