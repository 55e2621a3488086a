//! Metrics: what INFO says, as Prometheus reads it and as the page does.
//!
//! INFO is the one place where figures are collected over cores, so a field added there is here too, without another list of names.
//!
//!     name:12                        rondo_name 12
//!     name_status:ok                 rondo_name_status 1; 0 for err
//!     db0:keys=1,expires=0           rondo_db_keys{db="0"} 1 …
//!     cmdstat_get:calls=1,usec=5     rondo_command_calls_total{command="get"} 1, rondo_command_seconds_total{…} 0.000005 …
//!     type_hash:keys=2,bytes=300     rondo_type_bytes{type="hash"} 300 …
//!     core0:cpu=0,connections=2      rondo_core_connections{core="0"} 2 …
//!     io_thread_0:reads=5,writes=4   rondo_core_reads_total{core="0"} 5 …
//!     aof_fsync_core_0:p99_us=400    rondo_core_aof_fsync_seconds{core="0",quantile="0.99"} 0.0004 …
//!
//! Promises  every line is valid in the text format 0.0.4: one HELP and one TYPE a name, before its samples, all of a
//!           name together.
//! Not here  serving it: `node/http.rs`.
//! Source    Prometheus, text-based exposition format.
//! Tests     tests/node/metrics.rs.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::http::Figures;

/// Fields of INFO that only ever grow (until a restart or CONFIG RESETSTAT); all other numbers go up and down.
const COUNTERS: &[&str] = &[
    "expired_keys",
    "expired_keys_active",
    "expired_subkeys",
    "expired_subkeys_active",
    "expired_fields",
    "expired_time_cap_reached_count",
    "expire_cycle_cpu_milliseconds",
    "evicted_keys",
    "evicted_clients",
    "evicted_scripts",
    "keyspace_hits",
    "keyspace_misses",
    "rejected_connections",
    "client_query_buffer_limit_disconnections",
    "client_output_buffer_limit_disconnections",
    "eventloop_cycles",
    "eventloop_duration_sum",
    "eventloop_duration_cmd_sum",
    "local_requests",
    "hops",
    "connection_moves",
    "transactions",
    "transaction_retries",
    "used_cpu_sys",
    "used_cpu_user",
    "used_cpu_sys_children",
    "used_cpu_user_children",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "aof_delayed_fsync",
    "aof_rewrites",
    "dump_payload_sanitizations",
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "reply_buffer_expands",
    "reply_buffer_shrinks",
    "unexpected_error_replies",
    "lazyfreed_objects",
    "rdb_saves",
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
];

/// What a core's fields are, where they only grow.
const CORE_COUNTERS: &[&str] = &[
    "reads",
    "writes",
    "local",
    "hops_out",
    "hops_in",
    "moves_in",
    "moves_out",
    "cpu_seconds",
    "turns",
    "turn_seconds",
];

fn is_counter(name: &str) -> bool {
    COUNTERS.contains(&name)
        || name.starts_with("total_") && !is_gauge_total(name)
        || name.starts_with("acl_access_denied_")
}

/// Totals that are sizes, not counts of what has happened.
fn is_gauge_total(name: &str) -> bool {
    [
        "total_system_memory",
        "total_blocking_keys",
        "total_blocking_keys_on_nokey",
        "total_watched_keys",
    ]
    .contains(&name)
}

/// Samples by name.
#[derive(Default)]
struct Samples {
    by_name: BTreeMap<String, Family>,
}

/// The samples of one name.
struct Family {
    kind: &'static str,
    help: String,
    /// Labels and value of each.
    samples: Vec<(String, String)>,
}

impl Samples {
    /// - `help`: what it is, without backslashes and line ends.
    /// - `labels`: as they stand in braces, empty for none.
    fn push(
        &mut self,
        name: String,
        kind: &'static str,
        help: std::fmt::Arguments<'_>,
        labels: String,
        value: String,
    ) {
        let family = self.by_name.entry(name).or_insert_with(|| Family {
            kind,
            help: help.to_string(),
            samples: Vec::new(),
        });
        family.samples.push((labels, value));
    }

    fn into_text(self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        for (name, family) in self.by_name {
            let Family { kind, help, .. } = family;
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in family.samples {
                let _ = if labels.is_empty() {
                    writeln!(text, "{name} {value}")
                } else {
                    writeln!(text, "{name}{{{labels}}} {value}")
                };
            }
        }
        text
    }
}

