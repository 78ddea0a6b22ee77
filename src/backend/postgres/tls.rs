//! TLS towards PostgreSQL: libpq's sslmode on rustls.
//!
//! Owns the checks of the server's certificate. It must never accept a certificate that
//! `verify-ca` or `verify-full` would refuse in libpq. Start at [`client_config`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};

use crate::config::{Endpoint, SslMode};
use crate::error::{Culprit, Error, Result, state};

/// Where systems keep their trusted roots, for `sslrootcert=system`.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The TLS configuration for an endpoint; `home` is where libpq's default files lie.
///
/// # Errors
/// F0000 when a file cannot be read, or when the mode needs a root and none is there.
pub fn client_config(endpoint: &Endpoint, home: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let own =
        |name: &str| home.map(|h| h.join(".postgresql").join(name)).filter(|path| path.exists());
    let system = endpoint.sslrootcert.as_deref() == Some(Path::new("system"));
    let root_file = match &endpoint.sslrootcert {
        Some(_) if system => Some(system_roots()?),
        Some(path) => Some(path.clone()),
        None => own("root.crt"),
    };
    let mut check = match (endpoint.sslmode, &root_file) {
        // As in libpq: the machine's roots prove nothing without the name.
        (_, _) if system => Check::Full,
        (SslMode::VerifyFull, _) => Check::Full,
        (SslMode::VerifyCa, _) => Check::Ca,
        (SslMode::Require, Some(_)) => Check::Ca,
        _ => Check::Nothing,
    };
    if check != Check::Nothing && root_file.is_none() {
        return Err(bad("sslmode verifies the certificate, but no root certificate is given")
            .hint("Set sslrootcert to a file of trusted roots, or to system."));
    }
    let mut roots = RootCertStore::empty();
    let mut trusted = Vec::new();
    match root_file.filter(|_| check != Check::Nothing) {
        Some(path) => {
            for certificate in certificates(&path)? {
                // Bundles of systems hold a few that cannot be used; the rest counts.
                if roots.add(certificate.clone()).is_ok() {
                    trusted.push(certificate);
                }
            }
            if trusted.is_empty() {
                return Err(bad("the root certificate file holds no usable certificate"));
            }
        }
        None => check = Check::Nothing,
    }
    let verifier = Verifier { check, roots, trusted, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("TLS cannot be set up").detail(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let certificate = endpoint.sslcert.clone().or_else(|| own("postgresql.crt"));
    let key = endpoint.sslkey.clone().or_else(|| own("postgresql.key"));
    let mut config = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(&key)
                .map_err(|e| bad("the TLS client key cannot be read").detail(e.to_string()))?;
            builder
                .with_client_auth_cert(certificates(&certificate)?, key)
                .map_err(|e| bad("the TLS client certificate is not valid").detail(e.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

fn system_roots() -> Result<PathBuf> {
    SYSTEM_ROOTS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| bad("no root certificates of the system were found"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|e| bad("a certificate file cannot be read").detail(e.to_string()))
}

fn bad(message: &'static str) -> Error {
    Error::new(Culprit::Proxy, state::CONFIG_FILE_ERROR, message)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Nothing,
    Ca,
    Full,
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    roots: RootCertStore,
    /// The roots themselves: servers often present one as their own certificate.
    trusted: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        match signed {
            Ok(()) => {}
            // A self-signed certificate made as PostgreSQL's manual says is marked as a CA,
            // which webpki refuses as a server's, after it has found it in date.
            Err(TlsError::InvalidCertificate(CertificateError::Other(_)))
                if self.trusted.iter().any(|root| root == end_entity) => {}
            Err(error) => return Err(error),
        }
        if self.check == Check::Full {
            verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
