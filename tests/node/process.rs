//! What an operator is told where the operating system gives too little.

use rondo::node::process::{clients_that_fit, core_remedy, try_out_threads};
use rondo::node::supervisor::program;
use std::ffi::OsStr;
use std::io::Error;
use std::path::Path;

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

/// A small limit is for clients as well: of 64 open files Redis has 32 for them.
#[test]
fn of_few_open_files_some_are_left_to_clients() {
    for (limit, cores_count, clients_count) in [
        (64, 2, 32),
        (64, 3, 24),
        (32, 2, 0),
        (10, 1, 0),
        (1_024, 4, 976),
        (u64::MAX, 1, u32::MAX),
    ] {
        let fit = clients_that_fit(limit, cores_count);
        assert_eq!(fit, clients_count, "{limit} for {cores_count}");
    }
}

/// Going into the background takes the process's own file, and without `/proc` the one that it was started as.
#[test]
fn what_is_started_anew_is_found_without_proc() {
    let own = std::env::current_exe().expect("the test's own file");
    assert_eq!(program(&own, OsStr::new("rondo")), own);
    let none = Path::new("/no/such/folder/exe");
    assert_eq!(program(none, OsStr::new("./rondo")), Path::new("./rondo"));
}

#[test]
fn threads_that_were_tried_out_have_ended() {
    try_out_threads(20).expect("so many can begin");
}
