//! Signatures made with a static key of cosign (ECDSA on P-256 with SHA-256), verified offline: no transparency log, no
//! certificate authority, no clock.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::artifact::Artifact;
use super::bundle::{Digest, Statement};
use super::signature::CosignImage;

/// How a SubjectPublicKeyInfo begins that holds an uncompressed point on P-256 (RFC 5480 section 2, SEC 1 section
/// 2.3.3). The only form that is taken: so two texts of one key are one key.
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// `critical.type` of the payloads that cosign writes.
const IMAGE_SIGNATURE: &str = "cosign container image signature";

/// A public key: its point, uncompressed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(ECDSA P-256)")
    }
}

/// Not a public key as `cosign generate-key-pair` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the text of a cosign.pub: one PEM block PUBLIC KEY with an ECDSA key on P-256")]
pub struct NotACosignKey;

impl Key {
    pub(super) fn from_pem(pem: &str) -> Result<Self, NotACosignKey> {
        let mut blocks = SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (blocks.next(), blocks.next()) else { return Err(NotACosignKey) };
        let point = der.strip_prefix(P256).filter(|point| point.first() == Some(&4)).ok_or(NotACosignKey)?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| NotACosignKey)?;
        Ok(Self(point.to_vec()))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(message, signature).is_ok()
    }
}

/// The DER out of its base64 text, around which white space may stand.
pub(super) fn signature(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim_ascii()).ok().filter(|der| !der.is_empty())
}

/// A payload as far as it says something here (containers/image, "simple signing").
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    manifest: Digest,
}

impl CosignImage {
    /// Whether the payload names the manifest, and the manifest holds this release and no other. Says nothing of the
    /// signature. The repository that the payload names is not looked at: a signed release may be copied.
    pub(super) fn is_of(&self, release: &Statement) -> bool {
        let Ok(Payload { critical }) = serde_json::from_slice(&self.payload) else { return false };
        let Ok(artifact) = Artifact::read(&self.manifest) else { return false };
        let settings = artifact.settings.as_deref().map(|settings| Digest::of(settings.as_bytes()));
        critical.kind == IMAGE_SIGNATURE
            && critical.image.manifest == Digest::of(&self.manifest)
            && artifact.component == release.component
            && settings == release.settings
    }
}
