//! Lines of the log, in four forms.
//!
//!     legacy   4711:M 28 Nov 2026 12:00:00.123 * Ready to accept connections tcp port=6379
//!     logfmt   pid=4711 role=primary timestamp="28 Nov 2026 12:00:00.123" level=notice message="Ready …" port=6379
//!     text     2026-11-28T12:00:00.123456Z  INFO Ready to accept connections tcp port=6379
//!     json     {"timestamp":"2026-11-28T12:00:00.123456Z","level":"INFO","message":"Ready …","port":6379}
//!
//! The first is Redis's, the second Valkey's, so that whoever reads or waits for lines of theirs goes on with these.
//!
//! Not here  where lines go: `node/log.rs`.
//! Source    Redis's and Valkey's manuals; their logs.
//! Tests     tests/node/log_lines.rs, tests/server/config.rs.

use std::fmt::{self, Debug, Write};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::local_time::LocalTime;

/// What `log-format` may say, the default first.
pub const FORMS: &[&str] = &["legacy", "logfmt", "text", "json"];
/// What `log-timestamp-format` may say, the default first.
pub const TIMES: &[&str] = &["legacy", "iso8601", "milliseconds"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Places in [`FORMS`] and [`TIMES`], of lines to come.
static FORM: AtomicU8 = AtomicU8::new(0);
static TIME: AtomicU8 = AtomicU8::new(0);

/// Changes the form of lines to come.
///
/// - `form`: one of [`FORMS`]; `time`: one of [`TIMES`], for the first two of them.
pub fn set(form: &str, time: &str) {
    let place = |names: &[&str], name| names.iter().position(|known| *known == name);
    FORM.store(place(FORMS, form).unwrap_or(0) as u8, Relaxed);
    TIME.store(place(TIMES, time).unwrap_or(0) as u8, Relaxed);
}

/// A moment, as `log-timestamp-format` says.
pub fn timestamp(form: &str, moment: SystemTime) -> String {
    if form == "milliseconds" {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        return since.as_millis().to_string();
    }
    let LocalTime {
        year,
        month,
        day,
        hour,
        minute,
        second,
        millisecond,
        offset_minutes,
    } = LocalTime::of(moment);
    if form == "iso8601" {
        let sign = if offset_minutes < 0 { '-' } else { '+' };
        let ahead = offset_minutes.abs();
        let offset = format!("{sign}{:02}:{:02}", ahead / 60, ahead % 60);
        return format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}{offset}"
        );
    }
    let month = MONTHS[usize::from(month - 1) % MONTHS.len()];
    format!("{day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02}.{millisecond:03}")
}

/// A value as logfmt has it: between quotes unless it is one plain word, on one line.
pub fn logfmt_value(text: &str) -> String {
    let is_plain = |c: char| c > ' ' && c != '"' && c != '=' && c != '\\' && c != '\u{7f}';
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_string();
    }
    format!("{text:?}")
}

/// Whichever form is in force when an event comes.
pub(super) struct Lines {
    text: Format<Full>,
    json: Format<Json>,
}

impl Default for Lines {
    fn default() -> Self {
        let text = tracing_subscriber::fmt::format().with_target(false);
        Self {
            json: text.clone().json().flatten_event(true),
            text,
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let form = FORMS[usize::from(FORM.load(Relaxed))];
        let time = || timestamp(TIMES[usize::from(TIME.load(Relaxed))], SystemTime::now());
        let process = std::process::id();
        let (mark, name) = names_of(*event.metadata().level());
        match form {
            "json" => self.json.format_event(context, writer, event),
            "text" => self.text.format_event(context, writer, event),
            "logfmt" => {
                let time = time();
                write!(
                    writer,
                    "pid={process} role=primary timestamp=\"{time}\" level={name}"
                )?;
                let mut pairs = Pairs::default();
                event.record(&mut pairs);
                let message = logfmt_value(&pairs.message);
                writeln!(writer, " message={message}{}", pairs.others)
            }
            _ => {
                write!(writer, "{process}:M {} {mark} ", time())?;
                context.format_fields(writer.by_ref(), event)?;
                writeln!(writer)
            }
        }
    }
}

/// Redis's mark of a level, and Valkey's name.
fn names_of(level: Level) -> (char, &'static str) {
    match level {
        Level::TRACE => ('.', "debug"),
        Level::DEBUG => ('-', "info"),
        Level::INFO => ('*', "notice"),
        Level::WARN | Level::ERROR => ('#', "warning"),
    }
}

/// What an event says, for logfmt.
#[derive(Default)]
struct Pairs {
    message: String,
    others: String,
}

impl Visit for Pairs {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_string();
        } else {
            // Text takes all that is written to it.
            let _ = write!(self.others, " {}={}", field.name(), logfmt_value(value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
