//! Functions: libraries of named Lua functions that stay, `FUNCTION` and `FCALL`.
//!
//! ```text
//!  globals of all library code: an empty sealed table E ── __index ──> G: redis.call, cjson … (functions that run)
//!                                                              └──> L: redis.register_function (while a library loads)
//! ```
//!
//! Libraries share nothing with the scripts of `EVAL`: they have a Lua machine of their own. Loading one runs its code, which
//! may only register functions and has a time limit, which the caller's clock decides.
//!
//! Promises  what does not load leaves everything as it was. Libraries are in order of their names.
//! Not here  which core knows which libraries: the rooms above.
//! Source    Redis's manual: "Redis functions"; texts of Redis 8.0.6, read back from a server.
//! Tests     tests/script/functions.rs.

use super::api;
use super::convert::{push_error, until_zero};
use super::engine::{Limits, ScriptError, Slot, World, prepare_call};
use super::run::{Context, Run, RunName, Told, Wish};
use super::settings::Settings;
use super::shebang::{self, Flags, joined};
use super::{Frame, Thrown, sandbox};
use crate::base::crc64::crc64;
use crate::keyspace::rdb::wire::{Reader, Writer};
use crate::lua::{Ended, Kind, Outcome, Reference};
use crate::resp::Args;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// Instructions between two looks at the clock while a library loads.
const INSTRUCTIONS_PER_LOOK: u32 = 100_000;

/// A library, as FUNCTION LIST tells of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// Its text, first line included.
    pub code: Vec<u8>,
    /// Its functions, in order of their names.
    pub functions: Vec<Function>,
}

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, which no other library's function has.
    pub name: Vec<u8>,
    /// What its author says of it.
    pub description: Option<Vec<u8>>,
    /// What it may do, and when.
    pub flags: Flags,
}

/// What loading a library needs of the room above.
pub trait LoadHost {
    /// Whether loading has taken too long. Asked now and then.
    fn is_late(&mut self) -> bool;
    /// The library writes to the log: level 0 (debug) to 3 (warning).
    fn log(&mut self, level: u8, text: &[u8]);
}

/// What FUNCTION RESTORE does with libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All go.
    Flush,
    /// They stay; one of the same name is an error.
    Append,
    /// They stay; one of the same name is replaced.
    Replace,
}

/// A function that a library under way has registered.
pub(super) struct Registered {
    function: Function,
    callback: Reference,
}

/// A library in the machine.
struct Loaded {
    library: Arc<Library>,
    callbacks: Vec<Reference>,
}

/// The libraries of one core.
pub struct Functions {
    limits: Limits,
    libraries: BTreeMap<Vec<u8>, Loaded>,
    /// Of each function, whose name is in small letters here: its library, and its place there.
    places: HashMap<Vec<u8>, (Vec<u8>, usize), ahash::RandomState>,
    world: Option<Rc<World>>,
    settings: Arc<Settings>,
}

