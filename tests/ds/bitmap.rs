//! Bits against loops that look at one bit at a time.

use super::{Random, size};
use rondo::ds::bitmap::{Combine, Combiner, count, count_in, find};

fn bit(bytes: &[u8], index: u64) -> bool {
    let byte = bytes.get((index / 8) as usize).copied().unwrap_or(0);
    byte >> (7 - index % 8) & 1 == 1
}

/// Mostly zeros, mostly ones, or anything.
fn string(random: &mut Random, length_max: usize) -> Vec<u8> {
    let length = random.below(length_max + 1);
    let kind = random.below(3);
    let byte = |random: &mut Random| match kind {
        0 => 0,
        1 => 0xff,
        _ => random.next() as u8,
    };
    let mut bytes: Vec<u8> = (0..length).map(|_| byte(random)).collect();
    for _ in 0..random.below(3).min(length) {
        let at = random.below(length);
        bytes[at] = random.next() as u8;
    }
    bytes
}

#[test]
fn counts_and_finds_what_a_loop_over_bits_does() {
    for seed in 0..size(20, 2_000) as u64 {
        let mut random = Random(seed);
        let bytes = string(&mut random, 300);
        let bits_count = bytes.len() as u64 * 8;
        let all = (0..bits_count).filter(|&index| bit(&bytes, index)).count() as u64;
        assert_eq!(count(&bytes), all, "SEED={seed}");
        for _ in 0..20 {
            let start = random.below(bits_count as usize + 1) as u64;
            let end = start + random.below((bits_count - start) as usize + 1) as u64;
            let ones = (start..end).filter(|&index| bit(&bytes, index)).count() as u64;
            assert_eq!(
                count_in(&bytes, start..end),
                ones,
                "SEED={seed} {start}..{end}"
            );
            for wanted in [false, true] {
                let first = (start..end).find(|&index| bit(&bytes, index) == wanted);
                let found = find(&bytes, wanted, start..end);
                assert_eq!(found, first, "SEED={seed} {wanted} in {start}..{end}");
            }
        }
    }
}

#[test]
fn long_strings_are_counted_alike() {
    let mut random = Random(1);
    let bytes: Vec<u8> = (0..size(1_000, 100_003))
        .map(|_| random.next() as u8)
        .collect();
    let ones = bytes
        .iter()
        .map(|byte| u64::from(byte.count_ones()))
        .sum::<u64>();
    assert_eq!(count(&bytes), ones);
}

fn expected(how: Combine, bits: &[bool]) -> bool {
    let (x, ys) = bits.split_first().expect("a source");
    let any = ys.contains(&true);
    let ones = bits.iter().filter(|bit| **bit).count();
    match how {
        Combine::And => ones == bits.len(),
        Combine::Or => ones > 0,
        Combine::Xor => ones % 2 == 1,
        Combine::Not => !x,
        Combine::Diff => *x && !any,
        Combine::Diff1 => !x && any,
        Combine::AndOr => *x && any,
        Combine::One => ones == 1,
    }
}

#[test]
fn combines_what_a_loop_over_bits_does() {
    const ALL: [Combine; 8] = [
        Combine::And,
        Combine::Or,
        Combine::Xor,
        Combine::Not,
        Combine::Diff,
        Combine::Diff1,
        Combine::AndOr,
        Combine::One,
    ];
    for seed in 0..size(5, 300) as u64 {
        let mut random = Random(seed);
        for how in ALL {
            let sources_count = match how {
                Combine::Not => 1,
                Combine::Diff | Combine::Diff1 | Combine::AndOr => 2 + random.below(4),
                _ => 1 + random.below(5),
            };
            let sources: Vec<Vec<u8>> = (0..sources_count)
                .map(|_| string(&mut random, 80))
                .collect();
            let mut combiner = Combiner::new(how);
            sources.iter().for_each(|source| combiner.add(source));
            let result = combiner.finish();
            let length = sources.iter().map(Vec::len).max().unwrap();
            assert_eq!(result.len(), length, "SEED={seed} {how:?}");
            for index in 0..length as u64 * 8 {
                let bits: Vec<bool> = sources.iter().map(|source| bit(source, index)).collect();
                let want = expected(how, &bits);
                assert_eq!(bit(&result, index), want, "SEED={seed} {how:?} bit {index}");
            }
        }
    }
}
