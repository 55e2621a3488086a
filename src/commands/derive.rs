//! COMMAND's replies, ACL categories and the manual's page, read from the table.
//!
//! Promises  shapes and order of Redis 8 in both protocols; nothing here names a command.
//! Not here  the COMMAND command itself: `commands/command.rs`.
//! Tests     tests/commands/command.rs: replies recorded from a real server.

use super::docs_args::{self, Argument};
use super::table::{Arity, Begin, Command, Entry, Find, Flags, Group, KeyAccess, KeySpec};
use crate::resp::Reply;

/// Flags as COMMAND INFO names them, in its order. Others are not shown.
const FLAG_NAMES: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::ASKING, "asking"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLE_KEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

/// ACL categories in COMMAND INFO's order.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "array",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Key specification flags in COMMAND INFO's order.
const KEY_FLAG_NAMES: &[&str] = &[
    "RO",
    "RW",
    "OW",
    "RM",
    "access",
    "update",
    "insert",
    "delete",
    "not_key",
    "incomplete",
    "variable_flags",
];

/// Whether a command is in an ACL category.
pub fn is_in_category(command: &Command, category: &str) -> bool {
    let flags = command.flags;
    let is_container = !command.sub.is_empty();
    match category {
        "keyspace" => flags.has(Flags::CAT_KEYSPACE),
        // What scripts read is up to them.
        "read" => flags.has(Flags::READONLY) && command.group != Group::Scripting,
        "write" => flags.has(Flags::WRITE),
        "admin" => flags.has(Flags::ADMIN) || flags.has(Flags::CAT_ADMIN),
        "fast" => flags.has(Flags::FAST),
        "slow" => !flags.has(Flags::FAST),
        "blocking" => flags.has(Flags::BLOCKING),
        "dangerous" => flags.has(Flags::ADMIN) || flags.has(Flags::CAT_DANGEROUS),
        "connection" => {
            flags.has(Flags::CAT_CONNECTION) || command.group == Group::Connection && !is_container
        }
        "pubsub" => flags.has(Flags::PUBSUB),
        "list" | "set" | "sortedset" if flags.has(Flags::CAT_SORTABLE) => true,
        category => !is_container && category_of_group(command.group) == category,
    }
}

fn category_of_group(group: Group) -> &'static str {
    match group {
        Group::String => "string",
        Group::List => "list",
        Group::Set => "set",
        Group::SortedSet => "sortedset",
        Group::Hash => "hash",
        Group::Transactions => "transaction",
        Group::Scripting => "scripting",
        Group::HyperLogLog => "hyperloglog",
        Group::Geo => "geo",
        Group::Stream => "stream",
        Group::Bitmap => "bitmap",
        Group::Array => "array",
        // A command is in @pubsub by its flag.
        Group::PubSub | Group::Generic | Group::Connection | Group::Server | Group::Cluster => "",
    }
}

/// A group as COMMAND DOCS names it.
pub fn group_name(group: Group) -> &'static str {
    match group {
        Group::Generic => "generic",
        Group::String => "string",
        Group::List => "list",
        Group::Set => "set",
        Group::SortedSet => "sorted-set",
        Group::Hash => "hash",
        Group::PubSub => "pubsub",
        Group::Transactions => "transactions",
        Group::Connection => "connection",
        Group::Server => "server",
        Group::Scripting => "scripting",
        Group::HyperLogLog => "hyperloglog",
        Group::Cluster => "cluster",
        Group::Geo => "geo",
        Group::Stream => "stream",
        Group::Bitmap => "bitmap",
        Group::Array => "array",
    }
}

