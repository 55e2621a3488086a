//! The `user` lines of the configuration: read at start, and written by CONFIG REWRITE.
//!
//! Promises  a line that still makes the user there is stays as it was written; with an ACL file there is no such line.
//! Not here  everything else of the file: `node/config_rewrite.rs`.
//! Tests     tests/node/config_rewrite.rs.

use std::collections::HashSet;
use std::io;

use super::config_file::words_of;
use super::option_values::quote;
use super::options::Options;
use crate::commands::acl::{User, Users};

/// Users whose passwords and rules come from the options alone: `requirepass` and the lines given.
///
/// Errors: a sentence that names the user.
pub fn configured_users(
    options: &Options,
    lines: &[(String, Vec<String>)],
) -> Result<Users, String> {
    let mut users = Users::default();
    if !options.requirepass.is_empty() {
        users.set_default_password(options.requirepass.as_bytes());
    }
    let all_channels = options.new_users_hear_all();
    for (name, rules) in lines {
        let mut words: Vec<&[u8]> = vec![b"reset"];
        words.extend(rules.iter().map(String::as_bytes));
        users
            .set(name.as_bytes(), &words, all_channels)
            .map_err(|error| {
                let text = error.text();
                let reason = text.strip_prefix("ERR ").unwrap_or(&text);
                format!("the user '{name}' of the configuration: {reason}")
            })?;
    }
    Ok(users)
}

/// The file with the lines that make these users.
///
/// Errors: a user that a configuration file cannot say.
pub fn rewrite_users(text: &str, options: &Options, users: &Users) -> io::Result<String> {
    let mut lines = Vec::new();
    let mut told: HashSet<Vec<u8>> = HashSet::new();
    for line in text.lines() {
        let words = words_of(line.trim()).unwrap_or_default();
        let is_user = words.len() > 1 && words[0].eq_ignore_ascii_case("user");
        if !is_user {
            lines.push(line.to_string());
            continue;
        }
        let name = words[1].as_bytes();
        if let Some(user) = users.get(name).filter(|_| options.aclfile.is_empty()) {
            let given = (words[1].clone(), words[2..].to_vec());
            let made = configured_users(options, &[given]);
            let is_same = made.is_ok_and(|made| makes(&made, user));
            lines.push(if is_same {
                line.to_string()
            } else {
                line_of(user)?
            });
            told.insert(name.to_vec());
        }
    }
    if options.aclfile.is_empty() {
        let plain = configured_users(options, &[]).map_err(io::Error::other)?;
        for user in users.iter() {
            let is_told = told.contains(user.name());
            if !is_told && !makes(&plain, user) {
                lines.push(line_of(user)?);
            }
        }
    }
    lines.push(String::new());
    let text = lines.join("\n");
    Ok(if text == "\n" { String::new() } else { text })
}

/// Whether `user` is among `users` as it is.
fn makes(users: &Users, user: &User) -> bool {
    let known = users.get(user.name());
    known.is_some_and(|known| known.describe() == user.describe())
}

fn line_of(user: &User) -> io::Result<String> {
    let line = String::from_utf8(user.describe()).map_err(|_| {
        let name = String::from_utf8_lossy(user.name());
        io::Error::other(format!(
            "the user '{name}' has names or patterns that are no UTF-8 text"
        ))
    })?;
    let needs_quotes = |word: &str| word.contains(['"', '\'', '\\']) || word.is_empty();
    let words = line.split(' ').map(|word| {
        if needs_quotes(word) {
            quote(word)
        } else {
            word.to_string()
        }
    });
    Ok(words.collect::<Vec<_>>().join(" "))
}
