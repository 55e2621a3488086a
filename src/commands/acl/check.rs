//! Whether a user may run a request.
//!
//! Promises  what is denied has neither run nor been told anything; every key that a request names is looked at, and where
//!           its words hide further keys (SORT's patterns) the right to read all of them is asked for.
//! Not here  what is logged of it: `log.rs`.
//! Source    which reason is told of several: Redis's, the last word that no selector lets pass.

use super::log::{Context, Denial};
use super::selector::{READ, Selector, WRITE};
use super::user::User;
use crate::base::glob::glob_match;
use crate::base::number::parse_i64;
use crate::commands::CommandError;
use crate::commands::derive::is_in_category;
use crate::commands::keys::{access_in, for_each_key_of};
use crate::commands::migrate::Migration;
use crate::commands::pubsub::{PubSub, Subject};
use crate::commands::table::{Entry, Flags, KeyAccess, Program, Run, Spread, table};
use crate::resp::Args;

/// What a user had no right to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// To a database.
    Database,
    /// To run the command.
    Command,
    /// To a key.
    Key,
    /// To a channel.
    Channel,
    /// To be the user it said it was.
    Auth,
    /// To be the user its certificate names.
    Certificate,
}

/// How many reasons there are.
pub const REASONS_COUNT: usize = 6;

/// A request that may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why not.
    pub reason: Reason,
    /// The key, channel or database among its words; 0 for the command.
    pub word: usize,
}

/// Where a request would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The database that is selected.
    pub db: u16,
    /// How many there are.
    pub count: u16,
}

impl Place {
    /// Where the next request runs, after this one.
    pub fn after(self, entry: &Entry, args: &Args<'_>) -> Self {
        let selected = (entry.full_name == "select").then(|| self.named(args, 1));
        Self {
            db: selected.flatten().unwrap_or(self.db),
            ..self
        }
    }

    /// The database that a word names; none where it names none that is there: the command says so.
    fn named(self, args: &Args<'_>, word: usize) -> Option<u16> {
        let number = (word < args.len()).then(|| parse_i64(args.get(word)))??;
        (u16::try_from(number).ok()).filter(|&number| number < self.count)
    }
}

/// Whether `user` may run the request.
///
/// - `args`: all words, container and name included; there may be too few, of which those are looked at that are there.
/// - Cost: one look at the selectors; where one has every right, nothing else.
pub fn check(user: &User, entry: &Entry, args: &Args<'_>, place: Place) -> Result<(), Denied> {
    let mut worst = Denied {
        reason: Reason::Database,
        word: 0,
    };
    for selector in user.selectors() {
        match selector.check(entry, args, place) {
            Ok(()) => return Ok(()),
            Err(denied) => {
                if (denied.reason, denied.word) > (worst.reason, worst.word) {
                    worst = denied;
                }
            }
        }
    }
    Err(worst)
}

/// The error of a request that may run, but not with these options: SORT's patterns lead to keys it does not name, so they
/// need the right to read all of them. It is the command's own error, not a denial.
pub fn refused_options(
    user: &User,
    entry: &Entry,
    args: &Args<'_>,
    place: Place,
) -> Option<CommandError> {
    if !matches!(entry.command.spread, Spread::Gather(Program::Sort)) {
        return None;
    }
    let option = (2..args.len().saturating_sub(1))
        .find(|&at| args.is(at, "BY") && args.get(at + 1).contains(&b'*') || args.is(at, "GET"))?;
    let reads_all = |selector: &Selector| {
        selector.check(entry, args, place).is_ok() && selector.may_touch_all_keys(READ)
    };
    if user.selectors().iter().any(reads_all) {
        return None;
    }
    Some(if args.is(option, "BY") {
        "ERR BY option of SORT denied due to insufficient ACL permissions.".into()
    } else {
        "ERR GET option of SORT denied due to insufficient ACL permissions.".into()
    })
}

/// Why a command of a block may not run although it was queued.
pub struct Refusal {
    /// What stands in the place of its reply.
    pub error: CommandError,
    /// What is logged, where it is a matter of rights to the command itself.
    pub denial: Option<Denial>,
}

/// Looks at a queued command again when its block runs: rights may have changed meanwhile.
pub fn check_at_exec(user: &User, entry: &Entry, args: &Args<'_>, place: Place) -> Option<Refusal> {
    let Err(denied) = check(user, entry, args, place) else {
        let error = refused_options(user, entry, args, place)?;
        return Some(Refusal {
            error,
            denial: None,
        });
    };
    Some(Refusal {
        error: denied.error_at_exec(),
        denial: Some(Denial {
            reason: denied.reason,
            context: Context::Multi,
            object: denied.object(entry, args),
            user: user.name().to_vec(),
        }),
    })
}

