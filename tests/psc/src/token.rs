//! Tokens: shaped as Pro Santé Connect's, and every departure from that shape that a test may want.
//!
//! Owns the builder and the compact serialization. Members are kept as text and in order, so that a token can carry
//! what no JSON library would write: a member twice, a number that isn't one, any raw bytes.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::encode::{random_uuid, url64, url64_len};
use crate::identity::Identity;
use crate::keys::SigningKey;
use crate::shape::{Form, Seal};

/// Seconds an access token lives.
pub const ACCESS_LIFETIME: u64 = 120;
/// Identifier of the user federation within `sub` (`f:<federation>:<idNat>`), invented.
pub const FEDERATION: &str = "5a1e0c3d-6f27-4b8e-9d10-0c7a11d0e5e7";
/// `azp` of a token minted without going through the authorization endpoint.
pub const DEFAULT_AZP: &str = "lps-d-essai";

/// A token being made. Each method takes the token and gives it back; [`Token::mint`] writes it.
#[derive(Clone)]
pub struct Token {
    header: Members,
    payload: Members,
    key: Arc<SigningKey>,
    now: u64,
    seal: Seal,
    form: Form,
    size: Option<usize>,
    raw_header: Option<Vec<u8>>,
    raw_payload: Option<Vec<u8>>,
}

impl Token {
    /// A good access token of `identity`, issued and authenticated at `now` (seconds), alive for [`ACCESS_LIFETIME`].
    #[must_use]
    pub fn new(key: &Arc<SigningKey>, issuer: &str, identity: &Identity, now: u64) -> Self {
        // Without a random source nothing here could run; an empty identifier then shows up in the test at once.
        let (jti, session) = (random_uuid().unwrap_or_default(), random_uuid().unwrap_or_default());
        let token = Self {
            header: Members::default(),
            payload: Members::default(),
            key: key.clone(),
            now,
            seal: Seal::Honest,
            form: Form::Compact,
            size: None,
            raw_header: None,
            raw_payload: None,
        };
        token
            .header("alg", key.algorithm().name())
            .header("typ", "JWT")
            .header("kid", key.kid())
            .claim("exp", now + ACCESS_LIFETIME)
            .claim("iat", now)
            .claim("auth_time", now)
            .claim("jti", jti)
            .claim("iss", issuer)
            .claim("sub", format!("f:{FEDERATION}:{}", identity.id_nat))
            .claim("typ", "Bearer")
            .claim("azp", DEFAULT_AZP)
            .claim("session_state", session.clone())
            .claim("acr", "eidas1")
            .claim("scope", "openid scope_all")
            .claim("sid", session)
            .claim("preferred_username", identity.id_nat.clone())
            .claim("SubjectNameID", identity.id_nat.clone())
    }

    /// Seconds at which the token says it was issued.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The key that the header names and that signs, unless changed.
    #[must_use]
    pub fn key(&self) -> Arc<SigningKey> {
        self.key.clone()
    }

    /// Sets a claim, in its place when it is there already.
    #[must_use]
    pub fn claim(self, name: &str, value: impl Into<Value>) -> Self {
        self.raw_claim(name, &value.into().to_string())
    }

    /// Sets a claim to JSON text that is written as it stands.
    #[must_use]
    pub fn raw_claim(mut self, name: &str, json: &str) -> Self {
        self.payload.set(name, json);
        self
    }

    /// Adds a claim at the end, even when the payload has it already.
    #[must_use]
    pub fn claim_again(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.payload.add(name, &value.into().to_string());
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.payload.remove(name);
        self
    }

