//! As whom an issuer is asked: the `client_*` keys of an `[[issuer]]`.

use super::files::Base;
use super::reader::{At, Section};
use super::{Client, ClientAuth, IntrospectionMode};
use crate::evidence::introspection::AssertionKey;
use crate::http;
use crate::secret::Secret;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Basic,
    Post,
    PrivateKeyJwt,
    Tls,
}

/// What proves who asks.
const PROOFS: [&str; 4] = ["client_secret_file", "client_key_file", "client_certificate_file", "client_key_id"];

/// Reads them. `None` where there is no client, or something is wrong: the report has it.
pub(super) fn client(section: &mut Section<'_, '_>, base: &Base<'_>, mode: IntrospectionMode) -> Option<Client> {
    let needed = mode != IntrospectionMode::Off;
    if needed && !section.has("client_id") {
        section.missing(
            "client_id",
            "a text",
            "write the client_id that the provider gave, or set introspection = \"off\"",
        );
    }
    let id = printable(section, "client_id", "write the client_id that the provider gave");
    let method = section.choice(
        "client_auth",
        &[
            ("client_secret_basic", Method::Basic),
            ("client_secret_post", Method::Post),
            ("private_key_jwt", Method::PrivateKeyJwt),
            ("tls_client_auth", Method::Tls),
            ("self_signed_tls_client_auth", Method::Tls),
        ],
    );
    let method = method.map_or(Method::Basic, |at| at.value);
    let auth = proof(section, base, method, needed);
    Some(Client { id: id?.value, auth: auth? })
}

fn proof(section: &mut Section<'_, '_>, base: &Base<'_>, method: Method, needed: bool) -> Option<ClientAuth> {
    let uses: &[&str] = match method {
        Method::Basic | Method::Post => &["client_secret_file"],
        Method::PrivateKeyJwt => &["client_key_file", "client_key_id"],
        Method::Tls => &["client_key_file", "client_certificate_file"],
    };
    for key in PROOFS.into_iter().filter(|key| !uses.contains(key)) {
        if let Some(at) = section.text(key) {
            let expected = "expected nothing: this client_auth does not use it";
            at.complain(section.report(), expected, "take it out, or set client_auth to what does");
        }
    }
    let purpose = |what| needed.then_some(what);
    let secret = |section: &mut _| {
        base.secret(section, "client_secret_file", purpose("name the file that holds the secret of client_id"))
    };
    let key = |section: &mut _| {
        base.pem(section, "client_key_file", purpose("name the file of the client's private key, in PEM"))
    };
    match method {
        Method::Basic => Some(ClientAuth::Basic(secret(section)?.value)),
        Method::Post => Some(ClientAuth::Post(secret(section)?.value)),
        Method::PrivateKeyJwt => {
            let key_id = printable(section, "client_key_id", "write the kid under which the provider has the key");
            let key = key(section)?;
            assertion_key(section, &key, key_id.map(|at| at.value))
        }
        Method::Tls => {
            let purpose = purpose("name the file of the client's certificate and its chain, in PEM");
            let (key, certificate) = (key(section), base.pem(section, "client_certificate_file", purpose));
            certified(section, &key?, &certificate?)
        }
    }
}

fn assertion_key(section: &Section<'_, '_>, pem: &At<Secret>, key_id: Option<String>) -> Option<ClientAuth> {
    match AssertionKey::from_pem(&pem.value, key_id) {
        Ok(key) => Some(ClientAuth::PrivateKeyJwt(key)),
        Err(error) => {
            let remedy = "put one in: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
            pem.complain(section.report(), format!("expected a private key: {error}"), remedy);
            None
        }
    }
}

fn certified(section: &Section<'_, '_>, key: &At<Secret>, certificate: &At<Secret>) -> Option<ClientAuth> {
    let both = Secret::new(format!("{}\n{}", certificate.value.expose(), key.value.expose()));
    match http::identity(&both) {
        Ok(_) => Some(ClientAuth::Certificate(both)),
        Err(error) => {
            let remedy = "put the certificate with its chain into this file, its private key into client_key_file";
            certificate.complain(section.report(), format!("expected a certificate and its key: {error}"), remedy);
            None
        }
    }
}

fn printable(section: &mut Section<'_, '_>, key: &'static str, remedy: &str) -> Option<At<String>> {
    section.parsed(key, remedy, |text| {
        let holds = (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        holds.then(|| text.to_owned()).ok_or_else(|| "expected 1 to 256 printable ASCII characters".to_owned())
    })
}
