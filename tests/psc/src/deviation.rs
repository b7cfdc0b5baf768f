//! Every way in which a token departs from a good one, by name.
//!
//! Owns the list that table-driven tests, the demo and the command line share. It says what a token *is*, never what a
//! policy ought to answer: some departures are harmless, and their doc comments say so.

use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use crate::keys::{Algorithm, SigningKey};
use crate::shape::{Form, Seal};
use crate::token::{ACCESS_LIFETIME, Token};

/// Total length of a Pro Santé Connect session: 4 hours.
pub const SESSION_TOTAL: u64 = 4 * 3600;

/// One departure. The name on the command line is the variant's in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(
    missing_docs,
    reason = "each variant's comment is also the help text, where there is more to say than its name"
)]
pub enum Deviation {
    /// `exp` passed ten minutes ago
    Expired,
    /// `exp` is a text
    ExpiryAsText,
    /// `exp` is negative
    ExpiryNegative,
    /// `exp` is beyond what a 64-bit integer holds
    ExpiryHuge,
    NoExpiry,
    /// `nbf` lies ten minutes ahead
    NotYetValid,
    /// `iat` (and `auth_time`, `exp`) lie ten minutes ahead
    IssuedInFuture,
    /// `iss` of nobody known, everything else true
    OtherIssuer,
    /// `iss` with a slash more
    IssuerWithSlash,
    NoIssuer,
    /// one bit of the signature turned
    BadSignature,
    /// nothing after the last dot
    NoSignature,
    /// signed by a stranger's key under the true kid
    StrangersKey,
    /// a true signature, over one byte more
    SignedOverOtherBytes,
    /// `alg` none, no signature
    AlgNone,
    /// `alg` nOnE, no signature
    AlgNoneMixedCase,
    NoAlg,
    /// HS256 with the public key (PEM) as secret
    Hs256WithPublicKey,
    /// `alg` says PS256, the signature is RS256
    AlgOfAnotherScheme,
    /// `alg` ES256 with r = s = 0
    PsychicSignature,
    UnknownKid,
    /// Harmless where the issuer publishes one key
    NoKid,
    /// `kid` is a path
    KidTraversal,
    /// `kid` is a number
    KidAsNumber,
    /// Harmless: header `typ` at+jwt
    TypAtJwt,
    /// Harmless: no header `typ`
    NoHeaderTyp,
    /// header `typ` logout+jwt
    TypOther,
    /// an unknown critical parameter
    Crit,
    /// `crit` is empty
    CritEmpty,
    /// a stranger's key, carried in `jwk`
    EmbeddedJwk,
    /// a stranger's key, pointed at by `jku`
    EmbeddedJku,
    /// a stranger's key, pointed at by `x5u`
    EmbeddedX5u,
    /// a stranger's key, carried in `x5c`
    EmbeddedX5c,
    /// `alg` twice: first the true one, then none
    DuplicateHeader,
    /// `SubjectNameID` twice
    DuplicateClaim,
    /// a member twice within a claim
    DuplicateNested,
    /// a member twice, the second time written with an escape
    DuplicateEscaped,
    TwoParts,
    FourParts,
    /// five parts, as an encrypted token
    FiveParts,
    /// flattened JSON serialization
    JsonSerialization,
    /// `=` at the end of parts
    PaddedBase64,
    /// the alphabet with + and /
    StandardBase64,
    /// bits set after the last byte
    TrailingBits,
    /// a line break within the payload
    LineBreak,
    /// cut off within the signature
    Truncated,
    /// the payload is no JSON
    PayloadNotJson,
    /// the payload is an array
    PayloadArray,
    /// a byte more after the payload's JSON
    PayloadTrailing,
    /// the header is no JSON
    HeaderNotJson,
    /// a payload nested 600 deep
    Deep,
    /// `auth_time` is four hours and a minute ago, the token itself fresh
    OldSession,
    /// Harmless: no `auth_time`
    NoAuthTime,
    NoIssuedAt,
    NoAcr,
    /// `acr` 0
    AcrLow,
    NoAzp,
    /// `azp` of another client
    AzpOther,
    /// Harmless unless an audience is configured: `aud` of another service
    AudOther,
    /// Harmless unless an audience is configured: `aud` is a list
    AudList,
    /// payload `typ` ID
    IdToken,
    /// payload `typ` Refresh
    RefreshToken,
    /// Harmless: no payload `typ`
    NoTyp,
    NoSubject,
    /// Harmless: falls back on `preferred_username`
    NoSubjectNameId,
    /// Harmless: falls back on the tail of `sub`
    OnlySubject,
    /// none of `SubjectNameID`, `preferred_username`, `sub`
    NoIdentity,
    /// `SubjectNameID` empty, the others absent
    IdentityEmpty,
    /// `preferred_username` names someone else
    IdentitiesDiffer,
    /// `sid` and `session_state` differ
    SessionsDiffer,
    /// Harmless: neither `sid` nor `session_state`
    NoSession,
}

