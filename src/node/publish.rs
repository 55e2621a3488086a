//! PUBLISH: messages on their way to whoever is subscribed.
//!
//!     PUBLISH on core 2 -> directory: cores 0 and 3 -> the message, once to each -> their connections' outputs
//!                                             core 2 <- how many received it  <-/
//!
//! Promises  the reply to PUBLISH comes when every subscriber has the message in its output, or behind nothing but replies to
//!           what had run by then (`node/news.rs`); what a client asked for before a PUBLISH is done before it, what comes after
//!           it (other than PUBLISH) is done after it, so no client can see the two in another order. Messages that come close
//!           together go to many subscribers together, for each send costs the kernel more than all the rest.
//! Not here  how a message is encoded: `node/post.rs`; subscriptions: `node/pubsub.rs`.
//! Tests     tests/server/pubsub.rs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Blocked, Connection};
use super::core::Core;
use super::dispatch::{Dispatched, OUTPUT_LOOK_BYTES, take_silence};
use super::message::Message;
use super::post::{Post, append, pattern_head, write_post};
use super::ring::Token;
use super::slab::Connections;
use crate::base::ticks::TickClock;
use crate::commands::Entry;
use crate::commands::pubsub::Subject;
use crate::resp::{Args, Protocol, Reply};
use crate::router::TxId;

/// Messages to fewer connections are not worth a wait.
const GATHER_COUNT_MIN: usize = 16;
/// About what a send takes.
const SEND_NS: u64 = 2_000;
/// About what sending to all is taken for at most, however many they are.
const GATHER_NS_MAX: u64 = 1_000_000;

/// What a core keeps of messages on their way.
#[derive(Default)]
pub(super) struct Publishing {
    /// Messages of this core's clients that other cores have not answered for yet.
    posted: HashMap<u64, Posted, ahash::RandomState>,
    next_post: u64,
    gathering: Gathering,
    /// The core that the last message went to, if it was one.
    sole_core: Option<u16>,
    /// Kept for its allocation.
    audience: Vec<u16>,
    /// Likewise.
    full: Vec<Token>,
}

impl Publishing {
    /// A message has been sent to other cores as number `next_post`.
    fn await_answers(&mut self, posted: Posted) {
        self.posted.insert(self.next_post, posted);
        self.next_post += 1;
    }
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
    pub(super) fn publish(
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
            let id = Some(self.pubsub.publishing.next_post);
            let (channel, message) = (args.get(1), args.get(2));
            let counts = self.spread(subject, channel, message, id, Some(&mut publisher));
            if let Some(core) = self.pubsub.publishing.sole_core {
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
            self.pubsub.publishing.await_answers(posted);
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
        let mut audience = std::mem::take(&mut self.pubsub.publishing.audience);
        let directory = &self.mesh.board().directory;
        directory.audience(subject, args.get(1), &mut audience);
        let is_here = audience.iter().all(|&core| core == self.id);
        let is_nobody = audience.is_empty();
        audience.clear();
        self.pubsub.publishing.audience = audience;
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
            let id = Some(self.pubsub.publishing.next_post);
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
        self.pubsub.publishing.await_answers(posted);
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
        let mut audience = std::mem::take(&mut self.pubsub.publishing.audience);
        let directory = &self.mesh.board().directory;
        directory.audience(subject, channel, &mut audience);
        self.pubsub.publishing.sole_core = match audience[..] {
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
        self.pubsub.publishing.audience = audience;
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
        let mut audience = std::mem::take(&mut self.pubsub.publishing.audience);
        let directory = &self.mesh.board().directory;
        directory.audience(subject, channel, &mut audience);
        if audience.contains(&core) {
            let post = Arc::new(Post::new(subject, channel, message));
            let batch = self.mesh.open(usize::from(core));
            batch.posts_bytes += post.bytes_count();
            batch.messages.push_back(Message::OwnPost { token, post });
        }
        audience.clear();
        self.pubsub.publishing.audience = audience;
    }

    /// A core says how many of its connections have a message.
    pub(super) fn post_arrived(&mut self, id: u64, receivers_count: u64) {
        let Some(posted) = self.pubsub.publishing.posted.get_mut(&id) else {
            return;
        };
        posted.receivers_count += receivers_count;
        posted.waiting_count -= 1;
        if posted.waiting_count > 0 {
            return;
        }
        let Some(mut posted) = self.pubsub.publishing.posted.remove(&id) else {
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
        let gathering = &mut self.pubsub.publishing.gathering;
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
        if !self.pubsub.publishing.posted.is_empty() {
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
        self.pubsub.publishing.gathering.messages_count += 1;
        let mut full = std::mem::take(&mut self.pubsub.publishing.full);
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
        self.pubsub.publishing.full = full;
        count
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
