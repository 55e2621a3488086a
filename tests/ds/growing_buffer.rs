//! The growing buffer against a `Vec<u8>`.

use super::{Random, size};
use bytes::Bytes;
use rondo::ds::growing_buffer::GrowingBuffer;
use rondo::ds::spare_mappings;

#[test]
fn holds_what_was_appended_over_many_doublings() {
    let mut random = Random(7);
    let mut buffer = GrowingBuffer::new();
    let mut model = Vec::new();
    assert!(buffer.is_empty());
    assert_eq!(buffer.as_slice(), b"");
    while model.len() < size(200_000, 5_000_000) {
        let length = random.below(100_000);
        let piece: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
        buffer.extend_from_slice(&piece).unwrap();
        model.extend_from_slice(&piece);
        assert_eq!(buffer.len(), model.len());
    }
    assert!(buffer.as_slice() == model);
    assert!(buffer.capacity() <= 2 * model.len());
    buffer.truncate_to_len();
    assert!(buffer.capacity() - buffer.len() < 4096);
    assert!(buffer.as_slice() == model);
    // It goes on growing after that.
    buffer.extend_from_slice(&[1; 10_000]).unwrap();
    model.extend_from_slice(&[1; 10_000]);
    assert!(buffer.as_slice() == model);
}

#[test]
fn becomes_shared_bytes_that_another_thread_may_drop() {
    let mut buffer = GrowingBuffer::new();
    buffer.extend_from_slice(&[42; 100_000]).unwrap();
    buffer.truncate_to_len();
    let bytes = Bytes::from_owner(buffer);
    let part = bytes.slice(1000..2000);
    drop(bytes);
    std::thread::spawn(move || assert!(part == [42; 1000][..]))
        .join()
        .unwrap();
}

#[test]
fn an_empty_buffer_gives_everything_back() {
    let mut buffer = GrowingBuffer::default();
    buffer.truncate_to_len();
    buffer.extend_from_slice(b"").unwrap();
    assert_eq!((buffer.len(), buffer.capacity()), (0, 0));
    buffer.extend_from_slice(b"abc").unwrap();
    assert_eq!(buffer.as_ref(), b"abc");
}

#[test]
fn takes_what_is_written_to_its_room() {
    for length in [30_000, 1_200_000] {
        let mut buffer = GrowingBuffer::expecting(length);
        buffer.extend_from_slice(b"abc").unwrap();
        let (start, bytes) = buffer.room(20_000).unwrap();
        assert_eq!(bytes, 20_000);
        assert_eq!(
            start.as_ptr().cast_const(),
            buffer.as_slice().as_ptr_range().end
        );
        assert_eq!(buffer.len(), 3);
        // SAFETY: there is room for that, and it is written before it is said to be there.
        unsafe {
            start.write_bytes(b'd', 2);
            buffer.advance(2);
        }
        assert_eq!(buffer.as_slice(), b"abcdd");
        assert!(buffer.room(0).unwrap().1 > 0);
    }
}

/// What is expected to be short is no mapping, of which a process has some ten thousands: it becomes one when it is longer.
#[test]
#[cfg_attr(miri, ignore = "parts of mappings are unmapped")]
fn only_long_ones_are_mapped() {
    on_a_thread(|| {
        spare_mappings::keep(8 << 20);
        drop(filled(1_000_000, 1, 1_000_000));
        assert_eq!(spare_mappings::bytes(), 0);
        drop(filled(1_100_000, 1, 1_000_000));
        assert_eq!(
            spare_mappings::bytes(),
            1_100_000_usize.next_multiple_of(4096)
        );
    });
}

