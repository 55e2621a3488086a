//! The system's log: with `syslog-enabled`, one datagram an event to whoever listens at `/dev/log`.
//!
//!     <facility * 8 + severity>ident[process]: message
//!
//! Promises  a core never waits for it: what cannot be taken at once is lost there, not in rondo's own log.
//! Source    RFC 3164, as the C library's syslog(3) sends it, without the time, which the receiver adds.
//! Tests     tests/node/syslog.rs.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::options::Options;

const PLACE: &str = "/dev/log";

/// Where events go, and as whose.
#[derive(Clone)]
pub struct Syslog(Arc<Sender>);

struct Sender {
    socket: UnixDatagram,
    place: PathBuf,
    facility: u8,
    ident: String,
}

impl Syslog {
    /// As the options say; none where they say `no`.
    pub fn of(options: &Options) -> Option<Self> {
        if !options.is_held("syslog-enabled", "yes") {
            return None;
        }
        let facility = facility(&options.held_text("syslog-facility"));
        Self::to(
            Path::new(PLACE),
            facility,
            &options.held_text("syslog-ident"),
        )
        .ok()
    }

    /// To whoever listens at `place`, now or later.
    pub fn to(place: &Path, facility: u8, ident: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self(Arc::new(Sender {
            socket,
            place: place.to_path_buf(),
            facility,
            ident: ident.to_string(),
        })))
    }
}

/// The number of a facility's name: `user`, or `local0` to `local7`.
pub fn facility(name: &str) -> u8 {
    match name
        .strip_prefix("local")
        .and_then(|digit| digit.parse::<u8>().ok())
    {
        Some(number) if number < 8 => 16 + number,
        _ => 1,
    }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 5,
        Level::DEBUG => 6,
        Level::TRACE => 7,
    }
}

/// Sends what is written to it at once, which is one event.
pub struct Message<'s> {
    sender: &'s Sender,
    severity: u8,
}

impl io::Write for Message<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Sender {
            socket,
            place,
            facility,
            ident,
        } = self.sender;
        let priority = facility * 8 + self.severity;
        let mut message = format!("<{priority}>{ident}[{}]: ", std::process::id()).into_bytes();
        message.extend_from_slice(line.trim_ascii_end());
        // Nobody listens, or too slowly: the log itself has the line.
        let _ = socket.send_to(&message, place);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Syslog {
    type Writer = Message<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        Message {
            sender: &self.0,
            severity: severity(Level::INFO),
        }
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Self::Writer {
        Message {
            sender: &self.0,
            severity: severity(*metadata.level()),
        }
    }
}
