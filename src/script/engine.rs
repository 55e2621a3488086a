//! One core's scripts: the cache, the Lua machine, and threads that are used again.

use super::json::Options;
use super::random::Random;
use super::run::{Context, Run, RunName};
use super::settings::{Seen, Settings};
use super::shebang::{self, Flags};
use super::{Frame, Redis, functions, run, sandbox};
use crate::base::sha1::sha1;
use crate::lua::{Ended, Machine, Reference, Thread};
use crate::resp::Args;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Threads that wait for the next script; each keeps its stacks, some 20 KB. As many as pipelines have standing at a time, who
/// wait for other cores: to make one costs a stack and a table of globals, more than most scripts do.
const IDLE_SLOTS_MAX: usize = 128;

/// Scripts that only `EVAL` brought are forgotten beyond this many, the one unused for longest first.
const EVAL_SCRIPTS_MAX: usize = 500;

/// What an engine may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of Lua's memory, beyond which a script gets "not enough memory".
    pub memory_bytes_max: usize,
}

impl Default for Limits {
    /// A gigabyte.
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
        }
    }
}

/// A script's name: the SHA-1 of its text, 40 small hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScriptId([u8; 40]);

impl ScriptId {
    /// The name of no text: a function's, which has none of its own.
    pub const OF_NOTHING: Self = Self(*b"da39a3ee5e6b4b0d3255bfef95601890afd80709");

    /// The name of a text.
    pub fn of(body: &[u8]) -> Self {
        let mut text = [0; 40];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(sha1(body)) {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            *pair = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        }
        Self(text)
    }

    /// The name a client gave, in capitals or not; `None` if it has not 40 characters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut text: [u8; 40] = text.try_into().ok()?;
        text.make_ascii_lowercase();
        Some(Self(text))
    }

    /// The 40 digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a text is no script: an error's text, code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError(Vec<u8>);

impl ScriptError {
    pub(super) fn new(text: Vec<u8>) -> Self {
        Self([b"ERR ", &text[..]].concat())
    }

    /// The text, for [`crate::resp::Reply::error_bytes`].
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

/// Where a script came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `EVAL`: kept while it is among the 500 used last.
    Eval,
    /// `SCRIPT LOAD`: kept until `SCRIPT FLUSH`.
    Load,
}

struct Script {
    chunk: Reference,
    flags: Flags,
    origin: Origin,
    body: Vec<u8>,
    /// The engine's clock when it was started last.
    used_at: u64,
}

/// The scripts of one core.
pub struct Engine {
    limits: Limits,
    scripts: HashMap<ScriptId, Script, ahash::RandomState>,
    /// How many of them are of `Origin::Eval`.
    eval_count: usize,
    /// Counts scripts loaded and started.
    clock: u64,
    scripts_bytes: usize,
    evicted_count: u64,
    world: Option<Rc<World>>,
    settings: Arc<Settings>,
}

