//! `struct`: C structures to bytes and back.
//!
//! | option | | | option | |
//! |---|---|---|---|---|
//! | `>` `<` | big, little endian | | `b B h H l L T` | integers of 1, 2, 8, 8 bytes; capitals unsigned |
//! | `!n` | align to n | | `in In` | integers of n bytes, 4 without n |
//! | `x` | a zero byte | | `f d` | floats of 4 and 8 bytes |
//! | `cn` | n characters; `c0` as many as the number before says | | `s` | a string that ends in a zero byte |
//!
//! Source    the manual of `struct` 0.2 (Roberto Ierusalimschy); what C leaves undefined is as x86-64 has it.

use super::convert::{to_integer, until_zero};
use super::{Frame, Thrown};
use crate::lua::Kind;

type Result<T> = std::result::Result<T, Thrown>;

const INTEGER_BYTES_MAX: usize = 32;
const ALIGN_DEFAULT: usize = 8;

/// Pushes the table `struct`.
pub(super) fn push(frame: &mut Frame<'_>) {
    frame.push_table(0, 3);
    frame.push_native(pack);
    frame.set_field(-2, b"pack");
    frame.push_native(unpack);
    frame.set_field(-2, b"unpack");
    frame.push_native(size);
    frame.set_field(-2, b"size");
}

/// A format being read.
struct Format<'t> {
    rest: &'t [u8],
    is_little: bool,
    align: usize,
}

/// One option: its letter, and the bytes it takes.
struct Item {
    letter: u8,
    size: usize,
}

