//! What each door answers to each outcome. The only place where a reason becomes an answer.
//!
//! There is no wildcard arm: a new reason does not compile until it is known what it is about, and a new kind of
//! refusal not until every door answers it. No arm but `Allow` leads to an accept.

#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::evidence::directory::MailboxAddress;
use crate::gate::{Outcome, SubmissionOutcome};
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};

/// What a refusal is about, and so what could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The message or the token: another token may pass.
    Token,
    /// The mailbox: the same person, another mailbox.
    Mailbox,
    /// The client certificate: another one may pass.
    Certificate,
    /// The login that Dovecot made of an earlier answer: logging in anew may pass.
    Login,
    /// A login that no answer stands behind. Dovecot 2.4 asks for non-members too, without a handle.
    NonMember,
}

impl From<DenyReason> for Refusal {
    fn from(reason: DenyReason) -> Self {
        use DenyReason as R;
        match reason {
            R::MechanismUnsupported
            | R::MessageMalformed
            | R::TooLarge
            | R::TokenMalformed
            | R::TokenEncrypted
            | R::TokenType
            | R::CriticalHeader
            | R::AlgorithmRefused
            | R::IssuerUnknown
            | R::ClaimMissing
            | R::TokenExpired
            | R::TokenNotYetValid
            | R::TokenNotBearer
            | R::AssuranceRefused
            | R::ClientRefused
            | R::AudienceRefused
            | R::SessionExpired
            | R::SessionInconsistent
            | R::IdentityMissing
            | R::IdentityInconsistent
            | R::TokenInactive
            | R::IntrospectionMismatch
            | R::KeyUnknown
            | R::KeyUnfit
            | R::SignatureInvalid
            | R::RailToken
            | R::RailIssuer
            | R::RailExpired
            | R::RailSession
            | R::RailIdentity => Self::Token,
            R::MailboxMalformed | R::MailboxRefused | R::NoMailbox | R::RailMailbox | R::TooManyMailboxes => {
                Self::Mailbox
            }
            R::StructureMissing
            | R::StructureAmbiguous
            | R::StructureMalformed
            | R::CertificateNotYetValid
            | R::CertificateExpired
            | R::CertificateRevoked
            | R::StructureRefused
            | R::MailboxPersonal
            | R::ChainRefused
            | R::CertificateRefused
            | R::CertificateUnidentified
            | R::CertificateMissing
            | R::CertificateUnknown
            | R::CertificateUndetermined
            | R::RailStructure
            | R::RailChain
            | R::RailCertificate => Self::Certificate,
            R::HandleMissing => Self::NonMember,
            R::HandleUnknown | R::HandleUsed | R::HandleStale | R::HandleMailbox | R::MechanismRefused => Self::Login,
            R::TicketUnknown | R::TicketUsed | R::TicketExpired | R::TicketMailbox => Self::Login,
        }
    }
}

/// Status and body of an HTTP answer.
pub type Rendered = (u16, Vec<u8>);

/// `scope` of a positive introspection answer and of every challenge: Dovecot is told to require it, so that the
/// answer of some other server is never taken for ours.
pub const SCOPE: &str = "octroi";

/// Dovecot's introspection (RFC 7662 section 2.2): the body that can never pass, whatever status it comes with.
/// Dovecot reads the body of a 4xx like that of a 200.
pub const INACTIVE: &[u8] = br#"{"active":false}"#;

/// A positive introspection answer. Flat strings: Dovecot skips arrays and objects. Always every member: a claim that
/// the configuration names and the answer lacks crashes the auth process of Dovecot 2.4.1.
#[must_use]
pub fn introspection_active(username: &str, handle: &str) -> Rendered {
    #[derive(Serialize)]
    struct Active<'a> {
        active: bool,
        scope: &'a str,
        username: &'a str,
        handle: &'a str,
    }
    match serde_json::to_vec(&Active { active: true, scope: SCOPE, username, handle }) {
        Ok(body) => (200, body),
        Err(_) => introspection_unavailable(UnavailableReason::PolicyLimit),
    }
}

/// A negative introspection answer. Which refusal it was stands in the audit record, not in the answer.
#[must_use]
pub fn introspection_denied(reason: DenyReason) -> Rendered {
    match Refusal::from(reason) {
        Refusal::Token | Refusal::Mailbox | Refusal::Certificate | Refusal::Login | Refusal::NonMember => {
            (200, INACTIVE.to_vec())
        }
    }
}

/// No decision: 503, which Dovecot treats as an internal failure and never as an accept.
#[must_use]
pub fn introspection_unavailable(reason: UnavailableReason) -> Rendered {
    (503, outage(reason).as_bytes().to_vec())
}

