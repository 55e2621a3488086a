//! INFO: figures in, text out.
//!
//! Promises  Redis's section and field names, in its order, and Valkey's beside them; a field stands here only where its figure is true
//!           for rondo.
//! Not here  collecting the figures over cores: the node's loop.
//! Source    fields as in Redis 8's INFO; the section Cores is rondo's own.
//! Tests     tests/node/info.rs: which sections a request selects; every section from known figures.

use super::figures::Wanted;
use super::memory_figures::MemoryFigures;
use super::option_values::percentile_text;
use super::saving::SavingFigures;
use super::tls_figures::TlsFigures;
use crate::commands::acl::{REASONS_COUNT, Reason};
use crate::commands::identity::{REDIS_VERSION, RONDO_VERSION};
use crate::keyspace::Sizes;
use crate::keyspace::value::SIZED_KINDS;
use crate::shard::type_sample::TypeSample;
use std::fmt::Write;

/// Everything INFO can say; plain numbers, summed over cores where they are counts.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct InfoFigures {
    pub server: ServerFigures,
    /// Certificates in force.
    pub tls: TlsFigures,
    pub clients: ClientsFigures,
    pub memory: MemoryFigures,
    pub persistence: PersistenceFigures,
    pub stats: StatsFigures,
    pub cpu: CpuFigures,
    /// 40 hexadecimal digits, drawn at start.
    pub replication_id: String,
    /// `repl-backlog-size`: what a backlog would have.
    pub backlog_bytes: u64,
    /// Rows that were called, in the table's order.
    pub commands: Vec<CommandFigures>,
    /// Error code (`ERR`, `WRONGTYPE`) and how often it was said.
    pub errors: Vec<(String, u64)>,
    /// Databases that have keys.
    pub keyspace: Vec<KeyspaceFigures>,
    /// Sizes of keys by database, where the section was asked for.
    pub sizes: Vec<Sizes>,
    /// Whether HOTKEYS looks at requests; none where it has not been asked to, or has forgotten it: then there is no such section.
    pub hot_keys: Option<bool>,
    /// What types take, where the section was asked for.
    pub types: TypeSample,
    /// One row per core.
    pub cores: Vec<CoreFigures>,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ServerFigures {
    /// `Linux 6.18.0 x86_64`.
    pub os: String,
    /// Differs from build to build.
    pub build_id: u64,
    pub process_id: u32,
    /// 40 hexadecimal digits, drawn at start.
    pub run_id: String,
    /// Who is told that the server is ready: `systemd`, `upstart` or `no`.
    pub supervised: String,
    pub tcp_port: u16,
    /// Microseconds since the epoch.
    pub time_us: i64,
    pub uptime_s: u64,
    /// Cycles a second now, and as configured.
    pub hz: u32,
    pub configured_hz: u32,
    /// Seconds since the epoch, the low 24 bits.
    pub lru_clock: u32,
    /// Absolute path.
    pub executable: String,
    /// Absolute path, empty for none.
    pub config_file: String,
    /// `availability-zone`, empty for none.
    pub zone: String,
    pub threads: u32,
    /// `name=tcp,bind=*,port=6379`, without the `listener0:`, under the number that Redis has for its kind.
    pub listeners: Vec<(usize, String)>,
}

/// Clients.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ClientsFigures {
    pub connected: u64,
    pub maxclients: u64,
    /// Largest query and output buffers lately, in bytes.
    pub input_buffer_bytes_max: u64,
    pub output_buffer_bytes_max: u64,
    pub blocked: u64,
    /// Blocked clients whose wait ends by itself.
    pub with_timeout: u64,
    /// Keys that clients wait for.
    pub blocking_keys: u64,
    /// Those whose clients are told when they go.
    pub blocking_keys_on_no_key: u64,
    /// Clients that are subscribed to something.
    pub pubsub: u64,
    /// Clients that watch keys.
    pub watching: u64,
    /// Keys that clients watch.
    pub watched_keys: u64,
    /// Clients that track keys.
    pub tracking: u64,
    /// Clients held back by CLIENT PAUSE.
    pub paused: u64,
    /// Milliseconds that the pause will last, and whether only writes wait; none without one.
    pub pause: Option<(u64, bool)>,
}

