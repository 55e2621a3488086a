//! The only room that names glommio, io-uring, files, sockets and the clock.

pub mod cli;
pub mod clients;
pub mod config_file;
pub mod info;
pub mod option_held;
pub mod option_table;
pub mod option_values;
pub mod options;

pub use clients::{ClientFlags, ClientRow};
pub use options::Options;
