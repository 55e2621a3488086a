//! A script's first line: `#!lua name=mylib flags=no-writes,allow-stale`.

use crate::resp::{Limits, OwnedArgs, ParseState, Parsed, parse};

/// What a script says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// There was no first line with flags: the rules of old scripts hold.
    pub compatible: bool,
    /// `no-writes`: it calls no command that writes.
    pub no_writes: bool,
    /// `allow-oom`: it runs above `maxmemory`.
    pub allow_oom: bool,
    /// `allow-stale`: it runs on a replica that has lost its primary.
    pub allow_stale: bool,
    /// `no-cluster`: it does not run in a cluster.
    pub no_cluster: bool,
    /// `allow-cross-slot-keys`: its keys may be of several slots.
    pub allow_cross_slot_keys: bool,
}

impl Flags {
    /// Sets the flag of a name; `false` if there is none.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let flag = match name {
            b"no-writes" => &mut self.no_writes,
            b"allow-oom" => &mut self.allow_oom,
            b"allow-stale" => &mut self.allow_stale,
            b"no-cluster" => &mut self.no_cluster,
            b"allow-cross-slot-keys" => &mut self.allow_cross_slot_keys,
            _ => return false,
        };
        *flag = true;
        true
    }

    /// The names of the flags that are set, in Redis's order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.no_writes, "no-writes"),
            (self.allow_oom, "allow-oom"),
            (self.allow_stale, "allow-stale"),
            (self.no_cluster, "no-cluster"),
            (self.allow_cross_slot_keys, "allow-cross-slot-keys"),
        ]
        .into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
    }
}

/// The flags of an `EVAL` script, and its text without the first line's words; its line end stays, for the line numbers.
pub(super) fn of_script(body: &[u8]) -> Result<(Flags, &[u8]), Vec<u8>> {
    let mut flags = Flags::default();
    if !body.starts_with(b"#!") {
        flags.compatible = true;
        return Ok((flags, body));
    }
    let line_end = line_end(body).ok_or("Invalid script shebang")?;
    let words = words(&body[..line_end])
        .filter(|words| !words.is_empty())
        .ok_or("Invalid engine in script shebang")?;
    let words = words.as_args();
    if words.get(0) != b"#!lua" {
        return Err(joined(
            "Unexpected engine in script shebang: ",
            words.get(0),
        ));
    }
    for word in words.iter_from(1) {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(joined("Unknown lua shebang option: ", word));
        };
        // An empty text has no parts, as in Redis.
        for name in names
            .split(|&byte| byte == b',')
            .filter(|_| !names.is_empty())
        {
            if !flags.set(name) {
                return Err(joined("Unexpected flag in script shebang: ", name));
            }
        }
    }
    Ok((flags, &body[line_end..]))
}

/// Where the first line ends; a script is text up to its first zero byte here, as in Redis.
pub(super) fn line_end(body: &[u8]) -> Option<usize> {
    let found = body.iter().position(|byte| matches!(byte, b'\n' | 0))?;
    (body[found] == b'\n').then_some(found)
}

/// The words of a line, quotes understood; `None` where they do not match.
pub(super) fn words(line: &[u8]) -> Option<OwnedArgs> {
    let mut text = line.to_vec();
    text.push(b'\n');
    let limits = Limits {
        inline_bytes_max: usize::MAX,
        ..Limits::default()
    };
    let mut spans = Vec::new();
    match parse(&text, &mut ParseState::new(), &mut spans, &limits) {
        Ok(Parsed::Request { .. }) => {
            let words = crate::resp::Args::new(&text, &spans);
            Some(OwnedArgs::from_args(&words))
        }
        Ok(Parsed::Inline { args, .. }) => Some(args),
        Ok(_) => Some(OwnedArgs::new()),
        Err(_) => None,
    }
}

pub(super) fn joined(text: &str, word: &[u8]) -> Vec<u8> {
    // Redis's texts end at a zero byte.
    let end = word
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(word.len());
    [text.as_bytes(), &word[..end]].concat()
}
