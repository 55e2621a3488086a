//! The sorted set against a map and a sorted vector.

use super::{Random, size};
use rondo::ds::sorted_set::{Direction, SortedSet, Updated};
use std::collections::HashMap;

/// Scores few enough to be shared, the special ones among them.
fn score(random: &mut Random) -> f64 {
    match random.below(12) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => -0.0,
        3 => 0.0,
        4 => random.below(1_000_000) as f64 / 7.0,
        5 => -(random.below(100) as f64),
        _ => random.below(50) as f64,
    }
}

fn member(random: &mut Random, members_count: usize) -> Vec<u8> {
    let number = random.below(members_count);
    let mut member = format!("m{number}").into_bytes();
    // Lengths around every turn of the record's layout, the empty one included.
    match number % 97 {
        0 if number == 0 => member.clear(),
        1 => member.resize(254, b'x'),
        2 => member.resize(255, b'x'),
        3 => member.resize(300, b'x'),
        4 => member.insert(0, 0xff),
        _ => {}
    }
    member
}

#[derive(Default)]
struct Model {
    scores: HashMap<Vec<u8>, f64>,
}

impl Model {
    /// All members in order.
    fn sorted(&self) -> Vec<(f64, Vec<u8>)> {
        let mut rows: Vec<_> = self
            .scores
            .iter()
            .map(|(member, score)| (*score, member.clone()))
            .collect();
        rows.sort_by(|one, other| {
            let scores = one.0.partial_cmp(&other.0).expect("scores are numbers");
            scores.then_with(|| one.1.cmp(&other.1))
        });
        rows
    }
}

fn rows(set: &SortedSet) -> Vec<(f64, Vec<u8>)> {
    set.walk(0..set.len(), Direction::Up)
        .map(|entry| (entry.score(), entry.member().to_vec()))
        .collect()
}

/// Everything that can be asked, for every member, place and gap.
fn check(set: &SortedSet, model: &Model, context: &str) {
    set.check();
    let sorted = model.sorted();
    assert_eq!(rows(set), sorted, "{context}");
    let mut backwards: Vec<_> = set
        .walk(0..set.len(), Direction::Down)
        .map(|entry| (entry.score(), entry.member().to_vec()))
        .collect();
    backwards.reverse();
    assert_eq!(backwards, sorted, "{context}");
    for (rank, (score, member)) in sorted.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score), "{context}");
        assert_eq!(set.rank(member), Some((rank, *score)), "{context}");
        if rank % (1 + sorted.len() / 50) == 0 {
            let before = set.count_before(|entry| entry.score() < *score);
            let expected = sorted.iter().filter(|row| row.0 < *score).count();
            assert_eq!(before, expected, "{context}");
        }
    }
    assert!(set.heap_bytes() > sorted.iter().map(|row| row.1.len() + 8).sum());
}

#[test]
fn a_sorted_set_does_what_the_model_does() {
    for seed in 0..size(1, 6) as u64 {
        let mut random = Random(seed);
        let mut set = SortedSet::new();
        let mut model = Model::default();
        let members_count = [30, 300, 3000][seed as usize % 3];
        let steps_count = size(300, 6 * members_count.max(500));
        for step in 0..steps_count {
            let context = format!("SEED={seed} step {step}");
            let grows = (step / size(100, 3000)).is_multiple_of(2);
            match random.below(20) {
                0 => {
                    let start = random.below(set.len() + 1);
                    let end = start + random.below((set.len() - start).min(100) + 1);
                    for (_, member) in model.sorted().drain(start..end) {
                        model.scores.remove(&member);
                    }
                    set.remove_ranks(start..end);
                }
                kind if kind < 14 && grows || kind < 7 => {
                    let (member, score) = (member(&mut random, members_count), score(&mut random));
                    let updated = set.update(&member, |_| Some(score));
                    let expected = match model.scores.get(&member) {
                        None => Updated::Added(score),
                        Some(old) if *old == score => Updated::Kept(*old),
                        Some(old) => Updated::Changed(*old, score),
                    };
                    assert_eq!(updated, expected, "{context}");
                    if !matches!(updated, Updated::Kept(_)) {
                        model.scores.insert(member, score);
                    }
                }
                _ => {
                    let member = member(&mut random, members_count);
                    assert_eq!(
                        set.remove(&member),
                        model.scores.remove(&member),
                        "{context}"
                    );
                }
            }
            assert_eq!(set.len(), model.scores.len(), "{context}");
            if set.len() < 40 || step.is_multiple_of(307) {
                check(&set, &model, &context);
            }
        }
        check(&set, &model, &format!("SEED={seed} end"));
        check(&set.clone(), &model, &format!("SEED={seed} clone"));
    }
}

