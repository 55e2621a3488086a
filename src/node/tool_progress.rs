//! How far a tool has got with a file, on the terminal.
//!
//! Promises  nothing is shown where standard error is no terminal, and nothing within the first second: what is short is quiet,
//!           and files and pipes get results alone.
//! Tests     tests/node/tool_progress.rs.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// One file's progress; its line is wiped when it is dropped.
pub struct ToolProgress {
    name: String,
    total_bytes: u64,
    done_bytes: u64,
    shown: Instant,
    every: Duration,
    terminal: Option<Box<dyn Write + Send>>,
    is_line_begun: bool,
}

impl ToolProgress {
    /// A file of about `total_bytes`, on standard error where that is a terminal.
    pub fn of(path: &Path, total_bytes: u64) -> Self {
        let terminal = std::io::stderr();
        let terminal = terminal
            .is_terminal()
            .then(|| Box::new(terminal) as Box<dyn Write + Send>);
        Self::on(terminal, path, total_bytes, SHOWN_EVERY)
    }

    /// The same, shown elsewhere and so often.
    pub fn on(
        terminal: Option<Box<dyn Write + Send>>,
        path: &Path,
        total_bytes: u64,
        every: Duration,
    ) -> Self {
        Self {
            name: path.display().to_string(),
            total_bytes,
            done_bytes: 0,
            shown: Instant::now(),
            every,
            terminal,
            is_line_begun: false,
        }
    }

    /// So many more bytes are done.
    pub fn add(&mut self, bytes: u64) {
        self.done_bytes += bytes;
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        if self.shown.elapsed() < self.every {
            return;
        }
        self.shown = Instant::now();
        self.is_line_begun = true;
        let percent = (self.done_bytes.saturating_mul(100) / self.total_bytes.max(1)).min(100);
        // A terminal that cannot be written to is no reason to stop.
        let _ = write!(terminal, "\r{}: {percent}%", self.name);
        let _ = terminal.flush();
    }
}

impl Drop for ToolProgress {
    fn drop(&mut self) {
        if let Some(terminal) = self.terminal.as_mut().filter(|_| self.is_line_begun) {
            let _ = write!(terminal, "\r\x1b[K");
            let _ = terminal.flush();
        }
    }
}
