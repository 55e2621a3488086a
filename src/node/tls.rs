//! TLS: between the receive buffer and the parser, and between the reply buffer and the send.
//!
//!     received bytes -> open -> requests            replies -> seal -> bytes to send
//!
//! The ring's loop is the same for all connections; one without TLS costs a branch at each of the two places. A connection
//! takes its TLS state along when it moves to another core.
//!
//! Promises  nothing of a client is parsed before its handshake is done, with a certificate where one is asked for; a fault of
//!           the client's ends its connection only.
//! Not here  records that the kernel seals and opens: `node/tls_kernel.rs`; which certificates of clients are good: `node/tls_clients.rs`; the key of the server's own: `node/tls_key.rs`; the user a certificate names: `node/tls_user.rs`; the options' rows: `node/option_held.rs`; which listener speaks TLS: `node/listeners.rs`.
//! Source    crate rustls with ring: TLS 1.2 and 1.3.
//! Tests     tests/server/tls.rs.

use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{
    NoServerSessionStorage, ServerConnectionData, StoresServerSessions, UnbufferedServerConnection,
};
use rustls::sign::SingleCertAndKey;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic};
use rustls::{ProtocolVersion, ServerConfig, SupportedProtocolVersion, Tls12CipherSuite};

use super::options::Options;
use super::tls_clients::{Clients, Trusted};
use super::tls_kernel::{self, Ability, KernelKeys};
use super::tls_key::{certified, private_key};

/// The most of a buffer of sealed bytes that a connection keeps between two reads.
const SEALED_KEPT_BYTES: usize = 4096;
/// The longest plain text of a record.
const RECORD_BYTES_MAX: usize = 16_384;
/// What a record has beyond its plain text: 5 bytes of header, 8 of a nonce (TLS 1.2), 1 of a type (TLS 1.3), 16 of a tag; and
/// room for a change of keys before the first.
const RECORD_MORE_BYTES_MAX: usize = 64;
/// The same of a record of TLS 1.3 that is not padded.
const RECORD_MORE_BYTES_13: usize = 5 + 1 + 16;
/// A sealed alert.
const ALERT_BYTES_MAX: usize = 64;

/// What new connections are made with.
#[derive(Clone)]
pub struct Config {
    rustls: Arc<ServerConfig>,
    /// What the kernel can do of it, where that is wanted.
    kernel: Option<Ability>,
}

/// One connection's TLS.
pub struct Tls {
    keeper: Keeper,
    /// What has been received of a record that has not come whole.
    sealed: Vec<u8>,
    /// What is to be sent beside replies: parts of the handshake, alerts, changes of keys.
    told: Vec<u8>,
    /// The peer has said that it sends nothing more.
    has_ended: bool,
    /// The client has been told that nothing follows.
    has_said_end: bool,
    /// Its handshake is done, and that has been looked at.
    is_known: bool,
    /// What the kernel may do for it once its handshake is done.
    wanted: Option<Ability>,
    /// Bytes opened since replies were last sealed that were no data: a change of keys may be among them, and one be owed in return.
    control_bytes: usize,
}

/// Who seals and opens a connection's records.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each connection, in a box of its own, and most have the largest"
)]
enum Keeper {
    Here(UnbufferedServerConnection),
    Kernel(KernelKeys),
    /// A fault left it without keys.
    Nobody,
}

/// What was wrong with what a client sent; what is to be told to it is among the bytes to send.
#[derive(Debug)]
pub struct Fault {
    error: rustls::Error,
    /// The handshake was not done.
    is_early: bool,
}

impl Fault {
    /// Whether the handshake was not done.
    pub fn is_early(&self) -> bool {
        self.is_early
    }

