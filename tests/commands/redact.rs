//! Which words of a request others may see.

use rondo::commands::redact::{for_each_shown, logged_words};
use rondo::commands::table;
use rondo::resp::args::OwnedArgs;

fn shown(line: &str) -> String {
    let mut args = OwnedArgs::new();
    line.split(' ').for_each(|word| args.push(word.as_bytes()));
    let args = args.as_args();
    let entry = table().resolve(&args).unwrap_or_else(|_| panic!("{line}"));
    let mut words = Vec::new();
    for_each_shown(entry, &args, |word| {
        words.push(String::from_utf8_lossy(word).into_owned())
    });
    let logged: Vec<String> = logged_words(entry, &args)
        .as_args()
        .iter_from(0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    assert_eq!(words, logged, "a short request is logged as it is shown");
    words.join(" ")
}

/// As Redis shows them; recorded from a real server where Redis has the command.
#[test]
fn secrets_are_hidden_and_nothing_else() {
    for (line, expected) in [
        ("AUTH secret", "AUTH (redacted)"),
        ("auth user secret", "auth (redacted) (redacted)"),
        ("HELLO 3 SETNAME me", "HELLO 3 SETNAME me"),
        (
            "HELLO 3 AUTH user secret SETNAME me",
            "HELLO 3 AUTH (redacted) (redacted) SETNAME me",
        ),
        (
            "CONFIG SET maxclients 10 requirepass secret",
            "CONFIG SET maxclients 10 requirepass (redacted)",
        ),
        (
            "config set tls-key-file-pass secret",
            "config set tls-key-file-pass (redacted)",
        ),
        ("CONFIG GET requirepass", "CONFIG GET requirepass"),
        (
            "MIGRATE h 1 k 9 5000 AUTH secret",
            "MIGRATE h 1 k 9 5000 AUTH (redacted)",
        ),
        (
            "MIGRATE h 1 k 9 5000 AUTH2 user secret",
            "MIGRATE h 1 k 9 5000 AUTH2 (redacted) (redacted)",
        ),
        ("SET auth value", "SET auth value"),
    ] {
        assert_eq!(shown(line), expected);
    }
}

#[test]
fn long_requests_are_cut_and_the_rest_counted() {
    let mut args = OwnedArgs::new();
    args.push(b"MSET");
    args.push(b"k");
    args.push(&[b'x'; 129]);
    (0..29).for_each(|_| args.push(b"w"));
    let args_32 = args.clone();
    let words = |args: &OwnedArgs| {
        let args = args.as_args();
        let entry = table().find(b"mset").expect("there is MSET");
        let logged = logged_words(entry, &args);
        let words = logged.as_args();
        words.iter_from(0).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let kept = words(&args_32);
    assert_eq!(kept.len(), 32);
    assert_eq!(
        kept[2],
        format!("{}... (1 more bytes)", "x".repeat(128)).into_bytes()
    );
    assert_eq!(kept[31], b"w");
    args.push(b"w");
    let kept = words(&args);
    assert_eq!(kept.len(), 32);
    assert_eq!(kept[31], b"... (2 more arguments)");
}