    /// Sets a header parameter, in its place when it is there already.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.set(name, &value.into().to_string());
        self
    }

    /// Adds a header parameter at the end, even when the header has it already.
    #[must_use]
    pub fn header_again(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.add(name, &value.into().to_string());
        self
    }

    /// Removes a header parameter.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Issued and authenticated `seconds` before (negative: after) the time it was made for; `exp` moves along.
    #[must_use]
    pub fn issued_ago(self, seconds: i64) -> Self {
        let at = self.now.saturating_add_signed(seconds.saturating_neg());
        self.claim("iat", at).claim("auth_time", at).claim("exp", at + ACCESS_LIFETIME)
    }

    /// Issued before the keys were last asked for, and not yet expired: such a token can't be signed with a key that
    /// nobody has seen yet, so that a signature that does not hold is bad for certain.
    pub(crate) fn of_a_while_ago(self) -> Self {
        let at = self.now.saturating_sub(ACCESS_LIFETIME / 2);
        self.claim("iat", at)
    }

    pub(crate) fn with_slash_after_issuer(self) -> Self {
        let issuer = self.payload.text("iss").trim_matches('"').to_owned();
        self.claim("iss", format!("{issuer}/"))
    }

    pub(crate) fn payload_json(&self) -> String {
        self.payload.json()
    }

    /// Another key signs, and the header says so: `alg` and `kid` are its own.
    #[must_use]
    pub fn signed_by(mut self, key: &Arc<SigningKey>) -> Self {
        self.key = key.clone();
        self.header("alg", key.algorithm().name()).header("kid", key.kid())
    }

    /// Changes what stands in the place of the signature.
    #[must_use]
    pub fn seal(mut self, seal: Seal) -> Self {
        self.seal = seal;
        self
    }

    /// Changes how the parts are written down.
    #[must_use]
    pub const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Brings the compact form to exactly `bytes` bytes, with a claim `filler` and blanks in the header.
    #[must_use]
    pub const fn sized(mut self, bytes: usize) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Writes these bytes as the header instead of the members.
    #[must_use]
    pub fn raw_header(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(bytes.into());
        self
    }

    /// Writes these bytes as the payload instead of the members.
    #[must_use]
    pub fn raw_payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_payload = Some(bytes.into());
        self
    }

    /// Writes the token.
    ///
    /// # Panics
    /// Where [`Token::try_mint`] gives an error.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that can't have the token it asked for must fail there")]
    pub fn mint(self) -> String {
        self.try_mint().expect("the token can be written")
    }

    /// Writes the token.
    ///
    /// # Errors
    /// When nothing can sign, or when the size asked for is below what the claims take.
    pub fn try_mint(self) -> Result<String> {
        let header = self.raw_header.clone().unwrap_or_else(|| self.header.json().into_bytes());
        let payload = self.raw_payload.clone().unwrap_or_else(|| self.payload.json().into_bytes());
        let (header, payload) = match self.size {
            Some(size) => self.fill(header, size)?,
            None => (header, payload),
        };
        let signed = format!("{}.{}", url64(&header), url64(&payload));
        let signature = self.seal.make(&self.key, &signed)?;
        Ok(self.form.write(&header, &payload, &signature))
    }

    /// Base64url has no text of 1 mod 4 letters: up to three blanks in the header shift what is left for the payload.
    fn fill(&self, header: Vec<u8>, size: usize) -> Result<(Vec<u8>, Vec<u8>)> {
        let fixed = url64_len(self.key.algorithm().signature_len()) + 2;
        let bare = self.payload.clone().with("filler", "\"\"").json().len();
        for blanks in 0..4 {
            let taken = fixed + url64_len(header.len() + blanks);
            let letters = size.checked_sub(taken).context("the size is below that of an empty token")?;
            if letters % 4 == 1 {
                continue;
            }
            let filler = (letters * 3 / 4).checked_sub(bare).context("the size is below that of the claims")?;
            let payload = self.payload.clone().with("filler", &Value::from("x".repeat(filler)).to_string()).json();
            let header = [header.as_slice(), " ".repeat(blanks).as_bytes()].concat();
            ensure!(taken + url64_len(payload.len()) == size, "the filler missed the size");
            return Ok((header, payload.into_bytes()));
        }
        anyhow::bail!("no number of blanks makes the size possible")
    }
}

/// Members of a JSON object as text, in order, repetition allowed.
#[derive(Clone, Default)]
struct Members(Vec<(String, String)>);

impl Members {
    fn set(&mut self, name: &str, json: &str) {
        match self.0.iter_mut().find(|(existing, _)| existing == name) {
            Some((_, value)) => *value = json.to_owned(),
            None => self.add(name, json),
        }
    }

    fn add(&mut self, name: &str, json: &str) {
        self.0.push((name.to_owned(), json.to_owned()));
    }

    fn with(mut self, name: &str, json: &str) -> Self {
        self.add(name, json);
        self
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(existing, _)| existing != name);
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(existing, _)| existing == name).map_or("", |(_, json)| json)
    }

    fn json(&self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(name, json)| format!("{}:{json}", Value::from(name.as_str()))).collect();
        format!("{{{}}}", members.join(","))
    }
}
