//! The option table: every row, in every way a value can come.

use rondo::node::config_file::{apply_text, to_text};
use rondo::node::option_values::{memory_bytes, quote, split_words};
use rondo::node::options::{Kind, Options, config_get, config_set, find, specs};

fn set(options: &mut Options, name: &str, value: &str) -> Result<Vec<&'static str>, String> {
    config_set(options, &[(name.into(), value.into())], false)
}

fn get(options: &Options, name: &str) -> String {
    let pairs = config_get(options, &[name.as_bytes().to_vec()]);
    assert_eq!(pairs.len(), 1, "{name}");
    pairs[0].1.clone()
}

// The rows' default texts and the typed defaults say the same.
#[test]
fn defaults_read_back_as_the_rows_say() {
    let options = Options::default();
    for spec in specs() {
        assert_eq!(spec.get(&options), spec.default, "{}", spec.name);
    }
}

#[test]
fn names_are_lower_case_and_said_once() {
    let mut names: Vec<&str> = specs()
        .flat_map(|spec| [spec.name, spec.alias])
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.iter().all(|name| name.to_ascii_lowercase() == **name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

// Every default may be said again: through the file (which the command line becomes), and through CONFIG SET where live.
#[test]
fn every_default_is_accepted() {
    let mut options = Options::default();
    let mut text = String::new();
    for spec in specs() {
        text += &(spec.file_lines(&spec.get(&options)).join("\n") + "\n");
        if spec.live && !spec.protected {
            let changed = set(&mut options, spec.name, spec.default)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(changed, [""; 0], "{}", spec.name);
        }
    }
    apply_text(&mut options, &text).unwrap_or_else(|error| panic!("{error}"));
    for spec in specs() {
        assert_eq!(spec.get(&options), spec.default, "{}", spec.name);
    }
}

// What differs from the defaults survives being written to a file and read again.
#[test]
fn changed_values_survive_a_file() {
    let mut options = Options::default();
    for (name, value) in [
        ("maxclients", "77"),
        ("requirepass", "a \"b\" \\ 'c' # d\n"),
        ("timeout", "3"),
        ("client-output-buffer-limit", "normal 1mb 2k 3 pubsub 0 0 0"),
        ("latency-tracking-info-percentiles", "1 99.99"),
        ("maxmemory-policy", "allkeys-lfu"),
        ("hash-max-ziplist-entries", "9"),
        ("loglevel", "WARNING"),
    ] {
        assert_eq!(
            set(&mut options, name, value).map(|changed| changed.len()),
            Ok(1),
            "{name}"
        );
    }
    assert_eq!(
        get(&options, "client-output-buffer-limit"),
        "normal 1048576 2000 3 slave 268435456 67108864 60 pubsub 0 0 0"
    );
    assert_eq!(get(&options, "loglevel"), "warning");
    let mut read = Options::default();
    apply_text(&mut read, &to_text(&options)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read, options);
}

fn failed(name: &str, reason: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}

// Recorded from Redis 8.0.6.
#[test]
fn config_set_refuses_as_a_real_server_does() {
    let mut options = Options::default();
    for (name, value, reason) in [
        (
            "maxclients",
            "0",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        (
            "maxclients",
            "x",
            "argument couldn't be parsed into an integer",
        ),
        (
            "maxclients",
            "+5",
            "argument couldn't be parsed into an integer",
        ),
        (
            "maxclients",
            " 5",
            "argument couldn't be parsed into an integer",
        ),
        ("databases", "3", "can't set immutable config"),
        ("dir", "/tmp", "can't set protected config"),
        ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
        (
            "loglevel",
            "x",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        ("proto-max-bulk-len", "x", "argument must be a memory value"),
        (
            "proto-max-bulk-len",
            "99999999999999999999",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "cluster-announce-hostname",
            "a_b",
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        ),
        (
            "cluster-announce-human-nodename",
            "a%",
            "Announced human node name contained invalid character",
        ),
        (
            "proto-max-bulk-len",
            "1",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "maxmemory-clients",
            "200%",
            "percentage argument must be less or equal to 100",
        ),
        (
            "maxmemory-clients",
            "9223372036854775808",
            "percentage argument must be less or equal to 100",
        ),
        (
            "client-query-buffer-limit",
            "mb",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "maxmemory-clients",
            "x",
            "argument must be a memory or percent value",
        ),
        (
            "shutdown-on-sigint",
            "save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        (
            "slave-priority",
            "x",
            "argument couldn't be parsed into an integer",
        ),
        (
            "shutdown-on-sigint",
            "x",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
    ] {
        assert_eq!(set(&mut options, name, value), Err(failed(name, reason)));
    }
    assert_eq!(
        set(&mut options, "Foo", "1"),
        Err("ERR Unknown option or number of arguments for CONFIG SET - 'Foo'".to_string())
    );
    let twice = [("maxclients", "10"), ("MAXCLIENTS", "11")]
        .map(|(name, value)| (name.into(), value.into()));
    assert_eq!(
        config_set(&mut options, &twice, false),
        Err(failed("MAXCLIENTS", "duplicate parameter"))
    );
    assert_eq!(options, Options::default());
}

#[test]
fn config_set_changes_all_or_none() {
    let mut options = Options::default();
    let pairs = |second: &str| {
        [("maxclients", "5"), ("timeout", second)].map(|(name, value)| (name.into(), value.into()))
    };
    assert!(config_set(&mut options, &pairs("x"), false).is_err());
    assert_eq!(options.maxclients, 10_000);
    assert_eq!(
        config_set(&mut options, &pairs("7"), false),
        Ok(vec!["maxclients", "timeout"])
    );
    assert_eq!((options.maxclients, options.timeout), (5, 7));
}

// Lines of a file add up once one has taken the place of the defaults; CONFIG SET says all of them.
#[test]
fn save_points_are_read_as_redis_reads_them() {
    let mut options = Options::default();
    assert_eq!(apply_text(&mut options, "save 900 1\nsave 60 5"), Ok(()));
    assert_eq!(options.save, [(900, 1), (60, 5)]);
    assert_eq!(apply_text(&mut options, "save \"\""), Ok(()));
    assert_eq!(options.save, []);
    assert_eq!(set(&mut options, "save", "10 20 30 40"), Ok(vec!["save"]));
    assert_eq!(options.save, [(10, 20), (30, 40)]);
    for wrong in ["10", "a 1", "0 1", "5 -1"] {
        let refused = failed("save", "Invalid save parameters");
        assert_eq!(set(&mut options, "save", wrong), Err(refused), "{wrong}");
    }
    assert!(apply_text(&mut options, "dbfilename a/b").is_err());
}

// What is not built is refused by name, with the reason, never accepted and forgotten.
#[test]
fn what_is_not_built_is_refused() {
    let mut options = Options::default();
    assert_eq!(set(&mut options, "appendonly", "no"), Ok(vec![]));
    for line in [
        "cluster-enabled yes",
        "enable-module-command yes",
        "replicaof 10.0.0.1 6379",
        "tls-cluster yes",
        "locale-collate de_DE.UTF-8",
        "lua-enable-deprecated-api yes",
        "aof-timestamp-enabled yes",
    ] {
        assert!(apply_text(&mut options, line).is_err(), "{line}");
    }
    for (line, reason) in [
        (
            "preload-file backup.rdb",
            "a backup's copies are a data directory",
        ),
        ("replicaof 10.0.0.1 abc", "Invalid master port"),
        ("replicaof 10.0.0.1 65536", "Invalid master port"),
        ("replicaof 10.0.0.1", "wrong number of arguments"),
        ("appendfilename \"\"", "appendfilename can't be empty"),
        (
            "appendfilename a/b",
            "appendfilename can't be a path, just a filename",
        ),
        ("appenddirname \"\"", "appenddirname can't be empty"),
        (
            "appenddirname a/b",
            "appenddirname can't be a path, just a dirname",
        ),
    ] {
        let refused = apply_text(&mut options, line).expect_err(line);
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    assert_eq!(apply_text(&mut options, "replicaof no one"), Ok(()));
}

// What a configuration file of Valkey 9.1 may say is taken, or refused with the reason.
#[test]
fn the_names_of_valkey_are_known() {
    let mut options = Options::default();
    for line in [
        "rdb-version-check strict",
        "dual-channel-replication-enabled yes",
        "log-format logfmt",
        "log-timestamp-format milliseconds",
        "extended-redis-compatibility yes",
        "availability-zone \"zone 1\"",
        "hash-seed some-text",
        "primaryauth secret",
        "primaryuser someone",
        "import-mode no",
        "mptcp no",
        "rdma-rx-size 65536",
        "cluster-announce-client-ipv4 10.0.0.1",
        "cluster-announce-client-ipv6 2001:db8::1",
        "cluster-config-save-behavior best-effort",
        "slot-migration-max-failover-repl-bytes -1",
        "prefetch-batch-max-size 16",
        "active-defrag-cycle-us 500",
        "tls-auto-reload-interval 86400",
        "unixsocketgroup valkey",
        "events-per-io-thread 2",
    ] {
        assert_eq!(apply_text(&mut options, line), Ok(()), "{line}");
    }
    assert_eq!(options.held["masterauth"], "secret");
    assert_eq!(get(&options, "primaryuser"), "someone");
    assert_eq!(
        get(&options, "slot-migration-max-failover-repl-bytes"),
        "-1"
    );
    assert_eq!(set(&mut options, "hash-seed", "some-text"), Ok(vec![]));
    let refused = failed("hash-seed", "can't set immutable config");
    assert_eq!(set(&mut options, "hash-seed", "x"), Err(refused));
    let long = format!("hash-seed {}", "x".repeat(257));
    for (line, reason) in [
        (
            "rdb-version-check relaxed",
            "of a version that is not known",
        ),
        ("log-format xml", "must be one of the following"),
        ("import-mode yes", "import mode"),
        ("mptcp yes", "multipath TCP"),
        ("rdma-port 6379", "RDMA"),
        ("rdma-bind 10.0.0.1 10.0.0.2", "RDMA"),
        ("cluster-announce-client-ipv4 x", "Invalid IPv4 address"),
        (
            "cluster-announce-client-ipv6 10.0.0.1",
            "Invalid IPv6 address",
        ),
        (
            "slot-migration-max-failover-repl-bytes -2",
            "argument must be between -1 and",
        ),
        ("slot-migration-max-failover-repl-bytes x", "memory value"),
        (&long, "less than or equal to 256 characters"),
    ] {
        let refused = apply_text(&mut options, line).expect_err(line).to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn config_get_takes_patterns_names_and_aliases() {
    let options = Options::default();
    let get = |patterns: &[&str]| {
        let patterns: Vec<Vec<u8>> = patterns
            .iter()
            .map(|pattern| pattern.as_bytes().to_vec())
            .collect();
        config_get(&options, &patterns)
    };
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    assert_eq!(get(&["maxclient*"]), [pair("maxclients", "10000")]);
    assert_eq!(get(&["MAXCLIENT?"]), [pair("maxclients", "10000")]);
    // A plain name is answered as it was written, and only once.
    assert_eq!(
        get(&["MaxClients", "maxclients", "MaxClients", "nosuch", "maxc*"]),
        [pair("MaxClients", "10000")]
    );
    assert_eq!(get(&["slave-priority"]), [pair("slave-priority", "100")]);
    assert_eq!(
        get(&["*-priority"]),
        [
            pair("replica-priority", "100"),
            pair("slave-priority", "100")
        ]
    );
    assert_eq!(
        get(&["save", "bind"]),
        [
            pair("bind", "* -::*"),
            pair("save", "3600 1 300 100 60 10000")
        ]
    );
}

// The number of threads there are may be said again, another needs a restart.
#[test]
fn threads_are_settled_at_the_start() {
    let mut options = Options::default();
    assert_eq!(set(&mut options, "threads", "0"), Ok(vec![]));
    assert!(set(&mut options, "threads", "3").is_err());
    assert_eq!(options, Options::default());
}

#[test]
fn hidden_options_are_told_by_name_only() {
    let options = Options::default();
    assert_eq!(get(&options, "key-load-delay"), "0");
    let all = config_get(&options, &[b"*".to_vec()]);
    assert!(!all.iter().any(|(name, _)| name == "key-load-delay"));
}

#[test]
fn words_of_a_set_are_said_once_in_order() {
    let mut options = Options::default();
    let changed = set(&mut options, "shutdown-on-sigint", "force NOSAVE now force");
    assert_eq!(changed, Ok(vec!["shutdown-on-sigint"]));
    assert_eq!(get(&options, "shutdown-on-sigint"), "nosave now force");
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("0", Some(0)),
        ("", Some(0)),
        ("1024", Some(1024)),
        ("1k", Some(1_000)),
        ("1kb", Some(1_024)),
        ("2M", Some(2_000_000)),
        ("2Mb", Some(2 << 20)),
        ("3g", Some(3_000_000_000)),
        ("3GB", Some(3 << 30)),
        ("5b", Some(5)),
        ("-1", None),
        ("1tb", None),
        ("k", Some(0)),
        ("Mb", Some(0)),
        ("-k", None),
        ("1 kb", None),
        ("9223372036854775807kb", Some(u64::MAX)),
        ("99999999999999999999", Some(u64::MAX)),
    ] {
        assert_eq!(memory_bytes(text), bytes, "{text}");
    }
}

#[test]
fn words_are_split_at_spaces_and_quotes() {
    let split = |text: &str| split_words(text.as_bytes());
    let words = |words: &[&str]| {
        Some(
            words
                .iter()
                .map(|word| word.to_string())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(split("  a  b\tc "), words(&["a", "b", "c"]));
    assert_eq!(split(r#"save """#), words(&["save", ""]));
    assert_eq!(split(r#""a b" 'c d'"#), words(&["a b", "c d"]));
    assert_eq!(
        split(r#""\x41\n\"\\" 'it\'s \n'"#),
        words(&["A\n\"\\", "it's \\n"])
    );
    assert_eq!(split(""), words(&[]));
    for bad in [r#""a"#, "'a", r#""a"b"#, r#""\"#] {
        assert_eq!(split(bad), None, "{bad}");
    }
    for text in [
        "",
        "a",
        "a b",
        "\"",
        "\\",
        "'",
        "#",
        "\u{1}\n\r\t",
        "caf\u{e9}",
    ] {
        assert_eq!(split(&quote(text)), words(&[text]));
    }
}

// A row that is fixed to some values accepts its own default, and says why it refuses the rest.
#[test]
fn fixed_rows_say_why() {
    for spec in specs() {
        let (only, reason) = spec.only;
        assert_eq!(only.is_empty(), reason.is_empty(), "{}", spec.name);
        assert!(
            only.is_empty() || only.contains(&spec.default),
            "{}",
            spec.name
        );
    }
    assert!(matches!(
        find(b"SYSLOG-ENABLED").unwrap().kind,
        Kind::Held(_)
    ));
}

/// What only says how Redis does something that is done otherwise here: a file with it is read, it is told again, and help says why.
#[test]
fn what_does_nothing_is_held() {
    let mut options = Options::default();
    for line in [
        "tls-dh-params-file /etc/dh.pem",
        "rdb-save-incremental-fsync no",
    ] {
        assert_eq!(apply_text(&mut options, line), Ok(()), "{line}");
        let (name, value) = line.split_once(' ').expect("two words");
        assert_eq!(get(&options, name), value);
        assert!(!find(name.as_bytes()).expect("a row").idle.is_empty());
    }
}

// Recorded from Redis 8.0.6: any number is taken, and the nearest there can be is in force and told.
#[test]
fn ticks_a_second_are_brought_into_their_range() {
    let mut options = Options::default();
    for (said, told) in [("0", "1"), ("500", "500"), ("501", "500"), ("7", "7")] {
        assert!(set(&mut options, "hz", said).is_ok(), "{said}");
        assert_eq!(get(&options, "hz"), told);
    }
}

// Recorded from Redis 8.0.6, but for what is beyond 2^64: there, the most there is takes the place of what is left of it.
#[test]
fn values_are_taken_and_told_as_redis_does() {
    for (name, said, told) in [
        ("maxmemory", "18446744073709551615", "18446744073709551615"),
        ("maxmemory", "9223372036854775808", "9223372036854775808"),
        ("maxmemory", "10000000000gb", "10737418240000000000"),
        ("maxmemory", "99999999999999999999", "18446744073709551615"),
        ("maxmemory", "17179869184gb", "18446744073709551615"),
        (
            "cluster-link-sendbuf-limit",
            "8589934592gb",
            "9223372036854775808",
        ),
        ("repl-backlog-size", "1", "16384"),
        ("repl-backlog-size", "16385", "16385"),
        ("maxmemory-clients", "0%", "0"),
        ("maxmemory-clients", "1%", "1%"),
        ("shutdown-on-sigint", "default save", "save"),
        ("oom-score-adj-values", "+1 02 -3", "1 2 -3"),
        (
            "client-output-buffer-limit",
            "",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        (
            "client-output-buffer-limit",
            "normal 1 9223372036854775807 +05",
            "normal 1 9223372036854775807 5 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("latency-tracking-info-percentiles", "", ""),
        ("latency-tracking-info-percentiles", "0x10 0X1.8p+2", "16 6"),
        (
            "latency-tracking-info-percentiles",
            "33.3333335 99.9999999 1e-320 +.5 1.",
            "33.333334 100 0 0.5 1",
        ),
        ("proc-title-template", "{{title}}", "{{title}}"),
    ] {
        let mut options = Options::default();
        let taken = set(&mut options, name, said);
        assert!(taken.is_ok(), "{name} {said}: {taken:?}");
        assert_eq!(get(&options, name), told, "{name} {said}");
        let mut read = Options::default();
        apply_text(&mut read, &to_text(&options)).unwrap_or_else(|error| panic!("{error}"));
        // What was cut for the eye is what the file has.
        assert_eq!(get(&read, name), told, "{name} {said}");
    }
    let mut options = Options::default();
    assert_eq!(
        apply_text(&mut options, "client-output-buffer-limit"),
        Ok(())
    );
    assert_eq!(options, Options::default());
}

// Recorded from Redis 8.0.6: words of CONFIG SET have one space between them, and quotes are letters there; in a file they are not.
#[test]
fn words_of_config_set_are_parted_by_one_space() {
    const INVALID: &str = "Invalid latency-tracking-info-percentiles parameters";
    const LIMITS: &str = "Wrong number of arguments in buffer limit configuration.";
    const LIMIT: &str =
        "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    const SCORES: &str = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
    const TITLE: &str = "template format is invalid or contains unknown variables";
    let mut options = Options::default();
    for (name, value, reason) in [
        ("latency-tracking-info-percentiles", "50  99", INVALID),
        ("latency-tracking-info-percentiles", " ", INVALID),
        ("latency-tracking-info-percentiles", "\"50\"", INVALID),
        ("latency-tracking-info-percentiles", "\"", INVALID),
        ("latency-tracking-info-percentiles", "nan", INVALID),
        ("latency-tracking-info-percentiles", "1e400", INVALID),
        (
            "latency-tracking-info-percentiles",
            "0x65",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("client-output-buffer-limit", "normal 0 0 0 ", LIMITS),
        ("client-output-buffer-limit", "\"", LIMITS),
        (
            "client-output-buffer-limit",
            "normal 9223372036854775808 0 0",
            LIMIT,
        ),
        ("client-output-buffer-limit", "normal 0 0 -1", LIMIT),
        ("client-output-buffer-limit", "normal 0 0 0x1", LIMIT),
        (
            "client-output-buffer-limit",
            "\"normal 0 0 0\"",
            "Invalid client class specified in buffer limit configuration.",
        ),
        ("save", "900 1 ", "Invalid save parameters"),
        ("save", " ", "Invalid save parameters"),
        ("save", "\"900\" 1", "Invalid save parameters"),
        (
            "oom-score-adj-values",
            "1  2 3",
            "wrong number of arguments",
        ),
        ("oom-score-adj-values", "0x1 2 3", SCORES),
        (
            "shutdown-on-sigint",
            "save  now",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        ("proc-title-template", "{title}", TITLE),
        ("proc-title-template", "{unixsocket}", TITLE),
    ] {
        let taken = set(&mut options, name, value);
        assert_eq!(taken, Err(failed(name, reason)), "{name} {value}");
    }
    assert_eq!(options, Options::default());
    let line = "save \"900  1 \"\nlatency-tracking-info-percentiles \"50\"  \"99\"";
    assert_eq!(apply_text(&mut options, line), Ok(()));
    assert_eq!(get(&options, "save"), "900 1");
    assert_eq!(get(&options, "latency-tracking-info-percentiles"), "50 99");
}
