//! Source: a segment's contents, of which no more need be in memory than is looked at.
//!
//!     | . . . . . . . . . . | piece, or a record that is larger | . . . . . . |     the window goes on with what is asked for
//!
//! Promises  what is there is what a whole read would have given, byte for byte; a window is as large as a piece, or as the
//!           largest part that is looked at in one go.
//! Not here  reading files: whoever makes a [`Window`].
//! Tests     tests/persist/segment.rs: logs read whole and by pieces; tests/persist/sim: by pieces throughout.

/// So much of a segment is in memory at once, if none of its records is larger.
pub const PIECE_BYTES: usize = 1 << 20;
/// A buffer that was made for a large record is kept for those after it that need this part of it.
const KEPT_PART: usize = 4;

/// A segment's contents.
pub trait Source {
    /// Bytes of all.
    fn bytes_count(&self) -> u64;
    /// What is there from `at` on: `length` bytes and maybe more, fewer only where it ends before.
    ///
    /// - Errors: a sentence for the operator.
    fn bytes(&mut self, at: u64, length: usize) -> Result<&[u8], String>;
}

impl Source for &[u8] {
    fn bytes_count(&self) -> u64 {
        self.len() as u64
    }

    fn bytes(&mut self, at: u64, _: usize) -> Result<&[u8], String> {
        Ok(self.get(at as usize..).unwrap_or_default())
    }
}

/// Contents that are read by pieces, mostly one after the other.
pub struct Window<R> {
    /// Fills a slice with what is at an offset.
    read: R,
    count: u64,
    piece_bytes: usize,
    /// Of what is in the buffer, the first byte's offset.
    start: u64,
    filled: usize,
    buffer: Vec<u8>,
}

impl<R: FnMut(u64, &mut [u8]) -> Result<(), String>> Window<R> {
    /// Over `count` bytes; nothing is read yet.
    ///
    /// - `read`: fills a slice with what is at an offset; all of it is there.
    pub fn new(count: u64, piece_bytes: usize, read: R) -> Self {
        Self {
            read,
            count,
            piece_bytes,
            start: 0,
            filled: 0,
            buffer: Vec::new(),
        }
    }

    /// Moves the window so that it begins at `at` and has `length` bytes, which are there.
    #[cold]
    fn move_to(&mut self, at: u64, length: usize) -> Result<(), String> {
        let left = usize::try_from(self.count - at).unwrap_or(usize::MAX);
        let wanted = length.max(self.piece_bytes).min(left);
        let skipped = at.checked_sub(self.start).map(|skipped| skipped as usize);
        let kept = match skipped.filter(|skipped| *skipped < self.filled) {
            Some(skipped) => {
                self.buffer.copy_within(skipped..self.filled, 0);
                self.filled - skipped
            }
            None => 0,
        };
        // If reading fails, what is kept is there.
        (self.start, self.filled) = (at, kept);
        if self.buffer.len() < wanted {
            let more = wanted - self.buffer.len();
            if self.buffer.try_reserve_exact(more).is_err() {
                return Err(format!("there is no memory for {wanted} bytes of it"));
            }
            self.buffer.resize(wanted, 0);
        } else if self.buffer.len() > wanted.max(self.piece_bytes).saturating_mul(KEPT_PART) {
            self.buffer.truncate(wanted.max(self.piece_bytes));
            self.buffer.shrink_to_fit();
        }
        (self.read)(at + kept as u64, &mut self.buffer[kept..wanted])?;
        self.filled = wanted;
        Ok(())
    }
}

impl<R: FnMut(u64, &mut [u8]) -> Result<(), String>> Source for Window<R> {
    fn bytes_count(&self) -> u64 {
        self.count
    }

    fn bytes(&mut self, at: u64, length: usize) -> Result<&[u8], String> {
        let left = self.count.saturating_sub(at);
        if left == 0 {
            return Ok(&[]);
        }
        let length = left.min(length.max(1) as u64) as usize;
        let end = at.saturating_add(length as u64);
        if at < self.start || end > self.start + self.filled as u64 {
            self.move_to(at, length)?;
        }
        Ok(&self.buffer[(at - self.start) as usize..self.filled])
    }
}
