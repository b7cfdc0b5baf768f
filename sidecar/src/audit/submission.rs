//! What is recorded of messages: each refusal, each outage, and each message that was let in.
//!
//! Of a recipient only the domain: the address may be a patient's national number, or name a professional who has no
//! part in this login. Of the sender the address, which is the login's own wherever it was let in.

use std::net::IpAddr;

use serde::Serialize;

use super::line::{Moment, Text, mailbox};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::Fingerprint;
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::evidence::trust_space::DomainName;
use crate::gate::{DecisionId, Holder, Login, Stage, SubmissionOutcome};
use crate::pseudonym::Pseudonyms;

/// One answer about a message.
#[derive(Clone, Copy, Debug)]
pub struct Submitted<'a> {
    /// When.
    pub now: UnixSeconds,
    /// How far the transaction had come.
    pub stage: Stage,
    /// The answer.
    pub outcome: SubmissionOutcome,
    /// The login under which it was asked; `None` where there was none, or none that is known here.
    pub login: Option<&'a Login>,
    /// What the mail server called the login, where it is not known here; else empty.
    pub sasl_username: &'a str,
    /// `MAIL FROM`, unchecked.
    pub sender: &'a str,
    /// `RCPT TO`, unchecked. Its domain alone is kept.
    pub recipient: Option<&'a str>,
    /// Recipients accepted so far; 0: not known yet.
    pub recipients: u32,
    /// Size in bytes; 0: not known.
    pub bytes: u64,
    /// Address of the mail client.
    pub client: Option<IpAddr>,
    /// Digest of the policy in service; `None` where none was asked.
    pub release: Option<&'a str>,
}

impl Submitted<'_> {
    /// Whether it is recorded. Each message is asked about several times: what lets it in is the last answer.
    pub(super) const fn matters(&self) -> bool {
        match self.outcome {
            SubmissionOutcome::Allow => matches!(self.stage, Stage::EndOfMessage),
            SubmissionOutcome::Deny(_) | SubmissionOutcome::ShutOut(_) | SubmissionOutcome::Unavailable(_) => true,
        }
    }
}

#[derive(Serialize)]
pub(super) struct SubmissionLine<'a> {
    time: Moment,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Text<DecisionId>>,
    stage: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Text<Fingerprint>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<Text<MailboxAddress>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
}

impl<'a> SubmissionLine<'a> {
    pub(super) fn new(submitted: &Submitted<'a>, pseudonyms: &Pseudonyms) -> Self {
        let (outcome, reason) = match submitted.outcome {
            SubmissionOutcome::Allow => ("allow", None),
            SubmissionOutcome::Deny(reason) => ("deny", Some(reason.code())),
            SubmissionOutcome::ShutOut(reason) => ("deny", Some(reason.code())),
            SubmissionOutcome::Unavailable(reason) => ("unavailable", Some(reason.code())),
        };
        let login = submitted.login;
        let (issuer, identity, certificate) = match login.map(|login| &login.holder) {
            None => (None, None, None),
            Some(Holder::Person { issuer, identity }) => {
                (Some(issuer.as_str()), Some(pseudonyms.digest(identity)), None)
            }
            Some(Holder::Structure { structure, certificate }) => {
                let structure = IdNat::parse(structure).ok();
                (None, structure.map(|structure| pseudonyms.digest(&structure)), Some(Text(*certificate)))
            }
        };
        Self {
            time: Moment(submitted.now),
            event: "submission",
            decision: login.map(|login| Text(login.decision)),
            stage: submitted.stage.code(),
            outcome,
            reason,
            issuer,
            identity,
            certificate,
            mailbox: login.map(|login| Text(login.mailbox.clone())).or_else(|| mailbox(submitted.sasl_username)),
            sender: sender(submitted.sender),
            recipient_domain: submitted.recipient.and_then(domain),
            recipients: Some(submitted.recipients).filter(|recipients| *recipients > 0),
            bytes: Some(submitted.bytes).filter(|bytes| *bytes > 0),
            client: submitted.client,
            policy: submitted.release,
        }
    }
}

/// The sender, if it is an address: a client may write anything there. The null sender as SMTP writes it.
fn sender(text: &str) -> Option<String> {
    if text.is_empty() { Some("<>".to_owned()) } else { mailbox(text).map(|Text(address)| address.to_string()) }
}

