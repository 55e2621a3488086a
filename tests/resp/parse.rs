//! Requests: the words of every message, whole and cut at every byte.

use rondo::resp::{Args, Limits, ParseState, Parsed, ProtocolError, Span, parse};

/// What one message is, copied out so that cuts can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Request(Vec<Vec<u8>>, usize),
    Empty(usize),
    Incomplete,
    Error(String),
}

fn words(args: Args<'_>) -> Vec<Vec<u8>> {
    args.iter_from(0).map(<[u8]>::to_vec).collect()
}

fn outcome(bytes: &[u8], parsed: Result<Parsed, ProtocolError>, spans: &[Span]) -> Outcome {
    match parsed {
        Ok(Parsed::Request { consumed }) => {
            Outcome::Request(words(Args::new(bytes, spans)), consumed)
        }
        Ok(Parsed::Inline { consumed, args }) => Outcome::Request(words(args.as_args()), consumed),
        Ok(Parsed::Empty { consumed }) => Outcome::Empty(consumed),
        Ok(Parsed::Incomplete { needed_bytes_min }) => {
            assert!(needed_bytes_min >= 1);
            Outcome::Incomplete
        }
        Err(error) => {
            let mut line = Vec::new();
            error.write(&mut line);
            Outcome::Error(String::from_utf8_lossy(&line).into_owned())
        }
    }
}

fn parse_whole(bytes: &[u8], limits: &Limits) -> Outcome {
    let (mut state, mut spans) = (ParseState::new(), vec![Span::default(); 3]);
    let parsed = parse(bytes, &mut state, &mut spans, limits);
    outcome(bytes, parsed, &spans)
}

/// The same bytes in two pieces, then byte by byte, with a span list that others use in between.
fn check(bytes: &[u8], limits: &Limits, expected: &Outcome) {
    assert_eq!(&parse_whole(bytes, limits), expected, "{bytes:?}");
    let every: Vec<usize> = (0..=bytes.len()).collect();
    for cut in 0..=bytes.len() {
        assert_eq!(&parse_pieces(bytes, limits, &[cut, bytes.len()]), expected);
    }
    assert_eq!(&parse_pieces(bytes, limits, &every), expected);
}

fn parse_pieces(bytes: &[u8], limits: &Limits, ends: &[usize]) -> Outcome {
    let (mut state, mut spans) = (ParseState::new(), Vec::new());
    for &end in ends {
        let arrived = &bytes[..end];
        let parsed = parse(arrived, &mut state, &mut spans, limits);
        let outcome = outcome(arrived, parsed, &spans);
        if outcome != Outcome::Incomplete {
            return outcome;
        }
        assert!(state.is_fresh() || end > 0);
        spans.clear();
        spans.push(Span { start: 9, len: 9 });
    }
    Outcome::Incomplete
}

fn request<'w>(words: impl IntoIterator<Item = &'w [u8]>, consumed: usize) -> Outcome {
    Outcome::Request(words.into_iter().map(<[u8]>::to_vec).collect(), consumed)
}

fn wire(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Word lengths around every change of the header's digits.
#[test]
fn a_request_is_found_however_it_is_cut() {
    let limits = Limits::default();
    for len in [0, 1, 2, 9, 10, 11, 99, 100, 101, 999, 1000, 1001] {
        let value = vec![b'v'; len];
        let bytes = wire(&[b"SET", b"k\r\n\0", &value]);
        let expected = request([b"SET".as_slice(), b"k\r\n\0", &value], bytes.len());
        check(&bytes, &limits, &expected);
        let mut followed = bytes.clone();
        followed.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        assert_eq!(parse_whole(&followed, &limits), expected);
    }
    for count in [1, 9, 10, 11, 99, 100, 101] {
        let many: Vec<&[u8]> = vec![b"word"; count];
        let bytes = wire(&many);
        check(&bytes, &limits, &request(many, bytes.len()));
    }
}

#[test]
fn inline_words_follow_the_quoting_rules() {
    let limits = Limits::default();
    let cases: [(&[u8], &[&[u8]]); 16] = [
        (b"PING\r\n", &[b"PING"]),
        (b"PING\n", &[b"PING"]),
        (b"  set  a\tb \r\n", &[b"set", b"a", b"b"]),
        (b"a\x0bb \x0c\x0bc\r\n", &[b"a\x0bb", b"c"]),
        (b"a\rb\r\r\n", &[b"a", b"b"]),
        (b"set \"a b\" 'c d'\r\n", &[b"set", b"a b", b"c d"]),
        (b"\"\"\r\n", &[b""]),
        (b"'' x\r\n", &[b"", b"x"]),
        (
            b"\"\\n\\r\\t\\b\\a\\q\\\"\\\\\"\r\n",
            &[b"\n\r\t\x08\x07q\"\\"],
        ),
        (b"\"\\x41\\xfF\\x4\"\r\n", &[b"A\xffx4"]),
        (b"'a\\'b\\n\"'\r\n", &[b"a'b\\n\""]),
        (b"pre\"quoted\"\r\n", &[b"prequoted"]),
        (b"pre'quoted' x\r\n", &[b"prequoted", b"x"]),
        (b"\"a\"\x0bb\r\n", &[b"a", b"b"]),
        (b"back\\slash\r\n", &[b"back\\slash"]),
        (b"$3\r\n", &[b"$3"]),
    ];
    for (bytes, expected) in cases {
        check(
            bytes,
            &limits,
            &request(expected.iter().copied(), bytes.len()),
        );
    }
}

#[test]
fn requests_without_words_are_skipped() {
    for text in ["\r\n", "\n", "  \t\r\n", "*0\r\n", "*-1\r\n", "*-100\r\n"] {
        check(
            text.as_bytes(),
            &Limits::default(),
            &Outcome::Empty(text.len()),
        );
    }
}

/// Counted in calls that do work: a million words and a large word, arriving in pieces of 16 KiB.
#[test]
fn pieces_cost_what_they_bring() {
    let limits = Limits::default();
    let many: Vec<&[u8]> = vec![b"x"; 1_000_000];
    let bytes = wire(&many);
    let (mut state, mut spans) = (ParseState::new(), Vec::new());
    let mut end = 0;
    let words = loop {
        end = (end + 1000).min(bytes.len());
        match parse(&bytes[..end], &mut state, &mut spans, &limits).unwrap() {
            Parsed::Incomplete { .. } => assert!(spans.is_empty()),
            Parsed::Request { consumed } => break (consumed, spans.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(words, (bytes.len(), 1_000_000));
    assert_eq!(state.heap_bytes(), 0);

    let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n".to_vec();
    let head_bytes = bytes.len();
    bytes.resize(head_bytes + 16_384, b'v');
    match parse(&bytes, &mut state, &mut spans, &limits).unwrap() {
        Parsed::Incomplete { needed_bytes_min } => {
            assert_eq!(needed_bytes_min, 100_000_000 - 16_384 + 2);
        }
        other => panic!("{other:?}"),
    }
}
