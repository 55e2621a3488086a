//! The log: one line an event, as text or JSON, to standard output or a file; the level and the form may change at run time.
//!
//! Not here  the system's log, to which the same events may go: `node/syslog.rs`.
//! Tests     tests/server/config.rs.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use super::options::Options;
use super::syslog;

static LEVEL: OnceLock<reload::Handle<LevelFilter, tracing_subscriber::Registry>> = OnceLock::new();
/// One object a line, not text.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Starts the log as `logfile`, `loglevel`, `log-format` and `syslog-enabled` say. A second call changes level and form only.
///
/// - Errors: the file cannot be opened. A file is appended to; without a name there is standard output.
pub fn start(options: &Options) -> io::Result<()> {
    set_format(options.log_format);
    if LEVEL.get().is_some() {
        set_level(options.loglevel);
        return Ok(());
    }
    let target = if options.logfile.is_empty() {
        Target::Output
    } else {
        let mut file = OpenOptions::new();
        Target::File(Arc::new(
            file.create(true).append(true).open(&options.logfile)?,
        ))
    };
    let (filter, handle) = reload::Layer::new(level_filter(options.loglevel));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(Lines::default())
        .with_writer(target);
    let to_system = syslog::Syslog::of(options).map(|syslog| {
        let message = tracing_subscriber::fmt::format().without_time();
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(message.with_level(false).with_target(false))
            .with_writer(syslog)
    });
    // Fails only where a test has installed a subscriber already; then that one is used.
    if tracing::subscriber::set_global_default(
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(to_system),
    )
    .is_ok()
    {
        let _ = LEVEL.set(handle);
    }
    Ok(())
}

/// Changes the level: `debug`, `verbose`, `notice`, `warning` or `nothing`.
pub fn set_level(level: &str) {
    if let Some(handle) = LEVEL.get() {
        // Fails only when the subscriber is gone, which it never is.
        let _ = handle.reload(level_filter(level));
    }
}

/// Changes the form of lines to come: `json` for one object a line, else text.
pub fn set_format(format: &str) {
    IS_JSON.store(format == "json", Relaxed);
}

fn level_filter(level: &str) -> LevelFilter {
    match level {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    }
}

/// Both forms; which is used is asked for each line.
struct Lines {
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
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if IS_JSON.load(Relaxed) {
            self.json.format_event(context, writer, event)
        } else {
            self.text.format_event(context, writer, event)
        }
    }
}

#[derive(Clone)]
enum Target {
    Output,
    File(Arc<std::fs::File>),
}

impl<'w> MakeWriter<'w> for Target {
    type Writer = Box<dyn io::Write + 'w>;

    fn make_writer(&'w self) -> Self::Writer {
        match self {
            Self::Output => Box::new(io::stdout()),
            Self::File(file) => Box::new(file.as_ref()),
        }
    }
}
