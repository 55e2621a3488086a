//! Which words of a request are keys.
//!
//! Promises  for commands with one key, or keys in a plain range, no specification is interpreted at run time.
//! Not here  which shard a key lives on: `router/`.
//! Source    Redis key specifications <https://redis.io/docs/latest/develop/reference/key-specs/>.
//! Tests     tests/commands/keys.rs: requests with their keys, recorded from COMMAND GETKEYS of a real server.

use super::table::{Begin, Entry, Find, Group, KeyAccess, KeySpec};
use crate::resp::Args;

/// Where a command's keys are, decided once when the table is built. Words count from the request's first word,
/// container included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShape {
    /// It has none.
    None,
    /// Exactly one key, at this word.
    One(u8),
    /// From word `first` to word `last` (negative: from the end, -1 the last word) in steps of `step`.
    Range {
        /// First key.
        first: u8,
        /// Last key, counted from the end where negative.
        last: i8,
        /// Words from key to key.
        step: u8,
    },
    /// Their number stands at word `at`; the first key `first` words after it.
    NumKeys {
        /// Word with the number of keys.
        at: u8,
        /// Words from the number to the first key.
        first: u8,
        /// Words from key to key.
        step: u8,
    },
    /// Anything else: the specifications are read for each request.
    Specs(&'static [KeySpec]),
}

impl KeyShape {
    /// The shape that `specs` describe.
    pub fn of(specs: &'static [KeySpec]) -> KeyShape {
        let [spec] = specs else {
            return if specs.is_empty() {
                KeyShape::None
            } else {
                two_singles(specs).unwrap_or(KeyShape::Specs(specs))
            };
        };
        if spec.is_fake() {
            return KeyShape::Specs(specs);
        }
        match (spec.begin, spec.find) {
            (Begin::Index(at), Find::Range { last: 0, .. }) => KeyShape::One(at),
            (
                Begin::Index(first),
                Find::Range {
                    last,
                    step,
                    limit: 0,
                },
            ) => KeyShape::Range {
                first,
                last: if last < 0 { last } else { last + first as i8 },
                step,
            },
            (Begin::Index(begin), Find::KeyNum { at, first, step }) => KeyShape::NumKeys {
                at: begin + at,
                first: first - at,
                step,
            },
            _ => KeyShape::Specs(specs),
        }
    }
}

/// Single keys in neighbouring words (RENAME, COPY, LCS) are a range.
fn two_singles(specs: &[KeySpec]) -> Option<KeyShape> {
    let mut first = None;
    for (offset, spec) in specs.iter().enumerate() {
        let (Begin::Index(at), Find::Range { last: 0, .. }) = (spec.begin, spec.find) else {
            return None;
        };
        let first = *first.get_or_insert(at);
        if spec.is_fake() || usize::from(at) != usize::from(first) + offset {
            return None;
        }
    }
    let first = first?;
    Some(KeyShape::Range {
        first,
        last: first as i8 + specs.len() as i8 - 1,
        step: 1,
    })
}

