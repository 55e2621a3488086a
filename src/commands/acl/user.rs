//! A user: whether and with which passwords one may be it, and what it may do.
//!
//! Promises  a rule that is refused leaves the user as it was, as far as the caller keeps to [`User::with`].
//! Not here  rules about commands, keys and channels: `selector.rs`.

use super::password::Digest;
use super::selector::{Selector, has_spaces};
use crate::commands::CommandError;

/// The serial of a server's first user; 0 is nobody's.
pub(super) const DEFAULT_SERIAL: u32 = 1;

/// The user of whoever has not said otherwise.
pub const DEFAULT_NAME: &[u8] = b"default";

/// Why a rule was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RuleError {
    Unknown,
    Syntax,
    KeysAfterAll,
    ChannelsAfterAll,
    NoSuchPassword,
    BadHash,
    FirstWordOfSubcommand,
    DatabaseOutOfRange,
}

impl RuleError {
    /// Redis's words, Valkey's for databases.
    pub fn text(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::FirstWordOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            Self::DatabaseOutOfRange => "The provided database ID is out of range",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Vec<u8>,
    /// Tells it from another of that name that came after it was deleted.
    pub(super) serial: u32,
    is_on: bool,
    takes_any_password: bool,
    trusts_payloads: bool,
    passwords: Vec<Digest>,
    /// The user's own rights first, then those in parentheses.
    selectors: Vec<Selector>,
}

impl Default for User {
    /// The user `default` of a server without any configuration: every right, no password.
    fn default() -> Self {
        let mut user = Self::new(DEFAULT_NAME, DEFAULT_SERIAL, false);
        user.is_on = true;
        user.takes_any_password = true;
        for rule in [&b"+@all"[..], b"~*", b"&*"] {
            // Whole categories are always there.
            let _ = user.selectors[0].apply(rule);
        }
        user
    }
}

impl User {
    /// A user without rights, switched off.
    ///
    /// - `all_channels`: `acl-pubsub-default allchannels`.
    pub fn new(name: &[u8], serial: u32, all_channels: bool) -> Self {
        Self {
            name: name.to_vec(),
            serial,
            is_on: false,
            takes_any_password: false,
            trusts_payloads: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The user with these rules added, parentheses that are spread over several words joined.
    ///
    /// Errors: Redis's text, naming the rule.
    pub fn with(&self, rules: &[&[u8]], all_channels: bool) -> Result<User, CommandError> {
        let mut changed = self.clone();
        let rules = join_parentheses(rules).map_err(|open| {
            let before = "ERR Unmatched parenthesis in acl selector starting at '";
            CommandError::quoting(before, open, "'.")
        })?;
        for rule in rules {
            changed.apply(&rule, all_channels).map_err(|error| {
                let after = format!("': {}", error.text());
                CommandError::quoting("ERR Error in ACL SETUSER modifier '", &rule, &after)
            })?;
        }
        Ok(changed)
    }

    /// Takes one rule.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        // As Redis reads it, a word ends at a NUL, if it is no pattern and no password.
        let rule = match rule.first() {
            Some(b'~' | b'%' | b'&' | b'>' | b'<' | b'#' | b'!' | b'(') => rule,
            _ => rule.split(|&byte| byte == 0).next().unwrap_or_default(),
        };
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule.first() {
            None => {}
            _ if is("on") => self.is_on = true,
            _ if is("off") => self.is_on = false,
            _ if is("skip-sanitize-payload") => self.trusts_payloads = true,
            _ if is("sanitize-payload") => self.trusts_payloads = false,
            _ if is("nopass") => {
                self.takes_any_password = true;
                self.passwords.clear();
            }
            _ if is("resetpass") => {
                self.takes_any_password = false;
                self.passwords.clear();
            }
            _ if is("clearselectors") => self.selectors.truncate(1),
            _ if is("reset") => {
                *self = Self::new(&self.name, self.serial, all_channels);
            }
            Some(b'>') => self.add_password(Digest::of(&rule[1..])),
            Some(b'#') => {
                let digest = Digest::from_hex(&rule[1..]).ok_or(RuleError::BadHash)?;
                self.add_password(digest);
            }
            Some(b'<') => self.remove_password(Digest::of(&rule[1..]))?,
            Some(b'!') => {
                let digest = Digest::from_hex(&rule[1..]).ok_or(RuleError::BadHash)?;
                self.remove_password(digest)?;
            }
            Some(b'(') if rule.len() > 1 && rule.ends_with(b")") => {
                let mut selector = Selector::new(all_channels);
                for rule in words(&rule[1..rule.len() - 1]) {
                    selector.apply(rule)?;
                }
                self.selectors.push(selector);
            }
            _ => self.selectors[0].apply(rule)?,
        }
        Ok(())
    }

    /// What `requirepass` says: this password and no other, or none.
    pub fn set_only_password(&mut self, password: &[u8]) {
        self.passwords.clear();
        self.takes_any_password = password.is_empty();
        if !password.is_empty() {
            self.add_password(Digest::of(password));
        }
    }

    fn add_password(&mut self, digest: Digest) {
        self.takes_any_password = false;
        if !self.passwords.contains(&digest) {
            self.passwords.push(digest);
        }
    }

    fn remove_password(&mut self, digest: Digest) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| *known == digest);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// Whether one may be it with this password. Every password it has is looked at.
    pub fn admits(&self, password: &[u8]) -> bool {
        let given = Digest::of(password);
        let mut fits = self.takes_any_password;
        for known in &self.passwords {
            fits |= *known == given;
        }
        self.is_on && fits
    }

