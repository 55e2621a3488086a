//! Scripts with the replies that a real server gave: `record.py` made both.
//!
//! There each ran in a Lua state that had run none; here a file's run in one, so nothing may be left by any of them but what
//! they have told `cjson`, which is undone.

use super::runner::Runner;
use std::path::Path;

/// Runs a file's scripts.
fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/script/golden");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a golden file");
    let show = read("show.lua");
    let mut wrong = Vec::new();
    let text = read(name);
    let mut runner = Runner::new();
    for line in text.lines() {
        let (script, reply) = line.split_once('\t').expect("a script and its reply");
        let script = match script.strip_prefix('@') {
            Some(rest) => [show.as_bytes(), &unescape(rest)].concat(),
            None => unescape(script),
        };
        runner.settings.reset();
        let got = runner.eval_bytes(&script, &["key1", "key2"], &["arg1"]);
        if got != unescape(reply) {
            wrong.push(format!("{line}\n  got {}", got.escape_ascii()));
        }
    }
    assert!(text.lines().count() > 100);
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(&rest[1..3]).expect("two digits");
        out.push(u8::from_str_radix(digits, 16).expect("two digits"));
        rest = &rest[3..];
    }
    out
}

#[test]
fn json_is_cjsons() {
    check("json.txt");
}

#[test]
fn msgpack_is_cmsgpacks() {
    check("msgpack.txt");
}

#[test]
fn structures_are_structs() {
    check("struct.txt");
}

#[test]
fn bits_are_bitops() {
    check("bit.txt");
}

#[test]
fn the_language_is_rediss() {
    check("language.txt");
}
