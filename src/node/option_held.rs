//! The options of Redis that rondo holds or refuses, one line each.
//!
//! `held` options are checked and read back and touch nothing that works here. `fixed` options take only the values that
//! describe what rondo does; anything else is refused with the reason, because accepting it would promise something.

use super::options::{Check, Kind, OptionSpec, Topic};

const INT_MAX: i64 = i32::MAX as i64;
const YES_NO: Check = Check::Bool;
const COUNT: Check = Check::Int(0, i64::MAX);
const INT: Check = Check::Int(0, INT_MAX);

const NO_REPLICATION: &str = "replication is not built yet";
const NO_CLUSTER: &str = "cluster mode is not built yet";
const NO_LINKS: &str = "rondo has no links to other servers yet";

/// An option that is remembered; nothing here looks at it but where its group says so.
const fn held(
    name: &'static str,
    alias: &'static str,
    check: Check,
    default: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        alias,
        kind: Kind::Held(check),
        default,
        live: true,
        protected: false,
        multi: false,
        words_per_line: 0,
        only: (&[], ""),
        settled: "",
        hidden: false,
        topic: Topic::Other,
        help: "",
    }
}

/// An option that takes only some values.
const fn fixed(
    name: &'static str,
    check: Check,
    default: &'static str,
    only: &'static [&'static str],
    reason: &'static str,
) -> OptionSpec {
    OptionSpec {
        only: (only, reason),
        ..held(name, "", check, default)
    }
}

/// The same, and CONFIG SET may not change it.
const fn at_start(spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        live: false,
        ..spec
    }
}

/// The same, under an older name too.
const fn alias(alias: &'static str, spec: OptionSpec) -> OptionSpec {
    OptionSpec { alias, ..spec }
}

/// The same, and only its whole name finds it.
const fn hidden(spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        hidden: true,
        ..spec
    }
}

/// The same, and several words are one value.
const fn multi(spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        multi: true,
        ..spec
    }
}

/// The same, shown by `--help`.
const fn shown(topic: Topic, help: &'static str, spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        topic,
        help,
        ..spec
    }
}

const SHUTDOWN_WORDS: Check = Check::Words(&["default", "save", "nosave", "now", "force"]);