impl Functions {
    /// No libraries; nothing is allocated before the first.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            libraries: BTreeMap::new(),
            places: HashMap::default(),
            world: None,
            settings: Arc::default(),
        }
    }

    /// Takes the same settings as other cores' functions; before the first library.
    pub fn share_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// Loads a library from its text.
    ///
    /// - Errors: the text for the client; nothing has changed.
    pub fn load(
        &mut self,
        code: &[u8],
        replace: bool,
        host: &mut dyn LoadHost,
    ) -> Result<Arc<Library>, ScriptError> {
        let name = self.check_head(code)?;
        if !replace && self.libraries.contains_key(name.as_slice()) {
            let text = [b"Library '", &name[..], b"' already exists"].concat();
            return Err(ScriptError::new(text));
        }
        let loaded = self.compile(name, code, host)?;
        let old_name = loaded.library.name.clone();
        if let Some(taken) = self.taken(&loaded.library, |library| *library == old_name) {
            self.release(loaded);
            return Err(ScriptError::new(taken));
        }
        self.delete(&old_name);
        Ok(self.insert(loaded))
    }

    /// The library's name in its first line.
    fn check_head(&self, code: &[u8]) -> Result<Vec<u8>, ScriptError> {
        let (engine, name) = head(code).map_err(ScriptError::new)?;
        if !is_name(&name) {
            return Err(ScriptError::new(BAD_NAME.into()));
        }
        if !engine.eq_ignore_ascii_case(b"lua") {
            let text = [b"Engine '", &engine[..], b"' not found"].concat();
            return Err(ScriptError::new(text));
        }
        Ok(name)
    }

    /// The error for a function whose name some library has already, those that `is_leaving` names apart.
    fn taken(&self, library: &Library, is_leaving: impl Fn(&Vec<u8>) -> bool) -> Option<Vec<u8>> {
        library.functions.iter().find_map(|function| {
            let (other, _) = self.places.get(&*small(&function.name))?;
            (!is_leaving(other))
                .then(|| [b"Function ", &function.name[..], b" already exists"].concat())
        })
    }

    fn insert(&mut self, loaded: Loaded) -> Arc<Library> {
        let library = Arc::clone(&loaded.library);
        for (index, function) in library.functions.iter().enumerate() {
            let place = (library.name.clone(), index);
            let name = small(&function.name).into_owned();
            // Of two that one library has by the same letters the first counts, as in Redis. Another library is about to go, or
            // to lose it.
            let known = self.places.get(&name);
            if known.is_none_or(|(of, _)| *of != library.name) {
                self.places.insert(name, place);
            }
        }
        self.libraries.insert(library.name.clone(), loaded);
        library
    }

    fn release(&self, loaded: Loaded) {
        if let Some(world) = &self.world {
            world.machine.with(|frame| {
                loaded
                    .callbacks
                    .into_iter()
                    .for_each(|kept| frame.release(kept));
            });
        }
    }

    /// Runs a library's text for what it registers.
    fn compile(
        &mut self,
        name: Vec<u8>,
        code: &[u8],
        host: &mut dyn LoadHost,
    ) -> Result<Loaded, ScriptError> {
        let world = self.world();
        let line_end = shebang::line_end(code).unwrap_or(0);
        let mut slot = world.take_slot();
        slot.thread.data().reset(&world);
        slot.thread.data().loading = Some(Vec::new());
        let is_loaded = slot.thread.with(|frame| {
            frame.clear();
            frame.load(&code[line_end..], c"@user_function").is_ok()
        });
        if !is_loaded {
            let text = error_text(&mut slot, "Error compiling function: ", false);
            world.put_back(slot, Ended::Returned);
            return Err(ScriptError::new(text));
        }
        world.set_loading(true);
        slot.thread.set_hook(INSTRUCTIONS_PER_LOOK);
        slot.thread.start(0, 0, 0);
        let ended = loop {
            match slot.thread.resume() {
                Outcome::Ended(ended) => break ended,
                Outcome::Suspended => {
                    let data = slot.thread.data();
                    data.told = Told::Begin;
                    match data.wish {
                        Wish::Log(level) => host.log(level, &data.text),
                        _ if host.is_late() => {
                            data.is_killed = true;
                            data.kill_text = "FUNCTION LOAD timeout";
                        }
                        _ => {}
                    }
                }
            }
        };
        world.set_loading(false);
        let registered = slot.thread.data().loading.take().unwrap_or_default();
        let failure = if ended != Ended::Returned {
            Some(error_text(&mut slot, "Error registering functions: ", true))
        } else if registered.is_empty() {
            Some(b"No functions registered".to_vec())
        } else {
            None
        };
        world.put_back(slot, ended);
        let mut registered = registered;
        registered.sort_by(|a, b| a.function.name.cmp(&b.function.name));
        let (functions, callbacks) = registered
            .into_iter()
            .map(|registered| (registered.function, registered.callback))
            .unzip();
        let loaded = Loaded {
            library: Arc::new(Library {
                name,
                code: code.to_vec(),
                functions,
            }),
            callbacks,
        };
        match failure {
            None => Ok(loaded),
            Some(text) => {
                self.release(loaded);
                Err(ScriptError::new(text))
            }
        }
    }

    /// Deletes a library; `false` if there is none of that name.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        let Some(loaded) = self.libraries.remove(name) else {
            return false;
        };
        for function in &loaded.library.functions {
            let function = small(&function.name);
            if (self.places.get(&*function)).is_some_and(|(of, _)| of == name) {
                self.places.remove(&*function);
            }
        }
        self.release(loaded);
        true
    }

    /// Deletes all libraries, and gives Lua's memory back once no function is under way.
    pub fn flush(&mut self) {
        self.libraries.clear();
        self.places.clear();
        self.world = None;
    }

    /// Makes the libraries those of another core, which has loaded them.
    ///
    /// What does not load here, for want of memory or time, is missing afterwards; returns whether all are there.
    pub fn follow(&mut self, libraries: &[Arc<Library>], host: &mut dyn LoadHost) -> bool {
        let wanted: HashMap<&[u8], &Arc<Library>> = libraries
            .iter()
            .map(|library| (&library.name[..], library))
            .collect();
        let is_kept = |loaded: &Loaded| {
            let other = wanted.get(&loaded.library.name[..]);
            other.is_some_and(|other| Arc::ptr_eq(&loaded.library, other))
        };
        let stale: Vec<_> = self
            .libraries
            .iter()
            .filter(|(_, loaded)| !is_kept(loaded))
            .map(|(name, _)| name.clone())
            .collect();
        stale.iter().for_each(|name| {
            self.delete(name);
        });
        let mut is_whole = true;
        for library in libraries {
            is_whole &= self.libraries.contains_key(&library.name) || self.put(library, host);
        }
        if libraries.is_empty() {
            self.flush();
        }
        is_whole
    }

    /// Loads a library that another core has loaded, in place of one of its name; whether it is there.
    pub fn put(&mut self, library: &Arc<Library>, host: &mut dyn LoadHost) -> bool {
        self.delete(&library.name);
        let Ok(loaded) = self.compile(library.name.clone(), &library.code, host) else {
            return false;
        };
        self.insert(Loaded {
            library: Arc::clone(library),
            callbacks: loaded.callbacks,
        });
        true
    }

    /// The libraries, in order of their names.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &Arc<Library>> {
        self.libraries.values().map(|loaded| &loaded.library)
    }

    /// How many functions there are.
    pub fn functions_count(&self) -> usize {
        self.places.len()
    }

    /// Bytes that Lua holds for libraries: INFO's `used_memory_vm_functions`.
    pub fn lua_bytes(&self) -> usize {
        self.world
            .as_ref()
            .map_or(0, |world| world.machine.memory().used)
    }

    /// The flags of a function.
    pub fn flags(&self, function: &[u8]) -> Option<Flags> {
        let (library, index) = self.places.get(&*small(function))?;
        Some(self.libraries[library].library.functions[*index].flags)
    }

    /// The library that has a function.
    pub fn library_of(&self, function: &[u8]) -> Option<&Arc<Library>> {
        let (library, _) = self.places.get(&*small(function))?;
        Some(&self.libraries[library].library)
    }

    /// Starts a function; [`Run::resume`] with `Begin` runs it. `None` if there is none of that name.
    pub fn start(
        &mut self,
        function: &[u8],
        keys: &Args<'_>,
        argv: &Args<'_>,
        context: Context,
    ) -> Option<Run> {
        let (library, index) = self.places.get(&*small(function))?;
        let loaded = &self.libraries[library];
        let callback = &loaded.callbacks[*index];
        // As it was registered, whatever capitals the call has.
        let name = &loaded.library.functions[*index].name;
        let world = Rc::clone(self.world.as_ref()?);
        let mut slot = world.take_slot();
        prepare_call(&mut slot, &world, callback, keys, argv, context);
        let name = RunName::Function(name.as_slice().into());
        Some(Run::new(slot, world, name, context.protocol))
    }

    fn world(&mut self) -> Rc<World> {
        let bytes_max = self.limits.memory_bytes_max;
        let settings = &self.settings;
        let make = || World::for_functions(bytes_max, settings.clone());
        Rc::clone(self.world.get_or_insert_with(make))
    }

    // ---- payloads ----

    /// All libraries as bytes, for [`Functions::restore`] and Redis's FUNCTION RESTORE.
    pub fn dump(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for library in self.libraries() {
            out.byte(FUNCTION_OPCODE);
            out.string(&library.code);
        }
        out.raw(&PAYLOAD_VERSION.to_le_bytes());
        let checksum = crc64(0, out.as_bytes());
        out.raw(&checksum.to_le_bytes());
        out.into_bytes()
    }

    /// Loads the libraries in a payload, all or none.
    pub fn restore(
        &mut self,
        payload: &[u8],
        policy: Policy,
        host: &mut dyn LoadHost,
    ) -> Result<(), ScriptError> {
        let codes = read_payload(payload).map_err(|text| ScriptError::new(text.into()))?;
        let mut loaded: Vec<Loaded> = Vec::new();
        let result = self.restore_all(&codes, policy, host, &mut loaded);
        if result.is_err() {
            loaded.into_iter().for_each(|loaded| self.release(loaded));
            return result;
        }
        if policy == Policy::Flush {
            let names: Vec<_> = self.libraries.keys().cloned().collect();
            names.iter().for_each(|name| {
                self.delete(name);
            });
        }
        // A function may be another library's from now on.
        for loaded in &loaded {
            self.delete(&loaded.library.name);
        }
        for loaded in loaded {
            self.insert(loaded);
        }
        Ok(())
    }

    fn restore_all(
        &mut self,
        codes: &[Vec<u8>],
        policy: Policy,
        host: &mut dyn LoadHost,
        loaded: &mut Vec<Loaded>,
    ) -> Result<(), ScriptError> {
        for code in codes {
            let name = self.check_head(code)?;
            if loaded.iter().any(|other| other.library.name == name) {
                let text = [b"Library '", &name[..], b"' already exists"].concat();
                return Err(ScriptError::new(text));
            }
            let next = self.compile(name, code, host)?;
            let known = loaded.iter().flat_map(|loaded| &loaded.library.functions);
            let twice = known
                .filter(|known| {
                    next.library
                        .functions
                        .iter()
                        .any(|new| new.name.eq_ignore_ascii_case(&known.name))
                })
                .map(|known| [b"Function ", &known.name[..], b" already exists"].concat())
                .next();
            loaded.push(next);
            if let Some(text) = twice {
                return Err(ScriptError::new(text));
            }
        }
        if policy == Policy::Flush {
            return Ok(());
        }
        if policy == Policy::Append {
            let there = loaded
                .iter()
                .find(|loaded| self.libraries.contains_key(&loaded.library.name));
            if let Some(there) = there {
                let text = [b"Library ", &there.library.name[..], b" already exists"].concat();
                return Err(ScriptError::new(text));
            }
        }
        let is_leaving = |name: &Vec<u8>| loaded.iter().any(|loaded| loaded.library.name == *name);
        match loaded
            .iter()
            .find_map(|loaded| self.taken(&loaded.library, is_leaving))
        {
            Some(text) => Err(ScriptError::new(text)),
            None => Ok(()),
        }
    }
}

