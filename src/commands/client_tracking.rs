//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO: a client that keeps copies, and how it wants to hear of changes.
//!
//! Not here  which keys it has read: `keyspace/tracking.rs`; what it is sent: `node/tracking.rs`.
//! Tests     tests/server/tracking.rs.

use std::collections::BTreeSet;

use super::pubsub::PubSub;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::Run;
use super::word::integer;
use super::{CommandError, Entry};
use crate::keyspace::Tracker;
use crate::resp::{Args, Reply};

/// Whether a request changes what its client is told of keys and by others.
pub fn changes_what_is_told(entry: &Entry) -> bool {
    match entry.command.run {
        Run::PubSub(what) => matches!(what, PubSub::Subscribe(_) | PubSub::Unsubscribe(_)),
        Run::Session(_) => match entry.container {
            Some(container) => container.name == "CLIENT" && entry.command.name == "TRACKING",
            None => entry.command.name == "RESET",
        },
        _ => false,
    }
}

type Handled = Result<Action, CommandError>;

/// What CLIENT TRACKING ON says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackingOptions {
    /// The client that is told in its place; 0: none.
    pub redirect: u64,
    /// It is told of every key with one of its prefixes, whatever it has read.
    pub is_broadcast: bool,
    /// Only what it reads right after CLIENT CACHING YES counts.
    pub is_opt_in: bool,
    /// What it reads right after CLIENT CACHING NO does not count.
    pub is_opt_out: bool,
    /// Its own changes are not told.
    pub no_loop: bool,
}

/// A client's tracking, while it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTracking {
    /// What shards know it by.
    pub tracker: Tracker,
    /// What it asked for.
    pub options: TrackingOptions,
    /// The prefixes it named, in BCAST mode.
    pub prefixes: BTreeSet<Vec<u8>>,
    /// What those take, on all cores, in bytes.
    pub prefixes_bytes: usize,
    /// The core of the client that is told in its place.
    pub redirect_core: u16,
    /// That client was found to be gone.
    pub is_broken: bool,
    /// CLIENT CACHING was said for what comes next.
    pub is_caching: bool,
}

impl ClientTracking {
    /// Whether what it reads now counts.
    pub fn notes_reads(&self) -> bool {
        let options = &self.options;
        if options.is_broadcast {
            return false;
        }
        // CLIENT CACHING says yes under OPTIN, no under OPTOUT.
        if options.is_opt_in {
            self.is_caching
        } else {
            !options.is_opt_out || !self.is_caching
        }
    }
}

/// `CLIENT TRACKING ON|OFF [option ...]`.
pub(super) fn tracking(call: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let mut options = TrackingOptions::default();
    let mut prefixes = Vec::new();
    let mut has_redirect = false;
    let mut index = 2;
    while index < args.len() {
        let has_next = index + 1 < args.len();
        if args.is(index, "REDIRECT") && has_next {
            if std::mem::replace(&mut has_redirect, true) {
                return Err("ERR A client can only redirect to a single other client".into());
            }
            index += 1;
            // No client has the number 0, and none a negative one.
            options.redirect = u64::try_from(integer(args.get(index))?).unwrap_or(0);
            if options.redirect == 0 {
                return Err(NO_TARGET.into());
            }
        } else if args.is(index, "BCAST") {
            options.is_broadcast = true;
        } else if args.is(index, "OPTIN") {
            options.is_opt_in = true;
        } else if args.is(index, "OPTOUT") {
            options.is_opt_out = true;
        } else if args.is(index, "NOLOOP") {
            options.no_loop = true;
        } else if args.is(index, "PREFIX") && has_next {
            index += 1;
            prefixes.push(args.get(index).to_vec());
        } else {
            return Err(CommandError::Syntax);
        }
        index += 1;
    }
    if args.is(1, "OFF") {
        return Ok(Action::Node(NodeRequest::Untrack));
    }
    if !args.is(1, "ON") {
        return Err(CommandError::Syntax);
    }
    let before = call.session.tracking.as_deref();
    check(&options, &prefixes, before)?;
    if options.is_broadcast && prefixes.is_empty() {
        prefixes.push(Vec::new());
    }
    Ok(Action::Node(NodeRequest::Track { options, prefixes }))
}

