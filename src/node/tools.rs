//! Tools for files at rest: `rondo check`, `rondo dump`, `rondo import`.
//!
//!     rondo check PATH [--fix]                      whether logs, bases and RDB files are whole, and where they are not
//!     rondo check PATH --replay [--threads N]       the same, and whether a start can run all that counts; it takes a start's memory
//!     rondo dump PATH                               the records of logs, readable
//!     rondo import FROM DIR                         Redis's append-only file or an RDB file becomes the log below DIR
//!
//! PATH is the directory that a server's logs are in (or the one above it), or one file.
//!
//! | what check finds | it ends with | `--fix`, after which it ends with 0 |
//! |---|---|---|
//! | all is whole | 0 | changes nothing |
//! | a log's end is torn, as a crash leaves it | 2 | notes in the manifest where each log ends, as a start does |
//! | damage | 1 | the same, of what comes before the damage |
//! | what it cannot read, or does not know | 1 | changes nothing, and 1 again |
//!
//! Promises  a directory that a server uses is left alone; nothing is written but by `--fix` and `import`.
//! Not here  what is checked of logs: `persist/recovery.rs`; Redis's files: `node/import.rs`.
//! Tests     tests/server/tools.rs.

use std::collections::HashSet;
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::data_dir::{DataDir, read_by_pieces};
use super::folder::shown;
use super::functions;
use super::import::{DATABASES_OF_TOOLS, import};
use super::load::{DATABASES_MAX, told};
use super::options::Options;
use super::progress::Progress;
use super::recover::{self, Opened, keys_count, shortened};
use super::regular;
use super::tool_progress::ToolProgress;
use crate::base::hash::KeyHasher;
use crate::keyspace::load::{Loaded, NotLoaded};
use crate::keyspace::{Keyspace, KeyspaceOptions, SlotMap};
use crate::persist::effects::{Effect, Effects};
use crate::persist::manifest::{Epoch, Manifest};
use crate::persist::rdb::{Framer, Item};
use crate::persist::record::{Kind, Record, TransactionRecord};
use crate::persist::recovery::{
    Files, Refusal, Scan, Tail, base_lsn, gone_tails, scan, settle, walk,
};
use crate::persist::segment::{HeaderError, SegmentHeader, Step, Walk};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `rondo check PATH [--fix] [--replay [--threads N]]`.
    Check {
        /// What.
        path: PathBuf,
        /// What is damaged is cut off.
        fixes: bool,
        /// What counts is run, as by a start with so many threads.
        replays: Option<u16>,
    },
    /// `rondo dump PATH`.
    Dump {
        /// What.
        path: PathBuf,
    },
    /// `rondo import FROM DIR`.
    Import {
        /// Redis's directory or file.
        from: PathBuf,
        /// What `dir` will be.
        dir: PathBuf,
    },
}

type Done = Result<(), String>;

/// The status of a process that has found nothing but a log's torn end: no start but one with `aof-load-truncated no` minds that,
/// and scripts may tell it from damage.
const TORN_STATUS: u8 = 2;

/// What is wrong with logs, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    Torn,
    Damage,
}

/// Databases that a server has which is told nothing else.
const DATABASES_USUAL: u64 = 16;

/// As many as `threads` allows.
const THREADS_MAX: u16 = 1024;

/// Why a tool has ended whose output nobody reads any more: no failure of its own.
pub const READER_GONE: &str = "nobody reads the output any more";

/// How a tool is used.
pub const USAGE: &str = "usage: rondo check PATH [--fix] [--replay [--threads N]]\n       rondo dump PATH\n       rondo import FROM DIR\n\n\
     check ends with status 0 where all is whole or has been fixed, with 2 where nothing is wrong but the torn end of a log, as a \
     crash leaves it, and with 1 where there is damage or it cannot tell";

