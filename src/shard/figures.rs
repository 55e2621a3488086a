//! Figures: what INFO commandstats, latencystats and errorstats say of one shard.
//!
//! Promises  indexed by the command table, no map by name; what a call adds is one count in a bucket; the buckets are
//!           those of an HDR histogram of two digits, and become one when somebody asks.
//! Not here  clocks: the caller passes durations.

use std::borrow::Cow;

/// Longest duration a histogram tells apart, in nanoseconds (1 s, as Redis); longer ones count as this.
const NANOSECONDS_MAX: u64 = 1_000_000_000;
/// Below this every duration has a bucket of its own; from here on each power of two has half as many.
const EXACT_COUNT: u64 = 256;
const BUCKETS_COUNT: usize = 3072;
const _: () = assert!(bucket_of(NANOSECONDS_MAX) < BUCKETS_COUNT);
/// Error codes counted by name. As in Redis one more ends the counting by name: somebody invents them.
const ERROR_CODES_MAX: usize = 128;
/// So many calls of a script in doubt are noted in memory that is kept.
const SPARE_MAX: usize = 64;
/// What says that it has ended.
const DISABLED: &str = "ERRORSTATS_DISABLED";

/// What one command has cost.
#[derive(Clone, Debug, Default)]
pub struct CommandFigures {
    /// Calls, those included that a shard refused.
    counted: u64,
    /// Time of all calls, in nanoseconds.
    pub nanoseconds: u64,
    /// Requests refused before they ran (arity, permissions, memory).
    pub rejected_count: u64,
    /// Those of them that were counted as calls too, since only their shard could refuse them.
    refused_count: u64,
    /// Calls that replied with an error.
    pub failed_count: u64,
    /// Nanoseconds a call, from the first call on.
    durations: Option<Box<[u64; BUCKETS_COUNT]>>,
}

impl CommandFigures {
    /// Calls that ran.
    pub fn calls(&self) -> u64 {
        self.counted - self.refused_count.min(self.counted)
    }

    /// These without the durations of calls, which take 24 KiB.
    pub fn counts(&self) -> Self {
        Self {
            durations: None,
            ..*self
        }
    }

    /// How long calls took.
    pub fn durations(&self) -> Durations {
        let counts = self.durations.iter().flat_map(|counts| counts.iter());
        let counted = counts.zip(0..).filter(|(count, _)| **count > 0);
        Durations(counted.map(|(&count, bucket)| (bucket, count)).collect())
    }

    /// Adds another's counts; its durations stay.
    ///
    /// What one shard refused may have been counted as a call by another: only all together tell how many ran.
    pub fn add_counts(&mut self, other: &Self) {
        self.counted += other.counted;
        self.nanoseconds += other.nanoseconds;
        self.rejected_count += other.rejected_count;
        self.refused_count += other.refused_count;
        self.failed_count += other.failed_count;
    }
}

/// How many calls took how long: the buckets that have any, in order. Of 3,072 buckets most commands fill a few dozen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations(Vec<(u16, u64)>);

impl Durations {
    /// Adds those of another shard.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for &(bucket, count) in &other.0 {
            match self.0.binary_search_by_key(&bucket, |known| known.0) {
                Ok(place) => self.0[place].1 += count,
                Err(place) => self.0.insert(place, (bucket, count)),
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The nanoseconds within which so many of a hundred calls were over, as an HDR histogram of two digits has it; 0 where there
    /// were none.
    pub fn at_percentile(&self, percentile: f64) -> u64 {
        let part = (percentile / 100.0).min(1.0) * self.total() as f64;
        let wanted = (part.ceil() as u64).max(1);
        let mut seen = 0;
        for &(bucket, count) in &self.0 {
            seen += count;
            if seen >= wanted {
                let bucket = usize::from(bucket);
                return match percentile > 0.0 {
                    true => bucket_start(bucket + 1) - 1,
                    false => bucket_start(bucket),
                };
            }
        }
        0
    }

    /// Microseconds, and how many calls took at most that: at each power of two nanoseconds from 1,024 on where the number
    /// of calls grows, as Redis reads its histograms. A step counts the whole bucket it falls into, and is named by its end.
    pub fn steps_us(&self) -> Vec<(u64, u64)> {
        let mut left = self.0.iter().peekable();
        let mut steps = Vec::new();
        let (mut seen, mut before) = (0, 0);
        for level in (10..).map(|shift| 1u64 << shift) {
            if left.peek().is_none() {
                break;
            }
            let end = (bucket_of(level) + 1).min(BUCKETS_COUNT);
            while let Some((_, count)) = left.next_if(|(bucket, _)| usize::from(*bucket) < end) {
                seen += count;
            }
            if seen > before {
                steps.push(((bucket_start(end) - 1) / 1000, seen));
                before = seen;
            }
        }
        steps
    }
}

/// The bucket of a duration: its eight leading bits, and how many follow.
#[inline]
const fn bucket_of(nanoseconds: u64) -> usize {
    let shift = (nanoseconds | (EXACT_COUNT - 1)).ilog2() - (EXACT_COUNT - 1).ilog2();
    (shift as u64 * (EXACT_COUNT / 2) + (nanoseconds >> shift)) as usize
}

/// The shortest duration of a bucket.
fn bucket_start(bucket: usize) -> u64 {
    let half = EXACT_COUNT / 2;
    let shift = (bucket as u64 / half).saturating_sub(1);
    (bucket as u64 - shift * half) << shift
}

/// An error's code is a word that ends so soon, the space behind it included.
const CODE_BYTES_MAX: usize = 31;
/// Characters that the name of a field of INFO may not have.
const UNSAFE: [char; 4] = ['#', ':', '\n', '\r'];

/// Errors by the first word of their text.
#[derive(Clone, Debug, Default)]
pub struct ErrorCounts {
    counts: Vec<(String, u64)>,
    /// Those included that were not counted by name.
    total: u64,
    is_disabled: bool,
    /// Names that were given up and that nobody has been told of.
    given_up: Vec<String>,
}

/// All figures of one shard.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    commands: Vec<CommandFigures>,
    /// `latency-tracking no`.
    is_untracked: bool,
    errors: ErrorCounts,
    /// What a script has counted that may have to begin anew; none where no such script runs.
    in_doubt: Option<Vec<Counted>>,
    /// Kept for its allocation.
    spare: Vec<Counted>,
    /// Of the time of all calls, what is no work here: waits for others, and calls of a script, which are a part of its own.
    apart_ns: u64,
    /// Work here for calls whose time is counted with their waits.
    parts_ns: u64,
}

