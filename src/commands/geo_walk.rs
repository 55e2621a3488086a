//! A search for places, bit by bit: through the cells around its center, then, where they are to have an order, through runs.
//!
//! Few places are found at once, and nothing of this outlives the request.
//!
//! Not here  what is stored comes whole: `geo_search.rs`.
//! Tests     tests/shard/long_reads.rs; tests/transcripts/geo_search.txt.

use std::cmp::Ordering;
use std::ops::Range;

use super::collected::{Collected, Head};
use super::geo::{reply_distance, reply_point};
use super::geo_shape::{CELLS_COUNT, Search};
use super::runs::{Order, Runs};
use crate::base::geohash::{Cell, Point, point_of};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::ds::listpack::Element;
use crate::keyspace::zset::Direction;
use crate::keyspace::{Collection, Object, Zset};
use crate::resp::{Protocol, Reply};

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) score: f64,
    pub(super) point: Point,
    /// From the center, in metres.
    pub(super) distance: f64,
}

/// What is told of each place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) distance: bool,
    pub(super) hash: bool,
    pub(super) point: bool,
    pub(super) meters_per_unit: f64,
}

impl Shown {
    /// Replies with one place.
    pub(super) fn reply(&self, member: &[u8], place: &Place, reply: &mut Reply<'_>) {
        let more_count =
            usize::from(self.distance) + usize::from(self.hash) + usize::from(self.point);
        if more_count > 0 {
            reply.array(1 + more_count);
        }
        reply.bulk(member);
        if self.distance {
            reply_distance(place.distance / self.meters_per_unit, reply);
        }
        if self.hash {
            reply.integer(place.score as i64);
        }
        if self.point {
            reply_point(place.point, reply);
        }
    }
}

/// A search, and how far it has come.
pub(super) struct Finder {
    search: Search,
    cells: [Option<Cell>; CELLS_COUNT],
    /// The next cell, and the last one that was looked into.
    next: usize,
    last: usize,
    /// What is left of that.
    ranks: Range<usize>,
    found_count: usize,
    /// So many are enough; 0: all are wanted.
    limit: usize,
}

impl Finder {
    pub(super) fn new(search: Search, limit: usize) -> Self {
        Self {
            cells: search.cells(),
            search,
            next: 0,
            last: 0,
            ranks: 0..0,
            found_count: 0,
            limit,
        }
    }

    /// Looks at up to `count_max` members; whether nothing is left to be looked at.
    pub(super) fn go_on(
        &mut self,
        set: &Zset,
        mut count_max: usize,
        mut found: impl FnMut(Element<'_>, Place),
    ) -> bool {
        let is_enough = |count: usize, limit: usize| limit > 0 && count >= limit;
        loop {
            if is_enough(self.found_count, self.limit) {
                return true;
            }
            if self.ranks.is_empty() {
                match self.next_cell(set) {
                    true => continue,
                    false => return true,
                }
            }
            let end = self.ranks.start.saturating_add(count_max);
            let part = self.ranks.start..end.min(self.ranks.end);
            if part.is_empty() {
                return false;
            }
            count_max -= part.len();
            for (member, score) in set.walk(part, Direction::Up) {
                self.ranks.start += 1;
                let point = point_of(score);
                if let Some(distance) = self.search.distance_inside(point) {
                    let place = Place {
                        score,
                        point,
                        distance,
                    };
                    found(member, place);
                    self.found_count += 1;
                    if is_enough(self.found_count, self.limit) {
                        return true;
                    }
                }
            }
        }
    }

    /// Looks up where the next cell begins and ends; false where there is none.
    fn next_cell(&mut self, set: &Zset) -> bool {
        while self.next < self.cells.len() {
            let at = self.next;
            self.next += 1;
            let Some(cell) = self.cells[at] else { continue };
            // In a coarse grid neighbours may be one cell. As in Redis, the middle one is not compared.
            if self.last > 0 && self.cells[self.last] == Some(cell) {
                continue;
            }
            let (start, end) = cell.numbers();
            let (start, end) = (start as f64, end as f64);
            self.ranks = set.count_before_score(|score| score < start)
                ..set.count_before_score(|score| score < end);
            self.last = at;
            return true;
        }
        false
    }
}

/// By distance.
struct ByDistance {
    is_farthest_first: bool,
}

impl Order for ByDistance {
    type Rank = Place;

