//! Where a small encoding is traded for a large one: Redis's options of those names.

/// Thresholds in force; options change them while the server runs, and values change with their next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingLimits {
    /// `hash-max-listpack-entries`: fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or value in one.
    pub hash_max_listpack_value: usize,
    /// `list-max-listpack-size`: elements of a list's node where positive; -1 to -5 mean 4, 8, 16, 32, 64 KiB.
    pub list_max_listpack_size: i64,
    /// `list-compress-depth`: nodes at each end of a list that are never compressed; 0 compresses none.
    pub list_compress_depth: usize,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: elements of so many bytes stand alone in lists to come, however large a node may be.
    pub list_packed_threshold: Option<usize>,
    /// `set-max-intset-entries`: members of a set of integers.
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`: members of a packed set.
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`: bytes of a member in one.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`: members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member in one.
    pub zset_max_listpack_value: usize,
    /// `hll-sparse-max-bytes`: bytes of a sparse HyperLogLog.
    pub hll_sparse_max_bytes: usize,
    /// `stream-node-max-bytes`: bytes of a stream's node, 0 for no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`: entries of a stream's node, 0 for no limit.
    pub stream_node_max_entries: usize,
    /// `stream-idmp-duration`: seconds for which a stream remembers its producers' requests.
    pub stream_idmp_duration: u64,
    /// `stream-idmp-maxsize`: requests of each producer that it remembers.
    pub stream_idmp_maxsize: usize,
}

impl Default for EncodingLimits {
    /// Redis's defaults.
    fn default() -> Self {
        Self {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            list_packed_threshold: None,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            hll_sparse_max_bytes: 3000,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            stream_idmp_duration: 100,
            stream_idmp_maxsize: 100,
        }
    }
}
