//! Compiles Lua 5.1 (`src/lua/c`, where README.md says what differs from the release) into the crate.

use std::path::Path;

const UNITS: &[&str] = &[
    "lapi", "lauxlib", "lbaselib", "lcode", "ldebug", "ldo", "ldump", "lfunc", "lgc", "llex",
    "lmathlib", "lmem", "lobject", "lopcodes", "lparser", "lstate", "lstring", "lstrlib", "ltable",
    "ltablib", "ltm", "lundump", "lvm", "lzio",
];

fn main() {
    let root = Path::new("src/lua/c");
    println!("cargo:rerun-if-changed=src/lua/c");
    let mut build = cc::Build::new();
    build
        .include(root)
        .files(UNITS.iter().map(|unit| root.join(format!("{unit}.c"))))
        // _setjmp and _longjmp, which save no signal mask.
        .define("LUA_USE_ULONGJMP", None)
        .warnings(false);
    // An interpreter at -O0 makes the tests slow, and its C frames larger than the stacks are meant for.
    if std::env::var("OPT_LEVEL").is_ok_and(|level| ["0", "1"].contains(&level.as_str())) {
        build.opt_level(2);
    }
    build.compile("lua51");
}
