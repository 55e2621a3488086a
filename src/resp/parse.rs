//! Bytes to requests, in place: a request's words are spans of the buffer it arrived in.
//!
//!     *3\r\n $3\r\nSET\r\n $3\r\nkey\r\n $5\r\nvalue\r\n      a request, without the spaces
//!     set key "a value"\r\n                              the same, typed by a person (inline)
//!
//! Promises  no byte is looked at twice however a request is cut into pieces: [`ParseState`] remembers how far it came.
//!           A word of any size costs a comparison per piece. Memory grows with words that arrived, not words announced.
//! Not here  assembling a request that spans two receive buffers, and the query buffer's limit: `node/intake.rs`.
//! Source    the RESP specification; errors and limits as Redis 8 has them. Like Redis, the two bytes that end a line
//!           or a word are skipped unread, and a NUL before the end of a line means that the end never comes.
//! Tests     tests/resp/parse.rs: every message cut at every byte, errors recorded from a real server; fuzz/.

use std::borrow::Cow;
use std::mem;

use super::args::{OwnedArgs, Span};
use crate::base::number::parse_i64;

/// What a client may send before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `proto-max-bulk-len`: the longest word, in bytes.
    pub bulk_bytes_max: usize,
    /// The most words of one request.
    pub multibulk_count_max: usize,
    /// The longest line: an inline request, or the text of a count or a length.
    pub inline_bytes_max: usize,
    /// False: 10 words of 16 KiB are the most.
    pub authenticated: bool,
}

impl Default for Limits {
    /// Redis's defaults for a client that needs no password.
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 << 20,
            multibulk_count_max: i32::MAX as usize,
            inline_bytes_max: 64 << 10,
            authenticated: true,
        }
    }
}

const UNAUTHENTICATED_COUNT_MAX: usize = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 << 10;

/// What [`parse`] found at the start of the bytes.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A request: its words are in `spans`. The next one starts at `consumed`.
    Request {
        /// Bytes of the request.
        consumed: usize,
    },
    /// An inline request with quotes: its words are not the bytes that were sent.
    Inline {
        /// Bytes of the request.
        consumed: usize,
        /// The words, unescaped.
        args: OwnedArgs,
    },
    /// An empty line, or a request of no words: to be skipped without a reply.
    Empty {
        /// Bytes to skip.
        consumed: usize,
    },
    /// Only the first part of a request.
    Incomplete {
        /// At least this many more bytes must arrive before another call can tell anything new; 1 or more.
        needed_bytes_min: usize,
    },
}

/// What cannot be a request. The reply is sent, then the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number after `*` is none or too large.
    InvalidMultibulkLength,
    /// The number after `$` is none, negative or too large.
    InvalidBulkLength,
    /// A word does not start with `$` but with this byte.
    ExpectedDollar(u8),
    /// The line with the number of words does not end.
    TooBigMultibulkCount,
    /// The line with a word's length does not end.
    TooBigBulkCount,
    /// The inline request does not end.
    TooBigInline,
    /// A quote that does not end, or does not end its word.
    UnbalancedQuotes,
    /// Too many words for a client without a password.
    UnauthenticatedMultibulk,
    /// Too long a word for a client without a password.
    UnauthenticatedBulk,
}

