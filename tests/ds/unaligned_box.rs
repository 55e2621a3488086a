//! Boxes at odd addresses.

use rondo::ds::unaligned_box::UnalignedBox;
use std::rc::Rc;

enum Form {
    Short(u8),
    Long(UnalignedBox<Vec<u64>>),
}

#[test]
fn boxes_at_any_address_hold_their_values() {
    assert_eq!(align_of::<Form>(), 1);
    assert!(size_of::<Form>() <= 9);
    let mut forms = [
        Form::Short(7),
        Form::Long(UnalignedBox::new(vec![1, 2])),
        Form::Long(UnalignedBox::default()),
    ];
    for form in &mut forms {
        match form {
            Form::Short(number) => assert_eq!(*number, 7),
            Form::Long(numbers) => numbers.push(3),
        }
    }
    let [_, Form::Long(first), Form::Long(second)] = forms else {
        panic!("two boxes");
    };
    assert_eq!(
        (first.clone().into_inner(), first.into_inner()),
        (vec![1, 2, 3], vec![1, 2, 3])
    );
    assert_eq!(*second, [3]);
}

#[test]
fn a_box_frees_its_value_once() {
    let value = Rc::new(());
    let boxed = UnalignedBox::new(value.clone());
    let copy = boxed.clone();
    assert_eq!(Rc::strong_count(&value), 3);
    drop(copy);
    assert_eq!(Rc::strong_count(&value), 2);
    drop(boxed.into_inner());
    assert_eq!(Rc::strong_count(&value), 1);
}
