//! The word that most requests have as their key, found without parsing anything else.
//!
//!     *3\r\n $3\r\nSET\r\n $3\r\nkey\r\n ...      -> key
//!
//! Promises  it is the second word that `parse` finds, or none: a guess costs some nanoseconds and changes nothing.
//! Tests     tests/resp/second_word.rs: beside `parse`, at every cut.

/// Digits of a number, at most: what is longer is no key that somebody waits for.
const DIGITS_MAX: usize = 3;

/// The second word of the request at the start of `bytes`, where that is an array, and the word is there whole.
#[inline]
pub fn second_word(bytes: &[u8]) -> Option<&[u8]> {
    let (words_count, at) = line(bytes, 0, b'*')?;
    if words_count < 2 {
        return None;
    }
    let (name_bytes, at) = line(bytes, at, b'$')?;
    let (bytes_count, at) = line(bytes, at + name_bytes + 2, b'$')?;
    bytes.get(at..at + bytes_count)
}

/// The number in the line at `at`, which begins with `mark`, and where the next one begins.
#[inline]
fn line(bytes: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let rest = bytes.get(at..)?;
    if *rest.first()? != mark {
        return None;
    }
    let mut number = 0;
    for (index, &byte) in rest[1..].iter().take(DIGITS_MAX + 1).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (byte == b'\r' && index > 0).then_some((number, at + index + 3));
        }
        number = 10 * number + usize::from(digit);
    }
    None
}
