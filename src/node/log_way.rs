//! How far a log's files have been read: what INFO and the log's lines say of a load that is under way.
//!
//! Most bytes of small durable writes are padding: what is told are places in the files, not bytes of records. Clients wait for as long
//! as the estimate says.
//!
//! Tests     tests/node/log_way.rs.

use super::progress::Progress;

/// How far the files of a log have been read, and how far they go.
pub struct LogWay<'r> {
    progress: &'r Progress,
    /// Each segment, and the bytes of all before it.
    begins: Vec<(u64, u64)>,
    /// Bytes in all.
    pub bytes: u64,
    /// Which of the segments is being read.
    index: usize,
    read_bytes: u64,
}

impl<'r> LogWay<'r> {
    /// Of segments of so many bytes each, which are expected already.
    pub fn new(progress: &'r Progress, extent: Vec<(u64, u64)>) -> Self {
        let mut bytes = 0;
        let begin = |(sequence, length)| {
            let begin = (sequence, bytes);
            bytes += length;
            begin
        };
        let begins = extent.into_iter().map(begin).collect();
        Self {
            progress,
            begins,
            bytes,
            index: 0,
            read_bytes: 0,
        }
    }

    /// A record has been read up to there.
    pub fn has_seen(&mut self, sequence: u64, end: u64) {
        while self
            .begins
            .get(self.index)
            .is_some_and(|(of, _)| *of < sequence)
        {
            self.index += 1;
        }
        if let Some((_, begin)) = self.begins.get(self.index) {
            self.has_come_to(begin + end);
        }
    }

    /// So many bytes of all have been read.
    pub fn has_come_to(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.progress.add(bytes.saturating_sub(self.read_bytes));
        self.read_bytes = self.read_bytes.max(bytes);
    }
}
