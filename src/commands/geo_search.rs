//! Places in a shape: GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its relatives.
//!
//! Promises  no place outside the nine cells around the center is looked at; results are the order's first `COUNT`.
//! Not here  what a shape covers: `geo_shape.rs`. How places are found, few or many: `geo_walk.rs`.
//! Tests     tests/transcripts/geo_search.txt, zset_newer.txt.

use super::CommandError;
use super::geo::{parse_point, parse_unit};
use super::geo_shape::{Search, Shape};
use super::geo_walk::{Finder, GeoWalk, Place, Shown, Stored, Told, Wanted};
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Program, Run,
    Spread,
};
use super::word::integer;
use super::zset_read::store;
use crate::base::geohash::{Point, point_of};
use crate::base::number::parse_f64;
use crate::keyspace::zset::sort_members;
use crate::keyspace::{EncodingLimits, Zset};
use crate::resp::{Args, Reply};

/// What a command's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `GEORADIUS key longitude latitude radius unit`, with STORE and STOREDIST or without.
    AroundPoint { may_store: bool },
    /// `GEORADIUSBYMEMBER key member radius unit`.
    AroundMember { may_store: bool },
    /// `GEOSEARCH key`.
    Search,
    /// `GEOSEARCHSTORE destination source`.
    SearchStore,
}

impl Form {
    fn source_at(self) -> usize {
        if self == Self::SearchStore { 2 } else { 1 }
    }

    /// What storing what it finds is called.
    fn event(self) -> &'static str {
        if self.is_search() {
            "geosearchstore"
        } else {
            "georadiusstore"
        }
    }

    fn options_at(self) -> usize {
        match self {
            Self::AroundPoint { .. } => 6,
            Self::AroundMember { .. } => 5,
            Self::Search => 2,
            Self::SearchStore => 3,
        }
    }

    /// Whether options say where and in which shape.
    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(
            self,
            Self::AroundPoint { may_store: true } | Self::AroundMember { may_store: true }
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Unsorted,
    NearestFirst,
    FarthestFirst,
}

struct Request<'a> {
    center: Option<Point>,
    shape: Option<Shape>,
    meters_per_unit: f64,
    order: Order,
    /// 0: all.
    count: usize,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    destination: Option<&'a [u8]>,
    stores_distance: bool,
}

impl<'a> Request<'a> {
    /// Reads the words; places that are given as members are looked up in `set`.
    fn parse(args: &Args<'a>, form: Form, set: Option<&Zset>) -> Result<Self, CommandError> {
        let mut request = Self {
            center: None,
            shape: None,
            meters_per_unit: 1.0,
            order: Order::Unsorted,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_point: false,
            destination: (form == Form::SearchStore).then(|| args.get(1)),
            stores_distance: false,
        };
        match form {
            Form::AroundPoint { .. } => {
                request.center = Some(parse_point(args, 2)?);
                request.take_radius(args, 4)?;
            }
            Form::AroundMember { .. } if set.is_some() => {
                request.center = place_of(set, args.get(2))?;
                request.take_radius(args, 3)?;
            }
            _ => {}
        }
        let mut has_member = false;
        let mut index = form.options_at();
        while index < args.len() {
            let taken = match request.take_plain(args, index) {
                Some(taken) => taken?,
                None if form.is_search() => {
                    request.take_search(args, index, set, &mut has_member)?
                }
                None if form.may_store() => request.take_store(args, index),
                None => 0,
            };
            let taken = match taken {
                0 if form == Form::SearchStore && args.is(index, "STOREDIST") => {
                    request.stores_distance = true;
                    1
                }
                0 => return Err(CommandError::Syntax),
                taken => taken,
            };
            index += taken;
        }
        request.check(args, form, has_member)?;
        Ok(request)
    }

