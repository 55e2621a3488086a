//! The quicklist against a plain vector, over node limits and compression depths.

use super::{Random, size};
use rondo::ds::listpack::{Element, Listpack};
use rondo::ds::quicklist::{Content, End, NodeLimit, Quicklist};
use std::ops::ControlFlow;

type Model = Vec<Vec<u8>>;

/// `list-max-listpack-size` and `list-compress-depth` that every test runs under.
const SHAPES: &[(i64, usize)] = &[
    (-2, 0),
    (-1, 1),
    (1, 0),
    (2, 1),
    (5, 2),
    (128, 0),
    (7, 3),
    (-5, 1),
];

fn list_of(shape: (i64, usize)) -> Quicklist {
    Quicklist::new(NodeLimit::from_size(shape.0), shape.1)
}

/// Elements of a few values, so that some are equal; integers, short and long strings, now and then one above every limit.
fn element(random: &mut Random, kind: usize) -> Vec<u8> {
    match kind {
        // Of one form: short strings of one length, integers of 32 and of 64 bits.
        1 => return format!("{:060}x", random.below(6)).into_bytes(),
        2 => {
            return (random.below(8) as i64 * 10_000_000 - 45_000_000)
                .to_string()
                .into_bytes();
        }
        3 => return format!("-{}", 1_000_000_000_000 + random.below(6)).into_bytes(),
        _ => {}
    }
    match random.below(40) {
        0..10 => random.below(20).to_string().into_bytes(),
        10..20 => format!("element {}", random.below(10)).into_bytes(),
        20..22 => vec![b'a' + random.below(3) as u8; random.below(900)],
        22 => vec![b'x'; size(200, 5000) + random.below(size(10, 6000))],
        23 if random.below(3) == 0 => vec![b'y'; 65_000 + random.below(1000)],
        24 => (0..random.below(700))
            .map(|_| random.next() as u8)
            .collect(),
        25 => Vec::new(),
        _ => (random.next() as i64 >> random.below(64))
            .to_string()
            .into_bytes(),
    }
}

fn end_of(random: &mut Random) -> End {
    if random.below(2) == 0 {
        End::Front
    } else {
        End::Back
    }
}

fn elements(list: &Quicklist, index: usize, from: End) -> Model {
    let mut found = Vec::new();
    list.visit(index, from, |element| {
        found.push(element.to_vec());
        ControlFlow::Continue(())
    });
    found
}

fn check(list: &Quicklist, model: &Model, what: &str) {
    list.check();
    assert_eq!(list.len(), model.len(), "{what}");
    assert_eq!(list.is_empty(), model.is_empty(), "{what}");
    assert!(elements(list, 0, End::Front) == *model, "{what}: elements");
    for (end, own) in [(End::Front, model.first()), (End::Back, model.last())] {
        assert_eq!(list.peek(end).map(Element::to_vec).as_ref(), own, "{what}");
    }
}

/// One random change to both.
fn step(list: &mut Quicklist, model: &mut Model, random: &mut Random, kind: usize) -> String {
    let place = random.below(model.len() + 1);
    match random.below(20) {
        0..7 => {
            let (end, element) = (end_of(random), element(random, kind));
            list.push(end, Element::Str(&element));
            let at = if end == End::Front { 0 } else { model.len() };
            model.insert(at, element);
            "push".to_string()
        }
        7..11 => {
            let end = end_of(random);
            let at = match end {
                End::Front => 0,
                End::Back => model.len().saturating_sub(1),
            };
            let expected = (!model.is_empty()).then(|| model.remove(at));
            assert_eq!(list.peek(end).map(Element::to_vec), expected);
            list.pop(end);
            format!("pop {end:?}")
        }
        11..14 => {
            let (pivot, element) = (element(random, kind), element(random, kind));
            let is_after = random.below(2) == 1;
            let found = model.iter().position(|own| *own == pivot);
            let is_in = list.insert_beside(&pivot, is_after, Element::Str(&element));
            assert_eq!(is_in, found.is_some());
            if let Some(at) = found {
                model.insert(at + usize::from(is_after), element);
            }
            "insert".to_string()
        }
        14..17 => {
            let element = element(random, kind);
            assert_eq!(list.set(place, Element::Str(&element)), place < model.len());
            if let Some(own) = model.get_mut(place) {
                *own = element;
            }
            "set".to_string()
        }
        17 => {
            let (element, from) = (element(random, kind), end_of(random));
            let wanted = 1 + random.below(4);
            let mut at: Vec<usize> = (0..model.len())
                .filter(|at| model[*at] == element)
                .collect();
            if from == End::Back {
                at.reverse();
            }
            at.truncate(wanted);
            assert_eq!(list.remove_equal(&element, wanted, from), at.len());
            at.sort_unstable();
            at.iter().rev().for_each(|at| drop(model.remove(*at)));
            "remove equal".to_string()
        }
        18 => {
            let count = random.below(1 + model.len() / 4);
            let end = model.len().min(place + count);
            let cut = list.remove_range(place, count);
            cut.check();
            model.drain(place..end);
            format!("remove {count} from {place} on")
        }
        _ => {
            let from = end_of(random);
            let expected: Model = match from {
                End::Front => model[place..].to_vec(),
                End::Back => model.iter().take(place + 1).rev().cloned().collect(),
            };
            let expected = if place < model.len() {
                expected
            } else {
                Vec::new()
            };
            assert!(elements(list, place, from) == expected);
            "visit".to_string()
        }
    }
}

