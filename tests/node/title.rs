//! Process titles from templates.

use rondo::node::Options;
use rondo::node::config_file::apply_text;
use rondo::node::title::{Subject, is_template, render, words_place};

fn title(template: &str, lines: &str) -> Option<String> {
    let mut options = Options::default();
    apply_text(&mut options, lines).unwrap_or_else(|error| panic!("{error}"));
    let subject = Subject {
        program: "/usr/bin/rondo",
        config_file: "",
        options: &options,
    };
    render(template, &subject)
}

#[test]
fn variables_are_filled_in_as_redis_does() {
    let usual = "{title} {listen-addr} {server-mode}";
    let told = |template, lines| title(template, lines).expect("a title");
    assert_eq!(told(usual, ""), "/usr/bin/rondo *:6379");
    assert_eq!(
        told(usual, "bind 10.0.0.1 ::1\nport 7"),
        "/usr/bin/rondo 10.0.0.1:7"
    );
    assert_eq!(told(usual, "port 0\nunixsocket /s"), "/usr/bin/rondo /s");
    assert_eq!(
        told(
            "T {port}|{tls-port}|{unixsocket}|{config-file}|} ",
            "unixsocket /s"
        ),
        "T 6379|0|/s|-|}"
    );
    assert_eq!(told("  x{{{port}}} }} ", ""), "x{6379}} }}");
    for wrong in ["{x}", "a {title", "{}", "{Title}", "{", "{{{"] {
        assert_eq!(title(wrong, ""), None, "{wrong}");
    }
}

// Recorded from Redis 8.0.6: with the program's name alone there would be nothing to tell servers apart by.
#[test]
fn a_template_says_more_than_the_name() {
    let options = Options::default();
    for (template, is_one) in [
        ("{title} {listen-addr} {server-mode}", true),
        ("{port}", true),
        ("{config-file}", true),
        ("{{", true),
        ("}", true),
        ("{title} x", true),
        ("", false),
        ("  ", false),
        ("{title}", false),
        (" {title} {server-mode}", false),
        ("{unixsocket}", false),
        ("{port", false),
        ("{x}", false),
    ] {
        assert_eq!(is_template(template, &options), is_one, "{template}");
    }
    let mut with_socket = Options::default();
    assert_eq!(apply_text(&mut with_socket, "unixsocket /s"), Ok(()));
    assert!(is_template("{unixsocket}", &with_socket));
}

#[test]
fn the_words_are_found_whatever_the_name_is() {
    let numbers: Vec<String> = (4..=52).map(|field| (field * 100).to_string()).collect();
    let stat = format!("77 (a) b (c) S {}\n", numbers.join(" "));
    assert_eq!(words_place(&stat), Some(4800..4900));
    assert_eq!(words_place("77 (a) S 1 2"), None);
    assert_eq!(words_place(""), None);
}
