//! TLS: requests over it on every core, certificates that are refused, certificates that change.

use super::client::{Client, error, ok};
use super::harness::{Server, eventually, free_port, new_dir, run_to_end};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Certificates in a folder of their own.
pub(super) struct Files {
    dir: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

impl Files {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let files = Self {
            dir: new_dir(),
            authority: Issuer::new(params, key),
        };
        files.write("ca", &certificate.pem());
        files.make("server", &files.authority, |_| ());
        files
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        std::fs::write(&path, text).expect("a file in a new folder");
        path.display().to_string()
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A certificate and its key, as `NAME` and `NAME.key`.
    fn make(
        &self,
        name: &str,
        by: &Issuer<'static, KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let mut params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, by).expect("signed");
        self.write(name, &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A certificate that may be trusted for itself, and who signs with it; it and its key as `NAME` and `NAME.key`.
    fn make_own(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        self.write(name, &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
        Issuer::new(params, key)
    }

    /// A certificate between the authority and others, in its file and as who signs.
    fn make_between(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        self.write(name, &certificate.pem());
        Issuer::new(params, key)
    }

    /// Whether a client that shows this certificate is; those who are count themselves.
    fn is_served(&self, port: u16, name: &str) -> bool {
        let shown = (self.path(name), self.path(&format!("{name}.key")));
        let mut stream = connect(port, &self.path("ca"), Some((&shown.0, &shown.1)));
        exchange(&mut stream, b"INCR served\r\n", 1).is_ok()
    }

    /// Appends certificates to a file, for a chain or for several that are trusted.
    fn append(&self, name: &str, others: &[&str]) {
        let read = |name: &str| std::fs::read_to_string(self.path(name)).expect("there");
        let text = others
            .iter()
            .fold(read(name), |text, other| text + &read(other));
        self.write(name, &text);
    }

    pub(super) fn server(&self, threads: usize, extra: &[&str]) -> (Server, u16) {
        let port = free_port();
        let (cert, key, ca) = (
            self.path("server"),
            self.path("server.key"),
            self.path("ca"),
        );
        let port_text = port.to_string();
        let mut words = vec!["--tls-port", &port_text, "--tls-cert-file", &cert];
        words.extend(["--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
        words.extend(extra);
        (Server::start(threads, &words), port)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(super) type Stream = StreamOwned<ClientConnection, TcpStream>;

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A client that trusts `ca` and shows this certificate, if any.
fn connect(port: u16, ca: &str, shown: Option<(&str, &str)>) -> Stream {
    connect_at(([127, 0, 0, 1], port).into(), ca, shown)
}

/// A client that trusts `ca` and speaks these versions.
pub(super) fn connect_with(
    port: u16,
    ca: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Stream {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots(ca));
    stream_of(builder.with_no_client_auth(), ([127, 0, 0, 1], port).into())
}

/// The authorities in a file.
fn roots(ca: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("a file") {
        roots
            .add(certificate.expect("a certificate"))
            .expect("good");
    }
    roots
}

fn connect_at(at: SocketAddr, ca: &str, shown: Option<(&str, &str)>) -> Stream {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(ca));
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate).expect("a file");
            let chain = chain.collect::<Result<_, _>>().expect("certificates");
            let key = PrivateKeyDer::from_pem_file(key).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    stream_of(config, at)
}

fn stream_of(config: ClientConfig, at: SocketAddr) -> Stream {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let socket = TcpStream::connect(at).expect("accepted");
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    StreamOwned::new(connection, socket)
}

/// What a request is answered with, as long as `reply` is.
pub(super) fn exchange(
    stream: &mut Stream,
    request: &[u8],
    reply_bytes: usize,
) -> std::io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut reply = vec![0; reply_bytes];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

/// Takes any server for the right one.
#[derive(Debug)]
struct TakesAny;

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// A certificate of version 1 of X.509 is served: whether it is good is for clients to say. It must be the key's all the same.
#[test]
fn an_own_certificate_of_version_1_is_served() {
    let files = Files::new();
    let golden = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/golden/");
        std::fs::read_to_string(format!("{folder}{name}")).expect("a file")
    };
    files.write("server", &golden("first_version.pem"));
    let right_key = golden("first_version.key.pem");
    let wrong_key = std::fs::read_to_string(files.path("server.key")).expect("a file");
    files.write("server.key", &right_key);
    let (server, port) = files.server(1, &["--tls-auth-clients", "no"]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny))
        .with_no_client_auth();
    let mut stream = stream_of(config, ([127, 0, 0, 1], port).into());
    assert_eq!(
        exchange(&mut stream, b"PING\r\n", 7).expect("a reply"),
        b"+PONG\r\n"
    );
    // With another's key it is refused, and the old pair stays.
    files.write("server.key", &wrong_key);
    let reply = server.client().ask(&format!(
        "CONFIG SET tls-key-file {}",
        files.path("server.key")
    ));
    let text = format!("{reply:?}");
    assert!(text.contains("tls-key-file"), "{text}");
    assert_eq!(
        exchange(&mut stream, b"PING\r\n", 7).expect("a reply"),
        b"+PONG\r\n"
    );
}

/// Pipelines, keys of all cores and replies of megabytes, with a certificate of the client's.
#[test]
fn requests_are_served_over_tls_on_every_core() {
    let files = Files::new();
    files.make("client", &files.authority, |_| ());
    for threads in [1, 4] {
        let (server, port) = files.server(threads, &[]);
        let mut streams: Vec<Stream> = (0..8)
            .map(|_| {
                let (certificate, key) = (files.path("client"), files.path("client.key"));
                connect(port, &files.path("ca"), Some((&certificate, &key)))
            })
            .collect();
        for (index, stream) in streams.iter_mut().enumerate() {
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
            let large = vec![b'x'; 3 << 20];
            let mut request =
                format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", large.len()).into_bytes();
            request.extend(&large);
            request.extend(b"\r\nGET large\r\n");
            let head = format!("+OK\r\n${}\r\n", large.len()).into_bytes();
            let got = exchange(stream, &request, head.len() + large.len() + 2).expect("replies");
            assert!(got.starts_with(&head) && got[head.len()..].starts_with(&large));
        }
        // The end is announced.
        let mut stream = streams.pop().expect("eight");
        exchange(&mut stream, b"QUIT\r\n", 5).expect("OK");
        assert_eq!(stream.read(&mut [0; 1]).expect("a plain end"), 0);
        assert_eq!(server.client().ask("DBSIZE").integer(), 16_001);
    }
}

/// Replies of 40 MB that are asked for at once and read only then come whole and in order, and then the end is announced.
#[test]
fn what_is_read_late_is_encrypted_piece_by_piece() {
    let files = Files::new();
    for (threads, kernel) in [(1, "no"), (3, "no"), (1, "auto"), (3, "auto")] {
        let words = ["--tls-auth-clients", "no", "--tls-kernel", kernel];
        let (server, port) = files.server(threads, &words);
        let large = vec![b'x'; 20_000];
        assert_eq!(server.client().run(&[b"SET", b"large", &large]), ok());
        let mut stream = connect(port, &files.path("ca"), None);
        let mut request = Vec::new();
        let mut expected = Vec::<u8>::new();
        for number in 10_000..12_000 {
            request.extend(format!("GET large\r\nECHO {number}\r\n").into_bytes());
            expected.extend(b"$20000\r\n");
            expected.extend(&large);
            expected.extend(format!("\r\n$5\r\n{number}\r\n").into_bytes());
        }
        request.extend(b"QUIT\r\n");
        expected.extend(b"+OK\r\n");
        stream.write_all(&request).expect("taken");
        std::thread::sleep(Duration::from_millis(300));
        let got = exchange(&mut stream, b"", expected.len()).expect("replies");
        assert!(got == expected, "at {threads} threads");
        assert_eq!(stream.read(&mut [0; 1]).expect("a plain end"), 0);
    }
}

/// Replies that wait for the disk are encrypted as all others are.
#[test]
fn replies_that_wait_for_the_disk_are_encrypted() {
    let files = Files::new();
    let words = ["--appendonly", "yes", "--appendfsync", "always"];
    let words = [&words[..], &["--tls-auth-clients", "no"]].concat();
    for (threads, kernel) in [(1, "no"), (4, "no"), (1, "auto"), (4, "auto")] {
        let words = [&words[..], &["--tls-kernel", kernel]].concat();
        let (_server, port) = files.server(threads, &words);
        let mut stream = connect(port, &files.path("ca"), None);
        for round in 0..20 {
            let mut request = Vec::new();
            let mut expected = Vec::<u8>::new();
            for number in 0..100 {
                request.extend(format!("SET key{number} {round}\r\nPING\r\n").into_bytes());
                expected.extend(b"+OK\r\n+PONG\r\n");
            }
            let got = exchange(&mut stream, &request, expected.len()).expect("replies");
            assert!(got == expected, "at {threads} threads");
        }
        let got = exchange(&mut stream, b"SET key1 end\r\nQUIT\r\n", 10).expect("replies");
        assert_eq!(got, b"+OK\r\n+OK\r\n");
        assert_eq!(stream.read(&mut [0; 1]).expect("a plain end"), 0);
    }
}

/// Each wrong in its own way; none of them gets a reply, and the server goes on.
#[test]
fn wrong_certificates_are_refused() {
    let files = Files::new();
    let other = Files::new();
    other.make("client", &other.authority, |_| ());
    files.make("client", &files.authority, |_| ());
    files.make("expired", &files.authority, |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    files.make("early", &files.authority, |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    files.make("server-only", &files.authority, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let own_key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    files.write("own", &own.self_signed(&own_key).expect("signed").pem());
    files.write("own.key", &own_key.serialize_pem());
    // Signed by a certificate that is no authority.
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    files.make("grandchild", &Issuer::new(leaf, leaf_key), |_| ());
    let (server, port) = files.server(2, &[]);
    let try_with = |shown: Option<(&Path, &str)>| {
        let shown = shown.map(|(dir, name)| {
            let path = dir.join(name).display().to_string();
            let key = format!("{path}.key");
            (path, key)
        });
        let shown = shown
            .as_ref()
            .map(|(path, key)| (path.as_str(), key.as_str()));
        let mut stream = connect(port, &files.path("ca"), shown);
        exchange(&mut stream, b"SET k v\r\n", 1)
    };
    assert!(try_with(None).is_err(), "none");
    assert!(try_with(Some((&other.dir, "client"))).is_err(), "another's");
    for name in ["expired", "early", "server-only", "own", "grandchild"] {
        assert!(try_with(Some((&files.dir, name))).is_err(), "{name}");
    }
    // Plain text is no handshake.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("accepted");
    plain.write_all(b"SET k v\r\nSET k v\r\n").expect("room");
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"+"), "{rest:?}");
    // A client that does not trust the server ends it itself.
    let mut wary = connect(port, &other.path("ca"), None);
    assert!(exchange(&mut wary, b"SET k v\r\n", 1).is_err());
    assert_eq!(server.client().ask("DBSIZE").integer(), 0);
    assert!(try_with(Some((&files.dir, "client"))).is_ok());
}

/// A client that has said its end while its last reply is on the way is told the server's behind that.
#[test]
fn the_end_follows_a_reply_that_was_on_its_way() {
    let files = Files::new();
    files.make("client", &files.authority, |_| ());
    for threads in [1, 3] {
        let (server, port) = files.server(threads, &[]);
        let value = vec![b'x'; 3_000_000];
        assert_eq!(server.client().run(&[b"SET", b"large", &value]), ok());
        let (path, key) = (files.path("client"), files.path("client.key"));
        for _ in 0..10 {
            let mut stream = connect(port, &files.path("ca"), Some((&path, &key)));
            stream.write_all(b"GET large\r\n").expect("room");
            stream.conn.send_close_notify();
            stream.flush().expect("room");
            let mut reply = Vec::new();
            // An end that nobody has said would be an error.
            let length = stream.read_to_end(&mut reply).expect("a whole reply");
            assert_eq!(length, value.len() + "$3000000\r\n\r\n".len());
        }
    }
}

/// One certificate for everything, as many set it up: an authority's that is trusted may be a client's own, while its time is
/// now and it is for clients.
#[test]
fn a_trusted_authority_may_be_a_client() {
    let files = Files::new();
    let authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    files.make_own("all", authority);
    files.make_own("old", |params| {
        authority(params);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    files.make_own("serving", |params| {
        authority(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    files.make_own("stranger", authority);
    files.append("ca", &["all", "old", "serving"]);
    let (_server, port) = files.server(2, &[]);
    assert!(files.is_served(port, "all"));
    for name in ["old", "serving", "stranger"] {
        assert!(!files.is_served(port, name), "{name}");
    }
}

/// A client's certificate of version 1, which can say nothing of its key: good where the authority has signed it itself and its
/// time is now. Its owner has to show that it has the key, in TLS 1.2 as in 1.3.
#[test]
fn clients_certificates_of_version_1_are_good_where_the_authority_signed_them() {
    let files = Files::new();
    let golden = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/golden/");
        format!("{folder}first_version_clients/{name}.pem")
    };
    let server_authority = files.path("ca");
    let trusted = golden("ca");
    let words = [
        "--tls-ca-cert-file",
        &trusted,
        "--tls-auth-clients-user",
        "CN",
    ];
    let (server, port) = files.server(2, &words);
    assert_eq!(server.client().ask("ACL SETUSER alice on +acl"), ok());
    let who = |name: &str, key: &str, version: &'static SupportedProtocolVersion| {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&server_authority).expect("a file") {
            roots.add(certificate.expect("one")).expect("good");
        }
        let chain = CertificateDer::pem_file_iter(golden(name)).expect("a file");
        let chain = chain.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(golden(key)).expect("a key");
        let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
        // Whether the two belong together is not asked on this side.
        let pair = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(pair));
        let mut stream = stream_of(config, ([127, 0, 0, 1], port).into());
        exchange(&mut stream, b"ACL WHOAMI\r\n", 11)
    };
    for version in [&TLS12, &TLS13] {
        let reply = who("right", "key", version).expect("a reply");
        assert_eq!(reply, b"$5\r\nalice\r\n", "{version:?}");
        for name in [
            "others", "sha1", "expired", "early", "itself", "changed", "between",
        ] {
            assert!(who(name, "key", version).is_err(), "{name}, {version:?}");
        }
        assert!(who("right", "other_key", version).is_err(), "{version:?}");
    }
}

/// A right certificate of a client's, and one that says its key is for something else; the same of who signs.
#[test]
fn what_a_certificate_is_for_is_heeded() {
    let files = Files::new();
    let uses = |purposes: &'static [KeyUsagePurpose]| {
        move |params: &mut CertificateParams| params.key_usages = purposes.to_vec()
    };
    // What OpenSSL calls nsCertType: a string of bits, clients first, then servers.
    let netscape = |bits: u8| {
        move |params: &mut CertificateParams| {
            let oid = [2, 16, 840, 1, 113_730, 1, 1];
            let content = vec![3, 2, 0, bits];
            let extension = CustomExtension::from_oid_content(&oid, content);
            params.custom_extensions.push(extension);
        }
    };
    let authority = |purposes: &'static [KeyUsagePurpose]| {
        move |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = purposes.to_vec();
        }
    };
    let signs = &[KeyUsagePurpose::DigitalSignature];
    files.make("signs", &files.authority, uses(signs));
    files.make("both", &files.authority, netscape(0b1100_0000));
    let between = files.make_between("between", authority(&[KeyUsagePurpose::KeyCertSign]));
    files.make("by-between", &between, |_| ());
    files.append("by-between", &["between"]);
    let enciphers = &[KeyUsagePurpose::KeyEncipherment];
    files.make("enciphers", &files.authority, uses(enciphers));
    files.make("server-of-old", &files.authority, netscape(0b0100_0000));
    let mute = files.make_between("mute", authority(signs));
    files.make("by-mute", &mute, |_| ());
    files.append("by-mute", &["mute"]);
    let (server, port) = files.server(1, &[]);
    let served = |name: &str| files.is_served(port, name);
    for name in ["signs", "both", "by-between"] {
        assert!(served(name), "{name}");
    }
    for name in ["enciphers", "server-of-old", "by-mute"] {
        assert!(!served(name), "{name}");
    }
    assert_eq!(server.client().ask("GET served").text(), "3");
}

/// What is trusted without being an authority is served itself; what it signed, which may name anybody, is not.
#[test]
fn what_is_trusted_and_no_authority_vouches_for_itself() {
    let files = Files::new();
    let pinned = files.make_own("pinned", |params| params.is_ca = IsCa::ExplicitNoCa);
    let old = files.make_own("old", |params| params.is_ca = IsCa::NoCa);
    let mute = files.make_own("mute", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    });
    let second = files.make_own("second", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    files.append("ca", &["pinned", "old", "mute", "second"]);
    for (name, issuer) in [
        ("by-pinned", &pinned),
        ("by-old", &old),
        ("by-mute", &mute),
        ("by-second", &second),
    ] {
        files.make(name, issuer, |_| ());
    }
    let (server, port) = files.server(1, &[]);
    let served = |name: &str| files.is_served(port, name);
    for name in ["pinned", "old", "by-second"] {
        assert!(served(name), "{name}");
    }
    for name in ["by-pinned", "by-old", "by-mute"] {
        assert!(!served(name), "{name}");
    }
    assert_eq!(server.client().ask("GET served").text(), "3");
    // Where none but such is trusted nobody else gets in.
    let reload = format!("CONFIG SET tls-ca-cert-file {}", files.path("pinned"));
    assert_eq!(server.client().ask(&reload), ok());
    assert!(served("pinned"));
    for name in ["old", "by-pinned", "by-second"] {
        assert!(!served(name), "{name}");
    }
}

/// With `tls-auto-reload-interval` files that have changed are read again, and ones that are wrong change nothing.
#[test]
fn certificates_that_change_are_read_again() {
    let files = Files::new();
    let other = Files::new();
    let (server, port) = files.server(2, &["--tls-auth-clients", "no"]);
    assert_eq!(
        server.client().ask("CONFIG SET tls-auto-reload-interval 1"),
        ok()
    );
    let serial = |of: &str| server.info("tls", &format!("tls_{of}_cert_serial"));
    let (own, authority) = (serial("server"), serial("ca"));
    assert!(
        own.len() > 8 && own.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{own}"
    );
    assert_ne!(authority, own);
    assert_eq!(serial("client"), "none");
    for of in ["server", "ca"] {
        let left = server.info_number("tls", &format!("tls_{of}_cert_expires_in_seconds"));
        assert!(left > 3600, "{left}");
    }
    files.write("server", "nothing");
    eventually("what is wrong is told", || {
        server.log().contains("there is no certificate in it")
    });
    let mut old = connect(port, &files.path("ca"), None);
    assert!(exchange(&mut old, b"PING\r\n", 7).is_ok());
    for name in ["server.key", "server"] {
        let text = std::fs::read_to_string(other.dir.join(name)).expect("there");
        files.write(name, &text);
    }
    eventually("the new certificate is in force", || {
        let mut fresh = connect(port, &other.path("ca"), None);
        exchange(&mut fresh, b"PING\r\n", 7).is_ok()
    });
    assert!(exchange(&mut old, b"PING\r\n", 7).is_ok());
    assert_ne!(serial("server"), own);
    assert_eq!(serial("ca"), authority);
    assert_eq!(server.client().ask("CONFIG SET tls-port 0"), ok());
    assert_eq!(serial("server"), "none");
}

/// `tls-auth-clients`, files that are read again, and the port, all while the server runs.
#[test]
fn certificates_change_while_the_server_runs() {
    let files = Files::new();
    let other = Files::new();
    let (server, port) = files.server(2, &["--tls-auth-clients", "optional"]);
    let mut old = connect(port, &files.path("ca"), None);
    assert!(exchange(&mut old, b"PING\r\n", 7).is_ok());
    for name in ["server", "server.key"] {
        let text = std::fs::read_to_string(other.dir.join(name)).expect("there");
        files.write(name, &text);
    }
    let mut admin = server.client();
    let reload = format!(
        "CONFIG SET tls-cert-file {} tls-key-file {}",
        files.path("server"),
        files.path("server.key")
    );
    assert_eq!(admin.ask(&reload), ok());
    let mut fresh = connect(port, &other.path("ca"), None);
    assert!(exchange(&mut fresh, b"PING\r\n", 7).is_ok());
    let mut late = connect(port, &files.path("ca"), None);
    assert!(exchange(&mut late, b"PING\r\n", 7).is_err());
    assert!(exchange(&mut old, b"PING\r\n", 7).is_ok());
    // What is wrong is refused by name, and nothing changes.
    for (option, value, part) in [
        (
            "tls-cert-file",
            "/nosuch/file",
            "tls-cert-file /nosuch/file",
        ),
        ("tls-protocols", "TLSv1.1", "TLSv1.1 is not supported"),
        ("tls-ciphers", "RC4-MD5", "RC4-MD5 is not supported"),
        ("tls-ciphers", "ALL:!AES256", "AES256 is not supported"),
        ("tls-ciphersuites", "TLS_X", "TLS_X is not supported"),
    ] {
        let said = admin.ask(&format!("CONFIG SET {option} {value}"));
        let reason = "Unable to update TLS configuration. Check server logs.";
        assert_eq!(
            said,
            error(&format!(
                "ERR CONFIG SET failed (possibly related to argument '{option}') - {reason}"
            ))
        );
        let log = std::fs::read_to_string(server.dir.join("log")).expect("a log");
        assert!(log.contains(part), "{part}: {log}");
        let held = admin.ask(&format!("CONFIG GET {option}"));
        assert_ne!(held.items()[1].text(), value);
    }
    assert_eq!(
        admin.ask("CONFIG SET tls-ciphers DEFAULT:!MEDIUM:-AES128-SHA256"),
        ok()
    );
    let mut again = connect(port, &other.path("ca"), None);
    assert!(exchange(&mut again, b"PING\r\n", 7).is_ok());
    assert_eq!(admin.ask("CONFIG SET tls-auth-clients yes"), ok());
    let mut none = connect(port, &other.path("ca"), None);
    assert!(exchange(&mut none, b"PING\r\n", 7).is_err());
    assert_eq!(admin.ask("CONFIG SET tls-port 0"), ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_ne!(admin.ask("PING"), error("x"));
}

/// Who speaks something else gets nothing back, which might be taken for a reply.
#[test]
fn another_protocol_on_the_port_of_tls_is_not_answered() {
    let files = Files::new();
    let (_server, port) = files.server(1, &[]);
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("accepted");
    socket.write_all(b"*1\r\n$4\r\nPING\r\n").expect("sent");
    let mut reply = Vec::new();
    // Closed, or reset for what was not read.
    let _ = socket.read_to_end(&mut reply);
    assert_eq!(reply, b"");
}

/// `tls-auth-clients-user`: a certificate is as good as a password, and one that names nobody is worth nothing.
#[test]
fn a_certificate_names_the_user() {
    let files = Files::new();
    let named = |name: &'static str| {
        move |params: &mut CertificateParams| {
            params.distinguished_name.push(DnType::CommonName, name);
            let uri = format!("redis:{name}").try_into().expect("ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
    };
    for name in ["ann", "bob", "nobody"] {
        files.make(name, &files.authority, named(name));
    }
    files.make("both", &files.authority, |params| {
        for uri in ["redis:nobody", "redis:bob", "redis:ann"] {
            let uri = uri.try_into().expect("ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
    });
    let (server, port) = files.server(2, &["--tls-auth-clients-user", "CN"]);
    let mut admin = server.client();
    assert_eq!(admin.ask("ACL SETUSER ann on +acl"), ok());
    assert_eq!(admin.ask("ACL SETUSER bob off +acl"), ok());
    assert_eq!(admin.ask("ACL SETUSER redis:ann on +acl"), ok());
    let who = |name: &str| {
        let (shown, key) = (files.path(name), files.path(&format!("{name}.key")));
        let mut stream = connect(port, &files.path("ca"), Some((&shown, &key)));
        stream.write_all(b"ACL WHOAMI\r\n").expect("room");
        let mut reply = String::new();
        let mut byte = [0];
        let lines = |reply: &str| if reply.starts_with('-') { 1 } else { 2 };
        while reply.matches('\n').count() < lines(&reply) {
            stream.read_exact(&mut byte).expect("a reply");
            reply.push(char::from(byte[0]));
        }
        reply.lines().last().expect("a line").to_string()
    };
    assert_eq!(who("ann"), "ann");
    assert_eq!(who("bob"), "default");
    assert_eq!(who("nobody"), "default");
    let info = admin.ask("INFO stats").text();
    assert!(info.contains("acl_access_denied_tls_cert:2\r\n"), "{info}");
    let log = admin.ask("ACL LOG 1");
    let entry = log.items()[0].items();
    assert_eq!(entry[3].text(), "tls-cert");
    assert_eq!(entry[9].text(), "nobody");
    assert_eq!(admin.ask("CONFIG SET tls-auth-clients-user URI"), ok());
    assert_eq!(who("ann"), "redis:ann");
    // Of several names it is the first whom one may be.
    assert_eq!(admin.ask("ACL SETUSER redis:bob off +acl"), ok());
    assert_eq!(who("both"), "redis:ann");
    assert_eq!(admin.ask("ACL SETUSER redis:bob on"), ok());
    assert_eq!(who("both"), "redis:bob");
    assert_eq!(admin.ask("CONFIG SET tls-auth-clients-user off"), ok());
    assert_eq!(who("ann"), "default");
    // Who must sign in does so with a certificate, and without one may do nothing.
    assert_eq!(admin.ask("CONFIG SET tls-auth-clients-user CN"), ok());
    assert_eq!(admin.ask("ACL SETUSER default resetpass >secret"), ok());
    assert_eq!(who("ann"), "ann");
    assert_eq!(who("nobody"), "-NOAUTH Authentication required.");
}

/// Protected mode: who comes from another machine is told why it is turned away, over TLS once it can read that, and is then gone;
/// what it sent meanwhile is not done. The address of an interface stands in for another machine.
#[test]
fn protected_mode_is_explained_over_tls_too() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Sends nothing: it asks which address would be used.
    let Ok(()) = socket.connect("198.51.100.7:9") else {
        println!("skipped: this machine has loopback addresses only");
        return;
    };
    let outside = socket.local_addr().expect("bound").ip();
    let files = Files::new();
    files.make("client", &files.authority, |_| ());
    for threads in [1, 3] {
        let (server, port) = files.server(threads, &["--tls-auth-clients", "optional"]);
        let mut admin = server.client();
        assert_eq!(admin.ask("CONFIG SET bind *"), ok());
        let plain = || TcpStream::connect((outside, server.port)).expect("accepted");
        let sealed = |shown| connect_at((outside, port).into(), &files.path("ca"), shown);
        let (certificate, key) = (files.path("client"), files.path("client.key"));
        let shown = Some((certificate.as_str(), key.as_str()));
        let told = |stream: &mut dyn ReadWrite| {
            let mut text = Vec::new();
            let _ = stream.write_all(b"INCR served\r\n");
            let _ = stream.read_to_end(&mut text);
            String::from_utf8(text).expect("ASCII")
        };
        let received = |admin: &mut Client| {
            let text = admin.ask("INFO stats").text();
            let mut lines = text.lines();
            let number = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
            number.and_then(|number| number.trim().parse::<u64>().ok())
        };
        let before = received(&mut admin).expect("a number");
        let denied = "-DENIED Redis is running in protected mode";
        for text in [
            told(&mut plain()),
            told(&mut sealed(None)),
            told(&mut sealed(shown)),
        ] {
            assert!(text.starts_with(denied), "{text}");
            assert_eq!(text.matches("\r\n").count(), 1, "{text}");
        }
        let info = admin.ask("INFO stats").text();
        assert!(info.contains("rejected_connections:3\r\n"), "{info}");
        assert_eq!(received(&mut admin), Some(before));
        assert_eq!(admin.ask("CONFIG SET protected-mode no"), ok());
        for mut stream in [sealed(None), sealed(shown)] {
            assert!(exchange(&mut stream, b"INCR served\r\n", 4).is_ok());
        }
        assert_eq!(admin.ask("GET served").text(), "2");
        assert_eq!(received(&mut admin), Some(before + 2));
    }
}

/// The same key as OpenSSL 3 wrote it, plain, encrypted with a pass phrase, and encrypted as older releases did.
const KEYS: [&str; 3] = [
    include_str!("golden/key_plain.pem"),
    include_str!("golden/key_encrypted.pem"),
    include_str!("golden/key_encrypted_of_old.pem"),
];

/// `tls-key-file-pass` opens an encrypted key, at the start and when it is set; without it, with a wrong one, or with a key that is
/// encrypted in a format of old nothing changes, and the log says why. The pass phrase is never in it.
#[test]
fn an_encrypted_key_is_opened_with_its_pass_phrase() {
    const PASS: &str = "open sesame";
    let files = Files::new();
    let key = KeyPair::from_pem(KEYS[0]).expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    let certificate = params.signed_by(&key, &files.authority).expect("signed");
    let both = [certificate.pem(), KEYS[1].to_string()].concat();
    files.write("server", &both);
    let encrypted = files.write("encrypted.key", KEYS[1]);
    let old = files.write("old.key", KEYS[2]);
    let port = free_port();
    let port_text = port.to_string();
    let (cert, ca) = (files.path("server"), files.path("ca"));
    let words = [
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &cert,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    let serves = || exchange(&mut connect(port, &ca, None), b"PING\r\n", 7).is_ok();
    // The key lies in the certificate's file.
    let with_pass = [
        &words[..],
        &["--tls-key-file-pass", PASS, "--logfile", "log"],
    ]
    .concat();
    let server = Server::start(2, &with_pass);
    assert!(serves());
    let mut admin = server.client();
    let said = admin.ask("CONFIG GET tls-key-file-pass");
    assert_eq!(said.items()[1].text(), PASS);
    let reason = "Unable to update TLS configuration. Check server logs.";
    for (option, value, part) in [
        (
            "tls-key-file-pass",
            "",
            "it is encrypted, and tls-key-file-pass is not set",
        ),
        (
            "tls-key-file-pass",
            "wrong",
            "tls-key-file-pass does not open it",
        ),
        ("tls-key-file", &old, "it is encrypted in a format of old"),
    ] {
        let said = admin.run(&[b"CONFIG", b"SET", option.as_bytes(), value.as_bytes()]);
        let text =
            format!("ERR CONFIG SET failed (possibly related to argument '{option}') - {reason}");
        assert_eq!(said, error(&text));
        let log = std::fs::read_to_string(server.dir.join("log")).expect("a log");
        assert!(log.contains(part), "{part}: {log}");
        assert!(serves());
    }
    assert_eq!(
        admin.ask(&format!("CONFIG SET tls-key-file {encrypted}")),
        ok()
    );
    assert!(serves());
    let log = std::fs::read_to_string(server.dir.join("log")).expect("a log");
    assert!(!log.contains(PASS) && !log.contains("wrong"), "{log}");
    drop(server);
    let without = [&["--port", "0", "--threads", "1"], &words[..]].concat();
    let (code, text) = run_to_end(&without);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("tls-key-file-pass is not set"), "{text}");
}

/// A configuration that cannot serve stops the start.
#[test]
fn tls_without_its_files_does_not_start() {
    let files = Files::new();
    files.make("client", &files.authority, |_| ());
    let (cert, key, ca) = (
        files.path("server"),
        files.path("client.key"),
        files.path("ca"),
    );
    let port = free_port().to_string();
    for (words, part) in [
        (vec![], "tls-cert-file is not set"),
        (
            vec![
                "--tls-cert-file",
                &cert,
                "--tls-key-file",
                &key,
                "--tls-ca-cert-file",
                &ca,
            ],
            "tls-cert-file, tls-key-file",
        ),
        (
            vec!["--tls-cert-file", &ca, "--tls-key-file", &ca],
            "tls-key-file",
        ),
    ] {
        let mut arguments = vec!["--port", "0", "--tls-port", &port, "--threads", "1"];
        arguments.extend(words);
        let (code, text) = run_to_end(&arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}
