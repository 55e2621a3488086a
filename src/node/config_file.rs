//! Reads redis.conf: one directive a line, quotes, units, `include`.
//!
//! Promises  errors in Redis's form but for the program's name, with the line; what is refused is named, nothing is skipped in silence.
//! Not here  what a directive means: `node/options.rs`.
//! Source    Redis's own redis.conf. A `#` that begins a word after the value begins a comment, too: people write that, and
//!           Redis refuses to start.
//! Tests     tests/node/config_file.rs: every error case; a file made of all defaults.

use super::option_values::{before_comment, split_words};
use super::options::{OptionSpec, Options, find};
use crate::base::glob::glob_match;
use crate::commands::identity::RONDO_VERSION;
use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// How deep files may include each other; Redis has no limit and ends when its stack does.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Why a configuration was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A line is wrong.
    Line {
        /// Counted from 1.
        line: usize,
        /// The line without the spaces around it.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read.
    File {
        /// Which.
        path: String,
        /// What the operating system says.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, text, reason } => write!(
                f,
                "\n*** FATAL CONFIG FILE ERROR (rondo {RONDO_VERSION}) ***\n\
                 Reading the configuration file, at line {line}\n>>> '{text}'\n{reason}"
            ),
            Self::File { path, reason } => {
                write!(f, "Fatal error, can't open config file '{path}': {reason}")
            }
        }
    }
}

/// Directives of older releases that no longer mean anything.
const FORGOTTEN: &[&str] = &[
    "list-max-ziplist-entries",
    "list-max-ziplist-value",
    "lua-replicate-commands",
    "io-threads-do-reads",
    "events-per-io-thread",
];

/// Directives that are no options, and why they are refused.
const REFUSED: &[(&str, &str)] = &[
    ("loadmodule", "rondo loads no modules"),
    ("sentinel", "sentinel directive while not in sentinel mode"),
];

/// The first word of a directive that may be a comment rather than a value; none where any `#` is part of a value: passwords of
/// users are given by their hashes.
fn comment_from(name: &str) -> Option<usize> {
    match name {
        "user" => None,
        // The new name of a command.
        "rename-command" => Some(3),
        _ => Some(2),
    }
}

/// The words of a line, what follows them as a comment left out; none where quotes do not close.
pub(super) fn words_of(line: &str) -> Option<Vec<String>> {
    let name = line.split_ascii_whitespace().next().unwrap_or_default();
    match comment_from(&name.to_ascii_lowercase()) {
        Some(from) => split_words(before_comment(line, from).as_bytes()),
        None => split_words(line.as_bytes()),
    }
}

/// The comment behind a line's words, with the blanks before it.
pub(super) fn comment_of(line: &str) -> Option<&str> {
    let name = line.split_ascii_whitespace().next()?;
    let from = comment_from(&name.to_ascii_lowercase())?;
    let comment = &line[before_comment(line, from).len()..];
    (!comment.trim().is_empty()).then_some(comment.trim_end())
}

/// Applies every line of `text`, which ends with the options of the command line.
///
/// Errors: the first line that is wrong; lines before it have been applied.
pub fn apply_text(options: &mut Options, text: &str) -> Result<(), ConfigError> {
    apply_text_at(options, text, 0, &mut Known::default())
}

/// Reads and joins the files that `path` names; the part after the last `/` may be a pattern, which may match nothing.
pub fn read_files(path: &str) -> Result<String, ConfigError> {
    let mut text = String::new();
    for file in matching_files(path)? {
        let bytes = fs::read(&file).map_err(|error| ConfigError::File {
            path: file.display().to_string(),
            reason: system_reason(&error),
        })?;
        if let Some(number) = first_unreadable_line(&bytes) {
            return Err(ConfigError::File {
                path: file.display().to_string(),
                reason: format!("line {number} has bytes that are no UTF-8"),
            });
        }
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    Ok(text)
}

/// The first line whose bytes would become others (a password, a pattern), counted from 1. Comments may be what they are.
fn first_unreadable_line(bytes: &[u8]) -> Option<usize> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let is_unreadable = |line: &[u8]| {
        std::str::from_utf8(line).is_err() && !line.trim_ascii_start().starts_with(b"#")
    };
    lines.position(is_unreadable).map(|index| index + 1)
}

/// The operating system's words without Rust's ` (os error 2)`.
pub(super) fn system_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

