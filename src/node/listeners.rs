//! Where clients come in, and CONFIG SET port and bind.
//!
//!     places | tcp * 7000 | tcp ::* 7000 | gone | unix |     an accept is armed under its place, which is never used again
//!
//! Promises  a change either listens wherever it was told to, or leaves everything as it was. A listener that the change
//!           keeps is not touched: nobody who is connecting to it notices.
//! Not here  one socket: `node/acceptor.rs`; accepting: `node/event_loop.rs`, on core 0.
//! Tests     tests/server/listeners.rs.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::acceptor::Listener;
use super::options::{Options, config_set_failed};
use super::tls::{self, Tls};
use super::tls_figures;

/// A port in use is tried again so often, and so soon.
const TRIES: usize = 10;
const TRY_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(50);

/// What the ring is to do about the accept of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Accept there from now on.
    Arm(u32),
    /// Stop accepting there.
    Disarm(u32),
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By TCP, at this port.
    Tcp(u16),
    /// By TLS, at this port.
    Tls(u16),
    /// By the Unix socket.
    Unix,
}

impl Way {
    /// Tells that it is open, in Redis's words: there are scripts and containers that wait for them.
    pub fn tell(&self) {
        match self {
            Way::Tcp(port) => tracing::info!(port, "Ready to accept connections tcp"),
            Way::Tls(port) => tracing::info!(port, "Ready to accept connections tls"),
            Way::Unix => tracing::info!("Ready to accept connections unix"),
        }
    }
}

/// All listening sockets of the process.
#[derive(Default)]
pub struct Listeners {
    places: Vec<Option<Place>>,
    /// What TLS connections are made with.
    tls: Option<tls::Config>,
    /// What its files looked like when they were read.
    tls_stamp: tls::Stamp,
    changes: Vec<Change>,
}

struct Place {
    listener: Listener,
    /// The address as `bind` says it, without a leading `-`, the port, and whether it speaks TLS; None for the Unix socket.
    tcp: Option<(String, u16, bool)>,
}

/// One address that `bind` and `port` ask for.
#[derive(Clone, PartialEq)]
struct Wanted {
    address: String,
    port: u16,
    is_tls: bool,
    /// Where it cannot be had the others are enough.
    may_fail: bool,
}

const NO_TLS: &str = "Unable to update TLS configuration. Check server logs.";

impl Listeners {
    /// Listens wherever the options say.
    ///
    /// Errors: the first address that cannot be had, with its reason; nothing listens then.
    pub fn open(options: &Options) -> Result<Self, String> {
        let backlog = backlog(options);
        let opened = open_all_patiently(&wanted(options), backlog).map_err(|(wanted, error)| {
            format!(
                "could not create server TCP listening socket {}:{}: {error}",
                wanted.address, wanted.port
            )
        })?;
        let mut listeners = Self {
            tls_stamp: tls::stamp(options),
            tls: tls::config(options)?,
            ..Self::default()
        };
        tls_figures::look(options);
        opened.into_iter().for_each(|place| listeners.add(place));
        if !options.unixsocket.is_empty() {
            let mode = u32::try_from(options.unixsocketperm)
                .ok()
                .filter(|&mode| mode != 0);
            let group = group(&options.unixsocketgroup)?;
            let path = Path::new(&options.unixsocket);
            let listener = Listener::unix(path, group, mode, backlog).map_err(|error| {
                format!("failed opening Unix socket {}: {error}", options.unixsocket)
            })?;
            listeners.add(Place {
                listener,
                tcp: None,
            });
        }
        if listeners.places.is_empty() {
            return Err("configured to not listen anywhere, exiting".into());
        }
        Ok(listeners)
    }

