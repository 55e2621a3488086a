//! What a command is, and the one table of all of them.
//!
//! Everything about a command that any other room needs derives from its row: arity errors, key extraction, routing,
//! flags, COMMAND's replies, ACL categories and per-command figures. A name is compared only here.
//!
//! Promises  `find` allocates nothing and takes one probe for nearly every name; a row's `index` never changes in a
//!           process, so per-command figures are plain arrays of `Table::len`.
//! Not here  where keys are: `commands/keys.rs`; COMMAND's replies: `commands/derive.rs`.
//! Tests     tests/commands/table.rs: every name in every case, unknown names, arity and subcommand error texts.

use super::CommandError;
use super::keys::KeyShape;
use super::pubsub::PubSub;
use super::rename::Renames;
use super::session::{Action, SessionCall};
use crate::keyspace::{Keyspace, Tracker};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Lent, Protocol, Reply};
use std::sync::OnceLock;

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
    Array,
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
    pub const CAT_ADMIN: Flags = Flags(1 << 31);
    /// Lists, sets and sorted sets: what can be sorted.
    pub const CAT_SORTABLE: Flags = Flags(1 << 29);
    /// A row COMMAND does not show: a subcommand of a command that Redis describes as a whole (DEBUG).
    pub const HIDDEN: Flags = Flags(1 << 27);
    /// The node puts words of the connection's between those of a request before anybody else sees it (HIMPORT SET).
    pub const SPELLED_OUT: Flags = Flags(1 << 23);
    /// Waits only where its words say BLOCK.
    pub const WAITS_IF_TOLD: Flags = Flags(1 << 20);
    /// Where there are save points its reply waits for a snapshot (FLUSHALL).
    pub const SAVED: Flags = Flags(1 << 22);
    /// Runs only where `enable-debug-command` says so.
    pub const PROTECTED: Flags = Flags(1 << 28);
    /// A RESP2 client that is subscribed to something may ask for nothing else.
    pub const WHILE_SUBSCRIBED: Flags = Flags(1 << 30);

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
    /// Why its flags are what they are, where that has to be said; mostly nothing.
    pub notes: &'static str,
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
    /// Several phases over several shards; the program is in `router/programs/`.
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
    /// Digests of each database's keys become one of everything (DEBUG DIGEST).
    Digests,
    /// Figures of tables become a text about all of them (DEBUG HTSTATS).
    Tables,
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
    Migrate,
    Sort,
    SetMove,
    /// The first key that exists, in the order they are named, is worked on alone.
    FirstExisting,
    /// Elements leave a list on one shard for a list on another.
    ListMove,
    /// Streams are read on their shards, the parts joined in the order of the request.
    ReadStreams,
    /// Values of keys that are only read are brought to the shard of the key that is written, or of the first key; the
    /// command runs there.
    Bring,
}

/// What runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// Works on one shard's keys.
    Keys(KeysHandler),
    /// Works on the connection, or asks the node for something.
    Session(fn(&mut SessionCall<'_>, &Args<'_>, &mut Reply<'_>) -> Result<Action, CommandError>),
    /// The same, and it may ask to wait for a key to have something ([`Call::wait`]).
    Waits(KeysHandler),
    /// Works on who is subscribed to what, which the node keeps.
    PubSub(PubSub),
    /// Works on the connection's queue of commands, or on what it watches.
    Block(Verb),
    /// Runs a script, which calls other commands.
    Script(ScriptCommand),
    /// A container: only its subcommands run.
    Container,
}

/// How a command names the script that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptCommand {
    /// Word 1 is its text.
    Text,
    /// Word 1 is the SHA-1 of its text.
    Digest,
    /// Word 1 is the name of a library's function.
    Function,
}

/// What concerns a block of commands and what it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
}

