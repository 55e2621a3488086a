//! Pub/Sub: subscriptions of this core's connections, and messages on their way to them.
//!
//!     PUBLISH on core 2 -> directory: cores 0 and 3 -> the message, once to each -> their connections' outputs
//!                                             core 2 <- how many received it  <-/
//!
//! Promises  the reply to PUBLISH comes when every subscriber has the message in its output, or behind nothing but replies to
//!           what had run by then (`node/news.rs`); what a client asked for before a PUBLISH is done before it, what comes after
//!           it (other than PUBLISH) is done after it, so no client can see the two in another order. A SUBSCRIBE is in force
//!           everywhere before its reply. A message is encoded once, whatever the number of cores, connections and protocols;
//!           messages that come close together go to many subscribers together, for each send costs the kernel more than all
//!           the rest. A connection that is subscribed stays on its core.
//! Not here  who is subscribed: `node/subscriptions.rs` for one core, `node/directory.rs` for all.
//! Tests     tests/server/pubsub.rs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::{Blocked, Connection};
use super::core::Core;
use super::dispatch::{Dispatched, OUTPUT_LOOK_BYTES, take_silence};
use super::message::Message;
use super::ring::Token;
use super::slab::Connections;
use super::subscriptions::{Left, Name, Subscribers, Subscriptions};
use crate::base::glob::glob_match;
use crate::base::ticks::TickClock;
use crate::commands::pubsub::{PubSub, Subject};
use crate::commands::table::unknown_or_arity;
use crate::commands::{CommandError, Entry};
use crate::resp::{Args, Protocol, Reply};
use crate::router::TxId;

/// So many subscriptions of a closed connection end in one turn, about half a millisecond.
const LEAVES_PER_TURN: usize = 512;

/// Messages to fewer connections are not worth a wait.
const GATHER_COUNT_MIN: usize = 16;
/// About what a send takes.
const SEND_NS: u64 = 2_000;
/// About what sending to all is taken for at most, however many they are.
const GATHER_NS_MAX: u64 = 1_000_000;

/// A message as it crosses cores: encoded from the channel on, in both protocols the same.
pub struct Post {
    subject: Subject,
    /// Where the channel's name lies in `encoded`.
    channel: std::ops::Range<usize>,
    encoded: Vec<u8>,
}

impl Post {
    fn new(subject: Subject, channel: &[u8], message: &[u8]) -> Self {
        let mut encoded = Vec::with_capacity(channel.len() + message.len() + 32);
        let mut reply = Reply::new(&mut encoded, Protocol::Resp2);
        reply.bulk(channel);
        let end = reply.len() - 2;
        reply.bulk(message);
        Self {
            subject,
            channel: end - channel.len()..end,
            encoded,
        }
    }

    fn channel(&self) -> &[u8] {
        &self.encoded[self.channel.clone()]
    }

    /// Bytes it takes on its way.
    pub fn bytes_count(&self) -> usize {
        self.encoded.len()
    }

    /// What stands before the channel, without the first byte, which names the protocol.
    fn head(&self) -> &'static [u8] {
        match self.subject {
            Subject::ShardChannel => b"3\r\n$8\r\nsmessage\r\n",
            Subject::Channel | Subject::Pattern => b"3\r\n$7\r\nmessage\r\n",
        }
    }
}

/// What a core keeps for Pub/Sub.
#[derive(Default)]
pub struct CorePubSub {
    subscribers: Subscribers,
    /// Messages of this core's clients that other cores have not answered for yet.
    posted: HashMap<u64, Posted, ahash::RandomState>,
    next_post: u64,
    /// Connections that have closed and whose subscriptions have not all ended.
    leaving: Vec<Token>,
    gathering: Gathering,
    /// Kept for its allocation.
    audience: Vec<u16>,
    /// The core that the last message went to, if it was one.
    sole_core: Option<u16>,
    /// Likewise.
    full: Vec<Token>,
    /// Connections that were out of their place when their own in a name's list changed.
    moves: Vec<(Token, Subject, Name, u32)>,
}

