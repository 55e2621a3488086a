//! Requests only the node can serve, and questions one core asks all of them.
//!
//!     CLIENT UNBLOCK on core 2 -> Ask to every core, itself included -> Answers -> one reply
//!
//! Promises  the asking connection waits for nothing but its own answers; changes of the options go through core 0, one
//!           at a time, and are in force on every core before the reply.
//! Not here  what a core answers: `node/asked.rs`. CLIENT LIST and CLIENT KILL: `node/search.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::acl::{UserChange, use_users_question};
use super::block_logs::Ended;
use super::client_row::{Place, row};
use super::clients;
use super::copies::{NO_COPY, Source};
use super::core::{Core, ask_core, every_core};
use super::figures::{CoreFigures, Wanted};
use super::filing::Filing;
use super::hot_keys::HotKeysSession;
use super::http::{Figures, Shown};
use super::info::{self, Told};
use super::library_changes::{Change, Changing};
use super::message::{Answer, Message, Question};
use super::options::config_get;
use super::rewrite::NewLog;
use super::ring::Token;
use super::saving::Emptied;
use super::search::Search;
use super::stopping::Wish;
use super::waiting::End;
use crate::commands::NodeRequest;
use crate::commands::acl::Users;
use crate::commands::acl::log::AclLog;
use crate::commands::client_filter::ClientFilter;
use crate::commands::client_tracking::TrackingOptions;
use crate::commands::session::MemoryRequest;
use crate::commands::session::SaveRequest;
use crate::commands::slowlog::LatencyRequest;
use crate::resp::{Protocol, Reply};
use crate::router::TxId;

/// A sleep longer than the clock can tell ends after this.
const LONG_SLEEP: Duration = Duration::from_secs(u32::MAX as u64);

/// A question under way.
pub struct Gather {
    asker: Asker,
    waiting_count: usize,
    answers: Vec<Answer>,
    pub(super) purpose: Purpose,
}

/// Who gets the result.
pub(super) enum Asker {
    Connection(Token),
    /// A script, whose replies are in this protocol.
    Script(TxId, Protocol),
    /// Another core's question, answered when this one is, with this.
    Core {
        core: usize,
        id: u64,
        answer: Answer,
    },
    /// A thread of the HTTP port, which is sent what it shows.
    Http(SyncSender<Figures>, Shown),
    /// The log, at the levels that tell of more.
    Log,
    Nobody,
    /// A shutdown that saves first.
    Stop,
    /// DEBUG RELOAD or DEBUG LOADAOF, before which writes end.
    Reload,
    /// A rewriting of the logs, about to begin.
    Rewrite,
    /// DEBUG LOADAOF, whose logs go to the disk.
    LoadLog,
    /// A backup, about to be sealed.
    Seal,
}

/// What the answers become.
pub(super) enum Purpose {
    Ok,
    /// What the client may know of has been told: its request goes on.
    Told,
    /// CLIENT LIST and CLIENT KILL.
    Search(Box<Search>),
    Count,
    KillScript,
    /// FUNCTION STATS: no core is in the midst of a function that it has told nobody of.
    FunctionStats,
    Info(Vec<Vec<u8>>),
    Memory(MemoryRequest),
    /// LATENCY HISTOGRAM of these commands.
    Histogram(Vec<Vec<u8>>),
    Monitor,
    HotKeys(Box<HotKeysSession>),
    Configure,
    /// A block or a script with FLUSHALL in it, whose reply waits for the empty file.
    Emptied(Box<Emptied>),
    /// A block whose reply waits for the logs.
    LogsOfBlock(Box<Ended>),
    /// A change of the users: they are in force on every core.
    Users,
    /// And nothing that was checked by the old ones is on its way; a number that is the reply.
    UsersArrived(Option<usize>),
    /// ACL LOG, so many entries.
    AclLog(usize),
    /// CLIENT TRACKING REDIRECT: the client is known to be there.
    Redirect(TrackingOptions, Vec<Vec<u8>>),
    /// CLIENT PAUSE: every core lets no more writes begin.
    Pause,
    /// Those that had begun are where they run, or wait there.
    PauseArrived,
    /// A change of libraries.
    Libraries(Change, Option<Changing>),
    Save,
    /// SYNC.
    Copy,
    Stop,
}

