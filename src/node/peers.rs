//! What other cores have sent: batches of requests, replies to one's own, messages.
//!
//! Promises  of each core a bounded part a turn, whatever the replies are that it asks for or sends; what is left of a batch comes
//!           before what that core has sent later, and replies that are there do not wait for it; the keys' lines are loading while
//!           the first requests run.
//! Not here  the queues and batches: `node/mesh.rs`. What steps of transactions do: `shard`.

use super::block_hops::{EXEC, EXEC_SPANS};
use super::core::Core;
use super::mesh::{Batch, Cursor, DEFERRED};
use super::message::Message;
use super::outgoing::Outgoing;
use super::ring::Token;
use crate::persist::Holds;
use crate::resp::Args;
use crate::router::calls::SlowCall;
use crate::router::{FromShard, Origin};
use crate::shard::Outcome;

/// A reply of this size leaves its batch and is sent as it is: a batch that held it would give its memory back, and several together
/// could be more than its places can count.
const LARGE_REPLY_BYTES: usize = 256 * 1024;
/// After this much of one peer's requests a turn goes on; what is left waits for the next one.
const PEER_BYTES_PER_TURN: usize = 256 * 1024;
/// The same for replies, those made for a peer and those taken from it, in the midst of a batch as well: some requests of few bytes
/// have very long ones, and a new page of memory for each 4 KiB costs more than anything else of them.
const PEER_REPLY_BYTES_PER_TURN: usize = 1 << 20;
/// Lines are loaded for so many requests at a time: for many more there is no room in the nearer caches.
const LOADED_AHEAD_MAX: usize = 512;

/// What a peer has had of a turn.
#[derive(Default)]
struct Share {
    /// Of its requests and messages.
    request_bytes: usize,
    /// Of replies to them, and to this core's.
    reply_bytes: usize,
    /// When it ends in any case (`Core::clock`).
    ends_at: u64,
}

impl Share {
    /// Whether it is used up in the midst of a batch.
    ///
    /// - `now`: about (`Core::clock`).
    #[inline]
    fn is_used_up(&self, now: u64) -> bool {
        self.reply_bytes >= PEER_REPLY_BYTES_PER_TURN || now > self.ends_at
    }
}

impl Core {
    /// Takes what the other cores have sent, a bounded share of each; returns how many batches.
    pub(super) fn drain_mesh(&mut self) -> usize {
        let mut batches_count = 0;
        for from in 0..self.mesh.cores_count() {
            let mut share = Share::default();
            while share.request_bytes < PEER_BYTES_PER_TURN
                && share.reply_bytes < PEER_REPLY_BYTES_PER_TURN
                && let Some(batch) = self.next_batch(from)
            {
                batches_count += 1;
                if batch.answered {
                    share.reply_bytes += batch.replies.len();
                    self.take_replies(from, batch);
                } else {
                    share.request_bytes += batch.bytes.len() + batch.posts_bytes;
                    if !self.serve_batch(from, batch, &mut share) {
                        break;
                    }
                }
            }
        }
        batches_count
    }

    fn take_replies(&mut self, from: usize, mut batch: Box<Batch>) {
        for (token, call) in batch.slow.drain(..) {
            self.note_calls(token, vec![call]);
        }
        let mut at = 0;
        let holds = &batch.holds;
        for item in &batch.items {
            self.ran_at = batch.ran_at;
            if item.reply_bytes == DEFERRED {
                continue;
            }
            let reply = &batch.replies[at..at + item.reply_bytes as usize];
            at += reply.len();
            if !holds.is_empty() {
                let (index, generation) = (item.connection, item.generation);
                self.hold(Token { index, generation }, holds);
            }
            if item.is_part {
                self.part_came(item.sequence, from, reply);
                continue;
            }
            self.fill(
                Token {
                    index: item.connection,
                    generation: item.generation,
                },
                item.sequence,
                reply,
            );
        }
        self.ran_at = 0;
        self.mesh.reuse(batch);
    }

    /// What the reply of the request that the shard ran last waits for.
    pub(super) fn holds_of_request(&mut self) -> Holds {
        if !self.holds_replies {
            return Holds::new();
        }
        self.shard.take_holds().unwrap_or_default()
    }

