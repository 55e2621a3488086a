//! The fields of a table that have a deadline, earliest first: a binary heap whose blocks know their position.
//!
//! Promises  the earliest is known in O(1), any change is O(log n); the heap is in pieces and never copied whole;
//!           every block in it is alive, has a deadline, and its position is where it is.

use super::block::Block;
use crate::ds::mover::Mover;

/// Entries in one piece.
const PIECE_ENTRIES: usize = 256;

/// Blocks by deadline.
pub(super) struct Deadlines {
    /// All but the last are full.
    pieces: Vec<Vec<Entry>>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    deadline_ms: i64,
    block: Block,
}

impl Deadlines {
    pub(super) const fn new() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let last_capacity = self.pieces.last().map_or(0, Vec::capacity);
        let capacity = self.pieces.len().saturating_sub(1) * PIECE_ENTRIES + last_capacity;
        capacity * size_of::<Entry>() + self.pieces.capacity() * size_of::<Vec<Entry>>()
    }

    /// The earliest deadline and its block.
    pub(super) fn first(&self) -> Option<(i64, Block)> {
        let entry = self.pieces.first()?.first()?;
        Some((entry.deadline_ms, entry.block))
    }

    /// How many deadlines are at or before this time: they are at the top, so no others are looked at but their children.
    pub(super) fn count_until(&self, deadline_ms: i64) -> usize {
        let mut count = 0;
        let mut positions = vec![0];
        while let Some(position) = positions.pop() {
            if position < self.len && self.entry(position).deadline_ms <= deadline_ms {
                count += 1;
                positions.extend([position * 2 + 1, position * 2 + 2]);
            }
        }
        count
    }

    /// Adds a block.
    ///
    /// # Safety
    /// The block is alive, has this deadline, and stays so until it is removed or replaced.
    pub(super) unsafe fn insert(&mut self, deadline_ms: i64, block: Block) {
        if self.len.is_multiple_of(PIECE_ENTRIES) {
            self.pieces.push(Vec::new());
        }
        let pieces_count = self.pieces.len();
        if let Some(piece) = self.pieces.last_mut() {
            if piece.len() == piece.capacity() {
                let wanted = if pieces_count == 1 {
                    (piece.len() * 2).max(1)
                } else {
                    PIECE_ENTRIES
                };
                piece.reserve_exact(wanted - piece.len());
            }
            piece.push(Entry { deadline_ms, block });
        }
        self.len += 1;
        self.sift_up(self.len - 1);
    }

    /// Removes the block at a position; it may then be freed.
    pub(super) fn remove(&mut self, position: usize) {
        let Some(last) = self.pieces.last_mut().and_then(Vec::pop) else {
            return;
        };
        self.len -= 1;
        if self.len.is_multiple_of(PIECE_ENTRIES) {
            self.pieces.pop();
        }
        if position < self.len {
            self.put(position, last);
            self.sift_down(position);
            self.sift_up(position);
        }
    }

    /// Puts another deadline in a position.
    pub(super) fn set(&mut self, position: usize, deadline_ms: i64) {
        self.entry_mut(position).deadline_ms = deadline_ms;
        self.sift_down(position);
        self.sift_up(position);
    }

    /// Puts another block in a position.
    ///
    /// # Safety
    /// As for `insert`; the deadline is the one that is there.
    pub(super) unsafe fn replace(&mut self, position: usize, block: Block) {
        self.entry_mut(position).block = block;
        // SAFETY: the caller's promise.
        unsafe { block.set_position(position) };
    }

    /// The same order, for blocks that `replace` will put in place of these.
    pub(super) fn shape_of(&self) -> Self {
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let mut copied = Vec::with_capacity(piece.capacity());
            copied.extend_from_slice(piece);
            pieces.push(copied);
        }
        Self {
            pieces,
            len: self.len,
        }
    }

    /// Moves pieces, from `from` on; returns where to go on, None at the end.
    pub(super) fn move_step(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        if from == 0 {
            mover.array(&mut self.pieces);
        }
        for index in from..self.pieces.len() {
            if index > from && mover.is_over() {
                return Some(index);
            }
            mover.array(&mut self.pieces[index]);
        }
        None
    }

    /// Frees one piece, for heaps that are being thrown away; false once none is left.
    pub(super) fn drop_piece(&mut self) -> bool {
        self.pieces.pop().is_some()
    }

    fn entry(&self, position: usize) -> Entry {
        self.pieces[position / PIECE_ENTRIES][position % PIECE_ENTRIES]
    }

    fn entry_mut(&mut self, position: usize) -> &mut Entry {
        &mut self.pieces[position / PIECE_ENTRIES][position % PIECE_ENTRIES]
    }

    fn put(&mut self, position: usize, entry: Entry) {
        *self.entry_mut(position) = entry;
        // SAFETY: blocks in the heap are alive and have deadlines; callers of `insert` and `replace` promised it.
        unsafe { entry.block.set_position(position) };
    }

    fn sift_up(&mut self, mut position: usize) {
        let moving = self.entry(position);
        while position > 0 {
            let parent = self.entry((position - 1) / 2);
            if parent.deadline_ms <= moving.deadline_ms {
                break;
            }
            self.put(position, parent);
            position = (position - 1) / 2;
        }
        self.put(position, moving);
    }

    fn sift_down(&mut self, mut position: usize) {
        let moving = self.entry(position);
        loop {
            let left = position * 2 + 1;
            if left >= self.len {
                break;
            }
            let right = left + 1;
            let is_right_earlier =
                right < self.len && self.entry(right).deadline_ms < self.entry(left).deadline_ms;
            let earlier = left + usize::from(is_right_earlier);
            let child = self.entry(earlier);
            if moving.deadline_ms <= child.deadline_ms {
                break;
            }
            self.put(position, child);
            position = earlier;
        }
        self.put(position, moving);
    }
}
