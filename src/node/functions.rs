//! Libraries of functions: one set for the process, loaded on each core when it first needs them. FUNCTION, FCALL.
//!
//!     FUNCTION LOAD on any core -> loaded there -> the board's set, with a new version -> any core's engine, at its next FCALL
//!
//! Promises  a change is seen by every request that begins after its reply, on whatever core; changes are one after the other.
//! Not here  running a function: `node/script.rs`; Lua: `script/functions.rs`.
//! Tests     tests/server/functions.rs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::block_calls::Captured;
use super::connection::Connection;
use super::core::{Core, Purpose, Start};
use super::library_changes::Change as Changed;
use super::ring::Token;
use super::script_known::{ABOVE_LIMIT, NO_FUNCTION, Prepared, Script};
use crate::base::glob::glob_match;
use crate::base::number::parse_i64;
use crate::commands::session::{FunctionRequest, RestorePolicy};
use crate::commands::table::{Run, ScriptCommand};
use crate::commands::{CommandError, Entry, Flags};
use crate::persist::Holds;
use crate::persist::libraries::LibraryChange;
use crate::persist::record::Dependency;
use crate::resp::{Args, Reply};
use crate::router::TxId;
use crate::router::stays::library_stays;
use crate::script::{
    Functions, Library, Limits, LoadHost, Policy, ScriptId, Settings, library_name,
};

/// Loading a library may take so long.
const LOAD_TIME: Duration = Duration::from_millis(500);

/// Names, as clients spell them, whose functions a core knows without looking.
const KNOWN_MAX: usize = 16_384;

/// The process's libraries.
#[derive(Default)]
pub struct FunctionStore {
    version: AtomicU64,
    /// A change is about to be made: meanwhile no function is taken to stay with its keys.
    pub(super) is_changing: Arc<AtomicBool>,
    /// A block has made one and has not ended: what it made of them is nobody else's yet.
    pub(super) is_open: AtomicBool,
    /// Blocks on all cores that wait until it is over: they begin before the next one does.
    pub(super) behind_count: AtomicUsize,
    /// The record of the last change: its core in the upper 16 bits, its number in the others; 0 for none.
    record: AtomicU64,
    /// What functions have told `cjson`.
    pub(super) settings: Arc<Settings>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    libraries: BTreeMap<Vec<u8>, Arc<Library>>,
    /// What the last versions have changed, the newest last.
    changes: VecDeque<Change>,
}

/// More records than a log will have.
const RECORD_BITS: u32 = 48;

/// What one version has changed.
#[derive(Clone)]
enum Change {
    Put(Arc<Library>),
    Delete(Vec<u8>),
}

impl Change {
    fn logged(&self) -> LibraryChange {
        match self {
            Self::Put(library) => LibraryChange::Put {
                name: library.name.clone(),
                code: library.code.clone(),
            },
            Self::Delete(name) => LibraryChange::Drop { name: name.clone() },
        }
    }
}

/// Changes that are kept: a core that is further behind looks at all libraries.
const CHANGES_MAX: usize = 256;

/// What a base says of its libraries: their version.
pub const LIBRARIES_VERSION: &str = "rondo-libraries-version";

/// The texts of libraries.
#[derive(Default)]
pub struct Codes {
    /// How many changes have led there since the process began, or whoever wrote the file.
    pub version: u64,
    /// The texts.
    pub codes: Vec<Vec<u8>>,
}

impl Codes {
    /// Makes of them what changes of an epoch have made of them that begins with them: those after their version, in order.
    pub fn change(&mut self, mut changes: Vec<(u64, LibraryChange)>) {
        changes.retain(|(version, _)| *version > self.version);
        changes.sort_by_key(|(version, _)| *version);
        let codes = &mut self.codes;
        for (_, change) in changes {
            match change {
                LibraryChange::Are(all) => *codes = all,
                LibraryChange::Put { name, code } => {
                    codes.retain(|code| library_name(code).as_ref() != Some(&name));
                    codes.push(code);
                }
                LibraryChange::Drop { name } => {
                    codes.retain(|code| library_name(code).as_ref() != Some(&name));
                }
            }
        }
    }
}

/// What there is, in numbers.
pub struct Figures {
    /// Libraries.
    pub libraries_count: usize,
    /// Their functions.
    pub functions_count: usize,
    /// Bytes of their texts.
    pub code_bytes: usize,
}

