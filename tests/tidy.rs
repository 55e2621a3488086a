//! What everything else leans on: layers point one way, unsafe stays in its rooms, files have one subject.
//!
//! Reads the text of `src`, so a room that does not build is checked all the same.

use std::path::{Path, PathBuf};

/// Rooms, lowest first. A room may name rooms of lower levels and itself; rooms of one level do not know each other.
const LEVELS: &[&[&str]] = &[
    &["base"],
    &["ds", "lua", "resp"],
    &["keyspace"],
    &["commands", "persist", "script", "replica"],
    &["router"],
    &["shard"],
    &["node"],
];

/// Where `unsafe` may be written: a directory with its files, or one file.
const UNSAFE_ROOMS: &[&str] = &[
    "src/ds/",
    "src/lua/",
    "src/node/local_time.rs",
    "src/node/removal.rs",
    "src/node/ring/",
    "src/node/time_slice.rs",
];

/// Rooms that say `#![forbid(unsafe_code)]` in their `mod.rs`.
const FORBIDS_UNSAFE: &[&str] = &[
    "base", "resp", "keyspace", "commands", "persist", "script", "replica", "router", "shard",
];

/// A file longer than this has two subjects.
const FILE_LINES_MAX: usize = 1_200;

/// What must not be left behind. Spelled in two halves so that this file may be read by its own kind.
const LEFT_BEHIND: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("un", "implemented!("),
];

struct Source {
    /// From the repository's root, `/` between names.
    path: String,
    text: String,
}

impl Source {
    /// `keyspace` for `src/keyspace/value.rs` and `src/keyspace.rs`, `main` for `src/main.rs`.
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let end = inside.find(['/', '.']).unwrap_or(inside.len());
        &inside[..end]
    }

    /// Lines with their numbers, without what follows `//`.
    ///
    /// Good enough for a reader of words: a `//` in a string only hides what stands behind it.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(root, &root.join("src"), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 50, "only {} files found", found.len());
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    let entries = std::fs::read_dir(directory).expect("src can be listed");
    let paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            let path = path
                .strip_prefix(root)
                .expect("below the root")
                .display()
                .to_string();
            found.push(Source { path, text });
        }
    }
}

