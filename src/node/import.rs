//! Redis's files become a log: an append-only directory of Redis 7 and later, an append-only file of before, an RDB file.
//!
//!     appendonly.aof.manifest ─> base (RDB or commands) ─> incr, incr … ─> shards ─> one base, which is all of a new log
//!
//! Promises  all of it or nothing: the manifest is written last, and only where there was none; a file that ends in the
//!           middle of a command, as a crash leaves it, counts up to there, which is said.
//! Not here  the base's file: `persist/rdb/`; running commands: `shard/replay.rs`.
//! Source    Redis's manual: "Redis persistence"; files of Redis 6.2 to 8.
//! Tests     tests/server/tools.rs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::base::load_base_from;
use super::data_dir::DataDir;
use super::options::Options;
use super::rewrite::next_epoch;
use super::snapshot::lock;
use super::tool_progress::ToolProgress;
use crate::base::hash::KeyHasher;
use crate::base::number::parse_i64;
use crate::keyspace::cut::CutSizes;
use crate::keyspace::{Keyspace, SlotMap};
use crate::persist::effects::{Effect, Effects, append};
use crate::persist::manifest::Base;
use crate::persist::rdb::{FileWriter, VERSION, VERSION_MAX};
use crate::resp::Args;
use crate::script::library_name;
use crate::shard::Shard;

type Done<T> = Result<T, String>;

/// `rondo import FROM DIR`.
pub(super) fn import(from: &Path, dir: &Path, out: &mut dyn Write) -> Done<()> {
    let place = dir.join(Options::default().appenddirname);
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let dir = DataDir::open(&place)?;
    let mut manifest = dir.manifest()?;
    if !manifest.epochs.is_empty() {
        return Err(format!(
            "there are logs in {} already; nothing is imported into them",
            place.display()
        ));
    }
    let mut imported = Imported::new();
    for (path, is_last) in files_of(from)? {
        imported.take(&path, is_last, out)?;
    }
    let mut epoch = next_epoch(&manifest, SlotMap::new(1));
    epoch.base = Some(Base {
        number: 1,
        lsns: vec![0],
    });
    epoch.ends = Some(vec![0]);
    let path = dir.base_path(epoch.number, 1);
    let keys = imported
        .write(&path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    manifest.epochs.push(epoch);
    dir.set_manifest(&manifest)
        .map_err(|error| format!("cannot write the manifest in {}: {error}", place.display()))?;
    let line = format!(
        "{keys} keys are in {}; start with --appendonly yes",
        place.display()
    );
    writeln!(out, "{line}").map_err(|error| error.to_string())
}

/// The files to be read, in order, each with whether it is the last.
fn files_of(from: &Path) -> Done<Vec<(PathBuf, bool)>> {
    if from.is_file() && from.extension().is_none_or(|end| end != "manifest") {
        return Ok(vec![(from.to_path_buf(), true)]);
    }
    let manifest = if from.is_file() {
        from.to_path_buf()
    } else {
        let below = from.join("appendonlydir");
        let mut found = [from.to_path_buf(), below]
            .into_iter()
            .filter_map(|dir| std::fs::read_dir(dir).ok())
            .flat_map(|entries| entries.flatten())
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "manifest"));
        let none = || format!("{} has no manifest of Redis's in it", from.display());
        found.next().ok_or_else(none)?
    };
    let fail = |what: &str| format!("{}: {what}", manifest.display());
    let text = std::fs::read_to_string(&manifest).map_err(|error| fail(&error.to_string()))?;
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let mut files: Vec<(u8, u64, PathBuf)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let words = super::option_values::split_words(line.as_bytes());
        let words = words.ok_or_else(|| fail("a line of it cannot be read"))?;
        let value = |name: &str| {
            let mut pairs = words.chunks(2);
            let pair = pairs.find(|pair| pair[0] == name)?;
            pair.get(1).cloned()
        };
        let (Some(name), Some(sequence), Some(kind)) = (value("file"), value("seq"), value("type"))
        else {
            return Err(fail("a line of it has no file, seq and type"));
        };
        let sequence = sequence.parse().map_err(|_| fail("a seq is no number"))?;
        match kind.as_str() {
            "b" => files.push((0, sequence, folder.join(name))),
            "i" => files.push((1, sequence, folder.join(name))),
            "h" => {} // History: not needed any more.
            _ => return Err(fail("a file is of a type that is not known")),
        }
    }
    files.sort();
    let last = files.len().saturating_sub(1);
    let numbered = files.into_iter().enumerate();
    Ok(numbered
        .map(|(index, (_, _, path))| (path, index == last))
        .collect())
}

/// All keys so far.
struct Imported {
    shards: Vec<Shard>,
    functions: Vec<Vec<u8>>,
    db: u16,
}

impl Imported {
    fn new() -> Self {
        let options = Options {
            databases: i64::from(u16::MAX) / 4,
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
        }
    }

    /// Reads one file: an RDB file, commands, or the first and then the second.
    fn take(&mut self, path: &Path, is_last: bool, out: &mut dyn Write) -> Done<()> {
        let fail = |reason: String| format!("{}, {reason}", path.display());
        let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        let mut rest = bytes.as_slice();
        let progress = Mutex::new(ToolProgress::of(path, bytes.len() as u64));
        if bytes.starts_with(b"REDIS") || bytes.starts_with(b"VALKEY") {
            let tell = |count| lock(&progress).add(count);
            let taken = load_base_from(&mut rest, bytes.len() as u64, &mut self.shards, &tell)
                .map_err(fail)?;
            self.functions = taken.functions.codes;
            rest = &bytes[taken.bytes as usize..];
        }
        // Each file begins in database 0.
        self.db = 0;
        let start = bytes.len() - rest.len();
        let stop = self
            .run(rest, &mut lock(&progress))
            .map_err(|(at, reason)| fail(format!("at offset {}: {reason}", start + at)))?;
        drop(progress);
        let line = match stop {
            None => format!("{}: {} bytes", path.display(), bytes.len()),
            Some(at) if is_last => format!(
                "{}: it ends in the middle of what begins at byte {}; what is before that counts",
                path.display(),
                start + at
            ),
            Some(at) => {
                return Err(fail(format!(
                    "it ends in the middle of what begins at byte {}",
                    start + at
                )));
            }
        };
        writeln!(out, "{line}").map_err(|error| error.to_string())
    }