/// Dovecot's auth-policy: go on.
#[must_use]
pub fn policy_allowed() -> Rendered {
    (200, br#"{"status":0,"msg":""}"#.to_vec())
}

/// Dovecot's auth-policy: refuse. Dovecot hands `msg` to the client as it is, CR and LF included; the texts of
/// [`DenyReason::message`] are constant printable ASCII.
#[must_use]
pub fn policy_denied(reason: DenyReason) -> Rendered {
    #[derive(Serialize)]
    struct Refused {
        status: i8,
        msg: &'static str,
    }
    let msg = match Refusal::from(reason) {
        // They read what 2.3, which does not ask, says to one.
        Refusal::NonMember => "",
        Refusal::Token | Refusal::Mailbox | Refusal::Certificate | Refusal::Login => reason.message(),
    };
    let bare = || br#"{"status":-1,"msg":""}"#.to_vec();
    (200, serde_json::to_vec(&Refused { status: -1, msg }).unwrap_or_else(|_| bare()))
}

/// No decision: 503. Dovecot refuses the login (`auth_policy_reject_on_fail = yes`).
#[must_use]
pub fn policy_unavailable(reason: UnavailableReason) -> Rendered {
    (503, outage(reason).as_bytes().to_vec())
}

/// The mechanisms of the SASL door. There are no others: Postfix passes on what was never advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `XOAUTH2`, as Google defined it.
    Xoauth2,
    /// `OAUTHBEARER` (RFC 7628).
    Oauthbearer,
}

impl Mechanism {
    /// Both, in the order in which they are advertised.
    pub const ALL: [Self; 2] = [Self::Xoauth2, Self::Oauthbearer];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of this name, in either case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// What the SASL door makes of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslAnswer {
    /// The login is good for this mailbox.
    Accept(MailboxAddress),
    /// Challenge, then FAIL (535 to the mail client).
    Challenge(DenyReason),
    /// The socket is closed (454): Postfix does not honour `FAIL ... temp`.
    Close(UnavailableReason),
}

/// The answer to a decision. A login over SMTP is for one mailbox: the one that the message named, else the only one
/// that the person has.
#[must_use]
pub fn sasl(outcome: &Outcome) -> SaslAnswer {
    match outcome {
        Outcome::Allow(permit) => match (permit.mailbox(), permit.mailboxes()) {
            (Some(mailbox), _) | (None, [mailbox]) => SaslAnswer::Accept(mailbox.clone()),
            (None, []) => SaslAnswer::Challenge(DenyReason::NoMailbox),
            (None, [_, _, ..]) => SaslAnswer::Challenge(DenyReason::MailboxMalformed),
        },
        Outcome::Deny(reason) => SaslAnswer::Challenge(*reason),
        Outcome::Unavailable(reason) => SaslAnswer::Close(*reason),
    }
}

/// The challenge of a refusal. A client that knows its mechanism gets a new token and comes back.
#[must_use]
pub fn sasl_challenge(id: u32, mechanism: Mechanism, reason: DenyReason) -> String {
    let json = match (mechanism, Refusal::from(reason)) {
        (
            Mechanism::Xoauth2,
            Refusal::Token | Refusal::Mailbox | Refusal::Certificate | Refusal::Login | Refusal::NonMember,
        ) => r#"{"status":"401","schemes":"bearer","scope":"octroi"}"#,
        // RFC 7628 section 3.2.2.
        (
            Mechanism::Oauthbearer,
            Refusal::Token | Refusal::Mailbox | Refusal::Certificate | Refusal::Login | Refusal::NonMember,
        ) => r#"{"status":"invalid_token","scope":"octroi"}"#,
    };
    format!("CONT\t{id}\t{}\n", STANDARD.encode(json))
}

/// The end of a refusal. Postfix shows the reason to the mail client behind its 535.
#[must_use]
pub fn sasl_failure(id: u32, reason: DenyReason) -> String {
    let text = match Refusal::from(reason) {
        Refusal::Token | Refusal::Mailbox | Refusal::Certificate | Refusal::Login | Refusal::NonMember => {
            reason.message()
        }
    };
    format!("FAIL\t{id}\treason={text}\n")
}

/// Postfix's policy delegation: the action for an outcome, as access(5) has them. Never `OK`: that would pass over the
/// restrictions that follow.
#[must_use]
pub fn delegation(outcome: SubmissionOutcome) -> String {
    match outcome {
        SubmissionOutcome::Allow => "action=DUNNO\n\n".to_owned(),
        SubmissionOutcome::Deny(reason) => {
            // RFC 3463 and RFC 4954 section 6.
            let status = match reason {
                SubmissionReason::NotAuthenticated => "5.7.0",
                SubmissionReason::SenderMalformed => "5.1.7",
                SubmissionReason::TlsTooOld => "5.7.10",
                SubmissionReason::TooManyRecipients => "5.5.3",
                SubmissionReason::SenderRefused | SubmissionReason::RecipientRefused | SubmissionReason::RailSender => {
                    "5.7.1"
                }
            };
            format!("action=REJECT {status} {}\n\n", reason.message())
        }
        // RFC 4954 section 6: the login's credentials do not hold.
        SubmissionOutcome::ShutOut(reason) => format!("action=REJECT 5.7.8 {}\n\n", reason.message()),
        SubmissionOutcome::Unavailable(reason) => {
            format!("action=DEFER_IF_PERMIT 4.3.0 {}\n\n", submission_outage(reason))
        }
    }
}