/// What would be saved.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct PersistenceFigures {
    /// What core 0 knows of snapshots.
    pub saving: SavingFigures,
    /// Changes since the last snapshot.
    pub changes: u64,
    /// One for each core that has a log.
    pub logs: Vec<LogFigures>,
}

/// A core's log and its disk.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct LogFigures {
    /// Bytes that are not in the base.
    pub bytes: u64,
    /// Bytes not handed to the disk yet.
    pub buffered: u64,
    pub is_failing: bool,
    /// A sync is under way.
    pub is_syncing: bool,
    pub delayed_syncs: u64,
    /// How long the disk took to make something durable, in microseconds: p50, p99, p99.9, the longest.
    pub sync_us: [u64; 4],
    pub syncs: u64,
}

/// Counts since the start or CONFIG RESETSTAT.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct StatsFigures {
    pub connections_received: u64,
    pub commands_processed: u64,
    pub ops_per_second: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// KiB a second.
    pub input_kbps: f64,
    pub output_kbps: f64,
    pub rejected_connections: u64,
    pub expired_keys: u64,
    /// Of those, what the cycle found.
    pub expired_keys_active: u64,
    /// Fields of hashes.
    pub expired_fields: u64,
    /// Of those, what the cycle found.
    pub expired_fields_active: u64,
    /// Of what the cycle looks at, how much is past its deadline.
    pub stale_percent: f64,
    /// Expiry cycles that ended because their time was over.
    pub expire_time_cap_reached: u64,
    pub expire_cpu_ms: u64,
    /// How long after its deadline the cycle removed a key: mean and worst.
    pub expire_lag_ms_mean: u64,
    pub expire_lag_ms_max: u64,
    /// Commands over several shards, and tries of those that came out of order.
    pub transactions: u64,
    pub transaction_retries: u64,
    pub evicted_keys: u64,
    /// Scripts that made room for others.
    pub evicted_scripts: u64,
    pub evicted_clients: u64,
    /// How long memory has been over `maxmemory`: all in all, and now.
    pub eviction_exceeded_ms: u64,
    pub eviction_exceeded_now_ms: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub error_replies: u64,
    /// Values of RESTORE; rondo checks all of them.
    pub payloads_checked: u64,
    pub reads: u64,
    pub writes: u64,
    /// Reply buffers that grew beyond what is kept, and were given back.
    pub reply_buffers_outgrown: u64,
    /// Connections whose TLS the kernel took over.
    pub tls_handed_over: u64,
    pub query_limit_disconnections: u64,
    pub output_limit_disconnections: u64,
    pub denials: [u64; REASONS_COUNT],
    /// Values and entries that compaction moved.
    pub defrag_hits: u64,
    /// Values that it looked at and left.
    pub defrag_misses: u64,
    /// Milliseconds that it took.
    pub defrag_ms: u64,
    /// Milliseconds since it began, 0 while it rests.
    pub defrag_running_ms: u64,
    /// Turns of a loop: there is one on each core, and as everything that is said of loops this is their mean.
    pub turns: u64,
    /// Time in turns, sleep not included, in microseconds.
    pub turns_us: u64,
    /// The longest of them, on any core.
    pub turn_us_max: u64,
    /// Most commands in one of them.
    pub turn_commands_max: u64,
    /// Microseconds in ticks.
    pub ticks_us: u64,
    /// Microseconds at logs.
    pub log_us: u64,
    /// Of that, in commands.
    pub commands_us: u64,
    /// Turns a second, of late.
    pub turns_per_second: u64,
    /// The mean time of a turn, of late, in microseconds.
    pub turn_us: u64,
    /// Channels, patterns and shard channels that have subscribers.
    pub pubsub_channels: u64,
    pub pubsub_patterns: u64,
    /// Keys that clients have read who keep copies; each as often as there are such clients; prefixes they named.
    pub tracked_keys: u64,
    pub tracked_items: u64,
    pub tracked_prefixes: u64,
    pub pubsub_shard_channels: u64,
}

