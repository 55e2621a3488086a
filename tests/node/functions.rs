//! What recovery makes of changes of libraries.

use rondo::node::functions::Codes;
use rondo::persist::libraries::LibraryChange;

fn code(name: &str, text: &str) -> Vec<u8> {
    format!("#!lua name={name}\n{text}").into_bytes()
}

fn put(name: &str, text: &str) -> LibraryChange {
    LibraryChange::Put {
        name: name.into(),
        code: code(name, text),
    }
}

fn drop_of(name: &str) -> LibraryChange {
    LibraryChange::Drop { name: name.into() }
}

/// Changes come from several logs, in whatever order; those that the base has do not count again, or a library would come
/// back beside the one that has taken over its functions.
#[test]
fn changes_count_in_order_and_once() {
    let changes = || {
        vec![
            (4, put("b", "2")),
            (1, put("a", "1")),
            (3, drop_of("a")),
            (5, put("b", "3")),
            (2, put("a", "2")),
        ]
    };
    let mut codes = Codes::default();
    codes.change(changes());
    assert_eq!(codes.codes, [code("b", "3")]);
    let mut codes = Codes {
        version: 4,
        codes: vec![code("b", "2")],
    };
    // The later ones of its log are lost.
    codes.change(vec![(1, put("a", "1")), (2, put("a", "2"))]);
    assert_eq!(codes.codes, [code("b", "2")]);
    codes.change(changes());
    assert_eq!(codes.codes, [code("b", "3")]);
}

/// Logs of before hold all libraries with each change.
#[test]
fn all_libraries_take_the_place_of_those_before() {
    let mut codes = Codes::default();
    let all = vec![code("c", "1"), code("d", "1")];
    codes.change(vec![
        (3, LibraryChange::Are(all)),
        (2, put("a", "1")),
        (4, drop_of("c")),
    ]);
    assert_eq!(codes.codes, [code("d", "1")]);
}
