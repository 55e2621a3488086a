//! Data structures: bytes in, bytes out. The first home of `unsafe`.
#![allow(unsafe_code)]

pub mod key_table;
