//! Scripts that a core knows: found by their names or texts, compiled, started; SCRIPT.
//!
//! Promises  a text is compiled once a core, and read once for whether it stays with its keys.
//! Not here  the process's texts: `node/script_store.rs`; running: `node/script.rs`.
//! Tests     tests/server/scripts.rs.

use std::sync::Arc;

use super::core::Core;
use super::library_changes::Change;
use super::ring::Token;
use super::script::{Hosted, Scripts};
use super::script_store::ScriptText;
use crate::base::number::parse_i64;
use crate::commands::table::{Caller, Run as Runs, ScriptCommand};
use crate::commands::{CommandError, Entry, Flags, NodeRequest};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::Origin;
use crate::router::calls::Queued;
use crate::router::stays::stays;
use crate::script::{Context, Origin as Source, ScriptId};

/// Names kept beyond those that the engine has.
const KNOWN_SPARE: usize = 1024;
/// What those that came since it was last looked may take, where the engine's take no more, in bytes.
const SPARE_BYTES: usize = 1024 * 1024;

pub(super) const ABOVE_LIMIT: &str =
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'";
pub(super) const NO_FUNCTION: &str = "ERR Function not found";
const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";
/// What SCRIPT SHOW, which is Valkey's, says.
const NOTHING_TO_SHOW: &str = "NOSCRIPT No matching script.";

/// What a core knows of a script.
pub(super) struct Known {
    text: Arc<ScriptText>,
    source: Source,
    pub(super) script: Script,
}

/// What decides how a script is run.
#[derive(Clone, Copy)]
pub(super) struct Script {
    /// It touches nothing but the keys it declares.
    pub(super) stays: bool,
    /// It says that it does not write.
    pub(super) no_writes: bool,
    /// It says that it may run above `maxmemory`, or does not write.
    pub(super) allows_oom: bool,
    /// It has no first line with flags.
    pub(super) is_plain: bool,
    /// So many times it begins as a transaction, for it has left its keys.
    pub(super) left: u8,
}

/// A script to be started, checked.
pub(super) struct Prepared {
    pub(super) id: ScriptId,
    /// It is this function of a library, and no script.
    pub(super) function: Option<Box<[u8]>>,
    pub(super) script: Script,
    pub(super) keys_count: usize,
    pub(super) is_readonly: bool,
    /// Memory is short, and it has not said that it minds no limit.
    pub(super) may_not_grow: bool,
}

/// A SHA-1 in hexadecimal.
const DIGEST_TEXT_BYTES: usize = 40;

