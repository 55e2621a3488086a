//! Libraries of functions in logs: what each change has made of the process's one set, whichever core made it.
//!
//!     FUNCTION PUT   version name code     this library is there, in the place of one with its name
//!     FUNCTION DROP  version name          it is not
//!     FUNCTION ARE   version code ...      these are all
//!
//! Promises  a change names the record of the one before it as what it depends on (`shard/effects.rs`), so what a recovery finds is
//!           the first so many of all changes. Versions count from a start of the process, as epochs do; a base says up to
//!           which one it has them.
//! Not here  the set itself: `node/functions.rs`.
//! Tests     tests/persist/libraries.rs, tests/server/functions.rs.

use crate::base::number::parse_i64;
use crate::resp::Args;

/// The command that they are logged as.
const COMMAND: &[u8] = b"FUNCTION";

/// What became of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibraryChange {
    /// One is there.
    Put {
        /// Its name.
        name: Vec<u8>,
        /// Its text.
        code: Vec<u8>,
    },
    /// One is gone.
    Drop {
        /// Its name.
        name: Vec<u8>,
    },
    /// These are all, by their texts.
    Are(Vec<Vec<u8>>),
}

impl LibraryChange {
    /// As it is logged.
    pub fn words(&self, version: u64) -> Vec<Vec<u8>> {
        let (kind, words): (&[u8], &[_]) = match self {
            Self::Put { name, code } => (b"PUT", &[name.clone(), code.clone()]),
            Self::Drop { name } => (b"DROP", std::slice::from_ref(name)),
            Self::Are(codes) => (b"ARE", codes),
        };
        let mut all = vec![
            COMMAND.to_vec(),
            kind.to_vec(),
            version.to_string().into_bytes(),
        ];
        all.extend_from_slice(words);
        all
    }

    /// A change and its version; none: the command is something else.
    pub fn from_words(args: &Args<'_>) -> Option<(u64, Self)> {
        if args.len() < 3 || args.get(0) != COMMAND {
            return None;
        }
        let version = parse_i64(args.get(2))? as u64;
        let change = match (args.get(1), args.len()) {
            (b"PUT", 5) => Self::Put {
                name: args.get(3).to_vec(),
                code: args.get(4).to_vec(),
            },
            (b"DROP", 4) => Self::Drop {
                name: args.get(3).to_vec(),
            },
            (b"ARE", _) => Self::Are(args.iter_from(3).map(<[u8]>::to_vec).collect()),
            _ => return None,
        };
        Some((version, change))
    }
}
