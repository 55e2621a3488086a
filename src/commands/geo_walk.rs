//! A search for places, bit by bit: through the cells around its center, then, where they are to have an order, through runs.
//!
//!     found -> [by distance, the first of them] -> told, or [by score] -> a set of them, to be stored
//!
//! Few places are found at once, and nothing of this outlives the request.
//!
//! Not here  what comes whole: `geo_search.rs`.
//! Tests     tests/shard/long_reads.rs; tests/transcripts/geo_search.txt.

use std::cmp::Ordering;
use std::ops::Range;

use super::collected::{Collected, Head};
use super::geo::{reply_distance, reply_point};
use super::geo_shape::{CELLS_COUNT, Search};
use super::pieces::{Finished, first_object};
use super::runs::{Order, Runs};
use super::zset_walk::ByScore;
use crate::base::geohash::{Cell, Point, point_of};
use crate::ds::key_table::{EntryRef, Made, ManyReader, ReadLimit, Rest};
use crate::ds::listpack::Element;
use crate::keyspace::zset::Direction;
use crate::keyspace::{Collection, EncodingLimits, Object, Zset};
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
    pub(super) told: Told,
}

/// What becomes of the places.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Reply { shown: Shown, protocol: Protocol },
    Stored(Stored),
}

/// As what places are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// In units of so many metres; none: their scores are kept.
    pub(super) distance_in: Option<f64>,
    pub(super) limits: EncodingLimits,
}

impl Stored {
    /// The score of a place.
    pub(super) fn score(&self, place: &Place) -> f64 {
        match self.distance_in {
            Some(meters_per_unit) => place.distance / meters_per_unit,
            None => place.score,
        }
    }
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
    ToStore(Runs<ByScore>, Stored),
    Nothing,
}

impl GeoWalk {
    /// - `before`: what `finder` has found.
    pub(super) fn new(finder: Finder, before: Vec<(Vec<u8>, Place)>, wanted: Wanted) -> Self {
        // What is stored has an order of its own: that in which places were found matters where some are left out.
        let is_chosen = wanted.count > 0;
        let found = match (wanted.is_farthest_first, wanted.told) {
            (order, Told::Stored(stored)) if order.is_none() || !is_chosen => {
                Found::ToStore(Runs::new(ByScore), stored)
            }
            (None, Told::Reply { protocol, .. }) => {
                Found::AsTheyCome(Collected::new(Head::Array, protocol))
            }
            (order, _) => Found::InOrder(Runs::new(ByDistance {
                is_farthest_first: order == Some(true),
            })),
        };
        let mut walk = Self {
            finder,
            found,
            wanted,
        };
        for (member, place) in before {
            let member = Element::Str(&member);
            walk.found.push(member, place, &walk.wanted.told);
        }
        walk
    }

    /// What comes when all are found.
    fn rest(&mut self) -> Box<dyn Rest> {
        match std::mem::replace(&mut self.found, Found::Nothing) {
            Found::AsTheyCome(collected) => Box::new(collected),
            Found::ToStore(places, stored) => Box::new(StoredPlaces::new(places, stored)),
            Found::InOrder(places) => Box::new(Places {
                left_count: match self.wanted.count {
                    0 => places.len(),
                    count => count.min(places.len()),
                },
                places,
                told: self.wanted.told,
                has_begun: false,
                stored: None,
            }),
            Found::Nothing => Box::new(Collected::new(Head::Array, Protocol::Resp2)),
        }
    }
}

impl Found {
    fn push(&mut self, member: Element<'_>, place: Place, told: &Told) {
        match (self, told) {
            (Self::InOrder(runs), _) => runs.push(place, member),
            (Self::AsTheyCome(collected), Told::Reply { shown, .. }) => {
                shown.reply(member.text(&mut [0; 20]), &place, &mut collected.next());
            }
            (Self::ToStore(runs, stored), _) => runs.push(stored.score(&place), member),
            (Self::AsTheyCome(_) | Self::Nothing, _) => {}
        }
    }
}

