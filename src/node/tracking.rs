//! Clients that keep copies of what they read, and what they are sent when it changes.
//!
//!     a shard's news -> one key: at once, to the clients that have read it         -> their own outputs,
//!                    -> keys of a turn: to the clients of each prefix, together       or those of whom they redirect to;
//!                       of a transaction over several cores when it gives them back, each once
//!                    -> all keys (FLUSHALL): to everybody who tracks
//!
//! Promises  what a client is sent about a key comes after every reply made from what the key held before: behind replies that
//!           are outstanding, and behind that of a transaction under way. A message crosses only to cores with a client that it
//!           is for. A client that tracks, or that another redirects to, stays on its core.
//! Not here  who has read what: `keyspace/tracking.rs`; the commands: `commands/client_tracking.rs`.
//! Source    Redis documentation, "Client-side caching reference".
//! Tests     tests/server/tracking.rs.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use super::connection::{Blocked, Connection};
use super::core::{Core, every_core};
use super::gather::{Asker, Purpose};
use super::message::{Answer, Message, Question};
use super::ring::Token;
use super::slab::Connections;
use crate::commands::client_tracking::{ClientTracking, NO_TARGET, TrackingOptions};
use crate::commands::table::{Run, Verb};
use crate::keyspace::Tracker;
use crate::keyspace::tracking::Invalidation;
use crate::resp::{Protocol, Reply};
use crate::router::TxId;

/// Tracked keys that a turn may give up to keep to the limit.
const EVICTED_PER_TURN: usize = 1_024;

/// A key that has changed.
#[derive(Clone)]
pub struct Changed {
    key: Arc<[u8]>,
    /// Whose command did it, where that client tracks as well.
    writer: Option<Tracker>,
    /// No command did it: it was evicted, or its deadline passed.
    is_by_itself: bool,
}

/// What one core's clients are to be told at once.
pub struct Notice {
    /// What has changed; none: everything.
    changed: Option<Changed>,
    /// Who has read it; for everything nobody is named.
    numbers: Vec<NonZeroU32>,
}

/// What a core keeps of clients that track.
#[derive(Default)]
pub struct CoreTracking {
    clients: HashMap<NonZeroU32, Token, ahash::RandomState>,
    last_number: u32,
    /// The clients of each prefix.
    prefixes: BTreeMap<Vec<u8>, Vec<NonZeroU32>>,
    /// Clients that others redirect to, by CLIENT ID.
    targets: HashMap<u64, Token, ahash::RandomState>,
    /// Keys changed in this turn, by the core with clients that want to know by a prefix; and those that a transaction has changed which
    /// may change them again.
    changed: BTreeMap<u16, Vec<(Option<TxId>, Changed)>>,
    /// The transaction whose doings are told.
    of_transaction: Option<TxId>,
    /// What the connection that is out of its place is to be told, by whoever has it.
    unheard: Vec<Unheard>,
    /// Who has been told already of what everybody is told now that all keys are gone.
    has_had: Option<Token>,
}

/// Something that a client is told of keys.
enum Unheard {
    /// As one that tracks.
    Tracker {
        number: NonZeroU32,
        body: Body,
        of: Option<Cause>,
    },
    /// As one that another redirects to.
    Target {
        id: u64,
        body: Arc<[u8]>,
        source: Tracker,
        is_by_itself: bool,
    },
}

impl CoreTracking {
    /// Clients that track.
    pub fn clients_count(&self) -> usize {
        self.clients.len()
    }
}

/// Why a client is told of keys.
#[derive(Clone, Copy)]
struct Cause {
    /// A prefix is the reason.
    is_broadcast: bool,
    /// Whose command it was.
    writer: Option<Tracker>,
    /// No command did it.
    is_by_itself: bool,
}

/// The connection that is out of its place.
pub(super) struct Own<'a> {
    /// Which it is.
    pub token: Token,
    /// The connection.
    pub connection: &'a mut Connection,
}

/// What is said of keys, encoded; every protocol the same.
#[derive(Clone)]
enum Body {
    Keys(Arc<[u8]>),
    Everything,
}

