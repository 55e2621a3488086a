//! Withheld: what is to be told to others once all that it reveals is durable.
//!
//!     said in a turn --bind--> waits for steps of transactions that are not logged yet --> for records --> told
//!     said in a block or a script -------> waits for its end, which says for which records --> told
//!
//! Promises  what one shard has to say of its keys is told in the order in which it happened, and so is what one client does and
//!           says; what waits for nothing is told at once, whoever else waits, where it is known whose it is.
//! Not here  what is said: `node/withheld.rs`. Which steps are not logged: `shard/effects.rs`.
//! Tests     tests/persist/withheld.rs; tests/persist/sim tells what it may of power cuts.

use std::collections::{HashSet, VecDeque};

use super::Holds;

/// What an entry waits for before its records are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// It was said in this turn.
    TurnEnds,
    /// Steps of transactions up to this one are to be in the log; then it waits for all that is there by then.
    Logged(u64),
    /// The script that runs in place, which may yet become a transaction.
    ScriptEnds,
    /// The transaction it is a part of.
    Ended(u64),
    /// Nothing but the records.
    Durable,
}

struct Entry<T> {
    what: T,
    until: Until,
    holds: Holds,
    /// The client that did or said it, where that is known.
    by: Option<u64>,
    /// It tells of the shard's keys.
    is_news: bool,
    /// How many were pushed before it.
    number: u64,
}

/// Whose entries wait, of those that stand before one that is looked at.
#[derive(Default)]
struct Before {
    clients: HashSet<u64>,
    has_news: bool,
    has_unknown: bool,
}

impl Before {
    fn add<T>(&mut self, entry: &Entry<T>) {
        self.has_news |= entry.is_news;
        match entry.by {
            Some(by) => _ = self.clients.insert(by),
            None => self.has_unknown |= !entry.is_news,
        }
    }

    /// Whether something waits that this is to come behind. What is said by nobody knows whom may be of any client.
    fn keeps_back<T>(&self, entry: &Entry<T>) -> bool {
        let is_of_waiting = match entry.by {
            Some(by) => self.clients.contains(&by),
            None => !entry.is_news && (self.has_news || self.has_unknown),
        };
        is_of_waiting || entry.is_news && self.has_news
    }
}

/// What waits.
pub struct Withheld<T> {
    entries: VecDeque<Entry<T>>,
    pushed_count: u64,
}

impl<T> Default for Withheld<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            pushed_count: 0,
        }
    }
}

impl<T> Withheld<T> {
    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many things there have been.
    pub fn pushed_count(&self) -> u64 {
        self.pushed_count
    }

    /// Whether any of the first `count` things waits for more than the end of what it is a part of, of which nobody can know yet.
    pub fn has_of_first(&self, count: u64) -> bool {
        let of_first = self.entries.iter().take_while(|it| it.number < count);
        let mut untils = of_first.map(|entry| entry.until);
        untils.any(|until| !matches!(until, Until::ScriptEnds | Until::Ended(_)))
    }

    /// The last thing, if it is news of this turn's that the same client has made: what follows may be said together with it.
    pub fn news_mut(&mut self, by: Option<u64>) -> Option<&mut T> {
        let last = self.entries.back_mut()?;
        (last.until == Until::TurnEnds && last.by == by).then_some(&mut last.what)
    }

    /// Something of the shard's that client `by` has done: it waits for all that the log has when the turn ends, and for all
    /// that is under way by then.
    pub fn push_news(&mut self, what: T, by: Option<u64>) {
        self.push(what, Until::TurnEnds, Holds::new(), by);
    }

    /// Something that client `by` says, and that reveals these records.
    pub fn push_held(&mut self, what: T, by: u64, holds: Holds) {
        self.push(what, Until::Durable, holds, Some(by));
    }

    /// Something that a script of client `by` says which runs in place.
    pub fn push_of_script(&mut self, what: T, by: Option<u64>) {
        self.push(what, Until::ScriptEnds, Holds::new(), by);
    }

    /// Something that client `by` says in transaction `tx`.
    pub fn push_of_transaction(&mut self, what: T, by: Option<u64>, tx: u64) {
        self.push(what, Until::Ended(tx), Holds::new(), by);
    }

    fn push(&mut self, what: T, until: Until, holds: Holds, by: Option<u64>) {
        self.entries.push_back(Entry {
            what,
            until,
            holds,
            by,
            is_news: until == Until::TurnEnds,
            number: self.pushed_count,
        });
        self.pushed_count += 1;
    }

    /// The script has ended in place.
    pub fn script_has_ended(&mut self, holds: &Holds) {
        self.end(Until::ScriptEnds, holds);
    }

    /// The script goes on as this transaction.
    pub fn script_becomes(&mut self, tx: u64) {
        for entry in &mut self.entries {
            if entry.until == Until::ScriptEnds {
                entry.until = Until::Ended(tx);
            }
        }
    }

    /// The transaction has ended.
    ///
    /// - `holds`: what its reply waits for.
    pub fn transaction_has_ended(&mut self, tx: u64, holds: &Holds) {
        self.end(Until::Ended(tx), holds);
    }

    /// Takes what waits for the end of this transaction, which will not come.
    pub fn take_of_transaction(&mut self, tx: u64) -> Vec<T> {
        let (of_it, others) = (std::mem::take(&mut self.entries).into_iter())
            .partition::<Vec<_>, _>(|entry| entry.until == Until::Ended(tx));
        self.entries = others.into();
        of_it.into_iter().map(|entry| entry.what).collect()
    }

    fn end(&mut self, until: Until, holds: &Holds) {
        for entry in &mut self.entries {
            if entry.until == until {
                entry.until = Until::Durable;
                entry.holds.merge(holds);
            }
        }
    }

    /// The turn has come so far that no script runs in place: its news waits for steps before `step`.
    pub fn bind(&mut self, step: u64) {
        // Those of earlier turns stand before them.
        let of_turn = self.entries.iter_mut().rev();
        for entry in of_turn.take_while(|entry| !matches!(entry.until, Until::Logged(_))) {
            if entry.until == Until::TurnEnds {
                entry.until = Until::Logged(step);
            }
        }
    }

    /// Takes what may be told, in order.
    ///
    /// - `is_logged`: whether all steps before this one are in the log.
    /// - `holds`: what must be durable before anything is told that is in the log.
    /// - `synced_lsn`: the last durable record of a core.
    pub fn release(
        &mut self,
        is_logged: impl Fn(u64) -> bool,
        holds: &Holds,
        synced_lsn: impl Fn(u16) -> u64,
    ) -> Vec<T> {
        let mut ready = Vec::new();
        let mut before = Before::default();
        for mut entry in std::mem::take(&mut self.entries) {
            if let Until::Logged(step) = entry.until
                && is_logged(step)
            {
                entry.until = Until::Durable;
                entry.holds.merge(holds);
            }
            entry.holds.prune(&synced_lsn);
            let is_durable = entry.until == Until::Durable && entry.holds.is_empty();
            if is_durable && !before.keeps_back(&entry) {
                ready.push(entry.what);
            } else {
                before.add(&entry);
                self.entries.push_back(entry);
            }
        }
        ready
    }
}
