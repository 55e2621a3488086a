//! The options that rondo acts on.
//!
//! Not here  options Redis has and rondo only holds or refuses: `node/option_held.rs`.

use super::log_lines::{FORMS, TIMES};
use super::option_values::{memory_bytes, parse_integer, percentile_text};
use super::options::{Field, Kind, OptionSpec, Options, OutputLimit, Topic, file_name};
use crate::base::number::parse_f64;
use crate::commands::rename::Renames;
use crate::keyspace::{Classes, KeyGroups};
use std::collections::BTreeMap;

/// A field of `Options` as a row's place.
macro_rules! field {
    ($name:ident) => {
        Field {
            read: |options: &Options| &options.$name,
            write: |options: &mut Options| &mut options.$name,
        }
    };
}

const INT_MAX: i64 = i32::MAX as i64;
const UINT_MAX: i64 = u32::MAX as i64;
const MIB: i64 = 1 << 20;

/// What a row says where nothing else is said.
pub(super) const BASE: OptionSpec = OptionSpec {
    name: "",
    alias: "",
    kind: Kind::Bool(field!(protected_mode)),
    default: "",
    live: true,
    protected: false,
    multi: false,
    words_per_line: 0,
    only: (&[], ""),
    idle: "",
    settled: "",
    hidden: false,
    topic: Topic::Other,
    help: "",
};

/// Who may use something guarded.
const GUARD: &[&str] = &["no", "yes", "local"];

const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "volatile-lrm",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "allkeys-lrm",
    "noeviction",
];