fn level_of(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// Rooms that a line names after `crate::`, the members of a group `crate::{...}` included.
fn rooms_named(code: &str) -> Vec<&str> {
    let is_word = |byte: char| byte.is_alphanumeric() || byte == '_';
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            for member in group.split_inclusive([',', '{', '}']) {
                if depth == 0 {
                    rooms.push(first_word(member.trim_start()));
                }
                depth += i32::from(member.ends_with('{')) - i32::from(member.ends_with('}'));
                if depth < 0 {
                    break;
                }
            }
        } else {
            rooms.push(first_word(rest));
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

fn first_word(text: &str) -> &str {
    let end = text
        .find(|byte: char| !byte.is_alphanumeric() && byte != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// `src/ds/dict.rs:3: ds may not use commands` for each use that points up or sideways.
fn layer_faults(source: &Source) -> Vec<String> {
    let room = source.room();
    let Some(level) = level_of(room) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    // A `use crate::{` may run over lines: join from `use` to `;`.
    let mut statement: Option<(usize, String)> = None;
    for (number, code) in source.code_lines() {
        let (at, text) = match statement.take() {
            Some((at, mut text)) => {
                text.push_str(code);
                (at, text)
            }
            None => (number, code.to_string()),
        };
        let is_open_group = text.contains("crate::{") && !text.contains(';');
        if is_open_group {
            statement = Some((at, text));
            continue;
        }
        for named in rooms_named(&text) {
            let points_down = level_of(named).is_some_and(|other| other < level);
            if level_of(named).is_some() && named != room && !points_down {
                faults.push(format!("{}:{at}: {room} may not use {named}", source.path));
            }
        }
    }
    faults
}

fn has_word(code: &str, word: &str) -> bool {
    let is_word = |byte: char| byte.is_alphanumeric() || byte == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
    })
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_has_a_level() {
    let mut faults = Vec::new();
    for source in sources() {
        let room = source.room();
        if level_of(room).is_none() && !["lib", "main"].contains(&room) {
            faults.push(format!(
                "{}: {room} has no level in tests/tidy.rs",
                source.path
            ));
        }
    }
    report(&faults);
}

#[test]
fn layers_point_down() {
    report(&sources().iter().flat_map(layer_faults).collect::<Vec<_>>());
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let mut faults = Vec::new();
    for source in sources() {
        if UNSAFE_ROOMS
            .iter()
            .any(|room| source.path.starts_with(room))
        {
            continue;
        }
        for (number, code) in source.code_lines() {
            let allows = code.contains("allow(unsafe_code)") && !is_door_to_unsafe(&source.path);
            if has_word(code, "unsafe") || allows {
                faults.push(format!("{}:{number}: no unsafe here", source.path));
            }
        }
    }
    report(&faults);
}

/// Files that allow unsafe code for a room below them: `lib.rs` for `ds`, `node/mod.rs` for the ring.
fn is_door_to_unsafe(path: &str) -> bool {
    ["src/lib.rs", "src/node/mod.rs"].contains(&path)
}

#[test]
fn every_unsafe_block_names_its_fact() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, code) in source.code_lines() {
            let opens = has_word(code, "unsafe") && code.contains("unsafe {");
            // The comment stands on the line itself or in the lines right above it, at most eight up.
            let start = number.saturating_sub(9);
            let is_named = lines[start..number]
                .iter()
                .any(|line| line.contains("SAFETY:"));
            if opens && !is_named {
                faults.push(format!(
                    "{}:{number}: unsafe without a SAFETY comment",
                    source.path
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn rooms_without_unsafe_forbid_it() {
    let mut faults = Vec::new();
    for source in sources() {
        let room = source.room();
        let is_door = source.path == format!("src/{room}/mod.rs");
        if is_door
            && FORBIDS_UNSAFE.contains(&room)
            && !source.text.contains("#![forbid(unsafe_code)]")
        {
            faults.push(format!("{}: says no #![forbid(unsafe_code)]", source.path));
        }
    }
    report(&faults);
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            for word in LEFT_BEHIND {
                if line.contains(word) {
                    faults.push(format!("{}:{}: {word}", source.path, index + 1));
                }
            }
        }
    }
    report(&faults);
}

/// The library has no test binary of its own: a test in there would never run.
#[test]
fn tests_are_not_in_src() {
    let mut faults = Vec::new();
    for source in sources() {
        for (number, code) in source.code_lines() {
            if code.contains("#[test]") || code.contains("cfg(test)") {
                faults.push(format!("{}:{number}: tests belong in tests/", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn files_have_one_subject() {
    let mut faults = Vec::new();
    for source in sources() {
        let count = source.text.lines().count();
        if count > FILE_LINES_MAX {
            faults.push(format!(
                "{}: {count} lines, {FILE_LINES_MAX} at most",
                source.path
            ));
        }
    }
    report(&faults);
}

/// The reader itself: what it must see, and what it must not.
#[test]
fn the_reader_sees_what_points_up() {
    let faults = |path: &str, text: &str| {
        layer_faults(&Source {
            path: path.to_string(),
            text: text.to_string(),
        })
    };
    assert_eq!(
        faults("src/ds/dict.rs", "//! Dict.\nuse crate::commands::Entry;\n"),
        ["src/ds/dict.rs:2: ds may not use commands"]
    );
    assert_eq!(
        faults(
            "src/ds/dict.rs",
            "use crate::{\n    base::rng::Rng,\n    resp::{Args, Reply},\n};\n"
        ),
        ["src/ds/dict.rs:1: ds may not use resp"]
    );
    assert_eq!(
        faults("src/router/plan.rs", "fn f() -> crate::node::Core {}\n"),
        ["src/router/plan.rs:1: router may not use node"]
    );
    let allowed = "use crate::ds::slab::Slab;\nuse crate::{base::rng, keyspace::value};\n// crate::node is above\n";
    assert_eq!(faults("src/keyspace/mod.rs", allowed), [""; 0]);
}

/// What a configuration may say has an effect, or a reason for having none, or is refused.
#[test]
fn an_option_that_nothing_asks_for_says_why() {
    let others: String = sources()
        .iter()
        .filter(|source| source.path != "src/node/option_held.rs")
        .map(|source| source.text.as_str())
        .collect();
    let faults: Vec<String> = rondo::node::options::specs()
        .filter(|spec| matches!(spec.kind, rondo::node::options::Kind::Held(_)))
        .filter(|spec| spec.idle.is_empty() && spec.only.0.is_empty())
        .filter(|spec| !others.contains(&format!("\"{}\"", spec.name)))
        .map(|spec| format!("{}: nothing asks for it", spec.name))
        .collect();
    report(&faults);
}
