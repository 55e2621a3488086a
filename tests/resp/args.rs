//! Words borrowed, owned and shared.

use rondo::base::shared_bytes::SharedBytes;
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
    let buffer = SharedBytes::copy_of(b"SETkeyvaluevaluevalue");
    let spans = [(0, 3), (3, 3), (6, 15)].map(|(start, len)| Span { start, len });
    let args = Args::shared(&buffer, &spans);
    assert!(args.share(1).is_none());
    assert_eq!(
        args.share(2).as_deref(),
        Some(b"valuevaluevalue".as_slice())
    );
    assert!(Args::new(&buffer, &spans).share(2).is_none());
}

/// A request as it came is an array of bulk strings from end to end; a part of it, another spelling or a list of words is not.
#[test]
fn words_on_the_wire_are_told_from_others() {
    let wire = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$12\r\nvalue\r\nvalue\r\n";
    let spans = [(8, 3), (17, 3), (27, 12)].map(|(start, len)| Span { start, len });
    let args = Args::new(wire, &spans);
    assert_eq!(args.as_wire(), Some(wire.as_slice()));
    assert_eq!(args.wire_bytes(), wire.len() as u64);
    assert_eq!(args.tail(1).as_wire(), None);
    assert_eq!(args.part(0..2).as_wire(), None);
    assert_eq!(OwnedArgs::from_args(&args).as_args().as_wire(), None);
    for cut in 0..wire.len() {
        if wire.len() - cut >= 39 {
            assert_eq!(
                Args::new(&wire[..wire.len() - cut], &spans)
                    .as_wire()
                    .is_some(),
                cut == 0
            );
        }
    }
    // What ends a word is not looked at, where it is parsed neither.
    let mut other = wire.to_vec();
    other[11] = b'x';
    assert_eq!(Args::new(&other, &spans).as_wire(), Some(other.as_slice()));
    // Words one after the other that begin like a request.
    let words: [&[u8]; 3] = [b"*2\r\n$1\r\na", b"\r\n$1\r\nb", b"\r\n"];
    let owned: OwnedArgs = words.into_iter().collect();
    assert_eq!(owned.as_args().as_wire(), None);
    assert_eq!(owned.as_args().part(0..2).as_wire(), None);
    let inline = b"SET key value";
    let spans = [(0, 3), (4, 3), (8, 5)].map(|(start, len)| Span { start, len });
    assert_eq!(Args::new(inline, &spans).as_wire(), None);
    let many = [b"x"; 12].map(|word| word.as_slice());
    let mut wire = b"*12\r\n".to_vec();
    let mut spans = Vec::new();
    for word in many {
        wire.extend_from_slice(b"$1\r\n");
        spans.push(Span {
            start: wire.len() as u32,
            len: 1,
        });
        wire.extend_from_slice(word);
        wire.extend_from_slice(b"\r\n");
    }
    assert_eq!(Args::new(&wire, &spans).as_wire(), Some(wire.as_slice()));
}
