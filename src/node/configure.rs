//! CONFIG SET: options change on all cores, or on none.
//!
//!     any core -> core 0: check, process, listeners, logs -> every core applies -> the asker is told
//!
//! Promises  one change at a time, all of its options or none; OK when it is in force everywhere, and for `appendonly yes` when
//!           every write is logged; beside a snapshot only with `appendfsync always`.
//! Not here  names and values: `node/options.rs`; how logs begin: `node/rewrite.rs`.
//! Tests     tests/server/config.rs, tests/server/rewrite.rs.

use std::path::Path;
use std::sync::Arc;

use super::acl::use_users_question;
use super::core::Core;
use super::folder::{self, Folder};
use super::gather::{Asker, Purpose};
use super::mesh::GATE_LOADING;
use super::message::{Answer, Question};
use super::options::{OptionSpec, Options, config_set, find};
use super::rewrite::no_logs;

impl Core {
    /// CONFIG SET on core 0: check, then put in force everywhere; the asker is answered when all have.
    pub(super) fn configure(
        &mut self,
        (core, id): (usize, u64),
        pairs: &[(Vec<u8>, Vec<u8>)],
        is_local: bool,
        is_in_block: bool,
    ) -> Result<(), String> {
        if self.gate & GATE_LOADING != 0
            && (pairs.iter()).any(|(name, _)| find(name).is_some_and(OptionSpec::waits_for_load))
        {
            return Err("LOADING Redis is loading the dataset in memory".to_string());
        }
        let mut options = (*self.options).clone();
        // It may have been renamed: then the name that it had is that of another, or of none.
        options.dir = folder::working_option(&options.dir);
        let before = folder::working();
        let may_protected = match options.enable_protected_configs {
            "yes" => true,
            "local" => is_local,
            _ => false,
        };
        let mut changed = config_set(&mut options, pairs, may_protected)?;
        // A file may have changed though its name has not.
        let mut names = pairs.iter().filter_map(|(name, _)| Some(find(name)?.name));
        let of_tls = names.clone().find(|name| name.starts_with("tls-"));
        // So may the folder: it was removed, and another has its name.
        let is_there = |folder: &Arc<Folder>| folder.is_at(Path::new(&options.dir));
        if names.any(|name| name == "dir")
            && !changed.contains(&"dir")
            && !before.as_ref().is_some_and(is_there)
        {
            changed.push("dir");
        }
        let in_force = super::settings::apply_to_process(&mut options, &changed)
            .and_then(|()| self.listeners.follow(&options, &changed, of_tls))
            .and_then(|()| self.log_as_told(&options, &changed));
        if let Err(text) = in_force {
            // All or none: what has changed already goes back. It was in force before, so it can be again.
            let others: Vec<_> = changed.into_iter().filter(|name| *name != "dir").collect();
            let _ = super::settings::apply_to_process(&mut (*self.options).clone(), &others);
            if let Some(folder) = before {
                let _ = folder::enter(folder);
            }
            if of_tls.is_some() {
                // What was read before may be gone by now: then it stays as it is held.
                let _ = self.listeners.reload(&self.options.clone());
            }
            return Err(text);
        }
        if changed.contains(&"dir") && !self.renew_removed_logs_soon() {
            self.tell_logs_left_behind(&options);
        }
        if changed.contains(&"requirepass") {
            let mut users = (*self.users).clone();
            users.set_default_password(options.requirepass.as_bytes());
            let question = use_users_question(&Arc::new(users), 0);
            self.ask_all(Asker::Nobody, Purpose::Ok, question);
        }
        // A block's own locks are in the way of the cut that the logs begin with: EXEC's reply waits for that.
        let mut specs = pairs.iter().filter_map(|(name, _)| find(name));
        let is_for_logs = options.appendonly
            && specs.any(|spec| match spec.name {
                "appendonly" => true,
                // From its reply on that of each write says that it is durable.
                "appendfsync" => options.appendfsync == "always",
                _ => false,
            });
        let asker = if is_for_logs && is_in_block && self.are_logs_beginning() {
            let answer = Answer::LogsLater;
            Asker::Core { core, id, answer }
        } else if is_for_logs && self.waits_for_logs((core, id), &options) {
            Asker::Nobody
        } else {
            let answer = Answer::Done;
            Asker::Core { core, id, answer }
        };
        self.ask_all(asker, Purpose::Ok, Question::Apply(Arc::new(options)));
        Ok(())
    }

    /// Logs stay where they are, wherever `dir` goes: a start finds them there until the configuration file says otherwise, which it is
    /// kept from (`node/filing.rs`).
    fn tell_logs_left_behind(&self, options: &Options) {
        if let Some(store) = &self.saving.rewriting.store
            && let Err(reason) = store.is_found_by(options)
        {
            tracing::warn!("{reason}");
        }
    }

    fn log_as_told(&mut self, options: &Options, changed: &[&'static str]) -> Result<(), String> {
        let has_changed = options.appendonly != self.options.appendonly;
        if !changed.contains(&"appendonly") || !has_changed {
            return Ok(());
        }
        self.turn_logs(options.appendonly, options)
            .map_err(|reason| {
                tracing::error!(reason, "cannot turn on the append-only log");
                no_logs()
            })
    }
}
