//! An ACL file: never a panic; the lines that users are described by make them again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::commands::acl::file::read_file;

fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else {
        return;
    };
    let all_channels = first & 1 == 0;
    let Ok(users) = read_file("file", text, all_channels) else {
        return;
    };
    for user in users {
        let line = user.describe();
        let shown = String::from_utf8_lossy(&line);
        match read_file("file", &line, all_channels) {
            Ok(again) => {
                assert_eq!(again.len(), 1, "{shown}");
                assert_eq!(again[0].describe(), line, "{shown}");
            }
            Err(fault) => panic!("{shown}: {}", String::from_utf8_lossy(&fault)),
        }
    }
});
