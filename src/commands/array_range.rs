//! Ranges of arrays, read: ARGETRANGE, ARSCAN, ARGREP, AROP.
//!
//! Promises  but for ARGETRANGE, which replies with empty places too and so refuses more than a million, the cost follows what
//!           is there, not how wide a range is.
//! Not here  how many of them are looked at bit by bit: `array_walk.rs`.
//! Source    the documentation of Redis 8.8. ARGREP's RE is POSIX's with what TRE adds (`base/regex.rs`); references are refused.
//! Tests     tests/transcripts/array_range.txt.

use super::CommandError;
use super::array::{ARRAY_ROW, place, read, reply_element};
use super::array_walk::{Places, Visit};
use super::collected::{Collected, Head};
use super::table::{Arity, Call, Command, Effect, Flags, Run};
use super::word::integer;
use crate::base::extended::Extended;
use crate::base::glob::glob_match;
use crate::base::number::{F64_TEXT_BYTES_MAX, parse_f64, parse_i64, write_f64};
use crate::base::regex::Regex;
use crate::ds::key_table::{ReadLimit, Rest};
use crate::ds::listpack::Element;
use crate::keyspace::array::Array;
use crate::resp::{Args, Protocol, Reply};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// Most elements of a reply that may be empty places.
const ITEMS_MAX: u64 = 1_000_000;
/// Most conditions of an ARGREP.
const PREDICATES_MAX: usize = 250;
/// Bytes of an expression.
const PATTERN_BYTES_MAX: usize = 2048;

/// A number that must be above 0.
pub(super) fn positive_limit(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|&number| number > 0)
}

fn limit(word: &[u8]) -> Result<u64, CommandError> {
    Ok(positive_limit(integer(word)?).ok_or("ERR LIMIT must be positive")?)
}

/// Whether from `start` to `end` there may be more than `whole_max` elements.
fn is_long(array: &Array, start: u64, end: u64, whole_max: usize) -> bool {
    let whole_max = whole_max as u64;
    array.places().count() > whole_max && start.abs_diff(end) >= whole_max
}

/// `ARGETRANGE key start end` replies with what is at each place, backwards where `start` is the larger.
fn argetrange(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (start, end) = (place(args.get(2))?, place(args.get(3))?);
    let whole_max = call.whole_max();
    let array = read(call, args)?;
    let count = start.abs_diff(end).saturating_add(1);
    if count > ITEMS_MAX {
        return Err(format!("ERR range exceeds maximum of {ITEMS_MAX} items").into());
    }
    let places = Places::of(vec![(start, end)]);
    if array.is_some() && count > whole_max as u64 {
        return Ok(call.places_in_pieces(args, places, reply));
    }
    places.reply(array, reply);
    Ok(Effect::NONE)
}

/// `ARSCAN key start end [LIMIT limit]` replies with places and what is there.
fn arscan(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (start, end) = (place(args.get(2))?, place(args.get(3))?);
    let limit = match args.len() {
        4 => u64::MAX,
        6 if args.is(4, "LIMIT") => limit(args.get(5))?,
        6 => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity("arscan")),
    };
    let whole_max = call.whole_max();
    let Some(array) = read(call, args)? else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    if limit > whole_max as u64 && is_long(array, start, end, whole_max) {
        let visit = Scanned {
            left_count: limit,
            told: Collected::new(Head::Array, reply.protocol()),
        };
        return Ok(call.visit_in_pieces(args, (start, end), visit));
    }
    let head = reply.len();
    let mut count = 0;
    array.places().visit(start, end, |place, element| {
        reply_place(place, element, reply);
        count += 1;
        go_on(count < limit)
    });
    reply.array_since(head, count as usize);
    Ok(Effect::NONE)
}

fn reply_place(place: u64, element: Element<'_>, reply: &mut Reply<'_>) {
    reply.array(2);
    reply.unsigned(place);
    reply_element(Some(element), reply);
}

/// What ARSCAN tells.
struct Scanned {
    left_count: u64,
    told: Collected,
}

