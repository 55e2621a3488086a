//! Producers against plain maps.

use super::{Random, size};
use rondo::ds::stream::{Producers, StreamId};
use std::collections::{BTreeMap, VecDeque};

type Mark = Vec<u8>;

#[derive(Default)]
struct Model {
    /// Producer to its marks, the oldest first.
    marks: BTreeMap<Vec<u8>, VecDeque<(Mark, StreamId)>>,
    added: u64,
}

impl Model {
    fn find(&self, name: &[u8], mark: &[u8], since_ms: u64) -> Option<StreamId> {
        let marks = self.marks.get(name)?;
        let found = marks.iter().find(|(own, _)| *own == mark)?;
        (found.1.ms >= since_ms).then_some(found.1)
    }

    fn note(&mut self, name: &[u8], mark: &[u8], id: StreamId, marks_max: usize) {
        let marks = self.marks.entry(name.to_vec()).or_default();
        marks.retain(|(own, _)| *own != mark);
        marks.push_back((mark.to_vec(), id));
        if marks.len() > marks_max {
            marks.pop_front();
        }
        self.added += 1;
    }

    fn count(&self, since_ms: u64) -> (usize, usize) {
        let living = |marks: &VecDeque<(Mark, StreamId)>| {
            marks.iter().filter(|(_, id)| id.ms >= since_ms).count()
        };
        let counts: Vec<usize> = self.marks.values().map(living).collect();
        (
            counts.iter().filter(|count| **count > 0).count(),
            counts.iter().sum(),
        )
    }
}

#[test]
fn producers_are_plain_maps_of_what_was_sent() {
    for seed in 0..size(3, 10) as u64 {
        let mut random = Random(seed);
        let mut producers = Producers::new();
        let mut model = Model::default();
        let (duration_s, marks_max) = (1 + random.below(3) as u64, 1 + random.below(20));
        producers.limit(duration_s, marks_max);
        let mut now_ms: u64 = 1_000_000;
        for _ in 0..size(500, 10_000) {
            now_ms += random.below(20) as u64;
            if random.below(300) == 0 {
                now_ms += 5_000;
            }
            let since_ms = now_ms - duration_s * 1000;
            let name = format!("p{}", random.below(9)).into_bytes();
            let mark = "m".repeat(random.below(60)).into_bytes();
            let found = producers.find(&name, &mark, now_ms);
            assert_eq!(found, model.find(&name, &mark, since_ms), "SEED={seed}");
            if found.is_none() {
                let id = StreamId::new(now_ms, model.added);
                producers.note(&name, &mark, id, now_ms);
                model.note(&name, &mark, id, marks_max);
            }
            if random.below(10) == 0 {
                let steps_max = 2 + random.below(30);
                let (steps, forgotten) = producers.sweep(now_ms, steps_max);
                assert!(forgotten <= steps && steps <= steps_max, "SEED={seed}");
            }
            assert_eq!(
                producers.count(now_ms),
                model.count(since_ms),
                "SEED={seed}"
            );
            assert_eq!(producers.added, model.added, "SEED={seed}");
            producers.assert_sound();
        }
        let dense = producers.dense();
        dense.assert_sound();
        assert_eq!(dense.count(now_ms), producers.count(now_ms));
        let mut silent = dense;
        // Those that had just been looked at have a round to wait.
        for _ in 0..3 {
            now_ms += duration_s * 1000 + 1;
            sweep_what_is_due(&mut silent, now_ms);
        }
        assert_eq!(silent.producers_count(), 0, "SEED={seed}");
        assert_eq!(silent.heap_bytes(), 0, "SEED={seed}");
        while producers.free_step() > 0 {
            producers.assert_sound();
        }
        assert_eq!(producers.heap_bytes(), 0, "SEED={seed}");
    }
}

/// Sweeps bit by bit, as long as there is something to do.
fn sweep_what_is_due(producers: &mut Producers, now_ms: u64) {
    let mut calls_count = 0;
    while producers.wake_at_ms().is_some_and(|at_ms| at_ms < now_ms) {
        let (steps, _) = producers.sweep(now_ms, 16);
        assert!(steps <= 16);
        producers.assert_sound();
        calls_count += 1;
        assert!(calls_count < 1_000, "a round ends");
    }
}

/// Of producers that nobody comes after nothing is left; they are looked at once, not all the time.
#[test]
fn all_are_forgotten_when_all_are_silent() {
    let mut producers = Producers::new();
    assert_eq!(producers.wake_at_ms(), None);
    producers.limit(2, 100);
    for index in 0..1_000u64 {
        let name = format!("once-{}", index % 700);
        let id = StreamId::new(10_000 + index, 0);
        producers.note(name.as_bytes(), &index.to_le_bytes(), id, 10_000 + index);
    }
    assert_eq!(producers.wake_at_ms(), Some(12_000), "the first one's end");
    sweep_what_is_due(&mut producers, 12_000);
    assert_eq!(producers.count(12_000), (700, 1_000));
    sweep_what_is_due(&mut producers, 12_101);
    assert_eq!(producers.count(12_101).1, 899);
    assert_eq!(producers.wake_at_ms(), Some(13_101), "a second later");
    sweep_what_is_due(&mut producers, 13_102);
    assert_eq!(producers.wake_at_ms(), None);
    assert_eq!(
        (producers.producers_count(), producers.heap_bytes()),
        (0, 0)
    );
}

/// Producers that came once and never again do not stay for ever while others go on.
#[test]
fn silent_producers_are_forgotten_bit_by_bit() {
    let mut producers = Producers::new();
    for index in 0..1_000u64 {
        let name = format!("once-{index}");
        producers.note(name.as_bytes(), b"1", StreamId::new(1_000, index), 1_000);
    }
    assert_eq!(producers.producers_count(), 1_000);
    for index in 0..600u64 {
        let now_ms = 200_000 + index;
        producers.note(
            b"steady",
            &index.to_le_bytes(),
            StreamId::new(now_ms, 0),
            now_ms,
        );
        producers.assert_sound();
    }
    assert_eq!(producers.producers_count(), 1);
    assert_eq!(producers.count(200_600), (1, 100));
    assert_eq!(producers.added, 1_600);
}

/// After XSETID an id may be given again: it is that of the newer request alone.
#[test]
fn an_id_that_is_given_again_is_of_the_newer_request() {
    let mut producers = Producers::new();
    let id = StreamId::new(1_000, 0);
    for mark in [b"1", b"2", b"2"] {
        producers.note(b"p", mark, id, 1_000);
        producers.assert_sound();
    }
    assert_eq!(producers.find(b"p", b"1", 1_000), None);
    assert_eq!(producers.find(b"p", b"2", 1_000), Some(id));
    assert_eq!(producers.count(1_000), (1, 1));
}
