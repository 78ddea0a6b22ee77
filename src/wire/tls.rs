//! TLS towards clients: certificate, key, channel binding.
//!
//! Owns [`Tls`]. It must never use a crypto provider other than ring, given explicitly:
//! with two providers in one binary the default one is a panic. Start at [`Tls::new`].

use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::error::{Error, Result, state};

/// The protocol's name in ALPN; required when TLS is started without SSLRequest.
pub(super) const ALPN: &[u8] = b"postgresql";

/// A certificate, its key, and its text.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    pem: Arc<[u8]>,
}

/// The identity that new connections are shown.
#[derive(Debug)]
struct Shown(RwLock<Identity>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().key))
    }
}

/// What the server needs to speak TLS.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

impl Identity {
    /// From the texts of a PEM certificate chain (the server's own first) and its key.
    ///
    /// # Errors
    /// F0000 when either cannot be read or they do not belong together.
    pub fn new(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certificate_pem)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| refused("the TLS certificate cannot be read", &e))?;
        if chain.is_empty() {
            return Err(Error::new(
                crate::error::Culprit::Proxy,
                state::CONFIG_FILE_ERROR,
                "the TLS certificate file holds no certificate",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|e| refused("the TLS key cannot be read", &e))?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|e| refused("the TLS certificate and key do not fit", &e))?;
        Ok(Self { key: Arc::new(key), pem: certificate_pem.into() })
    }
}

impl Tls {
    /// Shows this identity to clients.
    ///
    /// # Errors
    /// F0000 when TLS cannot be set up.
    pub fn new(identity: Identity) -> Result<Self> {
        let shown = Arc::new(Shown(RwLock::new(identity)));
        let resolver = Arc::<Shown>::clone(&shown);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| refused("TLS cannot be set up", &e))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![ALPN.to_vec()];
        let config = Arc::new(config);
        Ok(Self { acceptor: TlsAcceptor::from(Arc::clone(&config)), config, shown })
    }

    /// Shows another one from now on, also over other protocols.
    pub fn show(&self, identity: Identity) {
        *self.shown.0.write() = identity;
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The same certificate for another protocol than PostgreSQL's.
    pub fn speaking(&self, protocol: &[u8]) -> TlsAcceptor {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// The certificate's text, for channel binding.
    pub(super) fn certificate_pem(&self) -> Arc<[u8]> {
        Arc::clone(&self.shown.0.read().pem)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

fn refused(what: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::new(crate::error::Culprit::Proxy, state::CONFIG_FILE_ERROR, what)
        .detail(error.to_string())
}
