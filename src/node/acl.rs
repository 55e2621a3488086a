//! Users on every core: which one a connection is, what it is denied, and how a change reaches all.
//!
//!     ACL SETUSER on core 2 -> core 0 makes the new set of users -> every core takes it over, with its connections
//!                           -> whatever was asked before has arrived where it runs -> OK
//!
//! Promises  changes happen one at a time; when the reply to one is sent, no core checks by the old rights and no request
//!           that was checked by them is still on its way. A connection whose user is gone, or hears what its user no
//!           longer may, has ended by then, and a client that waits with a command it may no longer run is given nothing but its
//!           error, when there is something for it.
//! Not here  rules and checks: `commands/acl/`.
//! Tests     tests/server/acl.rs.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::client_row::row;
use super::clients::render_row;
use super::config_users::configured_users;
use super::connection::Connection;
use super::core::Core;
use super::dispatch::Dispatched;
use super::filing::Filing;
use super::message::{Answer, Message, Question};
use super::options::Options;
use super::ring::Token;
use super::script::Hosted;
use super::script_calls::Judged;
use crate::commands::acl::check::check_at_exec;
use crate::commands::acl::log::{Context, Denial};
use crate::commands::acl::rows::AclRequest;
use crate::commands::acl::{Denied, Place, Reason, User, Users, check, refused_options};
use crate::commands::pubsub::Subject;
use crate::commands::session::{Session, needs_auth};
use crate::commands::{CommandError, Entry, Flags};
use crate::resp::{Args, Protocol, Reply};
use crate::router::packed::{Packed, Step};

/// A change of the users, made on core 0.
#[derive(Clone, Debug)]
pub enum UserChange {
    /// ACL SETUSER.
    Set {
        /// The user.
        name: Vec<u8>,
        /// The rules.
        rules: Vec<Vec<u8>>,
    },
    /// ACL DELUSER.
    Delete(Vec<Vec<u8>>),
}

/// So many denials of a script are kept until it is over.
const DENIALS_MAX: usize = 128;

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the \
                       ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration \
                       file set) in order to store users in the Redis configuration.";

pub(super) const NOT_SAVED: &str = "ERR There was an error trying to save the ACLs. Please check the server logs for more information";

/// The users a server starts with: `requirepass`, the configuration's `user` lines, the ACL file.
///
/// Errors: a sentence for the operator.
pub fn users_at_start(options: &Options) -> Result<Users, String> {
    if !options.aclfile.is_empty() && !options.users.is_empty() {
        return Err("users in the configuration file and an ACL file: declare them in one of the two, not in both"
            .to_string());
    }
    let mut users = configured_users(options, &options.users)?;
    for (name, _) in &options.users {
        if (users.get(name.as_bytes())).is_some_and(|user| user.is_off()) {
            tracing::warn!(
                user = name,
                "the configuration leaves this user switched off"
            );
        }
    }
    if !options.aclfile.is_empty() {
        users = load(&users, options).map_err(|reason| {
            let reason = String::from_utf8_lossy(&reason);
            format!("Aborting Redis startup because of ACL errors: {reason}")
        })?;
    }
    Ok(users)
}

/// The users of the ACL file.
fn load(users: &Users, options: &Options) -> Result<Users, Vec<u8>> {
    let text = read_file(&options.aclfile).map_err(String::into_bytes)?;
    users_of_text(users, options, &text)
}

/// The ACL file's text. Errors: what ACL LOAD says of it.
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let reason = super::config_file::system_reason(&error);
        format!("Error loading ACLs, opening file '{path}': {reason}")
    })
}

/// The users that the ACL file's text describes.
pub(super) fn users_of_text(
    users: &Users,
    options: &Options,
    text: &[u8],
) -> Result<Users, Vec<u8>> {
    users.from_file(&options.aclfile, text, options.new_users_hear_all())
}

