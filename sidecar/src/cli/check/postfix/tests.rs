use super::*;

/// As the shipped files leave a Postfix of Debian, cut to what is read.
const MAIN: &str = "compatibility_level = 3.6\nmail_version = 3.7.11\nqueue_directory = /var/spool/postfix\n\
    octroi_delegation = check_policy_service { unix:octroi/policy, timeout=5s, { default_action = 451 4.3.5 Later } }\n\
    smtpd_sasl_auth_enable = no\nsmtpd_sasl_type = cyrus\nsmtpd_delay_reject = yes\ndebug_peer_list =\n\
    smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination\n\
    smtpd_tls_mandatory_protocols = >=TLSv1\nsmtpd_policy_service_default_action = 451 4.3.5 Server problem\n";
const SERVICES: &str = "smtp       inet  n       -       y       -       -       smtpd\n\
    submissions inet  n      -       y       -       -       smtpd -o smtpd_tls_wrappermode=yes\n\
    pickup     unix  n       -       y       60      1       pickup\n";
const OVERRIDES: [&str; 15] = [
    "smtpd_tls_wrappermode = yes",
    "smtpd_tls_security_level = encrypt",
    "smtpd_tls_auth_only = yes",
    "smtpd_tls_mandatory_protocols = >=TLSv1.2",
    "smtpd_sasl_auth_enable = yes",
    "smtpd_sasl_type = dovecot",
    "smtpd_sasl_path = octroi/sasl",
    "line_length_limit = 12288",
    "smtpd_delay_reject = no",
    "smtpd_client_restrictions = $octroi_delegation",
    "smtpd_sender_restrictions = ${octroi_delegation}",
    "smtpd_relay_restrictions = permit_sasl_authenticated,reject",
    "smtpd_recipient_restrictions = $(octroi_delegation)",
    "smtpd_data_restrictions = $octroi_delegation",
    "smtpd_end_of_data_restrictions = $octroi_delegation",
];

/// What is told of these settings, but of sockets: there are none here.
fn told(main: &str, services: &str, overrides: &[String]) -> Vec<String> {
    let overrides: Vec<_> = overrides.iter().map(|line| format!("submissions/inet/{line}")).collect();
    told_of(None, main, services, &overrides)
}

fn told_of(certificate_socket: Option<&str>, main: &str, services: &str, overrides: &[String]) -> Vec<String> {
    let ours = Postfix {
        sasl_socket: "/var/spool/postfix/octroi/sasl".into(),
        delegation_socket: "/var/spool/postfix/octroi/policy".into(),
        certificate_sasl_socket: certificate_socket.map(Into::into),
        sasl_listen: Some("127.0.0.1:9181".parse().unwrap()),
        delegation_listen: Some("127.0.0.1:9182".parse().unwrap()),
        user: crate::config::User::Numbers { uid: 1, gid: 1 },
    };
    let conf = Postconf::read(main, services, &overrides.join("\n"));
    let mut report = Report::default();
    examine(&Look { root: Path::new("/"), ours: &ours, conf: &conf, line: 8552 }, &mut report);
    let told =
        report.findings().iter().filter(|finding| !finding.remedy.is_empty()).map(|finding| finding.what.clone());
    told.filter(|what| !what.ends_with("is no socket")).collect()
}

fn shipped() -> Vec<String> {
    OVERRIDES.iter().map(ToString::to_string).collect()
}

/// The shipped settings with one line changed.
fn with(key: &str, value: &str) -> Vec<String> {
    let mut lines = shipped();
    lines.retain(|line| !line.starts_with(&format!("{key} =")));
    lines.push(format!("{key} = {value}"));
    lines
}

#[test]
fn the_shipped_settings_are_good_over_sockets_and_over_loopback() {
    assert_eq!(told(MAIN, SERVICES, &shipped()), Vec::<String>::new());
    let main = MAIN.replace("unix:octroi/policy", "inet:localhost:9182");
    assert_eq!(told(&main, SERVICES, &with("smtpd_sasl_path", "inet:127.0.0.1:9181")), Vec::<String>::new());
}

