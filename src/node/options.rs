//! The option table: what can be configured, and the typed values the node works with.
//!
//! One row per option serves the file, the command line, CONFIG GET, CONFIG SET and `--help`. An option that Redis has and
//! rondo does not act on is one of two things, and its row says which: *idle*, when nothing it could promise is affected
//! (what paces a cycle that rondo has not), or *fixed*, when asking for anything else would be a promise not kept;
//! that is refused by name, with the reason. The thresholds of encodings are held as text and put in force by
//! `Options::encoding_limits`.
//!
//! Promises  a value that was accepted reads back through CONFIG GET as Redis would print it; `set` leaves everything as it
//!           was on error.
//! Not here  the rows: `node/option_table.rs` and `node/option_held.rs`; files and flags: `node/config_file.rs`, `node/cli.rs`.
//! Tests     tests/node/options.rs: every default survives GET, SET, a file and the command line; error texts.

use super::option_held::HELD;
use super::option_table::{OWN, defaults};
use super::option_values::{
    memory_bytes, parse_bool, parse_cpus, parse_integer, parse_memory, parse_octal, quote,
    split_words,
};
use crate::base::glob::glob_match;
use crate::commands::rename::Renames;
use crate::keyspace::{Classes, KeyGroups};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Every option's value. Integer fields are inside their row's range.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// TCP port, 0 for none.
    pub port: i64,
    /// Addresses to listen on; a leading `-` means: go on where it cannot be bound, `*` every IPv4, `::*` every IPv6 address.
    pub bind: Vec<String>,
    /// Path of the Unix socket, empty for none.
    pub unixsocket: String,
    /// Permissions of the Unix socket, 0 to leave them to the umask.
    pub unixsocketperm: i64,
    /// The group it belongs to, empty for the process's.
    pub unixsocketgroup: String,
    /// What clients are told of where the server stands, empty for nothing.
    pub availability_zone: String,
    /// What hashes of keys are made with, empty for something random.
    pub hash_seed: String,
    /// Seconds after which certificates and keys are read again, 0 for never.
    pub tls_auto_reload_interval: i64,
    /// Working directory.
    pub dir: String,
    /// Shard threads, 1 to 1,024; 0 until the command line is read means: as many as the process may run on.
    pub threads: i64,
    /// `auto`, `yes` or `no`: whether each thread stays on one core.
    pub pin_threads: &'static str,
    /// Which keys live together.
    pub key_groups: KeyGroups,
    /// Most clients at a time, 1 or more.
    pub maxclients: i64,
    /// Milliseconds that a script may run before other clients are told that it does, 0 or less for ever.
    pub busy_reply_threshold: i64,
    /// Seconds of silence after which a client is disconnected, 0 for never.
    pub timeout: i64,
    /// Seconds between keepalive probes, 0 for none.
    pub tcp_keepalive: i64,
    /// Length of the listen queue.
    pub tcp_backlog: i64,
    /// The password of the user `default`, empty for none.
    pub requirepass: String,
    /// `user` lines of the configuration: names and rules.
    pub users: Vec<(String, Vec<String>)>,
    /// `rename-command` lines.
    pub renames: Renames,
    /// The file of users, empty for none.
    pub aclfile: String,
    /// Most entries of ACL LOG.
    pub acllog_max_len: i64,
    /// `allchannels` or `resetchannels`: which channels a new user hears.
    pub acl_pubsub_default: &'static str,
    /// Logical databases, 1 to 65,535.
    pub databases: i64,
    /// Background cycles a second, 1 to 500.
    pub hz: i64,
    /// `debug`, `verbose`, `notice`, `warning` or `nothing`.
    pub loglevel: &'static str,
    /// Log file, empty for standard output.
    pub logfile: String,
    /// `text` or `json`.
    pub log_format: &'static str,
    /// Of the lines of two forms.
    pub log_timestamp_format: &'static str,
    /// The port of the HTTP figures, 0 for none.
    pub metrics_port: i64,
    /// The address they are served on.
    pub metrics_bind: String,
    /// File the process id is written to, empty for none.
    pub pidfile: String,
    /// `no`, `yes` or `local`: who may use DEBUG.
    pub enable_debug_command: &'static str,
    /// `no`, `yes` or `local`: who may set protected options.
    pub enable_protected_configs: &'static str,
    /// Whether only local clients are served while there is no password.
    pub protected_mode: bool,
    /// Longest word of a request in bytes, 1 MiB or more.
    pub proto_max_bulk_len: i64,
    /// Most bytes of a request that is not complete, 1 MiB or more.
    pub client_query_buffer_limit: i64,
    /// Output limits of normal, replica and pub/sub clients, in that order.
    pub client_output_buffer_limit: [OutputLimit; 3],
    /// Which keys are given up for others; drives what access clocks mean (OBJECT FREQ).
    pub maxmemory_policy: &'static str,
    /// How slowly access counters grow.
    pub lfu_log_factor: i64,
    /// Minutes after which an access counter is lowered.
    pub lfu_decay_time: i64,
    /// Whether FLUSHALL without a word is ASYNC.
    pub lazyfree_lazy_user_flush: bool,
    /// How much CPU expiry may take, 1 to 10.
    pub active_expire_effort: i64,
    /// Whether latencies are measured per command.
    pub latency_tracking: bool,
    /// Percentiles INFO latencystats prints, 0 to 100 each.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Seconds SHUTDOWN waits for what is in flight.
    pub shutdown_timeout: i64,
    /// Save points: seconds, and changes in them.
    pub save: Vec<(i64, i64)>,
    /// The RDB file, in `dir`.
    pub dbfilename: String,
    /// Whether long strings are compressed in it.
    pub rdbcompression: bool,
    /// Whether it ends in a checksum, and that is looked at.
    pub rdbchecksum: bool,
    /// Whether writes are refused while snapshots fail.
    pub stop_writes_on_bgsave_error: bool,
    /// Whether there is an append-only log.
    pub appendonly: bool,
    /// `always`, `everysec` or `no`: when what is logged is durable.
    pub appendfsync: &'static str,
    /// The directory of the logs, in the working directory.
    pub appenddirname: String,
    /// `backupdirname`: the folder of BACKUP, inside `dir`.
    pub backupdirname: String,
    /// `backup-sealed-ttl`: seconds that a sealed backup is kept; 0: until it is cleaned up.
    pub backup_sealed_ttl: i64,
    /// Whether a log may end in a write that was cut off.
    pub aof_load_truncated: bool,
    /// What keyspace notifications are made of.
    pub notify_keyspace_events: Classes,
    /// Most keys that are tracked for clients' caches, on all shards together; 0 for no limit.
    pub tracking_table_max_keys: i64,
    /// The logs are rewritten when they have grown by so much since the last time, in percent; 0: they are not.
    pub auto_aof_rewrite_percentage: i64,
    /// And have so many bytes.
    pub auto_aof_rewrite_min_size: i64,
    /// Values of held and fixed options that differ from their defaults, by name.
    pub held: BTreeMap<&'static str, String>,
}