impl Denied {
    /// The name or word it is about.
    pub fn object(&self, entry: &Entry, args: &Args<'_>) -> Vec<u8> {
        match self.reason {
            Reason::Command => name_of(entry).into_bytes(),
            Reason::Database if self.word == 0 => name_of(entry).into_bytes(),
            _ => args.get(self.word).to_vec(),
        }
    }

    /// What the client is told, without a code.
    pub fn message(&self, user: &User, entry: &Entry) -> Vec<u8> {
        match self.reason {
            Reason::Database => b"No permissions to access database".to_vec(),
            Reason::Key => b"No permissions to access a key".to_vec(),
            Reason::Channel => b"No permissions to access a channel".to_vec(),
            _ => self.full_message(user, entry, b""),
        }
    }

    /// What an administrator is told (ACL DRYRUN).
    pub fn full_message(&self, user: &User, entry: &Entry, word: &[u8]) -> Vec<u8> {
        let name = name_of(entry);
        let parts: [&[u8]; 3] = match self.reason {
            Reason::Database => [b" has no permissions to access database ", word, b""],
            Reason::Key => [b" has no permissions to access the '", word, b"' key"],
            Reason::Channel => [b" has no permissions to access the '", word, b"' channel"],
            _ => [
                b" has no permissions to run the '",
                name.as_bytes(),
                b"' command",
            ],
        };
        [b"User ", user.name(), parts[0], parts[1], parts[2]].concat()
    }

    /// The error that refuses a request.
    pub fn error(&self, user: &User, entry: &Entry) -> CommandError {
        CommandError::Quoting([b"NOPERM ", &self.message(user, entry)[..]].concat())
    }

    /// The error of a command that was queued while its user had the right to it.
    pub fn error_at_exec(&self) -> CommandError {
        let reason = match self.reason {
            Reason::Database => "no permission",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
            _ => "no permission to execute the command or subcommand",
        };
        CommandError::Text(
            format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                 command is no longer allowed for the following reason: {reason}"
            )
            .into(),
        )
    }
}

/// The name rules know a command by: DEBUG's subcommands have none of their own.
fn name_of(entry: &Entry) -> String {
    match entry.container {
        Some(container) if !entry.is_visible() => container.name.to_ascii_lowercase(),
        _ => entry.full_name.to_string(),
    }
}

impl Selector {
    fn check(&self, entry: &Entry, args: &Args<'_>, place: Place) -> Result<(), Denied> {
        if self.databases.is_some() {
            self.check_databases(entry, args, place)?;
        }
        if !self.may_run(entry, args) {
            return Err(Denied {
                reason: Reason::Command,
                word: 0,
            });
        }
        if !self.all_keys {
            self.check_keys(entry, args)?;
        }
        if !self.all_channels
            && let Run::PubSub(what) = entry.command.run
        {
            self.check_channels(what, args)?;
        }
        Ok(())
    }

    /// The databases that the words name, the one that is selected for whoever looks at keys, all for FLUSHALL.
    fn check_databases(&self, entry: &Entry, args: &Args<'_>, place: Place) -> Result<(), Denied> {
        let denied = |word: usize| Denied {
            reason: Reason::Database,
            word,
        };
        let named = named_databases(entry, args);
        for &word in &named {
            if let Some(db) = place.named(args, word)
                && !self.may_enter(db)
            {
                return Err(denied(word));
            }
        }
        let command = entry.command;
        let looks_at_keys = !command.keys.is_empty()
            || named.is_empty()
                && (["keyspace", "read", "write"].iter())
                    .any(|category| is_in_category(command, category));
        let may_all = || (0..place.count).all(|db| self.may_enter(db));
        let is_allowed = match entry.full_name {
            "flushall" => may_all(),
            _ => !looks_at_keys || self.may_enter(place.db),
        };
        if is_allowed { Ok(()) } else { Err(denied(0)) }
    }

    fn may_enter(&self, db: u16) -> bool {
        (self.databases.as_deref())
            .is_none_or(|databases| databases.binary_search(&u32::from(db)).is_ok())
    }

