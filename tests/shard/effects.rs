//! What was done, run again from the log, gives the same keys: every transcript, at several numbers of shards.

use crate::commands::transcript::{Step, parse_transcript};
use crate::commands::transcripts::transcripts;
use crate::persist::disk::MemoryDisk;
use crate::router::instant::Instant;
use rondo::keyspace::{AccessPolicy, EncodingLimits};
use rondo::persist::log::Policy;
use rondo::persist::manifest::Epoch;
use rondo::persist::recovery::{Scan, scan, settle, walk};
use rondo::resp::Protocol;

/// DEBUG DIGEST, and how many keys each database has.
fn digest(server: &mut Instant) -> String {
    server.protocol = Protocol::Resp2;
    let mut text = server.say("DEBUG DIGEST");
    for db in 0..16 {
        server.db = db;
        text += &format!(" {}", server.say("DBSIZE"));
    }
    text
}

/// A server with the keys that are in the logs of another.
fn recovered(server: &mut Instant, disk: &mut MemoryDisk) -> Result<Instant, String> {
    let cores = server.map.shards_count();
    let epoch = Epoch {
        number: 1,
        cores,
        seed: 7,
        ..Epoch::default()
    };
    for core in 0..cores {
        let log = server.shards[usize::from(core)].log_mut().expect("a log");
        disk.perform(1, core, log);
    }
    let scans: Vec<Scan> = (0..cores)
        .map(|core| scan(disk, &epoch, core).expect("a log that counts"))
        .collect();
    let settled = settle(&scans, true);
    for (core, scan) in scans.iter().enumerate() {
        assert_eq!(settled.ends[core], scan.last_lsn, "nothing is cut");
        assert_eq!(settled.missing[core], [], "nothing is missing");
    }
    let mut other = Instant::new(cores);
    for core in 0..cores {
        let shard = &mut other.shards[usize::from(core)];
        let mut failure = None;
        walk(disk, &epoch, core, u64::MAX, &mut |record, _, _| {
            failure = shard.replay(record).err();
            failure.is_none()
        })
        .expect("a log that counts");
        if let Some(failure) = failure {
            return Err(failure.reason);
        }
    }
    Ok(other)
}

