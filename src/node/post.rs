//! A message of Pub/Sub as it crosses cores and reaches connections.
//!
//!     * or >   head: 3, "message" or 4, "pmessage", pattern   channel   message
//!     by protocol          by subscription                   `encoded`: once, whoever gets it
//!
//! Promises  what is the same for all who get it is encoded once, whatever the number of cores, connections and protocols.
//! Not here  who gets it, and when: `node/publish.rs`.

use super::connection::Connection;
use crate::base::glob::glob_match;
use crate::commands::pubsub::Subject;
use crate::resp::{Protocol, Reply};

/// A message as it crosses cores: encoded from the channel on, in both protocols the same.
pub struct Post {
    pub(super) subject: Subject,
    /// Where the channel's name lies in `encoded`.
    channel: std::ops::Range<usize>,
    pub(super) encoded: Vec<u8>,
}

impl Post {
    pub(super) fn new(subject: Subject, channel: &[u8], message: &[u8]) -> Self {
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

    pub(super) fn channel(&self) -> &[u8] {
        &self.encoded[self.channel.clone()]
    }

    /// Bytes it takes on its way.
    pub fn bytes_count(&self) -> usize {
        self.encoded.len()
    }

    /// What stands before the channel, without the first byte, which names the protocol.
    pub(super) fn head(&self) -> &'static [u8] {
        match self.subject {
            Subject::ShardChannel => b"3\r\n$8\r\nsmessage\r\n",
            Subject::Channel | Subject::Pattern => b"3\r\n$7\r\nmessage\r\n",
        }
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

/// The same for a message that there is already.
pub(super) fn write_post(publisher: &Connection, post: &Post, own: &mut Vec<u8>) {
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
pub(super) fn pattern_head(pattern: &[u8]) -> Vec<u8> {
    let mut head = b"4\r\n$8\r\npmessage\r\n".to_vec();
    Reply::new(&mut head, Protocol::Resp2).bulk(pattern);
    head
}

/// Appends a message in parts: what stands before the channel, and what is encoded.
pub(super) fn append(out: &mut Vec<u8>, protocol: Protocol, parts: [&[u8]; 2]) {
    out.reserve(1 + parts[0].len() + parts[1].len());
    out.push(match protocol {
        Protocol::Resp2 => b'*',
        Protocol::Resp3 => b'>',
    });
    out.extend_from_slice(parts[0]);
    out.extend_from_slice(parts[1]);
}
