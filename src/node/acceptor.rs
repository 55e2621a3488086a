//! Listening sockets: where clients come in.
//!
//! Promises  an address that cannot be had stops the start with its reason, as does a second server on the same port
//!           (no SO_REUSEPORT: two servers must not share a port by accident).
//! Not here  accepting: core 0's ring does, and deals each connection to the core with the fewest (`node/event_loop.rs`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::connection::Peer;

/// One listening socket.
pub struct Listener {
    socket: Socket,
    /// The unix socket's path, removed at the end.
    path: Option<PathBuf>,
}

impl Listener {
    /// Listens on one `bind` address; `*` is any IPv4 address, `::*` any IPv6 address, and one of a link has its interface behind a
    /// `%`.
    pub fn tcp(address: &str, port: u16, backlog: i32) -> io::Result<Self> {
        let of = |ip: IpAddr| SocketAddr::new(ip, port);
        let address = match address {
            "*" => of(Ipv4Addr::UNSPECIFIED.into()),
            "::*" => of(Ipv6Addr::UNSPECIFIED.into()),
            text => match text.parse() {
                Ok(ip) => of(ip),
                // All of it counts: an address of a link means nothing without the number of its interface.
                Err(_) => std::net::ToSocketAddrs::to_socket_addrs(&(text, port))?
                    .next()
                    .ok_or_else(|| {
                        io::Error::new(io::ErrorKind::InvalidInput, "no such address")
                    })?,
            },
        };
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(Self { socket, path: None })
    }

    /// Listens on a unix socket; a stale socket file in the way is removed, or an empty one, anything else is left alone.
    ///
    /// - `group`: the number of the group that is to have it.
    pub fn unix(
        path: &Path,
        group: Option<u32>,
        mode: Option<u32>,
        backlog: i32,
    ) -> io::Result<Self> {
        let is_worthless = |found: std::fs::Metadata| {
            found.file_type().is_socket() || found.is_file() && found.len() == 0
        };
        if std::fs::symlink_metadata(path).is_ok_and(is_worthless) {
            std::fs::remove_file(path)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        if group.is_some() {
            std::os::unix::fs::chown(path, None, group)?;
        }
        if let Some(mode) = mode {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        socket.listen(backlog)?;
        Ok(Self {
            socket,
            path: Some(path.to_owned()),
        })
    }

    /// The socket, to name it to the ring.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Stops listening until [`Listener::resume`]; the address is free for another socket.
    pub fn suspend(&self) {
        // On Linux a listening socket that is shut goes back to being merely bound. It cannot fail for one that listens.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Listens again.
    pub fn resume(&self, backlog: i32) -> io::Result<()> {
        self.socket.listen(backlog)
    }

    /// The port it listens on (the one the kernel chose for port 0).
    pub fn port(&self) -> Option<u16> {
        self.socket
            .local_addr()
            .ok()?
            .as_socket()
            .map(|address| address.port())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The file may be gone or replaced by now; there is nobody left to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Prepares an accepted socket: no delay, keepalive, and who is at its ends.
pub fn prepare(socket: &OwnedFd, keepalive_seconds: u32) -> Peer {
    let socket = SockRef::from(socket);
    let local = socket.local_addr().ok();
    if let Some(path) = local.as_ref().filter(|address| address.is_unix()) {
        let path = path
            .as_pathname()
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        return Peer {
            address: format!("{path}:0"),
            local: format!("{path}:0"),
            is_unix: true,
        };
    }
    // A peer that is gone already makes these fail; its first receive says so.
    let _ = socket.set_tcp_nodelay(true);
    if keepalive_seconds > 0 {
        let interval = std::time::Duration::from_secs(u64::from((keepalive_seconds / 3).max(1)));
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(std::time::Duration::from_secs(u64::from(keepalive_seconds)))
            .with_interval(interval)
            .with_retries(3);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
    let name = |address: Option<socket2::SockAddr>| {
        let address = address.and_then(|address| address.as_socket());
        // Without the number of a link's interface, as Redis tells it, and what it tells of nobody.
        address.map_or_else(
            || "?:0".to_string(),
            |address| SocketAddr::new(address.ip(), address.port()).to_string(),
        )
    };
    Peer {
        address: name(socket.peer_addr().ok()),
        local: name(local),
        is_unix: false,
    }
}

/// Shuts both directions, so that armed receives end.
pub fn shut(socket: &OwnedFd) {
    // Fails only where the peer has done it already.
    let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Both);
}

/// Makes the coming close a reset, for a client that does not read: with a plain end its own blocked write would go on
/// asking for room until the kernel forgets the connection, a minute later.
pub fn cut(socket: &OwnedFd) {
    let _ = SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
}

/// Sends a last line to a client that is turned away; it is lost if the socket's buffer is full.
pub fn refuse(socket: &OwnedFd, line: &[u8]) {
    let socket = SockRef::from(socket);
    let _ = socket.set_nonblocking(true);
    let _ = socket.send(line);
}
