//! A certificate authority of one test server: made at start, gone with its folder.
//!
//! Owns no file. Must never be trusted by anything but the client it is handed to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use octroi_igc::Leaf;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A server certificate for `localhost` and 127.0.0.1, and the authority that signed it.
pub struct Pki {
    /// The authority, PEM: what a client is told to trust.
    pub authority_pem: String,
    /// The server's certificate, PEM.
    pub certificate_pem: String,
    /// The server's private key, PKCS #8 PEM.
    pub key_pem: String,
    authority: CertificateDer<'static>,
}

impl Pki {
    /// Makes both. Fails only if the machine has no randomness.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Octroi test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);

        let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &issuer)?;
        Ok(Self {
            authority_pem: authority.pem(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            authority: authority.der().clone(),
        })
    }

    /// A TLS client that trusts this authority and no other, with the versions of `versions`.
    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<&Leaf>,
    ) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).context("own authority")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let Some(leaf) = shown else { return Ok(Arc::new(config.with_no_client_auth())) };
        let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
        Ok(Arc::new(config.with_client_auth_cert(chain, key)?))
    }

    /// Encrypts a connection to `localhost`, and believes this authority alone.
    pub async fn encrypt(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>> {
        self.encrypt_with(tcp, rustls::ALL_VERSIONS).await
    }

    /// The same with these versions of TLS alone.
    pub async fn encrypt_with(
        &self,
        tcp: TcpStream,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<TlsStream<TcpStream>> {
        self.handshake(tcp, self.client(versions, None)?).await
    }

    /// The same, showing a certificate to a server that asks for one.
    pub async fn encrypt_as(&self, tcp: TcpStream, shown: Option<&Leaf>) -> Result<TlsStream<TcpStream>> {
        self.handshake(tcp, self.client(rustls::ALL_VERSIONS, shown)?).await
    }

    async fn handshake(&self, tcp: TcpStream, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(config);
        let handshake = connector.connect(ServerName::try_from("localhost")?, tcp);
        Ok(tokio::time::timeout(Duration::from_secs(30), handshake).await.context("TLS")??)
    }
}
