//! Keys that live together though they have no hash tag: those of one queue, by the names queue libraries give them.
//!
//!     bull:*     bull:mails:wait, bull:mails:active, bull:mails:17   all by "bull:mails"
//!     dramatiq   dramatiq:default, dramatiq:default.msgs             all by "dramatiq"
//!
//! A pattern is what a key begins with; a `*` at its end adds the name that follows, up to where the byte before the `*` comes
//! again, or to the key's end. The first pattern that fits counts. Such a library's scripts take many keys of one queue, which one core then has.
//!
//! Promises  a key that fits no pattern costs one look at its first byte.
//! Not here  hash tags, which go first: `slot.rs`.
//! Tests     tests/keyspace/key_groups.rs.

use std::sync::{Mutex, PoisonError};

/// Patterns of keys. Copies share what they stand for; equal texts are equal patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyGroups(&'static Patterns);

#[derive(Debug, PartialEq, Eq)]
struct Patterns {
    /// The words that were read, a space between them.
    text: String,
    patterns: Vec<Pattern>,
    /// A bit for each byte that a pattern begins with.
    first_bytes: [u64; 4],
}

#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    prefix: Vec<u8>,
    has_name: bool,
}

static NONE: Patterns = Patterns {
    text: String::new(),
    patterns: Vec::new(),
    first_bytes: [0; 4],
};

/// What has been read, each text once: options and manifests say the same few again and again, and maps of slots, which are
/// copied into all that asks where a key lives, outlive them.
static READ: Mutex<Vec<&'static Patterns>> = Mutex::new(Vec::new());

impl KeyGroups {
    /// Every key on its own.
    pub const NONE: Self = Self(&NONE);

    /// Reads patterns, white space between them.
    ///
    /// - Errors: what is wrong, in words for an operator.
    pub fn read(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Ok(Self::NONE);
        }
        let text = words.join(" ");
        let mut all = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = all.iter().find(|read| read.text == text) {
            return Ok(Self(read));
        }
        let patterns = words.into_iter().map(Pattern::read);
        let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
        let mut first_bytes = [0; 4];
        for pattern in &patterns {
            let first = pattern.prefix[0];
            first_bytes[usize::from(first >> 6)] |= 1 << (first & 63);
        }
        let read: &'static Patterns = Box::leak(Box::new(Patterns {
            text,
            patterns,
            first_bytes,
        }));
        all.push(read);
        Ok(Self(read))
    }

    /// The patterns, a space between them.
    pub fn text(self) -> &'static str {
        &self.0.text
    }

    /// What stands for `key`: a part of it that its whole group begins with, or all of it.
    #[inline]
    pub fn part_of(self, key: &[u8]) -> &[u8] {
        match key.first() {
            Some(&first)
                if self.0.first_bytes[usize::from(first >> 6)] >> (first & 63) & 1 == 1 =>
            {
                self.0.part_of(key)
            }
            _ => key,
        }
    }
}

impl Patterns {
    #[cold]
    fn part_of<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let Some(pattern) = self.patterns.iter().find(|it| key.starts_with(&it.prefix)) else {
            return key;
        };
        let length = pattern.prefix.len();
        if !pattern.has_name {
            return &key[..length];
        }
        let end = pattern.prefix[length - 1];
        match key[length..].iter().position(|&byte| byte == end) {
            Some(name_length) => &key[..length + name_length],
            None => key,
        }
    }
}

impl Pattern {
    fn read(word: &str) -> Result<Self, String> {
        let prefix = word.strip_suffix('*').unwrap_or(word);
        if prefix.is_empty() || prefix.contains('*') {
            return Err(format!(
                "'{word}' is not what keys begin with, with a * at its end for the name that follows"
            ));
        }
        Ok(Self {
            prefix: prefix.as_bytes().to_vec(),
            has_name: prefix.len() < word.len(),
        })
    }
}
