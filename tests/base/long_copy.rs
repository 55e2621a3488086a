//! Copies in pieces against copies as a whole, at lengths around every border.

use rondo::base::long_copy;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 / 7) as u8).collect()
}

/// Around one piece, the length from which there are pieces, several of them.
fn lengths() -> impl Iterator<Item = usize> {
    let borders = [0, 1984, 2048, 2 * 1984, 4096, 10 * 1984, 70_000, 1 << 20];
    borders
        .into_iter()
        .flat_map(|border: usize| border.saturating_sub(2)..border + 3)
}

#[test]
fn appends_behind_what_is_there() {
    for length in lengths() {
        let from = bytes(length);
        let mut to = b"$header\r\n".to_vec();
        long_copy::append(&mut to, &from);
        assert_eq!(
            to,
            [b"$header\r\n".as_slice(), &from].concat(),
            "{length} bytes"
        );
        assert_eq!(long_copy::copy_of(&from), from, "{length} bytes");
    }
}

#[test]
fn a_copy_on_the_heap_is_as_large_as_it_is() {
    for length in lengths() {
        assert_eq!(long_copy::copy_of(&bytes(length)).capacity(), length);
    }
}

#[test]
fn copies_over_what_was_there() {
    for length in lengths() {
        let (from, mut to) = (bytes(length), vec![0; length]);
        long_copy::copy(&mut to, &from);
        assert_eq!(to, from, "{length} bytes");
    }
}

#[test]
#[should_panic(expected = "as long as")]
fn lengths_are_the_same() {
    long_copy::copy(&mut [0; 3], &[0; 4]);
}
