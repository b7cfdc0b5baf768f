//! Who has to have signed a release before anything of it is read: minisign signatures (Ed25519) over its statement, held
//! against keys of the configuration alone. Nothing is fetched, and no clock is asked.

use std::fmt;

use minisign_verify::{Error, PublicKey, Signature};

use super::bundle::Statement;

/// Most signatures that come with a release.
pub const MAX_SIGNATURES: usize = 8;
/// Longest signature file, bytes: a real one has some three hundred.
pub const MAX_SIGNATURE: usize = 4096;

/// Somebody whose signature counts.
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: PublicKey,
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
        Ok(Self { name: name.to_owned(), key })
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
    #[error("expected at most {MAX_SIGNATURES} signature files of minisign (prehashed, its default)")]
    Unreadable,
    /// A signer's key, and not this release: an altered one, or the signature of another.
    #[error("the signature of {0} is not over this release: sign what `octroi policy statement` prints")]
    Bad(String),
    /// Good ones are missing.
    #[error("signed by {}; needed: {needed}", if by.is_empty() { "nobody who counts" } else { by.as_str() })]
    NotEnough {
        /// Whose signatures hold, by name.
        by: String,
        /// What the configuration asks for.
        needed: String,
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
    pub fn check(&self, statement: &Statement, signatures: &[String]) -> Result<Vec<String>, TrustError> {
        if signatures.len() > MAX_SIGNATURES || signatures.iter().any(|text| text.len() > MAX_SIGNATURE) {
            return Err(TrustError::Unreadable);
        }
        let text = statement.to_string();
        let mut by: Vec<String> = Vec::new();
        for signature in signatures {
            let signature = Signature::decode(signature).map_err(|_| TrustError::Unreadable)?;
            for signer in &self.signers {
                match signer.key.verify(text.as_bytes(), &signature, false) {
                    Ok(()) if by.contains(&signer.name) => {}
                    Ok(()) => by.push(signer.name.clone()),
                    Err(Error::UnexpectedKeyId) => {}
                    Err(_) => return Err(TrustError::Bad(signer.name.clone())),
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
        Err(TrustError::NotEnough { by: by.join(", "), needed: self.needed() })
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
