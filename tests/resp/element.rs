//! Replies read back: ends, parts, and bytes that are no reply.

use rondo::resp::element::{element_end, elements, is_error, is_null, read_bulk, read_integer};

const WHOLE: [&str; 20] = [
    "+OK\r\n",
    "-ERR no\r\n",
    ":42\r\n",
    "$0\r\n\r\n",
    "$5\r\na\r\nbc\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*2\r\n:1\r\n$1\r\na\r\n",
    "*2\r\n*2\r\n:1\r\n:2\r\n*1\r\n+x\r\n",
    "_\r\n",
    "#t\r\n",
    ",3.1\r\n",
    "(123456789012345678901\r\n",
    "=7\r\ntxt:abc\r\n",
    "!5\r\nERR x\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
    "~2\r\n:1\r\n:2\r\n",
    ">2\r\n+message\r\n$1\r\nx\r\n",
    "|1\r\n+ttl\r\n:3\r\n*1\r\n:7\r\n",
];

#[test]
fn an_element_ends_where_it_ends_and_no_prefix_of_it_does() {
    for text in WHOLE {
        let bytes = text.as_bytes();
        assert_eq!(element_end(bytes), Some(bytes.len()), "{text:?}");
        let followed = [bytes, b":9\r\n"].concat();
        assert_eq!(element_end(&followed), Some(bytes.len()), "{text:?}");
        for cut in 0..bytes.len() {
            assert_eq!(element_end(&bytes[..cut]), None, "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_reply_has_no_end() {
    for text in [
        "hello\r\n",
        "$x\r\n",
        "$-2\r\n",
        "*-5\r\n",
        "%-1\r\n",
        "+a\rb\r\n",
        "$9223372036854775807\r\n",
        "%9223372036854775807\r\n",
        "*9223372036854775807\r\n*9223372036854775807\r\n*9223372036854775807\r\n",
    ] {
        assert_eq!(element_end(text.as_bytes()), None, "{text:?}");
    }
}

/// A reply nested a million deep is walked without recursion.
#[test]
fn nesting_costs_no_stack() {
    let mut bytes = b"*1\r\n".repeat(1_000_000);
    assert_eq!(element_end(&bytes), None);
    bytes.extend_from_slice(b":1\r\n");
    assert_eq!(element_end(&bytes), Some(bytes.len()));
}

#[test]
fn the_elements_of_an_array_are_its_bytes() {
    let array = b"*3\r\n:1\r\n*2\r\n:2\r\n:3\r\n$1\r\nx\r\n";
    let parts: Vec<&[u8]> = elements(array).unwrap().collect();
    assert_eq!(
        parts,
        [b":1\r\n".as_slice(), b"*2\r\n:2\r\n:3\r\n", b"$1\r\nx\r\n"]
    );
    assert_eq!(elements(b"%1\r\n+a\r\n:1\r\n").unwrap().count(), 2);
    assert_eq!(elements(b"*0\r\n").unwrap().count(), 0);
    assert!(elements(b"*-1\r\n").is_none());
    assert!(elements(b":1\r\n").is_none());
    assert_eq!(elements(b"*2\r\n:1\r\n").unwrap().count(), 1);
}

#[test]
fn parts_are_read_as_what_they_are() {
    assert_eq!(read_integer(b":-12\r\n"), Some(-12));
    assert_eq!(read_integer(b"+12\r\n"), None);
    assert_eq!(read_integer(b":12"), None);
    assert_eq!(read_bulk(b"$3\r\nabc\r\n"), Some(b"abc".as_slice()));
    assert_eq!(read_bulk(b"$-1\r\n"), None);
    assert_eq!(read_bulk(b"$3\r\nab"), None);
    assert!(is_error(b"-ERR x\r\n") && !is_error(b"+x\r\n"));
    assert!(is_null(b"_\r\n") && is_null(b"$-1\r\n") && !is_null(b"$1\r\nx\r\n"));
}
