//! Latency monitor: spikes by event, of all cores, and what LATENCY says of them.
//!
//! Promises  an event keeps its 160 latest samples, one a second at most, the worst of it; nothing is noted, and nothing
//!           locked, below `latency-monitor-threshold`.
//! Not here  who notes events: `node/watching.rs`, and whoever does slow work. Histograms: `shard/figures.rs`.
//! Source    Redis's names for events, its limits and the shapes of its replies; the reports are our own words.
//! Tests     tests/node/latency.rs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::resp::Reply;

/// Samples kept of an event.
const SAMPLES_MAX: usize = 160;
/// Columns of a drawing.
const COLUMNS_MAX: usize = 80;
/// Lines of a drawing, and steps a line can show.
const GRAPH_LINES: usize = 4;
const GRAPH_STEPS: [char; 3] = ['_', 'o', '#'];

/// One second's worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at_s: i64,
    took_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Event {
    /// Oldest first.
    samples: std::collections::VecDeque<Sample>,
    /// The worst since the event was last forgotten.
    worst_ms: u64,
}

/// All events.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, Event>>,
}

/// What the doctor must know besides the samples.
pub struct Surroundings {
    /// Seconds since the epoch.
    pub now_s: i64,
    /// `latency-monitor-threshold`.
    pub threshold_ms: u64,
    /// `slowlog-log-slower-than`, none where the log is off.
    pub slowlog_us: Option<u64>,
    /// The kernel gives huge pages without being asked.
    pub has_huge_pages: bool,
}

impl LatencyMonitor {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `event` took that long. The caller has compared it with the threshold.
    pub fn note(&self, event: &'static str, now_s: i64, took_ms: u64) {
        let mut events = self.lock();
        let event = events.entry(event).or_default();
        event.worst_ms = event.worst_ms.max(took_ms);
        match event.samples.back_mut() {
            Some(last) if last.at_s == now_s => last.took_ms = last.took_ms.max(took_ms),
            _ => {
                if event.samples.len() == SAMPLES_MAX {
                    event.samples.pop_front();
                }
                event.samples.push_back(Sample {
                    at_s: now_s,
                    took_ms,
                });
            }
        }
    }

    /// Forgets these events, all where none is named; returns how many there were.
    pub fn reset(&self, names: &[Vec<u8>]) -> usize {
        let mut events = self.lock();
        let before = events.len();
        if names.is_empty() {
            events.clear();
        } else {
            events.retain(|event, _| {
                !names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
            });
        }
        before - events.len()
    }

    /// LATENCY LATEST.
    pub fn write_latest(&self, reply: &mut Reply<'_>) {
        let events = self.lock();
        reply.array(events.len());
        for (name, event) in events.iter() {
            let last = event.samples.back().copied();
            reply.array(4);
            reply.bulk(name.as_bytes());
            reply.integer(last.map_or(0, |last| last.at_s));
            reply.unsigned(last.map_or(0, |last| last.took_ms));
            reply.unsigned(event.worst_ms);
        }
    }

    /// LATENCY HISTORY.
    pub fn write_history(&self, name: &[u8], reply: &mut Reply<'_>) {
        let events = self.lock();
        let event = find(&events, name);
        reply.array(event.map_or(0, |(_, event)| event.samples.len()));
        for sample in event.iter().flat_map(|(_, event)| &event.samples) {
            reply.array(2);
            reply.integer(sample.at_s);
            reply.unsigned(sample.took_ms);
        }
    }

    /// LATENCY GRAPH; none where the event has no samples.
    pub fn graph(&self, name: &[u8], now_s: i64) -> Option<String> {
        let events = self.lock();
        let (name, event) = find(&events, name)?;
        let skipped = event.samples.len().saturating_sub(COLUMNS_MAX);
        let samples: Vec<Sample> = event.samples.iter().skip(skipped).copied().collect();
        let high = samples.iter().map(|sample| sample.took_ms).max()?;
        let low = samples.iter().map(|sample| sample.took_ms).min()?;
        let mut text = format!(
            "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
            event.worst_ms,
            "-".repeat(COLUMNS_MAX)
        );
        let steps_count = GRAPH_LINES * GRAPH_STEPS.len();
        let step = |sample: &Sample| {
            let span = (high - low).max(1);
            (((sample.took_ms - low) as usize * steps_count) / span as usize).min(steps_count - 1)
        };
        for line in (0..GRAPH_LINES).rev() {
            for sample in &samples {
                let step = step(sample);
                text.push(match step / GRAPH_STEPS.len() {
                    level if level == line => GRAPH_STEPS[step % GRAPH_STEPS.len()],
                    level if level > line => '|',
                    _ => ' ',
                });
            }
            text.push('\n');
        }
        // How long ago each sample is, from top to bottom.
        let ages: Vec<Vec<char>> = samples
            .iter()
            .map(|sample| age_text(now_s - sample.at_s).chars().collect())
            .collect();
        let height = ages.iter().map(Vec::len).max().unwrap_or(0);
        text.extend(std::iter::repeat_n(' ', samples.len()));
        text.push('\n');
        for line in 0..height {
            for age in &ages {
                text.push(age.get(line).copied().unwrap_or(' '));
            }
            text.push('\n');
        }
        Some(text)
    }

