//! Bytes taken from the front, against a plain list.

use rondo::base::rng::Rng;
use rondo::node::unread::Unread;

#[test]
fn what_is_read_is_what_has_come() {
    let mut random = Rng::with_seed(3);
    let (mut unread, mut model) = (Unread::default(), Vec::new());
    for step in 0..5_000u32 {
        if random.below(3) == 0 {
            let bytes: Vec<u8> = (0..random.below(300)).map(|_| step as u8).collect();
            unread.append(&bytes);
            model.extend(bytes);
        }
        let count = random.below(200).min(model.len() as u64) as usize;
        unread.consume(count);
        model.drain(..count);
        assert_eq!(unread.as_slice(), model);
        assert_eq!(unread.len(), model.len());
        assert_eq!(unread.is_empty(), model.is_empty());
        // At most as much again has been read.
        assert!(unread.capacity() <= 4 * (model.len() + 600), "{step}");
    }
    unread.consume(model.len());
    unread.shrink();
    assert_eq!(unread.capacity(), 0);
}
