//! The Lua 5.1 machine: one state with its memory account, and scripts that run on native stacks of their own.
//!
//! ```text
//!  Machine ── one lua_State, its allocator, the registry
//!     |
//!     +── Thread ── a Lua thread + a native stack (coroutine) + the host's data
//!     |      host ── resume ──>  Lua ──> native function ── suspend ──> host
//!     +── Thread …
//! ```
//!
//! Promises  a script can be left and entered again in any native function and in the count hook, below any number of
//!           `pcall`, metamethods and `table.sort`, which Lua's own coroutines cannot do; several may be under way in one
//!           machine. Lua errors never pass a frame that has destructors. Memory is counted to the byte and has a limit.
//! Not here  anything of Redis: `script/`.
//! Source    Lua 5.1.5 (`src/lua/c`, README.md there says what differs); corosensei for the stacks.
//! Tests     tests/lua/.
#![allow(unsafe_code)]

mod c_library;
mod ffi;
mod frame;
mod machine;
mod thread;

pub use c_library::{number_prefix, number_text, number_text_digits, processor_seconds};
pub use frame::{Frame, Kind, Native, Place, Thrown};
pub use machine::{Host, Machine, Memory, Reference};
pub use thread::{Ended, Outcome, Thread};