impl Default for Options {
    fn default() -> Self {
        defaults()
    }
}

/// One client class's output limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which a client is disconnected at once, 0 for never.
    pub hard_bytes: u64,
    /// Bytes at which it is disconnected after `soft_seconds`, 0 for never.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// Access to one field of [`Options`].
pub struct Field<T: 'static> {
    /// Reads it.
    pub read: fn(&Options) -> &T,
    /// Lends it for a change.
    pub write: fn(&mut Options) -> &mut T,
}

// Derived, these would ask for `T: Copy`, which two function pointers do not need.
impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Field<T> {}

/// What a value is and where it lives.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Bool(Field<bool>),
    /// An integer in a range.
    Int {
        /// Where it lives.
        field: Field<i64>,
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// Bytes, with units.
    Memory {
        /// Where it lives.
        field: Field<i64>,
        /// Least value.
        min: i64,
    },
    /// Permissions.
    Octal(Field<i64>),
    /// One of some words.
    Enum {
        /// Where it lives.
        field: Field<&'static str>,
        /// What may be said.
        names: &'static [&'static str],
    },
    /// Anything.
    Text(Field<String>),
    /// Several words.
    Words(Field<Vec<String>>),
    /// Something with rules of its own.
    Special {
        /// Its text.
        get: fn(&Options) -> String,
        /// Takes words.
        set: fn(&mut Options, &[String]) -> Result<(), String>,
    },
    /// Checked and remembered, nothing else.
    Held(Check),
}