/// The rows.
pub const OWN: &[OptionSpec] = &[
    OptionSpec {
        name: "port",
        kind: Kind::Int {
            field: field!(port),
            min: 0,
            max: 65_535,
        },
        default: "6379",
        topic: Topic::Network,
        help: "TCP port to listen on, 0 for none",
        ..BASE
    },
    OptionSpec {
        name: "bind",
        kind: Kind::Words(field!(bind)),
        default: "* -::*",
        multi: true,
        topic: Topic::Network,
        help: "addresses to listen on; with a leading - an address that cannot be bound is skipped",
        ..BASE
    },
    OptionSpec {
        name: "unixsocket",
        kind: Kind::Text(field!(unixsocket)),
        live: false,
        topic: Topic::Network,
        help: "path of a Unix socket to listen on",
        ..BASE
    },
    OptionSpec {
        name: "unixsocketperm",
        kind: Kind::Octal(field!(unixsocketperm)),
        default: "0",
        live: false,
        topic: Topic::Network,
        help: "permissions of the Unix socket, octal",
        ..BASE
    },
    OptionSpec {
        name: "unixsocketgroup",
        kind: Kind::Text(field!(unixsocketgroup)),
        settled: "can't set immutable config",
        topic: Topic::Network,
        help: "group of the Unix socket: its name, or its number",
        ..BASE
    },
    OptionSpec {
        name: "availability-zone",
        kind: Kind::Text(field!(availability_zone)),
        topic: Topic::Network,
        help: "where the server stands: what HELLO and INFO tell clients that choose the nearest",
        ..BASE
    },
    OptionSpec {
        name: "tls-auto-reload-interval",
        kind: Kind::Int {
            field: field!(tls_auto_reload_interval),
            min: 0,
            max: INT_MAX,
        },
        default: "0",
        topic: Topic::Network,
        help: "seconds after which certificates and keys are read again, 0 for not before CONFIG SET",
        ..BASE
    },
    OptionSpec {
        name: "tcp-backlog",
        kind: Kind::Int {
            field: field!(tcp_backlog),
            min: 0,
            max: INT_MAX,
        },
        default: "511",
        live: false,
        topic: Topic::Network,
        help: "length of the listen queue",
        ..BASE
    },
    OptionSpec {
        name: "tcp-keepalive",
        kind: Kind::Int {
            field: field!(tcp_keepalive),
            min: 0,
            max: INT_MAX,
        },
        default: "300",
        topic: Topic::Network,
        help: "seconds between keepalive probes, 0 for none",
        ..BASE
    },
    OptionSpec {
        name: "timeout",
        kind: Kind::Int {
            field: field!(timeout),
            min: 0,
            max: INT_MAX,
        },
        default: "0",
        topic: Topic::Network,
        help: "disconnect a client after this many seconds of silence, 0 for never",
        ..BASE
    },
    OptionSpec {
        name: "threads",
        kind: Kind::Int {
            field: field!(threads),
            min: 0,
            max: 1024,
        },
        default: "0",
        settled: "threads are started once, with the server",
        topic: Topic::Threads,
        help: "threads, each with its own part of the keys; 0: one for each core the process may use",
        ..BASE
    },
    OptionSpec {
        name: "pin-threads",
        kind: Kind::Enum {
            field: field!(pin_threads),
            names: &["auto", "yes", "no"],
        },
        default: "auto",
        settled: "threads are started once, with the server",
        topic: Topic::Threads,
        help: "keep each thread on one core: yes, no, or auto: where there are as many threads as cores the process may use, or \
               server-cpulist says which are its own",
        ..BASE
    },
    OptionSpec {
        name: "key-groups",
        kind: Kind::Special {
            get: |options| options.key_groups.text().to_string(),
            set: set_key_groups,
        },
        default: KEY_GROUPS,
        multi: true,
        settled: "which thread has which key is settled once, with the server",
        topic: Topic::Threads,
        help: "what the names of keys begin with that one thread is to have together, as scripts of queue libraries use them; \
               with * by the name that follows",
        ..BASE
    },
    OptionSpec {
        name: "hash-seed",
        kind: Kind::Special {
            get: |options| options.hash_seed.clone(),
            set: set_hash_seed,
        },
        settled: "can't set immutable config",
        topic: Topic::General,
        help: "servers of the same build and number of threads that are given the same scan in the same order",
        ..BASE
    },
    OptionSpec {
        name: "dir",
        kind: Kind::Text(field!(dir)),
        default: ".",
        protected: true,
        topic: Topic::General,
        help: "working directory",
        ..BASE
    },
    OptionSpec {
        name: "databases",
        kind: Kind::Int {
            field: field!(databases),
            min: 1,
            max: 65_535,
        },
        default: "16",
        live: false,
        topic: Topic::General,
        help: "logical databases",
        ..BASE
    },
    OptionSpec {
        name: "loglevel",
        kind: Kind::Enum {
            field: field!(loglevel),
            names: &["debug", "verbose", "notice", "warning", "nothing"],
        },
        default: "notice",
        topic: Topic::General,
        help: "debug, verbose, notice, warning or nothing",
        ..BASE
    },
    OptionSpec {
        name: "logfile",
        kind: Kind::Text(field!(logfile)),
        live: false,
        topic: Topic::General,
        help: "log file; standard output where empty",
        ..BASE
    },
    OptionSpec {
        name: "log-format",
        kind: Kind::Enum {
            field: field!(log_format),
            names: FORMS,
        },
        default: "legacy",
        topic: Topic::General,
        help: "lines as Redis writes them (legacy), logfmt, text, or json for one object a line",
        ..BASE
    },
    OptionSpec {
        name: "log-timestamp-format",
        kind: Kind::Enum {
            field: field!(log_timestamp_format),
            names: TIMES,
        },
        default: "legacy",
        topic: Topic::General,
        help: "when, in a line of legacy or logfmt: legacy, iso8601 or milliseconds since 1970",
        ..BASE
    },
    OptionSpec {
        name: "pidfile",
        kind: Kind::Text(field!(pidfile)),
        live: false,
        topic: Topic::General,
        help: "file to write the process id to",
        ..BASE
    },
    OptionSpec {
        name: "shutdown-timeout",
        kind: Kind::Int {
            field: field!(shutdown_timeout),
            min: 0,
            max: INT_MAX,
        },
        default: "10",
        topic: Topic::General,
        help: "seconds SHUTDOWN waits for what is in flight",
        ..BASE
    },
    OptionSpec {
        name: "hz",
        kind: Kind::Special {
            get: |options| options.hz.to_string(),
            set: set_hz,
        },
        default: "10",
        topic: Topic::General,
        help: "background cycles a second, 1 to 500",
        ..BASE
    },
    OptionSpec {
        name: "requirepass",
        kind: Kind::Text(field!(requirepass)),
        topic: Topic::Security,
        help: "password of the user default",
        ..BASE
    },
    OptionSpec {
        name: "aclfile",
        kind: Kind::Text(field!(aclfile)),
        live: false,
        topic: Topic::Security,
        help: "file of users, read at start and by ACL LOAD",
        ..BASE
    },
    OptionSpec {
        name: "acllog-max-len",
        kind: Kind::Int {
            field: field!(acllog_max_len),
            min: 0,
            max: i64::MAX,
        },
        default: "128",
        topic: Topic::Security,
        help: "most entries of ACL LOG",
        ..BASE
    },
    OptionSpec {
        name: "acl-pubsub-default",
        kind: Kind::Enum {
            field: field!(acl_pubsub_default),
            names: &["allchannels", "resetchannels"],
        },
        default: "resetchannels",
        topic: Topic::Security,
        help: "allchannels or resetchannels: what new users hear",
        ..BASE
    },
    OptionSpec {
        name: "protected-mode",
        kind: Kind::Bool(field!(protected_mode)),
        default: "yes",
        topic: Topic::Security,
        help: "without a password, serve only local clients",
        ..BASE
    },
    OptionSpec {
        name: "enable-debug-command",
        kind: Kind::Enum {
            field: field!(enable_debug_command),
            names: GUARD,
        },
        default: "no",
        live: false,
        topic: Topic::Security,
        help: "no, yes or local: who may use DEBUG",
        ..BASE
    },
    OptionSpec {
        name: "enable-protected-configs",
        kind: Kind::Enum {
            field: field!(enable_protected_configs),
            names: GUARD,
        },
        default: "no",
        live: false,
        topic: Topic::Security,
        help: "no, yes or local: who may set protected options",
        ..BASE
    },
    OptionSpec {
        name: "maxclients",
        kind: Kind::Int {
            field: field!(maxclients),
            min: 1,
            max: UINT_MAX,
        },
        default: "10000",
        topic: Topic::Limits,
        help: "most clients at a time",
        ..BASE
    },
    OptionSpec {
        name: "busy-reply-threshold",
        alias: "lua-time-limit",
        kind: Kind::Int {
            field: field!(busy_reply_threshold),
            min: 0,
            max: i64::MAX,
        },
        default: "5000",
        topic: Topic::Limits,
        help: "milliseconds a script runs before others are told BUSY, 0 for never",
        ..BASE
    },
    OptionSpec {
        name: "proto-max-bulk-len",
        kind: Kind::Memory {
            field: field!(proto_max_bulk_len),
            min: MIB,
        },
        default: "536870912",
        topic: Topic::Limits,
        help: "longest word of a request",
        ..BASE
    },
    OptionSpec {
        name: "client-query-buffer-limit",
        kind: Kind::Memory {
            field: field!(client_query_buffer_limit),
            min: MIB,
        },
        default: "1073741824",
        topic: Topic::Limits,
        help: "most bytes of a request that is still arriving",
        ..BASE
    },
    OptionSpec {
        name: "client-output-buffer-limit",
        kind: Kind::Special {
            get: get_output_limits,
            set: set_output_limits,
        },
        default: "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        multi: true,
        words_per_line: 4,
        topic: Topic::Limits,
        help: "class, hard bytes, soft bytes, soft seconds",
        ..BASE
    },
    OptionSpec {
        name: "maxmemory-policy",
        kind: Kind::Enum {
            field: field!(maxmemory_policy),
            names: POLICIES,
        },
        default: "noeviction",
        topic: Topic::Memory,
        help: "which keys go first when memory is short; also what OBJECT FREQ and IDLETIME count",
        ..BASE
    },
    OptionSpec {
        name: "lfu-log-factor",
        kind: Kind::Int {
            field: field!(lfu_log_factor),
            min: 0,
            max: INT_MAX,
        },
        default: "10",
        topic: Topic::Memory,
        help: "how slowly access counters grow",
        ..BASE
    },
    OptionSpec {
        name: "lfu-decay-time",
        kind: Kind::Int {
            field: field!(lfu_decay_time),
            min: 0,
            max: INT_MAX,
        },
        default: "1",
        topic: Topic::Memory,
        help: "minutes after which an access counter is lowered",
        ..BASE
    },
    OptionSpec {
        name: "lazyfree-lazy-user-flush",
        kind: Kind::Bool(field!(lazyfree_lazy_user_flush)),
        default: "no",
        topic: Topic::Memory,
        help: "FLUSHALL and FLUSHDB free in the background unless told SYNC",
        ..BASE
    },
    OptionSpec {
        name: "active-expire-effort",
        kind: Kind::Int {
            field: field!(active_expire_effort),
            min: 1,
            max: 10,
        },
        default: "1",
        topic: Topic::Memory,
        help: "how much CPU expiry may take, 1 to 10",
        ..BASE
    },
    OptionSpec {
        name: "metrics-port",
        kind: Kind::Int {
            field: field!(metrics_port),
            min: 0,
            max: 65_535,
        },
        default: "0",
        settled: "the HTTP port is opened once, with the server",
        topic: Topic::Network,
        help: "HTTP port for a live page, /metrics, /healthz and /readyz, 0 for none",
        ..BASE
    },
    OptionSpec {
        name: "metrics-bind",
        kind: Kind::Text(field!(metrics_bind)),
        default: "127.0.0.1",
        settled: "the HTTP port is opened once, with the server",
        topic: Topic::Network,
        help: "address of that port; whoever reaches it sees what INFO says, without a password",
        ..BASE
    },
    OptionSpec {
        name: "latency-tracking",
        kind: Kind::Bool(field!(latency_tracking)),
        default: "yes",
        topic: Topic::General,
        help: "measure latency per command",
        ..BASE
    },
    OptionSpec {
        name: "latency-tracking-info-percentiles",
        kind: Kind::Special {
            get: get_percentiles,
            set: set_percentiles,
        },
        default: "50 99 99.9",
        multi: true,
        topic: Topic::General,
        help: "percentiles that INFO latencystats prints",
        ..BASE
    },
    OptionSpec {
        name: "save",
        kind: Kind::Special {
            get: get_save,
            set: set_save,
        },
        default: "3600 1 300 100 60 10000",
        multi: true,
        topic: Topic::Persistence,
        help: "snapshot after so many seconds if there were so many changes; \"\" for never",
        ..BASE
    },
    OptionSpec {
        name: "dbfilename",
        kind: Kind::Special {
            get: |options| options.dbfilename.clone(),
            set: set_dbfilename,
        },
        default: "dump.rdb",
        protected: true,
        topic: Topic::Persistence,
        help: "file of the snapshot, in dir",
        ..BASE
    },
    OptionSpec {
        name: "rdbcompression",
        kind: Kind::Bool(field!(rdbcompression)),
        default: "yes",
        topic: Topic::Persistence,
        help: "compress long strings in snapshots",
        ..BASE
    },
    OptionSpec {
        name: "rdbchecksum",
        kind: Kind::Bool(field!(rdbchecksum)),
        default: "yes",
        live: false,
        topic: Topic::Persistence,
        help: "end snapshots in a checksum, and check it",
        ..BASE
    },
    OptionSpec {
        name: "stop-writes-on-bgsave-error",
        kind: Kind::Bool(field!(stop_writes_on_bgsave_error)),
        default: "yes",
        topic: Topic::Persistence,
        help: "refuse writes while snapshots are wanted and fail",
        ..BASE
    },
    OptionSpec {
        name: "appendonly",
        kind: Kind::Bool(field!(appendonly)),
        default: "no",
        topic: Topic::Persistence,
        help: "log every change, and load the log at start",
        ..BASE
    },
    OptionSpec {
        name: "appendfsync",
        kind: Kind::Enum {
            field: field!(appendfsync),
            names: &["everysec", "always", "no"],
        },
        default: "everysec",
        topic: Topic::Persistence,
        help: "when changes are safe on disk: always (before their reply leaves), everysec or no",
        ..BASE
    },
    OptionSpec {
        name: "appenddirname",
        kind: Kind::Special {
            get: |options| options.appenddirname.clone(),
            set: set_appenddirname,
        },
        default: "appendonlydir",
        live: false,
        topic: Topic::Persistence,
        help: "directory of the log, inside dir",
        ..BASE
    },
    OptionSpec {
        name: "backupdirname",
        kind: Kind::Text(field!(backupdirname)),
        default: "backupdir",
        settled: "can't set immutable config",
        topic: Topic::Persistence,
        help: "directory of BACKUP, inside dir",
        ..BASE
    },
    OptionSpec {
        name: "backup-sealed-ttl",
        kind: Kind::Int {
            field: field!(backup_sealed_ttl),
            min: 0,
            max: i32::MAX as i64,
        },
        default: "0",
        topic: Topic::Persistence,
        help: "seconds after which a sealed backup is removed, 0: not before BACKUP CLEANUP",
        ..BASE
    },
    OptionSpec {
        name: "auto-aof-rewrite-percentage",
        kind: Kind::Int {
            field: field!(auto_aof_rewrite_percentage),
            min: 0,
            max: i32::MAX as i64,
        },
        default: "100",
        topic: Topic::Persistence,
        help: "rewrite the log when it has grown by so many percent since the last time; 0: never",
        ..BASE
    },
    OptionSpec {
        name: "auto-aof-rewrite-min-size",
        kind: Kind::Memory {
            field: field!(auto_aof_rewrite_min_size),
            min: 0,
        },
        default: "67108864",
        topic: Topic::Persistence,
        help: "and is larger than this",
        ..BASE
    },
    OptionSpec {
        name: "aof-load-truncated",
        kind: Kind::Bool(field!(aof_load_truncated)),
        default: "yes",
        topic: Topic::Persistence,
        help: "load a log that ends in a write that was cut off; no: refuse to start",
        ..BASE
    },
    OptionSpec {
        name: "notify-keyspace-events",
        kind: Kind::Special {
            get: |options| options.notify_keyspace_events.to_string(),
            set: set_events,
        },
        topic: Topic::General,
        help: "what is published of what happens to keys, as letters (KEA: everything)",
        ..BASE
    },
    OptionSpec {
        name: "tracking-table-max-keys",
        kind: Kind::Int {
            field: field!(tracking_table_max_keys),
            min: 0,
            max: i64::MAX,
        },
        default: "1000000",
        topic: Topic::Memory,
        help: "most keys that are tracked for clients' caches, 0 for no limit",
        ..BASE
    },
];