impl KeySpec {
    /// The same, with notes.
    pub const fn noted(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    /// Whether it names something that is routed like a key but is none.
    pub fn is_fake(&self) -> bool {
        self.access.flags.contains(&"not_key")
    }

    /// Whether it cannot name all of its keys.
    pub fn is_incomplete(&self) -> bool {
        self.access.flags.contains(&"incomplete")
    }
}

/// What `entry` does to the keys that `spec` finds in this request: what a variable specification says depends on the words.
pub fn access_in(entry: &Entry, spec: &KeySpec, request: &Args<'_>) -> KeyAccess {
    if !spec.access.flags.contains(&"variable_flags") {
        return spec.access;
    }
    let (mode, flags): (_, &[_]) = if spec.access.flags.contains(&"delete") {
        // DELEX: with a condition it reads before it removes, but hands nothing out: no right to read is asked for.
        if compares(request, 2) {
            ("RW", &["delete"])
        } else {
            ("RM", &["delete"])
        }
    } else if entry.command.group == Group::Bitmap {
        // BITFIELD: without SET and INCRBY it only reads.
        if only_reads_bits(request) {
            ("RO", &["access"])
        } else {
            ("RW", &["access", "update"])
        }
    } else if (3..request.len()).any(|at| request.is(at, "GET")) {
        ("RW", &["access", "update"])
    } else if compares(request, 3) {
        ("RW", &["update"])
    } else {
        // SET without GET or a comparison overwrites and never reads.
        ("OW", &["update"])
    };
    KeyAccess { mode, flags }
}

/// Whether the request compares what the key holds: one of its words from `from` on says so.
fn compares(request: &Args<'_>, from: usize) -> bool {
    const WORDS: [&str; 4] = ["IFEQ", "IFNE", "IFDEQ", "IFDNE"];
    (from..request.len()).any(|at| WORDS.iter().any(|word| request.is(at, word)))
}

/// Whether BITFIELD's words are GET only; what is no option of it may be anything.
fn only_reads_bits(request: &Args<'_>) -> bool {
    let mut at = 2;
    while at < request.len() {
        let words_after = request.len() - 1 - at;
        if request.is(at, "GET") && words_after >= 2 {
            at += 3;
        } else if request.is(at, "OVERFLOW") && words_after >= 1 {
            at += 2;
        } else {
            return false;
        }
    }
    true
}

/// Calls `visit` with the index of every word that is a key, in the order of the specifications.
///
/// Returns false where the words do not fit the command's specifications (a bad number of keys, a range past the end);
/// some keys may have been visited by then, and the handler will refuse the request. Allocates nothing.
#[inline]
pub fn for_each_key(entry: &Entry, args: &Args<'_>, mut visit: impl FnMut(usize)) -> bool {
    match entry.keys {
        KeyShape::None => true,
        KeyShape::One(at) => {
            let at = usize::from(at);
            if at < args.len() {
                visit(at);
            }
            at < args.len()
        }
        KeyShape::Range { first, last, step } => visit_range(
            i64::from(first),
            from_end(last, args.len()),
            i64::from(step),
            args.len(),
            &mut visit,
        ),
        KeyShape::NumKeys { at, first, step } => visit_numbered(
            args,
            usize::from(at),
            usize::from(at) + usize::from(first),
            usize::from(step),
            &mut visit,
        ),
        KeyShape::Specs(specs) => {
            let mut complete = true;
            for spec in specs.iter().filter(|spec| !spec.is_fake()) {
                complete &= for_each_key_of(spec, args, &mut visit);
            }
            complete
        }
    }
}

/// [`for_each_key`] for one specification.
pub fn for_each_key_of(spec: &KeySpec, args: &Args<'_>, visit: &mut dyn FnMut(usize)) -> bool {
    let begin = match spec.begin {
        Begin::Index(at) => usize::from(at),
        Begin::Keyword { word, start_from } => {
            let found = if spec.access.mode == "OW" {
                find_store(args, word, start_from)
            } else {
                find_keyword(args, word, start_from)
            };
            match found {
                Some(at) => at + 1,
                // Without its keyword the specification has no keys, and that is fine.
                None => return true,
            }
        }
        Begin::Unknown if spec.find == Find::Unknown => {
            // Of SORT's keys only STORE's is among the words; where its patterns lead, its program finds out.
            if spec.access.mode == "OW" {
                stored_word(args).into_iter().for_each(visit);
            }
            return true;
        }
        Begin::Unknown => return false,
    };
    let fits = match spec.find {
        Find::Range { last, step, limit } => {
            let end = if last >= 0 {
                begin as i64 + i64::from(last)
            } else if limit == 0 {
                from_end(last, args.len())
            } else {
                let words = args.len() as i64 - begin as i64;
                begin as i64 + words / i64::from(limit) + i64::from(last)
            };
            visit_range(begin as i64, end, i64::from(step), args.len(), visit)
        }
        Find::KeyNum { at, first, step } => visit_numbered(
            args,
            begin + usize::from(at),
            begin + usize::from(first),
            usize::from(step),
            visit,
        ),
        Find::Unknown => false,
    };
    fits && !spec.is_incomplete()
}

fn from_end(last: i8, words: usize) -> i64 {
    if last < 0 {
        words as i64 + i64::from(last)
    } else {
        i64::from(last)
    }
}

fn visit_range(
    first: i64,
    last: i64,
    step: i64,
    words: usize,
    visit: &mut (impl FnMut(usize) + ?Sized),
) -> bool {
    if last >= words as i64 || last < first || first >= words as i64 {
        return false;
    }
    let mut at = first;
    while at <= last {
        visit(at as usize);
        at += step;
    }
    true
}

fn visit_numbered(
    args: &Args<'_>,
    at: usize,
    first: usize,
    step: usize,
    visit: &mut (impl FnMut(usize) + ?Sized),
) -> bool {
    if at >= args.len() {
        return false;
    }
    let Some(count) = std::str::from_utf8(args.get(at))
        .ok()
        .filter(|text| !text.starts_with('+'))
        .and_then(|text| text.parse::<u32>().ok())
    else {
        return false;
    };
    let last = first as i64 + (i64::from(count) - 1) * step as i64;
    visit_range(first as i64, last, step as i64, args.len(), visit)
}

fn find_keyword(args: &Args<'_>, word: &str, start_from: i8) -> Option<usize> {
    if start_from > 0 {
        (start_from as usize..args.len()).find(|&at| args.is(at, word))
    } else {
        let start = args.len() as i64 + i64::from(start_from);
        (2..=start.max(0) as usize)
            .rev()
            .filter(|&at| at < args.len())
            .find(|&at| args.is(at, word))
    }
}

/// The last STORE or STOREDIST of GEORADIUS, which is the one that counts, if it is this of the two.
///
/// Redis 8.0 takes the first for the key and writes to the last, which may be a key that its user has no right to.
fn find_store(args: &Args<'_>, word: &str, start_from: i8) -> Option<usize> {
    let mut found = None;
    let mut at = usize::try_from(start_from).ok()?;
    while at + 1 < args.len() {
        if args.is(at, "STORE") || args.is(at, "STOREDIST") {
            found = Some(at);
            at += 1;
        }
        at += 1;
    }
    found.filter(|&at| args.is(at, word))
}

/// The word after the last STORE; words that belong to other options of SORT are none.
fn stored_word(args: &Args<'_>) -> Option<usize> {
    let mut found = None;
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "LIMIT") {
            at += 2;
        } else if args.is(at, "GET") || args.is(at, "BY") {
            at += 1;
        } else if args.is(at, "STORE") && at + 1 < args.len() {
            found = Some(at + 1);
        }
        at += 1;
    }
    found
}