    /// Whether what came is no TLS at all.
    pub fn is_of_another_protocol(&self) -> bool {
        self.is_early && matches!(self.error, rustls::Error::InvalidMessage(_))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl Tls {
    /// For a connection just accepted.
    ///
    /// Errors: a configuration that cannot serve anybody.
    pub fn new(config: Config) -> Result<Self, String> {
        let connection = UnbufferedServerConnection::new(config.rustls);
        Ok(Self {
            keeper: Keeper::Here(connection.map_err(|error| error.to_string())?),
            sealed: Vec::new(),
            told: Vec::new(),
            has_ended: false,
            has_said_end: false,
            is_known: false,
            wanted: config.kernel,
            control_bytes: 0,
        })
    }

    /// Decrypts what has been received, appending it to `plain`.
    pub fn open(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), Fault> {
        if self.has_ended {
            // What follows the end is not read.
            return Ok(());
        }
        self.sealed.extend_from_slice(bytes);
        let mut taken = 0;
        let result = self.open_all(&mut taken, plain);
        if result.is_err() {
            self.take_alert(taken);
        } else if taken == self.sealed.len() || self.has_ended {
            self.sealed.clear();
            self.sealed.shrink_to(SEALED_KEPT_BYTES);
        } else {
            self.sealed.drain(..taken);
        }
        result
    }

    /// Goes on until it takes more bytes.
    ///
    /// - `taken`: how many of the sealed bytes are done with.
    fn open_all(&mut self, taken: &mut usize, plain: &mut Vec<u8>) -> Result<(), Fault> {
        let Keeper::Here(connection) = &mut self.keeper else {
            return Ok(());
        };
        let mut data_bytes = 0;
        loop {
            let is_early = connection.is_handshaking();
            let status = connection.process_tls_records(&mut self.sealed[*taken..]);
            let discard = status.discard;
            let state = status.state.map_err(|error| {
                *taken += discard;
                Fault { error, is_early }
            })?;
            let goes_on = match state {
                ConnectionState::ReadTraffic(mut records) => {
                    while let Some(record) = records.next_record() {
                        let record = record.map_err(|error| Fault { error, is_early })?;
                        plain.extend_from_slice(record.payload);
                        *taken += record.discard;
                        data_bytes += record.payload.len() + RECORD_MORE_BYTES_13;
                    }
                    true
                }
                ConnectionState::EncodeTlsData(mut part) => {
                    take_part(&mut part, &mut self.told);
                    true
                }
                ConnectionState::TransmitTlsData(part) => {
                    part.done();
                    true
                }
                ConnectionState::PeerClosed => {
                    self.has_ended = true;
                    true
                }
                // Early data is not offered; the rest wait for bytes, or for replies.
                _ => false,
            };
            *taken += discard;
            if !goes_on {
                // In TLS 1.2, which has no change of keys, it is not looked at.
                self.control_bytes += taken.abs_diff(data_bytes);
                return Ok(());
            }
        }
    }

    /// Takes what the client is to be told of a fault of its own. Nothing that comes after that counts.
    #[cold]
    fn take_alert(&mut self, taken: usize) {
        let keeper = std::mem::replace(&mut self.keeper, Keeper::Nobody);
        if let Keeper::Here(mut connection) = keeper {
            // What it has found in these bytes it still refers to. There is one alert at most: it is not to read on behind that.
            let status = connection.process_tls_records(&mut self.sealed[taken..]);
            if let Ok(ConnectionState::EncodeTlsData(mut part)) = status.state {
                take_part(&mut part, &mut self.told);
            }
        }
        self.sealed = Vec::new();
    }

    /// Encrypts replies, and takes along whatever else there is to send.
    ///
    /// - `ends`: nothing will follow, and the client is told so.
    pub fn seal(&mut self, plain: &[u8], ends: bool) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.told);
        let ends = ends && !self.has_said_end;
        if plain.is_empty() && !ends {
            return bytes;
        }
        let Keeper::Here(connection) = &mut self.keeper else {
            return bytes;
        };
        loop {
            // A record that has not come whole stays; there is nothing to be read.
            let status = connection.process_tls_records(&mut self.sealed);
            match status.state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    self.control_bytes = 0;
                    encrypt(&mut traffic, plain, &mut bytes);
                    if ends {
                        let length = bytes.len();
                        bytes.resize(length + ALERT_BYTES_MAX, 0);
                        let written = traffic.queue_close_notify(&mut bytes[length..]);
                        bytes.truncate(length + written.unwrap_or(0));
                        self.has_said_end = true;
                    }
                    return bytes;
                }
                Ok(ConnectionState::EncodeTlsData(mut part)) => take_part(&mut part, &mut bytes),
                Ok(ConnectionState::TransmitTlsData(part)) => part.done(),
                Ok(ConnectionState::PeerClosed) => self.has_ended = true,
                // No keys yet, or no more: nobody can be told anything.
                _ => return bytes,
            }
        }
    }

    /// Whether there is something to send though there is no reply: a handshake's part, an alert.
    pub fn wants_write(&self) -> bool {
        !self.told.is_empty()
    }

    /// Whether the handshake is done; yes only once.
    pub fn take_handshake(&mut self) -> bool {
        let is_new = !self.is_known
            && matches!(&self.keeper, Keeper::Here(connection) if !connection.is_handshaking());
        self.is_known |= is_new;
        is_new
    }

    /// Whether the handshake is done, as often as it is asked.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether the kernel is to have its keys, once all that was sealed here has been sent.
    pub fn is_to_be_handed_over(&self) -> bool {
        self.wanted.is_some()
            && self.is_known
            && !self.has_ended
            && self.told.is_empty()
            && self.sealed.is_empty()
    }

    /// Gives the kernel its keys, all that has been received being here, and all that was sent being sent; whether it took them.
    /// It is tried once, but for a client that a change of keys may be owed to.
    ///
    /// Errors: why the connection cannot go on.
    pub fn hand_over(&mut self, socket: BorrowedFd<'_>) -> Result<bool, String> {
        let Keeper::Here(connection) = &self.keeper else {
            return Ok(false);
        };
        let of = connection
            .protocol_version()
            .zip(connection.negotiated_cipher_suite());
        let is_13 = of.is_some_and(|(version, _)| version == ProtocolVersion::TLSv1_3);
        if is_13 && self.control_bytes > 0 {
            // What is sealed next takes along what is owed.
            return Ok(false);
        }
        let serves = self.wanted.take().zip(of);
        let serves = serves.is_some_and(|(able, (version, suite))| able.serves(version, suite));
        if !serves || tls_kernel::take_up(socket).is_err() {
            return Ok(false);
        }
        let Keeper::Here(connection) = std::mem::replace(&mut self.keeper, Keeper::Nobody) else {
            return Ok(false);
        };
        let (secrets, keys) = connection
            .dangerous_into_kernel_connection()
            .map_err(|error| error.to_string())?;
        self.keeper = Keeper::Kernel(KernelKeys::install(socket, &secrets, keys)?);
        Ok(true)
    }

    /// The keys that the kernel has; without any, bytes go through [`Tls::open`] and [`Tls::seal`].
    pub fn kernel(&mut self) -> Option<&mut KernelKeys> {
        match &mut self.keeper {
            Keeper::Kernel(keys) => Some(keys),
            _ => None,
        }
    }

    /// Whether bytes come and go as they are.
    pub fn is_in_kernel(&self) -> bool {
        matches!(self.keeper, Keeper::Kernel(_))
    }

    /// The client's own certificate, where it has shown one.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let Keeper::Here(connection) = &self.keeper else {
            return None;
        };
        let chain = connection.peer_certificates()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    /// Whether the client is still to be told that nothing follows.
    pub fn has_end_to_say(&self) -> bool {
        matches!(self.keeper, Keeper::Here(_)) && !self.has_said_end
    }

    /// Whether the client has said that it sends nothing more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }
}

