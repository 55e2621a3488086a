//! Watching: what this core notes of its own requests, for the slow log, the latency monitor and those that monitor.
//!
//!     count -> too slow, or too large? -> noted -> after the request, its words and its client at hand: into the process's logs
//!     another core ran it -> its words come home with the reply
//!
//! Promises  with nothing slow or large and nobody monitoring a request pays three comparisons and one branch; an entry is in the log
//!           before its client has the reply.
//! Not here  the logs: `node/slowlog.rs`, `node/latency.rs`, `node/monitor.rs`.
//! Tests     tests/server/watching.rs.

use super::connection::Connection;
use super::core::Core;
use super::figures::CoreFigures;
use super::hot_keys::HotKeysBoard;
use super::http::{HotRow, SlowRow};
use super::latency::{LatencyMonitor, Surroundings};
use super::message::Message;
use super::monitor::MonitorFeed;
use super::ring::Token;
use super::slowlog::{CommandLog, LoggedCall};
use crate::base::ticks::TickClock;
use crate::commands::commandlog::Log;
use crate::commands::redact::logged_words;
use crate::commands::slowlog::{LatencyRequest, SlowlogRequest};
use crate::commands::table::Run;
use crate::commands::{Entry, Flags};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::Origin;
use crate::router::calls::SlowCall;
use crate::shard::hot_keys::HotKey;

/// Hot keys that the page shows.
const HOT_ROWS: usize = 10;
/// Slow calls that the page shows.
const SLOW_ROWS: usize = 20;

/// From where on a call is noted, of the options that say so.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Nanoseconds; calls below concern nobody.
    pub any_ns: u64,
    /// Bytes of a request that are many.
    pub request_bytes: u64,
    /// Bytes of a reply that are many.
    pub reply_bytes: u64,
    /// Microseconds; none: no slow log.
    slowlog_us: Option<u64>,
    slowlog_len_max: usize,
    requests_len_max: usize,
    replies_len_max: usize,
    /// Milliseconds; 0: no monitor.
    latency_ms: u64,
}

impl Thresholds {
    /// What the options say.
    pub fn of(options: &super::Options) -> Self {
        let number = |name| u64::try_from(options.held_number(name));
        let length = |name| usize::try_from(options.held_number(name)).unwrap_or(0);
        let slowlog_us = number("slowlog-log-slower-than").ok();
        let latency_ms = number("latency-monitor-threshold").unwrap_or(0);
        let slowlog_ns = slowlog_us.map_or(u64::MAX, |us| us.saturating_mul(1000));
        let latency_ns = match latency_ms {
            0 => u64::MAX,
            ms => ms.saturating_mul(1_000_000),
        };
        Self {
            any_ns: slowlog_ns.min(latency_ns),
            // -1: never.
            request_bytes: number("commandlog-request-larger-than").unwrap_or(u64::MAX),
            reply_bytes: number("commandlog-reply-larger-than").unwrap_or(u64::MAX),
            slowlog_us,
            slowlog_len_max: length("slowlog-max-len"),
            requests_len_max: length("commandlog-large-request-max-len"),
            replies_len_max: length("commandlog-large-reply-max-len"),
            latency_ms,
        }
    }

    /// Whether a call concerns anybody.
    #[inline]
    pub fn concern(&self, took_ns: u64, reply_bytes: usize) -> bool {
        took_ns >= self.any_ns || reply_bytes as u64 >= self.reply_bytes
    }
}

/// What has just been found of a request.
#[derive(Clone, Copy)]
pub struct Noted {
    entry: &'static Entry,
    costs: Costs,
}

impl Noted {
    /// It took so long.
    pub fn slow(entry: &'static Entry, took_ns: u64) -> Self {
        let costs = Costs {
            took_ns: Some(took_ns),
            ..Costs::default()
        };
        Self { entry, costs }
    }

    /// Its reply is so large; it may be slow, too.
    #[cold]
    pub fn large(entry: &'static Entry, reply_bytes: usize, slow: Option<Self>) -> Self {
        let costs = Costs {
            reply_bytes: Some(reply_bytes as u64),
            ..slow.map_or_else(Costs::default, |slow| slow.costs)
        };
        Self { entry, costs }
    }
}

/// What a call has cost, as far as it is known.
#[derive(Clone, Copy, Default)]
pub struct Costs {
    took_ns: Option<u64>,
    request_bytes: Option<u64>,
    reply_bytes: Option<u64>,
}

impl Costs {
    /// Those of a call that ran elsewhere.
    pub fn of(call: &SlowCall) -> Self {
        Self {
            took_ns: Some(call.took_ns),
            request_bytes: None,
            reply_bytes: Some(call.reply_bytes),
        }
    }
}

