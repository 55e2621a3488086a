//! Watching: what this core notes of its own requests, for the slow log, the latency monitor and those that monitor.
//!
//!     count -> too slow? -> noted -> after the request, its words and its client at hand: into the process's logs
//!     another core ran it -> its words come home with the reply
//!
//! Promises  with nothing slow and nobody monitoring a request pays one comparison and one branch; an entry is in the log
//!           before its client has the reply.
//! Not here  the logs: `node/slowlog.rs`, `node/latency.rs`, `node/monitor.rs`.
//! Tests     tests/server/watching.rs.

use super::connection::Connection;
use super::core::Core;
use super::latency::{LatencyMonitor, Surroundings};
use super::message::Message;
use super::monitor::MonitorFeed;
use super::ring::Token;
use super::slowlog::{SlowEntry, SlowLog};
use crate::commands::redact::logged_words;
use crate::commands::slowlog::{LatencyRequest, SlowlogRequest};
use crate::commands::{Entry, Flags};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::Origin;
use crate::router::message::SlowCall;

/// From where on a call is noted, of the two options that say so.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Nanoseconds; calls below concern nobody.
    pub any_ns: u64,
    /// Microseconds; none: no slow log.
    slowlog_us: Option<u64>,
    slowlog_len_max: usize,
    /// Milliseconds; 0: no monitor.
    latency_ms: u64,
}

impl Thresholds {
    /// What the options say.
    pub fn of(options: &super::Options) -> Self {
        let slowlog_us = u64::try_from(options.held_number("slowlog-log-slower-than")).ok();
        let latency_ms =
            u64::try_from(options.held_number("latency-monitor-threshold")).unwrap_or(0);
        let slowlog_ns = slowlog_us.map_or(u64::MAX, |us| us.saturating_mul(1000));
        let latency_ns = match latency_ms {
            0 => u64::MAX,
            ms => ms.saturating_mul(1_000_000),
        };
        Self {
            any_ns: slowlog_ns.min(latency_ns),
            slowlog_us,
            slowlog_len_max: usize::try_from(options.held_number("slowlog-max-len")).unwrap_or(0),
            latency_ms,
        }
    }
}

/// What all cores note together.
#[derive(Default)]
pub struct Watch {
    /// Slow calls.
    pub slowlog: SlowLog,
    /// Slow events.
    pub latency: LatencyMonitor,
    /// Who monitors.
    pub monitors: MonitorFeed,
}

/// Nanoseconds since some moment, for shards.
pub fn nanoseconds() -> u64 {
    use std::sync::OnceLock;
    static CLOCK: OnceLock<quanta::Clock> = OnceLock::new();
    let clock = CLOCK.get_or_init(quanta::Clock::new);
    clock.delta_as_nanos(0, clock.raw())
}

impl Core {
    /// Notes a request of `connection` that was found slow while it ran, and tells monitors of it.
    #[cold]
    pub(super) fn note_request(&mut self, connection: &Connection, entry: &Entry, args: &Args<'_>) {
        // Scripts are told before what they call, by `node/script.rs`.
        if self.monitored && !entry.command.flags.has(Flags::SKIP_MONITOR) {
            self.tell_of_request(connection, entry, args);
        }
        if let Some((entry, took_ns)) = self.slow.take() {
            self.note_slow(connection, entry, took_ns, logged_words(entry, args));
        }
    }

    /// Notes a call of a connection that is in its place, if it was slow.
    pub(super) fn note_if_slow(
        &mut self,
        token: Token,
        entry: &'static Entry,
        took_ns: u64,
        words: Option<OwnedArgs>,
    ) {
        if took_ns < self.thresholds.any_ns {
            return;
        }
        let Some(words) = words else { return };
        match self.connections.borrow(token) {
            Some(connection) => {
                self.note_slow(&connection, entry, took_ns, words);
                self.connections.restore(token, connection);
            }
            None => self.note(entry, took_ns, words, String::new(), Vec::new()),
        }
    }

    /// Lets another core note the call of a connection of its own, if it was slow.
    pub(super) fn send_slow(
        &mut self,
        origin: Origin,
        entry: &'static Entry,
        took_ns: u64,
        words: Option<OwnedArgs>,
    ) {
        if took_ns < self.thresholds.any_ns {
            return;
        }
        let Some(words) = words else { return };
        let token = Token {
            index: origin.connection,
            generation: origin.generation,
        };
        let call = Box::new(SlowCall {
            entry,
            took_ns,
            words,
        });
        let message = Message::Slow { token, call };
        self.mesh.send(usize::from(origin.core), message);
    }

