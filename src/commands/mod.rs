//! Argv to a call to a reply: one table, one family a file.
#![forbid(unsafe_code)]

pub mod acl;
pub mod admin;
pub mod array;
pub mod array_range;
pub mod array_ring;
mod array_walk;
mod backup;
pub mod bitfield;
pub mod bitmap;
pub mod blocking;
mod choices;
pub mod client;
pub mod client_filter;
pub mod client_tracking;
pub mod cluster;
mod collected;
pub mod command;
pub mod commandlog;
pub mod connection;
pub mod database;
pub mod deadline;
pub mod debug;
pub mod debug_digest;
pub mod debug_row;
pub mod debug_tables;
pub mod derive;
pub mod digest;
pub mod docs_args;
pub mod draws;
pub mod dump;
pub mod error;
pub mod expire;
pub mod function;
pub mod generic;
pub mod geo;
pub mod geo_search;
pub mod geo_shape;
mod geo_walk;
pub mod hash;
pub mod hash_ex;
pub mod hash_expire;
pub mod hash_walk;
pub mod himport;
pub mod hotkeys;
pub mod hyperloglog;
pub mod identity;
pub mod keys;
pub mod lcs;
pub mod list;
pub mod list_blocking;
pub mod list_move;
pub mod list_value;
pub mod lolwut;
pub mod memory;
pub mod migrate;
pub mod monitor;
pub mod number;
pub mod object;
mod persistence;
pub mod pieces;
pub mod pubsub;
pub mod redact;
pub mod rename;
pub mod replication;
pub mod row;
mod runs;
pub mod scan;
mod scan_walk;
pub mod scripting;
mod seen;
pub mod session;
pub mod set;
pub mod set_algebra;
pub mod set_random;
mod set_walk;
pub mod slowlog;
pub mod sort;
mod sort_walk;
pub mod stream_add;
pub mod stream_budget;
pub mod stream_delete;
pub mod stream_group;
pub mod stream_idempotent;
pub mod stream_info;
pub mod stream_pending;
pub mod stream_range;
pub mod stream_read;
mod stream_walk;
pub mod stream_words;
pub mod string;
pub mod string_many;
pub mod string_range;
pub mod table;
mod tell;
pub mod transaction;
pub mod wait;
pub mod word;
pub mod zset;
pub mod zset_blocking;
pub mod zset_combine;
mod zset_copy;
pub mod zset_range;
pub mod zset_read;
pub mod zset_remove;
pub mod zset_reply;
pub mod zset_sample;
mod zset_walk;

pub use client_filter::{ClientFilter, ClientKind};
pub use error::CommandError;
pub use keys::{KeyShape, for_each_key};
pub use session::{Action, NodeRequest, Session, SessionCall};
pub use table::{
    Arity, Command, Entry, Flags, Group, KeyAccess, KeySpec, Merge, Run, Spread, Table, table,
};

/// Every family's rows.
pub const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    string_many::COMMANDS,
    string_range::COMMANDS,
    number::COMMANDS,
    digest::COMMANDS,
    lcs::COMMANDS,
    bitmap::COMMANDS,
    bitfield::COMMANDS,
    hyperloglog::COMMANDS,
    hash::COMMANDS,
    himport::COMMANDS,
    hash_walk::COMMANDS,
    hash_expire::COMMANDS,
    hash_ex::COMMANDS,
    list::COMMANDS,
    list_blocking::COMMANDS,
    list_value::COMMANDS,
    list_move::COMMANDS,
    zset::COMMANDS,
    zset_blocking::COMMANDS,
    zset_read::COMMANDS,
    zset_remove::COMMANDS,
    zset_sample::COMMANDS,
    zset_combine::COMMANDS,
    geo::COMMANDS,
    geo_search::COMMANDS,
    stream_add::COMMANDS,
    stream_idempotent::COMMANDS,
    stream_range::COMMANDS,
    stream_delete::COMMANDS,
    stream_read::COMMANDS,
    stream_group::COMMANDS,
    stream_pending::COMMANDS,
    stream_info::COMMANDS,
    array::COMMANDS,
    array_range::COMMANDS,
    array_ring::COMMANDS,
    set::COMMANDS,
    set_random::COMMANDS,
    set_algebra::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    object::COMMANDS,
    dump::COMMANDS,
    migrate::COMMANDS,
    sort::COMMANDS,
    scan::COMMANDS,
    database::COMMANDS,
    memory::COMMANDS,
    connection::COMMANDS,
    pubsub::COMMANDS,
    transaction::COMMANDS,
    scripting::COMMANDS,
    function::COMMANDS,
    client::COMMANDS,
    command::COMMANDS,
    admin::COMMANDS,
    acl::rows::COMMANDS,
    persistence::COMMANDS,
    backup::COMMANDS,
    wait::COMMANDS,
    slowlog::COMMANDS,
    commandlog::COMMANDS,
    hotkeys::COMMANDS,
    monitor::COMMANDS,
    lolwut::COMMANDS,
    debug_row::COMMANDS,
    cluster::COMMANDS,
    replication::COMMANDS,
];
