//! The rules. Each names the parameter, what follows from its value, and the remedy.

use super::restrictions::{Restriction, read};
use super::{FILES, Look, PLACE, Report, Service};

/// The lists in which the delegation is asked, and what is lost where it is not.
const ASKED: [(&str, &str); 5] = [
    ("smtpd_client_restrictions", "the sidecar is not told of a new client, and can't forget the login before"),
    ("smtpd_sender_restrictions", "whose address the sender is, is not asked"),
    ("smtpd_recipient_restrictions", "recipients are not asked about"),
    ("smtpd_data_restrictions", "the number of recipients is not held against its ceiling"),
    ("smtpd_end_of_data_restrictions", "the message is not recorded, nor the login looked at again"),
];

/// A service whose clients log in through Octroi.
pub(super) fn of_ours(look: &Look<'_>, service: &Service, report: &mut Report) {
    if service.is_port_25() {
        return port_25(service, report);
    }
    delegation(look, service, report);
    relay(look, service, report);
    tls(look, service, "tokens may go in clear", report);
    token(look, service, report);
}

/// AUTH at port 25.
pub(super) fn port_25(service: &Service, report: &mut Report) {
    let what = format!("{}: AUTH where other operators deliver: its messages meet no question", service.name);
    let remedy = "set smtpd_sasl_auth_enable = no in main.cf, and leave AUTH to the submission services";
    report.mistake(PLACE, what, remedy);
}

/// Whether Octroi is asked in this list of restrictions.
pub(super) fn asks(look: &Look<'_>, service: &Service, key: &str) -> bool {
    let is_ours = |at: &str| look.leads_to(service, at, look.delegation());
    let list = look.conf.effective(service, key);
    read(&list).iter().any(|element| matches!(element, Restriction::Asks(at, _) if is_ours(at)))
}

/// The delegation is asked in every list, before anything lets the message through, and its silence is no yes.
pub(super) fn delegation(look: &Look<'_>, service: &Service, report: &mut Report) {
    let effective = |key: &str| look.conf.effective(service, key);
    for (key, lost) in ASKED {
        let list = effective(key);
        let elements = read(&list);
        let asks = |element: &Restriction<'_>| matches!(element, Restriction::Asks(name, _) if look.leads_to(service, name, look.delegation()));
        let Some(at) = elements.iter().position(asks) else {
            let what = format!("{}: {key} does not ask Octroi: {lost}", service.name);
            report.mistake(PLACE, what, format!("set {key} = $octroi_delegation there, as integrations/postfix does"));
            continue;
        };
        for element in elements.iter().take(at) {
            if let Restriction::Permits(permit) = element {
                let what = format!("{}: {permit} before the delegation in {key}: it sends unasked", service.name);
                report.mistake(PLACE, what, format!("take {permit} out, or put it after the delegation"));
            }
        }
        if let Some(Restriction::Asks(_, action)) = elements.get(at) {
            let action = action.map_or_else(|| effective("smtpd_policy_service_default_action"), str::to_owned);
            let word = action.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if ["DUNNO", "OK", "PERMIT"].contains(&word.as_str()) {
                let what = format!(
                    "{}: default_action = {action} in {key}: an outage of the sidecar sends anything",
                    service.name
                );
                report.mistake(PLACE, what, "set default_action = 451 4.3.5 ..., as octroi_delegation of main.cf does");
            }
        }
    }
    if effective("smtpd_delay_reject") != "no" {
        let what =
            format!("{}: smtpd_delay_reject is not no: the sidecar is not told of a new client in time", service.name);
        report.mistake(PLACE, what, "set smtpd_delay_reject = no there, as integrations/postfix does");
    }
}

/// Whoever may relay without a login is asked in the name of nobody.
pub(super) fn relay(look: &Look<'_>, service: &Service, report: &mut Report) {
    for element in read(&look.conf.effective(service, "smtpd_relay_restrictions")) {
        if let Restriction::Permits(permit) = element
            && permit != "permit_sasl_authenticated"
        {
            let what = format!("{}: {permit} in smtpd_relay_restrictions: it sends without a login", service.name);
            report.mistake(PLACE, what, "set smtpd_relay_restrictions = permit_sasl_authenticated,reject there");
        }
    }
}