impl Tool {
    /// Reads the words after the program's name; none: they name no tool. Errors: how it is used.
    pub fn from_words(words: &[String]) -> Option<Result<Self, String>> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Some(Ok(match words.as_slice() {
            ["check", words @ ..] => return Some(check_of(words).ok_or_else(|| USAGE.into())),
            ["dump", path] => Self::Dump { path: path.into() },
            ["import", from, dir] => Self::Import {
                from: from.into(),
                dir: dir.into(),
            },
            ["dump" | "import", ..] => return Some(Err(USAGE.into())),
            _ => return None,
        }))
    }

    /// Does it.
    ///
    /// - Returns the status that the process ends with.
    /// - Errors: a sentence for the operator; what was found before is in `out`.
    pub fn run(&self, out: &mut dyn Write) -> Result<u8, String> {
        super::process::outlive_large_files()
            .map_err(|error| format!("cannot catch signals: {error}"))?;
        match self {
            Self::Check {
                path,
                fixes,
                replays,
            } => return check(path, *fixes, *replays, out),
            Self::Dump { path } => dump(path, out)?,
            Self::Import { from, dir } => import(from, dir, out)?,
        }
        Ok(0)
    }
}

/// Reads the words after `check`; none where they are others.
fn check_of(words: &[&str]) -> Option<Tool> {
    let (mut path, mut fixes, mut replays, mut threads) = (None, false, false, None);
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--fix" => fixes = true,
            "--replay" => replays = true,
            "--threads" => {
                let count = words.next()?.parse::<u16>().ok();
                threads = Some(count.filter(|count| (1..=THREADS_MAX).contains(count))?);
            }
            _ if path.is_none() && !word.starts_with("--") => path = Some(word),
            _ => return None,
        }
    }
    if threads.is_some() && !replays {
        return None;
    }
    let usual = || super::cli::threads_available() as u16;
    Some(Tool::Check {
        path: path?.into(),
        fixes,
        replays: replays.then(|| threads.unwrap_or_else(usual)),
    })
}

/// What there is to look at.
enum Target {
    /// A file by itself.
    File(PathBuf),
    /// A directory of logs.
    Logs(PathBuf),
}

impl Target {
    /// What `path` is, or has in it: logs, else the RDB file of a server without.
    ///
    /// - Errors: a sentence for the operator.
    fn at(path: &Path) -> Result<Self, String> {
        let fail = |path: &Path, error: Error| format!("{}: {error}", path.display());
        let metadata = std::fs::metadata(path).map_err(|error| fail(path, error))?;
        if !metadata.is_dir() {
            return Ok(Self::File(path.to_path_buf()));
        }
        for place in [path.to_path_buf(), path.join("appendonlydir")] {
            let manifest = place.join("manifest");
            match std::fs::metadata(&manifest) {
                Ok(_) => return Ok(Self::Logs(place)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(fail(&manifest, error)),
            }
        }
        let rdb = path.join(Options::default().dbfilename);
        if rdb.is_file() {
            return Ok(Self::File(rdb));
        }
        Err(format!(
            "{}: there is no manifest of logs in it, and no RDB file by the usual name; what Redis has left is for `rondo import`",
            path.display()
        ))
    }
}

fn say(out: &mut dyn Write, line: &str) -> Done {
    writeln!(out, "{line}").map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => READER_GONE.to_string(),
        _ => format!("cannot write: {error}"),
    })
}

// ---- check