/// What a held option's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Check {
    Bool,
    Int(i64, i64),
    /// Bytes, at least so many.
    Memory(i64),
    /// Bytes, up to 2^64 - 1; what is more is taken for that.
    MemoryUnsigned,
    /// Bytes, of which there are always so many, whatever is said.
    MemoryRaised(i64),
    /// Bytes, or -1.
    MemorySigned,
    /// Bytes, or a percentage.
    MemoryOrPercent,
    Enum(&'static [&'static str]),
    /// One or more of some words.
    Words(&'static [&'static str]),
    /// Three numbers from -2,000 to 2,000.
    Scores,
    /// CPUs, as `parse_cpus` reads them.
    Cpus,
    /// A template of the process title.
    Title,
    /// Another server and its port, or `no one`.
    Primary,
    /// Letters, digits, hyphens and dots.
    HostName,
    /// An address, or nothing.
    Ipv4,
    Ipv6,
    /// Anything but what parts the fields of a list of nodes.
    NodeName,
    /// A name without a path.
    FileName,
    Text,
}

/// Where `--help` shows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Topic {
    Network,
    General,
    Threads,
    Security,
    Memory,
    Limits,
    Persistence,
    Other,
}

/// One row.
#[derive(Clone, Copy)]
pub struct OptionSpec {
    /// Lower case.
    pub name: &'static str,
    /// The name older releases used, empty for none.
    pub alias: &'static str,
    /// What it is and where it lives.
    pub kind: Kind,
    /// Its default as CONFIG GET prints it.
    pub default: &'static str,
    /// Whether CONFIG SET may change it while the server runs.
    pub live: bool,
    /// Whether CONFIG SET needs `enable-protected-configs`.
    pub protected: bool,
    /// Whether several words are one value (`bind`, `save`).
    pub multi: bool,
    /// How many of those words a line of the file holds, 0 for all.
    pub words_per_line: usize,
    /// Values other than these are refused, and why; empty for no such rule.
    pub only: (&'static [&'static str], &'static str),
    /// Why it has no effect here and none is missed; empty where it has one.
    pub idle: &'static str,
    /// Why CONFIG SET, live as it is, takes only the value there is; empty for no such rule.
    pub settled: &'static str,
    /// Whether CONFIG GET tells it only by its whole name: switches for tests.
    pub hidden: bool,
    /// Where `--help` shows it.
    pub topic: Topic,
    /// One line for `--help`; empty for options that `--help` leaves out.
    pub help: &'static str,
}

/// Every row: rondo's own and those it acts on first, then the held and fixed ones.
pub fn specs() -> impl Iterator<Item = &'static OptionSpec> {
    OWN.iter().chain(HELD)
}

/// The row of an option by name or alias, in any case.
pub fn find(name: &[u8]) -> Option<&'static OptionSpec> {
    specs().find(|spec| {
        spec.name.as_bytes().eq_ignore_ascii_case(name)
            || (!spec.alias.is_empty() && spec.alias.as_bytes().eq_ignore_ascii_case(name))
    })
}

impl OptionSpec {
    /// The value as CONFIG GET prints it.
    pub fn get(&self, options: &Options) -> String {
        match self.kind {
            Kind::Bool(field) => if *(field.read)(options) { "yes" } else { "no" }.to_string(),
            Kind::Int { field, .. } | Kind::Memory { field, .. } => {
                (field.read)(options).to_string()
            }
            Kind::Octal(field) => format!("{:o}", (field.read)(options)),
            Kind::Enum { field, .. } => (*(field.read)(options)).to_string(),
            Kind::Text(field) => (field.read)(options).clone(),
            Kind::Words(field) => (field.read)(options).join(" "),
            Kind::Special { get, .. } => get(options),
            Kind::Held(_) => match options.held.get(self.name) {
                Some(value) => value.clone(),
                None => self.default.to_string(),
            },
        }
    }

