//! What commands know of a connection, and what they may ask of the node.
//!
//! Promises  everything a client may send is parsed and checked here, in the error texts of Redis; the node gets typed
//!           requests that cannot be malformed.
//! Not here  sockets, clocks, the option table: `node/`.

use super::acl::log::{Context, Denial};
use super::acl::rows::AclRequest;
use super::acl::{Reason, User, Users};
use super::client_filter::ClientFilter;
use super::client_tracking::{ClientTracking, TrackingOptions};
use super::commandlog::Log;
use super::himport::Fieldsets;
use super::hotkeys::HotKeysRequest;
use super::slowlog::{LatencyRequest, SlowlogRequest};
use super::wait::WaitRequest;
use super::{CommandError, Entry, Flags};
use crate::resp::Protocol;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A connection's state as commands see it; the node owns the socket behind it. What every request looks at comes first.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Session {
    /// Selected database.
    pub db: u16,
    /// The protocol of its replies.
    pub protocol: Protocol,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// It must say who it is first: AUTH has not succeeded, and the user `default` is not open (now).
    pub is_stranger: bool,
    /// What it asks for must be checked first: it is a stranger, or its user has not every right.
    pub is_guarded: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT CAPA REDIRECT: it could be sent elsewhere, which nothing here does.
    pub can_redirect: bool,
    /// Subscribed to something.
    pub subscribed: bool,
    /// MONITOR.
    pub monitoring: bool,
    /// AUTH has succeeded, or none was needed when it connected.
    pub authenticated: bool,
    /// CLIENT ID.
    pub id: u64,
    /// CLIENT TRACKING, while it is on.
    pub tracking: Option<Box<ClientTracking>>,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO lib-name, lib-ver.
    pub lib_name: Vec<u8>,
    /// See `lib_name`.
    pub lib_ver: Vec<u8>,
    /// Whose rights it has.
    pub user: Arc<User>,
    /// HIMPORT PREPARE.
    pub fieldsets: Option<Box<Fieldsets>>,
    /// REPLCONF rdb-only: it wants a copy of what there is, and nothing that comes after that.
    pub wants_copy_only: bool,
    /// REPLCONF rdb-filter-only: what that is to have.
    pub copy_parts: CopyParts,
}

/// What a copy is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyParts {
    /// Keys and functions.
    #[default]
    All,
    /// Functions alone.
    Functions,
    /// A file with nothing in it.
    Nothing,
}

/// What CLIENT REPLY has set, one bit each. EXEC is one command with all that its block runs: a reply that is kept back is
/// missing in the array, and a SKIP is for what comes after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyMode(u8);

impl ReplyMode {
    /// Replies are sent.
    pub const ON: Self = Self(0);
    /// No reply is sent until ON.
    pub const OFF: Self = Self(1);
    /// The next command's reply is not sent.
    pub const SKIP_NEXT: Self = Self(2);
    /// The command that is running, or was the last to run, is one whose reply is not sent.
    const SKIPS: Self = Self(4);

    /// A command begins: whether its reply is kept back.
    #[inline]
    pub fn begin(&mut self) -> bool {
        if *self == Self::ON {
            return false;
        }
        let skips = self.has(Self::SKIP_NEXT);
        self.0 &= Self::OFF.0;
        if skips {
            self.0 |= Self::SKIPS.0;
        }
        *self != Self::ON
    }

    /// ON, which answers even where its own reply was to be kept back. What it does not end is a SKIP of the same block.
    pub fn turn_on(&mut self) {
        self.0 &= Self::SKIP_NEXT.0;
    }

    /// OFF.
    pub fn turn_off(&mut self) {
        self.0 |= Self::OFF.0;
    }

    /// SKIP: one that is itself to be skipped asks for the next all the same.
    pub fn skip_next(&mut self) {
        if !self.has(Self::OFF) {
            self.0 |= Self::SKIP_NEXT.0;
        }
    }

    /// RESET, whose own reply SKIP still keeps back; after OFF it is the first that is sent.
    pub fn reset(&mut self) {
        self.0 &= Self::SKIPS.0;
    }

    /// Whether what the running command replies from here on is kept back.
    pub fn is_silent(self) -> bool {
        self.has(Self::OFF) || self.has(Self::SKIPS)
    }

    /// Between commands: whether what is sent now is.
    #[inline]
    pub fn sends(self) -> bool {
        !self.has(Self::OFF) && !self.has(Self::SKIP_NEXT)
    }