fn check(
    path: &Path,
    fixes: bool,
    replays: Option<u16>,
    out: &mut dyn Write,
) -> Result<u8, String> {
    let place = match Target::at(path)? {
        Target::File(_) if replays.is_some() => {
            return Err("--replay works on a directory of logs, not on one file".into());
        }
        Target::File(file) => {
            check_file(&file, fixes, out)?;
            return Ok(0);
        }
        Target::Logs(place) => place,
    };
    let dir = DataDir::open(&place)?;
    let mut manifest = dir.manifest()?;
    let mut found = Found::Nothing;
    let epochs_count = manifest.epochs.len();
    for index in 0..epochs_count {
        let epoch = &mut manifest.epochs[index];
        if let Some(base) = &epoch.base {
            let path = dir.base_path(epoch.number, base.number);
            check_rdb(&shown(&path), true, out)?;
        }
        found = found.max(check_epoch(&dir, epoch, fixes, out)?);
        if found == Found::Damage && fixes && index + 1 < epochs_count {
            // Later runs went on from what does not count any more.
            let first = manifest.epochs[index + 1].number;
            let what = "it goes on from what does not count any more, and does not count";
            say(out, &format!("epoch {first} and later: {what}"))?;
            manifest.epochs.truncate(index + 1);
            break;
        }
    }
    if found == Found::Damage && !fixes {
        return Err(
            "there is damage; with --fix what comes after it does not count any more".into(),
        );
    }
    if found != Found::Nothing && fixes {
        dir.set_manifest(&manifest)
            .map_err(|error| format!("cannot write the manifest: {error}"))?;
    }
    let what = match found {
        Found::Nothing => "all of it is whole",
        Found::Damage => "what comes after the damage does not count any more",
        Found::Torn if fixes => "all of it is whole: what was torn has been cut off",
        Found::Torn => {
            "all of it is whole but for a torn end, which is what a crash leaves: a start cuts that off, and so does --fix for one \
             with aof-load-truncated no"
        }
    };
    say(out, what)?;
    if let Some(threads) = replays {
        replay(dir, manifest, threads, out)?;
    }
    Ok(match found {
        Found::Torn if !fixes => TORN_STATUS,
        _ => 0,
    })
}

/// Runs all that counts, in memory: what is whole need not be what can be run, where another version or another hand has written it.
///
/// - Errors: what a start would say.
fn replay(dir: DataDir, manifest: Manifest, threads: u16, out: &mut dyn Write) -> Done {
    // How many databases a server has it says itself.
    let options = Options {
        databases: DATABASES_OF_TOOLS,
        ..Options::default()
    };
    let opened = Opened {
        dir: Arc::new(dir),
        manifest,
    };
    let (hasher, progress) = (KeyHasher::random(), Progress::default());
    let map = SlotMap::new(threads);
    let loaded = recover::load(&opened, &options, &hasher, map, false, &progress)?;
    functions::check(&loaded.functions)?;
    let keys: usize = loaded.keyspaces.iter().map(keys_count).sum();
    say(
        out,
        &format!("all of it can be run on {threads} threads: {keys} keys"),
    )
}

