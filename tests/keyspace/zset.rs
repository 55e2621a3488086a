//! Sorted sets against a sorted vector, in both encodings and across the turn from one to the other.

use super::rdb::{check_damage, dumped};
use crate::commands::runner::Runner;
use crate::ds::{Random, size};
use rondo::ds::key_table::HeapSize;
use rondo::keyspace::zset::{Direction, Updated, sort_members};
use rondo::keyspace::{EncodingLimits, Zset};

type Rows = Vec<(f64, Vec<u8>)>;

/// Scores few enough to be shared; whole, broken and infinite ones. A listpack has no -0, so there is none.
fn score(random: &mut Random) -> f64 {
    match random.below(10) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => random.below(100) as f64 / 8.0,
        3 => 1e300,
        _ => random.below(12) as f64 - 4.0,
    }
}

/// Texts and integers, which a listpack keeps apart.
fn member(random: &mut Random) -> Vec<u8> {
    let number = random.below(60);
    match number % 3 {
        0 => number.to_string().into_bytes(),
        1 => format!("-{number}").into_bytes(),
        _ => format!("m{number}").into_bytes(),
    }
}

fn rows(set: &Zset, direction: Direction) -> Rows {
    set.walk(0..set.len(), direction)
        .map(|(member, score)| (score, member.to_vec()))
        .collect()
}

fn check(set: &Zset, model: &Rows, context: &str) {
    assert_eq!(set.len(), model.len(), "{context}");
    assert_eq!(rows(set, Direction::Up), *model, "{context}");
    let mut backwards = rows(set, Direction::Down);
    backwards.reverse();
    assert_eq!(backwards, *model, "{context}");
    for (rank, (score, member)) in model.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score), "{context}");
        assert_eq!(set.rank(member), Some((rank, *score)), "{context}");
        let below = set.count_before_score(|other| other < *score);
        let expected = model.iter().filter(|row| row.0 < *score).count();
        assert_eq!(below, expected, "{context}");
        let part: Rows = set
            .walk(rank..model.len(), Direction::Down)
            .map(|(member, score)| (score, member.to_vec()))
            .collect();
        assert!(part.iter().rev().eq(&model[rank..]), "{context}");
    }
    let mut scanned = Rows::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 7, |member, score| {
            scanned.push((score, member.to_vec()))
        });
        if cursor == 0 {
            break;
        }
    }
    sort_members(&mut scanned);
    scanned.dedup();
    assert_eq!(scanned, *model, "{context}");
    assert!(set.heap_bytes() > 0 || model.is_empty(), "{context}");
}

#[test]
fn both_encodings_do_what_the_model_does() {
    for seed in 0..size(2, 24) as u64 {
        let mut random = Random(seed);
        // Always a tree, never one, and one after a while.
        let limits = EncodingLimits {
            zset_max_listpack_entries: [0, 1000, 20][seed as usize % 3],
            ..EncodingLimits::default()
        };
        let mut set = Zset::default();
        let mut model = Rows::new();
        for step in 0..size(60, 400) {
            let context = format!("SEED={seed} step {step}");
            let member = member(&mut random);
            let place = model.iter().position(|row| row.1 == member);
            match random.below(10) {
                0 if !model.is_empty() => {
                    let start = random.below(model.len());
                    let end = start + random.below((model.len() - start).min(4) + 1);
                    set.remove_ranks(start..end);
                    model.drain(start..end);
                }
                1 | 2 => {
                    let removed = place.map(|place| model.remove(place).0);
                    assert_eq!(set.remove(&member), removed, "{context}");
                }
                _ => {
                    let score = score(&mut random);
                    let updated = set.update(&member, &limits, |old| {
                        assert_eq!(old, place.map(|place| model[place].0), "{context}");
                        Some(score)
                    });
                    match place {
                        Some(place) if model[place].0 == score => {
                            assert_eq!(updated, Updated::Kept(score), "{context}");
                        }
                        Some(place) => {
                            assert_eq!(updated, Updated::Changed(model[place].0, score));
                            model[place].0 = score;
                        }
                        None => {
                            assert_eq!(updated, Updated::Added(score), "{context}");
                            model.push((score, member));
                        }
                    }
                    sort_members(&mut model);
                }
            }
            if step % 5 == 0 {
                check(&set, &model, &context);
            }
        }
        check(&set, &model, &format!("SEED={seed} end"));
        check(&set.clone(), &model, &format!("SEED={seed} clone"));
        let built = Zset::from_sorted(&model, &limits);
        check(&built, &model, &format!("SEED={seed} built"));
        assert_eq!(
            built.is_packed(),
            model.len() <= limits.zset_max_listpack_entries
        );
    }
}