/// INFO's text as the Prometheus text format.
pub fn to_prometheus(info: &str) -> String {
    let mut samples = Samples::default();
    let mut build = Vec::new();
    for (name, value) in fields(info) {
        if [
            "redis_version",
            "rondo_version",
            "redis_mode",
            "os",
            "role",
            "maxmemory_policy",
            "mem_allocator",
        ]
        .contains(&name)
        {
            build.push(label(name, value));
        } else if let Some(command) = name.strip_prefix("cmdstat_") {
            command_counts(&mut samples, command, value);
        } else if let Some(command) = name.strip_prefix("latency_percentiles_usec_") {
            command_latency(&mut samples, command, value);
        } else if let Some(kind) = name.strip_prefix("type_") {
            for (part, value) in parts(value).filter(|(_, value)| is_number(value)) {
                let name = format!("rondo_type_{part}");
                let help = format_args!("{part} of the keys of a type, of INFO's type_ lines");
                samples.push(name, "gauge", help, label("type", kind), value.into());
            }
        } else if let Some(code) = name.strip_prefix("errorstat_") {
            let count = parts(value)
                .find(|(part, _)| *part == "count")
                .map_or("0", |(_, count)| count);
            samples.push(
                "rondo_errors_total".into(),
                "counter",
                format_args!("Error replies, by the first word of each"),
                label("code", code),
                count.into(),
            );
        } else if let Some(index) = numbered(name, "db") {
            for (part, value) in parts(value).filter(|(_, value)| is_number(value)) {
                samples.push(
                    format!("rondo_db_{part}"),
                    "gauge",
                    format_args!("{part} of a database, of INFO's section Keyspace"),
                    label("db", index),
                    value.into(),
                );
            }
        } else if let Some(index) = numbered(name, "core") {
            core(&mut samples, index, value);
        } else if let Some(index) = numbered(name, "io_thread_") {
            // Its clients are among what the section Cores says.
            for (part, value) in parts(value).filter(|(part, _)| CORE_COUNTERS.contains(part)) {
                let name = format!("rondo_core_{part}_total");
                let help = format_args!("{part} of a core, of INFO's section Threads");
                samples.push(name, "counter", help, label("core", index), value.into());
            }
        } else if let Some(index) = numbered(name, "aof_fsync_core_") {
            log_syncs(&mut samples, index, value);
        } else if let Some(status) = status(value) {
            let field = clean(name);
            let help = format_args!("INFO's field {field}: 1 for ok, 0 for err");
            let name = format!("rondo_{field}");
            samples.push(name, "gauge", help, String::new(), status.into());
        } else if is_number(value) && !DIGESTS.contains(&name) {
            let field = clean(name);
            let (name, kind) = if is_counter(name) {
                let name = field.strip_prefix("total_").unwrap_or(&field);
                (format!("rondo_{name}_total"), "counter")
            } else {
                (format!("rondo_{field}"), "gauge")
            };
            let help = format_args!("INFO's field {field}");
            samples.push(name, kind, help, String::new(), value.into());
        }
    }
    let help = format_args!("What runs here, in labels");
    samples.push(
        "rondo_info".into(),
        "gauge",
        help,
        build.join(","),
        "1".into(),
    );
    samples.into_text()
}

fn command_counts(samples: &mut Samples, command: &str, value: &str) {
    let command = label("command", command);
    for (part, value) in parts(value) {
        match part {
            "calls" | "rejected_calls" | "failed_calls" => {
                let name = format!("rondo_command_{part}_total");
                let help = format_args!("{part} of a command, of INFO's section Commandstats");
                samples.push(name, "counter", help, command.clone(), value.into());
            }
            "usec" => {
                let seconds = value.parse::<f64>().unwrap_or(0.0) / 1e6;
                let name = "rondo_command_seconds_total".into();
                let help = format_args!("Time in a command");
                samples.push(name, "counter", help, command.clone(), seconds.to_string());
            }
            _ => {}
        }
    }
}

/// `p99.9` as a label.
fn quantile(part: &str) -> Option<String> {
    let percentile = part.strip_prefix('p')?.parse::<f64>().ok()?;
    // 99.9 / 100 is 0.9990000000000001.
    let quantile = (percentile * 1e4).round() / 1e6;
    Some(label("quantile", &quantile.to_string()))
}

