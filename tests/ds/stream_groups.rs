//! Consumer groups against plain maps.

use super::{Random, size};
use rondo::ds::stream::{Group, NodeLimits, Pending, Stream, StreamId};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// Entry to delivery time, deliveries and consumer.
    pending: BTreeMap<StreamId, (i64, u64, Option<String>)>,
    /// What is nobody's, as it was given back.
    released: Vec<StreamId>,
    consumers: BTreeMap<String, ()>,
}

fn check(group: &Group, model: &Model, start: StreamId, seed: u64) {
    let name_of = |pending: &Pending| {
        let name = |number| group.consumer(number).name().to_vec();
        pending
            .consumer
            .map(name)
            .map(|name| String::from_utf8(name).expect("text"))
    };
    let plain = |(id, pending): (StreamId, Pending)| {
        (
            id,
            (
                pending.delivered_at_ms,
                pending.deliveries,
                name_of(&pending),
            ),
        )
    };
    let got: Vec<_> = group.pending_from(start).map(plain).collect();
    let wanted = model
        .pending
        .range(start..)
        .map(|(id, pending)| (*id, pending.clone()));
    assert!(got.into_iter().eq(wanted), "SEED={seed}");
    let names: Vec<_> = group
        .consumers()
        .map(|(_, consumer)| consumer.name())
        .collect();
    let wanted = model.consumers.keys().map(|name| name.as_bytes());
    assert!(names.into_iter().eq(wanted), "SEED={seed}");
    for name in model.consumers.keys() {
        let number = group.find(name.as_bytes()).expect("it is there");
        let own: Vec<_> = group.pending_of(number, start).map(plain).collect();
        let is_own = |pending: &(i64, u64, Option<String>)| pending.2.as_ref() == Some(name);
        let wanted = model
            .pending
            .range(start..)
            .filter(|(_, pending)| is_own(pending));
        let wanted = wanted.map(|(id, pending)| (*id, pending.clone()));
        assert!(own.into_iter().eq(wanted), "{name} SEED={seed}");
        let own_count = model
            .pending
            .values()
            .filter(|pending| is_own(pending))
            .count();
        assert_eq!(
            group.consumer(number).pending_count(),
            own_count,
            "SEED={seed}"
        );
    }
    assert_eq!(group.released(), model.released, "SEED={seed}");
    assert_eq!(group.released_count(), model.released.len(), "SEED={seed}");
    let ends = model
        .pending
        .keys()
        .next()
        .zip(model.pending.keys().next_back());
    assert_eq!(
        group.pending_ends(),
        ends.map(|(first, last)| (*first, *last)),
        "SEED={seed}"
    );
}

