//! What Redis puts into Lua: scripts and their cache, the sandbox, `redis.*` and the libraries.
//!
//! ```text
//!  Engine::load ──> ScriptId          one Engine per core; no Lua state before the first script
//!  Engine::start ─> Run ── resume(Answer) ──> Step::Call ── the caller runs the command ──> resume(Answer::Reply) …
//!                                         └─> Step::Done(reply)
//! ```
//!
//! Promises  a [`Run`] stands still wherever it wants something of its caller, below any `pcall`; many may at once, each
//!           with its own KEYS, ARGV and protocol. An endless script comes back as [`Step::Slow`]; a killed one ends,
//!           whatever it does; one that takes memory without end gets an error. Replies and errors are Redis 8.0's, byte
//!           for byte.
//! Not here  which keys a script may touch and when, permissions, what runs a command: the rooms above.
//! Source    Redis's manual: "Redis Lua API reference"; its conversion rules, read back from a server (tests/script).
//! Tests     tests/script/.
#![forbid(unsafe_code)]

mod api;
mod bits;
mod convert;
mod engine;
mod functions;
mod json;
mod json_read;
mod msgpack;
mod random;
mod run;
mod sandbox;
mod settings;
mod shebang;
mod structs;

pub use engine::{Engine, Limits, Origin, ScriptError, ScriptId};
pub use functions::{Function, Functions, Library, LoadHost, Policy, library_name, read_payload};
pub use run::{Answer, Context, Run, RunName, Step};
pub use settings::Settings;
pub use shebang::Flags;

use crate::lua;

/// The host of the Lua machines here.
pub(crate) struct Redis;

impl lua::Host for Redis {
    type Data = run::Data;

    fn tick(frame: &mut Frame<'_>) -> Result<(), Thrown> {
        run::tick(frame)
    }
}

type Frame<'f> = lua::Frame<'f, Redis>;
type Thrown = lua::Thrown;
