use rondo::node::client_log::{reason_of, sample};

#[test]
fn a_sample_shows_both_ends_and_nothing_that_is_not_printable() {
    assert_eq!(sample(b"$a\r\nhe\xffo"), "'$a..he.o'");
    assert_eq!(sample(&[b'x'; 127]).len(), 129);
    let mut long = vec![b'x'; 64];
    long.extend_from_slice(b"not shown");
    long.extend_from_slice(&[b'y'; 64]);
    let (head, tail) = ("x".repeat(64), "y".repeat(64));
    assert_eq!(
        sample(&long),
        format!("'{head}' (... more 9 bytes ...) '{tail}'")
    );
}

#[test]
fn a_reason_has_no_number() {
    assert_eq!(reason_of(libc::ECONNRESET), "Connection reset by peer");
}
