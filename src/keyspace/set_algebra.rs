//! What several sets have in common, have together, and have more than others.
//!
//! Promises  what is stored has Redis's encoding; a member's hash is computed once, whatever the number of sets.
//! Not here  keys and replies: `commands/set_algebra.rs`.
//! Tests     tests/keyspace/set.rs, tests/transcripts/set_algebra.txt.

use super::EncodingLimits;
use super::set::{Probe, Set};
use crate::ds::intset::Intset;
use crate::ds::listpack::Element;

/// In a set that is so many times as large, integers are searched for one by one.
const SEARCH_SHARE: usize = 16;

/// Visits what is in all sets until `visit` says false. No set, or a set that is not there: nothing.
pub fn intersection<'s>(sets: &[Option<&'s Set>], mut visit: impl FnMut(Element<'s>) -> bool) {
    let Some((first, others)) = ordered(sets) else {
        return;
    };
    if let (Some(ints), Some(others)) = (first.as_ints(), all_ints(&others)) {
        return each_kept(ints, &others, true, |integer| visit(Element::Int(integer)));
    }
    let is_in_all = |member: Element<'s>| {
        let mut buffer = [0; 20];
        let probe = Probe::of(member, &mut buffer);
        others.iter().all(|other| other.contains(&probe))
    };
    first.all(|member| !is_in_all(member) || visit(member));
}

/// What SINTERSTORE stores: what is in all sets.
pub fn stored_intersection(sets: &[Option<&Set>], limits: &EncodingLimits) -> Set {
    let Some((first, others)) = ordered(sets) else {
        return Set::default();
    };
    if let (Some(ints), Some(others)) = (first.as_ints(), all_ints(&others)) {
        return set_of(&kept_of(ints, &others, true), &Intset::new(), limits);
    }
    let mut stored = if first.as_ints().is_some() {
        Set::default()
    } else {
        Set::packed()
    };
    intersection(sets, |member| {
        stored.add(&Probe::of(member, &mut [0; 20]), limits);
        true
    });
    stored.become_ints_where_possible(limits);
    stored
}

/// What is in one set at least. Sets that are not there are empty.
///
/// - `is_stored`: with the encoding SUNIONSTORE stores; otherwise with the one that is built fastest.
pub fn union(sets: &[Option<&Set>], is_stored: bool, limits: &EncodingLimits) -> Set {
    if let Some(integers) = united_ints(sets) {
        return set_of(&integers, &Intset::new(), limits);
    }
    let mut united = beginning(sets, is_stored);
    for set in sets.iter().flatten() {
        set.each(|member| {
            united.add(&Probe::of(member, &mut [0; 20]), limits);
        });
    }
    united
}

/// How many members [`union`] has, or `limit` if they are more and `limit` is not 0.
pub fn union_count(sets: &[Option<&Set>], limit: usize, limits: &EncodingLimits) -> usize {
    // One set has each member once already.
    if let [only] = sets {
        let count = only.map_or(0, Set::len);
        return if limit > 0 { count.min(limit) } else { count };
    }
    if limit == 0
        && let Some(integers) = united_ints(sets)
    {
        return integers.len();
    }
    let mut united = beginning(sets, false);
    for set in sets.iter().flatten() {
        let goes_on = set.all(|member| {
            united.add(&Probe::of(member, &mut [0; 20]), limits);
            limit == 0 || united.len() < limit
        });
        if !goes_on {
            return limit;
        }
    }
    united.len()
}

/// Visits what is in the first set and in no other until `visit` says false.
pub fn difference<'s>(sets: &[Option<&'s Set>], mut visit: impl FnMut(Element<'s>) -> bool) {
    let Some((first, others)) = subtracted(sets) else {
        return;
    };
    if let (Some(ints), Some(others)) = (first.as_ints(), all_ints(&others)) {
        return each_kept(ints, &others, false, |integer| visit(Element::Int(integer)));
    }
    let is_in_none = |member: Element<'s>| {
        let mut buffer = [0; 20];
        let probe = Probe::of(member, &mut buffer);
        !others.iter().any(|other| other.contains(&probe))
    };
    first.all(|member| !is_in_none(member) || visit(member));
}

/// What SDIFFSTORE stores: what is in the first set and in no other.
///
/// - Whether members are looked up in the other sets, or the other sets' removed from a copy of the first, is decided as
///   Redis does, for the encoding tells: a copy stays as large as the first set made it.
pub fn stored_difference(sets: &[Option<&Set>], limits: &EncodingLimits) -> Set {
    let mut stored = Set::default();
    let Some((first, others)) = subtracted(sets) else {
        return stored;
    };
    let lookups_count = first.len() * (1 + others.len()) / 2;
    let members_count = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    let is_looked_up = lookups_count <= members_count;
    if let (Some(ints), Some(others)) = (first.as_ints(), all_ints(&others))
        && (is_looked_up || ints.len() <= limits.set_max_intset_entries)
    {
        let kept = kept_of(ints, &others, false);
        if is_looked_up {
            return set_of(&kept, &Intset::new(), limits);
        }
        // The copy's width is that of what was put into it.
        let mut ends: Vec<i64> = ints.first().into_iter().chain(ints.last()).collect();
        ends.dedup();
        let copy = Intset::from_ascending(&ends, &Intset::new());
        return set_of(&kept, &copy, limits);
    }
    if is_looked_up {
        difference(sets, |member| {
            stored.add(&Probe::of(member, &mut [0; 20]), limits);
            true
        });
        return stored;
    }
    first.each(|member| {
        stored.add(&Probe::of(member, &mut [0; 20]), limits);
    });
    for other in others {
        other.each(|member| {
            stored.remove(&Probe::of(member, &mut [0; 20]));
        });
        if stored.is_empty() {
            break;
        }
    }
    stored
}

