//! A configuration file: never a panic; what is made of one that is right is read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::node::config_file::{apply_text, to_text};
use rondo::node::options::Options;

fuzz_target!(|text: &str| {
    // Other files are read for real, devices among them.
    if text.to_ascii_lowercase().contains("include") {
        return;
    }
    let mut options = Options::default();
    if apply_text(&mut options, text).is_err() {
        return;
    }
    let written = to_text(&options);
    let mut again = Options::default();
    if let Err(error) = apply_text(&mut again, &written) {
        panic!("{error}: {written}");
    }
    assert_eq!(to_text(&again), written);
});