    /// Takes an option that every form has; returns how many words it has, none where it is another one.
    fn take_plain(&mut self, args: &Args<'a>, index: usize) -> Option<Result<usize, CommandError>> {
        if args.is(index, "WITHDIST") {
            self.with_distance = true;
        } else if args.is(index, "WITHHASH") {
            self.with_hash = true;
        } else if args.is(index, "WITHCOORD") {
            self.with_point = true;
        } else if args.is(index, "ANY") {
            self.any = true;
        } else if args.is(index, "ASC") {
            self.order = Order::NearestFirst;
        } else if args.is(index, "DESC") {
            self.order = Order::FarthestFirst;
        } else if args.is(index, "COUNT") && index + 1 < args.len() {
            return Some(self.take_count(args.get(index + 1)));
        } else {
            return None;
        }
        Some(Ok(1))
    }

    fn take_count(&mut self, word: &[u8]) -> Result<usize, CommandError> {
        let count = integer(word)?;
        if count <= 0 {
            return Err("ERR COUNT must be > 0".into());
        }
        self.count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(2)
    }

    /// Takes `STORE key` or `STOREDIST key`; returns how many words it has, 0 where it is neither.
    fn take_store(&mut self, args: &Args<'a>, index: usize) -> usize {
        let stores_distance = args.is(index, "STOREDIST");
        if !(stores_distance || args.is(index, "STORE")) || index + 1 >= args.len() {
            return 0;
        }
        self.destination = Some(args.get(index + 1));
        self.stores_distance = stores_distance;
        2
    }

    /// Takes an option that says where or in which shape; returns how many words it has, 0 where it is neither or does not
    /// go with those before.
    fn take_search(
        &mut self,
        args: &Args<'a>,
        index: usize,
        set: Option<&Zset>,
        has_member: &mut bool,
    ) -> Result<usize, CommandError> {
        let left = args.len() - index - 1;
        let has_point = self.center.is_some() && !*has_member;
        let is_polygon = matches!(self.shape, Some(Shape::Polygon { .. }));
        let is_circle_or_none = matches!(self.shape, None | Some(Shape::Circle { .. }));
        let is_rectangle_or_none = matches!(self.shape, None | Some(Shape::Rectangle { .. }));
        if args.is(index, "FROMMEMBER") && left >= 1 && !has_point && !is_polygon {
            *has_member = true;
            if set.is_some() {
                self.center = place_of(set, args.get(index + 1))?;
            }
            return Ok(2);
        }
        if args.is(index, "FROMLONLAT") && left >= 2 && !*has_member && !is_polygon {
            self.center = Some(parse_point(args, index + 1)?);
            return Ok(3);
        }
        if args.is(index, "BYRADIUS") && left >= 2 && is_circle_or_none {
            self.take_radius(args, index + 1)?;
            return Ok(3);
        }
        if args.is(index, "BYBOX") && left >= 3 && is_rectangle_or_none {
            self.take_box(args, index + 1)?;
            return Ok(4);
        }
        let is_free = self.center.is_none() && !*has_member && (self.shape.is_none() || is_polygon);
        if args.is(index, "BYPOLYGON") && left >= 2 && is_free {
            return self.take_polygon(args, index + 1);
        }
        Ok(0)
    }

    fn take_radius(&mut self, args: &Args<'_>, index: usize) -> Result<(), CommandError> {
        let radius = parse_f64(args.get(index)).ok_or("ERR need numeric radius")?;
        if radius < 0.0 {
            return Err("ERR radius cannot be negative".into());
        }
        self.meters_per_unit = parse_unit(args.get(index + 1))?;
        self.shape = Some(Shape::Circle { radius });
        Ok(())
    }

    fn take_box(&mut self, args: &Args<'_>, index: usize) -> Result<(), CommandError> {
        let width = parse_f64(args.get(index)).ok_or("ERR need numeric width")?;
        let height = parse_f64(args.get(index + 1)).ok_or("ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err("ERR height or width cannot be negative".into());
        }
        self.meters_per_unit = parse_unit(args.get(index + 2))?;
        self.shape = Some(Shape::Rectangle { width, height });
        Ok(())
    }