impl Core {
    /// Carries out what a session command asked of the node; the connection is blocked until the reply is written.
    pub fn node_request(&mut self, token: Token, request: NodeRequest) {
        let asker = Asker::Connection(token);
        match request {
            NodeRequest::Acl(request) => self.acl_request(token, request),
            NodeRequest::ClientInfo => self.client_info(token),
            NodeRequest::ClientList(filter) => self.list(token, filter),
            NodeRequest::ClientKill(filter) => self.kill(token, filter, false),
            NodeRequest::ClientKillAddr(address) => {
                let filter = ClientFilter::by_address(&address);
                self.kill(token, filter, true);
            }
            NodeRequest::ClientPause {
                until_ms,
                writes_only,
            } => {
                self.ask_all(
                    asker,
                    Purpose::Pause,
                    Question::Pause {
                        until_ms,
                        writes_only,
                    },
                );
            }
            NodeRequest::ClientUnblock { id, is_error } => {
                let end = if is_error { End::Error } else { End::Timeout };
                self.ask_all(asker, Purpose::Count, Question::Unblock { id, end });
            }
            NodeRequest::ClientUnpause => self.ask_all(asker, Purpose::Ok, Question::Unpause),
            NodeRequest::ConfigGet(patterns) => {
                let pairs = config_get(&self.options, &patterns);
                self.complete(token, |out, session| {
                    let mut reply = Reply::new(out, session.protocol);
                    reply.map(pairs.len());
                    for (name, value) in &pairs {
                        reply.bulk(name.as_bytes());
                        reply.bulk(value.as_bytes());
                    }
                });
            }
            NodeRequest::ConfigSet(pairs) => {
                let connection = self.connections.get_mut(token);
                let is_local = connection.is_some_and(|connection| connection.peer.is_local());
                let question = Question::Configure {
                    pairs,
                    is_local,
                    is_in_block: self.captured.contains_key(&token),
                };
                self.ask(0, asker, Purpose::Configure, question);
            }
            NodeRequest::ConfigRewrite => {
                if self.config_file.is_empty() {
                    return self.fail(token, NO_CONFIG_FILE);
                }
                self.ask_for_filing(token, Filing::RewriteConfig);
            }
            NodeRequest::ConfigResetStat => {
                self.ask_all(asker, Purpose::Ok, Question::ResetStatistics)
            }
            NodeRequest::Info(sections) => self.ask_for_info(asker, sections),
            NodeRequest::CommandLog(log, request) => self.command_log(token, log, &request),
            NodeRequest::Latency(LatencyRequest::Histogram(names)) => {
                let question = Question::Figures(Wanted::DURATIONS);
                self.ask_all(asker, Purpose::Histogram(names), question);
            }
            NodeRequest::Latency(request) => self.latency(token, &request),
            NodeRequest::HotKeys(request) => self.hot_keys_request(token, request),
            NodeRequest::Monitor if self.captured.contains_key(&token) => {
                self.fail(token, "ERR MONITOR isn't allowed for DENY BLOCKING client");
            }
            NodeRequest::Monitor => {
                self.prepare_monitor();
                self.ask_all(asker, Purpose::Monitor, Question::LookAtMonitors);
            }
            NodeRequest::Memory(request) => self.ask_for_memory(asker, request),
            NodeRequest::Track { options, prefixes } => self.track(token, options, prefixes),
            NodeRequest::Untrack => self.untrack(token),
            NodeRequest::Reset => {
                self.end_monitor(token);
                self.end_tracking(token);
                self.drop_subscriptions(token);
                self.forget_block(token);
                self.complete(token, |out, session| {
                    Reply::new(out, session.protocol).simple("RESET");
                });
            }
            NodeRequest::DebugLog(text) => {
                tracing::warn!("DEBUG LOG: {text}");
                self.complete(token, |out, session| Reply::new(out, session.protocol).ok());
            }
            NodeRequest::DebugSleep(duration) => {
                let now = Instant::now();
                let until = now.checked_add(duration).unwrap_or(now + LONG_SLEEP);
                self.ask_all(asker, Purpose::Ok, Question::Sleep(until));
            }
            NodeRequest::Debug(request) => self.debug_request(token, request),
            NodeRequest::AllowAllInScripts(allows_all) => {
                let flag = &self.mesh.board().scripts.allows_all;
                flag.store(allows_all, Ordering::Relaxed);
                self.complete(token, |out, session| Reply::new(out, session.protocol).ok());
            }
            NodeRequest::ScriptLoad(_)
            | NodeRequest::ScriptExists(_)
            | NodeRequest::ScriptShow(_)
            | NodeRequest::ScriptFlush { .. }
            | NodeRequest::ScriptKill => self.script_request(token, request),
            NodeRequest::Function(request) => self.function_request(token, request),
            NodeRequest::Shutdown {
                save, abort, force, ..
            } => self.shutdown_request(token, save, force, abort),
            NodeRequest::Wait(request) => self.wait_for_disk(token, request),
            NodeRequest::Save(request) => self.save_request(token, request),
            NodeRequest::Backup(request) => self.backup_request(token, request),
            NodeRequest::Copy(parts) => self.copy_request(token, parts),
            NodeRequest::LastSave => {
                let last_s = self.mesh.board().last_save_s.load(Ordering::Relaxed);
                self.complete(token, |out, session| {
                    Reply::new(out, session.protocol).integer(last_s);
                });
            }
        }
    }

