//! Stays: which scripts are sure to touch no keys but those they declare, by their text alone.
//!
//!     redis.call('get', KEYS[1])                         stays
//!     local key = KEYS[1]   redis.call('get', key)       stays
//!     redis.call('get', 'lock:' .. ARGV[1])              may be anywhere
//!     local call = redis.call                            who knows
//!
//! A script that stays needs nobody's leave to write: its locks are those on its declared keys, or none where it runs among
//! them. So the answer must never be a wrong yes; where the text is not of the plain kind that nearly all such scripts are,
//! it is no, which costs time and nothing else.
//!
//! Promises  yes only if every key of every call is an element of KEYS, which nothing can have changed.
//! Not here  what a no costs: `router/token.rs`.
//! Tests     tests/router/stays.rs.

use std::collections::HashSet;

use crate::commands::table::{Run, table};
use crate::commands::{Entry, KeyShape};

/// A piece of Lua's text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'s> {
    Name(&'s [u8]),
    /// A string without escapes, or one that is not worth knowing.
    Text(Option<&'s [u8]>),
    Number,
    Sign(&'s [u8]),
}

/// Names through which a script could reach what it does not say, or change what it says.
const UNFATHOMABLE: &[&[u8]] = &[
    b"loadstring",
    b"load",
    b"dofile",
    b"loadfile",
    b"require",
    b"setfenv",
    b"getfenv",
    b"_G",
    b"_ENV",
    b"rawset",
    b"rawget",
    b"getmetatable",
    b"setmetatable",
    b"debug",
    b"coroutine",
];

/// Whether a script's text says that it stays with the keys it declares.
///
/// - Cost: a walk over the text for each name that stands for a key; once a script.
pub fn stays(body: &[u8]) -> bool {
    let body = match body.strip_prefix(b"#!") {
        Some(rest) => match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => &rest[end..],
            None => return false,
        },
        None => body,
    };
    split(body).is_some_and(|pieces| Reader { pieces: &pieces }.stays())
}

struct Reader<'p, 's> {
    pieces: &'p [Piece<'s>],
}

