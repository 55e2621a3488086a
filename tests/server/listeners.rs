//! CONFIG SET port and bind: where clients come in may change while they are served.

use super::client::{Client, Value, error, ok};
use super::harness::{Server, eventually, free_port};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};

/// Connections to the old port stay, new ones find the new port only, however often it changes.
#[test]
fn the_port_changes_under_clients() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut old = server.client();
        let mut port = server.port;
        for round in 0..5 {
            let new_port = free_port();
            assert_eq!(old.ask(&format!("CONFIG SET port {new_port}")), ok());
            let mut new = Client::connect(new_port);
            assert_eq!(new.ask(&format!("SET round {round}")), ok());
            let shown = format!("{new_port}");
            assert_eq!(new.ask("CONFIG GET port").items()[1].text(), shown);
            // The ring lets go of the old socket a turn later.
            eventually("the old port is closed", || {
                Client::try_connect(port).is_err()
            });
            port = new_port;
        }
        assert_eq!(old.ask("GET round").text(), "4");
        assert_eq!(old.ask(&format!("CONFIG SET port {}", server.port)), ok());
    }
}

/// Who starts a server again must not have to wait.
#[test]
fn the_port_is_free_when_the_server_has_ended() {
    for threads in [1, 2, 1, 3, 1, 1, 1, 1] {
        let mut server = Server::start(threads, &[]);
        let mut client = server.client();
        assert_eq!(client.ask("SET key value"), ok());
        assert!(server.terminate().success());
        let again = TcpListener::bind(("127.0.0.1", server.port));
        assert!(again.is_ok(), "{again:?}");
    }
}

/// A port in use is refused with nothing changed, the options beside it included.
#[test]
fn a_port_in_use_changes_nothing() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let used = other.local_addr().expect("it is bound").port();
    assert_eq!(
        client.ask(&format!("CONFIG SET timeout 77 port {used}")),
        error(
            "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server \
             logs."
        )
    );
    let shown = server.port.to_string();
    assert_eq!(client.ask("CONFIG GET port").items()[1].text(), shown);
    assert_eq!(client.ask("CONFIG GET timeout").items()[1].text(), "0");
    assert_eq!(server.client().ask("PING"), Value::Simple("PONG".into()));
}

/// From one address to all of them and back, on the same port: the sockets are in each other's way.
#[test]
fn addresses_change_on_the_same_port() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let reaches = |address: &str| std::net::TcpStream::connect((address, server.port)).is_ok();
    assert!(!reaches("127.0.0.2"));
    assert_eq!(client.ask("CONFIG SET bind *"), ok());
    assert!(reaches("127.0.0.2"));
    // Neither address is this machine's: what was there goes on.
    assert_eq!(
        client.ask("CONFIG SET bind 198.51.100.7"),
        error(
            "ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
        )
    );
    eventually("everybody is served again", || reaches("127.0.0.3"));
    assert_eq!(
        client.run(&[b"CONFIG", b"SET", b"bind", b"127.0.0.1 127.0.0.2"]),
        ok()
    );
    eventually("the other addresses are closed", || !reaches("127.0.0.3"));
    assert!(reaches("127.0.0.2"));
    assert_eq!(server.client().ask("PING"), Value::Simple("PONG".into()));
    // A service without any TCP socket keeps the clients it has.
    assert_eq!(client.ask("CONFIG SET port 0"), ok());
    eventually("nobody comes in", || !reaches("127.0.0.1"));
    assert_eq!(
        client.ask(&format!("CONFIG SET port {}", server.port)),
        ok()
    );
    assert!(reaches("127.0.0.1"));
}

/// An address of a link is one of an interface, which is named behind it. Where this machine has none there is nothing to see.
#[test]
fn an_address_of_a_link_is_listened_on() {
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let of_link = interfaces.lines().find_map(|line| {
        // address index prefix scope flags name, all but the last in hexadecimal
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, index, _, scope, flags, name] = words[..] else {
            return None;
        };
        let number = |word: &str| u32::from_str_radix(word, 16).ok();
        // Neither tentative nor a duplicate.
        let is_usable = number(scope)? == 0x20 && number(flags)? & 0x48 == 0;
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        is_usable.then_some((address, number(index)?, name))
    });
    let Some((address, scope, name)) = of_link else {
        return;
    };
    let server = Server::start(2, &["--protected-mode", "no"]);
    let mut client = server.client();
    let addresses = format!("127.0.0.1 {address}%{name}");
    assert_eq!(
        client.run(&[b"CONFIG", b"SET", b"bind", addresses.as_bytes()]),
        ok()
    );
    let mut socket = TcpStream::connect(SocketAddrV6::new(address, server.port, 0, scope))
        .expect("it listens there");
    socket
        .write_all(b"CLIENT INFO\r\nQUIT\r\n")
        .expect("it is open");
    let mut reply = String::new();
    socket.read_to_string(&mut reply).expect("text");
    // As in Redis the interface is no part of a client's address.
    let own = socket.local_addr().expect("it is connected").port();
    let expected = format!("addr=[{address}]:{own} laddr=[{address}]:{} ", server.port);
    assert!(reply.contains(&expected), "{reply}");
}

/// A kind of listener has its number, whichever others there are.
#[test]
fn listeners_have_the_numbers_of_their_kinds() {
    let dir = super::harness::new_dir();
    let path = dir.join("socket");
    let path = path.display().to_string();
    let server = Server::start(1, &["--unixsocket", &path]);
    let mut client = server.client();
    let lines = |client: &mut Client| -> Vec<String> {
        let text = client.ask("INFO server").text();
        let lines = text.lines().filter(|line| line.starts_with("listener"));
        lines.map(str::to_string).collect()
    };
    let of_unix = format!("listener1:name=unix,bind={path}");
    let of_tcp = format!("listener0:name=tcp,bind=127.0.0.1,port={}", server.port);
    assert_eq!(lines(&mut client), [of_tcp, of_unix.clone()]);
    assert_eq!(client.ask("CONFIG SET port 0"), ok());
    assert_eq!(lines(&mut client), [of_unix]);
    drop(server);
    let _ = std::fs::remove_dir_all(&dir);
}
