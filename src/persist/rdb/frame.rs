//! Takes a file apart into records, without making their values: one reader feeds all cores.
//!
//! Promises  an item is given only when all of it is at hand; whatever the bytes are, it ends in items or in [`Bad`], with
//!           the offset of what is wrong. The checksum is over what was passed, in one pass.

use std::borrow::Cow;
use std::fmt;

use super::skip::{Cursor, Stop};
use super::{
    CHECKSUM_BYTES, CHECKSUM_VERSION_MIN, MAGIC, MAGIC_BYTES, VALKEY_MAGIC, VALKEY_VERSION, mark,
    valkey,
};
use crate::base::crc64::crc64;
use crate::keyspace::rdb::VERSION_READ_MAX;
use crate::keyspace::rdb::record::{DEADLINE_MS, DEADLINE_SECONDS, FREQUENCY, IDLE};
use crate::keyspace::rdb::wire::Reader;

/// One part of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A key with its value.
    Record {
        /// Its database.
        db: u64,
        /// The key.
        key: Cow<'a, [u8]>,
        /// All of it, as [`crate::keyspace::rdb::record`] reads it.
        bytes: Cow<'a, [u8]>,
    },
    /// A name and a value about the file.
    Aux {
        /// The name.
        name: Cow<'a, [u8]>,
        /// The value.
        value: Cow<'a, [u8]>,
    },
    /// How many keys of the database follow.
    Sizes {
        /// The database.
        db: u64,
        /// Its keys.
        keys: u64,
    },
    /// A library of functions: its code.
    Function(Cow<'a, [u8]>),
    /// Nothing of interest.
    Nothing,
    /// The end of the file's own part; what follows is not RDB.
    End,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Where, from the start of the file.
    pub offset: u64,
    /// What.
    pub reason: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset, self.reason)
    }
}

/// A file on its way in.
pub struct Framer {
    /// 0 before the head.
    version: u16,
    /// A server of Valkey's from 9 on wrote it: it has other types above those of Redis 7.2.
    is_valkey: bool,
    db: u64,
    offset: u64,
    checksum: Option<u64>,
    is_over: bool,
}

impl Framer {
    /// Before the first byte.
    ///
    /// - `checks`: `rdbchecksum`.
    pub fn new(checks: bool) -> Self {
        Self {
            version: 0,
            is_valkey: false,
            db: 0,
            offset: 0,
            checksum: checks.then_some(0),
            is_over: false,
        }
    }

