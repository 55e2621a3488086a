//! INFO: what each core tells of itself, and all of it added up.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::client_row::listed_output_bytes;
use super::connection::Blocked;
use super::core::Core;
use super::figures::{CoreFigures, Wanted};
use super::info::{self, InfoFigures};
use super::process;
use crate::base::crc64::crc64;
use crate::commands::identity::RONDO_VERSION;
use crate::commands::pubsub::Subject;
use crate::commands::table;
use crate::ds::spare_mappings;
use crate::keyspace::Sizes;
use crate::keyspace::stats::{DatabaseInfo, Stats};
use crate::shard::figures::{CommandFigures, Durations, ErrorCounts};
use crate::shard::type_sample::TypeSample;

/// Facts of the process that do not change.
struct Identity {
    start: Instant,
    run_id: String,
    replication_id: String,
    /// Of the binary: its version, its length, and when it was made.
    build_id: u64,
    os: String,
    executable: String,
}

static SUPERVISED: OnceLock<&str> = OnceLock::new();

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let hex_id = || {
            // Two draws from the operating system's randomness, through the crate that draws them for the key hash.
            let digits: String = (0..3u64)
                .map(|part| {
                    format!(
                        "{:016x}",
                        crate::base::hash::KeyHasher::random().hash(&part.to_le_bytes())
                    )
                })
                .collect();
            digits[..40].to_string()
        };
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        Identity {
            start: Instant::now(),
            run_id: hex_id(),
            replication_id: hex_id(),
            build_id: build_id(),
            os: format!(
                "Linux {} {}",
                read("/proc/sys/kernel/osrelease"),
                std::env::consts::ARCH
            ),
            executable: std::env::current_exe()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
        }
    })
}

/// What tells one binary from another; its bytes alone would take long to read.
pub fn build_id() -> u64 {
    let about = std::env::current_exe().and_then(std::fs::metadata);
    let (bytes_count, made) = about.map_or((0, None), |about| (about.len(), about.modified().ok()));
    let made = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
    let made_s = made.map_or(0, |made| made.as_secs());
    let text = format!("{RONDO_VERSION} {bytes_count} {made_s}");
    crc64(0, text.as_bytes())
}

/// Fixes what INFO says of the start; call once, before the first client.
///
/// - `supervised`: who is told that the server is ready.
pub fn remember_start(supervised: &'static str) {
    identity();
    SUPERVISED.get_or_init(|| supervised);
}

impl Core {
    /// This core's part of what is wanted; what is not costs nothing.
    pub(super) fn figures(&mut self, wanted: Wanted) -> CoreFigures {
        let mut figures = self.figures_at_hand();
        if wanted.has(Wanted::CLIENTS.or(Wanted::MEMORY)) {
            self.settle_clients_memory();
            self.add_clients(&mut figures);
        }
        if wanted.has(Wanted::MEMORY) {
            self.add_memory(&mut figures);
        }
        let keys = &mut self.shard.keys;
        if wanted.has(Wanted::DATABASES) {
            let databases = 0..keys.databases_count();
            figures.databases = databases.map(|db| keys.database_info(db)).collect();
        }
        if wanted.has(Wanted::PLACES) {
            let databases = 0..keys.databases_count();
            figures.places = databases.map(|db| keys.places_count(db)).collect();
        }
        if wanted.has(Wanted::SIZES) {
            figures.sizes = keys.sizes();
        }
        let commands = self.shard.figures();
        if wanted.has(Wanted::CALLS) {
            (commands.iter()).for_each(|command| figures.calls.add_counts(command));
            figures.work_ns = self.shard.work_ns();
        }
        if wanted.has(Wanted::DURATIONS) {
            figures.durations = commands.iter().map(CommandFigures::durations).collect();
        }
        if wanted.has(Wanted::COMMANDS) {
            figures.commands = commands.iter().map(CommandFigures::counts).collect();
        }
        if wanted.has(Wanted::ERRORS) {
            figures.errors = self.shard.error_counts().clone();
        }
        if wanted.has(Wanted::LOG) {
            figures.log = self.log_figures();
        }
        if wanted.has(Wanted::SAVING) && self.id == 0 {
            figures.saving = Some(Box::new(self.saving_figures()));
        }
        if wanted.has(Wanted::CPU) {
            figures.cpu_us = process::thread_cpu_us();
        }
        if wanted.has(Wanted::HOT) {
            figures.hot = self.hot_keys();
        }
        if wanted.has(Wanted::TYPES) {
            figures.types = self.types();
        }
        figures
    }

