//! What has been put off comes back when its cause has gone, beside a model that is one list.

use rondo::base::rng::Rng;
use rondo::shard::locks::Obstacle;
use rondo::shard::put_off::{Cause, PutOff};
use rondo::shard::waiters::{Change, WaitKey};

const CAUSES: [Cause; 4] = [
    Cause::Claim,
    Cause::Lock(Obstacle::Shard),
    Cause::Lock(Obstacle::Key(1)),
    Cause::Lock(Obstacle::Key(2)),
];

#[test]
fn keys_come_back_in_the_order_they_were_put_off_in() {
    let [claim, shard, one, two] = CAUSES;
    let mut put_off = PutOff::default();
    put_off.add((0, 10), Change::Here, two);
    put_off.add((0, 11), Change::Here, one);
    put_off.add((1, 10), Change::Here, two);
    put_off.add((0, 12), Change::Here, claim);
    // It has been marked and put off again: it keeps its place, and the greater change.
    put_off.add((0, 10), Change::OfSeveral, one);
    put_off.add((0, 10), Change::Here, one);
    assert_eq!(put_off.take([shard].into_iter()), []);
    assert_eq!(
        put_off.take([one, claim].into_iter()),
        [
            ((0, 10), Change::OfSeveral),
            ((0, 11), Change::Here),
            ((0, 12), Change::Here)
        ]
    );
    assert!(!put_off.is_empty());
    assert_eq!(put_off.take_all(), [((1, 10), Change::Here)]);
    assert!(put_off.is_empty());
}

#[test]
fn it_is_a_list_of_keys_with_their_causes() {
    let mut rng = Rng::with_seed(11);
    let mut put_off = PutOff::default();
    let mut model: Vec<(WaitKey, Change, Cause)> = Vec::new();
    for _ in 0..20_000 {
        match rng.below(8) {
            0 => {
                let gone = [0, 1].map(|_| CAUSES[rng.below(4) as usize]);
                let is_free = |(_, _, cause): &(WaitKey, Change, Cause)| gone.contains(cause);
                let expected: Vec<_> = model.iter().filter(|it| is_free(it)).copied().collect();
                model.retain(|it| !is_free(it));
                let expected: Vec<_> = expected.iter().map(|it| (it.0, it.1)).collect();
                assert_eq!(put_off.take(gone.into_iter()), expected);
            }
            1 if rng.below(20) == 0 => {
                let expected: Vec<_> = model.drain(..).map(|it| (it.0, it.1)).collect();
                assert_eq!(put_off.take_all(), expected);
            }
            _ => {
                let place = (rng.below(2) as u16, rng.below(20));
                let change = [Change::Here, Change::OfSeveral][rng.below(2) as usize];
                let cause = CAUSES[rng.below(4) as usize];
                put_off.add(place, change, cause);
                match model.iter_mut().find(|it| it.0 == place) {
                    Some(known) => *known = (place, change.max(known.1), cause),
                    None => model.push((place, change, cause)),
                }
            }
        }
        assert_eq!(put_off.is_empty(), model.is_empty());
    }
}
