//! Texts with units.
//!
//! Tests     tests/node/options.rs.

/// Bytes of a text with an optional unit; None where it is no such text or does not fit.
pub fn memory_bytes(word: &str) -> Option<i64> {
    let digits = word
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'-')
        .count();
    let factor: i64 = match word[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if word.is_empty() {
        // Redis takes nothing for nothing.
        return Some(0);
    }
    let value: i64 = word[..digits].parse().ok().filter(|value| *value >= 0)?;
    value.checked_mul(factor)
}
