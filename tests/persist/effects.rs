use rondo::persist::effects::{Effect, Effects, Malformed, append, append_select};
use rondo::resp::Args;

/// Commands as they are read back, a database as `@n`.
fn read(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, Malformed> {
    let mut effects = Effects::new(bytes);
    let mut all = Vec::new();
    while let Some((effect, bytes)) = effects.read()? {
        all.push(match effect {
            Effect::Select(db) => vec![format!("@{db}").into_bytes()],
            Effect::Command => {
                let args = Args::new(bytes, &effects.spans);
                args.iter_from(0).map(<[u8]>::to_vec).collect()
            }
        });
    }
    Ok(all)
}

#[test]
fn what_was_appended_is_read_back_word_for_word() {
    let long = vec![b'x'; 100_000];
    let mut bytes = Vec::new();
    let commands: [&[&[u8]]; 3] = [
        &[b"SET", b"", b"\r\n$3"],
        &[b"FLUSHALL"],
        &[b"SET", b"k", &long],
    ];
    for command in commands {
        append(&mut bytes, command.iter().copied());
        append_select(&mut bytes, 65_535);
    }
    let got = read(&bytes).expect("effects");
    assert_eq!(got.len(), 6);
    for (index, command) in commands.iter().enumerate() {
        assert_eq!(
            got[2 * index],
            command.iter().map(|word| word.to_vec()).collect::<Vec<_>>()
        );
        assert_eq!(got[2 * index + 1], [b"@65535"]);
    }
}

/// A request is logged as it came, and its parser looks at no more than the `\r` of a line and the bytes of a word.
#[test]
fn what_ends_a_word_may_be_anything() {
    let bytes = b"*2\rx$3\r\0DELab$1\r\rk\n\r*1\r\n$5\r\nRESET$$";
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
    assert_eq!(
        read(bytes),
        Ok(vec![words(&[b"DEL", b"k"]), words(&[b"RESET"])])
    );
}

#[test]
fn every_cut_is_malformed() {
    let mut bytes = Vec::new();
    append(
        &mut bytes,
        [b"SET".as_slice(), b"key", b"a value"].into_iter(),
    );
    for end in 1..bytes.len() {
        assert_eq!(read(&bytes[..end]), Err(Malformed), "cut at {end}");
    }
    for wrong in [
        "*0\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n:1\r\n",
        "*2\r\n$6\r\nSELECT\r\n$5\r\n65536\r\n",
        "SET k v\r\n",
        "*99999999999\r\n",
    ] {
        assert_eq!(read(wrong.as_bytes()), Err(Malformed), "{wrong:?}");
    }
}
