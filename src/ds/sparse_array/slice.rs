//! Slice: 4,096 neighbouring places of an array, of which at least one is taken.
//!
//!     dense    first | cell ... cell |                         a window: the places between its ends
//!     sparse   | offset u16, cell | ... |                      only what is taken, in order
//!
//! Promises  a window costs at most what twice its strings would; a slice trades its form in O(4,096).
//! Not here  which slices there are: `mod.rs`.
//! Tests     tests/ds/sparse_array.rs.

use super::cell::Cell;
use crate::ds::block_size::block_bytes;
use crate::ds::listpack::Element;
use crate::ds::mover::Mover;
use std::ops::{ControlFlow, RangeInclusive};

/// Places of a slice.
pub(super) const PLACES: u64 = 4096;

/// One taken place of a sparse slice.
#[repr(Rust, packed)]
pub(super) struct Spot {
    offset: u16,
    cell: Cell,
}

impl Clone for Spot {
    fn clone(&self) -> Self {
        Self {
            offset: self.offset,
            cell: self.cell.clone(),
        }
    }
}

const _: () = assert!(size_of::<Spot>() == 10 && align_of::<Spot>() == 1);

#[derive(Clone)]
enum Form {
    Dense(Vec<Cell>),
    Sparse(Vec<Spot>),
}

/// See the module. Between calls of its owner it is never empty.
#[derive(Clone)]
pub(super) struct Slice {
    form: Form,
    /// Bytes of the strings that have blocks.
    pub text_bytes: usize,
    /// How many have.
    pub blocks_count: u16,
    /// Strings.
    pub count: u16,
    /// The window's first place.
    first: u16,
}

/// What a place held before.
pub(super) type Old = Cell;

impl Slice {
    pub fn new() -> Self {
        Self {
            form: Form::Sparse(Vec::new()),
            text_bytes: 0,
            blocks_count: 0,
            count: 0,
            first: 0,
        }
    }

    /// Whether it is a window.
    pub fn is_dense(&self) -> bool {
        matches!(self.form, Form::Dense(_))
    }

