//! Recovery: which records of an epoch's logs count.
//!
//! # One log
//!
//! A log counts up to its torn tail (`persist/segment.rs` has the table). What was acknowledged is before that.
//!
//! # Several logs
//!
//! A transaction over several shards is in the log of every shard it wrote to, each time with all of its effects. Two
//! things may be wrong after a power cut, and each has one answer:
//!
//! 1. Its record is in the log of C, not in that of B, which ends before it. B gets its part from C's record, after
//!    everything in its own log. That is where it belongs: B appended the record while the transaction held its locks, so
//!    what B did with the same keys later stood after it and is lost as well. Of several such transactions those with a
//!    common key were stamped in the order of their locks, so they are done in the order of their stamps.
//! 2. B lost not only the transaction but something before it, which the transaction may have seen. Then C's log ends
//!    before the transaction too. Nobody knows of what is cut off: the record names how far every shard had got when the
//!    transaction ran there (its dependencies), and C, since it appended the record, has let no reply go before those
//!    logs were durable that far. Cutting C may cut what others depend on, and so on until nothing changes.
//!
//! So what is recovered is a state all shards were in at one moment, as far as any client could know, and all that was
//! acknowledged is in it.
//!
//! With `everysec` no reply waits; every log's last second may be lost, and what depends on it happened later than that,
//! so no more than the last second is cut either.
//!
//! Promises  the same answer every time it is asked about the same files.
//! Not here  reading files: whoever implements [`Files`]; running effects: `shard/replay.rs`.
//! Tests     tests/persist/recovery.rs.

use std::collections::HashSet;

use super::BLOCK_BYTES;
use super::manifest::Epoch;
use super::record::{Dependency, Kind, Part, Record, TransactionRecord};
use super::segment::{
    HeaderError, LastMark, SegmentHeader, Step, Walk, find_mark, first_lsn, is_all_zero_after,
    last_mark,
};
use super::source::Source;

/// Segments made again before one whose header is damaged, of which its records are looked for.
const REMADE_COUNT_MAX: u64 = 16;

/// Where segments are read from.
pub trait Files {
    /// The numbers of a log's segments, in order.
    fn segments(&self, epoch: u64, core: u16) -> Result<Vec<u64>, String>;
    /// A segment's contents.
    ///
    /// - Errors: a sentence for the operator, as from the contents themselves.
    fn contents(
        &self,
        epoch: u64,
        core: u16,
        sequence: u64,
    ) -> Result<Box<dyn Source + '_>, String>;
    /// Bytes that its file has, or would have if all of it had been read.
    fn length(&self, epoch: u64, core: u16, sequence: u64) -> Result<u64, String> {
        Ok(self.contents(epoch, core, sequence)?.bytes_count())
    }
    /// Its name, to tell an operator.
    fn name(&self, epoch: u64, core: u16, sequence: u64) -> String;
    /// What the names of all of a log's segments are, with a `*`: where there is none, nobody knows which there were.
    fn names(&self, epoch: u64, core: u16) -> String;
}

/// How a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// After a whole record.
    Clean,
    /// In something that is no record, and that nothing says was ever durable.
    Torn {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
    },
    /// In a file that has been made shorter since, as a copy is for which there was no room. What was behind may have been
    /// acknowledged.
    Short {
        /// The file; where there is none, what its name would be.
        file: String,
        /// Bytes that it has; none where there is no such file.
        bytes: u64,
        /// Bytes that it was made with, or at least.
        made_bytes: u64,
    },
}

/// One log as far as it counts by itself.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Its last record, or the last one in the base.
    pub last_lsn: u64,
    /// Records of transactions, in order.
    pub transactions: Vec<(u64, TransactionRecord)>,
    /// How it ends.
    pub tail: Tail,
    /// Bytes of records.
    pub bytes: u64,
    /// The first segment that has one, and the last, with the offset where what counts ends there.
    pub extent: Option<Extent>,
}

/// Where a log's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first segment with a record that is not in the base.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Where the last record ends in it.
    pub end: u64,
}

/// Why a log cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An acknowledged record is damaged.
    Damaged {
        /// The file.
        file: String,
        /// Where the record is, or should be.
        offset: u64,
    },
    /// A file that must be there is not.
    Missing(String),
    /// A file is not the one that was written by this name.
    Foreign(String),
    /// A file is of a version that this one does not know.
    Version(String, u32),
    /// A file cannot be read.
    Unreadable(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged { file, offset } => write!(
                f,
                "{file} is damaged at byte {offset}: a record that was safe on disk is no longer whole; nothing is \
                 loaded: restore the files from a copy, or have `rondo check DIR --fix` cut off what \
                 comes from there on"
            ),
            Self::Missing(file) => write!(
                f,
                "{file} is missing: the log goes on in it; nothing is loaded: restore it from a copy, or have `rondo check \
                 DIR --fix` do without what comes from there on"
            ),
            Self::Foreign(file) => write!(
                f,
                "{file} is not the file that was written by this name: it is another log's, or of another epoch; nothing is \
                 loaded: restore the files from a copy"
            ),
            Self::Version(file, version) => write!(
                f,
                "{file} is of version {version} of the format, which this rondo does not know"
            ),
            Self::Unreadable(reason) => f.write_str(reason),
        }
    }
}