    /// Serves a batch, as far as the share goes; whether that was all of it.
    fn serve_batch(&mut self, from: usize, mut batch: Box<Batch>, share: &mut Share) -> bool {
        let Batch {
            items,
            spans,
            bytes,
            replies,
            messages,
            holds,
            slow,
            commands,
            looked_at_count,
            ..
        } = &mut *batch;
        let mut before = self.clock.raw();
        if share.ends_at == 0 {
            share.ends_at = before + self.peer_ticks;
        }
        let mut cursor = Cursor::default();
        let mut items_at = 0;
        while items_at < items.len() {
            if share.is_used_up(before) && items_at > 0 {
                break;
            }
            // What was put off may have been asked for in the turn that did it.
            if items_at == *looked_at_count {
                let next = &items[items_at..items.len().min(items_at + LOADED_AHEAD_MAX)];
                let (spans, bytes) = (&spans[cursor.spans..], &bytes[cursor.bytes..]);
                self.load_ahead_of_items(next, spans, bytes, &commands[cursor.commands..]);
                *looked_at_count += next.len();
            }
            let item = &mut items[items_at];
            items_at += 1;
            let bytes_end = cursor.bytes + item.bytes_count as usize;
            let spans_end = cursor.spans + item.spans_count as usize;
            let args = Args::new(
                &bytes[cursor.bytes..bytes_end],
                &spans[cursor.spans..spans_end],
            );
            (cursor.bytes, cursor.spans) = (bytes_end, spans_end);
            let request = item.request(from as u16);
            let length = replies.len();
            let mut lent = None;
            let outcome = if item.commands_count > 0 {
                let commands_end = cursor.commands + usize::from(item.commands_count);
                let block = &commands[cursor.commands..commands_end];
                cursor.commands = commands_end;
                let spans = &spans[spans_end - item.spans_count as usize..];
                let bytes = args.bytes();
                self.serve_block(
                    &request,
                    (block, item.is_part),
                    bytes,
                    spans,
                    replies,
                    &mut before,
                    slow,
                )
            } else if item.entry.command.run.is_script() {
                self.serve_script(&request, &args, replies)
            } else {
                // A part of a block's reply is a part of something else.
                self.shard.may_lend(!item.is_part);
                let outcome = self.shard.execute(&request, &args, replies);
                lent = self.shard.take_lent();
                outcome
            };
            let copied_bytes = replies.len() - length;
            share.reply_bytes += copied_bytes;
            let lent_bytes = lent.as_ref().map_or(0, |lent| lent.string.len());
            let reply_bytes = copied_bytes + lent_bytes;
            item.reply_bytes = match outcome {
                Outcome::Done if copied_bytes < LARGE_REPLY_BYTES && lent.is_none() => {
                    reply_bytes as u64
                }
                Outcome::Done => {
                    let reply = match length {
                        0 => std::mem::take(replies),
                        _ => replies.split_off(length),
                    };
                    let holds = self.holds_of_request();
                    let message = match item.is_part {
                        true => self.large_part(item.sequence, reply),
                        false => {
                            let lent = lent.map(|lent| lent.without(length));
                            let reply = Outgoing::of_reply(reply, lent);
                            large_reply(request.origin, reply, holds, None, self.clock.raw())
                        }
                    };
                    self.mesh.send(from, message);
                    DEFERRED
                }
                Outcome::Deferred => DEFERRED,
            };
            if self.holds_replies
                && let Some(more) = self.shard.take_holds()
            {
                holds.merge(&more);
            }
            if item.is_part {
                continue; // Whoever coordinates it counts it.
            }
            let after = self.clock.raw();
            if outcome == Outcome::Deferred && item.entry.command.run.is_script() {
                before = after;
                continue; // It goes on as a transaction, which is counted at its end.
            }
            let took_ns = self.clock.delta_as_nanos(before, after);
            self.shard.record(item.entry.index, took_ns);
            // What is not done yet is noted when it is.
            if outcome == Outcome::Done && self.thresholds.concern(took_ns, reply_bytes) {
                let args = match item.commands_count {
                    0 => args,
                    _ => Args::new(EXEC, EXEC_SPANS),
                };
                let call = SlowCall::new(item.entry, took_ns, reply_bytes, &args);
                slow.push((item.token(), call));
            }
            before = after;
            self.commands_count += 1;
        }
        self.counters.hops_in += items_at as u64;
        let mut is_whole = items_at == items.len();
        while is_whole && let Some(message) = messages.pop_front() {
            share.reply_bytes += reply_bytes_of(&message);
            self.message(from, message);
            is_whole = messages.is_empty() || !share.is_used_up(self.clock.raw());
        }
        self.shard.expect(0);
        batch.ran_at = self.clock.raw();
        if is_whole {
            self.mesh.answer(from, batch);
        } else {
            self.leave_rest(from, batch, items_at, cursor);
        }
        is_whole
    }

