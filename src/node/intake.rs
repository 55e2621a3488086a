//! Bytes of a connection to requests.
//!
//!     on_bytes -> feed -> process -> parse a window ahead -> dispatch one by one
//!                   \-> a large request: into a buffer of its own, then dispatch
//!
//! Promises  a request is executed in the buffer it was received in; one that must wait is left unread and parsed again;
//!           memory grows with bytes that came, not with bytes announced.
//! Not here  where a request runs: `node/dispatch.rs`.

use super::client_log;
use super::connection::{Blocked, Connection, Large};
use super::core::{Core, RingWork, unread_bytes_max};
use super::dispatch::{Dispatched, OUTPUT_LOOK_BYTES};
use super::ring::Token;
use super::settings::protection;
use super::unread::Unread;
use crate::base::shared_bytes::SharedBytes;
use crate::commands::Entry;
use crate::commands::table::{KeysHandler, table};
use crate::ds::growing_buffer::GrowingBuffer;
use crate::resp::args::OwnedArgs;
use crate::resp::parse::{Limits, ParseState, Parsed, ProtocolError, parse};
use crate::resp::{Args, Head, Reply, Span};

/// A request that still needs more than this gets a buffer of its own, which can become a value without a copy.
const LARGE_REQUEST_BYTES: usize = 32 * 1024;

/// After a large request so many receives are armed one by one, until one of them brings another large request.
const RECEIVES_ONCE_MAX: u8 = 16;

/// A buffer for decrypted bytes that is larger is freed instead of kept.
const SPARE_PLAIN_BYTES_MAX: usize = 256 * 1024;

/// `client-query-buffer-limit` of a client that has not authenticated, at most.
const STRANGER_QUERY_BYTES_MAX: usize = 1 << 20;

/// How many requests of a pipeline are parsed before the first of them runs.
const WINDOW_REQUESTS_MAX: usize = 32;

/// A turn that has lasted so long goes on with no connection for more than one window of requests; nor does one that has taken
/// so long of it go on with that window.
pub(super) const PART_NS: u64 = 2_000_000;

/// And none goes on beyond so much of its replies.
const PART_BYTES: usize = 1 << 20;

/// Nor beyond a sixteenth of either in a turn that has lasted so long: there may be a connection for each buffer of bytes that came.
const PART_OF_LONG_SHIFT: u32 = 4;

/// Lists of more words than this are freed at the next tick.
pub(super) const SPANS_KEPT_MAX: usize = 8 * 1024;

/// Requests parsed ahead; kept from call to call for its allocations.
#[derive(Default)]
pub struct Window {
    requests: Vec<ParsedRequest>,
    count: usize,
}

/// How the last request began that was not like the one before it, and what runs it.
#[derive(Default)]
pub(super) struct KnownHead {
    head: Head,
    plain: Option<Plain>,
}