/// Queue libraries whose scripts take many keys of one queue, as they name them without being told: Bull and BullMQ, Bee-Queue,
/// RSMQ, Dramatiq, Laravel.
const KEY_GROUPS: &str =
    "bull:* bq:* rsmq:* dramatiq queues:* laravel_database_queues:* laravel-database-queues:*";

fn set_key_groups(options: &mut Options, words: &[String]) -> Result<(), String> {
    options.key_groups = KeyGroups::read(&words.join(" "))?;
    Ok(())
}

/// Longest seed that Valkey takes.
const HASH_SEED_BYTES_MAX: usize = 256;

fn set_hash_seed(options: &mut Options, words: &[String]) -> Result<(), String> {
    let [word] = words else {
        return Err("wrong number of arguments".to_string());
    };
    if word.len() > HASH_SEED_BYTES_MAX {
        return Err(format!(
            "hash-seed must be less than or equal to {HASH_SEED_BYTES_MAX} characters"
        ));
    }
    options.hash_seed.clone_from(word);
    Ok(())
}

fn set_events(options: &mut Options, words: &[String]) -> Result<(), String> {
    let letters = words.first().map_or("", String::as_str);
    options.notify_keyspace_events =
        Classes::parse(letters).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    Ok(())
}

/// The values of a server that was told nothing; `option_table` rows say the same as text, and a test compares the two.
pub(super) fn defaults() -> Options {
    Options {
        port: 6379,
        bind: vec!["*".to_string(), "-::*".to_string()],
        unixsocket: String::new(),
        unixsocketperm: 0,
        unixsocketgroup: String::new(),
        availability_zone: String::new(),
        hash_seed: String::new(),
        tls_auto_reload_interval: 0,
        dir: ".".to_string(),
        threads: 0,
        pin_threads: "auto",
        key_groups: KeyGroups::read(KEY_GROUPS).unwrap_or(KeyGroups::NONE),
        maxclients: 10_000,
        busy_reply_threshold: 5000,
        timeout: 0,
        tcp_keepalive: 300,
        tcp_backlog: 511,
        requirepass: String::new(),
        users: Vec::new(),
        renames: Renames::default(),
        aclfile: String::new(),
        acllog_max_len: 128,
        acl_pubsub_default: "resetchannels",
        databases: 16,
        hz: 10,
        loglevel: "notice",
        logfile: String::new(),
        log_format: "legacy",
        log_timestamp_format: "legacy",
        metrics_port: 0,
        metrics_bind: "127.0.0.1".to_string(),
        pidfile: String::new(),
        enable_debug_command: "no",
        enable_protected_configs: "no",
        protected_mode: true,
        proto_max_bulk_len: 512 * MIB,
        client_query_buffer_limit: 1024 * MIB,
        client_output_buffer_limit: [
            OutputLimit::default(),
            OutputLimit {
                hard_bytes: 256 << 20,
                soft_bytes: 64 << 20,
                soft_seconds: 60,
            },
            OutputLimit {
                hard_bytes: 32 << 20,
                soft_bytes: 8 << 20,
                soft_seconds: 60,
            },
        ],
        maxmemory_policy: "noeviction",
        lfu_log_factor: 10,
        lfu_decay_time: 1,
        notify_keyspace_events: Classes::NONE,
        tracking_table_max_keys: 1_000_000,
        lazyfree_lazy_user_flush: false,
        active_expire_effort: 1,
        latency_tracking: true,
        latency_tracking_info_percentiles: vec![50.0, 99.0, 99.9],
        shutdown_timeout: 10,
        save: vec![(3600, 1), (300, 100), (60, 10_000)],
        dbfilename: "dump.rdb".to_string(),
        rdbcompression: true,
        rdbchecksum: true,
        stop_writes_on_bgsave_error: true,
        appendonly: false,
        appendfsync: "everysec",
        appenddirname: "appendonlydir".to_string(),
        backupdirname: "backupdir".to_string(),
        backup_sealed_ttl: 0,
        aof_load_truncated: true,
        auto_aof_rewrite_percentage: 100,
        auto_aof_rewrite_min_size: 64 << 20,
        held: BTreeMap::new(),
    }
}

