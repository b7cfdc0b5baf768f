//! A policy on its way in: component, settings and signatures as a source delivered them. Nothing here is trusted yet.
//!
//! What is signed is the [`Statement`], a text of three lines that names component and settings by their digests. So
//! one signature covers both, whatever the source: folder, web server, registry.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

/// Largest component, bytes: fifty times the default policy.
pub const MAX_COMPONENT: usize = 8 << 20;
/// Largest settings document, bytes.
pub const MAX_SETTINGS: usize = 256 << 10;

/// A SHA-256 digest. Written as OCI does: `sha256:` and 64 lower-case hexadecimal digits (OCI image specification,
/// descriptor, "digests").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut held = [0; 32];
        held.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(held, byte)| *held = *byte);
        Self(held)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a digest in the form that [`Digest`] is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sha256: and 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").ok_or(NotADigest)?.as_bytes();
        if hex.len() != 64 || !hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotADigest);
        }
        let nibble = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 };
        let (pairs, _) = hex.as_chunks::<2>();
        let mut held = [0; 32];
        held.iter_mut().zip(pairs).for_each(|(held, [high, low])| *held = nibble(*high) << 4 | nibble(*low));
        Ok(Self(held))
    }
}

/// What a signature of a release is over, and by whose digest the release is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The component's digest.
    pub component: Digest,
    /// The digest of the settings that came with it. `None`: it takes those of the configuration.
    pub settings: Option<Digest>,
}

impl Statement {
    /// The release's digest: that of [`Statement`]'s text.
    #[must_use]
    pub fn release(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }
}

/// The text that is signed, byte for byte: three lines, each with its line feed.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octroi policy release 1\ncomponent {}\nsettings ", self.component)?;
        match self.settings {
            Some(settings) => writeln!(f, "{settings}"),
            None => writeln!(f, "none"),
        }
    }
}

/// A signature as it came, not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// A minisign signature file (Ed25519) over the statement.
    Minisign(String),
    /// What `cosign sign-blob` prints for the statement: ECDSA or Ed25519, base64.
    Cosign(String),
    /// What `cosign sign` leaves in a registry beside an image: it names the manifest, which names the layer.
    CosignImage {
        /// The signed document ("simple signing").
        payload: Vec<u8>,
        /// The signature, base64.
        signature: String,
        /// The manifest that the bundle came from.
        manifest: Digest,
    },
}

/// What a source delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// The settings that came with it, a JSON document. `None`: it takes those of the configuration.
    pub settings: Option<String>,
    /// Signatures that came with it, in no order.
    pub signatures: Vec<Signature>,
    /// Where it came from, for people: a path, an address without credentials, a reference with its digest.
    pub origin: String,
}

impl Bundle {
    /// What signatures have to be over.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement {
            component: Digest::of(&self.component),
            settings: self.settings.as_deref().map(|settings| Digest::of(settings.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(settings: Option<&str>) -> Bundle {
        let settings = settings.map(str::to_owned);
        Bundle { component: b"wasm".to_vec(), settings, signatures: Vec::new(), origin: String::new() }
    }

    #[test]
    fn a_digest_reads_what_it_writes_and_nothing_looser() {
        let digest = Digest::of(b"wasm");
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        let bare = text.trim_start_matches("sha256:");
        for wrong in [
            "",
            "sha256:",
            bare,
            &text.to_uppercase(),
            text.trim_end_matches(|c: char| c.is_ascii_hexdigit()),
            &format!("{text}0"),
            &format!("{text} "),
        ] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }

    #[test]
    fn a_statement_names_component_and_settings_by_digest() {
        let component = Digest::of(b"wasm");
        let bare = bundle(None).statement();
        assert_eq!(bare.to_string(), format!("octroi policy release 1\ncomponent {component}\nsettings none\n"));
        let settled = bundle(Some("{}")).statement();
        let settings = Digest::of(b"{}");
        assert_eq!(
            settled.to_string(),
            format!("octroi policy release 1\ncomponent {component}\nsettings {settings}\n")
        );
    }

    #[test]
    fn settings_change_what_a_release_is_known_by() {
        let digests = [None, Some("{}"), Some("{ }")].map(|settings| bundle(settings).statement().release());
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2], "{digests:?}");
    }
}