/// Appends a part of the handshake, or an alert.
fn take_part(part: &mut EncodeTlsData<'_, ServerConnectionData>, bytes: &mut Vec<u8>) {
    let Err(EncodeError::InsufficientSize(needed)) = part.encode(&mut []) else {
        return;
    };
    let length = bytes.len();
    bytes.resize(length + needed.required_size, 0);
    // It has the room that it asked for.
    let _ = part.encode(&mut bytes[length..]);
}

/// Appends `plain` as records.
fn encrypt(
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    plain: &[u8],
    bytes: &mut Vec<u8>,
) {
    if plain.is_empty() {
        return;
    }
    let length = bytes.len();
    let records_count = plain.len() / RECORD_BYTES_MAX + 1;
    let mut room = plain.len() + records_count * RECORD_MORE_BYTES_MAX;
    loop {
        bytes.resize(length + room, 0);
        match traffic.encrypt(plain, &mut bytes[length..]) {
            Ok(written) => return bytes.truncate(length + written),
            Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => {
                room = needed.required_size;
            }
            // The keys are used up: the connection cannot go on, and says nothing more.
            Err(_) => return bytes.truncate(length),
        }
    }
}

/// The port of TLS connections.
pub fn port(options: &Options) -> Option<u16> {
    let port = options.held_text("tls-port").parse().unwrap_or(0);
    (port > 0).then_some(port)
}