#[test]
fn a_group_is_plain_maps_of_who_has_what() {
    for seed in 0..size(2, 10) as u64 {
        let mut random = Random(seed);
        let mut stream = Stream::new();
        for name in ["one", "two"] {
            assert!(stream.add_group(name.as_bytes(), Group::new(StreamId::MIN, None)));
            assert!(!stream.add_group(name.as_bytes(), Group::new(StreamId::MAX, None)));
        }
        let mut model = Model::default();
        for step in 0..size(300, 4000) {
            let (_, mut group) = stream.group_mut(b"one").expect("the group");
            let id = StreamId::new(random.below(900) as u64, 0);
            let name = format!("consumer-{}", random.below(12));
            let found = group.find(name.as_bytes());
            match random.below(20) {
                0 | 1 => {
                    let is_new = model.consumers.insert(name.clone(), ()).is_none();
                    assert_eq!(group.add_consumer(name.as_bytes(), 5).is_some(), is_new);
                }
                2 if random.below(4) == 0 => {
                    let before = model.pending.len();
                    model
                        .pending
                        .retain(|_, pending| pending.2.as_ref() != Some(&name));
                    let had = model
                        .consumers
                        .remove(&name)
                        .map(|()| before - model.pending.len());
                    let removed = group.remove_consumer(name.as_bytes());
                    let (count, rest) = removed.unzip();
                    assert_eq!(count, had, "SEED={seed}");
                    let mut rest = rest.map(Stream::of_rest).unwrap_or_default();
                    while !rest.free_step(1) {
                        rest.assert_sound_while_freed();
                    }
                }
                3..9 => {
                    let had = model.pending.remove(&id);
                    model.released.retain(|released| *released != id);
                    let got = group.acknowledge(id).map(|it| it.deliveries);
                    assert_eq!(got, had.map(|it| it.1), "SEED={seed}");
                }
                other => {
                    let consumer = found.filter(|_| other > 9);
                    let pending = Pending {
                        delivered_at_ms: random.below(1000) as i64,
                        deliveries: random.below(5) as u64,
                        consumer,
                    };
                    group.assign(id, pending);
                    model.released.retain(|released| *released != id);
                    let name = consumer.map(|_| name);
                    let mut plain = (pending.delivered_at_ms, pending.deliveries, name);
                    if consumer.is_none() {
                        plain.0 = 0;
                        model.released.push(id);
                    }
                    model.pending.insert(id, plain);
                }
            }
            if step % 300 == 0 {
                let owned = model.pending.iter().filter(|(_, it)| it.2.is_some());
                let mut owned: Vec<_> = owned.map(|(id, it)| (it.0, *id)).collect();
                owned.sort_unstable();
                let released = model.released.iter().map(|id| (0, *id));
                let by_time = released.chain(owned);
                let got = group
                    .pending_by_time()
                    .map(|(id, it)| (it.delivered_at_ms, id));
                assert!(got.eq(by_time), "SEED={seed}");
            }
            drop(group);
            if step % 41 == 0 {
                stream.assert_sound();
                let start = StreamId::new(random.below(900) as u64, 0);
                let group = stream.group(b"one").expect("the group");
                check(group, &model, start, seed);
            }
        }
        let copy = stream.clone();
        copy.assert_sound();
        check(
            copy.group(b"one").expect("a copy"),
            &model,
            StreamId::MIN,
            seed,
        );
        while !stream.free_step(3) {
            stream.assert_sound_while_freed();
        }
        assert_eq!(
            (stream.heap_bytes(), stream.groups_count()),
            (0, 0),
            "SEED={seed}"
        );
        let mut copy = copy;
        assert!(copy.remove_group(b"one").is_some() && copy.remove_group(b"one").is_none());
        copy.assert_sound();
    }
}

// Redis's rules, by the cases its documentation of XINFO lists.
#[test]
fn lag_is_known_where_nothing_was_deleted_ahead() {
    let limits = NodeLimits {
        bytes_max: 4096,
        entries_max: 100,
    };
    let id = |ms| StreamId::new(ms, 0);
    let mut stream = Stream::new();
    let words: [&[u8]; 2] = [b"name", b"value"];
    let group = |last, read| Group::new(id(last), read);
    assert_eq!(stream.lag(&group(0, None)), Some(0));
    for ms in 1..=10 {
        stream
            .log
            .append(id(ms), words.as_slice(), limits)
            .expect("it rises");
    }
    assert_eq!(stream.lag(&group(0, None)), Some(10));
    assert_eq!(stream.lag(&group(1, None)), Some(9));
    assert_eq!(stream.lag(&group(3, None)), None);
    assert_eq!(stream.lag(&group(3, Some(3))), Some(7));
    assert_eq!(stream.lag(&group(10, None)), Some(0));
    assert_eq!(stream.lag(&group(11, None)), None);
    stream.log.delete(id(5));
    assert_eq!(stream.lag(&group(3, Some(3))), None);
    assert_eq!(stream.lag(&group(6, Some(6))), Some(4));
    stream.log.delete(id(1));
    assert_eq!(stream.lag(&group(0, None)), None);
    for ms in 2..=10 {
        stream.log.delete(id(ms));
    }
    assert_eq!(stream.lag(&group(3, None)), Some(0));
}
