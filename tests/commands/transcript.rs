//! Transcripts: sessions recorded from a real server (`tests/transcripts/`; format in `record.py` there).

/// One line of a transcript that does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request and its reply.
    Request {
        /// Where it stands in the file, counted from 1.
        line: usize,
        /// The words.
        words: Vec<Vec<u8>>,
        /// The reply, an element a line.
        reply: Vec<String>,
        /// Whether the reply's elements may come in any order.
        is_unordered: bool,
    },
    /// Milliseconds pass.
    Wait(i64),
    /// Another database.
    Database(usize),
    /// Another protocol, 2 or 3.
    Protocol(u8),
    /// Another `maxmemory-policy`.
    Policy(String),
    /// Another `stream-node-max-entries`.
    NodeEntries(usize),
}

/// Reads a transcript; panics with the line where it is malformed.
pub fn parse_transcript(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut next_is_unordered = false;
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        match content.split_at_checked(2) {
            Some(("> ", request)) => steps.push(Step::Request {
                line,
                words: split_words(request),
                reply: Vec::new(),
                is_unordered: std::mem::take(&mut next_is_unordered),
            }),
            Some(("< ", element)) => match steps.last_mut() {
                Some(Step::Request { reply, .. }) => reply.push(element.to_string()),
                _ => panic!("line {line}: a reply without a request"),
            },
            Some(("@ ", directive)) => {
                let (name, value) = directive.split_once(' ').unwrap_or((directive, ""));
                match name {
                    "unordered" => next_is_unordered = true,
                    "by-hand" => {}
                    "wait" => steps.push(Step::Wait(value.parse().expect("milliseconds"))),
                    "db" => steps.push(Step::Database(value.parse().expect("a database"))),
                    "protocol" => steps.push(Step::Protocol(value.parse().expect("2 or 3"))),
                    "stream-node-max-entries" => {
                        steps.push(Step::NodeEntries(value.parse().expect("a number")));
                    }
                    "policy" => steps.push(Step::Policy(value.to_string())),
                    _ => panic!("line {line}: what is {content:?}?"),
                }
            }
            _ if content.is_empty() || content.starts_with('#') => {}
            _ => panic!("line {line}: what is {content:?}?"),
        }
    }
    for step in &steps {
        if let Step::Request { line, reply, .. } = step {
            assert!(!reply.is_empty(), "line {line}: a request without a reply");
        }
    }
    steps
}

/// Splits a line as redis-cli does: bare words, 'as they are', "with escapes".
pub fn split_words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        let mut word = Vec::new();
        match rest.first() {
            None => return words,
            Some(b'"') => {
                rest = &rest[1..];
                while rest[0] != b'"' {
                    let taken = match rest {
                        [b'\\', b'x', high, low, ..] => {
                            let digits = [*high, *low];
                            let digits = std::str::from_utf8(&digits).expect("two digits");
                            word.push(u8::from_str_radix(digits, 16).expect("two digits"));
                            4
                        }
                        [b'\\', mark, ..] => {
                            word.push(match mark {
                                b'n' => b'\n',
                                b'r' => b'\r',
                                b't' => b'\t',
                                b'b' => 8,
                                b'a' => 7,
                                other => *other,
                            });
                            2
                        }
                        _ => {
                            word.push(rest[0]);
                            1
                        }
                    };
                    rest = &rest[taken..];
                }
                rest = &rest[1..];
            }
            Some(b'\'') => {
                let end = rest[1..].iter().position(|&byte| byte == b'\'');
                let end = 1 + end.expect("a closing quote");
                word.extend_from_slice(&rest[1..end]);
                rest = &rest[end + 1..];
            }
            Some(_) => {
                let end = rest.iter().position(u8::is_ascii_whitespace);
                let (bare, after) = rest.split_at(end.unwrap_or(rest.len()));
                word.extend_from_slice(bare);
                rest = after;
            }
        }
        words.push(word);
    }
}

/// Reply bytes as the lines that a transcript has for them.
pub fn reply_lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n");
        let end = end.unwrap_or_else(|| panic!("a whole line in {bytes:?}"));
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 2..];
        match line.strip_prefix('$') {
            Some(length) if length != "-1" => {
                let length: usize = length.parse().expect("a length");
                assert_eq!(&bytes[length..length + 2], b"\r\n", "a bulk string ends");
                lines.push(quoted(&bytes[..length]));
                bytes = &bytes[length + 2..];
            }
            _ => lines.push(line),
        }
    }
    lines
}

/// A bulk string between quotes, every byte that does not print escaped.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            32..127 => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}

/// The same lines, the elements after the first sorted.
pub fn sorted_elements(mut lines: Vec<String>) -> Vec<String> {
    if let Some(elements) = lines.get_mut(1..) {
        elements.sort();
    }
    lines
}
