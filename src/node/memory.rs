//! Memory of clients: how much each has, `maxmemory-clients`, and what the shard is told of it.
//!
//!     a client's buffers have changed -> its account, this core's sum -> the shard, for maxmemory; the board, for the others
//!
//! Promises  while no option asks for it nothing is counted before figures are told, and clients at rest not even then; the
//!           largest client of all cores goes first, and one that said CLIENT NO-EVICT stays.
//! Not here  output limits: `node/lifecycle.rs`; maxmemory itself: `shard/memory.rs`.
//! Tests     tests/server/memory.rs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::acceptor;
use super::connection::Connection;
use super::core::Core;
use super::message::Message;
use super::options::Options;
use super::ring::{self, Token};
use super::unread::Unread;

/// A limit on clients below this would only throw out idle ones.
const CLIENTS_BYTES_MIN: u64 = 128 * 1024;
/// Replies that are sent at once take this much for less than a turn: no client goes for them before a tick finds it so.
const PASSING_BYTES: u64 = 32 * 1024;
/// What the reply that says a limit is set takes, and no client: for this none goes.
const ANSWER_BYTES: u64 = 512;

/// What this core's clients take.
#[derive(Default)]
pub struct ClientsMemory {
    /// Whether anything depends on it.
    is_counted: bool,
    /// The most that all cores' clients may take together; 0 for no limit.
    bytes_max: u64,
    bytes: usize,
    /// What Lua and the texts of scripts take on this core, when that was last looked at.
    scripts_bytes: usize,
    /// How much of that is news of evicted keys that no send has tried to take along: were more keys to go for it, what they
    /// leave would be news as well, and so on to the last key.
    untried_bytes: usize,
    /// Some of it was there at the last tick.
    is_long_untried: bool,
    /// The limit was passed: someone must go before the turn ends.
    is_over: bool,
    /// Or was at a tick: by little is too much as well.
    is_over_at_tick: bool,
    /// The limit is new: by more than an answer is too much.
    is_just_set: bool,
    /// Keys must go, more than one step could do.
    has_more_to_win: bool,
    /// Connections that hold buffers, or may have changed since their memory was told: see [`Core::note_active`].
    active: Vec<Token>,
    /// With more of them, those that have ended are left out.
    active_max: usize,
}

/// See `ClientsMemory::active_max`.
const ACTIVE_MAX_MIN: usize = 64;

impl Options {
    /// `maxmemory-clients` in bytes, a percentage being one of `maxmemory`; 0 for no limit.
    pub fn clients_bytes_max(&self) -> u64 {
        let text = self.held_text("maxmemory-clients");
        let bytes = match text.strip_suffix('%') {
            Some(percent) => {
                let percent: u64 = percent.parse().unwrap_or(0);
                let whole = u128::from(self.maxmemory()) * u128::from(percent) / 100;
                u64::try_from(whole).unwrap_or(u64::MAX)
            }
            None => text.parse().unwrap_or(0),
        };
        match bytes {
            0 => 0,
            bytes => bytes.max(CLIENTS_BYTES_MIN),
        }
    }
}

impl ClientsMemory {
    /// Whether anything depends on it.
    #[inline]
    pub(super) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// A client has been told of keys that were evicted.
    pub(super) fn add_untried(&mut self, connection: &mut Connection) {
        let now = connection.memory_bytes();
        let more = now.saturating_sub(connection.accounted_bytes);
        connection.accounted_bytes += more;
        self.bytes += more;
        connection.untried_bytes += more;
        self.untried_bytes += more;
    }

    /// What such news takes is memory like any other from now on, as far as it is still there.
    fn end_untried(&mut self, connection: &mut Connection) {
        self.untried_bytes -= std::mem::take(&mut connection.untried_bytes);
    }
}

impl Core {
    /// Starts or stops counting, as the options say.
    pub(super) fn apply_memory_options(&mut self) {
        let bytes_max = self.options.clients_bytes_max();
        let is_counted = bytes_max > 0 || self.options.maxmemory() > 0;
        let was_counted = self.clients_memory.is_counted;
        self.clients_memory.bytes_max = bytes_max;
        self.clients_memory.is_counted = is_counted;
        if is_counted != was_counted {
            let tokens: Vec<Token> = self.connections.tokens().collect();
            for token in tokens {
                if let Some(connection) = self.connections.get_mut(token) {
                    self.clients_memory.end_untried(connection);
                }
                self.recount(token);
            }
            self.clients_memory.scripts_bytes = self.scripts_bytes();
            self.tell_clients_bytes();
        }
        if bytes_max > 0 {
            self.clients_memory.is_over = true;
            // Who sets a limit is not told that it holds before it does.
            self.clients_memory.is_just_set = true;
            self.publish_largest_client();
        }
    }

