//! The growing buffer against a `Vec<u8>`.

use super::{Random, size};
use bytes::Bytes;
use rondo::ds::growing_buffer::GrowingBuffer;

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
