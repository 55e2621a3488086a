//! Cuts: all of a shard's keys as they were at one moment, as records of an RDB file, while the shard goes on.
//!
//!     cut ─> every table turns its colour ─> cut_step, cut_step … ─> chunks of records, each of one database
//!                                            changes before their turn write the entry first
//!
//! `persist/rdb/` makes a file of chunks; whoever compacts a log makes its base of the same. How entries are told apart is
//! `ds/key_table/cut.rs`.
//!
//! Promises  the chunks together hold every key of the moment of the cut once, as it was then, whatever happens to it
//!           afterwards, FLUSHALL and SWAPDB included; one cut at a time. A step costs what its records cost: values are
//!           written whole, so a large one, or the first change of a large one, stalls for as long as writing it takes.
//! Not here  when all shards cut: `router/programs/cut.rs`.
//! Tests     tests/keyspace/cut.rs.

use std::any::Any;

use super::rdb::record::{RecordStyle, write_record};
use super::rdb::wire::Writer;
use super::value::HASHES;
use super::{Keyspace, Object};
use crate::ds::key_table::{EntryRef, Keeper, KeyTable};

/// A chunk is handed over when it has this many bytes, or its database is done.
const CHUNK_BYTES: usize = 64 * 1024;
/// Entries that are shown between two looks at how many bytes they made.
const ENTRIES_PER_STEP: usize = 16;
/// And so many bytes of their strings at most, if that is not less than one entry has: to compress them takes a tenth of a millisecond
/// or more.
const STRING_BYTES_PER_STEP: usize = 16 * 1024;

/// Records of one database.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The database, as it was numbered at the cut.
    pub db: u16,
    /// How many records.
    pub keys: u64,
    /// Records, one after the other, as [`super::rdb::record`] has them.
    pub bytes: Vec<u8>,
}

/// What there was at the cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutSizes {
    /// For every database that had keys: its number, its keys, those of them with a deadline.
    pub databases: Vec<(u16, u64, u64)>,
    /// There are hashes whose fields have deadlines: version 11 has no type for them.
    pub has_dated_hashes: bool,
}

/// Collects the records of one table.
struct Records {
    db: u16,
    /// Written and not handed over yet.
    keys: u64,
    out: Writer,
    /// Bytes of strings that `out` had taken when this step began.
    string_bytes_before: usize,
    style: RecordStyle,
}

impl Keeper<Object> for Records {
    fn keep(&mut self, entry: EntryRef<'_, Object>) {
        write_record(entry, &self.style, &mut self.out);
        self.keys += 1;
    }

    fn has_enough(&self) -> bool {
        self.out.string_bytes() - self.string_bytes_before >= STRING_BYTES_PER_STEP
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Keyspace {
    /// Cuts here: what the databases hold at this moment comes out of [`Keyspace::cut_step`]. Takes a short time whatever
    /// they hold. No other cut may be on.
    ///
    /// - `compresses`: long strings are compressed where that makes them shorter.
    pub fn cut(&mut self, compresses: bool) -> CutSizes {
        let style = RecordStyle {
            policy: self.access.clone(),
            clock: self.clock,
        };
        let mut sizes = CutSizes::default();
        for (db, database) in self.databases.iter_mut().enumerate() {
            let table = &mut database.table;
            if table.is_empty() {
                continue;
            }
            let db = db as u16;
            let (keys, dated) = (table.len() as u64, table.deadlines_count() as u64);
            sizes.databases.push((db, keys, dated));
            sizes.has_dated_hashes |= table.waking_count(HASHES) > 0;
            table.cut(Box::new(Records {
                db,
                keys: 0,
                out: Writer::new(compresses),
                string_bytes_before: 0,
                style: style.clone(),
            }));
        }
        sizes
    }

    /// Whether there is more of a cut to come, or to be given up.
    pub fn has_cut(&self) -> bool {
        !self.departed.is_empty()
            || self
                .databases
                .iter()
                .any(|database| database.table.has_cut())
    }

    /// Nothing more is wanted of this cut. [`Keyspace::cut_step`] is still to be called until it is true.
    pub fn give_cut_up(&mut self) {
        for table in self.tables_to_cut() {
            table.give_cut_up();
        }
    }

    /// Appends chunks of up to about `bytes_max` together to `chunks`; true when all of the cut has come.
    pub fn cut_step(&mut self, bytes_max: usize, chunks: &mut Vec<Chunk>) -> bool {
        let mut written_bytes = 0;
        while written_bytes < bytes_max {
            let Some(table) = self.tables_to_cut().next() else {
                return true;
            };
            let before = records_of(table).map_or(0, |records| {
                records.string_bytes_before = records.out.string_bytes();
                records.out.len()
            });
            let is_shown = table.cut_step(ENTRIES_PER_STEP);
            if let Some(records) = records_of(table) {
                // What is given up has no bytes, but takes time all the same.
                written_bytes += records.out.len() - before;
                if records.out.len() >= CHUNK_BYTES || is_shown && !records.out.is_empty() {
                    chunks.push(Chunk {
                        db: records.db,
                        keys: std::mem::take(&mut records.keys),
                        bytes: records.out.take(),
                    });
                }
            } else {
                written_bytes += ENTRIES_PER_STEP;
            }
            if is_shown {
                table.end_cut();
                let departed = self.departed.extract_if(.., |(table, _)| !table.has_cut());
                self.garbage.extend(departed);
            }
        }
        !self.has_cut()
    }

    /// Bytes of records that changes had written and no step has handed over.
    pub fn cut_bytes(&mut self) -> usize {
        self.tables_to_cut()
            .filter_map(records_of)
            .map(|records| records.out.len())
            .sum()
    }

    fn tables_to_cut(&mut self) -> impl Iterator<Item = &mut KeyTable<Object>> {
        let databases = self
            .databases
            .iter_mut()
            .map(|database| &mut database.table);
        let departed = self.departed.iter_mut().map(|(table, _)| table);
        departed.chain(databases).filter(|table| table.has_cut())
    }
}

fn records_of(table: &mut KeyTable<Object>) -> Option<&mut Records> {
    table.keeper()?.as_any().downcast_mut()
}