impl Deviation {
    /// Every departure, in order.
    #[must_use]
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Token {
    /// Departs from the good token. Several departures add up where they touch different things.
    ///
    /// One arm a departure, long on purpose: the compiler then sees that none is forgotten.
    ///
    /// # Errors
    /// When a stranger's key is needed and can't be made.
    pub fn deviate(self, deviation: Deviation) -> Result<Self> {
        use Deviation as D;
        let now = self.now();
        Ok(match deviation {
            D::Expired => self.issued_ago(600 + i64::try_from(ACCESS_LIFETIME)?),
            D::ExpiryAsText => self.claim("exp", (now + ACCESS_LIFETIME).to_string()),
            D::ExpiryNegative => self.claim("exp", -1),
            D::ExpiryHuge => self.raw_claim("exp", "36893488147419103232"),
            D::NoExpiry => self.without("exp"),
            D::NotYetValid => self.claim("nbf", now + 600),
            D::IssuedInFuture => self.issued_ago(-600),
            D::OtherIssuer => self.claim("iss", "https://auth.example.test/auth/realms/another-wallet"),
            D::IssuerWithSlash => self.with_slash_after_issuer(),
            D::NoIssuer => self.without("iss"),
            D::BadSignature => self.of_a_while_ago().seal(Seal::Flipped),
            D::NoSignature => self.seal(Seal::Empty),
            D::StrangersKey => {
                let stranger = self.stranger()?;
                self.of_a_while_ago().seal(Seal::By(stranger))
            }
            D::SignedOverOtherBytes => self.of_a_while_ago().seal(Seal::OtherBytes),
            D::AlgNone => self.header("alg", "none").seal(Seal::Empty),
            D::AlgNoneMixedCase => self.header("alg", "nOnE").seal(Seal::Empty),
            D::NoAlg => self.without_header("alg"),
            D::Hs256WithPublicKey => {
                let secret = self.key().public_pem()?.into_bytes();
                self.header("alg", "HS256").seal(Seal::Hmac(secret))
            }
            D::AlgOfAnotherScheme => {
                let other = if self.key().algorithm() == Algorithm::Ps256 { "RS256" } else { "PS256" };
                self.header("alg", other)
            }
            D::PsychicSignature => self.header("alg", "ES256").seal(Seal::Bytes(vec![0; 64])),
            D::UnknownKid => self.header("kid", "nobody-published-this"),
            D::NoKid => self.without_header("kid"),
            D::KidTraversal => self.header("kid", "../../../../etc/passwd"),
            D::KidAsNumber => self.header("kid", 7),
            D::TypAtJwt => self.header("typ", "at+jwt"),
            D::NoHeaderTyp => self.without_header("typ"),
            D::TypOther => self.header("typ", "logout+jwt"),
            D::Crit => self.header("crit", json!(["exp-at"])).header("exp-at", now),
            D::CritEmpty => self.header("crit", json!([])),
            D::EmbeddedJwk => {
                let stranger = self.stranger()?;
                self.of_a_while_ago().header("jwk", stranger.jwk()?).seal(Seal::By(stranger))
            }
            D::EmbeddedJku => self.pointing_at_a_strangers_key("jku", json!("https://keys.example.test/jwks.json"))?,
            D::EmbeddedX5u => self.pointing_at_a_strangers_key("x5u", json!("https://keys.example.test/chain.pem"))?,
            D::EmbeddedX5c => self.pointing_at_a_strangers_key("x5c", json!(["MIIBszCCAVmgAwIBAgIUAAAA"]))?,
            D::DuplicateHeader => self.header_again("alg", "none"),
            D::DuplicateClaim => self.claim_again("SubjectNameID", "899700000099"),
            D::DuplicateNested => self.raw_claim("realm_access", r#"{"roles":["a"],"roles":["b"]}"#),
            D::DuplicateEscaped => self.raw_claim("padding", r#"0,"\u0065xp":32503680000"#),
            D::TwoParts => self.form(Form::TwoParts),
            D::FourParts => self.form(Form::FourParts),
            D::FiveParts => self.header("alg", "RSA-OAEP-256").header("enc", "A256GCM").form(Form::FiveParts),
            D::JsonSerialization => self.form(Form::Json),
            D::PaddedBase64 => self.form(Form::Padded),
            // A run of question marks holds a `/` in that alphabet wherever it falls.
            D::StandardBase64 => self.claim("marks", "????????????").form(Form::StandardAlphabet),
            D::TrailingBits => self.form(Form::TrailingBits),
            D::LineBreak => self.form(Form::LineBreak),
            D::Truncated => self.of_a_while_ago().form(Form::Truncated),
            D::PayloadNotJson => self.raw_payload("exp=32503680000"),
            D::PayloadArray => self.raw_payload("[]"),
            D::PayloadTrailing => {
                let payload = format!("{}}}", self.payload_json());
                self.raw_payload(payload)
            }
            D::HeaderNotJson => self.raw_header("alg=RS256"),
            D::Deep => self.raw_claim("deep", &format!("{}{}", "[".repeat(600), "]".repeat(600))),
            D::OldSession => self.claim("auth_time", now.saturating_sub(SESSION_TOTAL + 60)),
            D::NoAuthTime => self.without("auth_time"),
            D::NoIssuedAt => self.without("iat").without("auth_time"),
            D::NoAcr => self.without("acr"),
            D::AcrLow => self.claim("acr", "0"),
            D::NoAzp => self.without("azp"),
            D::AzpOther => self.claim("azp", "another-client"),
            D::AudOther => self.claim("aud", "another-service"),
            D::AudList => self.claim("aud", json!(["account", "another-service"])),
            D::IdToken => self.claim("typ", "ID"),
            D::RefreshToken => self.claim("typ", "Refresh"),
            D::NoTyp => self.without("typ"),
            D::NoSubject => self.without("sub"),
            D::NoSubjectNameId => self.without("SubjectNameID"),
            D::OnlySubject => self.without("SubjectNameID").without("preferred_username"),
            D::NoIdentity => self.without("SubjectNameID").without("preferred_username").without("sub"),
            D::IdentityEmpty => self.claim("SubjectNameID", "").without("preferred_username").without("sub"),
            D::IdentitiesDiffer => self.claim("preferred_username", "899700000099"),
            D::SessionsDiffer => self.claim("session_state", "00000000-0000-4000-8000-000000000000"),
            D::NoSession => self.without("sid").without("session_state"),
        })
    }

    fn stranger(&self) -> Result<Arc<SigningKey>> {
        Ok(Arc::new(SigningKey::generate("stranger", self.key().algorithm())?))
    }

    fn pointing_at_a_strangers_key(self, parameter: &str, value: serde_json::Value) -> Result<Self> {
        let stranger = self.stranger()?;
        Ok(self.header(parameter, value).header("kid", "stranger").seal(Seal::By(stranger)))
    }
}
