//! Where a release of the policy comes from: a folder, an address, or a registry.
//!
//! All of it runs in the process of the command line, so that the sidecar needs neither a way out nor credentials for
//! it. And all of it is only a way to bring bytes: what they are worth, the sidecar finds out by itself.

mod address;
mod challenge;
mod credentials;
mod follow;
mod image;
mod reference;
mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::reference::{BadReference, OciReference, Reference};
use crate::http::{Downloads, HttpError, HttpSetupError};
use crate::policy::{ArtifactError, Bundle, Digest, FolderError, MAX_SIGNATURES, file};

/// How long a release may take to come, with all that belongs to it.
const DEADLINE: Duration = Duration::from_secs(120);
/// Largest file of certificates, bytes.
const MAX_CERTIFICATES: usize = 1 << 20;

/// A release as an operator names it.
#[derive(Clone, Debug, clap::Args)]
pub struct Source {
    /// A folder (policy.wasm; settings.json if it has settings of its own; *.minisig, *.sig), the component at
    /// https://HOST/PATH, or an artifact in a registry: oci://REGISTRY/REPOSITORY:TAG or @sha256:DIGEST.
    #[arg(value_name = "RELEASE")]
    pub reference: String,
    /// For https: the component's digest, sha256:...
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,
    /// For https: the file with the release's settings, if it has settings of its own.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// For https: a file with a signature, *.minisig or *.sig; several times for several.
    #[arg(long = "signature", value_name = "FILE")]
    pub signatures: Vec<PathBuf>,
    /// For https and oci: PEM certificates of authorities that are trusted beside the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// For oci: who asks.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// For oci: the file with their password or access token, mode 0600.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// For oci: a registry on this machine that speaks no TLS.
    #[arg(long)]
    pub insecure_http: bool,
}