    /// Takes the number of corners and the corners; returns how many words, BYPOLYGON included.
    fn take_polygon(&mut self, args: &Args<'_>, index: usize) -> Result<usize, CommandError> {
        let count = integer(args.get(index))
            .ok()
            .filter(|count| i32::try_from(*count).is_ok())
            .ok_or("ERR invalid number of vertices")?;
        let possible_count = (args.len() - index - 1) / 2;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| (3..=possible_count).contains(count))
            .ok_or("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")?;
        let corners = (0..count)
            .map(|corner| parse_point(args, index + 1 + 2 * corner))
            .collect::<Result<_, _>>()?;
        self.meters_per_unit = 1.0;
        self.shape = Some(Shape::Polygon { corners });
        Ok(2 + 2 * count)
    }

    fn check(&self, args: &Args<'_>, form: Form, has_member: bool) -> Result<(), CommandError> {
        let shows = self.with_distance || self.with_hash || self.with_point;
        if self.destination.is_some() && shows {
            return Err(if form == Form::SearchStore {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }
            .into());
        }
        if form.is_search() {
            let is_polygon = matches!(self.shape, Some(Shape::Polygon { .. }));
            let name = args.get(0);
            if self.center.is_none() && !has_member && !is_polygon {
                let text = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
                return Err(CommandError::quoting(text, name, ""));
            }
            if self.shape.is_none() {
                let text = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
                return Err(CommandError::quoting(text, name, ""));
            }
        }
        if self.any && self.count == 0 {
            return Err("ERR the ANY argument requires COUNT argument".into());
        }
        Ok(())
    }

    /// What is told of each place.
    fn shown(&self) -> Shown {
        Shown {
            distance: self.with_distance,
            hash: self.with_hash,
            point: self.with_point,
            meters_per_unit: self.meters_per_unit,
        }
    }

    /// As what places are stored.
    fn stored(&self, limits: EncodingLimits) -> Stored {
        Stored {
            distance_in: self.stores_distance.then_some(self.meters_per_unit),
            limits,
        }
    }

    /// What a walk is to make of the places.
    fn wanted(&self, told: Told) -> Wanted {
        Wanted {
            is_farthest_first: match self.order {
                Order::Unsorted => None,
                Order::NearestFirst => Some(false),
                Order::FarthestFirst => Some(true),
            },
            count: self.count,
            told,
        }
    }

    /// What to look for; none where the set, and so the place of a member, is missing.
    fn search(&mut self) -> Option<Search> {
        let shape = self.shape.take()?;
        if let Shape::Polygon { corners } = shape {
            return Some(Search::in_polygon(corners));
        }
        Some(Search {
            shape,
            center: self.center?,
            meters_per_unit: self.meters_per_unit,
        })
    }
}

fn place_of(set: Option<&Zset>, member: &[u8]) -> Result<Option<Point>, CommandError> {
    match set.and_then(|set| set.score(member)) {
        Some(score) => Ok(Some(point_of(score))),
        None => Err("ERR could not decode requested zset member".into()),
    }
}