    /// The mode for a command within the running one, which begins by itself.
    pub fn within(self) -> Self {
        match self.is_silent() {
            true => Self::SKIP_NEXT,
            false => Self::ON,
        }
    }

    #[inline]
    fn has(self, bit: Self) -> bool {
        self.0 & bit.0 != 0
    }
}

impl Default for Session {
    fn default() -> Self {
        static USER: OnceLock<Arc<User>> = OnceLock::new();
        Self {
            id: 0,
            protocol: Protocol::default(),
            db: 0,
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_ver: Vec::new(),
            user: USER.get_or_init(Arc::default).clone(),
            authenticated: false,
            is_stranger: false,
            is_guarded: false,
            no_touch: false,
            no_evict: false,
            can_redirect: false,
            reply_mode: ReplyMode::default(),
            subscribed: false,
            monitoring: false,
            fieldsets: None,
            tracking: None,
            wants_copy_only: false,
            copy_parts: CopyParts::default(),
        }
    }
}

impl Session {
    /// Takes note of what the users are now, or of another user of its own.
    pub fn look_at_users(&mut self, users: &Users) {
        self.is_stranger = !self.authenticated && !users.default_user().is_open();
        self.is_guarded = self.is_stranger || !self.user.is_unrestricted();
    }

    /// The session of a client that has just connected.
    pub fn greet(&mut self, users: &Users) {
        self.user = users.default_user().clone();
        self.authenticated = self.user.is_open();
        self.look_at_users(users);
    }
}

/// What a session command works with.
pub struct SessionCall<'a> {
    /// The connection's state.
    pub session: &'a mut Session,
    /// Databases configured.
    pub databases: u16,
    /// `availability-zone`, empty for none.
    pub zone: &'a str,
    /// All users.
    pub users: &'a Users,
    /// A user it was not allowed to be, to be logged.
    pub denied: Option<Denial>,
    /// Milliseconds since the epoch, for the whole batch.
    pub now_ms: i64,
    /// Microseconds since the epoch (TIME).
    pub now_us: i64,
}

/// What happens after a session command.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // A filter is large, and asked for a few times a day.
pub enum Action {
    /// The reply is written; nothing else to do.
    Done,
    /// Send the reply, then close (QUIT).
    Close,
    /// The node must act and write the reply itself.
    Node(NodeRequest),
}

/// What MEMORY asks of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRequest {
    /// STATS: a map.
    Stats,
    /// DOCTOR: a text.
    Doctor,
    /// MALLOC-STATS: a text.
    Allocator,
    /// PURGE: OK, once every core has done it.
    Purge,
}

/// What FUNCTION asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionRequest {
    /// The library's name, or why it is none.
    Load {
        /// Its text.
        code: Vec<u8>,
        /// One of its name may go.
        replace: bool,
    },
    /// OK, if there is one of that name.
    Delete(Vec<u8>),
    /// OK.
    Flush {
        /// ASYNC or SYNC was said.
        is_lazy: Option<bool>,
    },
    /// The payload.
    Dump,
    /// OK, or why not.
    Restore {
        /// What FUNCTION DUMP gave.
        payload: Vec<u8>,
        /// What becomes of those that are there.
        policy: RestorePolicy,
    },
    /// What runs, and how many libraries and functions there are.
    Stats,
    /// Libraries and their functions.
    List {
        /// Names to be told; all without.
        pattern: Option<Vec<u8>>,
        /// Their texts, too.
        with_code: bool,
    },
    /// OK, or why nothing was ended.
    Kill,
}

/// What FUNCTION RESTORE does with libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePolicy {
    /// They go.
    Flush,
    /// They stay.
    Append,
    /// Those of the same names go.
    Replace,
}

/// How long the largest reply of a client is remembered, unless DEBUG REPLYBUFFER says otherwise.
pub const REPLY_PEAK_MS: i64 = 5000;

/// What DEBUG's subcommands want of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugRequest {
    /// PAUSE-CRON.
    PauseTicks(bool),
    /// REPLYBUFFER PEAK-RESET-TIME, in milliseconds.
    ResetReplyPeaks(i64),
    /// REPLYBUFFER RESIZING.
    ResizeReplyBuffers(bool),
    /// CONFIG-REWRITE-FORCE-ALL.
    RewriteWholeConfig,
}