#[test]
fn every_transcript_gives_the_same_keys_when_its_effects_are_run_again() {
    let mut failures = Vec::new();
    for shards_count in [1, 7] {
        for (name, text) in transcripts() {
            let mut server = Instant::new(shards_count);
            server.begin_logs(Policy::Always);
            let mut disk = MemoryDisk::default();
            let mut time = 0;
            let mut last_line = 0;
            let mut compare = |server: &mut Instant, line: usize, time: i64| {
                let (db, protocol) = (server.db, server.protocol);
                let place = format!("{name}:{line} at {shards_count} shards");
                match recovered(server, &mut disk) {
                    Err(reason) => failures.push(format!("{place}: {reason}")),
                    Ok(mut other) => {
                        other.wait(time);
                        let (got, want) = (digest(&mut other), digest(server));
                        if got != want {
                            failures.push(format!("{place}\n  got  {got}\n  want {want}"));
                        }
                    }
                }
                (server.db, server.protocol) = (db, protocol);
            };
            for step in parse_transcript(&text) {
                match step {
                    Step::Wait(ms) => {
                        compare(&mut server, last_line, time);
                        server.wait(ms);
                        time += ms;
                    }
                    Step::Database(db) => server.db = db as u16,
                    Step::Protocol(3) => server.protocol = Protocol::Resp3,
                    Step::Protocol(_) => server.protocol = Protocol::Resp2,
                    Step::NodeEntries(_) | Step::Policy(_) => configure(&mut server, &step),
                    Step::Request { line, words, .. } => {
                        last_line = line;
                        let flushes = words[0].eq_ignore_ascii_case(b"FLUSHALL")
                            || words[0].eq_ignore_ascii_case(b"DEL");
                        if flushes && line % 4 == 0 {
                            compare(&mut server, line, time);
                        }
                        server.run(&words);
                    }
                }
            }
            compare(&mut server, last_line, time);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn configure(server: &mut Instant, step: &Step) {
    for shard in &mut server.shards {
        match step {
            Step::NodeEntries(stream_node_max_entries) => shard.keys.set_limits(EncodingLimits {
                stream_node_max_entries: *stream_node_max_entries,
                ..shard.keys.limits()
            }),
            Step::Policy(policy) => {
                let mut access = AccessPolicy::default();
                assert!(access.set_name(policy), "policy {policy}");
                shard.keys.set_access_policy(access);
            }
            _ => {}
        }
    }
}

/// Commands that say together what one request did are in one record, wherever the ones before it end.
#[test]
fn a_request_that_is_logged_as_several_commands_is_one_record() {
    let mut server = Instant::new(1);
    configure(&mut server, &Step::NodeEntries(1));
    server.begin_logs(Policy::EverySecond);
    for index in 0..1000 {
        server.say(&format!("XADD s MAXLEN ~ 1 {index}-1 f v"));
    }
    let mut disk = MemoryDisk::default();
    let log = server.shards[0].log_mut().expect("a log");
    (0..3).for_each(|_| disk.perform(1, 0, log));
    assert!(log.is_written());
    let epoch = Epoch {
        number: 1,
        cores: 1,
        seed: 7,
        ..Epoch::default()
    };
    let mut lasts = Vec::new();
    walk(&disk, &epoch, 0, u64::MAX, &mut |record, _, _| {
        let count = |name: &[u8]| record.payload.windows(4).filter(|it| *it == name).count();
        lasts.push((count(b"XADD"), count(b"XTRI")));
        true
    })
    .expect("a log that counts");
    assert!(lasts.len() > 2, "{lasts:?}");
    let is_whole = |(added, trimmed): &(usize, usize)| added == trimmed;
    assert!(lasts[1..].iter().all(is_whole), "{lasts:?}");
}

/// A key that goes because a request finds its last field dead is gone for whoever runs the log again, too.
#[test]
fn keys_that_go_with_a_dead_field_are_logged() {
    for request in [
        "HGET h f",
        "HMGET h f",
        "HGETEX h FIELDS 1 f",
        "HGETEX h EX 100 FIELDS 1 f",
        "HGETDEL h FIELDS 1 f",
        "HSETEX h FXX FIELDS 1 f 2",
    ] {
        let mut server = Instant::new(1);
        server.begin_logs(Policy::Always);
        let mut disk = MemoryDisk::default();
        server.say("HSET h f 1");
        server.say("HPEXPIRE h 5 FIELDS 1 f");
        server.wait(20);
        server.say(request);
        assert_eq!(server.say("SET h v NX"), "+OK", "{request}");
        let mut other = recovered(&mut server, &mut disk).expect("a log that runs");
        assert_eq!(other.say("GET h"), "\"v\"", "{request}");
    }
}

/// A range of bytes over many scores, and an offset below 0, are other ranks in a tree than in a listpack; a log may be run with other
/// limits than it was written with.
#[test]
fn ranges_that_depend_on_the_encoding_are_logged_as_ranks() {
    let mut differing_count = 0;
    for request in [
        "ZREMRANGEBYLEX z (f +",
        "ZRANGESTORE w z (f + BYLEX",
        "ZRANGESTORE w z + (f BYLEX REV LIMIT 0 1",
        "ZRANGESTORE w z -inf +inf BYSCORE LIMIT -3 2",
        "ZRANGESTORE w z +inf -inf BYSCORE REV LIMIT -3 2",
    ] {
        let ask = |entries_max: usize| {
            let mut server = Instant::new(1);
            server.begin_logs(Policy::Always);
            server.shards[0].keys.set_limits(EncodingLimits {
                zset_max_listpack_entries: entries_max,
                ..EncodingLimits::default()
            });
            server.say("ZADD z 3 h2 -2 k0 -2 a2 2 a1 3 g1 -1 o1 2 h1 -1 h3");
            server.say("SET w before");
            server.say(request);
            server
        };
        let mut server = ask(0);
        let mut other =
            recovered(&mut server, &mut MemoryDisk::default()).expect("a log that runs");
        assert_eq!(digest(&mut other), digest(&mut server), "{request}");
        let encoding = other.say("OBJECT ENCODING z");
        assert!(
            encoding == "\"listpack\"" || encoding == "$-1",
            "{encoding}"
        );
        differing_count += u32::from(digest(&mut ask(128)) != digest(&mut server));
    }
    assert!(differing_count >= 2, "it was the same in any encoding");
}

/// What MAXSIZE lets through is more in RESP3, which has fewer bytes around it, than where a log is run.
#[test]
fn what_was_delivered_up_to_a_size_is_logged_as_a_count() {
    for (options, given) in [
        ("MAXSIZE 40", ["1-1", "1-2"].as_slice()),
        ("CLAIM 5 COUNT 2 MAXCOUNT 3 MAXSIZE 48", &["1-1", "1-2"]),
        ("MAXSIZE 4000", &["1-1", "1-2", "1-3"]),
    ] {
        let mut server = Instant::new(1);
        server.begin_logs(Policy::Always);
        for id in ["1-1", "1-2", "1-3"] {
            server.say(&format!("XADD a {id} f v"));
        }
        server.say("XGROUP CREATE a g 0");
        server.say("XADD b 1-1 f v");
        server.say("XGROUP CREATE b g $");
        server.protocol = Protocol::Resp3;
        server.say(&format!("XREADGROUP GROUP g c {options} STREAMS a b > >"));
        let mut other =
            recovered(&mut server, &mut MemoryDisk::default()).expect("a log that runs");
        for server in [&mut server, &mut other] {
            server.protocol = Protocol::Resp2;
            let pending = server.say("XPENDING a g - + 10");
            assert_eq!(
                pending.matches("\"c\"").count(),
                given.len(),
                "{options}: {pending}"
            );
            assert!(
                given.iter().all(|id| pending.contains(id)),
                "{options}: {pending}"
            );
        }
        let consumers = "XINFO CONSUMERS b g";
        assert_eq!(other.say(consumers), server.say(consumers), "{options}");
    }
}