    fn compare(&self, one: (&Place, &[u8]), other: (&Place, &[u8])) -> Ordering {
        let order = one.0.distance.total_cmp(&other.0.distance);
        match self.is_farthest_first {
            true => order.reverse(),
            false => order,
        }
    }
}

/// What is to come of a search.
pub(super) struct Wanted {
    /// Nearest or farthest first, if any order is asked for.
    pub(super) is_farthest_first: Option<bool>,
    /// So many of them; 0: all.
    pub(super) count: usize,
    pub(super) shown: Shown,
    pub(super) protocol: Protocol,
}

/// A search that goes on, one set of places at a time.
pub(super) struct GeoWalk {
    finder: Finder,
    found: Found,
    wanted: Wanted,
}

enum Found {
    InOrder(Runs<ByDistance>),
    AsTheyCome(Collected),
    Nothing,
}

impl GeoWalk {
    /// - `before`: what `finder` has found.
    pub(super) fn new(finder: Finder, before: Vec<(Vec<u8>, Place)>, wanted: Wanted) -> Self {
        let found = match wanted.is_farthest_first {
            Some(is_farthest_first) => Found::InOrder(Runs::new(ByDistance { is_farthest_first })),
            None => Found::AsTheyCome(Collected::new(Head::Array, wanted.protocol)),
        };
        let mut walk = Self {
            finder,
            found,
            wanted,
        };
        for (member, place) in before {
            let member = Element::Str(&member);
            walk.found.push(member, place, &walk.wanted.shown);
        }
        walk
    }
}

impl Found {
    fn push(&mut self, member: Element<'_>, place: Place, shown: &Shown) {
        match self {
            Self::InOrder(runs) => runs.push(place, member),
            Self::AsTheyCome(collected) => {
                shown.reply(member.text(&mut [0; 20]), &place, &mut collected.next());
            }
            Self::Nothing => {}
        }
    }
}

impl ManyReader<Object> for GeoWalk {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let set = match entries.first().map(EntryRef::value) {
            Some(Value::Object(object)) => Zset::of(object),
            _ => None,
        };
        let (found, shown) = (&mut self.found, &self.wanted.shown);
        let is_all = set.is_none_or(|set| {
            (self.finder).go_on(set, limit.elements, |member, place| {
                found.push(member, place, shown);
            })
        });
        is_all.then(
            || match std::mem::replace(&mut self.found, Found::Nothing) {
                Found::AsTheyCome(collected) => Box::new(collected) as Box<dyn Rest>,
                Found::InOrder(places) => Box::new(Places {
                    left_count: match self.wanted.count {
                        0 => places.len(),
                        count => count.min(places.len()),
                    },
                    places,
                    shown: self.wanted.shown,
                    protocol: self.wanted.protocol,
                    has_begun: false,
                }),
                Found::Nothing => Box::new(Collected::new(Head::Array, self.wanted.protocol)),
            },
        )
    }
}

/// Places that have been found: they are sorted, then told.
struct Places {
    places: Runs<ByDistance>,
    left_count: usize,
    shown: Shown,
    protocol: Protocol,
    has_begun: bool,
}

impl Rest for Places {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        while self.places.sort_run() {
            if limit != ReadLimit::NONE {
                return false;
            }
        }
        if !self.has_begun {
            self.has_begun = true;
            self.places.merge();
            Reply::new(out, self.protocol).array(self.left_count);
        }
        let end = out.len().saturating_add(limit.bytes);
        let mut room_count = limit.elements;
        while self.left_count > 0 && room_count > 0 && out.len() < end {
            let shown = self.shown;
            let mut reply = Reply::new(out, self.protocol);
            (self.places).pop(|place, member| shown.reply(member, place, &mut reply));
            self.left_count -= 1;
            room_count -= 1;
        }
        self.left_count == 0
    }
}
