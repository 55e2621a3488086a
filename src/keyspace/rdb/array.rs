//! Arrays in snapshots: rondo's own type, since RDB has none for them below the versions of Redis 8.8.
//!
//!     200 | next place: length, 0 for the first | count | place: difference from the one before, string | …
//!
//! Promises  cursor and places come back as they were. RESTORE does not take it: DUMP does not give it.

use std::ops::ControlFlow;

use super::wire::{Malformed, Reader, Writer};
use crate::ds::key_table::OwnedValue;
use crate::ds::sparse_array::PLACE_MAX;
use crate::keyspace::{Array, Collection, Object};

/// The type.
pub const KIND: u8 = 200;

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