/// The options of TLS as they are said.
struct Said {
    tls_cert_file: String,
    tls_key_file: String,
    tls_key_file_pass: String,
    tls_ca_cert_file: String,
    tls_ca_cert_dir: String,
    tls_auth_clients: String,
    tls_protocols: String,
    tls_ciphers: String,
    tls_ciphersuites: String,
    tls_prefer_server_ciphers: bool,
    tls_session_caching: bool,
    tls_session_cache_size: i64,
    tls_session_cache_timeout: i64,
    tls_kernel: String,
}

impl Said {
    fn by(options: &Options) -> Self {
        let text = |name: &str| options.held_text(name);
        let number = |name: &str| options.held_text(name).parse().unwrap_or(0);
        Self {
            tls_cert_file: text("tls-cert-file"),
            tls_key_file: text("tls-key-file"),
            tls_key_file_pass: text("tls-key-file-pass"),
            tls_ca_cert_file: text("tls-ca-cert-file"),
            tls_ca_cert_dir: text("tls-ca-cert-dir"),
            tls_auth_clients: text("tls-auth-clients"),
            tls_protocols: text("tls-protocols"),
            tls_ciphers: text("tls-ciphers"),
            tls_ciphersuites: text("tls-ciphersuites"),
            tls_prefer_server_ciphers: text("tls-prefer-server-ciphers") == "yes",
            tls_session_caching: text("tls-session-caching") == "yes",
            tls_session_cache_size: number("tls-session-cache-size"),
            tls_session_cache_timeout: number("tls-session-cache-timeout"),
            tls_kernel: text("tls-kernel"),
        }
    }
}

/// What the options say; none without a TLS port.
///
/// Errors: the option that is wrong, and why.
pub fn config(options: &Options) -> Result<Option<Config>, String> {
    if port(options).is_none() {
        return Ok(None);
    }
    let options = &Said::by(options);
    if options.tls_cert_file.is_empty() {
        return Err("tls-cert-file is not set, and tls-port is".to_string());
    }
    let key_file = if options.tls_key_file.is_empty() {
        &options.tls_cert_file
    } else {
        &options.tls_key_file
    };
    let certificates = certificates("tls-cert-file", &options.tls_cert_file)?;
    let key = private_key(key_file, &options.tls_key_file_pass)
        .map_err(|error| format!("tls-key-file {key_file}: {error}"))?;
    let provider = chosen_provider(options)?;
    let versions = versions(&options.tls_protocols)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls-protocols, tls-ciphers, tls-ciphersuites: {error}"))?;
    let builder = if options.tls_auth_clients == "no" {
        builder.with_no_client_auth()
    } else {
        let is_optional = options.tls_auth_clients == "optional";
        let clients = Clients::new(trusted(options)?, is_optional, &provider)
            .map_err(|error| format!("tls-ca-cert-file, tls-ca-cert-dir: {error}"))?;
        builder.with_client_cert_verifier(Arc::new(clients))
    };
    let own = certified(certificates, key, &provider)
        .map_err(|error| format!("tls-cert-file, tls-key-file: {error}"))?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.ignore_client_order = options.tls_prefer_server_ciphers;
    config.session_storage = if options.tls_session_caching {
        Arc::new(Sessions::new(options))
    } else {
        Arc::new(NoServerSessionStorage {})
    };
    if !options.tls_session_caching {
        config.send_tls13_tickets = 0;
    }
    let kernel = kernel(&options.tls_kernel)?;
    config.enable_secret_extraction = kernel.is_some();
    let rustls = Arc::new(config);
    Ok(Some(Config { rustls, kernel }))
}

/// What the kernel is to do.
///
/// Errors: it is asked for, and cannot.
fn kernel(wanted: &str) -> Result<Option<Ability>, String> {
    match (wanted, tls_kernel::Ability::look) {
        ("yes", look) => look()
            .map(Some)
            .map_err(|reason| format!("tls-kernel yes: {reason}")),
        ("auto", look) => Ok(look().ok()),
        _ => Ok(None),
    }
}

/// What files look like from outside: their times of change and lengths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, Option<(SystemTime, u64)>)>);

