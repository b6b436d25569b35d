//! TLS, ended by the gateway itself where nothing in front of it does.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

/// How TLS is spoken: connections that begin from now on go by what it holds then.
pub type Tls = watch::Receiver<Arc<ServerConfig>>;

/// Why TLS cannot be spoken with what was given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificates in PEM.
    #[error("the certificate must be a chain in PEM, the server's own first")]
    Certificate,
    /// No private key in PEM.
    #[error("the key must be a private key in PEM (PKCS #8, PKCS #1 or SEC 1)")]
    Key,
    /// They do not belong together, or the key is of a kind that nobody speaks.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with the suites that rustls holds to be good, for a chain of certificates and its key.
///
/// # Errors
/// [`TlsError`].
pub fn tls_config(chain: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config =
        config.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
