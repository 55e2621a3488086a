//! What takes memory: INFO's section, MEMORY STATS, MEMORY DOCTOR, from the same figures.
//!
//!     used      = startup + clients + index + values           what rondo has asked for and not given back
//!     active    = used + room between the entries of spans     what that needs of the allocator
//!     resident  = anonymous pages in memory
//!
//! Promises  Redis's names and order; a field stands here only where its figure is true for rondo.
//! Tests     tests/node/info.rs, tests/server/memory.rs.

use std::fmt::Write;

use super::core::Core;
use super::figures::CoreFigures;
use super::{process, ring};
use crate::commands::session::MemoryRequest;
use crate::resp::Reply;

/// MEMORY DOCTOR says nothing about less than this.
const DOCTOR_BYTES_MIN: u64 = 5 << 20;

/// Bytes, if nothing else is said.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct MemoryFigures {
    /// What the process has allocated.
    pub used: u64,
    /// Most that `used` has been.
    pub peak: u64,
    /// When that was, in seconds since the epoch.
    pub peak_time_s: i64,
    /// Bytes of what is known of clients that cache keys.
    pub tracking: u64,
    pub resident: u64,
    /// Of `resident`, what is no file's.
    pub resident_anonymous: u64,
    /// `used` before the first client came.
    pub startup: u64,
    /// Tables of keys, without the entries.
    pub index: u64,
    /// Room between blocks that are in use.
    pub slack: u64,
    /// Percent of a core's time that compaction takes, where it takes most.
    pub defrag_effort: u64,
    pub system_total: u64,
    /// Query and output buffers.
    pub clients: u64,
    pub clients_count: u64,
    /// News of evicted keys, and what is on its way to files.
    pub uncounted: u64,
    /// What logs have not handed over.
    pub log_pending: u64,
    pub keys_count: u64,
    /// `maxmemory`.
    pub limit: u64,
    pub policy: String,
    /// `mimalloc`.
    pub allocator: String,
    /// Values waiting to be freed in the background, and those freed so.
    pub lazyfree_pending: u64,
    pub lazyfreed: u64,
    /// What Lua holds on all cores.
    pub lua: u64,
    /// Compiled scripts' texts on all cores.
    pub scripts: u64,
    pub scripts_count: u64,
    /// What Lua holds for libraries on all cores.
    pub lua_functions: u64,
    /// Libraries' texts, which all cores share.
    pub functions: u64,
    pub functions_count: u64,
    pub libraries_count: u64,
    /// Databases with keys, and what their tables take.
    pub databases: Vec<(u16, u64)>,
}

impl Core {
    /// The cores' figures, added up.
    pub(super) fn memory_figures(&self, cores: &[CoreFigures]) -> MemoryFigures {
        let sum = |field: fn(&CoreFigures) -> u64| cores.iter().map(field).sum::<u64>();
        let startup = cores.len() as u64 * ring::BUFFERS_BYTES as u64;
        let clients = sum(|core| core.clients_bytes);
        let functions = self.mesh.board().functions.figures();
        // The cores answer one after the other: under a limit, what one gives and another takes in between would count twice.
        let of_scripts =
            |core: &CoreFigures| core.lua_bytes + core.scripts_bytes + core.lua_functions_bytes;
        let scripts = sum(of_scripts) + functions.code_bytes as u64;
        let tracking = sum(|core| core.tracked.bytes as u64);
        let used = match self.options.maxmemory() {
            0 => startup + clients + scripts + tracking + sum(|core| core.keys_bytes),
            _ => self.shard.ledger().used(),
        };
        let (resident, resident_anonymous) = process::resident_bytes();
        let databases_count = cores.iter().map(|core| core.tables.len()).max();
        let databases = (0..databases_count.unwrap_or(0)).filter_map(|db| {
            let tables = || cores.iter().filter_map(|core| core.tables.get(db));
            let keys_count: u64 = tables().map(|(keys, _)| keys).sum();
            (keys_count > 0).then(|| (db as u16, tables().map(|(_, index)| index).sum()))
        });
        let (scripts_count, _) = self.mesh.board().scripts.counts();
        let peak = super::memory::remember_peak(used, self.now_ms);
        MemoryFigures {
            used,
            peak: peak.bytes,
            peak_time_s: peak.time_s,
            tracking,
            resident,
            resident_anonymous,
            startup,
            index: sum(|core| core.tables.iter().map(|(_, index)| index).sum()),
            slack: sum(|core| core.slack_bytes),
            defrag_effort: cores
                .iter()
                .map(|core| core.defrag_effort)
                .max()
                .unwrap_or(0),
            system_total: process::machine_bytes(),
            clients,
            clients_count: sum(|core| core.clients_count),
            uncounted: sum(|core| core.uncounted_bytes),
            log_pending: sum(|core| core.log_pending_bytes),
            keys_count: sum(|core| core.tables.iter().map(|(keys, _)| keys).sum()),
            limit: self.options.maxmemory(),
            policy: self.options.maxmemory_policy.to_string(),
            allocator: "mimalloc".into(),
            lazyfree_pending: sum(|core| core.garbage_count),
            lazyfreed: sum(|core| core.keyspace.lazyfreed_objects),
            lua: sum(|core| core.lua_bytes),
            scripts: sum(|core| core.scripts_bytes),
            scripts_count: scripts_count as u64,
            lua_functions: sum(|core| core.lua_functions_bytes),
            functions: functions.code_bytes as u64,
            functions_count: functions.functions_count as u64,
            libraries_count: functions.libraries_count as u64,
            databases: databases.collect(),
        }
    }
}

