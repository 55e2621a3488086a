//! Writes replies as RESP2 or RESP3 into a connection's output.
//!
//! Promises  every call appends whole elements; what RESP2 lacks is written as Redis writes it there.
//! Source    the RESP specification; RESP3 (antirez/RESP3).
//! Tests     tests/resp/reply.rs: golden bytes in both protocols.

use crate::base::long_copy;
use crate::base::number::{F64_TEXT_BYTES_MAX, write_f64, write_i64_before, write_u64_before};

/// Which version of the wire a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, what a connection starts with.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Appends reply elements to `out`.
pub struct Reply<'o> {
    out: &'o mut Vec<u8>,
    protocol: Protocol,
}

impl<'o> Reply<'o> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'o mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status line. A line end inside would break the protocol, so it becomes a space.
    pub fn simple(&mut self, text: &str) {
        self.simple_bytes(text.as_bytes());
    }

    /// As [`Reply::simple`], for a text that may be no UTF-8.
    pub fn simple_bytes(&mut self, text: &[u8]) {
        self.out.push(b'+');
        self.line(text);
    }

    /// An error line, code first: `ERR no such key`. Line ends at its edges go, those inside become spaces.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// As [`Reply::error`], for a text that repeats what a client sent, which may be no UTF-8.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(is_text).unwrap_or(text.len());
        let end = text
            .iter()
            .rposition(is_text)
            .map_or(start, |last| last + 1);
        self.out.push(b'-');
        self.line(&text[start..end]);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        if (0..100).contains(&number) {
            return self.header(b':', number as usize);
        }
        let mut line = *b"......................\r\n";
        let start = write_i64_before(&mut line, 22, number) - 1;
        line[start] = b':';
        self.out.extend_from_slice(&line[start..]);
    }

    /// An integer of 64 bits without a sign.
    #[inline]
    pub fn unsigned(&mut self, number: u64) {
        match i64::try_from(number) {
            Ok(number) => self.integer(number),
            Err(_) => self
                .out
                .extend_from_slice(format!(":{number}\r\n").as_bytes()),
        }
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.bulk_inlined(bytes);
    }

    /// The same for GET, whose reply is one.
    #[inline(always)]
    pub fn bulk_inlined(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        if bytes.len() < 100 {
            self.short_header(b'$', bytes.len());
            self.out.extend_from_slice(bytes);
        } else {
            self.header(b'$', bytes.len());
            long_copy::append(self.out, bytes);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// A string of so many bytes, without them; where they belong in what is written to.
    pub fn bulk_without(&mut self, bytes_count: usize) -> usize {
        self.header(b'$', bytes_count);
        let at = self.out.len();
        self.out.extend_from_slice(b"\r\n");
        at
    }

    /// An integer as a string: `$2` `42`.
    #[inline]
    pub fn bulk_int(&mut self, number: i64) {
        // Text, then its length before it: one line on the stack, one append.
        let mut line = *b"..............................\r\n";
        let end = line.len() - 2;
        let text_start = write_i64_before(&mut line, end, number);
        let length = (end - text_start) as u8;
        let mut start = text_start - 3;
        line[start..text_start].copy_from_slice(&[b'0' + length % 10, b'\r', b'\n']);
        if length >= 10 {
            start -= 1;
            line[start] = b'0' + length / 10;
        }
        start -= 1;
        line[start] = b'$';
        self.out.extend_from_slice(&line[start..]);
    }

    /// Nothing: a missing key or field.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n".as_slice(),
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Nothing where an array could have been.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n".as_slice(),
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array; `len` elements must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// The head of a map; `pairs` times a key and a value must follow. RESP2: an array of both.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs * 2),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// Puts the head of an array before the `len` elements written since the output had `start` bytes.
    ///
    /// - Cost: moves what was written since.
    pub fn array_since(&mut self, start: usize, len: usize) {
        self.head_since(start, |reply| reply.array(len));
    }

    /// The same for a map of `pairs` times a key and a value. RESP2: an array of both.
    pub fn map_since(&mut self, start: usize, pairs: usize) {
        self.head_since(start, |reply| reply.map(pairs));
    }

    /// The same for a set of `len` elements. RESP2: an array.
    pub fn set_since(&mut self, start: usize, len: usize) {
        self.head_since(start, |reply| reply.set(len));
    }

    fn head_since(&mut self, start: usize, write: impl FnOnce(&mut Self)) {
        let end = self.out.len();
        write(self);
        let head_bytes = self.out.len() - end;
        self.out[start..].rotate_right(head_bytes);
    }

    /// The head of a set; `len` elements must follow. RESP2: an array.
    pub fn set(&mut self, len: usize) {
        self.header_by_protocol(b'~', len);
    }

    /// The head of a message nobody asked for on this line; `len` elements must follow. RESP2: an array.
    pub fn push(&mut self, len: usize) {
        self.header_by_protocol(b'>', len);
    }

    /// The head of what is said beside the reply that follows; `pairs` times a key and a value come first. RESP3 only.
    pub fn attribute(&mut self, pairs: usize) {
        self.header(b'|', pairs);
    }

    /// True or false. RESP2: 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// A double in its shortest text. RESP2: a string.
    pub fn double(&mut self, number: f64) {
        // Most are whole numbers, which need no digits found; -0 is written as such.
        let whole = number as i64;
        let is_plain = whole.unsigned_abs() < 1 << 53 && whole as f64 == number;
        if self.protocol == Protocol::Resp2 && is_plain && (whole != 0 || number.is_sign_positive())
        {
            return self.bulk_int(whole);
        }
        let mut text = [0; F64_TEXT_BYTES_MAX];
        let text = write_f64(&mut text, number);
        self.typed_text(b',', text);
    }

    /// An integer of any size, as decimal text. RESP2: a string.
    pub fn big_number(&mut self, text: &[u8]) {
        self.typed_text(b'(', text);
    }

    /// Text for people, with its `format`: three letters such as `txt`, cut or padded with spaces. RESP2: a string.
    pub fn verbatim(&mut self, format: &[u8], text: &[u8]) {
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        let mut tag = *b"   :";
        for (slot, byte) in tag[..3].iter_mut().zip(format) {
            *slot = *byte;
        }
        self.out.reserve(text.len() + 28);
        self.header(b'=', text.len() + tag.len());
        self.out.extend_from_slice(&tag);
        long_copy::append(self.out, text);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Elements that are already on the wire's form, for example another core's reply.
    #[inline]
    pub fn raw(&mut self, elements: &[u8]) {
        long_copy::append(self.out, elements);
    }

    /// Cuts the output back to `len` bytes, a value of [`Reply::len`] from before: a handler failed after writing.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Takes what was written since the output had `len` bytes.
    pub fn take_since(&mut self, len: usize) -> Vec<u8> {
        self.out.split_off(len)
    }

    /// Bytes in the output, those of earlier replies included.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the output holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The protocol replies are written in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn header_by_protocol(&mut self, resp3_tag: u8, len: usize) {
        let tag = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => resp3_tag,
        };
        self.header(tag, len);
    }

    /// `tag`, a length, the line end.
    fn header(&mut self, tag: u8, len: usize) {
        if len < 100 {
            return self.short_header(tag, len);
        }
        let mut line = *b"......................\r\n";
        let start = write_u64_before(&mut line, 22, len as u64) - 1;
        line[start] = tag;
        self.out.extend_from_slice(&line[start..]);
    }

    /// The same for a length under 100: a store from a register, of which what is too much is cut off.
    #[inline(always)]
    fn short_header(&mut self, tag: u8, len: usize) {
        debug_assert!(len < 100, "two digits");
        let (tens, ones) = (len as u64 / 10, len as u64 % 10);
        let line_end = u64::from(u16::from_le_bytes(*b"\r\n"));
        let digits = match len {
            0..10 => (u64::from(b'0') + ones) | line_end << 8,
            _ => (u64::from(b'0') + tens) | (u64::from(b'0') + ones) << 8 | line_end << 16,
        };
        let end = self.out.len() + 4 + usize::from(len >= 10);
        (self.out).extend_from_slice(&(u64::from(tag) | digits << 8).to_le_bytes());
        self.out.truncate(end);
    }

    /// RESP3's one-line types, strings in RESP2.
    fn typed_text(&mut self, tag: u8, text: &[u8]) {
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        self.out.push(tag);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, text: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(text);
        for byte in &mut self.out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }
}
