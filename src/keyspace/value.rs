//! What a key holds: strings live in the table, everything else is an [`Object`].
//!
//! Promises  a value taken out ([`Moved`]) is whole and may go to another core.
//! Not here  how strings are laid out: `ds/key_table.rs`.

use crate::base::number::parse_i64;
use crate::ds::key_table::{HeapSize, NewValue, OwnedValue, Value};
use bytes::Bytes;

/// Longest string that Redis embeds beside its header, and names `embstr`.
pub const EMBEDDED_BYTES_MAX: usize = 44;

/// Values that are not strings. None yet: each data type brings its variant.
pub enum Object {}

impl HeapSize for Object {
    fn heap_bytes(&self) -> usize {
        match *self {}
    }
}

/// A value on its way from one key to another, possibly on another core.
pub struct Moved {
    /// The value itself.
    pub value: OwnedValue<Object>,
    /// When it dies, in milliseconds since the epoch.
    pub expire_at_ms: Option<i64>,
    /// Its 24 bits of access clock.
    pub access: u32,
}

/// A moved value crosses cores: the compiler is asked here.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Moved>();
};

impl Moved {
    /// Copies a value out of the table.
    pub(super) fn clone_of(
        value: Value<'_, Object>,
        expire_at_ms: Option<i64>,
        access: u32,
    ) -> Self {
        let value = match value {
            Value::Int(number) => OwnedValue::Int(number),
            Value::Str { bytes, raw } => OwnedValue::Str {
                bytes: Bytes::copy_from_slice(bytes),
                raw,
            },
            Value::Object(object) => match *object {},
        };
        Self {
            value,
            expire_at_ms,
            access,
        }
    }
}

/// A string as Redis would encode it when it is stored whole: an integer where its text is one, `embstr` to 44 bytes,
/// `raw` above.
#[inline]
pub fn encoded(bytes: &[u8]) -> NewValue<'_, Object> {
    match parse_integer(bytes) {
        Some(number) => NewValue::Int(number),
        None => text(bytes),
    }
}

/// A string that stays text even where it looks like an integer (INCRBYFLOAT's results).
#[inline]
pub fn text(bytes: &[u8]) -> NewValue<'_, Object> {
    NewValue::Str {
        bytes,
        raw: bytes.len() > EMBEDDED_BYTES_MAX,
    }
}

#[inline]
fn parse_integer(bytes: &[u8]) -> Option<i64> {
    // 20 bytes hold any 64-bit integer; the first byte turns nearly every other short text away.
    let first = *bytes.first()?;
    if bytes.len() > 20 || !(first.is_ascii_digit() || first == b'-') {
        return None;
    }
    parse_i64(bytes)
}

/// TYPE's word for a value.
pub fn type_name(value: &Value<'_, Object>) -> &'static str {
    match value {
        Value::Int(_) | Value::Str { .. } => "string",
        Value::Object(object) => match **object {},
    }
}

/// OBJECT ENCODING's word for a value.
pub fn encoding_name(value: &Value<'_, Object>) -> &'static str {
    match value {
        Value::Int(_) => "int",
        Value::Str { raw: false, .. } => "embstr",
        Value::Str { raw: true, .. } => "raw",
        Value::Object(object) => match **object {},
    }
}
