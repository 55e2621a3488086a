//! How a server is started by others: in the background, under a supervisor.

use super::client::{Client, ok};
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
    assert!(String::from_utf8_lossy(&output.stderr).contains("data folder"));
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

/// The end of the terminal it was started from is not its end.
#[test]
fn a_hangup_ends_nothing() {
    let server = super::harness::Server::start(1, &[]);
    let mut client = server.client();
    assert_eq!(client.ask("SET key value"), ok());
    server.signal("HUP");
    for _ in 0..3 {
        assert_eq!(server.client().ask("GET key").text(), "value");
    }
}