    /// LATENCY DOCTOR.
    pub fn doctor(&self, around: &Surroundings) -> String {
        let events = self.lock();
        if events.is_empty() {
            return match around.threshold_ms {
                0 => "The latency monitor is off. Turn it on with CONFIG SET latency-monitor-threshold <milliseconds>, \
                      where the number is what is too slow for what you do, 100 say; then ask again.\n"
                    .to_string(),
                ms => format!("No event has taken {ms} milliseconds or more since the latency monitor was turned on or reset.\n"),
            };
        }
        let mut text = String::from("Events that took longer than the threshold:\n\n");
        for (number, (name, event)) in events.iter().enumerate() {
            let count = event.samples.len() as u64;
            let sum: u64 = event.samples.iter().map(|sample| sample.took_ms).sum();
            let mean = sum / count.max(1);
            let deviation: u64 = event
                .samples
                .iter()
                .map(|sample| sample.took_ms.abs_diff(mean))
                .sum::<u64>()
                / count.max(1);
            let first_s = event
                .samples
                .front()
                .map_or(around.now_s, |sample| sample.at_s);
            let period = (around.now_s - first_s).max(1) as f64 / count.max(1) as f64;
            let _ = writeln!(
                text,
                "{}. {name}: {count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period:.2} sec). \
                 Worst all time event {}ms.",
                number + 1,
                event.worst_ms
            );
        }
        text.push_str("\nWhat may help:\n\n");
        if events.contains_key("command") || events.contains_key("fast-command") {
            match around.slowlog_us {
                None => text.push_str(
                    "- The slow log is off, and would name the commands: CONFIG SET slowlog-log-slower-than 1000.\n",
                ),
                Some(us) if us / 1000 > around.threshold_ms => text.push_str(
                    "- The slow log notes less than this monitor does: CONFIG SET slowlog-log-slower-than 1000.\n",
                ),
                Some(_) => text.push_str("- SLOWLOG GET names the commands and what they were asked.\n"),
            }
            text.push_str(
                "- A command holds its core while it runs: ask for less at once (SCAN instead of KEYS, ranges instead of \
                 whole collections).\n",
            );
        }
        if events.contains_key("fast-command") {
            text.push_str(
                "- Commands of constant cost were slow: look whether other processes use the server's cores, and at steal \
                 time on virtual machines.\n",
            );
        }
        if events.contains_key("expire-cycle") {
            text.push_str("- Many keys expire in the same moments: spread their deadlines, or lower active-expire-effort.\n");
        }
        if events.keys().any(|event| event.starts_with("aof-")) {
            text.push_str(
                "- The disk was slow to take the append-only log: look who else writes to it; appendfsync everysec has no reply \
                 wait for it.\n",
            );
        }
        if around.has_huge_pages {
            text.push_str(
                "- The kernel hands out huge pages unasked: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled.\n",
            );
        }
        text
    }

    /// Every event with its latest and worst milliseconds.
    pub fn summary(&self) -> Vec<(&'static str, u64, u64)> {
        let events = self.lock();
        let last = |event: &Event| event.samples.back().map_or(0, |sample| sample.took_ms);
        events
            .iter()
            .map(|(name, event)| (*name, last(event), event.worst_ms))
            .collect()
    }
}

fn find<'a>(
    events: &'a BTreeMap<&'static str, Event>,
    name: &[u8],
) -> Option<(&'static str, &'a Event)> {
    let found = events.iter().find(|(event, _)| name == event.as_bytes());
    found.map(|(name, event)| (*name, event))
}

fn age_text(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{}s", seconds.max(0)),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