    /// What is a number already.
    fn figures_at_hand(&self) -> CoreFigures {
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        CoreFigures {
            core: self.id,
            counters: self.counters.clone(),
            clients_count: u64::from(flags.connections_count.load(Ordering::Relaxed)),
            clients_waiting_count: (self.waiting.len() + self.waits_for_disk.len()) as u64,
            clients_with_timeout_count: self.waiting.deadlines_count() as u64,
            clients_tracking_count: self.tracking.clients_count() as u64,
            tracked: self.shard.keys.tracking_counts(),
            keyspace: *self.shard.keys.stats(),
            defrag_effort: self.compaction.effort,
            defrag_running_ms: self.compaction.running_ms(self.now_ms),
            changes: self.shard.changes_count(),
            errors_count: self.shard.error_counts().total(),
            pinned_cpu: process::pinned_cpu(),
            ..CoreFigures::default()
        }
    }

    /// What clients hold and do. Those at rest are not looked at.
    fn add_clients(&self, figures: &mut CoreFigures) {
        figures.waiting_keys_count = self.shard.waiting_counts().1 as u64;
        figures.waiting_on_delete_keys_count = self.shard.waiting_on_delete_count() as u64;
        figures.watched_keys_count = self.shard.watched_keys_count() as u64;
        figures.clients_bytes = self.clients_bytes() as u64;
        let now_s = self.now_ms / 1000;
        let (mut recent_input, mut recent_output) = (self.recent_input, self.recent_output);
        for connection in self.active_connections() {
            let block = connection.block.as_ref();
            let watched = block.and_then(|block| block.watched.as_ref());
            let watches = watched
                .is_some_and(|watched| !watched.keys.is_empty() && !watched.watch.is_touched());
            figures.clients_watching_count += u64::from(watches);
            let is_paused = connection.blocked == Some(Blocked::Paused);
            figures.clients_paused_count += u64::from(is_paused);
            recent_input.note(now_s, connection.input_buffer_bytes() as u64);
            recent_output.note(now_s, listed_output_bytes(connection) as u64);
        }
        figures.input_bytes_max = recent_input.max(now_s);
        figures.output_bytes_max = recent_output.max(now_s);
    }

    /// What keys, their tables and Lua take.
    fn add_memory(&mut self, figures: &mut CoreFigures) {
        figures.uncounted_bytes = self.uncounted_bytes() as u64;
        let keys = &self.shard.keys;
        let databases = 0..keys.databases_count();
        let table = |db| (keys.keys_count(db) as u64, keys.index_bytes(db) as u64);
        figures.tables = databases.map(table).collect();
        figures.keys_bytes = keys.used_bytes() as u64;
        let free_bytes = self.compaction.heap_free_bytes + spare_mappings::bytes();
        figures.slack_bytes = (keys.slack_bytes() + free_bytes) as u64;
        figures.garbage_count = keys.garbage_count() as u64;
        figures.lua_bytes = self.scripts.engine.lua_bytes() as u64;
        figures.scripts_bytes = self.scripts.engine.scripts_bytes() as u64;
        figures.lua_functions_bytes = self.functions.lua_bytes() as u64;
        let log = self.shard.log();
        figures.log_pending_bytes = log.map_or(0, |log| log.pending_bytes() as u64);
    }

