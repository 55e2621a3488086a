//! What one core counts, and what it tells when INFO asks.

use super::saving::SavingFigures;
use crate::commands::acl::{REASONS_COUNT, Reason};
use crate::keyspace::Sizes;
use crate::keyspace::stats::{DatabaseInfo, Stats};
use crate::keyspace::tracking::TrackingCounts;
use crate::shard::figures::{CommandFigures, Durations, ErrorCounts};
use crate::shard::hot_keys::HotKey;
use crate::shard::type_sample::TypeSample;

/// Samples of the recent past, for the `instantaneous_` fields: 16 of them, as Redis keeps.
const SAMPLES_COUNT: usize = 16;

/// What is sampled: see [`CoreCounters::rates`].
const RATES_COUNT: usize = 5;

/// A core's own counters; plain numbers, since only the core writes them.
#[derive(Clone, Debug, Default)]
pub struct CoreCounters {
    /// Connections accepted and not turned away; with TLS, those that have shaken hands.
    pub connections_received: u64,
    /// Connections turned away.
    pub connections_rejected: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Requests whose keys this core owns and whose connection it serves.
    pub local_requests: u64,
    /// Requests sent to another core.
    pub hops_out: u64,
    /// Requests served for another core.
    pub hops_in: u64,
    /// Connections that came from another core after their first key.
    pub moves_in: u64,
    /// Connections sent to another core.
    pub moves_out: u64,
    /// Connections whose TLS the kernel took over.
    pub tls_handed_over: u64,
    /// Receives that brought bytes.
    pub reads: u64,
    /// Sends.
    pub writes: u64,
    /// Reply buffers that grew beyond what is kept, and were given back.
    pub reply_buffers_outgrown: u64,
    /// Time spent on expiry and freeing, in nanoseconds.
    pub cycle_ns: u64,
    /// Values and entries that compaction moved.
    pub defrag_hits: u64,
    /// Values that it looked at and left.
    pub defrag_misses: u64,
    /// Nanoseconds that it took.
    pub defrag_ns: u64,
    /// Ticks whose budget for that was not enough.
    pub cycles_over_budget: u64,
    /// Turns of the loop that had something to do.
    pub turns: u64,
    /// Time spent in all turns, sleep not included, in nanoseconds.
    pub turns_ns: u64,
    /// The longest turn.
    pub turn_ns_max: u64,
    /// Most commands in one turn.
    pub turn_commands_max: u64,
    /// Time spent on ticks and what they find due, in nanoseconds.
    pub ticks_ns: u64,
    /// Time spent on the log, waits for the disk not included, in nanoseconds.
    pub log_ns: u64,
    /// Transactions over several shards begun here.
    pub transactions: u64,
    /// Of those, tries that came out of order and began again.
    pub transaction_retries: u64,
    /// Ticks.
    pub ticks: u64,
    /// Clients closed for their unsent output.
    pub output_limit_disconnections: u64,
    /// Clients closed because all together had too much.
    pub evicted_clients: u64,
    /// Clients closed for their unread input.
    pub query_limit_disconnections: u64,
    /// What clients were denied: commands, keys, channels, being a user.
    pub denials: [u64; REASONS_COUNT],
    /// The last samples of [`CoreCounters::rates`].
    samples: [[u64; SAMPLES_COUNT]; RATES_COUNT],
    sample_index: usize,
    last_sample_ms: i64,
    last_values: [u64; RATES_COUNT],
}

impl CoreCounters {
    /// Takes a sample of the rates; once a tick.
    pub fn sample(&mut self, now_ms: i64, commands_count: u64) {
        let values = [
            commands_count,
            self.bytes_in,
            self.bytes_out,
            self.turns,
            self.turns_ns,
        ];
        let elapsed_ms = (now_ms - self.last_sample_ms).max(0) as u64;
        if self.last_sample_ms != 0 && elapsed_ms > 0 {
            for (kind, value) in values.into_iter().enumerate() {
                let delta = value.saturating_sub(self.last_values[kind]);
                self.samples[kind][self.sample_index] = delta * 1000 / elapsed_ms;
            }
            self.sample_index = (self.sample_index + 1) % SAMPLES_COUNT;
        }
        self.last_sample_ms = now_ms;
        self.last_values = values;
    }

    /// Commands, bytes in, bytes out, turns and nanoseconds in turns a second, averaged over the samples.
    pub fn rates(&self) -> [u64; RATES_COUNT] {
        self.samples
            .map(|samples| samples.iter().sum::<u64>() / SAMPLES_COUNT as u64)
    }

    /// Counts what a client was denied.
    pub fn count_denial(&mut self, reason: Reason) {
        self.denials[reason as usize] += 1;
    }

    /// CONFIG RESETSTAT; as in Redis, denials are counted on.
    pub fn reset(&mut self) {
        *self = Self {
            ticks: self.ticks,
            denials: self.denials,
            ..Self::default()
        };
    }
}

/// What is wanted of a core's figures besides those that lie ready; the others stay at nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted(u16);

