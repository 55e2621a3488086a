//! Bytes as changes of a list, under some limit of its nodes and some depth of compression: the same as on a plain vector.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::listpack::Element;
use rondo::ds::quicklist::{End, NodeLimit, Quicklist};
use std::ops::ControlFlow;

/// `list-max-listpack-size` and `list-compress-depth`.
const SHAPES: [(i64, usize); 8] = [
    (-2, 0),
    (-1, 1),
    (1, 0),
    (2, 1),
    (5, 2),
    (128, 0),
    (7, 3),
    (-5, 1),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&shape, bytes)) = bytes.split_first() else {
        return;
    };
    let (size, depth) = SHAPES[usize::from(shape) % SHAPES.len()];
    let mut list = Quicklist::new(NodeLimit::from_size(size), depth);
    let mut model: Vec<Vec<u8>> = Vec::new();
    for step in bytes.chunks_exact(3) {
        let (how, place, what) = (step[0], usize::from(step[1]), element(step[2]));
        let end = if how & 0x80 == 0 {
            End::Front
        } else {
            End::Back
        };
        match how & 7 {
            0..3 => {
                list.push(end, Element::Str(&what));
                let at = if end == End::Front { 0 } else { model.len() };
                model.insert(at, what);
            }
            3 => {
                list.pop(end);
                match end {
                    End::Front if model.is_empty() => {}
                    End::Front => drop(model.remove(0)),
                    End::Back => drop(model.pop()),
                }
            }
            4 => {
                let at = model.iter().position(|own| *own == what);
                let is_after = how & 8 != 0;
                let text = element(step[1]);
                assert_eq!(
                    list.insert_beside(&what, is_after, Element::Str(&text)),
                    at.is_some()
                );
                if let Some(at) = at {
                    model.insert(at + usize::from(is_after), text);
                }
            }
            5 => {
                assert_eq!(list.set(place, Element::Str(&what)), place < model.len());
                if let Some(own) = model.get_mut(place) {
                    *own = what;
                }
            }
            6 => {
                let wanted = usize::from(how >> 3 & 7) + 1;
                let equal = (0..model.len()).filter(|&at| model[at] == what);
                let mut gone: Vec<usize> = match end {
                    End::Front => equal.take(wanted).collect(),
                    End::Back => equal.rev().take(wanted).collect(),
                };
                assert_eq!(list.remove_equal(&what, wanted, end), gone.len());
                gone.sort_unstable();
                gone.iter().rev().for_each(|&at| drop(model.remove(at)));
            }
            _ => {
                let count = usize::from(step[2] & 31);
                list.remove_range(place, count).check();
                model.drain(place.min(model.len())..(place + count).min(model.len()));
            }
        }
        list.check();
        assert_eq!(list.len(), model.len());
    }
    let mut found = Vec::new();
    list.visit(0, End::Front, |element| {
        found.push(element.to_vec());
        ControlFlow::Continue(())
    });
    assert!(found == model);
});

/// Few enough to be equal now and then: numbers, short and long strings, one above every limit.
fn element(byte: u8) -> Vec<u8> {
    match byte {
        0..64 => byte.to_string().into_bytes(),
        64..128 => (i64::MIN >> (byte - 64)).to_string().into_bytes(),
        128..200 => vec![byte; usize::from(byte - 128) * 3],
        200..255 => vec![b'x'; usize::from(byte - 199) * 160],
        255 => vec![b'y'; 66_000],
    }
}
