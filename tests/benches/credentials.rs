//! Who logs in, with what: one person, one mailbox, tokens as large as real ones.

use std::sync::Arc;

use anyhow::Context as _;
use octroi_psc::{Algorithm, SigningKey, Token};
use serde_json::json;

/// The one mailbox of the person who logs in.
pub(crate) const MAILBOX: &str = "docteur.deux@bal.example.test";

/// How that mailbox stands in the introspection door's answer.
pub(crate) const MAILBOX_PATTERN: &str = "docteur[.]deux@bal[.]example[.]test";

/// `iss` of every token.
pub(crate) const ISSUER: &str = "https://psc.example.test/auth/realms/esante-wallet";

/// `aud` of every token: HAProxy's usual configuration checks one, so both check one.
pub(crate) const AUDIENCE: &str = "bal.example.test";

/// Bytes of a token: about 1350 bytes of claims, as Pro Sante Connect's.
pub(crate) const SIZE: usize = 2250;

/// Tokens in rotation.
pub(crate) const TOKENS: usize = 100;

/// A key and tokens that it signed.
pub(crate) struct Credentials {
    key: Arc<SigningKey>,
    tokens: Vec<String>,
}

impl Credentials {
    /// Signs [`TOKENS`] different tokens, issued a minute ago and good for two hours.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let key = Arc::new(SigningKey::generate("bench-1", Algorithm::Rs256)?);
        let now = octroi::clock::Clock::system().now().0;
        let tokens = (0..TOKENS).map(|_| token(&key, now)).collect::<anyhow::Result<_>>()?;
        Ok(Self { key, tokens })
    }

    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// A token like the others with a signature over other bytes: whoever accepts it verifies nothing.
    ///
    /// # Errors
    /// There are no tokens.
    pub(crate) fn forged(&self) -> anyhow::Result<String> {
        let [one, another] = self.tokens.first_chunk().context("two tokens")?;
        let (signed, _) = one.rsplit_once('.').context("a token has dots")?;
        let (_, signature) = another.rsplit_once('.').context("a token has dots")?;
        Ok(format!("{signed}.{signature}"))
    }

    /// The key pair, for a provider that publishes it.
    ///
    /// # Errors
    /// The key can't be copied.
    pub(crate) fn key(&self) -> anyhow::Result<SigningKey> {
        SigningKey::rsa_from_pkcs8(self.key.kid(), &self.key.to_pkcs8()?)
    }

    /// The public key as a key set (RFC 7517).
    ///
    /// # Errors
    /// The key can't be written.
    pub(crate) fn jwks(&self) -> anyhow::Result<String> {
        Ok(json!({"keys": [self.key.jwk()?]}).to_string())
    }

    /// The public key as PEM.
    ///
    /// # Errors
    /// The key can't be written.
    pub(crate) fn public_pem(&self) -> anyhow::Result<String> {
        self.key.public_pem()
    }
}

/// The claims of the sandbox's tokens, and some of its user information, which real ones carry too: what a parser meets
/// is many small members, not one large one.
fn token(key: &Arc<SigningKey>, now: u64) -> anyhow::Result<String> {
    let token = Token::new(key, ISSUER, &octroi_psc::doctor_two(), now - 60)
        .claim("exp", now + 7200)
        .claim("aud", AUDIENCE)
        .claim("given_name", "Sacha")
        .claim("family_name", "DEUX")
        .claim("email_verified", false)
        .claim("SubjectOrganization", "CABINET DEUX")
        .claim("Mode_Acces_Raison", "")
        .claim("Acces_Regulation_Medicale", "FAUX")
        .claim("SubjectRole", json!(["10^1.2.250.1.213.1.1.5.5"]))
        .claim("PSI_Locale", "1.2.250.1.213.1.3.1.1")
        .claim("otherIds", json!([{"identifiant": "899700000022", "origine": "RPPS", "qualite": 1}]))
        .claim("realm_access", json!({"roles": ["offline_access", "uma_authorization"]}));
    token.sized(SIZE).try_mint()
}
