//! ACL LOG: what was denied to whom, like denials within a minute being one entry.
//!
//! Each core keeps the denials of its own clients; the log that is shown is put together from all of them, by the same rule.
//!
//! Promises  an entry has a number of its own in the process; a core keeps no more than `acllog-max-len` entries.
//! Not here  collecting the parts: `node/acl.rs`.
//! Tests     tests/commands/acl_log.rs.

use std::collections::VecDeque;

use super::check::Reason;
use crate::resp::Reply;

/// Denials further apart are two entries.
const GROUPED_MS: i64 = 60_000;
/// Among so many of the latest entries one that is alike is looked for.
const LOOKED_AT: usize = 10;

/// Where it was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A request of its own.
    TopLevel,
    /// Between MULTI and EXEC, or at EXEC.
    Multi,
    /// A script.
    Script,
}

/// One denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, key or channel; of a failed authentication the command's name as it was sent.
    pub object: Vec<u8>,
    /// The user, or who the client said it was.
    pub user: Vec<u8>,
}

/// Like denials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number.
    pub id: u64,
    /// How many.
    pub count: u64,
    /// What they have in common.
    pub denial: Denial,
    /// CLIENT INFO of the latest one's client.
    pub client: Vec<u8>,
    /// Of the first, in milliseconds since the epoch.
    pub created_ms: i64,
    /// Of the latest.
    pub updated_ms: i64,
}

/// One core's entries, the latest first.
#[derive(Clone, Debug, Default)]
pub struct AclLog {
    entries: VecDeque<LogEntry>,
    /// `acllog-max-len` when the latest was added.
    length_max: usize,
}

impl AclLog {
    /// Adds a denial.
    ///
    /// - `client`: CLIENT INFO of who was denied, without the line end.
    /// - `next_id`: draws a number for a new entry.
    pub fn add(
        &mut self,
        denial: Denial,
        client: Vec<u8>,
        now_ms: i64,
        length_max: usize,
        next_id: impl FnOnce() -> u64,
    ) {
        self.length_max = length_max;
        if length_max > 0 {
            let alike = (self.entries.iter().take(LOOKED_AT)).position(|entry| {
                entry.denial == denial && (now_ms - entry.updated_ms).abs() <= GROUPED_MS
            });
            let entry = match alike.and_then(|at| self.entries.remove(at)) {
                Some(known) => LogEntry {
                    count: known.count + 1,
                    client,
                    updated_ms: now_ms,
                    ..known
                },
                None => LogEntry {
                    id: next_id(),
                    count: 1,
                    denial,
                    client,
                    created_ms: now_ms,
                    updated_ms: now_ms,
                },
            };
            self.entries.push_front(entry);
        }
        self.entries.truncate(length_max);
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The log of all cores: the latest first, like entries joined.
    pub fn merged(parts: Vec<AclLog>) -> Vec<LogEntry> {
        let latest = |part: &AclLog| part.entries.front().map(|entry| entry.updated_ms);
        let length_max = (parts.iter().max_by_key(|part| latest(part))).map(|part| part.length_max);
        let mut all: Vec<LogEntry> = parts.into_iter().flat_map(|part| part.entries).collect();
        // Of what came in the same millisecond a core knows the order; a number tells only when the first of its like came.
        all.sort_by_key(|entry| std::cmp::Reverse(entry.updated_ms));
        let mut joined: Vec<LogEntry> = Vec::new();
        for entry in all {
            let is_alike = |known: &&mut LogEntry| {
                known.denial == entry.denial && known.updated_ms - entry.updated_ms <= GROUPED_MS
            };
            match joined.iter_mut().find(is_alike) {
                Some(known) => {
                    known.count += entry.count;
                    known.created_ms = known.created_ms.min(entry.created_ms);
                    known.id = known.id.min(entry.id);
                }
                None => joined.push(entry),
            }
        }
        joined.truncate(length_max.unwrap_or(0));
        joined
    }
}

impl LogEntry {
    /// The entry as ACL LOG tells it.
    pub fn write(&self, now_ms: i64, reply: &mut Reply<'_>) {
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(self.count as i64);
        let mut text = |name: &str, value: &[u8]| {
            reply.bulk(name.as_bytes());
            reply.bulk(value);
        };
        text(
            "reason",
            match self.denial.reason {
                Reason::Database => b"database",
                Reason::Command => b"command",
                Reason::Key => b"key",
                Reason::Channel => b"channel",
                Reason::Auth => b"auth",
                Reason::Certificate => b"tls-cert",
            },
        );
        text(
            "context",
            match self.denial.context {
                Context::TopLevel => b"toplevel",
                Context::Multi => b"multi",
                Context::Script => b"lua",
            },
        );
        text("object", &self.denial.object);
        text("username", &self.denial.user);
        reply.bulk(b"age-seconds");
        reply.double((now_ms - self.updated_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(&self.client);
        for (name, number) in [
            ("entry-id", self.id as i64),
            ("timestamp-created", self.created_ms),
            ("timestamp-last-updated", self.updated_ms),
        ] {
            reply.bulk(name.as_bytes());
            reply.integer(number);
        }
    }
}
