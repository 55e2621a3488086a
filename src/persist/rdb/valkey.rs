//! What files of Valkey 9 have that those of Redis have not.
//!
//!     22 table dated  | count | field value deadline i64 ... |        in milliseconds, -1 where there is none
//!
//! Promises  the record that comes out is of a type that Redis has, with the same fields and deadlines.
//! Source    a file recorded from Valkey 9.1; the type is Valkey's `RDB_TYPE_HASH_2`.
//! Tests     tests/persist/rdb.rs.

use super::skip::{Cursor, Stop};
use crate::keyspace::rdb::wire::Writer;

/// The type, which is another one in files of Redis: `keyspace/rdb/hash.rs`.
pub(super) const DATED_HASH: u8 = 22;

/// Passes the value of a record that `from` begins with, and gives the record with Redis's type 22: a deadline before each field,
/// 0 where there is none.
pub(super) fn dated_hash(from: &mut Cursor<'_>) -> Result<Vec<u8>, Stop> {
    let mut out = Writer::new(false);
    out.raw(&from.bytes[..from.at]);
    let count = from.length()?;
    out.length(count);
    for _ in 0..count {
        let start = from.at;
        from.string()?;
        from.string()?;
        let pair = &from.bytes[start..from.at];
        let mut deadline = [0; 8];
        deadline.copy_from_slice(from.raw(8)?);
        let deadline_ms = match i64::from_le_bytes(deadline) {
            -1 => 0,
            // The reader says which are too large.
            deadline_ms => u64::try_from(deadline_ms)
                .ok()
                .filter(|&deadline_ms| deadline_ms > 0)
                .ok_or_else(|| Stop::Wrong(format!("no field has the deadline {deadline_ms}")))?,
        };
        out.length(deadline_ms);
        out.raw(pair);
    }
    Ok(out.into_bytes())
}
