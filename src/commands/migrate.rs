//! MIGRATE: keys go to another server, and are removed here when it has them.
//!
//! Not here  the steps: `router/programs/migrate.rs`; the connection: `node/errand.rs`.
//! Tests     tests/server/migrate.rs.

use std::ops::Range;

use super::CommandError;
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, KeyAccess, KeySpec, Program, Run, Spread,
};
use super::word::integer;
use crate::resp::{Args, Reply};

/// What a server is given where it names no time, in milliseconds.
const TIMEOUT_MS: u64 = 1000;

/// What the words say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The other server's database.
    pub destination_db: i64,
    /// How long each step of the connection may take.
    pub timeout_ms: u64,
    /// The keys stay here.
    pub copy: bool,
    /// The other server's keys are replaced.
    pub replace: bool,
    /// The words of its AUTH.
    pub auth: Range<usize>,
    /// The words that are keys.
    pub keys: Range<usize>,
}

impl Migration {
    /// Reads and checks the words.
    pub fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let (mut copy, mut replace, mut auth, mut keys) = (false, false, 0..0, 3..4);
        let mut index = 6;
        while index < args.len() {
            let words_left = args.len() - 1 - index;
            if args.is(index, "COPY") {
                copy = true;
            } else if args.is(index, "REPLACE") {
                replace = true;
            } else if args.is(index, "AUTH") && words_left >= 1 {
                auth = index + 1..index + 2;
                index += 1;
            } else if args.is(index, "AUTH2") && words_left >= 2 {
                auth = index + 1..index + 3;
                index += 2;
            } else if args.is(index, "KEYS") {
                if !args.get(3).is_empty() {
                    return Err(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
                            .into(),
                    );
                }
                keys = index + 1..args.len();
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        let timeout = integer(args.get(5))?;
        Ok(Self {
            destination_db: integer(args.get(4))?,
            timeout_ms: match u64::try_from(timeout) {
                Ok(timeout) if timeout > 0 => timeout,
                _ => TIMEOUT_MS,
            },
            copy,
            replace,
            auth,
            keys,
        })
    }
}

/// It is never one step on a shard: `router/plan.rs` makes a transaction of it on any number of shards.
fn migrate(_: &mut Call<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Result<Effect, CommandError> {
    Err("ERR MIGRATE needs a connection".into())
}

/// Which words are keys: word 3, or all after KEYS where that is empty; none where there are both.
pub fn key_words(args: &Args<'_>) -> Option<std::ops::Range<usize>> {
    let mut at = 6;
    while at < args.len() {
        if args.is(at, "KEYS") {
            return args.get(3).is_empty().then_some(at + 1..args.len());
        }
        at += match () {
            () if args.is(at, "AUTH2") => 3,
            () if args.is(at, "AUTH") => 2,
            () => 1,
        };
    }
    Some(3..4)
}

/// MIGRATE.
pub const COMMANDS: &[Command] = &[Command {
    name: "MIGRATE",
    since: "2.6.0",
    arity: Arity::AtLeast(6),
    flags: KEYSPACE_WRITE
        .or(Flags::CAT_DANGEROUS)
        .or(Flags::MOVABLE_KEYS),
    keys: &[
        key_at(3, "RW", &["access", "delete"]),
        KeySpec {
            access: KeyAccess {
                mode: "RW",
                flags: &["access", "delete", "incomplete"],
            },
            begin: Begin::Keyword {
                word: "KEYS",
                start_from: -2,
            },
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 0,
            },
            notes: "",
        },
    ],
    spread: Spread::Gather(Program::Migrate),
    args: "host port:integer key-selector=(key | empty-string=\"\") destination-db timeout [COPY]@3.0.0 [REPLACE]@3.0.0 \
           authentication=[AUTH auth~password@4.0.7 | auth2=AUTH2(username password)@6.0.0] \
           [KEYS keys:key~key ...]@3.0.6",
    summary: "Moves keys to another server, each of them there or here at any time.",
    cost: "O(N) where N is the size of the values, for the payloads and for sending them.",
    tips: &["nondeterministic_output"],
    history: &[
        ("3.0.0", "`COPY` and `REPLACE` came."),
        ("3.0.6", "`KEYS` came."),
        ("4.0.7", "`AUTH` came."),
        ("6.0.0", "`AUTH2` came."),
    ],
    run: Run::Keys(migrate),
    ..ROW
}];
