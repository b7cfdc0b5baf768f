//! The stand-in's state: who its clients are, who is logged in, which tokens it takes for valid.
//!
//! Owns every table. HTTP is not known here; time comes from the realm's clock alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm as JwsAlgorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::assertion;
use crate::bounded::Bounded;
use crate::client::{Client, Proof, Shown, claimed};
use crate::clock::Clock;
use crate::deviation::SESSION_TOTAL;
use crate::encode::{random_text, random_uuid, sha256, url64, url64_bytes};
use crate::endpoints::{Call, Endpoint};
use crate::fault::Faults;
use crate::form::Form;
use crate::identity::Identity;
use crate::keys::Keys;
use crate::token::Token;

/// Seconds a refresh token lives.
pub const REFRESH_LIFETIME: u64 = 30 * 60;
/// Seconds an authorization code lives.
pub const CODE_LIFETIME: u64 = 60;

/// What introspection says of a token, whatever the token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// `{"active":false}`.
    Inactive,
    /// This answer.
    Answer(Value),
}

/// One call of the introspection endpoint, as it came. It holds a token: it has no `Debug`.
#[derive(Clone)]
pub struct IntrospectionCall {
    /// The client that called.
    pub client_id: String,
    /// How it showed who it is.
    pub shown: Shown,
    /// Every parameter of the form.
    pub form: Form,
    /// `Host` of the request: which of the endpoint's names was called.
    pub host: String,
}

/// One authentication of one person through one client.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) identity: Identity,
    pub(crate) client_id: String,
    pub(crate) sid: String,
    pub(crate) auth_time: u64,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: String,
}

/// What an authorization code stands for.
pub(crate) struct CodeGrant {
    pub(crate) login: Login,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) expires_at: u64,
}

struct RefreshGrant {
    login: Login,
    expires_at: u64,
}

#[derive(Default)]
struct Tables {
    clients: HashMap<String, Client>,
    codes: Bounded<CodeGrant>,
    refresh: Bounded<RefreshGrant>,
    ended_sessions: Bounded<()>,
    revoked: Bounded<()>,
    assertions: Bounded<()>,
    said: Bounded<Said>,
    said_of_all: Option<Said>,
    last_introspection: Option<IntrospectionCall>,
    asked_about: Bounded<()>,
    calls: HashMap<Endpoint, u64>,
    certs_cache_control: Option<String>,
}

pub(crate) struct Realm {
    pub(crate) issuer: String,
    pub(crate) clock: Clock,
    pub(crate) keys: Keys,
    pub(crate) faults: Faults,
    pub(crate) identities: Vec<Identity>,
    tables: Mutex<Tables>,
}

/// A fresh pair of tokens.
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) id: String,
    pub(crate) refresh: String,
    pub(crate) login: Login,
}

impl Realm {
    pub(crate) fn new(issuer: String, clock: Clock, keys: Keys, identities: Vec<Identity>) -> Self {
        Self { issuer, clock, keys, faults: Faults::default(), identities, tables: Mutex::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, client: Client) {
        self.tables().clients.insert(client.id.clone(), client);
    }

    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        self.tables().clients.get(id).cloned()
    }

    /// The client whose credentials hold, and how it showed them. A public client shows its identifier alone, a
    /// confidential one never may.
    pub(crate) fn caller(&self, call: &Call) -> Option<(Client, Shown)> {
        let claimed = claimed(&call.headers, &call.body)?;
        let client = self.client(&claimed.id)?;
        // Digests are compared, so that the time taken tells nothing of the secret.
        let is_secret = |shown: &str| {
            client.secret.as_deref().is_some_and(|secret| sha256(secret.as_bytes()) == sha256(shown.as_bytes()))
        };
        let (holds, shown) = match &claimed.proof {
            Proof::Basic(secret) => (is_secret(secret), Shown::Basic),
            Proof::Post(secret) => (is_secret(secret), Shown::Post),
            Proof::Assertion(assertion) => (self.is_assertion_of(&client, assertion), Shown::Assertion),
            Proof::Elsewhere if client.certificate.is_some() => {
                (client.certificate == call.certificate, Shown::Certificate)
            }
            Proof::Elsewhere => (client.secret.is_none() && client.key.is_none(), Shown::Public),
        };
        holds.then_some((client, shown))
    }

    /// Whether an assertion is the client's, made for this issuer, in time, and shown for the first time.
    fn is_assertion_of(&self, client: &Client, assertion: &str) -> bool {
        let Some(key) = &client.key else { return false };
        let Some(jti) = assertion::holds(assertion, key, &client.id, &self.issuer, self.clock.now()) else {
            return false;
        };
        let mut tables = self.tables();
        let name = format!("{} {jti}", client.id);
        let first = !tables.assertions.contains(&name);
        tables.assertions.insert(name, ());
        first
    }

    pub(crate) fn count(&self, endpoint: Endpoint) {
        *self.tables().calls.entry(endpoint).or_default() += 1;
    }

    pub(crate) fn calls(&self, endpoint: Endpoint) -> u64 {
        self.tables().calls.get(&endpoint).copied().unwrap_or_default()
    }

    pub(crate) fn certs_cache_control(&self) -> Option<String> {
        self.tables().certs_cache_control.clone()
    }

    pub(crate) fn set_certs_cache_control(&self, value: Option<String>) {
        self.tables().certs_cache_control = value;
    }

    pub(crate) fn record_introspection(&self, call: IntrospectionCall) {
        let mut tables = self.tables();
        if let Some(token) = call.form.one("token") {
            tables.asked_about.insert(fingerprint(token), ());
        }
        tables.last_introspection = Some(call);
    }

