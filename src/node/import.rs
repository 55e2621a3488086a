//! Redis's files become a log: an append-only directory of Redis 7 and later, an append-only file of before, an RDB file.
//!
//!     appendonly.aof.manifest ─> base (RDB or commands) ─> incr, incr … ─> shards ─> one base, which is all of a new log
//!
//! Promises  all of it or nothing: the manifest is written last, only where there was none, and not for what no start would load; a
//!           file that ends in the middle of a command, as a crash leaves it, counts up to there, which is said.
//! Not here  the base's file: `persist/rdb/`; Redis's manifest: `node/redis_manifest.rs`; pieces of a file of commands: `node/command_file.rs`; running them: `shard/replay.rs`.
//! Source    Redis's manual: "Redis persistence"; files of Redis 6.2 to 8.
//! Tests     tests/server/tools.rs, tests/server/adoption.rs.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::base::load_base_from;
use super::command_file::{CommandFile, Piece};
use super::data_dir::{DataDir, FILE_MODE, remove_if_there};
use super::folder::shown;
use super::functions;
use super::mesh::now_s;
use super::options::Options;
use super::redis_manifest::files_in;
use super::regular;
use super::rewrite::next_epoch;
use super::snapshot::lock;
use super::tool_progress::ToolProgress;
use crate::base::hash::KeyHasher;
use crate::base::number::parse_i64;
use crate::keyspace::cut::CutSizes;
use crate::keyspace::{Keyspace, SlotMap, StreamValue};
use crate::persist::effects::{Effect, Effects, append};
use crate::persist::manifest::{Base, Manifest};
use crate::persist::rdb::{FileWriter, VERSION, VERSION_MAX};
use crate::resp::Args;
use crate::script::{library_name, read_payload};
use crate::shard::Shard;

type Done<T> = Result<T, String>;

/// An RDB file is told by so many bytes.
const MARK_BYTES: u64 = 6;
/// Databases that there may be where it is a server that says how many it has.
pub(super) const DATABASES_OF_TOOLS: i64 = u16::MAX as i64 / 4;
const NO_COMMAND: &str = "this is no command";
/// Commands that change no key: nobody is subscribed, and what scripts there are Redis before 7 logs for those who call them by name.
const TO_NOBODY: [&str; 3] = ["SCRIPT", "PUBLISH", "SPUBLISH"];
/// Commands of which Redis before 5 logs the call instead of what it did.
const SCRIPTS: [&str; 2] = ["EVAL", "EVALSHA"];
const A_SCRIPT: &str = "this is the call of a script, as Redis before 5 logs it, or where lua-replicate-commands is off; what it did \
     is not said here: have Redis load the file and rewrite it with BGREWRITEAOF, which leaves keys and no calls";

/// `rondo import FROM DIR`.
pub(super) fn import(from: &Path, dir: &Path, out: &mut dyn Write) -> Done<()> {
    let place = dir.join(Options::default().appenddirname);
    // Where there is nothing yet, nothing is made before all has been read.
    let opened = place.exists().then(|| without_logs(&place)).transpose()?;
    let mut imported = Imported::new(true);
    for (path, is_last) in files_of(from)? {
        let progress = Mutex::new(ToolProgress::of(&path, length_of(&path)));
        let taken = imported.take(&path, is_last, &|bytes| lock(&progress).add(bytes))?;
        drop(progress);
        say(out, &taken.told(&path))?;
    }
    let last_db = imported.last_db();
    let (dir, mut manifest) = match opened {
        Some(opened) => opened,
        None => {
            let fail = |error| format!("{}: {error}", dir.display());
            std::fs::create_dir_all(dir).map_err(fail)?;
            without_logs(&place)?
        }
    };
    let keys = imported.into_first_epoch(&dir, &mut manifest, SlotMap::new(1))?;
    let place = place.display();
    dir.set_manifest(&manifest)
        .map_err(|error| format!("cannot write the manifest in {place}: {error}"))?;
    let databases = match last_db {
        Some(db) if db as i64 >= Options::default().databases => {
            format!(" --databases {}", db + 1)
        }
        _ => String::new(),
    };
    say(
        out,
        &format!("{keys} keys are in {place}; start with --appendonly yes{databases}"),
    )
}

