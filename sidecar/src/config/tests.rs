mod chain;
mod client;
mod trust;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;

/// A folder with every file that the reference names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("introspection.secret", "introspection-word\n"),
        ("policy.secret", "policy-word\r\n"),
        ("psc-client.secret", "client-word"),
        ("psc.jwks.json", "{}"),
        ("psc-ca.pem", ""),
        ("imap-ca.pem", ""),
        ("policy.wasm", ""),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let igc = octroi_igc::Igc::new(octroi_igc::Names::Production).unwrap();
    fs::write(folder.path().join("igc-sante-root.pem"), igc.root().pem()).unwrap();
    fs::write(folder.path().join("igc-sante-organisations.pem"), igc.organisations().pem()).unwrap();
    folder
}

fn parse(folder: &tempfile::TempDir, text: &str) -> Result<Config, Problems> {
    Config::parse(&folder.path().join("octroi.toml"), text)
}

/// The reference with every key active, but for those that exclude the one source of keys, or the one proof, that
/// stays, and the one key of the signer.
fn full() -> String {
    let excluded = ["#discovery_url", "#jwks_url", "#client_key", "#client_certificate", "#cosign"];
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !line.starts_with("# ") && !excluded.iter().any(|e| line.starts_with(e)) => key,
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

const MINIMAL: &str = "
[[issuer]]
issuer = \"https://psc.example.test/realm\"
mailbox_domains = [\"bal.example.test\"]
";

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

/// The problems of the minimal configuration with `more` after it.
fn problems(more: &str) -> Vec<Problem> {
    parse(&folder(), &format!("{MINIMAL}{more}")).unwrap_err().all
}

#[test]
fn the_minimal_configuration_has_the_documented_defaults() {
    let config = parse(&folder(), MINIMAL).unwrap();
    assert_eq!(config.server.state_dir, Path::new("/var/lib/octroi"));
    assert_eq!(config.server.gate_socket, Path::new("/run/octroi/gate.sock"));
    assert_eq!((config.server.gate_uids, config.server.admin_uids), (vec![0], vec![0]));
    assert_eq!((config.server.max_in_flight, config.server.remembered_signatures), (256, 16_384));
    assert_eq!(config.throttle, Allowance::default());
    assert_eq!((config.server.gate_group, config.server.ticket_seconds), (None, 60));
    assert!(config.dovecot.is_none() && config.postfix.is_none());
    assert!(config.chains.is_empty());
    assert_eq!((config.crl.refresh, config.crl.max_stale, config.crl.dovecot), (hours(1), Duration::ZERO, None));
    assert_eq!(config.rails, Rails { leeway_seconds: 5, session_max_seconds: 14_400 });
    assert_eq!(config.audit.file, Path::new("/var/lib/octroi/audit.jsonl"));
    assert_eq!(config.issuers[0].keys, KeySource::Discovery);
    assert_eq!(config.issuers[0].introspection, IntrospectionMode::Off);
    let (holding, asking) = (config.issuers[0].holding, config.issuers[0].asking);
    assert_eq!((holding.max_stale, asking.max_degraded), (hours(4), hours(4)));
    assert_eq!(holding.refresh_bounds, (Duration::from_secs(60), hours(1)));
    assert_eq!((holding.refresh, holding.refetch_floor), (Duration::from_secs(600), Duration::from_secs(30)));
    assert_eq!((asking.deadline, asking.in_flight), (Duration::from_millis(1500), 32));
    assert!(config.check.canary.is_none() && config.check.dovecot.is_empty());
}

#[test]
fn the_reference_holds_as_it_stands() {
    let folder = folder();
    let config = parse(&folder, REFERENCE).unwrap_or_else(|problems| panic!("{problems}"));
    let dovecot = config.dovecot.unwrap();
    assert!(dovecot.introspection_secret.matches(b"introspection-word"));
    assert!(dovecot.policy_secret.matches(b"policy-word"));
    assert_eq!(dovecot.other_mechanisms, ["PLAIN", "LOGIN"]);
    assert_eq!(dovecot.listen.to_string(), "127.0.0.1:9180");
    assert_eq!(config.check.dovecot[0].doveconf, ["doveconf", "-n"]);
    assert_eq!(config.check.dovecot[0].server_name, "127.0.0.1");
}

#[test]
fn limits_of_work_are_rates_that_zero_lifts_and_addresses_that_are_exempt() {
    let lines =
        "bad_signatures_per_minute = 60\nunknown_keys_per_minute = 0\nexempt = [\"192.0.2.10\", \"2001:db8::1\"]\n";
    let throttle = parse(&folder(), &format!("{MINIMAL}[throttle]\n{lines}")).unwrap().throttle;
    assert_eq!(throttle.bad_signatures, std::num::NonZeroU32::new(60));
    assert_eq!((throttle.unknown_keys, throttle.exempt.len()), (None, 2));
    for (line, key) in [
        ("bad_signatures_per_minute = 6000001", "throttle.bad_signatures_per_minute"),
        ("inactive_tokens_per_minute = -1", "throttle.inactive_tokens_per_minute"),
        ("exempt = [\"192.0.2.0/24\"]", "throttle.exempt[1]"),
        ("exempted = []", "throttle.exempted"),
    ] {
        let found = problems(&format!("[throttle]\n{line}\n"));
        assert_eq!(found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [key], "{line}");
    }
}

#[test]
fn the_doors_for_postfix_have_a_socket_each_and_one_user() {
    let config = parse(&folder(), &format!("{MINIMAL}[postfix]\nuser = \"Debian-exim\"\n")).unwrap();
    let postfix = config.postfix.unwrap();
    assert_eq!(postfix.sasl_socket, Path::new("/var/spool/postfix/octroi/sasl"));
    assert_eq!(postfix.delegation_socket, Path::new("/var/spool/postfix/octroi/policy"));
    assert_eq!(postfix.user, User::Name("Debian-exim".to_owned()));
    let config = parse(&folder(), &format!("{MINIMAL}[postfix]\nuser = \"101:104\"\n")).unwrap();
    assert_eq!(config.postfix.unwrap().user, User::Numbers { uid: 101, gid: 104 });
    assert_eq!((postfix.sasl_listen, postfix.delegation_listen), (None, None));
    let long = format!("sasl_socket = \"/{}\"", "x".repeat(103));
    for (line, key) in [
        ("user = \"\"", "postfix.user"),
        ("user = \"a b\"", "postfix.user"),
        ("user = \"101:\"", "postfix.user"),
        ("user = \"postfix:postfix\"", "postfix.user"),
        ("user = \"+1:1\"", "postfix.user"),
        ("user = \"4294967295:1\"", "postfix.user"),
        ("sasl_socket = \"/var/spool/postfix/octroi/policy\"", "postfix.delegation_socket"),
        (long.as_str(), "postfix.sasl_socket"),
        ("sasl_listen = \"0.0.0.0:9181\"", "postfix.sasl_listen"),
        ("delegation_listen = \"localhost:9182\"", "postfix.delegation_listen"),
        ("sasl_listen = \"[::1]:1\"\ndelegation_listen = \"[::1]:1\"", "postfix.delegation_listen"),
        ("socket = \"/run/x\"", "postfix.socket"),
    ] {
        let found = problems(&format!("[postfix]\n{line}\n"));
        assert_eq!(found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [key], "{line}");
    }
}

#[test]
fn the_reference_holds_with_every_key_active() {
    let config = parse(&folder(), &full()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(matches!(config.issuers[0].keys, KeySource::JwksFile(_)));
    assert_eq!(config.issuers[0].client.as_ref().unwrap().id, "my-operator");
    assert!(config.check.canary.is_some());
}

#[test]
fn the_reference_shows_the_true_defaults() {
    let folder = folder();
    let differs = ["#discovery_url", "#jwks_", "#ca_file", "#introspection_url", "#client_", "#component", "#canary"];
    let differs = [
        &differs[..],
        &[
            "#non_member",
            "#uncounted_users",
            "#exempt",
            "#algorithms",
            "#server_name",
            "#submission",
            "#vectors",
            "#[policy.recording]",
            "#megabytes",
            "#certificate_sasl_socket",
            "#certificate = ",
            "#sasl_listen",
            "#delegation_listen",
            "#gate_group",
            "#[[policy.signer]]",
            "#name",
            "#minisign",
            "#cosign",
            "#[policy.trust]",
            "#all_of",
            "#any_of",
            "#[[chain]]",
            "#ca_files",
            "#test",
            "#mailbox_domains",
            "#imap_listen",
            "#crl_urls",
            "#dovecot_folder",
            "#dovecot_version",
            "#dovecot_reload",
        ],
    ]
    .concat();
    let with_defaults: Vec<&str> = REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !line.starts_with("# ") && !differs.iter().any(|d| line.starts_with(d)) => key,
            Some(_) | None => line,
        })
        .collect();
    let shown = parse(&folder, &with_defaults.join("\n")).unwrap();
    let left_out = parse(&folder, REFERENCE).unwrap();
    assert_eq!(format!("{shown:?}"), format!("{left_out:?}"));
}

#[test]
fn the_reference_names_every_key_that_is_read() {
    let text = full();
    let report = reader::Report::new(&text);
    let document = toml::de::DeTable::parse(&text).unwrap();
    sections::read(&report, document.get_ref(), &folder().path().join("octroi.toml"));
    let mut section = String::new();
    let mut named = BTreeSet::new();
    for line in REFERENCE.lines() {
        if let Some(name) = line.trim_start_matches('#').strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
            let parts: Vec<&str> = section.split('.').collect();
            named.extend((1..=parts.len()).map(|upto| parts[..upto].join(".")));
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && !line.starts_with("# ")
        {
            named.insert(format!("{section}.{key}"));
        }
    }
    named.retain(|key| !key.starts_with("policy.settings."));
    assert_eq!(report.asked(), named);
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let text = "
[server]
max_in_flight = 0
gate_sockett = \"/x\"
[[issuer]]
issuer = \"http://psc.example.test\"
mailbox_domains = []
introspection = \"sometimes\"
[rails]
leeway_seconds = \"5\"
[nothing]
";
    let problems = parse(&folder(), text).unwrap_err();
    let told: Vec<(usize, &str)> = problems.all.iter().map(|p| (p.line, p.key.as_str())).collect();
    assert_eq!(
        told,
        [
            (3, "server.max_in_flight"),
            (4, "server.gate_sockett"),
            (6, "issuer[1].issuer"),
            (7, "issuer[1].mailbox_domains"),
            (8, "issuer[1].introspection"),
            (10, "rails.leeway_seconds"),
            (11, "nothing"),
        ]
    );
    assert!(problems.all.iter().all(|p| !p.expected.is_empty() && !p.remedy.is_empty()));
    assert!(problems.all[1].remedy.contains("\"gate_socket\""));
    assert!(
        problems.to_string().contains("octroi.toml:3: server.max_in_flight: expected a whole number from 1 to 65536")
    );
}

#[test]
fn broken_syntax_is_told_with_its_line() {
    let problems = parse(&folder(), "[server]\nstate_dir = \n[rails\n").unwrap_err().all;
    assert!(problems.iter().any(|p| p.line == 2) && problems.iter().any(|p| p.line == 3), "{problems:?}");
    assert!(problems.iter().all(|p| p.expected.starts_with("not TOML")));
}

#[test]
fn a_configuration_without_an_issuer_is_refused() {
    let problems = parse(&folder(), "").unwrap_err().all;
    assert_eq!(problems[0].key, "issuer");
}

#[test]
fn a_missing_configuration_is_told_with_its_path() {
    let problems = Config::load(Path::new("/nowhere/octroi.toml")).unwrap_err();
    assert!(problems.to_string().starts_with("/nowhere/octroi.toml: expected a readable file"));
}

#[test]
fn what_single_keys_cannot_show_is_refused() {
    for (more, key) in [
        ("[server]\ngate_socket = \"/s\"\nadmin_socket = \"/s\"", "server.admin_socket"),
        ("[server]\ngate_uids = [\"nobody-of-that-name\"]", "server.gate_uids[1]"),
        ("[server]\nadmin_uids = []", "server.admin_uids"),
        ("[server]\ngate_group = \"no-group-of-that-name\"", "server.gate_group"),
        ("[server]\nticket_seconds = 61", "server.ticket_seconds"),
        ("[server]\nticket_seconds = 0", "server.ticket_seconds"),
        ("[[issuer]]\nissuer = \"https://psc.example.test/realm\"\nmailbox_domains = [\"a.test\"]", "issuer[2]"),
        ("introspection = \"required\"", "issuer[1].client_id"),
        ("introspection = \"required\"\nclient_id = \"me\"", "issuer[1].client_secret_file"),
        ("jwks_url = \"https://a.test/\"\njwks_file = \"psc.jwks.json\"", "issuer[1]"),
        ("jwks_file = \"not-there.json\"", "issuer[1].jwks_file"),
        ("jwks_file = \".\"", "issuer[1].jwks_file"),
        ("ca_file = \"not-there.pem\"", "issuer[1].ca_file"),
        ("[check]\ncanary = \"a@x.test\"\nnon_member = \"A@x.test\"", "check.non_member"),
        ("[check]\ncanary = \"a@x.test\"", "check.non_member"),
        ("[check]\nnon_member = \"a@x.test\"", "check.canary"),
        ("[[check.dovecot]]\nimap = \"here\"", "check.dovecot[1].version"),
        ("[[check.dovecot]]\nversion = \"2.4\"\nimap = \"here\"", "check.dovecot[1].imap"),
        ("[[check.dovecot]]\nversion = \"2.4\"\ndoveconf = []", "check.dovecot[1].doveconf"),
        ("[policy]\ncomponent = \"not-there.wasm\"", "policy.component"),
        ("[rails]\nleeway_seconds = 31", "rails.leeway_seconds"),
        ("[keys]\nmax_stale_seconds = 86401", "keys.max_stale_seconds"),
        ("[keys]\nrefresh_seconds = 59", "keys.refresh_seconds"),
        ("[keys]\nrefresh_min_seconds = 900", "keys"),
        ("[keys]\nrefresh_max_seconds = 300", "keys"),
        ("[keys]\nmax_stale = 1", "keys.max_stale"),
        ("[introspection]\ndeadline_milliseconds = 3001", "introspection.deadline_milliseconds"),
        ("[introspection]\nmax_in_flight = 0", "introspection.max_in_flight"),
        ("[introspection]\nremember_active_seconds = 301", "introspection.remember_active_seconds"),
        ("[rails]\nsession_max_seconds = 14401", "rails.session_max_seconds"),
        ("[dovecot]\nlisten = \"0.0.0.0:9180\"", "dovecot.listen"),
        ("[metrics]\nlisten = \"0.0.0.0:9181\"", "metrics.listen"),
        ("[dovecot]\nother_mechanisms = [\"XOAUTH2\"]", "dovecot.other_mechanisms[1]"),
        ("[dovecot]", "dovecot.introspection_secret_file"),
    ] {
        let told = problems(more);
        assert!(told.iter().any(|problem| problem.key == key), "{more}: {told:?}");
    }
}

#[test]
fn introspection_without_discovery_needs_its_url() {
    let more = "introspection = \"required\"\njwks_file = \"psc.jwks.json\"\nclient_id = \"me\"\nclient_secret_file = \"psc-client.secret\"";
    assert_eq!(problems(more).iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["issuer[1].introspection_url"]);
}

#[test]
fn both_doors_of_dovecot_have_secrets_of_their_own() {
    let more = "[dovecot]\nintrospection_secret_file = \"policy.secret\"\npolicy_secret_file = \"policy.secret\"";
    assert_eq!(problems(more)[0].key, "dovecot.policy_secret_file");
}

#[test]
fn a_secret_that_others_can_read_or_that_is_empty_is_refused_and_never_shown() {
    let folder = folder();
    let file = folder.path().join("policy.secret");
    let text = format!(
        "{MINIMAL}[dovecot]\nintrospection_secret_file = \"introspection.secret\"\npolicy_secret_file = \"policy.secret\""
    );
    for (content, mode) in
        [("planted\n", 0o644), ("\n", 0o600), ("", 0o600), ("planted one\n", 0o600), ("a\nplanted", 0o600)]
    {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let problems = parse(&folder, &text).unwrap_err();
        assert_eq!(problems.all[0].key, "dovecot.policy_secret_file");
        assert!(!format!("{problems} {problems:?}").contains("planted"));
    }
    fs::write(&file, "planted\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let shown = format!("{:?}", parse(&folder, &text).unwrap());
    assert!(!shown.contains("planted") && !shown.contains("introspection-word"), "{shown}");
}

#[test]
fn the_policy_gets_the_settings_of_its_table_and_what_the_rest_already_says() {
    let more = "introspection = \"off\"\n[rails]\nleeway_seconds = 7\n[policy.settings]\nacr = [\"eidas2\"]\nazp.deny = [\"x\"]";
    let config = parse(&folder(), &format!("{MINIMAL}{more}")).unwrap();
    let settings: serde_json::Value =
        serde_json::from_str(&PolicySettings::of(&config).complete(None).unwrap()).unwrap();
    assert_eq!(
        settings,
        serde_json::json!({
            "acr": ["eidas2"], "azp": {"deny": ["x"]}, "leeway_seconds": 7, "session_max_seconds": 14_400,
            "issuers": [{"issuer": "https://psc.example.test/realm", "introspection": "off"}],
        })
    );
}

#[test]
fn the_admin_socket_is_found_in_a_file_that_holds_nowhere_else() {
    let folder = folder();
    let path = folder.path().join("octroi.toml");
    fs::write(&path, "[server]\nadmin_socket = \"a.sock\"\n[[issuer]]\nissuer = 5\n").unwrap();
    assert_eq!(Config::admin_socket(&path).unwrap(), folder.path().join("a.sock"));
    fs::write(&path, "[server]\nadmin_socket = 5\n").unwrap();
    assert!(Config::admin_socket(&path).is_err());
}

#[test]
fn what_is_said_of_keys_and_questions_reaches_every_issuer() {
    let more = "[[issuer]]\nissuer = \"https://other.example.test\"\nmailbox_domains = [\"a.test\"]\n\
                [keys]\nmax_stale_seconds = 60\nrefetch_floor_seconds = 5\n\
                [introspection]\nmax_degraded_seconds = 0\nremember_active_seconds = 0\n";
    let config = parse(&folder(), &format!("{MINIMAL}{more}")).unwrap();
    assert_eq!(config.issuers.len(), 2);
    for issuer in config.issuers {
        assert_eq!(issuer.holding.max_stale, Duration::from_secs(60));
        assert_eq!(issuer.holding.refetch_floor, Duration::from_secs(5));
        assert_eq!((issuer.asking.max_degraded, issuer.asking.remember_active), (Duration::ZERO, Duration::ZERO));
    }
}