    /// Asks all cores for those who wait on the HTTP port; once a tick of core 0.
    pub(super) fn answer_http(&mut self) {
        for (sender, shown) in self.questions.take() {
            let sections = shown.sections();
            let (_, wanted) = info::wanted(&sections);
            let wanted = match shown {
                Shown::Page => wanted.or(Wanted::HOT),
                _ => wanted,
            };
            self.ask_all(
                Asker::Http(sender, shown),
                Purpose::Info(sections),
                Question::Figures(wanted),
            );
        }
    }

    /// SHUTDOWN and signals: all cores drain and end. Asking again changes nothing: the end has its deadline.
    pub fn ask_all_to_stop(&mut self) {
        let drain = std::time::Duration::from_secs(self.options.shutdown_timeout.max(0) as u64);
        if self.ending.begin(drain) {
            tracing::info!("User requested shutdown...");
            self.ask_all(Asker::Nobody, Purpose::Ok, Question::Shutdown);
        }
    }

    fn save_request(&mut self, token: Token, request: SaveRequest) {
        // A script that runs for long would keep it, and whoever asked, waiting.
        if let Some(busy) = self.mesh.board().busy_scripts.all().first() {
            return self.fail(token, busy.text());
        }
        // What a block has locked would be in the way of the cut that its reply waits for.
        let is_in_block = self.captured.contains_key(&token);
        let request = match request {
            SaveRequest::Background { .. } if is_in_block => SaveRequest::Scheduled,
            SaveRequest::Rewrite { .. } => SaveRequest::Rewrite { is_in_block },
            SaveRequest::LoadLog if is_in_block => {
                return self.fail(token, "ERR DEBUG LOADAOF cannot run inside MULTI");
            }
            SaveRequest::Reload { .. } if is_in_block => {
                return self.fail(token, "ERR DEBUG RELOAD cannot run inside MULTI");
            }
            request => request,
        };
        let asker = Asker::Connection(token);
        self.ask(0, asker, Purpose::Save, Question::Save(request));
    }

    fn shutdown_request(&mut self, token: Token, save: Option<bool>, force: bool, abort: bool) {
        if abort {
            // As in Redis, what a shutdown saves is not given up for one who cancels it.
            return self.fail(token, "ERR No shutdown in progress.");
        }
        if save != Some(false)
            && let Some(busy) = self.mesh.board().busy_scripts.all().first()
        {
            return self.fail(token, busy.text());
        }
        let question = Question::Stop(Wish {
            saves: save,
            is_forced: force,
        });
        self.ask(0, Asker::Connection(token), Purpose::Stop, question);
    }