impl MemoryFigures {
    /// What is no data.
    fn overhead(&self) -> u64 {
        self.startup + self.clients + self.machines() + self.texts() + self.tracking + self.index
    }

    fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// The part of what came after the start that is data, in percent.
    fn dataset_percent(&self) -> f64 {
        let grown = self.used.saturating_sub(self.startup).max(1);
        ratio(self.dataset().min(grown), grown) * 100.0
    }

    /// What all Lua machines hold.
    fn machines(&self) -> u64 {
        self.lua + self.lua_functions
    }

    /// Texts of scripts and libraries.
    fn texts(&self) -> u64 {
        self.scripts + self.functions
    }

    fn active(&self) -> u64 {
        self.used + self.slack
    }

    /// INFO's lines.
    pub fn write_info(&self, out: &mut String) {
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let _ = write!(out, "{name}:{value}\r\n");
        };
        let ratio_text = |part, whole| format!("{:.2}", ratio(part, whole));
        line("used_memory", &self.used);
        line("used_memory_human", &human(self.used));
        line("used_memory_rss", &self.resident);
        line("used_memory_rss_human", &human(self.resident));
        line("used_memory_peak", &self.peak);
        line("used_memory_peak_human", &human(self.peak));
        line("used_memory_peak_time", &self.peak_time_s);
        let peak_percent = ratio(self.used, self.peak) * 100.0;
        line("used_memory_peak_perc", &format!("{peak_percent:.2}%"));
        line("used_memory_overhead", &self.overhead());
        line("used_memory_startup", &self.startup);
        line("used_memory_dataset", &self.dataset());
        let dataset_percent = self.dataset_percent();
        line(
            "used_memory_dataset_perc",
            &format!("{dataset_percent:.2}%"),
        );
        line("allocator_allocated", &self.used);
        line("allocator_active", &self.active());
        line("allocator_resident", &self.resident_anonymous);
        line("allocator_muzzy", &0);
        line("total_system_memory", &self.system_total);
        line("total_system_memory_human", &human(self.system_total));
        line("used_memory_lua", &self.lua);
        line("used_memory_vm_eval", &self.lua);
        line("used_memory_lua_human", &human(self.lua));
        line("used_memory_scripts_eval", &self.scripts);
        line("number_of_cached_scripts", &self.scripts_count);
        line("number_of_functions", &self.functions_count);
        line("number_of_libraries", &self.libraries_count);
        line("used_memory_vm_functions", &self.lua_functions);
        line("used_memory_vm_total", &self.machines());
        line("used_memory_vm_total_human", &human(self.machines()));
        line("used_memory_functions", &self.functions);
        line("used_memory_scripts", &self.texts());
        line("used_memory_scripts_human", &human(self.texts()));
        line("maxmemory", &self.limit);
        line("maxmemory_human", &human(self.limit));
        line("maxmemory_policy", &self.policy);
        let (active, resident) = (self.active(), self.resident_anonymous);
        line("allocator_frag_ratio", &ratio_text(active, self.used));
        line("allocator_frag_bytes", &self.slack);
        line("allocator_rss_ratio", &ratio_text(resident, active));
        line("allocator_rss_bytes", &difference(resident, active));
        line("rss_overhead_ratio", &ratio_text(self.resident, resident));
        line("rss_overhead_bytes", &difference(self.resident, resident));
        let fragmentation = ratio_text(self.resident, self.used);
        line("mem_fragmentation_ratio", &fragmentation);
        let fragmentation_bytes = difference(self.resident, self.used);
        line("mem_fragmentation_bytes", &fragmentation_bytes);
        line("mem_not_counted_for_evict", &self.uncounted);
        line("mem_replication_backlog", &0);
        line("mem_total_replication_buffers", &0);
        line("mem_replica_full_sync_buffer", &0);
        line("mem_clients_slaves", &0);
        line("mem_clients_normal", &self.clients);
        line("mem_cluster_links", &0);
        line("mem_aof_buffer", &self.log_pending);
        line("mem_allocator", &self.allocator);
        line("mem_overhead_db_hashtable_rehashing", &0);
        line("active_defrag_running", &self.defrag_effort);
        line("lazyfree_pending_objects", &self.lazyfree_pending);
        line("lazyfreed_objects", &self.lazyfreed);
    }

    /// Answers one of MEMORY's requests.
    pub fn answer(&self, request: MemoryRequest, reply: &mut Reply<'_>) {
        let text = match request {
            MemoryRequest::Stats => return self.write_stats(reply),
            MemoryRequest::Doctor => self.doctor(),
            MemoryRequest::Allocator => self.allocator_text(),
            MemoryRequest::Purge => return reply.ok(),
        };
        reply.verbatim(b"txt", text.as_bytes());
    }

    /// MEMORY STATS.
    pub fn write_stats(&self, reply: &mut Reply<'_>) {
        let keys_count = self.keys_count;
        let grown = self.used.saturating_sub(self.startup);
        let (active, resident) = (self.active(), self.resident_anonymous);
        let whole = |value: u64| Figure::Whole(value as i64);
        let before = [
            ("peak.allocated", whole(self.peak)),
            ("total.allocated", whole(self.used)),
            ("startup.allocated", whole(self.startup)),
            ("replication.backlog", whole(0)),
            ("replica.fullsync.buffer", whole(0)),
            ("clients.slaves", whole(0)),
            ("clients.normal", whole(self.clients)),
            ("cluster.links", whole(0)),
            ("aof.buffer", whole(0)),
            ("lua.caches", whole(self.scripts)),
            ("functions.caches", whole(self.functions)),
            ("script.VMs", whole(self.machines())),
        ];
        let after = [
            ("overhead.db.hashtable.lut", whole(self.index)),
            ("overhead.db.hashtable.rehashing", whole(0)),
            ("overhead.total", whole(self.overhead())),
            ("db.dict.rehashing.count", whole(0)),
            ("keys.count", whole(keys_count)),
            (
                "keys.bytes-per-key",
                whole(grown.checked_div(keys_count).unwrap_or(0)),
            ),
            ("dataset.bytes", whole(self.dataset())),
            ("dataset.percentage", Figure::Part(self.dataset_percent())),
            (
                "peak.percentage",
                Figure::Part(ratio(self.used, self.peak) * 100.0),
            ),
            ("allocator.allocated", whole(self.used)),
            ("allocator.active", whole(active)),
            ("allocator.resident", whole(resident)),
            ("allocator.muzzy", whole(0)),
            (
                "allocator-fragmentation.ratio",
                Figure::Part(ratio(active, self.used)),
            ),
            ("allocator-fragmentation.bytes", whole(self.slack)),
            ("allocator-rss.ratio", Figure::Part(ratio(resident, active))),
            (
                "allocator-rss.bytes",
                Figure::Whole(difference(resident, active)),
            ),
            (
                "rss-overhead.ratio",
                Figure::Part(ratio(self.resident, resident)),
            ),
            (
                "rss-overhead.bytes",
                Figure::Whole(difference(self.resident, resident)),
            ),
            (
                "fragmentation",
                Figure::Part(ratio(self.resident, self.used)),
            ),
            (
                "fragmentation.bytes",
                Figure::Whole(difference(self.resident, self.used)),
            ),
        ];
        reply.map(before.len() + self.databases.len() + after.len());
        write_figures(reply, &before);
        for (db, index_bytes) in &self.databases {
            reply.bulk(format!("db.{db}").as_bytes());
            // Deadlines lie in the entries: there is no table of them.
            let tables = [
                ("overhead.hashtable.main", whole(*index_bytes)),
                ("overhead.hashtable.expires", whole(0)),
            ];
            reply.map(tables.len());
            write_figures(reply, &tables);
        }
        write_figures(reply, &after);
    }

    /// MEMORY DOCTOR.
    pub fn doctor(&self) -> String {
        if self.used < DOCTOR_BYTES_MIN {
            return "There is too little data here for a judgement: come back when there is more than 5 MiB.\n"
                .to_string();
        }
        let mut findings = Vec::new();
        let mut find = |is_so: bool, text: String| {
            if is_so {
                findings.push(text);
            }
        };
        find(
            ratio(self.peak, self.used) > 1.5,
            format!(
                "Peak: {} were in use once, {} are now. What was freed is given back to the system in spans of 64 KiB, \
                 so a resident size above what is in use may be left of that time; MEMORY PURGE hurries it.",
                human(self.peak),
                human(self.used)
            ),
        );
        find(
            ratio(self.active(), self.used) > 1.1 && self.slack > 10 << 20,
            format!(
                "Room between values: {} lie between values of changing sizes. New ones will use it.",
                human(self.slack)
            ),
        );
        find(
            ratio(self.resident_anonymous, self.active()) > 1.1
                && difference(self.resident_anonymous, self.active()) > 10 << 20,
            format!(
                "Allocator: {} more are resident than are in use or lie between values. MEMORY PURGE gives back what it can.",
                human(self.resident_anonymous.saturating_sub(self.active()))
            ),
        );
        find(
            self.clients_count > 0 && self.clients / self.clients_count > 200 << 10,
            format!(
                "Clients: {} of buffers for {} clients is much. CLIENT LIST shows whose (tot-mem); \
                 client-output-buffer-limit and maxmemory-clients set limits.",
                human(self.clients),
                self.clients_count
            ),
        );
        find(
            self.limit > 0 && self.limit > self.system_total,
            format!(
                "Limit: maxmemory is {}, the machine has {}. The system would end the process before the limit does anything.",
                human(self.limit),
                human(self.system_total)
            ),
        );
        if findings.is_empty() {
            return "Nothing to complain about: what is resident is what is in use, and clients take little.\n".to_string();
        }
        let mut text = String::from("What could be better:\n\n");
        for finding in findings {
            let _ = writeln!(text, " * {finding}\n");
        }
        text
    }

    /// MEMORY MALLOC-STATS: what is known of the allocator from outside.
    pub fn allocator_text(&self) -> String {
        let mut text = String::new();
        let rows = [
            ("in use", self.used),
            ("of that, tables of keys", self.index),
            ("of that, clients", self.clients),
            ("between blocks in use", self.slack),
            ("anonymous pages resident", self.resident_anonymous),
            ("resident", self.resident),
            ("most ever resident", process::resident_bytes_peak()),
        ];
        let _ = writeln!(
            text,
            "Entries and tables of keys: spans of 64 KiB per shard, one size class to a span.\nAll else: {}.",
            self.allocator
        );
        for (name, bytes) in rows {
            let _ = writeln!(text, "{bytes:>16}  {name}");
        }
        text
    }
}

enum Figure {
    Whole(i64),
    Part(f64),
}

fn write_figures(reply: &mut Reply<'_>, figures: &[(&str, Figure)]) {
    for (name, figure) in figures {
        reply.bulk(name.as_bytes());
        match figure {
            Figure::Whole(value) => reply.integer(*value),
            Figure::Part(value) => reply.double(*value),
        }
    }
}

/// 1.50M, as Redis writes sizes for people.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "K", "M", "G", "T", "P"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes}B"),
        unit => format!("{value:.2}{}", UNITS[unit]),
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn difference(larger: u64, smaller: u64) -> i64 {
    larger as i64 - smaller as i64
}