/// A directory that has no logs, and its manifest. Errors: there are some.
fn without_logs(place: &Path) -> Done<(DataDir, Manifest)> {
    let dir = DataDir::open(place)?;
    let manifest = dir.manifest()?;
    if manifest.epochs.is_empty() {
        return Ok((dir, manifest));
    }
    Err(format!(
        "there are logs in {} already; nothing is imported into them",
        place.display()
    ))
}

fn say(out: &mut dyn Write, line: &str) -> Done<()> {
    writeln!(out, "{line}").map_err(|error| error.to_string())
}

/// Bytes of a file, about; 0 where that cannot be told.
pub(super) fn length_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The files to be read, in order, each with whether it is the last.
pub(super) fn files_of(from: &Path) -> Done<Vec<(PathBuf, bool)>> {
    if from.is_file() && from.extension().is_none_or(|end| end != "manifest") {
        return Ok(vec![(from.to_path_buf(), true)]);
    }
    let manifest = if from.is_file() {
        from.to_path_buf()
    } else {
        let found = source_in(from)?;
        if found.extension().is_none_or(|end| end != "manifest") {
            return Ok(vec![(found, true)]);
        }
        found
    };
    let text = regular::open(&manifest).and_then(std::io::read_to_string);
    let fail = |reason: String| format!("{}: {reason}", manifest.display());
    let names = files_in(&text.map_err(|error| fail(error.to_string()))?).map_err(fail)?;
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let last = names.len().saturating_sub(1);
    let numbered = names.iter().enumerate();
    Ok(numbered
        .map(|(index, name)| (folder.join(name), index == last))
        .collect())
}

/// What a Redis would begin with in a directory: the one manifest in it, or in the usual one below it; else what was the append-only
/// file before Redis 7; else the RDB file.
fn source_in(from: &Path) -> Done<PathBuf> {
    for dir in [from.to_path_buf(), from.join("appendonlydir")] {
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if dir == from || error.kind() != ErrorKind::NotFound => {
                return Err(format!("{}: {error}", dir.display()));
            }
            entries => entries.into_iter().flatten().flatten(),
        };
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        let is_own = (found.iter()).any(|path| path.file_name() == Some(OsStr::new("manifest")));
        found.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // One that begins so was being written when Redis ended. A folder is none; a link may be one, and what it names is beside
            // the link.
            name.ends_with(".manifest") && !name.starts_with("temp-") && !path.is_dir()
        });
        found.sort();
        match found.as_slice() {
            [] if is_own => {
                let place = dir.display();
                return Err(format!(
                    "{place}: the logs in it are rondo's own: a server starts with them as they are"
                ));
            }
            [] => {}
            [_] => return Ok(found.remove(0)),
            [first, ..] => {
                let all: Vec<String> = found
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let (all, first) = (all.join(", "), first.display());
                return Err(format!(
                    "there are several manifests, each of which says which files count: {all}; name the one that holds: rondo import {first} DIR"
                ));
            }
        }
    }
    let usual = Options::default();
    let names = [usual.held_text("appendfilename"), usual.dbfilename];
    let mut files = names.iter().map(|name| from.join(name));
    files.find(|file| file.is_file()).ok_or_else(|| {
        format!(
            "{} has no manifest of Redis's in it, and no {}",
            from.display(),
            names.join(" or ")
        )
    })
}

/// How much of a file counts.
pub(super) struct Taken {
    /// Bytes of it.
    bytes: u64,
    /// Where something begins that is not all there; none: all of it counts.
    pub(super) cut: Option<u64>,
}

impl Taken {
    /// In words.
    pub(super) fn told(&self, path: &Path) -> String {
        let path = path.display();
        match self.cut {
            None => format!("{path}: {} bytes", self.bytes),
            Some(at) => format!(
                "{path}: it ends in the middle of what begins at byte {at}; what is before that counts"
            ),
        }
    }
}

/// All keys so far.
pub(super) struct Imported {
    shards: Vec<Shard>,
    functions: Vec<Vec<u8>>,
    db: u16,
    checks: bool,
}

