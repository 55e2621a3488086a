//! The key of the server's certificate, from a PEM file; an encrypted one is opened with its pass phrase; and both together.
//!
//!     BEGIN PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY -> as it is        BEGIN ENCRYPTED PRIVATE KEY -> PBES2 -> PKCS#8
//!
//! Promises  neither the pass phrase nor anything of the key is in an error.
//! Not here  reading the certificate, and what is made of both: `node/tls.rs`.
//! Source    RFC 7468 (PEM), RFC 5958 and RFC 8018 (PKCS#8, PBES2) by crate pkcs8.
//! Tests     tests/server/tls.rs.

use pkcs8::der::pem::PemLabel;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// What OpenSSL wrote before PKCS#8: keys made of an MD5 of the pass phrase.
const LEGACY_MARK: &str = "Proc-Type: 4,ENCRYPTED";

/// The first key of a file.
///
/// - `pass`: the pass phrase; not looked at where the key is not encrypted, as in Redis.
/// - Errors: what is wrong with the file, without the file's name.
pub fn private_key(path: &str, pass: &str) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    if let Some(block) = encrypted_block(&text) {
        return decrypt(block, pass);
    }
    if text.contains(LEGACY_MARK) {
        return Err("it is encrypted in a format of old; `openssl pkcs8 -topk8` makes one of it that can be read".into());
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| error.to_string())
}

/// From the first line of an encrypted key to its last.
fn encrypted_block(text: &str) -> Option<&str> {
    let label = EncryptedPrivateKeyInfoRef::PEM_LABEL;
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let block = &text[text.find(&begin)?..];
    Some(&block[..block.find(&end)? + end.len()])
}

fn decrypt(block: &str, pass: &str) -> Result<PrivateKeyDer<'static>, String> {
    if pass.is_empty() {
        return Err("it is encrypted, and tls-key-file-pass is not set".into());
    }
    let (_, document) = SecretDocument::from_pem(block).map_err(|error| error.to_string())?;
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| error.to_string())?;
    let key = info.decrypt(pass).map_err(
        |_| "tls-key-file-pass does not open it, or it is not encrypted as PBES2 with AES",
    )?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The server's own certificates with their key.
///
/// - One of version 1 of X.509, as `openssl x509 -req` makes them without extensions, is served too: it is for clients to judge,
///   which is why rustls, which never takes one of a client's, does not read it.
/// - Errors: the key is of a kind that is not known, or not that of the first certificate, or that is none.
pub(super) fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let key = provider.key_provider.load_private_key(key)?;
    let certified = CertifiedKey::new(certificates, key);
    let own = certified.end_entity_cert()?;
    let belong = match certified.key.public_key() {
        Some(public) if is_of_version_1(own) => {
            // It stands in the certificate as it is.
            let mut windows = own.windows(public.len().max(1));
            match windows.any(|window| window == public.as_ref()) {
                true => Ok(()),
                false => Err(InconsistentKeys::KeyMismatch.into()),
            }
        }
        _ => certified.keys_match(),
    };
    match belong {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(error),
    }
}

/// Whether a certificate begins as one of version 1: with its number, where later ones say their version.
fn is_of_version_1(certificate: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let content = |bytes: &[u8]| -> Option<usize> {
        let (&tag, rest) = bytes.split_first()?;
        let length_bytes = match rest.first()? {
            0..0x80 => 0,
            long => usize::from(long & 0x7f),
        };
        (tag == SEQUENCE).then_some(2 + length_bytes)
    };
    let inner = content(certificate).and_then(|at| certificate.get(at..));
    let first = inner.and_then(|inner| inner.get(content(inner)?).copied());
    first == Some(INTEGER)
}
