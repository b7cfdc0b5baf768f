//! `octroi policy explain`: the way of one vector through a policy, step by step. Never shows a token, nor anything
//! that was signed with it.

mod certificate;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::candidate::{Candidate, Document};
use crate::cli::mailbox::moment;
use crate::policy::wit::login::{
    Attempt, Claims, Credentials, Evidence, Inquiry, Introspect, Introspection, MailboxKind, Protocol, Verdict,
};
use crate::policy::{Fault, Release};
use crate::reason::{DenyReason, UnavailableReason};
use crate::trial;
use crate::trial::certificates::Certificate;
use crate::trial::vectors::{Judgement, Login, Submission};

/// The vector that was asked for.
enum Vector<'d> {
    Login(&'d Login),
    Submission(&'d Submission),
    Certificate(&'d Certificate),
}

/// Explains the vector of this name, or of the only name with this in it.
pub(super) fn run(candidate: &Candidate, files: &[PathBuf], name: &str, output: &mut impl Write) -> anyhow::Result<()> {
    let documents = candidate.documents(files)?;
    let release = candidate.load(&documents)?;
    let (document, vector) = find(&documents, name)?;
    let configured = trial::configured(&release, &document.vectors);
    let configured = configured.with_context(|| format!("{}: its settings", document.name))?;
    let settings = if configured.is_some() { "the vectors' own" } else { "the policy's" };
    let release = configured.as_ref().unwrap_or(&release);
    let card = release.card();
    section(output, format_args!("{} {}, {}", card.name, card.version, candidate.statement().component))?;
    line(output, "vectors", &document.name)?;
    line(output, "settings", settings)?;
    match vector {
        Vector::Login(login) => explain_login(release, login, output),
        Vector::Submission(submission) => explain_submission(release, submission, output),
        Vector::Certificate(certificate) => certificate::explain(release, certificate, output),
    }
}

fn find<'d>(documents: &'d [Document], name: &str) -> anyhow::Result<(&'d Document, Vector<'d>)> {
    let all = documents.iter().flat_map(|document| {
        let logins = document.vectors.logins.iter().map(|login| (login.name.as_str(), Vector::Login(login)));
        let more = document.vectors.submissions.iter();
        let all = logins.chain(more.map(|submission| (submission.name.as_str(), Vector::Submission(submission))));
        let more = document.vectors.certificates.iter();
        let all = all.chain(more.map(|shown| (shown.name.as_str(), Vector::Certificate(shown))));
        all.map(move |(name, vector)| (document, name, vector))
    });
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    for found @ (_, known, _) in all {
        if known == name {
            whole.push(found);
        } else if known.contains(name) {
            part.push(found);
        }
    }
    // Where two documents have a vector of one name, the later one is meant: it was named on the command line.
    let mut found = if whole.is_empty() { part } else { whole.split_off(whole.len() - 1) };
    match (found.pop(), found.as_slice()) {
        (Some((document, _, vector)), []) => Ok((document, vector)),
        (None, _) => bail!("no vector has {name:?} in its name: octroi policy test --json lists them"),
        (Some((_, last, _)), more) => {
            let names: Vec<_> = more.iter().map(|(_, name, _)| *name).chain([last]).collect();
            bail!("expected the name of one vector, these have it in theirs:\n  {}", names.join("\n  "))
        }
    }
}

fn explain_login(release: &Release, login: &Login, output: &mut impl Write) -> anyhow::Result<()> {
    let attempt = login.attempt()?;
    section(output, "1. The client showed")?;
    shown(login, &attempt, output)?;
    section(output, "2. What the policy wants proven: open")?;
    let mut instance = match release.instance() {
        Ok(instance) => instance,
        Err(fault) => return failed(fault, &login.expect, output),
    };
    let inquiry = match instance.open(&attempt, login.now()) {
        Ok(Ok(inquiry)) => inquiry,
        Ok(Err(refusal)) => {
            let reason = DenyReason::from(refusal.reason);
            line(output, "deny", told(reason.code(), reason.message()))?;
            return ended(
                "Nothing is proven, decide is not asked.",
                &trial::login(release, login)?.answer,
                login,
                output,
            );
        }
        Err(fault) => return failed(fault, &login.expect, output),
    };
    asked(&inquiry, login.now, output)?;
    section(output, "3. The evidence")?;
    let evidence = login.evidence(inquiry.introspect);
    proven(&evidence, login.now, output)?;
    section(output, "4. The verdict: decide")?;
    match instance.decide(&inquiry, &evidence, login.now()) {
        Ok(verdict) => decided(&verdict, output)?,
        Err(fault) => return failed(fault, &login.expect, output),
    }
    let after = "The sidecar's rails come after this, and only ever remove: the token that was presented, its issuer, its \
                 times, its identity, the directory's mailboxes.";
    ended(after, &trial::login(release, login)?.answer, login, output)
}

fn explain_submission(release: &Release, submission: &Submission, output: &mut impl Write) -> anyhow::Result<()> {
    section(output, "1. The message")?;
    line(output, "stage", format_args!("{:?}", submission.stage))?;
    line(output, "login", &submission.login)?;
    for mailbox in &submission.mailboxes {
        line(output, "may send as", [std::slice::from_ref(&mailbox.address), &mailbox.aliases].concat().join(", "))?;
    }
    line(output, "sender", if submission.sender.is_empty() { "<>, the null sender" } else { &submission.sender })?;
    line(output, "recipient", submission.recipient.as_deref().unwrap_or("none yet, or several"))?;
    line(
        output,
        "trust space",
        submission.recipient_in_trust_space.map_or("not known", |known| if known { "yes" } else { "no" }),
    )?;
    line(output, "recipients", submission.recipients)?;
    line(output, "size", format_args!("{} bytes", submission.size))?;
    line(output, "encryption", format_args!("{:?}", submission.encryption))?;
    section(output, "2. The verdict: judge")?;
    let found = trial::submission(release, submission);
    match found {
        Judgement::Allow => line(output, "allow", "the message may go on")?,
        Judgement::Deny(reason) => line(output, "deny", told(reason.code(), reason.message()))?,
        Judgement::Unavailable(reason) => line(output, "unavailable", told(reason.code(), reason.message()))?,
    }
    section(output, "Afterwards")?;
    writeln!(
        output,
        "  The sidecar's rail comes after this, and only ever removes: a sender must be one's own address."
    )?;
    line(output, "expected", &submission.expect)?;
    line(output, "found", &found)?;
    Ok(())
}

fn shown(login: &Login, attempt: &Attempt, output: &mut impl Write) -> anyhow::Result<()> {
    match &attempt.credentials {
        Credentials::Bearer(token) => line(output, "a bare token", format_args!("of {} bytes", token.len()))?,
        Credentials::Sasl(message) => {
            let size = message.response.len();
            line(output, "mechanism", format_args!("{}, {size} bytes of base64", message.mechanism.escape_debug()))?;
        }
    }
    line(output, "beside it", login.mailbox.as_deref().map_or("no mailbox".to_owned(), |m| format!("mailbox {m}")))?;
    let protocol = match attempt.protocol {
        Protocol::Imap => "imap",
        Protocol::Smtp => "smtp",
        Protocol::Other => "other",
    };
    line(output, "protocol", protocol)?;
    line(output, "at", moment(login.now))
}

fn asked(inquiry: &Inquiry, now: u64, output: &mut impl Write) -> anyhow::Result<()> {
    line(output, "issuer", &inquiry.issuer)?;
    line(output, "key", inquiry.key_id.as_deref().unwrap_or("the only one that fits the algorithm"))?;
    line(output, "algorithm", format!("{:?}", inquiry.algorithm).trim_start_matches("Algorithm::").to_uppercase())?;
    let (token, signed) = (inquiry.token, inquiry.signed);
    line(
        output,
        "token",
        format_args!("{} bytes from {}, of which {} are signed", token.length, token.start, signed.length),
    )?;
    let differ = if inquiry.identities_differ { ", and the token's identifiers disagree" } else { "" };
    line(output, "identity", format_args!("{}{differ}", inquiry.identity))?;
    line(output, "mailbox", inquiry.mailbox.as_deref().unwrap_or("all of the person's"))?;
    let introspection = match inquiry.introspect {
        Introspect::Never => "not asked for",
        Introspect::Prefer => "asked for; without an answer the signature stands alone",
        Introspect::Must => "asked for; without an answer there is no login",
    };
    line(output, "introspection", introspection)?;
    let Claims { subject, session, authorized_party, expires_at, not_before, issued_at, authenticated_at } =
        &inquiry.claims;
    for (name, claim) in [("sub", subject), ("sid", session), ("azp", authorized_party)] {
        line(output, name, claim.as_deref().unwrap_or("absent"))?;
    }
    let times =
        [("exp", Some(*expires_at)), ("nbf", *not_before), ("iat", *issued_at), ("auth_time", *authenticated_at)];
    for (name, time) in times {
        line(output, name, time.map_or_else(|| "absent".to_owned(), |time| relative(time, now)))?;
    }
    Ok(())
}

fn proven(evidence: &Evidence, now: u64, output: &mut impl Write) -> anyhow::Result<()> {
    line(output, "signature", "taken to hold: vectors bring no keys")?;
    match &evidence.introspection {
        Introspection::NotAsked => line(output, "introspection", "not asked for")?,
        Introspection::Unavailable => line(output, "introspection", "no answer")?,
        Introspection::Inactive => line(output, "introspection", "the token is not active")?,
        Introspection::Active(active) => {
            line(output, "introspection", "the token is active")?;
            let told = [("  sub", &active.subject), ("  sid", &active.session), ("  azp", &active.authorized_party)];
            for (name, value) in told {
                line(output, name, value.as_deref().unwrap_or("absent"))?;
            }
            let expires = active.expires_at.map_or_else(|| "absent".to_owned(), |time| relative(time, now));
            line(output, "  exp", expires)?;
        }
    }
    if evidence.mailboxes.is_empty() {
        line(output, "mailboxes", "none in the directory")?;
    }
    for mailbox in &evidence.mailboxes {
        let kind = match mailbox.kind {
            MailboxKind::Per => "PER",
            MailboxKind::Org => "ORG",
            MailboxKind::App => "APP",
        };
        line(output, "mailbox", format_args!("{}, {kind}, persons: {}", mailbox.address, mailbox.persons))?;
    }
    Ok(())
}

fn decided(verdict: &Verdict, output: &mut impl Write) -> anyhow::Result<()> {
    match verdict {
        Verdict::Allow(grant) => {
            line(output, "allow", grant.mailboxes.join(" "))?;
            let degraded = if grant.degraded { ", by the signature alone" } else { "" };
            line(output, "identity", format_args!("{}{degraded}", grant.identity))
        }
        Verdict::Deny(reason) => {
            let reason = DenyReason::from(*reason);
            line(output, "deny", told(reason.code(), reason.message()))
        }
        Verdict::Unavailable(reason) => {
            let reason = UnavailableReason::from(*reason);
            line(output, "unavailable", told(reason.code(), reason.message()))
        }
    }
}

fn failed(fault: Fault, expected: &trial::vectors::Answer, output: &mut impl Write) -> anyhow::Result<()> {
    let reason = UnavailableReason::from(fault);
    line(output, "no answer", fault)?;
    line(output, "unavailable", told(reason.code(), reason.message()))?;
    line(output, "expected", expected)
}

fn ended(after: &str, found: &trial::vectors::Answer, login: &Login, output: &mut impl Write) -> anyhow::Result<()> {
    section(output, "Afterwards")?;
    writeln!(output, "  {after}")?;
    line(output, "expected", &login.expect)?;
    line(output, "found", found)
}

fn told(code: &str, message: &str) -> String {
    format!("{code}: {message}")
}

/// A moment as seen from `now`, both in seconds since the epoch.
fn relative(time: u64, now: u64) -> String {
    match time.cmp(&now) {
        std::cmp::Ordering::Less => format!("{} s ago", now - time),
        std::cmp::Ordering::Equal => "now".to_owned(),
        std::cmp::Ordering::Greater => format!("in {} s", time - now),
    }
}

fn section(output: &mut impl Write, title: impl fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(output, "{title}")?)
}