/// Messages that wait to be sent.
#[derive(Default)]
struct Gathering {
    /// When some went last (`Core::clock`), to how many connections.
    last: u64,
    last_count: usize,
    /// How many messages those were.
    last_messages_count: u64,
    /// How many have come since.
    messages_count: u64,
    /// Since when the first of them waits.
    since: Option<u64>,
}

struct Posted {
    asker: Asker,
    waiting_count: usize,
    receivers_count: u64,
    /// The message to the publisher itself, which follows its reply.
    own: Vec<u8>,
}

/// Who gets the reply to PUBLISH.
enum Asker {
    /// A connection, for this request.
    Request(Token, u64),
    /// A block or a script.
    Transaction(TxId),
}

/// The connection that is out of its place while it publishes, or has had what it publishes.
pub(super) struct Publisher<'a> {
    /// Its core.
    pub core: u16,
    /// Which it is.
    pub token: Token,
    /// What it speaks, and what it is to be sent after its reply; none where it has had it.
    own: Option<(Protocol, &'a mut Vec<u8>)>,
}

impl<'a> Publisher<'a> {
    /// One that is out of its place: what it is to be sent goes to `own`.
    pub fn at_work(core: u16, token: Token, protocol: Protocol, own: &'a mut Vec<u8>) -> Self {
        Self {
            core,
            token,
            own: Some((protocol, own)),
        }
    }

    /// One that has had it, or was not subscribed when it was said.
    pub fn served(core: u16, token: Token) -> Self {
        Self {
            core,
            token,
            own: None,
        }
    }
}

impl Core {
    /// Carries out a command of the Pub/Sub family.
    pub(super) fn run_pubsub(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        what: PubSub,
    ) -> Dispatched {
        match what {
            PubSub::Publish(subject) => self.publish(token, connection, entry, args, subject),
            _ => self.run_alone(token, connection, entry, args, what),
        }
    }

    /// Everything but PUBLISH waits for the replies before it.
    fn run_alone(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        what: PubSub,
    ) -> Dispatched {
        if self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        self.take_moves_of(token, connection);
        let words = entry.handler_args(args);
        let length = connection.output.len();
        let mut is_message = false;
        let mut reply = Reply::new(&mut connection.output, connection.session.protocol);
        let answered = match what {
            PubSub::Subscribe(subject) => {
                is_message = true;
                self.subscribe(token, connection, &words, subject);
                Ok(())
            }
            PubSub::Unsubscribe(subject) => {
                is_message = true;
                self.unsubscribe(connection, &words, subject);
                Ok(())
            }
            _ => self.write_subscribed(what, &words, &mut reply),
        };
        if let Err(error) = answered {
            connection.output.truncate(length);
            return self.fail_request(connection, entry, &error);
        }
        // What confirms a subscription is a message, which CLIENT REPLY does not keep back.
        if take_silence(connection) && !is_message {
            connection.output.truncate(length);
        }
        self.count(connection, entry);
        Dispatched::Taken
    }

    /// PUBSUB: who is subscribed to what, over all cores.
    pub(super) fn write_subscribed(
        &self,
        what: PubSub,
        words: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), CommandError> {
        let directory = &self.mesh.board().directory;
        match what {
            PubSub::Names(subject) => return self.write_names(words, subject, reply),
            PubSub::Counts(subject) => {
                let roll = directory.roll(subject);
                reply.array(2 * (words.len() - 1));
                for name in words.iter_from(1) {
                    reply.bulk(name);
                    reply.integer(roll.subscribers_count(name) as i64);
                }
            }
            PubSub::PatternsCount => {
                let roll = directory.roll(Subject::Pattern);
                reply.integer(roll.names_count() as i64);
            }
            PubSub::Subscribe(_) | PubSub::Unsubscribe(_) | PubSub::Publish(_) => {}
        }
        Ok(())
    }

