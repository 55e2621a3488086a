//! What scripts see of C's own library: numbers as text and back, and the processor's time.

use std::ffi::{c_char, c_int};
use std::ptr;

/// The text Lua makes of a number: `%.14g`.
pub fn number_text(buffer: &mut [u8; 32], number: f64) -> &[u8] {
    if number.fract() == 0.0 && number.abs() < 1e14 && (number != 0.0 || number.is_sign_positive())
    {
        let mut digits = [0; 20];
        let text = crate::base::number::write_i64(&mut digits, number as i64);
        let len = text.len();
        buffer[..len].copy_from_slice(text);
        return &buffer[..len];
    }
    format_c(buffer, c"%.14g", number)
}

/// `snprintf` of one double with a format of at most 24 characters of output. The locale is "C": nobody sets another.
fn format_c<'b>(buffer: &'b mut [u8; 32], format: &std::ffi::CStr, number: f64) -> &'b [u8] {
    // SAFETY: the buffer's size is told, and the format takes one double.
    let written = unsafe {
        libc::snprintf(
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
            format.as_ptr(),
            number,
        )
    };
    let len = usize::try_from(written).unwrap_or(0).min(buffer.len() - 1);
    &buffer[..len]
}

/// `%.{digits}g` of a number; 1 to 17 digits.
pub fn number_text_digits(buffer: &mut [u8; 32], number: f64, digits: u32) -> &[u8] {
    assert!((1..=17).contains(&digits));
    // SAFETY: the buffer's size is told; the format takes an int and a double.
    let written = unsafe {
        libc::snprintf(
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
            c"%.*g".as_ptr(),
            digits as c_int,
            number,
        )
    };
    let len = usize::try_from(written).unwrap_or(0).min(buffer.len() - 1);
    &buffer[..len]
}

/// What `os.clock` tells: seconds of processor time the process has used.
pub fn processor_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it reads a clock into the place it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    // In microseconds, as C's `clock` counts.
    time.tv_sec as f64 + (time.tv_nsec / 1000) as f64 / 1e6
}

/// The number at the start of a text as C's `strtod` reads it, and its bytes; 0 bytes where there is none.
pub fn number_prefix(text: &[u8]) -> (f64, usize) {
    // What `strtod` might take, white space before it apart.
    let is_part = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'(' | b')' | b'_')
    };
    let len = text.iter().take_while(|byte| is_part(byte)).count();
    let mut short = [0u8; 64];
    let long;
    let copy: &[u8] = if len < short.len() {
        short[..len].copy_from_slice(&text[..len]);
        &short
    } else {
        long = [&text[..len], b"\0"].concat();
        &long
    };
    let start = copy.as_ptr().cast::<c_char>();
    let mut end = ptr::null_mut();
    // SAFETY: the copy ends in a zero byte; `end` is set to a place in it.
    unsafe {
        let number = libc::strtod(start, &mut end);
        (number, end.cast_const().offset_from(start) as usize)
    }
}