fn line(output: &mut impl Write, name: &str, value: impl fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(output, "  {name:<15}{value}")?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::candidate::BUILT_IN;
    use super::*;
    use crate::policy::EMBEDDED;
    use crate::trial::carried;

    fn explained(name: &str) -> anyhow::Result<String> {
        let candidate = Candidate::read(Path::new(BUILT_IN), None)?;
        let mut output = Vec::new();
        run(&candidate, &[], name, &mut output)?;
        Ok(String::from_utf8(output)?)
    }

    #[test]
    fn a_login_is_explained_from_what_was_shown_to_what_was_granted() {
        let told = explained("a doctor opens the mailbox named by XOAUTH2").unwrap();
        for part in [
            "1. The client showed\n  mechanism      XOAUTH2, ",
            "  issuer         https://psc.example.test/auth/realms/esante-wallet\n",
            "  algorithm      RS256\n",
            "  identity       899700000011\n",
            "  exp            in 110 s\n  nbf            absent\n  iat            10 s ago\n",
            "  introspection  asked for; without an answer there is no login\n",
            "  introspection  the token is active\n",
            "  mailbox        secretariat@bal.example.test, ORG, persons: 2\n",
            "4. The verdict: decide\n  allow          docteur.un@bal.example.test\n",
            "The sidecar's rails come after this",
            "  found          allow docteur.un@bal.example.test\n",
        ] {
            assert!(told.contains(part), "{part:?} is not in\n{told}");
        }
    }

    #[test]
    fn no_explanation_of_any_vector_shows_a_token() {
        for login in carried(EMBEDDED).unwrap().unwrap().logins {
            let token = match login.attempt().unwrap().credentials {
                Credentials::Bearer(token) => token,
                Credentials::Sasl(message) => message.response,
            };
            let told = explained(&login.name).unwrap();
            let mut pieces = token.as_chunks::<24>().0.iter().map(|piece| String::from_utf8_lossy(piece));
            assert!(pieces.all(|piece| !told.contains(&*piece)), "{told}");
        }
    }

    #[test]
    fn a_refusal_has_its_code_and_its_text_in_two_languages() {
        let vectors = carried(EMBEDDED).unwrap().unwrap();
        let refused = |code: &str| {
            let mut logins = vectors.logins.iter();
            logins.find(|login| login.expect.to_string() == format!("deny {code}")).map(|login| login.name.clone())
        };
        let told = explained(&refused("issuer-unknown").unwrap()).unwrap();
        assert!(
            told.contains(
                "  deny           issuer-unknown: Jeton non emis par Pro Sante Connect / Token not issued by"
            )
        );
        assert!(told.contains("decide is not asked") && !told.contains("3. The evidence"), "{told}");
        let told = explained(&refused("mailbox-refused").unwrap()).unwrap();
        assert!(
            told.contains("mailbox-refused: Boite non autorisee pour ce professionnel / Mailbox not allowed"),
            "{told}"
        );
    }

    #[test]
    fn a_message_is_explained_too() {
        let vectors = carried(EMBEDDED).unwrap().unwrap();
        for submission in vectors.submissions {
            let told = explained(&submission.name).unwrap();
            assert!(told.contains(&format!("  found          {}\n", submission.expect)), "{told}");
        }
    }

    #[test]
    fn a_certificate_is_explained_too() {
        let vectors = carried(EMBEDDED).unwrap().unwrap();
        assert!(vectors.certificates.len() > 5);
        for shown in vectors.certificates {
            let told = explained(&shown.name).unwrap();
            assert!(told.contains(&format!("  found          {}\n", shown.expect)), "{told}");
        }
    }

    #[test]
    fn a_name_that_nobody_or_several_have_is_told() {
        assert!(
            explained("no such name").unwrap_err().to_string().contains("no vector has \"no such name\" in its name")
        );
        assert!(explained("a doctor opens").unwrap_err().to_string().contains("named by XOAUTH2\n"));
    }
}
