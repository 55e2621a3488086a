//! The only room that names glommio, io-uring, files, sockets and the clock.

pub mod acceptor;
pub mod cli;
pub mod clients;
pub mod config_file;
pub mod connection;
pub mod core;
pub mod directory;
mod dispatch;
mod errand;
mod event_loop;
pub mod executor;
pub mod figures;
mod gather;
pub mod info;
mod intake;
mod lifecycle;
pub mod listeners;
pub mod log;
pub mod mesh;
pub mod message;
pub mod option_held;
pub mod option_table;
pub mod option_values;
pub mod options;
pub mod patience;
pub mod process;
mod pubsub;
mod report;
pub mod ring;
mod settings;
pub mod slab;
pub mod subscriptions;
pub mod waiting;

pub use clients::{ClientFlags, ClientRow};
pub use executor::{Ending, serve};
pub use options::Options;