impl<'t> Format<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self {
            rest: until_zero(text),
            is_little: true,
            align: 1,
        }
    }

    /// The next option. What only changes the format has size 0.
    fn next(&mut self, frame: &mut Frame<'_>) -> Result<Option<Item>> {
        let [letter, rest @ ..] = self.rest else {
            return Ok(None);
        };
        self.rest = rest;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.count(frame, 1)?,
            b'i' | b'I' => {
                let size = self.count(frame, 4)?;
                if size > INTEGER_BYTES_MAX {
                    let text =
                        format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(frame.error(text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some(Item {
            letter: *letter,
            size,
        }))
    }

    /// The number that follows an option.
    fn count(&mut self, frame: &mut Frame<'_>, default: usize) -> Result<usize> {
        let digits = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return Ok(default);
        }
        let mut count = 0i32;
        for digit in &self.rest[..digits] {
            let next = count
                .checked_mul(10)
                .and_then(|count| count.checked_add(i32::from(digit - b'0')));
            let Some(next) = next else {
                return Err(frame.error("integral size overflow"));
            };
            count = next;
        }
        self.rest = &self.rest[digits..];
        Ok(count as usize)
    }

    /// Zero bytes before an option at `position`.
    fn padding(&self, item: &Item, position: usize) -> usize {
        if item.size == 0 || item.letter == b'c' {
            return 0;
        }
        let size = item.size.min(self.align);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }

    /// An option that is none of those with a size.
    fn control(&mut self, frame: &mut Frame<'_>, letter: u8) -> Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.is_little = false,
            b'<' => self.is_little = true,
            b'!' => {
                let align = self.count(frame, ALIGN_DEFAULT)?;
                if !align.is_power_of_two() {
                    return Err(frame.error(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            _ => {
                let text = [b"invalid format option '", &[letter][..], b"'"].concat();
                return Err(frame.argument_error(1, text));
            }
        }
        Ok(())
    }
}

fn check_number(frame: &mut Frame<'_>, index: usize) -> Result<f64> {
    match frame.number(index as i32) {
        Some(number) => Ok(number),
        None => Err(frame.type_error(index, "number")),
    }
}

/// A double as C casts it to 64 bits without a sign, on x86-64.
fn to_unsigned(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF {
        (to_integer(number - HALF) as u64) ^ (1 << 63)
    } else {
        to_integer(number) as u64
    }
}

fn pack(frame: &mut Frame<'_>) -> Result<usize> {
    let mut format = Format::new(frame.check_bytes(1)?);
    // An argument that is missing reads as nil, once.
    frame.push_nil();
    let mut out = Vec::new();
    let mut index = 2;
    let mut position = 0usize;
    while let Some(item) = format.next(frame)? {
        let mut size = item.size;
        let padding = format.padding(&item, position);
        position += padding;
        out.resize(out.len() + padding, 0);
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let bytes = to_unsigned(check_number(frame, index)?).to_le_bytes();
                index += 1;
                let mut wide = [0; INTEGER_BYTES_MAX];
                wide[..8].copy_from_slice(&bytes);
                push_ordered(&mut out, &wide[..size], format.is_little);
            }
            b'x' => out.push(0),
            b'f' => {
                let bytes = (check_number(frame, index)? as f32).to_le_bytes();
                index += 1;
                push_ordered(&mut out, &bytes, format.is_little);
            }
            b'd' => {
                let bytes = check_number(frame, index)?.to_le_bytes();
                index += 1;
                push_ordered(&mut out, &bytes, format.is_little);
            }
            b'c' | b's' => {
                let text = frame.check_bytes(index)?;
                index += 1;
                if size == 0 {
                    size = text.len();
                }
                if text.len() < size {
                    return Err(frame.argument_error(index, "string too short"));
                }
                out.extend_from_slice(&text[..size]);
                if item.letter == b's' {
                    out.push(0);
                    size += 1;
                }
            }
            letter => format.control(frame, letter)?,
        }
        position = position.wrapping_add(size);
        frame.check_memory_for(out.len())?;
    }
    frame.push_bytes(&out);
    Ok(1)
}

fn push_ordered(out: &mut Vec<u8>, bytes: &[u8], is_little: bool) {
    if is_little {
        out.extend_from_slice(bytes);
    } else {
        out.extend(bytes.iter().rev());
    }
}

fn unpack(frame: &mut Frame<'_>) -> Result<usize> {
    let mut format = Format::new(frame.check_bytes(1)?);
    let data = frame.check_bytes(2)?;
    let mut position = match frame.kind(3) {
        Kind::None | Kind::Nil => 1,
        _ => to_integer(check_number(frame, 3)?) as usize,
    };
    if position == 0 {
        return Err(frame.argument_error(3, "offset must be 1 or greater"));
    }
    position -= 1;
    let mut results = 0;
    let fits = |size: usize, position: usize| size <= data.len() && position <= data.len() - size;
    while let Some(item) = format.next(frame)? {
        let mut size = item.size;
        position = position.wrapping_add(format.padding(&item, position));
        if !fits(size, position) {
            return Err(frame.argument_error(2, "data string too short"));
        }
        if !frame.has_room(2) {
            return Err(frame.error("stack overflow (too many results)"));
        }
        let bytes = &data[position..position + size];
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = integer_of(bytes, format.is_little, item.letter.is_ascii_lowercase());
                frame.push_number(number);
                results += 1;
            }
            b'x' => {}
            b'f' => {
                let bytes: [u8; 4] = ordered(bytes, format.is_little);
                frame.push_number(f64::from(f32::from_le_bytes(bytes)));
                results += 1;
            }
            b'd' => {
                frame.push_number(f64::from_le_bytes(ordered(bytes, format.is_little)));
                results += 1;
            }
            b'c' => {
                if size == 0 {
                    let before = if results == 0 { None } else { frame.number(-1) };
                    let Some(number) = before else {
                        return Err(frame.error("format 'c0' needs a previous size"));
                    };
                    size = to_unsigned(number) as usize;
                    frame.pop(1);
                    results -= 1;
                    if !fits(size, position) {
                        return Err(frame.argument_error(2, "data string too short"));
                    }
                }
                frame.push_bytes(&data[position..position + size]);
                results += 1;
            }
            b's' => {
                let rest = &data[position..];
                let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                    return Err(frame.error("unfinished string in data"));
                };
                frame.push_bytes(&rest[..end]);
                size = end + 1;
                results += 1;
            }
            letter => format.control(frame, letter)?,
        }
        position += size;
    }
    frame.push_number(position.wrapping_add(1) as i64 as f64);
    Ok(results + 1)
}

fn ordered<const N: usize>(bytes: &[u8], is_little: bool) -> [u8; N] {
    let mut bytes: [u8; N] = bytes.try_into().expect("the option's size");
    if !is_little {
        bytes.reverse();
    }
    bytes
}

fn integer_of(bytes: &[u8], is_little: bool, is_signed: bool) -> f64 {
    let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    let value = if is_little {
        bytes.iter().rev().fold(0, join)
    } else {
        bytes.iter().fold(0, join)
    };
    if !is_signed {
        return value as f64;
    }
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    let value = if value & sign != 0 {
        value | sign
    } else {
        value
    };
    value as i64 as f64
}

fn size(frame: &mut Frame<'_>) -> Result<usize> {
    let mut format = Format::new(frame.check_bytes(1)?);
    let mut position = 0usize;
    while let Some(item) = format.next(frame)? {
        position = position.wrapping_add(format.padding(&item, position));
        match item.letter {
            b's' => return Err(frame.argument_error(1, "option 's' has no fixed size")),
            b'c' if item.size == 0 => {
                return Err(frame.argument_error(1, "option 'c0' has no fixed size"));
            }
            letter if !letter.is_ascii_alphanumeric() => format.control(frame, letter)?,
            _ => {}
        }
        position = position.wrapping_add(item.size);
    }
    frame.push_number(position as i64 as f64);
    Ok(1)
}