/// Walks over a log's records.
///
/// - `visit`: each record after the base, up to `end_lsn`, with its file and offset; false ends the walk.
pub fn walk(
    files: &dyn Files,
    epoch: &Epoch,
    core: u16,
    end_lsn: u64,
    visit: &mut dyn FnMut(&Record<'_>, u64, u64) -> bool,
) -> Result<(u64, Tail), Refusal> {
    let mut last_lsn = base_lsn(epoch, core);
    let sequences = segments_of(files, epoch, core)?;
    let mut place = 0;
    'segments: while let Some(&sequence) = sequences.get(place) {
        let name = || files.name(epoch.number, core, sequence);
        let mut source = contents(files, epoch, core, sequence)?;
        let source = &mut *source;
        let header = SegmentHeader::of(source).map_err(Refusal::Unreadable)?;
        let stop = match &header {
            Err(HeaderError::Version(version)) => return Err(Refusal::Version(name(), *version)),
            Err(HeaderError::Bad) => 0,
            Ok(header) if !is_of(header, epoch, core, sequence) => {
                return Err(Refusal::Foreign(name()));
            }
            Ok(header) => {
                let mut walk = Walk::new(source, header, last_lsn);
                loop {
                    match walk.step().map_err(Refusal::Unreadable)? {
                        Step::Record(record, at) => {
                            if record.header.lsn > end_lsn || !visit(&record, sequence, at) {
                                return Ok((last_lsn, Tail::Clean));
                            }
                            last_lsn = record.header.lsn;
                        }
                        Step::Sealed if place + 1 == sequences.len() => {
                            return if last_lsn >= end_lsn {
                                Ok((last_lsn, Tail::Clean))
                            } else {
                                Err(Refusal::Missing(files.name(
                                    epoch.number,
                                    core,
                                    sequence + 1,
                                )))
                            };
                        }
                        Step::Sealed => {
                            place += 1;
                            continue 'segments;
                        }
                        Step::Nothing(at) | Step::Bad(at) => break at,
                    }
                }
            }
        };
        if last_lsn >= end_lsn {
            return Ok((last_lsn, Tail::Clean));
        }
        // A later segment may begin with what should be here.
        let mut is_clean = is_all_zero_after(source, stop).map_err(Refusal::Unreadable)?;
        for (later, &sequence) in sequences.iter().enumerate().skip(place + 1) {
            let mut source = contents(files, epoch, core, sequence)?;
            let source = &mut *source;
            let Ok(header) = SegmentHeader::of(source).map_err(Refusal::Unreadable)? else {
                continue;
            };
            if !is_of(&header, epoch, core, sequence) {
                return Err(Refusal::Foreign(files.name(epoch.number, core, sequence)));
            }
            let first = first_lsn(source, &header).map_err(Refusal::Unreadable)?;
            if first.is_some_and(|lsn| lsn <= last_lsn + 1) {
                place = later;
                continue 'segments;
            }
            if reaches(source, &[header.id], 0, last_lsn + 1)? {
                return Err(Refusal::Damaged {
                    file: name(),
                    offset: stop,
                });
            }
            is_clean &= first.is_none();
        }
        let ids = match &header {
            Ok(header) => vec![header.id],
            // It was durable before the first write: where such a one is, the header has been damaged since.
            Err(_) => (0..REMADE_COUNT_MAX)
                .map(|remade| SegmentHeader::id_of(epoch.seed, core, sequence, remade))
                .collect(),
        };
        // What something has been put into has its marks where none are looked for.
        let is_longer = (header.as_ref()).is_ok_and(|header| source.bytes_count() > header.bytes);
        if is_longer && !is_clean || reaches(source, &ids, stop, last_lsn + 1)? {
            return Err(Refusal::Damaged {
                file: name(),
                offset: stop,
            });
        }
        if let Some(tail) = short_tail(files, epoch, core, sequence, header.ok())? {
            return Ok((last_lsn, tail));
        }
        let torn = Tail::Torn {
            file: name(),
            offset: stop,
        };
        return Ok((last_lsn, if is_clean { Tail::Clean } else { torn }));
    }
    Ok((last_lsn, Tail::Clean))
}

