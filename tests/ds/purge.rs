//! What is given back of the allocator's pages in use: never anything that somebody has.

use std::ffi::c_void;

use libmimalloc_sys::{mi_free, mi_malloc};
use rondo::ds::purge::{GivenBack, free_bytes_in_used_pages, give_back_free_blocks};

use super::Random;

struct Block {
    memory: *mut u8,
    bytes: usize,
    fill: u8,
}

impl Block {
    fn new(bytes: usize, fill: u8) -> Self {
        // SAFETY: the memory is written as far as it was asked for.
        let memory = unsafe { mi_malloc(bytes) }.cast::<u8>();
        assert!(!memory.is_null());
        unsafe { memory.write_bytes(fill, bytes) };
        Self {
            memory,
            bytes,
            fill,
        }
    }

    fn is_whole(&self) -> bool {
        // SAFETY: as many bytes were written.
        let bytes = unsafe { std::slice::from_raw_parts(self.memory, self.bytes) };
        bytes.iter().all(|&byte| byte == self.fill)
    }

    fn free(self) {
        // SAFETY: it is freed once, by its owner.
        unsafe { mi_free(self.memory.cast::<c_void>()) };
    }
}

fn resident_bytes(memory: *mut u8, bytes: usize) -> usize {
    let start = memory.addr().next_multiple_of(4096);
    let count = (memory.addr() + bytes).saturating_sub(start) / 4096;
    let mut pages = vec![0_u8; count];
    let memory = memory.wrapping_add(start - memory.addr()).cast();
    // SAFETY: there is a byte for each page asked about.
    let told = unsafe { libc::mincore(memory, count * 4096, pages.as_mut_ptr()) };
    assert_eq!(told, 0);
    pages.iter().filter(|&&page| page & 1 == 1).count() * 4096
}

fn give_all_back(bytes_max: usize) -> usize {
    let mut bytes = 0;
    let mut from = 0;
    loop {
        let given = give_back_free_blocks(from, bytes_max);
        bytes += given.bytes;
        match given.next {
            Some(next) => {
                assert!(next > from, "every step looks at a page");
                from = next;
            }
            None => return bytes,
        }
    }
}

/// Blocks come and go at random, here and on another thread, and what is left is what it was.
#[test]
fn what_somebody_has_stays() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..8 {
            for _ in 0..200 {
                let bytes = match random.below(4) {
                    0 => random.below(500) + 1,
                    1 => random.below(9_000) + 1,
                    2 => random.below(130_000) + 1,
                    _ => 20_000,
                };
                blocks.push(Block::new(bytes, random.next() as u8));
            }
            let mut theirs = Vec::new();
            for _ in 0..150 {
                let index = random.below(blocks.len());
                let block = blocks.swap_remove(index);
                match random.below(4) {
                    0 => theirs.push((block.memory.expose_provenance(), block.bytes)),
                    _ => block.free(),
                }
            }
            let other = std::thread::spawn(move || {
                for (address, bytes) in theirs {
                    let memory = std::ptr::with_exposed_provenance_mut(address);
                    let fill = 0;
                    Block {
                        memory,
                        bytes,
                        fill,
                    }
                    .free();
                }
            });
            give_all_back(1 << (10 + random.below(12)));
            assert!(blocks.iter().all(Block::is_whole), "seed {seed}");
            other.join().expect("it frees");
        }
        give_all_back(usize::MAX);
        assert!(blocks.iter().all(Block::is_whole), "seed {seed}");
        blocks.into_iter().for_each(Block::free);
    }
}

/// One block of each size holds its page; all others of it are not resident any more, but for what holds their links.
#[test]
fn what_nobody_has_goes_back() {
    let sizes = [10_000, 20_000, 50_000, 100_000];
    let mut kept = Vec::new();
    let mut freed = Vec::new();
    for bytes in sizes {
        kept.push(Block::new(bytes, 1));
        let more: Vec<Block> = (0..7).map(|_| Block::new(bytes, 2)).collect();
        freed.extend(more.iter().map(|block| (block.memory, block.bytes)));
        more.into_iter().for_each(Block::free);
    }
    let free_bytes = free_bytes_in_used_pages();
    let resident = |blocks: &[(*mut u8, usize)]| -> usize {
        let of_one = |&(memory, bytes): &(*mut u8, usize)| resident_bytes(memory, bytes);
        blocks.iter().map(of_one).sum()
    };
    let before = resident(&freed);
    let given = give_all_back(usize::MAX);
    let after = resident(&freed);
    assert!(before > 7 * 160_000, "{before}");
    // A page of the system's at each end of a block.
    assert!(after <= freed.len() * 2 * 4096, "{after} of {before}");
    assert!(given >= before - after && given <= free_bytes, "{given}");
    assert!(kept.iter().all(Block::is_whole));
    // They can be had again.
    let again: Vec<Block> = sizes.iter().map(|&bytes| Block::new(bytes, 3)).collect();
    assert!(again.iter().chain(&kept).all(Block::is_whole));
    again.into_iter().chain(kept).for_each(Block::free);
}

/// A step ends where it has given enough, and the next goes on there.
#[test]
fn steps_are_short() {
    let blocks: Vec<Block> = (0..400).map(|_| Block::new(20_000, 1)).collect();
    let (kept, gone): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .enumerate()
        .partition(|(index, _)| index % 10 == 0);
    gone.into_iter().for_each(|(_, block)| block.free());
    let first = give_back_free_blocks(0, 100_000);
    assert!(first.bytes >= 100_000 && first.next.is_some(), "{first:?}");
    // A page of blocks of this size is of 1 MiB at most.
    assert!(first.bytes < 100_000 + (1 << 20), "{first:?}");
    assert!(give_all_back(100_000) > 3_000_000);
    assert!(kept.iter().all(|(_, block)| block.is_whole()));
    kept.into_iter().for_each(|(_, block)| block.free());
    let none = GivenBack::default();
    assert_eq!(give_back_free_blocks(usize::MAX, 1), none);
}
