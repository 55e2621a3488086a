//! Data structures: bytes in, bytes out. The first home of `unsafe`.
#![allow(unsafe_code)]

pub mod growing_buffer;
pub mod key_table;
pub mod listpack;
pub mod lzf;
pub mod slab;
mod span;