impl Wanted {
    /// Nothing but what lies ready.
    pub const NOTHING: Self = Self(0);
    /// What its clients hold and do: those that hold something are looked at.
    pub const CLIENTS: Self = Self(1);
    /// What keys, their tables and Lua take.
    pub const MEMORY: Self = Self(1 << 1);
    /// Keys by database; some are looked at for their deadlines.
    pub const DATABASES: Self = Self(1 << 2);
    /// How many keys there are of each size.
    pub const SIZES: Self = Self(1 << 3);
    /// What types take; some keys are looked at.
    pub const TYPES: Self = Self(1 << 4);
    /// Which keys requests are for; cores look at some from now on, for a while.
    pub const HOT: Self = Self(1 << 5);
    /// All calls together.
    pub const CALLS: Self = Self(1 << 6);
    /// Calls of each command.
    pub const COMMANDS: Self = Self(1 << 7);
    /// How long calls of each command took.
    pub const DURATIONS: Self = Self(1 << 8);
    /// Errors by code.
    pub const ERRORS: Self = Self(1 << 9);
    /// Its log and its disk.
    pub const LOG: Self = Self(1 << 10);
    /// What core 0 knows of snapshots.
    pub const SAVING: Self = Self(1 << 11);
    /// The CPU time of its thread.
    pub const CPU: Self = Self(1 << 12);
    /// Places for keys in the tables of each database.
    pub const PLACES: Self = Self(1 << 13);

    /// Both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether something of `other` is wanted.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a core tells.
#[derive(Clone, Debug, Default)]
pub struct CoreFigures {
    /// Its log, if it has one.
    pub log: Option<super::info::LogFigures>,
    /// Which core.
    pub core: u16,
    /// What core 0 knows of snapshots.
    pub saving: Option<Box<SavingFigures>>,
    /// Its counters.
    pub counters: CoreCounters,
    /// Its clients.
    pub clients_count: u64,
    /// Of those, waiting for a key.
    pub clients_waiting_count: u64,
    /// Of those, with a time at which they stop.
    pub clients_with_timeout_count: u64,
    /// Keys of this core's shard that clients wait for.
    pub waiting_keys_count: u64,
    /// Those whose clients are told when they go.
    pub waiting_on_delete_keys_count: u64,
    /// Of those, watching keys.
    pub clients_watching_count: u64,
    /// Keys of this core's shard that clients watch.
    pub watched_keys_count: u64,
    /// Of those, tracking.
    pub clients_tracking_count: u64,
    /// What this core's shard tracks for clients of any core.
    pub tracked: TrackingCounts,
    /// Of those, waiting for the end of a pause.
    pub clients_paused_count: u64,
    /// Bytes its clients hold.
    pub clients_bytes: u64,
    /// Bytes that no key goes for under `maxmemory`.
    pub uncounted_bytes: u64,
    /// Bytes that its log has not handed over.
    pub log_pending_bytes: u64,
    /// The largest buffer of a client's requests lately.
    pub input_bytes_max: u64,
    /// The most of a client's replies that waited lately, beyond one buffer.
    pub output_bytes_max: u64,
    /// Its keys' statistics.
    pub keyspace: Stats,
    /// By database.
    pub databases: Vec<DatabaseInfo>,
    /// Keys of each database, and the bytes of what leads to them.
    pub tables: Vec<(u64, u64)>,
    /// Places for keys in each database's table, where they were asked for.
    pub places: Vec<u64>,
    /// Sizes of its keys by database, where they were asked for.
    pub sizes: Vec<Sizes>,
    /// What its types take, where that was asked for.
    pub types: TypeSample,
    /// How many requests were looked at, and the keys that most of them were for.
    pub hot: (u64, Vec<HotKey>),
    /// Bytes its tables hold.
    pub keys_bytes: u64,
    /// Room between entries, and in the allocator's pages where that is watched.
    pub slack_bytes: u64,
    /// Percent of its time that compaction takes now.
    pub defrag_effort: u64,
    /// Milliseconds since compaction began, 0 while it rests.
    pub defrag_running_ms: u64,
    /// Values of those still to be freed.
    pub garbage_count: u64,
    /// Bytes that Lua holds.
    pub lua_bytes: u64,
    /// Bytes of the scripts it has compiled.
    pub scripts_bytes: u64,
    /// Bytes that Lua holds for libraries of functions.
    pub lua_functions_bytes: u64,
    /// Changes since the start (`rdb_changes_since_last_save`).
    pub changes: u64,
    /// Calls of all commands together.
    pub calls: CommandFigures,
    /// How long commands have been at work, in nanoseconds.
    pub work_ns: u64,
    /// By command index.
    pub commands: Vec<CommandFigures>,
    /// How long they took, by command index.
    pub durations: Vec<Durations>,
    /// All errors.
    pub errors_count: u64,
    /// Errors by code.
    pub errors: ErrorCounts,
    /// CPU time of this core's thread: user and system, in microseconds.
    pub cpu_us: (u64, u64),
    /// The one CPU its thread may run on, `None` where it may choose.
    pub pinned_cpu: Option<u32>,
}
