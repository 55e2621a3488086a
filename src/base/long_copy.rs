//! Copies of many bytes, a piece at a time.
//!
//! The C library's `memcpy` turns to `rep movsb` from 2 to 8 KiB on. Zen 3 and 4 take 20 times as long over that where the
//! destination lies a little behind the source modulo the size of a page (2 to 3 GB/s, not 50 to 80): a long value behind the
//! header of its reply lies just so. Pieces shorter than that limit are copied by its loop of vectors, for every alignment.
//!
//! Not here  which of two copies can be spared: the callers.
//! Source    glibc's bugs 30994 and 30995, mended in 2.39; measured with 2.36 on Zen 4.
//! Tests     tests/base/long_copy.rs: lengths around every border.

use std::slice::Chunks;

/// Below the least limit of `rep movsb`, 2 KiB, and whole lines of the cache, so that all pieces are aligned as the first.
const PIECE_BYTES: usize = 2048 - 64;
/// From here on the pieces are worth a call.
const LONG_BYTES: usize = 2048;
/// From here on the library itself leaves `rep movsb`, and writes past the caches, which is faster.
const VERY_LONG_BYTES: usize = 1 << 20;

/// Appends `bytes`.
#[inline(always)]
pub fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    match is_long(bytes.len()) {
        true => append_pieces(to, bytes),
        false => to.extend_from_slice(bytes),
    }
}

/// Whether so many bytes are better copied in [`pieces`].
#[inline(always)]
pub fn is_long(bytes_count: usize) -> bool {
    (LONG_BYTES..VERY_LONG_BYTES).contains(&bytes_count)
}

/// A copy on the heap, as large as it is.
#[inline]
pub fn copy_of(bytes: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(bytes.len());
    append(&mut copy, bytes);
    copy
}

/// Copies `from` over `to`.
///
/// # Panics
/// They are not of one length.
#[inline]
pub fn copy(to: &mut [u8], from: &[u8]) {
    assert_eq!(to.len(), from.len(), "a copy is as long as what it is of");
    let pieces = to.chunks_mut(PIECE_BYTES).zip(from.chunks(PIECE_BYTES));
    pieces.for_each(|(to, from)| to.copy_from_slice(from));
}

/// What a copy of `bytes` is made of.
#[inline]
pub fn pieces(bytes: &[u8]) -> Chunks<'_, u8> {
    bytes.chunks(PIECE_BYTES)
}

#[inline(never)]
fn append_pieces(to: &mut Vec<u8>, bytes: &[u8]) {
    to.reserve(bytes.len());
    for piece in pieces(bytes) {
        to.extend_from_slice(piece);
    }
}
