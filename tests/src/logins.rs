//! What a login must look like on a real Dovecot, whoever judges the token: every form of it, and the exact words.
//!
//! Owns the pinned wordings of both versions. Must never know who answers at the doors: a stand-in and the sidecar are
//! held to the same functions.

use anyhow::{Context as _, Result, ensure};

use crate::dovecot::{Dovecot, Version, subject};
use crate::imap::{Credential, Imap, Mechanism, Reply, Security};

/// A form in which a client can hand over a token.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The SASL mechanism.
    pub mechanism: Mechanism,
    /// On the command line (SASL-IR, RFC 4959) or after the server's `+`.
    pub initial_response: bool,
    /// How the connection was encrypted.
    pub security: Security,
}

/// Both mechanisms, each with and without initial response, over both kinds of connection.
pub const FORMS: [Form; 4] = [
    Form { mechanism: Mechanism::Xoauth2, initial_response: true, security: Security::Implicit },
    Form { mechanism: Mechanism::Xoauth2, initial_response: false, security: Security::StartTls },
    Form { mechanism: Mechanism::Oauthbearer, initial_response: true, security: Security::StartTls },
    Form { mechanism: Mechanism::Oauthbearer, initial_response: false, security: Security::Implicit },
];

/// Why a login is refused, as far as a client can tell the cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The introspection door said that the token is no good.
    Denied,
    /// The token is good, the mailbox is not in its set.
    NotAMember,
    /// The introspection door is away, out of order or can't decide (503).
    Outage,
    /// The name holds what Dovecot does not allow in one, so that nobody was asked.
    BadName,
    /// The auth-policy door refused, without a text or by being away.
    Vetoed,
}

/// The challenge that a client reads, and the line that ends the attempt.
pub fn wording(version: Version, mechanism: Mechanism, refusal: Refusal) -> (String, &'static str) {
    let (status, line) = match (version, refusal) {
        (Version::V2_3, Refusal::Outage) => (None, UNAVAILABLE),
        (Version::V2_4, Refusal::Outage) => (Some("500"), FAILED),
        (Version::V2_3, Refusal::Denied | Refusal::NotAMember) => (Some("401"), FAILED),
        (Version::V2_4, Refusal::Denied) => (Some("401"), FAILED),
        (Version::V2_4, Refusal::BadName) => (Some("400"), FAILED),
        // 2.3 looks at the name before the mechanism has anything to say; 2.4.1 shows no challenge where the token was
        // good.
        (Version::V2_3, Refusal::BadName) | (Version::V2_4, Refusal::NotAMember) | (_, Refusal::Vetoed) => {
            (None, FAILED)
        }
    };
    (status.map(|status| challenge(version, mechanism, status)).unwrap_or_default(), line)
}

const FAILED: &str = "NO [AUTHENTICATIONFAILED] Authentication failed.";
const UNAVAILABLE: &str = "NO [UNAVAILABLE] Temporary authentication failure.";