impl ProtocolError {
    /// The line after the `-`, for people: a byte that is no ASCII is shown as the character of that number.
    pub fn text(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::InvalidMultibulkLength => "ERR Protocol error: invalid multibulk length",
            Self::InvalidBulkLength => "ERR Protocol error: invalid bulk length",
            Self::TooBigMultibulkCount => "ERR Protocol error: too big mbulk count string",
            Self::TooBigBulkCount => "ERR Protocol error: too big bulk count string",
            Self::TooBigInline => "ERR Protocol error: too big inline request",
            Self::UnbalancedQuotes => "ERR Protocol error: unbalanced quotes in request",
            Self::UnauthenticatedMultibulk => {
                "ERR Protocol error: unauthenticated multibulk length"
            }
            Self::UnauthenticatedBulk => "ERR Protocol error: unauthenticated bulk length",
            Self::ExpectedDollar(byte) => {
                let shown = char::from(printable_line_byte(*byte));
                return format!("ERR Protocol error: expected '$', got '{shown}'").into();
            }
        })
    }

    /// What Redis's log calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidMultibulkLength => "invalid mbulk count",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::TooBigInline => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::UnauthenticatedMultibulk => "unauth mbulk count",
            Self::UnauthenticatedBulk => "unauth bulk length",
            Self::ExpectedDollar(_) => "expected $ but got something else",
        }
    }

    /// Appends the error reply. The byte that was no `$` is sent as it came, which text could not hold.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Self::ExpectedDollar(byte) = self {
            out.extend_from_slice(b"-ERR Protocol error: expected '$', got '");
            out.push(printable_line_byte(*byte));
            out.extend_from_slice(b"'\r\n");
        } else {
            out.push(b'-');
            out.extend_from_slice(self.text().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A line end inside an error line would end the line.
fn printable_line_byte(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') {
        b' '
    } else {
        byte
    }
}

/// How far a request that is still arriving has been parsed. One per connection.
#[derive(Clone, Debug, Default)]
pub struct ParseState {
    /// The first byte not understood yet, from the start of the request.
    position: usize,
    /// That many bytes from `position` on are known to hold no line end.
    scanned: usize,
    /// Words still to come; 0 before the count is known.
    words_left: usize,
    /// The length of the word that starts at `position`.
    bulk_len: Option<usize>,
    /// The words found so far, while the caller's list serves other connections.
    words: Vec<Span>,
}

/// A list of words that grew beyond this is given back rather than kept per connection.
const WORDS_KEPT_MAX: usize = 1024;

impl ParseState {
    /// At the start of a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing of a request has been parsed yet.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.position == 0 && self.scanned == 0
    }

    /// Bytes of the first request that have been understood.
    pub fn parsed_bytes(&self) -> usize {
        self.position
    }

    /// Bytes of the words that it has so far.
    pub fn words_bytes(&self) -> usize {
        self.words.iter().map(|word| word.len as usize).sum()
    }

    /// Heap bytes held for a request that is still arriving.
    pub fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Span>()
    }

    /// Forgets a half-parsed request.
    pub fn reset(&mut self) {
        let mut words = mem::take(&mut self.words);
        if words.capacity() > WORDS_KEPT_MAX {
            words = Vec::new();
        }
        words.clear();
        *self = Self {
            words,
            ..Self::default()
        };
    }
}