/// Seconds of CPU, from getrusage.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct CpuFigures {
    pub system_s: f64,
    pub user_s: f64,
    /// The first core's thread, which accepts connections.
    pub main_system_s: f64,
    pub main_user_s: f64,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct CommandFigures {
    /// `config|get`.
    pub full_name: &'static str,
    pub calls: u64,
    pub time_us: u64,
    /// Refused before they ran, and failed while they ran.
    pub rejected: u64,
    pub failed: u64,
    /// Percentile and latency in microseconds; empty where latency is not tracked.
    pub latency_us: Vec<(f64, f64)>,
}

/// One database.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct KeyspaceFigures {
    pub db: u16,
    pub keys: u64,
    /// Keys with a deadline.
    pub expires: u64,
    /// Their mean time to live, 0 where unknown.
    pub avg_ttl_ms: u64,
    /// Hashes with fields that have a deadline.
    pub dated_hashes: u64,
}

/// One core.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct CoreFigures {
    /// The CPU it is pinned to.
    pub cpu: Option<u32>,
    pub connections: u64,
    pub keys: u64,
    /// Bytes of its shard.
    pub bytes: u64,
    /// Requests that ran on this core for its own clients.
    pub local: u64,
    /// Requests it sent to other cores, and those it ran for them.
    pub hops_out: u64,
    pub hops_in: u64,
    /// Receives that brought bytes, and sends.
    pub reads: u64,
    pub writes: u64,
    /// Connections that moved here, and away.
    pub moves_in: u64,
    pub moves_out: u64,
    /// Seconds of CPU.
    pub cpu_s: f64,
    /// Turns of its loop, and seconds in them.
    pub turns: u64,
    pub turns_s: f64,
}

/// Which cores a section tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// None: what any of them knows.
    Nobody,
    /// The first, which accepts connections and saves.
    First,
    /// Each of them.
    All,
}

struct Section {
    name: &'static str,
    told: Told,
    wanted: Wanted,
    write: fn(&InfoFigures, &mut String),
}

const fn section(
    name: &'static str,
    told: Told,
    wanted: Wanted,
    write: fn(&InfoFigures, &mut String),
) -> Section {
    Section {
        name,
        told,
        wanted,
        write,
    }
}

const OF_MEMORY: Wanted = Wanted::CLIENTS.or(Wanted::MEMORY);
const OF_CORES: Wanted = Wanted::MEMORY.or(Wanted::CPU);
const OF_LATENCY: Wanted = Wanted::COMMANDS.or(Wanted::DURATIONS);
const OF_FILES: Wanted = Wanted::SAVING.or(Wanted::LOG);
const NOTHING: Wanted = Wanted::NOTHING;

/// Sections in the order they are printed; whether INFO alone prints them is in [`DEFAULT_NOT`].
const SECTIONS: &[Section] = &[
    section("Server", Told::Nobody, NOTHING, server),
    section("TLS", Told::All, NOTHING, tls),
    section("Clients", Told::All, Wanted::CLIENTS, clients),
    section("Memory", Told::All, OF_MEMORY, memory),
    section("Persistence", Told::All, OF_FILES, persistence),
    section("Threads", Told::All, NOTHING, threads),
    section("Stats", Told::All, Wanted::CALLS, stats),
    section("Replication", Told::Nobody, NOTHING, replication),
    section("CPU", Told::First, Wanted::CPU, cpu),
    section("Modules", Told::Nobody, NOTHING, |_, _| {}),
    section("Commandstats", Told::All, Wanted::COMMANDS, command_stats),
    section("Errorstats", Told::All, Wanted::ERRORS, error_stats),
    section("Latencystats", Told::All, OF_LATENCY, latency_stats),
    section("Cluster", Told::Nobody, NOTHING, cluster),
    section("Keyspace", Told::All, Wanted::DATABASES, keyspace),
    section("Keysizes", Told::All, Wanted::SIZES, key_sizes),
    section("Hotkeys", Told::Nobody, NOTHING, hot_keys),
    section("Types", Told::All, Wanted::TYPES, types),
    section("Debug", Told::All, Wanted::CALLS, debug),
    section("Cores", Told::All, OF_CORES, cores),
];

