//! Patterns found by what they begin or end with, against all patterns tried; lists of connections against sets.

use rondo::base::glob::glob_match;
use rondo::base::rng::Rng;
use rondo::commands::pubsub::Subject;
use rondo::node::ring::Token;
use rondo::node::subscriptions::{Left, Name, PatternIndex, Subscribers};
use std::collections::{BTreeSet, HashMap};

fn text(rng: &mut Rng, alphabet: &[u8], len_max: u64) -> Vec<u8> {
    (0..rng.below(len_max + 1))
        .map(|_| alphabet[rng.below(alphabet.len() as u64) as usize])
        .collect()
}

#[test]
fn the_index_finds_exactly_the_patterns_that_match() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let mut index = PatternIndex::default();
        let mut all: BTreeSet<Vec<u8>> = BTreeSet::new();
        for _ in 0..300 {
            let mut pattern = text(&mut rng, b"aab*?[]\\^-", 8);
            if rng.below(10) == 0 {
                // Longer than what the index looks at.
                let long = vec![b'a'; 60 + rng.below(10) as usize];
                pattern = [long.clone(), pattern, long].concat();
            }
            if all.insert(pattern.clone()) {
                index.insert(Name::from(pattern));
            }
            if rng.below(3) == 0 {
                let at = rng.below(all.len() as u64) as usize;
                let gone = all.iter().nth(at).expect("one of them").clone();
                all.remove(&gone);
                index.remove(&gone);
            }
            let channel = match rng.below(5) {
                0 => vec![b'a'; rng.below(140) as usize],
                _ => text(&mut rng, b"aab[\\^-", 8),
            };
            let mut found: Vec<Vec<u8>> = Vec::new();
            index.matching(&channel, |pattern| found.push(pattern.to_vec()));
            found.sort();
            let expected: Vec<Vec<u8>> = all
                .iter()
                .filter(|pattern| glob_match(pattern, &channel, false))
                .cloned()
                .collect();
            assert_eq!(found, expected, "seed {seed}, channel {channel:?}");
        }
    }
}

#[test]
fn who_leaves_a_list_is_replaced_by_its_last() {
    let mut rng = Rng::with_seed(7);
    let mut subscribers = Subscribers::default();
    let mut places: HashMap<u32, u32> = HashMap::new();
    let name = Name::from(b"channel".to_vec());
    let token = |index| Token {
        index,
        generation: 3,
    };
    for index in 0..2_000 {
        places.insert(
            index,
            subscribers.enter(Subject::Channel, &name, token(index)),
        );
        if rng.below(2) == 0 || index >= 1_900 {
            let gone = *places.keys().next().expect("one is there");
            let place = places.remove(&gone).expect("it is there");
            match subscribers.leave(Subject::Channel, &name, place) {
                Left::Moved(moved) => {
                    places.insert(moved.index, place);
                }
                Left::Others => {}
                Left::Nobody => assert!(places.is_empty()),
            }
        }
        let list = subscribers.of(Subject::Channel, &name);
        assert_eq!(list.len(), places.len());
        for (&index, &place) in &places {
            assert_eq!(list[place as usize], token(index));
        }
    }
    assert!(subscribers.has_none(Subject::ShardChannel, &name));
}