/// What a person reads while nothing can be decided.
const fn submission_outage(reason: UnavailableReason) -> &'static str {
    match reason {
        UnavailableReason::KeysUnavailable
        | UnavailableReason::IntrospectionUnavailable
        | UnavailableReason::PolicyTrapped
        | UnavailableReason::PolicyTimeout
        | UnavailableReason::PolicyLimit
        | UnavailableReason::StoreUnavailable
        | UnavailableReason::Overloaded
        | UnavailableReason::LoginUnknown
        | UnavailableReason::TrustSpaceUnavailable
        | UnavailableReason::RevocationUnavailable => reason.message(),
    }
}

/// What the body of a 503 says, for whoever reads a trace. Never JSON: nothing in it can be taken for an answer.
const fn outage(reason: UnavailableReason) -> &'static str {
    match reason {
        UnavailableReason::KeysUnavailable
        | UnavailableReason::IntrospectionUnavailable
        | UnavailableReason::PolicyTrapped
        | UnavailableReason::PolicyTimeout
        | UnavailableReason::PolicyLimit
        | UnavailableReason::StoreUnavailable
        | UnavailableReason::Overloaded
        | UnavailableReason::LoginUnknown
        | UnavailableReason::TrustSpaceUnavailable
        | UnavailableReason::RevocationUnavailable => reason.code(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rails::Permit;

    #[test]
    fn no_refusal_accepts_over_sasl_and_no_outage_blames_the_client() {
        for reason in DenyReason::ALL {
            assert_eq!(sasl(&Outcome::Deny(*reason)), SaslAnswer::Challenge(*reason));
            for mechanism in Mechanism::ALL {
                let (challenge, failure) = (sasl_challenge(7, mechanism, *reason), sasl_failure(7, *reason));
                assert!(challenge.starts_with("CONT\t7\t") && failure.starts_with("FAIL\t7\t"), "{reason:?}");
                assert!([challenge, failure].iter().all(|line| line.matches('\n').count() == 1), "{reason:?}");
            }
        }
        for reason in UnavailableReason::ALL {
            assert_eq!(sasl(&Outcome::Unavailable(*reason)), SaslAnswer::Close(*reason));
        }
    }

    #[test]
    fn a_login_over_smtp_is_for_one_mailbox() {
        let of = |mailboxes: &[&str]| sasl(&Outcome::Allow(Permit::example(mailboxes)));
        assert_eq!(of(&["a@x.test"]), SaslAnswer::Accept(MailboxAddress::parse("a@x.test").unwrap()));
        assert_eq!(of(&["a@x.test", "b@x.test"]), SaslAnswer::Challenge(DenyReason::MailboxMalformed));
        assert_eq!(of(&[]), SaslAnswer::Challenge(DenyReason::NoMailbox));
    }

    #[test]
    fn delegation_answers_dunno_to_nothing_but_an_allow() {
        assert_eq!(delegation(SubmissionOutcome::Allow), "action=DUNNO\n\n");
        let denied = SubmissionReason::ALL.iter().map(|reason| (SubmissionOutcome::Deny(*reason), "action=REJECT 5."));
        let outages = UnavailableReason::ALL
            .iter()
            .map(|reason| (SubmissionOutcome::Unavailable(*reason), "action=DEFER_IF_PERMIT 4."));
        let shut = DenyReason::ALL.iter().map(|reason| (SubmissionOutcome::ShutOut(*reason), "action=REJECT 5."));
        for (outcome, start) in denied.chain(shut).chain(outages) {
            let answer = delegation(outcome);
            assert!(answer.starts_with(start) && answer.ends_with("\n\n"), "{answer:?}");
            assert_eq!(answer.matches('\n').count(), 2, "{answer:?}");
        }
    }

    fn body((_, body): &Rendered) -> Value {
        serde_json::from_slice(body).unwrap_or(Value::Null)
    }

    #[test]
    fn a_positive_answer_holds_flat_strings_and_nothing_about_the_person() {
        let answer = introspection_active("^(a@x[.]test)$", "h-00");
        assert_eq!(answer.0, 200);
        let expected = json!({"active": true, "scope": "octroi", "username": "^(a@x[.]test)$", "handle": "h-00"});
        assert_eq!(body(&answer), expected);
    }

    #[test]
    fn no_refusal_is_ever_active_or_status_zero() {
        for reason in DenyReason::ALL {
            assert_eq!(body(&introspection_denied(*reason)), json!({"active": false}), "{reason:?}");
            assert_eq!(introspection_denied(*reason).0, 200);
            let policy = policy_denied(*reason);
            let msg = if *reason == DenyReason::HandleMissing { "" } else { reason.message() };
            assert_eq!((policy.0, body(&policy)), (200, json!({"status": -1, "msg": msg})), "{reason:?}");
        }
    }

    #[test]
    fn an_outage_is_503_and_its_body_is_no_answer() {
        for reason in UnavailableReason::ALL {
            for answer in [introspection_unavailable(*reason), policy_unavailable(*reason)] {
                assert_eq!((answer.0, body(&answer)), (503, Value::Null), "{reason:?}");
            }
        }
    }
}