/// Sections that only `all`, `everything` and their own names print.
const DEFAULT_NOT: &[&str] = &["Commandstats", "Latencystats", "TLS"];

/// The text of INFO.
///
/// - `sections`: as the client gave them, in any case; empty means `default`. Unknown names select nothing.
pub fn render(figures: &InfoFigures, sections: &[Vec<u8>]) -> String {
    let mut out = String::with_capacity(4096);
    for Section { name, write, .. } in SECTIONS {
        let is_there = *name != "Hotkeys" || figures.hot_keys.is_some();
        if !is_there || !is_selected(name, sections) {
            continue;
        }
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        let _ = write!(out, "# {name}\r\n");
        write(figures, &mut out);
    }
    out
}

/// Sections that nothing but their own names print: keys are looked at only where somebody asks for it, and the other is for
/// those who work on the server.
const BY_NAME_ONLY: &[&str] = &["Types", "Debug"];

/// Whether a request for `sections` prints the section `name`.
pub fn is_selected(name: &str, sections: &[Vec<u8>]) -> bool {
    let by_default = !DEFAULT_NOT.contains(&name);
    // Redis's names for two sections differ from their headings.
    let own_name = match name {
        "Modules" => "module_list",
        name => name,
    };
    let is_for_all = !BY_NAME_ONLY.contains(&name);
    let by_default = by_default && is_for_all;
    if sections.is_empty() {
        return by_default;
    }
    sections.iter().any(|section| {
        let is = |word: &str| section.eq_ignore_ascii_case(word.as_bytes());
        let is_all = is("all") || is("everything");
        is_all && is_for_all || is("default") && by_default || is(name) || is(own_name)
    })
}

/// What of which cores a request for `sections` prints; the node asks for no more.
pub fn wanted(sections: &[Vec<u8>]) -> (Told, Wanted) {
    let selected = SECTIONS.iter().filter(|it| is_selected(it.name, sections));
    selected.fold(
        (Told::Nobody, Wanted::NOTHING),
        |(told, wanted), section| (told.max(section.told), wanted.or(section.wanted)),
    )
}

/// Appends `name:value` lines.
macro_rules! lines {
    ($out:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $( let _ = write!($out, concat!($name, ":{}\r\n"), $value); )+
    };
}

fn server(figures: &InfoFigures, out: &mut String) {
    let server = &figures.server;
    lines!(out,
        "redis_version": REDIS_VERSION,
        "rondo_version": RONDO_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": format_args!("{:016x}", server.build_id),
        "redis_mode": "standalone",
        "os": server.os,
        "arch_bits": usize::BITS,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "io_uring",
        "atomicvar_api": "rust-core",
        // What Redis says where no GCC has made it.
        "gcc_version": "0.0.0",
        "process_id": server.process_id,
        "process_supervised": server.supervised,
        "run_id": server.run_id,
        "tcp_port": server.tcp_port,
        "server_time_usec": server.time_us,
        "uptime_in_seconds": server.uptime_s,
        "uptime_in_days": server.uptime_s / 86_400,
        "hz": server.hz,
        "configured_hz": server.configured_hz,
        "lru_clock": server.lru_clock,
        "executable": server.executable,
        "config_file": server.config_file,
        "availability_zone": server.zone,
        "io_threads_active": u8::from(server.threads > 1),
        "threads": server.threads,
    );
    for (index, listener) in &server.listeners {
        let _ = write!(out, "listener{index}:{listener}\r\n");
    }
}

