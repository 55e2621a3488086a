//! Filing: small files that commands read or write, on a thread that may wait for the disk.
//!
//!     ACL LOAD, ACL SAVE, CONFIG REWRITE -> core 0 -> thread: the file -> core 0: what came of it -> the reply
//!
//! Promises  no core waits for these files; what is asked first is done first, and answered first; what is written is what was in force
//!           when core 0 heard of it; no configuration file comes to name a `dir` where a start would not find the logs, or that is another's.
//! Not here  what is in the files: `commands/acl/file.rs`, `node/config_rewrite.rs`; snapshots, which have a thread of
//!           their own: `node/snapshot.rs`.
//! Tests     tests/server/acl_files.rs, tests/server/config.rs.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::acl;
use super::config_file::system_reason;
use super::config_rewrite::{Lines, rewrite_file};
use super::core::Core;
use super::folder;
use super::message::Answer;
use super::options::Options;
use super::rewrite::LogStore;
use super::snapshot::Pace;
use crate::commands::acl::Users;

/// What is to be done with a file.
#[derive(Clone, Copy, Debug)]
pub enum Filing {
    /// ACL LOAD: read the users.
    LoadUsers,
    /// ACL SAVE: write them.
    SaveUsers,
    /// CONFIG REWRITE.
    RewriteConfig,
    /// DEBUG CONFIG-REWRITE-FORCE-ALL.
    RewriteWholeConfig,
}

/// What came of it.
enum Filed {
    /// The ACL file's text, or why there is none.
    Users(Result<Vec<u8>, String>),
    /// The file is written.
    Done,
    /// It is not: the reply.
    Failed(String),
}

/// A task under way: which core asked, under which name, for which client, and where the thread tells the end.
struct Task {
    from: usize,
    id: u64,
    client: u64,
    end: Receiver<Filed>,
}

/// Core 0's tasks, the oldest first.
#[derive(Default)]
pub(super) struct Filings(VecDeque<Task>);

impl Core {
    /// Core 0: begins a task.
    ///
    /// - `client`: who asked for it.
    pub(super) fn begin_filing(&mut self, from: usize, id: u64, client: u64, filing: Filing) {
        let (sender, end) = channel();
        let options: Arc<Options> = self.options.clone();
        let users: Arc<Users> = self.users.clone();
        let config_file = self.config_file.clone();
        let logs = self.saving.rewriting.store.clone();
        self.mesh.board().small_files.run(move || {
            let filed = match filing {
                Filing::LoadUsers => Filed::Users(acl::read_file(&options.aclfile)),
                Filing::SaveUsers => save_users(&users, &options.aclfile),
                Filing::RewriteConfig => {
                    let options = (*options).clone();
                    rewrite_config(&config_file, options, &users, logs, Lines::ThatDiffer)
                }
                Filing::RewriteWholeConfig => {
                    let options = (*options).clone();
                    rewrite_config(&config_file, options, &users, logs, Lines::All)
                }
            };
            // The core may have ended meanwhile: then nobody waits.
            let _ = sender.send(filed);
        });
        self.filings.0.push_back(Task {
            from,
            id,
            client,
            end,
        });
    }

    /// Answers whoever's task has ended.
    pub(super) fn poll_filings(&mut self) -> Pace {
        while let Some(first) = self.filings.0.front() {
            let filed = match first.end.try_recv() {
                Ok(filed) => filed,
                Err(TryRecvError::Empty) => return Pace::Soon,
                Err(TryRecvError::Disconnected) => {
                    Filed::Failed("ERR no thread for files".to_string())
                }
            };
            let (from, id, client) = (first.from, first.id, first.client);
            self.filings.0.pop_front();
            match filed {
                Filed::Done => self.answer(from, id, Answer::Done),
                Filed::Failed(text) => self.answer(from, id, Answer::Refused(text.into_bytes())),
                Filed::Users(text) => self.take_users_of_file(from, id, client, text),
            }
        }
        Pace::Rest
    }

    fn take_users_of_file(
        &mut self,
        from: usize,
        id: u64,
        client: u64,
        text: Result<Vec<u8>, String>,
    ) {
        let options = &self.options;
        let users = (text.map_err(String::into_bytes))
            .and_then(|text| acl::users_of_text(&self.users, options, &text));
        match users {
            Ok(users) => self.put_in_force(&Arc::new(users), client, from, id, Answer::Done),
            Err(reason) => {
                let line = [b"ERR ", &reason[..]].concat();
                self.answer(from, id, Answer::Refused(line));
            }
        }
    }
}

fn save_users(users: &Users, path: &str) -> Filed {
    match acl::save(users, path) {
        Ok(()) => Filed::Done,
        Err(error) => {
            tracing::warn!(%error, file = path, "ACL SAVE failed");
            Filed::Failed(acl::NOT_SAVED.to_string())
        }
    }
}

/// - `logs`: those that are written. The file is not to name a directory without them: the next start would begin empty there.
fn rewrite_config(
    path: &str,
    mut options: Options,
    users: &Users,
    logs: Option<LogStore>,
    lines: Lines,
) -> Filed {
    // The folder may have been renamed.
    let here = folder::working_name(&options.dir);
    let named = here.into_os_string().into_string().map_err(|name| {
        let name = name.display();
        format!("the name of dir, {name}, has bytes that are no UTF-8, as a configuration file has: rename it, or set another dir")
    });
    let found = named.and_then(|name| {
        options.dir = name;
        logs.map_or(Ok(()), |logs| logs.is_found_by(&options))
    });
    let written = found.and_then(|()| {
        rewrite_file(Path::new(path), &options, users, lines).map_err(|error| system_reason(&error))
    });
    match written {
        Ok(()) => {
            tracing::info!("CONFIG REWRITE executed with success.");
            Filed::Done
        }
        Err(reason) => {
            tracing::warn!(reason, "CONFIG REWRITE failed");
            Filed::Failed(match lines {
                Lines::ThatDiffer => format!("ERR Rewriting config file: {reason}"),
                Lines::All => format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {reason}"),
            })
        }
    }
}