    /// INFO's text for these sections.
    pub fn info(&self, mut cores: Vec<CoreFigures>, sections: &[Vec<u8>]) -> String {
        cores.sort_by_key(|core| core.core);
        let sum = |field: fn(&CoreFigures) -> u64| cores.iter().map(field).sum::<u64>();
        let max = |field: fn(&CoreFigures) -> u64| cores.iter().map(field).max().unwrap_or(0);
        let mut keyspace = Stats::default();
        cores.iter().for_each(|core| keyspace.add(&core.keyspace));
        let mut errors = ErrorCounts::default();
        cores.iter().for_each(|core| errors.add(&core.errors));
        let mut calls = CommandFigures::default();
        (cores.iter()).for_each(|core| calls.add_counts(&core.calls));
        let is_selected = |name| info::is_selected(name, sections);
        let loops_count = cores.len().max(1) as u64;
        let (eviction_exceeded_ms, eviction_exceeded_now_ms) =
            self.shard.ledger().exceeded_ms(self.now_ms);
        let rates =
            cores
                .iter()
                .map(|core| core.counters.rates())
                .fold([0; 5], |mut sums, rates| {
                    sums.iter_mut()
                        .zip(rates)
                        .for_each(|(sum, rate)| *sum += rate);
                    sums
                });
        let board = self.mesh.board();
        let directory = &board.directory;
        let names_count = |subject| directory.roll(subject).names_count() as u64;
        let options = &self.options;
        let saving = cores.iter().find_map(|core| core.saving.as_deref());
        let saving = saving.cloned().unwrap_or_default();
        let figures = InfoFigures {
            tls: match is_selected("TLS") {
                true => super::tls_figures::in_force(),
                false => Default::default(),
            },
            server: match is_selected("Server") {
                true => self.server_figures(),
                false => info::ServerFigures {
                    time_us: self.now_us,
                    ..Default::default()
                },
            },
            clients: info::ClientsFigures {
                connected: u64::from(board.clients_count.load(Ordering::Relaxed)),
                maxclients: options.maxclients as u64,
                input_buffer_bytes_max: cores
                    .iter()
                    .map(|core| core.input_bytes_max)
                    .max()
                    .unwrap_or(0),
                output_buffer_bytes_max: cores
                    .iter()
                    .map(|core| core.output_bytes_max)
                    .max()
                    .unwrap_or(0),
                blocked: sum(|core| core.clients_paused_count + core.clients_waiting_count),
                blocking_keys: sum(|core| core.waiting_keys_count),
                blocking_keys_on_no_key: sum(|core| core.waiting_on_delete_keys_count),
                with_timeout: sum(|core| core.clients_with_timeout_count),
                pubsub: directory.clients_count.load(Ordering::Relaxed) as u64,
                watching: sum(|core| core.clients_watching_count),
                watched_keys: sum(|core| core.watched_keys_count),
                tracking: sum(|core| core.clients_tracking_count),
                paused: sum(|core| core.clients_paused_count),
                pause: (self.pause.filter(|pause| pause.until_ms > self.now_ms)).map(|pause| {
                    let left_ms = u64::try_from(pause.until_ms - self.now_ms);
                    (left_ms.unwrap_or(0), pause.writes_only)
                }),
            },
            memory: match is_selected("Memory") {
                true => self.memory_figures(&cores),
                false => Default::default(),
            },
            persistence: info::PersistenceFigures {
                changes: sum(|core| core.changes).saturating_sub(saving.changes_saved),
                saving,
                logs: cores.iter().filter_map(|core| core.log.clone()).collect(),
            },
            stats: info::StatsFigures {
                pubsub_channels: names_count(Subject::Channel),
                pubsub_patterns: names_count(Subject::Pattern),
                pubsub_shard_channels: names_count(Subject::ShardChannel),
                tracked_keys: sum(|core| core.tracked.keys as u64),
                tracked_items: sum(|core| core.tracked.items as u64),
                // Every shard knows all of them.
                tracked_prefixes: cores.first().map_or(0, |core| core.tracked.prefixes as u64),
                connections_received: sum(|core| core.counters.connections_received),
                commands_processed: calls.calls(),
                ops_per_second: rates[0],
                input_bytes: sum(|core| core.counters.bytes_in),
                output_bytes: sum(|core| core.counters.bytes_out),
                input_kbps: rates[1] as f64 / 1024.0,
                output_kbps: rates[2] as f64 / 1024.0,
                rejected_connections: sum(|core| core.counters.connections_rejected),
                expired_keys: keyspace.expired_keys,
                expired_keys_active: keyspace.expired_keys_active,
                expired_fields: keyspace.expired_fields,
                expired_fields_active: keyspace.expired_fields_active,
                stale_percent: keyspace.stale_millionths as f64 / 1e4 / cores.len().max(1) as f64,
                expire_lag_ms_max: keyspace.expire_lag_ms_max,
                expire_lag_ms_mean: keyspace
                    .expire_lag_ms_sum
                    .checked_div(keyspace.expired_keys_active)
                    .unwrap_or(0),
                expire_time_cap_reached: sum(|core| core.counters.cycles_over_budget),
                expire_cpu_ms: sum(|core| core.counters.cycle_ns) / 1_000_000,
                evicted_keys: keyspace.evicted_keys,
                evicted_scripts: self.mesh.board().scripts.counts().1,
                evicted_clients: sum(|core| core.counters.evicted_clients),
                eviction_exceeded_ms,
                eviction_exceeded_now_ms,
                reads: sum(|core| core.counters.reads),
                writes: sum(|core| core.counters.writes),
                tls_handed_over: sum(|core| core.counters.tls_handed_over),
                defrag_hits: sum(|core| core.counters.defrag_hits),
                defrag_misses: sum(|core| core.counters.defrag_misses),
                defrag_running_ms: cores
                    .iter()
                    .map(|core| core.defrag_running_ms)
                    .max()
                    .unwrap_or(0),
                defrag_ms: sum(|core| core.counters.defrag_ns) / 1_000_000,
                denials: std::array::from_fn(|reason| {
                    cores.iter().map(|core| core.counters.denials[reason]).sum()
                }),
                keyspace_hits: keyspace.keyspace_hits,
                keyspace_misses: keyspace.keyspace_misses,
                error_replies: sum(|core| core.errors_count),
                payloads_checked: keyspace.payloads_checked,
                reply_buffers_outgrown: sum(|core| core.counters.reply_buffers_outgrown),
                query_limit_disconnections: sum(|core| core.counters.query_limit_disconnections),
                output_limit_disconnections: sum(|core| core.counters.output_limit_disconnections),
                transactions: sum(|core| core.counters.transactions),
                transaction_retries: sum(|core| core.counters.transaction_retries),
                turns: sum(|core| core.counters.turns) / loops_count,
                turns_us: sum(|core| core.counters.turns_ns) / 1000 / loops_count,
                turn_us_max: max(|core| core.counters.turn_ns_max) / 1000,
                turn_commands_max: max(|core| core.counters.turn_commands_max),
                ticks_us: sum(|core| core.counters.ticks_ns) / 1000 / loops_count,
                log_us: sum(|core| core.counters.log_ns) / 1000 / loops_count,
                commands_us: sum(|core| core.work_ns) / 1000 / loops_count,
                turns_per_second: rates[3] / loops_count,
                turn_us: rates[4].checked_div(rates[3]).unwrap_or(0) / 1000,
            },
            cpu: match is_selected("CPU") {
                true => cpu_figures(cores.first()),
                false => Default::default(),
            },
            backlog_bytes: match is_selected("Replication") {
                true => u64::try_from(options.held_number("repl-backlog-size")).unwrap_or(0),
                false => 0,
            },
            replication_id: identity().replication_id.clone(),
            commands: self.command_figures(&cores),
            errors: {
                let by_code = errors.iter().map(|(code, count)| (code.to_string(), count));
                by_code.collect::<BTreeMap<_, _>>().into_iter().collect()
            },
            keyspace: databases(&cores),
            sizes: sizes(&cores),
            hot_keys: self.looks_at_hot_keys(),
            types: types(&cores),
            cores: cores.iter().map(core_row).collect(),
        };
        info::render(&figures, sections)
    }

