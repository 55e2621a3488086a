//! LZF: round trips over texts of every kind, bytes as the format's description has them, damage refused.

use super::{Random, size};
use rondo::ds::lzf::{compress, decompress};

/// A text that repeats itself more or less, by `kind`.
fn text(random: &mut Random, kind: usize, length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length + 300);
    while text.len() < length {
        match kind {
            0 => text.push(random.next() as u8),
            1 => text.push(b'a' + random.below(2) as u8),
            2 => text.extend_from_slice(format!("user:{:06}\0", random.below(1000)).as_bytes()),
            3 => text.resize(text.len() + 1 + random.below(600), random.below(3) as u8),
            _ if text.is_empty() || random.below(4) == 0 => {
                for _ in 0..random.below(60) {
                    text.push(random.next() as u8);
                }
            }
            _ => {
                let start = random.below(text.len());
                let end = text.len().min(start + 1 + random.below(300));
                text.extend_from_within(start..end);
            }
        }
    }
    text.truncate(length);
    text
}

#[test]
fn what_was_compressed_reads_back() {
    for seed in 0..size(30, 800) as u64 {
        let mut random = Random(seed);
        let length = match seed % 4 {
            0 => random.below(20),
            1 => random.below(300),
            2 => random.below(size(300, 9000)),
            _ => random.below(size(300, 40_000)),
        };
        let input = text(&mut random, seed as usize / 4 % 5, length);
        // Runs cost a byte in 32 and nothing else does.
        let packed = compress(&input, length + length / 32 + 1).expect("long enough for anything");
        let output = decompress(&packed, length);
        assert_eq!(output.as_deref(), Some(&*input), "SEED={seed}");
        if !packed.is_empty() {
            assert_eq!(compress(&input, packed.len() - 1), None, "SEED={seed}");
        }
        assert_eq!(compress(&input, packed.len()), Some(packed), "SEED={seed}");
    }
}

/// Byte by byte, as the format's description has it and any decoder does it.
fn by_description(packed: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    let mut bytes = packed.iter().copied();
    let mut next = || bytes.next();
    while let Some(control) = next() {
        if control < 32 {
            for _ in 0..=control {
                text.push(next().expect("a run is whole"));
            }
            continue;
        }
        let mut length = usize::from(control >> 5) + 2;
        if length == 9 {
            length += usize::from(next().expect("a length"));
        }
        let low = next().expect("a distance");
        let distance = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
        for _ in 0..length {
            text.push(text[text.len() - distance]);
        }
    }
    text
}

fn check_reads_back(input: &[u8], about: &str) {
    let packed = compress(input, input.len() + input.len() / 32 + 1).expect("room for runs");
    let output = decompress(&packed, input.len());
    assert_eq!(output.as_deref(), Some(input), "{about}");
    assert_eq!(by_description(&packed), input, "{about}");
}

/// Around the lengths of runs and copies, and where there are more hashes.
#[test]
fn texts_of_every_length_read_back() {
    let borders = if cfg!(miri) {
        Vec::new()
    } else {
        vec![1_024, 4_096, 8_192]
    };
    let borders = borders.into_iter().flat_map(|at| at - 12..at + 12);
    for length in (0..size(40, 640)).chain(borders) {
        for kind in 0..5 {
            let seed = (length * 5 + kind) as u64;
            let input = text(&mut Random(seed), kind, length);
            check_reads_back(
                &input,
                &format!("SEED={seed}: {length} bytes of kind {kind}"),
            );
        }
    }
}

/// One copy, overlapping itself where it is longer than far, at the end or before another byte.
#[test]
fn copies_of_every_length_and_distance_read_back() {
    let far = [255, 256, 257, 263, 264, 265, 8_190, 8_191, 8_192, 8_193];
    let near = 1..=size(9, 34);
    for distance in near.chain(far.into_iter().take(size(2, 10))) {
        let lengths = [0..=20, 256..=275, 520..=536];
        for length in lengths.into_iter().take(size(1, 3)).flatten() {
            let mut input = text(&mut Random(distance as u64), 0, distance);
            for at in 0..length {
                input.push(input[at]);
            }
            let about = format!("{length} bytes from {distance} before");
            check_reads_back(&input, &about);
            input.push(!input[length]);
            check_reads_back(&input, &about);
            input.extend_from_slice(b"some more");
            check_reads_back(&input, &about);
        }
    }
}

