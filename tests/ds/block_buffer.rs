//! Buffers for direct writes: as a vector's, at a block's boundary, on the heap and on a huge page.

use std::time::{Duration, Instant};

use rondo::base::rng::Rng;
use rondo::ds::block_buffer::{BLOCK_BYTES, BlockBuffer};
use rondo::ds::block_pool::BlockPool;
use rondo::ds::huge_pages;

const KEPT_BYTES_MAX: usize = 1 << 20;

/// Does to both what is drawn, and compares them after each step.
fn change(buffer: &mut BlockBuffer, model: &mut Vec<u8>, rng: &mut Rng, bytes_max: usize) {
    for _ in 0..50 {
        match rng.next_u64() % 8 {
            0 => {
                let length = rng.next_u64() as usize % (model.len() + 1);
                buffer.truncate(length);
                model.truncate(length);
            }
            1 => {
                let to = [8, BLOCK_BYTES][rng.next_u64() as usize % 2];
                buffer.pad(to);
                model.resize(model.len().next_multiple_of(to), 0);
            }
            2 if !model.is_empty() => {
                let at = rng.next_u64() as usize % model.len();
                buffer.as_mut_slice()[at] ^= 1;
                model[at] ^= 1;
            }
            _ => {
                let length = rng.next_u64() as usize % (bytes_max + 1);
                let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
                buffer.extend(&bytes);
                model.extend_from_slice(&bytes);
            }
        }
        assert_eq!(
            (buffer.len(), buffer.is_empty()),
            (model.len(), model.is_empty())
        );
        assert!(buffer.capacity() >= buffer.len());
        assert!(buffer.as_slice() == model, "{} bytes", model.len());
        let is_aligned = buffer
            .as_slice()
            .as_ptr()
            .addr()
            .is_multiple_of(BLOCK_BYTES);
        assert!(buffer.capacity() == 0 || is_aligned);
    }
}

#[test]
fn it_is_a_vector_at_a_boundary() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let bytes_max = [3, 200, 5_000, 70_000][seed as usize % 4];
        let mut buffer = match rng.next_u64() % 3 {
            0 => BlockBuffer::default(),
            1 => BlockBuffer::with_capacity(0),
            _ => BlockBuffer::with_capacity(1 + rng.next_u64() as usize % 10_000),
        };
        let mut model = Vec::new();
        change(&mut buffer, &mut model, &mut rng, bytes_max);
        buffer.clear();
        model.clear();
        change(&mut buffer, &mut model, &mut rng, bytes_max);
    }
}

#[test]
fn small_ones_are_kept_and_large_ones_are_not() {
    let mut pool = BlockPool::default();
    for bytes in [100, KEPT_BYTES_MAX + 1] {
        let mut buffer = BlockBuffer::default();
        buffer.extend(&vec![1; bytes]);
        pool.keep(buffer, KEPT_BYTES_MAX, 4);
    }
    let buffer = pool.take();
    assert_eq!((buffer.len(), buffer.capacity()), (0, BLOCK_BYTES));
    pool.keep(BlockBuffer::with_capacity(1), KEPT_BYTES_MAX, 1);
    pool.keep(buffer, KEPT_BYTES_MAX, 1);
    assert_eq!(pool.take().capacity(), BLOCK_BYTES);
    assert_eq!(pool.take().capacity(), 0, "no more than that is kept");
}

/// A large buffer back, and a buffer for the next write, until that is on a huge page.
fn until_in_slot(pool: &mut BlockPool) -> BlockBuffer {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut buffer = pool.take();
        if buffer.is_in_slot() {
            return buffer;
        }
        buffer.extend(&vec![1; 200_000]);
        pool.keep(buffer, KEPT_BYTES_MAX, 4);
        assert!(Instant::now() < until, "no memory came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn large_ones_lie_apart_on_one_huge_page_and_leave_it_when_they_outgrow_it() {
    huge_pages::start(|| {}, || false).expect("there is a thread to be had");
    let mut pool = BlockPool::default();
    for seed in 0..8 {
        let mut rng = Rng::with_seed(seed);
        let mut buffers = vec![(until_in_slot(&mut pool), Vec::new())];
        for _ in 0..5 {
            buffers.push((pool.take(), Vec::new()));
        }
        let in_slots = buffers.iter().filter(|(buffer, _)| buffer.is_in_slot());
        assert_eq!(in_slots.count(), 4);
        for _ in 0..3 {
            for (buffer, model) in &mut buffers {
                change(buffer, model, &mut rng, 20_000);
            }
            // What others have done to theirs has changed none of these.
            assert!(
                buffers
                    .iter()
                    .all(|(buffer, model)| buffer.as_slice() == model)
            );
        }
        let outgrown = &mut buffers[0].0;
        outgrown.extend(&vec![7; 600_000]);
        assert!(!outgrown.is_in_slot());
        assert!(pool.take().is_in_slot(), "its place is free again");
        for (buffer, _) in buffers {
            pool.keep(buffer, KEPT_BYTES_MAX, 4);
        }
    }
    let last = pool.take();
    drop(pool);
    // The page is there for as long as one of its slots is in use.
    let mut buffer = last;
    buffer.extend(&vec![9; 500_000]);
    assert!(buffer.is_in_slot() && buffer.as_slice().iter().all(|&byte| byte == 9));
    let elsewhere = std::thread::spawn(move || buffer.len());
    assert_eq!(elsewhere.join().ok(), Some(500_000));
}