    /// A client's buffers may have changed.
    #[inline]
    pub(super) fn account(&mut self, token: Token) {
        if self.clients_memory.is_counted {
            self.recount(token);
            self.tell_clients_bytes();
            self.keep_to_lease();
        }
    }

    /// The same in the midst of its requests: what waits to be sent is memory to those that follow.
    #[cold]
    pub(super) fn account_output(&mut self, connection: &mut Connection) {
        let now = connection.memory_bytes();
        if self.clients_memory.is_counted && now > connection.accounted_bytes {
            let before = std::mem::replace(&mut connection.accounted_bytes, now);
            self.clients_memory.bytes += now - before;
            self.tell_clients_bytes();
        }
    }

    /// Bytes in use that no key goes for. An evicted key is told to clients and to the log, and a snapshot keeps it until it is
    /// written: if that had more keys go, so would they.
    pub(super) fn uncounted_bytes(&mut self) -> usize {
        self.clients_memory.untried_bytes + self.bytes_for_files()
    }

    /// Has keys go for what clients' buffers, or commands beyond their words, take too much. Clients that are too large go
    /// before keys do.
    #[inline]
    pub(super) fn keep_to_lease(&mut self) {
        if !self.clients_memory.is_over {
            self.clients_memory.has_more_to_win |= self.shard.keep_to_lease();
        }
    }

    /// Whether more is to go than one step could do, since this was last asked.
    pub(super) fn take_more_to_win(&mut self) -> bool {
        std::mem::take(&mut self.clients_memory.has_more_to_win)
    }

    /// A connection is no longer at rest: its memory is looked at before figures are told. Those at rest are not: there may be
    /// thousands of them.
    #[cold]
    pub(super) fn note_active(&mut self, token: Token) {
        let memory = &mut self.clients_memory;
        if memory.active.len() >= memory.active_max.max(ACTIVE_MAX_MIN) {
            (memory.active).retain(|&token| self.connections.is_tenant(token));
            memory.active_max = 2 * memory.active.len();
        }
        memory.active.push(token);
    }

    /// The same of one that may not be at rest.
    #[inline]
    pub(super) fn keep_active(&mut self, token: Token) {
        let connection = self.connections.get_mut(token);
        if connection.is_some_and(|it| !std::mem::replace(&mut it.is_active, true)) {
            self.note_active(token);
        }
    }

    /// Those that were not at rest when their memory was looked at last.
    pub(super) fn active_connections(&self) -> impl Iterator<Item = &Connection> {
        let tokens = self.clients_memory.active.iter();
        tokens.filter_map(|&token| self.connections.get(token))
    }

    /// What clients take, as far as it has been looked at.
    pub(super) fn clients_bytes(&self) -> usize {
        self.clients_memory.bytes
    }

    /// Before figures are told: they are those of a core that keeps to its part of the limit.
    pub(super) fn settle_clients_memory(&mut self) {
        let mut active = std::mem::take(&mut self.clients_memory.active);
        for &token in &active {
            self.recount(token);
        }
        active.retain(|&token| match self.connections.get_mut(token) {
            Some(connection) => {
                connection.is_active = !connection.is_at_rest();
                connection.is_active
            }
            None => self.connections.is_tenant(token),
        });
        self.clients_memory.active = active;
        if self.clients_memory.is_counted {
            self.clients_memory.scripts_bytes = self.scripts_bytes();
            self.tell_clients_bytes();
            self.evict_clients();
            self.keep_to_lease();
            self.shard.tell_all_used();
        }
    }

    /// A client is leaving this core.
    pub(super) fn unaccount(&mut self, connection: &mut Connection) {
        let bytes = std::mem::take(&mut connection.accounted_bytes);
        self.clients_memory.end_untried(connection);
        self.clients_memory.bytes -= bytes;
        if bytes > 0 && self.clients_memory.is_counted {
            self.tell_clients_bytes();
        }
    }

