//! Options in force: what the typed options mean to a shard, a connection and the process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Peer;
use super::folder::{self, Folder};
use super::log;
use super::log_lines;
use super::option_values::parse_cpus;
use super::options::{Options, OutputLimit};
use crate::base::hash::KeyHasher;
use crate::commands::acl::Users;
use crate::keyspace::access::AccessPolicy;
use crate::keyspace::evict::EvictionPolicy;
use crate::keyspace::{EncodingLimits, KeyspaceOptions, SlotMap};
use crate::shard::{CycleBudget, MemoryOptions, Shard};

impl Options {
    /// Output limits of a client, by whether it is subscribed to something.
    pub fn output_limit(&self, is_subscribed: bool) -> OutputLimit {
        self.client_output_buffer_limit[if is_subscribed { 2 } else { 0 }]
    }

    /// Whether DEBUG may be used by a client that is, or is not, on this machine.
    pub fn debug_allowed(&self, is_local: bool) -> bool {
        match self.enable_debug_command {
            "yes" => true,
            "local" => is_local,
            _ => false,
        }
    }

    /// Whether new users hear every channel.
    pub fn new_users_hear_all(&self) -> bool {
        self.acl_pubsub_default == "allchannels"
    }

    /// What a tick may spend: a step looks at one entry or one segment, about 20 ns.
    pub fn cycle_budget(&self) -> CycleBudget {
        let budget = CycleBudget::default();
        CycleBudget {
            expire_steps: budget.expire_steps * self.active_expire_effort.clamp(1, 10) as usize,
            ..budget
        }
    }

    /// Time between ticks.
    pub fn tick(&self) -> Duration {
        Duration::from_millis(1000 / self.hz.clamp(1, 500) as u64)
    }

    /// Where small encodings are traded for large ones.
    pub fn encoding_limits(&self) -> EncodingLimits {
        let number = |name: &str| self.held_number(name);
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(0);
        EncodingLimits {
            hash_max_listpack_entries: size("hash-max-listpack-entries"),
            hash_max_listpack_value: size("hash-max-listpack-value"),
            list_max_listpack_size: number("list-max-listpack-size"),
            list_compress_depth: size("list-compress-depth"),
            list_packed_threshold: None,
            set_max_intset_entries: size("set-max-intset-entries"),
            set_max_listpack_entries: size("set-max-listpack-entries"),
            set_max_listpack_value: size("set-max-listpack-value"),
            zset_max_listpack_entries: size("zset-max-listpack-entries"),
            zset_max_listpack_value: size("zset-max-listpack-value"),
            hll_sparse_max_bytes: size("hll-sparse-max-bytes"),
            stream_node_max_bytes: size("stream-node-max-bytes"),
            stream_node_max_entries: size("stream-node-max-entries"),
            stream_idmp_duration: size("stream-idmp-duration") as u64,
            stream_idmp_maxsize: size("stream-idmp-maxsize"),
        }
    }

    /// Whether the held option `name` has this value.
    pub fn is_held(&self, name: &str, value: &str) -> bool {
        let spec = super::options::find(name.as_bytes());
        spec.is_some_and(|spec| spec.get(self) == value)
    }

    /// Which of so many cores has which key.
    pub fn slot_map(&self, cores_count: usize) -> SlotMap {
        SlotMap::new(cores_count as u16).with_groups(self.key_groups)
    }

    /// The CPUs of `server-cpulist`, empty where it is.
    pub fn server_cpus(&self) -> Vec<usize> {
        let list = self.held.get("server-cpulist");
        list.and_then(|list| parse_cpus(list)).unwrap_or_default()
    }

    /// The value of a held option that is a number, sizes in bytes.
    pub fn held_number(&self, name: &str) -> i64 {
        self.held_text(name).parse().unwrap_or(0)
    }

    /// The value of a held option.
    pub(super) fn held_text(&self, name: &str) -> String {
        let spec = super::options::find(name.as_bytes());
        spec.map(|spec| spec.get(self)).unwrap_or_default()
    }

    /// `maxmemory` in bytes, 0 for no limit.
    pub fn maxmemory(&self) -> u64 {
        self.held_text("maxmemory").parse().unwrap_or(0)
    }

    /// What shards are to know of the limit of memory.
    pub(super) fn memory_options(&self) -> MemoryOptions {
        MemoryOptions {
            bytes_max: self.maxmemory(),
            policy: EvictionPolicy::of_name(self.maxmemory_policy),
            samples: usize::try_from(self.held_number("maxmemory-samples")).unwrap_or(5),
            tenacity: u8::try_from(self.held_number("maxmemory-eviction-tenacity")).unwrap_or(10),
        }
    }

