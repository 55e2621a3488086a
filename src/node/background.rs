//! One thread for work that may block: files of snapshots, written and read.
//!
//! Started before any core is, so it sits on no core's own processor. What is given to it runs in order, one at a time.
//!
//! Promises  no core waits for it: it is told by channels, and tells what came of its work in what it shares with them. A panic in it,
//!           which has told what went wrong, ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

type Task = Box<dyn FnOnce() + Send>;

/// The way to the thread, which ends with it.
pub struct Background(Sender<Task>);

impl Background {
    /// Starts the thread; without it the process cannot go on.
    pub fn start() -> Self {
        let (sender, tasks) = channel::<Task>();
        let run = move || {
            super::time_slice::shorten();
            for task in tasks {
                // Whoever waits for what it was to do would wait for ever, a start under -LOADING.
                if catch_unwind(AssertUnwindSafe(task)).is_err() {
                    std::process::exit(1);
                }
            }
        };
        let thread = std::thread::Builder::new().name("rondo-files".into());
        if let Err(error) = thread.spawn(run) {
            super::log::tell_failure(&format!("no thread for files: {error}"));
            std::process::exit(1);
        }
        Self(sender)
    }

    /// Runs this after what was given before it.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) {
        // The thread lives as long as there is a sender.
        let _ = self.0.send(Box::new(task));
    }

    /// Waits until all it was given is done, but not longer than that.
    pub fn wait(&self, longest: Duration) {
        let (sender, is_done) = channel();
        self.run(move || drop(sender));
        // That its sender is gone is the answer.
        let _ = is_done.recv_timeout(longest) as Result<(), _>;
    }
}