impl Engine {
    /// An engine without scripts. Nothing is allocated before the first is loaded.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            scripts: HashMap::default(),
            eval_count: 0,
            clock: 0,
            scripts_bytes: 0,
            evicted_count: 0,
            world: None,
            settings: Arc::default(),
        }
    }

    /// Takes the same settings as other engines; before the first script.
    pub fn share_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// Compiles a script, unless it is there.
    ///
    /// - Errors: its first line or its text is none; the text for the client.
    /// - Cost: SHA-1 of the text; where the name is known, [`Engine::flags`] is a lookup.
    pub fn load(&mut self, body: &[u8], origin: Origin) -> Result<ScriptId, ScriptError> {
        let id = ScriptId::of(body);
        if let Some(script) = self.scripts.get_mut(&id) {
            if origin == Origin::Load && script.origin == Origin::Eval {
                script.origin = Origin::Load;
                self.eval_count -= 1;
            }
            return Ok(id);
        }
        let (flags, text) = shebang::of_script(body).map_err(ScriptError::new)?;
        let world = self.world();
        let chunk = world
            .machine
            .with(|frame| match frame.load(text, c"@user_script") {
                Ok(()) => Ok(frame.keep()),
                Err(_) => {
                    let message = frame.with_text(-1, <[u8]>::to_vec).unwrap_or_default();
                    let text = [b"Error compiling script (new function): ", &message[..]].concat();
                    Err(ScriptError::new(text))
                }
            })?;
        if origin == Origin::Eval {
            if self.eval_count >= EVAL_SCRIPTS_MAX {
                self.evict_one();
            }
            self.eval_count += 1;
        }
        self.clock += 1;
        self.scripts_bytes += body.len();
        let body = body.to_vec();
        self.scripts.insert(
            id,
            Script {
                chunk,
                flags,
                origin,
                body,
                used_at: self.clock,
            },
        );
        Ok(id)
    }

    /// Forgets the script of `EVAL` that has not been used for longest.
    fn evict_one(&mut self) {
        let evals = self
            .scripts
            .iter()
            .filter(|(_, script)| script.origin == Origin::Eval);
        let oldest = evals
            .min_by_key(|(_, script)| script.used_at)
            .map(|(id, _)| *id);
        if let Some(script) = oldest.and_then(|id| self.scripts.remove(&id)) {
            self.eval_count -= 1;
            self.evicted_count += 1;
            self.scripts_bytes -= script.body.len();
            if let Some(world) = &self.world {
                world.machine.with(|frame| frame.release(script.chunk));
            }
        }
    }

    /// Whether a script is in the cache.
    pub fn exists(&self, id: &ScriptId) -> bool {
        self.scripts.contains_key(id)
    }

    /// The flags of a script in the cache.
    pub fn flags(&self, id: &ScriptId) -> Option<Flags> {
        self.scripts.get(id).map(|script| script.flags)
    }

    /// The text of a script in the cache.
    pub fn body(&self, id: &ScriptId) -> Option<&[u8]> {
        self.scripts.get(id).map(|script| &script.body[..])
    }

    /// The flags that a text not loaded yet gives itself; `None` where its first line is wrong.
    pub fn flags_of(body: &[u8]) -> Option<Flags> {
        shebang::of_script(body).ok().map(|(flags, _)| flags)
    }

    /// Forgets all scripts, and gives Lua's memory back once none is under way.
    pub fn flush(&mut self) {
        self.scripts.clear();
        self.eval_count = 0;
        self.scripts_bytes = 0;
        self.world = None;
    }

    /// Starts a script of the cache; [`Run::resume`] with `Begin` runs it. `None` if the cache does not have it.
    ///
    /// - `keys`, `argv`: what the script finds in KEYS and ARGV.
    pub fn start(
        &mut self,
        id: &ScriptId,
        keys: &Args<'_>,
        argv: &Args<'_>,
        context: Context,
    ) -> Option<Run> {
        let script = self.scripts.get_mut(id)?;
        self.clock += 1;
        script.used_at = self.clock;
        let world = Rc::clone(self.world.as_ref()?);
        let mut slot = world.take_slot();
        slot.thread.data().reset(&world);
        slot.thread.with(|frame| {
            frame.clear();
            frame.push_native(run::describe_error);
            frame.push_kept(&script.chunk);
            frame.push_clone_of_chunk(-1);
            frame.remove_below();
            frame.push_globals();
            frame.set_sealed(-1, false);
            push_words(frame, keys);
            frame.set_field(-2, b"KEYS");
            push_words(frame, argv);
            frame.set_field(-2, b"ARGV");
            frame.set_sealed(-1, true);
            frame.pop(1);
        });
        slot.thread.set_hook(context.instructions_per_look);
        slot.thread.start(0, 1, 1);
        Some(Run::new(
            slot,
            world,
            RunName::Script(*id),
            context.protocol,
        ))
    }

    /// Sets another memory limit.
    pub fn set_memory_max(&mut self, bytes: usize) {
        self.limits.memory_bytes_max = bytes;
        if let Some(world) = &self.world {
            world.machine.set_memory_max(bytes);
        }
    }

    /// Bytes that Lua holds: INFO's `used_memory_vm_eval`.
    pub fn lua_bytes(&self) -> usize {
        self.world
            .as_ref()
            .map_or(0, |world| world.machine.memory().used)
    }

    /// How many scripts are in the cache: INFO's `number_of_cached_scripts`.
    pub fn scripts_count(&self) -> usize {
        self.scripts.len()
    }

    /// Bytes of the cached texts and their entries: INFO's `used_memory_scripts_eval`.
    pub fn scripts_bytes(&self) -> usize {
        const ENTRY_BYTES: usize = size_of::<(ScriptId, Script)>() + 40;
        self.scripts_bytes + self.scripts.len() * ENTRY_BYTES
    }

    /// Scripts that made room for others: INFO's `evicted_scripts`.
    pub fn evicted_count(&self) -> u64 {
        self.evicted_count
    }

    fn world(&mut self) -> Rc<World> {
        let bytes_max = self.limits.memory_bytes_max;
        let settings = &self.settings;
        let make = || World::new(bytes_max, settings.clone());
        Rc::clone(self.world.get_or_insert_with(make))
    }
}

/// Makes a slot ready to call a function that is kept, with the tables of its keys and arguments.
pub(super) fn prepare_call(
    slot: &mut Slot,
    world: &Rc<World>,
    callback: &Reference,
    keys: &Args<'_>,
    argv: &Args<'_>,
    context: Context,
) {
    slot.thread.data().reset(world);
    slot.thread.with(|frame| {
        frame.clear();
        frame.push_native(run::describe_error);
        frame.push_kept(callback);
        push_words(frame, keys);
        push_words(frame, argv);
    });
    slot.thread.set_hook(context.instructions_per_look);
    slot.thread.start(2, 1, 1);
}