    fn may_run(&self, entry: &Entry, args: &Args<'_>) -> bool {
        if self.all_commands || self.allows(entry.index) || entry.command.flags.has(Flags::NO_AUTH)
        {
            return true;
        }
        // A subcommand without a name of its own is its container's first word.
        let index = match entry.container {
            None => Some(entry.index),
            Some(container) if !entry.is_visible() => {
                let container = table().find_original(container.name.as_bytes());
                container.map(|container| container.index)
            }
            Some(_) => None,
        };
        let word = (args.len() > 1).then(|| args.get(1));
        index
            .zip(word)
            .is_some_and(|(index, word)| self.allows_first_word(index, word))
    }

    fn check_keys(&self, entry: &Entry, args: &Args<'_>) -> Result<(), Denied> {
        let mut denied = None;
        let mut look = |at: usize, access: &KeyAccess| {
            if denied.is_none() && !self.may_touch(args.get(at), bits(access)) {
                denied = Some(Denied {
                    reason: Reason::Key,
                    word: at,
                });
            }
        };
        let specs = entry.command.keys;
        if let Spread::Gather(Program::Migrate) = entry.command.spread {
            // Where its keys are depends on words before them.
            if entry.takes(args.len())
                && let (Ok(migration), Some(spec)) = (Migration::parse(args), specs.first())
            {
                migration.keys.for_each(|at| look(at, &spec.access));
            }
        } else {
            for spec in specs.iter().filter(|spec| !spec.is_fake()) {
                let access = access_in(entry, spec, args);
                for_each_key_of(spec, args, &mut |at| look(at, &access));
            }
        }
        denied.map_or(Ok(()), Err)
    }

    fn check_channels(&self, what: PubSub, args: &Args<'_>) -> Result<(), Denied> {
        let (words, is_pattern) = match what {
            PubSub::Subscribe(subject) => (1..args.len(), subject == Subject::Pattern),
            PubSub::Publish(_) => (1..args.len().min(2), false),
            _ => return Ok(()),
        };
        for word in words {
            if !self.may_hear(args.get(word), is_pattern) {
                return Err(Denied {
                    reason: Reason::Channel,
                    word,
                });
            }
        }
        Ok(())
    }

    fn may_touch(&self, key: &[u8], access: u8) -> bool {
        (self.keys.iter())
            .any(|known| known.access & access == access && glob_match(&known.pattern, key, false))
    }

    fn may_touch_all_keys(&self, access: u8) -> bool {
        let is_all = |known: &super::selector::KeyPattern| {
            known.access & access == access && known.pattern == b"*"
        };
        self.all_keys || self.keys.iter().any(is_all)
    }

    /// Whether a channel's name matches, or a pattern is literally among the patterns.
    pub(super) fn may_hear(&self, name: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || (self.channels.iter()).any(|known| {
                if is_pattern {
                    known == name
                } else {
                    glob_match(known, name, false)
                }
            })
    }
}

impl User {
    /// Whether some selector lets it hear this.
    pub fn may_hear(&self, name: &[u8], is_pattern: bool) -> bool {
        (self.selectors().iter()).any(|selector| selector.may_hear(name, is_pattern))
    }

    /// Whether it may hear all that `before` may, judged by the patterns as they are written.
    pub fn hears_all_of(&self, before: &User) -> bool {
        if self
            .selectors()
            .iter()
            .any(|selector| selector.all_channels)
        {
            return true;
        }
        let known = |channel: &Vec<u8>| {
            (self.selectors().iter()).any(|selector| selector.channels.contains(channel))
        };
        (before.selectors().iter())
            .all(|selector| !selector.all_channels && selector.channels.iter().all(known))
    }
}

/// The words of a request that name databases, if they are numbers.
fn named_databases(entry: &Entry, args: &Args<'_>) -> Vec<usize> {
    match entry.full_name {
        "select" => vec![1],
        "swapdb" => vec![1, 2],
        "move" => vec![2],
        "copy" => {
            let follows = |at: &usize| args.is(*at - 1, "DB");
            (4..args.len()).filter(follows).collect()
        }
        _ => Vec::new(),
    }
}

/// What is to be allowed for that access: nothing, for what asks neither for content nor changes any.
fn bits(access: &KeyAccess) -> u8 {
    let has = |flag: &str| access.flags.contains(&flag);
    let mut bits = 0;
    if has("access") {
        bits |= READ;
    }
    if has("insert") || has("delete") || has("update") {
        bits |= WRITE;
    }
    bits
}