/// Valkey's section; there are no certificates for links to other servers.
fn tls(figures: &InfoFigures, out: &mut String) {
    let now_s = u64::try_from(figures.server.time_us / 1_000_000).unwrap_or(0);
    let told = [
        ("server", figures.tls.own.as_ref()),
        ("client", None),
        ("ca", figures.tls.authority.as_ref()),
    ];
    for (name, certificate) in told {
        let serial = certificate.map_or("none", |it| &it.serial);
        let left_s = certificate.map_or(0, |it| it.left_s(now_s));
        let _ = write!(
            out,
            "tls_{name}_cert_serial:{serial}\r\ntls_{name}_cert_expires_in_seconds:{left_s}\r\n"
        );
    }
    lines!(out, "total_tls_kernel_connections": figures.stats.tls_handed_over);
}

fn clients(figures: &InfoFigures, out: &mut String) {
    let clients = &figures.clients;
    lines!(out,
        "connected_clients": clients.connected,
        "cluster_connections": 0,
        "maxclients": clients.maxclients,
        "client_recent_max_input_buffer": clients.input_buffer_bytes_max,
        "client_recent_max_output_buffer": clients.output_buffer_bytes_max,
        "blocked_clients": clients.blocked,
        "tracking_clients": clients.tracking,
        "pubsub_clients": clients.pubsub,
        "watching_clients": clients.watching,
        "clients_in_timeout_table": clients.with_timeout,
        "total_watched_keys": clients.watched_keys,
        "total_blocking_keys": clients.blocking_keys,
        "total_blocking_keys_on_nokey": clients.blocking_keys_on_no_key,
        "paused_clients": clients.paused,
    );
    let (reason, actions, left_ms) = match clients.pause {
        None => ("none", "none", 0),
        Some((left_ms, true)) => ("client_pause", "write", left_ms),
        Some((left_ms, false)) => ("client_pause", "all", left_ms),
    };
    lines!(out,
        "paused_reason": reason,
        "paused_actions": actions,
        "paused_timeout_milliseconds": left_ms,
    );
}

fn memory(figures: &InfoFigures, out: &mut String) {
    figures.memory.write_info(out);
}

