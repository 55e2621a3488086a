//! What an operator is told where the operating system gives too little.

use rondo::node::process::{core_remedy, try_out_threads};
use std::io::Error;

/// The limit that is meant is the first one named.
#[test]
fn a_core_that_cannot_start_names_its_limit() {
    let remedy =
        |errno, has_limit| core_remedy(&Error::from_raw_os_error(errno), has_limit).to_string();
    let first_limit = |text: &str| {
        let (_, rest) = text.split_once("RLIMIT_").expect("a limit");
        rest.split(|letter: char| !letter.is_ascii_uppercase())
            .next()
            .map(str::to_string)
    };
    for (errno, has_limit, limit) in [
        (libc::EAGAIN, false, "NPROC"),
        (libc::EAGAIN, true, "AS"),
        (libc::ENOMEM, false, "MEMLOCK"),
        (libc::ENOMEM, true, "AS"),
        (libc::EMFILE, false, "NOFILE"),
    ] {
        let text = remedy(errno, has_limit);
        assert_eq!(first_limit(&text).as_deref(), Some(limit), "{text}");
    }
}

#[test]
fn a_system_call_that_is_refused_is_no_limit_of_memory() {
    let text = core_remedy(&Error::from_raw_os_error(libc::EPERM), false);
    assert!(text.contains("seccomp"), "{text}");
    assert!(!text.contains("RLIMIT"), "{text}");
}

#[test]
fn threads_that_were_tried_out_have_ended() {
    try_out_threads(20).expect("so many can begin");
}
