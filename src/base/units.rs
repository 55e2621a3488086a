//! Texts with units.
//!
//! Tests     tests/node/options.rs.

/// Bytes of a text with an optional unit, at most `u64::MAX`; None where it is no such text.
pub fn memory_bytes(word: &str) -> Option<u64> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let factor: u64 = match word[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if digits == 0 {
        // Redis takes nothing for nothing, whatever its unit.
        return Some(0);
    }
    let value: u64 = word[..digits].parse().unwrap_or(u64::MAX);
    Some(value.saturating_mul(factor))
}