/// The stamp of every file that [`config`] reads; a file that is not there has one, too.
pub fn stamp(options: &Options) -> Stamp {
    let said = Said::by(options);
    let named = [
        &said.tls_cert_file,
        &said.tls_key_file,
        &said.tls_ca_cert_file,
    ];
    let mut paths: Vec<PathBuf> = (named.into_iter())
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect();
    if !said.tls_ca_cert_dir.is_empty() {
        let entries = std::fs::read_dir(&said.tls_ca_cert_dir);
        let found = entries.into_iter().flatten().filter_map(Result::ok);
        paths.extend(found.map(|entry| entry.path()));
    }
    paths.sort_unstable();
    let of = |path: PathBuf| {
        let found = std::fs::metadata(&path).ok();
        let found = found.and_then(|found| Some((found.modified().ok()?, found.len())));
        (path, found)
    };
    Stamp(paths.into_iter().map(of).collect())
}

fn certificates(option: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{option} {path}: {error}");
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fault(&error))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| fault(&error))?;
    if found.is_empty() {
        return Err(fault(&"there is no certificate in it"));
    }
    Ok(found)
}

/// The certificates that say which of clients' are good.
fn trusted(options: &Said) -> Result<Trusted, String> {
    let mut files = Vec::new();
    if !options.tls_ca_cert_file.is_empty() {
        files.push(options.tls_ca_cert_file.clone());
    }
    let folder = &options.tls_ca_cert_dir;
    if !folder.is_empty() {
        let entries = std::fs::read_dir(folder)
            .map_err(|error| format!("tls-ca-cert-dir {folder}: {error}"))?;
        let found = entries.filter_map(Result::ok).map(|entry| entry.path());
        let found = found.filter(|path| path.is_file());
        files.extend(found.map(|path| path.display().to_string()));
    }
    let mut trusted = Trusted::none();
    for file in &files {
        for certificate in certificates("tls-ca-cert-file", file)? {
            trusted
                .add(certificate)
                .map_err(|error| format!("tls-ca-cert-file {file}: {error}"))?;
        }
    }
    if trusted.is_empty() {
        return Err(
            "tls-ca-cert-file or tls-ca-cert-dir must be set unless tls-auth-clients is no"
                .to_string(),
        );
    }
    Ok(trusted)
}

fn versions(protocols: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    for word in protocols.split([' ', ',']).filter(|word| !word.is_empty()) {
        versions.push(match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => &rustls::version::TLS12,
            "tlsv1.3" => &rustls::version::TLS13,
            _ => {
                return Err(format!(
                    "tls-protocols: {word} is not supported, TLSv1.2 and TLSv1.3 are"
                ));
            }
        });
    }
    if versions.is_empty() {
        versions = vec![&rustls::version::TLS12, &rustls::version::TLS13];
    }
    Ok(versions)
}

