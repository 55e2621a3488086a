//! Requests that begin like the one before them: what the head knows is what the parser would have found.

use rondo::resp::{Head, Limits, ParseState, Parsed, Span, parse};

fn spans(words: &[Span]) -> Vec<(u32, u32)> {
    words.iter().map(|span| (span.start, span.len)).collect()
}

/// What `parse` finds at the start of `bytes`, if that is a whole request.
fn parsed(bytes: &[u8], limits: &Limits) -> Option<(usize, Vec<(u32, u32)>)> {
    let (mut state, mut words) = (ParseState::new(), Vec::new());
    match parse(bytes, &mut state, &mut words, limits) {
        Ok(Parsed::Request { consumed }) => Some((consumed, spans(&words))),
        _ => None,
    }
}

fn head_of(request: &[u8]) -> Option<Head> {
    let (mut state, mut words) = (ParseState::new(), Vec::new());
    match parse(request, &mut state, &mut words, &Limits::default()) {
        Ok(Parsed::Request { .. }) => Head::of(request, &words),
        _ => None,
    }
}

const REQUESTS: [&[u8]; 10] = [
    b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
    b"*2\r\n$3\r\nGET\r\n$12\r\nanother:key0\r\n",
    b"*2\r\n$3\r\nget\r\n$0\r\n\r\n",
    b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n",
    b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$8\r\nFLUSHALL\r\n",
    b"*2\r\n$7\r\nHGETALL\r\n$1\r\nh\r\n",
    b"*2\r\n$4\r\n$3\r\n\r\n$1\r\n*\r\n",
    b"*3\r\n$1\r\nx\r\n$2\r\n*2\r\n$1\r\ny\r\n",
    b"GET a-key-of-many-bytes\r\n",
];

#[test]
fn what_begins_alike_is_parsed_alike_wherever_it_is_cut() {
    let limits = Limits::default();
    let mut found = 0;
    for first in REQUESTS {
        let Some(head) = head_of(first) else {
            continue;
        };
        for next in REQUESTS {
            for cut in 0..=next.len() {
                let bytes = &next[..cut];
                let mut words = vec![Span::default(); 5];
                let known = head.after(bytes, &ParseState::new(), &mut words, &limits);
                if let Some(consumed) = known {
                    found += 1;
                    assert_eq!(parsed(bytes, &limits), Some((consumed, spans(&words))));
                }
            }
        }
    }
    // Each request with a head finds itself, and what else begins like it.
    assert!(found >= 12, "{found}");
}

#[test]
fn a_request_has_a_head_if_its_name_and_count_are_short() {
    for request in &REQUESTS[..9] {
        let head = head_of(request);
        assert_eq!(head.is_some(), request.len() >= 16, "{request:?}");
    }
    let ten = b"*10\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n";
    assert!(parsed(ten, &Limits::default()).is_some());
    assert!(head_of(ten).is_none(), "ten words");
    assert!(head_of(b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n").is_none());
    assert!(head_of(b"GET a-key-of-many-bytes\r\n").is_none(), "inline");
}

#[test]
fn a_head_knows_nothing_for_a_stranger_or_in_the_middle_of_a_request() {
    let request = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
    let head = head_of(request).expect("a head");
    let mut words = Vec::new();
    let strange = Limits {
        authenticated: false,
        ..Limits::default()
    };
    assert_eq!(
        head.after(request, &ParseState::new(), &mut words, &strange),
        None
    );
    let limits = Limits::default();
    let mut state = ParseState::new();
    assert!(matches!(
        parse(&request[..20], &mut state, &mut words, &limits),
        Ok(Parsed::Incomplete { .. })
    ));
    assert_eq!(head.after(request, &state, &mut words, &limits), None);
    assert_eq!(
        Head::default().after(request, &ParseState::new(), &mut words, &limits),
        None
    );
}
