//! A selector: one set of rights to commands, keys and channels.
//!
//!     +get -@write ~cache:* %R~log:* &news.* db=0,3
//!
//! Commands are a bit for each row of the table, set and cleared by the rules in their order; the rules themselves are kept
//! beside them, without those that a later one makes meaningless, to be printed. A container's rule is one for all of its
//! subcommands, and `+select|0` lets a command without subcommands run with that first word only. Databases are Valkey's: a
//! selector has a right to all of them until `db=` or `resetdbs` says otherwise.
//!
//! Not here  passwords and switches: `user.rs`; looking at a request: `check.rs`.

use super::user::RuleError;
use crate::base::number::parse_i64;
use crate::commands::derive::{CATEGORIES, is_in_category};
use crate::commands::table::{Entry, table};

/// May be read.
pub const READ: u8 = 1;
/// May be written.
pub const WRITE: u8 = 2;

/// A pattern of keys and what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// `READ`, `WRITE` or both.
    pub access: u8,
    /// As KEYS takes it.
    pub pattern: Vec<u8>,
}

/// One rule about commands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allows: bool,
    /// Lower case: `get`, `config|set`, `select|0`, `@write`.
    what: Vec<u8>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Every key in every way.
    pub(super) all_keys: bool,
    /// Every channel.
    pub(super) all_channels: bool,
    /// Every command: the bits need not be looked at.
    pub(super) all_commands: bool,
    /// `+@all` was the last rule of its kind: whatever no rule names is allowed.
    begins_with_all: bool,
    /// A bit for each row.
    allowed: Box<[u64]>,
    /// First words that let a command run whose bit is not set, by the command's row.
    first_words: Vec<(u16, Vec<u8>)>,
    rules: Vec<Rule>,
    /// What `all_keys` leaves to be said.
    pub(super) keys: Vec<KeyPattern>,
    /// What `all_channels` leaves to be said.
    pub(super) channels: Vec<Vec<u8>>,
    /// The databases it has a right to, in order; none: all.
    pub(super) databases: Option<Box<[u32]>>,
}

impl Selector {
    /// Without any right, but to all channels where new users have that (`acl-pubsub-default`).
    pub fn new(all_channels: bool) -> Self {
        Self {
            all_keys: false,
            all_channels,
            all_commands: false,
            begins_with_all: false,
            allowed: vec![0; table().len().div_ceil(64)].into(),
            first_words: Vec::new(),
            rules: Vec::new(),
            keys: Vec::new(),
            channels: Vec::new(),
            databases: None,
        }
    }

    /// Takes one rule.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule.first() {
            _ if is("allkeys") || is("~*") => {
                self.all_keys = true;
                self.keys.clear();
            }
            _ if is("resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || is("&*") => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is("alldbs") => self.databases = None,
            _ if is("resetdbs") => self.databases = Some(Box::default()),
            _ if rule.len() >= 3 && rule[..3].eq_ignore_ascii_case(b"db=") => {
                self.databases = Some(read_databases(&rule[3..])?);
            }
            _ if is("allcommands") || is("+@all") => self.set_all(true),
            _ if is("nocommands") || is("-@all") => self.set_all(false),
            Some(b'~') => self.add_keys(READ | WRITE, &rule[1..])?,
            Some(b'%') => {
                if self.all_keys {
                    return Err(RuleError::KeysAfterAll);
                }
                let (access, pattern) = split_access(&rule[1..])?;
                if access == 0 {
                    return Err(RuleError::Syntax);
                }
                self.add_keys(access, pattern)?;
            }
            Some(b'&') => self.add_channels(&rule[1..])?,
            Some(b'+') if rule.get(1) == Some(&b'@') => self.set_category(&rule[1..], true)?,
            Some(b'-') if rule.get(1) == Some(&b'@') => self.set_category(&rule[1..], false)?,
            Some(b'+') => self.allow(&rule[1..])?,
            Some(b'-') => {
                let entry = table().find_original(&rule[1..]);
                let entry = entry.filter(|entry| entry.is_visible());
                let entry = entry.ok_or(RuleError::Unknown)?;
                self.set_command(entry, false);
                self.note(entry.full_name.as_bytes(), false);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all(&mut self, allows: bool) {
        self.allowed.fill(if allows { u64::MAX } else { 0 });
        self.all_commands = allows;
        self.begins_with_all = allows;
        self.rules.clear();
        self.first_words.clear();
    }

    fn add_keys(&mut self, access: u8, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access |= access,
            None => self.keys.push(KeyPattern {
                access,
                pattern: pattern.to_vec(),
            }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    /// `name`, `container|subcommand` or `command|word`.
    fn allow(&mut self, what: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = what.iter().rposition(|&byte| byte == b'|') else {
            let entry = table().find_original(what).ok_or(RuleError::Unknown)?;
            self.set_command(entry, true);
            self.note(entry.full_name.as_bytes(), true);
            return Ok(());
        };
        let (name, word) = (&what[..bar], &what[bar + 1..]);
        let entry = table().find_original(name).ok_or(RuleError::Unknown)?;
        if entry.container.is_some() {
            return Err(RuleError::FirstWordOfSubcommand);
        }
        if word.is_empty() || has_spaces(word) {
            return Err(RuleError::Syntax);
        }
        if entry.sub.iter().any(Entry::is_visible) {
            let sub = table().find_original(what).ok_or(RuleError::Unknown)?;
            self.set_command(sub, true);
        } else if !(self.first_words.iter())
            .any(|(index, known)| *index == entry.index && known.eq_ignore_ascii_case(word))
        {
            self.first_words.push((entry.index, word.to_vec()));
        }
        self.note(what, true);
        Ok(())
    }

    /// Of a container and with it of its subcommands, or of one row.
    fn set_command(&mut self, entry: &Entry, allows: bool) {
        self.first_words.retain(|(index, _)| *index != entry.index);
        self.set_bit(entry.index, allows);
        for sub in entry.sub {
            self.set_bit(sub.index, allows);
        }
    }

    fn set_bit(&mut self, index: u16, allows: bool) {
        let word = &mut self.allowed[usize::from(index / 64)];
        let bit = 1 << (index % 64);
        if allows {
            *word |= bit;
        } else {
            *word &= !bit;
            self.all_commands = false;
        }
    }

    fn set_category(&mut self, category: &[u8], allows: bool) -> Result<(), RuleError> {
        let name = category[1..].to_ascii_lowercase();
        let name = CATEGORIES.iter().find(|known| known.as_bytes() == name);
        let name = name.ok_or(RuleError::Unknown)?;
        self.note(category, allows);
        for entry in table().rows().filter(|entry| entry.is_visible()) {
            if is_in_category(entry.command, name) {
                self.set_command(entry, allows);
            }
        }
        Ok(())
    }

    /// Keeps a rule to be printed; what it replaces goes.
    fn note(&mut self, what: &[u8], allows: bool) {
        let what = what.to_ascii_lowercase();
        let is_replaced = |known: &[u8]| {
            let rest = known.strip_prefix(&what[..]);
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'|')
        };
        self.rules.retain(|rule| !is_replaced(&rule.what));
        self.rules.push(Rule { allows, what });
    }

    /// Whether the row's own bit is set.
    pub(super) fn allows(&self, index: u16) -> bool {
        self.allowed[usize::from(index / 64)] & 1 << (index % 64) != 0
    }

    /// Whether the row of that index may run with this first word.
    pub(super) fn allows_first_word(&self, index: u16, word: &[u8]) -> bool {
        (self.first_words.iter())
            .any(|(of, known)| *of == index && known.eq_ignore_ascii_case(word))
    }

    /// Whether nothing is left to be checked.
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels && self.databases.is_none()
    }

    /// The rules about commands, `+@all` or `-@all` first.
    pub fn describe_commands(&self, out: &mut Vec<u8>) {
        out.extend(if self.begins_with_all {
            b"+@all"
        } else {
            b"-@all"
        });
        for rule in &self.rules {
            out.extend(if rule.allows { b" +" } else { b" -" });
            out.extend(&rule.what);
        }
    }

    /// The patterns of keys.
    pub fn describe_keys(&self, out: &mut Vec<u8>) {
        if self.all_keys {
            return out.extend(b"~*");
        }
        for (index, key) in self.keys.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend(match key.access {
                READ => &b"%R~"[..],
                WRITE => b"%W~",
                _ => b"~",
            });
            out.extend(&key.pattern);
        }
    }

    /// The patterns of channels.
    pub fn describe_channels(&self, out: &mut Vec<u8>) {
        if self.all_channels {
            return out.extend(b"&*");
        }
        for (index, channel) in self.channels.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.push(b'&');
            out.extend(channel);
        }
    }