/// Whether a mark of one of these segments reaches a record, looking from the block after `from` on.
fn reaches(source: &mut dyn Source, ids: &[u64], from: u64, lsn: u64) -> Result<bool, Refusal> {
    let mark = find_mark(source, ids, from, lsn).map_err(Refusal::Unreadable)?;
    Ok(mark.is_some())
}

/// Whether the file in which a log ends is shorter than it was made. Only of a log that goes on: where one has ended what lies behind
/// that is given back. A header and no more is one that another segment is to take the place of.
fn short_tail(
    files: &dyn Files,
    epoch: &Epoch,
    core: u16,
    sequence: u64,
    header: Option<SegmentHeader>,
) -> Result<Option<Tail>, Refusal> {
    if epoch.ends.is_some() {
        return Ok(None);
    }
    let bytes = files
        .length(epoch.number, core, sequence)
        .map_err(Refusal::Unreadable)?;
    let (is_replaced, made_bytes) = match header {
        Some(header) => (bytes == BLOCK_BYTES as u64, header.bytes),
        None => (false, BLOCK_BYTES as u64),
    };
    let is_short = bytes < made_bytes && !is_replaced;
    Ok(is_short.then(|| Tail::Short {
        file: files.name(epoch.number, core, sequence),
        bytes,
        made_bytes,
    }))
}

/// The logs without a file in an epoch that goes on and has begun, or of which other logs have records: before it has begun those are of
/// keys whose time came during the start.
pub fn gone_tails(
    files: &dyn Files,
    epoch: &Epoch,
    scans: &[Scan],
) -> Result<Vec<(u16, Tail)>, Refusal> {
    let mut gone = Vec::new();
    let has_begun = epoch.is_begun || scans.iter().any(|scan| scan.extent.is_some());
    if epoch.ends.is_some() || !has_begun {
        return Ok(gone);
    }
    for core in 0..epoch.cores {
        if segments_of(files, epoch, core)?.is_empty() {
            let tail = Tail::Short {
                file: files.names(epoch.number, core),
                bytes: 0,
                made_bytes: BLOCK_BYTES as u64,
            };
            gone.push((core, tail));
        }
    }
    Ok(gone)
}

fn segments_of(files: &dyn Files, epoch: &Epoch, core: u16) -> Result<Vec<u64>, Refusal> {
    files
        .segments(epoch.number, core)
        .map_err(Refusal::Unreadable)
}

fn contents<'f>(
    files: &'f dyn Files,
    epoch: &Epoch,
    core: u16,
    sequence: u64,
) -> Result<Box<dyn Source + 'f>, Refusal> {
    files
        .contents(epoch.number, core, sequence)
        .map_err(Refusal::Unreadable)
}

/// The last record in the base.
pub fn base_lsn(epoch: &Epoch, core: u16) -> u64 {
    epoch
        .base
        .as_ref()
        .map_or(0, |base| base.lsns[usize::from(core)])
}

/// How far a log counts by itself, and the transactions in it.
pub fn scan(files: &dyn Files, epoch: &Epoch, core: u16) -> Result<Scan, Refusal> {
    scan_records(files, epoch, core, &mut |_, _, _| {})
}

/// The same for whoever looks at each record on the way, and is told before the first what there may come to be.
pub fn scan_with(
    files: &dyn Files,
    epoch: &Epoch,
    core: u16,
    watcher: &mut dyn Watcher,
) -> Result<Scan, Refusal> {
    let sequences = segments_of(files, epoch, core)?;
    // The last one may have been made ready, and not begun.
    for &sequence in sequences.iter().rev().take(2) {
        let mut source = contents(files, epoch, core, sequence)?;
        let header = SegmentHeader::of(&mut *source).map_err(Refusal::Unreadable)?;
        let mark = header.map_or(Ok(None), |header| last_mark(&mut *source, header.id));
        if let Some(mark) = mark.map_err(Refusal::Unreadable)? {
            watcher.expect(&mark);
            break;
        }
    }
    let mut see = |record: &Record<'_>, sequence, at| watcher.see(record, sequence, at);
    scan_records(files, epoch, core, &mut see)
}

