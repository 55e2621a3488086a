//! Option values as text: numbers with units, and words in quotes.
//!
//! Promises  `split_words(quote(x)) == [x]` for any text.
//! Source    Redis's configuration file syntax: double quotes with `\n \r \t \b \a \xHH` escapes, single quotes with `\'`.
//! Tests     tests/node/options.rs.

pub use crate::base::units::memory_bytes;

/// `yes` or `no` in any case.
pub fn parse_bool(word: &str) -> Result<bool, String> {
    if word.eq_ignore_ascii_case("yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case("no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".to_string())
    }
}

/// A decimal integer from `min` to `max`.
pub fn parse_integer(word: &str, min: i64, max: i64) -> Result<i64, String> {
    let value: i64 = strict_integer(word)
        .ok_or_else(|| "argument couldn't be parsed into an integer".to_string())?;
    in_range(value, min, max)
}

/// Bytes, with an optional unit: `k`, `kb`, `m`, `mb`, `g`, `gb`; those without `b` are powers of 1,000.
pub fn parse_memory(word: &str, min: i64) -> Result<i64, String> {
    let value = memory_bytes(word).ok_or_else(|| "argument must be a memory value".to_string())?;
    // What is beyond the range is below it too, like the least value there is.
    in_range(i64::try_from(value).unwrap_or(i64::MIN), min, i64::MAX)
}

/// A percentile as CONFIG GET and INFO print it: at most six digits after the point, and no zeros at their end.
pub fn percentile_text(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// An octal number from 0 to `max`.
pub fn parse_octal(word: &str, max: i64) -> Result<i64, String> {
    let value = i64::from_str_radix(word, 8)
        .map_err(|_| "argument couldn't be parsed as an octal number".to_string())?;
    if (0..=max).contains(&value) {
        return Ok(value);
    }
    Err(format!("argument must be between 0 and {max:o} inclusive"))
}

/// CPUs as `0,2,4-7` or `0-14:2` (each second one); none for anything else, a CPU beyond 1,023 included. In the order given.
pub fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    let number = |word: &str| word.parse::<usize>().ok().filter(|&cpu| cpu < 1024);
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) => (range, number(step).filter(|&step| step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(range)?, number(range)?),
        };
        if first > last {
            return None;
        }
        cpus.extend(
            (first..=last)
                .step_by(step)
                .filter(|cpu| !cpus.contains(cpu))
                .collect::<Vec<_>>(),
        );
    }
    Some(cpus)
}

fn in_range(value: i64, min: i64, max: i64) -> Result<i64, String> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "argument must be between {min} and {max} inclusive"
    ))
}

/// An integer in the one spelling it has: no plus sign, no leading zeros, no spaces.
fn strict_integer(word: &str) -> Option<i64> {
    let value: i64 = word.parse().ok()?;
    (value.to_string() == word).then_some(value)
}

/// The words of a line; None where quotes do not close or a closing quote is followed by more text.
///
/// Bytes that are no UTF-8 (an `\xHH` escape can make them) become U+FFFD.
pub fn split_words(line: &[u8]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        if at >= line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(&byte) = line.get(at) {
            if is_space(byte) {
                break;
            }
            at += 1;
            match byte {
                b'"' | b'\'' => {
                    at = read_quoted(line, at, byte, &mut word)?;
                    if line.get(at).is_some_and(|byte| !is_space(*byte)) {
                        return None;
                    }
                }
                _ => word.push(byte),
            }
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
}

/// The part of a configuration line before a comment: before a word of index `from` or later that begins with `#` outside of
/// quotes. The whole line where there is none, or where quotes do not close.
pub fn before_comment(line: &str, from: usize) -> &str {
    let bytes = line.as_bytes();
    let (mut at, mut index) = (0, 0);
    loop {
        while bytes.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        match bytes.get(at) {
            None => return line,
            Some(b'#') if index >= from => return line[..at].trim_end(),
            Some(_) => index += 1,
        }
        while let Some(&byte) = bytes.get(at) {
            if is_space(byte) {
                break;
            }
            at += 1;
            if byte == b'"' || byte == b'\'' {
                match read_quoted(bytes, at, byte, &mut Vec::new()) {
                    Some(end) => at = end,
                    None => return line,
                }
            }
        }
    }
}

/// Reads up to the closing `quote`; returns the position after it.
fn read_quoted(line: &[u8], mut at: usize, quote: u8, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        let next = line.get(at + 1).copied();
        at += 1;
        if byte == quote {
            return Some(at);
        }
        if byte != b'\\' {
            word.push(byte);
        } else if quote == b'\'' {
            if next == Some(b'\'') {
                word.push(b'\'');
                at += 1;
            } else {
                word.push(byte);
            }
        } else {
            let hex = line
                .get(at + 1..at + 3)
                .filter(|_| next == Some(b'x'))
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            if let Some(code) = hex {
                word.push(code);
                at += 3;
                continue;
            }
            word.push(match next? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => other,
            });
            at += 1;
        }
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// A word as a configuration file can say it: as it is, or in double quotes.
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\#".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_string();
    }
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            letter if letter.is_control() && letter.is_ascii() => {
                text.push_str(&format!("\\x{:02x}", letter as u32));
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
