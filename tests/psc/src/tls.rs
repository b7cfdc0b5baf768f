//! The stand-in's own certificate authority and server certificate.
//!
//! Owns making, loading and storing them. The authority signs server certificates for loopback, and
//! certificates of clients that show themselves by one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::encode::sha256;
use crate::state_dir::write_private;

/// Whether the server certificate is in date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// For decades to come.
    Current,
    /// Since 2001.
    Expired,
}

/// A client's certificate with its key.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate, in PEM.
    pub chain_pem: String,
    /// Its private key, in PEM.
    pub key_pem: String,
    /// SHA-256 of the certificate (DER), for [`crate::Client::certificate`].
    pub thumbprint: Vec<u8>,
}

/// A server certificate with its key, and the authority to trust for it.
#[derive(Clone)]
pub struct ServerCertificate {
    /// The authority itself, where it was made by this process: its key is never stored.
    authority: Option<Arc<CertifiedIssuer<'static, KeyPair>>>,
    asks: bool,
    ca_pem: String,
    chain_pem: String,
    key_pem: String,
}

impl ServerCertificate {
    /// Makes an authority and a certificate for `localhost`, 127.0.0.1 and ::1.
    ///
    /// # Errors
    /// When the library can't make them.
    pub fn create(validity: Validity) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "Octroi stand-in PSC, test authority");
        let authority = Arc::new(CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?);
        Self::issued(authority, validity, false)
    }

    /// Another certificate of the same authority: who trusts that one trusts this one.
    ///
    /// # Errors
    /// When this one was loaded, and not made, or the library can't make another.
    pub fn renewed(&self, validity: Validity) -> Result<Self> {
        Self::issued(self.authority()?, validity, self.asks)
    }

    /// The same, of a server that asks its callers for certificates of the same authority, and serves those without one
    /// as well (RFC 8705 section 2.1).
    #[must_use]
    pub fn asking(self) -> Self {
        Self { asks: true, ..self }
    }

    /// A certificate of the same authority for a client.
    ///
    /// # Errors
    /// As [`ServerCertificate::renewed`].
    pub fn client(&self, name: &str) -> Result<ClientCertificate> {
        let mut client = CertificateParams::new(Vec::new())?;
        client.distinguished_name.push(DnType::CommonName, name);
        client.use_authority_key_identifier_extension = true;
        client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = client.signed_by(&key, &*self.authority()?)?;
        Ok(ClientCertificate {
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            thumbprint: sha256(certificate.der()),
        })
    }

    fn authority(&self) -> Result<Arc<CertifiedIssuer<'static, KeyPair>>> {
        self.authority.clone().context("the authority was made by another process")
    }

    fn issued(authority: Arc<CertifiedIssuer<'static, KeyPair>>, validity: Validity, asks: bool) -> Result<Self> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.use_authority_key_identifier_extension = true;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if validity == Validity::Expired {
            (server.not_before, server.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        }
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &*authority)?;
        let (ca_pem, chain_pem, key_pem) = (authority.pem(), certificate.pem(), key.serialize_pem());
        Ok(Self { authority: Some(authority), asks, ca_pem, chain_pem, key_pem })
    }

    /// Loads what [`ServerCertificate::store`] wrote; nothing when it never did.
    ///
    /// # Errors
    /// When a part is there and another can't be read.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        if !folder.join("tls-key.pem").exists() {
            return Ok(None);
        }
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name)).with_context(|| format!("{name} in the state folder"))
        };
        Ok(Some(Self {
            authority: None,
            asks: false,
            ca_pem: read("ca.pem")?,
            chain_pem: read("tls.pem")?,
            key_pem: read("tls-key.pem")?,
        }))
    }

    /// Writes `ca.pem`, `tls.pem` and `tls-key.pem` (0600).
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn store(&self, folder: &Path) -> Result<()> {
        std::fs::write(folder.join("ca.pem"), &self.ca_pem).context("ca.pem can't be written")?;
        std::fs::write(folder.join("tls.pem"), &self.chain_pem).context("tls.pem can't be written")?;
        write_private(&folder.join("tls-key.pem"), self.key_pem.as_bytes())
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(self.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?)?;
        let config =
            rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = if self.asks {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        } else {
            config.with_no_client_auth()
        };
        let config = config.with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