    fn recount(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        // What is closed takes nothing as soon as the kernel lets go of it.
        let bytes = match connection.closed {
            true => 0,
            false => connection.memory_bytes(),
        };
        let before = std::mem::replace(&mut connection.accounted_bytes, bytes);
        let memory = &mut self.clients_memory;
        memory.bytes = memory.bytes + bytes - before;
        // What is no longer there, or as much of other things, was sent.
        let sent = before.saturating_sub(bytes).min(connection.untried_bytes);
        connection.untried_bytes -= sent;
        memory.untried_bytes -= sent;
        if bytes > before && self.clients_memory.bytes_max > 0 && !connection.session.no_evict {
            let largest = &self.mesh.board().cores[usize::from(self.id)].largest_client_bytes;
            if bytes as u64 > largest.load(Ordering::Relaxed) {
                largest.store(bytes as u64, Ordering::Relaxed);
            }
        }
    }

    fn tell_clients_bytes(&mut self) {
        let bytes = self.clients_memory.bytes;
        let of_clients = bytes - self.clients_memory.untried_bytes;
        let counted = of_clients + self.clients_memory.scripts_bytes + ring::BUFFERS_BYTES;
        let uncounted = self.uncounted_bytes();
        self.shard.set_extra_bytes(counted, uncounted);
        let own = &self.mesh.board().cores[usize::from(self.id)].clients_bytes;
        own.store(bytes as u64, Ordering::Relaxed);
        let bytes_max = self.clients_memory.bytes_max;
        if bytes_max > 0 && self.all_clients_bytes() > bytes_max {
            self.clients_memory.is_over = true;
        }
    }

    fn all_clients_bytes(&self) -> u64 {
        let cores = self.mesh.board().cores.iter();
        cores
            .map(|core| core.clients_bytes.load(Ordering::Relaxed))
            .sum()
    }

    /// Closes the largest clients while all together take more than they may; those of other cores are for those cores.
    #[inline]
    pub(super) fn evict_clients(&mut self) {
        if self.clients_memory.is_over {
            self.clients_memory.is_over = false;
            self.evict_largest_clients();
        }
    }

    #[cold]
    fn evict_largest_clients(&mut self) {
        // Who has more output than one client may goes first, and may be all that has to go.
        let tokens: Vec<Token> = self.connections.tokens().collect();
        for token in tokens {
            self.check_output(token);
            self.account(token);
        }
        // Two cores that each take the other for the one with the largest would ask each other without end.
        self.publish_largest_client();
        let is_at_tick = std::mem::take(&mut self.clients_memory.is_over_at_tick);
        let is_just_set = std::mem::take(&mut self.clients_memory.is_just_set);
        let passing = match (is_at_tick, is_just_set) {
            (true, _) => 0,
            (false, true) => ANSWER_BYTES,
            (false, false) => PASSING_BYTES,
        };
        while self.all_clients_bytes() > self.clients_memory.bytes_max + passing {
            let own = self.largest_client();
            let own_bytes = own.map_or(0, |(_, bytes)| bytes);
            if let Some(core) = self.core_with_larger_client(own_bytes as u64) {
                // It may know of nothing yet.
                self.mesh.send(core, Message::ClientsAreTooLarge);
                return;
            }
            let Some((token, _)) = own else {
                return;
            };
            let Some(connection) = self.connections.get(token) else {
                return;
            };
            self.tell_evicted(connection);
            acceptor::cut(&connection.socket);
            self.counters.evicted_clients += 1;
            self.close(token);
            self.recount(token);
            self.tell_clients_bytes();
            self.publish_largest_client();
        }
    }

    /// Another core with a client that takes more, and most of all.
    fn core_with_larger_client(&self, bytes: u64) -> Option<usize> {
        let own = usize::from(self.id);
        let cores = self.mesh.board().cores.iter().enumerate();
        let others = cores.filter(|(core, _)| *core != own).map(|(core, flags)| {
            let largest = flags.largest_client_bytes.load(Ordering::Relaxed);
            (largest, core)
        });
        let (largest, core) = others.max()?;
        (largest > bytes).then_some(core)
    }

    /// Another core has found that clients take too much, and that the largest is here.
    pub(super) fn clients_are_too_large(&mut self) {
        self.clients_memory.is_over = true;
    }

    /// Whether this client alone takes more than all clients may.
    #[inline]
    pub(super) fn is_too_large_a_client(&self, connection: &Connection) -> bool {
        let bytes_max = self.clients_memory.bytes_max;
        bytes_max > 0
            && connection.memory_bytes() as u64 > bytes_max
            && !connection.session.no_evict
    }