fn matching_files(path: &str) -> Result<Vec<PathBuf>, ConfigError> {
    if !path.contains(['*', '?', '[']) {
        return Ok(vec![PathBuf::from(path)]);
    }
    let (folder, pattern) = path.rsplit_once('/').unwrap_or((".", path));
    let folder = if folder.is_empty() { "/" } else { folder };
    let Ok(entries) = fs::read_dir(Path::new(folder)) else {
        return Ok(Vec::new());
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && glob_match(pattern.as_bytes(), name.as_bytes(), false)
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    Ok(files)
}

/// What has been read, here or in a file before.
#[derive(Default)]
struct Known {
    /// A line with save points.
    has_save: bool,
    /// The names of all users, once there is a line for one: there may be tens of thousands.
    users: Option<HashSet<String>>,
}

fn apply_text_at(
    options: &mut Options,
    text: &str,
    depth: usize,
    known: &mut Known,
) -> Result<(), ConfigError> {
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        apply_line(options, line, depth, known).map_err(|failure| match failure {
            Failure::Here(reason) => ConfigError::Line {
                line: index + 1,
                text: line.to_string(),
                reason,
            },
            Failure::Included(error) => error,
        })?;
    }
    Ok(())
}

/// Why a line failed: of itself, or in the file it includes.
enum Failure {
    Here(String),
    Included(ConfigError),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Here(reason)
    }
}

fn apply_line(
    options: &mut Options,
    line: &str,
    depth: usize,
    known: &mut Known,
) -> Result<(), Failure> {
    let Some(words) = words_of(line) else {
        return Err("Unbalanced quotes in configuration line".to_string().into());
    };
    // Quoted bytes that are no text (`"\xff"`) would be others.
    let is_replaced = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    if !is_replaced(line) && words.iter().any(|word| is_replaced(word)) {
        return Err("it has bytes that are no UTF-8".to_string().into());
    }
    let Some((name, values)) = words.split_first() else {
        return Ok(());
    };
    let name = name.to_ascii_lowercase();
    if let Some(spec) = find(name.as_bytes()) {
        if spec.name == "save" && !values.is_empty() {
            // Beside others it is none of them.
            if values.len() > 1 && values.iter().any(String::is_empty) {
                return Err("Invalid save parameters".to_string().into());
            }
            // Lines add up, as in Redis, once one has taken the place of the defaults; an empty word has none of those before.
            let words = |text: &str| -> Vec<String> {
                text.split_ascii_whitespace().map(str::to_string).collect()
            };
            let is_first = !std::mem::replace(&mut known.has_save, true);
            let mut all = match values {
                _ if is_first => Vec::new(),
                [none] if none.is_empty() => Vec::new(),
                _ => words(&spec.get(options)),
            };
            match values {
                [points] => all.extend(words(points)),
                points => all.extend_from_slice(points),
            }
            let points = all.join(" ");
            return Ok(apply_line_of_option(spec, options, &[points])?);
        }
        return Ok(apply_line_of_option(spec, options, values)?);
    }
    if FORGOTTEN.contains(&name.as_str()) && values.len() == 1 {
        return Ok(());
    }
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(reason.to_string().into());
    }
    if let ("rename-command", [from, to]) = (name.as_str(), values) {
        return Ok(options.renames.rename(from, to)?);
    }
    if let ("user", [user, rules @ ..]) = (name.as_str(), values) {
        let before = || options.users.iter().map(|(name, _)| name.clone()).collect();
        if !(known.users.get_or_insert_with(before)).insert(user.clone()) {
            return Err(format!(
                "Error in user declaration '{user}': Duplicate user found. A user can only be defined once in config files"
            )
            .into());
        }
        options.users.push((user.clone(), rules.to_vec()));
        return Ok(());
    }
    if name == "include" && values.len() == 1 {
        if depth >= INCLUDE_DEPTH_MAX {
            return Err(
                format!("files include each other more than {INCLUDE_DEPTH_MAX} deep").into(),
            );
        }
        let text = read_files(&values[0]).map_err(Failure::Included)?;
        return apply_text_at(options, &text, depth + 1, known).map_err(Failure::Included);
    }
    Err("Bad directive or wrong number of arguments"
        .to_string()
        .into())
}

/// Applies the words after an option's name.
///
/// Errors: the reason; nothing was changed.
pub(super) fn apply_line_of_option(
    spec: &OptionSpec,
    options: &mut Options,
    values: &[String],
) -> Result<(), String> {
    match values {
        [] if spec.multi => spec.set(options, &[]),
        [] => Err("wrong number of arguments".to_string()),
        [value] => spec.set_text(options, value),
        values => spec.set(options, values),
    }
}

/// The file that says everything `options` say that the defaults do not.
pub fn to_text(options: &Options) -> String {
    let defaults = Options::default();
    super::options::specs()
        .filter(|spec| spec.get(options) != spec.get(&defaults))
        .flat_map(|spec| spec.file_lines(&spec.get(options)))
        .map(|line| line + "\n")
        .collect()
}
