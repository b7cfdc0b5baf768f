//! The configuration: plain data, read once from one TOML file, checked as a whole.
//!
//! [`Config::load`] reports every problem at once, each with its line, its key and a remedy. It never reads a secret
//! from the file itself: secrets stand in files of their own, which nobody else may read. A `Config` does nothing
//! and holds nothing open; a reload makes a new one and throws it away on any problem.

mod chain;
mod client;
mod domain;
mod evidence;
mod files;
mod issuer;
mod policy;
mod postfix;
mod problem;
mod reader;
mod sections;
mod throttle;
mod trust;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

pub use self::chain::{ChainSettings, CrlSettings, DovecotCrl};
pub use self::evidence::{Asking, KeyHolding};
pub use self::policy::PolicySettings;
pub use self::problem::{Problem, Problems};
use crate::evidence::directory::MailboxAddress;
use crate::evidence::introspection::AssertionKey;
use crate::policy::Trust;
use crate::secret::Secret;
use crate::throttle::Allowance;

/// Where the configuration is looked for when no path is given.
pub const DEFAULT_PATH: &str = "/etc/octroi/octroi.toml";

/// The reference file: every key with its default, its unit and its source, as installed beside the package.
pub const REFERENCE: &str = include_str!("../../integrations/octroi.toml");

/// Everything that an operator settles. Relative paths count from the folder of the configuration file.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`: where the sidecar lives and who may speak to it.
    pub server: Server,
    /// `[dovecot]`: the two HTTP doors for Dovecot. Absent: closed.
    pub dovecot: Option<Dovecot>,
    /// `[postfix]`: the SASL server and the policy delegation for Postfix or Exim. Absent: closed.
    pub postfix: Option<Postfix>,
    /// `[[issuer]]`: whose tokens are believed, and for which mailboxes. At least one.
    pub issuers: Vec<Issuer>,
    /// `[[chain]]`: whose client certificates are accepted, and for which mailboxes. Default none.
    pub chains: Vec<ChainSettings>,
    /// `[crl]`: how their revocation lists are held.
    pub crl: CrlSettings,
    /// `[rails]`: limits that no policy can widen.
    pub rails: Rails,
    /// `[throttle]`: what one client address may make the sidecar do for nothing.
    pub throttle: Allowance,
    /// `[policy]`: which component decides, and its settings.
    pub policy: Policy,
    /// `[audit]`: where decisions are recorded.
    pub audit: Audit,
    /// `[metrics]`: what a monitoring system reads. Absent: closed.
    pub metrics: Option<Metrics>,
    /// `[check]`: what `octroi check` looks at beside this file.
    pub check: Check,
}

impl Config {
    /// Reads and checks the file at `path`, and every file that it names.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = files::configuration(path).map_err(|problem| Problems::one(path, problem))?;
        Self::parse(path, &text)
    }

    /// Checks `text` as the content of `path`, and every file that it names.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        sections::configuration(path, text).map_err(|problems| Problems::new(path, problems))
    }

    /// Reads `[server] admin_socket` alone: for a command that asks a running sidecar, started by a user who may not
    /// read the secrets, or beside a file that is being edited.
    ///
    /// # Errors
    /// The file can't be read, or that section does not hold.
    pub fn admin_socket(path: &Path) -> Result<PathBuf, Problems> {
        let text = files::configuration(path).map_err(|problem| Problems::one(path, problem))?;
        sections::admin_socket(path, &text).map_err(|problems| Problems::new(path, problems))
    }
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// `state_dir`: folder of the store and of the pseudonym key, mode 0700, made at the first start.
    /// Default `/var/lib/octroi`.
    pub state_dir: PathBuf,
    /// `gate_socket`: unix socket on which a mail system asks for decisions. Default `/run/octroi/gate.sock`.
    pub gate_socket: PathBuf,
    /// `gate_uids`: user names or numbers that may connect to it. Default `["root"]`.
    pub gate_uids: Vec<u32>,
    /// `gate_group`: group, by name or number, that is given the socket's file, so that users other than the sidecar's
    /// own can open it; who may speak is still what `gate_uids` says. Default: the sidecar's own group.
    pub gate_group: Option<u32>,
    /// `ticket_seconds`: life of a login ticket, seconds. Default and most 60, at least 1.
    pub ticket_seconds: u64,
    /// `admin_socket`: unix socket on which an operator changes things. Default `/run/octroi/admin.sock`.
    pub admin_socket: PathBuf,
    /// `admin_uids`: user names or numbers that may connect to it. Default `["root"]`.
    pub admin_uids: Vec<u32>,
    /// `max_in_flight`: logins judged at one moment; more are answered `unavailable`. Default 256, 1 to 65 536.
    pub max_in_flight: usize,
    /// `remembered_signatures`: signatures that held, remembered for three minutes, so that the connections of one mail
    /// client cost one verification. Default 16 384, 0 (each is verified each time) to 1 048 576.
    pub remembered_signatures: usize,
}

