//! What a command is, and the one table of all of them.
//!
//! Everything about a command that any other room needs derives from its row: arity errors, key extraction, routing,
//! flags, COMMAND's replies, ACL categories and per-command figures. A name is compared only here.

use super::CommandError;
use super::session::{Action, SessionCall};
use crate::keyspace::Keyspace;
use crate::resp::{Args, Protocol, Reply};

/// How many words a request has, the name included (and for subcommands, the container's name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly this many.
    Exactly(u8),
    /// This many or more.
    AtLeast(u8),
}

/// COMMAND's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    PubSub,
    Transactions,
    Connection,
    Server,
    Scripting,
    HyperLogLog,
    Cluster,
    Geo,
    Stream,
    Bitmap,
}

/// Command flags as COMMAND INFO names them, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

#[allow(missing_docs)]
impl Flags {
    pub const NONE: Flags = Flags(0);
    pub const WRITE: Flags = Flags(1);
    pub const READONLY: Flags = Flags(1 << 1);
    pub const DENYOOM: Flags = Flags(1 << 2);
    pub const ADMIN: Flags = Flags(1 << 3);
    pub const PUBSUB: Flags = Flags(1 << 4);
    pub const NOSCRIPT: Flags = Flags(1 << 5);
    pub const BLOCKING: Flags = Flags(1 << 6);
    pub const LOADING: Flags = Flags(1 << 7);
    pub const STALE: Flags = Flags(1 << 8);
    pub const SKIP_MONITOR: Flags = Flags(1 << 9);
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
    pub const ASKING: Flags = Flags(1 << 11);
    pub const FAST: Flags = Flags(1 << 12);
    pub const NO_AUTH: Flags = Flags(1 << 13);
    pub const MAY_REPLICATE: Flags = Flags(1 << 14);
    pub const NO_MULTI: Flags = Flags(1 << 15);
    pub const MOVABLE_KEYS: Flags = Flags(1 << 16);
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 17);
    pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 18);
    pub const ALLOW_BUSY: Flags = Flags(1 << 19);
    // Not COMMAND flags: what ACL categories add on top of what group and flags imply.
    pub const CAT_KEYSPACE: Flags = Flags(1 << 24);
    pub const CAT_DANGEROUS: Flags = Flags(1 << 25);
    pub const CAT_CONNECTION: Flags = Flags(1 << 26);

    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How one key specification finds its keys (COMMAND's key_specs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What the command does to these keys.
    pub access: KeyAccess,
    /// Where the search begins.
    pub begin: Begin,
    /// Which words from there are keys.
    pub find: Find,
}

/// Where a key specification begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Begin {
    Index(u8),
    Keyword { word: &'static str, start_from: i8 },
    Unknown,
}

/// Which words are keys. `last` counts from `begin` (negative: from the end), `step` words from key to key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Find {
    Range { last: i8, step: u8, limit: u8 },
    KeyNum { at: u8, first: u8, step: u8 },
    Unknown,
}

/// The flags of a key specification: RW, RO, OW or RM, then what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAccess {
    /// `RW`, `RO`, `OW` or `RM`.
    pub mode: &'static str,
    /// `access`, `update`, `insert`, `delete`, `variable_flags`, `not_key`, `incomplete` in COMMAND's order.
    pub flags: &'static [&'static str],
}

/// Where a command runs when its keys live on several shards; with one shard involved every spread but the
/// session's runs there in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// No keys; the connection's core answers.
    AnyCore,
    /// Its keys are on one shard by nature (one key).
    Home,
    /// The command is cut into the same command for each shard's keys, replies merged.
    Split(Merge),
    /// Several phases over several shards; the program is in `router/programs.rs`.
    Gather(Program),
    /// All shards run it as it is, replies merged.
    EveryShard(Merge),
    /// The shard is in the cursor (SCAN).
    Cursor,
}

/// How parts of a reply become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Integers are added (DEL, EXISTS, DBSIZE).
    Sum,
    /// Array elements return to the order of the request's keys (MGET).
    Interleave,
    /// Arrays are concatenated (KEYS).
    Concat,
    /// All say OK, or the first error (MSET, FLUSHALL).
    AllOk,
}

/// Commands that need more than one phase over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Program {
    Rename,
    RenameNx,
    Copy,
    Lcs,
    MsetNx,
    MsetEx,
    RandomKey,
}

/// What runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// Works on one shard's keys.
    Keys(fn(&mut Call<'_>, &Args<'_>, &mut Reply<'_>) -> Result<Effect, CommandError>),
    /// Works on the connection, or asks the node for something.
    Session(fn(&mut SessionCall<'_>, &Args<'_>, &mut Reply<'_>) -> Result<Action, CommandError>),
    /// A container: only its subcommands run.
    Container,
}

/// What a handler on a shard sees: its keys, the database, and who asks. No socket, no clock, no other shard.
pub struct Call<'a> {
    /// This shard's keys; `keys.now_ms()` is the time for the whole batch.
    pub keys: &'a mut Keyspace,
    /// The selected database, below the number of databases.
    pub db: usize,
    /// Who asks.
    pub caller: Caller,
}

/// What a handler may know of the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The protocol its replies are in.
    pub protocol: Protocol,
    /// `CLIENT NO-TOUCH on`: reads leave access clocks alone.
    pub no_touch: bool,
}

/// What a command did, for whoever logs, counts or announces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Changes made (what Redis adds to `rdb_changes_since_last_save`).
    pub changes: u64,
}

impl Effect {
    /// Nothing was changed.
    pub const NONE: Effect = Effect { changes: 0 };

    /// `changes` changes were made.
    pub fn wrote(changes: u64) -> Self {
        Self { changes }
    }
}

/// One row of the table.
pub struct Command {
    /// Upper case; for a subcommand only its own word.
    pub name: &'static str,
    /// The Redis (or Valkey) release that brought it.
    pub since: &'static str,
    /// Its group.
    pub group: Group,
    /// Words, the name included.
    pub arity: Arity,
    /// Its flags.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Where it runs.
    pub spread: Spread,
    /// The syntax after the name; COMMAND DOCS arguments are read from it (`commands/derive.rs`).
    pub args: &'static str,
    /// One sentence, our own words.
    pub summary: &'static str,
    /// Cost in O notation.
    pub cost: &'static str,
    /// COMMAND tips (`nondeterministic_output`, `request_policy:all_shards`, …).
    pub tips: &'static [&'static str],
    /// `(release, replaced by)` for deprecated commands.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Changes by release: `(release, what changed)`.
    pub history: &'static [(&'static str, &'static str)],
    /// Subcommands of a container.
    pub sub: &'static [Command],
    /// What runs.
    pub run: Run,
}

/// A row as the process uses it: the command, its index into per-command figures, and its names.
pub struct Entry {
    /// The row.
    pub command: &'static Command,
    /// Index into per-command arrays, below `Table::len`.
    pub index: u16,
    /// `get`, `config|set`: lower case, as INFO and errors name it.
    pub full_name: &'static str,
    /// Entries of the subcommands.
    pub sub: &'static [Entry],
}
