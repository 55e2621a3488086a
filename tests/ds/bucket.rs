use rondo::ds::key_table::bucket::{Bucket, SLOTS, generic_matches};

/// Every slot alone, all and none, tags at both ends of the range.
#[test]
fn both_ways_to_match_tags_agree() {
    for pattern in 0..256_u64 {
        let is_wanted = |index: &usize| pattern >> index & 1 == 1;
        for tag in [0, 1, 0x7fff, 0x8000, 0xffff] {
            let mut bucket = Bucket([0; SLOTS]);
            for (index, slot) in bucket.0.iter_mut().enumerate() {
                let own = if is_wanted(&index) { tag } else { tag ^ 0x8001 };
                *slot = own << 48 | 0xffff_ffff_fff8;
            }
            let mut found: Vec<usize> = bucket.tag_matches(tag).collect();
            let mut expected: Vec<usize> = generic_matches(&bucket.0, tag).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected);
            let wanted: Vec<usize> = (0..SLOTS).filter(is_wanted).collect();
            assert_eq!(found, wanted);
        }
    }
}