/// `[dovecot]`
#[derive(Clone, Debug)]
pub struct Dovecot {
    /// `listen`: loopback address of both HTTP doors. Default `127.0.0.1:9180`. Anything but loopback is refused: the
    /// answers go in clear.
    pub listen: SocketAddr,
    /// `introspection_secret_file`: holds the password that Dovecot's introspection URL carries. Required.
    pub introspection_secret: Secret,
    /// `policy_secret_file`: holds the password that Dovecot's auth-policy URL carries. Required, and another one.
    pub policy_secret: Secret,
    /// `handle_seconds`: life of the handle between introspection and the after-auth allow, seconds. Default 30,
    /// 1 to 300.
    pub handle_seconds: u64,
    /// `other_mechanisms`: SASL mechanisms whose after-auth allow is answered yes without a token, in upper case.
    /// Default `["PLAIN", "LOGIN"]`. XOAUTH2 and OAUTHBEARER can't be among them.
    pub other_mechanisms: Vec<String>,
    /// `uncounted_users`: master and service users, whose logins do not count as an authentication of the mailbox, in
    /// lower case. Default none.
    pub uncounted_users: Vec<String>,
}

/// `[postfix]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postfix {
    /// `sasl_socket`: unix socket of the SASL server (Dovecot's auth protocol), within the mail server's chroot.
    /// Default `/var/spool/postfix/octroi/sasl`: Postfix's `smtpd_sasl_path = octroi/sasl`.
    pub sasl_socket: PathBuf,
    /// `delegation_socket`: unix socket of the policy delegation. Default `/var/spool/postfix/octroi/policy`: Postfix's
    /// `check_policy_service unix:octroi/policy`.
    pub delegation_socket: PathBuf,
    /// `certificate_sasl_socket`: unix socket of the SASL server for the port that asks for client certificates:
    /// EXTERNAL alone, and what it says yes to is decided by the policy delegation. Default none: closed.
    pub certificate_sasl_socket: Option<PathBuf>,
    /// `sasl_listen`: loopback address of the SASL server over TCP, beside the socket. Default none.
    pub sasl_listen: Option<SocketAddr>,
    /// `delegation_listen`: loopback address of the policy delegation over TCP, beside the socket. Default none. TCP
    /// does not tell which process asks: logins are joined by what Postfix says of itself, from RCPT on.
    pub delegation_listen: Option<SocketAddr>,
    /// `user`: whom the mail server's daemon runs as; nobody else may connect, by socket or TCP, and its group is given
    /// the sockets. Default `postfix`; `Debian-exim` for Exim.
    pub user: User,
}

/// A user of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// By the name that this system knows it under.
    Name(String),
    /// `UID:GID`: of a mail server in a root or a container with users of its own.
    Numbers {
        /// User.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// `[[issuer]]`
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `issuer`: exactly what stands in the tokens' `iss` (RFC 7519 section 4.1.1). Required.
    pub issuer: String,
    /// `discovery_url`, `jwks_url` or `jwks_file`: where the signing keys come from. One of them at most.
    pub keys: KeySource,
    /// `ca_file`: PEM certificates trusted for this issuer beside the system's roots. Default none.
    pub ca_file: Option<PathBuf>,
    /// `mailbox_domains`: the only domains whose mailboxes a token of this issuer can open, lower case. Required.
    pub mailbox_domains: Vec<String>,
    /// `introspection`: whether the issuer is asked about each token (RFC 7662). Default `off`.
    pub introspection: IntrospectionMode,
    /// `introspection_url`: its introspection endpoint. Default: the one that discovery names.
    pub introspection_url: Option<Url>,
    /// `client_id`, `client_auth` and the files that it needs: as whom it is asked. Required when introspection is on.
    pub client: Option<Client>,
    /// `[keys]`, the same for every issuer.
    pub holding: KeyHolding,
    /// `[introspection]`, the same for every issuer.
    pub asking: Asking,
}

/// Where the signing keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Discovery at the issuer: `.well-known/wallet-openid-configuration` as Pro Sante Connect has it, then
    /// `.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 4). The default.
    Discovery,
    /// A discovery document at this address.
    DiscoveryUrl(Url),
    /// A key set (RFC 7517) at this address.
    JwksUrl(Url),
    /// A key set in a file.
    JwksFile(PathBuf),
}

/// Whether an issuer is asked about each token (RFC 7662).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntrospectionMode {
    /// Never: the signature alone.
    Off,
    /// Asked; a signature alone is enough while no answer can be had.
    Preferred,
    /// Asked; no answer is no decision.
    Required,
}

impl IntrospectionMode {
    /// The word of the configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Preferred => "preferred",
            Self::Required => "required",
        }
    }
}

/// As whom an issuer is asked.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_auth`: how it shows who it is.
    pub auth: ClientAuth,
}

