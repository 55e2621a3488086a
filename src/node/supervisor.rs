//! Who started the process: a shell that wants it in the background, or a supervisor that wants to hear when it is ready.
//!
//! Promises  a supervisor hears READY only when the server answers; going into the background happens before anything but the log is opened.
//! Source    systemd's sd_notify(3): a datagram of `NAME=value` lines to the socket in NOTIFY_SOCKET. Upstart waits for SIGSTOP.
//! Tests     tests/server/daemon.rs, tests/node/process.rs.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::options::Options;

/// Set for the process that runs in the background.
const DETACHED: &str = "_RONDO_DETACHED";

/// Whom to tell.
#[derive(Debug, PartialEq)]
pub enum Supervisor {
    /// Nobody.
    None,
    /// systemd, at this socket; a leading `@` stands for the zero byte of an abstract name.
    Systemd(String),
    /// Upstart.
    Upstart,
}

impl Supervisor {
    /// The supervisor that the option `supervised` and the environment speak of.
    pub fn find(supervised: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let systemd = || variable("NOTIFY_SOCKET").map(Supervisor::Systemd);
        let upstart = || variable("UPSTART_JOB").map(|_| Supervisor::Upstart);
        let found = match supervised {
            "systemd" => systemd(),
            "upstart" => upstart(),
            "auto" => upstart().or_else(systemd),
            _ => return Supervisor::None,
        };
        if found.is_none() && supervised != "auto" {
            tracing::warn!(
                supervised,
                "supervision requested, but the environment names no supervisor"
            );
        }
        found.unwrap_or(Supervisor::None)
    }

    /// As INFO names it.
    pub fn name(&self) -> &'static str {
        match self {
            Supervisor::None => "no",
            Supervisor::Systemd(_) => "systemd",
            Supervisor::Upstart => "upstart",
        }
    }

    /// The server answers from now on.
    pub fn tell_ready(&self) {
        match self {
            Supervisor::None => {}
            Supervisor::Systemd(_) => self.notify("STATUS=Ready to accept connections\nREADY=1\n"),
            Supervisor::Upstart => {
                if let Err(error) = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP) {
                    tracing::warn!(%error, "cannot tell upstart");
                }
            }
        }
    }

    /// The server ends.
    pub fn tell_stopping(&self) {
        self.notify("STATUS=Shutting down\nSTOPPING=1\n");
    }

    fn notify(&self, text: &str) {
        let Supervisor::Systemd(path) = self else {
            return;
        };
        if let Err(error) = send(path, text) {
            tracing::warn!(%error, path, "cannot tell systemd");
        }
    }
}

fn send(path: &str, text: &str) -> io::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

/// Goes into the background where `daemonize` says so and no supervisor is named.
///
/// Returns whether this process is done: another one of the same command line has been started. A process with threads cannot fork
/// and go on, so it is started anew rather than forked.
///
/// - `here`: where this one was started, which its words may mean.
pub fn detach(options: &Options, supervisor: &Supervisor, here: &Path) -> io::Result<bool> {
    if !options.is_held("daemonize", "yes") || *supervisor != Supervisor::None {
        return Ok(false);
    }
    if std::env::var_os(DETACHED).is_some() {
        // No terminal's end is this process's.
        nix::unistd::setsid()?;
        return Ok(false);
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| "rondo".into());
    Command::new(program(Path::new("/proc/self/exe"), &name))
        .arg0(name)
        .args(words)
        .current_dir(here)
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(true)
}

/// What is to be started anew: this process's own file, or where no `/proc` says which that is, what it was started as.
///
/// - `name`: its first word; one without a slash is looked for in PATH.
pub fn program(own: &Path, name: &OsStr) -> PathBuf {
    match own.exists() {
        true => own.into(),
        false => name.into(),
    }
}