/// The byte before a library in RDB payloads and files.
const FUNCTION_OPCODE: u8 = 245;
/// The same before Redis 7.0's release.
const FUNCTION_OPCODE_OLD: u8 = 246;
/// What rondo's payloads say, and the newest that is read.
const PAYLOAD_VERSION: u16 = 11;
const PAYLOAD_VERSION_MAX: u16 = 12;

/// The texts of the libraries in a payload of FUNCTION DUMP.
///
/// - Errors: what FUNCTION RESTORE answers.
pub fn read_payload(payload: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const FOOTER: &str = "DUMP payload version or checksum are wrong";
    let (body, footer) = payload.split_last_chunk::<10>().ok_or(FOOTER)?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let checksum = crc64(0, &payload[..body.len() + 2]);
    if version > PAYLOAD_VERSION_MAX || footer[2..] != checksum.to_le_bytes() {
        return Err(FOOTER);
    }
    let mut reader = Reader::new(body);
    let mut codes = Vec::new();
    while reader.left() > 0 {
        match reader.byte().map_err(|_| "can not read data type")? {
            FUNCTION_OPCODE => {}
            FUNCTION_OPCODE_OLD => return Err("Pre-GA function format not supported"),
            _ => return Err("given type is not a function"),
        }
        let code = reader
            .string()
            .map_err(|_| "Failed loading library payload")?;
        codes.push(code.into_owned());
    }
    Ok(codes)
}

