//! LATENCY HISTOGRAM: how many calls of each command took at most how long.
//!
//! Not here  counting: `shard/figures.rs`.
//! Tests     tests/server/watching.rs.

use super::figures::CoreFigures;
use crate::commands::{Entry, table};
use crate::resp::Reply;
use crate::shard::Durations;

/// One command's calls.
pub struct Histogram {
    name: &'static str,
    calls: u64,
    /// Microseconds, and how many calls took at most that.
    steps: Vec<(u64, u64)>,
}

/// The commands of these names that have been called, containers' subcommands included; all where none is named.
pub fn histogram_rows(cores: &[CoreFigures], names: &[Vec<u8>]) -> Vec<Histogram> {
    let mut rows = Vec::new();
    let mut add = |entry: &'static Entry| rows.extend(histogram(cores, entry));
    if names.is_empty() {
        table()
            .rows()
            .filter(|entry| entry.is_visible())
            .for_each(&mut add);
    }
    for entry in names.iter().filter_map(|name| table().find_full(name)) {
        add(entry);
        entry
            .sub
            .iter()
            .filter(|sub| sub.is_visible())
            .for_each(&mut add);
    }
    rows
}

fn histogram(cores: &[CoreFigures], entry: &'static Entry) -> Option<Histogram> {
    // As in INFO: what COMMAND hides is one command to clients.
    let hidden = entry.sub.iter().filter(|sub| !sub.is_visible());
    let mut total = Durations::default();
    for entry in std::iter::once(entry).chain(hidden) {
        let index = usize::from(entry.index);
        let rows = cores.iter().filter_map(|core| core.durations.get(index));
        rows.for_each(|row| total.add(row));
    }
    let steps = total.steps_us();
    let calls = steps.last()?.1;
    Some(Histogram {
        name: entry.full_name,
        calls,
        steps,
    })
}

/// Writes the reply.
pub fn write_histograms(rows: &[Histogram], reply: &mut Reply<'_>) {
    reply.map(rows.len());
    for row in rows {
        reply.bulk(row.name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.unsigned(row.calls);
        reply.bulk(b"histogram_usec");
        reply.map(row.steps.len());
        for (us, count) in &row.steps {
            reply.unsigned(*us);
            reply.unsigned(*count);
        }
    }
}