    /// PUBSUB CHANNELS and SHARDCHANNELS.
    fn write_names(
        &self,
        words: &Args<'_>,
        subject: Subject,
        reply: &mut Reply<'_>,
    ) -> Result<(), CommandError> {
        if words.len() > 2 {
            return Err(unknown_or_arity("PUBSUB", words.get(0)));
        }
        let roll = self.mesh.board().directory.roll(subject);
        let names = match words.len() {
            1 => roll.names(|_| true),
            _ => roll.names(|name| glob_match(words.get(1), name, false)),
        };
        reply.array(names.len());
        names.iter().for_each(|name| reply.bulk(name));
        Ok(())
    }

    // ---- subscriptions

    fn subscribe(
        &mut self,
        token: Token,
        connection: &mut Connection,
        words: &Args<'_>,
        subject: Subject,
    ) {
        let board = self.mesh.board().clone();
        let subscriptions = connection.subscriptions.get_or_insert_default();
        let mut reply = Reply::new(&mut connection.output, connection.session.protocol);
        for name in words.iter_from(1) {
            if !subscriptions.of(subject).contains_key(name) {
                let subscribers = &mut self.pubsub.subscribers;
                let is_first = subscribers.has_none(subject, name);
                // Until its name is in the directory nothing is sent here for it.
                let name = board.directory.enter(subject, name, self.id, is_first);
                let place = subscribers.enter(subject, &name, token);
                subscriptions.of_mut(subject).insert(name, place);
            }
            reply.push(3);
            reply.bulk(subject.subscribed_word().as_bytes());
            reply.bulk(name);
            reply.integer(subscriptions.count_beside(subject));
        }
        if !std::mem::replace(&mut connection.session.subscribed, true) {
            board.directory.clients_count.fetch_add(1, Ordering::SeqCst);
        }
        connection.stay(&board.cores, self.id);
    }

    fn unsubscribe(&mut self, connection: &mut Connection, words: &Args<'_>, subject: Subject) {
        let mut subscriptions = connection.subscriptions.take().unwrap_or_default();
        let mut reply = Reply::new(&mut connection.output, connection.session.protocol);
        let mut confirm = |name: Option<&[u8]>, subscriptions: &Subscriptions| {
            reply.push(3);
            reply.bulk(subject.unsubscribed_word().as_bytes());
            match name {
                Some(name) => reply.bulk(name),
                None => reply.null(),
            }
            reply.integer(subscriptions.count_beside(subject));
        };
        if words.len() > 1 {
            for word in words.iter_from(1) {
                if let Some((name, place)) = subscriptions.of_mut(subject).remove_entry(word) {
                    self.leave(subject, &name, place);
                }
                confirm(Some(word), &subscriptions);
            }
        } else if subscriptions.of(subject).is_empty() {
            confirm(None, &subscriptions);
        } else {
            let names: Vec<Name> = subscriptions.of(subject).keys().cloned().collect();
            for name in names {
                if let Some(place) = subscriptions.of_mut(subject).remove(&name) {
                    self.leave(subject, &name, place);
                }
                confirm(Some(&name), &subscriptions);
            }
        }
        if subscriptions.is_empty() {
            self.has_unsubscribed(connection.session.subscribed);
            connection.session.subscribed = false;
        } else {
            connection.subscriptions = Some(subscriptions);
        }
    }

    /// Ends all subscriptions of a connection without a word: it is as new.
    pub(super) fn drop_subscriptions(&mut self, token: Token) {
        self.forget_subscriber(token);
        while !self.leave_some(token) {}
    }

    /// A connection has closed: its subscriptions end, those beyond the first few in later turns. It keeps its place
    /// until then, but nothing is sent to it and it is not counted.
    pub(super) fn leave_all(&mut self, token: Token) {
        self.forget_subscriber(token);
        if !self.leave_some(token) && !self.pubsub.leaving.contains(&token) {
            self.pubsub.leaving.push(token);
        }
    }

