//! What a session can be asked and how it ends: userinfo, logout, revocation (RFC 7009).
//!
//! Owns the userinfo shape of Pro Santé Connect. Every value in it is made up.

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::{Answer, Call};
use crate::identity::Identity;
use crate::realm::Realm;

pub(super) fn userinfo(realm: &Realm, call: &Call) -> Answer {
    let header = call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer =
        header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let claims = bearer.and_then(|(_, token)| realm.valid_claims(token.trim()));
    let text = |name: &str| claims.as_ref().and_then(|claims| claims.get(name)).and_then(Value::as_str);
    let (Some(sub), Some(id_nat)) = (text("sub"), text("preferred_username")) else {
        return Answer::error(StatusCode::UNAUTHORIZED, "invalid_token", "Token verification failed").with(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"esante-wallet\", error=\"invalid_token\""),
        );
    };
    let known = realm.identities.iter().find(|identity| identity.id_nat == id_nat);
    let identity = known.cloned().unwrap_or_else(|| Identity::of(id_nat));
    Answer::json(StatusCode::OK, &about(&identity, sub))
}

fn about(identity: &Identity, sub: &str) -> Value {
    let profession = identity.role.split('^').next().unwrap_or_default();
    let exercise = json!({
        "codeProfession": profession,
        "codeCategorieProfessionnelle": "C",
        "codeCiviliteDexercice": "",
        "nomDexercice": identity.family_name,
        "prenomDexercice": identity.given_name,
        "codeTypeSavoirFaire": "",
        "codeSavoirFaire": "",
        "activities": [{
            "codeModeExercice": "L",
            "codeSecteurDactivite": "SA07",
            "codeGenreActivite": "GENR01",
            "numeroSiretSite": "",
            "numeroSirenSite": "",
            "numeroFinessSite": "",
            "numeroFinessetablissementJuridique": "",
            "identifiantTechniqueDeLaStructure": "",
            "raisonSocialeSite": identity.organization,
            "codePostal": "00000",
            "codeCommune": "00000",
        }],
    });
    let roles: Vec<&str> = Some(identity.role.as_str()).filter(|role| !role.is_empty()).into_iter().collect();
    json!({
        "Secteur_Activite": "SA07^1.2.250.1.71.4.2.4",
        "sub": sub,
        "email_verified": false,
        "SubjectOrganization": identity.organization,
        "Mode_Acces_Raison": "",
        "preferred_username": identity.id_nat,
        "given_name": identity.given_name,
        "Acces_Regulation_Medicale": "FAUX",
        "UITVersion": "1.0",
        "Palier_Authentification": "APPPRIP3^1.2.250.1.213.1.5.1.1.1",
        "SubjectRefPro": {"codeCivilite": "", "exercices": [exercise]},
        "SubjectOrganizationID": "",
        "SubjectRole": roles,
        "PSI_Locale": "1.2.250.1.213.1.3.1.1",
        "otherIds": [{"identifiant": identity.id_nat, "origine": identity.origin, "qualite": 1}],
        "SubjectNameID": identity.id_nat,
        "family_name": identity.family_name,
    })
}

/// Ends a session: by its refresh token and client (POST, as mail clients do), or by an ID token (GET, by browser).
pub(super) fn logout(realm: &Realm, call: &Call) -> Answer {
    if let Some(token) = call.body.one("refresh_token") {
        let client = realm.caller(call).map(|(client, _)| client);
        let Some(client) = client else {
            return Answer::invalid_client();
        };
        return match realm.refresh_login(token).filter(|(login, _)| login.client_id == client.id) {
            Some((login, _)) => {
                realm.end_session(&login.sid);
                Answer::empty(StatusCode::NO_CONTENT)
            }
            None => Answer::error(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid refresh token"),
        };
    }
    let hint = call.query.one("id_token_hint").or_else(|| call.body.one("id_token_hint"));
    let claims = hint.and_then(|token| realm.signed_claims(token));
    let text = |name: &str| claims.as_ref().and_then(|claims| claims.get(name)).and_then(Value::as_str);
    let Some(sid) = text("sid") else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "Missing or invalid id_token_hint");
    };
    realm.end_session(sid);
    let client = text("azp").and_then(|id| realm.client(id));
    let back = call
        .query
        .one("post_logout_redirect_uri")
        .filter(|uri| client.as_ref().is_some_and(|client| client.may_redirect_to(uri)));
    match back.and_then(|uri| HeaderValue::from_str(uri).ok()) {
        Some(uri) => Answer::empty(StatusCode::FOUND).with(LOCATION, uri),
        None => {
            Answer::html(StatusCode::OK, "<!doctype html><title>Déconnexion</title><p>Session terminée.".to_owned())
        }
    }
}

/// Answers 200 whatever the token is, once the client is known (RFC 7009 section 2.2).
pub(super) fn revoke(realm: &Realm, call: &Call) -> Answer {
    let client = realm.caller(call).map(|(client, _)| client);
    let Some(client) = client else {
        return Answer::invalid_client();
    };
    let Some(token) = call.body.one("token") else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "Token not provided");
    };
    match realm.refresh_login(token) {
        Some((login, _)) if login.client_id == client.id => realm.end_session(&login.sid),
        Some(_) => {}
        None => realm.revoke(token),
    }
    Answer::empty(StatusCode::OK)
}
