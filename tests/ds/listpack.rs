//! The listpack against a plain vector, and its bytes against the format.

use super::{Random, size};
use std::collections::VecDeque;

use rondo::ds::listpack::{Bare, Batch, Element, Listpack, Position};

/// Elements of every encoding, and of those next to each border between two.
fn random_element(random: &mut Random) -> Vec<u8> {
    const NUMBERS: [i64; 22] = [
        0,
        127,
        128,
        -1,
        4095,
        4096,
        -4096,
        -4097,
        32767,
        32768,
        -32768,
        -32769,
        8_388_607,
        8_388_608,
        -8_388_608,
        -8_388_609,
        2_147_483_647,
        2_147_483_648,
        -2_147_483_648,
        -2_147_483_649,
        i64::MAX,
        i64::MIN,
    ];
    const LENGTHS: [usize; 10] = [0, 1, 62, 63, 64, 65, 125, 126, 4095, 4096];
    match random.below(8) {
        0 | 1 => NUMBERS[random.below(NUMBERS.len())]
            .to_string()
            .into_bytes(),
        2 => (random.next() as i64 >> random.below(64))
            .to_string()
            .into_bytes(),
        3 => vec![b'a' + random.below(26) as u8; LENGTHS[random.below(LENGTHS.len())]],
        4 => [
            &b"007"[..],
            b"-0",
            b"+1",
            b" 1",
            b"1 ",
            b"-",
            b"9223372036854775808",
        ][random.below(7)]
        .to_vec(),
        _ => format!("field:{:03}", random.below(200)).into_bytes(),
    }
}

fn check(list: &Listpack, model: &[Vec<u8>], seed: u64) {
    let elements: Vec<Vec<u8>> = list.iter().map(Element::to_vec).collect();
    assert_eq!(elements, model, "SEED={seed}");
    let mut backward: Vec<Vec<u8>> = list.iter().rev().map(Element::to_vec).collect();
    backward.reverse();
    assert_eq!(backward, model, "SEED={seed}");
    assert_eq!(list.len(), model.len(), "SEED={seed}");
    assert_eq!(list.is_empty(), model.is_empty(), "SEED={seed}");
    assert_eq!(list.byte_len(), list.as_bytes().len(), "SEED={seed}");
    assert_eq!(list.heap_bytes() == 0, model.is_empty(), "SEED={seed}");
    assert!(
        list.is_empty() || list.heap_bytes() >= list.byte_len(),
        "SEED={seed}"
    );
    assert!(
        list.heap_bytes() <= list.byte_len().max(16) * 2,
        "SEED={seed}"
    );
    let copy = Listpack::from_bytes(list.as_bytes()).expect("its own bytes are valid");
    assert_eq!(copy.as_bytes(), list.as_bytes(), "SEED={seed}");
}

fn at(list: &Listpack, index: usize) -> Position {
    list.seek(index as isize)
        .expect("an index below the length")
}

