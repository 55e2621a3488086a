//! `cjson.decode`: JSON to Lua values, with lua-cjson's messages and leniencies.
//!
//! A byte of zero is the end, wherever it stands. Numbers are what C's `strtod` reads: unless `decode_invalid_numbers` is
//! off, hexadecimal ones, leading zeros, infinities and NaN among them.
//!
//! Source    the manual of lua-cjson 2.1.0; RFC 8259.

use super::json::options;
use super::{Frame, Thrown};
use crate::lua::number_prefix;

type Result<T> = std::result::Result<T, Thrown>;

/// A token and where it starts.
struct Token {
    kind: Kind,
    start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// The text is in `Reader::text`.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(text) => text,
        }
    }
}

struct Reader<'j> {
    json: &'j [u8],
    at: usize,
    allows_invalid: bool,
    text: Vec<u8>,
}

/// A container whose elements are being read; its table is on the stack, and an object's key above it.
enum Open {
    Array { next: i32 },
    Object,
}

/// `cjson.decode(text)`.
pub(super) fn decode(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() != 1 {
        return Err(frame.argument_error(1, "expected 1 argument"));
    }
    let json = frame.check_bytes(1)?;
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        return Err(frame.error("JSON parser does not support UTF-16 or UTF-32"));
    }
    let options = options(frame);
    let depth_max = options.decode_depth_max as usize;
    let mut reader = Reader {
        json,
        at: 0,
        allows_invalid: options.decode_invalid,
        text: Vec::new(),
    };
    read_value(frame, &mut reader, depth_max)?;
    let token = reader.next();
    if token.kind != Kind::End {
        return Err(unexpected(frame, "the end", &token));
    }
    Ok(1)
}

#[cold]
fn unexpected(frame: &mut Frame<'_>, expected: &str, token: &Token) -> Thrown {
    let text = format!(
        "Expected {expected} but found {} at character {}",
        token.kind.name(),
        token.start + 1
    );
    frame.error(text)
}

/// Pushes the value that comes next, however deep it nests, without recursion.
fn read_value(frame: &mut Frame<'_>, reader: &mut Reader<'_>, depth_max: usize) -> Result<()> {
    let mut open: Vec<Open> = Vec::new();
    let mut token = reader.next();
    loop {
        frame.check_memory()?;
        let is_whole = match token.kind {
            Kind::String => {
                frame.push_bytes(&reader.text);
                true
            }
            Kind::Number(number) => {
                frame.push_number(number);
                true
            }
            Kind::Boolean(value) => {
                frame.push_boolean(value);
                true
            }
            Kind::Null => {
                frame.push_null_pointer();
                true
            }
            Kind::ObjectBegin | Kind::ArrayBegin => {
                let depth = open.len() + 1;
                // The table, in an object the key, and a value or what is thrown: as many as lua-cjson asks for.
                let is_array = token.kind == Kind::ArrayBegin;
                let room = if is_array { 2 } else { 3 };
                if depth > depth_max || !frame.has_room(room) {
                    let text = format!(
                        "Found too many nested data structures ({depth}) at character {}",
                        reader.at
                    );
                    return Err(frame.error(text));
                }
                frame.push_table(0, 0);
                token = reader.next();
                match (is_array, token.kind) {
                    (true, Kind::ArrayEnd) | (false, Kind::ObjectEnd) => true,
                    (true, _) => {
                        open.push(Open::Array { next: 1 });
                        false
                    }
                    (false, _) => {
                        open.push(Open::Object);
                        read_key(frame, reader, &token)?;
                        token = reader.next();
                        false
                    }
                }
            }
            _ => return Err(unexpected(frame, "value", &token)),
        };
        if !is_whole {
            continue;
        }
        // The value on top goes into what it belongs to, and so on outwards, until one has another value to come.
        loop {
            let Some(container) = open.last_mut() else {
                return Ok(());
            };
            match container {
                Open::Array { next } => {
                    frame.set_element(-2, *next);
                    *next += 1;
                    token = reader.next();
                    match token.kind {
                        Kind::ArrayEnd => {}
                        Kind::Comma => break,
                        _ => return Err(unexpected(frame, "comma or array end", &token)),
                    }
                }
                Open::Object => {
                    frame.set(-3);
                    token = reader.next();
                    match token.kind {
                        Kind::ObjectEnd => {}
                        Kind::Comma => {
                            token = reader.next();
                            read_key(frame, reader, &token)?;
                            break;
                        }
                        _ => return Err(unexpected(frame, "comma or object end", &token)),
                    }
                }
            }
            open.pop();
        }
        token = reader.next();
    }
}

/// Pushes the key that `token` is, and reads the colon.
fn read_key(frame: &mut Frame<'_>, reader: &mut Reader<'_>, token: &Token) -> Result<()> {
    if token.kind != Kind::String {
        return Err(unexpected(frame, "object key string", token));
    }
    frame.push_bytes(&reader.text);
    let token = reader.next();
    if token.kind != Kind::Colon {
        return Err(unexpected(frame, "colon", &token));
    }
    Ok(())
}

