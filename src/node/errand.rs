//! Errands: what a transaction needs from another server, on a thread that may wait for it.
//!
//!     core: start -> thread: connect, write, read lines -> report, bell -> core: the transaction goes on
//!
//! Promises  no core waits for another server; each step of an errand ends after its time.
//! Not here  what is asked and what the answers mean: `router/programs/migrate.rs`.
//! Tests     tests/server/migrate.rs.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::core::{Core, RingWork};
use crate::router::errand::{Errand, Failure, Report};
use crate::router::{FromShard, Output, TxId};

/// Longer lines are no replies to RESTORE.
const LINE_BYTES_MAX: u64 = 1 << 16;

/// Errands of one core.
pub struct Errands {
    reports: Receiver<(TxId, Report)>,
    sender: Sender<(TxId, Report)>,
    /// What threads write to and the ring watches; made for the first errand.
    bell: Option<(UnixStream, Arc<UnixStream>)>,
}

impl Errands {
    /// None yet.
    pub fn new() -> Self {
        let (sender, reports) = channel();
        Self {
            reports,
            sender,
            bell: None,
        }
    }

    /// Sends a thread on an errand; whether the bell is new and must be watched.
    pub fn start(&mut self, tx: TxId, errand: Errand) -> bool {
        let is_new = self.bell.is_none();
        let ringer = match self.bell() {
            Ok(ringer) => ringer,
            Err(error) => {
                tracing::error!(%error, "no socket pair for an errand");
                std::process::exit(1);
            }
        };
        let sender = self.sender.clone();
        let run = move || {
            let report = run(&errand);
            // The core may have ended meanwhile: then nobody waits.
            let _ = sender.send((tx, report));
            let _ = (&*ringer).write(&[1]);
        };
        let thread = std::thread::Builder::new().name("rondo-errand".into());
        if let Err(error) = thread.spawn(run) {
            tracing::warn!(%error, "no thread for an errand");
            let report = Report {
                lines: Vec::new(),
                failure: Some(Failure::Connecting),
            };
            let _ = self.sender.send((tx, report));
            if let Some((_, ringer)) = &self.bell {
                let _ = (&**ringer).write(&[1]);
            }
        }
        is_new
    }

    fn bell(&mut self) -> std::io::Result<Arc<UnixStream>> {
        if let Some((_, ringer)) = &self.bell {
            return Ok(ringer.clone());
        }
        let (ear, ringer) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        let ringer = Arc::new(ringer);
        self.bell = Some((ear, ringer.clone()));
        Ok(ringer)
    }

    /// What to watch for reports.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.bell.as_ref().map(|(ear, _)| ear.as_fd())
    }

    /// Takes a report; the bell is silent once there is none.
    pub fn take(&mut self) -> Option<(TxId, Report)> {
        if let Some((ear, _)) = &mut self.bell {
            let mut rings = [0; 64];
            // The bell is rung after the report is sent: emptied first, none is missed.
            while matches!(ear.read(&mut rings), Ok(count) if count == rings.len()) {}
        }
        self.reports.try_recv().ok()
    }
}

/// Connects, asks, and reads one line for each reply.
fn run(errand: &Errand) -> Report {
    let mut report = Report {
        lines: Vec::new(),
        failure: None,
    };
    let timeout = Duration::from_millis(errand.timeout_ms);
    let mut stream = match connect(errand, timeout) {
        Ok(stream) => stream,
        Err(failure) => {
            report.failure = Some(failure);
            return report;
        }
    };
    if stream.write_all(&errand.request).is_err() {
        report.failure = Some(Failure::Writing);
        return report;
    }
    let mut replies = BufReader::new(stream);
    for _ in 0..errand.replies_count {
        match read_line(&mut replies) {
            Ok(line) => report.lines.push(line),
            Err(_) => {
                report.failure = Some(Failure::Reading);
                break;
            }
        }
    }
    report
}

/// Whoever is known to be there and takes no connection counts as one that cannot be written to, as for Redis.
fn connect(errand: &Errand, timeout: Duration) -> Result<TcpStream, Failure> {
    let host = std::str::from_utf8(&errand.host).map_err(|_| Failure::Connecting)?;
    let port = std::str::from_utf8(&errand.port).ok();
    // What is no port is one where nobody listens.
    let port = port.and_then(|text| text.parse::<u16>().ok()).unwrap_or(0);
    let addresses = (host, port).to_socket_addrs();
    let mut failure = Failure::Connecting;
    for address in addresses.map_err(|_| Failure::Connecting)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                return settle(&stream, timeout)
                    .map(|()| stream)
                    .map_err(|_| Failure::Connecting);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                failure = Failure::Writing;
            }
            Err(_) => {}
        }
    }
    Err(failure)
}

fn settle(stream: &TcpStream, timeout: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))
}

fn read_line(replies: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    replies.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(whole) => Ok(whole.to_vec()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

impl Core {
    /// Reports of errands are there.
    pub fn errands_came(&mut self) {
        while let Some((tx, report)) = self.errands.take() {
            self.shard_event(FromShard::Ran {
                tx,
                shard: self.id,
                output: Output::Report(report),
                trace: None,
            });
        }
        self.ring_work.push(RingWork::WatchErrands);
    }
}