#[test]
fn every_change_does_to_a_listpack_what_it_does_to_a_vector() {
    for seed in 0..size(2, 60) as u64 {
        let mut random = Random(seed);
        let mut list = Listpack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for _ in 0..size(60, 500) {
            let element = random_element(&mut random);
            let index = random.below(model.len().max(1));
            match random.below(if model.is_empty() { 3 } else { 16 }) {
                0 | 3 | 4 => {
                    list.push_back(&element);
                    model.push(element);
                }
                1 | 5 => {
                    list.push_front(&element);
                    model.insert(0, element);
                }
                2 => {
                    let other = random_element(&mut random);
                    list.push_many([Element::from(&element), Element::from(&other)]);
                    model.extend([element, other]);
                }
                6 => {
                    let place = list.insert_before(at(&list, index), &element);
                    assert!(list.get(place).equals(&element), "SEED={seed}");
                    model.insert(index, element);
                }
                7 => {
                    let place = list.insert_after(at(&list, index), &element);
                    assert!(list.get(place).equals(&element), "SEED={seed}");
                    model.insert(index + 1, element);
                }
                8 | 9 => {
                    list.replace(at(&list, index), &element);
                    model[index] = element;
                }
                10 => {
                    let next = list.delete(at(&list, index));
                    model.remove(index);
                    let next = next.map(|next| list.get(next).to_vec());
                    assert_eq!(next.as_ref(), model.get(index), "SEED={seed}");
                }
                11 => {
                    let count = random.below(4);
                    let from_end = index as isize - model.len() as isize;
                    let start = [index as isize, from_end][random.below(2)];
                    let removed = list.delete_range(start, count);
                    let end = (index + count).min(model.len());
                    assert_eq!(removed, end - index, "SEED={seed}");
                    model.drain(index..end);
                }
                12 => {
                    let rest = list.split_off(index);
                    let model_rest = model.split_off(index);
                    check(&rest, &model_rest, seed);
                    if random.below(2) == 0 {
                        list.append(&rest);
                        model.extend(model_rest);
                    } else {
                        list.prepend(&rest);
                        model.splice(0..0, model_rest);
                    }
                }
                13 => {
                    let place = at(&list, index);
                    list.insert_many(Some(place), [Element::Int(7), Element::from(&element)]);
                    model.splice(index..index, [b"7".to_vec(), element]);
                }
                _ => {
                    let skip = random.below(3);
                    let needle = [&element, &model[random.below(model.len())]][random.below(2)];
                    let found = list.find(at(&list, index), needle, skip);
                    let expected = (index..model.len())
                        .step_by(skip + 1)
                        .find(|index| model[*index] == *needle);
                    assert_eq!(found, expected.map(|index| at(&list, index)), "SEED={seed}");
                }
            }
            check(&list, &model, seed);
        }
        for index in 0..model.len() {
            let from_end = index as isize - model.len() as isize;
            assert_eq!(list.seek(from_end), list.seek(index as isize));
            assert_eq!(list.get(at(&list, index)).to_vec(), model[index]);
        }
        assert_eq!(list.seek(model.len() as isize), None);
        assert_eq!(list.seek(-1 - model.len() as isize), None);
        let copy = list.clone();
        list.clear();
        check(&list, &[], seed);
        check(&copy, &model, seed);
    }
}

