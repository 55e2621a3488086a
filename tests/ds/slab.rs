//! The slab against a plain list of live blocks.

use super::{Random, size};
use rondo::ds::slab::{SPAN_BYTES, Slab, rounded_bytes};
use std::ptr::NonNull;

struct Live {
    block: NonNull<u8>,
    bytes: usize,
    fill: u8,
}

/// Each block is filled with its own byte and looked at when it is freed: an overlap would show.
#[test]
fn blocks_do_not_overlap_and_the_accounts_are_exact() {
    for seed in 0..size(1, 4) as u64 {
        let mut random = Random(seed);
        let mut slab = Slab::new();
        let mut live: Vec<Live> = Vec::new();
        let mut used_bytes = 0;
        for step in 0..size(600, 60_000) {
            let grows = (step / size(200, 10_000)).is_multiple_of(2);
            if live.is_empty() || random.below(10) < if grows { 7 } else { 3 } {
                let bytes = match random.below(20) {
                    0 => 1 + random.below(20_000),
                    1..4 => 1 + random.below(9000),
                    _ => 1 + random.below(120),
                };
                let block = slab.allocate(bytes);
                let fill = random.next() as u8;
                assert_eq!(block.as_ptr() as usize % 8, 0, "SEED={seed}");
                if rounded_bytes(bytes).is_multiple_of(64) {
                    assert_eq!(block.as_ptr() as usize % 64, 0, "SEED={seed}");
                }
                // SAFETY: the block has `bytes` bytes.
                unsafe { block.as_ptr().write_bytes(fill, bytes) };
                used_bytes += rounded_bytes(bytes);
                live.push(Live { block, bytes, fill });
            } else {
                let index = random.below(live.len());
                free(&mut slab, live.swap_remove(index), &mut used_bytes);
            }
            assert_eq!(slab.used_bytes(), used_bytes, "SEED={seed}");
            assert!(slab.reserved_bytes() >= used_bytes, "SEED={seed}");
        }
        for block in live {
            free(&mut slab, block, &mut used_bytes);
        }
        assert_eq!(slab.used_bytes(), 0, "SEED={seed}");
        assert!(slab.reserved_bytes() <= 2 * SPAN_BYTES, "SEED={seed}");
        slab.trim();
        assert_eq!(slab.reserved_bytes(), 0, "SEED={seed}");
    }
}

#[test]
fn a_class_wastes_at_most_an_eighth_above_64_bytes() {
    for bytes in 1..10_000_usize {
        let rounded = rounded_bytes(bytes);
        assert!(rounded >= bytes && rounded_bytes(rounded) == rounded);
        assert!(
            rounded - bytes < 8.max(rounded / 8 + 1),
            "{bytes} as {rounded}"
        );
    }
}

#[test]
fn abandoned_blocks_go_back_span_by_span() {
    let mut slab = Slab::new();
    let blocks_count = size(300, 10_000);
    for _ in 0..blocks_count {
        slab.allocate(512);
    }
    assert_eq!(slab.used_bytes(), blocks_count * 512);
    let spans_count = slab.reserved_bytes() / SPAN_BYTES;
    assert_eq!(spans_count, blocks_count.div_ceil(127));
    // SAFETY: no block is used.
    unsafe {
        assert!(!slab.abandon(1));
        assert_eq!(slab.reserved_bytes(), (spans_count - 1) * SPAN_BYTES);
        assert!(slab.abandon(spans_count));
    }
    assert_eq!(slab.used_bytes(), 0);
    assert_eq!(slab.reserved_bytes(), 0);
}

/// More memory than the first mappings: what comes later, and what is full, is wanted on huge pages, and no longer once spans of it
/// have gone back.
#[test]
fn contents_stay_where_huge_pages_are_wanted_and_no_longer_wanted() {
    let mut random = Random(11);
    let mut slab = Slab::new();
    let mut live: Vec<Live> = Vec::new();
    let mut used_bytes = 0;
    for round in 0..3 {
        while slab.reserved_bytes() < size(1, 13) * 4 * 1024 * 1024 {
            let bytes = 7000 + random.below(1192);
            let fill = random.next() as u8;
            let block = slab.allocate(bytes);
            // SAFETY: the block has `bytes` bytes.
            unsafe { block.as_ptr().write_bytes(fill, bytes) };
            used_bytes += rounded_bytes(bytes);
            live.push(Live { block, bytes, fill });
        }
        let kept_count = live.len() / [2, 10, 1][round];
        while live.len() > kept_count {
            // Neighbours go together, so that whole spans do.
            let first = random.below(live.len());
            for _ in 0..16.min(live.len() - first) {
                free(&mut slab, live.remove(first), &mut used_bytes);
            }
        }
        assert_eq!(slab.used_bytes(), used_bytes);
    }
    for block in live {
        free(&mut slab, block, &mut used_bytes);
    }
    slab.trim();
    assert_eq!(slab.reserved_bytes(), 0);
}

fn free(slab: &mut Slab, live: Live, used_bytes: &mut usize) {
    // SAFETY: the block is live and has `bytes` bytes, all written.
    unsafe {
        let content = std::slice::from_raw_parts(live.block.as_ptr(), live.bytes);
        assert!(content.iter().all(|byte| *byte == live.fill), "overwritten");
        slab.free(live.block, live.bytes);
    }
    *used_bytes -= rounded_bytes(live.bytes);
}