/// Why no release came.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The reference does not hold.
    #[error("{0}")]
    Reference(#[from] BadReference),
    /// A file or folder can't be read.
    #[error("{0}")]
    File(#[from] FolderError),
    /// A flag, missing or one too many, or what it names.
    #[error("{0}")]
    Flag(String),
    /// `--ca-file` holds no certificates.
    #[error("{0}: {1}")]
    Setup(PathBuf, HttpSetupError),
    /// A call brought nothing.
    #[error("{place}: {error}{remedy}")]
    Http {
        /// What was asked for, without credentials.
        place: String,
        /// Why it did not come.
        error: HttpError,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A redirect that is not followed.
    #[error("{0} redirects to {1}, which is not followed: {2}")]
    Redirect(String, String, &'static str),
    /// A registry that lets nobody in, or not this one.
    #[error("{0} {1}")]
    Refused(String, &'static str),
    /// Other bytes than those that were named.
    #[error("{place}: expected {expected}, what came is {found}: nothing was taken")]
    Digest {
        /// What was asked for.
        place: String,
        /// Its name.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// No release, by its manifest.
    #[error("{0}: {1}")]
    Artifact(String, ArtifactError),
    /// More signatures than anybody needs.
    #[error("{0}: expected at most {MAX_SIGNATURES} signatures")]
    Signatures(String),
}

impl Source {
    /// Fetches it.
    ///
    /// # Errors
    /// [`SourceError`]
    pub async fn bundle(&self) -> Result<Bundle, SourceError> {
        let reference: Reference = self.reference.parse()?;
        self.only_what_applies(&reference)?;
        match &reference {
            // Nothing else waits in this process.
            Reference::Folder(folder) => {
                let folder = std::path::absolute(folder).map_err(|e| FolderError::Unreadable(folder.clone(), e))?;
                Ok(Bundle::from_folder(&folder)?)
            }
            Reference::Address(url) => address::fetch(url, self).await,
            Reference::Image(image) => image::pull(image, self).await,
        }
    }

    /// Refuses flags that would say nothing: whoever gives one believes that it does.
    fn only_what_applies(&self, reference: &Reference) -> Result<(), SourceError> {
        let (is_address, is_image) =
            (matches!(reference, Reference::Address(_)), matches!(reference, Reference::Image(_)));
        let kind = match reference {
            Reference::Folder(_) => "a folder",
            Reference::Address(_) => "an address",
            Reference::Image(_) => "an image",
        };
        for (flag, given, applies, instead) in [
            ("--digest", self.digest.is_some(), is_address, "write an image's after it, as @sha256:..."),
            ("--settings", self.settings.is_some(), is_address, "a folder and an image bring their own"),
            ("--signature", !self.signatures.is_empty(), is_address, "a folder and an image bring their own"),
            ("--ca-file", self.ca_file.is_some(), is_address || is_image, "a folder comes over no wire"),
            ("--user", self.user.is_some(), is_image, "only a registry is told who asks"),
            (
                "--insecure-http",
                self.insecure_http,
                is_image,
                "only a registry on this machine may be asked without TLS",
            ),
        ] {
            if given && !applies {
                return Err(SourceError::Flag(format!("{flag} says nothing for {kind}: {instead}")));
            }
        }
        Ok(())
    }

    fn downloads(&self) -> Result<Downloads, SourceError> {
        let roots = self.ca_file.as_deref().map(|path| file(path, MAX_CERTIFICATES)).transpose()?;
        let path = || self.ca_file.clone().unwrap_or_else(|| Path::new("TLS").to_owned());
        Downloads::new(roots, DEADLINE).map_err(|error| SourceError::Setup(path(), error))
    }
}

/// A call that brought nothing, with what to do about it.
fn failed(place: &str, error: HttpError) -> SourceError {
    let remedy = match error {
        HttpError::Certificate | HttpError::Tls => {
            "; where it has a certificate of your own authority, name that with --ca-file FILE"
        }
        HttpError::Connect => "; look at the address, and whether this machine may go out there",
        HttpError::Deadline | HttpError::Truncated | HttpError::Closed => "; nothing was taken: try again",
        HttpError::TooLarge => "; nothing was taken",
        HttpError::Status(404) => "; look whether it is published under this name",
        HttpError::Status(401 | 403) => "; this is not for everybody who asks",
        _ => "",
    };
    SourceError::Http { place: place.to_owned(), error, remedy }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        source: Source,
    }

    fn told(words: &[&str]) -> String {
        let line = Line::try_parse_from([&["octroi"], words].concat());
        let source = match line {
            Ok(line) => line.source,
            Err(error) => return error.to_string(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(source.bundle()).unwrap_err().to_string()
    }

    #[test]
    fn a_flag_that_would_say_nothing_is_told() {
        let digest = Digest::of(b"wasm").to_string();
        for (words, part) in [
            (&["folder", "--digest", &digest][..], "--digest says nothing for a folder: write an image's"),
            (&["oci://host/policy:1", "--digest", &digest], "--digest says nothing for an image"),
            (&["oci://host/policy:1", "--settings", "x.json"], "--settings says nothing"),
            (&["folder", "--signature", "x.sig"], "--signature says nothing"),
            (&["folder", "--ca-file", "ca.pem"], "--ca-file says nothing"),
            (&["https://host/x.wasm", "--user", "me", "--password-file", "x"], "--user says nothing"),
            (&["https://host/x.wasm", "--insecure-http"], "--insecure-http says nothing"),
            (&["oci://host/policy:1", "--user", "me"], "--password-file <FILE>"),
            (&["oci://host/policy:1", "--password-file", "x"], "--user <NAME>"),
            (&["https://host/x.wasm", "--digest", "sha256:00"], "expected sha256: and 64 lower-case"),
        ] {
            let told = told(words);
            assert!(told.contains(part), "{words:?}: {told}");
        }
    }

    #[test]
    fn what_a_flag_lacks_is_told_before_anybody_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("ca.pem"), "no certificate").unwrap();
        let digest = Digest::of(b"wasm").to_string();
        for (words, part) in [
            (&["https://host/x.wasm"][..], "--digest sha256:... is missing"),
            (
                &["https://host/x.wasm", "--digest", &digest, "--ca-file", &at("ca.pem")],
                "ca.pem: the file of extra root",
            ),
            (&["oci://host/policy:1", "--ca-file", &at("none.pem")], "none.pem: No such file"),
            (&["oci://host/policy:1", "--insecure-http"], "--insecure-http is for a registry on this machine"),
            (
                &["https://host/x.wasm", "--digest", &digest, "--signature", &at("x.txt")],
                "x.txt: expected a signature file: *.minisig of minisign, *.sig of cosign",
            ),
        ] {
            let told = told(words);
            assert!(told.contains(part), "{words:?}: {told}");
        }
    }
}
