//! What a log is given: commands into the open record, records into the batch.
//!
//! Promises  what is appended between [`Log::enter_group`] and [`Log::leave_group`] is one record, at one time.
//! Not here  what becomes of a batch: `on_disk.rs`.

use super::{BATCH_BYTES_MAX, Log, OpenRecord, Policy, RECORD_BYTES_MAX};
use crate::persist::effects;
use crate::persist::record::{Header, Kind, TransactionRecord};

impl Log {
    /// Moves time: what is appended from now on happens then.
    #[inline]
    pub fn set_now(&mut self, now_ms: i64) {
        if now_ms != self.now_ms {
            if self.groups_count > 0 {
                return; // Time stands still in a group.
            }
            self.close_record();
            self.now_ms = now_ms;
        }
    }

    /// When what is appended now happens.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Notes about how many keys there are: marks say it, so that who replays the log makes room for them at once.
    pub fn note_size(&mut self, db: u16, keys: u64) {
        self.size = (db, keys);
    }

    /// Appends a command that ran on `db`.
    ///
    /// - Cost: one copy; no I/O.
    pub fn append<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        self.open_record(db);
        effects::append(&mut self.batch, words);
    }

    /// Appends a command that ran on `db` and is an array of bulk strings already.
    #[inline]
    pub fn append_wire(&mut self, db: u16, command: &[u8]) {
        self.open_record(db);
        self.batch.extend(command);
    }

    /// Appends commands that are RESP already and begin in `db`; they may change it.
    pub fn append_commands(&mut self, db: u16, commands: &[u8]) {
        self.open_record(db);
        self.batch.extend(commands);
        if self.groups_count == 0 {
            self.close_record();
        } else if let Some(record) = &mut self.record {
            // Whatever it is in by now, the next one says it again.
            record.db = u16::MAX;
        }
    }

    /// What is appended until the matching [`Log::leave_group`] happened as one.
    pub fn enter_group(&mut self) {
        if self.groups_count == 0
            && self.record.as_ref().is_some_and(|_| {
                self.batch.record_bytes() > RECORD_BYTES_MAX / 2 || self.batch.has_full_record()
            })
        {
            self.close_record();
        }
        self.groups_count += 1;
    }

    /// Ends a group, unless it had begun before there was a log.
    pub fn leave_group(&mut self) {
        self.groups_count = self.groups_count.saturating_sub(1);
    }

    /// Appends all effects of a transaction over several shards.
    pub fn append_transaction(&mut self, record: &TransactionRecord) {
        self.close_record();
        self.lsn += 1;
        let payload = record.to_bytes();
        let header = Header {
            kind: Kind::Transaction,
            length: payload.len() as u64,
            lsn: self.lsn,
            now_ms: self.now_ms,
            db: 0,
        };
        self.batch.append(&header.to_bytes(), &payload);
    }

    /// Makes sure that what is appended next is in a record, on this database.
    #[inline]
    fn open_record(&mut self, db: u16) {
        if let Some(record) = &self.record
            && record.db == db
            && !self.batch.has_full_record()
        {
            return;
        }
        self.open_record_anew(db);
    }

    #[inline(never)]
    fn open_record_anew(&mut self, db: u16) {
        if self.batch.len() > BATCH_BYTES_MAX {
            self.take_batch();
        }
        if let Some(record) = &mut self.record {
            if !self.batch.has_full_record() || self.groups_count > 0 {
                if record.db != db {
                    record.db = db;
                    effects::append_select(&mut self.batch, db);
                }
                return;
            }
            self.close_record();
        }
        self.lsn += 1;
        self.record = Some(OpenRecord { db });
        let header = Header {
            kind: Kind::Effects,
            length: 0,
            lsn: self.lsn,
            now_ms: self.now_ms,
            db,
        };
        // Where replies wait for the disk, it reads the batch while that is in the caches still.
        let stages = self.policy != Policy::Always;
        self.batch.open(&header.to_bytes(), stages);
    }

    pub(super) fn close_record(&mut self) {
        if self.record.take().is_some() {
            self.batch.close(self.segment_id());
        }
    }

    /// The mark's place; it is filled in when the batch is written.
    pub(super) fn begin_batch(&mut self) {
        let mark = Header {
            kind: Kind::Mark,
            length: 0,
            lsn: 0,
            now_ms: 0,
            db: 0,
        };
        let segment_id = self.segment_id();
        self.batch.begin(&mark.to_bytes(), segment_id);
    }

    /// What the segment is called that the next write goes to, as it seems.
    fn segment_id(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.id)
    }
}