/// What all cores note together.
#[derive(Default)]
pub struct Watch {
    /// Slow calls.
    pub slowlog: CommandLog,
    /// Calls with large requests.
    pub large_requests: CommandLog,
    /// Calls with large replies.
    pub large_replies: CommandLog,
    /// Slow events.
    pub latency: LatencyMonitor,
    /// Who monitors.
    pub monitors: MonitorFeed,
    /// The latest session of HOTKEYS.
    pub hot_keys: HotKeysBoard,
}

impl Watch {
    /// Answers what is asked of a log.
    pub fn answer(&self, log: Log, request: &SlowlogRequest, reply: &mut Reply<'_>) {
        let log = match log {
            Log::Slow => &self.slowlog,
            Log::LargeRequest => &self.large_requests,
            Log::LargeReply => &self.large_replies,
        };
        match request {
            SlowlogRequest::Get(count) => log.write(*count, reply),
            SlowlogRequest::Len => reply.integer(log.len() as i64),
            SlowlogRequest::Reset => {
                log.reset();
                reply.ok();
            }
        }
    }
}

/// Nanoseconds since some moment, for shards.
pub fn nanoseconds() -> u64 {
    use std::sync::OnceLock;
    static CLOCK: OnceLock<TickClock> = OnceLock::new();
    let clock = CLOCK.get_or_init(TickClock::new);
    clock.delta_as_nanos(0, clock.raw())
}

impl Core {
    /// Notes a request of `connection` that was found slow or large, and tells monitors of it.
    #[cold]
    pub(super) fn note_request(
        &mut self,
        connection: &Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) {
        // Scripts are told before what they call, by `node/script.rs`; EXEC behind what its scripts call, by `node/block_exec.rs`.
        let is_told_later = connection.runs_block && matches!(entry.command.run, Run::Block(_));
        if self.monitored && !entry.command.flags.has(Flags::SKIP_MONITOR) && !is_told_later {
            self.tell_of_request(connection, entry, args);
        }
        let request_bytes = args.bytes().len() as u64;
        let is_large = request_bytes >= self.thresholds.request_bytes;
        let noted = self.slow.take();
        if noted.is_none() && !is_large {
            return;
        }
        let mut noted = noted.unwrap_or(Noted {
            entry,
            costs: Costs::default(),
        });
        noted.costs.request_bytes = is_large.then_some(request_bytes);
        let words = logged_words(entry, args);
        self.note_call(connection, noted.entry, noted.costs, words);
    }

    /// Notes a call of a connection that is in its place, if anybody wants to know of it.
    pub(super) fn note_if_worth(
        &mut self,
        token: Token,
        entry: &'static Entry,
        took_ns: u64,
        reply_bytes: usize,
        words: Option<OwnedArgs>,
    ) {
        if !self.thresholds.concern(took_ns, reply_bytes) {
            return;
        }
        let Some(words) = words else { return };
        let costs = Costs {
            took_ns: Some(took_ns),
            request_bytes: None,
            reply_bytes: Some(reply_bytes as u64),
        };
        match self.connections.borrow(token) {
            Some(connection) => {
                self.note_call(&connection, entry, costs, words);
                self.connections.restore(token, connection);
            }
            None => self.note(entry, costs, words, String::new(), Vec::new()),
        }
    }

