//! The token: one holder, the others in line.

use rondo::router::token::Token;

#[test]
fn who_comes_first_has_it_first() {
    let mut token = Token::default();
    assert!(token.take((0, 1)));
    assert!(
        !token.try_take((1, 2)),
        "it is taken, and this one does not wait"
    );
    assert!(!token.take((2, 3)));
    assert!(!token.take((1, 4)));
    assert_eq!(token.give_back(), Some((2, 3)));
    assert!(!token.try_take((0, 5)));
    assert_eq!(token.give_back(), Some((1, 4)));
    assert_eq!(token.give_back(), None);
    assert!(token.try_take((0, 5)));
}
