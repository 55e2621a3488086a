//! What others are told, kept back with `appendfsync always` until what it reveals is durable: messages, news of keys.
//!
//!     news of the shard's keys --------------------\
//!     PUBLISH behind writes of its own client ------> Withheld --the logs have got on--> told as without a log
//!     PUBLISH in a block or a script --its end-----/
//!
//! Promises  nobody learns from others of a write that a power cut may take back; without `appendfsync always` this is one
//!           branch where there is something to tell. MONITOR and SLOWLOG show requests, not what became of them, and INFO is
//!           what operators look at while a disk hangs, when Redis answers nobody: they wait for nothing. Messages are bounded:
//!           while a core keeps back 64 MiB of them, requests that may say more wait, on all cores. Who says something that he is
//!           subscribed to himself has it where it stands among his replies, which wait for the same records; the same goes for
//!           news of what he does. A client's news and messages reach everybody in its order.
//! Not here  what waits for what: `persist/withheld.rs`; replies: `node/holding.rs`.
//! Tests     tests/server/withheld.rs.

use std::sync::atomic::Ordering;

use super::block;
use super::connection::{Blocked, Connection};
use super::core::Core;
use super::events::{for_each_message, say_late};
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use super::post::write_own;
use super::publish::Publisher;
use super::ring::Token;
use super::tracking::Own;
use crate::base::glob::glob_match;
use crate::commands::Entry;
use crate::commands::client_tracking::changes_what_is_told;
use crate::commands::pubsub::Subject;
use crate::commands::table::{Flags, Run, Verb};
use crate::keyspace::Classes;
use crate::keyspace::events::Event;
use crate::keyspace::tracking::Invalidation;
use crate::persist::Holds;
use crate::resp::Args;
use crate::router::TxId;

/// Bytes of messages that a core keeps back before requests that may say more wait. News takes no more than the log that it
/// waits for, which is bounded by itself.
const SAID_BYTES_MAX: usize = 64 << 20;

/// Something to be told.
pub(super) enum Telling {
    /// What has happened to keys of this core's shard.
    News {
        /// For keyspace notifications.
        events: Vec<Event>,
        /// For clients that track.
        invalidations: Vec<Invalidation>,
        /// What `notify-keyspace-events` was.
        classes: Classes,
        /// A connection of this core that has had what concerned it when it did that.
        has_had: Option<Token>,
    },
    /// A message of a client.
    Said {
        /// What kind of channel.
        subject: Subject,
        /// The channel.
        channel: Box<[u8]>,
        /// The message.
        message: Box<[u8]>,
        /// A core and a connection of it that has had it by then, or was not subscribed when it said it.
        publisher: (u16, Token),
    },
}

impl Telling {
    fn said(args: &Args<'_>, subject: Subject, publisher: (u16, Token)) -> Self {
        Self::Said {
            subject,
            channel: args.get(1).into(),
            message: args.get(2).into(),
            publisher,
        }
    }

    /// Bytes of a message.
    fn said_bytes(&self) -> usize {
        match self {
            Self::News { .. } => 0,
            Self::Said {
                channel, message, ..
            } => size_of::<Self>() + channel.len() + message.len(),
        }
    }
}

/// A connection of this core, as who says something.
fn said_by(token: Token) -> u64 {
    u64::from(token.index) << 32 | u64::from(token.generation)
}

impl Core {
    /// Whether what is to be told may have to wait.
    #[inline]
    pub(super) fn withholds(&self) -> bool {
        self.holds_replies || !self.withheld.is_empty()
    }

    /// Whether so much is kept back that requests which may say more wait.
    #[inline]
    pub(super) fn is_silenced(&self) -> bool {
        // Scripts may say it on the core of their keys.
        self.withholds() && self.mesh.board().silenced_count.load(Ordering::Relaxed) > 0
    }

