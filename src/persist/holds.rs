//! Holds: records that must be durable before a reply leaves that may reveal them.
//!
//! Promises  one entry a core, the latest record; empty, and without memory, where nothing is to be waited for.

use super::record::Dependency;

/// For each core the last record that must be durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    cores: Vec<Dependency>,
}

impl Holds {
    /// Nothing to wait for.
    pub const fn new() -> Self {
        Self { cores: Vec::new() }
    }

    /// Record `lsn` of `core` must be durable as well; 0 is no record.
    #[inline]
    pub fn raise(&mut self, core: u16, lsn: u64) {
        if lsn == 0 {
            return;
        }
        match self.cores.iter_mut().find(|hold| hold.core == core) {
            Some(hold) => hold.lsn = hold.lsn.max(lsn),
            None => self.cores.push(Dependency { core, lsn }),
        }
    }

    /// All of `other` must be durable as well.
    pub fn merge(&mut self, other: &Self) {
        for hold in &other.cores {
            self.raise(hold.core, hold.lsn);
        }
    }

    /// Forgets what is durable by now.
    ///
    /// - `synced_lsn`: the last durable record of a core.
    pub fn prune(&mut self, synced_lsn: impl Fn(u16) -> u64) {
        self.cores.retain(|hold| hold.lsn > synced_lsn(hold.core));
    }

    /// Whether there is nothing to wait for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.cores.is_empty()
    }

    /// One entry a core.
    pub fn iter(&self) -> impl Iterator<Item = &Dependency> {
        self.cores.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.cores.clear();
    }
}
