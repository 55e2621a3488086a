//! INFO's text as Prometheus and JSON.

use rondo::node::http::{Figures, HotRow, SlowRow};
use rondo::node::info::{InfoFigures, LogFigures, PersistenceFigures, render};
use rondo::node::metrics::{field, to_json, to_prometheus};
use rondo::node::saving::SavingFigures;
use std::collections::HashSet;

const INFO: &str = "# Server\r\nredis_version:8.0.0\r\nos:Linux \"x\" \\ y\r\ntcp_port:6379\r\nexecutable:/bin/rondo\r\n\r\n# Memory\r\n\
    used_memory:2097880\r\nused_memory_human:2.00M\r\nmem_fragmentation_ratio:1.50\r\ntotal_system_memory:5\r\n\r\n# Stats\r\n\
    total_commands_processed:12\r\nkeyspace_hits:3\r\nused_memory_peak_perc:99.00%\r\n\r\n# Commandstats\r\n\
    cmdstat_config|get:calls=2,usec=5,usec_per_call=2.50,rejected_calls=1,failed_calls=0\r\n\
    cmdstat_get:calls=1,usec=1500000,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n\r\n# Errorstats\r\n\
    errorstat_ERR:count=7\r\n\r\n# Latencystats\r\nlatency_percentiles_usec_get:p50=1.003,p99.9=2000.5\r\n\r\n# Keyspace\r\n\
    db0:keys=4,expires=1,avg_ttl=9,subexpiry=0\r\n\r\n# Cores\r\ncore0:cpu=any,connections=2,local=5,cpu_seconds=0.25\r\n\
    core1:cpu=1,connections=3,local=6,cpu_seconds=0.50\r\n";

#[test]
fn fields_become_samples_with_types_and_labels() {
    let text = to_prometheus(INFO);
    for line in [
        "# HELP rondo_commands_processed_total INFO's field total_commands_processed",
        "# TYPE rondo_commands_processed_total counter",
        "rondo_commands_processed_total 12",
        "rondo_keyspace_hits_total 3",
        "# TYPE rondo_used_memory gauge",
        "rondo_used_memory 2097880",
        "rondo_total_system_memory 5",
        "rondo_mem_fragmentation_ratio 1.50",
        "rondo_command_calls_total{command=\"config|get\"} 2",
        "rondo_command_rejected_calls_total{command=\"config|get\"} 1",
        "rondo_command_seconds_total{command=\"get\"} 1.5",
        "rondo_command_latency_seconds{command=\"get\",quantile=\"0.5\"} 0.000001003",
        "rondo_command_latency_seconds{command=\"get\",quantile=\"0.999\"} 0.002000500",
        "rondo_errors_total{code=\"ERR\"} 7",
        "rondo_db_keys{db=\"0\"} 4",
        "# TYPE rondo_core_local_total counter",
        "rondo_core_local_total{core=\"1\"} 6",
        "# TYPE rondo_core_connections gauge",
        "rondo_core_cpu{core=\"1\"} 1",
        "rondo_info{redis_version=\"8.0.0\",os=\"Linux \\\"x\\\" \\\\ y\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for word in ["human", "perc", "executable", "core=\"0\"} any"] {
        assert!(!text.contains(word), "{word}");
    }
}

