//! The size classes, at their edges.

use rondo::ds::block_size::block_bytes;

#[test]
fn sizes_are_the_allocators_classes() {
    for (bytes, block) in [
        (0, 0),
        (1, 8),
        (8, 8),
        (9, 16),
        (17, 32),
        (33, 48),
        (128, 128),
        (129, 160),
        (160, 160),
        (161, 192),
        (256, 256),
        (257, 320),
        (1025, 1280),
        (65_536, 65_536),
        (65_537, 69_632),
    ] {
        assert_eq!(block_bytes(bytes), block, "{bytes}");
    }
    for bytes in 1..70_000 {
        assert_eq!(block_bytes(block_bytes(bytes)), block_bytes(bytes));
    }
}
