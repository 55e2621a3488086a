//! What a connection has under way on several shards, while its next requests go on.
//!
//!     MULTI … EXEC   MULTI … EXEC   GET k   MSET …      each has its place among the replies, and runs at once
//!                                   \-> k is in one of those before it: waits until they all have their replies
//!
//! A transaction over shards may have to be tried again, behind what came after it; so what has one of its keys waits for
//! it. All else may overtake it, as requests of one pipeline to different shards do.
//!
//! Promises  requests of one connection with a common key take effect in their order; replies keep theirs.
//! Not here  the places of replies: `node/connection/`. What must run alone: `Core::must_drain`.
//! Tests     tests/server/overlap.rs, tests/sim/.

use super::block::Block;
use super::connection::{Blocked, Connection};
use super::core::{Core, Purpose, Start};
use super::dispatch::take_silence;
use super::functions::calls_function;
use super::ring::Token;
use crate::commands::Entry;
use crate::commands::table::{Program, Run, Spread};
use crate::resp::Args;
use crate::resp::args::OwnedArgs;
use crate::router::keys::for_each_lock;
use crate::router::{LockMode, Plan, Transaction};

/// With more keys than this it waits until nothing is under way: the list is walked for each key.
const KEYS_MAX: usize = 256;
/// With more transactions than this under way on a core, each connection has one at a time. One takes about 2 KiB.
const TRANSACTIONS_MAX: usize = 8 * 1024;
/// Emptied lists that a core keeps.
const SPARE_MAX: usize = 64;

/// Keys, by their hashes. Those of what has ended stay until everything has.
#[derive(Default)]
pub struct UnderWay {
    written: Vec<u64>,
    read: Vec<u64>,
    /// About what the words take of all that has begun.
    words_bytes: usize,
    /// A function is called, which is taken to stay with its keys.
    has_function: bool,
}

impl UnderWay {
    #[inline]
    fn has(&self, hash: u64, mode: LockMode) -> bool {
        self.written.contains(&hash) || mode == LockMode::Exclusive && self.read.contains(&hash)
    }

    fn is_full(&self) -> bool {
        self.written.len() + self.read.len() > KEYS_MAX
    }

    pub(super) fn add(&mut self, hash: u64, mode: LockMode) {
        match mode {
            LockMode::Exclusive => self.written.push(hash),
            LockMode::Shared => self.read.push(hash),
        }
    }

    /// So many more bytes of words are under way.
    pub(super) fn add_words(&mut self, words_bytes: usize) {
        self.words_bytes += words_bytes;
    }

    /// Forgets them; a large block's list goes, too.
    pub fn clear(&mut self) {
        self.words_bytes = 0;
        self.has_function = false;
        self.written.clear();
        self.read.clear();
        self.written.shrink_to(KEYS_MAX);
        self.read.shrink_to(KEYS_MAX);
    }

    /// Bytes it holds, and what is under way does.
    pub fn bytes(&self) -> usize {
        (self.written.capacity() + self.read.capacity()) * size_of::<u64>() + self.words_bytes
    }
}

/// Whether a command works on the keys that its words name, and on nothing else: no other key, no connection, no wait.
pub(super) fn has_plain_keys(entry: &Entry) -> bool {
    let is_plain = match entry.command.spread {
        Spread::Home | Spread::Split(_) => true,
        Spread::Gather(Program::RandomKey | Program::Migrate | Program::Sort) => false,
        Spread::Gather(_) => true,
        Spread::AnyCore | Spread::EveryShard(_) | Spread::Cursor => false,
    };
    is_plain && matches!(entry.command.run, Run::Keys(_)) && !entry.command.keys.is_empty()
}

impl Connection {
    /// Whether it has called a function that is not known to have ended, taken to stay with its keys.
    pub(super) fn has_function_under_way(&self) -> bool {
        let under_way = self.under_way.as_ref();
        under_way.is_some_and(|under_way| under_way.has_function) && !self.is_drained()
    }
}

impl Core {
    /// Whether what a connection asks for may begin while other requests of it are under way: messages that wait for its
    /// reply would have to wait for theirs.
    #[inline]
    pub(super) fn may_overlap(&self, connection: &Connection) -> bool {
        !connection.stays() && self.map.shards_count() > 1
    }