    /// Core 0, before what `asker` saves or loads: no more writes begin, and those that have begun end.
    pub(super) fn hold_writes_for(&mut self, asker: Asker) {
        self.ask_all(asker, Purpose::Pause, Question::HoldWrites(true));
    }

    /// Each asker by itself: a shutdown may come while a reload waits.
    fn go_on_holding(&mut self, asker: Asker, purpose: &Purpose) {
        match (purpose, &asker) {
            (Purpose::Pause, _) => {
                self.ask_all(asker, Purpose::PauseArrived, Question::HasArrived);
            }
            (Purpose::PauseArrived, _) => {
                self.ask_all(asker, Purpose::Ok, Question::WritesHaveEnded);
            }
            (_, Asker::Stop) => self.save_before_stop(),
            _ if self.saving.reload_log.is_some() => self.sync_logs(),
            _ => self.reload_without_writes(),
        }
    }

    /// Core 0: the logs are to be loaded, so all of them goes to the disk first.
    pub(super) fn sync_logs(&mut self) {
        self.ask_all(Asker::LoadLog, Purpose::Ok, Question::SyncLog);
    }

    /// Core 0: logs are about to be cut.
    pub(super) fn ask_all_to_prepare(&mut self, new: Option<NewLog>) {
        self.ask_all(Asker::Rewrite, Purpose::Ok, Question::PrepareLog(new));
    }

    /// Core 0: a base is in force.
    pub(super) fn ask_all_to_drop_segments(&mut self) {
        self.ask_all(Asker::Nobody, Purpose::Ok, Question::DropSegments);
    }

    /// Writes may begin again on all cores, unless something else of the server's own keeps them waiting.
    pub(super) fn unpause_all(&mut self) {
        if !self.is_stopping_to_save() && !self.saving.is_loading_anew() {
            self.ask_all(Asker::Nobody, Purpose::Ok, Question::HoldWrites(false));
        }
    }

    pub(super) fn ask_for_acl_log(&mut self, token: Token, count: usize) {
        let asker = Asker::Connection(token);
        self.ask_all(asker, Purpose::AclLog(count), Question::AclLog);
    }

    pub(super) fn ask_to_reset_acl_log(&mut self, token: Token) {
        self.ask_all(Asker::Connection(token), Purpose::Ok, Question::ResetAclLog);
    }

    /// - `client`: whose connection that is.
    pub(super) fn ask_for_users(&mut self, token: Token, change: UserChange, client: u64) {
        let question = Question::ChangeUsers { change, client };
        self.ask(0, Asker::Connection(token), Purpose::Users, question);
    }

    /// Asks core 0 to read or write a file.
    pub(super) fn ask_for_filing(&mut self, token: Token, filing: Filing) {
        let connection = self.connections.get_mut(token);
        let client = connection.map_or(0, |connection| connection.session.id);
        let question = Question::File { filing, client };
        let purpose = match filing {
            Filing::LoadUsers => Purpose::Users,
            Filing::SaveUsers | Filing::RewriteConfig | Filing::RewriteWholeConfig => {
                Purpose::Configure
            }
        };
        self.ask(0, Asker::Connection(token), purpose, question);
    }

    /// Answers a node request with an error.
    pub(super) fn fail(&mut self, token: Token, text: &str) {
        self.fail_with(token, text.as_bytes());
    }

    pub(super) fn fail_with(&mut self, token: Token, text: &[u8]) {
        let connection = self.connections.get_mut(token);
        let asked = connection.and_then(|connection| connection.asked.as_ref());
        if let Some(asked) = asked {
            self.shard
                .figures_mut()
                .record_failure(asked.entry.index, text);
        }
        self.complete(token, |out, session| {
            Reply::new(out, session.protocol).error_bytes(text)
        });
    }

    /// Where this core's connections are.
    pub(super) fn place(&self) -> Place {
        Place {
            core: self.id,
            cores_count: self.mesh.cores_count(),
        }
    }

    fn client_info(&mut self, token: Token) {
        let (now_ms, place) = (self.now_ms, self.place());
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let mut text = Vec::new();
        clients::render_row(&row(connection, now_ms, place), &mut text);
        self.complete(token, |out, session| {
            Reply::new(out, session.protocol).verbatim(b"txt", &text)
        });
    }

