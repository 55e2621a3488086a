//! DEBUG's subcommands that touch keys; the container and the node's own are with the server's commands.
//!
//! Tests     tests/commands/debug.rs.

use super::CommandError;
use super::generic::NO_SUCH_KEY;
use super::row::*;
use super::table::unknown_or_arity;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Merge, Run, Spread};
use super::word::integer;
use crate::base::units::memory_bytes;
use crate::ds::key_table::{HeapSize, NewValue, Value};
use crate::ds::quicklist::{Content, Quicklist};
use crate::keyspace::Object;
use crate::keyspace::rdb::serialized_bytes;
use crate::keyspace::value::{EMBEDDED_BYTES_MAX, encoding_name};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};

/// `DEBUG OBJECT key` replies with one line about how the value is held.
fn object(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let compresses = call.keys.compresses_dumps();
    let Some(entry) = call.keys.peek_at_any_time(call.db, &key) else {
        return Err(NO_SUCH_KEY.into());
    };
    let value = entry.value();
    let (place, heap_bytes) = match value {
        Value::Int(_) => (entry.key().as_ptr(), 0),
        Value::Str { bytes, .. } => (bytes.as_ptr(), 0),
        Value::Object(object) => (
            std::ptr::from_ref(object).cast(),
            HeapSize::heap_bytes(object),
        ),
    };
    // What has no payload (arrays) has no length as one either.
    let length = serialized_bytes(&value, compresses).unwrap_or(heap_bytes);
    let policy = call.keys.access_policy();
    let access = entry.access();
    let idle_seconds = if policy.is_lfu() {
        0
    } else {
        policy.idle_seconds(access, call.keys.clock())
    };
    let nodes = match value {
        Value::Object(Object::List(list)) => list
            .as_quicklist()
            .map(|list| about_nodes(list, call.keys.limits().list_max_listpack_size)),
        _ => None,
    };
    reply.simple(&format!(
        "Value at:{place:p} refcount:1 encoding:{} serializedlength:{length} lru:{access} lru_seconds_idle:{idle_seconds}{}",
        encoding_name(&value),
        nodes.unwrap_or_default(),
    ));
    Ok(Effect::NONE)
}

/// What DEBUG OBJECT says of a quicklist's nodes.
fn about_nodes(list: &Quicklist, size: i64) -> String {
    let mut plain_bytes = 0;
    list.visit_nodes(|content| {
        plain_bytes += match content {
            Content::Packed(pack) => pack.byte_len(),
            Content::Alone(bytes) => bytes.len(),
        };
    });
    let nodes_count = list.nodes_count();
    let average = list.len() as f64 / nodes_count as f64;
    let is_compressed = u8::from(list.compress_depth() > 0);
    format!(
        " ql_nodes:{nodes_count} ql_avg_node:{average:.2} ql_listpack_max:{size} ql_compressed:{is_compressed} \
         ql_uncompressed_size:{plain_bytes}"
    )
}

/// `DEBUG QUICKLIST-PACKED-THRESHOLD size` lets elements of that many bytes stand alone in quicklists to come, or, for 0,
/// leaves that to the nodes' limit again; replies OK.
fn quicklist_packed_threshold(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let size = std::str::from_utf8(args.get(1)).ok().and_then(memory_bytes);
    match size {
        Some(size @ 0..0x1_0000_0000) => {
            let bytes = (size > 0).then_some(size as usize);
            call.keys.set_list_packed_threshold(bytes);
            reply.ok();
            Ok(Effect::NONE)
        }
        _ => Err("ERR argument must be a memory value bigger than 1 and smaller than 4gb".into()),
    }
}

