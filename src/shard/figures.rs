//! Figures: what INFO commandstats, latencystats and errorstats say of one shard.
//!
//! Promises  indexed by the command table, no map by name; a histogram exists from a command's first call on.
//! Not here  clocks: the caller passes durations.

use hdrhistogram::Histogram;

/// Longest duration a histogram tells apart, in nanoseconds (1 s, as Redis); longer ones count as this.
const NANOSECONDS_MAX: u64 = 1_000_000_000;
/// Error codes counted by name, as Redis: past this, new codes are counted under one name.
const ERROR_CODES_MAX: usize = 128;
/// Where errors beyond [`ERROR_CODES_MAX`] codes are counted.
const OTHER_ERRORS: &str = "ERRORSTATS_OVERFLOW";

/// What one command has cost.
#[derive(Clone, Debug, Default)]
pub struct CommandFigures {
    /// Calls that ran.
    pub calls_count: u64,
    /// Time of all calls, in nanoseconds.
    pub nanoseconds: u64,
    /// Requests refused before they ran (arity, permissions, memory).
    pub rejected_count: u64,
    /// Calls that replied with an error.
    pub failed_count: u64,
    /// Nanoseconds a call, two significant digits.
    pub histogram: Option<Box<Histogram<u64>>>,
}

/// Errors by the first word of their text.
#[derive(Clone, Debug, Default)]
pub struct ErrorCounts {
    counts: Vec<(String, u64)>,
}

/// All figures of one shard.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    commands: Vec<CommandFigures>,
    errors: ErrorCounts,
}

impl Figures {
    /// Counts one call of command `index` and its time.
    #[inline]
    pub fn record(&mut self, index: u16, nanoseconds: u64) {
        let figures = self.command_mut(index);
        figures.calls_count += 1;
        figures.nanoseconds += nanoseconds;
        let histogram = figures.histogram.get_or_insert_with(new_histogram);
        histogram.saturating_record(nanoseconds.max(1));
    }

    /// Counts one call that replied with the error `text` (its line without `-`).
    pub fn record_failure(&mut self, index: u16, text: &[u8]) {
        self.command_mut(index).failed_count += 1;
        self.errors.count(text);
    }

    /// Counts one request that was refused before it ran, with the error `text`.
    pub fn record_rejection(&mut self, index: u16, text: &[u8]) {
        self.command_mut(index).rejected_count += 1;
        self.errors.count(text);
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

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Self::default();
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
        for (code, count) in &other.counts {
            match self.counts.iter_mut().find(|(known, _)| known == code) {
                Some((_, total)) => *total += count,
                None => self.counts.push((code.clone(), *count)),
            }
        }
    }

    /// Counts an error by its code, the text's first word.
    pub fn count(&mut self, text: &[u8]) {
        let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        let code = std::str::from_utf8(word).unwrap_or("ERR");
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| known == code) {
            *count += 1;
        } else if self.counts.len() < ERROR_CODES_MAX {
            self.counts.push((code.to_owned(), 1));
        } else {
            match self.counts.last_mut() {
                Some((known, count)) if known == OTHER_ERRORS => *count += 1,
                _ => self.counts.push((OTHER_ERRORS.to_owned(), 1)),
            }
        }
    }

    /// Code and count, in the order the codes first appeared.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts
            .iter()
            .map(|(code, count)| (code.as_str(), *count))
    }

    /// All errors.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

fn new_histogram() -> Box<Histogram<u64>> {
    // The bounds are constants within the crate's limits (high >= 2 * low, digits below 6), so this cannot fail.
    Box::new(Histogram::new_with_bounds(1, NANOSECONDS_MAX, 2).expect("constant bounds are good"))
}
