use rondo::commands::Merge;
use rondo::router::merge::merge;

fn check(kind: Merge, parts: &[&str], places: &[&[usize]], expected: Option<&str>) {
    let owned: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
    let keys_count = places.iter().map(|places| places.len()).sum();
    let reply = merge(kind, &owned, places, keys_count);
    let text = reply.map(|reply| String::from_utf8(reply).expect("these are text"));
    assert_eq!(text.as_deref(), expected, "{kind:?} of {parts:?}");
}

#[test]
fn sums_add_integers() {
    check(
        Merge::Sum,
        &[":2\r\n", ":0\r\n", ":40\r\n"],
        &[],
        Some(":42\r\n"),
    );
    check(Merge::Sum, &[":2\r\n", "+OK\r\n"], &[], None);
    check(
        Merge::Sum,
        &[":9223372036854775807\r\n", ":1\r\n"],
        &[],
        None,
    );
}

#[test]
fn interleaved_elements_return_to_their_places() {
    check(
        Merge::Interleave,
        &["*2\r\n$1\r\na\r\n$-1\r\n", "*1\r\n$4\r\nb\r\nb\r\n"],
        &[&[2, 0], &[1]],
        Some("*3\r\n$-1\r\n$4\r\nb\r\nb\r\n$1\r\na\r\n"),
    );
    // RESP3's null is another element of the same kind.
    check(
        Merge::Interleave,
        &["*1\r\n_\r\n", "*1\r\n$0\r\n\r\n"],
        &[&[1], &[0]],
        Some("*2\r\n$0\r\n\r\n_\r\n"),
    );
}

#[test]
fn a_part_that_is_short_is_never_filled_in() {
    let parts = ["*1\r\n$1\r\na\r\n", "*1\r\n$1\r\nb\r\n"];
    check(Merge::Interleave, &parts, &[&[0, 2], &[1]], None);
    check(Merge::Interleave, &["+OK\r\n"], &[&[0]], None);
}

#[test]
fn concatenated_arrays_count_all_their_elements() {
    check(
        Merge::Concat,
        &[
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            "*0\r\n",
            "*1\r\n$1\r\nc\r\n",
        ],
        &[],
        Some("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"),
    );
    check(Merge::Concat, &["*0\r\n", "*0\r\n"], &[], Some("*0\r\n"));
}

#[test]
fn all_ok_is_ok() {
    check(Merge::AllOk, &["+OK\r\n", "+OK\r\n"], &[], Some("+OK\r\n"));
}

#[test]
fn the_first_error_is_the_reply() {
    for kind in [Merge::Sum, Merge::Interleave, Merge::Concat, Merge::AllOk] {
        let parts = [":1\r\n", "-OOM no\r\n", "-WRONGTYPE no\r\n"];
        check(kind, &parts, &[], Some("-OOM no\r\n"));
    }
}
