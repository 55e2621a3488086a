//! Which classes an option's letters are, and what is noted of them.

use rondo::keyspace::events::{Classes, Event};
use rondo::keyspace::{Keyspace, KeyspaceOptions};

/// What a real server's CONFIG GET makes of what CONFIG SET was given.
#[test]
fn letters_read_back_as_a_real_server_prints_them() {
    for (given, shown) in [
        ("KEA", "AKE"),
        ("KEAn", "AKE"),
        ("gKn", "gnK"),
        ("Emxe$", "$xeEm"),
        ("AKEmd", "AKEm"),
        ("g$lshzxetdKE", "AKE"),
        ("g$lshzxetd", "A"),
        ("nm", "nm"),
        ("aEgK", "gaKE"),
        ("g$lshzxeta", "g$lshzxeta"),
        ("g$lshzxetdan", "A"),
        ("KEoc", "ocKE"),
        ("KEgoc", "gocKE"),
        ("KEoncm", "nocKEm"),
        ("KEAoc", "AKE"),
        ("", ""),
    ] {
        let classes = Classes::parse(given).expect("letters that are known");
        assert_eq!(classes.to_string(), shown, "{given}");
    }
    for unknown in ["KEq", "S", "k", "KE A"] {
        assert_eq!(Classes::parse(unknown), None, "{unknown}");
    }
}

/// Nothing is noted without K or E, or of another class; what is noted is handed over once, in order.
#[test]
fn only_what_is_wanted_is_noted() {
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(1));
    let tell_all = |keys: &mut Keyspace| {
        keys.tell(0, Classes::STRING, "set", b"k");
        keys.tell(3, Classes::GENERIC, "del", b"k");
        keys.tell_aside(0, Classes::STREAM, "xsetid", b"s");
        keys.tell(0, Classes::ARRAY, "arset", b"a");
    };
    for (letters, wanted) in [
        ("", vec![]),
        ("A", vec![]),
        ("Kg", vec![("del", 3)]),
        ("E$t", vec![("set", 0), ("xsetid", 0)]),
        ("Ea", vec![("arset", 0)]),
        (
            "KEA",
            vec![("set", 0), ("del", 3), ("xsetid", 0), ("arset", 0)],
        ),
        (
            "Kg$lshzxetd",
            vec![("set", 0), ("del", 3), ("xsetid", 0), ("arset", 0)],
        ),
        ("KEm", vec![]),
    ] {
        keys.set_shown_events(Classes::parse(letters).expect("known"));
        tell_all(&mut keys);
        assert_eq!(keys.has_news(), !wanted.is_empty(), "{letters}");
        let noted: Vec<Event> = keys.take_events();
        let noted: Vec<(&str, u16)> = noted.iter().map(|event| (event.name, event.db)).collect();
        assert_eq!(noted, wanted, "{letters}");
        assert!(!keys.has_news());
    }
}