#[test]
fn texts_that_repeat_become_short() {
    let mut random = Random(1);
    let zeros = compress(&[0; 100_000], 2000).expect("264 bytes take 3");
    assert!(zeros.len() < 1200, "{}", zeros.len());
    let names = text(&mut random, 2, 8000);
    let names = compress(&names, 8000).expect("names repeat").len();
    assert!(names < 5200, "{names}");
    let noise = text(&mut random, 0, 8000);
    assert_eq!(compress(&noise, 7992), None);
}

/// Each form of the format by hand.
#[test]
fn bytes_mean_what_the_format_says() {
    let is = |packed: &[u8], text: &[u8]| {
        assert_eq!(decompress(packed, text.len()).as_deref(), Some(text));
        assert_eq!(decompress(packed, text.len() + 1), None);
        assert_eq!(decompress(packed, text.len().wrapping_sub(1)), None);
    };
    is(b"", b"");
    is(b"\x00a", b"a");
    is(b"\x02abc", b"abc");
    is(b"\x02abc\x20\x02", b"abcabc");
    is(b"\x00a\x20\x00", b"aaaa");
    is(b"\x00a\xc0\x00", b"aaaaaaaaa");
    is(b"\x01ab\xe0\x00\x01", b"abababababa");
    is(
        b"\x00a\xe0\xff\x00\x00b",
        &[&[b'a'; 265][..], b"b"].concat(),
    );
    let mut far = Vec::new();
    for chunk in 0..256_u32 {
        far.push(31);
        far.extend_from_slice(&chunk.to_le_bytes().repeat(8));
    }
    let mut plain = decompress(&far, 8192).expect("runs only");
    far.extend_from_slice(b"\x3f\xff");
    plain.extend_from_slice(&[0; 3]);
    is(&far, &plain);
}

/// What redis-server 7.0 wrote into DUMP's payload for two texts.
#[test]
fn what_redis_wrote_reads_back() {
    let is = |packed: &[u8], text: &str| {
        let output = decompress(packed, text.len());
        assert_eq!(output.as_deref(), Some(text.as_bytes()));
    };
    is(b"\x06rondo r\xe0*\x05\x01o ", &"rondo ".repeat(10));
    let numbers: String = (0..60).map(|number| format!("{},", number % 37)).collect();
    is(
        b"\x1f0,1,2,3,4,5,6,7,8,9,10,11,12,13,\x1514,15,16,17,18,19,20,2 3\x1d2,23,24,25,26,27,28,\
          29,30,31,3 R\n3,34,35,36, O\xe0-d\x012,",
        &numbers,
    );
}

/// Never more than was asked for, never a panic; a copy from before the start is refused.
#[test]
fn damage_is_refused_or_harmless() {
    assert_eq!(decompress(b"\x20\x00", 3), None);
    assert_eq!(decompress(b"\x00a\x20\x01", 4), None);
    assert_eq!(decompress(b"\x01a", 2), None);
    assert_eq!(decompress(b"\x00a\xe0", 10), None);
    assert_eq!(decompress(b"\x00a\xe0\x00", 10), None);
    assert_eq!(decompress(b"\x00a", usize::MAX), None);
    for seed in 0..size(10, 80) as u64 {
        let mut random = Random(seed);
        let length = 1 + random.below(size(60, 600));
        let input = text(&mut random, 4, length);
        let packed = compress(&input, input.len() * 2 + 1).expect("enough");
        for end in 0..packed.len() {
            assert_eq!(
                decompress(&packed[..end], input.len()),
                None,
                "SEED={seed}: cut at {end}"
            );
        }
        for _ in 0..200 {
            let mut damaged = packed.to_vec();
            damaged[random.below(packed.len())] = random.next() as u8;
            if let Some(output) = decompress(&damaged, input.len()) {
                assert_eq!(output.len(), input.len(), "SEED={seed}");
            }
        }
    }
}