/// A handler on one shard's keys.
pub type KeysHandler = fn(&mut Call<'_>, &Args<'_>, &mut Reply<'_>) -> Result<Effect, CommandError>;

impl Run {
    /// The handler, where it works on keys.
    #[inline]
    pub fn on_keys(&self) -> Option<KeysHandler> {
        match self {
            Run::Keys(handler) | Run::Waits(handler) => Some(*handler),
            Run::Session(_) | Run::PubSub(_) | Run::Block(_) | Run::Script(_) | Run::Container => {
                None
            }
        }
    }

    /// Whether it runs a script.
    #[inline]
    pub fn is_script(&self) -> bool {
        matches!(self, Run::Script(_))
    }
}

/// What a handler on a shard sees: its keys, the database, and who asks. No socket, no clock, no other shard.
pub struct Call<'a> {
    /// This shard's keys; `keys.now_ms()` is the time for the whole batch.
    pub keys: &'a mut Keyspace,
    /// The selected database, below the number of databases.
    pub db: usize,
    /// Who asks.
    pub caller: &'a Caller,
    /// Whether a command that finds nothing may wait for something.
    pub patience: Patience,
    /// It is a request by itself: its reply may come in pieces.
    pub is_alone: bool,
    /// Whether a handler that must say what it did has anybody to say it to.
    pub is_logged: bool,
    /// What few commands say of themselves; empty when a handler begins.
    pub aside: &'a mut Aside,
}

impl Call<'_> {
    /// What it did is logged as `commands`, not as its words; only where it is logged at all.
    #[cold]
    pub fn log_instead(&mut self, commands: Vec<OwnedArgs>) {
        debug_assert!(self.is_logged, "somebody listens");
        self.aside.instead = Some(commands);
    }

    /// It is logged as its words although it counts no change.
    ///
    /// - `name`: what it was born with, whatever `rename-command` has made of that.
    #[cold]
    pub fn log_all_the_same(&mut self, name: &str, args: &Args<'_>) {
        let mut words: OwnedArgs = [name.as_bytes()].into_iter().collect();
        args.iter_from(1).for_each(|word| words.push(word));
        self.log_instead(vec![words]);
    }
}

/// What few commands say besides their reply and their effect. It outlives the call, which most commands leave it out of.
#[derive(Debug, Default)]
pub struct Aside {
    /// What the command waits for, if it does.
    pub waits: Option<Wait>,
    /// What is logged in its place: a random choice as its outcome.
    pub instead: Option<Vec<OwnedArgs>>,
    /// Whoever has the request run takes a string that the reply lacks.
    pub may_lend: bool,
    /// That string.
    pub lent: Option<Lent>,
}

impl Aside {
    /// How a command that has run is logged where anything is.
    #[inline]
    pub fn take_logged(&mut self) -> Logged {
        match self.instead.take() {
            Some(commands) => Logged::Instead(commands),
            None => Logged::AsIs,
        }
    }
}

/// How what a command did is logged: as its words, where the same words at the same time on the same keys do the same.
#[derive(Clone, Debug, Default)]
pub enum Logged {
    /// Not at all: it did nothing.
    #[default]
    Off,
    /// As its words.
    AsIs,
    /// As these commands.
    Instead(Vec<OwnedArgs>),
}

/// Whether a command may make its client wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// No: finding nothing is a timeout at once.
    #[default]
    Never,
    /// No, and it is not that its time is up: it stands between MULTI and EXEC.
    Denied,
    /// Yes.
    First,
    /// Yes, and it has found nothing under the same locks: what time alone has brought since is for the next look.
    Entering,
    /// It has waited, and one of its keys has something for it.
    Again,
}

/// A command's wish to wait for its keys.
#[derive(Clone, Debug, Default)]
pub struct Wait {
    /// How long, in milliseconds; none: for ever.
    pub timeout_ms: Option<u64>,
    /// The words to run when something has happened, where they are not those that were sent (XREAD's `$`).
    pub words: Option<OwnedArgs>,
    /// Whether it is also to run when a key has gone (XREADGROUP).
    pub on_delete: bool,
}

