//! Samples of slow events, and what is said of them.

use rondo::node::latency::{LatencyMonitor, Surroundings};
use rondo::resp::{Protocol, Reply};

fn written(write: impl FnOnce(&mut Reply<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Reply::new(&mut out, Protocol::Resp2));
    String::from_utf8(out).expect("text").replace("\r\n", " ")
}

/// The worst of a second counts, the oldest second goes, the worst ever stays.
#[test]
fn an_event_keeps_one_sample_a_second_and_160_of_them() {
    let monitor = LatencyMonitor::default();
    monitor.note("command", 100, 900);
    for second in 101..=260 {
        monitor.note("command", second, 10);
        monitor.note("command", second, 30);
        monitor.note("command", second, 20);
    }
    let history = written(|reply| monitor.write_history(b"command", reply));
    assert!(history.starts_with("*160 *2 :101 :30 "), "{history}");
    assert!(history.ends_with("*2 :260 :30 "), "{history}");
    let latest = written(|reply| monitor.write_latest(reply));
    assert_eq!(latest, "*1 *4 $7 command :260 :30 :900 ");
    assert_eq!(
        written(|reply| monitor.write_history(b"fork", reply)),
        "*0 "
    );
    assert_eq!(monitor.reset(&[b"fork".to_vec()]), 0);
    assert_eq!(monitor.reset(&[]), 1);
    assert_eq!(written(|reply| monitor.write_latest(reply)), "*0 ");
}

/// One column a sample, its height among the others, its age below; of one sample as a real server draws it.
#[test]
fn the_graph_shows_heights_and_ages() {
    let monitor = LatencyMonitor::default();
    assert_eq!(monitor.graph(b"command", 0), None);
    monitor.note("command", 100, 20);
    let dashes = "-".repeat(80);
    assert_eq!(
        monitor.graph(b"command", 100).expect("a sample"),
        format!(
            "command - high 20 ms, low 20 ms (all time high 20 ms)\n{dashes}\n \n \n \n_\n \n0\ns\n"
        )
    );
    monitor.note("command", 160, 140);
    monitor.note("command", 161, 80);
    let graph = monitor.graph(b"command", 165).expect("samples");
    let lines: Vec<&str> = graph.lines().skip(2).collect();
    assert_eq!(lines, [" # ", " |_", " ||", "_||", "   ", "154", "mss"]);
}

#[test]
fn the_doctor_names_what_was_slow() {
    let monitor = LatencyMonitor::default();
    let mut around = Surroundings {
        now_s: 110,
        threshold_ms: 0,
        slowlog_us: None,
        has_huge_pages: false,
    };
    assert!(
        monitor
            .doctor(&around)
            .contains("CONFIG SET latency-monitor-threshold")
    );
    around.threshold_ms = 10;
    assert!(monitor.doctor(&around).contains("10 milliseconds"));
    monitor.note("command", 100, 20);
    monitor.note("command", 105, 40);
    let report = monitor.doctor(&around);
    let expected = "1. command: 2 latency spikes (average 30ms, mean deviation 10ms, period 5.00 sec). Worst all time event 40ms.";
    assert!(report.contains(expected), "{report}");
    assert!(report.contains("slowlog-log-slower-than"), "{report}");
}
