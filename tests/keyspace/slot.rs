//! Slots and hash tags.

use rondo::keyspace::slot_of;

/// As the cluster's specification says it, byte by byte.
fn tag(key: &[u8]) -> &[u8] {
    let open = key.iter().position(|&byte| byte == b'{');
    let Some(rest) = open.map(|open| &key[open + 1..]) else {
        return key;
    };
    match rest.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(length) => &rest[..length],
    }
}

#[test]
fn slots_are_those_of_a_cluster() {
    for (key, slot) in [
        ("123456789", 12_739),
        ("foo", 12_182),
        ("{foo}bar", 12_182),
        ("bar{foo}{x}", 12_182),
        ("", 0),
    ] {
        assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
    }
}

#[test]
fn a_hash_tag_counts_wherever_it_is() {
    // Bytes beside the brace's, which it must not be taken for.
    for filler in [b'z', b'|', 0x00, 0xfb, 0xff] {
        for length in 0..40 {
            let key = vec![filler; length];
            assert_eq!(slot_of(&key), slot_of(tag(&key)));
            for open in 0..length {
                let mut key = key.clone();
                key[open] = b'{';
                // Without its end, all of the key counts; a key in which a later byte differs shows it.
                assert_eq!(tag(&key), key);
                for close in open + 1..length {
                    let mut key = key.clone();
                    key[close] = b'}';
                    let part = tag(&key).to_vec();
                    assert_eq!(part.len() < length, close > open + 1);
                    if close > open + 1 {
                        let mut other = b"other{".to_vec();
                        other.extend_from_slice(&part);
                        other.extend_from_slice(b"}key");
                        assert_eq!(slot_of(&key), slot_of(&other), "{key:?}");
                        assert_eq!(slot_of(&key), slot_of(&part), "{key:?}");
                    }
                }
            }
        }
    }
}
