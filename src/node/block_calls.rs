//! Commands of a block that concern its connection: SELECT, CLIENT, SUBSCRIBE and their like.
//!
//!     the block's step, on a shard -> Queued -> the connection's core: run here -> report -> the block goes on
//!                                                       \-> asks of other cores: captured until they have answered
//!
//! Promises  each is reported once, also where its client has gone meanwhile. What CLIENT REPLY keeps back is not reported, and
//!           the block is told of it.
//! Not here  the block: `node/block.rs`.
//! Tests     tests/server/multi.rs.

use std::sync::Arc;

use super::connection::{Asked, Connection};
use super::core::Core;
use super::dispatch::caller;
use super::ring::Token;
use crate::commands::acl::User;
use crate::commands::acl::log::Context;
use crate::commands::pubsub::{PubSub, Subject};
use crate::commands::session::{NodeRequest, Session, SessionCall};
use crate::commands::table::{Caller, Run};
use crate::commands::{Action, CommandError};
use crate::resp::Reply;
use crate::router::calls::Queued;
use crate::router::{FromShard, Output, TxId};

/// What comes of a command that would have a client that has gone be told of something. Nobody sees it.
const GONE: &[u8] = b"-ERR the client has gone\r\n";

/// What a command of a block may have changed of its connection.
pub struct SessionState {
    db: u16,
    caller: Caller,
    /// Its user, where that has not every right.
    user: Option<Arc<User>>,
    /// Replies are kept back.
    is_silent: bool,
}

impl SessionState {
    fn of(connection: &Connection) -> Self {
        let session = &connection.session;
        Self {
            db: session.db,
            caller: caller(connection),
            user: session.is_guarded.then(|| session.user.clone()),
            is_silent: session.reply_mode.is_silent(),
        }
    }
}

/// A command of a block that the node carries out: the transaction it belongs to.
pub struct Captured {
    pub(super) tx: TxId,
}

impl Core {
    /// Runs a command of a block that concerns its connection; what it gives goes back to the block.
    pub(super) fn run_queued(&mut self, token: Token, tx: TxId, queued: &Queued) {
        if let Run::PubSub(PubSub::Publish(subject)) = queued.entry.command.run {
            self.shard.record(queued.entry.index, 0);
            let publisher = (self.id, token);
            return self.publish_queued(publisher, tx, &queued.args.as_args(), subject);
        }
        let Some(mut connection) = self.connections.borrow(token) else {
            debug_assert!(false, "a client of a block keeps its place");
            return self.report(tx, GONE.to_vec(), None);
        };
        // From here on the block leaves out what is not to be sent: it may be sent again, and messages always are.
        connection.silent_reply = false;
        let stamp = self.clock.raw();
        let mut reply = Vec::new();
        if let Run::PubSub(what) = queued.entry.command.run {
            if connection.closed {
                // It has left all channels, and nobody will see the reply.
                self.connections.restore(token, connection);
                return self.report(tx, GONE.to_vec(), None);
            }
            self.stamp = stamp;
            let args = queued.args.as_args();
            let output = std::mem::take(&mut connection.output);
            let mode = connection.session.reply_mode;
            connection.session.reply_mode = mode.within();
            match what {
                // Redis has let the older two stand in blocks ever since there were any.
                PubSub::Subscribe(Subject::ShardChannel) => {
                    let error = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client".into();
                    self.fail_request(&mut connection, queued.entry, &error);
                }
                _ => {
                    self.run_pubsub(token, &mut connection, queued.entry, &args, what);
                }
            }
            connection.session.reply_mode = mode;
            let reply = std::mem::replace(&mut connection.output, output);
            let state = SessionState::of(&connection);
            self.connections.restore(token, connection);
            return self.report(tx, reply, Some(state));
        }
        let result = self.call_session(&mut connection, queued, &mut reply);
        let is_captured = match result {
            Ok(Action::Node(NodeRequest::Track { .. })) if connection.closed => {
                reply.clear();
                reply.extend_from_slice(GONE);
                false
            }
            Ok(Action::Node(request)) => {
                // It is counted when it is answered.
                connection.asked = Some(Asked {
                    entry: queued.entry,
                    stamp,
                    words: self.words_to_keep(queued.entry, &queued.args.as_args()),
                });
                self.captured.insert(token, Captured { tx });
                self.asks.push((token, request));
                true
            }
            Ok(Action::Close) => {
                connection.close_after_output = true;
                false
            }
            Ok(_) => false,
            Err(error) => {
                reply.clear();
                let line = error.line();
                Reply::new(&mut reply, connection.session.protocol).error_bytes(&line);
                let figures = self.shard.figures_mut();
                figures.record_failure(queued.entry.index, &line);
                false
            }
        };
        if connection.session.reply_mode.is_silent() {
            reply.clear();
        }
        let state = SessionState::of(&connection);
        self.connections.restore(token, connection);
        if !is_captured {
            let took_ns = self.clock.delta_as_nanos(stamp, self.clock.raw());
            self.shard.record(queued.entry.index, took_ns);
            if self.thresholds.concern(took_ns, reply.len()) {
                let words = self.words_to_keep(queued.entry, &queued.args.as_args());
                self.note_if_worth(token, queued.entry, took_ns, reply.len(), words);
            }
            self.report(tx, reply, Some(state));
        }
    }

