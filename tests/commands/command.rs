//! COMMAND's replies, against what a real server says of the same commands (`golden/record.py`).

use super::say::{check_replies, say, say_in, session3};
use rondo::commands::docs_args::{Argument, display, parse};
use rondo::commands::{Group, table};

const GOLDEN: &str = include_str!("golden/command_rows.txt");

/// Rows that say more than Redis 8.0 does, with why.
const NEWER: &[&str] = &[
    "set",    // the conditions that came with Redis 8.4
    "hsetex", // NX and XX, which came with Valkey 9.1
    "bitop",  // the operations that came with Redis 8.2
    "zunion", // AGGREGATE COUNT, which came with Redis 8.8
    "zinter",
    "zunionstore",
    "zinterstore",
    "zscan",     // NOSCORES, which came with Valkey 8.0
    "geosearch", // BYPOLYGON, which came with Valkey 9.0
    "bgsave",    // CANCEL, Valkey 8.1
    "geosearchstore",
    "xadd",
    "xtrim",      // what becomes of references, Redis 8.2
    "xread",      // MAXCOUNT and MAXSIZE, Redis 8.10
    "xreadgroup", // these, and CLAIM, Redis 8.4
];

/// All commands of the real server that are here.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let rows = GOLDEN.lines().map(|line| {
        let mut parts = line.split('\t');
        let mut next = || parts.next().expect("three parts");
        (next(), next(), next())
    });
    rows.filter(|(name, ..)| table().find_full(name.as_bytes()).is_some())
}

// Name, arity, flags, key range, categories, tips and key specifications are byte for byte the real server's.
#[test]
fn command_info_is_as_recorded() {
    for (name, info, _) in rows() {
        let reply = say_in(&mut session3(), &["COMMAND", "INFO", name]);
        let reply = reply.strip_prefix("*1 *10 ").expect(name);
        assert!(reply.starts_with(info), "{name}\nmine {reply}\nreal {info}");
    }
}

/// Prose is not recorded; which specifications have some is Redis 8.0.6's.
#[test]
fn key_specifications_are_noted_where_redis_notes_them() {
    let noted = [
        "bitfield", "eval", "eval_ro", "fcall", "fcall_ro", "getex", "hgetex", "pfcount", "set",
        "sort", "sort_ro", "xadd",
    ];
    for entry in table().rows().filter(|entry| entry.is_visible()) {
        let has_notes = entry.command.keys.iter().any(|spec| !spec.notes.is_empty());
        let name = entry.full_name;
        assert_eq!(has_notes, noted.contains(&name), "{name}");
    }
    let reply = say_in(&mut session3(), &["COMMAND", "INFO", "getex"]);
    let notes = "~1 %4 $5 notes $40 RW and UPDATE because it changes the TTL $5 flags ~3 +RW";
    assert!(reply.contains(notes), "{reply}");
}

#[test]
fn arguments_are_as_recorded() {
    for (name, _, tree) in rows().filter(|(name, ..)| !NEWER.contains(name)) {
        let entry = table().find_full(name.as_bytes()).expect(name);
        let arguments = parse(entry.command.args, entry.command.keys.len());
        assert_eq!(tree_text(&arguments), tree, "{name}");
    }
}

// The file must not shrink unnoticed: every row that a real server could know is in it.
#[test]
fn every_row_is_recorded_or_newer() {
    let newer = [
        "msetex",
        "increx",
        "digest",
        "delex",
        "delifeq",
        "lmovem",
        "blmovem",
        "xdelex",
        "xackdel",
        "xnack",
        "xcfgset",
        "xidmprecord",
        "himport",
        "sunioncard",
        "sdiffcard",
        "script|show",
        "client|capa",
        "client|import-source",
        "clusterscan",
        "cluster|cancelslotmigrations",
        "cluster|flushslot",
        "cluster|getslotmigrations",
        "cluster|migrateslots",
        "cluster|slot-stats",
        "cluster|syncslots",
    ];
    for entry in table().rows().filter(|entry| entry.is_visible()) {
        let name = entry.full_name;
        let known = rows().any(|(recorded, ..)| recorded == name);
        assert!(
            known
                || newer.contains(&name)
                || name.starts_with("himport|")
                || name.starts_with("commandlog")
                || name.starts_with("hotkeys")
                || name.starts_with("backup")
                || entry.command.group == Group::Array,
            "{name}"
        );
    }
}