    /// Ends such a client before the request that made it so large has run.
    #[cold]
    pub(super) fn evict_before_it_asks(&mut self, connection: &mut Connection) {
        self.tell_evicted(connection);
        connection.held = None;
        connection.input = Unread::default();
        connection.clear_output();
        connection.backlog = Default::default();
        connection.close_after_output = true;
        self.counters.evicted_clients += 1;
    }

    fn largest_client(&self) -> Option<(Token, usize)> {
        let may_go = |connection: &Connection| !connection.closed && !connection.session.no_evict;
        self.connections
            .tokens()
            .filter_map(|token| {
                let connection = self.connections.get(token)?;
                may_go(connection).then_some((token, connection.accounted_bytes))
            })
            .max_by_key(|(_, bytes)| *bytes)
    }

    fn publish_largest_client(&mut self) {
        let bytes = self.largest_client().map_or(0, |(_, bytes)| bytes);
        let largest = &self.mesh.board().cores[usize::from(self.id)].largest_client_bytes;
        largest.store(bytes as u64, Ordering::Relaxed);
    }

    /// Tells what this core uses, each turn: the cores' figures of one moment add up, those of different ticks do not where
    /// memory goes from one to another.
    #[inline]
    pub(super) fn tell_used(&self) {
        if self.clients_memory.is_counted {
            self.shard.tell_used();
        }
    }

    /// Who does not take the news for a whole tick has no more time.
    #[cold]
    fn tick_untried(&mut self) {
        let is_long = self.clients_memory.is_long_untried;
        if is_long {
            let tokens: Vec<Token> = self.connections.tokens().collect();
            for token in tokens {
                if let Some(connection) = self.connections.get_mut(token) {
                    self.clients_memory.end_untried(connection);
                }
            }
            self.tell_clients_bytes();
        }
        self.clients_memory.is_long_untried = !is_long && self.clients_memory.untried_bytes > 0;
    }

    /// Keeps the peak: each core tells what it uses, core 0 adds.
    pub(super) fn tick_peak(&mut self) {
        if !self.clients_memory.is_counted {
            let bytes = self.scripts_bytes() + ring::BUFFERS_BYTES;
            self.shard.set_extra_bytes(bytes, 0);
            self.shard.tell_all_used();
        }
        if self.id == 0 {
            remember_peak(self.shard.ledger().used(), self.now_ms);
        }
    }

    /// What Lua, the texts of scripts and libraries, and who tracks which key take on this core, in bytes; what all cores share is the
    /// first one's.
    fn scripts_bytes(&self) -> usize {
        let shared = match self.id {
            0 => self.mesh.board().functions.figures().code_bytes,
            _ => 0,
        };
        let engine = &self.scripts.engine;
        let of_lua = engine.lua_bytes() + engine.scripts_bytes() + self.functions.lua_bytes();
        of_lua + shared + self.shard.keys.tracking_counts().bytes
    }

    /// Scripts or libraries have come or gone, or may have grown.
    pub(super) fn count_scripts(&mut self) {
        if self.clients_memory.is_counted {
            let bytes = self.scripts_bytes();
            if std::mem::replace(&mut self.clients_memory.scripts_bytes, bytes) != bytes {
                self.tell_clients_bytes();
            }
        }
    }

    /// What is due each tick: another core may have found that this one's largest client must go.
    pub(super) fn tick_clients_memory(&mut self) {
        self.count_scripts();
        if self.clients_memory.bytes_max > 0 {
            self.publish_largest_client();
            self.clients_memory.is_over = true;
            self.clients_memory.is_over_at_tick = true;
        }
        if self.clients_memory.untried_bytes > 0 || self.clients_memory.is_long_untried {
            self.tick_untried();
        }
    }
}

/// The most that all cores have used, as far as ticks and INFO have looked.
pub(super) fn remember_peak(used: u64, now_ms: i64) -> Peak {
    static PEAK: AtomicU64 = AtomicU64::new(0);
    static TIME_S: AtomicI64 = AtomicI64::new(0);
    let before = PEAK.fetch_max(used, Ordering::Relaxed);
    if used > before {
        TIME_S.store(now_ms / 1000, Ordering::Relaxed);
    }
    Peak {
        bytes: before.max(used),
        time_s: TIME_S.load(Ordering::Relaxed),
    }
}

/// The most memory that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Peak {
    pub(super) bytes: u64,
    /// When, in seconds since the epoch.
    pub(super) time_s: i64,
}
