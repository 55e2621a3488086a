//! Glob patterns over bytes: `*`, `?`, `[a-c]`, `[^a-c]`, `\x`.
//!
//! Promises  no recursion, no allocation, at most pattern length times text length steps: when the part after a `*` fails,
//!           only that last `*` takes one byte more, since giving an earlier one more could not help either.
//! Source    behaves as Redis's matcher in its corners too: an unterminated class ends with the pattern, a range may be
//!           written backwards, bytes above 127 count as negative in ranges, no pattern but the empty one matches the
//!           empty text, and what needs more than 1,000 stars does not match.
//! Tests     tests/base/glob.rs, fuzz/.

/// Stars that may wait for their text; the limit that clients of Redis know.
const STARS_MAX: usize = 1000;

/// Whether all of `text` matches all of `pattern`; `ignore_case` for ASCII letters.
pub fn glob_match(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut text_at) = (0, 0);
    // Where the pattern goes on after the last star, and where in the text that was tried last.
    let mut retry: Option<(usize, usize)> = None;
    let mut stars_count = 0;
    loop {
        let step = match pattern.get(at) {
            Some(b'*') => {
                at += leading_stars(&pattern[at..]);
                if at == pattern.len() {
                    return true;
                }
                stars_count += 1;
                if stars_count > STARS_MAX {
                    return false;
                }
                retry = Some((at, text_at));
                continue;
            }
            Some(_) => match_one(&pattern[at..], text[text_at], ignore_case),
            None => None,
        };
        if let Some(pattern_bytes) = step {
            at += pattern_bytes;
            text_at += 1;
            if text_at < text.len() {
                continue;
            }
            // Without text left, a retry would have even less of it for the same pattern.
            return at + leading_stars(&pattern[at..]) == pattern.len();
        }
        let Some((after_star, tried)) = retry else {
            return false;
        };
        if tried + 1 == text.len() {
            return false;
        }
        retry = Some((after_star, tried + 1));
        (at, text_at) = (after_star, tried + 1);
    }
}

fn leading_stars(pattern: &[u8]) -> usize {
    pattern.iter().take_while(|&&byte| byte == b'*').count()
}

/// How many bytes of the pattern, which is not empty, took `byte`; `None` if it does not match.
#[inline]
fn match_one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<usize> {
    let (literal, pattern_bytes) = match *pattern {
        [b'?', ..] => return Some(1),
        [b'[', ..] => return match_class(&pattern[1..], byte, ignore_case),
        [b'\\', escaped, ..] => (escaped, 2),
        [literal, ..] => (literal, 1),
        [] => return None,
    };
    let is_match = literal == byte || (ignore_case && literal.eq_ignore_ascii_case(&byte));
    is_match.then_some(pattern_bytes)
}

/// As [`match_one`], from behind the `[`; the bytes counted include it.
fn match_class(class: &[u8], byte: u8, ignore_case: bool) -> Option<usize> {
    let is_negated = class.first() == Some(&b'^');
    let mut rest = if is_negated { &class[1..] } else { class };
    let mut is_match = false;
    loop {
        rest = match rest {
            // An unterminated class ends here.
            [] => break,
            [b'\\', escaped, after @ ..] => {
                is_match |= *escaped == byte;
                after
            }
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [start, b'-', end, after @ ..] => {
                is_match |= is_in_range(*start, *end, byte, ignore_case);
                after
            }
            [literal, after @ ..] => {
                is_match |=
                    *literal == byte || (ignore_case && literal.eq_ignore_ascii_case(&byte));
                after
            }
        };
    }
    (is_match != is_negated).then_some(1 + class.len() - rest.len())
}

fn is_in_range(start: u8, end: u8, byte: u8, ignore_case: bool) -> bool {
    let (mut low, mut high, mut signed) = (start as i8, end as i8, byte as i8);
    if low > high {
        (low, high) = (high, low);
    }
    if ignore_case {
        // After the ends were put in order: `[Z-a]` is empty then, as in Redis.
        let lower = |byte: i8| (byte as u8).to_ascii_lowercase() as i8;
        (low, high, signed) = (lower(low), lower(high), lower(signed));
    }
    (low..=high).contains(&signed)
}