    fn server_figures(&self) -> info::ServerFigures {
        let options = &self.options;
        info::ServerFigures {
            os: identity().os.clone(),
            build_id: identity().build_id,
            process_id: std::process::id(),
            run_id: identity().run_id.clone(),
            tcp_port: options.port as u16,
            time_us: self.now_us,
            uptime_s: identity().start.elapsed().as_secs(),
            hz: options.hz as u32,
            configured_hz: options.hz as u32,
            supervised: SUPERVISED.get().copied().unwrap_or("no").to_string(),
            lru_clock: (self.now_ms / 1000) as u32 & 0x00ff_ffff,
            executable: identity().executable.clone(),
            config_file: self.config_file.to_string(),
            zone: options.availability_zone.clone(),
            threads: self.mesh.cores_count() as u32,
            listeners: self.listener_lines(),
        }
    }

    fn listener_lines(&self) -> Vec<(usize, String)> {
        let options = &self.options;
        let binds = options.bind.iter();
        let binds: String = binds.map(|address| format!(",bind={address}")).collect();
        let mut lines = Vec::new();
        if options.port > 0 {
            lines.push((0, format!("name=tcp{binds},port={}", options.port)));
        }
        if !options.unixsocket.is_empty() {
            lines.push((1, format!("name=unix,bind={}", options.unixsocket)));
        }
        if let Some(port) = super::tls::port(options) {
            lines.push((2, format!("name=tls{binds},port={port}")));
        }
        lines
    }

