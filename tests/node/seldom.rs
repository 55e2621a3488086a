//! How often a line may be written.

use rondo::node::seldom::{PAUSE_US, Seldom};

#[test]
fn what_is_told_each_second_is_told_every_thirty() {
    for began_us in [0, 5_000_000_000] {
        let mut seldom = Seldom::default();
        let told: Vec<i64> = (0..90)
            .filter(|second| seldom.may_tell(began_us + second * 1_000_000))
            .collect();
        assert_eq!(told, [0, 30, 60]);
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_silence_it() {
    let mut seldom = Seldom::default();
    assert!(seldom.may_tell(10 * PAUSE_US));
    assert!(seldom.may_tell(PAUSE_US));
    assert!(!seldom.may_tell(PAUSE_US + 1));
}