/// One element between header and end; the format's document says which bytes.
#[test]
fn each_encoding_has_the_bytes_of_the_format() {
    let entry = |text: &[u8]| {
        let mut list = Listpack::new();
        list.push_back(text);
        let bytes = list.as_bytes();
        assert_eq!(bytes[..4], (bytes.len() as u32).to_le_bytes());
        assert_eq!(bytes[4..6], [1, 0]);
        assert_eq!(bytes[bytes.len() - 1], 0xff);
        bytes[6..bytes.len() - 1].to_vec()
    };
    let integers: [(&str, &[u8]); 22] = [
        ("0", &[0x00, 1]),
        ("127", &[0x7f, 1]),
        ("128", &[0xc0, 0x80, 2]),
        ("-1", &[0xdf, 0xff, 2]),
        ("4095", &[0xcf, 0xff, 2]),
        ("-4096", &[0xd0, 0x00, 2]),
        ("4096", &[0xf1, 0x00, 0x10, 3]),
        ("-4097", &[0xf1, 0xff, 0xef, 3]),
        ("32767", &[0xf1, 0xff, 0x7f, 3]),
        ("-32768", &[0xf1, 0x00, 0x80, 3]),
        ("32768", &[0xf2, 0x00, 0x80, 0x00, 4]),
        ("-32769", &[0xf2, 0xff, 0x7f, 0xff, 4]),
        ("8388607", &[0xf2, 0xff, 0xff, 0x7f, 4]),
        ("-8388608", &[0xf2, 0x00, 0x00, 0x80, 4]),
        ("8388608", &[0xf3, 0x00, 0x00, 0x80, 0x00, 5]),
        ("-8388609", &[0xf3, 0xff, 0xff, 0x7f, 0xff, 5]),
        ("2147483647", &[0xf3, 0xff, 0xff, 0xff, 0x7f, 5]),
        ("-2147483648", &[0xf3, 0x00, 0x00, 0x00, 0x80, 5]),
        ("2147483648", &[0xf4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
        (
            "-2147483649",
            &[0xf4, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 9],
        ),
        (
            "9223372036854775807",
            &[0xf4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 9],
        ),
        (
            "-9223372036854775808",
            &[0xf4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9],
        ),
    ];
    for (text, bytes) in integers {
        assert_eq!(entry(text.as_bytes()), bytes, "{text}");
    }
    // What is no integer in canonical form stays text.
    for text in ["", "-", "-0", "007", "+1", "1 ", "9223372036854775808"] {
        let length = text.len() as u8;
        let expected = [&[0x80 | length], text.as_bytes(), &[length + 1]].concat();
        assert_eq!(entry(text.as_bytes()), expected, "{text}");
    }
    let strings: [(usize, &[u8], &[u8]); 8] = [
        (63, &[0xbf], &[64]),
        (64, &[0xe0, 64], &[66]),
        (125, &[0xe0, 125], &[127]),
        (126, &[0xe0, 126], &[1, 0x80]),
        (4095, &[0xef, 0xff], &[0x20, 0x81]),
        (4096, &[0xf0, 0, 0x10, 0, 0], &[0x20, 0x85]),
        // 16,383 would fit two bytes of seven bits; the format's writers use three.
        (16_378, &[0xf0, 0xfa, 0x3f, 0, 0], &[0, 0xff, 0xff]),
        (
            2_097_146,
            &[0xf0, 0xfa, 0xff, 0x1f, 0],
            &[0, 0xff, 0xff, 0xff],
        ),
    ];
    for (length, head, back) in strings {
        let data = vec![b's'; length];
        let bytes = entry(&data);
        assert_eq!(bytes[..head.len()], *head, "{length}");
        assert_eq!(bytes[head.len()..][..length], data, "{length}");
        assert_eq!(bytes[head.len() + length..], *back, "{length}");
    }
}

#[test]
fn every_proper_prefix_and_any_longer_text_is_refused() {
    let mut list = Listpack::new();
    for element in ["7", "-300", "40000", "9000000", "5000000000", "field", ""] {
        list.push_back(element.as_bytes());
    }
    list.push_back(&[b'a'; 100]);
    list.push_back(&vec![b'b'; size(200, 5000)]);
    let whole = list.as_bytes();
    assert!(Listpack::from_bytes(whole).is_some());
    for length in 0..whole.len() {
        let mut prefix = whole[..length].to_vec();
        assert!(Listpack::from_bytes(&prefix).is_none(), "{length} bytes");
        // With header and end put right it is a listpack only where an entry ends; then the count is wrong.
        if (6..whole.len() - 1).contains(&length) {
            prefix.push(0xff);
            let total = (prefix.len() as u32).to_le_bytes();
            prefix[..4].copy_from_slice(&total);
            assert!(Listpack::from_bytes(&prefix).is_none(), "{length} bytes");
        }
    }
    assert!(Listpack::from_bytes(&[whole, &[0xff]].concat()).is_none());
}

/// Any one byte changed: refused, or a listpack that can be read both ways and edited.
#[test]
fn what_is_accepted_can_be_walked_and_edited() {
    for seed in 0..size(20, 20_000) as u64 {
        let mut random = Random(seed);
        let mut list = Listpack::new();
        for _ in 0..random.below(6) {
            list.push_back(&random_element(&mut random));
        }
        let mut bytes = list.as_bytes().to_vec();
        for _ in 0..1 + random.below(2) {
            let index = random.below(bytes.len());
            bytes[index] = [random.next() as u8, 0xff, 0, bytes[index] ^ 1][random.below(4)];
        }
        let Some(mut list) = Listpack::from_bytes(&bytes) else {
            continue;
        };
        let mut model: Vec<Vec<u8>> = list.iter().map(Element::to_vec).collect();
        check(&list, &model, seed);
        list.push_front(b"first");
        model.insert(0, b"first".to_vec());
        check(&list, &model, seed);
        let last = list.seek(-1).expect("not empty");
        list.delete(last);
        model.pop();
        check(&list, &model, seed);
    }
}

/// An integer may come from elsewhere in a wider form than ours: it is found all the same.
#[test]
fn an_integer_is_found_in_any_form() {
    let wide = [
        24, 0, 0, 0, 3, 0, // header
        0xf4, 5, 0, 0, 0, 0, 0, 0, 0, 9, // 5 in 64 bits
        0x81, b'6', 2, // 6 as text
        0xc0, 7, 2, // 7 in 13 bits
        0xff,
    ];
    let mut wide = wide.to_vec();
    wide[0] = wide.len() as u8;
    let list = Listpack::from_bytes(&wide).expect("valid");
    let first = list.first().expect("not empty");
    for (index, needle) in [b"5", b"6", b"7"].iter().enumerate() {
        assert_eq!(list.find(first, *needle, 0), Some(at(&list, index)));
    }
    assert_eq!(list.find(first, b"05", 0), None);
    assert_eq!(list.find(first, b"8", 0), None);
}

/// The count in the header has 16 bits.
#[test]
fn a_string_is_told_from_those_that_differ_in_a_byte() {
    for length in 0..=70 {
        let needle: Vec<u8> = (0..length).map(|index| b'a' + index % 26).collect();
        let mut list = Listpack::new();
        for index in 0..needle.len() {
            let mut other = needle.clone();
            other[index] ^= 0x80;
            list.push_back(&other);
        }
        list.push_back(&[needle.as_slice(), b"x"].concat());
        let count = list.len();
        let first = list.first().expect("there is one at least");
        assert_eq!(list.find(first, &needle, 0), None, "{length}");
        list.push_back(&needle);
        let found = list.find(first, &needle, 0);
        assert_eq!(found, Some(at(&list, count)), "{length}");
        let mut alone = Listpack::new();
        alone.push_back(&needle);
        let first = alone.first().expect("there is one");
        assert_eq!(alone.find(first, &needle, 0), Some(first), "{length}");
    }
}

#[test]
fn more_elements_than_the_header_can_count_are_counted() {
    let mut list = Listpack::new();
    let half = {
        let mut half = Listpack::new();
        for _ in 0..size(100, 33_000) {
            half.push_back(b"1");
        }
        half
    };
    list.append(&half);
    list.append(&half);
    let count = 2 * half.len();
    assert_eq!(list.len(), count);
    assert_eq!(list.seek(-1), list.seek(count as isize - 1));
    assert_eq!(list.seek(count as isize), None);
    let copy = Listpack::from_bytes(list.as_bytes()).expect("valid");
    assert_eq!(copy.len(), count);
    assert_eq!(list.delete_range(-3, 10), 3);
    assert_eq!(list.len(), count - 3);
    let rest = list.split_off(10);
    assert_eq!((list.len(), rest.len()), (10, count - 13));
    assert_eq!(list.as_bytes()[4..6], [10, 0]);
    list.clear();
    assert_eq!(list.as_bytes(), [7, 0, 0, 0, 0, 0, 0xff]);
}

#[test]
fn bare_elements_read_as_they_did_in_their_listpack() {
    for seed in 0..size(4, 60) as u64 {
        let mut random = Random(seed);
        let mut list = Listpack::new();
        for _ in 0..random.below(40) {
            list.push_back(&random_element(&mut random));
        }
        let mut bare = Vec::new();
        let mut elements = list.iter();
        while let Some(element) = elements.next_bare() {
            bare.extend_from_slice(element);
        }
        assert!(Bare::new(&bare).eq(list.iter()), "SEED={seed}");
        let mut elements = list.iter();
        let pushed = std::iter::from_fn(|| elements.next_as_pushed());
        assert!(pushed.eq(list.iter()), "SEED={seed}");
        let copy = Listpack::of_written(list.as_bytes());
        assert_eq!(copy.as_bytes(), list.as_bytes(), "SEED={seed}");
    }
}

#[test]
fn elements_in_other_bytes_than_pushing_gives_are_told() {
    for entry in [
        b"\x82\x31\x32\x03".as_slice(), // 12, as a string
        b"\x80\x01",                    // and an empty string, as it is pushed
        b"\xc0\x05\x02",                // 5, in 13 bits
        b"\xf1\x05\x00\x03",            // in 16
        b"\xf4\x05\0\0\0\0\0\0\0\x09",  // in 64
        b"\xe0\x01\x61\x03",            // a, with a length of 12 bits
        b"\xf0\x01\0\0\0\x61\x06",      // of 32
        b"\xf0\x02\0\0\0\x31\x32\x07",  // 12 again
    ] {
        let total = (6 + entry.len() + 1) as u32;
        let bytes = [&total.to_le_bytes(), b"\x01\x00".as_slice(), entry, b"\xff"].concat();
        let list = Listpack::from_bytes(&bytes).expect("every entry is well-formed");
        let is_as_pushed = list.iter().next_as_pushed().is_some();
        assert_eq!(is_as_pushed, entry.len() == 2, "{entry:02x?}");
    }
}

/// Each width there is: the bytes and the memory of the listpack that pushing one by one makes.
#[test]
fn elements_of_one_form_become_the_same_listpack() {
    let mut random = Random(1);
    for count in [0, 1, 2, size(5, 100)] {
        for width in 1..64 {
            let letters = (0..width * count).map(|_| b'a' + random.below(26) as u8);
            let data: Vec<u8> = letters.collect();
            let mut list = Listpack::new();
            data.chunks_exact(width)
                .for_each(|element| list.push_back(element));
            let made = Listpack::of_one_form(0x80 | width as u8, width, &data);
            assert_eq!(made.as_bytes(), list.as_bytes(), "{count} of {width}");
            assert_eq!(made.heap_bytes(), list.heap_bytes(), "{count} of {width}");
        }
        for (head, width, least) in [
            (0xf1, 2, 10_000),
            (0xf2, 3, 4_000_000),
            (0xf3, 4, 1 << 30),
            (0xf4, 8, 1_i64 << 50),
        ] {
            let (mut data, mut list) = (Vec::new(), Listpack::new());
            for _ in 0..count {
                let number = (least + random.below(1000) as i64) * [1, -1][random.below(2)];
                data.extend_from_slice(&number.to_le_bytes()[..width]);
                list.push_back(number);
            }
            let made = Listpack::of_one_form(head, width, &data);
            assert_eq!(made.as_bytes(), list.as_bytes(), "{count} of {head:x}");
        }
    }
}

/// A batch gives what pushing its elements one by one gives, in place or past its room, to a list that is empty or not.
#[test]
fn batches_append_what_single_pushes_do() {
    for seed in 0..size(20, 400) as u64 {
        let mut random = Random(seed);
        let (mut one_by_one, mut batched) = (Listpack::new(), Listpack::new());
        for _ in 0..3 {
            let strings: Vec<Vec<u8>> = (0..40)
                .map(|_| match random.below(8) {
                    0 => vec![b'l'; 1000 + random.below(3000)],
                    _ => random_element(&mut random),
                })
                .collect();
            let mut batch = Batch::default();
            for string in &strings[..[0, 3, 40][random.below(3)]] {
                if random.below(2) == 0 {
                    let number = random.next() as i64 >> random.below(64);
                    one_by_one.push_back(number);
                    batch.integer(number);
                } else {
                    one_by_one.push_back(string);
                    batch.string(string);
                }
            }
            batched.push_batch(&batch);
            assert_eq!(batched.as_bytes(), one_by_one.as_bytes(), "SEED={seed}");
        }
    }
}

#[test]
fn the_count_of_a_list_that_takes_a_batch_stops_where_it_says_nothing() {
    let mut list = Listpack::new();
    let mut batch = Batch::default();
    for _ in 0..40_000 {
        batch.integer(1);
    }
    list.push_batch(&batch);
    assert_eq!(list.as_bytes()[4..6], 40_000_u16.to_le_bytes());
    list.push_batch(&batch);
    assert_eq!(list.as_bytes()[4..6], [0xff, 0xff]);
    assert_eq!(list.len(), 80_000);
}

/// Pushed and popped at both ends, over the lengths where a gap may be before the first element: the bytes are those of a
/// list made anew, and the memory is at most an eighth and a size class more than what that one takes.
#[test]
fn queues_are_the_same_listpacks_with_little_more_memory() {
    for seed in 0..size(1, 60) as u64 {
        let mut random = Random(seed);
        let mut list = Listpack::new();
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let mut grows = true;
        for step in 0..size(250, 4000) {
            grows = match model.len() {
                0 => true,
                300.. => false,
                _ => grows ^ (random.below(150) == 0),
            };
            let at_front = random.below(4) > 0;
            if grows ^ (random.below(5) == 0) || model.is_empty() {
                let element = match random.below(40) {
                    0 => vec![b'l'; random.below(3000)],
                    _ => random_element(&mut random),
                };
                if at_front ^ grows {
                    list.push_front(&element);
                    model.push_front(element);
                } else {
                    list.push_back(&element);
                    model.push_back(element);
                }
            } else {
                let place = if at_front { list.first() } else { list.last() };
                list.delete(place.expect("it has elements"));
                if at_front {
                    model.pop_front();
                } else {
                    model.pop_back();
                }
            }
            if step % size(25, 7) > 0 {
                continue;
            }
            let mut anew = Listpack::new();
            model.iter().for_each(|element| anew.push_back(element));
            assert_eq!(list.as_bytes(), anew.as_bytes(), "SEED={seed}");
            let bytes_max = anew.byte_len() * 9 / 8 * 5 / 4 + 16;
            assert!(list.heap_bytes() <= bytes_max, "SEED={seed}");
            assert!(list.heap_bytes() >= anew.heap_bytes(), "SEED={seed}");
            let copy = list.clone();
            assert_eq!(copy.as_bytes(), list.as_bytes(), "SEED={seed}");
            assert_eq!(copy.heap_bytes(), list.heap_bytes(), "SEED={seed}");
        }
    }
}
