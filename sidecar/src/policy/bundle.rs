//! A policy on its way in: component, settings and signatures as a source delivered them. Nothing here is trusted yet.
//!
//! A release is known by its [`Statement`], a text of three lines that names component and settings by their digests:
//! one name for both, wherever they come from, and one signature.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::signature::{EXTENSIONS, MAX_FILE, MAX_SIGNATURES, NotASignature, Signature};

/// Largest component, bytes: fifty times the default policy.
pub const MAX_COMPONENT: usize = 8 << 20;
/// O_NONBLOCK of open(2), on Linux.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
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

impl Digest {
    /// Its bytes.
    pub(super) const fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Its hexadecimal digits alone.
    #[must_use]
    pub fn hex(&self) -> String {
        self.to_string().trim_start_matches("sha256:").to_owned()
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

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
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

/// What is signed, and by whose digest a release is known.
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

/// The text, byte for byte: three lines, each with its line feed.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octroi policy release 1\ncomponent {}\nsettings ", self.component)?;
        match self.settings {
            Some(settings) => writeln!(f, "{settings}"),
            None => writeln!(f, "none"),
        }
    }
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

/// Why a folder delivers nothing.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file can't be read.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// Something else than a file, or one that is too large.
    #[error("{0}: expected a file of at most {1} bytes")]
    Unfit(PathBuf, usize),
    /// Settings are no text.
    #[error("{0}: expected UTF-8")]
    NoText(PathBuf),
    /// By its name a signature, by its content none.
    #[error("{0}: {1}")]
    NoSignature(PathBuf, NotASignature),
    /// More signatures than anybody needs.
    #[error("{0}: expected at most {MAX_SIGNATURES} signatures")]
    TooMany(PathBuf),
}

impl Bundle {
    /// Reads a folder: `policy.wasm` and, where they are there, `settings.json` and signatures (`*.minisig`, `*.sig`,
    /// and
    /// `*.cosign` as [`Signature::CosignImage`] lies on disk). Blocks.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn from_folder(folder: &Path) -> Result<Self, FolderError> {
        let component = file(&folder.join("policy.wasm"), MAX_COMPONENT)?;
        let path = folder.join("settings.json");
        let settings = match file(&path, MAX_SETTINGS) {
            Ok(bytes) => Some(String::from_utf8(bytes).map_err(|_| FolderError::NoText(path))?),
            Err(FolderError::Unreadable(_, error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { component, settings, signatures: signatures(folder)?, origin: folder.display().to_string() })
    }

    /// Reads a component alone, without settings and signatures. Blocks.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn from_component(path: &Path) -> Result<Self, FolderError> {
        let component = file(path, MAX_COMPONENT)?;
        Ok(Self { component, settings: None, signatures: Vec::new(), origin: path.display().to_string() })
    }

    /// What it is known by.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement {
            component: Digest::of(&self.component),
            settings: self.settings.as_deref().map(|settings| Digest::of(settings.as_bytes())),
        }
    }
}

fn signatures(folder: &Path) -> Result<Vec<Signature>, FolderError> {
    let unreadable = |error| FolderError::Unreadable(folder.to_owned(), error);
    let mut signatures = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(signature) = signature(&path)? else { continue };
        if signatures.len() == MAX_SIGNATURES {
            return Err(FolderError::TooMany(folder.to_owned()));
        }
        signatures.push(signature);
    }
    Ok(signatures)
}

/// The signature in a file; `None`: its name is not that of one. Blocks.
///
/// # Errors
/// [`FolderError`]
pub(crate) fn signature(path: &Path) -> Result<Option<Signature>, FolderError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !EXTENSIONS.contains(&extension) {
        return Ok(None);
    }
    let signature = Signature::of_file(extension, file(path, MAX_FILE)?).transpose();
    signature.map_err(|error| FolderError::NoSignature(path.to_owned(), error))
}

/// A regular file up to a size; what it is, is asked of the opened file. Blocks.
///
/// # Errors
/// [`FolderError::Unreadable`], [`FolderError::Unfit`]
pub(crate) fn file(path: &Path, most: usize) -> Result<Vec<u8>, FolderError> {
    let unreadable = |error| FolderError::Unreadable(path.to_owned(), error);
    // Not to wait for a writer where a pipe stands in its place.
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(NONBLOCK).open(path).map_err(unreadable)?;
    let unfit = || FolderError::Unfit(path.to_owned(), most);
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unfit());
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > most { Err(unfit()) } else { Ok(bytes) }
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

    #[test]
    fn a_folder_delivers_files_within_their_size_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let told = || Bundle::from_folder(folder.path()).map_err(|error| error.to_string());
        assert!(told().unwrap_err().contains("policy.wasm: No such file"), "{:?}", told());
        fs::write(at("policy.wasm"), b"wasm").unwrap();
        assert_eq!(told().unwrap().statement(), bundle(None).statement());
        fs::write(at("settings.json"), "{}").unwrap();
        assert_eq!(told().unwrap().statement(), bundle(Some("{}")).statement());
        fs::write(at("settings.json"), [0xff]).unwrap();
        assert!(told().unwrap_err().ends_with("settings.json: expected UTF-8"));
        fs::write(at("settings.json"), vec![b' '; MAX_SETTINGS + 1]).unwrap();
        assert!(told().unwrap_err().ends_with("settings.json: expected a file of at most 262144 bytes"));
        fs::remove_file(at("settings.json")).unwrap();
        fs::create_dir(at("settings.json")).unwrap();
        assert!(told().unwrap_err().ends_with("expected a file of at most 262144 bytes"));
        fs::remove_dir(at("settings.json")).unwrap();
        for number in 0..MAX_SIGNATURES {
            fs::write(at(&format!("{number}.minisig")), number.to_string()).unwrap();
        }
        assert_eq!(told().unwrap().signatures.len(), MAX_SIGNATURES);
        fs::write(at("one more.minisig"), "x").unwrap();
        assert!(told().unwrap_err().ends_with("expected at most 8 signatures"));
    }
}
