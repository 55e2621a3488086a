//! Members and scores in replies.

use crate::ds::listpack::Element;
use crate::keyspace::zset::Members;
use crate::resp::{Protocol, Reply};

/// Replies with a member.
#[inline]
pub fn reply_member(member: Element<'_>, reply: &mut Reply<'_>) {
    match member {
        Element::Int(number) => reply.bulk_int(number),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// The head of an array of `count` members, each followed by [`reply_scored`]'s or [`reply_member`]'s elements.
#[inline]
pub fn reply_members_head(count: usize, with_scores: bool, reply: &mut Reply<'_>) {
    let is_flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if is_flat { 2 * count } else { count });
}

/// The same before `count` members that were written since the output had `start` bytes.
pub fn reply_members_head_since(
    start: usize,
    count: usize,
    with_scores: bool,
    reply: &mut Reply<'_>,
) {
    let is_flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array_since(start, if is_flat { 2 * count } else { count });
}

/// Replies with a member and its score: one after the other in RESP2, an array of both in RESP3.
#[inline]
pub fn reply_scored(member: Element<'_>, score: f64, reply: &mut Reply<'_>) {
    if reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply_member(member, reply);
    reply.double(score);
}

/// Replies with an array of members.
pub fn reply_members(members: Members<'_>, with_scores: bool, reply: &mut Reply<'_>) {
    reply_members_head(members.len(), with_scores, reply);
    for (member, score) in members {
        if with_scores {
            reply_scored(member, score, reply);
        } else {
            reply_member(member, reply);
        }
    }
}
