//! What the program keeps between two starts: its signing key, its secrets, its certificate.
//!
//! Owns the state folder. Everything secret in it is written 0600.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::keys::{Algorithm, SigningKey};
use crate::tls::{ServerCertificate, Validity};

/// `kid` of the first key of every stand-in.
pub const FIRST_KID: &str = "octroi-psc-1";

const CARD: &str = "psc.json";
const KEY: &str = "signing-key.der";

/// What a running program says of itself: the line it prints, also kept as `psc.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Card {
    /// Issuer, as `iss` carries it.
    pub issuer: String,
    /// File with the authority's certificate; none without TLS.
    pub ca: Option<String>,
    /// Client identifier for introspection.
    pub client_id: String,
    /// Client secret for introspection.
    pub client_secret: String,
    /// Client identifier for mail clients, without a secret.
    pub public_client_id: String,
    /// File with the directory that suits the identities (CSV).
    pub directory: String,
}

impl Card {
    /// Reads the card of the stand-in that was started last with this folder.
    ///
    /// # Errors
    /// When none ever was, or the file is broken.
    pub fn load(folder: &Path) -> Result<Self> {
        let text = std::fs::read(folder.join(CARD))
            .with_context(|| format!("no stand-in has been started with --state-dir {}", folder.display()))?;
        serde_json::from_slice(&text).context("psc.json in the state folder is broken")
    }

    /// Writes `psc.json`. It holds the client secret: 0600.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn store(&self, folder: &Path) -> Result<()> {
        write_private(&folder.join(CARD), &serde_json::to_vec_pretty(self)?)
    }
}

/// Loads the signing key, or makes and stores it.
///
/// # Errors
/// When the folder can't be read or written, or the key in it is none.
pub fn signing_key(folder: &Path) -> Result<SigningKey> {
    let file = folder.join(KEY);
    if file.exists() {
        return stored_signing_key(folder);
    }
    let key = SigningKey::generate(FIRST_KID, Algorithm::Rs256)?;
    write_private(&file, &key.to_pkcs8()?)?;
    Ok(key)
}

/// Loads the signing key that [`signing_key`] stored.
///
/// # Errors
/// When there is none, or it can't be read.
pub fn stored_signing_key(folder: &Path) -> Result<SigningKey> {
    let der = std::fs::read(folder.join(KEY)).with_context(|| format!("{KEY} in {}", folder.display()))?;
    SigningKey::rsa_from_pkcs8(FIRST_KID, &der)
}

/// Loads the operator's client secret, or makes and stores it.
///
/// # Errors
/// When the folder can't be read or written.
pub fn operator(folder: &Path) -> Result<Client> {
    let file = folder.join("client-secret");
    let mut client = Client::confidential(crate::client::OPERATOR)?;
    if file.exists() {
        client.secret = Some(std::fs::read_to_string(&file).context("client-secret")?.trim().to_owned());
    } else {
        write_private(&file, client.secret.as_deref().unwrap_or_default().as_bytes())?;
    }
    Ok(client)
}

/// Loads the server certificate, or makes and stores it.
///
/// # Errors
/// When the folder can't be read or written.
pub fn certificate(folder: &Path) -> Result<ServerCertificate> {
    if let Some(stored) = ServerCertificate::load(folder)? {
        return Ok(stored);
    }
    let made = ServerCertificate::create(Validity::Current)?;
    made.store(folder)?;
    Ok(made)
}

/// Writes a file that its owner alone may read.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    let mut open = std::fs::OpenOptions::new();
    let mut handle = open
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} can't be written", file.display()))?;
    handle.write_all(content).with_context(|| format!("{} can't be written", file.display()))
}
