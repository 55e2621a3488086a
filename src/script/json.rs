//! `cjson`: the options, and the two functions that do the work.
//!
//! Not here  for how long options hold: `script/settings.rs`.
//! Source    the manual of lua-cjson 2.1.0.

use super::json_read;
use super::{Frame, Thrown};
use crate::lua::{Kind, number_text_digits};

type Result<T> = std::result::Result<T, Thrown>;

/// What `cjson`'s functions of that name set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    pub(super) decode_depth_max: i32,
    encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
    digits: i32,
    keep_buffer: bool,
}

/// What becomes of numbers that JSON has no text for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            digits: 14,
            keep_buffer: true,
        }
    }
}

impl Options {
    /// Takes over those that are others in `after` than in `before`.
    pub(super) fn take_changes(&mut self, before: &Self, after: &Self) {
        macro_rules! take {
            ($($option:ident),*) => {
                $(
                    if before.$option != after.$option {
                        self.$option = after.$option;
                    }
                )*
            };
        }
        take!(
            sparse_convert,
            sparse_ratio,
            sparse_safe,
            encode_depth_max,
            decode_depth_max,
            encode_invalid,
            decode_invalid,
            digits,
            keep_buffer
        );
    }
}

/// Pushes the table `cjson`, whose options are the running script's.
pub(super) fn push(frame: &mut Frame<'_>) {
    push_functions(frame, false);
}

/// Pushes a table of the functions. `has_own`: their options are below the table's place, in a block of their own.
fn push_functions(frame: &mut Frame<'_>, has_own: bool) {
    frame.push_table(0, 16);
    macro_rules! add {
        ($($name:literal: $function:expr),*) => {
            $(
                if has_own {
                    frame.push_copy(-2);
                    frame.push_native_bound($function);
                } else {
                    frame.push_native($function);
                }
                frame.set_field(-2, $name);
            )*
        };
    }
    add! {
        b"encode": encode,
        b"decode": json_read::decode,
        b"encode_sparse_array": encode_sparse_array,
        b"encode_max_depth": encode_max_depth,
        b"decode_max_depth": decode_max_depth,
        b"encode_number_precision": encode_number_precision,
        b"encode_keep_buffer": encode_keep_buffer,
        b"encode_invalid_numbers": encode_invalid_numbers,
        b"decode_invalid_numbers": decode_invalid_numbers,
        b"new": new
    }
    frame.push_null_pointer();
    frame.set_field(-2, b"null");
    frame.push_bytes(b"cjson");
    frame.set_field(-2, b"_NAME");
    frame.push_bytes(b"2.1.0");
    frame.set_field(-2, b"_VERSION");
}

/// `cjson.new()`: the same functions with options of their own.
fn new(frame: &mut Frame<'_>) -> Result<usize> {
    frame.push_block(Options::default());
    push_functions(frame, true);
    Ok(1)
}

/// The options that the running function obeys.
pub(super) fn options<'a>(frame: &'a mut Frame<'_>) -> &'a mut Options {
    if frame.has_bound_block::<Options>() {
        return frame.bound_block();
    }
    &mut frame.data().json
}

// ---- options ----

/// Fills up the arguments with nil to `count`; more are an error.
fn take_arguments(frame: &mut Frame<'_>, count: usize) -> Result<()> {
    if frame.top() > count {
        return Err(frame.argument_error(count + 1, "found too many arguments"));
    }
    while frame.top() < count {
        frame.push_nil();
    }
    Ok(())
}

fn integer_option(
    frame: &mut Frame<'_>,
    index: usize,
    min: i32,
    max: i32,
    place: fn(&mut Options) -> &mut i32,
) -> Result<()> {
    if frame.kind(index as i32) != Kind::Nil {
        let value = super::api::check_int(frame, index)?;
        if !(min..=max).contains(&value) {
            let text = format!("expected integer between {min} and {max}");
            return Err(frame.argument_error(1, &text));
        }
        *place(options(frame)) = value;
    }
    let value = *place(options(frame));
    frame.push_number(f64::from(value));
    Ok(())
}

/// The place in `names` of an argument that is one of them.
fn name_option(frame: &mut Frame<'_>, index: usize, names: &[&str]) -> Result<usize> {
    let name = super::convert::until_zero(frame.check_bytes(index)?);
    match names.iter().position(|other| other.as_bytes() == name) {
        Some(at) => Ok(at),
        None => {
            let text = [b"invalid option '", name, b"'"].concat();
            Err(frame.argument_error(index, text))
        }
    }
}