/// The element of COMMAND INFO for one row.
pub fn write_info(entry: &Entry, reply: &mut Reply<'_>) {
    let command = entry.command;
    let (range, is_movable) = legacy_range(command.keys);
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.integer(match command.arity {
        Arity::Exactly(count) => i64::from(count),
        Arity::AtLeast(count) => -i64::from(count),
    });
    let flags = if is_movable {
        command.flags.or(Flags::MOVABLE_KEYS)
    } else {
        command.flags
    };
    let names: Vec<&str> = FLAG_NAMES
        .iter()
        .filter(|(flag, _)| flags.has(*flag))
        .map(|(_, name)| *name)
        .collect();
    write_names(&names, reply);
    range.iter().for_each(|number| reply.integer(*number));
    let categories: Vec<String> = CATEGORIES
        .iter()
        .filter(|category| is_in_category(command, category))
        .map(|category| format!("@{category}"))
        .collect();
    reply.set(categories.len());
    categories.iter().for_each(|name| reply.simple(name));
    reply.set(command.tips.len());
    command
        .tips
        .iter()
        .for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command
        .keys
        .iter()
        .for_each(|spec| write_key_spec(spec, reply));
    let visible = || entry.sub.iter().filter(|sub| sub.is_visible());
    match visible().count() {
        0 => reply.set(0),
        count => reply.array(count),
    }
    visible().for_each(|sub| write_info(sub, reply));
}

/// First key, last key and step as COMMAND said them before key specifications, and whether those say it all.
fn legacy_range(specs: &[KeySpec]) -> ([i64; 3], bool) {
    let mut is_movable = false;
    let mut range: Option<(i64, i64)> = None;
    let is_only = specs.len() == 1;
    let mut step_seen = 1;
    for spec in specs {
        let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
            is_movable = true;
            continue;
        };
        let first = i64::from(first);
        let consecutive = range.is_none_or(|(_, previous)| previous == first - 1);
        if !is_only && (step != 1 || !consecutive) {
            is_movable = true;
            continue;
        }
        is_movable |= spec.is_incomplete();
        step_seen = i64::from(step);
        let last = if last < 0 {
            i64::from(last)
        } else {
            first + i64::from(last)
        };
        range = Some((range.map_or(first, |(start, _)| start), last));
    }
    match range {
        Some((first, last)) => ([first, last, step_seen], is_movable),
        None => ([0, 0, 0], is_movable || !specs.is_empty()),
    }
}

/// A set of status replies.
fn write_names(names: &[&str], reply: &mut Reply<'_>) {
    reply.set(names.len());
    names.iter().for_each(|name| reply.simple(name));
}

/// What is done to keys.
pub fn write_key_access(access: KeyAccess, reply: &mut Reply<'_>) {
    let names: Vec<&str> = KEY_FLAG_NAMES
        .iter()
        .filter(|name| access.mode == **name || access.flags.contains(name))
        .copied()
        .collect();
    write_names(&names, reply);
}

fn write_key_spec(spec: &KeySpec, reply: &mut Reply<'_>) {
    match spec.notes {
        "" => reply.map(3),
        notes => {
            reply.map(4);
            reply.bulk(b"notes");
            reply.bulk(notes.as_bytes());
        }
    }
    reply.bulk(b"flags");
    write_key_access(spec.access, reply);
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_spec(reply, "index", &[("index", i64::from(index))]),
        Begin::Keyword { word, start_from } => {
            write_typed(reply, "keyword");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(i64::from(start_from));
        }
        Begin::Unknown => write_spec(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => write_spec(
            reply,
            "range",
            &[
                ("lastkey", i64::from(last)),
                ("keystep", i64::from(step)),
                ("limit", i64::from(limit)),
            ],
        ),
        Find::KeyNum { at, first, step } => write_spec(
            reply,
            "keynum",
            &[
                ("keynumidx", i64::from(at)),
                ("firstkey", i64::from(first)),
                ("keystep", i64::from(step)),
            ],
        ),
        Find::Unknown => write_spec(reply, "unknown", &[]),
    }
}

/// A map of `type` and `spec`, up to the content of `spec`.
fn write_typed(reply: &mut Reply<'_>, kind: &str) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
}

fn write_spec(reply: &mut Reply<'_>, kind: &str, numbers: &[(&str, i64)]) {
    write_typed(reply, kind);
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
}