#[test]
fn a_list_is_what_a_vector_would_be() {
    for (shape_number, shape) in SHAPES.iter().enumerate() {
        for seed in 0..size(1, 3) as u64 {
            let mut random = Random(seed * 100 + shape_number as u64);
            let (mut list, mut model) = (list_of(*shape), Model::new());
            for number in 0..size(60, 600) {
                let what = step(&mut list, &mut model, &mut random, 0);
                let what = format!("SEED={seed} {shape:?} step {number}: {what}");
                check(&list, &model, &what);
                if number % 97 == 0 {
                    let copy = list.clone();
                    check(&copy, &model, &what);
                }
            }
        }
    }
}

/// Longer lists, so that there are many chunks; checked now and then.
#[test]
fn long_lists_are_right_too() {
    for (shape_number, shape) in [(1, 0), (3, 2), (-1, 0)].into_iter().enumerate() {
        let mut random = Random(7 + shape_number as u64);
        let (mut list, mut model) = (list_of(shape), Model::new());
        for number in 0..size(100, 3000) {
            let end = end_of(&mut random);
            let element = format!("{number}").into_bytes();
            list.push(end, Element::Str(&element));
            let at = if end == End::Front { 0 } else { model.len() };
            model.insert(at, element);
        }
        check(&list, &model, "pushed");
        for number in 0..size(50, 600) {
            let what = step(&mut list, &mut model, &mut random, 0);
            if number % 10 == 0 {
                check(&list, &model, &format!("{shape:?} step {number}: {what}"));
            }
        }
        check(&list, &model, "stepped");
        let third = model.len() / 3;
        list.remove_range(third, third);
        model.drain(third..2 * third);
        check(&list, &model, "a third removed");
        while !model.is_empty() {
            let end = end_of(&mut random);
            list.pop(end);
            match end {
                End::Front => drop(model.remove(0)),
                End::Back => drop(model.pop()),
            }
            if model.len().is_multiple_of(50) {
                check(&list, &model, "popped");
            }
        }
        assert_eq!(list.nodes_count(), 0);
    }
}

/// Inner nodes of elements that have one form are kept without what they have in common.
#[test]
fn elements_of_one_form_are_what_they_were() {
    for kind in 1..=3 {
        for (shape_number, shape) in [(-1, 0), (5, 0), (2, 0), (-1, 1)].into_iter().enumerate() {
            let seed = (kind * 10 + shape_number) as u64;
            let mut random = Random(seed);
            let (mut list, mut model) = (list_of(shape), Model::new());
            for number in 0..size(10, 80) {
                let end = end_of(&mut random);
                for _ in 0..random.below(size(30, 300)) {
                    let element = element(&mut random, kind);
                    list.push(end, Element::Str(&element));
                    let at = if end == End::Front { 0 } else { model.len() };
                    model.insert(at, element);
                }
                let end = end_of(&mut random);
                for _ in 0..random.below(size(10, 200)) {
                    list.pop(end);
                    match end {
                        End::Front if !model.is_empty() => drop(model.remove(0)),
                        End::Front | End::Back => drop(model.pop()),
                    }
                }
                let what = step(&mut list, &mut model, &mut random, kind);
                check(
                    &list,
                    &model,
                    &format!("SEED={seed} {shape:?} step {number}: {what}"),
                );
                // One element of another form in the middle now and then.
                if number % 20 == 7 && !model.is_empty() {
                    let at = model.len() / 2;
                    list.set(at, Element::Str(b"other"));
                    model[at] = b"other".to_vec();
                    check(
                        &list,
                        &model,
                        &format!("SEED={seed} {shape:?} step {number}: other"),
                    );
                }
            }
        }
    }
}

