//! The options of Redis and of Valkey that rondo holds or refuses, one line each.
//!
//! `held` options are remembered for whoever asks for them by name. `idle` options are checked and read back and touch nothing
//! that works here, and their row says why that is harmless: `--help` lists them. `fixed` options take only the values that
//! describe what rondo does; anything else is refused with the reason, because accepting it would promise something.
//!
//! Tests     tests/tidy.rs: a held option that nothing asks for is none.

use super::option_table::BASE;
use super::options::{Check, Kind, OptionSpec, Topic};

const INT_MAX: i64 = i32::MAX as i64;
const YES_NO: Check = Check::Bool;
const COUNT: Check = Check::Int(0, i64::MAX);
const INT: Check = Check::Int(0, INT_MAX);

const NO_REPLICATION: &str = "replication is not built yet";
const NO_CLUSTER: &str = "cluster mode is not built yet";
const NO_LINKS: &str = "rondo has no links to other servers yet";

// Why something may be said and has no effect.
const NO_REPLICAS: &str = "there are no replicas yet";
const NO_NODES: &str = "there is no cluster yet";
const NO_FORK: &str = "no process is forked, and no memory copied for it";
const PAST_CACHE: &str = "files are written past the page cache";
const FREED_IN_STEPS: &str =
    "a key goes at once, and what is large in it in steps, whatever this says";
const ACCEPTED_BETWEEN: &str = "connections are accepted as they come, between other work";
const EVERY_CORE: &str =
    "every core serves its clients by itself, whatever is said of Valkey's io threads";
const COPIES: &str = "when a reply is copied follows from its length alone";
const NO_MPTCP: &str = "multipath TCP is not built";
const NO_RDMA: &str = "RDMA is not built";
const FOR_TESTS: &str = "a switch for tests of what is not there";

/// An option that is remembered for the file that asks for it by name.
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
        ..BASE
    }
}