    /// Commands that were called, where cores were asked for them.
    fn command_figures(&self, cores: &[CoreFigures]) -> Vec<info::CommandFigures> {
        let percentiles = &self.options.latency_tracking_info_percentiles;
        let is_tracked = self.options.latency_tracking;
        if cores.iter().all(|core| core.commands.is_empty()) {
            return Vec::new();
        }
        let visible = table().rows().filter(|entry| entry.is_visible());
        let called = visible.filter_map(|entry| {
            // What COMMAND hides is one command to clients: its subcommands count as the whole.
            let hidden = entry.sub.iter().filter(|sub| !sub.is_visible());
            let indexes = || {
                let entries = std::iter::once(entry).chain(hidden.clone());
                entries.map(|entry| usize::from(entry.index))
            };
            let mut total = CommandFigures::default();
            let mut durations = Durations::default();
            for (core, index) in cores
                .iter()
                .flat_map(|core| indexes().map(move |at| (core, at)))
            {
                if let Some(row) = core.commands.get(index) {
                    total.add_counts(row);
                }
                // Nobody may have asked for them: then the cores have sent none.
                if let Some(row) = core.durations.get(index).filter(|_| is_tracked) {
                    durations.add(row);
                }
            }
            if total.calls() + total.rejected_count + total.failed_count == 0 {
                return None;
            }
            let us = |percentile| durations.at_percentile(percentile) as f64 / 1000.0;
            let latency_us = match durations.is_empty() {
                true => Vec::new(),
                false => percentiles.iter().map(|&it| (it, us(it))).collect(),
            };
            Some(info::CommandFigures {
                full_name: entry.full_name,
                calls: total.calls(),
                time_us: total.nanoseconds / 1000,
                rejected: total.rejected_count,
                failed: total.failed_count,
                latency_us,
            })
        });
        called.collect()
    }
}

/// - `first`: the core whose thread accepts connections.
fn cpu_figures(first: Option<&CoreFigures>) -> info::CpuFigures {
    let (user_us, system_us) = process::process_cpu_us();
    let main_us = first.map_or((0, 0), |core| core.cpu_us);
    info::CpuFigures {
        system_s: system_us as f64 / 1e6,
        user_s: user_us as f64 / 1e6,
        main_user_s: main_us.0 as f64 / 1e6,
        main_system_s: main_us.1 as f64 / 1e6,
    }
}

fn types(cores: &[CoreFigures]) -> TypeSample {
    let mut total = TypeSample::default();
    cores.iter().for_each(|core| total.add(&core.types));
    total
}

fn sizes(cores: &[CoreFigures]) -> Vec<Sizes> {
    let mut total = Vec::new();
    for (db, sizes) in cores.iter().flat_map(|core| core.sizes.iter().enumerate()) {
        if total.len() <= db {
            total.resize_with(db + 1, Sizes::default);
        }
        total[db].add(sizes);
    }
    total
}

/// The databases that have keys, over all cores.
pub(super) fn databases(cores: &[CoreFigures]) -> Vec<info::KeyspaceFigures> {
    let count = cores
        .iter()
        .map(|core| core.databases.len())
        .max()
        .unwrap_or(0);
    (0..count)
        .filter_map(|db| {
            let mut total = DatabaseInfo::default();
            cores
                .iter()
                .filter_map(|core| core.databases.get(db))
                .for_each(|part| total.add(part));
            (total.keys > 0).then_some(info::KeyspaceFigures {
                db: db as u16,
                keys: total.keys,
                expires: total.expires,
                avg_ttl_ms: total.avg_ttl_ms,
                dated_hashes: total.dated_hashes,
            })
        })
        .collect()
}

fn core_row(core: &CoreFigures) -> info::CoreFigures {
    info::CoreFigures {
        connections: core.clients_count,
        keys: core.tables.iter().map(|(keys, _)| keys).sum(),
        bytes: core.keys_bytes,
        local: core.counters.local_requests,
        hops_out: core.counters.hops_out,
        hops_in: core.counters.hops_in,
        moves_in: core.counters.moves_in,
        moves_out: core.counters.moves_out,
        reads: core.counters.reads,
        writes: core.counters.writes,
        cpu_s: (core.cpu_us.0 + core.cpu_us.1) as f64 / 1e6,
        turns: core.counters.turns,
        turns_s: core.counters.turns_ns as f64 / 1e9,
        cpu: core.pinned_cpu,
    }
}