/// What Redis documents as growing until a restart or CONFIG RESETSTAT, of the fields that INFO has.
#[test]
fn what_only_grows_is_a_counter() {
    let figures = InfoFigures {
        persistence: PersistenceFigures {
            saving: SavingFigures {
                is_logging: true,
                ..SavingFigures::default()
            },
            logs: vec![LogFigures::default()],
            ..PersistenceFigures::default()
        },
        ..InfoFigures::default()
    };
    let text = to_prometheus(&render(&figures, &[]));
    for name in [
        "active_defrag_hits",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "active_defrag_misses",
        "active_defrag_time",
        "aof_delayed_fsync",
        "aof_rewrites",
        "commands_processed",
        "dump_payload_sanitizations",
        "error_replies",
        "eventloop_cycles",
        "eviction_exceeded_time",
        "expired_fields",
        "expired_keys",
        "expired_keys_active",
        "expired_subkeys",
        "expired_subkeys_active",
        "forks",
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "lazyfreed_objects",
        "rdb_saves",
        "reads_processed",
        "reply_buffer_expands",
        "reply_buffer_shrinks",
        "unexpected_error_replies",
        "used_cpu_sys",
        "used_cpu_sys_children",
        "used_cpu_sys_main_thread",
        "used_cpu_user",
        "used_cpu_user_children",
        "used_cpu_user_main_thread",
    ] {
        let line = format!("# TYPE rondo_{name}_total counter");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    // And these go down as well, whatever they are called.
    for name in [
        "aof_rewrites_consecutive_failures",
        "current_active_defrag_time",
        "current_eviction_exceeded_time",
        "expire_lag_ms_max",
        "instantaneous_ops_per_sec",
        "rdb_changes_since_last_save",
        "total_blocking_keys",
        "total_blocking_keys_on_nokey",
        "total_system_memory",
        "total_watched_keys",
        "tracking_total_keys",
    ] {
        let line = format!("# TYPE rondo_{name} gauge");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

/// What alarms are set on.
#[test]
fn how_the_last_write_and_the_last_saves_ended_are_figures() {
    let figures = InfoFigures::default();
    let well = to_prometheus(&render(&figures, &[]));
    let logs = vec![LogFigures {
        is_failing: true,
        ..LogFigures::default()
    }];
    let persistence = PersistenceFigures {
        logs,
        ..PersistenceFigures::default()
    };
    let figures = InfoFigures {
        persistence,
        ..figures
    };
    let badly = to_prometheus(&render(&figures, &[]));
    for (text, aof_last_write_status) in [(well, 1), (badly, 0)] {
        for line in [
            "# TYPE rondo_aof_last_write_status gauge",
            &format!("rondo_aof_last_write_status {aof_last_write_status}"),
            "# HELP rondo_aof_last_write_status INFO's field aof_last_write_status: 1 for ok, 0 for err",
            "rondo_rdb_last_bgsave_status 1",
            "rondo_aof_last_bgrewrite_status 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

#[test]
fn lines_of_threads_and_of_disks_become_samples_of_cores() {
    let info = "io_thread_0:clients=3,reads=5,writes=4\r\nio_thread_1:clients=1,reads=7,writes=6\r\n\
                aof_fsync_core_1:count=9,p50_us=100,p99_us=400,p99.9_us=2000,max_us=1500000\r\n";
    let text = to_prometheus(info);
    for line in [
        "# TYPE rondo_core_reads_total counter",
        "rondo_core_reads_total{core=\"1\"} 7",
        "rondo_core_writes_total{core=\"0\"} 4",
        "rondo_core_aof_fsyncs_total{core=\"1\"} 9",
        "rondo_core_aof_fsync_seconds{core=\"1\",quantile=\"0.99\"} 0.000400",
        "rondo_core_aof_fsync_seconds{core=\"1\",quantile=\"0.999\"} 0.002000",
        "rondo_core_aof_fsync_seconds{core=\"1\",quantile=\"1\"} 1.500000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("clients"), "{text}");
}

#[test]
fn digests_are_no_figures() {
    let info =
        "redis_git_sha1:00000000\r\nmaster_replid2:0000\r\nrun_id:12e3\r\nuptime_in_seconds:7\r\n";
    let text = to_prometheus(info);
    assert!(text.contains("rondo_uptime_in_seconds 7"), "{text}");
    for name in ["sha1", "replid", "run_id"] {
        assert!(!text.contains(name), "{text}");
    }
}

/// One HELP and one TYPE a name, before its samples, all samples of a name together: what a scraper insists on.
#[test]
fn names_are_declared_once_and_stand_together() {
    let text = to_prometheus(INFO);
    let mut declared = HashSet::new();
    let mut current = "";
    let mut helped = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let words;
            (helped, words) = rest.split_once(' ').unwrap();
            assert!(!words.is_empty(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap();
            assert_eq!(current, helped);
            assert!(declared.insert(current), "{current} twice");
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(name, current);
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(declared.len() > 15);
}

#[test]
fn sections_become_objects() {
    let json = |info: &str, slow, hot| {
        let info = info.to_string();
        to_json(&Figures { info, slow, hot })
    };
    assert_eq!(json("", Vec::new(), Vec::new()), "{\"slow\":[],\"hot\":[]}");
    let slow = SlowRow {
        at_s: 5,
        took_us: 6,
        words: "GET \"a\"".to_string(),
        client: "1.2.3.4:5".to_string(),
    };
    let hot = HotRow {
        db: 3,
        key: "k".to_string(),
        share: 0.25,
    };
    assert_eq!(
        json(
            "# A\r\nx:1\r\ny:a\"b\\:c\u{1}\r\n\r\n# B\r\n\r\n# C\r\nz:\r\n",
            vec![slow],
            vec![hot]
        ),
        "{\"A\":{\"x\":\"1\",\"y\":\"a\\\"b\\\\:c\\u0001\"},\"B\":{},\"C\":{\"z\":\"\"},\
         \"slow\":[{\"at\":5,\"us\":6,\"words\":\"GET \\\"a\\\"\",\"client\":\"1.2.3.4:5\"}],\
         \"hot\":[{\"db\":3,\"share\":0.2500,\"key\":\"k\"}]}"
    );
    assert_eq!(field(INFO, "tcp_port"), Some("6379"));
    assert_eq!(field(INFO, "tcp"), None);
}