/// What a handler may know of the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The protocol its replies are in.
    pub protocol: Protocol,
    /// `CLIENT NO-TOUCH on`: reads leave access clocks alone.
    pub no_touch: bool,
    /// Its user, where what is done for it later must still be checked (`acl/users.rs`); 0: it may do everything.
    pub user: u32,
    /// A script asks: what it sees must not depend on chance.
    pub in_script: bool,
    /// It stands between MULTI and EXEC, on whatever shard.
    pub in_block: bool,
    /// What it reads is to be tracked.
    pub tracks: bool,
    /// It looks on behalf of a command that tells for itself what it misses.
    pub is_look: bool,
    /// It is known by this where keys are tracked; none: it tracks nothing.
    pub tracker: Option<Tracker>,
}

impl Caller {
    /// The same client, whose command only looks before it does what it does.
    pub fn to_look(self) -> Self {
        Self {
            is_look: true,
            tracks: false,
            ..self
        }
    }
}

/// What a command did, for whoever logs, counts or announces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Changes made (what Redis adds to `rdb_changes_since_last_save`).
    pub changes: u64,
    /// Keys may have appeared that its words do not name, or in other databases: whoever waits for any must look.
    pub wakes_all: bool,
    /// Which keys were changed, where it changed anything.
    pub touched: Touched,
    /// Another shard counts these changes: each of them has made the same.
    pub is_counted_elsewhere: bool,
}

/// Which of the keys that a command may write it has changed, for those who watch them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Touched {
    /// Those that its words name and that were there or are.
    #[default]
    Named,
    /// The one that this word names.
    Word(u8),
    /// What its words name, in this database.
    InDatabase(u16),
    /// Only those that have come or gone: what it changed of others is no change to Redis (XACK).
    ComeOrGone,
    /// Those that its words name and that are there, even where it counts no change (LTRIM).
    Always,
}

impl Effect {
    /// Nothing was changed.
    pub const NONE: Effect = Effect {
        changes: 0,
        wakes_all: false,
        touched: Touched::Named,
        is_counted_elsewhere: false,
    };

    /// `changes` changes were made.
    pub fn wrote(changes: u64) -> Self {
        Self {
            changes,
            ..Self::NONE
        }
    }

    /// The same, where not all keys that are named were changed.
    pub fn touching(self, touched: Touched) -> Self {
        Self { touched, ..self }
    }

    /// The same, and keys may have appeared that its words do not name.
    pub fn wakes_all(self) -> Self {
        Self {
            wakes_all: true,
            ..self
        }
    }

    /// The same, where every shard makes a change that counts once: one of them counts it.
    pub fn counted_by(self, shard_counts: bool) -> Self {
        Self {
            is_counted_elsewhere: !shard_counts,
            ..self
        }
    }

    /// Changes to count for `rdb_changes_since_last_save` on this shard.
    pub fn counted_changes(self) -> u64 {
        match self.is_counted_elsewhere {
            true => 0,
            false => self.changes,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
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
    /// Servers use it on each other, or their authors: COMMAND DOCS says `syscmd`.
    pub is_system: bool,
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
    /// The container of a subcommand's row.
    pub container: Option<&'static Command>,
    /// Index into per-command arrays, below `Table::len`.
    pub index: u16,
    /// `get`, `config|set`: lower case, as INFO and errors name it.
    pub full_name: &'static str,
    /// What clients call it, upper case: its name, unless `rename-command` says otherwise; none where nobody may call it.
    pub called: Option<&'static str>,
    /// It is no subcommand, and clients call it by its row's name.
    pub is_called_as_born: bool,
    /// Where the keys are, decided once.
    pub keys: KeyShape,
    /// The handler, where word 1 is its only key and nothing but its rights decides where and whether it runs.
    pub plain: Option<KeysHandler>,
    /// Fewest and most words of a request, container and name included: the row's arity, at hand.
    words_min: u32,
    words_max: u32,
    /// Entries of the subcommands.
    pub sub: &'static [Entry],
}

impl Entry {
    /// The words a handler sees: a subcommand's own word is word 0 there.
    #[inline]
    pub fn handler_args<'a>(&self, args: &Args<'a>) -> Args<'a> {
        args.tail(usize::from(self.container.is_some()))
    }