/// Cipher suites by OpenSSL's names, those of TLS 1.2 first.
const SUITES_12: &[(&str, rustls::SupportedCipherSuite)] = {
    use provider::cipher_suite as suite;
    &[
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        (
            "ECDHE-RSA-AES256-GCM-SHA384",
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-RSA-AES128-GCM-SHA256",
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-RSA-CHACHA20-POLY1305",
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ]
};
const SUITES_13: &[(&str, rustls::SupportedCipherSuite)] = {
    use provider::cipher_suite as suite;
    &[
        ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
        ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
        (
            "TLS_CHACHA20_POLY1305_SHA256",
            suite::TLS13_CHACHA20_POLY1305_SHA256,
        ),
    ]
};

fn chosen_provider(options: &Said) -> Result<Arc<CryptoProvider>, String> {
    let mut suites = chosen("tls-ciphersuites", &options.tls_ciphersuites, SUITES_13)?;
    let chosen_12 = chosen("tls-ciphers", &options.tls_ciphers, SUITES_12)?;
    suites.extend(chosen_12.into_iter().map(lasting));
    Ok(Arc::new(CryptoProvider {
        cipher_suites: suites,
        ..provider::default_provider()
    }))
}

/// A cipher suite of TLS 1.2 that seals on. rustls ends a connection after 2^24 records of AES-GCM, as TLS 1.2 has no change of
/// keys: an hour of a busy client's. The bound it keeps to is one of records of 16 KiB; OpenSSL, and with it Redis, has none.
fn lasting(suite: rustls::SupportedCipherSuite) -> rustls::SupportedCipherSuite {
    static LASTING: LazyLock<Vec<Tls12CipherSuite>> = LazyLock::new(|| {
        let suites = SUITES_12.iter().filter_map(|(_, suite)| match suite {
            rustls::SupportedCipherSuite::Tls12(suite) => Some(Tls12CipherSuite {
                common: rustls::crypto::CipherSuiteCommon {
                    suite: suite.common.suite,
                    hash_provider: suite.common.hash_provider,
                    confidentiality_limit: u64::MAX,
                },
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: suite.aead_alg,
            }),
            rustls::SupportedCipherSuite::Tls13(_) => None,
        });
        suites.collect()
    });
    let same = LASTING
        .iter()
        .find(|same| same.common.suite == suite.suite());
    same.map_or(suite, rustls::SupportedCipherSuite::Tls12)
}

fn chosen(
    option: &str,
    names: &str,
    known: &[(&str, rustls::SupportedCipherSuite)],
) -> Result<Vec<rustls::SupportedCipherSuite>, String> {
    if names.is_empty() {
        return Ok(known.iter().map(|(_, suite)| *suite).collect());
    }
    let find = |name: &str| {
        let suite = known
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        suite.map(|(_, suite)| *suite).ok_or_else(|| {
            let supported: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let supported = supported.join(" ");
            format!("{option}: {name} is not supported; these are: {supported}")
        })
    };
    let mut suites: Vec<rustls::SupportedCipherSuite> = Vec::new();
    for name in names.split([':', ',', ' ']) {
        let all = || known.iter().map(|(_, suite)| *suite);
        let more: Vec<_> = match name.strip_prefix(['!', '-']) {
            Some(gone) if names_nothing_here(gone) => Vec::new(),
            Some(gone) => {
                let gone = find(gone)?;
                suites.retain(|suite| *suite != gone);
                Vec::new()
            }
            None if ["DEFAULT", "ALL", "HIGH"].contains(&name) => all().collect(),
            None => vec![find(name)?],
        };
        for suite in more {
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        }
    }
    if suites.is_empty() {
        return Err(format!("{option}: nothing is left"));
    }
    Ok(suites)
}

/// Whether OpenSSL's name is that of ciphers, or of kinds of ciphers, that rondo never has: excluding them is done.
fn names_nothing_here(name: &str) -> bool {
    const KINDS: &[&str] = &[
        "aNULL", "eNULL", "NULL", "EXPORT", "EXP", "LOW", "MEDIUM", "MD5", "RC4", "DES", "3DES",
        "IDEA", "SEED", "CAMELLIA", "ARIA", "PSK", "SRP", "DSS", "aDSS", "kRSA", "RSA", "ADH",
        "AECDH", "DH", "kDHE", "SHA1", "SHA",
    ];
    let has_suite = |(known, _): &(&str, _)| known.eq_ignore_ascii_case(name);
    KINDS.contains(&name) || name.contains('-') && !SUITES_12.iter().any(has_suite)
}

/// Sessions that clients may go on with instead of a whole handshake (`tls-session-cache-size`, `-timeout`). All cores share
/// it: handshakes are the only ones to ask.
#[derive(Debug)]
struct Sessions {
    length_max: usize,
    time: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_key: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// The oldest first; some may have been taken.
    order: VecDeque<(Instant, Vec<u8>)>,
}

impl Sessions {
    fn new(options: &Said) -> Self {
        let size = usize::try_from(options.tls_session_cache_size).unwrap_or(0);
        Self {
            // As in OpenSSL, 0 is no limit.
            length_max: if size == 0 { usize::MAX } else { size },
            time: Duration::from_secs(options.tls_session_cache_timeout.max(0) as u64),
            held: Mutex::default(),
        }
    }

    fn fresh(&self, since: Instant) -> bool {
        since.elapsed() <= self.time
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        while let Some((since, oldest)) = held.order.front() {
            let is_there = held.by_key.contains_key(oldest);
            if is_there && self.fresh(*since) && held.order.len() < self.length_max {
                break;
            }
            held.by_key.remove(oldest);
            held.order.pop_front();
        }
        let now = Instant::now();
        held.order.push_back((now, key.clone()));
        held.by_key.insert(key, (now, value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, value) = held.by_key.get(key)?;
        self.fresh(*since).then(|| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, value) = held.by_key.remove(key)?;
        self.fresh(since).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}
