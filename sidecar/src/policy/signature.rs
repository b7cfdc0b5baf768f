//! The signatures that come with a release, as they travel and as they lie on disk. Nothing here is verified.

use serde::{Deserialize, Serialize};

use super::artifact::MAX_MANIFEST;

/// Most signatures that come with a release.
pub const MAX_SIGNATURES: usize = 8;
/// Longest signature file of minisign, or signature of cosign, bytes: a real one has some three hundred, or a hundred.
pub const MAX_SIGNATURE: usize = 4096;
/// Longest payload that cosign signs for an image, bytes: a real one has some three hundred.
pub const MAX_PAYLOAD: usize = 16 << 10;
/// Largest file of a signature, bytes: a manifest and a payload in base64.
pub(super) const MAX_FILE: usize = (MAX_MANIFEST + MAX_PAYLOAD + MAX_SIGNATURE) / 3 * 4 + 1024;

/// Extensions of the files that [`Signature::of_file`] knows.
pub(super) const EXTENSIONS: [&str; 3] = ["minisig", "sig", "cosign"];

/// A signature over a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// A signature file of minisign, over the release's statement.
    Minisign(String),
    /// What `cosign sign-blob` writes, over the release's statement: ECDSA on P-256 with SHA-256, DER, in base64.
    CosignBlob(String),
    /// What `cosign sign` attaches to an image that holds the release.
    CosignImage(CosignImage),
}

/// A signature over an image: the signature covers the payload, which names the manifest, which names the component.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CosignImage {
    /// The image's manifest, byte for byte.
    #[serde(with = "base64_text")]
    pub manifest: Vec<u8>,
    /// What is signed, byte for byte: `application/vnd.dev.cosign.simplesigning.v1+json`.
    #[serde(with = "base64_text")]
    pub payload: Vec<u8>,
    /// ECDSA on P-256 with SHA-256, DER, in base64.
    pub signature: String,
}

/// Not a signature file of a kind that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a signature file: *.minisig of minisign, *.sig of cosign sign-blob")]
pub struct NotASignature;

impl Signature {
    /// Reads a file by the extension of its name; `None`: none of a signature.
    pub(crate) fn of_file(extension: &str, bytes: Vec<u8>) -> Option<Result<Self, NotASignature>> {
        let text = |bytes| String::from_utf8(bytes).map_err(|_| NotASignature);
        Some(match extension {
            "minisig" => text(bytes).map(Self::Minisign),
            "sig" => text(bytes).map(Self::CosignBlob),
            "cosign" => serde_json::from_slice(&bytes).map(Self::CosignImage).map_err(|_| NotASignature),
            _ => return None,
        })
    }

    /// Extension and content of the file that [`Signature::of_file`] reads.
    pub(crate) fn file(&self) -> serde_json::Result<(&'static str, Vec<u8>)> {
        Ok(match self {
            Self::Minisign(text) => ("minisig", text.clone().into_bytes()),
            Self::CosignBlob(text) => ("sig", text.clone().into_bytes()),
            Self::CosignImage(image) => ("cosign", serde_json::to_vec(image)?),
        })
    }

    /// Whether it is no larger than one may be.
    pub(super) const fn is_within_bounds(&self) -> bool {
        match self {
            Self::Minisign(text) | Self::CosignBlob(text) => text.len() <= MAX_SIGNATURE,
            Self::CosignImage(CosignImage { manifest, payload, signature }) => {
                manifest.len() <= MAX_MANIFEST && payload.len() <= MAX_PAYLOAD && signature.len() <= MAX_SIGNATURE
            }
        }
    }
}

/// Bytes as base64 in JSON.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_from_the_file_that_it_is_written_to() {
        let image = CosignImage { manifest: vec![0, 255], payload: b"{}".to_vec(), signature: "MEUC".to_owned() };
        for signature in [
            Signature::Minisign("untrusted comment".to_owned()),
            Signature::CosignBlob("MEUC\n".to_owned()),
            Signature::CosignImage(image),
        ] {
            let (extension, bytes) = signature.file().unwrap();
            assert_eq!(Signature::of_file(extension, bytes), Some(Ok(signature)));
        }
    }

    #[test]
    fn what_is_no_signature_file_is_passed_over_or_told() {
        assert_eq!(Signature::of_file("wasm", Vec::new()), None);
        for (extension, bytes) in [("sig", &[0xff][..]), ("minisig", &[0xff]), ("cosign", b"{}"), ("cosign", b"MEUC")] {
            assert_eq!(Signature::of_file(extension, bytes.to_vec()), Some(Err(NotASignature)));
        }
    }

    #[test]
    fn the_largest_image_fits_its_file() {
        let signature = "x".repeat(MAX_SIGNATURE);
        let image = CosignImage { manifest: vec![0; MAX_MANIFEST], payload: vec![0; MAX_PAYLOAD], signature };
        let signature = Signature::CosignImage(image);
        assert!(signature.is_within_bounds() && signature.file().unwrap().1.len() <= MAX_FILE);
    }
}
