//! Requests whose values are of several shards and many: computed in steps, they come to what they come to at once.

use super::instant::Instant;

/// Keys of different shards, as far as there are as many.
fn apart(server: &Instant) -> Vec<String> {
    let shards_count = server.map.shards_count();
    let of_shard = |shard: u16| {
        let mut names = (0..).map(|number| format!("k{number}"));
        let is_its = |key: &String| server.map.shard_of(key.as_bytes()) == shard;
        names.find(is_its).expect("every shard has keys")
    };
    (0..5).map(|index| of_shard(index % shards_count)).collect()
}

struct Two {
    whole: Instant,
    pieces: Instant,
    names: Vec<String>,
}

/// Stand for keys: of the first four shards, `A` to `D`, each with something behind it.
const NAMES: [&str; 4] = ["A", "B", "C", "D"];

impl Two {
    fn new(shards_count: u16) -> Self {
        let whole = Instant::new(shards_count);
        let names = apart(&whole);
        Self {
            whole,
            pieces: Instant::new(shards_count),
            names,
        }
    }

    /// The line with its keys: `Bset` is a key of B's shard.
    fn line(&self, line: &str) -> String {
        let word = |word: &str| {
            let at = NAMES.iter().position(|name| word.starts_with(name));
            match at {
                Some(at) if word[1..].bytes().all(|byte| byte.is_ascii_lowercase()) => {
                    format!("{{{}}}{}", self.names[at], &word[1..])
                }
                _ => word.to_owned(),
            }
        };
        let words: Vec<String> = line.split(' ').map(word).collect();
        words.join(" ")
    }

    fn both(&mut self, line: &str) -> [String; 2] {
        let line = self.line(line);
        [self.whole.say(&line), self.pieces.say(&line)]
    }

    fn set_long(&mut self, whole_max: usize) {
        for shard in &mut self.pieces.shards {
            shard.set_long_reads(whole_max, 40);
            shard.keys.set_stored_elements_max(whole_max);
        }
    }

    /// Keys found and not found since the last call.
    fn counts(&mut self) -> [(u64, u64); 2] {
        [&mut self.whole, &mut self.pieces].map(|server| {
            let mut total = (0, 0);
            for shard in &mut server.shards {
                total.0 += shard.keys.stats().keyspace_hits;
                total.1 += shard.keys.stats().keyspace_misses;
                shard.keys.reset_stats();
            }
            total
        })
    }

    /// What a key holds, and how.
    fn look(&mut self, key: &str) -> [Vec<String>; 2] {
        let lines = [
            "TYPE K",
            "OBJECT ENCODING K",
            "PTTL K",
            "SORT K ALPHA",
            "ZRANGE K 0 -1 WITHSCORES",
            "LRANGE K 0 -1",
            "HGETALL K",
            "HPTTL K FIELDS 3 field:1 field:2 field:3",
        ];
        let looks = lines.map(|line| {
            let [whole, pieces] = self.both(&line.replace('K', key));
            match line {
                "HGETALL K" => [sorted(&whole), sorted(&pieces)],
                _ => [whole, pieces],
            }
        });
        [0, 1].map(|which| looks.iter().map(|look| look[which].clone()).collect())
    }

    fn fill(&mut self) {
        let lines = [
            ("Aset", "SADD Aset member:{}", 600),
            ("Bset", "SADD Bset member:{2}", 500),
            ("Cset", "SADD Cset {}", 300),
            ("Azset", "ZADD Azset {} member:{}", 600),
            ("Bzset", "ZADD Bzset {} member:{2}", 500),
            ("Bgeo", "GEOADD Bgeo 1.{} 45.{} place:{}", 400),
            ("Alist", "RPUSH Alist element:{2}", 500),
            ("Chash", "HSET Chash field:{} value:{}", 600),
            ("Asmall", "SADD Asmall member:1 x y member:{}", 3),
        ];
        for (_, line, count) in lines {
            for index in 0..count {
                let line = line.replace("{}", &index.to_string());
                self.both(&line.replace("{2}", &(index * 2).to_string()));
            }
        }
        self.both("HPEXPIRE Chash 100000 FIELDS 2 field:1 field:3");
        self.both("PEXPIRE Chash 200000");
        self.both("SADD Dset old");
    }
}