#[test]
fn zeros_come_behind_what_is_there_whatever_was_there_before() {
    let mut buffer = GrowingBuffer::new();
    let mut model = Vec::new();
    let mut random = Random(5);
    for step in 0..60 {
        let length = random.below(size(2_000, 150_000));
        match random.below(4) {
            0 => {
                buffer.extend_zeros(length).unwrap();
                model.resize(model.len() + length, 0);
            }
            1 => {
                buffer.extend_from_slice(&vec![step; length]).unwrap();
                model.resize(model.len() + length, step);
            }
            2 => {
                buffer.truncate(length);
                model.truncate(length);
            }
            _ => {
                let some = length.min(model.len());
                buffer.as_mut_slice()[..some].fill(step);
                model[..some].fill(step);
            }
        }
        assert!(buffer.as_slice() == model, "step {step}");
    }
    let mut zeros = GrowingBuffer::zeros(70_000).unwrap();
    assert!(zeros.as_slice() == vec![0; 70_000]);
    zeros.as_mut_slice()[69_999] = 1;
    zeros.extend_zeros(10).unwrap();
    assert_eq!(
        &zeros.as_slice()[69_998..],
        &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert!(GrowingBuffer::zeros(0).unwrap().is_empty());
}

/// Spare memory is of a thread: each of these runs on one of its own.
fn on_a_thread(run: impl FnOnce() + Send + 'static) {
    std::thread::spawn(run).join().unwrap();
}

fn filled(length: usize, byte: u8, expected: usize) -> GrowingBuffer {
    let mut buffer = GrowingBuffer::expecting(expected);
    let pieces = vec![byte; length];
    for piece in pieces.chunks(16 * 1024) {
        buffer.extend_from_slice(piece).unwrap();
    }
    buffer.truncate_to_len();
    buffer
}

#[test]
fn a_thread_keeps_nothing_before_it_asks_to() {
    on_a_thread(|| {
        drop(filled(3_000_000, 1, 3_000_000));
        assert_eq!(spare_mappings::bytes(), 0);
    });
}

#[test]
#[cfg_attr(miri, ignore = "parts of mappings are unmapped")]
fn the_next_buffer_takes_the_memory_of_the_last() {
    on_a_thread(|| {
        spare_mappings::keep(8 << 20);
        let length = (3 << 20) + 40;
        let first = filled(length, 1, length);
        let place = first.as_slice().as_ptr() as usize;
        drop(first);
        let kept = length.next_multiple_of(4096);
        assert_eq!(spare_mappings::bytes(), kept);
        for byte in 2..5 {
            let next = filled(length, byte, length);
            assert_eq!(spare_mappings::bytes(), 0);
            assert_eq!(next.as_slice().as_ptr() as usize, place);
            assert!(next.as_slice() == vec![byte; length]);
            drop(next);
            assert_eq!(spare_mappings::bytes(), kept);
        }
        // A small one takes a part of it, a larger one all there is and more.
        let small = filled(1_100_000, 9, 1_100_000);
        assert_eq!(
            spare_mappings::bytes(),
            kept - 1_100_000_usize.next_multiple_of(4096)
        );
        let large = filled(6_000_000, 8, 6_000_000);
        assert_eq!(spare_mappings::bytes(), 0);
        assert!(small.as_slice() == vec![9; 1_100_000]);
        assert!(large.as_slice() == vec![8; 6_000_000]);
    });
}

#[test]
#[cfg_attr(miri, ignore = "parts of mappings are unmapped")]
fn what_is_not_used_goes_back_and_never_more_is_kept_than_was_asked_for() {
    on_a_thread(|| {
        let most = 3 << 20;
        spare_mappings::keep(most);
        let buffers: Vec<_> = (1..9)
            .map(|n| filled(n * 200_000, 1, n * 200_000))
            .collect();
        drop(buffers);
        let kept = spare_mappings::bytes();
        assert!(kept > most - 64 * 1024 && kept <= most, "{kept}");
        // The first tick begins to watch; what is used between two stays.
        spare_mappings::tick();
        let kept = spare_mappings::bytes();
        drop(filled(kept - 65_536, 2, kept - 65_536));
        spare_mappings::tick();
        assert!(spare_mappings::bytes() >= kept - (1 << 20));
        (0..5).for_each(|_| spare_mappings::tick());
        assert_eq!(spare_mappings::bytes(), 0);
        drop(filled(1 << 20, 3, 0));
        spare_mappings::give_back();
        assert_eq!(spare_mappings::bytes(), 0);
    });
}

#[test]
#[cfg_attr(miri, ignore = "parts of mappings are unmapped")]
fn buffers_of_all_lengths_in_turn_keep_what_is_theirs() {
    on_a_thread(|| {
        let most = 8 << 20;
        spare_mappings::keep(most);
        let mut random = Random(11);
        let mut held: Vec<(GrowingBuffer, u8)> = Vec::new();
        for step in 0..200 {
            let length = 1 + random.below(2_800_000);
            // What was announced may be wrong.
            let expected = [0, length, length / 2, length * 2][random.below(4)];
            let byte = step as u8;
            held.push((filled(length, byte, expected), byte));
            while held.len() > random.below(8) {
                let (buffer, byte) = held.swap_remove(random.below(held.len()));
                assert!(buffer.as_slice().iter().all(|&it| it == byte));
            }
            if random.below(5) == 0 {
                spare_mappings::tick();
            }
            assert!(spare_mappings::bytes() <= most);
        }
        for (buffer, byte) in held {
            assert!(buffer.as_slice().iter().all(|&it| it == byte));
        }
    });
}
