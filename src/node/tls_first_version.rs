//! Clients' certificates of version 1 of X.509, of which rustls takes none: `openssl x509 -req` made them until lately where no
//! extensions were named.
//!
//! Promises  one is good where an authority has signed it itself and its time is now; none where the authority says for which names
//!           it may sign, which such a certificate does not heed. Algorithms and lengths of keys are those of the other certificates.
//! Not here  what certificates stand between it and an authority: with any between, it is a stranger's. What keys are for: it cannot say.
//! Source    RFC 5280, 4.1 and 6.1.3; RFC 5246, 4.7; RFC 8446, 4.4.3. The provider of rustls looks at the signatures.
//! Tests     tests/server/tls.rs.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_cert::der::asn1::{AnyRef, BitStringRef};
use x509_cert::der::{self, Decode, Reader, SliceReader};
use x509_cert::time::Validity;

/// One such certificate, taken apart.
pub(super) struct FirstVersion<'c> {
    /// All that is signed.
    body: &'c [u8],
    /// What it is signed with, without tag and length, as the next.
    algorithm: &'c [u8],
    issuer: &'c [u8],
    signature: &'c [u8],
    validity: Validity,
    /// The key and its algorithm, whole.
    key_info: &'c [u8],
    key: Key<'c>,
}

/// A public key.
struct Key<'c> {
    /// Without tag and length.
    algorithm: &'c [u8],
    bits: &'c [u8],
}

impl<'c> FirstVersion<'c> {
    /// Takes a certificate apart; none where it is of another version, or not well formed.
    pub fn of(certificate: &'c [u8]) -> Option<Self> {
        let read = |certificate| -> der::Result<Option<Self>> {
            let [body, algorithm, signature] = members(contents(certificate)?)?;
            // Later versions begin with their number.
            let Ok([_, inner, issuer, validity, _, key_info]) = members(contents(body)?) else {
                return Ok(None);
            };
            let is_one_algorithm = inner == algorithm;
            Ok(is_one_algorithm.then_some(Self {
                body,
                algorithm: contents(algorithm)?,
                issuer: contents(issuer)?,
                signature: bits(signature)?,
                validity: Validity::from_der(validity)?,
                key_info,
                key: Key::of(contents(key_info)?)?,
            }))
        };
        read(certificate).ok().flatten()
    }

    /// Whether one of the authorities has signed it, and its time is now.
    pub fn verify(
        &self,
        authorities: &[TrustAnchor<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        check_time(&self.validity, now)?;
        let mut issuers = authorities.iter().filter(|authority| {
            *authority.subject == *self.issuer && authority.name_constraints.is_none()
        });
        let is_signed = issuers.any(|authority| {
            Key::of(&authority.subject_public_key_info).is_ok_and(|key| {
                algorithms.all.iter().any(|algorithm| {
                    *algorithm.public_key_alg_id() == *key.algorithm
                        && *algorithm.signature_alg_id() == *self.algorithm
                        && (algorithm.verify_signature(key.bits, self.body, self.signature)).is_ok()
                })
            })
        });
        match is_signed {
            true => Ok(()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    /// Whether the handshake is signed with its key, in TLS 1.2.
    pub fn verify_tls12(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        let of_scheme = algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme);
        let is_right = of_scheme.flat_map(|(_, all)| *all).any(|algorithm| {
            *algorithm.public_key_alg_id() == *self.key.algorithm
                && (algorithm.verify_signature(self.key.bits, message, signed.signature())).is_ok()
        });
        match is_right {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    /// The same in TLS 1.3.
    pub fn verify_tls13(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(self.key_info);
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }
}

/// Whether a certificate's time is now.
pub(super) fn check_time<P: x509_cert::certificate::Profile>(
    validity: &Validity<P>,
    now: UnixTime,
) -> Result<(), Error> {
    let now = now.as_secs();
    if now < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

impl<'c> Key<'c> {
    /// - `info`: its algorithm and its bits, without the tag and length of both.
    fn of(info: &'c [u8]) -> der::Result<Self> {
        let [algorithm, key] = members(info)?;
        Ok(Self {
            algorithm: contents(algorithm)?,
            bits: bits(key)?,
        })
    }
}

/// What lies behind the tag and length of the whole.
fn contents(whole: &[u8]) -> der::Result<&[u8]> {
    Ok(AnyRef::from_der(whole)?.value())
}

/// The members of a sequence, each with its tag and length: so many, and nothing behind them.
fn members<const COUNT: usize>(sequence: &[u8]) -> der::Result<[&[u8]; COUNT]> {
    let mut reader = SliceReader::new(sequence)?;
    let mut members = [[].as_slice(); COUNT];
    for member in &mut members {
        *member = reader.tlv_bytes()?;
    }
    reader.finish()?;
    Ok(members)
}

/// Whole bytes of a bit string.
fn bits(string: &[u8]) -> der::Result<&[u8]> {
    let string = BitStringRef::from_der(string)?;
    string
        .as_bytes()
        .ok_or_else(|| der::ErrorKind::Failed.into())
}
