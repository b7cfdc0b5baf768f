//! The stand-in's own certificate authority and server certificate.
//!
//! Owns making, loading and storing them. The authority signs nothing but this one server certificate, for loopback.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::state_dir::write_private;

/// Whether the server certificate is in date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// For decades to come.
    Current,
    /// Since 2001.
    Expired,
}

/// A server certificate with its key, and the authority to trust for it.
#[derive(Clone)]
pub struct ServerCertificate {
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
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

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
        let certificate = server.signed_by(&key, &authority)?;
        Ok(Self { ca_pem: authority.pem(), chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
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
        Ok(Some(Self { ca_pem: read("ca.pem")?, chain_pem: read("tls.pem")?, key_pem: read("tls-key.pem")? }))
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
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
