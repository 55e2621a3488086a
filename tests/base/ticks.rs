use rondo::base::ticks::TickClock;

#[test]
fn durations_are_those_of_the_calibrated_counter() {
    let clock = TickClock::new();
    // Calibrated once in a process.
    let theirs = quanta::Clock::new();
    for ticks in [0, 1, 1000, 3_000_000_000, 1 << 40, 1 << 50] {
        let own = clock.delta_as_nanos(77, 77 + ticks);
        let theirs = theirs.delta_as_nanos(77, 77 + ticks);
        // What is lost is the fraction below 2^-32 ns of each tick.
        assert!(own.abs_diff(theirs) <= 1 + (ticks >> 31), "{ticks}");
    }
    assert_eq!(clock.delta_as_nanos(5, 4), 0);
    for ns in [0, 1_000, 2_000_000, 1 << 40] {
        let back = clock.delta_as_nanos(0, clock.ticks(ns));
        assert!(
            back <= ns && ns - back <= 2 + clock.delta_as_nanos(0, 1),
            "{ns}: {back}"
        );
    }
}
