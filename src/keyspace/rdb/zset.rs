//! Sorted sets in RDB.
//!
//!     listpack   | a string: the listpack |
//!     2          | count | member string, score f64 | …        the highest score first
//!     plain      | count | member string, score text | …       to Redis 3.2
//!     ziplist    | a string: the ziplist |                     to Redis 6.2
//!
//! Promises  whatever order members come in, the set has its own; a member twice, a score that is no number, or no member
//!           at all is malformed.

use super::old::read_ziplist;
use super::wire::{Malformed, Reader, Writer};
use crate::base::number::parse_f64;
use crate::ds::listpack::{Element, Listpack};
use crate::keyspace::zset::{Direction, sort_members};
use crate::keyspace::{EncodingLimits, Zset};
use std::borrow::Cow;
use std::collections::HashSet;

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
    let packed;
    let mut members = match kind {
        kind::LISTPACK => {
            packed = from.string()?;
            let listpack = Listpack::from_bytes(&packed).ok_or(Malformed)?;
            paired(listpack.iter())?
        }
        kind::ZIPLIST => {
            packed = from.string()?;
            let mut elements = Vec::new();
            read_ziplist(&packed, |element| elements.push(element))?;
            paired(elements.into_iter())?
        }
        kind::TWO => listed(from, |from| from.f64())?,
        kind::PLAIN => listed(from, score_text)?,
        _ => return Err(Malformed),
    };
    let is_number = members.iter().all(|(score, _)| !score.is_nan());
    let different: HashSet<&[u8]> = members.iter().map(|(_, member)| &**member).collect();
    if members.is_empty() || !is_number || different.len() < members.len() {
        return Err(Malformed);
    }
    drop(different);
    sort_members(&mut members);
    Ok(Zset::from_sorted(&members, limits))
}

/// Members and scores in turn.
fn paired<'a>(elements: impl Iterator<Item = Element<'a>>) -> Result<Members<'static>, Malformed> {
    let mut members = Vec::new();
    let mut elements = elements;
    while let Some(member) = elements.next() {
        let score = match elements.next().ok_or(Malformed)? {
            Element::Int(number) => number as f64,
            Element::Str(text) => parse_f64(text).ok_or(Malformed)?,
        };
        members.push((score, Cow::Owned(member.to_vec())));
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
