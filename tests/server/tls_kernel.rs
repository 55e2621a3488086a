//! Kernel TLS, where the kernel has it: the same requests, ends and changes of keys. Where it has none, all of this is so without it;
//! a user-mode Linux with the module tls (6.1 for TLS 1.2, 6.14 and later for 1.3) runs these tests on such a machine.

use super::client::{error, ok};
use super::harness::{Server, eventually, free_port, run_to_end};
use super::tls::{Files, Stream, connect_with, exchange};
use rondo::node::tls_kernel::Ability;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};

/// Connections that the kernel took over so far.
fn handed_over(server: &Server) -> u64 {
    let count = server.info_number("TLS", "total_tls_kernel_connections");
    u64::try_from(count).expect("a count")
}

/// Whether the kernel takes over connections of a version.
fn is_able(version: &'static SupportedProtocolVersion) -> bool {
    let suites = rustls::crypto::ring::default_provider().cipher_suites;
    let of_version = suites.into_iter().find(|suite| suite.version() == version);
    let suite = of_version.expect("each has some");
    Ability::look().is_ok_and(|able| able.serves(version.version, suite))
}

#[test]
fn a_kernel_without_tls_is_refused_by_name() {
    let files = Files::new();
    let able = Ability::look();
    let (server, _) = files.server(1, &["--tls-kernel", "auto"]);
    let mut client = server.client();
    let reply = client.ask("CONFIG SET tls-kernel yes");
    match &able {
        Ok(_) => assert_eq!(reply, ok()),
        Err(reason) => {
            assert_eq!(
                reply,
                error(
                    "ERR CONFIG SET failed (possibly related to argument 'tls-kernel') - Unable to update TLS configuration. Check server logs."
                )
            );
            let port = free_port().to_string();
            let (cert, key) = (files.path("server"), files.path("server.key"));
            let mut arguments = vec!["--port", "0", "--tls-port", &port, "--threads", "1"];
            arguments.extend(["--tls-cert-file", &cert, "--tls-key-file", &key]);
            arguments.extend(["--tls-auth-clients", "no", "--tls-kernel", "yes"]);
            let (code, text) = run_to_end(&arguments);
            assert_eq!(code, Some(1), "{text}");
            assert!(
                text.contains(&format!("tls-kernel yes: {reason}")),
                "{text}"
            );
        }
    }
    assert_eq!(
        client.ask("CONFIG SET tls-kernel perhaps"),
        error(
            "ERR CONFIG SET failed (possibly related to argument 'tls-kernel') - argument(s) must be one of the following: no, auto, yes"
        )
    );
}

/// Pipelines, keys of all cores, values of megabytes both ways, replies that are read late, and the end.
#[test]
fn requests_are_served_whoever_seals() {
    let files = Files::new();
    for (threads, version) in [(1, &TLS12), (1, &TLS13), (4, &TLS12), (4, &TLS13)] {
        let (server, port) = files.server(
            threads,
            &["--tls-auth-clients", "no", "--tls-kernel", "auto"],
        );
        let mut streams: Vec<Stream> = (0..8)
            .map(|_| connect_with(port, &files.path("ca"), &[version]))
            .collect();
        for (index, stream) in streams.iter_mut().enumerate() {
            for number in 0..50 {
                let got = exchange(stream, format!("ECHO {number:04}\r\n").as_bytes(), 10);
                assert_eq!(
                    got.expect("a reply"),
                    format!("$4\r\n{number:04}\r\n").as_bytes()
                );
            }
            let mut request = Vec::new();
            let mut expected = Vec::new();
            for number in 0..2000 {
                request.extend(format!("SET key{index}-{number} {number}\r\n").into_bytes());
                request.extend(format!("GET key{index}-{number}\r\n").into_bytes());
                let text = number.to_string();
                expected.extend(format!("+OK\r\n${}\r\n{text}\r\n", text.len()).into_bytes());
            }
            let got = exchange(stream, &request, expected.len()).expect("replies");
            assert!(got == expected, "at {threads} threads");
            let large: Vec<u8> = (0..3_u32 << 20).map(|at| (at % 251) as u8).collect();
            let mut request =
                format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", large.len()).into_bytes();
            request.extend(&large);
            let got = exchange(stream, &[&request[..], b"\r\n"].concat(), 5).expect("a reply");
            assert_eq!(got, b"+OK\r\n");
            // Asked for many times, and read only then.
            let head = format!("${}\r\n", large.len()).into_bytes();
            let one = [&head[..], &large, b"\r\n"].concat();
            stream
                .write_all(&b"GET large\r\n".repeat(8))
                .expect("taken");
            stream.flush().expect("taken");
            std::thread::sleep(std::time::Duration::from_millis(50));
            for _ in 0..8 {
                assert!(exchange(stream, b"", one.len()).expect("replies") == one);
            }
        }
        let expected = if is_able(version) { 8 } else { 0 };
        assert_eq!(handed_over(&server), expected, "{version:?}");
        // The end is announced, by either side.
        let mut stream = streams.pop().expect("eight");
        exchange(&mut stream, b"QUIT\r\n", 5).expect("OK");
        assert_eq!(stream.read(&mut [0; 1]).expect("a plain end"), 0);
        let mut stream = streams.pop().expect("seven");
        stream.conn.send_close_notify();
        stream.flush().expect("sent");
        assert_eq!(stream.read(&mut [0; 1]).expect("a plain end"), 0);
        eventually("six and this one", || {
            server.info_number("clients", "connected_clients") == 7
        });
    }
}

/// A client may change its keys at any time, and ask for the server's.
#[test]
fn keys_change_on_the_way() {
    let files = Files::new();
    let (server, port) = files.server(1, &["--tls-auth-clients", "no", "--tls-kernel", "auto"]);
    let mut stream = connect_with(port, &files.path("ca"), &[&TLS13]);
    // Before anything is handed over, too: the answer to this is owed with the second reply.
    exchange(&mut stream, b"PING\r\n", 7).expect("a reply");
    stream.conn.refresh_traffic_keys().expect("TLS 1.3");
    for number in 1000..1100 {
        let request = format!("ECHO {number}\r\n");
        let expected = format!("$4\r\n{number}\r\n");
        if number % 10 == 5 {
            stream.conn.refresh_traffic_keys().expect("TLS 1.3");
        }
        let got = exchange(&mut stream, request.as_bytes(), expected.len());
        assert_eq!(got.expect("a reply"), expected.as_bytes());
    }
    assert_eq!(handed_over(&server), u64::from(is_able(&TLS13)));
}

/// What is no TLS, in the midst of a connection, ends that connection only.
#[test]
fn garbage_after_a_handshake_ends_its_connection() {
    let files = Files::new();
    for version in [&TLS12, &TLS13] {
        let (server, port) = files.server(1, &["--tls-auth-clients", "no", "--tls-kernel", "auto"]);
        let mut stream = connect_with(port, &files.path("ca"), &[version]);
        for _ in 0..3 {
            assert_eq!(
                exchange(&mut stream, b"PING\r\n", 7).expect("a reply"),
                b"+PONG\r\n"
            );
        }
        stream
            .sock
            .write_all(b"PING\r\nPING\r\nPING\r\n")
            .expect("taken");
        eventually("this one alone", || {
            server.info_number("clients", "connected_clients") == 1
        });
    }
}
