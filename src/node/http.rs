//! HTTP: figures for machines and for people, on a port of their own.
//!
//!     /          a page that shows the rest, every second        /figures   INFO, slow calls and hot keys as JSON
//!     /metrics   INFO for Prometheus                             /healthz   every core answers
//!                                                                /readyz    and clients are served
//!
//! It runs on threads of its own and asks core 0, which asks the others as INFO does; the cores look for questions once a tick, so
//! the loop pays one load a tick. Off unless `metrics-port` is given; on the loopback address unless `metrics-bind` says otherwise.
//! There is no password: what INFO says without one is what it shows, the words of slow calls and hot keys (no users' data with
//! `hide-user-data-from-log`, and never a secret).
//!
//! Promises  only GET and HEAD, one request a connection; a request is at most 8 KiB and has 5 seconds; 16 connections at a time,
//!           more are turned away; nothing a client sends is shown or stored; what is served on a loopback address is served to
//!           who calls it localhost or by an address, so no page of another name reads it through a browser on this machine.
//! Not here  the formats: `node/metrics.rs`.
//! Source    HTTP/1.1: RFC 9112.
//! Tests     tests/server/http.rs.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::metrics;

const REQUEST_BYTES_MAX: usize = 8 * 1024;
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the cores may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);
const CONNECTIONS_MAX: usize = 16;
const PAGE: &str = include_str!("page.html");
const ICON: &str = include_str!("icon.svg");
/// The page loads nothing and belongs in no frame; its style and script stand in it. (Spelled in two halves for the test that looks
/// for blocks of that name.)
const POLICY: &str = concat!(
    "default-src 'self' 'un",
    "safe-inline'; frame-ancestors 'none'"
);

/// What is shown of the cores' figures: they gather no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// That every core answers.
    Health,
    /// Whether clients are served.
    Readiness,
    /// All of INFO, and what types take.
    Metrics,
    /// The same, slow calls and hot keys.
    Page,
}

impl Shown {
    /// The sections of INFO that tell it.
    pub fn sections(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::Health => &["modules"],
            Self::Readiness => &["persistence"],
            Self::Metrics | Self::Page => &["everything", "types"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}

/// What the cores tell.
pub struct Figures {
    /// INFO's text: see [`Shown::sections`].
    pub info: String,
    /// The latest slow calls, for the page.
    pub slow: Vec<SlowRow>,
    /// The keys that most requests are for, for the page.
    pub hot: Vec<HotRow>,
}

/// A hot key as the page shows it.
pub struct HotRow {
    /// Its database.
    pub db: u16,
    /// Its beginning.
    pub key: String,
    /// Of all requests, 0 to 1.
    pub share: f64,
}

/// A slow call as the page shows it.
pub struct SlowRow {
    /// Seconds since the epoch.
    pub at_s: i64,
    /// Microseconds.
    pub took_us: u64,
    /// Its words, or those that may be shown.
    pub words: String,
    /// Who asked.
    pub client: String,
}

/// Questions of this port's threads for core 0.
#[derive(Default)]
pub struct Questions {
    any: AtomicBool,
    waiting: Mutex<VecDeque<(SyncSender<Figures>, Shown)>>,
}

impl Questions {
    /// Who waits for figures, and for which; one load where nobody does.
    pub fn take(&self) -> VecDeque<(SyncSender<Figures>, Shown)> {
        if !self.any.load(Ordering::Relaxed) {
            return VecDeque::new();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *waiting)
    }

    /// What is to be shown; none if the cores do not answer.
    fn ask(&self, shown: Shown) -> Option<Figures> {
        let (sender, receiver) = sync_channel(1);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((sender, shown));
        self.any.store(true, Ordering::Relaxed);
        drop(waiting);
        receiver.recv_timeout(ANSWER_TIME_MAX).ok()
    }
}

/// Starts to serve; the threads end with the process.
pub fn serve(listener: TcpListener, questions: Arc<Questions>) -> io::Result<()> {
    let connections_count = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new()
        .name("rondo-http".into())
        .spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else {
                    // Out of descriptors, most likely: later there may be some.
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                };
                begin(socket, &questions, &connections_count);
            }
        })?;
    Ok(())
}

