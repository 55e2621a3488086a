//! The key that is loaded ahead: it is the second word that the parser finds, or none.

use rondo::resp::{Limits, ParseState, Parsed, parse, second_word};

/// The second word that `parse` finds in the first request, if that is whole.
fn parsed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut state, mut spans) = (ParseState::new(), Vec::new());
    let parsed = parse(bytes, &mut state, &mut spans, &Limits::default());
    let Ok(Parsed::Request { .. }) = parsed else {
        return None;
    };
    let span = spans.get(1)?;
    Some(bytes[span.start as usize..(span.start + span.len) as usize].to_vec())
}

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn it_is_found_as_soon_as_it_is_there_and_is_what_the_parser_finds() {
    let long = [b'k'; 999];
    let keys: [&[u8]; 6] = [
        b"",
        b"k",
        b"key:000000012",
        &[b'a'; 99],
        &[b'b'; 100],
        &long,
    ];
    for key in keys {
        for words in [
            &[b"GET", key][..],
            &[b"SET", key, b"value"],
            &[b"*1\r\n$", key],
            &[
                &[b'n'; 300],
                key,
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
            ],
        ] {
            let bytes = request(words);
            assert_eq!(parsed(&bytes).as_deref(), Some(key));
            assert_eq!(second_word(&bytes), Some(key));
            let header = format!("*{}\r\n${}\r\n", words.len(), words[0].len()).len();
            let length = format!("\r\n${}\r\n", key.len()).len();
            let end = header + words[0].len() + length + key.len();
            for cut in 0..bytes.len() {
                let found = (cut >= end).then_some(key);
                assert_eq!(second_word(&bytes[..cut]), found, "{cut} of {bytes:?}");
            }
        }
    }
}

#[test]
fn there_is_none_where_there_is_no_second_word_or_it_takes_work_to_find() {
    for bytes in [
        &b""[..],
        b"PING\r\n",
        b"GET key\r\n",
        b"*1\r\n$4\r\nPING\r\n$1\r\nk\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        b"*2\r\n$-1\r\n$1\r\nk\r\n",
        b"*2\r\n:3\r\nGET\r\n$1\r\nk\r\n",
        b"*2\r\n$3\r\nGET\r\n$x\r\nk\r\n",
        b"*2\r\n$3\r\nGET\r\n$1000\r\nk",
        b"*2\r\n$99999999999999999999\r\nGET\r\n$1\r\nk\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        assert_eq!(second_word(bytes), None, "{bytes:?}");
    }
}

#[test]
fn of_any_bytes_it_is_what_the_parser_finds_or_none() {
    let alphabet = b"*$\r\n0123GETk-";
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let mut found = 0;
    for _ in 0..200_000 {
        let mut bytes = request(&[b"GET", b"key", b"v"]);
        for _ in 0..next() % 4 {
            let at = next() % bytes.len();
            bytes[at] = alphabet[next() % alphabet.len()];
        }
        if let (Some(word), Some(of_parser)) = (second_word(&bytes), parsed(&bytes)) {
            found += 1;
            assert_eq!(word, of_parser, "{bytes:?}");
        }
    }
    assert!(found > 50_000, "{found}");
}