    /// Notes calls that ran on other cores.
    pub(super) fn note_calls(&mut self, token: Token, calls: Vec<SlowCall>) {
        for call in calls {
            self.note_if_slow(token, call.entry, call.took_ns, Some(call.words));
        }
    }

    pub(super) fn note_slow(
        &mut self,
        connection: &Connection,
        entry: &'static Entry,
        took_ns: u64,
        words: OwnedArgs,
    ) {
        let address = connection.peer.address.clone();
        let name = connection.session.name.clone();
        self.note(entry, took_ns, words, address, name);
    }

    fn note(
        &mut self,
        entry: &'static Entry,
        took_ns: u64,
        words: OwnedArgs,
        address: String,
        name: Vec<u8>,
    ) {
        let at_s = self.now_ms / 1000;
        let flags = entry.command.flags;
        let Thresholds {
            slowlog_us,
            slowlog_len_max,
            latency_ms,
            ..
        } = self.thresholds;
        let watch = &self.mesh.board().watch;
        let took_ms = took_ns / 1_000_000;
        if latency_ms > 0 && took_ms >= latency_ms {
            let event = match flags.has(Flags::FAST) {
                true => "fast-command",
                false => "command",
            };
            watch.latency.note(event, at_s, took_ms);
        }
        let took_us = took_ns / 1000;
        if slowlog_us.is_some_and(|us| took_us >= us) && !flags.has(Flags::SKIP_SLOWLOG) {
            let entry = SlowEntry {
                at_s,
                took_us,
                words,
                address,
                name,
            };
            watch.slowlog.push(entry, slowlog_len_max);
        }
    }

    /// Notes an event that is no command, if it took `latency-monitor-threshold` or longer.
    #[inline]
    pub(super) fn note_event(&mut self, event: &'static str, took_ns: u64) {
        let threshold_ms = self.thresholds.latency_ms;
        let took_ms = took_ns / 1_000_000;
        if threshold_ms > 0 && took_ms >= threshold_ms {
            let at_s = self.now_ms / 1000;
            self.mesh.board().watch.latency.note(event, at_s, took_ms);
        }
    }

    /// Words to keep of a request whose end is known later, where anybody would want them.
    pub(super) fn words_to_keep(
        &self,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<OwnedArgs> {
        (self.thresholds.any_ns != u64::MAX).then(|| logged_words(entry, args))
    }

    /// SLOWLOG. As in Redis, a request's own entry is made after it.
    pub(super) fn slowlog(&mut self, token: Token, request: &SlowlogRequest) {
        let board = self.mesh.board().clone();
        let slowlog = &board.watch.slowlog;
        self.answer_now(token, |reply| match request {
            SlowlogRequest::Get(count) => slowlog.write(*count, reply),
            SlowlogRequest::Len => reply.integer(slowlog.len() as i64),
            SlowlogRequest::Reset => {
                slowlog.reset();
                reply.ok();
            }
        });
    }

    /// LATENCY, all but HISTOGRAM.
    pub(super) fn latency(&mut self, token: Token, request: &LatencyRequest) {
        let board = self.mesh.board().clone();
        let monitor = &board.watch.latency;
        let now_s = self.now_ms / 1000;
        let around = Surroundings {
            now_s,
            threshold_ms: self.thresholds.latency_ms,
            slowlog_us: self.thresholds.slowlog_us,
            has_huge_pages: super::process::has_huge_pages(),
        };
        if let LatencyRequest::Graph(event) = request
            && monitor.graph(event, now_s).is_none()
        {
            let event = String::from_utf8_lossy(event);
            return self.fail(
                token,
                &format!("ERR No samples available for event '{event}'"),
            );
        }
        self.answer_now(token, |reply| match request {
            LatencyRequest::Doctor => reply.verbatim(b"txt", monitor.doctor(&around).as_bytes()),
            LatencyRequest::Graph(event) => {
                let graph = monitor.graph(event, now_s).unwrap_or_default();
                reply.verbatim(b"txt", graph.as_bytes());
            }
            LatencyRequest::History(event) => monitor.write_history(event, reply),
            LatencyRequest::Latest => monitor.write_latest(reply),
            LatencyRequest::Reset(events) => reply.integer(monitor.reset(events) as i64),
            // Every core is asked for those.
            LatencyRequest::Histogram(_) => reply.null(),
        });
    }

    /// Makes the reply first, then ends the request.
    fn answer_now(&mut self, token: Token, write: impl FnOnce(&mut Reply<'_>)) {
        let connection = self.connections.get_mut(token);
        let protocol =
            connection.map_or_else(Default::default, |connection| connection.session.protocol);
        let mut bytes = Vec::new();
        write(&mut Reply::new(&mut bytes, protocol));
        self.complete(token, |out, _| out.extend_from_slice(&bytes));
    }
}
