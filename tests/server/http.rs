//! The HTTP port: figures, health, and what it refuses.

use super::client::ok;
use super::harness::{BINARY, Server, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// The whole answer to `request`.
fn answer(port: u16, request: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a limit");
    socket.write_all(request.as_bytes()).expect("it is taken");
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).expect("an answer");
    String::from_utf8(reply).expect("text")
}

fn get(port: u16, path: &str) -> String {
    answer(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
}

fn start(threads: usize) -> (Server, u16) {
    let port = free_port();
    let server = Server::start(threads, &["--metrics-port", &port.to_string()]);
    (server, port)
}

#[test]
fn figures_of_all_cores_are_served() {
    let (server, port) = start(3);
    let mut client = server.client();
    for index in 0..50 {
        assert_eq!(client.ask(&format!("SET key:{index} value")), ok());
    }
    let metrics = get(port, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(
        metrics.contains("\nrondo_command_calls_total{command=\"set\"} 50\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\nrondo_db_keys{db=\"0\"} 50\n"));
    assert!(metrics.contains("\nrondo_core_keys{core=\"2\"} "));
    assert!(get(port, "/figures?x=1").contains("\"db0\":\"keys=50,"));
    assert!(get(port, "/healthz").ends_with("\r\n\r\nok\n"));
    assert!(get(port, "/readyz").ends_with("\r\n\r\nready\n"));
    let page = get(port, "/");
    assert!(page.contains("Content-Type: text/html"));
    // Nothing of another place is loaded.
    let links: Vec<&str> = page.split("href=").skip(1).collect();
    assert!(!page.contains("src=") && links.len() == 1);
    assert!(links[0].starts_with("\"/icon.svg\""), "{}", links[0]);
    for path in ["/icon.svg", "/favicon.ico"] {
        let icon = get(port, path);
        assert!(icon.contains("Content-Type: image/svg+xml"), "{icon}");
        assert!(icon.ends_with("</svg>\n"), "{icon}");
    }
    let head = answer(port, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.contains("Content-Length: "));
}

#[test]
fn what_is_no_request_for_figures_is_refused() {
    let (server, port) = start(1);
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("SET a b\r\n\r\n", "400"),
        ("GET /metrics\r\n\r\n", "400"),
        ("\r\n\r\n", "400"),
        // A page whose name leads to this machine would read the figures as its own.
        ("GET /figures HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        (
            "GET /figures HTTP/1.1\r\nhost:evil.example:80\r\n\r\n",
            "421",
        ),
        (
            "GET /figures HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n",
            "421",
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost:9121\r\n\r\n",
            "200",
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:9121\r\n\r\n",
            "200",
        ),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:9121\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: a.localhost\r\n\r\n", "200"),
    ] {
        let reply = answer(port, request);
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {reply}"
        );
    }
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n", "a".repeat(20_000));
    assert!(answer(port, &long).starts_with("HTTP/1.1 431 "));
    // Connections that say nothing take no more than their places, and only for a while.
    let silent: Vec<TcpStream> = (0..40)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok())
        .collect();
    assert_eq!(server.client().ask("SET a b"), ok());
    drop(silent);
    super::harness::eventually("there is a place again", || {
        let socket = TcpStream::connect(("127.0.0.1", port));
        socket.is_ok_and(|mut socket| {
            let _ = socket.set_read_timeout(Some(Duration::from_secs(10)));
            let mut reply = String::new();
            socket.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").is_ok()
                && socket.read_to_string(&mut reply).is_ok()
                && reply.ends_with("ok\n")
        })
    });
}

/// A port that somebody has is an error at the start, with its name.
#[test]
fn a_port_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let dir = super::harness::new_dir();
    let output = Command::new(BINARY)
        .args(["--port", &free_port().to_string(), "--bind", "127.0.0.1"])
        .args(["--dir", &dir.display().to_string(), "--metrics-port", &port])
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains(&format!("cannot listen for HTTP on 127.0.0.1 port {port}")),
        "{text}"
    );
    let _ = std::fs::remove_dir_all(&dir);
}

/// The page's figures have what types take and the latest slow calls: without secrets, and with
/// `hide-user-data-from-log` without anybody's data.
#[test]
fn slow_calls_and_types_are_among_the_figures() {
    let port = free_port();
    let server = Server::start(
        3,
        &[
            "--metrics-port",
            &port.to_string(),
            "--slowlog-log-slower-than",
            "0",
        ],
    );
    let mut client = server.client();
    for number in 0..20 {
        client.ask(&format!("SET string:{number} value"));
        client.ask(&format!("HSET hash:{number} field value"));
    }
    client.ask("AUTH secret1");
    client.run(&[b"SET", b"quoted", b"\"<b>\\\xff\n"]);
    let figures = get(port, "/figures");
    let has = |part: &str| assert!(figures.contains(part), "{part} in {figures}");
    has("\"Types\":{\"types_sampled\":\"0\",\"type_string\":\"keys=21,bytes=");
    has("\"type_hash\":\"keys=20,bytes=");
    has("\"words\":\"SET quoted \\\"<b>\\\\\u{fffd}\\u000a\"");
    has("\"words\":\"AUTH (redacted)\"");
    assert!(!figures.contains("secret1"));
    let metrics = get(port, "/metrics");
    assert!(
        metrics.contains("\nrondo_type_keys{type=\"hash\"} 20\n"),
        "{metrics}"
    );
    client.ask("CONFIG SET hide-user-data-from-log yes");
    let figures = get(port, "/figures");
    assert!(
        figures.contains("\"words\":\"HSET …\"") && !figures.contains("quoted"),
        "{figures}"
    );
    // INFO has the section by its name alone.
    assert!(
        client
            .ask("INFO types")
            .text()
            .contains("type_hash:keys=20,bytes=")
    );
    assert!(!client.ask("INFO everything").text().contains("type_hash"));
}

/// While the figures are asked for, the keys that most requests are for are among them, whichever core has them.
#[test]
fn hot_keys_are_among_the_figures() {
    let (server, port) = start(3);
    let mut client = server.client();
    assert!(get(port, "/figures").contains("\"hot\":[]"));
    super::harness::eventually("the hottest key is told", || {
        let mut pipeline = Vec::new();
        for number in 0..3_000 {
            let key = match number % 3 {
                0 => "celebrity".to_string(),
                _ => format!("somebody:{number}"),
            };
            pipeline.extend(super::client::request(&[b"GET", key.as_bytes()]));
        }
        client.send(&pipeline);
        client.replies(3_000);
        let figures = get(port, "/figures");
        let hottest = figures
            .split("\"hot\":[")
            .nth(1)
            .and_then(|rows| rows.split('}').next());
        hottest.is_some_and(|row| row.ends_with(",\"key\":\"celebrity\""))
    });
    assert_eq!(client.ask("CONFIG SET hide-user-data-from-log yes"), ok());
    assert!(get(port, "/figures").contains("\"hot\":[]"));
}
