//! What has happened to keys of this core's shard, on its way to whoever asked to be told.
//!
//!     the shard has news -> keyspace notifications: published like any message
//!                        -> invalidations of what clients have read: `node/tracking.rs`
//!
//! Promises  it is handed over right after the request that did it, or with `appendfsync always` once that is durable; to the
//!           client that sent the request after its reply. Whatever else that client's pipeline says to others, or changes
//!           in what they are told, comes after it; a message that waits for the disk with news of another core has no order with
//!           that. Events of one shard reach each subscriber in the order they happened; those of two shards have none.
//! Not here  what is noted: `keyspace/events.rs`.
//! Tests     tests/server/notify.rs.

use std::sync::atomic::Ordering;

use super::connection::{Blocked, Connection};
use super::core::Core;
use super::publish::Publisher;
use super::ring::Token;
use super::tracking::Own;
use crate::commands::pubsub::Subject;
use crate::keyspace::Classes;
use crate::keyspace::events::Event;

impl Core {
    /// Hands over what a request has done that this connection, which is out of its place, has sent.
    #[inline]
    pub(super) fn tell_after(&mut self, token: Token, connection: &mut Connection) {
        if self.shard.keys.has_news() {
            // Where it has served somebody who waited, that reply comes first: `settle` sends it and tells then.
            match self.shard.has_events() {
                false => self.tell_of_own(token, connection),
                true => self.untold_by = Some(token),
            }
        }
    }

    /// Whether a request that others hear of, that changes who hears what, or that shows what became of others, has to wait:
    /// what those before it have done here is told first, and whoever they have served has his reply.
    ///
    /// It goes on when all of that is settled, as a rule before the turn ends. Only a request that has served somebody who waited
    /// leaves anything: [`Core::tell_after`] does the rest.
    #[inline]
    pub(super) fn waits_for_news(&mut self, token: Token, connection: &mut Connection) -> bool {
        let waits = self.shard.has_events() | self.shard.keys.has_news();
        if waits {
            connection.blocked = Some(Blocked::UntilTold);
            self.resumes.push(token);
        }
        waits
    }

    #[cold]
    fn tell_of_own(&mut self, token: Token, connection: &mut Connection) {
        let mut own = Vec::new();
        if self.withholds() {
            own = self.withhold_own_news(token, connection);
        } else {
            if self.shard.keys.has_invalidations() {
                let connection = &mut *connection;
                let news = self.shard.keys.take_invalidations();
                self.tell_invalidations(news, Some(Own { token, connection }));
            }
            let protocol = connection.session.protocol;
            let mut publisher = Publisher::at_work(self.id, token, protocol, &mut own);
            let events = self.shard.keys.take_events();
            let classes = self.options.notify_keyspace_events;
            self.tell_events(&events, classes, Some(&mut publisher));
        }
        if !own.is_empty() {
            connection.write_reply(|out, _| out.append(&mut own));
        }
        say_late(connection);
    }

    /// Hands over whatever there is before something else is said.
    ///
    /// - `by`: the client of this core that has done it, if that is known.
    #[inline]
    pub(super) fn tell_before(&mut self, by: Option<Token>) {
        if self.shard.keys.has_news() {
            self.tell(by);
        }
    }

    /// Hands over whatever there is.
    #[cold]
    pub(super) fn tell(&mut self, by: Option<Token>) {
        let untold_by = self.untold_by.take();
        if self.withholds() {
            return self.withhold_news_of(by.or(untold_by));
        }
        let news = self.shard.keys.take_invalidations();
        self.tell_invalidations(news, None);
        let events = self.shard.keys.take_events();
        self.tell_events(&events, self.options.notify_keyspace_events, None);
    }

    /// - `classes`: which kinds of channels there were for them.
    pub(super) fn tell_events(
        &mut self,
        events: &[Event],
        classes: Classes,
        mut publisher: Option<&mut Publisher<'_>>,
    ) {
        let directory = &self.mesh.board().directory;
        if directory.clients_count.load(Ordering::SeqCst) == 0 {
            return;
        }
        for_each_message(events, classes, |channel, message| {
            let publisher = publisher.as_deref_mut();
            self.spread(Subject::Channel, channel, message, None, publisher);
        });
    }
}

/// Calls `tell` with the channel and the message of each event, for every kind of channel.
pub(super) fn for_each_message(
    events: &[Event],
    classes: Classes,
    mut tell: impl FnMut(&[u8], &[u8]),
) {
    let mut channel = Vec::new();
    for Event { name, db, key } in events {
        if classes.has(Classes::KEYSPACE) {
            write_channel(&mut channel, "keyspace", *db, key);
            tell(&channel, name.as_bytes());
        }
        if classes.has(Classes::KEYEVENT) {
            write_channel(&mut channel, "keyevent", *db, name.as_bytes());
            tell(&channel, key);
        }
    }
}

/// What a client that is out of its place must forget comes now.
#[inline]
pub(super) fn say_late(connection: &mut Connection) {
    if !connection.late.is_empty() {
        let mut late = std::mem::take(&mut connection.late);
        connection.write_reply(|out, _| out.append(&mut late));
    }
}

fn write_channel(channel: &mut Vec<u8>, kind: &str, db: u16, of: &[u8]) {
    channel.clear();
    channel.extend_from_slice(format!("__{kind}@{db}__:").as_bytes());
    channel.extend_from_slice(of);
}
