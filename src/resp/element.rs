//! Replies read back: where an element ends, what is in an array. The router joins partial replies with these.
//!
//! Promises  any nesting in one loop; bytes that are no reply give `None`, as do bytes that are not all there.
//! Not here  requests: `resp/parse.rs`.
//! Tests     tests/resp/element.rs.

use crate::base::number::parse_i64;

/// The length in bytes of the first whole element of `bytes`, with all it contains. RESP2 and RESP3.
pub fn element_end(bytes: &[u8]) -> Option<usize> {
    let mut elements_left = 1u64;
    let mut at = 0;
    while elements_left > 0 {
        let head = read_head(bytes.get(at..)?)?;
        elements_left = (elements_left - 1).checked_add(head.elements_inside)?;
        at = at.checked_add(head.bytes)?;
    }
    (at <= bytes.len()).then_some(at)
}

/// Whether `element` is an error line.
pub fn is_error(element: &[u8]) -> bool {
    element.first() == Some(&b'-')
}

/// Whether `element` starts with nothing: a null of either protocol.
pub fn is_null(element: &[u8]) -> bool {
    [b"$-1\r\n".as_slice(), b"*-1\r\n", b"_\r\n"]
        .iter()
        .any(|null| element.starts_with(null))
}

/// The number of an integer reply.
pub fn read_integer(element: &[u8]) -> Option<i64> {
    match line_of(element)? {
        [b':', digits @ ..] => parse_i64(digits),
        _ => None,
    }
}

/// The bytes of a string reply; `None` for a null and for everything that is no string.
pub fn read_bulk(element: &[u8]) -> Option<&[u8]> {
    let line = line_of(element)?;
    let [b'$', digits @ ..] = line else {
        return None;
    };
    let len = usize::try_from(parse_i64(digits)?).ok()?;
    let start = line.len() + 2;
    element.get(start..start.checked_add(len)?)
}

/// The elements of an array, set or push; of a map, keys and values in turn. `None` for nulls and all other types.
pub fn elements(element: &[u8]) -> Option<Elements<'_>> {
    if !matches!(element.first()?, b'*' | b'~' | b'>' | b'%') {
        return None;
    }
    let line = line_of(element)?;
    let mut left = usize::try_from(parse_i64(&line[1..])?).ok()?;
    if line[0] == b'%' {
        left = left.checked_mul(2)?;
    }
    Some(Elements {
        rest: &element[line.len() + 2..],
        left,
    })
}

/// What [`elements`] iterates: each element's own bytes. Ends early if an element is not whole.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Elements<'a> {
    /// How many elements the head announces that were not taken yet.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The bytes from the next element on.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let (element, rest) = self.rest.split_at(element_end(self.rest)?);
        self.rest = rest;
        self.left -= 1;
        Some(element)
    }
}

struct Head {
    /// Bytes to step over: the line, and what a string holds.
    bytes: usize,
    /// Elements that belong to this one.
    elements_inside: u64,
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let line = line_of(bytes)?;
    let (&tag, text) = line.split_first()?;
    let line_bytes = line.len() + 2;
    let (bytes, elements_inside) = match tag {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => (line_bytes, 0),
        b'$' | b'=' | b'!' => match parse_i64(text)? {
            -1 => (line_bytes, 0),
            len => {
                let len = usize::try_from(len).ok()?;
                (line_bytes.checked_add(len)?.checked_add(2)?, 0)
            }
        },
        b'*' | b'~' | b'>' => match parse_i64(text)? {
            -1 => (line_bytes, 0),
            len => (line_bytes, u64::try_from(len).ok()?),
        },
        b'%' => {
            let pairs = u64::try_from(parse_i64(text)?).ok()?;
            (line_bytes, pairs.checked_mul(2)?)
        }
        // An attribute is a map in front of the element it describes.
        b'|' => {
            let pairs = u64::try_from(parse_i64(text)?).ok()?;
            (line_bytes, pairs.checked_mul(2)?.checked_add(1)?)
        }
        _ => return None,
    };
    Some(Head {
        bytes,
        elements_inside,
    })
}

/// The first line without its end; `None` where the end is not there.
fn line_of(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|&byte| byte == b'\r')?;
    (bytes.get(end + 1) == Some(&b'\n')).then(|| &bytes[..end])
}
