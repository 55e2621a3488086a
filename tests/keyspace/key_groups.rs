//! Which keys live together without a hash tag.

use rondo::keyspace::{KeyGroups, SlotMap};

fn part(groups: &str, key: &str) -> String {
    let groups = KeyGroups::read(groups).expect("patterns");
    String::from_utf8(groups.part_of(key.as_bytes()).to_vec()).expect("a part of the key")
}

#[test]
fn a_key_goes_by_its_prefix_or_by_the_name_that_follows_it() {
    let groups = "bull:* dramatiq q/* bull";
    for (key, expected) in [
        ("bull:mails:wait", "bull:mails"),
        ("bull:mails:17:logs", "bull:mails"),
        ("bull:mails", "bull:mails"),
        ("bull:", "bull:"),
        ("bull::wait", "bull:"),
        ("bullet", "bull"),
        ("bul", "bul"),
        ("dramatiq", "dramatiq"),
        ("dramatiq:default.msgs", "dramatiq"),
        ("q/one/two", "q/one"),
        ("q:one/two", "q:one/two"),
        ("Bull:mails:wait", "Bull:mails:wait"),
        ("a bull:mails:wait", "a bull:mails:wait"),
        ("", ""),
    ] {
        assert_eq!(part(groups, key), expected, "{key}");
        assert_eq!(part("", key), key);
    }
}

#[test]
fn patterns_are_words() {
    for (text, told) in [
        ("", ""),
        (" \t ", ""),
        ("a", "a"),
        (" a:*\t b ", "a:* b"),
        ("ü:*", "ü:*"),
    ] {
        assert_eq!(KeyGroups::read(text).map(KeyGroups::text), Ok(told));
    }
    for text in ["*", "a *", "a* b*c", "**", "a**"] {
        assert!(KeyGroups::read(text).is_err(), "{text}");
    }
    assert_eq!(KeyGroups::read("a b"), KeyGroups::read(" a  b"));
    assert_ne!(KeyGroups::read("a b"), KeyGroups::read("b a"));
    assert_eq!(KeyGroups::read(""), Ok(KeyGroups::NONE));
}

#[test]
fn keys_of_a_group_share_a_shard_and_hash_tags_go_first() {
    let groups = KeyGroups::read("bull:* all").expect("patterns");
    for count in [1, 2, 7, 1024] {
        let alone = SlotMap::new(count);
        let map = alone.with_groups(groups);
        assert_eq!(map == alone, count == 1);
        let mut used = std::collections::BTreeSet::new();
        for name in 0..200 {
            let home = alone.shard_of(format!("bull:{name}").as_bytes());
            used.insert(home);
            for rest in ["", ":wait", ":1", ":events:x", ":{", ":{}", ":}x{"] {
                let key = format!("bull:{name}{rest}");
                assert_eq!(map.shard_of(key.as_bytes()), home, "{key}");
            }
            for key in [format!("bull:{name}:{{tag}}"), format!("all{{tag}}{name}")] {
                assert_eq!(map.shard_of(key.as_bytes()), alone.shard_of(b"tag"));
            }
            let key = format!("all{name}");
            assert_eq!(map.shard_of(key.as_bytes()), alone.shard_of(b"all"));
            for key in [format!("{name}"), format!("bul{name}:x")] {
                assert_eq!(map.shard_of(key.as_bytes()), alone.shard_of(key.as_bytes()));
            }
        }
        assert!(used.len() >= usize::from(count.min(100)), "groups spread");
    }
}