    /// Goes on where [`Core::leave_all`] has left off; whether there is more.
    pub(super) fn go_on_leaving(&mut self) -> bool {
        if !self.pubsub.moves.is_empty() {
            self.settle_moves();
            // All are back by now, or have gone.
            self.pubsub.moves.clear();
        }
        if let Some(&token) = self.pubsub.leaving.last()
            && self.leave_some(token)
        {
            self.pubsub.leaving.pop();
            self.release(token);
        }
        !self.pubsub.leaving.is_empty()
    }

    /// Tells a connection that is out of its place where it stands in names' lists by now.
    fn take_moves_of(&mut self, token: Token, connection: &mut Connection) {
        if !self.pubsub.moves.is_empty() {
            self.pubsub.moves.retain(|(moved, subject, name, place)| {
                if *moved == token {
                    move_to(connection, *subject, name, *place);
                }
                *moved != token
            });
        }
    }

    /// The same for all that are back in their places.
    fn settle_moves(&mut self) {
        let connections = &mut self.connections;
        self.pubsub.moves.retain(|(token, subject, name, place)| {
            let connection = connections.get_mut(*token);
            let is_back = connection.is_some();
            if let Some(connection) = connection {
                move_to(connection, *subject, name, *place);
            }
            !is_back
        });
    }

    /// Ends some subscriptions of a connection; whether all have ended.
    fn leave_some(&mut self, token: Token) -> bool {
        self.settle_moves();
        for subject in Subject::ALL {
            let Some(connection) = self.connections.get_mut(token) else {
                return true;
            };
            let Some(subscriptions) = &mut connection.subscriptions else {
                return true;
            };
            let names = subscriptions.of(subject).keys();
            let names: Vec<Name> = names.take(LEAVES_PER_TURN).cloned().collect();
            if names.is_empty() {
                continue;
            }
            for name in names {
                // Borrowed for each: where one leaves a list, another connection may take its place there.
                let place = self
                    .connections
                    .get_mut(token)
                    .and_then(|connection| connection.subscriptions.as_mut())
                    .and_then(|subscriptions| subscriptions.of_mut(subject).remove(&name));
                if let Some(place) = place {
                    self.leave(subject, &name, place);
                }
            }
            return self.has_left_all(token);
        }
        self.has_left_all(token)
    }

    /// Whether a connection has no subscription; what held them goes with the last.
    fn has_left_all(&mut self, token: Token) -> bool {
        let Some(connection) = self.connections.get_mut(token) else {
            return true;
        };
        let is_empty = connection
            .subscriptions
            .as_ref()
            .is_none_or(|subscriptions| subscriptions.is_empty());
        if is_empty {
            connection.subscriptions = None;
        }
        is_empty
    }

