//! MSETNX and MSETEX: which of the keys exist on every shard, then all of them are written or none.
//!
//! Promises  a condition on the keys is decided over all shards before anything is written; without one nothing is
//!           asked.

use std::ops::Range;

use super::{Job, Next, Part, Program, first_error, integer_reply, unexpected};
use crate::commands::CommandError;
use crate::commands::string_many::{MsetEx, check_pairs};
use crate::resp::args::OwnedArgs;
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Conditional {
    job: Job,
    /// Whether all keys must be there (`true`) or missing, for anything to be written.
    wants_present: Option<bool>,
    /// The words that are keys and values.
    pairs: Range<usize>,
    parts: Vec<Part>,
    is_writing: bool,
}

impl Conditional {
    /// `MSETNX key value [key value ...]`.
    pub(super) fn msetnx(job: Job) -> Result<Self, CommandError> {
        check_pairs(&job.args(), job.entry.full_name)?;
        let pairs = 1..job.args().len();
        Ok(Self::new(job, Some(false), pairs))
    }

    /// `MSETEX numkeys key value [key value ...] [NX | XX] [EX … | PX … | EXAT … | PXAT … | KEEPTTL]`.
    pub(super) fn msetex(job: Job) -> Result<Self, CommandError> {
        // At time 0: what a deadline is relative to, the shards know. One that is too far by then they refuse, all
        // alike, before they write.
        let request = MsetEx::parse(&job.args(), 0)?;
        Ok(Self::new(job, request.wants_present, request.pairs()))
    }

    fn new(job: Job, wants_present: Option<bool>, pairs: Range<usize>) -> Self {
        Self {
            parts: job.parts(pairs.clone(), 2),
            job,
            wants_present,
            pairs,
            is_writing: false,
        }
    }

    /// The words that write a part, as the command's own handler takes them, without its condition.
    fn words(&self, places: &[usize]) -> OwnedArgs {
        let args = self.job.args();
        let mut words = OwnedArgs::new();
        words.push(args.get(0));
        if self.pairs.start == 2 {
            words.push(places.len().to_string().as_bytes());
        }
        for place in places {
            let at = self.pairs.start + place * 2;
            words.push(args.get(at));
            words.push(args.get(at + 1));
        }
        let mut at = self.pairs.end;
        while at < args.len() {
            let has_value = ["EX", "PX", "EXAT", "PXAT"]
                .iter()
                .any(|name| args.is(at, name));
            let taken = 1 + usize::from(has_value);
            if !args.is(at, "NX") && !args.is(at, "XX") {
                let option = at..(at + taken).min(args.len());
                option.for_each(|at| words.push(args.get(at)));
            }
            at += taken;
        }
        words
    }

    fn keys(&self, places: &[usize]) -> OwnedArgs {
        let args = self.job.args();
        let key = |place: &usize| args.get(self.pairs.start + place * 2);
        places.iter().map(key).collect()
    }

    fn write(&mut self) -> Next {
        self.is_writing = true;
        let parts = self.parts.iter();
        let write = |(shard, places): &Part| (*shard, self.job.command(self.words(places)), true);
        Next::Phase(parts.map(write).collect())
    }
}

impl Program for Conditional {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if self.wants_present.is_none() {
            return Vec::new();
        }
        let read = |(shard, places): &Part| {
            let operation = Operation::Exists {
                db: self.job.db,
                keys: self.keys(places),
            };
            (*shard, operation)
        };
        self.parts.iter().map(read).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        self.write()
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        if self.is_writing {
            return Next::Done(integer_reply(1));
        }
        let mut exist_count = 0;
        for (_, output) in &outputs {
            let Output::Count(count) = output else {
                return unexpected();
            };
            exist_count += count;
        }
        let is_met = match self.wants_present {
            None => true,
            Some(false) => exist_count == 0,
            Some(true) => exist_count == self.pairs.len() as u64 / 2,
        };
        if is_met {
            self.write()
        } else {
            Next::Done(integer_reply(0))
        }
    }
}
