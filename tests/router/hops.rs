//! How many messages transactions cost, the coordinator being shard 0.

use super::instant::Instant;

/// Four keys: `own` of them on shard 0, the others on the shards from 1 on, one after the other.
fn keys(server: &Instant, own: usize) -> Vec<String> {
    let find = |shard: usize, from: usize| {
        (from..)
            .map(|number| format!("k{number}"))
            .find(|key| usize::from(server.map.shard_of(key.as_bytes())) == shard)
            .expect("shards share the keys")
    };
    let others_count = server.shards.len() - 1;
    let shard = |index: usize| match index < own {
        true => 0,
        false => 1 + (index - own) % others_count,
    };
    (0..4)
        .map(|index| find(shard(index), index * 1000))
        .collect()
}

/// Messages to other shards for a block of a SET of each key, and for an MSET of all of them.
fn count(shards_count: u16, own: usize) -> [usize; 2] {
    let mut server = Instant::new(shards_count);
    let keys = keys(&server, own);
    let lines: Vec<String> = keys.iter().map(|key| format!("SET {key} {key}")).collect();
    assert_eq!(server.block(&lines), b"*4\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    let of_block = std::mem::take(&mut server.sent_away_count);
    for key in &keys {
        assert_eq!(server.say(&format!("GET {key}")), format!("\"{key}\""));
    }
    server.sent_away_count = 0;
    let pairs: Vec<String> = keys.iter().map(|key| format!("{key} x")).collect();
    assert_eq!(server.say(&format!("MSET {}", pairs.join(" "))), "+OK");
    [of_block, server.sent_away_count]
}

#[test]
fn one_message_does_it_where_one_other_shard_has_a_part() {
    assert_eq!(count(2, 2), [1, 1]);
    assert_eq!(count(2, 3), [1, 1]);
    // All of a block on one other shard is one step there; an MSET is no transaction then.
    assert_eq!(count(2, 0), [1, 0]);
}

#[test]
fn two_for_each_do_it_where_several_have() {
    assert_eq!(count(4, 1), [6, 6]);
    assert_eq!(count(3, 0), [4, 4]);
}
