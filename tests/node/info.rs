//! INFO from known figures.

use rondo::commands::identity::REDIS_VERSION;
use rondo::node::figures::Wanted;
use rondo::node::http::Shown;
use rondo::node::info::{
    CommandFigures, CoreFigures, InfoFigures, KeyspaceFigures, Told, is_selected, render, wanted,
};
use rondo::node::saving::LoadingFigures;

fn sections(text: &str) -> Vec<&str> {
    text.split("\r\n")
        .filter_map(|line| line.strip_prefix("# "))
        .collect()
}

fn info(figures: &InfoFigures, names: &[&str]) -> String {
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    render(figures, &names)
}

const DEFAULT: [&str; 14] = [
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Threads",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Errorstats",
    "Cluster",
    "Keyspace",
    "Keysizes",
    "Cores",
];

#[test]
fn sections_are_selected_as_redis_does() {
    let figures = InfoFigures::default();
    assert_eq!(sections(&info(&figures, &[])), DEFAULT);
    assert_eq!(sections(&info(&figures, &["Default"])), DEFAULT);
    let all = sections(&info(&figures, &["ALL"])).len();
    assert_eq!(all, DEFAULT.len() + 3);
    assert_eq!(sections(&info(&figures, &["everything"])).len(), all);
    // In the server's order, each once.
    assert_eq!(
        sections(&info(&figures, &["cpu", "SERVER", "server"])),
        ["Server", "CPU"]
    );
    assert_eq!(info(&figures, &["nosuch"]), "");
    assert!(is_selected("Commandstats", &[b"commandstats".to_vec()]));
    assert!(!is_selected("Commandstats", &[]));
    assert!(is_selected("Debug", &[b"debug".to_vec()]));
    assert!(!is_selected("Debug", &[b"everything".to_vec()]));
}

/// What one section does not show is not gathered for it, and cores that it does not tell of are not asked.
#[test]
fn a_section_asks_for_no_more_than_it_shows() {
    let of = |names: &[&str]| {
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        wanted(&names)
    };
    for name in ["server", "replication", "cluster", "modules", "hotkeys"] {
        assert_eq!(of(&[name]), (Told::Nobody, Wanted::NOTHING), "{name}");
    }
    assert_eq!(of(&["cpu"]), (Told::First, Wanted::CPU));
    assert_eq!(of(&["clients"]), (Told::All, Wanted::CLIENTS));
    assert_eq!(of(&["commandstats"]), (Told::All, Wanted::COMMANDS));
    assert_eq!(of(&["keyspace"]), (Told::All, Wanted::DATABASES));
    let both = Wanted::CPU.or(Wanted::ERRORS);
    assert_eq!(of(&["cpu", "errorstats"]), (Told::All, both));
    assert_eq!(of(&["nosuch"]), (Told::Nobody, Wanted::NOTHING));
    let (told, by_default) = of(&[]);
    assert_eq!(told, Told::All);
    assert!(by_default.has(Wanted::MEMORY) && by_default.has(Wanted::SAVING));
    for costly in [Wanted::COMMANDS, Wanted::DURATIONS, Wanted::TYPES] {
        assert!(!by_default.has(costly));
    }
    assert!(of(&["everything"]).1.has(Wanted::DURATIONS));
    assert_eq!(wanted(&Shown::Health.sections()).1, Wanted::NOTHING);
    assert!(!wanted(&Shown::Readiness.sections()).1.has(Wanted::MEMORY));
    assert!(wanted(&Shown::Metrics.sections()).1.has(Wanted::TYPES));
}

