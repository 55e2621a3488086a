//! Pattern and text, split at the first zero byte: never a panic, never slow, and an escaped text matches itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::base::glob::glob_match;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|&byte| byte == 0).unwrap_or(0);
    let (pattern, text) = data.split_at(at);
    let is_match = glob_match(pattern, text, false);
    glob_match(pattern, text, true);
    let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
    assert!(glob_match(&escaped, text, false));
    if is_match && !text.is_empty() {
        let starred = [pattern, b"*"].concat();
        // A star behind a bare backslash or inside an open class is no star.
        if !pattern.contains(&b'\\') && !pattern.contains(&b'[') {
            assert!(glob_match(&starred, text, false));
        }
    }
});
