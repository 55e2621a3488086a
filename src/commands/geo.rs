//! Places: members of a sorted set whose scores are geohashes. GEOADD, GEODIST, GEOHASH, GEOPOS.
//!
//! Promises  positions and distances are Redis's to the last digit.
//! Not here  searching: `geo_search.rs`; the arithmetic: `base/geohash.rs`, `base/earth.rs`.
//! Tests     tests/transcripts/geo.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::zset::{AddOptions, add};
use crate::base::earth::distance;
use crate::base::geohash::{Point, number_of, point_of, text_of};
use crate::base::number::{parse_f64, write_i64};
use crate::keyspace::Zset;
use crate::resp::{Args, Reply};

/// Words `index` and `index + 1` as a position.
pub fn parse_point(args: &Args<'_>, index: usize) -> Result<Point, CommandError> {
    let number = |index: usize| parse_f64(args.get(index)).ok_or(CommandError::NotFloat);
    let point = Point {
        longitude: number(index)?,
        latitude: number(index + 1)?,
    };
    if !point.is_valid() {
        let Point {
            longitude,
            latitude,
        } = point;
        return Err(
            format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}").into(),
        );
    }
    Ok(point)
}

/// Metres in the unit a word names.
pub fn parse_unit(word: &[u8]) -> Result<f64, CommandError> {
    let units: [(&[u8], f64); 4] = [
        (b"m", 1.0),
        (b"km", 1000.0),
        (b"ft", 0.3048),
        (b"mi", 1609.34),
    ];
    units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, meters)| *meters)
        .ok_or("ERR unsupported unit provided. please use M, KM, FT, MI".into())
}

/// Replies with a distance: a string with four digits after the point.
pub fn reply_distance(distance: f64, reply: &mut Reply<'_>) {
    let scaled = (distance * 10_000.0).round_ties_even();
    // What does not fit is what a C conversion makes of it.
    let scaled = if scaled.is_nan() || scaled >= i64::MAX as f64 {
        i64::MIN
    } else {
        scaled as i64
    };
    let mut digits = [0; 20];
    let whole = write_i64(&mut digits, (scaled.unsigned_abs() / 10_000) as i64);
    let mut text = Vec::with_capacity(26);
    if scaled < 0 {
        text.push(b'-');
    }
    text.extend_from_slice(whole);
    text.push(b'.');
    let part = scaled.unsigned_abs() % 10_000;
    text.extend([1000, 100, 10, 1].map(|unit| b'0' + (part / unit % 10) as u8));
    reply.bulk(&text);
}

/// `GEOADD key [option ...] longitude latitude member [...]` replies as ZADD does.
fn geoadd(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (mut only_new, mut only_old, mut change) = (false, false, false);
    let mut first = 2;
    while first < args.len() {
        if args.is(first, "NX") {
            only_new = true;
        } else if args.is(first, "XX") {
            only_old = true;
        } else if args.is(first, "CH") {
            change = true;
        } else {
            break;
        }
        first += 1;
    }
    let words_count = args.len() - first;
    if !words_count.is_multiple_of(3) || (only_new && only_old) {
        return Err(CommandError::Syntax);
    }
    let mut pairs = Vec::with_capacity(words_count / 3);
    for index in (first..args.len()).step_by(3) {
        let point = parse_point(args, index)?;
        pairs.push((number_of(point) as f64, args.get(index + 2)));
    }
    if pairs.is_empty() {
        return Err(CommandError::Syntax);
    }
    let options = AddOptions::of_places(only_new, only_old, change);
    add(call, args.get(1), &options, &pairs, reply)
}

/// `GEODIST key member1 member2 [unit]` replies with their distance, or null.
fn geodist(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let meters_per_unit = match args.len() {
        4 => 1.0,
        5 => parse_unit(args.get(4))?,
        _ => return Err(CommandError::Syntax),
    };
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    let scores = set.and_then(|set| set.score(args.get(2)).zip(set.score(args.get(3))));
    match scores {
        Some((one, other)) => {
            let meters = distance(point_of(one), point_of(other));
            reply_distance(meters / meters_per_unit, reply);
        }
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// `GEOHASH key [member ...]` replies with an array: each place's geohash as text, or null.
fn geohash(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.bulk(&text_of(point_of(score))),
            None => reply.null(),
        }
    }
    Ok(Effect::NONE)
}

/// `GEOPOS key [member ...]` replies with an array: each place's longitude and latitude, or null.
fn geopos(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply_point(point_of(score), reply),
            None => reply.null_array(),
        }
    }
    Ok(Effect::NONE)
}

/// Replies with an array of longitude and latitude.
pub fn reply_point(point: Point, reply: &mut Reply<'_>) {
    reply.array(2);
    reply.double(point.longitude);
    reply.double(point.latitude);
}

/// Places by name.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "GEOADD",
        since: "3.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(5),
        flags: WRITE_GROW,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key condition=[NX | XX]@6.2.0 [change=CH]@6.2.0 longitude:double latitude:double member \
               [longitude:double latitude:double member ...]",
        summary: "Gives members of a sorted set their places on the earth.",
        cost: "O(log(N)) for each member, where N is the number of members of the set.",
        history: &[("6.2.0", "`CH`, `NX` and `XX` came.")],
        run: Run::Keys(geoadd),
        ..ROW
    },
    Command {
        name: "GEODIST",
        since: "3.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member1 member2 unit=[M | KM | FT | MI]",
        summary: "Replies with the distance between two places.",
        run: Run::Keys(geodist),
        ..ROW
    },
    Command {
        name: "GEOHASH",
        since: "3.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key [member [member ...]]",
        summary: "Replies with places as the texts that geohash software reads.",
        cost: "O(1) for each member given.",
        run: Run::Keys(geohash),
        ..ROW
    },
    Command {
        name: "GEOPOS",
        since: "3.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key [member [member ...]]",
        summary: "Replies with the longitudes and latitudes of places.",
        cost: "O(1) for each member given.",
        run: Run::Keys(geopos),
        ..ROW
    },
];