/// An option that has no effect, and why none is missed.
const fn idle(
    name: &'static str,
    check: Check,
    default: &'static str,
    why: &'static str,
) -> OptionSpec {
    OptionSpec {
        idle: why,
        ..held(name, "", check, default)
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

/// The same, for an option that Redis does not know: what CONFIG GET tells may be set, as tools do that set all they find.
const fn at_start_as_told(spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        settled: "can't set immutable config",
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
    at_start(idle("appendfilename", Check::FileName, "appendonly.aof", "the files of the logs have names of their own, in appenddirname")),
    fixed("preload-file", Check::Text, "", &[""], "a backup's copies are a data directory: put them where `dir` and `appenddirname` say"),
    idle("rdb-del-sync-files", YES_NO, "no", NO_REPLICAS),
    idle("rdb-save-incremental-fsync", YES_NO, "yes", PAST_CACHE),
    idle("no-appendfsync-on-rewrite", YES_NO, "no", "the logs are synced during a rewrite as ever"),
    idle("aof-use-rdb-preamble", YES_NO, "yes", "the base of a log has one form"),
    fixed("aof-load-corrupt-tail-max-size", COUNT, "0", &["0"], "a log that is damaged is never cut off by itself: `rondo check DIR --fix` does that"),
    fixed("aof-timestamp-enabled", YES_NO, "no", &["no"], "records of the logs have no times"),
    idle("aof-rewrite-incremental-fsync", YES_NO, "yes", PAST_CACHE),
    fixed("rdb-version-check", Check::Enum(&["strict", "relaxed"]), "strict", &["strict"], "a file or payload of a version that is not known is always refused"),
    idle("sanitize-dump-payload", Check::Enum(&["no", "yes", "clients"]), "no", "what RESTORE is given is always checked"),
    // Memory.
    shown(Topic::Memory, "most bytes of memory, buffers of clients included; 0 for no limit", held("maxmemory", "", Check::MemoryUnsigned, "0")),
    shown(Topic::Memory, "most bytes that clients may take, or a percentage of maxmemory; 0 for no limit", held("maxmemory-clients", "", Check::MemoryOrPercent, "0")),
    shown(Topic::Memory, "keys looked at to find one that goes", held("maxmemory-samples", "", Check::Int(1, 64), "5")),
    shown(Topic::Memory, "how long a command may be held up by evictions, 0 to 100", held("maxmemory-eviction-tenacity", "", Check::Int(0, 100), "10")),
    idle("lazyfree-lazy-eviction", YES_NO, "no", FREED_IN_STEPS),
    idle("lazyfree-lazy-expire", YES_NO, "no", FREED_IN_STEPS),
    idle("lazyfree-lazy-server-del", YES_NO, "no", FREED_IN_STEPS),
    idle("lazyfree-lazy-user-del", YES_NO, "no", FREED_IN_STEPS),
    idle("dynamic-hz", YES_NO, "yes", "the sweep over clients is paced by their number, whatever the ticks a second"),
    idle("max-new-connections-per-cycle", Check::Int(1, 1000), "10", ACCEPTED_BETWEEN),
    at_start(idle("always-show-logo", YES_NO, "no", "there is no logo")),
    idle("activerehashing", YES_NO, "yes", "tables grow by small segments, and none is ever rehashed as a whole"),
    idle("jemalloc-bg-thread", YES_NO, "yes", "memory goes back to the system in slices of the time of the cores"),
    shown(Topic::Memory, "move values together where churn has left memory half empty", held("activedefrag", "", YES_NO, "yes")),
    held("active-defrag-cycle-min", "", Check::Int(1, 99), "1"),
    held("active-defrag-cycle-max", "", Check::Int(1, 99), "25"),
    idle("active-defrag-cycle-us", Check::Int(0, 100_000), "500", "a core's step of it is as long as active-defrag-cycle-min and -max and the ticks a second make it"),
    held("active-defrag-threshold-lower", "", Check::Int(0, 1000), "10"),
    held("active-defrag-threshold-upper", "", Check::Int(0, 1000), "100"),
    held("active-defrag-ignore-bytes", "", Check::Memory(1), "4194304"),
    // Allocations, of a collection or of several, that are looked at before the clock is.
    held("active-defrag-max-scan-fields", "", Check::Int(1, i64::MAX), "1000"),
    // Read by `node/process.rs`, as is the next one, which is rondo's own.
    at_start(held("disable-thp", "", YES_NO, "yes")),
    shown(Topic::Memory, "large tables of keys, and what is on its way to a busy log, are on huge pages, where the kernel has some", at_start_as_told(held("table-huge-pages", "", YES_NO, "yes"))),
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
    held("stream-idmp-duration", "", Check::Int(1, 86_400), "100"),
    held("stream-idmp-maxsize", "", Check::Int(1, 10_000), "100"),
    // The process.
    shown(Topic::General, "go into the background (yes), unless a supervisor is named", at_start(held("daemonize", "", YES_NO, "no"))),
    shown(Topic::General, "who is told that the server is ready: systemd, upstart, auto or no", at_start(held("supervised", "", Check::Enum(&["upstart", "systemd", "auto", "no"]), "no"))),
    shown(Topic::Threads, "Redis's name: more than 1 is taken for threads, where that is not given", at_start(held("io-threads", "", Check::Int(1, 128), "1"))),
    hidden(idle("io-threads-always-active", YES_NO, "no", EVERY_CORE)),
    hidden(idle("min-io-threads-avoid-copy-reply", INT, "7", COPIES)),
    hidden(idle("min-string-size-avoid-copy-reply", INT, "16384", COPIES)),
    hidden(idle("min-string-size-avoid-copy-reply-threaded", INT, "65536", COPIES)),
    idle("prefetch-batch-max-size", Check::Int(0, 128), "16", EVERY_CORE),
    idle("lookahead", Check::Int(1, INT_MAX), "16", "all requests that have come are looked at together, however many"),
    idle("vset-force-single-threaded-execution", YES_NO, "no", "vector sets are not built"),
    fixed("key-memory-histograms", YES_NO, "no", &["no"], "keys are not counted by the memory they take"),
    idle("extended-redis-compatibility", YES_NO, "no", "rondo says it is a Redis whatever this says"),
    // Read by `node/syslog.rs`, as are the next two.
    at_start(held("syslog-enabled", "", YES_NO, "no")),
    at_start(held("syslog-ident", "", Check::Text, "redis")),
    at_start(held("syslog-facility", "", Check::Enum(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), "local0")),
    // Read by `node/title.rs`, as is the next one.
    at_start(held("set-proc-title", "", YES_NO, "yes")),
    held("proc-title-template", "", Check::Title, "{title} {listen-addr} {server-mode}"),
    held("oom-score-adj", "", Check::Enum(&["no", "yes", "relative", "absolute"]), "no"),
    multi(held("oom-score-adj-values", "", Check::Scores, "0 200 800")),
    alias("server_cpulist", at_start(shown(Topic::Threads, "the cores it may run on, as in 0-3,8; none: all that it is given", held("server-cpulist", "", Check::Cpus, "")))),
    alias("bio_cpulist", at_start(idle("bio-cpulist", Check::Text, "", "threads beside the cores wait for files and hardly compute"))),
    alias("aof_rewrite_cpulist", at_start(idle("aof-rewrite-cpulist", Check::Text, "", NO_FORK))),
    alias("bgsave_cpulist", at_start(idle("bgsave-cpulist", Check::Text, "", NO_FORK))),
    idle("crash-log-enabled", YES_NO, "yes", "why a process stopped is always told, in a few lines"),
    idle("crash-memcheck-enabled", YES_NO, "yes", "why a process stopped is always told, in a few lines"),
    idle("ignore-warnings", Check::Text, "", NO_FORK),
    fixed("locale-collate", Check::Text, "", &["", "C", "POSIX", "C.UTF-8"], "SORT with ALPHA compares bytes, as the locale C does"),
    multi(held("shutdown-on-sigint", "", SHUTDOWN_WORDS, "default")),
    multi(held("shutdown-on-sigterm", "", SHUTDOWN_WORDS, "default")),
    // The network.
    fixed("bind-source-addr", Check::Text, "", &[""], "links to primaries and other nodes, which it is for, are not built yet"),
    at_start(fixed("socket-mark-id", Check::Int(0, u32::MAX as i64), "0", &["0"], "marking sockets is not built")),
    idle("max-new-tls-connections-per-cycle", Check::Int(1, 1000), "1", ACCEPTED_BETWEEN),
    at_start_as_told(fixed("mptcp", YES_NO, "no", &["no"], NO_MPTCP)),
    at_start_as_told(fixed("repl-mptcp", YES_NO, "no", &["no"], NO_MPTCP)),
    fixed("rdma-port", Check::Int(0, 65_535), "0", &["0"], NO_RDMA),
    multi(fixed("rdma-bind", Check::Text, "", &[""], NO_RDMA)),
    at_start_as_told(idle("rdma-rx-size", Check::Int(64 << 10, 16 << 20), "1048576", NO_RDMA)),
    at_start_as_told(idle("rdma-completion-vector", Check::Int(-1, 1024), "-1", NO_RDMA)),
    hidden(at_start(fixed("client-default-resp", Check::Int(2, 3), "2", &["2"], "a connection speaks RESP2 until HELLO says otherwise"))),
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
    alias("primaryauth", idle("masterauth", Check::Text, "", NO_REPLICAS)),
    alias("primaryuser", idle("masteruser", Check::Text, "", NO_REPLICAS)),
    alias("slave-serve-stale-data", idle("replica-serve-stale-data", YES_NO, "yes", NO_REPLICAS)),
    alias("slave-read-only", idle("replica-read-only", YES_NO, "yes", NO_REPLICAS)),
    alias("slave-lazy-flush", idle("replica-lazy-flush", YES_NO, "no", NO_REPLICAS)),
    alias("slave-ignore-maxmemory", idle("replica-ignore-maxmemory", YES_NO, "yes", NO_REPLICAS)),
    alias("slave-priority", idle("replica-priority", INT, "100", NO_REPLICAS)),
    alias("slave-announce-ip", idle("replica-announce-ip", Check::Text, "", NO_REPLICAS)),
    alias("slave-announce-port", idle("replica-announce-port", Check::Int(0, 65_535), "0", NO_REPLICAS)),
    idle("replica-announced", YES_NO, "yes", NO_REPLICAS),
    idle("replica-ignore-disk-write-errors", YES_NO, "no", NO_REPLICAS),
    idle("replica-full-sync-buffer-limit", Check::Memory(0), "0", NO_REPLICAS),
    alias("repl-ping-slave-period", idle("repl-ping-replica-period", Check::Int(1, INT_MAX), "10", NO_REPLICAS)),
    idle("repl-timeout", Check::Int(1, INT_MAX), "60", NO_REPLICAS),
    idle("repl-disable-tcp-nodelay", YES_NO, "no", NO_REPLICAS),
    idle("repl-diskless-sync", YES_NO, "yes", NO_REPLICAS),
    idle("repl-diskless-sync-delay", INT, "5", NO_REPLICAS),
    idle("repl-diskless-sync-max-replicas", INT, "0", NO_REPLICAS),
    idle("dual-channel-replication-enabled", YES_NO, "no", NO_REPLICAS),
    idle("repl-diskless-load", Check::Enum(&["disabled", "on-empty-db", "swapdb"]), "disabled", NO_REPLICAS),
    idle("repl-backlog-size", Check::MemoryRaised(16 << 10), "1048576", NO_REPLICAS),
    idle("repl-backlog-ttl", COUNT, "3600", NO_REPLICAS),
    alias("min-slaves-to-write", fixed("min-replicas-to-write", INT, "0", &["0"], NO_REPLICATION)),
    alias("min-slaves-max-lag", idle("min-replicas-max-lag", INT, "10", NO_REPLICAS)),
    idle("propagation-error-behavior", Check::Enum(&["ignore", "panic", "panic-on-replicas"]), "ignore", NO_REPLICAS),
    // Cluster.
    at_start(fixed("cluster-enabled", YES_NO, "no", &["no"], NO_CLUSTER)),
    at_start(idle("cluster-config-file", Check::Text, "nodes.conf", NO_NODES)),
    at_start(idle("cluster-port", Check::Int(0, 65_535), "0", NO_NODES)),
    idle("cluster-node-timeout", COUNT, "15000", NO_NODES),
    idle("cluster-announce-ip", Check::Text, "", NO_NODES),
    idle("cluster-announce-hostname", Check::HostName, "", NO_NODES),
    idle("cluster-announce-human-nodename", Check::NodeName, "", NO_NODES),
    idle("cluster-announce-port", Check::Int(0, 65_535), "0", NO_NODES),
    idle("cluster-announce-tls-port", Check::Int(0, 65_535), "0", NO_NODES),
    idle("cluster-announce-bus-port", Check::Int(0, 65_535), "0", NO_NODES),
    idle("cluster-require-full-coverage", YES_NO, "yes", NO_NODES),
    alias("cluster-slave-validity-factor", idle("cluster-replica-validity-factor", INT, "10", NO_NODES)),
    alias("cluster-slave-no-failover", idle("cluster-replica-no-failover", YES_NO, "no", NO_NODES)),
    idle("cluster-migration-barrier", INT, "1", NO_NODES),
    idle("cluster-allow-replica-migration", YES_NO, "yes", NO_NODES),
    idle("cluster-allow-reads-when-down", YES_NO, "no", NO_NODES),
    idle("cluster-allow-pubsubshard-when-down", YES_NO, "yes", NO_NODES),
    idle("cluster-link-sendbuf-limit", Check::MemoryUnsigned, "0", NO_NODES),
    idle("cluster-preferred-endpoint-type", Check::Enum(&["ip", "hostname", "unknown-endpoint"]), "ip", NO_NODES),
    idle("cluster-announce-client-ipv4", Check::Ipv4, "", NO_NODES),
    idle("cluster-announce-client-ipv6", Check::Ipv6, "", NO_NODES),
    idle("cluster-announce-client-port", Check::Int(0, 65_535), "0", NO_NODES),
    idle("cluster-announce-client-tls-port", Check::Int(0, 65_535), "0", NO_NODES),
    idle("cluster-blacklist-ttl", COUNT, "60", NO_NODES),
    idle("cluster-config-save-behavior", Check::Enum(&["sync", "best-effort"]), "sync", NO_NODES),
    at_start_as_told(idle("cluster-databases", Check::Int(1, INT_MAX), "1", NO_NODES)),
    idle("cluster-manual-failover-timeout", Check::Int(1, INT_MAX), "5000", NO_NODES),
    idle("cluster-slot-migration-log-max-len", COUNT, "1000", NO_NODES),
    idle("cluster-slot-migration-handoff-max-lag-bytes", Check::MemoryUnsigned, "1048576", NO_NODES),
    idle("cluster-slot-migration-write-pause-timeout", COUNT, "10000", NO_NODES),
    idle("cluster-slot-stats-enabled", YES_NO, "no", NO_NODES),
    idle("slot-migration-max-failover-repl-bytes", Check::MemorySigned, "0", NO_NODES),
    fixed("cluster-compatibility-sample-ratio", Check::Int(0, 100), "0", &["0"], "rondo does not look for operations a cluster would refuse"),
    fixed("import-mode", YES_NO, "no", &["no"], "import mode, in which keys outlive their deadlines, is not built yet"),
    // Switches for Redis's own tests; `node/saving/` looks at the first.
    hidden(held("rdb-key-save-delay", "", Check::Int(i32::MIN as i64, INT_MAX), "0")),
    // The others are for what is not there.
    hidden(fixed("key-load-delay", Check::Int(i32::MIN as i64, INT_MAX), "0", &["0"], "rondo does not slow its loads down")),
    hidden(idle("loading-process-events-interval-bytes", Check::Int(1024, INT_MAX), "524288", "clients are answered throughout a load")),
    hidden(idle("repl-rdb-channel", YES_NO, "yes", NO_REPLICAS)),
    hidden(idle("use-exit-on-panic", YES_NO, "no", FOR_TESTS)),
    hidden(idle("aof-disable-auto-gc", YES_NO, "no", FOR_TESTS)),
    alias("lua-enable-insecure-api", hidden(at_start(fixed("lua-enable-deprecated-api", YES_NO, "no", &["no"], "the functions it would give to scripts are not there")))),
    hidden(idle("cluster-ping-interval", COUNT, "0", NO_NODES)),
    hidden(idle("cluster-message-gossip-perc", Check::Int(1, 100), "10", NO_NODES)),
    hidden(at_start(idle("enable-debug-assert", YES_NO, "no", FOR_TESTS))),
    hidden(idle("debug-context", Check::Text, "", FOR_TESTS)),
    hidden(at_start(fixed("req-res-logfile", Check::Text, "", &[""], "requests are not written to a file"))),
    hidden(fixed("watchdog-period", INT, "0", &["0"], "the watchdog is not built yet")),
    // TLS; what is in force is read back by `node/tls.rs`.
    shown(Topic::Network, "port of TLS connections, 0 for none; see tls-cert-file, tls-key-file, tls-ca-cert-file", held("tls-port", "", Check::Int(0, 65_535), "0")),
    fixed("tls-cluster", YES_NO, "no", &["no"], NO_LINKS),
    fixed("tls-replication", YES_NO, "no", &["no"], NO_LINKS),
    shown(Topic::Network, "whether clients of TLS show certificates: no, optional, yes", held("tls-auth-clients", "", Check::Enum(&["no", "yes", "optional"]), "yes")),
    held("tls-auth-clients-user", "", Check::Enum(&["off", "CN", "URI"]), "off"),
    held("tls-prefer-server-ciphers", "", YES_NO, "no"),
    held("tls-session-caching", "", YES_NO, "yes"),
    held("tls-session-cache-size", "", INT, "20480"),
    held("tls-session-cache-timeout", "", INT, "300"),
    shown(Topic::Network, "whether the kernel seals and opens what a handshake is done for: no, auto (where it can), yes", held("tls-kernel", "", Check::Enum(&["no", "auto", "yes"]), "no")),
    shown(Topic::Network, "the certificate of TLS", held("tls-cert-file", "", Check::Text, "")),
    shown(Topic::Network, "its key", held("tls-key-file", "", Check::Text, "")),
    held("tls-key-file-pass", "", Check::Text, ""),
    idle("tls-client-cert-file", Check::Text, "", NO_LINKS),
    idle("tls-client-key-file", Check::Text, "", NO_LINKS),
    idle("tls-client-key-file-pass", Check::Text, "", NO_LINKS),
    idle("tls-dh-params-file", Check::Text, "", "key exchange is by elliptic curves only: no parameters are needed"),
    shown(Topic::Network, "who signs the certificates of clients", held("tls-ca-cert-file", "", Check::Text, "")),
    held("tls-ca-cert-dir", "", Check::Text, ""),
    held("tls-protocols", "", Check::Text, ""),
    held("tls-ciphers", "", Check::Text, ""),
    held("tls-ciphersuites", "", Check::Text, ""),
];
