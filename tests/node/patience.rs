use rondo::node::patience::{Pace, Patience};

const SECOND_US: u64 = 1_000_000;

#[test]
fn the_first_of_few_clients_is_served_at_once() {
    for clients_count in 0..=8 {
        for reads_count in [0, 1, 1_000, 100_000, 1_000_000] {
            let patience = Patience::after(clients_count, reads_count, SECOND_US);
            assert_eq!(
                patience,
                Patience::NONE,
                "{clients_count} send {reads_count}"
            );
        }
    }
}

#[test]
fn a_request_that_comes_alone_is_served_at_once() {
    for clients_count in [1, 50, 10_000] {
        assert_eq!(
            Patience::after(clients_count, 20_000, SECOND_US),
            Patience::NONE
        );
    }
}

/// Nobody waits longer than an eighth of its round, nor than 50 microseconds; that many come in this time.
#[test]
fn a_crowd_is_waited_for_within_bounds() {
    for clients_count in 50..1_000 {
        for reads_count in (100_000..1_000_000).step_by(50_000) {
            let patience = Patience::after(clients_count, reads_count, SECOND_US);
            let round_us = clients_count * SECOND_US / reads_count;
            assert!(u64::from(patience.micros) <= (round_us / 8).min(50));
            assert!((1..=16).contains(&patience.count));
            assert_eq!(patience.count == 1, patience == Patience::NONE);
        }
    }
    let patience = Patience::after(50, 130_000, SECOND_US);
    assert_eq!((patience.count, patience.micros), (6, 48));
}

#[test]
fn a_tick_counts_each_client_once_and_cores_that_serve_each_other_do_not_wait() {
    let tick = |hops_count: u64| {
        let mut pace = Pace::default();
        assert_eq!(pace.tick(1_000_000, 0), Patience::NONE);
        for _ in 0..50 {
            pace.count(999);
            (0..259).for_each(|_| pace.count(1_050));
        }
        pace.tick(1_100_000, hops_count)
    };
    assert_eq!(tick(0).micros, 48);
    assert_eq!(tick(1), Patience::NONE);
}

/// A clock that is set back is no reason to wait.
#[test]
fn time_that_goes_back_ends_patience() {
    let mut pace = Pace::default();
    pace.tick(2_000_000, 0);
    (0..100_000).for_each(|_| pace.count(0));
    assert_eq!(pace.tick(1_000_000, 0), Patience::NONE);
}
