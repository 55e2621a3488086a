//! Which words of a request are keys: recorded from COMMAND GETKEYS of Redis 8.0.6.

use rondo::commands::{KeyShape, for_each_key, table};
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
