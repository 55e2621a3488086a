//! Writes what stands around records, and the checksum over all of it.
//!
//! Promises  a database is named whenever the next record is of another one, its sizes the first time.

use super::{MAGIC, mark};
use crate::base::crc64::crc64;
use crate::keyspace::rdb::wire::Writer;

/// One file on its way out: every method gives the bytes that come next in it.
pub struct FileWriter {
    checksum: Option<u64>,
    db: Option<u16>,
    /// Databases with their keys and those of them with a deadline; what was named is taken out.
    sizes: Vec<(u16, u64, u64)>,
    is_head_written: bool,
}

impl FileWriter {
    /// Nothing written yet.
    ///
    /// - `has_checksum`: `rdbchecksum`; without it the file ends in zeros, which readers take as "none".
    /// - `sizes`: for each database its number, keys, and keys with a deadline: hints for readers.
    pub fn new(has_checksum: bool, sizes: Vec<(u16, u64, u64)>) -> Self {
        Self {
            checksum: has_checksum.then_some(0),
            db: None,
            sizes,
            is_head_written: false,
        }
    }

    /// What comes before all records.
    ///
    /// - `aux`: names and values for whoever reads the file.
    /// - `functions`: the code of each library.
    pub fn head(&mut self, version: u16, aux: &[(&str, String)], functions: &[Vec<u8>]) -> Vec<u8> {
        debug_assert!(!self.is_head_written);
        self.is_head_written = true;
        let mut out = Writer::default();
        out.raw(MAGIC);
        out.raw(format!("{version:04}").as_bytes());
        for (name, value) in aux {
            out.byte(mark::AUX);
            out.string(name.as_bytes());
            out.string(value.as_bytes());
        }
        for code in functions {
            out.byte(mark::FUNCTION);
            out.string(code);
        }
        self.sum(out.into_bytes())
    }

    /// What comes before a chunk of records of `db`; the chunk itself is told to [`FileWriter::records`].
    pub fn select(&mut self, db: u16) -> Vec<u8> {
        if self.db == Some(db) {
            return Vec::new();
        }
        self.db = Some(db);
        let mut out = Writer::default();
        out.byte(mark::DATABASE);
        out.length(u64::from(db));
        if let Some(index) = self.sizes.iter().position(|(of, ..)| *of == db) {
            let (_, keys, dated) = self.sizes.swap_remove(index);
            out.byte(mark::SIZES);
            out.length(keys);
            out.length(dated);
        }
        self.sum(out.into_bytes())
    }

    /// Records of the database selected last are written.
    pub fn records(&mut self, bytes: &[u8]) {
        if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, bytes);
        }
    }

    /// The end.
    pub fn end(&mut self) -> Vec<u8> {
        let mut out = self.sum(vec![mark::END]);
        out.extend_from_slice(&self.checksum.unwrap_or(0).to_le_bytes());
        out
    }

    fn sum(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.records(&bytes);
        bytes
    }
}