#[test]
fn each_override_that_is_missing_or_wrong_is_told() {
    for (key, value, part) in [
        ("smtpd_sender_restrictions", "reject_unlisted_sender", "smtpd_sender_restrictions does not ask Octroi"),
        ("smtpd_client_restrictions", "", "smtpd_client_restrictions does not ask Octroi"),
        ("smtpd_data_restrictions", "", "smtpd_data_restrictions does not ask Octroi"),
        ("smtpd_end_of_data_restrictions", "", "smtpd_end_of_data_restrictions does not ask Octroi"),
        (
            "smtpd_recipient_restrictions",
            "permit_mynetworks, $octroi_delegation",
            "permit_mynetworks before the delegation in smtpd_recipient_restrictions",
        ),
        (
            "smtpd_sender_restrictions",
            "check_policy_service { unix:octroi/policy, default_action=DUNNO }",
            "default_action = DUNNO in smtpd_sender_restrictions",
        ),
        ("smtpd_relay_restrictions", "permit_mynetworks, permit_sasl_authenticated", "it sends without a login"),
        ("smtpd_delay_reject", "yes", "smtpd_delay_reject is not no"),
        ("smtpd_tls_auth_only", "no", "smtpd_tls_auth_only is not yes"),
        ("smtpd_tls_mandatory_protocols", "!SSLv2, !SSLv3, !TLSv1", "lets TLS older than 1.2 in"),
        ("line_length_limit", "2048", "line_length_limit = 2048"),
        ("smtpd_sasl_response_limit", "4096", "smtpd_sasl_response_limit = 4096"),
        ("smtpd_sasl_tls_security_options", "noanonymous, noplaintext", "hides XOAUTH2 and OAUTHBEARER"),
    ] {
        let told = told(MAIN, SERVICES, &with(key, value));
        assert!(told.len() == 1 && told[0].contains(part), "{key} = {value}: {told:?}");
    }
}

#[test]
fn a_submission_service_that_logs_in_elsewhere_is_told_and_so_is_the_lack_of_any_other() {
    let told = told(MAIN, SERVICES, &with("smtpd_sasl_path", "private/auth"));
    assert!(told[0].starts_with("no smtpd service of master.cf logs in through Octroi"), "{told:?}");
    assert!(told[1].contains("submissions/inet: logs in elsewhere (smtpd_sasl_type = dovecot"), "{told:?}");
    assert!(told[2].contains("asks Octroi where nobody logs in through it"), "{told:?}");
}

#[test]
fn what_main_cf_does_to_port_25_is_told() {
    let main = format!("{MAIN}smtpd_recipient_restrictions = $octroi_delegation\n");
    let asked = told(&main, SERVICES, &shipped());
    assert!(
        asked.len() == 1 && asked[0].starts_with("smtp/inet: smtpd_recipient_restrictions asks Octroi"),
        "{asked:?}"
    );
    let main = MAIN.replace("smtpd_sasl_auth_enable = no", "smtpd_sasl_auth_enable = yes");
    let auth = told(&main, SERVICES, &shipped());
    assert!(auth.len() == 1 && auth[0].starts_with("smtp/inet: AUTH where other operators deliver"), "{auth:?}");
}

#[test]
fn what_writes_tokens_into_the_log_is_told() {
    let main = MAIN.replace("debug_peer_list =", "debug_peer_list = 192.0.2.7");
    assert!(told(&main, SERVICES, &shipped())[0].starts_with("debug_peer_list = 192.0.2.7 writes"));
    let services = SERVICES.replace("smtpd -o smtpd_tls_wrappermode=yes", "smtpd -v");
    assert!(told(MAIN, &services, &shipped())[0].contains("smtpd -v writes whole dialogues"));
}

#[test]
fn another_programs_output_is_no_settings() {
    assert_eq!(told("hello\n", "", &[]), ["the command printed something else than `postconf` does"]);
}

