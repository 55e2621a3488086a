//! What tools show of their progress.

use rondo::node::tool_progress::ToolProgress;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a screen").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn shown(every: Duration) -> String {
    let screen = Screen::default();
    let terminal = Some(Box::new(screen.clone()) as Box<dyn Write + Send>);
    let mut progress = ToolProgress::on(terminal, Path::new("dump.rdb"), 200, every);
    progress.add(50);
    progress.add(150);
    // A file that grows meanwhile.
    progress.add(100);
    drop(progress);
    let bytes = screen.0.lock().expect("a screen").clone();
    String::from_utf8(bytes).expect("text")
}

/// Each time on the same line, which is gone at the end.
#[test]
fn a_file_is_shown_in_percent_on_one_line() {
    assert_eq!(
        shown(Duration::ZERO),
        "\rdump.rdb: 25%\rdump.rdb: 100%\rdump.rdb: 100%\r\x1b[K"
    );
}

#[test]
fn what_is_short_shows_nothing() {
    assert_eq!(shown(Duration::from_secs(3600)), "");
}
