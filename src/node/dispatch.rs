//! Bytes of a connection to requests, and each request to where it runs.
//!
//!     on_bytes -> process -> parse -> dispatch -> here: execute, reply into the output
//!                                              -> one other shard: into that core's batch
//!                                              -> several shards, the node, the session: wait for what is before it
//!
//! Promises  a request is executed in the buffer it was received in; one that must wait is left unread and parsed again.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::connection::{Blocked, Connection};
use super::core::{Core, RingWork, UNREAD_BYTES_MAX};
use super::mesh::Item;
use super::ring::Token;
use crate::commands::session::{ReplyMode, SessionCall, is_http, needs_auth, needs_permission};
use crate::commands::table::{Caller, Run, table};
use crate::commands::{Action, CommandError, Entry, Flags};
use crate::ds::growing_buffer::GrowingBuffer;
use crate::resp::args::OwnedArgs;
use crate::resp::parse::{ParseState, Parsed, ProtocolError, parse};
use crate::resp::{Args, Reply, Span};
use crate::router::{Origin, Plan, Transaction, plan};
use crate::shard::{Outcome, Request};

/// A request that still needs more than this gets a buffer of its own, which can become a value without a copy.
const LARGE_REQUEST_BYTES: usize = 64 * 1024;

/// How many requests of a pipeline are parsed before the first of them runs.
const WINDOW_REQUESTS_MAX: usize = 16;

/// Requests parsed ahead; kept from call to call for its allocations.
#[derive(Default)]
pub struct Window {
    requests: Vec<ParsedRequest>,
    count: usize,
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
    Malformed(ProtocolError),
}

/// Output below this is not held against the output limits at once: the tick does that.
const OUTPUT_LOOK_BYTES: usize = 64 * 1024;

/// What became of a request.
#[derive(PartialEq)]
enum Dispatched {
    /// On its way, or done.
    Taken,
    /// It must wait: leave it where it is.
    NotYet,
}

impl Core {
    /// A connection's bytes have arrived.
    pub fn on_bytes(&mut self, token: Token, bytes: &[u8]) {
        let Some(mut connection) = self.connections.borrow(token) else {
            return;
        };
        self.counters.bytes_in += bytes.len() as u64;
        connection.bytes_in += bytes.len() as u64;
        connection.last_active_ms = self.now_ms;
        if !connection.closed && !connection.close_after_output {
            self.lend_buffer(&mut connection);
            self.feed(token, &mut connection, bytes);
            self.check_input(token, &mut connection);
            self.after(token, &mut connection);
        }
        self.restore(token, connection);
    }

    /// A connection that had to wait may go on.
    pub fn resume(&mut self, token: Token) {
        let Some(mut connection) = self.connections.borrow(token) else {
            return;
        };
        if connection.blocked.is_none() && !connection.closed && !connection.close_after_output {
            self.lend_buffer(&mut connection);
            if connection.held.is_some() {
                self.process_held(token, &mut connection);
            }
            if connection.held.is_none() && !connection.input.is_empty() {
                let input = std::mem::take(&mut connection.input);
                self.feed_input(token, &mut connection, input);
            }
            if connection.stop_receiving && connection.input.len() < UNREAD_BYTES_MAX / 2 {
                connection.stop_receiving = false;
                self.ring_work.push(RingWork::Receive(token));
            }
            self.after(token, &mut connection);
        }
        self.restore(token, connection);
    }

    /// Lets connections go on that waited for a link to drain.
    pub fn resume_congested(&mut self) {
        if self.congested.is_empty() || self.mesh.is_congested() {
            return;
        }
        for token in std::mem::take(&mut self.congested) {
            if let Some(connection) = self.connections.get_mut(token)
                && connection.blocked == Some(Blocked::Congested)
            {
                connection.blocked = None;
                self.resumes.push(token);
            }
        }
    }

