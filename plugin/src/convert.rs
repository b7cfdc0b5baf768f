//! Conversions between the WIT types and those of the rules, one to one.
//!
//! Owns no decision. Every enum is matched case by case, so that a change of either side stops the build here.

use octroi_rules as rules;

use crate::bindings::exports::octroi::policy::login::{self as wit};
use crate::bindings::exports::octroi::policy::{certificate, manifest, submission};

/// Maps enums of equal cases both exhaustively and in the same order.
macro_rules! cases {
    ($(#[$doc:meta])* $name:ident: $from:path => $to:path { $($case:ident),+ $(,)? }) => {
        $(#[$doc])*
        pub(crate) fn $name(from: $from) -> $to {
            use $from as From;
            use $to as To;
            match from { $(From::$case => To::$case,)+ }
        }
    };
}

cases!(algorithm: rules::Algorithm => wit::Algorithm { Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384 });
cases!(algorithm_back: wit::Algorithm => rules::Algorithm { Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384 });
cases!(introspect: rules::Introspect => wit::Introspect { Never, Prefer, Must });
cases!(introspect_back: wit::Introspect => rules::Introspect { Never, Prefer, Must });
cases!(protocol: wit::Protocol => rules::Protocol { Imap, Smtp, Other });
cases!(mailbox_kind: wit::MailboxKind => rules::MailboxKind { Per, Org, App });
cases!(unavailable_reason: rules::UnavailableReason => wit::UnavailableReason { IntrospectionUnavailable });
cases!(deny_reason: rules::DenyReason => wit::DenyReason {
    MechanismUnsupported, MessageMalformed, TooLarge, TokenMalformed, TokenEncrypted, TokenType, CriticalHeader,
    AlgorithmRefused, IssuerUnknown, ClaimMissing, TokenExpired, TokenNotYetValid, TokenNotBearer, AssuranceRefused,
    ClientRefused, AudienceRefused, SessionExpired, SessionInconsistent, IdentityMissing, IdentityInconsistent,
    TokenInactive, IntrospectionMismatch, MailboxMalformed, MailboxRefused, NoMailbox,
});

cases!(stage: submission::Stage => rules::Stage { Mail, Rcpt, Data, EndOfMessage });
cases!(encryption: submission::Encryption => rules::Encryption { None, Unknown, Tls10, Tls11, Tls12, Tls13 });
cases!(refusal_reason: rules::SubmissionReason => submission::RefusalReason {
    SenderMalformed, SenderRefused, TlsTooOld, TooManyRecipients, RecipientRefused,
});
cases!(outage_reason: rules::SubmissionOutage => submission::OutageReason { TrustSpaceUnavailable });

cases!(chain_kind: certificate::ChainKind => rules::ChainKind { Production, Test });
cases!(revocation: certificate::Revocation => rules::Revocation { Good, Degraded, Revoked, Unknown });
cases!(certificate_reason: rules::CertificateReason => certificate::CertificateReason {
    StructureMissing, StructureAmbiguous, StructureMalformed, CertificateNotYetValid, CertificateExpired,
    CertificateRevoked, StructureRefused, MailboxPersonal, ChainRefused, CertificateRefused, CertificateUnidentified,
});
cases!(certificate_outage: rules::CertificateOutage => certificate::CertificateOutage { RevocationUnavailable });

pub(crate) fn problem(from: rules::Problem) -> manifest::Problem {
    let rules::Problem { pointer, message } = from;
    manifest::Problem { pointer, message }
}

pub(crate) fn attempt(from: &wit::Attempt) -> rules::Attempt<'_> {
    let credentials = match &from.credentials {
        wit::Credentials::Sasl(wit::SaslMessage { mechanism, response }) => {
            rules::Credentials::Sasl { mechanism, response }
        }
        wit::Credentials::Bearer(token) => rules::Credentials::Bearer(token),
    };
    rules::Attempt { credentials, mailbox: from.mailbox.as_deref(), protocol: protocol(from.protocol) }
}

fn span(from: rules::Span) -> wit::Span {
    let rules::Span { start, length } = from;
    wit::Span { start, length }
}

fn span_back(from: wit::Span) -> rules::Span {
    let wit::Span { start, length } = from;
    rules::Span { start, length }
}

fn claims(from: rules::Claims) -> wit::Claims {
    let rules::Claims { subject, session, authorized_party, expires_at, not_before, issued_at, authenticated_at } =
        from;
    wit::Claims { subject, session, authorized_party, expires_at, not_before, issued_at, authenticated_at }
}

fn claims_back(from: wit::Claims) -> rules::Claims {
    let wit::Claims { subject, session, authorized_party, expires_at, not_before, issued_at, authenticated_at } = from;
    rules::Claims { subject, session, authorized_party, expires_at, not_before, issued_at, authenticated_at }
}

pub(crate) fn inquiry(from: rules::Inquiry) -> wit::Inquiry {
    wit::Inquiry {
        token: span(from.token),
        signed: span(from.signed),
        issuer: from.issuer,
        key_id: from.key_id,
        algorithm: algorithm(from.algorithm),
        identity: from.identity,
        identities_differ: from.identities_differ,
        mailbox: from.mailbox,
        introspect: introspect(from.introspect),
        claims: claims(from.claims),
    }
}

pub(crate) fn inquiry_back(from: wit::Inquiry) -> rules::Inquiry {
    rules::Inquiry {
        token: span_back(from.token),
        signed: span_back(from.signed),
        issuer: from.issuer,
        key_id: from.key_id,
        algorithm: algorithm_back(from.algorithm),
        identity: from.identity,
        identities_differ: from.identities_differ,
        mailbox: from.mailbox,
        introspect: introspect_back(from.introspect),
        claims: claims_back(from.claims),
    }
}

pub(crate) fn evidence(from: wit::Evidence) -> rules::Evidence {
    let introspection = match from.introspection {
        wit::Introspection::NotAsked => rules::Introspection::NotAsked,
        wit::Introspection::Unavailable => rules::Introspection::Unavailable,
        wit::Introspection::Inactive => rules::Introspection::Inactive,
        wit::Introspection::Active(wit::Introspected { subject, session, authorized_party, expires_at }) => {
            rules::Introspection::Active(rules::Introspected { subject, session, authorized_party, expires_at })
        }
    };
    rules::Evidence { introspection, mailboxes: from.mailboxes.into_iter().map(mailbox).collect() }
}

fn mailbox(from: wit::Mailbox) -> rules::Mailbox {
    let wit::Mailbox { address, kind, persons } = from;
    rules::Mailbox { address, kind: mailbox_kind(kind), persons }
}

pub(crate) fn verdict(from: rules::Verdict) -> wit::Verdict {
    match from {
        rules::Verdict::Allow(rules::Grant { identity, mailboxes, degraded }) => {
            wit::Verdict::Allow(wit::Grant { identity, mailboxes, degraded })
        }
        rules::Verdict::Deny(reason) => wit::Verdict::Deny(deny_reason(reason)),
        rules::Verdict::Unavailable(reason) => wit::Verdict::Unavailable(unavailable_reason(reason)),
    }
}

pub(crate) fn judgement(from: rules::Judgement) -> submission::Verdict {
    match from {
        rules::Judgement::Allow => submission::Verdict::Allow,
        rules::Judgement::Deny(reason) => submission::Verdict::Deny(refusal_reason(reason)),
        rules::Judgement::Unavailable(reason) => submission::Verdict::Unavailable(outage_reason(reason)),
    }
}

pub(crate) fn submission(from: submission::Request) -> rules::Submission {
    let mailbox = |from: submission::SendingMailbox| {
        let submission::SendingMailbox { address, aliases } = from;
        rules::SendingMailbox { address, aliases }
    };
    rules::Submission {
        stage: stage(from.stage),
        login: from.login,
        mailboxes: from.mailboxes.into_iter().map(mailbox).collect(),
        sender: from.sender,
        recipient: from.recipient,
        recipient_in_trust_space: from.recipient_in_trust_space,
        recipients: from.recipients,
        size: from.size,
        encryption: encryption(from.encryption),
    }
}

pub(crate) fn certificate(from: certificate::Request) -> rules::CertificateRequest {
    let certificate::Facts {
        units,
        common_name,
        issuer,
        fingerprint,
        not_before,
        not_after,
        chain,
        mailbox_domains,
        revocation: known,
    } = from.certificate;
    let wanted = |from: certificate::Wanted| {
        let certificate::Wanted { address, kind, structures, common_names, issuers, fingerprints } = from;
        rules::WantedMailbox { address, kind: mailbox_kind(kind), structures, common_names, issuers, fingerprints }
    };
    rules::CertificateRequest {
        certificate: rules::CertificateFacts {
            units,
            common_name,
            issuer,
            fingerprint,
            not_before,
            not_after,
            chain: chain_kind(chain),
            mailbox_domains,
            revocation: revocation(known),
        },
        mailbox: from.mailbox.map(wanted),
    }
}

pub(crate) fn certificate_verdict(from: rules::CertificateVerdict) -> certificate::Verdict {
    match from {
        rules::CertificateVerdict::Allow => certificate::Verdict::Allow,
        rules::CertificateVerdict::Deny(reason) => certificate::Verdict::Deny(certificate_reason(reason)),
        rules::CertificateVerdict::Unavailable(reason) => certificate::Verdict::Unavailable(certificate_outage(reason)),
    }
}
