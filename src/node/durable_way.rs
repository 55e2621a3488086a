//! In which way writes become durable: each by itself, or with a sync of the file after it.
//!
//!     how long one way takes -> slow? a trial of the other -> the better of the two
//!
//! A write that is durable when it ends costs the core least. But the file system finishes it in a worker of the kernel, on the
//! processor that takes the disk's interrupts and in turn with whoever computes there: beside a process that never sleeps each of
//! two steps waits for the end of its time slice, 4 ms. A sync is finished by a thread of this process, which runs where there is
//! room and has short slices: dearer, and ten times as fast there.
//!
//! Promises  where writes that are durable by themselves take less than `SLOW_US`, nothing else is tried; where the disk itself is
//!           slow, trials become rare.
//! Not here  the writes: `node/disk.rs`.

/// What takes less on average is left as it is.
const SLOW_US: i64 = 2_000;
/// The weight of what is new in averages: one part in so many.
const AVERAGE_PARTS: i64 = 16;
/// So many of the other way in a row are a trial; it ends as soon as they have taken too long for all of them.
const TRIAL_COUNT: u32 = 16;
/// Until the next trial, at first; twice as long after each that brought nothing.
const PAUSE_US_MIN: i64 = 1_000_000;
/// At most.
const PAUSE_US_MAX: i64 = 64_000_000;
/// Who comes back to two steps before this time has gone too early.
const CALM_US: i64 = 10_000_000;
/// Two steps must be so many times as fast as one: they cost the core more.
const GAIN: i64 = 2;

/// How a write becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is when it ends.
    InOne,
    /// It is when a sync has ended that began after it.
    InTwo,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::InOne => Self::InTwo,
            Self::InTwo => Self::InOne,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct DurableWay {
    way: Way,
    /// Microseconds of the way in force, on average; 0 before the first.
    average_us: i64,
    /// Of the other, while it is tried: how many, and microseconds in all.
    trial: Option<(u32, i64)>,
    pause_us: i64,
    next_trial_us: i64,
    /// When one step came into force.
    one_since_us: i64,
}

impl Default for DurableWay {
    fn default() -> Self {
        Self {
            way: Way::InOne,
            average_us: 0,
            trial: None,
            pause_us: PAUSE_US_MIN,
            next_trial_us: 0,
            one_since_us: -CALM_US,
        }
    }
}

impl DurableWay {
    /// The way to take now.
    pub fn now(&self) -> Way {
        match self.trial {
            None => self.way,
            Some(_) => self.way.other(),
        }
    }

    /// What it takes on average, in microseconds.
    pub fn average_us(&self) -> i64 {
        self.average_us
    }

    /// Something has become durable; the way that is in force from now on, if that is another than before.
    ///
    /// - `took_us`: from the beginning of the write, without waits for others' ends.
    pub fn ended(&mut self, way: Way, took_us: i64, now_us: i64) -> Option<Way> {
        if way == self.way {
            let weight = if self.average_us == 0 {
                1
            } else {
                AVERAGE_PARTS
            };
            self.average_us += (took_us - self.average_us) / weight;
            // Cheap again, where it was: whoever is in two steps looks for that, slow or not.
            let is_wanted = self.way == Way::InTwo || self.average_us > SLOW_US;
            if self.trial.is_none() && is_wanted && now_us >= self.next_trial_us {
                self.trial = Some((0, 0));
            }
            return None;
        }
        let (count, sum_us) = self.trial.as_mut()?;
        *count += 1;
        *sum_us += took_us;
        let (count, sum_us) = (*count, *sum_us);
        let bound_us = match self.way {
            Way::InOne => self.average_us / GAIN,
            Way::InTwo => self.average_us * GAIN,
        };
        if sum_us > bound_us * i64::from(TRIAL_COUNT) {
            self.trial = None;
            self.pause(now_us);
            return None;
        }
        if count < TRIAL_COUNT {
            return None;
        }
        self.trial = None;
        self.way = way;
        self.average_us = sum_us / i64::from(TRIAL_COUNT);
        match way {
            // Should it be slow all the same, the way back is short.
            Way::InOne => (self.one_since_us, self.next_trial_us) = (now_us, now_us),
            Way::InTwo => {
                if now_us - self.one_since_us > CALM_US {
                    self.pause_us = PAUSE_US_MIN;
                }
                self.pause(now_us);
            }
        }
        Some(way)
    }

    fn pause(&mut self, now_us: i64) {
        self.next_trial_us = now_us + self.pause_us;
        self.pause_us = (self.pause_us * 2).min(PAUSE_US_MAX);
    }
}