fn switch_option(
    frame: &mut Frame<'_>,
    index: usize,
    place: fn(&mut Options) -> &mut bool,
) -> Result<()> {
    match frame.kind(index as i32) {
        Kind::Nil => {}
        Kind::Boolean => *place(options(frame)) = frame.truth(index as i32),
        _ => *place(options(frame)) = name_option(frame, index, &["off", "on"])? == 1,
    }
    let value = *place(options(frame));
    frame.push_boolean(value);
    Ok(())
}

fn encode_sparse_array(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 3)?;
    switch_option(frame, 1, |options| &mut options.sparse_convert)?;
    integer_option(frame, 2, 0, i32::MAX, |options| &mut options.sparse_ratio)?;
    integer_option(frame, 3, 0, i32::MAX, |options| &mut options.sparse_safe)?;
    Ok(3)
}

fn encode_max_depth(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 1)?;
    integer_option(frame, 1, 1, i32::MAX, |options| {
        &mut options.encode_depth_max
    })?;
    Ok(1)
}

fn decode_max_depth(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 1)?;
    integer_option(frame, 1, 1, i32::MAX, |options| {
        &mut options.decode_depth_max
    })?;
    Ok(1)
}

fn encode_number_precision(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 1)?;
    integer_option(frame, 1, 1, 14, |options| &mut options.digits)?;
    Ok(1)
}

/// Whether the encoder keeps its buffer. Here each call has its own, so the answer is all there is.
fn encode_keep_buffer(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 1)?;
    switch_option(frame, 1, |options| &mut options.keep_buffer)?;
    Ok(1)
}

fn encode_invalid_numbers(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 1)?;
    let choice = match frame.kind(1) {
        Kind::Nil => None,
        Kind::Boolean if frame.truth(1) => Some(Invalid::Written),
        Kind::Boolean => Some(Invalid::Refused),
        _ => Some(match name_option(frame, 1, &["off", "on", "null"])? {
            0 => Invalid::Refused,
            1 => Invalid::Written,
            _ => Invalid::Null,
        }),
    };
    if let Some(choice) = choice {
        options(frame).encode_invalid = choice;
    }
    match options(frame).encode_invalid {
        Invalid::Refused => frame.push_boolean(false),
        Invalid::Written => frame.push_boolean(true),
        Invalid::Null => frame.push_bytes(b"null"),
    }
    Ok(1)
}

fn decode_invalid_numbers(frame: &mut Frame<'_>) -> Result<usize> {
    take_arguments(frame, 1)?;
    switch_option(frame, 1, |options| &mut options.decode_invalid)?;
    Ok(1)
}

// ---- encoding ----

fn encode(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() != 1 {
        return Err(frame.argument_error(1, "expected 1 argument"));
    }
    let options = *options(frame);
    let mut out = Vec::new();
    frame.push_copy(1);
    write_value(frame, &options, &mut out)?;
    frame.push_bytes(&out);
    Ok(1)
}

/// A table whose elements are being written.
enum Open {
    Array { next: i32, len: i32 },
    Object { is_first: bool },
}

/// Writes the value on top, however deep it nests, without recursion; takes it off.
fn write_value(frame: &mut Frame<'_>, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    let mut open: Vec<Open> = Vec::new();
    loop {
        frame.check_memory_for(out.len())?;
        match frame.kind(-1) {
            Kind::Table => {
                let depth = open.len() as i32 + 1;
                // A key and its value. lua-cjson, which has no copy of the argument, asks for one more.
                if depth > options.encode_depth_max || !frame.has_room(2) {
                    let text = format!("Cannot serialise, excessive nesting ({depth})");
                    return Err(frame.error(text));
                }
                let len = array_length(frame, options)?;
                if len > 0 {
                    out.push(b'[');
                    open.push(Open::Array { next: 1, len });
                } else {
                    out.push(b'{');
                    open.push(Open::Object { is_first: true });
                    // The key before the first.
                    frame.push_nil();
                }
            }
            _ => {
                write_plain(frame, options, out)?;
                frame.pop(1);
            }
        }
        // To the next value of the innermost table, closing those that are whole.
        loop {
            match open.last_mut() {
                None => return Ok(()),
                Some(Open::Array { next, len }) if *next <= *len => {
                    if *next > 1 {
                        out.push(b',');
                    }
                    frame.push_element(-1, *next);
                    *next += 1;
                    break;
                }
                Some(Open::Array { .. }) => out.push(b']'),
                Some(Open::Object { is_first }) => {
                    if frame.next(-2) {
                        if !std::mem::take(is_first) {
                            out.push(b',');
                        }
                        write_key(frame, options, out)?;
                        break;
                    }
                    out.push(b'}');
                }
            }
            open.pop();
            frame.pop(1);
        }
    }
}