/// What a redirection to nobody is told.
pub const NO_TARGET: &str = "ERR The client ID you want redirect to does not exist";

fn check(
    options: &TrackingOptions,
    prefixes: &[Vec<u8>],
    before: Option<&ClientTracking>,
) -> Result<(), CommandError> {
    if !options.is_broadcast && !prefixes.is_empty() {
        return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
    }
    if before.is_some_and(|before| before.options.is_broadcast != options.is_broadcast) {
        return Err(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode."
                .into(),
        );
    }
    if options.is_broadcast && (options.is_opt_in || options.is_opt_out) {
        return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
    }
    if options.is_opt_in && options.is_opt_out {
        return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
    }
    let has_switched = before.is_some_and(|before| {
        options.is_opt_in && before.options.is_opt_out
            || options.is_opt_out && before.options.is_opt_in
    });
    if has_switched {
        return Err(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode."
                .into(),
        );
    }
    let overlaps = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    for (place, prefix) in prefixes.iter().enumerate() {
        let known = before.into_iter().flat_map(|before| &before.prefixes);
        let others = known.map(|other| (other, "an existing prefix")).chain(
            prefixes[place + 1..]
                .iter()
                .map(|other| (other, "another provided prefix")),
        );
        for (other, which) in others {
            if overlaps(prefix, other) {
                let text = [
                    b"ERR Prefix '".as_slice(),
                    prefix,
                    b"' overlaps with ",
                    which.as_bytes(),
                    b" '",
                    other,
                    b"'. Prefixes for a single client must not overlap.",
                ];
                return Err(CommandError::Quoting(text.concat()));
            }
        }
    }
    Ok(())
}

/// `CLIENT CACHING YES|NO`.
pub(super) fn caching(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Handled {
    let Some(tracking) = call.session.tracking.as_deref_mut() else {
        return Err(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
                .into(),
        );
    };
    if args.is(1, "YES") {
        if !tracking.options.is_opt_in {
            return Err(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
                    .into(),
            );
        }
    } else if args.is(1, "NO") {
        if !tracking.options.is_opt_out {
            return Err(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
                    .into(),
            );
        }
    } else {
        return Err(CommandError::Syntax);
    }
    tracking.is_caching = true;
    reply.ok();
    Ok(Action::Done)
}

/// The client that is told in its place: 0 none, -1 where nothing is tracked.
pub fn redirect(tracking: Option<&ClientTracking>) -> i64 {
    tracking.map_or(-1, |tracking| tracking.options.redirect as i64)
}

/// `CLIENT GETREDIR`.
pub(super) fn get_redirect(
    call: &mut SessionCall<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Handled {
    reply.integer(redirect(call.session.tracking.as_deref()));
    Ok(Action::Done)
}

/// `CLIENT TRACKINGINFO`.
pub(super) fn tracking_info(
    call: &mut SessionCall<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Handled {
    let tracking = call.session.tracking.as_deref();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    if let Some(tracking) = tracking {
        let options = &tracking.options;
        let said = [
            (options.is_broadcast, "bcast"),
            (options.is_opt_in, "optin"),
            (options.is_opt_in && tracking.is_caching, "caching-yes"),
            (options.is_opt_out, "optout"),
            (options.is_opt_out && tracking.is_caching, "caching-no"),
            (options.no_loop, "noloop"),
            (tracking.is_broken, "broken_redirect"),
        ];
        flags.extend(
            said.iter()
                .filter(|(is_set, _)| *is_set)
                .map(|(_, flag)| flag),
        );
    }
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect(tracking));
    reply.bulk(b"prefixes");
    let prefixes = tracking.map(|tracking| &tracking.prefixes);
    reply.array(prefixes.map_or(0, BTreeSet::len));
    for prefix in prefixes.into_iter().flatten() {
        reply.bulk(prefix);
    }
    Ok(Action::Done)
}