    fn note_said(&mut self, bytes: usize) {
        let was_silent = self.said_bytes >= SAID_BYTES_MAX;
        self.said_bytes += bytes;
        if !was_silent && self.said_bytes >= SAID_BYTES_MAX {
            let silenced_count = &self.mesh.board().silenced_count;
            silenced_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_told(&mut self, bytes: usize) {
        let was_silent = self.said_bytes >= SAID_BYTES_MAX;
        self.said_bytes -= bytes;
        if was_silent && self.said_bytes < SAID_BYTES_MAX {
            let silenced_count = &self.mesh.board().silenced_count;
            if silenced_count.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.wake_all();
            }
        }
    }

    /// Those who waited until messages had been told go on.
    #[inline]
    pub(super) fn end_silence(&mut self) {
        if !self.silenced.is_empty() && !self.is_silenced() && !self.has_open_change() {
            for token in std::mem::take(&mut self.silenced) {
                self.resume_if(token, Blocked::Congested);
            }
        }
    }

    /// Whether a request waits until the disks have let go of what has been said.
    #[cold]
    pub(super) fn waits_to_say(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> bool {
        let says = match entry.command.run {
            Run::Block(_) => block::writes(connection, entry),
            _ if connection.open_block().is_some() => false,
            Run::Script(_) => self.may_write(entry, args),
            Run::PubSub(_) => {
                entry.command.flags.has(Flags::MAY_REPLICATE) && connection.must_hold()
            }
            _ => false,
        };
        if says {
            connection.blocked = Some(Blocked::Congested);
            self.silenced.push(token);
        }
        says
    }

    /// Whether a request that changes what its client is told has to wait: what the client may know of, by what it has done
    /// or read, is told first as it would have been then. Its replies wait for the same records, so nobody sees that it waits.
    #[cold]
    pub(super) fn waits_for_withheld(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
    ) -> bool {
        let changes = match entry.command.run {
            Run::Block(Verb::Exec) => {
                let block = connection.open_block();
                block.is_some_and(|block| block.changes_what_is_told)
            }
            _ => changes_what_is_told(entry),
        };
        // What goes before it is waited for first, and may be what it has to wait for.
        if !changes || !connection.is_drained() {
            return false;
        }
        let has_waited = connection.told_behind == Some(connection.commands_count);
        let mut holds = connection.next_holds();
        self.prune(&mut holds);
        // Other cores have to be asked, and answer when the connection is back in its place.
        let may_wait =
            self.mesh.cores_count() > 1 || self.withheld.has_of_first(self.withheld.pushed_count());
        if has_waited || holds.is_empty() || !may_wait {
            return false;
        }
        connection.blocked = Some(Blocked::UntilDurable);
        self.ask_all(Asker::Connection(token), Purpose::Told, Question::AwaitTold);
        true
    }

    /// All cores have told what was withheld when they were asked.
    pub(super) fn all_is_told(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token) {
            connection.told_behind = Some(connection.commands_count);
        }
        self.resume_if(token, Blocked::UntilDurable);
    }

    /// Whether a question has to wait until what is withheld here now has been told.
    pub(super) fn waits_for_told(&mut self, (from, id): (usize, u64)) -> bool {
        let count = self.withheld.pushed_count();
        let waits = self.withheld.has_of_first(count);
        if waits {
            self.waits_for_told.push((from, id, count));
        }
        waits
    }

    /// Answers those who have waited for what has been told by now.
    #[cold]
    fn answer_told(&mut self) {
        for (from, id, count) in std::mem::take(&mut self.waits_for_told) {
            match self.withheld.has_of_first(count) {
                true => self.waits_for_told.push((from, id, count)),
                false => self.answer(from, id, Answer::Done),
            }
        }
    }

    /// Keeps back what the shard has to tell that client `by` of this core has done, which is in its place.
    pub(super) fn withhold_news_of(&mut self, by: Option<Token>) {
        let whose = by.and_then(|token| Some((token, self.connections.borrow(token)?)));
        let Some((token, mut connection)) = whose else {
            return self.withhold_news(by, None);
        };
        // Of a transaction that is not answered before all else it is not known yet what its reply waits for.
        let is_beside =
            connection.under_way.is_some() || connection.blocked == Some(Blocked::OnKeys);
        if is_beside && !connection.is_answered_first() {
            self.connections.restore(token, connection);
            return self.withhold_news(by, None);
        }
        let mut own = self.withhold_own_news(token, &mut connection);
        if !own.is_empty() {
            connection.push_message(|| self.clock.raw(), |out| out.append(&mut own));
        }
        if !connection.is_answered_first() {
            say_late(&mut connection);
        }
        self.connections.restore(token, connection);
        self.mark_dirty(token);
    }

    /// The same of one that is out of its place, which learns at once what concerns it: its reply waits for that as well.
    ///
    /// - Returns its events; what it must forget is in `late`.
    pub(super) fn withhold_own_news(
        &mut self,
        token: Token,
        connection: &mut Connection,
    ) -> Vec<u8> {
        let mut own = Vec::new();
        let tracking = connection.session.tracking.as_deref();
        let tells_another = tracking.is_some_and(|tracking| tracking.options.redirect != 0);
        if tells_another || connection.closed || connection.close_after_output {
            self.withhold_news(Some(token), None);
        } else {
            self.withhold_news(Some(token), Some((connection, &mut own)));
        }
        own
    }

    /// Keeps back what the shard has to tell.
    ///
    /// - `by`: the client of this core that has done it, if that is known.
    /// - `own`: that client, where it is to be told at once, and what its events are appended to.
    #[cold]
    fn withhold_news(&mut self, by: Option<Token>, own: Option<(&mut Connection, &mut Vec<u8>)>) {
        let mut events = self.shard.keys.take_events();
        let mut invalidations = self.shard.keys.take_invalidations();
        let directory = &self.mesh.board().directory;
        if directory.clients_count.load(Ordering::SeqCst) == 0 {
            events.clear();
        }
        if events.is_empty() && invalidations.is_empty() {
            return;
        }
        let classes = self.options.notify_keyspace_events;
        let has_had = by.filter(|_| own.is_some());
        if let (Some(token), Some((connection, out))) = (by, own) {
            if connection.subscriptions.is_some() {
                for_each_message(&events, classes, |channel, message| {
                    write_own(connection, Subject::Channel, (channel, message), out);
                });
            }
            let late_bytes = connection.late.len();
            let own = Own {
                token,
                connection: &mut *connection,
            };
            self.tell_own_invalidations(&mut invalidations, own);
            if !out.is_empty() || connection.late.len() > late_bytes {
                // Some of it may be what time did, or the lack of memory.
                let holds = self.shard.holds_of_all();
                connection.hold(&holds, &mut self.spare_holdings);
            }
        }
        let by = by.map(said_by);
        if let Some(Telling::News {
            events: earlier_events,
            invalidations: earlier_invalidations,
            classes: earlier_classes,
            has_had: had_earlier,
        }) = self.withheld.news_mut(by)
            && (*earlier_classes, *had_earlier) == (classes, has_had)
        {
            earlier_events.append(&mut events);
            earlier_invalidations.append(&mut invalidations);
            return;
        }
        let news = Telling::News {
            events,
            invalidations,
            classes,
            has_had,
        };
        self.withheld.push_news(news, by);
    }

    /// PUBLISH of a connection whose earlier requests may have revealed what is not durable; how many subscribers there are.
    ///
    /// - `own`: is appended what the connection itself is to be sent after the reply.
    #[cold]
    pub(super) fn say_later(
        &mut self,
        (token, connection): (Token, &Connection),
        args: &Args<'_>,
        subject: Subject,
        own: &mut Vec<u8>,
    ) -> u64 {
        let holds = connection.next_holds();
        write_own(connection, subject, (args.get(1), args.get(2)), own);
        let telling = Telling::said(args, subject, (self.id, token));
        self.note_said(telling.said_bytes());
        self.withheld.push_held(telling, said_by(token), holds);
        self.subscribers_count(args, subject)
    }

    /// PUBLISH in a script or a block; how many subscribers there are.
    ///
    /// - `publisher`: who runs it, and on which core that is: what it is subscribed to comes after its reply.
    /// - `tx`: its transaction; none: a script, in place or not.
    #[cold]
    pub(super) fn say_at_the_end(
        &mut self,
        publisher: (u16, Token),
        tx: Option<TxId>,
        args: &Args<'_>,
        subject: Subject,
    ) -> u64 {
        let (core, token) = publisher;
        let own_token = self.own_token(publisher);
        // Who is out of its place is not subscribed: it would not run a script there.
        if let Some(connection) = own_token.and_then(|token| self.connections.get_mut(token))
            && !connection.closed
            && !connection.close_after_output
        {
            let mut own = Vec::new();
            write_own(connection, subject, (args.get(1), args.get(2)), &mut own);
            if !own.is_empty() {
                connection.push_message(|| self.clock.raw(), |out| out.append(&mut own));
            }
        }
        if own_token.is_none() {
            self.say_to_own(core, token, (args.get(1), args.get(2)), subject);
        }
        let telling = Telling::said(args, subject, publisher);
        self.note_said(telling.said_bytes());
        let by = own_token.map(said_by);
        match tx {
            Some(tx) => self.withheld.push_of_transaction(telling, by, tx),
            None => self.withheld.push_of_script(telling, by),
        }
        self.subscribers_count(args, subject)
    }

    fn subscribers_count(&self, args: &Args<'_>, subject: Subject) -> u64 {
        let directory = &self.mesh.board().directory;
        let channel = args.get(1);
        let mut count = directory.roll(subject).subscribers_count(channel);
        let patterns = directory.roll(Subject::Pattern);
        if subject == Subject::Channel && patterns.names_count() > 0 {
            let names = patterns.names(|pattern| glob_match(pattern, channel, false));
            let counts = names.iter().map(|name| patterns.subscribers_count(name));
            count += counts.sum::<usize>();
        }
        count as u64
    }

    /// A script that ran in place has ended there.
    #[inline]
    pub(super) fn script_has_ended(&mut self) {
        if !self.withheld.is_empty() {
            let mut holds = self.shard.peek_holds();
            // It may have been a function.
            holds.merge(&self.holds_of_libraries());
            self.withheld.script_has_ended(&self.while_held(holds));
        }
    }

    /// A transaction has ended, whose reply waits for `holds`.
    #[inline]
    pub(super) fn transaction_has_said_all(&mut self, tx: TxId, holds: &Holds) {
        if self.withheld.is_empty() {
            return;
        }
        let mut holds = holds.clone();
        // It may have been a function, or have called one.
        holds.merge(&self.holds_of_libraries());
        self.withheld
            .transaction_has_ended(tx, &self.while_held(holds));
    }

    /// A transaction will never end: nobody hears what was said in it.
    pub(super) fn forget_what_is_said_in(&mut self, tx: TxId) {
        for told in self.withheld.take_of_transaction(tx) {
            self.note_told(told.said_bytes());
        }
    }

    /// What is told waits for, once replies wait for nothing any more: its turn behind what is withheld already, and no records of its
    /// own, or with `everysec` there would always be some.
    fn while_held(&self, holds: Holds) -> Holds {
        match self.holds_replies {
            true => holds,
            false => Holds::new(),
        }
    }

    /// At the end of a turn, and whenever a log has got on: tells what may be told by now.
    #[inline]
    pub(super) fn release_withheld(&mut self) {
        if !self.withheld.is_empty() {
            self.release_some();
            // A log may have got on before it knew that this core waits.
            if !self.withheld.is_empty() && self.await_disks() {
                self.release_some();
            }
        }
    }

    #[cold]
    fn release_some(&mut self) {
        self.withheld.bind(self.shard.next_step());
        let holds = self.while_held(self.shard.holds_of_all());
        let board = self.mesh.board().clone();
        let shard = &self.shard;
        let ready = self.withheld.release(
            |step| shard.has_logged_before(step),
            &holds,
            |core| {
                let synced_lsn = &board.cores[usize::from(core)].synced_lsn;
                synced_lsn.load(Ordering::SeqCst)
            },
        );
        for telling in ready {
            self.note_told(telling.said_bytes());
            match telling {
                Telling::News {
                    events,
                    invalidations,
                    classes,
                    has_had,
                } => {
                    self.tell_withheld_invalidations(invalidations, has_had);
                    let mut publisher = has_had.map(|token| Publisher::served(self.id, token));
                    self.tell_events(&events, classes, publisher.as_mut());
                }
                Telling::Said {
                    subject,
                    channel,
                    message,
                    publisher,
                } => {
                    let (core, token) = publisher;
                    let mut publisher = Publisher::served(core, token);
                    self.spread(subject, &channel, &message, None, Some(&mut publisher));
                }
            }
        }
        if !self.waits_for_told.is_empty() {
            self.answer_told();
        }
    }
}
