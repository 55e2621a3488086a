//! When a core's memory is worth a walk.

use rondo::node::compaction::{Judge, Losses};

const MIB: usize = 1 << 20;

fn judge() -> Judge {
    Judge::new(4 * MIB, [10, 100])
}

fn losses(free_mib: usize, used_mib: usize) -> Losses {
    Losses {
        free_bytes: free_mib * MIB,
        used_bytes: used_mib * MIB,
    }
}

#[test]
fn a_walk_begins_where_much_is_lost_absolutely_and_in_proportion() {
    assert!(!judge().begins(losses(4, 1)));
    assert!(judge().begins(losses(5, 1)));
    assert!(!judge().begins(losses(9, 100)));
    assert!(judge().begins(losses(10, 100)));
}

/// What a walk has left is no reason for another, until there is more.
#[test]
fn a_walk_that_has_not_helped_is_not_repeated() {
    let mut judge = judge();
    assert!(judge.begins(losses(30, 100)));
    judge.end(losses(25, 100));
    for _ in 0..3 {
        assert!(!judge.begins(losses(25, 100)));
        assert!(!judge.begins(losses(30, 100)));
    }
    assert!(judge.begins(losses(31, 100)));
    judge.end(losses(31, 100));
    assert!(!judge.begins(losses(12, 100)));
    assert!(judge.begins(losses(18, 100)), "the low tide counts");
}

/// A walk during which keys go has passed what they leave behind: it is no measure of what can be mended.
#[test]
fn a_walk_during_which_keys_went_is_repeated_once() {
    let mut judge = judge();
    assert!(judge.begins(losses(100, 900)));
    judge.end(losses(80, 200));
    assert!(judge.begins(losses(80, 200)));
    judge.end(losses(80, 200));
    assert!(!judge.begins(losses(80, 200)));
}

/// Where cores are many, a part of `active-defrag-ignore-bytes` is less than pages come and go with.
#[test]
fn a_few_pages_are_no_news() {
    let mut judge = Judge::new(1, [10, 100]);
    let pages = |pages: usize| Losses {
        free_bytes: pages * 65_536,
        used_bytes: MIB,
    };
    assert!(!judge.begins(pages(4)));
    assert!(judge.begins(pages(5)));
    judge.end(pages(5));
    assert!(!judge.begins(pages(9)));
    assert!(judge.begins(pages(10)));
}
