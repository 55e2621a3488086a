//! Regular expressions: matches by hand, and against Python's where both mean the same.

use rondo::base::regex::Regex;

fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = Regex::new(pattern.as_bytes(), false).expect(pattern);
    for text in yes {
        assert!(regex.is_match(text.as_bytes()), "{pattern} has {text:?}");
    }
    for text in no {
        assert!(
            !regex.is_match(text.as_bytes()),
            "{pattern} has no {text:?}"
        );
    }
}

#[test]
fn what_posix_says() {
    check("abc", &["abc", "xabcx"], &["ab", "ABC", ""]);
    check("^abc$", &["abc"], &["abcd", "xabc", "abc\n"]);
    check("a.c", &["abc", "a\nc", "a\0c"], &["ac"]);
    check("ab*c", &["ac", "abbbc"], &["adc"]);
    check("ab+c", &["abc"], &["ac"]);
    check("ab?c", &["ac", "abc"], &["abbc"]);
    check("^a{2}$", &["aa"], &["a", "aaa"]);
    check("^a{2,}$", &["aa", "aaaaa"], &["a"]);
    check("^a{,2}$", &["", "a", "aa"], &["aaa"]);
    check("^a{1,3}$", &["a", "aaa"], &["", "aaaa"]);
    check("^(ab|cd)+$", &["ab", "cdab"], &["", "abc"]);
    check("^(a|)$", &["", "a"], &["b"]);
    check("^()$", &[""], &["a"]);
    check("^[a-c]$", &["a", "b", "c"], &["d", "-"]);
    check("^[^a-c]$", &["d", "-"], &["a"]);
    check("^[]a]$", &["]", "a"], &["b"]);
    check("^[^]a]$", &["b"], &["]", "a"]);
    check("^[a-]$", &["a", "-"], &["b"]);
    check(r"^[\n]$", &["\\", "n"], &["\n"]);
    check("^[[:digit:]x]+$", &["12x"], &["y"]);
    check("^[[:upper:]][[:lower:]]*$", &["Abc"], &["abc"]);
    check(r"^\d+\s\w+$", &["12 ab_3"], &["x ab", "12ab"]);
    check(r"\bcat\b", &["a cat.", "cat"], &["concat", "cats"]);
    check(r"\<cat", &["cats"], &["concat"]);
    check(r"cat\>", &["concat"], &["cats"]);
    check(r"a\*b", &["a*b"], &["aab"]);
    check(r"a\.b", &["a.b"], &["axb"]);
    check("a)b", &["a)b"], &["ab"]);
    check("", &["", "x"], &[]);
    check("x*", &["", "y"], &[]);
    check("(a*)*b", &["aaab", "b"], &["aaa"]);
    check("(^a|b)c", &["ac", "xbc"], &["xac"]);
    check("^*a", &["xa"], &["b"]);
    check("a*?b", &["b", "aab"], &["a"]);
}

#[test]
fn case_does_not_matter_where_it_is_said_so() {
    for pattern in ["aBc", "[A-C]bC", "[[:upper:]]bc"] {
        let regex = Regex::new(pattern.as_bytes(), true).expect(pattern);
        assert!(regex.is_match(b"xAbCx"), "{pattern}");
    }
    let regex = Regex::new(b"^[^a]$", true).expect("a bracket");
    assert!(!regex.is_match(b"A"));
}

#[test]
fn what_is_none_is_refused() {
    for pattern in [
        "(",
        "(a",
        "[",
        "[a",
        "[[:digit:",
        "[[:none:]]",
        "[b-a]",
        "[[.a.]]",
        "*",
        "a|*",
        "(+)",
        "a{",
        "a{1",
        "a{x}",
        "a{2,1}",
        "a{256}",
        "a{}",
        "\\",
        r"(a)\1",
        r"\q",
        "((a{255}){255})",
        "{1}",
    ] {
        assert!(Regex::new(pattern.as_bytes(), false).is_err(), "{pattern}");
    }
    let deep = [b"(".repeat(50_000), b")".repeat(50_000)].concat();
    assert!(Regex::new(&deep, false).is_err());
}

/// What takes other engines exponential time is over at once here; any bytes are read without a panic.
#[test]
fn nothing_takes_long() {
    let regex = Regex::new(b"^(a|aa|a*)*$", false).expect("nested repetitions");
    let text = [b"a".repeat(20_000), b"b".to_vec()].concat();
    assert!(!regex.is_match(&text));
    let mut state = 7u64;
    for _ in 0..20_000 {
        let pattern: Vec<u8> = (0..state % 12)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                b"ab()[]{}*+?|^$.\\:-,2w"[(state >> 33) as usize % 21]
            })
            .collect();
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if let Ok(regex) = Regex::new(&pattern, state & 1 == 0) {
            regex.is_match(b"abba(a)2");
        }
    }
}

/// What says nothing may be said very often, and repetitions may be repeated, but neither without end.
#[test]
fn no_expression_takes_long_to_read_or_nests_without_end() {
    for (pattern, text) in [
        ("(){255}{255}{255}{255}{255}x", "x"),
        ("(a{0}){255}{255}{255}{255}x", "x"),
        ("(((){255}){255}){255}x", "x"),
        ("a****b", "b"),
    ] {
        check(pattern, &[text], &["y"]);
    }
    let deep = |group: &str| group.repeat(99);
    let stars = "*".repeat(16);
    let nested = format!("{}a{}", deep("("), deep(&format!("){stars}")));
    let _ = Regex::new(nested.as_bytes(), false);
    for pattern in [
        "a".to_owned() + &"*".repeat(1_000_000),
        "a".to_owned() + &"{1}".repeat(300_000),
        "()".repeat(1_000_000),
        "|".repeat(1_000_000),
        "a{0}".repeat(1_000_000),
        "(".repeat(1_000_000),
        format!("({}){{255}}{{255}}", "a{0}".repeat(500)) + "x{255}" + &"()".repeat(4000),
    ] {
        assert!(Regex::new(pattern.as_bytes(), false).is_err());
    }
}