/// Client classes in the order of `Options::client_output_buffer_limit`.
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

fn get_output_limits(options: &Options) -> String {
    let texts: Vec<String> = CLASSES
        .iter()
        .zip(options.client_output_buffer_limit)
        .map(|(class, limit)| {
            format!(
                "{class} {} {} {}",
                limit.hard_bytes, limit.soft_bytes, limit.soft_seconds
            )
        })
        .collect();
    texts.join(" ")
}

fn set_output_limits(options: &mut Options, words: &[String]) -> Result<(), String> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_string());
    }
    for group in words.chunks_exact(4) {
        let class = match group[0].to_ascii_lowercase().as_str() {
            "normal" => 0,
            "slave" | "replica" => 1,
            "pubsub" => 2,
            _ => {
                return Err(
                    "Invalid client class specified in buffer limit configuration.".to_string(),
                );
            }
        };
        let bad = || {
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_string()
        };
        let bytes = |word: &String| {
            let bytes = memory_bytes(word);
            let bytes = bytes.filter(|&bytes| i64::try_from(bytes).is_ok());
            bytes.ok_or_else(bad)
        };
        let seconds: Option<i64> = group[3].parse().ok();
        options.client_output_buffer_limit[class] = OutputLimit {
            hard_bytes: bytes(&group[1])?,
            soft_bytes: bytes(&group[2])?,
            soft_seconds: seconds.and_then(|it| it.try_into().ok()).ok_or_else(bad)?,
        };
    }
    Ok(())
}

