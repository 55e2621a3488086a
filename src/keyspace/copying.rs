//! Copying: values copied bit by bit, for COPY and for requests on other shards.
//!
//!     begin_copying -> whoever runs the request: take_begun_reading -> read_some until the end -> Portion::made: [`Copies`]
//!
//! Tables of members, fields and scores are copied element by element; anything else is, however large, a few copies of long
//! blocks, and copied at once.
//!
//! Promises  a copy has the encoding, the deadlines and the clock of what it is of, as that was when the reading began.
//! Tests     tests/shard/long_stores.rs.

use super::hash::FieldDeadline;
use super::set::Probe;
use super::zset::Direction;
use super::{EncodingLimits, Hash, Key, Keyspace, Moved, Object, Set, Zset};
use crate::ds::key_table::{EntryRef, Made, ManyReader, OwnedValue, ReadLimit, Rest, Value};

/// What has been copied: of the keys that were there, in order.
pub type Copies = Vec<(Vec<u8>, Moved)>;

/// Elements that are copied at a time.
const STEP: usize = 64;

impl Keyspace {
    /// Begins to copy what these keys hold, if that is more than a step's work; false where it is not.
    ///
    /// - `destination`: where a copy is to be stored by the request, which then runs again; none: for another shard.
    pub fn begin_copying(
        &mut self,
        db: usize,
        keys: &[Key<'_>],
        destination: Option<&Key<'_>>,
    ) -> bool {
        let whole_max = self.stored_elements_max();
        let is_large = |key: &Key<'_>| match self.peek(db, key).map(|entry| entry.value()) {
            Some(Value::Object(object)) => table_len(object) > whole_max,
            _ => false,
        };
        if !keys.iter().any(is_large) {
            return false;
        }
        let copier = Box::new(Copier {
            copies: Vec::with_capacity(keys.len()),
            at: 0,
            copy: None,
            limits: self.limits(),
        });
        match destination {
            Some(destination) => self.begin_making(db, keys, destination, copier),
            None => self.begin_reading_many(db, keys, copier),
        }
        true
    }
}

/// How many elements are copied one by one.
fn table_len(object: &Object) -> usize {
    match object {
        Object::Set(set) if set.is_table() => set.len(),
        Object::Hash(hash) if hash.listpack().is_none() => hash.len(),
        Object::Zset(set) if !set.is_packed() => set.len(),
        _ => 0,
    }
}

/// Copies one value after the other.
struct Copier {
    copies: Copies,
    /// The value that is being copied, and what there is of its copy.
    at: usize,
    copy: Option<Copy>,
    limits: EncodingLimits,
}

/// A copy in the making, and where it goes on: a cursor, or a rank.
struct Copy {
    made: Object,
    next: u64,
}

impl Copy {
    /// Nothing of a copy yet; none of what is copied at once.
    fn of(object: &Object) -> Option<Self> {
        if table_len(object) == 0 {
            return None;
        }
        let made = match object {
            Object::Set(_) => Object::Set(Set::table()),
            Object::Hash(_) => {
                let mut hash = Hash::new();
                hash.make_table();
                Object::Hash(hash)
            }
            Object::Zset(_) => {
                let mut set = Zset::default();
                set.become_tree();
                Object::Zset(set)
            }
            _ => return None,
        };
        Some(Self { made, next: 0 })
    }

    /// Copies some elements; whether those were the last.
    fn go_on(&mut self, object: &Object, limits: &EncodingLimits) -> bool {
        let next = &mut self.next;
        match (object, &mut self.made) {
            (Object::Set(set), Object::Set(made)) => {
                *next = set.scan(*next, STEP, |member| {
                    made.add(&Probe::of(member, &mut [0; 20]), limits);
                });
                *next == 0
            }
            (Object::Hash(hash), Object::Hash(made)) => {
                *next = hash.scan_all(*next, STEP, |field, value, deadline_ms| {
                    made.set(field, value, FieldDeadline::Drop, limits);
                    if deadline_ms.is_some() {
                        made.set_deadline(field, deadline_ms);
                    }
                });
                *next == 0
            }
            (Object::Zset(set), Object::Zset(made)) => {
                let start = *next as usize;
                let end = start.saturating_add(STEP).min(set.len());
                for (member, score) in set.walk(start..end, Direction::Up) {
                    made.push(member.text(&mut [0; 20]), score);
                }
                *next = end as u64;
                end == set.len()
            }
            _ => true, // A copy is of the type of what it is of.
        }
    }
}

impl ManyReader<Object> for Copier {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        // An element of a table costs more than one of a reply.
        let mut left_count = (limit.elements / 4).max(1);
        while let Some(entry) = entries.get(self.at) {
            let value = match (entry.value(), &mut self.copy) {
                (Value::Object(object), Some(copy)) => {
                    if !copy.go_on(object, &self.limits) {
                        left_count = left_count.saturating_sub(STEP);
                        if left_count == 0 {
                            return None;
                        }
                        continue;
                    }
                    let copy = self.copy.take();
                    copy.map(|copy| OwnedValue::Object(Box::new(copy.made)))
                }
                (Value::Object(object), None) => {
                    self.copy = Copy::of(object);
                    if self.copy.is_some() {
                        continue;
                    }
                    None
                }
                _ => None,
            };
            let (deadline_ms, access) = (entry.deadline_ms(), entry.access());
            let moved = match value {
                Some(value) => Moved {
                    value,
                    expire_at_ms: deadline_ms,
                    access,
                },
                None => Moved::clone_of(entry.value(), deadline_ms, access),
            };
            self.copies.push((entry.key().to_vec(), moved));
            self.at += 1;
        }
        Some(Box::new(Copied(Some(std::mem::take(&mut self.copies)))))
    }
}

/// Hands the copies over.
struct Copied(Option<Copies>);

impl Rest for Copied {
    fn read(&mut self, _: ReadLimit, _: &mut Vec<u8>) -> bool {
        true
    }

    fn take_made(&mut self) -> Option<Made> {
        let copies = self.0.take()?;
        Some(Box::new(copies))
    }
}
