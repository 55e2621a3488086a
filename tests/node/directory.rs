//! The directory against a plain map.

use rondo::base::glob::glob_match;
use rondo::base::rng::Rng;
use rondo::commands::pubsub::Subject;
use rondo::node::directory::Directory;
use std::collections::BTreeMap;

const CORES: u16 = 5;

#[test]
fn the_directory_says_which_cores_and_how_many() {
    let mut rng = Rng::with_seed(11);
    let directory = Directory::new(usize::from(CORES));
    // Subscribers by name and core.
    let mut model: BTreeMap<(usize, Vec<u8>), [usize; CORES as usize]> = BTreeMap::new();
    for step in 0..20_000 {
        let subject = Subject::ALL[rng.below(3) as usize];
        let name = format!("name{}", rng.below(20)).into_bytes();
        let core = rng.below(u64::from(CORES)) as u16;
        let counts = model.entry((subject as usize, name.clone())).or_default();
        let count = &mut counts[usize::from(core)];
        // Less at the end, so that nothing stays.
        if *count > 0 && rng.below(100) < if step < 10_000 { 40 } else { 90 } {
            *count -= 1;
            directory.leave(subject, &name, core, *count == 0);
        } else if step < 10_000 {
            *count += 1;
            let kept = directory.enter(subject, &name, core, *count == 1);
            assert_eq!(*kept, *name);
        }
        let counts = *counts;
        let roll = directory.roll(subject);
        assert_eq!(roll.subscribers_count(&name), counts.iter().sum::<usize>());
        let mut cores = Vec::new();
        directory.audience(subject, &name, &mut cores);
        cores.sort_unstable();
        // These patterns are known by all of their bytes.
        let has_pattern = |core: usize| {
            subject == Subject::Channel
                && model.iter().any(|((subject, pattern), counts)| {
                    *subject == Subject::Pattern as usize
                        && counts[core] > 0
                        && name.starts_with(pattern)
                })
        };
        let expected: Vec<u16> = (0..CORES)
            .filter(|&core| counts[usize::from(core)] > 0 || has_pattern(usize::from(core)))
            .collect();
        assert_eq!(cores, expected);
        if step % 100 == 0 {
            let mut names: Vec<Vec<u8>> = roll
                .names(|_| true)
                .iter()
                .map(|name| name.to_vec())
                .collect();
            names.sort();
            let expected: Vec<Vec<u8>> = model
                .iter()
                .filter(|((of, _), counts)| {
                    *of == subject as usize && counts.iter().sum::<usize>() > 0
                })
                .map(|((_, name), _)| name.clone())
                .collect();
            assert_eq!(names, expected);
            assert_eq!(roll.names_count(), expected.len());
        }
    }
}

/// A core with a pattern that matches is always named, one whose patterns are all of another kind hardly ever.
#[test]
fn messages_reach_cores_whose_patterns_may_match() {
    let mut rng = Rng::with_seed(12);
    let directory = Directory::new(usize::from(CORES));
    let long = "l".repeat(100);
    let parts = [
        "", "*", "?", "news", "news.", "a", "[ab]", "\\*", ".mp3", &long,
    ];
    let word = |rng: &mut Rng, parts: &[&str]| -> String {
        let count = 1 + rng.below(3);
        (0..count)
            .map(|_| parts[rng.below(parts.len() as u64) as usize])
            .collect()
    };
    let mut patterns: Vec<(String, u16)> = Vec::new();
    let (mut named, mut needed) = (0, 0);
    for _ in 0..20_000 {
        if patterns.len() > 12 || patterns.len() > 3 && rng.below(2) == 0 {
            let at = rng.below(patterns.len() as u64) as usize;
            let (pattern, core) = patterns.swap_remove(at);
            directory.leave(Subject::Pattern, pattern.as_bytes(), core, true);
        } else {
            let pattern = (word(&mut rng, &parts), rng.below(u64::from(CORES)) as u16);
            if !patterns.contains(&pattern) {
                directory.enter(Subject::Pattern, pattern.0.as_bytes(), pattern.1, true);
                patterns.push(pattern);
            }
        }
        let channel = word(
            &mut rng,
            &["news", ".", "a", "b", "*", ".mp3", "other", &long],
        );
        let mut cores = Vec::new();
        directory.audience(Subject::Channel, channel.as_bytes(), &mut cores);
        named += cores.len();
        for core in 0..CORES {
            let matches = patterns.iter().any(|(pattern, of)| {
                *of == core && glob_match(pattern.as_bytes(), channel.as_bytes(), false)
            });
            needed += usize::from(matches);
            assert!(!matches || cores.contains(&core), "{channel} {patterns:?}");
        }
    }
    // Half of these patterns begin and end with nothing that is known.
    assert!(named < 5 * needed, "{named} {needed}");
    for (pattern, core) in patterns {
        directory.leave(Subject::Pattern, pattern.as_bytes(), core, true);
    }
    directory.enter(Subject::Pattern, b"news.*", 1, true);
    directory.enter(Subject::Pattern, b"*.mp3", 2, true);
    for (channel, expected) in [
        ("news.a", vec![1]),
        ("a.mp3", vec![2]),
        ("other", vec![]),
        ("", vec![]),
    ] {
        let mut cores = Vec::new();
        directory.audience(Subject::Channel, channel.as_bytes(), &mut cores);
        assert_eq!(cores, expected, "{channel}");
    }
}
