//! The log: one line an event, to standard output or a file; the level and the form may change at run time.
//!
//! Not here  what a line looks like: `node/log_lines.rs`; the system's log, to which the same events may go: `node/syslog.rs`.
//! Tests     tests/server/config.rs.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use super::log_lines::{self, Lines};
use super::options::Options;
use super::syslog;

static LEVEL: OnceLock<reload::Handle<LevelFilter, tracing_subscriber::Registry>> = OnceLock::new();

/// The log goes where the operator who started the process does not look.
static IS_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// Starts the log as `logfile`, `loglevel`, `log-format` and `syslog-enabled` say. A second call changes level and form only.
///
/// - Errors: the file cannot be opened. A file is appended to; without a name there is standard output.
pub fn start(options: &Options) -> io::Result<()> {
    log_lines::set(options.log_format, options.log_timestamp_format);
    if LEVEL.get().is_some() {
        set_level(options.loglevel);
        return Ok(());
    }
    let target = if options.logfile.is_empty() {
        Target::Output
    } else {
        Target::File(Arc::new(LogFile::open(&options.logfile)?))
    };
    let is_to_system = options.is_held("syslog-enabled", "yes");
    IS_ELSEWHERE.store(
        !options.logfile.is_empty() || is_to_system,
        Ordering::Relaxed,
    );
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

/// Says why the process ends: to who started it, and in the log where that is another place. A process in the background has
/// no other.
pub fn tell_failure(reason: &str) {
    eprintln!("rondo: {reason}");
    if IS_ELSEWHERE.load(Ordering::Relaxed) {
        tracing::error!("{reason}");
    }
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
    File(Arc<LogFile>),
}

/// A file that others may move away, as logrotate does: lines go to whatever has its name.
struct LogFile {
    path: PathBuf,
    file: Mutex<Arc<File>>,
}

impl LogFile {
    fn open(path: &str) -> io::Result<Self> {
        // The process may go to another folder.
        let path = std::path::absolute(path)?;
        let file = Self::append_to(&path)?;
        Ok(Self {
            path,
            file: Mutex::new(Arc::new(file)),
        })
    }

    fn append_to(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Where the next line goes: the file of before where there can be no other.
    fn current(&self) -> Arc<File> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let named = std::fs::metadata(&self.path).map(place).ok();
        if named != file.metadata().map(place).ok()
            && let Ok(other) = Self::append_to(&self.path)
        {
            *file = Arc::new(other);
        }
        file.clone()
    }
}

impl<'w> MakeWriter<'w> for Target {
    type Writer = Box<dyn io::Write + 'w>;

    fn make_writer(&'w self) -> Self::Writer {
        match self {
            Self::Output => Box::new(io::stdout()),
            Self::File(file) => Box::new(file.current()),
        }
    }
}