/// A row of the table whose requests may run in the lane, and its handler.
pub(super) type Plain = (&'static Entry, KeysHandler);

impl Window {
    /// Of its requests' keys; of a request of one word, that of another.
    fn hashes(&self) -> impl Iterator<Item = u64> + Clone {
        self.requests[..self.count].iter().map(|it| it.hash)
    }

    /// Gives back what requests of very many words have left behind.
    pub(super) fn trim(&mut self) {
        for request in &mut self.requests {
            if request.spans.capacity() > SPANS_KEPT_MAX {
                request.spans = Vec::new();
            }
        }
    }
}

#[derive(Default)]
struct ParsedRequest {
    /// Where it lies in the bytes that were parsed.
    start: usize,
    end: usize,
    spans: Vec<Span>,
    /// Of word 1, which most commands have as their key.
    hash: u64,
    /// An inline request with quotes has words of its own.
    inline: Option<OwnedArgs>,
    /// What runs it in the lane, if anything may.
    plain: Option<Plain>,
}

/// What may run a request in the lane.
fn plain_of(bytes: &[u8], spans: &[Span]) -> Option<Plain> {
    let words = Args::new(bytes, spans);
    let entry = table().find(words.get(0))?;
    (entry.takes(words.len())).then_some((entry, entry.plain?))
}

/// Why a window ended.
enum WindowEnd {
    /// It is full.
    Full,
    /// Everything up to `end` is done with: the bytes are at their end, or an empty request was skipped.
    Skipped { end: usize },
    /// The next request has not arrived whole.
    Incomplete,
    /// The next request cannot be one.
    Malformed { at: usize, error: ProtocolError },
}

impl Core {
    /// A connection's bytes have arrived.
    pub fn on_bytes(&mut self, token: Token, bytes: &[u8]) {
        let Some(mut connection) = self.begin_input(token, bytes.len()) else {
            return;
        };
        let mut has_ended = false;
        if self.listens_to(&connection) {
            self.lend_buffer(&mut connection);
            if connection.tls.is_some() && !connection.is_in_kernel() {
                has_ended = self.feed_sealed(token, &mut connection, bytes);
            } else {
                self.feed(token, &mut connection, bytes);
            }
            self.check_input(token, &mut connection);
            self.after(token, &mut connection);
        }
        self.end_input(token, connection, has_ended);
    }

    /// A connection's bytes have arrived behind those that `large` had: more of a large request, and nothing else.
    pub fn on_gathered(&mut self, token: Token, large: Box<GrowingBuffer>, bytes_count: usize) {
        let Some(mut connection) = self.begin_input(token, bytes_count) else {
            return;
        };
        // Without a place the request was given up meanwhile.
        let is_awaited = connection.large.take().is_some();
        if is_awaited && self.listens_to(&connection) {
            self.lend_buffer(&mut connection);
            self.large_has_grown(token, &mut connection, large, bytes_count);
            self.check_input(token, &mut connection);
            self.after(token, &mut connection);
        }
        self.end_input(token, connection, false);
    }

    /// Takes a connection out to read what has arrived.
    #[inline]
    fn begin_input(&mut self, token: Token, bytes_count: usize) -> Option<Box<Connection>> {
        // What others have asked for must not cost keys that its clients can pay for.
        self.evict_clients();
        let mut connection = self.connections.borrow(token)?;
        self.counters.bytes_in += bytes_count as u64;
        connection.bytes_in += bytes_count as u64;
        self.pace.count(connection.last_active_ms);
        connection.last_active_ms = self.now_ms;
        Some(connection)
    }

    #[inline]
    fn listens_to(&self, connection: &Connection) -> bool {
        !self.stopping && !connection.closed && !connection.close_after_output
    }

    #[inline]
    fn end_input(&mut self, token: Token, connection: Box<Connection>, has_ended: bool) {
        // It has sent too much behind what it waits for: that may never come.
        let waits_in_vain = connection.close_after_output && connection.waits_at_length();
        self.restore(token, connection);
        if waits_in_vain {
            self.close(token);
        } else if has_ended {
            self.input_ended(token, 0);
        }
    }

    /// Bytes of a connection with TLS; whether the client has said that it sends nothing more.
    fn feed_sealed(&mut self, token: Token, connection: &mut Connection, bytes: &[u8]) -> bool {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let Some(tls) = &mut connection.tls else {
            return false;
        };
        let opened = tls.open(bytes, &mut plain);
        let has_ended = tls.has_ended();
        let mut is_turned_away = false;
        if tls.take_handshake() {
            let certificate = tls.certificate();
            is_turned_away = self.turn_away_protected(connection);
            self.counters.connections_received += u64::from(!is_turned_away);
            if let Some(certificate) = certificate.filter(|_| !is_turned_away) {
                self.sign_in_by_certificate(connection, &certificate);
            }
        }
        match opened {
            Ok(()) if plain.is_empty() || is_turned_away => {}
            Ok(()) => self.feed(token, connection, &plain),
            Err(fault) => {
                match fault.is_early() {
                    true => client_log::tell_not_accepted(&connection.peer, &fault),
                    false => client_log::tell_unreadable(&connection.peer, &fault),
                }
                connection.clear_output();
                connection.close_after_output = true;
                if fault.is_of_another_protocol() {
                    // It would take an alert for a reply.
                    connection.tls = None;
                }
            }
        }
        if plain.capacity() <= SPARE_PLAIN_BYTES_MAX {
            self.plain = plain;
        }
        has_ended
    }

    /// Protected mode, as it is told to a client that can read it only now.
    #[cold]
    fn turn_away_protected(&mut self, connection: &mut Connection) -> bool {
        let Some(reason) = protection(&self.options, &self.users, &connection.peer) else {
            return false;
        };
        connection.output.extend_from_slice(reason.as_bytes());
        connection.close_after_output = true;
        self.counters.connections_rejected += 1;
        true
    }

    /// A connection that had to wait may go on.
    pub fn resume(&mut self, token: Token) {
        let Some(mut connection) = self.connections.borrow(token) else {
            return;
        };
        let goes_on = !self.stopping && !connection.closed && !connection.close_after_output;
        if connection.blocked == Some(Blocked::UntilTold) {
            connection.blocked = None; // `settle` has told all there was.
        }
        if connection.blocked.is_none() && goes_on {
            self.lend_buffer(&mut connection);
            if connection.held.is_some() {
                self.process_held(token, &mut connection);
            }
            if connection.held.is_none() && !connection.input.is_empty() {
                let input = std::mem::take(&mut connection.input);
                self.feed_input(token, &mut connection, input);
            }
            // What is left of an unblocked connection's input is a part of one request: it needs the rest.
            let reads_on = connection.blocked.is_none() && connection.held.is_none()
                || connection.waits_at_length()
                || connection.input.len() < unread_bytes_max(&connection.session) / 2;
            if connection.stop_receiving && reads_on {
                connection.stop_receiving = false;
                self.ring_work.push(RingWork::Receive(token));
            }
            self.after(token, &mut connection);
        }
        let blocked = connection.blocked.filter(|_| connection.ended);
        self.restore(token, connection);
        match blocked {
            // It had gone before this could begin.
            Some(Blocked::OnKeys) => self.end_wait_of_ended(token),
            Some(Blocked::Paused) if self.pause.is_some() => self.close_behind_replies(token),
            _ => {}
        }
    }

    /// Lets connections go on that waited for a link to drain.
    pub fn resume_congested(&mut self) {
        if self.congested.is_empty() || self.mesh.is_congested() || self.keeps_writes_waiting() {
            return;
        }
        for token in std::mem::take(&mut self.congested) {
            self.resume_if(token, Blocked::Congested);
        }
    }

    /// Lets a connection go on that waits for this.
    pub(super) fn resume_if(&mut self, token: Token, blocked: Blocked) {
        if let Some(connection) = self.connections.get_mut(token)
            && connection.blocked == Some(blocked)
        {
            connection.blocked = None;
            self.resumes.push(token);
        }
    }

    fn restore(&mut self, token: Token, mut connection: Box<Connection>) {
        let look = connection.output_bytes() > OUTPUT_LOOK_BYTES;
        let was_active = std::mem::replace(&mut connection.is_active, true);
        self.connections.restore(token, connection);
        if !was_active {
            self.note_active(token);
        }
        self.account(token);
        if look {
            self.check_output(token);
        }
    }

    fn lend_buffer(&mut self, connection: &mut Connection) {
        if connection.output.capacity() == 0 {
            connection.output = self.spare_buffer();
        }
    }

    /// What holds after requests have run: output is marked, an unused buffer goes back.
    fn after(&mut self, token: Token, connection: &mut Connection) {
        let ends = connection.close_after_output || connection.has_said_all();
        if connection.output.is_empty() && !ends && !connection.tls_wants_write() {
            let buffer = std::mem::take(&mut connection.output);
            self.keep_buffer(buffer);
        } else if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(token);
        }
    }

    /// Bounds what lies unread of a client whose next request is soon to be read: it waits in its socket.
    fn check_input(&mut self, token: Token, connection: &mut Connection) {
        if connection.blocked.is_some()
            && !connection.waits_at_length()
            && connection.input.len() > unread_bytes_max(&connection.session)
            && !connection.stop_receiving
        {
            connection.stop_receiving = true;
            self.ring_work.push(RingWork::StopReceiving(token));
        }
    }

    /// Ends a client by `client-query-buffer-limit`; whether it does.
    ///
    /// What counts is, as in Redis, what has come and is no word yet, and the words that MULTI has queued: words of any number may
    /// be over the limit together.
    ///
    /// - `unread`: bytes, those included that have come just now.
    #[inline]
    fn is_over_query_limit(&self, connection: &Connection, unread: usize) -> bool {
        let counted = unread + connection.queued_words_bytes();
        let is_over = counted as i64 > self.options.client_query_buffer_limit
            || counted > STRANGER_QUERY_BYTES_MAX && connection.session.is_stranger;
        // What is received while others go first would be requests by now in Redis.
        let is_read_soon = connection.blocked.is_some() && !connection.waits_at_length();
        is_over && !is_read_soon
    }

    /// Ends it; it has what is unread.
    #[cold]
    fn end_over_query_limit(&mut self, connection: &mut Connection) {
        self.tell_over_query_limit(connection);
        self.counters.query_limit_disconnections += 1;
        connection.close_after_output = true;
        connection.input = Unread::default();
        connection.parse = ParseState::default();
        connection.large = None;
        connection.large_needed = 0;
    }

    fn feed(&mut self, token: Token, connection: &mut Connection, mut bytes: &[u8]) {
        if connection.large.is_some() {
            bytes = self.feed_large(token, connection, bytes);
        }
        let unread = connection.unread_bytes() + bytes.len();
        if bytes.is_empty() {
            return;
        }
        if self.is_over_query_limit(connection, unread) {
            connection.input.append(bytes);
            return self.end_over_query_limit(connection);
        }
        if connection.blocked.is_some() || connection.held.is_some() {
            connection.input.append(bytes);
        } else if connection.input.is_empty() {
            let consumed = self.process(token, connection, bytes);
            self.keep_rest(token, connection, &bytes[consumed..]);
        } else {
            let mut input = std::mem::take(&mut connection.input);
            input.append(bytes);
            self.feed_input(token, connection, input);
        }
    }

    fn feed_input(&mut self, token: Token, connection: &mut Connection, mut input: Unread) {
        let consumed = self.process(token, connection, input.as_slice());
        if connection.large_needed > 0 {
            self.keep_rest(token, connection, &input.as_slice()[consumed..]);
            return;
        }
        input.consume(consumed);
        connection.input = input;
    }

    /// Keeps the beginning of a request that has not arrived whole.
    fn keep_rest(&mut self, token: Token, connection: &mut Connection, rest: &[u8]) {
        if rest.is_empty() || connection.close_after_output {
            return;
        }
        if connection.large_needed == 0 {
            connection.input.append(rest);
            return;
        }
        let mut large = Box::new(GrowingBuffer::expecting(
            rest.len() + connection.large_needed,
        ));
        if large.extend_from_slice(rest).is_err() {
            self.refuse_large(connection);
            return;
        }
        connection.large = Some(Large::Here(large));
        if connection.gathers() && connection.receives_once == 0 {
            // What is armed would go on receiving to the ring's buffers.
            self.ring_work.push(RingWork::StopReceiving(token));
        }
        connection.receives_once = RECEIVES_ONCE_MAX;
    }

    /// Feeds a large request's own buffer, never beyond its end; returns what is left of `bytes`.
    fn feed_large<'b>(
        &mut self,
        token: Token,
        connection: &mut Connection,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        let mut rest = bytes;
        while !rest.is_empty() {
            let large = match connection.large.take() {
                Some(Large::Here(large)) => large,
                other => {
                    connection.large = other;
                    break;
                }
            };
            rest = self.feed_part(token, connection, large, rest);
            if connection.close_after_output {
                return &[];
            }
        }
        rest
    }

    /// Feeds it as much as it surely needs, and looks at it when it has that; returns what is left.
    fn feed_part<'b>(
        &mut self,
        token: Token,
        connection: &mut Connection,
        mut large: Box<GrowingBuffer>,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(connection.large_needed));
        if large.extend_from_slice(now).is_err() {
            self.refuse_large(connection);
            return &[];
        }
        self.large_has_grown(token, connection, large, now.len());
        later
    }

    /// So many bytes more of a large request are in its buffer: runs it where that is all of it.
    fn large_has_grown(
        &mut self,
        token: Token,
        connection: &mut Connection,
        mut large: Box<GrowingBuffer>,
        bytes_count: usize,
    ) {
        self.listings.note_growth();
        let unread = large.len() - connection.parse.parsed_bytes();
        if self.is_over_query_limit(connection, unread) {
            connection.large = Some(Large::Here(large));
            return self.end_over_query_limit(connection);
        }
        connection.large_needed -= bytes_count;
        if connection.large_needed > 0 {
            connection.large = Some(Large::Here(large));
            return;
        }
        let mut spans = std::mem::take(&mut self.spans);
        let limits = self.limits_of(connection);
        let parsed = parse(large.as_slice(), &mut connection.parse, &mut spans, &limits);
        self.spans = spans;
        match parsed {
            Ok(Parsed::Incomplete { needed_bytes_min }) => {
                connection.large_needed = needed_bytes_min;
                connection.large = Some(Large::Here(large));
            }
            Ok(_) => {
                large.truncate_to_len();
                // It may run before anybody looks at its client's buffers.
                (self.recent_input).note(self.now_ms / 1000, large.len() as u64);
                connection.parse = ParseState::default();
                connection.held = Some(SharedBytes::new(*large));
                if self.is_too_large_a_client(connection) {
                    return self.evict_before_it_asks(connection);
                }
                self.process_held(token, connection);
            }
            Err(error) => {
                let at = connection.parse.parsed_bytes();
                self.protocol_error(connection, &error, &large.as_slice()[at..]);
            }
        }
    }

    /// Memory for a large request cannot be had: this client's loss alone.
    fn refuse_large(&mut self, connection: &mut Connection) {
        connection.large_needed = 0;
        connection.large = None;
        connection.write_reply(|out, session| {
            Reply::new(out, session.protocol).error("OOM not enough memory for this request");
        });
        connection.close_after_output = true;
    }

    /// The same where the ring was to receive more of it.
    #[cold]
    pub(super) fn refuse_gathering(&mut self, token: Token) {
        if let Some(mut connection) = self.connections.borrow(token) {
            self.lend_buffer(&mut connection);
            self.refuse_large(&mut connection);
            self.after(token, &mut connection);
            self.restore(token, connection);
        }
    }

    fn process_held(&mut self, token: Token, connection: &mut Connection) {
        let Some(bytes) = connection.held.take() else {
            return;
        };
        if connection.blocked.is_some() {
            connection.held = Some(bytes);
            return;
        }
        let mut spans = std::mem::take(&mut self.spans);
        let mut state = ParseState::default();
        let parsed = parse(&bytes, &mut state, &mut spans, &self.limits_of(connection));
        // What has come before, and how long this took to come, is no time of the command's.
        self.stamp = self.clock.raw();
        match parsed {
            Ok(Parsed::Request { .. }) => {
                let args = Args::shared(&bytes, &spans);
                if self.dispatch(token, connection, &args, Some((&bytes, &spans)))
                    == Dispatched::NotYet
                {
                    connection.held = Some(bytes.clone());
                }
            }
            Ok(Parsed::Inline { args, .. }) => {
                if self.dispatch(token, connection, &args.as_args(), None) == Dispatched::NotYet {
                    connection.held = Some(bytes.clone());
                }
            }
            Ok(_) => {}
            Err(error) => {
                self.protocol_error(connection, &error, &bytes[state.parsed_bytes()..]);
            }
        }
        self.spans = spans;
    }

    fn limits_of(&self, connection: &Connection) -> Limits {
        Limits {
            authenticated: !connection.session.is_stranger,
            ..self.limits
        }
    }

    /// - `unread`: what the client has sent, from where it is no request.
    fn protocol_error(
        &mut self,
        connection: &mut Connection,
        error: &ProtocolError,
        unread: &[u8],
    ) {
        self.tell_protocol_error(connection, error, unread);
        // Who wants no replies gets none here either.
        if connection.session.reply_mode.sends() {
            connection.write_reply(|out, _| error.write(out));
        }
        let errors = self.shard.figures_mut().errors_mut();
        errors.count(b"ERR Protocol error");
        connection.close_after_output = true;
        connection.large_needed = 0;
    }

    /// Runs every complete request at the start of `bytes`; returns how many bytes they took.
    ///
    /// Requests are parsed a window ahead, so that the table's lines for the later ones are on their way while the
    /// earlier ones run.
    fn process(&mut self, token: Token, connection: &mut Connection, bytes: &[u8]) -> usize {
        let mut consumed_bytes = 0;
        let mut window = std::mem::take(&mut self.window);
        self.stamp = self.clock.raw();
        // A turn that is long already has less time for each.
        let shift = match self.is_turn_long() {
            true => PART_OF_LONG_SHIFT,
            false => 0,
        };
        let replied_bytes_max = connection.replied_bytes() + (PART_BYTES >> shift);
        let stamp_max = self.stamp.saturating_add(self.part_ticks >> shift);
        let mut has_had_its_part = false;
        let mut lane = self.lane_of(connection);
        while consumed_bytes < bytes.len()
            && connection.blocked.is_none()
            && !connection.close_after_output
        {
            let rest = &bytes[consumed_bytes..];
            let end = self.look_ahead(connection, rest, &mut window);
            if window.count > 1 {
                let (db, hashes) = (usize::from(connection.session.db), window.hashes());
                hashes
                    .clone()
                    .for_each(|hash| self.shard.keys.prefetch(db, hash));
                hashes.for_each(|hash| self.shard.keys.prefetch_entry(db, hash));
            }
            for parsed in &window.requests[..window.count] {
                let words = match &parsed.inline {
                    Some(args) => args.as_args(),
                    None => Args::new(&rest[parsed.start..parsed.end], &parsed.spans)
                        .with_hash(parsed.hash),
                };
                let dispatched = match (&lane, parsed.plain) {
                    (Some(lane), Some(plain)) => {
                        self.run_in_lane(lane, token, connection, plain, &words)
                    }
                    _ => {
                        let dispatched = self.dispatch(token, connection, &words, None);
                        lane = self.lane_of(connection);
                        dispatched
                    }
                };
                if dispatched == Dispatched::NotYet {
                    connection.parse = ParseState::default();
                    break;
                }
                consumed_bytes = parsed.end + bytes.len() - rest.len();
                if connection.blocked.is_some() || connection.close_after_output {
                    break;
                }
                // A window of slow requests, or of long replies, is too much. Both figures lie at hand, and are compared as they are.
                has_had_its_part =
                    connection.replied_bytes() > replied_bytes_max || self.stamp > stamp_max;
                if has_had_its_part {
                    break;
                }
            }
            if has_had_its_part && connection.blocked.is_none() && consumed_bytes < bytes.len() {
                self.let_others_go_first(token, connection);
            }
            if connection.blocked.is_some() || connection.close_after_output {
                // What was parsed beyond is parsed again when its turn comes.
                connection.parse = ParseState::default();
                connection.large_needed = 0;
                break;
            }
            match end {
                WindowEnd::Full => {}
                WindowEnd::Skipped { end } => consumed_bytes = end + bytes.len() - rest.len(),
                WindowEnd::Incomplete => break,
                WindowEnd::Malformed { at, error } => {
                    let at = at + connection.parse.parsed_bytes();
                    let unread = rest.get(at..).unwrap_or_default();
                    self.protocol_error(connection, &error, unread);
                    consumed_bytes = bytes.len();
                }
            }
            if self.is_turn_long() && consumed_bytes < bytes.len() {
                self.let_others_go_first(token, connection);
                break;
            }
        }
        self.window = window;
        consumed_bytes
    }

    /// As of the last stamp.
    #[inline(always)]
    fn is_turn_long(&self) -> bool {
        self.stamp.saturating_sub(self.turn_stamp) > self.part_ticks
    }

    /// A connection goes on with the next turn, when others have had their parts.
    fn let_others_go_first(&mut self, token: Token, connection: &mut Connection) {
        connection.blocked = Some(Blocked::Yielding);
        self.yielding.push_back(token);
    }

    /// Parses up to a window of requests and starts loading what their keys will need.
    fn look_ahead(
        &mut self,
        connection: &mut Connection,
        bytes: &[u8],
        window: &mut Window,
    ) -> WindowEnd {
        let limits = self.limits_of(connection);
        // AUTH, HELLO or SELECT in the window would change what follows; before AUTH the limits of the next request
        // depend on it, so then one at a time.
        let count_max = if limits.authenticated {
            WINDOW_REQUESTS_MAX
        } else {
            1
        };
        window.count = 0;
        let mut at = 0;
        while window.count < count_max {
            if at == bytes.len() {
                return WindowEnd::Skipped { end: at };
            }
            if window.requests.len() == window.count {
                window.requests.push(ParsedRequest::default());
            }
            let request = &mut window.requests[window.count];
            let rest = &bytes[at..];
            let known =
                (self.known.head).after(rest, &connection.parse, &mut request.spans, &limits);
            let parsed = match known {
                Some(consumed) => Ok(Parsed::Request { consumed }),
                None => parse(rest, &mut connection.parse, &mut request.spans, &limits),
            };
            match parsed {
                Ok(Parsed::Request { consumed }) => {
                    if known.is_none() {
                        self.known = KnownHead {
                            head: Head::of(rest, &request.spans).unwrap_or_default(),
                            plain: plain_of(rest, &request.spans),
                        };
                    }
                    request.plain = self.known.plain;
                    request.start = at;
                    request.end = at + consumed;
                    request.inline = None;
                    // Most commands have their key as word 1; a wrong guess costs one useless load.
                    if request.spans.len() > 1 {
                        let key = Args::new(rest, &request.spans).get(1);
                        request.hash = self.shard.keys.key(key).hash;
                    }
                    at += consumed;
                    window.count += 1;
                }
                Ok(Parsed::Inline { consumed, args }) => {
                    request.start = at;
                    request.end = at + consumed;
                    request.inline = Some(args);
                    request.plain = None;
                    at += consumed;
                    window.count += 1;
                }
                Ok(Parsed::Empty { consumed }) => {
                    at += consumed;
                    return WindowEnd::Skipped { end: at };
                }
                Ok(Parsed::Incomplete { needed_bytes_min }) => {
                    if needed_bytes_min > LARGE_REQUEST_BYTES {
                        connection.large_needed = needed_bytes_min;
                    }
                    return WindowEnd::Incomplete;
                }
                Err(error) => return WindowEnd::Malformed { at, error },
            }
        }
        WindowEnd::Full
    }
}
