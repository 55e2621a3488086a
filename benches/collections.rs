//! Question: what does one step cost on each structure that a collection is held in, small and large?
//! Run:      cargo bench --bench collections [-- ELEMENTS]          (of the large ones)
//! Reads:    ns a step, the best of 5 rounds, in one thread: the structures alone, no keyspace and no command; members and
//!           places in a fixed random order, and bytes an element where one is filled. A sum of what was found pins the work.

use rondo::base::rng::Rng;
use rondo::ds::bitmap::{self, Combine, Combiner};
use rondo::ds::field_table::FieldTable;
use rondo::ds::hyperloglog::{self, Sketch};
use rondo::ds::intset::Intset;
use rondo::ds::listpack::{Element, Listpack};
use rondo::ds::lzf;
use rondo::ds::quicklist::{End, NodeLimit, Quicklist};
use rondo::ds::sorted_set::{Direction, SortedSet};
use rondo::ds::stream::{NodeLimits, Stream, StreamId};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_real = arguments.iter().any(|argument| argument == "--bench");
    let given = arguments.iter().find_map(|argument| argument.parse().ok());
    let (large, steps) = match is_real {
        true => (given.unwrap_or(1_000_000), 1_000_000),
        false => (2_000, 1_000),
    };
    listpacks(100, steps);
    intsets(512, steps);
    quicklists(large, steps);
    field_tables(large, steps);
    sorted_sets(large, steps);
    streams(large, steps);
    hyperloglogs(steps);
    bits(steps);
}

/// Prints what one of `steps` calls takes.
fn measure(name: &str, steps: usize, mut step: impl FnMut(usize) -> usize) {
    let (mut best_ns, mut sum) = (f64::INFINITY, 0_usize);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for index in 0..steps {
            sum = sum.wrapping_add(black_box(step(index)));
        }
        best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / steps as f64);
    }
    println!("{name:<44} {best_ns:>10.1} ns   sum {sum}");
}

fn print_bytes(name: &str, bytes: usize, elements: usize) {
    println!(
        "{name:<44} {:>10.1} bytes an element",
        bytes as f64 / elements as f64
    );
}

/// As many random numbers below `below` as there are steps, up to a table that stays in the cache.
fn places(below: usize, steps: usize) -> Vec<usize> {
    let mut rng = Rng::with_seed(7);
    (0..steps.min(1 << 16))
        .map(|_| rng.below(below as u64) as usize)
        .collect()
}