impl Core {
    /// Finds a script that is to begin now and checks the words around it.
    pub(super) fn prepare(
        &mut self,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Result<Prepared, CommandError> {
        let is_memory_short = self.shard.refuses_growth();
        self.prepare_where(is_memory_short, entry, args)
    }

    /// The same of one that begins, or is a part of a block that began, where memory was short, or was not.
    pub(super) fn prepare_where(
        &mut self,
        is_memory_short: bool,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Result<Prepared, CommandError> {
        if matches!(entry.command.run, Runs::Script(ScriptCommand::Function)) {
            return self.prepare_function(is_memory_short, entry, args);
        }
        let by_text = matches!(entry.command.run, Runs::Script(ScriptCommand::Text));
        if !by_text && args.get(1).len() != DIGEST_TEXT_BYTES {
            return Err(NO_SCRIPT.into()); // Before the number of keys is looked at.
        }
        let keys_count = parse_i64(args.get(2)).ok_or(CommandError::NotInteger)?;
        if keys_count > args.len() as i64 - 3 {
            return Err("ERR Number of keys can't be greater than number of args".into());
        }
        if keys_count < 0 {
            return Err("ERR Number of keys can't be negative".into());
        }
        let (id, script) = self.find_script(entry, args)?;
        let is_readonly = entry.command.flags.has(Flags::READONLY);
        if is_readonly && !script.is_plain && !script.no_writes {
            return Err("ERR Can not execute a script with write flag using *_ro command.".into());
        }
        let may_not_grow = is_memory_short && !script.allows_oom;
        if may_not_grow && !script.is_plain {
            return Err(ABOVE_LIMIT.into());
        }
        Ok(Prepared {
            id,
            is_readonly: is_readonly || script.no_writes,
            script,
            may_not_grow,
            function: None,
            keys_count: keys_count as usize,
        })
    }

    #[inline]
    fn find_script(
        &mut self,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Result<(ScriptId, Script), CommandError> {
        let by_text = matches!(entry.command.run, Runs::Script(ScriptCommand::Text));
        let id = if by_text {
            self.id_of_text(args.get(1))
        } else {
            ScriptId::parse(args.get(1)).ok_or(CommandError::from(NO_SCRIPT))?
        };
        let script = match self.scripts.known.get_mut(&id) {
            Some(known) => {
                let scripts = &self.mesh.board().scripts;
                if known.text.is_evicted() {
                    // Whoever has run it here may name it by its digest from now on, on any core.
                    let again = match by_text {
                        true => Some(scripts.add(id, args.get(1), Source::Eval)),
                        false => scripts.add_again(id, &known.text),
                    };
                    if let Some(text) = again {
                        known.text = text;
                    }
                }
                scripts.touch(&known.text);
                known.script
            }
            None => self.learn(id, by_text.then(|| args.get(1)))?,
        };
        Ok((id, script))
    }

    /// The name of a text. That of one which is known is not worked out again: the texts are compared.
    #[inline]
    fn id_of_text(&mut self, body: &[u8]) -> ScriptId {
        let hash = self.hasher.hash(body);
        let Scripts { known, texts, .. } = &mut self.scripts;
        if let Some(id) = texts.get(&hash)
            && let Some(known) = known.get(id)
            && *known.text.body == *body
        {
            return *id;
        }
        if texts.len() > known.len() + KNOWN_SPARE {
            texts.clear();
        }
        let id = ScriptId::of(body);
        texts.insert(hash, id);
        id
    }

    /// Makes a script known to this core, and where it is new to all.
    #[cold]
    fn learn(&mut self, id: ScriptId, body: Option<&[u8]>) -> Result<Script, CommandError> {
        let (text, source) = match (self.mesh.board().scripts.get(&id), body) {
            (Some(found), _) => found,
            (None, Some(body)) => {
                self.compile(&id, body, Source::Eval)?;
                let scripts = &self.mesh.board().scripts;
                (scripts.add(id, body, Source::Eval), Source::Eval)
            }
            (None, None) => return Err(NO_SCRIPT.into()),
        };
        self.mesh.board().scripts.touch(&text);
        self.compile(&id, &text.body, source)?;
        self.count_scripts();
        let flags = self.scripts.engine.flags(&id).unwrap_or_default();
        let script = Script {
            stays: stays(&text.body),
            no_writes: flags.no_writes,
            allows_oom: flags.allow_oom || flags.no_writes,
            is_plain: flags.compatible,
            left: 0,
        };
        let Scripts {
            engine,
            known: all,
            learned_bytes,
            ..
        } = &mut self.scripts;
        *learned_bytes += text.body.len();
        let are_many = all.len() > engine.scripts_count() + KNOWN_SPARE;
        if are_many || *learned_bytes > SPARE_BYTES.max(engine.scripts_bytes()) {
            // What has made room for others, here and there, is nobody's but this core's.
            all.retain(|id, known| engine.exists(id) || !are_many && !known.text.is_evicted());
            *learned_bytes = 0;
        }
        let known = Known {
            text,
            source,
            script,
        };
        all.insert(id, known);
        Ok(script)
    }

    fn compile(&mut self, id: &ScriptId, body: &[u8], source: Source) -> Result<(), CommandError> {
        if self.scripts.engine.exists(id) {
            return Ok(());
        }
        let loaded = self.scripts.engine.load(body, source);
        loaded
            .map(|_| ())
            .map_err(|error| CommandError::Quoting(error.text().to_vec()))
    }

    pub(super) fn start_run(
        &mut self,
        prepared: &Prepared,
        origin: Origin,
        db: u16,
        caller: Caller,
        args: &Args<'_>,
    ) -> Result<Hosted, CommandError> {
        let keys_end = 3 + prepared.keys_count;
        let keys = args.part(3..keys_end);
        let argv = args.part(keys_end..args.len());
        let context = Context {
            protocol: caller.protocol,
            ..Context::default()
        };
        let id = &prepared.id;
        let engine = &mut self.scripts.engine;
        let found = match &prepared.function {
            None => engine.start(id, &keys, &argv, context),
            Some(name) => {
                let run = self.functions.engine().start(name, &keys, &argv, context);
                Some(run.ok_or(CommandError::from(NO_FUNCTION))?)
            }
        };
        let run = match found {
            Some(run) => run,
            None => {
                // The engine has let it go to make room.
                let known = self.scripts.known.get(id);
                let (text, source) = known
                    .map(|known| (known.text.clone(), known.source))
                    .ok_or(CommandError::from(NO_SCRIPT))?;
                self.compile(id, &text.body, source)?;
                let run = self.scripts.engine.start(id, &keys, &argv, context);
                run.ok_or(CommandError::from(NO_SCRIPT))?
            }
        };
        let now = self.clock.raw();
        Ok(Hosted {
            run,
            origin,
            caller: Caller {
                in_script: true,
                ..caller
            },
            db,
            is_readonly: prepared.is_readonly,
            stays: prepared.script.stays,
            has_written: false,
            is_in_block: false,
            has_emptied: false,
            may_not_grow: prepared.may_not_grow,
            began: now,
            is_busy: false,
            is_told: false,
            is_killed: false,
            words: OwnedArgs::new(),
            stamp: now,
            user: match caller.user {
                0 => None,
                serial => self.users.by_serial(serial).cloned(),
            },
            called: Vec::new(),
            slow: Vec::new(),
            denials: Vec::new(),
            wished: None,
        })
    }

    /// What a script or a function that can be run says of itself; none where it has no line for that.
    pub(super) fn declared_flags(
        &mut self,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<Script> {
        let found = match entry.command.run {
            Runs::Script(ScriptCommand::Function) => self.find_function(args.get(1)),
            _ => self.find_script(entry, args).map(|(_, script)| script),
        };
        found.ok().filter(|script| !script.is_plain)
    }

    /// Whether a block's scripts may touch keys that they do not declare.
    pub(super) fn may_leave(&mut self, queued: &Queued) -> bool {
        queued.entry.command.run.is_script()
            // One that is unknown now may be known when the block runs.
            && !self
                .prepare(queued.entry, &queued.args.as_args())
                .is_ok_and(|prepared| prepared.script.stays)
    }

    // ---- SCRIPT

    pub(super) fn script_request(&mut self, token: Token, request: NodeRequest) {
        match request {
            NodeRequest::ScriptLoad(body) => {
                let id = ScriptId::of(&body);
                if let Err(error) = self.compile(&id, &body, Source::Load) {
                    return self.fail_with(token, &error.line());
                }
                self.mesh.board().scripts.add(id, &body, Source::Load);
                self.complete(token, |out, session| {
                    Reply::new(out, session.protocol).bulk(id.as_bytes());
                });
            }
            NodeRequest::ScriptExists(names) => {
                let scripts = &self.mesh.board().scripts;
                let exists = |name: &Vec<u8>| {
                    ScriptId::parse(name).is_some_and(|id| scripts.get(&id).is_some())
                };
                let found: Vec<bool> = names.iter().map(exists).collect();
                self.complete(token, |out, session| {
                    let mut reply = Reply::new(out, session.protocol);
                    reply.array(found.len());
                    found
                        .iter()
                        .for_each(|&is_there| reply.integer(is_there.into()));
                });
            }
            NodeRequest::ScriptShow(name) => {
                let scripts = &self.mesh.board().scripts;
                let found = ScriptId::parse(&name).and_then(|id| scripts.get(&id));
                self.complete(token, |out, session| {
                    let mut reply = Reply::new(out, session.protocol);
                    match found {
                        Some((text, _)) => reply.bulk(&text.body),
                        None => reply.error(NOTHING_TO_SHOW),
                    }
                });
            }
            // Its block has waited for that.
            NodeRequest::ScriptFlush { is_lazy } if self.captured.contains_key(&token) => {
                self.flush_scripts_everywhere(token, is_lazy);
            }
            NodeRequest::ScriptFlush { is_lazy } => {
                self.prepare_change(token, Change::Flush { is_lazy });
            }
            _ => self.kill_script_anywhere(token, false),
        }
    }

    /// SCRIPT FLUSH, this core's part.
    pub(super) fn flush_scripts(&mut self) {
        self.scripts.engine.flush();
        self.scripts.known.clear();
        self.scripts.texts.clear();
    }
}
