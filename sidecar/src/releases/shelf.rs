//! Where releases lie on disk: a folder for each, named by its digest, and one file that says how things stand.
//!
//! The file is written last, so that whatever ends the process at whatever moment, it names only what is there whole. A
//! folder that no file names is left of a step that did not end; it is written over when the same release comes again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::standing::Standing;
use crate::durable;
use crate::policy::{Bundle, Digest, FolderError};

/// What can't be read back.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The disk's.
    #[error("{0}: {1}")]
    Disk(PathBuf, io::Error),
    /// The file that says how things stand is not what was written.
    #[error("{0} is damaged: {1}")]
    Standing(PathBuf, serde_json::Error),
    /// A release can't be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A release is not what was staged.
    #[error("{0} is not the release that was staged there: its digest is {1}")]
    Altered(PathBuf, Digest),
}

/// The shelf.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// The shelf in `folder`, which need not exist.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// How things stand. Nothing written yet: the configuration's own policy is in service. Blocks.
    ///
    /// # Errors
    /// [`ShelfError::Disk`], [`ShelfError::Standing`]
    pub fn standing(&self) -> Result<Standing, ShelfError> {
        let path = self.file();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| ShelfError::Standing(path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::default()),
            Err(error) => Err(ShelfError::Disk(path, error)),
        }
    }

    /// Writes down how things stand, in the place of `before`. Blocks.
    ///
    /// # Errors
    /// [`ShelfError::Disk`]; then `before` is written once more, for a failure may come after the new was in place.
    pub fn change(&self, before: &Standing, standing: &Standing) -> Result<(), ShelfError> {
        self.set(standing).inspect_err(|_| {
            if let Err(error) = self.set(before) {
                let file = self.file();
                tracing::error!(file = %file.display(), %error, "it may say more than was done: look before a restart");
            }
        })
    }

    fn set(&self, standing: &Standing) -> Result<(), ShelfError> {
        let path = self.file();
        let bytes = serde_json::to_vec_pretty(standing).map_err(io::Error::from);
        bytes.and_then(|bytes| durable::replace(&self.0, &path, &bytes)).map_err(|error| ShelfError::Disk(path, error))
    }

    /// Puts a release there. Blocks.
    ///
    /// # Errors
    /// [`ShelfError::Disk`]
    pub fn put(&self, bundle: &Bundle) -> Result<(), ShelfError> {
        let folder = self.of(bundle.statement().release());
        let written = || -> io::Result<()> {
            // What a former, unfinished step left.
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            durable::make(&self.0)?;
            durable::replace(&folder, &folder.join("policy.wasm"), &bundle.component)?;
            if let Some(settings) = &bundle.settings {
                durable::replace(&folder, &folder.join("settings.json"), settings.as_bytes())?;
            }
            for (number, signature) in bundle.signatures.iter().enumerate() {
                let (extension, bytes) = signature.file()?;
                durable::replace(&folder, &folder.join(format!("{number}.{extension}")), &bytes)?;
            }
            fs::File::open(&self.0)?.sync_all()
        };
        written().map_err(|error| ShelfError::Disk(folder, error))
    }

    /// Reads a release, and holds it against its digest. Blocks.
    ///
    /// # Errors
    /// [`ShelfError::Folder`], [`ShelfError::Altered`]
    pub fn get(&self, release: Digest) -> Result<Bundle, ShelfError> {
        let folder = self.of(release);
        let bundle = Bundle::from_folder(&folder)?;
        let found = bundle.statement().release();
        if found == release { Ok(bundle) } else { Err(ShelfError::Altered(folder, found)) }
    }

    /// Removes what steps that did not end have left. Blocks.
    pub fn sweep(&self, standing: &Standing) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            let release = format!("sha256:{name}").parse();
            if let Ok(release) = release
                && !standing.held.iter().any(|held| held.release == release)
            {
                self.remove(release);
            }
        }
    }

    /// Removes a release that nothing names any more. Blocks; what can't be removed stays, and does no harm.
    pub fn remove(&self, release: Digest) {
        let folder = self.of(release);
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "a release that nothing names can't be removed from disk");
        }
    }

    fn file(&self) -> PathBuf {
        self.0.join("standing.json")
    }

    fn of(&self, release: Digest) -> PathBuf {
        self.0.join(release.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{CosignImage, Signature};
    use std::os::unix::fs::PermissionsExt as _;

    fn bundle(settings: Option<&str>) -> Bundle {
        let settings = settings.map(str::to_owned);
        let image = CosignImage { manifest: b"{}".to_vec(), payload: vec![0xff], signature: "MEUC".to_owned() };
        let signatures =
            [Signature::Minisign("x".to_owned()), Signature::CosignBlob("y".to_owned()), Signature::CosignImage(image)];
        Bundle { component: b"wasm".to_vec(), settings, signatures: signatures.to_vec(), origin: "here".to_owned() }
    }

    #[test]
    fn a_release_is_read_as_it_was_put_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("policies"));
        for bundle in [bundle(None), bundle(Some("{}"))] {
            shelf.put(&bundle).unwrap();
            let read = shelf.get(bundle.statement().release()).unwrap();
            assert_eq!((read.component, read.settings), (bundle.component, bundle.settings));
            assert_eq!(read.signatures.len(), bundle.signatures.len());
            assert!(bundle.signatures.iter().all(|signature| read.signatures.contains(signature)));
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(shelf.folder()), 0o700);
        for entry in fs::read_dir(shelf.folder()).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!((mode(&path), mode(&path.join("policy.wasm"))), (0o700, 0o600));
        }
    }

    #[test]
    fn an_altered_release_and_a_damaged_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        assert_eq!(shelf.standing().unwrap(), Standing::default());
        let bundle = bundle(None);
        let release = bundle.statement().release();
        shelf.put(&bundle).unwrap();
        fs::write(shelf.of(release).join("policy.wasm"), b"other").unwrap();
        assert!(matches!(shelf.get(release), Err(ShelfError::Altered(..))));
        fs::write(shelf.of(release).join("settings.json"), b"{}").unwrap();
        assert!(matches!(shelf.get(release), Err(ShelfError::Altered(..))));
        shelf.remove(release);
        assert!(matches!(shelf.get(release), Err(ShelfError::Folder(_))));
        for text in ["", "{", "{}", r#"{"held":[],"active":"nobody","previous":null,"changed":null}"#] {
            fs::write(shelf.file(), text).unwrap();
            assert!(matches!(shelf.standing(), Err(ShelfError::Standing(..))), "{text}");
        }
    }

    /// What is left where the process ended between two writes.
    #[test]
    fn an_unfinished_step_leaves_things_as_they_stood() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        let bundle = bundle(None);
        let release = bundle.statement().release();
        fs::create_dir_all(shelf.of(release)).unwrap();
        fs::write(shelf.of(release).join("policy.new"), b"half").unwrap();
        fs::write(shelf.of(release).join("settings.json"), b"{}").unwrap();
        fs::write(shelf.file().with_extension("new"), b"{\"held\":").unwrap();
        assert_eq!(shelf.standing().unwrap(), Standing::default());
        shelf.put(&bundle).unwrap();
        assert_eq!(shelf.get(release).unwrap().settings, None);
        fs::create_dir(folder.path().join("no release")).unwrap();
        shelf.sweep(&Standing::default());
        assert!(shelf.get(release).is_err() && folder.path().join("no release").exists());
        shelf.change(&Standing::default(), &Standing::default()).unwrap();
        assert_eq!(shelf.standing().unwrap(), Standing::default());
    }
}
