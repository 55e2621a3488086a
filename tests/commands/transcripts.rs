//! Every transcript against one keyspace.

use super::runner::Runner;
use super::transcript::{Step, parse_transcript, reply_lines, sorted_elements};
use crate::keyspace::sizes::assert_sizes;
use rondo::keyspace::{AccessPolicy, EncodingLimits};
use rondo::resp::Protocol;
use std::path::Path;

/// Names and texts of all transcripts.
pub fn transcripts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of transcripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a transcript");
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), text)
        })
        .collect();
    found.sort();
    found
}

/// One keyspace answers what the recorded server answered, and knows the sizes of its keys all the while.
#[test]
fn transcripts_replay_on_one_keyspace() {
    let mut failures = Vec::new();
    for (name, text) in transcripts() {
        let mut runner = Runner::new(1);
        for step in parse_transcript(&text) {
            match step {
                Step::Wait(ms) => runner.wait(ms),
                Step::Database(db) => runner.db = db,
                Step::Protocol(3) => runner.protocol = Protocol::Resp3,
                Step::Protocol(_) => runner.protocol = Protocol::Resp2,
                Step::NodeEntries(stream_node_max_entries) => {
                    runner.keys.set_limits(EncodingLimits {
                        stream_node_max_entries,
                        ..runner.keys.limits()
                    });
                }
                Step::Policy(policy) => {
                    let mut access = AccessPolicy::default();
                    assert!(access.set_name(&policy), "{name}: policy {policy}");
                    runner.keys.set_access_policy(access);
                }
                Step::Request {
                    line,
                    words,
                    reply,
                    is_unordered,
                } => {
                    let mut got = reply_lines(&runner.run(&words));
                    if is_unordered {
                        got = sorted_elements(got);
                    }
                    assert_sizes(&runner.keys, || format!("{name}:{line}"));
                    if got != reply {
                        failures.push(format!("{name}:{line}\n  got  {got:?}\n  want {reply:?}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
