//! The text of an ACL file: a user a line, empty lines between them, no comments.
//!
//! Promises  all that is wrong with a file is told at once; a file with an error gives no user.
//! Not here  opening and writing it: `node/acl.rs`.
//! Tests     tests/server/acl_files.rs, error texts as Redis has them.

use std::collections::HashSet;

use super::selector::has_spaces;
use super::user::{RuleError, User, join_parentheses};

/// The users of a file, their serials yet to be given.
///
/// Errors: one line that names every fault.
pub fn read_file(path: &str, text: &[u8], all_channels: bool) -> Result<Vec<User>, Vec<u8>> {
    let mut users: Vec<User> = Vec::new();
    let mut names = HashSet::new();
    let mut faults = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = trim(line, b" \t\r\n");
        if line.is_empty() {
            continue;
        }
        let place = format!("{path}:{}", index + 1);
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        if words[0] != b"user" || words.len() < 2 {
            let fault =
                format!("{place} should start with user keyword followed by the username. ");
            faults.extend(fault.into_bytes());
        } else if has_spaces(words[1]) {
            faults.extend(format!("'{place}: username '").into_bytes());
            faults.extend(words[1]);
            faults.extend(b"' contains invalid characters. ");
        } else if !names.insert(words[1]) {
            faults.extend(b"WARNING: Duplicate user '");
            faults.extend(words[1]);
            faults.extend(format!("' found on line {}. ", index + 1).into_bytes());
        } else {
            let mut user = User::new(words[1], 0, all_channels);
            apply_line(&mut user, &words[2..], &place, all_channels, &mut faults);
            users.push(user);
        }
    }
    if faults.is_empty() {
        return Ok(users);
    }
    faults.extend(
        b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    );
    Err(faults)
}

fn apply_line(
    user: &mut User,
    words: &[&[u8]],
    place: &str,
    all_channels: bool,
    faults: &mut Vec<u8>,
) {
    let Ok(rules) = join_parentheses(words) else {
        let fault = format!("{place}: Unmatched parenthesis in selector definition.");
        return faults.extend(fault.into_bytes());
    };
    let mut has_told = false;
    for rule in rules {
        let rule = trim(&rule, b"\t\r\n");
        match user.apply(rule, all_channels) {
            Ok(()) => {}
            // Names of commands are no secrets, so all that are unknown are named; a password might be one.
            Err(error @ RuleError::Unknown) => {
                faults.extend(format!("{place}: Error in applying operation '").into_bytes());
                faults.extend(rule);
                faults.extend(format!("': {}. ", error.text()).into_bytes());
            }
            Err(error) if !has_told => {
                has_told = true;
                faults.extend(format!("{place}: {}. ", error.text()).into_bytes());
            }
            Err(_) => {}
        }
    }
}

fn trim<'t>(mut text: &'t [u8], what: &[u8]) -> &'t [u8] {
    while let [first, rest @ ..] = text
        && what.contains(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && what.contains(last)
    {
        text = rest;
    }
    text
}
