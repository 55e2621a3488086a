//! How a server is started by others: in the background, under a supervisor.

use super::client::{Client, Value, ok};
use super::harness::{BINARY, eventually, free_port, new_dir};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

/// Field `index` after the name in /proc/PID/stat; none where the process is gone.
fn stat(pid: &str, index: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(')')?.1;
    rest.split_whitespace().nth(index).map(str::to_string)
}

#[test]
fn a_server_goes_into_the_background() {
    let dir = new_dir();
    let port = free_port();
    let pidfile = dir.join("rondo.pid");
    let config = dir.join("redis.conf");
    let text = format!(
        "daemonize yes\nport {port}\nbind 127.0.0.1\nthreads 1\npin-threads no\ndir {}\npidfile {}\nlogfile log\n",
        dir.display(),
        pidfile.display()
    );
    std::fs::write(&config, text).expect("a file in a new folder");
    let status = Command::new(BINARY)
        .arg(&config)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .status()
        .expect("the binary starts");
    assert!(status.success());
    // It listens before it says who it is.
    let mut pid = String::new();
    eventually("it answers", || {
        pid = std::fs::read_to_string(&pidfile).unwrap_or_default();
        pid.ends_with('\n') && Client::try_connect(port).is_ok()
    });
    let pid = pid.trim();
    assert!(dir.join("log").exists());
    // The session is its own: the shell's end is not its end.
    assert_eq!(stat(pid, 3).as_deref(), Some(pid));
    let mut client = Client::connect(port);
    assert_eq!(client.ask("SET key value"), ok());
    client.send(b"SHUTDOWN NOSAVE\r\n");
    eventually("the pidfile is gone", || !pidfile.exists());
    eventually("the process has ended", || {
        stat(pid, 0).is_none_or(|state| state == "Z")
    });
    let _ = std::fs::remove_dir_all(&dir);
}

/// What cannot be read a second time cannot be handed on.
#[test]
fn standard_input_does_not_go_into_the_background() {
    let output = Command::new(BINARY)
        .args(["-", "--daemonize", "yes"])
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("daemonize needs its configuration"));
}

#[test]
fn systemd_hears_of_the_start_and_of_the_end() {
    let dir = new_dir();
    let port = free_port();
    let path = dir.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket in a new folder");
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .expect("a limit");
    let mut child = Command::new(BINARY)
        // Under a supervisor nobody goes into the background, whatever the file says.
        .args(["--supervised", "systemd", "--daemonize", "yes"])
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--threads", "2", "--pin-threads", "no"])
        .args(["--dir", &dir.display().to_string()])
        .env("NOTIFY_SOCKET", &path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let hear = || {
        let mut bytes = [0; 200];
        let length = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert!(hear().contains("READY=1\n"));
    let mut client = Client::connect(port);
    client.send(b"SHUTDOWN NOSAVE\r\n");
    assert!(hear().contains("STOPPING=1\n"));
    assert!(child.wait().expect("it ends").success());
    let _ = std::fs::remove_dir_all(&dir);
}

/// The log as one object a line.
#[test]
fn the_log_may_be_json() {
    let server = super::harness::Server::start(1, &["--log-format", "json"]);
    let ready = "\"message\":\"Ready to accept connections tcp\"";
    super::harness::eventually("the last line", || server.log().contains(ready));
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines.len() >= 2, "{log}");
    for line in lines {
        assert!(
            line.starts_with("{\"timestamp\":\"") && line.ends_with('}'),
            "{line}"
        );
    }
}

/// This very host can run a server, or no other test here could pass.
#[test]
fn the_doctor_finds_a_ring_and_a_disk() {
    let dir = new_dir();
    let output = Command::new(BINARY)
        .arg("doctor")
        .arg(&dir)
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("good     ring "), "{text}");
    assert!(text.contains(" sync "), "{text}");
    assert_eq!(output.status.success(), !text.contains("PROBLEM"));
    // Nothing is left behind.
    assert_eq!(std::fs::read_dir(&dir).expect("it is a folder").count(), 0);
    let output = Command::new(BINARY)
        .args(["doctor", "/nowhere/at/all"])
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("data folder"));
    let _ = std::fs::remove_dir_all(&dir);
}

/// Who is in the background has nowhere to say it but its log; what concerns the log itself is said before.
#[test]
fn a_start_in_the_background_that_fails_says_why() {
    let server = super::harness::Server::start(1, &[]);
    let log = server.dir.join("second.log");
    let start = |dir: &str| {
        Command::new(BINARY)
            .args(["--daemonize", "yes", "--bind", "127.0.0.1", "--dir", dir])
            .args(["--port", &server.port.to_string()])
            .args(["--logfile", &log.display().to_string()])
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts")
    };
    let output = start("/nowhere/at/all");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("cannot use dir '/nowhere/at/all'"), "{text}");
    assert!(start(&server.dir.display().to_string()).status.success());
    eventually("the log says it", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("in use"))
    });
}

/// Who waits for a start is not told of one that fails.
#[test]
fn systemd_hears_nothing_of_a_start_that_fails() {
    let dir = new_dir();
    let path = dir.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket in a new folder");
    socket.set_nonblocking(true).expect("a socket");
    std::fs::write(dir.join("dump.rdb"), "no such file").expect("a file in a new folder");
    for log in ["yes", "no"] {
        let output = Command::new(BINARY)
            .args(["--supervised", "systemd", "--appendonly", log])
            .args(["--port", &free_port().to_string(), "--bind", "127.0.0.1"])
            .args(["--threads", "2", "--pin-threads", "no"])
            .args(["--dir", &dir.display().to_string()])
            .env("NOTIFY_SOCKET", &path)
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("Ready to accept connections"), "{text}");
        let mut bytes = [0; 200];
        let error = socket.recv(&mut bytes).expect_err("nothing to hear");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    let _ = std::fs::remove_dir_all(&dir);
}

