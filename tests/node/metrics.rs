//! INFO's text as Prometheus and JSON.

use rondo::node::http::{Figures, HotRow, SlowRow};
use rondo::node::metrics::{field, to_json, to_prometheus};
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
