//! What the log says of clients.

use super::client::{Client, Next, ok, request};
use super::harness::{Server, eventually, new_dir};
use super::tls::Files;
use std::io::Write;
use std::net::TcpStream;

/// Waits for a line with both.
fn says(server: &Server, start: &str, end: &str) {
    let is_it = |line: &str| line.contains(start) && line.contains(end);
    eventually(&format!("{start} ... {end}"), || {
        server.log().lines().any(is_it)
    });
}

#[test]
fn who_comes_and_goes_is_told() {
    for threads in [1, 3] {
        let path = new_dir().join("socket").display().to_string();
        let server = Server::start(threads, &["--loglevel", "verbose", "--unixsocket", &path]);
        let mut client = server.client();
        let address = client.address();
        assert_eq!(client.ask("CLIENT SETNAME me"), ok());
        says(&server, &format!(" - Accepted {address}"), "");
        drop(client);
        let row = format!("addr={address} laddr=127.0.0.1:{} ", server.port);
        says(&server, " - Client closed connection id=", &row);
        says(&server, &row, " name=me ");

        let mut client = Client::connect_unix(path.as_ref()).expect("accepted");
        assert_eq!(client.ask("SELECT 1"), ok());
        says(&server, &format!(" - Accepted connection to {path}"), "");
        drop(client);
        says(
            &server,
            "Client closed connection id=",
            &format!(" addr={path}:0 "),
        );

        let mut client = server.client();
        let address = client.address();
        assert_eq!(client.ask("SELECT 1"), ok());
        client.reset();
        let reset = " - Reading from client: Connection reset by peer";
        says(&server, reset, &address.to_string());

        let mut client = server.client();
        let address = client.address();
        assert_eq!(client.ask("CONFIG SET timeout 1"), ok());
        says(&server, " - Closing idle client", &address.to_string());
        // Who was told to go has not gone by himself.
        drop(client);
        let mut client = server.client();
        assert_eq!(client.ask("CONFIG SET timeout 0"), ok());
        let mut other = server.client();
        let address = other.address();
        assert_eq!(other.ask("QUIT"), ok());
        drop((client, other));
        says(&server, "Client closed connection id=", "cmd=config|set");
        let log = server.log();
        let gone = |line: &&str| line.contains("closed connection") && line.contains("cmd=quit");
        assert_eq!(log.lines().find(gone), None, "{address}");
    }
}

#[test]
fn what_is_no_request_is_shown() {
    let server = Server::start(2, &["--loglevel", "verbose"]);
    let cases: [(&[u8], &str, &str); 5] = [
        (b"*a\r\nhello\r\n", "invalid mbulk count", "'*a..hello..'"),
        (b"*1\r\n$a\r\nhello", "invalid bulk length", "'$a..hello'"),
        (
            b"*2\r\n$4\r\nPING\r\nx\xff\r\n",
            "expected $ but got something else",
            "'x...'",
        ),
        (
            b"SET \"a\r\n",
            "unbalanced quotes in request",
            "'SET \"a..'",
        ),
        (b"PING\r\n*1\r\n$-2\r\n", "invalid bulk length", "'$-2..'"),
    ];
    for (sent, name, sample) in cases {
        let mut client = server.client();
        let start = format!(
            " - Protocol error ({name}) from client: id={} addr={} ",
            client.ask("CLIENT ID").integer(),
            client.address()
        );
        client.send(sent);
        client.rest();
        says(
            &server,
            &start,
            &format!(". Query buffer during protocol error: {sample}"),
        );
    }
}

#[test]
fn a_handshake_that_fails_is_told_at_every_level() {
    let files = Files::new();
    let (server, port) = files.server(2, &[]);
    let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("accepted");
    plain.write_all(b"PING\r\n").expect("room");
    let of = |stream: &TcpStream| {
        let address = stream.local_addr().expect("connected");
        format!("(addr={address} laddr=127.0.0.1:{port})")
    };
    says(
        &server,
        " # Error accepting a client connection: ",
        &of(&plain),
    );
    let silent = TcpStream::connect(("127.0.0.1", port)).expect("accepted");
    let end = of(&silent);
    drop(silent);
    says(&server, "connection: unexpected eof while reading", &end);
}