    /// Takes the words after the option's name (one, unless `multi`).
    ///
    /// Errors: the reason in Redis's words, or why rondo refuses it; `options` is then unchanged.
    pub fn set(&self, options: &mut Options, words: &[String]) -> Result<(), String> {
        let word = match words {
            [word] => word.as_str(),
            _ if self.multi => "",
            _ => return Err("wrong number of arguments".to_string()),
        };
        match self.kind {
            Kind::Bool(field) => {
                let value = parse_bool(word)?;
                self.refuse(word)?;
                *(field.write)(options) = value;
            }
            Kind::Int { field, min, max } => {
                *(field.write)(options) = parse_integer(word, min, max)?;
            }
            Kind::Memory { field, min } => *(field.write)(options) = parse_memory(word, min)?,
            Kind::Octal(field) => *(field.write)(options) = parse_octal(word, 0o777)?,
            Kind::Enum { field, names } => *(field.write)(options) = parse_enum(word, names)?,
            Kind::Text(field) => *(field.write)(options) = word.to_string(),
            Kind::Words(field) => {
                *(field.write)(options) = words
                    .iter()
                    .filter(|word| !word.is_empty())
                    .cloned()
                    .collect();
            }
            Kind::Special { set, .. } => {
                let mut changed = options.clone();
                set(&mut changed, words)?;
                self.refuse(&self.get(&changed))?;
                *options = changed;
            }
            Kind::Held(check) => {
                let value = check.normal(&words.join(" "), options)?;
                self.refuse(&value)?;
                options.held.insert(self.name, value);
            }
        }
        Ok(())
    }

    /// One value as CONFIG SET gives it: the words of a `multi` option have one space between them, and no quotes.
    pub fn set_value(&self, options: &mut Options, value: &str) -> Result<(), String> {
        if !self.multi {
            return self.set(options, &[value.to_string()]);
        }
        let words = value.split(' ').map(str::to_string);
        let words: Vec<String> = words.filter(|_| !value.is_empty()).collect();
        self.set(options, &words)
    }

    /// One value as a quoted word of a file or a flag gives it: for a `multi` option it may hold several words.
    pub fn set_text(&self, options: &mut Options, value: &str) -> Result<(), String> {
        if self.multi && !value.is_empty() {
            let words = split_words(value.as_bytes())
                .ok_or_else(|| "Unbalanced quotes in configuration line".to_string())?;
            return self.set(options, &words);
        }
        self.set(options, &[value.to_string()])
    }

    /// The name or the alias, whichever `word` is.
    fn name_said(&self, word: &[u8]) -> &'static str {
        if self.alias.as_bytes().eq_ignore_ascii_case(word) {
            self.alias
        } else {
            self.name
        }
    }

    fn refuse(&self, value: &str) -> Result<(), String> {
        let (allowed, reason) = self.only;
        if allowed.is_empty() || allowed.iter().any(|word| word.eq_ignore_ascii_case(value)) {
            return Ok(());
        }
        Err(reason.to_string())
    }

    /// Whether CONFIG SET refuses it during a load, which it is about.
    pub fn waits_for_load(&self) -> bool {
        ["dir", "appendonly"].contains(&self.name)
    }

    /// Whether the value is what the machine gave where nothing was said: no file needs to say it.
    pub fn is_as_found(&self, options: &Options) -> bool {
        self.name == "threads" && options.threads == super::cli::threads_unless_said(options)
    }

    /// What CONFIG GET shows: the value, or what came of it.
    fn in_force(&self, options: &Options) -> String {
        match self.name {
            // Every thread serves clients, whatever made it so many.
            "io-threads" => options.threads.max(1).to_string(),
            // It may have been renamed.
            "dir" => super::folder::working_name(&options.dir)
                .display()
                .to_string(),
            _ => self.get(options),
        }
    }

    /// The lines that set this option in a configuration file; together they make `value`, whatever it was before.
    pub fn file_lines(&self, value: &str) -> Vec<String> {
        // What comes of blanks in a quoted word is no word of the list.
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        if !self.multi || words.is_empty() {
            return vec![format!("{} {}", self.name, quote(value))];
        }
        let per_line = match self.words_per_line {
            0 => words.len(),
            count => count,
        };
        let lines = words.chunks(per_line).map(|words| {
            let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
            format!("{} {}", self.name, words.join(" "))
        });
        lines.collect()
    }
}

