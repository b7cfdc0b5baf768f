//! Provider, sidecar and Exim that tests share, and how a client comes in.
//!
//! Owns one stage for all tests that leave it as it is. Must never be stopped by a test that shares it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use octroi_psc::{Psc, doctor_one, doctor_two};
use octroi_tests::exim::{Exim, Place, Setup};
use octroi_tests::imap::Security;
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::sidecar::{NO_SCHEDULED_FETCH, Settings, Sidecar};
use octroi_tests::smtp::{Reply, Smtp};
use tokio::runtime::{Builder, Runtime};

/// Doctor one's.
pub(crate) const UN: &str = "docteur.un@bal.example.test";
/// The same mailbox by its other name.
pub(crate) const ALIAS: &str = "dr.un@bal.example.test";
/// Doctor two's.
pub(crate) const DEUX: &str = "docteur.deux@bal.example.test";
/// Doctor one's and the secretary's.
pub(crate) const SECRETARIAT: &str = "secretariat@bal.example.test";

/// Both mechanisms.
pub(crate) const MECHANISMS: [Mechanism; 2] = [Mechanism::Xoauth2, Mechanism::Oauthbearer];

/// What Exim says to a login that is refused, an outage at a login, and an outage at a message.
pub(crate) const REFUSED: &str = "535 Incorrect authentication data";
/// See [`REFUSED`].
pub(crate) const LOGIN_OUTAGE: &str = "435 Unable to authenticate at present";
/// See [`REFUSED`].
pub(crate) const OUTAGE: &str = "451 4.3.0 Service momentanement indisponible / Service unavailable";
/// What the policy says to a sender that is not the login's. Exim breaks it in two lines.
pub(crate) const SENDER_REFUSED: &str =
    "554 5.7.1 Expediteur non autorise pour cette session / Sender not allowed | 5.7.1 for this login";

/// The challenge of a refusal.
pub(crate) fn challenge(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Oauthbearer => r#"{"status":"invalid_token","scope":"octroi"}"#,
        Mechanism::Xoauth2 | Mechanism::Plain | Mechanism::External => {
            r#"{"status":"401","schemes":"bearer","scope":"octroi"}"#
        }
    }
}

/// Runs what belongs to a provider on a runtime of its own: a test's ends with the test.
pub(crate) fn provider<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    std::thread::scope(|scope| scope.spawn(|| RUNTIME.block_on(work)).join().unwrap())
}

/// A provider, a sidecar that believes it, and an Exim that asks it.
pub(crate) struct Stage {
    pub(crate) psc: Psc,
    pub(crate) sidecar: Sidecar,
    pub(crate) exim: Exim,
}

impl Stage {
    /// Of its own.
    pub(crate) fn start(settings: Settings, setup: &Setup) -> Result<Self> {
        Self::start_in(&Place::new()?, settings, setup)
    }

    /// The same in a place where the test has already put something.
    pub(crate) fn start_in(place: &Place, mut settings: Settings, setup: &Setup) -> Result<Self> {
        let psc = provider(Psc::start())?;
        settings.more.push_str(&place.sidecar_section());
        let sidecar = Sidecar::start(&psc, &settings)?;
        Ok(Self { sidecar, exim: Exim::start(place, setup)?, psc })
    }

    /// The one that most tests share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Stage> = LazyLock::new(|| {
            let more = NO_SCHEDULED_FETCH.to_owned();
            Stage::start(Settings { more, ..Settings::default() }, &site()).unwrap()
        });
        &SHARED
    }

    /// A good token of doctor one's.
    pub(crate) fn token(&self) -> String {
        self.psc.token(&doctor_one()).mint()
    }

    /// A good token of doctor two's.
    pub(crate) fn token_of_two(&self) -> String {
        self.psc.token(&doctor_two()).mint()
    }

    /// A client on the submission port, under TLS.
    pub(crate) async fn client(&self) -> Result<Smtp> {
        Smtp::greeted(self.exim.submission_port(), Security::StartTls, self.exim.pki()).await
    }

    /// A client that is logged in.
    pub(crate) async fn logged_in(&self, mailbox: &str, token: &str) -> Result<Smtp> {
        let mut smtp = self.client().await?;
        let login = attempt(&mut smtp, Mechanism::Xoauth2, mailbox, token).await?;
        ensure!(login.line() == "235 Authentication succeeded", "{}", smtp.transcript());
        Ok(smtp)
    }
}

/// The site of most tests.
pub(crate) fn site() -> Setup {
    Setup::new(&[UN, DEUX, SECRETARIAT])
}

/// One login with an initial response.
pub(crate) async fn attempt(smtp: &mut Smtp, mechanism: Mechanism, mailbox: &str, token: &str) -> Result<Reply> {
    smtp.authenticate(&Credential { mechanism, mailbox, secret: token }, true).await
}

/// The login is refused in the words for a refusal.
pub(crate) async fn refuses(smtp: &mut Smtp, mechanism: Mechanism, mailbox: &str, token: &str) -> Result<()> {
    let login = attempt(smtp, mechanism, mailbox, token).await?;
    let told = login.challenge == challenge(mechanism) && login.line() == REFUSED;
    ensure!(told, "{:?}\n{}", login.challenge, smtp.transcript());
    Ok(())
}

/// A subject that no other message has.
pub(crate) fn subject() -> String {
    static MESSAGES: AtomicU32 = AtomicU32::new(0);
    format!("message-{}", MESSAGES.fetch_add(1, Ordering::Relaxed))
}

/// Sends a message and sees it arrive with this envelope sender.
pub(crate) async fn sends(exim: &Exim, smtp: &mut Smtp, from: &str, to: &str) -> Result<()> {
    let subject = subject();
    let reply = smtp.submit(from, &[to], &subject).await?;
    ensure!(reply.line().starts_with("250 OK id="), "{}", smtp.transcript());
    let message = exim.delivered(to, &subject).await?;
    let path = format!("Return-path: <{from}>");
    ensure!(message.lines().next() == Some(&path), "another sender:\n{message}");
    Ok(())
}

/// The message is refused in these words, and the transaction can begin anew.
pub(crate) async fn refuses_sender(smtp: &mut Smtp, from: &str, words: &str) -> Result<()> {
    let reply = smtp.command(&format!("MAIL FROM:<{from}>")).await?;
    ensure!(reply.line() == words, "{}", smtp.transcript());
    Ok(())
}

/// The message itself, after 354.
pub(crate) async fn message(smtp: &mut Smtp, subject: &str) -> Result<Reply> {
    smtp.message(&[&format!("Subject: {subject}"), "", "Bonjour."]).await
}