/// What was counted of a call.
#[derive(Clone, Debug)]
enum Counted {
    Call { index: u16, nanoseconds: u64 },
    Failure { index: u16, text: Box<[u8]> },
    Rejection { index: u16, text: Box<[u8]> },
    Error(Box<[u8]>),
}

impl Figures {
    /// Counts one call of command `index` and its time.
    #[inline(always)]
    pub fn record(&mut self, index: u16, nanoseconds: u64) {
        let is_tracked = !self.is_untracked;
        let figures = self.command_mut(index);
        figures.counted += 1;
        figures.nanoseconds += nanoseconds;
        if is_tracked {
            let durations = figures.durations.get_or_insert_with(no_durations);
            durations[bucket_of(nanoseconds.clamp(1, NANOSECONDS_MAX))] += 1;
        }
    }

    /// The same of a call whose time has waits for others in it; what it has done here is added as parts.
    pub fn record_with_waits(&mut self, index: u16, nanoseconds: u64) {
        self.record(index, nanoseconds);
        self.apart_ns += nanoseconds;
    }

    /// Adds such a part.
    #[inline]
    pub fn add_part(&mut self, nanoseconds: u64) {
        self.parts_ns += nanoseconds;
    }

    /// The same of a call of a script.
    #[inline]
    pub fn record_of_script(&mut self, index: u16, nanoseconds: u64) {
        self.record_with_waits(index, nanoseconds);
        self.doubt(|| Counted::Call { index, nanoseconds });
    }

    /// Adds time that a call took after it was counted.
    pub fn add_time(&mut self, index: u16, nanoseconds: u64) {
        self.command_mut(index).nanoseconds += nanoseconds;
    }

    /// Counts one call that replied with the error `text` (its line without `-`).
    pub fn record_failure(&mut self, index: u16, text: &[u8]) {
        self.command_mut(index).failed_count += 1;
        self.errors.count(text);
        self.doubt(|| Counted::Failure {
            index,
            text: text.into(),
        });
    }

    /// Counts one call's failure, whose error was counted where it came from.
    pub fn record_failed_call(&mut self, index: u16) {
        self.command_mut(index).failed_count += 1;
    }

    /// Counts one request that was refused before it ran, with the error `text`.
    pub fn record_rejection(&mut self, index: u16, text: &[u8]) {
        self.command_mut(index).rejected_count += 1;
        self.errors.count(text);
        self.doubt(|| Counted::Rejection {
            index,
            text: text.into(),
        });
    }

    /// Counts an error that belongs to no command.
    pub fn record_error(&mut self, text: &[u8]) {
        self.errors.count(text);
        self.doubt(|| Counted::Error(text.into()));
    }

    /// What is counted from now on, by a script, may have to be taken back.
    pub fn begin_doubt(&mut self) {
        self.in_doubt = Some(std::mem::take(&mut self.spare));
    }

    /// Ends that: what has been counted stands, or is as if it had not been.
    pub fn end_doubt(&mut self, stands: bool) {
        let Some(mut counted) = self.in_doubt.take() else {
            return;
        };
        if !stands {
            counted.drain(..).for_each(|it| self.take_back(it));
        }
        counted.clear();
        counted.shrink_to(SPARE_MAX);
        self.spare = counted;
    }

    #[inline]
    fn doubt(&mut self, counted: impl FnOnce() -> Counted) {
        if let Some(in_doubt) = &mut self.in_doubt {
            in_doubt.push(counted());
        }
    }

