//! Requests: the words of every message, whole and cut at every byte.

use rondo::base::rng::Rng;
use rondo::resp::element::{element_end, elements};
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

/// Recorded from Redis 8.0.6, which closed the connection after each.
#[test]
fn malformed_requests_get_the_errors_of_a_real_server() {
    for (bytes, error) in MALFORMED {
        let line = format!("-ERR Protocol error: {error}\r\n");
        check(bytes, &Limits::default(), &Outcome::Error(line));
    }
    let byte_as_sent = parse(
        b"*1\r\n\xff\r\n",
        &mut ParseState::new(),
        &mut Vec::new(),
        &Limits::default(),
    );
    let mut line = Vec::new();
    byte_as_sent.unwrap_err().write(&mut line);
    assert_eq!(line, b"-ERR Protocol error: expected '$', got '\xff'\r\n");
}

const MALFORMED: &[(&[u8], &str)] = &[
    (b"*abc\r\n", "invalid multibulk length"),
    (b"*\r\n", "invalid multibulk length"),
    (b"*+1\r\n", "invalid multibulk length"),
    (b"*01\r\n", "invalid multibulk length"),
    (b"* 1\r\n", "invalid multibulk length"),
    (b"*1 \r\n", "invalid multibulk length"),
    (b"*-0\r\n", "invalid multibulk length"),
    (b"*--1\r\n", "invalid multibulk length"),
    (b"*1.5\r\n", "invalid multibulk length"),
    (b"*2147483648\r\n", "invalid multibulk length"),
    (b"*9223372036854775808\r\n", "invalid multibulk length"),
    (b"*20000000000000000000\r\n", "invalid multibulk length"),
    (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
    (b"*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"),
    (b"*1\r\n\r\n", "expected '$', got ' '"),
    (b"*1\r\n\n\r\n", "expected '$', got ' '"),
    (b"*1\r\n\x01\r\n", "expected '$', got '\x01'"),
    (b"*1\r\n'\r\n", "expected '$', got '''"),
    (b"*2\r\n$4\r\nECHO\r\nx\r\n", "expected '$', got 'x'"),
    (b"*2\r\n$4\r\nECHO\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$\r\n", "invalid bulk length"),
    (b"*1\r\n$abc\r\n", "invalid bulk length"),
    (b"*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$4 \r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$4\n\r\n", "invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
    (b"\"\r\n", "unbalanced quotes in request"),
    (b"'\r\n", "unbalanced quotes in request"),
    (b"SET \"a\r\n", "unbalanced quotes in request"),
    (b"SET 'a\r\n", "unbalanced quotes in request"),
    (b"SET \"a\"b c\r\n", "unbalanced quotes in request"),
    (b"SET 'a'b c\r\n", "unbalanced quotes in request"),
    (b"SET \"a\\\"\r\n", "unbalanced quotes in request"),
    (b"SET 'a\\'\r\n", "unbalanced quotes in request"),
    (b"a\"b\"c\r\n", "unbalanced quotes in request"),
    (b"\"\\x4\r\n", "unbalanced quotes in request"),
];

/// Lines over 64 KiB, also where a NUL hides the line's end: recorded from Redis 8.0.6.
#[test]
fn lines_that_do_not_end_are_refused() {
    let limits = Limits::default();
    let long = |start: &[u8], byte: u8, end: &[u8]| [start, &[byte; 70_000], end].concat();
    for (bytes, error) in [
        (long(b"*", b'1', b""), "too big mbulk count string"),
        (long(b"*\0", b'1', b"\r\n"), "too big mbulk count string"),
        (long(b"*1\r\n$", b'1', b""), "too big bulk count string"),
        (long(b"*1\r\n", b'x', b""), "too big bulk count string"),
        (
            long(b"*1\r\n\0", b'x', b"\r\n"),
            "too big bulk count string",
        ),
        (long(b"", b'x', b""), "too big inline request"),
        (long(b"\0", b'x', b"\r\n"), "too big inline request"),
    ] {
        let expected = Outcome::Error(format!("-ERR Protocol error: {error}\r\n"));
        assert_eq!(parse_whole(&bytes, &limits), expected);
        let ends: Vec<usize> = (0..=70_000).step_by(1000).collect();
        assert_eq!(parse_pieces(&bytes, &limits, &ends), expected);
    }
    // At the limit itself there is still hope; a line that lacks only its last byte is no too long one.
    let mut line = vec![b'x'; 65_536];
    assert_eq!(parse_whole(&line, &limits), Outcome::Incomplete);
    line[0] = b'*';
    line.extend_from_slice(b"1\r");
    assert_eq!(parse_whole(&line, &limits), Outcome::Incomplete);
    assert_eq!(parse_whole(b"\0\r\nPING\r\n", &limits), Outcome::Incomplete);
}

#[test]
fn without_a_password_little_may_be_sent() {
    let limits = Limits {
        authenticated: false,
        ..Limits::default()
    };
    let error = |text: &str| Outcome::Error(format!("-ERR Protocol error: {text}\r\n"));
    check(
        b"*11\r\n",
        &limits,
        &error("unauthenticated multibulk length"),
    );
    check(
        b"*10\r\n$16385\r\n",
        &limits,
        &error("unauthenticated bulk length"),
    );
    check(
        b"*1\r\n$1000000000000\r\n",
        &limits,
        &error("invalid bulk length"),
    );
    check(
        b"*100000000000\r\n",
        &limits,
        &error("invalid multibulk length"),
    );
    check(b"*10\r\n$16384\r\n", &limits, &Outcome::Incomplete);
    let ping = wire(&[b"PING"]);
    check(&ping, &limits, &request([b"PING".as_slice()], ping.len()));
}

#[test]
fn the_limits_given_are_the_limits() {
    let limits = Limits {
        bulk_bytes_max: 5,
        multibulk_count_max: 2,
        inline_bytes_max: 7,
        authenticated: true,
    };
    let fits = wire(&[b"GET", b"12345"]);
    check(
        &fits,
        &limits,
        &request([b"GET".as_slice(), b"12345"], fits.len()),
    );
    let error = |text: &str| Outcome::Error(format!("-ERR Protocol error: {text}\r\n"));
    check(
        b"*2\r\n$6\r\n123456\r\n",
        &limits,
        &error("invalid bulk length"),
    );
    check(b"*3\r\n", &limits, &error("invalid multibulk length"));
    check(b"12345678", &limits, &error("too big inline request"));
}

/// Line ends are skipped unread, as Redis skips them.
#[test]
fn the_second_byte_of_a_line_end_may_be_anything() {
    let bytes = b"*1\rx$4\rxPINGxx";
    check(
        bytes,
        &Limits::default(),
        &request([b"PING".as_slice()], bytes.len()),
    );
}

/// Random bytes from an alphabet that makes requests likely: never a panic, and cuts change nothing.
#[test]
fn garbage_is_answered_the_same_however_it_is_cut() {
    const ALPHABET: [&[u8]; 20] = [
        b"*",
        b"$",
        b"\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"1",
        b"2",
        b"3",
        b"0",
        b"-",
        b"\"",
        b"'",
        b"\\",
        b"x",
        b" ",
        b"\0",
        b"*2\r\n",
        b"$1\r\nx\r\n",
        b"\xff",
    ];
    let limits = Limits::default();
    let seed = 0x5eed_0001;
    let mut rng = Rng::with_seed(seed);
    for round in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..rng.below(16) {
            bytes.extend_from_slice(ALPHABET[rng.below(ALPHABET.len() as u64) as usize]);
        }
        let whole = parse_whole(&bytes, &limits);
        let mut ends: Vec<usize> = (0..3)
            .map(|_| rng.below(bytes.len() as u64 + 1) as usize)
            .collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let pieces = parse_pieces(&bytes, &limits, &ends);
        assert_eq!(
            pieces,
            whole,
            "SEED={seed:#x} round {round}: {} cut at {ends:?}",
            bytes.escape_ascii()
        );
        // Replies are read by code that must survive the same bytes.
        let end = element_end(&bytes);
        assert!(end.is_none_or(|end| end <= bytes.len()));
        elements(&bytes).into_iter().flatten().for_each(drop);
    }
}
