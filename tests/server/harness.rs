//! A server of the built binary, on a port of its own, in a folder of its own, for one test.

use super::client::Client;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const BINARY: &str = env!("CARGO_BIN_EXE_rondo");

/// A log of which nothing is lost that was acknowledged, and DEBUG for clients of this machine.
pub const ALWAYS: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--enable-debug-command",
    "local",
];

const START_MAX: Duration = Duration::from_secs(30);
/// How long whoever listens on its port is waited for in between.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Where servers listen: above what others are fond of, below what the kernel gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
/// How much of its log a failed test shows.
const LOG_BYTES_SHOWN: usize = 8 * 1024;

/// A running server, ended when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    pub dir: PathBuf,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// - `extra`: further words of the command line, as `["--maxclients", "10"]`.
    pub fn start(threads: usize, extra: &[&str]) -> Self {
        Self::start_as(threads, None, extra, &|_| {})
    }

    /// The same, after something has been done to what starts it.
    pub fn start_prepared(threads: usize, extra: &[&str], prepare: &dyn Fn(&mut Command)) -> Self {
        Self::start_as(threads, None, extra, prepare)
    }

    /// The same, with a configuration file of this text: `redis.conf` in its folder.
    pub fn start_with_file(threads: usize, text: &str) -> Self {
        Self::start_as(threads, Some(text), &[], &|_| {})
    }

    fn start_as(
        threads: usize,
        file: Option<&str>,
        extra: &[&str],
        prepare: &dyn Fn(&mut Command),
    ) -> Self {
        // Another process may take the port between the look and the start.
        for _ in 0..5 {
            if let Some(server) = Self::try_start(threads, file, extra, prepare) {
                return server;
            }
        }
        panic!("no server came up on five ports");
    }

    fn try_start(
        threads: usize,
        file: Option<&str>,
        extra: &[&str],
        prepare: &dyn Fn(&mut Command),
    ) -> Option<Self> {
        let dir = new_dir();
        let config = dir.join("redis.conf");
        if let Some(text) = file {
            std::fs::write(&config, text).expect("a file in a new folder");
        }
        let port = free_port();
        let log = File::create(dir.join("log")).expect("a file in a new folder");
        let mut command = Command::new(BINARY);
        command
            .args(file.is_some().then_some(&config))
            .args([
                "--port",
                &port.to_string(),
                "--threads",
                &threads.to_string(),
            ])
            .args(["--bind", "127.0.0.1", "--dir", &dir.display().to_string()])
            // Several servers share the machine: nobody sits on one core.
            .args(["--pin-threads", "no"])
            .args(extra)
            // Where a test makes the disk fail (`node/faults.rs`).
            .env("TEST_FAULTS_OF_RONDO", dir.join("faults"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        prepare(&mut command);
        let child = command.spawn().expect("the binary starts");
        let mut server = Self { child, port, dir };
        if server.wait_until_it_answers() {
            return Some(server);
        }
        let log = server.log();
        assert!(log.contains("in use"), "the server did not come up:\n{log}");
        None
    }

    /// Starts it again in the same folder, on another port, once it has ended; false if it does not come up.
    pub fn restart(&mut self, threads: usize, extra: &[&str]) -> bool {
        self.begin_again(threads, extra);
        self.wait_until_it_answers()
    }

    /// The same, without waiting until it answers.
    pub fn begin_again(&mut self, threads: usize, extra: &[&str]) {
        let _ = self.child.wait();
        self.port = free_port();
        let log = File::create(self.dir.join("log")).expect("a file in its folder");
        // A name that is no text is no word of a command line.
        let (here, dir) = match self.dir.to_str() {
            Some(dir) => (Path::new("."), dir),
            None => (self.dir.as_path(), "."),
        };
        self.child = Command::new(BINARY)
            .current_dir(here)
            .args(["--port", &self.port.to_string()])
            .args(["--threads", &threads.to_string(), "--bind", "127.0.0.1"])
            .args(["--dir", dir])
            .args(["--pin-threads", "no"])
            .args(extra)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
    }

    /// False if the process ended instead.
    fn wait_until_it_answers(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < START_MAX {
            if self
                .child
                .try_wait()
                .expect("a child can be asked")
                .is_some()
            {
                return false;
            }
            if self.answers().unwrap_or(false) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no answer in {START_MAX:?}:\n{}", self.log());
    }

    /// Whether what listens on the port is this server: a stranger may have been there for a moment, and anything it
    /// does only means "not yet".
    fn answers(&self) -> std::io::Result<bool> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut socket = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        socket.write_all(b"INFO server persistence\r\nQUIT\r\n")?;
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply)?;
        let reply = String::from_utf8_lossy(&reply);
        let own = format!("process_id:{}\r\n", self.pid());
        // One with a password tells a stranger nothing about itself.
        let is_loading = reply.contains("loading:1\r\n");
        Ok(reply.contains(&own) && !is_loading || reply.starts_with("-NOAUTH"))
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_the_end()
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Whether it has heard of all signals that were sent: two of a kind are one until then.
    pub fn has_taken_signals(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a process has its file");
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        pending.is_some_and(|mask| mask.trim().bytes().all(|digit| digit == b'0'))
    }

    pub fn wait_for_the_end(&mut self) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server did not end:\n{}", self.log());
    }

    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_none()
    }

    /// A figure of `/proc/PID/status` in bytes: `VmRSS` is what is resident now, `VmHWM` the most it has been.
    pub fn memory_bytes(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process lives");
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}"));
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number of kB");
        kib * 1024
    }

    /// A field of INFO.
    pub fn info(&self, section: &str, field: &str) -> String {
        let text = self.client().ask(&format!("INFO {section}")).text();
        let prefix = format!("{field}:");
        text.lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("no {field} in\n{text}"))
            .to_string()
    }

    pub fn info_number(&self, section: &str, field: &str) -> i64 {
        let text = self.info(section, field);
        text.parse().unwrap_or_else(|_| panic!("{field} is {text}"))
    }

    /// How many rewritings of the log have ended, whatever has come of them; INFO counts those that have begun.
    pub fn rewrites_ended(&self) -> i64 {
        let text = self.client().ask("INFO persistence").text();
        let number = |field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|number| number.parse::<i64>().ok())
                .unwrap_or_else(|| panic!("no {field} in\n{text}"))
        };
        number("aof_rewrites:") - number("aof_rewrite_in_progress:")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(LOG_BYTES_SHOWN);
            let end = String::from_utf8_lossy(&log.as_bytes()[start..]);
            eprintln!("---- log of the server on port {} ----\n{end}", self.port);
        }
        // It may have ended already; either way nothing of it stays.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The binary with these arguments until it ends: exit code, what it printed.
pub fn run_to_end(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A port that was free a moment ago, and that no other test of this process is given while there are others.
pub fn free_port() -> u16 {
    static START: OnceLock<u32> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Several processes of tests may run: each begins somewhere else.
    let start = *START.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default()
            .subsec_nanos()
            .wrapping_add(std::process::id().wrapping_mul(7919))
    });
    PORTS
        .map(|_| {
            let next = start.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
            PORTS.start + (next % u32::from(PORTS.end - PORTS.start)) as u16
        })
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("a free port")
}

/// A new folder for one server.
pub fn new_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "rondo-test-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).expect("a folder in the temporary folder");
    dir
}

/// Waits until `is_so` holds; a failure after ten seconds says `what`.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "not in ten seconds: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a file is there.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
