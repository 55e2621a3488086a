//! Files: what is in them, and what becomes of bad ones.

mod rdb;