    /// Listens where the options say by now, and nowhere else; the Unix socket stays.
    ///
    /// Errors: an address that must be had cannot be; everything listens as before.
    pub fn rebind(&mut self, options: &Options) -> io::Result<()> {
        let backlog = backlog(options);
        let wanted = wanted(options);
        let is_wanted = |place: &Place| match &place.tcp {
            None => true,
            Some((address, port, is_tls)) => wanted.iter().any(|wanted| {
                wanted.address == *address && wanted.port == *port && wanted.is_tls == *is_tls
            }),
        };
        let missing: Vec<Wanted> = wanted
            .iter()
            .filter(|wanted| {
                let tcp = Some((wanted.address.clone(), wanted.port, wanted.is_tls));
                !self.places.iter().flatten().any(|place| place.tcp == tcp)
            })
            .cloned()
            .collect();
        let mut opened = open_all(&missing, backlog);
        if opened
            .as_ref()
            .is_err_and(|(_, error)| error.kind() == io::ErrorKind::AddrInUse)
        {
            // By one of our own, perhaps: `*` is in the way of 127.0.0.1. A socket that is shut listens again when asked.
            let leaving = || {
                let places = self.places.iter().flatten();
                places.filter(|place| !is_wanted(place))
            };
            leaving().for_each(|place| place.listener.suspend());
            opened = open_all(&missing, backlog);
            if opened.is_err() {
                for place in leaving() {
                    place.listener.resume(backlog)?;
                }
            }
        }
        let opened = opened.map_err(|(wanted, error)| {
            tracing::warn!(address = wanted.address, port = wanted.port, %error, "cannot listen");
            error
        })?;
        for (index, place) in self.places.iter_mut().enumerate() {
            if place.as_ref().is_some_and(|place| !is_wanted(place)) {
                *place = None;
                self.changes.push(Change::Disarm(index as u32));
            }
        }
        opened.into_iter().for_each(|place| self.add(place));
        Ok(())
    }

    /// Ends all listening; the addresses are free at once, though the kernel lets go of a ring's accepts only some time
    /// after the process has ended.
    pub fn close(&mut self) {
        for (index, place) in self.places.iter_mut().enumerate() {
            if let Some(place) = place.take() {
                place.listener.suspend();
                self.changes.push(Change::Disarm(index as u32));
            }
        }
    }

    fn add(&mut self, place: Place) {
        self.changes.push(Change::Arm(self.places.len() as u32));
        self.places.push(Some(place));
    }

    /// Whether there is anything to be done about accepts.
    #[inline]
    pub fn have_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What the ring has not been told yet.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Listens where options that have changed say, and with the certificates they name.
    ///
    /// - `of_tls`: the first option of TLS that was set, if only to what it was: its file may have changed.
    /// - Errors: CONFIG SET's text; sockets are as they were.
    pub fn follow(
        &mut self,
        options: &Options,
        changed: &[&'static str],
        of_tls: Option<&'static str>,
    ) -> Result<(), String> {
        if let Some(name) = of_tls
            && let Err(reason) = self.reload(options)
        {
            tracing::warn!(reason, "cannot use the certificates or settings of TLS");
            return Err(config_set_failed(name, NO_TLS));
        }
        const NO_PORT: &str = "Unable to listen on this port. Check server logs.";
        let is_changed = |(name, _): &(&str, &str)| changed.contains(name);
        let first = [
            ("bind", "Failed to bind to specified addresses."),
            ("tls-port", NO_PORT),
            ("port", NO_PORT),
        ];
        let Some((name, reason)) = first.into_iter().find(is_changed) else {
            return Ok(());
        };
        let bound = self.rebind(options);
        bound.map_err(|_| config_set_failed(name, reason))
    }

    /// Reads certificates and keys again; connections there are keep what they were made with.
    ///
    /// Errors: the option that is wrong; everything stays as it was.
    pub fn reload(&mut self, options: &Options) -> Result<(), String> {
        // Looked at first: what is written meanwhile is read again.
        let stamp = tls::stamp(options);
        self.tls = tls::config(options)?;
        self.tls_stamp = stamp;
        tls_figures::look(options);
        Ok(())
    }

    /// Reads certificates and keys again where a file is not what it was when they were read.
    ///
    /// - Returns whether it did.
    /// - Errors: as of [`Listeners::reload`]; asked again it fails again.
    pub fn reload_changed(&mut self, options: &Options) -> Result<bool, String> {
        if tls::port(options).is_none() || tls::stamp(options) == self.tls_stamp {
            return Ok(false);
        }
        self.reload(options).map(|()| true)
    }

    /// TLS for a connection that came in at a place; None where that speaks none.
    ///
    /// Errors: it speaks TLS, but none can be had.
    pub fn tls(&self, place: u32) -> Result<Option<Box<Tls>>, String> {
        let place = self.places.get(place as usize).and_then(Option::as_ref);
        let is_tls = place
            .and_then(|place| place.tcp.as_ref())
            .is_some_and(|tcp| tcp.2);
        if !is_tls {
            return Ok(None);
        }
        let config = self.tls.clone().ok_or("TLS is not configured")?;
        Ok(Some(Box::new(Tls::new(config)?)))
    }

    /// The socket at a place; None where it is gone.
    pub fn fd(&self, place: u32) -> Option<BorrowedFd<'_>> {
        let place = self.places.get(place as usize)?.as_ref()?;
        Some(place.listener.fd())
    }

