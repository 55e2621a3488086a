//! Any bytes to `cmsgpack.unpack` and its kin: an error, or values whose packing can be unpacked, but for keys: what nests too deep is
//! packed as nil, which is no key, and NaN is none either.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

mod script_host;

const BODY: &str = "
local found = {pcall(cmsgpack.unpack, ARGV[1])}
if found[1] then
  for i = 2, table.maxn(found) do
    local is_packed, bytes = pcall(cmsgpack.pack, found[i])
    if is_packed then
      local again, why = pcall(cmsgpack.unpack, bytes)
      if not again and not string.find(why, 'table index is') then error(why) end
    end
  end
end
for at = 0, math.min(#ARGV[1], 4) do
  pcall(cmsgpack.unpack_one, ARGV[1], at)
  pcall(cmsgpack.unpack_limit, ARGV[1], 3, at)
end
return 1";

thread_local! {
    // Never dropped: what it would need is gone when the thread ends.
    static HOST: RefCell<&'static mut script_host::Host> =
        RefCell::new(Box::leak(Box::new(script_host::Host::new(BODY))));
}

fuzz_target!(|bytes: &[u8]| HOST.with_borrow_mut(|host| host.check(&[bytes])));
