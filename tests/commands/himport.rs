//! HIMPORT at its two ends: what a connection remembers, and what comes of the words with names between them.

use super::runner::Runner;
use super::say::{say_in, session3};
use rondo::commands::himport::Fieldsets;
use rondo::resp::args::OwnedArgs;

fn words(line: &str) -> OwnedArgs {
    line.split(' ').map(str::as_bytes).collect()
}

#[test]
fn fieldsets_are_prepared_replaced_and_discarded() {
    let mut session = session3();
    for (request, reply) in [
        ("HIMPORT DISCARDALL", ":0"),
        ("HIMPORT DISCARD u", ":0"),
        ("HIMPORT PREPARE u name email", "+OK"),
        ("HIMPORT PREPARE v a", "+OK"),
        (
            "HIMPORT PREPARE w a b a",
            "-ERR duplicate field name in fieldset",
        ),
        ("HIMPORT PREPARE u name", "+OK"),
        ("HIMPORT DISCARD v", ":1"),
        ("HIMPORT DISCARDALL", ":1"),
    ] {
        let words: Vec<&str> = request.split(' ').collect();
        assert_eq!(say_in(&mut session, &words).trim_end(), reply, "{request}");
    }
    assert!(session.fieldsets.is_none());
}

#[test]
fn words_are_spelled_out_or_refused() {
    let mut session = session3();
    say_in(&mut session, &["HIMPORT", "PREPARE", "u", "name", "email"]);
    let fieldsets = session.fieldsets.take().expect("a fieldset");
    let spell = |fieldsets: &Fieldsets, line: &str| {
        let spelled = fieldsets.spell_out(&words(line).as_args());
        spelled.map_err(|error| String::from_utf8_lossy(&error.line()).into_owned())
    };
    let spelled = spell(&fieldsets, "HIMPORT SET k u alice a@b").expect("words");
    let wanted = words("HIMPORT SET k name alice email a@b");
    assert!(
        spelled
            .as_args()
            .iter_from(0)
            .eq(wanted.as_args().iter_from(0))
    );
    let count = "ERR value count does not match the fieldset's field count";
    assert_eq!(
        spell(&fieldsets, "HIMPORT SET k u a").err().as_deref(),
        Some(count)
    );
    assert_eq!(
        spell(&fieldsets, "HIMPORT SET k u a b c").err().as_deref(),
        Some(count)
    );
    let none = Some("ERR no such fieldset");
    assert_eq!(
        spell(&fieldsets, "HIMPORT SET k v a").err().as_deref(),
        none
    );
    assert!(fieldsets.heap_bytes() > 0);
}

#[test]
fn a_hash_is_what_was_sent_and_nothing_else() {
    let mut runner = Runner::new(1);
    for (request, reply) in [
        ("HIMPORT SET k name alice email a@b", "+OK"),
        ("HGETALL k", r#"*4 "name" "alice" "email" "a@b""#),
        ("HSET k old 1", ":1"),
        ("EXPIRE k 100", ":1"),
        ("HIMPORT SET k name bob email b@b", "+OK"),
        ("HGETALL k", r#"*4 "name" "bob" "email" "b@b""#),
        ("TTL k", ":-1"),
        ("SET s x", "+OK"),
        (
            "HIMPORT SET s name bob",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("GET s", r#""x""#),
    ] {
        assert_eq!(runner.say(request), reply, "{request}");
    }
}