    /// All ways in, each once.
    pub fn ways(&self) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        for place in self.places.iter().flatten() {
            let way = match (place.listener.port(), &place.tcp) {
                (Some(port), Some((_, _, true))) => Way::Tls(port),
                (Some(port), _) => Way::Tcp(port),
                (None, _) => Way::Unix,
            };
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways
    }
}

/// The number of a group that is named, or said by its number; none for no name.
///
/// Errors: there is none of that name in /etc/group.
fn group(name: &str) -> Result<Option<u32>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let known = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let found = known.lines().find_map(|line| {
        // name:password:number:members
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    let none = || format!("unixsocketgroup {name}: there is no such group in /etc/group");
    found.map(Some).ok_or_else(none)
}

fn backlog(options: &Options) -> i32 {
    i32::try_from(options.tcp_backlog).unwrap_or(511)
}

fn wanted(options: &Options) -> Vec<Wanted> {
    let plain = u16::try_from(options.port).ok().filter(|&port| port > 0);
    let ports = [(plain, false), (tls::port(options), true)];
    let ports = ports.into_iter();
    let ports = ports.filter_map(|(port, is_tls)| Some((port?, is_tls)));
    ports
        .flat_map(|(port, is_tls)| wanted_at(options, port, is_tls))
        .collect()
}

fn wanted_at(options: &Options, port: u16, is_tls: bool) -> Vec<Wanted> {
    let of = |address: &String| {
        let (address, may_fail) = match address.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (address.as_str(), false),
        };
        Wanted {
            address: address.to_string(),
            port,
            is_tls,
            may_fail,
        }
    };
    options.bind.iter().map(of).collect()
}

/// As [`open_all`]. When a process is killed the kernel lets go of its ring, and of the port with it, a moment after the process
/// is gone: whoever starts it again at once would find the port in use.
fn open_all_patiently(wanted: &[Wanted], backlog: i32) -> Result<Vec<Place>, (Wanted, io::Error)> {
    for _ in 0..TRIES {
        match open_all(wanted, backlog) {
            Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(TRY_AGAIN_AFTER);
            }
            other => return other,
        }
    }
    open_all(wanted, backlog)
}

/// What a machine does not have: such an address, or such a protocol. Anything else is a mistake.
fn is_not_of_this_machine(error: &io::Error) -> bool {
    const ERRORS: [i32; 6] = [
        libc::EADDRNOTAVAIL,
        libc::ENOPROTOOPT,
        libc::EPROTONOSUPPORT,
        libc::ESOCKTNOSUPPORT,
        libc::EPFNOSUPPORT,
        libc::EAFNOSUPPORT,
    ];
    error
        .raw_os_error()
        .is_some_and(|errno| ERRORS.contains(&errno))
}

/// All of them, or the first that must be had and cannot.
fn open_all(wanted: &[Wanted], backlog: i32) -> Result<Vec<Place>, (Wanted, io::Error)> {
    let mut places = Vec::new();
    for wanted in wanted {
        match Listener::tcp(&wanted.address, wanted.port, backlog) {
            Ok(listener) => places.push(Place {
                listener,
                tcp: Some((wanted.address.clone(), wanted.port, wanted.is_tls)),
            }),
            Err(error) if wanted.may_fail && is_not_of_this_machine(&error) => {
                let address = &wanted.address;
                tracing::warn!(address, %error, "not listening on an optional address");
            }
            Err(error) => return Err((wanted.clone(), error)),
        }
    }
    Ok(places)
}
