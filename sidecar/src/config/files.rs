//! The files that a configuration names: read or looked at once, while it is checked.
//!
//! A secret file that others may read is refused, and its content never reaches a message.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use super::reader::{At, Section};
use crate::secret::Secret;

/// Largest configuration file, bytes: far above any real one, and a bound for a mistaken path.
const MAX_CONFIGURATION: u64 = 1024 * 1024;
/// Largest secret, bytes: what fits a URL and an HTTP header on both Dovecots.
const MAX_SECRET: u64 = 1024;

/// Largest PEM file, bytes: a key, or a certificate with a long chain.
const MAX_PEM: u64 = 64 * 1024;

/// The text of the configuration file.
pub(super) fn configuration(path: &Path) -> Result<String, Problem> {
    let problem =
        |expected: String, remedy: &str| Problem { line: 0, key: String::new(), expected, remedy: remedy.to_owned() };
    let file = fs::File::open(path).map_err(|error| {
        problem(format!("expected a readable file: {error}"), "write the file, or give another with --config")
    })?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIGURATION + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(format!("expected a readable file: {error}"), "give another with --config"))?;
    if bytes.len() as u64 > MAX_CONFIGURATION {
        return Err(problem(format!("expected at most {MAX_CONFIGURATION} bytes"), "give the configuration file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem(format!("expected UTF-8, found something else at byte {at}"), "save the file as UTF-8")
    })
}

/// Where relative paths count from: the folder of the configuration file.
pub(super) struct Base<'a>(pub(super) &'a Path);

impl Base<'_> {
    /// A path that need not exist yet, or the default.
    pub(super) fn path(&self, section: &mut Section<'_, '_>, key: &'static str, default: &str) -> At<PathBuf> {
        self.optional_path(section, key).unwrap_or_else(|| section.default(key, PathBuf::from(default)))
    }

    /// A path that need not exist yet.
    pub(super) fn optional_path(&self, section: &mut Section<'_, '_>, key: &'static str) -> Option<At<PathBuf>> {
        section.parsed(key, "write the path of a file", |text| {
            if text.is_empty() || text.contains('\0') {
                return Err("expected a path, found an empty text".to_owned());
            }
            Ok(self.0.join(text))
        })
    }

    /// A file that must be there and readable.
    pub(super) fn file(&self, section: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
        let at = self.optional_path(section, key)?;
        let opened = fs::File::open(&at.value).and_then(|file| file.metadata());
        match opened {
            Ok(metadata) if metadata.is_file() => return Some(at.value),
            Ok(_) => at.complain(
                section.report(),
                format!("expected a file, {} is none", at.value.display()),
                "name the file itself",
            ),
            Err(error) => at.complain(
                section.report(),
                format!("expected a readable file at {}: {error}", at.value.display()),
                "put the file there, readable by the sidecar's user, or correct the path",
            ),
        }
        None
    }

    /// The secret in the file that `key` names. A missing key is reported when `purpose` says what it is for.
    pub(super) fn secret(
        &self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        purpose: Option<&str>,
    ) -> Option<At<Secret>> {
        self.closed(section, key, purpose, secret)
    }

    /// The PEM text in the file that `key` names, closed to others as a secret is.
    pub(super) fn pem(
        &self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        purpose: Option<&str>,
    ) -> Option<At<Secret>> {
        self.closed(section, key, purpose, pem)
    }

    fn closed(
        &self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        purpose: Option<&str>,
        read: impl FnOnce(&Path) -> Result<Secret, (String, String)>,
    ) -> Option<At<Secret>> {
        if let (false, Some(purpose)) = (section.has(key), purpose) {
            section.missing(key, "the path of a file", purpose);
        }
        let at = self.optional_path(section, key)?;
        match read(&at.value) {
            Ok(secret) => Some(At { value: secret, key: at.key, span: at.span }),
            Err((expected, remedy)) => {
                at.complain(section.report(), expected, remedy);
                None
            }
        }
    }
}

fn secret(path: &Path) -> Result<Secret, (String, String)> {
    let make = |shown: &str| format!("(umask 027; openssl rand -hex 32 > {shown})");
    let shown = path.display().to_string();
    let (text, whole) = closed(path, MAX_SECRET, &make(&shown))?;
    let trimmed = text.strip_suffix('\n').unwrap_or(&text);
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    let printable = trimmed.bytes().all(|b| b.is_ascii_graphic());
    if !whole || trimmed.is_empty() || !printable {
        let expected = format!("expected one line of 1 to {MAX_SECRET} printable ASCII characters in {shown}");
        return Err((expected, format!("put one in: {}", make(&shown))));
    }
    Ok(Secret::new(trimmed))
}

fn pem(path: &Path) -> Result<Secret, (String, String)> {
    let shown = path.display();
    let (text, whole) = closed(path, MAX_PEM, "write it there")?;
    if !whole || !text.contains("-----BEGIN ") {
        let expected = format!("expected PEM text of at most {MAX_PEM} bytes in {shown}");
        return Err((expected, "put the part between -----BEGIN and -----END in, with both lines".to_owned()));
    }
    Ok(Secret::new(text.as_str()))
}

/// The text of a file that others may not read, and whether it is whole: UTF-8, and no larger than `most`.
fn closed(path: &Path, most: u64, make: &str) -> Result<(zeroize::Zeroizing<String>, bool), (String, String)> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let remedy = format!("make one: {make}, owned by the sidecar's user");
        (format!("expected a readable secret file at {shown}: {error}"), remedy)
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err((format!("expected a file, {shown} is none"), "name the file itself".to_owned()));
    }
    if metadata.mode() & 0o007 != 0 {
        let expected = format!("expected a file closed to others, {shown} has mode {:04o}", metadata.mode() & 0o7777);
        return Err((expected, format!("chmod o= {shown}, and put a new secret in: this one may be known")));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = file.take(most + 1).read_to_string(&mut text);
    let whole = read.is_ok() && text.len() as u64 <= most;
    Ok((text, whole))
}
