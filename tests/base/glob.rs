//! Globs: corners by hand, a sample recorded from a real server, and a plain recursive model.

use rondo::base::glob::glob_match;
use rondo::base::rng::Rng;

#[test]
fn corners_are_redis_corners() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("*", "", false),
        ("", "a", false),
        ("*", "a", true),
        ("a**", "a", true),
        ("h?llo", "hello", true),
        ("h*llo", "heeeello", true),
        ("h[ae]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("h\\*llo", "h*llo", true),
        ("h\\*llo", "hello", false),
        ("[abc", "b", true),
        ("[^", "x", true),
        ("[", "[", false),
        ("[]", "]", false),
        ("a\\", "a\\", true),
        ("[a-]", "]", true),
    ] {
        let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
        assert_eq!(
            glob_match(pattern, text, false),
            expected,
            "{pattern:?} {text:?}"
        );
    }
}

#[test]
fn case_is_ignored_where_redis_ignores_it() {
    for (pattern, text, expected) in [
        ("HELLO*", "hello world", true),
        ("h[A-C]llo", "hbllo", true),
        ("[X]", "x", true),
        ("\\X", "x", true),
        ("[\\X]", "x", false),
        ("[Z-a]", "z", false),
    ] {
        assert_eq!(
            glob_match(pattern.as_bytes(), text.as_bytes(), true),
            expected,
            "{pattern} {text}"
        );
    }
}

#[test]
fn recorded_matches_are_matched() {
    for (pattern, text, expected) in RECORDED {
        assert_eq!(
            glob_match(pattern, text, false),
            *expected,
            "{} {}",
            pattern.escape_ascii(),
            text.escape_ascii()
        );
    }
}

/// Without classes, so that the model is five lines; seeded.
#[test]
fn stars_agree_with_a_recursive_model() {
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| model(rest, &text[skip..])),
            ([b'?', rest @ ..], [_, after @ ..]) => model(rest, after),
            ([literal, rest @ ..], [byte, after @ ..]) => literal == byte && model(rest, after),
            _ => false,
        }
    }
    let seed = 0x610b;
    let mut rng = Rng::with_seed(seed);
    for round in 0..20_000 {
        let pattern: Vec<u8> = (0..rng.below(9))
            .map(|_| b"ab*?"[rng.below(4) as usize])
            .collect();
        let text: Vec<u8> = (0..1 + rng.below(9))
            .map(|_| b"ab"[rng.below(2) as usize])
            .collect();
        assert_eq!(
            glob_match(&pattern, &text, false),
            model(&pattern, &text),
            "SEED={seed} round {round}: {} {}",
            pattern.escape_ascii(),
            text.escape_ascii()
        );
    }
}

/// Exponential matchers need longer than the universe for these.
#[test]
fn hostile_patterns_end_soon() {
    let text = [b'a'; 10_000];
    let pattern = [b"a*".repeat(900).as_slice(), b"b"].concat();
    assert!(!glob_match(&pattern, &text, false));
    assert!(glob_match(&b"a*".repeat(1001), &text, false));
    assert!(!glob_match(&b"a*".repeat(1002), &text, false));
    assert!(!glob_match(&[b'['; 100_000], &text, false));
}

/// Pattern, key, whether KEYS found it.
#[rustfmt::skip]
const RECORDED: &[(&[u8], &[u8], bool)] = &[
    (b"[B-\x80]\xff[^*]c*\x80", b"\x80\xffbc\xff\x80", true),
    (b"B[b\x80]\\b", b"Bbb", true),
    (b"]*[ca][^*]", b"]]ca", true),
    (b"\xff\\\\[c-\x80][-aB\x80", b"\xff\\\x80\x80", true),
    (b"[^\x80]", b"c", true),
    (b"^[-b]", b"^-", true),
    (b"[c-\\][c*]", b"bc", true),
    (b"?\\b?*[^?]", b"cb*Bb", true),
    (b"[-b][c?]", b"-c", true),
    (b"\\c[^-]\\b?c", b"c\\bBc", true),
    (b"[b-\x80]", b"a", true),
    (b"\\a[^*]", b"a\\", true),
    (b"[*?-c", b"c", true),
    (b"[^b][[-b]\\a\\-?*", b"^ba-^c", true),
    (b"[a*]\\\\??", b"a\\*\xff", true),
    (b"[^B]", b"a", true),
    (b"[^\x80]", b"]", true),
    (b"[-\x80]", b"-", true),
    (b"*[b-*]", b"\\-", true),
    (b"*[^B]?[^a]", b"cab^", true),
    (b"*[BB][^*]", b"aB\x80", true),
    (b"?[^a]", b"\\c", true),
    (b"\\*\\-[\x80?]", b"*-\x80", true),
    (b"[^\\]", b"^", true),
    (b"?[^\xff]*", b"-^B", true),
    (b"[^\xff]*", b"a]", true),
    (b"\xff\\\\[\x80-*]", b"\xff\\\x80", true),
    (b"-[\xff\\]", b"-\xff", true),
    (b"*?[b*][^b]", b"\\\xffba", true),
    (b"[^\xff]\\a", b"^a", true),
    (b"\\b[^?][^[]", b"bc\\", true),
    (b"[*-a][^?]*", b"]c\x80", true),
    (b"?[ba]", b"Bb", true),
    (b"[^?][^\xff]", b"BB", true),
    (b"?[^*][*-c]\xff", b"]cc\xff", true),
    (b"[^*]?[a-B]", b"\x80-\\", true),
    (b"[\x80b]?", b"\x80c", true),
    (b"*[\xff-]*]b?", b"*\xffa]b\x80", true),
    (b"[-*]**[cc][*B]c", b"-\\*c*c", true),
    (b"[bc][a\\\xff[[a-\x80]*[b\x80]", b"b-\\bb", true),
    (b"**[B\x80[-\x80\\", b"c\\\x80ab", false),
    (b"\x80\x80[[?*", b"\x80\xffB-", false),
    (b"??[\\b\xff]", b"]c\x80", false),
    (b"[^*]a\\a?[bc*B?", b"baa\xffBB", false),
    (b"[^-*]\\b[-a]\\b[a]]]", b"*b-ba]", false),
    (b"[^?][*-\xff]", b"\xffa", false),
    (b"\xffB\x80??[", b"b\xff\xff^^b", false),
    (b"[*-\x80]*[^\xff]*\\^[?c*a", b"\\b^\x80^b", false),
    (b"[\\]\x80?\\b*\\b", b"]bab", false),
    (b"[*c?c\\b", b"^b", false),
    (b"[--b][*--]\x80[\\*]?\\c", b"\x80\xff\x80\xffc", false),
    (b"[]-]][c^**[*\xff-\\[a\\]", b"bbBa", false),
    (b"B[*b\xffc[-^", b"bb", false),
    (b"[?BaB[*]\xff-[**c]\\*[*?aB[^[]", b"bb\xff*bb", false),
    (b"[]-^]*b[^B]\\c", b"\xff\x80b]c", false),
    (b"[c*[[[\\?]", b"a\\", false),
    (b"?[--\\]\\a?b", b"\\\xffa*b", false),
    (b"[a[]c[\\-[][-*][a^][^]][\\^]", b"Bc-a^\\", false),
    (b"\xff*-\\[*]", b"-]\x80a", false),
    (b"[\\a**[c-*][\x80-b]*", b"^cba", false),
];