/// What is wrong with an epoch's logs. With `fixes` its ends become what counts before that.
fn check_epoch(
    dir: &DataDir,
    epoch: &mut Epoch,
    fixes: bool,
    out: &mut dyn Write,
) -> Result<Found, String> {
    let mut wrong = Found::Nothing;
    let mut whole = epoch.clone();
    let mut ends = Vec::new();
    for core in 0..epoch.cores {
        let end_lsn = epoch
            .ends
            .as_ref()
            .map_or(u64::MAX, |ends| ends[usize::from(core)]);
        let (mut last_lsn, mut records, mut bytes) = (base_lsn(epoch, core), 0u64, 0);
        let walked = walk(dir, epoch, core, end_lsn, &mut |record, _, _| {
            last_lsn = record.header.lsn;
            records += 1;
            bytes += record.header.record_bytes();
            true
        });
        ends.push(last_lsn);
        let place = format!("epoch {} core {core}", epoch.number);
        let found = format!("{place}: {records} records, {bytes} bytes, up to record {last_lsn}");
        say(out, &found)?;
        match walked {
            // What is torn was acknowledged then.
            Ok((_, tail)) if epoch.ends.is_some() && last_lsn < end_lsn => {
                wrong = Found::Damage;
                let at = match tail {
                    Tail::Torn { file, offset } => format!("{file} at byte {offset}: "),
                    Tail::Clean | Tail::Short { .. } => String::new(),
                };
                let what = format!("damage: {at}records up to {end_lsn} should be there");
                say(out, &format!("{place}: {what}"))?;
            }
            Ok((_, Tail::Torn { file, offset })) => {
                wrong = wrong.max(Found::Torn);
                let what = "a write is not whole there and does not count (with appendfsync always it had not been \
                            acknowledged, unless the file has been damaged since)";
                say(out, &format!("{place}: {file} at byte {offset}: {what}"))?;
            }
            Ok((_, tail @ Tail::Short { .. })) => {
                wrong = Found::Damage;
                say(out, &format!("{place}: damage: {}", shortened(&tail)))?;
            }
            Ok((_, Tail::Clean)) => {}
            Err(refusal @ (Refusal::Damaged { .. } | Refusal::Missing(_))) => {
                wrong = Found::Damage;
                say(out, &format!("{place}: damage: {}", in_short(&refusal)))?;
            }
            Err(refusal) => return Err(refusal.to_string()),
        }
    }
    whole.ends = Some(ends);
    let scans: Vec<Scan> = (0..epoch.cores)
        .map(|core| scan(dir, &whole, core))
        .collect::<Result<_, _>>()
        .map_err(|refusal| refusal.to_string())?;
    for (core, tail) in gone_tails(dir, epoch, &scans).map_err(|refusal| refusal.to_string())? {
        wrong = Found::Damage;
        let place = format!("epoch {} core {core}", epoch.number);
        say(out, &format!("{place}: damage: {}", shortened(&tail)))?;
    }
    let settled = settle(&scans, true);
    let missing: usize = settled.missing.iter().map(Vec::len).sum();
    let transactions: usize = scans.iter().map(|scan| scan.transactions.len()).sum();
    let cut: u64 = scans
        .iter()
        .zip(&settled.ends)
        .map(|(scan, end)| scan.last_lsn - end)
        .sum();
    say(
        out,
        &format!(
            "epoch {}: {transactions} records of transactions over several cores, {missing} parts to be taken from other cores' \
             logs, {cut} records that do not count because another log ends too early",
            epoch.number
        ),
    )?;
    if fixes && wrong != Found::Nothing {
        epoch.ends = Some(settled.ends);
    }
    Ok(wrong)
}

fn in_short(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Damaged { file, offset } => {
            format!("{file} at byte {offset}: a record that was safe on disk is no longer whole")
        }
        Refusal::Missing(file) => format!("{file} is missing"),
        other => other.to_string(),
    }
}

fn check_file(path: &Path, fixes: bool, out: &mut dyn Write) -> Done {
    let mut magic = [0; 8];
    let mut file = regular::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let count = file.read(&mut magic).unwrap_or(0);
    if fixes {
        return Err("--fix works on a directory of logs, not on one file".into());
    }
    if magic[..count].starts_with(b"REDIS") || magic[..count].starts_with(b"VALKEY") {
        return check_rdb(path, false, out);
    }
    let (records, last) = walk_file(path, &mut |_, _| Ok(()))?;
    let found = format!("{}: {records} records, {last}", path.display());
    say(out, &found)
}

