//! Which certificates of clients are good: rustls's answer, and what their keys are for, which it does not ask.
//!
//!     trusted certificates -> each is good itself -> authorities: what they sign is good, too
//!
//! Promises  a client's own certificate is for signing and, where it says so in Netscape's words, for clients; what stands between it
//!           and an authority may sign certificates. A trusted certificate that is no authority lets nobody else in.
//! Not here  reading the options and files: `node/tls.rs`; whose certificate it is: `node/tls_user.rs`; certificates of version 1:
//!           `node/tls_first_version.rs`.
//! Source    RFC 5280, 4.2.1.3 and 4.2.1.9, through the crate x509-cert; RFC 8446, 4.4.2.3. OpenSSL, and so Redis, judges alike.
//! Tests     tests/server/tls.rs.

use super::tls_first_version::{FirstVersion, check_time};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;
use x509_cert::certificate::{CertificateInner, Raw, Version};
use x509_cert::der::asn1::{BitStringRef, ObjectIdentifier};
use x509_cert::der::{self, Decode};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

/// Netscape's `nsCertType`; its first bit is for clients.
const NETSCAPE_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113730.1.1");
const NETSCAPE_CLIENT: u8 = 0b1000_0000;
/// RFC 5280, 4.2.1.12.
const CLIENT_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// As much of a certificate as it takes, without holding its numbers and times to RFC 5280.
type Certificate = CertificateInner<Raw>;
type Verifier = Arc<dyn ClientCertVerifier>;

/// The certificates that the operator trusts.
#[derive(Debug)]
pub(super) struct Trusted {
    authorities: RootCertStore,
    /// The same, whole.
    authorities_whole: Vec<CertificateDer<'static>>,
    /// Those that are no authorities, each beside the roots it is alone in.
    itself: Vec<(CertificateDer<'static>, RootCertStore)>,
}

impl Trusted {
    pub fn none() -> Self {
        Self {
            authorities: RootCertStore::empty(),
            authorities_whole: Vec::new(),
            itself: Vec::new(),
        }
    }

