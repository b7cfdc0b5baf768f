//! Postfix's policy delegation: whole connections, over TCP, where the process is the one that a question names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use octroi::clock::{Clock, UnixSeconds};
use octroi::doors::answer::delegation;
use octroi::doors::delegation::{DelegationDoor, DelegationParts};
use octroi::doors::join::Joins;
use octroi::doors::ports::{CertificateJudge, SubmissionJudge, UnjoinedWitness};
use octroi::evidence::directory::{IdNat, MailboxAddress};
use octroi::gate::{CertificateDecision, DecisionId, Encryption, Holder, Login, Stage, Submission, SubmissionOutcome};
use octroi::reason::{DenyReason, SubmissionReason, UnavailableReason};

use crate::door::{Shelf, converse};
use crate::framing::frames;
use crate::somewhere;

pub(crate) const SEEDS: &[&[u8]] = &[
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\nsender=a@x.test\n\
      recipient=b@y.test\nrecipient_count=0\ninstance=1267.6b0654e8.7fe6e.0\nsize=12\nsasl_method=XOAUTH2\n\
      sasl_username=a@x.test\nsasl_sender=\nencryption_protocol=TLSv1.3\nsomething_new=a=b\n\n\
      request=smtpd_access_policy\nprotocol_state=MAIL\nsender=b@x.test\nsasl_username=a@x.test\n\n\
      request=smtpd_access_policy\nprotocol_state=CONNECT\n\n\
      request=smtpd_access_policy\nprotocol_state=DATA\nsender=a@x.test\nsasl_username=a@x.test\nrecipient_count=3\n\n",
    b"request=smtpd_access_policy\nprotocol_state=MAIL\nsender=a@x.test\nsasl_username=a@x.test\ninstance=1267.0\nsize=-1\n\n",
    b"request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nsender=\nsasl_username=\nencryption_protocol=TLSv1\n\n",
    b"request=smtpd_access_policy\nprotocol_state=MAIL\nsasl_username=a@x.test\nsasl_username=b@x.test\ninstance=1267.0\n\n",
    b"request=smtpd_access_policy\nprotocol_state=EHLO\n\nrequest=smtpd_access_policy\nprotocol_state=VRFY\n\n",
    b"request=junk\nprotocol_state=mail\n\n",
    b"protocol_state\n\n\n\n",
];

/// Most bytes of a question, its end included.
const QUESTION: usize = 64 * 1024;
const NOW: UnixSeconds = UnixSeconds(1_000);
/// The one login: on this process, as this mailbox.
const PID: u32 = 0x1267;
const MAILBOX: &str = "a@x.test";

/// What there is to see of a connection.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    judged: Vec<Submission>,
    /// Questions without a login: stage, what Postfix calls it, sender, recipient, answer.
    unjoined: Vec<(Stage, String, String, Option<String>, SubmissionOutcome)>,
    said: String,
}

/// Nothing is ever judged or answered but what the strict reading finds, however the bytes arrive; what has come is
/// answered whatever follows.
pub(crate) fn run(bytes: &[u8]) {
    let (head, tail) = bytes.split_at(somewhere(bytes));
    let login = Login {
        mailbox: MailboxAddress::parse(MAILBOX).expect("an address"),
        decision: DecisionId::random(),
        holder: Holder::Person {
            issuer: "https://psc.test".into(),
            identity: IdNat::parse("899700000011").expect("an identity"),
        },
        at: NOW,
    };
    let whole = seen(&login, &[bytes]);
    assert_eq!(whole, strictly(login.clone(), bytes));
    assert_eq!(whole, seen(&login, &[head, tail]));
    let begun = seen(&login, &[head]);
    assert!(whole.judged.starts_with(&begun.judged) && whole.said.starts_with(&begun.said));
}

/// Whoever is logged in sends as itself.
fn judgement(submission: &Submission) -> SubmissionOutcome {
    if submission.sender == MAILBOX {
        SubmissionOutcome::Allow
    } else {
        SubmissionOutcome::Deny(SubmissionReason::SenderRefused)
    }
}

fn seen(login: &Login, pieces: &[&[u8]]) -> Seen {
    let seen = Arc::<Mutex<Seen>>::default();
    let joins = Arc::new(Joins::new(4, 100));
    joins.record(PID, login.clone());
    let (judged, unjoined) = (Arc::clone(&seen), Arc::clone(&seen));
    let judge = SubmissionJudge::new(move |submission: Submission| {
        let outcome = judgement(&submission);
        judged.lock().expect("no panic").judged.push(submission);
        std::future::ready(outcome)
    });
    let witness = UnjoinedWitness::new(move |message| {
        let recipient = message.recipient.map(str::to_owned);
        let message =
            (message.stage, message.sasl_username.to_owned(), message.sender.to_owned(), recipient, message.outcome);
        unjoined.lock().expect("no panic").unjoined.push(message);
    });
    let certificates = CertificateJudge::new(|_| CertificateDecision {
        id: DecisionId::random(),
        outcome: DenyReason::CertificateUnknown.into(),
    });
    let (store, clock) = (Arc::new(Shelf::default()), Clock::manual(NOW));
    let door = DelegationDoor::new(DelegationParts { judge, joins, certificates, store, witness, clock });
    let said = String::from_utf8(converse(door, pieces)).expect("ASCII");
    let mut seen = seen.lock().expect("no panic");
    seen.said = said;
    std::mem::take(&mut seen)
}