/// Looks at a log's records while it is scanned.
pub trait Watcher {
    /// The log says that a database had about so many keys near its end. It is a guess.
    fn expect(&mut self, mark: &LastMark);
    /// A record that counts as far as this log knows, with its segment and offset.
    fn see(&mut self, record: &Record<'_>, sequence: u64, at: u64);
}

/// Whether a segment is of this epoch: written by as many cores, too, so that none of their logs is passed over.
fn is_of(header: &SegmentHeader, epoch: &Epoch, core: u16, sequence: u64) -> bool {
    header.is_of((epoch.seed, epoch.number), core, sequence) && header.cores == epoch.cores
}

fn scan_records(
    files: &dyn Files,
    epoch: &Epoch,
    core: u16,
    see: &mut dyn FnMut(&Record<'_>, u64, u64),
) -> Result<Scan, Refusal> {
    let end_lsn = epoch
        .ends
        .as_ref()
        .map_or(u64::MAX, |ends| ends[usize::from(core)]);
    let mut transactions = Vec::new();
    let mut bytes = 0;
    let mut extent: Option<Extent> = None;
    let mut unreadable = None;
    let visit = &mut |record: &Record<'_>, sequence, at| {
        see(record, sequence, at);
        bytes += record.header.record_bytes();
        extent = Some(Extent {
            first: extent.map_or(sequence, |extent| extent.first),
            last: sequence,
            end: at + record.header.record_bytes(),
        });
        if record.header.kind == Kind::Transaction {
            match TransactionRecord::from_bytes(record.payload) {
                Some(transaction) => transactions.push((record.header.lsn, transaction)),
                None => unreadable = Some((sequence, at)),
            }
        }
        unreadable.is_none()
    };
    let (last_lsn, tail) = walk(files, epoch, core, end_lsn, visit)?;
    if let Some((sequence, at)) = unreadable {
        let file = files.name(epoch.number, core, sequence);
        let what = format!("{file}, record at byte {at}: it is no transaction");
        return Err(Refusal::Unreadable(what));
    }
    if epoch.ends.is_some() && last_lsn < end_lsn {
        let file = files.name(epoch.number, core, 1);
        let what = format!("{file} and those after it hold records up to {last_lsn} of {end_lsn}");
        return Err(Refusal::Unreadable(what));
    }
    Ok(Scan {
        last_lsn,
        transactions,
        tail,
        bytes,
        extent,
    })
}

/// What counts of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The last record of each log.
    pub ends: Vec<u64>,
    /// Parts of transactions that each shard gets from others' logs, in order.
    pub missing: Vec<Vec<Part>>,
}

/// Decides over all logs of an epoch; `scans` are in order of cores.
///
/// - `checks_participants`: true. False is for the simulator to notice.
pub fn settle(scans: &[Scan], checks_participants: bool) -> Settled {
    let mut ends: Vec<u64> = scans.iter().map(|scan| scan.last_lsn).collect();
    let mut settled = Settled {
        ends: ends.clone(),
        missing: vec![Vec::new(); scans.len()],
    };
    if !checks_participants {
        return settled;
    }
    let is_met = |ends: &[u64], dependency: &Dependency| {
        ends.get(usize::from(dependency.core))
            .is_some_and(|&end| dependency.lsn <= end)
    };
    loop {
        let mut has_changed = false;
        for (core, scan) in scans.iter().enumerate() {
            let counted = scan.transactions.iter();
            let counted = counted.take_while(|(lsn, _)| *lsn <= ends[core]);
            let unmet = |(_, transaction): &&(u64, TransactionRecord)| {
                let mut dependencies = transaction.dependencies.iter();
                dependencies.any(|dependency| !is_met(&ends, dependency))
            };
            let first = counted.clone().find(unmet).map(|(lsn, _)| *lsn);
            if let Some(lsn) = first {
                ends[core] = lsn - 1;
                has_changed = true;
            }
        }
        if !has_changed {
            break;
        }
    }
    let counted = |core: usize| {
        let transactions = scans[core].transactions.iter();
        transactions
            .take_while(|(lsn, _)| *lsn <= ends[core])
            .map(|(_, transaction)| transaction)
            .collect::<Vec<_>>()
    };
    let by_core: Vec<Vec<&TransactionRecord>> = (0..scans.len()).map(counted).collect();
    let stamps: Vec<HashSet<u64>> = by_core
        .iter()
        .map(|all| all.iter().map(|transaction| transaction.stamp).collect())
        .collect();
    for (shard, own_stamps) in stamps.iter().enumerate() {
        let mut taken = HashSet::new();
        let mut missing: Vec<(u64, &Part)> = Vec::new();
        for transaction in by_core.iter().flatten() {
            let stamp = transaction.stamp;
            if !own_stamps.contains(&stamp) && taken.insert(stamp) {
                let parts = transaction.parts.iter();
                let its = parts.filter(|part| usize::from(part.shard) == shard);
                missing.extend(its.map(|part| (stamp, part)));
            }
        }
        missing.sort_by_key(|(stamp, _)| *stamp); // A shard's parts of one transaction stay in order.
        settled.missing[shard] = missing.into_iter().map(|(_, part)| part.clone()).collect();
    }
    settled.ends = ends;
    settled
}
