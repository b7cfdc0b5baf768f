//! A real client's token, step by step, against every configured issuer: where its way ends, and why.
//!
//! Reads what nobody has proven yet, to explain it; decides nothing. Of what it reads it tells the names of issuer,
//! software and key: never the token, and no claim that says who the professional is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::report::Report;
use crate::clock::UnixSeconds;
use crate::config::Config;
use crate::evidence::introspection::{Active, Introspected, Introspection, Question};
use crate::evidence::keys::{Keys, Lookup};
use crate::secret::Token;

const PLACE: &str = "token";
/// Longest name that is shown, characters.
const MAX_SHOWN: usize = 200;

/// A token taken apart (RFC 7515 section 7.1). Nothing of it is proven.
pub(super) struct Given<'a> {
    token: &'a Token,
    signed: &'a [u8],
    signature: Vec<u8>,
    header: Header,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    exp: Option<u64>,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    iat: Option<u64>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    sid: Option<String>,
    #[serde(default)]
    session_state: Option<String>,
    #[serde(default)]
    azp: Option<String>,
}

/// Takes it apart and tells what it says of itself. `None` where there is nothing to go on with.
pub(super) fn read<'a>(token: &'a Token, config: &Config, now: UnixSeconds, report: &mut Report) -> Option<Given<'a>> {
    let given = match Given::take_apart(token) {
        Ok(given) => given,
        Err(what) => {
            let remedy = "give the access token that the client sends to the mail server, whole: not the id token, not \
                          the refresh token, not the SASL response";
            report.mistake(PLACE, what, remedy);
            return None;
        }
    };
    given.say_what_it_is(report);
    given.say_whose_it_is(config, report);
    given.say_when_it_holds(config.rails.leeway_seconds, now, report);
    Some(given)
}

