//! Strict serialisability: is there one order of all requests that respects real time, and in which one server would
//! have given the very same replies?
//!
//! Source    Wing and Gong, "Testing and verifying concurrent objects", 1993, with Lowe's memory of what was tried.

use std::collections::HashSet;
use std::fmt;

use rondo::resp::element::elements;
use rondo::router::ShardId;

use super::cluster::keys_of;
use super::model::{Expected, Model};
use super::workload::Operation;

/// How a complaint about the order begins.
pub const NOT_SERIALISABLE: &str = "no order of these gives these replies";

/// One request and its reply.
#[derive(Clone)]
pub struct Record {
    pub client: usize,
    pub operation: Operation,
    /// The shard that ran it whole; `None` for a transaction.
    pub shard: Option<ShardId>,
    pub invoked: u64,
    /// When the last shard had it waiting, if it had to wait.
    pub entered: Option<u64>,
    pub replied: u64,
    pub reply: Vec<u8>,
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [&self.operation.args]
            .into_iter()
            .chain(&self.operation.block);
        let mut words = Vec::new();
        for line in lines {
            words.extend(
                line.as_args()
                    .iter_from(0)
                    .map(|word| String::from_utf8_lossy(word).into_owned()),
            );
            words.push("|".to_string());
        }
        write!(
            out,
            "{:>4}-{:<4} client {} db {} {} => {:?}",
            self.invoked,
            self.replied,
            self.client,
            self.operation.db,
            words.join(" "),
            String::from_utf8_lossy(&self.reply)
        )
    }
}

/// What takes effect at one point in time: a request, or the beginning or the end of a wait.
struct Event<'h> {
    /// The request's place in the history.
    index: usize,
    record: &'h Record,
    part: Part,
    /// It takes effect after the first and before the second.
    within: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Arrival,
    End,
}

fn events(history: &[Record]) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    for (index, record) in history.iter().enumerate() {
        let mut add = |part, replied| {
            events.push(Event {
                index,
                record,
                part,
                within: (record.invoked, replied),
            });
        };
        match record.entered {
            None => add(Part::Whole, record.replied),
            Some(entered) => {
                add(Part::Arrival, entered);
                add(Part::End, record.replied);
            }
        }
    }
    events
}

/// Looks for such an order; an error tells the whole history. At most 64 events.
pub fn check(history: &[Record]) -> Result<(), String> {
    let events = events(history);
    assert!(events.len() <= 64, "a set of events is 64 bits");
    let keys: Vec<Vec<Vec<u8>>> = (history.iter())
        .map(|record| keys_of(&record.operation))
        .collect();
    let before: Vec<u64> = events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let comes_before = |(of, other): (usize, &Event<'_>)| {
                // One client's requests to one shard, or with a common key, keep their order even when they are under way
                // together.
                let is_same =
                    event.record.shard.is_some() && other.record.shard == event.record.shard;
                let has_common =
                    || (keys[other.index].iter()).any(|key| keys[event.index].contains(key));
                let is_ahead = of < index
                    && other.record.client == event.record.client
                    && (is_same || has_common());
                let is_its_own = of < index && other.index == event.index;
                u64::from(other.within.1 < event.within.0 || is_ahead || is_its_own) << of
            };
            events.iter().enumerate().map(comes_before).sum()
        })
        .collect();
    let mut search = Search {
        events,
        before,
        tried: HashSet::new(),
    };
    if search.go_on(0, &Model::default()) {
        return Ok(());
    }
    let lines: Vec<String> = history.iter().map(Record::to_string).collect();
    Err(format!("{NOT_SERIALISABLE}:\n{}", lines.join("\n")))
}

struct Search<'h> {
    events: Vec<Event<'h>>,
    /// For each event, the set of those that must come before it.
    before: Vec<u64>,
    /// Sets of events done, and the state that led to, from which there is no way on.
    tried: HashSet<(u64, Model)>,
}

impl Search<'_> {
    fn go_on(&mut self, done: u64, model: &Model) -> bool {
        if done.count_ones() as usize == self.events.len() {
            return true;
        }
        if !self.tried.insert((done, model.clone())) {
            return false;
        }
        for index in 0..self.events.len() {
            let is_next = done >> index & 1 == 0 && self.before[index] & !done == 0;
            if !is_next {
                continue;
            }
            let event = &self.events[index];
            let record = event.record;
            let mut after = model.clone();
            let expected = match event.part {
                Part::Whole => after.apply(record.client, &record.operation, &record.reply),
                Part::Arrival => match after.arrive(event.index, &record.operation) {
                    true => Expected::Reply(record.reply.clone()),
                    false => Expected::Impossible,
                },
                Part::End => after.end_wait(event.index, &record.operation, &record.reply),
            };
            if is_right(&expected, &record.reply) && self.go_on(done | 1 << index, &after) {
                return true;
            }
        }
        false
    }
}

fn is_right(expected: &Expected, reply: &[u8]) -> bool {
    match expected {
        Expected::Reply(bytes) => bytes == reply,
        Expected::Impossible => false,
        Expected::Each(wanted) => elements(reply).is_some_and(|found| {
            let found: Vec<&[u8]> = found.collect();
            found.len() == wanted.len()
                && (wanted.iter().zip(found)).all(|(wanted, found)| is_right(wanted, found))
        }),
        Expected::OneOf(replies) => replies.iter().any(|one| one == reply),
        Expected::InAnyOrder(wanted) => {
            let Some(elements) = elements(reply) else {
                return false;
            };
            let mut found: Vec<&[u8]> = elements.collect();
            let mut wanted: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            found == wanted
        }
    }
}

/// A history in which a reader sees half of a transaction has no order; with all of it, it has.
#[test]
fn the_checker_tells_halves_from_wholes() {
    let record = |client, words: &[&str], invoked, replied, reply: &str| Record {
        client,
        operation: Operation::new(0, words),
        shard: None,
        invoked,
        entered: None,
        replied,
        reply: reply.as_bytes().to_vec(),
    };
    let write = record(0, &["MSET", "x", "1", "y", "1"], 1, 9, "+OK\r\n");
    let half = record(1, &["MGET", "x", "y"], 2, 3, "*2\r\n$1\r\n1\r\n$-1\r\n");
    let whole = record(1, &["MGET", "x", "y"], 2, 3, "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
    let stale = record(1, &["MGET", "x", "y"], 10, 11, "*2\r\n$-1\r\n$-1\r\n");
    assert_eq!(check(&[write.clone(), whole]), Ok(()));
    assert!(check(&[write.clone(), half]).is_err());
    assert!(check(&[write, stale]).is_err());
}
