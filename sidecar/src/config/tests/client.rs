//! As whom an issuer is asked.

use super::*;

/// The keys that say as whom the issuer is asked, after the minimal configuration.
fn client(folder: &tempfile::TempDir, lines: &str) -> Result<Config, Problems> {
    let text = format!("{MINIMAL}introspection = \"required\"\nclient_id = \"me\"\n{lines}");
    parse(folder, &text)
}

fn private(folder: &tempfile::TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_client_shows_itself_by_a_secret_a_signature_or_a_certificate() {
    let folder = folder();
    let key = octroi_psc::SigningKey::generate("k", octroi_psc::Algorithm::Es256).unwrap().private_pem().unwrap();
    let server = octroi_psc::ServerCertificate::create(octroi_psc::Validity::Current).unwrap();
    let certificate = server.client("me").unwrap();
    private(&folder, "key.pem", &key);
    private(&folder, "tls.pem", &certificate.chain_pem);
    private(&folder, "tls-key.pem", &certificate.key_pem);
    let signed = "client_auth = \"private_key_jwt\"\nclient_key_file = \"key.pem\"\nclient_key_id = \"mine\"\n";
    let certified = "client_certificate_file = \"tls.pem\"\nclient_key_file = \"tls-key.pem\"\n";
    let auth = |lines: &str| {
        let config = client(&folder, lines).unwrap_or_else(|problems| panic!("{problems}"));
        config.issuers[0].client.clone().unwrap().auth
    };
    assert!(matches!(auth("client_secret_file = \"psc-client.secret\""), ClientAuth::Basic(_)));
    assert!(matches!(auth(signed), ClientAuth::PrivateKeyJwt(_)));
    for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
        assert!(matches!(auth(&format!("client_auth = \"{method}\"\n{certified}")), ClientAuth::Certificate(_)));
    }
}

#[test]
fn a_proof_that_is_missing_unfit_or_open_to_others_is_told_with_its_key() {
    let folder = folder();
    private(&folder, "no-key.pem", "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n");
    private(&folder, "no.pem", "planted");
    fs::write(folder.path().join("open.pem"), "-----BEGIN PRIVATE KEY-----\nplanted\n").unwrap();
    fs::set_permissions(folder.path().join("open.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    for (lines, key) in [
        ("client_auth = \"private_key_jwt\"", "client_key_file"),
        ("client_auth = \"private_key_jwt\"\nclient_key_file = \"no-key.pem\"", "client_key_file"),
        ("client_auth = \"private_key_jwt\"\nclient_key_file = \"no.pem\"", "client_key_file"),
        ("client_auth = \"private_key_jwt\"\nclient_key_file = \"open.pem\"", "client_key_file"),
        ("client_auth = \"tls_client_auth\"\nclient_key_file = \"no-key.pem\"", "client_certificate_file"),
        (
            "client_auth = \"tls_client_auth\"\nclient_key_file = \"no-key.pem\"\nclient_certificate_file = \"no-key.pem\"",
            "client_certificate_file",
        ),
        ("client_secret_file = \"psc-client.secret\"\nclient_key_file = \"no-key.pem\"", "client_key_file"),
        ("client_secret_file = \"psc-client.secret\"\nclient_key_id = \"mine\"", "client_key_id"),
        ("client_auth = \"client_secret_jwt\"", "client_auth"),
    ] {
        let problems = client(&folder, lines).unwrap_err();
        assert!(problems.all.iter().any(|problem| problem.key == format!("issuer[1].{key}")), "{lines}: {problems}");
        assert!(!format!("{problems} {problems:?}").contains("planted"), "{lines}");
    }
}
