//! A shared list against a sorted vector.

use rondo::base::rng::Rng;
use rondo::base::shared_list::SharedList;

fn check(list: &SharedList<(u64, u64)>, model: &[(u64, u64)], seed: u64) {
    assert!(list.iter().eq(model.iter()), "SEED={seed}");
    assert_eq!(list.len(), model.len(), "SEED={seed}");
    assert_eq!(list.is_empty(), model.is_empty(), "SEED={seed}");
}

/// Values come and go, many more of them come at first and go at last; copies that were made on the way stay as they were.
#[test]
fn a_list_is_in_order_and_its_copies_stay_as_they_were() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let (mut list, mut model) = (SharedList::default(), Vec::<(u64, u64)>::new());
        let mut copies = Vec::new();
        for step in 0..6_000 {
            let key = rng.below(1_500);
            let by_key = |known: &(u64, u64)| known.0.cmp(&key);
            let place = model.binary_search_by(by_key);
            let known = place.ok().map(|place| model[place]);
            assert_eq!(list.get(by_key).copied(), known, "SEED={seed}");
            let removes = rng.below(6_000) < step;
            if removes {
                assert_eq!(list.remove(by_key), known, "SEED={seed}");
                place.map(|place| model.remove(place)).ok();
            } else {
                assert_eq!(list.insert((key, step), by_key), known, "SEED={seed}");
                match place {
                    Ok(place) => model[place].1 = step,
                    Err(place) => model.insert(place, (key, step)),
                }
            }
            if step % 500 == 0 {
                check(&list, &model, seed);
                copies.push((list.clone(), model.clone()));
            }
        }
        for (list, model) in &copies {
            check(list, model, seed);
        }
    }
}

/// In order, backwards, and all of it out again.
#[test]
fn a_list_that_grows_at_one_end_is_whole() {
    for backwards in [false, true] {
        let mut list = SharedList::default();
        for step in 0..1_000u64 {
            let key = if backwards { 999 - step } else { step };
            assert_eq!(list.insert((key, 0), |known| known.0.cmp(&key)), None);
        }
        let all: Vec<(u64, u64)> = (0..1_000).map(|key| (key, 0)).collect();
        check(&list, &all, 0);
        for key in 0..1_000u64 {
            assert_eq!(list.remove(|known| known.0.cmp(&key)), Some((key, 0)));
        }
        check(&list, &[], 0);
    }
}
