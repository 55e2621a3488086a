//! Question: what does finding a request's words cost, and writing its reply?
//! Run:      make bench NAME=parse          (host settings: tuning/host.md)
//! Reads:    ns per request, the best and the middle of 9 rounds; the sum pins the work so nobody can "optimise" it away.

use std::hint::black_box;
use std::time::Instant;

use rondo::base::crc16::crc16;
use rondo::resp::{Args, Limits, ParseState, Parsed, Protocol, Reply, Span, parse};

const ROUNDS: usize = 9;

fn main() {
    // `cargo bench` passes --bench, `cargo test --benches` does not: then the sizes are a smoke test's.
    let is_real = std::env::args().any(|argument| argument == "--bench");
    let requests_count = if is_real { 4_000_000 } else { 1_000 };
    let value = [b'v'; 64];
    let get: &[&[u8]] = &[b"GET", b"key:000000001234"];
    let set: &[&[u8]] = &[b"SET", b"key:000000001234", &value];
    let set_with_deadline: &[&[u8]] = &[b"SET", b"key:000000001234", &value, b"PX", b"60000"];
    let wide: Vec<&[u8]> = vec![b"key:000000001234"; 100];
    parse_repeatedly("get", &wire(get), 1, requests_count);
    parse_repeatedly("set, 64-byte value", &wire(set), 1, requests_count);
    parse_repeatedly("set px", &wire(set_with_deadline), 1, requests_count);
    parse_repeatedly(
        "get, pipeline of 50",
        &wire(get).repeat(50),
        50,
        requests_count,
    );
    parse_repeatedly(
        "set, pipeline of 50",
        &wire(set).repeat(50),
        50,
        requests_count,
    );
    parse_repeatedly("100 words", &wire(&wide), 1, requests_count / 50);
    parse_repeatedly("inline get", b"GET key:000000001234\r\n", 1, requests_count);
    parse_in_two_pieces(&wire(set), requests_count);
    write_replies(&value, requests_count);
    hash_keys(requests_count);
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

fn parse_repeatedly(name: &str, bytes: &[u8], pipeline_count: usize, requests_count: usize) {
    let limits = Limits::default();
    let (mut state, mut spans) = (ParseState::new(), Vec::new());
    let batches_count = requests_count / pipeline_count;
    report(name, batches_count * pipeline_count, || {
        let mut sum = 0;
        for _ in 0..batches_count {
            let mut rest = black_box(bytes);
            while !rest.is_empty() {
                let (consumed, last_len) = parse_one(rest, &mut state, &mut spans, &limits);
                sum += last_len;
                rest = &rest[consumed..];
            }
        }
        sum
    });
}

/// Bytes consumed, and the last word's length, which the executor would have looked at too.
#[inline]
fn parse_one(
    bytes: &[u8],
    state: &mut ParseState,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> (usize, usize) {
    match parse(bytes, state, spans, limits) {
        Ok(Parsed::Request { consumed }) => {
            let args = Args::new(bytes, spans);
            (consumed, args.get(args.len() - 1).len())
        }
        other => panic!("a whole request was not found: {other:?}"),
    }
}

fn parse_in_two_pieces(bytes: &[u8], requests_count: usize) {
    let limits = Limits::default();
    let (mut state, mut spans) = (ParseState::new(), Vec::new());
    report("set, in two pieces", requests_count, || {
        let mut sum = 0;
        for _ in 0..requests_count {
            let bytes = black_box(bytes);
            let first = parse(&bytes[..bytes.len() / 2], &mut state, &mut spans, &limits);
            assert!(matches!(first, Ok(Parsed::Incomplete { .. })));
            sum += parse_one(bytes, &mut state, &mut spans, &limits).1;
        }
        sum
    });
}

fn write_replies(value: &[u8], requests_count: usize) {
    let mut out = Vec::with_capacity(1 << 16);
    for (name, write) in [
        (
            "reply +OK",
            (|reply, _| reply.ok()) as fn(&mut Reply<'_>, &[u8]),
        ),
        ("reply 64-byte string", |reply, value| reply.bulk(value)),
        ("reply small integer", |reply, value| {
            reply.integer(value.len() as i64 / 64)
        }),
        ("reply 6-digit integer", |reply, value| {
            reply.integer(value.len() as i64 * 12_345)
        }),
    ] {
        report(name, requests_count, || {
            let mut sum = 0;
            for _ in 0..requests_count / 50 {
                out.clear();
                for _ in 0..50 {
                    let mut reply = Reply::new(&mut out, Protocol::Resp2);
                    write(&mut reply, black_box(value));
                }
                sum += out.len();
            }
            sum
        });
    }
}

fn hash_keys(requests_count: usize) {
    for key in [b"key:000000001234".as_slice(), b"user:17:name"] {
        report(
            &format!("crc16, {} bytes", key.len()),
            requests_count,
            || {
                (0..requests_count)
                    .map(|_| usize::from(crc16(black_box(key))))
                    .sum()
            },
        );
    }
}

fn report(name: &str, requests_count: usize, mut work: impl FnMut() -> usize) {
    let mut nanoseconds: Vec<f64> = Vec::with_capacity(ROUNDS);
    let mut sum = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        sum = work();
        nanoseconds.push(start.elapsed().as_nanos() as f64 / requests_count as f64);
    }
    nanoseconds.sort_by(f64::total_cmp);
    println!(
        "{name:<24} best {:6.2} ns  middle {:6.2} ns  sum {sum}",
        nanoseconds[0],
        nanoseconds[ROUNDS / 2]
    );
}
