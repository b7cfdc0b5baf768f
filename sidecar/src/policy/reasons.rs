//! A policy's reasons under their names in the closed lists. Matched case by case: a new reason of the contract stops
//! the build here.

use super::wit::{certificate, login, submission};
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};

impl From<login::DenyReason> for DenyReason {
    fn from(reason: login::DenyReason) -> Self {
        use login::DenyReason as Policy;
        match reason {
            Policy::MechanismUnsupported => Self::MechanismUnsupported,
            Policy::MessageMalformed => Self::MessageMalformed,
            Policy::TooLarge => Self::TooLarge,
            Policy::TokenMalformed => Self::TokenMalformed,
            Policy::TokenEncrypted => Self::TokenEncrypted,
            Policy::TokenType => Self::TokenType,
            Policy::CriticalHeader => Self::CriticalHeader,
            Policy::AlgorithmRefused => Self::AlgorithmRefused,
            Policy::IssuerUnknown => Self::IssuerUnknown,
            Policy::ClaimMissing => Self::ClaimMissing,
            Policy::TokenExpired => Self::TokenExpired,
            Policy::TokenNotYetValid => Self::TokenNotYetValid,
            Policy::TokenNotBearer => Self::TokenNotBearer,
            Policy::AssuranceRefused => Self::AssuranceRefused,
            Policy::ClientRefused => Self::ClientRefused,
            Policy::AudienceRefused => Self::AudienceRefused,
            Policy::SessionExpired => Self::SessionExpired,
            Policy::SessionInconsistent => Self::SessionInconsistent,
            Policy::IdentityMissing => Self::IdentityMissing,
            Policy::IdentityInconsistent => Self::IdentityInconsistent,
            Policy::TokenInactive => Self::TokenInactive,
            Policy::IntrospectionMismatch => Self::IntrospectionMismatch,
            Policy::MailboxMalformed => Self::MailboxMalformed,
            Policy::MailboxRefused => Self::MailboxRefused,
            Policy::NoMailbox => Self::NoMailbox,
        }
    }
}

impl From<login::UnavailableReason> for UnavailableReason {
    fn from(reason: login::UnavailableReason) -> Self {
        match reason {
            login::UnavailableReason::IntrospectionUnavailable => Self::IntrospectionUnavailable,
        }
    }
}

impl From<submission::RefusalReason> for SubmissionReason {
    fn from(reason: submission::RefusalReason) -> Self {
        use submission::RefusalReason as Policy;
        match reason {
            Policy::SenderMalformed => Self::SenderMalformed,
            Policy::SenderRefused => Self::SenderRefused,
            Policy::TlsTooOld => Self::TlsTooOld,
            Policy::TooManyRecipients => Self::TooManyRecipients,
            Policy::RecipientRefused => Self::RecipientRefused,
        }
    }
}

impl From<submission::OutageReason> for UnavailableReason {
    fn from(reason: submission::OutageReason) -> Self {
        match reason {
            submission::OutageReason::TrustSpaceUnavailable => Self::TrustSpaceUnavailable,
        }
    }
}

impl From<certificate::CertificateReason> for DenyReason {
    fn from(reason: certificate::CertificateReason) -> Self {
        use certificate::CertificateReason as Policy;
        match reason {
            Policy::StructureMissing => Self::StructureMissing,
            Policy::StructureAmbiguous => Self::StructureAmbiguous,
            Policy::StructureMalformed => Self::StructureMalformed,
            Policy::CertificateNotYetValid => Self::CertificateNotYetValid,
            Policy::CertificateExpired => Self::CertificateExpired,
            Policy::CertificateRevoked => Self::CertificateRevoked,
            Policy::StructureRefused => Self::StructureRefused,
            Policy::MailboxPersonal => Self::MailboxPersonal,
            Policy::ChainRefused => Self::ChainRefused,
            Policy::CertificateRefused => Self::CertificateRefused,
            Policy::CertificateUnidentified => Self::CertificateUnidentified,
        }
    }
}

impl From<certificate::CertificateOutage> for UnavailableReason {
    fn from(reason: certificate::CertificateOutage) -> Self {
        match reason {
            certificate::CertificateOutage::RevocationUnavailable => Self::RevocationUnavailable,
        }
    }
}