    /// SCRIPT KILL, and FUNCTION KILL.
    pub(super) fn kill_script_anywhere(&mut self, token: Token, is_function: bool) {
        self.ask_all(
            Asker::Connection(token),
            Purpose::KillScript,
            Question::KillScript { is_function },
        );
    }

    /// FUNCTION STATS: a core that is held up by a script answers once it has told all that it is, or the script is over.
    pub(super) fn ask_all_for_function_stats(&mut self, token: Token) {
        self.ask_all(
            Asker::Connection(token),
            Purpose::FunctionStats,
            Question::Echo,
        );
    }

    pub(super) fn ask_all_to_flush_scripts(&mut self, asker: Asker) {
        self.ask_all(asker, Purpose::Ok, Question::FlushScripts);
    }

    /// INFO, called by a script.
    pub(super) fn info_for_script(&mut self, tx: TxId, protocol: Protocol, sections: Vec<Vec<u8>>) {
        self.ask_for_info(Asker::Script(tx, protocol), sections);
    }

    /// Asks no more cores than have something to tell.
    fn ask_for_info(&mut self, asker: Asker, sections: Vec<Vec<u8>>) {
        let (told, wanted) = info::wanted(&sections);
        let purpose = Purpose::Info(sections);
        let question = Question::Figures(wanted);
        match told {
            Told::All => self.ask_all(asker, purpose, question),
            Told::First => self.ask(0, asker, purpose, question),
            Told::Nobody => self.ask(usize::from(self.id), asker, purpose, question),
        }
    }

    /// MEMORY's requests, called by a script.
    pub(super) fn memory_for_script(
        &mut self,
        tx: TxId,
        protocol: Protocol,
        request: MemoryRequest,
    ) {
        self.ask_for_memory(Asker::Script(tx, protocol), request);
    }

    fn ask_for_memory(&mut self, asker: Asker, request: MemoryRequest) {
        match request {
            MemoryRequest::Purge => self.ask_all(asker, Purpose::Ok, Question::Purge),
            _ => {
                let question = Question::Figures(Wanted::CLIENTS.or(Wanted::MEMORY));
                self.ask_all(asker, Purpose::Memory(request), question);
            }
        }
    }

    pub(super) fn ask_all(&mut self, asker: Asker, purpose: Purpose, question: Question) {
        let id = self.open_gather(asker, purpose, self.mesh.cores_count());
        for to in every_core(self) {
            ask_core(self, to, id, question.clone());
        }
    }

    /// Core 0: has every core take over new users, then answers who asked for them.
    pub(super) fn put_in_force(
        &mut self,
        users: &Arc<Users>,
        client: u64,
        from: usize,
        id: u64,
        answer: Answer,
    ) {
        let asker = Asker::Core {
            core: from,
            id,
            answer,
        };
        let question = use_users_question(users, client);
        self.ask_all(asker, Purpose::Ok, question);
    }

    pub(super) fn ask(&mut self, to: usize, asker: Asker, purpose: Purpose, question: Question) {
        let id = self.open_gather(asker, purpose, 1);
        ask_core(self, to, id, question);
    }

    /// Whether anybody monitors has changed.
    pub(super) fn tell_of_monitors(&mut self) {
        self.ask_all(Asker::Nobody, Purpose::Ok, Question::LookAtMonitors);
    }

    fn open_gather(&mut self, asker: Asker, purpose: Purpose, waiting_count: usize) -> u64 {
        self.next_question += 1;
        self.gathers.insert(
            self.next_question,
            Gather {
                asker,
                waiting_count,
                answers: Vec::new(),
                purpose,
            },
        );
        self.next_question
    }

    pub(super) fn answer(&mut self, to: usize, id: u64, answer: Answer) {
        if to == usize::from(self.id) {
            self.answered(id, answer);
        } else {
            self.mesh.send(to, Message::Answer { id, answer });
        }
    }

    /// All other cores look at what waits there.
    pub(super) fn wake_all(&mut self) {
        for core in 0..self.mesh.cores_count() {
            if core != usize::from(self.id) {
                self.mesh.send(core, Message::Wake);
            }
        }
    }

