//! Replies to Lua values, and a script's result to a reply.
//!
//! | reply | Lua | | Lua | reply |
//! |---|---|---|---|---|
//! | integer | number | | number | integer, cut off |
//! | string | string | | string | string |
//! | array, null in RESP2 | table, `false` | | table | array up to the first nil |
//! | `+OK`, `-ERR x` | `{ok=}`, `{err=}` | | `{ok=}`, `{err=}` | status, error |
//! | map, set, double … (RESP3) | `{map=}` `{set=}` `{double=}` | | the same | the same, or what RESP2 has for it |

use super::Frame;
use crate::base::number::{parse_f64, parse_i64};
use crate::lua::Kind;
use crate::resp::{Protocol, Reply};

/// Pushes the Lua value of the first reply in `bytes`; returns what follows it.
///
/// `bytes` are a whole reply of our own handlers; what is not is a bug.
pub(super) fn push_reply<'b>(frame: &mut Frame<'_>, bytes: &'b [u8]) -> &'b [u8] {
    let (head, rest) = split_line(bytes);
    let (tag, text) = (head[0], &head[1..]);
    let count = || parse_i64(text).expect("a reply's length");
    match tag {
        b':' => {
            let number =
                parse_i64(text).map_or_else(|| parse_f64(text), |number| Some(number as f64));
            frame.push_number(number.expect("an integer reply"));
        }
        b'$' => {
            let Ok(len) = usize::try_from(count()) else {
                frame.push_boolean(false);
                return rest;
            };
            frame.push_bytes(&rest[..len]);
            return &rest[len + 2..];
        }
        b'+' => {
            frame.push_table(0, 1);
            frame.push_bytes(text);
            frame.set_field(-2, b"ok");
        }
        b'-' => {
            push_error(frame, head);
            frame.push_boolean(true);
            frame.set_field(-2, COUNTED);
        }
        b'*' | b'>' => {
            let Ok(len) = usize::try_from(count()) else {
                frame.push_boolean(false);
                return rest;
            };
            make_room(frame);
            frame.push_table(len, 0);
            let mut rest = rest;
            for index in 1..=len {
                rest = push_reply(frame, rest);
                frame.set_element(-2, index as i32);
            }
            return rest;
        }
        b'%' => {
            let len = count() as usize;
            make_room(frame);
            frame.push_table(0, 1);
            frame.push_table(0, len);
            let mut rest = rest;
            for _ in 0..len {
                rest = push_reply(frame, rest);
                rest = push_reply(frame, rest);
                frame.set(-3);
            }
            frame.set_field(-2, b"map");
            return rest;
        }
        b'~' => {
            let len = count() as usize;
            make_room(frame);
            frame.push_table(0, 1);
            frame.push_table(0, len);
            let mut rest = rest;
            for _ in 0..len {
                rest = push_reply(frame, rest);
                frame.push_boolean(true);
                frame.set(-3);
            }
            frame.set_field(-2, b"set");
            return rest;
        }
        b'_' => frame.push_nil(),
        b'#' => frame.push_boolean(text == b"t"),
        b',' => {
            frame.push_table(0, 1);
            frame.push_number(parse_f64(text).unwrap_or(f64::NAN));
            frame.set_field(-2, b"double");
        }
        b'(' => {
            frame.push_table(0, 1);
            frame.push_bytes(text);
            frame.set_field(-2, b"big_number");
        }
        b'=' => {
            let len = count() as usize;
            frame.push_table(0, 1);
            frame.push_table(0, 2);
            frame.push_bytes(&rest[4..len]);
            frame.set_field(-2, b"string");
            frame.push_bytes(&rest[..3]);
            frame.set_field(-2, b"format");
            frame.set_field(-2, b"verbatim_string");
            return &rest[len + 2..];
        }
        b'|' => {
            // Said beside the reply; scripts do not see it.
            let mut rest = rest;
            for _ in 0..count() * 2 {
                rest = push_reply(frame, rest);
                frame.pop(1);
            }
            return push_reply(frame, rest);
        }
        other => unreachable!("no reply begins with {other}"),
    }
    rest
}

/// The mark of an error that the command's own statistics have counted.
pub(super) const COUNTED: &[u8] = b"ignore_error_stats_update";

/// Replies nest a few levels; Lua's stack has thousands.
fn make_room(frame: &mut Frame<'_>) {
    let has_room = frame.has_room(8);
    assert!(has_room, "a reply nested beyond Lua's stack");
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\r')
        .expect("a whole reply");
    (&bytes[..end], &bytes[end + 2..])
}

/// Pushes the table that stands for an error: `{err='CODE text'}`.
///
/// `-CODE text` names its code; any other text gets `ERR`. Line ends at its edges go.
pub(super) fn push_error(frame: &mut Frame<'_>, text: &[u8]) {
    let (code, message): (&[u8], &[u8]) = match text.strip_prefix(b"-") {
        None => (b"ERR", text),
        Some(text) => match text.iter().position(|&byte| byte == b' ') {
            None => (b"ERR", text),
            Some(at) => (&text[..at], &text[at + 1..]),
        },
    };
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = message.iter().take_while(|byte| is_end(byte)).count();
    let end = message
        .iter()
        .rposition(|byte| !is_end(byte))
        .map_or(start, |last| last + 1);
    let text = [code, b" ", until_zero(&message[start..end])].concat();
    frame.push_table(0, 4);
    frame.push_bytes(&text);
    frame.set_field(-2, b"err");
}

/// Redis hands some texts on as C strings.
pub(super) fn until_zero(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    &text[..end]
}

