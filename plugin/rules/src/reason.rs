//! Why a login is refused or can't be decided: two closed lists with stable codes.
//!
//! Owns the codes. They stand in logs, metrics and reports and are those of the WIT contract, so none is ever renamed
//! or reused; a reason never carries content of the attempt.

macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])+ $case:ident = $code:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])+ $case,)+ }

        impl $name {
            /// Every reason, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$case,)+];

            /// The stable code: the case's name in the WIT contract.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$case => $code,)+ }
            }
        }
    };
}

reasons! {
    /// Why a login is refused.
    DenyReason {
        /// The SASL mechanism is neither XOAUTH2 nor OAUTHBEARER (RFC 7628).
        MechanismUnsupported = "mechanism-unsupported",
        /// The SASL message breaks the mechanism's grammar (RFC 7628 section 3.1; XOAUTH2 as published by Google).
        MessageMalformed = "message-malformed",
        /// The SASL response exceeds [`crate::MAX_RESPONSE`] or the token [`crate::MAX_TOKEN`].
        TooLarge = "too-large",
        /// Not a JWS in compact form (RFC 7515 section 7.1), or its JSON is broken, too deep, has a member twice, or
        /// gives a claim another type than RFC 7519 does.
        TokenMalformed = "token-malformed",
        /// Five parts: a JWE (RFC 7516 section 7.1).
        TokenEncrypted = "token-encrypted",
        /// `typ` of the header is neither absent nor `JWT` (RFC 7519 section 5.1) nor `at+jwt` (RFC 9068 section 2.1).
        TokenType = "token-type",
        /// The header has `crit` (RFC 7515 section 4.1.11): no extension is understood here.
        CriticalHeader = "critical-header",
        /// `alg` is not in the allow-list (RFC 8725 section 3.1).
        AlgorithmRefused = "algorithm-refused",
        /// `iss` is not one of the configured issuers: the token is not Pro Santé Connect's.
        IssuerUnknown = "issuer-unknown",
        /// A claim that the rules need is absent.
        ClaimMissing = "claim-missing",
        /// `exp` has passed (RFC 7519 section 4.1.4).
        TokenExpired = "token-expired",
        /// `nbf`, `iat` or `auth_time` lies in the future by more than the leeway (RFC 7519 section 4.1.5).
        TokenNotYetValid = "token-not-yet-valid",
        /// `typ` of the payload is not `Bearer`: an ID token or a refresh token of Keycloak.
        TokenNotBearer = "token-not-bearer",
        /// `acr` is not in the accepted set (OpenID Connect Core section 2).
        AssuranceRefused = "assurance-refused",
        /// `azp` is denied, or not in the allow-list (OpenID Connect Core section 2).
        ClientRefused = "client-refused",
        /// `aud` is configured and does not match (RFC 7519 section 4.1.3).
        AudienceRefused = "audience-refused",
        /// `auth_time` (else `iat`) plus the total session length has passed.
        SessionExpired = "session-expired",
        /// `sid` and `session_state` are both present and differ.
        SessionInconsistent = "session-inconsistent",
        /// No usable national identifier in the token.
        IdentityMissing = "identity-missing",
        /// The token's identifiers disagree, and the settings refuse that.
        IdentityInconsistent = "identity-inconsistent",
        /// The issuer says that the token is not active (RFC 7662 section 2.2).
        TokenInactive = "token-inactive",
        /// Introspection answered for another subject, session or client than the token's.
        IntrospectionMismatch = "introspection-mismatch",
        /// The mailbox asked for is not a mailbox address (RFC 5321 section 4.1.2, ASCII).
        MailboxMalformed = "mailbox-malformed",
        /// The mailbox asked for is not among those that the person may open.
        MailboxRefused = "mailbox-refused",
        /// The person has no mailbox that a token may open.
        NoMailbox = "no-mailbox",
    }
}

reasons! {
    /// Why no decision could be made.
    UnavailableReason {
        /// The introspection that the settings require could not be had.
        IntrospectionUnavailable = "introspection-unavailable",
    }
}

reasons! {
    /// Why a message is not taken for submission.
    SubmissionReason {
        /// The sender is not an ASCII mailbox address (RFC 5321 section 4.1.2; an SMTPUTF8 one, RFC 6531, is none).
        SenderMalformed = "sender-malformed",
        /// The sender is none of the login's addresses (MSS API LPS: one sends as one's own mailbox).
        SenderRefused = "sender-refused",
        /// The connection is not encrypted by the least version of TLS, or a better one.
        TlsTooOld = "tls-too-old",
        /// More recipients than one message may have.
        TooManyRecipients = "too-many-recipients",
        /// The recipient is not in the trust space, and the settings ask for that.
        RecipientRefused = "recipient-refused",
    }
}

reasons! {
    /// Why a message can't be judged.
    SubmissionOutage {
        /// The settings ask for the trust space, and the caller has no list of it.
        TrustSpaceUnavailable = "trust-space-unavailable",
    }
}

reasons! {
    /// Why a certificate does not open a mailbox.
    CertificateReason {
        /// It names no structure: a certificate of a person.
        StructureMissing = "structure-missing",
        /// It names more than one.
        StructureAmbiguous = "structure-ambiguous",
        /// What it names is not a structure's identifier.
        StructureMalformed = "structure-malformed",
        /// `notBefore` is still to come (RFC 5280 section 4.1.2.5).
        CertificateNotYetValid = "certificate-not-yet-valid",
        /// `notAfter` has passed (RFC 5280 section 4.1.2.5).
        CertificateExpired = "certificate-expired",
        /// It, or an authority above it, was revoked (RFC 5280 section 5).
        CertificateRevoked = "certificate-revoked",
        /// There is no such mailbox, or it is none of the structure's.
        StructureRefused = "structure-refused",
        /// The mailbox is a person's.
        MailboxPersonal = "mailbox-personal",
        /// The chain does not open mailboxes of this domain.
        ChainRefused = "chain-refused",
        /// The mailbox is for other certificates of the structure.
        CertificateRefused = "certificate-refused",
        /// The mailbox is for certain certificates, and the mail server does not tell which one this is.
        CertificateUnidentified = "certificate-unidentified",
    }
}

reasons! {
    /// Why a certificate can't be judged.
    CertificateOutage {
        /// Whether it was revoked is not known.
        RevocationUnavailable = "revocation-unavailable",
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Case names of an enum as the WIT file spells them.
    fn contract_cases(name: &str) -> Vec<&'static str> {
        let wit = include_str!("../../../wit/policy.wit");
        let start = wit.find(&format!("enum {name} {{")).expect("the enum is in the contract");
        let body = &wit[start..];
        let body = &body[body.find('{').unwrap() + 1..body.find('}').unwrap()];
        body.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .map(|line| line.trim_end_matches(','))
            .collect()
    }

    #[test]
    fn codes_are_those_of_the_contract_in_its_order() {
        let deny: Vec<_> = DenyReason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(deny, contract_cases("deny-reason"));
        let unavailable: Vec<_> = UnavailableReason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(unavailable, contract_cases("unavailable-reason"));
        let submission: Vec<_> = SubmissionReason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(submission, contract_cases("refusal-reason"));
        let outage: Vec<_> = SubmissionOutage::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(outage, contract_cases("outage-reason"));
        let certificate: Vec<_> = CertificateReason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(certificate, contract_cases("certificate-reason"));
        let outage: Vec<_> = CertificateOutage::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(outage, contract_cases("certificate-outage"));
    }
}
