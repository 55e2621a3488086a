//! `cmsgpack`: MessagePack.
//!
//! Source    the MessagePack specification; lua-cmsgpack 0.4.0's manual. Tables of 1 to n are arrays, others maps; what
//!           nests deeper than 16 tables is nil. Integers that have 64 bits pass through doubles.

use super::convert::to_integer;
use super::{Frame, Thrown};
use crate::lua::Kind;

type Result<T> = std::result::Result<T, Thrown>;

const NESTING_MAX: usize = 16;

/// Values that may be on Lua's stack. What does not fit fails where it fails in lua-cmsgpack, which keeps more there than this
/// does: for each argument that is packed its text, and beside an array that is read the place of its next element.
const STACK_MAX: usize = 8000;
const NO_ROOM: &str =
    "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
const NO_ROOM_TO_LOOK: &str = "stack overflow (in function table_is_an_array)";
const NO_ROOM_FOR_FIELDS: &str = "stack overflow (in function mp_encode_lua_table_as_map)";
const NO_ROOM_FOR_PLACE: &str = "stack overflow (in function mp_decode_to_lua_array)";
const NO_ROOM_FOR_OFFSET: &str = "stack overflow (in function mp_unpack_full)";

/// Pushes the table `cmsgpack`.
pub(super) fn push(frame: &mut Frame<'_>) {
    frame.push_table(0, 8);
    frame.push_native(pack);
    frame.set_field(-2, b"pack");
    frame.push_native(unpack);
    frame.set_field(-2, b"unpack");
    frame.push_native(unpack_one);
    frame.set_field(-2, b"unpack_one");
    frame.push_native(unpack_limit);
    frame.set_field(-2, b"unpack_limit");
    let texts: [(&[u8], &str); 4] = [
        (b"_NAME", "cmsgpack"),
        (b"_VERSION", "lua-cmsgpack 0.4.0"),
        (b"_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        (b"_DESCRIPTION", "MessagePack C implementation for Lua"),
    ];
    for (name, text) in texts {
        frame.push_bytes(text.as_bytes());
        frame.set_field(-2, name);
    }
}

// ---- packing ----

fn pack(frame: &mut Frame<'_>) -> Result<usize> {
    let count = frame.top();
    if count == 0 {
        return Err(frame.argument_error(0, "MessagePack pack needs input."));
    }
    if !frame.has_room(count) {
        return Err(frame.argument_error(0, "Too many arguments for MessagePack pack."));
    }
    let mut out = Vec::new();
    for index in 1..=count {
        frame.push_copy(index as i32);
        pack_value(frame, &mut out, 0, count + index)?;
    }
    frame.push_bytes(&out);
    Ok(1)
}

/// Packs the value on top and takes it off. Nests 16 calls deep at most.
///
/// - `stacked`: how many values lua-cmsgpack has on the stack by now, this one among them.
fn pack_value(
    frame: &mut Frame<'_>,
    out: &mut Vec<u8>,
    level: usize,
    stacked: usize,
) -> Result<()> {
    frame.check_memory_for(out.len())?;
    match frame.kind(-1) {
        Kind::String => {
            let text = frame.bytes(-1).expect("a string");
            let len = text.len();
            match len {
                0..=31 => out.push(0xa0 | len as u8),
                32..=0xff => out.extend_from_slice(&[0xd9, len as u8]),
                _ => push_length(out, 0xda, len),
            }
            out.extend_from_slice(text);
        }
        Kind::Boolean => out.push(if frame.truth(-1) { 0xc3 } else { 0xc2 }),
        Kind::Number => pack_number(out, frame.number(-1).unwrap_or(0.0)),
        Kind::Table if level < NESTING_MAX => {
            if stacked + 2 > STACK_MAX || !frame.has_room(4) {
                return Err(frame.error(NO_ROOM_TO_LOOK));
            }
            match array_length(frame) {
                Some(len) => {
                    match len {
                        0..=15 => out.push(0x90 | len as u8),
                        _ => push_length(out, 0xdc, len),
                    }
                    for index in 1..=len {
                        frame.push_element(-1, index as i32);
                        pack_value(frame, out, level + 1, stacked + 1)?;
                    }
                }
                None => {
                    if stacked + 3 > STACK_MAX {
                        return Err(frame.error(NO_ROOM_FOR_FIELDS));
                    }
                    let len = fields_count(frame);
                    match len {
                        0..=15 => out.push(0x80 | len as u8),
                        _ => push_length(out, 0xde, len),
                    }
                    frame.push_nil();
                    while frame.next(-2) {
                        frame.push_copy(-2);
                        pack_value(frame, out, level + 1, stacked + 3)?;
                        pack_value(frame, out, level + 1, stacked + 2)?;
                    }
                }
            }
        }
        _ => out.push(0xc0),
    }
    frame.pop(1);
    Ok(())
}

/// A length of 16 bits behind `tag`, or one of 32 behind the tag that follows it.
fn push_length(out: &mut Vec<u8>, tag: u8, len: usize) {
    if let Ok(len) = u16::try_from(len) {
        out.push(tag);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(tag + 1);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    }
}

fn pack_number(out: &mut Vec<u8>, number: f64) {
    let integer = to_integer(number);
    if !number.is_infinite() && integer as f64 == number && !is_two_to_63(number) {
        return pack_integer(out, integer);
    }
    let short = number as f32;
    if f64::from(short) == number {
        out.push(0xca);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// 2^63 is no integer of 64 bits, but the cast of it, which is -2^63, must not be taken for it either.
fn is_two_to_63(number: f64) -> bool {
    number >= 9_223_372_036_854_775_808.0
}

fn pack_integer(out: &mut Vec<u8>, integer: i64) {
    let bytes = integer.to_be_bytes();
    let (tag, count) = match integer {
        -32..=127 => {
            out.push(integer as u8);
            return;
        }
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-33 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(tag);
    out.extend_from_slice(&bytes[8 - count..]);
}

/// How many elements the table on top has, if its keys are 1 to that many.
fn array_length(frame: &mut Frame<'_>) -> Option<usize> {
    let (mut count, mut max) = (0usize, 0i32);
    frame.push_nil();
    while frame.next(-2) {
        frame.pop(1);
        let key = match frame.kind(-1) {
            Kind::Number => frame
                .number(-1)
                .filter(|key| *key > 0.0 && f64::from(*key as i32) == *key),
            _ => None,
        };
        let Some(key) = key else {
            frame.pop(1);
            return None;
        };
        max = max.max(key as i32);
        count += 1;
    }
    (max as usize == count).then_some(count)
}

fn fields_count(frame: &mut Frame<'_>) -> usize {
    let mut count = 0;
    frame.push_nil();
    while frame.next(-2) {
        frame.pop(1);
        count += 1;
    }
    count
}

// ---- unpacking ----

fn unpack(frame: &mut Frame<'_>) -> Result<usize> {
    unpack_some(frame, 0, 0, frame.top())
}

fn unpack_one(frame: &mut Frame<'_>) -> Result<usize> {
    let offset = optional_integer(frame, 2)?;
    unpack_some(frame, 1, offset, 1)
}

fn unpack_limit(frame: &mut Frame<'_>) -> Result<usize> {
    let Some(limit) = frame.number(2) else {
        return Err(frame.type_error(2, "number"));
    };
    let offset = optional_integer(frame, 3)?;
    unpack_some(frame, to_integer(limit), offset, 1)
}

fn optional_integer(frame: &mut Frame<'_>, index: usize) -> Result<i64> {
    match frame.kind(index as i32) {
        Kind::None | Kind::Nil => Ok(0),
        _ => match frame.number(index as i32) {
            Some(number) => Ok(to_integer(number)),
            None => Err(frame.type_error(index, "number")),
        },
    }
}

/// Unpacks up to `limit` values from `offset` on, after the offset of what follows; with neither, all values alone.
///
/// - `stacked`: how many arguments lua-cmsgpack has on the stack.
fn unpack_some(frame: &mut Frame<'_>, limit: i64, offset: i64, stacked: usize) -> Result<usize> {
    let is_all = limit == 0 && offset == 0;
    let bytes = frame.check_bytes(1)?;
    if offset < 0 || limit < 0 {
        let text = format!(
            "Invalid request to unpack with offset of {} and limit of {}.",
            offset as i32,
            bytes.len() as i32
        );
        return Err(frame.error(text));
    }
    if offset as usize > bytes.len() {
        let text = format!(
            "Start offset {} greater than input length {}.",
            offset as i32,
            bytes.len() as i32
        );
        return Err(frame.error(text));
    }
    let limit = if is_all { i64::from(i32::MAX) } else { limit };
    // All but the first are known by now, and lua-cmsgpack has room for what is unpacked in their place.
    frame.drop_arguments(stacked);
    let mut rest = &bytes[offset as usize..];
    let place = frame.top() as i32 + 1;
    let mut count = 0;
    while !rest.is_empty() && (count as i64) < limit {
        unpack_value(frame, &mut rest, stacked + count)?;
        count += 1;
    }
    if is_all {
        return Ok(count);
    }
    if stacked + count >= STACK_MAX || !frame.has_room(1) {
        return Err(frame.error(NO_ROOM_FOR_OFFSET));
    }
    let next = if rest.is_empty() {
        -1.0
    } else {
        (bytes.len() - rest.len()) as f64
    };
    frame.push_number(next);
    frame.insert(place);
    Ok(count + 1)
}

/// A container whose elements are being read.
enum Open {
    Array { left: usize, next: i32 },
    Map { left: usize, is_value: bool },
}

/// What one head says.
enum Item<'b> {
    Number(f64),
    Boolean(bool),
    Nil,
    Text(&'b [u8]),
    Array(usize),
    Map(usize),
}

enum Fault {
    Missing,
    Bad,
}

/// Pushes the first value of `rest`, however deep it nests, without recursion.
///
/// - `stacked`: how many values lua-cmsgpack has on the stack by now.
fn unpack_value(frame: &mut Frame<'_>, rest: &mut &[u8], mut stacked: usize) -> Result<()> {
    let mut open: Vec<Open> = Vec::new();
    loop {
        if !rest.is_empty() && (stacked >= STACK_MAX || !frame.has_room(1)) {
            return Err(frame.error(NO_ROOM));
        }
        let item = match read_item(rest) {
            Ok(item) => item,
            Err(Fault::Missing) => return Err(frame.error("Missing bytes in input.")),
            Err(Fault::Bad) => return Err(frame.error("Bad data format in input.")),
        };
        frame.check_memory()?;
        stacked += 1;
        match item {
            Item::Number(number) => frame.push_number(number),
            Item::Boolean(value) => frame.push_boolean(value),
            Item::Nil => frame.push_nil(),
            Item::Text(text) => frame.push_bytes(text),
            // What was announced reserves nothing.
            Item::Array(left) => {
                frame.push_table(0, 0);
                if stacked >= STACK_MAX {
                    return Err(frame.error(NO_ROOM_FOR_PLACE));
                }
                stacked += usize::from(left > 0);
                open.push(Open::Array { left, next: 1 });
            }
            Item::Map(left) => {
                frame.push_table(0, 0);
                open.push(Open::Map {
                    left,
                    is_value: false,
                });
            }
        }
        if matches!(item, Item::Array(1..) | Item::Map(1..)) {
            continue;
        }
        if matches!(item, Item::Array(0) | Item::Map(0)) {
            open.pop();
        }
        // The value on top is whole: into what it belongs to, and so on outwards.
        loop {
            let Some(container) = open.last_mut() else {
                return Ok(());
            };
            let is_whole = match container {
                Open::Array { left, next } => {
                    frame.set_element(-2, *next);
                    *next += 1;
                    *left -= 1;
                    stacked -= 1 + usize::from(*left == 0);
                    *left == 0
                }
                Open::Map { is_value, .. } if !*is_value => {
                    *is_value = true;
                    false
                }
                Open::Map { left, is_value } => {
                    if frame.kind(-2) == Kind::Nil {
                        frame.pop(1);
                        frame.push_bytes(b"table index is nil");
                        return Err(frame.throw());
                    }
                    if !frame.set(-3) {
                        frame.push_bytes(b"table index is NaN");
                        return Err(frame.throw());
                    }
                    *is_value = false;
                    *left -= 1;
                    stacked -= 2;
                    *left == 0
                }
            };
            if !is_whole {
                break;
            }
            open.pop();
        }
    }
}

fn read_item<'b>(rest: &mut &'b [u8]) -> std::result::Result<Item<'b>, Fault> {
    let tag = *rest.first().ok_or(Fault::Missing)?;
    *rest = &rest[1..];
    let mut take = |count: usize| {
        let (bytes, after) = rest.split_at_checked(count).ok_or(Fault::Missing)?;
        *rest = after;
        Ok(bytes)
    };
    let unsigned = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0u64, |all, byte| all << 8 | u64::from(*byte))
    };
    let signed = |bytes: &[u8]| {
        let shift = 64 - 8 * bytes.len() as u32;
        (unsigned(bytes) << shift) as i64 >> shift
    };
    Ok(match tag {
        0x00..=0x7f => Item::Number(f64::from(tag)),
        0x80..=0x8f => Item::Map(usize::from(tag & 15)),
        0x90..=0x9f => Item::Array(usize::from(tag & 15)),
        0xa0..=0xbf => Item::Text(take(usize::from(tag & 31))?),
        0xc0 => Item::Nil,
        0xc2 => Item::Boolean(false),
        0xc3 => Item::Boolean(true),
        0xca => {
            let bytes = take(4)?.try_into().map_err(|_| Fault::Bad)?;
            Item::Number(f64::from(f32::from_be_bytes(bytes)))
        }
        0xcb => {
            let bytes = take(8)?.try_into().map_err(|_| Fault::Bad)?;
            Item::Number(f64::from_be_bytes(bytes))
        }
        // Numbers of 64 bits without a sign wrap, as in Redis.
        0xcc..=0xcf => Item::Number(unsigned(take(1 << (tag - 0xcc))?) as i64 as f64),
        0xd0..=0xd3 => Item::Number(signed(take(1 << (tag - 0xd0))?) as f64),
        0xd9..=0xdb => {
            let len = unsigned(take(1 << (tag - 0xd9))?) as usize;
            Item::Text(take(len)?)
        }
        0xdc | 0xdd => Item::Array(unsigned(take(2 << (tag - 0xdc))?) as usize),
        0xde | 0xdf => Item::Map(unsigned(take(2 << (tag - 0xde))?) as usize),
        0xe0.. => Item::Number(f64::from(tag as i8)),
        _ => return Err(Fault::Bad),
    })
}