impl Visit for Scanned {
    fn see(&mut self, place: u64, element: Element<'_>) -> bool {
        reply_place(place, element, &mut self.told.next());
        self.left_count -= 1;
        self.left_count > 0
    }

    fn rest(self) -> Box<dyn Rest> {
        Box::new(self.told)
    }
}

fn go_on(is_more_wanted: bool) -> ControlFlow<()> {
    if is_more_wanted {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// A condition of ARGREP.
enum Predicate<'a> {
    Exact(Cow<'a, [u8]>),
    Match(Cow<'a, [u8]>),
    Glob(Cow<'a, [u8]>),
    Regex(Regex),
    /// An expression that is not one yet.
    Unread(Cow<'a, [u8]>),
}

impl Predicate<'_> {
    fn into_owned(self) -> Predicate<'static> {
        let owned = |text: Cow<'_, [u8]>| Cow::Owned(text.into_owned());
        match self {
            Self::Exact(text) => Predicate::Exact(owned(text)),
            Self::Match(text) => Predicate::Match(owned(text)),
            Self::Glob(text) => Predicate::Glob(owned(text)),
            Self::Regex(regex) => Predicate::Regex(regex),
            Self::Unread(text) => Predicate::Unread(owned(text)),
        }
    }

    fn is_met_by(&self, text: &[u8], ignore_case: bool) -> bool {
        let is_equal = |text: &[u8], wanted: &[u8]| {
            if ignore_case {
                text.eq_ignore_ascii_case(wanted)
            } else {
                text == wanted
            }
        };
        match self {
            Self::Exact(wanted) => is_equal(text, wanted),
            Self::Match(part) if part.is_empty() => true,
            Self::Match(part) => text.windows(part.len()).any(|text| is_equal(text, part)),
            Self::Glob(pattern) => glob_match(pattern, text, ignore_case),
            // It has read it that way.
            Self::Regex(regex) => regex.is_match(text),
            Self::Unread(_) => false,
        }
    }
}

#[derive(Default)]
struct Grep<'a> {
    predicates: Vec<Predicate<'a>>,
    needs_all: bool,
    with_values: bool,
    ignore_case: bool,
    limit: Option<u64>,
}

impl<'a> Grep<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut grep = Self::default();
        let mut index = 4;
        while index < args.len() {
            let next = (index + 1 < args.len()).then(|| args.get(index + 1));
            let predicate = if args.is(index, "EXACT") {
                Some(Predicate::Exact as fn(Cow<'a, [u8]>) -> Predicate<'a>)
            } else if args.is(index, "MATCH") {
                Some(Predicate::Match as fn(Cow<'a, [u8]>) -> Predicate<'a>)
            } else if args.is(index, "GLOB") {
                Some(Predicate::Glob as fn(Cow<'a, [u8]>) -> Predicate<'a>)
            } else if args.is(index, "RE") {
                // NOCASE may follow: it is read when all words are known.
                Some(Predicate::Unread as fn(Cow<'a, [u8]>) -> Predicate<'a>)
            } else {
                None
            };
            if let Some(predicate) = predicate {
                let pattern = next.ok_or(CommandError::Syntax)?;
                if grep.predicates.len() == PREDICATES_MAX {
                    let text = format!("ERR too many predicates, maximum is {PREDICATES_MAX}");
                    return Err(text.into());
                }
                grep.predicates.push(predicate(Cow::Borrowed(pattern)));
                index += 1;
            } else if args.is(index, "LIMIT") {
                grep.limit = Some(limit(next.ok_or(CommandError::Syntax)?)?);
                index += 1;
            } else if args.is(index, "WITHVALUES") {
                grep.with_values = true;
            } else if args.is(index, "NOCASE") {
                grep.ignore_case = true;
            } else if args.is(index, "AND") {
                grep.needs_all = true;
            } else if args.is(index, "OR") {
                grep.needs_all = false;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if grep.predicates.is_empty() {
            return Err(CommandError::Syntax);
        }
        for predicate in &mut grep.predicates {
            if let Predicate::Unread(pattern) = predicate {
                if pattern.is_empty() {
                    return Err("ERR regular expression is empty".into());
                }
                if pattern.len() > PATTERN_BYTES_MAX {
                    let text = format!(
                        "ERR regular expression is too long, maximum is {PATTERN_BYTES_MAX} bytes"
                    );
                    return Err(text.into());
                }
                let regex = Regex::new(pattern, grep.ignore_case)
                    .map_err(|why| format!("ERR invalid regular expression: {why}"))?;
                *predicate = Predicate::Regex(regex);
            }
        }
        Ok(grep)
    }

    fn into_owned(self) -> Grep<'static> {
        let predicates = self.predicates.into_iter();
        Grep {
            predicates: predicates.map(Predicate::into_owned).collect(),
            needs_all: self.needs_all,
            with_values: self.with_values,
            ignore_case: self.ignore_case,
            limit: self.limit,
        }
    }

    /// Replies with a place where something was found.
    fn reply(&self, place: u64, element: Element<'_>, reply: &mut Reply<'_>) {
        match self.with_values {
            true => reply_place(place, element, reply),
            false => reply.unsigned(place),
        }
    }

    fn wants(&self, element: Element<'_>) -> bool {
        let mut digits = [0; 20];
        let text = element.text(&mut digits);
        let mut predicates = self.predicates.iter();
        let mut is_met = |predicate: &Predicate<'_>| predicate.is_met_by(text, self.ignore_case);
        if self.needs_all {
            predicates.all(&mut is_met)
        } else {
            predicates.any(&mut is_met)
        }
    }
}

/// What ARGREP finds.
struct Grepped {
    grep: Grep<'static>,
    count: u64,
    told: Collected,
}

impl Visit for Grepped {
    fn see(&mut self, place: u64, element: Element<'_>) -> bool {
        if self.grep.wants(element) {
            self.grep.reply(place, element, &mut self.told.next());
            self.count += 1;
        }
        self.grep.limit.is_none_or(|limit| self.count < limit)
    }

    fn rest(self) -> Box<dyn Rest> {
        Box::new(self.told)
    }
}

/// A bound of ARGREP; none: the last place that is taken.
fn bound(word: &[u8]) -> Result<Option<u64>, CommandError> {
    match word {
        b"-" => Ok(Some(0)),
        b"+" => Ok(None),
        word => place(word).map(Some),
    }
}

/// `ARGREP key start end predicate ... [option ...]` replies with the places whose strings meet the conditions.
fn argrep(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (start, end) = (bound(args.get(2))?, bound(args.get(3))?);
    let grep = Grep::parse(args)?;
    let whole_max = call.whole_max();
    let Some(array) = read(call, args)? else {
        reply.array(0);
        return Ok(Effect::NONE);
    };
    let places = array.places();
    let last = places.last().unwrap_or(0);
    let (start, end) = (start.unwrap_or(last), end.unwrap_or(last));
    if is_long(array, start, end, whole_max) {
        let visit = Grepped {
            grep: grep.into_owned(),
            count: 0,
            told: Collected::new(Head::Array, reply.protocol()),
        };
        return Ok(call.visit_in_pieces(args, (start, end), visit));
    }
    let head = reply.len();
    let mut count = 0;
    places.visit(start, end, |place, element| {
        if grep.wants(element) {
            grep.reply(place, element, reply);
            count += 1;
        }
        go_on(grep.limit.is_none_or(|limit| count < limit))
    });
    reply.array_since(head, count as usize);
    Ok(Effect::NONE)
}

/// What AROP makes of a range.
#[derive(Clone, PartialEq, Eq)]
enum Operation<'a> {
    Sum,
    Min,
    Max,
    And,
    Or,
    Xor,
    Match(Cow<'a, [u8]>),
    Used,
}

impl<'a> Operation<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        if args.is(4, "MATCH") {
            if args.len() != 6 {
                return Err("ERR MATCH requires a value argument".into());
            }
            return Ok(Self::Match(Cow::Borrowed(args.get(5))));
        }
        let named = [
            ("SUM", Self::Sum),
            ("MIN", Self::Min),
            ("MAX", Self::Max),
            ("AND", Self::And),
            ("OR", Self::Or),
            ("XOR", Self::Xor),
            ("USED", Self::Used),
        ];
        let found = named.iter().find(|(name, _)| args.is(4, name));
        let (_, operation) = found.ok_or("ERR unknown operation")?;
        if args.len() != 5 {
            return Err(CommandError::Arity("arop"));
        }
        Ok(operation.clone())
    }

    fn into_owned(self) -> Operation<'static> {
        match self {
            Self::Match(text) => Operation::Match(Cow::Owned(text.into_owned())),
            Self::Sum => Operation::Sum,
            Self::Min => Operation::Min,
            Self::Max => Operation::Max,
            Self::And => Operation::And,
            Self::Or => Operation::Or,
            Self::Xor => Operation::Xor,
            Self::Used => Operation::Used,
        }
    }
}

/// An element as a number.
enum Number {
    Int(i64),
    Float(Extended),
}

impl Number {
    fn of(element: Element<'_>) -> Option<Self> {
        let text = match element {
            Element::Int(integer) => return Some(Self::Int(integer)),
            Element::Str(text) => text,
        };
        if let Some(integer) = parse_i64(text) {
            return Some(Self::Int(integer));
        }
        let float = short_double(text).map(Extended::from_f64);
        float.or_else(|| Extended::parse(text)).map(Self::Float)
    }

    fn extended(self) -> Extended {
        match self {
            Self::Int(integer) => Extended::from_i64(integer),
            Self::Float(float) => float,
        }
    }

    fn integer(self) -> Option<i64> {
        match self {
            Self::Int(integer) => Some(integer),
            Self::Float(float) => float.to_i64(),
        }
    }
}

/// Redis keeps a text as a double where the double without its last two bits has that very text, and then counts with the
/// double; with others it counts as exactly as 80 bits can.
fn short_double(text: &[u8]) -> Option<f64> {
    let number = f64::from_bits(parse_f64(text)?.to_bits() & !3);
    let mut buffer = [0; F64_TEXT_BYTES_MAX];
    let own = write_f64(&mut buffer, number);
    let is_whole = number.is_finite() && !own.iter().any(|byte| matches!(byte, b'.' | b'e'));
    let is_same = match text.strip_suffix(b".0") {
        Some(whole) if is_whole => whole == own,
        _ => !is_whole && text == own,
    };
    is_same.then_some(number)
}

/// The sum of what may be infinite; none where there is none.
fn sum(a: Extended, b: Extended) -> Option<Extended> {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => Some(a + b),
        (false, true) => Some(a),
        (true, false) => Some(b),
        (false, false) => (a == b).then_some(a),
    }
}