/// All forms: looks the set up, searches it, and replies with what was found or stores it.
fn search(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    form: Form,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let (whole_max, stored_max) = (call.whole_max(), call.stored_max());
    let finished = call.take_finished();
    let key = call.keys.key(args.get(form.source_at()));
    let set = call
        .keys
        .read::<Zset>(call.db, &key, call.caller.no_touch)?;
    let mut request = Request::parse(args, form, set)?;
    let mut found: Vec<(Vec<u8>, Place)> = Vec::new();
    let shown = request.shown();
    if let (Some(destination), Some(finished), Some(_)) = (request.destination, finished, set) {
        return Ok(store_found(call, destination, form, finished.set, reply));
    }
    let stored = request.stored(limits);
    let (whole_max, told) = match request.destination {
        None => {
            let protocol = reply.protocol();
            (whole_max, Told::Reply { shown, protocol })
        }
        Some(_) => (stored_max, Told::Stored(stored)),
    };
    if let (Some(set), Some(search)) = (set, request.search()) {
        let is_first_count = request.count > 0 && !request.any;
        if is_first_count && request.order == Order::Unsorted {
            request.order = Order::NearestFirst;
        }
        let mut finder = Finder::new(search, if request.any { request.count } else { 0 });
        let is_all = finder.go_on(set, whole_max, |member, place| {
            found.push((member.to_vec(), place));
        });
        if !is_all {
            let walk = Box::new(GeoWalk::new(finder, found, request.wanted(told)));
            match request.destination {
                None => call.keys.begin_reading_many(call.db, &[key], walk),
                Some(destination) => {
                    let destination = call.keys.key(destination);
                    call.keys.begin_making(call.db, &[key], &destination, walk);
                }
            }
            return Ok(Effect::NONE);
        }
        match request.order {
            Order::Unsorted => {}
            Order::NearestFirst => {
                found.sort_by(|one, other| one.1.distance.total_cmp(&other.1.distance));
            }
            Order::FarthestFirst => {
                found.sort_by(|one, other| other.1.distance.total_cmp(&one.1.distance));
            }
        }
        if request.count > 0 {
            found.truncate(request.count);
        }
    }
    let Some(destination) = request.destination else {
        reply.array(found.len());
        for (member, place) in &found {
            shown.reply(member, place, reply);
        }
        return Ok(Effect::NONE);
    };
    let mut members: Vec<(f64, Vec<u8>)> = found
        .into_iter()
        .map(|(member, place)| (stored.score(&place), member))
        .collect();
    sort_members(&mut members);
    // Two neighbouring cells that are one give a place twice.
    members.dedup_by(|one, other| one.1 == other.1);
    let set = Zset::from_sorted(&members, &limits);
    Ok(store_found(call, destination, form, set, reply))
}

/// Stores the places that were found.
fn store_found(
    call: &mut Call<'_>,
    destination: &[u8],
    form: Form,
    set: Zset,
    reply: &mut Reply<'_>,
) -> Effect {
    let changes = set.len() as u64;
    let effect = store(call, destination, form.event(), set, reply);
    Effect::wrote(effect.changes.max(changes))
}

fn geosearch(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    search(call, args, reply, Form::Search)
}

fn geosearchstore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    search(call, args, reply, Form::SearchStore)
}

fn georadius(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    search(call, args, reply, Form::AroundPoint { may_store: true })
}

fn georadius_ro(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    search(call, args, reply, Form::AroundPoint { may_store: false })
}

fn georadiusbymember(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    search(call, args, reply, Form::AroundMember { may_store: true })
}

fn georadiusbymember_ro(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    search(call, args, reply, Form::AroundMember { may_store: false })
}

/// The key behind STORE or STOREDIST, which stand at word `start_from` or later.
const fn stored_behind(word: &'static str, start_from: i8) -> KeySpec {
    KeySpec {
        access: KeyAccess {
            mode: "OW",
            flags: &["update"],
        },
        begin: Begin::Keyword { word, start_from },
        find: Find::Range {
            last: 0,
            step: 1,
            limit: 0,
        },
        notes: "",
    }
}

const SEARCH_COST: &str = "O(N+log(M)) where N is the number of places in the cells around the shape and M of those of the set.";
const RADIUS_HISTORY: &[(&str, &str)] = &[
    ("6.2.0", "`ANY` came for `COUNT`."),
    ("7.0.0", "Units may be in upper case."),
];

