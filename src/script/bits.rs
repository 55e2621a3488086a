//! `bit`: operations on 32 bits.
//!
//! Source    the manual of Lua BitOp 1.0.2 (bitop.luajit.org).

use super::{Frame, Thrown};

type Result<T> = std::result::Result<T, Thrown>;

/// Pushes the table `bit`.
pub(super) fn push(frame: &mut Frame<'_>) {
    frame.push_table(0, 12);
    frame.push_native(tobit);
    frame.set_field(-2, b"tobit");
    frame.push_native(bnot);
    frame.set_field(-2, b"bnot");
    frame.push_native(band);
    frame.set_field(-2, b"band");
    frame.push_native(bor);
    frame.set_field(-2, b"bor");
    frame.push_native(bxor);
    frame.set_field(-2, b"bxor");
    frame.push_native(lshift);
    frame.set_field(-2, b"lshift");
    frame.push_native(rshift);
    frame.set_field(-2, b"rshift");
    frame.push_native(arshift);
    frame.set_field(-2, b"arshift");
    frame.push_native(rol);
    frame.set_field(-2, b"rol");
    frame.push_native(ror);
    frame.set_field(-2, b"ror");
    frame.push_native(bswap);
    frame.set_field(-2, b"bswap");
    frame.push_native(tohex);
    frame.set_field(-2, b"tohex");
}

/// The low 32 bits of an argument, rounded to an integer: adding 2^52 + 2^51 moves them to the end of the mantissa.
fn bits(frame: &mut Frame<'_>, index: usize) -> Result<u32> {
    const TO_LOW_BITS: f64 = 6_755_399_441_055_744.0;
    match frame.number(index as i32) {
        Some(number) => Ok((number + TO_LOW_BITS).to_bits() as u32),
        None => Err(frame.type_error(index, "number")),
    }
}

fn push_bits(frame: &mut Frame<'_>, bits: u32) -> Result<usize> {
    frame.push_number(f64::from(bits as i32));
    Ok(1)
}

fn tobit(frame: &mut Frame<'_>) -> Result<usize> {
    let bits = bits(frame, 1)?;
    push_bits(frame, bits)
}

fn bnot(frame: &mut Frame<'_>) -> Result<usize> {
    let bits = bits(frame, 1)?;
    push_bits(frame, !bits)
}

fn fold(frame: &mut Frame<'_>, join: fn(u32, u32) -> u32) -> Result<usize> {
    let mut all = bits(frame, 1)?;
    for index in (2..=frame.top()).rev() {
        all = join(all, bits(frame, index)?);
    }
    push_bits(frame, all)
}

fn band(frame: &mut Frame<'_>) -> Result<usize> {
    fold(frame, |all, other| all & other)
}

fn bor(frame: &mut Frame<'_>) -> Result<usize> {
    fold(frame, |all, other| all | other)
}

fn bxor(frame: &mut Frame<'_>) -> Result<usize> {
    fold(frame, |all, other| all ^ other)
}

fn shift(frame: &mut Frame<'_>, shift: fn(u32, u32) -> u32) -> Result<usize> {
    let value = bits(frame, 1)?;
    let count = bits(frame, 2)? & 31;
    push_bits(frame, shift(value, count))
}

fn lshift(frame: &mut Frame<'_>) -> Result<usize> {
    shift(frame, |value, count| value << count)
}

fn rshift(frame: &mut Frame<'_>) -> Result<usize> {
    shift(frame, |value, count| value >> count)
}

fn arshift(frame: &mut Frame<'_>) -> Result<usize> {
    shift(frame, |value, count| (value as i32 >> count) as u32)
}

fn rol(frame: &mut Frame<'_>) -> Result<usize> {
    shift(frame, u32::rotate_left)
}

fn ror(frame: &mut Frame<'_>) -> Result<usize> {
    shift(frame, u32::rotate_right)
}

fn bswap(frame: &mut Frame<'_>) -> Result<usize> {
    let bits = bits(frame, 1)?;
    push_bits(frame, bits.swap_bytes())
}

/// `bit.tohex(x [, digits])`: a negative count asks for capitals.
fn tohex(frame: &mut Frame<'_>) -> Result<usize> {
    let value = bits(frame, 1)?;
    let count = if frame.top() < 2 {
        8
    } else {
        bits(frame, 2)? as i32
    };
    let text = if count < 0 {
        format!("{value:08X}")
    } else {
        format!("{value:08x}")
    };
    let count = count.unsigned_abs().min(8) as usize;
    frame.push_bytes(&text.as_bytes()[8 - count..]);
    Ok(1)
}
