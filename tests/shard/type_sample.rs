//! What types take: exactly where there are few keys, about where there are many.

use crate::commands::runner::Runner;
use rondo::shard::type_sample::TypeSample;

fn runner_with(counts: &[(&str, usize)]) -> (Runner, usize) {
    let mut runner = Runner::new(7);
    let mut bytes = 0;
    for (kind, count) in counts {
        for number in 0..*count {
            let key = format!("{kind}:{number}");
            let line = match *kind {
                "string" => format!("SET {key} {}", "v".repeat(50)),
                "hash" => format!("HSET {key} f {} g 2", "v".repeat(80)),
                "zset" => format!("ZADD {key} 1 a 2 b"),
                kind => panic!("{kind}"),
            };
            runner.say(&line);
            let usage = runner.say(&format!("MEMORY USAGE {key}"));
            bytes += usage
                .trim_start_matches(':')
                .parse::<usize>()
                .expect("a number");
        }
    }
    (runner, bytes)
}

#[test]
fn few_keys_are_all_counted() {
    let (runner, bytes) = runner_with(&[("string", 300), ("hash", 200), ("zset", 1)]);
    let sample = TypeSample::of(&runner.keys, 1);
    assert!(!sample.is_sampled);
    let shares: Vec<_> = sample.iter().collect();
    let names: Vec<&str> = shares.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["string", "zset", "hash"]);
    let keys: Vec<f64> = shares.iter().map(|(_, share)| share.keys).collect();
    assert_eq!(keys, [300.0, 1.0, 200.0]);
    let total: f64 = shares.iter().map(|(_, share)| share.bytes).sum();
    assert_eq!(total, bytes as f64);
    assert_eq!(
        TypeSample::of(&Runner::new(1).keys, 1),
        TypeSample::default()
    );
}

/// One large key among thousands of small ones is there with all it has, whether or not it was looked at.
#[test]
fn a_few_large_keys_are_never_missed() {
    let (mut runner, _) = runner_with(&[("string", 6_000)]);
    for number in 0..500 {
        runner.say(&format!("HSET large f:{number} {}", "v".repeat(1_000)));
        runner.say(&format!("XADD log * f {}", "v".repeat(300)));
    }
    runner.say("SETRANGE text 300000 x");
    let usage = |runner: &mut Runner, key: &str| -> f64 {
        let reply = runner.say(&format!("MEMORY USAGE {key} SAMPLES 0"));
        reply.trim_start_matches(':').parse().expect("a number")
    };
    let (large, log) = (usage(&mut runner, "large"), usage(&mut runner, "log"));
    for seed in 0..20 {
        let sample = TypeSample::of(&runner.keys, seed);
        assert!(sample.is_sampled);
        let shares: Vec<_> = sample.iter().collect();
        let names: Vec<&str> = shares.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["string", "hash", "stream"], "SEED={seed}");
        let [strings, hashes, streams] = [0, 1, 2].map(|at: usize| shares[at].1);
        let keys = [strings.keys, hashes.keys, streams.keys];
        assert_eq!(keys, [6_001.0, 1.0, 1.0], "SEED={seed}");
        let is_about = |share: f64, bytes: f64| (share - bytes).abs() < 500.0;
        assert!(
            is_about(hashes.bytes, large),
            "SEED={seed}: {hashes:?} {large}"
        );
        assert!(
            is_about(streams.bytes, log),
            "SEED={seed}: {streams:?} {log}"
        );
        assert!(strings.bytes > 600_000.0, "SEED={seed}: {strings:?}");
    }
}

/// Of ten thousand keys about a thousand are looked at: shares are right within a few hundredths, whatever the seed.
#[test]
fn many_keys_are_judged_by_some() {
    let (runner, bytes) = runner_with(&[("string", 6_000), ("hash", 4_000)]);
    for seed in 0..20 {
        let sample = TypeSample::of(&runner.keys, seed);
        assert!(sample.is_sampled);
        let share = |wanted: &str| {
            sample
                .iter()
                .find(|(name, _)| *name == wanted)
                .expect("it is there")
                .1
        };
        let (strings, hashes) = (share("string"), share("hash"));
        assert!(
            (strings.keys - 6_000.0).abs() < 700.0,
            "SEED={seed}: {strings:?}"
        );
        assert!(
            (strings.keys + hashes.keys - 10_000.0).abs() < 1.0,
            "SEED={seed}"
        );
        let total = strings.bytes + hashes.bytes;
        assert!(
            (total / bytes as f64 - 1.0).abs() < 0.1,
            "SEED={seed}: {total} of {bytes}"
        );
    }
    let mut both = TypeSample::of(&runner.keys, 1);
    both.add(&both.clone());
    let keys: f64 = both.iter().map(|(_, share)| share.keys).sum();
    assert!((keys - 20_000.0).abs() < 1.0);
}
