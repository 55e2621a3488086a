//! Fields with their deadlines in one request: HGETDEL, HGETEX, HSETEX.
//!
//! Tests     tests/transcripts/hash_ex.txt, hsetex_newer.txt, tests/keyspace/hash.rs.

use super::CommandError;
use super::hash::{create, reply_element};
use super::hash_expire::{
    NOT_A_COUNT, Scale, options_first, parse_fields, set_deadline, unknown_option,
};
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::integer;
use crate::keyspace::Classes;
use crate::keyspace::Hash;
use crate::keyspace::hash::{FieldDeadline, Found};
use crate::resp::{Args, Reply};
use std::ops::Range;

/// `HGETDEL key FIELDS count field ...` replies with the values and removes the fields.
fn hgetdel(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    get_and(call, args, reply, 2, |_| Ok(Then::Remove))
}

/// `HGETEX key [deadline] FIELDS count field ...` replies with the values and changes the fields' deadlines.
fn hgetex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    match options_first(args, 2, 1, &["EX", "PX", "EXAT", "PXAT", "PERSIST"]) {
        Some((words, fields_at)) => {
            let words = words.as_args();
            let then = |now_ms| Then::of_all(&words, 2..fields_at, now_ms);
            get_and(call, &words, reply, fields_at, then)
        }
        None => get_fields(call, args, reply),
    }
}

fn get_fields(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let scale = scale_named(args.get(2));
    let is_persist = args.is(2, "PERSIST");
    let fields_at = match scale {
        Some(_) => 4,
        None => 2 + usize::from(is_persist),
    };
    get_and(call, args, reply, fields_at, |now_ms| {
        let then = match scale {
            Some(scale) => Then::Deadline(scale.deadline_ms(args.get(3), now_ms, "hgetex")?),
            None if is_persist => Then::Persist,
            None => Then::Nothing,
        };
        if fields_at + 1 >= args.len() {
            return Err(CommandError::Arity("hgetex"));
        }
        Ok(then)
    })
}

/// What becomes of a field that was shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Remove,
    Persist,
    Deadline(i64),
}

impl Then {
    /// What HGETEX's words at these places say.
    fn of_all(args: &Args<'_>, places: Range<usize>, now_ms: i64) -> Result<Self, CommandError> {
        let mut then = Self::Nothing;
        let mut index = places.start;
        while index < places.end {
            let scale = scale_named(args.get(index));
            let is_new = scale.is_some() || args.is(index, "PERSIST");
            let is_other = args.is(index, "KEEPTTL") && matches!(then, Self::Deadline(_));
            if is_new && then != Self::Nothing || is_other {
                return Err(
                    "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified"
                        .into(),
                );
            }
            if !is_new {
                let is_of_hsetex = ["KEEPTTL", "FNX", "FXX"]
                    .iter()
                    .any(|it| args.is(index, it));
                return Err(match is_of_hsetex {
                    true => "ERR unknown argument".into(),
                    false => unknown_option(args.get(index)),
                });
            }
            then = match scale {
                Some(_) if index + 1 == places.end => return Err(NO_TIME.into()),
                Some(scale) => {
                    index += 1;
                    Self::Deadline(scale.deadline_ms(args.get(index), now_ms, "hgetex")?)
                }
                None => Self::Persist,
            };
            index += 1;
        }
        Ok(then)
    }
}

const NO_TIME: &str = "ERR missing expire time";

fn get_and(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    fields_at: usize,
    parse_then: impl FnOnce(i64) -> Result<Then, CommandError>,
) -> Result<Effect, CommandError> {
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let held = call.keys.write::<Hash>(call.db, &key, no_touch)?;
    let then = parse_then(now_ms)?;
    let fields = parse_fields(args, fields_at, NOT_A_COUNT)?;
    reply.array(fields.len());
    let Some(mut held) = held else {
        fields.for_each(|_| reply.null());
        return Ok(Effect::NONE);
    };
    let hash = held.get_mut();
    if matches!(then, Then::Persist | Then::Deadline(_)) {
        hash.prepare_deadlines();
    }
    let (mut changes, mut dead_count, mut removed_count) = (0, 0, 0);
    for field in fields {
        let found = match hash.find(field, now_ms) {
            Found::Alive(found) => found,
            found => {
                reply.null();
                if found == Found::Dead {
                    hash.remove(field);
                    dead_count += 1;
                }
                continue;
            }
        };
        reply_element(reply, found.value);
        let had_deadline = found.deadline_ms.is_some();
        let has_changed = match then {
            Then::Nothing => false,
            Then::Remove => hash.remove(field),
            Then::Persist => had_deadline && hash.set_deadline(field, None),
            Then::Deadline(deadline_ms) => {
                let answer = set_deadline(hash, field, deadline_ms, now_ms);
                removed_count += u64::from(answer == Some(2));
                answer.is_some()
            }
        };
        changes += u64::from(has_changed);
    }
    let is_gone = held.remove_if_empty();
    call.keys.count_expired_fields(dead_count + removed_count);
    if dead_count > 0 {
        call.tell(Classes::HASH, "hexpired", key.bytes);
    }
    if changes > 0 {
        let event = match then {
            Then::Persist => "hpersist",
            Then::Deadline(_) if changes > removed_count => "hexpire",
            _ => "hdel",
        };
        call.tell(Classes::HASH, event, key.bytes);
    }
    if is_gone {
        call.tell_gone(key.bytes);
        call.keys.note_emptied_hash(call.db, &key);
    }
    Ok(Effect::wrote(changes))
}

