//! HOTKEYS: a session over all cores, and what it has found.
//!
//!     START -> who is on it, for all to see -> every shard begins ... every shard tells -> the most expensive of all
//!
//! Promises  one session at a time, whichever cores ask; an answer that comes late from another session changes nothing.
//! Not here  counting: `shard/key_costs.rs`; the commands' words: `commands/hotkeys.rs`.
//! Tests     tests/server/hotkeys.rs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::core::Core;
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use super::process::process_cpu_us;
use super::ring::Token;
use crate::commands::hotkeys::{HotKeysOptions, HotKeysRequest};
use crate::resp::Reply;
use crate::shard::key_costs::{KeyCosts, KeyCostsTold};

/// The last slot of a cluster.
const LAST_SLOT: i64 = 16_383;

/// A session, on or over.
#[derive(Clone, Copy)]
pub struct HotKeysSession {
    number: u64,
    options: HotKeysOptions,
    began_ms: i64,
    /// When it was ended.
    ended_ms: Option<i64>,
    /// What the process had used of processors when it began: user and system, microseconds.
    cpu_before_us: (u64, u64),
    /// The same when it ended.
    cpu_after_us: Option<(u64, u64)>,
}

impl HotKeysSession {
    /// When it ends of itself, or ended; none: it goes on.
    fn end_ms(&self) -> Option<i64> {
        let of_itself = self
            .options
            .duration_ms
            .map(|duration_ms| self.began_ms + duration_ms);
        self.ended_ms.or(of_itself)
    }

    fn is_on(&self, now_ms: i64) -> bool {
        self.end_ms().is_none_or(|end_ms| now_ms < end_ms)
    }
}

/// The latest session, for all cores.
#[derive(Default)]
pub struct HotKeysBoard {
    session: Mutex<Option<HotKeysSession>>,
}

impl HotKeysBoard {
    fn lock(&self) -> MutexGuard<'_, Option<HotKeysSession>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a core is asked.
#[derive(Clone, Copy)]
pub enum HotKeysStep {
    /// Begin to count.
    Begin {
        /// Of which session.
        number: u64,
        /// What.
        options: HotKeysOptions,
        /// Until then; none: until it is told.
        until_ms: Option<i64>,
    },
    /// Count no more.
    End {
        /// In which session.
        number: u64,
    },
    /// Forget.
    Forget {
        /// Which session's counts.
        number: u64,
    },
    /// Tell.
    Tell {
        /// Which session's counts.
        number: u64,
    },
}

impl Core {
    pub(super) fn hot_keys_request(&mut self, token: Token, request: HotKeysRequest) {
        let now_ms = self.now_ms;
        let board = self.mesh.board().clone();
        let mut session = board.watch.hot_keys.lock();
        let asker = Asker::Connection(token);
        let is_on = session.is_some_and(|session| session.is_on(now_ms));
        match request {
            HotKeysRequest::Start(_) if is_on => {
                self.fail(token, "ERR hotkey tracking session already in progress");
            }
            HotKeysRequest::Start(options) => {
                let new = HotKeysSession {
                    number: session.map_or(1, |session| session.number + 1),
                    options,
                    began_ms: now_ms,
                    ended_ms: None,
                    cpu_before_us: process_cpu_us(),
                    cpu_after_us: None,
                };
                *session = Some(new);
                let step = HotKeysStep::Begin {
                    number: new.number,
                    options,
                    until_ms: new.end_ms(),
                };
                self.ask_all(asker, Purpose::Ok, Question::HotKeys(step));
            }
            HotKeysRequest::Stop => match &mut *session {
                Some(session) if is_on => {
                    session.ended_ms = Some(now_ms);
                    session.cpu_after_us = Some(process_cpu_us());
                    let number = session.number;
                    let step = HotKeysStep::End { number };
                    self.ask_all(asker, Purpose::Ok, Question::HotKeys(step));
                }
                _ => self.reply_null(token),
            },
            HotKeysRequest::Reset if is_on => {
                let text = "ERR hotkey tracking session in progress, stop tracking first";
                self.fail(token, text);
            }
            HotKeysRequest::Reset => {
                let number = session.take().map_or(0, |session| session.number);
                let step = HotKeysStep::Forget { number };
                self.ask_all(asker, Purpose::Ok, Question::HotKeys(step));
            }
            HotKeysRequest::Get => match *session {
                Some(session) => {
                    let number = session.number;
                    let question = Question::HotKeys(HotKeysStep::Tell { number });
                    self.ask_all(asker, Purpose::HotKeys(Box::new(session)), question);
                }
                None => self.reply_null(token),
            },
        }
    }

    fn reply_null(&mut self, token: Token) {
        self.complete(token, |out, session| {
            Reply::new(out, session.protocol).null()
        });
    }

