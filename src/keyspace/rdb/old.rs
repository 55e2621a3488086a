//! Packed encodings that Redis had before listpacks: ziplists (to 6.2) and zipmaps (to 2.4), read and no longer written.
//!
//!     ziplist  | bytes u32 | last entry u32 | count u16 | entry ... entry | 0xFF |       little-endian
//!     entry    | length of the entry before: u8, or 0xFE u32 | encoding | data |
//!              00llllll data          01llllll l data          0x80 llll data           strings, big-endian lengths
//!              0xC0 xx   0xF0 xxx   0xD0 xxxx   0xE0 xxxxxxxx   0xFE x   0xF1 to 0xFD   integers; the last are 0 to 12
//!
//!     zipmap   | count u8 | pair ... pair | 0xFF |
//!     pair     | length | field | length | spare u8 | value | spare bytes |            length: u8, or 0xFE u32
//!
//! Promises  header, counts and back lengths are all right, or the whole is [`Malformed`].
//! Tests     tests/keyspace/rdb_list.rs, tests/transcripts/: payloads of old releases, every byte damaged.

use super::wire::{Malformed, Reader};
use crate::ds::listpack::Element;

const END: u8 = 0xff;
/// The back length or length that says that four more bytes hold it.
const LONG: u8 = 0xfe;
const ZIPLIST_HEADER_BYTES: usize = 10;

/// Calls `visit` with every element of a ziplist; returns how many there were.
pub fn read_ziplist<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(Element<'a>),
) -> Result<usize, Malformed> {
    let (header, entries) = bytes
        .split_first_chunk::<ZIPLIST_HEADER_BYTES>()
        .ok_or(Malformed)?;
    let [b0, b1, b2, b3, t0, t1, t2, t3, c0, c1] = *header;
    let total = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
    let tail = u32::from_le_bytes([t0, t1, t2, t3]) as usize;
    let said_count = u16::from_le_bytes([c0, c1]);
    let (&end, entries) = entries.split_last().ok_or(Malformed)?;
    if total != bytes.len() || end != END {
        return Err(Malformed);
    }
    let mut from = Reader::new(entries);
    let (mut count, mut before_bytes) = (0, 0);
    while from.left() > 0 {
        let left = from.left();
        let said_before = match from.byte()? {
            LONG => from.u32()? as usize,
            END => return Err(Malformed),
            short => usize::from(short),
        };
        if said_before != before_bytes {
            return Err(Malformed);
        }
        visit(ziplist_element(&mut from)?);
        before_bytes = left - from.left();
        count += 1;
    }
    // Without entries the tail is where the end is.
    let last_start = bytes.len() - 1 - before_bytes;
    let is_counted = said_count == u16::MAX || usize::from(said_count) == count;
    if tail != last_start || !is_counted {
        return Err(Malformed);
    }
    Ok(count)
}

fn ziplist_element<'a>(from: &mut Reader<'a>) -> Result<Element<'a>, Malformed> {
    let first = from.byte()?;
    let length = match first {
        0x00..=0x3f => usize::from(first),
        0x40..=0x7f => usize::from(first & 0x3f) << 8 | usize::from(from.byte()?),
        0x80 => u32::from_be_bytes(from.array()?) as usize,
        0xc0 => return Ok(Element::Int(i16::from_le_bytes(from.array()?).into())),
        0xd0 => return Ok(Element::Int(i32::from_le_bytes(from.array()?).into())),
        0xe0 => return Ok(Element::Int(i64::from_le_bytes(from.array()?))),
        0xf0 => {
            let [low, middle, high] = from.array()?;
            let number = i32::from_le_bytes([0, low, middle, high]) >> 8;
            return Ok(Element::Int(number.into()));
        }
        0xfe => return Ok(Element::Int(i8::from_le_bytes(from.array()?).into())),
        0xf1..=0xfd => return Ok(Element::Int(i64::from(first & 0x0f) - 1)),
        _ => return Err(Malformed),
    };
    from.raw(length).map(Element::Str)
}

/// Calls `visit` with every field and value of a zipmap, which has one at least.
pub fn read_zipmap<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(), Malformed> {
    let (&said_count, rest) = bytes.split_first().ok_or(Malformed)?;
    let (&end, pairs) = rest.split_last().ok_or(Malformed)?;
    let mut from = Reader::new(pairs);
    let mut count = 0;
    while from.left() > 0 {
        let length = zipmap_length(&mut from)?;
        let field = from.raw(length)?;
        let length = zipmap_length(&mut from)?;
        let spare = usize::from(from.byte()?);
        let value = from.raw(length)?;
        from.raw(spare)?;
        visit(field, value);
        count += 1;
    }
    let is_counted = said_count == LONG || usize::from(said_count) == count;
    if end != END || count == 0 || !is_counted {
        return Err(Malformed);
    }
    Ok(())
}

fn zipmap_length(from: &mut Reader<'_>) -> Result<usize, Malformed> {
    Ok(match from.byte()? {
        END => return Err(Malformed),
        LONG => from.u32()? as usize,
        short => usize::from(short),
    })
}
