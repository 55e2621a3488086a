//! Sets in every encoding against a `BTreeSet`, and what chance may and may not do.

use rondo::base::rng::Rng;
use rondo::ds::key_table::HeapSize;
use rondo::ds::listpack::Element;
use rondo::keyspace::set::{Probe, Set};
use rondo::keyspace::set_algebra::{
    difference, intersection, stored_difference, stored_intersection, union, union_count,
};
use rondo::keyspace::{Collection, EncodingLimits};
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeSet<Vec<u8>>;
type Visit<'v> = &'v mut dyn FnMut(Element<'_>) -> bool;

/// Thresholds that turn every corner with few members.
fn small_limits() -> EncodingLimits {
    EncodingLimits {
        set_max_intset_entries: 8,
        set_max_listpack_entries: 12,
        set_max_listpack_value: 6,
        ..EncodingLimits::default()
    }
}

fn members(set: &Set) -> Model {
    let mut all = Model::new();
    set.each(|member| assert!(all.insert(member.to_vec()), "twice"));
    assert_eq!(all.len(), set.len());
    all
}

fn word(rng: &mut Rng, range: u64) -> Vec<u8> {
    let number = rng.below(range) as i64;
    match rng.below(8) {
        0 => format!("m{number}").into_bytes(),
        1 if number == 0 => b"longer than six".to_vec(),
        2 => (number << 33).to_string().into_bytes(),
        _ => number.to_string().into_bytes(),
    }
}

/// What the encoding must be, from what went in: Redis's rules.
fn check_encoding(set: &Set, limits: &EncodingLimits, seed: u64) {
    let all = members(set);
    match set.encoding_name() {
        "intset" => {
            assert!(all.len() <= limits.set_max_intset_entries, "SEED={seed}");
            let is_integer = |text: &Vec<u8>| Element::Str(text).integer().is_some();
            assert!(all.iter().all(is_integer), "SEED={seed}");
        }
        "listpack" => {
            assert!(all.len() <= limits.set_max_listpack_entries, "SEED={seed}");
            let is_short = |text: &Vec<u8>| text.len() <= limits.set_max_listpack_value;
            assert!(all.iter().all(is_short), "SEED={seed}");
        }
        name => assert_eq!(name, "hashtable"),
    }
}

#[test]
fn a_set_holds_what_a_set_holds_in_every_encoding() {
    let limits = small_limits();
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let range = [4, 10, 30, 300][seed as usize % 4];
        let (mut set, mut model) = (Set::default(), Model::new());
        for _ in 0..400 {
            let text = word(&mut rng, range);
            let probe = Probe::new(&text);
            match rng.below(8) {
                0..4 => assert_eq!(set.add(&probe, &limits), model.insert(text.clone())),
                4 => assert_eq!(set.remove(&probe), model.remove(&text), "SEED={seed}"),
                5 => {
                    let mut popped = None;
                    let is_popped = set.pop(&mut rng, |member| popped = Some(member.to_vec()));
                    assert_eq!(is_popped, !model.is_empty());
                    assert!(
                        popped.is_none_or(|member| model.remove(&member)),
                        "SEED={seed}"
                    );
                }
                6 if model.len() > 2 => {
                    let count = rng.below(model.len() as u64) as usize;
                    let mut popped_count = 0;
                    set.pop_many(count, &mut rng, &limits, |member| {
                        popped_count += 1;
                        assert!(model.remove(&member.to_vec()), "SEED={seed}");
                    });
                    assert_eq!(popped_count, count);
                }
                _ => assert_eq!(set.contains(&probe), model.contains(&text), "SEED={seed}"),
            }
            assert_eq!(members(&set), model, "SEED={seed}");
            check_encoding(&set, &limits, seed);
            seen.insert(set.encoding_name());
            let drawn = set.random(&mut rng).map(Element::to_vec);
            assert_eq!(drawn.is_none(), model.is_empty());
            assert!(drawn.is_none_or(|member| model.contains(&member)));
            let mut sampled = Model::new();
            let count = rng.below(20) as usize;
            set.sample(count, &mut rng, |member| {
                assert!(sampled.insert(member.to_vec()), "SEED={seed}: twice");
            });
            assert_eq!(sampled.len(), count.min(model.len()));
            assert!(sampled.is_subset(&model));
        }
        let clone = set.clone();
        assert_eq!(members(&clone), model);
        assert_eq!(clone.encoding_name(), set.encoding_name());
        while !set.free_step(3) {}
        assert_eq!(members(&clone), model);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn algebra_is_that_of_sets() {
    let limits = small_limits();
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let range = [6, 20, 60][seed as usize % 3];
        let mut sets = Vec::new();
        let mut models = Vec::new();
        for _ in 0..1 + rng.below(4) {
            let (mut set, mut model) = (Set::default(), Model::new());
            let only_integers = rng.below(3) == 0;
            for _ in 0..1 + rng.below(range) {
                let mut text = word(&mut rng, range);
                if only_integers {
                    text.retain(u8::is_ascii_digit);
                }
                set.add(&Probe::new(&text), &limits);
                model.insert(text);
            }
            sets.push(set);
            models.push(model);
        }
        let mut named: Vec<Option<&Set>> = sets.iter().map(Some).collect();
        if rng.below(5) == 0 {
            named.push(named[0]);
            models.push(models[0].clone());
        }
        let (first, others) = models.split_first().expect("one at least");
        let common: Model = (first.iter())
            .filter(|member| others.iter().all(|other| other.contains(*member)))
            .cloned()
            .collect();
        let left: Model = (first.iter())
            .filter(|member| !others.iter().any(|other| other.contains(*member)))
            .cloned()
            .collect();
        let together: Model = models.iter().flatten().cloned().collect();
        let visited = |visit: &dyn Fn(Visit<'_>)| {
            let mut all = Model::new();
            visit(&mut |member| {
                assert!(all.insert(member.to_vec()));
                true
            });
            all
        };
        assert_eq!(
            visited(&|visit| intersection(&named, visit)),
            common,
            "SEED={seed}"
        );
        assert_eq!(
            visited(&|visit| difference(&named, visit)),
            left,
            "SEED={seed}"
        );
        assert_eq!(
            members(&union(&named, false, &limits)),
            together,
            "SEED={seed}"
        );
        for (stored, expected) in [
            (stored_intersection(&named, &limits), &common),
            (stored_difference(&named, &limits), &left),
            (union(&named, true, &limits), &together),
        ] {
            assert_eq!(members(&stored), *expected, "SEED={seed}");
            check_encoding(&stored, &limits, seed);
        }
        let limit = rng.below(30) as usize;
        let count = union_count(&named, limit, &limits);
        let expected = together.len();
        assert_eq!(
            count,
            if limit == 0 {
                expected
            } else {
                expected.min(limit)
            }
        );
        // One that is not there.
        named.push(None);
        assert_eq!(visited(&|visit| intersection(&named, visit)), Model::new());
        assert_eq!(visited(&|visit| difference(&named, visit)), left);
        assert_eq!(members(&union(&named, true, &limits)), together);
    }
}

/// Sets of integers are made in one go; their bytes are those of a set that got one after the other.
#[test]
fn integers_together_are_as_wide_as_one_after_the_other() {
    let limits = EncodingLimits {
        set_max_intset_entries: 40,
        ..EncodingLimits::default()
    };
    let bytes = |set: &Set| set.as_ints().map(|ints| ints.as_bytes().to_vec());
    for seed in 0..2000 {
        let mut rng = Rng::with_seed(seed);
        let shift = [4, 10, 24, 40][rng.below(4) as usize];
        let integer = |rng: &mut Rng| {
            let number = (rng.below(30) as i64 - 15) << rng.below(shift);
            number.to_string().into_bytes()
        };
        let mut sets = Vec::new();
        for _ in 0..1 + rng.below(4) {
            let mut set = Set::default();
            let added: Vec<Vec<u8>> = (0..1 + rng.below(30)).map(|_| integer(&mut rng)).collect();
            added.iter().for_each(|text| {
                set.add(&Probe::new(text), &limits);
            });
            // Some are wider than what is in them.
            for text in added.iter().filter(|_| rng.below(4) == 0) {
                set.remove(&Probe::new(text));
            }
            sets.push(set);
        }
        let named: Vec<Option<&Set>> = sets.iter().map(Some).collect();
        let naive = |each: &dyn Fn(Visit<'_>)| {
            let mut naive = Set::default();
            each(&mut |member| {
                naive.add(&Probe::new(&member.to_vec()), &limits);
                true
            });
            naive
        };
        let common = naive(&|visit| intersection(&named, visit));
        assert_eq!(
            bytes(&stored_intersection(&named, &limits)),
            bytes(&common),
            "SEED={seed}"
        );
        let united = naive(&|visit| {
            sets.iter().for_each(|set| {
                set.all(&mut *visit);
            })
        });
        let stored = union(&named, true, &limits);
        assert_eq!(bytes(&stored), bytes(&united), "SEED={seed}");
        assert_eq!(
            stored.encoding_name(),
            united.encoding_name(),
            "SEED={seed}"
        );
        // As Redis decides: looked up in the others, or taken from a copy.
        let (first, others) = (&sets[0], &sets[1..]);
        let is_looked_up = first.len() * sets.len() / 2 <= sets.iter().map(Set::len).sum();
        let mut left = match is_looked_up {
            true => naive(&|visit| difference(&named, visit)),
            false => naive(&|visit| {
                first.all(visit);
            }),
        };
        others.iter().for_each(|other| {
            other.each(|member| {
                left.remove(&Probe::new(&member.to_vec()));
            });
        });
        let left = bytes(&left).filter(|_| !left.is_empty());
        let stored = stored_difference(&named, &limits);
        let stored = bytes(&stored).filter(|_| !stored.is_empty());
        assert_eq!(stored, left, "SEED={seed}");
    }
}

fn set_of(count: usize, limits: &EncodingLimits, prefix: &str) -> Set {
    let mut set = Set::default();
    for number in 0..count {
        set.add(&Probe::new(format!("{prefix}{number}").as_bytes()), limits);
    }
    set
}

// Chi-square against the uniform distribution, five standard deviations, for every encoding and every way to choose.
#[test]
fn every_member_is_as_likely() {
    let limits = EncodingLimits::default();
    for (count, prefix) in [(60, ""), (60, "m"), (150, "m"), (700, "")] {
        let set = set_of(count, &limits, prefix);
        for (way, taken) in [
            (0, 1),
            (1, 5),
            (1, count - 5),
            (1, count / 2),
            (2, 1),
            (3, count / 3),
        ] {
            let mut rng = Rng::with_seed(count as u64 + way);
            let rounds = (300 * count / taken).clamp(200, 20_000);
            let rounds = if way > 1 { rounds.min(1500) } else { rounds };
            let mut drawn: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            let mut note = |member: Element<'_>| *drawn.entry(member.to_vec()).or_default() += 1;
            for _ in 0..rounds {
                match way {
                    0 => set.random(&mut rng).into_iter().for_each(&mut note),
                    1 => set.sample(taken, &mut rng, &mut note),
                    2 => assert!(set.clone().pop(&mut rng, &mut note)),
                    _ => set.clone().pop_many(taken, &mut rng, &limits, &mut note),
                }
            }
            let expected = (rounds * taken) as f64 / count as f64;
            // What is drawn without putting back varies less than what this allows.
            let missing = (count - drawn.len()) as f64 * expected;
            let square = |times: &usize| (*times as f64 - expected).powi(2) / expected;
            let chi_square = missing + drawn.values().map(square).sum::<f64>();
            let freedom = (count - 1) as f64;
            let limit = freedom + 5.0 * (2.0 * freedom).sqrt();
            assert!(
                chi_square < limit,
                "{count} {prefix} {way}: {chi_square} {limit}"
            );
        }
    }
}

#[test]
fn what_is_left_of_a_table_is_packed() {
    let limits = EncodingLimits::default();
    let mut rng = Rng::with_seed(3);
    for (count, popped, name) in [
        (200, 100, "hashtable"),
        (600, 580, "listpack"),
        (2000, 1600, "hashtable"),
    ] {
        let mut set = set_of(count, &limits, "m");
        assert_eq!(set.encoding_name(), "hashtable");
        set.pop_many(popped, &mut rng, &limits, |_| ());
        assert_eq!(set.len(), count - popped);
        assert_eq!(set.encoding_name(), name);
    }
}

#[test]
fn a_scan_of_any_encoding_shows_all() {
    let limits = EncodingLimits::default();
    for (count, prefix) in [(0, ""), (60, ""), (60, "m"), (3000, "m")] {
        let set = set_of(count, &limits, prefix);
        let mut seen = Model::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 10, |member| {
                seen.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen, members(&set));
    }
}
