//! A pipeline of requests, whole and in pieces: never a panic, every word inside the request, cuts change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::resp::element::{element_end, elements};
use rondo::resp::{Args, Limits, OwnedArgs, ParseState, Parsed, parse};

/// The words of every request until the bytes end or are refused; `piece` bytes more arrive each time.
fn run(bytes: &[u8], piece: usize, limits: &Limits) -> (Vec<Vec<Vec<u8>>>, Option<Vec<u8>>) {
    let (mut state, mut spans) = (ParseState::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    let mut requests = Vec::new();
    let words = |args: Args<'_>| args.iter_from(0).map(<[u8]>::to_vec).collect();
    loop {
        let arrived = &bytes[start..end];
        match parse(arrived, &mut state, &mut spans, limits) {
            Ok(Parsed::Request { consumed }) => {
                requests.push(words(Args::new(&arrived[..consumed], &spans)));
                start += consumed;
            }
            Ok(Parsed::Inline { consumed, args }) => {
                requests.push(words(OwnedArgs::as_args(&args)));
                start += consumed;
            }
            Ok(Parsed::Empty { consumed }) => start += consumed,
            Ok(Parsed::Incomplete { needed_bytes_min }) => {
                assert!(needed_bytes_min > 0);
                if end == bytes.len() {
                    return (requests, None);
                }
                end = bytes.len().min(end + piece);
            }
            Err(error) => {
                let mut line = Vec::new();
                error.write(&mut line);
                return (requests, Some(line));
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let limits = Limits {
        authenticated: first & 0x80 == 0,
        // Larger than any input: whether a line is too long depends on the pieces it comes in.
        inline_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let whole = run(bytes, bytes.len().max(1), &limits);
    let pieces = run(bytes, usize::from(first & 0x7f) + 1, &limits);
    assert_eq!(whole, pieces);
    if let Some(end) = element_end(bytes) {
        assert!(end <= bytes.len());
    }
    elements(bytes).into_iter().flatten().for_each(drop);
});