impl Body {
    fn of_keys<'k>(keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Self {
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, Protocol::Resp2);
        reply.array(keys.len());
        keys.for_each(|key| reply.bulk(key));
        Self::Keys(encoded.into())
    }

    /// As a client of this protocol sees it.
    fn encoded(&self, protocol: Protocol) -> Arc<[u8]> {
        match (self, protocol) {
            (Self::Keys(keys), _) => keys.clone(),
            (Self::Everything, Protocol::Resp2) => b"$-1\r\n".as_slice().into(),
            (Self::Everything, Protocol::Resp3) => b"_\r\n".as_slice().into(),
        }
    }
}

impl Core {
    // ---- commands

    /// CLIENT TRACKING ON.
    pub(super) fn track(&mut self, token: Token, options: TrackingOptions, prefixes: Vec<Vec<u8>>) {
        if options.redirect == 0 {
            return self.track_here(token, options, prefixes, 0);
        }
        let purpose = Purpose::Redirect(options, prefixes);
        let id = options.redirect;
        let question = Question::FindTarget { id };
        self.ask_all(Asker::Connection(token), purpose, question);
    }

    /// The cores have looked for the client that is redirected to.
    pub(super) fn target_was_looked_for(
        &mut self,
        token: Token,
        options: TrackingOptions,
        prefixes: Vec<Vec<u8>>,
        answers: &[Answer],
    ) {
        let found = answers.iter().find_map(|answer| match answer {
            Answer::Found(core) => Some(*core),
            _ => None,
        });
        match found {
            Some(core) => self.track_here(token, options, prefixes, core),
            None => self.fail(token, NO_TARGET),
        }
    }

    /// Whether this client is here: others redirect to it from now on.
    pub(super) fn find_target(&mut self, id: u64) -> Answer {
        let tokens: Vec<Token> = self.connections.tokens().collect();
        let is_it = |connection: &Connection| connection.session.id == id && !connection.closed;
        let found = tokens.into_iter().find(|token| {
            let connection = self.connections.get_mut(*token);
            connection.is_some_and(|connection| is_it(connection))
        });
        let Some(token) = found else {
            return Answer::Done;
        };
        let Some(connection) = self.connections.get_mut(token) else {
            return Answer::Done;
        };
        connection.is_target = true;
        if connection.blocked == Some(Blocked::Moving) {
            return Answer::Found(connection.moving_to.unwrap_or(self.id));
        }
        connection.stay(&self.mesh.board().cores, self.id);
        self.tracking.targets.insert(id, token);
        Answer::Found(self.id)
    }

    /// A connection has come from another core.
    pub(super) fn adopt_target(&mut self, token: Token, id: u64) {
        self.tracking.targets.insert(id, token);
    }

    fn track_here(
        &mut self,
        token: Token,
        options: TrackingOptions,
        prefixes: Vec<Vec<u8>>,
        redirect_core: u16,
    ) {
        let core = self.id;
        let connection = self.connections.get_mut(token);
        let Some(connection) = connection.filter(|connection| !connection.closed) else {
            // It went while others were asked. Nobody sees the reply, but its block waits for one.
            return self.fail(token, "ERR the client has gone");
        };
        connection.stay(&self.mesh.board().cores, self.id);
        let tracking = match &mut connection.session.tracking {
            Some(tracking) => tracking,
            none => {
                self.tracking.last_number = self.tracking.last_number.wrapping_add(1).max(1);
                let number = NonZeroU32::MIN.saturating_add(self.tracking.last_number - 1);
                self.tracking.clients.insert(number, token);
                none.insert(Box::new(ClientTracking {
                    tracker: Tracker { core, number },
                    options,
                    prefixes: Default::default(),
                    prefixes_bytes: 0,
                    redirect_core,
                    is_broken: false,
                    is_caching: false,
                }))
            }
        };
        tracking.options = options;
        tracking.redirect_core = redirect_core;
        tracking.is_broken = false;
        let number = tracking.tracker.number;
        let mut fresh = Vec::new();
        for prefix in prefixes {
            if tracking.prefixes.insert(prefix.clone()) {
                // Its own copy and that of the core's directory.
                tracking.prefixes_bytes += 2 * (prefix.len() + size_of::<Vec<u8>>());
                let clients = self.tracking.prefixes.entry(prefix.clone()).or_default();
                clients.push(number);
                fresh.push(prefix);
            }
        }
        if fresh.is_empty() {
            return self.complete(token, |out, session| {
                Reply::new(out, session.protocol).ok();
            });
        }
        // What is written anywhere after the reply is told.
        let question = Question::TrackPrefixes {
            prefixes: fresh.into(),
            core,
            is_more: true,
        };
        self.ask_all(Asker::Connection(token), Purpose::Ok, question);
    }

