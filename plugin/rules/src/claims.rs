//! The token's claims: read strictly, then held against the settings and the time.
//!
//! Owns the rules of RFC 7519 section 4.1 and of the Pro Santé Connect profile. Both passes are pure; the time rules
//! stand in one function because they are asked twice, before and after the proof.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::contract::Claims;
use crate::identity::Candidates;
use crate::json::{Object, Value};
use crate::reason::DenyReason;
use crate::settings::{Issuer, Settings};

/// Largest NumericDate taken: the largest integer that every JSON reader keeps exact (RFC 8259 section 6).
const MAX_DATE: u64 = (1 << 53) - 1;

/// A payload whose claims have the types that RFC 7519 and OpenID Connect give them.
pub(crate) struct Payload<'p> {
    object: Object<'p>,
}

impl<'p> Payload<'p> {
    /// Reads the decoded payload.
    ///
    /// # Errors
    /// `token-malformed`.
    pub(crate) fn parse(bytes: &'p [u8]) -> Result<Self, DenyReason> {
        let object = Object::parse(bytes).map_err(|_| DenyReason::TokenMalformed)?;
        Ok(Self { object })
    }

    /// A string claim; `null` counts as absent, an empty string does not.
    fn text(&self, name: &str) -> Result<Option<&str>, DenyReason> {
        match self.object.member(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(DenyReason::TokenMalformed),
        }
    }

    /// A string claim whose empty string means absent.
    fn name(&self, name: &str) -> Result<Option<&str>, DenyReason> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// A NumericDate. RFC 7519 section 2 allows fractions and any sign; Pro Santé Connect (Keycloak) prints positive
    /// integers, and what every reader agrees on is all that is taken.
    fn date(&self, name: &str) -> Result<Option<u64>, DenyReason> {
        match self.object.member(name) {
            None => Ok(None),
            Some(&Value::Integer(date)) if date <= MAX_DATE => Ok(Some(date)),
            Some(_) => Err(DenyReason::TokenMalformed),
        }
    }

