//! What Redis starts with, and what it refuses; each was tried on Redis 7.0 and 8.0.

use rondo::node::redis_manifest::files_in;

fn check(text: &str, expected: &[&str]) {
    let found = files_in(text).unwrap_or_else(|reason| panic!("{text:?}: {reason}"));
    assert_eq!(found, expected, "{text:?}");
}

fn check_refused(text: &str, expected: &str) {
    assert_eq!(files_in(text), Err(expected.to_string()), "{text:?}");
}

#[test]
fn the_base_comes_first_and_then_what_followed_it() {
    check(
        "file i.3 seq 3 type i\nfile b seq 2 type b\nfile i.4 seq 4 type i\nfile i.1 seq 1 type h\n",
        &["b", "i.3", "i.4"],
    );
    check("# a note\nfile \"a b\" seq 1 type i\n", &["a b"]);
    check(
        "FILE a Seq 1 TYPE incr later 7\r\n",
        &["a"], // One letter tells the type, and newer versions may have more words.
    );
    check("# nothing yet\n", &[]);
    check("file a seq 1 type i\nfile a seq 2 type i\n", &["a", "a"]);
}

#[test]
fn what_redis_refuses_is_refused() {
    let unreadable = "line 1 is not made of words and values, `file`, `seq` and `type` among them";
    check_refused("", "it is empty: nothing says which files count");
    for text in [
        "\n",
        " # no note\n",
        "file a seq 1 type i odd\n",
        "file a type i\n",
        "file a seq 1 more i\n",
        "file \"a seq 1 type i\n",
        "file a seq 1 type \"\"\n",
    ] {
        check_refused(text, unreadable);
    }
    check_refused("file a seq 1 type i", "line 1 has no end, or is too long");
    let long = format!("file {} seq 1 type i\n", "a".repeat(1024));
    check_refused(&long, "line 1 has no end, or is too long");
    check_refused("file a seq 0 type i\n", "line 1 has no number for seq");
    check_refused("file a seq x type i\n", "line 1 has no number for seq");
    check_refused(
        "file a seq 1 type x\n",
        "line 1 is of a type that is not known: it is b, i or h",
    );
    for (kind, name) in [("i", "../a"), ("b", "/a"), ("h", "./a")] {
        check_refused(
            &format!("file {name} seq 1 type {kind}\n"),
            "line 1 has a path where the name of a file is to be",
        );
    }
    for second in ["file b seq 1 type i\n", "file b seq -1 type i\n"] {
        check_refused(
            &format!("file a seq 1 type i\n{second}"),
            "line 2 has a number that is not above those before it",
        );
    }
    check_refused(
        "file a seq 1 type b\nfile b seq 2 type b\n",
        "line 2 names a second base",
    );
    check_refused(
        "file a seq 1 type i\n\n",
        &unreadable.replace("line 1", "line 2"),
    );
}