#[test]
fn a_decision_sees_the_score_and_may_leave_it() {
    let mut set = SortedSet::new();
    assert_eq!(set.update(b"a", |old| old), Updated::Missing);
    assert!(set.is_empty());
    assert_eq!(set.update(b"a", |_| Some(1.5)), Updated::Added(1.5));
    assert_eq!(
        set.update(b"a", |old| old.map(|old| old + 1.0)),
        Updated::Changed(1.5, 2.5)
    );
    assert_eq!(set.update(b"a", |_| None), Updated::Kept(2.5));
    // One score, whatever its sign says; the first one stays.
    assert_eq!(set.update(b"z", |_| Some(-0.0)), Updated::Added(-0.0));
    assert_eq!(set.update(b"z", |_| Some(0.0)), Updated::Kept(-0.0));
    assert!(set.score(b"z").is_some_and(f64::is_sign_negative));
    assert_eq!(set.update(b"y", |_| Some(0.0)), Updated::Added(0.0));
    assert_eq!(set.rank(b"y"), Some((0, 0.0)));
}

#[test]
fn growth_at_either_end_fills_the_leaves() {
    let count = size(2_000, 50_000);
    let bytes_each = |set: &SortedSet| set.heap_bytes() as f64 / set.len() as f64;
    let mut rising = SortedSet::new();
    let mut falling = SortedSet::new();
    let mut pushed = SortedSet::new();
    for number in 0..count {
        let member = format!("member:{number:08}").into_bytes();
        rising.update(&member, |_| Some(number as f64));
        falling.update(&member, |_| Some(-(number as f64)));
        pushed.push(&member, number as f64);
    }
    rising.check();
    falling.check();
    pushed.check();
    assert_eq!(rows(&rising), rows(&pushed));
    // A record of 32 bytes, a leaf's share of 8.4 and an index's of about 10.
    for set in [&rising, &falling, &pushed] {
        assert!(bytes_each(set) < 54.0, "{}", bytes_each(set));
    }
}

#[test]
fn members_in_random_order_take_less_than_two_thirds_of_96_bytes() {
    let count = size(2_000, 200_000);
    let mut random = Random(5);
    let mut set = SortedSet::new();
    for number in 0..count {
        let member = format!("member:{number:08}").into_bytes();
        let score = random.below(1 << 40) as f64;
        set.update(&member, |_| Some(score));
    }
    let bytes_each = set.heap_bytes() as f64 / count as f64;
    assert!(bytes_each < 60.0, "{bytes_each} bytes a member");
}

#[test]
fn freeing_goes_in_steps_and_to_the_last_byte() {
    let mut set = SortedSet::new();
    for number in 0..size(500, 20_000) {
        set.update(format!("{number}").as_bytes(), |_| {
            Some(f64::from(number as u32 % 100))
        });
    }
    let mut steps_count = 0;
    let mut bytes = set.heap_bytes();
    while !set.free_step(100) {
        steps_count += 1;
        assert!(set.heap_bytes() <= bytes);
        bytes = set.heap_bytes();
    }
    assert!(steps_count >= size(5, 200), "{steps_count} steps");
    assert!(set.heap_bytes() <= SortedSet::new().heap_bytes());
    // In the midst of it, and at once.
    let mut half = SortedSet::new();
    for number in 0..size(300, 3_000) {
        half.update(format!("{number}").as_bytes(), |_| Some(1.0));
    }
    let whole = half.clone();
    half.free_step(half.len() + half.len() / 2);
    drop((half, whole));
}

#[test]
fn a_scan_visits_what_stays_while_the_set_grows() {
    let first_count = size(60, 1_000) as u32;
    let mut set = SortedSet::new();
    for number in 0..first_count {
        set.update(format!("{number}").as_bytes(), |_| Some(f64::from(number)));
    }
    let mut seen = HashMap::new();
    let mut cursor = 0;
    let mut more = first_count;
    loop {
        cursor = set.scan(cursor, 10, |entry| {
            seen.insert(entry.member().to_vec(), entry.score());
        });
        if cursor == 0 {
            break;
        }
        for _ in 0..20 {
            set.update(format!("{more}").as_bytes(), |_| Some(0.5));
            more += 1;
        }
    }
    for number in 0..first_count {
        let member = format!("{number}").into_bytes();
        assert_eq!(seen.get(&member), Some(&f64::from(number)));
    }
}