/// `DEBUG POPULATE count [prefix [size]]` makes the keys `prefix:0` to `prefix:count-1` that this shard owns and that
/// are not there, and replies OK.
fn populate(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if args.len() > 4 {
        return Err(unknown_or_arity("DEBUG", args.get(0)));
    }
    let number = |index| match integer(args.get(index))? {
        number if number >= 0 => Ok(number as u64),
        _ => Err(CommandError::from(
            "ERR value is out of range, must be positive",
        )),
    };
    let count = number(1)?;
    let prefix = if args.len() > 2 { args.get(2) } else { b"key" };
    let size = if args.len() > 3 { number(3)? } else { 0 };
    if size > call.keys.value_bytes_max() {
        return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
    }
    let mut key = Vec::new();
    let mut value = Vec::new();
    // It counts as no change, but what follows is logged of keys that are to be there.
    let mut logged: Vec<OwnedArgs> = Vec::new();
    for index in 0..count {
        key.clear();
        key.extend_from_slice(prefix);
        key.extend_from_slice(format!(":{index}").as_bytes());
        if !call.keys.owns(&key) {
            continue;
        }
        let key = call.keys.key(&key);
        if call.keys.lookup_write(call.db, &key, true).is_some() {
            continue;
        }
        value.clear();
        value.extend_from_slice(format!("value:{index}").as_bytes());
        if size > 0 {
            value.resize(size as usize, 0);
        }
        let new = NewValue::Str {
            bytes: &value,
            raw: value.len() > EMBEDDED_BYTES_MAX,
        };
        call.keys.insert(call.db, &key, new, None);
        if call.is_logged {
            let is_full = |words: &OwnedArgs| words.len() >= WORDS_LOGGED_MAX;
            if logged.last().is_none_or(is_full) {
                logged.push([b"MSET".as_slice()].into_iter().collect());
            }
            if let Some(words) = logged.last_mut() {
                words.push(key.bytes);
                words.push(&value);
            }
        }
    }
    if !logged.is_empty() {
        call.log_instead(logged);
    }
    reply.ok();
    Ok(Effect::NONE)
}

/// `DEBUG SET-ACTIVE-EXPIRE 0|1` replies OK; anything but a number other than 0 turns the expire cycle off.
fn set_active_expire(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let enabled = integer(args.get(1)).is_ok_and(|number| number != 0);
    call.keys.set_active_expire(enabled);
    reply.ok();
    Ok(Effect::NONE)
}

/// `DEBUG SET-SKIP-CHECKSUM-VALIDATION 0|1` replies OK; anything but a number other than 0 has checksums matter.
fn skip_checksums(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let skips = integer(args.get(1)).is_ok_and(|number| number != 0);
    call.keys.set_skips_checksums(skips);
    reply.ok();
    Ok(Effect::NONE)
}

/// `DEBUG LISTPACK key` replies with one line about a packed value.
fn listpack(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let Some(entry) = call.keys.peek(call.db, &key) else {
        return Err(NO_SUCH_KEY.into());
    };
    match entry.value() {
        Value::Object(object) if object.encoding_name().starts_with("listpack") => {
            reply.simple(&format!("Listpack in {} bytes", object.heap_bytes()));
            Ok(Effect::NONE)
        }
        _ => Err("ERR Not a listpack encoded object.".into()),
    }
}

/// Words of one command of the log that DEBUG POPULATE makes.
const WORDS_LOGGED_MAX: usize = 2_001;

/// What DEBUG's subcommands have in common; COMMAND shows none of them.
const DEBUG_ROW: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE),
    ..ROW
};

/// Rows for the DEBUG container.
pub const DEBUG_KEYS: &[Command] = &[
    Command {
        name: "OBJECT",
        arity: Arity::Exactly(3),
        keys: &[key_at(2, "RO", &[])],
        args: "key",
        summary: "Tells how a value is held.",
        run: Run::Keys(object),
        ..DEBUG_ROW
    },
    Command {
        name: "POPULATE",
        arity: Arity::AtLeast(3),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "count [prefix [size]]",
        summary: "Makes many keys.",
        cost: "O(N) where N is the number of keys.",
        run: Run::Keys(populate),
        ..DEBUG_ROW
    },
    Command {
        name: "QUICKLIST-PACKED-THRESHOLD",
        arity: Arity::Exactly(3),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "size",
        summary: "Sets how large elements are that stand alone in lists.",
        run: Run::Keys(quicklist_packed_threshold),
        ..DEBUG_ROW
    },
    Command {
        name: "LISTPACK",
        arity: Arity::Exactly(3),
        keys: &[key_at(2, "RO", &[])],
        args: "key",
        summary: "Tells how large a packed value is.",
        run: Run::Keys(listpack),
        ..DEBUG_ROW
    },
    Command {
        name: "SET-ACTIVE-EXPIRE",
        arity: Arity::Exactly(3),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "enabled",
        summary: "Turns the search for keys past their deadline on or off.",
        run: Run::Keys(set_active_expire),
        ..DEBUG_ROW
    },
    Command {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        arity: Arity::Exactly(3),
        spread: Spread::EveryShard(Merge::AllOk),
        args: "flag:integer",
        summary: "Has wrong checksums of RESTORE's payloads and of RDB files not matter, or matter.",
        run: Run::Keys(skip_checksums),
        ..DEBUG_ROW
    },
];