fn tree_text(arguments: &[Argument]) -> String {
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn one(argument: &Argument) -> String {
    let mut text = format!("{}:{}", argument.name, argument.kind);
    let mark = |sign: &str, value: &Option<String>| {
        value
            .as_ref()
            .map_or(String::new(), |value| format!("{sign}{value}"))
    };
    text += &mark("~", &argument.display);
    if let Some(index) = argument.key_spec_index {
        text += &format!("#{index}");
    }
    text += &mark("=", &argument.token);
    text += &mark("@", &argument.since);
    text += &mark("!", &argument.deprecated_since);
    text += if argument.is_optional { "?" } else { "" };
    text += if argument.is_multiple { "+" } else { "" };
    text += if argument.repeats_token { "+" } else { "" };
    if !argument.parts.is_empty() {
        text += &format!("({})", tree_text(&argument.parts));
    }
    text
}

#[test]
fn syntax_is_shown_without_marks() {
    let shown = |syntax: &str| display(&parse(syntax, 1));
    assert_eq!(shown("key [key ...]"), "key [key ...]");
    assert_eq!(
        shown("key value [key value ...]"),
        "key value [key value ...]"
    );
    assert_eq!(
        shown("key increment:double condition=[NX | XX@2.6.12]@7.0.0 [EX seconds | KEEPTTL]"),
        "key increment [NX | XX] [EX seconds | KEEPTTL]"
    );
    assert_eq!(shown("[BY pattern ...]"), "[BY pattern [pattern ...]]");
    assert_eq!(
        shown("[BY pattern [BY pattern ...]]"),
        "[BY pattern [BY pattern ...]]"
    );
    assert_eq!(shown("enabled=(ON | OFF)"), "<ON | OFF>");
    assert_eq!(shown("[ADDR addr~ip:port]@6.2.0"), "[ADDR ip:port]");
}

#[test]
fn requests_about_commands_are_refused_as_a_real_server_does() {
    check_replies(
        "command foo => -ERR unknown subcommand 'foo'. Try COMMAND HELP.
        command count x => -ERR wrong number of arguments for 'command|count' command
        command list a b c => -ERR syntax error
        command list filterby x y => -ERR syntax error
        command list filterby module x => *0
        command list filterby aclcat nosuch => *0
        command list filterby pattern conf*et => *2 $10 config|get $10 config|set
        command getkeys => -ERR wrong number of arguments for 'command|getkeys' command
        command getkeys x => -ERR Invalid command specified
        command getkeys get => -ERR Invalid number of arguments specified for command
        command getkeys ping => -ERR The command has no key arguments
        command getkeys get a => *1 $1 a
        command getkeys mset a 1 b 2 => *2 $1 a $1 b
        command getkeys object encoding x => *1 $1 x
        command getkeys debug nothing => -ERR The command has no key arguments
        command getkeys config get x => -ERR The command has no key arguments
        command getkeysandflags copy a b => *2 *2 $1 a *2 +RO +access *2 $1 b *2 +OW +update
        command getkeysandflags set a b => *1 *2 $1 a *2 +OW +update
        command getkeysandflags set a b get => *1 *2 $1 a *3 +RW +access +update
        command getkeysandflags set a b ifeq c => *1 *2 $1 a *2 +RW +update
        command getkeysandflags set a b IFDNE c get => *1 *2 $1 a *3 +RW +access +update
        command getkeysandflags set a ifeq => *1 *2 $1 a *2 +OW +update
        command getkeysandflags delex a => *1 *2 $1 a *2 +RM +delete
        command getkeysandflags delex a ifeq b => *1 *2 $1 a *2 +RW +delete
        command getkeysandflags delex a b c => *1 *2 $1 a *2 +RM +delete
        command docs nosuch => *0
        command info nosuch => *1 $-1",
    );
}

/// As in Redis 8.6.
#[test]
fn hotkeys_say_which_nodes_of_a_cluster_to_ask() {
    let tips = |name: &str| {
        let entry = table().find_full(name.as_bytes());
        entry.expect("a row").command.tips
    };
    for name in ["hotkeys|start", "hotkeys|stop", "hotkeys|reset"] {
        assert_eq!(tips(name), ["request_policy:special"], "{name}");
    }
    assert_eq!(
        tips("hotkeys|get"),
        [
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special"
        ]
    );
}

#[test]
fn hidden_rows_are_not_counted() {
    let visible = table().entries().len();
    assert_eq!(say(&["COMMAND", "COUNT"]), format!(":{visible} "));
    assert!(!say(&["COMMAND", "LIST"]).contains("debug|"));
    assert!(say(&["COMMAND", "INFO", "debug|sleep"]).starts_with("*1 $-1"));
}