/// The name and the map of COMMAND DOCS for one row.
pub fn write_docs(entry: &Entry, reply: &mut Reply<'_>) {
    let command = entry.command;
    let arguments = docs_args::parse(command.args, command.keys.len());
    let subs: Vec<&Entry> = entry.sub.iter().filter(|sub| sub.is_visible()).collect();
    // DEBUG is the one command whose subcommands are hidden; Redis calls it a system command, too.
    let is_system = command.is_system || !entry.sub.is_empty() && subs.is_empty();
    let fields = 3
        + usize::from(!command.cost.is_empty())
        + 3 * usize::from(command.deprecated.is_some())
        + usize::from(is_system)
        + usize::from(!command.history.is_empty())
        + usize::from(!arguments.is_empty())
        + usize::from(!subs.is_empty());
    reply.bulk(entry.full_name.as_bytes());
    reply.map(fields);
    let mut text = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text("summary", command.summary);
    text("since", command.since);
    text("group", group_name(command.group));
    if !command.cost.is_empty() {
        text("complexity", command.cost);
    }
    if is_system {
        reply.bulk(b"doc_flags");
        write_names(&["syscmd"], reply);
    }
    if let Some((release, replaced_by)) = command.deprecated {
        reply.bulk(b"doc_flags");
        write_names(&["deprecated"], reply);
        reply.bulk(b"deprecated_since");
        reply.bulk(release.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(replaced_by.as_bytes());
    }
    if !command.history.is_empty() {
        reply.bulk(b"history");
        reply.set(command.history.len());
        for (release, change) in command.history {
            reply.array(2);
            reply.bulk(release.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(&arguments, reply);
    }
    if !subs.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subs.len());
        subs.iter().for_each(|sub| write_docs(sub, reply));
    }
}

fn write_arguments(arguments: &[Argument], reply: &mut Reply<'_>) {
    reply.array(arguments.len());
    arguments
        .iter()
        .for_each(|argument| write_argument(argument, reply));
}

fn write_argument(argument: &Argument, reply: &mut Reply<'_>) {
    let has_parts = matches!(argument.kind, "oneof" | "block");
    let has_flags = argument.is_optional || argument.is_multiple;
    let fields = 3
        + usize::from(argument.key_spec_index.is_some())
        + usize::from(argument.token.is_some())
        + usize::from(argument.since.is_some())
        + usize::from(argument.deprecated_since.is_some())
        + usize::from(has_flags);
    reply.map(fields);
    let mut text = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text("name", &argument.name);
    text("type", argument.kind);
    if !has_parts {
        text(
            "display_text",
            argument.display.as_ref().unwrap_or(&argument.name),
        );
    }
    if let Some(index) = argument.key_spec_index {
        reply.bulk(b"key_spec_index");
        reply.integer(index as i64);
    }
    let optional_texts = [
        ("token", &argument.token),
        ("since", &argument.since),
        ("deprecated_since", &argument.deprecated_since),
    ];
    for (name, value) in optional_texts {
        if let Some(value) = value {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
    }
    if has_flags {
        reply.bulk(b"flags");
        let names: Vec<&str> = [
            (argument.is_optional, "optional"),
            (argument.is_multiple, "multiple"),
            (argument.repeats_token, "multiple_token"),
        ]
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, name)| *name)
        .collect();
        write_names(&names, reply);
    }
    if has_parts {
        reply.bulk(b"arguments");
        write_arguments(&argument.parts, reply);
    }
}

/// The reply of a container's HELP: its subcommands as the table has them.
pub fn write_help(container: &Command, reply: &mut Reply<'_>) {
    let mut lines = vec![format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.name
    )];
    for sub in container.sub {
        let syntax = docs_args::display(&docs_args::parse(sub.args, sub.keys.len()));
        lines.push(format!("{} {syntax}", sub.name).trim_end().to_string());
        lines.push(format!("    {}", sub.summary));
    }
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.simple(line));
}