    fn forget_subscriber(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token) {
            let was_subscribed = std::mem::take(&mut connection.session.subscribed);
            self.has_unsubscribed(was_subscribed);
        }
    }

    fn has_unsubscribed(&mut self, was_subscribed: bool) {
        let directory = &self.mesh.board().directory;
        let count = usize::from(was_subscribed);
        directory.clients_count.fetch_sub(count, Ordering::SeqCst);
    }

    /// Takes a connection out of a name's list; its own list has lost the name already.
    fn leave(&mut self, subject: Subject, name: &Name, place: u32) {
        let left = self.pubsub.subscribers.leave(subject, name, place);
        if let Left::Moved(token) = left {
            if !self.pubsub.moves.is_empty() {
                // It may have moved before while it was out of its place, in this same turn.
                (self.pubsub.moves)
                    .retain(|(moved, of, from, _)| (*moved, *of, from) != (token, subject, name));
            }
            match self.connections.get_mut(token) {
                Some(connection) => move_to(connection, subject, name, place),
                // Whoever publishes has just had another one closed.
                None => (self.pubsub.moves).push((token, subject, name.clone(), place)),
            }
        }
        let directory = &self.mesh.board().directory;
        directory.leave(subject, name, self.id, left == Left::Nobody);
    }

    // ---- messages

    fn publish(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        subject: Subject,
    ) -> Dispatched {
        if !connection.is_drained()
            && (!connection.publishing || connection.has_full_portion(self.portion))
        {
            connection.blocked = Some(Blocked::UntilDrained);
            return Dispatched::NotYet;
        }
        if self.mesh.is_congested() {
            connection.blocked = Some(Blocked::Congested);
            self.congested.push(token);
            return Dispatched::NotYet;
        }
        if let Some(target) = self.move_of(connection) {
            return self.begin_move(token, connection, target);
        }
        let silent = take_silence(connection);
        let mut own = Vec::new();
        let must_wait = connection.must_hold() || !self.withheld.is_empty();
        let (receivers_count, waiting_count) = if self.withholds() && must_wait {
            let publisher = (token, &*connection);
            let count = self.say_later(publisher, args, subject, &mut own);
            (count, 0)
        } else {
            let protocol = connection.session.protocol;
            let mut publisher = Publisher::at_work(self.id, token, protocol, &mut own);
            let id = Some(self.pubsub.next_post);
            let (channel, message) = (args.get(1), args.get(2));
            let counts = self.spread(subject, channel, message, id, Some(&mut publisher));
            if let Some(core) = self.pubsub.sole_core {
                // A publisher is best where its subscribers are, if those are on one core: they stay where they are.
                self.follow_keys(connection, core);
            }
            counts
        };
        if silent {
            // Messages are sent all the same.
            connection.output.append(&mut own);
        }
        if waiting_count == 0 {
            connection.write_reply(|out, session| {
                if !silent {
                    Reply::new(out, session.protocol).integer(receivers_count as i64);
                }
                out.append(&mut own);
            });
        } else {
            connection.publishing = true;
            let posted = Posted {
                asker: Asker::Request(token, connection.reserve(silent)),
                waiting_count,
                receivers_count,
                own,
            };
            self.pubsub.posted.insert(self.pubsub.next_post, posted);
            self.pubsub.next_post += 1;
        }
        self.count(connection, entry);
        Dispatched::Taken
    }

    /// PUBLISH of a script, where only this core has subscribers, if any core has: how many received it.
    ///
    /// - `publisher`: who runs the script, and on which core that is.
    pub(super) fn publish_here(
        &mut self,
        publisher: (u16, Token),
        args: &Args<'_>,
        subject: Subject,
    ) -> Option<u64> {
        self.tell_before(self.own_token(publisher));
        if self.withholds() {
            return Some(self.say_at_the_end(publisher, None, args, subject));
        }
        let mut audience = std::mem::take(&mut self.pubsub.audience);
        let directory = &self.mesh.board().directory;
        directory.audience(subject, args.get(1), &mut audience);
        let is_here = audience.iter().all(|&core| core == self.id);
        let is_nobody = audience.is_empty();
        audience.clear();
        self.pubsub.audience = audience;
        if !is_here {
            return None;
        }
        if is_nobody {
            return Some(0);
        }
        let post = Post::new(subject, args.get(1), args.get(2));
        Some(self.deliver(&post, None))
    }

    /// PUBLISH between MULTI and EXEC, or of a script. What the publisher itself is subscribed to comes after its reply.
    ///
    /// - `publisher`: whose block or script it is, and on which core that is.
    pub(super) fn publish_queued(
        &mut self,
        publisher: (u16, Token),
        tx: TxId,
        args: &Args<'_>,
        subject: Subject,
    ) {
        self.tell_before(self.own_token(publisher));
        let (receivers_count, waiting_count) = if self.withholds() {
            let count = self.say_at_the_end(publisher, Some(tx), args, subject);
            (count, 0)
        } else {
            let id = Some(self.pubsub.next_post);
            self.spread(subject, args.get(1), args.get(2), id, None)
        };
        if waiting_count == 0 {
            let mut reply = Vec::new();
            Reply::new(&mut reply, Protocol::Resp2).integer(receivers_count as i64);
            return self.report(tx, reply, None);
        }
        let posted = Posted {
            asker: Asker::Transaction(tx),
            waiting_count,
            receivers_count,
            own: Vec::new(),
        };
        self.pubsub.posted.insert(self.pubsub.next_post, posted);
        self.pubsub.next_post += 1;
    }

    /// A connection that may be another core's, where it is one of this core.
    pub(super) fn own_token(&self, (core, token): (u16, Token)) -> Option<Token> {
        (core == self.id).then_some(token)
    }

    /// Sends a message to whoever is subscribed, on this core and others.
    ///
    /// - `id`: has other cores answer; none: nobody waits for them.
    /// - Returns how many of this core's connections have it, and how many other cores were sent it.
    pub(super) fn spread(
        &mut self,
        subject: Subject,
        channel: &[u8],
        message: &[u8],
        id: Option<u64>,
        mut publisher: Option<&mut Publisher<'_>>,
    ) -> (u64, usize) {
        let mut audience = std::mem::take(&mut self.pubsub.audience);
        let directory = &self.mesh.board().directory;
        directory.audience(subject, channel, &mut audience);
        self.pubsub.sole_core = match audience[..] {
            [core] => Some(core),
            _ => None,
        };
        let mut receivers_count = 0;
        let mut others_count = 0;
        if !audience.is_empty() {
            let post = Arc::new(Post::new(subject, channel, message));
            for &core in &audience {
                let own = publisher.as_deref_mut().filter(|own| own.core == core);
                if core == self.id {
                    receivers_count = self.deliver(&post, own);
                    continue;
                }
                let has_had = own.map(|own| own.token);
                others_count += 1;
                let batch = self.mesh.open(usize::from(core));
                batch.posts_bytes += post.bytes_count();
                let post = post.clone();
                let message = Message::Post { id, post, has_had };
                batch.messages.push_back(message);
            }
        }
        audience.clear();
        self.pubsub.audience = audience;
        (receivers_count, others_count)
    }

    /// A message of core `from` has come.
    pub(super) fn post_came(
        &mut self,
        from: usize,
        id: Option<u64>,
        post: &Post,
        has_had: Option<Token>,
    ) {
        let mut publisher = has_had.map(|token| Publisher::served(self.id, token));
        let receivers_count = self.deliver(post, publisher.as_mut());
        let Some(id) = id else { return };
        let message = Message::Posted {
            id,
            receivers_count,
        };
        self.mesh.send(from, message);
    }

    /// A message has come of a script that a client of this core has sent to another: it has it before all others, for its
    /// reply waits for the same records. What the client is subscribed to has not changed since it sent the script.
    pub(super) fn own_post_came(&mut self, token: Token, post: &Post) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.closed || connection.close_after_output {
            return;
        }
        let mut own = Vec::new();
        write_post(connection, post, &mut own);
        if !own.is_empty() {
            connection.push_message(|| self.clock.raw(), |out| out.append(&mut own));
            self.mark_dirty(token);
        }
    }

    /// Sends a message of a script here to who runs it on another core.
    pub(super) fn say_to_own(
        &mut self,
        core: u16,
        token: Token,
        (channel, message): (&[u8], &[u8]),
        subject: Subject,
    ) {
        let mut audience = std::mem::take(&mut self.pubsub.audience);
        let directory = &self.mesh.board().directory;
        directory.audience(subject, channel, &mut audience);
        if audience.contains(&core) {
            let post = Arc::new(Post::new(subject, channel, message));
            let batch = self.mesh.open(usize::from(core));
            batch.posts_bytes += post.bytes_count();
            batch.messages.push_back(Message::OwnPost { token, post });
        }
        audience.clear();
        self.pubsub.audience = audience;
    }

    /// A core says how many of its connections have a message.
    pub(super) fn post_arrived(&mut self, id: u64, receivers_count: u64) {
        let Some(posted) = self.pubsub.posted.get_mut(&id) else {
            return;
        };
        posted.receivers_count += receivers_count;
        posted.waiting_count -= 1;
        if posted.waiting_count > 0 {
            return;
        }
        let Some(mut posted) = self.pubsub.posted.remove(&id) else {
            return;
        };
        let mut reply = Vec::with_capacity(24 + posted.own.len());
        Reply::new(&mut reply, Protocol::Resp2).integer(posted.receivers_count as i64);
        match posted.asker {
            Asker::Request(token, sequence) => {
                reply.append(&mut posted.own);
                self.fill(token, sequence, &reply);
            }
            Asker::Transaction(tx) => self.report(tx, reply, None),
        }
    }

    /// For how long the messages that wait to be sent may go on waiting.
    ///
    /// A message to many takes as many sends, however short it is, so what comes together is to go together.
    /// - Where messages keep coming, sending takes at most half of the core's time. The first after a while goes at once, and
    ///   so do those that come one by one, whose publisher may wait for its subscribers.
    /// - Cores whose clients publish at the same time hand each other their messages with the answers: those are waited for,
    ///   but not for longer than the sends will take.
    pub(super) fn gathers_messages(&mut self) -> Option<Duration> {
        let count = self.pushed.len();
        let gathering = &mut self.pubsub.gathering;
        if count < GATHER_COUNT_MIN || self.stopping {
            *gathering = Gathering::default();
            return None;
        }
        let now = self.clock.raw();
        let since = *gathering.since.get_or_insert(now);
        let sends_ns = |count: usize| (count as u64 * SEND_NS).min(GATHER_NS_MAX);
        let left_ns = |begin: u64, whole_ns: u64| {
            whole_ns.saturating_sub(self.clock.delta_as_nanos(begin, now))
        };
        let mut wait_ns = 0;
        if gathering.messages_count.max(gathering.last_messages_count) > 1 {
            wait_ns = left_ns(gathering.last, 2 * sends_ns(gathering.last_count));
        }
        if !self.pubsub.posted.is_empty() {
            wait_ns = wait_ns.max(left_ns(since, sends_ns(count)));
        }
        if wait_ns > 0 {
            return Some(Duration::from_nanos(wait_ns));
        }
        *gathering = Gathering {
            last: now,
            last_count: count,
            last_messages_count: gathering.messages_count,
            messages_count: 0,
            since: None,
        };
        None
    }

    /// Appends a message to the outputs of this core's subscribers; returns how often it was.
    fn deliver(&mut self, post: &Post, publisher: Option<&mut Publisher<'_>>) -> u64 {
        self.pubsub.gathering.messages_count += 1;
        let mut full = std::mem::take(&mut self.pubsub.full);
        let mut outputs = Outputs {
            connections: &mut self.connections,
            pushed: &mut self.pushed,
            spare: &mut self.spare,
            full: &mut full,
            publisher,
            clock: &self.clock,
        };
        let subscribers = &self.pubsub.subscribers;
        let mut count = 0;
        for &token in subscribers.of(post.subject, post.channel()) {
            count += u64::from(outputs.hand_over(token, [post.head(), &post.encoded]));
        }
        if post.subject == Subject::Channel {
            subscribers.matching(post.channel(), |pattern| {
                let head = pattern_head(pattern);
                for &token in subscribers.of(Subject::Pattern, pattern) {
                    count += u64::from(outputs.hand_over(token, [&head, &post.encoded]));
                }
            });
        }
        // Closing one of them changes the lists that were just walked.
        for token in full.drain(..) {
            self.check_output(token);
        }
        self.pubsub.full = full;
        count
    }
}

