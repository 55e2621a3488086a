//! What INFO tells of the certificates in force: their serial numbers, and when they are over.
//!
//! Every core tells it, and only core 0 has the listeners: it is kept for the process, and changes when certificates are read.
//!
//! Not here  reading certificates to be served: `node/tls.rs`.
//! Source    Valkey's section TLS: names of fields, `none` for no certificate.
//! Tests     tests/server/tls.rs.

use std::sync::{Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::options::Options;

static IN_FORCE: Mutex<TlsFigures> = Mutex::new(TlsFigures {
    own: None,
    authority: None,
});

/// The certificates in force; none of either without a port of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFigures {
    /// The server's own.
    pub own: Option<CertificateFigures>,
    /// Of those that say which of clients' are good, the one that is over first.
    pub authority: Option<CertificateFigures>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFigures {
    /// Hexadecimal, in upper case.
    pub serial: String,
    /// When it is over, in seconds since the epoch.
    pub ends_s: u64,
}

impl CertificateFigures {
    /// Seconds that are left at a time in seconds since the epoch, 0 for one that is over.
    pub fn left_s(&self, now_s: u64) -> u64 {
        self.ends_s.saturating_sub(now_s)
    }
}

/// Looks at the files whose certificates are in force from now on. One that cannot be read here is told as none.
pub(super) fn look(options: &Options) {
    let mut figures = TlsFigures::default();
    if super::tls::port(options).is_some() {
        let text = |name: &str| options.held_text(name);
        figures.own = certificates(&text("tls-cert-file")).into_iter().next();
        let folder = std::fs::read_dir(text("tls-ca-cert-dir"));
        let entries = folder.into_iter().flatten().filter_map(Result::ok);
        let paths = entries.map(|entry| entry.path().display().to_string());
        let all = std::iter::once(text("tls-ca-cert-file")).chain(paths);
        let all = all.flat_map(|path| certificates(&path));
        figures.authority = all.min_by_key(|certificate| certificate.ends_s);
    }
    *IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner) = figures;
}

/// What was seen when certificates were last read.
pub(super) fn in_force() -> TlsFigures {
    let figures = IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner);
    figures.clone()
}

fn certificates(path: &str) -> Vec<CertificateFigures> {
    let found = CertificateDer::pem_file_iter(path);
    let found = found.into_iter().flatten().filter_map(Result::ok);
    found.filter_map(|der| figures_of(&der)).collect()
}

fn figures_of(der: &[u8]) -> Option<CertificateFigures> {
    let certificate = Certificate::from_der(der).ok()?;
    let body = certificate.tbs_certificate();
    let bytes = body.serial_number().as_bytes();
    // A leading zero says that the number is not negative, and is no part of it.
    let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
    Some(CertificateFigures {
        serial: bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        ends_s: body.validity().not_after.to_unix_duration().as_secs(),
    })
}
