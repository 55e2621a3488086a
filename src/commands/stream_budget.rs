//! MAXCOUNT and MAXSIZE: how much all streams of one reply may come to.
//!
//!     entry, entry, entry          no more once there are MAXCOUNT of them, or once the reply has MAXSIZE bytes
//!               ^ the one that crosses MAXSIZE is still there: it is not known beforehand how large an entry is
//!
//! Promises  the first entry is there however large it is; a stream that is begun has an entry; the same at any number of
//!           shards, where bytes are those of the streams, without the array around them.
//! Not here  COUNT, which is for each stream: `stream_read.rs`. Several shards: `router/programs/read_streams.rs`.
//! Source    Redis 8.10's documentation of XREAD and XREADGROUP. The error texts are our own.
//! Tests     tests/commands/stream.rs; tests/transcripts/stream_budget.txt at 1, 2 and 7 shards.

use super::CommandError;
use super::word::integer;
use crate::resp::Args;

/// What is left of a reply.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    count_max: Option<usize>,
    bytes_max: Option<usize>,
    /// The words that say so.
    count_at: usize,
    bytes_at: usize,
    /// Entries so far.
    entries: usize,
}

impl Budget {
    /// Takes the option at `index`; returns how many words it has, 0 where there is none.
    pub fn take(&mut self, args: &Args<'_>, index: usize) -> Result<usize, CommandError> {
        if index + 1 == args.len() {
            return Ok(0);
        }
        if args.is(index, "MAXCOUNT") {
            self.count_max = Some(positive(args.get(index + 1), "MAXCOUNT")?);
            self.count_at = index + 1;
            return Ok(2);
        }
        if args.is(index, "MAXSIZE") {
            self.bytes_max = Some(positive(args.get(index + 1), "MAXSIZE")?);
            self.bytes_at = index + 1;
            return Ok(2);
        }
        Ok(0)
    }

    /// Refuses what cannot be meant: more of each stream than of all.
    pub fn check(&self, count_of_each: Option<usize>) -> Result<(), CommandError> {
        match (self.count_max, count_of_each) {
            (Some(all), Some(each)) if each > all => {
                Err("ERR MAXCOUNT must be greater than or equal to COUNT".into())
            }
            _ => Ok(()),
        }
    }

    /// Whether there is any bound.
    pub fn is_bounded(&self) -> bool {
        self.count_max.is_some() || self.bytes_max.is_some()
    }

    /// Whether there is one of bytes, of which a reply has more in one protocol than in the other.
    pub fn depends_on_protocol(&self) -> bool {
        self.bytes_max.is_some()
    }

    /// How many entries there may be in all, now that streams came to so many bytes: none follows where it is spent.
    pub fn count_max_after(&self, bytes: usize) -> Option<usize> {
        match self.is_spent(bytes) {
            true => Some(self.entries),
            false => self.count_max,
        }
    }

    /// How many more entries there may be.
    pub fn entries_left(&self) -> usize {
        self.count_max
            .map_or(usize::MAX, |max| max.saturating_sub(self.entries))
    }

    /// Whether nothing may follow so many bytes of streams.
    pub fn is_spent(&self, bytes: usize) -> bool {
        self.entries > 0
            && (self.entries_left() == 0 || self.bytes_max.is_some_and(|max| bytes >= max))
    }

    /// There are so many more entries.
    pub fn note(&mut self, entries: usize) {
        self.entries += entries;
    }

    /// What words must say that ask for the rest: the place of a word, and the word. Not where it is spent.
    pub fn rest(&self, count_at: Option<(usize, usize)>, bytes: usize) -> Vec<(usize, usize)> {
        let mut words = Vec::new();
        if self.count_max.is_some() {
            words.push((self.count_at, self.entries_left()));
            words.extend(count_at.map(|(at, count)| (at, count.min(self.entries_left()))));
        }
        if let Some(max) = self.bytes_max {
            words.push((self.bytes_at, max.saturating_sub(bytes).max(1)));
        }
        words
    }
}

fn positive(word: &[u8], option: &str) -> Result<usize, CommandError> {
    match usize::try_from(integer(word)?) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("ERR {option} must be a positive integer").into()),
    }
}
