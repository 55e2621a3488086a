//! Patience: a core with many clients does not wake for each request alone.
//!
//!     a tick's reads and who sent them -> how long a client's round takes -> a wait for a few, or a fraction of a round
//!
//! Going to sleep and waking up cost a core as much as a request does. Where requests come so fast that the next one is
//! near, waiting for it costs its client little and halves that. Clients that wait for replies before they go on lose
//! at most `ROUND_PARTS` of a round, so throughput stays; nobody loses more than `WAIT_MAX_US`.
//!
//! Promises  none for a few clients, for a pace at which the next request is far, for cores that serve each other, and while a
//!           write of the log is under way that replies wait for (`appendfsync always`): a core that sleeps then is idle
//!           when it could begin the next write, which lost a fifth of the throughput with waits of 30 µs.
//! Not here  the wait: `node/ring/`.

/// The most a wait is prolonged, in microseconds.
const WAIT_MAX_US: u64 = 50;
/// A wait is at most this part of the time in which every client sends once.
const ROUND_PARTS: u64 = 8;
/// A wait for fewer than this is not worth its timer.
const COUNT_MIN: u64 = 4;
/// The most reads that are waited for.
const COUNT_MAX: u64 = 16;

/// For how many completions a core sleeps, and how long for more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Completions.
    pub count: u32,
    /// After this time one is enough.
    pub micros: u32,
}

impl Patience {
    /// The first completion ends a wait.
    pub const NONE: Self = Self {
        count: 1,
        micros: 0,
    };

    /// What a tick's traffic allows.
    ///
    /// - `clients_count`: connections that sent something, `reads_count` times in all, in `elapsed_us`.
    pub fn after(clients_count: u64, reads_count: u64, elapsed_us: u64) -> Self {
        if reads_count == 0 || elapsed_us == 0 {
            return Self::NONE;
        }
        let round_us = elapsed_us * clients_count / reads_count;
        let micros = (round_us / ROUND_PARTS).min(WAIT_MAX_US);
        let expected = micros * reads_count / elapsed_us;
        if expected < COUNT_MIN {
            return Self::NONE;
        }
        Self {
            count: expected.min(COUNT_MAX) as u32,
            micros: micros as u32,
        }
    }
}

/// Who sent how often since the last tick.
#[derive(Debug, Default)]
pub struct Pace {
    began_us: i64,
    clients_count: u64,
    reads_count: u64,
    hops_count: u64,
}

impl Pace {
    /// Counts a read of a connection that sent something before at `last_active_ms`.
    #[inline]
    pub fn count(&mut self, last_active_ms: i64) {
        self.reads_count += 1;
        self.clients_count += u64::from(last_active_ms * 1000 < self.began_us);
    }

    /// Ends a tick: what the next one's waits are to be.
    ///
    /// - `hops_count`: requests from and to other cores so far, and steps of transactions.
    pub fn tick(&mut self, now_us: i64, hops_count: u64) -> Patience {
        let elapsed_us = now_us.saturating_sub(self.began_us).max(0) as u64;
        let (clients_count, reads_count) = (self.clients_count, self.reads_count);
        let patience = if hops_count == self.hops_count {
            Patience::after(clients_count, reads_count, elapsed_us)
        } else {
            // Each request would wait for its core and for the others.
            Patience::NONE
        };
        *self = Self {
            began_us: now_us,
            hops_count,
            ..Self::default()
        };
        patience
    }
}