    fn call_session(
        &mut self,
        connection: &mut Connection,
        queued: &Queued,
        out: &mut Vec<u8>,
    ) -> Result<Action, CommandError> {
        let entry = queued.entry;
        let mut reply = Reply::new(out, connection.session.protocol);
        let Run::Session(run) = entry.command.run else {
            // UNWATCH: EXEC has seen to it.
            reply.ok();
            return Ok(Action::Done);
        };
        let mut call = SessionCall {
            session: &mut connection.session,
            databases: self.options.databases as u16,
            zone: &self.options.availability_zone,
            users: &self.users,
            denied: None,
            now_ms: self.now_ms,
            now_us: self.now_us,
        };
        let result = run(
            &mut call,
            &entry.handler_args(&queued.args.as_args()),
            &mut reply,
        );
        if let Some(mut denial) = call.denied {
            denial.context = Context::Multi;
            self.note_denial(connection, denial);
        }
        result
    }

    /// The node has carried out a command of a block.
    pub(super) fn report_captured(&mut self, token: Token, captured: &Captured, reply: Vec<u8>) {
        let state = self.connections.get_mut(token).map(|connection| {
            connection.asked = None;
            SessionState::of(connection)
        });
        self.report(captured.tx, reply, state);
    }

    /// The reply of one command of a block.
    pub(super) fn complete_captured(
        &mut self,
        token: Token,
        captured: &Captured,
        write: impl FnOnce(&mut Vec<u8>, &mut Session),
    ) {
        let mut reply = Vec::new();
        match self.connections.get_mut(token) {
            Some(connection) => {
                write(&mut reply, &mut connection.session);
                if let Some(Asked {
                    entry,
                    stamp,
                    words,
                }) = connection.asked.take()
                {
                    let nanoseconds = self.clock.delta_as_nanos(stamp, self.clock.raw());
                    self.shard.record_with_waits(entry.index, nanoseconds);
                    self.note_if_worth(token, entry, nanoseconds, reply.len(), words);
                }
                let connection = self.connections.get_mut(token);
                if connection.is_some_and(|it| it.session.reply_mode.is_silent()) {
                    reply.clear();
                }
            }
            None => write(&mut reply, &mut Session::default()),
        }
        self.report_captured(token, captured, reply);
    }

    pub(super) fn report(&mut self, tx: TxId, reply: Vec<u8>, state: Option<SessionState>) {
        let output = match state {
            Some(state) => Output::Session {
                reply,
                db: state.db,
                caller: state.caller,
                user: state.user,
                is_silent: state.is_silent,
            },
            None => Output::Reply(reply),
        };
        self.reports.push_back(FromShard::Ran {
            tx,
            shard: self.id,
            output,
            trace: None,
        });
    }
}
