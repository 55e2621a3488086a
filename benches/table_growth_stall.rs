//! Question: what is the longest an insert ever waits while the table grows, and how many bytes does a key cost?
//! Run:      cargo bench --bench table_growth_stall [-- KEYS [RUNS]]
//! Reads:    ns of an insert (mean, p99.9, worst), ns of a get that hits in tables of 100,000 keys and of all, bytes a
//!           key by the table's account and by the kernel's; 16-byte keys, 32-byte values, fixed seed. The table grows
//!           RUNS times in the same way, and each insert counts with its fastest run: what the host did to one run
//!           goes, what the table does stays. Loops are measured in this thread's processor time.

use hdrhistogram::Histogram;
use rondo::base::hash::KeyHasher;
use rondo::ds::key_table::{HeapSize, KeyTable, NewValue, Value};
use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Nothing;

impl HeapSize for Nothing {
    fn heap_bytes(&self) -> usize {
        0
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_real = arguments.iter().any(|argument| argument == "--bench");
    let mut given = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let keys_count: u64 = given
        .next()
        .unwrap_or(if is_real { 20_000_000 } else { 20_000 });
    let runs_count: u64 = given.next().unwrap_or(3);

    let hasher = KeyHasher::with_seed(1);
    let mut fastest_ns = vec![u32::MAX; keys_count as usize];
    let mut table: KeyTable<Nothing> = KeyTable::new(hasher.clone());
    for run in 0..runs_count {
        table = KeyTable::new(hasher.clone());
        let resident_before = resident_bytes();
        let start = Start::now();
        let mut last = Instant::now();
        for index in 0..keys_count {
            let key = key(index);
            let hash = hasher.hash(&key);
            let value = NewValue::Str {
                bytes: &[b'v'; 32],
                raw: false,
            };
            table.insert(hash, &key, value, None);
            let now = Instant::now();
            let took_ns = (now - last).as_nanos() as u32;
            last = now;
            let fastest_ns = &mut fastest_ns[index as usize];
            *fastest_ns = took_ns.min(*fastest_ns);
            let count = index + 1;
            if run == 0 && (count == 100_000 || count == 2_000_000 || count == keys_count) {
                report_get(&table, &hasher, count);
                println!(
                    "bytes a key at {count}: {:.2} used, {:.2} reserved, {:.2} resident",
                    table.used_bytes() as f64 / count as f64,
                    table.reserved_bytes() as f64 / count as f64,
                    (resident_bytes() as f64 - resident_before as f64) / count as f64
                );
                last = Instant::now();
            }
        }
        if run > 0 {
            println!(
                "insert ns with the clock read: {:.0}",
                start.per(keys_count)
            );
        }
    }
    let mut latency = Histogram::<u64>::new_with_bounds(1, 1 << 32, 3).expect("3 digits");
    for &took_ns in &fastest_ns {
        latency.saturating_record(u64::from(took_ns));
    }
    println!(
        "insert ns, fastest of {runs_count}: mean {:.0} p50 {} p99 {} p99.9 {} p99.99 {} p99.999 {} worst {}",
        latency.mean(),
        latency.value_at_quantile(0.5),
        latency.value_at_quantile(0.99),
        latency.value_at_quantile(0.999),
        latency.value_at_quantile(0.9999),
        latency.value_at_quantile(0.99999),
        latency.max()
    );
    let mut slowest: Vec<(u32, usize)> = fastest_ns
        .iter()
        .enumerate()
        .filter(|(_, took_ns)| **took_ns > 20_000)
        .map(|(index, took_ns)| (*took_ns, index))
        .collect();
    slowest.sort_unstable_by(|a, b| b.cmp(a));
    slowest.truncate(12);
    println!("slowest (ns, at key): {slowest:?}");

    let mut random = 7_u64;
    let start = Start::now();
    let draws_count = keys_count.min(1_000_000);
    for _ in 0..draws_count {
        black_box(table.random(&mut || next(&mut random)).is_some());
    }
    println!("random ns: {:.0}", start.per(draws_count));
    let start = Start::now();
    let (mut cursor, mut seen) = (0, 0_u64);
    loop {
        cursor = table.scan(cursor, &mut |_| seen += 1);
        if cursor == 0 {
            break;
        }
    }
    println!("scan ns a key: {:.1}", start.per(seen));
    let start = Start::now();
    for index in 0..keys_count {
        let key = key(index);
        assert!(table.remove(hasher.hash(&key), &key));
    }
    println!("remove ns: {:.0}", start.per(keys_count));
    println!(
        "left bytes: {} used, {} reserved",
        table.used_bytes(),
        table.reserved_bytes()
    );
}

/// Three rounds, the fastest of which is reported.
fn report_get(table: &KeyTable<Nothing>, hasher: &KeyHasher, keys_count: u64) {
    let gets_count = 2_000_000.min(keys_count * 20);
    let mut random = 3_u64;
    let mut sum = 0_usize;
    let start = Start::now();
    for _ in 0..gets_count {
        let key = key(next(&mut random) % keys_count);
        if let Some(Value::Str { bytes, .. }) = table
            .get(hasher.hash(&key), &key)
            .map(|entry| entry.value())
        {
            sum += bytes.len();
        }
    }
    let hit_ns = start.per(gets_count);
    assert_eq!(sum as u64, gets_count * 32);
    let start = Start::now();
    for _ in 0..gets_count {
        let key = key(keys_count * 2 + next(&mut random) % keys_count);
        sum += usize::from(table.get(hasher.hash(&key), &key).is_some());
    }
    let miss_ns = start.per(gets_count);
    println!("get ns at {keys_count}: hit {hit_ns:.1} miss {miss_ns:.1} (sum {sum})");
}

fn key(index: u64) -> [u8; 16] {
    let mut key = *b"key:00000000....";
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A start in this thread's processor time.
struct Start(u64);

impl Start {
    fn now() -> Self {
        Self(thread_ns())
    }

    fn per(&self, count: u64) -> f64 {
        (thread_ns() - self.0) as f64 / count.max(1) as f64
    }
}

fn thread_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists on every Linux, and `time` is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}
