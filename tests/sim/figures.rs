//! What the seeds reached: so a change that keeps them from something is seen.

/// Counts over a history, or over many.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub transactions_count: u64,
    pub retries_count: u64,
    pub retries_count_max: u64,
    pub deferred_count: u64,
    /// Replies that came in pieces.
    pub long_count: u64,
    /// Blocks that were one request, and those of them that waited for a lock.
    pub hopped_blocks_count: u64,
    pub deferred_blocks_count: u64,
    pub messages_count: u64,
    pub blocks_count: u64,
    /// Blocks that watched keys and ran.
    pub watched_blocks_count: u64,
    pub refused_blocks_count: u64,
    pub scripts_count: u64,
    /// Scripts that ran where their keys are, without locks.
    pub in_place_count: u64,
    /// Scripts that began so and had to go on otherwise.
    pub left_count: u64,
    /// The same, with nothing written yet: they began anew.
    pub anew_count: u64,
    /// Scripts that waited for the token.
    pub in_line_count: u64,
    pub seizures_count: u64,
    pub wounds_count: u64,
    /// Requests that could wait, those that did, and how it ended.
    pub waits_count: u64,
    pub waited_count: u64,
    pub served_count: u64,
    pub timeouts_count: u64,
    /// Coordinators that were asked to look, and those that found nothing.
    pub asked_count: u64,
    pub vain_looks_count: u64,
    /// Transactions that began while their clients had other requests under way.
    pub overlapping_count: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Figures) {
        self.transactions_count += other.transactions_count;
        self.retries_count += other.retries_count;
        self.retries_count_max = self.retries_count_max.max(other.retries_count_max);
        self.deferred_count += other.deferred_count;
        self.long_count += other.long_count;
        self.hopped_blocks_count += other.hopped_blocks_count;
        self.deferred_blocks_count += other.deferred_blocks_count;
        self.messages_count += other.messages_count;
        self.blocks_count += other.blocks_count;
        self.watched_blocks_count += other.watched_blocks_count;
        self.refused_blocks_count += other.refused_blocks_count;
        self.scripts_count += other.scripts_count;
        self.in_place_count += other.in_place_count;
        self.left_count += other.left_count;
        self.anew_count += other.anew_count;
        self.in_line_count += other.in_line_count;
        self.seizures_count += other.seizures_count;
        self.wounds_count += other.wounds_count;
        self.waits_count += other.waits_count;
        self.waited_count += other.waited_count;
        self.served_count += other.served_count;
        self.timeouts_count += other.timeouts_count;
        self.asked_count += other.asked_count;
        self.vain_looks_count += other.vain_looks_count;
        self.overlapping_count += other.overlapping_count;
    }
}