    /// Whether a request of `words` words, container and name included, may run.
    #[inline]
    pub fn takes(&self, words: usize) -> bool {
        words >= self.words_min as usize && words <= self.words_max as usize
    }

    /// Whether it has a name of its own for COMMAND and access rules.
    pub fn is_visible(&self) -> bool {
        !self.command.flags.has(Flags::HIDDEN)
    }

    /// Whether COMMAND describes subcommands of it; one that it describes as a whole may have some all the same (DEBUG).
    pub fn shows_subs(&self) -> bool {
        self.sub.iter().any(Self::is_visible)
    }
}

/// Every command this server has.
pub struct Table {
    entries: &'static [Entry],
    is_renamed: bool,
    rows_count: usize,
    places: Box<[Place; PLACES_COUNT]>,
}

/// Places of the open-addressed name index: a power of two, several times the number of commands.
const PLACES_COUNT: usize = 2048;

/// One place of the name index.
#[derive(Clone, Copy)]
struct Place {
    /// First eight bytes, folded, and the length: nearly always enough to tell a miss.
    prefix: u64,
    len: u8,
    /// Whether those two are the name: it is short and all letters, and folding confuses no letters but their cases.
    is_whole: bool,
    entry: Option<&'static Entry>,
}

static TABLE: OnceLock<Table> = OnceLock::new();

/// The table, built on first use.
#[inline]
pub fn table() -> &'static Table {
    TABLE.get_or_init(|| Table::build(super::FAMILIES, &Renames::default()))
}

/// Builds the table with commands renamed; false if it was in use before, and stays as it is.
pub fn rename(renames: &Renames) -> bool {
    TABLE.set(Table::build(super::FAMILIES, renames)).is_ok()
}

impl Table {
    fn build(families: &[&'static [Command]], renames: &Renames) -> Table {
        let mut index = 0;
        let mut entries = Vec::new();
        for command in families.iter().copied().flatten() {
            let mut entry = Entry::build(command, None, &mut index);
            entry.called = renames.name_of(command.name);
            entry.is_called_as_born = entry.called == Some(command.name);
            entries.push(entry);
        }
        let entries: &'static [Entry] = entries.leak();
        let empty = Place {
            prefix: 0,
            len: 0,
            is_whole: false,
            entry: None,
        };
        let mut places = Box::new([empty; PLACES_COUNT]);
        assert!(entries.len() * 4 < PLACES_COUNT, "the name index is sparse");
        for entry in entries {
            let Some(called) = entry.called else {
                continue;
            };
            let name = called.as_bytes();
            let (prefix, mut at) = fold(name);
            while let Some(other) = places[at].entry {
                assert!(other.called != entry.called, "one row per name: {called}");
                at = (at + 1) % PLACES_COUNT;
            }
            places[at] = Place {
                prefix,
                len: name.len() as u8,
                is_whole: name.len() <= 8 && name.iter().all(u8::is_ascii_uppercase),
                entry: Some(entry),
            };
        }
        Table {
            entries,
            is_renamed: !renames.is_empty(),
            rows_count: usize::from(index),
            places,
        }
    }

    /// The command that clients call by that name, in any case; containers are found, their subcommands are not. What the server
    /// itself wants to run it looks for with [`Table::find_original`].
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        let (prefix, mut at) = fold(name);
        loop {
            let place = &self.places[at];
            let entry = place.entry?;
            if place.prefix == prefix
                && usize::from(place.len) == name.len()
                && (place.is_whole || entry.is_called(name))
            {
                return Some(entry);
            }
            at = (at + 1) % PLACES_COUNT;
        }
    }