    /// The databases: `alldbs`, `db=0,3`, nothing for none.
    pub fn describe_databases(&self, out: &mut Vec<u8>) {
        match self.databases.as_deref() {
            None => out.extend(b"alldbs"),
            Some([]) => {}
            Some(databases) => {
                let texts: Vec<String> = databases.iter().map(u32::to_string).collect();
                out.extend(b"db=");
                out.extend(texts.join(",").as_bytes());
            }
        }
    }

    /// Everything, as a line of rules.
    pub fn describe(&self, out: &mut Vec<u8>) {
        self.describe_keys(out);
        if self.all_keys || !self.keys.is_empty() {
            out.push(b' ');
        }
        if !self.all_channels {
            out.extend(b"resetchannels ");
        }
        self.describe_channels(out);
        if self.all_channels || !self.channels.is_empty() {
            out.push(b' ');
        }
        // All of them go without saying, so that Redis reads the line.
        match self.databases.as_deref() {
            None => {}
            Some([]) => out.extend(b"resetdbs "),
            Some(_) => {
                self.describe_databases(out);
                out.push(b' ');
            }
        }
        self.describe_commands(out);
    }
}

/// `0,3`: databases, in order and each once.
fn read_databases(list: &[u8]) -> Result<Box<[u32]>, RuleError> {
    let mut databases = Vec::new();
    for word in list.split(|&byte| byte == b',') {
        let digits = word.strip_prefix(b"-").unwrap_or(word);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RuleError::Syntax);
        }
        let number = parse_i64(word).filter(|&number| number <= i64::from(i32::MAX));
        let number = number.and_then(|number| u32::try_from(number).ok());
        databases.push(number.ok_or(RuleError::DatabaseOutOfRange)?);
    }
    databases.sort_unstable();
    databases.dedup();
    Ok(databases.into())
}

/// `RW~pattern`: the letters' meaning, and the pattern.
fn split_access(rule: &[u8]) -> Result<(u8, &[u8]), RuleError> {
    let mut access = 0;
    for (at, letter) in rule.iter().enumerate() {
        let bit = match letter.to_ascii_uppercase() {
            b'R' => READ,
            b'W' => WRITE,
            b'~' => return Ok((access, &rule[at + 1..])),
            _ => return Err(RuleError::Syntax),
        };
        if access & bit != 0 {
            return Err(RuleError::Syntax);
        }
        access |= bit;
    }
    // As in Redis, letters without a pattern are a right to the empty key.
    Ok((access, b""))
}

/// Whether a name or pattern could not stand in a line of rules.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b' ' | 9..=13 | 0))
}