impl Check {
    fn normal(self, word: &str, options: &Options) -> Result<String, String> {
        match self {
            Check::Bool => parse_bool(word).map(|_| word.to_ascii_lowercase()),
            Check::Int(min, max) => parse_integer(word, min, max).map(|value| value.to_string()),
            Check::Memory(min) => parse_memory(word, min).map(|value| value.to_string()),
            Check::MemoryUnsigned => match memory_bytes(word) {
                Some(bytes) => Ok(bytes.to_string()),
                None => Err("argument must be a memory value".to_string()),
            },
            Check::MemoryRaised(least) => {
                parse_memory(word, 1).map(|value| value.max(least).to_string())
            }
            Check::MemorySigned if word == "-1" => Ok(word.to_string()),
            Check::MemorySigned if parse_integer(word, i64::MIN, -2).is_ok() => Err(format!(
                "argument must be between -1 and {} inclusive",
                i64::MAX
            )),
            Check::MemorySigned => parse_memory(word, 0).map(|value| value.to_string()),
            Check::Enum(names) => parse_enum(word, names).map(str::to_string),
            Check::Words(names) => {
                let said = word
                    .split(' ')
                    .map(|part| parse_enum(part, names))
                    .collect::<Result<Vec<_>, _>>()?;
                if said.contains(&"save") && said.contains(&"nosave") {
                    return Err(
                        "shutdown options SAVE and NOSAVE can't be used simultaneously".to_string(),
                    );
                }
                // Each once, in the table's order; beside others the default says nothing.
                let mut kept: Vec<&str> = names.to_vec();
                kept.retain(|name| said.contains(name));
                if kept.len() > 1 {
                    kept.retain(|name| *name != "default");
                }
                Ok(kept.join(" "))
            }
            Check::MemoryOrPercent => match word.strip_suffix('%') {
                Some(digits) => match parse_integer(digits, 0, i64::MAX) {
                    Ok(0) => Ok("0".to_string()),
                    Ok(0..=100) => Ok(word.to_string()),
                    Ok(_) => Err(PERCENT_TOO_HIGH.to_string()),
                    Err(_) => Err(NEITHER_MEMORY_NOR_PERCENT.to_string()),
                },
                None => match memory_bytes(word).map(i64::try_from) {
                    Some(Ok(bytes)) => Ok(bytes.to_string()),
                    // To Redis, which keeps percents as negative numbers, it is more than a hundred of them.
                    Some(Err(_)) => Err(PERCENT_TOO_HIGH.to_string()),
                    None => Err(NEITHER_MEMORY_NOR_PERCENT.to_string()),
                },
            },
            Check::Primary => {
                match word.split(' ').collect::<Vec<_>>()[..] {
                    [""] => {}
                    [no, one]
                        if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => {}
                    [_, port] if parse_integer(port, 0, 65_535).is_ok() => {}
                    [_, _] => return Err("Invalid master port".to_string()),
                    _ => return Err("wrong number of arguments".to_string()),
                }
                Ok(word.to_string())
            }
            Check::Title if super::title::is_template(word, options) => Ok(word.to_string()),
            Check::Title => {
                Err("template format is invalid or contains unknown variables".to_string())
            }
            Check::Scores => {
                let parts: Vec<&str> = word.split(' ').collect();
                if parts.len() != 3 {
                    return Err("wrong number of arguments".to_string());
                }
                let score = |part: &&str| {
                    let score = part.parse::<i64>().ok();
                    score.filter(|score| (-2000..=2000).contains(score))
                };
                let scores: Option<Vec<i64>> = parts.iter().map(score).collect();
                let Some(scores) = scores else {
                    return Err(
                        "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
                            .to_string(),
                    );
                };
                let texts: Vec<String> = scores.iter().map(i64::to_string).collect();
                Ok(texts.join(" "))
            }
            Check::Cpus if word.is_empty() || parse_cpus(word).is_some() => Ok(word.to_string()),
            Check::Cpus => Err("argument must be a list of CPUs, as 0,2,4-7 or 0-14:2".to_string()),
            Check::HostName => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
                if !word.bytes().all(fits) {
                    return Err(
                        "Hostnames may only contain alphanumeric characters, hyphens or dots"
                            .to_string(),
                    );
                }
                Ok(word.to_string())
            }
            Check::Ipv4 if word.is_empty() || word.parse::<Ipv4Addr>().is_ok() => {
                Ok(word.to_string())
            }
            Check::Ipv4 => Err("Invalid IPv4 address".to_string()),
            Check::Ipv6 if word.is_empty() || word.parse::<Ipv6Addr>().is_ok() => {
                Ok(word.to_string())
            }
            Check::Ipv6 => Err("Invalid IPv6 address".to_string()),
            Check::NodeName => {
                if word.contains(|it| "!#$%&()*+:;<>?@[]^{|}~".contains(it)) {
                    return Err("Announced human node name contained invalid character".to_string());
                }
                Ok(word.to_string())
            }
            Check::FileName => {
                file_name("appendfilename", "filename", word).map(|()| word.to_string())
            }
            Check::Text => Ok(word.to_string()),
        }
    }
}

