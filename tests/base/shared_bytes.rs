//! Parts of a whole, and who may have it back.

use bytes::Bytes;
use rondo::base::shared_bytes::SharedBytes;

#[test]
fn parts_are_of_the_whole_and_of_each_other() {
    let all = SharedBytes::new(b"0123456789".to_vec());
    let part = all.slice(2..8);
    assert_eq!((&all[..], &part[..]), (&b"0123456789"[..], &b"234567"[..]));
    let part_of_part = part.slice(1..3);
    drop((all, part));
    assert_eq!(&part_of_part[..], b"34");
    assert!(part_of_part.slice(2..2).is_empty());
    assert_eq!(&SharedBytes::copy_of(b"abc")[..], b"abc");
}

#[test]
fn the_last_holder_gets_the_whole_and_no_other() {
    let all = SharedBytes::new(b"0123456789".to_vec());
    let place = all.as_ptr();
    let part = all.slice(2..8);
    let part = part.try_own::<Vec<u8>>().expect_err("another holds it");
    drop(all);
    let part = part.try_own::<String>().expect_err("it is no string");
    let (whole, range) = part.try_own::<Vec<u8>>().expect("nobody else holds it");
    assert_eq!((whole.as_ptr(), whole.len(), range), (place, 10, 2..8));
}

#[test]
fn a_whole_is_cloned_whoever_holds_it() {
    let whole = Bytes::from(b"0123456789".to_vec());
    let part = SharedBytes::new(whole.clone()).slice(2..8);
    let _other = part.clone();
    let (again, range) = part.clone_whole::<Bytes>().expect("it is such");
    assert_eq!((again.as_ptr(), range), (whole.as_ptr(), 2..8));
    assert!(part.clone_whole::<Vec<u8>>().is_none());
}

#[test]
#[should_panic(expected = "a part is inside")]
fn a_part_is_inside() {
    let _ = SharedBytes::copy_of(b"abc").slice(1..4);
}
