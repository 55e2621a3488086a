//! Timeouts as their words give them; requests cut down to some of their keys.

use rondo::commands::blocking::{timeout_of_ms, timeout_of_seconds, with_keys};
use rondo::commands::table;
use rondo::resp::args::OwnedArgs;

const NOW_MS: i64 = 1_700_000_000_000;

fn seconds(word: &str) -> Result<Option<u64>, String> {
    timeout_of_seconds(word.as_bytes(), NOW_MS).map_err(|error| error.text().into_owned())
}

#[test]
fn seconds_may_be_fractions_and_are_rounded_up() {
    assert_eq!(seconds("0"), Ok(None));
    assert_eq!(seconds("-0"), Ok(None));
    assert_eq!(seconds("1"), Ok(Some(1000)));
    assert_eq!(seconds("1.1"), Ok(Some(1100)));
    assert_eq!(seconds("0.001"), Ok(Some(1)));
    assert_eq!(seconds("0.0001"), Ok(Some(1)));
    assert_eq!(seconds("1.1e-3"), Ok(Some(2)));
    assert_eq!(seconds("-1"), Err("ERR timeout is negative".into()));
    assert_eq!(seconds("-0.001"), Ok(None));
    assert_eq!(seconds("-0.0011"), Err("ERR timeout is negative".into()));
    assert_eq!(seconds("-1e-400"), Ok(None));
    let no_float = "ERR timeout is not a float or out of range";
    assert_eq!(seconds("nan"), Err(no_float.into()));
    assert_eq!(seconds("x"), Err(no_float.into()));
    assert_eq!(seconds(""), Err(no_float.into()));
    assert_eq!(seconds("1e-400"), Ok(Some(1)));
    assert_eq!(seconds("-1e400"), Err("ERR timeout is negative".into()));
    let too_large = "ERR timeout is out of range";
    for word in [
        "1e400",
        "inf",
        "1e300",
        "9223372036854775807",
        "9223372036854775",
    ] {
        assert_eq!(seconds(word), Err(too_large.into()), "{word}");
    }
}

#[test]
fn milliseconds_are_whole() {
    let ms = |word: &str| {
        timeout_of_ms(word.as_bytes(), NOW_MS).map_err(|error| error.text().into_owned())
    };
    assert_eq!(ms("0"), Ok(None));
    assert_eq!(ms("17"), Ok(Some(17)));
    assert_eq!(ms("-1"), Err("ERR timeout is negative".into()));
    let no_integer = "ERR timeout is not an integer or out of range";
    assert_eq!(ms("1.5"), Err(no_integer.into()));
    let too_large = "ERR timeout is out of range";
    assert_eq!(ms("9223372036854775807"), Err(too_large.into()));
}

#[test]
fn a_request_keeps_some_of_its_keys() {
    let cut = |line: &str, kept: &[&str]| {
        let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let args = args.as_args();
        let entry = table().resolve(&args).expect("a command");
        let words = with_keys(entry, &args, &|index| {
            kept.iter().any(|key| args.is(index, key))
        });
        let words = words.as_args();
        let words: Vec<_> = words.iter_from(0).map(String::from_utf8_lossy).collect();
        words.join(" ")
    };
    assert_eq!(cut("BLPOP a b c 0", &["a", "c"]), "BLPOP a c 0");
    assert_eq!(
        cut("BLMPOP 0 3 a b c LEFT COUNT 2", &["b"]),
        "BLMPOP 0 1 b LEFT COUNT 2"
    );
}