/// Reads all of an RDB file as a start does: every value is made, no key is there twice, libraries of functions load.
///
/// - `is_base`: keys that have died count too. How many databases a server has it says itself: any that may be are right here.
fn check_rdb(path: &Path, is_base: bool, out: &mut dyn Write) -> Done {
    let fail = |reason: String| format!("{}, {reason}", path.display());
    let mut file = regular::open(path).map_err(|error| fail(error.to_string()))?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let mut progress = ToolProgress::of(path, bytes);
    let mut keys = scratch();
    let mut framer = Framer::new(true);
    let mut buffer = vec![0; 1 << 20];
    let (mut start, mut end, mut is_all) = (0, 0, false);
    let (mut keys_count, mut last_db) = (0u64, 0);
    let mut functions = Vec::new();
    let mut seen = HashSet::new();
    while !framer.is_over() {
        let offset = framer.offset();
        let next = framer.next(&buffer[start..end], is_all);
        let Some((item, consumed)) = next.map_err(|bad| fail(bad.to_string()))? else {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            if end == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            let count = file
                .read(&mut buffer[end..])
                .map_err(|error| fail(format!("at offset {offset}: {error}")))?;
            is_all = count == 0;
            end += count;
            progress.add(count as u64);
            continue;
        };
        match item {
            Item::Record { db, key, bytes } => {
                keys_count += 1;
                last_db = last_db.max(db);
                let taken = match is_base {
                    _ if db >= DATABASES_MAX => Err(NotLoaded::NoDatabase),
                    true => keys.restore_record(0, &bytes),
                    false => keys.load_record(0, &bytes, false),
                };
                let taken = match taken {
                    Ok(Loaded::Here) if !seen.insert(mark(db, &key)) => Err(NotLoaded::Duplicate),
                    taken => taken,
                };
                taken.map_err(|why| fail(format!("at offset {offset}: {}", told(why, db))))?;
                // Each makes room for the next: a table for each key would be a mapping for each.
                keys.remove(0, &keys.key(&key));
                keys.free_garbage(usize::MAX);
            }
            Item::Function(code) => functions.push(code.into_owned()),
            _ => {}
        }
        start += consumed;
    }
    functions::check(&functions).map_err(fail)?;
    let (libraries_count, bytes) = (functions.len(), framer.offset());
    let databases = match last_db {
        0..DATABASES_USUAL => String::new(),
        db => format!(", for a server of {} databases at least", db + 1),
    };
    say(
        out,
        &format!(
            "{}: {keys_count} keys, {libraries_count} libraries of functions, {bytes} bytes{databases}",
            path.display()
        ),
    )
}

/// What tells a key of a database from all others: 16 bytes, for there may be as many as fit into memory.
fn mark(db: u64, key: &[u8]) -> u128 {
    xxh3_128_with_seed(key, db)
}

/// A keyspace that values are tried in.
fn scratch() -> Keyspace {
    let mut keys = Keyspace::new(KeyspaceOptions {
        databases: 1,
        hasher: KeyHasher::random(),
        slots: SlotMap::new(1),
        shard: 0,
        seed: 0,
        access: Default::default(),
        value_bytes_max: u64::MAX >> 1,
    });
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    keys.set_now(since.unwrap_or_default().as_millis() as i64);
    keys
}

// ---- dump

fn dump(path: &Path, out: &mut dyn Write) -> Done {
    let place = match Target::at(path)? {
        Target::File(file) => {
            let write = &mut |record: &Record<'_>, at| write_record(record, at, out);
            let (records, last) = walk_file(&file, write)?;
            return say(out, &format!("# {records} records, {last}"));
        }
        Target::Logs(place) => place,
    };
    let dir = DataDir::open(&place)?;
    let Manifest { epochs } = dir.manifest()?;
    for epoch in epochs {
        if let Some(base) = &epoch.base {
            let path = dir.base_path(epoch.number, base.number);
            say(out, &format!("# base {}", shown(&path).display()))?;
        }
        for core in 0..epoch.cores {
            let end_lsn = epoch
                .ends
                .as_ref()
                .map_or(u64::MAX, |ends| ends[usize::from(core)]);
            let mut segment = 0;
            let mut result = Ok(());
            let walked = walk(&dir, &epoch, core, end_lsn, &mut |record, sequence, at| {
                if sequence != segment {
                    segment = sequence;
                    result = say(out, &format!("# {}", dir.name(epoch.number, core, segment)));
                }
                if result.is_ok() {
                    result = write_record(record, at, out);
                }
                result.is_ok()
            });
            result?;
            let (_, tail) = walked.map_err(|refusal| refusal.to_string())?;
            match &tail {
                Tail::Clean => {}
                Tail::Torn { file, offset } => {
                    say(out, &format!("# {file} is cut off at byte {offset}"))?;
                }
                Tail::Short { .. } => say(out, &format!("# {}", shortened(&tail)))?,
            }
        }
    }
    Ok(())
}