/// Places in a shape.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "GEOSEARCH",
        since: "6.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(7),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key from=(FROMMEMBER member | fromlonlat=FROMLONLAT(longitude:double latitude:double)) \
               by=(circle=(BYRADIUS radius:double unit=(M | KM | FT | MI)) | \
               box=(BYBOX width:double height:double unit=(M | KM | FT | MI)) | \
               polygon=(BYPOLYGON num-vertices:integer longitude:double latitude:double \
               [longitude:double latitude:double ...])@9.0.0) \
               order=[ASC | DESC] count-block=[COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        summary: "Replies with the places inside a circle, a box or a polygon.",
        cost: SEARCH_COST,
        history: &[
            ("7.0.0", "Units may be in upper case."),
            ("9.0.0", "`BYPOLYGON` came (Valkey)."),
        ],
        run: Run::Keys(geosearch),
        ..ROW
    },
    Command {
        name: "GEOSEARCHSTORE",
        since: "6.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(8),
        flags: WRITE_GROW,
        keys: &[key_at(1, "OW", &["update"]), key_at(2, "RO", &["access"])],
        spread: Spread::Gather(Program::Bring),
        args: "destination source from=(FROMMEMBER member | fromlonlat=FROMLONLAT(longitude:double latitude:double)) \
               by=(circle=(BYRADIUS radius:double unit=(M | KM | FT | MI)) | \
               box=(BYBOX width:double height:double unit=(M | KM | FT | MI)) | \
               polygon=(BYPOLYGON num-vertices:integer longitude:double latitude:double \
               [longitude:double latitude:double ...])@9.0.0) \
               order=[ASC | DESC] count-block=[COUNT count [ANY]] [STOREDIST]",
        summary: "Stores the places inside a circle, a box or a polygon under another key.",
        cost: SEARCH_COST,
        history: &[
            ("7.0.0", "Units may be in upper case."),
            ("9.0.0", "`BYPOLYGON` came (Valkey)."),
        ],
        run: Run::Keys(geosearchstore),
        ..ROW
    },
    Command {
        name: "GEORADIUS",
        since: "3.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(6),
        flags: WRITE_GROW.or(Flags::MOVABLE_KEYS),
        keys: &[
            key_at(1, "RO", &["access"]),
            stored_behind("STORE", 6),
            stored_behind("STOREDIST", 6),
        ],
        spread: Spread::Gather(Program::Bring),
        args: "key longitude:double latitude:double radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] \
               [WITHHASH] count-block=[COUNT count [ANY]@6.2.0] order=[ASC | DESC] \
               store=[STORE storekey:key~key | STOREDIST storedistkey:key~key]",
        summary: "Replies with the places around a point, or stores them under another key.",
        cost: SEARCH_COST,
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        )),
        history: RADIUS_HISTORY,
        run: Run::Keys(georadius),
        ..ROW
    },
    Command {
        name: "GEORADIUSBYMEMBER",
        since: "3.2.0",
        group: Group::Geo,
        arity: Arity::AtLeast(5),
        flags: WRITE_GROW.or(Flags::MOVABLE_KEYS),
        keys: &[
            key_at(1, "RO", &["access"]),
            stored_behind("STORE", 5),
            stored_behind("STOREDIST", 5),
        ],
        spread: Spread::Gather(Program::Bring),
        args: "key member radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
               count-block=[COUNT count [ANY]] order=[ASC | DESC] \
               store=[STORE storekey:key~key | STOREDIST storedistkey:key~key]",
        summary: "Replies with the places around one of them, or stores them under another key.",
        cost: SEARCH_COST,
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )),
        history: RADIUS_HISTORY,
        run: Run::Keys(georadiusbymember),
        ..ROW
    },
    Command {
        name: "GEORADIUS_RO",
        since: "3.2.10",
        group: Group::Geo,
        arity: Arity::AtLeast(6),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key longitude:double latitude:double radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] \
               [WITHHASH] count-block=[COUNT count [ANY]@6.2.0] order=[ASC | DESC]",
        summary: "Replies with the places around a point.",
        cost: SEARCH_COST,
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        history: RADIUS_HISTORY,
        run: Run::Keys(georadius_ro),
        ..ROW
    },
    Command {
        name: "GEORADIUSBYMEMBER_RO",
        since: "3.2.10",
        group: Group::Geo,
        arity: Arity::AtLeast(5),
        flags: Flags::READONLY,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key member radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
               count-block=[COUNT count [ANY]] order=[ASC | DESC]",
        summary: "Replies with the places around one of them.",
        cost: SEARCH_COST,
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )),
        history: RADIUS_HISTORY,
        run: Run::Keys(georadiusbymember_ro),
        ..ROW
    },
];
