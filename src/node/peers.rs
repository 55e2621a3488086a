//! What other cores have sent: batches of requests, replies to one's own, messages.
//!
//! Promises  a batch is served whole, its keys' lines loading while the first of them run; of each core a bounded part a turn.
//! Not here  the queues and batches: `node/mesh.rs`. What steps of transactions do: `shard`.

use super::block_hops::{EXEC, EXEC_SPANS};
use super::core::Core;
use super::mesh::{Batch, DEFERRED};
use super::message::Message;
use super::ring::Token;
use crate::persist::Holds;
use crate::resp::Args;
use crate::router::Origin;
use crate::router::message::SlowCall;
use crate::shard::Outcome;

/// A reply of this size leaves its batch and is sent as it is: a batch that held it would give its memory back, and several together
/// could be more than its places can count.
const LARGE_REPLY_BYTES: usize = 256 * 1024;
/// After this much of one peer's requests a turn goes on; what is left waits for the next one.
const PEER_BYTES_PER_TURN: usize = 256 * 1024;

impl Core {
    /// Takes what the other cores have sent, of requests a bounded share each; returns how many batches.
    pub(super) fn drain_mesh(&mut self) -> usize {
        let mut batches_count = 0;
        for from in 0..self.mesh.cores_count() {
            let mut served_bytes = 0;
            while served_bytes < PEER_BYTES_PER_TURN
                && let Some(batch) = self.next_batch(from)
            {
                batches_count += 1;
                if batch.answered {
                    self.take_replies(from, batch);
                } else {
                    served_bytes += batch.bytes.len() + batch.posts_bytes;
                    self.serve_batch(from, batch);
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

    fn serve_batch(&mut self, from: usize, mut batch: Box<Batch>) {
        let Batch {
            items,
            spans,
            bytes,
            replies,
            messages,
            holds,
            slow,
            commands,
            ..
        } = &mut *batch;
        let (mut bytes_at, mut spans_at) = (0, 0);
        let mut commands_at = 0;
        self.counters.hops_in += items.len() as u64;
        let mut before = self.clock.raw();
        let mut hashes = std::mem::take(&mut self.hashes);
        let mut at = 0;
        for item in items.iter() {
            // As in `look_ahead`: word 1 is the key of most commands, word 3 that of a script.
            let key_at = match item.entry.command.run.is_script() {
                true => 3,
                false => 1,
            };
            if item.commands_count > 0 {
                let block = &commands[commands_at..commands_at + usize::from(item.commands_count)];
                commands_at += block.len();
                let bytes = &bytes[at..at + item.bytes_count as usize];
                self.look_ahead_of_block(item.db, block, bytes, &spans[spans_at..], &mut hashes);
            } else if item.spans_count > key_at {
                let span = spans[spans_at + key_at as usize];
                let key = &bytes[at + span.start as usize..at + (span.start + span.len) as usize];
                hashes.push((item.db, self.shard.keys.key(key).hash));
            }
            at += item.bytes_count as usize;
            spans_at += item.spans_count as usize;
        }
        self.load_entries(&mut hashes);
        self.hashes = hashes;
        (spans_at, commands_at) = (0, 0);
        for item in items.iter_mut() {
            let bytes_end = bytes_at + item.bytes_count as usize;
            let spans_end = spans_at + item.spans_count as usize;
            let args = Args::new(&bytes[bytes_at..bytes_end], &spans[spans_at..spans_end]);
            (bytes_at, spans_at) = (bytes_end, spans_end);
            let request = item.request(from as u16);
            let length = replies.len();
            let outcome = if item.commands_count > 0 {
                let block = &commands[commands_at..commands_at + usize::from(item.commands_count)];
                commands_at += block.len();
                let (bytes, spans) = (args.bytes(), &spans[spans_at - item.spans_count as usize..]);
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
                self.shard.execute(&request, &args, replies)
            };
            let reply_bytes = replies.len() - length;
            item.reply_bytes = match outcome {
                Outcome::Done if reply_bytes < LARGE_REPLY_BYTES => reply_bytes as u64,
                Outcome::Done => {
                    let reply = match length {
                        0 => std::mem::take(replies),
                        _ => replies.split_off(length),
                    };
                    let holds = self.holds_of_request();
                    let message = match item.is_part {
                        true => self.large_part(item.sequence, reply),
                        false => large_reply(request.origin, reply, holds, None, self.clock.raw()),
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
        for message in messages.drain(..) {
            self.message(from, message);
        }
        self.shard.expect(0);
        batch.ran_at = self.clock.raw();
        self.mesh.answer(from, batch);
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
                    let message = large_reply(request.origin, reply, holds, slow, ran_at);
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

fn large_reply(
    origin: Origin,
    reply: Vec<u8>,
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
