//! Stays: which scripts and functions are sure to touch no keys but those they declare, by their text alone.
//!
//!     redis.call('get', KEYS[1])                         stays
//!     local key = KEYS[1]   redis.call('get', key)       stays
//!     redis.call('get', 'lock:' .. ARGV[1])              may be anywhere
//!     local call = redis.call                            who knows
//!
//! In a library KEYS is the first parameter of its functions, as long as nobody but FCALL, or one of them that passes its own
//! on, can call those. What a function leaves behind for the next call could be a key of this one: so no function may be
//! made inside another.
//!
//! A script that stays needs nobody's leave to write: its locks are those on its declared keys, or none where it runs among
//! them. So the answer must never be a wrong yes; where the text is not of the plain kind that nearly all such scripts are,
//! it is no, which costs time and nothing else.
//!
//! Promises  yes only if every key of every call is an element of KEYS, which nothing can have changed.
//!           A library's yes is that of all of its functions.
//! Not here  what a no costs: `router/token.rs`.
//! Tests     tests/router/stays.rs.

use std::collections::{HashMap, HashSet};

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

/// Libraries whose functions have more names than this for their first parameters are not looked at.
const TABLE_NAMES_MAX: usize = 8;
/// In longer lists nobody looks for an assignment: it would be looked for from each element on.
const LIST_LENGTH_MAX: usize = 256;
/// Names of keys, times the pieces of a text, that are looked through: of one that is longer none is taken to be one.
const NAMES_WORK_MAX: usize = 4_000_000;

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
    // What functions have without a word of their own, and a string that everybody has.
    b"self",
    b"arg",
    b"_VERSION",
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
    let reads = |pieces: Vec<Piece<'_>>| Reader::of(&pieces, b"KEYS").stays();
    split(body).is_some_and(reads)
}

/// Whether a library's text says that its functions stay with the keys that FCALL declares.
///
/// - Cost: that of a script for each name that a function has for its first parameter.
pub fn library_stays(code: &[u8]) -> bool {
    let body = code.iter().position(|&byte| byte == b'\n');
    let Some(pieces) = body.and_then(|start| split(&code[start..])) else {
        return false;
    };
    let Some(functions) = Reader::of(&pieces, b"").functions() else {
        return false;
    };
    let mut names: Vec<_> = (functions.iter())
        .filter_map(|function| function.first)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Reader::of(&pieces, b"").stays();
    }
    names.len() <= TABLE_NAMES_MAX
        && names.into_iter().any(|name| {
            let reader = Reader::of(&pieces, name);
            let takes_keys = |function: &&Function<'_>| function.first == Some(name);
            let helpers = functions.iter().filter(takes_keys);
            let reader = Reader {
                helpers: helpers.filter_map(|function| function.name).collect(),
                ..reader
            };
            let mut with_keys = functions.iter().filter(takes_keys);
            with_keys.all(|function| reader.is_called_with_keys(function)) && reader.stays()
        })
}

/// A function of a library.
struct Function<'s> {
    /// Its name, if it is a local one.
    name: Option<&'s [u8]>,
    /// Its first parameter.
    first: Option<&'s [u8]>,
    /// Where it begins.
    place: usize,
    /// Where its name is defined.
    name_place: usize,
}

struct Reader<'p, 's> {
    pieces: &'p [Piece<'s>],
    /// The name of the table of declared keys.
    table: &'s [u8],
    /// Local functions of a library whose first parameter has that name.
    helpers: HashSet<&'s [u8]>,
}

