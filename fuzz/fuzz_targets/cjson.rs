//! Any text to `cjson.decode`: an error, or a value whose encoding can be decoded.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

mod script_host;

const BODY: &str = "
local ok, value = pcall(cjson.decode, ARGV[1])
if ok then
  local is_encoded, text = pcall(cjson.encode, value)
  if is_encoded then
    local again, why = pcall(cjson.decode, text)
    if not again then error(why .. ': ' .. text) end
  end
end
return 1";

thread_local! {
    // Never dropped: what it would need is gone when the thread ends.
    static HOST: RefCell<&'static mut script_host::Host> =
        RefCell::new(Box::leak(Box::new(script_host::Host::new(BODY))));
}

fuzz_target!(|text: &[u8]| HOST.with_borrow_mut(|host| host.check(&[text])));
