//! A registry of its own for each test: Debian's docker-registry, over TLS, for one user.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use octroi::policy::Digest;
use octroi_tests::pki::Pki;
use serde_json::Value;
use tempfile::TempDir;

/// Who may ask.
pub(crate) const USER: &str = "puller";
/// Planted: tests search every output for it.
pub(crate) const PASSWORD: &str = "planted-registry-password";

/// A running registry. Dropping it ends it.
pub(crate) struct Registry {
    folder: TempDir,
    process: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Registry {
    /// Starts one, for [`USER`] alone or for everybody.
    pub(crate) fn start(for_everybody: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("octroi-registry-").tempdir()?;
        let pki = Pki::new()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("ca.pem"), &pki.authority_pem)?;
        fs::write(at("tls.crt"), &pki.certificate_pem)?;
        fs::write(at("tls.key"), &pki.key_pem)?;
        for (name, password) in [("password", PASSWORD), ("wrong-password", "planted-wrong-password")] {
            fs::write(at(name), password)?;
            fs::set_permissions(at(name), Permissions::from_mode(0o600))?;
        }
        let users = Command::new("htpasswd").args(["-nbB", "-C", "4", USER, PASSWORD]).output().context("htpasswd")?;
        ensure!(users.status.success(), "{}", String::from_utf8_lossy(&users.stderr));
        fs::write(at("users"), users.stdout)?;
        let folder_shown = folder.path().display();
        let users = format!("auth:\n  htpasswd:\n    realm: octroi-test\n    path: {folder_shown}/users\n");
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {folder_shown}/data\nhttp:\n  \
             addr: 127.0.0.1:0\n  tls:\n    certificate: {folder_shown}/tls.crt\n    key: {folder_shown}/tls.key\n{}",
            if for_everybody { "" } else { &users }
        );
        fs::write(at("config.yml"), config)?;
        // Ends with the thread of the test, however that ends.
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(at("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("setpriv")?;
        let mut log = BufReader::new(process.stderr.take().context("no log")?).lines();
        let mut said = String::new();
        let address = loop {
            let line = log.next().with_context(|| format!("docker-registry ended:\n{said}"))??;
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split([',', '"', ' ']).next().unwrap_or_default().to_owned();
            }
            said.extend([&line, "\n"]);
        };
        // A registry whose log nobody reads stops.
        std::thread::spawn(move || log.for_each(drop));
        Ok(Self { folder, process, address })
    }

    /// A file of this registry.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a pull needs beside the reference.
    pub(crate) fn access(&self) -> Vec<String> {
        let words = ["--ca-file", &self.file("ca.pem"), "--user", USER, "--password-file", &self.file("password")];
        words.map(str::to_owned).to_vec()
    }

    fn curl(&self, arguments: &[&str]) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "--cacert"]).arg(self.path("ca.pem"));
        let output = curl.arg("-u").arg(format!("{USER}:{PASSWORD}")).args(arguments).output().context("curl")?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {told} {}", String::from_utf8_lossy(&output.stderr));
        Ok(told)
    }

    /// Uploads a blob.
    pub(crate) fn blob(&self, repository: &str, bytes: &[u8]) -> Result<()> {
        let uploads = format!("https://{}/v2/{repository}/blobs/uploads/", self.address);
        let headers = self.curl(&["-X", "POST", "-D", "-", "-o", "/dev/null", &uploads])?;
        let location =
            headers.lines().find_map(|line| line.strip_prefix("Location: ").or(line.strip_prefix("location: ")));
        let location = location.with_context(|| format!("no place to upload to: {headers}"))?.trim();
        let digest = Digest::of(bytes);
        let file = self.path("upload");
        fs::write(&file, bytes)?;
        let data = format!("@{}", file.display());
        let joint = if location.contains('?') { '&' } else { '?' };
        let put = format!("{location}{joint}digest={digest}");
        self.curl(&["-X", "PUT", "-H", "Content-Type: application/octet-stream", "--data-binary", &data, &put])?;
        Ok(())
    }

    /// Puts a manifest under a tag; its digest.
    pub(crate) fn manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Result<Digest> {
        let bytes = manifest.to_string();
        let file = self.path("manifest");
        fs::write(&file, &bytes)?;
        let kind = format!("Content-Type: {}", manifest["mediaType"].as_str().context("a manifest without type")?);
        let url = format!("https://{}/v2/{repository}/manifests/{tag}", self.address);
        self.curl(&["-X", "PUT", "-H", &kind, "--data-binary", &format!("@{}", file.display()), &url])?;
        Ok(Digest::of(bytes.as_bytes()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