    /// Moves allocations, from cell `from` on; returns the cell to go on with, None at the end.
    pub fn move_step(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        fn of_cells<'c>(
            from: usize,
            cells: impl Iterator<Item = &'c mut Cell>,
            mover: &mut Mover<'_>,
        ) -> Option<usize> {
            for (number, cell) in cells.enumerate().skip(from) {
                if mover.is_over() {
                    return Some(number);
                }
                cell.move_by(mover);
            }
            None
        }
        match &mut self.form {
            Form::Dense(cells) => {
                if from == 0 {
                    mover.array(cells);
                }
                of_cells(from, cells.iter_mut(), mover)
            }
            Form::Sparse(spots) => {
                if from == 0 {
                    mover.array(spots);
                }
                of_cells(from, spots.iter_mut().map(|spot| &mut spot.cell), mover)
            }
        }
    }

    /// Places it has memory for.
    pub fn places(&self) -> usize {
        match &self.form {
            Form::Dense(cells) => cells.len(),
            Form::Sparse(spots) => spots.capacity(),
        }
    }

    /// Bytes of its own allocation and of its strings.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.text_bytes
            + match &self.form {
                Form::Dense(cells) => block_bytes(cells.capacity() * size_of::<Cell>()),
                Form::Sparse(spots) => block_bytes(spots.capacity() * size_of::<Spot>()),
            }
    }

    #[inline]
    pub fn get(&self, offset: u16) -> Option<Element<'_>> {
        match &self.form {
            Form::Dense(cells) => cells
                .get(usize::from(offset.checked_sub(self.first)?))?
                .get(),
            Form::Sparse(spots) => {
                let at = search(spots, offset).ok()?;
                spots[at].cell.get()
            }
        }
    }

    /// The last place that is taken.
    pub fn last(&self) -> u16 {
        match &self.form {
            // A window ends with what is taken.
            Form::Dense(cells) => self.first + (cells.len() as u16).saturating_sub(1),
            Form::Sparse(spots) => spots.last().map_or(0, |spot| spot.offset),
        }
    }

    /// Puts a string, and returns what was there.
    pub fn set(&mut self, offset: u16, text: &[u8]) -> Old {
        let cell = Cell::new(text);
        self.text_bytes += cell.heap_bytes();
        self.blocks_count += u16::from(cell.has_block());
        let old = self.put(offset, cell);
        if old.is_empty() {
            self.count += 1;
            self.densify();
        } else {
            self.forget(&old);
        }
        old
    }

    fn put(&mut self, offset: u16, cell: Cell) -> Old {
        if let Form::Dense(cells) = &mut self.form {
            let end = usize::from(self.first) + cells.len();
            if offset >= self.first && usize::from(offset) < end {
                let at = usize::from(offset - self.first);
                return std::mem::replace(&mut cells[at], cell);
            }
            let low = self.first.min(offset);
            let window = end.max(usize::from(offset) + 1) - usize::from(low);
            if window <= 2 * (usize::from(self.count) + 1) {
                let before = usize::from(self.first - low);
                let room = window - cells.len();
                reserve(cells, room, usize::from(low) + window);
                cells.resize_with(window, Cell::default);
                cells.rotate_right(before);
                self.first = low;
                cells[usize::from(offset - low)] = cell;
                return Cell::EMPTY;
            }
            self.sparsify();
        }
        let Form::Sparse(spots) = &mut self.form else {
            return cell; // It was made sparse above.
        };
        match search(spots, offset) {
            Ok(at) => std::mem::replace(&mut spots[at].cell, cell),
            Err(at) => {
                reserve(spots, 1, 0);
                spots.insert(at, Spot { offset, cell });
                Cell::EMPTY
            }
        }
    }

    /// Takes a string out.
    pub fn remove(&mut self, offset: u16) -> Old {
        let old = match &mut self.form {
            Form::Dense(cells) => {
                let Some(at) = offset.checked_sub(self.first).map(usize::from) else {
                    return Cell::EMPTY;
                };
                let Some(cell) = cells.get_mut(at) else {
                    return Cell::EMPTY;
                };
                std::mem::take(cell)
            }
            Form::Sparse(spots) => match search(spots, offset) {
                Ok(at) => {
                    let old = spots.remove(at).cell;
                    fit(spots);
                    old
                }
                Err(_) => return Cell::EMPTY,
            },
        };
        if !old.is_empty() {
            self.count -= 1;
            self.forget(&old);
            self.tidy();
        }
        old
    }

    /// Takes out all strings of these places; returns how many.
    pub fn remove_range(&mut self, offsets: RangeInclusive<u16>) -> u16 {
        let before = self.count;
        let mut removed: Vec<Cell> = Vec::new();
        match &mut self.form {
            Form::Dense(cells) => {
                let start = usize::from(offsets.start().saturating_sub(self.first));
                let end = (usize::from(*offsets.end()) + 1)
                    .saturating_sub(usize::from(self.first))
                    .min(cells.len());
                if start < end {
                    let taken = cells[start..end].iter_mut().map(std::mem::take);
                    removed.extend(taken.filter(|cell| !cell.is_empty()));
                }
            }
            Form::Sparse(spots) => {
                let start = search(spots, *offsets.start()).unwrap_or_else(|at| at);
                let end = match search(spots, *offsets.end()) {
                    Ok(at) => at + 1,
                    Err(at) => at,
                };
                removed.extend(spots.drain(start..end).map(|spot| spot.cell));
                fit(spots);
            }
        }
        self.count -= removed.len() as u16;
        for cell in &removed {
            self.forget(cell);
        }
        if self.count != before {
            self.tidy();
        }
        removed.len() as u16
    }

    /// Frees strings from the end, up to about `budget` of them; returns how many.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let mut freed = 0;
        while freed < budget {
            let cell = match &mut self.form {
                Form::Dense(cells) => cells.pop(),
                Form::Sparse(spots) => spots.pop().map(|spot| spot.cell),
            };
            let Some(cell) = cell else { break };
            if !cell.is_empty() {
                freed += 1;
                self.count -= 1;
                self.forget(&cell);
            }
        }
        freed
    }

    fn forget(&mut self, cell: &Cell) {
        self.text_bytes -= cell.heap_bytes();
        self.blocks_count -= u16::from(cell.has_block());
    }

    /// Calls `each` with what is taken of these places, in order or backwards.
    pub fn visit<'s>(
        &'s self,
        offsets: RangeInclusive<u16>,
        is_backwards: bool,
        mut each: impl FnMut(u16, Element<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match &self.form {
            Form::Dense(cells) => {
                let start = usize::from(offsets.start().saturating_sub(self.first));
                let end = (usize::from(*offsets.end()) + 1)
                    .saturating_sub(usize::from(self.first))
                    .min(cells.len());
                let mut visit = |at: usize| match cells[at].get() {
                    Some(element) => each(self.first + at as u16, element),
                    None => ControlFlow::Continue(()),
                };
                if is_backwards {
                    (start..end).rev().try_for_each(&mut visit)
                } else {
                    (start..end).try_for_each(&mut visit)
                }
            }
            Form::Sparse(spots) => {
                let start = search(spots, *offsets.start()).unwrap_or_else(|at| at);
                let end = match search(spots, *offsets.end()) {
                    Ok(at) => at + 1,
                    Err(at) => at,
                };
                let mut visit = |spot: &'s Spot| match spot.cell.get() {
                    Some(element) => each(spot.offset, element),
                    None => ControlFlow::Continue(()),
                };
                let spots = &spots[start..end.max(start)];
                if is_backwards {
                    spots.iter().rev().try_for_each(&mut visit)
                } else {
                    spots.iter().try_for_each(&mut visit)
                }
            }
        }
    }

    /// Becomes a window where that costs no more.
    fn densify(&mut self) {
        let Form::Sparse(spots) = &mut self.form else {
            return;
        };
        let (Some(first), Some(last)) = (spots.first(), spots.last()) else {
            return;
        };
        let (first, last) = (first.offset, last.offset);
        let window = usize::from(last - first) + 1;
        if spots.len() < 4 || window * size_of::<Cell>() > spots.len() * size_of::<Spot>() {
            return;
        }
        let mut cells = Vec::new();
        reserve(&mut cells, window, usize::from(first) + window);
        cells.resize_with(window, Cell::default);
        for spot in spots.drain(..) {
            let at = usize::from(spot.offset - first);
            cells[at] = spot.cell;
        }
        self.first = first;
        self.form = Form::Dense(cells);
    }

    /// Becomes sparse.
    fn sparsify(&mut self) {
        let Form::Dense(cells) = &mut self.form else {
            return;
        };
        let mut spots = Vec::new();
        reserve(&mut spots, usize::from(self.count) + 1, 0);
        for (offset, cell) in (self.first..).zip(cells.drain(..)) {
            if !cell.is_empty() {
                spots.push(Spot { offset, cell });
            }
        }
        self.form = Form::Sparse(spots);
    }

    /// After strings were taken out of a window: both its ends are taken, and enough between them is.
    fn tidy(&mut self) {
        let Form::Dense(cells) = &mut self.form else {
            return;
        };
        let empty_at_end = cells
            .iter()
            .rev()
            .take_while(|cell| cell.is_empty())
            .count();
        cells.truncate(cells.len() - empty_at_end);
        let empty_at_start = cells.iter().take_while(|cell| cell.is_empty()).count();
        if cells.len() - empty_at_start > 2 * usize::from(self.count) {
            return self.sparsify();
        }
        if empty_at_start > 0 {
            cells.drain(..empty_at_start);
            self.first += empty_at_start as u16;
        }
        fit(cells);
    }
}

fn search(spots: &[Spot], offset: u16) -> Result<usize, usize> {
    spots.binary_search_by(|spot| {
        let own = spot.offset;
        own.cmp(&offset)
    })
}

/// Makes room for more, a quarter of what is there at a time, in whole blocks. `limit`: items that end a slice, 0 for none.
pub(super) fn reserve<T>(items: &mut Vec<T>, more: usize, end: usize) {
    let needed = items.len() + more;
    if needed <= items.capacity() {
        return;
    }
    let mut wanted = needed + items.len() / 4;
    if end != 0 {
        // No window is longer than what is left of its slice.
        wanted = wanted.min(needed + (PLACES as usize).saturating_sub(end));
    }
    let capacity = block_bytes(wanted * size_of::<T>()) / size_of::<T>();
    items.reserve_exact(capacity.max(needed) - items.len());
}

/// Gives memory back where less than half is used.
pub(super) fn fit<T>(items: &mut Vec<T>) {
    if items.len() * 2 < items.capacity() {
        let capacity =
            block_bytes((items.len() + items.len() / 4) * size_of::<T>()) / size_of::<T>();
        items.shrink_to(capacity);
    }
}
