//! Effects: what changed, as commands in RESP.
//!
//!     *2 $6 SELECT $1 3      another database from here on
//!     *3 $3 SET $1 k $1 v    a command on it
//!
//! Promises  what was appended is read back word for word; anything else is [`Malformed`], never a panic. A request is
//!           appended as it came, so the bytes that end a line's `\r` and a word are skipped unread here as they are there.
//! Tests     tests/persist/effects.rs.

use crate::base::number::parse_i64;
use crate::resp::Span;

const SELECT: &[u8] = b"SELECT";
/// Words of one command at most: more than any client may send.
const WORDS_MAX: i64 = 1 << 32;

/// Appends a command.
#[inline]
pub fn append<'w>(out: &mut impl Sink, words: impl ExactSizeIterator<Item = &'w [u8]>) {
    length(out, b'*', words.len());
    for word in words {
        length(out, b'$', word.len());
        out.put(word);
        out.put(b"\r\n");
    }
}

/// Appends the change to another database.
pub fn append_select(out: &mut impl Sink, db: u16) {
    let number = db.to_string();
    append(out, [SELECT, number.as_bytes()].into_iter());
}

/// What effects are appended to.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for super::BlockBuffer {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend(bytes);
    }
}

#[inline]
fn length(out: &mut impl Sink, mark: u8, length: usize) {
    if length < 10 {
        return out.put(&[mark, b'0' + length as u8, b'\r', b'\n']);
    }
    let mut text = [0u8; 24];
    let mut at = text.len() - 2;
    text[at..].copy_from_slice(b"\r\n");
    let mut rest = length;
    while rest > 0 {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    at -= 1;
    text[at] = mark;
    out.put(&text[at..]);
}

/// Bytes that are no effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One of the effects.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// What follows is on this database.
    Select(u16),
    /// A command; its words are in the reader's spans.
    Command,
}

/// Reads effects one after the other.
pub struct Effects<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Words of the last command, in the bytes given.
    pub spans: Vec<Span>,
}

impl<'b> Effects<'b> {
    /// Effects in `bytes`, which are fewer than 4 GiB from the first word to the last of one command.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            spans: Vec::new(),
        }
    }

    /// The next effect, and the bytes that [`Effects::spans`] are of: from its beginning on.
    pub fn read(&mut self) -> Result<Option<(Effect, &'b [u8])>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let begin = self.at;
        let count = self.number(b'*')?;
        if count < 1 {
            return Err(Malformed);
        }
        self.spans.clear();
        for _ in 0..count {
            let length = usize::try_from(self.number(b'$')?).map_err(|_| Malformed)?;
            let end = self.at.checked_add(length).ok_or(Malformed)?;
            if end.checked_add(2).is_none_or(|end| end > self.bytes.len()) {
                return Err(Malformed);
            }
            self.spans.push(Span {
                start: u32::try_from(self.at - begin).map_err(|_| Malformed)?,
                len: u32::try_from(length).map_err(|_| Malformed)?,
            });
            self.at = end + 2;
        }
        let bytes = &self.bytes[begin..self.at];
        let word = |index: usize| {
            let span: Span = self.spans[index];
            &bytes[span.start as usize..(span.start + span.len) as usize]
        };
        if count == 2 && word(0) == SELECT {
            let db = parse_i64(word(1)).and_then(|db| u16::try_from(db).ok());
            return Ok(Some((Effect::Select(db.ok_or(Malformed)?), bytes)));
        }
        Ok(Some((Effect::Command, bytes)))
    }

    fn number(&mut self, mark: u8) -> Result<i64, Malformed> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(24).position(|&byte| byte == b'\r');
        let end = end.ok_or(Malformed)?;
        if rest[0] != mark || end + 1 == rest.len() {
            return Err(Malformed);
        }
        let number = parse_i64(&rest[1..end]).ok_or(Malformed)?;
        if !(0..=WORDS_MAX).contains(&number) {
            return Err(Malformed);
        }
        self.at += end + 2;
        Ok(number)
    }
}
