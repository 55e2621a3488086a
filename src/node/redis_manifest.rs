//! Redis's manifest: which files of its append-only directory count, and in which order.
//!
//!     file appendonly.aof.2.base.rdb seq 2 type b      the base: one at most, read first
//!     file appendonly.aof.5.incr.aof seq 5 type i      what came after it, in order of their numbers
//!     file appendonly.aof.4.incr.aof seq 4 type h      not needed any more
//!
//! Promises  what Redis does not start with is refused: a manifest that is damaged leads to other keys than there were.
//! Source    Redis 8's manifests, and what it says to damaged ones.
//! Tests     tests/node/redis_manifest.rs.

use super::option_values::split_words;

/// Bytes that a line may have, its end among them.
const LINE_BYTES_MAX: usize = 1024;
const UNREADABLE: &str = "is not made of words and values, `file`, `seq` and `type` among them";

/// The names of the files that count, in the order in which they are read.
///
/// - Errors: what is wrong, and in which line.
pub fn files_in(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("it is empty: nothing says which files count".into());
    }
    let (mut base, mut increments) = (None, Vec::new());
    let mut sequence_max = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let fail = |what: &str| format!("line {} {what}", index + 1);
        let line = read_line(line).map_err(fail)?;
        match line.kind {
            b'b' if base.is_some() => return Err(fail("names a second base")),
            b'b' => base = Some(line.name),
            b'i' if line.sequence <= sequence_max => {
                return Err(fail("has a number that is not above those before it"));
            }
            b'i' => {
                sequence_max = line.sequence;
                increments.push(line.name);
            }
            b'h' => {}
            _ => return Err(fail("is of a type that is not known: it is b, i or h")),
        }
    }
    Ok(base.into_iter().chain(increments).collect())
}

/// One file.
struct Line {
    name: String,
    sequence: i64,
    /// The first letter of its type.
    kind: u8,
}

fn read_line(line: &str) -> Result<Line, &'static str> {
    let is_whole = line.ends_with('\n') && line.len() <= LINE_BYTES_MAX;
    if !is_whole {
        return Err("has no end, or is too long");
    }
    let words = split_words(line.trim().as_bytes()).ok_or(UNREADABLE)?;
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(UNREADABLE);
    }
    // Words that are not known are those of later versions.
    let value = |name: &str| {
        let mut pairs = words.chunks(2).rev();
        let pair = pairs.find(|pair| pair[0].eq_ignore_ascii_case(name));
        pair.map(|pair| pair[1].clone()).ok_or(UNREADABLE)
    };
    let name = value("file")?;
    if name.contains('/') {
        return Err("has a path where the name of a file is to be");
    }
    let sequence = value("seq")?.parse().ok();
    let sequence = sequence.filter(|number| *number != 0);
    Ok(Line {
        name,
        sequence: sequence.ok_or("has no number for seq")?,
        kind: value("type")?.bytes().next().ok_or(UNREADABLE)?,
    })
}