    /// What tells it apart in this process, where it is not at hand; never 0.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether this is the same user as `other`, changed perhaps.
    pub fn is_same_as(&self, other: &User) -> bool {
        self.serial == other.serial && self.name == other.name
    }

    /// Whether whoever connects is it without a password (`on nopass`).
    pub fn is_open(&self) -> bool {
        self.is_on && self.takes_any_password
    }

    /// Whether it takes any password.
    pub fn takes_any_password(&self) -> bool {
        self.takes_any_password
    }

    /// Whether one may not be it.
    pub fn is_off(&self) -> bool {
        !self.is_on
    }

    /// Whether it may do everything, so that nothing need be checked.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
    }

    /// Whether some of its rights are to some databases only.
    pub fn heeds_databases(&self) -> bool {
        (self.selectors.iter()).any(|selector| selector.databases.is_some())
    }

    /// Its sets of rights, its own first.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Digests of its passwords.
    pub fn passwords(&self) -> &[Digest] {
        &self.passwords
    }

    /// `on`, `nopass` and their like.
    pub fn switches(&self) -> Vec<&'static str> {
        let mut switches = vec![if self.is_on { "on" } else { "off" }];
        if self.takes_any_password {
            switches.push("nopass");
        }
        switches.push(if self.trusts_payloads {
            "skip-sanitize-payload"
        } else {
            "sanitize-payload"
        });
        switches
    }

    /// The line that makes it again: `user NAME on #... ~* &* +@all`.
    pub fn describe(&self) -> Vec<u8> {
        let mut line = b"user ".to_vec();
        line.extend(&self.name);
        for switch in self.switches() {
            line.push(b' ');
            line.extend(switch.as_bytes());
        }
        for password in &self.passwords {
            line.extend(b" #");
            line.extend(password.hex().as_bytes());
        }
        for (index, selector) in self.selectors.iter().enumerate() {
            line.extend(if index == 0 { &b" "[..] } else { b" (" });
            selector.describe(&mut line);
            if index > 0 {
                line.push(b')');
            }
        }
        line
    }
}

/// Rules in which what is in parentheses is one; the rule that opens one that does not close is the error.
pub fn join_parentheses<'r>(rules: &[&'r [u8]]) -> Result<Vec<Vec<u8>>, &'r [u8]> {
    let mut joined: Vec<Vec<u8>> = Vec::with_capacity(rules.len());
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for rule in rules {
        match &mut open {
            None if rule.starts_with(b"(") && !rule.ends_with(b")") => {
                open = Some((rule, rule.to_vec()));
            }
            None => joined.push(rule.to_vec()),
            Some((_, text)) => {
                text.push(b' ');
                text.extend_from_slice(rule);
                if rule.ends_with(b")")
                    && let Some((_, text)) = open.take()
                {
                    joined.push(text);
                }
            }
        }
    }
    match open {
        Some((first, _)) => Err(first),
        None => Ok(joined),
    }
}

/// The words between white space.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_space = |byte: &u8| has_spaces(std::slice::from_ref(byte));
    text.split(is_space).filter(|word| !word.is_empty())
}
