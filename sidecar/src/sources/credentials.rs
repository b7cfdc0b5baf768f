//! Who asks at a registry. The password never reaches a message.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Source, SourceError};
use crate::secret::Secret;

/// Longest password, bytes: access tokens of registries have up to two thousand.
const MAX_PASSWORD: u64 = 8192;

/// Reads who asks; nobody: the registry is asked by anybody. The value of an `Authorization` header (RFC 7617). Blocks.
///
/// # Errors
/// [`SourceError::Flag`]
pub(super) fn basic(source: &Source) -> Result<Option<Secret>, SourceError> {
    let (Some(user), Some(file)) = (&source.user, &source.password_file) else { return Ok(None) };
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(SourceError::Flag("--user: expected a name without a colon".to_owned()));
    }
    let password = password(file).map_err(SourceError::Flag)?;
    let both = Zeroizing::new(format!("{user}:{}", password.expose()));
    let value = Zeroizing::new(STANDARD.encode(both.as_bytes()));
    Ok(Some(Secret::new(format!("Basic {}", value.as_str()))))
}

fn password(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("{shown}: expected a readable file with a password: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{shown}: expected a file"));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(format!(
            "{shown}: expected mode 0600, found {mode:04o}: chmod 600 {shown}, and change the password"
        ));
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_PASSWORD + 1).read_to_string(&mut text);
    let password = text.trim_end_matches(['\r', '\n']);
    let fits = read.is_ok() && text.len() as u64 <= MAX_PASSWORD && !password.is_empty();
    if !fits || password.chars().any(char::is_control) {
        return Err(format!("{shown}: expected one line of 1 to {MAX_PASSWORD} bytes"));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_password_is_read_from_a_closed_file_alone_and_never_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let read = |content: &[u8], mode: u32| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            password(&path).map(|password| password.expose().to_owned())
        };
        assert_eq!(read(b"planted word\n", 0o600).as_deref(), Ok("planted word"));
        assert_eq!(read(b"planted word", 0o400).as_deref(), Ok("planted word"));
        let (large, two) = (b"x".repeat(8193), b"planted\nword");
        for (content, mode, part) in [
            (&b"planted"[..], 0o640, "expected mode 0600, found 0640"),
            (b"planted", 0o604, "expected mode 0600, found 0604"),
            (b"", 0o600, "expected one line"),
            (b"\n", 0o600, "expected one line"),
            (two, 0o600, "expected one line"),
            (&large, 0o600, "expected one line"),
            (&[b'p', 0xff], 0o600, "expected one line"),
        ] {
            let told = read(content, mode).unwrap_err();
            assert!(told.contains(part) && !told.contains("planted"), "{told}");
        }
        assert!(password(folder.path()).unwrap_err().contains("expected a file"));
        assert!(password(Path::new("/nowhere/password")).unwrap_err().contains("expected a readable file"));
    }
}