/// Logins go through TLS 1.2 or later (MSSante's floor); `danger` is what happens to one without.
pub(super) fn tls(look: &Look<'_>, service: &Service, danger: &str, report: &mut Report) {
    let effective = |key: &str| look.conf.effective(service, key);
    let level = effective("smtpd_tls_security_level");
    if level != "encrypt" && effective("smtpd_tls_wrappermode") != "yes" {
        let what = format!("{}: smtpd_tls_security_level = {level}: a session may go in clear", service.name);
        report.mistake(PLACE, what, "set smtpd_tls_security_level = encrypt there");
    }
    if effective("smtpd_tls_auth_only") != "yes" {
        let what = format!("{}: smtpd_tls_auth_only is not yes: {danger}", service.name);
        report.mistake(PLACE, what, "set smtpd_tls_auth_only = yes there");
    }
    let protocols = effective("smtpd_tls_mandatory_protocols");
    if !is_modern(&protocols) {
        let what = format!("{}: smtpd_tls_mandatory_protocols = {protocols} lets TLS older than 1.2 in", service.name);
        report.mistake(PLACE, what, "set smtpd_tls_mandatory_protocols = >=TLSv1.2 there");
    }
}

/// Whether a list of protocols (postconf(5), "smtpd_tls_mandatory_protocols") leaves 1.2 and later alone.
fn is_modern(protocols: &str) -> bool {
    let words: Vec<_> = protocols.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.iter().any(|have| have.eq_ignore_ascii_case(word));
    let named = words.iter().filter(|word| !word.starts_with('!'));
    let all_modern = |word: &&str| ["TLSv1.2", "TLSv1.3"].iter().any(|modern| modern.eq_ignore_ascii_case(word));
    has(">=TLSv1.2")
        || has(">=TLSv1.3")
        || has("!TLSv1") && has("!TLSv1.1")
        || named.clone().count() > 0 && named.copied().collect::<Vec<_>>().iter().all(all_modern)
}

/// The token arrives whole, and the mechanisms that carry it are offered.
fn token(look: &Look<'_>, service: &Service, report: &mut Report) {
    for key in ["line_length_limit", "smtpd_sasl_response_limit"] {
        let value = look.conf.effective(service, key);
        // Postfix before 3.9 has no limit of its own for the response.
        let Ok(limit) = value.parse::<usize>() else { continue };
        if limit < look.line {
            let what = format!("{}: {key} = {value}: the largest token needs {}", service.name, look.line);
            report.mistake(PLACE, what, format!("set {key} = 12288 there"));
        }
    }
    let options = look.conf.effective(service, "smtpd_sasl_tls_security_options");
    if options.split([' ', ',']).any(|option| option == "noplaintext") {
        let what =
            format!("{}: smtpd_sasl_tls_security_options = {options} hides XOAUTH2 and OAUTHBEARER", service.name);
        report.mistake(PLACE, what, "set smtpd_sasl_tls_security_options = noanonymous there");
    }
}

/// A service whose clients do not log in through Octroi.
pub(super) fn of_another(look: &Look<'_>, service: &Service, report: &mut Report) {
    let effective = |key: &str| look.conf.effective(service, key);
    let name = service.name.split('/').next().unwrap_or_default();
    if effective("smtpd_sasl_auth_enable") == "yes" && service.is_port_25() {
        port_25(service, report);
    } else if ["submission", "submissions", "587", "465"].contains(&name) {
        let (kind, path) = (effective("smtpd_sasl_type"), effective("smtpd_sasl_path"));
        let what = format!("{}: logs in elsewhere (smtpd_sasl_type = {kind}, smtpd_sasl_path = {path})", service.name);
        report.mistake(PLACE, what, FILES);
    }
    let lists = ASKED.iter().map(|(key, _)| *key).chain(["smtpd_relay_restrictions", "smtpd_helo_restrictions"]);
    let asked = lists.into_iter().find(|key| asks(look, service, key));
    if let Some(key) = asked {
        let what =
            format!("{}: {key} asks Octroi where nobody logs in through it: every message is refused", service.name);
        report.mistake(
            PLACE,
            what,
            "take the delegation out of main.cf: it belongs to the submission services of master.cf",
        );
    }
}

/// What writes dialogues, and tokens with them, into the log (DEBUG_README).
pub(super) fn logs(look: &Look<'_>, report: &mut Report) {
    let remedy = "take it out, and shred the logs written meanwhile: they hold tokens";
    for service in look.conf.smtpds().filter(|service| service.is_verbose()) {
        report.mistake(PLACE, format!("{}: smtpd -v writes whole dialogues into the log", service.name), remedy);
    }
    let peers = look.conf.main("debug_peer_list").unwrap_or_default();
    if !peers.is_empty() {
        report.mistake(PLACE, format!("debug_peer_list = {peers} writes whole dialogues into the log"), remedy);
    }
}
