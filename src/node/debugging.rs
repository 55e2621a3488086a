//! What DEBUG changes of a whole server: switches that all cores look at.
//!
//! Promises  a switch that nobody has touched costs a tick one branch, and a request nothing.
//! Not here  DEBUG's words: `commands/debug_row.rs`; what belongs to a shard: `commands/debug.rs`.
//! Tests     tests/server/debugging.rs.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use super::core::Core;
use super::filing::Filing;
use super::ring::Token;
use crate::commands::session::{DebugRequest, REPLY_PEAK_MS};
use crate::resp::Reply;

/// DEBUG's switches.
pub struct Switches {
    /// Ticks do nothing but what clients wait for.
    ticks_rest: AtomicBool,
    /// Reply buffers stay as large as they have become.
    keeps_reply_buffers: AtomicBool,
    /// How long a client's largest reply is remembered.
    reply_peak_ms: AtomicI64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            ticks_rest: AtomicBool::new(false),
            keeps_reply_buffers: AtomicBool::new(false),
            reply_peak_ms: AtomicI64::new(REPLY_PEAK_MS),
        }
    }
}

impl Switches {
    /// DEBUG PAUSE-CRON.
    #[inline]
    pub fn has_ticks_rest(&self) -> bool {
        self.ticks_rest.load(Relaxed)
    }

    /// DEBUG REPLYBUFFER RESIZING 0.
    pub fn keeps_reply_buffers(&self) -> bool {
        self.keeps_reply_buffers.load(Relaxed)
    }

    /// DEBUG REPLYBUFFER PEAK-RESET-TIME, in milliseconds.
    pub fn reply_peak_ms(&self) -> i64 {
        self.reply_peak_ms.load(Relaxed)
    }
}

impl Core {
    /// Carries out what DEBUG asks of the node.
    pub(super) fn debug_request(&mut self, token: Token, request: DebugRequest) {
        let switches = &self.mesh.board().switches;
        match request {
            DebugRequest::PauseTicks(rest) => switches.ticks_rest.store(rest, Relaxed),
            DebugRequest::ResetReplyPeaks(after_ms) => {
                switches.reply_peak_ms.store(after_ms, Relaxed);
            }
            DebugRequest::ResizeReplyBuffers(resizes) => {
                switches.keeps_reply_buffers.store(!resizes, Relaxed);
            }
            DebugRequest::RewriteWholeConfig if self.config_file.is_empty() => {
                return self.fail(token, NO_FILE);
            }
            DebugRequest::RewriteWholeConfig => {
                return self.ask_for_filing(token, Filing::RewriteWholeConfig);
            }
        }
        self.complete(token, |out, session| Reply::new(out, session.protocol).ok());
    }
}

/// Redis's words: it has no name to open.
const NO_FILE: &str = "ERR CONFIG-REWRITE-FORCE-ALL failed: Bad address";