fn member(index: usize) -> [u8; 15] {
    let mut text = *b"member:00000000";
    let mut rest = index;
    for digit in text[7..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

fn listpacks(count: usize, steps: usize) {
    let mut pack = Listpack::new();
    for index in 0..count {
        pack.push_back(&member(index)[..]);
    }
    let wanted = places(count, steps);
    print_bytes("listpack", pack.heap_bytes(), count);
    measure("listpack: find among 100", steps / 10, |step| {
        let name = member(wanted[step % wanted.len()]);
        let mut elements = pack.iter();
        usize::from(elements.any(|element| element == Element::Str(&name)))
    });
    measure("listpack: element at an index of 100", steps / 10, |step| {
        let position = pack.seek(wanted[step % wanted.len()] as isize);
        usize::from(position.is_some())
    });
    measure("listpack: push and delete at the front", steps, |_| {
        pack.push_front(12_345_i64);
        let first = pack.first().expect("it has elements");
        pack.delete(first);
        pack.len()
    });
}

fn intsets(count: usize, steps: usize) {
    let mut set = Intset::new();
    for index in 0..count {
        set.insert(index as i64 * 7_919);
    }
    let wanted = places(count, steps);
    print_bytes("intset", set.heap_bytes(), count);
    measure("intset: contains, of 512", steps, |step| {
        usize::from(set.contains(wanted[step % wanted.len()] as i64 * 7_919))
    });
    measure("intset: insert and remove, of 512", steps, |step| {
        let integer = wanted[step % wanted.len()] as i64 * 7_919 + 1;
        usize::from(set.insert(integer)) + usize::from(set.remove(integer))
    });
}

fn quicklists(count: usize, steps: usize) {
    for (name, depth) in [("quicklist", 0), ("quicklist, compressed inside", 1)] {
        let mut list = Quicklist::new(NodeLimit::from_size(-2), depth);
        for index in 0..count {
            list.push(End::Back, Element::Str(&member(index)));
        }
        let wanted = places(count, steps);
        print_bytes(name, list.heap_bytes(), count);
        measure(&format!("{name}: push and pop at an end"), steps, |_| {
            list.push(End::Back, Element::Int(12_345));
            list.pop(End::Back);
            list.len()
        });
        measure(
            &format!("{name}: element at an index"),
            steps / 100,
            |step| {
                let mut length = 0;
                list.visit(wanted[step % wanted.len()], End::Front, |element| {
                    length = element.to_vec().len();
                    ControlFlow::Break(())
                });
                length
            },
        );
    }
}

fn field_tables(count: usize, steps: usize) {
    let mut table = FieldTable::default();
    for index in 0..count {
        table.insert(&member(index), Some(b"value"), None);
    }
    let wanted = places(count, steps);
    print_bytes("field table", table.heap_bytes(), count);
    measure("field table: get", steps, |step| {
        let found = table.get(&member(wanted[step % wanted.len()]));
        found.and_then(|entry| entry.value()).map_or(0, <[u8]>::len)
    });
    measure("field table: set a value", steps, |step| {
        usize::from(table.insert(&member(wanted[step % wanted.len()]), Some(b"other"), None))
    });
    measure("field table: set and drop a deadline", steps, |step| {
        let field = member(wanted[step % wanted.len()]);
        table.set_deadline(&field, Some(1_000 + step as i64));
        usize::from(table.set_deadline(&field, None))
    });
    measure("field table: remove and insert", steps, |step| {
        let field = member(wanted[step % wanted.len()]);
        usize::from(table.remove(&field)) + usize::from(table.insert(&field, Some(b"value"), None))
    });
}

fn sorted_sets(count: usize, steps: usize) {
    let mut set = SortedSet::new();
    for index in 0..count {
        set.update(&member(index), |_| Some((index * 7_919 % 1_000_003) as f64));
    }
    let wanted = places(count, steps);
    print_bytes("sorted set", set.heap_bytes(), count);
    measure("sorted set: score", steps, |step| {
        set.score(&member(wanted[step % wanted.len()]))
            .unwrap_or(0.0) as usize
    });
    measure("sorted set: rank", steps, |step| {
        set.rank(&member(wanted[step % wanted.len()]))
            .map_or(0, |(rank, _)| rank)
    });
    measure("sorted set: raise a score by 1", steps, |step| {
        let name = member(wanted[step % wanted.len()]);
        set.update(&name, |score| score.map(|score| score + 1.0));
        set.len()
    });
    measure("sorted set: 10 from a rank on", steps / 10, |step| {
        let first = wanted[step % wanted.len()].min(set.len().saturating_sub(10));
        let walk = set.walk(first..first + 10, Direction::Up);
        walk.map(|entry| entry.member().len()).sum()
    });
    measure("sorted set: remove and insert", steps, |step| {
        let name = member(wanted[step % wanted.len()]);
        let score = set.remove(&name);
        set.update(&name, |_| score);
        set.len()
    });
}

fn streams(count: usize, steps: usize) {
    let limits = NodeLimits {
        bytes_max: 4096,
        entries_max: 100,
    };
    let mut stream = Stream::new();
    let append = |stream: &mut Stream, ms: u64| {
        let words = [&b"sensor"[..], b"17", b"value", b"123"];
        let appended = stream.log.append(StreamId::new(ms, 0), &words[..], limits);
        usize::from(appended.is_ok())
    };
    for index in 0..count {
        append(&mut stream, index as u64 + 1);
    }
    let wanted = places(count, steps);
    print_bytes("stream", stream.heap_bytes(), count);
    measure("stream: get by id", steps / 10, |step| {
        let id = StreamId::new(wanted[step % wanted.len()] as u64 + 1, 0);
        usize::from(stream.log.get(id).is_some())
    });
    measure("stream: 10 from an id on", steps / 10, |step| {
        let id = StreamId::new(wanted[step % wanted.len()] as u64 + 1, 0);
        stream.log.range(id, StreamId::MAX).take(10).count()
    });
    let mut ms = count as u64;
    measure("stream: append", steps, |_| {
        ms += 1;
        append(&mut stream, ms)
    });
}

fn hyperloglogs(steps: usize) {
    let mut sketch = Sketch::new(hyperloglog::empty(), 3_000).expect("an empty one is whole");
    let names: Vec<_> = (0..steps.min(1 << 16)).map(member).collect();
    let raise = |sketch: &mut Sketch, step: usize| {
        let (index, count) = hyperloglog::place(&names[step % names.len()]);
        usize::from(sketch.raise(index, count).expect("it is whole"))
    };
    for step in 0..300 {
        raise(&mut sketch, step);
    }
    measure(
        "hyperloglog, sparse: add what is there",
        steps / 100,
        |step| raise(&mut sketch, step % 300),
    );
    measure("hyperloglog, sparse: count", steps / 1_000, |_| {
        hyperloglog::cardinality(sketch.as_bytes()).expect("it is whole") as usize
    });
    for step in 0..names.len() {
        raise(&mut sketch, step);
    }
    measure("hyperloglog, dense: add", steps, |step| {
        raise(&mut sketch, step)
    });
    measure("hyperloglog, dense: count", steps / 1_000, |_| {
        hyperloglog::cardinality(sketch.as_bytes()).expect("it is whole") as usize
    });
}

fn bits(steps: usize) {
    const BYTES: usize = 1 << 20;
    let mut rng = Rng::with_seed(3);
    let one: Vec<u8> = (0..BYTES).map(|_| rng.below(256) as u8).collect();
    let other: Vec<u8> = (0..BYTES).map(|_| rng.below(256) as u8).collect();
    let zeros = vec![0_u8; BYTES];
    measure("bits: count, a MiB", steps / 10_000 + 1, |_| {
        bitmap::count(&one) as usize
    });
    measure(
        "bits: find the first in a MiB of zeros",
        steps / 10_000 + 1,
        |_| usize::from(bitmap::find(&zeros, true, 0..BYTES as u64 * 8).is_some()),
    );
    for (name, how) in [("and", Combine::And), ("xor", Combine::Xor)] {
        measure(
            &format!("bits: {name} of two of a MiB"),
            steps / 10_000 + 1,
            |_| {
                let mut combiner = Combiner::new(how);
                combiner.add(&one);
                combiner.add(&other);
                combiner.finish().len()
            },
        );
    }
    let text: Vec<u8> = (0..8_000).flat_map(member).take(8_192).collect();
    let packed = lzf::compress(&text, text.len()).expect("it repeats itself");
    measure("LZF: compress 8 KiB", steps / 1_000 + 1, |_| {
        lzf::compress(&text, text.len()).map_or(0, |bytes| bytes.len())
    });
    measure("LZF: decompress 8 KiB", steps / 1_000 + 1, |_| {
        lzf::decompress(&packed, text.len()).map_or(0, |bytes| bytes.len())
    });
}