    /// Lets another core note the call of a connection of its own, if anybody wants to know of it.
    pub(super) fn send_slow(
        &mut self,
        origin: Origin,
        entry: &'static Entry,
        took_ns: u64,
        reply_bytes: usize,
        words: Option<OwnedArgs>,
    ) {
        if !self.thresholds.concern(took_ns, reply_bytes) {
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
            reply_bytes: reply_bytes as u64,
            words,
        });
        let message = Message::Slow { token, call };
        self.mesh.send(usize::from(origin.core), message);
    }

    /// Notes calls that ran on other cores.
    pub(super) fn note_calls(&mut self, token: Token, calls: Vec<SlowCall>) {
        for call in calls {
            let bytes = usize::try_from(call.reply_bytes).unwrap_or(usize::MAX);
            self.note_if_worth(token, call.entry, call.took_ns, bytes, Some(call.words));
        }
    }

    /// Notes a slow call of a script. It is told without an address and a name, as in Redis: those are in the script's own entry.
    pub(super) fn note_call_of_script(&mut self, call: SlowCall) {
        let costs = Costs {
            took_ns: Some(call.took_ns),
            ..Costs::default()
        };
        self.note(call.entry, costs, call.words, String::new(), Vec::new());
    }

    pub(super) fn note_call(
        &mut self,
        connection: &Connection,
        entry: &'static Entry,
        costs: Costs,
        words: OwnedArgs,
    ) {
        let address = connection.peer.address.clone();
        let name = connection.session.name.clone();
        self.note(entry, costs, words, address, name);
    }

    fn note(
        &mut self,
        entry: &'static Entry,
        costs: Costs,
        words: OwnedArgs,
        address: String,
        name: Vec<u8>,
    ) {
        let at_s = self.now_ms / 1000;
        let flags = entry.command.flags;
        let thresholds = self.thresholds;
        let watch = &self.mesh.board().watch;
        if let Some(took_ms) = costs.took_ns.map(|took_ns| took_ns / 1_000_000)
            && thresholds.latency_ms > 0
            && took_ms >= thresholds.latency_ms
        {
            let event = match flags.has(Flags::FAST) {
                true => "fast-command",
                false => "command",
            };
            watch.latency.note(event, at_s, took_ms);
        }
        if flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let enter = |log: &CommandLog, amount: Option<u64>, min: u64, len_max: usize| {
            if let Some(amount) = amount.filter(|&amount| amount >= min) {
                let call = LoggedCall {
                    at_s,
                    amount,
                    words: words.clone(),
                    address: address.clone(),
                    name: name.clone(),
                };
                log.push(call, len_max);
            }
        };
        if let Some(min_us) = thresholds.slowlog_us {
            let took_us = costs.took_ns.map(|took_ns| took_ns / 1000);
            enter(&watch.slowlog, took_us, min_us, thresholds.slowlog_len_max);
        }
        let (large, len_max) = (thresholds.request_bytes, thresholds.requests_len_max);
        enter(&watch.large_requests, costs.request_bytes, large, len_max);
        let (large, len_max) = (thresholds.reply_bytes, thresholds.replies_len_max);
        enter(&watch.large_replies, costs.reply_bytes, large, len_max);
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

    /// Says in the log that errors are no longer counted by name, and which names there were; at the end of each turn.
    #[inline]
    pub(super) fn tell_of_errors_given_up(&mut self) {
        if self.shard.error_counts().has_given_up() {
            self.tell_error_codes();
        }
    }

    #[cold]
    fn tell_error_codes(&mut self) {
        if let Some(codes) = self.shard.figures_mut().errors_mut().take_given_up() {
            tracing::warn!(
                "Errorstats stopped adding new errors: there are too many, as where a script makes them up; CONFIG RESETSTAT \
                 begins again"
            );
            tracing::warn!("Current errors code list: {}", codes.join(", "));
            self.shard.keys.note_freed_lazily(codes.len(), 0);
        }
    }

    /// Words to keep of a request whose end is known later, where anybody would want them.
    pub(super) fn words_to_keep(
        &self,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<OwnedArgs> {
        self.keeps_words().then(|| logged_words(entry, args))
    }

    /// Whether anybody would want the words of a request whose end is known later.
    pub(super) fn keeps_words(&self) -> bool {
        self.thresholds.any_ns != u64::MAX || self.thresholds.reply_bytes != u64::MAX
    }

    /// SLOWLOG, COMMANDLOG. As in Redis, a request's own entry is made after it.
    pub(super) fn command_log(&mut self, token: Token, log: Log, request: &SlowlogRequest) {
        let board = self.mesh.board().clone();
        self.answer_now(token, |reply| board.watch.answer(log, request, reply));
    }

    /// The newest entries of the slow log, for the page. With `hide-user-data-from-log` of their words the first alone.
    pub(super) fn latest_slow_calls(&self) -> Vec<SlowRow> {
        let hides = self.options.held_text("hide-user-data-from-log") == "yes";
        let mut rows = Vec::new();
        let log = &self.mesh.board().watch.slowlog;
        log.visit(SLOW_ROWS, |_, call| {
            let args = call.words.as_args();
            let shown = if hides { 1 } else { args.len() };
            let words = args.iter_from(0).take(shown);
            let mut words: Vec<String> = words
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            if shown < args.len() {
                words.push("…".to_string());
            }
            rows.push(SlowRow {
                at_s: call.at_s,
                took_us: call.amount,
                words: words.join(" "),
                client: call.address.clone(),
            });
        });
        rows
    }

    /// The keys that most requests are for, over all cores, for the page; with `hide-user-data-from-log` none.
    pub(super) fn hottest_keys(&self, cores: &[CoreFigures]) -> Vec<HotRow> {
        if self.options.held_text("hide-user-data-from-log") == "yes" {
            return Vec::new();
        }
        // Each core looks at the same share of its requests.
        let seen_count: u64 = cores.iter().map(|core| core.hot.0).sum();
        let mut hottest: Vec<_> = cores.iter().flat_map(|core| &core.hot.1).collect();
        hottest.sort_by_key(|hot| std::cmp::Reverse(hot.count));
        let row = |hot: &&HotKey| HotRow {
            db: hot.db,
            key: String::from_utf8_lossy(&hot.key).into_owned(),
            share: hot.count as f64 / seen_count.max(1) as f64,
        };
        hottest.iter().take(HOT_ROWS).map(row).collect()
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
