//! Provider, sidecar and servers that tests share, and what they read of the sidecar from outside.
//!
//! Owns one stage for all tests that leave it as it is. Must never be stopped or reconfigured by a test that shares it.

use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::Psc;
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::sidecar::{NO_SCHEDULED_FETCH, Settings, Sidecar};
use tokio::runtime::{Builder, Runtime};

/// Doctor one's.
pub(crate) const UN: &str = "docteur.un@bal.example.test";
/// Doctor two's.
pub(crate) const DEUX: &str = "docteur.deux@bal.example.test";
/// Doctor one's and the secretary's.
pub(crate) const SECRETARIAT: &str = "secretariat@bal.example.test";
/// An application's: no token ever opens it.
pub(crate) const AUTOMATE: &str = "automate@bal.example.test";

/// An application's mailbox of one server alone, so that its last authentication is known to come from there.
pub(crate) fn own_application(version: Version) -> &'static str {
    match version {
        Version::V2_3 => "essai.deux-trois@bal.example.test",
        Version::V2_4 => "essai.deux-quatre@bal.example.test",
    }
}

/// Runs what belongs to a provider on a runtime of its own: a test's ends with the test.
pub(crate) fn provider<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    std::thread::scope(|scope| scope.spawn(|| RUNTIME.block_on(work)).join().unwrap())
}

/// A provider and a sidecar that believes it.
pub(crate) struct Stage {
    pub(crate) psc: Psc,
    pub(crate) sidecar: Sidecar,
}

impl Stage {
    /// Of its own, over TLS.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        let psc = provider(Psc::start_tls())?;
        Ok(Self { sidecar: Sidecar::start(&psc, settings)?, psc })
    }

    /// The one that most tests share: every token is asked about at its issuer.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Stage> = LazyLock::new(|| {
            let mut directory = octroi_psc::directory_csv();
            for version in [Version::V2_3, Version::V2_4] {
                directory.extend([own_application(version), ",APP,,\n"]);
            }
            let more = NO_SCHEDULED_FETCH.to_owned();
            Stage::start(&Settings { introspection: "required", more, directory, ..Settings::default() }).unwrap()
        });
        &SHARED
    }
}

/// A server before this sidecar.
pub(crate) fn dovecot(version: Version, sidecar: &Sidecar, more: &[&str]) -> Result<Dovecot> {
    let mailboxes = [&[UN, DEUX, SECRETARIAT, AUTOMATE], more].concat();
    Dovecot::start(&Setup::new(version, sidecar.introspection(), sidecar.policy(), &mailboxes))
}

/// The server before the shared stage.
pub(crate) fn shared(version: Version) -> (&'static Stage, &'static Dovecot) {
    static V2_3: LazyLock<Dovecot> = LazyLock::new(|| start(Version::V2_3).unwrap());
    static V2_4: LazyLock<Dovecot> = LazyLock::new(|| start(Version::V2_4).unwrap());
    fn start(version: Version) -> Result<Dovecot> {
        dovecot(version, &Stage::shared().sidecar, &[own_application(version)])
    }
    let server = match version {
        Version::V2_3 => &V2_3,
        Version::V2_4 => &V2_4,
    };
    (Stage::shared(), server)
}

/// When `octroi mailbox list` says that a mailbox was last opened; nothing where it says that it never was.
pub(crate) fn last_authentication(sidecar: &Sidecar, mailbox: &str) -> Result<Option<String>> {
    let output = sidecar.run(&["mailbox", "list"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout)?;
    let row = table.lines().find(|line| line.split_whitespace().any(|word| word == mailbox));
    let row = row.with_context(|| format!("{mailbox} is not in the list:\n{table}"))?;
    if row.contains("none recorded") {
        return Ok(None);
    }
    let moment = row.split_whitespace().find(|word| word.contains('T') && word.ends_with('Z'));
    Ok(Some(moment.with_context(|| format!("no moment in {row:?}"))?.to_owned()))
}