/// Elements of `width` bytes after the first in a listpack: letters, or an integer.
fn of_one_form(width: usize, is_integer: bool, random: &mut Random) -> Vec<u8> {
    if !is_integer {
        return (0..width).map(|_| b'a' + random.below(26) as u8).collect();
    }
    let least = match width {
        2 => 10_000,
        3 => 4_000_000,
        4 => 1 << 30,
        _ => 1_i64 << 50,
    };
    let number = least + random.below(1000) as i64;
    let sign = [1, -1][random.below(2)];
    (number * sign).to_string().into_bytes()
}

/// The elements of each node, whose listpack is what pushing them one by one makes.
fn nodes_of(list: &Quicklist) -> Vec<Model> {
    let mut nodes = Vec::new();
    list.visit_nodes(|content| match content {
        Content::Packed(pack) => {
            let elements: Model = pack.iter().map(Element::to_vec).collect();
            let mut again = Listpack::new();
            elements.iter().for_each(|element| again.push_back(element));
            assert!(pack.as_bytes() == again.as_bytes());
            nodes.push(elements);
        }
        Content::Alone(bytes) => nodes.push(vec![bytes.to_vec()]),
    });
    nodes
}

/// Cut at every place, behind and then in front as LTRIM does it: nodes end where they did, and their bytes are those of
/// listpacks.
#[test]
fn a_list_of_one_form_is_cut_at_every_place() {
    let strings = [1, 3, 7, 16, 33, 60].map(|width| (width, false));
    let integers = [2, 3, 4, 8].map(|width| (width, true));
    for (width, is_integer) in strings.into_iter().chain(integers) {
        for end in [End::Front, End::Back] {
            let mut random = Random(width as u64);
            let bytes_max = (width * 8).max(60);
            let limit = NodeLimit {
                bytes_max,
                elements_max: usize::MAX,
                element_bytes_max: bytes_max,
            };
            let (mut list, mut model) = (Quicklist::new(limit, 0), Model::new());
            for _ in 0..bytes_max / width * size(3, 5) + 7 {
                let element = of_one_form(width, is_integer, &mut random);
                list.push(end, Element::Str(&element));
                model.push(element);
            }
            if end == End::Front {
                model.reverse();
            }
            let what = format!("width {width}, {is_integer}, pushed at the {end:?}");
            check(&list, &model, &what);
            let nodes = nodes_of(&list);
            let fullest = nodes.iter().map(Vec::len).max();
            // As listpacks they would hold less.
            assert_eq!(fullest, Some(bytes_max / width), "{what}");
            for place in (0..model.len()).step_by(size(5, 1)) {
                let start = random.below(place + 1);
                let end = place + 1 + random.below(model.len() - place);
                for range in [place..end, start..place + 1] {
                    let what = format!("{what}, cut to {range:?}");
                    let mut cut = list.clone();
                    cut.remove_range(range.end, usize::MAX).check();
                    cut.remove_range(0, range.start).check();
                    let mut rest = model[range.clone()].to_vec();
                    check(&cut, &rest, &what);
                    let mut at = 0;
                    let expected = nodes.iter().filter_map(|node| {
                        let place_in = |place: usize| place.saturating_sub(at).min(node.len());
                        let kept = place_in(range.start)..place_in(range.end);
                        at += node.len();
                        (!kept.is_empty()).then(|| node[kept].to_vec())
                    });
                    assert!(nodes_of(&cut) == expected.collect::<Vec<_>>(), "{what}");
                    if place % 8 == 0 {
                        for _ in 0..30 {
                            let element = of_one_form(width, is_integer, &mut random);
                            cut.push(End::Front, Element::Str(&element));
                            cut.push(End::Back, Element::Str(&element));
                            rest.insert(0, element.clone());
                            rest.push(element);
                        }
                        check(&cut, &rest, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn elements_of_one_form_take_little_more_than_their_own_bytes() {
    for end in [End::Front, End::Back] {
        let bytes_of = |element: &dyn Fn(usize) -> String| {
            let mut list = list_of((-2, 0));
            (0..100_000)
                .for_each(|number| list.push(end, Element::Str(element(number).as_bytes())));
            list.heap_bytes() as f64 / 100_000.0
        };
        let names = bytes_of(&|number| format!("name {number:011}"));
        assert!(names < 16.2, "{names}");
        let ids = bytes_of(&|number| (1_000_000_000 + number).to_string());
        assert!(ids < 4.3, "{ids}");
    }
}

#[test]
fn nodes_are_filled_to_their_limit() {
    let mut list = list_of((-2, 0));
    for number in 0..10_000 {
        let width = 5 + number % 2 * 2;
        list.push(
            End::Back,
            Element::Str(format!("element {number:0width$}").as_bytes()),
        );
    }
    // 16 bytes each on average, and a node is closed when less than an element and 8 bytes are left of 8,192.
    assert_eq!(list.nodes_count(), 10_000_usize.div_ceil(510));
    let per_element = list.heap_bytes() as f64 / 10_000.0;
    assert!(per_element < 16.3, "{per_element}");
    let mut list = list_of((128, 0));
    for number in 0..1000 {
        list.push(End::Front, Element::Int(number));
    }
    assert_eq!(list.nodes_count(), 8);
    list.push(End::Front, Element::Str(&[b'x'; 8193]));
    assert_eq!(list.nodes_count(), 9);
}

#[test]
fn inner_nodes_are_compressed_and_ends_are_not() {
    let plain_bytes = {
        let mut list = list_of((-2, 0));
        (0..20_000).for_each(|_| list.push(End::Back, Element::Str(b"the same again and again")));
        list.heap_bytes()
    };
    let mut list = list_of((-2, 1));
    (0..20_000).for_each(|_| list.push(End::Back, Element::Str(b"the same again and again")));
    list.check();
    assert!(list.heap_bytes() * 10 < plain_bytes);
    let mut nodes_count = 0;
    list.visit_nodes(|content| {
        nodes_count += 1;
        assert!(matches!(content, Content::Packed(_)));
    });
    assert_eq!(nodes_count, list.nodes_count());
    while !list.is_empty() {
        list.pop(End::Front);
    }
    assert_eq!(list.nodes_count(), 0);
}

/// The last node splits, which pushes one of the raw ones inwards.
#[test]
fn a_node_that_a_split_pushes_inwards_is_compressed() {
    let mut list = list_of((7, 3));
    for index in 0..70_u8 {
        list.push(End::Back, Element::Str(&[b'a' + index % 7; 60]));
    }
    for index in 63..70 {
        list.set(index, Element::Str(&[b'y'; 7000]));
        list.check();
    }
    assert!(list.nodes_count() > 10);
}

#[test]
fn what_is_cut_out_is_whole_nodes_and_frees_in_steps() {
    let mut list = list_of((10, 0));
    (0..10_000).for_each(|number| list.push(End::Back, Element::Int(number)));
    let mut cut = list.remove_range(15, 9_000);
    list.check();
    cut.check();
    assert_eq!(list.len(), 1_000);
    assert_eq!(cut.len(), 8_990);
    assert_eq!(list.peek(End::Back), Some(Element::Int(9_999)));
    let mut steps_count = 0;
    while !cut.free_step(100) {
        steps_count += 1;
        cut.check();
    }
    assert!((8..=9).contains(&steps_count), "{steps_count}");
    assert!(!list.free_step(3));
    assert_eq!(list.nodes_count(), 98);
}

#[test]
fn a_single_node_goes_back_to_a_listpack() {
    let mut pack = Listpack::new();
    (0..100).for_each(|number| pack.push_back(number));
    let mut list = list_of((-2, 0));
    list.push_listpack(pack.clone());
    list.push_listpack(Listpack::new());
    assert_eq!(list.nodes_count(), 1);
    list.push(End::Back, Element::Int(100));
    pack.push_back(100);
    assert_eq!(
        list.single_listpack().map(Listpack::as_bytes),
        Some(pack.as_bytes())
    );
    list.push_alone(vec![1; 10].into_boxed_slice());
    assert!(list.single_listpack().is_none());
    list.pop(End::Back);
    let back = list.take_single_listpack().expect("one node");
    assert_eq!(back.as_bytes(), pack.as_bytes());
    assert!(list.is_empty());
    list.check();
}

/// A node that is split may be in a chunk that has no room for one more.
#[test]
fn a_large_element_splits_nodes_of_full_chunks() {
    const LEN: usize = 300;
    let mut list = list_of((2, 0));
    let mut model = Model::new();
    for number in 0..LEN {
        let element = format!("element {number}").into_bytes();
        list.push(End::Back, Element::Str(&element));
        model.push(element);
    }
    let large = vec![b'y'; 9_000];
    for index in 0..LEN {
        let (mut list, mut model) = (list.clone(), model.clone());
        for index in [index, LEN - 1 - index, index / 2] {
            assert!(list.set(index, Element::Str(&large)));
            model[index] = large.clone();
            check(&list, &model, &format!("index {index}"));
        }
        let pivot = format!("element {index}").into_bytes();
        if let Some(place) = model.iter().position(|own| *own == pivot) {
            for is_after in [true, false] {
                list.insert_beside(&pivot, is_after, Element::Str(&large));
                let place = model.iter().position(|own| *own == pivot).unwrap_or(place);
                model.insert(place + usize::from(is_after), large.clone());
                check(&list, &model, &format!("beside {index}"));
            }
        }
    }
}