impl FunctionStore {
    /// Loads the texts of libraries that a file has. On the thread for files.
    ///
    /// - `flushes`: all others go; `replaces`: those of the same name do, or they are an error.
    /// - Errors: a sentence for the operator; nothing has changed.
    pub fn adopt(&self, codes: &[Vec<u8>], flushes: bool, replaces: bool) -> Result<(), String> {
        if codes.is_empty() && !flushes {
            return Ok(());
        }
        let mut held = self.held();
        let mut engine = Functions::new(Limits::default());
        let mut host = Host::patient();
        if !flushes {
            held.libraries.values().for_each(|library| {
                engine.put(library, &mut host);
            });
        }
        for code in codes {
            load(&mut engine, code, replaces, &mut host)?;
        }
        held.become_all_of(&engine);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The texts of all libraries, for an RDB file, and their version.
    pub fn codes(&self) -> Codes {
        let held = self.held();
        Codes {
            version: self.version.load(Ordering::Acquire),
            codes: held.codes(),
        }
    }

    /// The record of the last change.
    fn last_record(&self) -> Option<Dependency> {
        let record = self.record.load(Ordering::Acquire);
        (record != 0).then_some(Dependency {
            core: (record >> RECORD_BITS) as u16,
            lsn: record & ((1 << RECORD_BITS) - 1),
        })
    }

    pub(super) fn set_last_record(&self, record: Dependency) {
        let record = u64::from(record.core) << RECORD_BITS | record.lsn;
        self.record.store(record, Ordering::Release);
    }

    /// What there is, in numbers.
    pub fn figures(&self) -> Figures {
        let held = self.held();
        let libraries = || held.libraries.values();
        Figures {
            libraries_count: held.libraries.len(),
            functions_count: libraries().map(|library| library.functions.len()).sum(),
            code_bytes: libraries().map(|library| library.code.len()).sum(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Only whole sets are put there.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn codes(&self) -> Vec<Vec<u8>> {
        let libraries = self.libraries.values();
        libraries.map(|library| library.code.clone()).collect()
    }

    fn note(&mut self, change: Change) {
        match &change {
            Change::Put(library) => {
                let name = library.name.clone();
                self.libraries.insert(name, library.clone());
            }
            Change::Delete(name) => {
                self.libraries.remove(name);
            }
        }
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    /// Other cores are to look at all libraries.
    fn become_all_of(&mut self, engine: &Functions) {
        let libraries = engine.libraries();
        self.libraries = libraries
            .map(|library| (library.name.clone(), library.clone()))
            .collect();
        self.changes.clear();
    }
}

/// Whether the texts of libraries load together, one after the other.
///
/// - Errors: a sentence for the operator, of the first that does not.
pub fn check(codes: &[Vec<u8>]) -> Result<(), String> {
    let mut engine = Functions::new(Limits::default());
    let mut codes = codes.iter();
    codes.try_for_each(|code| load(&mut engine, code, false, &mut Host::patient()))
}

fn load(
    engine: &mut Functions,
    code: &[u8],
    replaces: bool,
    host: &mut Host,
) -> Result<(), String> {
    let loaded = engine.load(code, replaces, host).map_err(|error| {
        let text = String::from_utf8_lossy(error.text()).into_owned();
        format!("a library of functions does not load: {text}")
    });
    loaded.map(|_| ())
}

/// A core's libraries.
pub struct CoreFunctions {
    engine: Functions,
    /// Of the set that the engine has.
    version: u64,
    known: HashMap<Vec<u8>, Script, ahash::RandomState>,
    /// Those who want to change libraries, and wait for this core: whose question, and its name.
    pub(super) waiting: Vec<(usize, u64)>,
    /// Blocks that begin once nobody is about to change anything.
    pub(super) behind: VecDeque<Start>,
    /// Changes that are made once another one is over: whose, and what.
    pub(super) changes: VecDeque<(Token, Changed)>,
    /// Who wants to hear of libraries that a block is changing.
    pub(super) curious: Vec<(Token, FunctionRequest)>,
}

impl Default for CoreFunctions {
    fn default() -> Self {
        Self {
            engine: Functions::new(Limits::default()),
            version: 0,
            known: HashMap::default(),
            waiting: Vec::new(),
            behind: VecDeque::new(),
            changes: VecDeque::new(),
            curious: Vec::new(),
        }
    }
}

impl CoreFunctions {
    /// What is known of a function that has been called, by the name that was called.
    pub(super) fn known_mut(&mut self, name: &[u8]) -> Option<&mut Script> {
        self.known.get_mut(name)
    }

    /// What runs functions.
    pub(super) fn engine(&mut self) -> &mut Functions {
        &mut self.engine
    }

    /// How many libraries there are, and how many functions in them.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.engine.libraries().len(), self.engine.functions_count())
    }

    /// Bytes that Lua holds for them.
    pub(super) fn lua_bytes(&self) -> usize {
        self.engine.lua_bytes()
    }

    fn follow(&mut self, held: &Held, version: u64) {
        let behind = version.wrapping_sub(self.version);
        // All of them together may take long: a core that missed one would not find it, and tell others so.
        let mut host = Host::patient();
        let mut is_whole = true;
        if behind <= held.changes.len() as u64 {
            let known = held.changes.len() - behind as usize;
            for change in held.changes.iter().skip(known) {
                match change {
                    Change::Put(library) => is_whole &= self.engine.put(library, &mut host),
                    Change::Delete(name) => {
                        self.engine.delete(name);
                    }
                }
            }
        } else {
            let libraries: Vec<_> = held.libraries.values().cloned().collect();
            is_whole = self.engine.follow(&libraries, &mut host);
        }
        if !is_whole {
            tracing::error!("a library of functions could not be loaded on one of the cores");
        }
        self.has_changed(version);
    }

    fn has_changed(&mut self, version: u64) {
        self.version = version;
        self.known.clear();
    }
}

/// Loading's clock and log.
struct Host {
    end: Option<Instant>,
}

impl Host {
    fn new() -> Self {
        Self {
            end: Some(Instant::now() + LOAD_TIME),
        }
    }

    /// It has loaded before.
    fn patient() -> Self {
        Self { end: None }
    }
}

impl LoadHost for Host {
    fn is_late(&mut self) -> bool {
        self.end.is_some_and(|end| Instant::now() > end)
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        super::script_calls::log_line(level, text);
    }
}

impl Core {
    /// Takes over what other cores have changed.
    pub(super) fn follow_functions(&mut self) {
        let board = self.mesh.board();
        if board.functions.version.load(Ordering::Acquire) != self.functions.version {
            let held = board.functions.held();
            let version = board.functions.version.load(Ordering::Acquire);
            self.functions.follow(&held, version);
        }
    }

    /// What whoever learns of the libraries waits for: their last change.
    pub(super) fn holds_of_libraries(&self) -> Holds {
        let mut holds = Holds::new();
        if self.holds_replies
            && let Some(record) = self.mesh.board().functions.last_record()
        {
            holds.raise(record.core, record.lsn);
            self.prune(&mut holds);
        }
        holds
    }

    /// The replies of a client that calls a function wait for the last change of libraries.
    #[inline]
    pub(super) fn hold_for_libraries(&mut self, connection: &mut Connection, entry: &Entry) {
        if self.holds_replies && calls_function(entry) {
            let holds = self.holds_of_libraries();
            connection.hold(&holds, &mut self.spare_holdings);
        }
    }

    /// What decides how a function is run.
    pub(super) fn find_function(&mut self, name: &[u8]) -> Result<Script, CommandError> {
        let script = self.look_up_function(name)?;
        let is_changing = &self.mesh.board().functions.is_changing;
        Ok(Script {
            stays: script.stays && !is_changing.load(Ordering::Acquire),
            ..script
        })
    }

    fn look_up_function(&mut self, name: &[u8]) -> Result<Script, CommandError> {
        self.follow_functions();
        let functions = &mut self.functions;
        if let Some(script) = functions.known.get(name) {
            return Ok(*script);
        }
        if functions.known.len() >= KNOWN_MAX {
            // One name can be spelt in many ways.
            functions.known.clear();
        }
        let flags = functions.engine.flags(name);
        let flags = flags.ok_or(CommandError::from(NO_FUNCTION))?;
        let library = functions.engine.library_of(name);
        let script = Script {
            stays: library.is_some_and(|library| library_stays(&library.code)),
            no_writes: flags.no_writes,
            allows_oom: flags.allow_oom || flags.no_writes,
            is_plain: false,
            left: 0,
        };
        functions.known.insert(name.to_vec(), script);
        Ok(script)
    }

    /// Finds a function and checks the words around it.
    pub(super) fn prepare_function(
        &mut self,
        is_memory_short: bool,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Result<Prepared, CommandError> {
        let name = args.get(1);
        let script = self.find_function(name)?;
        let keys_count = parse_i64(args.get(2)).ok_or("ERR Bad number of keys provided")?;
        if keys_count > args.len() as i64 - 3 {
            return Err("ERR Number of keys can't be greater than number of args".into());
        }
        if keys_count < 0 {
            return Err("ERR Number of keys can't be negative".into());
        }
        let is_readonly = entry.command.flags.has(Flags::READONLY);
        if is_readonly && !script.no_writes {
            return Err("ERR Can not execute a script with write flag using *_ro command.".into());
        }
        let may_not_grow = is_memory_short && !script.allows_oom;
        if may_not_grow {
            return Err(ABOVE_LIMIT.into());
        }
        Ok(Prepared {
            id: ScriptId::OF_NOTHING,
            may_not_grow,
            function: Some(name.into()),
            is_readonly: is_readonly || script.no_writes,
            script,
            keys_count: keys_count as usize,
        })
    }

    /// What asks for the texts of all libraries.
    pub(super) fn function_codes(&self) -> Box<dyn Fn() -> Codes + Send> {
        let board = self.mesh.board().clone();
        Box::new(move || board.functions.codes())
    }

    /// FUNCTION.
    pub(super) fn function_request(&mut self, token: Token, request: FunctionRequest) {
        self.follow_functions();
        let tells = matches!(
            request,
            FunctionRequest::Stats | FunctionRequest::Dump | FunctionRequest::List { .. }
        );
        // A block may have begun to change them since the request was let through; its own is not to wait for it.
        if tells && self.has_open_change() && !self.captured.contains_key(&token) {
            return self.functions.curious.push((token, request));
        }
        let holds = self.holds_of_libraries();
        self.hold(token, &holds);
        let mut out = Vec::new();
        let protocol = self
            .connections
            .get_mut(token)
            .map(|it| it.session.protocol);
        let mut reply = Reply::new(&mut out, protocol.unwrap_or_default());
        match request {
            FunctionRequest::Kill => return self.kill_script_anywhere(token, true),
            FunctionRequest::Stats => return self.ask_all_for_function_stats(token),
            FunctionRequest::Dump => reply.bulk(&self.functions.engine.dump()),
            FunctionRequest::List { pattern, with_code } => {
                write_list(
                    &self.functions.engine,
                    pattern.as_deref(),
                    with_code,
                    &mut reply,
                );
            }
            // A block has waited for that.
            change => match self.captured.get(&token) {
                Some(&Captured { tx }) => return self.change_libraries(token, change, Some(tx)),
                None => return self.prepare_change(token, Changed::Request(change)),
            },
        }
        self.complete(token, |output, _| output.extend_from_slice(&out));
    }

    /// A change, and its reply.
    ///
    /// - `block`: it is a command of that one.
    pub(super) fn change_libraries(
        &mut self,
        token: Token,
        change: FunctionRequest,
        block: Option<TxId>,
    ) {
        let coordinated = block.and_then(|tx| self.transactions.get(&tx));
        let changing = coordinated.and_then(|it| match &it.purpose {
            Purpose::Block(running) => running.changing.as_ref(),
            _ => None,
        });
        if changing.is_some() {
            // Before anybody can see it.
            let is_open = &self.mesh.board().functions.is_open;
            is_open.store(true, Ordering::Release);
        }
        let connection = self.connections.get_mut(token);
        let protocol = connection.map(|it| it.session.protocol);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, protocol.unwrap_or_default());
        self.change_functions(change, block, &mut reply);
        let holds = self.holds_of_request();
        self.hold(token, &holds);
        match out
            .strip_prefix(b"-")
            .and_then(|line| line.strip_suffix(b"\r\n"))
        {
            Some(line) => self.fail_with(token, line),
            None => self.complete(token, |output, _| output.extend_from_slice(&out)),
        }
    }

    /// FUNCTION STATS, once every core has been heard of.
    pub(super) fn tell_function_stats(&mut self, token: Token) {
        self.follow_functions();
        let connection = self.connections.get_mut(token);
        let protocol = connection.map(|it| it.session.protocol);
        let mut out = Vec::new();
        self.write_function_stats(&mut Reply::new(&mut out, protocol.unwrap_or_default()));
        self.complete(token, |output, _| output.extend_from_slice(&out));
    }

    /// Of those that run for long the one that began first: all others end before whoever asks is answered.
    fn write_function_stats(&self, reply: &mut Reply<'_>) {
        let all = self.mesh.board().busy_scripts.all();
        let running = all.iter().find(|busy| busy.function.is_some());
        if running.is_none()
            && let Some(script) = all.first()
        {
            return reply.error(script.text());
        }
        reply.map(2);
        reply.bulk(b"running_script");
        match running.and_then(|busy| Some((busy, busy.function.as_ref()?))) {
            None => reply.null(),
            Some((busy, name)) => {
                reply.map(3);
                reply.bulk(b"name");
                reply.bulk(name);
                reply.bulk(b"command");
                reply.array(busy.words.len());
                busy.words
                    .as_args()
                    .iter_from(0)
                    .for_each(|word| reply.bulk(word));
                reply.bulk(b"duration_ms");
                reply.integer(busy.since.elapsed().as_millis() as i64);
            }
        }
        let (libraries_count, functions_count) = self.functions.counts();
        reply.bulk(b"engines");
        reply.map(1);
        reply.bulk(b"LUA");
        reply.map(2);
        reply.bulk(b"libraries_count");
        reply.integer(libraries_count as i64);
        reply.bulk(b"functions_count");
        reply.integer(functions_count as i64);
    }

    /// A change here, then for all: nobody else changes anything meanwhile.
    fn change_functions(
        &mut self,
        change: FunctionRequest,
        block: Option<TxId>,
        reply: &mut Reply<'_>,
    ) {
        let board = self.mesh.board();
        let mut held = board.functions.held();
        let version = board.functions.version.load(Ordering::Acquire);
        if version != self.functions.version {
            self.functions.follow(&held, version);
        }
        let engine = &mut self.functions.engine;
        let changed = match change {
            FunctionRequest::Load { code, replace } => {
                match engine.load(&code, replace, &mut Host::new()) {
                    Ok(library) => {
                        reply.bulk(&library.name);
                        Some(Some(Change::Put(library)))
                    }
                    Err(error) => {
                        reply.error_bytes(error.text());
                        None
                    }
                }
            }
            FunctionRequest::Restore { payload, policy } => {
                let policy = match policy {
                    RestorePolicy::Flush => Policy::Flush,
                    RestorePolicy::Append => Policy::Append,
                    RestorePolicy::Replace => Policy::Replace,
                };
                match engine.restore(&payload, policy, &mut Host::new()) {
                    Ok(()) => {
                        reply.ok();
                        Some(None)
                    }
                    Err(error) => {
                        reply.error_bytes(error.text());
                        None
                    }
                }
            }
            FunctionRequest::Delete(name) if engine.delete(&name) => {
                reply.ok();
                Some(Some(Change::Delete(name)))
            }
            FunctionRequest::Delete(_) => {
                reply.error("ERR Library not found");
                None
            }
            flush => {
                if let FunctionRequest::Flush { is_lazy } = flush
                    && is_lazy.unwrap_or(self.options.lazyfree_lazy_user_flush)
                {
                    // As in Redis, with the machine that they were in.
                    let functions_count = engine.functions_count();
                    self.shard.keys.note_freed_lazily(functions_count, 1);
                }
                engine.flush();
                board.functions.settings.reset();
                reply.ok();
                Some(None)
            }
        };
        let Some(changed) = changed else { return };
        self.shard.note_change();
        let logged = match changed {
            Some(change) => {
                let logged = change.logged();
                held.note(change);
                logged
            }
            None => {
                held.become_all_of(engine);
                LibraryChange::Are(held.codes())
            }
        };
        board
            .functions
            .version
            .store(version + 1, Ordering::Release);
        self.functions.has_changed(version + 1);
        if self.shard.log().is_none() {
            return;
        }
        let after = board.functions.last_record();
        let coordinated = block.and_then(|tx| Some((tx, self.transactions.get_mut(&tx)?)));
        if let Some((tx, coordinated)) = coordinated
            && let Purpose::Block(running) = &mut coordinated.purpose
            && let Some(changing) = &mut running.changing
            && let Some(trace) = self.shard.trace_libraries(tx, version + 1, &logged)
        {
            changing.is_logged_at_end = true;
            let transaction = &mut coordinated.transaction;
            transaction.take_trace(self.shard.id(), *trace);
            if let Some(after) = after {
                transaction.comes_after(after);
            }
            return;
        }
        let stamp = board.next_tx.fetch_add(1, Ordering::Relaxed);
        let shard = &mut self.shard;
        if let Some(record) = shard.log_libraries(version + 1, &logged, stamp, after) {
            board.functions.set_last_record(record);
        }
    }
}

/// FCALL and FCALL_RO.
pub(super) fn calls_function(entry: &Entry) -> bool {
    matches!(entry.command.run, Run::Script(ScriptCommand::Function))
}

pub(super) fn calls_script(entry: &Entry) -> bool {
    matches!(entry.command.run, Run::Script(_))
}

fn write_list(
    functions: &Functions,
    pattern: Option<&[u8]>,
    with_code: bool,
    reply: &mut Reply<'_>,
) {
    let is_asked = |library: &&Arc<Library>| {
        pattern.is_none_or(|pattern| glob_match(pattern, &library.name, true))
    };
    let libraries: Vec<_> = functions.libraries().filter(is_asked).collect();
    reply.array(libraries.len());
    for library in libraries {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(&library.name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&function.name);
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            reply.set(function.flags.names().count());
            function.flags.names().for_each(|name| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
}