    /// `iss`, which must be one of the configured issuers to the byte (RFC 8725 section 3.8).
    ///
    /// # Errors
    /// `claim-missing`, `issuer-unknown`, `token-malformed`.
    pub(crate) fn issuer<'s>(&self, settings: &'s Settings<'_>) -> Result<&'s Issuer<'s>, DenyReason> {
        let issuer = self.text("iss")?.ok_or(DenyReason::ClaimMissing)?;
        settings.issuer(issuer).ok_or(DenyReason::IssuerUnknown)
    }

    /// The claims in which the person may be named.
    ///
    /// # Errors
    /// `token-malformed`.
    pub(crate) fn candidates(&self) -> Result<Candidates<'_>, DenyReason> {
        Ok(Candidates {
            name_id: self.text("SubjectNameID")?,
            username: self.text("preferred_username")?,
            subject: self.text("sub")?,
        })
    }

    /// The claims that outlive the token in the inquiry.
    ///
    /// # Errors
    /// `claim-missing` (`exp`), `session-inconsistent`, `token-malformed`.
    pub(crate) fn claims(&self) -> Result<Claims, DenyReason> {
        Ok(Claims {
            expires_at: self.date("exp")?.ok_or(DenyReason::ClaimMissing)?,
            not_before: self.date("nbf")?,
            issued_at: self.date("iat")?,
            authenticated_at: self.date("auth_time")?,
            session: self.session()?,
            subject: self.text("sub")?.map(String::from),
            authorized_party: self.name("azp")?.map(String::from),
        })
    }

    /// `sid` (OpenID Connect Front-Channel Logout), else Keycloak's older `session_state`; where both stand they are
    /// one.
    fn session(&self) -> Result<Option<String>, DenyReason> {
        match (self.name("sid")?, self.name("session_state")?) {
            (Some(sid), Some(state)) if sid != state => Err(DenyReason::SessionInconsistent),
            (session, other) => Ok(session.or(other).map(String::from)),
        }
    }

    /// `typ` of the payload, where present, is `Bearer`: Keycloak marks ID and refresh tokens, signed by the same keys,
    /// with `ID` and `Refresh`. Compared without case.
    ///
    /// # Errors
    /// `token-not-bearer`, `token-malformed`.
    pub(crate) fn check_type(&self) -> Result<(), DenyReason> {
        match self.text("typ")? {
            Some(kind) if !kind.eq_ignore_ascii_case("Bearer") => Err(DenyReason::TokenNotBearer),
            _ => Ok(()),
        }
    }

    /// `acr` is in the accepted set. An empty set accepts all. Membership and not equality: `eidas1` is what clients
    /// ask for, and the provider may answer with a higher level.
    ///
    /// # Errors
    /// `claim-missing`, `assurance-refused`, `token-malformed`.
    pub(crate) fn check_assurance(&self, settings: &Settings<'_>) -> Result<(), DenyReason> {
        if settings.acr.is_empty() {
            return Ok(());
        }
        let level = self.name("acr")?.ok_or(DenyReason::ClaimMissing)?;
        settings.acr.contains(&level).then_some(()).ok_or(DenyReason::AssuranceRefused)
    }

    /// `azp` is not denied, and allowed where there is an allow-list. With either list the claim must be there.
    ///
    /// # Errors
    /// `claim-missing`, `client-refused`, `token-malformed`.
    pub(crate) fn check_client(&self, settings: &Settings<'_>) -> Result<(), DenyReason> {
        if settings.azp_allow.is_empty() && settings.azp_deny.is_empty() {
            return Ok(());
        }
        let client = self.name("azp")?.ok_or(DenyReason::ClaimMissing)?;
        let allowed = settings.azp_allow.is_empty() || settings.azp_allow.contains(&client);
        (allowed && !settings.azp_deny.contains(&client)).then_some(()).ok_or(DenyReason::ClientRefused)
    }

    /// `aud` names one of the configured audiences. Not asked where none is configured: tokens of Pro Santé Connect
    /// carry no `aud`.
    ///
    /// # Errors
    /// `claim-missing`, `audience-refused`, `token-malformed`.
    pub(crate) fn check_audience(&self, settings: &Settings<'_>) -> Result<(), DenyReason> {
        if settings.audience.is_empty() {
            return Ok(());
        }
        let wanted = |audience: &Cow<'_, str>| settings.audience.contains(&audience.as_ref());
        let matches = match self.object.member("aud").ok_or(DenyReason::ClaimMissing)? {
            Value::Text(audience) => wanted(audience),
            Value::Texts(audiences) => audiences.iter().any(wanted),
            _ => return Err(DenyReason::TokenMalformed),
        };
        matches.then_some(()).ok_or(DenyReason::AudienceRefused)
    }
}

/// The rules of time, in the order in which they are reported:
/// - `now < exp + leeway` (RFC 7519 section 4.1.4);
/// - `nbf`, `iat` and `auth_time` at most `now + leeway` (section 4.1.5; a later `auth_time` would stretch the
///   session);
/// - `now < auth_time + session_max`, with `iat` in place of an absent `auth_time`: Pro Santé Connect ends a session
///   4 h after the person proved who they are. No leeway: against 4 h it means nothing.
///
/// # Errors
/// `token-expired`, `token-not-yet-valid`, `claim-missing`, `session-expired`.
pub(crate) fn check_times(claims: &Claims, settings: &Settings<'_>, now: u64) -> Result<(), DenyReason> {
    if now >= claims.expires_at.saturating_add(settings.leeway) {
        return Err(DenyReason::TokenExpired);
    }
    let latest = now.saturating_add(settings.leeway);
    let dates = [claims.not_before, claims.issued_at, claims.authenticated_at];
    if dates.into_iter().flatten().any(|date| date > latest) {
        return Err(DenyReason::TokenNotYetValid);
    }
    let start = claims.authenticated_at.or(claims.issued_at).ok_or(DenyReason::ClaimMissing)?;
    match now >= start.saturating_add(settings.session_max) {
        true => Err(DenyReason::SessionExpired),
        false => Ok(()),
    }
}