#[test]
fn a_large_set_is_freed_in_steps() {
    let limits = EncodingLimits::default();
    let mut set = Zset::sized(size(300, 5_000), 0, &limits);
    for number in 0..size(300, 5_000) {
        let member = number.to_string();
        set.update(member.as_bytes(), &limits, |_| Some(number as f64));
    }
    assert!(set.free_effort() > size(300, 5_000));
    let mut steps_count = 0;
    while !set.free_step(50) {
        steps_count += 1;
    }
    assert!(steps_count > size(5, 90), "{steps_count}");
}

#[test]
fn members_drawn_by_chance_are_all_as_likely() {
    let mut runner = Runner::new(7);
    let long = "x".repeat(65);
    for (key, more) in [("small", "z"), ("large", long.as_str())] {
        for number in 0..9 {
            runner.run(&["ZADD", key, &number.to_string(), &format!("m{number}")]);
        }
        runner.run(&["ZADD", key, "9", more]);
        for count in ["1", "3", "7", "-3", "-5"] {
            let mut counts = [0_u32; 10];
            let draws_count = size(50, 3_000);
            for _ in 0..draws_count {
                let reply = runner.run(&["ZRANDMEMBER", key, count, "WITHSCORES"]);
                let text = String::from_utf8(reply).expect("text");
                // Head, then four lines a pair; the fourth is the score.
                let lines: Vec<&str> = text.lines().skip(1).collect();
                let mut seen = Vec::new();
                for pair in lines.chunks(4) {
                    let rank: usize = pair[3].parse().expect("a score");
                    counts[rank] += 1;
                    seen.push(rank);
                }
                if !count.starts_with('-') {
                    seen.sort_unstable();
                    seen.dedup();
                    assert_eq!(seen.len().to_string(), count);
                }
            }
            let total: u32 = counts.iter().sum();
            let expected = f64::from(total) / 10.0;
            let chi_square: f64 = counts
                .iter()
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum();
            // Nine degrees of freedom: one in a million is above 45, and the seed is fixed.
            assert!(chi_square < 45.0, "{key} {count}: {counts:?}");
        }
    }
}

#[test]
fn payloads_come_back_as_they_were_and_damage_is_refused() {
    let mut runner = Runner::new(3);
    let long = "x".repeat(65);
    runner.run(&[
        "ZADD", "small", "1", "a", "2.5", "b", "-3", "12", "inf", "c",
    ]);
    runner.run(&["ZADD", "large", "1", "a", "2.5", &long, "-inf", "12"]);
    for key in ["small", "large"] {
        let payload = dumped(&mut runner, key);
        check_damage(&payload);
        let before = runner.run(&["ZRANGE", key, "0", "-1", "WITHSCORES"]);
        let reply = runner.run(&[b"RESTORE".as_slice(), b"again", b"0", &payload, b"REPLACE"]);
        assert_eq!(reply, b"+OK\r\n");
        assert_eq!(
            runner.run(&["ZRANGE", "again", "0", "-1", "WITHSCORES"]),
            before
        );
        assert_eq!(dumped(&mut runner, "again"), payload);
    }
}