    fn take_back(&mut self, counted: Counted) {
        match counted {
            Counted::Call { index, nanoseconds } => {
                let is_tracked = !self.is_untracked;
                let figures = self.command_mut(index);
                figures.counted -= 1;
                figures.nanoseconds -= nanoseconds;
                self.apart_ns -= nanoseconds;
                let figures = self.command_mut(index);
                if let Some(durations) = figures.durations.as_mut().filter(|_| is_tracked) {
                    durations[bucket_of(nanoseconds.clamp(1, NANOSECONDS_MAX))] -= 1;
                }
            }
            Counted::Failure { index, text } => {
                self.command_mut(index).failed_count -= 1;
                self.errors.take_back(&text);
            }
            Counted::Rejection { index, text } => {
                self.command_mut(index).rejected_count -= 1;
                self.errors.take_back(&text);
            }
            Counted::Error(text) => self.errors.take_back(&text),
        }
    }

    /// Counts one request that its shard refuses, and that whoever sent it there counts as a call.
    pub fn record_refusal(&mut self, index: u16, text: &[u8]) {
        self.command_mut(index).refused_count += 1;
        self.record_rejection(index, text);
    }

    /// How long commands have been at work here, in nanoseconds.
    pub fn work_ns(&self) -> u64 {
        let all_ns: u64 = self
            .commands
            .iter()
            .map(|command| command.nanoseconds)
            .sum();
        (all_ns + self.parts_ns).saturating_sub(self.apart_ns)
    }

    /// By command index; commands past the end have not been called.
    pub fn commands(&self) -> &[CommandFigures] {
        &self.commands
    }

    /// Errors by code.
    pub fn errors(&self) -> &ErrorCounts {
        &self.errors
    }

    /// Errors by code, to count one that belongs to no command.
    pub fn errors_mut(&mut self) -> &mut ErrorCounts {
        &mut self.errors
    }

    /// Whether durations of calls to come are kept (`latency-tracking`).
    pub fn set_tracking(&mut self, is_tracked: bool) {
        self.is_untracked = !is_tracked;
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Self {
            is_untracked: self.is_untracked,
            ..Self::default()
        };
    }

    #[inline]
    fn command_mut(&mut self, index: u16) -> &mut CommandFigures {
        let index = usize::from(index);
        if index >= self.commands.len() {
            self.commands
                .resize_with(index + 1, CommandFigures::default);
        }
        &mut self.commands[index]
    }
}

impl ErrorCounts {
    /// Adds another shard's counts.
    pub fn add(&mut self, other: &ErrorCounts) {
        self.total += other.total;
        if self.is_disabled || other.is_disabled {
            return self.disable();
        }
        for (code, count) in &other.counts {
            match self.counts.iter_mut().find(|(known, _)| known == code) {
                Some((_, total)) => *total += count,
                None => self.counts.push((code.clone(), *count)),
            }
        }
    }

    /// Counts an error by its code, the text's first word.
    pub fn count(&mut self, text: &[u8]) {
        self.total += 1;
        if self.is_disabled {
            return;
        }
        let code = code_of(text);
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| *known == code) {
            *count += 1;
        } else if self.counts.len() < ERROR_CODES_MAX {
            self.counts.push((code.into_owned(), 1));
        } else {
            self.given_up = self.counts.drain(..).map(|(code, _)| code).collect();
            self.disable();
        }
    }

    /// An error that was counted has not been one; where counting by name has ended meanwhile, it stays so.
    fn take_back(&mut self, text: &[u8]) {
        self.total -= 1;
        let code = code_of(text);
        let found = self.counts.iter().position(|(known, _)| *known == code);
        if let Some(index) = found {
            self.counts[index].1 -= 1;
            if self.counts[index].1 == 0 {
                self.counts.remove(index);
            }
        }
    }

    fn disable(&mut self) {
        self.is_disabled = true;
        self.counts.clear();
        self.counts.push((DISABLED.to_owned(), 1));
    }

    /// Whether [`ErrorCounts::take_given_up`] has something to tell.
    #[inline]
    pub fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// The codes that were known when counting by name ended, once: it is worth a line in the log.
    pub fn take_given_up(&mut self) -> Option<Vec<String>> {
        let is_new = !self.given_up.is_empty();
        is_new.then(|| std::mem::take(&mut self.given_up))
    }

    /// Code and count, in the order the codes first appeared.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts
            .iter()
            .map(|(code, count)| (code.as_str(), *count))
    }

    /// All errors.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// An error's code: the text's first word.
fn code_of(text: &[u8]) -> Cow<'_, str> {
    // As in Redis, a word that does not end soon is none.
    let start = &text[..text.len().min(CODE_BYTES_MAX)];
    let end = start.iter().position(|&byte| byte == b' ');
    let word = end.map(|end| std::str::from_utf8(&start[..end]));
    let code = word.and_then(Result::ok).unwrap_or("ERR");
    // INFO's readers part lines at the first of those.
    match code.contains(UNSAFE) {
        true => code.replace(UNSAFE, "_").into(),
        false => code.into(),
    }
}

#[cold]
fn no_durations() -> Box<[u64; BUCKETS_COUNT]> {
    Box::new([0; BUCKETS_COUNT])
}