impl<'p, 's> Reader<'p, 's> {
    fn of(pieces: &'p [Piece<'s>], table: &'s [u8]) -> Self {
        Self {
            pieces,
            table,
            helpers: HashSet::new(),
        }
    }

    fn stays(&self) -> bool {
        let keys = self.names_of_keys();
        let pieces = self.pieces;
        let mut at = 0;
        while at < pieces.len() {
            match &pieces[at] {
                Piece::Name(name) if UNFATHOMABLE.contains(name) => return false,
                Piece::Name(name) if *name == self.table && !self.only_reads_keys(at) => {
                    return false;
                }
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

    /// The functions of a library; none if one of them is made while another runs, or in a loop.
    fn functions(&self) -> Option<Vec<Function<'s>>> {
        let mut functions = Vec::new();
        let mut depth = 0;
        for (at, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Name(b"do" | b"if" | b"repeat") => depth += 1,
                Piece::Name(b"end" | b"until") => depth -= 1,
                Piece::Name(b"function") => {
                    if depth != 0 {
                        return None;
                    }
                    depth += 1;
                    functions.push(self.function(at)?);
                }
                _ => {}
            }
        }
        Some(functions)
    }

    fn function(&self, place: usize) -> Option<Function<'s>> {
        let name_of = |at: usize| match self.pieces.get(at)? {
            Piece::Name(name) => Some(*name),
            _ => None,
        };
        let is_local = |at: usize| at > 0 && self.is_name(at - 1, b"local");
        let (name, name_place, opens) = if self.is_sign(place + 1, b"(") {
            let is_named = place > 2 && self.is_sign(place - 1, b"=") && is_local(place - 2);
            let name = is_named.then(|| name_of(place - 2)).flatten();
            (name, place.saturating_sub(2), place + 1)
        } else {
            // `function x.y(` and `function x(` are whoever's.
            let name = is_local(place).then(|| name_of(place + 1)).flatten();
            (Some(name?), place + 1, place + 2)
        };
        self.is_sign(opens, b"(").then(|| Function {
            name,
            first: name_of(opens + 1),
            place,
            name_place,
        })
    }

    /// Whether nobody calls a function but FCALL, and others that pass on the keys that they have been given.
    fn is_called_with_keys(&self, function: &Function<'s>) -> bool {
        let Some(name) = function.name else {
            return self.is_registered(function.place);
        };
        let is_called = |at: usize| {
            self.is_sign(at + 1, b"(")
                && self.is_name(at + 2, self.table)
                && (self.is_sign(at + 3, b",") || self.is_sign(at + 3, b")"))
        };
        let ends = |at: usize| {
            let signs: [&[u8]; 3] = [b")", b",", b"}"];
            signs.into_iter().any(|sign| self.is_sign(at, sign))
        };
        (0..self.pieces.len()).all(|at| {
            !self.is_name(at, name)
                || self.is_field(at)
                || at == function.name_place
                || is_called(at)
                || self.is_registered(at) && ends(at + 1)
        })
    }

    /// Whether what begins at `at` is what a function is registered with.
    fn is_registered(&self, at: usize) -> bool {
        let is_register = |at: usize| {
            at >= 2
                && self.is_name(at, b"register_function")
                && self.is_sign(at - 1, b".")
                && !self.is_field(at - 2)
                && (self.is_name(at - 2, b"redis") || self.is_name(at - 2, b"server"))
        };
        if at >= 4 && self.is_sign(at - 1, b",") && self.is_sign(at - 3, b"(") {
            return matches!(self.pieces[at - 2], Piece::Text(_)) && is_register(at - 4);
        }
        if at < 2 || !self.is_sign(at - 1, b"=") || !self.is_name(at - 2, b"callback") {
            return false;
        }
        // The brace that is open there.
        let mut depth = 0;
        for index in (0..at).rev() {
            match &self.pieces[index] {
                Piece::Sign(b")" | b"]" | b"}") => depth += 1,
                Piece::Sign(b"(" | b"[" | b"{") if depth > 0 => depth -= 1,
                Piece::Sign(b"{") => {
                    let before = match index > 0 && self.is_sign(index - 1, b"(") {
                        true => index.checked_sub(2),
                        false => index.checked_sub(1),
                    };
                    return before.is_some_and(is_register);
                }
                Piece::Sign(b"(" | b"[") => return false,
                _ => {}
            }
        }
        false
    }

    /// Whether KEYS at `at` is only looked into.
    fn only_reads_keys(&self, at: usize) -> bool {
        if self.is_field(at) {
            return true; // Another table's.
        }
        if self.is_first_parameter(at) || self.is_passed_on(at) {
            return true;
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
        // Elsewhere it would hand the table itself out.
        let is_loop = at >= 3 && self.is_name(at - 3, b"in") && self.is_name(at + 2, b"do");
        let is_read = is_word(b"unpack") || is_word(b"ipairs") && is_loop;
        is_whole && !self.is_field(at - 2) && is_read
    }

    /// Whether a library's function is defined with it for its first parameter.
    fn is_first_parameter(&self, at: usize) -> bool {
        !matches!(self.table, b"KEYS")
            && at >= 2
            && self.is_sign(at - 1, b"(")
            && (self.is_name(at - 2, b"function") || at >= 3 && self.is_name(at - 3, b"function"))
    }

    /// Whether it is the first argument of a function of the library that has it for its first parameter.
    fn is_passed_on(&self, at: usize) -> bool {
        let is_helper = |at: usize| match self.pieces[at] {
            Piece::Name(name) => self.helpers.contains(name) && !self.is_field(at),
            _ => false,
        };
        at >= 2
            && self.is_sign(at - 1, b"(")
            && is_helper(at - 2)
            && (self.is_sign(at + 1, b",") || self.is_sign(at + 1, b")"))
    }

    /// Whether what ends before `at` is assigned to, alone or with others.
    fn is_changed(&self, at: usize) -> bool {
        if self.is_sign(at, b"=") {
            return true;
        }
        // `KEYS[1], x = ...`: a list of places that ends in an assignment.
        let mut at = at;
        let mut length = 0;
        while self.is_sign(at, b",") {
            length += 1;
            if length > LIST_LENGTH_MAX {
                return true;
            }
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
        let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for at in 0..self.pieces.len() {
            let Piece::Name(name) = self.pieces[at] else {
                continue;
            };
            let is_local = at > 0 && self.is_name(at - 1, b"local");
            let is_key = is_local
                && self.is_sign(at + 1, b"=")
                && self.is_name(at + 2, self.table)
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
                && self.is_name(at + 4, self.table)
                && self.is_sign(at + 5, b")");
            if is_key || is_each {
                places.entry(name).or_default().push(at);
            }
        }
        if places.len() * self.pieces.len() > NAMES_WORK_MAX {
            return HashSet::new();
        }
        places.retain(|name, places| !self.is_bound_elsewhere(name, places));
        places.into_keys().collect()
    }

    /// Whether no operator follows: what stands before `at` is the whole expression.
    fn ends_expression(&self, at: usize) -> bool {
        match self.pieces.get(at) {
            None | Some(Piece::Sign(b";")) => true,
            Some(Piece::Name(name)) => !matches!(*name, b"and" | b"or"),
            Some(_) => false,
        }
    }

    /// Whether `name`, defined at `places`, is anything else somewhere: set again, a parameter, the variable of a loop.
    fn is_bound_elsewhere(&self, name: &[u8], places: &[usize]) -> bool {
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
                Piece::Name(b"for") => {
                    // Its variables.
                    let mut inside = at + 1;
                    while let Some(Piece::Name(found)) = self.pieces.get(inside) {
                        if *found == name && !places.contains(&inside) {
                            return true;
                        }
                        if !self.is_sign(inside + 1, b",") {
                            break;
                        }
                        inside += 2;
                    }
                }
                Piece::Name(found)
                    if *found == name && !places.contains(&at) && !self.is_field(at) =>
                {
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
            [Piece::Name(name), Piece::Sign(b"["), ..] => {
                *name == self.table && self.behind(word.start + 1) == Some(word.end)
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
                Piece::Name(name),
                Piece::Sign(b")")
            ] if *name == self.table
        )
    }

    /// Whether an argument may become several: a call's results, or the rest of a function's.
    fn may_be_many(&self, word: &std::ops::Range<usize>) -> bool {
        match &self.pieces[word.clone()] {
            [Piece::Name(_) | Piece::Number | Piece::Text(_)] => false,
            // `ARGV[1]`.
            [Piece::Name(_), Piece::Sign(b"["), ..] => {
                self.behind(word.start + 1) != Some(word.end)
            }
            // `f'x'`, `f{}`, `f()`, `...`, and whatever is not worth knowing.
            _ => true,
        }
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
                    .position(|&byte| matches!(byte, b'\n' | b'\r'))
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
