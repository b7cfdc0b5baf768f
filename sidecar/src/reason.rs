//! The closed list of reasons, with stable codes and the texts that people read.
//!
//! Every door maps every reason; none has a wildcard arm, so a new reason does not compile until each door has an
//! answer. Texts are one ASCII line, French then English: IMAP4rev1 and SMTP replies carry no more, and Dovecot
//! passes CR and LF on.

/// Declares a list of reasons: variant, code, French, English.
macro_rules! reasons {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal, $fr:literal, $en:literal;)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.code())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let code = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let found = Self::ALL.iter().copied().find(|reason| reason.code() == code);
                found.ok_or_else(|| serde::de::Error::unknown_variant(&code, &[$($code,)+]))
            }
        }

        impl $name {
            /// Every reason, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Stable code: stands in logs, metrics, audit records and gRPC answers.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// One ASCII line for the person at the client, French then English.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => concat!($fr, " / ", $en),)+ }
            }
        }
    };
}

reasons! {
    /// Why a login is refused. The first part is what a policy may say, the second what the sidecar adds.
    DenyReason {
        /// Neither XOAUTH2 nor OAUTHBEARER.
        MechanismUnsupported = "mechanism-unsupported", "Mecanisme non accepte", "Mechanism not accepted";
        /// The SASL message breaks its grammar (RFC 7628 section 3.1).
        MessageMalformed = "message-malformed", "Message d'authentification mal forme", "Malformed authentication message";
        /// The message or the token is larger than the stated limit.
        TooLarge = "too-large", "Jeton trop long", "Token too large";
        /// Not a JWS in compact form (RFC 7515 section 7.1).
        TokenMalformed = "token-malformed", "Jeton illisible", "Malformed token";
        /// An encrypted token (RFC 7516).
        TokenEncrypted = "token-encrypted", "Jeton chiffre refuse", "Encrypted token refused";
        /// Header `typ` is not that of an access token.
        TokenType = "token-type", "Type de jeton refuse", "Token type refused";
        /// Unknown critical header (RFC 7515 section 4.1.11).
        CriticalHeader = "critical-header", "En-tete critique inconnu", "Unknown critical header";
        /// Algorithm outside the allow-list (RFC 8725 section 3.1).
        AlgorithmRefused = "algorithm-refused", "Algorithme de signature refuse", "Signature algorithm refused";
        /// Not one of the configured issuers.
        IssuerUnknown = "issuer-unknown", "Jeton non emis par Pro Sante Connect", "Token not issued by Pro Sante Connect";
        /// A claim that the rules need is absent.
        ClaimMissing = "claim-missing", "Jeton incomplet", "Claim missing";
        /// `exp` has passed.
        TokenExpired = "token-expired", "Jeton expire", "Token expired";
        /// `nbf` or `iat` lies in the future.
        TokenNotYetValid = "token-not-yet-valid", "Jeton pas encore valide", "Token not yet valid";
        /// Payload `typ` is not Bearer.
        TokenNotBearer = "token-not-bearer", "Ce jeton n'est pas un jeton d'acces", "Not an access token";
        /// `acr` outside the accepted set.
        AssuranceRefused = "assurance-refused", "Niveau d'authentification refuse", "Assurance level refused";
        /// `azp` denied or not allowed.
        ClientRefused = "client-refused", "Logiciel non autorise", "Client software refused";
        /// `aud` does not match.
        AudienceRefused = "audience-refused", "Jeton destine a un autre service", "Token meant for another service";
        /// The provider's session is older than the total length.
        SessionExpired = "session-expired", "Session Pro Sante Connect trop ancienne", "Session too old";
        /// `sid` and `session_state` differ.
        SessionInconsistent = "session-inconsistent", "Session incoherente", "Inconsistent session";
        /// No usable national identifier.
        IdentityMissing = "identity-missing", "Identifiant national absent", "National identifier missing";
        /// The token's identifiers disagree.
        IdentityInconsistent = "identity-inconsistent", "Identifiants incoherents", "Inconsistent identifiers";
        /// The issuer says that the token is not active.
        TokenInactive = "token-inactive", "Jeton revoque", "Token no longer active";
        /// Introspection answered for another subject, session or client.
        IntrospectionMismatch = "introspection-mismatch", "Introspection discordante", "Introspection mismatch";
        /// The mailbox asked for is not an address.
        MailboxMalformed = "mailbox-malformed", "Adresse de boite invalide", "Malformed mailbox address";
        /// The mailbox asked for is not the person's.
        MailboxRefused = "mailbox-refused", "Boite non autorisee pour ce professionnel", "Mailbox not allowed for this professional";
        /// The person has no mailbox that a token may open.
        NoMailbox = "no-mailbox", "Aucune boite pour ce professionnel", "No mailbox for this professional";

        /// The certificate names no structure: it is a person's.
        StructureMissing = "structure-missing", "Certificat sans structure", "Certificate without a structure";
        /// The certificate names more than one structure.
        StructureAmbiguous = "structure-ambiguous", "Certificat de plusieurs structures", "Certificate of several structures";
        /// What the certificate names is not a structure's identifier.
        StructureMalformed = "structure-malformed", "Identifiant de structure invalide", "Malformed structure identifier";
        /// The certificate is not valid yet.
        CertificateNotYetValid = "certificate-not-yet-valid", "Certificat pas encore valide", "Certificate not yet valid";
        /// The certificate is not valid any more.
        CertificateExpired = "certificate-expired", "Certificat expire", "Certificate expired";
        /// The certificate, or an authority above it, was revoked, or the operator withdrew it.
        CertificateRevoked = "certificate-revoked", "Certificat revoque", "Certificate revoked";
        /// There is no such mailbox, or it is none of the structure's.
        StructureRefused = "structure-refused", "Boite non autorisee pour cette structure", "Mailbox not allowed for this structure";
        /// The mailbox is a person's: no certificate of a structure opens it.
        MailboxPersonal = "mailbox-personal", "Boite personnelle fermee aux certificats", "Personal mailbox closed to certificates";
        /// The chain does not open mailboxes of this domain.
        ChainRefused = "chain-refused", "Certificat d'une autre chaine", "Certificate of another chain";
        /// The mailbox is for other certificates of the structure.
        CertificateRefused = "certificate-refused", "Certificat non autorise pour cette boite", "Certificate not allowed for this mailbox";
        /// The mailbox is for certain certificates, and the mail server does not tell which one this is.
        CertificateUnidentified = "certificate-unidentified", "Certificat non identifie par ce serveur", "Certificate not identified by this server";

        /// No certificate that the mail server verified.
        CertificateMissing = "certificate-missing", "Certificat absent ou refuse", "Certificate missing or not accepted";
        /// The certificate is not enrolled, or none of the structure is.
        CertificateUnknown = "certificate-unknown", "Certificat non enregistre", "Certificate not enrolled";
        /// One of the structure's certificates was withdrawn, and the mail server does not tell whether this is the
        /// one.
        CertificateUndetermined = "certificate-undetermined", "Certificat peut-etre retire", "Certificate perhaps withdrawn";
        /// Rail: the directory does not give the mailbox to the structure.
        RailStructure = "rail-structure", "Boite refusee", "Mailbox refused";
        /// Rail: no known chain vouches for the certificate, or not for this domain.
        RailChain = "rail-chain", "Certificat refuse", "Certificate refused";
        /// Rail: the certificate is not valid now, or was revoked.
        RailCertificate = "rail-certificate", "Certificat refuse", "Certificate refused";

        /// The issuer publishes no such key.
        KeyUnknown = "key-unknown", "Cle de signature inconnue", "Unknown signing key";
        /// The key does not fit the token's algorithm (RFC 8725 section 3.1).
        KeyUnfit = "key-unfit", "Cle inadaptee a l'algorithme", "Key does not fit the algorithm";
        /// The signature does not hold.
        SignatureInvalid = "signature-invalid", "Signature invalide", "Invalid signature";
        /// Rail: the policy pointed at bytes that are not the token presented.
        RailToken = "rail-token", "Jeton refuse", "Token refused";
        /// Rail: the payload names another issuer than the one whose keys were used.
        RailIssuer = "rail-issuer", "Emetteur refuse", "Issuer refused";
        /// Rail: `exp` plus the leeway has passed.
        RailExpired = "rail-expired", "Jeton expire", "Token expired";
        /// Rail: the total session length has passed.
        RailSession = "rail-session", "Session trop ancienne", "Session too old";
        /// Rail: the verdict rests on an identity that the proven payload does not carry.
        RailIdentity = "rail-identity", "Identite refusee", "Identity refused";
        /// Rail: nothing is left of the grant after directory and domains.
        RailMailbox = "rail-mailbox", "Boite refusee", "Mailbox refused";
        /// The person may open more mailboxes than one answer can carry.
        TooManyMailboxes = "too-many-mailboxes", "Trop de boites pour une reponse", "Too many mailboxes for one answer";

        /// After-auth: a token login without a handle.
        HandleMissing = "handle-missing", "Session non reconnue", "Handle missing";
        /// After-auth: a handle never issued, or forgotten since.
        HandleUnknown = "handle-unknown", "Session non reconnue", "Handle unknown";
        /// After-auth: a handle that was used before.
        HandleUsed = "handle-used", "Session deja utilisee", "Handle already used";
        /// After-auth: a handle older than its life.
        HandleStale = "handle-stale", "Session trop ancienne", "Handle too old";
        /// After-auth: a mailbox outside the answered set.
        HandleMailbox = "handle-mailbox", "Boite non autorisee", "Mailbox not allowed";
        /// After-auth: a mechanism that the configuration does not list.
        MechanismRefused = "mechanism-refused", "Mecanisme refuse", "Mechanism refused";

        /// Ticket: never issued, or forgotten since.
        TicketUnknown = "ticket-unknown", "Ticket inconnu", "Ticket unknown";
        /// Ticket: redeemed before.
        TicketUsed = "ticket-used", "Ticket deja utilise", "Ticket already used";
        /// Ticket: older than its life.
        TicketExpired = "ticket-expired", "Ticket expire", "Ticket expired";
        /// Ticket: for another mailbox.
        TicketMailbox = "ticket-mailbox", "Ticket d'une autre boite", "Ticket for another mailbox";
    }
}

