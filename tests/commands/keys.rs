//! Which words of a request are keys: recorded from COMMAND GETKEYS of Redis 8.0.6.

use rondo::commands::keys::for_each_key_of;
use rondo::commands::table::{Begin, Find};
use rondo::commands::{KeyAccess, KeyShape, KeySpec, for_each_key, table};
use rondo::resp::args::OwnedArgs;

/// The keys of a request, and whether its words fit the specifications.
fn keys(request: &str) -> (Vec<String>, bool) {
    let owned: OwnedArgs = request.split(' ').map(str::as_bytes).collect();
    let args = owned.as_args();
    let mut entry = table().find(args.get(0)).expect("a command");
    if !entry.sub.is_empty() {
        entry = entry.find_sub(args.get(1)).expect("a subcommand");
    }
    let mut keys = Vec::new();
    let fits = for_each_key(entry, &args, |at| {
        keys.push(String::from_utf8_lossy(args.get(at)).into_owned());
    });
    (keys, fits)
}

fn check(request: &str, expected: &[&str]) {
    let (found, fits) = keys(request);
    assert_eq!(found, expected, "{request}");
    assert!(fits, "{request}");
}

#[test]
fn keys_are_found() {
    check("ping", &[]);
    check("get a", &["a"]);
    check("set a 1 EX 10", &["a"]);
    check("del a b c", &["a", "b", "c"]);
    check("mget a", &["a"]);
    check("mset a 1 b 2", &["a", "b"]);
    check("rename a b", &["a", "b"]);
    check("copy a b DB 3", &["a", "b"]);
    check("lcs a b LEN", &["a", "b"]);
    // Redis 8.0.6 takes the first and writes to the last; Valkey 9.1 tells the last, too.
    check("georadius s 0 0 1 km STORE a STORE b", &["s", "b"]);
    check("georadius s 0 0 1 km STORE a STOREDIST b ASC", &["s", "b"]);
    check(
        "georadiusbymember s m 1 km STOREDIST a STORE b",
        &["s", "b"],
    );
    check(
        "georadius s 0 0 1 km STORE STOREDIST ASC",
        &["s", "STOREDIST"],
    );
    check("object encoding a", &["a"]);
    check("memory usage a SAMPLES 3", &["a"]);
    check("msetex 2 a 1 b 2 EX 10", &["a", "b"]);
    check("config get maxclients", &[]);
}

// Such requests still reach a handler, which refuses them.
#[test]
fn requests_that_do_not_fit_are_told_apart() {
    for request in [
        "msetex x a 1",
        "msetex 9 a 1",
        "msetex +1 a 1",
        "get",
        "rename a",
    ] {
        assert!(!keys(request).1, "{request}");
    }
}

#[test]
fn shapes_are_decided_once() {
    let shape = |name: &[u8]| table().find(name).unwrap().keys;
    assert_eq!(shape(b"get"), KeyShape::One(1));
    assert_eq!(shape(b"ping"), KeyShape::None);
    assert_eq!(
        shape(b"del"),
        KeyShape::Range {
            first: 1,
            last: -1,
            step: 1
        }
    );
    assert_eq!(
        shape(b"mset"),
        KeyShape::Range {
            first: 1,
            last: -1,
            step: 2
        }
    );
    assert_eq!(
        shape(b"copy"),
        KeyShape::Range {
            first: 1,
            last: 2,
            step: 1
        }
    );
}

/// The keys that one specification finds, and whether it could.
fn found_by(begin: Begin, find: Find, request: &str) -> (String, bool) {
    let spec = KeySpec {
        access: KeyAccess {
            mode: "RO",
            flags: &[],
        },
        begin,
        find,
        notes: "",
    };
    let owned: OwnedArgs = request.split(' ').map(str::as_bytes).collect();
    let args = owned.as_args();
    let mut keys = Vec::new();
    let fits = for_each_key_of(&spec, &args, &mut |at| {
        keys.push(String::from_utf8_lossy(args.get(at)).into_owned());
    });
    (keys.join(" "), fits)
}

// The specifications of XREAD, MIGRATE, ZUNIONSTORE and a command with an unknown one, as COMMAND INFO of Redis 8.0.6
// gives them.
#[test]
fn specifications_are_interpreted() {
    let streams = Begin::Keyword {
        word: "STREAMS",
        start_from: 1,
    };
    let first_half = Find::Range {
        last: -1,
        step: 1,
        limit: 2,
    };
    let found = |request: &str| found_by(streams, first_half, request);
    assert_eq!(
        found("xread count 2 streams a b 0 0"),
        ("a b".to_string(), true)
    );
    assert_eq!(found("xread streams a 0"), ("a".to_string(), true));
    assert_eq!(found("xread count 2"), (String::new(), true));
    assert_eq!(found("xread streams"), (String::new(), false));
    let keys = Begin::Keyword {
        word: "KEYS",
        start_from: -2,
    };
    let rest = Find::Range {
        last: -1,
        step: 1,
        limit: 0,
    };
    let request = "migrate h 1 \"\" 0 10 copy keys a b";
    assert_eq!(found_by(keys, rest, request), ("a b".to_string(), true));
    assert_eq!(
        found_by(keys, rest, "migrate h 1 k 0 10"),
        (String::new(), true)
    );
    let numbered = Find::KeyNum {
        at: 0,
        first: 1,
        step: 1,
    };
    let found = |request: &str| found_by(Begin::Index(2), numbered, request);
    assert_eq!(
        found("zunionstore d 2 a b weights 1 2"),
        ("a b".to_string(), true)
    );
    for bad in [
        "zunionstore d 3 a b",
        "zunionstore d 0 a",
        "zunionstore d -1 a",
        "zunionstore d",
        "zunionstore d 99999999999 a",
    ] {
        assert_eq!(found(bad), (String::new(), false), "{bad}");
    }
    assert_eq!(
        found_by(Begin::Unknown, rest, "x a"),
        (String::new(), false)
    );
    assert_eq!(
        found_by(Begin::Index(1), Find::Unknown, "x a"),
        (String::new(), false)
    );
}

/// MIGRATE's keys are one word or all after KEYS, wherever that word is not a password; both at once are no request.
#[test]
fn the_keys_of_migrate_are_one_word_or_those_after_keys() {
    let keys = |words: &[&str]| {
        let owned: OwnedArgs = words.iter().map(|word| word.as_bytes()).collect();
        rondo::commands::migrate::key_words(&owned.as_args())
    };
    let head = ["MIGRATE", "h", "1"];
    let all = |rest: &[&'static str]| keys(&[&head[..], rest].concat());
    assert_eq!(all(&["", "0", "9", "KEYS", "a", "b"]), Some(7..9));
    assert_eq!(all(&["k", "0", "9"]), Some(3..4));
    assert_eq!(
        all(&["", "0", "9", "AUTH", "KEYS", "keys", "a"]),
        Some(9..10)
    );
    assert_eq!(
        all(&["", "0", "9", "AUTH2", "u", "KEYS", "KEYS", "a"]),
        Some(10..11)
    );
    assert_eq!(all(&["", "0", "9"]), Some(3..4));
    assert_eq!(all(&["k", "0", "9", "KEYS", "a"]), None);
}
