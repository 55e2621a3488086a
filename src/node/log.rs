//! The log: one line an event, as text or JSON, to standard output or a file; the level may change at run time.

use std::fs::OpenOptions;
use std::io;
use std::sync::{Arc, OnceLock};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

static LEVEL: OnceLock<reload::Handle<LevelFilter, tracing_subscriber::Registry>> = OnceLock::new();

/// Starts the log. A second call changes the level only.
///
/// - `path`: empty for standard output; a file is appended to.
/// - `format`: `json` for one object a line, else text.
/// - Errors: the file cannot be opened.
pub fn start(path: &str, level: &str, format: &str) -> io::Result<()> {
    if LEVEL.get().is_some() {
        set_level(level);
        return Ok(());
    }
    let target = if path.is_empty() {
        Target::Output
    } else {
        Target::File(Arc::new(
            OpenOptions::new().create(true).append(true).open(path)?,
        ))
    };
    let (filter, handle) = reload::Layer::new(level_filter(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(target);
    let lines = if format == "json" {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.boxed()
    };
    // Fails only where a test has installed a subscriber already; then that one is used.
    if tracing::subscriber::set_global_default(
        tracing_subscriber::registry().with(filter).with(lines),
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

fn level_filter(level: &str) -> LevelFilter {
    match level {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
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
