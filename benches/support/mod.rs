//! What all benches share: smoke or real sizes, and one form for latencies.
//!
//!     mod support;
//!     let bench = support::Bench::from_arguments();
//!     let hops_count = bench.size("hops", 1_000, 1_000_000);      HOPS=5000 make bench NAME=hop

use hdrhistogram::Histogram;

/// How this bench was started.
pub struct Bench {
    is_real: bool,
}

impl Bench {
    /// `cargo bench` passes `--bench`; `cargo test --benches` does not, and then sizes are a smoke test's.
    pub fn from_arguments() -> Self {
        let is_real = std::env::args().any(|argument| argument == "--bench");
        Self { is_real }
    }

    /// How much of something: the variable of that name in capitals, or one of the two sizes. Printed, so that the output
    /// says what was run.
    pub fn size(&self, name: &str, smoke: u64, real: u64) -> u64 {
        let given = std::env::var(name.to_uppercase().replace(' ', "_"))
            .ok()
            .and_then(|text| text.parse().ok());
        let size = given.unwrap_or(if self.is_real { real } else { smoke });
        println!("{name}: {size}");
        size
    }
}

/// An empty histogram of nanoseconds up to a minute, three digits exact.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("one nanosecond to a minute")
}

/// One line: what, mean and percentiles in microseconds.
pub fn print_latencies(what: &str, histogram: &Histogram<u64>) {
    let micros = |ns: f64| ns / 1_000.0;
    let at = |quantile| micros(histogram.value_at_quantile(quantile) as f64);
    println!(
        "{what:<28} mean {:>8.2} p50 {:>8.2} p99 {:>8.2} p99.9 {:>8.2} max {:>9.2} us",
        micros(histogram.mean()),
        at(0.5),
        at(0.99),
        at(0.999),
        micros(histogram.max() as f64)
    );
}