/// How a client shows who it is, and with what.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// `client_secret_basic`, the default: HTTP Basic, id and the secret of `client_secret_file` form-encoded first
    /// (RFC 6749 section 2.3.1).
    Basic(Secret),
    /// `client_secret_post`: two members of the form.
    Post(Secret),
    /// `private_key_jwt` (RFC 7523): an assertion signed with the key of `client_key_file`, named `client_key_id`.
    PrivateKeyJwt(AssertionKey),
    /// `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 section 2): the certificate of
    /// `client_certificate_file` with the key of `client_key_file`, one after the other.
    Certificate(Secret),
}

/// `[rails]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rails {
    /// `leeway_seconds`: how far two clocks may differ, seconds. Default 5, at most 30: a token lives two minutes.
    pub leeway_seconds: u64,
    /// `session_max_seconds`: total length of a provider session, seconds. Default and most: 14 400 (four hours).
    pub session_max_seconds: u64,
}

/// `[policy]`
#[derive(Clone, Debug)]
pub struct Policy {
    /// `component`: WebAssembly component that decides. Default: the one built in.
    pub component: Option<PathBuf>,
    /// `[policy.settings]`: given to the component as JSON; its manifest says what it takes. Default empty.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Who must have signed a release (`octroi policy`): `[[policy.signer]]`, each with `name` and `minisign`, the
    /// public key; `[policy.trust]` with `all_of`, names of those who must all have signed (default: every signer,
    /// where `any_of` is left out), and `any_of`, at least so many of them (default 0); `allow_unsigned` lets in what
    /// is not signed so. Default: no signer, and nothing unsigned; then only the component above, or the one built in,
    /// ever decides.
    pub trust: Trust,
    /// `vectors`: folder with the operator's own test vectors (`*.json`), to which every release has to answer as they
    /// say before it is staged. Default none.
    pub vectors: Option<PathBuf>,
    /// `probation_seconds`: for how long a release is taken back by itself after it came into service, where it fails.
    /// Default 900, most a day; 0: never.
    pub probation_seconds: u64,
    /// `probation_persons`: once it failed so many persons, on attempts whose signature holds. Default 3.
    pub probation_persons: usize,
    /// `[policy.recording]`, `megabytes`: decisions are recorded for replay, for a day, in files of at most so many
    /// megabytes (default 64). Absent: they are not.
    pub recording_megabytes: Option<u64>,
}

/// `[audit]`
#[derive(Clone, Debug)]
pub struct Audit {
    /// `file`: one JSON line per decision, mode 0600. Default `audit.jsonl` in the state folder.
    pub file: PathBuf,
}

/// `[metrics]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `listen`: loopback address of `/metrics`, `/healthz` and `/readyz`. Default `127.0.0.1:9181`.
    pub listen: SocketAddr,
}

/// `[check]`
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// `canary`: address, not in the directory, that the live probe must be able to open. Default none: no live probe.
    pub canary: Option<MailboxAddress>,
    /// `non_member`: address, not in the directory, that the live probe must not be able to open. Goes with `canary`.
    pub non_member: Option<MailboxAddress>,
    /// `[[check.dovecot]]`: the servers to look at.
    pub dovecot: Vec<DovecotServer>,
    /// `[check.postfix]`: the Postfix to look at. Default none.
    pub postfix: Option<PostfixServer>,
}

/// `[check.postfix]`
#[derive(Clone, Debug)]
pub struct PostfixServer {
    /// `root`: the folder that the server sees as `/`, where it runs in a container or chroot. Default `/`.
    pub root: PathBuf,
    /// `postconf`: command that prints its parameters, word by word; `-M` and `-P` are added to it. Default
    /// `["postconf"]`.
    pub postconf: Vec<String>,
}

/// `[[check.dovecot]]`
#[derive(Clone, Debug)]
pub struct DovecotServer {
    /// `version`: `"2.3"` or `"2.4"`. Required.
    pub version: DovecotVersion,
    /// `imap`: `host:port` of its IMAP service. Default `127.0.0.1:993`.
    pub imap: String,
    /// `tls`: `implicit` (default) or `starttls`.
    pub tls: Tls,
    /// `ca_file`: PEM certificates that vouch for it. Default: the system's roots.
    pub ca_file: Option<PathBuf>,
    /// `server_name`: the name on its certificate. Default: the host of `imap`.
    pub server_name: String,
    /// `root`: the folder that the server sees as `/`, where it runs in a container or chroot. Default `/`.
    pub root: PathBuf,
    /// `doveconf`: command that prints its settings, word by word. Default `["doveconf", "-n"]`.
    pub doveconf: Vec<String>,
}

/// A generation of Dovecot: their settings and their answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DovecotVersion {
    /// 2.3.
    V23,
    /// 2.4.
    V24,
}

impl DovecotVersion {
    /// The word of the configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::V23 => "2.3",
            Self::V24 => "2.4",
        }
    }
}

/// When TLS starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// With the first byte (RFC 8314 section 3.2).
    Implicit,
    /// After `STARTTLS` (RFC 9051 section 6.2.1).
    StartTls,
}

#[cfg(test)]
mod tests;
