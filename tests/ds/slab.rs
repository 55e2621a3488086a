//! The slab against a plain list of live blocks.

use super::{Random, size};
use rondo::ds::slab::{CLASSES_COUNT, SPAN_BYTES, Slab, rounded_bytes};
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

/// More memory than a few mappings, thinned and filled again: spans and mappings go and come.
#[test]
fn contents_stay_while_mappings_come_and_go() {
    let mut random = Random(11);
    let mut slab = Slab::new();
    let mut live: Vec<Live> = Vec::new();
    let mut used_bytes = 0;
    for round in 0..3 {
        while slab.reserved_bytes() < size(1, 13) * 4 * 1024 * 1024 {
            live.push(filled_large(&mut slab, &mut random, &mut used_bytes));
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

/// A large slab's next mapping is on huge pages, touched beforehand; a part that is given back takes the wish for them back.
#[test]
#[cfg(not(miri))]
fn a_large_slab_goes_on_in_mappings_made_ready() {
    const MAPPING_BYTES: usize = 4 << 20;
    rondo::ds::huge_pages::start(|| (), || false).expect("a thread");
    let mut random = Random(12);
    let mut slab = Slab::new();
    let mut live: Vec<Live> = Vec::new();
    let mut used_bytes = 0;
    // Who is too fast for it gets a mapping that is not ready, and this one later.
    while slab.huge_bytes() == 0 {
        assert!(
            slab.reserved_bytes() < 100 * MAPPING_BYTES,
            "none came in 8 seconds"
        );
        if slab.reserved_bytes() > 8 * MAPPING_BYTES {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        for _ in 0..64 {
            live.push(filled_large(&mut slab, &mut random, &mut used_bytes));
        }
    }
    assert!(
        slab.reserved_bytes() > 8 * MAPPING_BYTES,
        "small ones have none"
    );
    assert_eq!(slab.huge_bytes(), MAPPING_BYTES);
    // The newest blocks are in it.
    for _ in 0..48 {
        free(&mut slab, live.pop().expect("filled"), &mut used_bytes);
    }
    slab.trim();
    assert_eq!(slab.huge_bytes(), 0, "given back in part");
    while let Some(block) = live.pop() {
        free(&mut slab, block, &mut used_bytes);
    }
    slab.trim();
    assert_eq!((slab.used_bytes(), slab.reserved_bytes()), (0, 0));
}

/// A mapping that is full is merged to huge pages, with all that is in it, where the kernel merges any; once a part is given back it is
/// left alone.
#[test]
#[cfg(not(miri))]
fn a_full_mapping_is_merged_with_what_is_in_it() {
    const MAPPING_BYTES: usize = 4 << 20;
    rondo::ds::huge_pages::start(|| (), || false).expect("a thread");
    let (mut random, mut slab) = (Random(15), Slab::new());
    let (mut live, mut used_bytes) = (Vec::new(), 0);
    while slab.reserved_bytes() < 3 * MAPPING_BYTES {
        let bytes = 1 + random.below(120);
        live.push(filled(&mut slab, bytes, random.next() as u8));
        used_bytes += rounded_bytes(bytes);
    }
    while slab.merged_bytes() < 2 * MAPPING_BYTES {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let first: &Live = &live[0];
    if merges_any() {
        assert!(huge_bytes_at(first.block.as_ptr().addr()) > 0);
    }
    assert_eq!(slab.used_bytes(), used_bytes);
    // Each is looked at as it goes.
    while let Some(block) = live.pop() {
        free(&mut slab, block, &mut used_bytes);
    }
    slab.trim();
    assert_eq!((slab.used_bytes(), slab.reserved_bytes()), (0, 0));
    assert_eq!(slab.merged_bytes(), 0);
}

/// Whether this kernel merges small pages when it is told to.
#[cfg(not(miri))]
fn merges_any() -> bool {
    const HUGE: usize = rondo::ds::huge_pages::HUGE_PAGE_BYTES;
    let mut bytes = vec![1_u8; 2 * HUGE];
    let start = bytes.as_mut_ptr();
    // SAFETY: the page lies in the vector, whose content stays.
    unsafe {
        libc::madvise(
            start.add(start.align_offset(HUGE)).cast(),
            HUGE,
            libc::MADV_COLLAPSE,
        ) == 0
    }
}

/// Bytes on huge pages of the mapping that has `address`.
#[cfg(not(miri))]
fn huge_bytes_at(address: usize) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("the kernel tells");
    let mut is_there = false;
    for line in maps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            let number = |hex| usize::from_str_radix(hex, 16).expect("an address");
            is_there = (number(start)..number(end)).contains(&address);
        } else if is_there && first == "AnonHugePages:" {
            let kib = line.split_whitespace().nth(1).expect("a number");
            return kib.parse::<usize>().expect("a number") << 10;
        }
    }
    0
}

/// Bytes of a span that no block has.
const HEADER_BYTES: usize = 64;

/// A class with one span, of which two thirds are free: its blocks move to a fresh span, which has no more free blocks than
/// were handed out of it, and stays.
#[test]
fn a_lone_span_is_emptied_into_a_fresh_one_once() {
    for bytes in [24, 104, 640, 4096] {
        let mut slab = Slab::new();
        let blocks_count = (SPAN_BYTES - HEADER_BYTES) / bytes;
        let mut live: Vec<Live> = (0..blocks_count)
            .map(|number| filled(&mut slab, bytes, number as u8))
            .collect();
        let mut used_bytes = blocks_count * bytes;
        let mut number = 0;
        while number < live.len() {
            for _ in 0..2 {
                if number < live.len() {
                    free(&mut slab, live.swap_remove(number), &mut used_bytes);
                }
            }
            number += 1;
        }
        let free_bytes = blocks_count * bytes - used_bytes;
        assert!(free_bytes > SPAN_BYTES / 2, "{bytes}");
        let tail_bytes = SPAN_BYTES - HEADER_BYTES - blocks_count * bytes;
        assert_eq!(slab.slack_bytes(), HEADER_BYTES + free_bytes, "{bytes}");
        assert_eq!(
            slab.reserved_bytes() - slab.used_bytes() - slab.slack_bytes(),
            tail_bytes,
            "{bytes}"
        );
        let moved_count = compact(&mut slab, &mut live, 50);
        assert_eq!(moved_count, live.len(), "{bytes}: each moves once");
        assert_eq!(slab.used_bytes(), used_bytes, "{bytes}");
        assert_eq!(slab.slack_bytes(), HEADER_BYTES + SPAN_BYTES, "{bytes}");
        slab.trim();
        assert_eq!(slab.slack_bytes(), HEADER_BYTES, "{bytes}");
        assert_eq!(slab.reserved_bytes(), SPAN_BYTES, "{bytes}");
        for block in live {
            free(&mut slab, block, &mut used_bytes);
        }
        slab.trim();
        assert_eq!((slab.slack_bytes(), slab.reserved_bytes()), (0, 0));
    }
}

/// Few free blocks are not worth a span, nor is what was never reached.
#[test]
fn a_lone_span_with_little_to_win_stays() {
    let mut slab = Slab::new();
    let mut live: Vec<Live> = (0..40).map(|_| filled(&mut slab, 1024, 7)).collect();
    let mut used_bytes = 40 * 1024;
    for _ in 0..15 {
        free(&mut slab, live.swap_remove(0), &mut used_bytes);
    }
    assert_eq!(slab.slack_bytes(), HEADER_BYTES + 15 * 1024);
    assert_eq!(compact(&mut slab, &mut live, 90), 0);
    free(&mut slab, live.swap_remove(0), &mut used_bytes);
    assert_eq!(compact(&mut slab, &mut live, 90), 24);
    for block in live {
        free(&mut slab, block, &mut used_bytes);
    }
}

/// Blocks of all classes, of which most go at random: spans are emptied until no class has 16 KiB of free blocks in the one that
/// is the sparsest, calls come to an end, and whatever is out keeps its content.
#[test]
fn all_classes_are_compacted_and_calls_come_to_an_end() {
    for seed in 0..size(1, 6) as u64 {
        let mut random = Random(seed);
        let mut slab = Slab::new();
        let mut live: Vec<Live> = Vec::new();
        let mut used_bytes = 0;
        for round in 0..size(2, 5) {
            let (bytes_max, keeps) = ([9000, 300, 2500][round % 3], 1 + random.below(6));
            for _ in 0..size(300, 6000) {
                let bytes = 1 + random.below(bytes_max);
                used_bytes += rounded_bytes(bytes);
                live.push(filled(&mut slab, bytes, random.next() as u8));
            }
            for index in (0..live.len()).rev() {
                if random.below(10) >= keeps {
                    free(&mut slab, live.swap_remove(index), &mut used_bytes);
                }
            }
            let before = slab.slack_bytes();
            compact(&mut slab, &mut live, 75);
            assert_eq!(slab.used_bytes(), used_bytes, "SEED={seed}");
            slab.trim();
            let (after, spans_count) = (slab.slack_bytes(), slab.reserved_bytes() / SPAN_BYTES);
            assert!(after <= before, "SEED={seed}: {after} of {before}");
            // A class's spans but the sparsest are more than three quarters full, or there is no other.
            assert!(
                after <= spans_count * (HEADER_BYTES + SPAN_BYTES / 4 + 8192),
                "SEED={seed}: {after} in {spans_count}"
            );
        }
        for block in live {
            free(&mut slab, block, &mut used_bytes);
        }
        slab.trim();
        assert_eq!((slab.slack_bytes(), slab.reserved_bytes()), (0, 0));
    }
}

/// Moves what the slab names until it names nothing, and says how many blocks moved.
fn compact(slab: &mut Slab, live: &mut [Live], percent: u32) -> usize {
    let mut moved_count = 0;
    let mut others = Vec::new();
    for class in 0..CLASSES_COUNT {
        let mut calls_max = 2 + slab.reserved_bytes() / SPAN_BYTES;
        loop {
            slab.evacuate_sparsest(class, percent, 64, &mut others);
            if others.is_empty() {
                break;
            }
            assert!(calls_max > 0, "class {class}: it does not end");
            calls_max -= 1;
            moved_count += others.len();
            let mut olds = Vec::new();
            for named in &others {
                let live = live.iter_mut().find(|live| live.block == *named);
                let live = live.expect("a block in use is named");
                let new = slab.allocate(live.bytes);
                assert!(!others.contains(&new), "into the span that is emptied");
                // SAFETY: both have `bytes` bytes, and are not the same.
                unsafe {
                    std::ptr::copy_nonoverlapping(live.block.as_ptr(), new.as_ptr(), live.bytes);
                }
                olds.push((std::mem::replace(&mut live.block, new), live.bytes));
            }
            for (block, bytes) in olds {
                // SAFETY: it has moved.
                unsafe { slab.free(block, bytes) };
            }
            others.clear();
        }
    }
    moved_count
}

fn filled(slab: &mut Slab, bytes: usize, fill: u8) -> Live {
    let block = slab.allocate(bytes);
    // SAFETY: the block has `bytes` bytes.
    unsafe { block.as_ptr().write_bytes(fill, bytes) };
    Live { block, bytes, fill }
}

/// A block of a random size near the largest class, filled.
fn filled_large(slab: &mut Slab, random: &mut Random, used_bytes: &mut usize) -> Live {
    let bytes = 7000 + random.below(1192);
    *used_bytes += rounded_bytes(bytes);
    filled(slab, bytes, random.next() as u8)
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