/// `status` is XOAUTH2's; OAUTHBEARER has words of its own for it.
fn challenge(version: Version, mechanism: Mechanism, status: &str) -> String {
    let word = match status {
        "400" => "invalid_request",
        "500" => "internal_failure",
        _ => "invalid_token",
    };
    match (version, mechanism) {
        (Version::V2_3, Mechanism::Oauthbearer) => format!(r#"{{"status":"{word}"}}"#),
        (Version::V2_3, _) => format!(r#"{{"status":"{status}","schemes":"bearer","scope":"mail"}}"#),
        (Version::V2_4, Mechanism::Oauthbearer) => {
            format!(r#"{{"status":"{word}","scope":"mail","openid-configuration":""}}"#)
        }
        (Version::V2_4, _) => {
            format!(r#"{{"schemes":"bearer","status":"{status}","scope":"mail","openid-configuration":""}}"#)
        }
    }
}

/// One attempt on a connection of its own, which is left open.
pub async fn attempt(server: &Dovecot, form: Form, mailbox: &str, token: &str) -> Result<(Imap, Reply)> {
    let mut imap = Imap::connect(server, form.security).await?;
    let credential = Credential { mechanism: form.mechanism, mailbox, secret: token };
    let reply = imap.authenticate(&credential, form.initial_response).await?;
    Ok((imap, reply))
}

/// Every form of this login opens that mailbox and no other, and the connection ends in good order.
pub async fn opens(server: &Dovecot, mailbox: &str, token: &str) -> Result<()> {
    for form in FORMS {
        opens_in(server, form, mailbox, token).await.with_context(|| format!("{form:?}"))?;
    }
    Ok(())
}

/// The same in one form.
pub async fn opens_in(server: &Dovecot, form: Form, mailbox: &str, token: &str) -> Result<()> {
    let (mut imap, reply) = attempt(server, form, mailbox, token).await?;
    ensure!(reply.accepted(), "{mailbox} was refused:\n{}", imap.transcript());
    ensure!(imap.first_subject().await? == subject(&mailbox.to_lowercase()), "another mailbox:\n{}", imap.transcript());
    imap.logout().await
}

/// Every form of this login is refused in exactly the words of that refusal. All at once: a refusal takes its time.
pub async fn refuses(server: &Dovecot, mailbox: &str, token: &str, refusal: Refusal) -> Result<()> {
    together(FORMS.map(|form| Box::pin(refuses_in(server, form, mailbox, token, refusal))).into()).await
}

async fn refuses_in(server: &Dovecot, form: Form, mailbox: &str, token: &str, refusal: Refusal) -> Result<()> {
    let (imap, reply) = attempt(server, form, mailbox, token).await?;
    let said = (reply.challenge.clone(), reply.line());
    let (challenge, line) = wording(server.version(), form.mechanism, refusal);
    let pinned = (challenge, line.to_owned());
    ensure!(
        said == pinned,
        "{form:?} for {refusal:?}\n said   {said:?}\n pinned {pinned:?}\n{}\n{}",
        imap.transcript(),
        server.log()
    );
    Ok(())
}

/// Refused in whatever words: for cases in which Dovecot's answer is no concern of Octroi.
pub async fn never_opens(server: &Dovecot, mailbox: &str, token: &str) -> Result<()> {
    together(FORMS.map(|form| Box::pin(never_opens_in(server, form, mailbox, token))).into()).await
}

async fn never_opens_in(server: &Dovecot, form: Form, mailbox: &str, token: &str) -> Result<()> {
    let (imap, reply) = attempt(server, form, mailbox, token).await?;
    ensure!(!reply.accepted(), "{mailbox:?} was let in, {form:?}:\n{}", imap.transcript());
    Ok(())
}

/// After a refusal the same connection still serves: the next attempt, with a good token, opens the mailbox.
pub async fn survives_a_refusal(server: &Dovecot, mailbox: &str, bad: &str, good: &str) -> Result<()> {
    for form in FORMS {
        let (mut imap, reply) = attempt(server, form, mailbox, bad).await?;
        ensure!(!reply.accepted(), "the bad token was accepted:\n{}", imap.transcript());
        let credential = Credential { mechanism: form.mechanism, mailbox, secret: good };
        let reply = imap.authenticate(&credential, form.initial_response).await?;
        ensure!(reply.accepted(), "{form:?} after a refusal:\n{}", imap.transcript());
        ensure!(imap.first_subject().await? == subject(mailbox), "another mailbox:\n{}", imap.transcript());
        imap.logout().await?;
    }
    Ok(())
}

/// No hostile name gets in with a token that opens `own`.
pub async fn hostile_names_never_open(server: &Dovecot, own: &str, token: &str) -> Result<()> {
    let names = hostile_names(own);
    for batch in names.chunks(12) {
        let mut attempts = Vec::new();
        for name in batch {
            attempts.push(Box::pin(never_opens(server, name, token)));
        }
        together(attempts).await?;
    }
    Ok(())
}

/// Polls them side by side on this task, so that they may borrow; the first failure is the result.
async fn together<F: Future<Output = Result<()>> + Unpin>(mut futures: Vec<F>) -> Result<()> {
    std::future::poll_fn(|context| {
        let mut failed = None;
        futures.retain_mut(|future| match std::pin::Pin::new(future).poll(context) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(result) => {
                failed = failed.take().or(result.err());
                false
            }
        });
        match failed {
            Some(error) => std::task::Poll::Ready(Err(error)),
            None if futures.is_empty() => std::task::Poll::Ready(Ok(())),
            None => std::task::Poll::Pending,
        }
    })
    .await
}

/// The site's other means of logging in still work, and a token is no password.
pub async fn passwords_still_work(server: &Dovecot, mailbox: &str, token: &str) -> Result<()> {
    let form = Form { mechanism: Mechanism::Plain, initial_response: true, security: Security::Implicit };
    opens_in(server, form, mailbox, crate::dovecot::PASSWORD).await?;
    let (imap, reply) = attempt(server, form, mailbox, token).await?;
    ensure!(!reply.accepted(), "a token was taken for a password:\n{}", imap.transcript());
    // And the other way round: the password is no token, though a database that knows it stands beside.
    never_opens(server, mailbox, crate::dovecot::PASSWORD).await
}

/// Names that try to be something else than a name. `own` is a mailbox that the token may open.
pub fn hostile_names(own: &str) -> Vec<String> {
    let (local, domain) = own.split_once('@').unwrap_or((own, ""));
    let mut names: Vec<String> = [
        ".*",
        "*",
        "?",
        "$",
        "^",
        "(",
        ")",
        "[",
        "\\",
        "'",
        "\"",
        "%u",
        "%{user}",
        "%{event:user}",
        "%{oauth2:username}",
        "",
        " ",
        "|",
        "a@x|b",
        "../../etc/passwd",
        "%",
        "\u{e9}",
        "\u{7f}",
        "=",
        ",",
        "user=",
        "{",
        "}",
        ";",
        "~",
    ]
    .map(str::to_owned)
    .into();
    names.extend([
        format!("{own}.evil"),
        format!("x{own}"),
        own.strip_suffix(|_: char| true).unwrap_or_default().to_owned(),
        local.to_owned(),
        format!("@{domain}"),
        own.replacen('.', "x", 1),
        own.replace('.', "[.]"),
        format!("^({})$", own.replace('.', "[.]")),
        format!("{own}\n"),
        format!("{own}\r\n"),
        format!("{own}\nmallory@example.test"),
        format!("mallory@example.test\n{own}"),
        format!("{own}\t"),
        format!("{own} "),
        format!(" {own}"),
        format!("{own}\0"),
        format!("{own}|"),
        format!("|{own}"),
        format!("{own}|mallory@example.test"),
        format!("{own};mallory@example.test"),
        format!("mallory@example.test)|({own}"),
        format!("*{own}"),
        format!("{own}*mallory@example.test"),
        format!("mallory@example.test*{own}"),
        format!("{own}%"),
        "mallory@example.test\u{1}auth=Bearer x\u{1}\u{1}".to_owned(),
        format!("{}@{domain}", "x".repeat(200)),
        "x".repeat(1000),
    ]);
    names
}
