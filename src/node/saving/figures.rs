//! What INFO shows of snapshots and loads.
//!
//! Not here  its lines: `node/info.rs`; what it shows of the logs' bases: `node/rewrite.rs`.
//! Tests     tests/node/info.rs, tests/server/figures.rs.

use std::sync::atomic::Ordering;

use super::Then;
use crate::node::core::Core;
use crate::node::rewrite::RewriteFigures;
use crate::node::snapshot::lock;

/// What INFO shows of snapshots.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct SavingFigures {
    pub loading: Option<LoadingFigures>,
    pub in_progress: bool,
    pub current_seconds: Option<u64>,
    pub current_keys: u64,
    pub current_keys_written: u64,
    pub current_changed_bytes: u64,
    pub last_save_s: i64,
    pub has_failed: bool,
    pub last_seconds: Option<u64>,
    /// Begun by BGSAVE, SAVE or a save point.
    pub saves: u64,
    /// Of those in the background, how many have failed since one did not.
    pub failures: u64,
    pub last_changed_bytes: u64,
    pub last_loaded: u64,
    pub last_expired: u64,
    /// Changes that the last snapshot has.
    pub changes_saved: u64,
    /// Bases of the logs.
    pub rewrite: RewriteFigures,
    /// There is a backup that is not sealed.
    pub is_backing_up: bool,
    /// Logs are turned on; they may not have begun.
    pub is_logging: bool,
}

/// What INFO shows of a load.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct LoadingFigures {
    pub began_s: i64,
    pub milliseconds: u64,
    pub total_bytes: u64,
    pub read_bytes: u64,
    /// What the RDB file says its server had in use; 0 of logs.
    pub file_used_bytes: u64,
}

impl Core {
    fn loading_figures(&self) -> Option<LoadingFigures> {
        if let Some((load, _)) = &self.saving.log_load {
            return Some(LoadingFigures {
                began_s: load.began_s,
                milliseconds: load.began.elapsed().as_millis() as u64,
                total_bytes: load.progress.total.load(Ordering::Relaxed),
                read_bytes: load.progress.done.load(Ordering::Relaxed),
                file_used_bytes: 0,
            });
        }
        let (load, _) = self.saving.load.as_ref()?;
        Some(LoadingFigures {
            began_s: load.began_s,
            milliseconds: load.began.elapsed().as_millis() as u64,
            total_bytes: load.total_bytes,
            read_bytes: load.read_bytes.load(Ordering::Relaxed),
            file_used_bytes: load.used_bytes.load(Ordering::Relaxed),
        })
    }

    /// Core 0's figures.
    pub(in crate::node) fn saving_figures(&self) -> SavingFigures {
        let saving = &self.saving;
        let any_job = saving.job.as_ref();
        let job = any_job.filter(|(_, then)| !matches!(then, Then::Base | Then::SealStep));
        let (job, any_job) = (job.map(|(job, _)| job), any_job.map(|(job, _)| job));
        SavingFigures {
            loading: self.loading_figures(),
            in_progress: job.is_some(),
            current_seconds: job.map(|job| job.began.elapsed().as_secs()),
            current_keys: any_job.map_or(0, |job| job.keys.load(Ordering::Relaxed)),
            current_keys_written: any_job.map_or(0, |job| job.keys_written.load(Ordering::Relaxed)),
            current_changed_bytes: any_job
                .map_or(0, |job| job.changed_bytes_max.load(Ordering::Relaxed)),
            last_save_s: self.mesh.board().last_save_s.load(Ordering::Relaxed),
            has_failed: saving.has_failed,
            last_seconds: saving.last_seconds,
            saves: saving.saves_count,
            failures: saving.failures_count,
            last_changed_bytes: saving.last_changed_bytes,
            last_loaded: match &saving.load {
                Some((load, _)) => load.loaded.load(Ordering::Relaxed),
                None => saving.last_loaded,
            },
            last_expired: saving.last_expired,
            changes_saved: saving.changes_saved,
            rewrite: self.rewrite_figures(),
            is_backing_up: lock(&self.mesh.board().backup).is_under_way(),
            is_logging: self.options.appendonly,
        }
    }
}
