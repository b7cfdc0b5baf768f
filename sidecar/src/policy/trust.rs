//! Who has to have signed a release before anything of it is read: signatures of minisign (Ed25519) or of cosign
//! (ECDSA) over its statement or over the image that holds it, held against keys of the configuration alone. Nothing is
//! fetched, and no clock is asked.

use std::fmt;

use minisign_verify::{Error, PublicKey};

use super::bundle::Statement;
use super::cosign::{self, NotACosignKey};
use super::signature::{MAX_SIGNATURE, MAX_SIGNATURES, Signature};

/// Somebody whose signature counts.
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: Key,
}

#[derive(Clone, PartialEq, Eq)]
enum Key {
    Minisign(PublicKey),
    Cosign(cosign::Key),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

/// Not a public key as `minisign -G` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a public key of minisign: 56 characters that begin with RW")]
pub struct NotAKey;

impl Signer {
    /// A signer by the last line of their `minisign.pub`.
    ///
    /// # Errors
    /// [`NotAKey`]
    pub fn minisign(name: &str, key: &str) -> Result<Self, NotAKey> {
        let key = PublicKey::from_base64(key).map_err(|_| NotAKey)?;
        Ok(Self { name: name.to_owned(), key: Key::Minisign(key) })
    }

    /// A signer by the text of their `cosign.pub`.
    ///
    /// # Errors
    /// [`NotACosignKey`]
    pub fn cosign(name: &str, pem: &str) -> Result<Self, NotACosignKey> {
        Ok(Self { name: name.to_owned(), key: Key::Cosign(cosign::Key::from_pem(pem)?) })
    }

    /// Their name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether another one has the same key: then two names would be one person.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// Whose signatures a release needs.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Those whose signatures count. None: no release is signed enough.
    pub signers: Vec<Signer>,
    /// Names of those who must all have signed.
    pub all_of: Vec<String>,
    /// Of all signers, at least so many must have signed.
    pub any_of: usize,
    /// Lets in what is not signed enough, as unsigned.
    pub allow_unsigned: bool,
}

/// Why a release is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// One of the files is no signature, or there are too many.
    #[error(
        "expected at most {MAX_SIGNATURES} signatures: files of minisign (prehashed, its default), or of cosign (base64, not \
         the bundle that it writes with --bundle), each of at most {MAX_SIGNATURE} bytes"
    )]
    Unreadable,
    /// A signer's key, and not this release: an altered one, or the signature of another.
    #[error(
        "the signature of {0} is not over this release: sign what `octroi policy statement` prints, or with cosign the image \
         that holds it"
    )]
    Bad(String),
    /// Good ones are missing.
    #[error(
        "signed by {}; needed: {needed}{}",
        if by.is_empty() { "nobody who counts" } else { by.as_str() },
        if *strange { " (a signature of cosign is not over this release, or not of a signer's key)" } else { "" }
    )]
    NotEnough {
        /// Whose signatures hold, by name.
        by: String,
        /// What the configuration asks for.
        needed: String,
        /// A signature of cosign holds under no signer's key. It names no key: whose it is, can't be told.
        strange: bool,
    },
    /// Nobody can sign, and nobody's release is let in.
    #[error("no signer is configured, and [policy] allow_unsigned is not set: no release is let in")]
    Nobody,
}

impl Trust {
    /// Whose signatures a release has: enough of them, or none where that is allowed.
    ///
    /// # Errors
    /// [`TrustError`]. A signature of a known key that does not hold is an error whatever is allowed.
    pub fn check(&self, statement: &Statement, signatures: &[Signature]) -> Result<Vec<String>, TrustError> {
        if signatures.len() > MAX_SIGNATURES || !signatures.iter().all(Signature::is_within_bounds) {
            return Err(TrustError::Unreadable);
        }
        let mut by: Vec<String> = Vec::new();
        let mut strange = false;
        for signature in signatures {
            let signers = self.signed(statement, signature)?;
            strange |= signers.is_empty() && !matches!(signature, Signature::Minisign(_));
            for name in signers {
                if !by.iter().any(|known| known == name) {
                    by.push(name.to_owned());
                }
            }
        }
        let enough = self.all_of.iter().all(|name| by.contains(name)) && by.len() >= self.any_of;
        if enough && !self.signers.is_empty() {
            return Ok(by);
        }
        if self.allow_unsigned {
            return Ok(Vec::new());
        }
        if self.signers.is_empty() {
            return Err(TrustError::Nobody);
        }
        Err(TrustError::NotEnough { by: by.join(", "), needed: self.needed(), strange })
    }

    /// Whose signature it is; nobody's: a stranger's.
    fn signed(&self, statement: &Statement, signature: &Signature) -> Result<Vec<&str>, TrustError> {
        let text = statement.to_string();
        let der = |text: &str| cosign::signature(text).ok_or(TrustError::Unreadable);
        let found = match signature {
            Signature::Minisign(file) => return self.signed_with_minisign(&text, file),
            Signature::CosignBlob(blob) => self.signed_with_cosign(text.as_bytes(), &der(blob)?),
            Signature::CosignImage(image) => {
                let found = self.signed_with_cosign(&image.payload, &der(&image.signature)?);
                match found.first() {
                    Some(name) if !image.is_of(statement) => return Err(TrustError::Bad((*name).to_owned())),
                    Some(_) | None => found,
                }
            }
        };
        Ok(found)
    }

    fn signed_with_cosign(&self, message: &[u8], der: &[u8]) -> Vec<&str> {
        let holds = |signer: &&Signer| matches!(&signer.key, Key::Cosign(key) if key.verifies(message, der));
        self.signers.iter().filter(holds).map(Signer::name).collect()
    }

    fn signed_with_minisign(&self, statement: &str, file: &str) -> Result<Vec<&str>, TrustError> {
        let signature = minisign_verify::Signature::decode(file).map_err(|_| TrustError::Unreadable)?;
        let mut found = Vec::new();
        for signer in &self.signers {
            let Key::Minisign(key) = &signer.key else { continue };
            match key.verify(statement.as_bytes(), &signature, false) {
                Ok(()) => found.push(signer.name()),
                Err(Error::UnexpectedKeyId) => {}
                Err(_) => return Err(TrustError::Bad(signer.name.clone())),
            }
        }
        Ok(found)
    }

    fn needed(&self) -> String {
        let all = self.all_of.join(" and ");
        let names: Vec<_> = self.signers.iter().map(Signer::name).collect();
        let any = format!("{} of {}", self.any_of, names.join(", "));
        match (self.all_of.is_empty(), self.any_of) {
            (false, 0) => all,
            (false, _) => format!("{all}, and {any}"),
            (true, _) => any,
        }
    }
}

#[cfg(test)]
mod tests;
