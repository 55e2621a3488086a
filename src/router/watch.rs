//! Watch: what an EXEC depends on, told to every shard with a watched key.
//!
//!     WATCH -> each shard notes its keys under the watch's id, when no transaction has them
//!     a write touches one -> the shard sets the mark, for good
//!     EXEC -> the mark, and under its locks every shard's word
//!
//! Promises  the mark is set before the reply to the write that touched the key can be seen.
//! Not here  which writes touch a key: `shard/watches.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ShardId;

/// One connection's watch, from its first WATCH to EXEC, DISCARD or UNWATCH.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Unique in the process.
    pub id: u64,
    mark: Arc<AtomicBool>,
}

impl Watch {
    /// Nothing has been touched yet.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            mark: Arc::default(),
        }
    }

    /// A watched key was touched.
    pub fn touch(&self) {
        self.mark.store(true, Ordering::Release);
    }

    /// Whether one was, as far as it is known here. The shards know better.
    pub fn is_touched(&self) -> bool {
        self.mark.load(Ordering::Acquire)
    }
}

/// What a connection watches.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The watch.
    pub watch: Watch,
    /// Each key with its database, none twice.
    pub keys: Vec<(u16, Vec<u8>)>,
    /// Bytes of those.
    pub keys_bytes: usize,
    /// Where they live, none twice.
    pub shards: Vec<ShardId>,
}
