use hdrhistogram::Histogram;
use rondo::shard::Figures;

#[test]
fn errors_are_counted_by_their_first_word() {
    let mut figures = Figures::default();
    figures.record_failure(3, b"ERR no such key");
    figures.record_failure(3, b"ERR syntax error");
    figures.record_rejection(5, b"OOM command not allowed");
    let errors: Vec<_> = figures.errors().iter().collect();
    assert_eq!(errors, [("ERR", 2), ("OOM", 1)]);
    assert_eq!(figures.errors().total(), 3);
    assert_eq!(figures.commands()[3].failed_count, 2);
    assert_eq!(figures.commands()[5].rejected_count, 1);
    assert_eq!(figures.commands()[5].failed_count, 0);
}

#[test]
fn error_codes_that_clients_invent_end_the_counting_by_name() {
    let mut figures = Figures::default();
    for code in 0..128 {
        figures.record_failure(0, format!("CODE{code} text").as_bytes());
    }
    assert_eq!(figures.errors().iter().count(), 128);
    assert_eq!(figures.errors_mut().take_given_up(), None);
    for code in 127..1000 {
        figures.record_failure(0, format!("CODE{code} text").as_bytes());
    }
    let disabled = [("ERRORSTATS_DISABLED", 1)];
    assert_eq!(figures.errors().iter().collect::<Vec<_>>(), disabled);
    assert_eq!(figures.errors().total(), 1001);
    let codes = figures.errors_mut().take_given_up().expect("told once");
    assert_eq!((codes.len(), &codes[127][..]), (128, "CODE127"));
    assert_eq!(figures.errors_mut().take_given_up(), None);
    // One shard where it has ended is enough.
    let mut all = Figures::default();
    all.record_failure(0, b"ERR text");
    all.errors_mut().add(figures.errors());
    assert_eq!(all.errors().iter().collect::<Vec<_>>(), disabled);
    assert_eq!(all.errors().total(), 1002);
    figures.reset();
    figures.record_failure(0, b"ERR text");
    assert_eq!(figures.errors().iter().collect::<Vec<_>>(), [("ERR", 1)]);
}

#[test]
fn a_call_is_counted_with_its_time() {
    let mut figures = Figures::default();
    figures.record(2, 1_500);
    figures.record(2, 2_500);
    figures.record(2, 9_000_000_000);
    let figures = &figures.commands()[2];
    assert_eq!(figures.calls(), 3);
    assert_eq!(figures.nanoseconds, 9_000_004_000);
    let durations = figures.durations();
    assert_eq!(durations.total(), 3);
    assert_eq!(durations.at_percentile(10.0), 1_503);
}

/// Whatever the durations, quantiles are those of a histogram that was told each of them.
#[test]
fn durations_are_told_apart_as_by_an_hdr_histogram() {
    let mut figures = Figures::default();
    let mut expected = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 2).expect("good bounds");
    let mut nanoseconds = 1_u64;
    while nanoseconds < 4_000_000_000 {
        for near in [nanoseconds - 1, nanoseconds, nanoseconds + 1] {
            figures.record(0, near);
            expected.saturating_record(near.clamp(1, 1_000_000_000));
        }
        nanoseconds += nanoseconds / 37 + 1;
    }
    let durations = figures.commands()[0].durations();
    assert_eq!(durations.total(), expected.len());
    for percent in 0..=100 {
        assert_eq!(
            durations.at_percentile(f64::from(percent)),
            expected.value_at_percentile(f64::from(percent)),
            "{percent}"
        );
    }
}

/// Steps as Redis's LATENCY HISTOGRAM has them: each is named by the end of the bucket it falls into, and counts that whole.
#[test]
fn durations_are_counted_by_powers_of_two() {
    let mut figures = Figures::default();
    for nanoseconds in [500, 1_031, 1_032, 40_000, 40_000, 2_000_000_000] {
        figures.record(0, nanoseconds);
    }
    let mut total = figures.commands()[0].durations();
    assert_eq!(total.steps_us(), [(1, 2), (2, 3), (66, 5), (1_073_741, 6)]);
    total.add(&figures.commands()[0].durations());
    assert_eq!(
        total.steps_us(),
        [(1, 4), (2, 6), (66, 10), (1_073_741, 12)]
    );
    figures.set_tracking(false);
    figures.reset();
    figures.record(0, 500);
    assert!(figures.commands()[0].durations().is_empty());
    assert_eq!(figures.commands()[0].calls(), 1);
}

/// Of a call that has waited only its parts are work, and of a script all of it is, calls included.
#[test]
fn waits_and_what_is_in_a_script_are_no_work_of_their_own() {
    let mut figures = Figures::default();
    figures.record(1, 100);
    figures.record_with_waits(2, 5_000);
    figures.add_part(30);
    assert_eq!(figures.work_ns(), 130);
    figures.begin_doubt();
    figures.record_of_script(3, 70);
    assert_eq!(figures.work_ns(), 130);
    figures.end_doubt(false);
    assert_eq!(figures.work_ns(), 130);
    figures.record_of_script(3, 40);
    figures.record(4, 60);
    assert_eq!(figures.work_ns(), 190);
    let all_ns: u64 = figures.commands().iter().map(|it| it.nanoseconds).sum();
    assert_eq!(all_ns, 5_200);
    figures.reset();
    assert_eq!(figures.work_ns(), 0);
}
