//! SSCAN, HSCAN and ZSCAN with a COUNT of very many elements, bit by bit.
//!
//! Promises  what a step of that size comes to at once; the key is locked until it has been walked through so far.
//! Not here  steps of fewer elements: `set_random.rs`, `hash_walk.rs`, `zset_sample.rs`.
//! Tests     tests/shard/long_reads.rs.

use super::collected::{Collected, Head};
use super::pieces::{STEP, first_object};
use super::table::{Call, Effect};
use super::zset_reply::reply_member;
use super::zset_sample::reply_scanned_score;
use crate::base::glob::glob_match;
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest};
use crate::ds::listpack::Element;
use crate::keyspace::{Key, Object};
use crate::resp::{Protocol, Reply};

/// What a request asks for.
pub(super) struct Wanted<'a> {
    pub(super) cursor: u64,
    pub(super) count: usize,
    pub(super) pattern: Option<&'a [u8]>,
    /// Values of fields, or scores of members.
    pub(super) shows_values: bool,
}

/// See the module.
struct ScanWalk {
    cursor: u64,
    left_count: usize,
    pattern: Option<Vec<u8>>,
    shows_values: bool,
    now_ms: i64,
    found: Collected,
    protocol: Protocol,
}

impl Call<'_> {
    /// Instead of a reply: the step is taken through what is at `key`.
    #[cold]
    pub(super) fn scan_in_pieces(
        &mut self,
        key: &Key<'_>,
        wanted: &Wanted<'_>,
        protocol: Protocol,
    ) -> Effect {
        let walk = ScanWalk {
            cursor: wanted.cursor,
            left_count: wanted.count,
            pattern: wanted.pattern.map(<[u8]>::to_vec),
            shows_values: wanted.shows_values,
            now_ms: self.keys.now_ms(),
            found: Collected::new(Head::Array, protocol),
            protocol,
        };
        self.keys
            .begin_reading_many(self.db, &[*key], Box::new(walk));
        Effect::NONE
    }
}

impl ScanWalk {
    /// Visits some elements; how many.
    fn step(&mut self, object: &Object) -> usize {
        let Self {
            pattern,
            shows_values,
            found,
            ..
        } = self;
        let is_wanted = |element: Element<'_>| {
            let matches = |pattern: &[u8]| glob_match(pattern, element.text(&mut [0; 20]), false);
            pattern.as_deref().is_none_or(matches)
        };
        let mut visited_count = 0;
        self.cursor = match object {
            Object::Set(set) => set.scan(self.cursor, STEP, |member| {
                visited_count += 1;
                if is_wanted(member) {
                    reply_member(member, &mut found.next());
                }
            }),
            Object::Hash(hash) => hash.scan(self.cursor, STEP, self.now_ms, |field, value| {
                visited_count += 1;
                if is_wanted(field) {
                    reply_member(field, &mut found.next());
                    if *shows_values {
                        reply_member(value, &mut found.next());
                    }
                }
            }),
            Object::Zset(set) => set.scan(self.cursor, STEP, |member, score| {
                visited_count += 1;
                if is_wanted(member) {
                    reply_member(member, &mut found.next());
                    if *shows_values {
                        reply_scanned_score(score, set.is_packed(), &mut found.next());
                    }
                }
            }),
            _ => 0,
        };
        // Empty places cost something, too.
        visited_count.max(1)
    }
}

impl ManyReader<Object> for ScanWalk {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let mut room_count = limit.elements.max(1);
        while room_count > 0 && self.left_count > 0 {
            let visited_count = first_object(entries).map_or(0, |object| self.step(object));
            room_count = room_count.saturating_sub(visited_count);
            self.left_count = self.left_count.saturating_sub(visited_count);
            if self.cursor == 0 || visited_count == 0 {
                self.left_count = 0;
            }
        }
        let nothing = Collected::new(Head::Array, self.protocol);
        (self.left_count == 0).then(|| {
            Box::new(ScanRest {
                head: Some((self.cursor, self.protocol)),
                found: std::mem::replace(&mut self.found, nothing),
            }) as Box<dyn Rest>
        })
    }
}

/// The cursor, then what was found.
struct ScanRest {
    /// Until it is told.
    head: Option<(u64, Protocol)>,
    found: Collected,
}

impl Rest for ScanRest {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        if let Some((cursor, protocol)) = self.head.take() {
            let mut reply = Reply::new(out, protocol);
            reply.array(2);
            reply.bulk(cursor.to_string().as_bytes());
        }
        self.found.read(limit, out)
    }
}