    /// How far the file has been taken apart.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the end has been passed.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next item of `bytes`, which go on where the last item ended, and how many of them it is; none: more must be
    /// at hand. Not after [`Item::End`].
    ///
    /// - `is_all`: the file has nothing beyond `bytes`.
    pub fn next<'a>(
        &mut self,
        bytes: &'a [u8],
        is_all: bool,
    ) -> Result<Option<(Item<'a>, usize)>, Bad> {
        let mut from = Cursor { bytes, at: 0 };
        let item = match self.item(&mut from) {
            Ok(item) => item,
            Err(Stop::Short) if is_all => {
                let reason = match bytes.is_empty() {
                    true => "the file ends without an end mark",
                    false => "the file ends in the middle of what begins here",
                };
                return Err(self.bad(reason.into()));
            }
            Err(Stop::Short) => return Ok(None),
            Err(Stop::Wrong(reason)) => return Err(self.bad(reason)),
        };
        if item == Item::End {
            self.is_over = true;
        } else if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, &bytes[..from.at]);
        }
        self.offset += from.at as u64;
        Ok(Some((item, from.at)))
    }

    fn bad(&self, reason: String) -> Bad {
        Bad {
            offset: self.offset,
            reason,
        }
    }

    fn item<'a>(&mut self, from: &mut Cursor<'a>) -> Result<Item<'a>, Stop> {
        if self.version == 0 {
            (self.version, self.is_valkey) = head(from.raw(MAGIC_BYTES)?)?;
            return Ok(Item::Nothing);
        }
        match from.byte()? {
            mark::END => self.end(from),
            mark::DATABASE => {
                self.db = from.length()?;
                Ok(Item::Nothing)
            }
            mark::SIZES => {
                let keys = from.length()?;
                from.length()?;
                Ok(Item::Sizes { db: self.db, keys })
            }
            mark::AUX => {
                let (name, value) = (text(from)?, text(from)?);
                Ok(Item::Aux { name, value })
            }
            mark::MODULE_AUX => {
                from.module_aux()?;
                Ok(Item::Nothing)
            }
            mark::FUNCTION => text(from).map(Item::Function),
            mark::FUNCTION_EARLY => Err(Stop::Wrong(
                "functions in the format of a release candidate of Redis 7.0".into(),
            )),
            mark::SLOT_INFO => {
                for _ in 0..3 {
                    from.length()?;
                }
                Ok(Item::Nothing)
            }
            mark::SLOT_IMPORT if self.is_valkey => Err(Stop::Wrong(
                "slots on their way into a cluster of Valkey: rondo has no cluster".into(),
            )),
            mark::HASH_TEMPLATE => Err(Stop::Wrong(
                "a template of hashes of Redis 8.10: rondo does not know its format".into(),
            )),
            _ => {
                from.at = 0;
                self.record(from)
            }
        }
    }

    fn record<'a>(&self, from: &mut Cursor<'a>) -> Result<Item<'a>, Stop> {
        let kind = loop {
            match from.byte()? {
                DEADLINE_MS => drop(from.raw(8)?),
                DEADLINE_SECONDS => drop(from.raw(4)?),
                FREQUENCY => drop(from.byte()?),
                IDLE => drop(from.length()?),
                mark::KEY_META => {
                    return Err(Stop::Wrong(
                        "what a module has written beside a key: rondo has no modules".into(),
                    ));
                }
                kind => break kind,
            }
        };
        let key = text(from)?;
        let bytes = match kind {
            valkey::DATED_HASH if self.is_valkey => Cow::Owned(valkey::dated_hash(from)?),
            valkey::DATED_HASH.. if self.is_valkey => {
                let reason = format!("type {kind} is not known in a file of Valkey");
                return Err(Stop::Wrong(reason));
            }
            _ => {
                from.value(kind)?;
                Cow::Borrowed(&from.bytes[..from.at])
            }
        };
        Ok(Item::Record {
            db: self.db,
            key,
            bytes,
        })
    }

    fn end<'a>(&self, from: &mut Cursor<'a>) -> Result<Item<'a>, Stop> {
        if self.version >= CHECKSUM_VERSION_MIN {
            let sum = crc64(self.checksum.unwrap_or(0), &from.bytes[..1]);
            let said = from.raw(CHECKSUM_BYTES)?;
            let said = said
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            // 0 says that whoever wrote it made none.
            if self.checksum.is_some() && said != 0 && said != sum {
                return Err(Stop::Wrong(format!(
                    "the checksum is {said:016x}, that of the bytes is {sum:016x}; with rdbchecksum no nobody looks at it"
                )));
            }
        }
        Ok(Item::End)
    }
}

/// The version that a file's first bytes say, and whether it is one of Valkey's.
fn head(bytes: &[u8]) -> Result<(u16, bool), Stop> {
    if let Some(digits) = bytes.strip_prefix(VALKEY_MAGIC) {
        let digits = std::str::from_utf8(digits).ok();
        return match digits.and_then(|digits| digits.parse().ok()) {
            Some(VALKEY_VERSION) => Ok((VALKEY_VERSION, true)),
            Some::<u16>(version) => Err(Stop::Wrong(format!(
                "RDB version {version} of Valkey is not known; {VALKEY_VERSION} is"
            ))),
            None => Err(Stop::Wrong("the version is no number".into())),
        };
    }
    let (magic, digits) = bytes.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(Stop::Wrong(
            "this is no RDB file: it does not begin with REDIS or VALKEY".into(),
        ));
    }
    let digits = std::str::from_utf8(digits).ok();
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(version @ 1..=VERSION_READ_MAX) => Ok((version, false)),
        Some(version) => Err(Stop::Wrong(format!(
            "RDB version {version} is not known; 1 to {VERSION_READ_MAX} are"
        ))),
        None => Err(Stop::Wrong("the version is no number".into())),
    }
}

/// A string, made.
fn text<'a>(from: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, Stop> {
    let start = from.at;
    from.string()?;
    Reader::new(&from.bytes[start..from.at])
        .string()
        .map_err(|_| Stop::Wrong("a compressed string does not come apart".into()))
}
