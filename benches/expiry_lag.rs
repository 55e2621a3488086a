//! Question: how long after its deadline does a key nobody asks for go, and what does looking for it cost?
//! Run:      cargo bench --bench expiry_lag [-- KEYS]
//! Reads:    ms of lag (mean and worst) and the share of a core, for a tick of 10 ms with 8,192 steps each, in three
//!           keyspaces: deadlines spread over a minute, all in the same second, a few among many that are far away.
//!           Time is simulated, so the lag does not depend on the machine; the share of a core does.

use rondo::base::rng::Rng;
use rondo::keyspace::value::text;
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_MS: i64 = 1_700_000_000_000;
const TICK_MS: i64 = 10;
const STEPS_A_TICK: usize = 8_192;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_real = arguments.iter().any(|argument| argument == "--bench");
    let given = arguments.iter().find_map(|argument| argument.parse().ok());
    let keys_count: u64 = given.unwrap_or(if is_real { 1_000_000 } else { 2000 });
    run("over a minute", keys_count, |_, rng| {
        rng.below(60_000) as i64
    });
    run("in one second", keys_count, |_, rng| rng.below(1000) as i64);
    run("one in 100", keys_count, |index, rng| {
        if index.is_multiple_of(100) {
            rng.below(60_000) as i64
        } else {
            86_400_000
        }
    });
}

fn run(name: &str, keys_count: u64, ttl_ms: impl Fn(u64, &mut Rng) -> i64) {
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(1));
    keys.set_now(START_MS);
    let mut rng = Rng::with_seed(1);
    let mut due_count = 0;
    for index in 0..keys_count {
        let ttl_ms = ttl_ms(index, &mut rng);
        due_count += u64::from(ttl_ms < 60_000);
        let word = format!("key:{index:012}");
        let key = keys.key(word.as_bytes());
        keys.insert(0, &key, text(&[b'v'; 32]), Some(START_MS + ttl_ms));
    }
    let mut now_ms = START_MS;
    let mut busy = Duration::ZERO;
    let mut tick_max = Duration::ZERO;
    let mut ticks_count = 0;
    while keys.stats().expired_keys < due_count {
        now_ms += TICK_MS;
        keys.set_now(now_ms);
        let start = Instant::now();
        keys.expire_cycle(STEPS_A_TICK);
        let took = start.elapsed();
        busy += took;
        tick_max = tick_max.max(took);
        ticks_count += 1;
    }
    let stats = keys.stats();
    let span = Duration::from_millis(ticks_count * TICK_MS as u64);
    println!(
        "{name:<14} {due_count:>8} expired  lag {:6.1} ms mean, {:>5} ms worst  {:5.2}% of a core  \
         {:>4} us worst tick  {:.1} steps a key",
        stats.expire_lag_ms_sum as f64 / due_count as f64,
        stats.expire_lag_ms_max,
        100.0 * busy.as_secs_f64() / span.as_secs_f64(),
        tick_max.as_micros(),
        stats.expire_cycle_steps as f64 / due_count as f64,
    );
}
