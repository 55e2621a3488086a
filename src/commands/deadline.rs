//! EX, PX, EXAT and PXAT: the words that give a key a deadline when its value is set or read.
//!
//! Promises  the same rules and errors for SET, SETEX, PSETEX, GETEX, MSETEX and INCREX.
//! Not here  EXPIRE and its options: `commands/expire.rs`.

use super::CommandError;
use super::word::integer;
use crate::keyspace::Deadline;

/// Which of the four words it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineOption {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Seconds since the epoch.
    ExAt,
    /// Milliseconds since the epoch.
    PxAt,
}

impl DeadlineOption {
    /// The option a word names, in any case.
    pub fn named(word: &[u8]) -> Option<Self> {
        Some(match word.len() {
            2 if word.eq_ignore_ascii_case(b"EX") => Self::Ex,
            2 if word.eq_ignore_ascii_case(b"PX") => Self::Px,
            4 if word.eq_ignore_ascii_case(b"EXAT") => Self::ExAt,
            4 if word.eq_ignore_ascii_case(b"PXAT") => Self::PxAt,
            _ => return None,
        })
    }

    /// Whether it counts from the epoch rather than from now.
    pub fn is_absolute(self) -> bool {
        matches!(self, Self::ExAt | Self::PxAt)
    }

    /// The deadline in milliseconds since the epoch.
    ///
    /// - `command`: lower case, for the error's text.
    /// - Errors: not an integer; not positive, or too large for 64 bits of milliseconds.
    pub fn at_ms(self, word: &[u8], now_ms: i64, command: &str) -> Result<i64, CommandError> {
        let number = integer(word)?;
        let unit_ms = match self {
            Self::Ex | Self::ExAt => 1000,
            Self::Px | Self::PxAt => 1,
        };
        let base_ms = if self.is_absolute() { 0 } else { now_ms };
        (number > 0)
            .then(|| number.checked_mul(unit_ms)?.checked_add(base_ms))
            .flatten()
            .ok_or_else(|| invalid_expire_time(command))
    }
}

/// The error for a time that does not fit.
#[cold]
pub fn invalid_expire_time(command: &str) -> CommandError {
    format!("ERR invalid expire time in '{command}' command").into()
}

/// What a request says about deadlines, gathered word by word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadlineWords<'a> {
    /// The last of the four options and its number.
    pub given: Option<(DeadlineOption, &'a [u8])>,
    /// KEEPTTL.
    pub keep: bool,
    /// PERSIST.
    pub persist: bool,
}

impl<'a> DeadlineWords<'a> {
    /// Takes `option`; false where one that excludes it came before. The same option again replaces its number.
    pub fn give(&mut self, option: DeadlineOption, number: &'a [u8]) -> bool {
        let excluded = self.given.is_some_and(|(before, _)| before != option);
        if excluded || self.keep || self.persist {
            return false;
        }
        self.given = Some((option, number));
        true
    }

    /// Takes KEEPTTL; false where something that excludes it came before.
    pub fn keep(&mut self) -> bool {
        self.keep = self.given.is_none() && !self.persist;
        self.keep
    }

    /// Takes PERSIST; false where something that excludes it came before.
    pub fn persist(&mut self) -> bool {
        self.persist = self.given.is_none() && !self.keep;
        self.persist
    }

    /// The deadline that a value set with these words gets.
    pub fn deadline(&self, now_ms: i64, command: &str) -> Result<Deadline, CommandError> {
        Ok(match self.given {
            Some((option, number)) => Deadline::At(option.at_ms(number, now_ms, command)?),
            None if self.keep => Deadline::Keep,
            None => Deadline::Drop,
        })
    }
}