/// What only the node can do. Parsed and checked here, carried out and answered in `node/`.
#[derive(Debug, PartialEq)]
pub enum NodeRequest {
    /// What concerns users.
    Acl(AclRequest),
    /// CLIENT LIST: a verbatim string (`txt`) of one row per client that matches.
    ClientList(ClientFilter),
    /// CLIENT TRACKING ON.
    Track {
        /// What was asked for.
        options: TrackingOptions,
        /// The prefixes that were named; `\"\"` where BCAST came with none.
        prefixes: Vec<Vec<u8>>,
    },
    /// CLIENT TRACKING OFF.
    Untrack,
    /// CLIENT INFO: a verbatim string of this client's row.
    ClientInfo,
    /// CLIENT KILL with filters: the number of clients killed. Where the asker is among them its reply is sent first.
    ClientKill(ClientFilter),
    /// CLIENT KILL addr:port: OK, or `ERR No such client`.
    ClientKillAddr(Vec<u8>),
    /// CLIENT PAUSE: OK. A pause may only become longer and stricter until it ends.
    ClientPause {
        /// When it ends, in milliseconds since the epoch.
        until_ms: i64,
        /// Only commands that may write wait (WRITE); all do otherwise.
        writes_only: bool,
    },
    /// CLIENT UNBLOCK: 1 if the client waited for a key and does so no more.
    ClientUnblock {
        /// The client.
        id: u64,
        /// It is answered with an error, not as if its time were up.
        is_error: bool,
    },
    /// CLIENT UNPAUSE: OK.
    ClientUnpause,
    /// CONFIG GET patterns: a map.
    ConfigGet(Vec<Vec<u8>>),
    /// CONFIG SET pairs: OK or the error, all or none.
    ConfigSet(Vec<(Vec<u8>, Vec<u8>)>),
    /// CONFIG REWRITE: OK, or the error; the file is then as it was.
    ConfigRewrite,
    /// CONFIG RESETSTAT: OK.
    ConfigResetStat,
    /// INFO sections as given; empty for the default ones. A verbatim string (`txt`).
    Info(Vec<Vec<u8>>),
    /// DEBUG's own: OK, or the error.
    Debug(DebugRequest),
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: OK.
    AllowAllInScripts(bool),
    /// SCRIPT LOAD: the script's SHA-1, or why it is none.
    ScriptLoad(Vec<u8>),
    /// SCRIPT EXISTS: 1 or 0 for each SHA-1.
    ScriptExists(Vec<Vec<u8>>),
    /// SCRIPT SHOW: the text of the script with this SHA-1, or that there is none.
    ScriptShow(Vec<u8>),
    /// SCRIPT FLUSH: OK.
    ScriptFlush {
        /// ASYNC or SYNC was said.
        is_lazy: Option<bool>,
    },
    /// SCRIPT KILL: OK, or why nothing was ended.
    ScriptKill,
    /// MEMORY STATS and the like.
    Memory(MemoryRequest),
    /// FUNCTION.
    Function(FunctionRequest),
    /// SLOWLOG.
    CommandLog(Log, SlowlogRequest),
    /// LATENCY.
    Latency(LatencyRequest),
    /// HOTKEYS.
    HotKeys(HotKeysRequest),
    /// MONITOR: OK, then lines.
    Monitor,
    /// SHUTDOWN; no reply where it succeeds.
    Shutdown {
        /// SAVE or NOSAVE where one was given.
        save: Option<bool>,
        /// Do not wait for replicas.
        now: bool,
        /// Go on where saving fails.
        force: bool,
        /// Cancel a shutdown in progress.
        abort: bool,
    },
    /// A snapshot: OK or what the request says, or the error.
    Save(SaveRequest),
    /// BACKUP: OK, what there is to tell, or the error.
    Backup(BackupRequest),
    /// SYNC: a snapshot's file as a bulk string without an end of its line, after which the connection is closed.
    Copy(CopyParts),
    /// WAIT and WAITAOF: an integer, or two.
    Wait(WaitRequest),
    /// LASTSAVE: an integer.
    LastSave,
    /// RESET: the session is as new; leave pub/sub, MULTI and monitors, then `+RESET`.
    Reset,
    /// DEBUG SLEEP: the whole server stands still that long, then OK.
    DebugSleep(Duration),
    /// DEBUG LOG: the text is in the log, then OK.
    DebugLog(String),
}