/// The end of the terminal it was started from is not its end, nor are signals that Redis has other uses for.
#[test]
fn a_hangup_ends_nothing() {
    let server = super::harness::Server::start(1, &[]);
    let mut client = server.client();
    assert_eq!(client.ask("SET key value"), ok());
    for signal in ["HUP", "ALRM", "USR2"] {
        server.signal(signal);
        for _ in 0..3 {
            assert_eq!(server.client().ask("GET key").text(), "value", "{signal}");
        }
    }
}

/// The CPUs that each core's thread may run on, as the kernel names them, in the order of the cores.
fn cpus_of_cores(server: &super::harness::Server) -> Vec<String> {
    let tasks = format!("/proc/{}/task", server.pid());
    let mut found: Vec<(usize, u32, String)> = std::fs::read_dir(tasks)
        .expect("it runs")
        .flatten()
        .filter_map(|task| {
            let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
            // rondo-0-1, where others are called rondo-files.
            let name = read("comm")?;
            let core = name.strip_prefix("rondo-")?.split('-').next()?;
            let status = read("status")?;
            let mut lines = status.lines();
            let cpus = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((core.trim().parse().ok()?, id, cpus.trim().to_string()))
        })
        .collect();
    // A core's executor has a thread of the same name, which begins later.
    found.sort();
    found.dedup_by_key(|(core, _, _)| *core);
    found.into_iter().map(|(_, _, cpus)| cpus).collect()
}

/// Threads that are as many as CPUs have one each; several servers with fewer are not all on the first ones.
#[test]
fn threads_stay_where_they_have_a_cpu_for_themselves() {
    let cpus = rondo::node::process::allowed_cpus();
    let all = std::fs::read_to_string("/proc/self/status").expect("a process");
    let all = all
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let all = all.expect("what is allowed").trim();
    let started = |threads, extra: &[&str]| super::harness::Server::start(threads, extra);
    let auto = ["--pin-threads", "auto"];
    let each: Vec<String> = cpus.iter().map(usize::to_string).collect();
    if cpus.len() <= 16 {
        assert_eq!(cpus_of_cores(&started(cpus.len(), &auto)), each);
        let shared = vec![all.to_string(); cpus.len() + 1];
        assert_eq!(cpus_of_cores(&started(cpus.len() + 1, &auto)), shared);
    }
    if cpus.len() > 1 {
        assert_eq!(cpus_of_cores(&started(1, &auto)), [all]);
        let last = each[cpus.len() - 1].as_str();
        let words = ["--pin-threads", "auto", "--server-cpulist", last];
        assert_eq!(cpus_of_cores(&started(1, &words)), [last]);
    }
    let server = started(1, &["--pin-threads", "yes"]);
    assert_eq!(cpus_of_cores(&server), [each[0].clone()]);
}

/// What of a list there is gets used, and the log says what was wrong with it.
#[test]
fn a_list_of_cpus_that_falls_short_is_used_as_far_as_it_goes() {
    let cpus = rondo::node::process::allowed_cpus();
    let first = cpus[0].to_string();
    let start = |threads, list: &str| {
        let words = ["--pin-threads", "auto", "--server-cpulist", list];
        super::harness::Server::start(threads, &words)
    };
    let server = start(2, &first);
    assert_eq!(cpus_of_cores(&server), vec![first.clone(); 2]);
    assert!(server.log().contains("more threads than CPUs"));
    if cpus.contains(&1023) {
        return; // Whatever may be named is there.
    }
    let server = start(1, &format!("{first},1023"));
    assert_eq!(cpus_of_cores(&server), vec![first]);
    let log = server.log();
    assert!(log.contains("CPUs that this process cannot have"), "{log}");
    assert!(log.contains("1023"), "{log}");
    let log = start(1, "1023").log();
    assert!(log.contains("no CPU of server-cpulist"), "{log}");
}

/// Where the address space is limited nothing that fails for it later would say so.
#[test]
fn a_small_address_space_is_told_of() {
    let dir = new_dir();
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\"", BINARY])
        // Nobody has this address: that is the end of it.
        .args(["--bind", "198.51.100.7", "--threads", "1"])
        .args(["--dir", &dir.display().to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("RLIMIT_AS"), "{text}");
    let _ = std::fs::remove_dir_all(&dir);
}

/// A file that may grow no further is as a full disk is: a snapshot fails, and the keys are still there.
#[test]
fn a_limit_of_the_size_of_files_ends_no_server() {
    let dir = new_dir();
    let port = free_port();
    let mut server = Command::new("sh")
        // Blocks of 512 bytes: one megabyte.
        .args(["-c", "ulimit -f 2048 && exec \"$0\" \"$@\"", BINARY])
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--threads", "2", "--pin-threads", "no"])
        .args(["--dir", &dir.display().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    eventually("it answers", || Client::try_connect(port).is_ok());
    let mut client = Client::connect(port);
    let value: String = (0..1_000_000).map(|index| format!("{index:x},")).collect();
    assert_eq!(client.ask(&format!("SET key {value}")), ok());
    let refused = client.ask("SAVE");
    assert!(matches!(refused, Value::Error(_)), "{refused:?}");
    assert_eq!(client.ask("STRLEN key"), Value::Integer(value.len() as i64));
    client.send(b"SHUTDOWN NOSAVE\r\n");
    assert!(server.wait().expect("it ends").success());
    let _ = std::fs::remove_dir_all(&dir);
}