/// A double as Redis cuts it off to an integer; what is out of range is the smallest one, as x86 has it.
pub(super) fn to_integer(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// A table whose elements are being written.
struct Open {
    kind: Container,
    /// Where its first element starts in the output.
    start: usize,
    written: usize,
}

enum Container {
    Array,
    /// Whether a value comes next, not a key.
    Map {
        is_value: bool,
    },
    Set,
}

/// Writes the value on top of the stack as a reply, and takes it off.
///
/// - `reply`: in the client's protocol.
/// - `script_protocol`: what `redis.setresp` chose; it decides what booleans mean.
/// - Cost: no recursion, however deep tables nest; Lua's stack ends at 8,000 values, and what is deeper is an error.
pub(super) fn write_value(frame: &mut Frame<'_>, reply: &mut Reply<'_>, script_protocol: Protocol) {
    let mut open: Vec<Open> = Vec::new();
    let mut has_value = true;
    loop {
        if has_value && let Some(container) = write_or_open(frame, reply, script_protocol) {
            open.push(Open {
                kind: container,
                start: reply.len(),
                written: 0,
            });
        }
        // The next element of the innermost table, or its end.
        let Some(table) = open.last_mut() else { return };
        match &mut table.kind {
            Container::Array => {
                frame.push_element(-1, table.written as i32 + 1);
                if frame.kind(-1) != Kind::Nil {
                    table.written += 1;
                    has_value = true;
                    continue;
                }
                // The nil and the table.
                frame.pop(2);
                let (start, written) = (table.start, table.written);
                reply.array_since(start, written);
            }
            Container::Map { is_value: true } => {
                // Map, key, value: the value stayed below the copy of the key that was just written.
                table.kind = Container::Map { is_value: false };
                table.written += 1;
                has_value = true;
                continue;
            }
            Container::Map { is_value } => {
                if frame.next(-2) {
                    // Map, key, value, and the key once more, to be written first.
                    *is_value = true;
                    frame.push_copy(-2);
                    has_value = true;
                    continue;
                }
                frame.pop(1);
                let (start, written) = (table.start, table.written);
                reply.map_since(start, written);
            }
            Container::Set => {
                if frame.next(-2) {
                    frame.pop(1);
                    frame.push_copy(-1);
                    table.written += 1;
                    has_value = true;
                    continue;
                }
                frame.pop(1);
                let (start, written) = (table.start, table.written);
                reply.set_since(start, written);
            }
        }
        open.pop();
        has_value = false;
    }
}

/// Writes a value that is no container and takes it off; of a container says which, and leaves it on the stack.
///
/// Of a map or set it leaves the table of its elements, and above it the key to go on from (nil).
fn write_or_open(
    frame: &mut Frame<'_>,
    reply: &mut Reply<'_>,
    script_protocol: Protocol,
) -> Option<Container> {
    if !frame.has_room(4) {
        reply.error("ERR reached lua stack limit");
        frame.pop(1);
        return None;
    }
    match frame.kind(-1) {
        Kind::String => reply.bulk(frame.bytes(-1).expect("a string")),
        Kind::Boolean => match (script_protocol, frame.truth(-1)) {
            (Protocol::Resp2, true) => reply.integer(1),
            (Protocol::Resp2, false) => reply.null(),
            (Protocol::Resp3, value) => reply.boolean(value),
        },
        Kind::Number => reply.integer(to_integer(frame.number(-1).unwrap_or(0.0))),
        Kind::Table => return write_or_open_table(frame, reply),
        _ => reply.null(),
    }
    frame.pop(1);
    None
}

fn write_or_open_table(frame: &mut Frame<'_>, reply: &mut Reply<'_>) -> Option<Container> {
    let is_plain = frame.has_only_elements(-1);
    if is_plain {
        return Some(Container::Array);
    }
    let field = |frame: &mut Frame<'_>, name: &[u8], kind: Kind| {
        frame.push_field(-1, name);
        let is_there = frame.kind(-1) == kind;
        if !is_there {
            frame.pop(1);
        }
        is_there
    };
    if field(frame, b"err", Kind::String) {
        let text = frame.bytes(-1).expect("a string");
        reply.error_bytes(until_zero(text));
        frame.pop(2);
    } else if field(frame, b"ok", Kind::String) {
        reply.simple_bytes(until_zero(frame.bytes(-1).expect("a string")));
        frame.pop(2);
    } else if field(frame, b"double", Kind::Number) {
        reply.double(frame.number(-1).expect("a number"));
        frame.pop(2);
    } else if field(frame, b"big_number", Kind::String) {
        let text = frame.bytes(-1).expect("a string");
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let line: Vec<u8> = text
            .iter()
            .map(|byte| if is_end(byte) { b' ' } else { *byte })
            .collect();
        reply.big_number(&line);
        frame.pop(2);
    } else if write_verbatim(frame, reply) {
        frame.pop(1);
    } else if field(frame, b"map", Kind::Table) {
        frame.remove_below();
        frame.push_nil();
        return Some(Container::Map { is_value: false });
    } else if field(frame, b"set", Kind::Table) {
        frame.remove_below();
        frame.push_nil();
        return Some(Container::Set);
    } else {
        return Some(Container::Array);
    }
    None
}

/// `{verbatim_string={format=, string=}}`; leaves the stack as it was.
fn write_verbatim(frame: &mut Frame<'_>, reply: &mut Reply<'_>) -> bool {
    frame.push_field(-1, b"verbatim_string");
    if frame.kind(-1) != Kind::Table {
        frame.pop(1);
        return false;
    }
    frame.push_field(-1, b"format");
    frame.push_field(-2, b"string");
    let is_one = frame.kind(-2) == Kind::String && frame.kind(-1) == Kind::String;
    if is_one {
        let format = until_zero(frame.bytes(-2).expect("a string"));
        reply.verbatim(format, frame.bytes(-1).expect("a string"));
    }
    frame.pop(3);
    is_one
}