    /// A connection tracks no more: CLIENT TRACKING OFF, RESET, the end.
    pub(super) fn end_tracking(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.closed && connection.is_target {
            self.tracking.targets.remove(&connection.session.id);
        }
        let Some(tracking) = connection.session.tracking.take() else {
            return;
        };
        let number = tracking.tracker.number;
        self.tracking.clients.remove(&number);
        for prefix in &tracking.prefixes {
            if let Some(clients) = self.tracking.prefixes.get_mut(prefix) {
                clients.retain(|client| *client != number);
                if clients.is_empty() {
                    self.tracking.prefixes.remove(prefix);
                }
            }
        }
        if !tracking.prefixes.is_empty() {
            let question = Question::TrackPrefixes {
                prefixes: tracking.prefixes.into_iter().collect(),
                core: self.id,
                is_more: false,
            };
            self.ask_all(Asker::Nobody, Purpose::Ok, question);
        }
    }

    /// CLIENT TRACKING OFF.
    pub(super) fn untrack(&mut self, token: Token) {
        self.end_tracking(token);
        self.complete(token, |out, session| Reply::new(out, session.protocol).ok());
    }

    /// A request of a client that tracks has been taken: CLIENT CACHING was for it, unless it is one of a block.
    pub(super) fn has_taken(connection: &mut Connection) {
        let last = connection.last_command;
        let is_client = last
            .and_then(|entry| entry.container)
            .is_some_and(|container| container.name == "CLIENT");
        let ends_block =
            last.is_some_and(|entry| matches!(entry.command.run, Run::Block(Verb::Exec)));
        let is_in_block = connection.open_block().is_some() && !ends_block;
        if !is_client
            && !is_in_block
            && let Some(tracking) = connection.session.tracking.as_deref_mut()
        {
            tracking.is_caching = false;
        }
    }

    // ---- from this core's shard

    /// Keeps to the limit of tracked keys.
    #[inline]
    pub(super) fn limit_tracking(&mut self) {
        if self.shard.keys.is_tracked() {
            let keys_max = self.options.tracking_table_max_keys as usize;
            self.shard.keys.limit_tracked(keys_max, EVICTED_PER_TURN);
        }
    }

    /// Tells of what has changed on this core's shard.
    pub(super) fn tell_invalidations(&mut self, news: Vec<Invalidation>, mut own: Option<Own<'_>>) {
        let mut notices: BTreeMap<u16, Vec<Notice>> = BTreeMap::new();
        for invalidation in news {
            match invalidation {
                Invalidation::All => {
                    for core in every_core(self) {
                        notices.entry(core as u16).or_default().push(Notice {
                            changed: None,
                            numbers: Vec::new(),
                        });
                    }
                }
                Invalidation::Key {
                    key,
                    trackers,
                    cores,
                    is_by_itself,
                    writer,
                    in_script,
                } => {
                    for core in cores {
                        let of_transaction = self.tracking.of_transaction;
                        let changed = Changed {
                            key: key.clone(),
                            writer: writer.filter(|_| !is_by_itself && !in_script),
                            is_by_itself,
                        };
                        let of_core = self.tracking.changed.entry(core).or_default();
                        of_core.push((of_transaction, changed));
                    }
                    let mut of_core: BTreeMap<u16, Vec<NonZeroU32>> = BTreeMap::new();
                    for Tracker { core, number } in trackers {
                        of_core.entry(core).or_default().push(number);
                    }
                    for (core, numbers) in of_core {
                        notices.entry(core).or_default().push(Notice {
                            changed: Some(Changed {
                                key: key.clone(),
                                writer,
                                is_by_itself,
                            }),
                            numbers,
                        });
                    }
                }
            }
        }
        for (core, notices) in notices {
            if core == self.id {
                self.invalidate(&notices, &mut own);
            } else {
                let batch = self.mesh.open(usize::from(core));
                batch.posts_bytes += notices.iter().map(Notice::bytes_count).sum::<usize>();
                batch.messages.push_back(Message::Invalidate(notices));
            }
        }
    }