/// Appends a message to `own` as often as its publisher is subscribed to it; what it looks at are its own subscriptions.
pub(super) fn write_own(
    publisher: &Connection,
    subject: Subject,
    (channel, message): (&[u8], &[u8]),
    own: &mut Vec<u8>,
) {
    if publisher.subscriptions.is_some() {
        write_post(publisher, &Post::new(subject, channel, message), own);
    }
}

fn write_post(publisher: &Connection, post: &Post, own: &mut Vec<u8>) {
    let Some(subscriptions) = &publisher.subscriptions else {
        return;
    };
    let protocol = publisher.session.protocol;
    let (subject, channel) = (post.subject, post.channel());
    if subscriptions.of(subject).contains_key(channel) {
        append(own, protocol, [post.head(), &post.encoded]);
    }
    if subject == Subject::Channel {
        for pattern in subscriptions.of(Subject::Pattern).keys() {
            if glob_match(pattern, channel, false) {
                append(own, protocol, [&pattern_head(pattern), &post.encoded]);
            }
        }
    }
}

/// What stands before the channel of a message that a pattern matches, without the first byte.
fn pattern_head(pattern: &[u8]) -> Vec<u8> {
    let mut head = b"4\r\n$8\r\npmessage\r\n".to_vec();
    Reply::new(&mut head, Protocol::Resp2).bulk(pattern);
    head
}