fn strictly(login: Login, bytes: &[u8]) -> Seen {
    let (mut seen, mut login, mut pid) = (Seen::default(), Some(login), None);
    for block in frames(bytes, b"\n\n", QUESTION) {
        let Some(question) = attributes(block) else { break };
        pid = question.0.get(&b"instance"[..]).and_then(|instance| process(instance)).or(pid);
        let Some(outcome) = question.answer(&mut login, pid, &mut seen) else { break };
        seen.said.push_str(&delegation(outcome));
    }
    seen
}

/// The value of each attribute.
struct Question<'b>(HashMap<&'b [u8], &'b [u8]>);

/// What may stand there once.
const ONCE: &str = "request protocol_state instance sasl_username sender recipient recipient_count size \
                    encryption_protocol client_address";

fn attributes(block: &[u8]) -> Option<Question<'_>> {
    let mut attributes = HashMap::new();
    for line in block.split(|byte| *byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b'=')?);
        let read = ONCE.split_whitespace().any(|known| known.as_bytes() == name);
        if attributes.insert(name, &value[1..]).is_some() && read {
            return None;
        }
    }
    (*attributes.get(&b"request"[..])? == b"smtpd_access_policy").then_some(Question(attributes))
}

/// The process that an `instance` names: hexadecimal digits of 32 bits before the first dot.
fn process(instance: &[u8]) -> Option<u32> {
    let (digits, _) = str::from_utf8(instance).ok()?.split_once('.')?;
    let value =
        digits.chars().try_fold(0_u32, |value, digit| value.checked_mul(16)?.checked_add(digit.to_digit(16)?))?;
    (!digits.is_empty()).then_some(value)
}

impl Question<'_> {
    /// Empty where the attribute is not there.
    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.0.get(name.as_bytes()).copied().unwrap_or_default()).into_owned()
    }

    fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name);
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if text.is_empty() { Some(0) } else { text.parse().ok().filter(|_| digits) }
    }

    /// `None`: no answer, and the connection ends.
    fn answer(&self, login: &mut Option<Login>, pid: Option<u32>, seen: &mut Seen) -> Option<SubmissionOutcome> {
        let (recipients, bytes) = (u32::try_from(self.number("recipient_count")?).ok()?, self.number("size")?);
        let stage = match self.text("protocol_state").as_str() {
            "CONNECT" | "XCLIENT" => {
                login.take_if(|_| pid == Some(PID));
                return Some(SubmissionOutcome::Allow);
            }
            "EHLO" | "HELO" | "VRFY" | "ETRN" => return Some(SubmissionOutcome::Allow),
            "MAIL" => Stage::Mail,
            "RCPT" => Stage::Rcpt,
            "DATA" => Stage::Data,
            "END-OF-MESSAGE" => Stage::EndOfMessage,
            _ => return None,
        };
        let (user, sender) = (self.text("sasl_username"), self.text("sender"));
        let recipient = Some(self.text("recipient")).filter(|recipient| !recipient.is_empty());
        let known = login.clone().filter(|_| user == MAILBOX && pid == Some(PID));
        let outcome = match (user.as_str(), known) {
            ("", _) => SubmissionOutcome::Deny(SubmissionReason::NotAuthenticated),
            (_, None) => SubmissionOutcome::Unavailable(UnavailableReason::LoginUnknown),
            (_, Some(login)) => {
                let (encryption, client) = (self.encryption(), self.text("client_address").parse().ok());
                let submission = Submission { login, stage, sender, recipient, recipients, bytes, encryption, client };
                let outcome = judgement(&submission);
                seen.judged.push(submission);
                return Some(outcome);
            }
        };
        seen.unjoined.push((stage, user, sender, recipient, outcome));
        Some(outcome)
    }

    fn encryption(&self) -> Encryption {
        match self.text("encryption_protocol").as_str() {
            "" => Encryption::None,
            "TLSv1" => Encryption::Tls10,
            "TLSv1.1" => Encryption::Tls11,
            "TLSv1.2" => Encryption::Tls12,
            "TLSv1.3" => Encryption::Tls13,
            _ => Encryption::Unknown,
        }
    }
}
