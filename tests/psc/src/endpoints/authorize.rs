//! The authorization endpoint: a page with the test identities, then a code for the one chosen.
//!
//! Owns the checks of RFC 6749 section 4.1 and RFC 7636. Nothing is redirected to an address that the client may not
//! use; there is no password, since everybody here is invented.

use anyhow::Result;
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use url::Url;

use super::{Answer, Call, Endpoint};
use crate::form::Form;
use crate::identity::Identity;
use crate::realm::{CODE_LIFETIME, CodeGrant, Realm};

pub(super) fn authorize(realm: &Realm, call: &Call) -> Result<Answer> {
    let form = if call.method == hyper::Method::POST { &call.body } else { &call.query };
    let client = form.one("client_id").and_then(|id| realm.client(id));
    let (Some(client), Some(redirect_uri)) = (client, form.one("redirect_uri")) else {
        return Ok(page("Demande refusée", "<p>client_id ou redirect_uri inconnu.", StatusCode::BAD_REQUEST));
    };
    if !client.may_redirect_to(redirect_uri) {
        return Ok(page("Demande refusée", "<p>redirect_uri non autorisé.", StatusCode::BAD_REQUEST));
    }
    let back = |parameters: &[(&str, &str)]| redirect(redirect_uri, form, parameters);
    if form.one("response_type") != Some("code") {
        return back(&[("error", "unsupported_response_type")]);
    }
    let challenge = form.one("code_challenge").filter(|challenge| challenge.len() == 43);
    let (Some(challenge), Some("S256")) = (challenge, form.one("code_challenge_method")) else {
        return back(&[("error", "invalid_request"), ("error_description", "PKCE with S256 is required")]);
    };
    let Some(hint) = form.one("login_hint") else {
        return Ok(choice(realm, form));
    };
    let Some(identity) = realm.identities.iter().find(|identity| identity.id_nat == hint) else {
        return back(&[("error", "access_denied"), ("error_description", "No such test identity")]);
    };
    let scope = form.one("scope").unwrap_or("openid scope_all");
    let code = realm.new_code(CodeGrant {
        login: realm.login(identity, &client.id, form.one("nonce"), scope)?,
        redirect_uri: redirect_uri.to_owned(),
        challenge: challenge.to_owned(),
        expires_at: realm.clock.now() + CODE_LIFETIME,
    })?;
    back(&[("code", &code)])
}

/// Back to the client, with its `state` and the issuer (RFC 9207).
fn redirect(uri: &str, form: &Form, parameters: &[(&str, &str)]) -> Result<Answer> {
    let mut target = Url::parse(uri)?;
    target.query_pairs_mut().extend_pairs(parameters);
    if let Some(state) = form.one("state") {
        target.query_pairs_mut().append_pair("state", state);
    }
    Ok(Answer::empty(StatusCode::FOUND).with(LOCATION, HeaderValue::from_str(target.as_str())?))
}

/// One link an identity: the same request with `login_hint`.
fn choice(realm: &Realm, form: &Form) -> Answer {
    let link = |identity: &Identity| {
        let hint = form_urlencoded::Serializer::new(form.encoded_without("login_hint"))
            .append_pair("login_hint", &identity.id_nat)
            .finish();
        let target = format!("{}{}?{hint}", realm.issuer, Endpoint::Authorize.path());
        format!(
            "<li><a href=\"{}\">{} {}</a> <code>{}</code>",
            escaped(&target),
            escaped(&identity.given_name),
            escaped(&identity.family_name),
            escaped(&identity.id_nat)
        )
    };
    let links: Vec<String> = realm.identities.iter().map(link).collect();
    let body = format!("<p>Faux Pro Santé Connect, pour essais. Qui se connecte&nbsp;?<ul>{}</ul>", links.concat());
    page("Identités d'essai", &body, StatusCode::OK)
}

fn page(title: &str, body: &str, status: StatusCode) -> Answer {
    Answer::html(
        status,
        format!(
            "<!doctype html><html lang=\"fr\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1>{body}"
        ),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