const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// A function's name as it is looked up: capitals make no difference.
fn small(name: &[u8]) -> Cow<'_, [u8]> {
    match name.iter().any(u8::is_ascii_uppercase) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

fn is_name(name: &[u8]) -> bool {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(is_good)
}

/// The name of a library with this text.
pub fn library_name(code: &[u8]) -> Option<Vec<u8>> {
    head(code).ok().map(|(_, name)| name)
}

/// The engine and the name in a library's first line.
fn head(code: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Vec<u8>> {
    if !code.starts_with(b"#!") {
        return Err("Missing library metadata".into());
    }
    let line_end = shebang::line_end(code).ok_or("Invalid library metadata")?;
    let words = shebang::words(&code[..line_end])
        .filter(|words| !words.is_empty())
        .ok_or("Invalid library metadata")?;
    let words = words.as_args();
    let mut name = None;
    for word in words.iter_from(1) {
        let is_name = word.len() >= 5 && word[..5].eq_ignore_ascii_case(b"name=");
        if !is_name {
            return Err(joined("Invalid metadata value given: ", word));
        }
        if name.replace(word[5..].to_vec()).is_some() {
            return Err("Invalid metadata value, name argument was given multiple times".into());
        }
    }
    let name = name.ok_or("Library name was not given")?;
    Ok((words.get(0)[2..].to_vec(), name))
}

/// The error on top of a thread's stack. `with_code`: as one raised, in which a plain text is an `ERR`.
fn error_text(slot: &mut Slot, before: &str, with_code: bool) -> Vec<u8> {
    slot.thread.with(|frame| {
        let text = if frame.kind(-1) == Kind::Table {
            frame.push_field(-1, b"err");
            let text = frame.with_text(-1, |text| until_zero(text).to_vec());
            frame.pop(1);
            text.unwrap_or_else(|| b"ERR unknown error".to_vec())
        } else {
            let text = frame.with_text(-1, |text| until_zero(text).to_vec());
            match text {
                Some(text) if with_code => [b"ERR ", &text[..]].concat(),
                Some(text) => text,
                None => b"ERR unknown error".to_vec(),
            }
        };
        [before.as_bytes(), &text[..]].concat()
    })
}

// ---- redis.register_function ----

/// Puts the globals for loading code, `redis` and Valkey's name for the same alone, on the stack.
pub(super) fn push_load_globals(frame: &mut Frame<'_>) {
    frame.push_table(0, 2);
    frame.push_table(0, 8);
    frame.push_native(register_function);
    frame.set_field(-2, b"register_function");
    api::add_log_and_version(frame);
    sandbox::forbid_unknown(frame);
    frame.set_sealed(-1, true);
    frame.push_copy(-1);
    frame.set_field(-3, b"server");
    frame.set_field(-2, b"redis");
    sandbox::forbid_unknown(frame);
    frame.set_sealed(-1, true);
}

fn fail<T>(frame: &mut Frame<'_>, text: &str) -> Result<T, Thrown> {
    push_error(frame, text.as_bytes());
    Err(frame.throw())
}

/// `redis.register_function(name, callback)`, or a table with names.
fn register_function(frame: &mut Frame<'_>) -> Result<usize, Thrown> {
    if frame.data().loading.is_none() {
        return fail(
            frame,
            "redis.register_function can only be called on FUNCTION LOAD command",
        );
    }
    let read = match frame.top() {
        1 => read_named(frame),
        2 => read_positional(frame),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    let registered = match read {
        Ok(registered) => registered,
        Err(text) => return fail(frame, text),
    };
    let name = &registered.function.name;
    let loading = frame.data().loading.as_mut().expect("seen above");
    let fault = if !is_name(name) {
        Some(BAD_NAME)
    } else if loading.iter().any(|other| other.function.name == *name) {
        Some("Function already exists in the library")
    } else {
        None
    };
    if let Some(text) = fault {
        frame.release(registered.callback);
        return fail(frame, text);
    }
    loading.push(registered);
    Ok(0)
}

fn read_positional(frame: &mut Frame<'_>) -> Result<Registered, &'static str> {
    let Some(name) = frame.with_text(1, <[u8]>::to_vec) else {
        return Err("first argument to redis.register_function must be a string");
    };
    if frame.kind(2) != Kind::Function {
        return Err("second argument to redis.register_function must be a function");
    }
    frame.push_copy(2);
    Ok(Registered {
        callback: frame.keep(),
        function: Function {
            name,
            description: None,
            flags: Flags::default(),
        },
    })
}

fn read_named(frame: &mut Frame<'_>) -> Result<Registered, &'static str> {
    if frame.kind(1) != Kind::Table {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        );
    }
    let (mut name, mut description, mut callback, mut flags) = (None, None, None, Flags::default());
    frame.push_nil();
    let mut fault = None;
    while fault.is_none() && frame.next(1) {
        fault = read_named_one(
            frame,
            &mut name,
            &mut description,
            &mut callback,
            &mut flags,
        )
        .err();
        frame.pop(1);
    }
    if fault.is_none() && name.is_none() {
        fault = Some("redis.register_function must get a function name argument");
    }
    if fault.is_none() && callback.is_none() {
        fault = Some("redis.register_function must get a callback argument");
    }
    match (fault, name, callback) {
        (None, Some(name), Some(callback)) => Ok(Registered {
            callback,
            function: Function {
                name,
                description,
                flags,
            },
        }),
        (fault, _, callback) => {
            if let Some(callback) = callback {
                frame.release(callback);
            }
            Err(fault.unwrap_or_default())
        }
    }
}

/// One key and its value, on top.
fn read_named_one(
    frame: &mut Frame<'_>,
    name: &mut Option<Vec<u8>>,
    description: &mut Option<Vec<u8>>,
    callback: &mut Option<Reference>,
    flags: &mut Flags,
) -> Result<(), &'static str> {
    let Some(key) = frame.with_text(-2, |key| until_zero(key).to_ascii_lowercase()) else {
        return Err("named argument key given to redis.register_function is not a string");
    };
    match &key[..] {
        b"function_name" => {
            let text = frame.with_text(-1, <[u8]>::to_vec);
            *name = Some(text.ok_or(
                "function_name argument given to redis.register_function must be a string",
            )?);
        }
        b"description" => {
            let text = frame.with_text(-1, <[u8]>::to_vec);
            *description =
                Some(text.ok_or(
                    "description argument given to redis.register_function must be a string",
                )?);
        }
        b"callback" => {
            if frame.kind(-1) != Kind::Function {
                return Err(
                    "callback argument given to redis.register_function must be a function",
                );
            }
            frame.push_copy(-1);
            let kept = frame.keep();
            if let Some(before) = callback.replace(kept) {
                frame.release(before);
            }
        }
        b"flags" => {
            if frame.kind(-1) != Kind::Table {
                return Err(
                    "flags argument to redis.register_function must be a table representing function flags",
                );
            }
            *flags = read_flags(frame).ok_or("unknown flag given")?;
        }
        _ => return Err("unknown argument given to redis.register_function"),
    }
    Ok(())
}

/// The flags in the table on top.
fn read_flags(frame: &mut Frame<'_>) -> Option<Flags> {
    let mut flags = Flags::default();
    for index in 1.. {
        frame.push_element(-1, index);
        let is_end = frame.kind(-1) == Kind::Nil;
        let name = frame.with_text(-1, |name| until_zero(name).to_ascii_lowercase());
        frame.pop(1);
        if is_end {
            break;
        }
        if !flags.set(&name?) {
            return None;
        }
    }
    Some(flags)
}
