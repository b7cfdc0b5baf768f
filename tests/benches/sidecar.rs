//! The sidecar as an operator runs it: `octroi serve` with a configuration, a store and keys in a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::bench::Bench;
use crate::credentials::{AUDIENCE, Credentials, ISSUER};
use crate::introspect;
use crate::load::Connection as _;
use crate::load::http::Http;
use crate::server::{Address, PATIENCE, PAUSE, Server};

/// The password of the introspection door.
pub(crate) const INTROSPECTION_SECRET: &str = "bench-introspection";

/// The password of the policy door.
pub(crate) const POLICY_SECRET: &str = "bench-policy";

/// How a sidecar is configured, where benchmarks differ.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `[server] remembered_signatures`; `None`: as shipped.
    pub(crate) remembered_signatures: Option<usize>,
    /// `[[issuer]] jwks_url`; `None`: the keys are in a file.
    pub(crate) jwks_url: Option<String>,
    /// `[audit] file`, in the folder of the sidecar.
    pub(crate) audit: &'static str,
    /// Threads that serve.
    pub(crate) workers: &'static str,
    /// Further sections.
    pub(crate) more: Option<String>,
}

impl Options {
    /// Every signature is verified every time, as by its contenders.
    pub(crate) const VERIFYING: Self = Self { remembered_signatures: Some(0), ..Self::SHIPPED };

    /// As shipped: the signature of a token seen before is known.
    pub(crate) const SHIPPED: Self =
        Self { remembered_signatures: None, jwks_url: None, audit: "audit.jsonl", workers: "1", more: None };
}

/// A running sidecar.
pub(crate) struct Sidecar {
    http: Server,
    gate: Address,
    sasl: Address,
    delegation: Address,
    // Its folder goes after it.
    folder: tempfile::TempDir,
}

impl Sidecar {
    /// The introspection door.
    pub(crate) fn http(&self) -> Server {
        self.http.at(self.http.address().clone())
    }

    /// The gRPC door.
    pub(crate) fn grpc(&self) -> Server {
        self.http.at(self.gate.clone())
    }

    /// The SASL door's socket.
    pub(crate) fn sasl(&self) -> Server {
        self.http.at(self.sasl.clone())
    }

    /// The delegation door's socket.
    pub(crate) fn delegation(&self) -> Server {
        self.http.at(self.delegation.clone())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.http.pid()
    }

    /// The operator's socket.
    pub(crate) fn admin(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Its configuration.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join("octroi.toml")
    }
}

/// Starts a sidecar, as a rule with one worker thread, as its contenders have one, imports the directory, and waits
/// until a login is granted.
///
/// # Errors
/// It does not build, or start, or grant.
pub(crate) async fn start(bench: &Bench, credentials: &Credentials, options: &Options) -> anyhow::Result<Sidecar> {
    let program = bench.octroi()?;
    let folder = tempfile::TempDir::with_prefix_in("sidecar-", bench.folder())?;
    let port = Address::free_port().await?;
    let at = folder.path();
    let configuration = configure(at, port, credentials, options)?;
    let configuration = configuration.to_str().context("a folder in ASCII")?;
    let environment = [("TOKIO_WORKER_THREADS", options.workers)];
    let arguments = ["serve", "--config", configuration];
    let log = at.join("octroi.log");
    let http = Server::start("octroi", &program, &arguments, &environment, Address::Tcp(port), &log).await?;
    let csv = at.join("directory.csv");
    std::fs::write(&csv, octroi_psc::directory_csv())?;
    let import = Command::new(&program).args(["mailbox", "import", "--config", configuration]).arg(&csv).output()?;
    anyhow::ensure!(import.status.success(), "import: {}", String::from_utf8_lossy(&import.stderr));
    wait(&http, credentials).await?;
    let [gate, sasl, delegation] =
        ["gate.sock", "sasl.sock", "delegation.sock"].map(|name| Address::Unix(at.join(name)));
    Ok(Sidecar { http, gate, sasl, delegation, folder })
}

fn configure(at: &Path, port: u16, credentials: &Credentials, options: &Options) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::OpenOptionsExt as _;
    for (name, secret) in [("introspection.secret", INTROSPECTION_SECRET), ("policy.secret", POLICY_SECRET)] {
        let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(at.join(name))?;
        std::io::Write::write_all(&mut file, secret.as_bytes())?;
    }
    std::fs::write(at.join("jwks.json"), credentials.jwks()?)?;
    let path = at.join("octroi.toml");
    let (uid, domain) = (rustix::process::getuid().as_raw(), octroi_psc::MAILBOX_DOMAIN);
    let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
    let user = user.trim();
    let remembered = options.remembered_signatures.map(|most| format!("remembered_signatures = {most}"));
    let (remembered, audit) = (remembered.unwrap_or_default(), options.audit);
    let more = options.more.as_deref().unwrap_or_default();
    let keys = match &options.jwks_url {
        Some(url) => format!("jwks_url = \"{url}\""),
        None => "jwks_file = \"jwks.json\"".to_owned(),
    };
    let text = format!(
        r#"[server]
state_dir = "state"
gate_socket = "gate.sock"
gate_uids = ["{uid}"]
admin_socket = "admin.sock"
admin_uids = ["{uid}"]
{remembered}

[dovecot]
listen = "127.0.0.1:{port}"
introspection_secret_file = "introspection.secret"
policy_secret_file = "policy.secret"

[postfix]
sasl_socket = "sasl.sock"
delegation_socket = "delegation.sock"
user = "{user}"

[[issuer]]
issuer = "{ISSUER}"
{keys}
mailbox_domains = ["{domain}"]

[audit]
file = "{audit}"

[policy]
allow_unsigned = true

[policy.settings]
audience = ["{AUDIENCE}"]

{more}"#
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Ready is when a login is granted.
async fn wait(http: &Server, credentials: &Credentials) -> anyhow::Result<()> {
    let token = credentials.tokens().first().context("a token")?;
    let requests = [introspect::request(token)];
    let mut connections = Http::connect(http, &requests, introspect::is_granted).await?;
    let connection = connections.first_mut().context("a connection")?;
    let deadline = Instant::now() + PATIENCE;
    while !connection.exchange(0).await? {
        anyhow::ensure!(Instant::now() < deadline, "octroi grants no login");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
