//! Sizes of keys, by a walk in steps.

use rondo::shard::sizes::{SizeWalk, Sizes};

use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::args::OwnedArgs;
use rondo::router::Origin;
use rondo::shard::{Outcome, Request, Shard};

fn shard_after(lines: &[&str]) -> Shard {
    let mut shard = Shard::new(0, Keyspace::new(KeyspaceOptions::for_tests(5)));
    shard.set_now(1_700_000_000_000);
    for line in lines {
        let words: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let args = words.as_args();
        let request = Request {
            entry: table().resolve(&args).expect("a good command"),
            db: 0,
            caller: Caller::default(),
            origin: Origin {
                core: 0,
                connection: 0,
                generation: 0,
                sequence: 0,
            },
        };
        let mut reply = Vec::new();
        assert_eq!(shard.execute(&request, &args, &mut reply), Outcome::Done);
        assert_ne!(reply[0], b'-', "{line}");
    }
    shard
}

fn counts(sizes: &Sizes, kind: usize) -> Vec<(u64, u64)> {
    sizes.of(kind).collect()
}

/// Each key once, whatever the step, strings by their length and integers by their text.
#[test]
fn every_key_is_counted_once() {
    let mut lines = vec![
        "RPUSH l 1 2 3",
        "SADD s a",
        "ZADD z 1 a 2 b",
        "HSET h f v",
        "SET i 12345",
        "SET e ",
        "XADD x * f v",
    ];
    let many: Vec<String> = (0..3000)
        .map(|index| format!("SET key:{index} 12345678"))
        .collect();
    lines.extend(many.iter().map(String::as_str));
    let shard = shard_after(&lines);
    for step in [1, 7, 100_000] {
        let mut walk = SizeWalk::default();
        while !walk.step(&shard.keys, step) {}
        let sizes = walk.into_sizes();
        assert_eq!(counts(&sizes[0], 0), [(0, 1), (4, 1), (8, 3000)], "{step}");
        assert_eq!(counts(&sizes[0], 1), [(2, 1)]);
        assert_eq!(counts(&sizes[0], 2), [(1, 1)]);
        assert_eq!(counts(&sizes[0], 3), [(2, 1)]);
        assert_eq!(counts(&sizes[0], 4), [(1, 1)]);
        assert_eq!(counts(&sizes[1], 0), []);
    }
}
