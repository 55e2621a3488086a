//! SORT and SORT_RO: the elements of a list, a set or a sorted set in order, or what other keys say of them.
//!
//!     SORT tasks BY weight_* GET # GET task_*->title LIMIT 0 10 DESC STORE sorted
//!
//! Promises  equal elements keep their order, those of a set, which has none, come in the order of their bytes; a text that is no number fails the whole request.
//!           Where nothing is sorted no element of a list or a sorted set is looked at but those that are shown.
//! Not here  patterns that lead to other shards: `router/programs/sort.rs` brings what they lead to, told by [`leads`].
//!           What needs no other key and is long: `sort_walk.rs`.
//! Tests     tests/transcripts/sort.txt.

use std::cmp::Ordering;
use std::ops::Range;

use super::CommandError;
use super::row::*;
use super::sort_walk::{Measure, SortCopy, Sorted, Told, Wanted};
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, KeyAccess, KeySpec, Program, Run, Spread,
};
use super::word::integer;
use super::zset_reply::reply_member;
use crate::base::number::{parse_f64, write_i64};
use crate::ds::key_table::{EntryMut, Value};
use crate::ds::listpack::Element;
use crate::keyspace::Classes;
use crate::keyspace::hash::Found;
use crate::keyspace::list::{End, List};
use crate::keyspace::zset::{Direction, Zset};
use crate::keyspace::{EncodingLimits, Keyspace, Object};
use crate::resp::{Args, Protocol, Reply};

/// Members of a set that are looked at in one step.
const SCANNED_COUNT: usize = 64;

/// What the words say.
#[derive(Default)]
struct Request<'a> {
    is_descending: bool,
    is_alpha: bool,
    /// BY had a pattern without `*`: nothing is sorted.
    is_unsorted: bool,
    offset: i64,
    /// Below 0: all.
    count: Option<i64>,
    by: Option<&'a [u8]>,
    gets: Vec<&'a [u8]>,
    destination: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(args: &Args<'a>, is_read_only: bool) -> Result<Self, CommandError> {
        let mut request = Self::default();
        let mut index = 2;
        while index < args.len() {
            let words_left = args.len() - index - 1;
            if args.is(index, "ASC") {
                request.is_descending = false;
            } else if args.is(index, "DESC") {
                request.is_descending = true;
            } else if args.is(index, "ALPHA") {
                request.is_alpha = true;
            } else if args.is(index, "LIMIT") && words_left >= 2 {
                request.offset = integer(args.get(index + 1))?;
                request.count = Some(integer(args.get(index + 2))?);
                index += 2;
            } else if !is_read_only && args.is(index, "STORE") && words_left >= 1 {
                request.destination = Some(args.get(index + 1));
                index += 1;
            } else if args.is(index, "BY") && words_left >= 1 {
                let pattern = args.get(index + 1);
                request.by = Some(pattern);
                request.is_unsorted |= !pattern.contains(&b'*');
                index += 1;
            } else if args.is(index, "GET") && words_left >= 1 {
                request.gets.push(args.get(index + 1));
                index += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(request)
    }

    /// LIMIT as a range of `length` elements.
    fn range(&self, length: usize) -> Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(length);
        match self.count.map(usize::try_from) {
            Some(Ok(count)) => start..start.saturating_add(count).min(length),
            _ => start..length,
        }
    }

    /// Whether the elements are all that is looked at.
    fn needs_no_other_key(&self) -> bool {
        let is_itself = |pattern: &&[u8]| *pattern == b"#";
        (self.by.is_none() || self.is_unsorted) && self.gets.iter().all(is_itself)
    }

    /// How often each element is told where it is all that is looked at.
    fn times(&self) -> usize {
        self.gets.len().max(1)
    }

    /// Which of `length` elements are read: all that are sorted, or those that are shown as they are.
    fn part(&self, kind: Kind, length: usize) -> Part {
        if !self.is_unsorted {
            return Part::all(length);
        }
        let is_backward = self.is_descending && kind == Kind::Ordered;
        Part {
            places: self.range(length),
            from: if is_backward { End::Back } else { End::Front },
        }
    }

    /// Which of the elements that were read are shown, once they are in order.
    fn shown(&self, read_count: usize) -> Range<usize> {
        match self.is_unsorted {
            true => 0..read_count,
            false => self.range(read_count),
        }
    }

    /// What a walk is to make of the elements it reads.
    fn wanted(&self, read_count: usize, told: Told) -> Wanted {
        let measure = match (self.is_unsorted, self.is_alpha) {
            (true, _) => Measure::Place,
            (false, true) => Measure::Text,
            (false, false) => Measure::Number,
        };
        Wanted {
            measure,
            // What is not sorted is read in its direction.
            is_descending: self.is_descending && !self.is_unsorted,
            shown: self.shown(read_count),
            times: self.times(),
            told,
        }
    }

    /// A set has no order to keep, and what is stored, or seen by a script, must not depend on chance: then it is sorted after
    /// all.
    fn settle_for(&mut self, kind: Kind, in_script: bool) {
        let must_be_same = in_script || self.destination.is_some();
        if self.is_unsorted && kind == Kind::Unordered && must_be_same {
            self.is_unsorted = false;
            self.is_alpha = true;
            self.by = None;
        }
    }
}

