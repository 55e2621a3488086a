//! What a core answers when another one asks, or it asks itself.
//!
//! Promises  each question is answered once: here, or by whoever it is handed to when that is done.
//! Not here  who asks, and what the answers become: `node/gather.rs`.

use std::time::Instant;

use super::core::{Core, Pause};
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use crate::shard::hot_keys::HotKey;
use crate::shard::type_sample::TypeSample;

/// Requests are looked at for so long after somebody has asked for the page's figures.
const HOT_KEYS_WATCHED_MS: i64 = 10_000;

impl Core {
    /// Answers a question of core `from`, which may be this one.
    pub fn asked(&mut self, from: usize, id: u64, question: Question) {
        let answer = match question {
            Question::Configure {
                pairs,
                is_local,
                is_in_block,
            } => match self.configure((from, id), &pairs, is_local, is_in_block) {
                Ok(()) => return,
                Err(text) => Answer::Refused(text.into_bytes()),
            },
            Question::AwaitLogs => {
                let options = self.options.clone();
                if self.waits_for_logs((from, id), &options) {
                    return;
                }
                Answer::Done
            }
            Question::AwaitTold if self.waits_for_told((from, id)) => return,
            Question::AwaitTold => Answer::Done,
            Question::ChangeUsers { change, client } => match self.change_users(change) {
                Ok((users, answer)) => {
                    return self.put_in_force(&users, client, from, id, answer);
                }
                Err(text) => Answer::Refused(text),
            },
            Question::File { filing, client } => {
                return self.begin_filing(from, id, client, filing);
            }
            Question::UseUsers { users, spare } => {
                self.use_users(users, spare);
                Answer::Done
            }
            Question::AclLog => Answer::AclLog(self.acl_log.clone()),
            Question::ResetAclLog => {
                self.acl_log.reset();
                Answer::Done
            }
            Question::Apply(options) => {
                self.options = options;
                self.apply_options();
                if self.id == 0 {
                    self.refresh_gate();
                }
                Answer::Done
            }
            Question::FindClients(sought) => return self.find_clients(from, id, sought),
            Question::EndSearch { number } => self.end_search(from, number),
            Question::Figures(wanted) => Answer::Figures(Box::new(self.figures(wanted))),
            Question::ResetStatistics => {
                self.counters.reset();
                if let Some(disk) = &mut self.disk {
                    disk.reset_figures();
                }
                self.ended_figures = None;
                self.saving.reset_counts();
                self.mesh.board().scripts.reset_counts();
                let codes_count = self.shard.error_counts().iter().count();
                self.shard.figures_mut().reset();
                self.shard.keys.reset_stats();
                self.shard.keys.note_freed_lazily(codes_count, 0);
                self.shard.ledger().reset_exceeded();
                Answer::Done
            }
            Question::Pause {
                until_ms,
                writes_only,
            } => {
                // Who waits for the end of a pause that is over goes on before another begins.
                if self.has_pause_ended() {
                    self.unpause();
                    self.settle();
                }
                // A running pause only gets longer and stricter.
                self.shard.keys.set_expiry_paused(true);
                let running = self.pause.filter(|pause| pause.until_ms > self.now_ms);
                self.pause = Some(Pause {
                    until_ms: running.map_or(until_ms, |pause| pause.until_ms.max(until_ms)),
                    writes_only: writes_only && running.is_none_or(|pause| pause.writes_only),
                });
                Answer::Done
            }
            Question::HasArrived => {
                let asker = Asker::Core {
                    core: from,
                    id,
                    answer: Answer::Done,
                };
                return self.ask_all(asker, Purpose::Ok, Question::Echo);
            }
            Question::Echo => Answer::Done,
            Question::FunctionsRest => {
                return self.functions.waiting.push((from, id));
            }
            Question::WritesHaveEnded => {
                return self.waiting_for_writes.push((from, id));
            }
            Question::FlushScripts => {
                self.flush_scripts();
                Answer::Done
            }
            Question::KillScript { is_function } => Answer::Count(self.kill_script(is_function)),
            Question::Unblock { id, end } => Answer::Count(usize::from(self.unblock(id, end))),
            Question::LookAtMonitors => {
                self.monitored = self.mesh.board().watch.monitors.is_watched();
                Answer::Done
            }
            Question::Unpause => {
                self.unpause();
                Answer::Done
            }
            Question::HoldWrites(holds) => {
                self.hold_writes(holds);
                Answer::Done
            }
            Question::HotKeys(step) => self.hot_keys_step(step),
            Question::Purge => {
                crate::ds::spare_mappings::give_back();
                crate::ds::purge::give_back_free_pages();
                Answer::Done
            }
            Question::FindTarget { id } => self.find_target(id),
            Question::TrackPrefixes {
                prefixes,
                core,
                is_more,
            } => {
                for prefix in prefixes.iter() {
                    self.shard.keys.track_prefix(prefix, core, is_more);
                }
                Answer::Done
            }
            // The others must hear of it first: all stand still together.
            Question::Sleep(until) => return self.sleeps.push((from, id, until)),
            Question::PrepareLog(new) => return self.prepare_log((from, id), new),
            Question::SyncLog => return self.waits_for_sync.push((from, id)),
            Question::DropSegments => {
                self.drop_segments();
                Answer::Done
            }
            Question::SealLog => return self.log_is_to_be_sealed((from, id)),
            Question::Save(request) => return self.save_asked(from, id, request),
            Question::Backup {
                request,
                is_in_block,
            } => return self.backup_asked((from, id), request, is_in_block),
            Question::Stop(wish) => return self.stop_asked(Some((from, id)), wish),
            Question::Shutdown => {
                self.stopping = true;
                self.stopping_since_ms = self.now_ms;
                self.end_slow_scripts();
                self.abandon_all_waits();
                self.listeners.close();
                Answer::Done
            }
        };
        self.answer(from, id, answer);
    }

    /// Stands still for DEBUG SLEEP, after a turn; whether it did.
    pub(super) fn sleep_as_told(&mut self) -> bool {
        let sleeps = std::mem::take(&mut self.sleeps);
        for (from, id, until) in &sleeps {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            self.read_clock();
            self.answer(*from, *id, Answer::Done);
        }
        !sleeps.is_empty()
    }

    /// Answers those who wait for the last writes; whether there were any to answer.
    pub(super) fn answer_when_writes_have_ended(&mut self) -> bool {
        let is_paused = self.pause.is_some_and(|pause| pause.until_ms > self.now_ms);
        let is_paused = is_paused || self.holds_writes;
        if is_paused && (self.has_writing_transactions() || self.shard.has_deferred_writes()) {
            return false;
        }
        for (from, id) in std::mem::take(&mut self.waiting_for_writes) {
            self.answer(from, id, Answer::Done);
        }
        true
    }

    /// What its requests are for; from now on, for a while, that is looked at.
    pub(super) fn hot_keys(&mut self) -> (u64, Vec<HotKey>) {
        let now_ms = self.now_ms;
        let hot_keys = self.shard.hot_keys();
        hot_keys.watch(now_ms, now_ms + HOT_KEYS_WATCHED_MS);
        hot_keys.hottest()
    }

    /// What the types of its keys take.
    pub(super) fn types(&self) -> TypeSample {
        TypeSample::of(&self.shard.keys, self.now_us as u64)
    }
}