/// How much there is, over all shards, as soon as somebody wants to know.
#[test]
fn what_there_is_is_told_now_and_then() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        for index in 0..20 {
            assert_eq!(client.ask(&format!("SET {index} 1")), ok());
        }
        assert_eq!(client.ask("SET volatile 1 EX 1000"), ok());
        assert_eq!(client.ask("SELECT 3"), ok());
        assert_eq!(client.ask("SET one 1"), ok());
        assert_eq!(client.ask("CONFIG SET loglevel verbose"), ok());
        says(&server, " - DB 0: 21 keys (1 volatile) in ", " slots HT.");
        let log = server.log();
        let (_, end) = log.split_once("(1 volatile) in ").expect("it was told");
        let (slots, _) = end.split_once(' ').expect("a number");
        // As in Redis, each is the place of one key.
        assert!(
            slots
                .parse()
                .is_ok_and(|count: u32| (21..=21 * 8 * threads as u32).contains(&count)),
            "{slots}"
        );
        says(&server, " - DB 3: 1 keys (0 volatile) in ", " slots HT.");
        assert!(!server.log().contains("clients connected"));
        assert_eq!(client.ask("CONFIG SET loglevel debug"), ok());
        says(
            &server,
            " . 1 clients connected (0 replicas), ",
            " bytes in use",
        );
    }
}

/// Which client went for what it was to get, had sent or took is told at every level, with its row.
#[test]
fn who_is_over_a_limit_is_told_with_its_row() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--client-query-buffer-limit", "1mb"]);
        let mut admin = server.client();
        assert_eq!(admin.ask("CLIENT NO-EVICT ON"), ok());
        let named = |name: &str| {
            let mut client = server.client();
            assert_eq!(client.ask(&format!("CLIENT SETNAME {name}")), ok());
            let (id, address) = (client.ask("CLIENT ID").integer(), client.address());
            (client, format!("id={id} addr={address} "))
        };

        let (mut sender, row) = named("sender");
        let _ = sender.try_send(b"*2\r\n$4\r\nECHO\r\n$3000000\r\nab\x00\"");
        let _ = sender.try_send(&vec![b'x'; 2_000_000]);
        assert_eq!(sender.next(), Next::Closed);
        let start = format!(" # Closing client that reached max query buffer length: {row}");
        let sample = format!(" (qbuf initial bytes: \"ab\\x00\\\"{}\")", "x".repeat(60));
        says(&server, &start, &sample);
        says(&server, &start, " name=sender ");

        assert_eq!(admin.run(&[b"SET", b"k", &[b'x'; 900_000]]), ok());
        admin.configure("client-output-buffer-limit", "normal 100000 0 0");
        let (mut reader, row) = named("reader");
        let _ = reader.try_send(b"GET k\r\n");
        assert_eq!(reader.next(), Next::Closed);
        let end = " scheduled to be closed ASAP for overcoming of output buffer limits.";
        says(&server, &format!(" # Client {row}"), end);
        says(&server, &format!(" # Client {row}"), " name=reader ");

        admin.configure("client-output-buffer-limit", "normal 0 0 0");
        assert_eq!(admin.ask("CONFIG SET maxmemory-clients 500000"), ok());
        let (mut large, row) = named("large");
        let _ = large.try_send(&request(&[b"SET", b"k", &[b'x'; 900_000]]));
        assert_eq!(large.next(), Next::Closed);
        says(
            &server,
            &format!(" * Evicting client: {row}"),
            " name=large ",
        );
    }
}

/// Who floods the server with pages' requests does not flood the log.
#[test]
fn who_speaks_http_is_told_of_once_in_a_while() {
    let server = Server::start(1, &[]);
    for words in [
        "POST / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: here",
        "POST / HTTP/1.1",
    ] {
        let mut client = server.client();
        client.send(format!("{words}\r\n").as_bytes());
        client.rest();
    }
    let log = server.log();
    let lines = log.matches("Possible SECURITY ATTACK detected.");
    assert_eq!(lines.count(), 1, "{log}");
}