/// The elements of a reply in some order.
fn sorted(reply: &str) -> String {
    let mut words: Vec<&str> = reply.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

const READS: [&str; 13] = [
    "SINTER Aset Bset",
    "SINTER Aset Bset Asmall",
    "SUNION Aset Cset Bset",
    "SDIFF Aset Bset",
    "SDIFF Bset Cset Aset",
    "SINTERCARD 2 Aset Bset",
    "SUNIONCARD 2 Bset Cset",
    "ZUNION 2 Azset Bzset WITHSCORES",
    "ZUNION 3 Azset Bset Bzset AGGREGATE MAX WITHSCORES",
    "ZINTER 2 Azset Bzset WEIGHTS 2 3 WITHSCORES",
    "ZDIFF 2 Azset Bset WITHSCORES",
    "ZINTERCARD 2 Azset Bzset LIMIT 100",
    "SUNION Aset Bzset",
];

const STORES: [(&str, &str); 19] = [
    ("SUNIONSTORE Dset Aset Bset", "Dset"),
    ("SUNIONSTORE Aset Aset Cset", "Aset"),
    ("SINTERSTORE Dset Aset Bset", "Dset"),
    ("SINTERSTORE Bset Aset Bset", "Bset"),
    ("SDIFFSTORE Cset Aset Bset", "Cset"),
    ("ZUNIONSTORE Dset 2 Azset Bzset", "Dset"),
    (
        "ZUNIONSTORE Bzset 3 Azset Bzset Cset WEIGHTS 1 2 3",
        "Bzset",
    ),
    ("ZINTERSTORE Dset 2 Azset Bset", "Dset"),
    ("ZDIFFSTORE Azset 2 Azset Bset", "Azset"),
    ("ZRANGESTORE Dset Azset 5 400 REV", "Dset"),
    ("ZRANGESTORE Azset Bzset (10 +inf BYSCORE", "Azset"),
    (
        "GEOSEARCHSTORE Dset Bgeo FROMLONLAT 1 45 BYRADIUS 300 km STOREDIST",
        "Dset",
    ),
    ("GEORADIUS Bgeo 1 45 300 km STORE Cset", "Cset"),
    ("SORT Alist ALPHA DESC STORE Dset", "Dset"),
    ("SORT Cset STORE Dset", "Dset"),
    ("COPY Aset Dcopy REPLACE", "Dcopy"),
    ("COPY Chash Dcopy REPLACE", "Dcopy"),
    ("COPY Bzset Dcopy", "Dcopy"),
    ("COPY Alist Bcopy", "Bcopy"),
];

/// Of any number of shards, with and without logs.
fn each_two(check: impl Fn(&mut Two)) {
    for shards_count in [2, 3, 7] {
        for has_log in [false, true] {
            let mut two = Two::new(shards_count);
            if has_log {
                two.pieces.begin_logs(rondo::persist::log::Policy::Never);
            }
            two.fill();
            check(&mut two);
        }
    }
}

#[test]
fn what_is_computed_in_steps_is_what_is_computed_at_once() {
    each_two(|two| {
        for line in READS {
            two.set_long(100);
            let before = two.pieces.reads_count;
            two.counts();
            let [whole, pieces] = two.both(line);
            let [whole_counts, pieces_counts] = two.counts();
            assert_eq!(whole_counts, pieces_counts, "{line}");
            let is_short =
                line.contains("Asmall") || line.ends_with("Bzset") && line.contains("SU");
            let steps_count = two.pieces.reads_count - before;
            assert!(steps_count > 2 || is_short, "{line}: {steps_count}");
            match line.starts_with('S') {
                true => assert_eq!(sorted(&whole), sorted(&pieces), "{line}"),
                false => assert_eq!(whole, pieces, "{line}"),
            }
        }
        assert_eq!(two.whole.reads_count, 0);
    });
}

#[test]
fn what_is_stored_in_steps_is_what_is_stored_at_once() {
    for (line, key) in STORES {
        each_two(|two| {
            two.set_long(100);
            let before = two.pieces.reads_count;
            two.counts();
            let [whole, pieces] = two.both(line);
            let [whole_counts, pieces_counts] = two.counts();
            assert_eq!(whole_counts, pieces_counts, "{line}");
            let steps_count = two.pieces.reads_count - before;
            // Lists are copied at once.
            assert!(steps_count > 1 || key == "Bcopy", "{line}: {steps_count}");
            assert_eq!(whole, pieces, "{line}");
            two.set_long(usize::MAX);
            let [whole, pieces] = two.look(key);
            assert_eq!(whole, pieces, "{line}");
        });
    }
}

/// A key whose deadline comes meanwhile was there for who reads, and is not there for who stores at the end.
#[test]
fn a_deadline_that_comes_meanwhile_is_before_or_after() {
    let cases = [
        ("SUNION Aset Bset", false, ""),
        ("SINTER Aset Bset", false, ""),
        ("ZUNION 2 Azset Bzset", false, ""),
        ("SUNIONSTORE Dset Aset Bset", true, "Dset"),
        ("SINTERSTORE Dset Bset Aset", true, "Dset"),
        ("ZUNIONSTORE Bset 2 Azset Bzset", true, "Bset"),
        ("ZRANGESTORE Dset Azset 0 -1", true, "Dset"),
        ("COPY Azset Bcopy", false, "Bcopy"),
    ];
    for (line, is_after, key) in cases {
        for steps_count in [1, 8, 20] {
            each_two(|two| {
                // It is the largest, so it is where its request runs.
                two.both("PEXPIRE Aset 50");
                two.both("PEXPIRE Azset 50");
                two.both("DEL Dset");
                two.set_long(100);
                two.pieces.reads_count = 0;
                two.pieces.then_waits = Some((steps_count, 60));
                let line = two.line(line);
                let pieces = two.pieces.say(&line);
                let has_waited = two.pieces.then_waits.is_none();
                if is_after && has_waited {
                    two.whole.wait(60);
                }
                let whole = two.whole.say(&line);
                if has_waited || !line.contains("STORE") {
                    assert_eq!(sorted(&whole), sorted(&pieces), "{line} {steps_count}");
                }
                if is_after && has_waited {
                    two.set_long(usize::MAX);
                    let [whole, pieces] = two.look(key);
                    assert_eq!(whole, pieces, "{line} {steps_count}");
                }
            });
        }
    }
}
