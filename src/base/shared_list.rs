//! Shared list: a list in order whose copies share what they have in common.
//!
//!     | run | run | run |     a copy refers to the same runs; a change copies the one it is in, and leaves the other list as it was
//!
//! Promises  a copy costs a reference for each run; finding takes as many comparisons as in a sorted slice; a change copies one run,
//!           or two that have become small, of [`RUN_MAX`] values at most.
//! Not here  the order: whoever looks for a value says where it lies from another one.
//! Tests     tests/base/shared_list.rs, against a sorted vector.

use std::cmp::Ordering;
use std::sync::Arc;

/// Values of one run.
const RUN_MAX: usize = 128;

/// See the module.
#[derive(Clone, Debug)]
pub struct SharedList<T> {
    /// None of them is empty.
    runs: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Clone> SharedList<T> {
    /// Puts a value in its place; what was there goes, and is returned.
    ///
    /// - `order`: how a value of the list compares with this one.
    pub fn insert(&mut self, value: T, order: impl Fn(&T) -> Ordering) -> Option<T> {
        // What is behind all others goes to the last run.
        let at = self.run_of(&order).min(self.runs.len().saturating_sub(1));
        let Some(run) = self.runs.get_mut(at) else {
            self.runs.push(Arc::new(vec![value]));
            self.len = 1;
            return None;
        };
        let run = Arc::make_mut(run);
        match run.binary_search_by(order) {
            Ok(place) => Some(std::mem::replace(&mut run[place], value)),
            Err(place) => {
                run.insert(place, value);
                self.len += 1;
                if run.len() > RUN_MAX {
                    let rest = run.split_off(RUN_MAX / 2);
                    self.runs.insert(at + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Takes a value out.
    ///
    /// - `order`: how a value of the list compares with it.
    pub fn remove(&mut self, order: impl Fn(&T) -> Ordering) -> Option<T> {
        let at = self.run_of(&order);
        let place = self.runs.get(at)?.binary_search_by(order).ok()?;
        let run = Arc::make_mut(&mut self.runs[at]);
        let value = run.remove(place);
        self.len -= 1;
        let left = run.len();
        let next = self.runs.get(at + 1).map_or(RUN_MAX, |next| next.len());
        if left == 0 {
            self.runs.remove(at);
        } else if left + next <= RUN_MAX / 2 {
            let next = self.runs.remove(at + 1);
            Arc::make_mut(&mut self.runs[at]).extend(next.iter().cloned());
        }
        Some(value)
    }
}

impl<T> SharedList<T> {
    /// The value that `order` finds equal.
    pub fn get(&self, order: impl Fn(&T) -> Ordering) -> Option<&T> {
        let run = self.runs.get(self.run_of(&order))?;
        let place = run.binary_search_by(order).ok()?;
        Some(&run[place])
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The run where a value lies, or belongs; behind the last where all are before it.
    fn run_of(&self, order: &impl Fn(&T) -> Ordering) -> usize {
        let is_before = |run: &Arc<Vec<T>>| run.last().is_some_and(|last| order(last).is_lt());
        self.runs.partition_point(is_before)
    }
}
