//! Pub/Sub: its commands, and subscriptions of this core's connections as they begin and end.
//!
//! Promises  a SUBSCRIBE is in force everywhere before its reply; a connection that is subscribed stays on its core; however many
//!           subscriptions a connection that closes has, a turn ends some hundreds of them.
//! Not here  who is subscribed: `node/subscriptions.rs` for one core, `node/directory.rs` for all. Messages: `node/publish.rs`.
//! Tests     tests/server/pubsub.rs.

use std::sync::atomic::Ordering;

use super::connection::Connection;
use super::core::Core;
use super::dispatch::{Dispatched, take_silence};
use super::publish::Publishing;
use super::ring::Token;
use super::subscriptions::{Left, Name, Subscribers, Subscriptions};
use crate::base::glob::glob_match;
use crate::commands::pubsub::{PubSub, Subject};
use crate::commands::table::unknown_or_arity;
use crate::commands::{CommandError, Entry};
use crate::resp::{Args, Reply};

/// So many subscriptions of a closed connection end in one turn, about half a millisecond.
const LEAVES_PER_TURN: usize = 512;

/// What a core keeps for Pub/Sub.
#[derive(Default)]
pub struct CorePubSub {
    pub(super) subscribers: Subscribers,
    pub(super) publishing: Publishing,
    /// Connections that have closed and whose subscriptions have not all ended.
    leaving: Vec<Token>,
    /// Connections that were out of their place when their own in a name's list changed.
    moves: Vec<(Token, Subject, Name, u32)>,
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
}

/// A connection stands elsewhere in a name's list.
fn move_to(connection: &mut Connection, subject: Subject, name: &Name, place: u32) {
    if let Some(subscriptions) = &mut connection.subscriptions
        && let Some(own) = subscriptions.of_mut(subject).get_mut(name)
    {
        *own = place;
    }
}