    /// Runs commands; where they stop being whole, if they do. Errors: where, and why.
    fn run(
        &mut self,
        bytes: &[u8],
        progress: &mut ToolProgress,
    ) -> Result<Option<usize>, (usize, String)> {
        let mut at = 0;
        // What a MULTI has queued: all of it or nothing.
        let mut block: Option<(usize, Vec<u8>)> = None;
        let mut now_ms = 0;
        while at < bytes.len() {
            if bytes[at] == b'#' {
                // `#TS:` and a time, or another note.
                let Some(end) = bytes[at..].iter().position(|&byte| byte == b'\n') else {
                    return Ok(Some(block.map_or(at, |(start, _)| start)));
                };
                let line = String::from_utf8_lossy(&bytes[at..at + end]);
                if let Some(seconds) = line.trim().strip_prefix("#TS:") {
                    now_ms = seconds.parse::<i64>().unwrap_or(0).saturating_mul(1000);
                }
                at += end + 1;
                continue;
            }
            let length = match command_length(&bytes[at..]) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(Some(block.map_or(at, |(start, _)| start))),
                Err(()) => return Err((at, "this is no command".into())),
            };
            let command = &bytes[at..at + length];
            let mut effects = Effects::new(command);
            let read = effects
                .read()
                .map_err(|_| (at, "this is no command".to_string()))?;
            if let Some((effect, of)) = read {
                let args = Args::new(of, &effects.spans);
                if matches!(effect, Effect::Command) && args.is(0, "MULTI") {
                    block = Some((at, Vec::new()));
                } else if matches!(effect, Effect::Command) && args.is(0, "EXEC") {
                    if let Some((_, commands)) = block.take() {
                        self.replay(now_ms, &commands)
                            .map_err(|reason| (at, reason))?;
                    }
                } else if let Some((_, commands)) = &mut block {
                    commands.extend_from_slice(command);
                } else {
                    self.replay(now_ms, command)
                        .map_err(|reason| (at, reason))?;
                }
            }
            at += length;
            progress.add(length as u64);
        }
        Ok(block.map(|(start, _)| start))
    }

    fn replay(&mut self, now_ms: i64, commands: &[u8]) -> Result<(), String> {
        let mut effects = Effects::new(commands);
        let no_command = |_| "this is no command".to_string();
        while let Some((effect, bytes)) = effects.read().map_err(no_command)? {
            if let Effect::Select(db) = effect {
                self.db = db;
                continue;
            }
            let args = Args::new(bytes, &effects.spans);
            if args.is(0, "FUNCTION") && args.len() > 1 {
                self.function(&args)?;
                continue;
            }
            // No time has come yet for any deadline; but a claim is not taken for one of the future.
            let now_ms = time_of_claim(&args).map_or(now_ms, |time_ms| time_ms.max(now_ms));
            let mut one = Vec::new();
            let words: Vec<&[u8]> = args.iter_from(0).collect();
            let name = words[0].to_ascii_uppercase();
            let words = std::iter::once(name.as_slice()).chain(words[1..].iter().copied());
            append(&mut one, words.collect::<Vec<_>>().into_iter());
            self.shards[0]
                .replay_commands(self.db, now_ms, &one)
                .map_err(|error| error.reason)?;
        }
        Ok(())
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
        } else {
            return Err("FUNCTION RESTORE cannot be imported; let Redis rewrite the file first (BGREWRITEAOF)".into());
        }
        Ok(())
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
        let mut out = BufWriter::new(File::create(path)?);
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

/// Bytes of the command that `bytes` begin with; none: it is not all there. Errors: it is none.
fn command_length(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let number = |at: usize, mark: u8| -> Result<Option<(usize, usize)>, ()> {
        let Some(&first) = bytes.get(at) else {
            return Ok(None);
        };
        if first != mark {
            return Err(());
        }
        let Some(end) = bytes[at..].iter().take(24).position(|&byte| byte == b'\n') else {
            return if bytes.len() - at < 24 {
                Ok(None)
            } else {
                Err(())
            };
        };
        let digits = bytes[at + 1..at + end].strip_suffix(b"\r").ok_or(())?;
        let number = crate::base::number::parse_i64(digits).ok_or(())?;
        Ok(Some((
            usize::try_from(number).map_err(|_| ())?,
            at + end + 1,
        )))
    };
    let Some((count, mut at)) = number(0, b'*')? else {
        return Ok(None);
    };
    for _ in 0..count {
        let Some((length, next)) = number(at, b'$')? else {
            return Ok(None);
        };
        at = next
            .checked_add(length)
            .and_then(|end| end.checked_add(2))
            .ok_or(())?;
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// When the entries of an `XCLAIM` were delivered: Redis logs every delivery of XREADGROUP so. Their stream was alive then.
fn time_of_claim(args: &Args<'_>) -> Option<i64> {
    if !args.is(0, "XCLAIM") {
        return None;
    }
    let index = (5..args.len().saturating_sub(1)).find(|&index| args.is(index, "TIME"))?;
    parse_i64(args.get(index + 1))
}
