//! A shard whose replies may come in pieces, what its clients have been told, and keys to ask for.

use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::Protocol;
use rondo::resp::args::OwnedArgs;
use rondo::router::{FromShard, Origin};
use rondo::shard::{Outcome, Request, Shard};
use std::collections::BTreeMap;

pub const BEGIN_MS: i64 = 1_700_000_000_000;

pub fn shard() -> Shard {
    let mut shard = Shard::new(0, Keyspace::new(KeyspaceOptions::for_tests(1)));
    shard.set_now(BEGIN_MS);
    shard
}

/// A shard, and what its clients have been told, by request.
pub struct Told {
    pub shard: Shard,
    pub replies: BTreeMap<u64, Vec<u8>>,
    /// Those that are whole.
    pub done: Vec<u64>,
    pub ids: Vec<u64>,
    pub pieces_count: usize,
}

impl Told {
    /// Nothing waits: whatever changes a key has the rest of its replies made first.
    pub fn new(elements_max: usize, piece_elements: usize) -> Self {
        Self::over(shard().without_locks(), elements_max, piece_elements)
    }

    pub fn over(mut shard: Shard, elements_max: usize, piece_elements: usize) -> Self {
        shard.set_long_reads(elements_max, piece_elements);
        Self {
            shard,
            replies: BTreeMap::new(),
            done: Vec::new(),
            ids: Vec::new(),
            pieces_count: 0,
        }
    }

    pub fn say(&mut self, sequence: u64, db: u16, protocol: Protocol, line: &str) {
        self.say_on(1, sequence, db, protocol, line);
    }

    pub fn say_on(
        &mut self,
        connection: u32,
        sequence: u64,
        db: u16,
        protocol: Protocol,
        line: &str,
    ) {
        let owned: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let args = owned.as_args();
        let request = Request {
            entry: table().resolve(&args).expect("a good command"),
            db,
            caller: Caller {
                protocol,
                ..Caller::default()
            },
            origin: Origin {
                core: 0,
                connection,
                generation: 1,
                sequence,
            },
        };
        let mut reply = Vec::new();
        match self.shard.execute(&request, &args, &mut reply) {
            Outcome::Done => {
                self.done.push(sequence);
                assert!(!reply.is_empty(), "{line}");
            }
            Outcome::Deferred => assert!(reply.is_empty(), "{line}"),
        }
        self.replies.insert(sequence, reply);
        self.take_pieces();
    }

    pub fn take_pieces(&mut self) {
        while let Some((_, event)) = self.shard.next_event() {
            let (reading, origin, bytes, bytes_so_far, is_last) = match event {
                FromShard::Part {
                    reading,
                    origin,
                    bytes,
                    bytes_so_far,
                    is_last,
                    ..
                } => (reading, origin, bytes, bytes_so_far, is_last),
                FromShard::Late { origin, reply, .. } => {
                    self.done.push(origin.sequence);
                    self.replies.insert(origin.sequence, reply);
                    continue;
                }
                _ => panic!("nothing else is said"),
            };
            self.pieces_count += 1;
            let reply = self.replies.entry(origin.sequence).or_default();
            reply.extend_from_slice(&bytes);
            assert_eq!(bytes_so_far, reply.len() as u64);
            if is_last {
                self.done.push(origin.sequence);
            }
            self.ids.push(reading);
        }
    }

    pub fn read_on(&mut self) -> bool {
        let has_read = self.shard.read_on(|_, _| true);
        self.take_pieces();
        has_read
    }

    pub fn reply(&self, sequence: u64) -> &[u8] {
        &self.replies[&sequence]
    }
}

pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// A reply's elements; in order where they have none, `width` of them being one. 0: its lines, in order.
pub fn elements(reply: &[u8], width: Option<usize>) -> Vec<Vec<u8>> {
    let text = reply.to_vec();
    let lines: Vec<Vec<u8>> = text
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let Some(width) = width else { return lines };
    if width == 0 {
        let mut lines = lines;
        lines.sort_unstable();
        return lines;
    }
    let (head, rest) = lines.split_first().expect("a head");
    // A bulk string is two lines.
    let mut found: Vec<Vec<u8>> = rest.chunks(2 * width).map(|it| it.concat()).collect();
    found.sort_unstable();
    found.insert(0, head.clone());
    found
}

/// Keys of every type, the same for both, long enough that most replies are.
pub fn fill(told: &mut [Told; 2], next: &mut u64) {
    let mut both = |line: &str| {
        told.iter_mut()
            .for_each(|it| it.say(*next, 0, Protocol::Resp2, line));
        *next += 1;
    };
    both("SADD small a b");
    both("ARSET sparse 0 first");
    both("ARSET sparse 100000 last");
    both("ZADD zeros -0 a -0 b 0 c 0 d");
    for index in 0..1_000 {
        both(&format!("SADD set member:{index}"));
        both(&format!("SADD ints {}", index * 7));
        both(&format!("HSET hash field:{index} value:{index}"));
        both(&format!("ZADD zset {} member:{index}", index / 3));
        both(&format!("RPUSH list element:{index}"));
        both(&format!("SADD ints2 {}", index * 14));
        both(&format!("RPUSH numbers {}.50", index % 37));
        both(&format!("SET key:{index} text"));
        both(&format!("XADD stream2 {}-1 f {index}", index + 1));
        both(&format!("ARSET array {} {}", index * 2, index % 100));
        both(&format!("ARRING ring 1000 text:{index}"));
        if index % 3 == 0 {
            both(&format!("ARRING ring 1000 more:{index}"));
        }
        both(&format!("ZADD zset2 -{index} member:{}", index * 2));
        let (east, north) = (index % 40 * 25, index / 40 * 3);
        both(&format!(
            "GEOADD geo {}.{:02} {}.{} place:{index}",
            east / 100 - 4,
            east % 100,
            north / 10 + 40,
            north % 10
        ));
        both(&format!("XADD stream {}-1 f {index} g value", index + 1));
        both(&format!("ZADD zeros {} member:{index}", index as i64 - 20));
        both(&format!("ZADD zeros -0 zero:{index}"));
    }
}
