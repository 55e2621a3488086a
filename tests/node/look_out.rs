//! How long a core looks out for others before it sleeps.

use rondo::node::look_out::LookOut;

/// Turns of a microsecond from `now_ns` on in which nothing comes, until it sleeps; at most 1,000.
fn turns_until_sleep(look_out: &mut LookOut, is_in_midst: bool, now_ns: &mut u64) -> u64 {
    for turns_count in 0..1_000 {
        *now_ns += 1_000;
        if !look_out.goes_on(is_in_midst, false, *now_ns) {
            return turns_count;
        }
    }
    1_000
}

/// While something is under way it is awake as long as steps come, and some time longer, but not for ever.
#[test]
fn it_looks_out_for_the_next_step() {
    let mut look_out = LookOut::default();
    let mut now_ns = 1_000_000_000;
    assert!(!look_out.is_on());
    for _ in 0..3 {
        for _ in 0..50 {
            now_ns += 100_000;
            assert!(look_out.goes_on(true, true, now_ns));
        }
        let turns_count = turns_until_sleep(&mut look_out, true, &mut now_ns);
        assert!((50..500).contains(&turns_count), "{turns_count}");
        // It sleeps on until something comes.
        now_ns += 10_000_000;
        assert!(!look_out.goes_on(true, false, now_ns));
    }
}

/// Whoever has transactions one after the other is looked out for between them; whoever has one now and then is not.
#[test]
fn it_lingers_only_where_that_has_paid() {
    let mut look_out = LookOut::default();
    let mut now_ns = 1_000_000_000;
    let mut transaction = |look_out: &mut LookOut, gap_ns: u64| {
        now_ns += gap_ns;
        look_out.goes_on(true, true, now_ns);
        now_ns += 5_000;
        let lingers = look_out.goes_on(false, true, now_ns);
        let turns_count = match lingers {
            true => turns_until_sleep(look_out, false, &mut now_ns),
            false => 0,
        };
        assert!(!look_out.is_on());
        turns_count
    };
    assert_eq!(transaction(&mut look_out, 1_000_000), 0);
    let close = [0; 8].map(|_| transaction(&mut look_out, 3_000));
    assert!(
        close[1] > 0 && close[7] >= close[1] && close[7] < 100,
        "{close:?}"
    );
    let far = [0; 8].map(|_| transaction(&mut look_out, 1_000_000));
    assert!(far.is_sorted_by(|a, b| a >= b), "{far:?}");
    assert_eq!(far[7], 0);
}