    /// What access clocks track.
    pub fn access_policy(&self) -> AccessPolicy {
        let mut policy = AccessPolicy::default();
        policy.lfu_log_factor = u32::try_from(self.lfu_log_factor).unwrap_or(u32::MAX);
        policy.lfu_decay_minutes = u32::try_from(self.lfu_decay_time).unwrap_or(u32::MAX);
        // The option's own check allows known names only.
        policy.set_name(self.maxmemory_policy);
        policy.has_limit = self.maxmemory() > 0;
        policy
    }
}

/// What a shard's keyspace starts with.
pub fn keyspace_options(
    options: &Options,
    hasher: &KeyHasher,
    slots: SlotMap,
    shard: u16,
) -> KeyspaceOptions {
    KeyspaceOptions {
        databases: u16::try_from(options.databases).unwrap_or(16),
        hasher: hasher.clone(),
        slots,
        shard,
        seed: hasher.hash(&shard.to_le_bytes()),
        access: options.access_policy(),
        value_bytes_max: options.proto_max_bulk_len as u64,
    }
}

/// Puts live options in force on a shard.
pub fn apply_to_shard(options: &Options, shard: &mut Shard) {
    shard.keys.set_access_policy(options.access_policy());
    shard
        .keys
        .set_value_bytes_max(options.proto_max_bulk_len as u64);
    shard.keys.set_lazy_flush(options.lazyfree_lazy_user_flush);
    shard.keys.set_limits(options.encoding_limits());
    shard.keys.set_compresses_dumps(options.rdbcompression);
    shard.set_memory_options(options.memory_options());
    shard.figures_mut().set_tracking(options.latency_tracking);
    shard.keys.set_shown_events(options.notify_keyspace_events);
}

/// Puts live options in force that belong to the process; called once, on core 0.
///
/// Errors: the whole error line of CONFIG SET; nothing has changed.
pub fn apply_to_process(options: &mut Options, changed: &[&'static str]) -> Result<(), String> {
    for name in changed {
        match *name {
            "loglevel" => log::set_level(options.loglevel),
            "proc-title-template" | "port" | "tls-port" | "bind" => show_title(options),
            "log-format" | "log-timestamp-format" => {
                log_lines::set(options.log_format, options.log_timestamp_format);
            }
            "oom-score-adj" | "oom-score-adj-values" => {
                super::process::adjust_oom_score(options).map_err(|error| {
                    tracing::warn!(%error, "cannot write the OOM score");
                    let reason = "Failed to set current oom_score_adj. Check server logs.";
                    super::options::config_set_failed(name, reason)
                })?;
            }
            "maxmemory" => warn_of_little_memory(options),
            "dir" => enter_dir(options)
                .map_err(|reason| super::options::config_set_failed("dir", &reason))?,
            "maxclients" => {
                let wanted = u32::try_from(options.maxclients).unwrap_or(u32::MAX);
                let reached = super::process::raise_open_files(wanted, options.threads as usize);
                if reached < wanted {
                    let reason = format!(
                        "The operating system is not able to handle the specified number of clients, try with {reached}"
                    );
                    return Err(super::options::config_set_failed("maxclients", &reason));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says so where the buffers that every core has anyway leave little of `maxmemory` to keys.
pub(super) fn warn_of_little_memory(options: &Options) {
    let cores_count = u64::try_from(options.threads).unwrap_or(1).max(1);
    let buffers_bytes = cores_count * super::ring::BUFFERS_BYTES as u64;
    let maxmemory = options.maxmemory();
    if maxmemory > 0 && maxmemory < 2 * buffers_bytes {
        tracing::warn!(
            maxmemory,
            buffers_bytes,
            "maxmemory is small: what all cores receive into counts as well, whatever there is of keys; fewer threads take less"
        );
    }
}

/// Shows the process title; one that cannot be shown is no reason to refuse anything.
pub(super) fn show_title(options: &Options) {
    if let Err(error) = super::title::show(options) {
        tracing::warn!(%error, "cannot set the process title");
    }
}

/// Goes to the working directory; from then on `dir` is its absolute path, where that is a text.
pub fn enter_dir(options: &mut Options) -> Result<(), String> {
    Folder::open(Path::new(&options.dir))
        .and_then(|folder| folder::enter(Arc::new(folder)))
        .map_err(|error| super::config_file::system_reason(&error))?;
    options.dir = folder::working_option(&options.dir);
    Ok(())
}

/// Why a client is turned away before its first request: protected mode, and it is not on this machine.
pub fn protection(options: &Options, users: &Users, peer: &Peer) -> Option<&'static str> {
    let is_protected = options.protected_mode && users.default_user().takes_any_password();
    if !is_protected || peer.is_local() {
        return None;
    }
    Some(
        // Clients and scanners know this text by heart.
        "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the \
         default user. In this mode connections are only accepted from the loopback interface. If you want to connect \
         from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
         sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the \
         same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. \
         Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by \
         editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the \
         server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' \
         option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above \
         things in order for the server to start accepting connections from the outside.\r\n",
    )
}