    /// Errors: what is wrong with the certificate, which is left out.
    pub fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), String> {
        let is_authority = may_sign(&certificate).map_err(|error| error.to_string())?;
        let mut root = RootCertStore::empty();
        root.add(certificate.clone())
            .map_err(|error| error.to_string())?;
        if is_authority {
            self.authorities.extend(root.roots);
            self.authorities_whole.push(certificate);
        } else {
            self.itself.push((certificate, root));
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.itself.is_empty()
    }
}

/// Says whether a client's certificate is good.
#[derive(Debug)]
pub(super) struct Clients {
    /// By what authorities have signed; without any, everybody is a stranger.
    by_authority: Option<Verifier>,
    /// Certificates that are trusted and no authorities, and who says whether each is good.
    itself: Vec<(CertificateDer<'static>, Verifier)>,
    /// Any of the above: they check signatures alike.
    any: Verifier,
    hints: Vec<DistinguishedName>,
    /// For certificates of version 1.
    authorities: Vec<TrustAnchor<'static>>,
    /// Authorities that may be clients with the same certificate: rustls takes none of them at the end of a chain.
    authorities_whole: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// - `is_optional`: clients may show none.
    /// - Errors: nothing is trusted.
    pub fn new(
        trusted: Trusted,
        is_optional: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let verifier = |roots: RootCertStore| {
            let roots = Arc::new(roots);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            let builder = match is_optional {
                true => builder.allow_unauthenticated(),
                false => builder,
            };
            builder.build().map_err(|error| error.to_string())
        };
        let mut hints = trusted.authorities.subjects();
        let mut itself = Vec::new();
        for (certificate, root) in trusted.itself {
            hints.extend(root.subjects());
            itself.push((certificate, verifier(root)?));
        }
        let authorities = trusted.authorities.roots.clone();
        let by_authority = match trusted.authorities.is_empty() {
            true => None,
            false => Some(verifier(trusted.authorities)?),
        };
        let first = itself.first().map(|(_, verifier)| verifier);
        let any = by_authority.as_ref().or(first);
        Ok(Self {
            any: any.ok_or("no certificate is trusted")?.clone(),
            by_authority,
            itself,
            hints,
            authorities,
            authorities_whole: trusted.authorities_whole,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.any.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let is_for_this = is_for_clients(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if !is_for_this {
            return Err(CertificateError::InvalidPurpose.into());
        }
        if let Some(old) = FirstVersion::of(end_entity) {
            old.verify(&self.authorities, now, &self.algorithms)?;
            return Ok(ClientCertVerified::assertion());
        }
        let trusted = self.itself.iter().find(|(own, _)| own == end_entity);
        if let Some((_, verifier)) = trusted {
            return verifier.verify_client_cert(end_entity, &[], now);
        }
        if self.authorities_whole.iter().any(|own| own == end_entity) {
            is_good_by_itself(end_entity, now)?;
            return Ok(ClientCertVerified::assertion());
        }
        // One that may not sign proves nothing, as if it had not been sent.
        let signers: Vec<_> = intermediates
            .iter()
            .filter(|certificate| may_sign(certificate).unwrap_or(false))
            .cloned()
            .collect();
        match &self.by_authority {
            Some(verifier) => verifier.verify_client_cert(end_entity, &signers, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match FirstVersion::of(cert) {
            Some(old) => old.verify_tls12(message, dss, &self.algorithms),
            None => self.any.verify_tls12_signature(message, cert, dss),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match FirstVersion::of(cert) {
            Some(old) => old.verify_tls13(message, dss, &self.algorithms),
            None => self.any.verify_tls13_signature(message, cert, dss),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}

/// Whether other certificates may be signed with a certificate's key.
fn may_sign(certificate: &CertificateDer<'_>) -> Result<bool, der::Error> {
    let certificate = Certificate::from_der(certificate)?;
    let body = certificate.tbs_certificate();
    let usage = body.get_extension::<KeyUsage>()?;
    if usage.is_some_and(|(_, usage)| !usage.key_cert_sign()) {
        return Ok(false);
    }
    Ok(match body.get_extension::<BasicConstraints>()? {
        Some((_, constraints)) => constraints.ca,
        // From before there were constraints; only what is trusted may be so old, rustls takes no other.
        None => usage.is_some() || body.version() == Version::V1,
    })
}

/// Whether a certificate that is trusted itself is good now, for clients.
fn is_good_by_itself(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let bad = |_| CertificateError::BadEncoding;
    let certificate = Certificate::from_der(certificate).map_err(bad)?;
    let body = certificate.tbs_certificate();
    check_time(body.validity(), now)?;
    let usage = body.get_extension::<ExtendedKeyUsage>().map_err(bad)?;
    let is_for_clients = |usage: &ObjectIdentifier| [CLIENT_USAGE, ANY_USAGE].contains(usage);
    match usage.is_none_or(|(_, usage)| usage.0.iter().any(is_for_clients)) {
        true => Ok(()),
        false => Err(CertificateError::InvalidPurpose.into()),
    }
}

/// Whether a certificate's key is for signing a handshake, and that of a client.
fn is_for_clients(certificate: &CertificateDer<'_>) -> Result<bool, der::Error> {
    let certificate = Certificate::from_der(certificate)?;
    let body = certificate.tbs_certificate();
    if let Some((_, usage)) = body.get_extension::<KeyUsage>()?
        && !usage.digital_signature()
        && !usage.key_agreement()
    {
        return Ok(false);
    }
    let mut extensions = body.extensions().into_iter().flatten();
    let Some(netscape) = extensions.find(|extension| extension.extn_id == NETSCAPE_TYPE) else {
        return Ok(true);
    };
    let bits = BitStringRef::from_der(netscape.extn_value.as_bytes())?;
    let first = bits.raw_bytes().first();
    Ok(first.is_some_and(|byte| byte & NETSCAPE_CLIENT != 0))
}