    /// Whether a transaction that may begin while others of its connection are under way has to wait all the same.
    pub(super) fn is_full_for_more(&mut self, token: Token, connection: &mut Connection) -> bool {
        let has_many =
            self.transactions.len() + self.pairs.len() + self.starts.len() > TRANSACTIONS_MAX;
        self.is_full_for(token, connection) || has_many && self.must_drain(connection)
    }

    /// Whether a request waits for a transaction or a script before it.
    ///
    /// - Cost: where there is none, one branch of the caller's.
    #[cold]
    pub(super) fn waits_for_keys(
        &mut self,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> bool {
        match entry.command.run {
            // They look for themselves.
            Run::Session(_) | Run::PubSub(_) | Run::Block(_) | Run::Script(_) => return false,
            _ => {}
        }
        if !has_plain_keys(entry) {
            return self.must_drain(connection);
        }
        self.command_waits_for_keys(connection, entry, args)
    }

    /// The same of a command that works on nothing but the keys that its words name.
    pub(super) fn command_waits_for_keys(
        &self,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> bool {
        let Some(under_way) = self.still_under_way(connection) else {
            return false;
        };
        let mut waits = under_way.is_full();
        for_each_lock(entry, args, |index, mode| {
            waits = waits || under_way.has(self.hasher.hash(args.get(index)), mode);
        });
        if waits {
            connection.blocked = Some(Blocked::UntilDrained);
        }
        waits
    }

    /// Whether a script may begin while other requests of its connection are under way: it is known to touch nothing but the
    /// keys that it declares, and has some.
    pub(super) fn script_overlaps(
        &mut self,
        connection: &Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        plan: Plan,
    ) -> bool {
        // One that runs at once, alone, has no use for the answer.
        let is_alone = plan == Plan::Shard(self.id) && connection.is_drained();
        !is_alone
            && self.may_overlap(connection)
            && args.get(2) != b"0"
            && self
                .prepare(entry, args)
                .is_ok_and(|prepared| prepared.script.stays)
    }

    /// Notes the keys of a script that goes on beside others.
    pub(super) fn note_keys_under_way(
        &mut self,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) {
        let hasher = &self.hasher;
        let spare = &mut self.spare_under_way;
        let under_way = connection
            .under_way
            .get_or_insert_with(|| spare.pop().unwrap_or_default());
        for_each_lock(entry, args, |index, mode| {
            under_way.add(hasher.hash(args.get(index)), mode);
        });
        under_way.words_bytes += args.bytes().len();
        under_way.has_function |= calls_function(entry);
    }

    /// The same of a block that has only such commands.
    pub(super) fn block_waits_for_keys(&self, connection: &mut Connection, block: &Block) -> bool {
        let Some(under_way) = self.still_under_way(connection) else {
            return false;
        };
        let mut waits = under_way.is_full();
        for step in block.queue().steps() {
            for_each_lock(step.entry, &step.args, |index, mode| {
                waits = waits || under_way.has(self.hasher.hash(step.args.get(index)), mode);
            });
        }
        if waits {
            connection.blocked = Some(Blocked::UntilDrained);
        }
        waits
    }

    fn still_under_way<'c>(&self, connection: &'c Connection) -> Option<&'c UnderWay> {
        let under_way = connection.under_way.as_deref();
        under_way.filter(|_| !connection.is_drained())
    }

    /// A connection has all its replies.
    #[cold]
    pub(super) fn nothing_under_way(&mut self, token: Token) {
        let connection = self.connections.get_mut(token);
        if let Some(mut under_way) = connection.and_then(|connection| connection.under_way.take())
            && self.spare_under_way.len() < SPARE_MAX
        {
            under_way.clear();
            self.spare_under_way.push(under_way);
        }
    }

    /// Starts a transaction behind what its connection has under way, which goes on.
    ///
    /// - `words_bytes`: about what its words take.
    pub(super) fn begin_behind(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        words: Option<OwnedArgs>,
        transaction: Transaction,
        (purpose, words_bytes): (Purpose, usize),
    ) {
        let spare = &mut self.spare_under_way;
        let under_way = connection
            .under_way
            .get_or_insert_with(|| spare.pop().unwrap_or_default());
        for key in transaction.keys() {
            under_way.add(key.hash, key.mode);
        }
        under_way.words_bytes += words_bytes;
        let silent = take_silence(connection);
        let sequence = connection.reserve(silent);
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        self.starts.push_back(Start {
            place: Some(sequence),
            ..Start::new(token, entry, words, transaction, purpose)
        });
    }
}
