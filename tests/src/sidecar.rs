//! The real sidecar: the program that an operator runs, with a configuration of its own in a folder of its own.
//!
//! Owns its start, its end and its files. Must never reach into the process: what a test wants to know is asked at a
//! door, read in a file or in the log.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use octroi_psc::Psc;
use serde_json::Value;
use tempfile::TempDir;

use crate::dovecot::Door;
use crate::servers::free_ports;
use crate::warden::Warden;

/// How long a start may take: the policy is compiled at each.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a test waits for a record. Nothing but a failure takes so long.
const RECORDED_WITHIN: Duration = Duration::from_secs(20);

/// Secrets of the doors for Dovecot. Planted: tests search every output for them.
pub const INTROSPECTION_SECRET: &str = "planted-introspection-secret";
/// See [`INTROSPECTION_SECRET`].
pub const POLICY_SECRET: &str = "planted-policy-secret";

/// Lines of the configuration for a stage on which a bad signature must be a denial however long its suite takes: no
/// keys are fetched on schedule for fifty minutes. Just after such a fetch a bad signature is an outage, for nobody may
/// ask yet whether there is a newer key.
pub const NO_SCHEDULED_FETCH: &str = "[keys]\nrefresh_seconds = 3600\n";

/// What a sidecar is configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `introspection` of the issuer.
    pub introspection: &'static str,
    /// More lines of `[dovecot]`.
    pub doors: &'static str,
    /// Lines of `[server]` beside the generated ones.
    pub server: String,
    /// `gate_socket`. Default: in the sidecar's folder.
    pub gate_socket: Option<PathBuf>,
    /// Lines after the generated configuration.
    pub more: String,
    /// The mailbox directory.
    pub directory: String,
}

impl Default for Settings {
    fn default() -> Self {
        let (server, more) = (String::new(), String::new());
        let directory = octroi_psc::directory_csv();
        Self { introspection: "off", doors: "", server, gate_socket: None, more, directory }
    }
}

/// A running sidecar. Dropping it ends it.
pub struct Sidecar {
    /// Before the folder, so that it goes first.
    _warden: Warden,
    folder: TempDir,
    process: Option<Child>,
    dovecot: SocketAddr,
    configuration: Box<dyn Fn(SocketAddr) -> String + Send + Sync>,
}

impl Sidecar {
    /// Starts one that believes `psc` and imports the directory. Blocks.
    pub fn start(psc: &Psc, settings: &Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("octroi-sidecar-").tempdir()?;
        secret(folder.path(), "introspection.secret", INTROSPECTION_SECRET)?;
        secret(folder.path(), "policy.secret", POLICY_SECRET)?;
        secret(folder.path(), "client.secret", psc.operator_secret())?;
        let mut issuer = format!(
            "[[issuer]]\nissuer = \"{}\"\nmailbox_domains = [\"{}\"]\nintrospection = \"{}\"\n",
            psc.issuer(),
            octroi_psc::MAILBOX_DOMAIN,
            settings.introspection
        );
        if let Some(ca) = psc.ca_pem() {
            fs::write(folder.path().join("psc-ca.pem"), ca)?;
            issuer.push_str("ca_file = \"psc-ca.pem\"\n");
        }
        if settings.introspection != "off" {
            writeln!(issuer, "client_id = \"{}\"\nclient_secret_file = \"client.secret\"", psc.operator().id)?;
        }
        let gate_socket = settings.gate_socket.clone().unwrap_or_else(|| folder.path().join("gate.sock"));
        let server = format!("gate_socket = \"{}\"\n{}", gate_socket.display(), settings.server);
        let path = folder.path().to_owned();
        let rest = format!("{}\n\n{issuer}\n{}", settings.doors, settings.more);
        let configuration = Box::new(move |dovecot: SocketAddr| configuration(&path, dovecot, &server, &rest));
        let warden = Warden::of(folder.path())?;
        let [port] = free_ports()?;
        let dovecot = ([127, 0, 0, 1], port).into();
        let mut sidecar = Self { _warden: warden, folder, process: None, dovecot, configuration };
        sidecar.resume()?;
        sidecar.import(&settings.directory)?;
        Ok(sidecar)
    }

