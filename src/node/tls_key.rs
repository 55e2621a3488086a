//! The key of the server's certificate, from a PEM file; an encrypted one is opened with its pass phrase.
//!
//!     BEGIN PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY -> as it is        BEGIN ENCRYPTED PRIVATE KEY -> PBES2 -> PKCS#8
//!
//! Promises  neither the pass phrase nor anything of the key is in an error.
//! Not here  the certificate, and what is made of both: `node/tls.rs`.
//! Source    RFC 7468 (PEM), RFC 5958 and RFC 8018 (PKCS#8, PBES2) by crate pkcs8.
//! Tests     tests/server/tls.rs.

use pkcs8::der::pem::PemLabel;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

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