    /// The same of what was kept back, which client `has_had` has been told of.
    pub(super) fn tell_withheld_invalidations(
        &mut self,
        news: Vec<Invalidation>,
        has_had: Option<Token>,
    ) {
        self.tracking.has_had = has_had;
        self.tell_invalidations(news, None);
        self.tracking.has_had = None;
    }

    /// Tells a client at once of what its own request has made it forget, and takes that out of `news`.
    #[cold]
    pub(super) fn tell_own_invalidations(&mut self, news: &mut [Invalidation], own: Own<'_>) {
        let tracking = own.connection.session.tracking.as_deref();
        let Some(tracker) = tracking.map(|tracking| tracking.tracker) else {
            return;
        };
        let own = &mut Some(own);
        for invalidation in news {
            match invalidation {
                Invalidation::All => {
                    self.tell_client(tracker.number, &Body::Everything, None, own);
                }
                Invalidation::Key {
                    key,
                    trackers,
                    is_by_itself,
                    writer,
                    ..
                } => {
                    let Some(place) = trackers.iter().position(|of| *of == tracker) else {
                        continue;
                    };
                    trackers.swap_remove(place);
                    let body = Body::of_keys([&**key].into_iter());
                    let cause = Cause {
                        is_broadcast: false,
                        writer: *writer,
                        is_by_itself: *is_by_itself,
                    };
                    self.tell_client(tracker.number, &body, Some(cause), own);
                }
            }
        }
    }

    /// As [`Core::tell_before`], of what this transaction has done.
    #[inline]
    pub(super) fn tell_of_transaction(&mut self, tx: TxId, by: Option<Token>) {
        self.tracking.of_transaction = Some(tx);
        self.tell_before(by);
        self.tracking.of_transaction = None;
    }

    /// Whether there are such changes that can be told.
    #[inline]
    pub(super) fn has_changed_to_tell(&self) -> bool {
        !self.tracking.changed.is_empty() && self.has_any_changed_to_tell()
    }

    #[cold]
    fn has_any_changed_to_tell(&self) -> bool {
        let mut changed = self.tracking.changed.values().flatten();
        changed.any(|(tx, _)| tx.is_none_or(|tx| !self.shard.is_held_by(tx)))
    }

    /// At the end of a turn: the clients that named prefixes are told what has changed in it.
    #[inline]
    pub(super) fn tell_changed(&mut self) {
        if !self.tracking.changed.is_empty() {
            self.tell_all_changed();
        }
    }

    #[cold]
    fn tell_all_changed(&mut self) {
        for (core, changed) in std::mem::take(&mut self.tracking.changed) {
            let shard = &self.shard;
            let is_under_way = |tx: &Option<TxId>| tx.is_some_and(|tx| shard.is_held_by(tx));
            let (later, now): (Vec<_>, Vec<_>) =
                changed.into_iter().partition(|(tx, _)| is_under_way(tx));
            if !later.is_empty() {
                self.tracking.changed.insert(core, later);
            }
            let changed: Vec<Changed> = now.into_iter().map(|(_, changed)| changed).collect();
            if changed.is_empty() {
                continue;
            }
            if core == self.id {
                self.broadcast(changed);
            } else {
                let batch = self.mesh.open(usize::from(core));
                let bytes = changed.iter().map(|changed| changed.key.len() + 32);
                batch.posts_bytes += bytes.sum::<usize>();
                batch.messages.push_back(Message::Changed(changed));
            }
        }
    }

    // ---- to this core's clients

    /// Keys have changed, or all are gone.
    pub(super) fn invalidate(&mut self, notices: &[Notice], own: &mut Option<Own<'_>>) {
        for Notice { changed, numbers } in notices {
            let Some(changed) = changed else {
                let has_had = self.tracking.has_had;
                let clients = self.tracking.clients.iter();
                let everybody: Vec<NonZeroU32> = clients
                    .filter(|&(_, token)| Some(*token) != has_had)
                    .map(|(number, _)| *number)
                    .collect();
                for number in everybody {
                    self.tell_client(number, &Body::Everything, None, own);
                }
                continue;
            };
            let body = Body::of_keys([&*changed.key].into_iter());
            let cause = Cause {
                is_broadcast: false,
                writer: changed.writer,
                is_by_itself: changed.is_by_itself,
            };
            for number in numbers {
                self.tell_client(*number, &body, Some(cause), own);
            }
        }
    }