/// Finds the first request in `bytes`.
///
/// - `bytes`: from the first byte of the request; after `Incomplete`, the same bytes and more, wherever they now lie.
/// - `spans`: cleared and filled; holds the words only when the answer is `Request`. May serve many connections.
/// - Errors: the connection cannot go on, `state` is of no more use.
/// - Cost: O(bytes not seen before); no allocation once `spans` has grown to the requests' word count.
#[inline(always)]
pub fn parse(
    bytes: &[u8],
    state: &mut ParseState,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<Parsed, ProtocolError> {
    if state.is_fresh() {
        spans.clear();
        if limits.authenticated
            && let Some((count, head_bytes)) = short_count(bytes)
            && count <= limits.multibulk_count_max
        {
            let (words_left, position) = short_words(bytes, head_bytes, count, spans, limits);
            if words_left == 0 {
                return Ok(Parsed::Request { consumed: position });
            }
            state.words_left = words_left;
            state.position = position;
        }
    } else {
        mem::swap(spans, &mut state.words);
    }
    parse_any(bytes, state, spans, limits)
}

/// A request's head with a count of 1 to 99: the count, and the bytes of the head.
#[inline]
fn short_count(bytes: &[u8]) -> Option<(usize, usize)> {
    let window = bytes.first_chunk::<5>()?;
    match *window {
        [b'*', ones @ b'1'..=b'9', b'\r', _, _] => Some((usize::from(ones - b'0'), 4)),
        [b'*', tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _] => {
            Some((usize::from(tens - b'0') * 10 + usize::from(ones - b'0'), 5))
        }
        _ => None,
    }
}

/// Takes whole words of up to 999 bytes, up to `words_left`; returns how many are left, and where it stopped.
///
/// Whatever else comes is not judged here: the first five bytes of the smallest word (`$0\r\n\r\n`), taken as one number,
/// tell every length this function knows. `bytes` must be shorter than 4 GiB where the words may lie that far from its
/// start, which 99 words cannot.
#[inline]
pub(super) fn short_words(
    bytes: &[u8],
    start: usize,
    mut words_left: usize,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> (usize, usize) {
    let mut at = start;
    while words_left > 0 {
        let Some(window) = bytes.get(at..at + 6) else {
            break;
        };
        let head = u32::from_le_bytes([window[0], window[1], window[2], window[3]]);
        let Some((len, head_bytes)) = short_len(head, window[4]) else {
            break;
        };
        let word = at + head_bytes;
        let end = word + len + 2;
        if end > bytes.len() || len > limits.bulk_bytes_max {
            break;
        }
        spans.push(Span {
            start: word as u32,
            len: len as u32,
        });
        at = end;
        words_left -= 1;
    }
    (words_left, at)
}

/// The length in a word's first line, and the bytes of that line: `head` has the first four of them in the order they came,
/// lowest first, `fifth` the next. None for a length that does not end there, or begins with a zero and goes on.
#[inline]
fn short_len(head: u32, fifth: u8) -> Option<(usize, usize)> {
    const DOLLAR_AND_RETURN_AT_2: u32 = u32::from_le_bytes(*b"$\0\r\0");
    const DOLLAR_AND_RETURN_AT_3: u32 = u32::from_le_bytes(*b"$\0\0\r");
    let digit = |index: u32| ((head >> (8 * index)) as u8).wrapping_sub(b'0');
    let (first, second, third) = (digit(1), digit(2), digit(3));
    if head & 0x00ff_00ff == DOLLAR_AND_RETURN_AT_2 {
        return (first < 10).then_some((usize::from(first), 4));
    }
    // A first digit of 1 to 9.
    if first.wrapping_sub(1) >= 9 || second >= 10 {
        return None;
    }
    let tens = usize::from(first) * 10 + usize::from(second);
    if head & 0xff00_00ff == DOLLAR_AND_RETURN_AT_3 {
        return Some((tens, 5));
    }
    let is_short = head as u8 == b'$' && third < 10 && fifth == b'\r';
    is_short.then_some((tens * 10 + usize::from(third), 6))
}

/// Everything the short path leaves: long numbers, long words, pieces, errors, inline requests.
#[cold]
#[inline(never)]
fn parse_any(
    bytes: &[u8],
    state: &mut ParseState,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<Parsed, ProtocolError> {
    let parsed = match bytes.first() {
        None => Parsed::Incomplete {
            needed_bytes_min: 1,
        },
        Some(b'*') => parse_multibulk(bytes, state, spans, limits)?,
        Some(_) => parse_inline(bytes, state, spans, limits)?,
    };
    if matches!(parsed, Parsed::Incomplete { .. }) {
        mem::swap(spans, &mut state.words);
    } else {
        state.reset();
    }
    Ok(parsed)
}

fn parse_multibulk(
    bytes: &[u8],
    state: &mut ParseState,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<Parsed, ProtocolError> {
    if state.words_left == 0 {
        let Some(line_end) = line_end(bytes, state, b'\r', 2) else {
            return wait_for_line(bytes, state, limits, ProtocolError::TooBigMultibulkCount);
        };
        let count = parse_i64(&bytes[1..line_end]).ok_or(ProtocolError::InvalidMultibulkLength)?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > limits.multibulk_count_max {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if count > UNAUTHENTICATED_COUNT_MAX && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        state.position = line_end + 2;
        state.scanned = 0;
        if count == 0 {
            return Ok(Parsed::Empty {
                consumed: state.position,
            });
        }
        state.words_left = count;
    }
    // A span could not say where a word lies beyond 4 GiB; the long way refuses it.
    let can_be_short = u32::try_from(bytes.len()).is_ok();
    while state.words_left > 0 {
        if can_be_short && state.bulk_len.is_none() {
            let (words_left, position) =
                short_words(bytes, state.position, state.words_left, spans, limits);
            if words_left < state.words_left {
                state.words_left = words_left;
                state.position = position;
                state.scanned = 0;
                continue;
            }
        }
        let len = match state.bulk_len {
            Some(len) => len,
            None => {
                let Some(line_end) = line_end(bytes, state, b'\r', 2) else {
                    return wait_for_line(bytes, state, limits, ProtocolError::TooBigBulkCount);
                };
                let len = bulk_len(&bytes[state.position..line_end], limits)?;
                // Its end, too: what holds a whole request says in as many bits how long it is.
                if line_end + 2 + len + 2 > u32::MAX as usize {
                    return Err(ProtocolError::InvalidBulkLength);
                }
                state.position = line_end + 2;
                state.scanned = 0;
                state.bulk_len = Some(len);
                len
            }
        };
        let word_end = state.position + len + 2;
        if word_end > bytes.len() {
            return Ok(Parsed::Incomplete {
                needed_bytes_min: word_end - bytes.len(),
            });
        }
        spans.push(Span {
            start: state.position as u32,
            len: len as u32,
        });
        state.position = word_end;
        state.bulk_len = None;
        state.words_left -= 1;
    }
    Ok(Parsed::Request {
        consumed: state.position,
    })
}

/// The length in a word's first line, which comes without its line end.
fn bulk_len(line: &[u8], limits: &Limits) -> Result<usize, ProtocolError> {
    let digits = match line {
        [b'$', digits @ ..] => digits,
        [other, ..] => return Err(ProtocolError::ExpectedDollar(*other)),
        // The line is only its end.
        [] => return Err(ProtocolError::ExpectedDollar(b'\r')),
    };
    let len = parse_i64(digits)
        .and_then(|len| usize::try_from(len).ok())
        .filter(|&len| len <= limits.bulk_bytes_max)
        .ok_or(ProtocolError::InvalidBulkLength)?;
    if len > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedBulk);
    }
    Ok(len)
}

/// Where the first `terminator` at or after `state.position` lies, once `terminator_bytes` are there from it on.
fn line_end(
    bytes: &[u8],
    state: &mut ParseState,
    terminator: u8,
    terminator_bytes: usize,
) -> Option<usize> {
    let from = state.position + state.scanned;
    let found = bytes
        .get(from..)?
        .iter()
        .position(|&byte| byte == terminator || byte == 0);
    let Some(offset) = found else {
        state.scanned = bytes.len() - state.position;
        return None;
    };
    // Should the answer be no, then the next call finds this byte again at once.
    state.scanned += offset;
    let at = from + offset;
    (bytes[at] == terminator && at + terminator_bytes <= bytes.len()).then_some(at)
}

/// The end of the line has not come: more bytes, or the verdict that it is too long.
fn wait_for_line(
    bytes: &[u8],
    state: &ParseState,
    limits: &Limits,
    too_big: ProtocolError,
) -> Result<Parsed, ProtocolError> {
    let is_at_terminator = bytes.get(state.position + state.scanned) == Some(&b'\r');
    if bytes.len().saturating_sub(state.position) > limits.inline_bytes_max && !is_at_terminator {
        return Err(too_big);
    }
    Ok(Parsed::Incomplete {
        needed_bytes_min: 1,
    })
}

fn parse_inline(
    bytes: &[u8],
    state: &mut ParseState,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<Parsed, ProtocolError> {
    let Some(newline) = line_end(bytes, state, b'\n', 1) else {
        return wait_for_line(bytes, state, limits, ProtocolError::TooBigInline);
    };
    let consumed = newline + 1;
    let line = &bytes[..newline];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        let args = split_quoted(line).ok_or(ProtocolError::UnbalancedQuotes)?;
        return Ok(Parsed::Inline { consumed, args });
    }
    split_plain(line, spans);
    Ok(if spans.is_empty() {
        Parsed::Empty { consumed }
    } else {
        Parsed::Request { consumed }
    })
}

/// Words of a line without quotes. Vertical tab and form feed separate words only before one, as in Redis.
fn split_plain(line: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    while at < line.len() {
        if is_space(line[at]) {
            at += 1;
            continue;
        }
        let len = line[at..]
            .iter()
            .position(|&byte| ends_word(byte))
            .unwrap_or(line.len() - at);
        spans.push(Span {
            start: at as u32,
            len: len as u32,
        });
        at += len;
    }
}

/// Words of a line with quotes: `"..."` knows escapes, `'...'` only `\'`; a closing quote must end its word.
pub fn split_quoted(line: &[u8]) -> Option<OwnedArgs> {
    let mut args = OwnedArgs::new();
    let mut word = Vec::new();
    let mut rest = line;
    loop {
        while let [first, after @ ..] = rest
            && is_space(*first)
        {
            rest = after;
        }
        if rest.is_empty() {
            return Some(args);
        }
        word.clear();
        while let [first, after @ ..] = rest
            && !ends_word(*first)
        {
            rest = match first {
                b'"' => double_quoted(after, &mut word)?,
                b'\'' => single_quoted(after, &mut word)?,
                byte => {
                    word.push(*byte);
                    after
                }
            };
            if matches!(first, b'"' | b'\'') {
                break;
            }
        }
        args.push(&word);
    }
}

/// Appends what stands before the closing `"`; returns what follows it.
fn double_quoted<'l>(mut rest: &'l [u8], word: &mut Vec<u8>) -> Option<&'l [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'"', after @ ..] => return after_quote(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

/// Appends what stands before the closing `'`; returns what follows it.
fn single_quoted<'l>(mut rest: &'l [u8], word: &mut Vec<u8>) -> Option<&'l [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\'', after @ ..] => return after_quote(after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn after_quote(rest: &[u8]) -> Option<&[u8]> {
    rest.first()
        .is_none_or(|&byte| is_space(byte))
        .then_some(rest)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        letter => (letter | 0x20) - b'a' + 10,
    }
}

/// C's `isspace`, which counts vertical tab and form feed.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
