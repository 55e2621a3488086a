//! What handlers read from words and values, with Redis's errors for what does not fit.

use super::CommandError;
use crate::base::number::{parse_i64, write_i64};
use crate::ds::key_table::{NewValue, Value};
use crate::keyspace::Object;
use crate::keyspace::value::encoded;
use crate::resp::{Args, Reply};

/// Values at least this long are kept as the receive buffer they came in, where that is possible.
const SHARED_BYTES_MIN: usize = 4096;

/// A word as a 64-bit integer.
#[inline]
pub fn integer(word: &[u8]) -> Result<i64, CommandError> {
    parse_i64(word).ok_or(CommandError::NotInteger)
}

/// A word as a database index: a 32-bit integer that names one of `databases_count`.
pub fn database(word: &[u8], databases_count: usize) -> Result<usize, CommandError> {
    let index = integer(word)?;
    if i32::try_from(index).is_err() {
        return Err(
            "ERR value is out of range, value must between -2147483648 and 2147483647".into(),
        );
    }
    database_in(index, databases_count)
}

/// A 64-bit integer as a database index.
pub fn database_in(index: i64, databases_count: usize) -> Result<usize, CommandError> {
    match usize::try_from(index) {
        Ok(index) if index < databases_count => Ok(index),
        _ => Err("ERR DB index is out of range".into()),
    }
}

/// Word `index` as a value to store: an integer where it is one, a large one without a copy where that is possible.
#[inline(always)]
pub fn value<'a>(args: &Args<'a>, index: usize) -> NewValue<'a, Object> {
    let word = args.get(index);
    if word.len() >= SHARED_BYTES_MIN
        && let Some(shared) = args.share(index)
    {
        return NewValue::Received(shared);
    }
    encoded(word)
}

/// Room for the text of an integer.
pub type Digits = [u8; 20];

/// A string's bytes; an integer's are written to `digits`.
#[inline]
pub fn bytes<'v>(
    value: &Value<'v, Object>,
    digits: &'v mut Digits,
) -> Result<&'v [u8], CommandError> {
    match value {
        Value::Int(number) => Ok(write_i64(digits, *number)),
        Value::Str { bytes, .. } => Ok(bytes),
        Value::Object(_) => Err(CommandError::WrongType),
    }
}

/// A string's length in bytes.
#[inline]
pub fn length(value: &Value<'_, Object>) -> Result<usize, CommandError> {
    match value {
        Value::Int(number) => Ok(write_i64(&mut [0; 20], *number).len()),
        Value::Str { bytes, .. } => Ok(bytes.len()),
        Value::Object(_) => Err(CommandError::WrongType),
    }
}

/// A string read as an integer.
#[inline]
pub fn integer_value(value: &Value<'_, Object>) -> Result<i64, CommandError> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Str { bytes, .. } => integer(bytes),
        Value::Object(_) => Err(CommandError::WrongType),
    }
}

/// Replies with a string.
#[inline(always)]
pub fn reply_string(value: &Value<'_, Object>, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    match value {
        Value::Int(number) => reply.bulk_int(*number),
        Value::Str { bytes, .. } => reply.bulk_inlined(bytes),
        Value::Object(_) => return Err(CommandError::WrongType),
    }
    Ok(())
}

/// Refuses what would make a string longer than `proto-max-bulk-len` allows.
pub fn check_length(size: u64, more: u64, bytes_max: u64) -> Result<(), CommandError> {
    match size.checked_add(more) {
        Some(total) if total <= bytes_max => Ok(()),
        _ => Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into()),
    }
}