/// What EX, PX, EXAT and PXAT mean.
fn scale_named(word: &[u8]) -> Option<Scale> {
    Some(match word.to_ascii_uppercase().as_slice() {
        b"EX" => Scale::SECONDS,
        b"PX" => Scale::MILLISECONDS,
        b"EXAT" => Scale::UNIX_SECONDS,
        b"PXAT" => Scale::UNIX_MILLISECONDS,
        _ => return None,
    })
}

/// HSETEX's words.
#[derive(Default)]
struct SetWords {
    /// FXX.
    if_all: bool,
    /// FNX.
    if_none: bool,
    /// XX: the key must be there; NX: it must not.
    of_key: Option<bool>,
    keep: bool,
    deadline_ms: Option<i64>,
    /// Where the pairs of fields and values begin; they go on to the end.
    pairs_at: usize,
}

impl SetWords {
    /// - `fields_at`: where the fields are, if that is known; otherwise options end where they begin.
    fn parse(args: &Args<'_>, fields_at: Option<usize>, now_ms: i64) -> Result<Self, CommandError> {
        let mut words = Self::default();
        let mut index = 2;
        while index < args.len() {
            if fields_at.unwrap_or(index) == index && args.is(index, "FIELDS") {
                words.pairs_at = pairs_at(args, index)?;
                return Ok(words);
            }
            let end = fields_at.unwrap_or(args.len());
            index += words.take(args, index, end, now_ms)?;
        }
        Err(CommandError::Arity("hsetex"))
    }

    /// Takes the option at `index`, which ends before `end`; returns how many words it has.
    fn take(
        &mut self,
        args: &Args<'_>,
        index: usize,
        end: usize,
        now_ms: i64,
    ) -> Result<usize, CommandError> {
        let scale = scale_named(args.get(index));
        if scale.is_some() || args.is(index, "KEEPTTL") {
            if self.keep || self.deadline_ms.is_some() {
                return Err(
                    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
                        .into(),
                );
            }
            let Some(scale) = scale else {
                self.keep = true;
                return Ok(1);
            };
            if index + 1 >= end {
                return Err(NO_TIME.into());
            }
            let deadline_ms = scale.deadline_ms(args.get(index + 1), now_ms, "hsetex")?;
            self.deadline_ms = Some(deadline_ms);
            return Ok(2);
        }
        if args.is(index, "XX") || args.is(index, "NX") {
            let is_wanted = args.is(index, "XX");
            if self.of_key.replace(is_wanted) == Some(!is_wanted) {
                return Err(CommandError::Syntax);
            }
            return Ok(1);
        }
        let had_condition = self.if_all || self.if_none;
        let condition = if args.is(index, "FXX") {
            &mut self.if_all
        } else if args.is(index, "FNX") {
            &mut self.if_none
        } else {
            return Err(unknown_option(args.get(index)));
        };
        *condition = true;
        if had_condition {
            return Err("ERR Only one of FXX or FNX arguments can be specified".into());
        }
        Ok(1)
    }
}

/// Where the pairs begin that `FIELDS count` at `index` announces.
fn pairs_at(args: &Args<'_>, index: usize) -> Result<usize, CommandError> {
    let rest_count = args.len() - index;
    if rest_count <= 3 {
        return Err(CommandError::Arity("hsetex"));
    }
    let count = integer(args.get(index + 1))
        .ok()
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .ok_or("ERR invalid number of fields")?;
    if (rest_count - 2) as i64 != count * 2 {
        return Err(CommandError::Arity("hsetex"));
    }
    Ok(index + 2)
}