    /// Keys that have changed, of which this core's clients want to know some by their prefixes.
    pub(super) fn broadcast(&mut self, changed: Vec<Changed>) {
        // In order, each once, with the last writer.
        let changed: BTreeMap<Arc<[u8]>, Changed> = changed
            .into_iter()
            .map(|changed| (changed.key.clone(), changed))
            .collect();
        let prefixes: Vec<(Vec<u8>, Vec<NonZeroU32>)> = self
            .tracking
            .prefixes
            .iter()
            .map(|(prefix, clients)| (prefix.clone(), clients.clone()))
            .collect();
        for (prefix, clients) in prefixes {
            let of_prefix: Vec<&Changed> = changed
                .values()
                .filter(|changed| changed.key.starts_with(&prefix))
                .collect();
            if of_prefix.is_empty() {
                continue;
            }
            let body = Body::of_keys(of_prefix.iter().map(|changed| &*changed.key));
            let cause = Cause {
                is_broadcast: true,
                writer: None,
                is_by_itself: of_prefix.iter().any(|changed| changed.is_by_itself),
            };
            for number in clients {
                let own_number = Some(Tracker {
                    core: self.id,
                    number,
                });
                if !self.has_no_loop(number) {
                    self.tell_client(number, &body, Some(cause), &mut None);
                    continue;
                }
                let others: Vec<&[u8]> = of_prefix
                    .iter()
                    .filter(|changed| changed.writer != own_number)
                    .map(|changed| &*changed.key)
                    .collect();
                if !others.is_empty() {
                    let body = Body::of_keys(others.into_iter());
                    self.tell_client(number, &body, Some(cause), &mut None);
                }
            }
        }
    }

    fn has_no_loop(&mut self, number: NonZeroU32) -> bool {
        let token = self.tracking.clients.get(&number).copied();
        let connection = token.and_then(|token| self.connections.get_mut(token));
        let tracking = connection.and_then(|connection| connection.session.tracking.as_deref());
        tracking.is_some_and(|tracking| tracking.options.no_loop)
    }

    /// Tells one client, or whom it redirects to.
    ///
    /// - `of`: why; none: it concerns everybody who tracks.
    fn tell_client(
        &mut self,
        number: NonZeroU32,
        body: &Body,
        of: Option<Cause>,
        own: &mut Option<Own<'_>>,
    ) {
        let Some(&token) = self.tracking.clients.get(&number) else {
            return;
        };
        let is_own = is_own(own, token);
        let Some(connection) = find(&mut self.connections, own, token) else {
            if self.connections.is_out(token) {
                let body = body.clone();
                let unheard = Unheard::Tracker { number, body, of };
                self.tracking.unheard.push(unheard);
            }
            return;
        };
        let protocol = connection.session.protocol;
        let Some(tracking) = connection.session.tracking.as_deref() else {
            return;
        };
        let ClientTracking {
            tracker,
            options,
            redirect_core,
            ..
        } = *tracking;
        if let Some(cause) = of {
            // What it had read before it named prefixes does not count any more.
            let is_own_change = options.no_loop && cause.writer == Some(tracker);
            if cause.is_broadcast != options.is_broadcast || is_own_change {
                return;
            }
        }
        let encoded = body.encoded(protocol);
        let is_by_itself = of.is_some_and(|cause| cause.is_by_itself);
        if options.redirect == 0 {
            if protocol == Protocol::Resp3 {
                let head = b">2\r\n$10\r\ninvalidate\r\n";
                push(connection, &[head, &encoded], is_own);
                if is_by_itself && self.clients_memory.is_counted() {
                    self.clients_memory.add_untried(connection);
                }
                self.mark_told(token, own);
            }
            return;
        }
        let id = options.redirect;
        if redirect_core == self.id {
            self.tell_target(id, &encoded, tracker, is_by_itself, own);
        } else {
            let message = Message::Redirected {
                id,
                body: encoded,
                source: tracker,
                is_by_itself,
            };
            self.mesh.send(usize::from(redirect_core), message);
        }
    }