fn domain(recipient: &str) -> Option<String> {
    let (_, domain) = recipient.rsplit_once('@')?;
    DomainName::parse(domain).ok().map(|domain| domain.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{SubmissionReason, UnavailableReason};

    fn login() -> Login {
        Login {
            mailbox: MailboxAddress::parse("dr@x.test").unwrap(),
            decision: DecisionId::example(),
            holder: Holder::Person {
                issuer: "https://psc.test".into(),
                identity: IdNat::parse("899700000011").unwrap(),
            },
            at: UnixSeconds(1_764_000_000),
        }
    }

    fn submitted(login: &Login, outcome: SubmissionOutcome) -> Submitted<'_> {
        Submitted {
            now: UnixSeconds(1_764_000_000),
            stage: Stage::Rcpt,
            outcome,
            login: Some(login),
            sasl_username: "",
            sender: "DR@x.test",
            recipient: Some("147037433100207@patient.mssante.fr"),
            recipients: 0,
            bytes: 12,
            client: Some([192, 0, 2, 7].into()),
            release: Some("abcd"),
        }
    }

    fn line(submitted: &Submitted<'_>) -> (serde_json::Value, String) {
        let bytes = serde_json::to_vec(&SubmissionLine::new(submitted, &Pseudonyms::from_key(&[1; 32]))).unwrap();
        (serde_json::from_slice(&bytes).unwrap(), String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_line_leads_to_the_login_and_names_neither_person_nor_recipient() {
        let login = login();
        let (line, text) = line(&submitted(&login, SubmissionOutcome::Deny(SubmissionReason::RecipientRefused)));
        let expected = serde_json::json!({
            "time": "2025-11-24T16:00:00Z", "event": "submission", "decision": DecisionId::example().to_string(),
            "stage": "rcpt", "outcome": "deny", "reason": "recipient-refused", "issuer": "https://psc.test",
            "identity": Pseudonyms::from_key(&[1; 32]).digest(&IdNat::parse("899700000011").unwrap()), "mailbox": "dr@x.test",
            "sender": "dr@x.test", "recipient_domain": "patient.mssante.fr", "bytes": 12, "client": "192.0.2.7",
            "policy": "abcd",
        });
        assert_eq!(line, expected);
        assert!(!text.contains("147037433100207") && !text.contains("899700000011"), "{text}");
    }

    #[test]
    fn what_is_no_address_is_left_out_and_the_null_sender_is_shown() {
        let login = login();
        let allowed = submitted(&login, SubmissionOutcome::Allow);
        for (sender, shown) in [("", Some("<>")), ("eyJplanted.token", None), ("m\u{e9}decin@x.test", None)] {
            let (line, _) = line(&Submitted { sender, recipient: Some("x"), ..allowed });
            assert_eq!(line.get("sender").and_then(serde_json::Value::as_str), shown);
            assert_eq!(line.get("recipient_domain"), None);
        }
    }

    #[test]
    fn without_a_login_the_line_has_what_the_mail_server_said() {
        let (outcome, login) = (SubmissionOutcome::Unavailable(UnavailableReason::LoginUnknown), login());
        let unknown =
            Submitted { login: None, sasl_username: "dr@x.test", release: None, ..submitted(&login, outcome) };
        let (line, _) = line(&unknown);
        assert_eq!((&line["mailbox"], &line["reason"]), (&"dr@x.test".into(), &"login-unknown".into()));
        assert!(["decision", "identity", "issuer", "policy"].iter().all(|name| line.get(*name).is_none()), "{line}");
        let (_, text) = self::line(&Submitted { sasl_username: "eyJplanted.token", ..unknown });
        assert!(!text.contains("planted"), "{text}");
    }

    #[test]
    fn numbers_stand_there_where_they_are_known() {
        let login = login();
        let allowed = submitted(&login, SubmissionOutcome::Allow);
        let (known, _) = line(&Submitted { recipients: 3, bytes: 4_000, ..allowed });
        assert_eq!((&known["recipients"], &known["bytes"]), (&3.into(), &4_000.into()));
        let (unknown, _) = line(&Submitted { recipients: 0, bytes: 0, ..allowed });
        assert!(unknown.get("recipients").is_none() && unknown.get("bytes").is_none(), "{unknown}");
    }

    #[test]
    fn of_the_answers_that_let_a_message_in_the_last_one_matters() {
        let login = login();
        let allowed = submitted(&login, SubmissionOutcome::Allow);
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            assert!(!Submitted { stage, ..allowed }.matters(), "{stage:?}");
        }
        assert!(Submitted { stage: Stage::EndOfMessage, ..allowed }.matters());
        for reason in SubmissionReason::ALL {
            assert!(submitted(&login, SubmissionOutcome::Deny(*reason)).matters());
        }
        for reason in UnavailableReason::ALL {
            assert!(submitted(&login, SubmissionOutcome::Unavailable(*reason)).matters());
        }
    }
}