/// Whether a word is a name inside a folder, `what` of it; the reason says which option wants one.
pub(super) fn file_name(option: &str, what: &str, word: &str) -> Result<(), String> {
    if word.is_empty() {
        return Err(format!("{option} can't be empty"));
    }
    if word.contains('/') {
        return Err(format!("{option} can't be a path, just a {what}"));
    }
    Ok(())
}

const NEITHER_MEMORY_NOR_PERCENT: &str = "argument must be a memory or percent value";
const PERCENT_TOO_HIGH: &str = "percentage argument must be less or equal to 100";

fn parse_enum(word: &str, names: &'static [&'static str]) -> Result<&'static str, String> {
    names
        .iter()
        .find(|name| name.eq_ignore_ascii_case(word))
        .copied()
        .ok_or_else(|| {
            format!(
                "argument(s) must be one of the following: {}",
                names.join(", ")
            )
        })
}

/// The name-value pairs that CONFIG GET replies with, for any of the patterns.
///
/// A pattern without `[*?` is a name (or alias) and is answered as it was written first, once. In the order of the names, as Valkey tells
/// them; Redis's order is no order.
pub fn config_get(options: &Options, patterns: &[Vec<u8>]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut push = |name: String, value: String| {
        if !pairs
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            pairs.push((name, value));
        }
    };
    for pattern in patterns {
        if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
            if let Some(spec) = find(pattern) {
                push(
                    String::from_utf8_lossy(pattern).into_owned(),
                    spec.in_force(options),
                );
            }
            continue;
        }
        for spec in specs().filter(|spec| !spec.hidden) {
            for name in [spec.name, spec.alias] {
                if !name.is_empty() && glob_match(pattern, name.as_bytes(), true) {
                    push(name.to_string(), spec.in_force(options));
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// CONFIG SET: all pairs or none.
///
/// - `may_protected`: whether `enable-protected-configs` lets this client change protected options.
/// - Returns the names whose values changed; the node then acts on them.
/// - Errors: the whole error line without its `-`; `options` is unchanged.
pub fn config_set(
    options: &mut Options,
    pairs: &[(Vec<u8>, Vec<u8>)],
    may_protected: bool,
) -> Result<Vec<&'static str>, String> {
    let mut chosen: Vec<&'static OptionSpec> = Vec::new();
    for (name, _) in pairs {
        let text = String::from_utf8_lossy(name);
        let Some(spec) = find(name) else {
            return Err(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{text}'"
            ));
        };
        if !spec.live {
            return Err(config_set_failed(&text, "can't set immutable config"));
        }
        if spec.protected && !may_protected {
            return Err(config_set_failed(&text, "can't set protected config"));
        }
        if chosen.iter().any(|known| known.name == spec.name) {
            return Err(config_set_failed(&text, "duplicate parameter"));
        }
        chosen.push(spec);
    }
    let mut changed = options.clone();
    for (spec, (name, value)) in chosen.iter().zip(pairs) {
        let Ok(value) = std::str::from_utf8(value) else {
            return Err(config_set_failed(spec.name, "argument must be UTF-8 text"));
        };
        spec.set_value(&mut changed, value)
            .map_err(|reason| config_set_failed(spec.name_said(name), &reason))?;
        if !spec.settled.is_empty() && spec.get(options) != spec.get(&changed) {
            return Err(config_set_failed(spec.name_said(name), spec.settled));
        }
    }
    let names = chosen
        .iter()
        .filter(|spec| spec.get(options) != spec.get(&changed))
        .map(|spec| spec.name)
        .collect();
    *options = changed;
    Ok(names)
}

/// The error line of a CONFIG SET that failed at option `name`.
pub fn config_set_failed(name: &str, reason: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}