/// How long a core's disk takes.
fn log_syncs(samples: &mut Samples, index: &str, value: &str) {
    let core = label("core", index);
    for (part, value) in parts(value) {
        if part == "count" {
            let name = "rondo_core_aof_fsyncs_total".into();
            let help = format_args!("Times that a core's log was made durable");
            samples.push(name, "counter", help, core.clone(), value.into());
        }
        let (Some(part), Ok(us)) = (part.strip_suffix("_us"), value.parse::<f64>()) else {
            continue;
        };
        let quantile = match part {
            "max" => Some(label("quantile", "1")),
            part => quantile(part),
        };
        if let Some(quantile) = quantile {
            let name = "rondo_core_aof_fsync_seconds".into();
            let help = format_args!("How long a core's disk took to make its log durable");
            let seconds = format!("{:.6}", us / 1e6);
            samples.push(name, "gauge", help, format!("{core},{quantile}"), seconds);
        }
    }
}

fn command_latency(samples: &mut Samples, command: &str, value: &str) {
    for (part, value) in parts(value) {
        let (Some(quantile), Ok(us)) = (quantile(part), value.parse::<f64>()) else {
            continue;
        };
        let labels = format!("{},{quantile}", label("command", command));
        let seconds = format!("{:.9}", us / 1e6);
        samples.push(
            "rondo_command_latency_seconds".into(),
            "gauge",
            format_args!("Time of one call of a command, since it was last reset"),
            labels,
            seconds,
        );
    }
}

fn core(samples: &mut Samples, index: &str, value: &str) {
    for (part, value) in parts(value).filter(|(_, value)| is_number(value)) {
        let (name, kind) = if CORE_COUNTERS.contains(&part) {
            (format!("rondo_core_{part}_total"), "counter")
        } else {
            (format!("rondo_core_{part}"), "gauge")
        };
        let help = format_args!("{part} of a core, of INFO's section Cores");
        samples.push(name, kind, help, label("core", index), value.into());
    }
}

/// INFO's text as JSON: an object of sections, each an object of its fields, all of them strings; and arrays of slow
/// calls and of hot keys.
pub fn to_json(figures: &Figures) -> String {
    let Figures { info, slow, hot } = figures;
    let mut text = String::from("{");
    let mut is_open = false;
    let mut is_first = true;
    for line in info.lines() {
        if let Some(section) = line.strip_prefix("# ") {
            text.push_str(if is_open { "}," } else { "" });
            push_json_string(&mut text, section);
            text.push_str(":{");
            (is_open, is_first) = (true, true);
        } else if let Some((name, value)) = line.split_once(':').filter(|_| is_open) {
            text.push_str(if is_first { "" } else { "," });
            push_json_string(&mut text, name);
            text.push(':');
            push_json_string(&mut text, value);
            is_first = false;
        }
    }
    text.push_str(if is_open { "}," } else { "" });
    text.push_str("\"slow\":[");
    for (index, row) in slow.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(
            text,
            "{comma}{{\"at\":{},\"us\":{},\"words\":",
            row.at_s, row.took_us
        );
        push_json_string(&mut text, &row.words);
        text.push_str(",\"client\":");
        push_json_string(&mut text, &row.client);
        text.push('}');
    }
    text.push_str("],\"hot\":[");
    for (index, row) in hot.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (db, share) = (row.db, row.share);
        let _ = write!(text, "{comma}{{\"db\":{db},\"share\":{share:.4},\"key\":");
        push_json_string(&mut text, &row.key);
        text.push('}');
    }
    text.push_str("]}");
    text
}

fn push_json_string(text: &mut String, word: &str) {
    text.push('"');
    for letter in word.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            letter if letter < ' ' => {
                let _ = write!(text, "\\u{:04x}", letter as u32);
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
}

/// The value of one field of INFO's text.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    fields(info)
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value)
}

fn fields(info: &str) -> impl Iterator<Item = (&str, &str)> {
    info.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
}

/// `a=1,b=2`.
fn parts(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').filter_map(|part| part.split_once('='))
}

/// `db0` of `db`: `0`.
fn numbered<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let index = name.strip_prefix(prefix)?;
    (!index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit())).then_some(index)
}

/// Fields that name something in hexadecimal digits, whatever these look like.
const DIGESTS: [&str; 5] = [
    "redis_git_sha1",
    "redis_build_id",
    "run_id",
    "master_replid",
    "master_replid2",
];

/// How it ended, as a figure; None for what is no such word.
fn status(value: &str) -> Option<&'static str> {
    match value {
        "ok" => Some("1"),
        "err" => Some("0"),
        _ => None,
    }
}

fn is_number(value: &str) -> bool {
    let plain = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
    plain && value.parse::<f64>().is_ok()
}

/// A name with nothing in it but what names may have.
fn clean(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '_' {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

fn label(name: &str, value: &str) -> String {
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
