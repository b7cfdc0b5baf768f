//! Provider, sidecar and Postfix that tests share, and what a login and a message must look like on them.
//!
//! Owns one stage for all tests that leave it as it is, and the pinned replies. Must never be stopped or reconfigured
//! by a test that shares it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use octroi_psc::Psc;
use octroi_tests::imap::Security;
use octroi_tests::postfix::{Postfix, Setup};
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::sidecar::{NO_SCHEDULED_FETCH, Settings, Sidecar};
use octroi_tests::smtp::{Reply, Smtp};
use tokio::runtime::{Builder, Runtime};

/// Doctor one's; has the alias [`ALIAS`].
pub(crate) const UN: &str = "docteur.un@bal.example.test";
/// Another address of doctor one's mailbox.
pub(crate) const ALIAS: &str = "dr.un@bal.example.test";
/// Doctor two's.
pub(crate) const DEUX: &str = "docteur.deux@bal.example.test";
/// Doctor one's and the secretary's.
pub(crate) const SECRETARIAT: &str = "secretariat@bal.example.test";
/// An application's: no token ever opens it.
pub(crate) const AUTOMATE: &str = "automate@bal.example.test";

/// A form in which a client can hand over a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) mechanism: Mechanism,
    pub(crate) initial_response: bool,
    pub(crate) security: Security,
}

/// Both mechanisms, each with and without initial response, over both kinds of connection.
pub(crate) const FORMS: [Form; 4] = [
    Form { mechanism: Mechanism::Xoauth2, initial_response: true, security: Security::Implicit },
    Form { mechanism: Mechanism::Xoauth2, initial_response: false, security: Security::StartTls },
    Form { mechanism: Mechanism::Oauthbearer, initial_response: true, security: Security::StartTls },
    Form { mechanism: Mechanism::Oauthbearer, initial_response: false, security: Security::Implicit },
];

/// What a client reads when it is logged in.
pub(crate) const LOGGED_IN: &str = "235 2.7.0 Authentication successful";
/// What a client reads when nobody can say whether its token is good: to try again.
pub(crate) const OUTAGE: &str = "454 4.7.0 Temporary authentication failure: Connection lost to authentication server";
/// What a client reads in the place of an answer about its message while the sidecar is away.
pub(crate) const AWAY: &str = "451 4.3.5";

/// The challenge of a refusal.
pub(crate) const fn challenge(mechanism: Mechanism) -> &'static str {
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

/// A provider, a sidecar that believes it, and a Postfix before the sidecar.
pub(crate) struct Stage {
    pub(crate) psc: Psc,
    pub(crate) sidecar: Sidecar,
    pub(crate) postfix: Postfix,
}

impl Stage {
    /// Of its own. `more` follows the sidecar's configuration.
    pub(crate) fn start(introspection: &'static str, more: &str, setup: &Setup) -> Result<Self> {
        let psc = provider(Psc::start_tls())?;
        let postfix = Postfix::start(setup)?;
        let more = format!("{}{more}", postfix.sidecar_section());
        let sidecar = Sidecar::start(&psc, &Settings { introspection, more, ..Settings::default() })?;
        Ok(Self { psc, sidecar, postfix })
    }

    /// The one that most tests share: every token is asked about at its issuer.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Stage> =
            LazyLock::new(|| Stage::start("required", NO_SCHEDULED_FETCH, &site()).unwrap());
        &SHARED
    }

    /// One attempt on a connection of its own, which is left open.
    pub(crate) async fn attempt(&self, form: Form, mailbox: &str, token: &str) -> Result<(Smtp, Reply)> {
        let mut smtp = Smtp::connect(&self.postfix, form.security).await?;
        let credential = Credential { mechanism: form.mechanism, mailbox, secret: token };
        let reply = smtp.authenticate(&credential, form.initial_response).await?;
        Ok((smtp, reply))
    }

    /// A connection that is logged in.
    pub(crate) async fn logged_in(&self, form: Form, mailbox: &str, token: &str) -> Result<Smtp> {
        let (smtp, reply) = self.attempt(form, mailbox, token).await?;
        ensure!(reply.line() == LOGGED_IN, "{mailbox} was refused:\n{}\n{}", smtp.transcript(), self.sidecar.log());
        Ok(smtp)
    }

    /// Every form of this login is accepted, and sends a message that arrives.
    pub(crate) async fn sends(&self, mailbox: &str, token: &str) -> Result<()> {
        for form in FORMS {
            let mut smtp = self.logged_in(form, mailbox, token).await.with_context(|| format!("{form:?}"))?;
            self.arrives(&mut smtp, mailbox, DEUX).await?;
            smtp.quit().await?;
        }
        Ok(())
    }

    /// A message under this login is taken, and arrives with that sender.
    pub(crate) async fn arrives(&self, smtp: &mut Smtp, sender: &str, recipient: &str) -> Result<()> {
        let subject = subject();
        let taken = smtp.submit(sender, &[recipient], &subject).await?;
        ensure!(taken.line().starts_with("250 2.0.0 Ok: queued as "), "{}", smtp.transcript());
        let message = self.postfix.delivered(recipient, &subject).await?;
        ensure!(message.starts_with(&format!("Return-Path: <{sender}>\n")), "{message}");
        Ok(())
    }

    /// Every form of this login is refused with the challenge, in these words, and sends nothing.
    pub(crate) async fn refuses(&self, mailbox: &str, token: &str, words: &str) -> Result<()> {
        for form in FORMS {
            let (mut smtp, reply) = self.attempt(form, mailbox, token).await?;
            let pinned = format!("535 5.7.8 Error: authentication failed: {words}");
            ensure!(
                reply.line() == pinned && reply.challenge == challenge(form.mechanism),
                "{form:?}\n said   {reply:?}\n pinned {pinned}\n{}",
                smtp.transcript()
            );
            unauthenticated(&mut smtp).await?;
            smtp.quit().await?;
        }
        Ok(())
    }
}

/// The site of the stand-in's people.
pub(crate) fn site() -> Setup {
    Setup::new(&[UN, DEUX, SECRETARIAT, AUTOMATE])
}

/// Nobody is logged in on this connection: it may not send, and it still answers.
pub(crate) async fn unauthenticated(smtp: &mut Smtp) -> Result<()> {
    let mail = smtp.mail(UN).await?;
    let pinned =
        format!("554 5.7.0 <{UN}>: Sender address rejected: Authentification requise / Authentication required");
    ensure!(mail.line() == pinned, "{}", smtp.transcript());
    Ok(())
}

/// A subject that no other message has.
pub(crate) fn subject() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("essai {}.", NEXT.fetch_add(1, Ordering::Relaxed))
}