fn push_words(frame: &mut Frame<'_>, words: &Args<'_>) {
    frame.push_table(words.len(), 0);
    for (index, word) in words.iter_from(0).enumerate() {
        frame.push_bytes(word);
        frame.set_element(-2, index as i32 + 1);
    }
}

/// A Lua thread that scripts run on, one after the other. Its globals are its own, for KEYS and ARGV are among them.
pub(crate) struct Slot {
    pub(super) thread: Thread<Redis>,
}

/// What threads have as their globals.
enum Globals {
    /// Scripts: a copy of this table, each its own.
    Copies(Reference),
    /// Functions: this table, empty, and its metatable; what those see behind it when they run, and when they are loaded.
    Behind {
        table: Reference,
        metatable: Reference,
        running: Reference,
        loading: Reference,
    },
}

/// A Lua machine with what all scripts in it share. `SCRIPT FLUSH` leaves it to the scripts under way.
pub(crate) struct World {
    pub(super) machine: Rc<Machine<Redis>>,
    globals: Globals,
    idle: RefCell<Vec<Slot>>,
    pub(super) random: Cell<Random>,
    /// Scripts since the collector's last step.
    uncollected: Cell<u32>,
    settings: Arc<Settings>,
    seen: Cell<Seen>,
}

impl World {
    fn new(memory_bytes_max: usize, settings: Arc<Settings>) -> Rc<Self> {
        let machine = Machine::new(memory_bytes_max);
        let globals = Globals::Copies(machine.with(sandbox::make));
        Self::with_globals(machine, globals, settings)
    }

    /// For libraries.
    pub(super) fn for_functions(memory_bytes_max: usize, settings: Arc<Settings>) -> Rc<Self> {
        let machine = Machine::new(memory_bytes_max);
        let globals = machine.with(|frame| {
            let running = sandbox::make_for_functions(frame);
            functions::push_load_globals(frame);
            let loading = frame.keep();
            frame.push_table(0, 0);
            frame.push_table(0, 1);
            frame.push_kept(&running);
            frame.set_field(-2, b"__index");
            frame.set_sealed(-1, true);
            frame.push_copy(-1);
            let metatable = frame.keep();
            frame.set_metatable(-2);
            frame.set_sealed(-1, true);
            Globals::Behind {
                table: frame.keep(),
                metatable,
                running,
                loading,
            }
        });
        Self::with_globals(machine, globals, settings)
    }

    fn with_globals(
        machine: Rc<Machine<Redis>>,
        globals: Globals,
        settings: Arc<Settings>,
    ) -> Rc<Self> {
        Rc::new(Self {
            machine,
            globals,
            idle: RefCell::new(Vec::new()),
            random: Cell::new(Random::START),
            uncollected: Cell::new(0),
            settings,
            seen: Cell::default(),
        })
    }

    /// What a script that begins finds `cjson` told.
    pub(super) fn settings(&self) -> Options {
        self.settings.look(&self.seen)
    }

    /// A script has told it something else.
    #[cold]
    pub(super) fn change_settings(&self, before: &Options, after: &Options) {
        self.settings.change(before, after);
    }

    /// Whether code sees what libraries see while they are loaded.
    pub(super) fn set_loading(&self, is_loading: bool) {
        let Globals::Behind {
            metatable,
            running,
            loading,
            ..
        } = &self.globals
        else {
            unreachable!("scripts are not loaded like libraries");
        };
        self.machine.with(|frame| {
            frame.push_kept(metatable);
            frame.set_sealed(-1, false);
            frame.push_kept(if is_loading { loading } else { running });
            frame.set_field(-2, b"__index");
            frame.set_sealed(-1, true);
        });
    }

    pub(super) fn take_slot(&self) -> Slot {
        if let Some(slot) = self.idle.borrow_mut().pop() {
            return slot;
        }
        let thread = Thread::new(&self.machine);
        let mut thread =
            thread.unwrap_or_else(|error| panic!("no memory for a script's stack: {error}"));
        thread.with(|frame| match &self.globals {
            Globals::Copies(sandbox) => sandbox::push_globals(frame, sandbox),
            Globals::Behind { table, .. } => frame.push_kept(table),
        });
        thread.set_globals();
        Slot { thread }
    }

    pub(super) fn put_back(&self, mut slot: Slot, ended: Ended) {
        slot.thread.data().rest();
        slot.thread.with(|frame| frame.clear());
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_SLOTS_MAX {
            idle.push(slot);
        }
        drop(idle);
        if ended == Ended::OutOfMemory {
            self.machine.collect();
        }
        // As in Redis: small scripts make little garbage, and a step for each would cost more than they do.
        const SCRIPTS_PER_STEP: u32 = 50;
        self.uncollected.set(self.uncollected.get() + 1);
        if self.uncollected.get() >= SCRIPTS_PER_STEP {
            self.uncollected.set(0);
            self.machine.collect_step(SCRIPTS_PER_STEP as i32);
        }
    }
}