const CERTIFICATES: &str = include_str!("../../../../../integrations/postfix/master-certificates.cf");
const CERTIFICATE_SOCKET: &str = "/var/spool/postfix/octroi/sasl-certificates";

/// What is told where the shipped file for certificates, with each of these texts replaced, stands behind the others.
fn told_with_certificates(edits: &[(&str, &str)]) -> Vec<String> {
    let mut file = CERTIFICATES.to_owned();
    for (from, to) in edits {
        assert!(file.contains(from), "{from}");
        file = file.replace(from, to);
    }
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let (options, service): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("  -o "));
    let name = service[0].split_whitespace().next().unwrap();
    let own =
        options.iter().map(|line| format!("{name}/inet/{}", line.replacen("  -o ", "", 1).replacen('=', " = ", 1)));
    let others = shipped().into_iter().map(|line| format!("submissions/inet/{line}"));
    let main = format!("{MAIN}smtpd_sasl_mechanism_filter = !external, static:rest\nsmtpd_tls_ask_ccert = no\n");
    let main = format!("{main}smtpd_tls_fingerprint_digest = md5\n");
    told_of(
        Some(CERTIFICATE_SOCKET),
        &main,
        &format!("{SERVICES}{}\n", service[0]),
        &own.chain(others).collect::<Vec<_>>(),
    )
}

#[test]
fn the_shipped_service_for_certificates_is_one_of_ours() {
    assert_eq!(told_with_certificates(&[]), Vec::<String>::new());
}

#[test]
fn a_service_for_certificates_without_the_delegation_says_yes_to_anybody() {
    let told = told_with_certificates(&[("=$octroi_delegation", "=")]);
    assert!(told.len() == 1 && told[0].contains("whoever names a mailbox sends as it"), "{told:?}");
    let told = told_with_certificates(&[("10465 inet", "465 inet"), ("=$octroi_delegation", "=permit")]);
    assert!(told.len() == 1 && told[0].contains("whoever names a mailbox sends as it"), "{told:?}");
    assert_eq!(told_with_certificates(&[("static:rest", "external")]), Vec::<String>::new());
}

#[test]
fn each_setting_of_a_service_for_certificates_that_is_wrong_is_told() {
    for (from, to, part) in [
        ("smtpd_tls_ask_ccert=yes", "smtpd_tls_ask_ccert=no", "smtpd_tls_ask_ccert is not yes"),
        ("digest=sha256", "digest=md5", "smtpd_tls_fingerprint_digest = md5: every certificate is refused"),
        ("smtpd_tls_CAfile=/var/lib/octroi-dovecot/igc-sante.pem", "smtpd_tls_CAfile=", "smtpd_tls_CAfile is not set"),
        ("filter=static:rest", "filter=!external, static:rest", "hides EXTERNAL"),
        ("filter=static:rest", "filter=plain, login", "hides EXTERNAL"),
        ("filter=static:rest", "filter=", "hides EXTERNAL"),
        ("smtpd_sender_restrictions=$octroi_delegation", "smtpd_sender_restrictions=", "whose address the sender is"),
        ("=permit_sasl_authenticated,reject", "=permit_tls_clientcerts,reject", "it sends without a login"),
        ("smtpd_delay_reject=no", "smtpd_delay_reject=yes", "smtpd_delay_reject is not no"),
        ("smtpd_tls_auth_only=yes", "smtpd_tls_auth_only=no", "a client without a certificate may log in"),
        (">=TLSv1.2", ">=TLSv1", "lets TLS older than 1.2 in"),
        ("10465 inet", "25 inet", "AUTH where other operators deliver"),
    ] {
        let told = told_with_certificates(&[(from, to)]);
        assert!(told.len() == 1 && told[0].contains(part), "{from} -> {to}: {told:?}");
    }
}

#[test]
fn a_socket_for_certificates_that_no_service_uses_is_told() {
    let told = told_with_certificates(&[("octroi/sasl-certificates", "octroi/sasl")]);
    assert!(told.iter().any(|what| what.contains("nobody sends with a certificate")), "{told:?}");
}
