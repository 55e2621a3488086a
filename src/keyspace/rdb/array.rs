//! Arrays in snapshots: rondo's own type, since RDB has none for them below the versions of Redis 8.8.
//!
//!     200 | next place: length, 0 for the first | count | place: difference from the one before, string | …
//!
//! Redis's own, which is only read:
//!
//!     28  | count | 1, where the last insertion went; or 0 | place, tag, element | …
//!         tags   0, 3 string   1 integer i64   2 double f64, whose text is Redis's with a point
//!
//! Promises  cursor and places come back as they were. RESTORE does not take 200: DUMP does not give it.
//! Source    28: descriptions of Redis 8.8's format; no server wrote what is tested.
//! Tests     tests/keyspace/rdb_array.rs.

use std::ops::ControlFlow;

use super::wire::{Malformed, Reader, Writer};
use crate::base::number::{F64_TEXT_BYTES_MAX, write_f64, write_i64};
use crate::ds::key_table::OwnedValue;
use crate::ds::sparse_array::PLACE_MAX;
use crate::keyspace::{Array, Collection, Object};

/// The type.
pub const KIND: u8 = 200;
/// Redis's own, from 8.8 on.
pub const KIND_OF_REDIS: u8 = 28;

/// Tags of its elements.
mod tag {
    pub const STRING: u64 = 0;
    pub const INTEGER: u64 = 1;
    pub const DOUBLE: u64 = 2;
    pub const SHORT: u64 = 3;
}

/// Writes type and value.
pub fn write(array: &Array, out: &mut Writer) {
    out.kind(KIND);
    out.length(array.next().unwrap_or(u64::MAX));
    out.length(array.places().count());
    let mut before = 0;
    array.places().visit(0, u64::MAX, |place, element| {
        out.length(place - before);
        out.string(element.text(&mut [0; 20]));
        before = place;
        ControlFlow::Continue(())
    });
}

/// Reads the value.
pub fn read(from: &mut Reader<'_>) -> Result<OwnedValue<Object>, Malformed> {
    let mut array = Array::default();
    let next = from.length()?;
    let mut place: u64 = 0;
    let count = from.count()?;
    for index in 0..count {
        let step = from.length()?;
        place = place.checked_add(step).ok_or(Malformed)?;
        if step == 0 && index > 0 || place > PLACE_MAX {
            return Err(Malformed);
        }
        array.places_mut().set(place, &from.string()?);
    }
    if count == 0 {
        return Err(Malformed);
    }
    array.seek(next);
    Ok(OwnedValue::Object(Box::new(array.into_object())))
}

/// Reads the value of Redis's type.
pub fn read_of_redis(from: &mut Reader<'_>) -> Result<OwnedValue<Object>, Malformed> {
    let mut array = Array::default();
    let count = from.count()?;
    let cursor = match from.length()? {
        0 => None,
        1 => Some(from.length()?),
        _ => return Err(Malformed),
    };
    for _ in 0..count {
        let place = from.length()?;
        if place > PLACE_MAX {
            return Err(Malformed);
        }
        let places = array.places_mut();
        match from.length()? {
            tag::STRING | tag::SHORT => places.set(place, &from.string()?),
            tag::INTEGER => places.set(place, write_i64(&mut [0; 20], from.u64()? as i64)),
            tag::DOUBLE => places.set(place, &text_of(from.f64()?)?),
            _ => return Err(Malformed),
        };
    }
    if count == 0 || cursor.is_some_and(|cursor| cursor > PLACE_MAX) {
        return Err(Malformed);
    }
    // A place behind the last has none behind it.
    array.seek(cursor.map_or(0, |cursor| cursor + 1));
    Ok(OwnedValue::Object(Box::new(array.into_object())))
}

/// A double's text: whole ones have a point, too.
fn text_of(number: f64) -> Result<Vec<u8>, Malformed> {
    if !number.is_finite() {
        return Err(Malformed);
    }
    let mut text = write_f64(&mut [0; F64_TEXT_BYTES_MAX], number).to_vec();
    if !text.iter().any(|byte| matches!(byte, b'.' | b'e')) {
        text.extend(b".0");
    }
    Ok(text)
}