impl ManyReader<Object> for GeoWalk {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let set = first_object(entries).and_then(Zset::of);
        let (found, told) = (&mut self.found, &self.wanted.told);
        let is_all = set.is_none_or(|set| {
            (self.finder).go_on(set, limit.elements, |member, place| {
                found.push(member, place, told);
            })
        });
        is_all.then(|| self.rest())
    }
}

/// Places that have been found: they are sorted, then told or prepared to be stored.
struct Places {
    places: Runs<ByDistance>,
    left_count: usize,
    told: Told,
    has_begun: bool,
    /// Makes what is stored of them.
    stored: Option<StoredPlaces>,
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
            match self.told {
                Told::Reply { protocol, .. } => Reply::new(out, protocol).array(self.left_count),
                Told::Stored(stored) => {
                    self.stored = Some(StoredPlaces::new(Runs::new(ByScore), stored));
                }
            }
        }
        let end = out.len().saturating_add(limit.bytes);
        let mut room_count = limit.elements;
        while self.left_count > 0 && room_count > 0 && out.len() < end {
            let (told, stored) = (self.told, &mut self.stored);
            (self.places).pop(|place, member| match (told, stored) {
                (Told::Reply { shown, protocol }, _) => {
                    shown.reply(member, place, &mut Reply::new(out, protocol));
                }
                (Told::Stored(as_what), Some(stored)) => {
                    (stored.places).push(as_what.score(place), Element::Str(member));
                }
                (Told::Stored(_), None) => {}
            });
            self.left_count -= 1;
            room_count -= 1;
        }
        match &mut self.stored {
            Some(stored) if self.left_count == 0 && room_count > 0 => stored.read(limit, out),
            Some(_) => false,
            None => self.left_count == 0,
        }
    }

    fn take_made(&mut self) -> Option<Made> {
        self.stored.as_mut()?.take_made()
    }
}

/// Places are sorted by their scores, then a set is made of them.
struct StoredPlaces {
    places: Runs<ByScore>,
    limits: EncodingLimits,
    made: Option<Zset>,
    /// The last one that went into the set. Two neighbouring cells that are one give a place twice.
    last: Vec<u8>,
}

impl StoredPlaces {
    fn new(places: Runs<ByScore>, stored: Stored) -> Self {
        Self {
            places,
            limits: stored.limits,
            made: None,
            last: Vec::new(),
        }
    }

    /// All of them at once: what they are stored as depends on how many they are, each counted once.
    fn make(&mut self) -> Zset {
        let mut members: Vec<(f64, Vec<u8>)> = Vec::with_capacity(self.places.len());
        while (self.places).pop(|&score, member| members.push((score, member.to_vec()))) {}
        members.dedup_by(|one, other| one.1 == other.1);
        Zset::from_sorted(&members, &self.limits)
    }
}

impl Rest for StoredPlaces {
    fn read(&mut self, limit: ReadLimit, _: &mut Vec<u8>) -> bool {
        while self.places.sort_run() {
            if limit != ReadLimit::NONE {
                return false;
            }
        }
        if self.made.is_none() {
            self.places.merge();
            let small_max = self.limits.zset_max_listpack_entries;
            let small_max = small_max.saturating_mul(CELLS_COUNT);
            if self.places.len() <= small_max {
                self.made = Some(self.make());
                return true;
            }
        }
        let (places, last) = (&mut self.places, &mut self.last);
        let set = (self.made).get_or_insert_with(|| Zset::sized(places.len(), 0, &self.limits));
        // A member of a set costs more than one of a reply.
        for _ in 0..(limit.elements / 4).max(1) {
            let is_there = places.pop(|&score, member| {
                if set.is_empty() || member != last.as_slice() {
                    set.push(member, score);
                    last.clear();
                    last.extend_from_slice(member);
                }
            });
            if !is_there {
                return true;
            }
        }
        false
    }

    fn take_made(&mut self) -> Option<Made> {
        let set = self.made.take()?;
        Some(Box::new(Finished {
            set,
            inputs_count: 1,
        }))
    }
}