impl<'s> Reader<'_, 's> {
    fn stays(&self) -> bool {
        let keys = self.names_of_keys();
        let pieces = self.pieces;
        let mut at = 0;
        while at < pieces.len() {
            match &pieces[at] {
                Piece::Name(name) if UNFATHOMABLE.contains(name) => return false,
                Piece::Name(b"KEYS") if !self.only_reads_keys(at) => return false,
                // They must be what they are.
                Piece::Name(b"unpack" | b"ipairs")
                    if !self.is_sign(at + 1, b"(")
                        || at > 0 && self.is_name(at - 1, b"function") =>
                {
                    return false;
                }
                Piece::Name(b"redis" | b"server") if !self.is_field(at) => {
                    match self.call(at, &keys) {
                        Some(end) => at = end,
                        None => return false,
                    }
                }
                _ => {}
            }
            at += 1;
        }
        true
    }

    fn is_sign(&self, at: usize, sign: &[u8]) -> bool {
        matches!(self.pieces.get(at), Some(Piece::Sign(found)) if *found == sign)
    }

    fn is_name(&self, at: usize, name: &[u8]) -> bool {
        matches!(self.pieces.get(at), Some(Piece::Name(found)) if *found == name)
    }

    /// Whether the piece is the name of a field: of `x.redis`, say.
    fn is_field(&self, at: usize) -> bool {
        at > 0 && (self.is_sign(at - 1, b".") || self.is_sign(at - 1, b":"))
    }

    /// The piece behind the bracket that closes the one at `at`.
    fn behind(&self, at: usize) -> Option<usize> {
        let mut depth = 0;
        for index in at..self.pieces.len() {
            match &self.pieces[index] {
                Piece::Sign(b"(" | b"[" | b"{") => depth += 1,
                Piece::Sign(b")" | b"]" | b"}") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(index + 1);
            }
        }
        None
    }

    /// Whether KEYS at `at` is only looked into.
    fn only_reads_keys(&self, at: usize) -> bool {
        if self.is_field(at) {
            return true; // Another table's.
        }
        if at > 0 && self.is_sign(at - 1, b"#") {
            return !self.is_sign(at + 1, b"[") && !self.is_sign(at + 1, b".");
        }
        if self.is_sign(at + 1, b"[") {
            let Some(behind) = self.behind(at + 1) else {
                return false;
            };
            return !self.is_changed(behind);
        }
        let is_word = |word: &[u8]| at >= 2 && self.is_name(at - 2, word);
        let is_whole = at >= 2 && self.is_sign(at - 1, b"(") && self.is_sign(at + 1, b")");
        is_whole && !self.is_field(at - 2) && (is_word(b"unpack") || is_word(b"ipairs"))
    }

    /// Whether what ends before `at` is assigned to, alone or with others.
    fn is_changed(&self, at: usize) -> bool {
        if self.is_sign(at, b"=") {
            return true;
        }
        // `KEYS[1], x = ...`: a list of places that ends in an assignment.
        let mut at = at;
        while self.is_sign(at, b",") {
            at += 1;
            while !matches!(
                self.pieces.get(at),
                None | Some(Piece::Sign(b"," | b"=" | b")" | b"}" | b";"))
            ) {
                let opens = matches!(&self.pieces[at], Piece::Sign(b"(" | b"[" | b"{"));
                let next = if opens { self.behind(at) } else { Some(at + 1) };
                match next {
                    Some(next) => at = next,
                    None => return true,
                }
            }
        }
        self.is_sign(at, b"=")
    }

    /// Names that stand for an element of KEYS wherever they are seen.
    fn names_of_keys(&self) -> HashSet<&'s [u8]> {
        let mut names = HashSet::new();
        for at in 0..self.pieces.len() {
            let Piece::Name(name) = self.pieces[at] else {
                continue;
            };
            let is_local = at > 0 && self.is_name(at - 1, b"local");
            let is_key = is_local
                && self.is_sign(at + 1, b"=")
                && self.is_name(at + 2, b"KEYS")
                && self.is_sign(at + 3, b"[")
                && self
                    .behind(at + 3)
                    .is_some_and(|end| self.ends_expression(end));
            // `for _, name in ipairs(KEYS) do`
            let is_each = at >= 3
                && self.is_name(at - 3, b"for")
                && self.is_sign(at - 1, b",")
                && self.is_name(at + 1, b"in")
                && self.is_name(at + 2, b"ipairs")
                && self.is_sign(at + 3, b"(")
                && self.is_name(at + 4, b"KEYS")
                && self.is_sign(at + 5, b")");
            if (is_key || is_each) && !self.is_bound_elsewhere(name, at) {
                names.insert(name);
            }
        }
        names
    }

    /// Whether no operator follows: what stands before `at` is the whole expression.
    fn ends_expression(&self, at: usize) -> bool {
        match self.pieces.get(at) {
            None | Some(Piece::Sign(b";")) => true,
            Some(Piece::Name(name)) => !matches!(*name, b"and" | b"or"),
            Some(_) => false,
        }
    }

    /// Whether `name`, defined at `place`, is anything else somewhere: set again, a parameter, the variable of a loop.
    fn is_bound_elsewhere(&self, name: &[u8], place: usize) -> bool {
        for at in 0..self.pieces.len() {
            match &self.pieces[at] {
                Piece::Name(b"function") => {
                    // Its own name, then its parameters.
                    let mut inside = at + 1;
                    while !self.is_sign(inside, b"(") {
                        if self.is_name(inside, name) || inside >= self.pieces.len() {
                            return true;
                        }
                        inside += 1;
                    }
                    while !self.is_sign(inside, b")") {
                        if self.is_name(inside, name) || inside >= self.pieces.len() {
                            return true;
                        }
                        inside += 1;
                    }
                }
                Piece::Name(found) if *found == name && at != place && !self.is_field(at) => {
                    let is_set = self.is_changed(at + 1);
                    let is_defined =
                        at > 0 && (self.is_name(at - 1, b"local") || self.is_name(at - 1, b"for"));
                    let is_variable = self.is_name(at + 1, b"in");
                    if is_set || is_defined || is_variable {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// Reads what follows `redis` at `at`: none if that may touch a key that is not declared, else the last piece looked at.
    fn call(&self, at: usize, keys: &HashSet<&[u8]>) -> Option<usize> {
        if !self.is_sign(at + 1, b".") {
            return None;
        }
        let Some(Piece::Name(function)) = self.pieces.get(at + 2) else {
            return None;
        };
        if !matches!(*function, b"call" | b"pcall") {
            // Other functions reach no keys; a place that is assigned to could become anything.
            return (!self.is_changed(at + 3)).then_some(at + 2);
        }
        if !self.is_sign(at + 3, b"(") {
            return None;
        }
        let end = self.behind(at + 3)? - 1;
        let words = self.words(at + 4, end)?;
        let (first, rest) = words.split_first()?;
        let [Piece::Text(Some(name))] = self.pieces.get(first.clone())? else {
            return None;
        };
        let is_key = |word: &std::ops::Range<usize>| self.is_key(word, keys);
        let entry = find(name, rest.first().and_then(|word| self.text(word)))?;
        let is_good = match (entry.command.run, entry.keys) {
            // They see what is in the way of nobody.
            (Run::Session(_) | Run::PubSub(_), _) => true,
            (Run::Keys(_) | Run::Waits(_), KeyShape::One(word)) => {
                rest.get(usize::from(word) - 1).is_some_and(is_key)
            }
            (Run::Keys(_) | Run::Waits(_), KeyShape::Range { first, last, step }) => {
                let count = rest.len();
                let first = usize::from(first) - 1;
                let is_all = rest.len() == 1 && self.is_all_keys(&rest[0]) && step == 1;
                let end = if last < 0 {
                    (count as i64 + i64::from(last) + 1).max(0) as usize
                } else {
                    usize::from(last.unsigned_abs())
                };
                is_all
                    || first < end
                        && end <= count
                        && rest[first..end].iter().step_by(usize::from(step)).all(is_key)
                        // What is spread out in the end could be more words than it looks.
                        && (last >= 0 || !self.may_be_many(&rest[count - 1]))
            }
            _ => false,
        };
        // Names and their meaning were checked; within the words KEYS is looked at like everywhere.
        is_good.then_some(at + 3)
    }

    fn text(&self, word: &std::ops::Range<usize>) -> Option<&'s [u8]> {
        match self.pieces.get(word.clone())? {
            [Piece::Text(text)] => *text,
            _ => None,
        }
    }

    fn is_key(&self, word: &std::ops::Range<usize>, keys: &HashSet<&[u8]>) -> bool {
        match &self.pieces[word.clone()] {
            [Piece::Name(name)] => keys.contains(name),
            [Piece::Name(b"KEYS"), Piece::Sign(b"["), ..] => {
                self.behind(word.start + 1) == Some(word.end)
            }
            _ => false,
        }
    }

    fn is_all_keys(&self, word: &std::ops::Range<usize>) -> bool {
        matches!(
            &self.pieces[word.clone()],
            [
                Piece::Name(b"unpack"),
                Piece::Sign(b"("),
                Piece::Name(b"KEYS"),
                Piece::Sign(b")")
            ]
        )
    }

    /// Whether an argument may become several: a call's results, or the rest of a function's.
    fn may_be_many(&self, word: &std::ops::Range<usize>) -> bool {
        matches!(
            self.pieces[word.clone()].last(),
            Some(Piece::Sign(b")" | b"..."))
        )
    }

    /// The arguments between `start` and `end`.
    fn words(&self, start: usize, end: usize) -> Option<Vec<std::ops::Range<usize>>> {
        let mut words = Vec::new();
        let (mut from, mut at) = (start, start);
        while at < end {
            match &self.pieces[at] {
                Piece::Sign(b"(" | b"[" | b"{") => at = self.behind(at)?,
                // A function's body would need to be understood.
                Piece::Name(b"function") => return None,
                Piece::Sign(b",") => {
                    words.push(from..at);
                    at += 1;
                    from = at;
                }
                _ => at += 1,
            }
        }
        words.push(from..end);
        words.iter().all(|word| !word.is_empty()).then_some(words)
    }
}

/// The command of that name, or its subcommand.
fn find(name: &[u8], second: Option<&[u8]>) -> Option<&'static Entry> {
    let entry = table().find(name)?;
    if entry.sub.is_empty() {
        return Some(entry);
    }
    entry.find_sub(second?)
}

/// The pieces of a text; none if it is not understood.
fn split(body: &[u8]) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        let rest = &body[at..];
        let length = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => 1,
            b'-' if rest.starts_with(b"--") => match long_bracket(&rest[2..]) {
                Some(length) => 2 + length?,
                None => rest
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .unwrap_or(rest.len()),
            },
            b'[' if long_bracket(rest).is_some() => {
                let length = long_bracket(rest)??;
                pieces.push(Piece::Text(None));
                length
            }
            b'"' | b'\'' => {
                let (length, text) = quoted(rest)?;
                pieces.push(Piece::Text(text));
                length
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let is_end = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'_';
                let length = rest.iter().position(is_end).unwrap_or(rest.len());
                pieces.push(Piece::Name(&rest[..length]));
                length
            }
            b'0'..=b'9' => {
                let is_end = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'.';
                pieces.push(Piece::Number);
                rest.iter().position(is_end).unwrap_or(rest.len())
            }
            _ => {
                const LONG: &[&[u8]] = &[b"...", b"..", b"==", b"~=", b"<=", b">="];
                let long = LONG.iter().find(|sign| rest.starts_with(sign));
                let length = long.map_or(1, |sign| sign.len());
                if !byte.is_ascii_punctuation() {
                    return None;
                }
                pieces.push(Piece::Sign(&rest[..length]));
                length
            }
        };
        at += length;
    }
    Some(pieces)
}

/// The length of a long bracket at the start: none if there is none, `Some(None)` if it does not end.
fn long_bracket(text: &[u8]) -> Option<Option<usize>> {
    let rest = text.strip_prefix(b"[")?;
    let level = rest.iter().take_while(|&&byte| byte == b'=').count();
    if rest.get(level) != Some(&b'[') {
        return None;
    }
    let mut end = vec![b'='; level + 2];
    (end[0], end[level + 1]) = (b']', b']');
    let found = text.windows(end.len()).position(|window| window == end);
    Some(found.map(|at| at + end.len()))
}

/// The length of a string at the start, and what it says where nothing is escaped.
fn quoted(text: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let quote = text[0];
    let mut at = 1;
    let mut is_plain = true;
    loop {
        match *text.get(at)? {
            b'\\' => {
                is_plain = false;
                at += 2;
            }
            b'\n' => return None,
            byte if byte == quote => break,
            _ => at += 1,
        }
    }
    Some((at + 1, is_plain.then_some(&text[1..at])))
}