/// Puts a whole new file in the place of the old one.
pub(super) fn save(users: &Users, path: &str) -> std::io::Result<()> {
    let temporary = format!("{path}.tmp-{}", std::process::id());
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(&users.to_file())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        let folder = std::path::Path::new(path).parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(std::path::Path::new(".")))?.sync_all()
    });
    if written.is_err() {
        // What is left of it is worth nothing; it may not even be there.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

impl Core {
    /// Looks at a request of a guarded connection: what becomes of one that may not run.
    #[cold]
    pub(super) fn guard(
        &mut self,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<Dispatched> {
        if let Some(error) = needs_auth(entry, &connection.session) {
            return Some(self.refuse(connection, Some(entry), &error));
        }
        let is_queued = connection.open_block().is_some();
        if is_queued && entry.command.flags.has(Flags::NO_MULTI) {
            return None; // It has an error of its own.
        }
        let mut place = self.place_of(&connection.session);
        if let Some(db) = connection.open_block().and_then(|block| block.db) {
            place.db = db;
        }
        if let Err(denied) = check(&connection.session.user, entry, args, place) {
            let denial = Denial {
                reason: denied.reason,
                context: if is_queued {
                    Context::Multi
                } else {
                    Context::TopLevel
                },
                object: denied.object(entry, args),
                user: connection.session.user.name().to_vec(),
            };
            let error = denied.error(&connection.session.user, entry);
            connection.last_command = Some(entry);
            self.note_denial(connection, denial);
            return Some(self.refuse(connection, Some(entry), &error));
        }
        if let Some(block) = connection.open_block() {
            block.db = Some(place.after(entry, args).db);
            return None;
        }
        let error = refused_options(&connection.session.user, entry, args, place)?;
        Some(self.fail_request(connection, entry, &error))
    }

    /// Where a session's requests run.
    pub(super) fn place_of(&self, session: &Session) -> Place {
        Place {
            db: session.db,
            count: self.databases_count(),
        }
    }

    /// Where what a script calls runs.
    fn place_of_call(&self, hosted: &Hosted) -> Place {
        Place {
            db: hosted.db,
            count: self.databases_count(),
        }
    }

    /// How many databases there are.
    pub(super) fn databases_count(&self) -> u16 {
        self.options.databases as u16
    }

    /// Enters a denial in the log.
    #[cold]
    pub(super) fn note_denial(&mut self, connection: &Connection, denial: Denial) {
        self.counters.count_denial(denial.reason);
        let mut client = Vec::new();
        render_row(&row(connection, self.now_ms, self.place()), &mut client);
        client.pop();
        let length_max = usize::try_from(self.options.acllog_max_len).unwrap_or(0);
        let board = self.mesh.board();
        self.acl_log
            .add(denial, client, self.now_ms, length_max, || {
                board.next_acl_log_id.fetch_add(1, Ordering::Relaxed)
            });
    }

    /// Marks what of a block its user has lost the right to.
    pub(super) fn check_block(&mut self, connection: &Connection, queue: &mut Packed) {
        if !connection.session.is_guarded {
            return;
        }
        let mut denied = Vec::new();
        let mut place = self.place_of(&connection.session);
        for (index, step) in queue.steps().enumerate() {
            let user = &connection.session.user;
            let Some(refusal) = check_at_exec(user, step.entry, &step.args, place) else {
                place = place.after(step.entry, &step.args);
                continue;
            };
            let figures = self.shard.figures_mut();
            figures.errors_mut().count(&refusal.error.line());
            denied.push((index, refusal.error));
            if let Some(denial) = refusal.denial {
                self.note_denial(connection, denial);
            }
        }
        for (index, error) in denied {
            queue.deny(index, error);
        }
    }

    /// Whether a client still may all that is in a block.
    pub(super) fn may_all(&self, connection: &Connection, queue: &Packed) -> bool {
        let session = &connection.session;
        let mut place = self.place_of(session);
        let mut may_run = |step: Step<'_>| {
            let refusal = check_at_exec(&session.user, step.entry, &step.args, place);
            place = place.after(step.entry, &step.args);
            refusal.is_none()
        };
        !session.is_guarded || queue.steps().all(&mut may_run)
    }

    /// What the user of a script may not of a call: none where it may.
    ///
    /// The user is who it was when the script began, for half of what it does would be no less a surprise than in a block;
    /// one that was gone by then may nothing.
    pub(super) fn denial_of_call(
        &self,
        hosted: &Hosted,
        entry: &'static Entry,
    ) -> Option<(Denied, Option<Arc<User>>)> {
        if hosted.caller.user == 0 {
            return None;
        }
        let Some(user) = hosted.user.as_ref() else {
            let denied = Denied {
                reason: Reason::Command,
                word: 0,
            };
            return Some((denied, None));
        };
        let place = self.place_of_call(hosted);
        let denied = check(user, entry, &hosted.run.words(), place).err()?;
        Some((denied, Some(user.clone())))
    }

    /// Checks what a script of a user with restricted rights calls; none where it may go on.
    #[cold]
    pub(super) fn check_call(
        &mut self,
        hosted: &mut Hosted,
        entry: &'static Entry,
        out: &mut Vec<u8>,
    ) -> Option<Judged> {
        out.clear();
        let Some((denied, user)) = self.denial_of_call(hosted, entry) else {
            let user = hosted.user.as_ref()?;
            let place = self.place_of_call(hosted);
            let error = refused_options(user, entry, &hosted.run.words(), place)?;
            Reply::new(out, Protocol::Resp2).error_bytes(&error.line());
            return Some(Judged::Answered);
        };
        out.extend(b"ACL failure in script: ");
        let user = user.unwrap_or_default();
        out.extend(denied.message(&user, entry));
        let denial = Denial {
            reason: denied.reason,
            context: Context::Script,
            object: denied.object(entry, &hosted.run.words()),
            user: user.name().to_vec(),
        };
        hosted.denials.push(denial);
        if hosted.denials.len() >= DENIALS_MAX {
            self.tell_denials(hosted);
        }
        Some(Judged::Denied)
    }

    /// Tells the core of a script's client what was denied.
    #[cold]
    pub(super) fn tell_denials(&mut self, hosted: &mut Hosted) {
        let (origin, token) = (hosted.origin, hosted.token());
        for denial in std::mem::take(&mut hosted.denials) {
            if origin.core == self.id {
                self.denials.push((token, denial));
                continue;
            }
            let denial = Box::new(denial);
            let message = Message::Denied { token, denial };
            self.mesh.send(usize::from(origin.core), message);
        }
    }

    /// Enters what scripts of this core's connections were denied in the log.
    pub(super) fn note_denials_of_scripts(&mut self) {
        for (token, denial) in std::mem::take(&mut self.denials) {
            let Some(connection) = self.connections.borrow(token) else {
                continue; // Nobody can be named.
            };
            self.note_denial(&connection, denial);
            self.connections.restore(token, connection);
        }
    }

    /// Carries out what a session command asked about users.
    pub(super) fn acl_request(&mut self, token: Token, request: AclRequest) {
        let change = match request {
            AclRequest::Set { name, rules } => UserChange::Set { name, rules },
            AclRequest::Delete(names) => UserChange::Delete(names),
            AclRequest::Load | AclRequest::Save if self.options.aclfile.is_empty() => {
                return self.fail(token, NO_FILE);
            }
            AclRequest::Load => return self.ask_for_filing(token, Filing::LoadUsers),
            AclRequest::Save => return self.ask_for_filing(token, Filing::SaveUsers),
            AclRequest::Log(count) => return self.ask_for_acl_log(token, count),
            AclRequest::ResetLog => return self.ask_to_reset_acl_log(token),
            AclRequest::Password(digits) => {
                return match random_digits(digits) {
                    Ok(text) => self.complete(token, |out, session| {
                        Reply::new(out, session.protocol).bulk(&text);
                    }),
                    Err(error) => {
                        self.fail(token, &format!("ERR no random bytes can be had: {error}"))
                    }
                };
            }
        };
        let connection = self.connections.get_mut(token);
        let client = connection.map_or(0, |connection| connection.session.id);
        self.ask_for_users(token, change, client);
    }

    /// Makes a change, on core 0; what is to be answered once it is in force everywhere.
    pub(super) fn change_users(
        &mut self,
        change: UserChange,
    ) -> Result<(Arc<Users>, Answer), Vec<u8>> {
        let text_of = |error: CommandError| error.line().into_owned();
        let mut users = (*self.users).clone();
        let all_channels = self.options.new_users_hear_all();
        let answer = match change {
            UserChange::Set { name, rules } => {
                let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
                users.set(&name, &rules, all_channels).map_err(text_of)?;
                Answer::Done
            }
            UserChange::Delete(names) => Answer::Count(users.delete(&names).map_err(text_of)?),
        };
        Ok((Arc::new(users), answer))
    }

    /// Takes over a new set of users.
    ///
    /// - `spare`: the client that asked for it; where it has to end, it does so after its reply.
    pub(super) fn use_users(&mut self, users: Arc<Users>, spare: u64) {
        self.users = users;
        let tokens: Vec<Token> = self.connections.tokens().collect();
        // Most connections have the user of the one before: it is not looked for again.
        let mut last: Option<(Arc<User>, Option<Arc<User>>)> = None;
        for token in tokens {
            let Some(connection) = self.connections.get_mut(token) else {
                continue;
            };
            let user = &connection.session.user;
            let is_last = |(before, _): &(Arc<User>, _)| Arc::ptr_eq(before, user);
            if !last.as_ref().is_some_and(is_last) {
                last = Some((user.clone(), self.users.as_now(user).cloned()));
            }
            let now = last.as_ref().and_then(|(_, now)| now.as_ref());
            if connection.take_over(now, &self.users) {
                self.look_at_wait(token);
            } else if connection.session.id == spare {
                connection.is_doomed = true;
            } else {
                self.close(token);
            }
        }
    }
}

impl Connection {
    /// Takes note of what the users are now; whether the connection may stay.
    pub(super) fn look_at_users(&mut self, users: &Users) -> bool {
        let now = users.as_now(&self.session.user).cloned();
        self.take_over(now.as_ref(), users)
    }

    /// The same, where it is known who its user is now; none where there is no such user any more.
    fn take_over(&mut self, now: Option<&Arc<User>>, users: &Users) -> bool {
        let session = &mut self.session;
        let stays = match now {
            Some(now) if Arc::ptr_eq(now, &session.user) => true,
            Some(now) => {
                let before = std::mem::replace(&mut session.user, now.clone());
                now.hears_all_of(&before) || self.hears_only_what(now)
            }
            None => false,
        };
        if !stays {
            // It ends; whatever of it still runs until then has no rights.
            self.session.greet(users);
            self.session.authenticated = false;
        }
        self.session.look_at_users(users);
        stays
    }

    /// Whether the user may hear all that the connection is subscribed to.
    fn hears_only_what(&self, user: &User) -> bool {
        let Some(subscriptions) = &self.subscriptions else {
            return true;
        };
        Subject::ALL.iter().all(|&subject| {
            let is_pattern = subject == Subject::Pattern;
            (subscriptions.of(subject).keys()).all(|name| user.may_hear(name, is_pattern))
        })
    }
}

fn random_digits(count: usize) -> Result<Vec<u8>, getrandom::Error> {
    let mut bytes = vec![0; count.div_ceil(2)];
    getrandom::fill(&mut bytes)?;
    let mut digits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect();
    digits.truncate(count);
    Ok(digits)
}

/// The question that carries a new set of users.
pub(super) fn use_users_question(users: &Arc<Users>, spare: u64) -> Question {
    Question::UseUsers {
        users: users.clone(),
        spare,
    }
}
