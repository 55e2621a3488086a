//! The doctor, on hosts made of files.

use rondo::node::doctor::{Finding, Grade, Host, text_of};
use rondo::node::doctor_disk::has_option;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A host's files in a folder that is gone when the test ends.
struct Files(PathBuf);

impl Files {
    fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("rondo-host-{}-{number}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Files(root)
    }

    fn examine(&self) -> Vec<Finding> {
        Host::at(&self.0).examine()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The one finding of a host of one file.
fn finding(path: &str, text: &str) -> (Grade, String, String) {
    let findings = Files::with(&[(path, text)]).examine();
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = &findings[0];
    (finding.grade, finding.found.clone(), finding.change.clone())
}

#[test]
fn each_setting_is_graded_and_what_is_bad_says_what_to_do() {
    let limits = |name: &str, soft: &str| {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units\n{name:26}{soft:21}unlimited            x\n"
        )
    };
    let interrupts = |first: u64| {
        format!(
            "           CPU0       CPU1       CPU2       CPU3\n  24:  {first}  10  10  10  PCI-MSI  virtio0-input.0\n \
             25:  9000000 1 1 1 PCI-MSI virtio1-blk\nLOC: 1 1 1 1 Local timer interrupts\n 26: 1000000 1000000 0 0 x eth0-TxRx-1\n"
        )
    };
    for (path, text, grade, found) in [
        (
            "proc/sys/kernel/osrelease",
            "5.15.0-91-generic\n",
            Grade::Problem,
            "Linux 5.15.0-91-generic",
        ),
        (
            "proc/sys/kernel/osrelease",
            "6.1.0-13-amd64",
            Grade::Advice,
            "Linux 6.1.0-13-amd64",
        ),
        ("proc/sys/kernel/osrelease", "7.0", Grade::Good, "Linux 7.0"),
        (
            "proc/sys/kernel/io_uring_disabled",
            "0\n",
            Grade::Good,
            "= 0",
        ),
        (
            "proc/sys/kernel/io_uring_disabled",
            "1\n",
            Grade::Advice,
            "= 1",
        ),
        (
            "proc/sys/kernel/io_uring_disabled",
            "2\n",
            Grade::Problem,
            "= 2",
        ),
        (
            "proc/self/limits",
            &limits("Max open files", "1024"),
            Grade::Advice,
            "1024",
        ),
        (
            "proc/self/limits",
            &limits("Max open files", "65536"),
            Grade::Good,
            "65536",
        ),
        (
            "proc/self/limits",
            &limits("Max locked memory", "65536"),
            Grade::Advice,
            "64 KiB",
        ),
        (
            "proc/self/limits",
            &limits("Max locked memory", "unlimited"),
            Grade::Good,
            "unlimited",
        ),
        (
            "proc/sys/net/core/somaxconn",
            "128",
            Grade::Advice,
            "somaxconn = 128",
        ),
        (
            "proc/sys/net/core/somaxconn",
            "4096",
            Grade::Good,
            "somaxconn = 4096",
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never",
            Grade::Advice,
            "= always",
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "always [madvise] never",
            Grade::Good,
            "= madvise",
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "always madvise [never]",
            Grade::Advice,
            "= never",
        ),
        (
            "proc/swaps",
            "Filename Type Size Used Priority\n",
            Grade::Good,
            "none",
        ),
        (
            "proc/swaps",
            "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
            Grade::Advice,
            "vm.swappiness = 60",
        ),
        (
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "powersave\n",
            Grade::Advice,
            "powersave",
        ),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "hpet\n",
            Grade::Advice,
            "hpet",
        ),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "kvm-clock\n",
            Grade::Good,
            "kvm-clock",
        ),
        (
            "proc/interrupts",
            &interrupts(20_000_000),
            Grade::Advice,
            "core 0 takes 95%",
        ),
        (
            "proc/interrupts",
            &interrupts(100),
            Grade::Good,
            "core 0 takes 50%",
        ),
        ("sys/fs/cgroup/cpu.max", "max 100000\n", Grade::Good, "none"),
        (
            "sys/fs/cgroup/cpu.max",
            "200000 100000\n",
            Grade::Good,
            "2.0 cores",
        ),
        (
            "sys/fs/cgroup/cpu.max",
            "150000 100000\n",
            Grade::Advice,
            "1.5 cores",
        ),
        (
            "sys/fs/cgroup/memory.max",
            "1073741824\n",
            Grade::Advice,
            "1024 MiB",
        ),
        (
            "sys/devices/system/node/node0/cpulist",
            "0-3",
            Grade::Good,
            "one node",
        ),
        (
            "proc/stat",
            "cpu  90 0 0 0 0 0 0 10 0 0\ncpu0 1\n",
            Grade::Advice,
            "10.0%",
        ),
        (
            "proc/stat",
            "cpu  90 0 0 900 0 0 0 1 0 0\n",
            Grade::Good,
            "0.1%",
        ),
    ] {
        let (graded, said, change) = finding(path, text);
        assert!(
            graded == grade && said.contains(found),
            "{path} {text}: {graded:?} {said}"
        );
        assert_eq!(change.is_empty(), grade == Grade::Good, "{path}: {change}");
    }
    let two_nodes = Files::with(&[
        ("sys/devices/system/node/node0/cpulist", "0-3"),
        ("sys/devices/system/node/node1/cpulist", "4-7"),
    ]);
    assert_eq!(two_nodes.examine()[0].grade, Grade::Advice);
}