/// A connection stands elsewhere in a name's list.
fn move_to(connection: &mut Connection, subject: Subject, name: &Name, place: u32) {
    if let Some(subscriptions) = &mut connection.subscriptions
        && let Some(own) = subscriptions.of_mut(subject).get_mut(name)
    {
        *own = place;
    }
}

/// What a message needs of a core to reach connections, beside the lists of its subscribers.
struct Outputs<'a, 'p> {
    connections: &'a mut Connections,
    pushed: &'a mut Vec<Token>,
    spare: &'a mut Vec<Vec<u8>>,
    /// Connections whose unsent output is to be held against its limit.
    full: &'a mut Vec<Token>,
    publisher: Option<&'a mut Publisher<'p>>,
    clock: &'a TickClock,
}

impl Outputs<'_, '_> {
    /// Gives one connection a message; whether it is still there. Outputs hold whole replies only, so a message is never
    /// inside one.
    #[inline]
    fn hand_over(&mut self, token: Token, parts: [&[u8]; 2]) -> bool {
        if let Some(publisher) = &mut self.publisher
            && publisher.token == token
        {
            if let Some((protocol, own)) = &mut publisher.own {
                append(own, *protocol, parts);
            }
            return true;
        }
        let Some(connection) = self.connections.get_mut(token) else {
            return false;
        };
        if connection.closed || connection.close_after_output {
            return !connection.closed;
        }
        let protocol = connection.session.protocol;
        if connection.output.capacity() == 0 {
            connection.output = self.spare.pop().unwrap_or_default();
        }
        // A block or a script is one step to everybody, so to this client as well: what it publishes comes after its reply.
        connection.push_message(|| self.clock.raw(), |out| append(out, protocol, parts));
        if !connection.is_pushed {
            connection.is_pushed = true;
            self.pushed.push(token);
        }
        if connection.output_bytes() > OUTPUT_LOOK_BYTES {
            self.full.push(token);
        }
        true
    }
}

fn append(out: &mut Vec<u8>, protocol: Protocol, parts: [&[u8]; 2]) {
    out.reserve(1 + parts[0].len() + parts[1].len());
    out.push(match protocol {
        Protocol::Resp2 => b'*',
        Protocol::Resp3 => b'>',
    });
    out.extend_from_slice(parts[0]);
    out.extend_from_slice(parts[1]);
}