reasons! {
    /// Why no decision could be made: an outage, never a bad credential.
    UnavailableReason {
        /// No usable keys of the issuer.
        KeysUnavailable = "keys-unavailable", "Pro Sante Connect injoignable, reessayez", "Keys unavailable, try again";
        /// The required introspection could not be had.
        IntrospectionUnavailable = "introspection-unavailable", "Pro Sante Connect injoignable, reessayez", "Introspection unavailable, try again";
        /// Whether a certificate was revoked is not known.
        RevocationUnavailable = "revocation-unavailable", "Revocation non verifiable, reessayez", "Revocation can't be checked, try again";
        /// The policy trapped.
        PolicyTrapped = "policy-trapped", "Service momentanement indisponible", "Temporarily unavailable";
        /// The policy took longer than its deadline.
        PolicyTimeout = "policy-timeout", "Service momentanement indisponible", "Temporarily unavailable";
        /// The policy wanted more memory, tables or instances than it may have.
        PolicyLimit = "policy-limit", "Service momentanement indisponible", "Temporarily unavailable";
        /// The store did not answer in time, or could not write.
        StoreUnavailable = "store-unavailable", "Service momentanement indisponible", "Temporarily unavailable";
        /// More logins in flight than the sidecar takes.
        Overloaded = "overloaded", "Service surcharge, reessayez", "Overloaded, try again";
        /// Submission: the mail server names a login that this process did not see, or has forgotten.
        LoginUnknown = "login-unknown", "Session inconnue, reconnectez-vous", "Login unknown, log in again";
        /// Submission: the policy asks for the trust space, and no list of it was imported.
        TrustSpaceUnavailable = "trust-space-unavailable", "Espace de confiance non verifiable, reessayez", "Trust space can't be checked, try again";
    }
}

