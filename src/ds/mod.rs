//! Data structures: bytes in, bytes out. The first home of `unsafe`.
#![allow(unsafe_code)]

pub mod bitmap;
pub mod block_buffer;
pub mod block_pool;
pub mod block_size;
pub mod field_table;
pub mod growing_buffer;
pub mod huge_pages;
pub mod hyperloglog;
pub mod intset;
pub mod key_table;
pub mod listpack;
pub mod long_crc;
pub mod lzf;
pub mod mover;
pub(crate) mod prefetch;
pub mod purge;
pub mod quicklist;
pub mod slab;
pub mod slot_table;
pub mod sorted_set;
mod span;
pub mod spare_mappings;
pub mod sparse_array;
pub mod stream;
pub mod table_shape;
pub mod thin_bytes;
pub mod unaligned_box;
