//! Access clocks: when a key was last used, or how often, in the 24 bits an entry has for it.
//!
//!     LRU | seconds, modulo 2^24                      |
//!     LFU | minutes, modulo 2^16 | logarithmic counter |     16 bits, 8 bits
//!     LRM | seconds, modulo 2^24                      |     of the last change: no read moves it
//!
//! Promises  one policy for all keys; after a change of policy old clocks are read as if they had been the new kind,
//!           as Redis does.
//! Not here  which key is evicted.
//! Source    Redis documentation, "Key eviction": LRU clock resolution, `lfu-log-factor`, `lfu-decay-time`, LRM of Redis 8.6.
//! Tests     tests/keyspace/access.rs.

use crate::base::rng::Rng;

const LRU_CLOCK_MAX: u32 = (1 << 24) - 1;
const LFU_MINUTES_MAX: u32 = (1 << 16) - 1;
/// What a new key's counter starts with, so that it is not the first to go.
const LFU_COUNTER_NEW: u32 = 5;
const LFU_COUNTER_MAX: u32 = 255;

/// What `maxmemory-policy` and the LFU options ask of access clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPolicy {
    name: &'static str,
    is_lfu: bool,
    is_lrm: bool,
    /// A read does more, or less, than take the time.
    is_special: bool,
    /// `lfu-log-factor`: larger counts slower; 0 counts every access. Redis's default is 10.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`: minutes without use that cost a key one count; 0 never. Redis's default is 1.
    pub lfu_decay_minutes: u32,
    /// Whether there is a `maxmemory` at all.
    pub has_limit: bool,
}

/// Names `maxmemory-policy` takes.
pub const POLICY_NAMES: [&str; 10] = [
    "volatile-lru",
    "allkeys-lru",
    "volatile-lfu",
    "allkeys-lfu",
    "volatile-random",
    "allkeys-random",
    "volatile-lrm",
    "allkeys-lrm",
    "volatile-ttl",
    "noeviction",
];

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            name: "noeviction",
            is_lfu: false,
            is_lrm: false,
            is_special: false,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            has_limit: false,
        }
    }
}

impl AccessPolicy {
    /// Sets the policy by its `maxmemory-policy` name, in any case; false and unchanged for an unknown one.
    pub fn set_name(&mut self, name: &str) -> bool {
        let known = POLICY_NAMES
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        if let Some(known) = known {
            self.name = known;
            self.is_lfu = known.ends_with("-lfu");
            self.is_lrm = known.ends_with("-lrm");
            self.is_special = self.is_lfu || self.is_lrm;
        }
        known.is_some()
    }

    /// The `maxmemory-policy` name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether clocks count uses; otherwise they tell the time of the last one.
    #[inline]
    pub fn is_lfu(&self) -> bool {
        self.is_lfu
    }

    /// Whether keys go by when they were used, or changed, last.
    pub fn orders_by_time(&self) -> bool {
        self.is_lrm || self.name.ends_with("-lru")
    }

    /// Whether Redis has one object for all keys with the same small integer: not where each key's use is told apart.
    pub fn shares_integers(&self) -> bool {
        !(self.has_limit && (self.is_lfu || self.orders_by_time()))
    }

    /// The clock that [`AccessPolicy::fresh`] and the others compare with: minutes for LFU, seconds otherwise.
    pub fn clock(&self, now_ms: i64) -> u32 {
        if self.is_lfu() {
            (now_ms / 60_000) as u32 & LFU_MINUTES_MAX
        } else {
            (now_ms / 1000) as u32 & LRU_CLOCK_MAX
        }
    }

    /// The access bits of a new key.
    #[inline]
    pub fn fresh(&self, clock: u32) -> u32 {
        if self.is_lfu() {
            clock << 8 | LFU_COUNTER_NEW
        } else {
            clock
        }
    }

    /// The access bits of a key that was used last `seconds` ago. Not under an LFU policy.
    pub fn idle_since(&self, clock: u32, seconds: i64) -> u32 {
        let ago = seconds.clamp(0, i64::from(LRU_CLOCK_MAX)) as u32;
        if ago <= clock {
            clock - ago
        } else {
            LRU_CLOCK_MAX - (ago - clock)
        }
    }

    /// The access bits of a key with this counter, used now. Only under an LFU policy.
    pub fn used_often(&self, clock: u32, counter: u8) -> u32 {
        clock << 8 | u32::from(counter)
    }

    /// The access bits of a key that had `access` and is read now.
    #[inline]
    pub fn read(&self, access: u32, clock: u32, rng: &mut Rng) -> u32 {
        match self.is_special {
            false => clock,
            true if self.is_lrm => access,
            true => self.counted(access, clock, rng),
        }
    }

    /// The access bits of a key that had `access` and is changed now.
    #[inline]
    pub fn touched(&self, access: u32, clock: u32, rng: &mut Rng) -> u32 {
        if self.is_lfu {
            self.counted(access, clock, rng)
        } else {
            clock
        }
    }

    #[cold]
    fn counted(&self, access: u32, clock: u32, rng: &mut Rng) -> u32 {
        let mut counter = self.frequency(access, clock);
        if counter < LFU_COUNTER_MAX {
            let over = counter.saturating_sub(LFU_COUNTER_NEW);
            let one_in = u64::from(over) * u64::from(self.lfu_log_factor) + 1;
            counter += u32::from(rng.below(one_in) == 0);
        }
        clock << 8 | counter
    }

    /// OBJECT FREQ: the counter, less what it lost since its last use. Only under an LFU policy.
    pub fn frequency(&self, access: u32, clock: u32) -> u32 {
        let minutes = since(access >> 8, clock, LFU_MINUTES_MAX);
        let lost = minutes.checked_div(self.lfu_decay_minutes).unwrap_or(0);
        (access & 0xff).saturating_sub(lost)
    }

    /// OBJECT IDLETIME in seconds; good for 194 days, then it wraps. Not under an LFU policy.
    pub fn idle_seconds(&self, access: u32, clock: u32) -> u32 {
        since(access, clock, LRU_CLOCK_MAX)
    }
}

/// How far the clock has moved since `then`, where it wraps after `max`.
fn since(then: u32, now: u32, max: u32) -> u32 {
    if now >= then {
        now - then
    } else {
        max - then + now
    }
}