/// Writes the value on top, which is no table.
fn write_plain(frame: &mut Frame<'_>, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    match frame.kind(-1) {
        Kind::String => write_string(out, frame.bytes(-1).expect("a string")),
        Kind::Number => write_number(frame, options, out, -1)?,
        Kind::Boolean if frame.truth(-1) => out.extend_from_slice(b"true"),
        Kind::Boolean => out.extend_from_slice(b"false"),
        Kind::Nil => out.extend_from_slice(b"null"),
        Kind::Light if frame.is_null_pointer(-1) => out.extend_from_slice(b"null"),
        _ => return Err(refuse(frame, -1, "type not supported")),
    }
    Ok(())
}

/// Writes the key below the value on top.
fn write_key(frame: &mut Frame<'_>, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    match frame.kind(-2) {
        Kind::Number => {
            out.push(b'"');
            write_number(frame, options, out, -2)?;
            out.extend_from_slice(b"\":");
        }
        Kind::String => {
            write_string(out, frame.bytes(-2).expect("a string"));
            out.push(b':');
        }
        _ => return Err(refuse(frame, -2, "table key must be a number or string")),
    }
    Ok(())
}

#[cold]
fn refuse(frame: &mut Frame<'_>, index: i32, reason: &str) -> Thrown {
    let kind = frame.kind(index).name();
    frame.error(format!("Cannot serialise {kind}: {reason}"))
}

/// The largest key of the table on top, if all keys are whole and above 0; -1 for every other table.
fn array_length(frame: &mut Frame<'_>, options: &Options) -> Result<i32> {
    let (mut count, mut max) = (0i32, 0i32);
    frame.push_nil();
    while frame.next(-2) {
        let key = match frame.kind(-2) {
            Kind::Number => frame
                .number(-2)
                .filter(|key| key.floor() == *key && *key >= 1.0),
            _ => None,
        };
        let Some(key) = key else {
            frame.pop(2);
            return Ok(-1);
        };
        if key > f64::from(max) {
            // As C casts on x86: what does not fit is the smallest number.
            max = if key > f64::from(i32::MAX) {
                i32::MIN
            } else {
                key as i32
            };
        }
        count += 1;
        frame.pop(1);
    }
    if options.sparse_ratio > 0
        && max > count.wrapping_mul(options.sparse_ratio)
        && max > options.sparse_safe
    {
        if !options.sparse_convert {
            return Err(refuse(frame, -1, "excessively sparse array"));
        }
        return Ok(-1);
    }
    Ok(max)
}

fn write_number(
    frame: &mut Frame<'_>,
    options: &Options,
    out: &mut Vec<u8>,
    index: i32,
) -> Result<()> {
    let number = frame.number(index).unwrap_or(0.0);
    if !number.is_finite() {
        match options.encode_invalid {
            Invalid::Refused => return Err(refuse(frame, index, "must not be NaN or Inf")),
            Invalid::Null => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            Invalid::Written if number.is_nan() => {
                out.extend_from_slice(b"nan");
                return Ok(());
            }
            Invalid::Written => {}
        }
    }
    let mut buffer = [0; 32];
    out.extend_from_slice(number_text_digits(
        &mut buffer,
        number,
        options.digits as u32,
    ));
    Ok(())
}

/// What a byte is written as inside of a string; 0 for itself, `u` for a code.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 32 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x7f] = b'u';
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'/' as usize] = b'/';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut plain_start = 0;
    for (at, byte) in text.iter().enumerate() {
        let escape = ESCAPES[usize::from(*byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&text[plain_start..at]);
        plain_start = at + 1;
        if escape == b'u' {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&text[plain_start..]);
    out.push(b'"');
}