/// The smallest set and the others, smaller ones first; none where one is not there.
fn ordered<'s>(sets: &[Option<&'s Set>]) -> Option<(&'s Set, Vec<&'s Set>)> {
    let mut sets = sets.iter().copied().collect::<Option<Vec<&Set>>>()?;
    sets.sort_by_key(|set| set.len());
    let first = *sets.first()?;
    sets.remove(0);
    // A key named twice needs no second look.
    sets.retain(|set| !std::ptr::eq(*set, first));
    Some((first, sets))
}

/// The first set and those to subtract, larger ones first; none where nothing can be left.
fn subtracted<'s>(sets: &[Option<&'s Set>]) -> Option<(&'s Set, Vec<&'s Set>)> {
    let (first, others) = sets.split_first()?;
    let first = (*first)?;
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, first)) {
        return None;
    }
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    Some((first, others))
}

fn beginning(sets: &[Option<&Set>], is_stored: bool) -> Set {
    let is_ints = |set: &&Set| set.as_ints().is_some();
    if is_stored || sets.iter().flatten().all(is_ints) {
        Set::default()
    } else {
        Set::table()
    }
}

/// These sets as sets of integers, where all of them are.
fn all_ints<'s>(sets: &[&'s Set]) -> Option<Vec<&'s Intset>> {
    sets.iter().map(|set| set.as_ints()).collect()
}

/// What is in one at least of sets of integers, in order; none where one is no such set.
fn united_ints(sets: &[Option<&Set>]) -> Option<Vec<i64>> {
    let sets: Vec<&Set> = sets.iter().copied().flatten().collect();
    let mut integers: Vec<i64> = Vec::new();
    let mut united_count = 0;
    for set in all_ints(&sets)? {
        // What is there twice is no more than what is there, whatever the number of sets.
        if integers.len() > united_count + set.len().max(united_count) {
            integers.sort_unstable();
            integers.dedup();
            united_count = integers.len();
        }
        integers.extend(set.iter());
    }
    integers.sort_unstable();
    integers.dedup();
    Some(integers)
}

/// Visits what of `first` is in all others, or in none of them, in order, until `visit` says false.
fn each_kept(first: &Intset, others: &[&Intset], is_in: bool, mut visit: impl FnMut(i64) -> bool) {
    let others = others.iter().copied();
    let is_searched = |other: &Intset| first.len() * SEARCH_SHARE < other.len();
    let mut others: Vec<_> = others
        .map(|other| Ahead::new(other, is_searched(other)))
        .collect();
    for integer in first.iter() {
        let is_kept = match is_in {
            true => others.iter_mut().all(|other| other.has(integer)),
            false => !others.iter_mut().any(|other| other.has(integer)),
        };
        if is_kept && !visit(integer) {
            return;
        }
    }
}

/// All of that.
fn kept_of(first: &Intset, others: &[&Intset], is_in: bool) -> Vec<i64> {
    let mut kept = Vec::new();
    each_kept(first, others, is_in, |integer| {
        kept.push(integer);
        true
    });
    kept
}

/// A set that is asked for integers that ascend.
struct Ahead<'s, I> {
    set: &'s Intset,
    is_searched: bool,
    rest: I,
    next: Option<i64>,
}

impl<'s> Ahead<'s, ()> {
    /// - `is_searched`: for each integer; otherwise it is gone through beside them.
    fn new(set: &'s Intset, is_searched: bool) -> Ahead<'s, impl Iterator<Item = i64>> {
        let mut rest = set.iter();
        Ahead {
            set,
            is_searched,
            next: rest.next(),
            rest,
        }
    }
}

impl<I: Iterator<Item = i64>> Ahead<'_, I> {
    #[inline]
    fn has(&mut self, integer: i64) -> bool {
        if self.is_searched {
            return self.set.contains(integer);
        }
        while self.next.is_some_and(|next| next < integer) {
            self.next = self.rest.next();
        }
        self.next == Some(integer)
    }
}

/// A set of these integers, which ascend, as wide as those of `wide` at least.
fn set_of(integers: &[i64], wide: &Intset, limits: &EncodingLimits) -> Set {
    let mut set = Set::from_ints(Intset::from_ascending(integers, wide));
    set.outgrow(limits);
    set
}
