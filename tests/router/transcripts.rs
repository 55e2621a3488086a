use super::instant::Instant;
use crate::commands::transcript::{Step, parse_transcript, reply_lines, sorted_elements};
use crate::commands::transcripts::transcripts;
use crate::keyspace::sizes::assert_sizes;
use rondo::keyspace::{AccessPolicy, EncodingLimits};
use rondo::resp::Protocol;

/// A server with several cores answers what the recorded one answered, whatever the number of shards.
#[test]
fn transcripts_replay_at_1_2_and_7_shards() {
    let mut failures = Vec::new();
    for shards_count in [1, 2, 7] {
        for (name, text) in transcripts() {
            replay(shards_count, &name, &text, &mut failures);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn replay(shards_count: u16, name: &str, text: &str, failures: &mut Vec<String>) {
    let mut server = Instant::new(shards_count);
    for step in parse_transcript(text) {
        match step {
            Step::Wait(ms) => server.wait(ms),
            Step::Database(db) => server.db = db as u16,
            Step::Protocol(3) => server.protocol = Protocol::Resp3,
            Step::Protocol(_) => server.protocol = Protocol::Resp2,
            Step::NodeEntries(stream_node_max_entries) => {
                for shard in &mut server.shards {
                    shard.keys.set_limits(EncodingLimits {
                        stream_node_max_entries,
                        ..shard.keys.limits()
                    });
                }
            }
            Step::Policy(policy) => {
                for shard in &mut server.shards {
                    let mut access = AccessPolicy::default();
                    assert!(access.set_name(&policy), "{name}: policy {policy}");
                    shard.keys.set_access_policy(access);
                }
            }
            Step::Request {
                line,
                words,
                reply,
                is_unordered,
            } => {
                let mut got = reply_lines(&server.run(&words));
                if is_unordered {
                    got = sorted_elements(got);
                }
                for shard in &server.shards {
                    assert_sizes(&shard.keys, || format!("{name}:{line} at {shards_count}"));
                }
                if got != reply {
                    failures.push(format!(
                        "{name}:{line} at {shards_count} shards\n  got  {got:?}\n  want {reply:?}"
                    ));
                }
            }
        }
    }
}