    pub(crate) fn was_asked_about(&self, token: &str) -> bool {
        self.tables().asked_about.contains(&fingerprint(token))
    }

    pub(crate) fn last_introspection(&self) -> Option<IntrospectionCall> {
        self.tables().last_introspection.clone()
    }

    pub(crate) fn say(&self, token: &str, said: Said) {
        self.tables().said.insert(fingerprint(token), said);
    }

    pub(crate) fn say_of_all(&self, said: Option<Said>) {
        self.tables().said_of_all = said;
    }

    pub(crate) fn said_of(&self, token: &str) -> Option<Said> {
        let tables = self.tables();
        tables.said.get(&fingerprint(token)).or(tables.said_of_all.as_ref()).cloned()
    }

    pub(crate) fn login(
        &self,
        identity: &Identity,
        client_id: &str,
        nonce: Option<&str>,
        scope: &str,
    ) -> Result<Login> {
        Ok(Login {
            identity: identity.clone(),
            client_id: client_id.to_owned(),
            sid: random_uuid()?,
            auth_time: self.clock.now(),
            nonce: nonce.map(str::to_owned),
            scope: scope.to_owned(),
        })
    }

    pub(crate) fn new_code(&self, grant: CodeGrant) -> Result<String> {
        let code = random_text()?;
        self.tables().codes.insert(code.clone(), grant);
        Ok(code)
    }

    /// Takes a code out: it is good for one attempt, whatever comes of it.
    pub(crate) fn take_code(&self, code: &str) -> Option<CodeGrant> {
        let grant = self.tables().codes.remove(code)?;
        (self.clock.now() < grant.expires_at).then_some(grant)
    }

    /// Takes a refresh token out: it is good once, for its own client, while its session lasts.
    pub(crate) fn take_refresh(&self, token: &str, client_id: &str) -> Option<Login> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.refresh.get(token)?.login.client_id != client_id {
            return None;
        }
        let grant = tables.refresh.remove(token)?;
        let alive = now < grant.expires_at
            && now < grant.login.auth_time + SESSION_TOTAL
            && !tables.ended_sessions.contains(&grant.login.sid);
        alive.then_some(grant.login)
    }

    /// The session of a refresh token that is still good.
    pub(crate) fn refresh_login(&self, token: &str) -> Option<(Login, u64)> {
        let now = self.clock.now();
        let tables = self.tables();
        let grant = tables.refresh.get(token)?;
        let alive = now < grant.expires_at && !tables.ended_sessions.contains(&grant.login.sid);
        alive.then(|| (grant.login.clone(), grant.expires_at))
    }

    pub(crate) fn issue(&self, login: Login) -> Result<Issued> {
        let now = self.clock.now();
        let access = Token::new(&self.keys.signing(), &self.issuer, &login.identity, now)
            .claim("auth_time", login.auth_time)
            .claim("azp", login.client_id.clone())
            .claim("scope", login.scope.clone())
            .claim("session_state", login.sid.clone())
            .claim("sid", login.sid.clone());
        let mut id = access.clone().claim("typ", "ID").claim("aud", login.client_id.clone()).without("scope");
        if let Some(nonce) = &login.nonce {
            id = id.claim("nonce", nonce.clone());
        }
        let refresh = random_text()?;
        let grant = RefreshGrant { login: login.clone(), expires_at: now + REFRESH_LIFETIME };
        self.tables().refresh.insert(refresh.clone(), grant);
        Ok(Issued { access: access.try_mint()?, id: id.try_mint()?, refresh, login })
    }

    pub(crate) fn end_session(&self, sid: &str) {
        self.tables().ended_sessions.insert(sid.to_owned(), ());
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.tables().revoked.insert(fingerprint(token), ());
    }

    /// The claims of an access token that this realm takes for valid now.
    pub(crate) fn valid_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let claims = self.signed_claims(token)?;
        let now = self.clock.now();
        let tables = self.tables();
        let in_time = claims.get("exp")?.as_u64()? > now
            && claims.get("nbf").is_none_or(|nbf| nbf.as_u64().is_some_and(|nbf| nbf <= now));
        let session = claims.get("sid").and_then(Value::as_str).unwrap_or_default();
        let ended = tables.ended_sessions.contains(session) || tables.revoked.contains(&fingerprint(token));
        (in_time && !ended).then_some(claims)
    }

    /// The claims of a token that a published key signed for this issuer, whatever their times say.
    pub(crate) fn signed_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Map<String, Value> = serde_json::from_slice(&url64_bytes(header)?).ok()?;
        let kid = header.get("kid").and_then(Value::as_str);
        let keys = self.keys.published();
        let key = keys.iter().find(|key| kid.is_none_or(|kid| kid == key.kid()))?;
        if header.get("alg").and_then(Value::as_str) != Some(key.algorithm().name()) {
            return None;
        }
        let jwk: Jwk = serde_json::from_value(key.jwk().ok()?).ok()?;
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        let algorithm: JwsAlgorithm = key.algorithm().name().parse().ok()?;
        if !jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &decoding, algorithm).ok()? {
            return None;
        }
        let claims: Map<String, Value> = serde_json::from_slice(&url64_bytes(payload)?).ok()?;
        (claims.get("iss").and_then(Value::as_str) == Some(self.issuer.as_str())).then_some(claims)
    }
}

fn fingerprint(token: &str) -> String {
    url64(&sha256(token.as_bytes()))
}
