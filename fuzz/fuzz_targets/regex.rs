//! Expression and text, split at the first zero byte: no panic, and the same answer with a group around all of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::base::regex::Regex;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|&byte| byte == 0).unwrap_or(0);
    let (pattern, text) = data.split_at(at);
    for ignore_case in [false, true] {
        let Ok(regex) = Regex::new(pattern, ignore_case) else {
            continue;
        };
        let is_match = regex.is_match(text);
        // A parenthesis that closes nothing would close the group.
        let wrapped = [b"(", pattern, b")"].concat();
        if !pattern.contains(&b')')
            && let Ok(wrapped) = Regex::new(&wrapped, ignore_case)
        {
            assert_eq!(wrapped.is_match(text), is_match);
        }
    }
});