    /// One answer has come; the last one makes the reply.
    pub fn answered(&mut self, id: u64, answer: Answer) {
        let Some(gather) = self.gathers.get_mut(&id) else {
            return;
        };
        gather.answers.push(answer);
        gather.waiting_count -= 1;
        if gather.waiting_count > 0 {
            return;
        }
        let Some(gather) = self.gathers.remove(&id) else {
            return;
        };
        match gather.asker {
            Asker::Nobody => {}
            Asker::LoadLog => self.logs_synced(&gather.answers),
            Asker::Rewrite => self.logs_prepared(gather.answers),
            Asker::Seal => self.go_on_sealing(gather.answers),
            asker @ (Asker::Stop | Asker::Reload) => self.go_on_holding(asker, &gather.purpose),
            Asker::Core { core, id, answer } => self.answer(core, id, answer),
            Asker::Http(sender, shown) => {
                let cores = figures_of(gather.answers);
                let (slow, hot) = match shown {
                    Shown::Page => (self.latest_slow_calls(), self.hottest_keys(&cores)),
                    _ => (Vec::new(), Vec::new()),
                };
                let info = self.info(cores, &shown.sections());
                // Whoever asked may have given up.
                let _ = sender.try_send(Figures { info, slow, hot });
            }
            Asker::Log => self.tell_sizes(&figures_of(gather.answers)),
            Asker::Connection(token) => self.reply_from(token, gather.purpose, gather.answers),
            Asker::Script(tx, protocol) => {
                let mut out = Vec::new();
                let mut reply = Reply::new(&mut out, protocol);
                match gather.purpose {
                    Purpose::Info(sections) => {
                        let text = self.info(figures_of(gather.answers), &sections);
                        reply.verbatim(b"txt", text.as_bytes());
                    }
                    Purpose::Memory(request) => {
                        let figures = self.memory_figures(&figures_of(gather.answers));
                        figures.answer(request, &mut reply);
                    }
                    _ => reply.ok(),
                }
                self.report(tx, out, None);
            }
        }
    }

