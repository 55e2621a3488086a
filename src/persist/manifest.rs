//! Manifest: which logs and which bases count.
//!
//!     rondo-log 1
//!     epoch 4 cores 2 seed 9f… base 1 12 40 ends 310 288      over: how far each log counts
//!     epoch 5 cores 4 seed 07… begun groups 2 bull:* bq:*     being written, by every core
//!     crc …
//!
//! An epoch is what one run of the process wrote, its cores each a log of their own. A base holds all keys as they were
//! when each log had reached the number beside it; whatever is older is not needed. Which core had which key follows from how
//! many there were and from the groups, words of `keyspace/key_groups.rs`.
//!
//! Promises  what is read is what was written, or it is refused with the reason; replacing it is one rename.
//! Not here  the file: `node/disk.rs`.
//! Tests     tests/persist/manifest.rs.

use crc64fast::Digest;

use crate::keyspace::SHARDS_MAX;

const FIRST_LINE: &str = "rondo-log 1";

/// What counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The oldest first; only the last may be without ends.
    pub epochs: Vec<Epoch>,
}

/// What one run of the process wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Counted from 1, never used again.
    pub number: u64,
    /// How many cores wrote logs.
    pub cores: u16,
    /// Segment ids derive from it.
    pub seed: u64,
    /// Each core has made its first file: where one has none any more, that was lost.
    pub is_begun: bool,
    /// Which keys lived together: words, a space between them.
    pub groups: String,
    /// All keys, and how far each log had got by then.
    pub base: Option<Base>,
    /// The last record of each log that counts; none while it is being written.
    pub ends: Option<Vec<u64>>,
}

/// All keys at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Counted from 1 in its epoch.
    pub number: u64,
    /// By core.
    pub lsns: Vec<u64>,
}

impl Manifest {
    /// The file's contents.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for epoch in &self.epochs {
            text += &format!(
                "epoch {} cores {} seed {:016x}",
                epoch.number, epoch.cores, epoch.seed
            );
            if epoch.is_begun {
                text += " begun";
            }
            let groups = epoch.groups.split_ascii_whitespace();
            match groups.clone().count() {
                0 => {}
                count => text += &format!(" groups {count}"),
            }
            groups.for_each(|group| text += &format!(" {group}"));
            if let Some(base) = &epoch.base {
                text += &format!(" base {}", base.number);
                base.lsns.iter().for_each(|lsn| text += &format!(" {lsn}"));
            }
            if let Some(ends) = &epoch.ends {
                text += " ends";
                ends.iter().for_each(|lsn| text += &format!(" {lsn}"));
            }
            text += "\n";
        }
        let crc = checksum(text.as_bytes());
        text + &format!("crc {crc:016x}\n")
    }

    /// Reads the file's contents.
    ///
    /// - Errors: what is wrong, in words for an operator.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let first = text.lines().next().unwrap_or_default();
        if first.starts_with("rondo-log ") && first != FIRST_LINE {
            return Err(format!(
                "it is of another version ({first:?}, this is {FIRST_LINE:?})"
            ));
        }
        let at = text.rfind("crc ").ok_or("it has no checksum")?;
        let crc = u64::from_str_radix(text[at + 4..].trim_end(), 16);
        if crc != Ok(checksum(&text.as_bytes()[..at])) || first != FIRST_LINE {
            return Err("its checksum is wrong".into());
        }
        let lines = text[..at].lines().skip(1);
        let epochs: Option<Vec<Epoch>> = lines.map(parse_epoch).collect();
        let epochs = epochs.ok_or("a line of it cannot be read")?;
        let is_written = |epoch: &Epoch| epoch.ends.is_none();
        let before_last = epochs.len().saturating_sub(1);
        if epochs[..before_last].iter().any(is_written) {
            return Err("an epoch that is over has no end".into());
        }
        Ok(Self { epochs })
    }

    /// The number for the next epoch.
    pub fn next_number(&self) -> u64 {
        self.epochs.last().map_or(1, |epoch| epoch.number + 1)
    }
}

fn parse_epoch(line: &str) -> Option<Epoch> {
    let mut words = line.split(' ').peekable();
    let mut named = |name: &str| -> Option<String> {
        (words.next()? == name).then_some(())?;
        Some(words.next()?.to_string())
    };
    let is_cores = |cores: &u16| (1..=SHARDS_MAX).contains(cores);
    let mut epoch = Epoch {
        number: named("epoch")?.parse().ok().filter(is_counted_on)?,
        cores: named("cores")?.parse().ok().filter(is_cores)?,
        seed: u64::from_str_radix(&named("seed")?, 16).ok()?,
        is_begun: false,
        groups: String::new(),
        base: None,
        ends: None,
    };
    epoch.is_begun = words.next_if_eq(&"begun").is_some();
    if words.next_if_eq(&"groups").is_some() {
        let count = words.next()?.parse::<usize>().ok()?;
        let groups: Vec<&str> = words.by_ref().take(count).collect();
        (groups.len() == count).then_some(())?;
        epoch.groups = groups.join(" ");
    }
    let count = usize::from(epoch.cores);
    if words.next_if_eq(&"base").is_some() {
        let number = words.next()?.parse().ok().filter(is_counted_on)?;
        let lsns = numbers(&mut words, count)?;
        epoch.base = Some(Base { number, lsns });
    }
    if words.next_if_eq(&"ends").is_some() {
        epoch.ends = Some(numbers(&mut words, count)?);
    }
    words.next().is_none().then_some(epoch)
}

/// Whether it is a number that there may be, and from which others follow: no log will ever come to half of what a word can say.
fn is_counted_on(number: &u64) -> bool {
    i64::try_from(*number).is_ok()
}

/// Numbers of records.
fn numbers<'w>(words: &mut impl Iterator<Item = &'w str>, count: usize) -> Option<Vec<u64>> {
    let number = |word: &str| word.parse().ok().filter(is_counted_on);
    (0..count).map(|_| number(words.next()?)).collect()
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.write(bytes);
    digest.sum64()
}