reasons! {
    /// Why a message is not taken for submission.
    SubmissionReason {
        /// No one is logged in.
        NotAuthenticated = "not-authenticated", "Authentification requise", "Authentication required";
        /// The sender is not an ASCII mailbox address.
        SenderMalformed = "sender-malformed", "Adresse d'expediteur invalide", "Malformed sender address";
        /// The sender is not the login's: neither a mailbox of it nor an alias.
        SenderRefused = "sender-refused", "Expediteur non autorise pour cette session", "Sender not allowed for this login";
        /// The connection is not encrypted, or by a version of TLS below the floor.
        TlsTooOld = "tls-too-old", "Version de TLS refusee", "TLS version refused";
        /// More recipients than one message may have.
        TooManyRecipients = "too-many-recipients", "Trop de destinataires", "Too many recipients";
        /// The recipient is not in the trust space.
        RecipientRefused = "recipient-refused", "Destinataire hors de l'espace de confiance", "Recipient outside the trust space";
        /// Rail: the sender is not an address that the directory gives to the person.
        RailSender = "rail-sender", "Expediteur refuse", "Sender refused";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_unique_and_kebab_case() {
        let codes: Vec<&str> = DenyReason::ALL
            .iter()
            .map(|r| r.code())
            .chain(UnavailableReason::ALL.iter().map(|r| r.code()))
            .chain(SubmissionReason::ALL.iter().map(|r| r.code()))
            .collect();
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    }

    #[test]
    fn every_message_is_one_short_ascii_line() {
        for message in DenyReason::ALL
            .iter()
            .map(|r| r.message())
            .chain(UnavailableReason::ALL.iter().map(|r| r.message()))
            .chain(SubmissionReason::ALL.iter().map(|r| r.message()))
        {
            assert!(message.bytes().all(|b| (0x20..0x7f).contains(&b)), "{message}");
            assert!(message.len() <= 120, "{message}");
        }
    }
}
