//! Look-out: a core does not sleep while the next step of another core is near.
//!
//!     a transaction or a script of several cores is under way -> turns without sleep, until one brings its next step or
//!         `MIDST_NS` are over
//!     it has ended -> some turns more where the next came soon of late, for `LINGER_NS_MAX` at most
//!
//! A script with ten calls to another core's keys has ten messages there and ten back. A bell for each costs both cores more
//! than the calls, and where waking up takes longer than a step, each of them sleeps while the other wakes.
//!
//! Promises  nothing is waited for that is not under way, or has not come soon the last time.
//! Not here  whether there is a processor for each core: the loop asks only then.
//! Tests     tests/node/look_out.rs.

/// How long the next step of what is under way is looked out for, in nanoseconds: longer than it takes to wake up.
const MIDST_NS: u64 = 100_000;
/// How long, at most, the next transaction is looked out for.
const LINGER_NS_MAX: u64 = 20_000;
/// How long at first.
const LINGER_NS_MIN: u64 = 10_000;

/// One core's.
#[derive(Debug, Default)]
pub struct LookOut {
    /// When something came last, or what was under way ended, in nanoseconds.
    since_ns: u64,
    /// Something was under way at the last look.
    was_in_midst: bool,
    /// It has ended, and the next is looked out for.
    lingers: bool,
    /// How long that is.
    linger_ns: u64,
}

impl LookOut {
    /// Whether it has something to remember from the last look.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.was_in_midst || self.lingers
    }

    /// Whether another turn should follow the one that ends at `now_ns`, of any clock that does not go back.
    ///
    /// - `is_in_midst`: something of several cores is under way here.
    /// - `is_busy`: something has come in this turn.
    pub fn goes_on(&mut self, is_in_midst: bool, is_busy: bool, now_ns: u64) -> bool {
        let waited_ns = now_ns.saturating_sub(self.since_ns);
        if is_in_midst {
            if !self.was_in_midst {
                self.linger_ns = match waited_ns <= LINGER_NS_MAX {
                    true => (2 * self.linger_ns).clamp(LINGER_NS_MIN, LINGER_NS_MAX),
                    false => self.linger_ns / 2,
                };
            }
            if is_busy || !self.was_in_midst {
                self.since_ns = now_ns;
            }
            (self.was_in_midst, self.lingers) = (true, false);
            return now_ns - self.since_ns < MIDST_NS;
        }
        if self.was_in_midst {
            self.since_ns = now_ns;
            self.was_in_midst = false;
            self.lingers = self.linger_ns >= LINGER_NS_MIN;
        } else {
            self.lingers &= waited_ns < self.linger_ns;
        }
        self.lingers
    }
}
