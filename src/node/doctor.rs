//! Doctor: `rondo doctor [DIR]` reads the host and says what to change and why. It changes nothing.
//!
//!     good    nothing to do        advice  it works, and would work better        problem  it does not work, or loses what it promises
//!
//! Promises  only files under `/proc` and `/sys` are read; DIR gets one file of a few blocks, removed at once; ends within a second
//!           or two on a healthy disk.
//! Not here  what the settings do to a measurement: `tuning/host.md`.
//! Tests     tests/node/doctor.rs: hosts made of files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::doctor_disk;
use super::ring::Ring;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Grade {
    Good,
    Advice,
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub grade: Grade,
    /// What was looked at.
    pub subject: &'static str,
    /// What is there.
    pub found: String,
    /// What to do, and why; empty where nothing is to be done.
    pub change: String,
}

impl Finding {
    /// Nothing to do.
    pub fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            grade: Grade::Good,
            subject,
            found: found.into(),
            change: String::new(),
        }
    }

    /// Something to do.
    pub fn bad(
        grade: Grade,
        subject: &'static str,
        found: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        Self {
            grade,
            subject,
            found: found.into(),
            change: change.into(),
        }
    }
}

/// The host, as its kernel tells it in files.
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// A host whose `/proc` and `/sys` are below `root`: `/` for this one.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_string())
    }

    fn number(&self, path: &str) -> Option<i64> {
        self.read(path)?.parse().ok()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Everything that files tell. What a kernel does not tell is not looked at.
    pub fn examine(&self) -> Vec<Finding> {
        let looks: [fn(&Host) -> Option<Finding>; 16] = [
            Host::kernel,
            Host::io_uring,
            Host::open_files,
            Host::lockable,
            Host::backlog,
            Host::syn_backlog,
            Host::huge_pages,
            Host::swap,
            Host::governor,
            Host::clock,
            Host::interrupts,
            Host::cpu_quota,
            Host::memory_limit,
            Host::tasks_limit,
            Host::nodes,
            Host::steal,
        ];
        looks.iter().filter_map(|look| look(self)).collect()
    }

    fn kernel(&self) -> Option<Finding> {
        let release = self.read("proc/sys/kernel/osrelease")?;
        let mut parts = release
            .split(['.', '-'])
            .map_while(|part| part.parse::<u32>().ok());
        let version = (parts.next()?, parts.next().unwrap_or(0));
        let found = format!("Linux {release}");
        Some(if version < (6, 1) {
            let why =
                "rondo needs Linux 6.1: multishot receives and ring messages are not there before";
            Finding::bad(Grade::Problem, "kernel", found, why)
        } else if version < (6, 12) {
            let why = "6.12 or later lets a core wait for several requests at once, which saves CPU with many clients";
            Finding::bad(Grade::Advice, "kernel", found, why)
        } else {
            Finding::good("kernel", found)
        })
    }

    fn io_uring(&self) -> Option<Finding> {
        let subject = "io_uring";
        Some(match self.number("proc/sys/kernel/io_uring_disabled")? {
            0 => Finding::good(subject, "kernel.io_uring_disabled = 0"),
            1 => Finding::bad(
                Grade::Advice,
                subject,
                "kernel.io_uring_disabled = 1",
                "only CAP_SYS_ADMIN and members of kernel.io_uring_group may use it: put rondo's group there, or sysctl \
                 kernel.io_uring_disabled=0",
            ),
            _ => Finding::bad(
                Grade::Problem,
                subject,
                "kernel.io_uring_disabled = 2",
                "nobody may use it, and rondo is built on it: sysctl kernel.io_uring_disabled=0",
            ),
        })
    }

    /// A line of `proc/self/limits`: the soft limit; none for unlimited.
    fn limit(&self, name: &str) -> Option<Option<u64>> {
        let limits = self.read("proc/self/limits")?;
        let line = limits.lines().find(|line| line.starts_with(name))?;
        let soft = line[name.len()..].split_whitespace().next()?;
        Some(soft.parse().ok())
    }

    fn open_files(&self) -> Option<Finding> {
        let subject = "open files";
        Some(match self.limit("Max open files")? {
            Some(limit) if limit < 10_100 => Finding::bad(
                Grade::Advice,
                subject,
                limit.to_string(),
                "10,000 clients need 10,100: ulimit -n 65536, or LimitNOFILE=65536 in the unit (rondo raises it itself where the \
                 hard limit allows)",
            ),
            limit => Finding::good(
                subject,
                limit.map_or("unlimited".into(), |limit| limit.to_string()),
            ),
        })
    }

    fn lockable(&self) -> Option<Finding> {
        /// What a core's rings lock at full size.
        const BYTES_PER_CORE: u64 = 800 * 1024;
        let subject = "lockable memory";
        let cores = self.cores() as u64;
        Some(match self.limit("Max locked memory")? {
            Some(limit) if limit < cores * BYTES_PER_CORE => Finding::bad(
                Grade::Advice,
                subject,
                format!("{} KiB for {cores} cores", limit / 1024),
                "each core locks up to 0.8 MB for its rings; with less they are smaller, or the start fails: ulimit -l unlimited, or \
                 LimitMEMLOCK=infinity in the unit",
            ),
            limit => Finding::good(
                subject,
                limit.map_or("unlimited".into(), |limit| format!("{} KiB", limit / 1024)),
            ),
        })
    }

    fn backlog(&self) -> Option<Finding> {
        let found = self.number("proc/sys/net/core/somaxconn")?;
        let text = format!("net.core.somaxconn = {found}");
        Some(if found < 511 {
            let change = "tcp-backlog is cut to it; in a burst of connections the kernel turns some away: sysctl \
                          net.core.somaxconn=4096";
            Finding::bad(Grade::Advice, "backlog", text, change)
        } else {
            Finding::good("backlog", text)
        })
    }

    fn syn_backlog(&self) -> Option<Finding> {
        let found = self.number("proc/sys/net/ipv4/tcp_max_syn_backlog")?;
        let text = format!("net.ipv4.tcp_max_syn_backlog = {found}");
        Some(if found < 512 {
            let change =
                "handshakes of a burst wait here: sysctl net.ipv4.tcp_max_syn_backlog=4096";
            Finding::bad(Grade::Advice, "handshakes", text, change)
        } else {
            Finding::good("handshakes", text)
        })
    }

    fn huge_pages(&self) -> Option<Finding> {
        let subject = "huge pages";
        let text = self.read("sys/kernel/mm/transparent_hugepage/enabled")?;
        let chosen = text.split(['[', ']']).nth(1).unwrap_or(&text);
        let found = format!("transparent_hugepage = {chosen}");
        Some(if chosen == "always" {
            let change = "rondo keeps its memory from it (disable-thp), and its large tables get huge pages here from Linux 6.18 on only. \
                          echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
            Finding::bad(Grade::Advice, subject, found, change)
        } else if chosen == "never" {
            let change = "large tables of keys ask for huge pages and get none: a request among millions of keys takes longer. \
                          echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
            Finding::bad(Grade::Advice, subject, found, change)
        } else {
            Finding::good(subject, found)
        })
    }

    fn swap(&self) -> Option<Finding> {
        let swaps = self.read("proc/swaps")?;
        if swaps.lines().count() < 2 {
            return Some(Finding::good("swap", "none"));
        }
        let found = self.number("proc/sys/vm/swappiness").unwrap_or(60);
        let text = format!("in use, vm.swappiness = {found}");
        Some(if found > 10 {
            let change = "a key that was swapped out takes a disk read inside a request, and its core waits: sysctl vm.swappiness=1, \
                          and set maxmemory below what the machine has";
            Finding::bad(Grade::Advice, "swap", text, change)
        } else {
            Finding::good("swap", text)
        })
    }

    fn governor(&self) -> Option<Finding> {
        let found = self.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")?;
        Some(if found == "performance" {
            Finding::good("frequency", "governor performance")
        } else {
            let change = "a core that slept starts slowly, which shows in the latency of quiet servers: cpupower frequency-set -g \
                          performance";
            Finding::bad(
                Grade::Advice,
                "frequency",
                format!("governor {found}"),
                change,
            )
        })
    }

    fn clock(&self) -> Option<Finding> {
        let found = self.read("sys/devices/system/clocksource/clocksource0/current_clocksource")?;
        Some(match found.as_str() {
            "hpet" | "acpi_pm" | "jiffies" | "refined-jiffies" => Finding::bad(
                Grade::Advice,
                "clock",
                found,
                "reading it is a system call, and every turn of a core reads it: boot with clocksource=tsc if the machine's is stable",
            ),
            _ => Finding::good("clock", found),
        })
    }

    /// Whether the network's interrupts all go to few cores while there are many.
    fn interrupts(&self) -> Option<Finding> {
        const SHARE_MAX: f64 = 0.75;
        let subject = "interrupts";
        let text = self.read("proc/interrupts")?;
        let mut lines = text.lines();
        let cores = lines.next()?.split_whitespace().count();
        let mut counts = vec![0u64; cores];
        let is_network = |name: &str| {
            let name = name.to_ascii_lowercase();
            let words = [
                "eth", "ens", "enp", "eno", "virtio", "mlx", "ena-", "ixgbe", "i40e", "gve",
            ];
            words.iter().any(|word| name.contains(word)) && !name.contains("blk")
        };
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.len() <= cores + 1 || !is_network(&words[cores + 1..].join(" ")) {
                continue;
            }
            for (core, count) in words[1..=cores].iter().enumerate() {
                counts[core] += count.parse::<u64>().unwrap_or(0);
            }
        }
        let total: u64 = counts.iter().sum();
        let (busiest, most) = counts.iter().enumerate().max_by_key(|(_, count)| **count)?;
        if total < 1_000_000 || cores < 4 {
            // Too few to say anything.
            return None;
        }
        let share = *most as f64 / total as f64;
        let found = format!(
            "core {busiest} takes {:.0}% of the network's",
            share * 100.0
        );
        Some(if share > SHARE_MAX {
            let change = "that core's keys are served last: spread them (irqbalance, or /proc/irq/N/smp_affinity_list; \
                          ethtool -L eth0 combined N for more queues)";
            Finding::bad(Grade::Advice, subject, found, change)
        } else {
            Finding::good(subject, found)
        })
    }

    /// The folders of the cgroups that limit this process, its own first: those of version 2, and of version 1 where that has
    /// the controller.
    fn cgroups(&self, controller: &str) -> Vec<String> {
        let lines = self.read("proc/self/cgroup").unwrap_or_default();
        // `0::/system.slice/rondo.service`, `4:cpu,cpuacct:/docker/1f2e`
        let path_of = |is_it: &dyn Fn(&str) -> bool| {
            let mut fields = lines.lines().map(|line| line.splitn(3, ':'));
            let found = fields.find_map(|mut fields| {
                let name = fields.nth(1)?;
                fields.next().filter(|_| is_it(name))
            });
            found.unwrap_or("/").to_string()
        };
        let of_version_1 = |name: &str| name.split(',').any(|of| of == controller);
        let roots = [
            ("sys/fs/cgroup".to_string(), path_of(&str::is_empty)),
            (
                format!("sys/fs/cgroup/{controller}"),
                path_of(&of_version_1),
            ),
        ];
        let mut folders = Vec::new();
        for (root, path) in roots {
            // What is beyond the root of a container's own is not to be seen.
            let mut path = match path.contains("..") {
                true => "",
                false => path.trim_end_matches('/'),
            };
            while let Some((above, _)) = path.rsplit_once('/') {
                folders.push(format!("{root}{path}"));
                path = above;
            }
            folders.push(root);
        }
        folders
    }

    /// The lowest of the limits in these files of cgroups; `u64::MAX` where they limit nothing.
    fn least(&self, controller: &str, names: &[&str]) -> Option<u64> {
        let folders = self.cgroups(controller);
        let files = folders
            .iter()
            .flat_map(|folder| names.iter().map(move |name| (folder, name)));
        let limits = files.filter_map(|(folder, name)| {
            let text = self.read(&format!("{folder}/{name}"))?;
            match text.as_str() {
                "max" => Some(u64::MAX),
                // Version 1 has a whole number of pages for no limit.
                text => text
                    .parse::<u64>()
                    .ok()
                    .map(|limit| if limit < 1 << 62 { limit } else { u64::MAX }),
            }
        });
        limits.min()
    }

    /// How many cores a cgroup gives, by its files; infinitely many where it limits nothing.
    fn quota_of(&self, folder: &str) -> Option<f64> {
        let text = self.read(&format!("{folder}/cpu.max")).or_else(|| {
            let quota = self.read(&format!("{folder}/cpu.cfs_quota_us"))?;
            let period = self.read(&format!("{folder}/cpu.cfs_period_us"))?;
            Some(format!("{quota} {period}"))
        })?;
        let mut words = text.split_whitespace();
        let (quota, period) = (words.next()?, words.next()?);
        match quota {
            "max" | "-1" => Some(f64::INFINITY),
            quota => Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?),
        }
    }

    fn cpu_quota(&self) -> Option<Finding> {
        let folders = self.cgroups("cpu");
        let quotas = folders.iter().filter_map(|folder| self.quota_of(folder));
        let cores = quotas.min_by(f64::total_cmp)?;
        if cores.is_infinite() {
            return Some(Finding::good("CPU quota", "none"));
        }
        let found = format!("{cores:.1} cores");
        Some(if cores.fract() > 0.01 {
            let change = "rondo starts one shard for each whole core, and a quota that runs out stops all of them at once: give whole \
                          cores, best with a cpuset";
            Finding::bad(Grade::Advice, "CPU quota", found, change)
        } else {
            Finding::good("CPU quota", found)
        })
    }

    fn memory_limit(&self) -> Option<Finding> {
        let limit = self.least("memory", &["memory.max", "memory.limit_in_bytes"])?;
        if limit == u64::MAX {
            return Some(Finding::good("memory limit", "none"));
        }
        let mib = limit >> 20;
        let change = format!(
            "the kernel kills a process that goes beyond it: leave a fifth for buffers and set maxmemory {}mb or less",
            mib * 4 / 5
        );
        let found = format!("{mib} MiB");
        Some(Finding::bad(Grade::Advice, "memory limit", found, change))
    }

    fn tasks_limit(&self) -> Option<Finding> {
        let subject = "tasks";
        let limit = self.least("pids", &["pids.max"])?;
        if limit == u64::MAX {
            return Some(Finding::good(subject, "no limit"));
        }
        let cores = self.cores() as u64;
        let wanted = 6 * cores + 10;
        let found = format!("pids.max = {limit} for {cores} cores");
        Some(if limit < wanted {
            let change = format!(
                "each core has up to six threads, the kernel's own for the log among them, and without one the log cannot be \
                 written: TasksMax={wanted} or more in the unit, or --pids-limit of a container"
            );
            Finding::bad(Grade::Advice, subject, found, change)
        } else {
            Finding::good(subject, found)
        })
    }

    fn nodes(&self) -> Option<Finding> {
        let names = self.names("sys/devices/system/node");
        let is_node = |name: &&String| {
            name.strip_prefix("node")
                .is_some_and(|rest| rest.parse::<u32>().is_ok())
        };
        let count = names.iter().filter(is_node).count();
        Some(match count {
            0 => return None,
            1 => Finding::good("NUMA", "one node"),
            _ => Finding::bad(
                Grade::Advice,
                "NUMA",
                format!("{count} nodes"),
                "cores of two nodes exchange requests over the slower link: one rondo on each node (server-cpulist, and numactl \
                 --membind) serves more",
            ),
        })
    }

    fn steal(&self) -> Option<Finding> {
        let stat = self.read("proc/stat")?;
        let fields: Vec<u64> = stat
            .lines()
            .next()?
            .split_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        let total: u64 = fields.iter().take(8).sum();
        let share = *fields.get(7)? as f64 / total.max(1) as f64;
        let found = format!("{:.1}% of the time since the start", share * 100.0);
        Some(if share > 0.02 {
            let change = "the machine's cores were given to others: latency jumps by milliseconds; ask for dedicated cores";
            Finding::bad(Grade::Advice, "steal", found, change)
        } else {
            Finding::good("steal", found)
        })
    }

    fn cores(&self) -> usize {
        super::process::allowed_cpus().len().max(1)
    }
}

