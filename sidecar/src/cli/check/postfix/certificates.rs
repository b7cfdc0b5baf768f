//! The rules for a service whose clients log in with a certificate (integrations/postfix/master-certificates.cf).
//!
//! Its SASL server says yes before anything is proven: the delegation is the only lock there is.

use super::rules::{asks, delegation, port_25, relay, tls};
use super::{Look, PLACE, Report, Service};

/// The lists in which a question about a message can be asked.
const OF_A_MESSAGE: [&str; 4] = [
    "smtpd_sender_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
];

/// A service whose SASL path leads to `certificate_sasl_socket`.
pub(super) fn of_certificates(look: &Look<'_>, service: &Service, report: &mut Report) {
    if service.is_port_25() {
        return port_25(service, report);
    }
    if OF_A_MESSAGE.iter().any(|key| asks(look, service, key)) {
        delegation(look, service, report);
    } else {
        let what = format!(
            "{}: certificate_sasl_socket says yes to anybody, and Octroi is not asked about messages: whoever names a \
             mailbox sends as it",
            service.name
        );
        let remedy =
            "add the lines smtpd_*_restrictions=$octroi_delegation of integrations/postfix/master-certificates.cf";
        report.mistake(PLACE, what, remedy);
    }
    relay(look, service, report);
    tls(look, service, "a client without a certificate may log in", report);
    certificate(look, service, report);
}

/// The certificate is asked for, verified, and known by what the sidecar knows it by; and EXTERNAL is offered.
fn certificate(look: &Look<'_>, service: &Service, report: &mut Report) {
    let effective = |key: &str| look.conf.effective(service, key);
    let mut mistake = |what: &str, remedy: &str| report.mistake(PLACE, format!("{}: {what}", service.name), remedy);
    if effective("smtpd_tls_ask_ccert") != "yes" && effective("smtpd_tls_req_ccert") != "yes" {
        mistake(
            "smtpd_tls_ask_ccert is not yes: no client shows a certificate, every message is refused",
            "set smtpd_tls_ask_ccert = yes there",
        );
    }
    let digest = effective("smtpd_tls_fingerprint_digest");
    if !digest.eq_ignore_ascii_case("sha256") {
        let what = format!("smtpd_tls_fingerprint_digest = {digest}: every certificate is refused");
        mistake(&what, "set smtpd_tls_fingerprint_digest = sha256 there");
    }
    if effective("smtpd_tls_CAfile").is_empty() && effective("smtpd_tls_CApath").is_empty() {
        mistake(
            "smtpd_tls_CAfile is not set: no certificate is verified, every one is refused",
            "set smtpd_tls_CAfile there to NAME.pem, which the sidecar keeps in its dovecot_folder, or to another file with \
             the chain's authorities and no others",
        );
    }
    let filter = effective("smtpd_sasl_mechanism_filter");
    if !passes_external(&filter) {
        let what = format!("smtpd_sasl_mechanism_filter = {filter} hides EXTERNAL: nobody can log in");
        mistake(&what, "set smtpd_sasl_mechanism_filter = static:rest there");
    }
}

/// Whether a filter (postconf(5), "smtpd_sasl_mechanism_filter") lets EXTERNAL through: the first element that fits
/// decides, and where none does it is held back. What stands in files and tables is not looked at.
fn passes_external(filter: &str) -> bool {
    for word in filter.split([' ', ',']).filter(|word| !word.is_empty()) {
        let name = word.trim_start_matches('!');
        let negated = (word.len() - name.len()) % 2 == 1;
        if name.eq_ignore_ascii_case("external") || name.starts_with("static:") {
            return !negated;
        }
        if !negated && name.contains(['/', ':']) {
            return true;
        }
    }
    false
}

/// No service leads to the socket that is open for it.
pub(super) fn unused(look: &Look<'_>, report: &mut Report) {
    if look.certificate_sasl().is_none() {
        return;
    }
    let what =
        "no smtpd service of master.cf logs in at [postfix] certificate_sasl_socket: nobody sends with a certificate";
    let remedy = "append integrations/postfix/master-certificates.cf to master.cf, or take certificate_sasl_socket out";
    report.unchecked(PLACE, what, remedy);
}