    /// Starts it again after [`Self::stop`], at the same address and with the same state.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        fs::write(self.configuration_file(), (self.configuration)(self.dovecot))?;
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let from = log.metadata()?.len();
        let mut serve = self.octroi(&["serve"]);
        let process = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        fs::write(self.pid_file(), process.id().to_string())?;
        self.process = Some(process);
        self.wait_until_ready(usize::try_from(from)?)
    }

    /// Changes the configuration of its next starts.
    pub fn reconfigure(&mut self, change: impl Fn(String) -> String + Send + Sync + 'static) {
        let before = std::mem::replace(&mut self.configuration, Box::new(|_| String::new()));
        self.configuration = Box::new(move |dovecot| change(before(dovecot)));
    }

    fn wait_until_ready(&mut self, from: usize) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let log = self.log();
            let lines = log.get(from..).unwrap_or_default().lines().filter_map(|line| serde_json::from_str(line).ok());
            let lines: Vec<Value> = lines.collect();
            if lines.iter().any(|line| said(line, "message") == Some("serving")) {
                let listening = lines.iter().find_map(|line| said(line, "address"));
                self.dovecot = listening.context("no address in the log")?.parse()?;
                return Ok(());
            }
            let ended = self.process.as_mut().context("not started")?.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("the sidecar did not start ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in order, as a service manager does.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "it was gone already");
            process.wait()?;
            fs::remove_file(self.pid_file())?;
        }
        Ok(())
    }

    /// Ends it at once: kill -9.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
            fs::remove_file(self.pid_file())?;
        }
        Ok(())
    }

    /// Imports a directory through the operator's door.
    pub fn import(&self, csv: &str) -> Result<()> {
        let file = self.folder.path().join("directory.csv");
        fs::write(&file, csv)?;
        let output = self.run(&["mailbox", "import", &file.display().to_string()])?;
        ensure!(output.status.success(), "import: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Runs the program with this configuration.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.octroi(arguments).stdin(Stdio::null()).output()?)
    }

    fn octroi(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("octroi"));
        command.arg("--config").arg(self.configuration_file()).args(arguments);
        command
    }

    /// The introspection door, for Dovecot.
    pub fn introspection(&self) -> Door {
        Door { port: self.dovecot.port(), secret: INTROSPECTION_SECRET.to_owned() }
    }

    /// The auth-policy door, for Dovecot.
    pub fn policy(&self) -> Door {
        Door { port: self.dovecot.port(), secret: POLICY_SECRET.to_owned() }
    }

    /// Process id; none while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Everything of this sidecar: configuration, state, sockets, log. Gone once it is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `octroi.toml`.
    pub fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("octroi.toml")
    }

    /// Whose process the warden ends.
    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("octroi.log")
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The audit trail so far.
    pub fn trail(&self) -> String {
        fs::read_to_string(self.folder.path().join("state/audit.jsonl")).unwrap_or_default()
    }

    /// Every whole record of the audit trail so far.
    pub fn records(&self) -> Result<Vec<Value>> {
        let trail = self.trail();
        let whole = trail.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// The audit trail from its record `from` on, as soon as there is `enough`: the sidecar answers before it has
    /// written.
    pub async fn recorded(&self, from: usize, enough: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let deadline = Instant::now() + RECORDED_WITHIN;
        loop {
            let records = self.records()?.split_off(from);
            if enough(&records) {
                return Ok(records);
            }
            ensure!(Instant::now() < deadline, "the trail does not come to hold what it should: {records:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // A test that failed already has its own message.
        let _ = self.kill();
    }
}

fn configuration(folder: &Path, dovecot: SocketAddr, server: &str, rest: &str) -> String {
    let folder = folder.display();
    format!(
        "[server]\nstate_dir = \"{folder}/state\"\nadmin_socket = \"{folder}/admin.sock\"\n{server}\n\
         [dovecot]\nlisten = \"{dovecot}\"\nintrospection_secret_file = \"introspection.secret\"\n\
         policy_secret_file = \"policy.secret\"\n{rest}"
    )
}

/// A field of a log line.
fn said<'l>(line: &'l Value, field: &str) -> Option<&'l str> {
    line.get("fields")?.get(field)?.as_str()
}

fn secret(folder: &Path, name: &str, secret: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, secret)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// A program of this workspace, built beside this one.
pub fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    // target/PROFILE/deps/test-… or target/PROFILE/octroi-demo.
    let candidates = here.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name))
}