/// While an RDB file is loaded; the fields are gone afterwards.
#[test]
fn a_load_shows_how_far_it_is() {
    let mut figures = InfoFigures::default();
    assert!(!info(&figures, &["persistence"]).contains("loading_"));
    figures.persistence.saving.loading = Some(LoadingFigures {
        began_s: 990,
        milliseconds: 10_000,
        total_bytes: 400,
        read_bytes: 100,
        file_used_bytes: 5_000,
    });
    let text = info(&figures, &["persistence"]);
    let lines = "loading_start_time:990\r\nloading_total_bytes:400\r\nloading_rdb_used_mem:5000\r\n\
                 loading_loaded_bytes:100\r\nloading_loaded_perc:25.00\r\nloading_eta_seconds:30\r\n";
    assert!(text.contains(lines), "{text}");
    // Before there is anything to go by, it says one second, as Redis does.
    figures.persistence.saving.loading = Some(LoadingFigures {
        milliseconds: 999,
        total_bytes: 4_000_000,
        read_bytes: 1,
        ..LoadingFigures::default()
    });
    let text = info(&figures, &["persistence"]);
    assert!(text.contains("loading_eta_seconds:1\r\n"), "{text}");
}

#[test]
fn sections_are_set_apart_by_empty_lines() {
    let text = info(
        &InfoFigures::default(),
        &["cluster", "keyspace", "replication"],
    );
    assert!(
        text.ends_with("\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n"),
        "{text}"
    );
    assert!(text.starts_with("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"));
}

// What clients look for when they connect.
#[test]
fn fields_that_clients_read_are_there() {
    let text = info(&InfoFigures::default(), &[]);
    for field in [
        format!("redis_version:{REDIS_VERSION}"),
        format!("rondo_version:{}", env!("CARGO_PKG_VERSION")),
        "redis_mode:standalone".to_string(),
        "arch_bits:64".to_string(),
        "loading:0".to_string(),
        "role:master".to_string(),
        "cluster_enabled:0".to_string(),
    ] {
        assert!(text.contains(&format!("\r\n{field}\r\n")), "{field}");
    }
}

#[test]
fn every_line_is_a_heading_a_field_or_empty() {
    let figures = InfoFigures {
        cores: vec![CoreFigures::default(); 2],
        errors: vec![("ERR".to_string(), 3)],
        ..InfoFigures::default()
    };
    for line in info(&figures, &["everything"]).split("\r\n") {
        assert!(
            line.is_empty() || line.starts_with("# ") || line.contains(':'),
            "{line}"
        );
    }
}

#[test]
fn figures_are_shown_as_redis_shows_them() {
    let mut figures = InfoFigures::default();
    figures.clients.pause = Some((70, true));
    figures.memory.used = 843_912;
    figures.memory.peak = 1_687_824;
    figures.memory.resident = 6_983_680;
    figures.commands = vec![
        CommandFigures {
            full_name: "config|get",
            calls: 2,
            time_us: 447,
            latency_us: vec![(50.0, 210.943), (99.9, 237.567)],
            ..CommandFigures::default()
        },
        CommandFigures {
            full_name: "get",
            ..CommandFigures::default()
        },
    ];
    figures.errors = vec![("ERR".to_string(), 3)];
    figures.keyspace = vec![KeyspaceFigures {
        db: 3,
        keys: 5,
        expires: 2,
        avg_ttl_ms: 70,
        dated_hashes: 1,
    }];
    figures.cores = vec![CoreFigures {
        cpu: Some(1),
        local: 9,
        hops_out: 4,
        ..CoreFigures::default()
    }];
    let text = info(&figures, &["everything"]);
    for line in [
        "used_memory_human:824.13K",
        "used_memory_rss_human:6.66M",
        "used_memory_peak_perc:50.00%",
        "mem_fragmentation_ratio:8.28",
        "cmdstat_config|get:calls=2,usec=447,usec_per_call=223.50,rejected_calls=0,failed_calls=0",
        "errorstat_ERR:count=3",
        "latency_percentiles_usec_config|get:p50=210.943,p99.9=237.567",
        "db3:keys=5,expires=2,avg_ttl=70,subexpiry=1",
        "paused_reason:client_pause",
        "paused_actions:write",
        "paused_timeout_milliseconds:70",
        "availability_zone:",
        "local_requests:9",
        "hops:4",
        "core0:cpu=1,connections=0,keys=0,bytes=0,local=9,hops_out=4,hops_in=0,moves_in=0,moves_out=0,cpu_seconds=0.00,turns=0,turn_seconds=0.00",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}");
    }
    assert!(!text.contains("cmdstat_get"));
}