fn persistence(figures: &InfoFigures, out: &mut String) {
    let saving = &figures.persistence.saving;
    let logs = &figures.persistence.logs;
    // They end soon after they have been turned off, which is no matter of clients.
    let is_logging = saving.is_logging;
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    lines!(out,
        "loading": u8::from(saving.loading.is_some()),
        "async_loading": 0,
        "current_cow_peak": saving.current_changed_bytes,
        "current_cow_size": saving.current_changed_bytes,
        // It is counted as it grows, not looked at now and then.
        "current_cow_size_age": 0,
        "current_fork_perc": format_args!("{:.2}", ratio(100 * saving.current_keys_written, saving.current_keys)),
        "current_save_keys_processed": saving.current_keys_written,
        "current_save_keys_total": saving.current_keys,
        "rdb_changes_since_last_save": figures.persistence.changes,
        "rdb_bgsave_in_progress": u8::from(saving.in_progress),
        "rdb_last_save_time": saving.last_save_s,
        "rdb_last_bgsave_status": if saving.has_failed { "err" } else { "ok" },
        "rdb_last_bgsave_time_sec": seconds(saving.last_seconds),
        "rdb_current_bgsave_time_sec": seconds(saving.current_seconds),
        "rdb_saves": saving.saves,
        "rdb_saves_consecutive_failures": saving.failures,
        "rdb_last_cow_size": saving.last_changed_bytes,
        "rdb_last_load_keys_expired": saving.last_expired,
        "rdb_last_load_keys_loaded": saving.last_loaded,
        "aof_enabled": u8::from(is_logging),
        "aof_rewrite_in_progress": u8::from(saving.rewrite.in_progress),
        "aof_rewrite_scheduled": u8::from(saving.rewrite.is_scheduled),
        "aof_last_rewrite_time_sec": seconds(saving.rewrite.last_seconds),
        "aof_current_rewrite_time_sec": seconds(saving.rewrite.current_seconds),
        "aof_last_bgrewrite_status": if saving.rewrite.has_failed { "err" } else { "ok" },
        "aof_rewrites": saving.rewrite.count,
        "aof_rewrites_consecutive_failures": saving.rewrite.failures,
        "aof_last_write_status": if logs.iter().any(|log| log.is_failing) { "err" } else { "ok" },
        "aof_last_cow_size": saving.rewrite.last_changed_bytes,
        "backup_in_progress": u8::from(saving.is_backing_up),
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    );
    if let Some(loading) = &saving.loading {
        let left = loading.total_bytes.saturating_sub(loading.read_bytes);
        // Clients wait for as long as this says before they ask again. In the first second Redis says one, whatever there is to load.
        let left_s = match loading.milliseconds {
            ..1000 => 1,
            so_far => {
                let all = u128::from(so_far) * u128::from(left);
                (all / u128::from(loading.read_bytes.max(1)) / 1000) as u64
            }
        };
        lines!(out,
            "loading_start_time": loading.began_s,
            "loading_total_bytes": loading.total_bytes,
            "loading_rdb_used_mem": loading.file_used_bytes,
            "loading_loaded_bytes": loading.read_bytes,
            "loading_loaded_perc": format_args!("{:.2}", loading.read_bytes as f64 * 100.0 / loading.total_bytes.max(1) as f64),
            "loading_eta_seconds": left_s,
        );
    }
    if !is_logging {
        return;
    }
    let sum = |of: fn(&LogFigures) -> u64| logs.iter().map(of).sum::<u64>();
    lines!(out,
        "aof_current_size": saving.rewrite.base_bytes + sum(|log| log.bytes),
        "aof_base_size": saving.rewrite.size_after_last,
        "aof_pending_rewrite": u8::from(saving.rewrite.is_scheduled),
        "aof_buffer_length": sum(|log| log.buffered),
        "aof_pending_bio_fsync": sum(|log| u64::from(log.is_syncing)),
        "aof_delayed_fsync": sum(|log| log.delayed_syncs),
    );
    for (core, log) in logs.iter().enumerate() {
        let [p50, p99, p999, max] = log.sync_us;
        let _ = write!(
            out,
            "aof_fsync_core_{core}:count={},p50_us={p50},p99_us={p99},p99.9_us={p999},max_us={max}\r\n",
            log.syncs
        );
    }
}

fn threads(figures: &InfoFigures, out: &mut String) {
    for (index, core) in figures.cores.iter().enumerate() {
        let CoreFigures {
            connections,
            reads,
            writes,
            ..
        } = core;
        let _ = write!(
            out,
            "io_thread_{index}:clients={connections},reads={reads},writes={writes}\r\n"
        );
    }
}