fn begin(socket: TcpStream, questions: &Arc<Questions>, connections_count: &Arc<AtomicUsize>) {
    let leave = Leave(connections_count.clone());
    if connections_count.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
        return;
    }
    let questions = questions.clone();
    // Where no thread can be had, the connection is closed.
    let _ = std::thread::Builder::new()
        .name("rondo-http".into())
        .spawn(move || {
            let _leave = leave;
            // A client that went away is none of ours to report.
            let _ = answer(socket, &questions);
        });
}

/// One connection, counted as long as it is there.
struct Leave(Arc<AtomicUsize>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer(mut socket: TcpStream, questions: &Questions) -> io::Result<()> {
    socket.set_write_timeout(Some(REQUEST_TIME_MAX))?;
    let (is_head, reply) = match read_target(&mut socket)? {
        Ok((method, target)) => match method.as_str() {
            "GET" => (false, reply_to(&target, questions)),
            "HEAD" => (true, reply_to(&target, questions)),
            _ => (false, Reply::text(405, "only GET and HEAD\n")),
        },
        Err(status) => (
            false,
            Reply::text(status, "not a request this port answers\n"),
        ),
    };
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: {POLICY}\r\nConnection: close\r\n\r\n",
        reply.status,
        reason(reply.status),
        reply.kind,
        reply.body.len()
    );
    socket.write_all(head.as_bytes())?;
    if !is_head {
        socket.write_all(reply.body.as_bytes())?;
    }
    socket.shutdown(std::net::Shutdown::Write)?;
    // What is unread when a socket closes makes the kernel take back what was sent.
    let _ = socket.read(&mut [0; 1024]);
    Ok(())
}

/// Method and target of a request whose head has arrived, or the status it is refused with.
fn read_target(socket: &mut TcpStream) -> io::Result<Result<(String, String), u16>> {
    let start = Instant::now();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = REQUEST_TIME_MAX.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(Err(408));
        }
        if head.len() > REQUEST_BYTES_MAX {
            return Ok(Err(431));
        }
        socket.set_read_timeout(Some(left))?;
        let mut bytes = [0; 2048];
        match socket.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&bytes[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let is_private = socket.local_addr()?.ip().is_loopback();
    if is_private && !head.lines().skip(1).all(is_local) {
        return Ok(Err(421));
    }
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    Ok(match (words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some(version)) if version.starts_with("HTTP/1.") => {
            let path = target.split(['?', '#']).next().unwrap_or_default();
            Ok((method.to_string(), path.to_string()))
        }
        _ => Err(400),
    })
}

/// Whether a line of a head is no `Host`, or one that means this machine. A name that somebody else gave to a loopback address is
/// how a page of theirs, open in a browser here, would read the figures as its own.
fn is_local(line: &str) -> bool {
    let host = match line.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("host") => value.trim(),
        _ => return true,
    };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    name.is_empty()
        || name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok()
}

struct Reply {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Reply {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

fn reply_to(path: &str, questions: &Questions) -> Reply {
    let with_figures = |shown, make: fn(&Figures) -> Reply| match questions.ask(shown) {
        Some(figures) => make(&figures),
        None => Reply::text(503, "the cores do not answer\n"),
    };
    match path {
        "/" => Reply {
            status: 200,
            kind: "text/html; charset=utf-8",
            body: PAGE.to_string(),
        },
        "/icon.svg" | "/favicon.ico" => Reply {
            status: 200,
            kind: "image/svg+xml",
            body: ICON.to_string(),
        },
        "/metrics" => with_figures(Shown::Metrics, |figures| Reply {
            status: 200,
            kind: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics::to_prometheus(&figures.info),
        }),
        "/figures" => with_figures(Shown::Page, |figures| Reply {
            status: 200,
            kind: "application/json",
            body: metrics::to_json(figures),
        }),
        "/healthz" => with_figures(Shown::Health, |_| Reply::text(200, "ok\n")),
        "/readyz" => with_figures(Shown::Readiness, |figures| {
            match metrics::field(&figures.info, "loading") {
                Some("0") => Reply::text(200, "ready\n"),
                _ => Reply::text(503, "loading\n"),
            }
        }),
        _ => Reply::text(
            404,
            "there are /, /metrics, /figures, /healthz and /readyz\n",
        ),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}