    /// A batch is served no further in this turn.
    #[cold]
    fn leave_rest(&mut self, from: usize, mut rest: Box<Batch>, items_at: usize, cursor: Cursor) {
        let mut served = self.mesh.empty_batch();
        rest.part_served(&mut served, items_at, cursor);
        served.ran_at = rest.ran_at;
        match served.items.is_empty() && served.slow.is_empty() {
            true => self.mesh.reuse(served),
            false => self.mesh.send(from, Message::Replies(served)),
        }
        self.room.put_off(from, rest);
    }

    fn message(&mut self, from: usize, message: Message) {
        match message {
            Message::Adopt(connection) => self.adopt(connection),
            Message::ToShard(message) => {
                self.steps_count += 1;
                self.shard.handle(message);
            }
            Message::FromShard { event, ran_at } => {
                self.ran_at = ran_at;
                self.shard_event(event);
                self.ran_at = 0;
            }
            Message::Denied { token, denial } => self.denials.push((token, *denial)),
            Message::Script { item, args } => self.script_came(&item.request(from as u16), &args),
            Message::Token { tx } => self.token_came(tx),
            Message::Large { item, bytes, spans } => {
                let request = item.request(from as u16);
                let mut reply = Vec::new();
                self.counters.hops_in += 1;
                let before = self.clock.raw();
                let outcome =
                    self.shard
                        .execute(&request, &Args::shared(&bytes, &spans), &mut reply);
                let took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
                self.shard.record(item.entry.index, took_ns);
                self.commands_count += 1;
                let is_slow = self.thresholds.concern(took_ns, reply.len());
                let slow = is_slow.then(|| {
                    let args = Args::shared(&bytes, &spans);
                    Box::new(SlowCall::new(item.entry, took_ns, reply.len(), &args))
                });
                if outcome == Outcome::Done {
                    let holds = self.holds_of_request();
                    let ran_at = self.clock.raw();
                    let message = large_reply(request.origin, reply.into(), holds, slow, ran_at);
                    self.mesh.send(from, message);
                }
            }
            Message::LargeReply {
                connection,
                generation,
                sequence,
                reply,
                holds,
                slow,
                ran_at,
            } => {
                let token = Token {
                    index: connection,
                    generation,
                };
                if let Some(call) = slow {
                    self.note_calls(token, vec![*call]);
                }
                self.hold(token, &holds);
                self.ran_at = ran_at;
                self.fill_whole(token, sequence, reply);
                self.ran_at = 0;
            }
            Message::Replies(served) => self.take_replies(from, served),
            Message::Slow { token, call } => self.note_calls(token, vec![*call]),
            // Nothing but the turn that it makes.
            Message::MonitorLines | Message::Wake => {}
            Message::ClientsAreTooLarge => self.clients_are_too_large(),
            Message::Durable => self.look_at_held(),
            Message::Post { id, post, has_had } => self.post_came(from, id, &post, has_had),
            Message::OwnPost { token, post } => self.own_post_came(token, &post),
            Message::Posted {
                id,
                receivers_count,
            } => self.post_arrived(id, receivers_count),
            Message::Invalidate(notices) => self.invalidate(&notices, &mut None),
            Message::Changed(changed) => self.broadcast(changed),
            Message::Redirected {
                id,
                body,
                source,
                is_by_itself,
            } => self.tell_target(id, &body, source, is_by_itself, &mut None),
            Message::TargetGone { number } => self.target_is_gone(number, &mut None),
            Message::Ask { id, question } => self.asked(from, id, *question),
            Message::Answer { id, answer } => self.answered(id, answer),
        }
    }
}

/// Bytes of replies that a message brings.
#[inline]
fn reply_bytes_of(message: &Message) -> usize {
    match message {
        Message::LargeReply { reply, .. } => reply.len() - reply.lent_bytes(),
        Message::Replies(served) => served.replies.len(),
        Message::FromShard {
            event: FromShard::Part { bytes, .. },
            ..
        } => bytes.len(),
        _ => 0,
    }
}

fn large_reply(
    origin: Origin,
    reply: Outgoing,
    holds: Holds,
    slow: Option<Box<SlowCall>>,
    ran_at: u64,
) -> Message {
    Message::LargeReply {
        connection: origin.connection,
        generation: origin.generation,
        sequence: origin.sequence,
        reply,
        holds,
        slow,
        ran_at,
    }
}
