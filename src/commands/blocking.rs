//! Commands that wait: their timeouts, and how a handler says that it waits.
//!
//!     handler finds nothing -> call.wait(…) -> the shard keeps the request beside its keys
//!     a key appears         -> the handler runs again, `Patience::Again`
//!
//! Promises  a handler that may not wait answers like one whose time is up.
//! Not here  who waits and in which order: `shard/waiters.rs`; the time: `node/waiting.rs`.
//! Tests     tests/commands/blocking.rs; tests/server/blocking.rs.

use std::cmp::Ordering;

use super::keys::KeyShape;
use super::list_move::ListMove;
use super::table::{Call, Effect, Flags, Patience, Run, Wait};
use super::{CommandError, Entry, table};
use crate::base::extended::Extended;
use crate::base::number::{parse_f64, parse_i64};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};

/// A timeout in seconds, fractions allowed, as milliseconds rounded up; none for 0.
pub fn timeout_of_seconds(word: &[u8], now_ms: i64) -> Result<Option<u64>, CommandError> {
    let seconds = match parse_f64(word) {
        Some(seconds) => seconds,
        None => beyond_f64(word).ok_or("ERR timeout is not a float or out of range")?,
    };
    // Less than a tenth of a nanosecond above a whole number of them is the doing of binary fractions: 1.1 * 1000. But
    // little is not nothing.
    let ms = (seconds * 1000.0 - 1e-7)
        .ceil()
        .max(f64::from(seconds > 0.0));
    if ms >= i64::MAX as f64 {
        return Err("ERR timeout is out of range".into());
    }
    // Rounded up, less than a millisecond below nothing is nothing.
    let ms = match seconds < 0.0 {
        true => (seconds * 1000.0 + 1e-7).ceil().min(0.0),
        false => ms,
    };
    in_range(ms as i64, now_ms)
}

/// A number that only Redis's wider type holds: far too large, or nearly nothing.
fn beyond_f64(word: &[u8]) -> Option<f64> {
    let number = Extended::parse(word)?;
    let is_large = number.compare(Extended::from_i64(-1)) == Ordering::Less
        || number.compare(Extended::from_i64(1)) == Ordering::Greater;
    Some(match (is_large, number.is_negative()) {
        (true, false) => f64::INFINITY,
        (true, true) => f64::NEG_INFINITY,
        (false, false) => f64::MIN_POSITIVE,
        (false, true) => -f64::MIN_POSITIVE,
    })
}

/// A timeout in milliseconds; none for 0.
pub fn timeout_of_ms(word: &[u8], now_ms: i64) -> Result<Option<u64>, CommandError> {
    let ms = parse_i64(word).ok_or("ERR timeout is not an integer or out of range")?;
    in_range(ms, now_ms)
}

fn in_range(ms: i64, now_ms: i64) -> Result<Option<u64>, CommandError> {
    if ms < 0 {
        return Err("ERR timeout is negative".into());
    }
    if ms.checked_add(now_ms).is_none() {
        return Err("ERR timeout is out of range".into());
    }
    Ok((ms > 0).then_some(ms as u64))
}

/// Whether a request is of a command that may wait and says nothing that keeps it from that.
///
/// - A key or a group called BLOCK counts as such a word: then it goes the way of what may wait, and does not.
#[inline]
pub fn may_wait(entry: &Entry, args: &Args<'_>) -> bool {
    let is_told = || (1..args.len()).any(|index| args.is(index, "BLOCK"));
    matches!(entry.command.run, Run::Waits(_))
        && (!entry.command.flags.has(Flags::WAITS_IF_TOLD) || is_told())
}

impl Call<'_> {
    /// There is nothing for the client yet: it waits, or, where it may not, its time is up.
    pub fn wait(&mut self, wait: Wait, reply: &mut Reply<'_>) {
        if matches!(self.patience, Patience::Never | Patience::Denied) {
            reply.null_array();
        } else {
            self.aside.waits = Some(wait);
        }
    }

    /// The same for a command that waits with the words it came with; what it has done so far.
    pub fn wait_for(&mut self, timeout_ms: Option<u64>, reply: &mut Reply<'_>) -> Effect {
        let wait = Wait {
            timeout_ms,
            ..Wait::default()
        };
        self.wait(wait, reply);
        Effect::NONE
    }
}

/// A command that moves elements once it has waited: what it does when it need not wait.
pub struct PlainForm {
    /// The command.
    pub entry: &'static Entry,
    /// Its words.
    pub words: OwnedArgs,
    /// How long to wait, in milliseconds; none: for ever.
    pub timeout_ms: Option<u64>,
}

/// The command to run in place of one that waits (BLMOVE: LMOVE), for those whose keys may be on two shards and are both
/// changed; none for others.
///
/// Errors: those of the words before the timeout, then the timeout's, as the command itself finds them.
pub fn plain_form(
    entry: &Entry,
    args: &Args<'_>,
    now_ms: i64,
) -> Result<Option<PlainForm>, CommandError> {
    let (name, timeout_at) = match entry.command.name {
        "BLMOVE" => ("LMOVE", 5),
        "BRPOPLPUSH" => ("RPOPLPUSH", 3),
        "BLMOVEM" => ("LMOVEM", 5),
        _ => return Ok(None),
    };
    let Some(plain) = table().find_original(name.as_bytes()) else {
        return Ok(None);
    };
    ListMove::parse(entry.command.name, args)?;
    let timeout_ms = timeout_of_seconds(args.get(timeout_at), now_ms)?;
    let words = (0..args.len()).filter(|&index| index != timeout_at);
    let words = words.map(|index| match index {
        0 => name.as_bytes(),
        _ => args.get(index),
    });
    Ok(Some(PlainForm {
        entry: plain,
        words: words.collect(),
        timeout_ms,
    }))
}

/// The same request with only those of its keys that `is_kept` names by their words; a number of keys is set right, and
/// what belongs to a key (XREAD's ids) goes with it.
pub fn with_keys(entry: &Entry, args: &Args<'_>, is_kept: &dyn Fn(usize) -> bool) -> OwnedArgs {
    let mut keys = Vec::new();
    super::for_each_key(entry, args, |index| keys.push(index));
    let kept_count = keys.iter().filter(|&&index| is_kept(index)).count();
    let mut drops: Vec<usize> = keys.iter().copied().filter(|&key| !is_kept(key)).collect();
    let mut count_at = None;
    match entry.keys {
        KeyShape::NumKeys { at, .. } => count_at = Some(usize::from(at)),
        KeyShape::Specs(_) => {
            // Keys, then as many words that belong to them, up to the end.
            let ids: Vec<usize> = drops.iter().map(|key| key + keys.len()).collect();
            drops.extend(ids);
        }
        _ => {}
    }
    let count_text = kept_count.to_string();
    let words = (0..args.len()).filter(|index| !drops.contains(index));
    let words = words.map(|index| match count_at {
        Some(at) if at == index => count_text.as_bytes(),
        _ => args.get(index),
    });
    words.collect()
}
