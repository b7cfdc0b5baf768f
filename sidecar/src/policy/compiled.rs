//! Compiled components on disk: a start must not wait for the compiler.
//!
//! What lies there is machine code, which runs as it is. It is taken only from a folder and a file that this process's
//! user owns and nobody else can write to, only with the digest that it was written with, and only for the same
//! component under the same engine. Anything else is compiled again.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use wasmtime::component::Component;

use super::bundle::Digest;
use crate::durable;

/// Most files kept. Those of other engines and components that are gone make room.
const KEPT: usize = 16;
/// Largest file, bytes: the default policy's has a million.
const MAX_FILE: u64 = 128 << 20;
/// Bytes of the digest at the start of a file.
const DIGEST: usize = 32;
/// O_NOFOLLOW of open(2).
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// The folder.
#[derive(Debug)]
pub(super) struct Compiled {
    folder: PathBuf,
    engine: Digest,
}

impl Compiled {
    /// What lies in `folder` (made at the first write) for this engine.
    pub(super) fn new(folder: PathBuf, engine: &wasmtime::Engine) -> Self {
        let mut hasher = Sha(Context::new(&SHA256));
        // wasmtime's version is part of it.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = Digest::of(hasher.0.finish().as_ref());
        Self { folder, engine }
    }

    /// The component, compiled before or now. Blocks, for a third of a second where it compiles.
    ///
    /// # Errors
    /// It is not a valid component. A folder that can't be used is told in the log, and costs time alone.
    pub(super) fn component(&self, engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        let file = self.file(wasm);
        match self.read(&file) {
            Ok(Some(code)) => {
                #[expect(unsafe_code, reason = "compiled code is what the folder is for")]
                // SAFETY: these bytes were written by `write` below for this engine, whose hash is in the file's name,
                // out of `serialize`: they have the digest that was written with them, and nobody but this user could
                // change both.
                match unsafe { Component::deserialize(engine, code) } {
                    Ok(component) => return Ok(component),
                    Err(error) => tracing::warn!(file = %file.display(), %error, "compiled code does not fit: again"),
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(file = %file.display(), %error, "compiled code can't be used: again"),
        }
        let component = Component::from_binary(engine, wasm)?;
        if let Err(error) = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&file, &code)) {
            tracing::warn!(file = %file.display(), %error, "compiled code can't be kept: the next start takes longer");
        }
        Ok(component)
    }

    fn file(&self, wasm: &[u8]) -> PathBuf {
        let [component, engine] = [Digest::of(wasm), self.engine].map(|digest| digest.hex());
        let engine = engine.get(..16).unwrap_or_default();
        self.folder.join(format!("{component}-{engine}.compiled"))
    }

    /// `None`: there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut options = OpenOptions::new();
        let file = match options.read(true).custom_flags(NOFOLLOW).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        closed(&File::open(&self.folder)?)?;
        closed(&file)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        match bytes.split_first_chunk::<DIGEST>() {
            Some((digest, code)) if *digest == Digest::of(code).bytes() => Ok(Some(bytes.split_off(DIGEST))),
            Some(_) | None => Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged")),
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        durable::make(&self.folder)?;
        closed(&File::open(&self.folder)?)?;
        self.make_room()?;
        durable::replace(&self.folder, path, &[&Digest::of(code).bytes(), code].concat())
    }

    /// Removes the oldest files, so that one more may come.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort_unstable();
        let surplus = (files.len() + 1).saturating_sub(KEPT);
        files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Refuses what another user owns or could write to.
fn closed(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if own && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else could have written it: chown and chmod 700 it"))
}

/// SHA-256 where the standard library asks for a hasher: its own ones promise no lasting value.
struct Sha(Context);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Never asked: the whole digest is taken instead.
        0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::policy::{EMBEDDED, Engine, Limits, Release};

    const SETTINGS: &str = r#"{"issuers":[{"issuer":"https://psc.example.test","introspection":"off"}]}"#;

    /// Loads the policy with code in `folder`; the files there afterwards, and whether any was written.
    fn load(folder: &Path) -> (Vec<PathBuf>, bool) {
        let stamp = |path: &PathBuf| fs::metadata(path).unwrap().ino();
        let files = || -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let before: Vec<u64> = files().iter().map(stamp).collect();
        let engine = Engine::new(Limits::default()).unwrap().keeping_compiled(folder.to_owned());
        let release = Release::load(&engine, EMBEDDED, SETTINGS).unwrap();
        assert_eq!(release.card().name, "pro-sante-connect");
        let after = files();
        let stamps: Vec<u64> = after.iter().map(stamp).collect();
        (after, stamps != before)
    }

    #[test]
    fn code_is_written_once_closed_to_others_and_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("compiled");
        let (files, written) = load(&folder);
        assert_eq!((files.len(), written), (1, true));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&files[0])), (0o700, 0o600));
        assert_eq!(load(&folder), (files, false));
    }

    #[test]
    fn damaged_code_and_code_that_others_could_have_written_are_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("compiled");
        let (files, _) = load(&folder);
        let file = &files[0];
        let good = fs::read(file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let mut foreign = b"no code".to_vec();
        foreign.splice(..0, Digest::of(b"no code").bytes());
        for damaged in [&[][..], &good[..10], &good[..good.len() - 1], &flipped, &foreign] {
            fs::write(file, damaged).unwrap();
            assert!(load(&folder).1, "{} bytes were used", damaged.len());
            assert_eq!(fs::read(file).unwrap(), good);
        }
        fs::set_permissions(file, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(load(&folder).1, "a file open to others was used");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        let engine = Engine::new(Limits::default()).unwrap().keeping_compiled(folder.clone());
        assert!(engine.compiled().unwrap().read(file).is_err(), "a folder open to others was used");
        Release::load(&engine, EMBEDDED, SETTINGS).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(file, folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(folder.join("elsewhere"), file).unwrap();
        assert!(engine.compiled().unwrap().read(file).is_err(), "a link was followed");
    }

    #[test]
    fn the_folder_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..40 {
            fs::write(folder.path().join(format!("{number}.compiled")), "old").unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(load(folder.path()).0.len(), KEPT);
    }

    #[test]
    fn another_engine_has_other_files() {
        let one = Compiled::new(PathBuf::new(), &wasmtime::Engine::default());
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Compiled::new(PathBuf::new(), &wasmtime::Engine::new(&config).unwrap());
        let again = Compiled::new(PathBuf::new(), &wasmtime::Engine::default());
        assert_eq!(one.file(b"wasm"), again.file(b"wasm"));
        assert_ne!(one.file(b"wasm"), other.file(b"wasm"));
        assert_ne!(one.file(b"wasm"), one.file(b"other"));
    }
}