/// What is sorted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A list, or a sorted set.
    Ordered,
    /// A set.
    Unordered,
}

/// Elements that are next to each other.
pub(super) struct Part {
    /// Counted from that end; those of a set in the order in which it is walked through.
    pub(super) places: Range<usize>,
    pub(super) from: End,
}

impl Part {
    fn all(length: usize) -> Self {
        Self {
            places: 0..length,
            from: End::Front,
        }
    }

    /// How many elements are passed on the way through it: a set has no way but from its first.
    fn passed_count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Ordered => self.places.len(),
            Kind::Unordered => self.places.end,
        }
    }

    /// Where it begins in a list of `length` elements, counted from the front.
    pub(super) fn index(&self, length: usize) -> usize {
        match self.from {
            End::Front => self.places.start,
            End::Back => length.saturating_sub(self.places.start + 1),
        }
    }

    /// Its ranks in a sorted set of `length` members, which has them all, and which way to go.
    pub(super) fn ranks(&self, length: usize) -> (Range<usize>, Direction) {
        let Range { start, end } = self.places;
        match self.from {
            End::Front => (start..end, Direction::Up),
            End::Back => (length - end..length - start, Direction::Down),
        }
    }

    /// Calls `visit` with its elements; with none where there is no key.
    ///
    /// - Cost: that of these elements, and of those before them in a set.
    fn each(&self, object: Option<&Object>, mut visit: impl FnMut(Element<'_>)) {
        match object {
            Some(Object::List(list)) => {
                list.visit_some(self.index(list.len()), self.places.len(), self.from, visit);
            }
            Some(Object::Zset(set)) => {
                let (ranks, direction) = self.ranks(set.len());
                set.walk(ranks, direction)
                    .for_each(|(member, _)| visit(member));
            }
            Some(Object::Set(set)) => {
                // In the order in which a long one is walked: a client that pages through a set finds each member once.
                let (mut place, mut cursor) = (0, 0);
                while place < self.places.end {
                    cursor = set.scan(cursor, SCANNED_COUNT, |member| {
                        if self.places.contains(&place) {
                            visit(member);
                        }
                        place += 1;
                    });
                    if cursor == 0 {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
}

/// The elements, one after the other in one buffer.
struct Source {
    kind: Kind,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Source {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            text: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn push(&mut self, element: Element<'_>) {
        match element {
            Element::Int(number) => {
                let mut digits = [0; 20];
                self.text.extend_from_slice(write_i64(&mut digits, number));
            }
            Element::Str(bytes) => self.text.extend_from_slice(bytes),
        }
        self.ends.push(self.text.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }

    /// The elements of `part`; none where there is no key.
    fn of(object: Option<&Object>, part: &Part) -> Self {
        let mut source = Self::new(extent(object).0);
        part.each(object, |element| source.push(element));
        source
    }
}

/// The list, set or sorted set at a key, if there is one. `is_look`: it is read once more when it is sorted,
/// which is what counts.
fn object_at<'k>(
    keys: &'k mut Keyspace,
    db: usize,
    key: &[u8],
    no_touch: bool,
    is_look: bool,
) -> Result<Option<&'k Object>, CommandError> {
    let key = keys.key(key);
    // As Redis does: a sorted set that was sorted once is a skiplist from then on.
    if let Ok(Some(mut held)) = keys.write::<Zset>(db, &key, true)
        && held.get().is_packed()
    {
        held.get_mut().become_tree();
    }
    let found = if is_look {
        keys.peek(db, &key).map(|entry| entry.value())
    } else {
        (keys.lookup_read(db, &key, no_touch)).map(EntryMut::into_value)
    };
    match found {
        None => Ok(None),
        Some(Value::Object(object @ (Object::List(_) | Object::Set(_) | Object::Zset(_)))) => {
            Ok(Some(object))
        }
        Some(_) => Err(CommandError::WrongType),
    }
}

/// Of what kind it is, and how many elements it has.
fn extent(object: Option<&Object>) -> (Kind, usize) {
    match object {
        Some(Object::List(list)) => (Kind::Ordered, list.len()),
        Some(Object::Set(set)) => (Kind::Unordered, set.len()),
        Some(Object::Zset(set)) => (Kind::Ordered, set.len()),
        _ => (Kind::Ordered, 0),
    }
}

/// A key that a pattern leads to, and the field of its hash where the pattern has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The key.
    pub key: Vec<u8>,
    /// The field.
    pub field: Option<Vec<u8>>,
}

impl Lead {
    /// Where `pattern` leads with `element` in place of its first `*`; `None` without one.
    fn of(pattern: &[u8], element: &[u8]) -> Option<Self> {
        let star = pattern.iter().position(|&byte| byte == b'*')?;
        let (prefix, rest) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = rest.windows(2).position(|two| two == b"->");
        let (postfix, field) = match arrow {
            Some(at) if at + 2 < rest.len() => (&rest[..at], Some(rest[at + 2..].to_vec())),
            _ => (rest, None),
        };
        Some(Self {
            key: [prefix, element, postfix].concat(),
            field,
        })
    }

    /// What `take` makes of what it leads to. A field past its deadline goes.
    fn follow<R>(&self, call: &mut Call<'_>, take: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let now_ms = call.keys.now_ms();
        let key = call.keys.key(&self.key);
        let entry = call.keys.lookup_read(call.db, &key, call.caller.no_touch)?;
        match (entry.into_value(), &self.field) {
            (Value::Int(number), None) => Some(take(number.to_string().as_bytes())),
            (Value::Str { bytes, .. }, None) => Some(take(bytes)),
            (Value::Object(Object::Hash(hash)), Some(field)) => match hash.find(field, now_ms) {
                Found::Missing => None,
                Found::Alive(found) => Some(take(found.value.text(&mut [0; 20]))),
                Found::Dead => {
                    call.keys.expire_field(call.db, &key, field);
                    None
                }
            },
            _ => None,
        }
    }
}

/// Whether the words of SORT or SORT_RO may lead to keys that they do not name.
pub fn has_patterns(args: &Args<'_>) -> bool {
    (2..args.len().saturating_sub(1)).any(|index| {
        let is_option = args.is(index, "BY") || args.is(index, "GET");
        is_option && args.get(index + 1).contains(&b'*')
    })
}

/// The keys that a request leads to besides those it names, as things are now; none where it will be refused.
///
/// - `is_read_only`: it is SORT_RO's.
pub fn leads(keys: &mut Keyspace, db: usize, args: &Args<'_>, is_read_only: bool) -> Vec<Lead> {
    // Nothing is read for a request that will be refused: reading may change the encoding.
    let Ok(mut request) = Request::parse(args, is_read_only) else {
        return Vec::new();
    };
    let Ok(object) = object_at(keys, db, args.get(1), true, true) else {
        return Vec::new();
    };
    let (kind, length) = extent(object);
    // An order alone leads nowhere else.
    request.settle_for(kind, false);
    let part = match kind {
        Kind::Ordered => request.part(kind, length),
        // A script may have them sorted after all, so that others are shown.
        Kind::Unordered => Part::all(length),
    };
    let source = Source::of(object, &part);
    let mut found = Vec::new();
    for index in 0..source.len() {
        let by = request.by.filter(|_| !request.is_unsorted);
        for pattern in by.iter().chain(&request.gets) {
            found.extend(Lead::of(pattern, source.get(index)));
        }
    }
    found
}

/// `SORT key [option ...]` replies with the elements, or with how many it stored.
fn sort(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    run(call, args, reply, false)
}

/// `SORT_RO key [option ...]`.
fn sort_ro(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    run(call, args, reply, true)
}

fn run(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    is_read_only: bool,
) -> Result<Effect, CommandError> {
    let mut request = Request::parse(args, is_read_only)?;
    let long_min = match request.destination {
        None => call.whole_max(),
        Some(_) => call.stored_max(),
    };
    let limits = call.keys.limits();
    let finished = call.take_finished::<Sorted>();
    let object = object_at(call.keys, call.db, args.get(1), call.caller.no_touch, false)?;
    if let (Some(destination), Some(finished), Some(_)) = (request.destination, finished, object) {
        return Ok(store(call, finished.set?, destination, reply));
    }
    let (kind, length) = extent(object);
    request.settle_for(kind, call.caller.in_script);
    let part = request.part(kind, length);
    if request.needs_no_other_key() {
        if part.passed_count(kind) > long_min {
            begin_walk(call, args, &request, part, reply.protocol());
            return Ok(Effect::NONE);
        }
        if request.is_unsorted {
            let told = tell_unsorted(&request, object, &part, &limits, reply);
            return Ok(match (request.destination, told) {
                (Some(destination), Some(list)) => store(call, list, destination, reply),
                _ => Effect::NONE,
            });
        }
    }
    let source = Source::of(object, &part);
    let order = ordered(call, &request, &source)?;
    let shown = &order[request.shown(order.len())];
    match request.destination {
        None => {
            reply_with(call, &request, &source, shown, reply);
            Ok(Effect::NONE)
        }
        Some(destination) => {
            let list = list_of(call, &request, &source, shown);
            Ok(store(call, list, destination, reply))
        }
    }
}

/// Instead of a reply: it, or the list that is stored, will be made of the elements.
#[cold]
fn begin_walk(
    call: &mut Call<'_>,
    args: &Args<'_>,
    request: &Request<'_>,
    part: Part,
    protocol: Protocol,
) {
    let told = match request.destination {
        None => Told::Reply(protocol),
        Some(_) => Told::Stored(call.keys.limits()),
    };
    let wanted = request.wanted(part.places.len(), told);
    let copy = Box::new(SortCopy::new(part, wanted));
    let key = call.keys.key(args.get(1));
    match request.destination {
        None => call.keys.begin_reading_many(call.db, &[key], copy),
        Some(destination) => {
            let destination = call.keys.key(destination);
            call.keys.begin_making(call.db, &[key], &destination, copy);
        }
    }
}

/// Replies with the elements of `part` as they come, or makes the list of them that is to be stored.
fn tell_unsorted(
    request: &Request<'_>,
    object: Option<&Object>,
    part: &Part,
    limits: &EncodingLimits,
    reply: &mut Reply<'_>,
) -> Option<List> {
    let times = request.times();
    if request.destination.is_none() {
        reply.array(part.places.len() * times);
        part.each(object, |element| {
            for _ in 0..times {
                reply_member(element, reply);
            }
        });
        return None;
    }
    let mut list = List::default();
    part.each(object, |element| {
        let mut digits = [0; 20];
        let text = element.text(&mut digits);
        for _ in 0..times {
            append(&mut list, text, limits);
        }
    });
    Some(list)
}

/// The places of all elements that were read, in order.
fn ordered(
    call: &mut Call<'_>,
    request: &Request<'_>,
    source: &Source,
) -> Result<Vec<usize>, CommandError> {
    let mut order: Vec<usize> = (0..source.len()).collect();
    if request.is_unsorted {
        return Ok(order);
    }
    let directed = |ordering: Ordering| {
        if request.is_descending {
            ordering.reverse()
        } else {
            ordering
        }
    };
    let by = |call: &mut Call<'_>, index: usize| -> Option<Vec<u8>> {
        let lead = Lead::of(request.by?, source.get(index))?;
        lead.follow(call, <[u8]>::to_vec)
    };
    if request.is_alpha {
        if request.by.is_none() {
            order.sort_by(|&a, &b| directed(source.get(a).cmp(source.get(b))));
        } else {
            let weights: Vec<Option<Vec<u8>>> =
                (0..source.len()).map(|index| by(call, index)).collect();
            order.sort_by(|&a, &b| {
                let by_weight = weights[a].cmp(&weights[b]);
                directed(match source.kind {
                    Kind::Ordered => by_weight,
                    Kind::Unordered => by_weight.then_with(|| source.get(a).cmp(source.get(b))),
                })
            });
        }
        return Ok(order);
    }
    let mut scores = Vec::with_capacity(source.len());
    for index in 0..source.len() {
        scores.push(match request.by {
            None => score(source.get(index))?,
            Some(_) => match by(call, index) {
                Some(text) => score(&text)?,
                None => 0.0,
            },
        });
    }
    order.sort_by(|&a, &b| {
        let by_score = scores[a].partial_cmp(&scores[b]).unwrap_or(Ordering::Equal);
        directed(by_score.then_with(|| source.get(a).cmp(source.get(b))))
    });
    Ok(order)
}

/// A text as the number it sorts by; an empty one counts as 0.
pub(super) fn score(text: &[u8]) -> Result<f64, CommandError> {
    // C's end of a string, as Redis reads it.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0.0);
    }
    let is_decimal = !text.iter().any(|byte| matches!(byte, b'x' | b'X'));
    // What is too large for a double counts as infinite here, and what is too small as 0.
    let beyond = || -> Option<f64> {
        let has_digit = text.iter().any(u8::is_ascii_digit);
        has_digit.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
    };
    match parse_f64(text).or_else(beyond) {
        Some(number) if is_decimal && !number.is_nan() => Ok(number),
        _ => Err("ERR One or more scores can't be converted into double".into()),
    }
}

/// What `take` makes of what GET's pattern gives for an element.
fn got<R>(
    call: &mut Call<'_>,
    pattern: &[u8],
    element: &[u8],
    take: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    if pattern == b"#" {
        return Some(take(element));
    }
    Lead::of(pattern, element)?.follow(call, take)
}

fn reply_with(
    call: &mut Call<'_>,
    request: &Request<'_>,
    source: &Source,
    shown: &[usize],
    reply: &mut Reply<'_>,
) {
    reply.array(shown.len() * request.times());
    for &index in shown {
        let element = source.get(index);
        if request.gets.is_empty() {
            reply.bulk(element);
        }
        for pattern in &request.gets {
            if got(call, pattern, element, |text| reply.bulk(text)).is_none() {
                reply.null();
            }
        }
    }
}

/// What is stored.
fn list_of(call: &mut Call<'_>, request: &Request<'_>, source: &Source, shown: &[usize]) -> List {
    let limits = call.keys.limits();
    let mut list = List::default();
    for &index in shown {
        let element = source.get(index);
        if request.gets.is_empty() {
            append(&mut list, element, &limits);
        }
        for pattern in &request.gets {
            let stored = got(call, pattern, element, |text| {
                append(&mut list, text, &limits)
            });
            if stored.is_none() {
                // What is missing is stored as an empty element.
                append(&mut list, b"", &limits);
            }
        }
    }
    list
}

/// Puts a list in the place of whatever `destination` holds, and replies with its length.
fn store(call: &mut Call<'_>, list: List, destination: &[u8], reply: &mut Reply<'_>) -> Effect {
    let count = list.len() as u64;
    reply.integer(count as i64);
    let key = call.keys.key(destination);
    if count == 0 {
        let is_removed = call.keys.remove(call.db, &key);
        if is_removed {
            call.tell_gone(destination);
        }
        return Effect::wrote(u64::from(is_removed));
    }
    let before = call.keys.replaced(call.db, &key);
    call.keys.replace(call.db, &key, list);
    call.keys.tell_replaced(call.db, before, &key);
    call.tell(Classes::LIST, "sortstore", destination);
    Effect::wrote(count)
}

pub(super) fn append(list: &mut List, element: &[u8], limits: &EncodingLimits) {
    list.expect(element.len(), 1, limits);
    list.push(End::Back, Element::Str(element));
}

/// Keys that derive from the elements: no specification finds them.
const BY_PATTERN: KeySpec = KeySpec {
    access: KeyAccess {
        mode: "RO",
        flags: &["access"],
    },
    begin: Begin::Unknown,
    find: Find::Unknown,
    notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
};

/// STORE's key, anywhere among the words.
const STORED: KeySpec = KeySpec {
    access: KeyAccess {
        mode: "OW",
        flags: &["update"],
    },
    begin: Begin::Unknown,
    find: Find::Unknown,
    notes: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
};

const CATEGORIES: Flags = Flags::CAT_SORTABLE
    .or(Flags::CAT_DANGEROUS)
    .or(Flags::MOVABLE_KEYS);

/// SORT.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SORT",
        arity: Arity::AtLeast(2),
        flags: WRITE_GROW.or(CATEGORIES),
        keys: &[key_at(1, "RO", &["access"]), BY_PATTERN, STORED],
        spread: Spread::Gather(Program::Sort),
        args: "key [BY by-pattern:pattern#1~pattern] [limit=LIMIT(offset count)] \
               [GET get-pattern:pattern#1~pattern [GET get-pattern:pattern#1~pattern ...]] order=[ASC | DESC] \
               sorting=[ALPHA] [STORE destination#2]",
        summary: "Sorts the elements of a list, a set or a sorted set, and may store the result.",
        cost: "O(N+M*log(M)) where N is the number of elements and M that of those returned.",
        run: Run::Keys(sort),
        ..ROW
    },
    Command {
        name: "SORT_RO",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY.or(CATEGORIES),
        keys: &[key_at(1, "RO", &["access"]), BY_PATTERN],
        spread: Spread::Gather(Program::Sort),
        args: "key [BY by-pattern:pattern#1~pattern] [limit=LIMIT(offset count)] \
               [GET get-pattern:pattern#1~pattern [GET get-pattern:pattern#1~pattern ...]] order=[ASC | DESC] \
               sorting=[ALPHA]",
        summary: "Sorts the elements of a list, a set or a sorted set.",
        cost: "O(N+M*log(M)) where N is the number of elements and M that of those returned.",
        run: Run::Keys(sort_ro),
        ..ROW
    },
];
