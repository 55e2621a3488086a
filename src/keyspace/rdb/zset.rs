//! Sorted sets in RDB.
//!
//!     listpack   | a string: the listpack |
//!     2          | count | member string, score f64 | …        the highest score first
//!     plain      | count | member string, score text | …       to Redis 3.2
//!     ziplist    | a string: the ziplist |                     to Redis 6.2
//!
//! Promises  whatever order members come in, the set has its own; a member twice, a score that is no number, or no member
//!           at all is malformed. A listpack that is what the set would have is kept as it is.
//! Tests     tests/keyspace/rdb_packed.rs, tests/keyspace/zset.rs.

use super::distinct::{are_distinct, are_distinct_in};
use super::old::read_ziplist;
use super::wire::{Malformed, Reader, Writer};
use crate::base::number::{F64_TEXT_BYTES_MAX, parse_f64, write_f64};
use crate::ds::listpack::{Element, Listpack};
use crate::keyspace::zset::{Direction, sort_members};
use crate::keyspace::zset_packed::whole;
use crate::keyspace::{EncodingLimits, Zset};
use std::borrow::Cow;

/// The bytes that say which form follows.
pub mod kind {
    #![allow(missing_docs)]
    pub const PLAIN: u8 = 3;
    pub const TWO: u8 = 5;
    pub const ZIPLIST: u8 = 12;
    pub const LISTPACK: u8 = 17;
}

/// Lengths of a score's text that say something else.
const NAN: u8 = 253;
const INFINITE: u8 = 254;
const MINUS_INFINITE: u8 = 255;

type Members<'a> = Vec<(f64, Cow<'a, [u8]>)>;

/// Writes type and value; returns the version that has that type.
pub fn write(set: &Zset, out: &mut Writer) -> u16 {
    if let Some(listpack) = set.as_listpack() {
        out.kind(kind::LISTPACK);
        out.string(listpack.as_bytes());
        return super::VERSION;
    }
    out.kind(kind::TWO);
    out.length(set.len() as u64);
    for (member, score) in set.walk(0..set.len(), Direction::Down) {
        out.string(member.text(&mut [0; 20]));
        out.raw(&score.to_le_bytes());
    }
    super::VERSION
}

/// Reads the value that follows `kind`.
pub fn read(kind: u8, from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Zset, Malformed> {
    match kind {
        kind::LISTPACK => {
            let pack = Listpack::from_bytes(&from.string()?).ok_or(Malformed)?;
            if is_as_kept(&pack, limits) {
                return Ok(Zset::from_listpack(pack));
            }
            sorted(paired(pack.iter())?, limits)
        }
        kind::ZIPLIST => {
            let packed = from.string()?;
            let mut elements = Vec::new();
            read_ziplist(&packed, |element| elements.push(element))?;
            sorted(paired(elements.into_iter())?, limits)
        }
        kind::TWO => sorted(listed(from, |from| from.f64())?, limits),
        kind::PLAIN => sorted(listed(from, score_text)?, limits),
        _ => Err(Malformed),
    }
}

/// Whether a set of these members would have just this listpack: it is in order, within the limits in force, no member is
/// there twice, and every entry is as `keyspace/zset_packed.rs` writes it. Others are sorted and written anew.
///
/// - Cost: two walks; no allocation up to 512 members.
fn is_as_kept(pack: &Listpack, limits: &EncodingLimits) -> bool {
    // A count of 65,535 says nothing, and only one from elsewhere says so of fewer.
    if pack.as_bytes()[4..6] == [u8::MAX; 2] {
        return false;
    }
    let count = pack.len() / 2;
    let is_whole = count > 0 && pack.len().is_multiple_of(2);
    if !is_whole || count > limits.zset_max_listpack_entries {
        return false;
    }
    let mut elements = pack.iter();
    let mut last: Option<(f64, Element<'_>)> = None;
    let mut members_bytes = 0;
    for _ in 0..count {
        let (Some(member), Some(score)) = (elements.next_as_pushed(), elements.next_as_pushed())
        else {
            return false;
        };
        let Some(score) = score_as_kept(score) else {
            return false;
        };
        let mut digits = [0; 20];
        let text = member.text(&mut digits);
        let is_after = last.is_none_or(|(last_score, last_member)| {
            last_score < score || (last_score == score && last_member.text(&mut [0; 20]) < text)
        });
        if !is_after || text.len() > limits.zset_max_listpack_value {
            return false;
        }
        members_bytes += text.len();
        last = Some((score, member));
    }
    Listpack::new().has_room_for(members_bytes) && are_distinct_in(pack, 2)
}

/// The score, where a set with it would have this element.
fn score_as_kept(element: Element<'_>) -> Option<f64> {
    let (score, is_kept) = match element {
        Element::Int(number) => {
            let score = number as f64;
            (score, whole(score) == Some(number))
        }
        Element::Str(text) => {
            let score = parse_f64(text)?;
            let is_shortest = || write_f64(&mut [0; F64_TEXT_BYTES_MAX], score) == text;
            (score, whole(score).is_none() && is_shortest())
        }
    };
    is_kept.then_some(score)
}

/// A set of these members, whatever their order.
fn sorted(mut members: Members<'_>, limits: &EncodingLimits) -> Result<Zset, Malformed> {
    let is_number = members.iter().all(|(score, _)| !score.is_nan());
    if members.is_empty() || !is_number {
        return Err(Malformed);
    }
    let are_different = are_distinct(members.len(), members.iter(), |member| {
        Element::Str(&member.1)
    });
    if !are_different {
        return Err(Malformed);
    }
    sort_members(&mut members);
    Ok(Zset::from_sorted(&members, limits))
}

/// Members and scores in turn.
fn paired<'a>(mut elements: impl Iterator<Item = Element<'a>>) -> Result<Members<'a>, Malformed> {
    let mut members = Vec::new();
    while let Some(member) = elements.next() {
        let score = match elements.next().ok_or(Malformed)? {
            Element::Int(number) => number as f64,
            Element::Str(text) => parse_f64(text).ok_or(Malformed)?,
        };
        let member = match member {
            Element::Int(_) => Cow::Owned(member.to_vec()),
            Element::Str(text) => Cow::Borrowed(text),
        };
        members.push((score, member));
    }
    Ok(members)
}

fn listed<'a>(
    from: &mut Reader<'a>,
    score: impl Fn(&mut Reader<'a>) -> Result<f64, Malformed>,
) -> Result<Members<'a>, Malformed> {
    let count = from.count()?;
    // Each takes two bytes at least.
    let mut members = Vec::with_capacity(count.min(from.left() / 2));
    for _ in 0..count {
        let member = from.string()?;
        members.push((score(from)?, member));
    }
    Ok(members)
}

fn score_text(from: &mut Reader<'_>) -> Result<f64, Malformed> {
    match from.byte()? {
        NAN => Err(Malformed),
        INFINITE => Ok(f64::INFINITY),
        MINUS_INFINITE => Ok(f64::NEG_INFINITY),
        length => parse_f64(from.raw(usize::from(length))?).ok_or(Malformed),
    }
}
