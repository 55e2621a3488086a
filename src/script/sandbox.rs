//! What a script finds in its globals, and why it cannot change them.
//!
//! One table holds everything; each thread's globals are a copy of it, because KEYS and ARGV belong to a script while it
//! runs and several may be under way. All tables are sealed, those of strings included: nothing a script does outlives it.

use super::{Frame, Thrown, api};
use crate::lua::{Kind, Reference};

/// Lua's own functions that scripts have.
const BUILTINS: &[&str] = &[
    "xpcall",
    "tostring",
    "setmetatable",
    "next",
    "assert",
    "tonumber",
    "rawequal",
    "collectgarbage",
    "getmetatable",
    "rawset",
    "pcall",
    "coroutine",
    "type",
    "select",
    "unpack",
    "gcinfo",
    "pairs",
    "rawget",
    "loadstring",
    "ipairs",
    "_VERSION",
    "load",
    "error",
    "string",
    "math",
    "table",
];

/// Makes the table that threads' globals are copies of.
pub(super) fn make(frame: &mut Frame<'_>) -> Reference {
    push_all(frame, true);
    frame.keep()
}

/// Makes the table of what functions see: no thread's own.
pub(super) fn make_for_functions(frame: &mut Frame<'_>) -> Reference {
    push_all(frame, false);
    frame.push_copy(-1);
    frame.set_field(-2, b"_G");
    forbid_unknown(frame);
    frame.set_sealed(-1, true);
    frame.keep()
}

fn push_all(frame: &mut Frame<'_>, is_for_scripts: bool) {
    frame.push_table(0, 40);
    for name in BUILTINS {
        frame.push_globals();
        frame.push_field(-1, name.as_bytes());
        assert_ne!(frame.kind(-1), Kind::Nil, "Lua has {name}");
        frame.remove_below();
        frame.set_field(-2, name.as_bytes());
    }
    api::add(frame, is_for_scripts);
    seal_inside(frame);
    // Methods of strings are the table `string`; what says so is shared by all scripts, too.
    frame.push_bytes(b"");
    if frame.push_metatable(-1) {
        frame.set_sealed(-1, true);
        frame.pop(1);
    }
    frame.pop(1);
}

/// Seals the tables in the table on top.
fn seal_inside(frame: &mut Frame<'_>) {
    frame.push_nil();
    while frame.next(-2) {
        if frame.kind(-1) == Kind::Table && !frame.is_sealed(-1) {
            frame.set_sealed(-1, true);
        }
        frame.pop(1);
    }
}

/// Pushes a table of globals for a thread.
pub(super) fn push_globals(frame: &mut Frame<'_>, sandbox: &Reference) {
    frame.push_kept(sandbox);
    frame.push_table(0, 40);
    frame.push_nil();
    while frame.next(-3) {
        frame.push_copy(-2);
        frame.swap();
        frame.set(-4);
    }
    frame.remove_below();
    frame.push_copy(-1);
    frame.set_field(-2, b"_G");
    forbid_unknown(frame);
    frame.set_sealed(-1, true);
}

/// Makes reading a field that the table on top does not have an error.
pub(super) fn forbid_unknown(frame: &mut Frame<'_>) {
    frame.push_table(0, 1);
    frame.push_native(no_such_global);
    frame.set_field(-2, b"__index");
    frame.set_sealed(-1, true);
    frame.set_metatable(-2);
}

/// `__index` of the globals.
fn no_such_global(frame: &mut Frame<'_>) -> Result<usize, Thrown> {
    if frame.top() != 2 {
        return Err(frame.error("Wrong number of arguments to luaProtectedTableError"));
    }
    let name = frame.with_text(2, |name| super::convert::until_zero(name).to_vec());
    let Some(name) = name else {
        return Err(
            frame.error("Second argument to luaProtectedTableError must be a string or number")
        );
    };
    let text = b"Script attempted to access nonexistent global variable '";
    Err(frame.error([text, &name[..], b"'"].concat()))
}