    /// Finds a command or subcommand by its full name: `get`, `config|set`, in any case.
    pub fn find_full(&self, name: &[u8]) -> Option<&'static Entry> {
        match name.iter().position(|&byte| byte == b'|') {
            None => self.find(name),
            Some(bar) => self.find(&name[..bar])?.find_sub(&name[bar + 1..]),
        }
    }

    /// The same by the name the command was born with, whatever `rename-command` has made of it: access rules, figures
    /// and logs speak of commands by these.
    pub fn find_original(&self, name: &[u8]) -> Option<&'static Entry> {
        let (name, sub) = match name.iter().position(|&byte| byte == b'|') {
            None => (name, None),
            Some(bar) => (&name[..bar], Some(&name[bar + 1..])),
        };
        let is_it = |entry: &&Entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name);
        let entry = if self.is_renamed {
            self.entries.iter().find(is_it)
        } else {
            self.find(name)
        }?;
        match sub {
            None => Some(entry),
            Some(sub) => entry.find_sub(sub),
        }
    }

    /// Rows, subcommands included: the length of per-command arrays.
    pub fn len(&self) -> usize {
        self.rows_count
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows_count == 0
    }

    /// The commands, without subcommands.
    pub fn entries(&self) -> &'static [Entry] {
        self.entries
    }

    /// Every row, subcommands included, in the order of `index`.
    pub fn rows(&self) -> impl Iterator<Item = &'static Entry> + use<> {
        self.entries
            .iter()
            .flat_map(|entry| std::iter::once(entry).chain(entry.sub))
    }

    /// The row that a request is about, whatever the number of its words; a container's where it has no word beside its name.
    ///
    /// - `args`: at least one word.
    /// - None for what [`Table::resolve`] calls an unknown command or subcommand.
    pub fn named(&self, args: &Args<'_>) -> Option<&'static Entry> {
        let entry = self.find(args.get(0))?;
        if entry.sub.is_empty() || args.len() == 1 {
            return Some(entry);
        }
        // What looks at its own subcommands is one command to Redis.
        let unknown = entry.hides_subcommands().then_some(entry);
        entry.find_sub(args.get(1)).or(unknown)
    }

    /// The row that a request runs, its arity checked.
    ///
    /// - `args`: at least one word.
    /// - Errors: Redis's texts for an unknown command, an unknown subcommand and a wrong number of words.
    #[inline]
    pub fn resolve(&self, args: &Args<'_>) -> Result<&'static Entry, CommandError> {
        let Some(mut entry) = self.find(args.get(0)) else {
            return Err(unknown_command(args));
        };
        if !entry.sub.is_empty() && args.len() > 1 {
            entry = match entry.find_sub(args.get(1)) {
                Some(sub) => sub,
                None => return Err(unknown_subcommand(entry, args)),
            };
        }
        if entry.takes(args.len()) {
            return Ok(entry);
        }
        Err(wrong_arity(entry, args))
    }
}

impl Entry {
    fn build(
        command: &'static Command,
        container: Option<&'static Command>,
        index: &mut u16,
    ) -> Entry {
        let full_name = match container {
            None => command.name.to_ascii_lowercase(),
            Some(above) => format!("{}|{}", above.name, command.name).to_ascii_lowercase(),
        };
        let own_index = *index;
        *index += 1;
        let sub: Vec<Entry> = command
            .sub
            .iter()
            .map(|sub| Entry::build(sub, Some(command), index))
            .collect();
        let (words_min, words_max) = match command.arity {
            Arity::Exactly(count) => (u32::from(count), u32::from(count)),
            Arity::AtLeast(count) => (u32::from(count), u32::MAX),
        };
        let keys = KeyShape::of(command.keys);
        Entry {
            command,
            container,
            words_min,
            words_max,
            index: own_index,
            full_name: full_name.leak(),
            called: Some(command.name),
            is_called_as_born: container.is_none(),
            keys,
            plain: plain_handler(command, keys).filter(|_| container.is_none()),
            sub: sub.leak(),
        }
    }

    fn is_called(&self, name: &[u8]) -> bool {
        let called = self.called.unwrap_or_default();
        called.as_bytes().eq_ignore_ascii_case(name)
    }

    /// Whether COMMAND shows none of its subcommands, since Redis's handler looks at them itself (DEBUG).
    pub fn hides_subcommands(&self) -> bool {
        !self.sub.is_empty() && self.sub.iter().all(|sub| !sub.is_visible())
    }

    /// The subcommand of that name in any case.
    pub fn find_sub(&self, name: &[u8]) -> Option<&'static Entry> {
        self.sub
            .iter()
            .find(|sub| sub.command.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// See [`Entry::plain`].
fn plain_handler(command: &Command, keys: KeyShape) -> Option<KeysHandler> {
    let is_spelled_as_it_runs = !command.flags.has(Flags::SPELLED_OUT);
    match command.run {
        Run::Keys(handler)
            if keys == KeyShape::One(1)
                && command.spread == Spread::Home
                && command.sub.is_empty()
                && !command.flags.has(Flags::PROTECTED)
                && is_spelled_as_it_runs =>
        {
            Some(handler)
        }
        _ => None,
    }
}

/// The first eight bytes with the case bit cleared, and where a name's search begins. The bit is cleared in digits and
/// signs too: what that confuses, the comparison of the whole name tells apart. Names of one length up to eight bytes
/// whose bytes differ in more than that bit fold differently.
#[inline]
fn fold(name: &[u8]) -> (u64, usize) {
    let prefix = match name.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(head), Some(tail)) => {
                // The two overlap where the name has fewer than eight bytes; equal names still fold equally. So below.
                u64::from(u32::from_le_bytes(*head)) | u64::from(u32::from_le_bytes(*tail)) << 32
            }
            _ => match (name.first_chunk::<2>(), name.last_chunk::<2>()) {
                (Some(head), Some(tail)) => {
                    u64::from(u16::from_le_bytes(*head))
                        | u64::from(u16::from_le_bytes(*tail)) << 16
                }
                _ => name.first().map_or(0, |&byte| u64::from(byte)),
            },
        },
    } & 0xdfdf_dfdf_dfdf_dfdf;
    let mixed = (prefix ^ (name.len() as u64) << 59).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (prefix, (mixed >> 53) as usize)
}

