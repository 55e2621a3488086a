//! The shape of a hash table: how many places it has, and how many records hash to each.
//!
//! A place of the key table is a bucket, and its chain the keys whose home that is, wherever overflow put them. A place of a
//! slot table is a slot, and a chain the slots of one segment that share a tag: those that a lookup compares.
//!
//! Tests     tests/ds/slot_table.rs, tests/ds/key_table.rs; as text in tests/commands/debug.rs.

/// Longer chains are counted with those of this length.
pub const CHAIN_MAX: usize = 49;

/// How many places there are, and how they are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableShape {
    /// Places that a hash can lead to.
    pub places: u64,
    /// Records.
    pub records: u64,
    /// Places by the length of their chain, 0 to [`CHAIN_MAX`]; empty where nobody asked.
    pub chains: Vec<u64>,
}

impl TableShape {
    /// One place with a chain of this length is there.
    pub fn note_chain(&mut self, length: usize) {
        if self.chains.is_empty() {
            self.chains.resize(CHAIN_MAX + 1, 0);
        }
        self.chains[length.min(CHAIN_MAX)] += 1;
    }

    /// Those places that no chain was noted for have none.
    pub fn note_rest(&mut self) {
        if self.places > 0 {
            let noted: u64 = self.chains.iter().sum();
            self.note_chain(0);
            self.chains[0] += self.places.saturating_sub(noted + 1);
        }
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.places += other.places;
        self.records += other.records;
        if self.chains.len() < other.chains.len() {
            self.chains.resize(other.chains.len(), 0);
        }
        for (sum, count) in self.chains.iter_mut().zip(&other.chains) {
            *sum += count;
        }
    }
}
