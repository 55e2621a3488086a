//! What a script calls: what is refused, what is answered at once, and what takes more.
//!
//!     resume -> a call -> refused | answered here (TIME, SELECT, PUBSUB, SLOWLOG, a message to this core's subscribers)
//!                      -> a command on keys, a message to other cores, INFO, MEMORY: whoever runs the script sees to it
//!
//! Promises  the checks of Redis, in its order and its words, before any key is looked at.
//! Not here  running commands on keys: `node/script.rs`.
//! Tests     tests/server/scripts.rs.

use std::sync::atomic::Ordering;

use super::core::Core;
use super::script::Hosted;
use crate::commands::pubsub::PubSub;
use crate::commands::session::{MemoryRequest, SessionCall};
use crate::commands::table::{Run as Runs, table};
use crate::commands::{Action, CommandError, Entry, Flags, NodeRequest, Session};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Protocol, Reply};
use crate::router::calls::{Queued, SlowCall};
use crate::router::{Plan, TxId, plan};
use crate::script::{Answer, Step};
use crate::shard::scripts::InPlace;

/// What a script wants that cannot be answered at once.
pub(super) enum Wish {
    /// This command, which works on keys; its words are at hand.
    Call(&'static Entry),
    /// A message to other cores' subscribers.
    Publish(&'static Entry),
    /// INFO of these sections.
    Info(&'static Entry, Vec<Vec<u8>>),
    /// What MEMORY tells of all cores, or has them do.
    Memory(&'static Entry, MemoryRequest),
    /// Another turn.
    Turn,
    /// Nothing: this is its reply.
    Done(Vec<u8>),
}

impl Wish {
    /// The command whose reply the script waits for.
    pub(super) fn entry(&self) -> Option<&'static Entry> {
        match self {
            Self::Call(entry)
            | Self::Publish(entry)
            | Self::Info(entry, _)
            | Self::Memory(entry, _) => Some(entry),
            Self::Turn | Self::Done(_) => None,
        }
    }
}

impl Core {
    /// Runs a script until it wants something that takes more than this core's connection and clock.
    pub(super) fn advance(
        &mut self,
        hosted: &mut Hosted,
        answer: Answer<'_>,
        mut in_place: Option<&mut InPlace>,
    ) -> Wish {
        let mut step = hosted.run.resume(answer);
        let mut reply = Vec::new();
        loop {
            let answer = match step {
                Step::Done(reply) => return Wish::Done(reply),
                Step::Call { .. } => match self.judge(hosted, &mut in_place, &mut reply) {
                    Judged::Wish(wish) => return wish,
                    Judged::Answered => Answer::Reply(&reply),
                    Judged::Refused(text) => {
                        self.note_refused_call(hosted, text);
                        Answer::Error(text)
                    }
                    Judged::Denied => {
                        self.note_refused_call(hosted, &reply);
                        Answer::Error(&reply)
                    }
                },
                // It may be half a request: how many words it has does not matter.
                Step::AclCheck => match table().named(&hosted.run.words()) {
                    Some(entry) => {
                        let is_denied = self.denial_of_call(hosted, entry).is_some();
                        Answer::Allowed(!is_denied)
                    }
                    None => Answer::Error(b"Invalid command passed to redis.acl_check_cmd()"),
                },
                Step::Log(level) => {
                    log_line(level, hosted.run.log_text());
                    Answer::Begin
                }
                Step::Slow if self.is_over_time(hosted) => return Wish::Turn,
                Step::Slow => {
                    // What it takes by itself is no call's time.
                    hosted.stamp = self.clock.raw();
                    Answer::Begin
                }
            };
            step = hosted.run.resume(answer);
        }
    }

    /// What becomes of the command that a script calls.
    #[inline]
    fn judge(
        &mut self,
        hosted: &mut Hosted,
        in_place: &mut Option<&mut InPlace>,
        out: &mut Vec<u8>,
    ) -> Judged {
        let words = hosted.run.words();
        let entry = match table().resolve(&words) {
            Ok(entry) => entry,
            Err(CommandError::Arity(_)) => {
                return Judged::Refused(b"Wrong number of args calling Redis command from script");
            }
            Err(_) => return Judged::Refused(b"Unknown Redis command called from script"),
        };
        let flags = entry.command.flags;
        if flags.has(Flags::NOSCRIPT) && !self.allows_all_in_scripts(flags) {
            return Judged::Refused(NOT_FROM_SCRIPT);
        }
        if hosted.caller.user != 0
            && let Some(judged) = self.check_call(hosted, entry, out)
        {
            return judged;
        }
        if hosted.is_readonly && (flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE)) {
            return Judged::Refused(b"Write commands are not allowed from read-only scripts.");
        }
        // What has begun to write is to be whole.
        if hosted.may_not_grow && !hosted.has_written && flags.has(Flags::DENYOOM) {
            return Judged::Refused(OUT_OF_MEMORY);
        }
        if !hosted.has_written
            && !hosted.is_in_block
            && flags.has(Flags::WRITE)
            && let Some(error) = self.refusal_by_disk()
        {
            let line = error.line();
            out.clear();
            Reply::new(out, Protocol::Resp2).error_bytes(&line);
            return Judged::Answered;
        }
        hosted.has_written |= flags.has(Flags::WRITE);
        if self.monitored {
            let args = OwnedArgs::from_args(&hosted.run.words());
            hosted.called.push((
                hosted.db,
                Queued {
                    entry,
                    args,
                    denied: None,
                },
            ));
        }
        match entry.command.run {
            Runs::Keys(_) | Runs::Waits(_) => Judged::Wish(Wish::Call(entry)),
            Runs::PubSub(PubSub::Publish(_)) => self.judge_publish(hosted, entry, in_place, out),
            Runs::PubSub(what @ (PubSub::Names(_) | PubSub::Counts(_) | PubSub::PatternsCount)) => {
                self.call_of_pubsub(hosted, entry, what, out)
            }
            Runs::Session(run) => {
                let judged = self.call_of_session(hosted, entry, run, out);
                // As in Redis, a SELECT is shown where it leads.
                if self.monitored
                    && let Some((db, _)) = hosted.called.last_mut()
                {
                    *db = hosted.db;
                }
                judged
            }
            _ => Judged::Refused(NOT_FROM_SCRIPT),
        }
    }

    /// Counts a call that was refused; the script's own error is not counted besides.
    #[cold]
    fn note_refused_call(&mut self, hosted: &Hosted, text: &[u8]) {
        let line = match text.strip_prefix(b"-") {
            Some(line) => line.to_vec(),
            None => [b"ERR ", text].concat(),
        };
        let figures = self.shard.figures_mut();
        match table().named(&hosted.run.words()) {
            Some(entry) => figures.record_rejection(entry.index, &line),
            None => figures.record_error(&line),
        }
    }

    /// DEBUG SET-DISABLE-DENY-SCRIPTS; what is guarded for clients is guarded for their scripts.
    #[cold]
    fn allows_all_in_scripts(&self, flags: Flags) -> bool {
        self.mesh.board().scripts.allows_all.load(Ordering::Relaxed)
            && (!flags.has(Flags::PROTECTED) || self.options.debug_allowed(false))
    }

    fn judge_publish(
        &mut self,
        hosted: &mut Hosted,
        entry: &'static Entry,
        in_place: &mut Option<&mut InPlace>,
        out: &mut Vec<u8>,
    ) -> Judged {
        let Runs::PubSub(PubSub::Publish(subject)) = entry.command.run else {
            return Judged::Refused(NOT_FROM_SCRIPT);
        };
        if let Some(in_place) = in_place {
            if !in_place.stays && !in_place.has_token {
                in_place.has_token = self.try_take_token();
                if !in_place.has_token {
                    return Judged::Wish(Wish::Publish(entry));
                }
            }
            // What is sent cannot be taken back.
            in_place.has_written = true;
        }
        let publisher = hosted.client();
        match self.publish_here(publisher, &hosted.run.words(), subject) {
            None => Judged::Wish(Wish::Publish(entry)),
            Some(count) => {
                out.clear();
                Reply::new(out, Protocol::Resp2).integer(count as i64);
                self.count_call(hosted, entry);
                Judged::Answered
            }
        }
    }

    /// Runs a command that concerns a connection: the script's own.
    fn call_of_session(
        &mut self,
        hosted: &mut Hosted,
        entry: &'static Entry,
        run: SessionHandler,
        out: &mut Vec<u8>,
    ) -> Judged {
        let mut session = Session {
            protocol: hosted.run.protocol(),
            db: hosted.db,
            authenticated: true,
            no_touch: hosted.caller.no_touch,
            ..Session::default()
        };
        let mut call = SessionCall {
            session: &mut session,
            databases: self.options.databases as u16,
            zone: &self.options.availability_zone,
            users: &self.users,
            denied: None,
            now_ms: self.now_ms,
            now_us: self.now_us,
        };
        out.clear();
        let mut reply = Reply::new(out, hosted.run.protocol());
        let args = hosted.run.words();
        match run(&mut call, &entry.handler_args(&args), &mut reply) {
            Ok(Action::Done | Action::Close) => {}
            Ok(Action::Node(NodeRequest::Info(sections))) => {
                return Judged::Wish(Wish::Info(entry, sections));
            }
            Ok(Action::Node(NodeRequest::Memory(request))) => {
                return Judged::Wish(Wish::Memory(entry, request));
            }
            Ok(Action::Node(NodeRequest::CommandLog(log, request))) => {
                self.mesh.board().watch.answer(log, &request, &mut reply);
            }
            Ok(Action::Node(NodeRequest::Wait(request))) => {
                if let Err(text) = self.waited_for_disk(request, &mut reply) {
                    out.clear();
                    Reply::new(out, Protocol::Resp2).error_bytes(text.as_bytes());
                    self.shard
                        .figures_mut()
                        .record_failure(entry.index, text.as_bytes());
                }
            }
            Ok(Action::Node(NodeRequest::LastSave)) => {
                let last_save_s = &self.mesh.board().last_save_s;
                reply.integer(last_save_s.load(Ordering::Relaxed));
            }
            // Only where DEBUG SET-DISABLE-DENY-SCRIPTS lets it through: this core stands still, and the script's time with it.
            Ok(Action::Node(NodeRequest::DebugSleep(duration))) => {
                std::thread::sleep(duration);
                Reply::new(out, Protocol::Resp2).ok();
            }
            Ok(Action::Node(_)) => return Judged::Refused(NOT_FROM_SCRIPT),
            Err(error) => self.fail_call(entry, &error, out),
        }
        hosted.db = session.db;
        self.count_call(hosted, entry);
        Judged::Answered
    }

    /// Tells a script who is subscribed to what.
    fn call_of_pubsub(
        &mut self,
        hosted: &mut Hosted,
        entry: &'static Entry,
        what: PubSub,
        out: &mut Vec<u8>,
    ) -> Judged {
        out.clear();
        let mut reply = Reply::new(out, hosted.run.protocol());
        let args = hosted.run.words();
        if let Err(error) = self.write_subscribed(what, &entry.handler_args(&args), &mut reply) {
            self.fail_call(entry, &error, out);
        }
        self.count_call(hosted, entry);
        Judged::Answered
    }

    /// The reply to a call whose handler has failed.
    fn fail_call(&mut self, entry: &'static Entry, error: &CommandError, out: &mut Vec<u8>) {
        out.clear();
        let line = error.line();
        Reply::new(out, Protocol::Resp2).error_bytes(&line);
        self.shard.figures_mut().record_failure(entry.index, &line);
    }

    /// Counts a call that has been answered here, and looks how long it took.
    #[inline]
    pub(super) fn count_call(&mut self, hosted: &mut Hosted, entry: &'static Entry) {
        let now = self.clock.raw();
        let took_ns = self.clock.delta_as_nanos(hosted.stamp, now);
        hosted.stamp = now;
        self.shard
            .figures_mut()
            .record_of_script(entry.index, took_ns);
        if self.thresholds.concern(took_ns, 0) {
            self.note_slow_call(hosted, entry, took_ns);
        }
    }

    /// A call that was slow: told when the script is over, for it may have to begin anew.
    #[cold]
    pub(super) fn note_slow_call(
        &mut self,
        hosted: &mut Hosted,
        entry: &'static Entry,
        took_ns: u64,
    ) {
        let call = SlowCall::new(entry, took_ns, 0, &hosted.run.words());
        hosted.slow.push(call);
        if hosted.slow.len() >= SLOW_CALLS_MAX {
            self.tell_slow_calls(hosted);
        }
    }

    /// Notes what a script has called that was slow.
    #[cold]
    pub(super) fn tell_slow_calls(&mut self, hosted: &mut Hosted) {
        for call in std::mem::take(&mut hosted.slow) {
            self.note_call_of_script(call);
        }
    }

    /// The reply to what a script has wished for is here: looks how long that took.
    pub(super) fn look_at_granted(
        &mut self,
        hosted: &mut Hosted,
        entry: &'static Entry,
        took_ns: u64,
    ) {
        if hosted.slow.len() >= SLOW_CALLS_MAX {
            self.tell_slow_calls(hosted);
        }
        if !self.thresholds.concern(took_ns, 0) {
            return;
        }
        // The shard that has run it has told so, without the time that it had to wait for its turn.
        let is_told = entry.command.run.on_keys().is_some()
            && plan(entry, &hosted.run.words(), &self.map, self.id) != Plan::Many;
        if !is_told {
            self.note_slow_call(hosted, entry, took_ns);
        }
    }

    /// Does what takes other cores; the answer is reported to the transaction.
    pub(super) fn grant_wish(&mut self, tx: TxId, hosted: &Hosted, wish: Wish) {
        match wish {
            Wish::Publish(entry) => {
                if let Runs::PubSub(PubSub::Publish(subject)) = entry.command.run {
                    self.shard.record(entry.index, 0);
                    let publisher = hosted.client();
                    self.publish_queued(publisher, tx, &hosted.run.words(), subject);
                }
            }
            Wish::Info(entry, sections) => {
                self.shard.record(entry.index, 0);
                self.info_for_script(tx, hosted.run.protocol(), sections);
            }
            Wish::Memory(entry, request) => {
                self.shard.record(entry.index, 0);
                self.memory_for_script(tx, hosted.run.protocol(), request);
            }
            _ => {}
        }
    }
}

type SessionHandler =
    fn(&mut SessionCall<'_>, &Args<'_>, &mut Reply<'_>) -> Result<Action, CommandError>;

/// So many slow calls of a script are kept until it is over.
const SLOW_CALLS_MAX: usize = 128;

const OUT_OF_MEMORY: &[u8] = b"-OOM command not allowed when used memory > 'maxmemory'.";
const NOT_FROM_SCRIPT: &[u8] = b"This Redis command is not allowed from script";

/// What becomes of a call before any key is looked at.
pub(super) enum Judged {
    /// It is refused with this text.
    Refused(&'static [u8]),
    /// Its user may not, for the reason at hand.
    Denied,
    /// Its reply is at hand.
    Answered,
    /// It takes more.
    Wish(Wish),
}

pub(super) fn log_line(level: u8, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        0 => tracing::trace!("{text}"),
        1 => tracing::debug!("{text}"),
        2 => tracing::info!("{text}"),
        _ => tracing::warn!("{text}"),
    }
}