fn stats(figures: &InfoFigures, out: &mut String) {
    let stats = &figures.stats;
    let total = |count: fn(&CoreFigures) -> u64| figures.cores.iter().map(count).sum::<u64>();
    lines!(out,
        "total_connections_received": stats.connections_received,
        "total_commands_processed": stats.commands_processed,
        "instantaneous_ops_per_sec": stats.ops_per_second,
        "total_net_input_bytes": stats.input_bytes,
        "total_net_output_bytes": stats.output_bytes,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": format_args!("{:.2}", stats.input_kbps),
        "instantaneous_output_kbps": format_args!("{:.2}", stats.output_kbps),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": stats.rejected_connections,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_subkeys": stats.expired_fields,
        "expired_subkeys_active": stats.expired_fields_active,
        // Valkey's name for it.
        "expired_fields": stats.expired_fields,
        "expired_keys": stats.expired_keys,
        "expired_keys_active": stats.expired_keys_active,
        "expired_stale_perc": format_args!("{:.2}", stats.stale_percent),
        "expired_time_cap_reached_count": stats.expire_time_cap_reached,
        "expire_cycle_cpu_milliseconds": stats.expire_cpu_ms,
        "expire_lag_ms_mean": stats.expire_lag_ms_mean,
        "expire_lag_ms_max": stats.expire_lag_ms_max,
        "evicted_keys": stats.evicted_keys,
        "evicted_clients": stats.evicted_clients,
        "total_eviction_exceeded_time": stats.eviction_exceeded_ms,
        "current_eviction_exceeded_time": stats.eviction_exceeded_now_ms,
        "evicted_scripts": stats.evicted_scripts,
        "keyspace_hits": stats.keyspace_hits,
        "keyspace_misses": stats.keyspace_misses,
        "pubsub_channels": stats.pubsub_channels,
        "pubsub_patterns": stats.pubsub_patterns,
        "pubsubshard_channels": stats.pubsub_shard_channels,
        "migrate_cached_sockets": 0,
        "latest_fork_usec": 0,
        "total_forks": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": stats.defrag_hits,
        "active_defrag_misses": stats.defrag_misses,
        "active_defrag_key_hits": stats.defrag_hits,
        "active_defrag_key_misses": stats.defrag_misses,
        "total_active_defrag_time": stats.defrag_ms,
        "current_active_defrag_time": stats.defrag_running_ms,
        "tracking_total_keys": stats.tracked_keys,
        "tracking_total_items": stats.tracked_items,
        "tracking_total_prefixes": stats.tracked_prefixes,
        "unexpected_error_replies": 0,
        "total_error_replies": stats.error_replies,
        "dump_payload_sanitizations": stats.payloads_checked,
        "total_reads_processed": stats.reads,
        "total_writes_processed": stats.writes,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "client_query_buffer_limit_disconnections": stats.query_limit_disconnections,
        "client_output_buffer_limit_disconnections": stats.output_limit_disconnections,
        "reply_buffer_shrinks": stats.reply_buffers_outgrown,
        "reply_buffer_expands": stats.reply_buffers_outgrown,
        "eventloop_cycles": stats.turns,
        "eventloop_duration_sum": stats.turns_us,
        "eventloop_duration_cmd_sum": stats.commands_us,
        "instantaneous_eventloop_cycles_per_sec": stats.turns_per_second,
        "instantaneous_eventloop_duration_usec": stats.turn_us,
        "acl_access_denied_auth": stats.denials[Reason::Auth as usize],
        "acl_access_denied_cmd": stats.denials[Reason::Command as usize],
        "acl_access_denied_key": stats.denials[Reason::Key as usize],
        "acl_access_denied_channel": stats.denials[Reason::Channel as usize],
        "acl_access_denied_db": stats.denials[Reason::Database as usize],
        "acl_access_denied_tls_cert": stats.denials[Reason::Certificate as usize],
        "local_requests": total(|core| core.local),
        "hops": total(|core| core.hops_out),
        "connection_moves": total(|core| core.moves_in),
        "transactions": stats.transactions,
        "transaction_retries": stats.transaction_retries,
    );
}