    /// This core's part.
    pub(super) fn hot_keys_step(&mut self, step: HotKeysStep) -> Answer {
        let seed = u64::from(self.id) + 1;
        let hot_keys = self.shard.hot_keys();
        match step {
            HotKeysStep::Begin {
                number,
                options,
                until_ms,
            } => hot_keys.begin_session(number, KeyCosts::new(options, seed), until_ms),
            HotKeysStep::End { number } => hot_keys.end_session(number),
            HotKeysStep::Forget { number } => hot_keys.forget_session(number),
            HotKeysStep::Tell { number } => {
                let told = hot_keys.session_told(number).unwrap_or_default();
                return Answer::KeyCosts(Box::new(told));
            }
        }
        Answer::Done
    }

    /// Core 0, once a tick while its shard has a session: one that is over by now has used so much.
    pub(super) fn note_end_of_hot_keys(&mut self) {
        let now_ms = self.now_ms;
        let mut session = self.mesh.board().watch.hot_keys.lock();
        if let Some(session) = &mut *session
            && !session.is_on(now_ms)
        {
            session.cpu_after_us.get_or_insert_with(process_cpu_us);
        }
    }

    /// Whether requests are looked at for HOTKEYS; none without a session.
    pub(super) fn looks_at_hot_keys(&self) -> Option<bool> {
        let session = self.mesh.board().watch.hot_keys.lock();
        session.as_ref().map(|session| session.is_on(self.now_ms))
    }

    /// All cores have told.
    pub(super) fn reply_hot_keys(
        &mut self,
        token: Token,
        session: &HotKeysSession,
        answers: Vec<Answer>,
    ) {
        let told: Vec<KeyCostsTold> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                Answer::KeyCosts(told) => Some(*told),
                _ => None,
            })
            .collect();
        let now_ms = self.now_ms;
        let text = |reply: &mut Reply<'_>| write_told(reply, session, told, now_ms);
        self.complete(token, |out, session| {
            text(&mut Reply::new(out, session.protocol));
        });
    }
}

/// An array of one map, so that a client of many servers may join what they say.
fn write_told(
    reply: &mut Reply<'_>,
    session: &HotKeysSession,
    told: Vec<KeyCostsTold>,
    now_ms: i64,
) {
    let HotKeysSession { options, .. } = session;
    let end_ms = session.end_ms().map_or(now_ms, |end_ms| end_ms.min(now_ms));
    let sum = |of: fn(&KeyCostsTold) -> u64| told.iter().map(of).sum::<u64>() as i64;
    let by_net = usize::from(options.net);
    reply.array(1);
    reply.map(7 + 3 * usize::from(options.cpu) + 2 * by_net);
    let field = |reply: &mut Reply<'_>, name: &str, number: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    };
    field(reply, "tracking-active", i64::from(session.is_on(now_ms)));
    field(reply, "sample-ratio", options.sample as i64);
    // Without a cluster all slots are looked at.
    reply.bulk(b"selected-slots");
    reply.array(1);
    reply.array(2);
    reply.integer(0);
    reply.integer(LAST_SLOT);
    let us = sum(|told| told.nanoseconds) / 1000;
    field(reply, "all-commands-all-slots-us", us);
    let bytes = sum(|told| told.bytes);
    field(reply, "net-bytes-all-commands-all-slots", bytes);
    field(reply, "collection-start-time-unix-ms", session.began_ms);
    let duration_ms = (end_ms - session.began_ms).max(0);
    field(reply, "collection-duration-ms", duration_ms);
    if options.cpu {
        let (user_us, system_us) = session.cpu_after_us.unwrap_or_else(process_cpu_us);
        let before_us = session.cpu_before_us;
        let ms = |after: u64, before: u64| (after.saturating_sub(before) / 1000) as i64;
        field(reply, "total-cpu-time-user-ms", ms(user_us, before_us.0));
        field(reply, "total-cpu-time-sys-ms", ms(system_us, before_us.1));
    }
    if options.net {
        let bytes = sum(|told| told.sampled_bytes);
        field(reply, "total-net-bytes", bytes);
    }
    let (mut by_time, mut by_bytes) = (Vec::new(), Vec::new());
    for told in told {
        by_time.extend(told.by_nanoseconds);
        by_bytes.extend(told.by_bytes);
    }
    if options.cpu {
        reply.bulk(b"by-cpu-time-us");
        write_keys(reply, by_time, options.count, 1000);
    }
    if options.net {
        reply.bulk(b"by-net-bytes");
        write_keys(reply, by_bytes, options.count, 1);
    }
}

/// The heaviest of all shards' keys, each of which is on one shard only.
fn write_keys(reply: &mut Reply<'_>, mut keys: Vec<(Vec<u8>, u64)>, count: usize, unit: u64) {
    keys.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    keys.truncate(count);
    reply.array(2 * keys.len());
    for (key, weight) in &keys {
        reply.bulk(key);
        reply.integer((weight / unit) as i64);
    }
}
