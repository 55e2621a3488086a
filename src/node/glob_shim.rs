//! Stands in for `base/glob.rs`.
/// Pattern match.
pub fn glob_match(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let fold = |b: u8| {
        if ignore_case {
            b.to_ascii_lowercase()
        } else {
            b
        }
    };
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| glob_match(rest, &text[at..], ignore_case)),
        Some((b'?', rest)) => !text.is_empty() && glob_match(rest, &text[1..], ignore_case),
        Some((&byte, rest)) => {
            text.first().is_some_and(|&b| fold(b) == fold(byte))
                && glob_match(rest, &text[1..], ignore_case)
        }
    }
}