/// `AROP key start end operation` replies with one number for all that is there, or null.
fn arop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (start, end) = (place(args.get(2))?, place(args.get(3))?);
    let operation = Operation::parse(args)?;
    let whole_max = call.whole_max();
    let array = read(call, args)?;
    if array.is_some_and(|array| is_long(array, start, end, whole_max)) {
        let visit = Totalled {
            total: Total::new(operation.into_owned()),
            protocol: reply.protocol(),
        };
        return Ok(call.visit_in_pieces(args, (start, end), visit));
    }
    let mut total = Total::new(operation);
    if let Some(array) = array {
        array.places().visit(start, end, |_, element| {
            total.add(element);
            ControlFlow::Continue(())
        });
    }
    total.reply(reply);
    Ok(Effect::NONE)
}

/// What AROP has made of some elements.
struct Total<'a> {
    operation: Operation<'a>,
    // Each operation uses one of these.
    count: i64,
    bits: Option<i64>,
    float: Option<Extended>,
    is_nan: bool,
}

impl<'a> Total<'a> {
    fn new(operation: Operation<'a>) -> Self {
        Self {
            operation,
            count: 0,
            bits: None,
            float: None,
            is_nan: false,
        }
    }

    fn add(&mut self, element: Element<'_>) {
        let operation = &self.operation;
        match operation {
            Operation::Used => self.count += 1,
            Operation::Match(wanted) => {
                self.count += i64::from(element.text(&mut [0; 20]) == &**wanted);
            }
            Operation::And | Operation::Or | Operation::Xor => {
                if let Some(more) = Number::of(element).and_then(Number::integer) {
                    self.bits = Some(match (self.bits, operation) {
                        (None, _) => more,
                        (Some(bits), Operation::And) => bits & more,
                        (Some(bits), Operation::Or) => bits | more,
                        (Some(bits), _) => bits ^ more,
                    });
                }
            }
            Operation::Sum | Operation::Min | Operation::Max => {
                if let Some(more) = Number::of(element).map(Number::extended) {
                    self.float = Some(match (self.float, operation) {
                        (None, _) => more,
                        (Some(total), Operation::Sum) => sum(total, more).unwrap_or_else(|| {
                            self.is_nan = true;
                            total
                        }),
                        (Some(least), Operation::Min) => match more.compare(least) {
                            Ordering::Less => more,
                            _ => least,
                        },
                        (Some(most), _) => match more.compare(most) {
                            Ordering::Greater => more,
                            _ => most,
                        },
                    });
                }
            }
        }
    }