impl<'a> Given<'a> {
    fn take_apart(token: &'a Token) -> Result<Self, &'static str> {
        let bytes = token.expose();
        let parts: Vec<&[u8]> = bytes.split(|byte| *byte == b'.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => "it is encrypted (a JWE of five parts): nobody but its issuer can read it",
                _ => "it is no JWS: three parts between dots are expected",
            });
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| "it is no JWS: a part is not base64url");
        let (header, claims) = (decode(header)?, zeroize::Zeroizing::new(decode(payload)?));
        let end = bytes.len() - signature.len() - 1;
        Ok(Self {
            token,
            signed: bytes.get(..end).unwrap_or_default(),
            signature: decode(signature)?,
            header: serde_json::from_slice(&header).map_err(|_| "its header is no JSON object with alg")?,
            claims: serde_json::from_slice(&claims)
                .map_err(|_| "its payload is no JSON object of claims, each once")?,
        })
    }

    fn say_what_it_is(&self, report: &mut Report) {
        let kid = self.header.kid.as_deref().map_or_else(|| "no kid".to_owned(), |kid| format!("kid {}", shown(kid)));
        let software =
            self.claims.azp.as_deref().map_or_else(|| "no azp".to_owned(), |azp| format!("azp {}", shown(azp)));
        report.good(PLACE, format!("a JWS: alg {}, {kid}, {software}", shown(&self.header.alg)));
    }

    fn say_whose_it_is(&self, config: &Config, report: &mut Report) {
        let Some(iss) = self.claims.iss.as_deref() else {
            report.mistake(PLACE, "it has no iss", "give an access token of Pro Sante Connect");
            return;
        };
        if config.issuers.iter().any(|issuer| issuer.issuer == iss) {
            report.good(PLACE, format!("its iss is {}", shown(iss)));
        } else {
            let what = format!("its iss is {}: no [[issuer]] has that name", shown(iss));
            let remedy =
                "write issuer exactly so, where you mean to believe it: every letter counts, a slash at the end too";
            report.mistake(PLACE, what, remedy);
        }
    }

    fn say_when_it_holds(&self, leeway: u64, now: UnixSeconds, report: &mut Report) {
        let remedy =
            "give a fresh one: Pro Sante Connect's live two minutes. If it is fresh, correct this machine's clock";
        let Some(exp) = self.claims.exp else {
            report.mistake(PLACE, "it has no exp", "give an access token: this one never ends");
            return;
        };
        let begins = self.claims.nbf.into_iter().chain(self.claims.iat).max().unwrap_or_default();
        if self.is_over(leeway, now) {
            report.mistake(PLACE, format!("it expired {} s ago", now.0.saturating_sub(exp)), remedy);
        } else if begins > now.0.saturating_add(leeway) {
            report.mistake(PLACE, format!("it begins in {} s", begins.saturating_sub(now.0)), remedy);
        } else {
            report.good(PLACE, format!("it holds for {} s more", exp.saturating_sub(now.0)));
        }
    }

    fn is_over(&self, leeway: u64, now: UnixSeconds) -> bool {
        self.claims.exp.is_none_or(|exp| exp.saturating_add(leeway) <= now.0)
    }

    /// Whether this issuer is the token's own, and its signature holds under a key of it. For another issuer both
    /// are told, and neither is a mistake.
    pub(super) fn against_keys(&self, issuer: &str, keys: &Keys, report: &mut Report) -> bool {
        let own = self.claims.iss.as_deref() == Some(issuer);
        let found = self.signature_under(keys);
        match (own, found) {
            (true, Ok(())) => {
                report.good(issuer, "the given token: iss matches, its key is found, its signature holds")
            }
            (true, Err((what, remedy))) => {
                report.mistake(issuer, format!("the given token: iss matches, {what}"), remedy);
            }
            (false, Ok(())) => report.mistake(
                issuer,
                "the given token: iss does not match, and yet its signature holds under a key of this issuer",
                "see that issuer is exactly the token's iss: it is the same provider under another name",
            ),
            (false, Err((what, _))) => {
                report.unchecked(
                    issuer,
                    format!("the given token: iss does not match, {what}"),
                    "nothing: it is not this issuer's",
                );
            }
        }
        own && found.is_ok()
    }

    fn signature_under(&self, keys: &Keys) -> Result<(), (&'static str, &'static str)> {
        let Ok(algorithm) = self.header.alg.parse::<Algorithm>() else {
            return Err(("its alg is none that is known", "no login with it is possible: ask the provider"));
        };
        match keys.lookup(self.header.kid.as_deref(), algorithm) {
            Lookup::Found(key) if key.holds(self.signed, &self.signature) => Ok(()),
            Lookup::Found(_) => Err((
                "its key is found, its signature does not hold",
                "give the token as it was issued, whole and unchanged",
            )),
            Lookup::Unknown => Err((
                "its key is not among those published",
                "see whether the provider has changed its keys, and whether the token is older than that",
            )),
            Lookup::Unfit => Err((
                "its key is published for another alg, or several fit",
                "no login with it is possible: ask the provider",
            )),
            Lookup::Unavailable => Err(("nothing can be said of its key", "see that the issuer's keys can be read")),
        }
    }

    /// What the issuer's introspection says of it.
    pub(super) async fn against_introspection(
        &self,
        issuer: &str,
        introspection: &Introspection,
        leeway: u64,
        now: UnixSeconds,
        report: &mut Report,
    ) {
        // Long enough for the question itself: whether the token is expired is the issuer's to say.
        let question = Question { token: self.token.expose(), expires_at: now.plus(120), authorized_party: None };
        match introspection.ask(question).await {
            Introspected::Active(active) => self.agrees(issuer, &active, report),
            Introspected::Inactive if self.is_over(leeway, now) => report.unchecked(
                issuer,
                "introspection: it calls the given token not active; the token is expired",
                "give a fresh one: of an expired one this proves nothing",
            ),
            Introspected::Inactive => report.mistake(
                issuer,
                "introspection: it calls the given token not active, which is signed and not expired: it was revoked, or \
                 the caller is not entitled to ask about it",
                "ask the provider to let this client_id ask about tokens of that azp (it stands not in their aud), and \
                 set introspection = \"off\" until then: \"preferred\" refuses these logins, too",
            ),
            Introspected::Unavailable => super::provider::no_answer(issuer, introspection, report),
        }
    }

    fn agrees(&self, issuer: &str, active: &Active, report: &mut Report) {
        let session = self.claims.sid.as_ref().or(self.claims.session_state.as_ref());
        let pairs = [
            ("sub", self.claims.sub.as_ref(), active.subject.as_ref()),
            ("sid", session, active.session.as_ref()),
            ("azp", self.claims.azp.as_ref(), active.authorized_party.as_ref()),
        ];
        let names = |holds: fn(Option<&String>, Option<&String>) -> bool| -> Vec<&str> {
            pairs.iter().filter(|(_, own, said)| holds(*own, *said)).map(|(name, ..)| *name).collect()
        };
        let differs = names(|own, said| said.is_some() && own != said);
        if differs.is_empty() {
            let same = names(|own, said| said.is_some() && own == said).join(", ");
            let same = if same.is_empty() { "nothing to compare".to_owned() } else { format!("agrees on {same}") };
            report.good(issuer, format!("introspection: it calls the given token active, and {same}"));
        } else {
            report.mistake(
                issuer,
                format!(
                    "introspection: it calls the given token active, and differs from it on {}",
                    differs.join(", ")
                ),
                "do not rely on this introspection: every login with such a token is refused. Ask the provider",
            );
        }
    }
}

/// A name as it may be printed.
fn shown(name: &str) -> String {
    let graphic = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    name.chars().take(MAX_SHOWN).map(graphic).collect()
}