    /// Tells a client what another would have been told.
    pub(super) fn tell_target(
        &mut self,
        id: u64,
        body: &[u8],
        source: Tracker,
        is_by_itself: bool,
        own: &mut Option<Own<'_>>,
    ) {
        let token = self.tracking.targets.get(&id).copied();
        if let Some(token) = token
            && !is_own(own, token)
            && self.connections.is_out(token)
        {
            let unheard = Unheard::Target {
                id,
                body: body.into(),
                source,
                is_by_itself,
            };
            return self.tracking.unheard.push(unheard);
        }
        let is_own = token.is_some_and(|token| is_own(own, token));
        let connection = token.and_then(|token| find(&mut self.connections, own, token));
        let Some(connection) = connection.filter(|connection| !connection.closed) else {
            if source.core == self.id {
                return self.target_is_gone(source.number, own);
            }
            let number = source.number;
            let message = Message::TargetGone { number };
            return self.mesh.send(usize::from(source.core), message);
        };
        let head: &[u8] = match connection.session.protocol {
            Protocol::Resp3 => b">2\r\n$10\r\ninvalidate\r\n",
            Protocol::Resp2 if connection.session.subscribed => {
                b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
            }
            // There is no message it could take.
            Protocol::Resp2 => return,
        };
        push(connection, &[head, body], is_own);
        if is_by_itself && self.clients_memory.is_counted() {
            self.clients_memory.add_untried(connection);
        }
        if let Some(token) = token {
            self.mark_told(token, own);
        }
    }

    /// A script of this connection, which is out of its place, has run here: what has been told while it did, for it has
    /// published something, comes after its reply.
    #[inline]
    pub(super) fn tell_unheard(&mut self, token: Token, connection: &mut Connection) {
        if !self.tracking.unheard.is_empty() {
            self.tell_all_unheard(token, connection);
        }
    }

    #[cold]
    fn tell_all_unheard(&mut self, token: Token, connection: &mut Connection) {
        let own = &mut Some(Own { token, connection });
        for unheard in std::mem::take(&mut self.tracking.unheard) {
            match unheard {
                Unheard::Tracker { number, body, of } => self.tell_client(number, &body, of, own),
                Unheard::Target {
                    id,
                    body,
                    source,
                    is_by_itself,
                } => self.tell_target(id, &body, source, is_by_itself, own),
            }
        }
    }

    /// The client that another redirects to is not there any more.
    pub(super) fn target_is_gone(&mut self, number: NonZeroU32, own: &mut Option<Own<'_>>) {
        let Some(&token) = self.tracking.clients.get(&number) else {
            return;
        };
        let is_own = is_own(own, token);
        let Some(connection) = find(&mut self.connections, own, token) else {
            return;
        };
        let protocol = connection.session.protocol;
        let Some(tracking) = connection.session.tracking.as_deref_mut() else {
            return;
        };
        tracking.is_broken = true;
        if protocol == Protocol::Resp3 {
            let id = tracking.options.redirect;
            let text = format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n");
            push(connection, &[text.as_bytes()], is_own);
            self.mark_told(token, own);
        }
    }

    fn mark_told(&mut self, token: Token, own: &Option<Own<'_>>) {
        if !is_own(own, token) {
            self.mark_dirty(token);
        }
    }
}

impl Notice {
    fn bytes_count(&self) -> usize {
        let key = (self.changed.as_ref()).map_or(0, |changed| changed.key.len());
        key + size_of::<Self>() + self.numbers.len() * size_of::<NonZeroU32>()
    }
}

/// Whether it is the connection that is out of its place.
fn is_own(own: &Option<Own<'_>>, token: Token) -> bool {
    own.as_ref().is_some_and(|own| own.token == token)
}

/// A connection, which may be the one that is out of its place.
fn find<'c>(
    connections: &'c mut Connections,
    own: &'c mut Option<Own<'_>>,
    token: Token,
) -> Option<&'c mut Connection> {
    match own {
        Some(own) if own.token == token => Some(&mut *own.connection),
        _ => connections.get_mut(token),
    }
}

/// Appends a message to what a client is sent. A reply that it must not overtake may be outstanding; what its own request
/// makes it forget comes after what is published of it.
fn push(connection: &mut Connection, parts: &[&[u8]], is_own: bool) {
    if connection.closed || connection.close_after_output {
        return;
    }
    if is_own || connection.is_answered_first() {
        let late = &mut connection.late;
        return parts.iter().for_each(|part| late.extend_from_slice(part));
    }
    connection.push(|out| parts.iter().for_each(|part| out.extend_from_slice(part)));
}