impl Reader<'_> {
    /// The byte at a place; 0 behind the end, as in C.
    fn byte(&self, at: usize) -> u8 {
        self.json.get(at).copied().unwrap_or(0)
    }

    fn starts_with(&self, word: &[u8]) -> bool {
        self.json[self.at.min(self.json.len())..].starts_with(word)
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let start = self.at;
        let byte = self.byte(start);
        let kind = match byte {
            b'{' => Kind::ObjectBegin,
            b'}' => Kind::ObjectEnd,
            b'[' => Kind::ArrayBegin,
            b']' => Kind::ArrayEnd,
            b',' => Kind::Comma,
            b':' => Kind::Colon,
            0 => {
                return Token {
                    kind: Kind::End,
                    start,
                };
            }
            b'"' => return self.string(start),
            b'-' | b'0'..=b'9' => {
                if !self.allows_invalid && self.is_invalid_number() {
                    return self.fault("invalid number");
                }
                return self.number(start);
            }
            _ => return self.word(start),
        };
        self.at += 1;
        Token { kind, start }
    }

    fn fault(&self, text: &'static str) -> Token {
        Token {
            kind: Kind::Error(text),
            start: self.at,
        }
    }

    fn word(&mut self, start: usize) -> Token {
        let words: [(&[u8], Kind); 3] = [
            (b"true", Kind::Boolean(true)),
            (b"false", Kind::Boolean(false)),
            (b"null", Kind::Null),
        ];
        for (word, kind) in words {
            if self.starts_with(word) {
                self.at += word.len();
                return Token { kind, start };
            }
        }
        let may_be_number = matches!(self.byte(start), b'i' | b'I' | b'n' | b'N' | b'+');
        if may_be_number && self.allows_invalid && self.is_invalid_number() {
            return self.number(start);
        }
        self.fault("invalid token")
    }

    fn number(&mut self, start: usize) -> Token {
        let (number, bytes) = number_prefix(&self.json[start..]);
        if bytes == 0 {
            return self.fault("invalid number");
        }
        self.at += bytes;
        Token {
            kind: Kind::Number(number),
            start,
        }
    }

    /// Whether what `strtod` might read here is none of JSON's numbers.
    fn is_invalid_number(&self) -> bool {
        if self.byte(self.at) == b'+' {
            return true;
        }
        let at = self.at + usize::from(self.byte(self.at) == b'-');
        let byte = self.byte(at);
        if byte == b'0' {
            let second = self.byte(at + 1);
            return second | 0x20 == b'x' || second.is_ascii_digit();
        }
        // Bytes from 0x80 on are negative there.
        if byte <= b'9' || byte >= 0x80 {
            return false;
        }
        let word = [byte, self.byte(at + 1), self.byte(at + 2)];
        word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
    }

    fn string(&mut self, start: usize) -> Token {
        self.at += 1;
        self.text.clear();
        loop {
            // Most of a string is plain.
            let rest = &self.json[self.at.min(self.json.len())..];
            let plain = rest
                .iter()
                .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0))
                .count();
            self.text.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.byte(self.at) {
                b'"' => {
                    self.at += 1;
                    return Token {
                        kind: Kind::String,
                        start,
                    };
                }
                b'\\' => {
                    let byte = match self.byte(self.at + 1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => 0x08,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 0x0c,
                        b'r' => b'\r',
                        b'u' => {
                            if self.unicode().is_none() {
                                return self.fault("invalid unicode escape code");
                            }
                            continue;
                        }
                        _ => return self.fault("invalid escape code"),
                    };
                    self.text.push(byte);
                    self.at += 2;
                }
                _ => return self.fault("unexpected end of string"),
            }
        }
    }

    /// A `\uXXXX`, or two that are a pair; appended as UTF-8.
    fn unicode(&mut self) -> Option<()> {
        let first = self.hex4(self.at + 2)?;
        let mut bytes = 6;
        let mut code = first;
        if first & 0xf800 == 0xd800 {
            let is_pair = first & 0x400 == 0
                && self.byte(self.at + 6) == b'\\'
                && self.byte(self.at + 7) == b'u';
            let second = if is_pair {
                self.hex4(self.at + 8)?
            } else {
                return None;
            };
            if second & 0xfc00 != 0xdc00 {
                return None;
            }
            code = ((first & 0x3ff) << 10 | second & 0x3ff) + 0x1_0000;
            bytes = 12;
        }
        let mut utf8 = [0; 4];
        let text = char::from_u32(code)?.encode_utf8(&mut utf8);
        self.text.extend_from_slice(text.as_bytes());
        self.at += bytes;
        Some(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        (at..at + 4).try_fold(0, |code, at| {
            let digit = char::from(self.byte(at)).to_digit(16)?;
            Some(code << 4 | digit)
        })
    }
}