/// A limit is that of the process's own cgroup or of any above it, in either version: a unit of systemd has no root of its own.
#[test]
fn limits_of_cgroups_are_those_of_the_process() {
    let unit = ("proc/self/cgroup", "0::/system.slice/rondo.service\n");
    let of_unit = |name: &str| format!("sys/fs/cgroup/system.slice/rondo.service/{name}");
    let of_slice = |name: &str| format!("sys/fs/cgroup/system.slice/{name}");
    let found = |files: &[(&str, &str)]| {
        let findings = Files::with(files).examine();
        let said = findings
            .iter()
            .map(|finding| format!("{}: {}", finding.subject, finding.found));
        said.collect::<Vec<_>>()
    };
    let (memory, slice_memory) = (of_unit("memory.max"), of_slice("memory.max"));
    let (quota, tasks) = (of_unit("cpu.max"), of_unit("pids.max"));
    for (own, above, expected) in [
        ("max", "max", "memory limit: none"),
        ("1073741824", "max", "memory limit: 1024 MiB"),
        ("1073741824", "536870912", "memory limit: 512 MiB"),
    ] {
        assert_eq!(
            found(&[unit, (&memory, own), (&slice_memory, above)]),
            [expected]
        );
    }
    assert_eq!(
        found(&[unit, (&quota, "150000 100000")]),
        ["CPU quota: 1.5 cores"]
    );
    let said = found(&[unit, (&tasks, "9")]);
    assert!(said[0].starts_with("tasks: pids.max = 9 for "), "{said:?}");
    assert_eq!(found(&[unit, (&tasks, "max")]), ["tasks: no limit"]);
    let few = Files::with(&[unit, (&tasks, "9")]).examine();
    assert_eq!(few[0].grade, Grade::Advice);
    let many = Files::with(&[unit, (&tasks, "1000000")]).examine();
    assert_eq!(many[0].grade, Grade::Good);

    let lines = "5:memory:/jail\n4:cpu,cpuacct:/jail\n3:pids:/jail\n0::/\n";
    let groups = ("proc/self/cgroup", lines);
    let none = (
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712",
    );
    let limit = (
        "sys/fs/cgroup/memory/jail/memory.limit_in_bytes",
        "167772160",
    );
    assert_eq!(found(&[groups, none]), ["memory limit: none"]);
    assert_eq!(found(&[groups, none, limit]), ["memory limit: 160 MiB"]);
    let period = ("sys/fs/cgroup/cpu/jail/cpu.cfs_period_us", "100000");
    for (quota, expected) in [
        ("-1", "CPU quota: none"),
        ("200000", "CPU quota: 2.0 cores"),
    ] {
        let quota = ("sys/fs/cgroup/cpu/jail/cpu.cfs_quota_us", quota);
        assert_eq!(found(&[groups, quota, period]), [expected]);
    }
    let said = found(&[groups, ("sys/fs/cgroup/pids/jail/pids.max", "9")]);
    assert!(said[0].starts_with("tasks: pids.max = 9 for "), "{said:?}");

    // A container sees its own as the root, whatever its path is outside.
    let outside = ("proc/self/cgroup", "0::/../../docker/1f2e\n");
    let root = ("sys/fs/cgroup/memory.max", "1073741824");
    assert_eq!(found(&[outside, root]), ["memory limit: 1024 MiB"]);
}

/// Nonsense in place of numbers, and files that are not there, are not looked at.
#[test]
fn what_is_not_told_is_not_judged() {
    assert_eq!(Files::with(&[]).examine(), []);
    let files = Files::with(&[
        ("proc/sys/kernel/osrelease", "unknown"),
        ("proc/sys/net/core/somaxconn", "x"),
        ("proc/interrupts", ""),
        ("proc/self/limits", "Max open files"),
        ("proc/stat", "cpu"),
        ("sys/fs/cgroup/cpu.max", "1"),
    ]);
    assert_eq!(files.examine(), []);
}

#[test]
fn options_of_a_mount_are_those_of_its_device() {
    let mounts = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
                  27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard,resuid=65534\n\
                  31 27 254:16 / /data rw,noatime - ext4 /dev/vdb rw,discarded\n";
    let device = nix::libc::makedev;
    assert_eq!(has_option(mounts, device(254, 0), "discard"), Some(true));
    assert_eq!(has_option(mounts, device(254, 16), "discard"), Some(false));
    assert_eq!(has_option(mounts, device(254, 16), "noatime"), Some(true));
    assert_eq!(has_option(mounts, device(254, 1), "discard"), None);
    assert_eq!(
        has_option("no such text\n", device(254, 0), "discard"),
        None
    );
}

#[test]
fn what_matters_most_stands_last() {
    let findings = [
        Finding::bad(Grade::Problem, "a", "bad", "mend it"),
        Finding::good("b", "fine"),
        Finding::bad(Grade::Advice, "c", "meh", "better"),
    ];
    let text = text_of(&findings);
    let subjects: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| &line[9..10])
        .collect();
    assert_eq!(subjects, ["b", "c", "a"]);
    assert!(text.ends_with("mend it\n"));
}

/// Containers run rondo under a profile of system calls: it has those that the code makes itself.
#[test]
fn the_profile_of_containers_allows_what_the_code_calls() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = fs::read_to_string(root.join("tuning/deploy/seccomp.json")).unwrap();
    let mut named = 0;
    let mut files = vec![root.join("src/node")];
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(fs::read_dir(file).unwrap().map(|it| it.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let numbers = text.split("libc::SYS_").skip(1);
        let by_name = text.contains("libc::getpriority(").then_some("getpriority");
        for rest in numbers.chain(by_name) {
            let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            assert!(profile.contains(&format!("\"{name}\"")), "{name}");
            named += 1;
        }
    }
    assert!(named >= 3, "{named} calls were found");
}