    fn restore(&mut self, token: Token, connection: Box<Connection>) {
        let look = connection.output.len() > OUTPUT_LOOK_BYTES;
        self.connections.restore(token, connection);
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
        if connection.output.is_empty() && !ends {
            let buffer = std::mem::take(&mut connection.output);
            self.keep_buffer(buffer);
        } else if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(token);
        }
    }

    /// Bounds what a client may have lying unread.
    fn check_input(&mut self, token: Token, connection: &mut Connection) {
        let unread =
            connection.input.len() + connection.large.as_ref().map_or(0, GrowingBuffer::len);
        if unread as i64 > self.options.client_query_buffer_limit {
            tracing::warn!(
                client = connection.session.id,
                unread,
                "closed: query buffer is over its limit"
            );
            self.counters.query_limit_disconnections += 1;
            connection.close_after_output = true;
            connection.input = Vec::new();
            connection.large = None;
        } else if connection.blocked.is_some()
            && unread > UNREAD_BYTES_MAX
            && !connection.stop_receiving
        {
            connection.stop_receiving = true;
            self.ring_work.push(RingWork::StopReceiving(token));
        }
    }

    fn feed(&mut self, token: Token, connection: &mut Connection, mut bytes: &[u8]) {
        if connection.large.is_some() {
            bytes = self.feed_large(token, connection, bytes);
        }
        if bytes.is_empty() {
            return;
        }
        if connection.blocked.is_some() || connection.held.is_some() {
            connection.input.extend_from_slice(bytes);
        } else if connection.input.is_empty() {
            let consumed = self.process(token, connection, bytes);
            self.keep_rest(connection, &bytes[consumed..]);
        } else {
            let mut input = std::mem::take(&mut connection.input);
            input.extend_from_slice(bytes);
            self.feed_input(token, connection, input);
        }
    }

    fn feed_input(&mut self, token: Token, connection: &mut Connection, mut input: Vec<u8>) {
        let consumed = self.process(token, connection, &input);
        if connection.large_needed > 0 {
            self.keep_rest(connection, &input[consumed..]);
            return;
        }
        input.drain(..consumed);
        connection.input = input;
    }

    /// Keeps the beginning of a request that has not arrived whole.
    fn keep_rest(&mut self, connection: &mut Connection, rest: &[u8]) {
        if rest.is_empty() || connection.close_after_output {
            return;
        }
        if connection.large_needed == 0 {
            connection.input.extend_from_slice(rest);
            return;
        }
        let mut large = GrowingBuffer::new();
        if large.extend_from_slice(rest).is_err() {
            self.refuse_large(connection);
            return;
        }
        connection.large = Some(large);
    }

    /// Feeds a large request's own buffer, never beyond its end; returns what is left.
    fn feed_large<'b>(
        &mut self,
        token: Token,
        connection: &mut Connection,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        let Some(mut large) = connection.large.take() else {
            return bytes;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(connection.large_needed));
            rest = later;
            if large.extend_from_slice(now).is_err() {
                self.refuse_large(connection);
                return &[];
            }
            connection.large_needed -= now.len();
            if connection.large_needed > 0 {
                break;
            }
            let mut spans = std::mem::take(&mut self.spans);
            let limits = self.limits_of(connection);
            let parsed = parse(large.as_slice(), &mut connection.parse, &mut spans, &limits);
            self.spans = spans;
            match parsed {
                Ok(Parsed::Incomplete { needed_bytes_min }) => {
                    connection.large_needed = needed_bytes_min
                }
                Ok(_) => {
                    large.truncate_to_len();
                    connection.parse = ParseState::default();
                    connection.held = Some(Bytes::from_owner(large));
                    self.process_held(token, connection);
                    return rest;
                }
                Err(error) => {
                    self.protocol_error(connection, &error);
                    return &[];
                }
            }
        }
        connection.large = Some(large);
        rest
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
            Err(error) => self.protocol_error(connection, &error),
        }
        self.spans = spans;
    }

    fn limits_of(&self, connection: &Connection) -> crate::resp::parse::Limits {
        crate::resp::parse::Limits {
            authenticated: connection.session.authenticated,
            ..self.limits
        }
    }

    fn protocol_error(&mut self, connection: &mut Connection, error: &ProtocolError) {
        connection.write_reply(|out, _| error.write(out));
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
        while consumed_bytes < bytes.len()
            && connection.blocked.is_none()
            && !connection.close_after_output
        {
            let rest = &bytes[consumed_bytes..];
            let end = self.look_ahead(connection, rest, &mut window);
            if window.count > 1 {
                let db = usize::from(connection.session.db);
                for parsed in &window.requests[..window.count] {
                    self.shard.keys.prefetch_entry(db, parsed.hash);
                }
            }
            for parsed in &window.requests[..window.count] {
                let words = match &parsed.inline {
                    Some(args) => args.as_args(),
                    None => Args::new(&rest[parsed.start..parsed.end], &parsed.spans),
                };
                if self.dispatch(token, connection, &words, None) == Dispatched::NotYet {
                    connection.parse = ParseState::default();
                    break;
                }
                consumed_bytes = parsed.end + bytes.len() - rest.len();
                if connection.blocked.is_some() || connection.close_after_output {
                    break;
                }
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
                WindowEnd::Malformed(error) => {
                    self.protocol_error(connection, &error);
                    consumed_bytes = bytes.len();
                }
            }
        }
        self.window = window;
        consumed_bytes
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
        let db = usize::from(connection.session.db);
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
            match parse(rest, &mut connection.parse, &mut request.spans, &limits) {
                Ok(Parsed::Request { consumed }) => {
                    request.start = at;
                    request.end = at + consumed;
                    request.inline = None;
                    // Most commands have their key as word 1; a wrong guess costs one useless load.
                    if request.spans.len() > 1 {
                        let key = Args::new(rest, &request.spans).get(1);
                        let key = self.shard.keys.key(key);
                        self.shard.keys.prefetch(db, &key);
                        request.hash = key.hash;
                    }
                    at += consumed;
                    window.count += 1;
                }
                Ok(Parsed::Inline { consumed, args }) => {
                    request.start = at;
                    request.end = at + consumed;
                    request.inline = Some(args);
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
                Err(error) => return WindowEnd::Malformed(error),
            }
        }
        WindowEnd::Full
    }

    /// Sends one request where it runs.
    #[inline]
    fn dispatch(
        &mut self,
        token: Token,
        connection: &mut Connection,
        args: &Args<'_>,
        large: Option<(&Bytes, &Vec<Span>)>,
    ) -> Dispatched {
        let entry = match table().resolve(args) {
            Ok(entry) => entry,
            Err(_) if is_http(args.get(0)) => {
                tracing::warn!(
                    client = connection.peer.address,
                    "closed: it speaks HTTP, perhaps a web page that means to misuse its reader's browser"
                );
                connection.output.clear();
                connection.close_after_output = true;
                return Dispatched::Taken;
            }
            Err(error) => return self.refuse(connection, None, &error),
        };
        if let Some(error) = needs_auth(entry, &connection.session) {
            return self.refuse(connection, Some(entry), &error);
        }
        if entry.command.flags.has(Flags::PROTECTED) {
            let allowed = self.options.debug_allowed(connection.peer.is_local());
            if let Some(error) = needs_permission(entry, allowed) {
                return self.refuse(connection, Some(entry), &error);
            }
        }
        if self.pause.is_some() && self.waits_for_pause(token, connection, entry) {
            return Dispatched::NotYet;
        }
        match plan(entry, args, &self.map, self.id) {
            Plan::Shard(shard) if shard == self.id => {
                self.counters.local_requests += 1;
                connection.affinity.count(shard);
                self.run_here(token, connection, entry, args);
                Dispatched::Taken
            }
            Plan::Shard(shard) => self.send_away(token, connection, entry, args, shard, large),
            Plan::Here => self.run_session(token, connection, entry, args),
            Plan::Many => self.start_transaction(token, connection, entry, args),
        }
    }

    #[inline]
    fn run_here(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) {
        let silent = take_silence(connection);
        let request = Request {
            entry,
            db: connection.session.db,
            caller: caller(connection),
            origin: Origin {
                core: self.id,
                connection: token.index,
                generation: token.generation,
                sequence: connection.next_sequence(),
            },
        };
        let shard = &mut self.shard;
        let mut deferred = false;
        if connection.is_drained() {
            let length = connection.output.len();
            deferred = shard.execute(&request, args, &mut connection.output) == Outcome::Deferred;
            if silent {
                connection.output.truncate(length);
            }
        } else {
            connection.write_ahead(|side| {
                let length = side.len();
                deferred = shard.execute(&request, args, side) == Outcome::Deferred;
                if silent {
                    side.truncate(length);
                }
                !deferred
            });
        }
        if deferred {
            connection.reserve(silent);
        }
        self.count(connection, entry);
        if connection.output.len() > OUTPUT_LOOK_BYTES {
            let limit = self.options.normal_output_limit().hard_bytes;
            if limit > 0 && connection.output_bytes() as u64 > limit {
                // The rest of its pipeline must not be run only to be thrown away; `check_output` ends it.
                connection.close_after_output = true;
            }
        }
    }

    /// Counts a request that ran here, and the time since the last stamp as its own.
    #[inline]
    fn count(&mut self, connection: &mut Connection, entry: &'static Entry) {
        let now = self.clock.raw();
        self.shard
            .record(entry.index, self.clock.delta_as_nanos(self.stamp, now));
        self.stamp = now;
        self.commands_count += 1;
        connection.commands_count += 1;
        connection.last_command = Some(entry);
    }

    fn send_away(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        shard: u16,
        large: Option<(&Bytes, &Vec<Span>)>,
    ) -> Dispatched {
        if self.wants_to_move(connection, shard) {
            return self.begin_move(token, connection, shard);
        }
        if let Some(target) = connection.moving_to {
            return self.begin_move(token, connection, target);
        }
        if self.mesh.is_congested() {
            connection.blocked = Some(Blocked::Congested);
            self.congested.push(token);
            return Dispatched::NotYet;
        }
        connection.moving_to = connection
            .affinity
            .count(shard)
            .filter(|&home| home != self.id && self.has_room(home));
        let silent = take_silence(connection);
        let item = Item {
            entry,
            connection: token.index,
            generation: token.generation,
            sequence: connection.reserve(silent),
            db: connection.session.db,
            caller: caller(connection),
            spans_count: 0,
            bytes_count: 0,
            reply_bytes: 0,
        };
        let batch = self.mesh.open(usize::from(shard));
        match large {
            Some((bytes, spans)) => batch.push_large(item, bytes.clone(), spans.clone()),
            // A batch's messages come after its plain requests: this one must not overtake a large one.
            None if batch.large_bytes > 0 => {
                let spans = (0..args.len()).map(|index| args.span(index)).collect();
                batch.push_large(item, Bytes::copy_from_slice(args.bytes()), spans);
            }
            None => batch.push(item, args),
        }
        self.counters.hops_out += 1;
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        Dispatched::Taken
    }

    /// Whether this is the first key a connection asks for, and its core has room for one more.
    fn wants_to_move(&self, connection: &mut Connection, shard: u16) -> bool {
        !std::mem::replace(&mut connection.affinity.placed, true) && self.has_room(shard)
    }

    /// Following keys must not pile connections onto one core: the target may have an eighth more than this core.
    fn has_room(&self, shard: u16) -> bool {
        let count = |core: u16| {
            self.mesh.board().cores[usize::from(core)]
                .connections_count
                .load(Ordering::Relaxed)
        };
        let here = count(self.id);
        count(shard) <= here + here / 8 + 1
    }

    fn begin_move(&mut self, token: Token, connection: &mut Connection, target: u16) -> Dispatched {
        connection.moving_to = Some(target);
        if !connection.is_drained() {
            connection.blocked = Some(Blocked::UntilDrained);
            return Dispatched::NotYet;
        }
        connection.blocked = Some(Blocked::Moving);
        self.ring_work.push(RingWork::StopReceiving(token));
        Dispatched::NotYet
    }

    /// Whatever is not one shard's work runs alone on its connection.
    fn must_drain(&mut self, connection: &mut Connection) -> bool {
        if connection.is_drained() {
            return false;
        }
        connection.blocked = Some(Blocked::UntilDrained);
        true
    }

    fn start_transaction(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        if self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        let owned = OwnedArgs::from_args(args);
        let db = connection.session.db;
        match Transaction::new(entry, db, caller(connection), owned, self.map, &self.hasher) {
            Ok(transaction) => {
                connection.blocked = Some(Blocked::UntilReply);
                connection.silent_reply = take_silence(connection);
                connection.commands_count += 1;
                connection.last_command = Some(entry);
                self.starts.push((token, entry, transaction));
                Dispatched::Taken
            }
            Err(error) => self.refuse(connection, Some(entry), &error),
        }
    }

    fn run_session(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        if self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        let Run::Session(run) = entry.command.run else {
            return self.refuse(
                connection,
                Some(entry),
                &"ERR this command cannot run here".into(),
            );
        };
        let silent = connection.session.reply_mode != ReplyMode::On;
        if connection.session.reply_mode == ReplyMode::SkipNext {
            connection.session.reply_mode = ReplyMode::Skipping;
        }
        connection.request_bytes = args.bytes().len();
        let length = connection.output.len();
        let mut reply = Reply::new(&mut connection.output, connection.session.protocol);
        let mut call = SessionCall {
            session: &mut connection.session,
            databases: self.options.databases as u16,
            password: self.options.requirepass.as_bytes(),
            now_ms: self.now_ms,
            now_us: self.now_us,
        };
        let action = match run(&mut call, &entry.handler_args(args), &mut reply) {
            Ok(action) => action,
            Err(error) => {
                connection.output.truncate(length);
                return self.refuse(connection, Some(entry), &error);
            }
        };
        // CLIENT REPLY ON answers even where it was to be skipped.
        let stays_silent = silent && connection.session.reply_mode != ReplyMode::On;
        if connection.session.reply_mode == ReplyMode::Skipping {
            connection.session.reply_mode = ReplyMode::On;
        }
        if stays_silent {
            connection.output.truncate(length);
        }
        match action {
            Action::Close => connection.close_after_output = true,
            Action::Node(request) => {
                connection.blocked = Some(Blocked::UntilReply);
                connection.silent_reply = stays_silent;
                self.asks.push((token, request));
            }
            _ => {}
        }
        self.count(connection, entry);
        Dispatched::Taken
    }

    /// Answers with an error without running anything.
    fn refuse(
        &mut self,
        connection: &mut Connection,
        entry: Option<&'static Entry>,
        error: &CommandError,
    ) -> Dispatched {
        let silent = take_silence(connection);
        let line = error.line();
        let figures = self.shard.figures_mut();
        match entry {
            Some(entry) => figures.record_rejection(entry.index, &line),
            None => figures.errors_mut().count(&line),
        }
        connection.write_reply(|out, session| {
            if !silent {
                Reply::new(out, session.protocol).error_bytes(&line);
            }
        });
        Dispatched::Taken
    }

    /// CLIENT PAUSE: whether this request waits for its end.
    fn waits_for_pause(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
    ) -> bool {
        let Some(pause) = self.pause else {
            return false;
        };
        if pause.until_ms <= self.now_ms {
            return false;
        }
        let flags = entry.command.flags;
        if pause.writes_only && !flags.has(Flags::WRITE) && !flags.has(Flags::MAY_REPLICATE) {
            return false;
        }
        connection.blocked = Some(Blocked::Paused);
        self.paused_connections.push(token);
        true
    }
}

/// Whether this request's reply is kept back (CLIENT REPLY OFF or SKIP), SKIP being used up.
#[inline]
fn take_silence(connection: &mut Connection) -> bool {
    match connection.session.reply_mode {
        ReplyMode::On => false,
        ReplyMode::Off => true,
        ReplyMode::SkipNext | ReplyMode::Skipping => {
            connection.session.reply_mode = ReplyMode::On;
            true
        }
    }
}

#[inline]
fn caller(connection: &Connection) -> Caller {
    Caller {
        protocol: connection.session.protocol,
        no_touch: connection.session.no_touch,
    }
}