fn get_save(options: &Options) -> String {
    let points = options.save.iter();
    let texts: Vec<String> = points
        .map(|(seconds, changes)| format!("{seconds} {changes}"))
        .collect();
    texts.join(" ")
}

fn set_save(options: &mut Options, words: &[String]) -> Result<(), String> {
    let mut points = Vec::new();
    if words != [""] && !words.is_empty() {
        let (pairs, rest) = words.as_chunks::<2>();
        if !rest.is_empty() || pairs.is_empty() {
            return Err("Invalid save parameters".to_string());
        }
        for [seconds, changes] in pairs {
            let invalid = |_| "Invalid save parameters".to_string();
            let seconds = parse_integer(seconds, 1, i64::MAX).map_err(invalid)?;
            let changes = parse_integer(changes, 0, i64::MAX).map_err(invalid)?;
            points.push((seconds, changes));
        }
    }
    options.save = points;
    Ok(())
}

/// Any number of ticks a second is taken for the nearest there can be.
fn set_hz(options: &mut Options, words: &[String]) -> Result<(), String> {
    let [word] = words else {
        return Err("wrong number of arguments".to_string());
    };
    options.hz = parse_integer(word, 0, INT_MAX)?.clamp(1, 500);
    Ok(())
}

fn set_appenddirname(options: &mut Options, words: &[String]) -> Result<(), String> {
    let [word] = words else {
        return Err("wrong number of arguments".to_string());
    };
    file_name("appenddirname", "dirname", word)?;
    options.appenddirname.clone_from(word);
    Ok(())
}

fn set_dbfilename(options: &mut Options, words: &[String]) -> Result<(), String> {
    match words {
        [name] if !name.contains('/') => {
            options.dbfilename.clone_from(name);
            Ok(())
        }
        _ => Err("dbfilename can't be a path, just a filename".to_string()),
    }
}

fn get_percentiles(options: &Options) -> String {
    let texts: Vec<String> = options
        .latency_tracking_info_percentiles
        .iter()
        .map(|percentile| percentile_text(*percentile))
        .collect();
    texts.join(" ")
}

fn set_percentiles(options: &mut Options, words: &[String]) -> Result<(), String> {
    let mut percentiles = Vec::new();
    // One empty word means none at all.
    let words = if words == [""] { &[] } else { words };
    for word in words {
        let value = parse_f64(word.as_bytes())
            .ok_or_else(|| "Invalid latency-tracking-info-percentiles parameters".to_string())?;
        if !(0.0..=100.0).contains(&value) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .to_string(),
            );
        }
        percentiles.push(value);
    }
    options.latency_tracking_info_percentiles = percentiles;
    Ok(())
}
