//! A file of commands as Redis writes them, read piece by piece: it may be larger than the memory.
//!
//! Promises  no more of it is held than its longest command, and [`READ_BYTES`] besides.
//! Not here  what the commands do: `node/import.rs`.
//! Tests     tests/server/tools.rs, tests/server/adoption.rs.

use std::io::{Read, Result as IoResult};

use crate::base::number::parse_i64;

/// So much is read at a time, at least.
const READ_BYTES: usize = 1 << 20;
/// A line with a count or a length is shorter.
const LINE_BYTES_MAX: usize = 24;

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line that begins with `#`, of so many bytes with its end.
    Note(usize),
    /// A command of so many bytes.
    Command(usize),
    /// The file ends before what has begun is whole.
    Cut,
    /// The file ends.
    End,
    /// Neither of them.
    Bad,
}

/// See the module.
pub(super) struct CommandFile<R> {
    file: R,
    /// From `start` on, what has been read and not been taken.
    buffer: Vec<u8>,
    start: usize,
    /// Where in the file that is.
    offset: u64,
}

impl<R: Read> CommandFile<R> {
    /// Goes on where `file` is, which is at `offset`.
    pub(super) fn new(file: R, offset: u64) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            start: 0,
            offset,
        }
    }

    /// Where the next piece begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What comes next, whose bytes [`CommandFile::bytes`] begins with.
    pub(super) fn next(&mut self) -> IoResult<Piece> {
        loop {
            let piece = match first_piece(self.bytes()) {
                Some(piece) => piece,
                None if self.read_more()? => continue,
                None if self.bytes().is_empty() => Piece::End,
                None => Piece::Cut,
            };
            return Ok(piece);
        }
    }

    /// What has been read and not been taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Goes past `count` bytes.
    pub(super) fn take(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads on, as much again as there is; whether there was more.
    fn read_more(&mut self) -> IoResult<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let wanted = self.buffer.len().max(READ_BYTES);
        let count = (&mut self.file)
            .take(wanted as u64)
            .read_to_end(&mut self.buffer)?;
        Ok(count > 0)
    }
}

/// What `bytes` begin with; none: it is not all there.
fn first_piece(bytes: &[u8]) -> Option<Piece> {
    if *bytes.first()? == b'#' {
        // `#TS:` and a time, or another note.
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        return Some(Piece::Note(end + 1));
    }
    match command_length(bytes) {
        Ok(length) => length.map(Piece::Command),
        Err(()) => Some(Piece::Bad),
    }
}

/// Bytes of the command that `bytes` begin with; none: it is not all there. Errors: it is none.
fn command_length(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let number = |at: usize, mark: u8| -> Result<Option<(usize, usize)>, ()> {
        let Some(&first) = bytes.get(at) else {
            return Ok(None);
        };
        if first != mark {
            return Err(());
        }
        let mut line = bytes[at..].iter().take(LINE_BYTES_MAX);
        let Some(end) = line.position(|&byte| byte == b'\n') else {
            return if bytes.len() - at < LINE_BYTES_MAX {
                Ok(None)
            } else {
                Err(())
            };
        };
        let digits = bytes[at + 1..at + end].strip_suffix(b"\r").ok_or(())?;
        let number = parse_i64(digits).ok_or(())?;
        let number = usize::try_from(number).map_err(|_| ())?;
        Ok(Some((number, at + end + 1)))
    };
    let Some((count, mut at)) = number(0, b'*')? else {
        return Ok(None);
    };
    for _ in 0..count {
        let Some((length, next)) = number(at, b'$')? else {
            return Ok(None);
        };
        at = next
            .checked_add(length)
            .and_then(|end| end.checked_add(2))
            .ok_or(())?;
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}