impl SessionCall<'_> {
    /// Becomes another user.
    pub fn authenticate(
        &mut self,
        command: &[u8],
        name: &[u8],
        password: &[u8],
    ) -> Result<(), CommandError> {
        let Some(user) = self.users.authenticate(name, password) else {
            self.denied = Some(Denial {
                reason: Reason::Auth,
                context: Context::TopLevel,
                object: command.to_vec(),
                user: name.to_vec(),
            });
            return Err("WRONGPASS invalid username-password pair or user is disabled.".into());
        };
        self.session.user = user.clone();
        self.session.authenticated = true;
        self.session.look_at_users(self.users);
        Ok(())
    }
}

/// What BACKUP is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupRequest {
    /// OK when it is settled that there will be one.
    Start,
    /// OK when all of it is on disk.
    Seal,
    /// The paths of files that change no more.
    List,
    /// A map of texts.
    Status,
    /// OK when the files of one that is not sealed are gone.
    Abort,
    /// OK when the files of one that is sealed or has failed are gone.
    Cleanup,
}

/// Who wants a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveRequest {
    /// BGSAVE: `Background saving started`, when what is to be saved is settled.
    Background {
        /// SCHEDULE: where a rewriting goes on, after it.
        may_wait: bool,
    },
    /// BGSAVE in a block, whose own locks are in the way of it: `Background saving scheduled`.
    Scheduled,
    /// BGSAVE CANCEL: what BGSAVE has begun, or is to begin, is not wanted any more.
    Cancel,
    /// SAVE: OK when it is on disk.
    Wait,
    /// SYNC: its file, when it is on disk.
    Copy,
    /// FLUSHALL has emptied all: OK when a snapshot of that is on disk, or cannot be made.
    Emptied,
    /// DEBUG LOADAOF: OK when the keys are those of the append-only log.
    LoadLog,
    /// BGREWRITEAOF: `Background append only file rewriting started`, or `scheduled`.
    Rewrite {
        /// In a block, whose own locks are in the way of it.
        is_in_block: bool,
    },
    /// DEBUG RELOAD: OK when what was saved is loaded again.
    Reload {
        /// What there is is saved first.
        saves: bool,
        /// What there is goes before the file is loaded.
        flushes: bool,
        /// Keys that are there already are replaced by the file's.
        replaces: bool,
    },
}

/// Whether a word that is no command is a line of an HTTP request.
///
/// A web page can make a browser post to this server; its connection must end before the body is read as commands.
pub fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}

/// Why a command may not run before AUTH: None where it may.
#[inline]
pub fn needs_auth(entry: &Entry, session: &Session) -> Option<CommandError> {
    if !session.is_stranger || entry.command.flags.has(Flags::NO_AUTH) {
        return None;
    }
    Some("NOAUTH Authentication required.".into())
}

/// Why a command may not run for a client that is subscribed: None where it may. Before RESP3 what follows on such a
/// connection would be taken for a message.
#[inline]
pub fn needs_silence(entry: &Entry, session: &Session) -> Option<CommandError> {
    if !session.subscribed
        || session.protocol != Protocol::Resp2
        || entry.command.flags.has(Flags::WHILE_SUBSCRIBED)
    {
        return None;
    }
    let name = match entry.full_name.split_once('|') {
        // DEBUG is one command to Redis.
        Some((container, _)) if !entry.is_visible() => container,
        _ => entry.full_name,
    };
    Some(CommandError::quoting(
        "ERR Can't execute '",
        name.as_bytes(),
        "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
    ))
}

/// Why a command may not run for a client that monitors: None where it may. Redis counts such clients as replicas.
#[inline]
pub fn needs_no_keys(entry: &Entry, session: &Session) -> Option<CommandError> {
    let flags = entry.command.flags;
    let touches_keys = flags.has(Flags::READONLY)
        || flags.has(Flags::WRITE)
        || flags.has(Flags::MAY_REPLICATE)
        || entry.command.run.is_script();
    (session.monitoring && touches_keys)
        .then(|| "ERR Replica can't interact with the keyspace".into())
}

/// Why a protected command (DEBUG) may not run: None where it may.
///
/// - `allowed`: what `enable-debug-command` says for this connection.
#[inline]
pub fn needs_permission(entry: &Entry, allowed: bool) -> Option<CommandError> {
    if allowed || !entry.command.flags.has(Flags::PROTECTED) {
        return None;
    }
    Some(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from \
         a local connection, otherwise you need to set this option in the configuration file, and then restart the \
         server."
            .into(),
    )
}
