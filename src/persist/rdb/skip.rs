//! Finds where a value ends without making it.
//!
//! Promises  no allocation; what is too short and what is wrong are told apart, so a reader knows when to read on.

use crate::keyspace::rdb::array;

/// Why a value has no end here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It goes on beyond the bytes at hand.
    Short,
    /// It is none.
    Wrong(String),
}

type Skipped<T> = Result<T, Stop>;

/// Bytes at hand, and how far they are used up.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn raw(&mut self, count: usize) -> Skipped<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Stop::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        self.at = end;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Skipped<u8> {
        self.raw(1).map(|byte| byte[0])
    }

    /// A length, or the number of a string's special encoding.
    fn length_or_encoding(&mut self) -> Skipped<Result<u64, u8>> {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Ok(u64::from(first)),
            (1, _) => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Ok(number(self.raw(4)?)),
            (2, 0x81) => Ok(number(self.raw(8)?)),
            (2, _) => return Err(Stop::Wrong(format!("0x{first:02x} begins no length"))),
            _ => Err(first & 0x3f),
        })
    }

    pub fn length(&mut self) -> Skipped<u64> {
        self.length_or_encoding()?
            .map_err(|_| Stop::Wrong("a string's encoding where a length belongs".into()))
    }

    fn size(&mut self) -> Skipped<usize> {
        usize::try_from(self.length()?).map_err(|_| Stop::Wrong("a length beyond 2^64".into()))
    }

    /// Passes a string.
    pub fn string(&mut self) -> Skipped<()> {
        let bytes = match self.length_or_encoding()? {
            Ok(length) => usize::try_from(length).map_err(|_| Stop::Short)?,
            Err(0) => 1,
            Err(1) => 2,
            Err(2) => 4,
            Err(3) => {
                let compressed = self.size()?;
                self.length()?;
                compressed
            }
            Err(other) => return Err(Stop::Wrong(format!("no string has encoding {other}"))),
        };
        self.raw(bytes).map(drop)
    }

    fn strings(&mut self, count: u64) -> Skipped<()> {
        (0..count).try_for_each(|_| self.string())
    }

    /// Passes the value that follows type `kind` and its key.
    pub fn value(&mut self, kind: u8) -> Skipped<()> {
        match kind {
            0 | 9..=13 | 16 | 17 | 20 | 23 => self.string(),
            1 | 2 | 14 => {
                let count = self.length()?;
                self.strings(count)
            }
            3 => self.pairs(|from| match from.byte()? {
                253.. => Ok(()),
                length => from.raw(usize::from(length)).map(drop),
            }),
            4 => self.pairs(Self::string),
            5 => self.pairs(|from| from.raw(8).map(drop)),
            15 | 19 | 21 | 26 | 27 => self.stream(kind),
            18 => {
                for _ in 0..self.length()? {
                    self.length()?;
                    self.string()?;
                }
                Ok(())
            }
            22 | 24 => {
                if kind == 24 {
                    self.raw(8)?;
                }
                for _ in 0..self.length()? {
                    self.length()?;
                    self.strings(2)?;
                }
                Ok(())
            }
            25 => {
                self.raw(8)?;
                self.string()
            }
            array::KIND => {
                self.length()?;
                for _ in 0..self.length()? {
                    self.length()?;
                    self.string()?;
                }
                Ok(())
            }
            array::KIND_OF_REDIS => self.array(),
            6 | 7 => Err(Stop::Wrong(
                "the value of a module's type: rondo has no modules".into(),
            )),
            29..=32 => Err(Stop::Wrong(format!(
                "type {kind}, a hash with a template of Redis 8.10: rondo does not know its format"
            ))),
            33 => Err(Stop::Wrong(
                "type 33, a rate limiter (GCRA) of Redis 8.10: rondo has none".into(),
            )),
            other => Err(Stop::Wrong(format!("type {other} is not known"))),
        }
    }

    /// Passes an array of Redis's.
    fn array(&mut self) -> Skipped<()> {
        let count = self.length()?;
        if self.length()? == 1 {
            self.length()?;
        }
        for _ in 0..count {
            self.length()?;
            match self.length()? {
                1 | 2 => drop(self.raw(8)?),
                _ => self.string()?,
            }
        }
        Ok(())
    }

    /// Passes members or fields, each with what `second` passes.
    fn pairs(&mut self, second: impl Fn(&mut Self) -> Skipped<()>) -> Skipped<()> {
        for _ in 0..self.length()? {
            self.string()?;
            second(self)?;
        }
        Ok(())
    }

    fn stream(&mut self, kind: u8) -> Skipped<()> {
        for _ in 0..self.length()? {
            self.strings(2)?;
        }
        let numbers = if kind == 15 { 3 } else { 8 };
        for _ in 0..numbers {
            self.length()?;
        }
        for _ in 0..self.length()? {
            self.string()?;
            let numbers = if kind == 15 { 2 } else { 3 };
            for _ in 0..numbers {
                self.length()?;
            }
            for _ in 0..self.length()? {
                self.raw(24)?;
                self.length()?;
            }
            for _ in 0..self.length()? {
                self.string()?;
                self.raw(if kind >= 21 { 16 } else { 8 })?;
                for _ in 0..self.length()? {
                    self.raw(16)?;
                }
            }
            if kind == 27 {
                for _ in 0..self.length()? {
                    self.raw(16)?;
                }
            }
        }
        if kind >= 26 {
            self.producers()?;
        }
        Ok(())
    }

    /// Passes what a stream knows of its producers.
    fn producers(&mut self) -> Skipped<()> {
        self.length()?;
        self.length()?;
        for _ in 0..self.length()? {
            self.string()?;
            for _ in 0..self.length()? {
                self.string()?;
                self.length()?;
                self.length()?;
            }
        }
        self.length()?;
        self.length().map(drop)
    }

    /// Passes what a module has written beside values.
    pub fn module_aux(&mut self) -> Skipped<()> {
        self.length()?;
        loop {
            match self.length()? {
                0 => return Ok(()),
                1 | 2 => drop(self.length()?),
                3 => drop(self.raw(4)?),
                4 => drop(self.raw(8)?),
                5 => self.string()?,
                other => return Err(Stop::Wrong(format!("no module writes opcode {other}"))),
            }
        }
    }
}
