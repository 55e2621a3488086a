//! Words borrowed, owned and shared.

use bytes::Bytes;
use rondo::resp::{Args, OwnedArgs, Span};

fn words<'a>(args: &Args<'a>) -> Vec<&'a [u8]> {
    args.iter_from(0).collect()
}

#[test]
fn owned_words_are_the_words_they_were_copied_from() {
    let sent: [&[u8]; 3] = [b"CONFIG", b"GET", b""];
    let owned: OwnedArgs = sent.into_iter().collect();
    let args = owned.as_args();
    assert_eq!(words(&args), sent);
    assert_eq!(words(&OwnedArgs::from_args(&args).as_args()), sent);
    assert_eq!(words(&args.tail(1)), sent[1..]);
    assert_eq!(args.iter_from(9).len(), 0);
    assert!(args.is(0, "config") && !args.is(0, "confi"));
    let mut owned = owned;
    owned.clear();
    assert_eq!((owned.len(), owned.is_empty()), (0, true));
    assert!(owned.heap_bytes() > 0);
}

/// A word is shared with its buffer only if it is half of it or more.
#[test]
fn only_a_large_word_keeps_its_buffer() {
    let buffer = Bytes::from_static(b"SETkeyvaluevaluevalue");
    let spans = [(0, 3), (3, 3), (6, 15)].map(|(start, len)| Span { start, len });
    let args = Args::shared(&buffer, &spans);
    assert_eq!(args.share(1), None);
    assert_eq!(
        args.share(2).as_deref(),
        Some(b"valuevaluevalue".as_slice())
    );
    assert_eq!(Args::new(&buffer, &spans).share(2), None);
}
