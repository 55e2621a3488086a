//! What an operator is told where the operating system gives too little.

use rondo::node::process::core_remedy;
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