    fn reply(&self, reply: &mut Reply<'_>) {
        match self.operation {
            Operation::Used | Operation::Match(_) => reply.integer(self.count),
            Operation::And | Operation::Or | Operation::Xor => match self.bits {
                Some(bits) => reply.integer(bits),
                None => reply.null(),
            },
            Operation::Sum | Operation::Min | Operation::Max => match self.float {
                Some(_) if self.is_nan => reply.bulk(b"nan"),
                Some(float) => reply.bulk(float.text_with_17_digits().as_bytes()),
                None => reply.null(),
            },
        }
    }
}

/// What AROP tells.
struct Totalled {
    total: Total<'static>,
    protocol: Protocol,
}

impl Visit for Totalled {
    fn see(&mut self, _: u64, element: Element<'_>) -> bool {
        self.total.add(element);
        true
    }

    fn rest(self) -> Box<dyn Rest> {
        Box::new(self)
    }
}

impl Rest for Totalled {
    fn read(&mut self, _: ReadLimit, out: &mut Vec<u8>) -> bool {
        self.total.reply(&mut Reply::new(out, self.protocol));
        true
    }
}

/// Ranges of arrays.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ARGETRANGE",
        arity: Arity::Exactly(4),
        flags: Flags::READONLY,
        args: "key start end",
        summary: "Replies with what is at each place of a range of an array.",
        cost: "O(N) where N is the length of the range.",
        run: Run::Keys(argetrange),
        ..ARRAY_ROW
    },
    Command {
        name: "ARSCAN",
        arity: Arity::AtLeast(4),
        flags: Flags::READONLY,
        args: "key start end [LIMIT limit]",
        summary: "Replies with the taken places of a range of an array, and what is there.",
        cost: "O(N) where N is how much there is in the range.",
        run: Run::Keys(arscan),
        ..ARRAY_ROW
    },
    Command {
        name: "ARGREP",
        arity: Arity::AtLeast(6),
        flags: Flags::READONLY,
        args: "key start:string end:string predicate=(EXACT string | MATCH string | GLOB pattern:string) ... \
               options=[AND | OR | LIMIT limit | WITHVALUES | NOCASE] ...",
        summary: "Finds strings in a range of an array.",
        cost: "O(N*M) where N is how much there is in the range and M what the conditions cost.",
        run: Run::Keys(argrep),
        ..ARRAY_ROW
    },
    Command {
        name: "AROP",
        arity: Arity::AtLeast(5),
        flags: Flags::READONLY,
        args: "key start end operation=(SUM | MIN | MAX | AND | OR | XOR | MATCH value | USED)",
        summary: "Makes one number of what is in a range of an array.",
        cost: "O(N) where N is how much there is in the range.",
        run: Run::Keys(arop),
        ..ARRAY_ROW
    },
];
