//! What of a request others may see: words without secrets, cut to what a log keeps.
//!
//! Promises  passwords and users' rules never leave; a word is secret by where it stands, whether its command succeeds or not.
//! Source    SLOWLOG's limits are Redis's: 32 words of 128 bytes, the rest counted.
//! Tests     tests/commands/redact.rs.

use super::Entry;
use crate::resp::Args;
use crate::resp::args::OwnedArgs;

/// What stands in a secret's place.
const REDACTED: &[u8] = b"(redacted)";
/// Words a log keeps of a request.
const WORDS_MAX: usize = 32;
/// Bytes it keeps of a word.
const WORD_BYTES_MAX: usize = 128;

/// Options whose values are secrets.
const SECRET_OPTIONS: &[&str] = &[
    "requirepass",
    "masterauth",
    "masteruser",
    "primaryauth",
    "primaryuser",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
];

/// Which words of a request are secret.
enum Secrets {
    /// None.
    None,
    /// From this word on.
    From(usize),
    /// Values of the options that are.
    OptionValues,
    /// So many words after `AUTH`, and after `AUTH2`.
    AfterAuth(usize, usize),
}

impl Secrets {
    fn of(entry: &Entry) -> Self {
        match entry.full_name {
            "auth" => Self::From(1),
            "acl|setuser" | "acl|deluser" | "acl|getuser" => Self::From(2),
            "config|set" => Self::OptionValues,
            "hello" => Self::AfterAuth(2, 0),
            "migrate" => Self::AfterAuth(1, 2),
            _ => Self::None,
        }
    }

    fn has(&self, args: &Args<'_>, index: usize) -> bool {
        match self {
            Self::None => false,
            Self::From(first) => index >= *first,
            Self::OptionValues => {
                let names_secret = |name: &str| args.is(index - 1, name);
                index >= 3 && index % 2 == 1 && SECRET_OPTIONS.iter().any(|name| names_secret(name))
            }
            Self::AfterAuth(after_auth, after_auth2) => {
                let follows = |word: &str, count: usize| {
                    (1..=count).any(|back| index > back && args.is(index - back, word))
                };
                follows("AUTH", *after_auth) || follows("AUTH2", *after_auth2)
            }
        }
    }
}

/// Calls `visit` with each word that others may see, in order.
///
/// - `args`: all words, a container's name included.
pub fn for_each_shown(entry: &Entry, args: &Args<'_>, mut visit: impl FnMut(&[u8])) {
    let secrets = Secrets::of(entry);
    for index in 0..args.len() {
        if secrets.has(args, index) {
            visit(REDACTED);
        } else {
            visit(args.get(index));
        }
    }
}

/// The words of a request as the slow log keeps them.
pub fn logged_words(entry: &Entry, args: &Args<'_>) -> OwnedArgs {
    let kept = args.len().min(WORDS_MAX);
    let mut words = OwnedArgs::with_capacity(kept, 0);
    let secrets = Secrets::of(entry);
    for index in 0..kept {
        let word = args.get(index);
        if args.len() > WORDS_MAX && index + 1 == WORDS_MAX {
            let left = args.len() - WORDS_MAX + 1;
            words.push(format!("... ({left} more arguments)").as_bytes());
        } else if secrets.has(args, index) {
            words.push(REDACTED);
        } else if word.len() > WORD_BYTES_MAX {
            let mut cut = word[..WORD_BYTES_MAX].to_vec();
            let left = word.len() - WORD_BYTES_MAX;
            cut.extend_from_slice(format!("... ({left} more bytes)").as_bytes());
            words.push(&cut);
        } else {
            words.push(word);
        }
    }
    words
}
