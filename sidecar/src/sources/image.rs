//! A release out of a registry. The tag is resolved once; from then on everything is named by its digest.

use super::registry::Repository;
use super::{OciReference, Source, SourceError};
use crate::http::HttpError;
use crate::policy::{
    Artifact, ArtifactError, Bundle, CosignImage, Digest, MAX_PAYLOAD, MAX_SIGNATURES, Manifest, Signature,
};

/// What cosign signs (sigstore's cosign, "signature specification").
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation that holds the signature over it.
const COSIGN_SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Pulls a release.
///
/// # Errors
/// [`SourceError`]
pub(super) async fn pull(reference: &OciReference, source: &Source) -> Result<Bundle, SourceError> {
    let mut repository = Repository::new(reference, source)?;
    let name = match (reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.clone().unwrap_or_default(),
    };
    let absent = || super::failed(&reference.to_string(), HttpError::Status(404));
    let manifest = repository.manifest(&name).await?.ok_or_else(absent)?;
    let digest = Digest::of(&manifest);
    if let Some(expected) = reference.digest.filter(|expected| *expected != digest) {
        return Err(SourceError::Digest { place: reference.to_string(), expected, found: digest });
    }
    let resolved = OciReference { digest: Some(digest), ..reference.clone() };
    let origin = resolved.to_string();
    let artifact = Artifact::read(&manifest).map_err(|error| SourceError::Artifact(origin.clone(), error))?;
    let component = repository.blob(artifact.component, artifact.size).await?;
    let mut signatures: Vec<_> = artifact.signatures.into_iter().map(Signature::Minisign).collect();
    signatures.extend(attached(&mut repository, &manifest, digest, &origin).await?);
    if signatures.len() > MAX_SIGNATURES {
        return Err(SourceError::Signatures(origin));
    }
    Ok(Bundle { component, settings: artifact.settings, signatures, origin })
}

/// The signatures that cosign attached to an image: a manifest whose tag is made of the image's digest.
async fn attached(
    repository: &mut Repository<'_>,
    image: &[u8],
    digest: Digest,
    origin: &str,
) -> Result<Vec<Signature>, SourceError> {
    let tag = format!("{}.sig", digest.to_string().replace(':', "-"));
    let Some(manifest) = repository.manifest(&tag).await? else { return Ok(Vec::new()) };
    let unfit = |error: ArtifactError| SourceError::Artifact(format!("{origin}, signatures of cosign ({tag})"), error);
    let manifest = Manifest::read(&manifest).map_err(unfit)?;
    let mut signatures = Vec::new();
    for layer in manifest.layers().iter().filter(|layer| layer.media_type == PAYLOAD) {
        let Some(signature) = layer.annotations.get(COSIGN_SIGNATURE) else { continue };
        if signatures.len() == MAX_SIGNATURES {
            return Err(SourceError::Signatures(origin.to_owned()));
        }
        let (digest, size) = layer.named(MAX_PAYLOAD).map_err(unfit)?;
        let payload = repository.blob(digest, size).await?;
        let image = CosignImage { manifest: image.to_vec(), payload, signature: signature.clone() };
        signatures.push(Signature::CosignImage(image));
    }
    Ok(signatures)
}
