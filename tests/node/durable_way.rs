use rondo::node::durable_way::{DurableWay, Way};

const SECOND_US: i64 = 1_000_000;

/// A disk on which the two ways take so long.
struct Clock {
    way: DurableWay,
    now_us: i64,
    /// How many went which way, and what all of them took.
    counts: [u64; 2],
}

impl Clock {
    fn new() -> Self {
        Self {
            way: DurableWay::default(),
            now_us: 0,
            counts: [0; 2],
        }
    }

    fn run(&mut self, seconds: i64, in_one_us: i64, in_two_us: i64) -> Vec<Way> {
        let end_us = self.now_us + seconds * SECOND_US;
        let mut changes = Vec::new();
        while self.now_us < end_us {
            let way = self.way.now();
            let took_us = match way {
                Way::InOne => in_one_us,
                Way::InTwo => in_two_us,
            };
            self.counts[usize::from(way == Way::InTwo)] += 1;
            self.now_us += took_us;
            changes.extend(self.way.ended(way, took_us, self.now_us));
        }
        changes
    }
}

#[test]
fn a_fast_disk_sees_one_way_only() {
    let mut clock = Clock::new();
    assert_eq!(clock.run(100, 130, 50), []);
    assert_eq!(clock.counts[1], 0);
    assert_eq!(clock.run(100, 2_000, 50), []);
    assert_eq!(clock.counts[1], 0);
}

#[test]
fn writes_that_wait_for_others_time_slices_are_made_durable_in_two_steps_until_that_is_over() {
    let mut clock = Clock::new();
    clock.run(10, 130, 150);
    assert_eq!(clock.run(2, 7_500, 300), [Way::InTwo]);
    assert_eq!(clock.way.now(), Way::InTwo);
    assert_eq!(clock.way.average_us(), 300);
    // What is tried meanwhile is a small part of the time.
    let before = clock.counts;
    assert_eq!(clock.run(600, 7_500, 300), []);
    let slow = clock.counts[0] - before[0];
    assert!(slow <= 2 * 16, "{slow} slow ones in 600 s");
    // And it is found out that it is over.
    assert_eq!(clock.run(70, 130, 150), [Way::InOne]);
    let before = clock.counts[1];
    clock.run(100, 130, 150);
    assert_eq!(clock.counts[1], before);
}

/// Two steps are no faster there; trials become rare and nothing changes.
#[test]
fn a_slow_disk_stays_with_one_step() {
    let mut clock = Clock::new();
    assert_eq!(clock.run(1_000, 10_000, 9_000), []);
    assert!(clock.counts[1] <= 16 * 24, "{:?}", clock.counts);
}

/// Between equal and twice as fast, whichever is in force stays where it is.
#[test]
fn it_does_not_go_back_and_forth() {
    for in_two_us in [2_600, 3_000, 4_900] {
        let mut clock = Clock::new();
        let changes = clock.run(300, 5_000, in_two_us);
        assert_eq!(changes, [], "{in_two_us}");
        clock.run(70, 50_000, in_two_us);
        assert_eq!(clock.way.now(), Way::InTwo);
        let changes = clock.run(300, 5_000, in_two_us);
        assert_eq!(changes, [Way::InOne], "{in_two_us}");
    }
}

/// A run of fast ones beside somebody's time slices: the way back is short, and the next try comes later each time.
#[test]
fn luck_is_found_out_soon() {
    let mut way = DurableWay::default();
    let mut in_force = Way::InOne;
    let (mut now_us, mut slow_us, mut changes_count) = (0, 0, 0);
    while now_us < 600 * SECOND_US {
        let taken = way.now();
        // One step is slow once it is in force; as a trial it never is.
        let is_slow = taken == Way::InOne && in_force == Way::InOne;
        let took_us = if is_slow { 7_500 } else { 300 };
        now_us += took_us;
        slow_us += if is_slow { took_us } else { 0 };
        if let Some(changed) = way.ended(taken, took_us, now_us) {
            in_force = changed;
            changes_count += 1;
        }
    }
    assert!(changes_count > 10, "{changes_count}");
    assert!(slow_us < 600 * SECOND_US / 100, "{slow_us} us");
}