/// Walks over the records of one segment; how many there are, and how it ends.
fn walk_file(
    path: &Path,
    visit: &mut dyn FnMut(&Record<'_>, u64) -> Done,
) -> Result<(u64, String), String> {
    let fail = |reason: String| format!("{}: {reason}", path.display());
    let mut source = read_by_pieces(path, |error| fail(error.to_string()))?;
    let header = SegmentHeader::of(&mut source)?.map_err(|error| {
        fail(match error {
            HeaderError::Version(version) => format!("version {version} is not known here"),
            HeaderError::Bad => "this is neither a log's segment nor an RDB file".into(),
        })
    })?;
    // A segment by itself may begin anywhere.
    let first = crate::persist::segment::first_lsn(&mut source, &header)?.unwrap_or(1);
    let mut walk = Walk::new(&mut source, &header, first - 1);
    let mut records = 0;
    loop {
        match walk.step()? {
            Step::Record(record, at) => {
                records += 1;
                visit(&record, at)?;
            }
            Step::Sealed => return Ok((records, "sealed: the log goes on in the next one".into())),
            Step::Nothing(at) => return Ok((records, format!("which end at byte {at}"))),
            Step::Bad(at) => {
                return Err(fail(format!(
                    "after {records} records, at byte {at}, is something that is no record"
                )));
            }
        }
    }
}

fn write_record(record: &Record<'_>, at: u64, out: &mut dyn Write) -> Done {
    let header = &record.header;
    let (lsn, now_ms) = (header.lsn, header.now_ms);
    if header.kind == Kind::Effects {
        say(
            out,
            &format!("{at} record {lsn} at {now_ms} db {}", header.db),
        )?;
        return write_commands(record.payload, out);
    }
    let transaction = TransactionRecord::from_bytes(record.payload)
        .ok_or_else(|| format!("record {lsn} at byte {at} is no transaction"))?;
    let mut line = format!(
        "{at} record {lsn} at {now_ms} transaction {}",
        transaction.stamp
    );
    for dependency in &transaction.dependencies {
        line += &format!(" after core {} record {}", dependency.core, dependency.lsn);
    }
    say(out, &line)?;
    for part in &transaction.parts {
        let (shard, now_ms, db) = (part.shard, part.now_ms, part.db);
        say(out, &format!("  core {shard} at {now_ms} db {db}"))?;
        write_commands(&part.commands, out)?;
    }
    Ok(())
}

fn write_commands(commands: &[u8], out: &mut dyn Write) -> Done {
    let mut effects = Effects::new(commands);
    loop {
        let read = effects.read().map_err(|_| "its effects are no commands")?;
        let Some((effect, bytes)) = read else {
            return Ok(());
        };
        let line = match effect {
            Effect::Select(db) => format!("SELECT {db}"),
            Effect::Command => {
                let word = |span: &crate::resp::Span| {
                    let start = span.start as usize;
                    quoted(&bytes[start..start + span.len as usize])
                };
                let words: Vec<String> = effects.spans.iter().map(word).collect();
                words.join(" ")
            }
        };
        say(out, &format!("    {line}"))?;
    }
}

/// A word as redis-cli would take it.
fn quoted(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut text = String::from("\"");
    for &byte in word {
        match byte {
            b'"' => text += "\\\"",
            b'\\' => text += "\\\\",
            b'\n' => text += "\\n",
            b'\r' => text += "\\r",
            b'\t' => text += "\\t",
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text += &format!("\\x{byte:02x}"),
        }
    }
    text + "\""
}
