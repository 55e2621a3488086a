//! Holds: records that must be durable before a reply leaves that may reveal them.
//!
//! Promises  one entry a core, the latest record; no allocation where one core is waited for, or none.

use super::record::Dependency;

/// For each core the last record that must be durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Of one core; its record is 0 where there is nothing to wait for.
    first: Dependency,
    /// Of others: most replies wait for one core, and take no memory for it.
    others: Vec<Dependency>,
}

impl Holds {
    /// Nothing to wait for.
    pub const fn new() -> Self {
        Self {
            first: Dependency { core: 0, lsn: 0 },
            others: Vec::new(),
        }
    }

    /// Record `lsn` of `core` must be durable as well; 0 is no record.
    #[inline]
    pub fn raise(&mut self, core: u16, lsn: u64) {
        if lsn == 0 {
            return;
        }
        if self.first.lsn == 0 {
            self.first = Dependency { core, lsn };
        } else if self.first.core == core {
            self.first.lsn = self.first.lsn.max(lsn);
        } else {
            match self.others.iter_mut().find(|hold| hold.core == core) {
                Some(hold) => hold.lsn = hold.lsn.max(lsn),
                None => self.others.push(Dependency { core, lsn }),
            }
        }
    }

    /// Whether record `lsn` is the one of its first core.
    #[inline]
    pub fn begins_with(&self, core: u16, lsn: u64) -> bool {
        self.first.core == core && self.first.lsn == lsn && lsn != 0
    }

    /// All of `other` must be durable as well.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        for hold in other.iter() {
            self.raise(hold.core, hold.lsn);
        }
    }

    /// Forgets what is durable by now.
    ///
    /// - `synced_lsn`: the last durable record of a core.
    #[inline]
    pub fn prune(&mut self, synced_lsn: impl Fn(u16) -> u64) {
        if !self.others.is_empty() {
            self.others.retain(|hold| hold.lsn > synced_lsn(hold.core));
        }
        if self.first.lsn != 0 && self.first.lsn <= synced_lsn(self.first.core) {
            self.first = self.others.pop().unwrap_or_default();
        }
    }

    /// One of the records; record 0 where there is none.
    #[inline]
    pub fn first(&self) -> Dependency {
        self.first
    }

    /// Whether a record of any core but this one is among them.
    #[inline]
    pub fn has_others(&self, core: u16) -> bool {
        !self.others.is_empty() || !self.is_empty() && self.first.core != core
    }

    /// Whether there is nothing to wait for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.lsn == 0
    }

    /// One entry a core.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &Dependency> {
        let first = (self.first.lsn != 0).then_some(&self.first);
        first.into_iter().chain(&self.others)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::new();
    }
}
