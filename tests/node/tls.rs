//! TLS without sockets: records that come in any pieces, and bytes that are not what they were.

use rondo::base::rng::Rng;
use rondo::node::Options;
use rondo::node::options::find;
use rondo::node::tls::{self, Config, Tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const SEEDS: u64 = 120;

/// A server's configuration, and those of clients that show a certificate or none, of TLS 1.2 and 1.3.
struct Ends {
    server: Config,
    clients: Vec<Arc<ClientConfig>>,
}

impl Ends {
    fn new() -> Self {
        let dir = new_dir();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).expect("made");
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let mut options = Options::default();
        for (name, value) in [
            ("tls-port", "1".to_string()),
            ("tls-cert-file", write("cert", &pem)),
            ("tls-ca-cert-file", write("ca", &pem)),
            ("tls-key-file", write("key", &key)),
            ("tls-auth-clients", "optional".to_string()),
        ] {
            let spec = find(name.as_bytes()).expect("an option");
            spec.set_value(&mut options, &value).expect("a value");
        }
        let server = tls::config(&options).expect("good").expect("a port");
        let _ = std::fs::remove_dir_all(&dir);
        let mut clients = Vec::new();
        for version in [&TLS12, &TLS13] {
            for shows in [false, true] {
                let mut roots = RootCertStore::empty();
                roots.add(made.cert.der().clone()).expect("good");
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let builder = ClientConfig::builder_with_provider(provider)
                    .with_protocol_versions(&[version])
                    .expect("versions")
                    .with_root_certificates(roots);
                let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
                let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
                clients.push(Arc::new(match shows {
                    true => builder.with_client_auth_cert(chain, key).expect("a pair"),
                    false => builder.with_no_client_auth(),
                }));
            }
        }
        Self { server, clients }
    }
}

fn new_dir() -> std::path::PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (id, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(format!("rondo-tls-{id}-{count}"));
    std::fs::create_dir_all(&dir).expect("a folder");
    dir
}

/// How a client's bytes are changed on the way.
fn change(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(bytes.len() as u64) as usize;
    match rng.below(5) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next_u64() as u8,
        2 => bytes.truncate(at),
        3 => {
            let again = bytes[at..].to_vec();
            bytes.extend(again);
        }
        _ => {
            let junk: Vec<u8> = (0..rng.below(40)).map(|_| rng.next_u64() as u8).collect();
            bytes.splice(at..at, junk);
        }
    }
}

/// Runs a connection that echoes; whether the server found a fault.
///
/// - `changes`: one of so many of the client's flights is changed; 0 for none.
fn run(ends: &Ends, seed: u64, changes: u64) -> bool {
    let mut rng = Rng::with_seed(seed);
    let config = ends.clients[rng.below(ends.clients.len() as u64) as usize].clone();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(config, name).expect("a connection");
    let mut server = Tls::new(ends.server.clone()).expect("a connection");
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for round in 0..60 {
        if !client.is_handshaking() && rng.below(2) == 0 {
            let length = [1, 100, 5000, 40_000][rng.below(4) as usize];
            let text: Vec<u8> = (0..length).map(|at| (at * 7 + round) as u8).collect();
            let taken = client.writer().write(&text).expect("room");
            said.extend_from_slice(&text[..taken]);
        }
        if !client.is_handshaking() && rng.below(8) == 0 {
            // TLS 1.2 knows no such thing.
            let _ = client.refresh_traffic_keys();
        }
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("a vector");
        }
        if changes > 0 && !bytes.is_empty() && rng.below(changes) == 0 {
            change(&mut bytes, &mut rng);
        }
        let piece_max = [1, 10, 1000, 20_000][rng.below(4) as usize];
        let mut rest = &bytes[..];
        let mut replies = Vec::new();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at((1 + rng.below(piece_max) as usize).min(rest.len()));
            rest = more;
            let mut plain = Vec::new();
            if server.open(piece, &mut plain).is_err() {
                let last = server.seal(&[], true);
                assert!(
                    server.open(piece, &mut plain).is_ok(),
                    "nothing is read behind a fault"
                );
                let _ = client.read_tls(&mut &last[..]);
                let _ = client.process_new_packets();
                return true;
            }
            server.take_handshake();
            if !plain.is_empty() || server.wants_write() {
                replies.extend(server.seal(&plain, false));
            }
        }
        let mut rest = &replies[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("a slice");
            if client.process_new_packets().is_err() {
                return false;
            }
            let _ = client.reader().read_to_end(&mut heard);
        }
        assert!(said.starts_with(&heard), "seed {seed}");
    }
    if changes == 0 {
        assert!(heard == said && !heard.is_empty(), "seed {seed}");
        let last = server.seal(b"end", true);
        client.read_tls(&mut &last[..]).expect("a slice");
        let state = client.process_new_packets().expect("records");
        assert!(state.peer_has_closed() && state.plaintext_bytes_to_read() == 3);
    }
    false
}

#[test]
fn records_come_in_any_pieces() {
    let ends = Ends::new();
    for seed in 0..SEEDS {
        assert!(!run(&ends, seed, 0), "seed {seed}");
    }
}

/// Whatever comes, in the midst of a handshake or later, is a fault of that connection or nothing.
#[test]
fn changed_bytes_are_a_fault_of_their_connection() {
    let ends = Ends::new();
    let faults = (0..SEEDS * 5)
        .filter(|&seed| run(&ends, seed, 1 + seed % 6))
        .count();
    assert!(faults > SEEDS as usize * 2, "{faults}");
}