fn replication(figures: &InfoFigures, out: &mut String) {
    lines!(out,
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": figures.replication_id,
        "master_replid2": "0000000000000000000000000000000000000000",
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": figures.backlog_bytes,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    );
}

fn cpu(figures: &InfoFigures, out: &mut String) {
    lines!(out,
        "used_cpu_sys": format_args!("{:.6}", figures.cpu.system_s),
        "used_cpu_user": format_args!("{:.6}", figures.cpu.user_s),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
        "used_cpu_sys_main_thread": format_args!("{:.6}", figures.cpu.main_system_s),
        "used_cpu_user_main_thread": format_args!("{:.6}", figures.cpu.main_user_s),
    );
}

fn command_stats(figures: &InfoFigures, out: &mut String) {
    for command in &figures.commands {
        if command.calls + command.rejected + command.failed == 0 {
            continue;
        }
        let _ = write!(
            out,
            "cmdstat_{}:calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}\r\n",
            command.full_name,
            command.calls,
            command.time_us,
            ratio(command.time_us, command.calls),
            command.rejected,
            command.failed,
        );
    }
}

fn error_stats(figures: &InfoFigures, out: &mut String) {
    for (code, count) in &figures.errors {
        let _ = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}

fn latency_stats(figures: &InfoFigures, out: &mut String) {
    for command in figures
        .commands
        .iter()
        .filter(|command| !command.latency_us.is_empty())
    {
        let texts: Vec<String> = command
            .latency_us
            .iter()
            .map(|(percentile, latency_us)| {
                format!("p{}={latency_us:.3}", percentile_text(*percentile))
            })
            .collect();
        let _ = write!(
            out,
            "latency_percentiles_usec_{}:{}\r\n",
            command.full_name,
            texts.join(",")
        );
    }
}

fn cluster(_: &InfoFigures, out: &mut String) {
    lines!(out, "cluster_enabled": 0);
}

fn keyspace(figures: &InfoFigures, out: &mut String) {
    for row in figures.keyspace.iter().filter(|row| row.keys > 0) {
        let _ = write!(
            out,
            // Not `keys_with_volatile_items`, too, as Valkey calls the last: redis_exporter reads no line of five.
            "db{}:keys={},expires={},avg_ttl={},subexpiry={}\r\n",
            row.db, row.keys, row.expires, row.avg_ttl_ms, row.dated_hashes
        );
    }
}

fn key_sizes(figures: &InfoFigures, out: &mut String) {
    for (db, sizes) in figures.sizes.iter().enumerate() {
        for (kind, name) in SIZED_KINDS.iter().enumerate() {
            let bins: Vec<String> = sizes
                .of(kind)
                .map(|(smallest, count)| format!("{}={count}", bin_text(smallest)))
                .collect();
            if !bins.is_empty() {
                let _ = write!(out, "db{db}_distrib_{name}:{}\r\n", bins.join(","));
            }
        }
    }
}

/// Redis's as of 8.6, dashes in its field's name as there.
fn hot_keys(figures: &InfoFigures, out: &mut String) {
    let is_on = figures.hot_keys == Some(true);
    lines!(out, "hotkeys-tracking-active": u8::from(is_on));
}

fn debug(figures: &InfoFigures, out: &mut String) {
    let stats = &figures.stats;
    lines!(out,
        "eventloop_duration_aof_sum": stats.log_us,
        "eventloop_duration_cron_sum": stats.ticks_us,
        "eventloop_duration_max": stats.turn_us_max,
        "eventloop_cmd_per_cycle_max": stats.turn_commands_max,
    );
}

/// Not in Redis.
fn types(figures: &InfoFigures, out: &mut String) {
    lines!(out, "types_sampled": u8::from(figures.types.is_sampled));
    for (name, share) in figures.types.iter() {
        let _ = write!(
            out,
            "type_{name}:keys={:.0},bytes={:.0}\r\n",
            share.keys, share.bytes
        );
    }
}

/// 512, 1K, 2M: a power of two, or 0.
fn bin_text(number: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let unit = number.checked_ilog2().map_or(0, |bits| bits as usize / 10);
    format!("{}{}", number >> (10 * unit), UNITS[unit])
}

fn cores(figures: &InfoFigures, out: &mut String) {
    for (index, core) in figures.cores.iter().enumerate() {
        let cpu = core.cpu.map_or("any".to_string(), |cpu| cpu.to_string());
        let _ = write!(
            out,
            "core{index}:cpu={cpu},connections={},keys={},bytes={},local={},hops_out={},hops_in={},moves_in={},\
             moves_out={},cpu_seconds={:.2},turns={},turn_seconds={:.2}\r\n",
            core.connections,
            core.keys,
            core.bytes,
            core.local,
            core.hops_out,
            core.hops_in,
            core.moves_in,
            core.moves_out,
            core.cpu_s,
            core.turns,
            core.turns_s,
        );
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
