//! Any format and bytes to `struct.unpack`: an error, or values that the format packs again; any words to `struct.pack`.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

mod script_host;

const BODY: &str = "
local format, bytes = ARGV[1], ARGV[2]
pcall(struct.size, format)
local found = {pcall(struct.unpack, format, bytes)}
if found[1] then
  found[#found] = nil
  local is_packed, packed = pcall(struct.pack, format, unpack(found, 2))
  if is_packed then pcall(struct.unpack, format, packed) end
end
pcall(struct.unpack, format, bytes, 2)
pcall(struct.pack, format, bytes, #bytes, -1, 1e300, bytes, 0 / 0)
return 1";

thread_local! {
    // Never dropped: what it would need is gone when the thread ends.
    static HOST: RefCell<&'static mut script_host::Host> =
        RefCell::new(Box::leak(Box::new(script_host::Host::new(BODY))));
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let (format, rest) = input.split_at(end);
    let bytes = rest.get(1..).unwrap_or_default();
    HOST.with_borrow_mut(|host| host.check(&[format, bytes]));
});