/// The rows.
#[rustfmt::skip]
pub const HELD: &[OptionSpec] = &[
    // Persistence.
    at_start(held("appendfilename", "", Check::Text, "appendonly.aof")),
    fixed("preload-file", Check::Text, "", &[""], "a backup's copies are a data directory: put them where `dir` and `appenddirname` say"),
    held("rdb-del-sync-files", "", YES_NO, "no"),
    held("rdb-save-incremental-fsync", "", YES_NO, "yes"),
    held("no-appendfsync-on-rewrite", "", YES_NO, "no"),
    held("aof-use-rdb-preamble", "", YES_NO, "yes"),
    held("aof-timestamp-enabled", "", YES_NO, "no"),
    held("aof-rewrite-incremental-fsync", "", YES_NO, "yes"),
    held("sanitize-dump-payload", "", Check::Enum(&["no", "yes", "clients"]), "no"),
    // Memory.
    shown(Topic::Memory, "most bytes of memory, buffers of clients included; 0 for no limit", held("maxmemory", "", Check::Memory(0), "0")),
    shown(Topic::Memory, "most bytes that clients may take, or a percentage of maxmemory; 0 for no limit", held("maxmemory-clients", "", Check::MemoryOrPercent, "0")),
    shown(Topic::Memory, "keys looked at to find one that goes", held("maxmemory-samples", "", Check::Int(1, 64), "5")),
    shown(Topic::Memory, "how long a command may be held up by evictions, 0 to 100", held("maxmemory-eviction-tenacity", "", Check::Int(0, 100), "10")),
    // A key goes at once, what is large in it in steps, whatever this says.
    held("lazyfree-lazy-eviction", "", YES_NO, "no"),
    // What is large is freed in steps wherever it is removed, and strings in one, whatever these say.
    held("lazyfree-lazy-expire", "", YES_NO, "no"),
    held("lazyfree-lazy-server-del", "", YES_NO, "no"),
    held("lazyfree-lazy-user-del", "", YES_NO, "no"),
    // The sweep over clients is paced by their number, whatever the ticks a second.
    held("dynamic-hz", "", YES_NO, "yes"),
    // The ring hands over connections as they come, between other completions; no cycle waits for them.
    held("max-new-connections-per-cycle", "", Check::Int(1, 1000), "10"),
    at_start(held("always-show-logo", "", YES_NO, "no")),
    held("activerehashing", "", YES_NO, "yes"),
    held("jemalloc-bg-thread", "", YES_NO, "yes"),
    shown(Topic::Memory, "move values together where churn has left memory half empty", held("activedefrag", "", YES_NO, "yes")),
    held("active-defrag-cycle-min", "", Check::Int(1, 99), "1"),
    held("active-defrag-cycle-max", "", Check::Int(1, 99), "25"),
    held("active-defrag-threshold-lower", "", Check::Int(0, 1000), "10"),
    held("active-defrag-threshold-upper", "", Check::Int(0, 1000), "100"),
    held("active-defrag-ignore-bytes", "", Check::Memory(1), "4194304"),
    // Allocations, of a collection or of several, that are looked at before the clock is.
    held("active-defrag-max-scan-fields", "", Check::Int(1, i64::MAX), "1000"),
    at_start(held("disable-thp", "", YES_NO, "yes")),
    // Encodings; what is in force is read back by `Options::encoding_limits`.
    held("hash-max-listpack-entries", "hash-max-ziplist-entries", COUNT, "512"),
    held("hash-max-listpack-value", "hash-max-ziplist-value", Check::Memory(0), "64"),
    held("set-max-intset-entries", "", COUNT, "512"),
    held("set-max-listpack-entries", "", COUNT, "128"),
    held("set-max-listpack-value", "", COUNT, "64"),
    held("zset-max-listpack-entries", "zset-max-ziplist-entries", COUNT, "128"),
    held("zset-max-listpack-value", "zset-max-ziplist-value", Check::Memory(0), "64"),
    held("list-max-listpack-size", "list-max-ziplist-size", Check::Int(i32::MIN as i64, INT_MAX), "-2"),
    held("list-compress-depth", "", INT, "0"),
    held("hll-sparse-max-bytes", "", Check::Memory(0), "3000"),
    held("stream-node-max-bytes", "", Check::Memory(0), "4096"),
    held("stream-node-max-entries", "", COUNT, "100"),
    // The process.
    shown(Topic::General, "go into the background (yes), unless a supervisor is named", at_start(held("daemonize", "", YES_NO, "no"))),
    shown(Topic::General, "who is told that the server is ready: systemd, upstart, auto or no", at_start(held("supervised", "", Check::Enum(&["upstart", "systemd", "auto", "no"]), "no"))),
    shown(Topic::Threads, "Redis's name: more than 1 is taken for threads, where that is not given", at_start(held("io-threads", "", Check::Int(1, 128), "1"))),
    // Read by `node/syslog.rs`, as are the next two.
    at_start(held("syslog-enabled", "", YES_NO, "no")),
    at_start(held("syslog-ident", "", Check::Text, "redis")),
    at_start(held("syslog-facility", "", Check::Enum(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), "local0")),
    // Read by `node/title.rs`, as is the next one.
    at_start(held("set-proc-title", "", YES_NO, "yes")),
    held("proc-title-template", "", Check::Title, "{title} {listen-addr} {server-mode}"),
    held("oom-score-adj", "", Check::Enum(&["no", "yes", "relative", "absolute"]), "no"),
    multi(held("oom-score-adj-values", "", Check::Scores, "0 200 800")),
    alias("server_cpulist", at_start(held("server-cpulist", "", Check::Cpus, ""))),
    alias("bio_cpulist", at_start(held("bio-cpulist", "", Check::Text, ""))),
    alias("aof_rewrite_cpulist", at_start(held("aof-rewrite-cpulist", "", Check::Text, ""))),
    alias("bgsave_cpulist", at_start(held("bgsave-cpulist", "", Check::Text, ""))),
    held("crash-log-enabled", "", YES_NO, "yes"),
    held("crash-memcheck-enabled", "", YES_NO, "yes"),
    held("ignore-warnings", "", Check::Text, ""),
    held("locale-collate", "", Check::Text, ""),
    multi(held("shutdown-on-sigint", "", SHUTDOWN_WORDS, "default")),
    multi(held("shutdown-on-sigterm", "", SHUTDOWN_WORDS, "default")),
    // The network.
    fixed("bind-source-addr", Check::Text, "", &[""], "links to primaries and other nodes, which it is for, are not built yet"),
    at_start(fixed("socket-mark-id", Check::Int(0, u32::MAX as i64), "0", &["0"], "marking sockets is not built")),
    held("max-new-tls-connections-per-cycle", "", Check::Int(1, 1000), "1"),
    // Figures; `node/watching.rs` looks at these.
    alias("commandlog-execution-slower-than", held("slowlog-log-slower-than", "", Check::Int(-1, i64::MAX), "10000")),
    alias("commandlog-slow-execution-max-len", held("slowlog-max-len", "", COUNT, "128")),
    held("commandlog-request-larger-than", "", Check::Int(-1, i64::MAX), "1048576"),
    held("commandlog-large-request-max-len", "", COUNT, "128"),
    held("commandlog-reply-larger-than", "", Check::Int(-1, i64::MAX), "1048576"),
    held("commandlog-large-reply-max-len", "", COUNT, "128"),
    held("latency-monitor-threshold", "", COUNT, "0"),
    held("hide-user-data-from-log", "", YES_NO, "no"),
    at_start(fixed("enable-module-command", Check::Enum(&["no", "yes", "local"]), "no", &["no"], "rondo loads no modules")),
    // Replication.
    alias("slaveof", at_start(multi(fixed("replicaof", Check::Primary, "", &["", "no one"], NO_REPLICATION)))),
    held("masterauth", "", Check::Text, ""),
    held("masteruser", "", Check::Text, ""),
    alias("slave-serve-stale-data", held("replica-serve-stale-data", "", YES_NO, "yes")),
    alias("slave-read-only", held("replica-read-only", "", YES_NO, "yes")),
    alias("slave-lazy-flush", held("replica-lazy-flush", "", YES_NO, "no")),
    alias("slave-ignore-maxmemory", held("replica-ignore-maxmemory", "", YES_NO, "yes")),
    alias("slave-priority", held("replica-priority", "", INT, "100")),
    alias("slave-announce-ip", held("replica-announce-ip", "", Check::Text, "")),
    alias("slave-announce-port", held("replica-announce-port", "", Check::Int(0, 65_535), "0")),
    held("replica-announced", "", YES_NO, "yes"),
    held("replica-ignore-disk-write-errors", "", YES_NO, "no"),
    held("replica-full-sync-buffer-limit", "", Check::Memory(0), "0"),
    alias("repl-ping-slave-period", held("repl-ping-replica-period", "", Check::Int(1, INT_MAX), "10")),
    held("repl-timeout", "", Check::Int(1, INT_MAX), "60"),
    held("repl-disable-tcp-nodelay", "", YES_NO, "no"),
    held("repl-diskless-sync", "", YES_NO, "yes"),
    held("repl-diskless-sync-delay", "", INT, "5"),
    held("repl-diskless-sync-max-replicas", "", INT, "0"),
    held("repl-diskless-load", "", Check::Enum(&["disabled", "on-empty-db", "swapdb"]), "disabled"),
    held("repl-backlog-size", "", Check::Memory(1), "1048576"),
    held("repl-backlog-ttl", "", COUNT, "3600"),
    alias("min-slaves-to-write", fixed("min-replicas-to-write", INT, "0", &["0"], NO_REPLICATION)),
    alias("min-slaves-max-lag", held("min-replicas-max-lag", "", INT, "10")),
    held("propagation-error-behavior", "", Check::Enum(&["ignore", "panic", "panic-on-replicas"]), "ignore"),
    // Cluster.
    at_start(fixed("cluster-enabled", YES_NO, "no", &["no"], NO_CLUSTER)),
    at_start(held("cluster-config-file", "", Check::Text, "nodes.conf")),
    at_start(held("cluster-port", "", Check::Int(0, 65_535), "0")),
    held("cluster-node-timeout", "", COUNT, "15000"),
    held("cluster-announce-ip", "", Check::Text, ""),
    held("cluster-announce-hostname", "", Check::Text, ""),
    held("cluster-announce-human-nodename", "", Check::Text, ""),
    held("cluster-announce-port", "", Check::Int(0, 65_535), "0"),
    held("cluster-announce-tls-port", "", Check::Int(0, 65_535), "0"),
    held("cluster-announce-bus-port", "", Check::Int(0, 65_535), "0"),
    held("cluster-require-full-coverage", "", YES_NO, "yes"),
    alias("cluster-slave-validity-factor", held("cluster-replica-validity-factor", "", INT, "10")),
    alias("cluster-slave-no-failover", held("cluster-replica-no-failover", "", YES_NO, "no")),
    held("cluster-migration-barrier", "", INT, "1"),
    held("cluster-allow-replica-migration", "", YES_NO, "yes"),
    held("cluster-allow-reads-when-down", "", YES_NO, "no"),
    held("cluster-allow-pubsubshard-when-down", "", YES_NO, "yes"),
    held("cluster-link-sendbuf-limit", "", Check::Memory(0), "0"),
    held("cluster-preferred-endpoint-type", "", Check::Enum(&["ip", "hostname", "unknown-endpoint"]), "ip"),
    fixed("cluster-compatibility-sample-ratio", Check::Int(0, 100), "0", &["0"], "rondo does not look for operations a cluster would refuse"),
    // Switches for Redis's own tests; `node/saving.rs` looks at the first.
    hidden(held("rdb-key-save-delay", "", Check::Int(i32::MIN as i64, INT_MAX), "0")),
    // The others are for what is not there.
    hidden(fixed("key-load-delay", Check::Int(i32::MIN as i64, INT_MAX), "0", &["0"], "rondo does not slow its loads down")),
    hidden(held("loading-process-events-interval-bytes", "", Check::Int(1024, INT_MAX), "524288")),
    hidden(held("repl-rdb-channel", "", YES_NO, "yes")),
    hidden(held("use-exit-on-panic", "", YES_NO, "no")),
    hidden(held("aof-disable-auto-gc", "", YES_NO, "no")),
    hidden(at_start(held("lua-enable-deprecated-api", "", YES_NO, "no"))),
    hidden(held("cluster-ping-interval", "", COUNT, "0")),
    hidden(fixed("watchdog-period", INT, "0", &["0"], "the watchdog is not built yet")),
    // TLS; what is in force is read back by `node/tls.rs`.
    shown(Topic::Network, "port of TLS connections, 0 for none; see tls-cert-file, tls-key-file, tls-ca-cert-file", held("tls-port", "", Check::Int(0, 65_535), "0")),
    fixed("tls-cluster", YES_NO, "no", &["no"], NO_LINKS),
    fixed("tls-replication", YES_NO, "no", &["no"], NO_LINKS),
    held("tls-auth-clients", "", Check::Enum(&["no", "yes", "optional"]), "yes"),
    held("tls-auth-clients-user", "", Check::Enum(&["off", "CN", "URI"]), "off"),
    held("tls-prefer-server-ciphers", "", YES_NO, "no"),
    held("tls-session-caching", "", YES_NO, "yes"),
    held("tls-session-cache-size", "", INT, "20480"),
    held("tls-session-cache-timeout", "", INT, "300"),
    held("tls-cert-file", "", Check::Text, ""),
    held("tls-key-file", "", Check::Text, ""),
    held("tls-key-file-pass", "", Check::Text, ""),
    held("tls-client-cert-file", "", Check::Text, ""),
    held("tls-client-key-file", "", Check::Text, ""),
    held("tls-client-key-file-pass", "", Check::Text, ""),
    fixed("tls-dh-params-file", Check::Text, "", &[""], "key exchange is by elliptic curves only"),
    held("tls-ca-cert-file", "", Check::Text, ""),
    held("tls-ca-cert-dir", "", Check::Text, ""),
    held("tls-protocols", "", Check::Text, ""),
    held("tls-ciphers", "", Check::Text, ""),
    held("tls-ciphersuites", "", Check::Text, ""),
];