/// Bytes of a client's word that an error text repeats.
const QUOTED_BYTES_MAX: usize = 128;

/// A client's word as an error text repeats it: cut at `max` bytes and at a NUL.
fn quoted(word: &[u8], max: usize) -> &[u8] {
    let word = &word[..word.len().min(max)];
    word.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cold]
fn unknown_command(args: &Args<'_>) -> CommandError {
    let mut words = Vec::new();
    for word in args.iter_from(1) {
        if words.len() >= QUOTED_BYTES_MAX {
            break;
        }
        words.push(b'\'');
        words.extend_from_slice(quoted(word, QUOTED_BYTES_MAX + 1 - words.len()));
        words.extend_from_slice(b"' ");
    }
    let name = quoted(args.get(0), QUOTED_BYTES_MAX);
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(name);
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&words);
    CommandError::Quoting(text)
}

#[cold]
fn unknown_subcommand(container: &Entry, args: &Args<'_>) -> CommandError {
    let word = quoted(args.get(1), QUOTED_BYTES_MAX);
    if container.hides_subcommands() {
        // Redis has no rows for DEBUG's subcommands; its handler finds out, with a text of its own.
        return unknown_or_arity(container.command.name, word);
    }
    let name = container.command.name;
    CommandError::quoting(
        "ERR unknown subcommand '",
        word,
        &format!("'. Try {name} HELP."),
    )
}

#[cold]
fn wrong_arity(entry: &'static Entry, args: &Args<'_>) -> CommandError {
    match entry.container {
        Some(container) if !entry.is_visible() => {
            unknown_or_arity(container.name, quoted(args.get(1), QUOTED_BYTES_MAX))
        }
        _ => CommandError::Arity(entry.full_name),
    }
}

/// What a handler that looks at its own subcommands says about one it cannot take.
pub fn unknown_or_arity(container: &str, word: &[u8]) -> CommandError {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, word, &format!("'. Try {container} HELP."))
}