/// `HSETEX key [condition] [deadline] FIELDS count field value ...` replies 1, or 0 where the condition is not met.
fn hsetex(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    const OPTIONS: &[&str] = &[
        "EX", "PX", "EXAT", "PXAT", "KEEPTTL", "XX", "NX", "FXX", "FNX",
    ];
    match options_first(args, 2, 2, OPTIONS) {
        Some((words, fields_at)) => set_fields(call, &words.as_args(), Some(fields_at), reply),
        None => set_fields(call, args, None, reply),
    }
}

fn set_fields(
    call: &mut Call<'_>,
    args: &Args<'_>,
    fields_at: Option<usize>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (now_ms, limits) = (call.keys.now_ms(), call.keys.limits());
    let words = SetWords::parse(args, fields_at, now_ms)?;
    let key = call.keys.key(args.get(1));
    if words.if_all || words.of_key.is_some() {
        let no_touch = call.caller.no_touch;
        let is_there = call.keys.write::<Hash>(call.db, &key, no_touch)?.is_some();
        if words.of_key == Some(!is_there) || words.if_all && !is_there {
            reply.integer(0);
            return Ok(Effect::NONE);
        }
    }
    let pairs = || (words.pairs_at..args.len()).step_by(2);
    let mut held = create(call, &key)?;
    let hash = held.get_mut();
    let (mut dead_count, mut removed_count) = (0, 0);
    let mut is_met = true;
    if words.if_all || words.if_none {
        for index in pairs() {
            let field = args.get(index);
            let found = hash.find(field, now_ms);
            let is_alive = found.alive().is_some();
            if found == Found::Dead {
                hash.remove(field);
                dead_count += 1;
            }
            is_met = is_alive == words.if_all;
            if !is_met {
                break;
            }
        }
    }
    if is_met {
        hash.make_room(args.iter_from(words.pairs_at), &limits);
        if words.deadline_ms.is_some() {
            hash.prepare_deadlines();
        }
        let keeps = words.keep || words.deadline_ms.is_some();
        let deadline = if keeps {
            FieldDeadline::Keep
        } else {
            FieldDeadline::Drop
        };
        for index in pairs() {
            let (field, value) = (args.get(index), args.get(index + 1));
            // A field that is dead has no deadline to keep: it is a new one, as if it had been removed by now.
            if words.keep && hash.find(field, now_ms) == Found::Dead {
                hash.remove(field);
                dead_count += 1;
            }
            hash.set(field, value, deadline, &limits);
            if let Some(deadline_ms) = words.deadline_ms {
                let answer = set_deadline(hash, field, deadline_ms, now_ms);
                removed_count += u64::from(answer == Some(2));
            }
        }
    }
    let is_gone = held.remove_if_empty();
    call.keys.count_expired_fields(dead_count + removed_count);
    if dead_count > 0 {
        call.tell(Classes::HASH, "hexpired", key.bytes);
    }
    if is_met {
        call.tell(Classes::HASH, "hset", key.bytes);
        if words.deadline_ms.is_some() {
            let event = if removed_count > 0 { "hdel" } else { "hexpire" };
            call.tell(Classes::HASH, event, key.bytes);
        }
    }
    if is_gone {
        call.tell_gone(key.bytes);
        call.keys.note_emptied_hash(call.db, &key);
    }
    reply.integer(i64::from(is_met));
    let set_count = (args.len() - words.pairs_at) as u64 / 2;
    Ok(Effect::wrote(if is_met { set_count } else { 0 }))
}

/// Fields with their deadlines in one request.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "HGETDEL",
        since: "8.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "delete"])],
        args: "key fields=FIELDS(numfields:integer field [field ...])",
        summary: "Replies with the values of fields of a hash and removes them.",
        cost: "O(N) where N is the number of fields named.",
        run: Run::Keys(hgetdel),
        ..ROW
    },
    Command {
        name: "HGETEX",
        since: "8.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: WRITE_FAST,
        keys: &[key_at(1, "RW", &["access", "update"])
            .noted("RW and UPDATE because it changes the TTL")],
        args: "key expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
               fields=FIELDS(numfields:integer field [field ...])",
        summary: "Replies with the values of fields of a hash and sets or removes their deadlines.",
        cost: "O(N) where N is the number of fields named.",
        run: Run::Keys(hgetex),
        ..ROW
    },
    Command {
        name: "HSETEX",
        since: "8.0.0",
        group: Group::Hash,
        arity: Arity::AtLeast(6),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])],
        args: "key key-condition=[NX | XX] condition=[FNX | FXX] \
               expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] \
               fields=FIELDS(numfields:integer field value [field value ...])",
        summary: "Sets fields of a hash and their deadlines.",
        cost: "O(N) where N is the number of fields to set.",
        run: Run::Keys(hsetex),
        ..ROW
    },
];
