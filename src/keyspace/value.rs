//! What a key holds: strings live in the table, everything else is an [`Object`].
//!
//! Promises  a value taken out ([`Moved`]) is whole and may go to another core.
//! Not here  how strings are laid out: `ds/key_table/entry.rs`.

use super::Collection;
use crate::base::number::parse_i64;
use crate::ds::key_table::{HeapSize, KINDS_COUNT, Measure, NewValue, OwnedValue, Value};
use crate::ds::mover::{Mover, Progress};
use crate::ds::table_shape::TableShape;
use bytes::Bytes;

/// Longest string that Redis embeds beside its header, and names `embstr`.
pub const EMBEDDED_BYTES_MAX: usize = 44;

/// Kinds of keys whose sizes are shown, as INFO names them, by their [`HeapSize::extent`].
pub const SIZED_KINDS: [&str; 5] = [
    "strings_sizes",
    "lists_items",
    "sets_items",
    "zsets_items",
    "hashes_items",
];

/// Types by their [`HeapSize::extent`], as TYPE names them.
pub const KINDS: [&str; KINDS_COUNT] = ["string", "list", "set", "zset", "hash", "stream", "array"];

/// The place of lists, sets, sorted sets and hashes in [`SIZED_KINDS`], and of the others behind them.
pub(super) const LISTS: usize = 1;
pub(super) const SETS: usize = 2;
pub(super) const ZSETS: usize = 3;
pub(super) const HASHES: usize = 4;
pub(super) const STREAMS: usize = 5;
pub(super) const ARRAYS: usize = 6;

/// Writes out what all types have in common: `Type => module::Type`, one line each.
macro_rules! objects {
    ($($name:ident => $collection:ty),* $(,)?) => {
        /// A value that is not a string.
        #[derive(Clone)]
        pub enum Object {
            $(#[doc = concat!("A ", stringify!($name), ".")] $name($collection)),*
        }

        impl HeapSize for Object {
            fn heap_bytes(&self) -> usize {
                match *self { $(Self::$name(ref it) => it.heap_bytes()),* }
            }
            fn extent(&self) -> (usize, usize) {
                match *self { $(Self::$name(ref it) => it.extent()),* }
            }
            fn measure(&self) -> Measure {
                match *self { $(Self::$name(ref it) => it.measure()),* }
            }
            fn free_effort(&self) -> usize {
                match *self { $(Self::$name(ref it) => it.free_effort()),* }
            }
            fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
                match *self { $(Self::$name(ref mut it) => it.move_step(from, mover)),* }
            }
            fn wake_at_ms(&self) -> Option<i64> {
                match *self { $(Self::$name(ref it) => it.wake_at_ms()),* }
            }
            fn free_step(&mut self, budget: usize) -> bool {
                match *self { $(Self::$name(ref mut it) => it.free_step(budget)),* }
            }
        }

        impl Object {
            /// TYPE's word.
            pub fn type_name(&self) -> &'static str {
                match *self { $(Self::$name(_) => <$collection as Collection>::TYPE_NAME),* }
            }
            /// OBJECT ENCODING's word.
            pub fn encoding_name(&self) -> &'static str {
                match *self { $(Self::$name(ref it) => it.encoding_name()),* }
            }
        }
    };
}

/// The two ways from an object to a collection and back, for its `impl Collection`.
macro_rules! collection_of {
    ($name:ident) => {
        fn of(object: &$crate::keyspace::Object) -> Option<&Self> {
            match object {
                $crate::keyspace::Object::$name(it) => Some(it),
                #[allow(unreachable_patterns)]
                _ => None,
            }
        }
        fn of_mut(object: &mut $crate::keyspace::Object) -> Option<&mut Self> {
            match object {
                $crate::keyspace::Object::$name(it) => Some(it),
                #[allow(unreachable_patterns)]
                _ => None,
            }
        }
        fn into_object(self) -> $crate::keyspace::Object {
            $crate::keyspace::Object::$name(self)
        }
    };
}
pub(crate) use collection_of;

objects! {
    Hash => super::Hash,
    List => super::list::List,
    Zset => super::zset::Zset,
    Stream => super::stream::StreamValue,
    Set => super::Set,
    Array => super::Array,
}

impl Object {
    /// The shape of the value's hash table, if it has one.
    pub fn table_shape(&self, chains: bool) -> Option<TableShape> {
        match self {
            Self::Hash(hash) => hash.table_shape(chains),
            Self::Set(set) => set.table_shape(chains),
            Self::Zset(zset) => zset.table_shape(chains),
            Self::List(_) | Self::Stream(_) | Self::Array(_) => None,
        }
    }
}

/// The key table keeps values of alignment 1 in its entries; any other would cost each collection 30 bytes more.
const _: () = assert!(align_of::<Object>() == 1 && size_of::<Object>() == 10);

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
            Value::Object(object) => OwnedValue::Object(Box::new(object.clone())),
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
        Value::Object(object) => object.type_name(),
    }
}

/// OBJECT ENCODING's word for a value.
pub fn encoding_name(value: &Value<'_, Object>) -> &'static str {
    match value {
        Value::Int(_) => "int",
        Value::Str { raw: false, .. } => "embstr",
        Value::Str { raw: true, .. } => "raw",
        Value::Object(object) => object.encoding_name(),
    }
}