    fn reply_from(&mut self, token: Token, purpose: Purpose, answers: Vec<Answer>) {
        match purpose {
            Purpose::Ok => {
                self.complete(token, |out, session| Reply::new(out, session.protocol).ok())
            }
            Purpose::Told => self.all_is_told(token),
            Purpose::Redirect(options, prefixes) => {
                self.target_was_looked_for(token, options, prefixes, &answers);
            }
            // The reply promises that nothing changes any more, so it waits for what is under way between cores.
            Purpose::Pause => self.ask_all(
                Asker::Connection(token),
                Purpose::PauseArrived,
                Question::HasArrived,
            ),
            // What waits for the locks of a block does not end before the block does.
            Purpose::PauseArrived if self.captured.contains_key(&token) => {
                self.complete(token, |out, session| Reply::new(out, session.protocol).ok());
            }
            Purpose::PauseArrived => self.ask_all(
                Asker::Connection(token),
                Purpose::Ok,
                Question::WritesHaveEnded,
            ),
            Purpose::Libraries(change, changing) => {
                self.functions_rest(token, change, answers);
                drop(changing);
                self.wake_all();
            }
            Purpose::Copy => match answers.into_iter().next() {
                Some(Answer::File(file)) => self.start_copy(token, Source::File(file)),
                Some(Answer::Refused(text)) => self.fail_copy(token, &text),
                _ => self.fail_copy(token, NO_COPY.as_bytes()),
            },
            Purpose::Save => match answers.into_iter().next() {
                Some(Answer::Refused(text)) => self.fail_with(token, &text),
                Some(Answer::Said(text)) => self.complete(token, |out, session| {
                    Reply::new(out, session.protocol).simple(text);
                }),
                _ => self.complete(token, |out, session| Reply::new(out, session.protocol).ok()),
            },
            Purpose::Stop => match answers.into_iter().next() {
                Some(Answer::Refused(text)) => self.fail_with(token, &text),
                _ => {
                    // No reply: the connection closing is the sign, after the replies to what came before.
                    if let Some(connection) = self.connections.get_mut(token) {
                        connection.blocked = None;
                        connection.close_after_output = true;
                    }
                    self.mark_dirty(token);
                }
            },
            Purpose::Emptied(emptied) => self.emptied_is_saved(*emptied),
            Purpose::LogsOfBlock(ended) => {
                self.logs_of_block(token, *ended, answers.into_iter().next());
            }
            Purpose::Configure => {
                if matches!(answers[..], [Answer::LogsLater]) {
                    self.block_wants_logs(token);
                }
                let refusal = answers.into_iter().find_map(|answer| match answer {
                    Answer::Refused(text) => Some(text),
                    _ => None,
                });
                match refusal {
                    Some(text) => self.fail_with(token, &text),
                    None => {
                        self.complete(token, |out, session| Reply::new(out, session.protocol).ok())
                    }
                }
            }
            Purpose::Users => {
                let count = match answers.into_iter().next() {
                    Some(Answer::Refused(text)) => return self.fail_with(token, &text),
                    Some(Answer::Count(count)) => Some(count),
                    _ => None,
                };
                let purpose = Purpose::UsersArrived(count);
                self.ask_all(Asker::Connection(token), purpose, Question::HasArrived);
            }
            Purpose::UsersArrived(count) => self.complete(token, |out, session| {
                let mut reply = Reply::new(out, session.protocol);
                match count {
                    Some(count) => reply.integer(count as i64),
                    None => reply.ok(),
                }
            }),
            Purpose::AclLog(count) => {
                let parts = answers.into_iter().filter_map(|answer| match answer {
                    Answer::AclLog(part) => Some(part),
                    _ => None,
                });
                let mut entries = AclLog::merged(parts.collect());
                entries.truncate(count);
                let now_ms = self.now_ms;
                self.complete(token, |out, session| {
                    let mut reply = Reply::new(out, session.protocol);
                    reply.array(entries.len());
                    entries
                        .iter()
                        .for_each(|entry| entry.write(now_ms, &mut reply));
                });
            }
            Purpose::Search(search) => self.go_on_searching(token, search, answers),
            Purpose::FunctionStats => self.tell_function_stats(token),
            Purpose::KillScript => {
                let found: Vec<usize> = answers
                    .iter()
                    .map(|answer| match answer {
                        Answer::Count(found) => *found,
                        _ => 0,
                    })
                    .collect();
                self.has_killed(token, &found);
            }
            Purpose::Count => {
                let count = answers.iter().map(|answer| match answer {
                    Answer::Count(count) => *count as i64,
                    _ => 0,
                });
                let count = count.sum();
                self.complete(token, |out, session| {
                    Reply::new(out, session.protocol).integer(count);
                });
            }
            Purpose::Monitor => {
                let has_begun = self.begin_monitor(token);
                self.complete(token, |out, session| {
                    if has_begun {
                        Reply::new(out, session.protocol).ok();
                    }
                });
            }
            Purpose::HotKeys(of) => self.reply_hot_keys(token, &of, answers),
            Purpose::Histogram(names) => {
                let figures = figures_of(answers);
                let rows = super::histogram::histogram_rows(&figures, &names);
                self.complete(token, |out, session| {
                    super::histogram::write_histograms(
                        &rows,
                        &mut Reply::new(out, session.protocol),
                    );
                });
            }
            Purpose::Memory(request) => {
                let figures = self.memory_figures(&figures_of(answers));
                self.complete(token, |out, session| {
                    figures.answer(request, &mut Reply::new(out, session.protocol));
                });
            }
            Purpose::Info(sections) => {
                let text = self.info(figures_of(answers), &sections);
                self.complete(token, |out, session| {
                    Reply::new(out, session.protocol).verbatim(b"txt", text.as_bytes());
                });
            }
        }
    }
}

fn figures_of(answers: Vec<Answer>) -> Vec<CoreFigures> {
    let figures = answers.into_iter().filter_map(|answer| match answer {
        Answer::Figures(figures) => Some(*figures),
        _ => None,
    });
    figures.collect()
}

const NO_CONFIG_FILE: &str = "ERR The server is running without a config file";
