//! Parts of a send against the same bytes in one piece.

use rondo::base::rng::Rng;
use rondo::base::shared_bytes::SharedBytes;
use rondo::node::outgoing::{LentStrings, Outgoing};
use rondo::resp::Lent;

/// Some bytes that lack some strings, and all of it in one piece.
fn random(rng: &mut Rng) -> (Outgoing, Vec<u8>) {
    let mut some = |length_max: u64| -> Vec<u8> {
        let length = rng.below(length_max);
        (0..length).map(|_| rng.below(256) as u8).collect()
    };
    let (mut bytes, mut all) = (some(5), Vec::new());
    all.extend_from_slice(&bytes);
    let mut strings = LentStrings::default();
    for _ in 0..some(6).len() {
        let string = some(40);
        all.extend_from_slice(&string);
        strings.push(Lent {
            at: bytes.len(),
            string: SharedBytes::new(string),
        });
        let more = some(4);
        bytes.extend_from_slice(&more);
        all.extend_from_slice(&more);
    }
    (Outgoing::new(bytes, Some(Box::new(strings))), all)
}

#[test]
fn parts_are_what_the_whole_is() {
    let mut rng = Rng::with_seed(7);
    for round in 0..3_000 {
        let (outgoing, all) = random(&mut rng);
        assert_eq!(outgoing.len(), all.len(), "round {round}");
        let from = rng.below(all.len() as u64 + 1) as usize;
        let most = rng.below(all.len() as u64 + 5) as usize;
        let end = all.len().min(from + most);
        let parts = outgoing.parts(from, most);
        assert!(parts.iter().all(|part| !part.is_empty()), "round {round}");
        assert_eq!(parts.concat(), all[from..end], "round {round}");
        assert_eq!(outgoing.into_bytes(), all, "round {round}");
    }
}

#[test]
fn what_lacks_nothing_is_one_piece() {
    let outgoing = Outgoing::from(b"abc".to_vec());
    assert_eq!(outgoing.plain(), Some(&b"abc"[..]));
    assert_eq!(outgoing.parts(1, 9), [b"bc"]);
    assert!(Outgoing::default().is_empty());
    let (outgoing, _) = random(&mut Rng::with_seed(1));
    assert_eq!(outgoing.plain(), None);
}