impl Imported {
    /// - `checks`: `rdbchecksum`.
    pub(super) fn new(checks: bool) -> Self {
        let options = Options {
            databases: DATABASES_OF_TOOLS,
            ..Options::default()
        };
        let keys =
            super::settings::keyspace_options(&options, &KeyHasher::random(), SlotMap::new(1), 0);
        let mut shard = Shard::new(0, Keyspace::new(keys));
        super::settings::apply_to_shard(&options, &mut shard);
        shard.keys.set_value_bytes_max(u64::MAX >> 1);
        Self {
            shards: vec![shard],
            functions: Vec::new(),
            db: 0,
            checks,
        }
    }

    /// Reads one file: an RDB file, commands, or the first and then the second.
    ///
    /// - `is_last`: it may end in the middle of something.
    /// - `progress`: told of bytes.
    /// - Errors: a sentence for the operator, with the file.
    pub(super) fn take(
        &mut self,
        path: &Path,
        is_last: bool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Done<Taken> {
        let fail = |reason: String| format!("{}, {reason}", path.display());
        let unread = |error: std::io::Error| fail(error.to_string());
        let mut file = regular::open(path).map_err(unread)?;
        let bytes = length_of(path);
        let mut head = Vec::new();
        (&mut file)
            .take(MARK_BYTES)
            .read_to_end(&mut head)
            .map_err(unread)?;
        file.rewind().map_err(unread)?;
        let mut start = 0;
        if head.starts_with(b"REDIS") || head.starts_with(b"VALKEY") {
            let taken = load_base_from(&mut file, bytes, self.checks, &mut self.shards, progress);
            let taken = taken.map_err(fail)?;
            self.functions = taken.functions.codes;
            start = taken.bytes;
            file.seek(SeekFrom::Start(start)).map_err(unread)?;
        }
        // Each file begins in database 0.
        self.db = 0;
        let mut commands = CommandFile::new(file, start);
        let cut = self
            .run(&mut commands, progress)
            .map_err(|reason| fail(format!("at offset {}: {reason}", commands.offset())))?;
        functions::check(&self.functions).map_err(fail)?;
        match cut {
            Some(at) if !is_last => Err(fail(format!(
                "it ends in the middle of what begins at byte {at}"
            ))),
            cut => Ok(Taken { bytes, cut }),
        }
    }

    /// Runs commands; where they stop being whole, if they do. Errors: why the one that is next cannot be run.
    fn run(
        &mut self,
        commands: &mut CommandFile<File>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Done<Option<u64>> {
        // What a MULTI has queued: all of it or nothing.
        let mut block: Option<(u64, Vec<u8>)> = None;
        let mut now_ms = 0;
        loop {
            let at = commands.offset();
            let count = match commands.next().map_err(|error| error.to_string())? {
                Piece::End => return Ok(block.map(|(start, _)| start)),
                Piece::Cut => return Ok(Some(block.map_or(at, |(start, _)| start))),
                Piece::Bad => return Err(NO_COMMAND.into()),
                Piece::Note(count) => {
                    let line = String::from_utf8_lossy(&commands.bytes()[..count]);
                    if let Some(seconds) = line.trim().strip_prefix("#TS:") {
                        now_ms = seconds.parse::<i64>().unwrap_or(0).saturating_mul(1000);
                    }
                    count
                }
                Piece::Command(count) => {
                    self.run_one(&commands.bytes()[..count], at, now_ms, &mut block)?;
                    progress(count as u64);
                    count
                }
            };
            commands.take(count);
        }
    }

    /// Runs the command that begins at `at`, or puts it into the block that has begun.
    fn run_one(
        &mut self,
        command: &[u8],
        at: u64,
        now_ms: i64,
        block: &mut Option<(u64, Vec<u8>)>,
    ) -> Done<()> {
        let mut effects = Effects::new(command);
        let Some((effect, of)) = effects.read().map_err(|_| NO_COMMAND)? else {
            return Ok(());
        };
        let args = Args::new(of, &effects.spans);
        if matches!(effect, Effect::Command) && args.is(0, "MULTI") {
            *block = Some((at, Vec::new()));
        } else if matches!(effect, Effect::Command) && args.is(0, "EXEC") {
            if let Some((_, commands)) = block.take() {
                self.replay(now_ms, &commands)?;
            }
        } else if let Some((_, commands)) = block {
            commands.extend_from_slice(command);
        } else {
            self.replay(now_ms, command)?;
        }
        Ok(())
    }

    fn replay(&mut self, now_ms: i64, commands: &[u8]) -> Result<(), String> {
        let mut effects = Effects::new(commands);
        while let Some((effect, bytes)) = effects.read().map_err(|_| NO_COMMAND)? {
            if let Effect::Select(db) = effect {
                self.db = db;
                continue;
            }
            let args = Args::new(bytes, &effects.spans);
            if args.is(0, "FUNCTION") && args.len() > 1 {
                self.function(&args)?;
                continue;
            }
            if TO_NOBODY.iter().any(|name| args.is(0, name)) {
                continue;
            }
            if SCRIPTS.iter().any(|name| args.is(0, name)) {
                return Err(A_SCRIPT.into());
            }
            // No time has come yet for any deadline; but a claim is not taken for one of the future.
            let now_ms = time_of_claim(&args).map_or(now_ms, |time_ms| time_ms.max(now_ms));
            let mut one = Vec::new();
            let mut words: Vec<&[u8]> = args.iter_from(0).collect();
            let name = words[0].to_ascii_uppercase();
            if matches!(name.as_slice(), b"XADD" | b"XTRIM") {
                let options = StreamOptions::of(&words);
                if options.is_known(&words) {
                    continue;
                }
                options.forget_limit(&mut words);
            }
            let words = std::iter::once(name.as_slice()).chain(words[1..].iter().copied());
            append(&mut one, words.collect::<Vec<_>>().into_iter());
            self.shards[0]
                .replay_commands(self.db, now_ms, &one)
                .map_err(|error| error.reason)?;
            if name == b"XGROUP" && args.len() == 5 && args.is(1, "CREATECONSUMER") {
                self.see_consumer(&args);
            }
        }
        Ok(())
    }

    /// Redis logs no time with a consumer that is made; it has been seen when the file is read.
    fn see_consumer(&mut self, args: &Args<'_>) {
        let now_ms = now_s().saturating_mul(1000);
        let keys = &mut self.shards[0].keys;
        let key = keys.key(args.get(2));
        if let Ok(Some(mut held)) = keys.write::<StreamValue>(usize::from(self.db), &key, true)
            && let Some((_, mut group)) = held.get_mut().group_mut(args.get(3))
            && let Some(number) = group.find(args.get(4))
        {
            group.see(number, now_ms);
        }
    }

    fn function(&mut self, args: &Args<'_>) -> Result<(), String> {
        if args.is(1, "LOAD") {
            let code = args.get(args.len() - 1);
            let name = library_name(code);
            self.functions.retain(|known| library_name(known) != name);
            self.functions.push(code.to_vec());
        } else if args.is(1, "DELETE") && args.len() > 2 {
            let name = args.get(2);
            self.functions
                .retain(|known| library_name(known).as_deref() != Some(name));
        } else if args.is(1, "FLUSH") {
            self.functions.clear();
        } else if args.is(1, "RESTORE") && args.len() > 2 {
            let codes = read_payload(args.get(2))
                .map_err(|text| format!("FUNCTION RESTORE failed: {text}"))?;
            if args.len() > 3 && args.is(3, "FLUSH") {
                self.functions.clear();
            }
            for code in codes {
                let name = library_name(&code);
                self.functions.retain(|known| library_name(known) != name);
                self.functions.push(code);
            }
        } else {
            return Err(NO_COMMAND.into());
        }
        Ok(())
    }

    /// The last database that has keys.
    pub(super) fn last_db(&self) -> Option<usize> {
        let keys = &self.shards[0].keys;
        (0..keys.databases_count())
            .rev()
            .find(|&db| keys.keys_count(db) > 0)
    }

    /// They are the base of the next epoch in the manifest, which is for the caller to write: the file is durable. How many keys there
    /// are.
    ///
    /// - `map`: of that epoch; keys need not be dealt where the next one has the same.
    /// - Errors: a sentence for the operator; no file is left.
    pub(super) fn into_first_epoch(
        self,
        dir: &DataDir,
        manifest: &mut Manifest,
        map: SlotMap,
    ) -> Done<u64> {
        let mut epoch = next_epoch(manifest, map);
        // Logs that never had a base in force may have left files: they are none of this one's.
        epoch.number = epoch.number.max(dir.last_epoch_named() + 1);
        let none = vec![0; usize::from(epoch.cores)];
        epoch.base = Some(Base {
            number: 1,
            lsns: none.clone(),
        });
        epoch.ends = Some(none);
        let path = dir.base_path(epoch.number, 1);
        let keys = self.write(&path).map_err(|error| {
            let _ = remove_if_there(&path);
            format!("{}: {error}", shown(&path).display())
        })?;
        manifest.epochs.push(epoch);
        Ok(keys)
    }

    /// Writes all keys as a base; how many there are.
    fn write(mut self, path: &Path) -> std::io::Result<u64> {
        let keys = &mut self.shards[0].keys;
        let CutSizes {
            databases,
            has_dated_hashes,
        } = keys.cut(true);
        let count = databases.iter().map(|(_, keys, _)| keys).sum();
        let version = if has_dated_hashes {
            VERSION_MAX
        } else {
            VERSION
        };
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        let mut out = BufWriter::new(options.mode(FILE_MODE).open(path)?);
        let mut writer = FileWriter::new(true, databases);
        out.write_all(&writer.head(version, &[("aof-base", "1".to_string())], &self.functions))?;
        let mut is_over = false;
        while !is_over {
            let mut chunks = Vec::new();
            is_over = keys.cut_step(1 << 20, &mut chunks);
            for chunk in chunks {
                out.write_all(&writer.select(chunk.db))?;
                writer.records(&chunk.bytes);
                out.write_all(&chunk.bytes)?;
            }
        }
        out.write_all(&writer.end())?;
        out.flush()?;
        out.get_ref().sync_all()?;
        Ok(count)
    }
}

/// Where the options of an XADD or XTRIM are among its words.
#[derive(Default)]
struct StreamOptions {
    limit: Option<usize>,
    has_exact_trim: bool,
    names_request: bool,
    end: usize,
}

impl StreamOptions {
    fn of(words: &[&[u8]]) -> Self {
        let mut options = Self {
            end: 2,
            ..Self::default()
        };
        while let Some(word) = words.get(options.end) {
            options.end += match word.to_ascii_uppercase().as_slice() {
                b"NOMKSTREAM" | b"KEEPREF" | b"DELREF" | b"ACKED" => 1,
                name @ (b"IDMPAUTO" | b"IDMP") => {
                    options.names_request = true;
                    if name == b"IDMP" { 3 } else { 2 }
                }
                b"MAXLEN" | b"MINID" => match words.get(options.end + 1).copied() {
                    Some(b"=") => {
                        options.has_exact_trim = true;
                        3
                    }
                    Some(b"~") => 3,
                    _ => 2,
                },
                b"LIMIT" => {
                    options.limit = Some(options.end);
                    2
                }
                // What is added begins.
                _ => break,
            };
        }
        options
    }

    /// Whether it is a request that had been sent before: of one that added something Redis logs the id.
    fn is_known(&self, words: &[&[u8]]) -> bool {
        self.names_request && words.get(self.end) == Some(&&b"*"[..])
    }

    /// Redis logs a trim that was approximate as the exact one that came of it, and leaves its LIMIT there, which no client may say
    /// with an exact one.
    fn forget_limit(&self, words: &mut Vec<&[u8]>) {
        if let Some(at) = self.limit
            && self.has_exact_trim
            && at + 2 <= words.len()
        {
            words.drain(at..at + 2);
        }
    }
}

/// When the entries of an `XCLAIM` were delivered: Redis logs every delivery of XREADGROUP so. Their stream was alive then.
fn time_of_claim(args: &Args<'_>) -> Option<i64> {
    if !args.is(0, "XCLAIM") {
        return None;
    }
    let index = (5..args.len().saturating_sub(1)).find(|&index| args.is(index, "TIME"))?;
    parse_i64(args.get(index + 1))
}
