//! Which thread has a CPU for itself.

use rondo::node::affinity::pins;

const NONE: [usize; 0] = [];

/// Whoever has fewer threads than CPUs shares the machine, with another server that does the same, perhaps.
#[test]
fn who_has_all_cpus_takes_one_each_and_others_none() {
    let all = [0, 1, 2, 3];
    assert_eq!(pins("auto", 4, &[], &all), all);
    assert_eq!(pins("auto", 2, &[], &all), NONE);
    assert_eq!(pins("auto", 1, &[], &all), NONE);
    assert_eq!(pins("auto", 5, &[], &all), NONE);
    assert_eq!(pins("auto", 2, &[], &[5, 7]), [5, 7]);
}

#[test]
fn who_says_so_is_pinned_or_is_not() {
    let all = [0, 1, 2, 3];
    assert_eq!(pins("yes", 2, &[], &all), [0, 1]);
    assert_eq!(pins("yes", 5, &[], &all), NONE);
    assert_eq!(pins("no", 4, &[], &all), NONE);
    assert_eq!(pins("no", 2, &[2, 3], &all), NONE);
}

/// In the order of the list, and of those only that there are.
#[test]
fn a_list_says_which() {
    let all = [0, 1, 2, 3];
    assert_eq!(pins("auto", 2, &[3, 1], &all), [3, 1]);
    assert_eq!(pins("auto", 1, &[3, 1], &all), [3]);
    assert_eq!(pins("yes", 2, &[9, 3, 1], &all), [3, 1]);
    // Too few of them: these are shared.
    assert_eq!(pins("auto", 2, &[3], &all), NONE);
    assert_eq!(pins("yes", 2, &[9, 3], &all), NONE);
    // None of them: as without a list.
    assert_eq!(pins("auto", 2, &[9], &all), NONE);
    assert_eq!(pins("auto", 4, &[9], &all), all);
}