/// Whether this process can have the ring it needs.
fn ring() -> Finding {
    match Ring::new(super::process::lockable_bytes_per_core(1)) {
        Ok(_) => Finding::good("ring", "one was made, with everything rondo needs of it"),
        Err(error) => Finding::bad(Grade::Problem, "ring", "none", error.remedy),
    }
}

/// Examines this host and, for the data, `dir`. The text to print, and whether nothing is a problem.
pub fn report(dir: &Path) -> (String, bool) {
    let mut findings = vec![ring()];
    findings.extend(Host::at("/").examine());
    findings.extend(doctor_disk::examine(dir));
    (
        text_of(&findings),
        findings
            .iter()
            .all(|finding| finding.grade < Grade::Problem),
    )
}

/// Findings as lines, what matters most at the end, where a terminal leaves the eye.
pub fn text_of(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.grade);
    let mut text = String::new();
    for finding in sorted {
        let grade = match finding.grade {
            Grade::Good => "good",
            Grade::Advice => "advice",
            Grade::Problem => "PROBLEM",
        };
        let Finding {
            subject,
            found,
            change,
            ..
        } = finding;
        let _ = write!(text, "{grade:8} {subject:16} {found}");
        if !change.is_empty() {
            let _ = write!(text, "\n{:25} {change}", "");
        }
        text.push('\n');
    }
    text
}
