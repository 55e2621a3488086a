//! Values as bytes: DUMP and RESTORE.
//!
//! Not here  the bytes: `keyspace/rdb/`.
//! Tests     tests/transcripts/dump.txt, tests/keyspace/rdb.rs.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run};
use super::word::integer;
use crate::keyspace::Classes;
use crate::keyspace::rdb::{self, Refused};
use crate::keyspace::{AccessPolicy, Moved};
use crate::resp::{Args, Reply};

/// `DUMP key` replies with the value's payload, or null.
fn dump(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let compresses = call.keys.compresses_dumps();
    match call.keys.lookup_read(call.db, &key, call.caller.no_touch) {
        Some(entry) => reply.bulk(&rdb::dump(&entry.value(), compresses)?),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

/// RESTORE's options.
#[derive(Default)]
struct Options {
    replace: bool,
    is_absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut index = 4;
        while index < args.len() {
            let has_next = index + 1 < args.len();
            if args.is(index, "REPLACE") {
                options.replace = true;
            } else if args.is(index, "ABSTTL") {
                options.is_absolute = true;
            } else if args.is(index, "IDLETIME") && has_next && options.frequency.is_none() {
                let seconds = integer(args.get(index + 1))?;
                if seconds < 0 {
                    return Err("ERR Invalid IDLETIME value, must be >= 0".into());
                }
                options.idle_seconds = Some(seconds);
                index += 1;
            } else if args.is(index, "FREQ") && has_next && options.idle_seconds.is_none() {
                let frequency = integer(args.get(index + 1))?;
                if !(0..=255).contains(&frequency) {
                    return Err("ERR Invalid FREQ value, must be >= 0 and <= 255".into());
                }
                options.frequency = Some(frequency);
                index += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }

    /// The access clock they ask for, where the policy is the kind they speak of.
    fn access(&self, policy: &AccessPolicy, clock: u32) -> u32 {
        match (self.idle_seconds, self.frequency) {
            (Some(seconds), _) if !policy.is_lfu() => policy.idle_since(clock, seconds),
            (_, Some(frequency)) if policy.is_lfu() => policy.used_often(clock, frequency as u8),
            _ => policy.fresh(clock),
        }
    }
}

/// `RESTORE key ttl serialized-value [option ...]` replies OK.
fn restore(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let options = Options::parse(args)?;
    let key = call.keys.key(args.get(1));
    if !options.replace
        && call
            .keys
            .lookup_write(call.db, &key, call.caller.no_touch)
            .is_some()
    {
        return Err("BUSYKEY Target key name already exists.".into());
    }
    let ttl = integer(args.get(2))?;
    if ttl < 0 {
        return Err("ERR Invalid TTL value, must be >= 0".into());
    }
    call.keys.count_payload();
    let value = rdb::restore(
        args.get(3),
        !call.keys.skips_checksums(),
        &call.keys.limits(),
    )
    .map_err(|refused| match refused {
        Refused::Footer => "ERR DUMP payload version or checksum are wrong",
        Refused::Value => "ERR Bad data format",
    })?;
    let now_ms = call.keys.now_ms();
    // A time to live past every clock wraps into the past, as it does in Redis.
    let expire_at_ms = match (ttl, options.is_absolute) {
        (0, _) => None,
        (at_ms, true) => Some(at_ms),
        (ttl, false) => Some(ttl.wrapping_add(now_ms)),
    };
    reply.ok();
    if expire_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
        let is_removed = call.keys.remove(call.db, &key);
        if is_removed {
            call.tell_gone(key.bytes);
        }
        return Ok(Effect::wrote(u64::from(is_removed)));
    }
    let access = options.access(call.keys.access_policy(), call.keys.clock());
    let moved = Moved {
        value,
        expire_at_ms,
        access,
    };
    let before = call.keys.replaced(call.db, &key);
    call.keys.put_value(call.db, &key, moved, true);
    call.tell(Classes::GENERIC, "restore", key.bytes);
    call.keys.tell_replaced(call.db, before, &key);
    Ok(Effect::wrote(1))
}

/// What RESTORE and RESTORE-ASKING have in common.
const RESTORE: Command = Command {
    name: "RESTORE",
    since: "2.6.0",
    arity: Arity::AtLeast(4),
    flags: WRITE_GROW.or(Flags::CAT_KEYSPACE).or(Flags::CAT_DANGEROUS),
    keys: &[key_at(1, "OW", &["update"])],
    args: "key ttl:integer serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 [IDLETIME seconds]@5.0.0 \
           [FREQ frequency:integer]@5.0.0",
    summary: "Makes a key from a value's payload.",
    cost: "O(N) where N is the length of the payload; O(N*log(N)) for a sorted set.",
    history: &[
        ("3.0.0", "`REPLACE` came."),
        ("5.0.0", "`ABSTTL` came."),
        ("5.0.0", "`IDLETIME` and `FREQ` came."),
    ],
    run: Run::Keys(restore),
    ..ROW
};

/// Values as bytes.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "DUMP",
        since: "2.6.0",
        arity: Arity::Exactly(2),
        flags: KEYSPACE_READ,
        keys: &[key_at(1, "RO", &["access"])],
        args: "key",
        summary: "Replies with a value's payload, which RESTORE takes.",
        cost: "O(N) where N is the size of the value.",
        tips: &["nondeterministic_output"],
        run: Run::Keys(dump),
        ..ROW
    },
    RESTORE,
    Command {
        name: "RESTORE-ASKING",
        is_system: true,
        since: "3.0.0",
        group: Group::Server,
        flags: RESTORE.flags.or(Flags::ASKING),
        summary: "RESTORE for the moving of slots between the nodes of a cluster.",
        history: &[
            ("3.0.0", "`REPLACE` came."),
            ("5.0.0", "`ABSTTL` came."),
            ("5.0.0", "`IDLETIME` and `FREQ` came."),
        ],
        ..RESTORE
    },
];
