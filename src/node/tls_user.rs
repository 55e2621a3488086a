//! The user a client's certificate names (`tls-auth-clients-user`).
//!
//! Promises  a connection whose certificate names nobody it may be stays what it was: the user `default`, where that is open.
//! Not here  whether the certificate is to be trusted: rustls has seen to that before.
//! Source    RFC 5280, through the crate x509-cert.
//! Tests     tests/server/tls.rs.

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::connection::Connection;
use super::core::Core;
use crate::commands::acl::Reason;
use crate::commands::acl::log::{Context, Denial};

impl Core {
    /// Makes a connection whose handshake has just ended the user its certificate names.
    #[cold]
    pub(super) fn sign_in_by_certificate(&mut self, connection: &mut Connection, der: &[u8]) {
        let kind = self.options.held_text("tls-auth-clients-user");
        let name = match kind.as_str() {
            "CN" => common_name(der),
            "URI" => self.known_uri(der),
            _ => return,
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return;
        };
        let user = self.users.get(name.as_bytes());
        if let Some(user) = user.filter(|user| !user.is_off()) {
            connection.session.user = user.clone();
            connection.session.authenticated = true;
            connection.session.look_at_users(&self.users);
            return;
        }
        self.note_denial(
            connection,
            Denial {
                reason: Reason::Certificate,
                context: Context::TopLevel,
                object: Vec::new(),
                user: name.into_bytes(),
            },
        );
    }

    /// The first address of a certificate that is the name of a user one may be; without one, of any, or the first.
    fn known_uri(&self, der: &[u8]) -> Option<String> {
        let mut names = addresses(der);
        let rank = |name: &String| match self.users.get(name.as_bytes()) {
            Some(user) if !user.is_off() => 0,
            Some(_) => 1,
            None => 2,
        };
        // Of equals the first.
        let at = (0..names.len()).min_by_key(|&at| rank(&names[at]))?;
        Some(names.swap_remove(at))
    }
}

/// The subject's common name.
fn common_name(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let name = certificate.tbs_certificate().subject().common_name();
    name.ok()?.map(|name| name.value().into_owned())
}

/// The URIs among the subject's alternative names.
fn addresses(der: &[u8]) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(der) else {
        return Vec::new();
    };
    let names = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = names else {
        return Vec::new();
    };
    let uri = |name: GeneralName| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_string()),
        _ => None,
    };
    names.into_iter().filter_map(uri).collect()
}
