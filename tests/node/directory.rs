//! The directory against a plain map.

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
        let has_pattern = |core: usize| {
            subject == Subject::Channel
                && model.iter().any(|((subject, _), counts)| {
                    *subject == Subject::Pattern as usize && counts[core] > 0
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
